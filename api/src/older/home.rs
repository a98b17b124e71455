//! A home to be valued as older clients describe it, and the same in RESO's terms. Pure.
//!
//! Only names differ: what a value may be is for the reader of feeds to say, whose faults get the older names back.

use std::collections::BTreeSet;

use schemas::id::Market;
use schemas::vocabulary::{PropertySubType, PropertyType};
use serde_json::Value;

use super::members::{Members, Writer, members};
use crate::places::{EXPECTED, Unplaced, country_of_state, resolve, written};
use crate::problem::{Kind, Problem, Wrong};

/// RESO's name of a member, and the older ones, the usual one first.
const NAMES: [(&str, &[&str]); 16] = [
    ("Country", &["country"]),
    ("StateOrProvince", &["state", "state_or_province", "province"]),
    ("City", &["city"]),
    ("PostalCode", &["zip_code", "postal_code", "zipcode", "zip"]),
    ("UnparsedAddress", &["address"]),
    ("BedroomsTotal", &["bedrooms", "bedrooms_total", "beds"]),
    ("BathroomsTotalDecimal", &["bathrooms", "bathrooms_total", "baths"]),
    ("LivingArea", &["size_sqft", "square_feet", "sqft", "living_area", "living_area_sqft"]),
    ("LotSizeSquareFeet", &["lot_size_sqft", "lot_size"]),
    ("YearBuilt", &["year_built"]),
    ("Latitude", &["latitude", "lat"]),
    ("Longitude", &["longitude", "lon", "lng"]),
    ("ListPrice", &["price", "list_price"]),
    ("SchoolRating", &["school_rating"]),
    ("CommuteMinutes", &["commute_time", "commute_minutes"]),
    ("Amenities", &["amenities"]),
];
/// What older clients call kinds of homes, in letters alone.
const KINDS: [(&str, PropertySubType); 12] = [
    ("house", PropertySubType::SingleFamilyResidence),
    ("singlefamily", PropertySubType::SingleFamilyResidence),
    ("singlefamilyhome", PropertySubType::SingleFamilyResidence),
    ("singlefamilyhouse", PropertySubType::SingleFamilyResidence),
    ("detached", PropertySubType::SingleFamilyResidence),
    ("condo", PropertySubType::Condominium),
    ("flat", PropertySubType::Apartment),
    ("townhome", PropertySubType::Townhouse),
    ("multifamilyhome", PropertySubType::MultiFamily),
    ("mobile", PropertySubType::MobileHome),
    ("manufactured", PropertySubType::ManufacturedHome),
    ("land", PropertySubType::UnimprovedLand),
];

/// A home as it was described.
#[derive(Debug)]
pub struct OlderHome {
    members: Members,
}

