//! `/`: what a session wants, and the three homes it gets. The forms post here and lead back here: a reload shows the newest.

use std::sync::Arc;
use std::time::Duration;

use access::User;
use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use schemas::cells::SessionCell;
use schemas::id::{ListingId, SessionId};
use schemas::recommendation::{Counts, Recommendation, RecommendedItem, items_hash};
use schemas::units::Instant;
use schemas::vocabulary::Transaction;
use store::RecommendationRow;

use super::card::Card;
use super::form::Form;
use super::frame::{Frame, answer};
use super::visitor::Visitor;
use super::wishes::{Wishes, form_of, statement_of};
use super::{Page, visitor, words};
use crate::app::App;
use crate::problem::{Kind, Problem};
use crate::property::History;
use crate::routes::dismissed::dismiss_home;
use crate::routes::preferences::{append, erase_session};
use crate::routes::property;
use crate::routes::recommendations::{Away, read_asked};
use crate::routes::stated::read_asked as read_statement;
use crate::statements::now_ms;
use crate::wait::Ask;

/// How long the page that follows a form waits for the answer to it; without one it says so and can be loaded again.
const PATIENCE: Duration = Duration::from_secs(2);

/// The page.
#[derive(Template)]
#[template(path = "picks.html")]
struct PicksPage {
    frame: Frame,
    wishes: Wishes,
    /// What was done, in a sentence.
    said: Option<&'static str>,
    /// The three, when there is a session.
    picks: Option<Picks>,
    /// How many homes the session does not want to see.
    dismissed: usize,
}

/// The three, and what is said about them.
struct Picks {
    cards: Vec<Card>,
    status: Status,
    /// Names these picks to the stream; absent while there are none.
    event: Option<String>,
    /// What was asked for, in a line.
    wanted: String,
}

/// The line above the three.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "status.html")]
pub struct Status {
    /// How many match.
    matched: Option<String>,
    /// Which filter takes most away.
    tightest: Option<String>,
    /// Up to when everything is known.
    as_of: Option<String>,
    /// Whether that is too long ago.
    stale: bool,
    /// Whether nothing matches.
    is_empty: bool,
    /// Whether the answer is still under way.
    is_pending: bool,
}

impl Status {
    /// Of what is known of a session's picks. `items`: how many there are; `None` while there is no answer.
    pub fn of(items: Option<usize>, counts: Option<&Counts>, (as_of, stale): (Option<Instant>, bool)) -> Self {
        let tightest = counts.and_then(|counts| counts.tightest_filter.as_ref()).map(|tightest| {
            let name = words::spaced(&tightest.filter).to_lowercase();
            format!(
                "Without “{name}” there would be {} more",
                words::grouped(tightest.removes.try_into().unwrap_or(i64::MAX))
            )
        });
        Self {
            matched: counts.map(|counts| words::count(counts.matched_total, "home matches", "homes match")),
            tightest,
            as_of: as_of.map(words::clock),
            stale,
            is_empty: items == Some(0),
            is_pending: items.is_none(),
        }
    }
}

/// Shows the page.
pub async fn show(State(page): State<Arc<Page>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    // Links to the page carry what others add to them: what is not ours is passed over.
    let query = Form::encoded(uri.query().unwrap_or_default().as_bytes())?;
    let said = match query.value("said") {
        "erased" => Some("Your session is erased. Nothing of it is shown any more."),
        "ended" => Some(
            "Your session could not be opened any more, so nothing was erased: what it said is forgotten 30 days after it was last said.",
        ),
        "dismissed" => Some("You will not see that home again."),
        _ => None,
    };
    let Visitor { user, cookies } = Visitor::of(&page.app, &headers).await?;
    let Some(User { session: id, .. }) = user else { return first(&page, said, cookies).await };
    let min_version: Option<u64> = query.value("v").parse().ok();
    let ask = Ask { min_version, wait: if min_version.is_some() { PATIENCE } else { Duration::ZERO } };
    let outcome = match session(&page, id, ask, said).await {
        Err(problem) if problem.kind == Kind::SessionNotFound => {
            let said = "Your session has ended. Say again what you want.";
            first(&page, Some(said), visitor::forget(&page.app, &headers)?).await
        }
        outcome => outcome,
    };
    visitor::kept(cookies, outcome)
}

