//! Where models lie: `<root>/<name>/<version>/model.onnx` beside its `manifest.json`. Reads and checks the files; does
//! not run them (`onnx.rs` does).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::id::{Country, Market};
use schemas::listing::Listing;
use schemas::model_alias::ModelName;
use schemas::money::Currency;
use schemas::vocabulary::Transaction;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::drift::Input;
use crate::features::FeatureList;
use crate::level::{MAX_SEED, SeedSale};

/// Name of the network file in a model's directory.
pub const MODEL_FILE: &str = "model.onnx";
/// Name of the description beside it.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The largest network file that is read: ten times the largest ensemble measured (1,100 trees of 48 leaves, 10 MB).
const MAX_MODEL_BYTES: u64 = 100 * 1024 * 1024;
/// The largest description that is read: thirteen times that of the shipped model, whose 2,352 seeds are most of it.
const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;
/// Most features, and the longest name of one.
const MAX_FEATURES: usize = 1_000;
const MAX_NAME_BYTES: usize = 256;
/// Most countries, and most markets.
const MAX_PLACES: usize = 20_000;
/// The largest logarithm in a seed: twenty times the price, or a twentieth.
const MAX_SEED_LN: f64 = 3.0;
/// Most golden rows: they are run on every load.
const MAX_GOLDEN_ROWS: usize = 1_000;

/// What a model says of itself. Members that roost does not know are kept in `more` and shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Name; also its directory.
    pub name: String,
    /// Version; also its directory below the name.
    pub version: String,
    /// SHA-256 of `model.onnx`, lower-case hexadecimal.
    pub sha256: String,
    /// Names of the features in the order of the input's columns; see [`crate::features::BUILT_INS`].
    pub features: Vec<String>,
    /// Those of them without which there is no valuation.
    pub required: Vec<String>,
    /// Countries that it covers whole.
    #[serde(default)]
    pub countries: Vec<Country>,
    /// Further markets that it covers.
    #[serde(default)]
    pub markets: Vec<Market>,
    /// Sale, lease or both.
    pub transactions: Vec<Transaction>,
    /// The currency of its output.
    pub currency: Currency,
    /// The newest sale it was trained on.
    pub trained_through: jiff::civil::Date,
    /// Accuracy on sales it was not trained on, by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Closings that an earlier twin of the model had not seen, and how far off it was: the level that the model starts with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub level_seed: Vec<SeedSale>,
    /// Rows and what the model must say of them.
    pub golden: Vec<GoldenRow>,
    /// What each feature looked like in training, in their order; empty when its maker does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// Whatever else its maker wrote down.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// One row and what the model must say of it, to within 1e-4 of each value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenRow {
    /// The input, in the order of the manifest's features; `null` where a number is missing.
    pub features: Vec<Option<f32>>,
    /// In currency units, before rounding.
    pub p10: f64,
    /// In currency units, before rounding.
    pub p50: f64,
    /// In currency units, before rounding.
    pub p90: f64,
}

impl GoldenRow {
    /// The input as the model takes it: NaN where a number is missing.
    pub fn inputs(&self) -> Vec<f32> {
        self.features.iter().map(|value| value.unwrap_or(f32::NAN)).collect()
    }
}

/// A model's files, read and checked.
#[derive(Clone)]
pub struct Package {
    /// The description.
    pub manifest: Manifest,
    /// The features, in column order.
    pub features: FeatureList,
    /// Columns without which there is no valuation.
    pub required: Vec<usize>,
    /// The network.
    pub onnx: Arc<[u8]>,
    /// Where the network was read, for messages.
    pub file: PathBuf,
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Package({})", self.file.display())
    }
}

/// A model that cannot be used: names the file, what is wrong and the remedy.
#[derive(Clone, Debug, thiserror::Error)]
#[error("model {file}: {wrong}; {remedy}")]
pub struct ModelError {
    file: String,
    wrong: String,
    remedy: String,
}

impl ModelError {
    pub(crate) fn new(file: &Path, wrong: impl fmt::Display, remedy: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), wrong: wrong.to_string(), remedy: remedy.into() }
    }
}

