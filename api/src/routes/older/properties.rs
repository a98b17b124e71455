//! `GET /api/properties` and `GET /api/properties/{id}`: homes in numbered pages, in the older shape.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use schemars::JsonSchema;
use schemas::id::Market;
use schemas::money::{MAX_CENTS, Money};
use schemas::priced::PricedListing;
use schemas::units::SchoolRating;
use schemas::vocabulary::{StandardStatus, Transaction};
use serde::Serialize;

use crate::app::App;
use crate::filters::transaction;
use crate::older::shape::{OlderProperty, OlderPropertyDetail};
use crate::places::markets_named;
use crate::problem::{Kind, Problem};
use crate::property::{Property, may_be_shown};
use crate::query::{NoQuery, Query};
use crate::routes::property::{fact_of, not_found};
use crate::scan::{self, Entries, MAX_LISTINGS, TOGETHER};
use crate::segment::Segments;

/// Page size unless told otherwise.
const DEFAULT_PER_PAGE: usize = 20;
/// Largest page.
const MAX_PER_PAGE: usize = 100;
/// How long a request waits until others that count have ended.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the route knows.
const KNOWN: [&str; 11] = [
    "city",
    "location",
    "min_price",
    "max_price",
    "bedrooms",
    "min_bedrooms",
    "max_commute_time",
    "min_school_rating",
    "transaction",
    "page",
    "per_page",
];

/// A numbered page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OlderPage {
    /// In order of price.
    pub data: Vec<OlderProperty>,
    /// Its number, from 1.
    pub page: usize,
    /// Homes of a full page.
    pub per_page: usize,
    /// Homes that are asked for.
    pub total: usize,
    /// Whether there may be more than `total`: 20,000 homes were looked at, and not all.
    pub total_is_at_least: bool,
}

/// Lists the homes on offer, the cheapest first, in numbered pages.
///
/// `city` is a name, with its state behind a comma where it needs one (`Portland, OR`); without it all cities are listed. A city that nobody has
/// heard of has no homes. Pages reach to 20,000 homes; beyond, narrow the question, or follow the cursors of `GET /api/v1/properties`.
#[utoipa::path(
    get, path = "/properties", tag = "older names", operation_id = "older_browse_properties",
    params(
        ("city" = Option<String>, Query, description = "`Seattle`, or `Seattle, WA`.", example = "Seattle"),
        ("location" = Option<String>, Query, description = "The same."),
        ("min_price" = Option<f64>, Query, description = "Lowest price."),
        ("max_price" = Option<f64>, Query, description = "Highest price."),
        ("bedrooms" = Option<u16>, Query, description = "So many bedrooms."),
        ("min_bedrooms" = Option<u16>, Query, description = "At least so many bedrooms."),
        ("max_commute_time" = Option<u16>, Query, description = "At most so many minutes to the city centre."),
        ("min_school_rating" = Option<f64>, Query, description = "At least this rating, 0 to 10."),
        ("transaction" = Option<String>, Query, description = "`sale` (default) or `lease`."),
        ("page" = Option<usize>, Query, description = "From 1."),
        ("per_page" = Option<usize>, Query, description = "20, at most 100."),
    ),
    responses(
        (status = 200, description = "One page.", body = ref("#/components/schemas/OlderPage")),
        (status = 400, description = "An unknown or wrong parameter, or a page beyond 20,000 homes."),
        (status = 503, description = "Too many are counting: try again after `Retry-After`."),
    ),
)]
pub async fn browse(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<OlderPage>, Problem> {
    let asked = Asked::read(&uri)?;
    let until = Moment::now() + app.config.request_timeout.mul_f32(0.75);
    let Ok(Ok(_permit)) = tokio::time::timeout(PATIENCE, app.scans.acquire()).await else {
        return Err(Problem::new(Kind::Overloaded, "too many requests are counting homes"));
    };
    let known = app.names.known(&app).await?;
    let markets: Vec<Market> = match &asked.city {
        Some(city) => markets_named(city, &known),
        None => known.to_vec(),
    };
    let Entries { entries, is_all } = scan::entries(&app, &markets, asked.transaction, asked.prices).await?;
    let wanted = (asked.page - 1) * asked.per_page..asked.page * asked.per_page;
    let (mut data, mut total, mut is_all) = (Vec::new(), 0, is_all);
    for some in entries.chunks(TOGETHER) {
        if Moment::now() > until {
            if total < wanted.end {
                return Err(Problem::new(Kind::Overloaded, "the homes could not be counted in time"));
            }
            is_all = false;
            break;
        }
        let cells = scan::cells(&app, some).await?;
        let (filters, from, page) = (asked.filters, total, wanted.clone());
        let counted = tokio::task::spawn_blocking(move || {
            let mut listings = scan::listings(cells)?;
            listings.retain(|fact| filters.admit(fact));
            let count = listings.len();
            let numbered = (from..).zip(listings).filter(|(number, _)| page.contains(number));
            let shown: Vec<_> = numbered
                .filter_map(|(_, fact)| Property::of(fact))
                .map(|shown| OlderPropertyDetail::of(shown).property)
                .collect();
            Ok::<_, Problem>((count, shown))
        });
        let (count, shown) =
            counted.await.map_err(|error| Problem::internal(&format!("counting homes: {error}")))??;
        total += count;
        data.extend(shown);
    }
    Ok(Json(OlderPage { data, page: asked.page, per_page: asked.per_page, total, total_is_at_least: !is_all }))
}

/// Reads one home.
///
/// Whatever its status; what its seller hides stays hidden, and what nobody knows is `null`.
#[utoipa::path(
    get, path = "/properties/{id}", tag = "older names", operation_id = "older_read_property",
    params(("id" = String, Path, description = "`<feed>:<ListingKey>`.", example = "seattle:171727")),
    responses(
        (status = 200, description = "The home.", body = ref("#/components/schemas/OlderPropertyDetail")),
        (status = 404, description = "No such home."),
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<OlderPropertyDetail>, Problem> {
    let fact = fact_of(&app, &id).await?;
    fact.and_then(Property::of).map(OlderPropertyDetail::of).map(Json).ok_or_else(not_found)
}

/// What is asked of a home beyond its place and price. What it does not state fails what asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Filters {
    bedrooms: Option<u16>,
    min_bedrooms: Option<u16>,
    max_commute_time: Option<u16>,
    min_school_rating: Option<SchoolRating>,
}

impl Filters {
    fn admit(&self, fact: &PricedListing) -> bool {
        let listing = &fact.listing;
        let rating = fact.school_rating.or(listing.school_rating);
        may_be_shown(fact)
            && listing.standard_status == StandardStatus::Active
            && self.bedrooms.is_none_or(|asked| listing.bedrooms_total == Some(asked))
            && self.min_bedrooms.is_none_or(|min| listing.bedrooms_total.is_some_and(|has| has >= min))
            && self.max_commute_time.is_none_or(|max| fact.commute.is_some_and(|commute| commute.minutes <= max))
            && self.min_school_rating.is_none_or(|min| rating.is_some_and(|has| has >= min))
    }
}

/// What the query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    city: Option<String>,
    transaction: Transaction,
    prices: (Money, Money),
    filters: Filters,
    page: usize,
    per_page: usize,
}

