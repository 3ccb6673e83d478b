use super::*;
use crate::name::NameRef;
use crate::reply::{Fallback, Reason, Target};
use agentcheck_common::reply::MAX_LINE;
use agentcheck_common::{BootId, BootTime, Reply};
use proptest::prelude::*;

const BOOT: &str = "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";

fn file(line: &str, then: &str) -> String {
    format!("agentcheck 1 web\nboot {BOOT}\nfrom 1000\nuntil 2000 {line}\nthen {then}\n")
}

/// The response for service web, from this file at the time `now`.
fn respond(
    content: Content,
    file: Result<&[u8], Reason>,
    now: u64,
    options: &Options,
    by_client: bool,
    fallback: Option<&str>,
) -> String {
    let web = NameRef::parse(b"web").unwrap();
    let target = match by_client {
        true => Target::FromClient(web),
        false => Target::Configured(web),
    };
    let boot = BootId::parse(BOOT.as_bytes());
    let fallback = fallback.map(|line| Fallback::parse(line.as_bytes()).unwrap());
    let answer = crate::reply::compose(&target, file, boot.as_ref(), BootTime(now), fallback);
    let mut out = Text::EMPTY;
    compose(content, true, &answer, 0, options, &mut out);
    String::from_utf8(out.as_bytes().to_vec()).unwrap()
}

/// The status, the header fields and the body; checks that the response is well-formed.
fn split(response: &str) -> (u16, Vec<(&str, &str)>, &str) {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap();
    let code = status.strip_prefix("HTTP/1.1 ").unwrap();
    let (code, reason) = code.split_once(' ').unwrap();
    assert!(!reason.is_empty(), "{status:?}");
    let fields: Vec<_> = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
            );
            (name, value.trim())
        })
        .collect();
    let field = |name: &str| {
        let mut found = fields.iter().filter(|field| field.0 == name);
        let (_, value) = found.next().unwrap();
        assert_eq!(found.count(), 0);
        *value
    };
    assert_eq!(field("Content-Length"), body.len().to_string());
    assert_eq!(field("Connection"), "close");
    assert_eq!(field("Cache-Control"), "no-store");
    assert!(body.ends_with('\n') && body.matches('\n').count() == 1);
    assert!(
        body.trim_end()
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
    );
    (code.parse().unwrap(), fields, body.trim_end())
}

/// State, weight and maxconn of the header fields.
fn described(fields: &[(&str, &str)]) -> String {
    let value = |name: &str| {
        let found = fields.iter().find(|field| field.0 == name);
        found.map_or("-", |field| field.1).to_owned()
    };
    ["State", "Weight", "Maxconn"]
        .map(|name| value(&format!("Agentcheck-{name}")))
        .join(" ")
}

#[test]
fn reply_gives_status_fields_weight_and_load() {
    let rows = [
        ("up 73% # rps=1890", 200, "up 73 -", "27"),
        ("up ready 73% maxconn:30", 200, "up 73 30", "27"),
        ("up 150%", 200, "up 150 -", "0"),
        ("50%", 200, "up 50 -", "50"),
        ("maxconn:0", 200, "up 100 0", "0"),
        ("UP,5%", 200, "up 5 -", "95"),
        ("up 0%", 503, "drain 0 -", "100"),
        ("up drain 100%", 503, "drain 0 -", "100"),
        ("drain", 503, "drain 0 -", "100"),
        ("down ready 100% # 5%", 503, "down 0 -", "101"),
        ("down drain", 503, "down 0 -", "101"),
        ("fail 100%", 503, "fail 0 -", "101"),
        ("stopped 100% # maintenance", 503, "stopped 0 -", "102"),
        ("maint 100%", 503, "maint 0 -", "102"),
        ("up maint", 503, "maint 0 -", "102"),
        // The last word of a category applies.
        ("drain ready 10% 20%", 200, "up 20 -", "80"),
    ];
    for (line, status, fields, load) in rows {
        let file = file(line, "up");
        let get = |content| {
            respond(
                content,
                Ok(file.as_bytes()),
                1500,
                &Options::default(),
                false,
                None,
            )
        };
        let reply = get(Content::Reply);
        let (code, found, body) = split(&reply);
        assert_eq!(
            (code, described(&found).as_str(), body),
            (status, fields, line)
        );
        let weight = get(Content::Weight);
        let (code, found, body) = split(&weight);
        assert_eq!((code, described(&found).as_str()), (200, fields));
        assert_eq!(body, fields.split(' ').nth(1).unwrap());
        let response = get(Content::Load);
        assert_eq!((split(&response).0, split(&response).2), (200, load));
    }
}

