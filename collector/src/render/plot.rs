//! Plots over time: as SVG with its own style for light and dark, and as a line of block characters in a
//! terminal (`terminal`). Pure.

mod terminal;

pub use terminal::{columns, spark};

use std::fmt::Write as _;

/// Several panels over one time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// Start and end, in seconds.
    pub time: (f64, f64),
    /// The label of second 0 on the axis, in seconds since midnight; `None` counts from 0.
    pub midnight: Option<f64>,
    /// From top to bottom.
    pub panels: Vec<Panel>,
}

/// One panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its subject.
    pub label: String,
    /// The range of its axis; `None` takes that of the lines.
    pub range: Option<(f64, f64)>,
    /// Its lines, each in its own colour.
    pub lines: Vec<Line>,
    /// Highlighted stretches of time.
    pub bands: Vec<Band>,
}

/// Numbers over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its label, shown where a panel has several lines.
    pub name: String,
    /// Seconds and numbers, in order.
    pub points: Vec<(f64, f64)>,
    /// Whether a number lasts until the next one.
    pub steps: bool,
}

/// A stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Its first second.
    pub from: f64,
    /// Its last second.
    pub to: f64,
    /// Its kind: `drain`, `down`, `maint` and `stale` have colours.
    pub kind: &'static str,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const PANEL: f64 = 110.0;
const GAP: f64 = 34.0;
const BOTTOM: f64 = 30.0;
/// The width of a label of the time axis.
const LABEL: f64 = 52.0;

/// The style of all charts, for the SVG and for pages with several.
pub const STYLE: &str = "\
.plot{background:#fff;color:#1f2328;font:12px system-ui,sans-serif}\
.plot text{fill:currentColor}.plot .title{font-size:15px;font-weight:600}\
.plot .axis{stroke:#d0d7de;stroke-width:1}.plot .tick{fill:#59636e;font-size:11px}\
.plot .line{fill:none;stroke-width:1.5;stroke-linejoin:round}\
.plot .c0{stroke:#0969da}.plot .c1{stroke:#bf3989}.plot .c2{stroke:#1a7f37}.plot .c3{stroke:#9a6700}\
.plot text.c0{fill:#0969da;stroke:none}.plot text.c1{fill:#bf3989;stroke:none}\
.plot text.c2{fill:#1a7f37;stroke:none}.plot text.c3{fill:#9a6700;stroke:none}\
.plot .drain{fill:#9a670033}.plot .down{fill:#cf222e40}.plot .maint{fill:#59636e40}\
.plot .stale{fill:#8250df2e}\
@media(prefers-color-scheme:dark){.plot{background:#0d1117;color:#e6edf3}\
.plot .axis{stroke:#30363d}.plot .tick{fill:#9198a1}\
.plot .c0{stroke:#4493f8}.plot .c1{stroke:#db61a2}.plot .c2{stroke:#3fb950}.plot .c3{stroke:#d29922}\
.plot text.c0{fill:#4493f8}.plot text.c1{fill:#db61a2}.plot text.c2{fill:#3fb950}\
.plot text.c3{fill:#d29922}\
.plot .drain{fill:#d2992240}.plot .down{fill:#f8514959}.plot .maint{fill:#9198a140}\
.plot .stale{fill:#ab7df840}}";

/// One SVG document with all charts, one below the other.
#[must_use]
pub fn document(charts: &[Chart]) -> String {
    let height: f64 = charts.iter().map(height).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\"><style>{STYLE}</style>\n"
    );
    let mut top = 0.0;
    for chart in charts {
        draw(&mut svg, chart, top);
        top += self::height(chart);
    }
    svg.push_str("</svg>\n");
    svg
}

/// One chart as an element of a page that has [`STYLE`].
#[must_use]
pub fn element(chart: &Chart) -> String {
    let height = height(chart);
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
        escaped(&chart.title)
    );
    draw(&mut svg, chart, 0.0);
    svg.push_str("</svg>\n");
    svg
}

fn height(chart: &Chart) -> f64 {
    let panels = u32::try_from(chart.panels.len()).unwrap_or(1);
    // No gap below the last one.
    TOP + f64::from(panels) * (PANEL + GAP) - GAP + BOTTOM
}

/// Any text, as text of an HTML or SVG document.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut shown = String::new();
    for character in super::text::printable(text).chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            other => shown.push(other),
        }
    }
    shown
}

