//! How alike two homes are, for `GET /properties/{id}/similar`: a plain distance of what anybody can see. Pure.
//!
//! It ranks nothing for a session, and has nothing to do with the score.

use std::cmp::Ordering;

use schemas::listing::Listing;

/// Most homes that are told.
pub const MOST: usize = 10;
/// Thousandths that an attribute counts which either home does not state: half of itself.
const UNKNOWN: u64 = 500;
/// Thousandths that a bedroom more or less counts: as much as a tenth of the price.
const BEDROOM: u64 = 100;
/// Most thousandths that one attribute counts.
const MOST_OF_ONE: u64 = 10_000;

/// Of two homes, the more alike first: the same sub-type, then the distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance {
    /// Whether the sub-types differ.
    pub is_other_sub_type: bool,
    /// How far apart, in thousandths: by how much the price differs of the home's own, plus the same of the living area, plus 100 for
    /// each bedroom.
    pub thousandths: u64,
}

impl Distance {
    /// From one home to another of the same market, transaction and currency.
    pub fn between(home: &Listing, other: &Listing) -> Self {
        let price = relative(home.list_price.map(|p| p.cents() as u64), other.list_price.map(|p| p.cents() as u64));
        let area = relative(home.living_area_sqft.map(u64::from), other.living_area_sqft.map(u64::from));
        let bedrooms = match (home.bedrooms_total, other.bedrooms_total) {
            (Some(own), Some(other)) => (u64::from(own.abs_diff(other)) * BEDROOM).min(MOST_OF_ONE),
            (None, _) | (_, None) => UNKNOWN,
        };
        Self {
            is_other_sub_type: home.property_sub_type != other.property_sub_type,
            thousandths: price + area + bedrooms,
        }
    }
}

fn relative(own: Option<u64>, other: Option<u64>) -> u64 {
    match (own, other) {
        // Products of amounts in cents and 1,000 stay below 2^57.
        (Some(own), Some(other)) if own > 0 => (own.abs_diff(other) * 1_000 / own).min(MOST_OF_ONE),
        (Some(_) | None, _) => UNKNOWN,
    }
}

/// The most alike first, at most [`MOST`]; of equals the first by id.
pub fn nearest<T>(mut homes: Vec<(Distance, T)>, by_id: impl Fn(&T, &T) -> Ordering) -> Vec<(Distance, T)> {
    homes.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| by_id(x, y)));
    homes.truncate(MOST);
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(members: serde_json::Value) -> Listing {
        let mut listing = serde_json::json!({
            "listing_id": "f:1", "version": {"timestamp_ms": 1, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
            "feed": "f", "standard_status": "Active", "property_type": "Residential", "property_sub_type": "Townhouse",
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD", "list_price": 500_000,
            "bedrooms_total": 3, "living_area_sqft": 2_000,
        });
        listing.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(listing).unwrap()
    }

    #[test]
    fn the_distance_is_what_its_description_says() {
        let own = home(serde_json::json!({}));
        for (other, is_other_sub_type, thousandths) in [
            (serde_json::json!({}), false, 0),
            (serde_json::json!({"list_price": 550_000}), false, 100),
            (serde_json::json!({"list_price": 450_000, "living_area_sqft": 1_900}), false, 150),
            (serde_json::json!({"bedrooms_total": 5}), false, 200),
            (serde_json::json!({"living_area_sqft": null}), false, 500),
            (serde_json::json!({"property_sub_type": "Condominium"}), true, 0),
            (serde_json::json!({"list_price": 999_999_999}), false, 10_000),
        ] {
            let expected = Distance { is_other_sub_type, thousandths };
            assert_eq!(Distance::between(&own, &home(other.clone())), expected, "{other}");
        }
    }

    #[test]
    fn the_same_sub_type_comes_first_and_ten_are_enough() {
        let at = |is_other_sub_type, thousandths| Distance { is_other_sub_type, thousandths };
        let mut homes: Vec<_> = (0..30_u64).map(|n| (at(n % 2 == 0, n), n)).collect();
        homes.push((at(false, 1), 0));
        let told: Vec<u64> = nearest(homes, u64::cmp).into_iter().map(|(_, n)| n).collect();
        assert_eq!(told, [0, 1, 3, 5, 7, 9, 11, 13, 15, 17]);
    }
}