/// The page of who has no session.
async fn first(page: &Page, said: Option<&'static str>, cookies: Vec<HeaderValue>) -> Result<Response, Problem> {
    let markets = page.places.read(&page.app).await?;
    let frame = Frame::of("Three homes, kept current", "picks");
    let page = PicksPage { frame, wishes: Wishes::new(&markets), said, picks: None, dismissed: 0 };
    Ok(private(answer(StatusCode::OK, &page)?, cookies))
}

/// The page of a session.
async fn session(page: &Page, session: SessionId, ask: Ask, said: Option<&'static str>) -> Result<Response, Problem> {
    let app = &page.app;
    let row = read_asked(app, session, ask, Away::Recall).await?;
    let stated = read_statement(app, session, ask).await?;
    let markets = page.places.read(app).await?;
    let form = stated.as_ref().map(|cell| form_of(&cell.preferences)).unwrap_or_default();
    let wanted = stated.as_ref().map(summary).unwrap_or_default();
    let dismissed = stated.map_or(0, |cell| cell.preferences.dismissed.len());
    let picks = Picks { wanted, ..picks(app, session, row.map(|shown| shown.row)).await? };
    let frame = Frame::of("Your three homes", "picks");
    let page = PicksPage { frame, wishes: Wishes::of(form, &markets), said, picks: Some(picks), dismissed };
    Ok(private(answer(StatusCode::OK, &page)?, Vec::new()))
}

async fn picks(app: &App, session: SessionId, row: Option<RecommendationRow>) -> Result<Picks, Problem> {
    let Some(row) = row else {
        let status = Status::of(None, None, app.as_of(session));
        return Ok(Picks { cards: Vec::new(), status, event: None, wanted: String::new() });
    };
    let recommendation: Recommendation = serde_json::from_str(&row.items.json)
        .map_err(|error| Problem::internal(&format!("recommendations of {session}: cell items: {error}")))?;
    // An observation that cannot be read is none.
    let event = event_of(&row);
    let counts: Option<Counts> = row.counts.and_then(|cell| serde_json::from_str(&cell.json).ok());
    let status = Status::of(Some(recommendation.items.len()), counts.as_ref(), app.as_of(session));
    let cards = futures::future::try_join_all(recommendation.items.iter().map(|item| card(app, item))).await?;
    Ok(Picks { cards, status, event: Some(event), wanted: String::new() })
}

/// What the stream calls the picks of a row.
pub fn event_of(row: &RecommendationRow) -> String {
    format!("{}-{}", row.items.timestamp.raw(), items_hash(&row.items.json))
}

/// The card of an item, with its history where there is one to show.
pub async fn card(app: &App, item: &RecommendedItem) -> Result<Card, Problem> {
    let fact = property::fact(app, item.listing_id.clone()).await?;
    let is_rent = fact.as_ref().is_some_and(|fact| fact.listing.transaction == Transaction::Lease);
    Ok(Card::of(item, fact.and_then(History::of).as_ref(), is_rent, now()))
}

/// The present.
pub fn now() -> Instant {
    Instant::from_ms(now_ms()).unwrap_or_default()
}

/// What a statement asks for, in a line.
fn summary(cell: &SessionCell) -> String {
    let statement = &cell.preferences;
    let mut parts = vec![format!("up to {}", words::money(statement.budget, statement.currency))];
    let places: Vec<String> = statement.place.cities.iter().map(words::place).collect();
    if !places.is_empty() {
        parts.push(places.join(" or "));
    }
    parts.extend(statement.min_bedrooms.filter(|n| *n > 0).map(|n| format!("{n}+ beds")));
    parts.extend(statement.min_bathrooms.map(|n| format!("{n}+ baths")));
    parts.extend(statement.max_commute_minutes.map(|n| format!("{n} min to the centre")));
    let required: Vec<String> =
        statement.required_amenities.words().map(|word| words::spaced(word).to_lowercase()).collect();
    if !required.is_empty() {
        parts.push(format!("with {}", required.join(", ")));
    }
    let verb = match statement.transaction {
        Transaction::Sale => "To buy",
        Transaction::Lease => "To rent",
    };
    format!("{verb}, {}", parts.join(", "))
}

