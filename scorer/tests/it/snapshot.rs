//! An engine from a snapshot, after all is stated again that the logs say, is the engine that never stopped; and no bytes
//! but those that were written become an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use proptest::prelude::*;
use schemas::id::{ListingId, SessionId};
use scorer::engine::indexed::{Indexed, Tuning};
use scorer::engine::kernel::Kernel;
use scorer::engine::oracle::Oracle;
use scorer::engine::{Change, Engine};
use scorer::facts::{ListingFacts, ScoreEpoch, SessionFacts};
use scorer::snapshot::{self, Directory, Head, MAX_AGE_MS, Refused};

use crate::engine::{batches, top_threes};
use crate::permutation::tunings;
use crate::world::{anything, bare, dense, listing_id, session_id};

const CONFIG: u64 = 7;
const NOW: i64 = 1_800_000_000_000;

fn tuning() -> Tuning {
    Indexed::tuning(Kernel::best())
}

fn fed(batches: &[Vec<Change>]) -> Indexed {
    let mut engine = Indexed::new(Kernel::best());
    batches.iter().for_each(|batch| engine.apply(batch, &mut Vec::new()));
    engine
}

fn saved(engine: &Indexed) -> Vec<u8> {
    engine.save(Vec::new()).unwrap()
}

/// What the logs say: of everything the newest.
fn newest(changes: &[Change]) -> (BTreeMap<ListingId, Change>, BTreeMap<SessionId, Change>) {
    let (mut listings, mut sessions) = (BTreeMap::new(), BTreeMap::new());
    for change in changes {
        match change {
            Change::Listing { id, facts: Some(_), .. } => drop(listings.insert(id.clone(), change.clone())),
            Change::Listing { id, facts: None, .. } => drop(listings.remove(id)),
            Change::Session { id, facts: Some(_) } => drop(sessions.insert(*id, change.clone())),
            Change::Session { id, facts: None } => drop(sessions.remove(id)),
        }
    }
    (listings, sessions)
}

/// States all that the logs say, in batches, and takes out what they do not know, as a scorer does that starts.
fn reconcile(engine: &mut Indexed, changes: &[Change], per_batch: usize) {
    let (listings, sessions) = newest(changes);
    let known: BTreeSet<ListingId> = engine.listing_ids().cloned().collect();
    let gone = known.into_iter().filter(|id| !listings.contains_key(id));
    let gone: Vec<Change> = gone.map(|id| Change::Listing { id, facts: None, content: 0 }).collect();
    let known: BTreeSet<SessionId> = engine.session_ids().collect();
    let ended = known.into_iter().filter(|id| !sessions.contains_key(id));
    let ended: Vec<Change> = ended.map(|id| Change::Session { id, facts: None }).collect();
    let all: Vec<Change> =
        gone.into_iter().chain(listings.into_values()).chain(ended).chain(sessions.into_values()).collect();
    all.chunks(per_batch).for_each(|batch| engine.apply(batch, &mut Vec::new()));
}

fn restarts_as_it_was(
    before: &[Vec<Change>],
    after: &[Vec<Change>],
    later: &[Vec<Change>],
    per_batch: usize,
    tuning: Tuning,
) -> Result<(), TestCaseError> {
    let stopped = fed(before);
    let bytes = saved(&stopped);
    let mut engine = Indexed::load(&bytes, tuning).unwrap();
    prop_assert_eq!(top_threes(&engine), top_threes(&stopped), "as it was loaded");
    prop_assert_eq!(engine.size(), stopped.size());
    prop_assert_eq!(engine.audit(), Ok(()));
    prop_assert_eq!(saved(&engine).len(), bytes.len(), "written again");

    let mut oracle = Oracle::default();
    before.iter().chain(after).for_each(|batch| oracle.apply(batch, &mut Vec::new()));
    reconcile(&mut engine, &[before, after].concat().concat(), per_batch);
    prop_assert_eq!(top_threes(&engine), top_threes(&oracle), "after all was stated again");
    prop_assert_eq!(engine.size(), oracle.size());
    prop_assert_eq!(engine.audit(), Ok(()));
    for batch in later {
        engine.apply(batch, &mut Vec::new());
        oracle.apply(batch, &mut Vec::new());
        prop_assert_eq!(top_threes(&engine), top_threes(&oracle), "and then");
    }
    prop_assert_eq!(engine.audit(), Ok(()));
    Ok(())
}

fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.saturating_mul(2), ..config }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_start_from_a_snapshot_ends_where_the_cold_one_does(
        before in batches(0..120),
        after in batches(0..60),
        later in batches(0..40),
        per_batch in 1_usize..60,
    ) {
        for tuning in tunings() {
            restarts_as_it_was(&before, &after, &later, per_batch, tuning)?;
        }
    }

    #[test]
    fn so_it_does_where_every_listing_suits_every_session(
        before in batches(0..120),
        after in batches(0..60),
        later in batches(0..40),
        per_batch in 1_usize..60,
    ) {
        let [before, after, later] = [before, after, later].map(dense);
        restarts_as_it_was(&before, &after, &later, per_batch, tuning())?;
    }

    #[test]
    fn flipped_bytes_never_become_an_engine(
        batches in batches(0..120),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let whole = sealed(&fed(&batches), CONFIG, NOW);
        let mut bytes = whole.clone();
        for (at, flip) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        prop_assume!(bytes != whole);
        prop_assert!(snapshot::open(&bytes, CONFIG, NOW).is_err());
    }

    /// Even if the checksum says that they are right.
    #[test]
    fn no_bytes_make_the_engine_panic(
        before in batches(0..120),
        after in batches(0..40),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = saved(&fed(&before));
        for (at, value) in &flips {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(mut engine) = Indexed::load(&bytes, tuning()) {
                after.iter().for_each(|batch| engine.apply(batch, &mut Vec::new()));
                drop(top_threes(&engine));
            }
        }));
        prop_assert!(outcome.is_ok());
    }
}

fn head(config: u64, written_at_ms: i64) -> Head {
    Head { config, written_at_ms, offsets: vec![3, 0, 9] }
}

fn sealed(engine: &Indexed, config: u64, written_at_ms: i64) -> Vec<u8> {
    snapshot::seal(engine.save(head(config, written_at_ms).to_bytes()).unwrap())
}

/// What `open` says to a snapshot of an empty engine.
fn said(bytes: &[u8]) -> String {
    match snapshot::open(bytes, CONFIG, NOW) {
        Ok((head, _)) => format!("{:?}", head.offsets),
        Err(refused) => refused.to_string(),
    }
}

#[test]
fn a_snapshot_of_this_configuration_is_taken_and_tells_its_offsets() {
    assert_eq!(said(&sealed(&fed(&[]), CONFIG, NOW)), "[3, 0, 9]");
}

#[test]
fn a_torn_snapshot_and_another_file_are_refused() {
    let whole = sealed(&fed(&[]), CONFIG, NOW);
    assert_eq!(said(&whole[..whole.len() - 1]), "it is torn: its bytes are not those that were written");
    assert_eq!(said(&[]), "it is no snapshot");
    assert_eq!(said(b"engine\n\n\n\n\n"), "it is no snapshot");
}

#[test]
fn another_version_of_the_format_is_refused() {
    let mut other = fed(&[]).save(head(CONFIG, NOW).to_bytes()).unwrap();
    other[8] += 1;
    assert_eq!(said(&snapshot::seal(other)), "it has version 3 of the format, this process reads 2");
}

#[test]
fn another_configuration_is_refused() {
    let other = sealed(&fed(&[]), CONFIG + 1, NOW);
    assert_eq!(said(&other), "it is of another configuration or version of the score");
}

#[test]
fn a_snapshot_is_refused_when_it_is_old_or_of_a_time_to_come() {
    let at = |written_at_ms: i64| said(&sealed(&fed(&[]), CONFIG, written_at_ms));
    assert_eq!(at(NOW - MAX_AGE_MS), "[3, 0, 9]");
    assert_eq!(at(NOW - MAX_AGE_MS - 60_000), "it is 61 min old, more than 60 min");
    assert_eq!(at(NOW + MAX_AGE_MS + 60_000), "it is 61 min old, more than 60 min");
}

#[test]
fn another_epoch_is_another_configuration() {
    let of = |month| snapshot::config(ScoreEpoch::new(jiff::civil::date(2026, month, 1)));
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}

/// Which file is loaded, and which are refused.
fn loaded(directory: &Directory) -> (Option<String>, Vec<(String, Refused)>) {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut refused = Vec::new();
    let load = |bytes: &[u8]| Indexed::load(bytes, tuning());
    let taken = directory.load(CONFIG, NOW, load, |path, reason| refused.push((name(path), reason)));
    (taken.map(|(path, _, _)| name(&path)), refused)
}

