//! Which URLs an HTTP source may have, and how a URL is printed. Pure.

use crate::render::text::printable;
use reqwest::Url;

/// See [`super::Http::check_url`].
pub(super) fn check(url: &str) -> Result<(), String> {
    // The parser ignores blanks, converts `\`, and finds a host in `http:a` and `http:///a`. Each of these is
    // more likely a mistake.
    let odd = |byte: u8| byte <= b' ' || byte == 0x7f || byte == b'\\';
    if url.bytes().any(odd) {
        return Err("must not contain blanks, control characters or backslashes".to_owned());
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => return Err("must begin with http:// or https://".to_owned()),
    };
    if scheme != "http" && scheme != "https" {
        return Err("must begin with http:// or https://".to_owned());
    }
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
        return Err("has no host; write http://HOST/PATH".to_owned());
    }
    let parsed = Url::parse(url).map_err(|error| format!("is not a URL: {error}"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("must not contain a user name or password".to_owned());
    }
    if parsed.port() == Some(0) {
        return Err("has port 0; ports are 1 to 65535".to_owned());
    }
    if parsed.fragment().is_some() {
        return Err("has a fragment (`#`), which is never sent".to_owned());
    }
    Ok(())
}

/// The form of a URL for people: without its query and fragment, its user and password, and printable.
pub(super) fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default();
    let start = url.find("//").map_or(0, |at| at + 2);
    let (scheme, rest) = url.split_at(start);
    let authority = rest.split('/').next().unwrap_or_default();
    let user = match authority.rfind('@') {
        Some(at) if start > 0 => at + 1,
        _ => 0,
    };
    let rest = rest.get(user..).unwrap_or_default();
    printable(&format!("{scheme}{rest}"))
}

/// See [`super::Http::is_tls`].
pub(super) fn is_https(url: &str) -> bool {
    url.split_once("://")
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_have_no_secrets() {
        for (url, text) in [
            ("http://a:1/p/q?token=x#y", "http://a:1/p/q"),
            ("https://me:word@a/p@q", "https://a/p@q"),
            ("/login?next=http://me:word@a/", "/login"),
            ("//me@b/", "//b/"),
            ("mailto:me@b", "mailto:me@b"),
            ("http://a/\u{1b}\u{202e}", "http://a/??"),
        ] {
            assert_eq!(shown(url), text);
        }
    }

    #[test]
    fn valid_urls_are_accepted() {
        for url in [
            "http://127.0.0.1:8081/health_check",
            "HTTP://localhost",
            "https://app.example:8443/health",
            "http://[::1]:80/?a=b",
            "http://app.example/a%20b",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn invalid_urls_are_refused() {
        for (url, wrong) in [
            ("", "must begin with http:// or https://"),
            ("127.0.0.1:80/", "must begin with http:// or https://"),
            ("http:127.0.0.1", "must begin with http:// or https://"),
            ("ftp://a/", "must begin with http:// or https://"),
            (
                "unix:///run/app.sock",
                "must begin with http:// or https://",
            ),
            ("http://", "has no host; write http://HOST/PATH"),
            ("http:///a", "has no host; write http://HOST/PATH"),
            ("http://:80/", "has no host; write http://HOST/PATH"),
            ("http://a:99999/", "is not a URL: invalid port number"),
            ("http://a:0/", "has port 0; ports are 1 to 65535"),
            (
                "http://me:word@a/",
                "must not contain a user name or password",
            ),
            ("http://me@a/", "must not contain a user name or password"),
            ("http://a/#b", "has a fragment (`#`), which is never sent"),
            (
                " http://a/",
                "must not contain blanks, control characters or backslashes",
            ),
            (
                "http://a/\nb",
                "must not contain blanks, control characters or backslashes",
            ),
            (
                "http:\\\\a",
                "must not contain blanks, control characters or backslashes",
            ),
        ] {
            assert_eq!(check(url), Err(wrong.to_owned()), "{url}");
        }
    }
}
