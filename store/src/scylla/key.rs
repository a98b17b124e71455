//! Keys of rows as CQL values, and back. The order of the values is that of the columns in `schemas::cql`.

use std::fmt::Display;
use std::str::FromStr;

use ::scylla::value::{CqlDate, CqlValue, Row as CqlRow};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

use crate::{ByMarket, Cell, Row, StoreError, Table, WriteTimestamp};

pub(super) fn text(value: &impl Display) -> CqlValue {
    CqlValue::Text(value.to_string())
}

pub(super) fn word(transaction: Transaction) -> CqlValue {
    CqlValue::Text(transaction.as_str().to_owned())
}

/// The values of a row's key.
pub(super) fn of(row: &Row) -> Vec<CqlValue> {
    match row {
        Row::Recommendation(session) | Row::Counts(session) | Row::Session(session) => vec![text(session)],
        Row::Listing(listing) => vec![text(listing)],
        Row::ListingByMarket(ByMarket { market, transaction, list_price, listing_id }) => {
            vec![text(market), word(*transaction), CqlValue::BigInt(list_price.cents()), text(listing_id)]
        }
        Row::Market(market) => vec![text(&market.country()), text(market)],
        Row::MarketDay(market, transaction, day) => {
            vec![text(market), word(*transaction), CqlValue::Date(cql_date(*day))]
        }
        // Shards are partitions, of which a topic has a few thousand at most.
        Row::Shard(shard) => vec![CqlValue::Int(shard.cast_signed())],
    }
}

/// A scanned row: key columns, main cell, its WRITETIME. The cell is `None` where a row has no main cell.
pub(super) fn main_cell(table: Table, row: CqlRow) -> Result<(Row, Option<Cell>), StoreError> {
    let mut columns = row.columns.into_iter();
    let mut next = || columns.next().flatten();
    let key = match table {
        Table::Recommendations => Row::Recommendation(parsed_text(next())?),
        Table::Sessions => Row::Session(parsed_text(next())?),
        Table::Listings => Row::Listing(parsed_text(next())?),
        Table::ListingsByMarket => Row::ListingByMarket(ByMarket {
            market: parsed_text(next())?,
            transaction: transaction(next())?,
            list_price: money(big_int(next())?)?,
            listing_id: parsed_text(next())?,
        }),
        Table::Markets => {
            next(); // The country, which the market's own name says again.
            Row::Market(parsed_text(next())?)
        }
        Table::MarketDays => {
            let (market, transaction) = (parsed_text(next())?, transaction(next())?);
            match next() {
                Some(CqlValue::Date(day)) => Row::MarketDay(market, transaction, civil_date(day)?),
                other => return Err(unknown(&other)),
            }
        }
        Table::Shards => match next() {
            Some(CqlValue::Int(shard)) => Row::Shard(shard.cast_unsigned()),
            other => return Err(unknown(&other)),
        },
    };
    let cell = match (next(), next()) {
        (Some(CqlValue::Text(json)), Some(CqlValue::BigInt(at))) => {
            Some(Cell { json, timestamp: WriteTimestamp::from_raw(at) })
        }
        _ => None,
    };
    Ok((key, cell))
}

/// Days since 1970-01-01 with 2^31 added, as CQL counts them.
fn cql_date(day: jiff::civil::Date) -> CqlDate {
    // Every civil date lies within ±10,000 years, 3.7 million days.
    CqlDate((i64::from(days_since_1970(day)) + (1 << 31)) as u32)
}

fn days_since_1970(day: jiff::civil::Date) -> i32 {
    // Cannot fail: a span in days is always computable between two civil dates.
    day.since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1))).expect("a count of days").get_days()
}

pub(super) fn civil_date(CqlDate(days): CqlDate) -> Result<jiff::civil::Date, StoreError> {
    let days = i64::from(days) - (1 << 31);
    let span = jiff::Span::new().try_days(days).map_err(|_| unknown(&days))?;
    jiff::civil::date(1970, 1, 1).checked_add(span).map_err(|_| unknown(&days))
}

pub(super) fn money(cents: i64) -> Result<Money, StoreError> {
    Money::from_cents(cents).ok_or_else(|| unknown(&cents))
}

pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| unknown(&text))
}

fn parsed_text<T: FromStr>(value: Option<CqlValue>) -> Result<T, StoreError> {
    match value {
        Some(CqlValue::Text(text)) => parsed(&text),
        other => Err(unknown(&other)),
    }
}

fn transaction(value: Option<CqlValue>) -> Result<Transaction, StoreError> {
    match value {
        Some(CqlValue::Text(text)) if text == Transaction::Sale.as_str() => Ok(Transaction::Sale),
        Some(CqlValue::Text(text)) if text == Transaction::Lease.as_str() => Ok(Transaction::Lease),
        other => Err(unknown(&other)),
    }
}

fn big_int(value: Option<CqlValue>) -> Result<i64, StoreError> {
    match value {
        Some(CqlValue::BigInt(number)) => Ok(number),
        other => Err(unknown(&other)),
    }
}

fn unknown(value: &dyn std::fmt::Debug) -> StoreError {
    StoreError::Fatal(format!(
        "a key in the tables is not one that roost writes: {value:?}. Another client or another version wrote it: delete \
         the row, or point store.scylla.keyspace elsewhere"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_rows() -> Vec<Row> {
        let session = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let market: schemas::id::Market = "us/wa/seattle".parse().unwrap();
        let listing_id: schemas::id::ListingId = "feed:1".parse().unwrap();
        let list_price = Money::from_units(1).unwrap();
        let transaction = Transaction::Lease;
        let hint = ByMarket { market: market.clone(), transaction, list_price, listing_id: listing_id.clone() };
        let day = |y, m, d| Row::MarketDay(market.clone(), transaction, jiff::civil::date(y, m, d));
        vec![
            Row::Recommendation(session),
            Row::Session(session),
            Row::Listing(listing_id),
            Row::ListingByMarket(hint),
            Row::Market(market.clone()),
            day(1969, 12, 31),
            day(2024, 2, 29),
            Row::Shard(15),
        ]
    }

    #[test]
    fn a_key_comes_back_as_it_was_written() {
        for row in some_rows() {
            let mut columns: Vec<_> = of(&row).into_iter().map(Some).collect();
            columns.extend([Some(text(&"{}")), Some(CqlValue::BigInt(7))]);
            let cell = Cell { json: "{}".to_owned(), timestamp: WriteTimestamp::from_raw(7) };
            assert_eq!(main_cell(row.table(), CqlRow { columns }).unwrap(), (row, Some(cell)));
        }
    }

    #[test]
    fn the_values_of_a_key_are_as_many_as_its_columns() {
        for row in some_rows() {
            assert_eq!(of(&row).len(), row.table().definition().key().count(), "{row:?}");
        }
    }
}
