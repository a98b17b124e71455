//! The table: what was seen, what the peer in the same run did, and the goal of DESIGN §10 beside both.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use crate::machine;

/// Where the table stands in bench/RESULTS.md.
const FILE: &str = "bench/RESULTS.md";
const ALL: &str = "make bench";
const API: &str = "make bench-api";

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// What came out.
    pub seen: String,
    /// The peer in the same run, and the ratio to it.
    pub peer: String,
    /// The goal.
    pub goal: String,
}

/// A line without a peer.
pub fn line(what: impl Into<String>, seen: impl Into<String>, goal: &str) -> Line {
    Line { what: what.into(), seen: seen.into(), peer: "–".to_owned(), goal: goal.to_owned() }
}

/// The lines so far.
pub struct Report {
    lines: Vec<Line>,
    began: String,
}

impl Report {
    /// Looks at the machine before anything runs.
    pub fn begin() -> Self {
        Self { lines: Vec::new(), began: machine::load() }
    }

    /// Adds a line, and tells it at once.
    pub fn add(&mut self, line: Line) {
        eprintln!("{}: {}; peer: {}; goal: {} (load {})", line.what, line.seen, line.peer, line.goal, machine::load());
        self.lines.push(line);
    }

    /// Says what goes on.
    pub fn say(&self, what: &str) {
        eprintln!("… {what}");
    }

    /// The whole as Markdown.
    pub fn end(&self) -> String {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
        let command: Vec<String> = std::env::args().collect();
        let mut text = format!(
            "{now}, {}, load average {} before and {} after (the servers run on the same cores); `{}`.\n\n\
             | what | seen | peer in the same run | goal |\n|---|---|---|---|\n",
            machine::processors(),
            self.began,
            machine::load(),
            command.join(" "),
        );
        for Line { what, seen, peer, goal } in &self.lines {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "| {what} | {seen} | {peer} | {goal} |");
        }
        text
    }
}

/// Puts the table, which may be of the API alone, into bench/RESULTS.md in the place of the one before; the rest of the file
/// stays as it is.
pub fn record(table: &str, is_api_alone: bool) -> Result<()> {
    let text = fs::read_to_string(FILE).with_context(|| format!("{FILE} cannot be read"))?;
    let [begin, end] = marks(if is_api_alone { API } else { ALL });
    let text = between(&text, table, &begin, &end).with_context(|| format!("{FILE} has no lines {begin} and {end}"))?;
    fs::write(FILE, text).with_context(|| format!("{FILE} cannot be written"))
}

fn marks(name: &str) -> [String; 2] {
    ["begin", "end"].map(|edge| format!("<!-- {name}: {edge} -->"))
}

fn between(text: &str, table: &str, begin: &str, end: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before_and_nothing_else() {
        let [begin, end] = marks(API);
        let text = format!("a\n{begin}\nold\n{end}\nb\n");
        assert_eq!(between(&text, "new\n", &begin, &end).unwrap(), format!("a\n{begin}\nnew\n{end}\nb\n"));
        let [begin, end] = marks(ALL);
        assert_eq!(between(&text, "new", &begin, &end), None);
    }
}
