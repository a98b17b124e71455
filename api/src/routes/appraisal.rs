//! `POST /ml/predict-price`: what a home would be worth, described as a feed would describe it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use schemas::dead_letter::Code;
use schemas::field_error::{Fault, FieldError};
use schemas::id::Market;
use schemas::listing::Listing;
use schemas::money::Currency;
use schemas::nearest::nearest;
use schemas::priced::{Deal, Valuation};
use schemas::reso::{MAX_FAULTS, Origin, Refusal};
use schemas::vocabulary::StandardStatus;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::App;
use crate::appraise::{Appraisal, Appraiser, Explanation, NotAppraised};
use crate::body::read_json;
use crate::problem::{Kind, Problem, Wrong};
use crate::query::Query;
use crate::statements::now_ms;

/// Largest description of a home: thirty times a usual one.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Most characters of a member's name in an answer: twice RESO's longest.
const MAX_SHOWN_NAME: usize = 80;

/// A home valued.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Prediction {
    /// The market that its place is taken for.
    pub market: Market,
    /// Of the amounts.
    pub currency: Currency,
    /// What it is worth.
    pub valuation: Valuation,
    /// How good its `ListPrice` is, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deal: Option<Deal>,
    /// Features whose values the model saw none like in training, as its manifest names them: the interval does not vouch for what it has
    /// not seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub out_of_training_range: Vec<String>,
    /// What brought the price about; with `?explain=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// Values a home on demand.
///
/// The body is one RESO object (`City`, `StateOrProvince`, `LivingArea`, `BedroomsTotal`, …), the same that feeds send;
/// `ListingKey` and `StandardStatus` may be left out. A member that nobody sees is refused, so that a misspelt one does not make another price:
/// `extra=ignore` takes what feeds send besides. Nothing is recorded.
#[utoipa::path(
    post, path = "/ml/predict-price", tag = "models", operation_id = "predict_price",
    params(
        ("explain" = Option<bool>, Query, description = "Whether to say what brought the price about."),
        ("extra" = Option<String>, Query, description = "`ignore`: members that nobody sees are no mistake."),
    ),
    request_body(content = ref("#/components/schemas/ResoProperty"), content_type = "application/json"),
    responses(
        (status = 200, description = "What it is worth.", body = ref("#/components/schemas/Prediction")),
        (status = 422, description = "Wrong fields, features missing, or a market that the model does not cover."),
        (status = 503, description = "No model."),
    ),
)]
pub async fn predict(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Prediction>, Problem> {
    let mut query = Query::read(&uri, &["explain", "extra"]);
    let explains = query.parsed("explain", "true or false", |text| text.parse().ok()).unwrap_or(false);
    let extra = Extra::asked(&mut query);
    query.finish()?;
    let body = read_json(&headers, body, MAX_BODY_BYTES, app.config.body_timeout).await?;
    value(&app, &body, explains, extra).await.map(Json)
}

/// Values the home that a body describes, within the bound on valuations.
pub async fn value(app: &App, body: &[u8], explains: bool, extra: Extra) -> Result<Prediction, Problem> {
    let Some(appraiser) = app.appraiser.clone() else {
        return Err(Problem::new(Kind::ModelUnavailable, "this process has no model"));
    };
    let listing = extra.known_to(&*appraiser).home(body, now_ms())?;
    app.appraise(move || prediction(listing, explains, &*appraiser)).await?
}

/// What becomes of members that nobody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// They are mistakes.
    Refused,
    /// They are no mistakes.
    Ignored,
}

/// Reads homes.
pub struct Homes {
    /// The members beyond RESO's that some model sees; `None`: any.
    seen: Option<BTreeSet<String>>,
}

impl Extra {
    /// As the query says.
    pub fn asked(query: &mut Query) -> Self {
        let asked = query.parsed("extra", "ignore", |text| (text == "ignore").then_some(Self::Ignored));
        asked.unwrap_or(Self::Refused)
    }

    /// For the models of this moment.
    pub fn known_to(self, appraiser: &dyn Appraiser) -> Homes {
        Homes { seen: (self == Self::Refused).then(|| appraiser.attributes()) }
    }
}

impl Homes {
    /// The home that a body describes, as it is to be valued. Every wrong member is named at once.
    pub fn home(&self, body: &[u8], now_ms: i64) -> Result<Listing, Problem> {
        let home = read_home(body, now_ms).and_then(to_value);
        let strangers = self.strangers(body);
        match home {
            Err(problem) if problem.kind == Kind::ValidationFailed && !strangers.is_empty() => {
                Err(Problem::of_parts(Kind::ValidationFailed, [problem.errors, strangers].concat()))
            }
            Ok(_) if !strangers.is_empty() => Err(Problem::of_parts(Kind::ValidationFailed, strangers)),
            outcome => outcome,
        }
    }

