//! Seats of sessions: what stands for each in a byte per table, 64 to a block, and which of them a changed listing may
//! concern.
//!
//! Knows no scores: see `lookup.rs`.

use super::clusters::{self, Clusters, LANES, SIDES};
use super::kernel::Kernel;
use super::lookup::{Codes, LIKES, Lookup};

/// Of a session that takes no notice.
const SHUT: u8 = 255;

/// 64 seats.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Block {
    pub(super) budget: [u8; LANES],
    pub(super) space: [u8; LANES],
    pub(super) commute: [u8; LANES],
    pub(super) size: [u8; LANES],
    pub(super) must: [u8; LANES],
    pub(super) likes: [[u8; LANES]; LIKES],
    /// What the tables must sum up to.
    pub(super) floor: [u8; LANES],
    /// Who takes notice.
    pub(super) open: u64,
    taken: u64,
    /// Needed only of those that are found: last.
    pub(super) slot: [u32; LANES],
}

/// A session on its seat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seated {
    pub(super) codes: Codes,
    pub(super) slot: u32,
    floor: u8,
    is_open: bool,
}

impl Seated {
    /// It takes no notice of any listing before it gets its floor.
    pub(super) const fn shut(codes: Codes, slot: u32) -> Self {
        Self { codes, slot, floor: SHUT, is_open: false }
    }

    /// It takes notice of what reaches the floor.
    pub(super) const fn open(codes: Codes, slot: u32, floor: u8) -> Self {
        Self { codes, slot, floor, is_open: true }
    }
}

impl clusters::Row for Seated {
    // The floor follows the session's bound.
    const LASTING: usize = 4;

    fn point(&self) -> [f32; SIDES] {
        let [budget, space, commute, size] = self.codes.point();
        [budget, space, commute, size, f32::from(self.floor) * 4_096.0]
    }

    fn slot(&self) -> u32 {
        self.slot
    }
}

impl clusters::Block for Block {
    type Row = Seated;
    type Bounds = Bounds;

    fn empty() -> Self {
        Self {
            budget: [0; LANES],
            space: [0; LANES],
            commute: [0; LANES],
            size: [0; LANES],
            must: [0; LANES],
            likes: [[0; LANES]; LIKES],
            floor: [SHUT; LANES],
            slot: [0; LANES],
            taken: 0,
            open: 0,
        }
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn put(&mut self, lane: usize, row: &Seated) {
        self.budget[lane] = row.codes.budget;
        self.space[lane] = row.codes.space;
        self.commute[lane] = row.codes.commute;
        self.size[lane] = row.codes.size;
        self.must[lane] = row.codes.must;
        self.likes.iter_mut().zip(row.codes.likes).for_each(|(column, like)| column[lane] = like);
        self.slot[lane] = row.slot;
        self.taken |= 1 << lane;
        self.set_floor(lane, row.floor, row.is_open);
    }

    fn clear(&mut self, lane: usize) {
        self.taken &= !(1 << lane);
        self.set_floor(lane, SHUT, false);
    }

    fn row(&self, lane: usize) -> Seated {
        let codes = Codes {
            budget: self.budget[lane],
            space: self.space[lane],
            commute: self.commute[lane],
            size: self.size[lane],
            must: self.must[lane],
            likes: self.likes.map(|column| column[lane]),
        };
        Seated { codes, slot: self.slot[lane], floor: self.floor[lane], is_open: self.open >> lane & 1 == 1 }
    }
}

impl Block {
    fn set_floor(&mut self, lane: usize, floor: u8, is_open: bool) {
        self.floor[lane] = floor;
        self.open = self.open & !(1 << lane) | u64::from(is_open) << lane;
    }

    fn least_floor(&self) -> u8 {
        self.floor.iter().fold(SHUT, |least, floor| least.min(*floor))
    }
}

/// Of the codes of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    budget: u8,
    bedrooms: u8,
    school: u8,
    /// 127 where one has no limit.
    commute: u8,
    /// Whether anybody prefers amenities.
    likes: bool,
    floor: u8,
}

impl clusters::Bounds for Bounds {
    type Row = Seated;
    const NONE: Self = Self { budget: 0, bedrooms: 7, school: 7, commute: 0, likes: false, floor: SHUT };

    fn widen(&mut self, _: usize, row: &Seated) {
        let Codes { budget, space, commute, size: _, must: _, likes } = row.codes;
        self.budget = self.budget.max(budget);
        self.bedrooms = self.bedrooms.min(space >> 4);
        self.school = self.school.min(space & 7);
        self.commute = self.commute.max(if commute == 0 { 127 } else { commute });
        self.likes |= likes[0] != 0;
        self.floor = self.floor.min(row.floor);
    }
}

/// A session that a listing may concern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// Of the session.
    pub(super) slot: u32,
    /// Its number among those that are looked up.
    pub(super) listing: u32,
}

/// The seats of sessions of one profile.
pub(super) type Seats = Clusters<Block>;

