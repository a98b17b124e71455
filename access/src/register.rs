//! What is known of keys, tokens, sessions and webhooks: the records of topic `access`, joined. Pure: no clock, no I/O.
//!
//! Does not know who asks (the services) or how records come here (`follow.rs`).
//!
//! It is bounded, and what happens beyond each bound is safe: nothing that was ended comes back. Of families and revocations
//! the ones that end first make room, and leave behind a floor: refresh tokens of unknown families that end before it, and all
//! tokens issued before it, are dead. Keys and webhooks beyond theirs are not taken.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use schemas::access::{AccessKey, AccessRecord, ApiKey, Owner, SessionRevocation, TokenFamily, Webhook};
use schemas::id::{AccessId, SessionId};
use schemas::units::Instant;

/// How many of each are known at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// API keys: made by people, one by one.
    pub keys: usize,
    /// Families of refresh tokens: a million clients that were active within the last month; some 300 bytes each.
    pub families: usize,
    /// Revocations: sessions that were erased within the last month and a week.
    pub revocations: usize,
    /// Webhooks: each costs a worker's attention. As many that are deleted are known beside them.
    pub webhooks: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { keys: 10_000, families: 1_000_000, revocations: 1_000_000, webhooks: 100_000 }
    }
}

/// What taking in a record changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Whether the record says less than what is known: its key's last record on the log is not the whole truth.
    pub is_lesser: bool,
    /// Whether webhooks are others now.
    pub webhooks_changed: bool,
    /// Whether something was not taken, or made room, since a bound is reached.
    pub is_full: bool,
}

/// What is known.
#[derive(Debug, Default)]
pub struct Register {
    bounds: Bounds,
    keys: HashMap<AccessId, Arc<ApiKey>>,
    families: HashMap<AccessId, TokenFamily>,
    revocations: HashMap<SessionId, SessionRevocation>,
    webhooks: BTreeMap<AccessId, Arc<Webhook>>,
    /// Of one session: which webhooks want its changes, because it owns them or a key's webhook names it.
    by_session: HashMap<SessionId, BTreeSet<AccessId>>,
    /// Webhooks of keys that name no session.
    of_all: BTreeSet<AccessId>,
    /// How many of the webhooks are not deleted.
    live_webhooks: usize,
    /// Keys whose last record on the log says less than what is known.
    lesser: HashSet<AccessKey>,
    /// Tokens of unknown families that end by then are dead.
    family_floor: Option<Instant>,
    /// Tokens issued before are dead.
    issue_floor: Option<Instant>,
}

impl Register {
    /// Knows nothing yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Takes in a record as it stands on the log, in the log's order.
    pub fn take(&mut self, record: AccessRecord) -> Taken {
        let key = record.key();
        let taken = self.learn(record);
        if taken.is_lesser {
            self.lesser.insert(key);
        } else {
            self.lesser.remove(&key);
        }
        taken
    }

    /// Takes in a record that the log has, ahead of its turn: what the log's last record says is not known from it.
    pub fn learn(&mut self, record: AccessRecord) -> Taken {
        let known = self.get(&record.key());
        let joined = known.clone().map_or_else(|| record.clone(), |known| known.join(record.clone()));
        let mut taken = Taken { is_lesser: joined != record, ..Taken::default() };
        if known.as_ref() != Some(&joined) {
            taken.is_full = !self.put(known, joined.clone());
            taken.webhooks_changed = matches!(joined, AccessRecord::Webhook(_));
        }
        taken
    }

    /// Forgets what is under this key: a tombstone. Gives whether webhooks are others now.
    pub fn forget(&mut self, key: &AccessKey) -> bool {
        self.lesser.remove(key);
        match key {
            AccessKey::Key(id) => {
                self.keys.remove(id);
            }
            AccessKey::Family(id) => {
                self.families.remove(id);
            }
            AccessKey::Session(id) => {
                self.revocations.remove(id);
            }
            AccessKey::Webhook(id) => {
                if let Some(webhook) = self.webhooks.remove(id) {
                    self.unlink(&webhook);
                    return true;
                }
            }
        }
        false
    }

