//! Every setting of the enricher, with its default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemas::id::FeedName;
use schemas::model_alias::{ModelName, Order};
use serde::{Deserialize, Serialize};

use crate::appraiser::StartError;

/// The settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of models: `<registry>/<name>/<version>/model.onnx` and `manifest.json`.
    pub registry: PathBuf,
    /// The model that values as long as topic `models` names no champion: `<name>/<version>`.
    pub model: String,
    /// Who is asked, in this order, where that model has nothing to say: it does not cover the market, misses a feature, or
    /// gave no usable number.
    pub fallback_models: Vec<String>,
    /// libonnxruntime; where it is not set, `ORT_DYLIB_PATH`, else `.ort/libonnxruntime.so`.
    pub library: Option<PathBuf>,
    /// Who evaluates the trees of a model.
    pub tree_operator: TreeOperator,
    /// Threads that value. A listing costs one some 10 µs where the model sees comparables; the standard tree operator adds 7 to
    /// 100 µs, by size of the model.
    pub workers: usize,
    /// Whether sales are followed, and prices compared with them.
    pub market_context: MarketContextMode,
    /// The operator's CSV file of school ratings.
    pub school_ratings: Option<PathBuf>,
    /// How far each feed is to be trusted, 0 to 1; 0.6 for a feed that is not named.
    pub source_reliability: BTreeMap<FeedName, f64>,
    /// Name of this member of the group `enricher`; a restart under the same name gets its partitions back at once.
    pub instance: String,
    /// Most records that are sent and not yet acknowledged before no further statements are taken. Bounds what a restart
    /// repeats, and memory.
    pub in_flight: usize,
    /// Longest time that start waits for topic `models`.
    #[serde(with = "humantime_serde")]
    pub start_within: Duration,
    /// A process that was paused longer than this ends itself: what it would append then could come after the
    /// compaction of what it has not seen (DESIGN §3).
    #[serde(with = "humantime_serde")]
    pub longest_pause: Duration,
}

/// Who evaluates the trees of a model. All say the same, to within 1e-5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeOperator {
    /// Ours (`trees/`), with the best instructions that the processor has.
    Fast,
    /// Ours, without instructions that not every processor has.
    Portable,
    /// ONNX Runtime's.
    Stock,
}

/// Whether prices are compared with the market's sales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketContextMode {
    /// Follows all of `sales`.
    On,
    /// Reads no sales: comparables and the market's features are missing, no level corrects a price, and every run gives the same.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            registry: "enricher/model/registry".into(),
            model: "synthetic-us/2".to_owned(),
            fallback_models: Vec::new(),
            library: None,
            tree_operator: TreeOperator::Fast,
            workers: 1,
            market_context: MarketContextMode::On,
            school_ratings: None,
            source_reliability: BTreeMap::new(),
            instance: "enricher-1".to_owned(),
            in_flight: 4_096,
            start_within: Duration::from_secs(60),
            longest_pause: Duration::from_secs(3_600),
        }
    }
}

impl Config {
    /// Who values as long as topic `models` names no champion.
    pub fn order(&self) -> Result<Order, StartError> {
        let model = |key: &'static str, text: &String| {
            ModelName::parse(text).ok_or_else(|| {
                StartError::Config(format!("{key}: `{text}` is not `<name>/<version>`, such as `synthetic-us/1`"))
            })
        };
        let fallbacks =
            self.fallback_models.iter().map(|text| model("fallback_models", text)).collect::<Result<_, _>>()?;
        let order = Order { fallbacks, ..Order::of(model("model", &self.model)?) };
        match order.fault() {
            Some(fault) => Err(StartError::Config(format!("fallback_models: {fault}"))),
            None => Ok(order),
        }
    }

    /// Where ONNX Runtime is looked for.
    pub fn library(&self) -> PathBuf {
        let otherwise = || std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
        self.library.clone().or_else(otherwise).unwrap_or_else(|| ".ort/libonnxruntime.so".into())
    }
}
