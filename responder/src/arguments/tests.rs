use super::*;
use proptest::prelude::*;

fn parsed<'a>(arguments: &[&'a str]) -> Result<Command<'a>, Wrong<'a>> {
    parse(arguments.iter().map(|argument| argument.as_bytes()))
}

fn answer<'a>(arguments: &[&'a str]) -> Arguments<'a> {
    match parsed(arguments) {
        Ok(Command::Answer(arguments)) => arguments,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn name(text: &str) -> Name<'_> {
    Name::parse(text.as_bytes()).unwrap()
}

#[test]
fn which_service() {
    assert_eq!(answer(&[]), Arguments::none());
    assert_eq!(answer(&["web"]).service, Service::Named(name("web")));
    assert_eq!(answer(&["--", "web"]).service, Service::Named(name("web")));
    assert_eq!(answer(&["--ask"]).service, Service::Asked { silent: None });
    let silent = Service::Asked {
        silent: Some(name("web")),
    };
    assert_eq!(answer(&["--ask", "--ask-default", "web"]).service, silent);
    assert_eq!(answer(&["--ask-default=web", "--ask"]).service, silent);
}

#[test]
fn options() {
    let all = answer(&[
        "--state-dir",
        "/tmp/x",
        "--fallback=up 50% # a=b",
        "web",
        "--listen",
        "127.0.0.1:1",
        "--listen=*:2",
        "--idle",
        "90s",
    ]);
    assert_eq!(all.state_dir, b"/tmp/x");
    assert_eq!(all.fallback, Fallback::parse(b"up 50% # a=b"));
    let listen: Vec<_> = all.listen.iter().flatten().collect();
    assert_eq!(
        listen,
        [b"127.0.0.1:1".as_slice(), b"*:2"]
            .iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(all.idle, Idle::After(Duration::from_secs(90)));
    assert_eq!(answer(&["--state-dir=a", "--state-dir=b"]).state_dir, b"b");
    assert_eq!(parsed(&["--help", "--nonsense"]), Ok(Command::Help));
    assert_eq!(parsed(&["-V"]), Ok(Command::Version));
}

#[test]
fn idle_times() {
    for (text, milliseconds) in [
        ("1ms", 1),
        ("2s", 2_000),
        ("3m", 180_000),
        ("3min", 180_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ] {
        let expected = Some(Idle::After(Duration::from_millis(milliseconds)));
        assert_eq!(idle(text.as_bytes()), expected, "{text:?}");
    }
    assert_eq!(idle(b"off"), Some(Idle::Never));
    for bad in [
        "",
        "0s",
        "5",
        "s",
        "-1s",
        "1.5s",
        "1 s",
        "1S",
        "366d",
        "99999999999999999999s",
        "1sm",
    ] {
        assert_eq!(idle(bad.as_bytes()), None, "{bad:?}");
    }
}

#[test]
fn what_is_wrong() {
    let long = "x".repeat(MAX_STATE_DIR + 1);
    let many = vec!["--listen=*:1"; MAX_LISTEN + 1];
    let table: &[(&[&str], &str, &str)] = &[
        (&["web", "api"], "api", "second NAME"),
        (&["../web"], "../web", "a name is"),
        (&[""], "", "a name is"),
        (&["web", "--ask"], "--ask", "either a NAME"),
        (&["--ask-default", "web"], "--ask-default", "needs --ask"),
        (
            &["web", "--ask-default=web"],
            "--ask-default",
            "needs --ask",
        ),
        (
            &["--ask", "--ask-default=a/b"],
            "--ask-default=a/b",
            "a name is",
        ),
        (&["--ask=web"], "--ask=web", "no such option"),
        (&["--bogus"], "--bogus", "no such option"),
        (&["--bogus=1"], "--bogus=1", "no such option"),
        (&["-x"], "-x", "no such option"),
        (&["-"], "-", "no such option"),
        (&["--fallback"], "--fallback", "needs a value"),
        (&["--fallback", "halfway"], "--fallback", "not a reply"),
        (&["--fallback="], "--fallback=", "not a reply"),
        (&["--state-dir="], "--state-dir=", "1 to 900"),
        (&["--state-dir", &long], "--state-dir", "1 to 900"),
        (&["--listen", "nowhere"], "--listen", "an address is"),
        (&many, "--listen=*:1", "more than 16"),
        (&["--idle", "5"], "--idle", "a duration is"),
    ];
    for (arguments, argument, why) in table {
        let wrong = parsed(arguments).expect_err(&format!("{arguments:?}"));
        assert_eq!(wrong.argument, argument.as_bytes());
        assert!(wrong.why.contains(why), "{arguments:?}: {}", wrong.why);
    }
}

proptest! {
    /// No command line is too odd to be read or refused.
    #[test]
    fn whatever_the_arguments_are(
        arguments in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                "--(ask|ask-default|state-dir|fallback|listen|idle|help)(=[a-z0-9:*%. ]{0,9})?"
                    .prop_map(String::into_bytes),
            ],
            0..6,
        ),
    ) {
        let _ = parse(arguments.iter().map(Vec::as_slice));
    }
}
