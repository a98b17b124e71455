//! What a statement does to the fact of its listing: the decision, as a pure function of both.
//!
//! How two facts join is `schemas::merge`; this file makes a fact of a statement and says whether it needs a valuation.
//! Knows no model, no log and no clock.

use std::cmp::Ordering;

use schemas::listing::Listing;
use schemas::merge::Known;
use schemas::money::Money;
use schemas::priced::{
    Commute, HistoryPoint, MAX_DEAL_SCORES, MAX_HISTORY, NoValuation, PastDeal, PricedListing, Valuation,
};
use schemas::sale::Sale;
use schemas::units::{Instant, SchoolRating};
use schemas::version::ListingVersion;
use schemas::vocabulary::{ChangeType, StandardStatus};

use crate::deal::{Reliability, deal_of, deal_with_history};
use crate::market::MarketLevel;
use crate::sales::sale_of;

/// What is to be done about one statement.
#[derive(Debug)]
pub struct Admission {
    /// What becomes of the listing's fact.
    pub decision: Decision,
    /// The sale that the statement reports. It must be on the log before the fact is appended: a statement that is known
    /// when a restart repeats it has its sale there, and reports none again.
    pub sale: Option<Sale>,
}

/// What becomes of the listing's fact.
#[derive(Debug)]
pub enum Decision {
    /// New or changed content: to be valued, then appended.
    Appraise(Box<Draft>),
    /// The same content, stated again later: this fact is to be appended.
    Confirm(Box<PricedListing>),
    /// Older than what is known. Its price and status still become a point of the history: this fact is to be appended,
    /// or nothing when they tell nothing new.
    Late(Option<Box<PricedListing>>),
    /// The very statement that is known: nothing.
    Duplicate,
}

/// A fact that waits for its valuation.
#[derive(Clone, Debug)]
pub struct Draft {
    fact: PricedListing,
    /// What the listing was valued at before.
    valued_before: Option<Valuation>,
}

/// All that the appraiser says of one listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Appraisal {
    /// The way to the city centre.
    pub commute: Option<Commute>,
    /// The schools.
    pub school_rating: Option<SchoolRating>,
    /// The market's level, for the deal.
    pub level: Option<MarketLevel>,
    /// What it is worth, or why nothing is said.
    pub valuation: Result<Valuation, NoValuation>,
    /// Features of it whose values the model saw none like in training.
    pub out_of_range: Vec<String>,
    /// The epoch of the model that was asked.
    pub model_epoch: u64,
}

/// Decides about a statement of a listing of which `known` is known.
pub fn admit(known: Option<&Known>, statement: Listing) -> Admission {
    let Some(known) = known else {
        let sale = sale_of(&statement, None);
        let draft = Draft { fact: fact_of(statement), valued_before: None };
        return Admission { decision: Decision::Appraise(Box::new(draft)), sale };
    };
    let fact = &known.fact;
    let sale = sale_of(&statement, fact.valuation.as_ref());
    match statement.version.without_epoch().cmp(&fact.listing.version.without_epoch()) {
        Ordering::Equal => Admission { decision: Decision::Duplicate, sale: None },
        Ordering::Less => {
            let late = late(known, statement);
            let sale = sale.filter(|sale| late.as_ref().is_some_and(|fact| is_newest_sale(fact, sale)));
            Admission { decision: Decision::Late(late), sale }
        }
        // A repeated Delete is not a mere confirmation: it raises the floor under older statements.
        Ordering::Greater if !is_delete(&statement) && statement.same_content(&fact.listing) => {
            Admission { decision: Decision::Confirm(Box::new(confirmed(fact, &statement))), sale: None }
        }
        Ordering::Greater => {
            let valued_before = fact.valuation.clone();
            let fact = joined(known, statement);
            Admission { decision: Decision::Appraise(Box::new(Draft { fact, valued_before })), sale }
        }
    }
}

/// The draft that values a fact again, for a model of a later epoch; `None` when the fact has no use for it.
pub fn revalue(fact: &PricedListing, epoch: u64) -> Option<Draft> {
    is_outdated(fact, epoch).then(|| Draft { fact: fact.clone(), valued_before: fact.valuation.clone() })
}

/// Whether a model of this epoch has something to say of the fact that it did not say yet.
pub const fn is_outdated(fact: &PricedListing, epoch: u64) -> bool {
    fact.listing.standard_status.may_be_shown() && fact.listing.version.model_epoch < epoch
}