    /// All that is known under this key.
    pub fn get(&self, key: &AccessKey) -> Option<AccessRecord> {
        match key {
            AccessKey::Key(id) => self.keys.get(id).map(|key| AccessRecord::Key(ApiKey::clone(key))),
            AccessKey::Family(id) => self.families.get(id).cloned().map(AccessRecord::Family),
            AccessKey::Session(id) => self.revocations.get(id).cloned().map(AccessRecord::Session),
            AccessKey::Webhook(id) => {
                self.webhooks.get(id).map(|webhook| AccessRecord::Webhook(Webhook::clone(webhook)))
            }
        }
    }

    /// `false`: a bound is reached.
    fn put(&mut self, known: Option<AccessRecord>, record: AccessRecord) -> bool {
        let Bounds { keys, families, revocations, webhooks } = self.bounds;
        match record {
            AccessRecord::Key(key) => {
                if known.is_none() && self.keys.len() >= keys {
                    return false;
                }
                self.keys.insert(key.key_id.clone(), Arc::new(key));
                true
            }
            AccessRecord::Family(family) => {
                self.families.insert(family.family_id.clone(), family);
                let Some(floor) = make_room(&mut self.families, families, |family| family.expires_at) else {
                    return true;
                };
                self.family_floor = self.family_floor.max(Some(floor));
                false
            }
            AccessRecord::Session(revocation) => {
                self.revocations.insert(revocation.session_id, revocation);
                let room = make_room(&mut self.revocations, revocations, |revocation| revocation.not_before);
                let Some(floor) = room else { return true };
                self.issue_floor = self.issue_floor.max(Some(floor));
                false
            }
            AccessRecord::Webhook(webhook) => {
                if let Some(AccessRecord::Webhook(known)) = known {
                    self.unlink(&known);
                } else if webhook.deleted_at.is_none() && self.live_webhooks >= webhooks
                    || self.webhooks.len() >= 2 * webhooks
                {
                    return false;
                }
                self.link(&webhook);
                self.webhooks.insert(webhook.webhook_id.clone(), Arc::new(webhook));
                true
            }
        }
    }

    fn link(&mut self, webhook: &Webhook) {
        if webhook.deleted_at.is_some() {
            return;
        }
        self.live_webhooks += 1;
        let id = &webhook.webhook_id;
        for session in sessions_of(webhook) {
            self.by_session.entry(session).or_default().insert(id.clone());
        }
        if is_of_all(webhook) {
            self.of_all.insert(id.clone());
        }
    }

    fn unlink(&mut self, webhook: &Webhook) {
        if webhook.deleted_at.is_some() {
            return;
        }
        self.live_webhooks -= 1;
        self.of_all.remove(&webhook.webhook_id);
        for session in sessions_of(webhook) {
            if let Some(ids) = self.by_session.get_mut(&session) {
                ids.remove(&webhook.webhook_id);
                if ids.is_empty() {
                    self.by_session.remove(&session);
                }
            }
        }
    }

    /// The API key of this id, good or not.
    pub fn key(&self, id: &AccessId) -> Option<Arc<ApiKey>> {
        self.keys.get(id).cloned()
    }

