//! What happens to an offer next: announced, offered, cut, under contract, sold, withdrawn, offered again. Pure: an
//! offer and a draw of chance in, the next offer and when the one after is due out.
//!
//! Does not know which listing's turn it is (`world.rs`) nor how a feed tells it (`record.rs`).

use schemas::vocabulary::StandardStatus;

use crate::home::Home;
use crate::random::Random;

/// Milliseconds in a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// What a home is offered for, as its feed last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// RESO `StandardStatus`.
    pub status: StandardStatus,
    /// RESO `ListPrice`, whole currency units.
    pub list_price: u32,
    /// RESO `OriginalListPrice`, whole currency units.
    pub original_list_price: u32,
    /// RESO `ClosePrice`, whole currency units; 0 until it is closed.
    pub close_price: u32,
    /// RESO `OnMarketTimestamp`, milliseconds since 1970.
    pub on_market_ms: i64,
    /// RESO `ModificationTimestamp`, milliseconds since 1970; also the day it closed.
    pub modified_ms: i64,
}

/// What a statement says that the one before it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Offered for the first time.
    NewListing,
    /// Announced.
    ComingSoon,
    /// Offered, after it was announced.
    Active,
    /// Cheaper than before.
    PriceCut,
    /// Dearer than before.
    PriceRise,
    /// An offer was accepted, further ones are taken.
    UnderContract,
    /// An offer was accepted.
    Pending,
    /// The contract fell through.
    BackOnMarket,
    /// Sold or let, with the price that was paid.
    Closed,
    /// Taken off the market.
    Withdrawn,
    /// Offered again after it was withdrawn.
    Relisted,
    /// Gone from the feed for good.
    Deleted,
    /// Nothing: the feed sent it again with a new timestamp.
    Confirmed,
    /// Delivered after a newer statement that corrects it.
    Late,
    /// Delivered a second time, to the letter.
    Repeated,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 15] = [
        Self::NewListing,
        Self::ComingSoon,
        Self::Active,
        Self::PriceCut,
        Self::PriceRise,
        Self::UnderContract,
        Self::Pending,
        Self::BackOnMarket,
        Self::Closed,
        Self::Withdrawn,
        Self::Relisted,
        Self::Deleted,
        Self::Confirmed,
        Self::Late,
        Self::Repeated,
    ];

    /// Whether nothing follows: the listing's place is taken by a new one.
    pub const fn ends_the_listing(self) -> bool {
        matches!(self, Self::Closed | Self::Deleted)
    }
}

/// One step of an offer's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) change: Change,
    pub(crate) offer: Offer,
    /// Until the next step, on the market's own clock.
    pub(crate) wait_ms: i64,
}

/// A new offer. `fair` is what the home is worth today.
pub(crate) fn open(home: &Home, fair: f64, now_ms: i64, random: &mut Random) -> Step {
    let asked = asking_price(home, fair * (1.02 + 0.05 * random.bell()));
    let announced = random.chance(0.12);
    let offer = Offer {
        status: if announced { StandardStatus::ComingSoon } else { StandardStatus::Active },
        list_price: asked,
        original_list_price: asked,
        close_price: 0,
        on_market_ms: now_ms,
        modified_ms: now_ms,
    };
    let (change, wait_ms) = if announced {
        (Change::ComingSoon, days(random, 3.0, 10.0))
    } else {
        (Change::NewListing, days(random, 1.0, 9.0))
    };
    Step { change, offer, wait_ms }
}

/// An offer that was made some time before the world began: on the market since up to two months.
pub(crate) fn open_in_the_past(home: &Home, fair: f64, now_ms: i64, random: &mut Random) -> Step {
    let mut step = open(home, fair, now_ms, random);
    if step.change == Change::NewListing {
        step.offer.on_market_ms -= days(random, 0.0, 60.0);
    }
    step
}

