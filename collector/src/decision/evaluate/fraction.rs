//! Finds weights that are fractions where percentages are meant: `1 - load` is 0.3 where 30 is meant, and HAProxy gets
//! the floor for ever. Pure.

/// How often a weight has to change within 0 to 1 before it is suspicious.
const CHANGES: u8 = 20;

/// A summary of the past weights of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FractionWatch {
    last: Option<f64>,
    changes: u8,
    /// Some weight was outside of 0 to 1: it is not a fraction.
    cleared: bool,
}

impl FractionWatch {
    /// Adds a raw weight.
    pub(super) fn observe(&mut self, weight: f64) {
        self.cleared |= !(0.0..=1.0).contains(&weight);
        let changed = self
            .last
            .replace(weight)
            .is_some_and(|last| last.to_bits() != weight.to_bits());
        self.changes = self.changes.saturating_add(u8::from(changed)).min(CHANGES);
    }

    /// Whether the weight has changed many times and stayed within 0 to 1.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        !self.cleared && self.changes >= CHANGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_fraction_is_suspicious() {
        let watch = |weights: &mut dyn Iterator<Item = f64>| {
            let mut watch = FractionWatch::default();
            weights.for_each(|weight| watch.observe(weight));
            watch.is_suspicious()
        };
        let hundredths = || (0..30).map(|at| f64::from(at) / 100.0);
        assert!(watch(&mut hundredths()));
        assert!(!watch(&mut hundredths().chain([30.0])));
        assert!(!watch(&mut [-1.0].into_iter().chain(hundredths())));
        assert!(!watch(&mut [0.5; 100].into_iter()), "it does not move");
        assert!(!watch(&mut hundredths().take(10)));
    }
}
