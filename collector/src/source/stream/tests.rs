//! The stream source with real programs.

use super::*;
use crate::reading::Content;
use crate::source::command::Reads;
use agentcheck_tests::scratch::Scratch;
use std::fs;

const AMPLE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

fn stream(script: &str, format: Format) -> Stream {
    Stream {
        command: Command {
            reads: Reads::Format(format),
            max_bytes: 1000,
            ..Command::new(&["sh", "-c", script])
        },
        newline: false,
    }
}

fn reader(stream: Stream) -> Reader {
    Reader::new(stream, Duration::from_secs(1))
}

fn poll(reader: &mut Reader, timeout: Duration) -> Found {
    reader.poll(Deadline::within(timeout), &Cancellation::new())
}

fn number(found: &Found) -> f64 {
    match &found.outcome {
        Ok(Content::Number(number)) => *number,
        other => panic!("{other:?}"),
    }
}

fn failure(found: Found) -> Failure {
    found.outcome.expect_err("a failure")
}

#[test]
fn each_line_is_a_reading_of_its_arrival() {
    let script = "for n in 1 2 3; do echo $n; sleep 0.2; done; exec sleep 60";
    let mut reader = reader(stream(script, Format::Number));
    let before = clock::now();
    let found: Vec<Found> = (0..3).map(|_| poll(&mut reader, AMPLE)).collect();
    let numbers: Vec<f64> = found.iter().map(number).collect();
    assert_eq!(numbers, [1.0, 2.0, 3.0]);
    let times: Vec<BootTime> = found.iter().filter_map(|found| found.sent).collect();
    assert!(times.is_sorted() && times[0] >= before, "{times:?}");
    // No line is due yet: the last one again, as old as it is.
    let again = poll(&mut reader, Duration::ZERO);
    assert_eq!((number(&again), again.sent), (3.0, Some(times[2])));
}

#[test]
fn last_line_of_several_counts() {
    let mut reader = reader(stream("printf '1\n2\n3\n4'; exec sleep 60", Format::Number));
    assert_eq!(number(&poll(&mut reader, AMPLE)), 3.0);
}

#[test]
fn prometheus_block_ends_with_an_empty_line_or_eof() {
    let script = "printf 'a 1\nb 2\n\n'; read x < $F; printf 'a 3\n# EOF\na 4\n'; exec sleep 60";
    let scratch = Scratch::new("stream-blocks");
    let gate = scratch.file("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made.unwrap().success());
    let script = script.replace("$F", &gate.display().to_string());
    let mut reader = reader(stream(&script, Format::Prometheus));
    let value = |found: Found| match found.outcome {
        Ok(Content::Metrics(metrics)) => {
            let selector = crate::reading::prometheus::Selector::parse("a").unwrap();
            metrics.values(&[selector])[0]
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(value(poll(&mut reader, AMPLE)), 1.0);
    fs::write(&gate, "\n").unwrap();
    assert_eq!(value(poll(&mut reader, AMPLE)), 3.0);
}

#[test]
fn newline_asks_for_a_record() {
    let mut asked = stream("while read x; do echo $((n += 1)); done", Format::Number);
    asked.newline = true;
    let mut reader = reader(asked);
    for expected in [1.0, 2.0, 3.0] {
        let before = clock::now();
        let found = poll(&mut reader, AMPLE);
        assert_eq!(number(&found), expected);
        assert!(found.sent.unwrap() >= before);
    }
}

#[test]
fn ended_program_is_reported_and_started_again() {
    let scratch = Scratch::new("stream-restart");
    let count = scratch.file("count");
    let script = format!(
        "echo run >> {0}; [ $(wc -l < {0}) = 1 ] && echo broken >&2 && exit 3; echo 7; exec sleep 60",
        count.display()
    );
    let mut reader = reader(stream(&script, Format::Number));
    let ended = failure(poll(&mut reader, AMPLE));
    assert_eq!(ended.to_string(), "exit: status 3: broken; restart in 1s");
    let started = Instant::now();
    let found = loop {
        let found = poll(&mut reader, AMPLE);
        if found.outcome.is_ok() {
            break found;
        }
        assert!(started.elapsed() < AMPLE, "{found:?}");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(number(&found), 7.0);
    assert_eq!(fs::read_to_string(&count).unwrap(), "run\nrun\n");
}

#[test]
fn silent_program_is_a_timeout() {
    let mut reader = reader(stream("exec sleep 60", Format::Text));
    let silent = failure(poll(&mut reader, SHORT));
    assert_eq!(silent.to_string(), "timeout: no record within 300ms");
}

#[test]
fn long_lines_and_floods_end_the_program() {
    for (script, expected) in [
        (
            "head -c 2000 /dev/zero | tr '\\0' x; exec sleep 60",
            "record of more than 1000 bytes",
        ),
        (
            "exec yes",
            "output within a second of more than 1048576 bytes",
        ),
    ] {
        let mut reader = reader(stream(script, Format::Text));
        let started = Instant::now();
        let found = loop {
            let found = poll(&mut reader, AMPLE);
            if let Err(failure) = found.outcome {
                break failure;
            }
            assert!(started.elapsed() < AMPLE, "{script}");
        };
        assert_eq!(found.reason, Reason::TooLarge);
        assert!(found.detail.starts_with(expected), "{found}");
    }
}

#[test]
fn program_and_its_children_end_with_the_source() {
    let scratch = Scratch::new("stream-end");
    let ids = scratch.file("ids");
    let script = format!("sleep 60 & echo $! $$ > {}; echo 1; wait", ids.display());
    let mut reader = reader(stream(&script, Format::Number));
    assert_eq!(number(&poll(&mut reader, AMPLE)), 1.0);
    drop(reader);
    let text = fs::read_to_string(&ids).unwrap();
    let started = Instant::now();
    for id in text.split_whitespace() {
        let stat = format!("/proc/{id}/stat");
        let runs = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        while runs() {
            assert!(started.elapsed() < AMPLE, "{id} runs");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn absent_program_is_missing() {
    let mut absent = stream("", Format::Text);
    absent.command.argv = vec!["/no/such/program".to_owned()];
    let failure = failure(poll(&mut reader(absent), AMPLE));
    assert_eq!(failure.reason, Reason::Missing);
}

#[test]
fn stop_wakes_a_poll_that_waits_for_a_record() {
    let mut reader = reader(stream("exec sleep 600", Format::Text));
    let stop = Cancellation::new();
    let (sender, outcome) = std::sync::mpsc::channel();
    let polled = stop.clone();
    let polling = thread::spawn(move || {
        // A poll that begins after the stop would not wait.
        let first = reader.poll(Deadline::within(SHORT), &polled);
        sender.send(first).unwrap();
        sender
            .send(reader.poll(Deadline::within(AMPLE * 100), &polled))
            .unwrap();
    });
    assert_eq!(failure(outcome.recv().unwrap()).reason, Reason::Timeout);
    stop.stop();
    let stopped = outcome.recv_timeout(AMPLE).unwrap();
    assert_eq!(failure(stopped).to_string(), "other: stopped");
    polling.join().unwrap();
}