#[test]
fn drain_status_applies_to_drain_alone() {
    let options = Options {
        drain_is_not_found: true,
        ..Options::default()
    };
    for (line, status) in [("up 0%", 404), ("drain", 404), ("up", 200), ("down", 503)] {
        let file = file(line, "up");
        let response = respond(
            Content::Reply,
            Ok(file.as_bytes()),
            1500,
            &options,
            true,
            None,
        );
        assert_eq!(split(&response).0, status, "{line}");
    }
}

#[test]
fn json_is_one_object() {
    let get = |line: &str, now| {
        let file = file(line, "up 40% maxconn:7 # stale");
        let response = respond(
            Content::Json,
            Ok(file.as_bytes()),
            now,
            &Options::default(),
            true,
            None,
        );
        let (status, fields, body) = split(&response);
        assert!(fields.contains(&("Content-Type", "application/json")));
        assert_eq!(status, 200);
        body.to_owned()
    };
    assert_eq!(
        get("up 73% # say \"5%\\\" # x", 1500),
        r#"{"state":"up","weight":73,"maxconn":null,"description":"say \"5%\\\" # x","fresh":"yes"}"#
    );
    assert_eq!(
        get("down", 1500),
        r#"{"state":"down","weight":0,"maxconn":null,"description":"","fresh":"yes"}"#
    );
    assert_eq!(
        get("up", 2500),
        r#"{"state":"up","weight":40,"maxconn":7,"description":"stale","fresh":"stale"}"#
    );
}

/// Without a valid state file: the status and the body for each reason, with and without `--http-fallback 200`.
#[test]
fn fallback_applies_as_for_agent_check() {
    let ok = Options {
        fallback_is_ok: true,
        ..Options::default()
    };
    let other_boot = file("up", "up").replace("6e3f", "7e3f");
    #[allow(clippy::type_complexity)]
    let rows: [(Result<&[u8], Reason>, &str, u16, u16); 4] = [
        (Err(Reason::ABSENT), "no-state unknown", 404, 404),
        (Err(Reason::NOT_A_FILE), "unreadable unreadable", 503, 503),
        (Err(Reason::TOO_LONG), "bad-state bad-state", 503, 200),
        (Ok(other_boot.as_bytes()), "other-boot other-boot", 503, 200),
    ];
    for (file, words, by_client, by_client_ok) in rows {
        let (configured, named) = words.split_once(' ').unwrap();
        for (options, from_client, status, word) in [
            (&Options::default(), false, 503, configured),
            (&ok, false, 200, configured),
            (&Options::default(), true, by_client, named),
            (&ok, true, by_client_ok, named),
        ] {
            let get = |content| respond(content, file, 1500, options, from_client, None);
            let reply = get(Content::Reply);
            let (code, fields, body) = split(&reply);
            assert_eq!((code, body), (status, word), "{words} {from_client}");
            let shown = if status == 200 { "up 100 -" } else { "- - -" };
            assert_eq!(described(&fields), shown);
            let number = |content| split(&get(content)).2.to_owned();
            let expected = match status {
                200 => ["100", "0"],
                _ => [word, word],
            };
            assert_eq!([number(Content::Weight), number(Content::Load)], expected);
        }
    }
    // `--fallback` gives the line, `--http-fallback` the status.
    let default = Options::default();
    let get = |options, line| respond(Content::Reply, Ok(b""), 1500, options, false, Some(line));
    let response = get(&default, "up 50%");
    assert_eq!((split(&response).0, split(&response).2), (503, "up 50%"));
    let response = get(&ok, "up 50%");
    assert_eq!(described(&split(&response).1), "up 50 -");
    assert_eq!(split(&get(&ok, "drain")).0, 503);
}

