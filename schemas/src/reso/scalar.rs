//! One member as a number, a text, a yes or no, a time, a list of words: every form that feeds are known to send.
//!
//! Each reader gives `Ok(None)` where the feed says nothing (absent, `null`, a blank text) and a [`FieldError`] with the
//! value where it says something else. Knows no range but those of the types.

use std::borrow::Cow;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::de::Deserialize as _;

use super::fields::Field;
use super::members::Members;
use super::text;
use crate::field_error::{Fault, FieldError};

/// What one member says, before anybody asks for a type.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(&'a str),
    Bool(bool),
    Nested,
}

type Read<T> = Result<Option<T>, FieldError>;

fn scalar<'a>(members: &Members<'a>, field: Field) -> Read<Scalar<'a>> {
    members.raw(field).map_or(Ok(None), |raw| scalar_of(field.name(), raw))
}

fn scalar_of<'a>(name: &str, raw: &'a str) -> Read<Scalar<'a>> {
    Ok(Some(match raw.as_bytes().first() {
        Some(b'"') => match text_of(raw) {
            Some(text) if is_blank(&text) => return Ok(None),
            Some(text) => Scalar::Text(text),
            None => return Err(bad_type(name, raw, "a text without broken surrogate pairs")),
        },
        Some(b't') => Scalar::Bool(true),
        Some(b'f') => Scalar::Bool(false),
        Some(b'n') | None => return Ok(None),
        Some(b'{' | b'[') => Scalar::Nested,
        Some(_) => Scalar::Number(raw),
    }))
}

fn is_blank(text: &str) -> bool {
    // Most texts start with a letter or a digit: no need to look further.
    !text.starts_with(|c: char| c.is_ascii_graphic()) && text.trim().is_empty()
}

/// The text of a JSON string, borrowed where it holds no escapes.
pub(super) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

fn bad_type(name: &str, value: &str, expected: &str) -> FieldError {
    FieldError::new(name, value, Fault::BadType, expected)
}

pub(super) fn out_of_range(field: Field, value: impl ToString, expected: impl Into<String>) -> FieldError {
    FieldError::new(field.name(), value, Fault::OutOfRange, expected)
}

