//! Where a listing is: country, state, city, postal code, address, position, and the market that follows from them.
//!
//! Looks nothing up: no geocoder, no gazetteer but the list of the United States.

use super::LeftOut;
use super::fields::Field;
use super::members::Members;
use super::refusal::Faults;
use super::scalar::out_of_range;
use crate::field_error::{Fault, FieldError};
use crate::id::{Country, Market};
use crate::units::Position;

/// Longest name of a city or state, in characters: RESO's lookups stay far below.
const MAX_PLACE_CHARS: usize = 100;
/// Longest postal code, in characters (RESO: 10).
const MAX_POSTAL_CHARS: usize = 16;
/// Longest address, in characters (RESO: 255).
const MAX_ADDRESS_CHARS: usize = 255;

/// Where a listing is.
pub(super) struct Place {
    pub(super) country: Country,
    pub(super) market: Market,
    pub(super) state_or_province: Option<String>,
    pub(super) city: Option<String>,
    pub(super) postal_code: Option<String>,
    pub(super) unparsed_address: Option<String>,
    pub(super) position: Option<Position>,
}

/// Reads the place of a record. `None` only with a fault noted.
pub(super) fn of(members: &Members<'_>, left_out: &mut LeftOut, faults: &mut Faults) -> Option<Place> {
    let position = position(members);
    left_out.coordinates =
        position.is_none() && members.raw(Field::Latitude).or(members.raw(Field::Longitude)).is_some();
    let state_or_province = faults.note(members.line(Field::StateOrProvince, MAX_PLACE_CHARS));
    let city = faults.note(members.line(Field::City, MAX_PLACE_CHARS));
    let written_code = faults.note(postal_code(members));
    let unparsed_address = faults.note(address(members));
    let country = faults.note(country(members, state_or_province.as_deref(), written_code.as_deref(), position));
    if city.is_none() && written_code.is_none() && position.is_none() {
        faults.missing("City", "a City, a PostalCode, or a Latitude and Longitude: a listing that is somewhere");
    }
    let country = country?;
    let postal_code = written_code.map(|code| if country.as_str() == "us" { five_digits(code) } else { code });
    Some(Place {
        country,
        market: Market::of(country, state_or_province.as_deref(), city.as_deref()),
        state_or_province,
        city,
        postal_code,
        unparsed_address,
        position,
    })
}

/// Both coordinates, if they are a place on the globe other than 0, 0, which is what programs write for "unknown".
fn position(members: &Members<'_>) -> Option<Position> {
    let degrees = |field| members.decimal(field).ok().flatten()?.nearest(5).map(|steps| steps as f64 / 100_000.0);
    let (latitude, longitude) = (degrees(Field::Latitude)?, degrees(Field::Longitude)?);
    Position::from_degrees(latitude, longitude).filter(|at| (at.latitude.steps(), at.longitude.steps()) != (0, 0))
}

fn postal_code(members: &Members<'_>) -> Result<Option<String>, FieldError> {
    let Some(code) = members.label(Field::PostalCode)? else { return Ok(None) };
    let is_number = members.raw(Field::PostalCode).is_some_and(|raw| !raw.starts_with('"'));
    let upper: Vec<String> = code.split_whitespace().map(str::to_uppercase).collect();
    let code = match upper.join(" ") {
        // A number has lost the zeros in front that codes of New England and of half Europe start with.
        digits if is_number => format!("{digits:0>5}"),
        code => code,
    };
    let is_code = code.chars().count() <= MAX_POSTAL_CHARS
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ' || b == b'-');
    if is_code {
        return Ok(Some(code));
    }
    Err(out_of_range(
        Field::PostalCode,
        &code,
        format!("letters, digits, blanks and hyphens, at most {MAX_POSTAL_CHARS}"),
    ))
}

/// A United States code without its four-digit extension, which no search names.
fn five_digits(code: String) -> String {
    if is_zip(&code) { code[..5].to_owned() } else { code }
}

/// `98101` or `98101-1234` or `981011234`.
fn is_zip(code: &str) -> bool {
    let digits = code.bytes().filter(u8::is_ascii_digit).count();
    match code.len() {
        5 | 9 => digits == code.len(),
        10 => digits == 9 && matches!(code.as_bytes()[5], b'-' | b' '),
        _ => false,
    }
}

fn address(members: &Members<'_>) -> Result<Option<String>, FieldError> {
    if let Some(address) = members.line(Field::UnparsedAddress, MAX_ADDRESS_CHARS)? {
        return Ok(Some(address));
    }
    let mut address = String::new();
    for field in [
        Field::StreetNumber,
        Field::StreetDirPrefix,
        Field::StreetName,
        Field::StreetSuffix,
        Field::StreetDirSuffix,
        Field::UnitNumber,
    ] {
        let Some(part) = members.label(field)? else { continue };
        let part = super::text::line(part);
        let gap = match field {
            Field::UnitNumber if !address.is_empty() => " #",
            _ if !address.is_empty() => " ",
            _ => "",
        };
        address.push_str(gap);
        address.push_str(part.trim_start_matches('#'));
    }
    // A number without a street is no address.
    let is_address = members.raw(Field::StreetName).is_some() && !address.is_empty();
    if address.chars().count() > MAX_ADDRESS_CHARS {
        let expected = format!("at most {MAX_ADDRESS_CHARS} characters of street and number");
        return Err(FieldError::new("StreetName", &address, Fault::TooLarge, expected));
    }
    Ok(is_address.then_some(address))
}