impl Draft {
    /// The listing to value.
    pub const fn listing(&self) -> &Listing {
        &self.fact.listing
    }

    /// The fact, with what the appraiser says and the deal that follows from it.
    pub fn settle(self, appraisal: Appraisal, reliability: &Reliability) -> PricedListing {
        let Self { mut fact, valued_before } = self;
        fact.commute = appraisal.commute;
        fact.school_rating = appraisal.school_rating;
        (fact.valuation, fact.no_valuation) = match appraisal.valuation {
            Ok(valuation) => (Some(valuation), None),
            // What it was valued at while it was offered stays with it.
            Err(NoValuation::NotOffered) if valued_before.is_some() => (valued_before, None),
            Err(reason) => (None, Some(reason)),
        };
        if !fact.listing.standard_status.may_be_shown() {
            fact.deal = None;
            return fact;
        }
        fact.listing.version.model_epoch = appraisal.model_epoch;
        fact.content_version.model_epoch = appraisal.model_epoch;
        fact.deal = deal_of(&fact, appraisal.level, reliability);
        // What was stated before a Delete and confirmed after it: the join drops what is older than the Delete, so it must not
        // be in the fact, or one record alone would say more than all of them joined.
        let is_floored = fact.deleted_version > Some(fact.content_version);
        if let Some(deal) = fact.deal.as_ref().filter(|_| !is_floored) {
            remember(&mut fact.past_deals, PastDeal { version: fact.content_version, score: deal.score });
        }
        fact
    }
}

/// Adds a deal as the join would: ascending, one per version. Another owner may have valued the same version, or a later one.
fn remember(past: &mut Vec<PastDeal>, deal: PastDeal) {
    match past.binary_search_by_key(&deal.version, |known| known.version) {
        Ok(at) => past[at] = deal,
        Err(at) => past.insert(at, deal),
    }
    past.drain(..past.len().saturating_sub(MAX_DEAL_SCORES));
}

/// The fact that a statement makes by itself.
fn fact_of(statement: Listing) -> PricedListing {
    let at = time_of(&statement);
    let version = statement.version.without_epoch();
    let mut fact = PricedListing {
        content_version: version,
        last_confirmed_at: at,
        history: vec![point_of(&statement)],
        deleted_version: is_delete(&statement).then_some(version),
        first_seen_at: at,
        original_list_price: statement.feed_original_list_price.or(statement.list_price),
        previous_list_price: None,
        price_changed_at: None,
        last_change: ChangeType::NewListing,
        commute: None,
        school_rating: None,
        valuation: None,
        no_valuation: None,
        deal: None,
        past_deals: Vec::new(),
        listing: statement,
    };
    fact.derive_from_history();
    fact
}

/// The join of what is known with a statement, whichever is newer.
fn joined(known: &Known, statement: Listing) -> PricedListing {
    let mut known = known.clone();
    let version = statement.version.without_epoch();
    let is_late = version < known.fact.listing.version.without_epoch();
    if !is_late {
        show_head(&mut known.fact, version);
    }
    let repeats = known
        .fact
        .history
        .iter()
        .rev()
        .find(|p| p.version <= version)
        .is_some_and(|p| says(p) == says(&point_of(&statement)));
    let mut fact = fact_of(statement);
    if repeats && fact.deleted_version.is_none() {
        fact.history.clear();
    } else if is_late {
        show_head(&mut known.fact, version);
    }
    // The offset decides between equal versions only, and these differ.
    let offset = known.head_offset;
    known.join(fact, offset);
    known.fact
}

/// Points are written only where price or status changed, so the newest statement may have none of its own. It needs
/// one when the last point says something else, or when another (`coming`) will stand between the two.
fn show_head(fact: &mut PricedListing, coming: ListingVersion) {
    let head = point_of(&fact.listing);
    let is_hidden = fact.history.last().is_none_or(|last| {
        let parted = last.version < coming && coming < head.version;
        last.version < head.version && (parted || says(last) != says(&head))
    });
    if is_hidden {
        fact.history.push(head);
        fact.history.drain(..fact.history.len().saturating_sub(MAX_HISTORY));
    }
}

fn late(known: &Known, statement: Listing) -> Option<Box<PricedListing>> {
    let mut fact = joined(known, statement);
    if fact == known.fact {
        return None;
    }
    fact.deal = deal_with_history(&fact);
    Some(Box::new(fact))
}

