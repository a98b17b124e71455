//! The directory of the embedded log: for one process at a time, of one format, with one partition count.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::LogError;
use crate::config::EmbeddedConfig;

/// Raised when `codec.rs` or the layout below the directory changes.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";

/// Held as long as the log is open.
pub(super) struct Locked {
    _file: File,
    /// Whether there was no log here before.
    pub(super) is_new: bool,
}

/// Whether there is a log in it.
pub fn is_log(directory: &Path) -> bool {
    directory.join(FORMAT_FILE).is_file()
}

/// Makes the directory when it is not there, locks it, and checks what it holds.
pub(super) fn enter(config: &EmbeddedConfig) -> Result<Locked, LogError> {
    let directory = &config.directory;
    config.check()?;
    // For its owner alone: preferences are private.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| cannot(directory, "be made", &error))?;
    let file = lock(directory)?;
    let is_new = check(directory, config.partitions)?;
    Ok(Locked { _file: file, is_new })
}

fn lock(directory: &Path) -> Result<File, LogError> {
    let path = directory.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| cannot(directory, "be locked", &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(cannot(directory, "be locked", &error)),
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message.
            let _ = file.read_to_string(&mut owner);
            let owner = match owner.trim() {
                "" => "another process".to_owned(),
                pid => format!("process {pid}"),
            };
            return Err(LogError::Fatal(format!(
                "the log directory {} is in use by {owner}: stop it, or set another log.embedded.directory",
                directory.display()
            )));
        }
    }
    // The number is a courtesy to the next process: a full disk must not keep the log from opening.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// Returns whether the directory was empty. Refuses another format or partition count.
fn check(directory: &Path, partitions: u32) -> Result<bool, LogError> {
    let path = directory.join(FORMAT_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write_format(directory, partitions).map_err(|error| cannot(directory, "be written", &error))?;
            return Ok(true);
        }
        Err(error) => return Err(cannot(directory, "be read", &error)),
    };
    let number = |name: &str| -> Option<u32> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    };
    let (Some(format), Some(found)) = (number("format"), number("partitions")) else {
        return Err(LogError::Fatal(format!(
            "{} is no description of a log ({text:?}): restore it from a backup, or set another log.embedded.directory",
            path.display()
        )));
    };
    if format != FORMAT {
        return Err(LogError::Fatal(format!(
            "the log directory {} has data format {format}, this program reads {FORMAT}: use the version of roost that wrote \
             it, or set another log.embedded.directory and publish again",
            directory.display()
        )));
    }
    if found != partitions {
        return Err(LogError::Fatal(format!(
            "the log directory {} has {found} partitions, log.embedded.partitions is {partitions}: the count is fixed for \
             the life of a log, because keys would change their partition; set log.embedded.partitions = {found}, or set \
             another log.embedded.directory and publish again",
            directory.display()
        )));
    }
    Ok(false)
}

/// Whole or not at all, also after a power loss.
fn write_format(directory: &Path, partitions: u32) -> std::io::Result<()> {
    let (path, draft) = (directory.join(FORMAT_FILE), directory.join("format.new"));
    let mut file = File::create(&draft)?;
    file.write_all(format!("roost log\nformat {FORMAT}\npartitions {partitions}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    File::open(directory)?.sync_all()
}

fn cannot(directory: &Path, what: &str, error: &std::io::Error) -> LogError {
    LogError::Fatal(format!(
        "the log directory {} cannot {what}: {error}; set log.embedded.directory to one that this user may write",
        directory.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path, partitions: u32) -> EmbeddedConfig {
        EmbeddedConfig { directory: directory.to_owned(), partitions, ..EmbeddedConfig::default() }
    }

    fn refused(config: &EmbeddedConfig) -> String {
        enter(config).err().map(|error| error.to_string()).unwrap()
    }

    #[test]
    fn a_directory_in_use_is_refused_by_name_and_pid() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), 4);
        let locked = enter(&config).unwrap();
        assert!(locked.is_new);
        let error = refused(&config);
        assert!(error.contains(directory.path().to_str().unwrap()), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(locked);
        assert!(!enter(&config).unwrap().is_new);
    }

    #[test]
    fn another_partition_count_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        drop(enter(&config(directory.path(), 4)).unwrap());
        let error = refused(&config(directory.path(), 5));
        assert!(error.contains("set log.embedded.partitions = 4"), "{error}");
    }

    #[test]
    fn another_format_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        for (text, says) in [("roost log\nformat 0\npartitions 4\n", "format 0"), ("", "no description")] {
            fs::write(directory.path().join(FORMAT_FILE), text).unwrap();
            let error = refused(&config(directory.path(), 4));
            assert!(error.contains(says), "{error}");
        }
    }
}
