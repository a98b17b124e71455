//! Reads a statement: every fault at once, and a canonical form if there is none.
//!
//! Strict where the RESO reader is tolerant: a listing that is understood in part is worth having, a wish that is
//! understood in part is a wrong answer.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::document::{self, Members};
use super::{
    Circle, MAX_CITIES, MAX_COMMUTE_MINUTES, MAX_DISMISSED, MAX_MIN_BEDROOMS, MAX_MIN_LIVING_AREA_SQFT,
    MAX_POSTAL_CODES, Place, PostalCode, Preferences, Profile,
};
use crate::amenities::{AmenitySet, WORDS};
use crate::field_error::{Fault, FieldError};
use crate::id::{Country, Market};
use crate::money::{Currency, Money, parse_scaled};
use crate::nearest::nearest;
use crate::units::{Bathrooms, Position, RadiusKm, SchoolRating};
use crate::vocabulary::{PropertySubType, Transaction};

/// Most faults that are told at once: more than a form has fields.
const MAX_FAULTS: usize = 100;

/// Why a value is wrong: the kind, and what would have been right.
type Wrong = (Fault, String);

pub(super) fn preferences(json: &[u8]) -> Result<Preferences, Vec<FieldError>> {
    let mut faults = Faults::default();
    let mut root = Object::of(document::root(json).map_err(|fault| vec![fault])?, "", &MEMBERS, &mut faults);

    let transaction = root.read("transaction", &mut faults, transaction);
    let budget = root.required("budget", "the highest price, more than 0", &mut faults, budget);
    let currency = root.read("currency", &mut faults, |raw| parsed(raw, "an ISO 4217 code such as 'USD'"));
    let asked_currency = root.has("currency");
    let place = place(&mut root, currency, &mut faults);
    // A currency is derived only of a place that is known, so that one fault is not told twice.
    let derived = place.as_ref().filter(|_| !asked_currency).and_then(|place| derived_currency(place, &mut faults));
    let min_bedrooms = root.read("min_bedrooms", &mut faults, |raw| integer(raw, 0, MAX_MIN_BEDROOMS));
    let min_bathrooms =
        root.read("min_bathrooms", &mut faults, |raw| decimal(raw, Bathrooms::parse_decimal, "0 to 100 in halves"));
    let min_living_area_sqft =
        root.read("min_living_area_sqft", &mut faults, |raw| integer(raw, 1, MAX_MIN_LIVING_AREA_SQFT));
    let property_sub_types = root.list("property_sub_types", PropertySubType::ALL.len(), &mut faults, sub_type);
    let max_commute_minutes = root.read("max_commute_minutes", &mut faults, |raw| integer(raw, 1, MAX_COMMUTE_MINUTES));
    let min_school_rating = root
        .read("min_school_rating", &mut faults, |raw| decimal(raw, SchoolRating::parse_decimal, "0 to 10 in tenths"));
    let required_amenities = root.list("required_amenities", WORDS.len(), &mut faults, amenity);
    let preferred_amenities = root.list("preferred_amenities", WORDS.len(), &mut faults, amenity);
    let dismissed =
        root.list("dismissed", MAX_DISMISSED, &mut faults, |raw| parsed(raw, "a listing id, '<feed>:<ListingKey>'"));
    let include_coming_soon = root.read("include_coming_soon", &mut faults, boolean);
    let include_under_contract = root.read("include_under_contract", &mut faults, boolean);
    let profile = root.read("profile", &mut faults, profile);

    match (budget, currency.or(derived), place) {
        (Some(budget), Some(currency), Some(place)) if faults.0.is_empty() => Ok(Preferences {
            transaction: transaction.unwrap_or_default(),
            budget,
            currency,
            place,
            min_bedrooms,
            min_bathrooms,
            min_living_area_sqft,
            property_sub_types: sorted(property_sub_types),
            max_commute_minutes,
            min_school_rating,
            required_amenities: union(required_amenities),
            preferred_amenities: union(preferred_amenities),
            dismissed: sorted(dismissed),
            include_coming_soon: include_coming_soon.unwrap_or_default(),
            include_under_contract: include_under_contract.unwrap_or_default(),
            profile: profile.unwrap_or_default(),
        }),
        _ => Err(faults.0),
    }
}

