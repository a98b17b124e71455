//! Every metric of the enricher. No other file of this crate calls a metrics macro.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use schemas::accuracy::{Accuracy, Advice, Contest};
use schemas::dead_letter::Code;
use schemas::model_alias::ModelName;
use schemas::priced::NoValuation;
use schemas::sale::Sale;
use schemas::shadow::Shadow;

use crate::drift::Window;
use crate::registry::Manifest;

const STATEMENTS: &str = "roost_enricher_statements_total";
const DEAD_LETTERS: &str = "roost_enricher_dead_letters_total";
const REPAIRS: &str = "roost_enricher_repairs_total";
const REVALUED: &str = "roost_enricher_revalued_total";
const FORGOTTEN: &str = "roost_enricher_forgotten_total";
const SALES: &str = "roost_enricher_sales_total";
const LISTINGS: &str = "roost_enricher_listings";
const PARTITIONS: &str = "roost_enricher_partitions_owned";
const IN_FLIGHT: &str = "roost_enricher_in_flight";
const STAGE: &str = "roost_enricher_stage_duration_seconds";
const BATCH: &str = "roost_enricher_batch_statements";
const PREDICTIONS: &str = "roost_predictions_total";
const PREDICTION_ERROR: &str = "roost_prediction_error_ratio";
const IN_INTERVAL: &str = "roost_prediction_interval_total";
const CHAMPION_EPOCH: &str = "roost_model_epoch";
const ROLE: &str = "roost_model_role";
const TRIAL: &str = "roost_model_trial_ratio";
const SHADOWS: &str = "roost_model_shadow_total";
const SHADOW_RATIO: &str = "roost_model_shadow_ratio";
const FAILURES: &str = "roost_model_failures_total";
const PAIRED_SALES: &str = "roost_model_paired_sales";
const PAIRED_ERROR: &str = "roost_model_paired_error_ratio";
const PAIRED_COVERAGE: &str = "roost_model_paired_coverage_ratio";
const ADVANTAGE: &str = "roost_model_candidate_advantage";
const ADVANTAGE_ERROR: &str = "roost_model_candidate_advantage_error";
const ADVICE: &str = "roost_model_advice";
const RELOAD_FAILURES: &str = "roost_model_reload_failures_total";
const LIVE_SALES: &str = "roost_model_live_sales";
const LIVE_ERROR: &str = "roost_model_live_error_ratio";
const LIVE_WITHIN: &str = "roost_model_live_within_ratio";
const LIVE_BIAS: &str = "roost_model_live_bias_ratio";
const LIVE_COVERAGE: &str = "roost_model_live_coverage_ratio";
const LIVE_TIER_ERROR: &str = "roost_model_live_tier_error_ratio";
const LIVE_MARKET_ERROR: &str = "roost_model_live_market_error_ratio";
const TRAINED_ERROR: &str = "roost_model_trained_error_ratio";
const FEATURE_MISSING: &str = "roost_model_feature_missing_ratio";
const FEATURE_TRAINED_MISSING: &str = "roost_model_feature_trained_missing_ratio";
const FEATURE_OUT_OF_RANGE: &str = "roost_model_feature_out_of_range_ratio";
const FEATURE_PSI: &str = "roost_model_feature_psi";
const FEATURE_PSI_NOISE: &str = "roost_model_feature_psi_noise";

/// Markets whose error is a metric, those with the most sales: each is a series for ever. The API tells all of them.
const MARKETS: usize = 50;

/// What is advised of a candidate.
const ADVICE_WORDS: [(Advice, &str); 4] = [
    (Advice::TooFewSales, "too_few_sales"),
    (Advice::Promote, "promote"),
    (Advice::Keep, "keep"),
    (Advice::NoDifference, "no_difference"),
];

/// Buckets of the histograms.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (STAGE, &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0]),
    (BATCH, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]),
    (SHADOW_RATIO, &[0.5, 0.8, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1, 1.25, 2.0]),
    (PREDICTION_ERROR, &[0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0]),
];

