//! Which listings a browsing client asks for: the query of `GET /properties`, and whether a listing answers it. Pure.
//!
//! These are plain filters; how listings are ranked for a session is the scorer's alone.

use schemas::amenities::AmenitySet;
use schemas::id::Market;
use schemas::listing::Listing;
use schemas::money::Money;
use schemas::preferences::Preferences;
use schemas::priced::PricedListing;
use schemas::units::Bathrooms;
use schemas::vocabulary::{PropertySubType, StandardStatus, Transaction};
use store::ByMarket;

use crate::property::may_be_shown;
use crate::query::Query;

/// Where and how a page is cut out: read by the route.
pub const SCOPE: &[&str] = &["market", "country", "state", "city", "session", "sort", "limit", "cursor"];
/// The filters.
pub const FILTERS: &[&str] = &[
    "transaction",
    "min_price",
    "max_price",
    "beds_min",
    "baths_min",
    "area_min",
    "property_sub_type",
    "status",
    "amenities",
    "commute_max",
    "school_rating_min",
];

/// What is asked for. Everything that is `None` or empty is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    transaction: Option<Transaction>,
    min_price: Option<Money>,
    max_price: Option<Money>,
    beds_min: Option<u16>,
    baths_min: Option<Bathrooms>,
    area_min: Option<u32>,
    property_sub_type: Vec<PropertySubType>,
    status: Vec<StandardStatus>,
    amenities: AmenitySet,
    commute_max: Option<u16>,
    school_rating_min: Option<schemas::units::SchoolRating>,
    dismissed: Vec<schemas::id::ListingId>,
    currency: Option<schemas::money::Currency>,
}

impl Filters {
    /// Takes the filters out of a query; what is wrong is noted there.
    pub fn read(query: &mut Query) -> Self {
        let price = "an amount from 0 to 999999999999.99";
        let filters = Self {
            transaction: query.parsed("transaction", "sale or lease", transaction),
            min_price: query.parsed("min_price", price, Money::parse_decimal),
            max_price: query.parsed("max_price", price, Money::parse_decimal),
            beds_min: query.parsed("beds_min", "a count of bedrooms", |t| t.parse().ok()),
            baths_min: query.parsed("baths_min", "a count of bathrooms in halves", Bathrooms::parse_decimal),
            area_min: query.parsed("area_min", "a living area in square feet", |t| t.parse().ok()),
            property_sub_type: query.list("property_sub_type", &words(PropertySubType::ALL), |t| t.parse().ok()),
            status: query.list("status", "Active, ComingSoon or ActiveUnderContract", |t| {
                t.parse().ok().filter(|status: &StandardStatus| status.may_be_shown())
            }),
            amenities: query
                .list("amenities", "amenities that roost knows, see /openapi.json", AmenitySet::of_word)
                .into_iter()
                .fold(AmenitySet::EMPTY, AmenitySet::or),
            commute_max: query.parsed("commute_max", "a count of minutes", |t| t.parse().ok()),
            school_rating_min: query.parsed(
                "school_rating_min",
                "a rating from 0 to 10 in tenths",
                schemas::units::SchoolRating::parse_decimal,
            ),
            dismissed: Vec::new(),
            currency: None,
        };
        if let (Some(min), Some(max)) = (filters.min_price, filters.max_price)
            && min > max
        {
            query.refuse("min_price", "out_of_range", &min.to_string(), &format!("at most max_price, {max}"));
        }
        filters
    }

    /// Fills what the client did not ask for from a session's preferences.
    #[must_use]
    pub fn or_those_of(mut self, preferences: &Preferences) -> Self {
        self.transaction = self.transaction.or(Some(preferences.transaction));
        self.max_price = self.max_price.or(Some(preferences.budget));
        self.currency = Some(preferences.currency);
        self.beds_min = self.beds_min.or(preferences.min_bedrooms);
        self.baths_min = self.baths_min.or(preferences.min_bathrooms);
        self.area_min = self.area_min.or(preferences.min_living_area_sqft);
        self.commute_max = self.commute_max.or(preferences.max_commute_minutes);
        self.school_rating_min = self.school_rating_min.or(preferences.min_school_rating);
        self.amenities = self.amenities.or(preferences.required_amenities);
        if self.property_sub_type.is_empty() {
            self.property_sub_type.clone_from(&preferences.property_sub_types);
        }
        if self.status.is_empty() {
            let sees = |status: &StandardStatus| {
                status.is_on_market(preferences.include_coming_soon, preferences.include_under_contract)
            };
            self.status = StandardStatus::ALL.iter().copied().filter(sees).collect();
        }
        self.dismissed.clone_from(&preferences.dismissed);
        self
    }

    /// To buy unless told otherwise.
    pub fn transaction(&self) -> Transaction {
        self.transaction.unwrap_or_default()
    }

    /// The prices asked for, both ends included.
    pub fn prices(&self) -> (Money, Money) {
        let highest = Money::from_cents(schemas::money::MAX_CENTS).unwrap_or_default();
        (self.min_price.unwrap_or_default(), self.max_price.unwrap_or(highest))
    }

    /// Whether the listing that the index names is as the index says, may be shown, and is asked for.
    pub fn admit(&self, entry: &ByMarket, fact: &PricedListing) -> bool {
        let listing = &fact.listing;
        agrees(entry, listing) && may_be_shown(fact) && self.admit_listing(fact, listing)
    }

