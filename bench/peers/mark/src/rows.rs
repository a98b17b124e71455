//! Rows of the files that `bench mark` writes. Whole numbers only.

use std::fs;
use std::path::Path;

use crate::Error;

/// A home, on offer or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Its number; of equal scores the smaller one is shown first.
    pub id: u32,
    /// Which market it is in.
    pub market: u32,
    /// What the score looks at.
    pub offer: Offer,
}

/// What the score knows of a home: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whole units.
    pub price: u32,
    /// Bits.
    pub amenities: u32,
    /// Days since the score's epoch.
    pub day: u16,
    /// How many.
    pub bedrooms: u8,
    /// Minutes.
    pub commute: u8,
    /// Tenths of a rating, 0..=100.
    pub school: u8,
    /// How good the price is, 0..=100.
    pub deal: u8,
    /// 0 falling, 1 stable, 2 rising.
    pub trend: u8,
    /// Whether anybody may be shown it.
    pub is_offered: bool,
}

/// A person who looks for a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: u32,
    /// Which market it looks in.
    pub market: u32,
    /// What the score looks at.
    pub asks: Asks,
}

/// What the score knows of a person: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// Whole units.
    pub budget: u32,
    /// Bits that must be there.
    pub required: u32,
    /// Bits that count.
    pub preferred: u32,
    /// At least so many.
    pub min_bedrooms: u8,
    /// Minutes.
    pub max_commute: u8,
    /// Tenths of a rating; 0: any.
    pub min_school: u8,
    /// Row of the weights, 0..=3.
    pub profile: u8,
}

/// Of `listings.csv` or `changes.csv`.
pub fn listings(path: &Path) -> Result<Vec<Listing>, Error> {
    rows(path, |mut row| {
        let (id, market, price) = (row.next("id")?, row.next("market")?, row.next("price")?);
        let (bedrooms, commute, school) = (row.next("bedrooms")?, row.next("commute")?, row.next("school")?);
        let (deal, trend, day) = (row.next("deal")?, row.next("trend")?, row.next("day")?);
        let (amenities, is_offered) = (row.next("amenities")?, row.next("is_offered")?);
        let offer = Offer { price, amenities, day, bedrooms, commute, school, deal, trend, is_offered };
        Ok(Listing { id, market, offer })
    })
}

/// Of `sessions.csv` or `preferences.csv`.
pub fn sessions(path: &Path) -> Result<Vec<Session>, Error> {
    rows(path, |mut row| {
        let (id, market, budget) = (row.next("id")?, row.next("market")?, row.next("budget")?);
        let (min_bedrooms, max_commute) = (row.next("min_bedrooms")?, row.next("max_commute")?);
        let (min_school, required, preferred) =
            (row.next("min_school")?, row.next("required")?, row.next("preferred")?);
        let profile: u8 = row.next("profile")?;
        if profile > 3 {
            return Err(format!("profile: {profile} has no weights").into());
        }
        let asks = Asks { budget, required, preferred, min_bedrooms, max_commute, min_school, profile };
        Ok(Session { id, market, asks })
    })
}

/// Of `weights.csv`: a row per profile, in the order of the score's components.
pub fn weights(path: &Path) -> Result<Vec<[u32; 8]>, Error> {
    rows(path, |mut row| {
        let _: u8 = row.next("profile")?;
        let mut weights = [0; 8];
        for weight in &mut weights {
            *weight = row.0.next().ok_or("a row of less than eight weights")?.1.parse()?;
        }
        Ok(weights)
    })
}

/// What is left of a row: names of columns, and texts.
struct Row<'a>(std::iter::Zip<std::str::Split<'a, char>, std::str::Split<'a, char>>);

impl Row<'_> {
    fn next<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &mut self,
        name: &str,
    ) -> Result<T, Error> {
        let (column, text) = self.0.next().ok_or_else(|| format!("a row ends before {name}"))?;
        if column != name {
            return Err(format!("column {column} stands where {name} is expected").into());
        }
        text.parse().map_err(|error| format!("{name}: {text} ({error})").into())
    }
}

fn rows<T>(path: &Path, row: impl Fn(Row<'_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    let head = lines.next().ok_or_else(|| format!("{}: empty", path.display()))?;
    let read = |line: &str| row(Row(head.split(',').zip(line.split(','))));
    lines.map(read).collect::<Result<_, _>>().map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(text: &str, how: impl Fn(&Path) -> Result<T, Error>) -> Result<T, Error> {
        let name = format!("mark-{}-{:x}.csv", std::process::id(), text.len() * 31 + usize::from(text.as_bytes()[0]));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text)?;
        let result = how(&path);
        fs::remove_file(&path)?;
        result
    }

    #[test]
    fn a_row_is_read_by_the_names_of_its_columns() {
        let head = "id,market,price,bedrooms,commute,school,deal,trend,day,amenities,is_offered";
        let listing = read(&format!("{head}\n7,1,300000,3,25,60,50,0,365,5,false\n"), listings).unwrap()[0];
        let Offer { day, trend, is_offered, .. } = listing.offer;
        assert_eq!((listing.id, day, trend, is_offered), (7, 365, 0, false));
        let swapped = head.replace("school,deal", "deal,school");
        let error = read(&format!("{swapped}\n7,1,300000,3,25,60,50,0,365,5,true\n"), listings).unwrap_err();
        assert!(error.to_string().contains("column deal stands where school is expected"), "{error}");
        assert!(read(&format!("{head}\n7,1,-3,3,25,60,50,0,365,5,true\n"), listings).is_err());
    }
}
