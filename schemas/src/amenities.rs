//! Amenity words: at most 64, with synonyms, so that a listing's amenities are one 64-bit set.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field_error::{Fault, FieldError};

/// The words, in bit order, each with its synonyms. Append only: the bit is part of every stored set... of this process
/// alone; on the wire a set is a list of words.
pub const WORDS: &[(&str, &[&str])] = &[
    ("pool", &["swimming pool", "private pool", "pool private", "inground pool", "swimming_pool"]),
    ("garage", &["attached garage", "garage parking", "garage_1_or_more", "garage_2_or_more", "garage_3_or_more"]),
];

/// A set of amenities that roost knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AmenitySet(u64);

impl AmenitySet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    /// Bit i is word i of [`WORDS`].
    pub const fn bits(self) -> u64 {
        self.0
    }
    /// Whether it holds nothing.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if hands a reference")]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
    /// Whether `self` holds all of `other`.
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// How many.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }
    /// In both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// In either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// The words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        WORDS.iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, (word, _))| *word)
    }
    /// The set of one word or synonym, in any case and with any separators; `None` if unknown.
    pub fn of_word(text: &str) -> Option<Self> {
        let (mut letters, mut length) = ([0; MAX_LETTERS], 0);
        for letter in letters_of(text) {
            *letters.get_mut(length)? = letter;
            length += 1;
        }
        BY_LETTERS.get(&letters[..length]).copied()
    }
    /// The set of these words; the first unknown one is an error that lists the known ones.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, FieldError> {
        words.into_iter().try_fold(Self::EMPTY, |set, word| match Self::of_word(word) {
            Some(one) => Ok(set.or(one)),
            None => {
                let known: Vec<_> = WORDS.iter().map(|(w, _)| *w).collect();
                Err(FieldError::new("amenities", word, Fault::UnknownWord, format!("one of {}", known.join(", "))))
            }
        })
    }
}

/// Longer than every word and synonym.
const MAX_LETTERS: usize = 48;

/// Every word and synonym by its letters and digits alone.
static BY_LETTERS: LazyLock<FxHashMap<Vec<u8>, AmenitySet>> = LazyLock::new(|| {
    let spellings = |(word, synonyms): &(&'static str, &'static [&'static str])| {
        std::iter::once(*word)
            .chain(synonyms.iter().copied())
            .map(|text| letters_of(text).collect())
            .collect::<Vec<_>>()
    };
    let sets = (0..).map(|bit| AmenitySet(1 << bit));
    sets.zip(WORDS).flat_map(|(set, word)| spellings(word).into_iter().map(move |letters| (letters, set))).collect()
});

fn letters_of(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase())
}

impl Serialize for AmenitySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}
impl<'de> Deserialize<'de> for AmenitySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        Self::of_words(words.iter().map(String::as_str)).map_err(serde::de::Error::custom)
    }
}
impl JsonSchema for AmenitySet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AmenitySet".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
        schemars::json_schema!({"type": "array", "items": {"type": "string", "enum": words}, "uniqueItems": true})
    }
}
