//! What feeds are known to send, and what becomes of it. One test per tolerated shape.

use serde_json::json;

use super::*;
use crate::money::Money;
use crate::reso::read_delete;
use crate::vocabulary::{PropertySubType, PropertyType, StandardStatus, Transaction};

#[test]
fn a_single_object_is_one_record() {
    let listing = listing(&least());
    assert_eq!(listing.listing_id.as_str(), "default:1077400");
    assert_eq!(listing.market.as_str(), "us/tx/austin");
    assert_eq!((listing.property_type, listing.transaction), (PropertyType::Residential, Transaction::Sale));
    let version = listing.version;
    assert_eq!(
        (version.timestamp_ms, version.raw_partition, version.raw_offset, version.batch_index),
        (NOW_MS, 3, 41, 0)
    );
}

#[test]
fn a_batch_holds_records_and_each_is_judged_alone() {
    let text = json!({"@reso.context": "urn:reso:metadata:2.0:resource:property", "@odata.nextLink": "https://x",
        "value": [least(), without("StandardStatus"), 7, with(json!({"ListingKey": "2"}))]})
    .to_string();
    let items = read(text.as_bytes(), &origin()).unwrap();
    let outcomes: Vec<_> = items
        .iter()
        .map(|item| match &item.outcome {
            Ok(accepted) => Ok((accepted.listing.listing_id.as_str(), accepted.listing.version.batch_index)),
            Err(refusal) => Err(refusal.code),
        })
        .collect();
    assert_eq!(
        outcomes,
        [Ok(("default:1077400", 0)), Err(Code::FieldMissing), Err(Code::WrongShape), Ok(("default:2", 3))]
    );
    assert_eq!(items[2].text, "7");
    assert!(text.contains(items[1].text));
}

#[test]
fn an_unknown_member_named_value_does_not_make_a_listing_a_batch() {
    let listing = listing(&with(json!({"value": [1, 2]})));
    assert_eq!(listing.attributes["value"], json!([1, 2]));
}

#[test]
fn decimals_come_as_integers_fractions_texts_exponents_and_with_signs() {
    for text in
        ["650000", "650000.0", "\"650000\"", "6.5e+005", "65E4", "\" $650,000.00 \"", "\"+650000\"", "650000.00"]
    {
        let record = least().to_string().replace("650000", text);
        let listing = one(&record).unwrap_or_else(|refusal| panic!("{record}: {refusal}")).listing;
        assert_eq!(listing.list_price, Money::from_units(650_000), "{text}");
    }
    for (value, bedrooms) in [(json!(3), 3), (json!(3.0), 3), (json!("3"), 3), (json!("3.0"), 3)] {
        assert_eq!(listing(&with(json!({"BedroomsTotal": value}))).bedrooms_total, Some(bedrooms));
    }
    assert_eq!(listing(&with(json!({"ListPrice": 1_234.560_000_000_000_1}))).list_price, Money::from_cents(123_456));
}

#[test]
fn lookups_come_in_machine_and_in_human_form() {
    for status in ["ActiveUnderContract", "Active Under Contract", "ACTIVE UNDER CONTRACT"] {
        let record = with(json!({"StandardStatus": status, "PropertyType": "Residential Lease"}));
        assert_eq!(listing(&record).standard_status, StandardStatus::ActiveUnderContract);
        assert_eq!(listing(&record).transaction, Transaction::Lease);
    }
    let record = with(json!({"PropertySubType": "Single Family Residence"}));
    assert_eq!(listing(&record).property_sub_type, Some(PropertySubType::SingleFamilyResidence));
}

#[test]
fn an_unknown_word_of_an_open_lookup_is_kept() {
    let listing = listing(&with(json!({"PropertySubType": "Houseboat"})));
    assert_eq!((listing.property_sub_type, &listing.attributes["PropertySubType"]), (None, &json!("Houseboat")));
}

#[test]
fn timestamps_come_with_z_or_offset_and_up_to_seven_digits_of_a_second() {
    for (text, ms) in [
        ("2026-11-20T14:03:22Z", 0),
        ("2026-11-20T14:03:22.1Z", 100),
        ("2026-11-20T14:03:22.107Z", 107),
        ("2026-11-20T14:03:22.1079999Z", 107),
        ("2026-11-20T16:03:22.107+02:00", 107),
        ("2026-11-20T09:03:22.107-05:00", 107),
        ("2026-11-20 14:03:22", 0),
        ("2026-11-20T14:03:22.107", 107),
    ] {
        let listing = listing(&with(json!({"ModificationTimestamp": text})));
        assert_eq!(listing.version.timestamp_ms, 1_795_183_402_000 + ms, "{text}");
    }
    let listing = listing(&with(json!({"OnMarketTimestamp": "2026-11-20", "CloseDate": "2026-11-20T23:59:00-08:00"})));
    assert_eq!(listing.on_market_at.unwrap().to_string(), "2026-11-20T00:00:00.000Z");
    assert_eq!(listing.close_date.unwrap().to_string(), "2026-11-20");
}

