//! What markets there are to choose from, with what a home costs there. Read at most every few seconds, however often the page is asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use schemas::market_day::MarketNumbers;
use schemas::money::Money;
use schemas::vocabulary::Transaction;

use super::words;
use crate::app::App;
use crate::problem::Problem;
use crate::routes::markets::{MarketSummary, all};

/// How long the markets that were read are good enough to choose from.
const KEPT: Duration = Duration::from_secs(5);
/// Most markets in the list of a form: a list that a person still scrolls; the largest ones.
pub const MOST_CHOICES: usize = 500;

/// One market to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `us/wa/seattle`.
    pub market: String,
    /// `Seattle, WA`.
    pub name: String,
    /// A budget to begin with, for each transaction, in whole units; empty when nothing is on offer.
    pub budget: String,
    /// The same for rents.
    pub rent: String,
    /// `median $640,000`.
    pub median: String,
}

/// The markets as they were read last.
#[derive(Debug, Default)]
pub struct Places(Mutex<Option<(Moment, Arc<Vec<MarketSummary>>)>>);

impl Places {
    /// The markets, the largest first.
    pub async fn read(&self, app: &App) -> Result<Arc<Vec<MarketSummary>>, Problem> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, markets)) = known
            && at.elapsed() < KEPT
        {
            return Ok(markets);
        }
        let mut markets = all(app, None).await?;
        let size = |summary: &MarketSummary| {
            let of = |numbers: &Option<MarketNumbers>| numbers.as_ref().map_or(0, |numbers| numbers.active_listings);
            of(&summary.sale) + of(&summary.lease)
        };
        markets.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.market.cmp(&b.market)));
        let markets = Arc::new(markets);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Moment::now(), Arc::clone(&markets)));
        Ok(markets)
    }
}

/// What to choose from, in order of the names.
pub fn choices(markets: &[MarketSummary]) -> Vec<Choice> {
    let mut choices: Vec<Choice> = markets.iter().take(MOST_CHOICES).map(choice).collect();
    choices.sort_by(|a, b| a.name.cmp(&b.name));
    choices
}

fn choice(summary: &MarketSummary) -> Choice {
    let budget = |numbers: &Option<MarketNumbers>| {
        numbers.as_ref().map(|numbers| words::grouped(near(numbers.median_list_price))).unwrap_or_default()
    };
    let median = summary.sale.as_ref().map(|n| words::money(n.median_list_price, n.currency)).unwrap_or_default();
    Choice {
        market: summary.market.to_string(),
        name: words::place(&summary.market),
        budget: budget(&summary.sale),
        rent: budget(&summary.lease),
        median,
    }
}

/// The budget that a form begins with: the median, rounded up to two digits, in whole units.
pub fn default_budget(summary: &MarketSummary, transaction: Transaction) -> Option<i64> {
    let numbers = match transaction {
        Transaction::Sale => summary.sale.as_ref(),
        Transaction::Lease => summary.lease.as_ref(),
    };
    numbers.map(|numbers| near(numbers.median_list_price))
}

fn near(median: Money) -> i64 {
    let units = median.units().max(1);
    let mut step = 1;
    while units / step >= 100 {
        step *= 10;
    }
    (units + step - 1) / step * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_begins_with_a_round_budget_at_the_median() {
        for (median, budget) in [(629_500, 630_000), (640_000, 640_000), (1_234_567, 1_300_000), (2_449, 2_500), (7, 7)]
        {
            assert_eq!(near(Money::from_units(median).unwrap()), budget, "{median}");
        }
    }
}
