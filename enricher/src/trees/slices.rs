//! Many rows at a time, a bit each: every condition of the whole ensemble is compared once per row and kept as a mask of
//! rows; masks flow down the trees; what arrives at the leaves says which leaf each row is in.
//!
//! An ensemble asks the same few thousand questions over and over (an ensemble of 155,000 splits was seen to have 9,000
//! conditions), and a mask goes past a split in two instructions for 256 rows. No row takes a branch of its own.
//!
//! The idea of conditions as bits is QuickScorer's (Lucchese et al., SIGIR 2015); here a bit is a row, not a leaf.

use std::ops::Range;

use super::walk::Walk;
use super::{Branch, Ensemble, Tree};

/// Rows in a word of a mask.
pub(super) const WORD: usize = 64;
/// Most leaves that fit the tables of a kernel.
pub(super) const FEW: usize = 64;
/// Most leaves that a byte counts. Larger trees are walked.
pub(super) const MANY: usize = 256;

/// The trees as conditions and flows.
pub(super) struct Slices {
    conditions: Vec<Condition>,
    flows: Vec<Flow>,
    trees: Vec<SlicedTree>,
    few: Vec<[f32; FEW]>,
    many: Vec<[f32; MANY]>,
}

/// Who goes high at a split. Sorted by feature, so that a feature's values are loaded once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    feature: u16,
    pub(super) missing_goes_low: bool,
    pub(super) threshold: f32,
}

impl Condition {
    fn key(&self) -> (u16, bool, u32) {
        (self.feature, self.missing_goes_low, self.threshold.to_bits())
    }
}

/// A split: its condition, and the slots where its rows go on; [`MANY`] and above are leaves.
struct Flow {
    condition: u32,
    low: u16,
    high: u16,
}

struct SlicedTree {
    target: u32,
    flows: Range<u32>,
    /// Bits of a leaf's number.
    bits: u8,
    weights: Weights,
}

/// Where the weights of a tree's leaves are.
enum Weights {
    /// Number among those with few leaves.
    Few(u32),
    /// Number among those with many.
    Many(u32),
    /// Too many: number of the tree, which is walked.
    Walked(u32),
}

/// What a block of rows needs room for; kept from call to call.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// By feature: the values of all rows.
    columns: Vec<f32>,
    /// By condition: who goes high.
    masks: Vec<u64>,
    /// By target: the sums of all rows.
    sums: Vec<f32>,
    /// By slot: who gets there.
    slots: Vec<u64>,
}

/// What an instruction set does its own way, 64 rows at a time.
pub(super) trait Way {
    /// Bit by bit, which of the values go high.
    fn high(&self, values: &[f32; WORD], condition: &Condition) -> u64;
    /// Adds to each sum the weight of its leaf, whose number stands across the planes, a bit in each.
    fn add(&self, planes: &[u64; 6], weights: &[f32; FEW], sums: &mut [f32; WORD]);
}

/// At most `64 W` rows, and what is needed for their sums.
pub(super) struct Block<'a> {
    pub(super) slices: &'a Slices,
    pub(super) walk: &'a Walk,
    pub(super) base_values: &'a [f32],
    /// Row by row.
    pub(super) rows: &'a [f32],
    /// The sums, row by row.
    pub(super) out: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
}

impl Block<'_> {
    /// Evaluates the rows.
    #[inline(always)]
    pub(super) fn run<const W: usize>(self, way: &impl Way) {
        let Scratch { columns, masks, sums, slots } = self.scratch;
        let targets = self.base_values.len();
        let count = self.out.len() / targets;
        transpose::<W>(self.rows, self.rows.len() / count, columns);
        self.slices.compare::<W>(columns, masks, way);
        sums.clear();
        sums.resize(targets * W * WORD, 0.0);
        slots.resize(2 * MANY * W, 0);
        let sums = as_blocks_mut::<W>(sums);
        for tree in &self.slices.trees {
            let sums = &mut sums[tree.target as usize];
            match tree.weights {
                Weights::Few(number) => {
                    let planes = self.slices.descend::<W, 6>(tree, masks, slots);
                    let weights = &self.slices.few[number as usize];
                    for (planes, sums) in planes.iter().zip(sums) {
                        way.add(planes, weights, sums);
                    }
                }
                Weights::Many(number) => {
                    let planes = self.slices.descend::<W, 8>(tree, masks, slots);
                    let weights = &self.slices.many[number as usize];
                    for (planes, sums) in planes.iter().zip(sums) {
                        add_each(*planes, |number| weights[usize::from(number)], sums);
                    }
                }
                Weights::Walked(number) => {
                    for (row, sum) in sums.as_flattened_mut()[..count].iter_mut().enumerate() {
                        *sum += self.walk.weight(number as usize, |feature| columns[feature * W * WORD + row]);
                    }
                }
            }
        }
        for (target, (sums, base)) in sums.iter().zip(self.base_values).enumerate() {
            for (out, sum) in self.out.iter_mut().skip(target).step_by(targets).zip(sums.as_flattened()) {
                *out = sum + base;
            }
        }
    }
}

