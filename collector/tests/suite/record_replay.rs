//! `agentcheck record` and `agentcheck replay`: a recording of real sources is read back, and two configurations
//! replay one recording.

use crate::agentcheck;
use agentcheck_tests::scene::{queue_service, stderr, stdout};
use agentcheck_tests::scratch::Scratch;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn written(scratch: &Scratch, name: &str, text: &str) -> String {
    scratch.write(name, text).display().to_string()
}

fn place(scratch: &Scratch, name: &str) -> String {
    scratch.file(name).display().to_string()
}

fn succeeds(arguments: &[&str]) -> String {
    stdout(agentcheck(arguments))
}

/// A service that a long queue drains.
fn configuration(queue: &str) -> String {
    queue_service(
        Path::new(queue),
        "when = \"queue.value > 90\"\nreply = \"drain\"",
    )
}

#[test]
fn recording_is_replayed() {
    let scratch = Scratch::new("record");
    let queue = written(&scratch, "queue", "27\n");
    let config = written(&scratch, "agentcheck.toml", &configuration(&queue));
    let recording = place(&scratch, "today");
    let printed = succeeds(&["record", "--config", &config, "--for", "1s", &recording]);
    assert!(printed.starts_with(&format!("{recording}: ")), "{printed}");
    let printed = succeeds(&["replay", "--config", &config, &recording]);
    assert!(
        printed.contains("\nweb: 0 changes of state, 0 changes of weight"),
        "{printed}"
    );
    assert!(
        printed.contains("  up 73% # queue=27 (weight 73)\n"),
        "{printed}"
    );
    // An editor may have added a byte order mark and other line ends.
    let text = std::fs::read_to_string(&recording).unwrap();
    let edited = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let edited = written(&scratch, "edited", &edited);
    assert_eq!(
        succeeds(&["replay", "--config", &config, &edited]),
        printed.replace(&recording, &edited)
    );
    // An existing file is not overwritten.
    let error = stderr(agentcheck(&[
        "record", "--config", &config, "--for", "1s", &recording,
    ]));
    assert!(error.contains("choose another name"), "{error}");
}

/// A queue that swings, and is once too long.
fn swinging() -> String {
    let mut text = String::from("{\"recording\":1}\n");
    for second in 0..120 {
        let queue = if second == 60 {
            95
        } else {
            30 + 30 * (second % 2)
        };
        writeln!(
            text,
            "{{\"t\":{second},\"source\":\"queue\",\"reading\":{{\"value\":{queue}}}}}"
        )
        .unwrap();
    }
    text.push_str("{\"t\":1,\"source\":\"other\",\"reading\":{}}\n");
    text
}

#[test]
fn replay_compares_two_configurations() {
    let scratch = Scratch::new("sides");
    let plain = configuration("/nowhere");
    let smooth = plain.replace("[[service", "ewma = \"10s\"\ndead_band = 5\n\n[[service");
    let plain = written(&scratch, "plain.toml", &plain);
    let smooth = written(&scratch, "smooth.toml", &smooth);
    let recording = written(&scratch, "recording", &swinging());
    let svg = place(&scratch, "plot.svg");
    let printed = succeeds(&[
        "replay",
        "--config",
        &plain,
        "--against",
        &smooth,
        "--svg",
        &svg,
        &recording,
    ]);
    assert!(
        printed.contains("plain.toml: no source other; its readings are skipped\n"),
        "{printed}"
    );
    let changes = |side: &str| -> u32 {
        let (_, rest) = printed.split_once(&format!("== {side}\n")).unwrap();
        let (_, rest) = rest.split_once("web: 2 changes of state, ").unwrap();
        rest.split_once(' ').unwrap().0.parse().unwrap()
    };
    assert_eq!(changes("plain"), 119);
    assert!(changes("smooth") < 30, "{printed}");
    assert!(
        printed.contains("   0:01:00.0  up 0% # rule=long queue=95 (rule long)\n"),
        "{printed}"
    );
    assert!(printed.contains(" d drain, X down, m maint\n"), "{printed}");
    let drawn = fs::read_to_string(&svg).unwrap();
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
    for part in [
        ">plain</text>",
        ">smooth</text>",
        "class=\"drain\"",
        "weight, %",
    ] {
        assert!(drawn.contains(part), "{part}");
    }
    let all = succeeds(&["replay", "--config", &plain, "--all", &recording]);
    assert!(
        all.lines().filter(|line| line.contains("(weight ")).count() > 100,
        "{all}"
    );
}

#[test]
fn wrong_recording_is_refused_with_its_line() {
    let scratch = Scratch::new("wrong");
    let config = written(&scratch, "agentcheck.toml", &configuration("/nowhere"));
    let recording = written(&scratch, "recording", "{\"recording\":1}\n{\"t\":\n");
    let error = stderr(agentcheck(&["replay", "--config", &config, &recording]));
    assert!(
        error.starts_with(&format!("{recording}: error: line 2: ")),
        "{error}"
    );
}
