//! `POST /api/ml/predict-price`, `POST /api/v1/predict`, `GET /api/ml/model-info`: what a home would be worth, in the older shapes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use schemas::id::Market;
use schemas::money::Currency;
use schemas::units::Position;
use serde::Serialize;

use crate::app::App;
use crate::appraise::{Appraiser, ModelInfo};
use crate::body::read_json;
use crate::older::home::OlderHome;
use crate::places::markets_named;
use crate::problem::{Kind, Problem};
use crate::query::{NoQuery, Query};
use crate::routes::appraisal::{Extra, MAX_BODY_BYTES, Prediction, prediction};
use crate::routes::model;
use crate::statements::now_ms;

/// A home valued.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OlderPrediction {
    /// What it is worth: as likely too low as too high.
    pub predicted_price: i64,
    /// Where the price lies in eight of ten cases.
    pub confidence_interval: Interval,
    /// Of the amounts.
    pub currency: Currency,
    /// The model's name.
    pub model: String,
    /// Its version.
    pub model_version: String,
    /// The market that its place is taken for.
    pub market: Market,
    /// Members that were not told and are taken from the homes of the market: `latitude` and `longitude`, of its middle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<&'static str>,
    /// Members that were passed over, since no model sees them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// From the 10th to the 90th percentile.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Interval {
    /// One case of ten is lower.
    pub lower: i64,
    /// One case of ten is higher.
    pub upper: i64,
}

/// Values a home.
///
/// Takes the older shape (`city`, `state`, `zip_code`, `bedrooms`, `bathrooms`, `size_sqft`, `year_built`, `lot_size_sqft`, `latitude`, `longitude`,
/// `property_type`; or `location` for the place), of which members that nobody knows are passed over and told, and the RESO object of
/// `POST /api/v1/ml/predict-price`. A home of the older shape without coordinates is taken to stand in the middle of its market's homes, and `assumed`
/// says so. Nothing is recorded.
#[utoipa::path(
    post, path = "/ml/predict-price", tag = "older names", operation_id = "older_predict_price",
    params(("extra" = Option<String>, Query, description = "`ignore`: members of a RESO object that nobody sees are no mistake.")),
    request_body(content = ref("#/components/schemas/OlderHome"), content_type = "application/json"),
    responses(
        (status = 200, description = "What it is worth.", body = ref("#/components/schemas/OlderPrediction")),
        (status = 422, description = "Wrong fields, features missing, or a market that the model does not cover."),
        (status = 503, description = "No model."),
    ),
)]
pub async fn predict_price(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<OlderPrediction>, Problem> {
    let mut query = Query::read(&uri, &["extra"]);
    let extra = Extra::asked(&mut query);
    query.finish()?;
    let body = read_json(&headers, body, MAX_BODY_BYTES, app.config.body_timeout).await?;
    let Some(appraiser) = app.appraiser.clone() else { return Err(no_model()) };
    let surroundings = Surroundings::of(&app, &[body.as_slice()]).await?;
    app.appraise(move || valued(&body, extra, &surroundings, &*appraiser)).await?.map(Json)
}

/// Values a home: the same as `POST /api/ml/predict-price`.
///
/// Either shape of a home is taken, and nothing is recorded.
#[utoipa::path(
    post, path = "/v1/predict", tag = "older names", operation_id = "older_predict",
    params(("extra" = Option<String>, Query, description = "`ignore`: members of a RESO object that nobody sees are no mistake.")),
    request_body(content = ref("#/components/schemas/OlderHome"), content_type = "application/json"),
    responses(
        (status = 200, description = "What it is worth.", body = ref("#/components/schemas/OlderPrediction")),
        (status = 422, description = "Wrong fields, features missing, or a market that the model does not cover."),
        (status = 503, description = "No model."),
    ),
)]
pub async fn predict(
    state: State<Arc<App>>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<OlderPrediction>, Problem> {
    predict_price(state, uri, headers, body).await
}

/// Tells of the models that value.
///
/// The same as `GET /api/v1/ml/model-info`.
#[utoipa::path(
    get, path = "/ml/model-info", tag = "older names", operation_id = "older_model_info",
    responses(
        (status = 200, description = "The models.", body = ref("#/components/schemas/ModelInfo")),
        (status = 503, description = "No model."),
    ),
)]
pub async fn model_info(state: State<Arc<App>>, query: NoQuery) -> Result<Json<ModelInfo>, Problem> {
    model::info(state, query).await
}

/// What is known around homes that say little of where they are.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The markets among which places are looked for; none if no home needs it.
    markets: Vec<Market>,
    /// The middle of the market that a text names.
    middles: HashMap<String, Position>,
}

impl Surroundings {
    /// Of these homes.
    pub async fn of(app: &App, bodies: &[&[u8]]) -> Result<Self, Problem> {
        let homes: Vec<OlderHome> = bodies.iter().filter_map(|body| OlderHome::read(body)).collect();
        let vague: BTreeSet<String> = homes.iter().filter_map(OlderHome::vague_place).collect();
        if vague.is_empty() && homes.iter().all(|home| home.place().is_none()) {
            return Ok(Self::default());
        }
        let markets = app.names.known(app).await?.to_vec();
        let mut middles = HashMap::new();
        for text in vague {
            // Of several it is none.
            if let [market] = markets_named(&text, &markets).as_slice()
                && let Some(middle) = app.centres.of(app, market).await?
            {
                middles.insert(text, middle);
            }
        }
        Ok(Self { markets, middles })
    }
}

/// What a home of either shape is worth. May block.
pub fn valued(
    body: &[u8],
    extra: Extra,
    surroundings: &Surroundings,
    appraiser: &dyn Appraiser,
) -> Result<OlderPrediction, Problem> {
    let value =
        |body: &[u8], extra: Extra| prediction(extra.known_to(appraiser).home(body, now_ms())?, false, appraiser);
    match OlderHome::read(body) {
        None => value(body, extra).map(|prediction| told(prediction, Vec::new(), Vec::new())),
        Some(mut home) => {
            let middle = home.vague_place().and_then(|text| surroundings.middles.get(&text));
            let assumed = middle.map_or_else(Vec::new, |_| vec!["latitude", "longitude"]);
            middle.into_iter().for_each(|middle| home.assume(*middle));
            let translated = home.translated(&surroundings.markets)?;
            let prediction = value(&translated.body, Extra::Ignored).map_err(|problem| translated.told(problem))?;
            Ok(told(prediction, assumed, home.ignored(&appraiser.attributes())))
        }
    }
}

/// What is answered where there is no model.
pub fn no_model() -> Problem {
    Problem::new(Kind::ModelUnavailable, "this process has no model")
}

fn told(prediction: Prediction, assumed: Vec<&'static str>, ignored: Vec<String>) -> OlderPrediction {
    let Prediction { market, currency, valuation, .. } = prediction;
    OlderPrediction {
        predicted_price: valuation.p50.units(),
        confidence_interval: Interval { lower: valuation.p10.units(), upper: valuation.p90.units() },
        currency,
        model: valuation.model,
        model_version: valuation.model_version,
        market,
        assumed,
        ignored,
    }
}
