//! Charts as SVG, made by hand: a few lines and marks need no library.
//!
//! White below, so that they are readable on pages of any colour.

use std::fmt::Write as _;

use crate::{
    record::{Curve, Line, Panel},
    rounds::{median, spread},
};

const WIDTH: f64 = 760.0;
const PANEL_HEIGHT: f64 = 230.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
/// Above a panel's frame, for its title and legend.
const TOP: f64 = 44.0;
/// Below it, for the values of x.
const BOTTOM: f64 = 28.0;
const COLOURS: [&str; 4] = ["#0b62a4", "#c8502d", "#2f7d3b", "#7a4ca0"];

/// A scale from values to places.
struct Scale {
    log: bool,
    from: f64,
    to: f64,
    place_from: f64,
    place_to: f64,
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        let part = match (self.log, self.to - self.from) {
            (true, _) => (value.max(1e-9) / self.from).ln() / (self.to / self.from).ln().max(1e-9),
            (false, range) => (value - self.from) / range.max(1e-9),
        };
        self.place_from + part * (self.place_to - self.place_from)
    }

    /// Where the axis says a value: a few round ones.
    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let decades = self.from.log10().floor() as i32..=self.to.log10().ceil() as i32;
            let ticks = decades.map(|decade| 10_f64.powi(decade));
            return ticks.filter(|tick| *tick >= self.from * 0.999 && *tick <= self.to * 1.001).collect();
        }
        let raw = (self.to - self.from) / 5.0;
        let power = 10_f64.powf(raw.max(1e-9).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= raw);
        let step = step.unwrap_or(raw);
        let first = (self.from / step).ceil() as i64;
        (first..).map(|number| number as f64 * step).take_while(|tick| *tick <= self.to * 1.000_001).collect()
    }
}

/// The chart of a curve, its panels above each other.
pub(crate) fn svg(title: &str, curve: &Curve) -> String {
    let height = curve.panels.len() as f64 * (PANEL_HEIGHT + TOP + BOTTOM) + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
        text(title)
    );
    for (index, panel) in curve.panels.iter().enumerate() {
        let top = index as f64 * (PANEL_HEIGHT + TOP + BOTTOM) + TOP;
        draw(&mut svg, curve, panel, top);
    }
    let (x, y) = (f64::midpoint(LEFT, WIDTH - RIGHT), height - 12.0);
    write(
        &mut svg,
        &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#333\">{}</text>", text(&curve.x)),
    );
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, curve: &Curve, panel: &Panel, top: f64) {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let xs: Vec<f64> = points().map(|(x, _)| *x).collect();
    let ys: Vec<f64> = points().flat_map(|(_, values)| values.iter().copied()).collect();
    let ((x_min, x_max), (_, y_max)) = (spread(&xs), spread(&ys));
    let (left, right, bottom) = (LEFT, WIDTH - RIGHT, top + PANEL_HEIGHT);
    let x_from = if curve.log_x { x_min.max(1e-9) } else { 0.0 };
    let x = Scale { log: curve.log_x, from: x_from, to: x_max.max(x_from + 1e-9), place_from: left, place_to: right };
    // From zero, so that a flat line looks flat and a small difference small.
    let y = Scale { log: false, from: 0.0, to: y_max.max(1e-9) * 1.08, place_from: bottom, place_to: top };

    for tick in y.ticks() {
        let at = y.place(tick);
        write(svg, &format!("<path d=\"M{left} {at:.1}H{right}\" stroke=\"#dddddd\"/>"));
        let (label_x, label_y) = (left - 6.0, at + 4.0);
        let label = short(tick);
        write(
            svg,
            &format!("<text x=\"{label_x}\" y=\"{label_y:.1}\" text-anchor=\"end\" fill=\"#333\">{label}</text>"),
        );
    }
    for tick in x.ticks() {
        let (at, label_y, label) = (x.place(tick), bottom + 16.0, short(tick));
        write(svg, &format!("<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#eeeeee\"/>"));
        write(svg, &format!("<text x=\"{at:.1}\" y=\"{label_y}\" text-anchor=\"middle\" fill=\"#333\">{label}</text>"));
    }
    write(svg, &format!("<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#333\"/>"));
    let title_y = top - 24.0;
    write(
        svg,
        &format!("<text x=\"{left}\" y=\"{title_y}\" font-weight=\"bold\" fill=\"#111\">{}</text>", text(&panel.unit)),
    );
    let mut legend_x = left;
    for (line, colour) in panel.lines.iter().zip(COLOURS.iter().cycle()) {
        draw_line(svg, line, &x, &y, colour);
        let (mark_y, label_x, label_y) = (top - 12.0, legend_x + 22.0, top - 8.0);
        let mark_end = legend_x + 18.0;
        write(svg, &format!("<path d=\"M{legend_x} {mark_y}H{mark_end}\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        write(svg, &format!("<text x=\"{label_x}\" y=\"{label_y}\" fill=\"#333\">{}</text>", text(&line.label)));
        legend_x = label_x + line.label.chars().count() as f64 * 6.6 + 20.0;
    }
}

/// The medians as a line, and from the least to the greatest value a bar.
fn draw_line(svg: &mut String, line: &Line, x: &Scale, y: &Scale, colour: &str) {
    let mut path = String::new();
    for (value, values) in &line.points {
        let (at, middle) = (x.place(*value), y.place(median(values)));
        let (least, most) = spread(values);
        let _ = write!(path, "{}{at:.1} {middle:.1}", if path.is_empty() { 'M' } else { 'L' });
        write(svg, &format!("<circle cx=\"{at:.1}\" cy=\"{middle:.1}\" r=\"3\" fill=\"{colour}\"/>"));
        if values.len() > 1 {
            let (low, high) = (y.place(least), y.place(most));
            write(svg, &format!("<path d=\"M{at:.1} {low:.1}V{high:.1}\" stroke=\"{colour}\" stroke-width=\"1\"/>"));
        }
    }
    write(svg, &format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
}

fn write(svg: &mut String, element: &str) {
    svg.push_str(element);
    svg.push('\n');
}

fn text(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number as one says it: 1.2 M, 64 k, 0.35.
pub(crate) fn short(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, " M"),
        size if size >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let number = format!("{scaled:.digits$}");
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{suffix}")
}
