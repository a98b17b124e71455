//! A home as it stands in the ground: where it is, what it is, and what it is worth. The hidden formula is here.
//!
//! Does not know whether it is for sale, for how much, or how a feed writes it: `life.rs` and `record.rs` do.

use schemas::vocabulary::PropertySubType;

use crate::places::{KM_PER_LATITUDE, NEIGHBOURHOODS, PLACES, neighbourhood};
use crate::random::{Random, exp};

/// The kinds of home, in the order of a neighbourhood's mix.
pub(crate) const KINDS: [PropertySubType; 5] = [
    PropertySubType::SingleFamilyResidence,
    PropertySubType::Townhouse,
    PropertySubType::Condominium,
    PropertySubType::Duplex,
    PropertySubType::ManufacturedHome,
];

/// An amenity: RESO-like word, the same as the portal writes it, and what it adds to the logarithm of a price.
pub(crate) struct Amenity {
    pub(crate) word: &'static str,
    pub(crate) portal_word: &'static str,
    log_worth: f64,
    /// How likely it is by kind, in the order of [`KINDS`].
    likely: [f64; 5],
}

const fn amenity(word: &'static str, portal_word: &'static str, log_worth: f64, likely: [f64; 5]) -> Amenity {
    Amenity { word, portal_word, log_worth, likely }
}

/// Bit `i` of [`Home::amenities`] is entry `i`. What a pool is worth depends on the summers, see [`Home::appraise`].
pub(crate) const AMENITIES: [Amenity; 12] = [
    amenity("garage", "Attached Garage", 0.045, [0.78, 0.70, 0.35, 0.40, 0.20]),
    amenity("pool", "Swimming Pool", 0.02, [0.05, 0.10, 0.22, 0.01, 0.0]),
    amenity("view", "View", 0.07, [0.18, 0.12, 0.30, 0.08, 0.10]),
    amenity("waterfront", "Waterfront", 0.20, [0.03, 0.03, 0.06, 0.01, 0.01]),
    amenity("fireplace", "Fireplace", 0.015, [0.60, 0.45, 0.22, 0.25, 0.15]),
    amenity("air_conditioning", "Air Conditioning", 0.02, [0.45, 0.50, 0.45, 0.25, 0.35]),
    amenity("balcony", "Balcony", 0.01, [0.08, 0.30, 0.65, 0.15, 0.0]),
    amenity("gym", "Fitness Center", 0.015, [0.0, 0.05, 0.30, 0.0, 0.0]),
    amenity("elevator", "Elevator", 0.01, [0.01, 0.02, 0.55, 0.0, 0.0]),
    amenity("garden", "Garden", 0.015, [0.55, 0.25, 0.04, 0.30, 0.30]),
    amenity("basement", "Finished Basement", 0.03, [0.32, 0.15, 0.0, 0.20, 0.0]),
    amenity("solar_panels", "Solar", 0.02, [0.12, 0.08, 0.02, 0.02, 0.05]),
];
const POOL: u32 = 1 << 1;

/// A home.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Home {
    /// Counts the homes of a world; makes its key.
    pub serial: u64,
    /// Index into [`PLACES`].
    pub place: usize,
    /// Which neighbourhood of that place.
    pub neighbourhood: usize,
    /// What it is.
    pub kind: PropertySubType,
    /// Whether it is to let and not for sale.
    pub lease: bool,
    /// Whether the portal lists it and not the place's main feed.
    pub portal: bool,
    /// Bedrooms.
    pub bedrooms: u16,
    /// Bathrooms, in halves.
    pub bathroom_halves: u16,
    /// Living area.
    pub living_area_sqft: u32,
    /// Plot; 0 when it has none of its own.
    pub lot_sqft: u32,
    /// When it was built.
    pub year_built: u16,
    /// Storeys.
    pub stories: u8,
    /// Monthly fee of its association in whole currency units; 0 when there is none.
    pub fee_monthly: u32,
    /// North, in steps of 1e-5 degree.
    pub latitude_e5: i32,
    /// East, in steps of 1e-5 degree.
    pub longitude_e5: i32,
    /// Bit set over the crate's amenity table.
    pub amenities: u32,
    /// 0 to 100.
    pub school_tenths: u8,
    /// To the centre.
    pub commute_minutes: u16,
    /// What a feed forgets to say about it.
    pub gaps: Gaps,
    /// What it is worth (a lease: its rent per month) when prices stand at their long-run mean, in its currency.
    pub worth: f64,
}

/// What a listing leaves out, or what its seller forbids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// No `YearBuilt`.
    pub no_year: bool,
    /// No `LotSizeArea`.
    pub no_lot: bool,
    /// No `LivingArea`.
    pub no_living_area: bool,
    /// `InternetEntireListingDisplayYN` is false.
    pub display_forbidden: bool,
    /// `InternetAddressDisplayYN` is false.
    pub address_forbidden: bool,
    /// `InternetAutomatedValuationDisplayYN` is false.
    pub valuation_forbidden: bool,
}

