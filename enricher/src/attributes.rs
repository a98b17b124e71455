//! The numbers among what a feed says beyond the members that roost knows: which of them a sale carries, and how a remembered
//! sale holds them.
//!
//! Pure. Does not know what they are compared for (`likeness.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use schemas::listing::{Listing, MAX_ATTRIBUTES};
use serde_json::Value;

use crate::fair_housing;

/// What a value says as a number: a number, a yes or no as 1 or 0, or a text that is a number.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The same in the precision that sales are compared in; `None` also for what is not finite there.
pub(crate) fn single(value: &Value) -> Option<f32> {
    number(value).map(|number| number as f32).filter(|number| number.is_finite())
}

/// What a listing's attributes say as numbers, without those that no price may depend on by their name. No more, and no longer
/// names, than a listing may carry.
pub fn numbers_of(listing: &Listing) -> BTreeMap<String, f32> {
    let fair = |name: &str| fair_housing::ground_against(name, None).is_none();
    let numbers = listing.attributes.iter().filter_map(|(name, value)| Some((name, single(value)?)));
    numbers.filter(|(name, _)| fair(name)).map(|(name, number)| (name.clone(), number)).take(MAX_ATTRIBUTES).collect()
}

/// Names of attributes by number, so that a remembered sale holds 8 bytes for each attribute. A name lives as long as a sale
/// has it: there are never more of them than attributes of remembered sales.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: FxHashMap<Arc<str>, u32>,
    /// By number, with how many sales have it; `None` where one has left.
    names: Vec<Option<(Arc<str>, u32)>>,
    free: Vec<u32>,
}

/// The attributes of a remembered sale, by number of the name in ascending order.
pub(crate) type Kept = Box<[(u32, f32)]>;

impl Names {
    /// Keeps the attributes of a sale. Whatever wrote the sale: no more than a listing may carry, and finite ones alone.
    pub(crate) fn keep(&mut self, attributes: &BTreeMap<String, f32>) -> Kept {
        let finite = attributes.iter().filter(|(_, value)| value.is_finite()).take(MAX_ATTRIBUTES);
        let mut kept: Kept = finite.map(|(name, value)| (self.use_of(name), *value)).collect();
        kept.sort_unstable_by_key(|attribute| attribute.0);
        kept
    }

    fn use_of(&mut self, name: &str) -> u32 {
        if let Some(number) = self.find(name) {
            if let Some((_, uses)) = &mut self.names[number as usize] {
                *uses += 1;
            }
            return number;
        }
        let name: Arc<str> = name.into();
        let number = self.free.pop().unwrap_or_else(|| {
            self.names.push(None);
            // Fewer than 2^32: each takes more than 16 bytes.
            (self.names.len() - 1) as u32
        });
        self.names[number as usize] = Some((Arc::clone(&name), 1));
        self.numbers.insert(name, number);
        number
    }

    /// A sale with these attributes is no longer remembered.
    pub(crate) fn give_back(&mut self, kept: &Kept) {
        for (number, _) in kept {
            let Some((name, uses)) = &mut self.names[*number as usize] else { continue };
            *uses -= 1;
            if *uses == 0 {
                self.numbers.remove(name);
                self.names[*number as usize] = None;
                self.free.push(*number);
            }
        }
    }

    /// The number of a name; `None`: no remembered sale has it.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }
}

/// The attribute of that number, if the sale has it.
pub(crate) fn find(kept: &Kept, number: u32) -> Option<f32> {
    kept.binary_search_by_key(&number, |attribute| attribute.0).ok().map(|at| kept[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_carries_what_is_a_number_and_speaks_of_no_people() {
        let mut listing = crate::testing::listing(1, "Closed", 100);
        let attributes = serde_json::json!({
            "grade": 7, "ceiling": 2.25, "view": true, "floors": " 1.5 ", "name": "x", "list": [1], "deep": {"a": 1}, "none": null,
            "odd": "inf", "nan": "NaN", "beyond": 1e39, "pct_hispanic": 12, "HouseholdSize": 3,
        });
        listing.attributes = serde_json::from_value(attributes).unwrap();
        let numbers: Vec<_> = numbers_of(&listing).into_iter().collect();
        let expected = [("ceiling", 2.25), ("floors", 1.5), ("grade", 7.0), ("view", 1.0)];
        assert_eq!(numbers, expected.map(|(name, number)| (name.to_owned(), number)));
    }

    #[test]
    fn no_more_are_carried_or_kept_than_a_listing_may_have() {
        let mut listing = crate::testing::listing(1, "Closed", 100);
        listing.attributes = (0..MAX_ATTRIBUTES + 5).map(|n| (format!("a{n:03}"), Value::from(n))).collect();
        let numbers = numbers_of(&listing);
        assert_eq!(numbers.len(), MAX_ATTRIBUTES);
        assert!(numbers.contains_key("a063") && !numbers.contains_key("a064"), "the first by name");
        let foreign = (0..MAX_ATTRIBUTES + 5).map(|n| (format!("b{n}"), n as f32)).collect();
        assert_eq!(Names::default().keep(&foreign).len(), MAX_ATTRIBUTES);
        assert!(Names::default().keep(&BTreeMap::from([("a".to_owned(), f32::INFINITY)])).is_empty());
    }

    #[test]
    fn a_name_lives_as_long_as_a_sale_has_it() {
        let of = |pairs: &[(&str, f32)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let mut names = Names::default();
        let first = names.keep(&of(&[("grade", 7.0), ("view", 1.0)]));
        let second = names.keep(&of(&[("grade", 9.0)]));
        let grade = names.find("grade").unwrap();
        assert_eq!((find(&first, grade), find(&second, grade)), (Some(7.0), Some(9.0)));
        assert_eq!(find(&second, names.find("view").unwrap()), None);
        names.give_back(&first);
        assert_eq!((names.find("grade"), names.find("view")), (Some(grade), None));
        let third = names.keep(&of(&[("condition", 3.0), ("grade", 8.0)]));
        assert_eq!(names.names.len(), 2, "a number that was free is used again");
        assert_eq!(find(&third, grade), Some(8.0));
        names.give_back(&second);
        names.give_back(&third);
        assert!(names.numbers.is_empty() && names.names.iter().all(Option::is_none));
    }
}
