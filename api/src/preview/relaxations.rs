//! What a person might ask for instead to see more homes: each is the same statement with one thing asked for less. Pure.
//!
//! Does not know how many more homes there are, or what a filter does.

use schemas::amenities::AmenitySet;
use schemas::money::Money;
use schemas::preferences::{MAX_COMMUTE_MINUTES, Preferences};
use schemas::units::{Bathrooms, RadiusKm, SchoolRating};
use serde::Serialize;
use serde_json::{Value, json};

/// By how much the budget is raised, in per cent.
const BUDGET_PERCENT: [i64; 3] = [3, 5, 10];
/// Minutes by which a commute may be longer.
const COMMUTE_MINUTES: u16 = 10;
/// Tenths by which a school may be rated lower.
const SCHOOL_TENTHS: u8 = 10;
/// The widest circle that can be asked for, metres.
const MAX_RADIUS_M: u32 = 500_000;

/// One thing that is asked for less.
#[derive(Clone, Debug, PartialEq)]
pub struct Relaxation {
    /// The member of the statement.
    pub filter: &'static str,
    /// What it says.
    pub from: Value,
    /// What it would say; null: nothing.
    pub to: Value,
    /// In words, as the beginning of a sentence.
    pub says: String,
    /// The whole statement with it.
    pub preferences: Preferences,
}

/// All that a statement can ask for less.
pub fn relaxations(asked: &Preferences) -> Vec<Relaxation> {
    let mut all = Vec::new();
    for percent in BUDGET_PERCENT {
        let cents = asked.budget.cents();
        let raised = i128::from(cents) * i128::from(100 + percent) / 100;
        // A budget near the greatest amount is not raised.
        if let Some(raised) =
            i64::try_from(raised).ok().and_then(Money::from_cents).filter(|raised| *raised > asked.budget)
        {
            let says = format!("With {percent} % more budget ({raised} {})", asked.currency);
            all.push(one(asked, "budget", asked.budget, raised, says, |it| it.budget = raised));
        }
    }
    if let Some((min, fewer)) = asked.min_bedrooms.and_then(|min| Some((min, min.checked_sub(1)?))) {
        let says = format!("With one bedroom less ({fewer})");
        all.push(one(asked, "min_bedrooms", min, fewer, says, |it| it.min_bedrooms = Some(fewer)));
    }
    let half_less = |min: Bathrooms| Some((min, Bathrooms::from_steps(min.steps().checked_sub(1)?)?));
    if let Some((min, fewer)) = asked.min_bathrooms.and_then(half_less) {
        let says = format!("With half a bathroom less ({fewer})");
        all.push(one(asked, "min_bathrooms", min, fewer, says, |it| it.min_bathrooms = Some(fewer)));
    }
    if let Some(min) = asked.min_living_area_sqft.filter(|min| *min > 1) {
        // Rounded down; at most what was asked, so that it fits.
        let less = (u64::from(min) * 9 / 10).max(1) as u32;
        let says = format!("With 10 % less living area ({less} sqft)");
        all.push(one(asked, "min_living_area_sqft", min, less, says, |it| it.min_living_area_sqft = Some(less)));
    }
    if let Some(circle) = asked.place.within {
        let metres = circle.radius_km.steps();
        let wider = (u64::from(metres) * 5 / 4).min(u64::from(MAX_RADIUS_M)) as u32;
        if let Some(radius_km) = RadiusKm::from_steps(wider).filter(|wider| *wider > circle.radius_km) {
            let says = format!("With a radius of {radius_km} km");
            let widen =
                |it: &mut Preferences| it.place.within = Some(schemas::preferences::Circle { radius_km, ..circle });
            all.push(one(asked, "place/within/radius_km", circle.radius_km, radius_km, says, widen));
        }
    }
    if let Some(max) = asked.max_commute_minutes.filter(|max| *max < MAX_COMMUTE_MINUTES) {
        let longer = (max + COMMUTE_MINUTES).min(MAX_COMMUTE_MINUTES);
        let says = format!("With {} minutes more on the way ({longer})", longer - max);
        all.push(one(asked, "max_commute_minutes", max, longer, says, |it| it.max_commute_minutes = Some(longer)));
    }
    if let Some(min) = asked.min_school_rating.filter(|min| min.steps() > 0)
        && let Some(lower) = SchoolRating::from_steps(min.steps().saturating_sub(SCHOOL_TENTHS))
    {
        let says = format!("With schools rated {lower} or better");
        all.push(one(asked, "min_school_rating", min, lower, says, |it| it.min_school_rating = Some(lower)));
    }
    for word in asked.required_amenities.words() {
        let others = asked.required_amenities.words().filter(|other| *other != word);
        let others = others.filter_map(AmenitySet::of_word).fold(AmenitySet::EMPTY, AmenitySet::or);
        let says = format!("Without {}", word.replace('_', " "));
        all.push(one(asked, "required_amenities", word, Value::Null, says, |it| it.required_amenities = others));
    }
    if !asked.property_sub_types.is_empty() {
        let says = "With other kinds of homes too".to_owned();
        let kinds = &asked.property_sub_types;
        all.push(one(asked, "property_sub_types", kinds, Value::Null, says, |it| it.property_sub_types.clear()));
    }
    all
}