/// The same in RESO's terms.
#[derive(Debug)]
pub struct Translated {
    /// One RESO object.
    pub body: Vec<u8>,
    /// Each member that was renamed: RESO's name, and the client's.
    names: Vec<(&'static str, String)>,
}

impl OlderHome {
    /// `None` for a body that speaks RESO, or is no object: the reader of feeds takes it as it is.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut members = members(body)?;
        // Some clients wrap it.
        if let [(name, raw)] = members.as_slice()
            && matches!(name.as_str(), "features" | "property" | "home")
            && let Some(inner) = self::members(raw.get().as_bytes())
        {
            members = inner;
        }
        let speaks_reso =
            members.iter().any(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()) || name == "value");
        members.retain(|(_, raw)| raw.get() != "null");
        (!speaks_reso).then_some(Self { members })
    }

    fn text(&self, name: &str) -> Option<String> {
        let (_, raw) = self.members.iter().find(|(other, _)| other == name)?;
        serde_json::from_str(raw.get()).ok()
    }

    fn has(&self, reso: &str) -> bool {
        self.members.iter().any(|(name, _)| reso_name(name) == Some(reso))
    }

    /// The text that says where it is, if a market must be looked for: a location, or a city without its state.
    pub fn place(&self) -> Option<String> {
        let city = || self.text("city").filter(|_| !self.has("StateOrProvince"));
        self.text("location").or_else(city)
    }

    /// In RESO's terms; its place is looked for among `markets`.
    pub fn translated(&self, markets: &[Market]) -> Result<Translated, Problem> {
        let mut writer = Writer::default();
        let mut names = Vec::new();
        let mut says = |writer: &mut Writer, reso: &'static str, raw: &str, name: &str| {
            writer.add(reso, raw);
            names.push((reso, name.to_owned()));
        };
        let looked_for = self.place();
        let name = if self.text("location").is_some() { "location" } else { "city" };
        if let Some(text) = &looked_for {
            let place = resolve(text, markets).map_err(|why| unplaced(name, text, why))?;
            if let Some(market) = place.cities.first() {
                let parts = written(market);
                for (reso, part) in ["City", "StateOrProvince", "Country"].into_iter().zip(parts.split(", ")) {
                    says(&mut writer, reso, &Value::from(part).to_string(), name);
                }
            }
            if let Some(code) = place.postal_codes.first() {
                says(&mut writer, "PostalCode", &Value::from(code.code.as_str()).to_string(), name);
                says(&mut writer, "Country", &Value::from(code.country.as_str()).to_string(), name);
            }
        } else if !self.has("Country")
            && let Some(country) = self.state().and_then(|state| country_of_state(&state))
        {
            says(&mut writer, "Country", &Value::from(country.as_str()).to_string(), "country");
        }
        for (member, raw) in &self.members {
            match reso_name(member) {
                _ if looked_for.is_some() && member == name => {}
                None if member == "property_type" || member == "property_sub_type" => {
                    let (reso, word) = kind(raw.get());
                    says(&mut writer, reso, &word, member);
                }
                Some(reso) => says(&mut writer, reso, raw.get(), member),
                None => writer.add(member, raw.get()),
            }
        }
        Ok(Translated { body: writer.finish(), names })
    }

    fn state(&self) -> Option<String> {
        let (_, raw) = self.members.iter().find(|(name, _)| reso_name(name) == Some("StateOrProvince"))?;
        serde_json::from_str(raw.get()).ok()
    }

    /// The members that neither RESO, the older names nor a model knows: they are passed over, and told.
    pub fn ignored(&self, seen: &BTreeSet<String>) -> Vec<String> {
        let is_known = |name: &str| {
            reso_name(name).is_some()
                || ["location", "property_type", "property_sub_type"].contains(&name)
                || seen.contains(name)
        };
        self.members
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !is_known(name))
            .map(|name| name.chars().take(80).collect())
            .collect()
    }
}

impl Translated {
    /// A problem of the translated home in the client's own words.
    pub fn told(&self, mut problem: Problem) -> Problem {
        for wrong in &mut problem.errors {
            let Some(reso) = wrong.pointer.as_deref().and_then(|pointer| pointer.get(1..)).map(ToOwned::to_owned)
            else {
                continue;
            };
            let of_client = self.names.iter().find(|(name, _)| *name == reso).map(|(_, name)| name.as_str());
            let usual = NAMES.iter().find(|(name, _)| *name == reso).map(|(_, older)| older[0]);
            if let Some(name) = of_client.or(usual) {
                wrong.pointer = Some(format!("/{name}"));
                wrong.message = wrong.message.replacen(&reso, name, 1);
            }
        }
        if let [only] = problem.errors.as_slice() {
            problem.detail.clone_from(&only.message);
        }
        problem
    }
}

fn reso_name(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(_, older)| older.contains(&name)).map(|(reso, _)| *reso)
}

/// A kind of home as RESO has it; a word that is none stays, for the reader to judge.
fn kind(raw: &str) -> (&'static str, String) {
    let Ok(text) = serde_json::from_str::<String>(raw) else { return ("PropertySubType", raw.to_owned()) };
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect();
    let of_client = KINDS.iter().find(|(word, _)| *word == letters).map(|(_, kind)| *kind);
    match of_client.or_else(|| PropertySubType::named(&text)) {
        Some(kind) => ("PropertySubType", Value::from(kind.as_str()).to_string()),
        None if PropertyType::named(&text).is_some() => ("PropertyType", raw.to_owned()),
        None => ("PropertySubType", raw.to_owned()),
    }
}

