//! PostgreSQL on ListingMark's files: `peer-pg CONNECTION DIRECTORY TOP3`, on a server from `pg/cluster`. Each session's row
//! stores what it sees; a change is one call of a function in the server.

mod statements;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{ExitCode, id};
use std::time::Instant;

use mark::Error;
use mark::measured::{Line, cpu_seconds, resident_mib, write_top};
use mark::rows::{self, Asks, Offer};
use mark::score::Weights;
use postgres::{Client, NoTls};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [connection, directory, top] = &arguments[..] else {
        eprintln!("usage: peer-pg CONNECTION DIRECTORY TOP3");
        return ExitCode::FAILURE;
    };
    match run(connection, Path::new(directory), Path::new(top)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer-pg: {error} ({error:?})");
            ExitCode::FAILURE
        }
    }
}

fn run(connection: &str, directory: &Path, top: &Path) -> Result<(), Error> {
    let weights = Weights::read(&directory.join("weights.csv"))?;
    let changes = rows::listings(&directory.join("changes.csv"))?;
    let mut database = Client::connect(connection, NoTls)?;

    let begun = Instant::now();
    database.batch_execute(&statements::tables(&weights))?;
    for table in ["listings", "sessions"] {
        copy(&mut database, table, &directory.join(format!("{table}.csv")))?;
    }
    database.batch_execute(&statements::indexes(&weights))?;
    vacuum(&mut database)?;
    database.batch_execute(&statements::first())?;
    vacuum(&mut database)?;
    let load = begun.elapsed().as_secs_f64();

    // One plan for all parameters: planning anew costs more than a better plan gains.
    database.batch_execute("SET plan_cache_mode = force_generic_plan")?;
    let new = preferences(&mut database, &weights, directory)?;

    database.batch_execute(&statements::apply_change())?;
    let call = database.prepare("SELECT apply_change($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")?;
    let server: i32 = database.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let cpu = || {
        let used = cpu_seconds(server as u32).zip(cpu_seconds(id()));
        used.map(|(server, client)| server + client).ok_or("/proc does not say what server and client used")
    };
    let (mut times, mut touched, used) = (Vec::with_capacity(changes.len()), 0, cpu()?);
    let begun = Instant::now();
    for change in &changes {
        let begun = Instant::now();
        let Offer { price, amenities, day, bedrooms, commute, school, deal, trend, is_offered } = change.offer;
        let [id, market, price] = [change.id, change.market, price].map(|number| number as i32);
        let [bedrooms, commute, school, deal, trend] = [bedrooms, commute, school, deal, trend].map(i32::from);
        let (day, amenities) = (i32::from(day), amenities as i32);
        let row = database.query_one(
            &call,
            &[&id, &market, &price, &bedrooms, &commute, &school, &deal, &trend, &day, &amenities, &is_offered],
        )?;
        touched += i64::from(row.get::<_, i32>(0));
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let (wall, used) = (begun.elapsed().as_secs_f64(), cpu()? - used);
    let resident = resident_mib(server as u32).ok_or("/proc does not say what the server occupies")?;
    let sizes = "SELECT (pg_total_relation_size('listings') + pg_total_relation_size('sessions'))::bigint";
    let tables: i64 = database.query_one(sizes, &[])?.get(0);
    Line::new("pg", 1)
        .changes(changes.len(), wall, used, times)
        .preferences(new)
        .with("load_s", load)
        .with("rss_mib", resident)
        .with("tables_mib", tables as f64 / 1_048_576.0)
        .with("touched", touched as f64)
        .print();

    let rows = database.query("SELECT id, ids, scores FROM sessions", &[])?;
    let seen = rows.iter().map(|row| {
        let (session, ids, scores): (i32, Vec<i32>, Vec<i32>) = (row.get(0), row.get(1), row.get(2));
        (session as u32, scores.iter().zip(&ids).map(|(score, id)| (*score as u32, *id as u32)).collect())
    });
    write_top(top, seen.collect())
}

fn copy(database: &mut Client, table: &str, path: &Path) -> Result<(), Error> {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let head = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let columns = String::from_utf8_lossy(head);
    let mut into = database.copy_in(&format!("COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, HEADER)"))?;
    into.write_all(&text)?;
    into.finish()?;
    Ok(())
}

fn vacuum(database: &mut Client) -> Result<(), Error> {
    // Each by itself: VACUUM does not run inside of a transaction.
    for table in ["listings", "sessions"] {
        database.batch_execute(&format!("VACUUM ANALYZE {table}"))?;
    }
    Ok(())
}

/// What a new preference takes each time, in µs.
fn preferences(database: &mut Client, weights: &Weights, directory: &Path) -> Result<Vec<f64>, Error> {
    let search = database.prepare(&statements::preference())?;
    let mut times = Vec::new();
    for session in rows::sessions(&directory.join("preferences.csv"))? {
        let Asks { budget, required, preferred, min_bedrooms, max_commute, min_school, profile } = session.asks;
        let [min_bedrooms, max_commute, min_school] = [min_bedrooms, max_commute, min_school].map(u32::from);
        let [affordability, _, space, commute, _, amenities, ..] = weights.rows()[usize::from(profile)];
        let numbers = [session.market, budget, min_bedrooms, max_commute, min_school, required, preferred];
        let more = [u32::from(profile), affordability, space, commute, amenities, preferred.count_ones()];
        let numbers: Vec<i32> = numbers.iter().chain(&more).map(|number| *number as i32).collect();
        let parameters: Vec<_> = numbers.iter().map(|number| number as &(dyn postgres::types::ToSql + Sync)).collect();
        let begun = Instant::now();
        database.query(&search, &parameters)?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}
