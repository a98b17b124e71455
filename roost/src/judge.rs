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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn listing(key: &str, price: u64, bedrooms: u16) -> PricedListing {
        let version =
            json!({"timestamp_ms": 1, "raw_partition": 0, "raw_offset": 0, "batch_index": 0, "model_epoch": 0});
        serde_json::from_value(json!({
            "listing": {
                "listing_id": format!("f:{key}"), "version": version, "feed": "f", "standard_status": "Active", "property_type": "Residential",
                "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD", "list_price": price,
                "bedrooms_total": bedrooms,
            },
            "content_version": version, "last_confirmed_at": "2026-01-01T00:00:00Z", "first_seen_at": "2026-01-01T00:00:00Z",
            "history": [{"version": version, "standard_status": "Active", "list_price": price}], "last_change": "NewListing",
        }))
        .unwrap()
    }

    fn preferences(statement: &Value) -> Preferences {
        Preferences::parse(statement.to_string().as_bytes()).unwrap()
    }

    /// What is seen of these listings when they are brought so many at a time.
    fn surveyed(listings: &[PricedListing], together: usize) -> api::Surveyed {
        let place = json!({"cities": ["us/wa/seattle"]});
        let asked = preferences(&json!({"budget": 500, "place": place, "min_bedrooms": 3}));
        let relaxed = [
            preferences(&json!({"budget": 600, "place": place, "min_bedrooms": 3})),
            preferences(&json!({"budget": 500, "place": place, "min_bedrooms": 2})),
        ];
        let mut survey = bridge(&scorer::Config::default()).survey(&asked, &relaxed);
        listings.chunks(together).for_each(|some| survey.look(some.to_vec()));
        survey.finish()
    }

    #[test]
    fn what_is_seen_is_counted_and_ranked_as_the_scorer_does_whatever_it_is_brought_in() {
        let mut listings: Vec<PricedListing> =
            [490, 300, 450, 400, 350].iter().enumerate().map(|(n, price)| listing(&n.to_string(), *price, 3)).collect();
        listings.extend([
            listing("dear", 550, 3),
            listing("dearer", 601, 3),
            listing("small", 300, 2),
            listing("both", 550, 2),
        ]);
        let seen = surveyed(&listings, 100);
        assert_eq!((seen.matched, seen.gained.as_slice()), (5, &[1, 1][..]));
        let removed: Vec<_> = seen.removed.iter().map(|one| (one.filter.as_str(), one.removes)).collect();
        assert_eq!(removed, [("budget", 2), ("min_bedrooms", 1)]);
        let best: Vec<_> = seen.best.iter().map(|item| (item.rank, item.listing_id.listing_key())).collect();
        assert_eq!(best, [(1, "1"), (2, "4"), (3, "3")]);
        for together in [1, 2, 4] {
            assert_eq!(surveyed(&listings, together), seen);
        }
    }
}
