//! Records to ingest's push port, in batches of lines, each answered record by record.

use schemas::dead_letter::Code;
use schemas::topic::MAX_RAW_BYTES;
use serde::Deserialize;

use super::http::{Answer, Away, Port};
use super::record::Item;
use super::summary::{Place, Summary};
use super::{Options, PublishError, Waits};

/// Most records in one push: one answer's wait for as many.
const MAX_BATCH: usize = 1_000;
/// A push is sent when it has as many bytes; with one record more it stays below the least that a port can be set to.
const BATCH_BYTES: usize = MAX_RAW_BYTES / 2;

pub(super) struct PushSink {
    port: Port,
    lines: Vec<u8>,
    places: Vec<Place>,
    sent: u64,
}

/// What became of the records of one push.
#[derive(Deserialize)]
struct Outcomes {
    records: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Accepted {},
    Refused { index: usize, code: String, message: String },
}

impl PushSink {
    pub(super) fn new(base: &str, options: &Options, waits: &Waits) -> Self {
        Self { port: Port::new(base, options, waits), lines: Vec::new(), places: Vec::new(), sent: 0 }
    }

    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn put(&mut self, item: Item, summary: &mut Summary) -> Result<(), PublishError> {
        if item.unmapped.is_some() {
            // Nobody at the port could make more of it, and its sender has it.
            *summary.refused.entry(Code::MappingFailed.as_str().to_owned()).or_default() += 1;
            return Ok(());
        }
        // Within JSON a line end is a blank; in a text it cannot stand.
        self.lines.extend(item.value.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        self.lines.push(b'\n');
        self.places.push(item.place);
        if self.places.len() >= MAX_BATCH || self.lines.len() >= BATCH_BYTES { self.finish(summary) } else { Ok(()) }
    }

    /// Pushes what is waiting.
    pub(super) fn finish(&mut self, summary: &mut Summary) -> Result<(), PublishError> {
        if self.places.is_empty() {
            return Ok(());
        }
        let sent = self.sent;
        let answer = self.port.push(&self.lines).map_err(|Away(reason)| PublishError::Unavailable { reason, sent })?;
        let outcomes = outcomes(&answer).map_err(|reason| PublishError::Refused { reason, sent })?;
        for outcome in outcomes.records {
            match outcome {
                Outcome::Accepted {} => self.sent += 1,
                Outcome::Refused { index, code, message } => {
                    // A line that holds a batch has several records: what is behind it is told at the last line.
                    let place = self.places.get(index).or(self.places.last());
                    if let Some(place) = place {
                        summary.refuse(place, &code, message);
                    }
                }
            }
        }
        self.lines.clear();
        self.places.clear();
        Ok(())
    }
}

/// What became of each record, unless the push was refused as a whole.
fn outcomes(answer: &Answer) -> Result<Outcomes, String> {
    match answer.status {
        200 | 207 | 422 => serde_json::from_slice(&answer.body)
            .map_err(|error| format!("the port's answer cannot be read: {error} (is it ingest's push port?)")),
        _ => Err(format!("the port refuses the push: {}", answer.said())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<usize, String> {
        outcomes(&Answer { status, body: body.as_bytes().to_vec() }).map(|outcomes| outcomes.records.len())
    }

    #[test]
    fn an_answer_tells_of_each_record() {
        let body = r#"{"feed":"f","accepted":1,"refused":1,"records":[
            {"outcome":"accepted","index":0,"listing_id":"f:1","partition":3,"offset":17},
            {"outcome":"refused","index":1,"code":"field_missing","message":"m","errors":[]}]}"#;
        assert_eq!(read(207, body), Ok(2));
    }

    #[test]
    fn a_push_that_is_refused_as_a_whole_says_why() {
        let error = read(400, r#"{"title":"Not the name of a feed","detail":"feed: A"}"#).unwrap_err();
        assert_eq!(error, "the port refuses the push: status 400, Not the name of a feed: feed: A");
        assert!(read(200, "<html>").unwrap_err().contains("is it ingest's push port?"));
        assert!(read(404, "<html>").unwrap_err().contains("status 404, <html>"));
    }
}