/// The next step of an offer that is not over. `unchanged` is the probability that the feed only repeats itself.
pub(crate) fn advance(home: &Home, offer: &Offer, fair: f64, now_ms: i64, unchanged: f64, random: &mut Random) -> Step {
    if random.chance(unchanged) {
        return step(Change::Confirmed, Offer { modified_ms: now_ms, ..*offer }, days(random, 0.5, 5.0));
    }
    match offer.status {
        StandardStatus::ComingSoon => {
            let offer = Offer { on_market_ms: now_ms, ..with_status(offer, StandardStatus::Active, now_ms) };
            step(Change::Active, offer, days(random, 1.0, 9.0))
        }
        StandardStatus::Active => advance_active(home, offer, fair, now_ms, random),
        StandardStatus::ActiveUnderContract if random.chance(0.9) => {
            step(Change::Pending, with_status(offer, StandardStatus::Pending, now_ms), days(random, 10.0, 30.0))
        }
        StandardStatus::Pending if random.chance(0.93) => {
            let offer = Offer {
                close_price: closing_price(home, offer, fair, random),
                ..with_status(offer, StandardStatus::Closed, now_ms)
            };
            step(Change::Closed, offer, days(random, 0.5, 3.0))
        }
        StandardStatus::Withdrawn if random.chance(0.6) => {
            let list_price = asking_price(home, fair * (0.99 + 0.04 * random.bell()));
            let again =
                Offer { list_price, on_market_ms: now_ms, ..with_status(offer, StandardStatus::Active, now_ms) };
            step(Change::Relisted, again, days(random, 1.0, 9.0))
        }
        StandardStatus::ActiveUnderContract | StandardStatus::Pending => {
            step(Change::BackOnMarket, with_status(offer, StandardStatus::Active, now_ms), days(random, 1.0, 9.0))
        }
        // Withdrawn for good; the others are never reached in this market.
        StandardStatus::Withdrawn
        | StandardStatus::Canceled
        | StandardStatus::Closed
        | StandardStatus::Delete
        | StandardStatus::Expired
        | StandardStatus::Hold
        | StandardStatus::Incomplete => {
            step(Change::Deleted, with_status(offer, StandardStatus::Delete, now_ms), days(random, 0.5, 3.0))
        }
    }
}

/// An active offer: the dearer it is for what it is worth, the more likely it is cut and the less likely it sells.
fn advance_active(home: &Home, offer: &Offer, fair: f64, now_ms: i64, random: &mut Random) -> Step {
    let over = f64::from(offer.list_price) / fair - 1.0;
    let cut = (300.0 + 3_000.0 * over).clamp(60.0, 700.0) as u64;
    let contract = (420.0 - 2_500.0 * over).clamp(60.0, 800.0) as u64;
    let rise = (60.0 - 500.0 * over).clamp(10.0, 150.0) as u64;
    match random.choose(&[cut, contract, rise, 45, 15]) {
        0 => reprice(home, offer, 1.0 - random.between(0.015, 0.08), now_ms, random),
        1 => step(
            Change::UnderContract,
            with_status(offer, StandardStatus::ActiveUnderContract, now_ms),
            days(random, 2.0, 9.0),
        ),
        2 => reprice(home, offer, 1.0 + random.between(0.01, 0.05), now_ms, random),
        3 => step(Change::Withdrawn, with_status(offer, StandardStatus::Withdrawn, now_ms), days(random, 5.0, 40.0)),
        _ => step(Change::Deleted, with_status(offer, StandardStatus::Delete, now_ms), days(random, 0.5, 3.0)),
    }
}

/// Another price for an active offer, by this factor; at least one step of the price grid.
pub(crate) fn reprice(home: &Home, offer: &Offer, factor: f64, now_ms: i64, random: &mut Random) -> Step {
    let grid = price_grid(home, f64::from(offer.list_price));
    let wanted = asking_price(home, f64::from(offer.list_price) * factor);
    let list_price = match factor < 1.0 {
        true => wanted.min(offer.list_price.saturating_sub(grid)).max(grid),
        false => wanted.max(offer.list_price + grid),
    };
    let change = if list_price < offer.list_price { Change::PriceCut } else { Change::PriceRise };
    step(change, Offer { list_price, modified_ms: now_ms, ..*offer }, days(random, 2.0, 14.0))
}

