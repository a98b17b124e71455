//! What comparables cost: the features of a listing among a million sales of ten cities, beside a look at every sale of its
//! city. One thread, its own CPU time.

use anyhow::{Context, Result};
use enricher::features::FeatureList;
use enricher::schools::SchoolRatings;
use enricher::surroundings::Surroundings;
use schemas::id::Market;
use schemas::listing::Listing;
use schemas::sale::Sale;
use schemas::units::Position;

use crate::machine;
use crate::report::{Line, Report, line};

/// How many sales are known.
const SALES: u32 = 1_000_000;
/// How many are taken in between two looks at the clock.
const TOGETHER: u32 = 10_000;
/// Over how many days they closed: the window of the comparables.
const DAYS: i64 = 1_090;
/// How many cities they are spread over.
const CITIES: usize = 10;
/// How many listings are looked at, and how many of them by the peer.
const LISTINGS: usize = 20_000;
const PEER_LISTINGS: usize = 500;
/// How often all listings are looked at: the clock of a thread moves in steps of some milliseconds.
const ROUNDS: usize = 10;
/// How many neighbours the peer finds: as many as the widest feature asks for.
const NEIGHBOURS: usize = 30;

/// How many attributes a sale has that are numbers: as many as King County's.
const ATTRIBUTES: u32 = 12;

const PLAIN: [&str; 6] =
    ["living_area_sqft", "bedrooms_total", "bathrooms_total", "year_built", "latitude", "longitude"];
/// The features that look at comparables.
pub const COMPARED: [&str; 7] = [
    "comparables_price_per_sqft",
    "comparables_median_price_per_sqft",
    "comparables_distance_km",
    "comparables_similar_price",
    "comparables_wide_price_per_sqft",
    "comparables_recent_price_per_sqft",
    "market_recent_price_per_sqft",
];
const ASKED: [&str; 1] = ["comparables_similar_price.30.attribute-3:0.5"];

/// Adds its lines to the table.
pub fn run(report: &mut Report) -> Result<()> {
    let surroundings = Surroundings::new(SchoolRatings::default(), true);
    let mut places = Places { state: 42, markets: markets()? };
    let mut cities: Vec<Vec<(Position, f64)>> = vec![Vec::new(); CITIES];
    report.say("comparables: a million sales");
    let before = machine::resident_mb(std::process::id())?;
    let (mut taking, template) = (0.0, sale()?);
    let first_day = template.close_date;
    for chunk in 0..SALES / TOGETHER {
        let mut sales = Vec::with_capacity(TOGETHER as usize);
        for number in chunk * TOGETHER..(chunk + 1) * TOGETHER {
            let (city, position, share) = places.next().context("a place outside of the globe")?;
            let after = jiff::Span::new().days(DAYS * i64::from(number) / i64::from(SALES));
            cities[city].push((position, share));
            sales.push(Sale {
                listing_id: format!("f:{number}").parse()?,
                market: places.markets[city].clone(),
                position: Some(position),
                close_date: first_day.saturating_add(after),
                living_area_sqft: Some(800 + (share * 2_000.0) as u32),
                attributes: (0..ATTRIBUTES).map(|at| (format!("attribute-{at}"), (number % (at + 9)) as f32)).collect(),
                ..template.clone()
            });
        }
        let begun = machine::thread_seconds();
        sales.iter().for_each(|sale| surroundings.take(sale));
        taking += machine::thread_seconds() - begun;
    }
    let held = machine::resident_mb(std::process::id())? - before;
    report.add(line(
        format!("comparables: a sale of {ATTRIBUTES} attributes taken in, {SALES} in {CITIES} cities"),
        format!("{:.1} µs, {held:.0} MB in all", taking * 1e6 / f64::from(SALES)),
        "–",
    ));

    let template = listing()?;
    let homes: Vec<(usize, Listing)> = (0..LISTINGS)
        .map(|number| {
            let (city, position, _) = places.next().context("a place outside of the globe")?;
            let listing_id = format!("g:{number}").parse()?;
            let market = places.markets[city].clone();
            Ok((city, Listing { listing_id, market, position: Some(position), ..template.clone() }))
        })
        .collect::<Result<_>>()?;
    let plain = FeatureList::named(&PLAIN)?;
    let all = FeatureList::named(&[PLAIN.as_slice(), &COMPARED].concat())?;
    let asking = FeatureList::named(&[PLAIN.as_slice(), &COMPARED, &ASKED].concat())?;
    let (without, with) = (time(&surroundings, &plain, &homes), time(&surroundings, &all, &homes));
    let asked = time(&surroundings, &asking, &homes);
    let peer = look_at_all(&cities, &homes[..PEER_LISTINGS]);
    report.add(Line {
        what: "comparables: the features of a listing, per core".to_owned(),
        seen: format!("{with:.1} µs, {without:.2} µs without, {asked:.1} µs with one of the feed's own numbers"),
        peer: format!("{peer:.0} µs to look at every sale of its city ({:.0}×)", peer / with),
        goal: "≤ 15 µs".to_owned(),
    });
    Ok(())
}

