//! What the API needs of the judge: to filter and score listings for a statement that nobody has made yet. `roost` fills it with the
//! scorer's own filters and score; what is asked differently to see more is in `relaxations.rs`.

pub mod relaxations;

use schemas::preferences::Preferences;
use schemas::priced::PricedListing;
use schemas::recommendation::{RecommendedItem, TightestFilter};

/// Filters and scores listings.
pub trait Judge: Send + Sync {
    /// Begins to look at listings for a statement, and for others that ask for less.
    fn survey(&self, preferences: &Preferences, relaxed: &[Preferences]) -> Box<dyn Survey>;
}

/// A look at many listings, some at a time. Holds three of them at most.
pub trait Survey: Send {
    /// Looks at some more: some 2 µs each, and more for each statement that asks for less. On a thread that may block.
    fn look(&mut self, listings: Vec<PricedListing>);

    /// What was seen.
    fn finish(self: Box<Self>) -> Surveyed;
}

/// What was seen of the listings.
#[derive(Clone, Debug, PartialEq)]
pub struct Surveyed {
    /// How many pass every filter.
    pub matched: u64,
    /// How many each filter alone keeps away, most first; the scorer's `counts` name the first.
    pub removed: Vec<TightestFilter>,
    /// How many more each of the statements that ask for less would be shown, in their order.
    pub gained: Vec<u64>,
    /// The best now; 0 to 3.
    pub best: Vec<RecommendedItem>,
}
