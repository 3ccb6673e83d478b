use super::*;
use crate::status::history::Event;
use crate::status::overview::Freshness;
use crate::status::snapshot::Status;
use std::fs;
use std::path::Path;

/// 2023-11-14T22:13:20Z, four hours after the boot.
const WALL: f64 = 1_700_000_000.0;
const NOW: BootTime = BootTime(14_400_000_000_000);

const SNAPSHOT: &str = r#"{
  "version": 1, "boot": "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11", "pid": 42,
  "started": 7200000000000, "at": 14399500000000,
  "sources": {
    "app": {"sent": 14399000000000, "latency": 0.25, "ok": false, "error": "status",
      "detail": "503 <b>Service</b> \"Unavailable\"", "status": 503},
    "queue": {"sent": 14399500000000, "latency": 0.0001, "ok": true, "value": 27}
  },
  "services": {
    "api": {"reply": "up 50% # kept: app status", "decided_by": "failure", "why": "app status",
      "oldest_reading_at": 14000000000000, "since": 14100000000000, "rules": []},
    "web": {"reply": "up 0% # override=drain", "decided_by": "override", "why": "drain",
      "oldest_reading_at": 14399500000000, "until": 14403000000000, "since": 14340000000000,
      "rules": [{"name": "long", "when": "queue.value > 90 && queue.ok", "active": false, "observed_at": 14399500000000},
        {"name": "never", "when": "app.ok"}],
      "weight": {"raw": 73, "smoothed": 72.5, "ramped": 72.5, "bounded": 72.5, "stepped": 72.5, "percent": 73,
        "ramping": true, "basis": "held"},
      "overrides": [{"id": "1-2", "scope": "service", "action": "drain", "counts": true, "stage": 0, "by": "ann",
        "reason": "<script>alert(1)</script>", "set": 1699999940, "ends": 14700000000000}]}
  },
  "override_faults": [{"name": "web", "text": "web: <i>not JSON</i>"}]
}"#;

fn snapshot() -> Status {
    let status: Status = serde_json::from_str(SNAPSHOT).unwrap();
    assert_eq!(status.version, crate::status::snapshot::VERSION);
    status
}

type Current = Result<CurrentReply, String>;

fn line(text: &str, fresh: Option<Freshness>) -> Current {
    let reply = Reply::parse(text.as_bytes()).unwrap();
    let next = fresh.map(|_| (BootTime(NOW.0 + 1), Reply::parse(b"up 50%").unwrap()));
    Ok(CurrentReply {
        reply,
        freshness: fresh,
        next,
    })
}

fn replies() -> BTreeMap<String, Current> {
    let nothing = Err("bad-state:old".to_owned());
    BTreeMap::from([
        (
            "web".to_owned(),
            line(
                "up 0% # override=drain",
                Some(Freshness::Until(BootTime(14_410_000_000_000))),
            ),
        ),
        (
            "api".to_owned(),
            line(
                "up 50% # kept: app status",
                Some(Freshness::Stale(BootTime(14_380_000_000_000))),
            ),
        ),
        ("old".to_owned(), nothing),
    ])
}

/// An entry so many seconds ago; of the collector itself without a service.
fn entry(ago: f64, service: &str, reply: &str, by: &str) -> Entry {
    let event = match reply {
        "started" => Some(Event::Started),
        "stopping" => Some(Event::Stopping),
        _ => None,
    };
    Entry {
        time: WALL - ago,
        boot: "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11".to_owned(),
        at: 1,
        service: (!service.is_empty()).then(|| service.to_owned()),
        reply: reply.to_owned(),
        event,
        limit: String::new(),
        by: by.to_owned(),
        why: "<u>app</u> timeout".to_owned(),
    }
}

fn history() -> Vec<Entry> {
    vec![
        entry(9000.0, "web", "up 90%", "weight"),
        entry(8000.0, "web", "up 80%", "weight"),
        entry(3000.0, "web", "down # rule=broken", "rule"),
        entry(2700.0, "web", "up 73% # queue=27", "weight"),
        entry(1800.0, "", "stopping", "collector"),
        entry(1500.0, "", "started", "collector"),
        entry(60.0, "web", "up 0% # override=drain", "override"),
        entry(-60.0, "web", "up 1%", "weight"),
    ]
}

