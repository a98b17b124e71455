//! Which model an alias stands for: topic `models`, key: the alias. A record's offset is the model epoch, less
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

/// What an alias stands for: the value of topic `models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// Name of the model.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it stood for before: where a rollback leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ModelName>,
}

impl Alias {
    /// Stands for `model`, after it stood for `replaced`.
    pub fn of(model: ModelName, replaced: ModelName) -> Self {
        Self { name: model.name, version: model.version, replaced: Some(replaced) }
    }

    /// The model.
    pub fn model(&self) -> ModelName {
        ModelName { name: self.name.clone(), version: self.version.clone() }
    }
}

/// The model epoch that a record of `models` at this offset starts.
pub const fn epoch_of(offset: u64) -> u64 {
    offset + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_read_with_and_without_what_it_replaced() {
        let old: Alias = serde_json::from_str(r#"{"name": "m", "version": "1"}"#).unwrap();
        assert_eq!((old.model().to_string(), old.replaced.clone()), ("m/1".to_owned(), None));
        let new = Alias::of(ModelName::parse("m/2").unwrap(), old.model());
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(text, r#"{"name":"m","version":"2","replaced":{"name":"m","version":"1"}}"#);
        assert_eq!(serde_json::from_str::<Alias>(&text).unwrap(), new);
        assert!(serde_json::from_str::<Alias>(r#"{"name": "m", "version": "1", "to": 3}"#).is_err());
    }
}
