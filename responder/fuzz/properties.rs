//! One property for each module that reads bytes from outside; it must be true for all bytes. The fuzz targets use
//! them, and the normal tests with the corpus.
// Each fuzz target uses one property, and no other crate does.
#![allow(dead_code, unreachable_pub)]

use agentcheck_common::reply::MAX_LINE;
use agentcheck_common::{BootId, BootTime, Reply};
use agentcheck_responder::arguments::{self, Arguments, Command, Service};
use agentcheck_responder::http::{Content, Options, response};
use agentcheck_responder::name::NameRef;
use agentcheck_responder::reply::{Answer, Reason, Source, Target, compose};
use agentcheck_responder::request::{Parsed, Request};
use agentcheck_responder::text::Text;

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

/// The line that the responder sends for an answer.
fn line(answer: &Answer<'_>) -> Vec<u8> {
    let mut out = Text::EMPTY;
    answer.push_line(&mut out);
    out.as_bytes().to_vec()
}

/// Checks for one well-formed HTTP response with this status, whose body is one printable line.
fn check_response(response: &[u8], has_body: bool) {
    let text = std::str::from_utf8(response).expect("ASCII");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let status = lines.next().expect("a status line");
    let code = status
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..4));
    let known = ["200 ", "400 ", "404 ", "405 ", "408 ", "503 "];
    assert!(code.is_some_and(|code| known.contains(&code)), "{status:?}");
    let fields: Vec<_> = lines
        .map(|line| line.split_once(": ").expect("a field"))
        .collect();
    let length = fields.iter().find(|field| field.0 == "Content-Length");
    let length: usize = length
        .expect("a length")
        .1
        .trim()
        .parse()
        .expect("a number");
    assert_eq!(body.len(), if has_body { length } else { 0 });
    assert!(fields.contains(&("Connection", "close")));
    let printable = |byte| matches!(byte, b' '..=b'~' | b'\t');
    assert!(fields.iter().all(|field| field.1.bytes().all(printable)));
    assert!(
        body.strip_suffix('\n')
            .is_none_or(|body| body.bytes().all(printable))
    );
}

/// Any state file, at several times.
pub fn state(file: &[u8]) {
    let web = NameRef::parse(b"web").expect("a name");
    let boot = BootId::parse(BOOT);
    for now in [0, 1000, 1999, 2000, u64::MAX] {
        for target in [Target::Configured(web), Target::FromClient(web)] {
            let answer = compose(&target, Ok(file), boot.as_ref(), BootTime(now), None);
            check_line(&line(&answer), answer.reason.is_none());
            assert_eq!(answer.reason.is_some(), answer.source == Source::NoOp);
            // HTTP responses depend only on the answer, so one time is enough.
            if now != 1999 {
                continue;
            }
            for content in [
                Content::Reply,
                Content::Weight,
                Content::Load,
                Content::Json,
            ] {
                let mut out = Text::EMPTY;
                response::compose(content, true, &answer, 0, &Options::default(), &mut out);
                check_response(out.as_bytes(), true);
            }
        }
    }
}

/// Any bytes from a client, in one piece and byte by byte, with and without `--http`.
pub fn request(sent: &[u8]) {
    for takes_http in [false, true] {
        let mut request = Request::new(takes_http);
        let mut in_bytes = Request::new(takes_http);
        request.push(sent);
        for byte in sent {
            in_bytes.push(&[*byte]);
        }
        assert_eq!(request.parse_at_timeout(), in_bytes.parse_at_timeout());
        assert_eq!(request.parse(), in_bytes.parse());
        check_parsed(request.parse(), sent, takes_http);
        if request.parse_at_timeout() != request.parse() {
            check_parsed(request.parse_at_timeout(), sent, takes_http);
        }
    }
}

