//! What place a person means by `Seattle, WA`: a market that there is, a market of a state that is named, or a postal code. Pure.
//!
//! Reads a text and a list of markets. Knows no map: a place is what listings say of themselves, by the same slugs that ingest makes.

use schemas::id::{Country, Market, UNKNOWN_PLACE, slug};
use schemas::preferences::{MAX_CITIES, Place, PostalCode};

/// Longest text that is looked at, in bytes: longer than the longest names of a city, a state and a country together.
const MAX_BYTES: usize = 300;
/// Most markets that an answer names to choose from.
const MAX_CANDIDATES: usize = 20;
/// How to say it.
pub const EXPECTED: &str = "a city and its state such as 'Seattle, WA', or a postal code such as '98101'";

/// States, provinces and territories whose codes say in which country they lie: all of these two countries.
#[rustfmt::skip]
const STATES: [(&str, &str, &str); 71] = [
    ("us", "al", "alabama"), ("us", "ak", "alaska"), ("us", "az", "arizona"), ("us", "ar", "arkansas"), ("us", "ca", "california"),
    ("us", "co", "colorado"), ("us", "ct", "connecticut"), ("us", "de", "delaware"), ("us", "dc", "district-of-columbia"),
    ("us", "fl", "florida"), ("us", "ga", "georgia"), ("us", "hi", "hawaii"), ("us", "id", "idaho"), ("us", "il", "illinois"),
    ("us", "in", "indiana"), ("us", "ia", "iowa"), ("us", "ks", "kansas"), ("us", "ky", "kentucky"), ("us", "la", "louisiana"),
    ("us", "me", "maine"), ("us", "md", "maryland"), ("us", "ma", "massachusetts"), ("us", "mi", "michigan"),
    ("us", "mn", "minnesota"), ("us", "ms", "mississippi"), ("us", "mo", "missouri"), ("us", "mt", "montana"),
    ("us", "ne", "nebraska"), ("us", "nv", "nevada"), ("us", "nh", "new-hampshire"), ("us", "nj", "new-jersey"),
    ("us", "nm", "new-mexico"), ("us", "ny", "new-york"), ("us", "nc", "north-carolina"), ("us", "nd", "north-dakota"),
    ("us", "oh", "ohio"), ("us", "ok", "oklahoma"), ("us", "or", "oregon"), ("us", "pa", "pennsylvania"),
    ("us", "pr", "puerto-rico"), ("us", "ri", "rhode-island"), ("us", "sc", "south-carolina"), ("us", "sd", "south-dakota"),
    ("us", "tn", "tennessee"), ("us", "tx", "texas"), ("us", "ut", "utah"), ("us", "vt", "vermont"), ("us", "va", "virginia"),
    ("us", "wa", "washington"), ("us", "wv", "west-virginia"), ("us", "wi", "wisconsin"), ("us", "wy", "wyoming"),
    ("ca", "ab", "alberta"), ("ca", "bc", "british-columbia"), ("ca", "mb", "manitoba"), ("ca", "nb", "new-brunswick"),
    ("ca", "nl", "newfoundland-and-labrador"), ("ca", "ns", "nova-scotia"), ("ca", "nt", "northwest-territories"),
    ("ca", "nu", "nunavut"), ("ca", "on", "ontario"), ("ca", "pe", "prince-edward-island"), ("ca", "qc", "quebec"),
    ("ca", "sk", "saskatchewan"), ("ca", "yt", "yukon"), ("ca", "nl", "newfoundland"),
    ("us", "as", "american-samoa"), ("us", "gu", "guam"), ("us", "mp", "northern-mariana-islands"),
    ("us", "vi", "virgin-islands"), ("us", "vi", "us-virgin-islands"),
];

/// What people write for a country, besides its two letters.
const COUNTRIES: [(&str, &str); 6] = [
    ("usa", "us"),
    ("united-states", "us"),
    ("united-states-of-america", "us"),
    ("canada", "ca"),
    ("united-kingdom", "gb"),
    ("uk", "gb"),
];

/// Why a text names no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// It is none, or it names a city that nobody has heard of; what would be right.
    Unknown(String),
    /// It is the name of several; each as it may be written to mean that one alone.
    Ambiguous(Vec<String>),
}

