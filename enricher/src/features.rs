//! The numbers of a listing that a model sees: the one implementation, used to train and to value.
//!
//! Pure. A missing number is `NaN`, never a guess. Deliberately absent: every price that was asked for the listing
//! (a model that sees the asking price finds every price fair).

use std::fmt;
use std::str::FromStr;

use schemas::amenities::AmenitySet;
use schemas::field_error::{Fault, FieldError};
use schemas::listing::Listing;
use schemas::priced::Commute;
use schemas::units::{Instant, Position, SchoolRating};
use schemas::vocabulary::PropertySubType;

use crate::attributes::number;
use crate::comparables::Comparison;
use crate::fair_housing;
use crate::likeness::{self, Of, SimilarPrice};
use crate::market::MarketLevel;
use crate::quadtree::distance_km;

/// A listing and what roost knows about its surroundings: all that a feature may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What the feed says.
    pub listing: &'a Listing,
    /// The feed's or the estimated way to the city centre.
    pub commute: Option<Commute>,
    /// The feed's or the operator's rating.
    pub school_rating: Option<SchoolRating>,
    /// What homes of its market sold for lately; `None` also when market context is off.
    pub level: Option<MarketLevel>,
    /// What homes near it sold for; empty where no feature asks for it.
    pub comparison: Comparison,
}

impl<'a> Subject<'a> {
    /// A listing of whose surroundings nothing is known.
    pub fn alone(listing: &'a Listing) -> Self {
        Self { listing, commute: None, school_rating: None, level: None, comparison: Comparison::default() }
    }
}