    /// The members that nobody sees, at most as many as a reader names of wrong ones.
    fn strangers(&self, body: &[u8]) -> Vec<Wrong> {
        let Some(seen) = &self.seen else { return Vec::new() };
        // What is no object, or wrapped as a batch of one, is judged by the reader alone.
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let Ok(members) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body) else { return Vec::new() };
        if members.contains_key("value") {
            return Vec::new();
        }
        let mut known: Vec<&str> = seen.iter().map(String::as_str).collect();
        schemas::reso::members_read().for_each(|name| known.push(name));
        // Annotations (`@odata.etag`) speak of the message, not of the home.
        let is_stranger = |name: &&String| !name.contains('@') && !known.contains(&name.as_str());
        let refused = |name: &String| {
            let expected = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("a member that some model sees (did you mean {meant}?), or ?extra=ignore"),
                None => "a member that some model sees, or ?extra=ignore".to_owned(),
            };
            // A name may be as long as a body; the answer need not be.
            let name: String = name.chars().take(MAX_SHOWN_NAME).collect();
            let value = members.get(&name).map(|value| value.get().to_owned()).unwrap_or_default();
            Wrong::field(&FieldError::new(name, value, Fault::UnknownMember, expected))
        };
        members.keys().filter(is_stranger).take(MAX_FAULTS).map(refused).collect()
    }
}

/// What a home is worth, and why, if that is asked. May block.
pub fn prediction(listing: Listing, explains: bool, appraiser: &dyn Appraiser) -> Result<Prediction, Problem> {
    let (appraisal, explanation) = if explains {
        appraiser.explain(&listing).map(|(appraisal, explanation)| (appraisal, Some(explanation)))
    } else {
        appraiser.appraise(&listing).map(|appraisal| (appraisal, None))
    }
    .map_err(refused)?;
    let (market, currency) = (listing.market, listing.currency);
    let Appraisal { valuation, deal, out_of_range } = appraisal;
    Ok(Prediction { market, currency, valuation, deal, out_of_training_range: out_of_range, explanation })
}

fn refused(why: NotAppraised) -> Problem {
    match why {
        NotAppraised::ModelUnavailable(detail) => Problem::new(Kind::ModelUnavailable, detail),
        NotAppraised::MarketNotCovered => Problem::new(Kind::MarketNotCovered, Kind::MarketNotCovered.meaning()),
        NotAppraised::FeaturesMissing(names) if names.is_empty() => {
            Problem::new(Kind::FeatureMissing, Kind::FeatureMissing.meaning())
        }
        NotAppraised::FeaturesMissing(names) => {
            let wrong = |name: &String| Wrong {
                pointer: Some(format!("/{name}")),
                parameter: None,
                code: "missing",
                message: format!("{name} is missing (the model needs it)"),
            };
            Problem::of_parts(Kind::FeatureMissing, names.iter().map(wrong).collect())
        }
    }
}

/// The home as it would be valued: as if it were on offer today, whatever its status, unless its seller forbids that.
fn to_value(listing: Listing) -> Result<Listing, Problem> {
    if listing.valuation_allowed {
        return Ok(Listing { standard_status: StandardStatus::Active, ..listing });
    }
    let field = "InternetAutomatedValuationDisplayYN";
    let error = FieldError::new(field, false, Fault::OutOfRange, "true or absent: the seller forbids valuations");
    Err(Problem::of_parts(Kind::ValidationFailed, vec![Wrong::field(&error)]))
}

/// The listing that a feed would have made of this body.
fn read_home(body: &[u8], now_ms: i64) -> Result<Listing, Problem> {
    let body = with_defaults(body);
    let origin = Origin { partition: 0, offset: 0, append_time_ms: now_ms, feed: None, ce_time_ms: None };
    let mut items = schemas::reso::read(&body, &origin).map_err(refusal)?;
    match (items.pop(), items.is_empty()) {
        (Some(item), true) => match item.outcome.map_err(refusal)? {
            accepted if accepted.left_out.coordinates => Err(off_the_globe()),
            accepted => Ok(accepted.listing),
        },
        _ => Err(Problem::new(Kind::NotJson, "the body is a batch (expected one RESO object)")),
    }
}

