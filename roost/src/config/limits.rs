//! What every setting may be: one table, which every source of settings is held against before anything starts, so that
//! a wrong value is told with its key, file and line, whichever service it is of.
//!
//! Zero is refused wherever a service would start and then do nothing, or never stop doing it. The upper ends catch slips
//! (a unit too many, a byte count where a count was meant); they are no recommendations.

use std::net::SocketAddr;
use std::time::Duration;

use config::{Value, ValueKind};
use humantime_serde::re::humantime;
use schemas::id::FeedName;
use schemas::model_alias::ModelName;
use tracing_subscriber::EnvFilter;

/// What a value may be.
enum Rule {
    /// A whole number.
    Whole(i64, i64),
    /// A duration from the one to the other.
    Time(&'static str, &'static str),
    /// As [`Rule::Time`], or `0s`, which means this.
    TimeOrZero(&'static str, &'static str, &'static str),
    /// `host:port` to listen on, the host being a number.
    Address,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Yes or no.
    Bool,
    /// Directives of the log.
    Filter,
    /// A table of shares, 0 to 1, by feed.
    Shares,
    /// `<name>/<version>`.
    Model,
    /// A list of them, each another one.
    Models,
    /// A list of origins of web pages, or a text with commas.
    Origins,
    /// Text that is not empty.
    Filled,
}

use Rule::{Address, Bool, Filled, Filter, Model, Models, OneOf, Origins, Shares, Time, TimeOrZero, Whole};

/// Most memory that pushes may take is sixteen of these bodies, and as much again: 2 GiB.
const MAX_PUSH_BYTES: i64 = 64 << 20;
/// A process that stood still must end before the compaction of what it has not seen (two hours at least, DESIGN §3).
const LONGEST_PAUSE: &str = "90m";
/// The longest time to live that CQL takes: 20 years.
const LONGEST_TTL: &str = "7300days";
/// Longer waits are no waits.
const LONGEST_WAIT: &str = "1day";

/// Every number, duration, share, address and word; what is not here is free text or has a type that says it all.
const LIMITS: &[(&str, Rule)] = &[
    ("process.grace", Time("0s", "1h")),
    ("process.runtime_threads", Whole(1, 64)),
    ("telemetry.format", OneOf(&["human", "json"])),
    ("telemetry.filter", Filter),
    ("admin.listen", Address),
    // The log.
    ("log.backend", OneOf(&["kafka", "embedded"])),
    ("log.kafka.bootstrap_servers", Filled),
    ("log.kafka.partitions", Whole(1, 1_024)),
    ("log.kafka.replication_factor", Whole(1, 9)),
    ("log.kafka.message_timeout", Time("1s", "1day")),
    ("log.kafka.session_timeout", Time("1s", "30m")),
    ("log.kafka.max_poll_interval", Time("1s", "1day")),
    ("log.kafka.wait_at_start", Time("0s", LONGEST_WAIT)),
    ("log.embedded.directory", Filled),
    ("log.embedded.partitions", Whole(1, 1_024)),
    ("log.embedded.compact_every", Time("1ms", "1day")),
    ("log.embedded.sync_every", Time("1ms", "10s")),
    ("log.embedded.min_compaction_lag", Time("0s", "3650days")),
    ("log.embedded.delete_retention", Time("0s", "3650days")),
    ("log.embedded.retention", Time("1s", "3650days")),
    // The tables.
    ("store.backend", OneOf(&["scylla", "embedded"])),
    ("store.scylla.replication_factor", Whole(1, 9)),
    ("store.scylla.consistency", OneOf(&["local_quorum", "quorum", "one"])),
    ("store.scylla.request_timeout", Time("50ms", "60s")),
    ("store.scylla.wait_at_start", Time("0s", LONGEST_WAIT)),
    ("store.ttl.sessions", TimeOrZero("1s", LONGEST_TTL, "for ever")),
    ("store.ttl.listings", TimeOrZero("1s", LONGEST_TTL, "for ever")),
    ("store.ttl.hints", TimeOrZero("1s", LONGEST_TTL, "for ever")),
    ("store.embedded.directory", Filled),
    ("store.embedded.sync_every", Time("10ms", "10s")),
    // Ingest.
    ("ingest.group", Filled),
    ("ingest.workers", Whole(1, 64)),
    ("ingest.window", Whole(1, 1_000_000)),
    ("ingest.commit_every", Time("10ms", "10m")),
    ("ingest.push.enabled", Bool),
    ("ingest.push.listen", Address),
    ("ingest.push.max_body_bytes", Whole(1_024, MAX_PUSH_BYTES)),
    ("ingest.push.max_connections", Whole(1, 100_000)),
    ("ingest.push.header_timeout", Time("100ms", "10m")),
    ("ingest.push.body_timeout", Time("100ms", "10m")),
    ("ingest.push.write_timeout", Time("100ms", "10m")),
    ("ingest.push.ack_timeout", Time("100ms", "10m")),
    ("ingest.push.keys_timeout", Time("100ms", "1h")),
    ("ingest.push.keys_idle", Time("1s", "1day")),
    // Enricher.
    ("enricher.registry", Filled),
    ("enricher.model", Model),
    ("enricher.fallback_models", Models),
    ("enricher.workers", Whole(1, 64)),
    ("enricher.tree_operator", OneOf(&["fast", "portable", "stock"])),
    ("enricher.market_context", OneOf(&["on", "off"])),
    ("enricher.instance", Filled),
    ("enricher.in_flight", Whole(1, 1_000_000)),
    ("enricher.start_within", Time("1s", LONGEST_WAIT)),
    ("enricher.longest_pause", Time("1s", LONGEST_PAUSE)),
    ("enricher.source_reliability", Shares),
    // Scorer.
    ("scorer.group", Filled),
    ("scorer.engine", OneOf(&["auto", "scalar", "avx512", "oracle"])),
    ("scorer.session_life", Time("1s", "3650days")),
    ("scorer.window", Whole(1, 65_536)),
    ("scorer.market_every", Time("10ms", "1day")),
    ("scorer.scrub_every", TimeOrZero("1s", "3650days", "never")),
    ("scorer.max_pause", Time("1s", LONGEST_PAUSE)),
    // Well below the age from which one is refused.
    ("scorer.snapshot_every", Time("1s", "30m")),
    // API.
    ("api.listen", Address),
    ("api.statement_deadline", Time("100ms", "10m")),
    ("api.max_wait", Time("0s", "10m")),
    ("api.unknown_after", Time("0s", "10m")),
    ("api.stale_after", Time("1s", "1day")),
    ("api.request_timeout", Time("100ms", "10m")),
    ("api.header_timeout", Time("100ms", "10m")),
    ("api.body_timeout", Time("100ms", "10m")),
    ("api.write_timeout", Time("100ms", "10m")),
    ("api.max_connections", Whole(1, 100_000)),
    ("api.max_in_flight", Whole(1, 100_000)),
    ("api.max_waiting", Whole(0, 100_000)),
    ("api.max_streams", Whole(0, 100_000)),
    ("api.stream_keep_alive", Time("100ms", "10m")),
    ("api.max_appraisals", Whole(1, 1_024)),
    ("api.max_batches", Whole(1, 1_024)),
    ("api.webhooks.enabled", Bool),
    ("api.webhooks.workers", Whole(1, 256)),
    ("api.webhooks.per_host", Whole(1, 256)),
    ("api.webhooks.max_pending", Whole(1, 10_000_000)),
    ("api.webhooks.timeout", Time("100ms", "1m")),
    ("api.webhooks.first_pause", Time("100ms", "1day")),
    ("api.webhooks.longest_pause", Time("100ms", "1day")),
    ("api.webhooks.give_up_after", Time("1s", "7days")),
    ("api.webhooks.allow_http", Bool),
    ("api.webhooks.allow_private_addresses", Bool),
    ("api.trusted_hops", Whole(0, 16)),
    ("api.allowed_origins", Origins),
    ("api.limits.exempt_loopback", Bool),
    ("api.limits.requests.per_second", Whole(0, 1_000_000)),
    ("api.limits.requests.burst", Whole(1, 1_000_000)),
    ("api.limits.writes.per_second", Whole(0, 1_000_000)),
    ("api.limits.writes.burst", Whole(1, 1_000_000)),
    ("api.limits.valuations.per_second", Whole(0, 1_000_000)),
    ("api.limits.valuations.burst", Whole(1, 1_000_000)),
    ("api.limits.callers.per_second", Whole(0, 1_000_000)),
    ("api.limits.callers.burst", Whole(1, 1_000_000)),
    ("api.limits.statements.per_second", Whole(0, 1_000_000)),
    ("api.limits.statements.burst", Whole(1, 1_000_000)),
    ("api.max_previews", Whole(1, 64)),
    ("api.max_scans", Whole(1, 64)),
    ("api.page_always_secure", Bool),
    // Access.
    ("auth.mode", OneOf(&["open", "tokens", "oidc"])),
    ("auth.issuer", Filled),
    ("auth.audience", Filled),
    ("auth.token_ttl", Time("10s", "1day")),
    ("auth.refresh_ttl", Time("1m", "3650days")),
    ("auth.refresh_grace", Time("0s", "10m")),
    ("auth.leeway", Time("0s", "10m")),
    ("auth.oidc.refresh_every", Time("1s", "1day")),
    ("auth.oidc.roles_claim", Filled),
];

/// The first key whose value is not allowed, and why.
pub fn check(settings: &config::Config) -> Result<(), (String, String)> {
    for (key, rule) in LIMITS {
        // What is not there has its default.
        let Ok(value) = settings.get::<Value>(key) else { continue };
        rule.check(&value).map_err(|(below, message)| (format!("{key}{below}"), message))?;
    }
    // librdkafka takes no other order, and would say so without a line.
    let time = |key: &str| settings.get_string(key).ok().and_then(|text| humantime::parse_duration(&text).ok());
    let (poll, session) = ("log.kafka.max_poll_interval", "log.kafka.session_timeout");
    match (time(poll), time(session)) {
        (Some(longest), Some(silent)) if longest < silent => Err((
            poll.to_owned(),
            format!("{} is shorter than {session} (expected {} or more)", shown(longest), shown(silent)),
        )),
        _ => Ok(()),
    }
}

impl Rule {
    /// `Err`: the key below this one, where it is a table's, and why its value is not allowed.
    fn check(&self, value: &Value) -> Result<(), (String, String)> {
        if let Shares = self {
            return shares(value);
        }
        let given = text(value);
        let (is_allowed, expected) = match self {
            Whole(least, most) => {
                let number = given.parse::<i64>();
                (
                    number.is_ok_and(|number| (*least..=*most).contains(&number)),
                    format!("a whole number, {least} to {most}"),
                )
            }
            Time(least, most) => {
                (is_between(&given, least, most), format!("{least} to {most}, written as \"250ms\", \"30s\" or \"2h\""))
            }
            TimeOrZero(least, most, meaning) => (
                is_between(&given, "0s", "0s") || is_between(&given, least, most),
                format!("{least} to {most}, written as \"30s\", \"2h\" or \"30days\"; \"0s\": {meaning}"),
            ),
            Address => (
                given.parse::<SocketAddr>().is_ok(),
                "an address and a port, such as \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for every network".to_owned(),
            ),
            OneOf(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                (words.contains(&given.as_str()), quoted.join(" or "))
            }
            Bool => (given == "true" || given == "false", "true or false".to_owned()),
            Filter => return filter(&given).map_err(|message| (String::new(), message)),
            Model => (ModelName::parse(&given).is_some(), "<name>/<version>, such as \"synthetic-us/2\"".to_owned()),
            Models => (are_models(value), "a list of <name>/<version>, such as [\"synthetic-us/2\"]".to_owned()),
            Origins => return origins(value).map_err(|message| (String::new(), message)),
            Filled => (!given.trim().is_empty(), "some text".to_owned()),
            // Above.
            Shares => (true, String::new()),
        };
        if is_allowed {
            Ok(())
        } else {
            Err((String::new(), format!("{} is not allowed (expected {expected})", quoted(value))))
        }
    }
}

/// The directives, as `tracing` reads them; `telemetry` installs them.
fn filter(directives: &str) -> Result<(), String> {
    match EnvFilter::try_new(directives) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(format!("\"{directives}\": {error} (expected for example \"info\" or \"warn,scorer=debug\")"))
        }
    }
}

