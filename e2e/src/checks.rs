//! What must hold of the logs and tables of any installation at rest.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use schemas::cells::MarketCell;
use schemas::header;
use schemas::id::{ListingId, Market, SessionId};
use schemas::listing::Listing;
use schemas::market_day::{MarketDay, MarketNumbers};
use schemas::recommendation::items_hash;
use schemas::topic::Topic;
use schemas::vocabulary::Transaction;
use scorer::facts::ScoreEpoch;
use stream::Record;

use crate::harness::Installation;
use crate::oracle;

/// A listing in a raw record: partition, offset, index.
pub type Source = (u32, u64, u32);

/// Every raw listing has exactly one fate.
pub struct Fates {
    /// On `listings`, by source; the last one when a restart repeated it.
    pub canonical: BTreeMap<Source, Listing>,
    /// On `dead-letters`, by source, with its code.
    pub dead: BTreeMap<Source, String>,
}

/// Reads where every listing of `listings.raw` went; an error names the first that went nowhere or to both.
pub fn fates(installation: &Installation) -> Result<Fates> {
    let raw = installation.records(Topic::ListingsRaw)?;
    let mut canonical = BTreeMap::new();
    for record in installation.records(Topic::Listings)? {
        let listing: Listing =
            serde_json::from_slice(record.value.as_deref().context("a canonical listing has a value")?)?;
        let version = listing.version;
        let source = (version.raw_partition, version.raw_offset, version.batch_index);
        if let Some(before) = canonical.get(&source) {
            ensure!(*before == listing, "{source:?} was taken twice, and not as the same");
        }
        canonical.insert(source, listing);
    }
    let mut dead = BTreeMap::new();
    for record in installation.records(Topic::DeadLetters)? {
        let number =
            |name| header::integer(&record.headers, name).with_context(|| format!("dead letter without {name}"));
        if header::text(&record.headers, header::DEAD_TOPIC) == Some(Topic::ListingsRaw.name()) {
            let source = (
                number(header::DEAD_PARTITION)? as u32,
                number(header::DEAD_OFFSET)? as u64,
                number(header::DEAD_INDEX)? as u32,
            );
            dead.insert(source, header::text(&record.headers, header::DEAD_CODE).context("no code")?.to_owned());
        }
    }
    let said: BTreeSet<Source> = raw.iter().flat_map(sources).collect();
    for source in canonical.keys().chain(dead.keys()) {
        ensure!(said.contains(source), "{source:?} is on no raw record");
    }
    for source in said {
        let (taken, refused) = (canonical.contains_key(&source), dead.contains_key(&source));
        // A batch that was refused as a whole is one dead letter with index 0.
        let as_a_whole = dead.contains_key(&(source.0, source.1, 0));
        ensure!(taken || refused || as_a_whole, "{source:?} went nowhere");
        ensure!(!(taken && refused), "{source:?} is both a listing and a dead letter");
    }
    Ok(Fates { canonical, dead })
}

/// The listings of a raw record, as far as plain JSON tells; one for what is no batch.
fn sources(record: &Record) -> Vec<Source> {
    let value = record.value.as_deref().unwrap_or_default();
    let batch = serde_json::from_slice::<serde_json::Value>(value).ok();
    let count = batch
        .as_ref()
        .and_then(|b| b.get("value"))
        .and_then(|v| v.as_array())
        .map_or(1, |records| records.len().max(1));
    (0..count).map(|index| (record.partition, record.offset, index as u32)).collect()
}

/// Every canonical statement has been taken into the facts: of each listing the newest one is what its fact says last.
pub fn facts_follow_the_listings(installation: &Installation, fates: &Fates) -> Result<usize> {
    let facts = oracle::facts(&installation.records(Topic::ListingsPriced)?);
    let mut newest: BTreeMap<&ListingId, &Listing> = BTreeMap::new();
    for listing in fates.canonical.values() {
        if newest.get(&listing.listing_id).is_none_or(|known| listing.version > known.version) {
            newest.insert(&listing.listing_id, listing);
        }
    }
    for (id, said) in &newest {
        let fact = facts.get(*id).with_context(|| format!("{id} has no fact"))?;
        let found = fact.listing.version.without_epoch();
        ensure!(found == said.version, "{id}: its fact is of {found:?}, its newest statement of {:?}", said.version);
    }
    Ok(newest.len())
}

