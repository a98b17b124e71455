//! The older names, as clients use them that have never read a page of roost's.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::Arc;
use std::time::Duration;

use api::{Appraisal, Appraiser, Config, Explanation, Lent, ModelInfo, NotAppraised};
use schemas::id::SessionToken;
use schemas::listing::Listing;
use schemas::money::Money;
use schemas::priced::Valuation;
use serde_json::{Value, json};
use store::Row;

use crate::desk::{Desk, fact, id_of, item, session};

/// A market that there is.
fn market(desk: &Desk, name: &str) {
    desk.write(Row::Market(name.parse().unwrap()), Some(&json!({})));
}

fn statement() -> Value {
    json!({"budget": 750_000, "location": "Seattle, WA", "min_bedrooms": 3, "max_commute_time": 45, "min_school_rating": 7,
           "preferred_amenities": ["pool"]})
}

/// States as an older client does, and gives the session's id.
fn state(desk: &Desk, statement: &Value) -> String {
    let answer = desk.post("/api/preferences", statement);
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["session_id"].as_str().unwrap().to_owned()
}

/// A recommended listing of this key.
fn pick(key: &str, rank: u8, score: u16) -> Value {
    let mut pick = item();
    pick["listing_id"] = json!(id_of(key));
    pick["rank"] = json!(rank);
    pick["score"] = json!(score);
    pick
}

#[test]
fn a_client_states_what_it_wants_and_polls_for_three_homes() {
    let desk = Desk::start();
    market(&desk, "us/wa/seattle");
    let id = state(&desk, &statement());
    let path = format!("/api/recommendations?session_id={id}");
    desk.list("a", 500_000, &json!({"amenities": ["pool"], "year_built": 1962, "photo_url": "https://example.org/a.jpg", "school_rating": 8}));
    desk.list("b", 600_000, &json!({"address_display_allowed": false}));
    let cell = json!({"preference_version": 0, "items": [pick("a", 1, 812), pick("b", 2, 700), pick("c", 3, 650)]});
    desk.write(Row::Recommendation(session(&id)), Some(&cell));
    let first = desk.get(&path);
    assert_eq!(first.status, 200, "{}", first.text);
    let mut body = first.json();
    assert_eq!(body["session_id"], id);
    body["session_id"] = json!("…");
    insta::assert_json_snapshot!("older_recommendations", body);
    let tag = first.header("etag").unwrap().to_owned();
    let again = desk.ask("GET", &path, &[("if-none-match", &tag)], b"");
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    // The same picks, and a home that changed: the client gets it.
    desk.list("a", 500_000, &json!({"year_built": 1963}));
    assert_eq!(desk.ask("GET", &path, &[("if-none-match", &tag)], b"").status, 200);
    // A seller who hides the home is obeyed at once.
    desk.list("a", 500_000, &json!({"display_allowed": false}));
    assert_eq!(desk.get(&path).json()["recommendations"].as_array().unwrap().len(), 2);
}

#[test]
fn a_client_that_polls_at_once_is_made_to_wait_for_its_first_picks() {
    let desk = Desk::start();
    let id = state(&desk, &statement());
    let path = format!("/api/recommendations?session_id={id}");
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| desk.get(&path));
        desk.recommend(session(&id), 0);
        asking.join().unwrap()
    });
    assert_eq!(
        (answer.status, answer.json()["recommendations"].as_array().unwrap().len()),
        (200, 1),
        "{}",
        answer.text
    );
    let other = state(&desk, &statement());
    let nothing = desk.get(&format!("/api/recommendations?session_id={other}"));
    assert_eq!((nothing.status, nothing.header("retry-after")), (202, Some("1")));
    assert_eq!(nothing.json(), json!({"session_id": other, "candidates": null, "recommendations": []}));
}

#[test]
fn a_statement_with_a_session_id_replaces_that_session_s() {
    let desk = Desk::start();
    let id = state(&desk, &statement());
    desk.recommend(session(&id), 0);
    let mut second = statement();
    second["session_id"] = json!(id);
    second["budget"] = json!(500_000);
    let answer = desk.post("/api/preferences", &second);
    assert_eq!((answer.status, answer.json()), (200, json!({"session_id": id})));
    // What followed from the first statement is no answer to the second.
    let path = format!("/api/recommendations?session_id={id}");
    assert_eq!(desk.get(&path).status, 202);
    let stranger = desk.post("/api/preferences", &json!({"budget": 1, "location": "98101", "session_id": "user-42"}));
    let problem = stranger.problem(422, "validation-failed");
    assert_eq!(problem["errors"][0]["pointer"], "/session_id");
    assert!(!stranger.text.contains("user-42"));
}

