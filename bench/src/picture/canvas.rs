//! A sheet with its own ground, so that it can be read on a light page and on a dark one.

/// Colours on light ground, then on dark: the reader's own choice decides.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.title{font-size:16px;font-weight:600}.soft{fill:#59636e}.small{font-size:11px;fill:#59636e}.strong{font-weight:600}\
.ground{fill:#fff}.line{stroke:#d1d9e0;stroke-width:1;fill:none}.axis{stroke:#818b98;stroke-width:1;fill:none}\
.ours{fill:#0969da;stroke:#0969da}.bare{fill:#8250df;stroke:#8250df}.peer{fill:#818b98;stroke:#818b98}\
.goal{stroke:#bc4c00;stroke-width:2;fill:none}.goal-text{fill:#bc4c00;font-size:11px}\
@media (prefers-color-scheme:dark){\
text{fill:#f0f6fc}.soft,.small{fill:#9198a1}.ground{fill:#0d1117}.line{stroke:#3d444d}.axis{stroke:#656c76}\
.ours{fill:#4493f8;stroke:#4493f8}.bare{fill:#ab7df8;stroke:#ab7df8}.peer{fill:#9198a1;stroke:#9198a1}\
.goal{stroke:#f0883e}.goal-text{fill:#f0883e}}";

/// Where a text hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// At its middle.
    Middle,
    /// At its end.
    End,
}

/// A point of the sheet.
pub type Point = (f64, f64);

/// A sheet in the making.
#[derive(Clone, Debug)]
pub struct Canvas {
    width: f64,
    body: String,
}

impl Canvas {
    /// A sheet with a title and a line below it that says how to read it.
    #[must_use]
    pub fn new(width: f64, title: &str, hint: &str) -> Self {
        let mut canvas = Self { width, body: String::new() };
        canvas.text((20.0, 30.0), Anchor::Start, "title", title);
        canvas.text((20.0, 50.0), Anchor::Start, "soft", hint);
        canvas
    }

    /// Writes.
    pub fn text(&mut self, (x, y): Point, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.put(format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#));
    }

    /// A line.
    pub fn line(&mut self, (x1, y1): Point, (x2, y2): Point, class: &str) {
        self.put(format_args!(r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" class="{class}"/>"#));
    }

    /// A line through several points.
    pub fn path(&mut self, points: &[Point], class: &str) {
        let steps: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        self.put(format_args!(r#"<path d="M{}" class="{class}" style="fill:none;stroke-width:2"/>"#, steps.join("L")));
    }

    /// A bar.
    pub fn bar(&mut self, (x, y): Point, (width, height): Point, class: &str) {
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" class="{class}" style="stroke:none"/>"#
        ));
    }

    /// A dot.
    pub fn dot(&mut self, (x, y): Point, class: &str) {
        self.put(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" class="{class}"/>"#));
    }

    /// A ring: a dot of less weight.
    pub fn ring(&mut self, (x, y): Point, class: &str) {
        self.put(format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" class="{class}" style="fill-opacity:0;stroke-width:2"/>"#
        ));
    }

    /// The SVG: what was drawn down to `end`, and below it on what the figures were made.
    #[must_use]
    pub fn finish(mut self, end: f64, made_on: &str) -> String {
        self.text((20.0, end), Anchor::Start, "small", made_on);
        let height = end + 16.0;
        let Self { width, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\">\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n{body}</svg>\n"
        )
    }

    fn put(&mut self, mark: std::fmt::Arguments<'_>) {
        self.body.push_str(&mark.to_string());
        self.body.push('\n');
    }
}

/// Which colour a system has.
#[must_use]
pub fn class_of(system: &str) -> &'static str {
    if system.starts_with("Portcullis") {
        "ours"
    } else if system.starts_with("bare") {
        "bare"
    } else {
        "peer"
    }
}

/// A scale from a figure to a place on the sheet.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// Equal steps are equal differences.
    #[must_use]
    pub const fn linear((low, high): Point, (from, to): Point) -> Self {
        Self { low, high, from, to, logarithmic: false }
    }

    /// Equal steps are equal factors; `low` is above 0.
    #[must_use]
    pub const fn logarithmic((low, high): Point, (from, to): Point) -> Self {
        Self { low, high, from, to, logarithmic: true }
    }

    /// The place of `figure`, inside the scale.
    #[must_use]
    pub fn at(&self, figure: f64) -> f64 {
        let Self { low, high, from, to, logarithmic } = *self;
        let share = if logarithmic {
            (figure.max(low) / low).ln() / (high / low).ln().max(f64::MIN_POSITIVE)
        } else {
            (figure - low) / (high - low).max(f64::MIN_POSITIVE)
        };
        from + (to - from) * share.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Anchor, Canvas, Scale};

    #[test]
    fn what_is_written_is_escaped() {
        let mut canvas = Canvas::new(100.0, "a < b", "");
        canvas.text((0.0, 0.0), Anchor::End, "small", "R&D");
        let svg = canvas.finish(50.0, "");
        assert!(svg.contains("a &lt; b") && svg.contains("R&amp;D"), "{svg}");
    }

    #[test]
    fn scales_keep_to_the_sheet() {
        let linear = Scale::linear((0.0, 10.0), (100.0, 200.0));
        assert_eq!([0.0, 5.0, 20.0].map(|figure| linear.at(figure)), [100.0, 150.0, 200.0]);
        let factors = Scale::logarithmic((1.0, 100.0), (0.0, 100.0));
        assert!((factors.at(10.0) - 50.0).abs() < 1e-9);
        assert_eq!(factors.at(0.0), 0.0);
    }
}
