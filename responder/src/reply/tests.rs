use super::*;
use agentcheck_common::Reply;
use agentcheck_common::reply::MAX_LINE;
use proptest::prelude::*;

const BOOT: &[u8] = b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";
const FILE: &str = "agentcheck 1 web\nboot 6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\nfrom 1000\n\
    until 2000 up 73% # rps=1890\nthen up 40% # stale\n";
/// Every no-op word; some are followed by a colon and a name.
const NO_OP_WORDS: [&str; 12] = [
    "no-name",
    "bad-name",
    "bad-arguments",
    "no-newline",
    "unknown",
    "no-state",
    "unreadable",
    "no-descriptor",
    "bad-state",
    "no-boot-id",
    "other-boot",
    "future",
];

fn name(text: &str) -> NameRef<'_> {
    NameRef::parse(text.as_bytes()).unwrap()
}

/// The line that is sent for an answer.
fn line(answer: &Answer<'_>) -> Vec<u8> {
    let mut out = Text::EMPTY;
    answer.push_line(&mut out);
    out.as_bytes().to_vec()
}

fn reply(target: Target<'_>, file: Result<&[u8], Reason>, fallback: Option<&str>) -> String {
    let boot = BootId::parse(BOOT);
    let fallback = fallback.map(|line| Fallback::parse(line.as_bytes()).unwrap());
    let answer = compose(&target, file, boot.as_ref(), BootTime(1500), fallback);
    String::from_utf8(line(&answer)).unwrap()
}

#[test]
fn valid_file_gives_its_reply() {
    let web = name("web");
    for target in [Target::Configured(web), Target::FromClient(web)] {
        let line = reply(target, Ok(FILE.as_bytes()), Some("down"));
        assert_eq!(line, "up 73% # rps=1890\n");
    }
}

/// One row for each reason: the reply for a configured service and for one that the client named, and both again
/// with a fallback.
#[test]
fn no_op_replies_and_where_the_fallback_applies() {
    let other_name = FILE.replace(" web\n", " api\n");
    let other_boot = FILE.replace("6e3f", "7e3f");
    let future = FILE.replace("from 1000", "from 1600");
    #[allow(clippy::type_complexity)]
    let table: [(Result<&[u8], Reason>, &str, &str, bool); 9] = [
        (Err(Reason::ABSENT), "no-state", "unknown", false),
        (Err(Reason::NOT_A_FILE), "unreadable", "unreadable", false),
        (Err(Reason(13)), "unreadable", "unreadable", false),
        (
            Err(Reason::NO_DESCRIPTOR),
            "no-descriptor",
            "no-descriptor",
            false,
        ),
        (Err(Reason::TOO_LONG), "bad-state", "bad-state", true),
        (Ok(b""), "bad-state", "bad-state", true),
        (Ok(other_name.as_bytes()), "bad-state", "bad-state", true),
        (Ok(other_boot.as_bytes()), "other-boot", "other-boot", true),
        (Ok(future.as_bytes()), "future", "future", true),
    ];
    let web = name("web");
    for (file, configured, named, fallback_for_named) in table {
        let target = Target::Configured(web);
        assert_eq!(reply(target, file, None), format!("{configured}:web\n"));
        assert_eq!(reply(target, file, Some("up 50%")), "up 50%\n");
        let target = Target::FromClient(web);
        let no_op = format!("{named}:web\n");
        assert_eq!(reply(target, file, None), no_op);
        let with_fallback = if fallback_for_named {
            "up 50%\n"
        } else {
            &no_op
        };
        assert_eq!(reply(target, file, Some("up 50%")), with_fallback);
    }
}

#[test]
fn target_without_name_gives_no_op_reply() {
    let we = name("we");
    for (cause, line, has_fallback) in [
        (NoName::NotConfigured, "no-name\n", true),
        (NoName::NotSent, "no-name\n", false),
        (NoName::Invalid, "bad-name\n", false),
        (NoName::Unterminated(we), "no-newline:we\n", false),
        (NoName::BadArguments, "bad-arguments\n", false),
    ] {
        // The file is not used, even if it is valid.
        let file = Ok(FILE.as_bytes());
        assert_eq!(reply(Target::Unnamed(cause), file, None), line);
        let expected = if has_fallback { "drain\n" } else { line };
        assert_eq!(reply(Target::Unnamed(cause), file, Some("drain")), expected);
    }
}

