//! Several models: one is asked after the other, and a candidate beside them.

use std::collections::BTreeMap;

use enricher::Drained;
use schemas::money::Money;
use schemas::priced::{NoValuation, PricedListing};
use schemas::shadow::{Arm, Shadow};
use schemas::topic::Topic;
use serde_json::{Value, json};
use stream::Outgoing;
use tempfile::TempDir;

use crate::house::{self, House, PATIENCE, listing, models, on_every_log, record, with};

fn money(units: i64) -> Option<Money> {
    Money::from_units(units)
}

/// The models of the tests, and `seattle/1`: the network of `tiny/2`, for one market, with another feature required.
fn registry() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str, change: Value| {
        let (from, to) = (models().join(from), directory.path().join(to));
        std::fs::create_dir_all(&to).unwrap();
        std::fs::copy(from.join("model.onnx"), to.join("model.onnx")).unwrap();
        let manifest = std::fs::read(from.join("manifest.json")).unwrap();
        let mut manifest: serde_json::Map<String, Value> = serde_json::from_slice(&manifest).unwrap();
        manifest.extend(change.as_object().unwrap().clone());
        std::fs::write(to.join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    };
    for same in ["tiny/1", "tiny/2", "broken/1"] {
        copy(same, same, json!({}));
    }
    let seattle = json!({
        "name": "seattle", "version": "1", "countries": [], "markets": ["us/wa/seattle"],
        "required": ["living_area_sqft", "attributes.Oddity"],
    });
    copy("tiny/2", "seattle/1", seattle);
    directory
}

fn promote(house: &House, champion: Value) -> u64 {
    house.publish(vec![record(Topic::Models, "champion", &champion)])[0].offset + 1
}

fn shadows(house: &House) -> Vec<Shadow> {
    house.read_all(Topic::ValuationsShadow).iter().map(house::json).collect()
}

fn valued_by(fact: &PricedListing) -> Result<(Option<Money>, String), NoValuation> {
    match &fact.valuation {
        Some(valuation) => Ok((Some(valuation.p50), format!("{}/{}", valuation.model, valuation.model_version))),
        None => Err(fact.no_valuation.unwrap()),
    }
}

#[test]
fn the_next_model_is_asked_where_one_has_nothing_to_say() {
    let registry = registry();
    on_every_log(|house| {
        let odd = |key, oddity: i64, more: Value| {
            let mut members = json!({"attributes": {"Oddity": oddity}});
            members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            with(key, 1, "Active", 1, members)
        };
        house.state([
            odd("f:here", 0, json!({})),
            odd("f:there", 0, json!({"market": "us/wa/tacoma"})),
            listing("f:plain", 1, "Active", 1),
            odd("f:strange", -40_000, json!({})),
            odd("f:stranger", -20_000, json!({})),
            odd("f:empty", 0, json!({"living_area_sqft": null})),
            odd("f:abroad", 0, json!({"market": "mx/ags/x", "country": "mx"})),
        ]);
        let mut house_config = house.config.clone();
        house_config.registry = registry.path().to_owned();
        house_config.model = "seattle/1".to_owned();
        house_config.fallback_models = vec!["tiny/1".to_owned()];
        let appraiser = enricher::Appraiser::start(&house_config, &house.log, &house.fatal()).unwrap();
        let enricher = house.enricher_named("a", appraiser.clone());
        let facts = house.until("facts", || Some(house.facts()).filter(|facts| facts.len() == 7));
        let told: BTreeMap<_, _> = facts.iter().map(|(key, fact)| (key.as_str(), valued_by(fact))).collect();
        let by = |units, model: &str| Ok((money(units), model.to_owned()));
        assert_eq!(
            told,
            BTreeMap::from([
                ("f:here", by(350_000, "seattle/1")),
                ("f:there", by(250_000, "tiny/1")),
                ("f:plain", by(250_000, "tiny/1")),
                ("f:strange", Err(NoValuation::BadPrediction)),
                ("f:stranger", by(150_000, "seattle/1")),
                ("f:empty", Err(NoValuation::MissingFeatures)),
                ("f:abroad", Err(NoValuation::MarketNotCovered)),
            ])
        );
        let order: Vec<_> = appraiser.models().order.iter().map(|model| model.model_name().to_string()).collect();
        assert_eq!(order, ["seattle/1", "tiny/1"]);

        // The other way round: what tiny/1 finds no price for, seattle/1 is asked about.
        let epoch =
            promote(house, json!({"name": "tiny", "version": "1", "fallbacks": [{"name": "seattle", "version": "1"}]}));
        let fact = house.fact("f:strange", |fact| fact.listing.version.model_epoch == epoch);
        assert_eq!(valued_by(&fact), Err(NoValuation::BadPrediction));
        house.state([odd("f:strangest", -25_500, json!({}))]);
        assert_eq!(valued_by(&house.fact("f:strangest", |_| true)), by(95_000, "seattle/1"));
        assert_eq!(enricher.stop(PATIENCE), Drained::Clean);
    });
}

