//! Accepted calls per second, by the key that signed their token.

use keystile_keyring::Kid;
use keystile_picture::{Axis, COLOURS, LEFT, RIGHT, Svg, WIDTH, grouped, ticks};

use crate::record::PER_SECOND;

const TOP: f64 = 14.0;
const BOTTOM: f64 = 174.0;

/// The calls per second of each key, one value per quarter of a second, stacked.
pub(crate) fn chart(series: &[(Kid, Vec<f64>)], seconds: f64) -> String {
    let axis = Axis::to(seconds);
    let length = series.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    let smooth: Vec<_> = series.iter().map(|(kid, values)| (kid, smoothed(values, length))).collect();
    let totals = (0..length).map(|index| smooth.iter().map(|(_, values)| at(values, index)).sum::<f64>());
    let peak = totals.fold(1.0, f64::max);
    let mut svg = Svg::new();
    for tick in ticks(peak, 4) {
        let y = height(tick, peak);
        svg.line("grid", (LEFT, y), (RIGHT, y));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "calls per second")]
        svg.text("tick", (LEFT - 12.0, y + 4.0), "end", &format!("{}/s", grouped(tick as u64)));
    }
    let mut lower = vec![0.0; length];
    for (index, (kid, values)) in smooth.iter().enumerate() {
        let upper: Vec<f64> = lower.iter().zip(values).map(|(below, value)| below + value).collect();
        let class = format!("load k{}", index % COLOURS);
        let title = format!("calls with tokens of {kid}");
        svg.area(&class, &curve(&upper, peak, axis), &curve(&lower, peak, axis), &title);
        lower = upper;
    }
    for tick in axis.ticks() {
        svg.text("tick", (axis.x(tick), BOTTOM + 16.0), "middle", &format!("{tick} s"));
    }
    svg.line("frame", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    let description =
        format!("Up to {peak:.0} calls per second, stacked by the key that signed their token.");
    svg.finish("load", (WIDTH, BOTTOM + 24.0), "Accepted calls per second", &description)
}

/// The mean of each value and its neighbours, so that the picture shows rates and not the grain of time.
fn smoothed(values: &[f64], length: usize) -> Vec<f64> {
    let mean = |index: usize| {
        let near = [index.checked_sub(1), Some(index), index.checked_add(1)];
        let near: Vec<f64> =
            near.into_iter().flatten().filter_map(|index| values.get(index).copied()).collect();
        #[allow(clippy::cast_precision_loss, reason = "at most three")]
        let count = near.len().max(1) as f64;
        near.iter().sum::<f64>() / count
    };
    (0..length).map(mean).collect()
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or_default()
}

fn curve(values: &[f64], peak: f64, axis: Axis) -> Vec<(f64, f64)> {
    let middle = |index: usize| {
        #[allow(clippy::cast_precision_loss, reason = "quarters of the seconds of a run")]
        let index = index as f64;
        axis.x((index + 0.5) / f64::from(PER_SECOND))
    };
    values.iter().enumerate().map(|(index, value)| (middle(index), height(*value, peak))).collect()
}

fn height(value: f64, peak: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * (value / peak).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::kid;

    #[test]
    fn keys_are_stacked_up_to_the_peak() {
        let series = [(kid("a"), vec![100.0; 8]), (kid("b"), vec![300.0; 8])];
        let picture = chart(&series, 2.0);
        assert!(picture.contains(r#"<path class="load k0" d="M170.5 134"#), "{picture}");
        assert!(picture.contains(r#"<path class="load k1" d="M170.5 14"#), "{picture}");
        assert!(picture.contains(">400/s</text>") && picture.contains("Up to 400 calls per second"));
    }

    #[test]
    fn series_of_different_lengths_and_none_at_all_can_be_drawn() {
        let picture = chart(&[(kid("a"), vec![4.0]), (kid("b"), vec![0.0, 0.0, 8.0])], 1.0);
        assert_eq!(picture.matches("<path").count(), 2);
        assert!(!picture.contains("NaN") && !chart(&[], 0.0).contains("NaN"));
    }
}
