//! `/page/picks/stream`: the page's live updates. What the feed tells as JSON goes out as finished cards, and only those that changed; the
//! script puts them in place.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use schemas::id::SessionId;
use schemas::recommendation::{Counts, Recommendation, RecommendedItem};
use schemas::units::Instant;
use serde::{Deserialize, Serialize};

use super::Page;
use super::form::Form;
use super::news::news;
use super::picks::{Status, card, event_of};
use super::visitor::Visitor;
use crate::app::App;
use crate::caller::{ended, ends};
use crate::feed::{EventId, Feed, Told};
use crate::metrics::StreamKind;
use crate::problem::{Kind, Problem};
use crate::routes::recommendations::look_now;

/// Which site asks, as browsers say themselves.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Tells nginx and its like not to gather an answer before they pass it on.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What the feed tells, as far as the page shows it.
#[derive(Deserialize)]
struct Seen {
    as_of: Option<Instant>,
    stale: bool,
    #[serde(default)]
    counts: Option<Counts>,
    #[serde(default)]
    items: Option<Vec<RecommendedItem>>,
}

/// What the script is sent.
#[derive(Serialize)]
struct Update {
    /// The listings from first to last; absent: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Vec<String>>,
    /// The cards that changed, by listing.
    cards: HashMap<String, String>,
    /// The line above them.
    status: String,
    /// What is new, in sentences.
    say: String,
}

/// What one client was shown.
struct Teller {
    app: Arc<App>,
    before: Option<Vec<RecommendedItem>>,
    counts: Option<Counts>,
}

/// Streams what changes of the visitor's three.
pub async fn stream(State(page): State<Arc<Page>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    if headers.get(FETCH_SITE).is_some_and(|site| site != "same-origin") {
        return Err(Problem::new(Kind::ForbiddenOrigin, "only the page itself may listen here"));
    }
    let Visitor { user, cookies } = Visitor::of(&page.app, &headers).await?;
    let user = user.ok_or_else(|| Problem::new(Kind::Unauthenticated, "the page's cookie is missing: open / first"))?;
    let query = Form::encoded(uri.query().unwrap_or_default().as_bytes())?;
    let of_header = headers.get("last-event-id").and_then(|value| EventId::parse(value.to_str().ok()?));
    let seen = of_header.or_else(|| EventId::parse(query.value("last_event_id")));
    let app = &page.app;
    let session = user.session;
    let feed = Feed::open(app, session, seen.clone(), StreamKind::Sse).await?;
    let teller = Teller::of(app, session, seen).await?;
    let keep_alive = KeepAlive::new().interval(app.config.stream_keep_alive);
    let first = Event::default().retry(crate::routes::stream::retry_of(session));
    let rest = futures::stream::unfold((feed, teller), async |(mut feed, mut teller)| {
        let told = feed.next().await?;
        Some((teller.event(told).await, (feed, teller)))
    });
    let rest = rest.take_until(ended(ends(&user)));
    let events = futures::stream::iter([first]).chain(rest).map(Ok::<_, Infallible>);
    let head = [(header::CACHE_CONTROL, "no-store"), (ACCEL_BUFFERING, "no")];
    let mut response = (head, Sse::new(events).keep_alive(keep_alive)).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

impl Teller {
    /// Knows what the page shows, if that is what there still is: then only what changes is sent, and it is said what changed.
    async fn of(app: &Arc<App>, session: SessionId, seen: Option<EventId>) -> Result<Self, Problem> {
        let mut teller = Self { app: Arc::clone(app), before: None, counts: None };
        let row = if seen.is_some() { look_now(app, session).await? } else { None };
        if let Some(row) = row.filter(|row| EventId::parse(&event_of(row)) == seen) {
            // What cannot be read was logged where it was read; then every card is sent.
            let recommendation = serde_json::from_str::<Recommendation>(&row.items.json).ok();
            teller.before = recommendation.map(|recommendation| recommendation.items);
            teller.counts = row.counts.and_then(|cell| serde_json::from_str(&cell.json).ok());
        }
        Ok(teller)
    }

    async fn event(&mut self, Told { name, id, data }: Told) -> Event {
        if name == "erased" {
            return Event::default().event("erased").data("{}");
        }
        let update = match self.update(&data).await {
            Ok(update) => serde_json::to_string(&update).ok(),
            Err(_) => None,
        };
        // What cannot be drawn now is drawn when the page is loaded again.
        let Some(update) = update else { return Event::default().event("reload").data("{}") };
        let event = Event::default().event("update").data(update);
        match id {
            Some(id) => event.id(id),
            None => event,
        }
    }

    async fn update(&mut self, data: &str) -> Result<Update, Problem> {
        let seen: Seen =
            serde_json::from_str(data).map_err(|error| Problem::internal(&format!("an event of the page: {error}")))?;
        let known = seen.items.as_deref().or(self.before.as_deref()).map(<[_]>::len);
        self.counts = seen.counts.or_else(|| self.counts.take().filter(|_| seen.items.is_none()));
        let status = Status::of(known, self.counts.as_ref(), (seen.as_of, seen.stale));
        let mut update = Update { order: None, cards: HashMap::new(), status: render(&status)?, say: String::new() };
        let Some(items) = seen.items else { return Ok(update) };
        // Cannot fail: the semaphore is never closed. It bounds what all streams read at a time.
        let _permit = self.app.looks.acquire().await;
        for item in &items {
            let is_shown = self.before.as_ref().is_some_and(|before| before.contains(item));
            if !is_shown {
                let card = card(&self.app, item).await?;
                update.cards.insert(card.id.clone(), render(&card)?);
            }
        }
        update.order = Some(items.iter().map(|item| item.listing_id.to_string()).collect());
        update.say = news(self.before.as_deref(), &items);
        self.before = Some(items);
        Ok(update)
    }
}

fn render(template: &impl askama::Template) -> Result<String, Problem> {
    template.render().map_err(|error| Problem::internal(&format!("a part of the page: {error}")))
}
