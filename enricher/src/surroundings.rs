//! What roost knows about the surroundings of any listing: the way to the centre, schools, what the market sold for.
//!
//! Shared by every thread that values. Does not value.

use std::sync::{PoisonError, RwLock};

use schemas::listing::Listing;
use schemas::sale::Sale;

use crate::commute::CityCentres;
use crate::features::Subject;
use crate::market::{MarketContext, MarketLevel};
use crate::schools::SchoolRatings;

/// The tables that a listing is looked up in.
#[derive(Debug)]
pub struct Surroundings {
    centres: CityCentres,
    schools: SchoolRatings,
    /// `None`: market context is off.
    market: Option<RwLock<MarketContext>>,
}

impl Surroundings {
    /// With the shipped city centres.
    pub fn new(schools: SchoolRatings, market_context: bool) -> Self {
        let market = market_context.then(RwLock::default);
        Self { centres: CityCentres::shipped(), schools, market }
    }

    /// Whether sales are taken in and compared with.
    pub const fn market_context(&self) -> bool {
        self.market.is_some()
    }

    /// Takes in one sale.
    pub fn take(&self, sale: &Sale) {
        if let Some(market) = &self.market {
            // A panic while taking a sale leaves sums of whole sales: the state is still usable.
            market.write().unwrap_or_else(PoisonError::into_inner).take(sale);
        }
    }

    /// A listing with its surroundings.
    pub fn of<'a>(&self, listing: &'a Listing) -> Subject<'a> {
        Subject {
            listing,
            commute: self.centres.commute(listing),
            school_rating: self.schools.rating(listing),
            level: self.level(listing),
        }
    }

    fn level(&self, listing: &Listing) -> Option<MarketLevel> {
        self.market.as_ref()?.read().unwrap_or_else(PoisonError::into_inner).level(listing)
    }
}
