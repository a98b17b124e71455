//! What must hold when everything is quiet.

use std::collections::{BTreeMap, BTreeSet};

use schemas::header;
use schemas::id::{ListingId, SessionId};
use schemas::listing::Listing;
use schemas::priced::PricedListing;
use schemas::recommendation::RecommendationEvent;
use schemas::sale::Sale;
use schemas::state_hash::{ShardState, StateHash};
use schemas::topic::{Topic, partition_of, session_key};
use schemas::version::ListingVersion;
use schemas::vocabulary::StandardStatus;
use scorer::engine::TopThree;
use scorer::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use scorer::score::matches;
use store::Row;
use stream::Record;

use super::input::Told;
use super::log::SimLog;
use super::{Guard, World};
use crate::oracle::{self, Rows};

/// A listing of a raw record: partition, offset, index.
type Source = (u32, u64, u32);

impl World {
    /// Everything that must hold; `Err` says what does not.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_outcomes()?;
        let facts = oracle::facts(self.outside.log.history(Topic::ListingsPriced));
        self.check_facts(&facts)?;
        self.check_statements()?;
        let wanted = wanted(&self.outside.log, &facts);
        self.check_rows(&wanted)?;
        self.check_states(&facts)?;
        self.check_events(&wanted)
    }

    /// What a consumer of `recommendations` shows, ignoring smaller timestamps, is what the tables hold. The topic keeps a day.
    fn check_events(&self, wanted: &Rows) -> Result<(), String> {
        let mut newest: BTreeMap<SessionId, (i64, Option<String>)> = BTreeMap::new();
        let is_kept = |record: &&Record| record.append_time_ms > self.outside.now - super::DAY_MS;
        for record in self.outside.log.history(Topic::Recommendations).filter(is_kept) {
            let (timestamp, session, shown) = event(record).ok_or("recommendations: not an event")?;
            if newest.get(&session).is_none_or(|(known, _)| timestamp >= *known) {
                newest.insert(session, (timestamp, shown));
            }
        }
        for (session, (timestamp, shown)) in newest {
            let row = wanted.get(&Row::Recommendation(session));
            if row != shown.as_ref() {
                return Err(format!("{session}: the event of {timestamp} shows {shown:?}, the row is {row:?}"));
            }
        }
        Ok(())
    }

    /// Every listing of every raw record stands on `listings` or on `dead-letters`, never on both.
    fn check_outcomes(&self) -> Result<(), String> {
        let (mut taken, mut refused) = (BTreeSet::new(), BTreeSet::new());
        for record in self.outside.log.history(Topic::ListingsRaw) {
            for (index, outcome) in (0..).zip(ingest::decide::decide(record)) {
                let source = (record.partition, record.offset, index);
                let is_dead = matches!(outcome.verdict, ingest::decide::Verdict::Dead(_));
                if is_dead {
                    refused.insert(source)
                } else {
                    taken.insert(source)
                };
            }
        }
        let on_listings: BTreeSet<Source> =
            self.outside.log.history(Topic::Listings).filter_map(source_of_event).collect();
        let letters = |topic: Topic| {
            let of_topic = self
                .outside
                .log
                .history(Topic::DeadLetters)
                .filter(move |record| header::text(&record.headers, header::DEAD_TOPIC) == Some(topic.name()));
            of_topic.filter_map(source_of_letter).collect::<BTreeSet<Source>>()
        };
        same("listings", &taken, &on_listings)?;
        same("dead letters of listings.raw", &refused, &letters(Topic::ListingsRaw))?;
        same("dead letters of listings", &BTreeSet::new(), &letters(Topic::Listings))?;
        let partitions = self.outside.log.partitions();
        let history = self.outside.log.history(Topic::Preferences);
        // A tombstone under a key that is none of the partition's is the repair of such a record: compaction takes both away.
        let is_at_home = |record: &Record| {
            let key = record.key.as_deref().unwrap_or_default();
            key != b"nobody" && partition_of(key, partitions) == record.partition
        };
        let is_repair = |record: &Record| record.value.is_none() && !is_at_home(record);
        let no_statement =
            history.filter(|record| oracle::statement(record, partitions).is_none() && !is_repair(record));
        let no_statement = no_statement.map(|record| (record.partition, record.offset, 0)).collect();
        same("dead letters of preferences", &no_statement, &letters(Topic::Preferences))
    }

    /// Canonical listings are a fold of the raw ones, history and memory included.
    fn check_facts(&self, facts: &BTreeMap<ListingId, PricedListing>) -> Result<(), String> {
        let mut by_id: BTreeMap<ListingId, BTreeMap<ListingVersion, Listing>> = BTreeMap::new();
        let mut arrived: BTreeMap<ListingId, Vec<Listing>> = BTreeMap::new();
        for record in self.outside.log.history(Topic::Listings) {
            let Some(listing) = record.value.as_deref().and_then(|value| serde_json::from_slice::<Listing>(value).ok())
            else {
                return Err(format!("no canonical listing at [{}] {}", record.partition, record.offset));
            };
            let known = by_id.entry(listing.listing_id.clone()).or_default();
            if known.insert(listing.version, listing.clone()).is_none() {
                arrived.entry(listing.listing_id.clone()).or_default().push(listing);
            }
        }
        for (id, statements) in &by_id {
            let Some((newest, listing)) = statements.last_key_value() else { continue };
            let Some(fact) = facts.get(id) else {
                if self.forgets && listing.standard_status == StandardStatus::Delete {
                    continue;
                }
                return Err(format!("{id}: no fact of it on listings.priced"));
            };
            let says = |listing: &Listing| (listing.standard_status, listing.list_price, listing.bedrooms_total);
            if says(listing) != says(&fact.listing) {
                return Err(format!(
                    "{id}: the newest statement is {:?}, the fact says {:?}",
                    says(listing),
                    says(&fact.listing)
                ));
            }
            if self.guards.off(Guard::VersionOrder) {
                continue;
            }
            if fact.listing.version.without_epoch() != *newest {
                return Err(format!("{id}: the newest version is {newest:?}, the fact's {:?}", fact.listing.version));
            }
            if self.forgets {
                continue; // Its memory began anew with the last tombstone.
            }
            check_memory(id, fact, statements, &arrived[id])?;
            if fact.listing.standard_status.may_be_shown() && fact.listing.version.model_epoch != self.enrichers.epoch {
                return Err(format!(
                    "{id}: valued by epoch {}, the champion's is {}",
                    fact.listing.version.model_epoch, self.enrichers.epoch
                ));
            }
        }
        self.check_sales(&by_id)
    }

    /// Of every listing the newest sale is on `sales`, unless the listing was deleted since.
    fn check_sales(&self, by_id: &BTreeMap<ListingId, BTreeMap<ListingVersion, Listing>>) -> Result<(), String> {
        if self.guards.off(Guard::VersionOrder) {
            return Ok(());
        }
        let sales = self.outside.log.history(Topic::Sales);
        let sales = sales.filter_map(|record| serde_json::from_slice::<Sale>(record.value.as_deref()?).ok());
        let sold: BTreeSet<_> = sales.map(|sale| (sale.listing_id, sale.close_price)).collect();
        for (id, statements) in by_id {
            let last = statements.values().rev().find_map(|listing| match listing.standard_status {
                StandardStatus::Closed => Some(listing.close_price),
                StandardStatus::Delete => Some(None),
                _ => None,
            });
            // A repetition of a sale reports none again: its price is what counts.
            if let Some(price) = last.flatten().filter(|price| !sold.contains(&(id.clone(), *price))) {
                return Err(format!("{id}: sold for {price:?}, which is not on sales"));
            }
        }
        Ok(())
    }

    /// What a client was told is so, until the session ends.
    fn check_statements(&self) -> Result<(), String> {
        let standing = oracle::statements(self.outside.log.history(Topic::Preferences), self.outside.log.partitions());
        for (session, told) in &self.input.told {
            let Told { offset, at_ms, erased } = *told;
            let found = standing.get(session).map(|(version, _)| *version);
            let ends_at = at_ms + super::SESSION_LIFE_MS;
            let wanted = (!erased && ends_at > self.outside.now).then_some(offset);
            // A session that ends just now may still stand.
            let is_ending = !erased && found == Some(offset) && ends_at > self.outside.now - 60_000;
            if found != wanted && !is_ending {
                return Err(format!("{session}: told {told:?}, but {found:?} stands (time {})", self.outside.now));
            }
        }
        Ok(())
    }

    /// The tables are what the logs say.
    fn check_rows(&self, wanted: &Rows) -> Result<(), String> {
        let limit = store::WriteTimestamp::from_raw(1 << 50);
        if self.tables.newest() >= Some(limit) {
            return Err(format!("a write timestamp is not below 2^50: {:?}", self.tables.newest()));
        }
        let compared = |row: &Row| match row {
            // Observations, each with a time of its own.
            Row::Counts(_) | Row::Shard(_) => false,
            // Hints: the API drops what disagrees, and they expire by themselves. They must be there, no more.
            Row::ListingByMarket(_) | Row::Market(_) => wanted.contains_key(row),
            Row::Recommendation(_) | Row::Session(_) | Row::Listing(_) | Row::MarketDay(..) => true,
        };
        let found = self.tables.rows().filter(|(row, _)| compared(row));
        let found: Rows = found.map(|(row, cell)| (row.clone(), cell.to_string())).collect();
        oracle::difference(wanted, &found).map_or(Ok(()), Err)
    }

    /// Every shard's owner says where it is and what its sessions see, and so say the logs.
    fn check_states(&self, facts: &BTreeMap<ListingId, PricedListing>) -> Result<(), String> {
        let log = &self.outside.log;
        let standing = oracle::statements(log.history(Topic::Preferences), log.partitions());
        for shard in 0..log.partitions() {
            let is_of_shard = |session: &SessionId| partition_of(&session_key(*session), log.partitions()) == shard;
            let sessions = standing.iter().filter(|(session, _)| is_of_shard(session));
            let (mut sum, mut count) = (0_u64, 0);
            for (session, (version, preferences)) in sessions {
                let wanted = SessionFacts::of(preferences);
                let key = |(id, fact)| matches(&wanted, id, &ListingFacts::of(fact, ScoreEpoch::default()));
                let top = TopThree::best_of(facts.iter().filter_map(key).collect());
                sum = sum.wrapping_add(scorer::state::term(*session, *version, &top));
                count += 1;
            }
            let next_offset = |partition| log.next_offset(Topic::ListingsPriced, partition);
            let wanted = ShardState {
                hash: StateHash::from_bits(sum),
                sessions: count,
                listings_offsets: (0..log.partitions()).map(next_offset).collect(),
                preferences_offset: log.next_offset(Topic::Preferences, shard),
            };
            let found = self.scorers.state(shard);
            if found.as_ref() != Some(&wanted) {
                return Err(format!("shard {shard}: the logs give {wanted:?}, its owner says {found:?}"));
            }
        }
        Ok(())
    }

    /// What is left of the logs says what all of it said.
    pub(super) fn check_compacted(&self) -> Result<(), String> {
        let partitions = self.outside.log.partitions();
        let facts = [
            oracle::facts(self.outside.log.history(Topic::ListingsPriced)),
            oracle::facts(self.outside.log.records(Topic::ListingsPriced)),
        ];
        if facts[0] != facts[1] {
            return Err("listings.priced: compaction changed what the facts are".to_owned());
        }
        let statements = |records: Vec<&Record>| oracle::statements(records, partitions);
        let all = statements(self.outside.log.history(Topic::Preferences).collect());
        let left = statements(self.outside.log.records(Topic::Preferences).collect());
        if all != left {
            return Err(format!("preferences: compaction changed what the statements are: {all:?} became {left:?}"));
        }
        let sales = |records: Vec<&Record>| -> BTreeMap<ListingId, ListingVersion> {
            let sales = records.into_iter().filter_map(|r| serde_json::from_slice::<Sale>(r.value.as_deref()?).ok());
            sales.fold(BTreeMap::new(), |mut newest, sale| {
                let known = newest.entry(sale.listing_id).or_insert(sale.version);
                *known = sale.version.max(*known);
                newest
            })
        };
        let (all, left) = (
            sales(self.outside.log.history(Topic::Sales).collect()),
            sales(self.outside.log.records(Topic::Sales).collect()),
        );
        if all != left {
            return Err(format!("sales: compaction changed what the newest are: {all:?} became {left:?}"));
        }
        let days = oracle::days(self.outside.log.history(Topic::MarketDays));
        oracle::difference(&days, &oracle::days(self.outside.log.records(Topic::MarketDays))).map_or(Ok(()), Err)
    }
}