const MEMBERS: [&str; 16] = [
    "transaction",
    "budget",
    "currency",
    "place",
    "min_bedrooms",
    "min_bathrooms",
    "min_living_area_sqft",
    "property_sub_types",
    "max_commute_minutes",
    "min_school_rating",
    "required_amenities",
    "preferred_amenities",
    "dismissed",
    "include_coming_soon",
    "include_under_contract",
    "profile",
];

// ---- place and currency -------------------------------------------------------------------------------------------

const PLACE_PARTS: [&str; 4] = ["cities", "postal_codes", "within", "country"];

/// The place; `None` if any part of it is wrong.
fn place(root: &mut Object<'_>, currency: Option<Currency>, faults: &mut Faults) -> Option<Place> {
    let before = faults.0.len();
    let expected = || format!("an object with at least one of {}", PLACE_PARTS.join(", "));
    let raw = root.raw("place").or_else(|| faults.missing("place", &expected()))?;
    let Some(members) = document::members(raw) else {
        faults.push("place", raw, (Fault::BadType, expected()));
        return None;
    };
    let mut parts = Object::of(members, "place", &PLACE_PARTS, faults);
    let cities = parts.list("cities", MAX_CITIES, faults, |raw| {
        parsed::<Market>(raw, "'country/state/city' in lower-case slugs such as 'us/wa/seattle'")
    });
    let codes = parts.list("postal_codes", MAX_POSTAL_CODES, faults, postal_code);
    let within = within(&mut parts, faults);
    let country =
        parts.read("country", faults, |raw| parsed::<Country>(raw, "an ISO 3166-1 alpha-2 code such as 'us'"));
    if faults.0.len() > before {
        return None;
    }
    let qualified = codes.iter().filter_map(|(country, _)| *country);
    let named: BTreeSet<Country> = cities.iter().map(Market::country).chain(qualified).chain(country).collect();
    let home = match named.len() {
        0 => currency.and_then(Currency::country),
        1 => named.first().copied(),
        _ => None,
    };
    let mut postal_codes = Vec::with_capacity(codes.len());
    for (index, (own, code)) in codes.into_iter().enumerate() {
        match own.or(home) {
            Some(country) => postal_codes.push(PostalCode { country, code }),
            None => faults.push(
                &format!("place/postal_codes/{index}"),
                &code,
                (
                    Fault::OutOfRange,
                    "'country/code' such as 'us/98101': nothing else here tells its country".to_owned(),
                ),
            ),
        }
    }
    let place = Place { cities: sorted(cities), postal_codes: sorted(postal_codes), within, country };
    if place == Place::default() && faults.0.len() == before {
        faults.missing::<()>("place", &expected());
    }
    (faults.0.len() == before).then_some(place)
}

fn within(parts: &mut Object<'_>, faults: &mut Faults) -> Option<Circle> {
    const MEMBERS: [&str; 3] = ["latitude", "longitude", "radius_km"];
    let raw = parts.raw("within")?;
    let Some(members) = document::members(raw) else {
        let expected = format!("an object with {}", MEMBERS.join(", "));
        faults.push("place/within", raw, (Fault::BadType, expected));
        return None;
    };
    let mut circle = Object::of(members, "place/within", &MEMBERS, faults);
    // Devices give more digits than a metre needs: rounded, not refused.
    let latitude = circle.required("latitude", "degrees, -90 to 90", faults, |raw| degrees(raw, 90.0));
    let longitude = circle.required("longitude", "degrees, -180 to 180", faults, |raw| degrees(raw, 180.0));
    let radius_km = circle.required("radius_km", "0.001 to 500", faults, |raw| {
        let metres = (number(raw)? * 1_000.0).round();
        // `as` saturates, and the range is checked behind it.
        RadiusKm::from_steps(metres as u32).ok_or_else(|| out_of_range("0.001 to 500"))
    });
    let centre = Position::from_degrees(latitude?, longitude?)?;
    Some(Circle { latitude: centre.latitude, longitude: centre.longitude, radius_km: radius_km? })
}

