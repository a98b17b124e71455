//! Distance on the globe in integers, so that every machine agrees (DESIGN §6): coordinates in steps of 1e-5 degree, a
//! flat map whose scale is that of the circle's own centre.
//!
//! Not a geodesy library: the flat map is exact to a few parts in a thousand within the largest radius (500 km), and
//! which listings lie within a circle is *defined* by it.

use schemas::preferences::Circle;
use schemas::units::{Latitude, Longitude, Position, RadiusKm};

/// Micrometres of one step of latitude: a 1e-5 degree on a sphere of 6,371,008.8 m (the mean radius of IUGG).
const NORTH_UM: i64 = 1_111_951;
/// Steps of a whole turn of longitude.
const TURN: i64 = 36_000_000;
/// Steps of a degree.
const DEGREE: i64 = 100_000;

/// cos(0°), cos(1°), …, cos(90°) in millionths, rounded to the nearest.
#[rustfmt::skip]
const COSINE_MILLIONTHS: [i64; 91] = [
    1_000_000, 999_848, 999_391, 998_630, 997_564, 996_195, 994_522, 992_546, 990_268, 987_688,
    984_808, 981_627, 978_148, 974_370, 970_296, 965_926, 961_262, 956_305, 951_057, 945_519,
    939_693, 933_580, 927_184, 920_505, 913_545, 906_308, 898_794, 891_007, 882_948, 874_620,
    866_025, 857_167, 848_048, 838_671, 829_038, 819_152, 809_017, 798_636, 788_011, 777_146,
    766_044, 754_710, 743_145, 731_354, 719_340, 707_107, 694_658, 681_998, 669_131, 656_059,
    642_788, 629_320, 615_661, 601_815, 587_785, 573_576, 559_193, 544_639, 529_919, 515_038,
    500_000, 484_810, 469_472, 453_990, 438_371, 422_618, 406_737, 390_731, 374_607, 358_368,
    342_020, 325_568, 309_017, 292_372, 275_637, 258_819, 241_922, 224_951, 207_912, 190_809,
    173_648, 156_434, 139_173, 121_869, 104_528, 87_156, 69_756, 52_336, 34_899, 17_452,
    0,
];

/// A square degree of the map, by its south-west corner: degrees of latitude, of longitude from 0 to 359.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile(i16, i16);

impl Tile {
    /// Of latitude, of longitude.
    pub(crate) const fn degrees(self) -> [i16; 2] {
        [self.0, self.1]
    }

    /// With these.
    pub(crate) const fn from_degrees([latitude, longitude]: [i16; 2]) -> Self {
        Self(latitude, longitude)
    }

    /// The one in which a place lies.
    pub fn of(position: Position) -> Self {
        Self::at(i64::from(position.latitude.steps()), i64::from(position.longitude.steps()))
    }

    fn at(latitude: i64, longitude: i64) -> Self {
        // Below 360 either way.
        Self(latitude.div_euclid(DEGREE) as i16, longitude.div_euclid(DEGREE).rem_euclid(360) as i16)
    }
}

/// A circle with the scale of the map at its centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disc {
    latitude: i64,
    longitude: i64,
    radius_m: i64,
    east_um: i64,
}

impl Disc {
    /// The circle of a session.
    pub fn of(circle: &Circle) -> Self {
        let latitude = i64::from(circle.latitude.steps());
        Self {
            latitude,
            longitude: i64::from(circle.longitude.steps()),
            // A circle that has no extent has no score; the doors refuse it.
            radius_m: i64::from(circle.radius_km.steps()).max(1),
            east_um: NORTH_UM * cosine_millionths(latitude) / 1_000_000,
        }
    }

    /// Of which circle it is.
    pub(crate) fn circle(&self) -> Option<Circle> {
        Some(Circle {
            latitude: Latitude::from_steps(i32::try_from(self.latitude).ok()?)?,
            longitude: Longitude::from_steps(i32::try_from(self.longitude).ok()?)?,
            radius_km: RadiusKm::from_steps(u32::try_from(self.radius_m).ok()?)?,
        })
    }

    /// Metres; more than 0.
    pub const fn radius_m(&self) -> i64 {
        self.radius_m
    }

