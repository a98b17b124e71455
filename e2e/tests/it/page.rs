//! The page in a real browser, on a real `roost up`: a form filled in with the keyboard alone, three homes, a price cut that arrives
//! while somebody looks, and what would keep people out: lacking labels, faint text, pages wider than a phone.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::browser::{self, Browser, ENTER, SPACE};
use e2e::harness::{self, Running, free_port, patience, until};
use e2e::http;
use serde_json::{Value, json};

/// Where pictures of the pages go; a temporary directory unless told.
const PICTURES: &str = "ROOST_TEST_PICTURES";
/// What the page listens to, and what it finds lacking. Gives one line per fault.
const FAULTS: &str = include_str!("page/faults.js");

#[test]
fn a_person_with_a_keyboard_finds_three_homes_and_sees_a_price_cut_as_it_happens() -> Result<()> {
    let Some((house, mut browser)) = start()? else { return Ok(()) };
    let page = house.page();

    browser.look(1_280, 900, "light")?;
    browser.open(&format!("{page}/"))?;
    browser.press(browser::TAB)?;
    ensure!(browser.evaluate("document.activeElement.className")? == json!("skip"), "Tab leads to the skip link first");
    browser.tab_to("the budget", "e.id === 'budget'")?;
    browser.evaluate("document.activeElement.select()")?;
    browser.type_text("650,000")?;
    browser.tab_to("bedrooms", "e.id === 'min_bedrooms'")?;
    browser.evaluate("document.activeElement.select()")?;
    browser.type_text("two")?;
    browser.tab_to("the button", "e.matches('button.primary')")?;
    browser.press(ENTER)?;
    browser.until("a mistake is told beside its field", "document.querySelector('#min_bedrooms-error') !== null")?;
    let told = "document.querySelector('#min_bedrooms').getAttribute('aria-describedby')";
    ensure!(browser.evaluate(told)? == json!("min_bedrooms-error"), "the field is not tied to its mistake");
    ensure!(browser.evaluate("document.querySelector('#budget').value")? == json!("650,000"), "what was typed is gone");
    faultless(&mut browser, "the form with a mistake")?;
    browser.tab_to("bedrooms", "e.id === 'min_bedrooms'")?;
    browser.evaluate("document.activeElement.select()")?;
    browser.type_text("2")?;
    browser.tab_to("must have", "e.matches('summary') && e.textContent.includes('Must have')")?;
    browser.press(ENTER)?;
    browser.tab_to("garage", "e.name === 'required_amenities' && e.value === 'garage'")?;
    browser.press(SPACE)?;
    browser.tab_to("the button", "e.matches('button.primary')")?;
    browser.press(ENTER)?;
    browser.until("three homes", "document.querySelectorAll('#picks > li').length === 3")?;
    // The pictures of the test lead nowhere, and no sign of that is left.
    browser.until("the drawing stands in for a picture", "document.querySelector('#picks img') === null")?;
    browser.until("the page listens", "document.body.classList.contains('is-live')")?;
    faultless(&mut browser, "the three")?;

    // The keyboard is on a card whose price falls: it stays there.
    let last = browser.evaluate("document.querySelectorAll('#picks > li')[2].dataset.listing")?;
    let last = last.as_str().context("a listing")?.to_owned();
    let of_card = format!("e.closest('[data-listing]')?.dataset.listing === {}", json!(last));
    browser.tab_to("not for me", &format!("{of_card} && e.dataset.focus === 'dismiss'"))?;
    browser.evaluate("window.stays = true")?;
    let cut = house.cut(&last, 4)?;
    let card = format!("document.querySelector('[data-listing={}]')", json!(last));
    let begun = Instant::now();
    house.push(&cut)?;
    browser.until("the card changes", &format!("{card}?.textContent.includes('Price cut 4 %') ?? false"))?;
    let took = begun.elapsed();
    eprintln!("from the push of a price cut to the changed card: {} ms", took.as_millis());
    ensure!(browser.evaluate("window.stays === true")? == json!(true), "the page was loaded again");
    let kept =
        browser.evaluate(&format!("(e => {of_card} && e.dataset.focus === 'dismiss')(document.activeElement)"))?;
    ensure!(kept == json!(true), "the keyboard lost its place");
    browser.until("it is announced", "document.querySelector('#live').textContent.includes('Price cut 4 %')")?;
    ensure!(
        browser.evaluate("document.querySelector('#live').getAttribute('aria-live')")? == json!("polite"),
        "announced aloud"
    );
    ensure!(
        browser.evaluate(&format!("{card}.querySelector('svg.chart title') !== null"))? == json!(true),
        "no chart of the price"
    );

    // A home that is not wanted goes, and another takes its place, with the keyboard again.
    browser.press(ENTER)?;
    browser.until("the home is gone", &format!("location.search.includes('dismissed') && {card} === null"))?;
    browser.until("another takes its place", "document.querySelectorAll('#picks > li').length === 3")?;
    browser.tab_to("erase", "e.matches('.forget button')")?;
    browser.press(ENTER)?;
    browser.until("erased", "document.body.textContent.includes('Your session is erased')")?;
    ensure!(
        browser.evaluate("document.querySelector('#picks') === null")? == json!(true),
        "homes of an erased session"
    );
    quiet(&mut browser)
}

