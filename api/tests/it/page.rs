//! The page over HTTP, as a browser without scripts sees it: forms, escaping, headers, the cookie, and who may not send what.

use std::sync::Arc;

use api::Config;
use serde_json::{Value, json};
use store::Row;

use crate::appraisal::PerSquareFoot;
use crate::desk::{Answer, Desk, item, preferences, session};
use crate::streams::Listening;

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const WISHES: &[u8] = b"transaction=sale&city=us%2Fwa%2Fseattle&budget=750%2C000&min_bedrooms=2&profile=balanced";

/// A browser: it says that it wants pages, and sends the cookie that it was given.
struct Browser<'a> {
    desk: &'a Desk,
    cookie: Option<String>,
    /// Of the newest statement.
    version: u64,
}

impl<'a> Browser<'a> {
    fn new(desk: &'a Desk) -> Self {
        Self { desk, cookie: None, version: 0 }
    }

    fn ask(&mut self, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
        let cookie = self.cookie.clone();
        let mut headers = vec![HTML];
        headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
        headers.extend_from_slice(more);
        let answer = self.desk.ask(method, path, &headers, body);
        if let Some(set) = answer.header("set-cookie") {
            let pair = set.split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| format!("other=1; {pair}"));
        }
        answer
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        self.ask("POST", path, &[FORM], body)
    }

    fn token(&self) -> String {
        self.cookie.as_deref().unwrap().rsplit('=').next().unwrap().to_owned()
    }

    /// States wishes, as the scorer would answer with these items; gives the page that follows.
    fn seated(&mut self, items: &[Value]) -> Answer {
        let stated = self.post("/", WISHES);
        assert_eq!(stated.status, 303, "{}", stated.text);
        let location = stated.header("location").unwrap().to_owned();
        let version: u64 = location.split("v=").nth(1).unwrap().split('#').next().unwrap().parse().unwrap();
        self.version = version;
        let cell = json!({"version": version, "preferences": preferences()});
        self.desk.write(Row::Session(session(&self.token())), Some(&cell));
        self.desk.announce(session(&self.token()), version, items);
        let page = self.get(location.split('#').next().unwrap());
        assert_eq!(page.status, 200, "{}", page.text);
        page
    }
}

fn market(desk: &Desk) {
    let numbers = json!({"sale": {"currency": "USD", "active_listings": 41, "mean_list_price": 650_000, "median_list_price": 629_500}});
    desk.write(Row::Market("us/wa/seattle".parse().unwrap()), Some(&numbers));
}

/// One of the three, with everything that a card shows.
fn whole_item(rank: u8, key: &str, price: i64) -> Value {
    let mut item = item();
    let more = json!({
        "rank": rank, "listing_id": format!("seattle:{key}"), "title": format!("{key} Pine St"), "list_price": price,
        "previous_list_price": price + 20_000, "bedrooms_total": 3, "bathrooms_total": 2.5, "living_area_sqft": 1_800,
        "valuation": {"p10": 480_000, "p50": 530_000, "p90": 590_000, "model": "price", "model_version": "1"},
        "deal": {"score": 61, "valuation_gap": 55, "price_trend": 5, "source_reliability": 1, "discount": 0, "competitiveness": 0, "anomaly": false},
        "listing_url": "https://example.org/a", "photo_url": "https://example.org/a.jpg",
    });
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

#[test]
fn without_a_session_the_page_is_a_form_that_begins_at_the_median() {
    let desk = Desk::start();
    market(&desk);
    let page = Browser::new(&desk).get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text.contains("Seattle, WA") && page.text.contains("value=\"630,000\""), "{}", page.text);
    assert!(page.header("set-cookie").is_none());
}

