//! What sessions ask for, packed so that one of them stands with its bound and its seat in a single line of the cache.
//!
//! Typical is a session that names one city and dismissed nothing. Whatever does not fit is kept whole beside it, and
//! answers the same questions a little slower. Knows no scores.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};

use rustc_hash::FxHashMap;
use schemas::amenities::AmenitySet;
use schemas::id::Market;
use schemas::money::{Currency, Money};
use schemas::preferences::Profile;
use schemas::units::{Bathrooms, SchoolRating};
use schemas::vocabulary::Transaction;

use crate::facts::{Asked, Cities, PlaceFacts, SessionFacts, SubTypes};

pub(super) mod saved;

/// Of a small number: nothing is asked.
const NONE: u8 = u8::MAX;
/// Of a market: the session is kept whole.
const WHOLE: u32 = u32::MAX;
/// Names of markets in the book at most: several times the towns that have a market, some 20 MB. Sessions name what they
/// like, and a name is never struck out; who names one that found no room is kept whole.
const MOST_MARKETS: usize = 1 << 17;
/// Currencies are numbered by a byte.
const MOST_CURRENCIES: usize = 1 << 8;

/// A packed session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asks {
    budget: Money,
    required: AmenitySet,
    preferred: AmenitySet,
    /// Number of the market in the book, or [`WHOLE`].
    market: u32,
    min_area_sqft: Option<NonZeroU32>,
    sub_types: SubTypes,
    max_commute_minutes: Option<NonZeroU16>,
    /// Number of the currency in the book.
    currency: u8,
    min_bedrooms: u8,
    /// Halves.
    min_bathrooms: u8,
    min_school_rating: Option<SchoolRating>,
    profile: Profile,
    /// Bits: a lease, coming soon too, under contract too.
    wants: u8,
}

/// What packed sessions have in common, and the sessions that are kept whole.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The first [`MOST_MARKETS`] that there ever were.
    markets: Vec<Market>,
    /// Hashed with a seed: clients choose the names.
    numbers: HashMap<Market, u32>,
    /// The first [`MOST_CURRENCIES`].
    currencies: Vec<Currency>,
    /// By slot.
    whole: FxHashMap<u32, SessionFacts>,
}

impl Book {
    /// The one copy of a market's name: comparing two of them does not leave the cache.
    pub(super) fn shared(&mut self, market: &Market) -> Market {
        self.number(market).map_or_else(|| market.clone(), |number| self.markets[number as usize].clone())
    }

    fn number(&mut self, market: &Market) -> Option<u32> {
        if let Some(number) = self.numbers.get(market) {
            return Some(*number);
        }
        if self.markets.len() == MOST_MARKETS {
            return None;
        }
        // Below the most.
        let number = self.markets.len() as u32;
        self.markets.push(market.clone());
        self.numbers.insert(market.clone(), number);
        Some(number)
    }

    fn currency(&mut self, currency: Currency) -> Option<u8> {
        let known = self.currencies.iter().position(|known| *known == currency);
        let number = known.unwrap_or(self.currencies.len());
        if number == self.currencies.len() && number < MOST_CURRENCIES {
            self.currencies.push(currency);
        }
        u8::try_from(number).ok()
    }

    /// Packs the session of a slot; what was there before is forgotten.
    pub(super) fn pack(&mut self, slot: u32, session: &SessionFacts) -> Asks {
        self.forget(slot);
        self.typical(session).unwrap_or_else(|| {
            let mut session = session.clone();
            session.place.cities.iter_mut().for_each(|city| *city = self.shared(city));
            let asks = Asks { market: WHOLE, ..Asks::nothing(session.budget, session.profile) };
            self.whole.insert(slot, session);
            asks
        })
    }

    fn typical(&mut self, session: &SessionFacts) -> Option<Asks> {
        // Every field by its name: one that is added has to be packed.
        let SessionFacts {
            transaction,
            currency,
            budget,
            place: PlaceFacts { cities: Cities::One(market), beyond: None },
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
        } = session
        else {
            return None;
        };
        if !dismissed.is_empty() {
            return None;
        }
        let is_lease = *transaction == Transaction::Lease;
        Some(Asks {
            budget: *budget,
            required: *required,
            preferred: *preferred,
            min_area_sqft: unless_zero(*min_area_sqft, NonZeroU32::new)?,
            sub_types: *sub_types,
            max_commute_minutes: unless_zero(*max_commute_minutes, NonZeroU16::new)?,
            currency: self.currency(*currency)?,
            min_bedrooms: small(*min_bedrooms)?,
            min_bathrooms: small(min_bathrooms.map(Bathrooms::steps))?,
            min_school_rating: *min_school_rating,
            profile: *profile,
            wants: u8::from(is_lease) | u8::from(*include_coming_soon) << 1 | u8::from(*include_under_contract) << 2,
            market: self.number(market)?,
        })
    }

    /// The session of a slot is no more.
    pub(super) fn forget(&mut self, slot: u32) {
        self.whole.remove(&slot);
    }

