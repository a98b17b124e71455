//! Whose turn is next: per site a few requests are under way at most, and sites share the workers in lanes, so that one who has
//! many slow hosts leaves workers to the others. Pure.
//!
//! Sites that are slow, or not known yet, have a few workers; quick ones of guests, who may be strangers, some more; and quick
//! ones of the operator's keys may have all. What waits for a webhook is `schedule.rs`'s to know.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use quick_cache::unsync::Cache;
use schemas::id::AccessId;

use super::schedule::Ms;

/// Slow and unknown sites of guests, and of keys; quick ones of guests, and of keys.
pub const LANES: usize = 4;
/// Of how many sites it is remembered that they are quick, while nothing waits for them.
const QUICK_SITES: usize = 10_000;

/// The bounds on requests.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests under way.
    pub workers: usize,
    /// Of those, in each lane.
    pub lanes: [usize; LANES],
    /// And to one site.
    pub per_site: usize,
    /// How soon a request ends that is not slow.
    pub quick: Ms,
}

/// Where a webhook's address is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site {
    /// Whether a session registered it: what guests do is not held against a key that sends to the same host.
    pub is_guest: bool,
    /// Name or address.
    pub host: Arc<str>,
}

/// A request under way.
#[derive(Debug)]
pub struct Turn {
    site: Site,
    lane: usize,
}

/// Who may start.
pub struct Lanes {
    bounds: Bounds,
    sites: HashMap<Site, Load>,
    /// Sites of each lane with something to start and room for it, by when.
    ready: [BTreeSet<(Ms, Site)>; LANES],
    /// Sites that were quick when they were last asked.
    quick: Cache<Site, ()>,
    /// Requests under way that were started in each lane.
    running: [usize; LANES],
}

/// What there is of a site.
#[derive(Debug, Default)]
struct Load {
    webhooks: usize,
    running: usize,
    is_quick: bool,
    /// Webhooks with something to start, by when.
    ready: BTreeSet<(Ms, AccessId)>,
    /// Its place in `Lanes::ready`: in which of them, and when.
    place: Option<(usize, Ms)>,
}

impl Lanes {
    /// Nobody waits.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            sites: HashMap::new(),
            ready: Default::default(),
            quick: Cache::new(QUICK_SITES),
            running: [0; LANES],
        }
    }

    /// One more webhook is at this site.
    pub fn join(&mut self, site: &Site) {
        let is_quick = self.quick.get(site).is_some();
        let load = self.sites.entry(site.clone()).or_insert_with(|| Load { is_quick, ..Load::default() });
        load.webhooks += 1;
    }

    /// A webhook with nothing to start is not at this site any more.
    pub fn leave(&mut self, site: &Site) {
        if let Some(load) = self.sites.get_mut(site) {
            load.webhooks -= 1;
            if load.webhooks == 0 {
                self.sites.remove(site);
            }
        }
    }

    /// A webhook of this site has something to start at `at`, instead of at `before`.
    pub fn place(&mut self, webhook: &AccessId, site: &Site, before: Option<Ms>, at: Option<Ms>) {
        let Some(load) = self.sites.get_mut(site) else { return };
        if let Some(before) = before {
            load.ready.remove(&(before, webhook.clone()));
        }
        if let Some(at) = at {
            load.ready.insert((at, webhook.clone()));
        }
        if let Some((lane, before)) = load.place.take() {
            self.ready[lane].remove(&(before, site.clone()));
        }
        let has_room = load.running < self.bounds.per_site;
        if let Some((at, _)) = load.ready.first().filter(|_| has_room) {
            let lane = lane(site, load.is_quick);
            load.place = Some((lane, *at));
            self.ready[lane].insert((*at, site.clone()));
        }
    }

    /// The webhook whose turn is next, and when, as far as workers are free for it.
    pub fn next(&self) -> Option<(Ms, &AccessId)> {
        let has_room = |lane: &usize| self.running[*lane] < self.bounds.lanes[*lane];
        let firsts = (0..LANES).filter(has_room).filter_map(|lane| self.ready[lane].first());
        let (at, site) = firsts.min().filter(|_| self.running() < self.bounds.workers)?;
        let (_, webhook) = self.sites.get(site)?.ready.first()?;
        Some((*at, webhook))
    }

    /// A request to this site begins. Its webhook is to be placed anew.
    pub fn start(&mut self, site: &Site) -> Turn {
        let load = self.sites.get_mut(site);
        let lane = lane(site, load.as_ref().is_some_and(|load| load.is_quick));
        load.into_iter().for_each(|load| load.running += 1);
        self.running[lane] += 1;
        Turn { site: site.clone(), lane }
    }

    /// A request has ended, which took so long. Its webhook is to be placed anew.
    pub fn end(&mut self, Turn { site, lane }: Turn, is_taken: bool, took: Ms) {
        self.running[lane] -= 1;
        let Some(load) = self.sites.get_mut(&site) else { return };
        load.running -= 1;
        if took > self.bounds.quick {
            load.is_quick = false;
            self.quick.remove(&site);
        } else if is_taken {
            // A failure that comes soon says nothing: it takes no worker from anybody.
            load.is_quick = true;
            self.quick.insert(site, ());
        }
    }

    /// Requests under way.
    pub fn running(&self) -> usize {
        self.running.iter().sum()
    }

    /// Those of each lane.
    #[cfg(test)]
    pub const fn in_lanes(&self) -> [usize; LANES] {
        self.running
    }

    /// Whether nobody has anything to start.
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.ready.iter().all(BTreeSet::is_empty) && self.sites.values().all(|load| load.ready.is_empty())
    }
}

/// In which lane a site's requests are.
const fn lane(site: &Site, is_quick: bool) -> usize {
    match (is_quick, site.is_guest) {
        (false, true) => 0,
        (false, false) => 1,
        (true, true) => 2,
        (true, false) => 3,
    }
}
