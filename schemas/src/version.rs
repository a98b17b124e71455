//! The order of statements about one listing. Carried unchanged from ingest on; the greatest wins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which statement about a listing is newer. Compared field by field, in this order (DESIGN §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListingVersion {
    /// RESO `ModificationTimestamp`, else the raw record's append time; milliseconds since 1970 UTC.
    pub timestamp_ms: i64,
    /// Partition of the raw record.
    pub raw_partition: u32,
    /// Offset of the raw record.
    pub raw_offset: u64,
    /// Index within the raw record's batch, 0 for a single object.
    pub batch_index: u32,
    /// Epoch of the model roll-out that re-priced the listing, 0 as ingest makes it.
    #[serde(default)]
    pub model_epoch: u64,
}

impl ListingVersion {
    /// The same statement before any model roll-out touched it: what identifies the raw record.
    #[must_use]
    pub const fn without_epoch(self) -> Self {
        Self { model_epoch: 0, ..self }
    }
}
