//! Listings made to be watched: each stands alone under a postal code of its own, and a session waits for it there. A change
//! of one has a price that no other change has, so that whoever sees the price knows which change it is and how old.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crossbeam_channel::{Receiver, Sender, bounded};
use schemas::header;
use schemas::id::{ListingId, SessionToken};
use schemas::preferences::Preferences;
use schemas::topic::{Topic, session_key};
use stream::Outgoing;

use crate::spread::Spread;

/// Listings that are watched. At 100 changes a second each changes every 2.4 s, long after its last change was seen.
pub const LISTINGS: usize = 240;
/// Changes of one run, at most.
pub const CHANGES: usize = 20_000;
/// Price of the first change; six digits up to the last one, so that no price is the beginning of another.
const FIRST_PRICE: usize = 200_000;
/// A change that is not seen by then is counted as not seen.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks: short beside what is measured, long enough that looking is not most of the load.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The log has acknowledged it.
    Appended,
    /// It stands on `listings`; of the relay, on its second topic.
    Canonical,
    /// It stands on `listings.priced`; of the relay, on its third topic.
    Priced,
    /// The listing's row shows it; of the relay, the store has acknowledged the write.
    Row,
    /// `GET /properties/{id}` shows it; of the relay, a read of the row.
    Property,
    /// `GET /recommendations` of its session shows it.
    Recommendation,
}

const STAGES: usize = 6;

/// When each change was published, and when it came how far.
pub struct Journal {
    begun: Instant,
    /// Nanoseconds from `begun`, 0 for never: published, then the stages.
    changes: Vec<[AtomicU64; STAGES + 1]>,
}

impl Journal {
    /// Nothing happened yet.
    pub fn new() -> Arc<Self> {
        let never = || std::array::from_fn(|_| AtomicU64::new(0));
        Arc::new(Self { begun: Instant::now(), changes: (0..CHANGES).map(|_| never()).collect() })
    }

