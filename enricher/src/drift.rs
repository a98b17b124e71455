//! Whether the rows that a model is asked about still look like those it was trained on: what is missing, what lies outside
//! of the training range, and how far each feature's distribution has moved.
//!
//! Pure. Sees features, never prices: a market that rises moves no feature (research measured a PSI below 0.006 while prices
//! rose by 8 %), which is what `accuracy.rs` is for.

use serde::{Deserialize, Serialize};

/// Rows of a window. At a thousand the index moves by chance to 0.02, a fifth of what the trade calls a small shift (0.1).
pub const WINDOW_ROWS: u32 = 1_000;
/// Bins of the index: between deciles.
const BINS: usize = 10;
/// The 99 % quantile of χ² with nine degrees of freedom. Without any drift n·PSI follows that distribution (Yurdakul,
/// "Statistical properties of the population stability index", 2018); measured: 0.115 at 200 rows, 0.022 at 1,000.
const CHI_SQUARE_99: f64 = 21.67;
/// Share that an empty bin is taken for, so that its logarithm is finite: half a row of a window.
const EMPTY: f64 = 0.5 / WINDOW_ROWS as f64;

/// Features that tell the time: every row lies beyond training, and that says nothing of the row.
const CLOCKS: [&str; 2] = ["days_since_epoch", "month"];

/// What one feature looked like in training, as the manifest says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub feature: String,
    /// Of its values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// Share of the rows in which it was missing.
    pub missing: f64,
    /// The smallest value; absent when it was always missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f32>,
    /// The greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greatest: Option<f32>,
    /// The nine deciles of the values that were not missing, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deciles: Vec<f32>,
}

/// One feature in a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureHealth {
    /// Share of the rows in which it is missing.
    pub missing: f64,
    /// Share of its values that lie outside of what training saw.
    pub out_of_range: f64,
    /// Population stability index against training; `None` for a feature that says too little (a flag, or nearly always
    /// missing).
    pub psi: Option<f64>,
}

/// A window of rows, by feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// In the order of the model's columns.
    pub features: Vec<FeatureHealth>,
    /// What an index of so many rows reaches by chance, one time in a hundred.
    pub psi_noise: f64,
}

/// Counts the rows of a window.
#[derive(Clone, Debug)]
pub struct Watch {
    trained: Vec<Input>,
    /// Whether each has bins.
    binned: Vec<bool>,
    rows: u32,
    counts: Vec<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    missing: u32,
    outside: u32,
    bins: [u32; BINS],
}

impl Watch {
    /// Of a model that was trained on this, column by column.
    pub fn new(trained: Vec<Input>) -> Self {
        let counts = vec![Counts::default(); trained.len()];
        let binned = trained.iter().map(|input| input.bins().is_some()).collect();
        Self { trained, binned, rows: 0, counts }
    }

    /// Takes in a row; gives the window when it is full, and begins the next.
    pub fn take(&mut self, row: &[f32]) -> Option<Window> {
        let columns = self.trained.iter().zip(&self.binned).zip(&mut self.counts);
        for (value, ((trained, is_binned), counts)) in row.iter().zip(columns) {
            counts.take(*value, trained, *is_binned);
        }
        self.rows += 1;
        (self.rows == WINDOW_ROWS).then(|| self.finish())
    }

    fn finish(&mut self) -> Window {
        let rows = f64::from(std::mem::take(&mut self.rows));
        let counts = std::mem::replace(&mut self.counts, vec![Counts::default(); self.trained.len()]);
        let features = counts.iter().zip(&self.trained).map(|(counts, trained)| counts.health(trained, rows));
        Window { features: features.collect(), psi_noise: CHI_SQUARE_99 / rows }
    }
}

impl Input {
    /// Whether a value is outside of what training saw; a missing one is not, unless none was ever missing.
    pub fn excludes(&self, value: f32) -> bool {
        let is_outside = if value.is_nan() {
            self.missing == 0.0
        } else {
            self.least.is_none_or(|least| value < least) || self.greatest.is_none_or(|greatest| value > greatest)
        };
        // Numbers first: this is asked of every number that a model sees.
        is_outside && !self.tells_the_time()
    }

    /// Whether its share is one, and its numbers ascend as they must.
    pub fn is_ordered(&self) -> bool {
        let ends = self.least.into_iter().chain(self.deciles.iter().copied()).chain(self.greatest);
        let numbers: Vec<f32> = ends.collect();
        (0.0..=1.0).contains(&self.missing)
            && (self.deciles.is_empty() || self.deciles.len() == BINS - 1)
            && numbers.windows(2).all(|pair| pair[0] <= pair[1])
    }

    fn tells_the_time(&self) -> bool {
        CLOCKS.contains(&self.feature.as_str())
    }

