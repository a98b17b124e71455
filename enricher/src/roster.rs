//! Who values: the champion and those it falls back to, and the candidate. Loads and checks them.
//!
//! What the records of `models` say is `Roll`; who is asked about a listing is `desk.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use schemas::id::ListingId;
use schemas::model_alias::{Champion, ModelName, Order};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::TreeOperator;
use crate::drift::Watch;
use crate::explain::{Explainer, Unexplained};
use crate::metrics;
use crate::onnx::{Predictor, Runtime};
use crate::registry::{ModelError, Package, Registry};

/// What the topic `models` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// What users see, and the epoch that began with it.
    pub champion: Option<(Champion, u64)>,
    /// Who values in shadow.
    pub candidate: Option<ModelName>,
    /// What is wrong with the champion's last record, if it cannot be used.
    pub broken: Option<String>,
}

/// What one thread needs of a model.
pub(crate) struct Seat {
    pub(crate) predictor: Predictor,
    pub(crate) watch: Watch,
}

/// A model, loaded and checked, with a session for each thread.
pub(crate) struct Loaded {
    pub(crate) package: Package,
    name: ModelName,
    /// Of its name: what a trial of it parts the listings by.
    seed: u64,
    seats: Vec<Mutex<Seat>>,
    /// Whether it was said that it fails.
    has_complained: AtomicBool,
    /// Made when somebody asks first.
    explainer: OnceLock<Result<Explainer, Unexplained>>,
}

/// Who values.
pub(crate) struct Roster {
    pub(crate) epoch: u64,
    /// The champion first.
    pub(crate) order: Vec<Arc<Loaded>>,
    pub(crate) candidate: Option<Arc<Loaded>>,
    /// Share of the listings that the candidate values for users, in per cent.
    pub(crate) trial_percent: u8,
}

/// Loads models.
pub(crate) struct Loader {
    registry: Registry,
    runtime: Runtime,
    operator: TreeOperator,
    sessions: usize,
    /// Who values as long as the topic names no champion.
    default: Order,
}

impl Loaded {
    /// Reads a model and checks it in every session.
    pub(crate) fn read(
        registry: &Registry,
        runtime: &Runtime,
        operator: TreeOperator,
        sessions: usize,
        name: &ModelName,
    ) -> Result<Self, ModelError> {
        let package = registry.read(name)?;
        let seat = |_| {
            let mut predictor = Predictor::new(runtime, &package, operator)?;
            predictor.check_golden(&package.manifest.golden)?;
            Ok(Mutex::new(Seat { predictor, watch: Watch::new(package.manifest.inputs.clone()) }))
        };
        let seats = (0..sessions).map(seat).collect::<Result<Vec<_>, ModelError>>()?;
        let loaded = Self {
            package,
            name: name.clone(),
            seed: xxh3_64_with_seed(name.to_string().as_bytes(), 0),
            seats,
            has_complained: AtomicBool::new(false),
            explainer: OnceLock::new(),
        };
        // All sessions are made alike.
        if let Some(why) =
            loaded.seats.first().and_then(|first| sit(first).predictor.left_to_stock().map(str::to_owned))
        {
            tracing::warn!(model = %name, "the trees of {name} are left to the standard operator, which is slower: {why}");
        }
        tracing::info!(model = %name, file = %loaded.package.file.display(), "{name} loaded and checked");
        Ok(loaded)
    }

    /// Its name and version.
    pub(crate) const fn name(&self) -> &ModelName {
        &self.name
    }

    /// The session of a thread.
    pub(crate) fn seat(&self, worker: usize) -> MutexGuard<'_, Seat> {
        sit(&self.seats[worker])
    }

    /// It could not be asked about a batch: that is counted, and said once.
    pub(crate) fn complain(&self, error: &ModelError) {
        metrics::record_failure(&self.name);
        if !self.has_complained.swap(true, Ordering::Relaxed) {
            tracing::error!(model = %self.name, "a batch goes without {}: {error}", self.name);
        }
    }

    /// Who explains its prices.
    pub(crate) fn explainer(&self) -> Result<&Explainer, Unexplained> {
        self.explainer.get_or_init(|| Explainer::new(&self.package)).as_ref().map_err(Clone::clone)
    }
}

