//! Clients that ask again and again and have the answer already: 304 of the API, beside a handler that does nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use e2e::harness::Installation;

use crate::counter::bare::Bare;
use crate::counter::load::{Pace, Requests};
use crate::http::{Connection, bearer, request};
use crate::report::{Line, Report};
use crate::services::{self, Service};
use crate::stock::Stock;

/// Connections that ask without a pause.
const CONNECTIONS: usize = 4;
/// Sessions that are asked for, in turn; every stock has them.
pub const SESSIONS: usize = 1_000;
/// How long.
const TIME: Duration = Duration::from_secs(6);

/// Asks the API of an installation with sessions.
pub fn run(installation: &mut Installation, stock: Stock, report: &mut Report) -> Result<()> {
    report.say("304 polls");
    services::stop(installation, "api")?;
    let api = Service::start(installation, "api", &[])?.holding(stock);
    api.until_ready(installation)?;
    let config = synthetic::Config { listings: stock.each(), ..synthetic::Config::default() };
    let sessions = synthetic::sessions(&config, 3).take(SESSIONS);
    let each = polls(&api.address, sessions.map(|session| session.token))?;
    let requests = Requests { address: api.address.clone(), each, status: 304 };
    let pace = Pace::Full(TIME);
    let seen = requests.ask(CONNECTIONS, pace, &[vec![api.pid(installation)?]])?;
    let bare = Bare::start(0)?;
    let peer = bare.polls().ask(CONNECTIONS, pace, &[vec![bare.pid()]])?;
    report.add(Line {
        what: format!("304 of `GET /recommendations` on CQL, {CONNECTIONS} connections"),
        seen: seen.to_string(),
        peer: format!(
            "a handler that only says 304: {peer}; {:.0} %, per CPU second {:.0} %",
            100.0 * seen.rate / peer.rate,
            100.0 * seen.per_cpu[0] / peer.per_cpu[0]
        ),
        goal: "≥ 60 % of the bare handler, p99 ≤ 5 ms".to_owned(),
    });
    Ok(())
}

/// What sessions ask who have their three best already: each is read once for its entity tag.
pub fn polls(api: &str, sessions: impl Iterator<Item = schemas::id::SessionToken>) -> Result<Arc<Vec<Vec<u8>>>> {
    const PATH: &str = "/api/v1/recommendations";
    let mut connection = Connection::open(api)?;
    let with_tag = sessions.map(|token| {
        let tag = connection.tag(&request(api, PATH, &bearer(token)))?;
        Ok(request(api, PATH, &format!("{}If-None-Match: {tag}\r\n", bearer(token))))
    });
    Ok(Arc::new(with_tag.collect::<Result<_>>()?))
}
