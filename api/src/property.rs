//! A listing as a client sees it, within what its seller allows (RESO `Internet…DisplayYN`). Pure.
//!
//! Called *property* here alone: the HTTP edge is the one place whose users know it as that.

use schemars::JsonSchema;
use schemas::id::ListingId;
use schemas::listing::Listing;
use schemas::money::{Currency, Money};
use schemas::priced::{Commute, Deal, NoValuation, PricedListing, Valuation};
use schemas::units::Instant;
use schemas::version::ListingVersion;
use schemas::vocabulary::{ChangeType, StandardStatus};
use serde::Serialize;

/// A listing with what roost knows about it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Property {
    /// What the feed says.
    #[serde(flatten)]
    pub listing: Listing,
    /// The statement that last changed the content.
    pub content_version: ListingVersion,
    /// The time of the newest statement, which may only confirm the content.
    pub last_confirmed_at: Instant,
    /// When roost's feeds first showed it.
    pub first_seen_at: Instant,
    /// The first price known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_list_price: Option<Money>,
    /// The price before the last price change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_list_price: Option<Money>,
    /// When the price last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_changed_at: Option<Instant>,
    /// What changed last.
    pub last_change: ChangeType,
    /// When it did.
    pub changed_at: Instant,
    /// Minutes to the city centre, and whether they are estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commute: Option<Commute>,
    /// What it is worth.
    pub valuation: Option<Valuation>,
    /// Why there is no valuation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_valuation: Option<NoValuation>,
    /// How good the price is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deal: Option<Deal>,
}

impl Property {
    /// `None` when it must not be shown: its seller forbids it, or its feed has deleted it.
    pub fn of(fact: PricedListing) -> Option<Self> {
        if !may_be_shown(&fact) {
            return None;
        }
        let changed_at = fact.changed_at();
        let may_value = fact.listing.valuation_allowed;
        let mut listing = within_address_rules(fact.listing);
        // Said once: `commute`, `original_list_price` and the rating that counts.
        listing.commute_minutes = None;
        listing.feed_original_list_price = None;
        listing.school_rating = fact.school_rating.or(listing.school_rating);
        Some(Self {
            listing,
            content_version: fact.content_version,
            last_confirmed_at: fact.last_confirmed_at,
            first_seen_at: fact.first_seen_at,
            original_list_price: fact.original_list_price,
            previous_list_price: fact.previous_list_price,
            price_changed_at: fact.price_changed_at,
            last_change: fact.last_change,
            changed_at,
            commute: fact.commute,
            valuation: fact.valuation.filter(|_| may_value),
            no_valuation: if may_value { fact.no_valuation } else { Some(NoValuation::SellerOptedOut) },
            deal: fact.deal.filter(|_| may_value),
        })
    }
}

/// Whether its seller allows to show it at all, and its feed still has it.
pub fn may_be_shown(fact: &PricedListing) -> bool {
    fact.listing.display_allowed && fact.listing.standard_status != StandardStatus::Delete
}

/// Removes what tells the address, where it must not be told: also the position, the page and the free members, which
/// hold `StreetName` and the like under any name.
fn within_address_rules(mut listing: Listing) -> Listing {
    if !listing.address_display_allowed {
        listing.unparsed_address = None;
        listing.position = None;
        listing.public_remarks = None;
        listing.listing_url = None;
        listing.attributes.clear();
    }
    listing
}

/// One price and status that a listing had.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PastPoint {
    /// From when on.
    pub at: Instant,
    /// RESO `StandardStatus` from then on.
    pub standard_status: StandardStatus,
    /// RESO `ListPrice` from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_price: Option<Money>,
    /// RESO `ClosePrice`, when closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_price: Option<Money>,
    /// What changed; absent where a late statement changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeType>,
}

/// Prices and statuses of a listing, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct History {
    /// Whose.
    pub listing_id: ListingId,
    /// Of the amounts.
    pub currency: Currency,
    /// At most 64, the newest.
    pub items: Vec<PastPoint>,
}

