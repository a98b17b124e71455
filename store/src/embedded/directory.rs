//! The directory on the disk: one process at a time, of one format. Does not know what a row is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use fjall::{Keyspace, KeyspaceCreateOptions};

use super::key;
use crate::StoreError;

/// The format of keys and values; another one is refused.
const FORMAT: &str = "roost tables 1";
/// As much as has to be free before work goes on after the disk was full: fjall's journal and a flush or two of its
/// memtables, so that it does not stop again at once.
const ROOM_BYTES: usize = 8 << 20;

/// An open database.
pub(super) struct Open {
    pub database: fjall::Database,
    pub spaces: BTreeMap<&'static str, Keyspace>,
}

/// Opens the directory, or makes it.
pub(super) fn open(directory: &Path) -> Result<Open, StoreError> {
    check_format(directory)?;
    let database = fjall::Database::builder(directory.join("fjall")).open().map_err(|error| {
        fault(directory, &error, "if it cannot be mended, remove the directory: the scorer fills it again from the log")
    })?;
    // For the sentence that the next process is told; nobody else reads it.
    let _ = fs::write(directory.join("PID"), std::process::id().to_string());
    let mut spaces = BTreeMap::new();
    for space in key::SPACES {
        let keyspace = database.keyspace(space, KeyspaceCreateOptions::default).map_err(|error| {
            fault(directory, &error, "remove the directory: the scorer fills it again from the log")
        })?;
        spaces.insert(space, keyspace);
    }
    Ok(Open { database, spaces })
}

fn check_format(directory: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| {
        fault(
            directory,
            &error.into(),
            "make the directory readable and writable, or name another one in store.embedded.directory",
        )
    };
    // For its owner alone: preferences are private.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let file = directory.join("FORMAT");
    match fs::read_to_string(&file) {
        Ok(format) if format.trim() == FORMAT => Ok(()),
        Ok(format) => Err(fatal(
            directory,
            &format!("its format is {:?}, this version reads {FORMAT:?}", format.trim()),
            "remove the directory: the scorer fills it again from the log",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::read_dir(directory).map_err(failed)?.next().is_some() {
                return Err(fatal(
                    directory,
                    "it is not empty and holds no tables",
                    "name an empty directory in store.embedded.directory",
                ));
            }
            fs::write(&file, FORMAT).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether there is room to write again. Leaves nothing behind.
pub(super) fn has_room(directory: &Path) -> bool {
    let probe: PathBuf = directory.join("ROOM");
    let written = fs::File::create(&probe).and_then(|mut file| {
        file.write_all(&vec![0_u8; ROOM_BYTES])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    written.is_ok() && removed.is_ok()
}

/// A full disk passes; everything else that fails at opening stays as it is.
fn fault(directory: &Path, error: &fjall::Error, remedy: &str) -> StoreError {
    match error {
        fjall::Error::Locked => {
            let holder = fs::read_to_string(directory.join("PID")).unwrap_or_else(|_| "?".to_owned());
            fatal(
                directory,
                &format!("another process ({}) has it open", holder.trim()),
                "stop it, or name another directory in store.embedded.directory",
            )
        }
        error if is_full(error) => StoreError::Unavailable(reason(directory, error)),
        error => fatal(directory, &error.to_string(), remedy),
    }
}

fn fatal(directory: &Path, what: &str, remedy: &str) -> StoreError {
    StoreError::Fatal(format!("{}: {what}; {remedy}", directory.display()))
}

/// What is wrong, for a person who reads a log.
pub(super) fn reason(directory: &Path, error: &fjall::Error) -> String {
    let directory = directory.display();
    match error {
        error if is_full(error) => format!("{directory}: no room left on the disk; work goes on when there is some"),
        fjall::Error::Poisoned => {
            format!("{directory}: an earlier write failed, most often for want of room on the disk")
        }
        error => format!("{directory}: {error}"),
    }
}

fn is_full(error: &fjall::Error) -> bool {
    let io = match error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => io,
        _ => return false,
    };
    matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
