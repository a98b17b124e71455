//! The thread that sends: reads topic `recommendations` as a member of group `webhooks`, so that of several processes each has
//! some partitions, performs what `schedule.rs` decides, and commits up to the first change that a receiver still waits for.
//!
//! What was sent and not committed is sent again after a crash: at least once, under the same `webhook-id`. Nothing here waits
//! for a receiver: requests run on threads of their own.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant as Moment};

use access::Access;
use schemas::access::{AccessRecord, Owner, Webhook};
use schemas::id::{AccessId, SessionId};
use schemas::recommendation::RecommendationEvent;
use schemas::topic::{Topic, partition_of, session_key};
use schemas::units::Instant;
use stream::{Event, Fatal, GroupStart, Log, LogError, Reader, Record};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::deliver::{Client, Reply};
use super::guard::{self, Allowed};
use super::lanes::{self, Site};
use super::letters::{Letter, Letters};
use super::marks::{Mark, Marks};
use super::reports::Reports;
use super::schedule::{Bounds, Change, Done, Fate, Ms, Outcome, Schedule};
use super::{message, secrets, sign};
use crate::config::WebhookConfig;
use crate::metrics;

/// The group's name.
const GROUP: &str = "webhooks";
/// How long one poll waits while nothing is under way: how soon the thread sees that it must end.
const POLL: Duration = Duration::from_millis(100);
/// How long it waits while something is: how soon the next request of a host follows the last.
const POLL_BUSY: Duration = Duration::from_millis(10);
/// How often what is finished is committed, what is over is given up, and gauges are set.
const TICK: Duration = Duration::from_secs(1);
/// How often the keys of webhooks are looked at.
const SWEEP: Duration = Duration::from_secs(60);
/// How long to wait before the group is joined again: on the embedded log another process is its one member.
const JOIN_AGAIN: Duration = Duration::from_secs(1);
/// How long what is under way may take when the process ends; the rest is sent again by whoever is next.
const LAST: Duration = Duration::from_secs(2);
/// Most pairs of webhook and session of which it is remembered what was told last: some 200 bytes each.
const REMEMBERED: usize = 200_000;
/// Most bytes of the changes that wait, for each that may: a change has some 4 kB.
const BYTES_PER_CHANGE: usize = 4 * 1024;

/// A change for one webhook.
#[derive(Clone, Debug)]
struct Content {
    mark: Mark,
    record: Arc<Told>,
}

/// What a record of the topic says, for all webhooks that are told.
#[derive(Debug)]
struct Told {
    session: SessionId,
    partition: u32,
    offset: u64,
    append_time_ms: i64,
    /// Names the change within its session.
    what: String,
    body: Vec<u8>,
}

/// A request that has ended.
struct Ended {
    webhook: AccessId,
    session: SessionId,
    reply: Reply,
}

/// Sends changes to webhooks.
pub struct Courier {
    allowed: Allowed,
    client: Arc<Client>,
    access: Arc<Access>,
    log: Log,
    runtime: Handle,
    stop: Arc<AtomicBool>,
    fatal: Fatal,
    schedule: Schedule<Content>,
    marks: Marks,
    /// Counts assignments of partitions.
    generations: u64,
    letters: Letters,
    reports: Reports,
    /// Webhooks that were to be deleted since the last look.
    deleting: BTreeSet<AccessId>,
    ends: SyncSender<Ended>,
    ended: Receiver<Ended>,
    began: Moment,
    ticked: Moment,
    swept: Moment,
    random: RandomState,
    drawn: u64,
}

