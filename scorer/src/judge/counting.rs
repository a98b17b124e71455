//! Whose matches are counted next, a bounded number of listings at a time: a session that looks at a whole country is counted over
//! many seconds, and delays nobody.
//!
//! Does not know what is counted (`counts.rs`) or when there is time for it.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use schemas::id::SessionId;
use schemas::recommendation::Counts;
use schemas::units::Instant;

use crate::counts::Count;
use crate::engine::Engine;
use crate::facts::SessionFacts;

/// Sessions that are counted in one second at most.
pub(super) const PER_TICK: usize = 50;
/// Listings that are looked at for it in one second: some 10 ms, which a change that comes just then may have to wait.
const LISTINGS_PER_TICK: usize = 50_000;

/// See the module.
#[derive(Default)]
pub(super) struct Counting {
    /// Sessions to count, by shard.
    wanted: BTreeMap<u32, BTreeSet<SessionId>>,
    under_way: Option<(u32, SessionId, Count)>,
    /// Counted and not yet written.
    done: BTreeMap<u32, FxHashMap<SessionId, Counts>>,
    /// The shard that was counted for last: every one has its turn.
    last: u32,
}

impl Counting {
    /// The session's matches are to be counted, again if they just were.
    pub(super) fn want(&mut self, shard: u32, session: SessionId) {
        self.wanted.entry(shard).or_default().insert(session);
    }

    /// The shard is another's.
    pub(super) fn drop_shard(&mut self, shard: u32) {
        self.wanted.remove(&shard);
        self.done.remove(&shard);
        self.under_way.take_if(|(of, ..)| *of == shard);
    }

    /// Counts for a second's worth. `facts` says what a session of a shard asks, `None` where nothing is to be counted (any
    /// more). Returns whose counts are done.
    pub(super) fn go_on(
        &mut self,
        engine: &dyn Engine,
        facts: impl Fn(u32, SessionId) -> Option<SessionFacts>,
        now: Instant,
    ) -> Vec<(u32, SessionId)> {
        let (mut finished, mut left) = (Vec::new(), LISTINGS_PER_TICK);
        while finished.len() < PER_TICK && left > 0 {
            let Some((shard, session, mut count)) = self.under_way.take().or_else(|| self.next(&facts)) else { break };
            left -= count.go_on(engine, left).min(left);
            if !count.is_done() {
                self.under_way = Some((shard, session, count));
                break;
            }
            // Who stated something else meanwhile is counted anew.
            if !self.wanted.get(&shard).is_some_and(|wanted| wanted.contains(&session)) {
                self.done.entry(shard).or_default().insert(session, count.counts(now));
                finished.push((shard, session));
            }
        }
        finished
    }

    /// The next session, of the next shard that has one.
    fn next(&mut self, facts: &impl Fn(u32, SessionId) -> Option<SessionFacts>) -> Option<(u32, SessionId, Count)> {
        loop {
            let later = self.wanted.range(self.last + 1..).chain(self.wanted.range(..=self.last));
            let shard = later.filter(|(_, wanted)| !wanted.is_empty()).map(|(shard, _)| *shard).next()?;
            self.last = shard;
            let session = self.wanted.get_mut(&shard)?.pop_first()?;
            if let Some(facts) = facts(shard, session) {
                return Some((shard, session, Count::of(facts)));
            }
        }
    }

    /// What was counted, to be written; `None`: nothing, so that it is to be counted (again).
    pub(super) fn take(&mut self, shard: u32, session: SessionId) -> Option<Counts> {
        self.done.get_mut(&shard)?.remove(&session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Change;
    use crate::engine::oracle::Oracle;
    use crate::facts::ListingFacts;

    /// Homes in Seattle for 400,000, of which nothing else is known.
    fn engine(homes: usize) -> Oracle {
        let facts = ListingFacts {
            status: schemas::vocabulary::StandardStatus::Active,
            display_allowed: true,
            transaction: schemas::vocabulary::Transaction::Sale,
            currency: schemas::money::Currency::USD,
            price: schemas::money::Money::from_units(400_000),
            market: "us/wa/seattle".parse().unwrap(),
            country: "us".parse().unwrap(),
            postal_code: None,
            position: None,
            bedrooms: None,
            bathrooms: None,
            area_sqft: None,
            sub_type: None,
            commute_minutes: None,
            school_rating: None,
            amenities: None,
            deal: None,
            price_trend: schemas::priced::PriceTrend::Stable,
            on_market_day: None,
        };
        let listing =
            |n| Change::Listing { id: format!("a:{n}").parse().unwrap(), facts: Some(facts.clone()), content: 1 };
        let mut engine = Oracle::default();
        engine.apply(&(0..homes).map(listing).collect::<Vec<_>>(), &mut Vec::new());
        engine
    }

    fn asks() -> SessionFacts {
        let preferences =
            serde_json::json!({"budget": 500_000, "currency": "USD", "place": {"cities": ["us/wa/seattle"]}});
        SessionFacts::of(&serde_json::from_value(preferences).unwrap())
    }

    fn now() -> Instant {
        Instant::from_ms(1_800_000_000_000).unwrap()
    }

    #[test]
    fn a_second_looks_at_so_many_listings_and_no_more_and_every_shard_has_its_turn() {
        let engine = engine(60_000);
        let facts = |_, session: SessionId| (session.bits() != 9).then(asks);
        let id = SessionId::from_bits;
        let mut counting = Counting::default();
        for (shard, session) in [(0, 1), (0, 9), (2, 3), (1, 2)] {
            counting.want(shard, id(session));
        }
        let mut seconds = Vec::new();
        for _ in 0..5 {
            seconds.push(counting.go_on(&engine, facts, now()));
        }
        // 60,000 each: after 1.2, 2.4 and 3.6 seconds. Nobody asks anything as session 9.
        assert_eq!(seconds, [vec![], vec![(1, id(2))], vec![(2, id(3))], vec![(0, id(1))], vec![]]);
        assert_eq!(counting.take(1, id(2)).unwrap().matched_total, 60_000);
        assert!(counting.take(1, id(2)).is_none(), "once");
    }

    #[test]
    fn who_states_something_else_while_counted_is_counted_anew_and_a_lost_shard_is_not() {
        let engine = engine(1);
        let id = SessionId::from_bits(1);
        let mut counting = Counting { under_way: Some((0, id, Count::of(asks()))), ..Counting::default() };
        counting.want(0, id);
        assert_eq!(counting.go_on(&engine, |_, _| Some(asks()), now()), [(0, id)], "the second time");
        counting.want(0, id);
        counting.drop_shard(0);
        assert!(counting.go_on(&engine, |_, _| Some(asks()), now()).is_empty() && counting.take(0, id).is_none());
    }
}
