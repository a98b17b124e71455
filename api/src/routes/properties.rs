//! `GET /properties`: browses the homes on offer of a market, of a city, or of the cities that a session named.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use schemars::JsonSchema;
use schemas::cells::SessionCell;
use schemas::id::{Country, Market, SessionId, slug};
use schemas::preferences::{MAX_CITIES, Preferences};
use serde::Serialize;
use store::{ByMarket, Row};

use super::markets::markets_of;
use super::property::fact;
use super::recommendations::pending;
use crate::app::App;
use crate::caller::{Asker, of_session};
use crate::cursor;
use crate::filters::{FILTERS, Filters, SCOPE};
use crate::page::{Position, merge};
use crate::problem::{Kind, Problem};
use crate::property::Property;
use crate::query::Query;
use crate::tail::Verdict;

/// Page size unless told otherwise.
const DEFAULT_LIMIT: usize = 20;
/// Largest page: 100 listings of 2 to 20 kB.
const MAX_LIMIT: usize = 100;
/// Most index entries looked at for one page: a filter that nothing meets ends in a short page with a cursor, not in a
/// scan of the market.
const MAX_LOOKS: usize = 1_000;
/// Most listings read at a time for one request: enough to hide the way to the store, too few to crowd out others.
pub const READS_AT_ONCE: usize = 16;

/// One page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page {
    /// In order of price. May be fewer than asked for, even none, while there is a cursor.
    pub items: Vec<Property>,
    /// Gives the next page, with the same other parameters; absent on the last one.
    pub next_cursor: Option<String>,
}

/// Browses the homes on offer, the cheapest first.
///
/// Where to look is one of: `market`; `city` (a name or slug) with `country` and `state` as far as they are needed to
/// tell it from others; or `session=true` with a token, which takes the cities of the session and fills every filter that is not
/// given from its preferences. A filter that asks for an attribute drops the homes that do not state it.
#[utoipa::path(
    get, path = "/properties", tag = "properties", operation_id = "browse_properties",
    params(
        ("market" = Option<String>, Query, description = "`country/state/city`; several are separated by commas, at most 20.", example = "us/wa/seattle"),
        ("city" = Option<String>, Query, description = "Name or slug of a city."),
        ("state" = Option<String>, Query, description = "State or province of the city."),
        ("country" = Option<String>, Query, description = "Country of the city, ISO 3166-1 alpha-2."),
        ("session" = Option<bool>, Query, description = "`true`: the cities and filters of the token's session."),
        ("transaction" = Option<String>, Query, description = "`sale` (default) or `lease`."),
        ("min_price" = Option<f64>, Query, description = "Lowest price."),
        ("max_price" = Option<f64>, Query, description = "Highest price."),
        ("beds_min" = Option<u16>, Query, description = "At least so many bedrooms."),
        ("baths_min" = Option<f64>, Query, description = "At least so many bathrooms, in halves."),
        ("area_min" = Option<u32>, Query, description = "At least so many square feet of living area."),
        ("property_sub_type" = Option<String>, Query, description = "Any of these RESO words, separated by commas."),
        ("status" = Option<String>, Query, description = "Any of `Active` (default), `ComingSoon`, `ActiveUnderContract`."),
        ("amenities" = Option<String>, Query, description = "All of these, separated by commas."),
        ("commute_max" = Option<u16>, Query, description = "At most so many minutes to the city centre."),
        ("school_rating_min" = Option<f64>, Query, description = "At least this rating, 0 to 10."),
        ("sort" = Option<String>, Query, description = "`price`, the only order there is."),
        ("limit" = Option<u16>, Query, description = "Page size: 20, at most 100."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "One page.", body = ref("#/components/schemas/Page"),
         headers(("Link" = String, description = "The next page, `rel=\"next\"`."))),
        (status = 202, description = "The session's statement is not applied yet: ask again after `Retry-After`.",
         body = ref("#/components/schemas/Pending")),
        (status = 400, description = "An unknown or wrong parameter, or a cursor of another query."),
        (status = 404, description = "No such city, or no such session."),
    ),
    security((), ("session" = [])),
)]
pub async fn browse(State(app): State<Arc<App>>, Asker(caller): Asker, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::read(&uri)?;
    let (markets, filters) = match asked.scope {
        Scope::Markets(markets) => (markets, asked.filters),
        Scope::City { country, state, city } => (vec![city_of(&app, country, state, &city).await?], asked.filters),
        Scope::Session => {
            let session = of_session(caller)?.session;
            let Some(preferences) = preferences_of(&app, session).await? else {
                return Ok(pending(&app, session, None));
            };
            let filters = asked.filters.or_those_of(&preferences);
            (preferences.place.cities, filters)
        }
    };
    let query = filters.canonical(&markets);
    let after = match &asked.cursor {
        None => None,
        Some(text) => {
            Some(cursor::decode(&query, text).and_then(|p| Position::from_text(&p)).ok_or_else(wrong_cursor)?)
        }
    };
    let (items, next) = collect(&app, &markets, &filters, after, asked.limit).await?;
    let next_cursor = next.map(|position| cursor::encode(&query, &position.to_text()));
    let link = next_cursor.as_deref().and_then(|cursor| next_link(&uri, cursor).parse().ok());
    let headers = link.map(|link| (header::LINK, link)).into_iter().collect::<HeaderMap>();
    Ok((headers, Json(Page { items, next_cursor })).into_response())
}

