//! The file source with real files, directories and devices.

use super::*;
use crate::reading::Content;
use agentcheck_tests::scratch::Scratch;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const AMPLE: Duration = Duration::from_secs(30);
const NOT_BLOCKED: Duration = Duration::from_secs(20);

fn poll_as(format: Format, path: impl Into<PathBuf>) -> Found {
    let file = File {
        format: Some(format),
        max_bytes: 1000,
        ..File::at(path)
    };
    let started = Instant::now();
    let found = Reader::new(file).poll(Deadline::within(AMPLE));
    assert!(started.elapsed() < NOT_BLOCKED, "blocked: {found:?}");
    found
}

fn poll(path: impl Into<PathBuf>) -> Found {
    poll_as(Format::Text, path)
}

fn failure(found: Found) -> Failure {
    assert_eq!((found.status, found.exit, found.text), (None, None, None));
    found.outcome.expect_err("a failure")
}

#[test]
fn text_number_and_json() {
    let scratch = Scratch::new("formats");
    let text = poll(scratch.write("text", "up\n"));
    assert_eq!(text.outcome, Ok(Content::Text));
    assert_eq!(text.text.as_deref(), Some("up\n"));
    assert_eq!((text.status, text.exit), (None, None));

    let number = poll_as(Format::Number, scratch.write("number", "0.75\n"));
    assert_eq!(number.outcome, Ok(Content::Number(0.75)));
    let json = poll_as(Format::Json, scratch.write("json", "{\"load\": 1}"));
    let value = serde_json::json!({"load": 1});
    assert_eq!(json.outcome, Ok(Content::Json(value)));

    let empty = scratch.write("empty", "");
    assert_eq!(poll(&empty).text.as_deref(), Some(""));
    let number = poll_as(Format::Number, &empty);
    assert_eq!(number.outcome.unwrap_err().reason, Reason::Malformed);
    assert_eq!(number.text.as_deref(), Some(""));

    let bytes = poll(scratch.write("bytes", b"a\xffb"));
    assert_eq!(bytes.outcome.unwrap_err().reason, Reason::Malformed);
    assert_eq!(bytes.text.as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn links_are_followed() {
    let scratch = Scratch::new("links");
    let _ = scratch.write("file", "here");
    let link = scratch.file("link");
    symlink("file", &link).unwrap();
    assert_eq!(poll(&link).text.as_deref(), Some("here"));
    let circle = scratch.file("circle");
    symlink("circle", &circle).unwrap();
    assert_eq!(failure(poll(&circle)).reason, Reason::Other);
}

#[test]
fn kernel_files_without_a_size_are_read() {
    assert!(poll("/proc/uptime").text.unwrap().contains('.'));
    let online = poll("/sys/devices/system/cpu/online");
    assert!(online.text.unwrap().starts_with('0'));
    let number = poll_as(Format::Number, "/proc/sys/kernel/pid_max");
    assert!(matches!(number.outcome, Ok(Content::Number(_))));
}

#[test]
fn file_over_max_bytes_is_too_large() {
    let scratch = Scratch::new("size");
    let exactly = poll(scratch.write("exactly", "x".repeat(1000)));
    assert_eq!(exactly.text.unwrap().len(), 1000);
    let one_more = poll(scratch.write("one-more", "x".repeat(1001)));
    assert_eq!(failure(one_more).reason, Reason::TooLarge);
    // A sparse terabyte.
    let sparse = scratch.write("sparse", "");
    let opened = fs::OpenOptions::new().write(true).open(&sparse).unwrap();
    opened.set_len(1 << 40).unwrap();
    assert_eq!(failure(poll(&sparse)).reason, Reason::TooLarge);
}

#[test]
fn content_of_every_size_is_complete() {
    let scratch = Scratch::new("sizes");
    let near = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7];
    for size in near {
        let text: String = (0..size)
            .map(|at| char::from(b'a' + (at % 23) as u8))
            .collect();
        let path = scratch.write("file", &text);
        for max_bytes in [size, size + 1, 10 * CHUNK] {
            let deadline = Deadline::within(AMPLE);
            let content = read_bounded(&path, max_bytes, deadline).unwrap();
            assert_eq!(content, text.as_bytes(), "{size} of at most {max_bytes}");
        }
        if let Some(less) = size.checked_sub(1) {
            let refused = read_bounded(&path, less, Deadline::within(AMPLE));
            assert_eq!(refused.unwrap_err().reason, Reason::TooLarge, "{size}");
        }
    }
}

#[test]
fn absent_file_is_missing() {
    let missing = failure(poll("/no/such/file"));
    assert_eq!(missing.reason, Reason::Missing);
    assert!(missing.detail.starts_with("/no/such/file: "), "{missing}");
    assert_eq!(failure(poll("/proc/uptime/below")).reason, Reason::Missing);
    assert_eq!(failure(poll("")).reason, Reason::Missing);
    assert_eq!(failure(poll("a\0b")).reason, Reason::Other);
}

#[test]
fn other_file_types_are_not_opened() {
    let scratch = Scratch::new("kinds");
    let directory = failure(poll(scratch.path()));
    assert_eq!(directory.reason, Reason::Other);
    assert!(
        directory
            .detail
            .ends_with(" is a directory, not a regular file")
    );

    let fifo = scratch.file("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(failure(poll(&fifo)).reason, Reason::Other);
    let socket = scratch.file("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(failure(poll(&socket)).reason, Reason::Other);
    for device in ["/dev/zero", "/dev/tty"] {
        assert_eq!(failure(poll(device)).reason, Reason::Other, "{device}");
    }
}

#[test]
fn file_that_was_regular_may_become_anything() {
    let scratch = Scratch::new("replaced");
    let path = scratch.write("load", "one");
    let mut reader = Reader::new(File::at(&path));
    let mut poll = || {
        let found = reader.poll(Deadline::within(AMPLE));
        match found.text {
            Some(text) => Ok(text),
            None => Err(failure(found).detail),
        }
    };
    let one = Ok("one".to_owned());
    assert_eq!([poll(), poll()], [one.clone(), one.clone()]);
    let replace_by = |new: &dyn Fn()| {
        fs::remove_file(&path).unwrap();
        new();
    };
    // No check comes before the next opening: neither the FIFO nor the device behind the link is read.
    replace_by(&|| {
        let (fifo, mode) = (FileType::Fifo, Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).unwrap();
    });
    let refused = |kind: &str| Err(format!("{} is {kind}, not a regular file", path.display()));
    assert_eq!(poll(), refused("a FIFO"));
    let restore = || fs::write(&path, "one").unwrap();
    replace_by(&restore);
    assert_eq!(poll(), one);
    replace_by(&|| symlink("/dev/zero", &path).unwrap());
    assert_eq!(poll(), refused("a device"));
    replace_by(&restore);
    assert_eq!(poll(), one);
    replace_by(&|| drop(UnixListener::bind(&path).unwrap()));
    assert_eq!(poll(), refused("a socket"));
    replace_by(&restore);
    assert_eq!(poll(), one);
    // A link to a file is followed each time.
    let _ = scratch.write("other", "two");
    replace_by(&|| symlink("other", &path).unwrap());
    let two = Ok("two".to_owned());
    assert_eq!([poll(), poll()], [two.clone(), two]);
}

#[test]
fn unreadable_file_is_denied() {
    let scratch = Scratch::new("rights");
    let secret = scratch.write("secret", "x");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
    // Root may read everything, so this thread drops that capability first.
    let polled = thread::spawn(move || {
        let own = rustix::thread::capabilities(None).unwrap();
        let any = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        let effective = own.effective - any;
        rustix::thread::set_capabilities(None, CapabilitySets { effective, ..own }).unwrap();
        poll(secret)
    });
    assert_eq!(failure(polled.join().unwrap()).reason, Reason::Denied);
}

#[test]
fn read_error_is_reported() {
    // The kernel refuses to read this process's memory at address 0.
    assert_eq!(failure(poll("/proc/self/mem")).reason, Reason::Broken);
}

#[test]
fn zero_timeout_is_a_timeout() {
    let found = Reader::new(File::at("/proc/uptime")).poll(Deadline::within(Duration::ZERO));
    assert_eq!(failure(found).reason, Reason::Timeout);
}

fn facts(found: &Found) -> FileFacts {
    found.file.expect("file facts")
}

#[test]
fn file_without_format_is_not_read_and_may_be_absent() {
    let scratch = Scratch::new("flag");
    let flag = File {
        format: None,
        missing: Missing::Ok,
        max_bytes: 1,
        ..File::at(scratch.file("flag"))
    };
    let mut reader = Reader::new(flag.clone());
    let mut check = || reader.poll(Deadline::within(AMPLE));
    let found = check();
    assert_eq!(found.outcome, Ok(Content::Nothing));
    let not_there = FileFacts {
        exists: false,
        mtime_age: None,
    };
    assert_eq!(facts(&found), not_there);
    let _ = scratch.write("flag", "more than one byte");
    let found = check();
    assert_eq!(
        (found.text.as_deref(), &found.outcome),
        (None, &Ok(Content::Nothing))
    );
    assert!(facts(&found).exists);
    fs::remove_file(&flag.path).unwrap();
    assert_eq!(facts(&check()), not_there);
    // A directory in the flag's place is not the flag.
    fs::create_dir(&flag.path).unwrap();
    let found = check();
    assert_eq!(
        (found.outcome.unwrap_err().reason, found.file),
        (Reason::Other, None)
    );
}

#[test]
fn absent_file_is_a_failure_unless_it_may_be_absent() {
    let scratch = Scratch::new("missing");
    let path = scratch.file("load");
    let with = |missing| File {
        format: Some(Format::Number),
        missing,
        ..File::at(&path)
    };
    let poll = |file: File| Reader::new(file).poll(Deadline::within(AMPLE));
    let found = poll(with(Missing::Fail));
    assert!(!facts(&found).exists);
    assert_eq!(found.outcome.unwrap_err().reason, Reason::Missing);
    let found = poll(with(Missing::Ok));
    assert!(!facts(&found).exists);
    assert_eq!((found.text, found.outcome), (None, Ok(Content::Nothing)));
    let _ = scratch.write("load", "7");
    let found = poll(with(Missing::Ok));
    assert_eq!(found.outcome, Ok(Content::Number(7.0)));
}

#[test]
fn age_follows_the_last_change() {
    let scratch = Scratch::new("age");
    let path = scratch.write("beat", "x");
    let file = File {
        format: None,
        ..File::at(&path)
    };
    let mut reader = Reader::new(file);
    let mut age_of = |touched: &str| {
        let set = Command::new("touch")
            .args(["-d", touched])
            .arg(&path)
            .status();
        assert!(set.unwrap().success());
        let found = reader.poll(Deadline::within(AMPLE));
        facts(&found).mtime_age.unwrap()
    };
    let hour = age_of("1 hour ago");
    assert!((3590.0..3900.0).contains(&hour), "{hour}");
    assert!(age_of("now") < 300.0);
    assert_eq!(age_of("1 day"), 0.0);
    assert!(age_of("1960-01-01") > 1e9);
}
