//! `GET /properties/{id}/similar`: homes on offer that are like one. Reads the market's index around its price, as browsing
//! does; how alike two homes are is in `alike.rs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures::{StreamExt as _, TryStreamExt as _};
use schemars::JsonSchema;
use schemas::id::ListingId;
use schemas::listing::Listing;
use schemas::money::{MAX_CENTS, Money};
use schemas::priced::PricedListing;
use serde::Serialize;
use store::ByMarket;

use super::properties::READS_AT_ONCE;
use super::property::{fact, fact_of, not_found};
use crate::alike::{Distance, nearest};
use crate::app::App;
use crate::filters::Filters;
use crate::problem::Problem;
use crate::property::{Property, may_be_shown};
use crate::query::NoQuery;
use crate::segment::Segments;

/// Most index entries, and so listings, that are looked at on either side of the price: 200 reads for one request.
const LOOKS_ON_A_SIDE: u32 = 100;
/// How far from the price is looked, in percent of it: the widest of these in which there are not too many homes.
const WIDTHS: [i64; 4] = [30, 10, 3, 1];

/// A home like another.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SimilarProperty {
    /// How far apart, in thousandths: by how much the price differs of the home's own, plus the same of the living area, plus 100 for
    /// each bedroom more or less; 500 for what either does not state. Of another sub-type: behind all of the same.
    pub distance: u64,
    /// The home.
    pub property: Property,
}

/// Homes like one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Similar {
    /// Which.
    pub listing_id: ListingId,
    /// The most alike first; at most 10.
    pub items: Vec<SimilarProperty>,
}

/// Finds homes on offer that are like one: of the same market, transaction and currency, for up to 30 % less or more.
///
/// Those of the same sub-type come first, then those nearest in price, living area and bedrooms: a plain distance, the same for everybody.
/// Where very many homes have nearly the same price, the hundred nearest ones on either side are looked at, or so.
#[utoipa::path(
    get, path = "/properties/{id}/similar", tag = "properties", operation_id = "find_similar_properties",
    params(("id" = String, Path, description = "`<feed>:<ListingKey>`.", example = "seattle:171727")),
    responses(
        (status = 200, description = "Homes like it.", body = ref("#/components/schemas/Similar")),
        (status = 404, description = "No such property."),
    ),
)]
pub async fn similar(
    State(app): State<Arc<App>>,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<Similar>, Problem> {
    let home = fact_of(&app, &id).await?.filter(may_be_shown).ok_or_else(not_found)?.listing;
    find(&app, home).await.map(Json)
}

/// Homes like one that may be shown.
pub async fn find(app: &App, home: Listing) -> Result<Similar, Problem> {
    let Some(price) = home.list_price else {
        return Ok(Similar { listing_id: home.listing_id, items: Vec::new() });
    };
    let mut entries = below(app, &home, price).await?;
    entries.extend(above(app, &home, price).await?);
    entries.retain(|entry| entry.listing_id != home.listing_id);
    let filters = Filters::default();
    let found: Vec<Option<(Distance, PricedListing)>> =
        futures::stream::iter(entries.into_iter().map(|entry| alike(app, &home, &filters, entry)))
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
    let found = nearest(found.into_iter().flatten().collect(), |a, b| a.listing.listing_id.cmp(&b.listing.listing_id));
    let items = found.into_iter().filter_map(|(distance, fact)| {
        Some(SimilarProperty { distance: distance.thousandths, property: Property::of(fact)? })
    });
    Ok(Similar { items: items.collect(), listing_id: home.listing_id })
}

/// The home that an index entry names, if it is as the entry says, on offer, and comparable.
async fn alike(
    app: &App,
    home: &Listing,
    filters: &Filters,
    entry: ByMarket,
) -> Result<Option<(Distance, PricedListing)>, Problem> {
    let fact = fact(app, entry.listing_id.clone()).await?;
    let fact = fact.filter(|fact| filters.admit(&entry, fact) && fact.listing.currency == home.currency);
    Ok(fact.map(|fact| (Distance::between(home, &fact.listing), fact)))
}

/// Homes for the same price or more: the nearest ones, since the index ascends.
async fn above(app: &App, home: &Listing, price: Money) -> Result<Vec<ByMarket>, Problem> {
    between(app, home, price, part_of(price, 100 + WIDTHS[0])).await
}

/// Homes for less: the index ascends, so the window is narrowed until all that is in it was read.
async fn below(app: &App, home: &Listing, price: Money) -> Result<Vec<ByMarket>, Problem> {
    let Some(highest) = Money::from_cents(price.cents() - 1) else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    for width in WIDTHS {
        entries = between(app, home, part_of(price, 100 - width), highest).await?;
        if entries.len() < LOOKS_ON_A_SIDE as usize {
            break;
        }
    }
    Ok(entries)
}

async fn between(app: &App, home: &Listing, min: Money, max: Money) -> Result<Vec<ByMarket>, Problem> {
    let (market, transaction) = (home.market.clone(), home.transaction);
    Ok(app.tables.by_market(market, transaction, min, max, None, LOOKS_ON_A_SIDE).await?)
}

fn part_of(price: Money, percent: i64) -> Money {
    // At most 130 % of the highest price: far below the bound of the integer.
    Money::from_cents((price.cents() * percent / 100).min(MAX_CENTS)).unwrap_or(price)
}
