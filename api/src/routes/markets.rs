//! `GET /markets` and one market with its days.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use schemars::JsonSchema;
use schemas::cells::MarketCell;
use schemas::id::{Country, Market};
use schemas::market_day::{MarketDay, MarketNumbers};
use schemas::units::Instant;
use schemas::vocabulary::Transaction;
use serde::Serialize;
use store::{Cell, Row};

use crate::app::App;
use crate::cursor;
use crate::filters::transaction;
use crate::problem::{Kind, Problem};
use crate::query::Query;
use crate::segment::Segments;

/// Page size unless told otherwise, and the largest: a market is about 400 bytes.
const MAX_LIMIT: usize = 1_000;
/// Days of a market unless told otherwise.
const DEFAULT_DAYS: u32 = 30;
/// Most days of a market at once.
const MAX_DAYS: u32 = 366;

/// A market with its current numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MarketSummary {
    /// `country/state/city`.
    pub market: Market,
    /// What is to buy; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale: Option<MarketNumbers>,
    /// What is to rent; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<MarketNumbers>,
}

/// Markets, in order of their names.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Markets {
    /// At most 1,000.
    pub items: Vec<MarketSummary>,
    /// Gives the next page, with the same other parameters; absent on the last one.
    pub next_cursor: Option<String>,
}

/// Lists the markets in which listings were seen, with their current numbers.
///
/// In order of their names, a page at a time. A market of which nothing is on offer any more stays in the list for three days.
#[utoipa::path(
    get, path = "/markets", tag = "markets", operation_id = "list_markets",
    params(
        ("country" = Option<String>, Query, description = "Only this country, ISO 3166-1 alpha-2.", example = "us"),
        ("limit" = Option<u16>, Query, description = "Page size: 1,000, at most that."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses((status = 200, description = "One page.", body = ref("#/components/schemas/Markets"))),
)]
pub async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<Markets>, Problem> {
    let mut query = Query::read(&uri, &["country", "limit", "cursor"]);
    let country = query.parsed("country", "an ISO 3166-1 alpha-2 code such as us", |text| text.parse().ok());
    let limit = query
        .parsed("limit", "1 to 1000", |text| text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)))
        .unwrap_or(MAX_LIMIT);
    let question = format!("markets {country:?}");
    let after = query.parsed("cursor", "next_cursor of the page before", |text| {
        cursor::decode(&question, text)?.parse::<Market>().ok()
    });
    query.finish()?;
    let mut markets = markets_of(&app, country).await?;
    markets.retain(|(market, _)| after.as_ref().is_none_or(|after| market > after));
    let more = markets.len() > limit;
    markets.truncate(limit);
    let next_cursor = markets.last().filter(|_| more).map(|(market, _)| cursor::encode(&question, market.as_str()));
    Ok(Json(Markets { items: summaries(markets)?, next_cursor }))
}

/// The markets of one country or of all with their numbers, in order of their names.
pub async fn all(app: &App, country: Option<Country>) -> Result<Vec<MarketSummary>, Problem> {
    summaries(markets_of(app, country).await?)
}

fn summaries(markets: Vec<(Market, Cell)>) -> Result<Vec<MarketSummary>, Problem> {
    let summary = |(market, cell): (Market, Cell)| {
        let numbers = read_cell(&market, &cell)?;
        Ok(MarketSummary { market, sale: numbers.sale, lease: numbers.lease })
    };
    markets.into_iter().map(summary).collect()
}

/// One market's days.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MarketDetail {
    /// `country/state/city`.
    pub market: Market,
    /// Of which the numbers are.
    pub transaction: Transaction,
    /// As they are now; absent when nothing is on offer.
    pub numbers: Option<MarketNumbers>,
    /// One observation per UTC day, the newest first.
    pub days: Vec<Day>,
}

/// A market on one UTC day.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Day {
    /// The day.
    #[schemars(with = "String")]
    pub day: jiff::civil::Date,
    /// When on that day.
    pub observed_at: Instant,
    /// What was seen; absent when nothing was on offer.
    pub numbers: Option<MarketNumbers>,
}

/// Reads one market: its current numbers and its days.
///
/// One observation per UTC day, the newest first; today's is refreshed. Numbers of different currencies are never mixed.
#[utoipa::path(
    get, path = "/markets/{country}/{state}/{city}", tag = "markets", operation_id = "read_market",
    params(
        ("country" = String, Path, description = "ISO 3166-1 alpha-2.", example = "us"),
        ("state" = String, Path, description = "Name or slug.", example = "wa"),
        ("city" = String, Path, description = "Name or slug.", example = "seattle"),
        ("transaction" = Option<String>, Query, description = "`sale` (default) or `lease`."),
        ("days" = Option<u16>, Query, description = "How many days: 30, at most 366."),
    ),
    responses(
        (status = 200, description = "The market.", body = ref("#/components/schemas/MarketDetail")),
        (status = 404, description = "No such market."),
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Segments((country, state, city)): Segments<(String, String, String)>,
    uri: Uri,
) -> Result<Json<MarketDetail>, Problem> {
    let mut query = Query::read(&uri, &["transaction", "days"]);
    let transaction = query.parsed("transaction", "sale or lease", transaction).unwrap_or_default();
    let days = query
        .parsed("days", "1 to 366", |text| text.parse().ok().filter(|days| (1..=MAX_DAYS).contains(days)))
        .unwrap_or(DEFAULT_DAYS);
    query.finish()?;
    detail(&app, (&country, &state, &city), transaction, days).await.map(Json)
}

/// One market: its current numbers and its newest days.
pub async fn detail(
    app: &App,
    (country, state, city): (&str, &str, &str),
    transaction: Transaction,
    days: u32,
) -> Result<MarketDetail, Problem> {
    let not_found = || Problem::new(Kind::MarketNotFound, Kind::MarketNotFound.meaning());
    let country: Country = country.parse().map_err(|_| not_found())?;
    let market = Market::of(country, Some(state), Some(city));
    let (cell, days) = futures::future::try_join(
        app.tables.read(Row::Market(market.clone())),
        app.tables.market_days(market.clone(), transaction, days),
    )
    .await?;
    if cell.is_none() && days.is_empty() {
        return Err(not_found());
    }
    let numbers = match cell {
        Some(cell) => read_cell(&market, &cell)?.numbers(transaction).cloned(),
        None => None,
    };
    let days = days.into_iter().map(|(_, cell)| read_day(&market, &cell)).collect::<Result<_, _>>()?;
    Ok(MarketDetail { market, transaction, numbers, days })
}

/// The markets of one country or of all, in order of their names.
pub async fn markets_of(app: &App, country: Option<Country>) -> Result<Vec<(Market, Cell)>, Problem> {
    let countries = match country {
        Some(country) => vec![country],
        None => app.tables.countries().await?,
    };
    let reads = countries.into_iter().map(|country| app.tables.markets(country));
    let mut markets = futures::future::try_join_all(reads).await?.concat();
    markets.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(markets)
}

fn read_cell(market: &Market, cell: &Cell) -> Result<MarketCell, Problem> {
    serde_json::from_str(&cell.json).map_err(|error| Problem::internal(&format!("market {market}: {error}")))
}

fn read_day(market: &Market, cell: &Cell) -> Result<Day, Problem> {
    let day: MarketDay = serde_json::from_str(&cell.json)
        .map_err(|error| Problem::internal(&format!("day of market {market}: {error}")))?;
    Ok(Day { day: day.day, observed_at: day.observed_at, numbers: day.numbers })
}