#[test]
fn without_scripts_the_page_works_by_loading_it_again() -> Result<()> {
    let Some((house, mut browser)) = start()? else { return Ok(()) };
    browser.call("Emulation.setScriptExecutionDisabled", json!({"value": true}))?;
    browser.look(390, 800, "light")?;
    browser.open(&format!("{}/", house.page()))?;
    browser.tab_to("the button", "e.matches('button.primary')")?;
    browser.press(ENTER)?;
    browser.until("three homes", "document.querySelectorAll('#picks > li').length === 3")?;
    let first = browser.evaluate("document.querySelector('#picks > li').dataset.listing")?;
    let first = first.as_str().context("a listing")?.to_owned();
    house.push(&house.cut(&first, 10)?)?;
    let card = format!("document.querySelector('[data-listing={}]')", json!(first));
    until("the page that is loaded again shows the newest", patience(20), || {
        browser.open(&format!("{}/", house.page()))?;
        let shown = browser.evaluate(&format!("{card}?.textContent.includes('Price cut 10 %') ?? false"))?;
        Ok((shown == json!(true)).then_some(()))
    })
}

#[test]
fn every_page_is_readable_on_a_phone_and_a_desk_by_day_and_by_night() -> Result<()> {
    let Some((house, mut browser)) = start()? else { return Ok(()) };
    let (page, directory) = (house.page(), tempfile::tempdir()?);
    let pictures = std::env::var(PICTURES).map_or_else(|_| directory.path().to_path_buf(), PathBuf::from);
    std::fs::create_dir_all(&pictures)?;
    browser.look(1_280, 900, "light")?;
    let mut paths = vec![
        ("form", "/".to_owned()),
        ("markets", "/markets".to_owned()),
        ("market", format!("/markets/{MARKET}")),
        (
            "predict",
            format!("/predict?market={MARKET}&LivingArea=1800&BedroomsTotal=3&YearBuilt=1985&ListPrice=500000"),
        ),
        ("mistakes", "/predict?market=&LivingArea=big&BedroomsTotal=-1".to_owned()),
        ("nothing", "/nowhere".to_owned()),
    ];
    pictures_of(&mut browser, &page, &paths, &pictures)?;
    browser.look(1_280, 900, "light")?;
    browser.open(&format!("{page}/"))?;
    browser.evaluate("document.querySelector('form.wishes').requestSubmit()")?;
    browser.until("three homes", "document.querySelectorAll('#picks > li').length === 3")?;
    let third = browser.evaluate("document.querySelectorAll('#picks > li')[2].dataset.listing")?;
    let third = third.as_str().context("a listing")?.to_owned();
    house.push(&house.cut(&third, 4)?)?;
    browser.until("a cut", "document.querySelector('#picks').textContent.includes('Price cut')")?;
    paths = vec![("three", "/".to_owned()), ("home", format!("/homes/{third}"))];
    pictures_of(&mut browser, &page, &paths, &pictures)?;
    quiet(&mut browser)
}

/// Looks at pages in every way, and takes pictures of them.
fn pictures_of(browser: &mut Browser, page: &str, paths: &[(&str, String)], pictures: &Path) -> Result<()> {
    for (name, path) in paths {
        for (width, scheme) in
            [(1_280, "light"), (1_280, "dark"), (390, "light"), (390, "dark"), (360, "light"), (320, "dark")]
        {
            browser.look(width, 900, scheme)?;
            browser.open(&format!("{page}{path}"))?;
            let wide = browser.evaluate("document.documentElement.scrollWidth")?;
            ensure!(wide.as_u64() <= Some(width.into()), "{name} is {wide} wide on a screen of {width}");
            faultless(browser, &format!("{name}, {width}, {scheme}"))?;
            if width != 360 && width != 320 {
                browser.picture(&pictures.join(format!("{name}-{width}-{scheme}.png")))?;
            }
        }
    }
    Ok(())
}

