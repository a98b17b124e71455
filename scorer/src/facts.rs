//! What the score needs to know of a listing and of a session, compact and ready to compare; made once per statement.
//!
//! Holds no formula (`score.rs`) and nothing that is only shown (`present.rs`).

use schemas::amenities::AmenitySet;
use schemas::id::{Country, ListingId, Market};
use schemas::money::{Currency, Money};
use schemas::preferences::{PostalCode, Preferences, Profile};
use schemas::priced::{PriceTrend, PricedListing};
use schemas::units::{Bathrooms, Instant, Position, SchoolRating};
use schemas::vocabulary::{PropertySubType, StandardStatus, Transaction};

use crate::geo::Disc;

const DAY_MS: i64 = 86_400_000;

/// The day from which on-market dates count (`score.epoch`): 0 at and before it, full 400 days later.
///
/// Two listings keep their order whatever the time is, so nothing has to be scored again when a day passes; the price is
/// that the epoch is moved, by a roll-out of the config, before newcomers are all full. All scorers must agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreEpoch(i32);

impl ScoreEpoch {
    /// Counts from this day.
    pub fn new(day: jiff::civil::Date) -> Self {
        // The calendar of jiff spans 20,000 years: its days fit easily.
        Self((day - jiff::civil::date(1970, 1, 1)).get_days())
    }

    /// The day, counted from 1970.
    pub const fn day(self) -> i32 {
        self.0
    }

    /// Days from the epoch to `at`, negative before it.
    pub fn days_to(self, at: Instant) -> i32 {
        // An instant lies between the years 1 and 9999.
        at.ms().div_euclid(DAY_MS) as i32 - self.0
    }
}

impl Default for ScoreEpoch {
    /// 1 July 2026: keeps listings of that day and of a year later apart, until August 2027.
    fn default() -> Self {
        Self::new(jiff::civil::date(2026, 7, 1))
    }
}

/// A postal code and its country as one number, equal exactly when both are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostalKey(u64);

impl PostalKey {
    /// `None` for what no session can ask for: a text that is not a postal code.
    pub fn of(country: Country, code: &str) -> Option<Self> {
        let code = PostalCode::normalise(code)?;
        // 26² countries × 39^10 codes of at most ten characters < 2^63: nothing collides.
        let digits = country.as_str().bytes().map(|b| (26, b - b'a')).chain(code.bytes().map(|b| (39, symbol(b))));
        let packed = digits.fold(0_u64, |packed, (base, digit)| packed * base + u64::from(digit));
        Some(Self(packed * 39_u64.pow(10 - code.len() as u32)))
    }

    /// The number; more than 0.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Of a number that [`Self::bits`] gave.
    pub(crate) const fn from_bits(bits: u64) -> Option<Self> {
        if bits == 0 { None } else { Some(Self(bits)) }
    }
}

/// 1..=38; 0 pads a short code.
const fn symbol(byte: u8) -> u8 {
    match byte {
        b' ' => 1,
        b'-' => 2,
        b'0'..=b'9' => 3 + (byte - b'0'),
        _ => 13 + (byte - b'A'),
    }
}

/// A listing, as the score sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingFacts {
    /// RESO `StandardStatus`.
    pub status: StandardStatus,
    /// Its seller allows that it is shown.
    pub display_allowed: bool,
    /// Sale or lease.
    pub transaction: Transaction,
    /// Of the price.
    pub currency: Currency,
    /// RESO `ListPrice`.
    pub price: Option<Money>,
    /// Where it is counted and browsed.
    pub market: Market,
    /// The market's country.
    pub country: Country,
    /// Within the market's country.
    pub postal_code: Option<PostalKey>,
    /// Where exactly.
    pub position: Option<Position>,
    /// How many.
    pub bedrooms: Option<u16>,
    /// In halves.
    pub bathrooms: Option<Bathrooms>,
    /// Living area.
    pub area_sqft: Option<u32>,
    /// RESO `PropertySubType`.
    pub sub_type: Option<PropertySubType>,
    /// To the city centre.
    pub commute_minutes: Option<u16>,
    /// In tenths.
    pub school_rating: Option<SchoolRating>,
    /// `None`: nothing is known about them.
    pub amenities: Option<AmenitySet>,
    /// 0..=100.
    pub deal: Option<u8>,
    /// Which way the price moved last.
    pub price_trend: PriceTrend,
    /// Days from `score.epoch` to the on-market date; may be negative.
    pub on_market_day: Option<i32>,
}

impl ListingFacts {
    /// What the score needs of `priced`.
    pub fn of(priced: &PricedListing, epoch: ScoreEpoch) -> Self {
        let listing = &priced.listing;
        // A market lies in one country, so that a bucket of a country holds its markets whole.
        let country = listing.market.country();
        Self {
            status: listing.standard_status,
            display_allowed: listing.display_allowed,
            transaction: listing.transaction,
            currency: listing.currency,
            price: listing.list_price,
            market: listing.market.clone(),
            country,
            postal_code: listing.postal_code.as_deref().and_then(|code| PostalKey::of(country, code)),
            position: listing.position,
            bedrooms: listing.bedrooms_total,
            bathrooms: listing.bathrooms_total,
            area_sqft: listing.living_area_sqft,
            sub_type: listing.property_sub_type,
            commute_minutes: priced.commute.map(|commute| commute.minutes),
            school_rating: priced.school_rating,
            amenities: listing.amenities,
            deal: priced.deal.as_ref().map(|deal| deal.score),
            price_trend: priced.price_trend(),
            on_market_day: listing.on_market_at.map(|at| epoch.days_to(at)),
        }
    }

