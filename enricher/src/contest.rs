//! Champion and candidate by the same closed sales: who was nearer, and whether by more than chance.
//!
//! Pure. Each sale carries what both said of the home before they knew the price (`SaleAppraisal`), whoever valued it for users; so the
//! pairs are the same whether or not a trial is on. A sale that either may have been trained on tells nothing.

use schemas::accuracy::{Advice, Contender, Contest};
use schemas::model_alias::ModelName;
use schemas::money::Money;
use schemas::priced::Prices;
use schemas::sale::SaleAppraisal;

use crate::accuracy::{nearness, share};
use crate::level::Closing;
use crate::market::days_since_1970;
use crate::registry::Manifest;

/// Fewest sales that advice stands on: the standard error of a difference of one point is about a third of one then.
pub const MIN_PAIRS: usize = 500;
/// How many standard errors are more than chance: 95 of 100 differences that are none lie within.
const SIGNIFICANT: f64 = 1.96;
/// The largest error that counts, as a natural logarithm, twice or half of the price: a sale between relatives says nothing of either.
const LARGEST_ERROR: f64 = std::f64::consts::LN_2;

/// What both say of one sale.
struct Pair {
    paid: Money,
    champion: Prices,
    candidate: Prices,
}

/// Compares those who value in `order` with a candidate, by closings with their days.
pub(crate) fn compare<'a>(
    closings: impl Iterator<Item = (i32, &'a Closing)>,
    order: &[&Manifest],
    candidate: &Manifest,
) -> Contest {
    let candidate = (candidate.model_name(), days_since_1970(candidate.trained_through));
    let order: Vec<_> =
        order.iter().map(|manifest| (manifest.model_name(), days_since_1970(manifest.trained_through))).collect();
    let pairs: Vec<Pair> = closings
        .filter_map(|(day, closing)| {
            let said = |(model, through): &(ModelName, i32)| Some((said(&closing.appraisals, model)?, day > *through));
            // Who was asked first and had something to say.
            let (champion, is_new_to_champion) = order.iter().find_map(said)?;
            let (candidate, is_new_to_candidate) = said(&candidate)?;
            (is_new_to_champion && is_new_to_candidate).then_some(Pair { paid: closing.price, champion, candidate })
        })
        .collect();
    judge(&pairs)
}

fn said(appraisals: &[SaleAppraisal], model: &ModelName) -> Option<Prices> {
    let its = |said: &&SaleAppraisal| said.model == model.name && said.model_version == model.version;
    let said = appraisals.iter().find(its)?;
    Some(said.shown.unwrap_or(Prices { p10: said.p10, p50: said.p50, p90: said.p90 }))
}

