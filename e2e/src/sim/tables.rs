//! Tables in memory: the greatest timestamp wins, deletes included; a crash may lose what was acknowledged lately.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::cells::ShardCell;
use store::{Row, Write, WriteTimestamp};

/// What a row holds, tombstones included.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    timestamp: WriteTimestamp,
    json: Option<Arc<str>>,
}

/// All tables.
#[derive(Clone, Debug, Default)]
pub struct SimTables {
    rows: BTreeMap<Row, Cell>,
    /// Applied writes, for a crash to lose.
    journal: Vec<(i64, Write)>,
}

impl SimTables {
    /// Applies a statement at `now`.
    pub fn apply(&mut self, write: Write, now: i64) {
        merge(&mut self.rows, &write);
        self.journal.push((now, write));
    }

    /// A node dies before its commit log is synced: what was applied after `since` is gone. Returns how many statements.
    pub fn lose_since(&mut self, since: i64) -> u64 {
        let before = self.journal.len();
        self.journal.retain(|(at, _)| *at <= since);
        let lost = before - self.journal.len();
        self.rows.clear();
        for (_, write) in &self.journal {
            merge(&mut self.rows, write);
        }
        lost as u64
    }

    /// A row is lost, and nobody is told.
    pub fn rot(&mut self, row: &Row) {
        self.rows.remove(row);
        self.journal.retain(|(_, write)| write.row != *row);
    }

    /// All tables are lost.
    pub fn lose_all(&mut self) {
        *self = Self::default();
    }

    /// A cell.
    pub fn get(&self, row: &Row) -> Option<&Arc<str>> {
        self.rows.get(row)?.json.as_ref()
    }

    /// The epoch that a shard's row records.
    pub fn epoch(&self, shard: u32) -> Option<u64> {
        let cell: ShardCell = serde_json::from_str(self.get(&Row::Shard(shard))?).ok()?;
        Some(cell.epoch)
    }

    /// Every row that is there.
    pub fn rows(&self) -> impl Iterator<Item = (&Row, &Arc<str>)> {
        self.rows.iter().filter_map(|(row, cell)| Some((row, cell.json.as_ref()?)))
    }

    /// The greatest timestamp of all.
    pub fn newest(&self) -> Option<WriteTimestamp> {
        self.rows.values().map(|cell| cell.timestamp).max()
    }
}

fn merge(rows: &mut BTreeMap<Row, Cell>, write: &Write) {
    if rows.get(&write.row).is_none_or(|cell| write.timestamp > cell.timestamp) {
        rows.insert(write.row.clone(), Cell { timestamp: write.timestamp, json: write.cell.clone() });
    }
}