#[test]
fn null_and_blank_are_as_good_as_absent() {
    let expected = listing(&least());
    let nulls = with(json!({"BedroomsTotal": null, "PropertyType": null, "PublicRemarks": "  ", "LivingArea": "",
        "ModificationTimestamp": null, "Latitude": null, "amenities": null, "UnknownThing": null, "CloseDate": ""}));
    assert_eq!(listing(&nulls), expected);
}

#[test]
fn a_city_in_any_case_is_the_same_market() {
    for city in ["AUSTIN", "austin", " Austin "] {
        assert_eq!(listing(&with(json!({"City": city}))).market.as_str(), "us/tx/austin");
    }
}

#[test]
fn lists_come_as_arrays_and_as_texts_with_commas() {
    let expected = listing(&with(json!({"amenities": ["Pool", "garage", "Bocce court"]})));
    assert_eq!(expected.amenities.unwrap().words().collect::<Vec<_>>(), ["pool", "garage"]);
    assert_eq!(expected.other_amenities, ["Bocce court"]);
    for other in [
        json!({"amenities": "Pool, garage,Bocce court"}),
        json!({"Amenities": ["Pool", null, " garage ", "Bocce court", "None"]}),
        json!({"ExteriorFeatures": "Bocce court,Private Pool", "GarageYN": "Y"}),
    ] {
        assert_eq!(listing(&with(other.clone())), expected, "{other}");
    }
}

#[test]
fn words_of_feature_lists_mean_what_their_list_is_about() {
    let record = with(json!({"View": ["City", "Trees/Woods"], "Basement": "Finished", "PetsAllowed": ["Yes"],
        "Heating": ["Central"], "PoolFeatures": ["None"], "CarportYN": "N"}));
    let listing = listing(&record);
    let words: Vec<_> = listing.amenities.unwrap().words().collect();
    assert_eq!(words, ["view", "basement", "heating", "city_view", "pets_allowed"]);
    assert_eq!(listing.other_amenities, ["Trees/Woods"]);
}

#[test]
fn amenities_not_spoken_of_are_not_amenities_denied() {
    assert_eq!(listing(&least()).amenities, None);
    let denied = listing(&with(json!({"PoolPrivateYN": false})));
    assert_eq!(denied.amenities, Some(crate::amenities::AmenitySet::EMPTY));
}

#[test]
fn unknown_members_are_kept_and_annotations_are_not() {
    let record = with(json!({"MlsStatus": "New", "Deep": {"a": [1, {"b": 2.5}]}, "@odata.etag": "x", "City@note": 1}));
    let attributes = listing(&record).attributes;
    assert_eq!(json!(attributes), json!({"MlsStatus": "New", "Deep": {"a": [1, {"b": 2.5}]}}));
}

#[test]
fn unknown_members_beyond_the_bounds_are_left_out_by_name_and_counted() {
    let mut record = least();
    for i in (0..70).rev() {
        record[format!("Local{i:02}")] = json!(i);
    }
    record["Aaa"] = json!("x".repeat(9_000));
    let accepted = accepted(&record);
    assert_eq!((accepted.listing.attributes.len(), accepted.left_out.attributes), (64, 7));
    assert_eq!(accepted.listing.attributes.keys().next_back().unwrap(), "Local63");
}