    /// All API keys, good or not, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.keys.values()
    }

    /// Whether one more API key is taken.
    pub fn has_room_for_a_key(&self) -> bool {
        self.keys.len() < self.bounds.keys
    }

    /// What is known of a family: `Ok(None)` when it was never renewed or ended; `Err` when that cannot be told of one whose
    /// token ends at `token_ends`.
    pub fn family(&self, id: &AccessId, token_ends: Instant) -> Result<Option<&TokenFamily>, Forgotten> {
        match self.families.get(id) {
            Some(family) => Ok(Some(family)),
            None if self.family_floor.is_some_and(|floor| token_ends <= floor) => Err(Forgotten),
            None => Ok(None),
        }
    }

    /// Whether a token that this session was issued at `issued` is still one.
    pub fn is_alive(&self, session: SessionId, issued: Instant) -> bool {
        self.issue_floor.is_none_or(|floor| issued >= floor)
            && self.revocations.get(&session).is_none_or(|revocation| issued > revocation.not_before)
    }

    /// The webhook of this id, deleted or not.
    pub fn webhook(&self, id: &AccessId) -> Option<Arc<Webhook>> {
        self.webhooks.get(id).cloned()
    }

    /// The webhooks that want this session's changes: its own, and those of keys that name it or all sessions.
    pub fn webhooks_for(&self, session: SessionId) -> Vec<Arc<Webhook>> {
        let of_it = self.by_session.get(&session).into_iter().flatten();
        of_it.chain(&self.of_all).filter_map(|id| self.webhooks.get(id).cloned()).collect()
    }

    /// The webhooks of this owner that are not deleted.
    pub fn webhooks_of(&self, owner: &Owner) -> Vec<Arc<Webhook>> {
        let of_owner = |id| self.webhooks.get(id).filter(|webhook| webhook.owner == *owner);
        match owner {
            Owner::Session(session) => {
                self.by_session.get(session).into_iter().flatten().filter_map(of_owner).cloned().collect()
            }
            Owner::Key(_) => self.webhooks().filter(|webhook| webhook.owner == *owner).cloned().collect(),
        }
    }

    /// All webhooks that are not deleted, by id.
    pub fn webhooks(&self) -> impl Iterator<Item = &Arc<Webhook>> {
        self.webhooks.values().filter(|webhook| webhook.deleted_at.is_none())
    }

    /// Whether one more webhook is taken.
    pub fn has_room_for_a_webhook(&self) -> bool {
        let Bounds { webhooks, .. } = self.bounds;
        self.live_webhooks < webhooks && self.webhooks.len() < 2 * webhooks
    }

    /// What is to be appended so that the last record of every key is the whole truth. At most `most`.
    pub fn repairs(&self, most: usize) -> Vec<AccessRecord> {
        self.lesser.iter().filter_map(|key| self.get(key)).take(most).collect()
    }

    /// What may be forgotten at `now`: tombstones are to be appended under these keys. At most `most`.
    pub fn over(&self, now: Instant, most: usize) -> Vec<AccessKey> {
        let keys = self.keys.keys().cloned().map(AccessKey::Key);
        let families = self.families.keys().cloned().map(AccessKey::Family);
        let sessions = self.revocations.keys().copied().map(AccessKey::Session);
        let webhooks = self.webhooks.keys().cloned().map(AccessKey::Webhook);
        let is_over = |key: &AccessKey| self.get(key).and_then(|record| record.forget_at()).is_some_and(|at| at <= now);
        keys.chain(webhooks).chain(sessions).chain(families).filter(is_over).take(most).collect()
    }

    /// How many keys, families, revocations and webhooks are known.
    pub fn counts(&self) -> [usize; 4] {
        [self.keys.len(), self.families.len(), self.revocations.len(), self.webhooks.len()]
    }
}

/// What stood here had to make room: whether the token was used before is no longer known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten;

/// Beyond `most`, drops a sixteenth, the smallest first, so that the search is rare. Gives the greatest dropped.
fn make_room<K: Clone + Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    most: usize,
    ends: impl Fn(&V) -> Instant,
) -> Option<Instant> {
    if map.len() <= most {
        return None;
    }
    let mut all: Vec<Instant> = map.values().map(&ends).collect();
    let (_, floor, _) = all.select_nth_unstable(map.len() / 16);
    let floor = *floor;
    map.retain(|_, value| ends(value) > floor);
    Some(floor)
}

fn sessions_of(webhook: &Webhook) -> impl Iterator<Item = SessionId> {
    let own = match webhook.owner {
        Owner::Session(session) => Some(session),
        Owner::Key(_) => None,
    };
    let named = if own.is_some() { &[][..] } else { &webhook.sessions[..] };
    own.into_iter().chain(named.iter().copied())
}

