//! One typed tree of settings: the shipped defaults, then files, then the environment. A wrong setting stops the start
//! with its key, its file and line, and what would be right.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Environment, File, FileFormat};
use serde::Deserialize;

mod limits;

/// Every key with its default and a comment. Embedded, so that the binary needs no file.
pub const DEFAULTS: &str = include_str!("../roost.toml");

/// The prefix of variables: `ROOST__SCORER__WINDOW=512`.
const PREFIX: &str = "ROOST";

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The log.
    pub log: stream::LogConfig,
    /// The tables.
    pub store: store::StoreConfig,
    /// The front door.
    pub ingest: ingest::Config,
    /// The appraiser.
    pub enricher: enricher::Config,
    /// The judge.
    pub scorer: scorer::Config,
    /// The counter.
    pub api: api::Config,
    /// Who may do what, at the API and at the feed push.
    pub auth: access::Config,
    /// Health and metrics.
    pub admin: crate::admin::Config,
    /// Log lines.
    pub telemetry: crate::telemetry::Config,
    /// The process.
    pub process: Process,
}

impl Settings {
    /// The log and the tables of `roost up`, below its directory.
    pub fn in_one_process(&mut self, directory: &Path) {
        self.log.backend = stream::BackendKind::Embedded;
        self.log.embedded.directory = directory.join("log");
        self.store.backend = store::BackendKind::Embedded;
        self.store.embedded.directory = directory.join("tables");
    }
}

/// `[process]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// How long a stop may take.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// Threads of the runtime on which statements and requests are performed.
    pub runtime_threads: usize,
}

/// A wrong setting.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: {key}{message}", key = if key.is_empty() { String::new() } else { format!("{key}: ") })]
pub struct ConfigError {
    /// File and line, or the variable.
    source_name: String,
    key: String,
    message: String,
}

/// Loads the defaults, `files` in order, and the environment.
pub fn load(files: &[PathBuf]) -> Result<Settings, ConfigError> {
    let mut builder = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            source_name: path.display().to_string(),
            key: String::new(),
            message: format!("cannot be read: {error}"),
        })?;
        check_syntax(path, &text)?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        // After every file, so that an error is that of the newest one.
        read(&builder).map_err(|(key, message)| ConfigError { source_name: place(path, &text, &key), key, message })?;
    }
    let environment = Environment::with_prefix(PREFIX).prefix_separator("__").separator("__").try_parsing(true);
    let builder = builder.add_source(environment);
    read(&builder).map_err(|(key, message)| {
        let variable = format!("{PREFIX}__{}", key.to_uppercase().replace('.', "__"));
        ConfigError { source_name: format!("environment variable {variable}"), key, message }
    })
}

type Builder = config::ConfigBuilder<config::builder::DefaultState>;

/// The settings, or the key that is wrong and why.
fn read(builder: &Builder) -> Result<Settings, (String, String)> {
    let merged = builder.build_cloned().map_err(|error| (String::new(), error.to_string()))?;
    // First: it says more than a type could.
    limits::check(&merged)?;
    serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // An unknown key is reported at its table: name the key itself.
        let unknown =
            message.split_once("unknown field `").and_then(|(_, rest)| rest.split_once('`')).map(|(key, _)| key);
        let key = match unknown {
            Some(key) if path == "." => key.to_owned(),
            // Some deserialisers name the key themselves.
            Some(key) if path == key || path.ends_with(&format!(".{key}")) => path,
            Some(key) => format!("{path}.{key}"),
            None if path == "." => String::new(),
            None => path,
        };
        (key, message)
    })
}

fn check_syntax(path: &Path, text: &str) -> Result<(), ConfigError> {
    text.parse::<toml::Table>().map(drop).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        ConfigError {
            source_name: format!("{}:{line}", path.display()),
            key: String::new(),
            message: error.message().to_owned(),
        }
    })
}

/// `file:line` of a dotted key, as far as the text shows it.
fn place(path: &Path, text: &str, key: &str) -> String {
    let mut table = String::new();
    let mut best = (0, 1);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            header.0.trim().clone_into(&mut table);
        }
        let name = line.split_once('=').map_or("", |(name, _)| name.trim());
        let here = [table.as_str(), name].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(".");
        // The longest prefix of the key that stands on a line of its own is the nearest place to point at.
        let covers = key == here || key.strip_prefix(here.as_str()).is_some_and(|rest| rest.starts_with('.'));
        if covers && here.len() > best.0 {
            best = (here.len(), index + 1);
        }
    }
    format!("{}:{}", path.display(), best.1)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_shipped_file_loads_and_holds_every_default() {
        load(&[]).unwrap();
    }

    #[test]
    fn a_wrong_value_names_key_file_and_line() {
        let file = file("[scorer]\n# a comment\nwindow = \"many\"\n");
        let error = load(&[file.path().to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:3: scorer.window: ", file.path().display())), "{error}");
    }

    #[test]
    fn a_value_that_is_out_of_range_names_key_file_and_line() {
        for (text, told) in [
            ("[api]\nmax_connections = 0\n", ":2: api.max_connections: 0 is not allowed"),
            ("[enricher.source_reliability]\na = 1\nx = 7\n", ":3: enricher.source_reliability.x: 7 is not allowed"),
            ("[enricher]\nsource_reliability = { x = 7 }\n", ":2: enricher.source_reliability.x: 7 is not allowed"),
            ("[log]\nembedded.partitions = 0\n", ":2: log.embedded.partitions: 0 is not allowed"),
            ("telemetry.filter = \"@@@\"\n", ":1: telemetry.filter: \"@@@\": "),
        ] {
            let file = file(text);
            let error = load(&[file.path().to_owned()]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}{told}", file.path().display())), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_names_itself_and_what_is_known() {
        let file = file("[scorer]\nwindwo = 3\n");
        let error = load(&[file.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains(":2: scorer.windwo: unknown field `windwo`, expected one of"), "{error}");
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let file = file("[scorer]\nwindow = = 3\n");
        let error = load(&[file.path().to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:2: ", file.path().display())), "{error}");
    }
}