/// The place that a text names, among these markets or, where it names a state, beyond them.
pub fn resolve(text: &str, markets: &[Market]) -> Result<Place, Unplaced> {
    let text = text.trim();
    let unknown = || Unplaced::Unknown(EXPECTED.to_owned());
    if text.len() > MAX_BYTES {
        return Err(unknown());
    }
    if let Ok(market) = text.parse::<Market>() {
        return Ok(cities(vec![market]));
    }
    if let Ok(code) = text.parse::<PostalCode>() {
        return Ok(postal(code));
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    match *parts.as_slice() {
        [one] => match postal_code(one, None, markets) {
            Some(code) => Ok(postal(code)),
            None => by_name(one, markets),
        },
        [first, second] => {
            if let Some(code) = postal_code(first, country_of(second), markets).filter(|_| country_of(second).is_some())
            {
                return Ok(postal(code));
            }
            in_state(first, second, None, markets)
        }
        [_, state, last] if postal_code(last, state_of(&slug(state)).map(|s| s.0), markets).is_some() => {
            let code = postal_code(last, state_of(&slug(state)).map(|s| s.0), markets);
            code.map(postal).ok_or_else(unknown)
        }
        [city, state, country] => match country_of(country) {
            Some(country) => in_state(city, state, Some(country), markets),
            None => Err(Unplaced::Unknown(
                "'City, State, Country' with the country's two letters, or 'City, State'".to_owned(),
            )),
        },
        _ => Err(unknown()),
    }
}

/// The markets of a city's name, with or without its state: all that have it.
pub fn markets_named(text: &str, markets: &[Market]) -> Vec<Market> {
    match resolve(text, markets) {
        Ok(place) => place.cities.into_iter().filter(|market| markets.contains(market)).collect(),
        Err(_) => of_city(&slug(text), None, None, markets),
    }
}

/// A market as a person writes it: `Portland, OR, US`. Read again it means this market.
pub fn written(market: &Market) -> String {
    let [country, state, city] = segments(market);
    let words = |slug: &str| {
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        // A slug has no empty words.
        slug.split('-').filter(|word| !word.is_empty()).map(capital).collect::<Vec<_>>().join(" ")
    };
    let state = if state.len() <= 3 { state.to_ascii_uppercase() } else { words(state) };
    format!("{}, {state}, {}", words(city), country.to_ascii_uppercase())
}

/// The country of a state's code or name, if it is known.
pub fn country_of_state(text: &str) -> Option<Country> {
    state_of(&slug(text)).map(|(country, _)| country)
}

fn cities(cities: Vec<Market>) -> Place {
    Place { cities, ..Place::default() }
}

fn postal(code: PostalCode) -> Place {
    Place { postal_codes: vec![code], ..Place::default() }
}

/// A bare name: of a city that there is, else with its state behind it and the comma left out.
fn by_name(text: &str, markets: &[Market]) -> Result<Place, Unplaced> {
    let found = of_city(&slug(text), None, None, markets);
    if !found.is_empty() {
        return only(found);
    }
    if let Some((city, state)) = text.rsplit_once(char::is_whitespace)
        && state_of(&slug(state)).is_some()
        && !slug(city).is_empty()
    {
        return in_state(city, state, None, markets);
    }
    let shown = text.chars().take(80).collect::<String>();
    Err(Unplaced::Unknown(match slug(text).is_empty() {
        true => EXPECTED.to_owned(),
        false => format!(
            "a city with its state: no listing was ever seen in a city named '{shown}', name it as '{shown}, ST'"
        ),
    }))
}

/// A city of a state, or of a country where the second part is one and no state.
fn in_state(city: &str, state: &str, country: Option<Country>, markets: &[Market]) -> Result<Place, Unplaced> {
    // "WA 98101": the postal code says more than the city.
    if let Some((state, code)) = state.split_once(char::is_whitespace)
        && let Some((of_state, _)) = state_of(&slug(state))
        && let Some(code) = postal_code(code, Some(of_state), markets)
    {
        return Ok(postal(code));
    }
    let (city_slug, state_slug) = (slug(city), slug(state));
    if city_slug.is_empty() || state_slug.is_empty() {
        return Err(Unplaced::Unknown(EXPECTED.to_owned()));
    }
    let known = state_of(&state_slug);
    let found = of_city(&city_slug, Some(&state_slug), country, markets);
    if !found.is_empty() {
        return only(found);
    }
    // Of these countries all states are known; elsewhere a code may be what it is here too, as in Perth, WA, AU.
    if let Some(country) = country
        && STATES.iter().any(|(of, ..)| *of == country.as_str())
        && known.is_none_or(|(of, _)| of != country)
    {
        return Err(Unplaced::Unknown(format!("a state or province of {}", country.as_str().to_ascii_uppercase())));
    }
    match (country.or(known.map(|(country, _)| country)), country_of(state)) {
        // Nothing was ever seen there: as a feed would write it, so that the first listing is seen.
        (Some(country), _) => {
            Ok(cities(vec![Market::of(country, Some(known.map_or(state, |(_, code)| code)), Some(city))]))
        }
        (None, Some(country)) => match of_city(&city_slug, None, Some(country), markets) {
            found if found.is_empty() => Err(Unplaced::Unknown(
                "'City, State, Country': no listing was ever seen in that city, so its state must be named".to_owned(),
            )),
            found => only(found),
        },
        (None, None) => Err(Unplaced::Unknown("'City, State, Country', with the country's two letters".to_owned())),
    }
}

/// The markets of a city, by slugs.
fn of_city(city: &str, state: Option<&str>, country: Option<Country>, markets: &[Market]) -> Vec<Market> {
    let is_meant = |market: &&Market| {
        let [of_country, of_state, of_city] = segments(market);
        of_city == city
            && of_city != UNKNOWN_PLACE
            && country.is_none_or(|country| country.as_str() == of_country)
            && state.is_none_or(|state| code_of(state) == code_of(of_state))
    };
    markets.iter().filter(is_meant).cloned().collect()
}

/// All of them if they are one city, which feeds may write with its state's code and name; else a choice.
fn only(mut found: Vec<Market>) -> Result<Place, Unplaced> {
    found.sort();
    let city = |market: &Market| {
        let [country, state, _] = segments(market);
        (country.to_owned(), code_of(state).to_owned())
    };
    if found.windows(2).all(|pair| city(&pair[0]) == city(&pair[1])) {
        found.truncate(MAX_CITIES);
        return Ok(cities(found));
    }
    Err(Unplaced::Ambiguous(found.iter().take(MAX_CANDIDATES).map(written).collect()))
}

/// The code of a state's slug, if it is known; else the slug.
fn code_of(state: &str) -> &str {
    state_of(state).map_or(state, |(_, code)| code)
}

/// Country and code of a state, by the slug of its code or name.
fn state_of(state: &str) -> Option<(Country, &'static str)> {
    let (country, code, _) = STATES.iter().find(|(_, code, name)| *code == state || *name == state)?;
    Some((country.parse().ok()?, *code))
}

fn country_of(text: &str) -> Option<Country> {
    let slug = slug(text);
    let named = COUNTRIES.iter().find(|(name, _)| *name == slug).map(|(_, code)| *code);
    named.unwrap_or(text).parse().ok()
}

/// `98101`, `98101-1234`, `K1A 0B1`, or a text with digits in a country that is named or is the only one.
fn postal_code(text: &str, country: Option<Country>, markets: &[Market]) -> Option<PostalCode> {
    let code = PostalCode::normalise(text)?;
    if !code.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let shape: String = code
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '9'
            } else if c.is_ascii_uppercase() {
                'A'
            } else {
                c
            }
        })
        .collect();
    let is_there = |country: &str| markets.iter().any(|market| segments(market)[0] == country);
    let (country, code) = match (country, shape.as_str()) {
        (Some(country), "99999-9999") if country.as_str() == "us" => (country, code[..5].to_owned()),
        (Some(country), _) => (country, code),
        (None, "99999" | "99999-9999") if is_there("us") || markets.is_empty() => {
            ("us".parse().ok()?, code[..5].to_owned())
        }
        (None, "A9A 9A9") => ("ca".parse().ok()?, code),
        (None, _) => {
            let first = markets.first()?.country();
            let is_only = markets.iter().all(|market| market.country() == first);
            (is_only.then_some(first)?, code)
        }
    };
    Some(PostalCode { country, code })
}

