//! Each key a bar with its states, over the time of the run, with what happened marked.

use keystile_keyring::KeyState;
use keystile_picture::{Axis, COLOURS, LEFT, RIGHT, Svg, WIDTH, escape};

use super::bars::{Bar, Span};

/// Something that happened, with its number in the table of steps.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Seconds since the run began.
    pub(crate) at: f64,
    /// Its number.
    pub(crate) number: usize,
    /// What it was.
    pub(crate) what: String,
    /// Whether it went as it should.
    pub(crate) good: bool,
}

/// Where the first bar begins: above it stand the marks.
const TOP: f64 = 46.0;
/// From one bar to the next.
const ROW: f64 = 34.0;
/// Height of a bar.
const BAR: f64 = 22.0;
/// Radius of a mark's circle.
const DOT: f64 = 9.0;
/// A span that is narrower has no room for a word.
const ROOM: f64 = 62.0;
/// How many levels of marks there are: neighbours must not cover each other.
const LEVELS: usize = 2;

/// The picture of `bars` over `seconds`, with `marks`.
pub(crate) fn timeline(bars: &[Bar], marks: &[Mark], seconds: f64) -> String {
    let axis = Axis::to(seconds);
    #[allow(clippy::cast_precision_loss, reason = "a keyring holds few keys")]
    let bottom = TOP + ROW * bars.len() as f64;
    let mut svg = Svg::new();
    svg.raw(PATTERNS);
    for tick in axis.ticks() {
        svg.line("grid", (axis.x(tick), TOP - 6.0), (axis.x(tick), bottom));
        svg.text("tick", (axis.x(tick), bottom + 16.0), "middle", &format!("{tick} s"));
    }
    draw_marks(&mut svg, axis, marks, bottom);
    for (index, bar) in bars.iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "a keyring holds few keys")]
        draw_bar(&mut svg, axis, bar, index, TOP + ROW * index as f64);
    }
    let height = bottom + 24.0;
    svg.finish("keys", (WIDTH, height), "The keys over the time of the run", &description(bars))
}

fn draw_bar(svg: &mut Svg, axis: Axis, bar: &Bar, index: usize, top: f64) {
    svg.text("name mono", (LEFT - 12.0, top + BAR / 2.0 + 4.5), "end", bar.kid.short());
    for span in &bar.spans {
        let (from, to) = (axis.x(span.from), axis.x(span.to));
        let title = format!("{} is {} from {:.1} s to {:.1} s", bar.kid, span.state, span.from, span.to);
        draw_span(svg, span, index, (from, to), top, &title);
    }
}

fn draw_span(svg: &mut Svg, span: &Span, index: usize, (from, to): (f64, f64), top: f64, title: &str) {
    let width = (to - from).max(1.0);
    let key = index % COLOURS;
    let state = span.state.as_str();
    match span.state {
        KeyState::Retired => {
            let middle = top + BAR / 2.0;
            svg.line("retired", (from, middle), (to, middle));
            svg.text("cross", (from + 6.0, middle + 5.0), "middle", "✕");
        }
        _ => svg.rect(&format!("{state} k{key}"), (from, top), (width, BAR), title),
    }
    if span.state == KeyState::VerifyOnly {
        svg.rect("hatch", (from, top), (width, BAR), title);
    }
    if width > ROOM {
        let class = if span.state == KeyState::Active { "word on" } else { "word" };
        let lift = if span.state == KeyState::Retired { -4.0 } else { 4.0 };
        let indent = if span.state == KeyState::Retired { 16.0 } else { 8.0 };
        svg.text(class, (from + indent, top + BAR / 2.0 + lift), "start", state);
    }
}

fn draw_marks(svg: &mut Svg, axis: Axis, marks: &[Mark], bottom: f64) {
    let mut taken = [f64::NEG_INFINITY; LEVELS];
    for mark in marks {
        let x = axis.x(mark.at);
        let free = taken.iter().position(|right| x - DOT > *right).unwrap_or(0);
        if let Some(right) = taken.get_mut(free) {
            *right = x + DOT + 1.0;
        }
        let y = if free == 0 { 12.0 } else { 32.0 };
        let class = if mark.good { "mark" } else { "mark bad" };
        svg.line("event", (x, y + DOT), (x, bottom));
        let title = escape(&format!("{}. {} at {:.1} s", mark.number, mark.what, mark.at));
        svg.raw(&format!(
            r#"<circle class="{class}" cx="{x:.2}" cy="{y}" r="{DOT}"><title>{title}</title></circle>"#
        ));
        svg.text("number", (x, y + 4.0), "middle", &mark.number.to_string());
    }
    svg.line("frame", (LEFT, bottom), (RIGHT, bottom));
}

fn description(bars: &[Bar]) -> String {
    let spans = |bar: &Bar| {
        let spans = bar
            .spans
            .iter()
            .map(|span| format!("{} from {:.1} s to {:.1} s", span.state, span.from, span.to));
        spans.collect::<Vec<_>>().join(", ")
    };
    let keys = bars.iter().map(|bar| format!("{}: {}.", bar.kid.short(), spans(bar)));
    keys.collect::<Vec<_>>().join(" ")
}

/// Stripes for verify-only, so that nothing depends on colour alone.
const PATTERNS: &str = r#"<defs><pattern id="stripes" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="stripe" width="2.5" height="7"/></pattern></defs>"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::kid;

    fn bar(name: &str, spans: &[(f64, f64, KeyState)]) -> Bar {
        let spans = spans.iter().map(|(from, to, state)| Span { from: *from, to: *to, state: *state });
        Bar { kid: kid(name), spans: spans.collect() }
    }

    fn mark(at: f64, number: usize) -> Mark {
        Mark { at, number, what: "rotate".into(), good: true }
    }

    #[test]
    fn each_state_has_its_place_and_form() {
        let bars = [
            bar(
                "one",
                &[
                    (0.0, 10.0, KeyState::Active),
                    (10.0, 30.0, KeyState::VerifyOnly),
                    (30.0, 40.0, KeyState::Retired),
                ],
            ),
            bar("two", &[(5.0, 10.0, KeyState::Prepared), (10.0, 40.0, KeyState::Revoked)]),
        ];
        let picture = timeline(&bars, &[mark(5.0, 1)], 40.0);
        assert!(
            picture.contains(r#"<rect class="active k0" x="116" y="46" width="218" height="22""#),
            "{picture}"
        );
        assert!(picture.contains(r#"<rect class="hatch" x="334" y="46" width="436" height="22""#));
        assert!(picture.contains(r#"<line class="retired" x1="770" y1="57" x2="988" y2="57"/>"#));
        assert!(picture.contains(r#"<rect class="prepared k1" x="225" y="80" width="109" height="22""#));
        assert!(picture.contains("one: active from 0.0 s to 10.0 s, verify-only"));
        assert!(picture.contains("<title>1. rotate at 5.0 s</title>"));
    }

    #[test]
    fn neighbouring_marks_stand_on_two_levels() {
        let picture = timeline(&[], &[mark(10.0, 1), mark(10.4, 2), mark(20.0, 3)], 40.0);
        assert_eq!(picture.matches(r#"cy="12""#).count(), 2);
        assert_eq!(picture.matches(r#"cy="32""#).count(), 1);
    }

    #[test]
    fn a_short_span_has_no_word_and_still_can_be_seen() {
        let picture = timeline(&[bar("one", &[(0.0, 0.001, KeyState::Active)])], &[], 40.0);
        assert!(picture.contains(r#"width="1" height="22""#));
        assert!(!picture.contains("word"));
    }
}