/// Checks the answers to a request: one line or one response. A response contains no part of the request.
fn check_parsed(parsed: Parsed<'_>, sent: &[u8], takes_http: bool) {
    let options = Options {
        enabled: takes_http,
        documents: true,
        ..Options::default()
    };
    let own = NameRef::parse(b"own").expect("a name");
    let default = NameRef::parse(b"silent");
    for service in [
        Service::Unnamed,
        Service::Named(own),
        Service::FromClient { default },
    ] {
        let reaction = parsed.reaction(service, &options);
        if let Target::FromClient(name) = reaction.target {
            let first = sent
                .split(|byte| matches!(byte, b'\n' | b'\r'))
                .next()
                .unwrap_or_default();
            let is_part = first
                .windows(name.as_bytes().len())
                .any(|part| part == name.as_bytes());
            assert!(is_part);
            assert!(reaction.content.is_some() || first.trim_ascii() == name.as_bytes());
        }
        if matches!(reaction.target, Target::Configured(name) if Some(name) == default) {
            assert!(sent.is_empty());
        }
        let absent = Err(Reason::ABSENT);
        let answer = compose(&reaction.target, absent, None, BootTime(0), None);
        let Some(content) = reaction.content else {
            check_line(&line(&answer), false);
            continue;
        };
        assert!(takes_http);
        let mut out = Text::EMPTY;
        response::compose(content, reaction.has_body, &answer, 0, &options, &mut out);
        check_response(out.as_bytes(), reaction.has_body);
        // Another name gets an equal response, so the response contains no part of the name.
        let mut other = Text::EMPTY;
        let target = match reaction.target {
            Target::FromClient(_) => Target::FromClient(own),
            target => target,
        };
        let answer = compose(&target, absent, None, BootTime(0), None);
        response::compose(content, reaction.has_body, &answer, 0, &options, &mut other);
        assert_eq!(out.as_bytes(), other.as_bytes());
    }
}

/// The whole exchange. The first byte is the number of bytes that the client sends; the state file follows them. The
/// answer is one well-formed HTTP response or one line. It contains no part of an HTTP request.
pub fn exchange(bytes: &[u8]) {
    if let Some((length, rest)) = bytes.split_first() {
        let (sent, file) = rest.split_at(usize::from(*length).min(rest.len()));
        check_exchange(sent, file);
    }
}

/// The property of [`exchange`] for these bytes from a client and this state file.
pub fn check_exchange(sent: &[u8], file: &[u8]) {
    let boot = BootId::parse(BOOT);
    let own = NameRef::parse(b"web").expect("a name");
    for (takes_http, service) in [
        (false, Service::Named(own)),
        (false, Service::FromClient { default: None }),
        (true, Service::Named(own)),
        (true, Service::FromClient { default: Some(own) }),
    ] {
        let options = Options {
            enabled: takes_http,
            ..Options::default()
        };
        let mut request = Request::new(takes_http);
        request.push(sent);
        for parsed in [request.parse(), request.parse_at_timeout()] {
            let reaction = parsed.reaction(service, &options);
            let state = match reaction.target {
                Target::Unnamed(_) => Err(Reason::ABSENT),
                _ => Ok(file),
            };
            let answer = compose(&reaction.target, state, boot.as_ref(), BootTime(1000), None);
            let Some(content) = reaction.content else {
                check_line(&line(&answer), answer.reason.is_none());
                continue;
            };
            let mut out = Text::EMPTY;
            response::compose(content, reaction.has_body, &answer, 0, &options, &mut out);
            check_response(out.as_bytes(), reaction.has_body);
            // Another request with the same content for the same service gets an equal response. So the response contains
            // no other part of the request.
            let target = match reaction.target {
                Target::FromClient(name) if name != own => continue,
                Target::FromClient(_) | Target::Configured(_) => Target::Configured(own),
                target @ Target::Unnamed(_) => target,
            };
            if answer.reason.is_none() {
                let mut other = Text::EMPTY;
                let answer = compose(&target, state, boot.as_ref(), BootTime(1000), None);
                response::compose(content, reaction.has_body, &answer, 0, &options, &mut other);
                assert_eq!(out.as_bytes(), other.as_bytes());
            }
        }
    }
}

/// Any arguments, separated by NUL.
pub fn arguments(bytes: &[u8]) {
    let mut parsed = Arguments::defaults();
    let command = arguments::parse(bytes.split(|byte| *byte == 0), &mut parsed);
    if command == Ok(Command::Answer) {
        assert!((1..=arguments::MAX_STATE_DIR).contains(&parsed.state_dir.len()));
        let web = NameRef::parse(b"web").expect("a name");
        let absent = Err(Reason::ABSENT);
        let target = Target::Configured(web);
        let answer = compose(&target, absent, None, BootTime(0), parsed.fallback);
        check_line(&line(&answer), parsed.fallback.is_some());
    }
}