/// The same offer with another status.
pub(crate) const fn with_status(offer: &Offer, status: StandardStatus, now_ms: i64) -> Offer {
    Offer { status, modified_ms: now_ms, ..*offer }
}

pub(crate) const fn step(change: Change, offer: Offer, wait_ms: i64) -> Step {
    Step { change, offer, wait_ms }
}

/// Between what was asked and what it is worth, and chance.
fn closing_price(home: &Home, offer: &Offer, fair: f64, random: &mut Random) -> u32 {
    let paid = (0.5 * f64::from(offer.list_price) + 0.5 * fair) * (1.0 + 0.025 * random.bell());
    let grid = if home.lease { 5.0 } else { 100.0 };
    (paid / grid).round().max(1.0) as u32 * grid as u32
}

fn asking_price(home: &Home, price: f64) -> u32 {
    let grid = price_grid(home, price);
    ((price / f64::from(grid)).round() as u32).max(1) * grid
}

/// Sellers ask round sums.
fn price_grid(home: &Home, price: f64) -> u32 {
    match home.lease {
        true => 25,
        false if price < 1_000_000.0 => 1_000,
        false => 5_000,
    }
}

fn days(random: &mut Random, low: f64, high: f64) -> i64 {
    (random.between(low, high) * DAY_MS as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::PLACES;

    /// Lives of many homes, each from its opening to its end.
    fn lives(count: u64) -> Vec<(Home, Vec<Step>)> {
        (0..count)
            .map(|serial| {
                let home = Home::build(3, serial, PLACES.len());
                let mut random = Random::of(9, serial);
                let mut now = 0;
                let mut steps = vec![open(&home, home.worth, now, &mut random)];
                while !steps[steps.len() - 1].change.ends_the_listing() {
                    let last = steps[steps.len() - 1];
                    now += last.wait_ms;
                    steps.push(advance(&home, &last.offer, home.worth, now, 0.05, &mut random));
                }
                (home, steps)
            })
            .collect()
    }

    #[test]
    fn every_life_ends_and_most_end_in_a_sale() {
        let lives = lives(3_000);
        assert!(lives.iter().all(|(_, steps)| steps.len() < 100));
        let sold = lives.iter().filter(|(_, steps)| steps[steps.len() - 1].change == Change::Closed).count();
        assert!((2_000..2_900).contains(&sold), "{sold} of 3000 sold");
    }

    #[test]
    fn a_change_says_what_changed() {
        for (_, steps) in lives(2_000) {
            for pair in steps.windows(2) {
                let (before, after) = (pair[0].offer, pair[1].offer);
                assert!(after.modified_ms > before.modified_ms);
                match pair[1].change {
                    Change::PriceCut => assert!(after.list_price < before.list_price && after.status == before.status),
                    Change::PriceRise => assert!(after.list_price > before.list_price && after.status == before.status),
                    Change::Confirmed => assert_eq!(after, Offer { modified_ms: after.modified_ms, ..before }),
                    _ => assert_ne!(after.status, before.status),
                }
                assert_eq!(after.close_price > 0, after.status == StandardStatus::Closed);
            }
        }
    }

    #[test]
    fn what_is_paid_stays_near_what_it_is_worth() {
        let mut errors: Vec<f64> = lives(3_000)
            .iter()
            .filter_map(|(home, steps)| {
                let paid = steps[steps.len() - 1].offer.close_price;
                (paid > 0).then(|| (f64::from(paid) / home.worth - 1.0).abs())
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        let median = errors[errors.len() / 2];
        assert!((0.01..0.04).contains(&median), "median distance {median}");
        assert!(errors[errors.len() - 1] < 0.4);
    }
}
