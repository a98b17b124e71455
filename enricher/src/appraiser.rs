//! Values listings: a few threads, each with a session of every model, and a bounded queue before them. One per
//! process, shared by the enricher's service and by whoever values a home on demand.
//!
//! Does not know partitions or facts. Who values and what was sold comes in through `following.rs`; how is `desk.rs`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use schemas::accuracy::Contest;
use schemas::listing::Listing;
use schemas::model_alias::ModelName;
use stream::{Fatal, Log, LogError};

use crate::accuracy::Accuracy;
use crate::admission::Appraisal;
use crate::config::{Config, MarketContextMode};
use crate::desk::{Desk, Explained};
use crate::explain::Unexplained;
use crate::following;
use crate::metrics;
use crate::onnx::{LibraryError, Runtime};
use crate::registry::{Manifest, ModelError, Registry};
use crate::roster::{Loader, Roll, Roster};
use crate::schools::{SchoolFileError, SchoolRatings};
use crate::surroundings::Surroundings;

/// Most jobs that wait for a thread: the service has at most one per thread, the rest are single homes of the API, at
/// most 0.3 ms each, so that the last of them waits about 20 ms.
const QUEUE: usize = 64;

/// Why the appraiser cannot start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// ONNX Runtime is missing or not usable.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The model is missing or not usable.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The operator's school ratings are not readable.
    #[error(transparent)]
    Schools(#[from] SchoolFileError),
    /// A setting is wrong.
    #[error("enricher.{0}")]
    Config(String),
    /// What the log says of who values cannot be used, and what it said before is gone.
    #[error(
        "topic models: the champion's record cannot be used: {0}; name who is to value (roost model promote NAME/VERSION)"
    )]
    Broken(String),
    /// The log does not answer.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}; look at the limits of the system")]
    Thread(#[from] std::io::Error),
}

/// Why a listing cannot be valued right now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Too many wait already.
    #[error("{QUEUE} valuations wait already; try again in a moment")]
    Busy,
    /// The sales are still being read.
    #[error("{0}")]
    NotReady(String),
}

