//! The keys of each section: type, range, default and meaning. Parsing, the known keys in error messages, the
//! tables of docs/configuration and the check of examples/reference.toml follow from these tables.

use crate::expression::Type;
use crate::filters::capacity::MAX_HEADROOM_EXPONENT;
use agentcheck_common::Maxconn;
use std::fmt;
use std::time::Duration;

/// The keys of one kind of table in the configuration.
pub(super) struct Section {
    /// The table as an operator writes it, such as `[service.NAME]`.
    pub(super) header: &'static str,
    /// Its keys, in the order of the manual.
    pub(super) settings: &'static [Setting],
    /// Keys of other programs, and the key that replaces each.
    pub(super) synonyms: &'static [(&'static str, &'static str)],
}

/// One key.
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Preset,
    /// A value for error messages, as TOML.
    pub(super) example: &'static str,
    /// What it means, for the manual, which a test compares; Markdown.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) doc: &'static str,
}

/// Which values a key accepts.
pub(super) enum Kind {
    /// A duration between two others, in milliseconds.
    Duration(u64, u64),
    /// A duration between two others, in milliseconds, or `"0s"`, which turns it off.
    DurationOrOff(u64, u64),
    /// An integer between two others, and its unit.
    Integer(i64, i64, &'static str),
    /// A number between two others, and its unit.
    Number(f64, f64, &'static str),
    /// One of these words.
    Words(&'static [&'static str]),
    /// An expression with a result of this type.
    Expression(Type),
    /// A value that its own parser checks; described for the manual.
    Other(&'static str),
}

/// The value of a key that is absent.
pub(super) enum Preset {
    /// This value, as TOML.
    Value(&'static str),
    /// There is none: the key is required.
    Required,
    /// Described for the manual.
    Words(&'static str),
}

impl Section {
    pub(super) fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.settings.iter().map(|setting| setting.key)
    }
}

impl Setting {
    /// The shortest and the longest duration.
    pub(super) fn durations(&self) -> (Duration, Duration) {
        match self.kind {
            Kind::Duration(least, most) => {
                (Duration::from_millis(least), Duration::from_millis(most))
            }
            Kind::DurationOrOff(_, most) => (Duration::ZERO, Duration::from_millis(most)),
            _ => (Duration::ZERO, Duration::MAX),
        }
    }

    /// The default, as TOML.
    pub(super) fn value(&self) -> Option<&'static str> {
        match self.default {
            Preset::Value(text) => Some(text),
            Preset::Required | Preset::Words(_) => None,
        }
    }

    /// The default of a duration.
    pub(super) fn default_duration(&self) -> Option<Duration> {
        humantime::parse_duration(self.value()?.trim_matches('"')).ok()
    }

    /// The default of a number.
    pub(super) fn default_number(&self) -> Option<f64> {
        self.value()?.parse().ok()
    }
}

/// A duration in milliseconds as the manual writes it.
fn span(milliseconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute")];
    for (unit, name) in UNITS {
        let count = milliseconds / unit;
        if count > 0 && milliseconds.is_multiple_of(unit) {
            return format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        }
    }
    match milliseconds % 1000 {
        0 => format!("{} s", milliseconds / 1000),
        _ => format!("{milliseconds} ms"),
    }
}

impl fmt::Display for Kind {
    /// As the manual writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let united = |unit: &str| match unit {
            "" => String::new(),
            unit => format!(" {unit}"),
        };
        match self {
            Self::Duration(0, most) => write!(f, "duration, up to {}", span(*most)),
            Self::Duration(least, most) => {
                write!(f, "duration, {} to {}", span(*least), span(*most))
            }
            Self::DurationOrOff(least, most) => {
                let (least, most) = (span(*least), span(*most));
                write!(f, "duration, {least} to {most}; `\"0s\"` is off")
            }
            Self::Integer(least, most, unit) if *most == i64::from(Maxconn::MAX) => {
                write!(f, "integer, at least {least}{}", united(unit))
            }
            Self::Integer(least, most, unit) => {
                write!(f, "integer, {least} to {most}{}", united(unit))
            }
            Self::Number(least, most, unit) => {
                write!(f, "number, {least} to {most}{}", united(unit))
            }
            Self::Words(words) => f.write_str(&alternatives(words, "`\"", "\"`")),
            Self::Expression(Type::Unknown) => f.write_str("expression, number or text"),
            Self::Expression(Type::Number) => f.write_str("expression, number"),
            Self::Expression(result) => write!(f, "expression, {result}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Preset {
    /// As the manual writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(text) if text.starts_with('"') => write!(f, "`{text}`"),
            Self::Value(text) | Self::Words(text) => f.write_str(text),
            Self::Required => f.write_str("required"),
        }
    }
}

/// `a, b or c`, each between `open` and `close`.
pub(super) fn alternatives(words: &[&str], open: &str, close: &str) -> String {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| format!("{open}{word}{close}"))
        .collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: Preset,
    example: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        key,
        kind,
        default,
        example,
        doc,
    }
}

