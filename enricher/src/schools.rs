//! School ratings of the operator's own file, for listings whose feed gives none. roost ships no ratings and invents
//! none.

use std::path::Path;

use rustc_hash::FxHashMap;
use schemas::id::{Country, ListingId};
use schemas::listing::Listing;
use schemas::units::SchoolRating;

/// Ratings by listing and by postal code. Empty without a file.
#[derive(Debug, Default)]
pub struct SchoolRatings {
    by_listing: FxHashMap<ListingId, SchoolRating>,
    by_postal_code: FxHashMap<(Country, String), SchoolRating>,
}

/// What is wrong with the operator's file.
#[derive(Debug, thiserror::Error)]
#[error(
    "school ratings {file}, line {line}: {wrong}; expected a header with `rating` and either `listing_id` or `country` and `postal_code`"
)]
pub struct SchoolFileError {
    file: String,
    line: u64,
    wrong: String,
}

impl SchoolRatings {
    /// Reads a CSV file with a header: `rating` (0 to 10 in tenths), and `listing_id`, or `country` and `postal_code`.
    pub fn read(path: &Path) -> Result<Self, SchoolFileError> {
        let file = path.display().to_string();
        let wrong = |line, wrong: String| SchoolFileError { file: file.clone(), line, wrong };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(|e| wrong(0, format!("cannot be read: {e}")))?;
        let header = reader.headers().map_err(|e| wrong(1, e.to_string()))?.clone();
        let column = |name: &str| header.iter().position(|h| h == name);
        let rating_column = column("rating").ok_or_else(|| wrong(1, "no column `rating`".to_owned()))?;
        let key = match (column("listing_id"), column("country"), column("postal_code")) {
            (Some(id), _, _) => Key::Listing(id),
            (None, Some(country), Some(code)) => Key::PostalCode(country, code),
            _ => return Err(wrong(1, "no key column".to_owned())),
        };
        let mut ratings = Self::default();
        for record in reader.records() {
            let record = record.map_err(|e| wrong(e.position().map_or(0, csv::Position::line), e.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |column: usize| record.get(column).unwrap_or_default();
            let rating = SchoolRating::parse_decimal(cell(rating_column))
                .ok_or_else(|| wrong(line, format!("rating `{}` is not 0 to 10 in tenths", cell(rating_column))))?;
            match key {
                Key::Listing(column) => {
                    let id = cell(column).parse().map_err(|e| wrong(line, format!("{e}")))?;
                    ratings.by_listing.insert(id, rating);
                }
                Key::PostalCode(country, code) => {
                    let country = cell(country).parse().map_err(|e| wrong(line, format!("{e}")))?;
                    ratings.by_postal_code.insert((country, cell(code).to_uppercase()), rating);
                }
            }
        }
        Ok(ratings)
    }

    /// The feed's rating, else the operator's, else none.
    pub fn rating(&self, listing: &Listing) -> Option<SchoolRating> {
        listing.school_rating.or_else(|| self.by_listing.get(&listing.listing_id).copied()).or_else(|| {
            let code = listing.postal_code.clone().filter(|_| !self.by_postal_code.is_empty())?;
            self.by_postal_code.get(&(listing.country, code)).copied()
        })
    }
}

#[derive(Clone, Copy)]
enum Key {
    Listing(usize),
    PostalCode(usize, usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SchoolRatings, SchoolFileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        SchoolRatings::read(file.path())
    }

    fn listing(feed_says: Option<f64>) -> Listing {
        serde_json::from_value(serde_json::json!({
            "listing_id": "f:1", "feed": "f", "standard_status": "Active", "property_type": "Residential",
            "version": {"timestamp_ms": 0, "raw_partition": 0, "raw_offset": 0, "batch_index": 0}, "postal_code": "98101",
            "transaction": "sale", "market": "us/wa/seattle", "country": "us", "currency": "USD", "school_rating": feed_says,
        }))
        .unwrap()
    }

    #[test]
    fn the_feed_wins_over_the_file_and_the_file_over_nothing() {
        let by_code = read("country,postal_code,rating\nUS,98101,7.5\n").unwrap();
        assert_eq!(by_code.rating(&listing(None)), SchoolRating::from_steps(75));
        assert_eq!(by_code.rating(&listing(Some(3.0))), SchoolRating::from_steps(30));
        let by_listing = read("rating,listing_id\n9,f:1\n").unwrap();
        assert_eq!(by_listing.rating(&listing(None)), SchoolRating::from_steps(90));
        assert_eq!(SchoolRatings::default().rating(&listing(None)), None);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        for (text, wrong) in [
            ("postal_code,score\n", "line 1: no column `rating`"),
            ("postal_code,rating\n98101,5\n", "line 1: no key column"),
            ("country,postal_code,rating\nus,98101,5\nus,98102,11\n", "line 3: rating `11` is not 0 to 10 in tenths"),
            ("listing_id,rating\nnone,5\n", "line 2: listing_id: none is not allowed"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
