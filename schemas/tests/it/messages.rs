//! Every message that outlives a process: what stands on the log and in the tables.

use schemas::access::{ApiKey, SessionRevocation, TokenFamily, Webhook};
use schemas::cells::{MarketCell, SessionCell, ShardCell};
use schemas::interaction::Interaction;
use schemas::listing::Listing;
use schemas::market_day::MarketDay;
use schemas::model_alias::Champion;
use schemas::preferences::Preferences;
use schemas::priced::PricedListing;
use schemas::recommendation::{Counts, Recommendation, RecommendationEvent};
use schemas::sale::Sale;
use schemas::shadow::Shadow;

/// One message: its name, where it stands, its schema, and its reader and writer.
pub struct Message {
    /// Name of its files.
    pub name: &'static str,
    /// Where it stands.
    pub place: &'static str,
    /// Its JSON Schema.
    pub schema: fn() -> schemars::Schema,
    /// Reads a JSON text and writes it again.
    pub again: fn(&str) -> Result<String, String>,
}

/// All of them.
pub const MESSAGES: [Message; 18] = [
    message::<Listing>("listing", "topic `listings`"),
    message::<PricedListing>("priced-listing", "topic `listings.priced`, cell `listings.listing`"),
    message::<Sale>("sale", "topic `sales`"),
    Message { again: statement_again, ..message::<Preferences>("preferences", "topic `preferences`") },
    message::<Interaction>("interaction", "topic `interactions`"),
    message::<RecommendationEvent>("recommendation-event", "topic `recommendations`"),
    message::<Recommendation>("recommendation", "cell `recommendations.items`"),
    message::<Counts>("counts", "cell `recommendations.counts`"),
    message::<Champion>("champion", "topic `models`, key `champion`"),
    message::<ApiKey>("api-key", "topic `access`, key `key|<key_id>`"),
    message::<TokenFamily>("token-family", "topic `access`, key `family|<family_id>`"),
    message::<SessionRevocation>("session-revocation", "topic `access`, key `session|<session_id>`"),
    message::<Webhook>("webhook", "topic `access`, key `webhook|<webhook_id>`"),
    message::<Shadow>("shadow", "topic `valuations.shadow`"),
    message::<MarketDay>("market-day", "topic `market.days`, cell `market_days.numbers`"),
    message::<SessionCell>("session", "cell `sessions.preferences`"),
    message::<MarketCell>("market", "cell `markets.numbers`"),
    message::<ShardCell>("shard", "cell `shards.state`"),
];

const fn message<T>(name: &'static str, place: &'static str) -> Message
where
    T: schemars::JsonSchema + serde::Serialize + serde::de::DeserializeOwned,
{
    Message { name, place, schema: || schemars::schema_for!(T), again: again::<T> }
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(json: &str) -> Result<String, String> {
    let value: T = serde_json::from_str(json).map_err(|error| error.to_string())?;
    serde_json::to_string(&value).map_err(|error| error.to_string())
}

/// Statements have a reader of their own.
fn statement_again(json: &str) -> Result<String, String> {
    let preferences = Preferences::parse(json.as_bytes()).map_err(|faults| format!("{faults:?}"))?;
    String::from_utf8(preferences.to_json()).map_err(|error| error.to_string())
}
