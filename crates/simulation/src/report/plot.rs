//! Stacked areas over time.

use keystile_picture::{Axis, COLOURS, LEFT, RIGHT, Svg, WIDTH, grouped, ticks};

const TOP: f64 = 22.0;
const BOTTOM: f64 = 174.0;

/// What is drawn.
pub(super) struct Plot<'a> {
    /// Names it in the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What follows a number on the axis.
    pub(super) unit: &'a str,
    pub(super) minutes: f64,
    /// Instants to mark, in minutes, and what began then.
    pub(super) marks: &'a [(f64, String)],
}

impl Plot<'_> {
    /// The series, stacked, each with its name and an equal number of values.
    pub(super) fn draw(&self, series: &[(String, Vec<f64>)]) -> String {
        let axis = Axis::to(self.minutes);
        let length = series.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
        let value = |values: &[f64], index: usize| values.get(index).copied().unwrap_or_default();
        let totals =
            (0..length).map(|index| series.iter().map(|(_, values)| value(values, index)).sum::<f64>());
        let peak = totals.fold(1.0, f64::max);
        let mut svg = Svg::new();
        for tick in ticks(peak, 4) {
            let y = height(tick, peak);
            svg.line("grid", (LEFT, y), (RIGHT, y));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            svg.text(
                "tick",
                (LEFT - 12.0, y + 4.0),
                "end",
                &format!("{}{}", grouped(tick as u64), self.unit),
            );
        }
        let curve = |values: &[f64]| {
            let point =
                |(index, value): (usize, &f64)| (axis.x(self.minute(index, length)), height(*value, peak));
            values.iter().enumerate().map(point).collect::<Vec<_>>()
        };
        let mut lower = vec![0.0; length];
        for (index, (name, values)) in series.iter().enumerate() {
            let upper: Vec<f64> =
                lower.iter().enumerate().map(|(at, below)| below + value(values, at)).collect();
            svg.area(&format!("load k{}", index % COLOURS), &curve(&upper), &curve(&lower), name);
            lower = upper;
        }
        for (minute, what) in self.marks {
            svg.line("grid", (axis.x(*minute), TOP), (axis.x(*minute), BOTTOM));
            // What begins near the end is named before it.
            let x = axis.x(*minute);
            let (x, anchor) = if x > RIGHT - 200.0 { (x - 3.0, "end") } else { (x + 3.0, "start") };
            svg.text("tick", (x, TOP - 8.0), anchor, what);
        }
        for tick in axis.ticks() {
            let anchor = if axis.x(tick) > RIGHT - 20.0 { "end" } else { "middle" };
            svg.text("tick", (axis.x(tick), BOTTOM + 16.0), anchor, &format!("{tick} min"));
        }
        svg.line("frame", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        let description = format!("{}: up to {peak:.0}{}, stacked.", self.title, self.unit);
        svg.finish(self.id, (WIDTH, BOTTOM + 24.0), self.title, &description)
    }

    #[allow(clippy::cast_precision_loss, reason = "a few hundred values")]
    fn minute(&self, index: usize, length: usize) -> f64 {
        (index as f64 + 0.5) / length.max(1) as f64 * self.minutes
    }
}

fn height(value: f64, peak: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * (value / peak).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(series: &[(String, Vec<f64>)]) -> String {
        let marks = [(1.0, "rotate".to_owned())];
        Plot { id: "p", title: "Tokens", unit: "/s", minutes: 2.0, marks: &marks }.draw(series)
    }

    #[test]
    fn series_are_stacked_up_to_the_peak() {
        let picture = plot(&[("a".to_owned(), vec![100.0; 4]), ("b".to_owned(), vec![300.0; 4])]);
        assert!(picture.contains(r#"<path class="load k0" d="M225 136"#), "{picture}");
        assert!(picture.contains(r#"<path class="load k1" d="M225 22"#), "{picture}");
        assert!(picture.contains(">400/s</text>") && picture.contains("up to 400/s, stacked"));
        assert!(picture.contains(">rotate</text>") && picture.contains(">2 min</text>"));
    }

    #[test]
    fn nothing_can_be_drawn_too() {
        assert!(!plot(&[]).contains("NaN"));
        assert!(!plot(&[("a".to_owned(), Vec::new())]).contains("NaN"));
    }
}
