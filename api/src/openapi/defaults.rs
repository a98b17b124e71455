//! What holds where a member is left out, in words: a `default` makes the member required for generators that think of whoever reads
//! (openapi-typescript), and a client that writes would have to state everything.

use serde_json::Value;

/// Moves the `default` of each member of a schema, and of those within it, into its description.
pub fn tell(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
                properties.values_mut().for_each(told);
            }
            members.values_mut().for_each(tell);
        }
        Value::Array(items) => items.iter_mut().for_each(tell),
        _ => {}
    }
}

fn told(member: &mut Value) {
    let Some(member) = member.as_object_mut() else { return };
    match member.remove("default") {
        None | Some(Value::Null) => {}
        Some(default) => {
            let value = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let about = member.get("description").and_then(Value::as_str).unwrap_or_default();
            let about = format!("{about} Absent: `{value}`.").trim().to_owned();
            member.insert("description".to_owned(), Value::String(about));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_default_is_told_and_none_is_left() {
        let mut schema =
            json!({"properties": {"a": {"default": "sale", "description": "Which."}, "b": {"default": null}}});
        tell(&mut schema);
        assert_eq!(schema, json!({"properties": {"a": {"description": "Which. Absent: `sale`."}, "b": {}}}));
    }
}
