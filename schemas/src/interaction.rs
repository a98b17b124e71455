//! What a session did with a listing: the value of topic `interactions`. Recorded for analysis; nothing reads it to score.
//!
//! RESO calls this Internet Tracking: the words are those of its `EventType` and `ActorType`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ListingId, SessionId};
use crate::units::Instant;
use crate::vocabulary::{ActorType, EventType};

/// One interaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interaction {
    /// Whose.
    pub session_id: SessionId,
    /// With what.
    pub listing_id: ListingId,
    /// RESO `EventType`.
    pub event_type: EventType,
    /// RESO `EventTimestamp`: when, by the client's word, else when it was received.
    pub event_timestamp: Instant,
    /// RESO `ActorType`, by the client's word.
    pub actor_type: ActorType,
}

impl Interaction {
    /// The JSON of a record.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts alone: nothing in it can fail to be written.
        serde_json::to_vec(self).expect("interactions are JSON")
    }
}
