//! A sentence per component that says where its points come from, with the numbers. English, plain text.
//!
//! Explains, does not compute: which part of a place counted is read off the component.

use schemas::listing::Listing;
use schemas::money::{Currency, Money};
use schemas::preferences::Preferences;
use schemas::priced::{PriceTrend, PricedListing};
use schemas::vocabulary::Transaction;

use crate::facts::PostalKey;
use crate::geo::Disc;
use crate::score::NEUTRAL;

/// In the order of [`crate::score::COMPONENTS`].
pub(super) fn of(preferences: &Preferences, priced: &PricedListing, components: [u16; 8]) -> [String; 8] {
    [
        affordability(preferences, &priced.listing),
        place(preferences, &priced.listing, components[1]),
        space(preferences, &priced.listing),
        commute(preferences, priced),
        schools(priced),
        amenities(preferences, &priced.listing),
        value(priced),
        momentum(priced),
    ]
}

fn affordability(preferences: &Preferences, listing: &Listing) -> String {
    let (price, budget) = (listing.list_price.unwrap_or_default().cents(), preferences.budget.cents());
    let a_month = match listing.transaction {
        Transaction::Sale => "",
        Transaction::Lease => " a month",
    };
    let currency = listing.currency;
    let (price_text, budget_text) = (amount(price, currency), amount(budget, currency));
    let under = amount(budget - price, currency);
    match (budget - price) * 100 / budget.max(1) {
        _ if price == budget => format!("{price_text}{a_month} is exactly your budget."),
        0 => format!("{price_text}{a_month} is {under} under your budget of {budget_text}."),
        percent => format!("{price_text}{a_month} is {under} ({percent}%) under your budget of {budget_text}."),
    }
}

fn place(preferences: &Preferences, listing: &Listing, component: u16) -> String {
    let place = &preferences.place;
    let country = listing.market.country();
    let key = |code: &str| PostalKey::of(country, code);
    let postal_code = listing.postal_code.as_deref().filter(|code| {
        let asked =
            |asked: &schemas::preferences::PostalCode| asked.country == country && key(&asked.code) == key(code);
        key(code).is_some() && place.postal_codes.iter().any(asked)
    });
    let in_circle = || {
        let circle = place.within.as_ref()?;
        Some((circle, Disc::of(circle).distance_m(listing.position?)?))
    };
    if place.cities.contains(&listing.market) {
        return format!("It is in {}, a city you named.", city(listing));
    }
    if let Some(code) = postal_code {
        return format!("Its postal code {code} is one you named.");
    }
    match in_circle() {
        Some((circle, metres)) if place.country != Some(country) || i64::from(component) > NEUTRAL => {
            format!("It is {} km from the centre of your circle of {} km.", tenths(metres / 100), circle.radius_km)
        }
        _ => format!("It is in {}, the country you named.", country.as_str().to_ascii_uppercase()),
    }
}

fn space(preferences: &Preferences, listing: &Listing) -> String {
    let more = |more: u64| match more {
        0 => "as you asked".to_owned(),
        more => format!("{} more than you asked for", grouped(more)),
    };
    let bedrooms = preferences.min_bedrooms.zip(listing.bedrooms_total).map(|(min, has)| {
        let noun = if has == 1 { "bedroom" } else { "bedrooms" };
        format!("{has} {noun}, {}", more(u64::from(has.saturating_sub(min))))
    });
    let area = preferences
        .min_living_area_sqft
        .zip(listing.living_area_sqft)
        .map(|(min, has)| format!("{} sqft, {}", grouped(u64::from(has)), more(u64::from(has.saturating_sub(min)))));
    match (bedrooms, area) {
        (Some(bedrooms), Some(area)) => format!("It has {bedrooms}, and {area}."),
        (Some(one), None) | (None, Some(one)) => format!("It has {one}."),
        (None, None) => "You asked for no number of bedrooms and no living area.".to_owned(),
    }
}

fn commute(preferences: &Preferences, priced: &PricedListing) -> String {
    let Some(commute) = priced.commute else {
        return "How long it takes to the city centre is not known.".to_owned();
    };
    let about = if commute.estimated { "about " } else { "" };
    let unit = if commute.minutes == 1 { "minute" } else { "minutes" };
    match preferences.max_commute_minutes {
        Some(max) => format!("It is {about}{} of at most {max} minutes to the city centre.", commute.minutes),
        None => format!("It is {about}{} {unit} to the city centre.", commute.minutes),
    }
}

