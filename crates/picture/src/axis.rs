//! From seconds to places, and ticks that people like.

use crate::{LEFT, RIGHT};

/// The time axis of a picture.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    seconds: f64,
}

impl Axis {
    /// An axis from 0 to `seconds`.
    pub fn to(seconds: f64) -> Self {
        Self { seconds: if seconds > 0.0 { seconds } else { 1.0 } }
    }

    /// Where an instant is; the ends of the axis for what is beyond them.
    pub fn x(self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds / self.seconds).clamp(0.0, 1.0)
    }

    /// The instants to mark: at most a dozen.
    pub fn ticks(self) -> Vec<f64> {
        ticks(self.seconds, 12)
    }
}

/// Round values from 0 to `most`: steps of 1, 2 or 5 times a power of ten, at most `count` of them.
pub fn ticks(most: f64, count: u32) -> Vec<f64> {
    let raw = most / f64::from(count.max(1));
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= raw);
    let step = step.filter(|step| step.is_finite() && *step > 0.0).unwrap_or(1.0);
    (0..=count).map(|index| f64::from(index) * step).take_while(|tick| *tick <= most + step * 1e-9).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_spans_the_picture() {
        let axis = Axis::to(40.0);
        assert_eq!((axis.x(0.0), axis.x(40.0), axis.x(20.0)), (LEFT, RIGHT, f64::midpoint(LEFT, RIGHT)));
        assert_eq!((axis.x(-3.0), axis.x(99.0)), (LEFT, RIGHT));
        assert_eq!(Axis::to(0.0).x(0.0), LEFT);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(38.0, 12), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0]);
        assert_eq!(ticks(4321.0, 4), [0.0, 2000.0, 4000.0]);
        assert_eq!(ticks(1.0, 4), [0.0, 0.5, 1.0]);
        for most in [0.001, 0.3, 7.0, 59.0, 61.0, 1e6] {
            let ticks = ticks(most, 12);
            assert!(
                (2..=13).contains(&ticks.len()) && ticks.iter().all(|tick| *tick <= most * 1.001),
                "{ticks:?}"
            );
        }
        assert!(ticks(0.0, 5).len() <= 6);
        assert!(ticks(f64::NAN, 5).len() <= 6);
    }
}
