//! One property for each module that reads bytes from outside; it must be true for all bytes. The fuzz targets use
//! them, and the normal tests with the corpus.
// Each fuzz target uses one property, and no other crate does.
#![allow(dead_code, unreachable_pub)]

use agentcheck_common::reply::MAX_LINE;
use agentcheck_common::{BootId, BootTime, Reply};
use agentcheck_responder::arguments::{self, Command};
use agentcheck_responder::name::NameRef;
use agentcheck_responder::reply::{ReadError, Target, compose};
use agentcheck_responder::request::FirstLine;

const BOOT: &[u8] = b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";

/// Checks for one line of at most 500 bytes that ends with a newline: a reply of the grammar or a no-op reply.
fn check_line(line: &[u8], is_reply: bool) {
    assert!(line.len() <= MAX_LINE);
    let text = line
        .strip_suffix(b"\n")
        .expect("the line ends with a newline");
    assert!(
        text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')),
        "one printable line"
    );
    assert_eq!(
        Reply::parse(text).is_ok(),
        is_reply,
        "{}",
        text.escape_ascii()
    );
}

/// Any state file, read at any time.
pub fn state(file: &[u8]) {
    let web = NameRef::parse(b"web").expect("a name");
    let boot = BootId::parse(BOOT);
    for now in [0, 1000, 1999, 2000, u64::MAX] {
        for target in [Target::Configured(web), Target::FromClient(web)] {
            let answer = compose(&target, Ok(file), boot.as_ref(), BootTime(now), None);
            check_line(answer.line.as_bytes(), answer.reason.is_none());
        }
    }
}

/// Any bytes from a client, in one piece and byte by byte.
pub fn request(sent: &[u8]) {
    let mut line = FirstLine::EMPTY;
    let mut in_bytes = FirstLine::EMPTY;
    line.push(sent);
    for byte in sent {
        in_bytes.push(&[*byte]);
    }
    assert_eq!(line.parse_at_timeout(), in_bytes.parse_at_timeout());
    assert_eq!(line.parse(), in_bytes.parse());
    for parsed in [line.parse_at_timeout(), line.parse()] {
        let target = parsed.target(NameRef::parse(b"silent"));
        if let Target::FromClient(name) = target {
            let first = sent
                .split(|byte| matches!(byte, b'\n' | b'\r'))
                .next()
                .unwrap_or_default();
            assert_eq!(first.trim_ascii(), name.as_bytes());
        }
        assert_eq!(matches!(target, Target::Configured(_)), sent.is_empty());
        let answer = compose(&target, Err(ReadError::Absent), None, BootTime(0), None);
        check_line(answer.line.as_bytes(), false);
    }
}

/// Any arguments, separated by NUL.
pub fn arguments(bytes: &[u8]) {
    if let Ok(Command::Answer(parsed)) = arguments::parse(bytes.split(|byte| *byte == 0)) {
        assert!((1..=arguments::MAX_STATE_DIR).contains(&parsed.state_dir.len()));
        let web = NameRef::parse(b"web").expect("a name");
        let absent = Err(ReadError::Absent);
        let answer = compose(
            &Target::Configured(web),
            absent,
            None,
            BootTime(0),
            parsed.fallback,
        );
        check_line(answer.line.as_bytes(), parsed.fallback.is_some());
    }
}
