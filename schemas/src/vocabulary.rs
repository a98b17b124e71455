//! RESO Data Dictionary 2.0 terms as closed enums, in machine form. Reading accepts the human form too
//! (`Active Under Contract`), any case and any separators; writing gives the machine form.

use crate::field_error::{Fault, FieldError};

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $field:literal { $($(#[$vdoc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            /// Every word, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The machine form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
            /// The word, in any of its forms.
            pub fn named(text: &str) -> Option<Self> {
                let exact = Self::ALL.iter().find(|w| w.as_str() == text);
                exact.or_else(|| Self::ALL.iter().find(|w| same_word(w.as_str(), text))).copied()
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = FieldError;
            fn from_str(text: &str) -> Result<Self, FieldError> {
                Self::named(text).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|w| w.as_str()).collect();
                    FieldError::new($field, text, Fault::UnknownWord, format!("one of {}", words.join(", ")))
                })
            }
        }
    };
}

/// Equal but for case, blanks and punctuation.
pub(crate) fn same_word(a: &str, b: &str) -> bool {
    letters_of(a).eq(letters_of(b))
}

fn letters_of(word: &str) -> impl Iterator<Item = u8> + '_ {
    word.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase())
}

vocabulary! {
    /// RESO `StandardStatus`.
    StandardStatus, "StandardStatus" {
        /// On the market.
        Active,
        /// On the market for sessions that opted in.
        ActiveUnderContract,
        /// Off the market.
        Canceled,
        /// Sold or leased; carries `ClosePrice`.
        Closed,
        /// On the market for sessions that opted in.
        ComingSoon,
        /// Gone from the feed: off the market, a floor under older statements.
        Delete,
        /// Off the market.
        Expired,
        /// Off the market.
        Hold,
        /// Off the market.
        Incomplete,
        /// Off the market.
        Pending,
        /// Off the market.
        Withdrawn,
    }
}

vocabulary! {
    /// RESO `EventType` of Internet Tracking (Data Dictionary 1.7 and 2.0), as far as it is of one listing.
    EventType, "event_type" {
        /// Went on to the listing's own site.
        ClickToPrimaryHostedSite,
        /// Clicked on an address of mail.
        ClickedOnEmailAddress,
        /// Clicked on a telephone number.
        ClickedOnPhoneNumber,
        /// Said something about it.
        Comments,
        /// Looked at it alone.
        DetailedView,
        /// Does not want it. Recorded only: `POST /preferences/dismissed` hides it.
        Discard,
        /// Asked for the way.
        DrivingDirections,
        /// Looked away again.
        ExitDetailedView,
        /// Likes it.
        Favorited,
        /// Was shown it among others.
        Impression,
        /// May like it.
        Maybe,
        /// Saw it, but not alone.
        NonDetailedView,
        /// Looked through its pictures.
        PhotoGallery,
        /// Printed it.
        Printed,
        /// Watched its video.
        PropertyVideos,
        /// Showed it to others.
        Share,
        /// Asked to be called.
        SubmissionOfLeadForm,
        /// Walked through it on a screen.
        VirtualTour,
    }
}

vocabulary! {
    /// RESO `ActorType`.
    ActorType, "actor_type" {
        /// Whoever works in the trade.
        Agent,
        /// A program; what it does is not recorded.
        Bot,
        /// Who is registered with the source.
        Client,
        /// Anybody.
        Consumer,
        /// Nobody knows.
        Unknown,
    }
}

vocabulary! {
    /// RESO `PropertyType`.
    PropertyType, "PropertyType" {
        /// A business.
        BusinessOpportunity,
        /// Commercial space to rent.
        CommercialLease,
        /// Commercial space to buy.
        CommercialSale,
        /// A farm.
        Farm,
        /// A plot.
        Land,
        /// A manufactured home in a park.
        ManufacturedInPark,
        /// A home to buy.
        Residential,
        /// A building of homes that are let.
        ResidentialIncome,
        /// A home to rent.
        ResidentialLease,
    }
}

