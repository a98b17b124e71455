//! The enricher without the log: canonical listings as they stand on `listings`, decoded, decided, valued and encoded as facts, by the
//! very code that serves, on one thread of the appraiser; beside the bare decoding and encoding of the same records. Its own CPU time.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use enricher::admission::{Decision, admit};
use enricher::appraiser::Appraiser;
use enricher::deal::Reliability;
use enricher::{Desk, wire};
use schemas::listing::Listing;
use schemas::priced::PricedListing;
use schemas::reso::{self, Origin};
use schemas::sale::Sale;
use schemas::topic::{Topic, listing_key, partition_of};
use serde_json::Value;
use stream::{AckSink, BackendKind, Delivered, DeliveryError, Fatal, Log, LogConfig, LogError, Outgoing, Record};
use synthetic::World;

use crate::comparables::COMPARED;
use crate::machine;
use crate::report::{Line, Report};

/// How many listings go through at a time, as in the service when there is enough to do.
const BATCH: usize = 256;
/// Listings, and how often all of them go through: the clock of a thread moves in steps of some milliseconds.
const LISTINGS: usize = 20_000;
const ROUNDS: usize = 5;
/// Sales that listings are compared with.
const SALES: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(120);
const MODEL: &str = "synthetic-us/2";

/// Adds its lines to the table.
pub fn run(report: &mut Report) -> Result<()> {
    report.say("appraise: the enricher without the log");
    let (listings, sales) = market()?;
    let bare = bare(&listings)?;
    let registry = tempfile::tempdir()?;
    comparing(registry.path())?;
    let shipped = Path::new("enricher/model/registry");
    for (what, registry, goal) in [
        ("without comparables", shipped, "≥ 200,000/s"),
        ("with comparables among 100,000 sales", registry.path(), "≥ 40,000/s"),
    ] {
        let seen = measured(registry, &listings, &sales)?;
        report.add(Line {
            what: format!("enricher without the log, {what}: decode, value, encode, per core"),
            seen: format!("{seen:.0}/s"),
            peer: format!("bare decoding and encoding of the same records: {bare:.0}/s; {:.0} %", seen / bare * 100.0),
            goal: goal.to_owned(),
        });
    }
    Ok(())
}

/// Listings as records, and what closed before.
fn market() -> Result<(Vec<Record>, Vec<Sale>)> {
    let config = synthetic::Config { listings: LISTINGS, ..synthetic::Config::default() };
    let mut world = World::new(config)?;
    let mut listings = Vec::new();
    while listings.len() < LISTINGS {
        let event = world.next_event_at(1_790_000_000_000);
        let Some(value) = &crate::market::raw_record(&event).value else { continue };
        let origin = Origin {
            partition: 0,
            offset: listings.len() as u64,
            append_time_ms: 1_790_000_000_000,
            feed: Some("bench".parse()?),
            ce_time_ms: None,
        };
        let items = reso::read(value, &origin).map_err(|refusal| anyhow::anyhow!("{}", refusal.message))?;
        listings.extend(items.into_iter().filter_map(|item| item.outcome.ok()).map(|accepted| accepted.listing));
    }
    let sales =
        (0..SALES).zip(listings.iter().cycle()).map(|(number, home)| sale(number, home)).collect::<Result<_>>()?;
    let records = (0..).zip(&listings).map(|(offset, listing)| record(offset, listing)).collect::<Result<_>>()?;
    Ok((records, sales))
}

fn record(offset: u64, listing: &Listing) -> Result<Record> {
    let key = listing_key(&listing.listing_id);
    Ok(Record {
        topic: Topic::Listings,
        partition: partition_of(&key, 1),
        offset,
        append_time_ms: 1_790_000_000_000,
        key: Some(key),
        value: Some(serde_json::to_vec(listing)?),
        headers: Vec::new(),
    })
}

/// A home like that one, which closed within the last three years.
fn sale(number: usize, home: &Listing) -> Result<Sale> {
    let day = jiff::civil::date(2026, 6, 1).saturating_sub(jiff::Span::new().days(i64::try_from(number)? % 1_000));
    let price = home.list_price.context("every listing of the market has a price")?;
    Ok(serde_json::from_value(serde_json::json!({
        "listing_id": format!("sold:{number}"), "version": home.version, "market": home.market,
        "transaction": home.transaction, "currency": home.currency, "close_price": price, "close_date": day,
        "position": home.position, "living_area_sqft": home.living_area_sqft, "bathrooms_total": home.bathrooms_total,
        "year_built": home.year_built,
    }))?)
}

/// The shipped model in another registry, which looks at comparables in the place of its last features: it costs as much as one that was
/// trained with them, and says nothing true.
fn comparing(registry: &Path) -> Result<()> {
    let from = Path::new("enricher/model/registry").join(MODEL);
    let to = registry.join(MODEL);
    std::fs::create_dir_all(&to)?;
    std::fs::copy(from.join("model.onnx"), to.join("model.onnx"))?;
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(from.join("manifest.json"))?)?;
    let features = manifest["features"].as_array_mut().context("a manifest has features")?;
    let kept = features.len().checked_sub(COMPARED.len()).context("the shipped model has too few features")?;
    features.truncate(kept);
    features.extend(COMPARED.map(Value::from));
    // They describe the features that it had.
    manifest["inputs"] = Value::Array(Vec::new());
    Ok(std::fs::write(to.join("manifest.json"), serde_json::to_vec(&manifest)?)?)
}

