//! Amenity words: at most 64, with synonyms, so that a listing's amenities are one 64-bit set.
//!
//! What a home seeker filters on. Floor coverings, appliances and adjectives that nobody filters on stay tags: a listing
//! keeps them (`other_amenities`), a preference refuses them.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field_error::{Fault, FieldError};
use crate::nearest::nearest;

/// The words, in bit order, each with its synonyms: portals' tags, values of RESO's feature lists, RESO's yes-or-no
/// members. Case, blanks and punctuation do not count. A bit means something within one process only, on the wire a set
/// is a list of words; still append, so that lists keep their order.
pub const WORDS: &[(&str, &[&str])] = &[
    (
        "pool",
        &[
            "swimming pool",
            "private pool",
            "pool private",
            "inground pool",
            "pool in ground",
            "above ground pool",
            "heated pool",
            "PoolPrivateYN",
        ],
    ),
    (
        "garage",
        &[
            "garages",
            "attached garage",
            "detached garage",
            "garage attached",
            "garage detached",
            "garage parking",
            "garage 1 or more",
            "garage 2 or more",
            "garage 3 or more",
            "one car garage",
            "two car garage",
            "three car garage",
            "GarageYN",
            "AttachedGarageYN",
        ],
    ),
    (
        "view",
        &[
            "views",
            "scenic view",
            "stunning views",
            "breathtaking views",
            "territorial view",
            "panoramic view",
            "golf course view",
            "golf view",
            "ViewYN",
        ],
    ),
    (
        "waterfront",
        &[
            "waterfront property",
            "beachfront",
            "oceanfront",
            "lakefront",
            "riverfront",
            "canal front",
            "bay front",
            "WaterfrontYN",
        ],
    ),
    (
        "fireplace",
        &[
            "fireplaces",
            "gas fireplace",
            "wood burning fireplace",
            "wood fireplace",
            "electric fireplace",
            "FireplaceYN",
        ],
    ),
    (
        "air_conditioning",
        &[
            "air conditioner",
            "air conditioned",
            "aircon",
            "ac",
            "central air",
            "central ac",
            "central air conditioning",
            "central cooling",
            "cooling",
            "ductless",
            "mini split",
            "heat pump",
            "wall unit",
            "window unit",
            "wall/window unit(s)",
            "evaporative cooling",
            "CoolingYN",
        ],
    ),
    ("balcony", &["balconies", "juliet balcony", "private balcony", "loggia"]),
    (
        "gym",
        &[
            "fitness center",
            "fitness centre",
            "exercise room",
            "fitness room",
            "workout room",
            "home gym",
            "community gym",
            "fitness",
        ],
    ),
    ("elevator", &["elevators", "lift", "community elevator", "building elevator", "private elevator"]),
    ("garden", &["gardens", "private garden", "roof garden", "community garden", "garden area"]),
    (
        "basement",
        &[
            "finished basement",
            "full basement",
            "unfinished basement",
            "partial basement",
            "daylight basement",
            "walk out basement",
            "walk out access",
            "BasementYN",
        ],
    ),
    (
        "solar_panels",
        &["solar", "solar panel", "solar power", "solar system", "solar energy", "photovoltaics", "photovoltaic", "pv"],
    ),
    ("carport", &["carports", "attached carport", "detached carport", "covered parking", "CarportYN"]),
    (
        "parking",
        &[
            "off street parking",
            "private parking",
            "parking space",
            "assigned parking",
            "parking lot",
            "driveway",
            "driveway parking",
            "guest parking",
            "OpenParkingYN",
        ],
    ),
    (
        "ev_charging",
        &[
            "ev charger",
            "ev charging station",
            "electric vehicle charging",
            "electric vehicle charging station(s)",
            "car charging station(s)",
            "charging station",
            "tesla charger",
        ],
    ),
    ("rv_parking", &["rv access", "rv access/parking", "rv garage", "rv or boat parking", "rv hookup", "boat parking"]),
    (
        "heating",
        &[
            "central heat",
            "central heating",
            "forced air",
            "forced air heating",
            "baseboard heating",
            "radiant floor",
            "radiant heat",
            "underfloor heating",
            "floor heating",
            "HeatingYN",
        ],
    ),
    ("spa", &["hot tub", "spa or hot tub", "jacuzzi", "whirlpool", "private spa", "SpaYN"]),
    ("sauna", &["steam room"]),
    ("community_pool", &["community swimming pool", "shared pool", "association pool"]),
    (
        "tennis_court",
        &[
            "tennis",
            "tennis courts",
            "community tennis court",
            "private tennis court",
            "pickleball",
            "pickleball court",
            "pickle ball courts",
        ],
    ),
    (
        "golf_course",
        &[
            "golf",
            "community golf",
            "golf community",
            "golf course lot or frontage",
            "golf course within development",
            "on golf course",
        ],
    ),
    (
        "clubhouse",
        &["community clubhouse", "community center", "community room", "recreation room", "recreation facilities"],
    ),
    ("playground", &["playgrounds", "tot lot", "childrens play area"]),
    ("park", &["community park", "parks", "greenbelt", "near park"]),
    ("trails", &["trail", "walking trails", "hiking trails", "jogging path", "biking path", "jogging/biking path"]),
    (
        "mountain_view",
        &["mountain views", "mountain(s)", "mountain vistas", "hill or mountain view", "view of mountains"],
    ),
    (
        "water_view",
        &[
            "water views",
            "ocean view",
            "sea view",
            "lake view",
            "river view",
            "bay view",
            "sound view",
            "lagoon view",
            "view of water",
        ],
    ),
    ("city_view", &["city views", "city lights", "skyline view", "downtown view"]),
    (
        "patio",
        &[
            "patios",
            "covered patio",
            "patio covered",
            "terrace",
            "roof terrace",
            "courtyard",
            "private courtyard",
            "lanai",
        ],
    ),
    ("deck", &["decks", "sun deck", "rooftop deck", "roof deck", "wood deck"]),
    ("porch", &["front porch", "covered porch", "screened porch", "back porch", "wrap around porch", "veranda"]),
    ("yard", &["backyard", "private yard", "private backyard", "big yard", "beautiful backyard", "front yard"]),
    ("fenced_yard", &["fenced", "fencing", "fenced backyard", "fully fenced", "privacy fence"]),
    ("large_lot", &["big lot", "oversized lot", "acreage"]),
    ("outdoor_kitchen", &["built in barbecue", "outdoor grill", "bbq", "barbecue", "built in bbq"]),
    ("fire_pit", &["outdoor fireplace"]),
    ("furnished", &["fully furnished", "furniture", "furniture included", "turnkey furnished"]),
    (
        "pets_allowed",
        &[
            "pets",
            "pet friendly",
            "pets ok",
            "pets welcome",
            "cats ok",
            "dogs ok",
            "cats allowed",
            "dogs allowed",
            "cats and dogs allowed",
            "small dogs ok",
            "large dogs ok",
        ],
    ),
    (
        "washer_dryer",
        &["washer and dryer", "in unit laundry", "laundry in unit", "washer dryer in unit", "washer dryer included"],
    ),
    ("laundry_room", &["laundry", "utility room", "individual laundry room", "washer hookup", "washer dryer hookup"]),
    ("dishwasher", &[]),
    ("walk_in_closet", &["walk in closets"]),
    (
        "hardwood_floors",
        &["hardwood", "hardwood floor", "hardwood flooring", "wood floors", "wood flooring", "parquet"],
    ),
    (
        "high_ceilings",
        &[
            "high ceiling",
            "vaulted ceiling",
            "vaulted ceilings",
            "cathedral ceiling",
            "cathedral ceilings",
            "coffer ceiling",
        ],
    ),
    (
        "open_floor_plan",
        &["open plan", "open concept", "open concept floor plan", "open concept living", "open kitchen"],
    ),
    ("home_office", &["office", "den or office", "study", "library", "den"]),
    ("media_room", &["home theater", "home theatre", "theater room", "home cinema"]),
    ("wine_cellar", &["wine storage", "wine room", "wine refrigerator"]),
    (
        "guest_house",
        &[
            "detached guest house",
            "guest quarters",
            "casita",
            "adu",
            "accessory dwelling unit",
            "in law suite",
            "mother in law suite",
            "granny flat",
        ],
    ),
    ("single_story", &["one story", "single level", "one level", "ranch style", "bungalow"]),
    (
        "wheelchair_accessible",
        &[
            "wheelchair access",
            "accessible",
            "disability features",
            "accessible entrance",
            "accessible full bath",
            "step free",
            "step free access",
        ],
    ),
    ("gated_community", &["gated", "gated entry", "security gate"]),
    (
        "security_system",
        &["security", "alarm", "alarm system", "community security features", "burglar alarm", "security system owned"],
    ),
    ("concierge", &["doorman", "door attendant", "front desk", "24 hour concierge"]),
    ("storage", &["storage room", "storage space", "extra storage", "storage unit"]),
    ("new_construction", &["new build", "newly built", "brand new", "NewConstructionYN"]),
    ("smart_home", &["smart homes", "home automation", "smart thermostat"]),
    ("energy_efficient", &["efficient", "eco friendly", "energy star", "leed", "green building"]),
    ("senior_community", &["55+", "55 plus", "active adult", "adult community", "age restricted", "SeniorCommunityYN"]),
];