fn wanted(log: &SimLog, facts: &BTreeMap<ListingId, PricedListing>) -> Rows {
    let statements = oracle::statements(log.history(Topic::Preferences), log.partitions());
    let days = oracle::days(log.history(Topic::MarketDays));
    oracle::rows(facts, &statements, days, ScoreEpoch::default())
}

/// What a fact remembers of its listing's past.
fn check_memory(
    id: &ListingId,
    fact: &PricedListing,
    statements: &BTreeMap<ListingVersion, Listing>,
    arrived: &[Listing],
) -> Result<(), String> {
    let is_delete = |listing: &&Listing| listing.standard_status == StandardStatus::Delete;
    let floor = statements.values().rev().find(is_delete).map(|listing| listing.version);
    if fact.deleted_version != floor {
        return Err(format!("{id}: deleted at {floor:?}, the fact says {:?}", fact.deleted_version));
    }
    for point in &fact.history {
        let Some(said) = statements.get(&point.version) else { return Err(format!("{id}: nobody said {point:?}")) };
        if (said.standard_status, said.list_price) != (point.standard_status, point.list_price) {
            return Err(format!("{id}: {point:?} is not what was said"));
        }
        if floor.is_some_and(|floor| point.version < floor) {
            return Err(format!("{id}: {point:?} is older than its Delete {floor:?}"));
        }
    }
    let first = statements.first_key_value().map(|(version, _)| version.timestamp_ms);
    if Some(fact.first_seen_at.ms()) != first {
        return Err(format!("{id}: first seen at {:?}, the fact says {}", first, fact.first_seen_at.ms()));
    }
    // What it was valued at while it was offered stays with it.
    let (mut newest, mut is_valued) = (None, false);
    for statement in arrived {
        if newest < Some(statement.version) {
            newest = Some(statement.version);
            is_valued |= statement.standard_status.may_be_shown();
        }
    }
    if fact.valuation.is_some() != is_valued {
        return Err(format!("{id}: valued: {is_valued}, the fact says {:?}", fact.valuation));
    }
    Ok(())
}

