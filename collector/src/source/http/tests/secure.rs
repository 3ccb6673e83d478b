//! HTTP over TLS with real servers, and good and bad certificates made here.

use super::server::request_head;
use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpStream;

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// An authority.
struct Authority {
    pem: String,
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A signed certificate and its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate,
            issuer: Issuer::new(parameters, key),
        }
    }

    fn sign(&self, names: &[&str], last_year: i32) -> Signed {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).unwrap();
        parameters.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Signed { certificate, key }
    }

    fn good(&self) -> Signed {
        self.sign(&["127.0.0.1", "app.example"], 2100)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }
}

/// A TLS server with the certificate `signed`; where `clients` is set, only for clients that it signed.
fn tls_server(
    signed: &Signed,
    clients: Option<&Authority>,
    serve: impl Fn(Stream, &str) + Send + Sync + 'static,
) -> String {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(signed.key.serialize_der()).unwrap();
    let chain = vec![signed.certificate.der().clone()];
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, serve) = (Arc::clone(&config), Arc::clone(&serve));
            thread::spawn(move || {
                let connection = ServerConnection::new(config).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                let head = request_head(&mut stream);
                if !head.is_empty() {
                    serve(stream, &head);
                }
            });
        }
    });
    format!("https://127.0.0.1:{port}/")
}