/// One thing asked for less.
fn one(
    asked: &Preferences,
    filter: &'static str,
    from: impl Serialize,
    to: impl Serialize,
    says: String,
    relax: impl FnOnce(&mut Preferences),
) -> Relaxation {
    let mut preferences = asked.clone();
    relax(&mut preferences);
    Relaxation { filter, from: json!(from), to: json!(to), says, preferences }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relaxed(statement: &Value) -> Vec<String> {
        let asked = Preferences::parse(statement.to_string().as_bytes()).unwrap();
        let all = relaxations(&asked);
        for one in &all {
            assert_ne!(one.preferences, asked, "{}", one.says);
            assert_eq!(Preferences::parse(&one.preferences.to_json()).as_ref(), Ok(&one.preferences), "{}", one.says);
        }
        all.into_iter().map(|one| one.says).collect()
    }

    #[test]
    fn everything_that_is_asked_can_be_asked_for_less() {
        let statement = json!({
            "budget": 100_000.5, "place": {"within": {"latitude": 47, "longitude": -122, "radius_km": 10}}, "min_bedrooms": 3,
            "min_bathrooms": 2, "min_living_area_sqft": 1_500, "max_commute_minutes": 595, "min_school_rating": 0.5,
            "required_amenities": ["pool", "air_conditioning"], "property_sub_types": ["Villa"],
        });
        insta::assert_json_snapshot!(relaxed(&statement), @r#"
        [
          "With 3 % more budget (103000.51 USD)",
          "With 5 % more budget (105000.52 USD)",
          "With 10 % more budget (110000.55 USD)",
          "With one bedroom less (2)",
          "With half a bathroom less (1.5)",
          "With 10 % less living area (1350 sqft)",
          "With a radius of 12.5 km",
          "With 5 minutes more on the way (600)",
          "With schools rated 0 or better",
          "Without pool",
          "Without air conditioning",
          "With other kinds of homes too"
        ]
        "#);
    }

    #[test]
    fn what_is_not_asked_or_at_its_end_is_not_relaxed() {
        assert_eq!(relaxed(&json!({"budget": 999_999_999_999.99, "place": {"country": "us"}})), [""; 0]);
        let least = json!({"budget": 0.01, "place": {"country": "us"}, "min_bedrooms": 0, "min_bathrooms": 0, "min_living_area_sqft": 1,
                           "max_commute_minutes": 600, "min_school_rating": 0});
        assert_eq!(relaxed(&least), [""; 0]);
    }
}