fn schools(priced: &PricedListing) -> String {
    priced
        .school_rating
        .map_or("No school rating is known.".to_owned(), |rating| format!("Its schools are rated {rating} of 10."))
}

fn amenities(preferences: &Preferences, listing: &Listing) -> String {
    let preferred = preferences.preferred_amenities;
    if preferred.is_empty() {
        return "You prefer no amenity in particular.".to_owned();
    }
    let Some(has) = listing.amenities else {
        return "Its amenities are not known.".to_owned();
    };
    let present = has.and(preferred);
    let noun = if preferred.len() == 1 { "amenity" } else { "amenities" };
    let count = format!("It has {} of the {} {noun} you prefer", present.len(), preferred.len());
    if present.is_empty() {
        return format!("{count}.");
    }
    format!("{count}: {}.", present.words().map(|word| word.replace('_', " ")).collect::<Vec<_>>().join(", "))
}

fn value(priced: &PricedListing) -> String {
    let listing = &priced.listing;
    let known = listing.valuation_allowed.then(|| priced.deal.as_ref().zip(priced.valuation.as_ref())).flatten();
    let Some((deal, valuation)) = known else {
        return "There is no valuation to compare its price with.".to_owned();
    };
    let currency = listing.currency;
    let valued = amount(valuation.p50.cents(), currency);
    let difference = valuation.p50.cents() - listing.list_price.unwrap_or_default().cents();
    let compared = match difference {
        0 => "its price".to_owned(),
        1.. => format!("{} more than its price", amount(difference, currency)),
        _ => format!("{} less than its price", amount(-difference, currency)),
    };
    format!("Its deal score is {} of 100: it is valued at {valued}, {compared}.", deal.score)
}

fn momentum(priced: &PricedListing) -> String {
    let listing = &priced.listing;
    let text = |money: Option<Money>| amount(money.unwrap_or_default().cents(), listing.currency);
    let step = || format!("from {} to {}", text(priced.previous_list_price), text(listing.list_price));
    let trend = match priced.price_trend() {
        PriceTrend::Falling => format!("Its price fell {}", step()),
        PriceTrend::Rising => format!("Its price rose {}", step()),
        PriceTrend::Stable => "Its price has not changed".to_owned(),
    };
    match listing.on_market_at {
        Some(at) => format!("{trend}; it came on the market on {}.", at.day()),
        None => format!("{trend}; when it came on the market is not known."),
    }
}

/// The city as its feed writes it (not in capitals throughout), else as its market does.
pub(super) fn city(listing: &Listing) -> String {
    let slug = listing.market.as_str().rsplit('/').next().unwrap_or_default();
    match listing.city.as_deref().map(str::trim).filter(|city| !city.is_empty()) {
        Some(city) if city.chars().any(char::is_lowercase) => city.to_owned(),
        Some(city) => capitalised(city, ' '),
        None => capitalised(slug, '-'),
    }
}

fn capitalised(text: &str, separator: char) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or(String::new(), |first| first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect())
    };
    text.split(separator).map(word).collect::<Vec<_>>().join(" ")
}

/// `USD 1,234,567` or `USD 0.50`.
fn amount(cents: i64, currency: Currency) -> String {
    let units = grouped(cents.unsigned_abs() / 100);
    match cents.unsigned_abs() % 100 {
        0 => format!("{currency} {units}"),
        cents => format!("{currency} {units}.{cents:02}"),
    }
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12.3` of 123.
fn tenths(number: i64) -> String {
    format!("{}.{}", number / 10, number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_thousands_apart() {
        let texts = [0, 50, 100_000, 12_345_600, 99_999_999_999_999].map(|cents| amount(cents, Currency::USD));
        assert_eq!(texts, ["USD 0", "USD 0.50", "USD 1,000", "USD 123,456", "USD 999,999,999,999.99"]);
    }

    #[test]
    fn words_are_capitalised() {
        assert_eq!(capitalised("palm-springs", '-'), "Palm Springs");
        assert_eq!(capitalised("ÉVRY SUR SEINE", ' '), "Évry Sur Seine");
        assert_eq!(capitalised("", '-'), "");
    }
}
