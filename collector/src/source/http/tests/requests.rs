//! Requests and their success: methods, headers, credentials, statuses.

use super::*;

/// A server that answers with the head of the request.
fn echo() -> String {
    server(|mut stream, head| {
        let _ = stream.write_all(ok(head).as_bytes());
    })
}

fn request_of(http: Http) -> String {
    let found = poll(http, AMPLE);
    assert!(found.outcome.is_ok(), "{found:?}");
    found.text.unwrap().to_ascii_lowercase()
}

#[test]
fn every_method_is_sent() {
    let url = echo();
    for method in Method::ALL {
        let http = Http {
            method,
            ..http(&url)
        };
        if method == Method::Head {
            assert_eq!(request_of(http), "", "HEAD has no body");
        } else {
            let head = request_of(http);
            let line = format!("{} / http/1.1\r\n", method.name().to_ascii_lowercase());
            assert!(head.starts_with(&line), "{head}");
        }
    }
    let post = Http {
        method: Method::Post,
        ..http(&url)
    };
    assert!(request_of(post).contains("content-length: 0\r\n"));
}

#[test]
fn headers_are_sent_and_not_printed() {
    let mut http = http(&echo());
    for (name, value) in [
        ("Host", "app.example"),
        ("User-Agent", "probe"),
        ("X-Key", "hidden-word"),
        ("x-key", "second"),
    ] {
        let (name, value) = Http::header(name, value).unwrap();
        http.headers.append(name, value);
    }
    for printed in [format!("{http:?}"), http.to_string()] {
        assert!(!printed.contains("hidden-word"), "{printed}");
    }
    let head = request_of(http);
    for line in [
        "host: app.example\r\n",
        "user-agent: probe\r\n",
        "x-key: hidden-word\r\nx-key: second\r\n",
        "connection: close\r\n",
    ] {
        assert_eq!(head.matches(line).count(), 1, "{line:?} in {head}");
    }
}

#[test]
fn credentials_are_read_at_each_poll_and_never_printed() {
    let scratch = Scratch::new("credentials");
    let token = scratch.replace("token", "first-token\n");
    let mut exchange = Exchange::new(Http {
        credentials: Some(Credentials::Bearer(token)),
        ..http(&echo())
    });
    let mut asked = || {
        let found = exchange.poll(Deadline::within(AMPLE));
        assert!(!format!("{exchange:?}").contains("-token"));
        found
    };
    let text = asked().text.unwrap();
    assert!(
        text.contains("uthorization: Bearer first-token\r\n"),
        "{text}"
    );
    scratch.replace("token", " second-token ");
    let text = asked().text.unwrap();
    assert!(
        text.contains("uthorization: Bearer second-token\r\n"),
        "{text}"
    );
    for (bad, reason) in [
        ("two -tokens".to_owned(), Reason::Malformed),
        (String::new(), Reason::Malformed),
        ("-token".repeat(10_000), Reason::TooLarge),
    ] {
        scratch.replace("token", bad);
        let failure = asked().outcome.unwrap_err();
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(!failure.detail.contains("-token"), "{failure}");
        assert!(failure.detail.starts_with("bearer_file: "), "{failure}");
    }
    std::fs::remove_file(scratch.file("token")).unwrap();
    assert_eq!(asked().outcome.unwrap_err().reason, Reason::Missing);

    let login = scratch.replace("login", "Aladdin:open sesame\n");
    let http = Http {
        credentials: Some(Credentials::Basic(login)),
        ..http(&echo())
    };
    let text = poll(http, AMPLE).text.unwrap();
    assert!(
        text.contains("uthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
        "{text}"
    );
}

#[test]
fn expected_status_is_a_success() {
    let expect = |statuses: &str, answer: &str| {
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\n42");
        let http = Http {
            expect_status: Ranges::statuses(statuses).unwrap(),
            format: Format::Number,
            ..http(&answering(answer))
        };
        poll(http, AMPLE)
    };
    for answer in ["401 Unauthorized", "200 OK", "302 Found"] {
        let found = expect("200-299,302,401", answer);
        assert_eq!(found.outcome, Ok(Content::Number(42.0)), "{answer}");
    }
    assert_eq!(reason(&expect("503", "200 OK")), Reason::Status);
    assert_eq!(reason(&expect("503", "302 Found")), Reason::Redirect);
    assert_eq!(expect("503", "503 x").status, Some(503));
}

#[test]
fn headers_for_one_host_are_not_sent_to_another() {
    let elsewhere = answering(ok("elsewhere"));
    let to = elsewhere.clone();
    let url = server(move |mut stream, head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer = match path {
            "/" => "HTTP/1.1 302 Found\r\nLocation: /here\r\n\r\n".to_owned(),
            "/away" => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n"),
            _ => ok("here"),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let plain = |path: &str| Http {
        redirects: 3,
        ..http(&format!("{url}{path}"))
    };
    assert_eq!(poll(plain(""), AMPLE).text.as_deref(), Some("here"));
    assert_eq!(
        poll(plain("away"), AMPLE).text.as_deref(),
        Some("elsewhere")
    );
    let with_header = |path: &str| {
        let mut http = plain(path);
        let (name, value) = Http::header("x-key", "hidden-word").unwrap();
        http.headers.append(name, value);
        poll(http, AMPLE)
    };
    assert_eq!(with_header("").text.as_deref(), Some("here"));
    assert_eq!(reason(&with_header("away")), Reason::Redirect);
}