fn origins(value: &Value) -> Result<(), String> {
    let texts = match value.clone().into_array() {
        Ok(list) => list.iter().map(text).collect(),
        Err(_) => text(value).split(',').map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect(),
    };
    let texts: Vec<String> = texts;
    texts.into_iter().try_for_each(|text| api::Origin::try_from(text).map(drop))
}

fn are_models(value: &Value) -> bool {
    let Ok(models) = value.clone().into_array() else { return false };
    models.iter().all(|model| ModelName::parse(&text(model)).is_some())
}

fn shares(value: &Value) -> Result<(), (String, String)> {
    let Ok(table) = value.clone().into_table() else {
        let message = format!("{} is not allowed (expected a table of feeds, such as {{ mls = 0.9 }})", quoted(value));
        return Err((String::new(), message));
    };
    for (feed, share) in table {
        let refuse = |message: String| Err((format!(".{feed}"), message));
        if let Err(error) = feed.parse::<FeedName>() {
            return refuse(error.to_string());
        }
        if !text(&share).parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)) {
            return refuse(format!("{} is not allowed (expected a share, 0 to 1)", quoted(&share)));
        }
    }
    Ok(())
}

fn is_between(given: &str, least: &str, most: &str) -> bool {
    let time = |text: &str| humantime::parse_duration(text).ok();
    match (time(given), time(least), time(most)) {
        (Some(given), Some(least), Some(most)) => (least..=most).contains(&given),
        _ => false,
    }
}

