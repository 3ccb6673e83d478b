//! `agentcheck replay`: evaluates recorded readings with a configuration.

use super::{ConfigFile, Failed, Output, load_failure};
use crate::config::{self, Config};
use crate::decision::evaluate::DecisionSource;
use crate::render::plot::{self, Band, Chart, Line, Panel};
use crate::render::text::{counted, number, without_byte_order_mark};
use crate::simulation::recording;
use crate::simulation::replay::{Played, Track, play, weight};
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The width of plots in the terminal, in characters.
const WIDTH: usize = 72;

/// The largest recording that is read, in bytes.
const MAX_BYTES: usize = 512 << 20;

/// The permissions of the file of the plots.
const PLOT_MODE: u32 = 0o644;

#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    config: ConfigFile,
    /// Second configuration, to compare
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Write the plots to this SVG file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print every change of a weight, too
    #[arg(long)]
    all: bool,
    /// The file of `agentcheck record`
    #[arg(value_name = "RECORDING")]
    file: PathBuf,
}

/// Evaluates a recording with one configuration, or two.
pub(super) fn replay(given: &Replay) -> Result<Output, Failed> {
    let unreadable = |error: String| Failed(format!("{}: error: {error}\n", given.file.display()));
    let bytes = crate::sys::state_file::read_bounded(&given.file, MAX_BYTES)
        .map_err(|error| unreadable(format!("cannot read the recording: {error}")))?;
    let content = std::str::from_utf8(without_byte_order_mark(&bytes))
        .map_err(|_| unreadable("not UTF-8".to_owned()))?;
    let mut text = String::new();
    let mut sides = Vec::new();
    for file in [Some(&given.config.config), given.against.as_ref()]
        .into_iter()
        .flatten()
    {
        let (config, _) = config::load(file).map_err(|error| load_failure(&error))?;
        let recording = recording::read(&config.sources, content).map_err(unreadable)?;
        for name in &recording.unknown {
            let _ = writeln!(
                text,
                "{}: no source {name}; its readings are skipped",
                file.display()
            );
        }
        let played = play(&config, &recording);
        sides.push((label(file), config, played));
    }
    for (label, config, played) in &sides {
        if sides.len() > 1 {
            let _ = writeln!(text, "\n== {label}");
        }
        write_text(&mut text, config, played, given.all);
    }
    if let Some(svg) = &given.svg {
        let drawn = plot::document(&charts(&sides));
        super::report::replace(svg, PLOT_MODE, &drawn)
            .map_err(|error| Failed::new(format!("cannot write plot {error}")))?;
        let _ = writeln!(text, "\nplot written to {}", svg.display());
    }
    Ok(text.into())
}

