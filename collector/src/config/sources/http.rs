//! `[source.NAME.http]`

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Findings, Table, Text};
use super::{absolute_path, format, max_bytes, secret_path, unix_socket};
use crate::source::http::{Credentials, Http, Method, Tls};
use crate::source::{Format, Kind, Ranges};
use std::net::IpAddr;

const URL_EXAMPLE: &str = "\"http://127.0.0.1:8081/health\"";

pub(super) fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Kind> {
    let format = format(table, findings);
    let max_bytes = max_bytes(table, findings);
    let method = method(table, format, findings);
    let redirects = redirects(table, method, findings);
    let mut http = Http {
        format,
        max_bytes,
        method,
        redirects,
        ..Http::get("")
    };
    headers(table, &mut http, findings);
    body(table, &mut http, findings);
    http.credentials = credentials(table, findings);
    http.expect_status = expect_status(table, findings);
    http.unix = unix_socket(table, findings);
    let connect_to = connect_to(table, &http, findings);
    http.connect_to = connect_to.as_ref().map(|(_, address)| *address);
    let tls_key = ["ca", "client_cert", "client_key"]
        .into_iter()
        .find_map(|key| table.span_of(key));
    http.tls = tls(table, findings);

    let url = url(table, findings)?;
    http.url = url.value;
    if let Some(span) = tls_key.filter(|_| !http.is_tls()) {
        findings.push(
            Diagnostic::error(span, "TLS keys require an https url")
                .remedy("write https:// in url, or remove this key"),
        );
    }
    if let Some((text, _)) = connect_to.filter(|_| host_is_address(&http.url)) {
        findings.push(
            Diagnostic::error(
                text.span,
                "connect_to has no effect: the url has an IP address",
            )
            .remedy("write a host name in url, or remove connect_to"),
        );
    }
    Some(Kind::Http(Box::new(http)))
}

fn url(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Text> {
    let url = table
        .need(findings, "url", URL_EXAMPLE)?
        .text(findings, URL_EXAMPLE)?;
    if let Err(wrong) = Http::check_url(&url.value) {
        let remedy = if url.value.starts_with("unix:") {
            "for a unix socket, write unix_socket = \"/run/app.sock\" and url = \"http://localhost/health\""
                .to_owned()
        } else {
            format!("write it as in url = {URL_EXAMPLE}")
        };
        findings.push(Diagnostic::error(url.span.clone(), format!("url {wrong}")).remedy(remedy));
    }
    Some(url)
}

fn method(table: &mut Table<'_>, format: Format, findings: &mut Findings<'_>) -> Method {
    let choices = Method::ALL.map(|method| (method.name(), method));
    let Some(entry) = table.take("method") else {
        return Method::default();
    };
    let method = entry.choice(findings, &choices).unwrap_or_default();
    if method == Method::Head && format != Format::Text {
        findings.push(
            Diagnostic::error(
                entry.span(),
                format!("a response to HEAD has no body for format = \"{format}\""),
            )
            .remedy("use GET, or remove format"),
        );
    }
    method
}

fn redirects(table: &mut Table<'_>, method: Method, findings: &mut Findings<'_>) -> u32 {
    let Some(entry) = table.take("redirects") else {
        return 0;
    };
    let redirects = entry
        .count(findings)
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0);
    if redirects > 0 && !matches!(method, Method::Get | Method::Head) {
        findings.push(
            Diagnostic::error(entry.key_span(), format!("redirects has no effect with {method}"))
                .remedy("the collector follows redirects for GET and HEAD only: write the final place in url"),
        );
    }
    redirects
}

fn headers(table: &mut Table<'_>, http: &mut Http, findings: &mut Findings<'_>) {
    let example = "headers = { Host = \"app.example\" }";
    let entries = table
        .take("headers")
        .and_then(|entry| entry.table(findings, example))
        .map(|mut headers| headers.take_all())
        .unwrap_or_default();
    for entry in entries {
        let Some(value) = entry.text(findings, "\"app.example\"") else {
            continue;
        };
        match Http::header(entry.key, &value.value) {
            Ok((name, value)) => {
                http.headers.append(name, value);
            }
            Err(wrong) => {
                // A whole header in place of the name has a secret.
                let shown = findings.files.shown().get(entry.key_span());
                let name = match shown.is_some_and(|key| key.contains('*')) {
                    true => "this".to_owned(),
                    false => format!("header {:?}", entry.key),
                };
                let message = format!("{name} {wrong}");
                findings.push(Diagnostic::error(entry.key_span(), message));
            }
        }
    }
}

