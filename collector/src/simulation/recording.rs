//! Recorded readings: one line of JSON each, with the seconds since the recording began, the source, and the
//! fields that expressions see. Pure.
//!
//! ```json
//! {"recording":1,"began":"2026-11-21T10:00:00Z"}
//! {"t":0.031,"source":"app","reading":{"latency":0.004,"status":200,"text":"{\"load\": 12}"}}
//! {"t":0.112,"source":"cpu","reading":{"value":31.5}}
//! ```
//!
//! You can write a recording by hand, or convert one of another system.

use crate::config::SourceId;
use crate::reading::Reading;
use crate::simulation::fields;
use crate::source::Source;
use agentcheck_common::BootTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// The version of the format.
pub const VERSION: u32 = 1;

/// The longest recording, in seconds: a year.
const LONGEST: f64 = 366.0 * 86_400.0;

/// When recordings begin on the clock of a replay. The boot is old enough for any age.
pub const BEGINNING: BootTime = BootTime(1_000_000_000_000_000);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    recording: u32,
    #[serde(default)]
    began: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    t: f64,
    source: String,
    reading: Map<String, Value>,
}

/// One reading of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedReading {
    /// Its source.
    pub source: SourceId,
    /// The reading, on the clock that begins at [`BEGINNING`].
    pub reading: Reading,
}

impl RecordedReading {
    /// When the reading arrived.
    #[must_use]
    pub fn arrived(&self) -> BootTime {
        self.reading.sent.after(self.reading.latency)
    }
}

/// The readings of a recording for the sources of a configuration.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Recording {
    /// Seconds since 1970 at the beginning, if the recording has them.
    pub began: Option<f64>,
    /// In order of arrival.
    pub readings: Vec<RecordedReading>,
    /// Sources of the recording that the configuration does not have.
    pub unknown: Vec<String>,
}

/// The first line of a recording that began at `began`, without its newline.
#[must_use]
pub fn head(began: &str) -> String {
    let head = Head {
        recording: VERSION,
        began: began.to_owned(),
    };
    // Both fields can always be written.
    serde_json::to_string(&head).unwrap_or_default()
}

/// The line of one reading of a recording that began at `began`, without its newline.
#[must_use]
pub fn line(source: &str, reading: &Reading, began: BootTime) -> String {
    let line = Line {
        t: reading.sent.since(began).as_secs_f64(),
        source: source.to_owned(),
        reading: fields::of(reading),
    };
    // Keys are strings and numbers are finite, so this cannot fail.
    serde_json::to_string(&line).unwrap_or_default()
}

/// Reads a recording for the sources of a configuration.
///
/// # Errors
/// The first wrong line, with its number.
pub fn read(sources: &[Source], text: &str) -> Result<Recording, String> {
    let mut recording = Recording::default();
    let mut lines = text.lines().enumerate();
    let head: Head = match lines.next() {
        Some((_, line)) => {
            serde_json::from_str(line).map_err(|error| format!("line 1: no recording: {error}"))?
        }
        None => return Err("line 1: no recording: the file is empty".to_owned()),
    };
    if head.recording != VERSION {
        let version = head.recording;
        return Err(format!(
            "line 1: version {version}, this program knows {VERSION}"
        ));
    }
    let began = humantime::parse_rfc3339(&head.began).ok();
    let began = began.and_then(|began| began.duration_since(std::time::UNIX_EPOCH).ok());
    recording.began = began.map(|began| began.as_secs_f64());
    for (index, text) in lines {
        if text.trim().is_empty() {
            continue;
        }
        let wrong = |why: String| format!("line {}: {why}", index + 1);
        let line: Line = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if !(0.0..=LONGEST).contains(&line.t) {
            return Err(wrong(
                "invalid t: write seconds, from 0 to a year".to_owned(),
            ));
        }
        let Some(at) = sources.iter().position(|source| source.name == line.source) else {
            if !recording.unknown.contains(&line.source) {
                recording.unknown.push(line.source);
            }
            continue;
        };
        let sent = BEGINNING.after(Duration::from_secs_f64(line.t));
        let given = Value::Object(line.reading);
        let reading = match sources.get(at) {
            Some(source) => fields::reading(source, &given, sent).map_err(wrong)?,
            None => continue,
        };
        recording.readings.push(RecordedReading {
            source: SourceId(at),
            reading,
        });
    }
    recording.readings.sort_by_key(RecordedReading::arrived);
    Ok(recording)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Content, Failure, FileFacts, Numbers, Reason};
    use std::collections::BTreeMap;
    use std::path::Path;

    const CONFIG: &str = r#"