fn is_of_all(webhook: &Webhook) -> bool {
    matches!(webhook.owner, Owner::Key(_)) && webhook.sessions.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schemas::access::{FORGET_AFTER_MS, KeyRole};

    fn at(ms: i64) -> Instant {
        Instant::from_ms(ms).unwrap()
    }
    fn id(n: u32) -> AccessId {
        format!("{n:012x}").parse().unwrap()
    }
    fn family(n: u32, generation: u32, expires: i64) -> AccessRecord {
        AccessRecord::Family(TokenFamily {
            family_id: id(n),
            session_id: SessionId::from_bits(1),
            generation,
            rotated_at: at(i64::from(generation)),
            expires_at: at(expires),
            revoked_at: None,
        })
    }
    fn key(n: u32, revoked: Option<i64>) -> AccessRecord {
        AccessRecord::Key(ApiKey {
            key_id: id(n),
            name: "k".to_owned(),
            role: KeyRole::Service,
            feeds: Vec::new(),
            hash: String::new(),
            created_at: at(0),
            expires_at: None,
            revoked_at: revoked.map(at),
        })
    }
    fn revocation(session: u128, not_before: i64) -> AccessRecord {
        let session_id = SessionId::from_bits(session);
        AccessRecord::Session(SessionRevocation {
            session_id,
            not_before: at(not_before),
            expires_at: at(not_before + 1),
        })
    }
    fn webhook(n: u32, owner: Owner, sessions: &[u128], deleted: Option<i64>) -> AccessRecord {
        let sessions = sessions.iter().copied().map(SessionId::from_bits).collect();
        let (url, deleted_at) = ("https://example.com".to_owned(), deleted.map(at));
        AccessRecord::Webhook(Webhook {
            webhook_id: id(n),
            owner,
            url,
            sessions,
            created_at: at(0),
            deleted_at,
            delivery: None,
        })
    }
    fn ids(webhooks: &[Arc<Webhook>]) -> Vec<AccessId> {
        webhooks.iter().map(|webhook| webhook.webhook_id.clone()).collect()
    }

    #[test]
    fn a_record_that_says_less_is_repaired_and_the_repair_ends_it() {
        let mut register = Register::new(Bounds::default());
        register.take(key(1, Some(5)));
        assert!(register.repairs(9).is_empty());
        assert!(register.take(key(1, None)).is_lesser, "it was revoked");
        assert!(register.key(&id(1)).unwrap().revoked_at.is_some());
        let repairs = register.repairs(9);
        assert_eq!(repairs, [key(1, Some(5))]);
        assert!(!register.take(repairs[0].clone()).is_lesser);
        assert!(register.repairs(9).is_empty());
    }

    #[test]
    fn webhooks_are_found_by_session_until_they_are_deleted() {
        let mut register = Register::new(Bounds::default());
        let (one, two) = (SessionId::from_bits(1), SessionId::from_bits(2));
        for record in [
            webhook(1, Owner::Session(one), &[], None),
            webhook(2, Owner::Key(id(9)), &[1, 2], None),
            webhook(3, Owner::Key(id(9)), &[], None),
        ] {
            assert!(register.take(record.clone()).webhooks_changed);
            assert!(!register.take(record).webhooks_changed, "nothing new");
        }
        assert_eq!(ids(&register.webhooks_for(one)), [id(1), id(2), id(3)]);
        assert_eq!(ids(&register.webhooks_for(two)), [id(2), id(3)]);
        assert_eq!(ids(&register.webhooks_of(&Owner::Session(one))), [id(1)]);
        assert_eq!(ids(&register.webhooks_of(&Owner::Key(id(9)))), [id(2), id(3)]);
        assert!(register.take(webhook(2, Owner::Key(id(9)), &[1, 2], Some(7))).webhooks_changed);
        assert!(register.forget(&AccessKey::Webhook(id(3))));
        assert_eq!(ids(&register.webhooks_for(one)), [id(1)]);
        assert!(register.webhooks_for(two).is_empty());
        assert!(register.webhook(&id(2)).unwrap().deleted_at.is_some());
    }

    #[test]
    fn what_had_to_make_room_does_not_become_good_again() {
        let bounds = Bounds { keys: 1, families: 32, revocations: 32, webhooks: 1 };
        let mut register = Register::new(bounds);
        for n in 0..40 {
            register.take(family(n, 1, i64::from(n)));
            register.take(revocation(u128::from(n), i64::from(n)));
        }
        let [_, families, revocations, _] = register.counts();
        assert!(families <= 32 && revocations <= 32);
        assert_eq!(register.family(&id(0), at(0)), Err(Forgotten));
        assert_eq!(register.family(&id(99), at(1_000)), Ok(None));
        assert_eq!(register.family(&id(39), at(39)).unwrap().unwrap().generation, 1);
        assert!(!register.is_alive(SessionId::from_bits(99), at(0)), "the floor ends it");
        assert!(
            !register.is_alive(SessionId::from_bits(39), at(39)),
            "its own revocation ends it, and what came with it"
        );
        assert!(register.is_alive(SessionId::from_bits(39), at(40)));

        assert!(!register.take(key(1, None)).is_full && register.take(key(2, None)).is_full);
        assert_eq!(register.key(&id(2)), None);
        assert!(!register.take(key(1, Some(3))).is_full, "a known one is still revoked");
        register.take(webhook(1, Owner::Key(id(9)), &[], None));
        assert!(register.take(webhook(2, Owner::Key(id(9)), &[], None)).is_full);
        assert_eq!(register.webhooks_for(SessionId::from_bits(1)).len(), 1);
        assert!(!register.has_room_for_a_webhook());
        register.take(webhook(1, Owner::Key(id(9)), &[], Some(5)));
        assert!(register.has_room_for_a_webhook(), "what is deleted takes nobody's room");
        assert!(!register.take(webhook(2, Owner::Key(id(9)), &[], None)).is_full);
        register.take(webhook(2, Owner::Key(id(9)), &[], Some(6)));
        assert!(!register.has_room_for_a_webhook(), "but there is a bound on it too");
    }

    #[test]
    fn only_what_has_been_over_for_long_is_forgotten() {
        let mut register = Register::new(Bounds::default());
        register.take(key(1, Some(5)));
        register.take(key(2, None));
        register.take(family(3, 1, 100));
        assert!(register.over(at(5 + FORGET_AFTER_MS - 1), 9).is_empty());
        assert_eq!(register.over(at(5 + FORGET_AFTER_MS), 9), [AccessKey::Key(id(1))]);
        register.forget(&AccessKey::Key(id(1)));
        assert_eq!(register.over(at(100 + FORGET_AFTER_MS), 9), [AccessKey::Family(id(3))]);
    }

    fn any_record() -> impl Strategy<Value = AccessRecord> {
        let revoked = || prop::option::of(0_i64..3);
        prop_oneof![
            (0_u32..2, revoked()).prop_map(|(n, revoked)| key(n, revoked)),
            (0_u32..2, 0_u32..3).prop_map(|(n, generation)| family(n, generation, 50)),
            (0_u128..2, 0_i64..3).prop_map(|(session, not_before)| revocation(session, not_before)),
            (0_u32..2, any::<bool>(), revoked())
                .prop_map(|(n, all, deleted)| { webhook(n, Owner::Key(id(9)), if all { &[] } else { &[1] }, deleted) }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_known_does_not_depend_on_the_order(
            (records, shuffled) in prop::collection::vec(any_record(), 0..12).prop_flat_map(|records| {
                let shuffled = Just(records.clone()).prop_shuffle();
                (Just(records), shuffled)
            })
        ) {
            let (mut one, mut other) = (Register::new(Bounds::default()), Register::new(Bounds::default()));
            for record in &records {
                one.take(record.clone());
            }
            for record in &shuffled {
                other.take(record.clone());
            }
            for record in &records {
                prop_assert_eq!(one.get(&record.key()), other.get(&record.key()));
            }
            prop_assert_eq!(&one.by_session, &other.by_session);
            prop_assert_eq!(&one.of_all, &other.of_all);
            for register in [&mut one, &mut other] {
                for repair in register.repairs(99) {
                    prop_assert!(!register.take(repair).is_lesser);
                }
                prop_assert!(register.repairs(99).is_empty());
            }
        }
    }
}