#[test]
fn a_location_is_one_of_the_markets_or_a_choice_or_told_how_to_be_said() {
    let desk = Desk::start();
    for name in ["us/wa/seattle", "us/or/portland", "us/me/portland"] {
        market(&desk, name);
    }
    for location in ["Seattle", "SEATTLE, Washington", "Bend, OR", "98101", "Portland, ME, US"] {
        state(&desk, &json!({"budget": 750_000, "location": location}));
    }
    let choice =
        desk.post("/api/preferences", &json!({"budget": -1, "location": "Portland"})).problem(422, "validation-failed");
    insta::assert_json_snapshot!("older_ambiguous", json!([choice["errors"], choice["candidates"]]));
    let unknown = desk.post("/api/preferences", &json!({"location": "Springfield", "max_commute_time": "x"}));
    let unknown = unknown.problem(422, "validation-failed");
    insta::assert_json_snapshot!("older_unknown", unknown["errors"]);
    desk.post("/api/preferences", &json!([])).problem(400, "not-json");
    let twice = br#"{"budget": 1, "location": "98101", "location": "98102", "session_id": null, "session_id": null}"#;
    let twice = desk.ask("POST", "/api/preferences", &[("content-type", "application/json")], twice);
    let errors = twice.problem(422, "validation-failed")["errors"].clone();
    assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!("/location"), &json!("duplicate")), "{errors}");
}

#[test]
fn a_session_that_is_not_there_is_told_without_its_name() {
    let desk = Desk::start();
    desk.get("/api/recommendations").problem(400, "invalid-parameter");
    let foreign = SessionToken::from_bits(77).reveal();
    for id in ["nobody", foreign.as_str()] {
        for path in ["recommendations", "recommendations/stream"] {
            let answer = desk.get(&format!("/api/{path}?session_id={id}"));
            answer.problem(404, "session-not-found");
            assert!(!answer.text.contains(id), "{}", answer.text);
        }
    }
    let typo = desk.get("/api/recommendations?sesion_id=x").problem(400, "unknown-parameter");
    assert!(typo["errors"][0]["message"].as_str().unwrap().contains("did you mean session_id?"), "{typo}");
}

