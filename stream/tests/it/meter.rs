//! Remembers what was counted, for tests that look at metrics. One for the whole test binary, as in a service.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

type Cells = Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>;

#[derive(Clone, Default)]
struct Meter {
    counters: Cells,
    gauges: Cells,
}

fn installed() -> &'static Meter {
    static METER: OnceLock<Meter> = OnceLock::new();
    METER.get_or_init(|| {
        let meter = Meter::default();
        metrics::set_global_recorder(meter.clone()).expect("the first recorder");
        stream::metrics::describe();
        meter
    })
}

/// To be called before the log is opened: what is made before is not counted.
pub fn install() {
    installed();
}

/// `name{label=value,…}`, labels in the order of the code.
pub fn counter(name: &str) -> u64 {
    read(&installed().counters, name).unwrap_or(0)
}

pub fn gauge(name: &str) -> Option<f64> {
    read(&installed().gauges, name).map(f64::from_bits)
}

fn read(cells: &Cells, name: &str) -> Option<u64> {
    cells.lock().unwrap().get(name).map(|cell| cell.load(Ordering::SeqCst))
}

fn cell(cells: &Cells, key: &Key) -> Arc<AtomicU64> {
    let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    let name = format!("{}{{{}}}", key.name(), labels.join(","));
    Arc::clone(cells.lock().unwrap().entry(name).or_default())
}

impl Recorder for Meter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(cell(&self.counters, key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(cell(&self.gauges, key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
