//! The bars of the page.

use std::fmt::Write as _;

use crate::measure::Measured;

const LINE: u32 = 22;
const LEFT: u32 = 300;
const WIDTH: u32 = 760;

/// Verify and mint as bars, each group on its own scale.
pub fn picture(groups: &[(&str, &[Measured])]) -> Result<String, std::fmt::Error> {
    let lines = groups.iter().map(|(_, all)| u32::try_from(all.len()).unwrap_or_default() + 2).sum::<u32>();
    let height = LINE * lines;
    let mut svg = String::new();
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Processor time of a verification and of a mint</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>",
    )?;
    let mut y = 0;
    for (title, all) in groups {
        y += LINE;
        writeln!(svg, "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{title}, µs</text>")?;
        let longest = all.iter().map(Measured::median).fold(1.0, f64::max);
        for one in *all {
            y += LINE;
            let length = one.median() / longest * f64::from(WIDTH - LEFT - 60);
            let colour = if one.name.starts_with("Keystile") { "#2a6f97" } else { "#b0b7bf" };
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"14\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{y}\">{:.2}</text>",
                LEFT - 8,
                one.name,
                y - 12,
                f64::from(LEFT) + length + 6.0,
                one.median() / 1e3,
            )?;
        }
        y += LINE;
    }
    writeln!(svg, "</svg>")?;
    Ok(svg)
}
