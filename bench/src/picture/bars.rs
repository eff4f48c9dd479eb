//! How much everybody does, as bars.

use serde_json::Value;

use super::canvas::{Anchor, Canvas, Scale, class_of};
use super::values::{list, made_on, number, shown, text};

const WIDTH: f64 = 820.0;
const STEP: f64 = 22.0;
const NAMES: f64 = 320.0;

/// Requests per CPU-second of the rows with everybody for 1 KiB over TLS; `None` without such rows.
#[must_use]
pub fn requests(bench: &Value) -> Option<String> {
    let rows: Vec<&Value> = list(bench, "rows").filter(|row| text(row, "name").contains("TLS, 1 KiB")).collect();
    let most = rows.iter().flat_map(|row| list(row, "systems")).filter_map(merit).fold(0.0, f64::max);
    let mut canvas = Canvas::new(
        WIDTH,
        "Requests per second of CPU time, 1 KiB over TLS",
        "all processes counted, one core, one worker; longer is better",
    );
    let mut y = 80.0;
    for row in rows {
        canvas.text((20.0, y), Anchor::Start, "strong", text(row, "name"));
        y += 10.0;
        let named: Vec<(String, f64)> = list(row, "systems")
            .filter(|system| text(system, "name") != "bare Pingora, again")
            .filter_map(|system| Some((text(system, "name").to_owned(), merit(system)?)))
            .collect();
        y = bars(&mut canvas, y, most, named);
        y += 26.0;
    }
    (most > 0.0).then(|| canvas.finish(y, &made_on(bench)))
}

/// Memory of everybody; `None` without.
#[must_use]
pub fn memory(bench: &Value) -> Option<String> {
    let named = |field: &'static str| {
        let all =
            list(bench, "memory").filter_map(move |one| Some((text(one, "name").to_owned(), number(one, &[field])?)));
        all.collect::<Vec<_>>()
    };
    let (idle, loaded) = (named("idle"), named("loaded"));
    let most = idle.iter().chain(&loaded).map(|(_, size)| *size).fold(0.0, f64::max);
    let mut canvas = Canvas::new(WIDTH, "Memory, MiB", "all processes, shared pages counted once; shorter is better");
    let mut y = 80.0;
    for (title, sizes) in [("idle, signed in", idle), ("after all rows", loaded)] {
        canvas.text((20.0, y), Anchor::Start, "strong", title);
        y = bars(&mut canvas, y + 10.0, most, sizes) + 26.0;
    }
    (most > 0.0).then(|| canvas.finish(y, &made_on(bench)))
}

fn merit(system: &Value) -> Option<f64> {
    number(system, &["per_cpu_second", "median"])
}

/// Bars from the longest to the shortest; answers where they end.
fn bars(canvas: &mut Canvas, top: f64, most: f64, mut named: Vec<(String, f64)>) -> f64 {
    named.sort_by(|one, other| other.1.total_cmp(&one.1));
    let scale = Scale::linear((0.0, most), (0.0, WIDTH - NAMES - 100.0));
    let mut y = top;
    for (name, figure) in named {
        let class = class_of(&name);
        let weight = if class == "ours" { "strong" } else { "" };
        canvas.text((NAMES - 10.0, y + 14.0), Anchor::End, weight, &name);
        canvas.bar((NAMES, y + 3.0), (scale.at(figure), STEP - 7.0), class);
        canvas.text((NAMES + scale.at(figure) + 6.0, y + 14.0), Anchor::Start, "soft", &shown(figure));
        y += STEP;
    }
    y
}