impl Slices {
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        let sliced = || ensemble.trees.iter().filter(|tree| tree.leaves.len() <= MANY);
        let mut conditions: Vec<_> = sliced().flat_map(|tree| tree.splits.iter().map(condition)).collect();
        conditions.sort_unstable_by_key(Condition::key);
        conditions.dedup_by_key(|condition| condition.key());
        let mut slices = Self { conditions, flows: Vec::new(), trees: Vec::new(), few: Vec::new(), many: Vec::new() };
        for (number, tree) in ensemble.trees.iter().enumerate() {
            slices.plant(number as u32, tree);
        }
        slices
    }

    fn plant(&mut self, number: u32, tree: &Tree) {
        let start = self.flows.len() as u32;
        let weights = match tree.leaves.len() {
            leaves if leaves <= FEW => Weights::Few(push(&mut self.few, &tree.leaves)),
            leaves if leaves <= MANY => Weights::Many(push(&mut self.many, &tree.leaves)),
            _ => Weights::Walked(number),
        };
        if !matches!(weights, Weights::Walked(_)) {
            let conditions = &self.conditions;
            self.flows.extend(tree.splits.iter().map(|split| {
                let key = condition(split).key();
                // Each split's condition is among them.
                let condition = conditions.partition_point(|known| known.key() < key) as u32;
                Flow { condition, low: slot(split.low), high: slot(split.high) }
            }));
        }
        self.trees.push(SlicedTree {
            target: tree.target as u32,
            flows: start..self.flows.len() as u32,
            bits: tree.leaves.len().next_power_of_two().trailing_zeros() as u8,
            weights,
        });
    }

    /// Compares every condition with every row.
    #[inline(always)]
    fn compare<const W: usize>(&self, columns: &[f32], masks: &mut Vec<u64>, way: &impl Way) {
        masks.resize(self.conditions.len() * W, 0);
        let (words, _) = columns.as_chunks::<WORD>();
        let (columns, _) = words.as_chunks::<W>();
        let (masks, _) = masks.as_chunks_mut::<W>();
        for (condition, mask) in self.conditions.iter().zip(masks) {
            let column = &columns[usize::from(condition.feature)];
            for (mask, values) in mask.iter_mut().zip(column) {
                *mask = way.high(values, condition);
            }
        }
    }

    /// Lets all rows flow down a tree. Returns for each word of rows the numbers of their leaves, a bit in each plane.
    #[inline(always)]
    fn descend<const W: usize, const BITS: usize>(
        &self,
        tree: &SlicedTree,
        masks: &[u64],
        slots: &mut [u64],
    ) -> [[u64; BITS]; W] {
        let (masks, _) = masks.as_chunks::<W>();
        let (slots, _) = slots.as_chunks_mut::<W>();
        let (splits, rest) = slots.split_at_mut(MANY);
        let leaves = &mut rest[..MANY];
        let flows = &self.flows[tree.flows.start as usize..tree.flows.end as usize];
        let bits = usize::from(tree.bits);
        leaves[flows.len() + 1..1 << bits].fill([0; W]);
        splits[0] = [!0; W];
        for (flow, split) in flows.iter().zip(0..) {
            let (here, high) = (splits[split], masks[flow.condition as usize]);
            put(splits, leaves, flow.low, std::array::from_fn(|w| here[w] & !high[w]));
            put(splits, leaves, flow.high, std::array::from_fn(|w| here[w] & high[w]));
        }
        let mut planes = [[0; BITS]; W];
        // The odd leaves have the lowest bit; then neighbours are one leaf, and so on.
        for bit in 0..bits.min(BITS) {
            let mut odd = [0; W];
            for pair in 0..(1 << bits) >> (bit + 1) {
                let [one, other] = [leaves[2 * pair], leaves[2 * pair + 1]];
                odd = std::array::from_fn(|w| odd[w] | other[w]);
                leaves[pair] = std::array::from_fn(|w| one[w] | other[w]);
            }
            for (planes, odd) in planes.iter_mut().zip(odd) {
                planes[bit] = odd;
            }
        }
        planes
    }
}