#[test]
fn a_form_leads_to_three_homes_and_a_reload_shows_the_newest() {
    let desk = Desk::start();
    market(&desk);
    desk.list("1", 520_000, &json!({}));
    let mut browser = Browser::new(&desk);
    let page = browser.seated(&[whole_item(1, "1", 520_000), whole_item(2, "2", 530_000)]);
    for shown in [
        "1 Pine St",
        "$520,000",
        "Price cut 4 %",
        "2 Pine St",
        "31 % under budget",
        "2 % under its valuation",
        "class=\"chart\"",
        "src=\"https://example.org/a.jpg\"",
        "rel=\"noopener noreferrer nofollow\"",
        "/homes/seattle:1",
        "1,800 sq ft",
        "action=\"/page/dismiss\"",
        "action=\"/page/erase\"",
        "up to $750,000, Seattle, WA",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    desk.announce(session(&browser.token()), browser.version, &[whole_item(1, "9", 510_000)]);
    let again = browser.get("/");
    assert!(again.text.contains("9 Pine St") && !again.text.contains("1 Pine St"), "{}", again.text);
    assert_eq!(again.header("cache-control"), Some("private, no-store"));
}

#[test]
fn the_cookie_is_for_the_page_alone_and_for_no_script() {
    let desk = Desk::start();
    let mut browser = Browser::new(&desk);
    let stated = browser.post("/", WISHES);
    let cookie = stated.header("set-cookie").unwrap();
    let flags: Vec<&str> = cookie.split("; ").skip(1).collect();
    assert_eq!(flags, ["Path=/", "Max-Age=2592000", "HttpOnly", "SameSite=Lax"]);
    let cookie = browser.cookie.clone().unwrap();
    desk.ask("GET", "/api/v1/recommendations", &[("cookie", &cookie)], b"").problem(401, "unauthenticated");
    desk.ask("GET", "/api/v1/recommendations/stream", &[("cookie", &cookie)], b"").problem(401, "unauthenticated");
    let host = desk.base.trim_start_matches("http://").to_owned();
    let over_https = browser.ask("POST", "/", &[FORM, ("origin", &format!("https://{host}"))], WISHES);
    assert!(over_https.header("set-cookie").unwrap().ends_with("; Secure"));
    let always = Desk::start_with(Config { page_always_secure: true, ..Config::default() }, None);
    assert!(Browser::new(&always).post("/", WISHES).header("set-cookie").unwrap().ends_with("; Secure"));
}

#[test]
fn a_form_of_another_site_is_refused_before_it_does_anything() {
    let desk = Desk::start();
    let mut browser = Browser::new(&desk);
    browser.seated(&[]);
    let token = browser.token();
    for (path, body) in [("/", WISHES), ("/page/erase", b"".as_slice()), ("/page/dismiss", b"listing_id=seattle:1")] {
        for header in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let refused = browser.ask("POST", path, &[FORM, header], body);
            assert_eq!(refused.status, 403, "{path} {header:?}: {}", refused.text);
            assert!(refused.header("set-cookie").is_none());
            assert!(refused.text.contains("another site"), "{}", refused.text);
        }
    }
    assert_eq!(desk.get_as(&token, "/api/v1/recommendations").status, 200, "the session is still there");
    let cookie = browser.cookie.clone().unwrap();
    let listening = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
    desk.ask("GET", "/page/picks/stream", &listening, b"").problem(403, "forbidden-origin");
    desk.ask("GET", "/page/picks/stream", &[], b"").problem(401, "unauthenticated");
}

#[test]
fn what_is_wrong_stands_beside_its_field_and_what_was_typed_is_still_there() {
    let desk = Desk::start();
    market(&desk);
    let mut browser = Browser::new(&desk);
    let refused = browser.post("/", b"city=&budget=%22a+lot&min_bedrooms=-1&min_school_rating=11");
    assert_eq!((refused.status, refused.header("content-type")), (422, Some("text/html; charset=utf-8")));
    for shown in [
        "aria-invalid=\"true\" aria-describedby=\"budget-hint budget-error\"",
        "id=\"budget-error\"",
        "id=\"city-error\"",
        "id=\"min_bedrooms-error\"",
        "id=\"min_school_rating-error\"",
        "value=\"&#34;a lot\"",
        "4 things need another look",
        "href=\"#budget\"",
    ] {
        assert!(refused.text.contains(shown), "{shown}: {}", refused.text);
    }
    assert!(refused.header("set-cookie").is_none() && browser.cookie.is_none());
    assert_eq!(browser.ask("POST", "/", &[("content-type", "application/json")], b"{}").status, 415);
    assert_eq!(browser.post("/", &b"a=1&".repeat(10_000)).status, 413);
}

