//! `roost features FILE`: the matrix that training reads, made by the very code that values.
//!
//! Input: canonical listings (`listings`) or facts (`listings.priced`), one per line, or listings that a mapping made of the
//! rows of a feed. A row knows sales before it (`hindsight.rs`), never later ones. Output: CSV.

use std::io::{BufRead, Write};

use schemas::listing::Listing;
use schemas::units::Instant;

use crate::features::FeatureList;
use crate::hindsight::{Known, Pending, day_of};
use crate::sales::sale_of;
use crate::surroundings::Surroundings;

/// The columns before the features: what a row is about, and what it may be trained to say.
pub const LEADING_COLUMNS: [&str; 9] = [
    "listing_id",
    "market",
    "transaction",
    "currency",
    "standard_status",
    "at",
    "list_price",
    "close_price",
    "close_date",
];

/// What stopped the matrix.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// A line is not what it should be.
    #[error("line {line}: {reason}; expected a canonical listing or a fact as JSON")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What the JSON reader says.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("the matrix could not be written: {0}")]
    Io(#[from] std::io::Error),
}

/// The listings of a text, one per line; empty lines are skipped.
pub fn read_lines(text: impl BufRead) -> impl Iterator<Item = Result<Listing, MatrixError>> {
    (1..).zip(text.lines()).filter_map(|(line, text)| match text {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(read(&text).map_err(|e| MatrixError::Line { line, reason: e.to_string() })),
        Err(error) => Some(Err(error.into())),
    })
}

/// Writes a header and one row per listing; returns how many rows. A missing number is an empty cell. Unless sales are
/// known to the rows below them, the listings must come in the order of their days.
pub fn write_matrix(
    listings: impl IntoIterator<Item = Result<Listing, MatrixError>>,
    known: Known,
    features: &FeatureList,
    surroundings: &Surroundings,
    output: impl Write,
) -> Result<u64, MatrixError> {
    let mut csv = csv::Writer::from_writer(output);
    let names = features.iter().map(ToString::to_string);
    csv.write_record(LEADING_COLUMNS.into_iter().map(str::to_owned).chain(names)).map_err(io)?;
    let (mut rows, mut row, mut pending) = (0, Vec::new(), Pending::new(known));
    for listing in listings {
        let listing = listing?;
        pending.known_on(day_of(&listing)).for_each(|sale| surroundings.take(&sale));
        row.clear();
        features.append_row(&surroundings.now().of(&listing, features), &mut row);
        csv.write_record(leading(&listing).into_iter().chain(row.iter().map(|v| cell(*v)))).map_err(io)?;
        rows += 1;
        if let Some(sale) = sale_of(&listing, None) {
            pending.add(sale);
        }
    }
    csv.flush()?;
    Ok(rows)
}

fn read(text: &str) -> Result<Listing, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Fact {
        listing: Listing,
    }
    // Only a fact has a member `listing`; looking for it first keeps the error of the right shape.
    if text.contains("\"listing\":")
        && let Ok(fact) = serde_json::from_str::<Fact>(text)
    {
        return Ok(fact.listing);
    }
    serde_json::from_str(text)
}

fn leading(listing: &Listing) -> [String; LEADING_COLUMNS.len()] {
    let text = |value: Option<String>| value.unwrap_or_default();
    [
        listing.listing_id.to_string(),
        listing.market.to_string(),
        listing.transaction.as_str().to_owned(),
        listing.currency.to_string(),
        listing.standard_status.to_string(),
        Instant::from_ms(listing.version.timestamp_ms).unwrap_or_default().to_string(),
        text(listing.list_price.map(|p| p.to_string())),
        text(listing.close_price.map(|p| p.to_string())),
        text(listing.close_date.map(|d| d.to_string())),
    ]
}

fn cell(value: f32) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

fn io(error: csv::Error) -> MatrixError {
    MatrixError::Io(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schools::SchoolRatings;

    fn line(key: u32, more: serde_json::Value) -> serde_json::Value {
        let mut value = serde_json::json!({
            "listing_id": format!("f:{key}"), "feed": "f", "standard_status": "Closed", "property_type": "Residential",
            "version": {"timestamp_ms": 1_600_000_000_000_i64, "raw_partition": 0, "raw_offset": key, "batch_index": 0},
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD",
            "close_price": 500_000, "living_area_sqft": 1_000,
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    }

    fn matrix(lines: &[String], market_context: bool) -> Result<String, MatrixError> {
        let features = FeatureList::named(&["living_area_sqft", "year_built", "market_price_per_sqft"]).unwrap();
        let surroundings = Surroundings::new(SchoolRatings::default(), market_context);
        let mut out = Vec::new();
        let text = lines.join("\n");
        write_matrix(read_lines(text.as_bytes()), Known::Below, &features, &surroundings, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_row_knows_the_sales_above_it_and_none_below() {
        let mut lines: Vec<_> = (0..6).map(|key| line(key, serde_json::json!({})).to_string()).collect();
        lines.push(serde_json::json!({"listing": line(9, serde_json::json!({"year_built": 1950}))}).to_string());
        let with = matrix(&lines, true).unwrap();
        insta::assert_snapshot!(with);
        assert!(!matrix(&lines, false).unwrap().contains(",500\n"));
    }

    #[test]
    fn a_row_knows_the_sales_of_days_long_enough_before_it() {
        let day = |n: u32| serde_json::json!({"close_date": format!("2020-01-{:02}", n + 1)});
        let listings = (0..9).map(|n| Ok(serde_json::from_value(line(n, day(n))).unwrap()));
        let features = FeatureList::named(&["market_sales"]).unwrap();
        let surroundings = Surroundings::new(SchoolRatings::default(), true);
        let mut out = Vec::new();
        write_matrix(listings, Known::After(2), &features, &surroundings, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let sales: Vec<_> = out.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
        // The first five are known on the eighth day: three days after the fifth.
        assert_eq!(sales, ["", "", "", "", "", "", "", "5", "6"]);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let lines = [line(1, serde_json::json!({})).to_string(), "{\"listing_id\": \"f:2\"}".to_owned()];
        let error = matrix(&lines, true).unwrap_err().to_string();
        assert!(error.starts_with("line 2: missing field `version`"), "{error}");
    }
}
