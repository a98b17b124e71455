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

/// The members that hold lists of features, each with the noun that its words leave out: `View: ["City"]` is a city view.
const LISTS: [(Field, &str); 24] = [
    (Field::Amenities, ""),
    (Field::AccessibilityFeatures, ""),
    (Field::Appliances, ""),
    (Field::AssociationAmenities, ""),
    (Field::Basement, "basement"),
    (Field::BuildingFeatures, ""),
    (Field::CommunityFeatures, ""),
    (Field::Cooling, "cooling"),
    (Field::ExteriorFeatures, ""),
    (Field::Fencing, "fence"),
    (Field::FireplaceFeatures, "fireplace"),
    (Field::GreenEnergyGeneration, ""),
    (Field::Heating, "heating"),
    (Field::InteriorFeatures, ""),
    (Field::LaundryFeatures, "laundry"),
    (Field::LotFeatures, ""),
    (Field::ParkingFeatures, "parking"),
    (Field::PatioAndPorchFeatures, "patio"),
    (Field::PetsAllowed, "pets"),
    (Field::PoolFeatures, "pool"),
    (Field::SecurityFeatures, ""),
    (Field::SpaFeatures, "spa"),
    (Field::View, "view"),
    (Field::WaterfrontFeatures, ""),
];

/// The yes-or-no members whose names are spellings of an amenity.
const FLAGS: [Field; 14] = [
    Field::AttachedGarageYN,
    Field::BasementYN,
    Field::CarportYN,
    Field::CoolingYN,
    Field::FireplaceYN,
    Field::GarageYN,
    Field::HeatingYN,
    Field::NewConstructionYN,
    Field::OpenParkingYN,
    Field::PoolPrivateYN,
    Field::SeniorCommunityYN,
    Field::SpaYN,
    Field::ViewYN,
    Field::WaterfrontYN,
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
    for (field, noun) in LISTS {
        if members.raw(field).is_some() {
            features.known.get_or_insert_default();
            let read = members.words(field, |word| features.take(word, noun, left_out));
            faults.note(read.map(Some));
        }
    }
    for field in FLAGS {
        if let Some(yes) = faults.note(members.flag(field)) {
            let amenities = if yes { AmenitySet::of_tag(field.name()) } else { None };
            features.add(amenities.unwrap_or_default());
        }
    }
    features
}

impl Features {
    fn add(&mut self, amenities: AmenitySet) {
        let known = self.known.get_or_insert_default();
        *known = known.or(amenities);
    }

    fn take(&mut self, word: &str, noun: &str, left_out: &mut LeftOut) {
        if let Some(amenities) = AmenitySet::of_tag(word).or_else(|| with_noun(word, noun)) {
            return self.add(amenities);
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

/// A word of a list whose noun goes without saying; a bare yes is the noun itself.
fn with_noun(word: &str, noun: &str) -> Option<AmenitySet> {
    match noun {
        "" => None,
        noun if word.eq_ignore_ascii_case("yes") => AmenitySet::of_tag(noun),
        noun => AmenitySet::of_tag(&format!("{word} {noun}")),
    }
}

/// Words that stand in feature lists for "there is none" or "ask us".
fn says_nothing(tag: &str) -> bool {
    const WORDS: [&str; 9] = ["", "none", "no", "yes", "other", "unknown", "n/a", "see remarks", "see agent remarks"];
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_a_spelling_of_an_amenity() {
        for field in FLAGS {
            assert!(AmenitySet::of_tag(field.name()).is_some(), "{}", field.name());
        }
    }
}