#[test]
fn a_candidate_values_in_shadow_and_on_trial_a_part_of_the_listings() {
    on_every_log(|house| {
        let keys: Vec<_> = (0..40).map(|key| format!("f:{key}")).collect();
        house.publish(vec![record(Topic::Models, "candidate", &json!({"name": "tiny", "version": "2"}))]);
        house.state(keys.iter().map(|key| listing(key, 1, "Active", 300_000)));
        let appraiser = house.appraiser();
        let enricher = house.enricher_named("a", appraiser.clone());
        house.until("shadows", || Some(shadows(house)).filter(|shadows| shadows.len() == 40));
        let facts = house.until("facts", || Some(house.facts()).filter(|facts| facts.len() == 40));
        assert!(facts.values().all(|fact| fact.valuation.as_ref().unwrap().p50 == money(250_000).unwrap()));
        for shadow in shadows(house) {
            assert_eq!(shadow.shown, Arm::Champion);
            assert_eq!(shadow.champion.prices.map(|prices| prices.p50), money(250_000));
            assert_eq!(
                (shadow.candidate.model_version.as_str(), shadow.candidate.prices.unwrap().p50),
                ("2", money(350_000).unwrap())
            );
        }
        assert_eq!(appraiser.epoch(), 0, "nothing that users see has changed");

        let trial =
            json!({"name": "tiny", "version": "1", "trial": {"name": "tiny", "version": "2", "share_percent": 50}});
        let epoch = promote(house, trial);
        let is_of = |epoch| {
            move |facts: &BTreeMap<String, PricedListing>| {
                facts.values().all(|fact| fact.listing.version.model_epoch == epoch)
            }
        };
        let facts = house.until("a trial", || Some(house.facts()).filter(is_of(epoch)));
        let on_trial: Vec<_> = facts
            .iter()
            .filter(|(_, fact)| fact.valuation.as_ref().unwrap().model_version == "2")
            .map(|(key, _)| key.clone())
            .collect();
        assert!((8..=32).contains(&on_trial.len()), "{on_trial:?}");
        let is_told = |shadows: &Vec<Shadow>| {
            let shown = |shadow: &&Shadow| shadow.version.model_epoch == epoch;
            shadows.iter().filter(shown).count() == 40
        };
        for shadow in house.until("shadows of the trial", || Some(shadows(house)).filter(is_told)) {
            let is_on_trial = shadow.version.model_epoch == epoch && on_trial.contains(&shadow.listing_id.to_string());
            assert_eq!(shadow.shown == Arm::Candidate, is_on_trial, "{}", shadow.listing_id);
        }

        // What both say of a home is kept with its sale, whoever valued it.
        house.state([with("f:0", 2, "Closed", 300_000, json!({"close_price": 310_000, "close_date": "2023-11-20"}))]);
        let sale = house.until("a sale", || house.sales().pop());
        let said: Vec<_> = sale.appraisals.iter().map(|said| (said.model_version.as_str(), said.p50.units())).collect();
        assert_eq!(said, [("1", 250_000), ("2", 350_000)]);
        assert_eq!(sale.appraisals[1].shown.unwrap().p50, sale.appraisals[1].p50);

        let tombstone = Outgoing { value: None, ..record(Topic::Models, "candidate", &()) };
        house.publish(vec![tombstone]);
        let epoch = promote(house, json!({"name": "tiny", "version": "1"}));
        let all = |fact: &PricedListing| fact.listing.version.model_epoch == epoch || fact.deal.is_none();
        let facts = house.until("no trial", || Some(house.facts()).filter(|facts| facts.values().all(all)));
        assert!(
            facts.iter().filter(|(key, _)| *key != "f:0").all(|(_, fact)| fact
                .valuation
                .as_ref()
                .unwrap()
                .model_version
                == "1")
        );
        assert!(appraiser.models().candidate.is_none());
        assert_eq!(enricher.stop(PATIENCE), Drained::Clean);
    });
}

