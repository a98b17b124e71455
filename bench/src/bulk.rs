//! How many bytes a house keeps and moves: records of every topic and rows of every table, as a run has left them. What
//! `docs/sizing.md` computes with.

use anyhow::Result;
use e2e::harness::read_to_end;
use schemas::topic::Topic;
use store::{Table, Tables};
use stream::Log;
use tokio::runtime::Handle;

use crate::report::{Report, line};

const TOPICS: [Topic; 5] =
    [Topic::ListingsRaw, Topic::Listings, Topic::ListingsPriced, Topic::Preferences, Topic::Recommendations];
const TABLES: [Table; 5] =
    [Table::Recommendations, Table::Sessions, Table::Listings, Table::ListingsByMarket, Table::Markets];

/// Tells the mean size of each, and how many there are for each raw record.
pub fn tell(log: &Log, tables: &Tables, runtime: &Handle, report: &mut Report) -> Result<()> {
    let raw = read_to_end(log, Topic::ListingsRaw)?.len();
    let mut add = |what: String, count: usize, bytes: usize| {
        report.add(line(
            format!("embedded, after that run: {what}"),
            format!(
                "{} B each (n = {count}, {:.2} a raw record)",
                bytes / count.max(1),
                count as f64 / raw.max(1) as f64
            ),
            "–",
        ));
    };
    for topic in TOPICS {
        let records = read_to_end(log, topic)?;
        let of_record = |record: &stream::Record| {
            let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len) + headers
        };
        add(format!("records of `{topic}` on the log"), records.len(), records.iter().map(of_record).sum());
    }
    for table in TABLES {
        let rows = runtime.block_on(tables.scan(table))?;
        add(format!("rows of `{table:?}`"), rows.len(), rows.values().map(|cell| cell.json.len()).sum());
    }
    Ok(())
}
