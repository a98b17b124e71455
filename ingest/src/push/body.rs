//! From a body to the values in it: one JSON text, or lines of them. Pure.
//!
//! What a value is, `schemas::reso` says.

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON text: an object or a batch.
    Json,
    /// A JSON text per line.
    Lines,
}

impl Form {
    /// By the declared type; where that says nothing (plain text, none), by the look of the body: a first line that is a
    /// JSON text, with more behind it.
    pub(super) fn of(content_type: Option<&str>, body: &[u8]) -> Self {
        let essence = content_type.and_then(|declared| declared.split(';').next()).unwrap_or_default().trim();
        let is = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(essence));
        if is(&[
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
            "application/json-seq",
        ]) {
            return Self::Lines;
        }
        if is(&["application/json", "text/json"]) {
            return Self::Json;
        }
        let mut lines = lines(body);
        let first_is_json =
            lines.next().is_some_and(|line| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok());
        if first_is_json && lines.next().is_some() { Self::Lines } else { Self::Json }
    }

    /// The values in a body, at least one if the body is not blank.
    pub(super) fn values(self, body: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Json if body.trim_ascii().is_empty() => Vec::new(),
            Self::Json => vec![body],
            Self::Lines => lines(body).collect(),
        }
    }
}

/// The lines that are not blank, without the record separators of RFC 7464.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.split(|byte| matches!(byte, b'\n' | 0x1E)).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_it_declares_itself_to_be() {
        assert_eq!(Form::of(Some("application/json; charset=utf-8"), b"{}\n{}"), Form::Json);
        assert_eq!(Form::of(Some("Application/X-NDJSON"), b"{}"), Form::Lines);
    }

    #[test]
    fn an_undeclared_body_is_what_it_looks_like() {
        for declared in [None, Some("application/octet-stream"), Some("text/plain")] {
            assert_eq!(Form::of(declared, b"{\"a\":1}\n{\"a\":2}\n"), Form::Lines);
            assert_eq!(Form::of(declared, b"{\n\"a\":1}\n"), Form::Json);
            assert_eq!(Form::of(declared, b"{\"a\":1}\n\n"), Form::Json);
            assert_eq!(Form::of(declared, b""), Form::Json);
        }
    }

    #[test]
    fn blank_lines_hold_no_value() {
        assert_eq!(Form::Lines.values(b"\n{}\r\n \n{}"), [b"{}", b"{}"]);
        assert_eq!(Form::Json.values(b" \n"), Vec::<&[u8]>::new());
    }
}
