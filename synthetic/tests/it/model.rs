//! The shipped price model is of this market, and of no other.

use std::collections::BTreeSet;
use std::path::Path;

use synthetic::{PLACES, market_of};

#[test]
fn the_shipped_model_covers_the_fictional_cities_in_us_dollars_and_no_real_one() {
    let registry = Path::new(env!("CARGO_MANIFEST_DIR")).join("../enricher/model/registry");
    let mut manifests = 0;
    for directory in std::fs::read_dir(registry.join("synthetic-us")).unwrap() {
        let text = std::fs::read_to_string(directory.unwrap().path().join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let covered: BTreeSet<&str> =
            manifest["markets"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect();
        let fictional: Vec<String> =
            PLACES.iter().filter(|p| p.currency == "USD").map(|p| market_of(p).to_string()).collect();
        assert_eq!(covered, fictional.iter().map(String::as_str).collect());
        assert_eq!(manifest["countries"], serde_json::json!([]));
        assert_eq!(manifest["currency"], "USD");
        manifests += 1;
    }
    assert!(manifests > 0);
}