#[test]
fn picks_are_streamed_as_messages_of_the_older_shape() {
    let desk = Desk::start();
    let id = state(&desk, &statement());
    desk.recommend(session(&id), 0);
    let address = desk.base.trim_start_matches("http://");
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(socket, "GET /api/recommendations/stream?session_id={id} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(socket).lines().map(Result::unwrap);
    let data = lines.by_ref().find_map(|line| Some(line.strip_prefix("data: ")?.to_owned())).unwrap();
    let body: Value = serde_json::from_str(&data).unwrap();
    assert_eq!((&body["session_id"], body["recommendations"][0]["match_score"].as_f64()), (&json!(id), Some(81.2)));
}

#[test]
fn homes_come_in_numbered_pages_with_their_exact_total() {
    let desk = Desk::start();
    for name in ["us/wa/seattle", "us/wa/tacoma"] {
        market(&desk, name);
    }
    for n in 0..7 {
        desk.list(&format!("s{n}"), 500_000 + n * 1_000, &json!({"bedrooms_total": n % 3}));
    }
    desk.list("t", 400_000, &json!({"market": "us/wa/tacoma", "city": "Tacoma"}));
    desk.list("hidden", 400_000, &json!({"display_allowed": false}));
    desk.list("pending", 400_000, &json!({"standard_status": "Pending"}));
    desk.list("rent", 2_000, &json!({"transaction": "lease", "property_type": "ResidentialLease"}));
    let page = |query: &str| {
        let answer = desk.get(&format!("/api/properties?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let page = answer.json();
        let key = |home: &Value| home["id"].as_str().unwrap().trim_start_matches("seattle:").to_owned();
        let keys: Vec<_> = page["data"].as_array().unwrap().iter().map(key).collect();
        (keys.join(" "), page["total"].as_u64().unwrap())
    };
    for (query, keys, total) in [
        ("city=Seattle&per_page=3", "s0 s1 s2", 7),
        ("city=Seattle&per_page=3&page=3", "s6", 7),
        ("city=Seattle&per_page=3&page=4", "", 7),
        ("city=Seattle,%20WA&bedrooms=1", "s1 s4", 2),
        ("location=Seattle&min_bedrooms=1&max_price=503000", "s1 s2", 2),
        ("min_price=501000&max_price=502000.00", "s1 s2", 2),
        ("per_page=2", "t s0", 8),
        ("transaction=lease", "rent", 1),
        ("city=Atlantis", "", 0),
    ] {
        assert_eq!(page(query), (keys.to_owned(), total), "{query}");
    }
    let whole = desk.get("/api/properties?city=Tacoma").json();
    assert_eq!(
        (&whole["page"], &whole["per_page"], &whole["total_is_at_least"]),
        (&json!(1), &json!(20), &json!(false))
    );
    desk.get("/api/properties?town=Seattle").problem(400, "unknown-parameter");
    let far = desk.get("/api/properties?page=1001").problem(400, "invalid-parameter");
    assert!(far["detail"].as_str().unwrap().contains("/api/v1/properties"), "{far}");
}

#[test]
fn one_home_has_every_member_and_what_its_seller_allows() {
    let desk = Desk::start();
    desk.list("a", 500_000, &json!({"list_price": 499_999.5, "year_built": 1962, "amenities": ["pool", "garage"]}));
    insta::assert_json_snapshot!("older_property", desk.get("/api/properties/seattle:a").json());
    let mut bare = fact(
        "b",
        500_000,
        &json!({"valuation_allowed": false, "address_display_allowed": false, "bedrooms_total": null}),
    );
    bare.as_object_mut().unwrap().remove("commute");
    desk.write(Row::Listing(id_of("b")), Some(&bare));
    insta::assert_json_snapshot!("older_property_bare", desk.get("/api/properties/seattle:b").json());
    desk.list("hidden", 1, &json!({"display_allowed": false}));
    for id in ["seattle:hidden", "seattle:none", "17"] {
        desk.get(&format!("/api/properties/{id}")).problem(404, "property-not-found");
    }
}

/// 100 per square foot.
struct PerSquareFoot;

impl Appraiser for PerSquareFoot {
    fn appraise(&self, listing: &Listing) -> Result<Appraisal, NotAppraised> {
        let area =
            listing.living_area_sqft.ok_or_else(|| NotAppraised::FeaturesMissing(vec!["LivingArea".to_owned()]))?;
        let amount = |percent: i64| Money::from_units(i64::from(area) * percent).unwrap();
        let (model, model_version) = ("per-square-foot".to_owned(), "1".to_owned());
        let (p10, p50, p90) = (amount(90), amount(100), amount(110));
        let valuation = Valuation { p10, p50, p90, model, model_version, level_ppm: 1_000_000, sales_read: Vec::new() };
        Ok(Appraisal { valuation, deal: None, out_of_range: Vec::new() })
    }

    fn explain(&self, _: &Listing) -> Result<(Appraisal, Explanation), NotAppraised> {
        Err(NotAppraised::ModelUnavailable("nobody asks".to_owned()))
    }

    fn attributes(&self) -> BTreeSet<String> {
        ["grade".to_owned()].into()
    }

    fn model(&self) -> ModelInfo {
        let (model, model_version) = ("per-square-foot".to_owned(), "1".to_owned());
        let (manifest, fallbacks, accuracy) = (serde_json::Map::new(), Vec::new(), Vec::new());
        ModelInfo { model, model_version, epoch: 0, manifest, fallbacks, candidate: None, accuracy }
    }
}

fn valuing() -> Desk {
    Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)))
}

