//! The little SVG that the pictures need.

use std::fmt::Write as _;

/// `text` safe to stand in HTML and SVG, in an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            control if control.is_control() && control != '\n' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// A picture in the making.
#[derive(Default)]
pub struct Svg {
    body: String,
}

impl Svg {
    /// An empty one.
    pub fn new() -> Self {
        Self { body: String::new() }
    }

    /// Adds markup as it is.
    pub fn raw(&mut self, markup: &str) {
        self.body.push_str(markup);
        self.body.push('\n');
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (place(from.0), place(from.1), place(to.0), place(to.1));
        self.raw(&format!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    /// A text; `anchor` is start, middle or end.
    pub fn text(&mut self, class: &str, at: (f64, f64), anchor: &str, text: &str) {
        let (x, y, text) = (place(at.0), place(at.1), escape(text));
        self.raw(&format!(r#"<text class="{class}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>"#));
    }

    /// A rectangle that says what it is when it is pointed at.
    pub fn rect(&mut self, class: &str, corner: (f64, f64), size: (f64, f64), title: &str) {
        let (x, y, width, height) = (place(corner.0), place(corner.1), place(size.0), place(size.1));
        let title = escape(title);
        self.raw(&format!(
            r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"><title>{title}</title></rect>"#
        ));
    }

    /// The area under one curve and above another.
    pub fn area(&mut self, class: &str, upper: &[(f64, f64)], lower: &[(f64, f64)], title: &str) {
        let mut path = String::new();
        for (index, (x, y)) in upper.iter().chain(lower.iter().rev()).enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(path, "{command}{} {}", place(*x), place(*y));
        }
        let title = escape(title);
        self.raw(&format!(r#"<path class="{class}" d="{path}Z"><title>{title}</title></path>"#));
    }

    /// The whole picture, `size` wide and high, with what is said to those who cannot see it.
    pub fn finish(self, id: &str, size: (f64, f64), title: &str, description: &str) -> String {
        let (width, height) = (place(size.0), place(size.1));
        let (title, description, body) = (escape(title), escape(description), self.body);
        format!(
            "<svg id=\"{id}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{title}</title>\n<desc id=\"{id}-d\">{description}</desc>\n{body}</svg>\n"
        )
    }
}

/// A coordinate, to a hundredth.
fn place(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            escape("<script>\"x\" & 'y'\u{1b}[0m"),
            "&lt;script&gt;&quot;x&quot; &amp; &#39;y&#39;\u{fffd}[0m"
        );
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([1.0, 2.5, 0.126, -0.001, 100.0].map(place), ["1", "2.5", "0.13", "0", "100"]);
    }

    #[test]
    fn a_picture_tells_what_it_shows() {
        let mut svg = Svg::new();
        svg.text("name", (1.0, 2.0), "end", "a<b");
        svg.area("load", &[(0.0, 1.0), (2.0, 3.0)], &[(0.0, 4.0), (2.0, 4.0)], "t");
        let picture = svg.finish("keys", (10.0, 20.0), "Keys", "Two keys");
        assert!(picture.starts_with("<svg id=\"keys\" viewBox=\"0 0 10 20\" role=\"img\" aria-labelledby="));
        assert!(picture.contains("<title id=\"keys-t\">Keys</title>") && picture.contains("a&lt;b"));
        assert!(picture.contains("d=\"M0 1L2 3L2 4L0 4Z\""));
    }
}
