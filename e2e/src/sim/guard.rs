//! What keeps the protocol right, each part by name, so that each can be switched off and shown to be needed.

use std::collections::BTreeSet;

macro_rules! guards {
    ($($(#[doc = $doc:literal])+ $guard:ident = $name:literal, $without:literal;)+) => {
        /// One guard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Guard { $($(#[doc = $doc])+ $guard),+ }
        impl Guard {
            /// Every guard.
            pub const ALL: &'static [Self] = &[$(Self::$guard),+];
            /// Its name.
            pub const fn name(self) -> &'static str { match self { $(Self::$guard => $name),+ } }
            /// What goes wrong without it.
            pub const fn without(self) -> &'static str { match self { $(Self::$guard => $without),+ } }
        }
    };
}

guards! {
    /// Write timestamps begin with the epoch. Off: with the sequence alone.
    Epoch = "epoch in timestamps", "a zombie's cell beats the owner's";
    /// The `shards` row is acknowledged before other rows are written.
    ShardRowFirst = "`shards` row first",
        "after the claims are lost, an owner takes an epoch that rows already have: its writes lose";
    /// A claim whose epoch is not greater than the recorded one is repeated.
    GreatestEpoch = "epoch greater than recorded", "after the claims are lost, an owner's writes lose to older rows";
    /// A fenced owner that the group still counts on claims again.
    ClaimAgain = "fenced owner claims again", "a late claim of a zombie leaves a shard without owner";
    /// A write that timed out is sent again, until a newer one replaces it.
    Retry = "retry until acknowledged or replaced", "a lost statement is never made up for";
    /// A statement that is tried again has the timestamp it had.
    SameTimestamp = "same timestamp at every try", "a late copy of an old cell beats the new one";
    /// A new owner writes every row.
    RewriteAtTakeOver = "every row written at take-over", "what the owner before it had not written stays unwritten";
    /// Listings that went are remembered.
    GoneRemembered = "gone listings remembered", "a listing that went while its shard had no owner keeps its row";
    /// The rows of a shard that had no owner for longer than tombstones live are compared with the logs.
    Scan = "scan after a long absence", "rows whose tombstone was purged meanwhile stay";
    /// What the store acknowledged before a crash is written again.
    Resync = "resync after a store crash", "an acknowledged row is lost";
    /// Every row is written again once a day.
    Scrub = "daily scrub", "a row that the store lost by itself stays lost";
    /// Offsets are committed behind acknowledged effects. Off: behind what was read.
    CommitAfterAck = "low-watermark commit", "what a dying process had not appended is never appended";
    /// A sale is on the log before the fact that says so.
    SaleFirst = "sale before fact", "a restart takes the sale for reported";
    /// Facts and statements are ordered by version. Off: by arrival.
    VersionOrder = "order by version", "a late statement replaces a newer one";
    /// Of equal versions the later offset wins, as in compaction. Off: the first one read.
    LaterOffset = "later offset of equal versions", "what is in the tables depends on when a process started to read";
    /// A fact remembers what every fact before it did.
    HistoryUnion = "union of histories", "every point but the last is compacted away";
    /// A fact carries the version of its newest Delete.
    DeleteFloor = "Delete floor", "a late statement brings back the past of a deleted listing";
    /// The enricher repairs `listings.priced`.
    ListingRepair = "repair of listings.priced", "compaction keeps a zombie's fact";
    /// The enricher repairs `sales`.
    SaleRepair = "repair of sales", "compaction keeps a zombie's older sale";
    /// The scorer repairs `preferences`.
    StatementRepair = "repair of preferences", "compaction keeps what is no statement, and drops the last one that was";
    /// The scorer repairs `market.days`.
    DayRepair = "repair of market.days", "compaction keeps a zombie's observation";
    /// A repair is later than what it repairs.
    RepairIsLater = "carried version below own offset", "one forged record silences its session for ever";
    /// A record stands on the partition that its key hashes to.
    KeyOnItsPartition = "key on its own partition", "offsets of two partitions are compared as versions";
    /// A statement appended after its deadline is none.
    Deadline = "deadline of statements", "what a client was told had failed comes true later";
    /// The sweeper's tombstone carries the version of the statement it ends.
    SweeperVersion = "version in the sweeper's tombstone", "a session that speaks up while it is ended is ended";
    /// Erasures are remembered.
    ErasedRemembered = "erasures remembered", "a late repair brings an erased session back";
    /// Nothing younger than the lag is compacted.
    CompactionLag = "compaction lag", "a repair comes too late";
    /// A process that was paused for too long ends itself.
    EndAfterLongPause = "end after a long pause", "a process goes on with listings whose tombstones it never saw";
    /// An enricher reads the facts of a partition before it works on it.
    RestoreFirst = "restore before work", "history begins anew with every owner";
    /// What an earlier model valued last is valued again.
    Revaluation = "revaluation by model epoch", "an older model's valuation stays";
}

/// The guards that are switched off; by default none.
#[derive(Clone, Debug, Default)]
pub struct Guards(BTreeSet<Guard>);

impl Guards {
    /// All but one.
    pub fn without(guard: Guard) -> Self {
        Self(BTreeSet::from([guard]))
    }

    /// Whether this one is switched off.
    pub fn off(&self, guard: Guard) -> bool {
        self.0.contains(&guard)
    }

    /// Whether none is.
    pub fn all_on(&self) -> bool {
        self.0.is_empty()
    }
}
