//! What has to hold for every byte string there is: one property for each room that reads bytes from
//! outside. Used by the fuzz targets beside this file and, with the corpus, by the normal tests.
// Each target uses one of them, and no other crate does.
#![allow(dead_code, unreachable_pub)]

use agentcheck_common::reply::MAX_LINE;
use agentcheck_common::{BootId, BootTime, Reply};
use agentcheck_responder::answer::{Unread, Wanted, answer};
use agentcheck_responder::arguments::{self, Command};
use agentcheck_responder::ask::FirstLine;
use agentcheck_responder::name::Name;

const BOOT: &[u8] = b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";

/// One line of at most 500 bytes that ends in a newline: a reply of the grammar, or a freezing word.
fn check_line(line: &[u8], is_reply: bool) {
    assert!(line.len() <= MAX_LINE);
    let text = line.strip_suffix(b"\n").expect("it ends in a newline");
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

/// Whatever a state file holds, whenever it is read.
pub fn state(file: &[u8]) {
    let web = Name::parse(b"web").expect("a name");
    let boot = BootId::parse(BOOT);
    for now in [0, 1000, 1999, 2000, u64::MAX] {
        for wanted in [Wanted::Configured(web), Wanted::Asked(web)] {
            let answer = answer(&wanted, Ok(file), boot.as_ref(), BootTime(now), None);
            check_line(answer.line.as_bytes(), answer.reason.is_none());
        }
    }
}

/// Whatever a client sends, in one piece or byte by byte.
pub fn name(sent: &[u8]) {
    let mut line = FirstLine::EMPTY;
    let mut in_bytes = FirstLine::EMPTY;
    line.take(sent);
    for byte in sent {
        in_bytes.take(&[*byte]);
    }
    assert_eq!(line.late(), in_bytes.late());
    assert_eq!(line.closed(), in_bytes.closed());
    for asked in [line.late(), line.closed()] {
        let wanted = asked.wanted(Name::parse(b"silent"));
        if let Wanted::Asked(name) = wanted {
            let first = sent
                .split(|byte| matches!(byte, b'\n' | b'\r'))
                .next()
                .unwrap_or_default();
            assert_eq!(first.trim_ascii(), name.as_bytes());
        }
        assert_eq!(matches!(wanted, Wanted::Configured(_)), sent.is_empty());
        let answer = answer(&wanted, Err(Unread::Absent), None, BootTime(0), None);
        check_line(answer.line.as_bytes(), false);
    }
}

/// Whatever the arguments are, NUL between them.
pub fn arguments(bytes: &[u8]) {
    if let Ok(Command::Answer(parsed)) = arguments::parse(bytes.split(|byte| *byte == 0)) {
        assert!((1..=arguments::MAX_STATE_DIR).contains(&parsed.state_dir.len()));
        let web = Name::parse(b"web").expect("a name");
        let absent = Err(Unread::Absent);
        let answer = answer(
            &Wanted::Configured(web),
            absent,
            None,
            BootTime(0),
            parsed.fallback,
        );
        check_line(answer.line.as_bytes(), parsed.fallback.is_some());
    }
}
