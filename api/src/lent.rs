//! What other parts of the process lend the API, each absent where the process has none. `roost` fills it.

use std::sync::Arc;

use crate::preview::Judge;

/// Renders the metrics of the process, in some milliseconds.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What is lent.
#[derive(Clone, Default)]
pub struct Lent {
    /// Filters and scores listings for previews.
    pub judge: Option<Arc<dyn Judge>>,
    /// For `GET /api/v1/metrics`.
    pub metrics: Option<RenderMetrics>,
}
