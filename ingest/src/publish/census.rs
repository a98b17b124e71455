//! What the snapshots in the files hold, and what follows: which homes are absent from each, and whether that can be true.
//! Pure.
//!
//! Holds the keys of the homes, some fifty bytes each, and no row.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use schemas::reso::MAX_AHEAD_MS;

use super::summary::{Place, Refused};

/// Most snapshots in one run, each of which reads the files once more: a year of days.
const MAX_SNAPSHOTS: usize = 366;
/// Most rows without a key that are told one by one.
const MAX_TOLD: usize = 3;

/// The homes of every snapshot.
#[derive(Debug, Default)]
pub(super) struct Census {
    snapshots: BTreeMap<Timestamp, Taken>,
    /// Rows in which a home could be hidden.
    hidden: u64,
    told: Vec<String>,
}

#[derive(Debug, Default)]
struct Taken {
    rows: u64,
    /// Each home, and whether its last row says that it is on offer or pending.
    homes: FxHashMap<Box<str>, bool>,
}

/// What is done for one snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// When it was taken.
    pub(super) time: Timestamp,
    /// Its rows.
    pub(super) rows: u64,
    /// Keys of homes that were on offer or pending and are absent, sorted.
    pub(super) absent: Vec<Box<str>>,
}

impl Census {
    /// A row of a home.
    pub(super) fn note(&mut self, time: Timestamp, key: &str, is_offered: bool) {
        let taken = self.snapshots.entry(time).or_default();
        taken.rows += 1;
        taken.homes.insert(key.into(), is_offered);
    }

    /// A row of which the home, or the snapshot, cannot be told.
    pub(super) fn note_hidden(&mut self, place: &Place, reason: &str) {
        self.hidden += 1;
        if self.told.len() < MAX_TOLD {
            let row = Refused { place: place.clone(), code: "no key".to_owned(), message: reason.to_owned() };
            self.told.push(row.to_string());
        }
    }

    /// How many snapshots there are.
    pub(super) fn snapshots(&self) -> usize {
        self.snapshots.len()
    }

    /// What to do, given the homes that were `on_offer` before. An error says what looks broken.
    pub(super) fn plan(
        self,
        mut on_offer: FxHashSet<Box<str>>,
        max_vanish: f64,
        now: Timestamp,
    ) -> Result<Vec<Step>, String> {
        if self.hidden > 0 {
            return Err(format!(
                "{} rows say not which home or which snapshot they are of, and a home that is hidden in one must not be \
                 taken for absent: {}",
                self.hidden,
                self.told.join("; ")
            ));
        }
        if self.snapshots.is_empty() {
            return Err("the files hold no row, and an empty market is most likely a broken export".to_owned());
        }
        if self.snapshots.len() > MAX_SNAPSHOTS {
            return Err(format!(
                "the files hold {} snapshots (expected at most {MAX_SNAPSHOTS}; is [snapshot] the right column?)",
                self.snapshots.len()
            ));
        }
        let latest = now + SignedDuration::from_millis(MAX_AHEAD_MS);
        let mut steps = Vec::new();
        for (time, taken) in self.snapshots {
            if time > latest {
                return Err(format!("the snapshot of {time} lies in the future (it is {now})"));
            }
            let mut absent: Vec<Box<str>> =
                on_offer.iter().filter(|key| !taken.homes.contains_key(*key)).cloned().collect();
            absent.sort_unstable();
            // Counts of homes are far below 2^52.
            let share = absent.len() as f64 / on_offer.len().max(1) as f64;
            if share > max_vanish {
                return Err(format!(
                    "{} of {} homes on offer ({:.1} %) are absent from the snapshot of {time}, which is more than the \
                     {:.1} % that may vanish; if it is true, allow it with --max-vanish {:.2}",
                    absent.len(),
                    on_offer.len(),
                    share * 100.0,
                    max_vanish * 100.0,
                    // Rounded up, so that the number that is shown is enough.
                    (share * 100.0).ceil() / 100.0
                ));
            }
            steps.push(Step { time, rows: taken.rows, absent });
            on_offer = taken.homes.into_iter().filter(|(_, is_offered)| *is_offered).map(|(key, _)| key).collect();
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: &str) -> Timestamp {
        format!("2026-04-{day}T00:00:00Z").parse().unwrap()
    }
    fn census(rows: &[(&str, &str, bool)]) -> Census {
        let mut census = Census::default();
        rows.iter().for_each(|(day, key, is_offered)| census.note(at(day), key, *is_offered));
        census
    }
    fn keys(keys: &[&str]) -> FxHashSet<Box<str>> {
        keys.iter().map(|key| Box::from(*key)).collect()
    }
    /// Day, rows and absent keys of each step.
    fn plan(census: Census, known: &[&str], max_vanish: f64) -> Result<Vec<(i8, u64, String)>, String> {
        let day = |time: Timestamp| time.to_zoned(jiff::tz::TimeZone::UTC).day();
        let steps = census.plan(keys(known), max_vanish, at("30"))?;
        Ok(steps.into_iter().map(|step| (day(step.time), step.rows, step.absent.join(","))).collect())
    }

    #[test]
    fn what_was_on_offer_and_is_absent_is_gone() {
        let census = census(&[("23", "a", true), ("23", "b", true), ("23", "b", true)]);
        assert_eq!(plan(census, &["a", "c", "d"], 1.0), Ok(vec![(23, 3, "c,d".to_owned())]));
    }

    #[test]
    fn each_snapshot_is_compared_with_the_one_before_it_in_time() {
        let rows = [
            ("26", "a", true),
            ("26", "b", false),
            ("23", "a", true),
            ("23", "b", true),
            ("23", "c", true),
            ("23", "sold", false),
        ];
        let expected = vec![(23, 4, String::new()), (26, 2, "c".to_owned())];
        assert_eq!(plan(census(&rows), &[], 0.4), Ok(expected));
    }

    #[test]
    fn a_home_counts_by_its_last_row() {
        let rows = [("23", "a", true), ("23", "a", false), ("24", "b", true)];
        assert_eq!(plan(census(&rows), &[], 0.0).unwrap()[1].2, "");
    }

    #[test]
    fn too_many_vanishing_homes_are_not_believed() {
        let known = ["a", "b", "c", "d", "e"];
        let left = |kept: &[&str]| census(&kept.iter().map(|key| ("23", *key, true)).collect::<Vec<_>>());
        assert!(plan(left(&["a", "b", "c", "d"]), &known, 0.2).is_ok());
        let error = plan(left(&["a", "b", "c"]), &known, 0.2).unwrap_err();
        assert!(error.starts_with("2 of 5 homes on offer (40.0 %) are absent"), "{error}");
        assert!(plan(left(&["a", "b", "c"]), &known, 0.5).is_ok());
        assert!(plan(Census::default(), &[], 1.0).is_err());
    }

    #[test]
    fn a_row_without_a_key_could_hide_a_home() {
        let mut census = census(&[("23", "a", true)]);
        census.note_hidden(&Place { file: "x.csv".into(), line: 7 }, "no ListingKey");
        assert!(plan(census, &[], 1.0).unwrap_err().contains("x.csv:7: no ListingKey"));
    }

    #[test]
    fn a_snapshot_from_the_future_is_refused() {
        let error = census(&[("23", "a", true)]).plan(keys(&[]), 1.0, at("22")).unwrap_err();
        assert!(error.contains("lies in the future"), "{error}");
    }
}