/// Share of listings that are leases.
const LEASE_SHARE: f64 = 0.15;
/// Share of listings that the portal shows and not the main feed.
const PORTAL_SHARE: f64 = 0.2;
/// The year that ages count from: worth must not depend on when the program runs.
const TODAY: f64 = 2026.0;
/// No home is newer, so that worlds may begin some years ago.
const NEWEST: f64 = 2023.0;
/// What no record tells: the state of the kitchen, the light, the street. Standard deviation of the logarithm.
const UNSEEN: f64 = 0.065;

impl Home {
    /// The home of this number in the world of this seed, in one of the first `places` cities: always the same,
    /// whatever else happened.
    pub fn build(seed: u64, serial: u64, places: usize) -> Self {
        let random = &mut Random::of(seed, serial);
        let weights: [u64; PLACES.len()] = std::array::from_fn(|i| if i < places { PLACES[i].weight } else { 0 });
        let place = random.choose(&weights);
        let area = random.below(NEIGHBOURHOODS as u64) as usize;
        let around = neighbourhood(place, area);
        let kind = random.choose(&around.mix);
        let log_size = [0.06, -0.16, -0.58, 0.12, -0.38][kind] + 0.30 * random.bell();
        let living_area_sqft = (1_800.0 * exp(log_size)).round().clamp(280.0, 12_000.0) as u32;
        let bedrooms = (f64::from(living_area_sqft) / 610.0 + 0.45 * random.bell()).round().clamp(0.0, 8.0) as u16;
        let bathroom_halves = (1.3 * f64::from(bedrooms) + 0.6 + 0.8 * random.bell()).round().clamp(2.0, 12.0) as u16;
        let log_plot = [0.0, -1.25, 0.0, -0.2, -0.35][kind] + 0.45 * random.bell();
        let lot_sqft = if KINDS[kind] == PropertySubType::Condominium { 0 } else { (6_500.0 * exp(log_plot)) as u32 };
        let year_built = (f64::from(around.built) + 13.0 * random.bell()).round().clamp(1885.0, NEWEST) as u16;
        let amenities = amenities(kind, PLACES[place].hot, random);
        let (east_km, north_km) = (around.east_km + 0.8 * random.bell(), around.north_km + 0.8 * random.bell());
        let centre_km = (east_km * east_km + north_km * north_km).sqrt();
        let mut home = Self {
            serial,
            place,
            neighbourhood: area,
            kind: KINDS[kind],
            lease: random.chance(LEASE_SHARE),
            portal: random.chance(PORTAL_SHARE),
            bedrooms,
            bathroom_halves,
            living_area_sqft,
            lot_sqft,
            year_built,
            stories: if KINDS[kind] == PropertySubType::Condominium { 1 } else { 1 + u8::from(random.chance(0.5)) },
            fee_monthly: association_fee(kind, living_area_sqft, amenities, random),
            latitude_e5: ((PLACES[place].latitude + north_km / KM_PER_LATITUDE) * 1e5).round() as i32,
            longitude_e5: ((PLACES[place].longitude + east_km / PLACES[place].km_per_longitude) * 1e5).round() as i32,
            amenities,
            school_tenths: (around.school_tenths + 4.0 * random.bell()).round().clamp(10.0, 99.0) as u8,
            commute_minutes: (7.0 + 2.1 * centre_km + 2.5 * random.bell()).round().clamp(3.0, 90.0) as u16,
            gaps: Gaps {
                no_year: random.chance(0.02),
                no_lot: random.chance(0.06),
                no_living_area: random.chance(0.015),
                display_forbidden: random.chance(0.005),
                address_forbidden: random.chance(0.02),
                valuation_forbidden: random.chance(0.01),
            },
            worth: 0.0,
        };
        let log_worth =
            home.appraise(&around, log_size, log_plot, centre_km, PLACES[place].hot) + UNSEEN * random.bell();
        // Rents rise more slowly than prices: a home of twice the price lets for some 60 % more.
        let log_worth = if home.lease { 7.75 + 0.7 * (log_worth - 13.2) } else { log_worth };
        home.worth = exp(log_worth);
        home
    }

