//! A portal's snapshots, published as its operator would: changes become history, what is absent leaves the market, a
//! broken export is refused, and amenities can be asked for. What is expected is worked out from the files alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use e2e::harness::{Installation, Servers, real_data};
use schemas::topic::Topic;
use serde_json::{Value, json};

use crate::client::{Client, Doors};
use crate::pipeline::come_to_rest;

const FEED: &str = "palm-springs";
const MARKETS: &str =
    "us/ca/palm-springs,us/ca/indio,us/ca/bermuda-dunes,us/ca/cathedral-city,us/ca/north-palm-springs";

/// One day's snapshot: its rows in the order of the file.
struct Snapshot {
    day: String,
    rows: Vec<Value>,
}

/// What a row says of a home: status and price as the portal writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    status: String,
    price: Option<String>,
}

impl Snapshot {
    fn write(&self, installation: &Installation, name: &str) -> Result<PathBuf> {
        let path = installation.path(name);
        let lines: Vec<String> = self.rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(&path, lines.concat())?;
        Ok(path)
    }

    /// The first rows, as an export that stopped after them.
    fn stopped_after(&self, rows: usize) -> Self {
        Self { day: self.day.clone(), rows: self.rows[..rows].to_vec() }
    }

    /// What is said of each home, in order; a home can have several rows.
    fn homes(&self) -> BTreeMap<&str, Vec<Said>> {
        let mut homes: BTreeMap<&str, Vec<Said>> = BTreeMap::new();
        for row in &self.rows {
            let said = Said { status: text(row, "status"), price: row["list_price"].as_str().map(str::to_owned) };
            homes.entry(row["property_id"].as_str().unwrap_or_default()).or_default().push(said);
        }
        homes
    }

    /// The homes whose last row has one of these statuses.
    fn with_status(&self, statuses: &[&str]) -> BTreeSet<String> {
        let is_one = |said: &[Said]| said.last().is_some_and(|last| statuses.contains(&last.status.as_str()));
        self.homes().into_iter().filter(|(_, said)| is_one(said)).map(|(key, _)| id(key)).collect()
    }

    /// The homes whose last row has all of these tags.
    fn with_tags(&self, tags: &[&str]) -> BTreeSet<String> {
        let last: BTreeMap<&str, &Value> =
            self.rows.iter().map(|row| (row["property_id"].as_str().unwrap_or_default(), row)).collect();
        let has = |row: &Value, tag| row["raw_tags"].as_array().is_some_and(|tags| tags.iter().any(|t| t == tag));
        last.into_iter().filter(|(_, row)| tags.iter().all(|tag| has(row, *tag))).map(|(key, _)| id(key)).collect()
    }
}

fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

fn id(key: &str) -> String {
    format!("{FEED}:{key}")
}

/// RESO's status, and its word for a change to it.
fn reso(status: &str, is_first: bool) -> (&'static str, &'static str) {
    match status {
        "FOR_SALE" if is_first => ("Active", "NewListing"),
        "FOR_SALE" => ("Active", "BackOnMarket"),
        "CONTINGENT" => ("ActiveUnderContract", "ActiveUnderContract"),
        "PENDING" => ("Pending", "Pending"),
        _ => ("Closed", "Closed"),
    }
}

/// What one day says of each home.
type Day<'a> = (&'a str, BTreeMap<&'a str, Vec<Said>>);