#[test]
fn nothing_of_a_feed_or_a_form_becomes_markup() {
    let attack = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'";
    let desk = Desk::start();
    desk.list("x", 500_000, &json!({"unparsed_address": attack, "public_remarks": attack, "other_amenities": [attack],
        "listing_url": "javascript:alert(1)", "photo_url": "http://example.org/\"onload=alert(1)", "originating_system_name": attack}));
    let mut browser = Browser::new(&desk);
    let mut evil = whole_item(1, "x", 500_000);
    evil["title"] = json!(attack);
    evil["components"][0]["reason"] = json!(attack);
    evil["listing_url"] = json!("javascript:alert(1)");
    let pages = [
        browser.seated(&[evil]),
        browser.get("/homes/seattle:x"),
        browser.post("/", format!("budget={attack}&city={attack}").as_bytes()),
        browser.get("/predict?market=us/wa/seattle&LivingArea=%3Cscript%3Ealert(1)%3C/script%3E"),
        browser.get("/%3Cscript%3Ealert(1)%3C/script%3E"),
        browser.get("/?said=%3Cscript%3E"),
    ];
    for page in &pages {
        assert!(!page.text.contains("<script>") && !page.text.contains("<img src=x"), "{}", page.text);
        assert!(!page.text.contains("javascript:"), "{}", page.text);
    }
    assert!(pages[0].text.contains("&#60;script&#62;"), "{}", pages[0].text);
}

#[test]
fn every_page_has_the_policy_and_nothing_that_it_forbids() {
    let desk = Desk::start();
    market(&desk);
    desk.list("1", 520_000, &json!({}));
    let mut browser = Browser::new(&desk);
    let pages = [
        (200, browser.get("/")),
        (422, browser.post("/", b"budget=x")),
        (200, browser.seated(&[whole_item(1, "1", 520_000)])),
        (200, browser.get("/markets")),
        (200, browser.get("/markets/us/wa/seattle")),
        (200, browser.get("/homes/seattle:1")),
        (200, browser.get("/predict")),
        (404, browser.get("/homes/seattle:none")),
        (404, browser.get("/markets/us/wa/nowhere")),
        (404, browser.get("/nowhere")),
        (405, browser.ask("DELETE", "/predict", &[], b"")),
    ];
    for (status, page) in pages {
        assert_eq!(
            (page.status, page.header("content-type")),
            (status, Some("text/html; charset=utf-8")),
            "{}",
            page.text
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let text = &page.text;
        assert!(!text.contains(" style=") && !text.contains("<style"), "{text}");
        assert!(!text.contains(" onload=") && !text.contains(" onclick=") && !text.contains(" onerror="), "{text}");
        for landmark in [
            "<main id=\"main\"",
            "<nav aria-label=",
            "<header",
            "<footer",
            "href=\"#main\"",
            "lang=\"en\"",
            "href=\"/docs/\"",
        ] {
            assert!(text.contains(landmark), "{landmark}: {text}");
        }
        for attribute in [" src=\"", "<link rel=\"stylesheet\" href=\""] {
            for link in text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                if link.starts_with("https://example.org/") {
                    continue;
                }
                let asset = desk.get(link);
                assert_eq!(
                    (asset.status, asset.header("cache-control")),
                    (200, Some("public, max-age=31536000, immutable")),
                    "{link}"
                );
            }
        }
    }
    desk.get("/nowhere").problem(404, "not-found");
    let api = desk.ask("GET", "/api/v1/nowhere", &[HTML], b"");
    api.problem(404, "not-found");
}

#[test]
fn a_dismissed_home_is_stated_and_what_the_form_shows_does_not_undo_it() {
    let desk = Desk::start();
    let mut browser = Browser::new(&desk);
    browser.seated(&[whole_item(1, "1", 520_000)]);
    let token = browser.token();
    let id = session(&token);
    // The scorer would apply the statement: as soon as it is on the log.
    let dismissed = std::thread::scope(|scope| {
        let asked = scope.spawn(|| browser.post("/page/dismiss", b"listing_id=seattle:1"));
        let mut statement = preferences();
        statement["dismissed"] = json!(["seattle:1"]);
        desk.eventually("the statement is applied", || {
            desk.write(Row::Session(id), Some(&json!({"version": 1, "preferences": statement})));
            desk.write(Row::Session(id), Some(&json!({"version": 2, "preferences": statement})));
            asked.is_finished()
        });
        asked.join().unwrap()
    });
    assert_eq!(dismissed.status, 303, "{}", dismissed.text);
    assert!(dismissed.header("location").unwrap().contains("said=dismissed"));
    assert_eq!(browser.post("/", WISHES).status, 303);
    assert_eq!(browser.post("/page/dismiss", b"listing_id=%3Cb%3E").status, 422);
}

