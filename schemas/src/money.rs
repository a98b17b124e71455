//! Money: an integer count of cents with its currency beside it. No float enters or leaves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::field_error::{Fault, FieldError};
use crate::id::Country;

/// An amount in cents (hundredths of the currency unit), 0 ..= 99 999 999 999 999 (RESO `decimal(14,2)`).
///
/// On the wire a JSON number with at most two decimals: `749999` or `1234.5`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

/// The largest amount: 999 999 999 999.99 (RESO `decimal(14,2)`).
pub const MAX_CENTS: i64 = 99_999_999_999_999;

impl Money {
    /// An amount from cents; `None` outside 0 ..= [`MAX_CENTS`].
    pub const fn from_cents(cents: i64) -> Option<Self> {
        if cents >= 0 && cents <= MAX_CENTS { Some(Self(cents)) } else { None }
    }
    /// An amount from whole currency units; `None` out of range.
    pub const fn from_units(units: i64) -> Option<Self> {
        match units.checked_mul(100) {
            Some(cents) => Self::from_cents(cents),
            None => None,
        }
    }
    /// The count of cents.
    pub const fn cents(self) -> i64 {
        self.0
    }
    /// Whole currency units, rounded down.
    pub const fn units(self) -> i64 {
        self.0 / 100
    }
    /// The amount, if it is more than nothing.
    pub fn non_zero(self) -> Option<Self> {
        (self.0 > 0).then_some(self)
    }
    /// Parses a plain or exponent decimal (`749999`, `1234.50`, `1.225e+006`) exactly; more than two decimals only if they are zeros.
    pub fn parse_decimal(text: &str) -> Option<Self> {
        Self::from_cents(parse_scaled(text, 2)?)
    }
}

/// Parses a decimal text as an integer count of 10^-scale, exactly. `None` if it is not a number, does not fit, or has
/// non-zero digits beyond the scale.
pub fn parse_scaled(text: &str, scale: i32) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok().filter(|e| e.abs() <= 30)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut value: i128 = 0;
    for b in whole.bytes().chain(fraction.bytes()) {
        value = value.checked_mul(10)?.checked_add(i128::from(b - b'0'))?;
    }
    let mut shift = exponent + scale - i32::try_from(fraction.len()).ok()?;
    while shift > 0 {
        value = value.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && value != 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        shift += 1;
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 100 {
            0 => write!(f, "{}", self.0 / 100),
            cents => write!(f, "{}.{cents:02}", self.0 / 100),
        }
    }
}
impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({self})")
    }
}
impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 100 == 0 {
            serializer.serialize_i64(self.0 / 100)
        } else {
            // Exact: below 2^53 cents a double names every count of cents, and shortest printing gives it back.
            serializer.serialize_f64(self.0 as f64 / 100.0)
        }
    }
}
impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Money;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money: a number from 0 to 999999999999.99 with at most two decimals")
            }
            fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Money, E> {
                i64::try_from(v)
                    .ok()
                    .and_then(Money::from_units)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(v), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Money, E> {
                Money::from_units(v).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Signed(v), &self))
            }
            fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Money, E> {
                Money::parse_decimal(&v.to_string())
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Float(v), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
impl schemars::JsonSchema for Money {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Money".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // No `multipleOf`: validators compute it in floating point and refuse right amounts.
        schemars::json_schema!({
            "type": "number",
            "minimum": 0,
            "maximum": 999_999_999_999.99,
            "description": "an amount with at most two decimals"
        })
    }
}

