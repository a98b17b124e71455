//! How sending to each webhook goes, for its owner: told to all processes by its record, when that says something new or once a
//! minute. Pure but for the clock.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::time::{Duration, Instant as Moment};

use schemas::access::WebhookDelivery;
use schemas::id::AccessId;

use super::deliver::Reply;

/// How soon a change of the state is written down, and how often at most.
const SOON: Duration = Duration::from_millis(900);
/// How soon anything else is.
const LATER: Duration = Duration::from_secs(60);
/// Most records at a time: they share the way with renewals of tokens.
const AT_ONCE: usize = 100;

#[derive(Debug)]
struct Report {
    now: WebhookDelivery,
    written: Option<(WebhookDelivery, Moment)>,
}

/// The reports of the webhooks that this process sends to: no more than there are webhooks.
#[derive(Debug, Default)]
pub struct Reports {
    all: HashMap<AccessId, Report>,
    unwritten: BTreeSet<AccessId>,
    /// Where the last round ended: the next one begins behind it, so that each has its turn.
    last: Option<AccessId>,
}

impl Reports {
    /// Takes in how a request ended. `known` is what its record says.
    pub fn note(&mut self, id: &AccessId, reply: &Reply, known: Option<WebhookDelivery>) {
        let at = access::now();
        let last = self.all.get(id).map(|report| report.now.clone()).or(known);
        let (last_success_at, failing_since) =
            last.map_or((None, None), |last| (last.last_success_at, last.failing_since));
        let now = WebhookDelivery {
            last_attempt_at: at,
            last_success_at: if reply.is_taken() { Some(at) } else { last_success_at },
            failing_since: if reply.is_taken() { None } else { failing_since.or(Some(at)) },
            last_status: reply.status,
            last_error: reply.error.map(str::to_owned),
        };
        match self.all.get_mut(id) {
            Some(report) => report.now = now,
            None => drop(self.all.insert(id.clone(), Report { now, written: None })),
        }
        self.unwritten.insert(id.clone());
    }

    /// What the last attempt led to, in words.
    pub fn last(&self, id: &AccessId) -> Option<String> {
        let WebhookDelivery { last_status, last_error, .. } = &self.all.get(id)?.now;
        match (last_status, last_error) {
            (Some(status), _) => Some(format!("status {status}")),
            (None, error) => error.clone(),
        }
    }

    /// The webhook is gone.
    pub fn forget(&mut self, id: &AccessId) {
        self.all.remove(id);
        self.unwritten.remove(id);
    }

    /// What is to be written down now.
    pub fn due(&mut self) -> Vec<(AccessId, WebhookDelivery)> {
        let is_due = |id: &&AccessId| {
            self.all.get(*id).is_some_and(|Report { now, written }| match written {
                None => true,
                Some((before, at)) => at.elapsed() >= if state(before) == state(now) { LATER } else { SOON },
            })
        };
        let from = self.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.unwritten.range((from, Bound::Unbounded));
        let before = self.last.iter().flat_map(|last| self.unwritten.range(..=last));
        let ids: Vec<AccessId> = behind.chain(before).filter(is_due).take(AT_ONCE).cloned().collect();
        self.last = ids.last().cloned().or(self.last.take());
        let mut due = Vec::new();
        for id in ids {
            self.unwritten.remove(&id);
            if let Some(report) = self.all.get_mut(&id) {
                report.written = Some((report.now.clone(), Moment::now()));
                due.push((id, report.now.clone()));
            }
        }
        due
    }
}

/// What its owner would want to know at once.
fn state(delivery: &WebhookDelivery) -> (bool, Option<u16>, Option<&str>) {
    (delivery.failing_since.is_some(), delivery.last_status, delivery.last_error.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_written_at_once_and_the_same_again_later() {
        let id: AccessId = "5d41402abc4b".parse().unwrap();
        let mut reports = Reports::default();
        let taken = Reply { status: Some(200), retry_after: None, error: None, took: Duration::ZERO };
        reports.note(&id, &Reply::failed("timeout"), None);
        let first = reports.due();
        assert!(first[0].1.failing_since.is_some() && first[0].1.last_success_at.is_none(), "{first:?}");
        assert_eq!(reports.last(&id).as_deref(), Some("timeout"));
        assert!(reports.due().is_empty(), "nothing new");
        reports.note(&id, &taken, None);
        assert!(reports.due().is_empty(), "a moment later");
        reports.all.get_mut(&id).unwrap().written.as_mut().unwrap().1 -= Duration::from_secs(1);
        let second = reports.due();
        assert!(second[0].1.failing_since.is_none() && second[0].1.last_success_at.is_some(), "{second:?}");
        reports.note(&id, &taken, None);
        reports.all.get_mut(&id).unwrap().written.as_mut().unwrap().1 -= Duration::from_secs(1);
        assert!(reports.due().is_empty(), "the same again waits");
        reports.forget(&id);
        assert_eq!(reports.last(&id), None);
    }

    #[test]
    fn webhooks_that_change_all_the_time_leave_their_turn_to_the_others() {
        let ids: Vec<AccessId> = (0..150).map(|n| format!("{n:012x}").parse().unwrap()).collect();
        let mut reports = Reports::default();
        let mut written = BTreeSet::new();
        for _ in 0..2 {
            for id in &ids[..if written.is_empty() { 150 } else { 100 }] {
                reports.note(id, &Reply::failed("timeout"), None);
            }
            written.extend(reports.due().into_iter().map(|(id, _)| id));
            reports.all.values_mut().for_each(|report| report.written = None);
        }
        assert_eq!(written.len(), 150);
    }
}
