//! Durations and counts.

use std::time::Duration;

/// A duration for people: `0.21 s`, `3.4 s`, `12 s`, `85 ms`.
pub fn briefly(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        0.0 => "0 s".to_owned(),
        _ if seconds < 0.1 => format!("{:.0} ms", (seconds * 1000.0).max(1.0)),
        _ if seconds < 1.0 => format!("{seconds:.2} s"),
        _ if seconds < 100.0 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// A count with its thousands apart: `2,411,902`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_counts_are_short() {
        let brief = [0, 40, 85_000, 213_000, 3_440_000, 12_000_000, 230_000_000].map(Duration::from_micros);
        assert_eq!(
            brief.map(briefly),
            ["0 s", "1 ms", "85 ms", "0.21 s", "3.4 s", "12.0 s", "230 s"].map(String::from)
        );
        assert_eq!([0, 999, 1000, 2_411_902].map(grouped), ["0", "999", "1,000", "2,411,902"]);
    }
}
