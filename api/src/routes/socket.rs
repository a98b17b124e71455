//! `GET /recommendations/ws`: what the stream tells, over a WebSocket. The client says nothing but pings and pongs.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serve::Inbound;
use tokio::time::{Instant as Moment, interval_at, timeout};

use super::stream::asked;
use crate::app::App;
use crate::caller::{ended, ends, user};
use crate::feed::{Feed, Told};
use crate::metrics::StreamKind;
use crate::origin::may_connect;
use crate::problem::{Kind, Problem};
use crate::stop::Stop;

/// Largest message of a client that is read before the socket is closed: a control frame has at most 125 bytes.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// Most messages of a client between two of our pings: its own pings, and the answers to ours.
const MAX_MESSAGES: u32 = 64;
/// Most bytes of a client in that time, frames and all: those messages at their largest, with room. Frames that never make a message,
/// such as empty continuations, are counted by nothing else.
const MAX_INBOUND_BYTES: u32 = 16 * 1024;
/// Bytes of `Sec-WebSocket-Key` (RFC 6455 §4.1).
const KEY_BYTES: usize = 16;
/// How many of our pings may be without an answer.
const MAX_UNANSWERED: u32 = 2;
/// How long a client may take to answer that the socket is closed.
const CLOSING: Duration = Duration::from_millis(500);

/// Opens a WebSocket that tells the three best of the token's session.
///
/// Each text is `{"type": "recommendations", "id": …, "data": …}` with what the event of `/recommendations/stream` of that name has;
/// `freshness` and `erased` have no `id`. The server pings every 15 s. It closes with 1000 when the session is erased, 1001 when
/// it ends itself (connect again, with `last_event_id`), 1003 when the client sends texts or data, and 1008 when it leaves two
/// pings unanswered, sends too much, or its token has expired. Pages of other sites cannot open it, unless
/// `api.allowed_origins` lists theirs.
#[utoipa::path(
    get, path = "/recommendations/ws", tag = "sessions", operation_id = "open_recommendations_socket",
    params(
        ("token" = Option<String>, Query, description = "The session's token, for clients that cannot send `Authorization`."),
        ("last_event_id" = Option<String>, Query, description = "The `id` of the last text that the client has: it is not sent again.", example = "1099511627777-0f1e2d3c4b5a6978"),
    ),
    responses(
        (status = 101, description = "The socket is open."),
        (status = 401, description = "No token."),
        (status = 403, description = "A page of another site."),
        (status = 404, description = "No such session."),
        (status = 426, description = "Not a WebSocket."),
        (status = 503, description = "Too many streams are open, or the store does not answer."),
    ),
    security(("session" = []), ("session_in_query" = [])),
)]
pub async fn socket(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
    inbound: Option<Extension<Inbound>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let (credential, seen) = asked(&uri, &headers)?;
    let user = user(&app, &credential).await?;
    if !may_connect(&headers, &app.config.allowed_origins) {
        return Err(Problem::new(Kind::ForbiddenOrigin, Kind::ForbiddenOrigin.meaning()));
    }
    let upgrade = upgrade.map_err(|rejection| {
        Problem::new(Kind::UpgradeRequired, rejection.body_text())
            .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
    })?;
    if !headers.get(header::SEC_WEBSOCKET_KEY).is_some_and(is_key) {
        let detail = "Sec-WebSocket-Key is none (expected 16 random bytes in base64)";
        return Err(Problem::new(Kind::BadRequest, detail));
    }
    let feed = Feed::open(&app, user.session, seen, StreamKind::WebSocket).await?;
    let (keep_alive, stop, ends) = (app.config.stream_keep_alive, app.stop.clone(), ends(&user));
    let inbound = inbound.map(|Extension(inbound)| inbound);
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        // Otherwise 128 KiB a socket, and as much of a flood read in one go.
        .read_buffer_size(MAX_MESSAGE_BYTES)
        .write_buffer_size(0);
    Ok(upgrade.on_upgrade(async move |socket| run(socket, feed, inbound, keep_alive, ends, stop).await))
}