fn judge(pairs: &[Pair]) -> Contest {
    let contender = |prices: fn(&Pair) -> Prices| {
        let inside = pairs.iter().filter(|pair| (prices(pair).p10..=prices(pair).p90).contains(&pair.paid)).count();
        Some(Contender {
            close_price: nearness(pairs.iter().map(|pair| (prices(pair).p50, pair.paid)))?,
            interval_coverage: share(inside, pairs.len()),
        })
    };
    let error =
        |prices: Prices, paid: Money| (prices.p50.cents() as f64 / paid.cents() as f64).ln().abs().min(LARGEST_ERROR);
    // Diebold and Mariano, "Comparing Predictive Accuracy" (1995), of independent errors: the mean difference of the losses in units
    // of its standard error.
    let count = pairs.len().max(1) as f64;
    let gains: Vec<f64> =
        pairs.iter().map(|pair| error(pair.champion, pair.paid) - error(pair.candidate, pair.paid)).collect();
    let advantage = gains.iter().sum::<f64>() / count;
    let variance = gains.iter().map(|gain| (gain - advantage).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let advantage_error = (variance / count).sqrt();
    Contest {
        sales: pairs.len(),
        champion: contender(|pair| pair.champion),
        candidate: contender(|pair| pair.candidate),
        candidate_nearer: gains.iter().filter(|gain| **gain > 0.0).count() as f64 / count,
        advantage,
        advantage_error,
        advice: match advantage {
            _ if pairs.len() < MIN_PAIRS => Advice::TooFewSales,
            gain if gain > SIGNIFICANT * advantage_error => Advice::Promote,
            gain if -gain > SIGNIFICANT * advantage_error => Advice::Keep,
            _ => Advice::NoDifference,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::tests::package;

    fn prices(p50: i64) -> Prices {
        let money = |units| Money::from_units(units).unwrap();
        Prices { p10: money(p50 * 9 / 10), p50: money(p50), p90: money(p50 * 11 / 10) }
    }

    fn said(version: &str, p50: i64) -> SaleAppraisal {
        let raw = prices(1);
        SaleAppraisal {
            model: "tiny".to_owned(),
            model_version: version.to_owned(),
            p10: raw.p10,
            p50: raw.p50,
            p90: raw.p90,
            shown: Some(prices(p50)),
        }
    }

    /// Sold for 1,000; what tiny/1 and tiny/2 said of it.
    fn closing(one: i64, two: i64) -> Closing {
        Closing {
            market: "us/wa/seattle".parse().unwrap(),
            price: Money::from_units(1_000).unwrap(),
            appraisals: vec![said("2", two), said("1", one)],
        }
    }

    /// Of tiny/1 as champion and tiny/2 as candidate, closed after both were trained.
    fn compared(closings: &[Closing]) -> Contest {
        let later = days_since_1970(jiff::civil::date(2026, 2, 1));
        let (one, two) = (package("tiny", "1").manifest, package("tiny", "2").manifest);
        compare(closings.iter().map(|closing| (later, closing)), &[&one], &two)
    }

    #[test]
    fn a_candidate_that_is_nearer_by_more_than_chance_is_to_be_promoted_and_a_worse_one_not() {
        let nearer: Vec<_> = (0..600).map(|n| closing(1_100 + n % 7, 1_050 + n % 5)).collect();
        let contest = compared(&nearer);
        assert_eq!((contest.sales, contest.advice, contest.candidate_nearer), (600, Advice::Promote, 1.0));
        assert!((contest.advantage - (1.103_f64 / 1.052).ln()).abs() < 0.001, "{contest:?}");
        let (champion, candidate) = (contest.champion.unwrap(), contest.candidate.unwrap());
        assert!(champion.close_price.median_absolute_error > 0.1 && candidate.close_price.median_absolute_error < 0.06);
        assert_eq!((champion.interval_coverage, candidate.interval_coverage), (600.0 / 600.0, 1.0));

        let worse: Vec<_> = (0..600).map(|n| closing(1_050, 900 + n % 5)).collect();
        assert_eq!(compared(&worse).advice, Advice::Keep);
    }

    #[test]
    fn chance_is_no_reason_and_few_sales_are_none() {
        let either: Vec<_> =
            (0..600).map(|n| if n % 2 == 0 { closing(1_100, 1_050) } else { closing(1_050, 1_100) }).collect();
        assert_eq!(compared(&either).advice, Advice::NoDifference);
        let few: Vec<_> = (0..MIN_PAIRS as i64 - 1).map(|_| closing(1_100, 1_001)).collect();
        let contest = compared(&few);
        assert_eq!((contest.sales, contest.advice), (499, Advice::TooFewSales));
        assert!(contest.candidate.is_some());
        let none = compared(&[]);
        assert!(none.sales == 0 && none.champion.is_none() && none.advantage == 0.0 && none.advantage_error == 0.0);
    }

    #[test]
    fn only_sales_of_which_both_spoke_and_that_are_new_to_both_count() {
        let (one, two) = (package("tiny", "1").manifest, package("tiny", "2").manifest);
        let trained = days_since_1970(one.trained_through);
        let silent = Closing { appraisals: vec![said("1", 1_000)], ..closing(1, 1) };
        let pair = closing(1_100, 1_050);
        let closings = [(trained, &pair), (trained + 1, &pair), (trained + 1, &silent)];
        assert_eq!(compare(closings.into_iter(), &[&one], &two).sales, 1);
        // The champion that had nothing to say is passed over for the one that it falls back to.
        let broken = package("broken", "1").manifest;
        assert_eq!(compare(closings.into_iter(), &[&broken, &one], &two).sales, 1);
    }

    #[test]
    fn one_absurd_sale_does_not_decide() {
        let mut closings: Vec<_> = (0..600).map(|n| closing(1_050 + n % 3, 1_040 + n % 3)).collect();
        closings.push(closing(1_000, 900_000));
        assert_eq!(compared(&closings).advice, Advice::Promote);
    }
}