/// The overview of a status, or of a host without a collector.
fn overview(status: Option<&Status>, current: &BTreeMap<String, Current>) -> Overview {
    let known = |name: &String| status.and_then(|status| status.services.get(name)).cloned();
    let mut names: Vec<String> = current.keys().cloned().collect();
    names.extend(
        status
            .into_iter()
            .flat_map(|status| status.services.keys().cloned()),
    );
    names.sort();
    names.dedup();
    let alive = |status: &Status| {
        if overview::is_unresponsive(status, NOW) {
            Liveness::Stopped
        } else {
            Liveness::Running
        }
    };
    Overview {
        now: NOW,
        liveness: status.map_or(Liveness::Absent, alive),
        pid: status.map(|status| status.pid),
        snapshot_times: status.map(|status| (BootTime(status.started), BootTime(status.at))),
        services: names
            .into_iter()
            .map(|name| overview::ServiceOverview {
                current: current
                    .get(&name)
                    .cloned()
                    .unwrap_or(Err(format!("no-state:{name}"))),
                snapshot: known(&name),
                name,
            })
            .collect(),
        loaded_at: None,
        reload: None,
        override_faults: status.map_or_else(Vec::new, |status| {
            status
                .override_faults
                .iter()
                .map(|fault| fault.text.clone())
                .collect()
        }),
        sources: status.map_or_else(BTreeMap::new, |status| status.sources.clone()),
    }
}

fn input<'d>(overview: &'d Overview, history: &'d [Entry]) -> Input<'d> {
    Input {
        host: "host<1>",
        wall: WALL,
        since: Duration::from_secs(3600),
        overview,
        history,
        history_error: None,
        renewed_every: None,
    }
}

/// The page apart from its style. `AGENTCHECK_BLESS=1` writes the golden file.
#[test]
fn page_of_a_small_case_matches_the_golden_file() {
    let (status, current, history) = (snapshot(), replies(), history());
    let made = page(&input(&overview(Some(&status), &current), &history));
    let (before, rest) = made.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    let made = format!("{before}<style></style>{after}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/html/golden.html");
    if std::env::var_os("AGENTCHECK_BLESS").is_some() {
        fs::write(&file, &made).unwrap();
    }
    assert_eq!(made, fs::read_to_string(&file).unwrap());
}

#[test]
fn text_of_others_adds_no_markup() {
    let hostile = "\"'><script src=//x></script><img onerror=x>\n\u{7}\u{202e}\u{2028}";
    let mut status = snapshot();
    status
        .sources
        .insert(hostile.to_owned(), status.sources["app"].clone());
    for source in status.sources.values_mut() {
        source.error = Some(hostile.to_owned());
        source.detail = Some(hostile.to_owned());
    }
    let service = status.services.get_mut("web").unwrap();
    service.why = Some(hostile.to_owned());
    service.decided_by = Some(hostile.to_owned());
    service.ready_window = Some(hostile.to_owned());
    service.weight.as_mut().unwrap().basis = Some(hostile.to_owned());
    service.rules[0].name = hostile.to_owned();
    service.rules[0].when = hostile.to_owned();
    let one = &mut service.overrides[0];
    for text in [&mut one.by, &mut one.reason, &mut one.scope] {
        *text = hostile.to_owned();
    }
    one.until = Some(hostile.to_owned());
    one.set = u64::MAX;
    let service = service.clone();
    status.services.insert(hostile.to_owned(), service);
    status.override_faults = vec![crate::status::snapshot::OverrideFault {
        name: None,
        text: hostile.to_owned(),
    }];
    let mut current = replies();
    current.insert(hostile.to_owned(), Err(hostile.to_owned()));
    let history = vec![
        entry(60.0, hostile, hostile, hostile),
        entry(50.0, "web", hostile, "failure"),
        entry(f64::NAN, "web", hostile, "failure"),
    ];
    let overview = overview(Some(&status), &current);
    let mut given = input(&overview, &history);
    given.host = hostile;
    let with = page(&given);
    given.history_error = Some(hostile);
    for made in [with, page(&given)] {
        assert!(made.contains("&lt;script src=//x&gt;"));
        for wrong in [
            "<script",
            "<img",
            "onerror=x>",
            "\u{7}",
            "\u{202e}",
            "\u{2028}",
            "><script",
        ] {
            assert!(!made.contains(wrong), "{wrong}");
        }
        // Quotes of attributes are all ours: they come in pairs on each line of tags.
        for line in made.lines().filter(|line| line.starts_with('<')) {
            assert!(line.matches('"').count() % 2 == 0, "{line}");
        }
    }
}