/// The horizontal position of a moment.
fn across(time: (f64, f64), at: f64) -> f64 {
    let length = (time.1 - time.0).max(1e-9);
    LEFT + ((at - time.0) / length).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

// Writing to a String cannot fail.
fn draw(svg: &mut String, chart: &Chart, top: f64) {
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{}</text>",
        top + 20.0,
        escaped(&chart.title)
    );
    let mut y = top + TOP;
    for panel in &chart.panels {
        draw_panel(svg, chart, panel, y);
        y += PANEL + GAP;
    }
    let base = y - GAP;
    for at in ticks(chart.time, 8) {
        let x = across(chart.time, at);
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{base:.1}\"/>\
             <text class=\"tick\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            base - 4.0,
            x.min(WIDTH - LABEL / 2.0),
            base + 16.0,
            clock(chart, at)
        );
    }
}

fn draw_panel(svg: &mut String, chart: &Chart, panel: &Panel, top: f64) {
    let (low, high) = panel.range.unwrap_or_else(|| range(&panel.lines));
    let bottom = top + PANEL;
    let up = |value: f64| bottom - ((value - low) / (high - low)).clamp(0.0, 1.0) * PANEL;
    for band in &panel.bands {
        let (from, to) = (across(chart.time, band.from), across(chart.time, band.to));
        let _ = writeln!(
            svg,
            "<rect class=\"{}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PANEL}\">\
             <title>{}</title></rect>",
            band.kind,
            (to - from).max(0.5),
            band.kind
        );
    }
    for value in [low, f64::midpoint(low, high), high] {
        let y = up(value);
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            short(value)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\">{}</text>",
        top - 6.0,
        escaped(&panel.label)
    );
    for (index, line) in panel.lines.iter().enumerate() {
        let colour = index % 4;
        if panel.lines.len() > 1 {
            let right = u32::try_from(panel.lines.len() - index).unwrap_or(1);
            let _ = writeln!(
                svg,
                "<text class=\"c{colour}\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT - f64::from(right - 1) * 170.0,
                top - 6.0,
                escaped(&line.name)
            );
        }
        let mut path = String::new();
        let mut last: Option<(f64, f64)> = None;
        for (at, value) in thinned(&line.points, chart.time) {
            let (x, y) = (across(chart.time, at), up(value));
            let _ = match last {
                None => write!(path, "M{x:.1} {y:.1}"),
                Some((_, before)) if line.steps => {
                    write!(path, "L{x:.1} {before:.1}L{x:.1} {y:.1}")
                }
                Some(_) => write!(path, "L{x:.1} {y:.1}"),
            };
            last = Some((x, y));
        }
        if let Some((_, y)) = last.filter(|_| line.steps) {
            let _ = write!(path, "L{:.1} {y:.1}", across(chart.time, chart.time.1));
        }
        let _ = writeln!(svg, "<path class=\"line c{colour}\" d=\"{path}\"/>");
    }
}

/// As many points as are visible: of those in one pixel the first, the smallest, the largest and the last.
fn thinned(points: &[(f64, f64)], time: (f64, f64)) -> Vec<(f64, f64)> {
    let mut shown: Vec<(f64, f64)> = Vec::new();
    let mut pixel: Vec<(f64, f64)> = Vec::new();
    let mut at_pixel = f64::MIN;
    let mut flush = |pixel: &mut Vec<(f64, f64)>| {
        let least = pixel.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let most = pixel.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        let mut kept: Vec<(f64, f64)> =
            [pixel.first().copied(), least, most, pixel.last().copied()]
                .into_iter()
                .flatten()
                .collect();
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept.dedup();
        shown.append(&mut kept);
        pixel.clear();
    };
    for point in points {
        let pixel_of = across(time, point.0).floor();
        if pixel_of > at_pixel {
            flush(&mut pixel);
            at_pixel = pixel_of;
        }
        pixel.push(*point);
    }
    flush(&mut pixel);
    shown
}

/// The smallest and largest value; a constant gets some room.
fn range(lines: &[Line]) -> (f64, f64) {
    let values = || {
        lines
            .iter()
            .flat_map(|line| line.points.iter().map(|point| point.1))
    };
    let low = values().reduce(f64::min).unwrap_or(0.0).min(0.0);
    let high = values().reduce(f64::max).unwrap_or(1.0);
    if high - low > 1e-12 {
        (low, high)
    } else {
        (low, low + 1.0)
    }
}

