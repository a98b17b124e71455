//! Crashes at any moment, in a world of plain values: the shipped keeper, admission and window over a log that keeps what
//! was delivered and forgets what was not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use enricher::admission::{Appraisal, Decision};
use enricher::deal::Reliability;
use enricher::keeper::Keeper;
use enricher::window::Window;
use proptest::prelude::*;
use schemas::id::ListingId;
use schemas::listing::Listing;
use schemas::priced::{NoValuation, PricedListing};
use schemas::sale::Sale;
use schemas::version::ListingVersion;

use crate::house::with;

/// What survives every crash.
#[derive(Default)]
struct Log {
    statements: Vec<Listing>,
    priced: Vec<PricedListing>,
    sales: Vec<Sale>,
    committed: usize,
}

/// What does not.
struct Process {
    keeper: Keeper,
    window: Window,
    position: usize,
    /// Facts, and sales, that were sent and may or may not arrive: in order within each topic, in none between them.
    /// A fact waits for the sale of its statement.
    priced: VecDeque<(u64, PricedListing, Option<u64>)>,
    sales: VecDeque<(u64, Sale)>,
    /// Sales that are not known to be on the log.
    sales_open: BTreeSet<u64>,
    /// On the log, and not known to be.
    unacknowledged: VecDeque<(u64, u64)>,
    followed: usize,
}

impl Process {
    /// Starts as the service does: the facts to their end, then the statements from the committed offset.
    fn start(log: &Log) -> Self {
        let mut process = Self {
            keeper: Keeper::default(),
            window: Window::default(),
            position: log.committed,
            priced: VecDeque::new(),
            sales: VecDeque::new(),
            sales_open: BTreeSet::new(),
            unacknowledged: VecDeque::new(),
            followed: 0,
        };
        process.window.assign(0);
        process.follow(log);
        process
    }

    fn follow(&mut self, log: &Log) {
        for (offset, fact) in log.priced.iter().enumerate().skip(self.followed) {
            let id = &fact.listing.listing_id;
            if !self.keeper.on_own(offset as u64, 1, id) {
                self.keeper.on_fact(offset as u64, 1, id, Some(fact.clone()));
            }
        }
        self.followed = log.priced.len();
        self.keeper.on_end(log.priced.len() as u64);
        for fact in self.keeper.repairs() {
            let token = self.window.effect_on(0, Some(fact.listing.listing_id.clone()));
            self.keeper.append(fact.clone());
            self.priced.push_back((token, fact, None));
        }
    }

    fn read(&mut self, log: &Log) {
        let Some(listing) = log.statements.get(self.position) else { return };
        let statement = self.window.begin(0, self.position as u64).unwrap();
        self.position += 1;
        let admission = self.keeper.admit(listing.clone());
        let sale = admission.sale.map(|sale| {
            let token = self.window.effect_of(statement, None);
            self.sales.push_back((token, sale));
            self.sales_open.insert(token);
            token
        });
        let fact = match admission.decision {
            Decision::Appraise(draft) => Some(Box::new(draft.settle(appraisal(), &reliability()))),
            Decision::Confirm(fact) => Some(fact),
            Decision::Late(fact) => fact,
            Decision::Duplicate => None,
        };
        if let Some(fact) = fact {
            let token = self.window.effect_of(statement, Some(fact.listing.listing_id.clone()));
            self.keeper.append((*fact).clone());
            self.priced.push_back((token, *fact, sale));
        }
        self.window.decided(statement);
    }

    fn deliver(&mut self, log: &mut Log, priced: usize, sales: usize) {
        for _ in 0..priced.min(self.priced.len()) {
            let is_held = |sale: &Option<u64>| sale.is_some_and(|sale| self.sales_open.contains(&sale));
            if self.priced.front().is_none_or(|(_, _, sale)| is_held(sale)) {
                break;
            }
            let Some((token, fact, _)) = self.priced.pop_front() else { break };
            self.unacknowledged.push_back((token, log.priced.len() as u64));
            log.priced.push(fact);
        }
        for (token, sale) in self.sales.drain(..sales.min(self.sales.len())) {
            self.unacknowledged.push_back((token, log.sales.len() as u64));
            log.sales.push(sale);
        }
    }

    fn acknowledge(&mut self, log: &mut Log, count: usize) {
        for (token, offset) in self.unacknowledged.drain(..count.min(self.unacknowledged.len())) {
            self.sales_open.remove(&token);
            if let Some((_, id)) = self.window.acknowledge(token) {
                self.keeper.acknowledged(&id, offset);
            }
        }
        for (_, next_offset) in self.window.take_ready() {
            log.committed = next_offset as usize;
        }
    }