/// One built-in feature.
pub struct BuiltIn {
    /// As a manifest names it.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// What it is; read alone, without the rest of the table.
    pub meaning: &'static str,
    value: fn(&Subject<'_>) -> Option<f64>,
}

macro_rules! built_ins {
    ($($name:literal, $unit:literal, $meaning:literal, $value:expr;)+) => {
        /// Every built-in feature. This table is the documentation, and `roost features --meanings` prints it.
        pub const BUILT_INS: &[BuiltIn] = &[$(BuiltIn { name: $name, unit: $unit, meaning: $meaning, value: $value }),+];
    };
}

built_ins! {
    "living_area_sqft", "sqft", "living area", |s| s.listing.living_area_sqft.map(f64::from);
    "lot_size_sqft", "sqft", "lot", |s| s.listing.lot_size_sqft.map(f64::from);
    "bedrooms_total", "rooms", "bedrooms", bedrooms;
    "bathrooms_total", "rooms", "bathrooms, halves count as 0.5", bathrooms;
    "sqft_per_bedroom", "sqft", "living area per bedroom, a studio counts as one", |s| Some(area(s)? / bedrooms(s)?.max(1.0));
    "sqft_per_room", "sqft", "living area per bedroom and bathroom", |s| ratio(area(s)?, bedrooms(s)? + bathrooms(s)?);
    "bathrooms_per_bedroom", "ratio", "bathrooms per bedroom, a studio counts as one", |s| Some(bathrooms(s)? / bedrooms(s)?.max(1.0));
    "lot_to_living_ratio", "ratio", "lot divided by living area", |s| ratio(f64::from(s.listing.lot_size_sqft?), area(s)?);
    "year_built", "year", "year of construction", |s| s.listing.year_built.map(f64::from);
    "age_years", "years", "from construction to the statement", |s| Some(year(s) - f64::from(s.listing.year_built?));
    "effective_age_years", "years", "from construction, or the renovation that the attribute YearBuiltEffective tells, to the statement", |s| Some(year(s) - effective_year(s)?);
    "latitude", "degrees", "north", |s| Some(f64::from(s.listing.position?.latitude.steps()) / 1e5);
    "longitude", "degrees", "east", |s| Some(f64::from(s.listing.position?.longitude.steps()) / 1e5);
    "latitude_plus_longitude", "degrees", "sum of both: trees cut along the axes alone, and towns lie askew", |s| degrees(s, 1);
    "latitude_minus_longitude", "degrees", "difference of both: trees cut along the axes alone, and towns lie askew", |s| degrees(s, -1);
    "association_fee_monthly", "currency/month", "fee of the association", |s| Some(s.listing.association_fee_monthly?.cents() as f64 / 100.0);
    "commute_minutes", "minutes", "to the city centre, the feed's or estimated", |s| s.commute.map(|c| f64::from(c.minutes));
    "school_rating", "0 to 10", "rating of the schools", |s| Some(f64::from(s.school_rating?.steps()) / 10.0);
    "amenities_count", "count", "known amenities that it has", |s| s.listing.amenities.map(|a| f64::from(a.len()));
    "days_since_epoch", "days", "UTC days from 1970-01-01 to the statement", |s| Some(days(s));
    "month", "1 to 12", "month of the statement", |s| Some(f64::from(at(s).day().month()));
    "market_price_per_sqft", "currency/sqft", "median close price per area of the market's recent sales", |s| Some(s.level?.cents_per_sqft as f64 / 100.0);
    "market_sales", "count", "recent sales of the market, on which its median stands", |s| Some(s.level?.sales as f64);
    "market_recent_price_per_sqft", "currency/sqft", "median close price per area of the market's sales of the last 45 days", |s| s.comparison.market_recent_price_per_sqft;
    "comparables_price_per_sqft", "currency/sqft", "mean close price per area of the 10 nearest sales, the nearer weigh more", |s| s.comparison.price_per_sqft;
    "comparables_median_price_per_sqft", "currency/sqft", "median close price per area of the 10 nearest sales", |s| s.comparison.median_price_per_sqft;
    "comparables_distance_km", "km", "mean distance of the 10 nearest sales", |s| s.comparison.distance_km;
    "comparables_similar_price", "currency", "mean close price of the 10 nearest sales, the nearer and more alike weigh more", |s| s.comparison.similar_price;
    "comparables_wide_price_per_sqft", "currency/sqft", "median close price per area of the 30 nearest sales", |s| s.comparison.wide_price_per_sqft;
    "comparables_recent_price_per_sqft", "currency/sqft", "median close price per area of the 15 nearest sales of the last 45 days", |s| s.comparison.recent_price_per_sqft;
}

fn area(s: &Subject<'_>) -> Option<f64> {
    s.listing.living_area_sqft.map(f64::from)
}
fn bedrooms(s: &Subject<'_>) -> Option<f64> {
    s.listing.bedrooms_total.map(f64::from)
}
fn bathrooms(s: &Subject<'_>) -> Option<f64> {
    Some(f64::from(s.listing.bathrooms_total?.steps()) / 2.0)
}
/// RESO's year of the last thorough rebuilding, which no listing has a place for.
const EFFECTIVE_YEAR: &str = "YearBuiltEffective";

fn effective_year(s: &Subject<'_>) -> Option<f64> {
    let effective = s.listing.attributes.get(EFFECTIVE_YEAR).and_then(number);
    effective.filter(|year| *year > 0.0).or_else(|| s.listing.year_built.map(f64::from))
}
fn degrees(s: &Subject<'_>, sign: i32) -> Option<f64> {
    let position = s.listing.position?;
    Some(f64::from(position.latitude.steps() + sign * position.longitude.steps()) / 1e5)
}
fn at(s: &Subject<'_>) -> Instant {
    // Ingest accepts no timestamp outside the range of `Instant`.
    Instant::from_ms(s.listing.version.timestamp_ms).unwrap_or_default()
}
fn year(s: &Subject<'_>) -> f64 {
    f64::from(at(s).day().year())
}
fn days(s: &Subject<'_>) -> f64 {
    const DAY_MS: i64 = 86_400_000;
    s.listing.version.timestamp_ms.div_euclid(DAY_MS) as f64
}
fn ratio(a: f64, b: f64) -> Option<f64> {
    (b > 0.0).then(|| a / b)
}

/// One feature, by name: a built-in, or one of the forms of [`FORMS`].
#[derive(Clone)]
pub enum Feature {
    /// One of [`BUILT_INS`].
    BuiltIn(&'static BuiltIn),
    /// 1 when it is of this kind, 0 when of another, missing when the feed does not say.
    SubType(PropertySubType),
    /// 1 when it has this amenity, 0 when not, missing when the feed names none at all.
    Amenity(AmenitySet),
    /// A number, a yes/no or a numeric text that the listing carries without roost knowing it.
    Attribute(String),
    /// 1 when that attribute is this word (or a list that has it), 0 when another, missing when there is none.
    AttributeIs(String, String),
    /// Kilometres to a place, and how the manifest writes the place.
    Distance(Position, String),
    /// Mean close price of near sales, or mean price per square foot, the nearer and more alike weigh more, alike also by the
    /// feed's own numbers; and where it stands among what its list asks for.
    Similar(SimilarPrice, usize),
    /// One feature divided by another.
    Ratio(Box<[Self; 2]>),
}

/// Features that are no built-in's: a name of this form, what it is counted in, and what it is.
pub struct Form {
    /// As a manifest names one, with what varies in angle brackets.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// What it is.
    pub meaning: &'static str,
}

const SUB_TYPE: Form = Form { name: "property_sub_type.<Word>", unit: "0 or 1", meaning: "is of this kind" };
const AMENITY: Form = Form { name: "amenities.<word>", unit: "0 or 1", meaning: "has this amenity" };
const ATTRIBUTE: Form =
    Form { name: "attributes.<Member>", unit: "the feed's", meaning: "number that the feed gives under this name" };
const ATTRIBUTE_IS: Form = Form {
    name: "attributes.<Member>=<value>",
    unit: "0 or 1",
    meaning: "what the feed gives under this name is this word, or a list that has it",
};
const DISTANCE: Form =
    Form { name: "distance_km.<latitude>,<longitude>", unit: "km", meaning: "distance to this place" };
const RATIO: Form =
    Form { name: "ratio.<feature>/<feature>", unit: "ratio", meaning: "one feature divided by another" };

const SIMILAR: Form = Form {
    name: "comparables_similar_price.<neighbours>.<attribute>:<weight>[+<attribute>:<weight>…]",
    unit: "currency",
    meaning: "mean close price of so many nearest sales, the nearer and more alike, also by these numbers, weigh more",
};
const SIMILAR_PER_SQFT: Form = Form {
    name: "comparables_similar_price_per_sqft.<neighbours>.<attribute>:<weight>[+<attribute>:<weight>…]",
    unit: "currency/sqft",
    meaning: "mean close price per square foot of so many nearest sales, the nearer and more alike, also by these numbers, weigh more",
};

/// The forms of the names that are no built-in's.
pub const FORMS: [&Form; 8] =
    [&SUB_TYPE, &AMENITY, &ATTRIBUTE, &ATTRIBUTE_IS, &DISTANCE, &RATIO, &SIMILAR, &SIMILAR_PER_SQFT];

impl Feature {
    /// Its value for a listing; `NaN` when missing.
    pub fn of(&self, subject: &Subject<'_>) -> f32 {
        self.value(subject).map(|v| v as f32).filter(|v| v.is_finite()).unwrap_or(f32::NAN)
    }