/// Country, state and city.
fn segments(market: &Market) -> [&str; 3] {
    let mut segments = market.as_str().split('/');
    std::array::from_fn(|_| segments.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markets() -> Vec<Market> {
        [
            "us/wa/seattle",
            "us/or/portland",
            "us/me/portland",
            "us/id/coeur-dalene",
            "us/washington/kent",
            "us/wa/kent",
            "de/by/munchen",
        ]
        .map(|market| market.parse().unwrap())
        .to_vec()
    }

    /// The cities and postal codes that a text means.
    fn meant(text: &str) -> Result<Vec<String>, Unplaced> {
        let place = resolve(text, &markets())?;
        let codes = place.postal_codes.iter().map(ToString::to_string);
        Ok(place.cities.iter().map(ToString::to_string).chain(codes).collect())
    }

    #[test]
    fn a_place_is_meant_however_it_is_written() {
        for (text, market) in [
            ("Seattle, WA", "us/wa/seattle"),
            ("seattle", "us/wa/seattle"),
            ("  SEATTLE ,wa ", "us/wa/seattle"),
            ("Seattle, Washington", "us/wa/seattle"),
            ("Seattle WA", "us/wa/seattle"),
            ("Seattle, WA, US", "us/wa/seattle"),
            ("Seattle, WA, USA", "us/wa/seattle"),
            ("Seattle, USA", "us/wa/seattle"),
            ("us/wa/seattle", "us/wa/seattle"),
            ("Portland, Oregon", "us/or/portland"),
            ("Coeur d'Alene, ID", "us/id/coeur-dalene"),
            ("München", "de/by/munchen"),
            ("Munchen, BY, DE", "de/by/munchen"),
            ("München, BY", "de/by/munchen"),
            ("Bend, OR", "us/or/bend"),
            ("Bend, Oregon", "us/or/bend"),
            ("Toronto, Ontario", "ca/on/toronto"),
            ("Berlin, BE, DE", "de/be/berlin"),
            ("Perth, WA, AU", "au/wa/perth"),
            ("Hagåtña, GU, US", "us/gu/hagatna"),
            ("St. John's, Newfoundland", "ca/nl/st-johns"),
            ("98101", "us/98101"),
            ("98101-1234", "us/98101"),
            ("Seattle, WA 98101", "us/98101"),
            ("Seattle, WA, 98101", "us/98101"),
            ("80331, DE", "de/80331"),
            ("k1a 0b1", "ca/K1A 0B1"),
            ("us/98101", "us/98101"),
        ] {
            assert_eq!(meant(text), Ok(vec![market.to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_city_whose_state_is_written_in_two_ways_is_one() {
        assert_eq!(meant("Kent, WA").unwrap(), ["us/wa/kent", "us/washington/kent"]);
        assert_eq!(meant("Kent").unwrap().len(), 2);
    }

    #[test]
    fn a_name_of_several_cities_is_a_choice_and_each_of_it_means_one() {
        let Err(Unplaced::Ambiguous(candidates)) = meant("Portland") else { panic!() };
        assert_eq!(candidates, ["Portland, ME, US", "Portland, OR, US"]);
        for (candidate, market) in candidates.iter().zip(["us/me/portland", "us/or/portland"]) {
            assert_eq!(meant(candidate).unwrap(), [market]);
        }
        for market in markets() {
            assert!(meant(&written(&market)).unwrap().contains(&market.to_string()), "{market}");
        }
    }

    #[test]
    fn what_is_no_place_is_told_how_to_say_it() {
        let long = "x".repeat(301);
        for text in [
            "",
            " ",
            ",",
            "Springfield",
            "Paris, France",
            "a, b, c, d",
            "Seattle, WA, Nowhere",
            "Seattle, WA, Canada",
            "!!",
            &long,
        ] {
            assert!(matches!(meant(text), Err(Unplaced::Unknown(_))), "{text}: {:?}", meant(text));
        }
        let Err(Unplaced::Unknown(expected)) = meant("Springfield") else { panic!() };
        assert!(expected.contains("'Springfield, ST'"), "{expected}");
    }

    #[test]
    fn browsing_by_name_takes_every_city_of_it() {
        let named = |text: &str| markets_named(text, &markets()).len();
        assert_eq!((named("Portland"), named("Portland, OR"), named("Nowhere"), named("Bend, OR")), (2, 1, 0, 0));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_is_a_place_or_is_none(text in "([A-Za-z0-9/ ,'é-]{0,14}(, ?)?){0,4}|\\PC{0,20}") {
            if let Ok(place) = resolve(&text, &markets()) {
                proptest::prop_assert!(place.cities.len() + place.postal_codes.len() > 0);
                for market in &place.cities {
                    proptest::prop_assert!(market.as_str().parse::<Market>().is_ok(), "{market}");
                }
                // What is meant can be said again, whatever there is by then.
                for market in &place.cities {
                    let again = resolve(&written(market), &place.cities).unwrap();
                    proptest::prop_assert!(again.cities.contains(market), "{market}: {}", written(market));
                }
            }
        }
    }
}