/// `body` and `content_type`.
fn body(table: &mut Table<'_>, http: &mut Http, findings: &mut Findings<'_>) {
    let example = "'{\"method\": \"eth_blockNumber\"}'";
    let key = table.span_of("body");
    let text = table
        .take("body")
        .and_then(|entry| entry.text(findings, example));
    let kind = table.take("content_type");
    let kind_text = kind.and_then(|entry| entry.text(findings, "\"application/json\""));
    if let Some(span) = key.filter(|_| !matches!(http.method, Method::Post | Method::Put)) {
        findings.push(
            Diagnostic::error(span, format!("body has no effect with {}", http.method))
                .remedy("write method = \"POST\" or \"PUT\", or remove body"),
        );
    }
    if let Some(entry) = kind.filter(|_| text.is_none()) {
        findings.push(
            Diagnostic::error(entry.key_span(), "content_type requires body")
                .remedy(format!("add body = {example}, or remove content_type")),
        );
    }
    let Some(text) = text else {
        return;
    };
    let has_header = http.headers.contains_key("content-type");
    if let Some(entry) = kind.filter(|_| has_header) {
        let message = "content_type and the header Content-Type exclude each other";
        findings.push(Diagnostic::error(entry.key_span(), message));
    }
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text.value).is_ok();
    let default = if is_json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    let value = kind_text.as_ref().map_or(default, |text| &text.value);
    match Http::header("content-type", value) {
        Ok((name, value)) if !has_header => {
            http.headers.append(name, value);
        }
        Ok(_) => {}
        Err(wrong) => {
            let span = kind_text.map_or(text.span, |text| text.span);
            findings.push(Diagnostic::error(span, format!("content_type {wrong}")));
        }
    }
    http.body = Some(text.value.into());
}

fn credentials(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Credentials> {
    let bearer = secret_path(table, "bearer_file", "\"/etc/agentcheck/token\"", findings);
    let basic_span = table.span_of("basic_file");
    let basic = secret_path(table, "basic_file", "\"/etc/agentcheck/login\"", findings);
    if let (Some(_), Some(_), Some(span)) = (&bearer, &basic, basic_span) {
        findings.push(
            Diagnostic::error(span, "bearer_file and basic_file exclude each other")
                .remedy("a request has one Authorization header: remove one of them"),
        );
    }
    bearer
        .map(Credentials::Bearer)
        .or(basic.map(Credentials::Basic))
}

fn expect_status(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Ranges {
    let example = "\"200-299,401\"";
    let text = table
        .take("expect_status")
        .and_then(|entry| entry.text(findings, example));
    let Some(text) = text else {
        return Ranges::success();
    };
    Ranges::statuses(&text.value).unwrap_or_else(|wrong| {
        findings.push(
            Diagnostic::error(text.span, format!("expect_status {wrong}"))
                .remedy(format!("write statuses and ranges, as in {example}")),
        );
        Ranges::success()
    })
}

fn connect_to(
    table: &mut Table<'_>,
    http: &Http,
    findings: &mut Findings<'_>,
) -> Option<(Text, IpAddr)> {
    let text = table.take("connect_to")?.text(findings, "\"127.0.0.1\"")?;
    if http.unix.is_some() {
        findings.push(Diagnostic::error(
            text.span.clone(),
            "connect_to and unix_socket exclude each other",
        ));
    }
    match text.value.parse() {
        Ok(address) => Some((text, address)),
        Err(_) => {
            findings.push(
                Diagnostic::error(text.span, format!("invalid connect_to {:?}", text.value)).remedy(
                    "write an IP address, as in \"127.0.0.1\" or \"::1\"; the port is the url's",
                ),
            );
            None
        }
    }
}

fn host_is_address(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    })
}

fn tls(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Tls {
    let ca = absolute_path(table, "ca", "\"/etc/agentcheck/ca.pem\"", findings);
    let (cert_at, key_at) = (table.span_of("client_cert"), table.span_of("client_key"));
    let example = "\"/etc/agentcheck/client.pem\"";
    let cert = absolute_path(table, "client_cert", example, findings);
    let example = "\"/etc/agentcheck/client.key\"";
    let key = secret_path(table, "client_key", example, findings);
    let (alone, other) = match (cert_at, key_at) {
        (Some(cert), None) => (Some(cert), "client_key"),
        (None, Some(key)) => (Some(key), "client_cert"),
        _ => (None, ""),
    };
    if let Some(span) = alone {
        findings.push(
            Diagnostic::error(span, format!("{other} is missing")).remedy(
                "a client certificate needs client_cert and client_key; both may be one file",
            ),
        );
    }
    Tls {
        ca,
        client: cert.zip(key),
    }
}