/// Names, units and help texts.
pub fn describe() {
    describe_counter!(
        STATEMENTS,
        Unit::Count,
        "Canonical statements, by outcome: merged, unchanged, superseded, duplicate, dead_lettered"
    );
    describe_counter!(DEAD_LETTERS, Unit::Count, "Records of `listings` that are no canonical listing, by code");
    describe_counter!(
        REPAIRS,
        Unit::Count,
        "Facts and sales appended again because the last record of their listing said less"
    );
    describe_counter!(REVALUED, Unit::Count, "Facts valued again by another model");
    describe_counter!(FORGOTTEN, Unit::Count, "Deleted listings whose key was tombstoned after 400 days");
    describe_counter!(SALES, Unit::Count, "Closed sales reported");
    describe_gauge!(LISTINGS, Unit::Count, "Listings remembered");
    describe_gauge!(PARTITIONS, Unit::Count, "Partitions of `listings` owned, by state: restoring, serving");
    describe_gauge!(IN_FLIGHT, Unit::Count, "Records sent and not yet acknowledged");
    describe_histogram!(
        STAGE,
        Unit::Seconds,
        "Time of a batch in a stage: decide, features, inference, append, shadow (the candidate)"
    );
    describe_histogram!(BATCH, Unit::Count, "Statements per batch");
    describe_counter!(PREDICTIONS, Unit::Count, "Valuations, by model, version and outcome");
    describe_histogram!(
        PREDICTION_ERROR,
        "Distance between valuation and close price, as a share of the close price, by model and version"
    );
    describe_counter!(
        IN_INTERVAL,
        Unit::Count,
        "Sales by where the close price lay: below, within or above the valuation's interval, by model and version"
    );
    describe_gauge!(CHAMPION_EPOCH, "Epoch of the champion, by model and version; 0 for the configured one");
    describe_gauge!(ROLE, "1 for each model that values: champion, fallback, candidate");
    describe_gauge!(TRIAL, "Share of the listings that the candidate values for users");
    describe_counter!(
        SHADOWS,
        Unit::Count,
        "Listings that the candidate covers, by who had a price: both, champion, candidate, neither"
    );
    describe_histogram!(SHADOW_RATIO, "The candidate's price as a multiple of the champion's, of the same listing");
    describe_counter!(FAILURES, Unit::Count, "Batches of which a model could not be asked: the next one was");
    describe_gauge!(PAIRED_SALES, Unit::Count, "Sales of the last 90 days of which champion and candidate both spoke");
    describe_gauge!(
        PAIRED_ERROR,
        "Median distance from the close price of those sales, as a share of it, by role: champion, candidate"
    );
    describe_gauge!(PAIRED_COVERAGE, "Share of those sales that closed between p10 and p90, by role");
    describe_gauge!(ADVANTAGE, "By how much the candidate was nearer in the mean, in absolute natural logarithms");
    describe_gauge!(ADVANTAGE_ERROR, "The standard error of that");
    describe_gauge!(ADVICE, "1 for what is advised: too_few_sales, promote, keep, no_difference");
    describe_counter!(
        RELOAD_FAILURES,
        Unit::Count,
        "Records of `models` whose models could not be loaded; those before stay"
    );
    describe_gauge!(LIVE_SALES, Unit::Count, "Sales of the last 90 days whose homes the model had valued");
    describe_gauge!(
        LIVE_ERROR,
        "Median distance of the valuations of the last 90 days from the close price, or the list price, as a share of it"
    );
    describe_gauge!(LIVE_WITHIN, "Share of those valuations within 5, 10 and 20 % of it");
    describe_gauge!(LIVE_BIAS, "Median signed error of those valuations; below zero: too low");
    describe_gauge!(LIVE_COVERAGE, "Share of those sales that closed between p10 and p90; meant to be 0.8");
    describe_gauge!(LIVE_TIER_ERROR, "The same median distance from the close price, by fifths of the close price");
    describe_gauge!(
        LIVE_MARKET_ERROR,
        "The same median distance from the close price, in the 50 markets with the most sales"
    );
    describe_gauge!(
        TRAINED_ERROR,
        "The median distance that the champion's manifest states, of sales that it was not trained on"
    );
}

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It changed what is known.
    Merged,
    /// It said the same, later.
    Unchanged,
    /// It was older than what is known.
    Superseded,
    /// It was known already: a repetition after a restart.
    Duplicate,
    /// It was none.
    DeadLettered,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Unchanged => "unchanged",
            Self::Superseded => "superseded",
            Self::Duplicate => "duplicate",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

/// Where a batch's time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Decoding and deciding.
    Decide,
    /// Surroundings and features.
    Features,
    /// The model.
    Inference,
    /// Encoding and handing to the log.
    Append,
    /// The candidate.
    Shadow,
}

/// A statement was dealt with.
pub(crate) fn record_statement(outcome: Outcome) {
    counter!(STATEMENTS, "outcome" => outcome.as_str()).increment(1);
}

/// A record of `listings` was dead-lettered.
pub(crate) fn record_dead_letter(code: Code) {
    record_statement(Outcome::DeadLettered);
    counter!(DEAD_LETTERS, "code" => code.as_str()).increment(1);
}

/// Facts were appended again.
pub(crate) fn record_repairs(count: usize) {
    counter!(REPAIRS).increment(count as u64);
}