/// What a tag of a listing says beside itself: the narrower word, and the wider one that is then true too.
const IMPLIED: &[(&str, &str)] =
    &[("mountain_view", "view"), ("water_view", "view"), ("city_view", "view"), ("fenced_yard", "yard")];

/// Longest spelling of a word, in letters and digits; a longer text is no word.
const MAX_LETTERS: usize = 48;

/// A set of amenities that roost knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AmenitySet(u64);

impl AmenitySet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// The set with these bits; bits that no word has are dropped.
    pub const fn from_bits(bits: u64) -> Self {
        const KNOWN: u64 = u64::MAX >> (64 - WORDS.len());
        Self(bits & KNOWN)
    }
    /// Bit i is word i of [`WORDS`].
    pub const fn bits(self) -> u64 {
        self.0
    }
    /// Whether it holds nothing.
    pub const fn is_empty(self) -> bool {
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
        let mut letters = [0; MAX_LETTERS];
        let key = normalise(text, &mut letters)?;
        BITS.get(key).map(|bit| Self(1 << bit))
    }
    /// What a tag of a listing says: its word, and what that implies (a view of water is a view).
    pub fn of_tag(text: &str) -> Option<Self> {
        Self::of_word(text).map(|set| Self(set.0 | WIDER[set.0.trailing_zeros() as usize]))
    }
    /// The set of these words; the first unknown one is an error that names the nearest known one.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, FieldError> {
        words.into_iter().try_fold(Self::EMPTY, |set, word| {
            Self::of_word(word).map(|one| set.or(one)).ok_or_else(|| Self::unknown(word))
        })
    }
    /// What is wrong with a word that is none.
    pub(crate) fn unknown(word: &str) -> FieldError {
        let known = || WORDS.iter().map(|(word, _)| *word);
        let expected = match nearest(word, known()) {
            Some(near) => format!("a known amenity; did you mean '{near}'?"),
            None => format!("one of {}", known().collect::<Vec<_>>().join(", ")),
        };
        FieldError::new("amenities", word, Fault::UnknownWord, expected)
    }
}

