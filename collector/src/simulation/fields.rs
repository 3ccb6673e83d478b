//! A reading as a JSON object of the fields that expressions read. Samples and recordings consist of them. Pure.

use crate::reading::{Content, Failure, FileFacts, Numbers, Reading, Reason};
use crate::source::format::normal_text;
use crate::source::{Format, Kind, Source};
use agentcheck_common::BootTime;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The reading that these fields of a source describe, of a poll that was sent at `sent`.
///
/// # Errors
/// The wrong field, in one line.
pub fn reading(source: &Source, given: &Value, sent: BootTime) -> Result<Reading, String> {
    let Value::Object(fields) = given else {
        return Err("expected an object of fields, such as {\"value\": 3}".to_owned());
    };
    let mut reading = Reading::failed(sent, Duration::ZERO, Failure::new(Reason::Other, ""));
    let mut content = None;
    let mut error = None;
    let mut parts = BTreeMap::new();
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("json", document) => content = Some(Content::Json(document.clone())),
            ("rows", rows @ Value::Array(_)) => content = Some(Content::Rows(rows.clone())),
            ("value", Value::Number(value)) => content = value.as_f64().map(Content::Number),
            ("text", Value::String(text)) => {
                let text = text.clone();
                reading.text = Some(if source.raw_text {
                    text
                } else {
                    normal_text(text)
                });
            }
            ("metrics", Value::String(text)) => {
                let read = Format::Prometheus.read(text.as_bytes());
                content = Some(read.map_err(|failure| failure.to_string())?);
            }
            ("error", Value::String(reason)) => {
                let known = Reason::ALL
                    .iter()
                    .copied()
                    .find(|known| known.word() == reason);
                error = Some(known.ok_or_else(|| format!("unknown error {reason:?}"))?);
            }
            ("exists", Value::Bool(exists)) => {
                let mtime_age = fields.get("mtime_age").and_then(Value::as_f64);
                reading.file = Some(FileFacts {
                    exists: *exists,
                    mtime_age,
                });
            }
            // Belongs to `exists`.
            ("mtime_age", Value::Number(_)) => {}
            ("perf", Value::Object(numbers)) => {
                let numbers = numbers
                    .iter()
                    .filter_map(|(label, value)| Some((label.clone(), value.as_f64()?)));
                content = Some(Content::Perf(numbers.collect()));
            }
            ("latency", Value::Number(seconds)) => {
                let seconds = seconds.as_f64().unwrap_or(0.0);
                reading.latency = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            }
            ("status", Value::Number(status)) => {
                reading.status = status.as_u64().and_then(|status| status.try_into().ok());
            }
            ("exit", Value::Number(exit)) => {
                reading.exit = exit.as_i64().and_then(|exit| exit.try_into().ok());
            }
            // Belongs to `error`.
            ("detail", Value::String(_)) => {}
            (part, Value::Number(value)) => {
                parts.insert(part.to_owned(), value.as_f64().unwrap_or(0.0));
            }
            (field, _) => return Err(format!("invalid value of field {field:?}")),
        }
    }
    reading.outcome = match (error, content) {
        (Some(reason), _) => {
            let detail = fields.get("detail").and_then(Value::as_str);
            Err(Failure::new(reason, detail.unwrap_or_default()))
        }
        (None, Some(Content::Number(value))) if !parts.is_empty() => {
            let names: &[&str] = match &source.kind {
                Kind::System(metric) => metric.parts(),
                _ => &[],
            };
            if let Some(unknown) = parts.keys().find(|part| !names.contains(&part.as_str())) {
                return Err(format!("unknown field {unknown:?}"));
            }
            let parts = names
                .iter()
                .filter_map(|name| Some((*name, *parts.get(*name)?)))
                .collect();
            Ok(Content::Numbers(Numbers { value, parts }))
        }
        (None, Some(content)) => Ok(content),
        (None, None) if !parts.is_empty() => {
            return Err("parts without \"value\"".to_owned());
        }
        (None, None) => match (source.kind.format(), &reading.text) {
            // The text as it arrived, in the source's format.
            (Some(format), Some(text)) => format.read(text.as_bytes()),
            (_, Some(_)) => Ok(Content::Text),
            (_, None) => Ok(Content::Nothing),
        },
    };
    Ok(reading)
}

/// The fields of a reading, from which [`reading`] makes the same reading.
#[must_use]
pub fn of(reading: &Reading) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    set("latency", json!(reading.latency.as_secs_f64()));
    if let Some(status) = reading.status {
        set("status", json!(status));
    }
    if let Some(exit) = reading.exit {
        set("exit", json!(exit));
    }
    if let Some(file) = &reading.file {
        set("exists", json!(file.exists));
        if let Some(age) = file.mtime_age {
            set("mtime_age", json!(age));
        }
    }
    if let Some(text) = &reading.text {
        set("text", json!(text));
    }
    match &reading.outcome {
        Err(failure) => {
            set("error", json!(failure.reason.word()));
            set("detail", json!(failure.detail));
        }
        Ok(Content::Number(value)) if reading.text.is_none() => set("value", json!(value)),
        Ok(Content::Numbers(numbers)) => {
            set("value", json!(numbers.value));
            for (name, number) in &numbers.parts {
                set(name, json!(number));
            }
        }
        Ok(Content::Perf(numbers)) => set("perf", json!(numbers)),
        Ok(Content::Json(document)) if reading.text.is_none() => set("json", document.clone()),
        Ok(Content::Rows(rows)) if reading.text.is_none() => set("rows", rows.clone()),
        // The text contains everything.
        Ok(_) => {}
    }
    fields
}