/// A directory of models.
#[derive(Clone, Debug)]
pub struct Registry {
    root: PathBuf,
}

impl Registry {
    /// The registry below `root`; reads nothing yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Every model that lies there, by name and version; whether it can be used is not looked at.
    pub fn names(&self) -> Result<Vec<ModelName>, ModelError> {
        let below = |directory: &Path| -> std::io::Result<Vec<String>> {
            let entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
            let directories = entries.into_iter().filter(|entry| entry.path().is_dir());
            Ok(directories.filter_map(|entry| entry.file_name().into_string().ok()).collect())
        };
        let unreadable = |error: std::io::Error| {
            ModelError::new(&self.root, error, "set enricher.registry to the directory of models")
        };
        let mut names = Vec::new();
        for name in below(&self.root).map_err(unreadable)? {
            for version in below(&self.root.join(&name)).map_err(unreadable)? {
                names.push(ModelName { name: name.clone(), version });
            }
        }
        names.retain(|model| self.root.join(&model.name).join(&model.version).join(MANIFEST_FILE).is_file());
        names.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        Ok(names)
    }

    /// Reads one model and checks what can be checked without running it.
    pub fn read(&self, model: &ModelName) -> Result<Package, ModelError> {
        if !model.is_plain() {
            let remedy = "use names of letters, digits, '-', '_' and '.'";
            return Err(ModelError::new(&self.root, format!("`{model}` does not name a model"), remedy));
        }
        let directory = self.root.join(&model.name).join(&model.version);
        let manifest_file = directory.join(MANIFEST_FILE);
        let remedy = format!(
            "set enricher.registry to the directory that holds {}/{}, or train the model (enricher/model)",
            model.name, model.version
        );
        let text = read_bounded(&manifest_file, MAX_MANIFEST_BYTES, &remedy)?;
        let broken =
            |wrong: String| ModelError::new(&manifest_file, wrong, "write the manifest again (enricher/model)");
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?;
        let (features, required) = manifest.check(model).map_err(broken)?;
        // No sale would ever be new to it. A day more: dates are of the place, the clock is of the world.
        let tomorrow = jiff::Zoned::now().date().saturating_add(jiff::Span::new().days(1));
        if manifest.trained_through > tomorrow {
            return Err(broken(format!("trained_through is {}, which is to come", manifest.trained_through)));
        }

        let file = directory.join(MODEL_FILE);
        let onnx = read_bounded(&file, MAX_MODEL_BYTES, "copy or train the model again (enricher/model)")?;
        let sha256 = format!("{:x}", Sha256::digest(&onnx));
        if sha256 != manifest.sha256 {
            let wrong = format!("its SHA-256 is {sha256}, the manifest says {}", manifest.sha256);
            return Err(ModelError::new(
                &file,
                wrong,
                "copy or train the model again: the file is not the one described",
            ));
        }
        Ok(Package { manifest, features, required, onnx: onnx.into(), file })
    }
}

fn read_bounded(file: &Path, most: u64, remedy: &str) -> Result<Vec<u8>, ModelError> {
    let metadata = std::fs::metadata(file).map_err(|e| ModelError::new(file, e, remedy))?;
    // What is no file may never end, or never begin.
    if !metadata.is_file() {
        return Err(ModelError::new(file, "no file", remedy));
    }
    let bytes = metadata.len();
    if bytes > most {
        return Err(ModelError::new(file, format!("{bytes} bytes, more than {most}"), "train a smaller model"));
    }
    std::fs::read(file).map_err(|e| ModelError::new(file, e, remedy))
}