    fn admit_listing(&self, fact: &PricedListing, listing: &Listing) -> bool {
        let status_asked = match self.status.as_slice() {
            [] => listing.standard_status == StandardStatus::Active,
            asked => asked.contains(&listing.standard_status),
        };
        let (min, max) = self.prices();
        status_asked
            && listing.list_price.is_some_and(|price| (min..=max).contains(&price))
            && self.currency.is_none_or(|asked| listing.currency == asked)
            && at_least(listing.bedrooms_total, self.beds_min)
            && at_least(listing.bathrooms_total, self.baths_min)
            && at_least(listing.living_area_sqft, self.area_min)
            && (self.property_sub_type.is_empty()
                || listing.property_sub_type.is_some_and(|t| self.property_sub_type.contains(&t)))
            && listing.amenities.unwrap_or_default().contains_all(self.amenities)
            && self.commute_max.is_none_or(|max| fact.commute.is_some_and(|commute| commute.minutes <= max))
            && at_least(fact.school_rating.or(listing.school_rating), self.school_rating_min)
            && self.dismissed.binary_search(&listing.listing_id).is_err()
    }

    /// The same text for the same question: what a cursor belongs to.
    pub fn canonical(&self, markets: &[Market]) -> String {
        format!("{markets:?} {self:?}")
    }
}

/// An index entry is a hint: the listing itself must still say the same.
pub fn agrees(entry: &ByMarket, listing: &Listing) -> bool {
    listing.market == entry.market
        && listing.transaction == entry.transaction
        && listing.list_price == Some(entry.list_price)
        && listing.listing_id == entry.listing_id
}

/// An attribute that the listing lacks fails a filter that asks for it.
fn at_least<T: PartialOrd>(value: Option<T>, min: Option<T>) -> bool {
    match min {
        None => true,
        Some(min) => value.is_some_and(|value| value >= min),
    }
}

/// `sale` or `lease`.
pub fn transaction(text: &str) -> Option<Transaction> {
    [Transaction::Sale, Transaction::Lease].into_iter().find(|t| t.as_str() == text)
}

fn words(all: &[PropertySubType]) -> String {
    all.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(members: serde_json::Value) -> PricedListing {
        let version = serde_json::json!({"timestamp_ms": 1, "raw_partition": 0, "raw_offset": 0, "batch_index": 0});
        let mut listing = serde_json::json!({
            "listing_id": "f:1", "version": version, "feed": "f", "standard_status": "Active", "property_type": "Residential",
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD", "list_price": 500_000,
            "bedrooms_total": 3, "bathrooms_total": 1.5, "amenities": ["pool"], "property_sub_type": "Townhouse",
        });
        listing.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(serde_json::json!({
            "listing": listing, "content_version": version, "last_confirmed_at": "2026-01-01T00:00:00Z", "history": [],
            "first_seen_at": "2026-01-01T00:00:00Z", "last_change": "NewListing",
        }))
        .unwrap()
    }

    fn entry() -> ByMarket {
        ByMarket {
            market: "us/wa/seattle".parse().unwrap(),
            transaction: Transaction::Sale,
            list_price: Money::from_units(500_000).unwrap(),
            listing_id: "f:1".parse().unwrap(),
        }
    }

    fn filters(query: &str) -> Filters {
        let uri = format!("/x?{query}").parse().unwrap();
        let mut query = Query::read(&uri, FILTERS);
        let filters = Filters::read(&mut query);
        query.finish().unwrap();
        filters
    }

    #[test]
    fn each_filter_admits_what_meets_it_and_nothing_else() {
        let fact = fact(serde_json::json!({}));
        for (query, admitted) in [
            ("", true),
            ("min_price=500000&max_price=500000", true),
            ("min_price=500000.01", false),
            ("max_price=499999.99", false),
            ("beds_min=3", true),
            ("beds_min=4", false),
            ("baths_min=1.5", true),
            ("baths_min=2", false),
            ("area_min=1", false),
            ("property_sub_type=Condominium,townhouse", true),
            ("property_sub_type=Condominium", false),
            ("status=ComingSoon", false),
            ("status=coming soon,active", true),
            ("amenities=pool", true),
            ("amenities=pool,garage", false),
            ("commute_max=600", false),
            ("school_rating_min=0", false),
        ] {
            let query = query.replace(' ', "%20");
            assert_eq!(filters(&query).admit(&entry(), &fact), admitted, "{query}");
        }
    }

    #[test]
    fn an_index_entry_that_disagrees_with_the_listing_is_dropped() {
        for stale in [
            serde_json::json!({"list_price": 500_001}),
            serde_json::json!({"market": "us/wa/tacoma"}),
            serde_json::json!({"transaction": "lease"}),
            serde_json::json!({"standard_status": "Pending"}),
            serde_json::json!({"display_allowed": false}),
        ] {
            assert!(!filters("").admit(&entry(), &fact(stale.clone())), "{stale}");
        }
    }

    #[test]
    fn a_session_fills_what_is_not_asked() {
        let preferences: Preferences = serde_json::from_value(serde_json::json!({
            "budget": 500_000, "currency": "USD", "place": {"cities": ["us/wa/seattle"]}, "min_bedrooms": 4, "dismissed": ["f:1"],
        }))
        .unwrap();
        assert!(!filters("").or_those_of(&preferences).admit(&entry(), &fact(serde_json::json!({}))));
        let wanted = fact(serde_json::json!({"bedrooms_total": 4, "listing_id": "f:2"}));
        let entry = ByMarket { listing_id: "f:2".parse().unwrap(), ..entry() };
        assert!(filters("").or_those_of(&preferences).admit(&entry, &wanted));
        assert!(!filters("beds_min=5").or_those_of(&preferences).admit(&entry, &wanted));
        let canadian = fact(serde_json::json!({"bedrooms_total": 4, "listing_id": "f:2", "currency": "CAD"}));
        assert!(!filters("").or_those_of(&preferences).admit(&entry, &canadian));
    }
}