/// ASCII letters and digits in lower case; `None` for a text without any, or with too many.
fn normalise<'a>(text: &str, letters: &'a mut [u8; MAX_LETTERS]) -> Option<&'a [u8]> {
    let mut len = 0;
    for byte in text.bytes().filter(u8::is_ascii_alphanumeric) {
        *letters.get_mut(len)? = byte.to_ascii_lowercase();
        len += 1;
    }
    (len > 0).then_some(&letters[..len])
}

/// From normal spelling to bit. Built once: ingest asks for every tag of every record.
static BITS: LazyLock<FxHashMap<Box<[u8]>, u8>> = LazyLock::new(|| {
    let mut letters = [0; MAX_LETTERS];
    let mut bits = FxHashMap::default();
    for (bit, (word, synonyms)) in (0..).zip(WORDS) {
        for text in std::iter::once(word).chain(*synonyms) {
            bits.extend(normalise(text, &mut letters).map(|key| (Box::from(key), bit)));
        }
    }
    bits
});

/// What each bit implies.
static WIDER: LazyLock<[u64; 64]> = LazyLock::new(|| {
    let mut wider = [0; 64];
    for (narrow, wide) in IMPLIED {
        if let (Some(narrow), Some(wide)) = (AmenitySet::of_word(narrow), AmenitySet::of_word(wide)) {
            wider[narrow.0.trailing_zeros() as usize] |= wide.0;
        }
    }
    wider
});

