//! A statement of preferences as older clients write it, and the same in the dictionary's words. Pure.
//!
//! Only names and a place differ: everything is judged by the dictionary's reader, whose faults get the older names back.

use std::collections::BTreeSet;

use schemas::field_error::{Fault, FieldError};
use schemas::id::Market;
use schemas::preferences::{Place, Preferences};
use serde_json::value::RawValue;

use super::members::{Members, Writer, members};
use crate::places::{EXPECTED, Unplaced, resolve};
use crate::problem::{Kind, Problem, Wrong};
use crate::routes::preferences::refused;

/// Older names of members, and the dictionary's.
const NAMES: [(&str, &str); 1] = [("max_commute_time", "max_commute_minutes")];
/// Members of which a zero asks for nothing: older clients send it for what their user left open.
const ZERO_IS_OPEN: [&str; 3] = ["min_bedrooms", "min_bathrooms", "min_school_rating"];

/// What a body says.
#[derive(Debug)]
pub struct Asked {
    /// What opens the session whose statement is replaced.
    pub session: Option<String>,
    location: Option<Result<String, FieldError>>,
    wrong: Vec<FieldError>,
    rest: Members,
}

impl Asked {
    /// Takes a body apart.
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        let Some(members) = members(body) else {
            // The dictionary's reader says what is wrong with it.
            let faults = Preferences::parse(body).err().unwrap_or_default();
            return Err(refused(&faults));
        };
        let mut own = BTreeSet::new();
        let mut asked = Self { session: None, location: None, wrong: Vec::new(), rest: Vec::new() };
        for (name, raw) in members {
            match name.as_str() {
                // What is null is left open.
                _ if raw.get() == "null" => {}
                "session_id" | "location" if !own.insert(name.clone()) => {
                    asked.wrong.push(FieldError::new(&name, "the member", Fault::Duplicate, "every member once"));
                }
                "session_id" => match text(&raw) {
                    Some(text) => asked.session = Some(text),
                    None => asked.wrong.push(no_session()),
                },
                "location" => {
                    let bad = || FieldError::new("location", raw.get(), Fault::BadType, EXPECTED);
                    asked.location = Some(text(&raw).ok_or_else(bad));
                }
                _ => asked.rest.push((name, raw)),
            }
        }
        Ok(asked)
    }

    /// The session that it names is none.
    pub fn refuse_session(&mut self) {
        self.wrong.push(no_session());
    }

    /// The statement, with the place that its location names among `markets`. All faults at once.
    pub fn preferences(&self, markets: &[Market]) -> Result<Preferences, Problem> {
        let (mut wrong, mut candidates) = (self.wrong.clone(), Vec::new());
        let has_place = self.rest.iter().any(|(name, _)| name == "place");
        let place = match &self.location {
            None if has_place => None,
            None => Some(Err(FieldError::new("location", "", Fault::Missing, EXPECTED))),
            Some(Err(error)) => Some(Err(error.clone())),
            Some(Ok(text)) => Some(resolve(text, markets).map_err(|why| match why {
                Unplaced::Unknown(expected) => FieldError::new("location", text, Fault::OutOfRange, expected),
                Unplaced::Ambiguous(choice) => {
                    let expected =
                        format!("one of {}", choice.iter().map(|c| format!("'{c}'")).collect::<Vec<_>>().join(", "));
                    candidates = choice;
                    FieldError::new("location", text, Fault::OutOfRange, expected)
                }
            })),
        };
        let stands_in = matches!(place, Some(Err(_)));
        let statement = self.statement(place, &mut wrong);
        match Preferences::parse(&statement) {
            Ok(preferences) if wrong.is_empty() => Ok(preferences),
            outcome => {
                let faults = outcome.err().unwrap_or_default();
                wrong.extend(faults.into_iter().filter(|fault| !(stands_in && is_of_place(fault))).map(older));
                let mut problem = Problem::of_parts(Kind::ValidationFailed, wrong.iter().map(Wrong::field).collect());
                problem.candidates = candidates;
                Err(problem)
            }
        }
    }

    /// The statement in the dictionary's words; for a place that is not known, any, so that the rest is judged.
    fn statement(&self, place: Option<Result<Place, FieldError>>, wrong: &mut Vec<FieldError>) -> Vec<u8> {
        let mut writer = Writer::default();
        for (name, raw) in &self.rest {
            let is_zero = ZERO_IS_OPEN.contains(&name.as_str()) && raw.get().parse::<f64>() == Ok(0.0);
            if !is_zero {
                let renamed = NAMES.iter().find(|(older, _)| older == name).map(|(_, name)| *name);
                writer.add(renamed.unwrap_or(name), raw.get());
            }
        }
        match place {
            None => {}
            // Cannot fail: texts alone.
            Some(Ok(place)) => writer.add("place", &serde_json::to_string(&place).unwrap_or_default()),
            Some(Err(error)) => {
                wrong.push(error);
                writer.add("place", r#"{"country":"us"}"#);
            }
        }
        writer.finish()
    }
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Its text may be the secret of another session: it is not repeated.
fn no_session() -> FieldError {
    FieldError::new(
        "session_id",
        "***",
        Fault::OutOfRange,
        "one that POST /api/preferences gave; leave it out for a new session",
    )
}

fn is_of_place(fault: &FieldError) -> bool {
    fault.field == "place" || fault.field.starts_with("place/")
}

/// The fault under the name that its client knows.
fn older(fault: FieldError) -> FieldError {
    if let Some((older, _)) = NAMES.iter().find(|(_, name)| *name == fault.field) {
        return fault.named(older);
    }
    // What the location became is not what was written.
    if fault.field == "place"
        || fault.field.starts_with("place/cities")
        || fault.field.starts_with("place/postal_codes")
    {
        return fault.named("location");
    }
    fault
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn preferences(body: &serde_json::Value) -> Result<Preferences, Problem> {
        let markets = ["us/wa/seattle", "us/or/portland", "us/me/portland"].map(|market| market.parse().unwrap());
        Asked::read(body.to_string().as_bytes())?.preferences(&markets)
    }

    #[test]
    fn an_older_statement_says_the_same_in_the_dictionary_s_words() {
        let body = json!({"budget": 750_000, "location": "Seattle, WA", "min_bedrooms": 3, "max_commute_time": 45,
                          "min_school_rating": 7, "preferred_amenities": ["pool"]});
        let same = json!({"budget": 750_000, "place": {"cities": ["us/wa/seattle"]}, "min_bedrooms": 3,
                          "max_commute_minutes": 45, "min_school_rating": 7, "preferred_amenities": ["pool"]});
        let same = Preferences::parse(same.to_string().as_bytes()).unwrap();
        assert_eq!(preferences(&body), Ok(same));
    }

    #[test]
    fn what_is_null_or_zero_is_left_open() {
        let bare = preferences(&json!({"budget": 1, "location": "98101"})).unwrap();
        let open = json!({"budget": 1, "location": "98101", "session_id": null, "min_bedrooms": 0, "min_school_rating": 0.0,
                          "max_commute_time": null, "preferred_amenities": []});
        assert_eq!(preferences(&open), Ok(bare));
    }

    #[test]
    fn everything_wrong_is_told_at_once_under_its_older_name() {
        let body = json!({"budget": -1, "max_commute_time": "x", "min_bedrooms": -2, "preferred_amenities": ["moat"],
                          "session_id": "5ecret", "garden": true});
        let mut asked = Asked::read(body.to_string().as_bytes()).unwrap();
        assert_eq!(asked.session.as_deref(), Some("5ecret"));
        asked.refuse_session();
        let problem = asked.preferences(&[]).unwrap_err();
        let mut pointers: Vec<_> = problem.errors.iter().filter_map(|wrong| wrong.pointer.as_deref()).collect();
        pointers.sort_unstable();
        let expected = [
            "/budget",
            "/garden",
            "/location",
            "/max_commute_time",
            "/min_bedrooms",
            "/preferred_amenities/0",
            "/session_id",
        ];
        assert_eq!((problem.kind, pointers), (Kind::ValidationFailed, expected.to_vec()));
        assert!(!format!("{problem:?}").contains("5ecret"));
    }

    #[test]
    fn an_ambiguous_location_is_a_choice() {
        let problem = preferences(&json!({"budget": 1, "location": "Portland"})).unwrap_err();
        assert_eq!(problem.candidates, ["Portland, ME, US", "Portland, OR, US"]);
        assert_eq!(problem.errors.len(), 1);
        assert_eq!(problem.errors[0].pointer.as_deref(), Some("/location"));
    }

    #[test]
    fn a_body_that_is_no_object_is_no_statement() {
        for body in ["", "[]", "{", "7"] {
            assert_eq!(Asked::read(body.as_bytes()).unwrap_err().kind, Kind::NotJson, "{body}");
        }
    }
}
