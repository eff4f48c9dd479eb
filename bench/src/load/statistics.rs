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

    /// Whether the interval says on which side of 1 the ratio lies.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::Estimate;

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
}
