//! The marks that judges give to solutions, and the resulting weights in a vote. They are whole numbers, so that no sum
//! depends on its order.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A full vote, in thousandths.
const FULL: u32 = 1000;

/// What a judge says about one solution: from 0 to 1, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u32);

impl Mark {
    /// The mark nearest to `share`; `None` outside 0 to 1.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then(|| Mark((share * f64::from(FULL)).round() as u32))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", f64::from(self.0) / f64::from(FULL))
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / f64::from(FULL))
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = f64::deserialize(deserializer)?;
        Mark::new(share).ok_or_else(|| serde::de::Error::custom(format!("expected a mark from 0 to 1, found {share}")))
    }
}

/// What a solution weighs: a full vote if nobody judged it, otherwise the mean of its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    sum: u32,
    marks: u32,
}

impl Weight {
    /// The weight after one more mark.
    pub fn with(self, Mark(mark): Mark) -> Self {
        Weight { sum: self.sum + mark, marks: self.marks + 1 }
    }

    /// Thousandths of a full vote; a mean is rounded to the nearest.
    pub fn thousandths(self) -> u32 {
        (self.sum + self.marks / 2).checked_div(self.marks).unwrap_or(FULL)
    }

    /// Whether any judge marked the solution.
    pub fn is_judged(self) -> bool {
        self.marks > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_the_mean_of_the_marks() {
        let weight = |shares: &[f64]| {
            shares.iter().filter_map(|&share| Mark::new(share)).fold(Weight::default(), Weight::with).thousandths()
        };
        assert_eq!(weight(&[]), 1000);
        assert_eq!(weight(&[0.7]), 700);
        assert_eq!(weight(&[0.0]), 0);
        assert_eq!(weight(&[0.7, 0.2]), 450);
        assert_eq!(weight(&[0.2, 0.7]), 450);
        assert_eq!(weight(&[1.0, 0.0, 0.0]), 333);
        assert_eq!(weight(&[1.5, -0.1, f64::NAN, 0.5]), 500, "what is no share is no mark");
    }

    #[test]
    fn marks_are_written_as_shares() -> serde_json::Result<()> {
        let marks = [Mark::new(0.85), None, Mark::new(1.0)];
        let written = serde_json::to_string(&marks)?;
        assert_eq!(written, "[0.85,null,1.0]");
        assert_eq!(serde_json::from_str::<Vec<Option<Mark>>>(&written)?, marks);
        assert!(serde_json::from_str::<Mark>("1.5").is_err());
        Ok(())
    }
}