impl Courier {
    /// Does nothing yet. Must be made on a tokio runtime, which then runs the requests.
    pub fn new(
        config: &WebhookConfig,
        allowed: Allowed,
        client: Arc<Client>,
        access: Arc<Access>,
        log: &Log,
        stop: Arc<AtomicBool>,
        fatal: Fatal,
    ) -> Result<Self, LogError> {
        let ms = |time: Duration| Ms::try_from(time.as_millis()).unwrap_or(Ms::MAX / 4);
        let bounds = Bounds {
            requests: lanes::Bounds {
                workers: config.workers,
                lanes: [4, 8, 2, 1].map(|share| (config.workers / share).max(1)),
                per_site: config.per_host,
                quick: ms(config.timeout / 5),
            },
            pending: config.max_pending,
            pending_bytes: config.max_pending.saturating_mul(BYTES_PER_CHANGE),
            remembered: REMEMBERED,
            first_pause: ms(config.first_pause),
            longest_pause: ms(config.longest_pause),
            give_up_after: ms(config.give_up_after),
        };
        // As many as can be under way: a request that ends never waits.
        let (ends, ended) = sync_channel(config.workers);
        let now = Moment::now();
        Ok(Self {
            letters: Letters::new(log)?,
            schedule: Schedule::new(bounds),
            allowed,
            client,
            access,
            log: Arc::clone(log),
            runtime: Handle::current(),
            stop,
            fatal,
            marks: Marks::default(),
            generations: 0,
            reports: Reports::default(),
            deleting: BTreeSet::new(),
            ends,
            ended,
            began: now,
            ticked: now,
            swept: now,
            random: RandomState::new(),
            drawn: 0,
        })
    }

    /// Sends until it is told to stop.
    pub fn run(mut self) {
        let Some(mut reader) = self.join() else { return };
        let mut changes = self.access.webhooks_changed();
        let mut events = Vec::new();
        while !self.must_stop() {
            if let Err(error) = self.read(&mut *reader, &mut events) {
                (self.fatal)(format!("the API cannot send to webhooks: {error}"));
                return;
            }
            for event in events.drain(..) {
                self.take(event);
            }
            self.take_ends();
            self.start_due();
            self.tick(&mut *reader, &mut changes);
        }
        self.finish(&mut *reader);
    }

    fn must_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Joins the group, once it is known which webhooks there are. `None`: it must stop.
    fn join(&self) -> Option<Box<dyn Reader>> {
        let mut has_said = false;
        while !self.must_stop() {
            if !self.access.was_read() {
                std::thread::park_timeout(POLL);
                continue;
            }
            match self.log.join(GROUP, "", Topic::Recommendations, GroupStart::Committed) {
                Ok(reader) => return Some(reader),
                Err(error) => {
                    if !has_said {
                        tracing::info!("webhooks are not sent to by this process for now: {error}");
                    }
                    has_said = true;
                    std::thread::park_timeout(JOIN_AGAIN);
                }
            }
        }
        None
    }

    /// Reads; an absent log is waited for, since the reader goes on where it was.
    fn read(&mut self, reader: &mut dyn Reader, events: &mut Vec<Event>) -> Result<(), LogError> {
        let wait = if self.schedule.running() > 0 { POLL_BUSY } else { self.until_due().min(POLL) };
        // While letters cannot be sent, nothing is taken that may become one.
        let outcome = match self.letters.is_full() {
            true => reader.poll_control(POLL_BUSY, events),
            false => reader.poll(wait, events),
        };
        match outcome {
            Err(LogError::Unavailable(reason)) => {
                tracing::debug!("webhooks wait for the log: {reason}");
                std::thread::park_timeout(POLL_BUSY);
                Ok(())
            }
            Err(LogError::QueueFull) | Ok(()) => Ok(()),
            Err(error @ LogError::Fatal(_)) => Err(error),
        }
    }

    fn until_due(&self) -> Duration {
        let due = self.schedule.next_at().map_or(Ms::MAX, |at| at.saturating_sub(self.now()));
        Duration::from_millis(due.max(0).unsigned_abs())
    }

    fn now(&self) -> Ms {
        Ms::try_from(self.began.elapsed().as_millis()).unwrap_or(Ms::MAX)
    }

