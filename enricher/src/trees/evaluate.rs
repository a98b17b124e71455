//! From a matrix to the sums of the trees: few rows one by one, many in blocks.
//!
//! A row's sums are the same to the last bit in any batch and with any kernel: the weights of a target are added in the
//! order of the trees, in 32 bits, and its base value last.

use super::Ensemble;
use super::kernel::Kernel;
use super::slices::{Block, Scratch, Slices, WORD};
use super::walk::Walk;

/// An ensemble made ready to evaluate. Threads share it; each has its own [`Room`].
pub struct Evaluator {
    features: usize,
    base_values: Vec<f32>,
    walk: Walk,
    slices: Slices,
    kernel: Kernel,
}

/// Where a thread keeps what lies between rows and sums. Grows to what a block needs and stays.
#[derive(Debug, Default)]
pub struct Room(Scratch);

impl Evaluator {
    /// Makes it ready; takes some milliseconds.
    pub fn new(ensemble: &Ensemble, kernel: Kernel) -> Self {
        Self {
            features: ensemble.features,
            base_values: ensemble.base_values.clone(),
            walk: Walk::new(ensemble),
            slices: Slices::new(ensemble),
            kernel,
        }
    }

    /// Columns of a row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Numbers that come out of a row.
    pub fn targets(&self) -> usize {
        self.base_values.len()
    }

    /// Writes the sums of each row, both row by row. What has no partner on the other side is left alone.
    pub fn evaluate(&self, rows: &[f32], sums: &mut [f32], room: &mut Room) {
        let (features, targets) = (self.features, self.targets());
        let count = (rows.len() / features).min(sums.len() / targets);
        let mut start = 0;
        while start < count {
            let left = count - start;
            // The narrowest block that takes all, up to the widest.
            let words = match left.div_ceil(WORD) {
                1 if left <= self.kernel.few_rows() => 0,
                1 => 1,
                2 => 2,
                _ => 4,
            };
            let taken = (words * WORD).clamp(1, left);
            let rows = &rows[start * features..(start + taken) * features];
            let out = &mut sums[start * targets..(start + taken) * targets];
            match words {
                0 => self.row(rows, out),
                1 => self.block::<1>(rows, out, room),
                2 => self.block::<2>(rows, out, room),
                _ => self.block::<4>(rows, out, room),
            }
            start += taken;
        }
    }

    fn row(&self, row: &[f32], sums: &mut [f32]) {
        sums.fill(0.0);
        self.walk.add(row, sums);
        for (sum, base) in sums.iter_mut().zip(&self.base_values) {
            *sum += base;
        }
    }

    fn block<const W: usize>(&self, rows: &[f32], out: &mut [f32], room: &mut Room) {
        self.kernel.run::<W>(Block {
            slices: &self.slices,
            walk: &self.walk,
            base_values: &self.base_values,
            rows,
            out,
            scratch: &mut room.0,
        });
    }
}
