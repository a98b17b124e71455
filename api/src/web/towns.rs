//! `/markets` and one market: what homes cost there, how many there are and how long they stay, day by day.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use schemas::market_day::MarketNumbers;
use schemas::money::Currency;
use schemas::units::Instant;
use schemas::vocabulary::Transaction;

use super::chart::Chart;
use super::form::Form;
use super::frame::{Frame, answer};
use super::{Page, words};
use crate::problem::Problem;
use crate::routes::markets::{Day, MarketDetail, detail};
use crate::segment::Segments;

/// Most markets on one page: the largest ones, some 300 bytes each.
const MOST: usize = 1_000;
/// Days that are drawn: a quarter of a year.
const DAYS: u32 = 92;

/// All markets.
#[derive(Template)]
#[template(path = "markets.html")]
struct MarketsPage {
    frame: Frame,
    rows: Vec<Row>,
    /// How many more there are.
    more: usize,
}

/// One market in the list.
struct Row {
    name: String,
    path: String,
    sale: Option<Numbers>,
    lease: Option<Numbers>,
}

/// The numbers of a market, in words.
struct Numbers {
    median: String,
    mean: String,
    count: String,
    per_sqft: String,
    days: String,
}

impl Numbers {
    fn of(numbers: &MarketNumbers) -> Self {
        let money = |amount| words::money(amount, numbers.currency);
        Self {
            median: money(numbers.median_list_price),
            mean: money(numbers.mean_list_price),
            count: words::grouped(i64::try_from(numbers.active_listings).unwrap_or(i64::MAX)),
            per_sqft: numbers.median_price_per_sqft.map_or_else(|| "–".to_owned(), money),
            days: numbers.median_days_on_market.map_or_else(|| "–".to_owned(), |days| words::grouped(days.into())),
        }
    }
}

/// Shows all markets.
pub async fn list(State(page): State<Arc<Page>>) -> Result<Response, Problem> {
    let markets = page.places.read(&page.app).await?;
    let row = |summary: &crate::routes::markets::MarketSummary| Row {
        name: words::place(&summary.market),
        path: format!("/markets/{}", summary.market),
        sale: summary.sale.as_ref().map(Numbers::of),
        lease: summary.lease.as_ref().map(Numbers::of),
    };
    let rows = markets.iter().take(MOST).map(row).collect();
    let page = MarketsPage { frame: Frame::of("Markets", "markets"), rows, more: markets.len().saturating_sub(MOST) };
    answer(StatusCode::OK, &page)
}

/// One market.
#[derive(Template)]
#[template(path = "market.html")]
struct MarketPage {
    frame: Frame,
    name: String,
    path: String,
    is_lease: bool,
    numbers: Option<Numbers>,
    charts: Vec<Drawn>,
    days: Vec<(String, Option<Numbers>)>,
}

/// One drawing.
struct Drawn {
    heading: &'static str,
    now: String,
    svg: Option<String>,
}

/// Shows one market.
pub async fn read(
    State(page): State<Arc<Page>>,
    Segments((country, state, city)): Segments<(String, String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Form::encoded(uri.query().unwrap_or_default().as_bytes())?;
    let is_lease = query.value("transaction") == "lease";
    let transaction = if is_lease { Transaction::Lease } else { Transaction::Sale };
    let market = detail(&page.app, (&country, &state, &city), transaction, DAYS).await?;
    answer(StatusCode::OK, &page_of(&market, is_lease))
}

fn page_of(market: &MarketDetail, is_lease: bool) -> MarketPage {
    let name = words::place(&market.market);
    let currency = market.numbers.as_ref().or_else(|| market.days.iter().find_map(|day| day.numbers.as_ref()));
    let currency = currency.map_or(Currency::USD, |numbers| numbers.currency);
    let money = |units: f64| words::short_money(units, currency);
    let plain = |number: f64| words::grouped(number.round() as i64);
    let price = if is_lease { "Median rent a month" } else { "Median price" };
    let price_of =
        |n: &MarketNumbers| Some(n.median_list_price.cents() as f64 / 100.0).filter(|_| n.currency == currency);
    let count_of = |n: &MarketNumbers| Some(n.active_listings as f64);
    let stay_of = |n: &MarketNumbers| n.median_days_on_market.map(f64::from);
    let numbers = market.numbers.as_ref().map(Numbers::of);
    let now = |pick: fn(&Numbers) -> &String| numbers.as_ref().map_or_else(|| "–".to_owned(), |n| pick(n).clone());
    let draw = |id: &str, what: &str, points: Vec<(Instant, f64)>, label: &dyn Fn(f64) -> String| {
        let title = format!("{what} in {name}, day by day");
        let ends = points.first().zip(points.last());
        let description = ends.map(|(first, last)| {
            format!("From {} on {} to {} on {}.", label(first.1), first.0.day(), label(last.1), last.0.day())
        });
        let description = description.unwrap_or_default();
        Chart { id, title: &title, description: &description, points: &points, is_stepped: false, label }.svg()
    };
    let charts = vec![
        Drawn {
            heading: price,
            now: now(|n| &n.median),
            svg: draw("median", price, series(&market.days, price_of), &money),
        },
        Drawn {
            heading: "Homes on offer",
            now: now(|n| &n.count),
            svg: draw("count", "Homes on offer", series(&market.days, count_of), &plain),
        },
        Drawn {
            heading: "Median days on the market",
            now: now(|n| &n.days),
            svg: draw("stay", "Median days on the market", series(&market.days, stay_of), &plain),
        },
    ];
    let days = market.days.iter().map(|day| (day.day.to_string(), day.numbers.as_ref().map(Numbers::of))).collect();
    MarketPage {
        frame: Frame::of(name.clone(), "markets"),
        path: format!("/markets/{}", market.market),
        is_lease,
        numbers,
        charts,
        days,
        name,
    }
}

/// One number over the days, the oldest first.
fn series(days: &[Day], number: impl Fn(&MarketNumbers) -> Option<f64>) -> Vec<(Instant, f64)> {
    let points = days.iter().rev().filter_map(|day| Some((day.observed_at, number(day.numbers.as_ref()?)?)));
    points.collect()
}
