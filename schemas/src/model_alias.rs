//! Which model an alias stands for. Value of topic `models`, key: the alias. A record's offset is the model epoch, less
//! one: epoch 0 is the model that the configuration names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The alias of the model that values.
pub const CHAMPION: &str = "champion";
/// The alias of the model that may become it.
pub const CANDIDATE: &str = "candidate";

/// One version of one model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

impl ModelName {
    /// Reads `<name>/<version>`; `None` unless both are plain names.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.split_once('/')?;
        Some(Self { name: name.to_owned(), version: version.to_owned() }).filter(Self::is_plain)
    }

    /// Whether both are plain names: they become directories, and must not lead out of the registry.
    pub fn is_plain(&self) -> bool {
        [&self.name, &self.version].iter().all(|part| {
            !part.is_empty()
                && part.len() <= 64
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        })
    }
}

/// The model epoch that a record of `models` at this offset starts.
pub const fn epoch_of(offset: u64) -> u64 {
    offset + 1
}
