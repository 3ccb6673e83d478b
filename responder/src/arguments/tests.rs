use super::*;
use proptest::prelude::*;

fn parsed<'a>(arguments: &[&'a str]) -> (Result<Command, UsageError<'a>>, Arguments<'a>) {
    let mut parsed = Arguments::defaults();
    let arguments = arguments.iter().map(|argument| argument.as_bytes());
    (parse(arguments, &mut parsed), parsed)
}

fn answer<'a>(arguments: &[&'a str]) -> Arguments<'a> {
    let (command, parsed) = parsed(arguments);
    assert_eq!(command, Ok(Command::Answer), "{arguments:?}");
    parsed
}

fn name(text: &str) -> NameRef<'_> {
    NameRef::parse(text.as_bytes()).unwrap()
}

#[test]
fn service_is_named_or_from_client() {
    assert_eq!(answer(&[]), Arguments::defaults());
    assert_eq!(answer(&["web"]).service, Service::Named(name("web")));
    assert_eq!(answer(&["--", "web"]).service, Service::Named(name("web")));
    assert_eq!(
        answer(&["--name-from-client"]).service,
        Service::FromClient { default: None }
    );
    let with_default = Service::FromClient {
        default: Some(name("web")),
    };
    assert_eq!(
        answer(&["--name-from-client", "--default-service", "web"]).service,
        with_default
    );
    assert_eq!(
        answer(&["--default-service=web", "--name-from-client"]).service,
        with_default
    );
}

#[test]
fn options_take_their_values_in_both_forms() {
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
    assert_eq!(all.idle, Some(Duration::from_secs(90)));
    assert_eq!(answer(&["--state-dir=a", "--state-dir=b"]).state_dir, b"b");
    assert_eq!(parsed(&["--help", "--nonsense"]).0, Ok(Command::Help));
    assert_eq!(parsed(&["-V"]).0, Ok(Command::Version));
}

#[test]
fn http_options_enable_http() {
    assert!(!answer(&["web"]).http.enabled);
    let http = answer(&["--http", "web"]).http;
    assert!(http.enabled && !http.documents && !http.fallback_is_ok && !http.drain_is_not_found);
    for (argument, expected) in [
        ("--http-documents", [true, false, false]),
        ("--http-fallback=200", [false, true, false]),
        ("--http-fallback=503", [false, false, false]),
        ("--http-drain-status=404", [false, false, true]),
        ("--http-drain-status=503", [false, false, false]),
    ] {
        let http = answer(&[argument]).http;
        let found = [http.documents, http.fallback_is_ok, http.drain_is_not_found];
        assert!(http.enabled && found == expected, "{argument}");
    }
}

#[test]
fn idle_is_a_duration_or_off() {
    for (text, milliseconds) in [
        ("1ms", 1),
        ("2s", 2_000),
        ("3m", 180_000),
        ("3min", 180_000),
        ("1h", 3_600_000),
        ("1d", 86_400_000),
    ] {
        let expected = Some(Duration::from_millis(milliseconds));
        assert_eq!(idle(text.as_bytes()), expected, "{text:?}");
    }
    assert_eq!(idle(b"off"), Some(Duration::MAX));
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
fn usage_errors_name_the_argument_and_the_reason() {
    let long = "x".repeat(MAX_STATE_DIR + 1);
    let many = vec!["--listen=*:1"; MAX_LISTEN + 1];
    let table: &[(&[&str], &str, &str)] = &[
        (&["web", "api"], "api", "only one NAME"),
        (&["../web"], "../web", "write a service name"),
        (&[""], "", "write a service name"),
        (
            &["web", "--name-from-client"],
            "--name-from-client",
            "either NAME",
        ),
        (
            &["--default-service", "web"],
            "--default-service",
            "requires --name-from-client",
        ),
        (
            &["web", "--default-service=web"],
            "--default-service=web",
            "requires --name-from-client",
        ),
        (
            &["--name-from-client", "--default-service=a/b"],
            "--default-service=a/b",
            "write a service name",
        ),
        (
            &["--name-from-client=web"],
            "--name-from-client=web",
            "takes no value",
        ),
        (&["--bogus"], "--bogus", "unknown option"),
        (&["--bogus=1"], "--bogus=1", "unknown option"),
        (&["-x"], "-x", "unknown option"),
        (&["-"], "-", "unknown option"),
        (&["--fallback"], "--fallback", "requires a value"),
        (
            &["--fallback", "halfway"],
            "--fallback",
            "does not understand",
        ),
        (&["--fallback="], "--fallback=", "does not understand"),
        (&["--state-dir="], "--state-dir=", "1 to 900"),
        (&["--state-dir", &long], "--state-dir", "1 to 900"),
        (&["--listen", "nowhere"], "--listen", "write IPV4:PORT"),
        (&many, "--listen=*:1", "at most 16"),
        (&["--idle", "5"], "--idle", "write a number"),
        (&["--http=1"], "--http=1", "takes no value"),
        (
            &["--http-fallback", "404"],
            "--http-fallback",
            "write 503 or 200",
        ),
        (
            &["--http-drain-status=200"],
            "--http-drain-status=200",
            "write 503 or 404",
        ),
    ];
    for (arguments, argument, reason) in table {
        let (result, parsed) = parsed(arguments);
        let error = result.expect_err(&format!("{arguments:?}"));
        assert_eq!(error.argument, argument.as_bytes());
        let text = std::str::from_utf8(error.reason.text()).unwrap();
        assert!(text.contains(reason), "{arguments:?}: {text}");
        let defaults = Arguments {
            service: Service::Invalid,
            ..Arguments::defaults()
        };
        assert_eq!(parsed, defaults, "{arguments:?}");
    }
}

proptest! {
    /// Any command line is parsed or refused without a panic.
    #[test]
    fn any_arguments_are_parsed_or_refused(
        arguments in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                "--(name-from-client|default-service|state-dir|fallback|listen|idle|help|http|http-fallback|http-documents)(=[a-z0-9:*%. ]{0,9})?"
                    .prop_map(String::into_bytes),
            ],
            0..6,
        ),
    ) {
        let _ = parse(arguments.iter().map(Vec::as_slice), &mut Arguments::defaults());
    }
}
