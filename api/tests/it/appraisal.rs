//! Valuing a home on demand.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Appraisal, Appraiser, Config, Contribution, Explanation, ModelInfo, NotAppraised};
use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::Valuation;
use schemas::vocabulary::StandardStatus;
use serde_json::{Value, json};

use crate::desk::Desk;

const PATH: &str = "/api/v1/ml/predict-price";

/// 100 per square foot in Seattle; not made for other places.
pub struct PerSquareFoot;

impl Appraiser for PerSquareFoot {
    fn appraise(&self, listing: &Listing) -> Result<Appraisal, NotAppraised> {
        assert_eq!(listing.standard_status, StandardStatus::Active, "a home is valued as if it were on offer");
        if listing.market.as_str() != "us/wa/seattle" {
            return Err(NotAppraised::MarketNotCovered);
        }
        let area =
            listing.living_area_sqft.ok_or_else(|| NotAppraised::FeaturesMissing(vec!["LivingArea".to_owned()]))?;
        assert_ne!(area, 666, "a model that panics");
        let amount = |percent: i64| Money::from_units(i64::from(area) * percent).unwrap();
        let valuation = Valuation {
            p10: amount(90),
            p50: amount(100),
            p90: amount(110),
            model: "per-square-foot".to_owned(),
            model_version: "1".to_owned(),
            level_ppm: 1_000_000,
            sales_read: Vec::new(),
        };
        let out_of_range = if area > 10_000 { vec!["living_area_sqft".to_owned()] } else { Vec::new() };
        Ok(Appraisal { valuation, deal: None, out_of_range })
    }

    fn explain(&self, listing: &Listing) -> Result<(Appraisal, Explanation), NotAppraised> {
        let appraisal = self.appraise(listing)?;
        let amount = appraisal.valuation.p50.units();
        let area = Contribution {
            feature: "living_area_sqft".to_owned(),
            value: listing.living_area_sqft.map(|area| area as f32),
            factor: 1.5,
            amount: amount - 100_000,
        };
        Ok((appraisal, Explanation { base_price: 100_000, features: vec![area], market_level: 0 }))
    }

    fn attributes(&self) -> BTreeSet<String> {
        ["grade".to_owned()].into()
    }

    fn model(&self) -> ModelInfo {
        let manifest = json!({"features": ["living_area_sqft"]});
        ModelInfo {
            model: "per-square-foot".to_owned(),
            model_version: "1".to_owned(),
            epoch: 0,
            manifest: manifest.as_object().unwrap().clone(),
            fallbacks: Vec::new(),
            candidate: None,
            accuracy: Vec::new(),
        }
    }
}

pub fn home() -> Value {
    json!({"Country": "US", "StateOrProvince": "WA", "City": "Seattle", "LivingArea": 1_500, "BedroomsTotal": 3})
}

#[test]
fn a_home_is_valued_as_a_feed_would_describe_it() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    let answer = desk.post(PATH, &home());
    assert_eq!(answer.status, 200, "{}", answer.text);
    insta::assert_json_snapshot!("prediction", answer.json());
    let mut in_square_metres = home();
    in_square_metres["LivingArea"] = json!(100);
    in_square_metres["LivingAreaUnits"] = json!("SquareMeters");
    let small = desk.post(PATH, &in_square_metres).json();
    assert_eq!((&small["valuation"]["p50"], small.get("out_of_training_range")), (&json!(107_600), None));
    let mut palace = home();
    palace["LivingArea"] = json!(50_000);
    assert_eq!(desk.post(PATH, &palace).json()["out_of_training_range"], json!(["living_area_sqft"]));
}

#[test]
fn a_price_is_explained_when_that_is_asked() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    let explained = desk.post(&format!("{PATH}?explain=true"), &home());
    insta::assert_json_snapshot!("explained", explained.json()["explanation"]);
    assert_eq!(desk.post(&format!("{PATH}?explain=false"), &home()).json().get("explanation"), None);
    desk.post(&format!("{PATH}?explain=yes"), &home()).problem(400, "invalid-parameter");
    desk.post(&format!("{PATH}?explian=true"), &home()).problem(400, "unknown-parameter");
}

#[test]
fn what_cannot_be_valued_is_told_why() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    let with = |name: &str, value: Value| {
        let mut home = home();
        home[name] = value;
        home
    };
    let missing = desk.post(PATH, &with("LivingArea", Value::Null)).problem(422, "feature-missing");
    assert_eq!(missing["errors"][0]["pointer"], "/LivingArea");
    desk.post(PATH, &with("City", json!("Tacoma"))).problem(422, "market-not-covered");
    let wrong = desk.post(PATH, &with("BedroomsTotal", json!(-1))).problem(422, "validation-failed");
    assert_eq!(wrong["errors"][0]["pointer"], "/BedroomsTotal");
    let opted_out = desk.post(PATH, &with("InternetAutomatedValuationDisplayYN", json!(false)));
    opted_out.problem(422, "validation-failed");
    assert_eq!(desk.post(PATH, &with("StandardStatus", json!("Closed"))).status, 200);
    desk.post(PATH, &json!([])).problem(400, "not-json");
    desk.post(PATH, &with("LivingArea", json!(666))).problem(500, "internal");
    desk.post(PATH, &with("PublicRemarks", json!("x".repeat(70_000)))).problem(413, "payload-too-large");
    Desk::start().post(PATH, &home()).problem(503, "model-unavailable");
}

