//! The past as it was known at the time: listings in the order of their days, and when each sale came to be known.
//!
//! Pure. What a training matrix and a replay stand on, so that neither sees the future. Makes no feature and values nothing.

use std::collections::BTreeMap;

use schemas::listing::Listing;
use schemas::sale::Sale;
use schemas::units::Instant;

use crate::market::{close_day, days_since_1970};
use crate::sales::sale_of;

/// When a sale comes to be known to the rows of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// To the rows below it.
    Below,
    /// To the rows of all days that are more than so many days after its own.
    After(u16),
}

/// The day that a listing is about, in days since 1970: of a sale its closing, of any other its statement.
pub fn day_of(listing: &Listing) -> i32 {
    let stated = || days_since_1970(Instant::from_ms(listing.version.timestamp_ms).unwrap_or_default().day());
    sale_of(listing, None).as_ref().map_or_else(stated, close_day)
}

/// Puts listings in the order of their days; those of one day stay in theirs.
pub fn in_order(mut listings: Vec<Listing>) -> Vec<Listing> {
    listings.sort_by_key(day_of);
    listings
}

/// Sales that have closed and are not known yet.
#[derive(Debug)]
pub struct Pending {
    known: Known,
    by_day: BTreeMap<i32, Vec<Sale>>,
}

impl Pending {
    /// None yet.
    pub const fn new(known: Known) -> Self {
        Self { known, by_day: BTreeMap::new() }
    }

    /// A sale has closed.
    pub fn add(&mut self, sale: Sale) {
        self.by_day.entry(close_day(&sale)).or_default().push(sale);
    }

    /// Takes out the sales that are known to a row of this day, the oldest first.
    pub fn known_on(&mut self, day: i32) -> impl Iterator<Item = Sale> {
        let later = match self.known {
            Known::Below => BTreeMap::new(),
            Known::After(days) => self.by_day.split_off(&day.saturating_sub(i32::from(days))),
        };
        std::mem::replace(&mut self.by_day, later).into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::money::Money;

    fn closed(key: u32, day: i8) -> Listing {
        let mut listing = crate::testing::listing(1_600_000_000, "Closed", 100);
        listing.listing_id = format!("f:{key}").parse().unwrap();
        listing.close_price = Money::from_units(100);
        listing.close_date = Some(jiff::civil::date(2015, 3, day));
        listing
    }

    fn keys(sales: impl Iterator<Item = Sale>) -> Vec<String> {
        sales.map(|sale| sale.listing_id.to_string()).collect()
    }

    #[test]
    fn a_listing_is_about_its_closing_else_about_its_statement() {
        let (sold, mut offered) = (closed(1, 10), closed(2, 10));
        offered.standard_status = schemas::vocabulary::StandardStatus::Active;
        assert_eq!((day_of(&sold), day_of(&offered)), (16_504, 18_518));
        let ordered = in_order(vec![offered, closed(3, 12), sold, closed(4, 12)]);
        let order: Vec<_> = ordered.iter().map(|listing| listing.listing_id.as_str()).collect();
        assert_eq!(order, ["f:1", "f:3", "f:4", "f:2"]);
    }

    #[test]
    fn a_sale_is_known_to_days_that_are_more_than_so_many_after_it() {
        let mut pending = Pending::new(Known::After(7));
        for (key, day) in [(1, 10), (2, 3), (3, 3), (4, 4)] {
            pending.add(sale_of(&closed(key, day), None).unwrap());
        }
        let third = day_of(&closed(9, 3));
        assert!(keys(pending.known_on(third + 7)).is_empty());
        assert_eq!(keys(pending.known_on(third + 8)), ["f:2", "f:3"]);
        assert!(keys(pending.known_on(third + 8)).is_empty(), "once");
        assert_eq!(keys(pending.known_on(third + 99)), ["f:4", "f:1"]);

        let mut same_day = Pending::new(Known::After(0));
        same_day.add(sale_of(&closed(1, 3), None).unwrap());
        assert!(keys(same_day.known_on(third)).is_empty());
        assert_eq!(keys(same_day.known_on(third + 1)), ["f:1"]);

        let mut below = Pending::new(Known::Below);
        below.add(sale_of(&closed(1, 30), None).unwrap());
        assert_eq!(keys(below.known_on(third)), ["f:1"]);
    }
}
