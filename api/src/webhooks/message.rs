//! What webhooks are told, as JSON. Pure. Who is told when is `schedule.rs`.

use schemas::id::SessionId;
use schemas::recommendation::{RecommendationEvent, RecommendedItem};
use schemas::units::Instant;
use serde::Serialize;

/// The picks of a session are others now.
const CHANGED: &str = "recommendations.changed";
/// The session was erased, or has ended.
const ERASED: &str = "session.erased";
/// Its owner wants to know whether the receiver is there.
const PING: &str = "ping";

#[derive(Serialize)]
struct Message<D> {
    r#type: &'static str,
    /// When it happened.
    timestamp: Instant,
    data: D,
}

#[derive(Serialize)]
struct Picks<'a> {
    session_id: SessionId,
    /// The statement that this answers.
    preference_version: u64,
    /// Grows with every change of the items.
    version: i64,
    /// As the id of the event on a stream.
    event_id: String,
    items: &'a [RecommendedItem],
}

#[derive(Serialize)]
struct OfSession {
    session_id: SessionId,
}

#[derive(Serialize)]
struct OfWebhook<'a> {
    webhook_id: &'a str,
}

/// A change of a session's picks.
pub fn changed(event: &RecommendationEvent, at: Instant) -> Vec<u8> {
    let RecommendationEvent { session_id, write_timestamp, items_hash, recommendation, .. } = event;
    let data = Picks {
        session_id: *session_id,
        preference_version: recommendation.preference_version,
        version: *write_timestamp,
        event_id: format!("{write_timestamp}-{items_hash}"),
        items: &recommendation.items,
    };
    json(CHANGED, at, data)
}

/// The end of a session.
pub fn erased(session_id: SessionId, at: Instant) -> Vec<u8> {
    json(ERASED, at, OfSession { session_id })
}

/// A try.
pub fn ping(webhook_id: &str, at: Instant) -> Vec<u8> {
    json(PING, at, OfWebhook { webhook_id })
}

fn json(r#type: &'static str, timestamp: Instant, data: impl Serialize) -> Vec<u8> {
    // Cannot fail: texts and numbers under names.
    serde_json::to_vec(&Message { r#type, timestamp, data }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_message_says_what_happened_to_whom_and_when() {
        let session = SessionId::from_bits(7);
        let at = Instant::from_ms(1_796_000_000_000).unwrap();
        let event: RecommendationEvent = serde_json::from_value(json!({
            "session_id": session, "write_timestamp": 9, "items_hash": "00000000000000aa",
            "recommendation": {"preference_version": 3, "items": []},
        }))
        .unwrap();
        let read = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).unwrap();
        let time = "2026-11-30T00:53:20.000Z";
        assert_eq!(
            read(changed(&event, at)),
            json!({"type": "recommendations.changed", "timestamp": time, "data": {
                "session_id": session, "preference_version": 3, "version": 9, "event_id": "9-00000000000000aa", "items": [],
            }})
        );
        assert_eq!(
            read(erased(session, at)),
            json!({"type": "session.erased", "timestamp": time, "data": {"session_id": session}})
        );
        assert_eq!(read(ping("ab", at)), json!({"type": "ping", "timestamp": time, "data": {"webhook_id": "ab"}}));
    }
}