fn unplaced(name: &str, text: &str, why: Unplaced) -> Problem {
    let (expected, candidates) = match why {
        Unplaced::Unknown(expected) => (expected, Vec::new()),
        Unplaced::Ambiguous(choice) => (format!("{EXPECTED}; it is one of several"), choice),
    };
    let shown: String = text.chars().take(80).collect();
    let wrong = Wrong {
        pointer: Some(format!("/{name}")),
        parameter: None,
        code: "out_of_range",
        message: format!("{name}: {shown} is not allowed (expected {expected})"),
    };
    Problem { candidates, ..Problem::of_parts(Kind::ValidationFailed, vec![wrong]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reso(home: &Value) -> Value {
        let markets = ["us/wa/seattle".parse().unwrap()];
        let body = OlderHome::read(home.to_string().as_bytes()).unwrap().translated(&markets).unwrap().body;
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn an_older_home_is_the_same_in_reso_s_terms() {
        let home = json!({"city": "Seattle", "state": "WA", "zip_code": "98101", "bedrooms": 3, "bathrooms": 2.5, "size_sqft": 1_800,
                          "year_built": 1_962, "lot_size_sqft": 5_000, "latitude": 47.6, "longitude": -122.3, "property_type": "house",
                          "garage": null});
        let same = json!({"City": "Seattle", "StateOrProvince": "WA", "Country": "us", "PostalCode": "98101", "BedroomsTotal": 3,
                          "BathroomsTotalDecimal": 2.5, "LivingArea": 1_800, "YearBuilt": 1_962, "LotSizeSquareFeet": 5_000,
                          "Latitude": 47.6, "Longitude": -122.3, "PropertySubType": "SingleFamilyResidence"});
        assert_eq!(reso(&home), same);
        assert_eq!(reso(&json!({"features": home})), same);
    }

    #[test]
    fn a_location_or_a_bare_city_is_looked_for() {
        let placed = json!({"City": "Seattle", "StateOrProvince": "WA", "Country": "US", "BedroomsTotal": 3});
        for home in [
            json!({"location": "Seattle, WA", "bedrooms": 3}),
            json!({"location": "seattle", "beds": 3}),
            json!({"city": "Seattle", "bedrooms": 3}),
        ] {
            assert_eq!(reso(&home), placed, "{home}");
        }
        let nowhere = OlderHome::read(br#"{"location":"Nowhere","bedrooms":3}"#).unwrap().translated(&[]).unwrap_err();
        assert_eq!(nowhere.errors[0].pointer.as_deref(), Some("/location"));
    }

    #[test]
    fn faults_are_told_in_the_client_s_words() {
        let translated =
            OlderHome::read(br#"{"city":"Seattle","state":"WA","sqft":-1}"#).unwrap().translated(&[]).unwrap();
        let wrong = |name: &str| Wrong {
            pointer: Some(format!("/{name}")),
            parameter: None,
            code: "x",
            message: format!("{name}: no"),
        };
        let told = translated.told(Problem::of_parts(
            Kind::ValidationFailed,
            vec![wrong("LivingArea"), wrong("BedroomsTotal"), wrong("grade")],
        ));
        let pointers: Vec<_> = told.errors.iter().filter_map(|wrong| wrong.pointer.as_deref()).collect();
        assert_eq!(pointers, ["/sqft", "/bedrooms", "/grade"]);
        assert_eq!(told.errors[0].message, "sqft: no");
    }

    #[test]
    fn what_speaks_reso_or_is_no_object_is_not_translated() {
        for body in [r#"{"City":"Seattle"}"#, "[]", "", r#"{"value":[]}"#] {
            assert!(OlderHome::read(body.as_bytes()).is_none(), "{body}");
        }
        let home = OlderHome::read(br#"{"bedrooms":1,"stories":2,"grade":7}"#).unwrap();
        assert_eq!(home.ignored(&["grade".to_owned()].into()), ["stories"]);
    }

    proptest::proptest! {
        #[test]
        fn any_home_is_translated_to_json_or_refused(members in proptest::collection::vec(
            ("city|state|location|country|beds|zip|lat|property_type|x|features|\\PC{0,3}", "null|-?[1-9][0-9]{0,3}|\"[A-Za-z ,]{0,9}\"|[{][}]|\\[1\\]"), 0..6,
        )) {
            let mut writer = Writer::default();
            members.iter().for_each(|(name, raw)| writer.add(name, raw));
            if let Some(home) = OlderHome::read(&writer.finish())
                && let Ok(translated) = home.translated(&["us/wa/seattle".parse().unwrap()])
            {
                proptest::prop_assert!(self::members(&translated.body).is_some());
            }
        }
    }
}