    /// Whether some session may be shown it.
    pub const fn is_offered(&self) -> bool {
        self.status.may_be_shown() && self.display_allowed && self.price.is_some()
    }
}

/// Where a session looks: the union of the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceFacts {
    /// Ascending.
    pub cities: Cities,
    /// What else; most sessions name cities alone.
    pub beyond: Option<Box<Beyond>>,
}

impl PlaceFacts {
    /// What is named beside cities.
    pub fn beyond(&self) -> &Beyond {
        self.beyond.as_deref().unwrap_or(&NOWHERE)
    }
}

/// The parts of a place that are no cities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Ascending.
    pub postal_codes: Vec<PostalKey>,
    /// The countries of those.
    pub postal_countries: Vec<Country>,
    /// A circle, in any country.
    pub circle: Option<Disc>,
    /// A whole country.
    pub country: Option<Country>,
}

static NOWHERE: Beyond = Beyond { postal_codes: Vec::new(), postal_countries: Vec::new(), circle: None, country: None };

/// Cities, ascending. One, as most sessions have it, stands in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cities {
    /// One.
    One(Market),
    /// None, or more than one.
    Many(Box<[Market]>),
}

impl Default for Cities {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl From<Vec<Market>> for Cities {
    fn from(mut cities: Vec<Market>) -> Self {
        match cities.len() {
            1 => cities.pop().map_or_else(Self::default, Self::One),
            _ => Self::Many(cities.into()),
        }
    }
}

impl std::ops::Deref for Cities {
    type Target = [Market];
    fn deref(&self) -> &[Market] {
        match self {
            Self::One(city) => std::slice::from_ref(city),
            Self::Many(cities) => cities,
        }
    }
}

impl std::ops::DerefMut for Cities {
    fn deref_mut(&mut self) -> &mut [Market] {
        match self {
            Self::One(city) => std::slice::from_mut(city),
            Self::Many(cities) => cities,
        }
    }
}

/// A set of RESO `PropertySubType`s: bit i is the i-th of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubTypes(u32);

// One bit is left for what a listing does not say.
const _: () = assert!(PropertySubType::ALL.len() < 32);

impl SubTypes {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Bit i is the i-th sub-type.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Of bits that [`Self::bits`] gave.
    pub(crate) const fn from_bits(bits: u32) -> Option<Self> {
        if bits >> PropertySubType::ALL.len() == 0 { Some(Self(bits)) } else { None }
    }

    /// None of them.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this one is among them.
    pub const fn contains(self, kind: PropertySubType) -> bool {
        self.0 >> kind as u32 & 1 == 1
    }
}

impl FromIterator<PropertySubType> for SubTypes {
    fn from_iter<I: IntoIterator<Item = PropertySubType>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u32))
    }
}

/// A session, as the score sees it. Every divisor is at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// Sale or lease.
    pub transaction: Transaction,
    /// Of the budget.
    pub currency: Currency,
    /// The highest price.
    pub budget: Money,
    /// Where.
    pub place: PlaceFacts,
    /// At least.
    pub min_bedrooms: Option<u16>,
    /// At least, in halves.
    pub min_bathrooms: Option<Bathrooms>,
    /// At least; more than 0.
    pub min_area_sqft: Option<u32>,
    /// Any of these; none: any at all.
    pub sub_types: SubTypes,
    /// At most; more than 0.
    pub max_commute_minutes: Option<u16>,
    /// At least.
    pub min_school_rating: Option<SchoolRating>,
    /// All of these.
    pub required: AmenitySet,
    /// The more of these the better.
    pub preferred: AmenitySet,
    /// Never these; ascending.
    pub dismissed: Box<[ListingId]>,
    /// Also `ComingSoon`.
    pub include_coming_soon: bool,
    /// Also `ActiveUnderContract`.
    pub include_under_contract: bool,
    /// Weights.
    pub profile: Profile,
}

