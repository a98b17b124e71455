//! What roost knows about the surroundings of any listing: the way to the centre, schools, what homes sold for.
//!
//! Shared by every thread that values. Does not value.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use schemas::listing::Listing;
use schemas::sale::Sale;

use crate::commute::CityCentres;
use crate::comparables::{Comparables, Comparison};
use crate::features::{FeatureList, Subject};
use crate::market::MarketContext;
use crate::schools::SchoolRatings;

/// The tables that a listing is looked up in.
#[derive(Debug)]
pub struct Surroundings {
    centres: CityCentres,
    schools: SchoolRatings,
    /// `None`: market context is off.
    sold: Option<RwLock<Sold>>,
}

/// What the sales say.
#[derive(Debug, Default)]
struct Sold {
    market: MarketContext,
    comparables: Comparables,
}

/// The surroundings at one moment: while it lives, no sale is taken in.
pub struct View<'a> {
    surroundings: &'a Surroundings,
    sold: Option<RwLockReadGuard<'a, Sold>>,
}

impl Surroundings {
    /// With the shipped city centres.
    pub fn new(schools: SchoolRatings, market_context: bool) -> Self {
        let sold = market_context.then(RwLock::default);
        Self { centres: CityCentres::shipped(), schools, sold }
    }

    /// Whether sales are taken in and compared with.
    pub const fn market_context(&self) -> bool {
        self.sold.is_some()
    }

    /// Takes in one sale.
    pub fn take(&self, sale: &Sale) {
        if let Some(sold) = &self.sold {
            // A panic while taking a sale leaves sums of whole sales: the state is still usable.
            let mut sold = sold.write().unwrap_or_else(PoisonError::into_inner);
            sold.market.take(sale);
            sold.comparables.take(sale);
        }
    }

    /// What is known now.
    pub fn now(&self) -> View<'_> {
        let sold = self.sold.as_ref().map(|sold| sold.read().unwrap_or_else(PoisonError::into_inner));
        View { surroundings: self, sold }
    }
}

impl View<'_> {
    /// A listing with its surroundings, as far as the features ask for them.
    pub fn of<'a>(&self, listing: &'a Listing, features: &FeatureList) -> Subject<'a> {
        let sold = self.sold.as_deref();
        Subject {
            listing,
            commute: self.surroundings.centres.commute(listing),
            school_rating: self.surroundings.schools.rating(listing),
            level: sold.and_then(|sold| sold.market.level(listing)),
            comparison: match sold {
                Some(sold) if features.compares() => sold.comparables.of(listing),
                Some(_) | None => Comparison::default(),
            },
        }
    }
}