impl Asked {
    fn read(uri: &Uri) -> Result<Self, Problem> {
        let mut query = Query::read(uri, &KNOWN);
        let price = "an amount from 0 to 999999999999.99";
        let min = query.parsed("min_price", price, Money::parse_decimal).unwrap_or_default();
        let highest = Money::from_cents(MAX_CENTS).unwrap_or_default();
        let max = query.parsed("max_price", price, Money::parse_decimal).unwrap_or(highest);
        if min > max {
            query.refuse("min_price", "out_of_range", &min.to_string(), &format!("at most max_price, {max}"));
        }
        let filters = Filters {
            bedrooms: query.parsed("bedrooms", "a count of bedrooms", |text| text.parse().ok()),
            min_bedrooms: query.parsed("min_bedrooms", "a count of bedrooms", |text| text.parse().ok()),
            max_commute_time: query.parsed("max_commute_time", "a count of minutes", |text| text.parse().ok()),
            min_school_rating: query.parsed(
                "min_school_rating",
                "a rating from 0 to 10 in tenths",
                SchoolRating::parse_decimal,
            ),
        };
        let transaction = query.parsed("transaction", "sale or lease", transaction).unwrap_or_default();
        let page = query.parsed("page", "a page's number, from 1", |text| text.parse().ok().filter(|page| *page >= 1));
        let sizes = 1..=MAX_PER_PAGE;
        let per_page =
            query.parsed("per_page", "1 to 100", |text| text.parse().ok().filter(|size| sizes.contains(size)));
        let (page, per_page) = (page.unwrap_or(1_usize), per_page.unwrap_or(DEFAULT_PER_PAGE));
        if (page - 1).saturating_mul(per_page) >= MAX_LISTINGS {
            let last = MAX_LISTINGS.div_ceil(per_page);
            let expected = format!(
                "at most {last}, {MAX_LISTINGS} homes: narrow the question by city or price, or follow the cursors of /api/v1/properties"
            );
            query.refuse("page", "out_of_range", &page.to_string(), &expected);
        }
        let (city, location) = (query.text("city"), query.text("location"));
        if let (Some(_), Some(location)) = (&city, &location) {
            query.refuse("location", "duplicate", location, "either city or location");
        }
        query.finish()?;
        Ok(Self { city: city.or(location), transaction, prices: (min, max), filters, page, per_page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Asked, Problem> {
        Asked::read(&format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let asked = read("").unwrap();
        assert_eq!((asked.page, asked.per_page, asked.filters, asked.city), (1, 20, Filters::default(), None));
        assert_eq!(read("location=Seattle,%20WA").unwrap().city.as_deref(), Some("Seattle, WA"));
    }

    #[test]
    fn wrong_questions_are_told_what_is_right() {
        for query in [
            "page=0",
            "page=-1",
            "page=x",
            "per_page=0",
            "per_page=101",
            "page=1001",
            "page=201&per_page=100",
            "page=18446744073709551615&per_page=100",
            "min_price=2&max_price=1",
            "bedrooms=-1",
            "city=a&location=b",
            "max_price=1e99",
        ] {
            assert_eq!(read(query).unwrap_err().kind, Kind::InvalidParameter, "{query}");
        }
        assert_eq!(read("town=Seattle").unwrap_err().kind, Kind::UnknownParameter);
        assert!(read("page=200&per_page=100").is_ok() && read("page=1000").is_ok());
    }
}
