//! Where the synthetic market lies: ten cities that do not exist, and their neighbourhoods.
//!
//! The cities are fictional on purpose. A model trained on made-up sales must never put a number on a real home, and
//! a model answers only for the markets it was trained on: with made-up names the two cannot meet. Postal codes are
//! of blocks that no post office assigns (US 001xx, Canada Z..). Nothing here depends on a seed, so what a model
//! learnt from one seed holds for every other.

use crate::random::{Random, wave};

/// A city.
#[derive(Debug)]
pub struct Place {
    /// As feeds write it.
    pub city: &'static str,
    /// As feeds write it.
    pub state_or_province: &'static str,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: &'static str,
    /// ISO 4217.
    pub currency: &'static str,
    /// The feed that most of its listings come from.
    pub feed: &'static str,
    /// Degrees north of the centre.
    pub latitude: f64,
    /// Degrees east of the centre.
    pub longitude: f64,
    /// Kilometres in a degree of longitude at that latitude.
    pub(crate) km_per_longitude: f64,
    /// Natural logarithm of the price of the reference home (a house of 1,800 sqft, average in all else).
    pub(crate) log_price: f64,
    /// How many listings it has, relative to the others.
    pub(crate) weight: u64,
    /// Whether summers are hot: pools are common and worth more.
    pub(crate) hot: bool,
}

/// Kilometres in a degree of latitude.
pub(crate) const KM_PER_LATITUDE: f64 = 111.2;

macro_rules! places {
    ($($city:literal, $state:literal, $country:literal, $currency:literal, $feed:literal, $lat:literal, $lon:literal, $km:literal, $log_price:literal, $weight:literal, $hot:literal;)+) => {
        /// Every city, the biggest market first.
        pub const PLACES: &[Place] = &[$(Place {
            city: $city, state_or_province: $state, country: $country, currency: $currency, feed: $feed, latitude: $lat,
            longitude: $lon, km_per_longitude: $km, log_price: $log_price, weight: $weight, hot: $hot,
        }),+];
    };
}

//  city                     state country currency feed         latitude longitude km/° ln price weight hot
places! {
    "Port Ellis",            "WA", "US", "USD", "port-ellis-mls", 48.051, -122.853, 74.4, 13.46, 30, false;
    "Marlow Creek",          "TX", "US", "USD", "lone-oak-mls",   30.402, -97.911,  96.0, 12.95, 24, true;
    "Larkspur Mesa",         "CO", "US", "USD", "front-range-mls", 39.604, -105.118, 85.8, 13.27, 18, false;
    "Arbutus Bay",           "BC", "CA", "CAD", "arbutus-board",  49.216, -123.382, 72.7, 13.78, 14, false;
    "Juniper Reach",         "AZ", "US", "USD", "saguaro-mls",    33.618, -112.043, 92.7, 12.88, 12, true;
    "Calder Bay",            "CA", "US", "USD", "calder-mls",     37.214, -122.341, 88.7, 13.92, 10, false;
    "Tamarack Falls",        "WA", "US", "USD", "port-ellis-mls", 47.352, -121.907, 75.4, 13.12, 9, false;
    "Hollis Harbor",         "MA", "US", "USD", "hollis-mls",     42.306, -70.911,  82.3, 13.39, 8, false;
    "Fenn Hollow",           "NC", "US", "USD", "piedmont-mls",   35.801, -78.912,  90.3, 12.71, 7, true;
    "Baie-Sainte-Élise",     "QC", "CA", "CAD", "elise-board",    46.911, -71.052,  76.1, 12.86, 5, false;
}

/// The portal that lists a part of every city's homes beside the main feed, and writes things its own way.
pub const PORTAL_FEED: &str = "homeboard";

/// A part of a city, with what its homes have in common.
#[derive(Clone, Copy, Debug)]
pub struct Neighbourhood {
    /// As feeds write it.
    pub name: &'static str,
    /// Its main streets.
    pub(crate) streets: [&'static str; 4],
    /// East of the city's centre.
    pub(crate) east_km: f64,
    /// North of the city's centre.
    pub(crate) north_km: f64,
    /// What its address adds to the logarithm of a price.
    pub(crate) premium: f64,
    /// When most of it was built.
    pub(crate) built: u16,
    /// School rating in tenths, its mean.
    pub(crate) school_tenths: f64,
    /// How likely each kind of home is, in the order of `home::KINDS`.
    pub(crate) mix: [u64; 5],
}

/// How many neighbourhoods a city has.
pub const NEIGHBOURHOODS: usize = 8;

type Pattern = (&'static str, [&'static str; 4], f64, f64, u16, f64, [u64; 5]);

