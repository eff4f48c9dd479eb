//! What growth and scale measure: series of points with a goal, printed as a table and written as JSON.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Value, json};

/// What a figure has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No goal: the figure stands for itself.
    Open,
}

impl Goal {
    /// Whether `figure` meets the goal; `None` without one.
    #[must_use]
    pub fn met_by(self, figure: f64) -> Option<bool> {
        match self {
            Self::AtMost(limit) => Some(figure <= limit),
            Self::Open => None,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::Open => f.write_str("-"),
        }
    }
}

/// One figure over one thing that grows.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    unit: &'static str,
    goal: Goal,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// A series without points. `name` says what is measured over what: `start over routes`.
    #[must_use]
    pub fn new(name: impl Into<String>, unit: &'static str, goal: Goal) -> Self {
        Self { name: name.into(), unit, goal, points: Vec::new() }
    }

    /// Adds the figure `y` at `x`.
    pub fn add(&mut self, x: impl Into<f64>, y: f64) {
        self.points.push((x.into(), y));
    }

    /// With one more point.
    #[must_use]
    pub fn with(mut self, x: impl Into<f64>, y: f64) -> Self {
        self.add(x, y);
        self
    }

    /// Its first point.
    #[must_use]
    pub fn first(&self) -> Option<(f64, f64)> {
        self.points.first().copied()
    }

    fn json(&self) -> Value {
        let points: Vec<Value> = self.points.iter().map(|(x, y)| json!({ "x": x, "y": y })).collect();
        let mut series = json!({ "name": self.name, "unit": self.unit, "points": points });
        if let (Goal::AtMost(limit), Some(fields)) = (self.goal, series.as_object_mut()) {
            fields.insert("goal".to_owned(), json!(limit));
        }
        series
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        self.points.iter().map(|(x, y)| {
            let verdict = match self.goal.met_by(*y) {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            let (goal, figure) = (self.goal.to_string(), shown(*y));
            format!("{:<52} {x:>9.0}  {figure:>12} {:<24} {goal:>10}  {verdict}", self.name, self.unit)
        })
    }
}

/// Prints the table and writes the JSON, with what is known of the machine.
///
/// # Errors
/// The file cannot be written.
pub fn publish(series: &[Series], machine: &Value, out: &Path) -> io::Result<()> {
    let mut print = io::stdout().lock();
    writeln!(print, "{:<52} {:>9}  {:>12} {:<24} {:>10}", "what", "at", "figure", "unit", "goal")?;
    for line in series.iter().flat_map(Series::lines) {
        writeln!(print, "{line}")?;
    }
    let series: Vec<Value> = series.iter().map(Series::json).collect();
    fs::write(out, format!("{:#}\n", json!({ "machine": machine, "series": series })))?;
    writeln!(print, "points: {}", out.display())
}

/// Says what is being measured, between the figures.
pub fn say(line: &str) {
    // Nobody reads what a closed pipe would have shown.
    drop(writeln!(io::stderr().lock(), "{line}"));
}

fn shown(figure: f64) -> String {
    if figure.abs() < 10.0 { format!("{figure:.3}") } else { format!("{figure:.1}") }
}

/// A count as a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and sizes here are far below 2^53")]
pub const fn figure(count: u64) -> f64 {
    count as f64
}

/// The value below which `share` of the samples lie; 0 without samples.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rank among a few thousand samples"
)]
pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_or_missed_and_an_open_one_is_neither() {
        assert_eq!(Goal::AtMost(1.0).met_by(1.0), Some(true));
        assert_eq!(Goal::AtMost(1.0).met_by(1.1), Some(false));
        assert_eq!(Goal::Open.met_by(9.0), None);
        let series = Series::new("start over routes", "s", Goal::AtMost(1.0)).with(10_u32, 0.5).with(10_000_u32, 1.5);
        let lines: Vec<String> = series.lines().collect();
        assert!(lines[0].ends_with("met") && lines[1].ends_with("MISSED"), "{lines:?}");
        assert_eq!(series.json()["goal"], 1.0);
        assert_eq!(series.json()["points"][1]["x"], 10_000.0);
    }

    #[test]
    fn quantiles_are_samples() {
        let samples: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&samples, 0.5), quantile(&samples, 0.99), quantile(&samples, 1.0)), (50.0, 99.0, 100.0));
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
