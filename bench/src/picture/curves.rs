//! Figures over what grows, a small picture each.

use serde_json::Value;

use super::canvas::{Anchor, Canvas, Scale};
use super::values::{list, made_on, number, shown, text};

const COLUMNS: usize = 3;
const WIDTH: f64 = 1000.0;
const CELL: (f64, f64) = (320.0, 160.0);

/// Every series of a document with `{"series": [{"name", "unit", "goal", "points": [{"x", "y"}]}]}`; `None` without.
#[must_use]
pub fn curves(document: &Value, title: &str) -> Option<String> {
    let series: Vec<&Value> = list(document, "series").filter(|one| list(one, "points").next().is_some()).collect();
    if series.is_empty() {
        return None;
    }
    let mut canvas =
        Canvas::new(WIDTH, title, "each from zero, over what grows (in factors); the orange line is the goal");
    for (place, one) in series.iter().enumerate() {
        let left = 20.0 + (place % COLUMNS) as f64 * CELL.0;
        let top = 80.0 + (place / COLUMNS) as f64 * CELL.1;
        curve(&mut canvas, one, (left, top));
    }
    Some(canvas.finish(80.0 + series.len().div_ceil(COLUMNS) as f64 * CELL.1, &made_on(document)))
}

fn curve(canvas: &mut Canvas, series: &Value, (left, top): (f64, f64)) {
    let points: Vec<(f64, f64)> =
        list(series, "points").filter_map(|point| Some((number(point, &["x"])?, number(point, &["y"])?))).collect();
    let goal = number(series, &["goal"]);
    let most = points.iter().map(|(_, y)| *y).chain(goal).fold(f64::MIN_POSITIVE, f64::max);
    let (least_x, most_x) = points.iter().fold((f64::MAX, 0.0f64), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
    let least_x = least_x.max(f64::MIN_POSITIVE);
    let (right, bottom) = (left + CELL.0 - 60.0, top + CELL.1 - 50.0);
    let across = Scale::logarithmic((least_x, most_x.max(least_x * 1.000_1)), (left + 10.0, right));
    let up = Scale::linear((0.0, most * 1.15), (bottom, top + 24.0));
    canvas.text((left, top), Anchor::Start, "strong", &fitted(text(series, "name")));
    canvas.text((left, top + 15.0), Anchor::Start, "small", text(series, "unit"));
    canvas.line((left, bottom), (right + 10.0, bottom), "axis");
    if let Some(goal) = goal {
        canvas.line((left, up.at(goal)), (right + 10.0, up.at(goal)), "goal");
        canvas.text((right + 14.0, up.at(goal) + 4.0), Anchor::Start, "goal-text", &shown(goal));
    }
    let places: Vec<(f64, f64)> = points.iter().map(|(x, y)| (across.at(*x), up.at(*y))).collect();
    canvas.path(&places, "ours");
    for ((x, y), place) in points.iter().zip(&places) {
        canvas.dot(*place, "ours");
        // Where the goal's line is near, the figure hangs below its dot.
        let crowded = goal.is_some_and(|goal| (0.0..24.0).contains(&(place.1 - up.at(goal))));
        let beside = if crowded { place.1 + 16.0 } else { place.1 - 8.0 };
        canvas.text((place.0, beside), Anchor::Middle, "small", &shown(*y));
        canvas.text((place.0, bottom + 14.0), Anchor::Middle, "small", &short(*x));
    }
}

/// A count in as few letters as it needs: `10k`, `1M`.
fn short(count: f64) -> String {
    for (unit, name) in [(1e6, "M"), (1e3, "k")] {
        if count >= unit {
            return format!("{}{name}", shown(count / unit));
        }
    }
    shown(count)
}

/// A name that stays inside its cell.
fn fitted(name: &str) -> String {
    const MOST: usize = 40;
    if name.chars().count() <= MOST { name.to_owned() } else { name.chars().take(MOST - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{curves, short};

    #[test]
    fn counts_are_short() {
        assert_eq!([10.0, 1000.0, 100_000.0, 1_500_000.0].map(short), ["10", "1k", "100k", "1.5M"]);
    }

    #[test]
    fn one_point_and_none_are_drawn_too() {
        let document = json!({ "series": [
            { "name": "start over routes", "unit": "ms", "goal": 1000.0, "points": [{ "x": 10.0, "y": 4.0 }] },
            { "name": "nothing", "unit": "ms", "points": [] },
        ]});
        let svg = curves(&document, "Growth").unwrap();
        assert!(svg.contains("start over routes") && !svg.contains("nothing") && !svg.contains("NaN"), "{svg}");
        assert!(curves(&json!({}), "Growth").is_none());
    }
}
