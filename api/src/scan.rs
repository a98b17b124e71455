//! Looks at every listing on offer of some markets, some at a time, up to a bound: what counting and previews stand on.
//!
//! The index gives hints, the listings are read by id, and what disagrees with its hint is passed over, as browsing does. Decides
//! nothing about a listing.

use std::time::Instant as Moment;

use futures::{StreamExt as _, TryStreamExt as _};
use schemas::id::Market;
use schemas::money::Money;
use schemas::priced::PricedListing;
use schemas::vocabulary::Transaction;
use store::{ByMarket, Cell, Row};

use crate::app::App;
use crate::filters::agrees;
use crate::metrics;
use crate::page::Position;
use crate::problem::Problem;
use crate::routes::properties::READS_AT_ONCE;

/// Most listings that one request looks at: some seconds of work, and twice the homes on offer of a large city.
pub const MAX_LISTINGS: usize = 20_000;
/// Most markets that one request looks into, each for at least one read: a second of work.
const MAX_MARKETS: usize = 2_000;
/// Markets whose index is read at a time: each may bring as many entries as are still wanted.
const MARKETS_AT_ONCE: usize = 4;
/// Entries that are read at once.
const ENTRIES_AT_ONCE: usize = 1_000;
/// Listings that are looked at together: some 2 MB, and some 10 ms on a thread.
pub const TOGETHER: usize = 256;

/// What to look at.
#[derive(Debug)]
pub struct Entries {
    /// In order of price; at most [`MAX_LISTINGS`].
    pub entries: Vec<ByMarket>,
    /// Whether that is everything.
    pub is_all: bool,
}

/// The index entries of markets, the first markets first where there are too many.
pub async fn entries(
    app: &App,
    markets: &[Market],
    transaction: Transaction,
    prices: (Money, Money),
) -> Result<Entries, Problem> {
    let mut entries = Vec::new();
    let mut is_all = markets.len() <= MAX_MARKETS;
    for some in markets[..markets.len().min(MAX_MARKETS)].chunks(MARKETS_AT_ONCE) {
        if entries.len() > MAX_LISTINGS {
            break;
        }
        // One more than is looked at tells whether there are more.
        let most = MAX_LISTINGS + 1 - entries.len();
        let reads = some.iter().map(|market| entries_of(app, market, transaction, prices, most));
        entries.extend(futures::future::try_join_all(reads).await?.into_iter().flatten());
    }
    if entries.len() > MAX_LISTINGS {
        entries.truncate(MAX_LISTINGS);
        is_all = false;
    }
    entries.sort_by_cached_key(Position::of);
    Ok(Entries { entries, is_all })
}

/// The index entries of one market, the cheapest `most`.
async fn entries_of(
    app: &App,
    market: &Market,
    transaction: Transaction,
    (min, max): (Money, Money),
    most: usize,
) -> Result<Vec<ByMarket>, Problem> {
    let mut entries: Vec<ByMarket> = Vec::new();
    loop {
        let wanted = ENTRIES_AT_ONCE.min(most - entries.len());
        let after = entries.last().map(|last| (last.list_price, last.listing_id.clone()));
        // At most a thousand.
        let chunk = app.tables.by_market(market.clone(), transaction, min, max, after, wanted as u32).await?;
        let is_last = chunk.len() < wanted;
        entries.extend(chunk);
        if is_last || entries.len() >= most {
            return Ok(entries);
        }
    }
}

/// The rows of the listings that entries name, in their order.
pub async fn cells(app: &App, entries: &[ByMarket]) -> Result<Vec<(ByMarket, Cell)>, Problem> {
    let read = async |entry: ByMarket| {
        let started = Moment::now();
        let cell = app.tables.read(Row::Listing(entry.listing_id.clone())).await?;
        metrics::record_row_read("listings", started.elapsed());
        Ok::<_, Problem>(cell.map(|cell| (entry, cell)))
    };
    let reads = futures::stream::iter(entries.iter().cloned().map(read)).buffered(READS_AT_ONCE);
    reads.try_filter_map(async |row| Ok(row)).try_collect().await
}

/// The listings that are still as their entries say. Takes a millisecond for thirty: on a thread that may block.
pub fn listings(cells: Vec<(ByMarket, Cell)>) -> Result<Vec<PricedListing>, Problem> {
    let mut listings = Vec::with_capacity(cells.len());
    for (entry, cell) in cells {
        let fact: PricedListing = serde_json::from_str(&cell.json)
            .map_err(|error| Problem::internal(&format!("listing {}: {error}", entry.listing_id)))?;
        if agrees(&entry, &fact.listing) {
            listings.push(fact);
        }
    }
    Ok(listings)
}
