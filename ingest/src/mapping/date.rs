//! Dates in the export's own form: `%B-%d-%Y` in the zone that the mapping names.

use jiff::civil::Date;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Formats of which the first that fits counts, and the zone of dates that name none.
#[derive(Clone, Debug)]
pub(super) struct Dates {
    formats: Vec<String>,
    zone: TimeZone,
}

impl Dates {
    /// An error says which format is none.
    pub(super) fn new(formats: Vec<String>, zone: TimeZone) -> Result<Self, String> {
        if formats.is_empty() {
            return Err("names no format (expected strptime ones such as '%Y-%m-%d')".to_owned());
        }
        for format in &formats {
            // Writing a date shows that every directive is known; reading it back, that it makes a date.
            let written = strtime::format(format, &sample()).map_err(|error| format!("'{format}': {error}"))?;
            let read = BrokenDownTime::parse(format, &written).map_err(|error| format!("'{format}': {error}"))?;
            if read.to_date().is_err() && read.to_timestamp().is_err() {
                return Err(format!("'{format}' makes no date (expected day, month and year, or '%s')"));
            }
        }
        Ok(Self { formats, zone })
    }

    /// The formats, for a message.
    pub(super) fn expected(&self) -> String {
        format!("a date of the form {}", self.formats.join(" or "))
    }

    /// The instant; a date without a time is midnight.
    pub(super) fn instant(&self, text: &str) -> Option<Timestamp> {
        let read = self.read(text)?;
        if let Ok(timestamp) = read.to_timestamp() {
            return Some(timestamp);
        }
        self.zone.to_timestamp(read.to_datetime().ok()?).ok()
    }

    /// The day, as the export writes it.
    pub(super) fn day(&self, text: &str) -> Option<Date> {
        let read = self.read(text)?;
        read.to_date().ok().or_else(|| Some(read.to_timestamp().ok()?.to_zoned(self.zone.clone()).date()))
    }

    fn read(&self, text: &str) -> Option<BrokenDownTime> {
        self.formats.iter().find_map(|format| strtime::parse(format, text).ok())
    }
}

/// A moment that has every part of a date.
fn sample() -> Zoned {
    Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)
}

/// A zone by its name, or by its distance from UTC such as `-08:00`.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    if let Ok(read) = strtime::parse("%:z", name)
        && let Some(offset) = read.offset()
    {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(name).map_err(|_| {
        format!(
            "'{name}' is not a time zone here (expected a name such as 'America/Los_Angeles', for which this machine \
                 needs its tzdata package, 'UTC', or a distance such as '-08:00')"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(format: &str, zone_name: &str) -> Dates {
        Dates::new(vec![format.to_owned()], zone(zone_name).unwrap()).unwrap()
    }

    #[test]
    fn a_date_without_a_zone_is_one_of_the_mapping() {
        let at = |format, zone, text| dates(format, zone).instant(text).map(|at| at.to_string());
        assert_eq!(at("%B-%d-%Y", "UTC", "May-9-2022").as_deref(), Some("2022-05-09T00:00:00Z"));
        assert_eq!(at("%Y-%m-%d %H:%M:%S", "-08:00", "2026-04-11 14:00:17").as_deref(), Some("2026-04-11T22:00:17Z"));
        assert_eq!(at("%m/%d/%y %I:%M %p", "UTC", "4/1/26 1:05 PM").as_deref(), Some("2026-04-01T13:05:00Z"));
        assert_eq!(
            at("%Y-%m-%dT%H:%M:%S%:z", "-08:00", "2026-04-11T14:00:17+02:00").as_deref(),
            Some("2026-04-11T12:00:17Z")
        );
        assert_eq!(at("%s", "UTC", "1667174400").as_deref(), Some("2022-10-31T00:00:00Z"));
        for (format, text) in
            [("%Y-%m-%d", "2022-02-30"), ("%Y-%m-%d", "2022-02-28x"), ("%Y-%m-%d", ""), ("%d.%m.%Y", "1/2/2022")]
        {
            assert_eq!(at(format, "UTC", text), None, "{format} {text}");
        }
    }

    #[test]
    fn a_day_stays_the_day_that_the_export_writes() {
        assert_eq!(
            dates("%Y-%m-%d %H:%M:%S", "+12:00").day("2026-04-11 01:00:00"),
            Some(jiff::civil::date(2026, 4, 11))
        );
    }

    #[test]
    fn what_is_no_format_or_no_zone_is_told_at_once() {
        for format in ["%Q!", "%H:%M", "yesterday", ""] {
            assert!(Dates::new(vec![format.to_owned()], TimeZone::UTC).is_err(), "{format}");
        }
        assert!(Dates::new(Vec::new(), TimeZone::UTC).is_err());
        assert!(zone("Atlantis").unwrap_err().contains("'Atlantis' is not a time zone"));
        assert!(zone("UTC").is_ok());
    }
}
