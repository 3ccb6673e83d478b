//! The web page: current replies, what decided them, and the history of the last hours. One HTML document that
//! needs no server, no script and no other file. Pure: overview and history in, document out.

mod plots;
mod service;
mod words;

use crate::render::plot;
use crate::render::text::{counted, number};
use crate::status::history::Entry;
use crate::status::overview::{self, CurrentReply, Liveness, Overview};
use crate::status::snapshot::SourceStatus;
use agentcheck_common::{BootTime, Reply};
use plots::Story;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use words::{age, badge, cut, shown, stamp, state};

/// The most services with a plot: those that changed last.
pub const MOST_PLOTS: usize = 200;

/// The most services whose details are open.
const MOST_OPEN: usize = 8;

const STYLE: &str = include_str!("html/style.css");

/// The content of the page.
#[derive(Clone, Debug)]
pub struct Input<'d> {
    /// The host's name.
    pub host: &'d str,
    /// The current time in seconds since 1970, UTC.
    pub wall: f64,
    /// The time span of the plots.
    pub since: Duration,
    /// The overview at that time.
    pub overview: &'d Overview,
    /// The history, oldest first.
    pub history: &'d [Entry],
    /// Why the history cannot be read; none if it could.
    pub history_error: Option<&'d str>,
    /// How often the page is made again; the browser then reloads it. None if it is made once.
    pub renewed_every: Option<Duration>,
}

impl Input<'_> {
    /// The wall-clock time of a moment of this boot.
    fn wall_of(&self, at: BootTime) -> f64 {
        self.wall - self.overview.now.since(at).as_secs_f64()
    }

    /// The time since a moment, as text.
    fn ago(&self, at: u64) -> String {
        age(self.overview.now.since(BootTime(at)))
    }
}

/// A service with its history.
struct Service<'d> {
    now: &'d overview::ServiceOverview,
    story: Option<Story<'d>>,
}

impl<'d> Service<'d> {
    fn current(&self) -> Option<&'d CurrentReply> {
        self.now.current.as_ref().ok()
    }

    fn reply(&self) -> Option<&'d Reply> {
        self.current().map(|current| &current.reply)
    }
}

/// The HTML document.
#[must_use]
pub fn page(input: &Input<'_>) -> String {
    let services = services(input);
    let mut html = String::new();
    head(&mut html, input);
    if !services.is_empty() {
        overview(&mut html, input, &services);
    }
    if !services.is_empty() {
        html.push_str("<section aria-labelledby=\"each\">\n<h2 id=\"each\">Each service</h2>\n");
        plots::legend(&mut html, input, &services);
        let open = services.len() <= MOST_OPEN;
        for service in &services {
            service::article(&mut html, input, service, open);
        }
        html.push_str("</section>\n");
    }
    sources(&mut html, input, &input.overview.sources);
    faults(&mut html, &input.overview.override_faults);
    html.push_str(
        "<footer><p>All times are UTC. Made by agentcheck from the state files, the status snapshot and the \
         history. HAProxy&#39;s statistics page shows what the balancers do with the replies.</p></footer>\n</main>\n</body>\n</html>\n",
    );
    html
}

/// All services with their histories.
fn services<'d>(input: &Input<'d>) -> Vec<Service<'d>> {
    let mut stories = plots::stories(input);
    let services = input.overview.services.iter();
    let mut services: Vec<Service<'d>> = services
        .map(|now| Service {
            now,
            story: stories.remove(now.name.as_str()),
        })
        .collect();
    let mut last: Vec<f64> = services
        .iter()
        .filter_map(|service| service.story.as_ref())
        .map(Story::last)
        .collect();
    last.sort_by(|a, b| b.total_cmp(a));
    if let Some(oldest) = last.get(MOST_PLOTS) {
        for service in &mut services {
            service.story = service.story.take().filter(|story| story.last() > *oldest);
        }
    }
    services
}

fn head(html: &mut String, input: &Input<'_>) {
    let host = shown(&cut(input.host, 100));
    let (refresh, renewal) = match input.renewed_every {
        None => (String::new(), "This page is not renewed.".to_owned()),
        Some(interval) => {
            let seconds = interval.as_secs().max(1);
            let every = age(interval);
            (
                format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"),
                format!("This page reloads every {every}."),
            )
        }
    };
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; \
         style-src &#39;unsafe-inline&#39;\">\n{refresh}\
         <title>agentcheck on {host}</title>\n<style>\n{STYLE}{}\n</style>\n</head>\n<body>\n<main>\n\
         <h1>agentcheck on {host}</h1>\n\
         <p>Made {}. {renewal}</p>\n",
        plot::STYLE,
        stamp(input.wall)
    );
    collector(html, input);
}

