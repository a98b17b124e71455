//! Every listing of the market as the log tells it: the join of all records of `listings.priced`, and what each step
//! changed for the rows and the engine.
//!
//! Pure. Repairs of the log are the enricher's work, not done here.

use rustc_hash::FxHashMap;
use schemas::dead_letter::{Code, Poison};
use schemas::id::{ListingId, Market};
use schemas::merge::Known;
use schemas::priced::PricedListing;
use schemas::topic::partition_of;
use store::ByMarket;
use stream::Record;

/// What one record changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which listing.
    pub id: ListingId,
    /// What was known of it before.
    pub before: Option<PricedListing>,
}

/// All listings, by partition.
#[derive(Clone, Debug)]
pub struct Catalogue {
    known: Vec<FxHashMap<ListingId, Known>>,
    /// Tombstones, each with its append time: a shard may have had no owner when its listing's row had to go, so the next
    /// one deletes it too.
    gone: Vec<FxHashMap<ListingId, i64>>,
}

impl Catalogue {
    /// Empty, over `partitions` partitions of `listings.priced`.
    pub fn new(partitions: u32) -> Self {
        let (known, gone) =
            (vec![FxHashMap::default(); partitions as usize], vec![FxHashMap::default(); partitions as usize]);
        Self { known, gone }
    }

    /// Takes the next record of a partition. `None`: it changed nothing that is shown or scored (a repetition, a bare
    /// confirmation).
    pub fn take(&mut self, record: Record) -> Result<Option<Step>, Poison> {
        let partitions = self.partitions();
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        let id: ListingId =
            key.parse().map_err(|error: schemas::field_error::FieldError| wrong_key(&error.to_string()))?;
        if partition_of(key.as_bytes(), partitions) != record.partition {
            return Err(wrong_key(&format!("the key {key} does not hash to partition {}", record.partition)));
        }
        let (known, gone) = (&mut self.known[record.partition as usize], &mut self.gone[record.partition as usize]);
        let Some(value) = record.value else {
            gone.insert(id.clone(), record.append_time_ms);
            let before = known.remove(&id);
            return Ok(before.map(|known| Step { id, before: Some(known.fact) }));
        };
        let fact: PricedListing = serde_json::from_slice(&value)
            .map_err(|error| Poison { code: Code::BadType, message: format!("a priced listing: {error}") })?;
        if fact.listing.listing_id != id {
            return Err(wrong_key(&format!("the key {key} is not the listing id {}", fact.listing.listing_id)));
        }
        gone.remove(&id);
        let Some(listing) = known.get_mut(&id) else {
            known.insert(id.clone(), Known::first(fact, record.offset));
            return Ok(Some(Step { id, before: None }));
        };
        let before = listing.fact.clone();
        listing.join(fact, record.offset);
        Ok(shows_a_change(&before, &listing.fact).then_some(Step { id, before: Some(before) }))
    }

    /// What is known of a listing.
    pub fn get(&self, id: &ListingId) -> Option<&PricedListing> {
        let partition = partition_of(id.as_str().as_bytes(), self.partitions());
        self.known[partition as usize].get(id).map(|known| &known.fact)
    }

    /// Every listing.
    pub fn iter(&self) -> impl Iterator<Item = (&ListingId, &PricedListing)> {
        self.known.iter().flatten().map(|(id, known)| (id, &known.fact))
    }

    /// The listings of one partition.
    pub fn of_partition(&self, partition: u32) -> impl Iterator<Item = (&ListingId, &PricedListing)> {
        self.known[partition as usize].iter().map(|(id, known)| (id, &known.fact))
    }

    /// The listings of one partition whose last record is a tombstone.
    pub fn gone_of_partition(&self, partition: u32) -> impl Iterator<Item = &ListingId> {
        self.gone[partition as usize].keys()
    }

    /// Forgets the tombstones appended before this time: a shard that had no owner since then is compared with its rows.
    pub fn forget_gone(&mut self, before_ms: i64) {
        self.gone.iter_mut().for_each(|gone| gone.retain(|_, appended_ms| *appended_ms >= before_ms));
    }

    /// How many listings are known.
    pub fn len(&self) -> usize {
        self.known.iter().map(FxHashMap::len).sum()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// P.
    pub fn partitions(&self) -> u32 {
        // Made from a u32.
        self.known.len() as u32
    }
}

fn wrong_key(message: &str) -> Poison {
    Poison { code: Code::WrongKey, message: message.to_owned() }
}

/// A confirmation alone changes no cell (DESIGN §3): everything but the newest statement's version and time counts.
fn shows_a_change(before: &PricedListing, after: &PricedListing) -> bool {
    if before == after {
        return false;
    }
    let mut confirmed = before.clone();
    confirmed.listing.version = after.listing.version;
    confirmed.last_confirmed_at = after.last_confirmed_at;
    confirmed != *after
}

/// The entry of a listing in `listings_by_market`, while it is on offer.
pub fn index_entry(fact: &PricedListing) -> Option<ByMarket> {
    let listing = &fact.listing;
    listing.list_price.filter(|_| listing.may_be_recommended()).map(|list_price| ByMarket {
        market: listing.market.clone(),
        transaction: listing.transaction,
        list_price,
        listing_id: listing.listing_id.clone(),
    })
}

/// The shard that writes the rows of a market.
pub fn shard_of_market(market: &Market, partitions: u32) -> u32 {
    partition_of(market.as_str().as_bytes(), partitions)
}
