//! Cases that top-N operators of other engines got wrong, and those that our own property tests once found. Each runs on
//! every engine.

use schemas::id::ListingId;
use schemas::money::Money;
use schemas::preferences::{Place, Preferences};
use schemas::vocabulary::StandardStatus;
use scorer::engine::indexed::Indexed;
use scorer::engine::oracle::Oracle;
use scorer::engine::{Change, Engine};
use scorer::facts::{ListingFacts, SessionFacts};

use crate::permutation::tunings;
use crate::world::{anything, bare, listing_id, session_id};

/// Applies one batch; the numbers of the listings that session 0 sees, and whether it was emitted.
type Apply<'a> = dyn FnMut(&[Change]) -> (Vec<usize>, bool) + 'a;

fn on_each_engine(test: impl Fn(&mut Apply<'_>)) {
    let tuned = tunings().into_iter().map(|tuning| Box::new(Indexed::tuned(tuning)) as Box<dyn Engine>);
    for mut engine in std::iter::once(Box::new(Oracle::default()) as Box<dyn Engine>).chain(tuned) {
        test(&mut |batch| {
            let mut emits = Vec::new();
            engine.apply(batch, &mut emits);
            let top = engine.top_three(session_id(0)).unwrap_or_default();
            let emitted = emits.iter().find(|emit| emit.session == session_id(0));
            assert!(emitted.is_none_or(|emit| emit.top == top));
            (top.keys().iter().map(|key| number(&key.listing.0)).collect(), emitted.is_some())
        });
    }
}

fn number(id: &ListingId) -> usize {
    id.listing_key().parse().unwrap()
}

fn session(change: impl FnOnce(&mut Preferences)) -> Change {
    let mut preferences = anything();
    change(&mut preferences);
    Change::Session { id: session_id(0), facts: Some(SessionFacts::of(&preferences)) }
}

/// A listing that is the better the greater its deal.
fn listing(number: usize, deal: u8) -> Change {
    Change::Listing { id: listing_id(number), facts: Some(facts(deal)), content: 0 }
}

fn facts(deal: u8) -> ListingFacts {
    ListingFacts { deal: Some(deal), ..bare() }
}

fn gone(number: usize) -> Change {
    Change::Listing { id: listing_id(number), facts: None, content: 0 }
}

fn start(apply: &mut Apply<'_>, deals: &[u8]) {
    let listings = deals.iter().enumerate().map(|(number, deal)| listing(number, *deal));
    apply(&[session(|_| {})].into_iter().chain(listings).collect::<Vec<_>>());
}

#[test]
fn a_tie_at_the_third_place_goes_to_the_smaller_id() {
    on_each_engine(|apply| {
        start(apply, &[50, 90, 80, 50, 50]);
        assert_eq!(apply(&[]), (vec![1, 2, 0], false));
        assert_eq!(apply(&[gone(0)]), (vec![1, 2, 3], true));
        assert_eq!(apply(&[listing(0, 50)]), (vec![1, 2, 0], true));
    });
}

#[test]
fn of_more_equals_than_a_shortlist_keeps_the_smallest_ids_are_shown_whichever_leaves() {
    on_each_engine(|apply| {
        start(apply, &[50; 9]);
        assert_eq!(apply(&[gone(2)]), (vec![0, 1, 3], true));
        assert_eq!(apply(&[gone(8), gone(4)]), (vec![0, 1, 3], false));
        assert_eq!(apply(&[gone(0), gone(1), gone(3)]), (vec![5, 6, 7], true));
        assert_eq!(apply(&[listing(4, 50)]), (vec![4, 5, 6], true));
        assert_eq!(apply(&[gone(6)]), (vec![4, 5, 7], true));
    });
}

#[test]
fn a_stretch_of_changes_that_comes_again_ends_where_it_began() {
    on_each_engine(|apply| {
        start(apply, &[90, 80, 70, 60]);
        let stretch = [listing(0, 20), gone(1), listing(3, 95), listing(1, 85), listing(0, 88)];
        assert_eq!(apply(&stretch), (vec![3, 0, 1], true));
        assert_eq!(apply(&stretch), (vec![3, 0, 1], false));
        for change in &stretch {
            apply(std::slice::from_ref(change));
        }
        assert_eq!(apply(&[]), (vec![3, 0, 1], false));
    });
}

#[test]
fn a_session_that_fewer_than_three_suit_keeps_what_is_left_of_them() {
    on_each_engine(|apply| {
        start(apply, &[]);
        let dear = |number, deal| {
            let facts = ListingFacts { price: Money::from_units(900_000), ..facts(deal) };
            Change::Listing { id: listing_id(number), facts: Some(facts), content: 0 }
        };
        apply(&(2..20).map(|number| dear(number, 99)).collect::<Vec<_>>());
        assert_eq!(apply(&[listing(0, 50), listing(1, 40)]), (vec![0, 1], true));
        assert_eq!(apply(&[gone(0)]), (vec![1], true));
        assert_eq!(apply(&[gone(9), dear(1, 99)]), (vec![], true));
        assert_eq!(apply(&[listing(1, 40), listing(7, 10)]), (vec![1, 7], true));
    });
}

#[test]
fn a_listing_outside_the_three_leaves_unnoticed() {
    on_each_engine(|apply| {
        start(apply, &[90, 80, 70, 60, 50]);
        assert_eq!(apply(&[gone(4), gone(3)]), (vec![0, 1, 2], false));
        assert_eq!(apply(&[gone(2)]), (vec![0, 1], true));
    });
}

#[test]
fn a_change_that_keeps_the_key_is_told_only_if_the_content_changed() {
    on_each_engine(|apply| {
        start(apply, &[90, 80, 70, 60]);
        assert_eq!(apply(&[listing(1, 80)]), (vec![0, 1, 2], false));
        let retold = |number, content| Change::Listing { id: listing_id(number), facts: Some(facts(80)), content };
        assert_eq!(apply(&[retold(1, 1)]), (vec![0, 1, 2], true));
        assert_eq!(apply(&[retold(1, 2), retold(1, 1)]), (vec![0, 1, 2], false));
        let unseen = Change::Listing { id: listing_id(3), facts: Some(facts(60)), content: 9 };
        assert_eq!(apply(&[unseen]), (vec![0, 1, 2], false));
    });
}

#[test]
fn an_unknown_listing_can_be_withdrawn_and_a_withdrawn_one_again() {
    on_each_engine(|apply| {
        start(apply, &[90]);
        assert_eq!(apply(&[gone(7), gone(7)]), (vec![0], false));
        assert_eq!(apply(&[gone(0), gone(0)]), (vec![], true));
        assert_eq!(apply(&[gone(0)]), (vec![], false));
    });
}

#[test]
fn a_price_above_the_budget_and_back_ends_where_it_began() {
    on_each_engine(|apply| {
        start(apply, &[90, 80, 70, 60]);
        let dear = ListingFacts { price: Money::from_units(500_001), ..facts(90) };
        let dear = Change::Listing { id: listing_id(0), facts: Some(dear), content: 0 };
        assert_eq!(apply(std::slice::from_ref(&dear)), (vec![1, 2, 3], true));
        assert_eq!(apply(&[listing(0, 90)]), (vec![0, 1, 2], true));
        assert_eq!(apply(&[dear, listing(0, 90)]), (vec![0, 1, 2], false));
    });
}

#[test]
fn withdrawing_the_best_again_and_again_never_shows_less_than_there_is() {
    on_each_engine(|apply| {
        let deals: Vec<u8> = (0..40).map(|number| 90 - number).collect();
        start(apply, &deals);
        for best in 0..40 {
            let left: Vec<usize> = (best + 1..40).take(3).collect();
            assert_eq!(apply(&[gone(best)]), (left, true));
        }
    });
}

#[test]
fn a_starved_session_is_told_of_the_first_listing_that_suits_it() {
    on_each_engine(|apply| {
        start(apply, &[]);
        assert_eq!(apply(&[listing(5, 1)]), (vec![5], true));
        assert_eq!(apply(&[listing(4, 2)]), (vec![4, 5], true));
    });
}

#[test]
fn a_session_that_looks_into_two_countries_sees_a_listing_move_between_them() {
    on_each_engine(|apply| {
        let place = Place {
            cities: vec!["us/wa/seattle".parse().unwrap()],
            postal_codes: vec!["ca/V5K 0A1".parse().unwrap()],
            ..Place::default()
        };
        let in_canada = ListingFacts {
            market: "ca/bc/vancouver".parse().unwrap(),
            country: "ca".parse().unwrap(),
            postal_code: scorer::facts::PostalKey::of("ca".parse().unwrap(), "V5K 0A1"),
            ..facts(90)
        };
        let moved = Change::Listing { id: listing_id(0), facts: Some(in_canada), content: 0 };
        assert_eq!(apply(&[session(|p| p.place = place.clone()), moved.clone(), listing(1, 80)]), (vec![0, 1], true));
        assert_eq!(apply(&[listing(0, 10)]), (vec![1, 0], true));
        assert_eq!(apply(&[moved]), (vec![0, 1], true));
        assert_eq!(apply(&[gone(0)]), (vec![1], true));
    });
}

#[test]
fn a_session_is_told_of_every_statement_and_of_none_after_its_end() {
    on_each_engine(|apply| {
        start(apply, &[90]);
        let ended = Change::Session { id: session_id(0), facts: None };
        assert_eq!(apply(&[session(|_| {})]), (vec![0], true));
        assert_eq!(apply(&[session(|p| p.dismissed = vec![listing_id(0)])]), (vec![], true));
        assert_eq!(apply(&[session(|_| {}), ended.clone()]), (vec![], false));
        assert_eq!(apply(&[listing(0, 80)]), (vec![], false));
        assert_eq!(apply(&[session(|_| {}), ended, session(|_| {})]), (vec![0], true));
    });
}

#[test]
fn a_listing_under_contract_stays_with_those_who_opted_in() {
    on_each_engine(|apply| {
        start(apply, &[90]);
        let status = StandardStatus::ActiveUnderContract;
        let under_contract = ListingFacts { status, ..facts(90) };
        let under_contract = Change::Listing { id: listing_id(0), facts: Some(under_contract), content: 1 };
        assert_eq!(apply(&[under_contract]), (vec![], true));
        assert_eq!(apply(&[session(|p| p.include_under_contract = true)]), (vec![0], true));
        assert_eq!(apply(&[gone(0)]), (vec![], true));
    });
}