#[test]
fn an_erased_session_is_gone_and_the_cookie_with_it() {
    let desk = Desk::start();
    let mut browser = Browser::new(&desk);
    browser.seated(&[whole_item(1, "1", 520_000)]);
    let (token, cookie) = (browser.token(), browser.cookie.clone().unwrap());
    let erased = browser.post("/page/erase", b"");
    assert_eq!((erased.status, erased.header("location")), (303, Some("/?said=erased")));
    assert!(erased.header("set-cookie").unwrap().starts_with("roost_session=; Path=/; Max-Age=0;"));
    assert_eq!(browser.cookie, None);
    assert!(browser.get("/?said=erased").text.contains("Your session is erased"));
    desk.get_as(&token, "/api/v1/recommendations").problem(404, "session-not-found");
    let old = desk.ask("GET", "/", &[HTML, ("cookie", &cookie)], b"");
    assert!(old.status == 200 && old.text.contains("Your session has ended"), "{}", old.text);
    assert!(!old.text.contains("1 Pine St"));
}

#[test]
fn nobody_sees_the_homes_of_another_session() {
    let desk = Desk::start();
    let (mut one, mut other) = (Browser::new(&desk), Browser::new(&desk));
    one.seated(&[whole_item(1, "1", 520_000)]);
    let page = other.seated(&[whole_item(1, "2", 530_000)]);
    assert!(page.text.contains("2 Pine St") && !page.text.contains("1 Pine St"));
    assert!(!page.text.contains(&other.token()), "the token is in the cookie alone");
}

#[test]
fn the_stream_sends_only_the_cards_that_changed_and_says_what_is_new() {
    let desk = Desk::start();
    let mut browser = Browser::new(&desk);
    let (first, second) = (whole_item(1, "1", 520_000), whole_item(2, "2", 530_000));
    let page = browser.seated(&[first.clone(), second.clone()]);
    let event = page.text.split("data-event=\"").nth(1).unwrap().split('"').next().unwrap();
    let cookie = browser.cookie.clone().unwrap();
    let path = format!("/page/picks/stream?last_event_id={event}");
    let mut stream = Listening::open(&desk, &path, &[("cookie", &cookie), ("sec-fetch-site", "same-origin")]);
    assert!(stream.head.contains("text/event-stream"), "{}", stream.head);
    let cut = whole_item(1, "2", 509_000);
    let mut moved = first;
    moved["rank"] = json!(2);
    let id = desk.announce(session(&browser.token()), browser.version, &[cut, moved.clone()]);
    let told = stream.next_of(&["update", "erased"]).unwrap();
    // Nobody follows the logs here: that may be told first.
    let told = if told.data["order"].is_null() { stream.next_of(&["update", "erased"]).unwrap() } else { told };
    assert_eq!((told.name.as_str(), told.id), ("update", Some(id)));
    assert_eq!(told.data["order"], json!(["seattle:2", "seattle:1"]));
    assert_eq!(told.data["say"], "Price cut 4 %: 2 Pine St is $509,000, now number 1. 1 Pine St is now number 2.");
    assert!(told.data["cards"]["seattle:2"].as_str().unwrap().contains("$509,000"));
    desk.announce(session(&browser.token()), browser.version, &[whole_item(1, "3", 500_000), moved]);
    let told = stream.next_of(&["update", "erased"]).unwrap();
    assert_eq!(told.data["cards"].as_object().unwrap().keys().collect::<Vec<_>>(), ["seattle:3"]);
    assert_eq!(told.data["say"], "New at number 1: 3 Pine St, $500,000. 2 Pine St is no longer among them.");
    assert_eq!(browser.post("/page/erase", b"").status, 303);
    assert_eq!(stream.next_of(&["update", "erased"]).unwrap().name, "erased");
}

