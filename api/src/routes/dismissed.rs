//! `POST /preferences/dismissed`: never this home again. Adds one id to the session's statement, which is whole: so it
//! reads the statement, appends it with the id, and looks whether the id is there, and whether the log has statements in
//! between that its own has overwritten. If so it does it again, of those: the log knows no compare-and-set, but who overwrites can
//! tell, and mends it before it answers. An erasure in between is stated again, too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use schemars::JsonSchema;
use schemas::cells::SessionCell;
use schemas::field_error::{Fault, FieldError};
use schemas::id::{ListingId, SessionId};
use schemas::preferences::{MAX_DISMISSED, Preferences};
use serde::Deserialize;
use tokio::time::{Instant as Moment, timeout, timeout_at};

use super::preferences::append;
use super::stated::{Stated, look};
use crate::app::{App, to_its_end};
use crate::body::read_json;
use crate::caller::Session;
use crate::duplicates::duplicates;
use crate::metrics;
use crate::overheard::Hearing;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::NoQuery;
use crate::wait::{Ask, FIRST_PAUSE, Step, next_pause};

/// Largest body: the longest listing id has 320 bytes.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// Most statements appended for one request: so many clients of one session at once lose nothing.
const MAX_TRIES: u32 = 16;

/// How long the log may take to show our own statement, once the tables were waited for in vain.
const HEARD: Duration = Duration::from_secs(2);

/// One home that is not to be seen again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"listing_id": "seattle:171727"}))]
pub struct Dismissal {
    /// Which.
    pub listing_id: ListingId,
}

/// Adds a home to the session's `dismissed`, and answers once the tables have it: with the statement.
///
/// Several clients of a session may do so at once: none loses what another added. A home that is there already is no new
/// statement. On 503 repeat it: twice does no harm.
#[utoipa::path(
    post, path = "/preferences/dismissed", tag = "sessions", operation_id = "dismiss_listing",
    request_body(content = ref("#/components/schemas/Dismissal"), content_type = "application/json"),
    responses(
        (status = 200, description = "The statement has it.", body = ref("#/components/schemas/Stated")),
        (status = 400, description = "Not JSON, or not an object."),
        (status = 401, description = "No token."),
        (status = 404, description = "No such session."),
        (status = 422, description = "Not a listing id, or 500 homes are dismissed already."),
        (status = 503, description = "Not applied in time, or unknown whether it is: repeat it."),
    ),
    security(("session" = [])),
)]
pub async fn dismiss(
    State(app): State<Arc<App>>,
    Session(session): Session,
    _: NoQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_json(&headers, body, MAX_BODY_BYTES, app.config.body_timeout).await?;
    let Dismissal { listing_id } = parse(&body)?;
    let cell = dismiss_home(app, session, listing_id, headers).await?;
    Ok(Stated::answer(session, cell))
}

/// Adds a home to what a session does not want to see. Gives the statement that has it, once the tables have that. What it has
/// overwritten it mends also when its client has hung up.
pub async fn dismiss_home(
    app: Arc<App>,
    session: SessionId,
    listing_id: ListingId,
    headers: HeaderMap,
) -> Result<SessionCell, Problem> {
    to_its_end(async move { added(&app, session, listing_id, &headers).await }).await
}

async fn added(
    app: &App,
    session: SessionId,
    listing_id: ListingId,
    headers: &HeaderMap,
) -> Result<SessionCell, Problem> {
    let Ok(_permit) = app.waiting.try_acquire() else {
        return Err(Problem::new(Kind::Overloaded, format!("{} requests wait already", app.config.max_waiting)));
    };
    let until = Moment::now() + app.config.request_timeout;
    // From before the row is read: what is between it and our statement is heard.
    let hearing = app.follower.hear(session);
    let Ok(_turn) = timeout_at(until, hearing.turn.lock()).await else { return Err(not_in_time()) };
    let mut wanted = BTreeSet::from([listing_id.clone()]);
    let mut appended = None;
    for _ in 0..MAX_TRIES {
        let cell = match applied(app, session, &hearing, appended, until).await {
            Ok(Some(cell)) => cell,
            // The tables are slow, or away: what the log has between is known all the same.
            Ok(None) => break,
            Err(problem) if appended.is_some() && problem.kind != Kind::SessionNotFound => break,
            Err(problem) => return Err(problem),
        };
        let mut statement = cell.preferences.clone();
        if let Some((from, to)) = appended {
            let overwritten = hearing.between(from, to);
            wanted.extend(overwritten.dismissed);
            match overwritten.newest {
                Some(None) => return Err(erased_again(app, session, headers).await),
                // What was stated since holds, but for what is dismissed. If something newer than ours is applied, that does.
                Some(Some(newer)) if cell.version == to => statement = newer,
                Some(Some(_)) | None => {}
            }
        }
        add(&mut statement, &wanted);
        if says_the_same(&statement, &cell.preferences) {
            return Ok(cell);
        }
        let is_too_much = statement.dismissed.len() > MAX_DISMISSED;
        if is_too_much && appended.is_none() {
            return Err(too_many());
        }
        if is_too_much {
            // Ours has overwritten what others added.
            leave_out(&mut statement, &listing_id);
        }
        let delivered = append(app, session, Some(statement.to_json()), headers).await?;
        if is_too_much {
            return Err(too_many());
        }
        appended = Some((cell.version, delivered.offset));
        metrics::record_dismissal();
    }
    let Some((from, to)) = appended else { return Err(not_in_time()) };
    // In time or not, what was heard is mended.
    let _ = timeout(HEARD, hearing.until(to)).await;
    let overwritten = hearing.between(from, to);
    match overwritten.newest {
        Some(None) => return Err(erased_again(app, session, headers).await),
        // Unless something newer than ours was stated.
        Some(Some(mut newer)) if app.follower.stated(session) == Some(to) => {
            wanted.extend(overwritten.dismissed);
            add(&mut newer, &wanted);
            if newer.dismissed.len() > MAX_DISMISSED {
                leave_out(&mut newer, &listing_id);
            }
            append(app, session, Some(newer.to_json()), headers).await?;
        }
        Some(Some(_)) | None => {}
    }
    Err(not_in_time())
}

