//! What each feature adds to one sum: exact Shapley values of the trees, where a feature that is not known yet goes both ways
//! at a split, in the shares in which the rows of the training did.
//!
//! TreeSHAP, path-dependent: Lundberg et al., *From local explanations to global understanding with explainable AI for
//! trees*, Nature Machine Intelligence 2 (2020), algorithm 2. LightGBM's `pred_contrib` gives the same.

use super::{Branch, Covers, Ensemble, Tree};

/// Largest relative difference between the rows of a split and those of its two branches: counts above 16 million are not
/// exact in 32 bits.
const COVER_TOLERANCE: f64 = 1e-3;

/// Why the trees do not explain themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncovered {
    /// The file says nothing of its training.
    #[error("the file does not say how many rows of the training went where (nodes_hitrates)")]
    Unsaid,
    /// The counts are none.
    #[error("nodes_hitrates of tree {0} are no counts of rows: what enters a split must leave it")]
    Wrong(usize),
}

/// The trees of one target, made ready to explain.
pub struct Shapley {
    trees: Vec<(Tree, Covers)>,
    features: usize,
    expected: f64,
}

impl Shapley {
    /// Takes the trees of a target and checks their counts.
    pub fn new(ensemble: &Ensemble, target: usize) -> Result<Self, Uncovered> {
        let mut trees = Vec::new();
        for (number, tree) in ensemble.trees.iter().enumerate().filter(|(_, tree)| tree.target == target) {
            let covers = tree.covers.clone().ok_or(Uncovered::Unsaid)?;
            if !add_up(tree, &covers) {
                return Err(Uncovered::Wrong(number));
            }
            trees.push((tree.clone(), covers));
        }
        let base = f64::from(ensemble.base_values[target]);
        let expected = base + trees.iter().map(|(tree, covers)| expected(tree, covers)).sum::<f64>();
        Ok(Self { trees, features: ensemble.features, expected })
    }

    /// The sum of a row of which nothing is known: the mean over the training.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// What each feature of the row adds; together with what is expected, the row's sum.
    pub fn contributions(&self, row: &[f32]) -> Vec<f64> {
        let mut contributions = vec![0.0; self.features];
        for (tree, covers) in &self.trees {
            let mut descent = Descent { tree, covers, row, contributions: &mut contributions };
            descent.enter(tree.root(), Path::default(), Part { feature: None, unknown: 1.0, known: 1.0, weight: 0.0 });
        }
        contributions
    }
}

fn cover(covers: &Covers, branch: Branch) -> f64 {
    f64::from(match branch {
        Branch::Split(split) => covers.splits[split as usize],
        Branch::Leaf(leaf) => covers.leaves[leaf as usize],
    })
}

fn add_up(tree: &Tree, covers: &Covers) -> bool {
    let splits = tree.splits.iter().zip(&covers.splits);
    let mut sums = splits.map(|(split, &rows)| (f64::from(rows), cover(covers, split.low) + cover(covers, split.high)));
    covers.leaves.iter().all(|rows| *rows > 0.0)
        && sums.all(|(rows, below)| (rows - below).abs() <= COVER_TOLERANCE * below)
}

fn expected(tree: &Tree, covers: &Covers) -> f64 {
    let weighed = tree.leaves.iter().zip(&covers.leaves).map(|(&weight, &rows)| f64::from(weight) * f64::from(rows));
    weighed.sum::<f64>() / covers.leaves.iter().map(|&rows| f64::from(rows)).sum::<f64>()
}

/// One feature on the way to a node.
#[derive(Clone, Copy)]
struct Part {
    /// `None` at the root.
    feature: Option<u16>,
    /// The share of rows that come this far where the feature is not known.
    unknown: f64,
    /// The same where it is: 1, or 0 when the row goes elsewhere.
    known: f64,
    /// The share of the sets of features of this size that let the row through.
    weight: f64,
}

/// The features on the way to a node, each once.
#[derive(Clone, Default)]
struct Path(Vec<Part>);

impl Path {
    /// EXTEND of the paper.
    fn extend(&mut self, part: Part) {
        let depth = self.0.len();
        self.0.push(Part { weight: if depth == 0 { 1.0 } else { 0.0 }, ..part });
        for i in (0..depth).rev() {
            let weight = self.0[i].weight / (depth + 1) as f64;
            self.0[i + 1].weight += part.known * weight * (i + 1) as f64;
            self.0[i].weight = part.unknown * weight * (depth - i) as f64;
        }
    }

    /// UNWIND of the paper: the weights without one feature.
    fn without(&self, index: usize) -> impl Iterator<Item = (usize, f64)> {
        let depth = self.0.len() - 1;
        let Part { unknown, known, .. } = self.0[index];
        let mut next = self.0[depth].weight;
        (0..depth).rev().map(move |i| {
            let left = (depth - i) as f64 / (depth + 1) as f64;
            let weight = if known == 0.0 {
                self.0[i].weight / (unknown * left)
            } else {
                next * (depth + 1) as f64 / ((i + 1) as f64 * known)
            };
            next = self.0[i].weight - weight * unknown * left;
            (i, weight)
        })
    }

    /// Takes one feature out.
    fn unwind(&mut self, index: usize) {
        let weights: Vec<_> = self.without(index).collect();
        self.0.remove(index);
        for (i, weight) in weights {
            self.0[i].weight = weight;
        }
    }
}

/// The way of one row down one tree, on all branches.
struct Descent<'a> {
    tree: &'a Tree,
    covers: &'a Covers,
    row: &'a [f32],
    contributions: &'a mut [f64],
}

