//! `GET /recommendations/stream`: the three best of a session, again whenever they change, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Uri, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _};
use schemas::id::SessionId;
use tokio::time::Instant as Moment;

use crate::app::App;
use crate::caller::{ended, ends, of_stream, user};
use crate::feed::{EventId, Feed, Told};
use crate::metrics::StreamKind;
use crate::problem::Problem;
use crate::query::Query;

/// Tells nginx and its like not to gather an answer before they pass it on.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Streams the three best of the token's session.
///
/// The first event is what is there now, unless `Last-Event-ID` says that the client has it; then one comes with every
/// change, within a second of it. A client that reads slowly gets the newest and misses what came in between. While nothing changes a
/// comment comes every 15 s.
///
/// * `recommendations`: `data` is what `GET /recommendations` answers; the `id` names these picks.
/// * `freshness`: the picks are the same, and have become stale or are no longer; `data` has `session_id`, `as_of` and `stale`.
/// * `erased`: the session is gone, and the stream ends.
///
/// Where tokens end (`auth.mode` other than `open`), the stream ends with its token: connect again with a new one.
#[utoipa::path(
    get, path = "/recommendations/stream", tag = "sessions", operation_id = "stream_recommendations",
    params(
        ("token" = Option<String>, Query, description = "The session's token, for clients that cannot send `Authorization`."),
        ("last_event_id" = Option<String>, Query, description = "As `Last-Event-ID`, which wins.", example = "1099511627777-0f1e2d3c4b5a6978"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that the client has: it is not sent again."),
    ),
    responses(
        (status = 200, description = "Events, until either side ends the stream.", content_type = "text/event-stream", body = String,
         example = "id: 1099511627777-0f1e2d3c4b5a6978\nevent: recommendations\ndata: {\"session_id\":\"5d41402abc4b2a76b9719d911017c592\",\"items\":[]}\n\n"),
        (status = 401, description = "No token."),
        (status = 404, description = "No such session."),
        (status = 503, description = "Too many streams are open, or the store does not answer."),
    ),
    security(("session" = []), ("session_in_query" = [])),
)]
pub async fn stream(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let (credential, seen) = asked(&uri, &headers)?;
    let user = user(&app, &credential).await?;
    let session = user.session;
    let feed = Feed::open(&app, session, seen, StreamKind::Sse).await?;
    let events =
        futures::stream::unfold(feed, async |mut feed| Some((Ok::<_, Infallible>(event(feed.next().await?)), feed)));
    Ok(answer(events, session, ends(&user), app.config.stream_keep_alive))
}

/// The answer that streams these events of a session, until its token `ends`.
pub fn answer(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
    session: SessionId,
    ends: Option<Moment>,
    keep_alive: Duration,
) -> Response {
    // The first lines say at once that the stream is open.
    let first = Event::default().retry(retry_of(session));
    let events = futures::stream::iter([Ok(first)]).chain(events.take_until(ended(ends)));
    let head = [(header::CACHE_CONTROL, "no-store"), (ACCEL_BUFFERING, "no")];
    (head, Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive))).into_response()
}

/// The token that opens the stream, and what the client has already.
pub fn asked(uri: &Uri, headers: &HeaderMap) -> Result<(String, Option<EventId>), Problem> {
    let mut query = Query::read(uri, &["token", "last_event_id"]);
    let token = of_stream(headers, &mut query)?;
    let of_query = query.parsed("last_event_id", "the id of an event", EventId::parse);
    query.finish()?;
    // Another server's, or none: the client gets what is there, which is always right.
    let of_header = headers.get("last-event-id").and_then(|value| EventId::parse(value.to_str().ok()?));
    Ok((token, of_header.or(of_query)))
}

/// When a client whose stream ended asks again: spread over two seconds, lest all come back at once after a restart.
pub fn retry_of(session: SessionId) -> Duration {
    Duration::from_millis(1_000 + (session.bits() % 2_000) as u64)
}

/// What is told, as an event of its name.
pub fn event(Told { name, id, data }: Told) -> Event {
    let event = Event::default().event(name).data(data);
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_wins_over_the_query_and_a_foreign_id_is_none() {
        let ask = |query: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|text| (HeaderName::from_static("last-event-id"), text.parse().unwrap())));
            let uri = format!("/x?token=000102030405060708090a0b0c0d0e0f{query}").parse().unwrap();
            asked(&uri, &headers).map(|(_, seen)| seen)
        };
        let (old, new) = ("7-00000000000000aa", "9-00000000000000bb");
        let query = format!("&last_event_id={old}");
        assert_eq!(ask(&query, Some(new)).unwrap(), EventId::parse(new));
        assert_eq!(ask(&query, Some("42")).unwrap(), EventId::parse(old));
        assert_eq!(ask("", Some("42")).unwrap(), None);
        assert!(ask("&last_event_id=42", None).is_err());
    }
}
