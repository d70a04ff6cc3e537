//! How far apart replicas are, in time and in what they know: by a model, or as it was measured.

use serde::Serialize;

/// Seconds that differ from draw to draw.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Spread {
    /// The one number of a model: of clocks the deviation, of delays the median.
    Modelled(f64),
    /// What was measured: each draw is one of these.
    Measured(Measured),
}

/// Measured seconds, at least one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    #[serde(skip)]
    sorted: Vec<f64>,
    values: usize,
    median: f64,
    greatest: f64,
}

/// A number that must lie between two others: what it is, the number, the least and the greatest.
pub(crate) type Range = (&'static str, f64, f64, f64);

impl Spread {
    /// What must lie within which bounds: the model's number, or the least and the greatest that was measured.
    pub(crate) fn within(
        &self,
        [model, each]: [&'static str; 2],
        (least, most): (f64, f64),
        (lowest, highest): (f64, f64),
    ) -> Vec<Range> {
        match self {
            Self::Modelled(number) => vec![(model, *number, least, most)],
            Self::Measured(measured) => {
                let ends = [measured.sorted.first(), measured.sorted.last()];
                ends.into_iter().flatten().map(|end| (each, *end, lowest, highest)).collect()
            }
        }
    }
}

/// A file of measurements that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeasuredError {
    /// A line that is no number.
    #[error("line {line} is {found:?}; expected a number of seconds, such as 0.031, or a comment after #")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What stands there, shortened.
        found: String,
    },
    /// Nothing was measured.
    #[error("it holds no number; expected one in a line, in seconds")]
    Empty,
}

impl Measured {
    /// Reads one number a line; what follows a `#` is a comment.
    pub fn parse(text: &str) -> Result<Self, MeasuredError> {
        let mut sorted = Vec::new();
        for (line, text) in text.lines().enumerate() {
            let text = text.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            match text.parse::<f64>() {
                Ok(seconds) if seconds.is_finite() => sorted.push(seconds),
                _ => {
                    let found = text.chars().take(32).collect();
                    return Err(MeasuredError::Line { line: line + 1, found });
                }
            }
        }
        sorted.sort_by(f64::total_cmp);
        let greatest = *sorted.last().ok_or(MeasuredError::Empty)?;
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        Ok(Self { values: sorted.len(), median, greatest, sorted })
    }

    /// From the least to the greatest.
    pub(crate) fn sorted(&self) -> &[f64] {
        &self.sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_numbers_with_comments() {
        let measured = Measured::parse("# seconds\n0.5\n\n -0.25 # a slow one\n1e-3\n").unwrap();
        assert_eq!(measured.sorted(), [-0.25, 0.001, 0.5]);
        let json = serde_json::to_string(&Spread::Measured(measured)).unwrap();
        assert_eq!(json, r#"{"values":3,"median":0.001,"greatest":0.5}"#);
        assert_eq!(serde_json::to_string(&Spread::Modelled(2.0)).unwrap(), "2.0");
    }

    #[test]
    fn what_is_no_measurement_is_named_by_its_line() {
        let error = Measured::parse("1\n2\ninf\n").unwrap_err();
        assert!(error.to_string().starts_with("line 3 is \"inf\"; expected a number of seconds"), "{error}");
        assert_eq!(Measured::parse("# nothing\n"), Err(MeasuredError::Empty));
    }
}
