//! `roost model list | check | promote | rollback | candidate | trial | compare`: who values is a record on the topic `models`, so
//! that all processes switch.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use enricher::MIN_PAIRS;
use enricher::explain::Explainer;
use enricher::following;
use enricher::onnx::{Predictor, Runtime};
use enricher::registry::{Manifest, Package, Registry};
use enricher::roster::Roll;
use schemas::accuracy::Advice;
use schemas::model_alias::{CANDIDATE, CHAMPION, Champion, ModelName, Order, Trial, epoch_of};
use schemas::topic::Topic;
use stream::{AckSink, BackendKind, Delivered, DeliveryError, Log, Outgoing};

use crate::command::say;
use crate::config::Settings;

/// Longest wait for the log to take the record.
const PATIENCE: Duration = Duration::from_secs(30);

/// The models of the registry, a line each; those who value are marked.
pub fn list(settings: &Settings) -> anyhow::Result<ExitCode> {
    let registry = Registry::new(&settings.enricher.registry);
    let names = registry.names()?;
    let promotion = Promotion::open(settings)?;
    let order = promotion.order()?.models();
    let candidate = promotion.candidate();
    for name in &names {
        let mark = match order.iter().position(|model| model == name) {
            Some(0) => '*',
            Some(_) => '+',
            None if candidate.as_ref().is_some_and(|(candidate, _)| candidate == name) => '?',
            None => ' ',
        };
        match registry.read(name) {
            Ok(Package { manifest, .. }) => say(format_args!("{mark} {name}: {}", described(&manifest))),
            Err(error) => say(format_args!("{mark} {name}: cannot be used: {error}")),
        }
    }
    say(format_args!("* champion: {}, {}", order[0], promotion.since()));
    if order.len() > 1 {
        let names: Vec<_> = order[1..].iter().map(ToString::to_string).collect();
        say(format_args!("+ where it has nothing to say: {}", names.join(", then ")));
    }
    match &candidate {
        Some((candidate, 0)) => say(format_args!("? candidate: {candidate}, in shadow")),
        Some((candidate, percent)) => {
            say(format_args!("? candidate: {candidate}, on trial with {percent} % of the listings"))
        }
        None => {}
    }
    match order.iter().chain(candidate.iter().map(|(candidate, _)| candidate)).find(|model| !names.contains(model)) {
        Some(absent) => bail!("{absent} is not in {}: copy it there", settings.enricher.registry.display()),
        None => Ok(ExitCode::SUCCESS),
    }
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
    say(format_args!("{model}: {}", described(&package.manifest)));
    say(format_args!("its {} golden rows give what they gave", package.manifest.golden.len()));
    match predictor.left_to_stock() {
        None => say(format_args!("its trees are evaluated as enricher.tree_operator says")),
        Some(why) => say(format_args!("its trees are left to the standard operator, which is slower: {why}")),
    }
    match Explainer::new(&package) {
        Ok(_) => say(format_args!("its prices can be explained")),
        Err(why) => say(format_args!("its prices cannot be explained: {why}")),
    }
    if package.manifest.inputs.is_empty() {
        say(format_args!("it does not say what training looked like: drift and values out of range are not told"));
    }
    Ok(())
}

/// The log, and what stands on `models`.
pub struct Promotion<'a> {
    settings: &'a Settings,
    log: Log,
    roll: Roll,
}

impl<'a> Promotion<'a> {
    /// Reads `models` to its end.
    pub fn open(settings: &'a Settings) -> anyhow::Result<Self> {
        crate::telemetry::install_warnings();
        // Opening would make one: a promotion into a new log is none.
        let directory = &settings.log.embedded.directory;
        if settings.log.backend == BackendKind::Embedded && !stream::is_embedded_log(directory) {
            bail!("there is no log in {}: name the directory of `roost up` (--data-dir)", directory.display());
        }
        let opened = stream::open(&settings.log);
        let log = match settings.log.backend {
            BackendKind::Embedded => opened.context("who values is named while its one process is stopped")?,
            BackendKind::Kafka => opened?,
        };
        let roll = following::roll(&log, settings.enricher.start_within)?;
        Ok(Self { settings, log, roll })
    }