#[test]
fn a_member_that_nobody_sees_is_a_mistake_unless_it_is_said_to_be_none() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    let mut misspelt = home();
    misspelt["grade"] = json!(7);
    misspelt["City@core.note"] = json!("as it was");
    assert_eq!(desk.post(PATH, &misspelt).status, 200);
    misspelt["BedroomTotal"] = json!(4);
    misspelt["swimming pools"] = json!({"count": 2});
    misspelt["BathroomsTotalInteger"] = json!("many");
    let refused = desk.post(PATH, &misspelt).problem(422, "validation-failed");
    let named: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        named,
        [
            ("/BathroomsTotalInteger", "bad_type"),
            ("/BedroomTotal", "unknown_member"),
            ("/swimming pools", "unknown_member")
        ]
    );
    let message = refused["errors"][1]["message"].as_str().unwrap();
    assert!(message.contains("did you mean BedroomsTotal?"), "{message}");
    misspelt["BathroomsTotalInteger"] = json!(2);
    assert_eq!(desk.post(&format!("{PATH}?extra=ignore"), &misspelt).status, 200);
    desk.post(&format!("{PATH}?extra=keep"), &misspelt).problem(400, "invalid-parameter");
}

const BATCH: &str = "/api/v1/ml/predict-price/batch";

/// What became of each line: its number, then the price, or the slug of the problem.
fn lines(text: &str) -> Vec<(u64, String)> {
    let told = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let outcome = match line.pointer("/prediction/valuation/p50") {
            Some(price) => price.to_string(),
            None => line["problem"]["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned(),
        };
        (line["line"].as_u64().unwrap(), outcome)
    };
    text.lines().map(told).collect()
}

#[test]
fn a_batch_is_answered_line_by_line_whatever_is_wrong_with_some() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    let with = |name: &str, value: Value| {
        let mut home = home();
        home[name] = value;
        home.to_string()
    };
    let body = [
        home().to_string(),
        String::new(),
        with("LivingArea", Value::Null),
        "{".to_owned(),
        with("BedroomsTotal", json!(-1)),
        format!("{}\r", with("LivingArea", json!(2_000))),
        with("PublicRemarks", json!("x".repeat(70_000))),
        with("City", json!("Tacoma")),
        home().to_string(),
    ];
    let answer = desk.post_lines(BATCH, &body.join("\n"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let expected = [
        (1, "150000"),
        (3, "feature-missing"),
        (4, "not-json"),
        (5, "validation-failed"),
        (6, "200000"),
        (7, "payload-too-large"),
        (8, "market-not-covered"),
        (9, "150000"),
    ];
    assert_eq!(lines(&answer.text), expected.map(|(line, outcome)| (line, outcome.to_owned())));
    let third: Value = serde_json::from_str(answer.text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(third["problem"]["errors"][0]["pointer"], "/LivingArea");
}

#[test]
fn a_batch_has_its_bounds() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    let home = home().to_string();
    let many = vec![home.as_str(); 10_001].join("\n");
    let told = lines(&desk.post_lines(BATCH, &many).text);
    assert_eq!(told.len(), 10_001);
    assert!(told[..10_000].iter().zip(1..).all(|((line, price), number)| *line == number && price == "150000"));
    assert_eq!(told[10_000], (10_001, "payload-too-large".to_owned()));

    assert_eq!(desk.post_lines(BATCH, "").text, "");
    let endless = lines(&desk.post_lines(BATCH, &format!("{home}\n{}", "x".repeat(200_000))).text);
    assert_eq!(endless, [(1, "150000".to_owned()), (2, "payload-too-large".to_owned())]);
    let panics = lines(&desk.post_lines(BATCH, &home.replace("1500", "666")).text);
    assert_eq!(panics, [(1, "internal".to_owned())]);
    desk.post(BATCH, &json!({})).problem(415, "unsupported-media-type");
    Desk::start().post_lines(BATCH, &home).problem(503, "model-unavailable");
}

#[test]
fn the_model_says_who_it_is() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    insta::assert_json_snapshot!("model", desk.get("/api/v1/ml/model-info").json());
    Desk::start().get("/api/v1/ml/model-info").problem(503, "model-unavailable");
}