#[test]
fn errors_and_documents_have_no_state() {
    let options = Options::default();
    for (status, text) in [
        (Status::BadRequest, "400 Bad Request"),
        (Status::NotFound, "404 Not Found"),
        (Status::MethodNotAllowed, "405 Method Not Allowed"),
        (Status::RequestTimeout, "408 Request Timeout"),
        (Status::ServiceUnavailable, "503 Service Unavailable"),
    ] {
        let file = file("up", "up");
        let response = respond(
            Content::Error(status),
            Ok(file.as_bytes()),
            1500,
            &options,
            false,
            None,
        );
        let (code, fields, body) = split(&response);
        assert_eq!(format!("{code}"), text[..3]);
        assert_eq!((body, described(&fields).as_str()), (text, "- - -"));
        let allow = fields.iter().find(|field| field.0 == "Allow");
        assert_eq!(allow.is_some(), status == Status::MethodNotAllowed);
    }
    let target = Target::Unnamed(crate::reply::NoName::NotSent);
    let absent = Err(Reason::ABSENT);
    let answer = crate::reply::compose(&target, absent, None, BootTime(0), None);
    for (content, media_type) in [
        (Content::Metrics, "text/plain; version=0.0.4"),
        (Content::Page, "text/html; charset=utf-8"),
    ] {
        let mut out = Text::EMPTY;
        compose(content, true, &answer, 8 << 20, &options, &mut out);
        let response = String::from_utf8(out.as_bytes().to_vec()).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains(&format!("\r\nContent-Type: {media_type}\r\n")));
        assert!(
            response.ends_with("Content-Length: 8388608\r\n\r\n"),
            "{response}"
        );
    }
}

proptest! {
    /// For any file and request the response is well-formed. HEAD gives the same head without a body.
    #[test]
    fn any_file_gives_one_well_formed_response(
        line in "(up|down|drain|maint|stopped|fail|ready|[0-9]{1,3}%|maxconn:[0-9]{1,9})( [a-z0-9%]{1,9})?( # [ -~]{0,100})?",
        junk in prop::collection::vec(any::<u8>(), 0..200),
        is_junk in any::<bool>(),
        now in prop_oneof![0_u64..3000, any::<u64>()],
        kind in 0_usize..4,
        flags in any::<[bool; 4]>(),
    ) {
        let content = [Content::Reply, Content::Weight, Content::Load, Content::Json][kind];
        let file = file(&line, &line);
        let file = if is_junk { Ok(junk.as_slice()) } else { Ok(file.as_bytes()) };
        let options = Options {
            enabled: true,
            drain_is_not_found: flags[0],
            fallback_is_ok: flags[1],
            documents: false,
        };
        let fallback = flags[2].then_some("up 50% # fallback");
        let response = respond(content, file, now, &options, flags[3], fallback);
        let (status, _, body) = split(&response);
        prop_assert!([200, 404, 503].contains(&status));
        prop_assert!(response.len() < Text::SIZE && body.len() <= MAX_LINE);
        if content == Content::Json && status == 200 {
            let object = body.strip_prefix("{\"state\":\"").and_then(|rest| rest.strip_suffix("\"}"));
            prop_assert!(object.is_some(), "{}", body);
        }
        if content == Content::Reply && status == 200 && fallback.is_some() {
            prop_assert!(Reply::parse(body.as_bytes()).is_ok());
        }
    }
}
