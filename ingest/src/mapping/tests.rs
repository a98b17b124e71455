//! What mappings make of rows, and what they say of rows and files that they cannot read.

use schemas::listing::Listing;
use schemas::reso::{self, Origin};
use serde_json::{Value, json};

use super::*;

const REDFIN_HEADER: &str = "SALE TYPE,SOLD DATE,PROPERTY TYPE,ADDRESS,CITY,STATE OR PROVINCE,ZIP OR POSTAL CODE,PRICE,BEDS,BATHS,LOCATION,SQUARE FEET,LOT SIZE,YEAR BUILT,DAYS ON MARKET,$/SQUARE FEET,HOA/MONTH,STATUS,NEXT OPEN HOUSE START TIME,NEXT OPEN HOUSE END TIME,URL (SEE https://www.redfin.com/buy-a-home/comparative-market-analysis FOR INFO ON PRICING),SOURCE,MLS#,FAVORITE,INTERESTED,LATITUDE,LONGITUDE";

/// Maps each row of a CSV text.
fn csv_rows(mapping: &Mapping, text: &str) -> Vec<Result<Value, RowError>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let columns = Columns::new(reader.headers().unwrap().iter());
    assert_eq!(mapping.absent_columns(&columns), Vec::<String>::new());
    reader
        .records()
        .map(|record| mapping.members(&Row::Csv(&columns, &record.unwrap())).map(|members| value(&members)))
        .collect()
}

fn value(members: &Members<'_>) -> Value {
    serde_json::from_slice(&members.to_json()).unwrap()
}

/// What the front door makes of it.
fn listing(value: &Value) -> Listing {
    let origin = Origin {
        partition: 0,
        offset: 0,
        append_time_ms: 1_795_608_000_000,
        feed: Some("f".parse().unwrap()),
        ce_time_ms: None,
    };
    let json = value.to_string();
    reso::read(json.as_bytes(), &origin).unwrap().remove(0).outcome.unwrap().listing
}

fn mapping_of(fields: &str) -> Mapping {
    Mapping::parse(&format!("[fields]\nListingKey = \"id\"\nStandardStatus = {{ constant = \"Active\" }}\n{fields}"))
        .unwrap()
}

fn mapped(mapping: &Mapping, row: &Value) -> Result<Value, RowError> {
    mapping.members(&Row::Json(&row.to_string())).map(|members| value(&members))
}

#[test]
fn an_export_of_redfin_becomes_reso() {
    let text = format!(
        "{REDFIN_HEADER}\n\
         MLS Listing,,Condo/Co-op,\"4451 Woodland Park Ave N, #3\",Seattle,WA,98103,\"$345,000\",1,1.5,Wallingford,579,,1961,3,596,305,Active,,,https://www.redfin.com/WA/Seattle/4451/unit-3/home/19434,NWMLS,1919947,N,Y,47.6607549,-122.3448803\n"
    );
    let row = csv_rows(&Mapping::redfin(), &text).remove(0).unwrap();
    insta::assert_json_snapshot!(row);
    let listing = listing(&row);
    assert_eq!(listing.listing_id.as_str(), "f:19434");
    assert_eq!((listing.market.as_str(), listing.list_price.unwrap().units()), ("us/wa/seattle", 345_000));
}