/// The appraiser: a handle that threads share. Its threads end when the last handle is gone.
#[derive(Clone)]
pub struct Appraiser {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    jobs: Sender<Job>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

/// What the threads have in common.
pub(crate) struct Shared {
    pub(crate) surroundings: Surroundings,
    /// How good valuations were, by the sales that closed since.
    pub(crate) accuracy: Mutex<Accuracy>,
    loader: Loader,
    workers: usize,
    roster: ArcSwap<Roster>,
    /// Partitions of `sales` whose end was not reached yet.
    pub(crate) sales_behind: AtomicUsize,
    started: Instant,
    pub(crate) stopped: AtomicBool,
}

type Job = Box<dyn FnOnce(&mut Desk<'_>) + Send>;

impl Appraiser {
    /// Loads ONNX Runtime and the models, checks them, and starts to follow `models` and `sales`.
    pub fn start(config: &Config, log: &Log, fatal: &Fatal) -> Result<Self, StartError> {
        if config.workers == 0 || config.workers > 64 {
            return Err(StartError::Config(format!(
                "workers: {} is not a count of threads (expected 1 to 64)",
                config.workers
            )));
        }
        let default = config.order()?;
        let schools = config.school_ratings.as_deref().map(SchoolRatings::read).transpose()?.unwrap_or_default();
        let runtime = Runtime::load(&config.library())?;
        let registry = Registry::new(&config.registry);

        let models = following::Models::read(log, config.start_within)?;
        let loader = Loader::new(registry, runtime, config.tree_operator, config.workers, default);
        if let Some(why) = models.roll().broken.as_ref().filter(|_| models.roll().champion.is_none()) {
            return Err(StartError::Broken(why.clone()));
        }
        let serving = loader.serving(models.roll(), None)?;

        let with_market = config.market_context == MarketContextMode::On;
        let surroundings = Surroundings::new(schools, with_market);
        let shared = Shared {
            surroundings,
            accuracy: Mutex::default(),
            loader,
            workers: config.workers,
            roster: ArcSwap::from_pointee(serving.without_shadow()),
            sales_behind: AtomicUsize::new(if with_market { log.partitions() as usize } else { 0 }),
            started: Instant::now(),
            stopped: AtomicBool::new(false),
        };
        let is_whole = shared.seat(serving, models.roll(), None);
        let shared = Arc::new(shared);
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
        for worker in 0..config.workers {
            let (shared, queue) = (Arc::clone(&shared), queue.clone());
            stream::spawn(&format!("appraiser-{worker}"), fatal, move || shared.work(worker, &queue))?;
        }
        if with_market {
            following::spawn_sales(Arc::clone(&shared), Arc::clone(log), Arc::clone(fatal))?;
        }
        following::spawn_models(models, is_whole, Arc::clone(&shared), Arc::clone(fatal))?;
        Ok(Self { inner: Arc::new(Inner { shared, jobs }) })
    }

    /// `Err` while the sales were not read to their end: comparables would not be the same as elsewhere.
    pub fn ready(&self) -> Result<(), String> {
        match self.inner.shared.sales_behind.load(Ordering::Acquire) {
            0 => Ok(()),
            left => {
                let seconds = self.inner.shared.started.elapsed().as_secs();
                Err(format!("sales are still being read: {left} partitions to go, for {seconds} s"))
            }
        }
    }

    /// The epoch of those who value: it grows when others take over.
    pub fn epoch(&self) -> u64 {
        self.inner.shared.roster.load().epoch
    }

    /// Who values now.
    pub fn models(&self) -> Models {
        let roster = self.inner.shared.roster.load();
        Models {
            epoch: roster.epoch,
            order: roster.order.iter().map(|model| model.package.manifest.clone()).collect(),
            candidate: roster.candidate.as_ref().map(|model| model.package.manifest.clone()),
            trial_percent: roster.trial_percent,
        }
    }

    /// The features without which a listing has no valuation: of the first model that covers it.
    pub fn required(&self, listing: &Listing) -> Vec<String> {
        let roster = self.inner.shared.roster.load();
        let mut manifests = roster.order.iter().map(|model| &model.package.manifest);
        manifests.find(|manifest| manifest.covers(listing)).map_or_else(Vec::new, |manifest| manifest.required.clone())
    }

    /// The members of a home that some model sees beyond those that are read of any listing.
    pub fn attributes(&self) -> BTreeSet<String> {
        let roster = self.inner.shared.roster.load();
        roster.order.iter().flat_map(|model| model.package.features.attributes().map(str::to_owned)).collect()
    }

    /// How the candidate compares with those who value; `None` without one, or while market context is off.
    pub fn contest(&self) -> Option<Contest> {
        self.inner.shared.contest()
    }

    /// How good each model's valuations were, by the sales of the last 90 days; nothing while market context is off.
    pub fn accuracy(&self) -> Vec<schemas::accuracy::Accuracy> {
        self.inner.shared.accuracy()
    }

    /// Values one listing on a thread of the appraiser, which then calls `answer`. Does not wait. A home that is asked about
    /// is never on trial.
    pub fn value(&self, listing: Listing, answer: impl FnOnce(Appraisal) + Send + 'static) -> Result<(), NotNow> {
        self.try_submit(Box::new(move |desk| {
            // One listing in, one appraisal out.
            answer(desk.appraise_in_order(&[&listing]).remove(0));
        }))
    }

    /// Values one listing and says what brought its price about, in the same way; `None` where it has no price.
    pub fn explain(
        &self,
        listing: Listing,
        answer: impl FnOnce((Appraisal, Option<Result<Explained, Unexplained>>)) + Send + 'static,
    ) -> Result<(), NotNow> {
        self.try_submit(Box::new(move |desk| answer(desk.explain(&listing))))
    }

    /// Hands a job to a thread; does not wait.
    fn try_submit(&self, job: Job) -> Result<(), NotNow> {
        self.ready().map_err(NotNow::NotReady)?;
        self.inner.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => NotNow::Busy,
            TrySendError::Disconnected(_) => NotNow::NotReady("the appraiser's threads have ended".to_owned()),
        })
    }