/// Our statement came after an erasure, and was made of what that erased.
async fn erased_again(app: &App, session: SessionId, headers: &HeaderMap) -> Problem {
    let outcome = append(app, session, None, headers).await;
    outcome.err().unwrap_or_else(|| Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning()))
}

fn add(statement: &mut Preferences, wanted: &BTreeSet<ListingId>) {
    let dismissed: BTreeSet<ListingId> = statement.dismissed.iter().cloned().collect();
    statement.dismissed = dismissed.union(wanted).cloned().collect();
}

/// Where there are too many: what others added stays, and this one is one too many.
fn leave_out(statement: &mut Preferences, listing_id: &ListingId) {
    statement.dismissed.retain(|id| id != listing_id);
    statement.dismissed.truncate(MAX_DISMISSED);
}

fn not_in_time() -> Problem {
    Problem::new(Kind::OutcomeUnknown, "the home was not seen among the dismissed ones in time; repeat it")
}

/// Whether two statements differ in nothing but the order of what they dismiss.
fn says_the_same(a: &Preferences, b: &Preferences) -> bool {
    let ordered = |statement: &Preferences| {
        let mut statement = statement.clone();
        statement.dismissed.sort_unstable();
        statement
    };
    ordered(a) == ordered(b)
}

/// The session's statement once the tables have the newest that is known here, and at least the one that we appended: made of
/// which, and as which version. `None`: not in time.
async fn applied(
    app: &App,
    session: SessionId,
    hearing: &Hearing,
    appended: Option<(u64, u64)>,
    until: Moment,
) -> Result<Option<SessionCell>, Problem> {
    let (started, mut stop, mut pause) = (Moment::now(), app.stop.clone(), FIRST_PAUSE);
    let own = appended.map(|(_, version)| version);
    loop {
        // Of an older one the next statement would lose what the newer says.
        let ask = Ask { min_version: own.max(app.follower.stated(session)), ..Ask::default() };
        let look = look(app, session, ask).await?;
        match look.step {
            Step::Answer if own.is_none_or(|own| hearing.has(own)) => return Ok(look.row),
            Step::Answer | Step::NotYet => {}
            // Another process may have accepted it an instant ago.
            Step::LookAgain if started.elapsed() < app.config.unknown_after => {}
            Step::LookAgain | Step::NotFound => {
                return Err(Problem::new(Kind::SessionNotFound, Kind::SessionNotFound.meaning()));
            }
        }
        if Moment::now() >= until || stop.is_given() {
            return Ok(None);
        }
        // Either way the next look decides.
        let _ = timeout_at(until.min(Moment::now() + pause), stop.given()).await;
        pause = next_pause(pause);
    }
}

fn too_many() -> Problem {
    let expected = format!("at most {MAX_DISMISSED}");
    let fault = FieldError::new("listing_id", "one more dismissed home", Fault::TooLarge, expected);
    Problem::of_parts(Kind::ValidationFailed, vec![Wrong::field(&fault)])
}

/// Every fault at once.
fn parse(body: &[u8]) -> Result<Dismissal, Problem> {
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| Problem::new(Kind::NotJson, format!("the body: {error}")))?;
    let Some(members) = value.as_object() else {
        return Err(Problem::new(Kind::NotJson, "the body is not an object (expected {\"listing_id\": \"…\"})"));
    };
    let mut faults = duplicates(body);
    for name in members.keys().filter(|name| *name != "listing_id") {
        faults.push(FieldError::new(name, name, Fault::UnknownMember, "listing_id"));
    }
    let expected = "<feed>:<ListingKey>";
    let listing_id = match members.get("listing_id") {
        None => Err(FieldError::new("listing_id", "", Fault::Missing, expected)),
        Some(serde_json::Value::String(text)) => {
            text.parse::<ListingId>().map_err(|fault: FieldError| fault.named("listing_id"))
        }
        Some(other) => Err(FieldError::new("listing_id", other, Fault::BadType, expected)),
    };
    match listing_id {
        Ok(listing_id) if faults.is_empty() => Ok(Dismissal { listing_id }),
        outcome => {
            faults.extend(outcome.err());
            Err(Problem::of_parts(Kind::ValidationFailed, faults.iter().map(Wrong::field).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dismissal_names_one_listing_and_nothing_else() {
        assert_eq!(parse(br#"{"listing_id":"f:1"}"#).unwrap().listing_id.as_str(), "f:1");
        for (body, kind, pointers) in [
            (&b"{"[..], Kind::NotJson, &[][..]),
            (b"[]", Kind::NotJson, &[]),
            (b"{}", Kind::ValidationFailed, &["/listing_id"]),
            (br#"{"listing_id":1}"#, Kind::ValidationFailed, &["/listing_id"]),
            (br#"{"listing_id":"x","y":1}"#, Kind::ValidationFailed, &["/y", "/listing_id"]),
        ] {
            let problem = parse(body).unwrap_err();
            let told: Vec<_> = problem.errors.iter().filter_map(|wrong| wrong.pointer.as_deref()).collect();
            assert_eq!((problem.kind, told.as_slice()), (kind, pointers));
        }
    }
}
