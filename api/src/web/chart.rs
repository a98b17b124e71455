//! Lines over days, drawn as SVG by plotters. Colours and fonts are those of the page: what is drawn carries classes, not colours.
//!
//! Pure: points in, text out. The numbers stand beside it as a table, where the page has room.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use schemas::units::Instant;

/// Size of the drawing, in its own units: about as wide as it is shown, so that its texts have the size they say.
const WIDTH: u32 = 360;
const HEIGHT: u32 = 168;
/// Size of the texts, as plotters counts it: 12.5 units when drawn.
const TEXT_SIZE: f64 = 12.5 * 1.24;

/// Colours that stand for a class of the style sheet each.
const LINE: RGBColor = RGBColor(1, 0, 0);
const AREA: RGBColor = RGBColor(2, 0, 0);
const GRID: RGBColor = RGBColor(3, 0, 0);
const TEXT: RGBColor = RGBColor(4, 0, 0);
const CLASSES: [(&str, &str); 4] =
    [("#010000", "c-line"), ("#020000", "c-area"), ("#030000", "c-grid"), ("#040000", "c-text")];

/// What is drawn.
pub struct Chart<'a> {
    /// Unique on the page; letters, digits and hyphens.
    pub id: &'a str,
    /// What a screen reader calls it.
    pub title: &'a str,
    /// What it shows, in a sentence.
    pub description: &'a str,
    /// When, and how much; ascending in time.
    pub points: &'a [(Instant, f64)],
    /// Whether a value holds until the next one, rather than running towards it.
    pub is_stepped: bool,
    /// How a value is written at the axis.
    pub label: &'a dyn Fn(f64) -> String,
}

impl Chart<'_> {
    /// The drawing; `None` where there are fewer than two points.
    pub fn svg(&self) -> Option<String> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        if self.points.len() < 2 || last.0.ms() <= first.0.ms() || self.points.iter().any(|(_, v)| !v.is_finite()) {
            return None;
        }
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
            // Cannot fail: it writes into a text.
            self.draw(&root).ok()?;
            root.present().ok()?;
        }
        Some(self.dressed(&text))
    }

    fn draw<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let (from, to) = (self.points[0].0.ms() as f64, self.points[self.points.len() - 1].0.ms() as f64);
        let values = self.points.iter().map(|(_, value)| *value);
        let (ticks, low, high) =
            ticks(values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        let plot = (54_i32, 10_i32, WIDTH as i32 - 10, HEIGHT as i32 - 24);
        let x = |ms: f64| plot.0 + ((ms - from) / (to - from) * f64::from(plot.2 - plot.0)).round() as i32;
        let y = |value: f64| plot.3 - ((value - low) / (high - low) * f64::from(plot.3 - plot.1)).round() as i32;

        let style = |h, v| ("inherit", TEXT_SIZE).into_font().color(&TEXT).pos(Pos::new(h, v));
        for tick in &ticks {
            root.draw(&PathElement::new(vec![(plot.0, y(*tick)), (plot.2, y(*tick))], GRID))?;
            root.draw(&Text::new((self.label)(*tick), (plot.0 - 6, y(*tick)), style(HPos::Right, VPos::Center)))?;
        }
        let dates = [(from, HPos::Left), ((from + to) / 2.0, HPos::Center), (to, HPos::Right)];
        for (ms, anchor) in dates {
            root.draw(&Text::new(date(ms, to - from), (x(ms), plot.3 + 8), style(anchor, VPos::Top)))?;
        }

        let mut line: Vec<(i32, i32)> = Vec::with_capacity(self.points.len() * 2);
        for (at, value) in self.points {
            let here = (x(at.ms() as f64), y(*value));
            if let Some(before) = line.last().filter(|_| self.is_stepped) {
                line.push((here.0, before.1));
            }
            line.push(here);
        }
        let mut area = line.clone();
        area.extend([(plot.2, plot.3), (plot.0, plot.3)]);
        root.draw(&Polygon::new(area, AREA.filled()))?;
        root.draw(&PathElement::new(line.clone(), LINE.stroke_width(2)))?;
        if let Some(end) = line.last() {
            root.draw(&Circle::new(*end, 3, LINE.filled()))?;
        }
        Ok(())
    }

    /// With classes for colours, a title and a description.
    fn dressed(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (colour, class) in CLASSES {
            for attribute in ["fill", "stroke"] {
                text = text.replace(&format!("{attribute}=\"{colour}\""), &format!("class=\"{class}\""));
            }
        }
        // The style sheet says what is how opaque, and which font it is.
        let text = text.replace(" opacity=\"1\"", "").replace(" font-family=\"inherit\"", "");
        let (id, title, description) = (self.id, escaped(self.title), escaped(self.description));
        let head = format!(
            "<svg class=\"chart\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-desc\">{description}</desc>"
        );
        let body = text.find('>').map_or("", |end| &text[end + 1..]);
        head + body
    }
}