/// Name, streets, kilometres from the centre, premium, year, school, mix (house, townhouse, condominium, duplex, manufactured).
const PATTERNS: [Pattern; NEIGHBOURHOODS] = [
    ("Old Town", ["Front", "Market", "Alder", "Chapel"], 1.1, 0.13, 1928, 61.0, [25, 15, 55, 5, 0]),
    ("Riverside", ["Quay", "Mill", "Ferry", "Heron"], 2.2, 0.21, 2009, 66.0, [8, 17, 75, 0, 0]),
    ("University", ["College", "Ash", "Garden", "Library"], 3.4, 0.02, 1951, 68.0, [42, 13, 35, 10, 0]),
    ("Maple Heights", ["Maple", "Summit", "Orchard", "Vista"], 5.0, 0.17, 1962, 81.0, [80, 12, 6, 2, 0]),
    ("Southgate", ["Station", "Cedar", "Union", "Foundry"], 6.8, -0.17, 1969, 47.0, [55, 20, 15, 10, 0]),
    ("Fairview", ["Meadow", "Linden", "Prospect", "Birch"], 9.0, -0.03, 1987, 68.0, [70, 18, 10, 2, 0]),
    ("Millbrook", ["Brook", "Willow", "Pond", "Harvest"], 12.5, -0.08, 2007, 76.0, [66, 30, 4, 0, 0]),
    ("Eastfield", ["County", "Prairie", "Juniper", "Dusty"], 16.0, -0.26, 1995, 52.0, [64, 8, 0, 4, 24]),
];

/// East and north of the eight winds.
const WINDS: [(f64, f64); 8] =
    [(0.0, 1.0), (0.71, 0.71), (1.0, 0.0), (0.71, -0.71), (0.0, -1.0), (-0.71, -0.71), (-1.0, 0.0), (-0.71, 0.71)];

/// Names the streams of chance that make the geography, which no seed changes.
const GEOGRAPHY: u64 = 0x67_656F;

/// The `n`-th neighbourhood of the `place`-th city.
pub(crate) fn neighbourhood(place: usize, n: usize) -> Neighbourhood {
    let (name, streets, km, premium, built, school_tenths, mix) = PATTERNS[n];
    let mut random = Random::of(GEOGRAPHY, (place * NEIGHBOURHOODS + n) as u64);
    let (east, north) = WINDS[(3 * n + place) % WINDS.len()];
    let km = km * random.between(0.85, 1.15);
    Neighbourhood {
        name,
        streets,
        east_km: east * km,
        north_km: north * km,
        premium: premium + random.between(-0.06, 0.06),
        built,
        school_tenths: school_tenths + random.between(-6.0, 6.0),
        mix,
    }
}

/// The postal code of a neighbourhood: `00123`, `Z1B 3C4`.
pub fn postal_code(place: usize, n: usize) -> String {
    if PLACES[place].country == "CA" {
        let letter = char::from(b'A' + (n % 8) as u8);
        format!("Z{}{letter} {}{letter}{}", place % 10, n % 10, (n + 3) % 10)
    } else {
        format!("001{place}{n}")
    }
}

/// How far prices of a city stand above or below their long-run mean, as a factor, some days after the start. Two slow
/// swings, so that it drifts for months but never runs away, however long a demonstration is left alone.
pub(crate) fn price_level(place: usize, days: f64) -> f64 {
    let phase = place as f64 * 0.37;
    1.0 + 0.045 * wave(days / 610.0 + phase) + 0.02 * wave(days / 173.0 + 2.0 * phase)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_place_is_a_market_of_its_own_with_its_countrys_currency() {
        let markets: BTreeSet<String> = PLACES
            .iter()
            .map(|place| {
                let country: schemas::id::Country = place.country.parse().unwrap();
                assert_eq!(schemas::money::Currency::of(country).unwrap().as_str(), place.currency);
                place.feed.parse::<schemas::id::FeedName>().unwrap();
                schemas::id::Market::of(country, Some(place.state_or_province), Some(place.city)).to_string()
            })
            .collect();
        assert_eq!(markets.len(), PLACES.len());
        assert!(markets.contains("ca/qc/baie-sainte-elise"), "{markets:?}");
    }

    #[test]
    fn every_neighbourhood_has_a_postal_code_of_its_own() {
        let codes: BTreeSet<String> =
            (0..PLACES.len()).flat_map(|p| (0..NEIGHBOURHOODS).map(move |n| postal_code(p, n))).collect();
        assert_eq!(codes.len(), PLACES.len() * NEIGHBOURHOODS);
        assert!(codes.iter().all(|code| schemas::preferences::PostalCode::normalise(code).as_ref() == Some(code)));
    }

    #[test]
    fn prices_drift_but_never_run_away() {
        for place in 0..PLACES.len() {
            let levels: Vec<f64> = (0..3_650).map(|day| price_level(place, f64::from(day))).collect();
            assert!(levels.iter().all(|level| (0.93..1.07).contains(level)), "{place}");
            assert!(levels.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.003), "{place}");
        }
    }
}
