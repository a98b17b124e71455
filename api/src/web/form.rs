//! What a person typed into a form: pairs of names and values, and beside each what is wrong with it. Knows no field.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures::StreamExt as _;

use crate::problem::{Kind, Problem, Wrong};

/// Largest body of a form, in bytes: every word of every list is a tenth of it.
const MAX_FORM_BYTES: usize = 32 * 1024;
/// Most pairs of a form: all amenities twice, and the rest.
const MAX_PAIRS: usize = 256;

/// A form as it was filled in, or is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    values: Vec<(String, String)>,
    errors: Vec<(String, String)>,
}

impl Form {
    /// Reads a posted form.
    pub async fn posted(headers: &HeaderMap, body: Body, timeout: Duration) -> Result<Self, Problem> {
        let is_form = headers.get(header::CONTENT_TYPE).is_some_and(|value| {
            let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        });
        if !is_form {
            let detail = "the form is not declared as one (expected application/x-www-form-urlencoded)";
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        let mut body = body.into_data_stream();
        let read = async {
            let mut bytes = Vec::new();
            while let Some(chunk) = body.next().await {
                let chunk =
                    chunk.map_err(|_| Problem::new(Kind::BadRequest, "the form ended before it was complete"))?;
                if bytes.len() + chunk.len() > MAX_FORM_BYTES {
                    let detail = format!("the form is too large (expected at most {MAX_FORM_BYTES} bytes)");
                    return Err(Problem::new(Kind::PayloadTooLarge, detail));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        };
        match tokio::time::timeout(timeout, read).await {
            Ok(Ok(bytes)) => Self::encoded(&bytes),
            Ok(Err(refused)) => {
                serve::discard(&mut body).await;
                Err(refused)
            }
            Err(_) => {
                let detail = format!("the form did not arrive within {} s", timeout.as_secs_f32());
                Err(Problem::new(Kind::RequestTimeout, detail))
            }
        }
    }

    /// Reads pairs as a browser writes them, in a body or a query.
    pub fn encoded(bytes: &[u8]) -> Result<Self, Problem> {
        let values: Vec<(String, String)> = url::form_urlencoded::parse(bytes)
            .map(|(name, value)| (name.into_owned(), value.trim().to_owned()))
            .take(MAX_PAIRS + 1)
            .collect();
        if values.len() > MAX_PAIRS {
            let detail = format!("the form has too many fields (expected at most {MAX_PAIRS})");
            return Err(Problem::new(Kind::PayloadTooLarge, detail));
        }
        Ok(Self { values, errors: Vec::new() })
    }

    /// Adds a value.
    pub fn put(&mut self, name: &str, value: impl Into<String>) {
        self.values.push((name.to_owned(), value.into()));
    }

    /// Adds a value, if there is one.
    pub fn put_some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.put(name, value.to_string());
        }
    }

    /// The first value of that name; empty when there is none.
    pub fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// All values of that name that are not empty.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(other, value)| other == name && !value.is_empty()).map(|(_, v)| v.as_str())
    }

    /// Whether that value is among those of that name.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.values(name).any(|other| other == value)
    }

    /// How many values of that name there are.
    pub fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// Whether nothing was filled in.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(|(_, value)| value.is_empty())
    }

    /// Notes what is wrong with a field; the first of a field is told.
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        if self.error(name).is_none() {
            self.errors.push((name.to_owned(), message.into()));
        }
    }

    /// Notes what a problem says of its parts. `field_of` names the field that a JSON pointer belongs to.
    pub fn refuse_parts(&mut self, parts: &[Wrong], field_of: impl Fn(&str) -> &'static str) {
        for part in parts {
            self.refuse(field_of(part.pointer.as_deref().unwrap_or_default()), part.message.clone());
        }
    }

    /// What is wrong with a field.
    pub fn error(&self, name: &str) -> Option<&str> {
        self.errors.iter().find(|(other, _)| other == name).map(|(_, message)| message.as_str())
    }

    /// All that is wrong: field and message.
    pub fn errors(&self) -> &[(String, String)] {
        &self.errors
    }

    /// The attributes that tie a field to its hint and its error. `name` is one of ours, so nothing in it needs escaping.
    pub fn aria(&self, name: &'static str, has_hint: bool) -> String {
        let hint = has_hint.then(|| format!("{name}-hint"));
        let error = self.error(name).map(|_| format!("{name}-error"));
        let described: Vec<String> = [hint, error].into_iter().flatten().collect();
        let invalid = if self.error(name).is_some() { " aria-invalid=\"true\"" } else { "" };
        match described.is_empty() {
            true => invalid.to_owned(),
            false => format!("{invalid} aria-describedby=\"{}\"", described.join(" ")),
        }
    }
}

/// A number as people write it, `750,000` or `$ 1 200.50`, as JSON; what is none stays a text, for the reader to refuse.
pub fn number(text: &str) -> serde_json::Value {
    let plain: String =
        text.chars().filter(|c| !c.is_whitespace() && !matches!(c, ',' | '$' | '€' | '£' | '_')).collect();
    match serde_json::from_str::<serde_json::Number>(&plain) {
        Ok(number) => serde_json::Value::Number(number),
        Err(_) => serde_json::Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_pairs_of_names_and_values() {
        let form = Form::encoded(b"a=1&a=2&b=x+y%26z&c=").unwrap();
        assert_eq!((form.value("a"), form.value("b"), form.value("d")), ("1", "x y&z", ""));
        assert!(form.has("a", "2") && !form.has("a", "3"));
        assert_eq!(form.count("c"), 0);
        assert!(Form::encoded("a=1&".repeat(300).as_bytes()).is_err());
    }

    #[test]
    fn a_field_is_tied_to_its_hint_and_its_error() {
        let mut form = Form::default();
        assert_eq!(form.aria("budget", false), "");
        form.refuse("budget", "too much");
        form.refuse("budget", "and again");
        assert_eq!(form.error("budget"), Some("too much"));
        assert_eq!(form.aria("budget", true), " aria-invalid=\"true\" aria-describedby=\"budget-hint budget-error\"");
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        assert_eq!(number("$750,000"), serde_json::json!(750_000));
        assert_eq!(number("1 200.5"), serde_json::json!(1_200.5));
        assert_eq!(number("a lot"), serde_json::json!("a lot"));
        assert_eq!(number("1e999"), serde_json::json!("1e999"));
    }
}
