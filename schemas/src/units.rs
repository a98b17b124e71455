//! Numbers with a unit, exact: halves of bathrooms, tenths of a rating, 1e-5 degrees, instants.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::parse_scaled;

/// Milliseconds since 1970-01-01 UTC; on the wire RFC 3339 text with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(i64);

impl Instant {
    /// From milliseconds since 1970; years 0001 to 9999 only.
    pub fn from_ms(ms: i64) -> Option<Self> {
        (-62_135_596_800_000..=253_402_300_799_999).contains(&ms).then_some(Self(ms))
    }
    /// Milliseconds since 1970.
    pub const fn ms(self) -> i64 {
        self.0
    }
    /// The UTC day.
    pub fn day(self) -> jiff::civil::Date {
        self.timestamp().to_zoned(jiff::tz::TimeZone::UTC).date()
    }
    fn timestamp(self) -> jiff::Timestamp {
        // The range of `from_ms` lies within jiff's.
        jiff::Timestamp::from_millisecond(self.0).expect("a year between 1 and 9999")
    }
}
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.timestamp())
    }
}
impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let timestamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Self::from_ms(timestamp.as_millisecond()).ok_or_else(|| serde::de::Error::custom("year outside 1 to 9999"))
    }
}
impl schemars::JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

/// A fixed-point number that is a plain JSON number on the wire.
macro_rules! fixed_point {
    ($(#[$doc:meta])* $name:ident($int:ty), scale $scale:literal, wire $divisor:literal, $min:literal..=$max:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name($int);
        impl $name {
            /// From the count of smallest steps; `None` out of range.
            pub fn from_steps(steps: $int) -> Option<Self> {
                ($min..=$max).contains(&steps).then_some(Self(steps))
            }
            /// The count of smallest steps.
            pub const fn steps(self) -> $int {
                self.0
            }
            /// Parses a decimal text, exactly; `None` if out of range or between two steps.
            pub fn parse_decimal(text: &str) -> Option<Self> {
                let scaled = parse_scaled(text, $scale)?;
                let per_step = 10_i64.pow($scale) / $divisor;
                (scaled % per_step == 0).then(|| <$int>::try_from(scaled / per_step).ok()).flatten().and_then(Self::from_steps)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", f64::from(self.0) / $divisor as f64)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if i64::from(self.0) % $divisor == 0 {
                    serializer.serialize_i64(i64::from(self.0) / $divisor)
                } else {
                    serializer.serialize_f64(f64::from(self.0) / $divisor as f64)
                }
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = serde_json::Number::deserialize(deserializer)?;
                Self::parse_decimal(&number.to_string()).ok_or_else(|| serde::de::Error::custom(format!("{number} is not {}", $expected)))
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "number",
                    "minimum": f64::from($min) / $divisor as f64,
                    "maximum": f64::from($max) / $divisor as f64,
                    // No `multipleOf`: validators compute it in floating point and refuse right values.
                    "description": $expected
                })
            }
        }
    };
}

fixed_point! {
    /// Bathrooms in halves: 2.5 is 5 steps.
    Bathrooms(u16), scale 1, wire 2_i64, 0_u16..=200_u16, "a count of bathrooms from 0 to 100 in halves"
}
fixed_point! {
    /// A school rating from 0 to 10 in tenths.
    SchoolRating(u8), scale 1, wire 10_i64, 0_u8..=100_u8, "a rating from 0 to 10 in tenths"
}
fixed_point! {
    /// Degrees of latitude in steps of 1e-5 (about a metre), north positive.
    Latitude(i32), scale 5, wire 100_000_i64, -9_000_000_i32..=9_000_000_i32, "a latitude from -90 to 90 in steps of 0.00001"
}
fixed_point! {
    /// Degrees of longitude in steps of 1e-5, east positive.
    Longitude(i32), scale 5, wire 100_000_i64, -18_000_000_i32..=18_000_000_i32, "a longitude from -180 to 180 in steps of 0.00001"
}
fixed_point! {
    /// A radius in kilometres in steps of a metre, up to 500 km.
    RadiusKm(u32), scale 3, wire 1_000_i64, 1_u32..=500_000_u32, "a radius from 0.001 to 500 km in metres"
}

/// A place on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// North of the equator.
    pub latitude: Latitude,
    /// East of Greenwich.
    pub longitude: Longitude,
}

impl Position {
    /// Rounds degrees to the nearest 1e-5; `None` outside the globe or not finite.
    pub fn from_degrees(latitude: f64, longitude: f64) -> Option<Self> {
        let steps = |degrees: f64, max: f64| (degrees.abs() <= max).then(|| (degrees * 100_000.0).round() as i32);
        Some(Self {
            latitude: Latitude::from_steps(steps(latitude, 90.0)?)?,
            longitude: Longitude::from_steps(steps(longitude, 180.0)?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_points_travel_exactly() {
        let baths: Bathrooms = serde_json::from_str("2.5").unwrap();
        assert_eq!((baths.steps(), serde_json::to_string(&baths).unwrap().as_str()), (5, "2.5"));
        assert!(serde_json::from_str::<Bathrooms>("2.25").is_err());
        let latitude: Latitude = serde_json::from_str("47.57068").unwrap();
        assert_eq!(serde_json::to_string(&latitude).unwrap(), "47.57068");
        assert!(Position::from_degrees(f64::NAN, 0.0).is_none());
        for steps in [-9_000_000, -4_757_067, 1, 4_757_068, 8_999_999] {
            let value = Latitude::from_steps(steps).unwrap();
            assert_eq!(serde_json::from_str::<Latitude>(&serde_json::to_string(&value).unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn an_instant_is_rfc_3339_with_milliseconds() {
        let at = Instant::from_ms(1_667_174_400_107).unwrap();
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2022-10-31T00:00:00.107Z\"");
        assert_eq!(serde_json::from_str::<Instant>("\"2022-10-31T02:00:00.107+02:00\"").unwrap(), at);
    }

    #[test]
    fn what_is_out_of_range_is_no_value() {
        for text in ["90.00001", "-91", "1e300", "\"47\"", "null", "[1]"] {
            assert!(serde_json::from_str::<Latitude>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<RadiusKm>("0").is_err() && serde_json::from_str::<RadiusKm>("500.001").is_err());
        assert!(
            serde_json::from_str::<SchoolRating>("10.1").is_err()
                && serde_json::from_str::<SchoolRating>("-0.1").is_err()
        );
        for (latitude, longitude) in [(f64::INFINITY, 0.0), (90.1, 0.0), (0.0, -180.1), (0.0, f64::NAN)] {
            assert!(Position::from_degrees(latitude, longitude).is_none(), "{latitude} {longitude}");
        }
        for text in ["\"10000-01-01T00:00:00Z\"", "\"2022-02-30T00:00:00Z\"", "\"2022-10-31\"", "1667174400", "\"\""] {
            assert!(serde_json::from_str::<Instant>(text).is_err(), "{text}");
        }
        for ms in [i64::MIN, i64::MAX, 253_402_300_800_000] {
            assert!(Instant::from_ms(ms).is_none(), "{ms}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_instant_travels_exactly(ms in -62_135_596_800_000_i64..=253_402_300_799_999) {
            let at = Instant::from_ms(ms).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Instant>(&serde_json::to_string(&at).unwrap()).unwrap(), at);
        }
    }
}