    fn finish(&mut self, log: &mut Log) {
        while self.position < log.statements.len() || !self.priced.is_empty() || !self.sales.is_empty() {
            self.read(log);
            self.deliver(log, usize::MAX, usize::MAX);
            self.acknowledge(log, usize::MAX);
            self.follow(log);
        }
    }
}

fn reliability() -> Reliability {
    Reliability::of_shares(&BTreeMap::new()).unwrap()
}

fn appraisal() -> Appraisal {
    let valuation = Err(NoValuation::MissingFeatures);
    Appraisal { commute: None, school_rating: None, level: None, valuation, out_of_range: Vec::new(), model_epoch: 0 }
}

fn statement(key: i64, n: i64, confirms: bool) -> Listing {
    let (status, more) = match n % 9 {
        0 => ("Delete", serde_json::json!({})),
        4 => ("Closed", serde_json::json!({"close_price": 100 + n})),
        _ => ("Active", serde_json::json!({})),
    };
    with(&format!("f:{key}"), n, status, if confirms { 100 } else { 1_000 + n }, more)
}

#[derive(Clone, Debug)]
enum Step {
    Read,
    Deliver { priced: usize, sales: usize },
    Acknowledge(usize),
    Follow,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Read),
        4 => (0_usize..5, 0_usize..3).prop_map(|(priced, sales)| Step::Deliver { priced, sales }),
        3 => (0_usize..6).prop_map(Step::Acknowledge),
        2 => Just(Step::Follow),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 0..200)
}

/// What the statements say: the last record of each listing, without what was decided by a moment's knowledge.
fn last_facts(log: &Log) -> BTreeMap<ListingId, PricedListing> {
    let stated = |fact: &PricedListing| {
        let mut fact = fact.clone();
        fact.content_version = ListingVersion::default();
        (fact.listing.listing_id.clone(), fact)
    };
    log.priced.iter().map(stated).collect()
}

/// The newest sale of each listing: of the others a compacted topic keeps none.
fn newest_sales(log: &Log) -> BTreeMap<ListingId, ListingVersion> {
    let mut newest = BTreeMap::new();
    for sale in &log.sales {
        let version = newest.entry(sale.listing_id.clone()).or_insert(sale.version);
        *version = sale.version.max(*version);
    }
    newest
}

fn last_sales(log: &Log) -> BTreeMap<ListingId, ListingVersion> {
    log.sales.iter().map(|sale| (sale.listing_id.clone(), sale.version)).collect()
}

/// Statements in any order, each of which says something of its own; or in the order of their versions, some of them
/// mere confirmations. (A confirmation leaves no point behind: what comes later and belongs before it cannot know of it.)
fn statements() -> impl Strategy<Value = Vec<Listing>> {
    let one = || (0_i64..3, 1_i64..25);
    let shuffled = prop::collection::vec(one().prop_map(|(key, n)| statement(key, n, false)), 1..60);
    let confirms = |key: i64, n: i64| (key + n) % 2 == 0;
    let sorted = prop::collection::vec(one(), 1..60).prop_map(move |mut all| {
        all.sort_by_key(|(_, n)| *n);
        all.into_iter().map(|(key, n)| statement(key, n, confirms(key, n))).collect()
    });
    prop_oneof![shuffled, sorted]
}

proptest! {
    #[test]
    fn a_crash_at_any_moment_loses_no_statement_and_no_sale(statements in statements(), steps in steps()) {
        let mut calm = Log { statements: statements.clone(), ..Log::default() };
        Process::start(&calm).finish(&mut calm);

        let mut log = Log { statements, ..Log::default() };
        let mut process = Process::start(&log);
        for step in steps {
            match step {
                Step::Read => process.read(&log),
                Step::Deliver { priced, sales } => process.deliver(&mut log, priced, sales),
                Step::Acknowledge(count) => process.acknowledge(&mut log, count),
                Step::Follow => process.follow(&log),
                Step::Crash => process = Process::start(&log),
            }
        }
        process = Process::start(&log);
        process.finish(&mut log);
        prop_assert_eq!(log.committed, log.statements.len());
        prop_assert_eq!(newest_sales(&log), newest_sales(&calm));
        prop_assert_eq!(last_sales(&log), newest_sales(&log));
        prop_assert_eq!(last_facts(&log), last_facts(&calm));
    }
}