#[test]
fn numbers_of_attributes_have_the_digits_that_every_reader_keeps() {
    let record =
        least().to_string().replace('{', r#"{"A":47.606209999999997,"B":1e999,"C":12345678901234567890123,"D":0.1,"#);
    let accepted = one(&record).unwrap();
    assert_eq!(accepted.left_out.attributes, 1);
    assert_eq!(json!(accepted.listing.attributes).to_string(), r#"{"A":47.60621,"C":1.23456789012346e+22,"D":0.1}"#);
}

#[test]
fn remarks_are_cut_at_four_thousand_characters() {
    let accepted = accepted(&with(json!({"PublicRemarks": "ö".repeat(4_001)})));
    assert_eq!(accepted.listing.public_remarks.unwrap().chars().count(), 4_000);
    assert!(accepted.left_out.remarks);
}

#[test]
fn bad_coordinates_are_left_out_and_the_listing_stays() {
    for (latitude, longitude) in [
        (json!(91), json!(0)),
        (json!(0), json!(0)),
        (json!("north"), json!(1)),
        (json!(30.2), json!(null)),
        (json!({}), json!(2)),
    ] {
        let accepted = accepted(&with(json!({"Latitude": latitude, "Longitude": longitude})));
        assert_eq!((accepted.listing.position, accepted.left_out.coordinates), (None, true), "{latitude} {longitude}");
    }
    let good = accepted(&with(json!({"Latitude": "30.2446012", "Longitude": -97.7681})));
    assert_eq!(json!(good.listing.position), json!({"latitude": 30.2446, "longitude": -97.7681}));
    assert!(!good.left_out.coordinates);
}

#[test]
fn a_byte_order_mark_before_the_text_is_skipped() {
    assert!(one(&format!("\u{FEFF}{}", least())).is_ok());
    assert!(one(&format!("\u{FEFF} \r\n{}\n", least())).is_ok());
}

#[test]
fn a_record_without_headers_belongs_to_the_feed_of_its_originating_system() {
    let record = with(json!({"OriginatingSystemName": "Northwest MLS (NWMLS)"}));
    assert_eq!(listing(&record).listing_id.as_str(), "northwest-mls-nwmls:1077400");
    let from = Origin { feed: Some("seattle".parse().unwrap()), ..origin() };
    let text = record.to_string();
    let listing = read(text.as_bytes(), &from).unwrap().remove(0).outcome.unwrap().listing;
    assert_eq!((listing.feed.as_str(), listing.listing_id.as_str()), ("seattle", "seattle:1077400"));
}

#[test]
fn units_become_square_feet_and_fees_become_monthly() {
    let size = |members| {
        let listing = listing(&with(members));
        (listing.living_area_sqft, listing.lot_size_sqft)
    };
    assert_eq!(
        size(json!({"LivingArea": "1850.9", "LotSizeArea": 0.21, "LotSizeUnits": "Acres"})),
        (Some(1850), Some(9147))
    );
    assert_eq!(size(json!({"LivingArea": 100, "LivingAreaUnits": "Square Meters"})), (Some(1076), None));
    assert_eq!(size(json!({"LotSizeAcres": 2, "LivingArea": 0})), (None, Some(87_120)));
    assert_eq!(size(json!({"LotSizeArea": 1, "LotSizeUnits": "hectares", "LotSizeAcres": 9})), (None, Some(107_639)));
    for (frequency, monthly) in [("Annually", 1_000), ("Monthly", 12_000), ("Quarterly", 4_000), ("Bi-Monthly", 6_000)]
    {
        let record = with(json!({"AssociationFee": 120, "AssociationFeeFrequency": frequency}));
        assert_eq!(listing(&record).association_fee_monthly, Money::from_cents(monthly), "{frequency}");
    }
    let once = listing(&with(json!({"AssociationFee": 120, "AssociationFeeFrequency": "One Time"})));
    assert_eq!((once.association_fee_monthly, &once.attributes["AssociationFee"]), (None, &json!(120)));
}

#[test]
fn bathrooms_come_in_three_ways() {
    for (members, halves) in [
        (json!({"BathroomsTotalDecimal": 2.5, "BathroomsTotalInteger": 3}), 5),
        (json!({"BathroomsFull": 2, "BathroomsHalf": 1, "BathroomsTotalInteger": 3}), 5),
        (json!({"BathroomsTotalInteger": "3"}), 6),
        (json!({"BathroomsTotalDecimal": 1.75}), 3),
    ] {
        assert_eq!(listing(&with(members.clone())).bathrooms_total.unwrap().steps(), halves, "{members}");
    }
}

#[test]
fn the_sellers_wishes_are_read_in_every_form() {
    for no in [json!(false), json!("false"), json!("N"), json!("No"), json!(0)] {
        let listing =
            listing(&with(json!({"InternetAutomatedValuationDisplayYN": no, "InternetAddressDisplayYN": no})));
        assert!(!listing.valuation_allowed && !listing.address_display_allowed && listing.display_allowed);
    }
}

#[test]
fn a_missing_country_is_the_united_states_only_where_nothing_else_fits() {
    let country = |members: Value| {
        let mut record = without("Country");
        record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        one(&record.to_string()).map(|accepted| accepted.listing.country.to_string()).map_err(|refusal| refusal.code)
    };
    assert_eq!(country(json!({})), Ok("us".to_owned()));
    assert_eq!(country(json!({"StateOrProvince": "Texas", "PostalCode": 78704})), Ok("us".to_owned()));
    assert_eq!(country(json!({"StateOrProvince": null, "PostalCode": "78704-1234"})), Ok("us".to_owned()));
    assert_eq!(country(json!({"StateOrProvince": null, "PostalCode": "78704"})), Err(Code::FieldMissing));
    assert_eq!(country(json!({"StateOrProvince": "ON"})), Err(Code::FieldMissing));
    // Western Australia.
    assert_eq!(country(json!({"StateOrProvince": "WA", "PostalCode": "6000"})), Err(Code::FieldMissing));
    assert_eq!(
        country(json!({"StateOrProvince": "WA", "Latitude": -31.95, "Longitude": 115.86})),
        Err(Code::FieldMissing)
    );
}

#[test]
fn postal_codes_are_upper_case_with_single_blanks_and_without_extension() {
    let code = |country: &str, code: Value| {
        listing(&with(json!({"Country": country, "PostalCode": code}))).postal_code.unwrap()
    };
    assert_eq!(code("GB", json!(" sw1a   1aa ")), "SW1A 1AA");
    assert_eq!(code("US", json!("98101-1234")), "98101");
    assert_eq!(code("US", json!(2134)), "02134");
}

#[test]
fn a_listing_with_coordinates_alone_is_somewhere() {
    let record = with(json!({"City": null, "StateOrProvince": null, "Latitude": 30.2, "Longitude": -97.7}));
    assert_eq!(listing(&record).market.as_str(), "us/unknown/unknown");
}

#[test]
fn an_address_is_made_of_its_parts() {
    let parts =
        json!({"StreetNumber": 80157, "StreetName": "Royal Birkdale", "StreetSuffix": "Dr", "UnitNumber": "#4"});
    assert_eq!(listing(&with(parts)).unparsed_address.as_deref(), Some("80157 Royal Birkdale Dr #4"));
    assert_eq!(listing(&with(json!({"StreetNumber": "5"}))).unparsed_address, None);
}

#[test]
fn display_texts_lose_characters_that_could_fake_a_page() {
    let listing = listing(&with(json!({"City": "Aus\u{202E}tin\u{0}", "PublicRemarks": "a\nb\u{7}"})));
    assert_eq!((listing.city.as_deref(), listing.public_remarks.as_deref()), (Some("Austin"), Some("a\nb")));
}

#[test]
fn links_are_http_or_https_or_left_out() {
    let good = json!({"ListingURL": "https://example.com/1", "Media": [{"MediaURL": "ftp://x"},
        {"MediaURL": "https://example.com/2.jpg", "Order": 2}, {"MediaURL": "https://example.com/1.jpg", "Order": 1}]});
    let accepted = accepted(&with(good));
    assert_eq!(accepted.listing.listing_url.as_deref(), Some("https://example.com/1"));
    assert_eq!(accepted.listing.photo_url.as_deref(), Some("https://example.com/1.jpg"));
    assert_eq!(accepted.left_out.links, 1);
    let bad = super::accepted(&with(json!({"ListingURL": "javascript:alert(1)"})));
    assert_eq!((bad.listing.listing_url, bad.left_out.links), (None, 1));
}

#[test]
fn days_on_market_become_a_day_that_stays_the_same_tomorrow() {
    let today = listing(&with(json!({"DaysOnMarket": 14, "ModificationTimestamp": "2026-11-20T14:03:22Z"})));
    let tomorrow = listing(&with(json!({"DaysOnMarket": 15, "ModificationTimestamp": "2026-11-21T09:00:00Z"})));
    assert_eq!(today.on_market_at.unwrap().to_string(), "2026-11-06T00:00:00.000Z");
    assert!(today.same_content(&tomorrow));
}

#[test]
fn a_delete_needs_its_key_alone_and_says_nothing_else() {
    let record = json!({"ListingKey": "9", "StandardStatus": "Delete", "BedroomsTotal": "many",
        "ModificationTimestamp": "2026-11-20T14:03:22Z"});
    let by_status = listing(&record);
    let header = Origin { feed: Some("a".parse().unwrap()), ce_time_ms: Some(1_795_183_402_000), ..origin() };
    assert_eq!(by_status.market.as_str(), "zz/unknown/unknown");
    for key in ["9", "a:9"] {
        let by_key = read_delete(Some(key.as_bytes()), &header).unwrap();
        assert_eq!((by_key.listing_id.as_str(), by_key.version), ("a:9", by_status.version), "{key}");
    }
    let own_key = read_delete(Some(b"b:9"), &origin()).unwrap();
    assert_eq!((own_key.listing_id.as_str(), own_key.version.timestamp_ms), ("b:9", NOW_MS));
}