    fn note(&self, change: usize, column: usize) {
        // A run of 500 years is not planned.
        let at = self.begun.elapsed().as_nanos() as u64;
        if let Some(times) = self.changes.get(change) {
            // Only the first time counts; whoever is second changes nothing.
            let _ = times[column].compare_exchange(0, at, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// The change is handed to the log now.
    pub fn published(&self, change: usize) {
        self.note(change, 0);
    }

    /// The change is seen at a stage now.
    pub fn reached(&self, change: usize, stage: Stage) {
        self.note(change, stage as usize + 1);
    }

    /// Milliseconds from publication to a stage, of the changes from `first` on that came there.
    pub fn spread(&self, first: usize, stage: Stage) -> Spread {
        let times = self.changes.iter().skip(first).filter_map(|times| {
            let [published, reached] = [0, stage as usize + 1].map(|column| times[column].load(Ordering::Acquire));
            (published > 0 && reached > 0).then(|| reached.saturating_sub(published) as f64 / 1e6)
        });
        Spread::of(times.collect())
    }
}

/// The listing that a change is of.
pub const fn listing_of(change: usize) -> usize {
    change % LISTINGS
}

/// The text by which a change is known wherever it is shown.
pub fn mark(change: usize) -> String {
    format!("\"list_price\":{}", FIRST_PRICE + change)
}

/// The change that a text of a record or an answer shows.
pub fn shown(text: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\"list_price\":";
    let at = text.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let price = digits.fold(0_usize, |price, digit| price.saturating_mul(10) + usize::from(digit - b'0'));
    price.checked_sub(FIRST_PRICE).filter(|change| *change < CHANGES)
}

/// The id of a watched listing.
pub fn id(listing: usize) -> ListingId {
    // A feed and a key as this file writes them.
    format!("bench:{listing}").parse().expect("a listing id")
}

/// The change as its feed publishes it: about 1 kB of RESO.
pub fn record(change: usize, now_ms: i64) -> Outgoing {
    let listing = listing_of(change);
    let time = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let (price, latitude, code) = (FIRST_PRICE + change, 47.0 + listing as f64 / 1_000.0, postal_code(listing));
    let value = format!(
        r#"{{"ListingKey":"{listing}","ListingId":"{listing}","OriginatingSystemName":"Bench","StandardStatus":"Active",
"PropertyType":"Residential","PropertySubType":"Single Family Residence","ListPrice":{price},"OriginalListPrice":450000,
"BedroomsTotal":3,"BathroomsFull":2,"BathroomsHalf":1,"LivingArea":1800,"LivingAreaUnits":"Square Feet",
"LotSizeArea":6000,"LotSizeUnits":"Square Feet","YearBuilt":1987,"AssociationFee":40,
"AssociationFeeFrequency":"Monthly","ParkingFeatures":["Garage"],"FireplaceFeatures":["Wood Burning"],
"SchoolRating":7.5,"CommuteMinutes":25,"UnparsedAddress":"{listing} Bench Street","SubdivisionName":"Bench",
"City":"Watched","StateOrProvince":"WA","PostalCode":"{code}","Country":"US","Latitude":{latitude},
"Longitude":-122.1,"OnMarketTimestamp":"2026-11-01T08:00:00Z","ModificationTimestamp":"{time}",
"PublicRemarks":"A listing that changes so that somebody can see how soon the change is seen.",
"ListingURL":"https://example.com/{listing}","InternetEntireListingDisplayYN":true,
"InternetAddressDisplayYN":true,"InternetAutomatedValuationDisplayYN":true}}"#
    );
    Outgoing {
        topic: Topic::ListingsRaw,
        partition: None,
        key: Some(id(listing).as_str().as_bytes().to_vec()),
        value: Some(value.into_bytes()),
        headers: vec![(header::FEED.to_owned(), b"bench".to_vec())],
    }
}

/// The token of the session that waits for a listing.
pub fn token(listing: usize) -> SessionToken {
    SessionToken::from_bits(0xBE_0000_0000 + listing as u128)
}

/// No post office assigns these, and the synthetic market has others.
fn postal_code(listing: usize) -> String {
    format!("{:05}", 500 + listing)
}

/// What that session wants: the one home under that postal code. The body of `POST /preferences`.
pub fn wish(listing: usize) -> String {
    let code = postal_code(listing);
    format!(r#"{{"budget":900000,"currency":"USD","place":{{"postal_codes":["us/{code}"]}}}}"#)
}

/// The same as it stands on `preferences`.
pub fn statement(listing: usize) -> Outgoing {
    // As the API takes it.
    let preferences = Preferences::parse(wish(listing).as_bytes()).expect("preferences");
    stated(token(listing), &preferences)
}

/// A statement as it stands on `preferences`.
pub fn stated(token: SessionToken, preferences: &Preferences) -> Outgoing {
    Outgoing {
        topic: Topic::Preferences,
        partition: None,
        key: Some(session_key(token.session_id())),
        value: Some(preferences.to_json()),
        headers: Vec::new(),
    }
}

/// A way to look at a listing: what it shows now, as text.
pub type Look = Box<dyn FnMut(usize, &mut Vec<u8>) -> Result<()> + Send>;

/// Looks for changes, each at the stage that it is asked for; one thread per way of looking.
pub struct Watchers {
    offers: Vec<(Stage, Sender<usize>)>,
    threads: Vec<std::thread::JoinHandle<Result<usize>>>,
}

impl Watchers {
    /// Starts the threads.
    pub fn start(journal: &Arc<Journal>, looks: Vec<(Stage, Look)>) -> Result<Self> {
        let (mut offers, mut threads) = (Vec::new(), Vec::new());
        for (stage, look) in looks {
            // A change is taken at once or not at all: one that waited would be seen late.
            let (offer, offered) = bounded(0);
            let journal = Arc::clone(journal);
            let watch = move || watch(stage, &journal, &offered, look);
            threads.push(std::thread::Builder::new().name(format!("watch-{stage:?}")).spawn(watch)?);
            offers.push((stage, offer));
        }
        Ok(Self { offers, threads })
    }

    /// Has a change watched by a thread that is free, at the stage whose turn it is.
    pub fn offer(&mut self, change: usize) {
        if let Some(free) = self.offers.iter().position(|(_, offer)| offer.try_send(change).is_ok()) {
            // The next change goes to others first, so that every stage is looked at as often.
            self.offers.rotate_left(free + 1);
        }
    }

    /// Ends; how many changes were never seen.
    pub fn stop(self) -> Result<usize> {
        drop(self.offers);
        let mut unseen = 0;
        for thread in self.threads {
            unseen += thread.join().map_err(|_| anyhow::anyhow!("a watcher panicked"))??;
        }
        Ok(unseen)
    }
}

fn watch(stage: Stage, journal: &Journal, offered: &Receiver<usize>, mut look: Look) -> Result<usize> {
    let (mut text, mut unseen) = (Vec::new(), 0);
    for change in offered {
        let begun = Instant::now();
        loop {
            look(change, &mut text)?;
            match shown(&text) {
                // A later change of the same listing has hidden this one: too late to tell.
                Some(seen) if seen > change => unseen += 1,
                Some(seen) if seen == change => journal.reached(change, stage),
                _ if begun.elapsed() > PATIENCE => unseen += 1,
                _ => {
                    std::thread::park_timeout(BETWEEN_LOOKS);
                    continue;
                }
            }
            break;
        }
    }
    Ok(unseen)
}

/// Waits until every watched listing is shown by `look`.
pub fn until_all_are_shown(limit: Duration, look: &mut Look) -> Result<()> {
    let (begun, mut text) = (Instant::now(), Vec::new());
    for listing in 0..LISTINGS {
        loop {
            if look(listing, &mut text).is_ok() && shown(&text).is_some() {
                break;
            }
            ensure!(begun.elapsed() < limit, "listing {listing} is not shown after {} s", limit.as_secs());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_known_by_its_price() {
        let text = format!("{{\"original_list_price\":1,{},\"x\":2}}", mark(77));
        assert_eq!(shown(text.as_bytes()), Some(77));
        assert_eq!(shown(b"{\"list_price\":450000}"), None);
        assert_eq!(shown(b"{}"), None);
    }

    #[test]
    fn the_front_door_takes_a_watched_listing_and_a_statement_finds_it() {
        let value = record(LISTINGS + 3, 1_795_608_000_000).value.unwrap();
        let origin = schemas::reso::Origin {
            partition: 0,
            offset: 0,
            append_time_ms: 1_795_608_000_000,
            feed: Some("bench".parse().unwrap()),
            ce_time_ms: None,
        };
        let items = schemas::reso::read(&value, &origin).unwrap();
        let listing = &items[0].outcome.as_ref().unwrap().listing;
        assert_eq!((&listing.listing_id, listing.market.as_str()), (&id(3), "us/wa/watched"));
        assert_eq!(listing.postal_code.as_deref(), Some("00503"));
        assert!(String::from_utf8(statement(3).value.unwrap()).unwrap().contains("us/00503"));
        assert_eq!(shown(serde_json::to_string(listing).unwrap().as_bytes()), Some(LISTINGS + 3));
        assert!((900..1_400).contains(&value.len()), "{} bytes", value.len());
    }
}
