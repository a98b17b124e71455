//! `/predict`: what a home would be worth, and what moved the price. A form that is asked with `GET`: an answer can be loaded again, kept and sent
//! on, and nothing of it is recorded.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use futures::{StreamExt as _, TryStreamExt as _};
use schemas::amenities::WORDS;
use schemas::id::Market;
use schemas::money::{MAX_CENTS, Money};
use schemas::vocabulary::{PropertySubType, Transaction};
use serde_json::{Map, Value, json};

use super::form::{Form, number};
use super::frame::{Frame, answer};
use super::places::{self, Choice};
use super::scale::Scale;
use super::wishes::Word;
use super::{Page, words};
use crate::app::App;
use crate::appraise::{Contribution, Explanation};
use crate::problem::{Kind, Problem, Wrong};
use crate::routes::appraisal::{Extra, Prediction, value};
use crate::routes::properties::READS_AT_ONCE;
use crate::routes::property;

/// Fields of one number each, by their RESO names.
const NUMBERS: [&str; 9] = [
    "LivingArea",
    "BedroomsTotal",
    "BathroomsTotalDecimal",
    "YearBuilt",
    "LotSizeSquareFeet",
    "AssociationFee",
    "ListPrice",
    "Latitude",
    "Longitude",
];
/// Homes on offer whose places tell where the middle of a market is.
const HOMES_FOR_THE_MIDDLE: u32 = 24;
/// Contributions that are shown one by one; the rest is one line.
const MOST_PARTS: usize = 8;

/// The page.
#[derive(Template)]
#[template(path = "predict.html")]
struct PredictPage {
    frame: Frame,
    form: Form,
    choices: Vec<Choice>,
    kinds: Vec<Word>,
    amenities: Vec<Word>,
    worth: Option<Worth>,
}

/// A value, and what moved it.
struct Worth {
    value: String,
    place: String,
    scale: Scale,
    deal: Option<u8>,
    model: String,
    /// Whether the place is the middle of the market.
    is_middle: bool,
    out_of_range: Vec<String>,
    parts: Vec<Moved>,
}

/// One line of what moved the price.
#[derive(Debug, PartialEq, Eq)]
struct Moved {
    name: String,
    value: String,
    amount: String,
    /// `up`, `down` or `base`.
    kind: &'static str,
    /// Where its bar begins and how long it is, in 200ths of the drawing.
    x: u64,
    width: u64,
}

/// Shows the form, with the answer when it is filled in.
pub async fn show(State(page): State<Arc<Page>>, uri: Uri) -> Result<Response, Problem> {
    let app = &page.app;
    let mut form = Form::encoded(uri.query().unwrap_or_default().as_bytes())?;
    let markets = page.places.read(app).await?;
    let mut status = StatusCode::OK;
    let mut worth = None;
    if form.is_empty() {
        form.put_some("market", markets.first().map(|summary| &summary.market));
        form.put("PropertySubType", PropertySubType::SingleFamilyResidence.as_str());
    } else {
        match appraise(app, &form).await {
            Ok(valued) => worth = Some(valued),
            Err(problem) if problem.kind.status() == StatusCode::UNPROCESSABLE_ENTITY => {
                status = StatusCode::UNPROCESSABLE_ENTITY;
                if problem.errors.is_empty() {
                    form.refuse("market", problem.detail);
                } else {
                    form.refuse_parts(&problem.errors, field_of);
                }
            }
            Err(problem) => return Err(problem),
        }
    }
    let word = |value: &'static str| Word { value, label: words::spaced(value) };
    let mut amenities: Vec<Word> = WORDS.iter().map(|(value, _)| word(value)).collect();
    amenities.sort_by(|a, b| a.label.cmp(&b.label));
    let page = PredictPage {
        frame: Frame::of("What is a home worth?", "predict"),
        form,
        choices: places::choices(&markets),
        kinds: PropertySubType::ALL.iter().map(|kind| word(kind.as_str())).collect(),
        amenities,
        worth,
    };
    answer(status, &page)
}

