//! Ratios with their intervals and goals, on a scale of factors.

use serde_json::Value;

use super::canvas::{Anchor, Canvas, Scale};
use super::values::{list, made_on, number, text};

const WIDTH: f64 = 820.0;
const STEP: f64 = 24.0;
const NAMES: f64 = 330.0;
const FIGURES: f64 = 720.0;
const OURS: &str = "Portcullis, everything on";

/// One line of a picture.
struct Ratio {
    name: String,
    class: &'static str,
    clear: bool,
    low: f64,
    median: f64,
    high: f64,
    goal: Option<f64>,
}

impl Ratio {
    fn read(name: String, class: &'static str, value: &Value) -> Option<Self> {
        Some(Self {
            name,
            class,
            clear: value.get("clear").and_then(Value::as_bool)?,
            low: number(value, &["ratio", "low"])?,
            median: number(value, &["ratio", "median"])?,
            high: number(value, &["ratio", "high"])?,
            goal: number(value, &["goal"]),
        })
    }
}

/// Portcullis with everything on over each of its peers, for 1 KiB over TLS.
#[must_use]
pub fn peers(bench: &Value) -> Option<String> {
    let rows = list(bench, "rows").filter(|row| text(row, "name").contains("TLS, 1 KiB"));
    let parts: Vec<(String, Vec<Ratio>)> = rows
        .map(|row| {
            let ours = list(row, "ratios").filter(|ratio| text(ratio, "system") == OURS);
            let lines = ours.filter_map(|ratio| Ratio::read(text(ratio, "baseline").to_owned(), "ours", ratio));
            (text(row, "name").to_owned(), lines.collect())
        })
        .collect();
    draw("Portcullis with everything on, as a multiple of …", &parts, &made_on(bench))
}

/// The engine's row by row: Portcullis over the bare engine, the bare engine over nginx.
#[must_use]
pub fn rows(bench: &Value) -> Option<String> {
    let part = |system: &str, baseline: &str, class: &'static str| {
        let all = list(bench, "rows").flat_map(|row| list(row, "ratios").map(move |ratio| (text(row, "name"), ratio)));
        let wanted = all.filter(|(_, ratio)| text(ratio, "system") == system && text(ratio, "baseline") == baseline);
        let lines = wanted.filter_map(|(row, ratio)| Ratio::read(row.to_owned(), class, ratio));
        (format!("{system} / {baseline}"), lines.collect::<Vec<_>>())
    };
    let parts =
        [part(OURS, "bare Pingora", "ours"), part("bare Pingora", "nginx", "bare"), part(OURS, "nginx", "ours")];
    draw("What the check costs, and what the engine costs, row by row", &parts, &made_on(bench))
}

fn draw(title: &str, parts: &[(String, Vec<Ratio>)], made_on: &str) -> Option<String> {
    let all = || parts.iter().flat_map(|(_, ratios)| ratios);
    let lowest = all().map(|ratio| ratio.low).fold(0.5, f64::min);
    let highest = all().map(|ratio| ratio.high.max(ratio.goal.unwrap_or(0.0))).fold(1.25, f64::max);
    all().next()?;
    let scale = Scale::logarithmic((lowest * 0.95, highest * 1.05), (NAMES, FIGURES - 20.0));
    let hint = "requests per CPU-second, median of paired rounds with its 95 % interval; right is better";
    let mut canvas = Canvas::new(WIDTH, title, hint);
    let mut y = 80.0;
    for (name, ratios) in parts.iter().filter(|(_, ratios)| !ratios.is_empty()) {
        canvas.text((20.0, y), Anchor::Start, "strong", name);
        let top = y + 8.0;
        let bottom = top + ratios.len() as f64 * STEP;
        ticks(&mut canvas, scale, (lowest, highest), (top, bottom));
        for (place, ratio) in ratios.iter().enumerate() {
            line(&mut canvas, scale, ratio, top + (place as f64 + 0.5) * STEP);
        }
        y = bottom + 46.0;
    }
    canvas.line((20.0, y - 19.0), (20.0, y - 7.0), "goal");
    canvas.text((28.0, y - 9.0), Anchor::Start, "small", "goal");
    canvas.text((70.0, y - 9.0), Anchor::Start, "small", "○ interval wider than its distance from 1: no ratio");
    Some(canvas.finish(y + 16.0, made_on))
}

fn ticks(canvas: &mut Canvas, scale: Scale, (lowest, highest): (f64, f64), (top, bottom): (f64, f64)) {
    for tick in [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0] {
        if tick < lowest * 0.95 || tick > highest * 1.05 {
            continue;
        }
        let class = if (tick - 1.0f64).abs() < f64::EPSILON { "axis" } else { "line" };
        canvas.line((scale.at(tick), top), (scale.at(tick), bottom), class);
        canvas.text((scale.at(tick), bottom + 14.0), Anchor::Middle, "small", &format!("{tick}"));
    }
}

fn line(canvas: &mut Canvas, scale: Scale, ratio: &Ratio, y: f64) {
    let Ratio { name, class, clear, low, median, high, goal } = ratio;
    canvas.text((NAMES - 10.0, y + 4.0), Anchor::End, "", name);
    if let Some(goal) = goal {
        canvas.line((scale.at(*goal), y - 8.0), (scale.at(*goal), y + 8.0), "goal");
    }
    canvas.line((scale.at(*low), y), (scale.at(*high), y), class);
    if *clear {
        canvas.dot((scale.at(*median), y), class);
        canvas.text((FIGURES, y + 4.0), Anchor::Start, "strong", &format!("{median:.2}"));
    } else {
        canvas.ring((scale.at(*median), y), class);
        canvas.text((FIGURES, y + 4.0), Anchor::Start, "small", &format!("{low:.2}–{high:.2}"));
    }
}
