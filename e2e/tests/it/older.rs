//! A client of the older names that has read no page of roost's, and previews, in a whole house in one process.

use anyhow::{Context, Result, ensure};
use e2e::harness::{patience, until};
use e2e::http::{self, agent};
use serde_json::{Value, json};

use crate::embedded::{Feeds, Up, taken_in};

#[test]
fn an_older_client_gets_three_homes_and_a_preview_says_what_the_scorer_counts() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let feeds = Feeds::synthetic(directory.path())?;
    let data = directory.path().join("data");
    let up = Up::start(directory.path(), data.to_str().context("a path in UTF-8")?)?;
    feeds.publish(&[], &["--push", &up.push_url()])?;
    taken_in(&up, &feeds)?;
    let house = House { base: up.api_url() };

    let page = house.get("/api/properties?per_page=100")?;
    let homes = page["data"].as_array().context("homes")?;
    ensure!(page["total"].as_u64() >= Some(20) && page["total_is_at_least"] == false, "{page:#}");
    let location = most_common(homes.iter().filter_map(|home| home["location"].as_str())).context("a location")?;
    let in_city = house.get(&format!("/api/properties?per_page=100&city={}", location.replace(' ', "%20")))?;
    let homes = in_city["data"].as_array().context("homes")?;
    ensure!(homes.len() >= 4, "{in_city:#}");
    let mut prices: Vec<f64> = homes.iter().filter_map(|home| home["price"].as_f64()).collect();
    prices.sort_by(f64::total_cmp);
    // Half of them suit, and raising the budget shows more.
    let budget = prices[prices.len() / 2];

    let stated = house.post("/api/preferences", &json!({"budget": budget, "location": location}), 201)?;
    let session = stated["session_id"].as_str().context("a session")?;
    let path = format!("/api/recommendations?session_id={session}");
    let picks = until("three homes are recommended", patience(30), || {
        let answer = house.get(&path)?;
        Ok((answer["recommendations"].as_array().map(Vec::len) == Some(3)).then_some(answer))
    })?;
    for pick in picks["recommendations"].as_array().into_iter().flatten() {
        ensure!(
            pick["property"]["price"].as_f64() <= Some(budget) && pick["property"]["location"] == location,
            "{pick:#}"
        );
        ensure!(pick["match_score"].as_f64().is_some_and(|score| (0.0..=100.0).contains(&score)), "{pick:#}");
        ensure!(
            pick["predicted_price"].is_i64() && pick["reasons"].as_array().is_some_and(|r| !r.is_empty()),
            "{pick:#}"
        );
        let home = house.get(&format!("/api/properties/{}", pick["property"]["id"].as_str().context("an id")?))?;
        ensure!(
            home["predicted_price"] == pick["predicted_price"] && home["title"] == pick["property"]["title"],
            "{home:#}"
        );
    }

    previews_agree(&house, session, &picks)?;
    values_homes(&house, &homes[0])?;
    ensure!(house.get("/api/health")?["status"] == "ok", "it is well");
    ensure!(http::get(&format!("{}/api/v1/metrics", house.base))?.contains("# TYPE roost_"), "no metrics");
    Ok(())
}

/// A preview of the session's own statement, and of one that asks for more, against what the scorer counted.
fn previews_agree(house: &House, session: &str, picks: &Value) -> Result<()> {
    let statement = house.get_as(session, "/api/v1/preferences")?["preferences"].clone();
    let preview = house.post("/api/v1/preferences:preview", &statement, 200)?;
    let shown = |items: &Value, id: &[&str]| {
        let id = |item: &Value| id.iter().fold(item.clone(), |value, name| value[*name].clone());
        items.as_array().into_iter().flatten().map(id).collect::<Vec<_>>()
    };
    let recommended = house.get_as(session, "/api/v1/recommendations")?;
    ensure!(preview["items"] == recommended["items"], "{preview:#} {recommended:#}");
    ensure!(
        shown(&preview["items"], &["listing_id"]) == shown(&picks["recommendations"], &["property", "id"]),
        "{preview:#}"
    );
    agrees(house, session, &preview)?;

    let mut narrow = statement;
    narrow["min_bedrooms"] = json!(3);
    narrow["min_living_area_sqft"] = json!(1_500);
    narrow["required_amenities"] = json!(["garage"]);
    let preview = house.post("/api/v1/preferences:preview", &narrow, 200)?;
    let version = house.post_as(session, "/api/v1/preferences", &narrow, 202)?["version"].as_u64();
    house.get_as(session, &format!("/api/v1/recommendations?wait=10s&min_version={}", version.unwrap_or_default()))?;
    agrees(house, session, &preview)
}

