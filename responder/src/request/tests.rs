use super::*;
use proptest::prelude::*;

fn name(text: &str) -> NameRef<'_> {
    NameRef::parse(text.as_bytes()).unwrap()
}

fn request(bytes: &[u8]) -> Request {
    let mut request = Request::new(false);
    assert!(request.push(bytes), "{bytes:?}");
    request
}

fn agent(parsed: Parsed<'_>) -> ParsedName<'_> {
    match parsed {
        Parsed::Agent(name) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn first_line_is_the_name() {
    for sent in [
        "web\n",
        "web\r",
        "web\r\n",
        " web \n",
        "\tweb\t\r\n",
        "web\napi\n",
        "web\n\0",
    ] {
        assert_eq!(
            agent(request(sent.as_bytes()).parse()),
            ParsedName::Name(name("web")),
            "{sent:?}"
        );
        // A complete line remains a name after the timeout.
        assert_eq!(
            agent(request(sent.as_bytes()).parse_at_timeout()),
            ParsedName::Name(name("web")),
            "{sent:?}"
        );
    }
}

#[test]
fn line_without_end_is_never_a_name() {
    let mut request = Request::new(false);
    assert_eq!(agent(request.parse_at_timeout()), ParsedName::Nothing);
    assert!(!request.push(b"we"));
    assert_eq!(
        agent(request.parse_at_timeout()),
        ParsedName::Unterminated(name("we"))
    );
    assert!(!request.push(b""));
    assert!(!request.push(b"b"));
    assert_eq!(agent(request.parse()), ParsedName::Name(name("web")));
    assert!(request.push(b"-admin\n"));
    assert_eq!(agent(request.parse()), ParsedName::Name(name("web-admin")));
}

#[test]
fn invalid_names_are_refused() {
    let assert_invalid = |bytes: &[u8]| {
        let parsed = request(bytes);
        assert_eq!(agent(parsed.parse()), ParsedName::Invalid, "{bytes:?}");
    };
    let lines = [
        "..\n",
        "../web\n",
        "/etc/passwd\n",
        "web api\n",
        "w\0b\n",
        "web\0\n",
        "\u{7f}\n",
    ];
    lines
        .iter()
        .for_each(|line| assert_invalid(line.as_bytes()));
    assert_invalid(b"\xff\xfe\n");
    assert_invalid(format!("{}\n", "x".repeat(65)).as_bytes());
    assert_invalid("x".repeat(14_000).as_bytes());
    assert_invalid(" ".repeat(129).as_bytes());
    for empty in ["\n", "\r\n", "  \n"] {
        assert_eq!(
            agent(request(empty.as_bytes()).parse()),
            ParsedName::Empty,
            "{empty:?}"
        );
    }
}

#[test]
fn default_service_applies_only_to_clients_that_send_nothing() {
    let web = name("web");
    let empty = Request::new(false);
    let silent = agent(empty.parse_at_timeout());
    assert_eq!(silent.target(Some(web)), Target::Configured(web));
    assert_eq!(silent.target(None), Target::Unnamed(NoName::NotSent));
    for sent in ["\n", "we", " ", "..\n", "we be"] {
        let mut request = Request::new(false);
        request.push(sent.as_bytes());
        let parsed = agent(request.parse_at_timeout());
        assert!(
            matches!(parsed.target(Some(web)), Target::Unnamed(_)),
            "{sent:?}"
        );
    }
}

/// A request with `--http`, and whether it is complete.
fn http(sent: &[u8]) -> (Request, bool) {
    let mut request = Request::new(true);
    let is_complete = request.push(sent);
    (request, is_complete)
}

#[test]
fn request_line_and_empty_line_are_an_http_request() {
    for sent in [
        "GET /web HTTP/1.1\r\n\r\n",
        "GET /web HTTP/1.0\n\n",
        "GET /web HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\nGET /api HTTP/1.1\r\n\r\n",
    ] {
        let (request, is_complete) = http(sent.as_bytes());
        assert!(is_complete, "{sent:?}");
        for parsed in [request.parse(), request.parse_at_timeout()] {
            let Parsed::Http(line) = parsed else {
                panic!("{sent:?}: {parsed:?}");
            };
            assert_eq!((line.method, line.target), (&b"GET"[..], &b"/web"[..]));
        }
        // Without `--http` it is agent-send.
        assert_eq!(agent(request_without_http(sent)), ParsedName::Invalid);
    }
}

fn request_without_http(sent: &str) -> Parsed<'static> {
    let mut request = Request::new(false);
    assert!(request.push(sent.as_bytes()));
    match request.parse() {
        Parsed::Agent(ParsedName::Invalid) => Parsed::Agent(ParsedName::Invalid),
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_lines_are_agent_send_with_http_too() {
    for sent in ["web\n", " web \r\n", "GET\n"] {
        let (request, is_complete) = http(sent.as_bytes());
        assert!(is_complete);
        let name = name(sent.trim());
        assert_eq!(request.parse(), Parsed::Agent(ParsedName::Name(name)));
    }
    let long = [b'x'; 14_000];
    let (request, is_complete) = http(&long);
    assert!(is_complete);
    assert_eq!(request.parse(), Parsed::Agent(ParsedName::Invalid));
    // Nor is a long line that begins like a request a name.
    for end in ["", "\n"] {
        let sent = format!("WEB {}x{}{end}", " ".repeat(115), " ".repeat(30));
        let (request, _) = http(sent.as_bytes());
        assert_eq!(request.parse(), Parsed::Agent(ParsedName::Invalid));
    }
    let (request, is_complete) = http(b"web");
    assert!(!is_complete);
    let unterminated = ParsedName::Unterminated(name("web"));
    assert_eq!(request.parse_at_timeout(), Parsed::Agent(unterminated));
    let (request, _) = http(b"");
    assert_eq!(
        request.parse_at_timeout(),
        Parsed::Agent(ParsedName::Nothing)
    );
}

#[test]
fn incomplete_http_requests_are_errors() {
    for sent in [
        "GET ",
        "GET /web HTTP/1.",
        "GET /web HTTP/1.1",
        "GET /web HTTP/1.1\r\n",
        "GET /web HTTP/1.1\r\nHost: a\r\n",
    ] {
        let (request, is_complete) = http(sent.as_bytes());
        assert!(!is_complete, "{sent:?}");
        let timeout = Parsed::HttpError(Status::RequestTimeout);
        assert_eq!(request.parse_at_timeout(), timeout, "{sent:?}");
        if sent.contains("1.1") {
            let bad = Parsed::HttpError(Status::BadRequest);
            assert_eq!(request.parse(), bad, "{sent:?}");
        }
    }
    let (request, is_complete) = http(b"GET /web HTTP/1.1\r\nHost: \0\r\n\r\n");
    assert!(is_complete);
    assert_eq!(request.parse(), Parsed::HttpError(Status::BadRequest));
}

/// A longer target keeps its beginning and the version; an endless one is invalid.
#[test]
fn long_request_lines_are_bounded() {
    for length in 100..1000 {
        let sent = format!("GET /web?{} HTTP/1.1\r\n\r\n", "x".repeat(length));
        let (request, is_complete) = http(sent.as_bytes());
        assert!(is_complete);
        let Parsed::Http(line) = request.parse() else {
            panic!("{length}");
        };
        let resource = line.resource(&http::Options::default());
        assert_eq!(
            resource,
            Ok((Some(name("web")), Content::Reply)),
            "{length}"
        );
        let sent = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(length));
        let (request, _) = http(sent.as_bytes());
        let Parsed::Http(line) = request.parse() else {
            panic!("{length}");
        };
        let resource = line.resource(&http::Options::default());
        assert_eq!(resource, Err(Status::NotFound), "{length}");
    }
    let (mut request, is_complete) = http(b"GET /");
    assert!(!is_complete);
    let mut sent = 0;
    while !request.push(b"x") {
        sent += 1;
        assert!(sent < 10_000);
    }
    assert!(sent > 8000, "{sent}");
    assert_eq!(request.parse(), Parsed::HttpError(Status::BadRequest));
    assert_eq!(
        request.parse_at_timeout(),
        Parsed::HttpError(Status::BadRequest)
    );
}

#[test]
fn configured_service_answers_on_every_path() {
    let options = http::Options {
        enabled: true,
        ..http::Options::default()
    };
    let web = name("web");
    for (target, content) in [
        ("/", Content::Reply),
        ("/any/path?x", Content::Reply),
        ("/api/weight", Content::Reply),
        ("*", Content::Reply),
        ("/web", Content::Reply),
        ("/web/weight", Content::Weight),
        ("/-/metrics", Content::Reply),
    ] {
        let line = format!("GET {target} HTTP/1.1");
        let parsed = Parsed::Http(RequestLine::parse(line.as_bytes()).unwrap());
        let reaction = parsed.reaction(Service::Named(web), &options);
        let expected = (Target::Configured(web), Some(content), true);
        let found = (reaction.target, reaction.content, reaction.has_body);
        assert_eq!(found, expected, "{target}");
        // Otherwise the path names the service.
        for service in [Service::Unnamed, Service::FromClient { default: Some(web) }] {
            let reaction = parsed.reaction(service, &options);
            assert_ne!(reaction.target, Target::Configured(web), "{target}");
        }
    }
    let parsed = Parsed::Http(RequestLine::parse(b"HEAD / HTTP/1.1").unwrap());
    let reaction = parsed.reaction(Service::Unnamed, &options);
    let not_found = Some(Content::Error(Status::NotFound));
    assert_eq!((reaction.content, reaction.has_body), (not_found, false));
}

#[test]
fn last_request_is_one_line_or_announces_the_close() {
    let close = "GET /web HTTP/1.1\r\nConnection: close\r\n\r\n";
    for (sent, expected) in [
        ("web\n", true),
        (" web \n", true),
        ("web", false),
        ("web\r", false),
        ("web\r\n", false),
        ("web\nweb\n", false),
        ("", false),
        (close, true),
        (&format!("{close}GET"), false),
        (close.trim_end(), false),
        ("GET /web HTTP/1.1\r\n\r\n", false),
        ("GET /web HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", false),
        (&"x".repeat(200), false),
        ("GET /web HTTP/1.1\r\nConnection: close\r\n\0", false),
    ] {
        assert_eq!(http(sent.as_bytes()).0.is_last(), expected, "{sent:?}");
        let mut in_bytes = Request::new(true);
        for byte in sent.bytes() {
            in_bytes.push(&[byte]);
        }
        assert_eq!(in_bytes.is_last(), expected, "{sent:?}");
    }
}

proptest! {
    /// The result does not depend on how the network splits the bytes.
    #[test]
    fn segmentation_does_not_change_the_result(
        bytes in prop_oneof![
            "[ a-z.\r\n]{0,20}".prop_map(String::into_bytes),
            "(GET|get) /?[a-z ]{0,150}( HTTP/1.1)?(\r\n)?([a-z:]{0,9}\r?\n){0,3}\r?\n?"
                .prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..300),
        ],
        cuts in prop::collection::vec(0_usize..300, 0..5),
        takes_http in any::<bool>(),
    ) {
        let mut whole = Request::new(takes_http);
        let mut split = Request::new(takes_http);
        let complete = whole.push(&bytes);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut start = 0;
        let mut complete_in_parts = false;
        for cut in cuts {
            complete_in_parts |= split.push(&bytes[start..cut]);
            start = cut;
        }
        prop_assert_eq!(complete, complete_in_parts);
        prop_assert_eq!(whole.parse(), split.parse());
        prop_assert_eq!(whole.parse_at_timeout(), split.parse_at_timeout());
        prop_assert_eq!(whole.is_last(), split.is_last());
        // A line without an end is never a name at the timeout.
        prop_assert!(
            complete || !matches!(split.parse_at_timeout(), Parsed::Agent(ParsedName::Name(_)))
        );
    }
}
