//! Rates as a row of blocks.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `width` values as blocks; the height of each is its share of `peak`.
pub fn line(values: &[f64], peak: f64, width: usize) -> String {
    let shown = values.get(values.len().saturating_sub(width)..).unwrap_or_default();
    shown.iter().map(|value| block(*value, peak)).collect()
}

fn block(value: f64, peak: f64) -> char {
    if value <= 0.0 || peak <= 0.0 {
        return ' ';
    }
    let share = (value / peak).clamp(0.0, 1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
    let index = (share * 7.0).round() as usize;
    BLOCKS.get(index).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_shares_of_the_peak() {
        assert_eq!(line(&[0.0, 1.0, 50.0, 100.0, 200.0], 100.0, 9), " ▁▅██");
    }

    #[test]
    fn only_the_last_values_are_shown() {
        assert_eq!(line(&[100.0, 0.0, 100.0], 100.0, 2), " █");
        assert_eq!(line(&[], 0.0, 4), "");
        assert_eq!(line(&[5.0], 0.0, 4), " ");
    }
}
