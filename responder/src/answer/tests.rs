use super::*;
use agentcheck_common::Reply;
use proptest::prelude::*;

const BOOT: &[u8] = b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";
const FILE: &str = "agentcheck 1 web\nboot 6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\nfrom 1000\n\
    until 2000 up 73% # rps=1890\nthen up 40% # stale\n";
/// Every word that may stand before a colon and a name, or alone.
const FREEZING: [&str; 12] = [
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

fn name(text: &str) -> Name<'_> {
    Name::parse(text.as_bytes()).unwrap()
}

fn said(wanted: Wanted<'_>, file: Result<&[u8], Unread>, fallback: Option<&str>) -> String {
    let boot = BootId::parse(BOOT);
    let fallback = fallback.map(|line| Fallback::parse(line.as_bytes()).unwrap());
    let answer = answer(&wanted, file, boot.as_ref(), BootTime(1500), fallback);
    String::from_utf8(answer.line.as_bytes().to_vec()).unwrap()
}

#[test]
fn a_valid_file_is_said() {
    let web = name("web");
    for wanted in [Wanted::Configured(web), Wanted::Asked(web)] {
        let line = said(wanted, Ok(FILE.as_bytes()), Some("down"));
        assert_eq!(line, "up 73% # rps=1890\n");
    }
}

/// One row for each reason: what a configured service hears, what one that was asked for hears, and
/// both again with a fallback.
#[test]
fn freezing_words_and_what_the_fallback_covers() {
    let other_name = FILE.replace(" web\n", " api\n");
    let other_boot = FILE.replace("6e3f", "7e3f");
    let future = FILE.replace("from 1000", "from 1600");
    #[allow(clippy::type_complexity)]
    let table: [(Result<&[u8], Unread>, &str, &str, bool); 9] = [
        (Err(Unread::Absent), "no-state", "unknown", false),
        (Err(Unread::NotAFile), "unreadable", "unreadable", false),
        (Err(Unread::Error(13)), "unreadable", "unreadable", false),
        (
            Err(Unread::NoDescriptor),
            "no-descriptor",
            "no-descriptor",
            false,
        ),
        (Err(Unread::TooLong), "bad-state", "bad-state", true),
        (Ok(b""), "bad-state", "bad-state", true),
        (Ok(other_name.as_bytes()), "bad-state", "bad-state", true),
        (Ok(other_boot.as_bytes()), "other-boot", "other-boot", true),
        (Ok(future.as_bytes()), "future", "future", true),
    ];
    let web = name("web");
    for (file, configured, asked, asked_is_covered) in table {
        let wanted = Wanted::Configured(web);
        assert_eq!(said(wanted, file, None), format!("{configured}:web\n"));
        assert_eq!(said(wanted, file, Some("up 50%")), "up 50%\n");
        let wanted = Wanted::Asked(web);
        let frozen = format!("{asked}:web\n");
        assert_eq!(said(wanted, file, None), frozen);
        let with_fallback = if asked_is_covered {
            "up 50%\n"
        } else {
            &frozen
        };
        assert_eq!(said(wanted, file, Some("up 50%")), with_fallback);
    }
}

#[test]
fn without_a_name() {
    let we = name("we");
    for (why, line, covered) in [
        (NoName::NotConfigured, "no-name\n", true),
        (NoName::NotAsked, "no-name\n", false),
        (NoName::BadName, "bad-name\n", false),
        (NoName::NoNewline(we), "no-newline:we\n", false),
        (NoName::BadArguments, "bad-arguments\n", false),
    ] {
        // A file is never looked at, should there be one.
        let file = Ok(FILE.as_bytes());
        assert_eq!(said(Wanted::Nobody(why), file, None), line);
        let expected = if covered { "drain\n" } else { line };
        assert_eq!(said(Wanted::Nobody(why), file, Some("drain")), expected);
    }
}

#[test]
fn without_a_boot_id() {
    let web = name("web");
    let said = |file: &str| {
        let wanted = Wanted::Configured(web);
        let answer = answer(&wanted, Ok(file.as_bytes()), None, BootTime(1500), None);
        String::from_utf8(answer.line.as_bytes().to_vec()).unwrap()
    };
    assert_eq!(said(FILE), "no-boot-id:web\n");
    assert_eq!(said("junk"), "bad-state:web\n");
    assert_eq!(said(&FILE.replace(" web\n", " api\n")), "bad-state:web\n");
}

#[test]
fn a_fallback_is_a_line_that_haproxy_understands() {
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
fn a_line_is_one_line_and_never_too_long() {
    let long = [b'x'; 2 * MAX_LINE];
    assert_eq!(Line::of(&[&long]).as_bytes().len(), MAX_LINE);
    assert_eq!(Line::of(&[&long]).as_bytes().last(), Some(&b'\n'));
    assert_eq!(Line::of(&[b"up\r", b" 5%\n down"]).as_bytes(), b"up 5%\n");
}

#[test]
fn no_freezing_word_means_anything_to_haproxy() {
    for word in FREEZING {
        for line in [word.to_owned(), format!("{word}:up"), format!("{word}:100")] {
            assert!(Reply::parse(line.as_bytes()).is_err(), "{line}");
            assert!(!line.contains([' ', ',', '\t', '#', '%']));
        }
    }
}

fn is_freezing(line: &str) -> bool {
    let (word, name) = line.split_once(':').unwrap_or((line, "x"));
    FREEZING.contains(&word) && Name::parse(name.as_bytes()).is_some()
}

/// The shipped file with bytes replaced, cut, or put in.
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
    let frozen = is_freezing(std::str::from_utf8(text).unwrap());
    prop_assert!(
        frozen || (may_be_reply && Reply::parse(text).is_ok()),
        "{text:?}"
    );
    Ok(())
}

proptest! {
    /// Whatever the file holds: one line of at most 500 bytes ending in a newline, a reply of the
    /// grammar or a freezing word.
    #[test]
    fn whatever_the_file_holds(
        named in "[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        who in 0..5,
        file in prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..600)],
        now in any::<u64>(),
        with_boot in any::<bool>(),
        with_fallback in any::<bool>(),
    ) {
        let (web, named) = (name("web"), name(&named));
        let wanted = match who {
            0 => Wanted::Configured(web),
            1 => Wanted::Configured(named),
            2 => Wanted::Asked(named),
            3 => Wanted::Nobody(NoName::NoNewline(named)),
            _ => Wanted::Nobody(NoName::BadName),
        };
        let boot = BootId::parse(BOOT).filter(|_| with_boot);
        let fallback = Fallback::parse(b"up 50% # fallback").filter(|_| with_fallback);
        let answer = answer(&wanted, Ok(&file), boot.as_ref(), BootTime(now), fallback);
        check_line(answer.line.as_bytes(), true)?;
    }

    /// Whatever it is given as a fallback: refused, or said as one line that HAProxy understands.
    #[test]
    fn whatever_the_fallback_is(line in "[ -~\\t\\r\\n]{0,40}|(up|down) [0-9]{1,3}%[ #a-z\\r\\n]{0,9}") {
        if let Some(fallback) = Fallback::parse(line.as_bytes()) {
            let web = name("web");
            let wanted = Wanted::Configured(web);
            let absent = Err(Unread::Absent);
            let answer = answer(&wanted, absent, None, BootTime(0), Some(fallback));
            let said = answer.line.as_bytes();
            prop_assert!(Reply::parse(said.strip_suffix(b"\n").unwrap()).is_ok());
            check_line(said, true)?;
        }
    }
}
