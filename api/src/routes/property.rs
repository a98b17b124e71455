//! `GET /properties/{id}` and its history.

use std::sync::Arc;
use std::time::Instant as Moment;

use axum::Json;
use axum::extract::State;
use schemas::id::ListingId;
use schemas::priced::PricedListing;
use store::Row;

use crate::app::App;
use crate::metrics;
use crate::problem::{Kind, Problem};
use crate::property::{History, Property};
use crate::query::NoQuery;
use crate::segment::Segments;

/// Reads one property, whatever its status; what its seller hides stays hidden.
///
/// Without leave to show the address there is no position, remark, link or further attribute either; without leave to value it no
/// valuation and no deal. One whose seller forbids display is not there at all.
#[utoipa::path(
    get, path = "/properties/{id}", tag = "properties", operation_id = "read_property",
    params(("id" = String, Path, description = "`<feed>:<ListingKey>`.", example = "seattle:171727")),
    responses(
        (status = 200, description = "The property.", body = ref("#/components/schemas/Property")),
        (status = 404, description = "No such property."),
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<Property>, Problem> {
    let fact = fact_of(&app, &id).await?;
    fact.and_then(Property::of).map(Json).ok_or_else(not_found)
}

/// Reads the prices and statuses that a property had, the oldest first.
///
/// The newest 64 of them, each with when it began and what changed.
#[utoipa::path(
    get, path = "/properties/{id}/history", tag = "properties", operation_id = "read_property_history",
    params(("id" = String, Path, description = "`<feed>:<ListingKey>`.", example = "seattle:171727")),
    responses(
        (status = 200, description = "Its history.", body = ref("#/components/schemas/History")),
        (status = 404, description = "No such property."),
    ),
)]
pub async fn history(
    State(app): State<Arc<App>>,
    Segments(id): Segments<String>,
    _: NoQuery,
) -> Result<Json<History>, Problem> {
    let fact = fact_of(&app, &id).await?;
    fact.and_then(History::of).map(Json).ok_or_else(not_found)
}

/// What is not there, or must not be shown.
pub fn not_found() -> Problem {
    Problem::new(Kind::PropertyNotFound, Kind::PropertyNotFound.meaning())
}

/// The fact of an id as a client writes it; a text that is no id names nothing.
pub async fn fact_of(app: &App, id: &str) -> Result<Option<PricedListing>, Problem> {
    match id.parse() {
        Ok(id) => fact(app, id).await,
        Err(_) => Ok(None),
    }
}

/// The row of a listing.
pub async fn fact(app: &App, id: ListingId) -> Result<Option<PricedListing>, Problem> {
    let started = Moment::now();
    let cell = app.tables.read(Row::Listing(id.clone())).await?;
    metrics::record_row_read("listings", started.elapsed());
    cell.map(|cell| serde_json::from_str(&cell.json))
        .transpose()
        .map_err(|error| Problem::internal(&format!("listing {id}: {error}")))
}