impl<'a> Members<'a> {
    /// The member as the feed wrote it, for messages.
    pub(super) fn shown(&self, field: Field) -> &'a str {
        self.raw(field).unwrap_or("")
    }

    /// A text of one line, at most `max` characters.
    pub(super) fn line(&self, field: Field, max: usize) -> Read<String> {
        let Some(found) = scalar(self, field)? else { return Ok(None) };
        let Scalar::Text(found) = found else {
            return Err(bad_type(field.name(), self.shown(field), "a text"));
        };
        let line = text::line(found);
        if line.len() > max && line.chars().count() > max {
            return Err(FieldError::new(field.name(), &line, Fault::TooLarge, format!("at most {max} characters")));
        }
        Ok((!line.is_empty()).then(|| line.into_owned()))
    }

    /// A text of several lines, of any length.
    pub(super) fn lines(&self, field: Field) -> Read<String> {
        match scalar(self, field)? {
            None => Ok(None),
            Some(Scalar::Text(found)) => Ok(Some(text::lines(found).into_owned()).filter(|text| !text.is_empty())),
            Some(_) => Err(bad_type(field.name(), self.shown(field), "a text")),
        }
    }

    /// A name or number of something: a text as it is, or a whole number.
    pub(super) fn label(&self, field: Field) -> Read<Cow<'a, str>> {
        match scalar(self, field)? {
            None => Ok(None),
            Some(Scalar::Text(text)) => Ok(Some(text)),
            Some(Scalar::Number(digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Some(Cow::Borrowed(digits)))
            }
            Some(Scalar::Number(_) | Scalar::Bool(_) | Scalar::Nested) => {
                Err(bad_type(field.name(), self.shown(field), "a text or a whole number"))
            }
        }
    }

    /// A word of a vocabulary, in any of its forms.
    pub(super) fn word(&self, field: Field) -> Read<Cow<'a, str>> {
        match scalar(self, field)? {
            None => Ok(None),
            Some(Scalar::Text(Cow::Borrowed(word))) => Ok(Some(Cow::Borrowed(word.trim()))),
            Some(Scalar::Text(Cow::Owned(word))) => Ok(Some(Cow::Owned(word.trim().to_owned()))),
            Some(_) => Err(bad_type(field.name(), self.shown(field), "a word")),
        }
    }

    /// Yes or no: `true`, `"true"`, `"Y"`, `"Yes"`, `1` and their opposites.
    pub(super) fn flag(&self, field: Field) -> Read<bool> {
        let Some(found) = scalar(self, field)? else { return Ok(None) };
        let is = |text: &str, words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text.trim()));
        match found {
            Scalar::Bool(yes) => Ok(Some(yes)),
            Scalar::Number("1") => Ok(Some(true)),
            Scalar::Number("0") => Ok(Some(false)),
            Scalar::Text(text) if is(&text, ["true", "y", "yes", "1"]) => Ok(Some(true)),
            Scalar::Text(text) if is(&text, ["false", "n", "no", "0"]) => Ok(Some(false)),
            Scalar::Text(_) | Scalar::Number(_) | Scalar::Nested => {
                Err(bad_type(field.name(), self.shown(field), "true or false"))
            }
        }
    }

    /// A decimal number: `3`, `3.0`, `"3"`, `1.225e+006`, `"$1,225,000.00"`.
    pub(super) fn decimal(&self, field: Field) -> Read<Decimal> {
        let Some(found) = scalar(self, field)? else { return Ok(None) };
        let decimal = match &found {
            Scalar::Number(digits) => Decimal::parse(digits),
            Scalar::Text(text) => Decimal::parse_written(text),
            Scalar::Bool(_) | Scalar::Nested => None,
        };
        decimal.map(Some).ok_or_else(|| bad_type(field.name(), self.shown(field), "a number"))
    }

    /// A whole number within a range.
    pub(super) fn integer(&self, field: Field, min: i64, max: i64) -> Read<i64> {
        let Some(decimal) = self.decimal(field)? else { return Ok(None) };
        match decimal.exactly() {
            None => Err(bad_type(field.name(), self.shown(field), "a whole number")),
            Some(whole) if (i128::from(min)..=i128::from(max)).contains(&whole) => {
                // It lies between two values of the type.
                Ok(i64::try_from(whole).ok())
            }
            Some(_) => Err(out_of_range(field, self.shown(field), format!("{min} to {max}"))),
        }
    }

    /// A time: RFC 3339 with `Z` or an offset and any digits of a second; without an offset it is UTC, without a time
    /// midnight. Milliseconds since 1970.
    pub(super) fn time_ms(&self, field: Field) -> Read<i64> {
        let expected = "an RFC 3339 timestamp such as 2026-11-20T14:03:22.107Z";
        match scalar(self, field)? {
            None => Ok(None),
            Some(Scalar::Text(text)) => {
                parse_time_ms(&text).map(Some).ok_or_else(|| bad_type(field.name(), self.shown(field), expected))
            }
            Some(_) => Err(bad_type(field.name(), self.shown(field), expected)),
        }
    }

    /// A day: `2026-11-20`, or the day of a time as the feed writes it.
    pub(super) fn day(&self, field: Field) -> Read<Date> {
        let expected = "a date such as 2026-11-20";
        match scalar(self, field)? {
            None => Ok(None),
            Some(Scalar::Text(text)) => {
                parse_day(text.trim()).map(Some).ok_or_else(|| bad_type(field.name(), self.shown(field), expected))
            }
            Some(_) => Err(bad_type(field.name(), self.shown(field), expected)),
        }
    }

    /// Calls `each` with every word of a list: an array of texts, or one text with commas.
    pub(super) fn words(&self, field: Field, mut each: impl FnMut(&str)) -> Result<(), FieldError> {
        let expected = "an array of texts, or a text with commas";
        match self.raw(field) {
            None => Ok(()),
            Some(raw) if raw.starts_with('[') => {
                let mut deserializer = serde_json::Deserializer::from_str(raw);
                let words = Vec::<Option<Cow<'_, str>>>::deserialize(&mut deserializer)
                    .map_err(|_| bad_type(field.name(), raw, expected))?;
                words.iter().flatten().map(|word| word.trim()).filter(|word| !word.is_empty()).for_each(each);
                Ok(())
            }
            Some(raw) => match scalar_of(field.name(), raw)? {
                None => Ok(()),
                Some(Scalar::Text(text)) => {
                    text.split(',').map(str::trim).filter(|word| !word.is_empty()).for_each(&mut each);
                    Ok(())
                }
                Some(_) => Err(bad_type(field.name(), raw, expected)),
            },
        }
    }
}

/// Milliseconds since 1970 of a timestamp as feeds write it. Cut, not rounded: a statement is never dated later.
pub(super) fn parse_time_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(floor_ms(timestamp));
    }
    // No offset: UTC. A zone's name or a broken offset is none of that.
    let has_no_offset =
        text.get(10..).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b"T :.".contains(&b)));
    let civil: DateTime = has_no_offset.then(|| text.parse().ok())??;
    civil.to_zoned(TimeZone::UTC).ok().map(|at| floor_ms(at.timestamp()))
}