async fn appraise(app: &App, form: &Form) -> Result<Worth, Problem> {
    let Ok(market) = form.value("market").parse::<Market>() else { return Err(without_place(app, form).await) };
    let mut home = document(form, market.as_str());
    let is_middle = form.value("Latitude").is_empty() && form.value("Longitude").is_empty();
    if is_middle && let Some((latitude, longitude)) = middle(app, &market).await? {
        home.insert("Latitude".to_owned(), json!(latitude));
        home.insert("Longitude".to_owned(), json!(longitude));
    }
    let body = Value::Object(home).to_string();
    let prediction = value(app, body.as_bytes(), true, Extra::Refused).await?;
    Ok(worth_of(prediction, form, is_middle))
}

/// What is wrong with a home of which nobody says where it is: that, and whatever else is.
async fn without_place(app: &App, form: &Form) -> Problem {
    // Somewhere, so that the rest is judged.
    let body = Value::Object(document(form, "us/unknown/unknown")).to_string();
    let rest = match value(app, body.as_bytes(), false, Extra::Refused).await {
        Err(problem) if problem.kind == Kind::ValidationFailed => problem.errors,
        Err(_) | Ok(_) => Vec::new(),
    };
    let message = "Please choose where the home is.".to_owned();
    let place = Wrong { pointer: Some("/City".to_owned()), parameter: None, code: "missing", message };
    Problem::of_parts(Kind::ValidationFailed, [vec![place], rest].concat())
}

/// The home as a feed would describe it.
fn document(form: &Form, market: &str) -> Map<String, Value> {
    let mut home = Map::new();
    let mut parts = market.split('/');
    for name in ["Country", "StateOrProvince", "City"] {
        home.extend(parts.next().map(|part| (name.to_owned(), json!(part))));
    }
    if let Some(Value::String(country)) = home.get_mut("Country") {
        country.make_ascii_uppercase();
    }
    home.insert("PropertyType".to_owned(), json!("Residential"));
    for name in NUMBERS.into_iter().filter(|name| !form.value(name).is_empty()) {
        home.insert(name.to_owned(), number(form.value(name)));
    }
    if home.contains_key("AssociationFee") {
        home.insert("AssociationFeeFrequency".to_owned(), json!("Monthly"));
    }
    if !form.value("PropertySubType").is_empty() {
        home.insert("PropertySubType".to_owned(), json!(form.value("PropertySubType")));
    }
    // All of them stand in the form: what is not ticked is not there.
    home.insert("Amenities".to_owned(), json!(form.values("Amenities").collect::<Vec<_>>()));
    home
}

/// The middle of a market: the median place of homes on offer whose sellers show it. `None` where there are none.
async fn middle(app: &App, market: &Market) -> Result<Option<(f64, f64)>, Problem> {
    // Cannot fail: both are amounts.
    let (least, most) = (Money::default(), Money::from_cents(MAX_CENTS).unwrap_or_default());
    let entries =
        app.tables.by_market(market.clone(), Transaction::Sale, least, most, None, HOMES_FOR_THE_MIDDLE).await?;
    let facts: Vec<_> = futures::stream::iter(entries.into_iter().map(|entry| property::fact(app, entry.listing_id)))
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let places = facts.into_iter().flatten().filter(|fact| fact.listing.address_display_allowed);
    let places: Vec<_> = places.filter_map(|fact| fact.listing.position).collect();
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let degrees = |text: String| text.parse::<f64>().ok();
    let latitude = median(places.iter().filter_map(|place| degrees(place.latitude.to_string())).collect());
    let longitude = median(places.iter().filter_map(|place| degrees(place.longitude.to_string())).collect());
    Ok(latitude.zip(longitude))
}

/// The field of the form that a JSON pointer belongs to.
fn field_of(pointer: &str) -> &'static str {
    let name = pointer.trim_start_matches('/').split('/').next().unwrap_or_default();
    match name {
        "Amenities" => "Amenities",
        "PropertySubType" => "PropertySubType",
        _ => NUMBERS.into_iter().find(|field| *field == name).unwrap_or("market"),
    }
}