    fn value(&self, subject: &Subject<'_>) -> Option<f64> {
        let flag = |yes: bool| if yes { 1.0 } else { 0.0 };
        let attribute = |name: &str| subject.listing.attributes.get(name);
        match self {
            Self::BuiltIn(built_in) => (built_in.value)(subject),
            Self::SubType(word) => subject.listing.property_sub_type.map(|is| flag(is == *word)),
            Self::Amenity(word) => subject.listing.amenities.map(|has| flag(has.contains_all(*word))),
            Self::Attribute(name) => attribute(name).and_then(number),
            Self::AttributeIs(name, word) => attribute(name).map(|value| flag(is_word(value, word))),
            Self::Distance(place, _) => subject.listing.position.map(|position| distance_km(*place, position)),
            Self::Similar(_, at) => subject.comparison.asked.get(*at).copied().flatten(),
            Self::Ratio(parts) => Some(parts[0].value(subject)? / parts[1].value(subject)?),
        }
    }

    /// What it is counted in, and what it is.
    pub const fn unit_and_meaning(&self) -> (&'static str, &'static str) {
        let form = match self {
            Self::BuiltIn(built_in) => return (built_in.unit, built_in.meaning),
            Self::SubType(_) => &SUB_TYPE,
            Self::Amenity(_) => &AMENITY,
            Self::Attribute(_) => &ATTRIBUTE,
            Self::AttributeIs(..) => &ATTRIBUTE_IS,
            Self::Distance(..) => &DISTANCE,
            Self::Ratio(_) => &RATIO,
            Self::Similar(similar, _) => match similar.of() {
                Of::Price => &SIMILAR,
                Of::PricePerSqft => &SIMILAR_PER_SQFT,
            },
        };
        (form.unit, form.meaning)
    }

