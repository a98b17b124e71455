//! The form of a mapping file, and everything that can be wrong with one: found when it is read, not at the first row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::tz::TimeZone;
use schemas::nearest::nearest;
use schemas::reso;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::condition::Condition;
use super::date::{self, Dates};
use super::rule::{Others, Reading, Rule, Source};
use super::rules::{Rules, unit_member};

/// A whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    #[serde(default = "utc")]
    zone: String,
    snapshot: Option<RuleText>,
    #[serde(default)]
    constants: BTreeMap<String, Value>,
    #[serde(default)]
    fields: BTreeMap<String, RuleTexts>,
    #[serde(default)]
    attributes: BTreeMap<String, RuleTexts>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// One rule as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    column: Option<String>,
    constant: Option<Value>,
    #[serde(default)]
    when: Condition,
    #[serde(default)]
    unless: Condition,
    values: Option<BTreeMap<String, Value>>,
    otherwise: Option<Value>,
    #[serde(default)]
    keep_others: bool,
    date: Option<OneOrMore>,
    zone: Option<String>,
    unit: Option<String>,
    separator: Option<String>,
    digits_after: Option<String>,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a format such as \"%Y-%m-%d\", or a list of formats")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// `"column"`, `{ column = "…", … }`, or a list of such tables of which the first that has something to say counts.
struct RuleTexts(Vec<RuleText>);