/// A fact was valued by another model.
pub(crate) fn record_revalued(count: usize) {
    counter!(REVALUED).increment(count as u64);
}

/// Keys were tombstoned.
pub(crate) fn record_forgotten(count: usize) {
    counter!(FORGOTTEN).increment(count as u64);
}

/// A sale was reported; how far its valuation was off.
pub(crate) fn record_sale(sale: &Sale) {
    counter!(SALES).increment(1);
    let Some(valuation) = &sale.valuation else { return };
    let labels = [("model", valuation.model.clone()), ("version", valuation.model_version.clone())];
    let (close, p50) = (sale.close_price.cents() as f64, valuation.p50.cents() as f64);
    histogram!(PREDICTION_ERROR, &labels).record((close - p50).abs() / close);
    let place = match () {
        () if sale.close_price < valuation.p10 => "below",
        () if sale.close_price > valuation.p90 => "above",
        () => "within",
    };
    let [model, version] = labels;
    counter!(IN_INTERVAL, "model" => model.1, "version" => version.1, "place" => place).increment(1);
}

/// What the process holds.
pub(crate) fn record_holdings(listings: usize, restoring: usize, serving: usize, in_flight: usize) {
    gauge!(LISTINGS).set(listings as f64);
    gauge!(PARTITIONS, "state" => "restoring").set(restoring as f64);
    gauge!(PARTITIONS, "state" => "serving").set(serving as f64);
    gauge!(IN_FLIGHT).set(in_flight as f64);
}

/// A batch went through a stage.
pub(crate) fn record_stage(stage: Stage, took: Duration) {
    let stage = match stage {
        Stage::Decide => "decide",
        Stage::Features => "features",
        Stage::Inference => "inference",
        Stage::Append => "append",
        Stage::Shadow => "shadow",
    };
    histogram!(STAGE, "stage" => stage).record(took.as_secs_f64());
}

/// A batch was taken.
pub(crate) fn record_batch(statements: usize) {
    histogram!(BATCH).record(statements as f64);
}

/// Listings were valued, or not.
pub(crate) fn record_predictions(manifest: &Manifest, outcomes: impl Iterator<Item = Result<(), NoValuation>>) {
    let mut counts = [0_u64; 6];
    for outcome in outcomes {
        counts[match outcome {
            Ok(()) => 0,
            Err(NoValuation::MarketNotCovered) => 1,
            Err(NoValuation::MissingFeatures) => 2,
            Err(NoValuation::SellerOptedOut) => 3,
            Err(NoValuation::BadPrediction) => 4,
            Err(NoValuation::NotOffered) => 5,
        }] += 1;
    }
    const WORDS: [&str; 6] =
        ["valued", "market_not_covered", "missing_features", "seller_opted_out", "bad_prediction", "not_offered"];
    for (count, word) in counts.into_iter().zip(WORDS) {
        if count > 0 {
            let (model, version) = (manifest.name.clone(), manifest.version.clone());
            counter!(PREDICTIONS, "model" => model, "version" => version, "outcome" => word).increment(count);
        }
    }
}

/// Another model values from now on.
pub(crate) fn record_champion(manifest: &Manifest, epoch: u64) {
    let labels = [("model", manifest.name.clone()), ("version", manifest.version.clone())];
    gauge!(CHAMPION_EPOCH, &labels).set(epoch as f64);
    if let Some(error) = manifest.metrics.get("median_absolute_error") {
        gauge!(TRAINED_ERROR, &labels).set(*error);
    }
}

/// How good valuations were lately.
pub(crate) fn record_accuracy(accuracy: &Accuracy) {
    let labels = [
        ("model", accuracy.population.model.clone()),
        ("version", accuracy.population.version.clone()),
        ("transaction", accuracy.population.transaction.as_str().to_owned()),
        ("currency", accuracy.population.currency.to_string()),
    ];
    let with = |name: &'static str, value: String| labels.iter().cloned().chain([(name, value)]).collect::<Vec<_>>();
    let Some(all) = accuracy.all else { return };
    gauge!(LIVE_SALES, &labels).set(all.sales as f64);
    gauge!(LIVE_COVERAGE, &labels).set(all.interval_coverage);
    for (against, nearness) in [("close_price", Some(all.close_price)), ("list_price", all.list_price)] {
        let Some(nearness) = nearness else { continue };
        let labels = with("against", against.to_owned());
        gauge!(LIVE_ERROR, &labels).set(nearness.median_absolute_error);
        gauge!(LIVE_BIAS, &labels).set(nearness.bias);
        let within = [nearness.within_5_percent, nearness.within_10_percent, nearness.within_20_percent];
        for (percent, share) in ["5", "10", "20"].into_iter().zip(within) {
            let labels: Vec<_> = labels.iter().cloned().chain([("percent", percent.to_owned())]).collect();
            gauge!(LIVE_WITHIN, &labels).set(share);
        }
    }
    for (number, tier) in (1..).zip(&accuracy.tiers) {
        gauge!(LIVE_TIER_ERROR, &with("tier", format!("{number}"))).set(tier.group.close_price.median_absolute_error);
    }
    let mut markets: Vec<_> = accuracy.markets.iter().collect();
    markets.sort_by_key(|(_, group)| std::cmp::Reverse(group.sales));
    for (market, group) in markets.into_iter().take(MARKETS) {
        gauge!(LIVE_MARKET_ERROR, &with("market", market.to_string())).set(group.close_price.median_absolute_error);
    }
}