#[test]
fn a_past_sale_is_closed_only_where_its_status_does_not_say_otherwise() {
    let row = |sale_type: &str, sold: &str, status: &str| {
        format!(
            "{sale_type},{sold},Townhouse,1 A St,Seattle,WA,98103,500000,,,,,,,,,,{status},,,/home/7,,,N,Y,47.6,-122.3\n"
        )
    };
    let text = [
        format!("{REDFIN_HEADER}\n"),
        row("PAST SALE", "May-9-2022", "Sold"),
        row("PAST SALE", "", ""),
        row("PAST SALE", "December-18-1995", "Pending"),
        row("MLS Listing", "December-18-1995", "Active"),
    ]
    .concat();
    let said = |row: &Result<Value, RowError>| {
        let row = row.as_ref().unwrap();
        ["StandardStatus", "ListPrice", "ClosePrice", "CloseDate"].map(|name| row[name].as_str().map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    let rows = csv_rows(&Mapping::redfin(), &text);
    assert_eq!(said(&rows[0]), [some("Closed"), None, some("500000"), some("2022-05-09")]);
    assert_eq!(said(&rows[1]), [some("Closed"), None, some("500000"), None]);
    assert_eq!(said(&rows[2]), [some("Pending"), some("500000"), None, None]);
    assert_eq!(said(&rows[3]), [some("Active"), some("500000"), None, None]);
}

#[test]
fn a_row_that_cannot_be_read_says_all_of_its_wrong_cells_and_its_listing() {
    let text = format!(
        "{REDFIN_HEADER}\n\
         PAST SALE,9 May 2022,Townhouse,1 A St,Seattle,WA,98103,1,,,,,,,,,,Sold,,,/home/7,,,N,Y,47.6,-122.3\n\
         MLS Listing,,Townhouse,1 A St,Seattle,WA,98103,1,,,,,,,,,,Gone Fishing,,,/condo/8,,,N,Y,47.6,-122.3\n"
    );
    let rows = csv_rows(&Mapping::redfin(), &text);
    let error = rows[0].as_ref().unwrap_err();
    assert_eq!(error.listing_key.as_deref(), Some("7"));
    assert_eq!(
        error.to_string(),
        "column 'SOLD DATE': 9 May 2022 is of the wrong type (expected a date of the form %B-%d-%Y)"
    );
    let error = rows[1].as_ref().unwrap_err();
    assert_eq!((error.listing_key.as_deref(), error.faults.len()), (None, 2));
    assert!(error.to_string().contains("column 'STATUS': Gone Fishing is not a known word"), "{error}");
    assert!(error.to_string().contains("column 'URL*': /condo/8 is of the wrong type"), "{error}");
}

#[test]
fn a_file_without_the_columns_is_told_which() {
    let columns = Columns::new(["\u{FEFF}URL", "PRICE", "STATUS"]);
    let absent = Mapping::redfin().absent_columns(&columns);
    assert!(absent.contains(&"SALE TYPE".to_owned()) && !absent.contains(&"URL*".to_owned()), "{absent:?}");
    assert!(!absent.contains(&"SNAPSHOT_DATE".to_owned()), "optional");
    assert_eq!(Mapping::reso().absent_columns(&columns), ["ListingKey"]);
}

#[test]
fn areas_become_square_feet_and_dates_become_utc() {
    let mapping = mapping_of(
        "ListPrice = \"price\"\nCity = \"city\"\nCountry = { constant = \"DE\" }\n\
         LivingArea = { column = \"area\", unit = \"m2\" }\nLotSizeArea = { column = \"plot\", unit = \"ha\" }\n\
         ModificationTimestamp = { column = \"changed\", date = \"%d.%m.%Y %H:%M\", zone = \"+02:00\" }\n",
    );
    let row =
        json!({"id": 7, "price": 450000.5, "city": "Köln", "area": "100", "plot": 0.5, "changed": "30.06.2026 01:30"});
    let listing = listing(&mapped(&mapping, &row).unwrap());
    assert_eq!((listing.living_area_sqft, listing.lot_size_sqft), (Some(1_076), Some(53_819)));
    assert_eq!(listing.version.timestamp_ms, "2026-06-29T23:30:00Z".parse::<Timestamp>().unwrap().as_millisecond());
    assert_eq!(listing.list_price.unwrap().cents(), 45_000_050);
}

#[test]
fn members_of_foreign_json_are_found_by_their_path() {
    let mapping = mapping_of(
        "City = \"where.city\"\nPostalCode = \"codes.1\"\nStateOrProvince = \"a.b\"\nAmenities = \"tags\"\n",
    );
    let row =
        json!({"id": "7", "where": {"city": "Austin"}, "codes": [1, "78704"], "a.b": "TX", "tags": ["pool", "moat"]});
    let members = mapped(&mapping, &row).unwrap();
    assert_eq!([&members["City"], &members["PostalCode"], &members["StateOrProvince"]], ["Austin", "78704", "TX"]);
    assert_eq!(members["Amenities"], json!(["pool", "moat"]));
}

#[test]
fn lists_words_and_alternatives_are_read_as_the_file_says() {
    let mapping = mapping_of(
        "Amenities = { column = \"tags\", separator = \";\" }\n\
         PropertySubType = { column = \"kind\", values = { FLAT = \"Apartment\" }, keep_others = true }\n\
         PropertyType = { column = \"kind\", values = { PLOT = \"Land\" }, otherwise = \"Residential\" }\n\
         City = [{ column = \"town\" }, { column = \"area\", unless = { area = [\"unknown\"] } }, { constant = \"Nowhere\" }]\n",
    );
    let row = json!({"id": "7", "tags": "pool; ev charging ;;", "kind": "flat", "area": "Bend", "town": "  "});
    let members = mapped(&mapping, &row).unwrap();
    assert_eq!(members["Amenities"], json!(["pool", "ev charging"]));
    assert_eq!(
        [&members["PropertySubType"], &members["PropertyType"], &members["City"]],
        ["Apartment", "Residential", "Bend"]
    );
    let members = mapped(&mapping, &json!({"id": "7", "kind": "Plot", "area": "Unknown"})).unwrap();
    assert_eq!([&members["PropertySubType"], &members["PropertyType"], &members["City"]], ["Plot", "Land", "Nowhere"]);
}

#[test]
fn a_row_that_is_no_object_is_refused() {
    for row in [json!([1]), json!("x"), json!(null)] {
        assert!(mapped(&mapping_of(""), &row).is_err(), "{row}");
    }
    let error = mapped(&mapping_of("City = { column = \"c\", values = { A = \"B\" } }\n"), &json!({"id": 1, "c": {}}))
        .unwrap_err();
    assert_eq!(error.to_string(), "column 'c': {} is of the wrong type (expected a text or a number)");
    assert_eq!(error.listing_key.as_deref(), Some("1"));
}

#[test]
fn a_wrong_mapping_file_says_the_key_and_what_to_write() {
    let base = "[fields]\nListingKey = \"id\"\nStandardStatus = \"status\"\n";
    let mut told = String::new();
    for text in [
        "",
        "[fields]\nListingKey = \"id\"\n",
        &format!("{base}ListPrize = \"p\"\n"),
        &format!("{base}[attributes]\nCity = \"c\"\n"),
        &format!("{base}City = 3\n"),
        &format!("{base}City = {{ colum = \"c\" }}\n"),
        &format!("{base}City = {{ column = \"c\", constant = \"x\" }}\n"),
        &format!("{base}City = {{ constant = {{ a = 1 }} }}\n"),
        &format!("{base}City = {{ column = \"c\", unit = \"m2\" }}\n"),
        &format!("{base}City = {{ column = \"c\", otherwise = \"x\" }}\n"),
        &format!("{base}City = {{ column = \"c\", when = \"sold\" }}\n"),
        &format!("{base}LivingArea = {{ column = \"c\", unit = \"tatami\" }}\n"),
        &format!("{base}LivingArea = {{ column = \"c\", unit = \"m2\" }}\nLivingAreaUnits = \"u\"\n"),
        &format!("{base}CloseDate = {{ column = \"c\", date = \"%H:%M\" }}\n"),
        &format!("{base}CloseDate = {{ column = \"c\", date = \"%Y-%m-%d\", zone = \"Atlantis\" }}\n"),
        &format!("{base}[constants]\nListingKey = \"x\"\n"),
        &format!("[snapshot]\ncolumn = \"d\"\n{base}"),
        "zone = \"Atlantis\"\n",
    ] {
        told += &Mapping::parse(text).expect_err(text);
        told += "\n----\n";
    }
    insta::assert_snapshot!(told);
}

#[test]
fn the_shipped_example_is_a_mapping() {
    let mapping = Mapping::parse(include_str!("../../../docs/examples/palm-springs.toml")).unwrap();
    let row = json!({
        "snapshot_date": "2026-04-26", "feed": "for_sale", "property_id": "1076100668", "style": "SINGLE_FAMILY",
        "status": "CONTINGENT", "street": "1 Example Dr", "city": "Indio", "state": "CA", "zip_code": "92201", "county": "Riverside",
        "neighborhoods": null, "latitude": "33.722313", "longitude": "-116.265949", "beds": "3", "full_baths": "2",
        "half_baths": "1", "sqft": "2052", "year_built": "2001", "days_on_mls": "14", "list_date": "2026-04-11 14:00:17",
        "last_sold_date": "2013-03-06 00:00:00", "list_price": "389000", "sold_price": "274000", "lot_sqft": "6098",
        "hoa_fee": "600", "raw_tags": ["swimming_pool", "groundscare"],
    });
    let text = row.to_string();
    let time = mapping.snapshot_time(&Row::Json(&text)).unwrap();
    assert_eq!(time, Some("2026-04-26T00:00:00Z".parse().unwrap()));
    insta::assert_json_snapshot!(listing(&mapped(&mapping, &row).unwrap()));
}

#[test]
fn a_county_s_sales_become_closed_listings_with_its_own_grades() {
    let mapping = Mapping::parse(include_str!("../../../docs/examples/king_county.toml")).unwrap();
    let header = "id,date,price,bedrooms,bathrooms,sqft_living,sqft_lot,floors,waterfront,view,condition,grade,sqft_above,\
                  sqft_basement,yr_built,yr_renovated,zipcode,lat,long,sqft_living15,sqft_lot15";
    let columns = Columns::new(header.split(','));
    let row = |cells: &str| {
        let record: csv::StringRecord = cells.split(',').collect();
        mapping.members(&Row::Csv(&columns, &record)).unwrap().to_json()
    };
    let sold =
        "0042,20141209T000000,1.225e+006,3,2.25,2570,7242,2,0,0,3,7,2170,400,1951,1991,98125,47.721,-122.319,1690,7639";
    insta::assert_json_snapshot!(listing(&serde_json::from_slice(&row(sold)).unwrap()));
    let never_renovated: Value = serde_json::from_slice(&row(&sold.replace(",1991,", ",0,"))).unwrap();
    assert_eq!(never_renovated.get("YearBuiltEffective"), None);
}

#[test]
fn the_page_shows_a_mapping_that_is_one() {
    let page = include_str!("../../../docs/mapping.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    Mapping::parse(example).unwrap();
}

#[test]
fn a_mistake_in_a_mapping_file_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("m.toml");
    let line = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Mapping::load(&file).unwrap_err().line
    };
    let fields = "[fields]\nListingKey = \"id\"\nStandardStatus = \"status\"\n";
    assert_eq!(line(&format!("# mine\n{fields}ListPirce = \"price\"\n")), Some(5));
    assert_eq!(line(&format!("zone = \"Mars\"\n{fields}")), Some(1));
    assert_eq!(
        line(&format!("[constants]\nCity = \"a\"\n{fields}City = {{ column = \"c\", unit = \"m2\" }}\n")),
        Some(6)
    );
    assert_eq!(line(&format!("{fields}[snapshot]\ncolumn = \"day\"\n")), Some(4));
    assert_eq!(line("[fields]\nListingKey = \"id\"\n"), None);
}
