//! Properties of both codecs over random input: an encoded value is read back, a damaged file is refused as a whole,
//! and the output is always a reply.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test asserts in the shortest way

use agentcheck_common::schedule::{Refused, Schedule, Stage, encode};
use agentcheck_common::{
    Administrative, BootId, BootTime, Description, Maxconn, Operational, Percent, Reply,
    ServiceName,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::time::Duration;

fn boot() -> BootId {
    BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap()
}

prop_compose! {
    fn replies()(
        operational in option::of(select(vec![
            Operational::Up, Operational::Down, Operational::Stopped, Operational::Fail,
        ])),
        administrative in option::of(select(vec![
            Administrative::Ready, Administrative::Drain, Administrative::Maint,
        ])),
        percent in option::of((prop_oneof![0..=256_u16, 0..=Percent::MAX]).prop_map(|p| Percent::new(p).unwrap())),
        absolute in any::<bool>(),
        maxconn in option::of((0..=Maxconn::MAX).prop_map(|m| Maxconn::new(m).unwrap())),
        text in any::<String>(),
    ) -> Reply {
        // A weight is at most 256; without one there is no form.
        let absolute = absolute && percent.is_some_and(|percent| percent.get() <= 256);
        Reply { operational, administrative, percent, absolute, maxconn, description: Description::lossy(&text) }
    }
}

fn non_empty_replies() -> impl Strategy<Value = Reply> {
    replies().prop_filter("a schedule has no silent replies", |reply| {
        !reply.is_empty()
    })
}

fn names() -> impl Strategy<Value = ServiceName> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,63}".prop_map(|name| ServiceName::parse(name.as_bytes()).unwrap())
}

#[derive(Debug, Clone)]
struct Written {
    name: ServiceName,
    from: BootTime,
    stages: Vec<Stage>,
    then: Reply,
    file: Vec<u8>,
}

prop_compose! {
    fn schedules()(
        name in names(),
        from in 0..u64::MAX / 2,
        spans in vec((1..u64::MAX / 64, non_empty_replies()), 0..12),
        then in non_empty_replies(),
    ) -> Written {
        let from = BootTime(from);
        let mut until = from;
        let stages: Vec<Stage> = spans
            .into_iter()
            .map(|(span, reply)| {
                until = until.after(Duration::from_nanos(span));
                Stage { until, reply }
            })
            .collect();
        let file = encode(&name, &boot(), from, &stages, &then).unwrap().as_bytes().to_vec();
        Written { name, from, stages, then, file }
    }
}

/// What a responder would print, checked to be a reply of the grammar.
fn reply_line(file: &[u8], name: &ServiceName, now: BootTime) -> Result<Reply, Refused> {
    let picked = Schedule::pick_from(file, name, &boot(), now)?;
    assert!(picked.line.len() < 500);
    assert!(!picked.line.contains(&b'\n'));
    Ok(Reply::parse(picked.line).expect("a picked line is a reply"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reply_is_read_back(reply in non_empty_replies()) {
        prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
    }

    #[test]
    fn any_line_is_refused_or_read_back(line in "[ ,\tupdownreaymtifls0-9%:#xMU\\PC]{0,40}") {
        if let Ok(reply) = Reply::parse(line.as_bytes()) {
            prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_back(line in vec(any::<u8>(), 0..600)) {
        if let Ok(reply) = Reply::parse(&line) {
            prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
        }
    }

    #[test]
    fn schedule_returns_the_written_reply(written in schedules(), after in 0..u64::MAX / 2) {
        let now = BootTime(written.from.0 + after);
        let expected = written
            .stages
            .iter()
            .find(|stage| now < stage.until)
            .map_or(written.then, |stage| stage.reply);
        prop_assert_eq!(reply_line(&written.file, &written.name, now), Ok(expected));
    }

    #[test]
    fn a_truncated_schedule_is_refused(written in schedules(), at in any::<Index>()) {
        let cut = &written.file[..at.index(written.file.len())];
        prop_assert_eq!(reply_line(cut, &written.name, written.from), Err(Refused::Malformed));
    }

    #[test]
    fn another_boot_is_refused(written in schedules(), at in 0..36_usize) {
        let mut id = boot().as_str().as_bytes().to_vec();
        id[at] = match id[at] { b'-' => b'-', b'0' => b'1', _ => b'0' };
        prop_assume!(id != boot().as_str().as_bytes());
        let other = BootId::parse(&id).unwrap();
        let refused = Schedule::pick_from(&written.file, &written.name, &other, written.from);
        prop_assert_eq!(refused, Err(Refused::OtherBoot));
    }

    #[test]
    fn a_time_before_from_is_refused(written in schedules(), early in any::<Index>()) {
        prop_assume!(written.from.0 > 0);
        let from = usize::try_from(written.from.0).unwrap();
        let now = BootTime(early.index(from) as u64);
        prop_assert_eq!(reply_line(&written.file, &written.name, now), Err(Refused::Future));
    }

    #[test]
    fn junk_is_refused(written in schedules(), junk in vec(any::<u8>(), 1..40), line in any::<Index>()) {
        let now = written.from;
        let mut file = [&junk[..], &written.file].concat();
        prop_assert_eq!(reply_line(&file, &written.name, now), Err(Refused::Malformed));
        file = [&written.file[..], &junk].concat();
        prop_assert_eq!(reply_line(&file, &written.name, now), Err(Refused::Malformed));

        // A line of junk between two lines, which is never a valid line there.
        let starts: Vec<usize> =
            (1..written.file.len()).filter(|at| written.file[at - 1] == b'\n').collect();
        if let Some(at) = (!starts.is_empty()).then(|| starts[line.index(starts.len())]) {
            file = [&written.file[..at], &junk, b"\n", &written.file[at..]].concat();
            prop_assert_eq!(reply_line(&file, &written.name, now), Err(Refused::Malformed));
        }
    }

    #[test]
    fn mutated_schedule_is_refused_or_gives_a_valid_reply(
        written in schedules(),
        edits in vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..4),
        after in 0..u64::MAX / 2,
    ) {
        let mut file = written.file.clone();
        for (at, byte, kind) in edits {
            let at = at.index(file.len());
            match kind {
                0 => file[at] = byte,
                1 => file.insert(at, byte),
                _ => { file.remove(at); }
            }
        }
        // `reply_line` itself asserts that the result is one line of the grammar.
        let _ = reply_line(&file, &written.name, BootTime(written.from.0 + after));
    }

    #[test]
    fn any_bytes_are_refused_or_give_a_valid_reply(file in vec(any::<u8>(), 0..5000), now in any::<u64>()) {
        let web = ServiceName::parse(b"web").unwrap();
        let _ = reply_line(&file, &web, BootTime(now));
    }
}