/// Asserts that nothing would keep people out, as far as a program sees it.
fn faultless(browser: &mut Browser, what: &str) -> Result<()> {
    let faults = browser.evaluate(FAULTS)?;
    let faults = faults.as_array().context("a list of faults")?;
    ensure!(faults.is_empty(), "{what}: {:#?}", faults);
    Ok(())
}

/// Asserts that no page complained.
fn quiet(browser: &mut Browser) -> Result<()> {
    let complaints = browser.complaints()?;
    ensure!(complaints.is_empty(), "the pages complain: {complaints:#?}");
    Ok(())
}

/// The market of the test.
const MARKET: &str = "us/wa/port-ellis";
/// Homes on offer there.
const HOMES: i64 = 8;

/// A running house with a market.
struct House {
    api: u16,
    push: u16,
    _process: Running,
    _directory: tempfile::TempDir,
}

/// A house with homes on offer, and a browser; `None` where there is no browser.
fn start() -> Result<Option<(House, Browser)>> {
    let Some(chromium) = browser::chromium()? else { return Ok(None) };
    let house = House::start()?;
    Ok(Some((house, Browser::start(&chromium)?)))
}

impl House {
    fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (api, push, admin) = (free_port()?, free_port()?, free_port()?);
        let mut command = harness::roost()?;
        command
            .args(["up", "--data-dir"])
            .arg(directory.path().join("data"))
            .env("ROOST__API__LISTEN", format!("127.0.0.1:{api}"))
            .env("ROOST__INGEST__PUSH__LISTEN", format!("127.0.0.1:{push}"))
            .env("ROOST__ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .stdout(std::fs::File::create(directory.path().join("up.log"))?)
            .stderr(std::fs::File::create(directory.path().join("up.errors"))?);
        let process = Running::spawn(&mut command)?;
        let house = Self { api, push, _process: process, _directory: directory };
        until("everything is ready", patience(60), || {
            http::get(&format!("http://127.0.0.1:{admin}/readyz")).map(Some)
        })?;
        for number in 0..HOMES {
            house.push(&home(number))?;
        }
        until("the market is there", patience(30), || {
            let form = http::get(&format!("{}/", house.page()))?;
            Ok(form.contains(&format!("value=\"{MARKET}\"")).then_some(()))
        })?;
        Ok(house)
    }

    fn page(&self) -> String {
        format!("http://127.0.0.1:{}", self.api)
    }

    /// Pushes a listing as its feed would.
    fn push(&self, listing: &Value) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/feeds/test/listings", self.push);
        let mut answer =
            http::agent(patience(10)).post(&url).content_type("application/json").send(listing.to_string())?;
        let text = answer.body_mut().read_to_string()?;
        ensure!(answer.status() == 200, "{listing}: {}: {text}", answer.status());
        Ok(())
    }

    /// The same home for so much per cent less.
    fn cut(&self, id: &str, percent: i64) -> Result<Value> {
        let number: i64 = id.trim_start_matches("test:").parse().context("a listing of the test")?;
        let mut home = home(number);
        home["ListPrice"] = json!(price(number) * (100 - percent) / 100);
        Ok(home)
    }
}

fn price(number: i64) -> i64 {
    500_000 + 15_000 * number
}

/// A home as its feed describes it.
fn home(number: i64) -> Value {
    json!({
        "ListingKey": number.to_string(), "StandardStatus": "Active", "PropertyType": "Residential",
        "PropertySubType": "SingleFamilyResidence", "ListPrice": price(number), "BedroomsTotal": 3, "BathroomsFull": 2,
        "LivingArea": 1_700 + 40 * number, "LotSizeArea": 5_000, "LotSizeUnits": "SquareFeet", "YearBuilt": 1990 + number,
        "Amenities": ["garage", "garden"], "SchoolRating": 6.5, "CommuteMinutes": 20,
        "UnparsedAddress": format!("{} Harbour Street", 100 + number), "City": "Port Ellis", "StateOrProvince": "WA",
        "PostalCode": "00102", "Country": "US", "Latitude": 48.049, "Longitude": -122.902 - number as f64 / 1_000.0,
        "PublicRemarks": "A <b>bright</b> corner house.\nClose to the harbour & the market.",
        "ListingURL": format!("https://listings.invalid/{number}"),
        "Media": [{"MediaURL": format!("https://photos.invalid/{number}.jpg"), "Order": 1}],
        "ModificationTimestamp": jiff::Timestamp::now().to_string(),
    })
}
