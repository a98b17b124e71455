//! `roost key`: the secret that tokens are signed with, and API keys. A key is a record on topic `access`: every API and every
//! feed push knows it within moments, and that it was revoked.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Moment};

use access::secret::Secret;
use access::{Access, Ended, Role, key, now};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use schemas::access::{AccessRecord, ApiKey, KeyRole, MAX_KEY_FEEDS, MAX_NAME_CHARS};
use schemas::id::{AccessId, FeedName};
use schemas::units::Instant;
use stream::{BackendKind, Fatal, Log};
use tokio::runtime::Runtime;

use super::say;
use crate::config::Settings;

/// Longest wait for the log.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `roost key`.
#[derive(Debug, Args)]
pub struct Keys {
    /// The directory of `roost up`, while it is stopped; the log of the settings when absent.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum What {
    /// Make a secret (`auth.secret_file`) in a new file that its owner alone can read.
    Secret {
        /// The file; it must not be there.
        file: PathBuf,
    },
    /// Make an API key, and print it: once, for nobody can find it again.
    Create(Create),
    /// List the keys: id, role, name, feeds, when they were made and end.
    List,
    /// Revoke a key, for ever.
    Revoke {
        /// Its id: the twelve digits after `roost_`.
        #[arg(value_parser = id)]
        id: AccessId,
    },
}

/// Arguments of `roost key create`.
#[derive(Debug, Args)]
struct Create {
    /// What people call it.
    name: String,
    /// What its holder may do.
    #[arg(long)]
    role: Word,
    /// A feed that it may push to; repeatable; all when absent.
    #[arg(long = "feed", value_name = "FEED")]
    feeds: Vec<FeedName>,
    /// How long it is good, such as `90d`; until it is revoked when absent.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<Duration>,
}

/// A role.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    /// Pushes to feeds, registers webhooks, makes sessions.
    Service,
    /// All that, and erases any session.
    Admin,
}

/// Does it.
pub fn run(keys: &Keys, mut settings: Settings) -> anyhow::Result<ExitCode> {
    crate::telemetry::install_warnings();
    if let Some(directory) = &keys.data_dir {
        settings.in_one_process(directory);
    }
    match &keys.what {
        What::Secret { file } => secret(file),
        What::Create(create) => Register::open(&settings)?.create(create),
        What::List => Register::open(&settings)?.list(),
        What::Revoke { id } => Register::open(&settings)?.revoke(id),
    }
}

fn secret(file: &std::path::Path) -> anyhow::Result<ExitCode> {
    Secret::create(file).context("no secret is made")?;
    say(format_args!("{} holds a new secret: set auth.secret_file to it, the same for all processes", file.display()));
    Ok(ExitCode::SUCCESS)
}

/// What is known of topic `access`, and the way to it.
struct Register {
    /// Closed with its last handle: held until the threads that use it have ended.
    log: Log,
    runtime: Runtime,
    access: Access,
    ended: [Ended; 2],
}