impl<'de> Deserialize<'de> for RuleTexts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = RuleTexts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a column, a table, or a list of tables")
            }
            fn visit_str<E: de::Error>(self, column: &str) -> Result<RuleTexts, E> {
                Ok(RuleTexts(vec![RuleText { column: Some(column.to_owned()), ..RuleText::default() }]))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RuleTexts, A::Error> {
                RuleText::deserialize(de::value::MapAccessDeserializer::new(map)).map(|rule| RuleTexts(vec![rule]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<RuleTexts, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(RuleTexts)
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

/// The rules of a mapping file.
pub(super) fn rules(text: &str) -> Result<Rules, String> {
    let file: MappingFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let zone = date::zone(&file.zone).map_err(|reason| format!("zone: {reason}"))?;
    let known: BTreeSet<&str> = reso::members_read().collect();
    let mut members = Vec::new();
    for (section, texts) in [("fields", file.fields), ("attributes", file.attributes)] {
        for (name, RuleTexts(texts)) in texts {
            let path = format!("{section}.{name}");
            check_name(&path, &name, section == "fields", &known)?;
            let rules: Result<Vec<Rule>, String> = texts
                .into_iter()
                .map(|text| rule(text, &name, &zone).map_err(|reason| format!("{path}: {reason}")))
                .collect();
            members.push((name, rules?));
        }
    }
    for (name, value) in file.constants {
        check_name(&format!("constants.{name}"), &name, true, &known)?;
        if members.iter().any(|(other, _)| *other == name) {
            return Err(format!(
                "constants.{name}: is a field too (expected one of both; a field may have a last rule with `constant`)"
            ));
        }
        let value = scalar(value).map_err(|reason| format!("constants.{name}: {reason}"))?;
        members.push((name, vec![constant(value)]));
    }
    for required in ["ListingKey", "StandardStatus"] {
        if !members.iter().any(|(name, _)| name == required) {
            return Err(format!("fields.{required}: is missing (expected the column that tells it)"));
        }
    }
    check_units(&members)?;
    // Told first, so that a row with another fault still says which listing it is.
    members.sort_by_key(|(name, _)| name != "ListingKey");
    let snapshot = file.snapshot.map(|text| {
        let rule = rule(text, "Timestamp", &zone).map_err(|reason| format!("snapshot: {reason}"))?;
        if matches!((&rule.source, &rule.reading), (Source::Column(_), Reading::Instant(_))) {
            Ok(rule)
        } else {
            Err("snapshot: needs a `column` and the `date` format of it".to_owned())
        }
    });
    Ok(Rules { members, snapshot: snapshot.transpose()? })
}

/// The line of the key that an error of [`rules`] begins with, `fields.City: …`; errors of TOML itself show theirs.
pub(super) fn line_of(text: &str, reason: &str) -> Option<usize> {
    let path = reason.split(": ").next()?;
    let (section, key) = path.split_once('.').unwrap_or(("", path));
    let mut within = "";
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if let Some(header) = line.strip_prefix('[') {
            within = header.split(']').next()?.trim();
            // A table such as [snapshot] is what an error may be about as a whole.
            if section.is_empty() && within == key {
                return Some(number);
            }
        } else if within == section && line.split(['=', '.']).next()?.trim().trim_matches('"') == key {
            return Some(number);
        }
    }
    None
}

fn check_name(path: &str, name: &str, is_field: bool, known: &BTreeSet<&str>) -> Result<(), String> {
    match (is_field, known.contains(name)) {
        (true, true) | (false, false) => Ok(()),
        (false, true) => Err(format!("{path}: is a member that roost reads; write it under [fields]")),
        (true, false) => {
            let near = nearest(name, known.iter().copied());
            let near = near.map(|near| format!("did you mean '{near}'? ")).unwrap_or_default();
            Err(format!("{path}: is not a member that roost reads ({near}what is only shown goes under [attributes])"))
        }
    }
}

/// A unit stands in a member of its own.
fn check_units(members: &[(String, Vec<Rule>)]) -> Result<(), String> {
    for (name, rules) in members {
        let Some(unit) = unit_member(name) else { continue };
        if rules.iter().any(|rule| rule.unit.is_some()) && members.iter().any(|(other, _)| other == unit) {
            return Err(format!("fields.{name}: has a `unit`, and there is a member {unit} (expected one of both)"));
        }
    }
    Ok(())
}

/// A value that a member can have.
fn scalar(value: Value) -> Result<Value, String> {
    let is_scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(is_scalar));
    if is_scalar(&value) || is_list(&value) {
        Ok(value)
    } else {
        Err("is no value of a member (expected a text, a number, true, false, or a list of those)".to_owned())
    }
}

fn constant(value: Value) -> Rule {
    Rule {
        source: Source::Constant(value),
        when: Condition::Nothing,
        unless: Condition::Nothing,
        reading: Reading::Plain,
        unit: None,
        optional: true,
    }
}

fn rule(text: RuleText, name: &str, zone: &TimeZone) -> Result<Rule, String> {
    let source = match (text.column, text.constant) {
        (Some(column), None) if !column.trim().is_empty() => Source::Column(column),
        (None, Some(value)) => Source::Constant(scalar(value)?),
        _ => return Err("needs one of `column` and `constant`".to_owned()),
    };
    let ways = [text.values.is_some(), text.date.is_some(), text.separator.is_some(), text.digits_after.is_some()];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err("has several of `values`, `date`, `separator` and `digits_after` (expected one)".to_owned());
    }
    if text.values.is_none() && (text.otherwise.is_some() || text.keep_others) {
        return Err("has `otherwise` or `keep_others` without `values`".to_owned());
    }
    if text.date.is_none() && text.zone.is_some() {
        return Err("has a `zone` without a `date` format".to_owned());
    }
    if matches!(source, Source::Constant(_)) && ways.contains(&true) {
        return Err("reads a constant (expected a `column`)".to_owned());
    }
    let zone = text.zone.map_or_else(|| Ok(zone.clone()), |name| date::zone(&name))?;
    let reading = match (text.values, text.date, text.separator, text.digits_after) {
        (Some(values), ..) => words(values, text.otherwise, text.keep_others)?,
        (_, Some(formats), ..) => {
            let formats = match formats {
                OneOrMore::One(format) => vec![format],
                OneOrMore::More(formats) => formats,
            };
            let dates = Dates::new(formats, zone).map_err(|reason| format!("date: {reason}"))?;
            if name.ends_with("Date") { Reading::Day(dates) } else { Reading::Instant(dates) }
        }
        (_, _, Some(separator), _) if !separator.is_empty() => Reading::List(separator),
        (_, _, Some(_), _) => return Err("separator: is empty".to_owned()),
        (.., Some(mark)) => Reading::DigitsAfter(mark),
        (None, None, None, None) => Reading::Plain,
    };
    let unit = text.unit.map(|unit| unit_of(&unit, name)).transpose()?;
    Ok(Rule { source, when: text.when, unless: text.unless, reading, unit, optional: text.optional })
}

fn words(values: BTreeMap<String, Value>, otherwise: Option<Value>, keep_others: bool) -> Result<Reading, String> {
    let others = match (otherwise, keep_others) {
        (None, false) => Others::Refused,
        (None, true) => Others::Kept,
        (Some(value), false) => Others::Mean(value),
        (Some(_), true) => return Err("has both `otherwise` and `keep_others`".to_owned()),
    };
    let values = values.into_iter().map(|(word, value)| (word.trim().to_ascii_lowercase(), value)).collect();
    Ok(Reading::Words { values, others })
}

/// RESO's name of a unit.
fn unit_of(unit: &str, member: &str) -> Result<&'static str, String> {
    if unit_member(member).is_none() {
        return Err(format!("{member} has no unit (only LivingArea and LotSizeArea have one)"));
    }
    match unit {
        "sqft" => Ok("SquareFeet"),
        "m2" => Ok("SquareMeters"),
        "acres" => Ok("Acres"),
        "ha" => Ok("Hectares"),
        other => Err(format!("unit: '{other}' is none (expected sqft, m2, acres or ha)")),
    }
}
