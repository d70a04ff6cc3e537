//! Repeatable choices: the same seed makes the same ones.

/// A small generator of numbers (SplitMix64). For choices only, never for keys.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own for whatever `label` names, so that one part's throws never move another's.
    pub(crate) fn fork(&self, label: u64) -> Self {
        let mut mixed = Self(self.0 ^ label.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        mixed.next();
        mixed
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        let thrown = self.next().checked_rem(bound).unwrap_or_default();
        usize::try_from(thrown).unwrap_or_default()
    }

    /// A number from 0 to less than 1.
    pub(crate) fn unit(&mut self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let thrown = (self.next() >> 11) as f64;
        thrown / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let throw = |seed| {
            let mut dice = Dice::new(seed);
            [dice.below(1000), dice.below(1000), dice.below(1000)]
        };
        assert_eq!(throw(1729), throw(1729));
        assert_ne!(throw(1729), throw(1730));
    }

    #[test]
    fn forks_do_not_move_each_other() {
        let dice = Dice::new(7);
        let alone = dice.fork(2).next();
        let mut other = dice.fork(1);
        other.next();
        assert_eq!(dice.fork(2).next(), alone);
        assert_ne!(other.next(), alone);
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_all_of_it() {
        let mut dice = Dice::new(3);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[dice.below(5)] = true;
            assert!((0.0..1.0).contains(&dice.unit()));
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(dice.below(0), 0);
    }
}