    /// How many threads value.
    pub fn workers(&self) -> usize {
        self.inner.shared.workers
    }

    /// Hands a job to a thread; waits while the queue is full.
    pub fn submit(&self, job: impl FnOnce(&mut Desk<'_>) + Send + 'static) -> Result<(), String> {
        self.inner.jobs.send(Box::new(job)).map_err(|_| "the appraiser's threads have ended".to_owned())
    }
}

/// Who values at one moment.
#[derive(Clone, Debug)]
pub struct Models {
    /// Grows when others take over.
    pub epoch: u64,
    /// What each says of itself, in the order in which they are asked: the champion first.
    pub order: Vec<Manifest>,
    /// What the candidate says of itself.
    pub candidate: Option<Manifest>,
    /// Share of the listings that the candidate values for users, in per cent.
    pub trial_percent: u8,
}

impl Models {
    /// Who is asked first.
    pub fn champion(&self) -> &Manifest {
        // An order has at least one model.
        &self.order[0]
    }
}

impl Shared {
    fn work(&self, worker: usize, queue: &Receiver<Job>) {
        for job in queue {
            let roster = self.roster.load_full();
            job(&mut Desk::at(&self.surroundings, &roster, worker));
        }
    }

    /// How good each model's valuations were lately.
    pub(crate) fn accuracy(&self) -> Vec<schemas::accuracy::Accuracy> {
        // A panic while taking a sale leaves whole sales.
        self.accuracy.lock().unwrap_or_else(PoisonError::into_inner).reports()
    }

    /// How the candidate compares with those who value for users.
    pub(crate) fn contest(&self) -> Option<Contest> {
        let roster = self.roster.load_full();
        let candidate = roster.candidate.as_ref()?;
        let order: Vec<&Manifest> = roster.order.iter().map(|model| &model.package.manifest).collect();
        self.surroundings.now().contest(&order, &candidate.package.manifest)
    }

    /// Has those value whom the topic names; whether all could be loaded. Who cannot be does not value: on a failure of one that
    /// the champion's record names, those before stay; without its candidate everything else goes on.
    pub(crate) fn install(&self, roll: &Roll) -> bool {
        let before = self.roster.load_full();
        let (serving, is_whole) = match self.loader.serving(roll, Some(&before)) {
            Ok(serving) => (serving, true),
            Err(error) => {
                tracing::error!("{error}; those who value stay: {}", before.names());
                metrics::record_reload_failure();
                (before.without_shadow(), false)
            }
        };
        self.seat(serving, roll, Some(&before)) && is_whole
    }

    /// Whether the candidate could be loaded, if there is to be one.
    fn seat(&self, serving: Roster, roll: &Roll, before: Option<&Roster>) -> bool {
        let (mut next, mut is_whole) = (serving, true);
        if next.candidate.is_none() {
            next.candidate = self.loader.shadow(roll, &next, before).unwrap_or_else(|error| {
                tracing::error!("{error}; there is no candidate");
                metrics::record_reload_failure();
                is_whole = false;
                None
            });
        }
        if before.is_some_and(|before| before.says_the_same(&next)) {
            return is_whole;
        }
        let was_known = |name: &ModelName| before.is_some_and(|before| before.all().any(|model| model.name() == name));
        for model in next.all().filter(|model| !was_known(model.name())) {
            self.surroundings.follow(&model.package.manifest);
        }
        // The level of those before is kept for those who value with them still.
        let needed: Vec<_> =
            next.all().chain(before.into_iter().flat_map(Roster::all)).map(|m| m.name().clone()).collect();
        self.surroundings.follow_only(&needed);
        if let Some(before) = before {
            before.all().for_each(|model| metrics::record_role(model.name(), None));
        }
        next.record();
        tracing::info!(epoch = next.epoch, "who values: {}", next.names());
        self.roster.store(Arc::new(next));
        is_whole
    }
}