/// A panic while a model is asked leaves a session that can be asked again.
fn sit(seat: &Mutex<Seat>) -> MutexGuard<'_, Seat> {
    seat.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loader {
    pub(crate) const fn new(
        registry: Registry,
        runtime: Runtime,
        operator: TreeOperator,
        sessions: usize,
        default: Order,
    ) -> Self {
        Self { registry, runtime, operator, sessions, default }
    }

    /// Who values by what the topic says; of a model that is loaded already nothing is read again.
    pub(crate) fn serving(&self, roll: &Roll, before: Option<&Roster>) -> Result<Roster, ModelError> {
        let (order, trial, epoch) = match &roll.champion {
            Some((champion, epoch)) => (champion.order(), champion.trial.as_ref(), *epoch),
            None => (self.default.clone(), None, 0),
        };
        let order = order.models();
        let on_trial = trial.filter(|trial| !order.contains(&trial.model()));
        let candidate = on_trial.map(|trial| self.load(&trial.model(), before)).transpose()?;
        let trial_percent = on_trial.map_or(0, |trial| trial.share_percent);
        let order = order.iter().map(|name| self.load(name, before)).collect::<Result<_, _>>()?;
        Ok(Roster { epoch, order, candidate, trial_percent })
    }

    /// The candidate that values in shadow, if there is one that does not value for users anyway.
    pub(crate) fn shadow(
        &self,
        roll: &Roll,
        serving: &Roster,
        before: Option<&Roster>,
    ) -> Result<Option<Arc<Loaded>>, ModelError> {
        let is_idle = |name: &&ModelName| serving.order.iter().all(|loaded| loaded.name() != *name);
        roll.candidate.as_ref().filter(is_idle).map(|name| self.load(name, before)).transpose()
    }

    fn load(&self, name: &ModelName, before: Option<&Roster>) -> Result<Arc<Loaded>, ModelError> {
        match before.and_then(|roster| roster.all().find(|loaded| loaded.name() == name)) {
            Some(known) => Ok(Arc::clone(known)),
            None => Loaded::read(&self.registry, &self.runtime, self.operator, self.sessions, name).map(Arc::new),
        }
    }
}

impl Roster {
    /// One model, for whoever asks no other.
    pub(crate) fn of(model: Loaded) -> Self {
        Self { epoch: 0, order: vec![Arc::new(model)], candidate: None, trial_percent: 0 }
    }