fn label(file: &Path) -> String {
    file.file_stem().map_or_else(
        || file.display().to_string(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// The replies over time as text.
fn write_text(text: &mut String, config: &Config, played: &Played, all: bool) {
    let length = Duration::from_secs_f64(played.length.max(0.0).round());
    let _ = writeln!(
        text,
        "{}, {}",
        counted(played.readings, "reading"),
        humantime::format_duration(length)
    );
    for track in &played.tracks {
        let service = config
            .services
            .iter()
            .find(|service| service.name.as_str() == track.service);
        let _ = writeln!(
            text,
            "\n{}: {}",
            track.service,
            summary(track, played.length)
        );
        let mut last: Option<(&str, Option<String>)> = None;
        for point in &track.points {
            let by = service.map_or_else(String::new, |service| {
                crate::simulation::sample::decision_source(service, &point.decided)
            });
            // The plot shows the changes of a weight.
            let is_weight = matches!(point.decided, DecisionSource::Weight(_));
            let reason = (!is_weight).then(|| by.clone());
            let now = (point.state(), reason);
            if all || last.as_ref() != Some(&now) {
                let _ = writeln!(text, "  {:>10}  {} ({by})", stamp(point.at), point.reply);
            }
            last = Some(now);
        }
        draw(text, track, played.length);
    }
}

fn stamp(at: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // seconds of a recording
    let tenths = (at * 10.0).round() as u64;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    format!(
        "{}:{:02}:{:02}.{tenth}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The weight over time; 0 while the server is out.
fn weights(track: &Track) -> Vec<(f64, f64)> {
    track
        .points
        .iter()
        .map(|point| (point.at, weight(&point.reply)))
        .collect()
}

fn summary(track: &Track, length: f64) -> String {
    let weights = weights(track);
    if weights.is_empty() {
        return "no reply".to_owned();
    }
    let mut area = 0.0;
    for (index, (at, weight)) in weights.iter().enumerate() {
        let end = weights.get(index + 1).map_or(length, |next| next.0);
        area += weight * (end - at).max(0.0);
    }
    let first = weights.first().map_or(0.0, |first| first.0);
    let least = weights.iter().map(|point| point.1).fold(f64::MAX, f64::min);
    let most = weights.iter().map(|point| point.1).fold(0.0, f64::max);
    let changes = weights
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if (a.1 - b.1).abs() > 1e-9))
        .count();
    let states = track
        .points
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.state() != b.state()))
        .count();
    let span = length - first;
    let mut text = format!(
        "{} of state, {} of weight",
        counted(states, "change"),
        counted(changes, "change")
    );
    if span > 0.0 {
        let changes = f64::from(u32::try_from(changes).unwrap_or(u32::MAX));
        let a_minute = number((changes / span * 600.0).round() / 10.0);
        let mean = number((area / span).round());
        let _ = write!(
            text,
            " ({a_minute} a minute), {least:.0}% to {most:.0}%, mean {mean}%"
        );
    }
    text
}

/// Draws numbers, weight and state with block characters.
fn draw(text: &mut String, track: &Track, length: f64) {
    let time = (0.0, length.max(1e-9));
    let widest = track.numbers.keys().map(|name| name.chars().count()).max();
    let column = widest.unwrap_or(0).clamp(6, 24);
    let name = |name: &str| name.chars().take(column).collect::<String>();
    for (label, points) in &track.numbers {
        let values = || points.iter().map(|point| point.1);
        let low = values().fold(0.0, f64::min);
        let high = values().fold(f64::MIN, f64::max).max(low + 1e-9);
        let line = plot::spark(points, time, (low, high), WIDTH);
        let _ = writeln!(
            text,
            "  {:column$} {line} {} to {}",
            name(label),
            number(low),
            number(high)
        );
    }
    let line = plot::spark(&weights(track), time, (0.0, 100.0), WIDTH);
    let _ = writeln!(text, "  {:column$} {line} 0% to 100%", "weight");
    let states: Vec<(f64, &str)> = track
        .points
        .iter()
        .map(|point| (point.at, point.state()))
        .collect();
    let letters: String = plot::columns(&states, time, WIDTH)
        .map(|state| match state {
            Some("drain") => 'd',
            Some("down") => 'X',
            Some("maint") => 'm',
            Some(_) => '·',
            None => ' ',
        })
        .collect();
    let _ = writeln!(
        text,
        "  {:column$} {letters} d drain, X down, m maint",
        "state"
    );
}

fn charts(sides: &[(String, Config, Played)]) -> Vec<Chart> {
    let Some((_, _, first)) = sides.first() else {
        return Vec::new();
    };
    let time = (0.0, first.length.max(1.0));
    let tracks = first.tracks.iter().map(|track| {
        let of = |played: &'_ Played| {
            let same = |other: &&Track| other.service == track.service;
            played.tracks.iter().find(same).cloned()
        };
        let numbers = track.numbers.iter().map(|(label, points)| Panel {
            label: label.clone(),
            range: None,
            lines: vec![Line {
                name: label.clone(),
                points: points.clone(),
                steps: true,
            }],
            bands: Vec::new(),
        });
        let lines = sides.iter().filter_map(|(label, _, played)| {
            Some(Line {
                name: label.clone(),
                points: weights(&of(played)?),
                steps: true,
            })
        });
        let states = sides.iter().filter_map(|(label, _, played)| {
            let track = of(played)?;
            Some(Panel {
                label: match sides.len() {
                    1 => "weight, %".to_owned(),
                    _ => format!("out of service: {label}"),
                },
                range: Some((0.0, 100.0)),
                lines: Vec::new(),
                bands: bands(&track, time.1),
            })
        });
        let mut panels: Vec<Panel> = numbers.collect();
        if sides.len() == 1 {
            panels.extend(states.map(|panel| Panel {
                lines: lines.clone().collect(),
                ..panel
            }));
        } else {
            panels.push(Panel {
                label: "weight, %".to_owned(),
                range: Some((0.0, 100.0)),
                lines: lines.collect(),
                bands: Vec::new(),
            });
            panels.extend(states);
        }
        Chart {
            title: track.service.clone(),
            time,
            midnight: None,
            panels,
        }
    });
    tracks.collect()
}

/// The times when the server was out.
fn bands(track: &Track, end: f64) -> Vec<Band> {
    let points = track.points.iter().enumerate();
    points
        .filter(|(_, point)| point.state() != "up")
        .map(|(index, point)| Band {
            from: point.at,
            to: track.points.get(index + 1).map_or(end, |next| next.at),
            kind: point.state(),
        })
        .collect()
}
