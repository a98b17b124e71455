//! A home as older clients know it: every member is always there, and `null` where nobody knows. Pure.
//!
//! Made of what the seller lets be shown (`property.rs`), never of the fact itself.

use schemars::JsonSchema;
use schemas::id::{ListingId, Market};
use schemas::money::Money;
use schemas::recommendation::RecommendedItem;
use schemas::units::{Bathrooms, Instant, SchoolRating};
use serde::Serialize;

use crate::places::written;
use crate::property::Property;

/// A home.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OlderProperty {
    /// `<feed>:<ListingKey>`.
    pub id: ListingId,
    /// The address if its seller shows it, else `3-bedroom home in Seattle`.
    pub title: String,
    /// What is asked for it; a rent is the monthly price.
    pub price: Option<Money>,
    /// `Seattle, WA`.
    pub location: String,
    /// How many bedrooms.
    pub bedrooms: Option<u16>,
    /// How many bathrooms, in halves.
    pub bathrooms: Option<Bathrooms>,
    /// Living area in square feet.
    pub size_sqft: Option<u32>,
    /// Year.
    pub year_built: Option<u16>,
    /// The amenities known; empty where none is.
    pub amenities: Vec<&'static str>,
    /// Pictures; empty where none is known.
    pub image_urls: Vec<String>,
    /// 0 to 10.
    pub school_rating: Option<SchoolRating>,
    /// Minutes to the city centre.
    pub commute_time: Option<u16>,
    /// When roost first saw it.
    pub created_at: Option<Instant>,
    /// When it last changed.
    pub updated_at: Instant,
}

/// A home with what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OlderPropertyDetail {
    /// The home.
    #[serde(flatten)]
    pub property: OlderProperty,
    /// What it is worth; `null` where its seller forbids to say so, or no model knows.
    pub predicted_price: Option<i64>,
}

/// One of the three.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OlderPick {
    /// The home.
    pub property: OlderProperty,
    /// What it is worth; `null` where its seller forbids to say so, or no model knows.
    pub predicted_price: Option<i64>,
    /// 0 to 100, in tenths.
    pub match_score: f64,
    /// Why it is one of the three: a sentence for each part of its score, what gave most first.
    pub reasons: Vec<String>,
}

impl OlderPropertyDetail {
    /// Of what may be shown.
    pub fn of(shown: Property) -> Self {
        let listing = shown.listing;
        let predicted_price = shown.valuation.map(|valuation| valuation.p50.units());
        let city = listing.city.clone().unwrap_or_else(|| city_of(&listing.market));
        let location = match &listing.state_or_province {
            Some(state) => format!("{city}, {state}"),
            None => city.clone(),
        };
        let title = listing.unparsed_address.unwrap_or_else(|| title(listing.bedrooms_total, &city));
        let property = OlderProperty {
            id: listing.listing_id,
            title,
            price: listing.list_price,
            location,
            bedrooms: listing.bedrooms_total,
            bathrooms: listing.bathrooms_total,
            size_sqft: listing.living_area_sqft,
            year_built: listing.year_built,
            amenities: listing.amenities.unwrap_or_default().words().collect(),
            image_urls: listing.photo_url.into_iter().collect(),
            school_rating: listing.school_rating,
            commute_time: shown.commute.map(|commute| commute.minutes),
            created_at: Some(shown.first_seen_at),
            updated_at: shown.changed_at,
        };
        Self { property, predicted_price }
    }
}

impl OlderPick {
    /// Of a pick and its home as it may be shown now; without that, of what the pick itself says.
    pub fn of(item: RecommendedItem, shown: Option<Property>) -> Self {
        let mut parts = item.components;
        parts.sort_by_key(|part| std::cmp::Reverse(part.points));
        let reasons = parts.into_iter().map(|part| part.reason).filter(|reason| !reason.is_empty()).collect();
        let match_score = f64::from(item.score) / 10.0;
        let OlderPropertyDetail { property, predicted_price } = match shown {
            Some(shown) => OlderPropertyDetail::of(shown),
            None => OlderPropertyDetail {
                predicted_price: item.valuation.map(|valuation| valuation.p50.units()),
                property: OlderProperty {
                    id: item.listing_id,
                    title: item.title,
                    price: Some(item.list_price),
                    location: written(&item.market)
                        .rsplit_once(", ")
                        .map_or_else(String::new, |(place, _)| place.to_owned()),
                    bedrooms: item.bedrooms_total,
                    bathrooms: item.bathrooms_total,
                    size_sqft: item.living_area_sqft,
                    year_built: None,
                    amenities: Vec::new(),
                    image_urls: item.photo_url.into_iter().collect(),
                    school_rating: None,
                    commute_time: None,
                    created_at: None,
                    updated_at: item.changed_at,
                },
            },
        };
        Self { property, predicted_price, match_score, reasons }
    }
}

fn title(bedrooms: Option<u16>, city: &str) -> String {
    bedrooms.map_or(format!("Home in {city}"), |bedrooms| format!("{bedrooms}-bedroom home in {city}"))
}

fn city_of(market: &Market) -> String {
    written(market).split(", ").next().unwrap_or_default().to_owned()
}
