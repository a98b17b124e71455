//! What a statement may say, what it may not, and that its canonical form is a fixed point.

use proptest::prelude::*;

use super::*;
use crate::amenities::WORDS;

fn parse(json: &str) -> Result<Preferences, Vec<FieldError>> {
    Preferences::parse(json.as_bytes())
}
fn canonical(json: &str) -> String {
    let preferences = parse(json).unwrap_or_else(|faults| panic!("{json}: {faults:?}"));
    String::from_utf8(preferences.to_json()).unwrap()
}
/// Pointer and fault of everything that is wrong.
fn faults(json: &str) -> Vec<(String, Fault)> {
    parse(json).expect_err(json).iter().map(|error| (error.pointer(), error.fault)).collect()
}
fn fault(json: &str) -> (String, Fault) {
    let all = faults(json);
    assert_eq!(all.len(), 1, "{json}: {all:?}");
    all[0].clone()
}
/// A statement with this place, and other members before it.
fn with_place(members: &str, place: &str) -> String {
    format!(r#"{{"budget":1,{members}"place":{place}}}"#)
}

#[test]
fn the_least_statement_is_a_budget_and_a_place() {
    assert_eq!(
        canonical(r#"{"budget": 700000, "place": {"cities": ["us/wa/seattle"]}}"#),
        r#"{"transaction":"sale","budget":700000,"currency":"USD","place":{"cities":["us/wa/seattle"]},"profile":"balanced"}"#
    );
}

#[test]
fn a_whole_statement_comes_out_canonical() {
    let json = r#"{
        "profile": "family", "dismissed": ["f:2", "f:1", "f:2"], "include_coming_soon": true, "include_under_contract": true,
        "preferred_amenities": ["Swimming Pool", "garage"], "required_amenities": ["AttachedGarageYN", "garage"],
        "min_school_rating": 7.5, "max_commute_minutes": 45, "property_sub_types": ["Townhouse", "single family residence"],
        "min_living_area_sqft": 1200.0, "min_bathrooms": 1.5, "min_bedrooms": 3, "currency": "usd", "budget": 2.5e3,
        "place": {"country": "US", "within": {"latitude": 47.606209, "longitude": -122.332071, "radius_km": 12.34567},
                  "postal_codes": ["98102", "us/98101", "98102"], "cities": ["us/wa/tacoma", "us/wa/seattle"]},
        "transaction": "lease"
    }"#;
    insta::assert_snapshot!(canonical(json), @r#"{"transaction":"lease","budget":2500,"currency":"USD","place":{"cities":["us/wa/seattle","us/wa/tacoma"],"postal_codes":["us/98101","us/98102"],"within":{"latitude":47.60621,"longitude":-122.33207,"radius_km":12.346},"country":"us"},"min_bedrooms":3,"min_bathrooms":1.5,"min_living_area_sqft":1200,"property_sub_types":["SingleFamilyResidence","Townhouse"],"max_commute_minutes":45,"min_school_rating":7.5,"required_amenities":["garage"],"preferred_amenities":["pool","garage"],"dismissed":["f:1","f:2"],"include_coming_soon":true,"include_under_contract":true,"profile":"family"}"#);
}

#[test]
fn a_member_that_is_null_is_absent() {
    let json =
        r#"{"budget":1,"place":{"country":"us","cities":null,"within":null},"currency":null,"min_bedrooms":null}"#;
    assert!(canonical(json).contains(r#""currency":"USD""#));
    assert_eq!(fault(r#"{"budget":null,"place":{"country":"us"}}"#), ("/budget".into(), Fault::Missing));
}

#[test]
fn every_fault_is_told_at_once_with_its_pointer() {
    let json = r#"{"budget":"700000","min_bedrooms":-1,"min_bathrooms":2.25,"max_commute_minutes":0,"min_school_rating":11,
        "min_living_area_sqft":0,"property_sub_types":["castle"],"required_amenities":["garage","moat"],"profile":"greedy",
        "dismissed":["no-colon"],"include_coming_soon":"yes","min_bedroom":2,"a/b~":1,"transaction":"barter","currency":"$",
        "place":{"cities":["Seattle"],"within":{"latitude":91,"longitude":0},"town":"x"}}"#;
    let told: Vec<String> = parse(json).unwrap_err().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    min_bedroom: is not a member here (expected a known member; did you mean 'min_bedrooms'?)
    a~1b~0: is not a member here (expected one of transaction, budget, currency, place, min_bedrooms, min_bathrooms, min_living_area_sqft, property_sub_types, max_commute_minutes, min_school_rating, required_amenities, preferred_amenities, dismissed, include_coming_soon, include_under_contract, profile)
    transaction: barter is not a known word (expected one of sale, lease)
    budget: 700000 is of the wrong type (expected a number, 0.01 to 999999999999.99 with at most two decimals)
    currency: $ is not allowed (expected an ISO 4217 code such as 'USD')
    place/town: is not a member here (expected one of cities, postal_codes, within, country)
    place/cities/0: Seattle is not allowed (expected 'country/state/city' in lower-case slugs such as 'us/wa/seattle')
    place/within/latitude: 91 is not allowed (expected -90 to 90)
    place/within/radius_km: is missing (expected 0.001 to 500)
    min_bedrooms: -1 is not allowed (expected 0 to 200, whole)
    min_bathrooms: 2.25 is not allowed (expected 0 to 100 in halves)
    min_living_area_sqft: 0 is not allowed (expected 1 to 40000000, whole)
    property_sub_types/0: castle is not a known word (expected one of Apartment, BoatSlip, Cabin, Condominium, DeededParking, Duplex, Farm, ManufacturedHome, ManufacturedOnLand, MobileHome, MultiFamily, OwnYourOwn, Quadruplex, UnimprovedLand, Ranch, SingleFamilyResidence, StockCooperative, Timeshare, Townhouse, Triplex, Villa)
    max_commute_minutes: 0 is not allowed (expected 1 to 600, whole)
    min_school_rating: 11 is not allowed (expected 0 to 10 in tenths)
    required_amenities/1: moat is not a known word (expected one of pool, garage, view, waterfront, fireplace, air_conditioning, balcony, gym, elevator, garden, basement, solar_panels, carport, parking, ev_charging, rv_parking, heating, spa, sauna, community_pool, tennis_court, golf_course, clubhouse, playground, park, trails, mountain_view, water_view, city_view, patio, deck, porch, yard, fenced_yard, large_lot, outdoor_kitchen, fire_pit, furnished, pets_allowed, washer_dryer, laundry_room, dishwasher, walk_in_closet, hardwood_floors, high_ceilings, open_floor_plan, home_office, media_room, wine_cellar, guest_house, single_story, wheelchair_accessible, gated_community, security_system, concierge, storage, new_construction, smart_home, energy_efficient, senior_community)
    dismissed/0: no-colon is not allowed (expected a listing id, '<feed>:<ListingKey>')
    include_coming_soon: yes is of the wrong type (expected true or false)
    profile: greedy is not a known word (expected one of balanced, value, family, commuter)
    "#);
    assert!(faults(json).contains(&("/a~1b~0".into(), Fault::UnknownMember)));
}

#[test]
fn a_member_that_occurs_twice_is_refused_wherever_it_stands() {
    assert_eq!(fault(r#"{"budget":1,"budget":2,"place":{"country":"us"}}"#), ("/budget".into(), Fault::Duplicate));
    assert_eq!(
        fault(&with_place("", r#"{"country":"us","country":"ca"}"#)),
        ("/place/country".into(), Fault::Duplicate)
    );
    let circle = r#"{"within":{"latitude":1,"latitude":2,"longitude":1,"radius_km":1}}"#;
    assert_eq!(fault(&with_place("", circle)), ("/place/within/latitude".into(), Fault::Duplicate));
}

#[test]
fn a_place_has_at_least_one_part() {
    for place in ["{}", r#"{"cities":[],"postal_codes":[]}"#, "null"] {
        assert_eq!(fault(&with_place("", place)), ("/place".into(), Fault::Missing), "{place}");
    }
    assert_eq!(fault(r#"{"budget":1}"#), ("/place".into(), Fault::Missing));
    assert_eq!(fault(&with_place("", r#""us""#)), ("/place".into(), Fault::BadType));
}

#[test]
fn the_currency_follows_from_the_place() {
    let circle = r#""within":{"latitude":1,"longitude":1,"radius_km":1}"#;
    for (place, currency) in [
        (format!("{{{circle}}}"), "USD"),
        (format!(r#"{{{circle},"country":"gb"}}"#), "GBP"),
        (r#"{"country":"de","cities":["fr/idf/paris"]}"#.into(), "EUR"),
        (r#"{"postal_codes":["ca/v6b 1a1"]}"#.into(), "CAD"),
    ] {
        assert!(canonical(&with_place("", &place)).contains(&format!(r#""currency":"{currency}""#)), "{place}");
    }
    for place in [r#"{"country":"us","cities":["ca/bc/vancouver"]}"#, r#"{"country":"zz"}"#] {
        assert_eq!(fault(&with_place("", place)), ("/currency".into(), Fault::Missing), "{place}");
        assert!(parse(&with_place(r#""currency":"USD","#, place)).is_ok());
    }
}

#[test]
fn a_bare_postal_code_takes_its_country_from_what_else_is_said() {
    for (members, place) in [
        ("", r#"{"postal_codes":["98101"],"country":"us"}"#),
        ("", r#"{"postal_codes":["98101"],"cities":["us/wa/seattle","us/or/portland"]}"#),
        ("", r#"{"postal_codes":["98101","us/97201"]}"#),
        (r#""currency":"USD","#, r#"{"postal_codes":["98101"]}"#),
    ] {
        assert!(canonical(&with_place(members, place)).contains(r#""us/98101""#), "{members} {place}");
    }
    for (members, place) in [
        ("", r#"{"postal_codes":["98101"]}"#),
        (r#""currency":"EUR","#, r#"{"postal_codes":["98101"]}"#),
        (r#""currency":"USD","#, r#"{"postal_codes":["98101"],"cities":["us/wa/seattle","ca/bc/vancouver"]}"#),
    ] {
        assert_eq!(fault(&with_place(members, place)), ("/place/postal_codes/0".into(), Fault::OutOfRange), "{place}");
    }
}

#[test]
fn every_bound_is_kept() {
    let list = |count: usize, of: fn(usize) -> String| (0..count).map(of).collect::<Vec<_>>().join(",");
    let cities = |n| with_place("", &format!(r#"{{"cities":[{}]}}"#, list(n, |i| format!(r#""us/wa/c{i}""#))));
    assert!(parse(&cities(MAX_CITIES)).is_ok());
    assert_eq!(fault(&cities(MAX_CITIES + 1)), ("/place/cities".into(), Fault::TooLarge));
    let codes = |n| with_place("", &format!(r#"{{"postal_codes":[{}]}}"#, list(n, |i| format!(r#""us/{i}""#))));
    assert!(parse(&codes(MAX_POSTAL_CODES)).is_ok());
    assert_eq!(fault(&codes(MAX_POSTAL_CODES + 1)), ("/place/postal_codes".into(), Fault::TooLarge));
    let dismissed =
        |n| with_place(&format!(r#""dismissed":[{}],"#, list(n, |i| format!(r#""f:{i}""#))), r#"{"country":"us"}"#);
    assert_eq!(parse(&dismissed(MAX_DISMISSED)).unwrap().dismissed.len(), MAX_DISMISSED);
    assert_eq!(fault(&dismissed(MAX_DISMISSED + 1)), ("/dismissed".into(), Fault::TooLarge));
    for budget in ["0", "-1", "0.001", "1e12", "1e999", "-0"] {
        let json = format!(r#"{{"budget":{budget},"place":{{"country":"us"}}}}"#);
        assert_eq!(fault(&json), ("/budget".into(), Fault::OutOfRange), "{budget}");
    }
    for radius in ["0", "-1", "500.1", "1e300", "0.0004"] {
        let place = format!(r#"{{"within":{{"latitude":1,"longitude":1,"radius_km":{radius}}}}}"#);
        assert_eq!(fault(&with_place("", &place)), ("/place/within/radius_km".into(), Fault::OutOfRange), "{radius}");
    }
}

#[test]
fn what_is_no_statement_at_all_is_one_fault() {
    for (json, wrong) in [
        ("", Fault::NotJson),
        ("{", Fault::NotJson),
        ("{} {}", Fault::NotJson),
        ("NaN", Fault::NotJson),
        ("[]", Fault::WrongShape),
        ("null", Fault::WrongShape),
        ("3", Fault::WrongShape),
        (&"[".repeat(100_000), Fault::TooDeep),
        (&" ".repeat(MAX_PREFERENCES_BYTES + 1), Fault::TooLarge),
    ] {
        assert_eq!(fault(json), (String::new(), wrong));
    }
    assert_eq!(Preferences::parse(b"\xff").unwrap_err()[0].fault, Fault::WrongEncoding);
    assert!(parse("\u{FEFF}{\"budget\":1,\"place\":{\"country\":\"us\"}}").is_ok());
}

#[test]
fn a_body_of_nothing_but_faults_is_told_a_hundred() {
    let members: Vec<String> = (0..5_000).map(|i| format!(r#""min_bedroom{i}":1,"budget":1"#)).collect();
    assert_eq!(parse(&format!("{{{}}}", members.join(","))).unwrap_err().len(), 100);
}

#[test]
fn the_reader_knows_every_member_of_the_type() {
    let schema = serde_json::to_value(schemars::schema_for!(Preferences)).unwrap();
    for (name, _) in schema["properties"].as_object().unwrap() {
        let json = format!(r#"{{"budget":1,"place":{{"country":"us"}},"{name}":"?"}}"#);
        let told = faults(&json);
        assert!(told.iter().all(|(_, fault)| *fault != Fault::UnknownMember), "{name}: {told:?}");
    }
}

fn canonical_preferences() -> impl Strategy<Value = Preferences> {
    let country = "us|ca|gb|de".prop_map(|code: String| code.parse::<Country>().unwrap());
    let city =
        "(us|ca|gb|de)/[a-z]{2}/[a-z]{1,8}(-[a-z]{1,8})?".prop_map(|text: String| text.parse::<Market>().unwrap());
    let code =
        (country.clone(), "[0-9]{5}|[A-Z][0-9] [0-9][A-Z]{2}").prop_map(|(country, code)| PostalCode { country, code });
    let circle =
        (-9_000_000_i32..=9_000_000, -18_000_000_i32..=18_000_000, 1_u32..=500_000).prop_map(|(lat, long, radius)| {
            Circle {
                latitude: crate::units::Latitude::from_steps(lat).unwrap(),
                longitude: crate::units::Longitude::from_steps(long).unwrap(),
                radius_km: RadiusKm::from_steps(radius).unwrap(),
            }
        });
    let place = (
        prop::collection::btree_set(city, 0..=4),
        prop::collection::btree_set(code, 0..=4),
        prop::option::of(circle),
        country,
    )
        .prop_map(|(cities, codes, within, country)| Place {
            cities: cities.into_iter().collect(),
            postal_codes: codes.into_iter().collect(),
            within,
            country: Some(country),
        });
    let sub_types = prop::collection::btree_set(prop::sample::select(PropertySubType::ALL), 0..=5);
    let ids = prop::collection::btree_set("[a-z]{1,4}:[A-Za-z0-9:é]{1,6}", 0..=5);
    let wishes = (
        prop::option::of(0..=MAX_MIN_BEDROOMS),
        prop::option::of((0..=200_u16).prop_map(|steps| Bathrooms::from_steps(steps).unwrap())),
        prop::option::of(1..=MAX_MIN_LIVING_AREA_SQFT),
        sub_types,
        prop::option::of(1..=MAX_COMMUTE_MINUTES),
        prop::option::of((0..=100_u8).prop_map(|steps| SchoolRating::from_steps(steps).unwrap())),
        any::<(u64, u64)>(),
        ids,
        any::<(bool, bool)>(),
    );
    let head = (any::<bool>(), 1..=crate::money::MAX_CENTS, "[A-Z]{3}", 0..4_usize);
    (head, place, wishes).prop_map(|((lease, cents, currency, profile), place, wishes)| {
        let (
            min_bedrooms,
            min_bathrooms,
            min_living_area_sqft,
            sub_types,
            max_commute_minutes,
            rating,
            bits,
            ids,
            (soon, under),
        ) = wishes;
        Preferences {
            transaction: if lease { Transaction::Lease } else { Transaction::Sale },
            budget: Money::from_cents(cents).unwrap(),
            currency: currency.parse().unwrap(),
            place,
            min_bedrooms,
            min_bathrooms,
            min_living_area_sqft,
            property_sub_types: sub_types.into_iter().collect(),
            max_commute_minutes,
            min_school_rating: rating,
            required_amenities: AmenitySet::from_bits(bits.0),
            preferred_amenities: AmenitySet::from_bits(bits.1),
            dismissed: ids
                .iter()
                .map(|id| id.parse().unwrap())
                .collect::<std::collections::BTreeSet<ListingId>>()
                .into_iter()
                .collect(),
            include_coming_soon: soon,
            include_under_contract: under,
            profile: [Profile::Balanced, Profile::Value, Profile::Family, Profile::Commuter][profile],
        }
    })
}

proptest! {
    #[test]
    fn the_canonical_form_is_read_back_unchanged(preferences in canonical_preferences()) {
        let json = preferences.to_json();
        prop_assert_eq!(Preferences::parse(&json).unwrap(), preferences.clone());
        prop_assert_eq!(serde_json::from_slice::<Preferences>(&json).unwrap(), preferences);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Preferences::parse(&bytes);
    }

    #[test]
    fn what_is_read_is_canonical(
        budget in "[0-9]{1,9}(\\.[0-9]{1,2})?([eE][0-3])?",
        words in prop::collection::vec(prop::sample::select(WORDS), 0..8),
        codes in prop::collection::vec("[0-9a-z ]{1,6}", 0..6),
    ) {
        let words: Vec<&str> = words.iter().map(|(word, synonyms)| *synonyms.last().unwrap_or(word)).collect();
        let json = format!(
            r#"{{"budget":{budget},"required_amenities":{words:?},"place":{{"country":"us","postal_codes":{codes:?}}}}}"#
        );
        if let Ok(preferences) = Preferences::parse(json.as_bytes()) {
            prop_assert_eq!(Preferences::parse(&preferences.to_json()).unwrap(), preferences);
        }
    }
}
