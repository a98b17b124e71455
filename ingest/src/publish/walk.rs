//! A walk over all rows of all files, which may be made several times, and how far it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::input::{Input, InputError, Next, RawRow};
use super::summary::{Place, Progress};
use super::{Options, PublishError};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// Why a walk over the rows stopped.
pub(super) enum Stop {
    Input(InputError),
    Error(PublishError),
}

impl Stop {
    pub(super) fn into_error(self, sent: u64) -> PublishError {
        match self {
            Self::Input(error) => PublishError::Input { error, sent },
            Self::Error(error) => error,
        }
    }
}

/// Goes over all rows of all files, and tells how far it is.
pub(super) struct Walk<'a> {
    pub(super) options: &'a Options,
    progress: &'a mut dyn FnMut(&Progress),
    read_bytes: Arc<AtomicU64>,
    file_bytes: u64,
    /// How often all files are read in this run.
    pub(super) passes: u64,
    rows: u64,
    /// Lines that are no rows, in the last walk.
    pub(super) skipped: u64,
    /// Records that the other side has taken.
    pub(super) sent: Arc<AtomicU64>,
    told: Instant,
}

/// Takes a row, or `None` where a file ends without a line end.
pub(super) type Each<'e> = dyn FnMut(&Input, Option<&RawRow>, &Place) -> Result<(), Stop> + 'e;

impl<'a> Walk<'a> {
    pub(super) fn new(options: &'a Options, progress: &'a mut dyn FnMut(&Progress)) -> Result<Self, PublishError> {
        let mut file_bytes = 0;
        for file in &options.files {
            let metadata = std::fs::metadata(file).map_err(|error| PublishError::Input {
                error: InputError { file: file.clone(), line: None, reason: format!("cannot be read: {error}") },
                sent: 0,
            })?;
            file_bytes += metadata.len();
        }
        let (read_bytes, sent) = (Arc::default(), Arc::default());
        let told = Instant::now();
        Ok(Self { options, progress, read_bytes, file_bytes, passes: 1, rows: 0, skipped: 0, sent, told })
    }

    /// Opens every file and looks at its header, so that a wrong mapping is told before anything is sent.
    pub(super) fn check_columns(&self) -> Result<(), PublishError> {
        for file in &self.options.files {
            let input = Input::open(file, &Arc::default()).map_err(|error| PublishError::Input { error, sent: 0 })?;
            input.check_columns(&self.options.mapping).map_err(|error| PublishError::Input { error, sent: 0 })?;
        }
        Ok(())
    }

    /// Reads every file once and sends nothing: one that is cut off is told before anything is sent of it.
    pub(super) fn check_whole(&mut self) -> Result<(), PublishError> {
        self.passes = 2;
        self.rows(&mut |_, _, _| Ok(())).map_err(|stop| stop.into_error(0))?;
        self.rows = 0;
        Ok(())
    }

    /// Hands every row to `each`, in the order of the files.
    pub(super) fn rows(&mut self, each: &mut Each<'_>) -> Result<(), Stop> {
        self.skipped = 0;
        for file in &self.options.files {
            let mut input = Input::open(file, &self.read_bytes).map_err(Stop::Input)?;
            let mut place = Place { file: file.clone(), line: 1 };
            loop {
                match input.next().map_err(Stop::Input)? {
                    Next::Row(row) => {
                        self.rows += 1;
                        place.line = row.line;
                        each(&input, Some(&row), &place)?;
                    }
                    Next::Prose => self.skipped += 1,
                    Next::End => break,
                }
                if self.told.elapsed() >= TELL_EVERY {
                    self.tell();
                }
            }
            if input.ends_open() {
                each(&input, None, &place)?;
            }
        }
        Ok(())
    }

    pub(super) fn tell(&mut self) {
        self.told = Instant::now();
        (self.progress)(&Progress {
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            total_bytes: self.file_bytes * self.passes,
            rows: self.rows,
            sent: self.sent.load(Ordering::Relaxed),
        });
    }
}