    /// Every model, the candidate last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Loaded>> {
        self.order.iter().chain(&self.candidate)
    }

    /// Whether the same models value in the same way, by the same records.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.epoch == other.epoch
            && self.trial_percent == other.trial_percent
            && self.candidate.as_ref().map(|model| model.name()) == other.candidate.as_ref().map(|model| model.name())
            && self.order.iter().map(|model| model.name()).eq(other.order.iter().map(|model| model.name()))
    }

    /// The first.
    pub(crate) fn champion(&self) -> &Package {
        // An order has at least one model.
        &self.order[0].package
    }

    /// For a line of the log.
    pub(crate) fn names(&self) -> String {
        let order: Vec<_> = self.order.iter().map(|model| model.name().to_string()).collect();
        let candidate = match (&self.candidate, self.trial_percent) {
            (None, _) => String::new(),
            (Some(candidate), 0) => format!("; candidate in shadow: {}", candidate.name()),
            (Some(candidate), percent) => format!("; on trial with {percent} % of the listings: {}", candidate.name()),
        };
        format!("{}{candidate}", order.join(", then "))
    }

    /// Tells the metrics.
    pub(crate) fn record(&self) {
        for (model, role) in self.order.iter().zip(std::iter::once("champion").chain(std::iter::repeat("fallback"))) {
            metrics::record_role(model.name(), Some(role));
        }
        if let Some(candidate) = &self.candidate {
            metrics::record_role(candidate.name(), Some("candidate"));
        }
        // What was said of another candidate does not hold of this one.
        metrics::record_no_contest();
        metrics::record_champion(&self.champion().manifest, self.epoch);
        metrics::record_trial(self.trial_percent);
    }

    /// The same without a candidate in shadow.
    pub(crate) fn without_shadow(&self) -> Self {
        let candidate = self.candidate.clone().filter(|_| self.trial_percent > 0);
        Self { epoch: self.epoch, order: self.order.clone(), candidate, trial_percent: self.trial_percent }
    }

    /// Whether a listing is among those that the candidate values for users. By a hash of its id, so that it is at every
    /// instance and after every restart; of another candidate it is another part of the listings.
    pub(crate) fn is_on_trial(&self, listing: &ListingId) -> bool {
        let Some(candidate) = self.candidate.as_ref().filter(|_| self.trial_percent > 0) else { return false };
        xxh3_64_with_seed(listing.as_str().as_bytes(), candidate.seed) % 100 < u64::from(self.trial_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::tests::{library, package};

    fn loader() -> Loader {
        let registry = Registry::new(package("tiny", "1").file.parent().unwrap().join("../.."));
        let default = Order::of(name("tiny/1"));
        Loader::new(registry, Runtime::load(&library()).unwrap(), TreeOperator::Fast, 1, default)
    }

    fn name(text: &str) -> ModelName {
        ModelName::parse(text).unwrap()
    }

    fn roll(champion: &str, candidate: Option<&str>) -> Roll {
        let champion: Champion = serde_json::from_str(champion).unwrap();
        Roll { champion: Some((champion, 7)), candidate: candidate.map(name), broken: None }
    }

    fn on_trial(percent: u8) -> Roster {
        let text = r#"{"name": "tiny", "version": "1", "trial": {"name": "tiny", "version": "2", "share_percent": N}}"#;
        loader().serving(&roll(&text.replace('N', &percent.to_string()), None), None).unwrap()
    }

    #[test]
    fn the_settings_hold_until_the_topic_names_a_champion() {
        let roster = loader().serving(&Roll::default(), None).unwrap();
        assert_eq!((roster.epoch, roster.champion().manifest.model_name()), (0, name("tiny/1")));
        let next = r#"{"name": "tiny", "version": "2", "fallbacks": [{"name": "tiny", "version": "1"}]}"#;
        let next = loader().serving(&roll(next, None), Some(&roster)).unwrap();
        assert_eq!((next.epoch, next.champion().manifest.model_name()), (7, name("tiny/2")));
        assert!(Arc::ptr_eq(&next.order[1], &roster.order[0]), "what is loaded is not loaded again");
    }

    #[test]
    fn a_candidate_that_values_for_users_anyway_casts_no_shadow() {
        let champion = r#"{"name": "tiny", "version": "1"}"#;
        let serving = loader().serving(&roll(champion, Some("tiny/1")), None).unwrap();
        assert!(loader().shadow(&roll(champion, Some("tiny/1")), &serving, None).unwrap().is_none());
        let shadow = loader().shadow(&roll(champion, Some("tiny/2")), &serving, None).unwrap().unwrap();
        assert_eq!(*shadow.name(), name("tiny/2"));
        let error = loader().shadow(&roll(champion, Some("broken/1")), &serving, None).err().unwrap().to_string();
        assert!(error.contains("golden row 0"), "{error}");
    }

    #[test]
    fn a_trial_takes_about_its_share_of_the_listings_and_always_the_same_ones() {
        let roster = on_trial(20);
        let ids: Vec<ListingId> = (0..10_000).map(|key| format!("f:{key}").parse().unwrap()).collect();
        let taken: Vec<_> = ids.iter().filter(|id| roster.is_on_trial(id)).collect();
        assert!((1_900..2_100).contains(&taken.len()), "{}", taken.len());
        assert!(taken.iter().all(|id| on_trial(40).is_on_trial(id)), "a greater share holds the smaller one");
        let without = roster.without_shadow();
        assert!(without.candidate.is_some() && taken.iter().all(|id| without.is_on_trial(id)));
        let serving = loader().serving(&Roll::default(), None).unwrap();
        assert!(ids.iter().all(|id| !serving.is_on_trial(id)));
    }
}