fn is_key(key: &HeaderValue) -> bool {
    STANDARD.decode(key.as_bytes().trim_ascii()).is_ok_and(|bytes| bytes.len() == KEY_BYTES)
}

/// How a socket ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a word to the client.
    Close(u16, &'static str),
    /// The client is gone, or has said so itself.
    Gone,
}

const STOPPING: End = End::Close(close_code::AWAY, "the service ends, connect again");

async fn run(
    mut socket: WebSocket,
    mut feed: Feed,
    inbound: Option<Inbound>,
    keep_alive: Duration,
    ends: Option<Moment>,
    mut stop: Stop,
) {
    let end = tokio::select! {
        end = talk(&mut socket, &mut feed, inbound.as_ref(), keep_alive, &mut stop) => end,
        () = ended(ends) => End::Close(close_code::POLICY, "the token has expired, connect again with a new one"),
    };
    let farewell = async {
        if let End::Close(code, reason) = end {
            // A client that is gone hears nothing.
            let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        }
        // Reads up to the client's own farewell; what it says besides is no longer of interest.
        while let Some(Ok(_)) = socket.recv().await {}
    };
    let _ = timeout(CLOSING, farewell).await;
    // The end of the service waits for it.
    drop(feed);
}

async fn talk(
    socket: &mut WebSocket,
    feed: &mut Feed,
    inbound: Option<&Inbound>,
    keep_alive: Duration,
    stop: &mut Stop,
) -> End {
    let allow = || inbound.iter().for_each(|inbound| inbound.allow(MAX_INBOUND_BYTES));
    allow();
    let mut pings = interval_at(Moment::now() + keep_alive, keep_alive);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut unanswered, mut heard) = (0, 0);
    loop {
        let message = tokio::select! {
            told = feed.next() => match told {
                Some(told) => Message::text(text(&told)),
                None if feed.is_erased() => return End::Close(close_code::NORMAL, "the session is erased"),
                None => return STOPPING,
            },
            _ = pings.tick() => {
                if unanswered == MAX_UNANSWERED {
                    return End::Close(close_code::POLICY, "two pings are not answered");
                }
                (unanswered, heard) = (unanswered + 1, 0);
                allow();
                Message::Ping(Default::default())
            }
            message = socket.recv() => {
                heard += 1;
                match message {
                    Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                        return End::Close(close_code::UNSUPPORTED, "this socket takes no messages");
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) if heard > MAX_MESSAGES => {
                        return End::Close(close_code::POLICY, "too many pings");
                    }
                    // Pings are answered below us.
                    Some(Ok(Message::Ping(_))) => {}
                    Some(Ok(Message::Pong(_))) => unanswered = 0,
                    Some(Ok(Message::Close(_))) | None => return End::Gone,
                    Some(Err(_)) => return End::Close(close_code::POLICY, "not what a client may send here"),
                }
                continue;
            }
        };
        // A client that reads nothing is cut off by the bound on unread answers.
        let sent = tokio::select! {
            sent = socket.send(message) => sent,
            () = stop.given() => return STOPPING,
        };
        if sent.is_err() {
            return End::Gone;
        }
    }
}

/// `data` is JSON already, and an id needs no escapes.
fn text(Told { name, id, data }: &Told) -> String {
    let id = id.as_ref().map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
    format!(r#"{{"type":"{name}",{id}"data":{data}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_json_with_and_without_an_id() {
        let told = |id: Option<&str>| Told { name: "freshness", id: id.map(str::to_owned), data: "{}".to_owned() };
        for (told, expected) in [
            (told(None), serde_json::json!({"type": "freshness", "data": {}})),
            (told(Some("1-a")), serde_json::json!({"type": "freshness", "id": "1-a", "data": {}})),
        ] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text(&told)).unwrap(), expected);
        }
    }
}
