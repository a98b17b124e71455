//! Rows in blocks of 64 and blocks in groups, so that what is alike stands together and most of it need not be looked at.
//!
//! Where a row stands is never seen in a result. It changes: a full group is parted in two, one that has seen much coming
//! and going is sorted again; whoever keeps a row's spot is told. Does not know what stands in a row.

mod saved;

/// Rows of a block: the bits of a mask.
pub(super) const LANES: usize = 64;
/// Blocks that have their bounds in common: the lanes of a register of floats.
pub(super) const SPAN: usize = 16;
/// Rows that a group is parted at: so that sorting it takes some 100 µs, and mostly one span of blocks.
const PARTED_AT: u32 = (SPAN * LANES) as u32;
/// Groups that are looked at per call of [`Clusters::tidy`].
const LOOKED_AT: usize = 8;
/// Numbers that say where a row stands among others.
pub(super) const SIDES: usize = 5;

/// What stands in a lane.
pub(super) trait Row: Copy {
    /// Of these sides the first do not change while the row is there: they lead the way to its group.
    const LASTING: usize;
    /// In something like points of the score, so that all sides are of one measure.
    fn point(&self) -> [f32; SIDES];
    /// Whose it is.
    fn slot(&self) -> u32;
}

/// 64 rows.
pub(super) trait Block {
    /// What stands in a lane.
    type Row: Row;
    /// What is true of all rows of a span of blocks.
    type Bounds: Bounds<Row = Self::Row> + std::fmt::Debug;
    /// Without any row.
    fn empty() -> Self;
    /// The lanes in which a row stands.
    fn taken(&self) -> u64;
    /// Fills a lane.
    fn put(&mut self, lane: usize, row: &Self::Row);
    /// Empties a lane.
    fn clear(&mut self, lane: usize);
    /// The row in a lane that is taken.
    fn row(&self, lane: usize) -> Self::Row;
}

/// What is true of all rows of [`SPAN`] blocks, and may be true of more.
pub(super) trait Bounds: Clone {
    /// What stands in a lane.
    type Row;
    /// Of no rows.
    const NONE: Self;
    /// Of one more, in this block of the span.
    fn widen(&mut self, block: usize, row: &Self::Row);
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    group: u32,
    at: u32,
}

impl Spot {
    /// Stands for none where none is read.
    pub(super) const FIRST: Self = Self { group: 0, at: 0 };
}

/// Rows that are near each other.
#[derive(Debug)]
pub(super) struct Group<B: Block> {
    blocks: Vec<B>,
    /// One per span.
    bounds: Vec<B::Bounds>,
    len: u32,
    /// Rows that came or went since the group was sorted.
    churn: u32,
}

impl<B: Block> Group<B> {
    const fn new() -> Self {
        Self { blocks: Vec::new(), bounds: Vec::new(), len: 0, churn: 0 }
    }

    fn rows(&self) -> impl Iterator<Item = B::Row> + '_ {
        self.blocks.iter().flat_map(|block| lanes(block.taken()).map(|lane| block.row(lane)))
    }

    /// The block of a row, and its lane there.
    pub(super) fn block_mut(&mut self, spot: Spot) -> (&mut B, usize) {
        (&mut self.blocks[spot.at as usize / LANES], spot.at as usize % LANES)
    }

    /// The blocks in spans, each with its bounds.
    pub(super) fn spans(&self) -> impl Iterator<Item = (&[B], &B::Bounds)> {
        self.blocks.chunks(SPAN).zip(&self.bounds)
    }

    /// The span that a row stands in, and its bounds.
    pub(super) fn span_mut(&mut self, spot: Spot) -> (&mut [B], &mut B::Bounds) {
        let number = spot.at as usize / LANES / SPAN;
        let end = self.blocks.len().min((number + 1) * SPAN);
        (&mut self.blocks[number * SPAN..end], &mut self.bounds[number])
    }

    fn widen(&mut self, block: usize, row: &B::Row) {
        if self.bounds.len() <= block / SPAN {
            self.bounds.push(B::Bounds::NONE);
        }
        self.bounds[block / SPAN].widen(block % SPAN, row);
    }

    fn insert(&mut self, row: &B::Row) -> u32 {
        let free = self.blocks.iter().rposition(|block| block.taken() != u64::MAX);
        let at = free.unwrap_or_else(|| {
            self.blocks.push(B::empty());
            self.blocks.len() - 1
        });
        let lane = self.blocks[at].taken().trailing_ones() as usize;
        self.blocks[at].put(lane, row);
        self.widen(at, row);
        self.len += 1;
        self.churn += 1;
        (at * LANES + lane) as u32
    }

    /// These rows and no others, alike ones together; tells where each stands.
    fn fill(&mut self, mut rows: Vec<Pointed<B::Row>>, mut told: impl FnMut(u32, u32)) {
        *self = Self::new();
        self.len = rows.len() as u32;
        let mut parts = Vec::new();
        split(&mut rows, &mut parts);
        for part in parts {
            let mut block = B::empty();
            for (lane, (_, row)) in part.iter().enumerate() {
                block.put(lane, row);
                self.widen(self.blocks.len(), row);
                told(row.slot(), (self.blocks.len() * LANES + lane) as u32);
            }
            self.blocks.push(block);
        }
    }
}

