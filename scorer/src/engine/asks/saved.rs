//! What sessions ask as it is written down: packed sessions in columns, those that are kept whole one after the other.

use std::num::{NonZeroU16, NonZeroU32};

use schemas::amenities::AmenitySet;
use schemas::id::{Country, Market};
use schemas::money::Money;
use schemas::preferences::{Circle, Profile};
use schemas::units::{Bathrooms, Latitude, Longitude, RadiusKm, SchoolRating};

use super::super::bytes::{Malformed, Sink, Source, valid, word};
use super::super::shelves::saved::TRANSACTIONS;
use super::super::{PROFILES, place_of};
use super::{Asks, Book, NONE, WHOLE};
use crate::facts::{Beyond, PlaceFacts, PostalKey, SessionFacts, SubTypes};
use crate::geo::Disc;

/// Bytes of a packed session.
pub(in super::super) const ASKS_BYTES: usize = 44;

impl Book {
    /// The names.
    pub(in super::super) fn save(&self, sink: &mut Sink) {
        sink.count(self.markets.len());
        self.markets.iter().for_each(|market| sink.text(market.as_str()));
        sink.count(self.currencies.len());
        self.currencies.iter().for_each(|currency| sink.text(currency.as_str()));
    }

    /// With the same numbers for them.
    pub(in super::super) fn load(source: &mut Source<'_>) -> Result<Self, Malformed> {
        let mut book = Self::default();
        for number in 0..source.count(1)? {
            // Counted by 32 bits.
            if book.number(&source.text()?) != Some(number as u32) {
                return Err(Malformed("a market is there twice, or there are too many"));
            }
        }
        for _ in 0..source.count(1)? {
            book.currencies.push(source.text()?);
        }
        Ok(book)
    }

    /// The packed sessions of a sheet, and after them those of them that are kept whole.
    pub(in super::super) fn save_sheet(&self, rows: &[(u32, &Asks)], sink: &mut Sink) {
        let asks = || rows.iter().map(|(_, asks)| asks);
        sink.column(asks().map(|it| it.budget.cents().to_le_bytes()));
        sink.column(asks().map(|it| it.required.bits().to_le_bytes()));
        sink.column(asks().map(|it| it.preferred.bits().to_le_bytes()));
        sink.column(asks().map(|it| it.market.to_le_bytes()));
        sink.column(asks().map(|it| it.min_area_sqft.map_or(0, NonZeroU32::get).to_le_bytes()));
        sink.column(asks().map(|it| it.sub_types.bits().to_le_bytes()));
        sink.column(asks().map(|it| it.max_commute_minutes.map_or(0, NonZeroU16::get).to_le_bytes()));
        sink.column(asks().map(|it| [it.currency]));
        sink.column(asks().map(|it| [it.min_bedrooms]));
        sink.column(asks().map(|it| [it.min_bathrooms]));
        sink.column(asks().map(|it| [it.min_school_rating.map_or(NONE, SchoolRating::steps)]));
        sink.column(asks().map(|it| [place_of(it.profile) as u8]));
        sink.column(asks().map(|it| [it.wants]));
        rows.iter().filter_map(|(slot, _)| self.whole.get(slot)).for_each(|session| save_whole(session, sink));
    }