    /// The members of a feed's own that it sees.
    fn attributes(&self) -> Vec<&str> {
        match self {
            Self::BuiltIn(built_in) if built_in.name == "effective_age_years" => vec![EFFECTIVE_YEAR],
            Self::BuiltIn(_) | Self::SubType(_) | Self::Amenity(_) | Self::Distance(..) => Vec::new(),
            Self::Attribute(name) | Self::AttributeIs(name, _) => vec![name],
            Self::Similar(similar, _) => similar.weights().iter().map(|(name, _)| name.as_str()).collect(),
            Self::Ratio(parts) => parts.iter().flat_map(Self::attributes).collect(),
        }
    }

    /// Whether it needs to know what homes nearby sold for.
    fn compares(&self) -> bool {
        match self {
            Self::BuiltIn(built_in) => {
                built_in.name.starts_with("comparables_") || built_in.name == "market_recent_price_per_sqft"
            }
            Self::Similar(..) => true,
            Self::Ratio(parts) => parts.iter().any(Self::compares),
            Self::SubType(_) | Self::Amenity(_) | Self::Attribute(_) | Self::AttributeIs(..) | Self::Distance(..) => {
                false
            }
        }
    }

    /// Puts what it asks of comparables into a list, each question once, and remembers where it stands.
    fn ask(&mut self, asked: &mut Vec<SimilarPrice>) {
        match self {
            Self::Similar(similar, at) => {
                *at = asked.iter().position(|other| other == similar).unwrap_or_else(|| {
                    asked.push(similar.clone());
                    asked.len() - 1
                });
            }
            Self::Ratio(parts) => parts.iter_mut().for_each(|part| part.ask(asked)),
            Self::BuiltIn(_)
            | Self::SubType(_)
            | Self::Amenity(_)
            | Self::Attribute(_)
            | Self::AttributeIs(..)
            | Self::Distance(..) => {}
        }
    }
}

fn is_word(value: &serde_json::Value, word: &str) -> bool {
    match value {
        serde_json::Value::String(text) => text.trim() == word,
        serde_json::Value::Number(number) => number.to_string() == word,
        serde_json::Value::Bool(yes) => yes.to_string() == word,
        serde_json::Value::Array(values) => values.iter().any(|value| is_word(value, word)),
        serde_json::Value::Null | serde_json::Value::Object(_) => false,
    }
}

/// The members of a listing whose number a feature is, by feature and by RESO name.
const MEMBERS: [(&str, &str); 7] = [
    ("living_area_sqft", "LivingArea"),
    ("lot_size_sqft", "LotSizeArea"),
    ("bedrooms_total", "BedroomsTotal"),
    ("bathrooms_total", "BathroomsTotalDecimal"),
    ("year_built", "YearBuilt"),
    ("latitude", "Latitude"),
    ("longitude", "Longitude"),
];

/// What a listing that lacks a feature of `required` has to say, by RESO name; a feature that is made of more than one member
/// by its own name.
pub fn missing_members(required: &[String], listing: &Listing) -> Vec<String> {
    let subject = Subject::alone(listing);
    let has = |name: &str| name.parse().is_ok_and(|feature: Feature| !feature.of(&subject).is_nan());
    let names = required.iter().filter_map(|name| match MEMBERS.iter().find(|(feature, _)| feature == name) {
        Some((feature, member)) => (!has(feature)).then_some(*member),
        None => Some(name),
    });
    names.map(str::to_owned).collect()
}

impl FromStr for Feature {
    type Err = FieldError;
    fn from_str(name: &str) -> Result<Self, FieldError> {
        if let Some(built_in) = BUILT_INS.iter().find(|b| b.name == name) {
            return Ok(Self::BuiltIn(built_in));
        }
        let refused = |fault, expected: String| FieldError::new("features", name, fault, expected);
        let fair = |of_home: &str, value| match fair_housing::ground_against(of_home, value) {
            None => Ok(()),
            Some(ground) => {
                let expected =
                    format!("features of homes: by its name this one tells {ground}, and no price may depend on that");
                Err(refused(Fault::OutOfRange, expected))
            }
        };
        let similar = |of, written| {
            let similar = SimilarPrice::read(of, written).map_err(|expected| refused(Fault::OutOfRange, expected))?;
            similar.weights().iter().try_for_each(|(attribute, _)| fair(attribute, None))?;
            Ok(Self::Similar(similar, 0))
        };
        match name.split_once('.') {
            Some(("property_sub_type", word)) => word.parse().map(Self::SubType).map_err(|e| e.named("features")),
            Some(("amenities", word)) => {
                fair(word, None)?;
                AmenitySet::of_words([word]).map(Self::Amenity).map_err(|e| e.named("features"))
            }
            Some(("attributes", member)) if !member.is_empty() => {
                let (member, value) =
                    member.split_once('=').map_or((member, None), |(name, value)| (name, Some(value)));
                fair(member, value)?;
                Ok(match value {
                    None => Self::Attribute(member.to_owned()),
                    Some(value) => Self::AttributeIs(member.to_owned(), value.trim().to_owned()),
                })
            }
            Some(("distance_km", place)) => {
                place_of(place).map(|position| Self::Distance(position, place.to_owned())).ok_or_else(|| {
                    refused(Fault::BadType, "a place in degrees such as distance_km.47.61,-122.33".to_owned())
                })
            }
            Some(("comparables_similar_price", written)) => similar(Of::Price, written),
            Some(("comparables_similar_price_per_sqft", written)) => similar(Of::PricePerSqft, written),
            Some(("ratio", features)) => match features.split_once('/') {
                Some((a, b)) if !a.starts_with("ratio.") && !b.starts_with("ratio.") => {
                    Ok(Self::Ratio(Box::new([a.parse()?, b.parse()?])))
                }
                _ => Err(refused(
                    Fault::BadType,
                    "two features that are no ratios, ratio.<feature>/<feature>".to_owned(),
                )),
            },
            _ => {
                let built_ins: Vec<_> = BUILT_INS.iter().map(|b| b.name).collect();
                let forms = FORMS.map(|form| form.name);
                Err(refused(Fault::UnknownWord, format!("one of {}, or {}", built_ins.join(", "), forms.join(", "))))
            }
        }
    }
}

/// Reads `<latitude>,<longitude>`.
fn place_of(text: &str) -> Option<Position> {
    let (latitude, longitude) = text.split_once(',')?;
    Position::from_degrees(latitude.parse().ok()?, longitude.parse().ok()?)
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(built_in) => f.write_str(built_in.name),
            Self::SubType(word) => write!(f, "property_sub_type.{word}"),
            Self::Amenity(word) => write!(f, "amenities.{}", word.words().next().unwrap_or_default()),
            Self::Attribute(name) => write!(f, "attributes.{name}"),
            Self::AttributeIs(name, word) => write!(f, "attributes.{name}={word}"),
            Self::Distance(_, place) => write!(f, "distance_km.{place}"),
            Self::Similar(similar, _) => write!(f, "{similar}"),
            Self::Ratio(parts) => write!(f, "ratio.{}/{}", parts[0], parts[1]),
        }
    }
}
impl fmt::Debug for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feature({self})")
    }
}

