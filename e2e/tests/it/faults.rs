//! Every service killed again and again, and two of them paused past their time, while a market moves and people change
//! their minds: nothing is lost, nothing is different.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::harness::{Installation, Running, Servers, patience, real_data, roost, seed, until};
use e2e::http::Client;
use e2e::load::{Load, Told};
use e2e::watch::Watch;
use e2e::wire::Wire;
use e2e::{canonical, checks};

use crate::pipeline::{SEATTLE_RECORDS, come_to_rest};

/// Two of the services that share partitions.
const SERVICES: [(&str, &str); 6] = [
    ("scorer-a", "scorer"),
    ("scorer-b", "scorer"),
    ("enricher-a", "enricher"),
    ("enricher-b", "enricher"),
    ("ingest", "ingest"),
    ("api", "api"),
];
/// Paused past their sessions.
const PAUSED_SCORER: &str = "scorer-a";
const PAUSED_ENRICHER: &str = "enricher-a";
/// How long the store's answers to the scorer that is paused are on their way: longer than it takes to hear, after the
/// pause, of the claim that ended its own; shorter than a request may take.
const LATE: Duration = Duration::from_millis(700);
/// How often each of the four is killed; either of two that share.
const KILLS: usize = 8;
const SESSIONS: u64 = 1_000;
/// Of the feed: it is longer than the kills and at least one zombie take.
const RECORDS_PER_SECOND: &str = "250";

#[test]
fn kills_and_pauses_at_random_moments_change_nothing() -> Result<()> {
    let Some(servers) = Servers::from_environment() else { return Ok(()) };
    let seed = seed()?;
    let mut random = Random(seed | 1);
    let mut installation = Installation::on_servers(&servers, "faults", "")?;
    let wire = Wire::lay(&installation.runtime(), &servers.cql)?;
    for (name, role) in SERVICES {
        let of_its_own = [("ROOST__STORE__SCYLLA__CONTACT_POINTS", wire.address())];
        installation.start_role_with(name, role, if name == PAUSED_SCORER { &of_its_own } else { &[] })?;
    }
    let api = installation.url("api", "API")?;
    installation.ready("api")?;
    let (client, mut told) = (Client::new(api.clone()), Told::default());
    for n in 0..SESSIONS {
        told.state(&client, seed, n, n)?;
    }
    ensure!(told.promises.len() == SESSIONS as usize, "{} sessions were taken", told.promises.len());

    let seattle = real_data("seattle_redfin_events.csv.zst");
    let feed = publish(&installation, seattle.as_ref())?;
    let load = Load::start(api, seed, SESSIONS, Duration::from_millis(20), told);
    let watch = Watch::start(&installation);
    kill_at_random(&mut installation, &mut random)?;
    let stale = pause_until_a_zombie_writes(&installation, &wire)?;
    feed.finish("the feed", patience(240))?;
    let told = load.stop()?;

    let (fates, rows) = come_to_rest(&installation, 240)?;
    let seen = watch.stop()?;
    checks::states_are_as_recorded(&installation)?;
    told.are_kept(&installation)?;
    if seattle.is_some() {
        let sources = checks::all_sources(&fates).len();
        ensure!(sources == SEATTLE_RECORDS, "{sources} sources");
        canonical::listings_equal_what_was_said(&installation, &fates, "seattle")?;
    }
    eprintln!(
        "{} taken, {rows} rows equal; {} statements acknowledged, {} unknown; {stale} stale writes; {} looks, {} advances",
        fates.canonical.len(),
        told.acknowledged,
        told.unknown,
        seen.looks,
        seen.advances
    );
    ensure!(seen.looks > 10 && seen.advances > 1_000, "{} looks saw {} advances", seen.looks, seen.advances);
    Ok(())
}

/// The feed as a process of its own: the real one, or the synthetic market where there is no real data.
fn publish(installation: &Installation, seattle: Option<&PathBuf>) -> Result<Running> {
    let mut command = roost()?;
    command.arg("--config").arg(installation.config());
    match seattle {
        Some(file) => command.arg("publish").arg(file).args(["--feed", "seattle", "--map", "redfin"]),
        None => command.args(["synthetic", "--publish", "--listings", "1000", "--events", "17000"]),
    };
    let said = std::fs::File::create(installation.path("feed.log"))?;
    Running::spawn(command.args(["--rate", RECORDS_PER_SECOND]).stdout(said.try_clone()?).stderr(said))
}

/// Kills each service `KILLS` times, in a random order, at random moments.
fn kill_at_random(installation: &mut Installation, random: &mut Random) -> Result<()> {
    for _ in 0..KILLS {
        let mut roles = vec!["scorer", "enricher", "ingest", "api"];
        while !roles.is_empty() {
            let role = roles.swap_remove(random.below(roles.len() as u64) as usize);
            let named: Vec<&str> = SERVICES.iter().filter(|(_, r)| *r == role).map(|(name, _)| *name).collect();
            let name = named[random.below(named.len() as u64) as usize];
            let moment = Instant::now() + Duration::from_millis(200 + random.below(1_000));
            until("the moment comes", patience(10), || Ok((Instant::now() >= moment).then_some(())))?;
            ensure!(installation.exit_code(name)?.is_none(), "{name} ended:\n{}", installation.output(name));
            installation.kill(name)?;
            installation.restart(name)?;
        }
    }
    Ok(())
}

/// Pauses one scorer and one enricher past their sessions and lets them go on, until the scorer has counted a write that
/// was acknowledged under an epoch that is no longer the newest. How many it counted.
fn pause_until_a_zombie_writes(installation: &Installation, wire: &Wire) -> Result<f64> {
    let owned = |name: &str, metric: &str, wanted: &dyn Fn(f64) -> bool| -> Result<()> {
        until(&format!("{metric} of {name}"), patience(60), || {
            Ok(wanted(installation.metric(name, metric)?).then_some(()))
        })
    };
    let (shards, partitions) = ("roost_scorer_shards_owned", "roost_enricher_partitions_owned");
    let all = f64::from(installation.log.partitions());
    wire.delay(LATE);
    // Whether a zombie sends anything before it learns that it is one is a race, which it may lose several times.
    let deadline = Instant::now() + patience(300);
    loop {
        for name in ["scorer-a", "scorer-b"] {
            owned(name, shards, &|count| count > 0.0)?;
        }
        for name in ["enricher-a", "enricher-b"] {
            owned(name, partitions, &|count| count > 0.0)?;
        }
        for name in [PAUSED_SCORER, PAUSED_ENRICHER] {
            installation.signal(name, "STOP")?;
        }
        owned("scorer-b", shards, &|count| count == all)?;
        owned("enricher-b", partitions, &|count| count == all)?;
        for name in [PAUSED_SCORER, PAUSED_ENRICHER] {
            installation.signal(name, "CONT")?;
        }
        let counted = until("a zombie has written", patience(5), || {
            let stale = installation.metric(PAUSED_SCORER, "roost_scorer_stale_writes_total")?;
            Ok((stale > 0.0).then_some(stale))
        });
        match counted {
            Ok(stale) => {
                wire.delay(Duration::ZERO);
                return Ok(stale);
            }
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => {}
        }
    }
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}
