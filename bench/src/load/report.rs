//! What a person reads and what a program reads of the same figures.

use serde_json::{Value, json};

use super::contest::Outcome;
use super::entrant::Name;
use super::generator::Sample;
use super::latency::Latency;
use super::roster::Absent;
use super::rows::{COMPARISONS, Comparison};
use super::statistics::{Estimate, Verdict};

/// The lines of a row: what everybody did, then the ratios with their goals.
#[must_use]
pub fn lines(outcome: &Outcome) -> Vec<String> {
    let mut lines = vec![String::new(), outcome.row.name.to_owned()];
    for figures in &outcome.figures {
        let (Some(merit), Some(rate)) =
            (figures.estimate(Sample::per_cpu_second), figures.estimate(Sample::per_second))
        else {
            continue;
        };
        lines.push(format!(
            "  {:<42} {:>7.0} per CPU-second ±{:>4.1} %  {:>7.0} per second{}",
            figures.name.label(),
            merit.median,
            merit.noise() * 100.0,
            rate.median,
            failures(figures.failed()),
        ));
    }
    for Absent { name, reason } in &outcome.absent {
        lines.push(format!("  {:<42} absent: {reason}", name.label()));
    }
    lines.extend(ratios(outcome).iter().map(|(comparison, ratio, _)| {
        let Comparison { system, baseline, goal } = comparison;
        let what = format!("{} / {}", system.label(), baseline.label());
        format!("  {what:<68} {:>10}  {}", shown(ratio), goal.map_or_else(String::new, |goal| judged(ratio, goal)))
    }));
    lines
}

fn failures(count: u64) -> String {
    if count == 0 { String::new() } else { format!("  {count} FAILED") }
}

/// The ratio with its interval, or why there is none.
fn shown(ratio: &Estimate) -> String {
    let Estimate { median, low, high, .. } = ratio;
    if ratio.is_clear() {
        format!("{median:.3}  [{low:.3}, {high:.3}]")
    } else {
        format!("no ratio: [{low:.3}, {high:.3}] is wider than its distance from 1")
    }
}

fn judged(ratio: &Estimate, goal: f64) -> String {
    let word = match ratio.against(goal) {
        Verdict::Met => "met",
        Verdict::Missed => "missed",
        Verdict::Open => "open",
    };
    format!("goal {goal:.2}: {word}")
}

/// The ratios of a row whose two systems took part.
fn ratios(outcome: &Outcome) -> Vec<(Comparison, Estimate, Vec<f64>)> {
    let all = COMPARISONS.into_iter().filter_map(|comparison| {
        let ratios = outcome.ratios(comparison.system, comparison.baseline)?;
        Some((comparison, Estimate::of(ratios.clone())?, ratios))
    });
    all.collect()
}

/// A row as JSON, with every sample.
#[must_use]
pub fn json(outcome: &Outcome) -> Value {
    let systems = outcome.figures.iter().map(|figures| {
        let rates: Vec<f64> = figures.samples.iter().map(Sample::per_cpu_second).collect();
        json!({
            "name": figures.name.label(),
            "per_cpu_second": figures.estimate(Sample::per_cpu_second).as_ref().map(interval),
            "per_second": figures.estimate(Sample::per_second).map(|rate| rate.median),
            "failed": figures.failed(),
            "samples": rates,
        })
    });
    let ratios = ratios(outcome).into_iter().map(|(comparison, ratio, samples)| {
        let Comparison { system, baseline, goal } = comparison;
        json!({
            "system": system.label(),
            "baseline": baseline.label(),
            "ratio": interval(&ratio),
            "clear": ratio.is_clear(),
            "goal": goal,
            "verdict": goal.map(|goal| judged(&ratio, goal)),
            "samples": samples,
        })
    });
    json!({
        "name": outcome.row.name,
        "systems": systems.collect::<Vec<_>>(),
        "ratios": ratios.collect::<Vec<_>>(),
        "absent": absences(&outcome.absent),
    })
}