    /// The hidden hedonic formula: the logarithm of what a buyer who knew only the record would pay.
    fn appraise(&self, around: &crate::places::Neighbourhood, log_size: f64, log_plot: f64, km: f64, hot: bool) -> f64 {
        let kind = match self.kind {
            PropertySubType::Townhouse => -0.04,
            PropertySubType::Condominium => -0.07,
            PropertySubType::Duplex => 0.03,
            PropertySubType::ManufacturedHome => -0.42,
            _ => 0.0,
        };
        let age = TODAY - f64::from(self.year_built);
        // New homes are dear, homes lose until they are forty, and then their charm holds the price.
        let age = if age < 4.0 { 0.06 } else { -0.0032 * age.min(40.0) + 0.0012 * (age - 60.0).clamp(0.0, 60.0) };
        let extras: f64 =
            (0..AMENITIES.len()).filter(|i| self.amenities >> i & 1 == 1).map(|i| AMENITIES[i].log_worth).sum();
        let pool = if hot && self.amenities & POOL != 0 { 0.05 } else { 0.0 };
        let plot = if self.lot_sqft > 0 { 0.07 * log_plot } else { 0.0 };
        PLACES[self.place].log_price
            + around.premium
            + kind
            + 0.76 * log_size
            + 0.018 * f64::from(self.bathroom_halves.min(8))
            - 0.07
            + 0.012 * (f64::from(self.bedrooms) - 3.0)
            + plot
            + age
            + extras
            + pool
            + 0.0025 * (f64::from(self.school_tenths) - 65.0)
            - 0.010 * (km - 6.0)
            - 0.00012 * f64::from(self.fee_monthly)
    }

    /// RESO `ListingKey`: unique within its feed.
    pub fn listing_key(&self) -> String {
        if self.portal { format!("hb-{:x}", self.serial) } else { format!("{}", 1_000_000 + self.serial) }
    }

    /// The feed that lists it.
    pub fn feed(&self) -> &'static str {
        if self.portal { crate::places::PORTAL_FEED } else { PLACES[self.place].feed }
    }
}

fn amenities(kind: usize, hot: bool, random: &mut Random) -> u32 {
    (0..AMENITIES.len()).fold(0, |set, i| {
        let likely = AMENITIES[i].likely[kind] * if hot && 1 << i == POOL { 4.0 } else { 1.0 };
        set | u32::from(random.chance(likely)) << i
    })
}

fn association_fee(kind: usize, living_area_sqft: u32, amenities: u32, random: &mut Random) -> u32 {
    let area = f64::from(living_area_sqft);
    let extras = 25.0 * f64::from(amenities.count_ones());
    match KINDS[kind] {
        PropertySubType::Condominium => (120.0 + 0.28 * area + extras + 40.0 * random.bell()).max(80.0) as u32,
        PropertySubType::Townhouse => (90.0 + 0.06 * area + 30.0 * random.bell()).max(40.0) as u32,
        _ if random.chance(0.2) => random.between(25.0, 120.0) as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes(count: u64) -> Vec<Home> {
        (0..count).map(|serial| Home::build(1, serial, PLACES.len())).collect()
    }

    fn median(mut values: Vec<f64>) -> f64 {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    #[test]
    fn prices_and_rents_are_plausible() {
        let homes = homes(20_000);
        let prices: Vec<f64> = homes.iter().filter(|h| !h.lease).map(|h| h.worth).collect();
        let rents: Vec<f64> = homes.iter().filter(|h| h.lease).map(|h| h.worth).collect();
        assert!((300_000.0..800_000.0).contains(&median(prices.clone())), "{}", median(prices));
        assert!((1_200.0..3_500.0).contains(&median(rents.clone())), "{}", median(rents));
        assert!(prices.iter().all(|p| (40_000.0..12_000_000.0).contains(p)));
        assert!(rents.iter().all(|r| (300.0..20_000.0).contains(r)));
    }

    #[test]
    fn what_a_home_has_hangs_together() {
        let homes = homes(20_000);
        let mean = |of: &dyn Fn(&Home) -> f64, having: &dyn Fn(&Home) -> bool| {
            let values: Vec<f64> = homes.iter().filter(|h| having(h)).map(of).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let beds = |h: &Home| f64::from(h.bedrooms);
        assert!(mean(&beds, &|h| h.living_area_sqft > 2_500) > mean(&beds, &|h| h.living_area_sqft < 1_200) + 1.5);
        let worth = |h: &Home| h.worth;
        let for_sale_in = |place: usize| move |h: &Home| h.place == place && !h.lease;
        assert!(
            mean(&worth, &for_sale_in(5)) > 2.0 * mean(&worth, &for_sale_in(8)),
            "Calder Bay is dearer than Fenn Hollow"
        );
        assert!(homes.iter().all(|h| (h.kind == PropertySubType::Condominium) == (h.lot_sqft == 0)));
        let near = |h: &Home| h.neighbourhood == 0;
        let far = |h: &Home| h.neighbourhood == 7;
        let minutes = |h: &Home| f64::from(h.commute_minutes);
        assert!(mean(&minutes, &far) > mean(&minutes, &near) + 15.0);
    }

    #[test]
    fn a_home_depends_on_seed_and_number_alone() {
        assert_eq!(Home::build(5, 17, 3), Home::build(5, 17, 3));
        assert_ne!(Home::build(5, 17, 3).worth, Home::build(6, 17, 3).worth);
    }
}
