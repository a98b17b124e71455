//! Sizes and amounts: units turned into the one that roost keeps, within ranges that a home can have.
//!
//! A zero where no home has one (an area, a year, a sold price) is what feeds write for "unknown", and read as absent.
//! Rounding never promises more than there is: rooms and areas down, minutes up, money to the nearest cent.

use super::fields::Field;
use super::members::Members;
use super::scalar::{Decimal, out_of_range};
use crate::field_error::{Fault, FieldError};
use crate::money::Money;
use crate::units::{Bathrooms, SchoolRating};
use crate::vocabulary::same_word;

type Read<T> = Result<Option<T>, FieldError>;

/// More bedrooms than the largest dormitory that a feed would list; beyond it, it is a typing error.
const MAX_BEDROOMS: i64 = 200;
/// Twice the floor of the largest building there is.
const MAX_LIVING_SQFT: i128 = 40_000_000;
/// The largest count of square feet that the type holds, a square of 12 miles.
const MAX_LOT_SQFT: i128 = 4_000_000_000;
/// A house that is lived in may be that old.
const MIN_YEAR_BUILT: i64 = 1_000;
/// Homes are sold from plans: how many years after the record's own.
const YEARS_AHEAD: i64 = 5;
/// A month's fee in cents that no home has: a million.
const MAX_FEE_CENTS: i64 = 100_000_000;
/// A day and night.
const MAX_COMMUTE_MINUTES: i128 = 1_440;

/// An amount; zero stays zero.
pub(super) fn money(members: &Members<'_>, field: Field) -> Read<Money> {
    let Some(decimal) = members.decimal(field)? else { return Ok(None) };
    let cents = decimal.nearest(2).and_then(|cents| i64::try_from(cents).ok());
    match cents.and_then(Money::from_cents) {
        Some(amount) => Ok(Some(amount)),
        None => Err(out_of_range(field, members.shown(field), "0 to 999999999999.99")),
    }
}

/// An amount where zero means that it is not known.
pub(super) fn price(members: &Members<'_>, field: Field) -> Read<Money> {
    Ok(money(members, field)?.filter(|amount| amount.cents() > 0))
}

/// RESO `FeeFrequency`, those that come back, and forms in use for them.
const TIMES_A_YEAR: [(&str, i128); 12] = [
    ("Monthly", 12),
    ("Month", 12),
    ("Annually", 1),
    ("Annual", 1),
    ("Yearly", 1),
    ("SemiAnnually", 2),
    ("Quarterly", 4),
    ("BiMonthly", 6),
    ("SemiMonthly", 24),
    ("BiWeekly", 26),
    ("Weekly", 52),
    ("Daily", 365),
];

/// `AssociationFee` per month; `None` also for a fee that does not come back every month or year.
pub(super) fn monthly_fee(members: &Members<'_>) -> Read<Money> {
    let frequency = members.word(Field::AssociationFeeFrequency)?;
    let Some(fee) = money(members, Field::AssociationFee)? else { return Ok(None) };
    let word = frequency.as_deref().unwrap_or("Monthly");
    let Some((_, times)) = TIMES_A_YEAR.iter().find(|(name, _)| same_word(name, word)) else { return Ok(None) };
    let cents = (i128::from(fee.cents()) * times + 6) / 12;
    i64::try_from(cents).ok().filter(|cents| *cents <= MAX_FEE_CENTS).and_then(Money::from_cents).map(Some).ok_or_else(
        || out_of_range(Field::AssociationFee, members.shown(Field::AssociationFee), "0 to 1000000 a month"),
    )
}

pub(super) fn bedrooms(members: &Members<'_>) -> Read<u16> {
    Ok(members.integer(Field::BedroomsTotal, 0, MAX_BEDROOMS)?.and_then(|count| u16::try_from(count).ok()))
}

/// `BathroomsTotalDecimal`, else full ones and half of the half ones, else `BathroomsTotalInteger`; three quarters of a
/// bathroom are half of one.
pub(super) fn bathrooms(members: &Members<'_>) -> Read<Bathrooms> {
    let halves = |field, worth: i128| -> Read<i128> {
        let Some(count) = members.decimal(field)? else { return Ok(None) };
        let halves = count.cut(4).map(|steps| steps * worth / 10_000);
        match halves.filter(|halves| !count.is_negative() && *halves <= 200) {
            Some(halves) => Ok(Some(halves)),
            None => Err(out_of_range(field, members.shown(field), "0 to 100")),
        }
    };
    let total = halves(Field::BathroomsTotalDecimal, 2)?;
    let (full, half) = (halves(Field::BathroomsFull, 2)?, halves(Field::BathroomsHalf, 1)?);
    let whole = halves(Field::BathroomsTotalInteger, 2)?;
    let parts = full.map(|full| full + half.unwrap_or(0));
    let steps = total.or(parts).or(whole).and_then(|steps| u16::try_from(steps).ok());
    match steps {
        None => Ok(None),
        Some(steps) => Bathrooms::from_steps(steps)
            .map(Some)
            .ok_or_else(|| out_of_range(Field::BathroomsHalf, members.shown(Field::BathroomsHalf), "0 to 100 in all")),
    }
}

pub(super) fn living_area_sqft(members: &Members<'_>) -> Read<u32> {
    area(members, Field::LivingArea, Unit::named(members, Field::LivingAreaUnits)?, MAX_LIVING_SQFT)
}

