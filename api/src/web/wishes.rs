//! The form in which a person says what they want: from a statement to its fields, and back. Pure; the dictionary judges the values.

use schemas::amenities::WORDS;
use schemas::field_error::{Fault, FieldError};
use schemas::preferences::Preferences;
use schemas::vocabulary::{PropertySubType, Transaction};
use serde_json::{Map, Value, json};

use super::form::{Form, number};
use super::places::{self, Choice};
use super::words;
use crate::routes::markets::MarketSummary;

/// Fields that hold one number each, which the statement names the same.
const NUMBERS: [&str; 6] =
    ["budget", "min_bedrooms", "min_bathrooms", "min_living_area_sqft", "max_commute_minutes", "min_school_rating"];
/// Fields that hold several words each, which the statement names the same.
const LISTS: [&str; 3] = ["property_sub_types", "required_amenities", "preferred_amenities"];
/// Fields that are there or not.
const FLAGS: [&str; 2] = ["include_coming_soon", "include_under_contract"];

/// A word to choose, and what people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As the statement has it.
    pub value: &'static str,
    /// As it is shown.
    pub label: String,
}

/// The form with what can be chosen.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// What is filled in, and what is wrong with it.
    pub form: Form,
    /// The markets.
    pub choices: Vec<Choice>,
    /// The chosen market, if it is none of the choices.
    pub other_choice: Option<Choice>,
    /// How the chosen market's amounts begin.
    pub sign: String,
    /// The amenities.
    pub amenities: Vec<Word>,
    /// The kinds of home.
    pub kinds: Vec<Word>,
}

impl Wishes {
    /// The form with these values.
    pub fn of(form: Form, markets: &[MarketSummary]) -> Self {
        let choices = places::choices(markets);
        let chosen = form.value("city");
        let other_choice =
            (!chosen.is_empty() && choices.iter().all(|choice| choice.market != chosen)).then(|| Choice {
                market: chosen.to_owned(),
                name: chosen.parse().map_or_else(|_| chosen.to_owned(), |market| words::place(&market)),
                budget: String::new(),
                rent: String::new(),
                median: String::new(),
            });
        let numbers = markets.iter().find(|summary| summary.market.as_str() == chosen);
        let numbers = numbers.and_then(|summary| summary.sale.as_ref().or(summary.lease.as_ref()));
        let word = |value: &'static str| Word { value, label: words::spaced(value) };
        let mut amenities: Vec<Word> = WORDS.iter().map(|(value, _)| word(value)).collect();
        amenities.sort_by(|a, b| a.label.cmp(&b.label));
        let kinds = PropertySubType::ALL.iter().map(|kind| word(kind.as_str())).collect();
        let sign = numbers.map(|numbers| words::sign(numbers.currency)).unwrap_or_else(|| "$".to_owned());
        Self { form, choices, other_choice, sign, amenities, kinds }
    }

    /// The form of who has said nothing yet: the largest market, and a budget at its median.
    pub fn new(markets: &[MarketSummary]) -> Self {
        let mut form = Form::default();
        form.put("transaction", Transaction::Sale.as_str());
        form.put("profile", "balanced");
        if let Some(summary) = markets.iter().find(|summary| summary.sale.is_some()) {
            form.put("city", summary.market.to_string());
            form.put_some("budget", places::default_budget(summary, Transaction::Sale).map(words::grouped));
            form.put("min_bedrooms", "2");
        }
        Self::of(form, markets)
    }
}

/// The form that says what a statement says.
pub fn form_of(statement: &Preferences) -> Form {
    let mut form = Form::default();
    form.put("transaction", statement.transaction.as_str());
    let budget = match statement.budget.cents() % 100 {
        0 => words::grouped(statement.budget.units()),
        _ => statement.budget.to_string(),
    };
    form.put("budget", budget);
    let mut cities = statement.place.cities.iter();
    form.put_some("city", cities.next());
    form.put("more_cities", cities.map(ToString::to_string).collect::<Vec<_>>().join(", "));
    form.put(
        "postal_codes",
        statement.place.postal_codes.iter().map(|code| code.code.clone()).collect::<Vec<_>>().join(", "),
    );
    form.put_some("min_bedrooms", statement.min_bedrooms);
    form.put_some("min_bathrooms", statement.min_bathrooms);
    form.put_some("min_living_area_sqft", statement.min_living_area_sqft);
    form.put_some("max_commute_minutes", statement.max_commute_minutes);
    form.put_some("min_school_rating", statement.min_school_rating);
    for kind in &statement.property_sub_types {
        form.put("property_sub_types", kind.as_str());
    }
    for word in statement.required_amenities.words() {
        form.put("required_amenities", word);
    }
    for word in statement.preferred_amenities.words() {
        form.put("preferred_amenities", word);
    }
    form.put_some("include_coming_soon", statement.include_coming_soon.then_some("on"));
    form.put_some("include_under_contract", statement.include_under_contract.then_some("on"));
    if let Ok(Value::String(profile)) = serde_json::to_value(statement.profile) {
        form.put("profile", profile);
    }
    form
}