/// The features of a model, in the order of its input columns.
#[derive(Clone, Debug)]
pub struct FeatureList {
    features: Vec<Feature>,
    compares: bool,
    asked: Vec<SimilarPrice>,
}

impl FeatureList {
    /// From the names of a manifest; unknown and repeated names are errors.
    pub fn named<S: AsRef<str>>(names: &[S]) -> Result<Self, FieldError> {
        for (i, name) in names.iter().enumerate() {
            if names[..i].iter().any(|before| before.as_ref() == name.as_ref()) {
                return Err(FieldError::new("features", name.as_ref(), Fault::Duplicate, "each feature once"));
            }
        }
        let list = Self::of(names.iter().map(|name| name.as_ref().parse()).collect::<Result<_, _>>()?);
        match list.asked.get(likeness::MOST_FEATURES) {
            None => Ok(list),
            Some(one_more) => {
                let expected = format!("at most {} features {}", likeness::MOST_FEATURES, likeness::FORM);
                Err(FieldError::new("features", one_more.to_string(), Fault::TooLarge, expected))
            }
        }
    }

    /// All built-in features.
    pub fn built_in() -> Self {
        Self::of(BUILT_INS.iter().map(Feature::BuiltIn).collect())
    }

    fn of(mut features: Vec<Feature>) -> Self {
        let compares = features.iter().any(Feature::compares);
        let mut asked = Vec::new();
        features.iter_mut().for_each(|feature| feature.ask(&mut asked));
        Self { features, compares, asked }
    }