fn worth_of(prediction: Prediction, form: &Form, is_middle: bool) -> Worth {
    let Prediction { market, currency, valuation, deal, out_of_training_range, explanation } = prediction;
    let asked = Money::parse_decimal(&number(form.value("ListPrice")).to_string()).and_then(Money::non_zero);
    let money = |units: i64| words::change_of_money(units, currency);
    let base = |units: i64| words::money(Money::from_units(units.max(0)).unwrap_or_default(), currency);
    Worth {
        value: words::money(valuation.p50, currency),
        place: words::place(&market),
        scale: Scale::of(valuation.prices(), asked, currency),
        deal: deal.map(|deal| deal.score),
        model: format!("{}/{}", valuation.model, valuation.model_version),
        is_middle,
        out_of_range: out_of_training_range.iter().map(|name| feature(name)).collect(),
        parts: explanation.map(|explanation| parts(&explanation, &money, &base)).unwrap_or_default(),
    }
}

/// The lines of an explanation, whose amounts sum to the value.
fn parts(explanation: &Explanation, money: &dyn Fn(i64) -> String, base: &dyn Fn(i64) -> String) -> Vec<Moved> {
    let features = &explanation.features;
    let shown = &features[..features.len().min(MOST_PARTS)];
    let rest: i64 = features[shown.len()..].iter().map(|part| part.amount).sum();
    let most = shown.iter().map(|part| part.amount.unsigned_abs()).chain([explanation.market_level.unsigned_abs(), 1]);
    let most = most.chain([rest.unsigned_abs()]).max().unwrap_or(1);
    let line = |name: String, value: String, amount: i64| {
        let width = u64::try_from(u128::from(amount.unsigned_abs()) * 100 / u128::from(most)).unwrap_or(100);
        let (kind, x) = if amount < 0 { ("down", 100 - width) } else { ("up", 100) };
        Moved { name, value, amount: money(amount), kind, x, width }
    };
    let mut lines = vec![Moved {
        name: "A home of which nothing is known".to_owned(),
        value: String::new(),
        amount: base(explanation.base_price),
        kind: "base",
        x: 100,
        width: 0,
    }];
    lines.extend(shown.iter().map(|part| line(feature(&part.feature), seen(part), part.amount)));
    if features.len() > shown.len() {
        let name = words::count((features.len() - shown.len()) as u64, "other thing", "other things");
        lines.push(line(name, String::new(), rest));
    }
    if explanation.market_level != 0 {
        lines.push(line("What homes sold for lately".to_owned(), String::new(), explanation.market_level));
    }
    lines
}

/// A feature as people call it.
fn feature(name: &str) -> String {
    match name.split_once('.') {
        Some((_, word)) => words::spaced(word),
        None => {
            let plain = name.strip_suffix("_sqft").or_else(|| name.strip_suffix("_total")).unwrap_or(name);
            words::spaced(plain)
        }
    }
}

/// What the model saw of a feature.
fn seen(part: &Contribution) -> String {
    match part.value {
        None => "not stated".to_owned(),
        Some(value) if part.feature.contains('.') => if value > 0.5 { "yes" } else { "no" }.to_owned(),
        Some(value) if part.feature == "year_built" => format!("{value}"),
        Some(value) if part.feature.ends_with("_sqft") => format!("{} sq ft", words::grouped(value.round() as i64)),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e9 => words::grouped(value as i64),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_an_explanation_sum_to_the_value() {
        let part = |n: i64| Contribution {
            feature: format!("f{n}"),
            value: Some(1.0),
            factor: 1.0,
            amount: if n % 2 == 0 { n * 1_000 } else { -n * 500 },
        };
        let features: Vec<_> = (1..=12).rev().map(part).collect();
        let sum: i64 = features.iter().map(|part| part.amount).sum();
        let explanation = Explanation { base_price: 400_000, features, market_level: 7_000 };
        let text = |units: i64| units.to_string();
        let lines = parts(&explanation, &text, &text);
        let told: i64 = lines.iter().map(|line| line.amount.parse::<i64>().unwrap()).sum();
        assert_eq!(told, 400_000 + sum + 7_000);
        assert_eq!(lines.len(), 1 + MOST_PARTS + 2);
        assert!(lines.iter().all(|line| line.x + line.width <= 200), "{lines:?}");
    }

    #[test]
    fn a_fault_stands_beside_the_field_that_it_is_of() {
        assert_eq!(field_of("/LivingArea"), "LivingArea");
        assert_eq!(field_of("/City"), "market");
        assert_eq!(field_of("/Amenities/3"), "Amenities");
    }
}
