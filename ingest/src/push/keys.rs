//! Keeps the index of keys while somebody asks for it: reads `listings.priced` from its start at the first request, follows
//! it, and forgets it all when nobody has asked for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use schemas::id::FeedName;
use schemas::topic::Topic;
use stream::{Fatal, Log, LogError, Reader, Start};
use tokio::sync::watch;

use super::index::Index;

/// How long the follower waits for a record; bounds how late it notices that it is to end.
const POLL: Duration = Duration::from_millis(100);

/// Where the partitions of the topic end: partition and next offset.
type Ends = Vec<(u32, u64)>;

/// The keys of homes on offer, for requests.
pub(super) struct Keys {
    log: Log,
    idle: Duration,
    fatal: Fatal,
    current: Mutex<Option<Arc<Follower>>>,
}

/// Why keys cannot be told now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoKeys {
    /// The end was not reached in time; a later request finds more of it read.
    #[error("`listings.priced` is not yet read to its end; ask again")]
    NotRead,
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system has no thread left.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// One reading of the topic.
struct Follower {
    index: Mutex<Index>,
    /// Changes with every batch folded in, and when the reading ends.
    progress: watch::Sender<u64>,
    asked: Mutex<Instant>,
    is_over: AtomicBool,
}

impl Keys {
    pub(super) fn new(log: Log, idle: Duration, fatal: Fatal) -> Self {
        Self { log, idle, fatal, current: Mutex::new(None) }
    }

    /// The keys of a feed as of now: everything that was on the log when this was called is taken into account.
    pub(super) async fn of(self: &Arc<Self>, feed: &FeedName, deadline: Instant) -> Result<Vec<String>, NoKeys> {
        let keys = self.clone();
        // Asks the log: not for the threads that serve requests.
        let (follower, ends) = match tokio::task::spawn_blocking(move || keys.follower()).await {
            Ok(follower) => follower?,
            Err(_) => return Err(NoKeys::NotRead),
        };
        let mut progress = follower.progress.subscribe();
        loop {
            progress.mark_unchanged();
            if let Some(keys) = follower.keys_at(feed, &ends) {
                return Ok(keys);
            }
            let is_changed = tokio::time::timeout_at(deadline.into(), progress.changed()).await;
            if !matches!(is_changed, Ok(Ok(()))) || follower.is_over.load(Ordering::Acquire) {
                return Err(NoKeys::NotRead);
            }
        }
    }

    /// The reading under way, or a new one, and where the topic ends now.
    fn follower(&self) -> Result<(Arc<Follower>, Ends), NoKeys> {
        let partitions = self.log.partitions();
        let ends: Ends = (0..partitions)
            .map(|partition| Ok((partition, self.log.range(Topic::ListingsPriced, partition)?.1)))
            .collect::<Result<_, LogError>>()?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(follower) = current.as_ref().filter(|follower| !follower.is_over.load(Ordering::Acquire)) {
            *follower.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            return Ok((follower.clone(), ends));
        }
        let starts: Vec<_> =
            (0..partitions).map(|partition| (Topic::ListingsPriced, partition, Start::Earliest)).collect();
        let reader = self.log.follow(&starts)?;
        let follower = Arc::new(Follower {
            index: Mutex::new(Index::default()),
            progress: watch::Sender::new(0),
            asked: Mutex::new(Instant::now()),
            is_over: AtomicBool::new(false),
        });
        let (reading, idle) = (follower.clone(), self.idle);
        stream::spawn("ingest-keys", &self.fatal, move || reading.run(reader, idle))?;
        *current = Some(follower.clone());
        Ok((follower, ends))
    }

    /// Ends the reading.
    pub(super) fn stop(&self) {
        if let Some(follower) = self.current.lock().unwrap_or_else(PoisonError::into_inner).take() {
            follower.is_over.store(true, Ordering::Release);
        }
    }
}

impl Follower {
    fn keys_at(&self, feed: &FeedName, ends: &Ends) -> Option<Vec<String>> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.has_reached(ends).then(|| index.keys(feed).into_iter().map(str::to_owned).collect())
    }

    fn run(&self, mut reader: Box<dyn Reader>, idle: Duration) {
        let mut events = Vec::new();
        while !self.is_over.load(Ordering::Acquire) && self.last_asked().elapsed() < idle {
            match reader.poll(POLL, &mut events) {
                Ok(()) if events.is_empty() => {}
                Ok(()) => {
                    let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
                    events.drain(..).for_each(|event| index.take(event));
                    drop(index);
                    self.progress.send_modify(|batches| *batches += 1);
                }
                // It comes back; who asks meanwhile waits, and is told after its deadline.
                Err(LogError::Unavailable(_) | LogError::QueueFull) => {}
                Err(LogError::Fatal(reason)) => {
                    tracing::warn!("the keys of homes on offer cannot be read: {reason}; the next request tries again");
                    break;
                }
            }
        }
        self.is_over.store(true, Ordering::Release);
        self.progress.send_modify(|batches| *batches += 1);
        let unreadable = self.index.lock().unwrap_or_else(PoisonError::into_inner).unreadable;
        if unreadable > 0 {
            tracing::warn!(unreadable, "{unreadable} records of listings.priced are no priced listings");
        }
    }

    fn last_asked(&self) -> Instant {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