/// Two to five round values that span these, and the ends of the axis.
fn ticks(lowest: f64, highest: f64) -> (Vec<f64>, f64, f64) {
    // A line that is flat is drawn in the middle.
    let (lowest, highest) = if highest > lowest {
        (lowest, highest)
    } else {
        let margin = (highest.abs() * 0.05).max(1.0);
        ((lowest - margin).max(lowest.min(0.0)), highest + margin)
    };
    let raw = (highest - lowest) / 3.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|times| times * power).into_iter().find(|s| *s >= raw).unwrap_or(raw);
    let (low, high) = ((lowest / step).floor() * step, (highest / step).ceil() * step);
    let count = ((high - low) / step).round() as i32;
    ((0..=count).map(|n| low + f64::from(n) * step).collect(), low, high)
}

/// `24 Nov`, with the year where years are shown, with the hour where a day is.
fn date(ms: f64, span_ms: f64) -> String {
    const DAY_MS: f64 = 86_400_000.0;
    let format = match span_ms / DAY_MS {
        ..0.04 => "%H:%M:%S",
        ..2.0 => "%-d %b %H:%M",
        ..300.0 => "%-d %b",
        _ => "%b %Y",
    };
    jiff::Timestamp::from_millisecond(ms as i64).map(|at| at.strftime(format).to_string()).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(points: &[(i64, f64)], title: &str) -> Option<String> {
        let points: Vec<_> = points.iter().map(|(ms, value)| (Instant::from_ms(*ms).unwrap(), *value)).collect();
        let label = |value: f64| format!("{value}");
        Chart { id: "c", title, description: "d", points: &points, is_stepped: true, label: &label }.svg()
    }

    #[test]
    fn a_chart_has_a_title_no_colour_of_its_own_and_no_style() {
        let svg = svg(&[(0, 500.0), (86_400_000, 480.0)], "Price <b>").unwrap();
        assert!(svg.contains("<title id=\"c-title\">Price &lt;b&gt;</title>"), "{svg}");
        assert!(svg.contains("class=\"c-line\"") && svg.contains("class=\"c-text\""), "{svg}");
        assert!(!svg.contains('#') && !svg.contains("style=") && !svg.contains("font-family"), "{svg}");
        assert!(svg.ends_with("</svg>\n"), "{svg}");
    }

    #[test]
    fn fewer_than_two_points_are_no_line() {
        assert_eq!(svg(&[], "t"), None);
        assert_eq!(svg(&[(0, 1.0)], "t"), None);
        assert_eq!(svg(&[(5, 1.0), (5, 2.0)], "t"), None);
        assert_eq!(svg(&[(0, 1.0), (5, f64::NAN)], "t"), None);
        assert!(svg(&[(0, 0.0), (5, 0.0)], "t").is_some());
    }

    #[test]
    fn the_axis_has_round_values_around_all_points() {
        for (lowest, highest) in [(480_000.0, 530_000.0), (0.0, 3.0), (7.0, 7.0), (0.0, 0.0), (999.0, 1_000.0)] {
            let (ticks, low, high) = ticks(lowest, highest);
            assert!((2..=6).contains(&ticks.len()), "{lowest}..{highest}: {ticks:?}");
            assert!(low <= lowest && high >= highest, "{lowest}..{highest}: {ticks:?}");
        }
        assert_eq!(ticks(480_000.0, 530_000.0).0, [480_000.0, 500_000.0, 520_000.0, 540_000.0]);
    }
}
