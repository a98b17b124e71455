//! What a sale is: the record that a closed statement leaves on the topic `sales`.

use schemas::listing::Listing;
use schemas::priced::Valuation;
use schemas::sale::Sale;
use schemas::units::Instant;
use schemas::vocabulary::StandardStatus;

use crate::attributes::numbers_of;

/// The sale that a statement reports: closed, with a price that is not zero. `valuation` is what the listing was valued
/// at while it was offered; what a model says of it now is added when it has been asked.
pub fn sale_of(listing: &Listing, valuation: Option<&Valuation>) -> Option<Sale> {
    let close_price = listing.close_price.filter(|price| price.cents() > 0)?;
    (listing.standard_status == StandardStatus::Closed).then(|| Sale {
        listing_id: listing.listing_id.clone(),
        version: listing.version.without_epoch(),
        market: listing.market.clone(),
        transaction: listing.transaction,
        currency: listing.currency,
        close_price,
        close_date: listing
            .close_date
            .unwrap_or_else(|| Instant::from_ms(listing.version.timestamp_ms).unwrap_or_default().day()),
        list_price: listing.list_price,
        position: listing.position,
        living_area_sqft: listing.living_area_sqft,
        bedrooms_total: listing.bedrooms_total,
        bathrooms_total: listing.bathrooms_total,
        property_sub_type: listing.property_sub_type,
        year_built: listing.year_built,
        attributes: numbers_of(listing),
        valuation: valuation.cloned(),
        appraisals: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_carries_what_its_listing_says_in_numbers() {
        let mut listing = crate::testing::listing(1, "Closed", 100);
        listing.close_price = schemas::money::Money::from_units(90);
        listing.attributes = [("grade".to_owned(), 7.into()), ("name".to_owned(), "x".into())].into();
        let sale = sale_of(&listing, None).unwrap();
        assert_eq!(sale.attributes, [("grade".to_owned(), 7.0)].into());
        let again: Sale = serde_json::from_str(&serde_json::to_string(&sale).unwrap()).unwrap();
        assert_eq!(again, sale);
    }
}
