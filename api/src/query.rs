//! Query parameters, strictly: an unknown, repeated or wrong one is an error that says what is right, all at once. Pure.
//!
//! Does not know what a parameter is for: the routes do.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use schemas::nearest::nearest;

use crate::problem::{Kind, Problem, Wrong};

/// Most parameters of one request: three times as many as any route knows.
const MAX_PARAMETERS: usize = 64;
/// Longest value of one parameter, in bytes: longer than any cursor.
const MAX_VALUE_BYTES: usize = 1_024;

/// The parameters of one request, taken out one by one.
#[derive(Debug)]
pub struct Query {
    values: Vec<(String, String)>,
    wrong: Vec<Wrong>,
    unknown: bool,
}

/// A route without query parameters: one that is given is as wrong as an unknown one elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::read(&parts.uri, &[]).finish().map(|()| Self)
    }
}

impl Query {
    /// Reads the query of `uri`. `known` are the names that the route knows.
    pub fn read(uri: &Uri, known: &[&str]) -> Self {
        // Cannot fail: every text is a list of pairs, wrong percent-escapes stand for themselves.
        let values =
            axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).map_or_else(|_| Vec::new(), |q| q.0);
        let mut query = Self { values: Vec::new(), wrong: Vec::new(), unknown: false };
        if values.len() > MAX_PARAMETERS {
            let message = format!("{} parameters are given (expected at most {MAX_PARAMETERS})", values.len());
            query.wrong.push(Wrong { pointer: None, parameter: None, code: "too_large", message });
            return query;
        }
        for (name, value) in values {
            if !known.contains(&name.as_str()) {
                query.unknown = true;
                let message = describe_unknown(&name, known);
                query.wrong.push(Wrong::parameter(&shorten(&name), "unknown", message));
            } else if query.values.iter().any(|(other, _)| *other == name) {
                let message = format!("{name} is given twice (expected once; a list is separated by commas)");
                query.wrong.push(Wrong::parameter(&name, "duplicate", message));
            } else if value.len() > MAX_VALUE_BYTES {
                let message = format!("{name} has {} bytes (expected at most {MAX_VALUE_BYTES})", value.len());
                query.wrong.push(Wrong::parameter(&name, "too_large", message));
            } else {
                query.values.push((name, value));
            }
        }
        query
    }

    /// The value of `name`, if it is there and not empty.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.values.iter().position(|(n, _)| n == name)?;
        Some(self.values.swap_remove(at).1).filter(|value| !value.is_empty())
    }

    /// The value of `name` as `parse` reads it; what it does not read is wrong, and `expected` says what is right.
    pub fn parsed<T>(&mut self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.refuse(name, "out_of_range", &text, expected);
        }
        value
    }

    /// The values of `name`, separated by commas, as `parse` reads them.
    pub fn list<T>(&mut self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let Some(text) = self.text(name) else { return Vec::new() };
        let mut values = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match parse(part) {
                Some(value) => values.push(value),
                None => self.refuse(name, "unknown_word", part, expected),
            }
        }
        values
    }

    /// Notes that the value of `name` is wrong.
    pub fn refuse(&mut self, name: &str, code: &'static str, value: &str, expected: &str) {
        let message = format!("{name}: {} is not allowed (expected {expected})", shorten(value));
        self.wrong.push(Wrong::parameter(name, code, message));
    }

    /// Notes that `name` is missing.
    pub fn require(&mut self, name: &str, expected: &str) {
        self.wrong.push(Wrong::parameter(name, "missing", format!("{name} is missing (expected {expected})")));
    }

    /// Whether nothing was wrong so far.
    pub fn is_fine(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Everything that was wrong.
    pub fn finish(self) -> Result<(), Problem> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        let kind = if self.unknown { Kind::UnknownParameter } else { Kind::InvalidParameter };
        Err(Problem::of_parts(kind, self.wrong))
    }
}

fn describe_unknown(name: &str, known: &[&str]) -> String {
    let shown = shorten(name);
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("{shown} is not a parameter of this route (did you mean {meant}?)"),
        None if known.is_empty() => format!("{shown} is not a parameter of this route (it has none)"),
        None => format!("{shown} is not a parameter of this route (expected one of {})", known.join(", ")),
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() > 80 { text.chars().take(79).chain(['…']).collect() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Query {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Query::read(&uri, &["min_price", "max_price", "market"])
    }

    #[test]
    fn an_unknown_parameter_is_told_the_nearest_known_one() {
        let problem = read("min_prize=3").finish().unwrap_err();
        assert_eq!(problem.kind, Kind::UnknownParameter);
        assert_eq!(problem.detail, "min_prize is not a parameter of this route (did you mean min_price?)");
        let far = read("zzz=3").finish().unwrap_err();
        assert!(far.detail.ends_with("(expected one of min_price, max_price, market)"), "{}", far.detail);
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let mut query = read("min_price=a&max_price=1&max_price=2&x=1");
        assert_eq!(query.parsed("min_price", "a number", |t| t.parse::<u32>().ok()), None);
        let problem = query.finish().unwrap_err();
        let codes: Vec<_> = problem.errors.iter().map(|e| e.code).collect();
        assert_eq!(codes, ["duplicate", "unknown", "out_of_range"]);
    }
}
