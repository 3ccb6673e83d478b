//! Properties of both codecs with random input. Decoding reverses encoding. The decoder refuses a damaged file as a
//! whole. Every line that it returns is a reply.

// A test fails at an unexpected value.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use agentcheck_common::schedule::{Schedule, Stage, StateFileError, encode};
use agentcheck_common::{
    AdministrativeState, BootId, BootTime, Description, Maxconn, OperationalState, Percent, Reply,
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
            OperationalState::Up, OperationalState::Down, OperationalState::Stopped, OperationalState::Fail,
        ])),
        administrative in option::of(select(vec![
            AdministrativeState::Ready, AdministrativeState::Drain, AdministrativeState::Maint,
        ])),
        percent in option::of((prop_oneof![0..=256_u16, 0..=Percent::MAX]).prop_map(|p| Percent::new(p).unwrap())),
        absolute in any::<bool>(),
        maxconn in option::of((0..=Maxconn::MAX).prop_map(|m| Maxconn::new(m).unwrap())),
        text in any::<String>(),
    ) -> Reply {
        // An absolute weight is at most 256. Without a weight, the reply has no form for it.
        let absolute = absolute && percent.is_some_and(|percent| percent.get() <= 256);
        Reply { operational, administrative, percent, absolute, maxconn, description: Description::lossy(&text) }
    }
}

fn replies_with_words() -> impl Strategy<Value = Reply> {
    replies().prop_filter("every reply of a schedule contains a word", |reply| {
        !reply.has_no_words()
    })
}

fn names() -> impl Strategy<Value = ServiceName> {
    "[A-Za-z0-9][A-Za-z0-9._-]{0,63}".prop_map(|name| ServiceName::parse(name.as_bytes()).unwrap())
}

#[derive(Debug, Clone)]
struct StateFile {
    name: ServiceName,
    from: BootTime,
    stages: Vec<Stage>,
    then: Reply,
    content: Vec<u8>,
}

prop_compose! {
    fn state_files()(
        name in names(),
        from in 0..u64::MAX / 2,
        durations in vec((1..u64::MAX / 64, replies_with_words()), 0..12),
        then in replies_with_words(),
    ) -> StateFile {
        let from = BootTime(from);
        let mut until = from;
        let stages: Vec<Stage> = durations
            .into_iter()
            .map(|(duration, reply)| {
                until = until.after(Duration::from_nanos(duration));
                Stage { until, reply }
            })
            .collect();
        let content = encode(&name, &boot(), from, &stages, &then).unwrap().as_bytes().to_vec();
        StateFile { name, from, stages, then, content }
    }
}

/// The reply of a state file at `now`. Checks that it is one line that is a reply.
fn reply_at(file: &[u8], name: &ServiceName, now: BootTime) -> Result<Reply, StateFileError> {
    let current = Schedule::current_reply(file, name, &boot(), now)?;
    assert!(current.line.len() < 500);
    assert!(!current.line.contains(&b'\n'));
    Ok(Reply::parse(current.line).expect("the line is a reply"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_reverses_writing(reply in replies_with_words()) {
        prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
    }

    #[test]
    fn any_line_is_rejected_or_keeps_its_meaning_when_rewritten(line in "[ ,\tupdownreaymtifls0-9%:#xMU\\PC]{0,40}") {
        if let Ok(reply) = Reply::parse(line.as_bytes()) {
            prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
        }
    }

    #[test]
    fn any_bytes_are_rejected_or_keep_their_meaning_when_rewritten(line in vec(any::<u8>(), 0..600)) {
        if let Ok(reply) = Reply::parse(&line) {
            prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
        }
    }

    #[test]
    fn reply_is_that_of_the_first_stage_that_has_not_expired(state_file in state_files(), after in 0..u64::MAX / 2) {
        let now = BootTime(state_file.from.0 + after);
        let expected = state_file
            .stages
            .iter()
            .find(|stage| now < stage.until)
            .map_or(state_file.then, |stage| stage.reply);
        prop_assert_eq!(reply_at(&state_file.content, &state_file.name, now), Ok(expected));
    }

    #[test]
    fn truncated_file_is_refused(state_file in state_files(), at in any::<Index>()) {
        let cut = &state_file.content[..at.index(state_file.content.len())];
        prop_assert_eq!(reply_at(cut, &state_file.name, state_file.from), Err(StateFileError::Malformed));
    }

    #[test]
    fn file_of_another_boot_is_refused(state_file in state_files(), at in 0..36_usize) {
        let mut id = boot().as_str().as_bytes().to_vec();
        id[at] = match id[at] { b'-' => b'-', b'0' => b'1', _ => b'0' };
        prop_assume!(id != boot().as_str().as_bytes());
        let other = BootId::parse(&id).unwrap();
        let refused = Schedule::current_reply(&state_file.content, &state_file.name, &other, state_file.from);
        prop_assert_eq!(refused, Err(StateFileError::OtherBoot));
    }

    #[test]
    fn file_from_the_future_is_refused(state_file in state_files(), early in any::<Index>()) {
        prop_assume!(state_file.from.0 > 0);
        let from = usize::try_from(state_file.from.0).unwrap();
        let now = BootTime(early.index(from) as u64);
        prop_assert_eq!(reply_at(&state_file.content, &state_file.name, now), Err(StateFileError::Future));
    }

    #[test]
    fn file_with_additional_bytes_is_refused(state_file in state_files(), junk in vec(any::<u8>(), 1..40), line in any::<Index>()) {
        let now = state_file.from;
        let mut file = [&junk[..], &state_file.content].concat();
        prop_assert_eq!(reply_at(&file, &state_file.name, now), Err(StateFileError::Malformed));
        file = [&state_file.content[..], &junk].concat();
        prop_assert_eq!(reply_at(&file, &state_file.name, now), Err(StateFileError::Malformed));

        // A line of junk between two lines. It is never a valid line at that place.
        let starts: Vec<usize> =
            (1..state_file.content.len()).filter(|at| state_file.content[at - 1] == b'\n').collect();
        if let Some(at) = (!starts.is_empty()).then(|| starts[line.index(starts.len())]) {
            file = [&state_file.content[..at], &junk, b"\n", &state_file.content[at..]].concat();
            prop_assert_eq!(reply_at(&file, &state_file.name, now), Err(StateFileError::Malformed));
        }
    }

    #[test]
    fn mutated_file_is_refused_or_gives_a_reply(
        state_file in state_files(),
        edits in vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..4),
        after in 0..u64::MAX / 2,
    ) {
        let mut file = state_file.content.clone();
        for (at, byte, kind) in edits {
            let at = at.index(file.len());
            match kind {
                0 => file[at] = byte,
                1 => file.insert(at, byte),
                _ => { file.remove(at); }
            }
        }
        // `reply_at` checks the reply.
        let _ = reply_at(&file, &state_file.name, BootTime(state_file.from.0 + after));
    }

    #[test]
    fn any_file_is_refused_or_gives_a_reply(file in vec(any::<u8>(), 0..5000), now in any::<u64>()) {
        let web = ServiceName::parse(b"web").unwrap();
        let _ = reply_at(&file, &web, BootTime(now));
    }
}
