//! A raw record as the least that can be called decoded: its members in a type, numbers as numbers, texts borrowed. For the
//! bare loop; checks nothing and means nothing.

use std::borrow::Cow;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What feeds write in a member.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Member<'a> {
    /// Null, or not there.
    #[default]
    Nothing,
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A list of them.
    List(Vec<Self>),
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member::Nothing)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Member::Flag(flag))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Member::Number(number as f64))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Member::Number(number as f64))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Member::Number(number))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Member::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = list.next_element()? {
            members.push(member);
        }
        Ok(Member::List(members))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

macro_rules! raw {
    ($($member:ident),+ $(,)?) => {
        /// The members that the synthetic feeds write.
        #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct Raw<'a> {
            $(
                /// The member of that name.
                #[serde(borrow)]
                pub $member: Member<'a>,
            )+
        }
    };
}

raw! {
    listing_key, listing_id, originating_system_name, standard_status, property_type, property_sub_type, list_price,
    original_list_price, close_price, close_date, bedrooms_total, bathrooms_full, bathrooms_half,
    bathrooms_total_decimal, living_area, living_area_units, lot_size_area, lot_size_units, year_built, stories,
    association_fee, association_fee_frequency, amenities, school_rating, commute_minutes, unparsed_address,
    subdivision_name, city, state_or_province, postal_code, country, latitude, longitude, on_market_timestamp,
    modification_timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synthetic_record_is_decoded_and_written_again() {
        let config = synthetic::Config { listings: 50, ..synthetic::Config::default() };
        for event in synthetic::World::new(config).unwrap().take(200) {
            let json = event.json();
            let raw: Raw<'_> = serde_json::from_slice(&json).unwrap();
            assert!(matches!(&raw.listing_key, Member::Text(key) if **key == event.key()), "{raw:?}");
            let again = serde_json::to_vec(&raw).unwrap();
            assert_eq!(serde_json::from_slice::<Raw<'_>>(&again).unwrap(), raw);
            assert!(again.len() * 10 > json.len() * 7, "most of the record is in the type");
        }
    }
}