fn shown(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// The value as it is parsed: numbers are numbers whether the environment or a file says them.
fn text(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => text.clone(),
        ValueKind::Nil => String::new(),
        _ => value.to_string(),
    }
}

/// The value as a person sees it.
fn quoted(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => format!("\"{text}\""),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use config::{File, FileFormat};

    use super::*;

    fn told(line: &str) -> Option<(String, String)> {
        let text = format!("{line}\n");
        let shipped = File::from_str(super::super::DEFAULTS, FileFormat::Toml);
        let builder = config::Config::builder().add_source(shipped).add_source(File::from_str(&text, FileFormat::Toml));
        check(&builder.build().unwrap()).err()
    }

    /// Values beyond the ends of a rule, and none of its kind.
    fn beyond(rule: &Rule) -> Vec<String> {
        let quote = |text: &str| format!("\"{text}\"");
        match rule {
            Whole(least, most) => vec![(least - 1).to_string(), (most + 1).to_string(), "1.5".into(), quote("many")],
            Time(least, most) | TimeOrZero(least, most, _) => {
                let time = |text: &str| humantime::parse_duration(text).unwrap();
                let longer = shown(time(most) + Duration::from_millis(1));
                let shorter = time(least).checked_sub(Duration::from_micros(1)).filter(|time| !time.is_zero());
                let mut values = vec![quote("soon"), "5".to_owned(), quote(&longer)];
                values.extend(shorter.map(|time| quote(&shown(time))));
                if matches!(rule, Time(_, _)) && *least != "0s" {
                    values.push(quote("0s"));
                }
                values
            }
            Address => ["x", "localhost:8080", "127.0.0.1", "127.0.0.1:99999"].map(quote).to_vec(),
            OneOf(_) => vec![quote("gpu"), quote(""), "1".to_owned()],
            Bool => vec![quote("perhaps"), "2".to_owned()],
            Filter => vec![quote("@@@")],
            Shares => vec!["{ x = 7 }".into(), "{ x = \"much\" }".into(), "{ \"a b\" = 0.5 }".into(), "1".into()],
            Model => ["x", "/1", "x/", "../1"].map(quote).to_vec(),
            Models => ["\"x/1\"", "[\"x\"]", "[\"x/1\", \"/1\"]", "1"].map(str::to_owned).to_vec(),
            Origins => ["\"*\"", "[\"https://a.org/\"]", "[\"https://a.org\", \"b\"]", "1"].map(str::to_owned).to_vec(),
            Filled => vec![quote(""), quote(" ")],
        }
    }

    #[test]
    fn every_setting_refuses_what_is_beyond_its_ends_by_its_key_and_takes_the_ends() {
        for (key, rule) in LIMITS {
            for value in beyond(rule) {
                let (named, message) =
                    told(&format!("{key} = {value}")).unwrap_or_else(|| panic!("{key} = {value} passes"));
                assert!(named.starts_with(key), "{key} = {value}: {named}");
                assert!(message.contains("expected") || matches!(rule, Shares), "{key} = {value}: {message}");
            }
            let ends: Vec<String> = match rule {
                Whole(least, most) => vec![least.to_string(), most.to_string(), format!("\"{most}\"")],
                Time(least, most) | TimeOrZero(least, most, _) => vec![format!("\"{least}\""), format!("\"{most}\"")],
                OneOf(words) => words.iter().map(|word| format!("\"{word}\"")).collect(),
                Origins => {
                    vec!["[]".to_owned(), "\"\"".to_owned(), "[\"https://a.org\", \"http://b.org:3000\"]".to_owned()]
                }
                Models => vec!["[]".to_owned(), "[\"x/1\", \"y/2\"]".to_owned()],
                Address | Bool | Filter | Shares | Model | Filled => Vec::new(),
            };
            for value in ends {
                // Two settings stand in a relation; each end has the other one beside it.
                if !key.starts_with("log.kafka.max_poll") && !key.starts_with("log.kafka.session") {
                    assert_eq!(told(&format!("{key} = {value}")), None, "{key} = {value}");
                }
            }
        }
    }

    #[test]
    fn every_number_duration_and_address_that_is_shipped_has_its_limits() {
        fn walk(prefix: &str, table: &toml::Table, free: &mut Vec<String>) {
            for (name, value) in table {
                let key = format!("{prefix}{name}");
                match value {
                    toml::Value::Table(table) => walk(&format!("{key}."), table, free),
                    _ if LIMITS.iter().any(|(limited, _)| *limited == key) => {}
                    _ => free.push(key),
                }
            }
        }
        let mut free = Vec::new();
        walk("", &super::super::DEFAULTS.parse().unwrap(), &mut free);
        // Names and lists that may be empty or whose type checks them.
        let known = [
            "api.webhooks.extra_roots",
            "auth.oidc.algorithms",
            "auth.oidc.audience",
            "auth.oidc.issuer",
            "auth.oidc.jwks",
            "auth.previous_secret_files",
            "auth.secret_file",
            "ingest.instance",
            "log.kafka.client_id",
            "log.kafka.topic_prefix",
            "scorer.instance",
            "scorer.score_epoch",
            "scorer.snapshot_directory",
            "store.scylla.contact_points",
            "store.scylla.keyspace",
            "store.scylla.local_datacenter",
            "store.scylla.user",
        ];
        free.sort();
        let named: Vec<&str> = free.iter().map(String::as_str).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn what_is_refused_says_what_is_right() {
        let said = |line: &str| told(line).unwrap().1;
        assert_eq!(
            said("scorer.engine = \"gpu\""),
            "\"gpu\" is not allowed (expected \"auto\" or \"scalar\" or \"avx512\" or \"oracle\")"
        );
        assert!(
            said("api.listen = \"x\"")
                .starts_with("\"x\" is not allowed (expected an address and a port, such as \"127")
        );
        assert!(said("api.max_wait = \"soon\"").contains("written as \"250ms\""));
        assert_eq!(said("api.max_in_flight = 0"), "0 is not allowed (expected a whole number, 1 to 100000)");
        let (key, message) = told("enricher.source_reliability.x = 7").unwrap();
        assert_eq!(
            (key.as_str(), message.as_str()),
            ("enricher.source_reliability.x", "7 is not allowed (expected a share, 0 to 1)")
        );
        assert!(said("log.kafka.max_poll_interval = \"5s\"").contains("is shorter than log.kafka.session_timeout"));
    }
}