    /// Nine deciles, all different: a flag or a count of few values has no bins of a tenth each.
    fn bins(&self) -> Option<&[f32]> {
        let is_ascending = self.deciles.windows(2).all(|pair| pair[0] < pair[1]);
        (self.deciles.len() == BINS - 1 && is_ascending && !self.tells_the_time()).then_some(&self.deciles)
    }
}

impl Counts {
    fn take(&mut self, value: f32, trained: &Input, is_binned: bool) {
        if value.is_nan() {
            self.missing += 1;
            return;
        }
        self.outside += u32::from(trained.excludes(value));
        if is_binned {
            self.bins[trained.deciles.partition_point(|decile| *decile < value)] += 1;
        }
    }

    fn health(&self, trained: &Input, rows: f64) -> FeatureHealth {
        let known = rows - f64::from(self.missing);
        let enough = known * 2.0 >= rows && trained.missing <= 0.5;
        FeatureHealth {
            missing: f64::from(self.missing) / rows,
            out_of_range: if known > 0.0 { f64::from(self.outside) / known } else { 0.0 },
            psi: trained.bins().filter(|_| enough).map(|_| self.psi(known)),
        }
    }

    /// Σ (seen − expected) · ln(seen / expected), with a tenth expected in every bin.
    fn psi(&self, known: f64) -> f64 {
        let expected = 1.0 / BINS as f64;
        let parts = self.bins.iter().map(|count| {
            let seen = (f64::from(*count) / known).max(EMPTY);
            (seen - expected) * (seen / expected).ln()
        });
        parts.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> Input {
        Input {
            feature: "f".to_owned(),
            unit: None,
            meaning: None,
            missing: 0.1,
            least: Some(0.0),
            greatest: Some(1.0),
            deciles: (1..10).map(|decile| decile as f32 / 10.0).collect(),
        }
    }

    /// A window of numbers that a simple generator makes.
    fn window(trained: Input, of: impl Fn(f32) -> f32) -> Window {
        let mut watch = Watch::new(vec![trained]);
        let mut state = 42_u32;
        loop {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if let Some(window) = watch.take(&[of((state >> 8) as f32 / (1 << 24) as f32)]) {
                return window;
            }
        }
    }

    #[test]
    fn the_same_distribution_stays_below_the_noise_and_a_moved_one_does_not() {
        let same = window(trained(), |value| value);
        assert!(same.features[0].psi.unwrap() < same.psi_noise, "{same:?}");
        assert!((same.psi_noise - 0.0217).abs() < 1e-4);
        let moved = window(trained(), |value| value * 0.8);
        assert!(moved.features[0].psi.unwrap() > 0.1, "{moved:?}");
        let gone = window(trained(), |value| 0.05 * value);
        assert!(gone.features[0].psi.unwrap().is_finite());
    }

    #[test]
    fn what_is_missing_and_what_training_never_saw_is_counted() {
        let window = window(trained(), |value| match value {
            v if v < 0.25 => f32::NAN,
            v if v < 0.5 => 1.5,
            v => v,
        });
        let health = window.features[0];
        assert!((health.missing - 0.25).abs() < 0.05 && (health.out_of_range - 0.33).abs() < 0.06, "{health:?}");
    }

    #[test]
    fn a_flag_and_a_clock_have_no_index() {
        let flag = Input { deciles: vec![0.0; 9], missing: 0.0, ..trained() };
        assert_eq!(window(flag, |value| value.round()).features[0].psi, None);
        let clock = Input { feature: "days_since_epoch".to_owned(), ..trained() };
        assert_eq!(
            window(clock, |_| 20_000.0).features[0],
            FeatureHealth { missing: 0.0, out_of_range: 0.0, psi: None }
        );
        let absent = window(trained(), |_| f32::NAN);
        assert_eq!((absent.features[0].psi, absent.features[0].missing), (None, 1.0));
    }

    #[test]
    fn a_value_is_outside_where_training_saw_none_like_it() {
        let trained = trained();
        assert!(
            trained.excludes(1.1) && trained.excludes(-0.1) && !trained.excludes(1.0) && !trained.excludes(f32::NAN)
        );
        assert!(trained.is_ordered() && !Input { missing: -3.0, ..trained.clone() }.is_ordered());
        assert!(!Input { least: Some(2.0), ..trained.clone() }.is_ordered());
        assert!(!Input { deciles: vec![0.1, 0.2], ..trained.clone() }.is_ordered());
        assert!(Input { missing: 0.0, ..trained.clone() }.excludes(f32::NAN));
        assert!(Input { least: None, greatest: None, deciles: vec![], missing: 1.0, ..trained }.excludes(1.0));
    }
}
