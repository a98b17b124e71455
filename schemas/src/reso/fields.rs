//! The members that roost reads, by their RESO names, and its own in RESO style where RESO has none.
//!
//! Only names: what a member means is told where it is read.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

macro_rules! fields {
    ($($name:ident),+ $(,)?) => {
        /// A member that roost knows. Its `Debug` text is its RESO name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Field { $($name),+ }
        impl Field {
            /// Every field, in declaration order.
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),+];
            /// The RESO name.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

fields! {
    // Identity.
    ListingKey, ListingId, OriginatingSystemName,
    // State and time.
    StandardStatus, PropertyType, PropertySubType, ModificationTimestamp,
    OnMarketTimestamp, OnMarketDate, OriginalEntryTimestamp, DaysOnMarket,
    // Money.
    ListPrice, ListPriceCurrency, OriginalListPrice, ClosePrice, CloseDate, AssociationFee, AssociationFeeFrequency,
    // Place.
    Country, StateOrProvince, City, PostalCode, UnparsedAddress, StreetNumber, StreetDirPrefix, StreetName,
    StreetSuffix, StreetDirSuffix, UnitNumber, Latitude, Longitude,
    // Size.
    BedroomsTotal, BathroomsTotalDecimal, BathroomsFull, BathroomsHalf, BathroomsTotalInteger, LivingArea,
    LivingAreaUnits, LotSizeArea, LotSizeUnits, LotSizeSquareFeet, LotSizeAcres, YearBuilt,
    // Roost's own.
    SchoolRating, CommuteMinutes, Amenities,
    // Seller's wishes.
    InternetEntireListingDisplayYN, InternetAddressDisplayYN, InternetAutomatedValuationDisplayYN,
    // Shown.
    PublicRemarks, ListingURL, Media,
    // Lists of features.
    AccessibilityFeatures, Appliances, AssociationAmenities, Basement, BuildingFeatures, CommunityFeatures, Cooling,
    ExteriorFeatures, Fencing, FireplaceFeatures, GreenEnergyGeneration, Heating, InteriorFeatures, LaundryFeatures,
    LotFeatures, ParkingFeatures, PatioAndPorchFeatures, PetsAllowed, PoolFeatures, SecurityFeatures, SpaFeatures,
    View, WaterfrontFeatures,
    // Features as yes or no.
    AttachedGarageYN, BasementYN, CarportYN, CoolingYN, FireplaceYN, GarageYN, HeatingYN, NewConstructionYN,
    OpenParkingYN, PoolPrivateYN, SeniorCommunityYN, SpaYN, ViewYN, WaterfrontYN,
}

/// Other spellings of the fields for which RESO has no name.
const ALSO: &[(&str, Field)] = &[
    ("school_rating", Field::SchoolRating),
    ("commute_minutes", Field::CommuteMinutes),
    ("amenities", Field::Amenities),
    ("list_price_currency", Field::ListPriceCurrency),
];

/// By name, and whether that is the RESO name.
static NAMED: LazyLock<FxHashMap<&'static str, (Field, bool)>> = LazyLock::new(|| {
    let reso = Field::ALL.iter().map(|field| (field.name(), (*field, true)));
    reso.chain(ALSO.iter().map(|(name, field)| (*name, (*field, false)))).collect()
});

impl Field {
    /// The field of that name, and whether that is its RESO name.
    pub(super) fn named(name: &str) -> Option<(Self, bool)> {
        NAMED.get(name).copied()
    }
}