/// The country as the feed says; else the United States if the state is one of theirs and neither postal code nor
/// position speaks against it, or if the postal code is one that only they have (`98101-1234`).
fn country(
    members: &Members<'_>,
    state: Option<&str>,
    code: Option<&str>,
    position: Option<Position>,
) -> Result<Option<Country>, FieldError> {
    if let Some(word) = members.word(Field::Country)? {
        let letters = match &*word.to_ascii_uppercase() {
            "USA" | "UNITED STATES" | "UNITED STATES OF AMERICA" => "us",
            "CAN" | "CANADA" => "ca",
            _ => &word,
        };
        return letters.parse().map(Some).map_err(|error: FieldError| error.named(Field::Country.name()));
    }
    let could_be_us = code.is_none_or(is_zip) && position.is_none_or(is_about_us);
    let is_us = state.is_some_and(is_us_state) || code.is_some_and(|code| code.len() == 10 && is_zip(code));
    if could_be_us && is_us {
        return "us".parse().map(Some);
    }
    let expected = "an ISO 3166-1 alpha-2 code such as US; it can be left out only where a state of the US is given";
    Err(FieldError::new(Field::Country.name(), "", Fault::Missing, expected))
}

/// The boxes around the states and territories: mainland, Alaska with the Aleutians on both sides of 180°, Hawaii and
/// Samoa, the Caribbean, the Marianas. They hold parts of other countries: this only rules out.
fn is_about_us(at: Position) -> bool {
    const BOXES: [(f64, f64, f64, f64); 6] = [
        (24.0, 50.0, -125.0, -66.0),
        (51.0, 72.0, -180.0, -129.0),
        (51.0, 54.0, 172.0, 180.0),
        (-15.0, 23.0, -179.0, -154.0),
        (17.0, 19.0, -68.0, -64.0),
        (13.0, 21.0, 144.0, 147.0),
    ];
    let (north, east) = (f64::from(at.latitude.steps()) / 1e5, f64::from(at.longitude.steps()) / 1e5);
    BOXES.iter().any(|(south, top, west, right)| (*south..=*top).contains(&north) && (*west..=*right).contains(&east))
}

/// States, the district and the territories of the United States: postal abbreviation and name.
#[rustfmt::skip]
const US_STATES: [(&str, &str); 56] = [
    ("AL", "Alabama"), ("AK", "Alaska"), ("AZ", "Arizona"), ("AR", "Arkansas"), ("CA", "California"),
    ("CO", "Colorado"), ("CT", "Connecticut"), ("DE", "Delaware"), ("FL", "Florida"), ("GA", "Georgia"),
    ("HI", "Hawaii"), ("ID", "Idaho"), ("IL", "Illinois"), ("IN", "Indiana"), ("IA", "Iowa"), ("KS", "Kansas"),
    ("KY", "Kentucky"), ("LA", "Louisiana"), ("ME", "Maine"), ("MD", "Maryland"), ("MA", "Massachusetts"),
    ("MI", "Michigan"), ("MN", "Minnesota"), ("MS", "Mississippi"), ("MO", "Missouri"), ("MT", "Montana"),
    ("NE", "Nebraska"), ("NV", "Nevada"), ("NH", "New Hampshire"), ("NJ", "New Jersey"), ("NM", "New Mexico"),
    ("NY", "New York"), ("NC", "North Carolina"), ("ND", "North Dakota"), ("OH", "Ohio"), ("OK", "Oklahoma"),
    ("OR", "Oregon"), ("PA", "Pennsylvania"), ("RI", "Rhode Island"), ("SC", "South Carolina"),
    ("SD", "South Dakota"), ("TN", "Tennessee"), ("TX", "Texas"), ("UT", "Utah"), ("VT", "Vermont"),
    ("VA", "Virginia"), ("WA", "Washington"), ("WV", "West Virginia"), ("WI", "Wisconsin"), ("WY", "Wyoming"),
    ("DC", "District of Columbia"), ("PR", "Puerto Rico"), ("VI", "Virgin Islands"), ("GU", "Guam"),
    ("AS", "American Samoa"), ("MP", "Northern Mariana Islands"),
];

fn is_us_state(text: &str) -> bool {
    US_STATES.iter().any(|(code, name)| code.eq_ignore_ascii_case(text) || name.eq_ignore_ascii_case(text))
}