/// Reads index entries from `after` on and the listings they name, until the page is full, the index ends, or enough
/// was looked at. The position is where to go on.
async fn collect(
    app: &App,
    markets: &[Market],
    filters: &Filters,
    mut after: Option<Position>,
    limit: usize,
) -> Result<(Vec<Property>, Option<Position>), Problem> {
    let (min, max) = filters.prices();
    // Markets are looked at together; most entries of one that is not filtered are shown.
    let chunk = (limit + 1).max(READS_AT_ONCE);
    let mut items = Vec::new();
    let mut looks = 0;
    loop {
        let behind = after.clone().map(|position| (position.list_price, position.listing_id));
        let mut reads = Vec::with_capacity(markets.len());
        for market in markets {
            let transaction = filters.transaction();
            reads.push(app.tables.by_market(market.clone(), transaction, min, max, behind.clone(), chunk as u32));
        }
        let chunks = futures::future::try_join_all(reads).await?;
        let (entries, is_last) = merge(chunks, chunk);
        let mut found = futures::stream::iter(entries.into_iter().map(|entry| admitted(app, filters, entry)))
            .buffered(READS_AT_ONCE);
        while let Some(outcome) = found.next().await {
            let (entry, property) = outcome?;
            // There is at least one more entry behind the page.
            if items.len() == limit || looks == MAX_LOOKS {
                return Ok((items, after));
            }
            looks += 1;
            after = Some(Position::of(&entry));
            items.extend(property);
        }
        if is_last {
            return Ok((items, None));
        }
    }
}

/// The listing that an index entry names, if it is as the entry says and the filters want it.
async fn admitted(app: &App, filters: &Filters, entry: ByMarket) -> Result<(ByMarket, Option<Property>), Problem> {
    let fact = fact(app, entry.listing_id.clone()).await?;
    let property = fact.filter(|fact| filters.admit(&entry, fact)).and_then(Property::of);
    Ok((entry, property))
}

/// What the query asks for.
#[derive(Debug)]
struct Asked {
    scope: Scope,
    filters: Filters,
    limit: usize,
    cursor: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Scope {
    Markets(Vec<Market>),
    City { country: Option<Country>, state: Option<String>, city: String },
    Session,
}

impl Asked {
    fn read(uri: &Uri) -> Result<Self, Problem> {
        let known: Vec<&str> = SCOPE.iter().chain(FILTERS).copied().collect();
        let mut query = Query::read(uri, &known);
        let markets: Vec<Market> =
            query.list("market", "country/state/city in lower-case slugs such as us/wa/seattle", |text| {
                text.parse().ok()
            });
        if markets.len() > MAX_CITIES {
            query.refuse("market", "too_large", &format!("a list of {}", markets.len()), "at most 20 markets");
        }
        let country = query.parsed("country", "an ISO 3166-1 alpha-2 code such as us", |text| text.parse().ok());
        let (state, city) = (query.text("state"), query.text("city"));
        let session = query.parsed("session", "true or false", |text| text.parse::<bool>().ok()).unwrap_or(false);
        let scopes = usize::from(!markets.is_empty()) + usize::from(city.is_some()) + usize::from(session);
        if scopes != 1 && query.is_fine() {
            query.require("market", "exactly one of market, city or session=true");
        }
        let filters = Filters::read(&mut query);
        query.parsed("sort", "price", |text| (text == "price").then_some(()));
        let limit =
            query.parsed("limit", "1 to 100", |text| text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)));
        let cursor = query.text("cursor");
        query.finish()?;
        let scope = match city {
            Some(city) => Scope::City { country, state, city },
            None if session => Scope::Session,
            None => Scope::Markets(markets),
        };
        Ok(Self { scope, filters, limit: limit.unwrap_or(DEFAULT_LIMIT), cursor })
    }
}

