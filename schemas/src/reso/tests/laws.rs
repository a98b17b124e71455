//! For any bytes: the reader ends without a panic, and what it yields survives the wire unchanged.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::reso::fields::Field;

fn outcome_is_lawful(text: &[u8]) -> Result<(), TestCaseError> {
    let Ok(items) = read(text, &origin()) else { return Ok(()) };
    for item in items {
        match item.outcome {
            Err(refusal) => prop_assert!(!refusal.message.is_empty()),
            Ok(accepted) => {
                let wire = serde_json::to_string(&accepted.listing).unwrap();
                let back: Listing =
                    serde_json::from_str(&wire).map_err(|e| TestCaseError::fail(format!("{wire}: {e}")))?;
                prop_assert_eq!(&back, &accepted.listing, "{}", wire);
                prop_assert_eq!(serde_json::to_string(&back).unwrap(), wire);
            }
        }
    }
    Ok(())
}

/// A value of any kind, near the ones that fields hold.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-10_i64..5_000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0..2_000.0_f64).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9]{1,4}\\.?[0-9]{0,3}".prop_map(Value::from),
        prop_oneof!["Active", "Closed", "Pool, Garage", "Y", "US", "WA", "98101", "Acres", "https://a.b/c"]
            .prop_map(Value::from),
        "202[0-9]-1[0-2]-[0-3][0-9](T[0-2][0-9]:30:00(\\.[0-9]{1,7})?(Z|[+-]0[0-9]:00)?)?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{1,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A member of a listing, mostly one that roost knows.
fn member() -> impl Strategy<Value = (String, Value)> {
    let name = prop_oneof![
        4 => prop::sample::select(Field::ALL).prop_map(|field| field.name().to_owned()),
        1 => ".{0,10}",
    ];
    (name, value())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        outcome_is_lawful(&bytes)?;
    }

    #[test]
    fn any_json_is_read_without_a_panic(value in value()) {
        outcome_is_lawful(value.to_string().as_bytes())?;
    }

    #[test]
    fn any_members_around_a_listing_leave_it_equal_to_itself_after_the_wire(
        members in prop::collection::btree_map(prop::sample::select(Field::ALL), value(), 0..12),
        unknown in prop::collection::vec(member(), 0..6),
    ) {
        let mut record = least();
        for (field, value) in members {
            record[field.name()] = value;
        }
        for (name, value) in unknown {
            record[name] = value;
        }
        outcome_is_lawful(record.to_string().as_bytes())?;
    }

    #[test]
    fn one_strange_member_never_hides_from_the_wire((name, value) in member()) {
        let mut record = least();
        record[name] = value;
        outcome_is_lawful(record.to_string().as_bytes())?;
    }

    #[test]
    fn cut_anywhere_a_listing_is_read_without_a_panic(at in 0..140_usize) {
        let text = least().to_string();
        outcome_is_lawful(&text.as_bytes()[..at.min(text.len())])?;
    }
}
