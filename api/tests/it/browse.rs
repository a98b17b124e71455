//! Browsing homes and markets.

use schemas::id::SessionToken;
use serde_json::{Value, json};
use store::Row;

use crate::desk::{Answer, Desk, entry, fact, id_of, session};

fn keys(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["listing_id"].as_str().unwrap().trim_start_matches("seattle:").to_owned()).collect()
}

#[test]
fn pages_follow_each_other_in_order_of_price_without_gap_or_repeat() {
    let desk = Desk::start();
    for n in 0..23 {
        desk.list(&format!("{n:02}"), 500_000 - n * 1_000, &json!({}));
    }
    let expected: Vec<String> = (0..23).rev().map(|n| format!("{n:02}")).collect();
    for limit in [1, 5, 22, 23, 100] {
        let mut path = format!("/api/v1/properties?market=us/wa/seattle&limit={limit}");
        let mut seen = Vec::new();
        loop {
            let answer = desk.get(&path);
            let page = keys(&answer);
            assert!(page.len() <= limit);
            seen.extend(page);
            match answer.header("link") {
                None => break,
                Some(link) => path = link.trim_start_matches('<').split('>').next().unwrap().to_owned(),
            }
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

#[test]
fn an_index_entry_that_disagrees_with_its_listing_is_not_shown() {
    let desk = Desk::start();
    desk.list("here", 500_000, &json!({}));
    let cheaper = fact("here", 400_000, &json!({}));
    desk.write(Row::ListingByMarket(entry(&cheaper)), Some(&json!({})));
    desk.write(Row::ListingByMarket(entry(&fact("gone", 450_000, &json!({})))), Some(&json!({})));
    desk.list("pending", 410_000, &json!({"standard_status": "Pending"}));
    desk.list("hidden", 420_000, &json!({"display_allowed": false}));
    let answer = desk.get("/api/v1/properties?market=us/wa/seattle");
    assert_eq!(keys(&answer), ["here"]);
    assert_eq!(answer.json()["items"][0]["list_price"], 500_000);
}

#[test]
fn filters_and_scopes_cut_out_what_is_asked() {
    let desk = Desk::start();
    desk.list("a", 300_000, &json!({"bedrooms_total": 2}));
    desk.list("b", 400_000, &json!({"amenities": ["pool"]}));
    desk.list("c", 500_000, &json!({"market": "us/wa/tacoma"}));
    desk.list("d", 3_000, &json!({"transaction": "lease", "property_type": "ResidentialLease"}));
    let numbers = json!({});
    for market in ["us/wa/seattle", "us/wa/tacoma", "us/or/portland", "us/me/portland"] {
        desk.write(Row::Market(market.parse().unwrap()), Some(&numbers));
    }
    for (query, expected) in [
        ("market=us/wa/seattle", &["a", "b"][..]),
        ("market=us/wa/seattle,us/wa/tacoma", &["a", "b", "c"]),
        ("market=us/wa/seattle&beds_min=3", &["b"]),
        ("market=us/wa/seattle&amenities=Swimming%20Pool", &["b"]),
        ("market=us/wa/seattle&min_price=300000.01&max_price=400000", &["b"]),
        ("market=us/wa/seattle&transaction=lease", &["d"]),
        ("city=Tacoma", &["c"]),
        ("city=tacoma&state=WA", &["c"]),
        ("city=SEATTLE&state=wa&country=US&sort=price", &["a", "b"]),
        ("market=us/wa/nowhere", &[]),
    ] {
        assert_eq!(keys(&desk.get(&format!("/api/v1/properties?{query}"))), expected, "{query}");
    }
    desk.get("/api/v1/properties?city=Paris").problem(404, "market-not-found");
    let ambiguous = desk.get("/api/v1/properties?city=Portland").problem(400, "invalid-parameter");
    assert!(
        ambiguous["detail"].as_str().unwrap().contains("market=us/me/portland, market=us/or/portland"),
        "{ambiguous}"
    );
}

#[test]
fn a_session_browses_the_cities_and_filters_of_its_preferences() {
    let desk = Desk::start();
    desk.list("a", 300_000, &json!({"bedrooms_total": 2}));
    desk.list("b", 400_000, &json!({}));
    desk.list("c", 500_000, &json!({"market": "us/wa/tacoma"}));
    desk.list("d", 900_000, &json!({}));
    let accepted = desk.state();
    let token = accepted["token"].as_str().unwrap();
    let path = "/api/v1/properties?session=true";
    desk.get(path).problem(401, "unauthenticated");
    assert_eq!(desk.get_as(token, path).status, 202, "stated, and not applied yet");
    desk.get_as(&SessionToken::from_bits(7).reveal(), path).problem(404, "session-not-found");
    let mut cell = json!({"version": accepted["version"], "preferences": {
        "budget": 600_000, "currency": "USD", "place": {"cities": ["us/wa/seattle", "us/wa/tacoma"]}, "min_bedrooms": 3,
    }});
    desk.write(Row::Session(session(token)), Some(&cell));
    assert_eq!(keys(&desk.get_as(token, path)), ["b", "c"]);
    assert_eq!(keys(&desk.get_as(token, &format!("{path}&beds_min=2&max_price=350000"))), ["a"]);
    cell["preferences"]["place"] = json!({"country": "us"});
    desk.write(Row::Session(session(token)), Some(&cell));
    desk.get_as(token, path).problem(400, "invalid-parameter");
}

#[test]
fn a_cursor_of_another_query_or_a_mangled_one_is_refused() {
    let desk = Desk::start();
    for n in 0..3 {
        desk.list(&n.to_string(), 500_000 + n, &json!({}));
    }
    let base = "/api/v1/properties?market=us/wa/seattle&limit=1";
    let cursor = desk.get(base).json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(keys(&desk.get(&format!("{base}&cursor={cursor}"))), ["1"]);
    for wrong in
        [format!("{base}&cursor={cursor}A"), format!("{base}&cursor=x"), format!("{base}&beds_min=1&cursor={cursor}")]
    {
        desk.get(&wrong).problem(400, "invalid-parameter");
    }
}

#[test]
fn wrong_parameters_are_told_all_at_once() {
    let desk = Desk::start();
    let problem = desk.get("/api/v1/properties?market=Seattle&bed_min=3&limit=0").problem(400, "unknown-parameter");
    let told: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| e["parameter"].as_str().unwrap()).collect();
    assert_eq!(told, ["bed_min", "market", "limit"]);
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("beds_min"), "{problem:#}");
}

#[test]
fn a_property_is_shown_as_its_seller_allows() {
    let desk = Desk::start();
    desk.list("a", 520_000, &json!({}));
    desk.list("a/b c%", 520_000, &json!({}));
    desk.list("hidden", 520_000, &json!({"display_allowed": false}));
    desk.list("secret", 520_000, &json!({"address_display_allowed": false, "valuation_allowed": false}));
    let shown = desk.get("/api/v1/properties/seattle:a");
    assert_eq!((shown.status, shown.header("cache-control")), (200, Some("no-cache")));
    insta::assert_json_snapshot!("property", shown.json());
    assert_eq!(desk.get("/api/v1/properties/seattle:a%2Fb%20c%25").json()["listing_id"], "seattle:a/b c%");
    let secret = desk.get("/api/v1/properties/seattle:secret").json();
    let absent = |member: &str| secret.get(member).is_none_or(Value::is_null);
    assert!(["unparsed_address", "position", "valuation", "deal"].into_iter().all(absent), "{secret:#}");
    assert_eq!(secret["no_valuation"], "seller_opted_out");
    for id in ["seattle:hidden", "seattle:none", "x", "seattle:", "%00:%00"] {
        for path in [format!("/api/v1/properties/{id}"), format!("/api/v1/properties/{id}/history")] {
            desk.get(&path).problem(404, "property-not-found");
        }
    }
    desk.write(Row::Listing(id_of("broken")), Some(&json!({"listing": 1})));
    desk.get("/api/v1/properties/seattle:broken").problem(500, "internal");
}

#[test]
fn a_history_tells_prices_and_what_changed() {
    let desk = Desk::start();
    desk.list("a", 520_000, &json!({}));
    insta::assert_json_snapshot!("history", desk.get("/api/v1/properties/seattle:a/history").json());
}

#[test]
fn markets_are_listed_with_their_numbers_and_days() {
    let desk = Desk::start();
    let numbers = |listings: u64| json!({"currency": "USD", "active_listings": listings, "mean_list_price": 700_000, "median_list_price": 650_000.5});
    for (market, cell) in [
        ("us/wa/seattle", json!({"sale": numbers(40), "lease": numbers(7)})),
        ("us/wa/tacoma", json!({"sale": numbers(20)})),
        ("de/by/munchen", json!({})),
    ] {
        desk.write(Row::Market(market.parse().unwrap()), Some(&cell));
    }
    for day in 1..=3_i8 {
        let date = jiff::civil::date(2026, 11, day);
        let cell = json!({"market": "us/wa/seattle", "transaction": "sale", "day": date, "version": 5,
                          "observed_at": format!("{date}T23:59:00.000Z"), "numbers": numbers(day as u64)});
        let key = Row::MarketDay("us/wa/seattle".parse().unwrap(), schemas::vocabulary::Transaction::Sale, date);
        desk.write(key, Some(&cell));
    }
    insta::assert_json_snapshot!("markets", desk.get("/api/v1/markets").json());
    insta::assert_json_snapshot!("market", desk.get("/api/v1/markets/us/wa/seattle?days=2").json());
    let names = |answer: &Answer| -> Vec<String> {
        answer.json()["items"].as_array().unwrap().iter().map(|m| m["market"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&desk.get("/api/v1/markets?country=us")), ["us/wa/seattle", "us/wa/tacoma"]);
    let first = desk.get("/api/v1/markets?country=US&limit=1");
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let second = desk.get(&format!("/api/v1/markets?country=us&limit=1&cursor={cursor}"));
    assert_eq!((names(&second), &second.json()["next_cursor"]), (vec!["us/wa/tacoma".to_owned()], &json!(null)));
    desk.get(&format!("/api/v1/markets?limit=1&cursor={cursor}")).problem(400, "invalid-parameter");
    let lease = desk.get("/api/v1/markets/US/WA/Seattle?transaction=lease").json();
    assert_eq!((lease["numbers"]["active_listings"].as_u64(), lease["days"].as_array().unwrap().len()), (Some(7), 0));
    for path in ["us/wa/nowhere", "xyz/wa/seattle", "us/%20/seattle"] {
        desk.get(&format!("/api/v1/markets/{path}")).problem(404, "market-not-found");
    }
}

#[test]
fn similar_homes_are_of_the_market_on_offer_and_the_nearest_first() {
    let desk = Desk::start();
    desk.list("own", 500_000, &json!({}));
    desk.list("near", 510_000, &json!({}));
    desk.list("cheaper", 450_000, &json!({}));
    desk.list("larger", 500_000, &json!({"bedrooms_total": 5}));
    desk.list("condo", 500_000, &json!({"property_sub_type": "Condominium"}));
    desk.list("dear", 900_000, &json!({}));
    desk.list("elsewhere", 500_000, &json!({"market": "us/wa/tacoma"}));
    desk.list("rent", 500_000, &json!({"transaction": "lease"}));
    desk.list("pending", 500_000, &json!({"standard_status": "Pending"}));
    desk.list("hidden", 500_000, &json!({"display_allowed": false}));
    desk.list("foreign", 500_000, &json!({"currency": "CAD"}));
    let answer = desk.get("/api/v1/properties/seattle:own/similar");
    let body = answer.json();
    assert_eq!((answer.status, &body["listing_id"]), (200, &json!("seattle:own")), "{body}");
    let told: Vec<(&str, u64)> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["property"]["listing_id"].as_str().unwrap(), one["distance"].as_u64().unwrap()))
        .collect();
    let expected = [("seattle:near", 20), ("seattle:cheaper", 100), ("seattle:larger", 200), ("seattle:condo", 0)];
    assert_eq!(told, expected);
    for id in ["seattle:hidden", "seattle:none", "x"] {
        desk.get(&format!("/api/v1/properties/{id}/similar")).problem(404, "property-not-found");
    }
}

#[test]
fn among_very_many_homes_the_nearest_in_price_are_similar() {
    let desk = Desk::start();
    desk.list("own", 500_000, &json!({}));
    for n in 1..=150 {
        desk.list(&format!("below-{n:03}"), 500_000 - n * 100, &json!({}));
        desk.list(&format!("above-{n:03}"), 500_000 + n * 100, &json!({}));
    }
    let body = desk.get("/api/v1/properties/seattle:own/similar").json();
    let prices: Vec<i64> =
        body["items"].as_array().unwrap().iter().map(|one| one["property"]["list_price"].as_i64().unwrap()).collect();
    assert_eq!(prices.len(), 10);
    assert!(prices.iter().all(|price| (price - 500_000).abs() <= 1_000), "{prices:?}");
}