/// The one market of a city's name.
async fn city_of(app: &App, country: Option<Country>, state: Option<String>, city: &str) -> Result<Market, Problem> {
    if let (Some(country), Some(state)) = (country, &state) {
        return Ok(Market::of(country, Some(state), Some(city)));
    }
    let (state, city) = (state.as_deref().map(slug), slug(city));
    let same = |market: &Market| {
        let mut parts = market.as_str().split('/').skip(1);
        let (of_state, of_city) = (parts.next(), parts.next());
        of_city == Some(&city) && state.as_deref().is_none_or(|state| of_state == Some(state))
    };
    let mut found: Vec<Market> =
        markets_of(app, country).await?.into_iter().map(|(market, _)| market).filter(same).collect();
    match (found.pop(), found.as_slice()) {
        (Some(only), []) => Ok(only),
        (Some(one), others) => {
            let names: Vec<&str> = others.iter().chain([&one]).map(Market::as_str).collect();
            Err(Problem::new(
                Kind::InvalidParameter,
                format!(
                    "city: {city} is the name of several markets (expected one of market={})",
                    names.join(", market=")
                ),
            ))
        }
        (None, _) => {
            Err(Problem::new(Kind::MarketNotFound, format!("no listing was ever seen in a city named {city}")))
        }
    }
}

/// What a session wants; `None` while the tables do not have its statement yet.
async fn preferences_of(app: &App, session: SessionId) -> Result<Option<Preferences>, Problem> {
    let cell = app.tables.read(Row::Session(session)).await?;
    let cell = cell.map(|cell| serde_json::from_str::<SessionCell>(&cell.json)).transpose();
    let cell = cell.map_err(|error| Problem::internal(&format!("session {session}: {error}")))?;
    let verdict = app.verdict(session, cell.as_ref().map(|cell| cell.version))?;
    let cell = match (verdict, cell) {
        (Verdict::Serve, Some(cell)) => cell,
        (Verdict::Pending, _) => return Ok(None),
        (Verdict::Serve | Verdict::Erased | Verdict::Unknown, _) => {
            return Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning()));
        }
    };
    if cell.preferences.place.cities.is_empty() {
        let detail =
            "session=true: the session names no city (expected a city in its preferences, or market= in the query)";
        return Err(Problem::new(Kind::InvalidParameter, detail));
    }
    Ok(Some(cell.preferences))
}

fn wrong_cursor() -> Problem {
    Problem::new(
        Kind::InvalidParameter,
        "cursor is not one that this query gave (expected next_cursor of the page before)",
    )
}

/// The header `Link` of the next page: the same query with another cursor.
fn next_link(uri: &Uri, cursor: &str) -> String {
    let kept =
        uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let pairs: Vec<&str> = kept.collect();
    format!("</api/v1/properties?{}&cursor={cursor}>; rel=\"next\"", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Asked, Problem> {
        Asked::read(&format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn exactly_one_scope_is_needed() {
        assert_eq!(read("market=us/wa/seattle").unwrap().scope, Scope::Markets(vec!["us/wa/seattle".parse().unwrap()]));
        assert_eq!(read("session=true").unwrap().scope, Scope::Session);
        let city = Scope::City { country: None, state: Some("WA".to_owned()), city: "Seattle".to_owned() };
        assert_eq!(read("city=Seattle&state=WA").unwrap().scope, city);
        for query in ["", "country=us", "session=false", "market=us/wa/seattle&city=Seattle", "market="] {
            let problem = read(query).unwrap_err();
            assert_eq!((problem.kind, problem.errors.len()), (Kind::InvalidParameter, 1), "{query}");
        }
    }

    #[test]
    fn the_next_link_keeps_the_query_and_changes_the_cursor() {
        let uri = "/api/v1/properties?market=us/wa/seattle&cursor=old&limit=2".parse().unwrap();
        assert_eq!(
            next_link(&uri, "new"),
            "</api/v1/properties?market=us/wa/seattle&limit=2&cursor=new>; rel=\"next\""
        );
    }
}
