//! The appraiser by itself: what it refuses to start with, and homes valued on demand.

use std::sync::mpsc::sync_channel;

use enricher::{Appraiser, Config};
use schemas::money::Money;
use schemas::priced::NoValuation;

use crate::house::{House, PATIENCE, listing, on_every_log, with};

fn refusal(house: &House, change: impl Fn(&mut Config)) -> String {
    let mut config = house.config.clone();
    change(&mut config);
    Appraiser::start(&config, &house.log, &house.fatal()).err().expect("must not start").to_string()
}

#[test]
fn a_wrong_setting_or_model_is_a_start_error_with_the_remedy() {
    on_every_log(|house| {
        let cases = [
            (
                refusal(house, |c| c.model = "missing/1".to_owned()),
                ["missing/1/manifest.json", "set enricher.registry"],
            ),
            (refusal(house, |c| c.model = "broken/1".to_owned()), ["broken/1/model.onnx", "golden row 0"]),
            (refusal(house, |c| c.model = "wide/1".to_owned()), ["wide/1/model.onnx", "expected one outlet `price`"]),
            (refusal(house, |c| c.model = "tiny".to_owned()), ["enricher.model: `tiny`", "synthetic-us/1"]),
            (refusal(house, |c| c.workers = 0), ["enricher.workers: 0", "1 to 64"]),
            (
                refusal(house, |c| c.library = Some("/nowhere.so".into())),
                ["ONNX Runtime /nowhere.so", "dev/get-onnxruntime"],
            ),
            (
                refusal(house, |c| c.school_ratings = Some("/nowhere.csv".into())),
                ["school ratings /nowhere.csv", "cannot be read"],
            ),
        ];
        for (error, parts) in cases {
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    });
}

#[test]
fn a_home_is_valued_on_demand_and_the_handle_crosses_threads() {
    fn crosses_threads<T: Send + Sync + Clone>(_: &T) {}
    on_every_log(|house| {
        let appraiser = house.appraiser();
        crosses_threads(&appraiser);
        house.until("the sales to be read", || appraiser.ready().ok());
        let value = |listing| {
            let (sender, receiver) = sync_channel(1);
            appraiser.value(listing, move |appraisal| sender.send(appraisal).unwrap()).unwrap();
            receiver.recv_timeout(PATIENCE).unwrap()
        };
        let appraisal = value(listing("f:1", 1, "Active", 1));
        assert_eq!(appraisal.valuation.unwrap().p50, Money::from_units(250_000).unwrap());
        let unknown = value(with("f:1", 1, "Active", 1, serde_json::json!({"living_area_sqft": null})));
        assert_eq!(unknown.valuation, Err(NoValuation::MissingFeatures));
    });
}
