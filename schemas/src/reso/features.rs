//! What a home has: amenity tags, RESO's feature lists and yes-or-no members, as the words that roost knows and the tags
//! that it does not.
//!
//! Which words there are is told in `crate::amenities`.

use super::LeftOut;
use super::fields::Field;
use super::members::Members;
use super::refusal::Faults;
use super::text;
use crate::amenities::AmenitySet;

/// Most unknown tags that a listing keeps: twice what the richest listing of the data at hand carries.
const MAX_TAGS: usize = 64;
/// Longest tag that is kept, in characters; a longer one is prose.
const MAX_TAG_CHARS: usize = 60;

/// The members that hold lists of features.
const LISTS: [Field; 24] = [
    Field::Amenities,
    Field::AccessibilityFeatures,
    Field::Appliances,
    Field::AssociationAmenities,
    Field::Basement,
    Field::BuildingFeatures,
    Field::CommunityFeatures,
    Field::Cooling,
    Field::ExteriorFeatures,
    Field::Fencing,
    Field::FireplaceFeatures,
    Field::GreenEnergyGeneration,
    Field::Heating,
    Field::InteriorFeatures,
    Field::LaundryFeatures,
    Field::LotFeatures,
    Field::ParkingFeatures,
    Field::PatioAndPorchFeatures,
    Field::PetsAllowed,
    Field::PoolFeatures,
    Field::SecurityFeatures,
    Field::SpaFeatures,
    Field::View,
    Field::WaterfrontFeatures,
];

/// The yes-or-no members, each with the amenity that its yes means.
const FLAGS: [(Field, &str); 11] = [
    (Field::AttachedGarageYN, "garage"),
    (Field::CarportYN, "carport"),
    (Field::CoolingYN, "air conditioning"),
    (Field::FireplaceYN, "fireplace"),
    (Field::GarageYN, "garage"),
    (Field::HeatingYN, "heating"),
    (Field::NewConstructionYN, "new construction"),
    (Field::PoolPrivateYN, "pool"),
    (Field::SpaYN, "spa"),
    (Field::ViewYN, "view"),
    (Field::WaterfrontYN, "waterfront"),
];

/// What a home has.
#[derive(Debug, Default)]
pub(super) struct Features {
    /// The words that roost knows; `None` if the record does not speak of amenities at all.
    pub(super) known: Option<AmenitySet>,
    /// Other tags, in the order of the record's lists, each once.
    pub(super) tags: Vec<String>,
}

pub(super) fn of(members: &Members<'_>, left_out: &mut LeftOut, faults: &mut Faults) -> Features {
    let mut features = Features::default();
    for field in LISTS {
        if members.raw(field).is_some() {
            features.known.get_or_insert_default();
            let read = members.words(field, |word| features.take(word, left_out));
            faults.note(read.map(Some));
        }
    }
    for (field, word) in FLAGS {
        if let Some(yes) = faults.note(members.flag(field)) {
            let known = features.known.get_or_insert_default();
            if let (true, Some(amenity)) = (yes, AmenitySet::of_word(word)) {
                *known = known.or(amenity);
            }
        }
    }
    features
}

impl Features {
    fn take(&mut self, word: &str, left_out: &mut LeftOut) {
        if let Some(amenity) = AmenitySet::of_tag(word) {
            let known = self.known.get_or_insert_default();
            *known = known.or(amenity);
            return;
        }
        let tag = text::line(word.into());
        if says_nothing(&tag) || self.tags.iter().any(|other| *other == *tag) {
            return;
        }
        if self.tags.len() < MAX_TAGS && tag.chars().count() <= MAX_TAG_CHARS {
            self.tags.push(tag.into_owned());
        } else {
            left_out.tags = left_out.tags.saturating_add(1);
        }
    }
}

/// Words that stand in feature lists for "there is none" or "ask us".
fn says_nothing(tag: &str) -> bool {
    const WORDS: [&str; 9] = ["", "none", "no", "yes", "other", "unknown", "n/a", "see remarks", "see agent remarks"];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(tag))
}