impl Descent<'_> {
    fn enter(&mut self, branch: Branch, mut path: Path, part: Part) {
        path.extend(part);
        match branch {
            Branch::Leaf(leaf) => self.arrive(&path, f64::from(self.tree.leaves[leaf as usize])),
            Branch::Split(split) => self.part(split as usize, path),
        }
    }

    fn arrive(&mut self, path: &Path, weight: f64) {
        for (index, part) in path.0.iter().enumerate() {
            let Some(feature) = part.feature else { continue };
            let share: f64 = path.without(index).map(|(_, weight)| weight).sum();
            self.contributions[usize::from(feature)] += share * (part.known - part.unknown) * weight;
        }
    }

    fn part(&mut self, number: usize, mut path: Path) {
        let split = self.tree.splits[number];
        let taken = split.branch(self.row[usize::from(split.feature)]);
        let rows = cover(self.covers, Branch::Split(number as u32));
        // A feature that was asked before is one part still.
        let before = path.0.iter().position(|part| part.feature == Some(split.feature));
        let (mut unknown, mut known) = (1.0, 1.0);
        if let Some(index) = before {
            (unknown, known) = (path.0[index].unknown, path.0[index].known);
            path.unwind(index);
        }
        for branch in [split.low, split.high] {
            let part = Part {
                feature: Some(split.feature),
                unknown: unknown * cover(self.covers, branch) / rows,
                known: if branch == taken { known } else { 0.0 },
                weight: 0.0,
            };
            self.enter(branch, path.clone(), part);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::laws::{FEATURES, TARGETS, covered, ensemble, plainly, row};
    use super::*;

    /// The sum of a tree where only the features of a set are known.
    fn knowing(tree: &Tree, row: &[f32], set: usize, branch: Branch) -> f64 {
        let covers = tree.covers.as_ref().unwrap();
        let Branch::Split(number) = branch else { return leaf(tree, branch) };
        let split = tree.splits[number as usize];
        let feature = usize::from(split.feature);
        if set >> feature & 1 == 1 {
            return knowing(tree, row, set, split.branch(row[feature]));
        }
        let share = |branch| cover(covers, branch) / (cover(covers, split.low) + cover(covers, split.high));
        let way = |branch| share(branch) * knowing(tree, row, set, branch);
        way(split.low) + way(split.high)
    }

    fn leaf(tree: &Tree, branch: Branch) -> f64 {
        match branch {
            Branch::Leaf(leaf) => f64::from(tree.leaves[leaf as usize]),
            Branch::Split(_) => unreachable!(),
        }
    }

    /// Shapley's definition: the mean, over all orders, of what a feature adds to those known before it.
    fn by_definition(ensemble: &Ensemble, target: usize, row: &[f32]) -> Vec<f64> {
        let factorial = |n: usize| (1..=n).product::<usize>() as f64;
        let sum = |set| -> f64 {
            let trees = ensemble.trees.iter().filter(|tree| tree.target == target);
            trees.map(|tree| knowing(tree, row, set, tree.root())).sum()
        };
        let sums: Vec<f64> = (0..1 << FEATURES).map(sum).collect();
        let adds = |feature: usize, set: usize| {
            let size = set.count_ones() as usize;
            let orders = factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES);
            orders * (sums[set | 1 << feature] - sums[set])
        };
        let without = |feature: usize| (0..1 << FEATURES).filter(move |set| set >> feature & 1 == 0);
        (0..FEATURES).map(|feature| without(feature).map(|set| adds(feature, set)).sum()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn contributions_are_those_of_the_definition_and_sum_to_the_prediction(
            ensemble in ensemble(), row in row(), target in 0..TARGETS,
        ) {
            let ensemble = covered(ensemble);
            let shapley = Shapley::new(&ensemble, target).unwrap();
            let contributions = shapley.contributions(&row);
            for (ours, expected) in contributions.iter().zip(by_definition(&ensemble, target, &row)) {
                prop_assert!((ours - expected).abs() < 1e-6, "{} {}", ours, expected);
            }
            let sum = shapley.expected() + contributions.iter().sum::<f64>();
            let predicted = f64::from(plainly(&ensemble, &row)[target]);
            prop_assert!((sum - predicted).abs() < 1e-4, "{} {}", sum, predicted);
        }
    }

    #[test]
    fn counts_that_are_missing_or_do_not_add_up_are_refused() {
        let split = super::super::Split {
            feature: 0,
            threshold: 1.0,
            missing_goes_low: true,
            low: Branch::Leaf(0),
            high: Branch::Leaf(1),
        };
        let with = |covers| {
            let tree = Tree { target: 0, splits: vec![split], leaves: vec![1.0, 5.0], covers };
            Shapley::new(&Ensemble { features: 1, base_values: vec![10.0], trees: vec![tree] }, 0)
        };
        let counts = |split: f32, leaves: [f32; 2]| Some(Covers { splits: vec![split], leaves: leaves.to_vec() });
        assert_eq!(with(None).err(), Some(Uncovered::Unsaid));
        for wrong in [counts(1.0, [1.0, 1.0]), counts(3.0, [3.0, 0.0]), counts(-4.0, [-3.0, -1.0])] {
            assert_eq!(with(wrong.clone()).err(), Some(Uncovered::Wrong(0)), "{wrong:?}");
        }
        let shapley = with(counts(4.0, [3.0, 1.0])).unwrap();
        assert_eq!((shapley.expected(), shapley.contributions(&[2.0])), (12.0, vec![3.0]));
    }
}