fn agrees(house: &House, session: &str, preview: &Value) -> Result<()> {
    let mut last = Value::Null;
    let agreed = until("the scorer counts what the preview counted", patience(30), || {
        let counts = house.get_as(session, "/api/v1/recommendations")?["counts"].clone();
        let is_same =
            counts["matched_total"] == preview["matched"] && counts["tightest_filter"] == preview["tightest_filter"];
        last = counts;
        Ok((is_same && !last.is_null()).then_some(()))
    });
    agreed.with_context(|| format!("{last:#} {preview:#}"))
}

/// A home in the older words is worth what it is worth in RESO's.
fn values_homes(house: &House, home: &Value) -> Result<()> {
    let whole = |name: &str| home[name].clone();
    let older = json!({"location": home["location"], "bedrooms": whole("bedrooms"), "bathrooms": whole("bathrooms"),
                       "size_sqft": whole("size_sqft"), "year_built": whole("year_built"), "property_type": "house"});
    let (city, state) =
        home["location"].as_str().and_then(|text| text.split_once(", ")).context("a city and a state")?;
    let reso = json!({"City": city, "StateOrProvince": state, "Country": "US", "BedroomsTotal": whole("bedrooms"),
                      "BathroomsTotalDecimal": whole("bathrooms"), "LivingArea": whole("size_sqft"), "YearBuilt": whole("year_built"),
                      "PropertySubType": "SingleFamilyResidence"});
    let v1 = house.post("/api/v1/ml/predict-price", &reso, 200)?;
    for path in ["/api/ml/predict-price", "/api/v1/predict"] {
        let valued = house.post(path, &older, 200)?;
        ensure!(
            valued["predicted_price"].as_i64() == v1["valuation"]["p50"].as_f64().map(|price| price as i64),
            "{valued:#} {v1:#}"
        );
    }
    let batch = house.post("/api/v1/batch", &json!([older, reso]), 200)?;
    ensure!(batch["count"] == 2 && batch["failed"] == 0, "{batch:#}");
    ensure!(batch["predictions"][0] == batch["predictions"][1], "{batch:#}");
    ensure!(house.get("/api/ml/model-info")?["model"] == batch["predictions"][0]["model"], "{batch:#}");
    Ok(())
}

fn most_common<'a>(texts: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut counts = std::collections::BTreeMap::new();
    texts.for_each(|text| *counts.entry(text).or_insert(0) += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(text, _)| text.to_owned())
}

/// The API of the house.
struct House {
    base: String,
}

impl House {
    fn get(&self, path: &str) -> Result<Value> {
        let (status, body) = http::ask(&format!("{}{path}", self.base))?;
        ensure!(matches!(status, 200 | 202), "{path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    fn get_as(&self, token: &str, path: &str) -> Result<Value> {
        let asked = agent(patience(10)).get(format!("{}{path}", self.base));
        let mut answer = asked.header("authorization", format!("Bearer {token}")).call()?;
        let (status, body) = (answer.status().as_u16(), answer.body_mut().read_to_string()?);
        ensure!(status == 200, "{path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    fn post(&self, path: &str, body: &Value, expected: u16) -> Result<Value> {
        self.send(None, path, body, expected)
    }

    fn post_as(&self, token: &str, path: &str, body: &Value, expected: u16) -> Result<Value> {
        self.send(Some(token), path, body, expected)
    }

    fn send(&self, token: Option<&str>, path: &str, body: &Value, expected: u16) -> Result<Value> {
        let mut asked = agent(patience(10)).post(format!("{}{path}", self.base)).content_type("application/json");
        if let Some(token) = token {
            asked = asked.header("authorization", format!("Bearer {token}"));
        }
        let mut answer = asked.send(body.to_string())?;
        let (status, body) = (answer.status().as_u16(), answer.body_mut().read_to_string()?);
        ensure!(status == expected, "{path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }
}
