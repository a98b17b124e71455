//! The table of requests: a line per point and load, a column per server. Does not know what the numbers mean.

use std::fmt::Write as _;

use super::load::Asked;
use super::points::Point;

/// How it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Without a pause, over so many connections.
    Full(usize),
    /// At half of the rate that the greatest number of connections brought.
    Half,
}

impl Load {
    /// All, in the order in which they are measured: half needs to know the whole.
    pub const ALL: [Self; 3] = [Self::Full(4), Self::Full(16), Self::Half];
}

/// What was asked of whom.
#[derive(Default)]
pub struct Table(Vec<(String, Point, Load, Asked)>);

impl Table {
    /// Adds a cell, and tells it at once.
    pub fn add(&mut self, server: &str, point: Point, load: Load, asked: Asked) {
        eprintln!("{server}: {} {load:?}: {asked} ({} bytes)", point.name(), asked.body);
        self.0.push((server.to_owned(), point, load, asked));
    }

    /// A cell.
    pub fn get(&self, server: &str, point: Point, load: Load) -> Option<&Asked> {
        self.0.iter().find(|(of, p, l, _)| (of.as_str(), *p, *l) == (server, point, load)).map(|(.., asked)| asked)
    }

    /// As Markdown; servers in the order in which they came.
    pub fn markdown(&self) -> String {
        let mut servers: Vec<&str> = Vec::new();
        for (server, ..) in &self.0 {
            if !servers.contains(&server.as_str()) {
                servers.push(server);
            }
        }
        let mut text =
            format!("| point | load | {} |\n|---|---|{}\n", servers.join(" | "), "---|".repeat(servers.len()));
        for point in Point::ALL {
            for load in Load::ALL {
                let cells =
                    servers.iter().map(|server| self.get(server, point, load).map_or("–".to_owned(), Asked::to_string));
                let cells: Vec<String> = cells.collect();
                let (name, load) = match load {
                    Load::Full(4) => (point.name(), "4 connections".to_owned()),
                    Load::Full(connections) => ("", format!("{connections}")),
                    Load::Half => ("", "half of that".to_owned()),
                };
                // Writing to a text cannot fail.
                let _ = writeln!(text, "| {name} | {load} | {} |", cells.join(" | "));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread::Spread;

    #[test]
    fn a_cell_that_was_not_measured_is_a_dash() {
        let mut table = Table::default();
        let asked = Asked { rate: 10.0, per_cpu: vec![20.0, 15.0], times: Spread::of(vec![1.0, 2.0]), body: 3 };
        table.add("a", Point::Property, Load::Full(4), asked.clone());
        table.add("b", Point::Property, Load::Full(16), asked);
        let text = table.markdown();
        assert!(
            text.contains("| `GET /properties/{id}` | 4 connections | 10/s (20; 15), 2.00 / 2.00 ms | – |"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 2 + 18);
    }
}
