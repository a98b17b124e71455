//! What clients of the counter ask, as bytes made before the clock starts: the same six things of roost and of the classic build.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use schemas::id::Market;
use schemas::vocabulary::Transaction;
use serde_json::Value;
use synthetic::{PLACES, Session};

use super::house::Roost;
use super::load::Requests;
use super::town::Town;
use crate::http::{bearer, request, with_body};
use crate::poll::polls;

/// Sessions that are asked for, in turn.
pub const ASKED: usize = 1_000;
/// Homes that are valued, in turn.
const VALUED: usize = 200;

/// One thing that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The three best, by who has them already.
    NotModified,
    /// The three best.
    Recommendations,
    /// A statement; by sessions that nobody asks for.
    State,
    /// A page of 20 homes of a market below a price, with so many bedrooms.
    Browse,
    /// One home.
    Property,
    /// A home valued.
    Predict,
}

impl Point {
    /// All, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::NotModified, Self::Recommendations, Self::State, Self::Browse, Self::Property, Self::Predict];

    /// As the table names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotModified => "`GET /recommendations`, 304",
            Self::Recommendations => "`GET /recommendations`, 200",
            Self::State => "`POST /preferences`",
            Self::Browse => "`GET /properties?market=…&max_price=…&beds_min=2&limit=20`",
            Self::Property => "`GET /properties/{id}`",
            Self::Predict => "`POST /ml/predict-price`",
        }
    }
}

/// What is asked of roost.
pub fn of_roost(roost: &Roost, town: &Town, point: Point) -> Result<Requests> {
    let api = &roost.api;
    let path = "/api/v1/recommendations";
    let asked = town.sessions.iter().take(ASKED);
    let (each, status) = match point {
        Point::NotModified => {
            let each = polls(api, asked.map(|session| session.token))?;
            return Ok(Requests { address: api.clone(), each, status: 304 });
        }
        Point::Recommendations => (asked.map(|session| request(api, path, &bearer(session.token))).collect(), 200),
        Point::State => (town.sessions.iter().skip(ASKED).map(|session| roost.statement(session)).collect(), 202),
        Point::Browse => {
            let pages = pages(town).map(|Page { market, transaction, max_price }| {
                let query =
                    format!("market={market}&transaction={transaction}&max_price={max_price}&beds_min=2&limit=20");
                request(api, &format!("/api/v1/properties?{query}"), "")
            });
            (pages.collect(), 200)
        }
        Point::Property => (ids(town).map(|id| request(api, &format!("/api/v1/properties/{id}"), "")).collect(), 200),
        Point::Predict => {
            let homes =
                homes(town).map(|home| with_body("POST", api, "/api/v1/ml/predict-price", "", home.reso.as_bytes()));
            (homes.collect(), 200)
        }
    };
    Ok(Requests { address: api.clone(), each: Arc::new(each), status })
}

/// The same of the classic build; it knows no entity tags.
pub fn of_classic(address: &str, town: &Town, point: Point) -> Option<Requests> {
    let (each, status) = match point {
        Point::NotModified => return None,
        Point::Recommendations => {
            let of_session = |session: &Session| {
                request(address, &format!("/api/recommendations?session_id={}", session.token.reveal()), "")
            };
            (town.sessions.iter().take(ASKED).map(of_session).collect(), 200)
        }
        Point::State => {
            let statement = |Session { token, preferences }: &Session| {
                let path = format!("/api/preferences?session_id={}", token.reveal());
                with_body("POST", address, &path, "", &preferences.to_json())
            };
            (town.sessions.iter().skip(ASKED).map(statement).collect(), 201)
        }
        Point::Browse => {
            let pages = pages(town).map(|Page { market, transaction, max_price }| {
                let query =
                    format!("market={market}&transaction={transaction}&max_price={max_price}&beds_min=2&limit=20");
                request(address, &format!("/api/properties?{query}"), "")
            });
            (pages.collect(), 200)
        }
        Point::Property => (ids(town).map(|id| request(address, &format!("/api/properties/{id}"), "")).collect(), 200),
        Point::Predict => {
            let homes =
                homes(town).map(|home| with_body("POST", address, "/api/ml/predict-price", "", home.plain.as_bytes()));
            (homes.collect(), 200)
        }
    };
    Some(Requests { address: address.to_owned(), each: Arc::new(each), status })
}

struct Page {
    market: Market,
    transaction: &'static str,
    max_price: i64,
}