/// A row with where it stands among others, which is asked often while rows are sorted.
type Pointed<R> = ([f32; SIDES], R);

fn pointed<R: Row>(row: R) -> Pointed<R> {
    (row.point(), row)
}

/// A side on which even rows that are alike differ: their slots, spread over 0..1.
const BY_SLOT: usize = SIDES;

/// Where a row stands along a side.
fn along<R: Row>(point: &[f32; SIDES], row: &R, side: usize) -> f32 {
    // 24 bits of a multiplicative hash (Knuth), which a float holds exactly.
    point.get(side).copied().unwrap_or_else(|| (row.slot().wrapping_mul(2_654_435_769) >> 8) as f32)
}

/// A way to a group: left below the value.
#[derive(Clone, Copy, Debug)]
enum Way {
    Fork { side: usize, value: f32, left: u32, right: u32 },
    Group(u32),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Clusters<B: Block> {
    ways: Vec<Way>,
    groups: Vec<Group<B>>,
    /// Of two ways each, the first of both; of groups.
    unused: (Vec<u32>, Vec<u32>),
    len: usize,
    /// The group that is looked at next for whether it should be sorted.
    next: usize,
}

impl<B: Block> Default for Clusters<B> {
    fn default() -> Self {
        Self { ways: vec![Way::Group(0)], groups: vec![Group::new()], unused: Default::default(), len: 0, next: 0 }
    }
}

impl<B: Block> Clusters<B> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Those with rows.
    fn groups(&self) -> impl Iterator<Item = &Group<B>> {
        self.groups.iter().filter(|group| group.len > 0)
    }

    /// All blocks in spans, each with its bounds.
    pub(super) fn spans(&self) -> impl Iterator<Item = (&[B], &B::Bounds)> {
        self.groups().flat_map(Group::spans)
    }

    /// All blocks.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &B> {
        self.groups().flat_map(|group| &group.blocks)
    }

    #[cfg(test)]
    pub(super) fn count_groups(&self) -> usize {
        self.groups().count()
    }

    /// All rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = B::Row> + '_ {
        self.groups().flat_map(Group::rows)
    }

    /// The span that a row stands in, with its bounds, and where in the span.
    pub(super) fn span(&self, spot: Spot) -> (&[B], &B::Bounds, usize) {
        let group = &self.groups[spot.group as usize];
        let (number, at) = (spot.at as usize / LANES / SPAN, spot.at as usize % (LANES * SPAN));
        let end = group.blocks.len().min((number + 1) * SPAN);
        (&group.blocks[number * SPAN..end], &group.bounds[number], at)
    }

    /// The group of a row.
    pub(super) fn group_mut(&mut self, spot: Spot) -> &mut Group<B> {
        &mut self.groups[spot.group as usize]
    }

    /// Adds a row. `moved` gets whoever comes to stand elsewhere for it.
    pub(super) fn insert(&mut self, row: &B::Row, moved: &mut Vec<(u32, Spot)>) -> Spot {
        self.len += 1;
        loop {
            let (way, group) = self.way(row);
            let whole = &mut self.groups[group as usize];
            if whole.len < PARTED_AT || !self.part(way, group, moved) {
                return Spot { group, at: self.groups[group as usize].insert(row) };
            }
        }
    }

    /// Takes away a row that is there.
    pub(super) fn remove(&mut self, spot: Spot) {
        let group = self.group_mut(spot);
        let (block, lane) = group.block_mut(spot);
        block.clear(lane);
        group.len -= 1;
        group.churn += 1;
        self.len -= 1;
    }

    /// Sorts one group that has seen much coming and going, if there is one among the next few; one that has become small is put
    /// together with its neighbour.
    pub(super) fn tidy(&mut self, moved: &mut Vec<(u32, Spot)>) {
        for _ in 0..LOOKED_AT.min(self.groups.len()) {
            self.next = (self.next + 1) % self.groups.len();
            let group = &mut self.groups[self.next];
            if group.churn * 4 <= group.len + LANES as u32 {
                continue;
            }
            let number = self.next as u32;
            if group.len * 8 < PARTED_AT && self.join(number, moved) {
                return;
            }
            let group = &mut self.groups[self.next];
            let rows = group.rows().map(pointed).collect();
            return group.fill(rows, |slot, at| moved.push((slot, Spot { group: number, at })));
        }
    }

    /// Puts a group together with the one beside it, if both are small.
    fn join(&mut self, group: u32, moved: &mut Vec<(u32, Spot)>) -> bool {
        let is_its = |way: u32| matches!(self.ways[way as usize], Way::Group(number) if number == group);
        let fork = self.ways.iter().enumerate().find_map(|(at, way)| match way {
            Way::Fork { left, right, .. } if is_its(*left) || is_its(*right) => Some((at, *left, *right)),
            _ => None,
        });
        let Some((fork, left, right)) = fork else { return false };
        let (Way::Group(kept), Way::Group(other)) = (self.ways[left as usize], self.ways[right as usize]) else {
            return false;
        };
        let [low, high] = [kept, other].map(|number| &self.groups[number as usize]);
        if (low.len + high.len) * 2 > PARTED_AT {
            return false;
        }
        let rows = low.rows().chain(high.rows()).map(pointed).collect();
        self.groups[other as usize] = Group::new();
        self.groups[kept as usize].fill(rows, |slot, at| moved.push((slot, Spot { group: kept, at })));
        self.ways[fork] = Way::Group(kept);
        self.unused.0.push(left);
        self.unused.1.push(other);
        true
    }

    fn way(&self, row: &B::Row) -> (usize, u32) {
        let (point, mut at) = (row.point(), 0);
        loop {
            match self.ways[at] {
                Way::Group(group) => return (at, group),
                Way::Fork { side, value, left, right } => {
                    at = if along(&point, row, side) < value { left } else { right } as usize;
                }
            }
        }
    }

    fn part(&mut self, way: usize, group: u32, moved: &mut Vec<(u32, Spot)>) -> bool {
        let mut rows: Vec<Pointed<B::Row>> = self.groups[group as usize].rows().map(pointed).collect();
        let Some((side, value)) = cut(&mut rows, B::Row::LASTING) else { return false };
        let (low, high) = rows.into_iter().partition(|(point, row)| along(point, row, side) < value);
        let other = self.unused.1.pop().unwrap_or_else(|| {
            self.groups.push(Group::new());
            // Four thousand million groups do not fit in memory.
            (self.groups.len() - 1) as u32
        });
        for (group, part) in [(group, low), (other, high)] {
            self.groups[group as usize].fill(part, |slot, at| moved.push((slot, Spot { group, at })));
        }
        let left = self.unused.0.pop().unwrap_or_else(|| {
            self.ways.extend([Way::Group(group); 2]);
            (self.ways.len() - 2) as u32
        });
        self.ways[left as usize] = Way::Group(group);
        self.ways[left as usize + 1] = Way::Group(other);
        self.ways[way] = Way::Fork { side, value, left, right: left + 1 };
        true
    }
}