#[test]
fn a_candidate_that_cannot_be_used_changes_nothing() {
    on_every_log(|house| {
        house.publish(vec![record(Topic::Models, "candidate", &json!({"name": "broken", "version": "1"}))]);
        let appraiser = house.appraiser();
        let enricher = house.enricher_named("a", appraiser.clone());
        house.state([listing("f:1", 1, "Active", 300_000)]);
        assert_eq!(house.fact("f:1", |_| true).valuation.unwrap().p50, money(250_000).unwrap());
        assert!(appraiser.models().candidate.is_none());
        // A trial of it is not begun anywhere.
        promote(
            house,
            json!({"name": "tiny", "version": "2", "trial": {"name": "broken", "version": "1", "share_percent": 10}}),
        );
        promote(house, json!({"name": "tiny", "version": "2", "fallbacks": [{"name": "tiny", "version": "2"}]}));
        house.publish(vec![record(Topic::Models, "candidate", &json!({"name": "tiny", "version": "2"}))]);
        house.until("the other candidate", || appraiser.models().candidate);
        assert_eq!((appraiser.epoch(), appraiser.models().champion().version.as_str()), (0, "1"));
        assert_eq!(enricher.stop(PATIENCE), Drained::Clean);
        assert!(shadows(house).is_empty());
    });
}

#[test]
fn who_could_not_be_loaded_is_tried_again_and_a_start_that_knows_nobody_says_so() {
    on_every_log(|house| {
        let registry = registry();
        let config = enricher::Config { registry: registry.path().to_owned(), ..house.config.clone() };
        let start = || enricher::Appraiser::start(&config, &house.log, &house.fatal());
        promote(house, json!({"name": "tiny", "version": "1", "share": 3}));
        let refused = start().err().unwrap().to_string();
        assert!(refused.contains("unknown field `share`") && refused.contains("roost model promote"), "{refused}");

        promote(house, json!({"name": "tiny", "version": "1"}));
        let appraiser = start().unwrap();
        let epoch = promote(house, json!({"name": "seattle", "version": "2"}));
        let (one, two) = (registry.path().join("seattle/1"), registry.path().join("seattle/2"));
        std::fs::create_dir_all(&two).unwrap();
        std::fs::copy(one.join("model.onnx"), two.join("model.onnx")).unwrap();
        let manifest = std::fs::read_to_string(one.join("manifest.json")).unwrap();
        let manifest = manifest.replace("\"version\":\"1\"", "\"version\":\"2\"");
        std::fs::write(two.join("manifest.json"), manifest).unwrap();
        house.until("the mended model", || (appraiser.epoch() == epoch).then_some(()));
        assert_eq!(appraiser.models().champion().version, "2");
    });
}