/// The note about the collector.
fn collector(html: &mut String, input: &Input<'_>) {
    let overview = input.overview;
    let pid = overview
        .pid
        .map_or(String::new(), |pid| format!("process {pid}, "));
    let written = overview
        .snapshot_times
        .map(|(started, at)| (input.ago(started.0), input.ago(at.0), at));
    let (good, state, more) = match (&overview.liveness, written) {
        (Liveness::Running, Some((started, at, _))) => (
            true,
            "was running",
            format!(": {pid}started {started} before; last update {at} before."),
        ),
        (Liveness::Stopped, Some((_, ago, at))) => (
            false,
            "was not running",
            format!(
                ": last update {ago} before, at {}. Replies follow the schedule of that time; readings, rules \
                 and weights below are of that time, too.",
                stamp(input.wall_of(at))
            ),
        ),
        (Liveness::Unresponsive(_), Some((_, ago, _))) => (
            false,
            "was unresponsive",
            format!(": {pid}last update {ago} before."),
        ),
        (Liveness::Unknown(why), _) => (
            false,
            "was in an unknown state",
            format!(": {}.", shown(&cut(why, 200))),
        ),
        (Liveness::Running | Liveness::Starting | Liveness::Unresponsive(_), _) => (
            false,
            "was starting",
            format!(": {pid}no status snapshot yet."),
        ),
        (Liveness::Stopped | Liveness::Absent | Liveness::OtherBoot, _) => (
            false,
            "was not running",
            ": none has run since this host was booted.".to_owned(),
        ),
    };
    let class = if good { "good" } else { "bad" };
    let _ = writeln!(
        html,
        "<p class=\"note {class}\" id=\"collector\"><strong>The collector {state}</strong>{more}</p>"
    );
}

fn overview(html: &mut String, input: &Input<'_>, services: &[Service<'_>]) {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for service in services {
        *count.entry(state(service.reply())).or_default() += 1;
    }
    html.push_str("<section aria-labelledby=\"services\">\n<h2 id=\"services\">Services</h2>\n");
    html.push_str("<ul class=\"tally\" aria-label=\"Services by state\">");
    for word in ["up", "drain", "down", "maint", "unknown"] {
        if let Some(count) = count.get(word) {
            let _ = write!(html, "<li class=\"badge {word}\">{count} {word}</li>");
        }
    }
    html.push_str(
        "</ul>\n<div class=\"scroll\" role=\"region\" aria-labelledby=\"services\" tabindex=\"0\">\n<table>\n\
         <thead><tr><th scope=\"col\">Service</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Weight</th><th scope=\"col\">Reply, and what decided it</th>\
         <th scope=\"col\" class=\"wide\">Since</th></tr></thead>\n<tbody>\n",
    );
    for service in services {
        let name = shown(&service.now.name);
        let reply = match &service.now.current {
            Ok(current) => format!("<code>{}</code>", shown(&current.reply.to_string())),
            Err(no_op) => format!("no-op: <code>{}</code>", shown(no_op)),
        };
        let weight = service.reply().map_or("–".to_owned(), |reply| {
            format!("{:.0}%", crate::simulation::replay::weight(reply))
        });
        let since = service.now.snapshot.as_ref().and_then(|known| known.since);
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\"><a href=\"#service-{name}\">{name}</a></th><td>{}</td>\
             <td class=\"number\">{weight}</td><td>{reply}<br><small>{}</small></td>\
             <td class=\"number wide\">{}</td></tr>",
            badge(service.reply()),
            service::decided(service),
            since.map_or("–".to_owned(), |since| input.ago(since))
        );
    }
    html.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn sources(html: &mut String, input: &Input<'_>, sources: &BTreeMap<String, SourceStatus>) {
    if sources.is_empty() {
        return;
    }
    let failed = sources.values().filter(|source| !source.ok).count();
    let _ = writeln!(
        html,
        "<section aria-labelledby=\"sources\">\n<h2 id=\"sources\">Readings</h2>\n\
         <p>{}, {failed} of them failed at the latest poll.</p>\n\
         <div class=\"scroll\" role=\"region\" aria-labelledby=\"sources\" tabindex=\"0\">\n<table>\n\
         <thead><tr><th scope=\"col\">Source</th><th scope=\"col\">Latest poll</th>\
         <th scope=\"col\">Value</th><th scope=\"col\" class=\"wide\">Duration</th>\
         <th scope=\"col\">Age</th></tr></thead>\n<tbody>",
        counted(sources.len(), "source")
    );
    for (name, source) in sources {
        let mut found = if source.ok {
            "<span class=\"up\">ok</span>".to_owned()
        } else {
            let error = source.error.as_deref().unwrap_or("failed");
            format!("<strong class=\"down\">{}</strong>", shown(error))
        };
        for (what, code) in [
            ("HTTP status", source.status.map(i64::from)),
            ("exit status", source.exit.map(i64::from)),
        ] {
            if let Some(code) = code {
                let _ = write!(found, ", {what} {code}");
            }
        }
        if let Some(detail) = &source.detail {
            let _ = write!(found, "<br><small>{}</small>", shown(&cut(detail, 200)));
        }
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{found}</td><td class=\"number\">{}</td>\
             <td class=\"number wide\">{:.1} ms</td><td class=\"number\">{}</td></tr>",
            shown(name),
            source.value.map_or("–".to_owned(), number),
            source.latency * 1000.0,
            input.ago(source.sent)
        );
    }
    html.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn faults(html: &mut String, faults: &[String]) {
    if faults.is_empty() {
        return;
    }
    html.push_str("<section><h2>Overrides that cannot be used</h2>\n<ul>\n");
    for fault in faults.iter().take(service::MOST_ROWS) {
        let _ = writeln!(html, "<li>{}</li>", shown(&cut(fault, 200)));
    }
    html.push_str("</ul>\n</section>\n");
}

#[cfg(test)]
#[path = "html/tests.rs"]
mod tests;