    /// What the session of a slot asks.
    pub(super) fn asked<'a>(&'a self, slot: u32, asks: &Asks) -> Asked<'a> {
        let Some(market) = self.markets.get(asks.market as usize) else {
            // Kept whole since it was packed, until it is forgotten with its slot.
            return (&self.whole[&slot]).into();
        };
        Asked {
            transaction: if asks.wants & 1 == 0 { Transaction::Sale } else { Transaction::Lease },
            currency: self.currencies[usize::from(asks.currency)],
            budget: asks.budget,
            cities: std::slice::from_ref(market),
            beyond: None,
            min_bedrooms: Some(u16::from(asks.min_bedrooms)).filter(|_| asks.min_bedrooms != NONE),
            min_bathrooms: Some(asks.min_bathrooms)
                .filter(|steps| *steps != NONE)
                .and_then(|steps| Bathrooms::from_steps(u16::from(steps))),
            min_area_sqft: asks.min_area_sqft.map(NonZeroU32::get),
            sub_types: asks.sub_types,
            max_commute_minutes: asks.max_commute_minutes.map(NonZeroU16::get),
            min_school_rating: asks.min_school_rating,
            required: asks.required,
            preferred: asks.preferred,
            dismissed: &[],
            include_coming_soon: asks.wants & 2 != 0,
            include_under_contract: asks.wants & 4 != 0,
            profile: asks.profile,
        }
    }

    /// Sessions that are kept whole.
    pub(super) fn whole(&self) -> usize {
        self.whole.len()
    }

    /// Whether the session of a slot asks just this.
    pub(super) fn is(&mut self, slot: u32, asks: &Asks, session: &SessionFacts) -> bool {
        match self.whole.get(&slot) {
            Some(whole) => whole == session,
            None => self.typical(session).as_ref() == Some(asks),
        }
    }
}

impl Asks {
    const fn nothing(budget: Money, profile: Profile) -> Self {
        Self {
            budget,
            required: AmenitySet::EMPTY,
            preferred: AmenitySet::EMPTY,
            market: WHOLE,
            min_area_sqft: None,
            sub_types: SubTypes::NONE,
            max_commute_minutes: None,
            currency: 0,
            min_bedrooms: NONE,
            min_bathrooms: NONE,
            min_school_rating: None,
            profile,
            wants: 0,
        }
    }

    /// The highest price.
    pub(super) const fn budget(&self) -> Money {
        self.budget
    }

    /// Whose weights count.
    pub(super) const fn profile(&self) -> Profile {
        self.profile
    }
}

/// `None` where 0 is asked, which has no place here.
fn unless_zero<T, N>(asked: Option<T>, of: impl Fn(T) -> Option<N>) -> Option<Option<N>> {
    asked.map_or(Some(None), |asked| of(asked).map(Some))
}

/// `None` for what is too great.
fn small(asked: Option<u16>) -> Option<u8> {
    asked.map_or(Some(NONE), |asked| u8::try_from(asked).ok().filter(|small| *small != NONE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::id::ListingId;
    use schemas::preferences::{Place, Preferences};

    use super::super::samples::pair;
    use super::*;
    use crate::score::{filters, score};

    /// Asks for one city.
    fn in_city(city: String) -> SessionFacts {
        let place = Place { cities: vec![city.parse().unwrap()], ..Place::default() };
        let statement = serde_json::json!({ "budget": 500_000, "currency": "USD", "place": place });
        SessionFacts::of(&Preferences::parse(statement.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn names_that_sessions_make_up_fill_no_memory() {
        let mut book = Book::default();
        let first = in_city("us/wa/a0".to_owned());
        let asks = book.pack(0, &first);
        for number in 1..=MOST_MARKETS {
            book.pack(1, &in_city(format!("us/wa/a{number}")));
        }
        assert_eq!((book.markets.len(), book.numbers.len()), (MOST_MARKETS, MOST_MARKETS));
        assert_eq!(book.whole(), 1, "the last name found no room");
        let last = in_city(format!("us/wa/a{MOST_MARKETS}"));
        let packed = book.pack(1, &last);
        assert_eq!(book.asked(1, &packed).cities, &last.place.cities[..]);
        assert!(book.is(0, &asks, &first), "who is in the book stays there");
    }

    #[test]
    fn currencies_that_find_no_number_are_not_kept() {
        let mut book = Book::default();
        for number in 0..1_000_u32 {
            let letters =
                [number / 26 / 26, number / 26 % 26, number % 26].map(|letter| char::from(b'A' + letter as u8));
            let currency = letters.iter().collect::<String>().parse().unwrap();
            let asks = book.pack(number, &SessionFacts { currency, ..in_city("us/wa/seattle".to_owned()) });
            assert_eq!(book.asked(number, &asks).currency, currency);
        }
        assert_eq!((book.currencies.len(), book.whole()), (256, 1_000 - 256));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

        #[test]
        fn a_packed_session_asks_what_it_asked(
            (session, listing) in pair(),
            baths in prop::option::of(0..=200_u16),
            kinds in any::<u8>(),
            dismisses in any::<bool>(),
        ) {
            let mut session = session;
            session.min_bathrooms = baths.and_then(Bathrooms::from_steps);
            let all = schemas::vocabulary::PropertySubType::ALL;
            session.sub_types = all.iter().copied().filter(|kind| kinds >> (*kind as u32 % 8) & 1 == 1).collect();
            if dismisses {
                session.dismissed = ["a:1".parse::<ListingId>().unwrap()].into();
            }
            let mut book = Book::default();
            let asks = book.pack(7, &session);
            prop_assert!(book.is(7, &asks, &session));
            let asked = book.asked(7, &asks);
            prop_assert_eq!(format!("{asked:?}"), format!("{:?}", crate::facts::Asked::from(&session)));
            prop_assert_eq!(score(asked, &listing), score(&session, &listing));
            let id = "a:1".parse().unwrap();
            prop_assert_eq!(filters(asked, &id, &listing), filters(&session, &id, &listing));
            prop_assert_eq!(asks.profile(), session.profile);
        }
    }
}