    /// What the features ask of comparables beside the built-in ones, in the order of [`Comparison::asked`].
    pub fn asked(&self) -> &[SimilarPrice] {
        &self.asked
    }

    /// Whether any of them needs to know what homes nearby sold for: looking for them takes longer than all the others.
    pub const fn compares(&self) -> bool {
        self.compares
    }

    /// The members of a feed's own that some of them see.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.features.iter().flat_map(Feature::attributes)
    }

    /// How many columns.
    #[expect(clippy::len_without_is_empty, reason = "a model without features is refused when its manifest is read")]
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// The features, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Feature> {
        self.features.iter()
    }

    /// Appends the row of a listing to a matrix in row-major order.
    pub fn append_row(&self, subject: &Subject<'_>, matrix: &mut Vec<f32>) {
        matrix.extend(self.features.iter().map(|feature| feature.of(subject)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(more: serde_json::Value) -> Listing {
        let mut value = serde_json::json!({
            "listing_id": "f:1", "feed": "f", "standard_status": "Active", "property_type": "Residential",
            "version": {"timestamp_ms": 1_667_174_400_107_i64, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD",
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    fn values(names: &[&str], listing: &Listing, level: Option<MarketLevel>) -> Vec<f32> {
        let mut row = Vec::new();
        let subject = Subject { level, ..Subject::alone(listing) };
        FeatureList::named(names).unwrap().append_row(&subject, &mut row);
        row
    }

    #[test]
    fn every_name_reads_back_as_itself() {
        let extra = [
            "property_sub_type.Condominium",
            "amenities.pool",
            "attributes.Grade",
            "attributes.zipcode=98178",
            "distance_km.47.61,-122.33",
            "ratio.lot_size_sqft/attributes.sqft_lot15",
            "comparables_similar_price.30.grade:0.5+view:.25",
            "comparables_similar_price_per_sqft.30.grade:0.5",
        ];
        let of_likeness = ["", "_per_sqft"].map(|of| likeness::FORM.replace("[_per_sqft]", of));
        assert_eq!(of_likeness.each_ref().map(String::as_str), [SIMILAR.name, SIMILAR_PER_SQFT.name]);
        for name in BUILT_INS.iter().map(|b| b.name).chain(extra) {
            assert_eq!(name.parse::<Feature>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn every_built_in_and_every_form_has_a_unit_and_a_meaning_of_its_own() {
        let of_forms = [
            ("property_sub_type.Condominium", &SUB_TYPE),
            ("amenities.pool", &AMENITY),
            ("attributes.Grade", &ATTRIBUTE),
            ("attributes.zipcode=98178", &ATTRIBUTE_IS),
            ("distance_km.47.61,-122.33", &DISTANCE),
            ("ratio.lot_size_sqft/attributes.sqft_lot15", &RATIO),
            ("comparables_similar_price.30.grade:0.5", &SIMILAR),
            ("comparables_similar_price_per_sqft.30.grade:0.5", &SIMILAR_PER_SQFT),
        ];
        assert_eq!(of_forms.map(|(_, form)| form.name), FORMS.map(|form| form.name));
        for (name, form) in of_forms {
            let feature: Feature = name.parse().unwrap();
            assert_eq!(feature.unit_and_meaning(), (form.unit, form.meaning), "{name}");
            let before = form.name.split('<').next().unwrap();
            assert!(name.starts_with(before), "{name} is no {}", form.name);
        }
        let built_ins = BUILT_INS.iter().map(|b| (b.name, b.unit, b.meaning));
        let all: Vec<_> = built_ins.chain(FORMS.iter().map(|f| (f.name, f.unit, f.meaning))).collect();
        for (i, (name, unit, meaning)) in all.iter().enumerate() {
            assert!(!unit.trim().is_empty() && !meaning.trim().is_empty(), "{name}: `{unit}`, `{meaning}`");
            // Each is read alone: `the same of ...` says nothing there.
            assert!(!meaning.contains("the same"), "{name}: {meaning}");
            assert!(all[..i].iter().all(|(_, _, before)| before != meaning), "{name}: {meaning}");
        }
    }

    #[test]
    fn a_row_has_the_numbers_of_the_listing_in_the_order_of_the_names() {
        let home = listing(serde_json::json!({
            "living_area_sqft": 1800, "bedrooms_total": 3, "bathrooms_total": 1.5, "year_built": 2002, "lot_size_sqft": 3600,
            "position": {"latitude": 47.5, "longitude": -122.25}, "property_sub_type": "Condominium", "amenities": ["pool"],
            "association_fee_monthly": 120.5, "attributes": {"Grade": 9, "View": true, "Floors": "2.5", "Name": "x"},
        }));
        let names = [
            "sqft_per_room",
            "bathrooms_per_bedroom",
            "age_years",
            "latitude",
            "lot_to_living_ratio",
            "days_since_epoch",
            "month",
            "association_fee_monthly",
            "property_sub_type.Condominium",
            "property_sub_type.Townhouse",
            "amenities.pool",
            "amenities.garage",
            "attributes.Grade",
            "attributes.View",
            "attributes.Floors",
            "market_price_per_sqft",
        ];
        let level = Some(MarketLevel { cents_per_sqft: 55_050, sales: 9 });
        let expected = [400.0, 0.5, 20.0, 47.5, 2.0, 19_296.0, 10.0, 120.5, 1.0, 0.0, 1.0, 0.0, 9.0, 1.0, 2.5, 550.5];
        assert_eq!(values(&names, &home, level), expected);
    }

    #[test]
    fn a_manifest_may_name_places_words_and_ratios() {
        let home = listing(serde_json::json!({
            "living_area_sqft": 1800, "position": {"latitude": 47.5, "longitude": -122.25}, "year_built": 1950,
            "attributes": {"zipcode": "98178", "View": ["Lake", "City"], "Grade": 7, "YearBuiltEffective": "1990", "sqft15": "900"},
        }));
        let names = [
            "attributes.zipcode=98178",
            "attributes.zipcode=98125",
            "attributes.View=City",
            "attributes.Grade=7",
            "ratio.living_area_sqft/attributes.sqft15",
            "effective_age_years",
            "latitude_plus_longitude",
            "latitude_minus_longitude",
        ];
        assert_eq!(values(&names, &home, None), [1.0, 0.0, 1.0, 1.0, 2.0, 32.0, -74.75, 169.75]);
        let km = values(&["distance_km.47.5,-123.25"], &home, None)[0];
        assert!((km - 75.1).abs() < 0.1, "{km}");
        for name in ["attributes.Gone=1", "ratio.living_area_sqft/lot_size_sqft", "comparables_similar_price"] {
            assert!(values(&[name], &home, None)[0].is_nan(), "{name}");
        }
        let bare = listing(serde_json::json!({"year_built": 1950, "attributes": {"YearBuiltEffective": 0}}));
        assert_eq!(values(&["effective_age_years"], &bare, None), [72.0]);
    }

    #[test]
    fn a_feature_of_people_is_refused_with_the_reason() {
        let error = FeatureList::named(&["ratio.attributes.pct_hispanic/bedrooms_total"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "features: attributes.pct_hispanic is not allowed (expected features of homes: by its name this one tells national \
             origin, and no price may depend on that)"
        );
        assert!(FeatureList::named(&["amenities.senior_community"]).is_err());
    }

    #[test]
    fn only_who_asks_for_comparables_has_them_looked_for() {
        for (name, compares) in [
            ("living_area_sqft", false),
            ("market_price_per_sqft", false),
            ("market_recent_price_per_sqft", true),
            ("ratio.comparables_similar_price/living_area_sqft", true),
            ("comparables_similar_price.30.grade:0.5", true),
        ] {
            assert_eq!(FeatureList::named(&[name]).unwrap().compares(), compares, "{name}");
        }
    }

    #[test]
    fn each_question_to_comparables_is_asked_once_and_its_answer_goes_to_who_asked() {
        let names = [
            "comparables_similar_price.30.grade:0.5",
            "ratio.comparables_similar_price.15.view:1/living_area_sqft",
            "ratio.comparables_similar_price.30.grade:0.5/comparables_similar_price",
        ];
        let features = FeatureList::named(&names).unwrap();
        let asked: Vec<_> = features.asked().iter().map(ToString::to_string).collect();
        assert_eq!(asked, [names[0], "comparables_similar_price.15.view:1"]);
        let home = listing(serde_json::json!({"living_area_sqft": 1000}));
        let comparison = Comparison {
            similar_price: Some(200.0),
            asked: [Some(100.0), Some(500.0), None, None],
            ..Comparison::default()
        };
        let mut row = Vec::new();
        features.append_row(&Subject { comparison, ..Subject::alone(&home) }, &mut row);
        assert_eq!(row, [100.0, 0.5, 0.5]);
        assert!(values(&[names[0]], &home, None)[0].is_nan());
    }

    #[test]
    fn a_question_to_comparables_that_cannot_be_answered_is_refused_with_what_is_expected() {
        let refused = |name: &str| FeatureList::named(&[name]).unwrap_err().to_string();
        assert_eq!(
            refused("comparables_similar_price.60.grade:0.5"),
            "features: comparables_similar_price.60.grade:0.5 is not allowed (expected \
             comparables_similar_price[_per_sqft].<neighbours>.<attribute>:<weight>[+<attribute>:<weight>…] with 10 to 50 neighbours, not `60`)"
        );
        let of_people = refused("ratio.comparables_similar_price.30.grade:1+pct_hispanic:0.5/living_area_sqft");
        assert!(of_people.contains("tells national origin"), "{of_people}");
        let five: Vec<_> = (10..15).map(|count| format!("comparables_similar_price.{count}.grade:1")).collect();
        assert!(FeatureList::named(&five[..4]).is_ok());
        let error = FeatureList::named(&five).unwrap_err().to_string();
        assert!(error.contains(".14.grade:1 is too large (expected at most 4 features"), "{error}");
    }

    #[test]
    fn what_is_missing_or_no_number_is_nan() {
        let home = listing(serde_json::json!({
            "bedrooms_total": 0, "bathrooms_total": 0, "living_area_sqft": 500,
            "attributes": {"Name": "x", "Odd": "inf", "List": [1]},
        }));
        let names = [
            "lot_size_sqft",
            "sqft_per_room",
            "market_sales",
            "property_sub_type.Farm",
            "amenities.pool",
            "attributes.Name",
            "attributes.Odd",
            "attributes.List",
            "attributes.Gone",
        ];
        for (name, value) in names.iter().zip(values(&names, &home, None)) {
            assert!(value.is_nan(), "{name}: {value}");
        }
        assert_eq!(values(&["sqft_per_bedroom"], &home, None), [500.0]);
    }

    #[test]
    fn an_unknown_or_repeated_name_is_refused_with_the_known_ones() {
        let error = FeatureList::named(&["list_price"]).unwrap_err().to_string();
        assert!(
            error.starts_with("features: list_price is not a known word (expected one of living_area_sqft,"),
            "{error}"
        );
        assert!(FeatureList::named(&["month", "month"]).is_err());
        assert!(FeatureList::named(&["attributes."]).is_err());
        for name in
            ["amenities.moat", "distance_km.47.6", "distance_km.97,0", "ratio.month", "ratio.ratio.month/month/month"]
        {
            assert!(FeatureList::named(&[name]).is_err(), "{name}");
        }
    }

    #[test]
    fn what_a_listing_lacks_is_named_as_a_feed_names_it() {
        let listing: Listing = serde_json::from_value(serde_json::json!({
            "listing_id": "f:1", "version": {"timestamp_ms": 1, "raw_partition": 0, "raw_offset": 0, "batch_index": 0}, "feed": "f",
            "standard_status": "Active", "property_type": "Residential", "transaction": "sale", "market": "us/wa/seattle",
            "country": "us", "currency": "USD", "living_area_sqft": 900,
        }))
        .unwrap();
        let required = ["living_area_sqft", "bedrooms_total", "latitude", "ocean"].map(str::to_owned);
        assert_eq!(missing_members(&required, &listing), ["BedroomsTotal", "Latitude", "ocean"]);
        assert!(MEMBERS.iter().all(|(feature, _)| feature.parse::<Feature>().is_ok()));
    }
}