    /// The same, of these slots.
    pub(in super::super) fn load_sheet(
        &mut self,
        slots: &[u32],
        source: &mut Source<'_>,
    ) -> Result<Vec<Asks>, Malformed> {
        let mut budgets = source.column::<8>(slots.len())?.iter();
        let mut asks = Vec::with_capacity(slots.len());
        for _ in slots {
            let budget = budgets.next().and_then(|cents| money(i64::from_le_bytes(*cents)));
            asks.push(Asks::nothing(valid(budget)?, Profile::Balanced));
        }
        fill(&mut asks, source, |it, bits| it.required = AmenitySet::from_bits(u64::from_le_bytes(bits)))?;
        fill(&mut asks, source, |it, bits| it.preferred = AmenitySet::from_bits(u64::from_le_bytes(bits)))?;
        fill(&mut asks, source, |it, number| it.market = u32::from_le_bytes(number))?;
        fill(&mut asks, source, |it, area| it.min_area_sqft = NonZeroU32::new(u32::from_le_bytes(area)))?;
        try_fill(&mut asks, source, |it, bits| {
            it.sub_types = SubTypes::from_bits(u32::from_le_bytes(bits))?;
            Some(())
        })?;
        fill(&mut asks, source, |it, minutes| it.max_commute_minutes = NonZeroU16::new(u16::from_le_bytes(minutes)))?;
        let currencies = self.currencies.len();
        try_fill(&mut asks, source, |it, [currency]| {
            it.currency = currency;
            (usize::from(currency) < currencies || it.market == WHOLE).then_some(())
        })?;
        fill(&mut asks, source, |it, [rooms]| it.min_bedrooms = rooms)?;
        fill(&mut asks, source, |it, [halves]| it.min_bathrooms = halves)?;
        try_fill(&mut asks, source, |it, [tenths]| {
            it.min_school_rating = if tenths == NONE { None } else { Some(SchoolRating::from_steps(tenths)?) };
            Some(())
        })?;
        try_fill(&mut asks, source, |it, [profile]| {
            it.profile = word(&PROFILES, profile).ok()?;
            Some(())
        })?;
        fill(&mut asks, source, |it, [wants]| it.wants = wants)?;
        for (slot, asks) in slots.iter().zip(&asks) {
            if asks.market == WHOLE {
                let mut session = load_whole(source)?;
                session.place.cities.iter_mut().for_each(|city| *city = self.shared(city));
                if (session.budget, session.profile) != (asks.budget, asks.profile) {
                    return Err(Malformed("a session has two budgets"));
                }
                self.whole.insert(*slot, session);
            } else if asks.market as usize >= self.markets.len() {
                return Err(Malformed("a session asks for a market that is not there"));
            }
        }
        Ok(asks)
    }
}

fn fill<const N: usize>(
    asks: &mut [Asks],
    source: &mut Source<'_>,
    mut set: impl FnMut(&mut Asks, [u8; N]),
) -> Result<(), Malformed> {
    let column = source.column::<N>(asks.len())?;
    asks.iter_mut().zip(column).for_each(|(asks, number)| set(asks, *number));
    Ok(())
}

fn try_fill<const N: usize>(
    asks: &mut [Asks],
    source: &mut Source<'_>,
    mut set: impl FnMut(&mut Asks, [u8; N]) -> Option<()>,
) -> Result<(), Malformed> {
    let column = source.column::<N>(asks.len())?;
    valid(asks.iter_mut().zip(column).try_for_each(|(asks, number)| set(asks, *number)))
}

/// What may be divided by.
fn money(cents: i64) -> Option<Money> {
    Money::from_cents(cents)?.non_zero()
}

fn save_whole(session: &SessionFacts, sink: &mut Sink) {
    // Every field by its name: one that is added has to be written.
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
    sink.u8(*transaction as u8);
    sink.text(currency.as_str());
    sink.u64(budget.cents() as u64); // never below 0
    sink.count(cities.len());
    cities.iter().for_each(|city| sink.text(city.as_str()));
    sink.u8(u8::from(beyond.is_some()));
    if let Some(Beyond { postal_codes, postal_countries, circle, country }) = beyond.as_deref() {
        sink.count(postal_codes.len());
        sink.column(postal_codes.iter().map(|code| code.bits().to_le_bytes()));
        sink.count(postal_countries.len());
        postal_countries.iter().for_each(|country| sink.text(country.as_str()));
        let circle = circle.as_ref().and_then(Disc::circle);
        sink.u8(u8::from(circle.is_some()));
        if let Some(Circle { latitude, longitude, radius_km }) = circle {
            sink.column([latitude.steps(), longitude.steps()].map(i32::to_le_bytes).into_iter());
            sink.u32(radius_km.steps());
        }
        sink.u8(u8::from(country.is_some()));
        country.iter().for_each(|country| sink.text(country.as_str()));
    }
    let numbers = [
        min_bedrooms.map(u32::from),
        min_bathrooms.map(|halves| u32::from(halves.steps())),
        *min_area_sqft,
        max_commute_minutes.map(u32::from),
        min_school_rating.map(|tenths| u32::from(tenths.steps())),
    ];
    for number in numbers {
        sink.u8(u8::from(number.is_some()));
        sink.u32(number.unwrap_or_default());
    }
    sink.u32(sub_types.bits());
    sink.u64(required.bits());
    sink.u64(preferred.bits());
    sink.count(dismissed.len());
    dismissed.iter().for_each(|id| sink.text(id.as_str()));
    sink.u8(u8::from(*include_coming_soon) | u8::from(*include_under_contract) << 1);
    sink.u8(place_of(*profile) as u8);
}

