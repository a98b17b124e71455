//! How many listings and sessions `volume` fills its installation with, and how long it then waits for what is done with all
//! of them. Does not know what is measured.

use std::fmt;
use std::time::Duration;

/// What the table in bench/RESULTS.md is recorded with.
pub const DEFAULT: u32 = 100_000;

/// So many listings, and as many sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock(pub u32);

impl Stock {
    /// Listings, and sessions.
    pub const fn each(self) -> usize {
        self.0 as usize
    }

    /// Raw records: the stock, then changes of it.
    pub const fn records(self) -> u64 {
        2 * self.0 as u64
    }

    /// How long something may take for which the default stock is given so many seconds: in proportion, for a smaller stock
    /// no less.
    pub fn limit(self, seconds: u32) -> Duration {
        Duration::from_secs(seconds.into()) * self.0.div_ceil(DEFAULT)
    }
}

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = thousands(self.0.into());
        write!(f, "{each} listings, {each} sessions")
    }
}

/// `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_says_its_size_as_people_read_it() {
        assert_eq!(Stock(DEFAULT).to_string(), "100,000 listings, 100,000 sessions");
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn limits_grow_with_the_stock_and_do_not_shrink_with_it() {
        assert_eq!(Stock(DEFAULT).limit(120).as_secs(), 120);
        assert_eq!(Stock(10 * DEFAULT).limit(120).as_secs(), 1_200);
        assert_eq!(Stock(1_000).limit(120).as_secs(), 120);
    }
}