impl Serialize for AmenitySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.words())
    }
}
impl<'de> Deserialize<'de> for AmenitySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> serde::de::Visitor<'de> for Words {
            type Value = AmenitySet;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of amenity words")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<AmenitySet, A::Error> {
                let mut set = AmenitySet::EMPTY;
                while let Some(word) = seq.next_element::<std::borrow::Cow<'de, str>>()? {
                    set = set.or(AmenitySet::of_words([&*word]).map_err(serde::de::Error::custom)?);
                }
                Ok(set)
            }
        }
        deserializer.deserialize_seq(Words)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(set: AmenitySet) -> Vec<&'static str> {
        set.words().collect()
    }

    #[test]
    fn no_spelling_belongs_to_two_words_and_none_is_given_twice() {
        let spellings: usize = WORDS.iter().map(|(_, synonyms)| 1 + synonyms.len()).sum();
        assert_eq!(BITS.len(), spellings, "a spelling is there twice, or has more than {MAX_LETTERS} letters");
        assert!(WORDS.len() <= 64);
    }

    #[test]
    fn every_word_is_exactly_itself_on_the_wire() {
        for (bit, (word, _)) in WORDS.iter().enumerate() {
            assert_eq!(AmenitySet::of_word(word), Some(AmenitySet::from_bits(1 << bit)), "{word}");
        }
        let all = AmenitySet::from_bits(u64::MAX);
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<AmenitySet>(&json).unwrap(), all);
    }

    #[test]
    fn case_blanks_and_punctuation_do_not_count() {
        for text in ["Swimming Pool", "SWIMMING_POOL", "swimming-pool", " swimmingpool ", "PoolPrivateYN"] {
            assert_eq!(AmenitySet::of_word(text).map(words), Some(vec!["pool"]), "{text}");
        }
        for text in ["", "---", "プール", "pool ".repeat(20).as_str()] {
            assert_eq!(AmenitySet::of_word(text), None, "{text}");
        }
    }

    #[test]
    fn a_tag_says_what_its_word_implies() {
        assert_eq!(AmenitySet::of_tag("hill_or_mountain_view").map(words), Some(vec!["view", "mountain_view"]));
        assert_eq!(AmenitySet::of_word("mountain view").map(words), Some(vec!["mountain_view"]));
        for (narrow, wide) in IMPLIED {
            assert!(AmenitySet::of_word(narrow).is_some() && AmenitySet::of_word(wide).is_some(), "{narrow} {wide}");
        }
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_nearest_known_one() {
        let error = AmenitySet::of_words(["pool", "fireplce"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "amenities: fireplce is not a known word (expected a known amenity; did you mean 'fireplace'?)"
        );
        assert!(AmenitySet::of_words(["moat"]).unwrap_err().expected.starts_with("one of pool, garage,"));
    }
}
