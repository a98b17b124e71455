//! Brute force on ListingMark's files: `peer-brute DIRECTORY TOP3`. One thread, no pair kept.

mod market;

use std::hint::black_box;
use std::path::Path;
use std::process::{ExitCode, id};
use std::time::Instant;

use mark::Error;
use mark::measured::{Line, cpu_seconds, resident_mib, write_top};
use mark::rows;
use mark::score::Weights;

use crate::market::Market;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, top] = &arguments[..] else {
        eprintln!("usage: peer-brute DIRECTORY TOP3");
        return ExitCode::FAILURE;
    };
    match run(Path::new(directory), Path::new(top)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer-brute: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path, top: &Path) -> Result<(), Error> {
    let weights = Weights::read(&directory.join("weights.csv"))?;
    let listings = rows::listings(&directory.join("listings.csv"))?;
    let sessions = rows::sessions(&directory.join("sessions.csv"))?;
    let changes = rows::listings(&directory.join("changes.csv"))?;
    let preferences = rows::sessions(&directory.join("preferences.csv"))?;

    let of_listings = listings.iter().chain(&changes).map(|listing| listing.market);
    let of_sessions = sessions.iter().chain(&preferences).map(|session| session.market);
    let count = of_listings.chain(of_sessions).max().map_or(0, |last| last as usize + 1);
    let begun = Instant::now();
    let mut markets: Vec<Market> = (0..count).map(|_| Market::default()).collect();
    for listing in &listings {
        markets[listing.market as usize].list(&weights, listing);
    }
    let mut pairs = 0;
    for session in &sessions {
        pairs += markets[session.market as usize].seat(&weights, session);
    }
    let load = begun.elapsed().as_secs_f64();
    drop((listings, sessions));

    let (mut times, mut searches) = (Vec::with_capacity(changes.len()), 0);
    let cpu = cpu_seconds(id()).ok_or("/proc does not say what this process used")?;
    let begun = Instant::now();
    for change in &changes {
        let begun = Instant::now();
        searches += markets[change.market as usize].apply(&weights, change);
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let wall = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(id()).ok_or("/proc does not say what this process used")? - cpu;
    let resident = resident_mib(id()).ok_or("/proc does not say what this process occupies")?;

    let scan = preferences.iter().map(|session| {
        let begun = Instant::now();
        black_box(markets[session.market as usize].search(&weights, &session.asks));
        begun.elapsed().as_secs_f64() * 1e6
    });
    Line::new("brute", 1)
        .changes(changes.len(), wall, cpu, times)
        .preferences(scan.collect())
        .with("load_s", load)
        .with("rss_mib", resident)
        .with("pairs", pairs as f64)
        .with("searches", searches as f64)
        .print();
    write_top(top, markets.iter().flat_map(Market::top).collect())
}
