//! A closed list of words as an `enum`: `schemars` writes one constant schema for each, which generators of clients make a type
//! each of. What the words mean moves into the description.

use serde_json::{Value, json};

/// Rewrites a schema, and those within it.
pub fn gather(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(gather);
            let Some(words) = members.get("oneOf").and_then(Value::as_array).and_then(|all| words_of(all)) else {
                return;
            };
            let about = members.get("description").and_then(Value::as_str).unwrap_or_default();
            let told: Vec<String> = words.iter().filter(|(_, meaning)| !meaning.is_empty()).map(line).collect();
            let description = format!("{about}\n\n{}", told.join("\n")).trim().to_owned();
            let words: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
            let (words, description) = (json!(words), json!(description));
            members.remove("oneOf");
            members.insert("type".to_owned(), json!("string"));
            members.insert("enum".to_owned(), words);
            members.insert("description".to_owned(), description);
        }
        Value::Array(items) => items.iter_mut().for_each(gather),
        _ => {}
    }
}

fn line((word, meaning): &(String, String)) -> String {
    format!("* `{word}`: {meaning}")
}

/// Words with their meanings, if every alternative is one or a plain list of words.
fn words_of(alternatives: &[Value]) -> Option<Vec<(String, String)>> {
    let mut words = Vec::new();
    for one in alternatives {
        let meaning = one.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        match (one.get("const"), one.get("enum").and_then(Value::as_array)) {
            (Some(word), _) => words.push((word.as_str()?.to_owned(), meaning)),
            (None, Some(plain)) => {
                for word in plain {
                    words.push((word.as_str()?.to_owned(), meaning.clone()));
                }
            }
            (None, None) => return None,
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_become_one_list_and_keep_their_meanings() {
        let mut schema = json!({"a": {"description": "Which.", "oneOf": [
            {"const": "x", "type": "string", "description": "The first."}, {"enum": ["y"], "type": "string"},
        ]}});
        gather(&mut schema);
        let expected = "Which.\n\n* `x`: The first.";
        assert_eq!(schema["a"], json!({"type": "string", "enum": ["x", "y"], "description": expected}));
        let mut other = json!({"oneOf": [{"const": 1}, {"type": "object"}]});
        let same = other.clone();
        gather(&mut other);
        assert_eq!(other, same);
    }
}
