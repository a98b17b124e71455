//! What befell in a run, so that a simulator that has gone soft is noticed: over many seeds, nothing may be missing.

macro_rules! happenings {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Something that befell.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Happening { $($(#[doc = $doc])+ $name),+ }
        impl Happening {
            /// Everything that may befall.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

happenings! {
    /// A process died.
    Crash,
    /// A process was paused, for less than the longest pause allowed.
    Pause,
    /// A process was paused past a night, and went on or ended itself.
    LongPause,
    /// A partition was handed from one process to another.
    Rebalance,
    /// A process that had lost a partition and did not know appended to the log.
    ZombieAppend,
    /// The store acknowledged a statement of an epoch older than the newest claim.
    ZombieWrite,
    /// A node of the store died with what it had not synced.
    StoreCrash,
    /// A statement that was acknowledged was lost with it.
    AcknowledgedWriteLost,
    /// A statement did not arrive.
    WriteLost,
    /// A statement, or a copy of one, arrived when nobody waited for it any more.
    WriteLate,
    /// A statement was performed and its answer lost.
    AnswerLost,
    /// A row was lost and nobody told.
    RowRotted,
    /// All tables were lost.
    TablesLost,
    /// All claims were lost.
    ClaimsLost,
    /// A shard was claimed again: fenced, with an epoch that is not the greatest, or with all its timestamps used.
    ClaimedAgain,
    /// A record was compacted away.
    RecordCompacted,
    /// A tombstone was.
    TombstonePurged,
    /// A raw record was repeated.
    FeedRepeats,
    /// A statement about a listing was known already.
    DuplicateStatement,
    /// A statement about a listing was older than what was known.
    LateStatement,
    /// A listing was confirmed.
    Confirmation,
    /// A statement of preferences came after its deadline.
    TooLate,
    /// A record was refused.
    DeadLetter,
    /// Another model became the champion.
    ModelEpoch,
    /// A listing was valued again.
    Revaluation,
    /// A session ended by itself.
    SessionEnd,
    /// A session was erased.
    Erasure,
    /// A deleted listing was forgotten.
    ListingForgotten,
    /// `listings.priced` was repaired.
    ListingRepair,
    /// `sales` was repaired.
    SaleRepair,
    /// `preferences` was repaired.
    StatementRepair,
    /// `market.days` was repaired.
    DayRepair,
    /// Rows acknowledged lately were written again after a crash of the store.
    Resync,
    /// The rows of a shard that had long had no owner were compared with the logs.
    Scan,
}

/// How often each happening befell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally([u64; Happening::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; Happening::ALL.len()])
    }
}

impl Tally {
    /// It befell once.
    pub const fn count(&mut self, happening: Happening) {
        self.add(happening, 1);
    }

    /// It befell so often.
    pub const fn add(&mut self, happening: Happening, times: u64) {
        self.0[happening as usize] += times;
    }

    /// Takes in what befell elsewhere.
    pub fn absorb(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// Each happening and how often it befell.
    pub fn iter(&self) -> impl Iterator<Item = (Happening, u64)> {
        Happening::ALL.iter().copied().zip(self.0)
    }
}