/// Listings per second of CPU.
fn measured(registry: &Path, listings: &[Record], sales: &[Sale]) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let log = log(directory.path(), sales)?;
    let config =
        enricher::Config { registry: registry.to_owned(), model: MODEL.to_owned(), ..enricher::Config::default() };
    let fatal: Fatal = Arc::new(|line| eprintln!("the appraiser ends: {line}"));
    let appraiser = Appraiser::start(&config, &log, &fatal)?;
    let deadline = Instant::now() + PATIENCE;
    while let Err(why) = appraiser.ready() {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {why}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let (answer, answered) = sync_channel(1);
    let (listings, reliability) = (listings.to_vec(), Reliability::of_shares(&config.source_reliability));
    let reliability = reliability.map_err(anyhow::Error::msg)?;
    let job = move |desk: &mut Desk<'_>| {
        let _ = answer.send(rate(desk, &listings, &reliability));
    };
    appraiser.submit(job).map_err(anyhow::Error::msg)?;
    answered.recv().context("the appraiser's thread panicked")?
}

fn rate(desk: &mut Desk<'_>, listings: &[Record], reliability: &Reliability) -> Result<f64> {
    let mut valued = 0_usize;
    let begun = machine::thread_seconds();
    for batch in (0..ROUNDS).flat_map(|_| listings.chunks(BATCH)) {
        let statements = batch.iter().map(|record| wire::statement(record, 1));
        let statements = statements.collect::<Result<Vec<_>, _>>().map_err(|poison| anyhow::anyhow!("{poison}"))?;
        let drafts: Vec<_> = statements
            .into_iter()
            .filter_map(|statement| match admit(None, statement).decision {
                Decision::Appraise(draft) => Some(draft),
                Decision::Confirm(_) | Decision::Late(_) | Decision::Duplicate => None,
            })
            .collect();
        let homes: Vec<_> = drafts.iter().map(|draft| draft.listing()).collect();
        let appraisals = desk.appraise(&homes);
        for (draft, (appraisal, _)) in drafts.into_iter().zip(appraisals) {
            valued += usize::from(appraisal.valuation.is_ok());
            let fact = draft.settle(appraisal, reliability);
            std::hint::black_box(wire::fact(&fact, String::new(), None));
        }
    }
    let seconds = machine::thread_seconds() - begun;
    ensure!(valued > listings.len() * ROUNDS / 2, "only {valued} valuations of {} listings", listings.len() * ROUNDS);
    Ok((listings.len() * ROUNDS) as f64 / seconds)
}

/// The same records decoded, and facts of them encoded: what no enricher can do without. Records per second of CPU.
fn bare(listings: &[Record]) -> Result<f64> {
    let reliability = Reliability::of_shares(&std::collections::BTreeMap::new()).map_err(anyhow::Error::msg)?;
    let fact = |record: &Record| -> Result<PricedListing> {
        let statement = wire::statement(record, 1).map_err(|poison| anyhow::anyhow!("{poison}"))?;
        let Decision::Appraise(draft) = admit(None, statement).decision else { anyhow::bail!("a first statement") };
        let appraisal = enricher::admission::Appraisal {
            commute: None,
            school_rating: None,
            level: None,
            valuation: Err(schemas::priced::NoValuation::MarketNotCovered),
            out_of_range: Vec::new(),
            model_epoch: 0,
        };
        Ok(draft.settle(appraisal, &reliability))
    };
    let facts = listings.iter().map(fact).collect::<Result<Vec<_>>>()?;
    let begun = machine::thread_seconds();
    for (record, fact) in (0..ROUNDS).flat_map(|_| listings.iter().zip(&facts)) {
        let value = record.value.as_deref().context("a record has a value")?;
        std::hint::black_box(serde_json::from_slice::<Listing>(value)?);
        std::hint::black_box(serde_json::to_vec(fact)?);
    }
    Ok((listings.len() * ROUNDS) as f64 / (machine::thread_seconds() - begun))
}

/// An embedded log on which these sales stand.
fn log(directory: &Path, sales: &[Sale]) -> Result<Log> {
    let mut config = LogConfig { backend: BackendKind::Embedded, ..LogConfig::default() };
    config.embedded.directory = directory.join("log");
    stream::init(&config)?;
    let log = stream::open(&config)?;
    let producer = log.producer(Arc::new(Nobody))?;
    for sale in sales {
        let record = Outgoing {
            topic: Topic::Sales,
            partition: None,
            key: Some(listing_key(&sale.listing_id)),
            value: Some(serde_json::to_vec(sale)?),
            headers: Vec::new(),
        };
        while let Err(error) = producer.send(record.clone(), 0) {
            ensure!(matches!(error, LogError::QueueFull), "{error}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
    producer.flush(PATIENCE)?;
    Ok(log)
}

/// Nobody waits for single acknowledgements.
struct Nobody;

impl AckSink for Nobody {
    fn acked(&self, _: u64, outcome: Result<Delivered, DeliveryError>) {
        if let Err(error) = outcome {
            eprintln!("a sale was lost: {error}");
        }
    }
}
