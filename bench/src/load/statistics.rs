//! Medians of paired ratios with an interval that assumes nothing about their distribution.

/// A median with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// How many samples it rests on.
    pub samples: usize,
}

/// What a ratio's interval says of a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval reaches it.
    Met,
    /// No part of the interval reaches it.
    Missed,
    /// The goal lies within the interval.
    Open,
}

impl Estimate {
    /// The median of `samples` with the order statistics that enclose it in 95 of 100 cases (binomial, normal
    /// approximation). `None` without samples.
    #[must_use]
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.retain(|sample| sample.is_finite());
        samples.sort_by(f64::total_cmp);
        let count = samples.len();
        let middle = samples.get(count / 2).copied()?;
        let median = if count.is_multiple_of(2) { f64::midpoint(middle, *samples.get(count / 2 - 1)?) } else { middle };
        let half = 0.98 * (count as f64).sqrt();
        let low = ((count as f64 / 2.0) - half).floor().max(0.0) as usize;
        let high = ((count as f64 / 2.0) + half).ceil().min(count as f64 - 1.0) as usize;
        Some(Self { median, low: *samples.get(low)?, high: *samples.get(high)?, samples: count })
    }

    /// Whether a ratio may be printed: its interval is no wider than its distance from 1.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.high - self.low <= (self.median - 1.0).abs()
    }

    /// What the interval says of a goal; an unclear ratio can still meet or miss one that lies far from 1.
    #[must_use]
    pub fn against(&self, goal: f64) -> Verdict {
        if self.low >= goal {
            Verdict::Met
        } else if self.high < goal {
            Verdict::Missed
        } else {
            Verdict::Open
        }
    }

    /// Half the interval's width as a share of the median: how noisy the samples were.
    #[must_use]
    pub fn noise(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median.abs().max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Verdict};

    fn estimate(low: f64, median: f64, high: f64) -> Estimate {
        Estimate { median, low, high, samples: 20 }
    }

    #[test]
    fn the_interval_encloses_the_median() {
        let estimate = Estimate::of((0..21).map(f64::from).collect()).unwrap();
        assert_eq!(estimate.median, 10.0);
        assert!(estimate.low < 10.0 && estimate.high > 10.0, "{estimate:?}");
    }

    #[test]
    fn no_samples_no_estimate() {
        assert!(Estimate::of(vec![f64::NAN]).is_none());
    }

    #[test]
    fn a_ratio_is_printed_only_if_its_interval_is_narrower_than_its_distance_from_one() {
        assert!(estimate(0.89, 0.90, 0.92).is_clear());
        assert!(!estimate(0.92, 0.95, 0.98).is_clear());
        assert!(!estimate(0.98, 1.01, 1.03).is_clear());
    }

    #[test]
    fn a_goal_is_met_missed_or_open() {
        let verdicts =
            [(0.91, 0.95), (0.85, 0.89), (0.88, 0.93)].map(|(low, high)| estimate(low, 0.9, high).against(0.9));
        assert_eq!(verdicts, [Verdict::Met, Verdict::Missed, Verdict::Open]);
    }
}
