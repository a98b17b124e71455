//! What every route shares: the tables, the way to the log, what is known of its tail, and the bounds.

use std::sync::Arc;
use std::time::Duration;

use access::Access;
use schemas::id::SessionId;
use schemas::topic::{partition_of, session_key};
use schemas::units::Instant;
use store::Tables;
use stream::Log;
use tokio::sync::Semaphore;

use crate::appraise::Appraiser;
use crate::centres::Centres;
use crate::changes::Changes;
use crate::config::Config;
use crate::follow::Follower;
use crate::freshness::{Freshness, is_stale};
use crate::lent::Lent;
use crate::limits::Limits;
use crate::listeners::Listeners;
use crate::names::Names;
use crate::problem::{Kind, Problem};
use crate::recall::Answers;
use crate::recent::Recent;
use crate::statements::{Statements, now_ms};
use crate::stop::Stop;
use crate::tags::Tags;
use crate::tail::Verdict;
use crate::webhooks::Webhooks;

/// How long a request waits for its turn to use a model.
const TURN: Duration = Duration::from_secs(1);
/// How many wait for each whose turn it is.
pub const WAITING_FOR_A_TURN: usize = 16;

/// Shared by all requests.
pub struct App {
    /// The settings.
    pub config: Config,
    /// Who asks, and who may do what.
    pub access: Arc<Access>,
    /// The log: asked for its health.
    pub log: Log,
    /// The tables.
    pub tables: Tables,
    /// What is sent to webhooks.
    pub webhooks: Webhooks,
    /// The way to topic `preferences`.
    pub statements: Statements,
    /// The tail of topic `preferences`.
    pub follower: Follower,
    /// The followed topic `recommendations`.
    pub _changes: Changes,
    /// Who listens for which session.
    pub listeners: Arc<Listeners>,
    /// The tags of rows that were read lately.
    pub tags: Arc<Tags>,
    /// Up to when the shards have applied the logs.
    pub freshness: Arc<Freshness>,
    /// The newest rows seen, for when the store is away and for when none is newer.
    pub recent: Arc<Recent>,
    /// Answers given lately, for when the store is away.
    pub answers: Answers,
    /// How often who may ask.
    pub limits: Limits,
    /// Values homes on demand.
    pub appraiser: Option<Arc<dyn Appraiser>>,
    /// What else other parts of the process do for the API.
    pub lent: Lent,
    /// One permit per request under way.
    pub in_flight: Semaphore,
    /// One permit per request that waits for a version.
    pub waiting: Semaphore,
    /// One permit per open stream.
    pub streams: Arc<Semaphore>,
    /// One permit per row that a stream reads again.
    pub looks: Semaphore,
    /// One permit per valuation under way.
    pub appraisals: Arc<Semaphore>,
    /// One permit per request that waits for its valuation.
    pub turns: Semaphore,
    /// One permit per batch of valuations under way.
    pub batches: Arc<Semaphore>,
    /// One registration of a webhook at a time: how many its owner has is looked at before it is appended.
    pub registering: tokio::sync::Mutex<()>,
    /// Which markets there are.
    pub names: Names,
    /// Where their middles are.
    pub centres: Centres,
    /// One permit per preview under way.
    pub previews: Semaphore,
    /// One permit per request that counts homes.
    pub scans: Semaphore,
    /// The sign that the service takes no more work.
    pub stop: Stop,
}

/// Does work of several steps, which goes on to its end also when its client hangs up: half of it would be worse than none. What
/// then nobody is told, the log is.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        if let Err(Err(problem)) = tell.send(work.await) {
            tracing::warn!("a client hung up and was not told: {}", problem.detail);
        }
    });
    told.await.unwrap_or_else(|_| Err(Problem::internal("work of several steps ended in its middle")))
}

impl App {
    /// Up to when the session's recommendation is true, and whether that is too long ago.
    pub fn as_of(&self, session: SessionId) -> (Option<Instant>, bool) {
        let shard = partition_of(&session_key(session), self.log.partitions());
        let as_of = self.freshness.as_of(shard);
        (as_of, is_stale(as_of, now_ms(), self.config.stale_after))
    }

    /// Does what only so many do at once: something with a model, on a thread that it may keep busy. Its turn comes within a
    /// second, or it is refused. A client that goes away does not end what has begun.
    pub async fn appraise<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || Problem::new(Kind::Overloaded, "too many valuations are under way");
        let permit = match Arc::clone(&self.appraisals).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waits = self.turns.try_acquire().map_err(|_| busy())?;
                let turn = tokio::time::timeout(TURN, Arc::clone(&self.appraisals).acquire_owned()).await;
                turn.ok().and_then(Result::ok).ok_or_else(busy)?
            }
        };
        let done = tokio::task::spawn_blocking(move || (work(), permit)).await;
        done.map(|(outcome, _)| outcome).map_err(|error| Problem::internal(&format!("a valuation: {error}")))
    }

    /// What to answer about a session whose row is of `row_version`.
    pub fn verdict(&self, session: SessionId, row_version: Option<u64>) -> Result<Verdict, Problem> {
        let verdict = self.follower.verdict(session, row_version);
        verdict.ok_or_else(|| Problem::new(Kind::Starting, Kind::Starting.meaning()))
    }

    /// `Err` while something is not there that the API needs, with what and why. Blocks: the log may be asked.
    pub fn ready(&self) -> Result<(), String> {
        self.log.health()?;
        self.follower.ready()?;
        self.access.ready()?;
        self.freshness.ready()
    }
}