    /// Who values.
    fn order(&self) -> anyhow::Result<Order> {
        match &self.roll.champion {
            Some((champion, _)) => Ok(champion.order()),
            None => Ok(self.settings.enricher.order()?),
        }
    }

    /// Who says so.
    fn since(&self) -> String {
        match &self.roll.champion {
            Some((_, epoch)) => format!("epoch {epoch}"),
            None => "as the settings say: none was promoted".to_owned(),
        }
    }

    /// Of the champion's record.
    fn on_trial(&self) -> Option<&Trial> {
        self.roll.champion.as_ref().and_then(|(champion, _)| champion.trial.as_ref())
    }

    /// The candidate, and on how many per cent of the listings it is on trial.
    fn candidate(&self) -> Option<(ModelName, u8)> {
        match self.on_trial() {
            Some(trial) => Some((trial.model(), trial.share_percent)),
            None => self.roll.candidate.clone().map(|candidate| (candidate, 0)),
        }
    }

    /// Has these models value, if they can be used here.
    pub fn promote(self, models: &[ModelName]) -> anyhow::Result<ExitCode> {
        let before = self.order()?;
        // Clap asks for one at least.
        let order = Order::of_all(models.iter().cloned()).context("no model is named")?;
        if let Some(fault) = order.fault() {
            bail!("{fault}");
        }
        if order == before && self.on_trial().is_none() {
            say(format_args!("{} already, {}", told(&order), self.since()));
            return Ok(ExitCode::SUCCESS);
        }
        for model in models.iter().filter(|model| !before.models().contains(model)) {
            check(model, self.settings).context("it is not promoted")?;
        }
        let champion = Champion::of(order.clone(), Some(before.clone()));
        let epoch = self.append(CHAMPION, Some(&champion))?;
        say(format_args!("{} from epoch {epoch} on; `roost model rollback` leads back to {before}", told(&order)));
        if self.on_trial().is_some() {
            say(format_args!("the trial has ended"));
        }
        if self.roll.candidate.as_ref().is_some_and(|candidate| models.contains(candidate)) {
            self.append::<ModelName>(CANDIDATE, None)?;
            say(format_args!("there is no candidate any more"));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Has those value again whom the present ones replaced.
    pub fn rollback(self) -> anyhow::Result<ExitCode> {
        let order = self.order()?;
        match self.roll.champion.as_ref().map(|(champion, _)| champion.replaced.clone()) {
            Some(Some(replaced)) => self.promote(&replaced.models()),
            // A trial is what came last.
            Some(None) if self.on_trial().is_some() => self.trial(0),
            Some(None) => {
                bail!("nobody said what {order} replaced ({}): promote the model that is wanted", self.since())
            }
            None => bail!("no model was promoted: {}, {}", told(&order), self.since()),
        }
    }

    /// Has the model value in shadow, if it can be used here.
    pub fn nominate(self, model: &ModelName) -> anyhow::Result<ExitCode> {
        self.without_trial()?;
        if self.order()?.models().contains(model) {
            bail!("{model} values for users already");
        }
        check(model, self.settings).context("it is no candidate")?;
        self.append(CANDIDATE, Some(model))?;
        say(format_args!("{model} is candidate: it values in shadow; `roost model compare` tells how well"));
        Ok(ExitCode::SUCCESS)
    }

    /// Has no candidate.
    pub fn withdraw(self) -> anyhow::Result<ExitCode> {
        self.without_trial()?;
        match &self.roll.candidate {
            Some(candidate) => {
                self.append::<ModelName>(CANDIDATE, None)?;
                say(format_args!("{candidate} is no candidate any more"));
            }
            None => say(format_args!("there is no candidate")),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn without_trial(&self) -> anyhow::Result<()> {
        match self.on_trial() {
            Some(trial) => bail!(
                "{} is on trial with {} % of the listings: end that first (roost model trial 0)",
                trial.model(),
                trial.share_percent
            ),
            None => Ok(()),
        }
    }

    /// Has the candidate value so much of the listings for users.
    pub fn trial(self, percent: u8) -> anyhow::Result<ExitCode> {
        let order = self.order()?;
        let (candidate, now) = match self.candidate().filter(|(candidate, _)| !order.models().contains(candidate)) {
            Some(candidate) => candidate,
            None if percent == 0 => {
                say(format_args!("there is no candidate, and no trial"));
                return Ok(ExitCode::SUCCESS);
            }
            None => bail!("there is no candidate: name one first (roost model candidate NAME/VERSION)"),
        };
        if now == percent {
            say(format_args!("{candidate} is on trial with {percent} % of the listings already"));
            return Ok(ExitCode::SUCCESS);
        }
        let trial = (percent > 0).then(|| Trial {
            name: candidate.name.clone(),
            version: candidate.version.clone(),
            share_percent: percent,
        });
        if trial.is_some() {
            check(&candidate, self.settings).context("its trial does not begin")?;
        }
        let replaced = self.roll.champion.as_ref().and_then(|(champion, _)| champion.replaced.clone());
        let epoch = self.append(CHAMPION, Some(&Champion { trial, ..Champion::of(order, replaced) }))?;
        if percent > 0 {
            say(format_args!("{candidate} values {percent} % of the listings from epoch {epoch} on"));
            say(format_args!("`roost model compare` tells how well, `roost model trial 0` ends it"));
        } else {
            say(format_args!("{candidate} values in shadow again from epoch {epoch} on"));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Says how the candidate compares.
    pub fn compare(self) -> anyhow::Result<ExitCode> {
        let order = self.order()?;
        let Some((candidate, _)) = self.candidate() else {
            bail!("there is no candidate: name one first (roost model candidate NAME/VERSION)");
        };
        let registry = Registry::new(&self.settings.enricher.registry);
        let manifest = |model: &ModelName| anyhow::Ok(registry.read(model)?.manifest);
        let manifests = order.models().iter().map(manifest).collect::<Result<Vec<_>, _>>()?;
        let levels = following::closings(&self.log, self.settings.enricher.start_within)?;
        let contest = levels.contest(&manifests.iter().collect::<Vec<_>>(), &manifest(&candidate)?);
        say(format_args!("{} sales of the last 90 days of which both spoke before they knew the price", contest.sales));
        let named = [format!("champion {order}"), format!("candidate {candidate}")];
        let width = named.iter().map(String::len).max().unwrap_or_default();
        if let (Some(champion), Some(other)) = (contest.champion, contest.candidate) {
            say(format_args!("{:width$}  median error  within 10 %    bias  in the interval", ""));
            for (name, contender) in named.iter().zip([champion, other]) {
                let near = contender.close_price;
                say(format_args!(
                    "{name:width$}  {:>10.1} %  {:>9.1} %  {:>+5.1} %  {:>13.1} %",
                    near.median_absolute_error * 100.0,
                    near.within_10_percent * 100.0,
                    near.bias * 100.0,
                    contender.interval_coverage * 100.0
                ));
            }
            say(format_args!(
                "the candidate was nearer in {:.1} % of them, by {:+.4} ± {:.4} in the mean (absolute logarithms)",
                contest.candidate_nearer * 100.0,
                contest.advantage,
                contest.advantage_error
            ));
        }
        match contest.advice {
            Advice::TooFewSales => say(format_args!("advice: wait: {MIN_PAIRS} sales tell more than chance")),
            Advice::Promote => say(format_args!("advice: promote it (roost model promote {candidate})")),
            Advice::Keep => say(format_args!("advice: keep the champion (roost model candidate --withdraw)")),
            Advice::NoDifference => say(format_args!("advice: none: neither is nearer by more than chance")),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Appends a record; returns the epoch that one of the champion starts.
    fn append<T: serde::Serialize>(&self, key: &str, value: Option<&T>) -> anyhow::Result<u64> {
        let ack = Arc::new(Ack::default());
        let producer = self.log.producer(ack.clone())?;
        let record = Outgoing {
            topic: Topic::Models,
            partition: Some(0),
            key: Some(key.into()),
            value: value.map(serde_json::to_vec).transpose()?,
            headers: Vec::new(),
        };
        producer.send(record, 0)?;
        producer.flush(PATIENCE)?;
        let outcome = ack.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let delivered =
            outcome.context("the log did not acknowledge the record: look at `roost model list`, then repeat it")??;
        Ok(epoch_of(delivered.offset))
    }
}

/// Who values, as a clause.
fn told(order: &Order) -> String {
    match order.fallbacks.is_empty() {
        true => format!("{order} is champion"),
        false => format!("{order} value"),
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
