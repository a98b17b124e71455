//! What the tables must hold, by brute force from the logs: the definition that the running system is compared with.
//!
//! Shares with the system the formula (`scorer::score`), the wording (`scorer::present`) and the shapes (`schemas`), and
//! nothing of how it keeps them current: no engine, no merge, no protocol.

use std::collections::BTreeMap;

use schemas::cells::{MarketCell, SessionCell};
use schemas::header;
use schemas::id::{ListingId, Market, SessionId};
use schemas::market_day::{MarketDay, MarketNumbers};
use schemas::money::Money;
use schemas::preferences::Preferences;
use schemas::priced::{MAX_DEAL_SCORES, MAX_HISTORY, PricedListing};
use schemas::topic::{Topic, partition_of};
use schemas::units::Instant;
use schemas::vocabulary::{StandardStatus, Transaction};
use scorer::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use store::{ByMarket, Row};
use stream::Record;

/// The deterministic rows of all tables: key and cell. `Counts` and `Shard` rows are observations and not among them.
pub type Rows = BTreeMap<Row, String>;

/// Every listing: its records joined, one after the other, in the plainest way.
pub fn facts<'a>(records: impl IntoIterator<Item = &'a Record>) -> BTreeMap<ListingId, PricedListing> {
    let mut by_key: BTreeMap<ListingId, Vec<(u64, PricedListing)>> = BTreeMap::new();
    for record in records {
        assert_eq!(record.topic, Topic::ListingsPriced);
        let Some(id) = record.key.as_deref().and_then(|k| std::str::from_utf8(k).ok()).and_then(|k| k.parse().ok())
        else {
            continue;
        };
        match record.value.as_deref() {
            None => drop(by_key.remove(&id)),
            Some(value) => {
                if let Ok(fact) = serde_json::from_slice::<PricedListing>(value) {
                    by_key.entry(id).or_default().push((record.offset, fact));
                }
            }
        }
    }
    by_key.into_iter().filter_map(|(id, facts)| Some((id, joined(facts)?))).collect()
}

/// One listing: the newest statement's attributes, everybody's memory.
fn joined(mut facts: Vec<(u64, PricedListing)>) -> Option<PricedListing> {
    facts.sort_by_key(|(offset, fact)| (fact.listing.version, *offset));
    let floor = facts.iter().filter_map(|(_, fact)| fact.deleted_version).max();
    let not_before_floor = |version| floor.is_none_or(|floor| version >= floor);
    let mut points = BTreeMap::new();
    let mut deals = BTreeMap::new();
    for (_, fact) in &facts {
        points.extend(fact.history.iter().filter(|p| not_before_floor(p.version)).map(|p| (p.version, *p)));
        deals.extend(fact.past_deals.iter().filter(|d| not_before_floor(d.version)).map(|d| (d.version, *d)));
    }
    let origin = facts
        .iter()
        .map(|(_, fact)| (fact.first_seen_at, fact.original_list_price.is_none(), fact.original_list_price))
        .min()?;
    let (_, mut head) = facts.pop()?;
    head.deleted_version = floor;
    head.history = points.into_values().collect();
    head.history.drain(..head.history.len().saturating_sub(MAX_HISTORY));
    head.past_deals = deals.into_values().collect();
    head.past_deals.drain(..head.past_deals.len().saturating_sub(MAX_DEAL_SCORES));
    (head.first_seen_at, head.original_list_price) = (origin.0, origin.2);
    head.derive_from_history();
    Some(head)
}

/// Every session that stands: its newest valid statement, unless it was erased since.
pub fn statements<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    partitions: u32,
) -> BTreeMap<SessionId, (u64, Preferences)> {
    let mut newest: BTreeMap<SessionId, ((u64, bool), Option<Preferences>)> = BTreeMap::new();
    for record in records {
        assert_eq!(record.topic, Topic::Preferences);
        let Some((session, version, preferences)) = statement(record, partitions) else { continue };
        let rank = (version, preferences.is_none());
        if newest.get(&session).is_none_or(|(known, _)| rank > *known) {
            newest.insert(session, (rank, preferences));
        }
    }
    newest.into_iter().filter_map(|(id, ((version, _), preferences))| Some((id, (version, preferences?)))).collect()
}

/// The rules of DESIGN §3 in the order of their words; `None` for what is no statement.
pub fn statement(record: &Record, partitions: u32) -> Option<(SessionId, u64, Option<Preferences>)> {
    let key = record.key.as_deref()?;
    let session: SessionId = std::str::from_utf8(key).ok()?.parse().ok()?;
    let has = |name: &str| record.headers.iter().any(|(n, _)| n == name);
    let count = |name: &str| header::integer(&record.headers, name).and_then(|count| u64::try_from(count).ok());
    // A repair says both, whose version and which time; everything else says neither.
    let is_repair = has(header::STATEMENT_VERSION) || has(header::STATEMENT_TIME_MS);
    let (version, stated_at_ms) = match is_repair {
        true => (count(header::STATEMENT_VERSION)?, count(header::STATEMENT_TIME_MS)? as i64),
        false => (record.offset, record.append_time_ms),
    };
    if partition_of(key, partitions) != record.partition || (is_repair && version >= record.offset) {
        return None;
    }
    if has(header::DEADLINE_MS) && stated_at_ms > count(header::DEADLINE_MS)? as i64 {
        return None;
    }
    let Some(value) = record.value.as_deref() else { return Some((session, version, None)) };
    Some((session, version, Some(Preferences::parse(value).ok()?)))
}

