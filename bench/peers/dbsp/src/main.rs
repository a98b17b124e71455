//! dbsp on ListingMark's files: `peer-dbsp DIRECTORY TOP3 BATCH`. A join by market that filters and scores inside, so that
//! rejected pairs are never made, then the best three per session; one worker, all state in memory.
//!
//! A batch is one transaction, and its output is read before the next: batches beyond 1 hide what sessions saw in between.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{ExitCode, id};
use std::time::Instant;

use dbsp::Runtime;
use dbsp::circuit::CircuitConfig;
use dbsp::mimalloc::MiMalloc;
use dbsp::typed_batch::IndexedZSetReader;
use dbsp::utils::{Tup2, Tup5, Tup6};
use mark::Error;
use mark::measured::{Key, Line, Seen, cpu_seconds, resident_mib, write_top};
use mark::rows::{self, Asks, Listing, Offer, Session};
use mark::score::{Weights, pairs, passes};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Number, price, amenities, four bytes that filters look at, and what it has whoever asks: two profiles each.
type Home = Tup6<u32, u32, u32, u32, u64, u64>;
/// Number, budget, required, preferred, four bytes.
type Person = Tup5<u32, u32, u32, u32, u32>;
/// Complement of the score above the listing's number: the smaller is the better.
type Rank = u64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, top, batch] = &arguments[..] else {
        eprintln!("usage: peer-dbsp DIRECTORY TOP3 BATCH");
        return ExitCode::FAILURE;
    };
    let run = |batch| run(Path::new(directory), Path::new(top), batch);
    match batch.parse::<std::num::NonZeroUsize>().map_err(Error::from).and_then(|batch| run(batch.get())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer-dbsp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path, path: &Path, batch: usize) -> Result<(), Error> {
    let weights = Weights::read(&directory.join("weights.csv"))?;
    let listings = rows::listings(&directory.join("listings.csv"))?;
    let sessions = rows::sessions(&directory.join("sessions.csv"))?;
    let changes = rows::listings(&directory.join("changes.csv"))?;
    let preferences = rows::sessions(&directory.join("preferences.csv"))?;
    let resident = || resident_mib(id()).ok_or("/proc does not say what this process occupies");
    let cpu = || cpu_seconds(id()).ok_or("/proc does not say what this process used");

    let inside = weights.clone();
    let config = CircuitConfig::with_workers(1).with_allow_input_during_commit(false);
    let (mut circuit, (homes, people, best)) = Runtime::init_circuit(config, move |circuit| {
        let (listings, homes) = circuit.add_input_indexed_zset::<u32, Home>();
        let (sessions, people) = circuit.add_input_indexed_zset::<u32, Person>();
        let inside = inside.clone();
        let ranked = listings
            .join_index(&sessions, move |_, home, person| rank(&inside, home, person).map(|rank| (person.0, rank)));
        Ok((homes, people, ranked.topk_asc(3).accumulate_output()))
    })?;

    let before = resident()?;
    let begun = Instant::now();
    let mut rows: Vec<_> = sessions.iter().map(|session| Tup2(session.market, Tup2(person(session), 1))).collect();
    people.append(&mut rows);
    let offered = listings.iter().filter(|listing| listing.offer.is_offered);
    let mut now: HashMap<u32, Home> = offered.map(|listing| (listing.id, home(&weights, listing))).collect();
    let known = listings.iter().filter_map(|listing| Some((listing.market, now.get(&listing.id)?)));
    let mut rows: Vec<_> = known.map(|(market, home)| Tup2(market, Tup2(*home, 1))).collect();
    homes.append(&mut rows);
    drop(rows);
    circuit.transaction()?;
    let mut deltas: Vec<(u32, Rank, i64)> = best.concat().consolidate().iter().collect();
    let load = begun.elapsed().as_secs_f64();
    let state = resident()? - before;

    let (mut times, first, used) = (Vec::new(), deltas.len(), cpu()?);
    let begun = Instant::now();
    for some in changes.chunks(batch) {
        let begun = Instant::now();
        for change in some {
            if let Some(was) = now.remove(&change.id) {
                homes.push(change.market, (was, -1));
            }
            if change.offer.is_offered {
                let is = home(&weights, change);
                homes.push(change.market, (is, 1));
                now.insert(change.id, is);
            }
        }
        circuit.transaction()?;
        deltas.extend(best.concat().consolidate().iter());
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let (wall, used, occupied) = (begun.elapsed().as_secs_f64(), cpu()? - used, resident()?);

    let mut new = Vec::new();
    let mut of_new = 0;
    for session in &preferences {
        let begun = Instant::now();
        people.push(session.market, (person(session), 1));
        circuit.transaction()?;
        of_new += best.concat().consolidate().iter().count();
        new.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    let pairs = pairs(&listings, &sessions);
    Line::new("dbsp", batch)
        .changes(changes.len(), wall, used, times)
        .preferences(new)
        .with("load_s", load)
        .with("rss_mib", occupied)
        .with("pairs", pairs as f64)
        .with("bytes_per_pair", state * 1_048_576.0 / pairs as f64)
        .with("deltas", (deltas.len() - first) as f64)
        .with("deltas_of_preferences", of_new as f64)
        .print();
    write_top(path, sums(deltas)?)?;
    circuit.kill().map_err(|_| "a worker panicked".into())
}

fn home(weights: &Weights, listing: &Listing) -> Home {
    let Offer { price, amenities, bedrooms, commute, school, .. } = listing.offer;
    let merits = weights.merits(&listing.offer).map(u64::from);
    let bytes = u32::from_le_bytes([bedrooms, commute, school, 0]);
    Tup6(listing.id, price, amenities, bytes, merits[0] | merits[1] << 32, merits[2] | merits[3] << 32)
}

fn person(session: &Session) -> Person {
    let Asks { budget, required, preferred, min_bedrooms, max_commute, min_school, profile } = session.asks;
    let bytes = u32::from_le_bytes([min_bedrooms, max_commute, min_school, profile]);
    Tup5(session.id, budget, required, preferred, bytes)
}

#[inline(always)]
fn rank(weights: &Weights, home: &Home, person: &Person) -> Option<Rank> {
    let [bedrooms, commute, school, _] = home.3.to_le_bytes();
    let offer = Offer {
        price: home.1,
        amenities: home.2,
        bedrooms,
        commute,
        school,
        day: 0,
        deal: 0,
        trend: 0,
        is_offered: true,
    };
    let [min_bedrooms, max_commute, min_school, profile] = person.4.to_le_bytes();
    let asks = Asks {
        budget: person.1,
        required: person.2,
        preferred: person.3,
        min_bedrooms,
        max_commute,
        min_school,
        profile,
    };
    passes(&asks, &offer).then(|| {
        let of_two = if profile < 2 { home.4 } else { home.5 };
        let score = (of_two >> (32 * (profile & 1))) as u32 + weights.fit(&asks, &offer);
        u64::from(!score) << 32 | u64::from(home.0)
    })
}

/// What the deltas add up to, by session.
fn sums(deltas: Vec<(u32, Rank, i64)>) -> Result<Vec<Seen>, Error> {
    let mut seen: BTreeMap<(u32, Rank), i64> = BTreeMap::new();
    for (session, rank, weight) in deltas {
        *seen.entry((session, rank)).or_default() += weight;
    }
    let mut top: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
    for ((session, rank), weight) in seen {
        match weight {
            0 => {}
            1 => top.entry(session).or_default().push((!((rank >> 32) as u32), rank as u32)),
            _ => return Err(format!("session {session} sees a listing {weight} times").into()),
        }
    }
    Ok(top.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_pair_has_the_score_of_its_rows() {
        let weights = Weights::of([[32; 8], [64, 0, 0, 0, 64, 64, 64, 0], [1; 8], [256, 0, 0, 0, 0, 0, 0, 0]]);
        for profile in 0..4 {
            let offer = Offer {
                price: 300_000,
                amenities: 6,
                day: 100,
                bedrooms: 3,
                commute: 20,
                school: 50,
                deal: 90,
                trend: 2,
                is_offered: true,
            };
            let asks = Asks {
                budget: 400_000,
                required: 2,
                preferred: 5,
                min_bedrooms: 2,
                max_commute: 30,
                min_school: 50,
                profile,
            };
            let (listing, session) = (Listing { id: 9, market: 0, offer }, Session { id: 1, market: 0, asks });
            let packed = rank(&weights, &home(&weights, &listing), &person(&session)).unwrap();
            assert_eq!((!((packed >> 32) as u32), packed as u32), (weights.score(&asks, &offer).unwrap(), 9));
            let poorer = Session { asks: Asks { budget: 299_999, ..asks }, ..session };
            assert_eq!(rank(&weights, &home(&weights, &listing), &person(&poorer)), None);
        }
    }

    #[test]
    fn what_was_taken_back_is_not_seen() {
        let rank = |score: u32, id: u32| u64::from(!score) << 32 | u64::from(id);
        let deltas = vec![(1, rank(5, 2), 1), (1, rank(9, 3), 1), (1, rank(5, 2), -1), (2, rank(7, 4), 1)];
        assert_eq!(sums(deltas).unwrap(), [(1, vec![(9, 3)]), (2, vec![(7, 4)])]);
        assert!(sums(vec![(1, 0, 2)]).is_err());
    }
}