/// Cuts the rows at the middle of their widest side, again and again, into whole blocks and a rest.
fn split<'a, R>(rows: &'a mut [Pointed<R>], parts: &mut Vec<&'a [Pointed<R>]>) {
    if rows.len() <= LANES {
        if !rows.is_empty() {
            parts.push(rows);
        }
        return;
    }
    let side = widest(rows);
    let middle = rows.len().div_ceil(LANES).div_ceil(2) * LANES;
    rows.select_nth_unstable_by(middle, |(a, _), (b, _)| a[side].total_cmp(&b[side]));
    let (low, high) = rows.split_at_mut(middle);
    split(low, parts);
    split(high, parts);
}

/// The side along which they are spread most.
fn widest<R>(rows: &[Pointed<R>]) -> usize {
    let spreads = spreads(rows);
    (0..SIDES).fold(0, |best, side| if spreads[side] > spreads[best] { side } else { best })
}

/// Half of the range and the standard deviation together: a few far off count, and so does the crowd.
fn spreads<R>(rows: &[Pointed<R>]) -> [f64; SIDES] {
    let mut sums = [(0.0_f64, 0.0_f64, f32::INFINITY, f32::NEG_INFINITY); SIDES];
    for (point, _) in rows {
        for (sum, value) in sums.iter_mut().zip(point) {
            let exact = f64::from(*value);
            *sum = (sum.0 + exact, sum.1 + exact * exact, sum.2.min(*value), sum.3.max(*value));
        }
    }
    let count = rows.len() as f64;
    sums.map(|(sum, squares, low, high)| {
        let variance = (squares / count - (sum / count) * (sum / count)).max(0.0);
        f64::from(high - low) / 2.0 + variance.sqrt()
    })
}

/// A lasting side and a value below which at least an eighth of the rows are, and at most seven; of the sides that have one, the
/// widest, and if none has, the slots. `None` only where slots meet in their hashes.
fn cut<R: Row>(rows: &mut [Pointed<R>], lasting: usize) -> Option<(usize, f32)> {
    let spreads = spreads(rows);
    let mut sides: Vec<usize> = (0..lasting).collect();
    sides.sort_by(|a, b| spreads[*b].total_cmp(&spreads[*a]));
    sides.push(BY_SLOT);
    sides.into_iter().find_map(|side| {
        let value = |(point, row): &Pointed<R>| along(point, row, side);
        let middle = rows.len() / 2;
        rows.select_nth_unstable_by(middle, |a, b| value(a).total_cmp(&value(b)));
        let median = value(&rows[middle]);
        // Many may be equal to the median: then above them.
        let above = rows.iter().map(value).filter(|it| *it > median).fold(f32::INFINITY, f32::min);
        [median, above]
            .into_iter()
            .find(|cut| {
                let below = rows.iter().filter(|row| value(row) < *cut).count();
                below * 8 >= rows.len() && (rows.len() - below) * 8 >= rows.len()
            })
            .map(|cut| (side, cut))
    })
}

/// The set bits, ascending.
pub(super) fn lanes(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}