/// The newest observation of every market's day.
pub fn days<'a>(records: impl IntoIterator<Item = &'a Record>) -> Rows {
    let mut newest: BTreeMap<Row, MarketDay> = BTreeMap::new();
    for record in records {
        let Some(day) = record.value.as_deref().and_then(|v| serde_json::from_slice::<MarketDay>(v).ok()) else {
            continue;
        };
        let row = Row::MarketDay(day.market.clone(), day.transaction, day.day);
        if newest.get(&row).is_none_or(|known| day.version > known.version) {
            newest.insert(row, day);
        }
    }
    newest.into_iter().map(|(row, day)| (row, json(&day))).collect()
}

/// Every deterministic row of every table.
pub fn rows(
    facts: &BTreeMap<ListingId, PricedListing>,
    statements: &BTreeMap<SessionId, (u64, Preferences)>,
    days: Rows,
    epoch: ScoreEpoch,
) -> Rows {
    let mut rows = days;
    let mut markets: BTreeMap<Market, Vec<&PricedListing>> = BTreeMap::new();
    for (id, fact) in facts {
        rows.insert(Row::Listing(id.clone()), scorer::present::listing_cell(fact));
        let listing = &fact.listing;
        if let Some(list_price) = listing.list_price.filter(|_| listing.may_be_recommended()) {
            let (market, transaction) = (listing.market.clone(), listing.transaction);
            let key = ByMarket { market, transaction, list_price, listing_id: id.clone() };
            rows.insert(Row::ListingByMarket(key), "{}".to_owned());
            markets.entry(listing.market.clone()).or_default().push(fact);
        }
    }
    for (market, facts) in markets {
        let newest = facts.iter().map(|fact| fact.content_version.timestamp_ms).max().and_then(Instant::from_ms);
        let numbers = |transaction| numbers(&facts, transaction, newest.unwrap_or_default());
        let cell = MarketCell { sale: numbers(Transaction::Sale), lease: numbers(Transaction::Lease) };
        rows.insert(Row::Market(market), json(&cell));
    }
    let scored: Vec<_> = facts.iter().map(|(id, fact)| (id, ListingFacts::of(fact, epoch))).collect();
    for (session, (version, preferences)) in statements {
        let wanted = SessionFacts::of(preferences);
        let matching = scored.iter().filter_map(|(id, facts)| scorer::score::matches(&wanted, id, facts));
        let mut keys: Vec<_> = matching.collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let best: Vec<_> = keys
            .iter()
            .take(3)
            .map(|key| {
                let fact = &facts[&key.listing.0];
                (fact, scorer::score::components(&wanted, &ListingFacts::of(fact, epoch)))
            })
            .collect();
        let recommendation = scorer::present::recommendation(preferences, *version, &best);
        rows.insert(Row::Recommendation(*session), scorer::present::items_cell(&recommendation));
        let cell = SessionCell { version: *version, preferences: preferences.clone() };
        rows.insert(Row::Session(*session), json(&cell));
    }
    rows
}

/// A market's numbers in its most frequent currency (of equals the first in the alphabet).
fn numbers(facts: &[&PricedListing], transaction: Transaction, now: Instant) -> Option<MarketNumbers> {
    let active = |fact: &&&PricedListing| {
        fact.listing.transaction == transaction && fact.listing.standard_status == StandardStatus::Active
    };
    let mut by_currency: BTreeMap<_, Vec<&PricedListing>> = BTreeMap::new();
    for fact in facts.iter().filter(active) {
        by_currency.entry(fact.listing.currency).or_default().push(fact);
    }
    let most = by_currency.values().map(Vec::len).max()?;
    let (currency, facts) = by_currency.into_iter().find(|(_, facts)| facts.len() == most)?;
    let prices: Vec<i64> = facts.iter().filter_map(|f| f.listing.list_price).map(Money::cents).collect();
    let per_sqft = facts.iter().filter_map(|f| {
        let area = i64::from(f.listing.living_area_sqft?);
        (area > 0).then(|| f.listing.list_price.map(|price| price.cents() / area)).flatten()
    });
    let days = facts.iter().filter_map(|f| {
        let since = f.listing.on_market_at?;
        Some(i64::from((now.day() - since.day()).get_days().max(0)))
    });
    let mean = prices.iter().map(|p| i128::from(*p)).sum::<i128>() / prices.len() as i128;
    Some(MarketNumbers {
        currency,
        active_listings: facts.len() as u64,
        mean_list_price: Money::from_cents(i64::try_from(mean).ok()?)?,
        median_list_price: Money::from_cents(lower_median(prices)?)?,
        median_price_per_sqft: lower_median(per_sqft.collect()).and_then(Money::from_cents),
        median_days_on_market: lower_median(days.collect()).and_then(|d| u32::try_from(d).ok()),
    })
}

fn lower_median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("our cells are JSON")
}

/// How two sets of rows differ, at most ten lines; `None` when they do not.
pub fn difference(wanted: &Rows, found: &Rows) -> Option<String> {
    let mut lines = Vec::new();
    for (row, cell) in wanted {
        match found.get(row) {
            Some(has) if has == cell => {}
            Some(has) => lines.push(format!("{row:?}\n   wanted {cell}\n   found  {has}")),
            None => lines.push(format!("{row:?} is missing\n   wanted {cell}")),
        }
    }
    let extra = found.keys().filter(|row| !wanted.contains_key(row));
    lines.extend(extra.map(|row| format!("{row:?} is there and should not be")));
    let total = lines.len();
    lines.truncate(10);
    (total > 0).then(|| format!("{total} rows differ:\n{}", lines.join("\n")))
}
