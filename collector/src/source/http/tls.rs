//! TLS of the HTTP source: trusted authorities and the client's own certificate. By rustls, TLS 1.2 and 1.3.
//! The server's certificate is always verified, for the name in the URL; no switch turns that off.
//!
//! Not here: revocation lists.

use super::super::Deadline;
use super::super::file::read_bounded;
use crate::reading::{Failure, Reason};
use crate::render::text::without_byte_order_mark;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest PEM file, in bytes. All authorities of a system take a quarter of it.
const MAX_BYTES: usize = 1 << 20;

/// The files of TLS. They are read at the first poll, and again when they have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `ca`: the only trusted authorities, in PEM; `None` trusts those of the system.
    pub ca: Option<PathBuf>,
    /// `client_cert` and `client_key`: a certificate (with its chain, where the server needs it) and its key,
    /// in PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The identity of a file's content: device, inode, size, seconds and nanoseconds of its last change. `None`
/// where the file cannot be checked.
pub(super) type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Tls {
    /// The state of the files: while it is the same, the client made of them is valid.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        let client = self.client.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca
            .iter()
            .chain(client)
            .map(|file| stamp(file))
            .collect()
    }

    /// The settings of a client that uses TLS.
    pub(super) fn config(&self, deadline: Deadline) -> Result<ClientConfig, Failure> {
        let roots = match &self.ca {
            Some(file) => given_roots(file, deadline)?,
            None => system_roots()?,
        };
        let builder = builder()?.with_root_certificates(roots);
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = certificates("client_cert", cert, deadline)?;
                let content = read("client_key", key, deadline)?;
                let parsed = PrivateKeyDer::from_pem_slice(&content)
                    .map_err(|_| malformed("client_key", key, "has no private key in PEM"))?;
                builder
                    .with_client_auth_cert(chain, parsed)
                    .map_err(|error| {
                        Failure::new(Reason::Tls, format_args!("client_cert: {error}"))
                    })?
            }
        };
        // A resumed session skips the certificate: an expired one would be noticed only days later.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The settings of a client that never uses TLS: it trusts no authority and reads no file.
pub(super) fn none() -> Result<ClientConfig, Failure> {
    Ok(builder()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder() -> Result<Builder, Failure> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(Reason::Tls, error))
}

fn given_roots(file: &Path, deadline: Deadline) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", file, deadline)? {
        roots
            .add(certificate)
            .map_err(|error| malformed("ca", file, &error.to_string()))?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, Failure> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One certificate that cannot be parsed must not invalidate hundreds of others.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Failure::new(
            Reason::Tls,
            "no certificate authorities on this host: install ca-certificates or set ca",
        ));
    }
    Ok(roots)
}

fn certificates(
    key: &str,
    file: &Path,
    deadline: Deadline,
) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let content = read(key, file, deadline)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    // The parser's own error may quote a line of a key.
    parsed
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| malformed(key, file, "has no certificates in PEM"))
}

fn read(key: &str, file: &Path, deadline: Deadline) -> Result<Vec<u8>, Failure> {
    read_bounded(file, MAX_BYTES, deadline)
        .map(|content| without_byte_order_mark(&content).to_vec())
        .map_err(|failure| Failure::new(failure.reason, format_args!("{key}: {}", failure.detail)))
}

fn malformed(key: &str, file: &Path, wrong: &str) -> Failure {
    Failure::new(
        Reason::Malformed,
        format_args!("{key}: {}: {wrong}", file.display()),
    )
}

fn stamp(file: &Path) -> Stamp {
    let of = fs::metadata(file).ok()?;
    Some((of.dev(), of.ino(), of.size(), of.ctime(), of.ctime_nsec()))
}
