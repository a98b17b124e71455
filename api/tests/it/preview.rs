//! What a statement would be shown, without making it.

use std::sync::Arc;

use api::{Config, Judge, Lent, Survey, Surveyed};
use schemas::preferences::Preferences;
use schemas::priced::PricedListing;
use schemas::recommendation::TightestFilter;
use serde_json::{Value, json};
use store::Row;

use crate::desk::Desk;

const PATH: &str = "/api/v1/preferences:preview";

/// Looks at prices and bedrooms alone.
pub struct Simple;

struct Looking {
    asked: Preferences,
    relaxed: Vec<(Preferences, u64)>,
    matched: u64,
    too_dear: u64,
}

fn suits(asked: &Preferences, listing: &PricedListing) -> [bool; 2] {
    let listing = &listing.listing;
    [listing.list_price.unwrap() <= asked.budget, listing.bedrooms_total >= asked.min_bedrooms]
}

impl Judge for Simple {
    fn survey(&self, asked: &Preferences, relaxed: &[Preferences]) -> Box<dyn Survey> {
        let relaxed = relaxed.iter().map(|relaxed| (relaxed.clone(), 0)).collect();
        Box::new(Looking { asked: asked.clone(), relaxed, matched: 0, too_dear: 0 })
    }
}

impl Survey for Looking {
    fn look(&mut self, listings: Vec<PricedListing>) {
        for listing in &listings {
            match suits(&self.asked, listing) {
                [true, true] => self.matched += 1,
                suits_now => {
                    self.too_dear += u64::from(suits_now == [false, true]);
                    for (relaxed, more) in &mut self.relaxed {
                        *more += u64::from(suits(relaxed, listing) == [true, true]);
                    }
                }
            }
        }
    }

    fn finish(self: Box<Self>) -> Surveyed {
        let removed = vec![TightestFilter { filter: "budget".to_owned(), removes: self.too_dear }];
        let gained = self.relaxed.into_iter().map(|(_, more)| more).collect();
        Surveyed { matched: self.matched, removed, gained, best: Vec::new() }
    }
}

fn desk() -> Desk {
    Desk::start_lent(Config::default(), None, Lent { judge: Some(Arc::new(Simple)), metrics: None })
}

fn ask(desk: &Desk, statement: &Value) -> Value {
    let answer = desk.post(PATH, statement);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[test]
fn a_preview_counts_what_there_is_and_says_what_would_show_more() {
    let desk = desk();
    for (n, price) in [700, 740, 760, 770, 780, 820].into_iter().enumerate() {
        desk.list(&n.to_string(), price * 1_000, &json!({}));
    }
    desk.list("small", 700_000, &json!({"bedrooms_total": 2}));
    desk.list("rent", 3_000, &json!({"transaction": "lease", "property_type": "ResidentialLease"}));
    let statement = json!({"budget": 750_000, "place": {"cities": ["us/wa/seattle"]}, "min_bedrooms": 3});
    insta::assert_json_snapshot!("preview", ask(&desk, &statement));
}

#[test]
fn more_than_a_chunk_is_counted_and_each_market_once() {
    let desk = desk();
    for name in ["us/wa/seattle", "us/wa/tacoma", "ca/on/toronto"] {
        desk.write(Row::Market(name.parse().unwrap()), Some(&json!({})));
    }
    for n in 0..300 {
        desk.list(&format!("s{n}"), 500_000 + n, &json!({}));
    }
    desk.list("t", 500_000, &json!({"market": "us/wa/tacoma"}));
    desk.list("c", 500_000, &json!({"market": "ca/on/toronto"}));
    for (place, matched) in [
        (json!({"cities": ["us/wa/seattle"]}), 300),
        (json!({"country": "us"}), 301),
        (json!({"cities": ["us/wa/seattle"], "country": "us"}), 301),
        (json!({"postal_codes": ["us/98101"]}), 301),
        (json!({"within": {"latitude": 47.6, "longitude": -122.3, "radius_km": 10}}), 302),
    ] {
        let seen = ask(&desk, &json!({"budget": 750_000, "place": place}));
        assert_eq!(
            (&seen["matched"], &seen["looked_at"], &seen["at_least"]),
            (&json!(matched), &json!(matched), &json!(false)),
            "{place}"
        );
    }
}

#[test]
fn a_wrong_statement_is_told_all_that_is_wrong_and_without_a_judge_there_is_no_preview() {
    let wrong =
        desk().post(PATH, &json!({"budget": -1, "place": {}, "min_bedrooms": "x"})).problem(422, "validation-failed");
    let pointers: Vec<_> =
        wrong["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/budget", "/place", "/min_bedrooms"]);
    let statement = json!({"budget": 750_000, "place": {"country": "us"}});
    Desk::start().post(PATH, &statement).problem(503, "overloaded");
}