fn load_whole(source: &mut Source<'_>) -> Result<SessionFacts, Malformed> {
    let transaction = word(&TRANSACTIONS, source.u8()?)?;
    let currency = source.text()?;
    let budget = valid(i64::try_from(source.u64()?).ok().and_then(money))?;
    let cities: Vec<Market> = ascending(source, Source::text)?;
    let beyond = if is_there(source)? { Some(Box::new(load_beyond(source)?)) } else { None };
    let mut numbers = [None; 5];
    for number in &mut numbers {
        let (is, value) = (is_there(source)?, source.u32()?);
        *number = is.then_some(value);
    }
    let [min_bedrooms, min_bathrooms, min_area_sqft, max_commute_minutes, min_school_rating] = numbers;
    let halves = |steps: u32| u16::try_from(steps).ok().and_then(Bathrooms::from_steps);
    let tenths = |steps: u32| u8::try_from(steps).ok().and_then(SchoolRating::from_steps);
    let minutes = |minutes: u32| u16::try_from(minutes).ok().filter(|minutes| *minutes > 0);
    let sub_types = valid(SubTypes::from_bits(source.u32()?))?;
    let (required, preferred) = (AmenitySet::from_bits(source.u64()?), AmenitySet::from_bits(source.u64()?));
    let dismissed = ascending(source, Source::text)?.into();
    let wants = source.u8()?;
    Ok(SessionFacts {
        transaction,
        currency,
        budget,
        place: PlaceFacts { cities: cities.into(), beyond },
        min_bedrooms: min_bedrooms.map(|rooms| valid(u16::try_from(rooms).ok())).transpose()?,
        min_bathrooms: min_bathrooms.map(|steps| valid(halves(steps))).transpose()?,
        min_area_sqft: min_area_sqft.map(|area| valid(Some(area).filter(|area| *area > 0))).transpose()?,
        sub_types,
        max_commute_minutes: max_commute_minutes.map(|limit| valid(minutes(limit))).transpose()?,
        min_school_rating: min_school_rating.map(|steps| valid(tenths(steps))).transpose()?,
        required,
        preferred,
        dismissed,
        include_coming_soon: wants & 1 != 0,
        include_under_contract: wants & 2 != 0,
        profile: word(&PROFILES, source.u8()?)?,
    })
}

fn load_beyond(source: &mut Source<'_>) -> Result<Beyond, Malformed> {
    let postal_codes = ascending(source, |source| valid(PostalKey::from_bits(source.u64()?)))?;
    let postal_countries: Vec<Country> = ascending(source, Source::text)?;
    let circle = if is_there(source)? {
        let [latitude, longitude] = [source.u32()?, source.u32()?].map(u32::cast_signed);
        let radius_km = valid(RadiusKm::from_steps(source.u32()?))?;
        let (latitude, longitude) = (valid(Latitude::from_steps(latitude))?, valid(Longitude::from_steps(longitude))?);
        Some(Disc::of(&Circle { latitude, longitude, radius_km }))
    } else {
        None
    };
    let country = if is_there(source)? { Some(source.text()?) } else { None };
    Ok(Beyond { postal_codes, postal_countries, circle, country })
}

fn is_there(source: &mut Source<'_>) -> Result<bool, Malformed> {
    word(&[false, true], source.u8()?)
}

/// None of them twice: a session that names a city twice would have two seats in one bucket.
fn ascending<'a, T: Ord>(
    source: &mut Source<'a>,
    mut one: impl FnMut(&mut Source<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = source.count(2)?;
    let items = (0..count).map(|_| one(source)).collect::<Result<Vec<T>, _>>()?;
    valid(items.is_sorted_by(|a, b| a < b).then_some(items))
}