impl PropertyType {
    /// What is offered: a sale or a lease.
    pub const fn transaction(self) -> Transaction {
        match self {
            Self::CommercialLease | Self::ResidentialLease => Transaction::Lease,
            Self::BusinessOpportunity
            | Self::CommercialSale
            | Self::Farm
            | Self::Land
            | Self::ManufacturedInPark
            | Self::Residential
            | Self::ResidentialIncome => Transaction::Sale,
        }
    }
}

vocabulary! {
    /// RESO `PropertySubType`, the residential words; another word is kept in the listing's attributes.
    PropertySubType, "PropertySubType" {
        /// A flat.
        Apartment,
        /// A berth for a boat.
        BoatSlip,
        /// A cabin.
        Cabin,
        /// A flat owned with a share of the grounds.
        Condominium,
        /// A berth on deeded ground.
        DeededParking,
        /// Two homes in one building.
        Duplex,
        /// A farm.
        Farm,
        /// A home built in a factory.
        ManufacturedHome,
        /// The same on land of its own.
        ManufacturedOnLand,
        /// A home on wheels.
        MobileHome,
        /// A building of several homes.
        MultiFamily,
        /// Own your own: a form of co-operative.
        OwnYourOwn,
        /// Four homes in one building.
        Quadruplex,
        /// A plot for one home.
        UnimprovedLand,
        /// A ranch.
        Ranch,
        /// A house.
        SingleFamilyResidence,
        /// A share of a co-operative.
        StockCooperative,
        /// A share of time.
        Timeshare,
        /// A house in a row.
        Townhouse,
        /// Three homes in one building.
        Triplex,
        /// A house with a unit of its own for a second household.
        Villa,
    }
}

vocabulary! {
    /// RESO `ChangeType`: what changed last about a listing.
    ChangeType, "ChangeType" {
        /// Became active.
        Active,
        /// An offer was accepted, further ones are taken.
        ActiveUnderContract,
        /// Active again after it was off the market.
        BackOnMarket,
        /// Cancelled.
        Canceled,
        /// Sold or leased.
        Closed,
        /// Announced.
        ComingSoon,
        /// Gone from the feed.
        Deleted,
        /// The contract ran out.
        Expired,
        /// On hold.
        Hold,
        /// Seen for the first time.
        NewListing,
        /// An offer was accepted.
        Pending,
        /// Another price.
        PriceChange,
        /// Withdrawn.
        Withdrawn,
    }
}

/// What is offered or sought. A rent is the monthly price.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Transaction {
    /// To buy.
    #[default]
    Sale,
    /// To rent.
    Lease,
}

impl Transaction {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Lease => "lease",
        }
    }
}

impl StandardStatus {
    /// Whether a session sees a listing of this status.
    pub const fn is_on_market(self, include_coming_soon: bool, include_under_contract: bool) -> bool {
        match self {
            Self::Active => true,
            Self::ComingSoon => include_coming_soon,
            Self::ActiveUnderContract => include_under_contract,
            Self::Canceled
            | Self::Closed
            | Self::Delete
            | Self::Expired
            | Self::Hold
            | Self::Incomplete
            | Self::Pending
            | Self::Withdrawn => false,
        }
    }

    /// Whether a home that its feed no longer shows has left the market with it: what a snapshot is compared with.
    pub const fn is_on_offer_or_pending(self) -> bool {
        self.may_be_shown() || matches!(self, Self::Pending)
    }

    /// Whether some session may see it.
    pub const fn may_be_shown(self) -> bool {
        self.is_on_market(true, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lookup_forms_are_read() {
        for text in ["ActiveUnderContract", "Active Under Contract", "active under contract", "ACTIVE_UNDER_CONTRACT"] {
            assert_eq!(text.parse::<StandardStatus>().unwrap(), StandardStatus::ActiveUnderContract, "{text}");
        }
        let error = "Sold".parse::<StandardStatus>().unwrap_err();
        assert!(
            error.to_string().starts_with("StandardStatus: Sold is not a known word (expected one of Active,"),
            "{error}"
        );
    }
}