impl History {
    /// `None` when the listing must not be shown.
    pub fn of(mut fact: PricedListing) -> Option<Self> {
        if !may_be_shown(&fact) {
            return None;
        }
        let (listing_id, currency) = (fact.listing.listing_id.clone(), fact.listing.currency);
        let mut items = Vec::with_capacity(fact.history.len());
        // The dictionary says what changed last; so take the points off one by one, and ask before each.
        while let Some(&point) = fact.history.last() {
            fact.derive_from_history();
            let at = Instant::from_ms(point.version.timestamp_ms).unwrap_or_default();
            items.push(PastPoint {
                at,
                standard_status: point.standard_status,
                list_price: point.list_price,
                close_price: point.close_price,
                change: (fact.changed_at() == at).then_some(fact.last_change),
            });
            fact.history.pop();
        }
        items.reverse();
        Some(Self { listing_id, currency, items })
    }
}

#[cfg(test)]
mod tests {
    use schemas::priced::HistoryPoint;

    use super::*;

    fn fact(members: serde_json::Value) -> PricedListing {
        let mut listing = serde_json::json!({
            "listing_id": "f:1", "version": version(1), "feed": "f", "standard_status": "Active", "property_type": "Residential",
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD", "list_price": 500_000,
            "unparsed_address": "1 Pine St", "position": {"latitude": 47.6, "longitude": -122.3}, "postal_code": "98101",
            "listing_url": "https://example.org/1-pine-st", "public_remarks": "On Pine St", "attributes": {"StreetName": "Pine"},
        });
        listing.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(serde_json::json!({
            "listing": listing, "content_version": version(1), "last_confirmed_at": "2026-01-01T00:00:00Z", "history": [],
            "first_seen_at": "2026-01-01T00:00:00Z", "last_change": "NewListing",
            "valuation": {"p10": 1, "p50": 2, "p90": 3, "model": "m", "model_version": "1"},
            "deal": {"score": 50, "valuation_gap": 50, "price_trend": 0, "source_reliability": 0, "discount": 0,
                     "competitiveness": 0, "anomaly": false},
        }))
        .unwrap()
    }

    fn version(second: i64) -> ListingVersion {
        ListingVersion { timestamp_ms: second * 1_000, ..ListingVersion::default() }
    }

    #[test]
    fn a_seller_who_forbids_display_is_obeyed() {
        assert!(Property::of(fact(serde_json::json!({}))).is_some());
        for hidden in [serde_json::json!({"display_allowed": false}), serde_json::json!({"standard_status": "Delete"})]
        {
            assert!(Property::of(fact(hidden.clone())).is_none());
            assert!(History::of(fact(hidden)).is_none());
        }
    }

    #[test]
    fn a_hidden_address_is_told_by_no_member() {
        let shown = Property::of(fact(serde_json::json!({"address_display_allowed": false}))).unwrap();
        let text = serde_json::to_string(&shown).unwrap();
        assert!(!text.to_lowercase().contains("pine") && !text.contains("47.6"), "{text}");
        assert_eq!(shown.listing.postal_code.as_deref(), Some("98101"));
    }

    #[test]
    fn a_seller_who_forbids_valuations_is_obeyed() {
        let shown = Property::of(fact(serde_json::json!({"valuation_allowed": false}))).unwrap();
        assert_eq!((shown.valuation, shown.deal, shown.no_valuation), (None, None, Some(NoValuation::SellerOptedOut)));
        assert!(Property::of(fact(serde_json::json!({}))).unwrap().valuation.is_some());
    }

    #[test]
    fn every_point_of_the_history_says_what_changed() {
        let mut fact = fact(serde_json::json!({}));
        let point = |second, status, price| HistoryPoint {
            version: version(second),
            standard_status: status,
            list_price: Money::from_units(price),
            close_price: None,
        };
        use StandardStatus::{Active, Closed, Pending};
        fact.history = vec![
            point(1, Active, 500),
            point(2, Active, 450),
            point(3, Active, 450),
            point(4, Pending, 450),
            point(5, Active, 450),
            point(6, Closed, 450),
        ];
        let changes: Vec<_> = History::of(fact).unwrap().items.into_iter().map(|p| p.change).collect();
        let expected = [
            Some(ChangeType::NewListing),
            Some(ChangeType::PriceChange),
            None,
            Some(ChangeType::Pending),
            Some(ChangeType::BackOnMarket),
            Some(ChangeType::Closed),
        ];
        assert_eq!(changes, expected);
    }
}
