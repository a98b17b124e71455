//! What is no listing, and the code that says why.

use serde_json::json;

use super::*;
use crate::reso::{MAX_BATCH, read_delete};

fn code_of(bytes: &[u8]) -> Code {
    read(bytes, &origin()).expect_err(&String::from_utf8_lossy(bytes)).code
}

#[test]
fn bytes_that_are_not_utf8_are_of_a_wrong_encoding() {
    assert_eq!(code_of(b"{\"ListingKey\":\"\xff\"}"), Code::WrongEncoding);
    let utf16: Vec<u8> = "\u{FEFF}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(code_of(&utf16), Code::WrongEncoding);
}

#[test]
fn a_text_that_is_not_json_or_goes_on_behind_it_is_not_json() {
    for text in [
        "",
        " ",
        "{",
        "{\"a\":1,}",
        "{\"a\":NaN}",
        "<xml/>",
        "{} {}",
        "{'a':1}",
        "{\"a\":\"\n\"}",
        "nul",
        "{\"value\":[{}",
        "{\"a\":01}",
    ] {
        assert_eq!(code_of(text.as_bytes()), Code::NotJson, "{text}");
    }
}

#[test]
fn json_that_is_neither_object_nor_batch_is_of_a_wrong_shape() {
    for text in ["[]", "[{}]", "1", "\"x\"", "null", "true", "{\"value\":[]}"] {
        assert_eq!(code_of(text.as_bytes()), Code::WrongShape, "{text}");
    }
}

#[test]
fn a_batch_of_more_than_a_thousand_records_is_too_large() {
    let batch = |records| format!("{{\"value\":[{}]}}", vec!["{}"; records].join(","));
    assert_eq!(read(batch(MAX_BATCH).as_bytes(), &origin()).unwrap().len(), MAX_BATCH);
    assert_eq!(code_of(batch(MAX_BATCH + 1).as_bytes()), Code::TooLarge);
}