[source.app.http]
url = "http://127.0.0.1:1/"
format = "json"
[source.metrics.file]
path = "/m"
format = "prometheus"
[source.plain.command]
argv = ["/x"]
[source.plugin.command]
argv = ["/x"]
format = "nagios"
[source.count.file]
path = "/n"
format = "number"
[source.memory.system]
metric = "memory"
[source.port.tcp]
address = "127.0.0.1:1"
[service.web]
weight = "app.json.a + metrics.metrics('m')[0] + plain.text.size() + plugin.perf.x + count.value + memory.value + (port.ok ? 1 : 0)"
"#;

    #[test]
    fn written_recording_is_read_back() {
        let (config, _) = crate::config::parse(Path::new("c"), CONFIG).unwrap();
        let at = |seconds: u64| BEGINNING.after(Duration::from_secs(seconds));
        let good = |sent, text: Option<&str>, outcome: Content| Reading {
            text: text.map(str::to_owned),
            latency: Duration::from_millis(20),
            outcome: Ok(outcome),
            ..Reading::failed(sent, Duration::ZERO, Failure::new(Reason::Other, ""))
        };
        let metrics = "m 1\nm{a=\"b\"} 2";
        let scrape = crate::source::Format::Prometheus.read(metrics.as_bytes());
        let readings = [
            (
                0,
                good(
                    at(0),
                    Some("{\"a\": 1}"),
                    Content::Json(serde_json::json!({"a": 1})),
                ),
            ),
            (1, good(at(1), Some(metrics), scrape.unwrap())),
            (2, good(at(2), Some("a\n# b\u{1b}"), Content::Text)),
            (
                3,
                good(
                    at(3),
                    Some("OK"),
                    Content::Perf(BTreeMap::from([("x".to_owned(), 2.5)])),
                ),
            ),
            (4, good(at(4), Some("7"), Content::Number(7.0))),
            (
                5,
                good(
                    at(5),
                    None,
                    Content::Numbers(Numbers {
                        value: 12.5,
                        parts: vec![("total", 100.0), ("available", 87.5)],
                    }),
                ),
            ),
            (6, good(at(6), None, Content::Nothing)),
            (
                0,
                Reading {
                    status: Some(503),
                    text: Some("busy".to_owned()),
                    ..Reading::failed(
                        at(7),
                        Duration::from_millis(5),
                        Failure::new(Reason::Status, "503"),
                    )
                },
            ),
            (
                4,
                Reading {
                    file: Some(FileFacts {
                        exists: false,
                        mtime_age: None,
                    }),
                    ..Reading::failed(at(8), Duration::ZERO, Failure::new(Reason::Missing, "n"))
                },
            ),
        ];
        let mut text = head("2026-11-21T10:00:00Z");
        for (source, reading) in &readings {
            text.push('\n');
            text.push_str(&line(&config.sources[*source].name, reading, BEGINNING));
        }
        let read = read(&config.sources, &text).unwrap();
        let expected = readings.map(|(source, reading)| RecordedReading {
            source: SourceId(source),
            reading,
        });
        assert_eq!(read.readings, expected);
    }

    #[test]
    fn wrong_line_is_reported_with_its_number() {
        let (config, _) = crate::config::parse(Path::new("c"), CONFIG).unwrap();
        let fault = |text: &str| read(&config.sources, text).unwrap_err();
        assert!(fault("").starts_with("line 1: no recording"));
        assert!(fault("{\"recording\":2}").starts_with("line 1: version 2"));
        let wrong = |line: &str| fault(&format!("{{\"recording\":1}}\n\n{line}\n"));
        assert!(wrong("{").starts_with("line 3: EOF"));
        assert!(
            wrong("{\"t\":-1,\"source\":\"app\",\"reading\":{}}").starts_with("line 3: invalid t")
        );
        let strange = wrong("{\"t\":1,\"source\":\"app\",\"reading\":{\"error\":\"no\"}}");
        assert_eq!(strange, "line 3: unknown error \"no\"");
        let other = "{\"recording\":1}\n{\"t\":1,\"source\":\"other\",\"reading\":{}}\n";
        let read = read(&config.sources, other).unwrap();
        assert_eq!(
            (read.readings.len(), read.unknown),
            (0, vec!["other".to_owned()])
        );
    }
}
