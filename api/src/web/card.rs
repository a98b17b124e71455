//! One of the three as its card shows it. Pure: the item, the listing's history and the time in; texts and places of drawings out.

use askama::Template;
use schemas::recommendation::RecommendedItem;
use schemas::units::Instant;

use super::chart::Chart;
use super::scale::Scale;
use super::words::{self, Change};
use crate::property::History;

/// A card.
#[derive(Clone, Debug, PartialEq, Template)]
#[template(path = "card.html")]
pub struct Card {
    /// Of the listing.
    pub id: String,
    /// 1, 2 or 3.
    pub rank: u8,
    /// Address, or what it is called without one.
    pub title: String,
    /// The listing's page here.
    pub path: String,
    /// The listing's page elsewhere.
    pub link: Option<String>,
    /// A picture of it.
    pub photo: Option<String>,
    /// What it costs.
    pub price: String,
    /// Whether that is a monthly rent.
    pub is_rent: bool,
    /// What it cost before.
    pub price_before: Option<String>,
    /// Bedrooms, bathrooms, size.
    pub facts: Vec<String>,
    /// Its market, and the page of that.
    pub place: String,
    /// The page of its market.
    pub place_path: String,
    /// A status that is not the usual one.
    pub status: Option<&'static str>,
    /// What changed last.
    pub change: Change,
    /// When, in words and as a machine reads it.
    pub changed_when: String,
    /// The same as a machine reads it.
    pub changed_at: String,
    /// 0..=1000.
    pub score: u16,
    /// Its valuation.
    pub scale: Option<Scale>,
    /// 0..=100.
    pub deal: Option<u8>,
    /// Where the score comes from.
    pub parts: Vec<Part>,
    /// Prices over time, as SVG.
    pub chart: Option<String>,
}

/// What one component gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Points that it gave.
    pub points: u16,
    /// Most that it could give.
    pub of: u16,
    /// Why, as a sentence.
    pub reason: String,
    /// Width of the bar's frame, in hundredths of the widest: what it could give.
    pub frame: u32,
    /// Width of the bar, the same way: what it gave.
    pub width: u32,
}

impl Card {
    /// Of an item, seen at `now`. `history`: where the listing's is known and may be shown. `is_rent`: the price is a monthly rent.
    pub fn of(item: &RecommendedItem, history: Option<&History>, is_rent: bool, now: Instant) -> Self {
        let most = item.components.iter().map(|part| u32::from(part.of)).max().unwrap_or(1).max(1);
        let parts = item.components.iter().map(|part| Part {
            name: words::spaced(&part.component),
            points: part.points,
            of: part.of,
            reason: part.reason.clone(),
            frame: u32::from(part.of) * 100 / most,
            width: u32::from(part.points) * 100 / most,
        });
        let is_price_change = item.previous_list_price.filter(|before| *before != item.list_price);
        Self {
            id: item.listing_id.to_string(),
            rank: item.rank,
            title: item.title.clone(),
            path: words::path_of(&item.listing_id),
            link: words::web_link(item.listing_url.as_deref()),
            photo: words::picture(item.photo_url.as_deref()),
            price: words::money(item.list_price, item.currency),
            is_rent,
            price_before: is_price_change.map(|before| words::money(before, item.currency)),
            facts: facts(item.bedrooms_total, item.bathrooms_total.map(|b| b.to_string()), item.living_area_sqft),
            place: words::place(&item.market),
            place_path: format!("/markets/{}", item.market),
            status: words::status(item.standard_status),
            change: words::change(item.last_change, Some(item.list_price), item.previous_list_price),
            changed_when: words::when(item.changed_at, now),
            changed_at: item.changed_at.to_string(),
            score: item.score,
            scale: item.valuation.as_ref().map(|v| Scale::of(v.prices(), Some(item.list_price), item.currency)),
            deal: item.deal.as_ref().map(|deal| deal.score),
            parts: parts.collect(),
            chart: history.and_then(|history| chart(item, history, now)),
        }
    }
}

/// Prices over time, up to now. The item may know a price that the row of the listing does not yet have.
fn chart(item: &RecommendedItem, history: &History, now: Instant) -> Option<String> {
    let mut points = prices(history);
    let units = item.list_price.cents() as f64 / 100.0;
    if points.last().is_some_and(|(at, price)| *at < item.changed_at && (price - units).abs() > 0.001) {
        points.push((item.changed_at, units));
    }
    // A price that never changed is no line worth its room.
    if points.windows(2).all(|pair| (pair[0].1 - pair[1].1).abs() < 0.001) {
        return None;
    }
    price_chart(&format!("price-{}", item.rank), &item.title, points, now, item.currency)
}

/// When the price became what.
pub fn prices(history: &History) -> Vec<(Instant, f64)> {
    let points = history.items.iter().filter_map(|point| Some((point.at, point.list_price?.cents() as f64 / 100.0)));
    let mut points: Vec<(Instant, f64)> = points.collect();
    points.sort_by_key(|(at, _)| at.ms());
    points
}

/// The drawing of prices that hold until they change, up to now.
pub fn price_chart(
    id: &str,
    name: &str,
    mut points: Vec<(Instant, f64)>,
    now: Instant,
    currency: schemas::money::Currency,
) -> Option<String> {
    let (first, last) = (*points.first()?, *points.last()?);
    if now.ms() > last.0.ms() {
        points.push((now, last.1));
    }
    let short = |units: f64| words::short_money(units, currency);
    let changes = points.windows(2).filter(|pair| (pair[0].1 - pair[1].1).abs() > 0.001).count() as u64;
    let description = format!(
        "From {} on {} to {} now, in {}.",
        short(first.1),
        first.0.day(),
        short(last.1),
        words::count(changes, "change", "changes")
    );
    let title = format!("Asking price of {name} over time");
    Chart { id, title: &title, description: &description, points: &points, is_stepped: true, label: &short }.svg()
}

/// Bedrooms, bathrooms and size, as far as they are known.
pub fn facts(bedrooms: Option<u16>, bathrooms: Option<String>, living_area_sqft: Option<u32>) -> Vec<String> {
    let beds = bedrooms.map(|n| words::count(n.into(), "bed", "beds"));
    let baths = bathrooms.map(|n| if n == "1" { "1 bath".to_owned() } else { format!("{n} baths") });
    let size = living_area_sqft.map(|sqft| format!("{} sq ft", words::grouped(sqft.into())));
    [beds, baths, size].into_iter().flatten().collect()
}
