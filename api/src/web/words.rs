//! How amounts, times, places and changes are written for people. Pure; every text is plain, the templates escape it.

use schemas::id::{ListingId, Market};
use schemas::money::{Currency, Money};
use schemas::units::Instant;
use schemas::vocabulary::{ChangeType, StandardStatus};

/// `$749,999`, `€1,250.50`, `CHF 900,000`.
pub fn money(amount: Money, currency: Currency) -> String {
    let cents = match amount.cents() % 100 {
        0 => String::new(),
        cents => format!(".{cents:02}"),
    };
    format!("{}{}{cents}", sign(currency), grouped(amount.units()))
}

/// The same of whole units that may be negative, with its sign: `+$12,000`, `−$3,400`.
pub fn change_of_money(units: i64, currency: Currency) -> String {
    let sign_of_number = if units < 0 { '−' } else { '+' };
    format!("{sign_of_number}{}{}", sign(currency), grouped(units.saturating_abs()))
}

/// Short, for axes: `$520k`, `$1.25M`.
pub fn short_money(units: f64, currency: Currency) -> String {
    let sign = sign(currency);
    let trimmed = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if units.abs() >= 1e6 {
        format!("{sign}{}M", trimmed(format!("{:.2}", units / 1e6)))
    } else if units.abs() >= 1e4 {
        format!("{sign}{}k", trimmed(format!("{:.1}", units / 1e3)))
    } else {
        format!("{sign}{}", grouped(units.round() as i64))
    }
}

/// How amounts of a currency begin.
pub fn sign(currency: Currency) -> String {
    match currency.as_str() {
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "CAD" => "CA$".to_owned(),
        "AUD" => "A$".to_owned(),
        other => format!("{other}\u{a0}"),
    }
}

/// `1,234,567`.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('−');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `Seattle, WA` of `us/wa/seattle`; a country follows where it is not the United States.
pub fn place(market: &Market) -> String {
    let mut parts = market.as_str().split('/');
    let (country, state, city) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let state = if state.len() <= 3 { state.to_uppercase() } else { capitalised(state) };
    match country {
        "us" => format!("{}, {state}", capitalised(city)),
        other => format!("{}, {state}, {}", capitalised(city), other.to_uppercase()),
    }
}

/// `Palm Springs` of `palm-springs`.
fn capitalised(slug: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
    };
    slug.split('-').map(word).collect::<Vec<_>>().join(" ")
}

/// `Single family residence` of `SingleFamilyResidence`, `Air conditioning` of `air_conditioning`.
pub fn spaced(word: &str) -> String {
    let mut text = String::with_capacity(word.len() + 4);
    for (at, letter) in word.chars().enumerate() {
        match letter {
            '_' => text.push(' '),
            letter if at == 0 => text.extend(letter.to_uppercase()),
            letter if letter.is_uppercase() => {
                text.push(' ');
                text.extend(letter.to_lowercase());
            }
            letter => text.push(letter),
        }
    }
    text
}

/// When something was, seen from `now`, by UTC days: `today`, `yesterday`, `3 days ago`, `on 2 Nov 2026`.
pub fn when(at: Instant, now: Instant) -> String {
    let days = (now.day() - at.day()).get_days();
    match days {
        ..=0 => "today".to_owned(),
        1 => "yesterday".to_owned(),
        2..=13 => format!("{days} days ago"),
        _ => format!("on {}", at.day().strftime("%-d %b %Y")),
    }
}

/// `12:04:31 UTC`.
pub fn clock(at: Instant) -> String {
    jiff::Timestamp::from_millisecond(at.ms()).map(|at| at.strftime("%H:%M:%S UTC").to_string()).unwrap_or_default()
}

/// What changed last, with its direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `Price cut 4 %`.
    pub what: String,
    /// `cut`, `rise` or `other`: a class of the style sheet.
    pub kind: &'static str,
}

/// What changed last about a listing, in words.
pub fn change(last: ChangeType, price: Option<Money>, before: Option<Money>) -> Change {
    let other = |what: &str| Change { what: what.to_owned(), kind: "other" };
    match (last, price, before) {
        (ChangeType::PriceChange, Some(price), Some(before)) if price < before => {
            Change { what: format!("Price cut {}", percent(before, price)), kind: "cut" }
        }
        (ChangeType::PriceChange, Some(price), Some(before)) if price > before => {
            Change { what: format!("Price up {}", percent(before, price)), kind: "rise" }
        }
        (ChangeType::PriceChange, ..) => other("Price changed"),
        (ChangeType::NewListing, ..) => other("New"),
        (ChangeType::BackOnMarket, ..) => other("Back on the market"),
        (ChangeType::Active, ..) => other("On the market"),
        (ChangeType::ActiveUnderContract, ..) => other("Under contract"),
        (ChangeType::ComingSoon, ..) => other("Coming soon"),
        (ChangeType::Pending, ..) => other("Sale pending"),
        (ChangeType::Closed, ..) => other("Sold"),
        (ChangeType::Canceled | ChangeType::Withdrawn | ChangeType::Expired, ..) => other("Withdrawn"),
        (ChangeType::Hold, ..) => other("On hold"),
        (ChangeType::Deleted, ..) => other("Gone"),
    }
}