/// A feed's listing goes on without them; who asks for a price is told.
fn off_the_globe() -> Problem {
    let expected = "a place on the globe: latitude -90 to 90, longitude -180 to 180, not both 0";
    let wrong = ["Latitude", "Longitude"].map(|name| Wrong {
        pointer: Some(format!("/{name}")),
        parameter: None,
        code: "out_of_range",
        message: format!("{name}: the coordinates are not allowed (expected {expected})"),
    });
    Problem::of_parts(Kind::ValidationFailed, wrong.to_vec())
}

fn refusal(refusal: Refusal) -> Problem {
    match refusal.code {
        Code::NotJson | Code::WrongShape | Code::WrongEncoding | Code::TooDeep => {
            Problem::new(Kind::NotJson, refusal.message)
        }
        _ if refusal.faults.is_empty() => Problem::new(Kind::ValidationFailed, refusal.message),
        _ => Problem::of_parts(Kind::ValidationFailed, refusal.faults.iter().map(Wrong::field).collect()),
    }
}

/// Puts in the members that a feed must state and a client who asks for a value need not: a key, and a status that needs
/// no price. The rest stays as it is, byte for byte, so that the reader judges what was sent.
fn with_defaults(body: &[u8]) -> Vec<u8> {
    // The reader passes over a byte order mark, too. Values are not looked at: which are wrong is for the reader to say.
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body) else { return body.to_vec() };
    let open = body.iter().position(|&b| b == b'{').map_or(0, |at| at + 1);
    let mut out = body[..open].to_vec();
    for (name, value) in [("ListingKey", "appraisal"), ("StandardStatus", "Incomplete")] {
        if !members.contains_key(name) && !members.contains_key("value") {
            out.extend_from_slice(format!("\"{name}\":\"{value}\"").as_bytes());
            if !members.is_empty() || name == "ListingKey" {
                out.push(b',');
            }
        }
    }
    out.extend_from_slice(&body[open..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_needs_neither_key_nor_status() {
        let home = r#"{"City":"Seattle","StateOrProvince":"WA","Country":"US","LivingArea":1500,"BedroomsTotal":3}"#;
        let listing = read_home(home.as_bytes(), 1_700_000_000_000).unwrap();
        assert_eq!((listing.market.as_str(), listing.bedrooms_total), ("us/wa/seattle", Some(3)));
        let stated =
            r#"{"ListingKey":"k","StandardStatus":"Pending","Country":"US","City":"X","StateOrProvince":"WA"}"#;
        let listing = read_home(stated.as_bytes(), 1_700_000_000_000).unwrap();
        assert_eq!((listing.listing_id.listing_key(), listing.standard_status.as_str()), ("k", "Pending"));
    }

    #[test]
    fn wrong_bodies_are_told_apart() {
        for (body, kind) in [
            ("", Kind::NotJson),
            ("[]", Kind::NotJson),
            ("{", Kind::NotJson),
            (r#"{"value":[{"ListingKey":"1"},{"ListingKey":"2"}]}"#, Kind::NotJson),
            (r#"{"BedroomsTotal":-3,"Country":"US"}"#, Kind::ValidationFailed),
            (r#"{"Latitude":91,"Longitude":0,"Country":"US"}"#, Kind::ValidationFailed),
        ] {
            assert_eq!(read_home(body.as_bytes(), 0).unwrap_err().kind, kind, "{body}");
        }
    }

    #[test]
    fn only_what_is_wrong_is_named() {
        let named = |members: &str| {
            let place = r#""Country":"US","City":"X","StateOrProvince":"WA"}"#;
            let problem = read_home(format!("{members},{place}").as_bytes(), 0).unwrap_err();
            problem.errors.into_iter().filter_map(|wrong| wrong.pointer).collect::<Vec<_>>()
        };
        assert_eq!(named(r#"{"LivingArea":1e400"#), ["/LivingArea"]);
        assert_eq!(named("\u{feff}{\"BedroomsTotal\":-3"), ["/BedroomsTotal"]);
        assert_eq!(named(r#"{"Latitude":91,"Longitude":7"#), ["/Latitude", "/Longitude"]);
    }

    #[test]
    fn missing_features_are_pointed_at() {
        let problem = refused(NotAppraised::FeaturesMissing(vec!["LivingArea".to_owned()]));
        assert_eq!((problem.kind, problem.errors[0].pointer.as_deref()), (Kind::FeatureMissing, Some("/LivingArea")));
    }
}
