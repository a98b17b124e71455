//! Keys of rows as bytes, in the order of the CQL tables' clustering.

use schemas::id::{Country, ListingId, Market};
use schemas::money::Money;
use schemas::vocabulary::Transaction;

use crate::{ByMarket, Row, Table};

/// The name of the keyspace that holds a row's kind.
pub const fn space(row: &Row) -> &'static str {
    match row {
        Row::Recommendation(_) => "recommendations",
        Row::Counts(_) => "counts",
        Row::Session(_) => "sessions",
        Row::Listing(_) => "listings",
        Row::ListingByMarket(_) => "listings_by_market",
        Row::Market(_) => "markets",
        Row::MarketDay(..) => "market_days",
        Row::Shard(_) => "shards",
    }
}

/// Every keyspace.
pub const SPACES: [&str; 8] =
    ["recommendations", "counts", "sessions", "listings", "listings_by_market", "markets", "market_days", "shards"];

/// The keyspace of a table's main cell.
pub const fn of_table(table: Table) -> &'static str {
    match table {
        Table::Recommendations => "recommendations",
        Table::Sessions => "sessions",
        Table::Listings => "listings",
        Table::ListingsByMarket => "listings_by_market",
        Table::Markets => "markets",
        Table::MarketDays => "market_days",
        Table::Shards => "shards",
    }
}

/// The bytes of a row's key.
pub fn bytes(row: &Row) -> Vec<u8> {
    match row {
        Row::Recommendation(id) | Row::Counts(id) | Row::Session(id) => id.bits().to_be_bytes().to_vec(),
        Row::Listing(id) => id.as_str().as_bytes().to_vec(),
        Row::ListingByMarket(entry) => {
            by_market(&entry.market, entry.transaction, entry.list_price, entry.listing_id.as_str())
        }
        Row::Market(market) => market.as_str().as_bytes().to_vec(),
        Row::MarketDay(market, transaction, day) => {
            [partition(market, *transaction), newest_first(*day).to_be_bytes().to_vec()].concat()
        }
        Row::Shard(number) => number.to_be_bytes().to_vec(),
    }
}

/// Key of an index entry. Ids hold no control characters, so 0 ends a text.
fn by_market(market: &Market, transaction: Transaction, price: Money, id: &str) -> Vec<u8> {
    [partition(market, transaction), price.cents().to_be_bytes().to_vec(), id.as_bytes().to_vec()].concat()
}

/// What the keys of a market and transaction begin with.
fn partition(market: &Market, transaction: Transaction) -> Vec<u8> {
    [market.as_str().as_bytes(), &[0], transaction.as_str().as_bytes(), &[0]].concat()
}

/// From the first key to before the end: index entries with prices `min..=max`, strictly after `after`.
pub fn price_range(
    market: &Market,
    transaction: Transaction,
    min: Money,
    max: Money,
    after: Option<&(Money, ListingId)>,
) -> (Vec<u8>, Vec<u8>) {
    let first = by_market(market, transaction, min, "");
    // The smallest key behind that of the entry.
    let behind = after.map(|(price, id)| [by_market(market, transaction, *price, id.as_str()), vec![0]].concat());
    let end = [partition(market, transaction), (max.cents() + 1).to_be_bytes().to_vec()].concat();
    (behind.map_or_else(|| first.clone(), |behind| behind.max(first.clone())), end)
}

/// The same: the markets of a country.
pub fn country_range(country: Country) -> (Vec<u8>, Vec<u8>) {
    // '0' follows '/'.
    (format!("{country}/").into_bytes(), format!("{country}0").into_bytes())
}

/// The same: the days of a market and transaction.
pub fn day_range(market: &Market, transaction: Transaction) -> (Vec<u8>, Vec<u8>) {
    let from = partition(market, transaction);
    // A day is four bytes: five of the greatest are behind them all.
    let to = [from.clone(), vec![0xFF; 5]].concat();
    (from, to)
}

const EPOCH: jiff::civil::Date = jiff::civil::date(1970, 1, 1);

/// Days of the calendar fit an i32 by far.
fn newest_first(day: jiff::civil::Date) -> u32 {
    let days = (day - EPOCH).get_days();
    !((1_u32 << 31).wrapping_add_signed(days))
}

/// The row of a key in a keyspace; `None` for bytes that no row has.
pub fn row(space: &str, bytes: &[u8]) -> Option<Row> {
    let text = || std::str::from_utf8(bytes).ok();
    let session = || Some(schemas::id::SessionId::from_bits(u128::from_be_bytes(bytes.try_into().ok()?)));
    Some(match space {
        "recommendations" => Row::Recommendation(session()?),
        "counts" => Row::Counts(session()?),
        "sessions" => Row::Session(session()?),
        "listings" => Row::Listing(text()?.parse().ok()?),
        "markets" => Row::Market(text()?.parse().ok()?),
        "shards" => Row::Shard(u32::from_be_bytes(bytes.try_into().ok()?)),
        "market_days" => {
            let (market, transaction, rest) = split(bytes)?;
            let days = i64::from(!u32::from_be_bytes(rest.try_into().ok()?)) - (1_i64 << 31);
            Row::MarketDay(market, transaction, EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?)
        }
        _ => {
            let (market, transaction, rest) = split(bytes)?;
            let (price, id) = rest.split_at_checked(8)?;
            let list_price = Money::from_cents(i64::from_be_bytes(price.try_into().ok()?))?;
            let listing_id = std::str::from_utf8(id).ok()?.parse().ok()?;
            Row::ListingByMarket(ByMarket { market, transaction, list_price, listing_id })
        }
    })
}

fn split(bytes: &[u8]) -> Option<(Market, Transaction, &[u8])> {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let market = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let transaction = parts.next()?;
    let known = [Transaction::Sale, Transaction::Lease].into_iter().find(|t| t.as_str().as_bytes() == transaction)?;
    Some((market, known, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_back_and_sorts_as_its_row() {
        let market: Market = "us/wa/seattle".parse().unwrap();
        let entry = |cents: i64, id: &str| {
            Row::ListingByMarket(ByMarket {
                market: market.clone(),
                transaction: Transaction::Sale,
                list_price: Money::from_cents(cents).unwrap(),
                listing_id: id.parse().unwrap(),
            })
        };
        let day = |day| Row::MarketDay(market.clone(), Transaction::Lease, day);
        let rows = [
            entry(0, "f:1"),
            entry(255, "f:1"),
            entry(256, "f:0"),
            entry(256, "f:1"),
            Row::Shard(7),
            Row::Market(market.clone()),
            day(jiff::civil::date(2026, 1, 2)),
            day(jiff::civil::date(2026, 1, 1)),
            day(jiff::civil::date(1969, 12, 31)),
        ];
        for row in &rows {
            assert_eq!(super::row(space(row), &bytes(row)).as_ref(), Some(row));
        }
        assert!(rows[..4].windows(2).all(|pair| bytes(&pair[0]) < bytes(&pair[1])));
        assert!(rows[6..].windows(2).all(|pair| bytes(&pair[0]) < bytes(&pair[1])), "days: the newest first");
    }
}