fn confirmed(fact: &PricedListing, statement: &Listing) -> PricedListing {
    let mut fact = fact.clone();
    show_head(&mut fact, statement.version);
    fact.derive_from_history();
    fact.listing.version = ListingVersion { model_epoch: fact.listing.version.model_epoch, ..statement.version };
    fact.last_confirmed_at = time_of(statement);
    fact
}

fn point_of(statement: &Listing) -> HistoryPoint {
    HistoryPoint {
        version: statement.version.without_epoch(),
        standard_status: statement.standard_status,
        list_price: statement.list_price,
        close_price: statement.close_price,
    }
}

/// What a point says, whenever it said so.
const fn says(point: &HistoryPoint) -> (StandardStatus, Option<Money>, Option<Money>) {
    (point.standard_status, point.list_price, point.close_price)
}

/// Whether the sale is a point of the history, and the newest of its kind: the newest must be the last one of its key.
fn is_newest_sale(fact: &PricedListing, sale: &Sale) -> bool {
    let closed = fact.history.iter().rev().find(|p| p.standard_status == StandardStatus::Closed);
    closed.is_some_and(|point| point.version == sale.version)
}

fn is_delete(statement: &Listing) -> bool {
    statement.standard_status == StandardStatus::Delete
}

fn time_of(statement: &Listing) -> Instant {
    // Ingest accepts no timestamp outside the range of `Instant`.
    Instant::from_ms(statement.version.timestamp_ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{appraisal_of, listing, reliability, version};
    use proptest::prelude::*;

    /// Takes in statements one after the other; what is known at the end, and what was decided about each.
    fn tell(statements: impl IntoIterator<Item = Listing>) -> (Known, Vec<&'static str>) {
        let (mut known, mut decisions) = (None, Vec::new());
        for statement in statements {
            decisions.push(tell_one(&mut known, statement));
        }
        (known.unwrap(), decisions)
    }

    fn tell_one(known: &mut Option<Known>, statement: Listing) -> &'static str {
        let (fact, decision) = match admit(known.as_ref(), statement).decision {
            Decision::Appraise(draft) => {
                let appraisal = appraisal_of(draft.listing(), 1_000);
                (Some(draft.settle(appraisal, &reliability())), "appraise")
            }
            Decision::Confirm(fact) => (Some(*fact), "confirm"),
            Decision::Late(fact) => {
                let decision = if fact.is_some() { "late" } else { "late, nothing" };
                (fact.map(|f| *f), decision)
            }
            Decision::Duplicate => (None, "duplicate"),
        };
        match (known, fact) {
            (Some(known), Some(fact)) => {
                let offset = known.head_offset + 1;
                let written = fact.clone();
                let says_less = known.join(fact, offset);
                assert!(!says_less && known.fact == written, "what is written must say all that is known");
            }
            (known @ None, Some(fact)) => *known = Some(Known::first(fact, 0)),
            (_, None) => {}
        }
        decision
    }

    fn history(known: &Known) -> Vec<(i64, i64)> {
        known
            .fact
            .history
            .iter()
            .map(|p| (p.version.timestamp_ms / 1000, p.list_price.map_or(0, Money::units)))
            .collect()
    }

    #[test]
    fn a_price_change_is_a_point_and_a_confirmation_is_none() {
        let (known, decisions) = tell([
            listing(1, "Active", 100),
            listing(2, "Active", 100),
            listing(3, "Active", 90),
            listing(3, "Active", 90),
        ]);
        assert_eq!(decisions, ["appraise", "confirm", "appraise", "duplicate"]);
        assert_eq!(history(&known), [(1, 100), (3, 90)]);
        let fact = &known.fact;
        assert_eq!((fact.last_change, fact.previous_list_price), (ChangeType::PriceChange, Money::from_units(100)));
        assert_eq!((fact.content_version, fact.first_seen_at.ms()), (version(3), 1000));
    }

    #[test]
    fn a_confirmation_moves_the_time_and_nothing_else() {
        let (first, _) = tell([listing(1, "Active", 100)]);
        let (known, _) = tell([listing(1, "Active", 100), listing(5, "Active", 100)]);
        let mut expected = first.fact;
        expected.listing.version = version(5);
        expected.last_confirmed_at = Instant::from_ms(5000).unwrap();
        assert_eq!(known.fact, expected);
    }

    #[test]
    fn what_the_statuses_say_ends_in_the_last_change() {
        use ChangeType::{ActiveUnderContract, BackOnMarket, Closed, Deleted, NewListing, Pending, PriceChange};
        let mut known = None;
        for (n, status, price, change) in [
            (1, "Active", 100, NewListing),
            (2, "Active", 90, PriceChange),
            (3, "ActiveUnderContract", 90, ActiveUnderContract),
            (4, "Pending", 90, Pending),
            (5, "Active", 90, BackOnMarket),
            (6, "Closed", 90, Closed),
            (7, "Delete", 90, Deleted),
            (8, "Active", 95, BackOnMarket),
        ] {
            tell_one(&mut known, listing(n, status, price));
            assert_eq!(known.as_ref().unwrap().fact.last_change, change, "{status}");
        }
    }

    #[test]
    fn a_late_statement_becomes_a_point_once() {
        let (known, decisions) = tell([
            listing(1, "Active", 100),
            listing(5, "Active", 80),
            listing(3, "Active", 90),
            listing(3, "Active", 90),
            listing(2, "Active", 100),
        ]);
        assert_eq!(decisions, ["appraise", "appraise", "late", "late, nothing", "late, nothing"]);
        assert_eq!(history(&known), [(1, 100), (3, 90), (5, 80)]);
        assert_eq!(known.fact.previous_list_price, Money::from_units(90));
    }

    #[test]
    fn a_late_statement_between_a_price_and_its_confirmation_gives_the_confirmation_a_point() {
        let (known, _) = tell([listing(1, "Active", 100), listing(5, "Active", 100), listing(3, "Active", 90)]);
        assert_eq!(history(&known), [(1, 100), (3, 90), (5, 100)]);
        assert_eq!(known.fact.price_trend(), schemas::priced::PriceTrend::Rising);
        assert_eq!(known.fact.deal.as_ref().unwrap().price_trend, -5);
    }

    #[test]
    fn a_delete_is_a_floor_that_a_later_delete_raises() {
        let (known, decisions) = tell([
            listing(5, "Delete", 100),
            listing(3, "Active", 100),
            listing(8, "Delete", 100),
            listing(6, "Active", 100),
        ]);
        assert_eq!(decisions, ["appraise", "late", "appraise", "late, nothing"]);
        assert_eq!(history(&known), [(8, 100)]);
        assert_eq!((known.fact.deleted_version, known.fact.first_seen_at.ms()), (Some(version(8)), 3000));
    }

    #[test]
    fn a_fact_valued_again_says_no_more_than_its_join_when_a_delete_came_between_its_statement_and_the_confirmation() {
        let (mut known, decisions) =
            tell([listing(1, "Active", 100), listing(3, "Active", 100), listing(2, "Delete", 100)]);
        assert_eq!(decisions, ["appraise", "confirm", "late"]);
        let valued = revalue(&known.fact, 7).unwrap();
        let appraisal = Appraisal { model_epoch: 7, ..crate::testing::appraisal(1_000) };
        let valued = valued.settle(appraisal, &reliability());
        known.join(valued.clone(), 9);
        assert_eq!(known.fact, valued);
    }

    #[test]
    fn a_version_valued_by_two_owners_has_one_deal_in_the_fact_as_in_the_join() {
        let (mut known, _) = tell([listing(1, "Active", 100)]);
        let value = |fact: &PricedListing, epoch, p50| {
            let appraisal = Appraisal { model_epoch: epoch, ..crate::testing::appraisal(p50) };
            revalue(fact, epoch).unwrap().settle(appraisal, &reliability())
        };
        let zombies = value(&known.fact, 7, 900);
        let mut confirmed = confirmed(&known.fact, &listing(2, "Active", 100));
        confirmed.past_deals.clone_from(&zombies.past_deals);
        let own = value(&confirmed, 7, 1_100);
        let versions: Vec<_> = own.past_deals.iter().map(|deal| deal.version.model_epoch).collect();
        assert_eq!(versions, [0, 7]);
        known.join(zombies, 1);
        known.join(own.clone(), 2);
        assert_eq!(known.fact, own);
    }

    #[test]
    fn a_sale_is_reported_once_and_never_after_a_newer_one() {
        let sold = |n, price| {
            let mut sold = listing(n, "Closed", 100);
            sold.close_price = Money::from_units(price);
            sold
        };
        let mut known = None;
        tell_one(&mut known, listing(1, "Active", 100));
        let sale = admit(known.as_ref(), sold(2, 95)).sale.unwrap();
        assert_eq!(
            (sale.close_price, sale.version, sale.close_date.to_string()),
            (Money::from_units(95).unwrap(), version(2), "1970-01-01".to_owned())
        );
        assert_eq!(sale.valuation.unwrap().p50, Money::from_units(1_000).unwrap());

        tell_one(&mut known, sold(2, 95));
        assert_eq!(known.as_ref().unwrap().fact.valuation.as_ref().unwrap().p50, Money::from_units(1_000).unwrap());
        assert!(admit(known.as_ref(), sold(2, 95)).sale.is_none());
        assert!(admit(known.as_ref(), sold(3, 95)).sale.is_none());

        tell_one(&mut known, listing(5, "Active", 120));
        assert!(admit(known.as_ref(), sold(4, 99)).sale.is_some(), "late, and the newest");
        tell_one(&mut known, sold(9, 120));
        assert!(admit(known.as_ref(), sold(4, 99)).sale.is_none(), "the newer sale must stay the last of its key");
        tell_one(&mut known, listing(11, "Delete", 120));
        assert!(admit(known.as_ref(), sold(10, 99)).sale.is_none(), "older than the floor");
        assert!(admit(None, sold(1, 0)).sale.is_none());
    }

    #[test]
    fn a_model_of_a_later_epoch_values_again_what_is_offered() {
        let (known, _) = tell([listing(1, "Active", 100)]);
        assert!(revalue(&known.fact, 0).is_none());
        let draft = revalue(&known.fact, 7).unwrap();
        let again = Appraisal { model_epoch: 7, ..crate::testing::appraisal(2_000) };
        let fact = draft.settle(again, &reliability());
        assert_eq!(fact.listing.version, ListingVersion { model_epoch: 7, ..version(1) });
        assert_eq!(fact.history, known.fact.history);
        assert_eq!(fact.past_deals.len(), 2);
        assert!(revalue(&fact, 7).is_none());
        let (sold, _) = tell([listing(1, "Closed", 100)]);
        assert!(revalue(&sold.fact, 7).is_none());
        assert!(matches!(admit(Some(&Known::first(fact, 0)), listing(1, "Active", 100)).decision, Decision::Duplicate));
    }

    #[test]
    fn without_a_valuation_the_reason_stands_in_its_place() {
        let Decision::Appraise(draft) = admit(None, listing(1, "Pending", 100)).decision else { panic!() };
        let appraisal = appraisal_of(draft.listing(), 1);
        let fact = draft.settle(appraisal, &reliability());
        assert_eq!((fact.valuation, fact.no_valuation, fact.deal), (None, Some(NoValuation::NotOffered), None));
    }

    /// What of a fact follows from the statements alone, not from what the appraiser knew at the time.
    fn stated(known: &Known) -> PricedListing {
        let mut fact = known.fact.clone();
        fact.past_deals.clear();
        fact.deal = None;
        fact.content_version = ListingVersion::default();
        (fact.valuation, fact.no_valuation) = (None, None);
        fact
    }

    fn statement(n: i64) -> Listing {
        let status = match n {
            _ if n % 11 == 0 => "Delete",
            _ if n % 7 == 0 => "Pending",
            _ => "Active",
        };
        // No two neighbours say the same: where a statement repeats the one before it, it is no point of the history.
        listing(n, status, 1_000 + n)
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_of_statements_ends_in_one_fact(
            order in prop::collection::vec(1_i64..60, 1..80).prop_shuffle()
        ) {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            let (in_order, _) = tell(sorted.into_iter().map(statement));
            let (shuffled, _) = tell(order.into_iter().map(statement));
            prop_assert_eq!(stated(&shuffled), stated(&in_order));
        }

        #[test]
        fn a_replay_of_any_part_changes_nothing(prices in prop::collection::vec(100_i64..103, 1..60), from in 0_usize..60) {
            let statements: Vec<_> = (1..).zip(prices).map(|(n, price)| listing(n, if n % 13 == 0 { "Delete" } else { "Active" }, price)).collect();
            let (before, _) = tell(statements.clone());
            let replayed = statements.iter().skip(from % statements.len()).cloned();
            let (after, _) = tell(statements.iter().cloned().chain(replayed));
            prop_assert_eq!(before, after);
        }
    }
}