/// Every deterministic row equals the brute-force fold of the logs; `listings_by_market` may hold extras where they disagree
/// with `listings`.
pub fn tables_equal_the_logs(installation: &Installation) -> Result<usize> {
    let partitions = installation.log.partitions();
    let facts = oracle::facts(&installation.records(Topic::ListingsPriced)?);
    let statements = oracle::statements(&installation.records(Topic::Preferences)?, partitions);
    let days = oracle::days(&installation.records(Topic::MarketDays)?);
    let wanted = oracle::rows(&facts, &statements, days, ScoreEpoch::default());
    let mut found = installation.rows()?;
    found.retain(|row, _| !matches!(row, store::Row::ListingByMarket(entry) if !wanted.contains_key(row) && stale(entry, &facts)));
    match oracle::difference(&wanted, &found) {
        None => Ok(wanted.len()),
        Some(difference) => anyhow::bail!(difference),
    }
}

/// The newest observation of each market's day tells of what is on offer now: it is made within a second of the last change.
pub fn days_tell_of_the_markets(installation: &Installation) -> Result<usize> {
    let rows = installation.rows()?;
    let mut observed: BTreeMap<(&Market, Transaction), MarketDay> = BTreeMap::new();
    for (row, cell) in &rows {
        if let store::Row::MarketDay(market, transaction, _) = row {
            // In the order of days.
            observed.insert((market, *transaction), serde_json::from_str(cell)?);
        }
    }
    for (row, cell) in &rows {
        let store::Row::Market(market) = row else { continue };
        let now: MarketCell = serde_json::from_str(cell)?;
        for transaction in [Transaction::Sale, Transaction::Lease] {
            let of = |numbers: Option<&MarketNumbers>| numbers.map(|it| (it.active_listings, it.mean_list_price));
            let seen = of(observed.get(&(market, transaction)).and_then(|day| day.numbers.as_ref()));
            let is = of(now.numbers(transaction));
            ensure!(seen == is, "{market} {transaction:?}: observed {seen:?}, on offer {is:?}");
        }
    }
    Ok(observed.len())
}

/// Who follows `recommendations` and ignores smaller write timestamps ends with what the rows say: the newest event of each
/// session carries the hash of its row. How many sessions were told of.
pub fn events_equal_the_rows(installation: &Installation) -> Result<usize> {
    let mut newest: BTreeMap<SessionId, (i64, String)> = BTreeMap::new();
    for record in installation.records(Topic::Recommendations)? {
        let key = record.key.as_deref().context("an event has a key")?;
        let session = std::str::from_utf8(key)?.parse()?;
        let id = header::text(&record.headers, header::CE_ID).context("an event has an id")?;
        let (timestamp, hash) = id.split_once('-').with_context(|| format!("{id} is no id of an event"))?;
        let timestamp: i64 = timestamp.parse()?;
        if newest.get(&session).is_none_or(|(known, _)| *known < timestamp) {
            newest.insert(session, (timestamp, hash.to_owned()));
        }
    }
    for (row, cell) in installation.rows()? {
        let store::Row::Recommendation(session) = row else { continue };
        let (at, hash) = newest.get(&session).with_context(|| format!("session {session} was never told"))?;
        ensure!(
            *hash == items_hash(&cell),
            "session {session}: its last event, of {at}, says something else than its row"
        );
    }
    Ok(newest.len())
}

/// `roost check --state` finds that every shard holds what the logs say. What it printed.
pub fn states_are_as_recorded(installation: &Installation) -> Result<String> {
    let (said, code) = installation.run(&["check", "--state"])?;
    ensure!(code == 0 && told_as_recorded(&said) == installation.log.partitions() as usize, "exit code {code}: {said}");
    Ok(said)
}

/// How many shards `roost check --state` found to be as recorded.
pub fn told_as_recorded(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("[+] shard ") && line.contains(", as recorded at ")).count()
}

fn stale(entry: &store::ByMarket, facts: &BTreeMap<ListingId, schemas::priced::PricedListing>) -> bool {
    let listing = facts.get(&entry.listing_id).map(|fact| &fact.listing);
    listing
        .is_none_or(|l| l.list_price != Some(entry.list_price) || l.market != entry.market || !l.may_be_recommended())
}

/// The codes of the dead letters, with how often each occurs.
pub fn codes(fates: &Fates) -> BTreeMap<&str, usize> {
    let mut codes = BTreeMap::new();
    for code in fates.dead.values() {
        *codes.entry(code.as_str()).or_default() += 1;
    }
    codes
}

/// The sources of all canonical listings and dead letters.
pub fn all_sources(fates: &Fates) -> BTreeSet<Source> {
    fates.canonical.keys().chain(fates.dead.keys()).copied().collect()
}