/// The history that days give a home: day, status, price and change of each point.
fn history(days: &[Day<'_>], key: &str) -> Vec<(String, String, Option<f64>, String)> {
    let mut points = Vec::new();
    let mut before: Option<&Said> = None;
    for (day, homes) in days {
        for said in homes.get(key).into_iter().flatten() {
            if before == Some(said) {
                continue;
            }
            let (status, change) = reso(&said.status, before.is_none());
            let change = match before {
                Some(before) if before.status == said.status => "PriceChange",
                _ => change,
            };
            let price = said.price.as_ref().and_then(|price| price.parse().ok());
            points.push(((*day).to_owned(), status.to_owned(), price, change.to_owned()));
            before = Some(said);
        }
    }
    points
}

fn read(file: &std::path::Path) -> Result<Vec<Snapshot>> {
    let bytes = zstd::decode_all(std::fs::File::open(file)?)?;
    let mut days: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let row: Value = serde_json::from_slice(line)?;
        days.entry(text(&row, "snapshot_date")).or_default().push(row);
    }
    Ok(days.into_iter().map(|(day, rows)| Snapshot { day, rows }).collect())
}

/// `roost publish --snapshot FILE`: what it says, and its exit code.
fn publish(installation: &Installation, file: &std::path::Path, more: &[&str]) -> Result<(String, i32)> {
    let file = file.to_str().context("a path in UTF-8")?;
    let mut arguments = vec!["publish", file, "--feed", FEED, "--map", "docs/examples/palm-springs.toml", "--snapshot"];
    arguments.extend(more);
    installation.run(&arguments)
}

/// What the API offers of the five markets is what the snapshot says is on offer, with its prices.
fn offers_are_those_of(client: &Client, snapshot: &Snapshot) -> Result<usize> {
    let found = client.browse(&format!("market={MARKETS}&status=Active,ActiveUnderContract"))?;
    let wanted = snapshot.with_status(&["FOR_SALE", "CONTINGENT"]);
    let ids: BTreeSet<String> = found.keys().cloned().collect();
    let (extra, missing): (Vec<_>, Vec<_>) = (ids.difference(&wanted).collect(), wanted.difference(&ids).collect());
    ensure!(extra.is_empty() && missing.is_empty(), "offered and should not be: {extra:?}; not offered: {missing:?}");
    for (key, said) in snapshot.homes() {
        let (Some(property), Some(said)) = (found.get(&id(key)), said.last()) else { continue };
        let price = said.price.as_ref().and_then(|price| price.parse::<f64>().ok());
        ensure!(property["list_price"].as_f64() == price, "{key} costs {}, not {price:?}", property["list_price"]);
    }
    Ok(found.len())
}

