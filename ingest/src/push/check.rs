//! From the values of a body to records for the log and refusals: the same reader, before the log instead of behind it.
//! Pure.

use schemas::dead_letter::Code;
use schemas::field_error::FieldError;
use schemas::header;
use schemas::id::{FeedName, ListingId};
use schemas::reso::{self, Origin, Refusal};
use schemas::topic::{MAX_RAW_BYTES, Topic, listing_key};
use stream::Outgoing;

use super::body::Form;

/// Most records in one push: at 1 kB what the largest body holds.
pub(super) const MAX_RECORDS: usize = 10_000;

/// A record of a body.
pub(super) type Checked = Result<(ListingId, Outgoing), Refusal>;

/// Checks the records of a body. `Err`: the body is refused as a whole.
pub(super) fn check(form: Form, body: &[u8], feed: &FeedName, now_ms: i64) -> Result<Vec<Checked>, Refusal> {
    let origin = Origin { partition: 0, offset: 0, append_time_ms: now_ms, feed: Some(feed.clone()), ce_time_ms: None };
    let mut checked = Vec::new();
    for value in form.values(body) {
        match reso::read(value, &origin) {
            // A line is a record; a body that is one value is nothing but that.
            Err(refusal) if form == Form::Json => return Err(refusal),
            Err(refusal) => checked.push(Err(refusal)),
            Ok(items) => checked.extend(items.into_iter().map(|item| {
                let listing_id = item.outcome?.listing.listing_id;
                Ok((listing_id.clone(), outgoing(feed, &listing_id, item.text)?))
            })),
        }
        if checked.len() > MAX_RECORDS {
            let message = format!("the body has more than {MAX_RECORDS} records (expected at most {MAX_RECORDS})");
            return Err(whole(Code::TooLarge, message));
        }
    }
    if checked.is_empty() {
        let message = "the body is empty (expected a listing, a batch {\"value\":[…]}, or a listing per line; \
                       what is gone is a record with StandardStatus Delete)";
        return Err(whole(Code::NotJson, message.to_owned()));
    }
    Ok(checked)
}

fn outgoing(feed: &FeedName, listing_id: &ListingId, text: &str) -> Result<Outgoing, Refusal> {
    if text.len() > MAX_RAW_BYTES {
        let message = format!("the record has {} bytes (expected at most {MAX_RAW_BYTES})", text.len());
        return Err(whole(Code::TooLarge, message));
    }
    Ok(Outgoing {
        topic: Topic::ListingsRaw,
        partition: None,
        key: Some(listing_key(listing_id)),
        value: Some(text.as_bytes().to_vec()),
        headers: vec![(header::FEED.to_owned(), feed.as_str().as_bytes().to_vec())],
    })
}

fn whole(code: Code, message: String) -> Refusal {
    Refusal { code, message, faults: Vec::<FieldError>::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_608_000_000;
    const LEAST: &str = r#"{"ListingKey":"1","StandardStatus":"Active","ListPrice":1,"City":"Austin","Country":"US"}"#;

    fn codes(form: Form, body: &str) -> Result<Vec<Result<String, Code>>, Code> {
        let checked = check(form, body.as_bytes(), &"a".parse().unwrap(), NOW_MS).map_err(|refusal| refusal.code)?;
        Ok(checked.into_iter().map(|c| c.map(|(id, _)| id.to_string()).map_err(|refusal| refusal.code)).collect())
    }

    #[test]
    fn a_good_record_goes_to_the_log_as_it_came_with_its_feed() {
        let (id, outgoing) =
            check(Form::Json, LEAST.as_bytes(), &"a".parse().unwrap(), NOW_MS).unwrap().remove(0).unwrap();
        assert_eq!((id.as_str(), outgoing.topic), ("a:1", Topic::ListingsRaw));
        assert_eq!(outgoing.value.as_deref(), Some(LEAST.as_bytes()));
        assert_eq!(header::text(&outgoing.headers, header::FEED), Some("a"));
        assert_eq!(outgoing.key.as_deref(), Some(&b"a:1"[..]));
    }

    #[test]
    fn records_of_a_batch_and_of_lines_are_judged_alone() {
        let good = || Ok("a:1".to_owned());
        let batch = format!(r#"{{"value":[{LEAST},{{}},{LEAST}]}}"#);
        assert_eq!(codes(Form::Json, &batch), Ok(vec![good(), Err(Code::KeyMissing), good()]));
        let lines = format!("{LEAST}\n{{\n{LEAST}\n");
        assert_eq!(codes(Form::Lines, &lines), Ok(vec![good(), Err(Code::NotJson), good()]));
    }

    #[test]
    fn a_body_without_records_is_refused_as_a_whole() {
        assert_eq!(codes(Form::Json, "{"), Err(Code::NotJson));
        assert_eq!(codes(Form::Json, " "), Err(Code::NotJson));
        assert_eq!(codes(Form::Lines, "\n"), Err(Code::NotJson));
        assert_eq!(codes(Form::Lines, &"{}\n".repeat(MAX_RECORDS + 1)), Err(Code::TooLarge));
    }

    #[test]
    fn a_record_that_the_log_would_refuse_for_its_size_is_refused_here() {
        let large = LEAST.replace('{', &format!(r#"{{"Local":"{}","#, "x".repeat(MAX_RAW_BYTES)));
        assert_eq!(codes(Form::Json, &large), Ok(vec![Err(Code::TooLarge)]));
    }
}
