//! Where the middle of a market is: where a home of an older client stands that tells no coordinates, and of which only the city is
//! known. The dictionary's routes never guess.
//!
//! The median of the homes on offer, looked up at most once a minute per market. A market without homes has none.

use std::collections::HashMap;
use std::time::{Duration, Instant as Moment};

use schemas::id::Market;
use schemas::money::{MAX_CENTS, Money};
use schemas::units::Position;
use schemas::vocabulary::Transaction;
use tokio::sync::Mutex;

use crate::app::App;
use crate::problem::Problem;
use crate::scan::{self, Entries};

/// How old a middle may be: homes come and go, cities stay.
const EVERY: Duration = Duration::from_secs(60);
/// Most markets that are remembered, some 100 bytes each.
const MOST: usize = 10_000;
/// Homes that are looked at, evenly among all by price: the median of so many is some hundred metres off.
const SAMPLE: usize = 101;

/// What was last looked up.
#[derive(Debug, Default)]
pub struct Centres(Mutex<HashMap<Market, (Moment, Option<Position>)>>);

impl Centres {
    /// The middle of a market. One look-up at a time; `None` also while too many requests count homes.
    pub async fn of(&self, app: &App, market: &Market) -> Result<Option<Position>, Problem> {
        let mut known = self.0.lock().await;
        if let Some((at, middle)) = known.get(market)
            && at.elapsed() < EVERY
        {
            return Ok(*middle);
        }
        let Ok(_permit) = app.scans.try_acquire() else { return Ok(None) };
        let middle = look(app, market).await?;
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(market.clone(), (Moment::now(), middle));
        Ok(middle)
    }
}

async fn look(app: &App, market: &Market) -> Result<Option<Position>, Problem> {
    let everything = (Money::default(), Money::from_cents(MAX_CENTS).unwrap_or_default());
    let markets = std::slice::from_ref(market);
    let Entries { entries, .. } = scan::entries(app, markets, Transaction::Sale, everything).await?;
    let every = entries.len().div_ceil(SAMPLE).max(1);
    let some: Vec<_> = entries.into_iter().step_by(every).collect();
    let cells = scan::cells(app, &some).await?;
    let positions = tokio::task::spawn_blocking(move || {
        Ok::<_, Problem>(scan::listings(cells)?.into_iter().filter_map(|fact| fact.listing.position).collect())
    });
    let positions: Vec<Position> =
        positions.await.map_err(|error| Problem::internal(&format!("the middle of {market}: {error}")))??;
    Ok(middle(&positions))
}

/// The median of each coordinate.
fn middle(positions: &[Position]) -> Option<Position> {
    let mut latitudes: Vec<_> = positions.iter().map(|at| at.latitude).collect();
    let mut longitudes: Vec<_> = positions.iter().map(|at| at.longitude).collect();
    latitudes.sort_unstable();
    longitudes.sort_unstable();
    let half = positions.len() / 2;
    Some(Position { latitude: *latitudes.get(half)?, longitude: *longitudes.get(half)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_median_and_one_far_home_does_not_move_it() {
        let at = |latitude, longitude| Position::from_degrees(latitude, longitude).unwrap();
        assert_eq!(middle(&[]), None);
        assert_eq!(middle(&[at(47.6, -122.3)]), Some(at(47.6, -122.3)));
        assert_eq!(middle(&[at(0.0, 0.0), at(47.6, -122.3), at(47.7, -122.4)]), Some(at(47.6, -122.3)));
    }
}
