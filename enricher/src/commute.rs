//! How long the way to the city centre takes, where no feed says so: an estimate from the distance, and only for
//! markets whose centre is in the shipped table (`data/city_centres.csv`). Elsewhere there is none.

use rustc_hash::FxHashMap;
use schemas::field_error::{Fault, FieldError};
use schemas::id::Market;
use schemas::listing::Listing;
use schemas::priced::Commute;
use schemas::units::Position;

/// Beyond this distance a listing does not belong to the city that it names: its place is wrong, or the name is.
const MAX_KM: f64 = 150.0;

/// Where the centre of a market lies.
#[derive(Debug)]
pub struct CityCentres(FxHashMap<Market, Position>);

impl CityCentres {
    /// The table that roost ships.
    pub fn shipped() -> Self {
        // A unit test reads the very same text.
        Self::read(include_str!("../data/city_centres.csv")).expect("the shipped table of city centres is well-formed")
    }

    /// Reads `market,latitude,longitude` lines below a header.
    fn read(text: &str) -> Result<Self, FieldError> {
        let mut centres = FxHashMap::default();
        for line in text.lines().skip(1) {
            let wrong = || FieldError::new("city_centres", line, Fault::BadType, "market,latitude,longitude");
            let [market, latitude, longitude] = line.split(',').collect::<Vec<_>>()[..] else { return Err(wrong()) };
            let degrees = |text: &str| text.parse::<f64>().map_err(|_| wrong());
            let position = Position::from_degrees(degrees(latitude)?, degrees(longitude)?).ok_or_else(wrong)?;
            if centres.insert(market.parse()?, position).is_some() {
                return Err(FieldError::new("city_centres", market, Fault::Duplicate, "each market once"));
            }
        }
        Ok(Self(centres))
    }

    /// The feed's minutes, else an estimate, else nothing.
    pub fn commute(&self, listing: &Listing) -> Option<Commute> {
        if let Some(minutes) = listing.commute_minutes {
            return Some(Commute { minutes, estimated: false });
        }
        let km = distance_km(listing.position?, *self.0.get(&listing.market)?);
        (km <= MAX_KM).then(|| Commute { minutes: minutes_for(km), estimated: true })
    }
}

/// Minutes by car for a distance as the crow flies. Roads are 1.3 times as long; the first 10 km of them go at
/// 25 km/h, the next 30 at 50, the rest at 80; 4 minutes to park and walk.
///
/// The factor is the usual detour index of road networks (1.2 to 1.4); the speeds are round urban, suburban and
/// regional averages. An estimate, and labelled so wherever it is shown.
fn minutes_for(crow_km: f64) -> u16 {
    let road = crow_km * 1.3;
    let urban = road.min(10.0);
    let suburban = (road - 10.0).clamp(0.0, 30.0);
    let regional = (road - 40.0).max(0.0);
    // At most 195 km of road: far below the range of u16.
    (4.0 + urban / 25.0 * 60.0 + suburban / 50.0 * 60.0 + regional / 80.0 * 60.0).round() as u16
}

/// Great-circle distance (haversine, mean radius of the Earth).
fn distance_km(a: Position, b: Position) -> f64 {
    const EARTH_KM: f64 = 6_371.0;
    let radians = |steps: i32| (f64::from(steps) / 1e5).to_radians();
    let (lat_a, lat_b) = (radians(a.latitude.steps()), radians(b.latitude.steps()));
    let d_lat = lat_b - lat_a;
    let d_lon = radians(b.longitude.steps()) - radians(a.longitude.steps());
    let h = (d_lat / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (d_lon / 2.0).sin().powi(2);
    2.0 * EARTH_KM * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(market: &str, position: Option<(f64, f64)>, feed_says: Option<u16>) -> Listing {
        serde_json::from_value(serde_json::json!({
            "listing_id": "f:1", "feed": "f", "standard_status": "Active", "property_type": "Residential",
            "version": {"timestamp_ms": 0, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
            "transaction": "sale", "market": market, "country": "us", "currency": "USD", "commute_minutes": feed_says,
            "position": position.map(|(latitude, longitude)| serde_json::json!({"latitude": latitude, "longitude": longitude})),
        }))
        .unwrap()
    }

    #[test]
    fn the_shipped_table_is_wellformed_and_knows_the_larger_cities() {
        let centres = CityCentres::shipped();
        assert!(centres.0.len() >= 250, "{}", centres.0.len());
        for market in ["us/wa/seattle", "us/ny/new-york", "de/be/berlin", "gb/england/london"] {
            assert!(centres.0.contains_key(&market.parse::<Market>().unwrap()), "{market}");
        }
    }

    #[test]
    fn the_feeds_own_minutes_are_kept() {
        let home = listing("us/wa/seattle", Some((47.6062, -122.3321)), Some(35));
        assert_eq!(CityCentres::shipped().commute(&home), Some(Commute { minutes: 35, estimated: false }));
    }

    #[test]
    fn minutes_are_estimated_from_the_distance_and_say_so() {
        let minutes = |km: f64| minutes_for(km);
        assert_eq!([minutes(0.0), minutes(5.0), minutes(20.0), minutes(100.0)], [4, 20, 47, 132]);
        // Northgate, about 11 km north of downtown.
        let home = listing("us/wa/seattle", Some((47.7062, -122.3321)), None);
        assert_eq!(CityCentres::shipped().commute(&home), Some(Commute { minutes: 33, estimated: true }));
    }

    #[test]
    fn nothing_is_estimated_without_a_place_a_centre_or_sense() {
        let centres = CityCentres::shipped();
        assert_eq!(centres.commute(&listing("us/wa/seattle", None, None)), None);
        assert_eq!(centres.commute(&listing("us/wa/nowhere", Some((47.7, -122.3)), None)), None);
        assert_eq!(centres.commute(&listing("us/wa/seattle", Some((37.7, -122.4)), None)), None);
    }

    #[test]
    fn distances_agree_with_the_globe() {
        let at = |lat, lon| Position::from_degrees(lat, lon).unwrap();
        assert!((distance_km(at(0.0, 179.5), at(0.0, -179.5)) - 111.195).abs() < 0.01);
        assert!((distance_km(at(52.52, 13.405), at(48.1374, 11.5755)) - 504.4).abs() < 1.0);
    }
}