#[inline(always)]
fn as_blocks_mut<const W: usize>(floats: &mut [f32]) -> &mut [[[f32; WORD]; W]] {
    let (words, _) = floats.as_chunks_mut::<WORD>();
    let (blocks, _) = words.as_chunks_mut::<W>();
    blocks
}

fn condition(split: &super::Split) -> Condition {
    // A zero below zero compares as zero.
    let threshold = if split.threshold == 0.0 { 0.0 } else { split.threshold };
    Condition { feature: split.feature, missing_goes_low: split.missing_goes_low, threshold }
}

/// A branch of a tree that has at most [`MANY`] leaves.
fn slot(branch: Branch) -> u16 {
    match branch {
        Branch::Split(split) => split as u16,
        Branch::Leaf(leaf) => MANY as u16 + leaf as u16,
    }
}

#[inline(always)]
fn put<const W: usize>(splits: &mut [[u64; W]], leaves: &mut [[u64; W]], slot: u16, mask: [u64; W]) {
    let slot = usize::from(slot);
    if slot < MANY { splits[slot] = mask } else { leaves[slot - MANY] = mask }
}

fn push<const N: usize>(tables: &mut Vec<[f32; N]>, weights: &[f32]) -> u32 {
    let mut table = [0.0; N];
    table[..weights.len()].copy_from_slice(weights);
    tables.push(table);
    tables.len() as u32 - 1
}

/// From rows to columns of `64 W` values each. What stands behind the last row is of no meaning, and no sum of it is read.
#[inline(always)]
fn transpose<const W: usize>(rows: &[f32], features: usize, columns: &mut Vec<f32>) {
    columns.resize(features * W * WORD, 0.0);
    for (feature, column) in columns.chunks_exact_mut(W * WORD).enumerate() {
        for (value, row) in column.iter_mut().zip(rows.chunks_exact(features)) {
            *value = row[feature];
        }
    }
}

/// The way of plain Rust.
pub(super) struct Plain;

impl Way for Plain {
    #[inline(always)]
    fn high(&self, values: &[f32; WORD], condition: &Condition) -> u64 {
        let threshold = condition.threshold;
        if condition.missing_goes_low {
            pack(values.map(|value| u8::from(value > threshold)))
        } else {
            pack(values.map(|value| u8::from((value > threshold) | value.is_nan())))
        }
    }

    #[inline(always)]
    fn add(&self, planes: &[u64; 6], weights: &[f32; FEW], sums: &mut [f32; WORD]) {
        let [a, b, c, d, e, f] = *planes;
        add_each([a, b, c, d, e, f, 0, 0], |number| weights[usize::from(number) % FEW], sums);
    }
}

/// Adds to each sum the weight of its leaf, whose number stands across the planes.
#[inline(always)]
fn add_each(mut planes: [u64; 8], weight: impl Fn(u8) -> f32, sums: &mut [f32; WORD]) {
    turn(&mut planes);
    for (word, k) in planes.into_iter().zip(0..) {
        for (number, i) in word.to_le_bytes().into_iter().zip(0..) {
            sums[8 * i + k] += weight(number);
        }
    }
}

/// The lowest bits of 64 bytes.
#[inline(always)]
fn pack(bytes: [u8; WORD]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    // The product moves the lowest bit of byte i to bit 56 + i; no two bits meet.
    let eight = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().zip(0..).fold(0, |mask, (bytes, i)| mask | eight(bytes) << (8 * i))
}

/// Exchanges rows and columns of 8 times 8 bits, eight times side by side (Warren, *Hacker's Delight*, 7-3): of the numbers whose
/// bits stood across the words, that of bit `8 i + k` is then byte `i` of word `k`.
#[inline(always)]
fn turn(words: &mut [u64; 8]) {
    for (distance, mask) in [(4, 0x0F0F_0F0F_0F0F_0F0F), (2, 0x3333_3333_3333_3333), (1, 0x5555_5555_5555_5555)] {
        for one in (0..8).filter(|one| one & distance == 0) {
            let other = one + distance;
            let differing = ((words[one] >> distance) ^ words[other]) & mask;
            words[other] ^= differing;
            words[one] ^= differing << distance;
        }
    }
}