impl Seats {
    /// The session takes notice of listings that reach the floor; with `None` of none.
    pub(super) fn set_floor(&mut self, spot: clusters::Spot, floor: Option<u8>) {
        let group = self.group_mut(spot);
        let (block, lane) = group.block_mut(spot);
        let (was, floor, is_open) = (block.floor[lane], floor.unwrap_or(SHUT), floor.is_some());
        block.set_floor(lane, floor, is_open);
        let (blocks, bounds) = group.span_mut(spot);
        if floor < bounds.floor {
            bounds.floor = floor;
        } else if was == bounds.floor && floor > was {
            bounds.floor = blocks.iter().map(Block::least_floor).min().unwrap_or(SHUT);
        }
    }

    /// Everybody who takes notice.
    pub(super) fn open(&self) -> impl Iterator<Item = u32> + '_ {
        self.blocks().flat_map(|block| clusters::lanes(block.open).map(|lane| block.slot[lane]))
    }

    /// Whether the session that sits there is found for a listing.
    pub(super) fn finds(&self, spot: clusters::Spot, slot: u32, reach: &Reach, kernel: Kernel) -> bool {
        let (blocks, bounds, at) = self.span(spot);
        let mut hits = Vec::new();
        kernel.scan(&blocks[at / LANES..=at / LANES], &[(0, &reach.lookup)], &mut hits);
        reach.may_concern(bounds) && hits.iter().any(|hit| hit.slot == slot)
    }

    /// Whom each of these listings may concern. Returns how many blocks were looked at.
    pub(super) fn concerned(&self, reaches: &[Reach], kernel: Kernel, hits: &mut Vec<Hit>) -> u64 {
        let mut looks = 0;
        let mut near = Vec::with_capacity(reaches.len());
        for (blocks, bounds) in self.spans() {
            near.clear();
            let reached = (0..).zip(reaches).filter(|(_, reach)| reach.may_concern(bounds));
            near.extend(reached.map(|(number, reach)| (number, &reach.lookup)));
            looks += (near.len() * blocks.len()) as u64;
            if !near.is_empty() {
                kernel.scan(blocks, &near, hits);
            }
        }
        looks
    }
}

/// A listing's tables, and the best of each from or up to a code.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) lookup: Lookup,
    /// By bedrooms and school: the best of those that ask for as much or more.
    space_from: [u8; 64],
    /// The best of those whose commute may be as long or shorter; 127: of all.
    commute_upto: [u8; 128],
    size_most: u8,
    /// Of those that prefer amenities.
    likes_most: u8,
}

impl Reach {
    pub(super) fn of(lookup: Lookup) -> Self {
        let mut space_from = [0; 64];
        for bedrooms in (0..8).rev() {
            for school in (0..8).rev() {
                let own = lookup.space[bedrooms << 4 | school].max(lookup.space[bedrooms << 4 | 8 | school]);
                let more_bedrooms = if bedrooms < 7 { space_from[(bedrooms + 1) << 3 | school] } else { 0 };
                let more_school = if school < 7 { space_from[bedrooms << 3 | (school + 1)] } else { 0 };
                space_from[bedrooms << 3 | school] = own.max(more_bedrooms).max(more_school);
            }
        }
        let mut commute_upto = lookup.commute;
        commute_upto[0] = 0;
        for minutes in 1..128 {
            commute_upto[minutes] = commute_upto[minutes].max(commute_upto[minutes - 1]);
        }
        commute_upto[127] = commute_upto[127].max(lookup.commute[0]);
        let size_most = lookup.size.iter().copied().max().unwrap_or(0);
        // One alone gives all that two give, but for the rounding.
        let likes_most = lookup.likes.iter().copied().max().unwrap_or(0).saturating_add(LIKES as u8);
        Self { lookup, space_from, commute_upto, size_most, likes_most }
    }

    /// Whether it may concern anybody within the bounds.
    pub(super) fn may_concern(&self, bounds: &Bounds) -> bool {
        let parts = [
            // The more one may spend, the more is left.
            self.lookup.budget[usize::from(bounds.budget)],
            self.space_from[usize::from(bounds.bedrooms << 3 | bounds.school)],
            self.commute_upto[usize::from(bounds.commute)],
            self.size_most,
        ];
        let likes = if bounds.likes { self.likes_most } else { 0 };
        let most = parts.iter().map(|part| u16::from(*part)).sum::<u16>() + u16::from(likes);
        !parts.contains(&0) && most >= u16::from(bounds.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_is_large_even_where_sessions_are_alike() {
        let (mut seats, mut moved) = (Seats::default(), Vec::new());
        for slot in 0..5_000 {
            seats.insert(&Seated::shut(Codes::default(), slot), &mut moved);
        }
        assert!(seats.count_groups() >= 5, "{} groups", seats.count_groups());
        assert_eq!((seats.len(), seats.rows().count()), (5_000, 5_000));
        assert_eq!(seats.spans().count(), seats.count_groups(), "a span each");
    }
}