impl SessionFacts {
    /// What the score needs of `preferences`.
    pub fn of(preferences: &Preferences) -> Self {
        let place = &preferences.place;
        let keys = place.postal_codes.iter().filter_map(|postal| PostalKey::of(postal.country, &postal.code));
        let beyond = Beyond {
            postal_codes: ascending(keys),
            postal_countries: ascending(place.postal_codes.iter().map(|postal| postal.country)),
            circle: place.within.as_ref().map(Disc::of),
            country: place.country,
        };
        Self {
            transaction: preferences.transaction,
            currency: preferences.currency,
            // The doors refuse what is 0 here and in the next two; the score must not divide by it even so.
            budget: preferences.budget.max(Money::from_cents(1).unwrap_or_default()),
            min_area_sqft: preferences.min_living_area_sqft.filter(|area| *area > 0),
            max_commute_minutes: preferences.max_commute_minutes.map(|minutes| minutes.max(1)),
            place: PlaceFacts {
                cities: ascending(place.cities.iter().cloned()).into(),
                beyond: Some(beyond).filter(|beyond| *beyond != NOWHERE).map(Box::new),
            },
            min_bedrooms: preferences.min_bedrooms,
            min_bathrooms: preferences.min_bathrooms,
            sub_types: preferences.property_sub_types.iter().copied().collect(),
            min_school_rating: preferences.min_school_rating,
            required: preferences.required_amenities,
            preferred: preferences.preferred_amenities,
            dismissed: ascending(preferences.dismissed.iter().cloned()).into(),
            include_coming_soon: preferences.include_coming_soon,
            include_under_contract: preferences.include_under_contract,
            profile: preferences.profile,
        }
    }
}

/// What the score reads of a session, however that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// As in [`SessionFacts`].
    pub transaction: Transaction,
    /// As there.
    pub currency: Currency,
    /// As there.
    pub budget: Money,
    /// Ascending.
    pub cities: &'a [Market],
    /// The parts of the place that are no cities.
    pub beyond: Option<&'a Beyond>,
    /// As there.
    pub min_bedrooms: Option<u16>,
    /// As there.
    pub min_bathrooms: Option<Bathrooms>,
    /// As there.
    pub min_area_sqft: Option<u32>,
    /// As there.
    pub sub_types: SubTypes,
    /// As there.
    pub max_commute_minutes: Option<u16>,
    /// As there.
    pub min_school_rating: Option<SchoolRating>,
    /// As there.
    pub required: AmenitySet,
    /// As there.
    pub preferred: AmenitySet,
    /// Ascending.
    pub dismissed: &'a [ListingId],
    /// As there.
    pub include_coming_soon: bool,
    /// As there.
    pub include_under_contract: bool,
    /// As there.
    pub profile: Profile,
}

impl Asked<'_> {
    /// What is named beside cities.
    pub fn beyond(&self) -> &Beyond {
        self.beyond.unwrap_or(&NOWHERE)
    }
}

impl<'a> From<&Asked<'a>> for Asked<'a> {
    fn from(asked: &Asked<'a>) -> Self {
        *asked
    }
}

impl<'a> From<&'a SessionFacts> for Asked<'a> {
    fn from(session: &'a SessionFacts) -> Self {
        // Every field by its name: one that is added has to be asked for.
        let SessionFacts {
            transaction,
            currency,
            budget,
            place: PlaceFacts { cities, beyond },
            min_bedrooms,
            min_bathrooms,
            min_area_sqft,
            sub_types,
            max_commute_minutes,
            min_school_rating,
            required,
            preferred,
            dismissed,
            include_coming_soon,
            include_under_contract,
            profile,
        } = session;
        Self {
            transaction: *transaction,
            currency: *currency,
            budget: *budget,
            cities,
            beyond: beyond.as_deref(),
            min_bedrooms: *min_bedrooms,
            min_bathrooms: *min_bathrooms,
            min_area_sqft: *min_area_sqft,
            sub_types: *sub_types,
            max_commute_minutes: *max_commute_minutes,
            min_school_rating: *min_school_rating,
            required: *required,
            preferred: *preferred,
            dismissed,
            include_coming_soon: *include_coming_soon,
            include_under_contract: *include_under_contract,
            profile: *profile,
        }
    }
}

fn ascending<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postal_key_tells_codes_and_countries_apart() {
        let texts =
            ["us/98101", "us/9810", "us/9810 1", "us/98101-1234", "ca/98101", "ca/K1A 0B1", "us/A", "us/ZZZZZZZZZZ"];
        let key = |text: &str| {
            let (country, code) = text.split_once('/').unwrap();
            PostalKey::of(country.parse().unwrap(), code).unwrap()
        };
        let keys: std::collections::BTreeSet<_> = texts.iter().map(|text| key(text)).collect();
        assert_eq!(keys.len(), texts.len());
        assert_eq!(key("ca/k1a  0b1"), key("ca/K1A 0B1"));
        assert_eq!(PostalKey::of("zz".parse().unwrap(), "ZZZZZZZZZZ").unwrap().0 >> 63, 0);
        assert!(PostalKey::of("us".parse().unwrap(), "98101-12345").is_none());
    }

    #[test]
    fn days_count_from_the_epoch_in_utc_and_go_below_zero() {
        let epoch = ScoreEpoch::new(jiff::civil::date(2026, 7, 1));
        let days = |text: &str| epoch.days_to(serde_json::from_str(&format!("\"{text}\"")).unwrap());
        assert_eq!(days("2026-07-01T00:00:00Z"), 0);
        assert_eq!(days("2026-06-30T23:59:59.999Z"), -1);
        assert_eq!(days("2027-08-05T12:00:00Z"), 400);
        assert_eq!(days("1969-12-31T12:00:00Z"), -20_636);
    }
}
