//! Values listings: a few threads, each with a session of the champion, and a bounded queue before them. One per
//! process, shared by the enricher's service and by whoever values a home on demand.
//!
//! Does not know partitions or facts. Which model is champion and what was sold comes in through `following.rs`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use schemas::listing::Listing;
use schemas::model_alias::ModelName;
use schemas::priced::NoValuation;
use schemas::sale::SaleAppraisal;
use stream::{Fatal, Log, LogError};

use crate::accuracy::Accuracy;
use crate::admission::Appraisal;
use crate::config::{Config, MarketContextMode, TreeOperator};
use crate::drift::Watch;
use crate::explain::{Explainer, Explanation, Unexplained};
use crate::features::Subject;
use crate::following;
use crate::metrics;
use crate::onnx::{LibraryError, Predictor, Runtime};
use crate::registry::{Manifest, ModelError, Package, Registry};
use crate::schools::{SchoolFileError, SchoolRatings};
use crate::surroundings::Surroundings;
use crate::valuation::{quantised, refusal, refusal_of_home, uncorrected};

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
    pub(crate) registry: Registry,
    pub(crate) surroundings: Surroundings,
    /// How good valuations were, by the sales that closed since.
    pub(crate) accuracy: Mutex<Accuracy>,
    runtime: Runtime,
    tree_operator: TreeOperator,
    workers: usize,
    champion: ArcSwap<Champion>,
    /// Partitions of `sales` whose end was not reached yet.
    pub(crate) sales_behind: AtomicUsize,
    started: Instant,
    pub(crate) stopped: AtomicBool,
}

/// The model that values, with a session for each thread.
struct Champion {
    package: Package,
    epoch: u64,
    seats: Vec<Mutex<Seat>>,
    /// Made when somebody asks first.
    explainer: Arc<OnceLock<Result<Explainer, Unexplained>>>,
}

/// What one thread needs of a model.
pub(crate) struct Seat {
    predictor: Predictor,
    watch: Watch,
}

impl Seat {
    /// With a session of the model.
    pub(crate) fn new(predictor: Predictor, package: &Package) -> Self {
        Self { predictor, watch: Watch::new(package.manifest.inputs.clone()) }
    }
}

type Job = Box<dyn FnOnce(&mut Desk<'_>) + Send>;

/// What a model sees of a home, and why that makes its price.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The model's features, as its manifest names them.
    pub features: Vec<String>,
    /// In their order; NaN where one is missing.
    pub row: Vec<f32>,
    /// Of the median, before the level of the market corrects it.
    pub explanation: Explanation,
}

/// A thread's place of work: the champion's session that is its own.
pub struct Desk<'a> {
    surroundings: &'a Surroundings,
    package: &'a Package,
    epoch: u64,
    seat: &'a mut Seat,
    explainer: Arc<OnceLock<Result<Explainer, Unexplained>>>,
}

