//! The names of the markets that there are, for texts that name a place. Read at most every two seconds, so that stating preferences
//! by a city's name does not cost a read of every market.
//!
//! What it says is at most that old: a market that has just got its first listing is known a moment later.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use schemas::id::Market;
use tokio::sync::Mutex;

use crate::app::App;
use crate::problem::Problem;
use crate::routes::markets::markets_of;

/// How old names may be.
const EVERY: Duration = Duration::from_secs(2);

/// What was last read of `markets`.
#[derive(Debug, Default)]
pub struct Names(Mutex<Option<(Moment, Arc<[Market]>)>>);

impl Names {
    /// The names, in order. While one request reads them, the others wait for it.
    pub async fn known(&self, app: &App) -> Result<Arc<[Market]>, Problem> {
        let mut read = self.0.lock().await;
        if let Some((at, names)) = &*read
            && at.elapsed() < EVERY
        {
            return Ok(Arc::clone(names));
        }
        let names: Arc<[Market]> = markets_of(app, None).await?.into_iter().map(|(market, _)| market).collect();
        *read = Some((Moment::now(), Arc::clone(&names)));
        Ok(names)
    }
}