    /// Metres from the centre, rounded down, if not beyond the radius.
    pub fn distance_m(&self, position: Position) -> Option<i64> {
        let north = (i64::from(position.latitude.steps()) - self.latitude).abs();
        let east = (i64::from(position.longitude.steps()) - self.longitude).abs();
        // The shorter way round: 179.9° E and 179.9° W are neighbours.
        let east = east.min(TURN - east);
        // At most 20,016 km each: the sum of squares is below 2^50.
        let (north_m, east_m) = (north * NORTH_UM / 1_000_000, east * self.east_um / 1_000_000);
        let distance = (north_m * north_m + east_m * east_m).isqrt();
        (distance <= self.radius_m).then_some(distance)
    }

    /// Every tile in which a place within may lie, and perhaps some more; `None` if there are more than `most`.
    pub fn tiles(&self, most: usize) -> Option<Vec<Tile>> {
        // More than any place within is off, whatever was rounded down.
        let steps = |um: i64| Some(((self.radius_m + 1) * 1_000_000).checked_div(um)? + 1);
        let (north, east) = (steps(NORTH_UM)?, steps(self.east_um)?);
        let degrees = |middle: i64, off: i64| ((middle - off).div_euclid(DEGREE), (middle + off).div_euclid(DEGREE));
        let (south, north) = degrees(self.latitude, north);
        let (west, east) = degrees(self.longitude, east);
        let is_few = (north - south + 1).checked_mul(east - west + 1).is_some_and(|count| count <= most as i64);
        is_few.then(|| {
            let rows = south..=north;
            rows.flat_map(|row| (west..=east).map(move |column| Tile::at(row * DEGREE, column * DEGREE))).collect()
        })
    }

    /// Whether any place between these positions may lie within: no false negatives.
    pub fn may_touch(&self, south_west: Position, north_east: Position) -> bool {
        let outside = |at: i64, low: i32, high: i32| (i64::from(low) - at).max(at - i64::from(high)).max(0);
        let north = outside(self.latitude, south_west.latitude.steps(), north_east.latitude.steps());
        let (west, east) = (south_west.longitude.steps(), north_east.longitude.steps());
        let around = [0, TURN, -TURN].map(|turn| outside(self.longitude + turn, west, east));
        // The nearest meridian of the box, whichever way round.
        let east = around.into_iter().fold(TURN, i64::min);
        north * NORTH_UM / 1_000_000 <= self.radius_m && east * self.east_um / 1_000_000 <= self.radius_m
    }
}