#[test]
fn snapshots_of_a_portal_move_the_market_as_they_say() -> Result<()> {
    let (Some(servers), Some(file)) = (Servers::from_environment(), real_data("palm_springs_listings.jsonl.zst"))
    else {
        return Ok(());
    };
    let snapshots = read(&file)?;
    let [first, second] = snapshots.as_slice() else { anyhow::bail!("{} snapshots, not 2", snapshots.len()) };
    let doors = Doors::free()?;
    let mut installation = Installation::on_servers(&servers, "palms", &doors.settings())?;
    doors.open(&mut installation)?;
    let client = doors.client();

    // The first one: nothing was there before, so nothing is gone.
    let (said, code) = publish(&installation, &first.write(&installation, "first.jsonl")?, &[])?;
    ensure!(code == 0 && said.contains(&format!("{} rows, 0 homes gone", first.rows.len())), "{code}: {said}");
    let (fates, rows) = come_to_rest(&installation, 60)?;
    ensure!(fates.dead.is_empty(), "{:?}", e2e::checks::codes(&fates));
    let offered = offers_are_those_of(&client, first)?;
    eprintln!("{offered} homes on offer, {rows} rows equal");

    let on_offer = first.with_status(&["FOR_SALE", "CONTINGENT", "PENDING"]);
    let still_there: BTreeSet<String> = second.homes().into_keys().map(id).collect();
    let gone: BTreeSet<&String> = on_offer.difference(&still_there).collect();
    ensure!(!gone.is_empty(), "no home vanishes: the test shows nothing");

    // Sessions that look for just such homes as will be gone, and one whose amenities nobody has told yet.
    let mut watching = Vec::new();
    for row in first
        .rows
        .iter()
        .filter(|row| gone.contains(&id(&text(row, "property_id"))) && text(row, "status") == "FOR_SALE")
    {
        let number = |column| text(row, column).parse::<f64>().ok();
        let (Some(latitude), Some(longitude), Some(price)) =
            (number("latitude"), number("longitude"), number("list_price"))
        else {
            continue;
        };
        let place = json!({"within": {"latitude": latitude, "longitude": longitude, "radius_km": 0.3}});
        let session =
            client.state(&json!({"budget": price, "currency": "USD", "place": place, "profile": "commuter"}))?;
        watching.push(session);
        // As many as show it; each is read after every snapshot.
        if watching.len() == 40 {
            break;
        }
    }
    let cities = json!({"cities": MARKETS.split(',').collect::<Vec<_>>()});
    let bather = client.state(&json!({
        "budget": 2_500_000, "currency": "USD", "place": cities, "required_amenities": ["pool", "spa"],
    }))?;
    let recommended = |sessions: &[_]| -> Result<BTreeSet<String>> {
        let mut ids = BTreeSet::new();
        for session in sessions {
            ids.extend(client.recommended(session)?.iter().map(|item| text(item, "listing_id")));
        }
        Ok(ids)
    };
    let before = recommended(&watching)?;
    let doomed = before.iter().filter(|id| gone.contains(id)).count();
    ensure!(doomed > 10, "{doomed} homes that will vanish are recommended: the test shows nothing");
    ensure!(client.recommended(&bather)?.is_empty(), "no home has told its amenities yet");

    // An export that stopped half way is refused, whichever way it stopped, and changes nothing.
    let half = second.stopped_after(second.rows.len() / 2);
    let half_file = half.write(&installation, "half.jsonl")?;
    let cut_file = installation.path("cut.jsonl");
    std::fs::write(
        &cut_file,
        std::fs::read(&half_file)?.split_last().context("it is empty")?.1.split_last().context("it is empty")?.1,
    )?;
    let records = installation.records(Topic::ListingsRaw)?.len();
    for (broken, reason) in
        [(&half_file, "are absent from the snapshot of 2026-04-26"), (&cut_file, "the file is cut off")]
    {
        let (said, code) = publish(&installation, broken, &[])?;
        ensure!(code == 1 && said.contains(reason) && said.contains("nothing was sent"), "{code}: {said}");
        eprintln!("refused as it should be: {said}");
    }
    ensure!(installation.records(Topic::ListingsRaw)?.len() == records, "a refused snapshot was sent");
    offers_are_those_of(&client, first)?;

    // The second one: prices and statuses change, and what is absent is gone.
    let second_file = second.write(&installation, "second.jsonl")?;
    let (said, code) = publish(&installation, &second_file, &[])?;
    let gone_text = format!("{} rows, {} homes gone", second.rows.len(), gone.len());
    ensure!(code == 0 && said.contains(&gone_text), "{code}: {said} (expected {gone_text})");
    let (fates, _) = come_to_rest(&installation, 60)?;
    ensure!(fates.dead.is_empty(), "{:?}", e2e::checks::codes(&fates));
    let offered = offers_are_those_of(&client, second)?;
    let hints: BTreeSet<String> = installation.rows()?.into_keys().filter_map(hinted).collect();
    ensure!(gone.iter().all(|id| !hints.contains(*id)), "a home that is gone is in listings_by_market");
    for id in &gone {
        ensure!(client.get(&format!("/properties/{id}"), None)?.0 == 404, "{id} is gone and shown");
    }
    let after = recommended(&watching)?;
    let on_offer_now = second.with_status(&["FOR_SALE"]);
    let wrong: Vec<_> = after.difference(&on_offer_now).collect();
    ensure!(wrong.is_empty(), "recommended and not on offer: {wrong:?}");
    eprintln!("{offered} homes on offer, {} gone, {doomed} of them were recommended and are not", gone.len());

    let mut changes: BTreeMap<String, usize> = BTreeMap::new();
    let days = [first, second].map(|snapshot| (snapshot.day.as_str(), snapshot.homes()));
    let keys: BTreeSet<&str> = days.iter().flat_map(|(_, homes)| homes.keys().copied()).collect();
    for (n, key) in keys.into_iter().enumerate().filter(|(_, key)| !gone.contains(&id(key))) {
        let wanted = history(&days, key);
        // Every home that changed, and some of the others: each is a request of its own.
        if wanted.len() == 1 && n % 20 != 0 {
            continue;
        }
        let body = client.read(&format!("/properties/{}/history", id(key)), None)?;
        let found: Vec<_> = body["items"].as_array().context("no items")?.iter().map(point).collect();
        ensure!(found == wanted, "{key}: {found:?}, the snapshots say {wanted:?}");
        for (.., change) in found.into_iter().skip(1) {
            *changes.entry(change).or_default() += 1;
        }
    }
    eprintln!("changes after a home's first point: {changes:?}");
    for change in ["PriceChange", "Closed", "Pending", "ActiveUnderContract", "BackOnMarket"] {
        ensure!(changes.contains_key(change), "no {change}: the test shows nothing");
    }

    // Amenities: what has them and nothing else, for who browses and for who has a session.
    let active = second.with_status(&["FOR_SALE"]);
    for (amenities, tags) in [
        ("pool", &["swimming_pool"][..]),
        ("pool,spa", &["swimming_pool", "spa_or_hot_tub"]),
        ("senior_community", &["senior_community"]),
    ] {
        let found: BTreeSet<String> =
            client.browse(&format!("market={MARKETS}&amenities={amenities}"))?.into_keys().collect();
        let wanted: BTreeSet<String> = second.with_tags(tags).intersection(&active).cloned().collect();
        ensure!(found == wanted, "{amenities}: {} homes, {} have the tags", found.len(), wanted.len());
        eprintln!("{} of {} homes have {amenities}", found.len(), active.len());
    }
    let items = client.recommended(&bather)?;
    let with_both = second.with_tags(&["swimming_pool", "spa_or_hot_tub"]);
    let fits =
        |item: &Value| with_both.contains(&text(item, "listing_id")) && active.contains(&text(item, "listing_id"));
    ensure!(items.len() == 3 && items.iter().all(fits), "{items:?}");

    // Told that it is true, the half is believed; the whole one then brings the others back.
    let (said, code) = publish(&installation, &half_file, &["--max-vanish", "1"])?;
    ensure!(code == 0, "{code}: {said}");
    come_to_rest(&installation, 60)?;
    let left = offers_are_those_of(&client, &half)?;
    let (said, code) = publish(&installation, &second_file, &[])?;
    ensure!(code == 0, "{code}: {said}");
    come_to_rest(&installation, 60)?;
    let back = offers_are_those_of(&client, second)?;
    eprintln!("{left} homes on offer after half a snapshot that was forced, {back} after the whole one");
    let returned = active.difference(&half.with_status(&["FOR_SALE", "CONTINGENT", "PENDING", "SOLD"])).next().cloned();
    let returned = returned.context("every active home is in the first half")?;
    let property = client.read(&format!("/properties/{returned}"), None)?;
    ensure!(property["last_change"] == "BackOnMarket", "{property}");
    Ok(())
}

/// The listing of an index entry.
fn hinted(row: store::Row) -> Option<String> {
    match row {
        store::Row::ListingByMarket(entry) => Some(entry.listing_id.to_string()),
        _ => None,
    }
}

/// A point of a history as the API tells it.
fn point(item: &Value) -> (String, String, Option<f64>, String) {
    let day = text(item, "at").chars().take(10).collect();
    (day, text(item, "standard_status"), item["list_price"].as_f64(), text(item, "change"))
}