/// Microseconds per listing.
fn time(surroundings: &Surroundings, features: &FeatureList, homes: &[(usize, Listing)]) -> f64 {
    let (mut matrix, begun) = (Vec::new(), machine::thread_seconds());
    for batch in (0..ROUNDS).flat_map(|_| homes.chunks(256)) {
        let known = surroundings.now();
        matrix.clear();
        for (_, home) in batch {
            features.append_row(&known.of(home, features), &mut matrix);
        }
        std::hint::black_box(&matrix);
    }
    (machine::thread_seconds() - begun) * 1e6 / (ROUNDS * homes.len()) as f64
}

/// Microseconds per listing of finding its neighbours without an index.
fn look_at_all(cities: &[Vec<(Position, f64)>], homes: &[(usize, Listing)]) -> f64 {
    let begun = machine::thread_seconds();
    for (city, home) in homes {
        let Some(here) = home.position else { continue };
        let across = (f64::from(here.latitude.steps()) / 1e5).to_radians().cos();
        let mut squares: Vec<(f64, f64)> = cities[*city]
            .iter()
            .map(|(place, value)| {
                let x = f64::from(place.longitude.steps() - here.longitude.steps()) * across;
                let y = f64::from(place.latitude.steps() - here.latitude.steps());
                (x * x + y * y, *value)
            })
            .collect();
        squares.select_nth_unstable_by(NEIGHBOURS, |a, b| a.0.total_cmp(&b.0));
        std::hint::black_box(&squares[..NEIGHBOURS]);
    }
    (machine::thread_seconds() - begun) * 1e6 / homes.len() as f64
}

/// Places of homes: the nearer to a centre, the more of them.
struct Places {
    state: u64,
    markets: Vec<Market>,
}

impl Places {
    /// A city, a position in it, and a number from 0 to 1.
    fn next(&mut self) -> Option<(usize, Position, f64)> {
        let city = (self.share() * CITIES as f64) as usize;
        let (north, east) = (self.around() * 0.25, self.around() * 0.35);
        let position = Position::from_degrees(30.0 + city as f64 * 1.7 + north, -120.0 + city as f64 * 3.0 + east)?;
        Some((city, position, self.share()))
    }

    fn around(&mut self) -> f64 {
        self.share() + self.share() + self.share() - 1.5
    }

    fn share(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn markets() -> Result<Vec<Market>> {
    (0..CITIES).map(|city| Ok(format!("us/wa/city-{city}").parse()?)).collect()
}

fn sale() -> Result<Sale> {
    Ok(serde_json::from_value(serde_json::json!({
        "listing_id": "f:1", "market": "us/wa/city-0", "transaction": "sale", "currency": "USD",
        "version": {"timestamp_ms": 1_700_000_000_000_i64, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
        "close_price": 500_000, "close_date": "2020-11-01", "bathrooms_total": 2.5, "year_built": 1980,
        "appraisals": [{"model": "m", "model_version": "1", "p10": 400_000, "p50": 500_000, "p90": 600_000}],
    }))?)
}

fn listing() -> Result<Listing> {
    Ok(serde_json::from_value(serde_json::json!({
        "listing_id": "g:1", "feed": "g", "standard_status": "Active", "property_type": "Residential", "transaction": "sale",
        "version": {"timestamp_ms": 1_700_000_000_000_i64, "raw_partition": 0, "raw_offset": 0, "batch_index": 0},
        "market": "us/wa/city-0", "country": "us", "currency": "USD", "list_price": 500_000, "living_area_sqft": 1_600,
        "bedrooms_total": 3, "bathrooms_total": 2, "year_built": 1990, "attributes": {"attribute-3": 7},
    }))?)
}