#[test]
fn a_home_is_shown_within_its_sellers_rules() {
    let desk = Desk::start();
    desk.list("1", 520_000, &json!({"amenities": ["garage"], "public_remarks": "Sunny\nand quiet"}));
    desk.list("2", 525_000, &json!({"unparsed_address": "2 Oak St"}));
    desk.list("hidden", 521_000, &json!({"display_allowed": false}));
    desk.list("shy", 522_000, &json!({"address_display_allowed": false, "valuation_allowed": false}));
    let mut browser = Browser::new(&desk);
    let page = browser.get("/homes/seattle:1");
    for shown in
        ["1 Pine St", "$520,000", "Garage", "Sunny\nand quiet", "2 Oak St", "class=\"chart\"", "<desc", "New listing"]
    {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert_eq!(browser.get("/homes/seattle:hidden").status, 404);
    let shy = browser.get("/homes/seattle:shy");
    assert!(shy.text.contains("3-bedroom home in Seattle, WA"), "{}", shy.text);
    let own = shy.text.split("Homes like it").next().unwrap();
    assert!(!own.contains("Pine St") && own.contains("does not want a valuation"), "{own}");
}

#[test]
fn a_market_is_drawn_and_told_in_a_table() {
    let desk = Desk::start();
    market(&desk);
    for (day, median) in [("2026-11-23", 640_000), ("2026-11-24", 635_000), ("2026-11-25", 629_500)] {
        let numbers = json!({"currency": "USD", "active_listings": 41, "mean_list_price": 650_000, "median_list_price": median,
                             "median_days_on_market": 17});
        let cell = json!({"market": "us/wa/seattle", "transaction": "sale", "day": day, "version": 5,
                          "observed_at": format!("{day}T12:00:00.000Z"), "numbers": numbers});
        let row = Row::MarketDay(
            "us/wa/seattle".parse().unwrap(),
            schemas::vocabulary::Transaction::Sale,
            day.parse().unwrap(),
        );
        desk.write(row, Some(&cell));
    }
    let mut browser = Browser::new(&desk);
    let list = browser.get("/markets");
    assert!(list.text.contains("href=\"/markets/us/wa/seattle\"") && list.text.contains("$629,500"), "{}", list.text);
    let page = browser.get("/markets/us/wa/seattle");
    assert_eq!(page.text.matches("class=\"chart\"").count(), 3, "{}", page.text);
    for shown in [
        "<title id=\"median-title\">Median price in Seattle, WA, day by day</title>",
        "2026-11-23",
        "$640,000",
        "<caption",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(browser.get("/markets/us/wa/seattle?transaction=lease").text.contains("aria-current=\"page\">To rent"));
}

#[test]
fn a_home_is_valued_with_what_moved_it_and_mistakes_stand_beside_the_fields() {
    let desk = Desk::start_with(Config::default(), Some(Arc::new(PerSquareFoot)));
    market(&desk);
    let mut browser = Browser::new(&desk);
    assert_eq!(browser.get("/predict").status, 200);
    let page = browser.get("/predict?market=us/wa/seattle&LivingArea=1%2C500&BedroomsTotal=3&ListPrice=140000");
    assert_eq!(page.status, 200, "{}", page.text);
    for shown in
        ["$150,000", "$135,000", "$165,000", "7 % under its valuation", "+$50,000", "1,500 sq ft", "What moved it"]
    {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let wrong = browser.get("/predict?market=us/wa/seattle&LivingArea=big&BedroomsTotal=-1&YearBuilt=soon");
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    for shown in ["id=\"LivingArea-error\"", "id=\"BedroomsTotal-error\"", "value=\"big\"", "aria-invalid"] {
        assert!(wrong.text.contains(shown), "{shown}: {}", wrong.text);
    }
    let nowhere = browser.get("/predict?market=&LivingArea=big&BedroomsTotal=-1");
    assert_eq!(nowhere.status, 422);
    assert!(nowhere.text.contains("3 things need another look"), "{}", nowhere.text);
    assert!(browser.get("/predict?market=us/wa/tacoma&LivingArea=1500").text.contains("id=\"market-error\""));
    assert!(browser.get("/predict?market=us/wa/seattle&BedroomsTotal=3").text.contains("id=\"LivingArea-error\""));
    let without = Desk::start();
    let page = Browser::new(&without).get("/predict?market=us/wa/seattle&LivingArea=1500");
    assert!(page.status == 503 && page.text.contains("no model"), "{}", page.text);
    assert!(page.header("retry-after").is_some());
}