/// What sessions that name a city would browse there.
fn pages(town: &Town) -> impl Iterator<Item = Page> {
    town.sessions.iter().take(ASKED).filter_map(|Session { preferences, .. }| {
        let market = preferences.place.cities.first()?.clone();
        let transaction = if preferences.transaction == Transaction::Lease { "lease" } else { "sale" };
        Some(Page { market, transaction, max_price: preferences.budget.units() })
    })
}

fn ids(town: &Town) -> impl Iterator<Item = String> {
    let step = (town.events.len() / ASKED).max(1);
    // Of homes whose sellers do not want them shown nothing is told.
    let shown = town.events.iter().filter(|event| !event.home.gaps.display_forbidden);
    shown.step_by(step).map(|event| event.listing_id().as_str().to_owned())
}

struct Home {
    reso: String,
    plain: String,
}

/// Homes for sale, as a feed and as a form describes them.
fn homes(town: &Town) -> impl Iterator<Item = Home> {
    // The shipped model knows the prices of one country.
    let is_valued =
        |home: &synthetic::Home| !home.lease && !home.gaps.no_living_area && PLACES[home.place].country == "US";
    town.events.iter().map(|event| event.home).filter(is_valued).take(VALUED).map(|home| {
        let place = &PLACES[home.place];
        let (area, beds, baths) = (home.living_area_sqft, home.bedrooms, home.bathroom_halves / 2);
        let (latitude, longitude) = (f64::from(home.latitude_e5) / 1e5, f64::from(home.longitude_e5) / 1e5);
        let rating = f64::from(home.school_tenths) / 10.0;
        let reso = serde_json::json!({
            "City": place.city, "StateOrProvince": place.state_or_province, "Country": place.country,
            "PropertyType": "Residential", "PropertySubType": home.kind, "LivingArea": area,
            "LivingAreaUnits": "Square Feet", "BedroomsTotal": beds, "BathroomsTotalInteger": baths.max(1),
            "YearBuilt": home.year_built, "Latitude": latitude, "Longitude": longitude, "SchoolRating": rating,
            "CommuteMinutes": home.commute_minutes,
        });
        let plain = serde_json::json!({
            "market": synthetic::market_of(place).as_str(), "bedrooms": beds, "bathrooms": baths.max(1),
            "living_area_sqft": area.max(1), "year_built": home.year_built, "school_rating": rating,
            "commute_minutes": home.commute_minutes,
        });
        Home { reso: reso.to_string(), plain: plain.to_string() }
    })
}

/// What one answer with the three best says: how many homes suit, if that is told, and the best one's id and price.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Homes that pass the filters.
    pub candidates: Option<u64>,
    /// Ids and prices, the best first.
    pub items: Vec<(String, f64)>,
}

/// Reads it, of roost or of the classic build.
pub fn seen(body: &[u8]) -> Result<Seen> {
    let body: Value = serde_json::from_slice(body).context("an answer is no JSON")?;
    let items = body["items"].as_array().context("an answer has no items")?;
    let item = |item: &Value| {
        let listing = item.get("listing").unwrap_or(item);
        Some((listing["listing_id"].as_str()?.to_owned(), listing["list_price"].as_f64()?))
    };
    let read: Vec<_> = items.iter().filter_map(item).collect();
    ensure!(read.len() == items.len(), "an item without id or price: {body}");
    let candidates = body["candidates"].as_u64().or_else(|| body["counts"]["matched_total"].as_u64());
    Ok(Seen { candidates, items: read })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_are_read_alike() {
        let ours = br#"{"counts":{"matched_total":7},"items":[{"rank":1,"listing_id":"a:1","list_price":5.5}]}"#;
        let theirs = br#"{"candidates":7,"items":[{"listing":{"listing_id":"a:1","list_price":5.5}}]}"#;
        let expected = Seen { candidates: Some(7), items: vec![("a:1".to_owned(), 5.5)] };
        assert_eq!((seen(ours).unwrap(), seen(theirs).unwrap()), (expected.clone(), expected));
        assert!(seen(b"{}").is_err());
        assert!(seen(br#"{"items":[{"rank":1}]}"#).is_err());
    }

    #[test]
    fn the_classic_build_is_asked_what_roost_is_asked() {
        let town = Town::build(2_000, 1_200).unwrap();
        for point in Point::ALL {
            let asked = of_classic("h:1", &town, point);
            assert_eq!(asked.is_none(), point == Point::NotModified, "{point:?}");
            assert!(asked.is_none_or(|asked| asked.each.len() > 100), "{point:?}");
        }
    }
}
