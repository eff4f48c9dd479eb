//! Latency at fixed rates: from p50 to p99.

use serde_json::Value;

use super::canvas::{Anchor, Canvas, Scale, class_of};
use super::values::{list, made_on, number, shown, text};

const WIDTH: f64 = 820.0;
const STEP: f64 = 22.0;
const NAMES: f64 = 330.0;
const FIGURES: f64 = 700.0;

/// p50 and p99 of everybody at each rate; `None` without.
#[must_use]
pub fn latency(bench: &Value) -> Option<String> {
    let asked: Vec<(f64, &str, f64, f64)> = list(bench, "latency")
        .filter_map(|one| {
            Some((number(one, &["rate"])?, text(one, "name"), number(one, &["p50"])?, number(one, &["p99"])?))
        })
        .collect();
    let low = asked.iter().map(|(_, _, p50, _)| *p50).reduce(f64::min)?.max(1.0);
    let high = asked.iter().map(|(_, _, _, p99)| *p99).reduce(f64::max)?.max(low * 2.0);
    let scale = Scale::logarithmic((low * 0.9, high * 1.1), (NAMES, FIGURES - 20.0));
    let mut canvas = Canvas::new(
        WIDTH,
        "Latency at a fixed rate, 1 KiB over HTTP/1.1 and TLS",
        "microseconds from the moment a request was due: ○ p50, ● p99; left is better",
    );
    let mut rates: Vec<f64> = asked.iter().map(|(rate, ..)| *rate).collect();
    rates.dedup();
    let mut y = 80.0;
    for rate in rates {
        canvas.text((20.0, y), Anchor::Start, "strong", &format!("{} requests per second", shown(rate)));
        y += 8.0;
        let mut lines: Vec<_> = asked.iter().filter(|(of, ..)| of.total_cmp(&rate).is_eq()).collect();
        lines.sort_by(|one, other| one.2.total_cmp(&other.2));
        for (_, name, p50, p99) in lines {
            let (class, middle) = (class_of(name), y + STEP / 2.0);
            let weight = if class == "ours" { "strong" } else { "" };
            canvas.text((NAMES - 10.0, middle + 4.0), Anchor::End, weight, name);
            canvas.line((scale.at(*p50) + 4.0, middle), (scale.at(*p99), middle), class);
            canvas.ring((scale.at(*p50), middle), class);
            canvas.dot((scale.at(*p99), middle), class);
            let figures = format!("{} – {}", shown(*p50), shown(*p99));
            canvas.text((FIGURES, middle + 4.0), Anchor::Start, "soft", &figures);
            y += STEP;
        }
        y += 28.0;
    }
    Some(canvas.finish(y, &made_on(bench)))
}