/// Of a latitude in steps; linear between whole degrees, which is off by less than 40 millionths.
fn cosine_millionths(latitude: i64) -> i64 {
    let latitude = latitude.abs().min(90 * DEGREE);
    // In 0..=90, so the index is in the table; at the pole both neighbours are the last entry.
    let degree = (latitude / DEGREE) as usize;
    let (low, high) = (COSINE_MILLIONTHS[degree], COSINE_MILLIONTHS[(degree + 1).min(90)]);
    low + (high - low) * (latitude % DEGREE) / DEGREE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disc(latitude: f64, longitude: f64, radius_m: u32) -> Disc {
        let centre = Position::from_degrees(latitude, longitude).unwrap();
        Disc::of(&Circle {
            latitude: centre.latitude,
            longitude: centre.longitude,
            radius_km: RadiusKm::from_steps(radius_m).unwrap(),
        })
    }

    fn metres(from: (f64, f64), to: (f64, f64)) -> Option<i64> {
        disc(from.0, from.1, 500_000).distance_m(Position::from_degrees(to.0, to.1).unwrap())
    }

    #[test]
    fn the_committed_table_is_the_cosine() {
        for (degree, &entry) in COSINE_MILLIONTHS.iter().enumerate() {
            let exact = (degree as f64).to_radians().cos() * 1e6;
            assert!((entry as f64 - exact).abs() <= 0.5 + 1e-6, "cos({degree}°): {entry} is not {exact}");
        }
        for latitude in (-9_000_000_i64..=9_000_000).step_by(12_345) {
            let exact = (latitude as f64 / 1e5).to_radians().cos() * 1e6;
            let table = cosine_millionths(latitude);
            assert!((table as f64 - exact).abs() < 40.0, "at {latitude}: {table} is not {exact}");
        }
    }

    #[test]
    fn whatever_lies_within_lies_in_one_of_the_tiles() {
        let mut seed = 7_u64;
        let mut next = |range: std::ops::Range<f64>| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            range.start + (seed >> 11) as f64 / (1_u64 << 53) as f64 * (range.end - range.start)
        };
        let mut within = 0;
        for _ in 0..200_000 {
            let (latitude, longitude) = (next(-89.0..89.0), next(-180.0..180.0));
            let disc = disc(latitude, longitude, next(1.0..120_000.0) as u32);
            let Some(tiles) = disc.tiles(16) else { continue };
            let (north, east) = (latitude + next(-1.2..1.2), longitude + next(-2.0..2.0));
            let Some(at) = Position::from_degrees(north, (east + 540.0).rem_euclid(360.0) - 180.0) else { continue };
            if disc.distance_m(at).is_some() {
                within += 1;
                assert!(tiles.contains(&Tile::of(at)), "{disc:?}: {at:?} is in none of {tiles:?}");
            }
        }
        assert!(within > 10_000, "{within} places were within");
        assert_eq!(disc(90.0, 0.0, 1_000).tiles(16), None, "all longitudes meet at the pole");
        assert_eq!(disc(47.5, -179.999, 1_000).tiles(16).unwrap().len(), 2, "neighbours across the date line");
    }

    #[test]
    fn distances_are_those_of_the_haversine_to_a_few_parts_in_a_thousand() {
        // Seattle to Bellevue, to Tacoma, to Portland; Quito along the equator.
        for (from, to) in [
            ((47.6062_f64, -122.3321_f64), (47.6101_f64, -122.2015_f64)),
            ((47.6062, -122.3321), (47.2529, -122.4443)),
            ((47.6062, -122.3321), (45.5152, -122.6784)),
            ((0.0, -78.5), (0.0, -76.0)),
        ] {
            let (lat_a, lat_b) = (from.0.to_radians(), to.0.to_radians());
            let h = ((lat_b - lat_a) / 2.0).sin().powi(2)
                + lat_a.cos() * lat_b.cos() * ((to.1 - from.1).to_radians() / 2.0).sin().powi(2);
            let exact = 2.0 * 6_371_008.8 * h.sqrt().asin();
            let ours = metres(from, to).unwrap() as f64;
            assert!((ours - exact).abs() <= 2.0 + exact * 0.003, "{from:?} {to:?}: {ours} is not {exact}");
        }
    }

    #[test]
    fn one_step_of_latitude_is_a_metre_and_longitude_shrinks_with_the_cosine() {
        assert_eq!(metres((0.0, 0.0), (0.001, 0.0)), Some(111));
        assert_eq!(metres((0.0, 0.0), (0.0, 0.001)), Some(111));
        assert_eq!(metres((60.0, 0.0), (60.0, 0.001)), Some(55));
        assert_eq!(metres((0.0, 0.0), (0.0, 0.0)), Some(0));
        assert_eq!(metres((90.0, 0.0), (90.0, 180.0)), Some(0));
    }

    #[test]
    fn longitude_wraps_at_180_degrees() {
        assert_eq!(metres((0.0, 179.999), (0.0, -179.999)), metres((0.0, 0.0), (0.0, 0.002)));
        assert_eq!(metres((0.0, -180.0), (0.0, 180.0)), Some(0));
    }

    #[test]
    fn the_radius_itself_is_within_and_a_metre_more_is_not() {
        let at = Position::from_degrees(0.0, 0.01).unwrap();
        assert_eq!(disc(0.0, 0.0, 1_111).distance_m(at), Some(1_111));
        assert_eq!(disc(0.0, 0.0, 1_110).distance_m(at), None);
    }

    #[test]
    fn a_box_with_a_place_within_the_circle_is_touched() {
        let mut state = 7_u64;
        let mut next = |below: i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % below
        };
        let mut within = 0;
        for _ in 0..100_000 {
            let lat = next(180) as f64 - 90.0;
            let lon = next(360) as f64 - 180.0;
            let disc = disc(lat, lon, 500_000);
            let mut corner = || {
                let lon = lon + next(1_000) as f64 / 100.0 - 5.0;
                let lon = if lon > 180.0 {
                    lon - 360.0
                } else if lon < -180.0 {
                    lon + 360.0
                } else {
                    lon
                };
                Position::from_degrees((lat + next(1_000) as f64 / 100.0 - 5.0).clamp(-90.0, 90.0), lon).unwrap()
            };
            let (a, b) = (corner(), corner());
            let low = Position { latitude: a.latitude.min(b.latitude), longitude: a.longitude.min(b.longitude) };
            let high = Position { latitude: a.latitude.max(b.latitude), longitude: a.longitude.max(b.longitude) };
            if disc.distance_m(a).is_some() {
                within += 1;
                assert!(disc.may_touch(low, high), "{disc:?} {a:?} in {low:?}..{high:?}");
            }
        }
        assert!(within > 10_000, "the test must meet circles that touch: {within}");
    }
}