/// Write timestamp, session, and what is shown; `None`: erased.
fn event(record: &Record) -> Option<(i64, SessionId, Option<String>)> {
    let session = std::str::from_utf8(record.key.as_deref()?).ok()?.parse().ok()?;
    let timestamp = header::text(&record.headers, header::CE_ID)?.split('-').next()?.parse().ok()?;
    let Some(value) = record.value.as_deref() else { return Some((timestamp, session, None)) };
    let event: RecommendationEvent = serde_json::from_slice(value).ok()?;
    Some((timestamp, session, Some(scorer::present::items_cell(&event.recommendation))))
}

/// Ingest's events are named after their source.
fn source_of_event(record: &Record) -> Option<Source> {
    let mut parts = header::text(&record.headers, header::CE_ID)?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn source_of_letter(record: &Record) -> Option<Source> {
    let number = |name| header::integer(&record.headers, name);
    let partition = number(header::DEAD_PARTITION)? as u32;
    Some((partition, number(header::DEAD_OFFSET)? as u64, number(header::DEAD_INDEX)? as u32))
}

fn same(what: &str, wanted: &BTreeSet<Source>, found: &BTreeSet<Source>) -> Result<(), String> {
    if wanted == found {
        return Ok(());
    }
    let missing: Vec<_> = wanted.difference(found).take(5).collect();
    let extra: Vec<_> = found.difference(wanted).take(5).collect();
    Err(format!("{what}: missing {missing:?}, there and should not be {extra:?}"))
}