use Kind::{Duration as Span, DurationOrOff, Expression, Integer, Number, Other, Words};
use Preset::{Required, Value};
use Type::{Number as Num, Truth, Unknown as Any};

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const MONTH: u64 = 30 * 24 * HOUR;
const OFF: Preset = Preset::Words("off");
const NONE: Preset = Preset::Words("none");
const KEEP: Preset = Value("\"keep\"");
const ADMIN: Kind = Words(&["preserve", "manage"]);
const ABSOLUTE: Kind = Other("absolute path");
const EXPIRY: Kind = Other("`\"keep\"`, `\"restore\"`, or a reply except `\"full\"`");

/// The top of a file.
#[rustfmt::skip] // one row for each key
pub(super) const TOP: Section = Section {
    header: "the top level",
    settings: &[
        setting("maintenance_file", ABSOLUTE, NONE, "\"/etc/agentcheck/maintenance\"", "while this file exists, all services are in maintenance"),
        setting("timezone", Other("name in the time zone database"), Value("\"UTC\""), "\"Europe/Berlin\"", "time zone of [`clock`](expressions.md#clock) in expressions"),
        setting("source", Other("tables"), NONE, "", "[sources](sources.md)"),
        setting("derive", Other("tables"), NONE, "", "[derived numbers](expressions.md#derived-numbers)"),
        setting("service", Other("tables"), NONE, "", "[services](services-and-rules.md)"),
        setting("metrics", Other("table"), NONE, "", "the [metrics file](#metrics-file)"),
        setting("page", Other("table"), NONE, "", "the [web page](#web-page)"),
    ],
    synonyms: &[("sources", "source"), ("services", "service"), ("rule", "service.NAME.rule"), ("rules", "service.NAME.rule"), ("server", "service"), ("backend", "service")],
};

/// `[metrics]`
#[rustfmt::skip] // one row for each key
pub(super) const METRICS: Section = Section {
    header: "[metrics]",
    settings: &[
        setting("textfile", Other("absolute path, ends in `.prom`"), Required, "\"/run/agentcheck/agentcheck.prom\"", "the file; the shipped unit may write below `/run/agentcheck`"),
        setting("interval", Span(SECOND, HOUR), Value("\"15s\""), "\"15s\"", "time between two writes"),
    ],
    synonyms: &[("file", "textfile"), ("path", "textfile"), ("every", "interval")],
};

/// `[page]`
#[rustfmt::skip] // one row for each key
pub(super) const PAGE: Section = Section {
    header: "[page]",
    settings: &[
        setting("interval", Span(SECOND, HOUR), Value("\"10s\""), "\"10s\"", "time between two pages"),
    ],
    synonyms: &[("every", "interval")],
};

