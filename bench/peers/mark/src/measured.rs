//! What a run hands out: the file of what sessions see, and one line of JSON. Reads `/proc`, so Linux only.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::Error;

/// Score and number of a listing.
pub type Key = (u32, u32);

/// A session's number, and what it sees, the best first.
pub type Seen = (u32, Vec<Key>);

/// Writes what each session sees, by session: byte for byte what `bench mark-run` writes.
pub fn write_top(path: &Path, mut top: Vec<Seen>) -> Result<(), Error> {
    top.sort_unstable_by_key(|(session, _)| *session);
    let mut out = BufWriter::new(fs::File::create(path)?);
    writeln!(out, "session,rank,listing,score")?;
    for (session, keys) in top {
        for (at, (score, listing)) in keys.iter().enumerate() {
            writeln!(out, "{session},{},{listing},{score}", at + 1)?;
        }
    }
    Ok(out.flush()?)
}

/// Times of one kind of step, in µs, and the numbers beside them, as one line of JSON.
#[derive(Debug)]
pub struct Line(String);

impl Line {
    /// Of this engine, so many changes at once.
    pub fn new(engine: &str, batch: usize) -> Self {
        Self(format!("{{\"engine\":\"{engine}\",\"batch\":{batch}"))
    }

    /// Adds a number.
    #[must_use]
    pub fn with(mut self, name: &str, number: f64) -> Self {
        self.0 += &format!(",\"{name}\":{number:.3}");
        self
    }

    /// Adds how many changes there were, and what one batch of them took each time.
    #[must_use]
    pub fn changes(self, changes: usize, wall_s: f64, cpu_s: f64, mut batches_us: Vec<f64>) -> Self {
        batches_us.sort_unstable_by(f64::total_cmp);
        self.with("changes", changes as f64)
            .with("changes_per_s", changes as f64 / wall_s)
            .with("per_cpu_s", changes as f64 / cpu_s)
            .with("p50_us", at(&batches_us, 0.5))
            .with("p99_us", at(&batches_us, 0.99))
            .with("p999_us", at(&batches_us, 0.999))
            .with("max_us", at(&batches_us, 1.0))
    }

    /// Adds what a new preference took each time.
    #[must_use]
    pub fn preferences(self, mut each_us: Vec<f64>) -> Self {
        each_us.sort_unstable_by(f64::total_cmp);
        self.with("preference_p50_us", at(&each_us, 0.5)).with("preference_p99_us", at(&each_us, 0.99))
    }

    /// Prints it.
    pub fn print(self) {
        println!("{}}}", self.0);
    }
}

/// The time that this share of all stays below; `times` are sorted.
fn at(times: &[f64], share: f64) -> f64 {
    times.get((times.len().saturating_sub(1) as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// MiB that a process occupies; `None` where `/proc` does not say.
pub fn resident_mib(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kb = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kb.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
}

/// Seconds of CPU that the threads of a process have used so far, as finely as the kernel counts.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let used = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        // Nanoseconds on a processor come first.
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Some(used.sum::<f64>() / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_of_json() {
        let line = Line::new("brute", 1).changes(4, 2.0, 1.0, vec![3.0, 1.0, 2.0]);
        assert!(line.0.starts_with("{\"engine\":\"brute\",\"batch\":1,\"changes\":4.000,\"changes_per_s\":2.000"));
        assert!(line.0.contains("\"p50_us\":2.000") && line.0.contains("\"max_us\":3.000"), "{line:?}");
    }

    #[test]
    fn a_process_knows_its_own_use() {
        assert!(resident_mib(std::process::id()).unwrap() > 0.5);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}