/// Round moments, at most `most` and a few.
fn ticks(time: (f64, f64), most: u32) -> Vec<f64> {
    const STEPS: [f64; 17] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
        21600.0, 43200.0, 86400.0,
    ];
    let length = (time.1 - time.0).max(1.0);
    let wanted = length / f64::from(most);
    let days = (wanted / 86400.0).ceil() * 86400.0;
    let step = STEPS
        .into_iter()
        .find(|step| *step >= wanted)
        .unwrap_or(days);
    let first = (time.0 / step).ceil();
    (0..=most + 1)
        .map(|index| (first + f64::from(index)) * step)
        .filter(|at| *at <= time.1)
        .collect()
}

/// A moment on the axis.
fn clock(chart: &Chart, at: f64) -> String {
    let seconds = at + chart.midnight.unwrap_or(0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few years of seconds
    let seconds = seconds.max(0.0) as u64;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match chart.midnight {
        Some(_) => format!("{:02}:{minutes:02}:{rest:02}", hours % 24),
        None if hours > 0 => format!("{hours}:{minutes:02}:{rest:02}"),
        None => format!("{minutes}:{rest:02}"),
    }
}

fn short(value: f64) -> String {
    let magnitude = value.abs();
    let (base, unit) = if magnitude >= 1e9 {
        (1e9, "G")
    } else if magnitude >= 1e6 {
        (1e6, "M")
    } else if magnitude >= 1e4 {
        (1e3, "k")
    } else {
        return ((value * 100.0).round() / 100.0).to_string();
    };
    format!("{}{unit}", (value / base * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "web <1>".to_owned(),
            time: (0.0, 600.0),
            midnight: None,
            panels: vec![Panel {
                label: "weight & more".to_owned(),
                range: Some((0.0, 100.0)),
                lines: vec![Line {
                    name: "a".to_owned(),
                    points,
                    steps: true,
                }],
                bands: vec![Band {
                    from: 60.0,
                    to: 120.0,
                    kind: "drain",
                }],
            }],
        }
    }

    #[test]
    fn document_has_the_points_and_escapes_markup() {
        let svg = document(&[chart(vec![(0.0, 100.0), (300.0, 50.0)])]);
        assert!(svg.contains("web &lt;1&gt;") && svg.contains("weight &amp; more"));
        assert!(svg.contains("class=\"drain\" x=\"152.0\""), "{svg}");
        // From the left edge at the top, to the middle, down by half, to the right edge.
        assert!(
            svg.contains("d=\"M64.0 44.0L504.0 44.0L504.0 99.0L944.0 99.0\""),
            "{svg}"
        );
        assert!(svg.contains(">4:00</text>"), "{svg}");
        // The panel ends at 154; below it is only the axis.
        assert!(svg.contains("width=\"960\" height=\"184\""), "{svg}");
        assert!(svg.contains("y2=\"154.0\"/>"), "{svg}");
    }

    #[test]
    fn labels_of_the_time_axis_are_within_the_picture() {
        for end in [60.0, 3600.0, 3601.0, 21_600.0, 86_400.0, 2_600_000.0] {
            let chart = Chart {
                time: (0.0, end),
                ..chart(vec![(0.0, 1.0), (end, 2.0)])
            };
            let svg = element(&chart);
            let labels = svg.split("text-anchor=\"middle\" x=\"").skip(1);
            let places: Vec<f64> = labels
                .map(|label| label.split('"').next().unwrap().parse().unwrap())
                .collect();
            assert!(places.len() >= 2, "{svg}");
            let inside = (LABEL / 2.0)..=(WIDTH - LABEL / 2.0);
            assert!(
                places.iter().all(|place| inside.contains(place)),
                "{places:?}"
            );
        }
    }

    #[test]
    fn many_points_are_thinned_to_pixels() {
        let points: Vec<(f64, f64)> = (0..100_000_u32)
            .map(|at| (f64::from(at) * 0.006, f64::from(at % 100)))
            .collect();
        let thin = thinned(&points, (0.0, 600.0));
        assert!(thin.len() < 4000, "{}", thin.len());
        assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        let most = thin.iter().map(|point| point.1).fold(0.0, f64::max);
        assert!((most - 99.0).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            ticks((0.0, 600.0), 8),
            [0.0, 120.0, 240.0, 360.0, 480.0, 600.0]
        );
        assert_eq!(ticks((0.0, 0.0), 8), [0.0]);
        assert!(ticks((0.0, 3e7), 8).len() <= 10);
        assert_eq!(short(12_300.0), "12.3k");
        assert_eq!(short(2e9), "2G");
    }
}