fn interval(estimate: &Estimate) -> Value {
    let Estimate { median, low, high, samples } = estimate;
    json!({ "median": median, "low": low, "high": high, "samples": samples })
}

/// Who is not here, and why.
#[must_use]
pub fn absences(absent: &[Absent]) -> Value {
    absent.iter().map(|Absent { name, reason }| json!({ "name": name.label(), "reason": reason })).collect()
}

/// The lines of the latency part.
#[must_use]
pub fn latency_lines(latencies: &[Latency]) -> Vec<String> {
    let line = |latency: &Latency| {
        let Latency { name, rate, micros, failed } = latency;
        let times = micros.map_or_else(
            || "not asked: too near its throughput".to_owned(),
            |(p50, p99)| format!("p50 {p50:>6.0} µs  p99 {p99:>6.0} µs"),
        );
        format!("  {:<42} {rate:>5} per second  {times}{}", name.label(), failures(*failed))
    };
    latencies.iter().map(line).collect()
}

/// The latency part as JSON.
#[must_use]
pub fn latency_json(latencies: &[Latency]) -> Value {
    let one = |latency: &Latency| {
        let Latency { name, rate, micros, failed } = latency;
        let (p50, p99) = micros.unzip();
        json!({ "name": name.label(), "rate": rate, "p50": p50, "p99": p99, "failed": failed })
    };
    latencies.iter().map(one).collect()
}

/// Memory of a system's processes, idle and after the load, in MiB.
#[derive(Clone, Debug)]
pub struct Memory {
    /// Which.
    pub name: Name,
    /// Signed in, before any load.
    pub idle: f64,
    /// After all rows.
    pub loaded: f64,
}

/// The lines of the memory part.
#[must_use]
pub fn memory_lines(memories: &[Memory]) -> Vec<String> {
    let line = |memory: &Memory| {
        let Memory { name, idle, loaded } = memory;
        format!("  {:<42} {idle:>7.1} MiB idle  {loaded:>7.1} MiB after the load", name.label())
    };
    memories.iter().map(line).collect()
}

/// The memory part as JSON.
#[must_use]
pub fn memory_json(memories: &[Memory]) -> Value {
    let one = |memory: &Memory| {
        let Memory { name, idle, loaded } = memory;
        json!({ "name": name.label(), "idle": idle, "loaded": loaded })
    };
    memories.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{json, lines};
    use crate::load::contest::{Figures, Outcome};
    use crate::load::entrant::Name;
    use crate::load::generator::Sample;
    use crate::load::roster::Absent;
    use crate::load::rows::main_rows;

    fn outcome(checked: u64) -> Outcome {
        let figures = |name, good| {
            let sample =
                Sample { good, bad: 0, window: Duration::from_secs(1), spent: Duration::from_secs(1), latency: None };
            Figures { name, samples: vec![sample; 20] }
        };
        Outcome {
            row: main_rows()[0],
            figures: vec![figures(Name::Bare, 1000), figures(Name::Checked, checked)],
            absent: vec![Absent { name: Name::Apache, reason: "apache2 is not installed".to_owned() }],
        }
    }

    #[test]
    fn a_row_shows_goal_figure_and_who_is_absent() {
        let text = lines(&outcome(950)).join("\n");
        assert!(text.contains("0.950  [0.950, 0.950]  goal 0.90: met"), "{text}");
        assert!(text.contains("absent: apache2 is not installed"), "{text}");
        assert!(lines(&outcome(800)).join("\n").contains("goal 0.90: missed"));
    }

    #[test]
    fn no_ratio_is_printed_that_the_samples_do_not_carry() {
        let mut noisy = outcome(950);
        for (place, sample) in noisy.figures[1].samples.iter_mut().enumerate() {
            sample.good = if place % 2 == 0 { 800 } else { 1200 };
        }
        let text = lines(&noisy).join("\n");
        assert!(text.contains("no ratio: [0.800, 1.200]"), "{text}");
        assert_eq!(json(&noisy)["ratios"][0]["clear"], false);
    }
}
