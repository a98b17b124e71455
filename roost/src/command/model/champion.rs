//! `roost model list | check | promote | rollback`: a promotion is a record on the topic `models`, so that all processes switch.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use enricher::explain::Explainer;
use enricher::following;
use enricher::onnx::{Predictor, Runtime};
use enricher::registry::{Manifest, Package, Registry};
use schemas::model_alias::{Alias, CHAMPION, ModelName, epoch_of};
use schemas::topic::Topic;
use stream::{AckSink, Delivered, DeliveryError, Log, Outgoing};

use crate::config::Settings;

/// Longest wait for the log to take the record.
const PATIENCE: Duration = Duration::from_secs(30);

/// The models of the registry, a line each; the champion is marked.
pub fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let registry = Registry::new(&settings.enricher.registry);
    let names = registry.names()?;
    let promotion = Promotion::open(settings)?;
    let (champion, since) = promotion.champion();
    for name in &names {
        let mark = if *name == champion { '*' } else { ' ' };
        match registry.read(name) {
            Ok(Package { manifest, .. }) => println!("{mark} {name}: {}", described(&manifest)),
            Err(error) => println!("{mark} {name}: cannot be used: {error}"),
        }
    }
    println!("* champion: {champion}, {since}");
    if !names.contains(&champion) {
        bail!("{champion} is not in {}: copy it there", settings.enricher.registry.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person chooses a model by.
fn described(manifest: &Manifest) -> String {
    let error = manifest.metrics.get("median_absolute_error");
    let error =
        error.map_or_else(|| "no error stated".to_owned(), |error| format!("median error {:.1} %", error * 100.0));
    let mut places = manifest.countries.iter().map(ToString::to_string).collect::<Vec<_>>();
    if !manifest.markets.is_empty() {
        places.push(format!("{} markets", manifest.markets.len()));
    }
    let places = places.join(", ");
    format!(
        "{error}, {} features, {places}, {}, trained through {}",
        manifest.features.len(),
        manifest.currency,
        manifest.trained_through
    )
}

/// Loads a model as a process that values does; says how it would be evaluated and whether its prices are explained.
pub fn check(model: &ModelName, settings: &Settings) -> anyhow::Result<()> {
    let package = Registry::new(&settings.enricher.registry).read(model)?;
    let runtime = Runtime::load(&settings.enricher.library())?;
    let mut predictor = Predictor::new(&runtime, &package, settings.enricher.tree_operator)?;
    predictor.check_golden(&package.manifest.golden)?;
    println!("{model}: {}", described(&package.manifest));
    println!("its {} golden rows give what they gave", package.manifest.golden.len());
    match predictor.left_to_stock() {
        None => println!("its trees are evaluated as enricher.tree_operator says"),
        Some(why) => println!("its trees are left to the standard operator, which is slower: {why}"),
    }
    match Explainer::new(&package) {
        Ok(_) => println!("its prices can be explained"),
        Err(why) => println!("its prices cannot be explained: {why}"),
    }
    if package.manifest.inputs.is_empty() {
        println!("it does not say what training looked like: drift and values out of range are not told");
    }
    Ok(())
}

/// The log, and what stands on `models`.
pub struct Promotion<'a> {
    settings: &'a Settings,
    log: Log,
    current: Option<(Alias, u64)>,
}

impl<'a> Promotion<'a> {
    /// Reads `models` to its end.
    pub fn open(settings: &'a Settings) -> anyhow::Result<Self> {
        crate::telemetry::install_warnings();
        let log = stream::open(&settings.log)?;
        let current = following::champion(&log, settings.enricher.start_within)?;
        Ok(Self { settings, log, current })
    }

    /// The champion, and who says so.
    fn champion(&self) -> (ModelName, String) {
        match &self.current {
            Some((alias, epoch)) => (alias.model(), format!("epoch {epoch}")),
            None => {
                let named = &self.settings.enricher.model;
                let model = ModelName::parse(named)
                    .unwrap_or_else(|| ModelName { name: named.clone(), version: String::new() });
                (model, "as the settings say: none was promoted".to_owned())
            }
        }
    }

    /// Makes the model champion, if it can be used here.
    pub fn promote(self, model: &ModelName) -> anyhow::Result<ExitCode> {
        let (champion, since) = self.champion();
        if *model == champion {
            println!("{model} is champion already, {since}");
            return Ok(ExitCode::SUCCESS);
        }
        check(model, self.settings).context("it is not promoted")?;
        let epoch = self.append(&Alias::of(model.clone(), champion.clone()))?;
        println!("{model} is champion from epoch {epoch} on; `roost model rollback` leads back to {champion}");
        Ok(ExitCode::SUCCESS)
    }

    /// Makes the model champion again that the present one replaced.
    pub fn rollback(self) -> anyhow::Result<ExitCode> {
        let (champion, since) = self.champion();
        match self.current.as_ref().map(|(alias, _)| alias.replaced.clone()) {
            Some(Some(replaced)) => self.promote(&replaced),
            Some(None) => bail!("nobody said what {champion} replaced ({since}): promote the model that is wanted"),
            None => bail!("no model was promoted: {champion} is champion {since}"),
        }
    }

    /// Appends the record; returns the epoch that it starts.
    fn append(&self, alias: &Alias) -> anyhow::Result<u64> {
        let ack = Arc::new(Ack::default());
        let producer = self.log.producer(ack.clone())?;
        let record = Outgoing {
            topic: Topic::Models,
            partition: Some(0),
            key: Some(CHAMPION.into()),
            value: Some(serde_json::to_vec(alias)?),
            headers: Vec::new(),
        };
        producer.send(record, 0)?;
        producer.flush(PATIENCE)?;
        let outcome = ack.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let delivered = outcome
            .context("the log did not acknowledge the promotion: look at `roost model list`, then repeat it")??;
        Ok(epoch_of(delivered.offset))
    }
}

/// What became of the one record.
#[derive(Default)]
struct Ack(Mutex<Option<Result<Delivered, DeliveryError>>>);

impl AckSink for Ack {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}
