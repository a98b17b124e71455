//! What a path names: an extractor for its placeholders that never refuses. Octets that are no text (`%FF`) name nothing, so the route
//! sees empty texts and answers that there is no such thing, in its own words.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The placeholders of the path, all of them texts; empty ones if any is no text.
#[derive(Clone, Debug)]
pub struct Segments<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let read: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        Ok(Self(read.map_or_else(|_| T::default(), |Path(segments)| segments)))
    }
}
