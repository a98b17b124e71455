//! The rest of a body that is refused.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures::StreamExt as _;

/// Most of a refused body that is read all the same.
const MAX_DISCARDED_BYTES: usize = 8 * 1024 * 1024;
/// Longest time for that.
const DISCARD: Duration = Duration::from_secs(2);

/// Reads on, so that the client gets to read the answer: who writes into a closed connection sees a broken pipe and no
/// reason. Bounded in bytes and time; whether the end was reached or not, the answer is the same.
pub async fn discard(body: &mut BodyDataStream) {
    let read = async {
        let mut left = MAX_DISCARDED_BYTES;
        while let Some(Ok(chunk)) = body.next().await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD, read).await;
}