/// The one currency of the place's countries; US dollars for a bare circle.
fn derived_currency(place: &Place, faults: &mut Faults) -> Option<Currency> {
    let countries: BTreeSet<Country> = (place.cities.iter().map(Market::country))
        .chain(place.postal_codes.iter().map(|code| code.country))
        .chain(place.country)
        .collect();
    if countries.is_empty() {
        return Some(Currency::USD);
    }
    let unknown = countries.iter().find(|country| Currency::of(**country).is_none());
    let currencies: BTreeSet<Currency> = countries.iter().filter_map(|country| Currency::of(*country)).collect();
    match (unknown, currencies.len(), currencies.first()) {
        (None, 1, Some(currency)) => Some(*currency),
        (Some(country), ..) => {
            faults.missing("currency", &format!("an ISO 4217 code, for no currency is known of '{country}'"))
        }
        (None, ..) => {
            let list: Vec<_> = currencies.iter().map(Currency::as_str).collect();
            faults.missing("currency", &format!("one of {}, for the place has several", list.join(", ")))
        }
    }
}

// ---- one value ----------------------------------------------------------------------------------------------------

fn transaction(raw: &str) -> Result<Transaction, Wrong> {
    word(raw, &[("sale", Transaction::Sale), ("lease", Transaction::Lease)])
}

fn profile(raw: &str) -> Result<Profile, Wrong> {
    let words = [
        ("balanced", Profile::Balanced),
        ("value", Profile::Value),
        ("family", Profile::Family),
        ("commuter", Profile::Commuter),
    ];
    word(raw, &words)
}

fn budget(raw: &str) -> Result<Money, Wrong> {
    const EXPECTED: &str = "0.01 to 999999999999.99 with at most two decimals";
    decimal(raw, Money::parse_decimal, EXPECTED)?.non_zero().ok_or_else(|| out_of_range(EXPECTED))
}

fn sub_type(raw: &str) -> Result<PropertySubType, Wrong> {
    text(raw, "a word of RESO's PropertySubType")?.parse().map_err(|error: FieldError| (error.fault, error.expected))
}

fn amenity(raw: &str) -> Result<AmenitySet, Wrong> {
    let word = text(raw, "an amenity such as 'garage'")?;
    AmenitySet::of_words([&*word]).map_err(|error| (error.fault, error.expected))
}

/// `us/98101`, or `98101` alone.
fn postal_code(raw: &str) -> Result<(Option<Country>, String), Wrong> {
    const EXPECTED: &str = "'country/code' such as 'us/98101'";
    let text = text(raw, EXPECTED)?;
    let (country, code) = match text.split_once('/') {
        Some((country, code)) => (Some(country.parse().map_err(|_| out_of_range(EXPECTED))?), code),
        None => (None, &*text),
    };
    Ok((country, PostalCode::normalise(code).ok_or_else(|| out_of_range(EXPECTED))?))
}

fn degrees(raw: &str, max: f64) -> Result<f64, Wrong> {
    let degrees = number(raw)?;
    (degrees.abs() <= max).then_some(degrees).ok_or_else(|| out_of_range(format!("-{max} to {max}")))
}

fn word<T: Copy>(raw: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    let expected = || format!("one of {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "));
    let text = document::text(raw).ok_or_else(|| bad_type(&expected()))?;
    words.iter().find(|(word, _)| *word == text).map(|(_, t)| *t).ok_or_else(|| (Fault::UnknownWord, expected()))
}

fn parsed<T: std::str::FromStr>(raw: &str, expected: &str) -> Result<T, Wrong> {
    text(raw, expected)?.parse().map_err(|_| out_of_range(expected))
}

fn text<'a>(raw: &'a str, expected: &str) -> Result<Cow<'a, str>, Wrong> {
    document::text(raw).ok_or_else(|| bad_type(expected))
}

fn boolean(raw: &str) -> Result<bool, Wrong> {
    serde_json::from_str(raw).map_err(|_| bad_type("true or false"))
}

fn number(raw: &str) -> Result<f64, Wrong> {
    is_number(raw).then(|| raw.parse().ok()).flatten().ok_or_else(|| bad_type("a number"))
}

fn decimal<T>(raw: &str, parse: impl Fn(&str) -> Option<T>, expected: &str) -> Result<T, Wrong> {
    if is_number(raw) {
        parse(raw).ok_or_else(|| out_of_range(expected))
    } else {
        Err(bad_type(&format!("a number, {expected}")))
    }
}

