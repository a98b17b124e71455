//! Why a home is worth what the model says: which of its features moved the price, and by how much.
//!
//! Pure, and on demand: a row takes about a millisecond. Explains the median (p50) by the trees that were trained for it, in
//! logarithms, where they are added up; amounts of money follow from these.

use crate::onnx::GOLDEN_TOLERANCE;
use crate::registry::Package;
use crate::trees::evaluate::{Evaluator, Room};
use crate::trees::kernel::Kernel;
use crate::trees::read::{Network, Unreadable};
use crate::trees::shapley::{Shapley, Uncovered};

/// The target of the median, among p10, p50 and p90.
const MEDIAN: usize = 1;

/// Why the prices of a model cannot be explained.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unexplained {
    /// Its trees are not understood, or it has none.
    #[error("the model's trees cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// Its file lacks what is needed.
    #[error("{0}; export the model again (enricher/model)")]
    Uncovered(#[from] Uncovered),
    /// Its trees are not those of three quantiles.
    #[error("the trees have {0} targets, not the three quantiles")]
    Targets(usize),
    /// Its trees do not sum to the logarithm of the price.
    #[error("the trees make {ours} of golden row {row}, the manifest says {expected}")]
    NotLogPrice {
        /// The golden row.
        row: usize,
        /// The exponential of the sum.
        ours: f64,
        /// The price in the manifest.
        expected: f64,
    },
}

/// Explains the prices of one model. Threads share it.
pub struct Explainer {
    shapley: Shapley,
}

impl Explainer {
    /// Reads the model's trees, and checks on the golden rows that they are the logarithms of its prices.
    pub fn new(package: &Package) -> Result<Self, Unexplained> {
        let ensemble = Network::parse(&package.onnx)?.ensemble(package.features.len())?;
        if ensemble.targets() != 3 {
            return Err(Unexplained::Targets(ensemble.targets()));
        }
        let evaluator = Evaluator::new(&ensemble, Kernel::Portable);
        for (row, golden) in package.manifest.golden.iter().enumerate() {
            let mut sums = [0.0; 3];
            evaluator.evaluate(&golden.inputs(), &mut sums, &mut Room::default());
            let mut prices = sums.map(|sum| f64::from(sum).exp());
            prices.sort_unstable_by(f64::total_cmp);
            for (ours, expected) in prices.into_iter().zip([golden.p10, golden.p50, golden.p90]) {
                // Written so that a NaN on either side fails.
                let within = (ours - expected).abs() <= GOLDEN_TOLERANCE * expected.abs();
                if !within {
                    return Err(Unexplained::NotLogPrice { row, ours, expected });
                }
            }
        }
        Ok(Self { shapley: Shapley::new(&ensemble, MEDIAN)? })
    }

    /// Explains the price of a row, which has as many numbers as the model has features; NaN where one is missing.
    pub fn explain(&self, row: &[f32]) -> Explanation {
        Explanation::of(self.shapley.expected(), &self.shapley.contributions(row))
    }
}

/// Why a row has its price: from the price of a home of which nothing is known, part by part, to its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Logarithm of the price of a home of which nothing is known: the mean over the training.
    pub base_log: f64,
    /// That price, in currency units.
    pub base_price: f64,
    /// What the features did, the most first. A feature that did nothing is not there.
    pub parts: Vec<Part>,
    /// `base_log` and the contributions: the logarithm of p50. Where the quantiles cross, which are trained one by one, p50
    /// is the one in the middle and may be another.
    pub log_price: f64,
    /// That price, in currency units, before rounding.
    pub price: f64,
}

/// What one feature did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Its column.
    pub feature: usize,
    /// What it added to the logarithm of the price.
    pub contribution: f64,
    /// What it added to the price, in currency units, on top of the parts before it. All amounts lead from `base_price` to
    /// `price`; one by itself depends on that order, the factor does not.
    pub amount: f64,
}

impl Part {
    /// What it multiplied the price by.
    pub fn factor(&self) -> f64 {
        self.contribution.exp()
    }
}

impl Explanation {
    /// Puts contributions, by feature, in the order of their size and turns them into amounts.
    pub fn of(base_log: f64, contributions: &[f64]) -> Self {
        let mut by_size: Vec<_> = contributions.iter().copied().enumerate().filter(|(_, c)| *c != 0.0).collect();
        by_size.sort_by(|(_, one), (_, other)| other.abs().total_cmp(&one.abs()));
        let mut log_price = base_log;
        let mut parts = Vec::with_capacity(by_size.len());
        for (feature, contribution) in by_size {
            let before = log_price;
            log_price += contribution;
            parts.push(Part { feature, contribution, amount: log_price.exp() - before.exp() });
        }
        Self { base_log, base_price: base_log.exp(), parts, log_price, price: log_price.exp() }
    }
}

