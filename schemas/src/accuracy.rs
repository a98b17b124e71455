//! How good a model's valuations were, in the words of the trade: what the model's page and the metrics say. How it is
//! counted is the enricher's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::id::Market;
use crate::money::{Currency, Money};
use crate::vocabulary::Transaction;

/// What the sales are of that are compared with each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Population {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Sold or let.
    pub transaction: Transaction,
    /// Of the amounts.
    pub currency: Currency,
}

/// How near valuations were to an amount.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Nearness {
    /// Half of the valuations were nearer than this, as a share of the amount (the trade's "median error").
    pub median_absolute_error: f64,
    /// Share within 5 % of the amount.
    pub within_5_percent: f64,
    /// Share within 10 %.
    pub within_10_percent: f64,
    /// Share within 20 %.
    pub within_20_percent: f64,
    /// Median of the signed error: below zero the model says too little.
    pub bias: f64,
}

/// A group of sales.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Group {
    /// How many.
    pub sales: usize,
    /// Against what was paid.
    pub close_price: Nearness,
    /// Against what was asked last, where that is known.
    pub list_price: Option<Nearness>,
    /// Share of the sales that closed between p10 and p90; meant to be 0.80.
    pub interval_coverage: f64,
}

/// A group of sales of about the same price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Tier {
    /// The cheapest of them.
    pub from: Money,
    /// The dearest.
    pub to: Money,
    /// How good the valuations were.
    #[serde(flatten)]
    pub group: Group,
}

/// How good a model's valuations were lately.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Accuracy {
    /// What the sales are of.
    #[serde(flatten)]
    pub population: Population,
    /// The first day that counts.
    #[schemars(with = "String", extend("format" = "date"))]
    pub from: jiff::civil::Date,
    /// The newest sale's.
    #[schemars(with = "String", extend("format" = "date"))]
    pub through: jiff::civil::Date,
    /// All of them; `None` for fewer than 20.
    pub all: Option<Group>,
    /// A fifth each, by what was paid, the cheapest first; those with fewer than 20 sales are left out.
    pub tiers: Vec<Tier>,
    /// By market; those with fewer than 20 sales are left out.
    pub markets: BTreeMap<Market, Group>,
}

/// What to do with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Too few sales tell: wait.
    TooFewSales,
    /// The candidate is nearer, by more than chance: promote it.
    Promote,
    /// The champion is nearer, by more than chance: keep it.
    Keep,
    /// Neither is nearer by more than chance.
    NoDifference,
}

/// How near one of two models was, of sales of which both had said something.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Contender {
    /// Against what was paid.
    #[serde(flatten)]
    pub close_price: Nearness,
    /// Share of the sales that closed between p10 and p90; meant to be 0.80.
    pub interval_coverage: f64,
}

/// Champion and candidate, by the sales of the last 90 days of which both had said what they are worth before they knew, and which are
/// newer than what either was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Contest {
    /// How many sales.
    pub sales: usize,
    /// How near those were that value for users; `None` for fewer than 20 sales.
    pub champion: Option<Contender>,
    /// How near the candidate was.
    pub candidate: Option<Contender>,
    /// Share of the sales of which the candidate was nearer.
    pub candidate_nearer: f64,
    /// By how much the candidate was nearer in the mean, as a difference of absolute natural logarithms, each at most ln 2; below zero:
    /// less near.
    pub advantage: f64,
    /// Its standard error.
    pub advantage_error: f64,
    /// What follows.
    pub advice: Advice,
}