fn saying_ok(mut stream: Stream) {
    let _ = stream.write_all(ok("42").as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// A source that trusts this authority alone.
fn trusting(authority: &Authority, scratch: &Scratch, url: &str) -> Http {
    let mut http = http(url);
    http.tls.ca = Some(scratch.replace("ca.pem", &authority.pem));
    http.format = Format::Number;
    http
}

#[test]
fn only_the_configured_authority_is_trusted() {
    let scratch = Scratch::new("tls");
    let authority = Authority::new();
    let url = tls_server(&authority.good(), None, |stream, _| saying_ok(stream));
    let found = poll(trusting(&authority, &scratch, &url), AMPLE);
    assert_eq!(found.outcome, Ok(Content::Number(42.0)));
    let stranger = Authority::new();
    let found = poll(trusting(&stranger, &scratch, &url), AMPLE);
    assert_eq!(reason(&found), Reason::Tls, "{found:?}");
    // No authority of the system signed this one.
    assert_eq!(reason(&poll(http(&url), AMPLE)), Reason::Tls);
}

#[test]
fn certificate_for_another_name_or_time_is_refused() {
    let scratch = Scratch::new("tls-names");
    let authority = Authority::new();
    for signed in [
        authority.sign(&["other.example"], 2100),
        authority.sign(&["127.0.0.1"], 2001),
    ] {
        let url = tls_server(&signed, None, |stream, _| saying_ok(stream));
        let found = poll(trusting(&authority, &scratch, &url), AMPLE);
        assert_eq!(reason(&found), Reason::Tls, "{found:?}");
    }
}

#[test]
fn certificate_name_is_that_of_the_url() {
    let scratch = Scratch::new("tls-connect");
    let authority = Authority::new();
    let signed = authority.sign(&["app.example"], 2100);
    let url = tls_server(&signed, None, |stream, _| saying_ok(stream));
    let found = poll(trusting(&authority, &scratch, &url), AMPLE);
    assert_eq!(reason(&found), Reason::Tls);
    let url = url.replace("127.0.0.1", "app.example");
    let http = Http {
        connect_to: Some(IpAddr::from([127, 0, 0, 1])),
        ..trusting(&authority, &scratch, &url)
    };
    assert_eq!(poll(http, AMPLE).outcome, Ok(Content::Number(42.0)));
}

#[test]
fn client_certificate_is_sent() {
    let scratch = Scratch::new("tls-client");
    let authority = Authority::new();
    let url = tls_server(&authority.good(), Some(&authority), |stream, _| {
        saying_ok(stream);
    });
    let unknown = trusting(&authority, &scratch, &url);
    let found = poll(unknown.clone(), AMPLE);
    assert_eq!(reason(&found), Reason::Tls, "{found:?}");

    let signed = authority.good();
    let cert = scratch.replace("client.pem", signed.certificate.pem());
    let with_key = |key: &KeyPair| {
        let key = scratch.replace("client.key", key.serialize_pem());
        let mut http = unknown.clone();
        http.tls.client = Some((cert.clone(), key));
        poll(http, AMPLE)
    };
    assert_eq!(with_key(&signed.key).outcome, Ok(Content::Number(42.0)));
    let failure = with_key(&KeyPair::generate().unwrap()).outcome.unwrap_err();
    assert_eq!(failure.reason, Reason::Tls);
    assert!(failure.detail.starts_with("client_cert: "), "{failure}");
}

#[test]
fn changed_files_are_read_again_and_bad_files_reported() {
    let scratch = Scratch::new("tls-files");
    let authority = Authority::new();
    let url = tls_server(&authority.good(), None, |stream, _| saying_ok(stream));
    let stranger = Authority::new();
    let mut exchange = Exchange::new(trusting(&stranger, &scratch, &url));
    let mut poll = || exchange.poll(Deadline::within(AMPLE));
    assert_eq!(reason(&poll()), Reason::Tls);
    scratch.replace("ca.pem", &authority.pem);
    assert!(poll().outcome.is_ok());
    let key = KeyPair::generate().unwrap().serialize_pem();
    for bad in [
        "",
        "no PEM at all",
        &key,
        "-----BEGIN CERTIFICATE-----\nAAAA",
    ] {
        scratch.replace("ca.pem", bad);
        let failure = poll().outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Malformed, "{failure}");
        assert!(
            failure.detail.ends_with("no certificates in PEM"),
            "{failure}"
        );
    }
    std::fs::remove_file(scratch.file("ca.pem")).unwrap();
    assert_eq!(reason(&poll()), Reason::Missing);
    scratch.replace("ca.pem", &authority.pem);
    assert!(poll().outcome.is_ok());
}

#[test]
fn plain_http_reads_no_tls_file() {
    let mut http = http(&answering(ok("here")));
    http.tls.ca = Some("/no/such/file".into());
    assert_eq!(poll(http, AMPLE).text.as_deref(), Some("here"));
}

#[test]
fn other_protocol_is_a_tls_failure() {
    let scratch = Scratch::new("tls-plain");
    let url = server(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    // The server would wait for the end of a head, so it gets one at once.
    let answering = TcpListener::bind("127.0.0.1:0").unwrap();
    let at_once = format!("https://{}/", answering.local_addr().unwrap());
    thread::spawn(move || {
        for stream in answering.incoming() {
            let _ = stream
                .unwrap()
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let authority = Authority::new();
    let found = poll(trusting(&authority, &scratch, &at_once), AMPLE);
    let reason_of = reason(&found);
    assert!(
        matches!(reason_of, Reason::Tls | Reason::Broken),
        "{found:?}"
    );
    let silent = url.replace("http://", "https://");
    let found = poll(trusting(&authority, &scratch, &silent), SHORT);
    assert_eq!(reason(&found), Reason::Timeout);
}

#[test]
fn deadline_and_size_limit_apply_over_tls() {
    let scratch = Scratch::new("tls-bounds");
    let authority = Authority::new();
    let signed = authority.good();
    let drips = tls_server(&signed, None, |mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
        drip(stream, b"x");
    });
    // Long enough for the handshake on a busy machine; the body would take 18 seconds and more.
    let started = Instant::now();
    let found = poll(
        trusting(&authority, &scratch, &drips),
        Duration::from_secs(2),
    );
    assert_eq!(reason(&found), Reason::Timeout, "{found:?}");
    assert!(started.elapsed() < Duration::from_secs(15));

    let endless = tls_server(&signed, None, |mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let found = poll(trusting(&authority, &scratch, &endless), AMPLE);
    assert_eq!(reason(&found), Reason::TooLarge, "{found:?}");
}