/// What brought a price about, in whole currency units that sum to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Of a home of which nothing is known.
    pub base: i64,
    /// What each feature that did something added, the most first: its column, its factor, and the amount.
    pub features: Vec<(usize, f64, i64)>,
    /// What the level of the market's recent closings added; and, where quantiles cross, what sorting them did.
    pub level: i64,
}

impl Explanation {
    /// In whole units: each rounded so that they sum to `p50`, the price as it is told.
    pub fn told(&self, p50: i64) -> Told {
        let base = self.base_price.round();
        let (mut exact, mut so_far) = (self.base_price, base);
        let features = self.parts.iter().map(|part| {
            exact += part.amount;
            let amount = exact.round() - so_far;
            so_far = exact.round();
            // Amounts of money are far within reach.
            (part.feature, part.factor(), amount as i64)
        });
        let features = features.collect();
        Told { base: base as i64, features, level: p50 - so_far as i64 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::onnx::tests::package;

    /// What LightGBM itself says of rows of the test model `trees/1` (`tests/models/make_trees.py`).
    #[derive(Deserialize)]
    struct Fixture {
        features: Vec<Option<f32>>,
        contributions: Vec<f64>,
        expected: f64,
    }

    #[test]
    fn contributions_are_those_of_lightgbm() {
        let fixtures: Vec<Fixture> =
            serde_json::from_str(include_str!("../tests/models/trees/1/contributions.json")).unwrap();
        let explainer = Explainer::new(&package("trees", "1")).unwrap();
        assert!(fixtures.iter().any(|fixture| fixture.features.contains(&None)));
        for fixture in fixtures {
            let row: Vec<f32> = fixture.features.iter().map(|v| v.unwrap_or(f32::NAN)).collect();
            let explanation = explainer.explain(&row);
            assert!((explanation.base_log - fixture.expected).abs() < 1e-4, "{row:?}");
            let mut ours = vec![0.0; row.len()];
            for part in &explanation.parts {
                ours[part.feature] = part.contribution;
            }
            for (ours, expected) in ours.iter().zip(&fixture.contributions) {
                assert!((ours - expected).abs() < 1e-4, "{row:?}: {ours} {expected}");
            }
        }
    }

    #[test]
    fn a_model_without_trees_or_counts_says_so() {
        let error = Explainer::new(&package("tiny", "1")).err().unwrap().to_string();
        assert_eq!(error, "the model's trees cannot be read: the network has no TreeEnsembleRegressor");

        let mut other = package("trees", "1");
        other.manifest.golden[1].p50 *= 1.01;
        let error = Explainer::new(&other).err().unwrap().to_string();
        assert!(error.contains("of golden row 1, the manifest says"), "{error}");
    }

    #[test]
    fn parts_stand_in_the_order_of_their_size_and_nothing_is_no_part() {
        let explanation = Explanation::of(100_f64.ln(), &[0.0, 0.5_f64.ln(), 1.5_f64.ln(), -1e-3]);
        assert_eq!(explanation.parts.iter().map(|part| part.feature).collect::<Vec<_>>(), [1, 2, 3]);
        assert!((explanation.parts[0].amount + 50.0).abs() < 1e-9);
        assert!((explanation.parts[1].amount - 25.0).abs() < 1e-9);
        assert!((explanation.parts[1].factor() - 1.5).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn amounts_lead_from_the_base_price_to_the_price(
            base in 0.0_f64..20.0, contributions in prop::collection::vec(-1.0_f64..1.0, 0..30),
        ) {
            let explanation = Explanation::of(base, &contributions);
            let amounts: f64 = explanation.parts.iter().map(|part| part.amount).sum();
            let distance = explanation.price - explanation.base_price;
            prop_assert!((amounts - distance).abs() <= 1e-9 * explanation.price.max(explanation.base_price));
            let sum = base + contributions.iter().sum::<f64>();
            prop_assert!((explanation.log_price - sum).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_told_sums_to_the_price_whatever_is_rounded() {
        let contributions = [0.0, 0.2, -0.5, 1e-7, 0.013];
        let told = Explanation::of(12.7, &contributions).told(512_345);
        assert_eq!(told.base + told.features.iter().map(|(.., amount)| amount).sum::<i64>() + told.level, 512_345);
        assert_eq!(told.features.iter().map(|(feature, ..)| *feature).collect::<Vec<_>>(), [2, 1, 4, 3]);
        assert!((told.features[0].1 - 0.60653).abs() < 1e-5);
    }
}