/// `[service.NAME]`
#[rustfmt::skip] // one row for each key
pub(super) const SERVICE: Section = Section {
    header: "[service.NAME]",
    settings: &[
        setting("weight", Expression(Num), Value("100"), "'headroom(cpu.value, 100)'", "weight in percent when no rule decides; rounded down"),
        setting("capacity", Other("table"), NONE, "", "[weight by capacity](#weight-by-capacity); replaces `weight`"),
        setting("rule", Other("list of tables"), NONE, "", "[rules](#rules), as `[[service.NAME.rule]]`"),
        setting("fresh_for", Span(100, MONTH), Preset::Words("see below"), "\"10s\"", "how long a reply is valid, counted from the oldest poll that it uses"),
        setting("on_stale", EXPIRY, KEEP, "\"keep\"", "the reply after `fresh_for`, if no collector renews it"),
        setting("restore_after", Span(SECOND, MONTH), Value("\"5m\""), "\"5m\"", "how long the last reply remains before a restore begins: see below"),
        setting("restore_over", Span(SECOND, MONTH), Value("\"5m\""), "\"5m\"", "how long the restore takes to reach 100%, in ten steps"),
        setting("on_failure", Other("`\"keep\"`, or a reply"), KEEP, "\"keep\"", "the reply while a source that the decision needs has failed"),
        setting("on_stop", EXPIRY, KEEP, "\"keep\"", "the reply after the collector is stopped"),
        setting("admin_state", ADMIN, Value("\"preserve\""), "\"preserve\"", "whether replies change the administrative state in HAProxy"),
        setting("override_admin_state", ADMIN, Preset::Words("`admin_state`"), "\"manage\"", "the same, while an override is active"),
        setting("weight_form", Words(&["percent", "absolute"]), Value("\"percent\""), "\"percent\"", "weights in replies: a share of the server line's weight (`73%`), or the weight itself (`weight:73`)"),
        setting("maintenance_file", ABSOLUTE, NONE, "\"/etc/agentcheck/maintenance.web\"", "while this file exists, the service is in maintenance"),
        setting("port", Integer(1, 65535, ""), NONE, "3334", "TCP port that serves this service alone"),
        setting("description_detail", Words(&["full", "state", "none"]), Value("\"full\""), "\"full\"", "how much the text after `#` shows"),
        setting("ewma", DurationOrOff(100, HOUR), Preset::Words("off; `\"8s\"` with `capacity`, `\"5s\"` with `headroom_exponent`"), "\"5s\"", "time constant of an exponentially weighted moving average"),
        setting("sudden_fall", Number(1.0, 100.0, "percent"), Preset::Words("off; 30 with `capacity`, off with `headroom_exponent`"), "30", "a weight this far below the average replaces the average at once; 100 is off"),
        setting("ramp", DurationOrOff(100, MONTH), OFF, "\"30s\"", "how long a server that returns takes to reach its whole weight"),
        setting("ramp_from", Number(1.0, 100.0, "percent"), Value("10"), "10", "share of the weight at the start of a ramp"),
        setting("ramp_aggression", Number(0.1, 100.0, ""), Value("1.0"), "1.0", "form of the ramp; more than 1 rises faster at first"),
        setting("ramp_on_start", Expression(Any), NONE, "'app.json.started'", "start time of the application; a change starts a ramp"),
        setting("ramp_on_reset", Expression(Num), NONE, "'app.json.uptime'", "a counter or uptime of the application; a fall starts a ramp"),
        setting("ceiling", Integer(1, 256, "percent"), Value("100"), "100", "largest weight"),
        setting("floor", Integer(1, 100, "percent"), Value("1"), "5", "smallest weight that load can cause"),
        setting("haproxy_weight", Integer(1, 256, ""), Value("100"), "100", "the `weight` on the server line in haproxy.cfg"),
        setting("max_rise", Number(0.01, 1000.0, "points per second"), OFF, "5", "how fast the weight rises at most"),
        setting("max_fall", Number(0.01, 1000.0, "points per second"), OFF, "5", "how fast the weight falls at most"),
        setting("dead_band", Number(0.0, 50.0, "points"), Preset::Words("0; 3 with `capacity`, 0 with `headroom_exponent`"), "3", "smaller changes do not change the reply"),
        setting("maxconn", Other("expression or number"), NONE, "'app.json.workers * 4'", "connection limit over all balancers; rounded down, at least 1"),
        setting("maxconn_normal", Integer(1, Maxconn::MAX as i64, ""), Preset::Words("required with `maxconn`"), "200", "the `maxconn` on the server line in haproxy.cfg"),
        setting("balancers", Integer(1, 1000, ""), Value("1"), "2", "how many balancers share the limit equally"),
    ],
    synonyms: &[
        ("fall", "fail_after of the source"), ("rise", "recover_after of the source"), ("inter", "interval of the source"), ("interval", "interval of the source"), ("timeout", "timeout of the source"),
        ("slowstart", "ramp"), ("smooth", "ewma"), ("rules", "rule"), ("min", "floor"), ("max", "ceiling"), ("minimum", "floor"), ("maximum", "ceiling"),
        ("pct", "weight with headroom(used, limit)"), ("default_response", "on_failure"), ("default", "on_failure"), ("stale", "on_stale"), ("fallback", "on_failure"), ("backend", "a source and weight"), ("when", "when of a [[service.NAME.rule]]"), ("reply", "reply of a [[service.NAME.rule]]"),
    ],
};

