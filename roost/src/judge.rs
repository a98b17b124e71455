//! The API's view of the judge: listings are filtered, counted and scored with the scorer's own functions, for statements that nobody
//! has made yet. Reads nothing and keeps nothing: the API brings the listings.

use std::cmp::Reverse;
use std::sync::Arc;

use schemas::preferences::Preferences;
use schemas::priced::PricedListing;
use scorer::counts::Tally;
use scorer::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use scorer::present;
use scorer::score::{Key, matches, passes};

/// How many are shown.
const SHOWN: usize = 3;

/// The bridge.
struct Bridge {
    epoch: ScoreEpoch,
}

/// What the API asks. The score is that of the scorers if they have the same `scorer.score_epoch`.
pub fn bridge(config: &scorer::Config) -> Arc<dyn api::Judge> {
    Arc::new(Bridge { epoch: ScoreEpoch::new(config.score_epoch) })
}

impl api::Judge for Bridge {
    fn survey(&self, preferences: &Preferences, relaxed: &[Preferences]) -> Box<dyn api::Survey> {
        Box::new(Survey {
            epoch: self.epoch,
            session: SessionFacts::of(preferences),
            preferences: preferences.clone(),
            tally: Tally::default(),
            relaxed: relaxed.iter().map(|relaxed| (SessionFacts::of(relaxed), 0)).collect(),
            best: Vec::with_capacity(SHOWN + 1),
        })
    }
}

/// A look under way.
struct Survey {
    epoch: ScoreEpoch,
    preferences: Preferences,
    session: SessionFacts,
    tally: Tally,
    /// Each statement that asks for less, and how many more listings it would be shown.
    relaxed: Vec<(SessionFacts, u64)>,
    /// The best first.
    best: Vec<(Reverse<Key>, PricedListing)>,
}

impl api::Survey for Survey {
    fn look(&mut self, listings: Vec<PricedListing>) {
        for priced in listings {
            let facts = ListingFacts::of(&priced, self.epoch);
            let id = &priced.listing.listing_id;
            self.tally.look(&self.session, id, &facts);
            match matches(&self.session, id, &facts) {
                Some(key) => {
                    let key = Reverse(key);
                    let at = self.best.partition_point(|(other, _)| *other < key);
                    if at < SHOWN {
                        self.best.insert(at, (key, priced));
                        self.best.truncate(SHOWN);
                    }
                }
                None => {
                    for (relaxed, more) in &mut self.relaxed {
                        *more += u64::from(passes(&*relaxed, id, &facts));
                    }
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> api::Surveyed {
        let best: Vec<PricedListing> = self.best.into_iter().map(|(_, priced)| priced).collect();
        api::Surveyed {
            matched: self.tally.matched_total(),
            removed: self.tally.removed_alone(),
            gained: self.relaxed.into_iter().map(|(_, more)| more).collect(),
            best: present::preview(&self.preferences, &best, self.epoch),
        }
    }
}
