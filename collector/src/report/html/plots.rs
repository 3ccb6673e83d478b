//! The history of a service as a plot: its weight as a line, with bands while the server was out.

use super::words::shown;
use super::{Input, MOST_PLOTS, Service};
use crate::render::plot::{self, Band, Chart, Line, Panel};
use crate::render::text::{counted, printable};
use crate::simulation::replay::{state, weight};
use crate::status::history::{Entry, Event};
use agentcheck_common::Reply;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

/// The history of one service.
pub(super) struct Story<'d> {
    /// The entry in effect when the window began, and those in it; oldest first.
    pub(super) entries: Vec<&'d Entry>,
    /// The times without a collector.
    away: Rc<Vec<(f64, f64)>>,
}

impl Story<'_> {
    /// The time of the last entry.
    pub(super) fn last(&self) -> f64 {
        self.entries.last().map_or(0.0, |entry| entry.time)
    }
}

/// The window of time of all plots, in seconds since 1970.
fn window(input: &Input<'_>) -> (f64, f64) {
    (input.wall - input.since.as_secs_f64(), input.wall)
}

/// The histories, by service.
pub(super) fn stories<'d>(input: &Input<'d>) -> HashMap<&'d str, Story<'d>> {
    let (from, to) = window(input);
    let mut away = Vec::new();
    let mut stopped = None;
    let mut stories: HashMap<&'d str, Story<'d>> = HashMap::new();
    // If the wall clock was set back, entries of that time are skipped: lines never run back.
    let mut latest = f64::MIN;
    for entry in input.history {
        if !entry.time.is_finite() || entry.time > to || entry.time < latest {
            continue;
        }
        latest = entry.time;
        let Some(service) = &entry.service else {
            match (entry.event, stopped) {
                (Some(Event::Started), Some(at)) => {
                    away.push((at, entry.time));
                    stopped = None;
                }
                (Some(Event::Stopping), None) => stopped = Some(entry.time),
                _ => {}
            }
            continue;
        };
        let story = stories.entry(service).or_insert_with(|| Story {
            entries: Vec::new(),
            away: Rc::default(),
        });
        if entry.time < from {
            story.entries.clear();
        }
        story.entries.push(entry);
    }
    if !input.overview.liveness.is_present() {
        let last = input
            .overview
            .snapshot_times
            .map(|(_, at)| input.wall_of(at));
        away.extend(stopped.or(last).map(|at| (at, to)));
    }
    let away = Rc::new(away);
    for story in stories.values_mut() {
        story.away = away.clone();
    }
    stories
}

/// The legend, and a note about missing plots.
pub(super) fn legend(html: &mut String, input: &Input<'_>, services: &[Service<'_>]) {
    let plotted = services.iter().filter(|one| one.story.is_some()).count();
    if let Some(why) = input.history_error {
        let _ = writeln!(
            html,
            "<p class=\"note bad\">No plots: cannot read the history: {}.</p>",
            shown(why)
        );
    } else if plotted == 0 {
        html.push_str("<p>No plots: there is no history.</p>\n");
    } else {
        let _ = writeln!(
            html,
            "<p class=\"keys\">The line is the weight; behind it <span class=\"k-drain\">drain</span>\
             <span class=\"k-down\">down</span><span class=\"k-maint\">maint</span>\
             <span class=\"k-stale\">no collector</span></p>"
        );
    }
    if plotted >= MOST_PLOTS && services.len() > plotted {
        let _ = writeln!(
            html,
            "<p>Plots of the {} that changed last. <code>agentcheck history</code> lists all.</p>",
            counted(plotted, "service")
        );
    }
}

/// The plot of a service.
pub(super) fn draw(html: &mut String, input: &Input<'_>, name: &str, story: &Story<'_>) {
    let (from, to) = window(input);
    // The axis counts from midnight, so that its marks are at round times of the day.
    let midnight = (from / 86_400.0).floor() * 86_400.0;
    let at = |time: f64| time.clamp(from, to) - midnight;
    // Bands of the same kind within one pixel are merged.
    let pixel = (to - from) / 880.0;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut bands: Vec<Band> = Vec::new();
    let mut add = |kind: &'static str, begin: f64, end: f64| match bands.last_mut() {
        Some(last) if last.kind == kind && begin - last.to <= pixel => last.to = end,
        _ => bands.push(Band {
            from: begin,
            to: end,
            kind,
        }),
    };
    for (begin, end) in story.away.iter().filter(|(_, end)| *end > from) {
        add("stale", at(*begin), at(*end));
    }
    for (index, entry) in story.entries.iter().enumerate() {
        let Ok(reply) = Reply::parse(entry.reply.as_bytes()) else {
            continue;
        };
        let end = story.entries.get(index + 1).map_or(to, |next| next.time);
        points.push((at(entry.time), weight(&reply)));
        let state = state(&reply);
        if state != "up" {
            add(state, at(entry.time), at(end));
        }
    }
    let most = points.iter().map(|point| point.1).fold(100.0, f64::max);
    let chart = Chart {
        title: format!("{}: weight and state", printable(name)),
        time: (from - midnight, to - midnight),
        midnight: Some(0.0),
        panels: vec![Panel {
            label: "weight, %".to_owned(),
            range: Some((0.0, most)),
            lines: vec![Line {
                name: "weight".to_owned(),
                points,
                steps: true,
            }],
            bands,
        }],
    };
    let _ = writeln!(
        html,
        "<div class=\"scroll latest\" role=\"region\" tabindex=\"0\" aria-label=\"plot of {}\">\n{}</div>",
        shown(name),
        plot::element(&chart)
    );
}