#[test]
fn a_home_is_valued_in_either_shape_and_faults_have_the_client_s_names() {
    let desk = valuing();
    market(&desk, "us/wa/seattle");
    let older = json!({"city": "Seattle", "state": "WA", "zip_code": "98101", "bedrooms": 3, "bathrooms": 2.5, "size_sqft": 1_500,
                       "year_built": 1_962, "lot_size_sqft": 5_000, "latitude": 47.6, "longitude": -122.3, "property_type": "house",
                       "stories": 2, "grade": 7});
    let valued = desk.post("/api/ml/predict-price", &older);
    assert_eq!(valued.status, 200, "{}", valued.text);
    insta::assert_json_snapshot!("older_prediction", valued.json());
    let reso = json!({"Country": "US", "StateOrProvince": "WA", "City": "Seattle", "LivingArea": 1_500});
    let bare = json!({"location": "Seattle", "size_sqft": 1_500, "bedrooms": 3});
    for (path, home) in [("/api/v1/predict", &older), ("/api/ml/predict-price", &reso), ("/api/v1/predict", &bare)] {
        let answer = desk.post(path, home);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["predicted_price"], 150_000);
        assert_eq!(answer.json()["market"], "us/wa/seattle");
    }
    for (member, value, pointer, slug) in [
        ("bedrooms", json!(-3), "/bedrooms", "validation-failed"),
        ("size_sqft", json!(null), "/size_sqft", "feature-missing"),
        ("year_built", json!("old"), "/year_built", "validation-failed"),
    ] {
        let mut home = older.clone();
        home[member] = value;
        let problem = desk.post("/api/ml/predict-price", &home).problem(422, slug);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
        assert!(problem["detail"].as_str().unwrap().contains(member), "{problem:#}");
    }
    let stranger =
        desk.post("/api/ml/predict-price", &json!({"City": "Seattle", "Country": "US", "Stories": 2, "LivingArea": 1}));
    stranger.problem(422, "validation-failed");
    assert_eq!(desk.get("/api/ml/model-info").json()["model"], "per-square-foot");
    Desk::start().post("/api/v1/predict", &older).problem(503, "model-unavailable");
}

#[test]
fn a_batch_has_an_outcome_for_each_home() {
    let desk = valuing();
    let home = json!({"city": "Seattle", "state": "WA", "sqft": 1_000});
    let wrong = json!({"city": "Seattle", "state": "WA", "sqft": -1});
    let answer = desk.post("/api/v1/batch", &json!({"properties": [home, wrong, 7]}));
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!((&body["count"], &body["failed"]), (&json!(3), &json!(2)));
    assert_eq!(body["predictions"][0]["predicted_price"], 100_000);
    assert_eq!(body["predictions"][1]["error"]["errors"][0]["pointer"], "/sqft");
    assert_eq!(body["predictions"][2]["error"]["status"], 400);
    desk.post("/api/v1/batch", &json!({})).problem(400, "not-json");
}

#[test]
fn health_says_ok_or_degraded_and_metrics_are_those_of_the_process() {
    let metrics: api::RenderMetrics = Arc::new(|| "# TYPE roost_x counter\nroost_x 1\n".to_owned());
    let desk = Desk::start_lent(Config::default(), None, Lent { judge: None, metrics: Some(metrics) });
    for path in ["/api/health", "/api/v1/health"] {
        let answer = desk.get(path);
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")), "{}", answer.text);
        assert_eq!(answer.json()["checks"], json!({"log": "ok", "sessions": "ok", "store": "ok", "model": "absent"}));
    }
    let told = desk.get("/api/v1/metrics");
    assert!(told.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(told.text, "# TYPE roost_x counter\nroost_x 1\n");
    desk.tables.away.store(true, std::sync::atomic::Ordering::Relaxed);
    desk.eventually("the store is seen to be away", || desk.get("/api/health").status == 503);
    let degraded = desk.get("/api/health").json();
    assert_eq!((&degraded["status"], &degraded["checks"]["store"]), (&json!("degraded"), &json!("failing")));
    Desk::start().get("/api/v1/metrics").problem(404, "not-found");
}

#[test]
fn older_names_are_marked_as_deprecated_and_no_others() {
    let document = api::openapi();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let is_older = !path.starts_with("/api/v1/")
            || ["predict", "batch", "health", "metrics"].contains(&path.rsplit('/').next().unwrap());
        let is_older = is_older && !path.starts_with("/api/v1/ml/");
        for operation in operations.as_object().unwrap().values() {
            assert_eq!(operation["deprecated"] == json!(true), is_older, "{path}");
        }
    }
}