#[test]
fn nesting_beyond_thirty_two_levels_is_too_deep_however_deep() {
    let nested = |levels: usize| {
        least().to_string().replace('{', &format!("{{\"A\":{}{},", "[".repeat(levels), "]".repeat(levels)))
    };
    assert!(one(&nested(31)).is_ok());
    assert_eq!(one(&nested(32)).unwrap_err().code, Code::TooDeep);
    assert_eq!(one(&nested(200_000)).unwrap_err().code, Code::TooDeep);
    let batch = |levels| format!("{{\"value\":[{},{}]}}", nested(levels), least());
    let outcomes = |levels| {
        let text = batch(levels);
        let items = read(text.as_bytes(), &origin()).unwrap();
        items.into_iter().map(|item| item.outcome.map_err(|refusal| refusal.code).is_ok()).collect::<Vec<_>>()
    };
    assert_eq!((outcomes(29), outcomes(30)), (vec![true, true], vec![false, true]));
    let wrapper = format!("{{\"@x\":{}{},\"value\":[{{}}]}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(code_of(wrapper.as_bytes()), Code::TooDeep);
}

#[test]
fn a_member_that_occurs_twice_is_refused_at_every_level() {
    for extra in [
        "\"City\":\"Dallas\",",
        "\"amenities\":[],\"Amenities\":[],",
        "\"Local\":1,\"Local\":1,",
        "\"Local\":{\"a\":1,\"a\":2},",
        "\"Local\":[{\"a\":1,\"\\u0061\":2}],",
    ] {
        let record = least().to_string().replace('{', &format!("{{{extra}"));
        assert_eq!(one(&record).unwrap_err().code, Code::DuplicateMember, "{record}");
    }
    assert_eq!(code_of(br#"{"value":[{}],"value":[{}]}"#), Code::DuplicateMember);
}

#[test]
fn a_record_without_a_key_names_no_listing() {
    for record in [without("ListingKey"), with(json!({"ListingKey": null})), with(json!({"ListingKey": " "}))] {
        refused(&record, Code::KeyMissing, "ListingKey");
    }
    for (key, feed) in [(None, None), (Some(&b""[..]), Some("a")), (Some(b"9"), None), (Some(b"\xff"), Some("a"))] {
        let origin = Origin { feed: feed.map(|feed| feed.parse().unwrap()), ..origin() };
        assert_eq!(read_delete(key, &origin).unwrap_err().code, Code::KeyMissing, "{key:?}");
    }
}

#[test]
fn keys_with_hidden_characters_are_refused() {
    for key in ["a\u{0}", "a\nb", "a\u{202E}b", &"x".repeat(256)] {
        refused(&with(json!({"ListingKey": key})), Code::OutOfRange, "ListingKey");
    }
}

#[test]
fn required_fields_are_missed_by_name_and_all_at_once() {
    refused(&without("StandardStatus"), Code::FieldMissing, "StandardStatus");
    refused(&without("ListPrice"), Code::FieldMissing, "ListPrice");
    refused(&with(json!({"City": null})), Code::FieldMissing, "City");
    refused(&with(json!({"Country": "KP"})), Code::FieldMissing, "ListPriceCurrency");
    let refusal =
        one(&json!({"ListingKey": "1", "StandardStatus": "Gone", "BedroomsTotal": "x"}).to_string()).unwrap_err();
    let fields: Vec<_> = refusal.faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["StandardStatus", "Country", "City", "BedroomsTotal"]);
    assert_eq!(refusal.code, Code::UnknownStatus);
}

#[test]
fn a_price_is_required_only_on_the_market() {
    for status in ["Closed", "Pending", "Withdrawn", "Canceled"] {
        let mut record = without("ListPrice");
        record["StandardStatus"] = json!(status);
        assert_eq!(listing(&record).list_price, None);
        record["ListPrice"] = json!(0);
        assert_eq!(listing(&record).list_price, None);
    }
    refused(&with(json!({"ListPrice": 0})), Code::OutOfRange, "ListPrice");
    refused(&with(json!({"ListPrice": -5, "StandardStatus": "Closed"})), Code::OutOfRange, "ListPrice");
}

#[test]
fn values_of_a_wrong_type_are_refused() {
    for members in [
        json!({"ListPrice": "about a million"}),
        json!({"ListPrice": [650_000]}),
        json!({"ListPrice": true}),
        json!({"ListPrice": "1,22"}),
        json!({"BedroomsTotal": 2.5}),
        json!({"City": 7}),
        json!({"ModificationTimestamp": 1_795_608_000_000_i64}),
        json!({"ModificationTimestamp": "yesterday"}),
        json!({"ModificationTimestamp": "2026-13-01T00:00:00Z"}),
        json!({"CloseDate": "20.11.2026"}),
        json!({"InternetEntireListingDisplayYN": "perhaps"}),
        json!({"amenities": {"pool": true}}),
        json!({"Appliances": [1]}),
        json!({"Media": "https://example.com/1.jpg"}),
        json!({"PublicRemarks": 1}),
        json!({"StandardStatus": 1}),
    ] {
        let field = members.as_object().unwrap().keys().next().unwrap().clone();
        refused(&with(members), Code::BadType, &field);
    }
}

#[test]
fn values_that_no_home_has_are_refused() {
    for members in [
        json!({"ListPrice": 1e13}),
        json!({"BedroomsTotal": 201}),
        json!({"BedroomsTotal": -1}),
        json!({"BathroomsTotalDecimal": 101}),
        json!({"LivingArea": 50_000_000}),
        json!({"LotSizeArea": -1}),
        json!({"YearBuilt": 999}),
        json!({"YearBuilt": 2032}),
        json!({"AssociationFee": 1_000_001}),
        json!({"school_rating": 10.1}),
        json!({"commute_minutes": 1_441}),
        json!({"DaysOnMarket": -3}),
        json!({"Country": "U"}),
        json!({"ListPriceCurrency": "DOLLARS"}),
        json!({"PostalCode": "98101; DROP"}),
        json!({"ModificationTimestamp": "0001-01-01T00:00:00Z"}),
    ] {
        let field = members.as_object().unwrap().keys().next().unwrap().clone();
        refused(&with(members), Code::OutOfRange, &field);
    }
}

#[test]
fn a_number_beyond_all_numbers_is_out_of_range_and_spares_its_batch() {
    let record = least().to_string().replace("650000", "1e999");
    let text = format!("{{\"value\":[{record},{}]}}", least());
    let items = read(text.as_bytes(), &origin()).unwrap();
    assert_eq!(items[0].outcome.as_ref().unwrap_err().code, Code::OutOfRange);
    assert!(items[1].outcome.is_ok());
}

#[test]
fn words_of_closed_lookups_are_known_or_refused() {
    refused(&with(json!({"StandardStatus": "Sold"})), Code::UnknownStatus, "StandardStatus");
    refused(&with(json!({"PropertyType": "Castle"})), Code::UnknownWord, "PropertyType");
    refused(&with(json!({"LivingArea": 3, "LivingAreaUnits": "Tatami"})), Code::UnknownWord, "LivingAreaUnits");
}

#[test]
fn a_text_that_is_too_long_to_be_a_city_is_too_large() {
    refused(&with(json!({"City": "x".repeat(101)})), Code::TooLarge, "City");
}

#[test]
fn a_timestamp_more_than_five_minutes_ahead_is_in_the_future() {
    assert!(one(&with(json!({"ModificationTimestamp": "2026-11-25T12:05:00Z"})).to_string()).is_ok());
    let late = with(json!({"ModificationTimestamp": "2026-11-25T12:05:00.001Z"}));
    refused(&late, Code::TimestampInTheFuture, "ModificationTimestamp");
    let origin = Origin { feed: Some("a".parse().unwrap()), ce_time_ms: Some(NOW_MS + 300_001), ..origin() };
    assert_eq!(read_delete(Some(b"9"), &origin).unwrap_err().code, Code::TimestampInTheFuture);
}

#[test]
fn broken_surrogate_pairs_are_of_a_wrong_type() {
    let record = least().to_string().replace("\"Austin\"", "\"\\ud800\"");
    assert_eq!(one(&record).unwrap_err().code, Code::BadType);
}