/// `[service.NAME.capacity]`
#[rustfmt::skip] // one row for each key
pub(super) const CAPACITY: Section = Section {
    header: "[service.NAME.capacity]",
    settings: &[
        setting("rate", Expression(Num), Required, "'requests.value'", "requests served per second"),
        setting("utilization", Expression(Num), Required, "'cpu.value / 100'", "how busy the server is; 1 is fully busy"),
        setting("errors", Expression(Num), Value("0"), "'errors.value'", "failed requests per second"),
        setting("reference_rate", Number(0.001, 1e9, ""), Required, "200", "requests per second at utilization 1 that give weight 100"),
        setting("error_penalty", Number(0.0, 1000.0, ""), Value("1.0"), "1.0", "utilization that is added if all requests fail"),
        setting("headroom_exponent", Number(0.0, MAX_HEADROOM_EXPONENT, ""), Value("0"), "1", "exponent of the free share: see [capacity and headroom](#capacity-and-headroom)"),
        setting("blackout_period", Span(0, HOUR), Value("\"10s\""), "\"10s\"", "time with traffic before the collector trusts a new weight"),
        setting("expiration_period", Span(100, HOUR), Value("\"3m\""), "\"3m\"", "how long the last weight remains without traffic"),
    ],
    synonyms: &[("full", "reference_rate"), ("limit", "reference_rate"), ("exponent", "headroom_exponent"), ("headroom", "headroom_exponent")],
};

/// `[[service.NAME.rule]]`
#[rustfmt::skip] // one row for each key
pub(super) const RULE: Section = Section {
    header: "[[service.NAME.rule]]",
    settings: &[
        setting("name", Other("text, in the form of a service name"), Required, "\"maintenance\"", "name in descriptions, log and status; unique in the service"),
        setting("when", Expression(Truth), Required, "\"app.json.state == 'maintenance'\"", "condition that makes the rule active"),
        setting("clear_when", Expression(Truth), Preset::Words("`when` is false"), "\"app.json.queue < 100\"", "condition that makes an active rule inactive"),
        setting("for", Span(0, MONTH), Value("\"0s\""), "\"10s\"", "how long `when` has to stay true first"),
        setting("clear_for", Span(0, MONTH), Value("\"0s\""), "\"30s\"", "how long `clear_when` has to stay true first"),
        setting("reply", Words(&["full", "floor", "drain", "down", "maint", "keep"]), Preset::Words("required, or `raw_reply`"), "\"drain\"", "the reply while the rule decides"),
        setting("raw_reply", Other("a line for HAProxy"), NONE, "\"up ready 20%\"", "exact reply, instead of `reply`"),
        setting("description", Other("text with `{expression}`"), Preset::Words("rule name and numbers"), "\"{queue.value} waiting\"", "the text after `#`"),
        setting("on_stale", Words(&["hold", "restore"]), Value("\"hold\""), "\"restore\"", "what follows `drain`, `down` or `maint` when no collector renews it"),
        setting("hold_for", Span(SECOND, MONTH), NONE, "\"10m\"", "how long that reply remains before the restore starts"),
    ],
    synonyms: &[
        ("if", "when"), ("condition", "when"), ("expression", "when"), ("unless", "clear_when"), ("then", "reply"), ("state", "reply"), ("response", "reply"), ("action", "reply"), ("weight", "raw_reply such as \"up 20%\""),
        ("fall", "for"), ("rise", "clear_for"), ("line", "raw_reply"), ("stale", "on_stale"),
    ],
};

/// `[derive.NAME]`
#[rustfmt::skip] // one row for each key
pub(super) const DERIVE: Section = Section {
    header: "[derive.NAME]",
    settings: &[
        setting("expression", Expression(Num), Preset::Words("required, or `series`"), "\"cpu.value\"", "what to derive from"),
        setting("source", Other("source name"), Preset::Words("required with `series`"), "\"exporter\"", "a source with `format = \"prometheus\"`"),
        setting("series", Other("selector, or list of selectors"), NONE, "'http_requests_total{code=~\"5..\"}'", "counters, or the buckets of a histogram"),
        setting("ewma", Span(100, HOUR), NONE, "\"5s\"", "exponentially weighted moving average with this time constant"),
        setting("rate", Span(100, HOUR), NONE, "\"1m\"", "increase of a counter per second, over this window"),
        setting("min", Span(100, HOUR), NONE, "\"1m\"", "smallest number in this window"),
        setting("max", Span(100, HOUR), NONE, "\"1m\"", "largest number in this window"),
        setting("mean", Span(100, HOUR), NONE, "\"1m\"", "arithmetic mean of this window"),
        setting("percentile", Integer(0, 100, ""), NONE, "95", "nearest-rank percentile of the window `over`"),
        setting("over", Span(100, HOUR), Preset::Words("required with `percentile`"), "\"1m\"", "window of `percentile`"),
    ],
    synonyms: &[("of", "expression"), ("value", "expression"), ("smooth", "ewma"), ("average", "mean"), ("window", "over"), ("quantile", "percentile"), ("p", "percentile")],
};

pub(super) mod sources;

#[cfg(test)]
mod tests;
