//! Looks whether the engine's invariants hold: that every shortlist holds exactly the listings that reach its bound, and that
//! no bound of a block or of a table is below the truth. For tests, drills, and now and then in every debug build.
//!
//! Knows no way to mend anything: a broken invariant is a fault of this program.

use super::ceiling::Seeker;
use super::indexed::Indexed;
use super::shortlist::{Entry, Shortlist};
use crate::facts::Asked;
use crate::score::{passes, score};

/// Batches after which a debug build inspects one session.
#[cfg(debug_assertions)]
const EVERY: usize = 64;

impl Indexed {
    /// Inspects every session; costs a look at every listing for each.
    pub fn audit(&self) -> Result<(), String> {
        (0..self.audience.sessions.slots_end()).try_for_each(|slot| self.inspect(slot))
    }

    /// Inspects one session after another.
    #[cfg(debug_assertions)]
    pub(super) fn inspect_now_and_then(&mut self) {
        self.batches += 1;
        let slots = self.audience.sessions.slots_end() as usize;
        if slots > 0 && self.batches.is_multiple_of(EVERY) {
            let slot = (self.batches / EVERY * 7_919 % slots) as u32;
            assert_eq!(self.inspect(slot), Ok(()));
        }
    }

    fn inspect(&self, slot: u32) -> Result<(), String> {
        let Some((id, asked, shortlist)) = self.audience.whole(slot) else { return Ok(()) };
        let mut reaching = 0;
        for (listing, key, offered) in self.listings.iter() {
            if !passes(asked, key, &offered.facts) {
                continue;
            }
            let entry = Entry { score: score(asked, &offered.facts), slot: listing };
            let kept = shortlist.entries().contains(&entry);
            reaching += usize::from(kept);
            if kept != shortlist.reaches(entry, &self.listings) {
                return Err(format!("{id}: {key} has {entry:?}, but {shortlist:?}"));
            }
        }
        if reaching != shortlist.entries().len() || shortlist.is_thin() {
            return Err(format!("{id}: {reaching} listings reach {shortlist:?}"));
        }
        self.inspect_bounds(slot, &asked, &shortlist).map_err(|message| format!("{id}: {message}"))
    }

    /// Whether a search would find each entry, and a change of each entry the session.
    fn inspect_bounds(&self, slot: u32, asked: &Asked<'_>, shortlist: &Shortlist) -> Result<(), String> {
        let seeker = Seeker::of(asked);
        for entry in shortlist.entries() {
            let key = self.listings.key(entry.slot);
            let Some(offered) = self.listings.get(entry.slot) else { return Err(format!("{key} is not on offer")) };
            let floor = seeker.floor(entry.score);
            if !self.shelves.shows(offered.standing, &seeker, floor, self.tuning.kernel) {
                return Err(format!("a search that needs {} does not find {key}", entry.score));
            }
            if !self.audience.finds(slot, &offered.facts, self.tuning) {
                return Err(format!("a change of {key} does not find the session, which gives it {}", entry.score));
            }
        }
        Ok(())
    }
}