/// The day of a date or of a time, in the feed's own offset.
fn parse_day(text: &str) -> Option<Date> {
    let (day, rest) = text.split_at_checked(10)?;
    (rest.is_empty() || rest.starts_with(['T', ' '])).then(|| day.parse().ok())?
}

fn floor_ms(timestamp: Timestamp) -> i64 {
    let since: SignedDuration = timestamp.as_duration();
    since.as_secs() * 1_000 + i64::from(since.subsec_nanos()).div_euclid(1_000_000)
}

/// An exact decimal: `digits × 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    digits: i128,
    exponent: i32,
}

/// Largest power of ten that a number may be scaled by: beyond it every quantity of a listing is out of range anyway.
const MAX_EXPONENT: i32 = 30;
/// Most significant digits that are looked at; further ones are cut (a double has 17).
const MAX_DIGITS: u32 = 30;

impl Decimal {
    /// Reads a JSON number. Never fails on one; what is beyond all quantities stays so.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (negative, unsigned) = match mantissa.as_bytes().first()? {
            b'-' => (true, &mantissa[1..]),
            b'+' => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (mut digits, mut scale, mut seen, mut significant, mut after_point) = (0_i128, 0_i32, false, 0_u32, false);
        for byte in unsigned.bytes() {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    if significant < MAX_DIGITS {
                        digits = digits * 10 + i128::from(byte - b'0');
                        significant += u32::from(digits != 0);
                        scale -= i32::from(after_point);
                    } else {
                        scale += i32::from(!after_point);
                    }
                }
                b'.' if !after_point => after_point = true,
                _ => return None,
            }
        }
        seen.then_some(Self {
            digits: if negative { -digits } else { digits },
            exponent: exponent.saturating_add(scale),
        })
    }

    /// Reads a number that a person wrote: with a currency sign in front and commas between thousands.
    pub(super) fn parse_written(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'-' | b'+') => text.split_at(1),
            _ => ("", text),
        };
        let rest = rest.strip_prefix(['$', '€', '£']).unwrap_or(rest).trim_start();
        let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
        if !whole.contains(',') {
            return if rest.starts_with(['-', '+']) { None } else { Self::parse(&format!("{sign}{rest}")) };
        }
        let mut groups = whole.split(',');
        let is_grouped = groups.next().is_some_and(|first| (1..=3).contains(&first.len()))
            && groups.all(|group| group.len() == 3 && group.bytes().all(|b| b.is_ascii_digit()));
        is_grouped.then(|| Self::parse(&format!("{sign}{}.{fraction}", whole.replace(',', ""))))?
    }

    /// The whole number, if it is one.
    pub(super) fn exactly(self) -> Option<i128> {
        let (steps, rest) = self.steps(0)?;
        (rest == 0).then_some(steps)
    }

    /// The count of steps of 10^-scale, rounded to the nearest, halves away from zero. `None` beyond all quantities.
    pub(super) fn nearest(self, scale: i32) -> Option<i128> {
        let (tenths, _) = self.steps(scale + 1)?;
        Some((tenths + if tenths < 0 { -5 } else { 5 }) / 10)
    }

    /// The count of steps of 10^-scale, cut.
    pub(super) fn cut(self, scale: i32) -> Option<i128> {
        self.steps(scale).map(|(steps, _)| steps)
    }

    /// Whether it is below zero.
    pub(super) const fn is_negative(self) -> bool {
        self.digits < 0
    }

    /// Whole steps of 10^-scale, towards zero, and a rest that is zero if nothing was cut.
    fn steps(self, scale: i32) -> Option<(i128, i128)> {
        if self.digits == 0 {
            return Some((0, 0));
        }
        let shift = self.exponent.saturating_add(scale);
        match shift {
            0 => Some((self.digits, 0)),
            1..=MAX_EXPONENT => Some((self.digits.checked_mul(10_i128.pow(shift.unsigned_abs()))?, 0)),
            _ if shift > 0 => None,
            // A number of at most 30 digits has nothing left beyond that.
            _ if shift < -MAX_EXPONENT => Some((0, self.digits)),
            _ => {
                let divisor = 10_i128.pow(shift.unsigned_abs());
                Some((self.digits / divisor, self.digits % divisor))
            }
        }
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Beyond four digits all exponents are the same: out of every range.
    let size = digits.bytes().fold(0_i32, |size, b| (size * 10 + i32::from(b - b'0')).min(9_999));
    Some(if negative { -size } else { size })
}
