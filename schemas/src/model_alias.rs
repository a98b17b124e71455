//! Which models value: topic `models`, key: the alias.
//!
//! The record of the champion says all that users see: who values, in which order, and which part of the listings a
//! candidate values on trial. Its offset is the model epoch, less one: epoch 0 is what the configuration names. The
//! record of the candidate says who values in shadow; it changes nothing that users see, and so no epoch. Its tombstone
//! withdraws the candidate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The alias of the model that values.
pub const CHAMPION: &str = "champion";
/// The alias of the model that may become it: the value is its [`ModelName`].
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

/// Most models that value in turn: each is held in memory, and its level followed.
pub const MAX_ORDER: usize = 8;

/// Who values, in order: the first that covers a home and has what it requires of it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Name of the first.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who is asked where those before have nothing to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<ModelName>,
}

impl Order {
    /// One model, and no other.
    pub fn of(model: ModelName) -> Self {
        Self { name: model.name, version: model.version, fallbacks: Vec::new() }
    }

    /// `None` of no models.
    pub fn of_all(models: impl IntoIterator<Item = ModelName>) -> Option<Self> {
        let mut models = models.into_iter();
        let first = Self::of(models.next()?);
        Some(Self { fallbacks: models.collect(), ..first })
    }

    /// All of them, the first one first.
    pub fn models(&self) -> Vec<ModelName> {
        let first = ModelName { name: self.name.clone(), version: self.version.clone() };
        std::iter::once(first).chain(self.fallbacks.iter().cloned()).collect()
    }

    /// What is wrong with it: a model twice, or too many.
    pub fn fault(&self) -> Option<String> {
        let models = self.models();
        if models.len() > MAX_ORDER {
            return Some(format!("{} models (expected at most {MAX_ORDER})", models.len()));
        }
        let twice = models.iter().enumerate().find(|(at, model)| models[..*at].contains(model));
        twice.map(|(_, model)| format!("{model} is named twice"))
    }
}

impl std::fmt::Display for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.models().iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", then "))
    }
}

/// A candidate that values a part of the listings for users, chosen by a hash of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Name of the candidate.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Of the listings that it covers, 1 to 99.
    pub share_percent: u8,
}

impl Trial {
    /// The candidate.
    pub fn model(&self) -> ModelName {
        ModelName { name: self.name.clone(), version: self.version.clone() }
    }
}

/// What users see: the value of the champion's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Champion {
    /// Name of the model that values.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who is asked where those before have nothing to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<ModelName>,
    /// Who else values a part of the listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Who valued before: where a rollback leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Order>,
}

impl Champion {
    /// These value, after those that are replaced.
    pub fn of(order: Order, replaced: Option<Order>) -> Self {
        Self { name: order.name, version: order.version, fallbacks: order.fallbacks, trial: None, replaced }
    }

    /// Who values, in order.
    pub fn order(&self) -> Order {
        Order { name: self.name.clone(), version: self.version.clone(), fallbacks: self.fallbacks.clone() }
    }

    /// What is wrong with it, beyond its shape.
    pub fn fault(&self) -> Option<String> {
        let share = |trial: &Trial| {
            let share = trial.share_percent;
            (!(1..=99).contains(&share)).then(|| format!("share_percent is {share} (expected 1 to 99)"))
        };
        self.order().fault().or_else(|| self.trial.as_ref().and_then(share))
    }
}

/// The model epoch that a record of `models` at this offset starts.
pub const fn epoch_of(offset: u64) -> u64 {
    offset + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> ModelName {
        ModelName::parse(text).unwrap()
    }

    #[test]
    fn a_champion_is_read_with_and_without_what_it_need_not_say() {
        let old: Champion = serde_json::from_str(r#"{"name": "m", "version": "1"}"#).unwrap();
        assert_eq!((old.order().to_string(), old.replaced.clone()), ("m/1".to_owned(), None));
        let order = Order::of_all(["m/2", "us/1"].map(model)).unwrap();
        let mut new = Champion::of(order, Some(old.order()));
        new.trial = Some(Trial { name: "m".to_owned(), version: "3".to_owned(), share_percent: 10 });
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(
            text,
            r#"{"name":"m","version":"2","fallbacks":[{"name":"us","version":"1"}],"#.to_owned()
                + r#""trial":{"name":"m","version":"3","share_percent":10},"replaced":{"name":"m","version":"1"}}"#
        );
        assert_eq!(serde_json::from_str::<Champion>(&text).unwrap(), new);
        assert_eq!((new.order().to_string(), new.fault()), ("m/2, then us/1".to_owned(), None));
        assert!(serde_json::from_str::<Champion>(r#"{"name": "m", "version": "1", "to": 3}"#).is_err());
    }

    #[test]
    fn an_order_names_no_model_twice_and_not_too_many() {
        assert_eq!(Order::of_all([]), None);
        let twice = Order::of_all(["m/1", "us/1", "m/1"].map(model)).unwrap();
        assert_eq!(twice.fault().unwrap(), "m/1 is named twice");
        let many = Order::of_all((0..=MAX_ORDER).map(|version| model(&format!("m/{version}")))).unwrap();
        assert_eq!(many.fault().unwrap(), "9 models (expected at most 8)");
        let mut champion = Champion::of(Order::of(model("m/1")), None);
        champion.trial = Some(Trial { name: "m".to_owned(), version: "2".to_owned(), share_percent: 0 });
        assert_eq!(champion.fault().unwrap(), "share_percent is 0 (expected 1 to 99)");
    }
}