/// ISO 4217, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar: the currency of a circle whose session names none.
    pub const USD: Self = Self(*b"USD");

    /// The three upper-case letters.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters get in, see `from_str`.
        std::str::from_utf8(&self.0).expect("three ASCII letters")
    }

    /// The currency used in a country, for the countries listing feeds come from; `None` elsewhere.
    pub fn of(country: Country) -> Option<Self> {
        let code = match country.as_str() {
            "us" | "pr" | "ec" | "sv" | "gu" | "vi" => b"USD",
            "ca" => b"CAD",
            "mx" => b"MXN",
            "gb" | "im" | "je" | "gg" => b"GBP",
            "au" => b"AUD",
            "nz" => b"NZD",
            "ch" | "li" => b"CHF",
            "se" => b"SEK",
            "no" => b"NOK",
            "dk" => b"DKK",
            "pl" => b"PLN",
            "cz" => b"CZK",
            "jp" => b"JPY",
            "in" => b"INR",
            "ae" => b"AED",
            "za" => b"ZAR",
            "br" => b"BRL",
            "at" | "be" | "bg" | "hr" | "cy" | "ee" | "fi" | "fr" | "de" | "gr" | "ie" | "it" | "lv" | "lt" | "lu"
            | "mt" | "nl" | "pt" | "sk" | "si" | "es" | "mc" | "ad" => b"EUR",
            _ => return None,
        };
        Some(Self(*code))
    }

    /// The country that a bare postal code belongs to when all that is known is its currency; `None` where several big
    /// ones share it (the euro), or none is known.
    pub fn country(self) -> Option<Country> {
        let code = match &self.0 {
            b"USD" => "us",
            b"CAD" => "ca",
            b"MXN" => "mx",
            b"GBP" => "gb",
            b"AUD" => "au",
            b"NZD" => "nz",
            b"CHF" => "ch",
            b"SEK" => "se",
            b"NOK" => "no",
            b"DKK" => "dk",
            b"PLN" => "pl",
            b"CZK" => "cz",
            b"JPY" => "jp",
            b"INR" => "in",
            b"AED" => "ae",
            b"ZAR" => "za",
            b"BRL" => "br",
            _ => return None,
        };
        code.parse().ok()
    }
}
impl FromStr for Currency {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        match *text.as_bytes() {
            [a, b, c] if text.bytes().all(|x| x.is_ascii_alphabetic()) => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()]))
            }
            _ => Err(FieldError::new("currency", text, Fault::OutOfRange, "an ISO 4217 code such as 'USD'")),
        }
    }
}
impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}
impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
impl schemars::JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[A-Z]{3}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_both_ways() {
        for (text, cents) in [
            ("749999", 74_999_900),
            ("0.01", 1),
            ("1234.5", 123_450),
            ("1.225e+006", 122_500_000),
            ("999999999999.99", MAX_CENTS),
        ] {
            let money = Money::parse_decimal(text).unwrap();
            assert_eq!(money.cents(), cents, "{text}");
            let wire = serde_json::to_string(&money).unwrap();
            assert_eq!(serde_json::from_str::<Money>(&wire).unwrap(), money, "{wire}");
        }
        for text in ["", "-1", "0.001", "1e99", "NaN", "1,000", "1000000000000"] {
            assert!(Money::parse_decimal(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_exponent_neither_overflows_nor_loses_digits() {
        for (text, scale, value) in [
            ("1e2", 0, Some(100)),
            ("100e-2", 0, Some(1)),
            ("1e-2", 0, None),
            ("0e-30", 2, Some(0)),
            ("1e30", 2, None),
            ("99999999999999999999999999999999999999", 2, None),
            ("-9223372036854775808", 0, Some(i64::MIN)),
            ("1e31", 0, None),
            ("1e99999999999", 0, None),
            ("+5", 0, Some(5)),
            (".5", 1, Some(5)),
            (".", 1, None),
            ("-", 1, None),
            ("1e", 1, None),
            ("1.2.3", 2, None),
            ("inf", 2, None),
            ("1_0", 2, None),
            ("\u{0661}", 2, None),
        ] {
            assert_eq!(parse_scaled(text, scale), value, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_amount_travels_exactly(cents in 0..=MAX_CENTS) {
            let money = Money::from_cents(cents).unwrap();
            let wire = serde_json::to_string(&money).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Money>(&wire).unwrap(), money);
            proptest::prop_assert_eq!(Money::parse_decimal(&money.to_string()), Some(money));
        }

        #[test]
        fn no_text_makes_the_reader_of_numbers_panic(text in ".{0,40}", scale in 0..6_i32) {
            let _ = parse_scaled(&text, scale);
        }
    }
}