impl Manifest {
    /// What the manifest says must hold together. Returns the features and the columns that are required.
    fn check(&self, model: &ModelName) -> Result<(FeatureList, Vec<usize>), String> {
        if self.name != model.name || self.version != model.version {
            return Err(format!("it describes {}/{} but lies in {model}", self.name, self.version));
        }
        if self.features.is_empty() || self.features.len() > MAX_FEATURES {
            return Err(format!("features has {} names, expected 1 to {MAX_FEATURES}", self.features.len()));
        }
        if let Some(number) = self.features.iter().position(|name| name.len() > MAX_NAME_BYTES) {
            return Err(format!("the name of feature {number} has more than {MAX_NAME_BYTES} bytes"));
        }
        if self.transactions.is_empty() {
            return Err("transactions names neither sale nor lease".to_owned());
        }
        if self.countries.len() + self.markets.len() > MAX_PLACES {
            return Err(format!("countries and markets are more than {MAX_PLACES}"));
        }
        if self.countries.is_empty() && self.markets.is_empty() {
            return Err("neither countries nor markets names a place".to_owned());
        }
        let features = FeatureList::named(&self.features).map_err(|e| e.to_string())?;
        let column = |name: &String| {
            self.features
                .iter()
                .position(|f| f == name)
                .ok_or_else(|| format!("required `{name}` is not among the features"))
        };
        let required = self.required.iter().map(column).collect::<Result<_, _>>()?;
        if self.golden.is_empty() || self.golden.len() > MAX_GOLDEN_ROWS {
            return Err(format!("golden has {} rows, expected 1 to {MAX_GOLDEN_ROWS}", self.golden.len()));
        }
        if let Some(row) = self.golden.iter().position(|row| row.features.len() != self.features.len()) {
            return Err(format!("golden row {row} does not have {} features", self.features.len()));
        }
        if self.level_seed.len() > MAX_SEED {
            return Err(format!("level_seed has {} rows, expected at most {MAX_SEED}", self.level_seed.len()));
        }
        if let Some(row) = self.level_seed.iter().position(|row| !row.is_within(MAX_SEED_LN)) {
            return Err(format!("level_seed row {row} has a number that is none, or beyond ±{MAX_SEED_LN}"));
        }
        if let Some(row) = self.level_seed.iter().position(|row| row.close_date > self.trained_through) {
            return Err(format!("level_seed row {row} closed after trained_through, {}", self.trained_through));
        }
        if let Some(input) = self.inputs.iter().find(|input| !input.is_ordered()) {
            return Err(format!("inputs: {} has a share or an order that cannot be", input.feature));
        }
        let described = self.inputs.iter().map(|input| &input.feature);
        if !self.inputs.is_empty() && !described.eq(&self.features) {
            return Err("inputs does not describe just the features, in their order".to_owned());
        }
        Ok((features, required))
    }

    /// Whether a listing is of a place, transaction and currency that the model was made for.
    pub fn covers(&self, listing: &Listing) -> bool {
        listing.currency == self.currency
            && self.transactions.contains(&listing.transaction)
            && (self.countries.contains(&listing.country) || self.markets.contains(&listing.market))
    }

