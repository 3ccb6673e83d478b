//! Entries, their files, and files with incomplete lines.

use super::*;
use crate::overrides::{Moment, Now, Override, OverrideStage, Scope};
use agentcheck_tests::scratch::Scratch;

fn boot() -> BootId {
    BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap()
}

fn at(seconds: u32) -> (BootTime, f64) {
    let span = Duration::from_secs(seconds.into());
    (
        BootTime(0).after(span),
        1_700_000_000.0 + f64::from(seconds),
    )
}

fn reply(line: &str) -> Reply {
    Reply::parse(line.as_bytes()).unwrap()
}

#[test]
fn changes_are_recorded_and_weights_at_intervals() {
    let scratch = Scratch::new("changes");
    let data = scratch.path();
    let (mut recorder, opened) = Recorder::open(data);
    opened.unwrap();
    let (filter, mut recorded) = (HistoryFilter::new(boot()), None);
    let started = filter.event_entry(Event::Started, "", at(0).0, at(0).1);
    recorder.write(&started).unwrap();
    let failure = DecisionSource::Failure(crate::decision::evaluate::Undecided {
        reason: "app timeout".to_owned(),
        masked: None,
    });
    let web = Service::new(agentcheck_common::ServiceName::parse(b"web").unwrap());
    let rule = DecisionSource::Rule {
        index: 0,
        kept: None,
    };
    for (second, line, decided) in [
        (1, "up 73% # a", &failure),
        (2, "up 73% # b", &failure),
        (3, "up 60%", &failure),
        (11, "up 50%", &failure),
        (12, "up 0% # rule=x", &rule),
        (13, "up 0% # rule=x", &rule),
        (14, "up 50%", &failure),
    ] {
        if let Some(entry) = {
            let (now, wall) = at(second);
            let decision = (&reply(line), decided);
            filter.reply_entry(&web, &mut recorded, decision, None, now, || wall)
        } {
            recorder.write(&entry).unwrap();
        }
    }
    let entries = read(data).unwrap();
    let texts: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.at / 1_000_000_000, entry.by, entry.reply))
        .collect();
    assert_eq!(
        texts,
        [
            "0 collector ",
            "1 failure up 73% # a",
            "11 failure up 50%",
            "12 rule up 0% # rule=x",
            "14 failure up 50%"
        ]
    );
}

#[test]
fn limit_is_recorded_when_it_begins_changes_and_ends() {
    let (filter, mut recorded) = (HistoryFilter::new(boot()), None);
    let web = Service::new(agentcheck_common::ServiceName::parse(b"web").unwrap());
    let rule = DecisionSource::Rule {
        index: 0,
        kept: None,
    };
    let order = |percent| Override {
        version: 1,
        id: "1".to_owned(),
        set: Moment {
            boot: boot().to_string(),
            at: 0,
            wall: 0,
        },
        stages: vec![OverrideStage {
            action: Action::Limit { percent },
            until: None,
            end: None,
        }],
        reason: String::new(),
        by: "ann".to_owned(),
    };
    let now = Now {
        boot: &boot(),
        at: at(0).0,
        wall: 0,
    };
    let limits = [
        None,
        Some(order(50)),
        Some(order(50)),
        Some(order(60)),
        None,
    ];
    let texts = (0..).zip(&limits).filter_map(|(second, limit)| {
        let limit = limit.as_ref();
        let active = limit.and_then(|limit| limit.active(Scope::Service, false, &now));
        let reply = reply("up 40%");
        let (now, wall) = at(second);
        let (recorded, limit) = (&mut recorded, active.as_ref());
        filter.reply_entry(&web, recorded, (&reply, &rule), limit, now, || wall)
    });
    let texts: Vec<String> = texts.map(|entry| entry.limit).collect();
    assert_eq!(texts, ["", "50% by ann", "60% by ann", ""]);
}

/// Three collectors write an entry each; after each, an incomplete line and `more` are appended.
fn three_incomplete_lines(data: &Path, more: &[u8]) -> Vec<String> {
    let current = data.join(DIRECTORY).join(CURRENT);
    for round in 0..3 {
        let (mut recorder, opened) = Recorder::open(data);
        opened.unwrap();
        let filter = HistoryFilter::new(boot());
        let detail = format!("round {round}");
        let entry = filter.event_entry(Event::Reloaded, &detail, at(round).0, 0.0);
        recorder.write(&entry).unwrap();
        let mut text = std::fs::read(&current).unwrap();
        text.extend_from_slice(b"{\"time\":1,\"boo");
        text.extend_from_slice(more);
        std::fs::write(&current, text).unwrap();
    }
    let entries = read(data).unwrap();
    entries.into_iter().map(|entry| entry.why).collect()
}

/// A collector that runs as root must not write where another user's link leads.
#[test]
fn links_below_the_data_directory_are_not_followed() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new("history-links");
    let data = scratch.directory("data");
    let precious = scratch.directory("precious");
    let file = precious.join(CURRENT);
    symlink(&precious, data.join(DIRECTORY)).unwrap();
    Recorder::open(&data).1.unwrap_err();
    assert!(!file.exists());
    std::fs::remove_file(data.join(DIRECTORY)).unwrap();
    std::fs::create_dir(data.join(DIRECTORY)).unwrap();
    std::fs::write(&file, "untouched").unwrap();
    let current = data.join(DIRECTORY).join(CURRENT);
    for link in [std::fs::hard_link, |from: &Path, to: &Path| {
        symlink(from, to)
    }] {
        link(&file, &current).unwrap();
        Recorder::open(&data).1.unwrap_err();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "untouched");
        std::fs::remove_file(&current).unwrap();
    }
    Recorder::open(&data).1.unwrap();
    assert!(current.is_file());
}

#[test]
fn incomplete_line_loses_no_other_entry() {
    let scratch = Scratch::new("torn");
    let texts = three_incomplete_lines(scratch.path(), b"");
    assert_eq!(texts, ["round 0", "round 1", "round 2"]);
}

#[test]
fn files_are_bounded_and_incomplete_lines_skipped() {
    let scratch = Scratch::new("bounded");
    let data = scratch.path();
    let full = vec![b'\n'; usize::try_from(MAX_FILE).unwrap()];
    assert_eq!(three_incomplete_lines(data, &full), ["round 1", "round 2"]);
    assert_eq!(std::fs::read_dir(data.join(DIRECTORY)).unwrap().count(), 2);
}

#[test]
fn missing_directory_is_an_error_and_reads_as_empty() {
    let (mut recorder, opened) = Recorder::open(Path::new("/nonexistent"));
    assert!(opened.is_err());
    let entry = HistoryFilter::new(boot()).event_entry(Event::Started, "", at(0).0, 0.0);
    assert!(recorder.write(&entry).is_err());
    assert_eq!(read(Path::new("/nonexistent")).unwrap(), []);
}