fn integer<T: TryFrom<i64> + Into<i64> + Copy>(raw: &str, min: i64, max: T) -> Result<T, Wrong> {
    let most: i64 = max.into();
    let expected = || format!("{min} to {most}, whole");
    if !is_number(raw) {
        return Err(bad_type(&format!("a number, {}", expected())));
    }
    let whole = parse_scaled(raw, 0).filter(|n| (min..=most).contains(n)).and_then(|n| T::try_from(n).ok());
    whole.ok_or_else(|| out_of_range(expected()))
}

fn is_number(raw: &str) -> bool {
    raw.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

fn out_of_range(expected: impl Into<String>) -> Wrong {
    (Fault::OutOfRange, expected.into())
}

fn bad_type(expected: &str) -> Wrong {
    (Fault::BadType, expected.to_owned())
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}

fn union(sets: Vec<AmenitySet>) -> AmenitySet {
    sets.into_iter().fold(AmenitySet::EMPTY, AmenitySet::or)
}

// ---- objects and faults -------------------------------------------------------------------------------------------

/// One object of the statement: its members, every one known and there once.
struct Object<'a> {
    path: &'static str,
    members: Members<'a>,
}

impl<'a> Object<'a> {
    fn of(members: Members<'a>, path: &'static str, known: &[&str], faults: &mut Faults) -> Self {
        for (index, (name, raw)) in members.iter().enumerate() {
            if faults.are_enough() {
                break; // So that no body makes this loop long.
            }
            let field = || join(path, &name.replace('~', "~0").replace('/', "~1"));
            if !known.contains(&&**name) {
                let expected = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("a known member; did you mean '{near}'?"),
                    None => format!("one of {}", known.join(", ")),
                };
                faults.push(&field(), raw, (Fault::UnknownMember, expected));
            } else if members[..index].iter().any(|(other, _)| other == name) {
                faults.push(&field(), raw, (Fault::Duplicate, "every member once".to_owned()));
            }
        }
        Self { path, members }
    }

    /// The raw text of a member; `null` is as good as absent.
    fn raw(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|(own, _)| own == name).map(|(_, raw)| *raw).filter(|raw| *raw != "null")
    }

    fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    fn read<T>(&mut self, name: &str, faults: &mut Faults, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let raw = self.raw(name)?;
        read(raw).map_err(|wrong| faults.push(&join(self.path, name), raw, wrong)).ok()
    }

    fn required<T>(
        &mut self,
        name: &str,
        expected: &str,
        faults: &mut Faults,
        read: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        if !self.has(name) {
            return faults.missing(&join(self.path, name), expected);
        }
        self.read(name, faults, read)
    }

    /// The elements that are right; faults for the others.
    fn list<T>(
        &mut self,
        name: &str,
        max: usize,
        faults: &mut Faults,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let Some(raw) = self.raw(name) else { return Vec::new() };
        let field = || join(self.path, name);
        let Some(elements) = document::elements(raw) else {
            faults.push(&field(), raw, (Fault::BadType, "a list".to_owned()));
            return Vec::new();
        };
        if elements.len() > max {
            let value = format!("a list of {}", elements.len());
            faults.push(&field(), &value, (Fault::TooLarge, format!("at most {max}")));
            return Vec::new();
        }
        let mut list = Vec::with_capacity(elements.len());
        for (index, raw) in elements.into_iter().enumerate() {
            match read(raw) {
                Ok(element) => list.push(element),
                Err(wrong) => faults.push(&format!("{}/{index}", field()), raw, wrong),
            }
        }
        list
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn are_enough(&self) -> bool {
        self.0.len() >= MAX_FAULTS
    }

    fn push(&mut self, field: &str, raw: &str, (fault, expected): Wrong) {
        if !self.are_enough() {
            // A text is shown without its quotes.
            let value = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
            self.0.push(FieldError::new(field, value, fault, expected));
        }
    }

    fn missing<T>(&mut self, field: &str, expected: &str) -> Option<T> {
        self.push(field, "", (Fault::Missing, expected.to_owned()));
        None
    }
}
