//! `POST /preferences:preview`: what a statement would be shown now, and what to ask for instead to see more. Records nothing.

use std::sync::Arc;
use std::time::Instant as Moment;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use schemars::JsonSchema;
use schemas::id::Market;
use schemas::money::{MAX_CENTS, Money};
use schemas::preferences::{MAX_PREFERENCES_BYTES, Preferences};
use schemas::recommendation::{RecommendedItem, TightestFilter};
use serde::Serialize;
use serde_json::Value;

use super::markets::markets_of;
use super::preferences::parse;
use crate::app::App;
use crate::body::read_json;
use crate::preview::relaxations::{Relaxation, relaxations};
use crate::preview::{Judge, Surveyed};
use crate::problem::{Kind, Problem};
use crate::query::NoQuery;
use crate::scan::{self, Entries, TOGETHER};

/// What a statement would be shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Preview {
    /// How many homes pass every filter now.
    pub matched: u64,
    /// Whether there may be more: not all homes of the place were looked at, since they are more than 20,000 or there was no time.
    pub at_least: bool,
    /// How many homes were looked at.
    pub looked_at: u64,
    /// The filter that alone keeps most homes away; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tightest_filter: Option<TightestFilter>,
    /// How many homes each filter alone keeps away, most first.
    pub removed: Vec<TightestFilter>,
    /// What would show more homes, most first.
    pub near_misses: Vec<NearMiss>,
    /// The three best now, as they would be recommended; 0 to 3.
    pub items: Vec<RecommendedItem>,
    /// The statement as it was understood, defaults filled in.
    pub preferences: Preferences,
}

/// One thing asked for less.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct NearMiss {
    /// Which member of the statement.
    pub filter: &'static str,
    /// What it says.
    pub from: Value,
    /// What it would say; null: nothing.
    pub to: Value,
    /// How many more homes there would be.
    pub more: u64,
    /// `With 3 % more budget (772500 USD): 4 more homes`.
    pub sentence: String,
}

/// Says what a statement would be shown now, without making it.
///
/// The body is that of `POST /preferences`. Homes are counted with the filters and scored with the score of recommendations: of the cities named,
/// and where there is more to the place than cities, of its country; at most 20,000, then `at_least` is true. `near_misses` are changes of one
/// thing that would show more: a budget 3, 5 and 10 % higher, one bedroom, half a bathroom, a tenth of the area less, a quarter of the radius,
/// ten minutes more, schools rated one less, without each required amenity, other kinds of homes. Nothing is recorded.
#[utoipa::path(
    post, path = "/preferences:preview", tag = "sessions", operation_id = "preview_preferences",
    request_body(content = ref("#/components/schemas/Preferences"), content_type = "application/json"),
    responses(
        (status = 200, description = "What it would be shown.", body = ref("#/components/schemas/Preview")),
        (status = 400, description = "Not JSON, or not an object."),
        (status = 422, description = "Wrong fields, all of them at once."),
        (status = 503, description = "Too many previews are under way."),
    ),
)]
pub async fn preview(
    State(app): State<Arc<App>>,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Preview>, Problem> {
    let body = read_json(&headers, body, MAX_PREFERENCES_BYTES, app.config.body_timeout).await?;
    let preferences = parse(&body)?;
    let Some(judge) = app.lent.judge.clone() else {
        return Err(Problem::new(Kind::Overloaded, "this process has no judge to preview with"));
    };
    let Ok(_permit) = app.previews.try_acquire() else {
        return Err(Problem::new(Kind::Overloaded, "too many previews are under way"));
    };
    let relaxed = relaxations(&preferences);
    let seen = survey(&app, &*judge, &preferences, &relaxed).await?;
    let Surveyed { matched, removed, gained, best } = seen.surveyed;
    Ok(Json(Preview {
        matched,
        at_least: !seen.is_all,
        looked_at: seen.looked_at,
        tightest_filter: removed.first().cloned(),
        removed,
        near_misses: near_misses(relaxed, &gained),
        items: best,
        preferences,
    }))
}

/// What was seen, and of how much.
struct Seen {
    surveyed: Surveyed,
    looked_at: u64,
    is_all: bool,
}

/// Looks at the listings of the statement's place, some at a time, until all are looked at or the time is up.
async fn survey(app: &App, judge: &dyn Judge, asked: &Preferences, relaxed: &[Relaxation]) -> Result<Seen, Problem> {
    // What is left of the time is for the answer.
    let until = Moment::now() + app.config.request_timeout.mul_f32(0.75);
    let markets = scope(app, asked).await?;
    let all_prices = (Money::default(), Money::from_cents(MAX_CENTS).unwrap_or_default());
    let Entries { entries, mut is_all } = scan::entries(app, &markets, asked.transaction, all_prices).await?;
    let others: Vec<Preferences> = relaxed.iter().map(|relaxation| relaxation.preferences.clone()).collect();
    let mut survey = judge.survey(asked, &others);
    let mut looked_at = 0;
    for some in entries.chunks(TOGETHER) {
        if Moment::now() > until {
            is_all = false;
            break;
        }
        let cells = scan::cells(app, some).await?;
        let looked = tokio::task::spawn_blocking(move || {
            let listings = scan::listings(cells)?;
            let count = listings.len() as u64;
            survey.look(listings);
            Ok::<_, Problem>((survey, count))
        });
        let (back, count) = looked.await.map_err(|error| Problem::internal(&format!("a preview: {error}")))??;
        survey = back;
        looked_at += count;
    }
    Ok(Seen { surveyed: survey.finish(), looked_at, is_all })
}

/// The markets in which there may be a listing of the place: its cities, then all of its countries where there is more to it.
async fn scope(app: &App, asked: &Preferences) -> Result<Vec<Market>, Problem> {
    let place = &asked.place;
    let mut markets = place.cities.clone();
    let mut countries: Vec<_> = place.postal_codes.iter().map(|code| code.country).chain(place.country).collect();
    countries.sort();
    countries.dedup();
    let mut beyond = Vec::new();
    if place.within.is_some() {
        // A circle knows no borders.
        beyond = markets_of(app, None).await?;
    } else {
        for country in countries {
            beyond.extend(markets_of(app, Some(country)).await?);
        }
    }
    markets.extend(beyond.into_iter().map(|(market, _)| market).filter(|market| !place.cities.contains(market)));
    Ok(markets)
}

/// What would show more, most first.
fn near_misses(relaxed: Vec<Relaxation>, gained: &[u64]) -> Vec<NearMiss> {
    let shows_more = relaxed.into_iter().zip(gained.iter().copied()).filter(|(_, more)| *more > 0);
    let told = shows_more.map(|(Relaxation { filter, from, to, says, .. }, more)| NearMiss {
        filter,
        from,
        to,
        more,
        sentence: format!("{says}: {more} more {}", if more == 1 { "home" } else { "homes" }),
    });
    let mut near_misses: Vec<NearMiss> = told.collect();
    // Of equal ones the smaller change stays first.
    near_misses.sort_by_key(|near_miss| std::cmp::Reverse(near_miss.more));
    near_misses
}