impl Appraiser {
    /// Loads ONNX Runtime and the champion, checks both, and starts to follow `models` and `sales`.
    pub fn start(config: &Config, log: &Log, fatal: &Fatal) -> Result<Self, StartError> {
        if config.workers == 0 || config.workers > 64 {
            return Err(StartError::Config(format!(
                "workers: {} is not a count of threads (expected 1 to 64)",
                config.workers
            )));
        }
        let default = model_name(&config.model)?;
        let schools = config.school_ratings.as_deref().map(SchoolRatings::read).transpose()?.unwrap_or_default();
        let runtime = Runtime::load(&config.library())?;
        let registry = Registry::new(&config.registry);

        let models = following::Models::read(log, config.start_within)?;
        let (name, epoch) = models.champion().unwrap_or((default, 0));
        let champion = Champion::load(&registry, &runtime, config.tree_operator, config.workers, &name, epoch)?;

        let with_market = config.market_context == MarketContextMode::On;
        let surroundings = Surroundings::new(schools, with_market);
        surroundings.follow(&champion.package.manifest);
        let shared = Arc::new(Shared {
            registry,
            surroundings,
            accuracy: Mutex::default(),
            runtime,
            tree_operator: config.tree_operator,
            workers: config.workers,
            champion: ArcSwap::from_pointee(champion),
            sales_behind: AtomicUsize::new(if with_market { log.partitions() as usize } else { 0 }),
            started: Instant::now(),
            stopped: AtomicBool::new(false),
        });
        let (jobs, queue) = crossbeam_channel::bounded(QUEUE);
        for worker in 0..config.workers {
            let (shared, queue) = (Arc::clone(&shared), queue.clone());
            stream::spawn(&format!("appraiser-{worker}"), fatal, move || shared.work(worker, &queue))?;
        }
        if with_market {
            following::spawn_sales(Arc::clone(&shared), Arc::clone(log), Arc::clone(fatal))?;
        }
        following::spawn_models(models, Arc::clone(&shared), Arc::clone(fatal))?;
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

    /// The epoch of the champion: it grows when another model takes over.
    pub fn epoch(&self) -> u64 {
        self.inner.shared.champion.load().epoch
    }

    /// What the champion says of itself.
    pub fn manifest(&self) -> Manifest {
        self.champion().0
    }

    /// The same, with the champion's epoch: of one moment.
    pub fn champion(&self) -> (Manifest, u64) {
        let champion = self.inner.shared.champion.load();
        (champion.package.manifest.clone(), champion.epoch)
    }

    /// How good each model's valuations were, by the sales of the last 90 days; nothing while market context is off.
    pub fn accuracy(&self) -> Vec<schemas::accuracy::Accuracy> {
        self.inner.shared.accuracy()
    }

    /// Values one listing on a thread of the appraiser, which then calls `answer`. Does not wait.
    pub fn value(
        &self,
        listing: Listing,
        answer: impl FnOnce(Result<Appraisal, ModelError>) + Send + 'static,
    ) -> Result<(), NotNow> {
        self.try_submit(Box::new(move |desk| {
            let appraisals = desk.appraise([&listing]);
            // One listing in, one appraisal out.
            answer(appraisals.map(|mut all| all.remove(0)));
        }))
    }

    /// Values one listing and says what brought its price about, in the same way; `None` where it has no price.
    pub fn explain(
        &self,
        listing: Listing,
        answer: impl FnOnce(Result<(Appraisal, Option<Result<Explained, Unexplained>>), ModelError>) + Send + 'static,
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
    pub(crate) fn submit(&self, job: impl FnOnce(&mut Desk<'_>) + Send + 'static) -> Result<(), String> {
        self.inner.jobs.send(Box::new(job)).map_err(|_| "the appraiser's threads have ended".to_owned())
    }
}

/// Reads `<name>/<version>`.
fn model_name(text: &str) -> Result<ModelName, StartError> {
    ModelName::parse(text).ok_or_else(|| {
        StartError::Config(format!("model: `{text}` is not `<name>/<version>`, such as `synthetic-us/1`"))
    })
}

impl Shared {
    fn work(&self, worker: usize, queue: &Receiver<Job>) {
        for job in queue {
            let champion = self.champion.load_full();
            let mut seat = champion.seats[worker].lock().unwrap_or_else(PoisonError::into_inner);
            job(&mut Desk {
                surroundings: &self.surroundings,
                package: &champion.package,
                epoch: champion.epoch,
                seat: &mut seat,
                explainer: Arc::clone(&champion.explainer),
            });
        }
    }

    /// How good each model's valuations were lately.
    pub(crate) fn accuracy(&self) -> Vec<schemas::accuracy::Accuracy> {
        // A panic while taking a sale leaves whole sales.
        self.accuracy.lock().unwrap_or_else(PoisonError::into_inner).reports()
    }

    /// Loads and checks another champion, then lets it take over. On failure the old one stays.
    pub(crate) fn promote(&self, name: &ModelName, epoch: u64) -> Result<(), ModelError> {
        let champion = Champion::load(&self.registry, &self.runtime, self.tree_operator, self.workers, name, epoch)?;
        // The level of the one before is kept for those who value with it still.
        self.surroundings.follow(&champion.package.manifest);
        self.champion.store(Arc::new(champion));
        Ok(())
    }
}

impl Champion {
    fn load(
        registry: &Registry,
        runtime: &Runtime,
        operator: TreeOperator,
        sessions: usize,
        name: &ModelName,
        epoch: u64,
    ) -> Result<Self, ModelError> {
        let package = registry.read(name)?;
        let session = |_| {
            let mut predictor = Predictor::new(runtime, &package, operator)?;
            predictor.check_golden(&package.manifest.golden)?;
            Ok(Mutex::new(Seat::new(predictor, &package)))
        };
        let seats = (0..sessions).map(session).collect::<Result<Vec<_>, ModelError>>()?;
        // All sessions are made alike.
        if let Some(first) = seats.first()
            && let Some(why) = first.lock().unwrap_or_else(PoisonError::into_inner).predictor.left_to_stock()
        {
            tracing::warn!(model = %name, "the trees of {name} are left to the standard operator, which is slower: {why}");
        }
        metrics::record_champion(&package.manifest, epoch);
        tracing::info!(model = %name, epoch, file = %Path::new(&package.file).display(), "champion {name} loaded and checked");
        Ok(Self { package, epoch, seats, explainer: Arc::default() })
    }
}

impl<'a> Desk<'a> {
    /// A place of work of its own, for whoever has no appraiser.
    pub(crate) fn new(surroundings: &'a Surroundings, package: &'a Package, seat: &'a mut Seat) -> Self {
        Self { surroundings, package, epoch: 0, seat, explainer: Arc::default() }
    }

    /// Values listings, in their order.
    pub fn appraise<'l>(
        &mut self,
        listings: impl IntoIterator<Item = &'l Listing>,
    ) -> Result<Vec<Appraisal>, ModelError> {
        self.appraise_into(listings, &mut Vec::new())
    }

    /// The same; what the model saw of each listing that it was asked about is appended to `matrix`, which is empty.
    fn appraise_into<'l>(
        &mut self,
        listings: impl IntoIterator<Item = &'l Listing>,
        matrix: &mut Vec<f32>,
    ) -> Result<Vec<Appraisal>, ModelError> {
        let started = Instant::now();
        let manifest = &self.package.manifest;
        let model = manifest.model_name();
        let (mut rows, mut appraisals) = (Vec::new(), Vec::new());
        let surroundings = self.surroundings;
        let known = surroundings.now();
        let sales_read = known.sales_read().to_vec();
        for listing in listings {
            let subject = known.of(listing, &self.package.features);
            let start = matrix.len();
            let refused = refusal(listing, manifest).or_else(|| self.append_row(&subject, matrix));
            let mut out_of_range = Vec::new();
            if refused.is_none() {
                rows.push((appraisals.len(), known.level(&model, listing)));
                out_of_range = self.look_at(&matrix[start..]);
            }
            appraisals.push(Appraisal {
                commute: subject.commute,
                school_rating: subject.school_rating,
                level: subject.level,
                // Replaced below for those that the model is asked about.
                valuation: Err(refused.unwrap_or(NoValuation::BadPrediction)),
                out_of_range,
                model_epoch: self.epoch,
            });
        }
        drop(known);
        metrics::record_stage(metrics::Stage::Features, started.elapsed());
        let started = Instant::now();
        for ((row, level), prices) in rows.into_iter().zip(self.seat.predictor.predict(matrix)?) {
            appraisals[row].valuation = quantised(prices, level, manifest, &sales_read);
        }
        metrics::record_stage(metrics::Stage::Inference, started.elapsed());
        metrics::record_predictions(
            manifest,
            appraisals.iter().map(|a| a.valuation.as_ref().map(|_| ()).map_err(|e| *e)),
        );
        Ok(appraisals)
    }

    /// Values a listing, and says what brought its price about, by the very row that it was valued by.
    fn explain(
        &mut self,
        listing: &Listing,
    ) -> Result<(Appraisal, Option<Result<Explained, Unexplained>>), ModelError> {
        let mut row = Vec::new();
        // One listing in, one appraisal out.
        let appraisal = self.appraise_into([listing], &mut row)?.remove(0);
        let explained = (!row.is_empty()).then(|| match self.explainer.get_or_init(|| Explainer::new(self.package)) {
            Ok(explainer) => {
                let features = self.package.manifest.features.clone();
                Ok(Explained { explanation: explainer.explain(&row), features, row })
            }
            Err(why) => Err(why.clone()),
        });
        Ok((appraisal, explained))
    }

    /// Counts the row, and names the features whose values training saw none like.
    fn look_at(&mut self, row: &[f32]) -> Vec<String> {
        let manifest = &self.package.manifest;
        if let Some(window) = self.seat.watch.take(row) {
            metrics::record_window(manifest, &window);
        }
        let outside = manifest.inputs.iter().zip(row).filter(|(input, value)| input.excludes(**value));
        outside.map(|(input, _)| input.feature.clone()).collect()
    }

    /// What the model says of homes that were sold, in their order, before the level of the market corrects it; `None` for a
    /// home that it has nothing to say of.
    pub fn appraise_sold<'l>(
        &mut self,
        homes: impl IntoIterator<Item = &'l Listing>,
    ) -> Result<Vec<Option<SaleAppraisal>>, ModelError> {
        let manifest = &self.package.manifest;
        let (mut matrix, mut rows, mut appraisals) = (Vec::new(), Vec::new(), Vec::new());
        let surroundings = self.surroundings;
        let known = surroundings.now();
        for home in homes {
            let subject = known.of(home, &self.package.features);
            let refused = refusal_of_home(home, manifest).or_else(|| self.append_row(&subject, &mut matrix));
            if refused.is_none() {
                rows.push(appraisals.len());
            }
            appraisals.push(None);
        }
        drop(known);
        for (row, prices) in rows.into_iter().zip(self.seat.predictor.predict(&matrix)?) {
            appraisals[row] = uncorrected(prices, manifest);
        }
        Ok(appraisals)
    }

    /// Appends the listing's row, unless a feature that the model requires is missing.
    fn append_row(&self, subject: &Subject<'_>, matrix: &mut Vec<f32>) -> Option<NoValuation> {
        let start = matrix.len();
        self.package.features.append_row(subject, matrix);
        let is_missing = |column: &usize| matrix[start + column].is_nan();
        if self.package.required.iter().any(is_missing) {
            matrix.truncate(start);
            return Some(NoValuation::MissingFeatures);
        }
        None
    }
}
