//! Valuing a home on demand.

use std::sync::Arc;

use api::{Appraisal, Appraiser, Config, NotAppraised};
use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::Valuation;
use schemas::vocabulary::StandardStatus;
use serde_json::{Value, json};

use crate::desk::Desk;

const PATH: &str = "/api/v1/ml/predict-price";

/// 100 per square foot in Seattle; not made for other places.
struct PerSquareFoot;

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
        Ok(Appraisal { valuation, deal: None })
    }
}

fn home() -> Value {
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
    assert_eq!(desk.post(PATH, &in_square_metres).json()["valuation"]["p50"], 107_600);
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
