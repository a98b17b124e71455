//! Where a valuation's interval and the asking price lie on a small scale. Pure geometry of a drawing; computes no price.

use schemas::money::{Currency, Money};
use schemas::priced::Prices;

use super::words;

/// Width of the drawing, in its own units.
const WIDTH: f64 = 320.0;
/// Kept free on either side, so that a mark is never cut.
const MARGIN: f64 = 10.0;

/// A scale as the template draws it: places from left to right, in units of the drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Of the lower end of the interval.
    pub low_x: String,
    /// How wide the interval is.
    pub width: String,
    /// Of the middle.
    pub middle_x: String,
    /// Of the asking price, if there is one.
    pub asked_x: Option<String>,
    /// The lower end, in words.
    pub low: String,
    /// The middle, in words.
    pub middle: String,
    /// The upper end, in words.
    pub high: String,
    /// The whole scale as a sentence, for who does not see it.
    pub sentence: String,
    /// How the asking price compares, in words: `2 % under its valuation`.
    pub verdict: Option<String>,
}

impl Scale {
    /// Of an interval and an asking price.
    pub fn of(prices: Prices, asked: Option<Money>, currency: Currency) -> Self {
        let cents = |amount: Money| amount.cents() as f64;
        let asked_cents = asked.map(cents);
        let lowest = asked_cents.map_or(cents(prices.p10), |asked| asked.min(cents(prices.p10)));
        let highest = asked_cents.map_or(cents(prices.p90), |asked| asked.max(cents(prices.p90)));
        let span = (highest - lowest).max(1.0);
        let x = |value: f64| MARGIN + (value - lowest) / span * (WIDTH - 2.0 * MARGIN);
        let text = |x: f64| format!("{x:.1}");
        let [low, middle, high] = [prices.p10, prices.p50, prices.p90].map(|amount| words::money(amount, currency));
        let verdict = asked.map(|asked| match asked.cmp(&prices.p50) {
            std::cmp::Ordering::Less => format!("{} under its valuation", words::percent(prices.p50, asked)),
            std::cmp::Ordering::Equal => "exactly its valuation".to_owned(),
            std::cmp::Ordering::Greater => format!("{} over its valuation", words::percent(prices.p50, asked)),
        });
        let asking = match (asked, &verdict) {
            (Some(asked), Some(verdict)) => format!(" Asked: {}, {verdict}.", words::money(asked, currency)),
            _ => String::new(),
        };
        Self {
            low_x: text(x(cents(prices.p10))),
            width: text((x(cents(prices.p90)) - x(cents(prices.p10))).max(1.0)),
            middle_x: text(x(cents(prices.p50))),
            asked_x: asked_cents.map(|asked| text(x(asked))),
            sentence: format!("Valued at {middle}; eight of ten such homes sell for {low} to {high}.{asking}"),
            low,
            middle,
            high,
            verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(units: i64) -> Money {
        Money::from_units(units).unwrap()
    }

    #[test]
    fn everything_is_on_the_scale_wherever_the_price_lies() {
        let prices = Prices { p10: units(480), p50: units(530), p90: units(590) };
        for asked in [1, 480, 530, 590, 5_000] {
            let scale = Scale::of(prices, Some(units(asked)), Currency::USD);
            for x in [&scale.low_x, &scale.middle_x, &scale.asked_x.unwrap()] {
                assert!((10.0..=310.0).contains(&x.parse::<f64>().unwrap()), "{asked}: {x}");
            }
        }
        let nothing = Prices { p10: units(5), p50: units(5), p90: units(5) };
        assert_eq!(Scale::of(nothing, None, Currency::USD).low_x, "10.0");
    }

    #[test]
    fn the_sentence_says_what_the_drawing_shows() {
        let prices = Prices { p10: units(480_000), p50: units(500_000), p90: units(590_000) };
        let scale = Scale::of(prices, Some(units(490_000)), Currency::USD);
        assert_eq!(
            scale.sentence,
            "Valued at $500,000; eight of ten such homes sell for $480,000 to $590,000. Asked: $490,000, 2 % under its valuation."
        );
    }
}