/// By how much the second amount differs from the first, without a sign: `4 %`, `0.4 %`.
pub fn percent(from: Money, to: Money) -> String {
    if from.cents() == 0 {
        return "from nothing".to_owned();
    }
    let share = (to.cents() - from.cents()).unsigned_abs() as f64 * 100.0 / from.cents() as f64;
    if !(0.05..0.95).contains(&share) { format!("{share:.0} %") } else { format!("{share:.1} %") }
}

/// A status that is worth a word beside the price; the usual one is not.
pub fn status(status: StandardStatus) -> Option<&'static str> {
    match status {
        StandardStatus::Active => None,
        StandardStatus::ActiveUnderContract => Some("Under contract"),
        StandardStatus::ComingSoon => Some("Coming soon"),
        StandardStatus::Pending => Some("Sale pending"),
        StandardStatus::Closed => Some("Sold"),
        StandardStatus::Canceled | StandardStatus::Withdrawn | StandardStatus::Expired => Some("Off the market"),
        StandardStatus::Hold | StandardStatus::Incomplete => Some("On hold"),
        StandardStatus::Delete => Some("Gone"),
    }
}

/// `1 home`, `1,204 homes`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    let text = grouped(i64::try_from(number).unwrap_or(i64::MAX));
    format!("{text} {}", if number == 1 { one } else { many })
}

/// The page of a listing: ids may hold anything, so all but the plainest characters are escaped.
pub fn path_of(id: &ListingId) -> String {
    let mut path = String::from("/homes/");
    for byte in id.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b':' => path.push(char::from(byte)),
            // Alone or twice it would be a step in the path.
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}

/// A link that may be followed: of a feed, so only to the web.
pub fn web_link(url: Option<&str>) -> Option<String> {
    let url = url?.trim();
    let lower = url.get(..8.min(url.len()))?.to_ascii_lowercase();
    (lower.starts_with("https://") || lower.starts_with("http://")).then(|| url.to_owned())
}

/// A picture that may be shown: the page's policy lets only pictures over https in.
pub fn picture(url: Option<&str>) -> Option<String> {
    web_link(url).filter(|url| url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: i64) -> Money {
        Money::from_units(units).unwrap()
    }

    #[test]
    fn amounts_are_grouped_and_carry_their_sign() {
        assert_eq!(money(units(749_999), Currency::USD), "$749,999");
        assert_eq!(money(Money::from_cents(125_050).unwrap(), "EUR".parse().unwrap()), "€1,250.50");
        assert_eq!(money(units(0), "CHF".parse().unwrap()), "CHF\u{a0}0");
        assert_eq!(change_of_money(-3_400, Currency::USD), "−$3,400");
        assert_eq!(short_money(520_000.0, Currency::USD), "$520k");
        assert_eq!(short_money(1_250_000.0, Currency::USD), "$1.25M");
        assert_eq!(short_money(2_450.0, Currency::USD), "$2,450");
    }

    #[test]
    fn places_read_as_people_write_them() {
        assert_eq!(place(&"us/wa/seattle".parse().unwrap()), "Seattle, WA");
        assert_eq!(place(&"us/ca/palm-springs".parse().unwrap()), "Palm Springs, CA");
        assert_eq!(place(&"de/bayern/muenchen".parse().unwrap()), "Muenchen, Bayern, DE");
    }

    #[test]
    fn a_price_cut_is_told_with_its_size() {
        let cut = change(ChangeType::PriceChange, Some(units(480)), Some(units(500)));
        assert_eq!((cut.what.as_str(), cut.kind), ("Price cut 4 %", "cut"));
        let rise = change(ChangeType::PriceChange, Some(units(1_002)), Some(units(1_000)));
        assert_eq!((rise.what.as_str(), rise.kind), ("Price up 0.2 %", "rise"));
        assert_eq!(change(ChangeType::NewListing, Some(units(1)), None).what, "New");
    }

    #[test]
    fn days_are_counted_from_today() {
        let at = |text: &str| {
            text.parse::<jiff::Timestamp>().ok().and_then(|at| Instant::from_ms(at.as_millisecond())).unwrap()
        };
        let now = at("2026-11-29T03:00:00Z");
        for (text, expected) in [
            ("2026-11-29T00:10:00Z", "today"),
            ("2026-11-29T04:00:00Z", "today"),
            ("2026-11-28T23:59:00Z", "yesterday"),
            ("2026-11-20T12:00:00Z", "9 days ago"),
            ("2026-10-02T12:00:00Z", "on 2 Oct 2026"),
        ] {
            assert_eq!(when(at(text), now), expected, "{text}");
        }
    }

    #[test]
    fn only_the_web_is_linked_and_only_https_is_shown() {
        assert_eq!(web_link(Some("https://x.org/a")).as_deref(), Some("https://x.org/a"));
        for url in ["javascript:alert(1)", "data:text/html,x", "//x.org", "", "ftp://x", "é"] {
            assert_eq!(web_link(Some(url)), None, "{url}");
        }
        assert_eq!(picture(Some("http://x.org/a.jpg")), None);
        assert!(picture(Some("HTTPS://x.org/a.jpg")).is_some());
    }

    #[test]
    fn an_id_of_any_characters_is_one_step_of_a_path() {
        let id: ListingId = "f:a/../b c?\"<é>".parse().unwrap();
        assert_eq!(path_of(&id), "/homes/f:a%2F%2E%2E%2Fb%20c%3F%22%3C%C3%A9%3E");
    }
}