    /// Between 0 and 1, another one each time.
    fn jitter(&mut self) -> f64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn) as f64 / u64::MAX as f64
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Record(record) => self.offer(record),
            Event::Assigned(assignments) => {
                for assignment in assignments {
                    self.generations += 1;
                    self.marks.assign(assignment.partition, self.generations);
                }
            }
            Event::Revoked(partitions) => {
                partitions.iter().for_each(|partition| self.marks.revoke(*partition));
                let all = self.log.partitions();
                self.schedule.forget(|session| partitions.contains(&partition_of(&session_key(session), all)));
            }
            Event::End { .. } => {}
        }
    }

    /// Offers a change to all who want it.
    fn offer(&mut self, record: Record) {
        let Record { partition, offset, append_time_ms, key, value, .. } = record;
        let Some(mark) = self.marks.read(partition, offset) else { return };
        let session = key.as_deref().and_then(|key| std::str::from_utf8(key).ok()?.parse::<SessionId>().ok());
        let Some(session) = session else { return };
        let is_wanted = |webhook: &Arc<Webhook>| {
            webhook.created_at.ms() <= append_time_ms && self.access.is_good_owner(&webhook.owner)
        };
        let mut webhooks = self.access.webhooks_for(session);
        webhooks.retain(is_wanted);
        if value.is_none() {
            // Its own go with the session, however it ended.
            let is_own = |webhook: &mut Arc<Webhook>| webhook.owner == Owner::Session(session);
            webhooks.extract_if(.., is_own).collect::<Vec<_>>().iter().for_each(|own| self.delete(&own.webhook_id));
        }
        if webhooks.is_empty() {
            return;
        }
        let at = Instant::from_ms(append_time_ms).unwrap_or_default();
        let event = value.map(|value| serde_json::from_slice::<RecommendationEvent>(&value));
        let (write_timestamp, hash, what, body) = match event {
            Some(Ok(event)) if event.session_id == session => {
                let body = message::changed(&event, at);
                (Some(event.write_timestamp), event.items_hash, event.write_timestamp.to_string(), body)
            }
            Some(_) => {
                tracing::warn!(
                    partition,
                    offset,
                    "recommendations-{partition}, offset {offset} cannot be read: no webhook is told of it"
                );
                return;
            }
            None => (None, "erased".to_owned(), format!("erased-{offset}"), message::erased(session, at)),
        };
        let now = self.now();
        let age = access::now().ms().saturating_sub(append_time_ms).max(0);
        let change = Change {
            write_timestamp,
            hash: hash.into(),
            since: now - age,
            bytes: body.len(),
            content: Content {
                mark,
                record: Arc::new(Told { session, partition, offset, append_time_ms, what, body }),
            },
        };
        let mut done = Vec::new();
        for webhook in webhooks {
            // What was let in by other settings is found out when it is sent.
            let host = webhook.url.parse::<url::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
            let is_guest = matches!(webhook.owner, Owner::Session(_));
            let site = Site { is_guest, host: host.unwrap_or_default().into() };
            self.marks.open(mark);
            self.schedule.offer(now, &webhook.webhook_id, &site, session, change.clone(), &mut done);
        }
        self.settle(done);
    }

    /// What is over may be committed; what nobody took is written down first.
    fn settle(&mut self, done: Vec<Done<Content>>) {
        for Done { webhook, fate, content } in done {
            metrics::record_webhook_change(word(fate));
            if fate == Fate::Delivered {
                let took = access::now().ms().saturating_sub(content.record.append_time_ms);
                metrics::record_webhook_delay(Duration::from_millis(took.max(0).unsigned_abs()));
            }
            match fate {
                Fate::GivenUp | Fate::Crowded => self.write_down(&webhook, fate, &content),
                Fate::Delivered | Fate::Superseded | Fate::Known | Fate::Dropped => self.marks.close(content.mark),
            }
        }
    }

    fn write_down(&mut self, webhook: &AccessId, fate: Fate, content: &Content) {
        let known = self.access.known().webhook(webhook);
        let url = known.as_ref().and_then(|webhook| webhook.url.parse::<url::Url>().ok());
        let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default().to_owned();
        let last = self.reports.last(webhook);
        let why = match fate {
            Fate::Crowded => "too many other changes waited".to_owned(),
            _ => format!("it was not taken in time; the last attempt: {}", last.as_deref().unwrap_or("none")),
        };
        tracing::warn!(webhook = %webhook, "webhook {webhook} at {host}: a change becomes a dead letter: {why}");
        let Told { session, partition, offset, append_time_ms, ref what, .. } = *content.record;
        self.letters.send(Letter {
            webhook: webhook.clone(),
            session,
            host,
            what: what.clone(),
            why,
            partition,
            offset,
            append_time_ms,
            mark: content.mark,
        });
    }

    fn take_ends(&mut self) {
        while let Ok(Ended { webhook, session, reply }) = self.ended.try_recv() {
            metrics::record_webhook_attempt(match (reply.is_taken(), reply.status) {
                (true, _) => "taken",
                (false, Some(_)) => "refused",
                (false, None) => "failed",
            });
            let is_gone = reply.status == Some(410);
            let outcome = match is_gone {
                true => Outcome::Gone,
                false if reply.is_taken() => Outcome::Taken,
                false => {
                    let wait = reply.retry_after.and_then(|wait| Ms::try_from(wait.as_millis()).ok());
                    Outcome::NotTaken { wait }
                }
            };
            self.reports.note(
                &webhook,
                &reply,
                self.access.known().webhook(&webhook).and_then(|known| known.delivery.clone()),
            );
            self.end(&webhook, session, outcome, Ms::try_from(reply.took.as_millis()).unwrap_or(Ms::MAX));
            if is_gone {
                tracing::info!(webhook = %webhook, "webhook {webhook} is deleted: its receiver answered 410");
                self.delete(&webhook);
            }
        }
        for mark in self.letters.take_written() {
            self.marks.close(mark);
        }
    }

    fn end(&mut self, webhook: &AccessId, session: SessionId, outcome: Outcome, took: Ms) {
        let (now, jitter, mut done) = (self.now(), self.jitter(), Vec::new());
        self.schedule.finish(now, webhook, session, (outcome, took), jitter, &mut done);
        self.settle(done);
    }

    fn expire(&mut self) {
        let mut done = Vec::new();
        self.schedule.expire(self.now(), &mut done);
        self.settle(done);
    }

    fn start_due(&mut self) {
        while let Some(start) = self.schedule.start(self.now()) {
            let known = self.access.known().webhook(&start.webhook).filter(|webhook| webhook.deleted_at.is_none());
            let Some(known) = known else {
                self.end(&start.webhook, start.session, Outcome::Gone, 0);
                continue;
            };
            let (client, ends, allowed) = (Arc::clone(&self.client), self.ends.clone(), self.allowed);
            let secrets = secrets(&self.access, &start.webhook);
            self.runtime.spawn_blocking(move || {
                let session = start.session;
                let told = start.content.record;
                let id = sign::message_id(start.webhook.as_str(), &session.to_string(), &told.what);
                let mut sending =
                    Sending { webhook: start.webhook, session, reply: Some(Reply::failed("protocol")), ends };
                sending.reply = Some(match guard::read(&known.url, allowed) {
                    Ok(url) => client.send(&url, &id, &told.body, &secrets),
                    Err(_) => Reply::failed("private_address"),
                });
            });
        }
    }

    /// Nothing more is sent to webhooks that were deleted, by whichever process.
    fn drop_deleted(&mut self) {
        let gone: Vec<AccessId> = {
            let known = self.access.known();
            let is_gone = |id: &&AccessId| known.webhook(id).is_none_or(|webhook| webhook.deleted_at.is_some());
            self.schedule.webhooks().filter(is_gone).cloned().collect()
        };
        gone.iter().for_each(|id| self.remove(id));
    }

    fn remove(&mut self, id: &AccessId) {
        let mut done = Vec::new();
        self.schedule.remove(id, &mut done);
        self.settle(done);
        self.reports.forget(id);
    }

    /// Deletes a webhook for all processes.
    fn delete(&mut self, id: &AccessId) {
        self.remove(id);
        let known = self.access.known().webhook(id).filter(|webhook| webhook.deleted_at.is_none());
        if let Some(known) = known {
            self.deleting.insert(id.clone());
            self.append(Webhook { deleted_at: Some(access::now()), ..Webhook::clone(&known) });
        }
    }

    /// Deletes once more what should be deleted: the log may have been away.
    fn delete_again(&mut self) {
        let deleting = std::mem::take(&mut self.deleting);
        deleting.iter().for_each(|id| self.delete(id));
    }

    fn append(&self, webhook: Webhook) {
        let access = Arc::clone(&self.access);
        self.runtime.spawn(async move {
            let id = webhook.webhook_id.clone();
            if let Err(error) = access.append(AccessRecord::Webhook(webhook)).await {
                tracing::warn!(webhook = %id, "webhook {id}: {error}");
            }
        });
    }

    fn tick(&mut self, reader: &mut dyn Reader, changes: &mut watch::Receiver<u64>) {
        self.letters.push();
        if self.ticked.elapsed() < TICK {
            return;
        }
        self.ticked = Moment::now();
        if changes.has_changed().unwrap_or(false) {
            changes.mark_unchanged();
            self.drop_deleted();
        }
        self.expire();
        self.commit(reader);
        let oldest = self.schedule.oldest().map_or(0, |since| self.now() - since);
        metrics::record_webhooks_pending(self.schedule.len(), Duration::from_millis(oldest.max(0).unsigned_abs()));
        for (id, delivery) in self.reports.due() {
            let known = self.access.known().webhook(&id).filter(|webhook| webhook.deleted_at.is_none());
            if let Some(known) = known {
                self.append(Webhook { delivery: Some(delivery), ..Webhook::clone(&known) });
            }
        }
        if self.swept.elapsed() >= SWEEP {
            self.swept = Moment::now();
            self.delete_again();
            self.delete_ownerless();
        }
    }

    /// The webhooks of a key go when it has ended.
    fn delete_ownerless(&mut self) {
        let all: Vec<Arc<Webhook>> = self.access.known().webhooks().cloned().collect();
        let is_ownerless = |webhook: &&Arc<Webhook>| self.access.is_ended_owner(&webhook.owner);
        let gone: Vec<AccessId> = all.iter().filter(is_ownerless).map(|webhook| webhook.webhook_id.clone()).collect();
        gone.iter().for_each(|id| self.delete(id));
    }

    fn commit(&mut self, reader: &mut dyn Reader) {
        for (partition, _, next) in self.marks.take_ready() {
            if let Err(error) = reader.commit(partition, next) {
                // What is not committed is sent again at worst.
                tracing::warn!("webhooks: {error}");
            }
        }
    }

    /// Lets what is under way end, and commits.
    fn finish(mut self, reader: &mut dyn Reader) {
        let until = Moment::now() + LAST;
        while (self.schedule.running() > 0 || self.letters.is_busy()) && Moment::now() < until {
            std::thread::park_timeout(POLL_BUSY);
            self.take_ends();
            self.letters.push();
        }
        self.commit(reader);
        if let Err(error) = reader.commit_sync(LAST) {
            tracing::warn!("webhooks: {error}");
        }
    }
}

/// Tells how a request ended, whatever happens to its thread.
struct Sending {
    webhook: AccessId,
    session: SessionId,
    reply: Option<Reply>,
    ends: SyncSender<Ended>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            // A courier that is gone needs no word.
            let _ = self.ends.try_send(Ended { webhook: self.webhook.clone(), session: self.session, reply });
        }
    }
}

const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Delivered => "delivered",
        Fate::Superseded => "superseded",
        Fate::Known => "known",
        Fate::Dropped => "dropped",
        Fate::GivenUp => "given_up",
        Fate::Crowded => "crowded",
    }
}