#[test]
fn page_shows_whether_the_collector_was_running() {
    let current = replies();
    let mut status = snapshot();
    let alive = "<strong>The collector was running</strong>: process 42, started 2 h 0 min before; last update \
        0.5 s before.";
    assert!(page(&input(&overview(Some(&status), &current), &[])).contains(alive));
    status.at = NOW.0 - 600_000_000_000;
    let history = history();
    let dead = page(&input(&overview(Some(&status), &current), &history));
    assert!(
        dead.contains(
            "<strong>The collector was not running</strong>: last update 10 min 0 s before"
        )
    );
    // In the plot, too: up to the right edge.
    assert_eq!(dead.matches("<rect class=\"stale\"").count(), 2);
    let none = page(&input(&overview(None, &current), &[]));
    assert!(none.contains("<strong>The collector was not running</strong>: none has run since"));
    assert!(none.contains("No plots: there is no history."));
    let empty = BTreeMap::new();
    let nothing = page(&input(&overview(None, &empty), &[]));
    assert!(nothing.ends_with("</html>\n") && !nothing.contains("<table"));
}

/// A thousand services, each with all parts, and full files of history.
#[test]
fn page_of_a_thousand_services_is_bounded() {
    let mut status = snapshot();
    let (source, service) = (
        status.sources["app"].clone(),
        status.services["web"].clone(),
    );
    let mut current = BTreeMap::new();
    let long = "<".repeat(10_000);
    for index in 0..1000 {
        let name = format!("service-number-{index:04}");
        let mut source = source.clone();
        source.detail = Some(long.clone());
        status.sources.insert(name.clone(), source);
        let mut service = service.clone();
        service.overrides[0].reason.clone_from(&long);
        status.services.insert(name.clone(), service);
        current.insert(name, line("up 73% # queue=27", None));
    }
    let history: Vec<Entry> = (0..40_000_u32)
        .map(|index| {
            let reply = ["up 73% # queue=27", "down # rule=x", "up 20%", "up 0%"]
                [(index / 1000) as usize % 4];
            let ago = 3600.0 * (1.0 - f64::from(index) / 40_000.0);
            entry(
                ago,
                &format!("service-number-{:04}", index % 1000),
                reply,
                "weight",
            )
        })
        .collect();
    let made = page(&input(&overview(Some(&status), &current), &history));
    assert_eq!(made.matches("<article").count(), 1002);
    assert_eq!(made.matches("<svg").count(), MOST_PLOTS);
    assert!(made.contains("Plots of the 200 services that changed last"));
    assert!(made.len() < 6 << 20, "{}", made.len());
    // All of it of one service: no more points than can be seen.
    let one: Vec<Entry> = history
        .into_iter()
        .map(|entry| Entry {
            service: Some("web".to_owned()),
            ..entry
        })
        .collect();
    let small = snapshot();
    let made = page(&input(&overview(Some(&small), &current_of_web()), &one));
    assert!(made.len() < 100 << 10, "{}", made.len());
}

fn current_of_web() -> BTreeMap<String, Current> {
    BTreeMap::from([("web".to_owned(), line("up 73%", None))])
}