    /// Its name and version.
    pub fn model_name(&self) -> ModelName {
        ModelName { name: self.name.clone(), version: self.version.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> serde_json::Value {
        serde_json::json!({
            "name": "tiny", "version": "1", "sha256": format!("{:x}", Sha256::digest(b"network")),
            "features": ["living_area_sqft", "year_built"], "required": ["living_area_sqft"], "countries": ["us"],
            "transactions": ["sale"], "currency": "USD", "trained_through": "2026-01-31", "metrics": {"mdape": 0.07},
            "golden": [{"features": [1000, null], "p10": 1.0, "p50": 2.0, "p90": 3.0}], "algorithm": "by hand",
        })
    }

    fn read(manifest: &serde_json::Value) -> Result<Package, ModelError> {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("tiny/1");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(MANIFEST_FILE), manifest.to_string()).unwrap();
        std::fs::write(directory.join(MODEL_FILE), b"network").unwrap();
        Registry::new(root.path()).read(&ModelName { name: "tiny".to_owned(), version: "1".to_owned() })
    }

    #[test]
    fn a_package_has_its_features_and_required_columns() {
        let package = read(&manifest()).unwrap();
        assert_eq!((package.features.len(), package.required.as_slice()), (2, [0].as_slice()));
        assert_eq!(package.manifest.more["algorithm"], "by hand");
    }

    #[test]
    fn a_missing_model_is_named_with_its_file_and_the_remedy() {
        let name = ModelName { name: "tiny".to_owned(), version: "2".to_owned() };
        let error = Registry::new("/nowhere").read(&name).unwrap_err().to_string();
        assert!(error.starts_with("model /nowhere/tiny/2/manifest.json: No such file"), "{error}");
        assert!(error.contains("set enricher.registry to the directory that holds tiny/2"), "{error}");
    }

    #[test]
    fn a_network_beyond_the_limit_is_not_even_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_MODEL_BYTES + 1).unwrap();
        let error = read_bounded(file.path(), MAX_MODEL_BYTES, "").unwrap_err().to_string();
        assert!(error.contains("104857601 bytes, more than 104857600; train a smaller model"), "{error}");
    }

    #[test]
    fn models_are_listed_by_name_and_version() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["b/1", "a/2", "a/1", "a/empty"] {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for model in ["b/1", "a/2", "a/1"] {
            std::fs::write(root.path().join(model).join(MANIFEST_FILE), "{").unwrap();
        }
        let names: Vec<_> = Registry::new(root.path()).names().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a/1", "a/2", "b/1"]);
        let error = Registry::new("/nowhere").names().unwrap_err().to_string();
        assert!(error.contains("set enricher.registry"), "{error}");
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_registry() {
        for (name, version) in [("..", "1"), ("a/b", "1"), ("a", ""), ("a", "../1")] {
            let name = ModelName { name: name.to_owned(), version: version.to_owned() };
            let error = Registry::new("/nowhere").read(&name).unwrap_err().to_string();
            assert!(error.contains("does not name a model"), "{error}");
        }
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        let with = |member: &str, value: serde_json::Value| {
            let mut wrong = manifest();
            wrong[member] = value;
            read(&wrong).unwrap_err().to_string()
        };
        for (error, wrong) in [
            (with("version", "3".into()), "it describes tiny/3 but lies in tiny/1"),
            (with("features", serde_json::json!(["list_price"])), "features: list_price is not a known word"),
            (
                with("required", serde_json::json!(["lot_size_sqft"])),
                "required `lot_size_sqft` is not among the features",
            ),
            (with("golden", serde_json::json!([])), "golden has 0 rows"),
            (
                with("golden", serde_json::json!([{"features": [1], "p10": 1, "p50": 1, "p90": 1}])),
                "golden row 0 does not have 2",
            ),
            (with("countries", serde_json::json!([])), "neither countries nor markets"),
            (with("transactions", serde_json::json!([])), "transactions names neither"),
            (with("features", serde_json::json!([format!("attributes.{}", "x".repeat(300))])), "more than 256 bytes"),
            (with("trained_through", "9999-12-31".into()), "which is to come"),
            (
                with(
                    "level_seed",
                    serde_json::json!([{"market": "us/wa/seattle", "close_date": "2026-01-01", "log_residual": 14, "low_miss": 0, "high_miss": 0}]),
                ),
                "level_seed row 0 has a number that is none, or beyond ±3",
            ),
            (
                with(
                    "level_seed",
                    serde_json::json!([{"market": "us/wa/seattle", "close_date": "2026-02-01", "log_residual": 0, "low_miss": 0, "high_miss": 0}]),
                ),
                "level_seed row 0 closed after trained_through",
            ),
            (
                with("features", serde_json::json!(["living_area_sqft", "attributes.OwnerReligion"])),
                "attributes.OwnerReligion is not allowed (expected features of homes",
            ),
            (with("level_seed", serde_json::json!([{"market": "us/wa/seattle"}])), "missing field `close_date`"),
            (with("sha256", "00".into()), "the manifest says 00"),
            (with("currency", "dollars".into()), "dollars is not allowed"),
            (
                with("inputs", serde_json::json!([{"feature": "year_built", "missing": 0.0}])),
                "inputs does not describe just the features",
            ),
        ] {
            assert!(error.contains(wrong), "{error}");
        }
    }
}