#[test]
fn missing_boot_id_gives_no_op_reply() {
    let web = name("web");
    let reply = |file: &str| {
        let target = Target::Configured(web);
        let answer = compose(&target, Ok(file.as_bytes()), None, BootTime(1500), None);
        String::from_utf8(line(&answer)).unwrap()
    };
    assert_eq!(reply(FILE), "no-boot-id:web\n");
    assert_eq!(reply("junk"), "bad-state:web\n");
    assert_eq!(reply(&FILE.replace(" web\n", " api\n")), "bad-state:web\n");
}

#[test]
fn fallback_must_be_a_line_that_haproxy_understands() {
    for good in [
        "up 50%",
        "drain",
        "up\t50%",
        "up ready 100% # no news",
        "maxconn:5",
    ] {
        assert!(Fallback::parse(good.as_bytes()).is_some(), "{good:?}");
    }
    for bad in [
        "", "#", "no-state", "up\n", "up # x\n", "up # x\r", "up\0", "up\ndown",
    ] {
        assert!(Fallback::parse(bad.as_bytes()).is_none(), "{bad:?}");
    }
}

#[test]
fn haproxy_knows_no_no_op_word() {
    for word in NO_OP_WORDS {
        for line in [word.to_owned(), format!("{word}:up"), format!("{word}:100")] {
            assert!(Reply::parse(line.as_bytes()).is_err(), "{line}");
            assert!(!line.contains([' ', ',', '\t', '#', '%']));
        }
    }
}

fn is_no_op(line: &str) -> bool {
    let (word, name) = line.split_once(':').unwrap_or((line, "x"));
    NO_OP_WORDS.contains(&word) && NameRef::parse(name.as_bytes()).is_some()
}

/// `FILE` with bytes replaced, inserted or cut off.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (0..FILE.len(), any::<u8>(), 0..3);
    prop::collection::vec(change, 0..4).prop_map(|changes| {
        let mut file = FILE.as_bytes().to_vec();
        for (at, byte, kind) in changes {
            let at = at.min(file.len());
            match kind {
                0 => file.insert(at, byte),
                1 => file.truncate(at),
                _ => {
                    if let Some(slot) = file.get_mut(at) {
                        *slot = byte;
                    }
                }
            }
        }
        file
    })
}

fn check_line(line: &[u8], may_be_reply: bool) -> Result<(), TestCaseError> {
    prop_assert!(line.len() <= MAX_LINE);
    let text = line.strip_suffix(b"\n").unwrap();
    prop_assert!(text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')));
    let no_op = is_no_op(std::str::from_utf8(text).unwrap());
    prop_assert!(
        no_op || (may_be_reply && Reply::parse(text).is_ok()),
        "{text:?}"
    );
    Ok(())
}

proptest! {
    /// For any file the answer is one line of at most 500 bytes that ends in a newline: a reply of the grammar or a
    /// no-op reply.
    #[test]
    fn any_file_gives_one_valid_line(
        other in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        kind in 0..5,
        file in prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..600)],
        now in any::<u64>(),
        with_boot in any::<bool>(),
        with_fallback in any::<bool>(),
    ) {
        let (web, other) = (name("web"), name(&other));
        let target = match kind {
            0 => Target::Configured(web),
            1 => Target::Configured(other),
            2 => Target::FromClient(other),
            3 => Target::Unnamed(NoName::Unterminated(other)),
            _ => Target::Unnamed(NoName::Invalid),
        };
        let boot = BootId::parse(BOOT).filter(|_| with_boot);
        let fallback = Fallback::parse(b"up 50% # fallback").filter(|_| with_fallback);
        let answer = compose(&target, Ok(&file), boot.as_ref(), BootTime(now), fallback);
        check_line(&line(&answer), true)?;
    }

    /// Any text is refused as a fallback, or becomes one line that HAProxy understands.
    #[test]
    fn any_fallback_is_refused_or_one_valid_line(text in "[ -~\\t\\r\\n]{0,40}|(up|down) [0-9]{1,3}%[ #a-z\\r\\n]{0,9}") {
        if let Some(fallback) = Fallback::parse(text.as_bytes()) {
            let web = name("web");
            let target = Target::Configured(web);
            let absent = Err(Reason::ABSENT);
            let answer = compose(&target, absent, None, BootTime(0), Some(fallback));
            let line = line(&answer);
            prop_assert!(Reply::parse(line.strip_suffix(b"\n").unwrap()).is_ok());
            check_line(&line, true)?;
        }
    }
}