/// Takes the form: a statement of the session, or the first one of a new session.
pub async fn state(State(page): State<Arc<Page>>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let app = &page.app;
    let form = Form::posted(&headers, body, app.config.body_timeout).await?;
    let Visitor { user, cookies } = Visitor::of(app, &headers).await?;
    visitor::kept(cookies.clone(), stated(&page, form, user, cookies, &headers).await)
}

async fn stated(
    page: &Page,
    form: Form,
    user: Option<User>,
    mut cookies: Vec<HeaderValue>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let app = &page.app;
    if let Some(user) = &user {
        cookies.extend(visitor::keep(app, user, headers)?);
    }
    let (session, cookies, kept) = match user {
        None => visitor::begin(app, headers).map(|(session, cookies)| (session, cookies, None))?,
        Some(user) => match read_statement(app, user.session, Ask::default()).await {
            Ok(cell) => (user.session, cookies, cell.map(|cell| cell.preferences)),
            // What is erased stays so: another session begins.
            Err(problem) if problem.kind == Kind::SessionNotFound => {
                let (session, cookies) = visitor::begin_after(app, &user, headers)?;
                (session, cookies, None)
            }
            Err(problem) => return Err(problem),
        },
    };
    let statement = match statement_of(form, kept.as_ref()) {
        Ok(statement) => statement,
        Err(form) => {
            let markets = page.places.read(app).await?;
            let frame = Frame::of("Please look again", "picks");
            let page = PicksPage { frame, wishes: Wishes::of(form, &markets), said: None, picks: None, dismissed: 0 };
            return Ok(private(answer(StatusCode::UNPROCESSABLE_ENTITY, &page)?, Vec::new()));
        }
    };
    let delivered = append(app, session, Some(statement.to_json()), headers).await?;
    Ok(private(see(&format!("/?v={}#picks", delivered.offset))?, cookies))
}

/// Takes “not for me”.
pub async fn dismiss(State(page): State<Arc<Page>>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let form = Form::posted(&headers, body, page.app.config.body_timeout).await?;
    let Visitor { user: Some(user), cookies } = Visitor::of(&page.app, &headers).await? else { return see("/") };
    let outcome = async {
        let id: Result<ListingId, _> = form.value("listing_id").parse();
        let id = id.map_err(|fault| Problem::new(Kind::ValidationFailed, fault.to_string()))?;
        let cell = dismiss_home(Arc::clone(&page.app), user.session, id, headers).await?;
        Ok(private(see(&format!("/?v={}&said=dismissed#picks", cell.version))?, Vec::new()))
    };
    visitor::kept(cookies, outcome.await)
}

/// Takes “forget me”.
pub async fn erase(State(page): State<Arc<Page>>, headers: HeaderMap) -> Result<Response, Problem> {
    let forgotten = visitor::forget(&page.app, &headers)?;
    let Visitor { user: Some(user), cookies } = Visitor::of(&page.app, &headers).await? else {
        return Ok(private(see("/?said=ended")?, forgotten));
    };
    match erase_session(Arc::clone(&page.app), user.session, headers).await {
        Ok(()) => Ok(private(see("/?said=erased")?, forgotten)),
        Err(problem) => visitor::kept(cookies, Err(problem)),
    }
}

/// Leads on to a page that a reload may ask for again.
fn see(path: &str) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(path).map_err(|error| Problem::internal(&error.to_string()))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// An answer that no cache keeps: it is one session's own.
fn private(mut response: Response, cookies: Vec<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}
