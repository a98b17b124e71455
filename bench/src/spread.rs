//! Times as a distribution: percentiles of all of them, no averages.

use std::fmt;

/// Milliseconds, sorted.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// Of these milliseconds.
    pub fn of(mut milliseconds: Vec<f64>) -> Self {
        milliseconds.sort_unstable_by(f64::total_cmp);
        Self(milliseconds)
    }

    /// The time that this share of all stays below; 0 when there is none.
    pub fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} / {:.1} / {:.1} ms", self.at(0.5), self.at(0.99), self.at(0.999))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let spread = Spread::of((0..1_001).rev().map(f64::from).collect());
        assert_eq!((spread.at(0.5), spread.at(0.99), spread.at(0.999)), (500.0, 990.0, 999.0));
        assert_eq!(Spread::default().at(0.5), 0.0);
    }
}