/// `LotSizeArea` in its unit, else `LotSizeSquareFeet`, else `LotSizeAcres`.
pub(super) fn lot_size_sqft(members: &Members<'_>) -> Read<u32> {
    let unit = Unit::named(members, Field::LotSizeUnits)?;
    for (field, unit) in
        [(Field::LotSizeArea, unit), (Field::LotSizeSquareFeet, Unit::SquareFeet), (Field::LotSizeAcres, Unit::Acres)]
    {
        if let Some(sqft) = area(members, field, unit, MAX_LOT_SQFT)? {
            return Ok(Some(sqft));
        }
    }
    Ok(None)
}

fn area(members: &Members<'_>, field: Field, unit: Unit, max_sqft: i128) -> Read<u32> {
    let Some(decimal) = members.decimal(field)? else { return Ok(None) };
    let sqft = unit.square_feet(decimal).filter(|sqft| !decimal.is_negative() && *sqft <= max_sqft);
    match sqft {
        Some(sqft) => Ok(u32::try_from(sqft).ok().filter(|sqft| *sqft > 0)),
        None => Err(out_of_range(field, members.shown(field), format!("0 to {max_sqft} square feet"))),
    }
}

/// A unit of area.
#[derive(Clone, Copy)]
enum Unit {
    SquareFeet,
    SquareMeters,
    Acres,
    Hectares,
}

/// RESO `AreaUnits` and `LotSizeUnits`, and forms in use for them.
const UNITS: [(&str, Unit); 15] = [
    ("SquareFeet", Unit::SquareFeet),
    ("SquareFoot", Unit::SquareFeet),
    ("SqFt", Unit::SquareFeet),
    ("SF", Unit::SquareFeet),
    ("ft2", Unit::SquareFeet),
    ("SquareMeters", Unit::SquareMeters),
    ("SquareMetres", Unit::SquareMeters),
    ("SqM", Unit::SquareMeters),
    ("m2", Unit::SquareMeters),
    ("Acres", Unit::Acres),
    ("Acre", Unit::Acres),
    ("ac", Unit::Acres),
    ("Hectares", Unit::Hectares),
    ("Hectare", Unit::Hectares),
    ("ha", Unit::Hectares),
];

impl Unit {
    /// The unit that a member names; square feet if it names none.
    fn named(members: &Members<'_>, field: Field) -> Result<Self, FieldError> {
        let Some(word) = members.word(field)? else { return Ok(Self::SquareFeet) };
        let unit = UNITS.iter().find(|(name, _)| same_word(name, &word)).map(|(_, unit)| *unit);
        unit.ok_or_else(|| {
            let expected = "SquareFeet, SquareMeters, Acres or Hectares";
            FieldError::new(field.name(), &word, Fault::UnknownWord, expected)
        })
    }

    /// Whole square feet, cut. One foot is 0.3048 m and one acre 43,560 square feet, both exactly.
    fn square_feet(self, area: Decimal) -> Option<i128> {
        // In steps of 1e-6 of the unit; numerator and denominator of square feet per such step.
        let (numerator, denominator) = match self {
            Self::SquareFeet => (1, 1_000_000),
            Self::Acres => (43_560, 1_000_000),
            // 1 m² = 1 / 0.3048² ft² = 1e8 / 9,290,304 ft².
            Self::SquareMeters => (100_000_000, 9_290_304 * 1_000_000),
            Self::Hectares => (100_000_000 * 10_000, 9_290_304 * 1_000_000),
        };
        Some(area.cut(6)?.checked_mul(numerator)? / denominator)
    }
}

pub(super) fn year_built(members: &Members<'_>, this_year: i64) -> Read<u16> {
    match members.integer(Field::YearBuilt, 0, this_year + YEARS_AHEAD) {
        Ok(Some(year)) if year != 0 && year < MIN_YEAR_BUILT => Err(bad_year(members, this_year)),
        Ok(year) => Ok(year.filter(|year| *year != 0).and_then(|year| u16::try_from(year).ok())),
        Err(error) if error.fault == Fault::OutOfRange => Err(bad_year(members, this_year)),
        Err(error) => Err(error),
    }
}

fn bad_year(members: &Members<'_>, this_year: i64) -> FieldError {
    let expected = format!("{MIN_YEAR_BUILT} to {}", this_year + YEARS_AHEAD);
    out_of_range(Field::YearBuilt, members.shown(Field::YearBuilt), expected)
}

/// A rating from 0 to 10, tenths cut.
pub(super) fn school_rating(members: &Members<'_>) -> Read<SchoolRating> {
    let Some(decimal) = members.decimal(Field::SchoolRating)? else { return Ok(None) };
    let tenths = decimal.cut(1).filter(|_| !decimal.is_negative()).and_then(|tenths| u8::try_from(tenths).ok());
    match tenths.and_then(SchoolRating::from_steps) {
        Some(rating) => Ok(Some(rating)),
        None => Err(out_of_range(Field::SchoolRating, members.shown(Field::SchoolRating), "0 to 10")),
    }
}

/// Whole minutes, begun ones counted.
pub(super) fn commute_minutes(members: &Members<'_>) -> Read<u16> {
    let Some(decimal) = members.decimal(Field::CommuteMinutes)? else { return Ok(None) };
    let minutes = decimal.cut(3).filter(|_| !decimal.is_negative()).map(|thousandths| (thousandths + 999) / 1_000);
    match minutes.filter(|minutes| *minutes <= MAX_COMMUTE_MINUTES).and_then(|minutes| u16::try_from(minutes).ok()) {
        Some(minutes) => Ok(Some(minutes)),
        None => {
            let expected = format!("0 to {MAX_COMMUTE_MINUTES}");
            Err(out_of_range(Field::CommuteMinutes, members.shown(Field::CommuteMinutes), expected))
        }
    }
}