/// A model has this role from now on, or none.
pub(crate) fn record_role(model: &ModelName, role: Option<&'static str>) {
    for known in ["champion", "fallback", "candidate"] {
        let labels = [("model", model.name.clone()), ("version", model.version.clone()), ("role", known.to_owned())];
        gauge!(ROLE, &labels).set(if role == Some(known) { 1.0 } else { 0.0 });
    }
}

/// So much of the listings is on trial.
pub(crate) fn record_trial(percent: u8) {
    gauge!(TRIAL).set(f64::from(percent) / 100.0);
}

/// Champion and candidate were asked about the same listing.
pub(crate) fn record_shadow(shadow: &Shadow) {
    let outcome = match (shadow.champion.prices, shadow.candidate.prices) {
        (Some(champion), Some(candidate)) => {
            histogram!(SHADOW_RATIO).record(candidate.p50.cents() as f64 / champion.p50.cents() as f64);
            "both"
        }
        (Some(_), None) => "champion",
        (None, Some(_)) => "candidate",
        (None, None) => "neither",
    };
    counter!(SHADOWS, "priced_by" => outcome).increment(1);
}

/// A batch went without a model.
pub(crate) fn record_failure(model: &ModelName) {
    counter!(FAILURES, "model" => model.name.clone(), "version" => model.version.clone()).increment(1);
}

/// Another candidate, or none: what was said of the one before holds no longer.
pub(crate) fn record_no_contest() {
    gauge!(PAIRED_SALES).set(0.0);
    for role in ["champion", "candidate"] {
        gauge!(PAIRED_ERROR, "role" => role).set(f64::NAN);
        gauge!(PAIRED_COVERAGE, "role" => role).set(f64::NAN);
    }
    gauge!(ADVANTAGE).set(f64::NAN);
    gauge!(ADVANTAGE_ERROR).set(f64::NAN);
    for (_, word) in ADVICE_WORDS {
        gauge!(ADVICE, "advice" => word).set(0.0);
    }
}

/// How the candidate compares with the champion.
pub(crate) fn record_contest(contest: &Contest) {
    gauge!(PAIRED_SALES).set(contest.sales as f64);
    for (role, contender) in [("champion", contest.champion), ("candidate", contest.candidate)] {
        if let Some(contender) = contender {
            gauge!(PAIRED_ERROR, "role" => role).set(contender.close_price.median_absolute_error);
            gauge!(PAIRED_COVERAGE, "role" => role).set(contender.interval_coverage);
        }
    }
    gauge!(ADVANTAGE).set(contest.advantage);
    gauge!(ADVANTAGE_ERROR).set(contest.advantage_error);
    for (advice, word) in ADVICE_WORDS {
        gauge!(ADVICE, "advice" => word).set(if contest.advice == advice { 1.0 } else { 0.0 });
    }
}

/// A window of rows is full.
pub(crate) fn record_window(manifest: &Manifest, window: &Window) {
    let of_model = [("model", manifest.name.clone()), ("version", manifest.version.clone())];
    gauge!(FEATURE_PSI_NOISE, &of_model).set(window.psi_noise);
    for (input, health) in manifest.inputs.iter().zip(&window.features) {
        let labels: Vec<_> = of_model.iter().cloned().chain([("feature", input.feature.clone())]).collect();
        gauge!(FEATURE_MISSING, &labels).set(health.missing);
        gauge!(FEATURE_TRAINED_MISSING, &labels).set(input.missing);
        gauge!(FEATURE_OUT_OF_RANGE, &labels).set(health.out_of_range);
        if let Some(psi) = health.psi {
            gauge!(FEATURE_PSI, &labels).set(psi);
        }
    }
}

/// A record of `models` could not be followed.
pub(crate) fn record_reload_failure() {
    counter!(RELOAD_FAILURES).increment(1);
}
