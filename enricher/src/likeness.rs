//! Likeness by a feed's own numbers, as a manifest asks for it: `comparables_similar_price.30.grade:0.5` is the mean close price
//! of the 30 nearest sales, where a sale counts less by e^−0.5 for each step that its grade is apart;
//! `comparables_similar_price_per_sqft.30.grade:0.5` the same mean of what they closed at per square foot.
//!
//! Pure. What it says of sales is in `comparables.rs`; a name that tells of people is refused in `features.rs`.

use std::fmt;

use crate::comparables::MIN_SALES;

/// How the names are written.
pub const FORM: &str = "comparables_similar_price[_per_sqft].<neighbours>.<attribute>:<weight>[+<attribute>:<weight>…]";
/// Most neighbours: the time to find them grows with their number, and prices 50 homes away say little.
pub const MOST_NEIGHBOURS: usize = 50;
/// Most attributes of one such feature.
pub const MOST_ATTRIBUTES: usize = 8;
/// Most such features of one model: each passes over all of its neighbours.
pub const MOST_FEATURES: usize = 4;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// `comparables_similar_price`: what sales closed at, in currency units.
    Price,
    /// `comparables_similar_price_per_sqft`: the same per square foot of living area.
    PricePerSqft,
}

/// A comparison that a manifest asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarPrice {
    of: Of,
    neighbours: usize,
    weights: Vec<(String, f64)>,
    /// As the manifest writes it, without the first word.
    written: String,
}

impl Of {
    const fn name(self) -> &'static str {
        match self {
            Self::Price => "comparables_similar_price",
            Self::PricePerSqft => "comparables_similar_price_per_sqft",
        }
    }
}

impl SimilarPrice {
    /// Reads what stands behind the first word; an error says what was expected.
    pub fn read(of: Of, written: &str) -> Result<Self, String> {
        let (neighbours, attributes) = written.split_once('.').ok_or_else(|| FORM.to_owned())?;
        let neighbours = whole(neighbours)
            .filter(|count| (MIN_SALES..=MOST_NEIGHBOURS).contains(count))
            .ok_or_else(|| format!("{FORM} with {MIN_SALES} to {MOST_NEIGHBOURS} neighbours, not `{neighbours}`"))?;
        let mut weights: Vec<(String, f64)> = Vec::new();
        for part in attributes.split('+') {
            let (name, weight) = part
                .rsplit_once(':')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| format!("{FORM}, where `{part}` is no <attribute>:<weight>"))?;
            let weight = decimal(weight).ok_or_else(|| {
                format!("{FORM} with weights such as 0.5, more than 0 and finite, not `{weight}` for {name}")
            })?;
            if weights.iter().any(|(before, _)| before == name) {
                return Err(format!("{FORM} with each attribute once, not {name} twice"));
            }
            weights.push((name.to_owned(), weight));
        }
        if weights.len() > MOST_ATTRIBUTES {
            return Err(format!("{FORM} with at most {MOST_ATTRIBUTES} attributes, not {}", weights.len()));
        }
        Ok(Self { of, neighbours, weights, written: written.to_owned() })
    }

    /// What is compared.
    pub const fn of(&self) -> Of {
        self.of
    }

    /// How many neighbours are compared with.
    pub const fn neighbours(&self) -> usize {
        self.neighbours
    }

    /// The attributes, and by how much (powers of e) a sale counts less per unit that it is apart.
    pub fn weights(&self) -> &[(String, f64)] {
        &self.weights
    }
}

/// Digits alone: `usize` would read a sign, too.
fn whole(text: &str) -> Option<usize> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Digits and a point alone: a `+` parts attributes, and `inf` is no weight.
fn decimal(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|weight: &f64| is_plain && weight.is_finite() && *weight > 0.0)
}

impl fmt::Display for SimilarPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.of.name(), self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_neighbours_attributes_and_weights() {
        let asked = SimilarPrice::read(Of::PricePerSqft, "30.grade:0.5+Local:Code:2").unwrap();
        assert_eq!(asked.neighbours(), 30);
        assert_eq!(asked.weights(), [("grade".to_owned(), 0.5), ("Local:Code".to_owned(), 2.0)]);
        assert_eq!(asked.to_string(), "comparables_similar_price_per_sqft.30.grade:0.5+Local:Code:2");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        let nine: Vec<String> = (0..9).map(|n| format!("a{n}:1")).collect();
        for (written, says) in [
            ("30", FORM),
            ("9.grade:1", "with 10 to 50 neighbours, not `9`"),
            ("51.grade:1", "with 10 to 50 neighbours, not `51`"),
            ("+30.grade:1", "with 10 to 50 neighbours, not `+30`"),
            (".grade:1", "with 10 to 50 neighbours, not ``"),
            ("30.", "where `` is no <attribute>:<weight>"),
            ("30.grade", "where `grade` is no <attribute>:<weight>"),
            ("30.:1", "where `:1` is no <attribute>:<weight>"),
            ("30.grade:1+", "where `` is no <attribute>:<weight>"),
            ("30.grade:", "not `` for grade"),
            ("30.grade:0", "more than 0 and finite, not `0` for grade"),
            ("30.grade:-1", "not `-1` for grade"),
            ("30.grade:inf", "not `inf` for grade"),
            ("30.grade:NaN", "not `NaN` for grade"),
            ("30.grade:1e5", "not `1e5` for grade"),
            ("30.grade:1+view:2+grade:3", "with each attribute once, not grade twice"),
            (&format!("30.{}", nine.join("+")), "with at most 8 attributes, not 9"),
            (&format!("30.grade:{}", "9".repeat(400)), "for grade"),
        ] {
            let error = SimilarPrice::read(Of::Price, written).unwrap_err();
            assert!(error.starts_with(FORM) && error.ends_with(says), "{written}: {error}");
        }
    }
}
