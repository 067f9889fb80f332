//! The server's end of TLS: certificates, from files or made for the occasion. Whom a client believes is in
//! `client/trust.rs`.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A PEM file has not what is looked for in it.
    #[error("{} must hold {expected} in pem", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What is wrong with it.
        source: Option<pem::Error>,
    },
    /// Certificate and key cannot be used together.
    #[error("certificate {} and key {} must belong together", certificate.display(), key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// A certificate cannot be for this name.
    #[error("a certificate is for host names and addresses, not for {name:?}")]
    Name {
        /// The name.
        name: String,
    },
    /// No certificate could be made.
    #[error("cannot make a throw-away certificate")]
    Make(#[from] rcgen::Error),
    /// The library refuses its settings.
    #[error("tls cannot be set up")]
    Setup(#[source] rustls::Error),
    /// The peer was not believed, or broke the protocol.
    #[error("tls handshake with {name} failed")]
    Handshake {
        /// Whom it was meant for.
        name: String,
        /// What was wrong.
        source: rustls::Error,
    },
    /// The connection broke during the handshake, or it took too long.
    #[error("connection to {name} broke during the tls handshake")]
    Socket {
        /// Whom it was meant for.
        name: String,
        /// How.
        source: io::Error,
    },
}

/// The server's side of TLS.
pub(crate) struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// Of a throw-away authority.
    pub(crate) authority_pem: Option<String>,
}

impl ServerTls {
    pub(crate) fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| pem_error(key, "a private key without a password", error))?;
        let config = server_config(chain, private).map_err(|source| TlsError::Pair {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        Ok(Self { config, authority_pem: None })
    }

    /// A certificate for this machine's own names, `address` and `names`, by an authority made for it alone,
    /// whose key is forgotten at once.
    pub(crate) fn throw_away(address: IpAddr, names: &[String]) -> Result<Self, TlsError> {
        let now = SystemTime::now();
        let (not_before, not_after) = ((now - CLOCK_SKEW).into(), (now + THROW_AWAY_LIFE).into());

        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "tickstorm throw-away authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (not_before, not_after);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let mut subject = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !address.is_unspecified() {
            subject.push(address.to_string());
        }
        for name in names {
            let host = name.strip_prefix("*.").unwrap_or(name);
            if ServerName::try_from(host).is_err() {
                return Err(TlsError::Name { name: name.clone() });
            }
            subject.push(name.clone());
        }
        subject.sort_unstable();
        subject.dedup();
        let mut params = CertificateParams::new(subject)?;
        params.distinguished_name.push(DnType::CommonName, "tickstorm");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = (not_before, not_after);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &authority)?;

        let chain = vec![certificate.der().clone()];
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = server_config(chain, private).map_err(TlsError::Setup)?;
        Ok(Self { config, authority_pem: Some(authority.pem()) })
    }
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // A client that offers HTTP/2 as well is told what is spoken here.
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    Ok(Arc::new(config))
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const EXPECTED: &str = "a certificate";
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem_error(path, EXPECTED, error))?;
    if found.is_empty() {
        return Err(TlsError::Content { path: path.to_owned(), expected: EXPECTED, source: None });
    }
    Ok(found)
}

fn pem_error(path: &Path, expected: &'static str, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(source) => TlsError::File { path: path.to_owned(), source },
        error => TlsError::Content { path: path.to_owned(), expected, source: Some(error) },
    }
}

/// Named at each use instead of installed for the process, whose other parts may want another.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The name of the one application protocol spoken here (RFC 7301, 6).
pub(crate) const HTTP_1: &[u8] = b"http/1.1";

/// Longer than any run; short, because the authority must not outlive its purpose in somebody's trust.
const THROW_AWAY_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How far a client's clock may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);
