//! A row at a time: down all trees, eight of them side by side, so that the processor always has another load to wait for.

use super::{Branch, Ensemble, Split, Tree, goes_high};

/// Trees that are gone down together.
const ABREAST: usize = 8;

/// The trees as steps of 16 bytes. A leaf leads to itself, so that trees of different depth can go down together.
pub(super) struct Walk {
    steps: Vec<Step>,
    roots: Vec<Root>,
}

struct Step {
    /// The threshold; of a leaf, the weight.
    value: f32,
    feature: u16,
    missing_goes_low: bool,
    /// Low and high.
    next: [u32; 2],
}

struct Root {
    step: u32,
    /// Splits on the longest way to a leaf.
    depth: u32,
    target: u32,
}

impl Walk {
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        let mut walk = Self { steps: Vec::new(), roots: Vec::new() };
        for tree in &ensemble.trees {
            walk.plant(tree);
        }
        walk
    }

    fn plant(&mut self, tree: &Tree) {
        let start = self.steps.len() as u32;
        let step = |branch| match branch {
            Branch::Split(split) => start + split,
            Branch::Leaf(leaf) => start + tree.splits.len() as u32 + leaf,
        };
        self.steps.extend(tree.splits.iter().map(|&Split { feature, threshold, missing_goes_low, low, high }| Step {
            value: threshold,
            feature,
            missing_goes_low,
            next: [step(low), step(high)],
        }));
        self.steps.extend(tree.leaves.iter().zip(0..).map(|(&weight, leaf)| Step {
            value: weight,
            feature: 0,
            missing_goes_low: false,
            next: [step(Branch::Leaf(leaf)); 2],
        }));
        self.roots.push(Root { step: step(tree.root()), depth: depth(tree), target: tree.target as u32 });
    }

    /// Adds the weight of each tree to the sum of its target.
    pub(super) fn add(&self, row: &[f32], sums: &mut [f32]) {
        for roots in self.roots.chunks(ABREAST) {
            let mut steps = [0; ABREAST];
            let mut depth = 0;
            for (step, root) in steps.iter_mut().zip(roots) {
                *step = root.step;
                depth = depth.max(root.depth);
            }
            for _ in 0..depth {
                for step in &mut steps {
                    *step = self.next(*step, |feature| row[feature]);
                }
            }
            for (step, root) in steps.iter().zip(roots) {
                sums[root.target as usize] += self.steps[*step as usize].value;
            }
        }
    }

    /// The weight that one tree has for a row.
    pub(super) fn weight(&self, tree: usize, value: impl Fn(usize) -> f32) -> f32 {
        let root = &self.roots[tree];
        let leaf = (0..root.depth).fold(root.step, |step, _| self.next(step, &value));
        self.steps[leaf as usize].value
    }

    #[inline(always)]
    fn next(&self, step: u32, value: impl Fn(usize) -> f32) -> u32 {
        let step = &self.steps[step as usize];
        let is_high = goes_high(value(usize::from(step.feature)), step.value, step.missing_goes_low);
        step.next[usize::from(is_high)]
    }
}

/// Splits on the longest way to a leaf.
fn depth(tree: &Tree) -> u32 {
    let mut below = vec![0; tree.splits.len()];
    // Every split stands before those below it.
    for (i, split) in tree.splits.iter().enumerate().rev() {
        let deeper = |branch| match branch {
            Branch::Split(split) => below[split as usize],
            Branch::Leaf(_) => 0,
        };
        below[i] = 1 + deeper(split.low).max(deeper(split.high));
    }
    below.first().copied().unwrap_or(0)
}
