//! The listings of a file, without a log: each row through the mapping and the front door's reader, as if it had been
//! published and taken in. What training and measuring read feeds with.

use std::path::Path;
use std::sync::Arc;

use schemas::id::FeedName;
use schemas::listing::Listing;
use schemas::reso::{self, Origin};

use super::input::{Input, InputError, Next, RawRow};
use super::summary::Place;
use crate::mapping::Mapping;

/// How the rows of a file become listings.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The feed that the listings are of.
    pub feed: &'a FeedName,
    /// What makes RESO of a row.
    pub mapping: &'a Mapping,
    /// The time of statements that name none, milliseconds since 1970.
    pub now_ms: i64,
}

/// Hands every listing of a file to `each`, in the order of the rows, or the place of the row and why it is none. `Err`: the
/// file cannot be read, or not to its end.
pub fn read_listings(
    file: &Path,
    reading: &Reading<'_>,
    each: &mut dyn FnMut(Place, Result<Listing, String>),
) -> Result<(), InputError> {
    let mut input = Input::open(file, &Arc::default())?;
    input.check_columns(reading.mapping)?;
    loop {
        match input.next()? {
            Next::Row(raw) => {
                let place = Place { file: file.to_owned(), line: raw.line };
                match listings_of(&input, &raw, reading) {
                    Ok(listings) => listings.into_iter().for_each(|listing| each(place.clone(), listing)),
                    Err(reason) => each(place, Err(reason)),
                }
            }
            Next::Prose => {}
            Next::End => return Ok(()),
        }
    }
}

fn listings_of(input: &Input, raw: &RawRow, reading: &Reading<'_>) -> Result<Vec<Result<Listing, String>>, String> {
    let row = input.row(raw)?;
    let members = reading.mapping.members(&row).map_err(|error| error.to_string())?;
    let origin = Origin {
        partition: 0,
        // A later row is the newer statement of two with one time.
        offset: raw.line,
        append_time_ms: reading.now_ms,
        feed: Some(reading.feed.clone()),
        ce_time_ms: None,
    };
    let value = members.to_json();
    let items = reso::read(&value, &origin).map_err(|refusal| refusal.to_string())?;
    Ok(items
        .into_iter()
        .map(|item| item.outcome.map(|accepted| accepted.listing).map_err(|refusal| refusal.to_string()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_listing_or_is_told_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sales.csv");
        let text = "ListingKey,StandardStatus,ClosePrice,City,Country\n1,Closed,5e5,Austin,US\n2,Sold?,1,Austin,US\n\
                    3,Closed\n4,Closed,7,Austin,US\n";
        std::fs::write(&file, text).unwrap();
        let (feed, mapping) = ("county".parse().unwrap(), Mapping::reso());
        let reading = Reading { feed: &feed, mapping: &mapping, now_ms: 1_700_000_000_000 };
        let (mut listings, mut refused) = (Vec::new(), Vec::new());
        read_listings(&file, &reading, &mut |place, listing| match listing {
            Ok(listing) => listings.push(listing),
            Err(reason) => refused.push(format!("{}: {reason}", place.line)),
        })
        .unwrap();
        let ids: Vec<_> = listings.iter().map(|listing| listing.listing_id.as_str()).collect();
        assert_eq!(ids, ["county:1", "county:4"]);
        assert_eq!(listings[0].close_price, schemas::money::Money::from_units(500_000));
        assert!(listings[0].version < listings[1].version, "the later row is the newer statement");
        assert!(
            refused[0].starts_with("3: StandardStatus: Sold?") && refused[1].starts_with("4: the row has 2 cells"),
            "{refused:?}"
        );
        assert_eq!(refused.len(), 2);
    }

    #[test]
    fn a_file_without_the_mapping_s_columns_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sales.csv");
        std::fs::write(&file, "id,price\n1,2\n").unwrap();
        let (feed, mapping) = ("county".parse().unwrap(), Mapping::reso());
        let reading = Reading { feed: &feed, mapping: &mapping, now_ms: 0 };
        let error = read_listings(&file, &reading, &mut |_, _| panic!("a row")).unwrap_err();
        assert!(error.to_string().contains("has no column 'ListingKey' (it has 'id', 'price'"), "{error}");
    }
}
