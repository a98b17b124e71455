//! Ensembles of decision trees: read from a network's file, evaluated many rows at a time, and asked why.
//!
//! Pure, and knows columns and rows, nothing of listings. ONNX Runtime calls it through `onnx/operator.rs`.
//!
//! * `read.rs`: from the file to an [`Ensemble`], or why not.
//! * `evaluate.rs`: a matrix in, sums out; few rows by `walk.rs`, many by `slices.rs` with `kernel.rs`.
//! * `shapley.rs`: what each feature adds to one sum.

pub mod evaluate;
mod file;
pub mod kernel;
#[cfg(test)]
mod laws;
pub mod read;
pub mod shapley;
mod slices;
mod walk;

/// Trees of which each adds the weight of one leaf to one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Columns of a row.
    pub features: usize,
    /// What each target has beside its trees.
    pub base_values: Vec<f32>,
    /// In the order in which their weights are added up.
    pub trees: Vec<Tree>,
}

impl Ensemble {
    /// Numbers that come out of a row.
    pub fn targets(&self) -> usize {
        self.base_values.len()
    }
}

/// One tree. Every split stands before those below it; no split and no leaf is reached on two ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// The target that it adds to.
    pub target: usize,
    /// The root first.
    pub splits: Vec<Split>,
    /// The weights, one more than there are splits.
    pub leaves: Vec<f32>,
    /// How many rows of the training went where; `None` where the file does not say.
    pub covers: Option<Covers>,
}

impl Tree {
    /// Where a row enters.
    pub fn root(&self) -> Branch {
        if self.splits.is_empty() { Branch::Leaf(0) } else { Branch::Split(0) }
    }
}

/// Where a row goes on: low where its feature is at most the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// The column.
    pub feature: u16,
    /// The greatest number that goes low.
    pub threshold: f32,
    /// Where a missing number (NaN) goes.
    pub missing_goes_low: bool,
    /// Where the row goes on from here.
    pub low: Branch,
    /// Where the row goes on from here.
    pub high: Branch,
}

impl Split {
    /// Where a row with this value goes on.
    pub fn branch(&self, value: f32) -> Branch {
        if goes_high(value, self.threshold, self.missing_goes_low) { self.high } else { self.low }
    }
}

/// What is below a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Number of a split.
    Split(u32),
    /// Number of a leaf.
    Leaf(u32),
}

/// Rows of the training that reached each split and each leaf.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Covers {
    /// By number of the split.
    pub splits: Vec<f32>,
    /// By number of the leaf.
    pub leaves: Vec<f32>,
}

/// The one decision that there is. A comparison with NaN is false.
#[inline(always)]
fn goes_high(value: f32, threshold: f32, missing_goes_low: bool) -> bool {
    (value > threshold) | (value.is_nan() & !missing_goes_low)
}
