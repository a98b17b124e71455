//! What roost knows about the surroundings of any listing: the way to the centre, schools, what homes sold for.
//!
//! Shared by every thread that values. Does not value.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use schemas::accuracy::Contest;
use schemas::listing::Listing;
use schemas::model_alias::ModelName;
use schemas::sale::Sale;

use crate::commute::CityCentres;
use crate::comparables::{Comparables, Comparison};
use crate::features::{FeatureList, Subject};
use crate::level::{Level, Levels};
use crate::market::MarketContext;
use crate::registry::Manifest;
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
    levels: Levels,
    /// How far topic `sales` has been read: the next offset of each partition.
    read: Vec<u64>,
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
        self.change(|sold| sold.take(sale));
    }

    /// Takes in a record of `sales`: what it says, if it is a sale, and how far that partition is read with it.
    pub fn take_record(&self, partition: u32, next_offset: u64, sale: Option<&Sale>) {
        self.change(|sold| {
            if let Some(sale) = sale {
                sold.take(sale);
            }
            let partition = partition as usize;
            if sold.read.len() <= partition {
                sold.read.resize(partition + 1, 0);
            }
            sold.read[partition] = sold.read[partition].max(next_offset);
        });
    }

    /// From now on the level of this model is kept, to begin with from what is remembered and from its own seed.
    pub fn follow(&self, manifest: &Manifest) {
        self.change(|sold| sold.levels.follow(manifest));
    }

    /// The levels of all other models are forgotten.
    pub fn follow_only(&self, models: &[ModelName]) {
        self.change(|sold| sold.levels.follow_only(models));
    }

    fn change(&self, change: impl FnOnce(&mut Sold)) {
        if let Some(sold) = &self.sold {
            // A panic while taking a sale leaves sums of whole sales: the state is still usable.
            change(&mut sold.write().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// What is known now.
    pub fn now(&self) -> View<'_> {
        let sold = self.sold.as_ref().map(|sold| sold.read().unwrap_or_else(PoisonError::into_inner));
        View { surroundings: self, sold }
    }
}

impl Sold {
    fn take(&mut self, sale: &Sale) {
        self.market.take(sale);
        self.comparables.take(sale);
        self.levels.take(sale);
    }
}

impl View<'_> {
    /// What a model's prices of a listing are corrected by.
    pub fn level(&self, model: &ModelName, listing: &Listing) -> Level {
        self.sold.as_deref().map_or_else(Level::default, |sold| sold.levels.of(model, listing))
    }

    /// How a candidate compares with those who value in `order`, by what closed; `None` while market context is off.
    pub fn contest(&self, order: &[&Manifest], candidate: &Manifest) -> Option<Contest> {
        self.sold.as_deref().map(|sold| sold.levels.contest(order, candidate))
    }

    /// How far `sales` has been read, by partition.
    pub fn sales_read(&self) -> &[u64] {
        self.sold.as_deref().map_or(&[], |sold| &sold.read)
    }

    /// A listing with its surroundings, as far as the features ask for them.
    pub fn of<'a>(&self, listing: &'a Listing, features: &FeatureList) -> Subject<'a> {
        let sold = self.sold.as_deref();
        Subject {
            listing,
            commute: self.surroundings.centres.commute(listing),
            school_rating: self.surroundings.schools.rating(listing),
            level: sold.and_then(|sold| sold.market.level(listing)),
            comparison: match sold {
                Some(sold) if features.compares() => sold.comparables.of(listing, features.asked()),
                Some(_) | None => Comparison::default(),
            },
        }
    }
}
