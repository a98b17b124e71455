//! Which service sends to a topic and which receives from it, and why. A table; no service is asked.

use crate::topic::Topic;

/// Who uses the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Outside: who sends listings.
    Feed,
    /// The front door.
    Ingest,
    /// The appraiser.
    Enricher,
    /// The judge.
    Scorer,
    /// The counter.
    Api,
    /// A person with `roost model` or `roost key`.
    Operator,
}

/// All of them, in the order in which data flows.
pub const SERVICES: [Service; 6] =
    [Service::Feed, Service::Ingest, Service::Enricher, Service::Scorer, Service::Api, Service::Operator];

impl Service {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Ingest => "ingest",
            Self::Enricher => "enricher",
            Self::Scorer => "scorer",
            Self::Api => "api",
            Self::Operator => "operator",
        }
    }

    /// What it does.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Feed => "Outside: sends listings, with `roost publish` or a Kafka client of its own.",
            Self::Ingest => "The front door: raw listings become canonical ones.",
            Self::Enricher => "The appraiser: canonical listings become priced ones, with their history.",
            Self::Scorer => "The judge: keeps the three best homes of every session.",
            Self::Api => "The counter: takes what sessions want, and shows what was found.",
            Self::Operator => "A person, with `roost model` and `roost key`.",
        }
    }
}

/// One use of a topic.
pub struct Use {
    /// Whose.
    pub by: Service,
    /// What for.
    pub why: &'static str,
}

/// The uses of a topic.
pub struct Traffic {
    /// Who sends.
    pub sent: &'static [Use],
    /// Who receives.
    pub received: &'static [Use],
}

macro_rules! traffic {
    (sent { $($sent:ident: $sent_why:literal),* } received { $($received:ident: $received_why:literal),* }) => {
        Traffic {
            sent: &[$(Use { by: Service::$sent, why: $sent_why }),*],
            received: &[$(Use { by: Service::$received, why: $received_why }),*],
        }
    };
}

/// Who sends to it and who receives from it.
pub const fn traffic(topic: Topic) -> Traffic {
    match topic {
        Topic::ListingsRaw => traffic! {
            sent { Feed: "Says what stands in the feed.", Ingest: "Hands on what was pushed over HTTP." }
            received { Ingest: "Reads every record once, in a group." }
        },
        Topic::Listings => traffic! {
            sent { Ingest: "One canonical listing per raw one." }
            received { Enricher: "Values each statement, in a group." }
        },
        Topic::ListingsPriced => traffic! {
            sent { Enricher: "One fact per statement that is newer, and repairs." }
            received {
                Ingest: "Learns what a pushed snapshot leaves out.",
                Enricher: "Restores what it knew of each listing.",
                Scorer: "Matches each fact with every session."
            }
        },
        Topic::Sales => traffic! {
            sent { Enricher: "What a closed listing was sold for, and repairs." }
            received { Enricher: "Comparables, and the level of each market.", Api: "The same, for homes that are valued on demand." }
        },
        Topic::Preferences => traffic! {
            sent { Api: "What a session says, and its erasure.", Scorer: "Repairs, and the end of sessions that say no more." }
            received { Scorer: "Every session's newest statement.", Api: "What was accepted, so that a session reads what it wrote." }
        },
        Topic::Interactions => traffic! {
            sent { Api: "What a session did with a listing." }
            received {}
        },
        Topic::Recommendations => traffic! {
            sent { Scorer: "What a session sees has changed." }
            received { Api: "Wakes the streams of the session, and sends to the webhooks that want its changes." }
        },
        Topic::ScorerClaims => traffic! {
            sent { Scorer: "Takes a shard over." }
            received { Scorer: "Learns that a shard has another owner." }
        },
        Topic::MarketDays => traffic! {
            sent { Scorer: "Observes a market, and repairs." }
            received { Scorer: "Restores what was observed." }
        },
        Topic::Access => traffic! {
            sent { Ingest: "Repairs.", Api: "Renewals, revocations and webhooks, and repairs.", Operator: "Keys: made, and revoked." }
            received { Ingest: "Learns who may push.", Api: "Learns who may ask.", Operator: "Lists the keys." }
        },
        Topic::Models => traffic! {
            sent { Operator: "Promotes, rolls back, tries, withdraws." }
            received { Enricher: "Learns who values.", Api: "Learns who values on demand.", Operator: "Lists who values." }
        },
        Topic::ValuationsShadow => traffic! {
            sent { Enricher: "What champion and candidate say of the same listing." }
            received {}
        },
        Topic::DeadLetters => traffic! {
            sent {
                Ingest: "Raw records that are no listing.",
                Enricher: "Listings that it cannot read.",
                Scorer: "Statements that are none, and facts that it cannot read."
            }
            received {}
        },
    }
}
