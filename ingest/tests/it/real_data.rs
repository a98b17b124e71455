//! Real exports through the mappings, the feed client and the front door's reader: every row is accounted for.

use std::collections::BTreeMap;

use ingest::mapping::Mapping;
use ingest::publish::{Options, Sink, Snapshot};
use ingest::{Config, Drained, Ingest, PushConfig};
use schemas::reso::{self, Origin};
use schemas::topic::Topic;
use schemas::vocabulary::StandardStatus;
use stream::Record;

use crate::publish::{Home, options, real_data, run, value};

/// What the front door makes of the records: statuses of the accepted, codes of the refused.
fn judged(records: &[Record]) -> (BTreeMap<StandardStatus, u64>, BTreeMap<&'static str, u64>) {
    let (mut accepted, mut refused) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        let origin = Origin {
            partition: record.partition,
            offset: record.offset,
            append_time_ms: record.append_time_ms,
            feed: Some("f".parse().unwrap()),
            ce_time_ms: None,
        };
        for item in reso::read(record.value.as_deref().unwrap(), &origin).unwrap() {
            match item.outcome {
                Ok(found) => *accepted.entry(found.listing.standard_status).or_default() += 1,
                Err(refusal) => *refused.entry(refusal.code.as_str()).or_default() += 1,
            }
        }
    }
    (accepted, refused)
}

#[test]
fn every_row_of_the_seattle_exports_is_mapped_or_counted() {
    let Some(file) = real_data("seattle_redfin_events.csv.zst") else { return };
    let home = Home::new();
    let summary = run(&options(&[file], Mapping::redfin()), Sink::Log(home.log.clone())).unwrap();
    assert_eq!((summary.rows, summary.sent, summary.unmapped, summary.skipped), (17_384, 17_384, 0, 0));
    assert_eq!((&summary.refused, &summary.silent_members), (&BTreeMap::new(), &Vec::new()));
    let records = home.read(Topic::ListingsRaw, 17_384);
    let keys: std::collections::BTreeSet<_> = records.iter().map(|record| record.key.clone()).collect();
    assert_eq!(keys.len(), 9_225, "a home has one key, however its address is written");
    let (accepted, refused) = judged(&records);
    assert_eq!(
        accepted,
        BTreeMap::from([
            (StandardStatus::Active, 11_321),
            (StandardStatus::Closed, 5_970),
            (StandardStatus::Pending, 93),
        ])
    );
    assert_eq!(refused, BTreeMap::new());
    for value in records.iter().map(value) {
        let closed = value["StandardStatus"] == "Closed";
        assert_eq!((value["ClosePrice"].is_string(), value["ListPrice"].is_string()), (closed, !closed), "{value}");
        assert!(closed || value["CloseDate"].is_null(), "{value}");
    }
}

#[test]
fn the_two_snapshots_of_palm_springs_end_in_deletions() {
    let Some(file) = real_data("palm_springs_listings.jsonl.zst") else { return };
    let home = Home::new();
    let fatal: stream::Fatal = std::sync::Arc::new(|line| eprintln!("{line}"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let push = PushConfig { listen: "127.0.0.1:0".parse().unwrap(), ..PushConfig::default() };
    let config = Config { push, instance: "test".to_owned(), ..Config::default() };
    let ingest = runtime.block_on(Ingest::start(config, home.log.clone(), fatal)).unwrap();
    let keys_at = format!("http://{}", ingest.push_address().unwrap());
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/palm-springs.toml");
    let snapshot = Some(Snapshot { keys_at, at: None, max_vanish: 0.2 });
    let options = Options { snapshot, ..options(&[file], Mapping::load(example.as_ref()).unwrap()) };
    let summary = run(&options, Sink::Log(home.log.clone())).unwrap();
    let done: Vec<_> = summary.snapshots.iter().map(|s| (s.time.to_string(), s.rows, s.deleted)).collect();
    assert_eq!(done, [("2026-04-23T00:00:00Z".to_owned(), 3_114, 0), ("2026-04-26T00:00:00Z".to_owned(), 2_483, 176)]);
    assert_eq!((summary.rows, summary.sent, summary.unmapped), (5_597, 5_773, 0));
    assert_eq!(summary.silent_members, Vec::<String>::new());
    let (accepted, refused) = judged(&home.read(Topic::ListingsRaw, 5_773));
    assert_eq!(
        accepted,
        BTreeMap::from([
            (StandardStatus::Active, 1_827),
            (StandardStatus::ActiveUnderContract, 223),
            (StandardStatus::Closed, 3_309),
            (StandardStatus::Delete, 176),
            (StandardStatus::Pending, 238),
        ])
    );
    assert_eq!(refused, BTreeMap::new());
    assert_eq!(ingest.stop(std::time::Duration::from_secs(60)), Drained::Clean);
}