impl Register {
    fn open(settings: &Settings) -> anyhow::Result<Self> {
        // Opening would make one: a key in a new log is none that anybody asks for.
        let directory = &settings.log.embedded.directory;
        if settings.log.backend == BackendKind::Embedded && !stream::is_embedded_log(directory) {
            bail!("there is no log in {}: name the directory of `roost up` (--data-dir)", directory.display());
        }
        let opened = stream::open(&settings.log);
        let log: Log = match settings.log.backend {
            BackendKind::Embedded => opened.context("keys are made and revoked while its one process is stopped")?,
            BackendKind::Kafka => opened?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = Arc::new(Mutex::new(None));
        let fatal: Fatal = {
            let told = Arc::clone(&told);
            Arc::new(move |reason| {
                told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
            })
        };
        let (access, ended) = Access::start(&settings.auth, Role::Command, &log, &fatal)?;
        let until = Moment::now() + PATIENCE;
        while let Err(reason) = access.ready() {
            if let Some(reason) = told.lock().unwrap_or_else(PoisonError::into_inner).take() {
                bail!("{reason}");
            }
            if Moment::now() >= until {
                bail!("{reason}; `roost init` makes the topics");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(Self { log, runtime, access, ended })
    }

    fn create(self, create: &Create) -> anyhow::Result<ExitCode> {
        let Create { name, role, feeds, expires } = create;
        if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            bail!("{name:?} is no name (expected 1 to {MAX_NAME_CHARS} characters, on one line)");
        }
        if feeds.len() > MAX_KEY_FEEDS {
            bail!("{} feeds are named (expected at most {MAX_KEY_FEEDS}; all are meant when none is)", feeds.len());
        }
        let role = match role {
            Word::Service => KeyRole::Service,
            Word::Admin if !feeds.is_empty() => bail!("an administrator's key is for all feeds: leave out --feed"),
            Word::Admin => KeyRole::Admin,
        };
        if !self.access.known().has_room_for_a_key() {
            bail!("there are as many keys as are known at a time: revoke some; they are forgotten 8 days later");
        }
        let now = now();
        let ends = |life: &Duration| {
            i64::try_from(life.as_millis()).ok().and_then(|ms| Instant::from_ms(now.ms().checked_add(ms)?))
        };
        let expires_at =
            expires.as_ref().map(|life| ends(life).context("--expires ends after the year 9999")).transpose()?;
        let (record, text) = key::create(name.trim().to_owned(), role, feeds.clone(), now, expires_at);
        self.append(record)?;
        say(text);
        eprintln!("roost: this is the key; nobody can find it again, of it only a hash is kept");
        Ok(ExitCode::SUCCESS)
    }

    fn list(self) -> anyhow::Result<ExitCode> {
        let mut keys: Vec<Arc<ApiKey>> = self.access.known().keys().cloned().collect();
        keys.sort_by(|a, b| (a.created_at, &a.key_id).cmp(&(b.created_at, &b.key_id)));
        for key in &keys {
            say(line(key, now()));
        }
        if keys.is_empty() {
            say("there is no key: `roost key create NAME --role service` makes one");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn revoke(self, id: &AccessId) -> anyhow::Result<ExitCode> {
        let Some(known) = self.access.known().key(id) else {
            bail!("there is no key {id}: `roost key list` lists them");
        };
        if let Some(at) = known.revoked_at {
            say(format_args!("{id} ({}) was revoked at {at}", known.name));
            return Ok(ExitCode::SUCCESS);
        }
        let name = known.name.clone();
        self.append(ApiKey { revoked_at: Some(now()), ..ApiKey::clone(&known) })?;
        say(format_args!("{id} ({name}) is revoked"));
        Ok(ExitCode::SUCCESS)
    }

    /// Appends a key, and lets the log take it before this process ends.
    fn append(self, key: ApiKey) -> anyhow::Result<()> {
        let Self { log, runtime, access, ended } = self;
        runtime.block_on(access.append(AccessRecord::Key(key))).context("the log did not take the key")?;
        drop(access);
        runtime.block_on(async {
            for ended in ended {
                // Either way the log has the record.
                let _ = tokio::time::timeout(PATIENCE, ended).await;
            }
        });
        drop(log);
        Ok(())
    }
}

/// A key as a line: nothing of its secret is known.
fn line(key: &ApiKey, now: Instant) -> String {
    let ApiKey { key_id, name, role, feeds, created_at, expires_at, revoked_at, .. } = key;
    let feeds: Vec<&str> = feeds.iter().map(FeedName::as_str).collect();
    let feeds = if feeds.is_empty() { "all feeds".to_owned() } else { feeds.join(", ") };
    let state = match (revoked_at, expires_at) {
        (Some(at), _) => format!("revoked at {at}"),
        (None, Some(at)) if *at <= now => format!("expired at {at}"),
        (None, Some(at)) => format!("good until {at}"),
        (None, None) => "good until it is revoked".to_owned(),
    };
    format!("{key_id}  {:<7}  {name} ({feeds}), made at {created_at}, {state}", role.as_str())
}

fn id(text: &str) -> Result<AccessId, String> {
    // The whole key is what people have at hand; its secret is not needed, and not repeated.
    match text.strip_prefix(key::PREFIX) {
        Some(rest) => rest.split('_').next().unwrap_or_default().parse().map_err(|_| "that is no key".to_owned()),
        None => text.parse().map_err(|error: schemas::field_error::FieldError| error.to_string()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no duration (expected such as `90d` or `12h`, of a minute at least)");
    humantime_serde::re::humantime::parse_duration(text)
        .ok()
        .filter(|life| *life >= Duration::from_secs(60))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_made_is_listed_and_revoked_by_commands_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = crate::config::load(&[]).unwrap();
        settings.in_one_process(directory.path());
        let none = Register::open(&settings).err().unwrap().to_string();
        assert!(none.contains("there is no log in"), "{none}");
        drop(stream::open(&settings.log).unwrap());
        let known = || Register::open(&settings).unwrap().access.known().keys().cloned().collect::<Vec<_>>();
        let feeds = vec!["nwmls".parse().unwrap()];
        let create =
            |role, feeds| Create { name: "feed".to_owned(), role, feeds, expires: Some(Duration::from_secs(60)) };
        Register::open(&settings).unwrap().create(&create(Word::Service, feeds.clone())).unwrap();
        let made = known();
        assert_eq!((made.len(), &made[0].feeds, made[0].revoked_at), (1, &feeds, None));
        Register::open(&settings).unwrap().revoke(&made[0].key_id).unwrap();
        assert!(known()[0].revoked_at.is_some());
        let bound = Register::open(&settings).unwrap().create(&create(Word::Admin, feeds)).unwrap_err().to_string();
        assert!(bound.contains("leave out --feed"), "{bound}");
        let unknown = Register::open(&settings).unwrap().revoke(&AccessId::short()).unwrap_err().to_string();
        assert!(unknown.contains("roost key list"), "{unknown}");
    }

    #[test]
    fn a_key_is_named_by_its_id_or_by_its_whole_text() {
        assert_eq!(id("5d41402abc4b").unwrap(), id("roost_5d41402abc4b_secret").unwrap());
        assert!(!id("roost_x_secret").unwrap_err().contains("secret"));
        assert!(id("x").is_err());
    }

    #[test]
    fn a_line_says_what_a_key_is_and_nothing_of_its_secret() {
        let at = |s: i64| Instant::from_ms(s * 1_000).unwrap();
        let feeds = vec!["nwmls".parse().unwrap()];
        let (mut key, text) = key::create("feed".to_owned(), KeyRole::Service, feeds, at(0), Some(at(60)));
        let secret = text.rsplit('_').next().unwrap();
        assert!(
            line(&key, at(1)).ends_with(
                "service  feed (nwmls), made at 1970-01-01T00:00:00.000Z, good until 1970-01-01T00:01:00.000Z"
            )
        );
        assert!(line(&key, at(60)).contains("expired at"));
        key.revoked_at = Some(at(5));
        assert!(line(&key, at(60)).contains("revoked at") && !line(&key, at(60)).contains(secret));
    }

    #[test]
    fn a_key_is_good_for_a_minute_at_least() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        for text in ["", "90", "1s", "-1d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