/// The statement that a form makes. `kept`: what the session stated before; what the form does not show of it stays.
///
/// `Err` is the same form with what is wrong beside each field, all at once.
pub fn statement_of(mut form: Form, kept: Option<&Preferences>) -> Result<Preferences, Form> {
    let text = document(&form, kept).to_string();
    Preferences::parse(text.as_bytes()).map_err(|faults| {
        for fault in &faults {
            form.refuse(field_of(&fault.field), message(fault));
        }
        form
    })
}

/// The statement as JSON.
fn document(form: &Form, kept: Option<&Preferences>) -> Value {
    let mut statement = Map::new();
    let mut put = |name: &str, value: Value| statement.insert(name.to_owned(), value);
    for name in ["transaction", "profile"] {
        if !form.value(name).is_empty() {
            put(name, json!(form.value(name)));
        }
    }
    for name in NUMBERS.into_iter().filter(|name| !form.value(name).is_empty()) {
        put(name, number(form.value(name)));
    }
    for name in LISTS.into_iter().filter(|name| form.count(name) > 0) {
        put(name, json!(form.values(name).collect::<Vec<_>>()));
    }
    for name in FLAGS.into_iter().filter(|name| form.count(name) > 0) {
        put(name, json!(true));
    }
    let mut place = Map::new();
    let cities: Vec<&str> = form.values("city").chain(parts(form.value("more_cities"))).collect();
    if !cities.is_empty() {
        place.insert("cities".to_owned(), json!(cities));
    }
    let codes: Vec<&str> = parts(form.value("postal_codes")).collect();
    if !codes.is_empty() {
        place.insert("postal_codes".to_owned(), json!(codes));
    }
    if let Some(kept) = kept {
        for (name, value) in [("within", json!(kept.place.within)), ("country", json!(kept.place.country))] {
            if !value.is_null() {
                place.insert(name.to_owned(), value);
            }
        }
        if !kept.dismissed.is_empty() {
            put("dismissed", json!(kept.dismissed));
        }
    }
    put("place", Value::Object(place));
    Value::Object(statement)
}

/// The parts of a list as people write it.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', '\n']).map(str::trim).filter(|part| !part.is_empty())
}

/// The field of the form that a fault of the statement belongs to.
fn field_of(field: &str) -> &'static str {
    let known = |name: &str| NUMBERS.into_iter().chain(LISTS).chain(FLAGS).find(|field| *field == name);
    match field.split('/').next().unwrap_or_default() {
        "place" if field.starts_with("place/postal_codes") => "postal_codes",
        "place" if field.starts_with("place/cities/") && field != "place/cities/0" => "more_cities",
        "place" => "city",
        "currency" => "budget",
        "transaction" => "transaction",
        "profile" => "profile",
        name => known(name).unwrap_or("form"),
    }
}

/// A fault in the words of who fills in a form: its field stands beside it.
fn message(fault: &FieldError) -> String {
    match fault.fault {
        Fault::Missing => format!("Please fill this in: {}.", fault.expected),
        _ => format!("“{}” does not work here: expected {}.", fault.value, fault.expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::encoded(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_form_becomes_a_statement_and_the_statement_the_same_form() {
        let filled = form(
            "transaction=sale&city=us/wa/seattle&budget=750,000&min_bedrooms=3&min_bathrooms=1.5&min_school_rating=7.5\
             &required_amenities=garage&preferred_amenities=view&preferred_amenities=balcony&profile=family\
             &postal_codes=98101,98102&property_sub_types=Townhouse&include_coming_soon=on&more_cities=us/wa/bellevue",
        );
        let statement = statement_of(filled, None).unwrap();
        assert_eq!(statement.budget.units(), 750_000);
        let again = statement_of(form_of(&statement), None).unwrap();
        assert_eq!(again, statement);
    }

    #[test]
    fn what_the_form_does_not_show_stays() {
        let mut kept = statement_of(form("city=us/wa/seattle&budget=1"), None).unwrap();
        kept.dismissed = vec!["f:1".parse().unwrap()];
        kept.place.country = Some("us".parse().unwrap());
        let stated = statement_of(form("city=us/wa/tacoma&budget=2"), Some(&kept)).unwrap();
        assert_eq!((stated.dismissed, stated.place.country), (kept.dismissed, kept.place.country));
    }

    #[test]
    fn everything_wrong_stands_beside_its_field_and_what_was_typed_stays() {
        let wrong =
            form("city=Seattle&budget=a lot&min_bedrooms=-1&required_amenities=moat&more_cities=us/wa/bellevue,x");
        let refused = statement_of(wrong, None).unwrap_err();
        for field in ["city", "budget", "min_bedrooms", "required_amenities", "more_cities"] {
            assert!(refused.error(field).is_some(), "{field}: {:?}", refused.errors());
        }
        assert_eq!(refused.value("budget"), "a lot");
        let empty = statement_of(Form::default(), None).unwrap_err();
        assert!(empty.error("budget").is_some() && empty.error("city").is_some(), "{:?}", empty.errors());
    }
}