#[test]
fn the_two_newest_are_kept_and_the_older_is_loaded_where_the_newest_is_torn() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = Directory::at(&temporary.path().join("made")).unwrap();
    assert!(matches!(loaded(&directory), (None, refused) if refused.is_empty()));

    let bytes = sealed(&fed(&[]), CONFIG, NOW);
    for _ in 0..11 {
        directory.write(&bytes).unwrap();
    }
    let kept = directory.newest_first().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(
        std::fs::read_dir(temporary.path().join("made")).unwrap().count(),
        3,
        "nothing else is left but the lock"
    );
    assert!(matches!(loaded(&directory), (Some(name), _) if name == "engine.11.snapshot"));

    // As a machine leaves it that lost its power: shorter, and then of zeros.
    std::fs::write(&kept[0], &bytes[..bytes.len() / 2]).unwrap();
    let (name, refused) = loaded(&directory);
    assert_eq!(name.as_deref(), Some("engine.10.snapshot"));
    assert!(matches!(&refused[..], [(name, Refused::Torn)] if name == "engine.11.snapshot"), "{refused:?}");
    std::fs::write(&kept[1], vec![0; bytes.len()]).unwrap();
    let (name, refused) = loaded(&directory);
    assert_eq!((name, refused.len()), (None, 2));
}

#[test]
fn a_directory_is_of_one_process() {
    let temporary = tempfile::tempdir().unwrap();
    let first = Directory::at(temporary.path()).unwrap();
    let error = Directory::at(temporary.path()).unwrap_err();
    assert!(error.to_string().contains("another process keeps its snapshots there"), "{error}");
    drop(first);
    Directory::at(temporary.path()).unwrap();
}

#[test]
fn a_snapshot_is_its_owners_alone_and_follows_no_link() {
    let temporary = tempfile::tempdir().unwrap();
    let (made, victim) = (temporary.path().join("made"), temporary.path().join("victim"));
    std::fs::create_dir(&made).unwrap();
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, made.join("engine.writing")).unwrap();
    symlink(&victim, made.join("engine.7.snapshot")).unwrap();
    std::fs::create_dir(made.join("engine.3.snapshot")).unwrap();

    let directory = Directory::at(&made).unwrap();
    assert!(matches!(loaded(&directory), (None, refused) if refused.is_empty()));
    let bytes = sealed(&fed(&[]), CONFIG, NOW);
    let paths = [(); 3].map(|()| directory.write(&bytes).unwrap());
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(directory.newest_first().unwrap(), [paths[2].clone(), paths[1].clone()]);
    assert_eq!(std::fs::symlink_metadata(&paths[2]).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(loaded(&directory), (Some(name), refused) if name == "engine.10.snapshot" && refused.is_empty()));
}

fn one_session() -> Change {
    Change::Session {
        id: SessionId::from_bits(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        facts: Some(SessionFacts::of(&anything())),
    }
}

fn of_deal(number: usize, deal: u8) -> Change {
    Change::Listing { id: listing_id(number), facts: Some(ListingFacts { deal: Some(deal), ..bare() }), content: 1 }
}

#[test]
fn a_session_that_ended_is_not_in_a_snapshot() {
    let Change::Session { id, .. } = one_session() else { unreachable!() };
    let holds = |engine: &Indexed| saved(engine).windows(16).any(|bytes| bytes == id.bits().to_le_bytes());
    let mut engine = fed(&[vec![one_session()]]);
    assert!(holds(&engine));
    engine.apply(&[Change::Session { id, facts: None }], &mut Vec::new());
    assert!(!holds(&engine));
    let other = Change::Session { id: session_id(5), facts: Some(SessionFacts::of(&anything())) };
    let mut engine = Indexed::load(&saved(&engine), tuning()).unwrap();
    engine.apply(&[other], &mut Vec::new());
    assert_eq!(engine.session_ids().collect::<Vec<_>>(), [session_id(5)]);
}

#[test]
fn scores_that_are_none_are_refused() {
    let listings = (0..8).map(|number| of_deal(number, 90 - number as u8)).collect();
    let engine = fed(&[vec![one_session()], listings]);
    let Change::Session { id, .. } = one_session() else { unreachable!() };
    let best = engine.top_three(id).unwrap().keys()[0].score;
    let bytes = saved(&engine);
    let at = bytes.windows(4).position(|bytes| bytes == best.to_le_bytes()).unwrap();
    // The entries of its shortlist, eight bytes each: slot and score.
    for entries in [0..6, 5..6, 0..1] {
        let mut other = bytes.clone();
        entries.for_each(|entry| other[at + 8 * entry..][..4].copy_from_slice(&u32::MAX.to_le_bytes()));
        assert!(Indexed::load(&other, tuning()).is_err());
    }
}
