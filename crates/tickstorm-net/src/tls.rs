//! What both ends of TLS are made of: certificates, trust, and the client's handshake.

use std::fmt;
use std::io;
use std::net::{IpAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

use crate::socket::remaining;
use crate::transport::Transport;

/// Whom a client believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsTrust {
    /// Whom this machine believes: the system's own list, a company's authority included. No list of ours, which
    /// would grow old in the binary and know nothing of that company. `SSL_CERT_FILE` and `SSL_CERT_DIR` name
    /// another list.
    System,
    /// The authorities of a PEM file and nobody else.
    Authority(PathBuf),
    /// The authorities of a PEM text and nobody else.
    AuthorityPem(String),
}

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
    /// The text of an authority has no certificate.
    #[error("text of an authority must hold a certificate in pem")]
    Authority,
    /// The machine has no list of authorities.
    #[error(
        "this machine trusts no authority ({reason}); install its ca certificates or name an authority's pem file"
    )]
    NoSystemTrust {
        /// What was wrong with the places looked at.
        reason: String,
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

/// The client's side of TLS. Reads its trust once, for any number of connections.
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
}

impl TlsConnector {
    /// Believes whom `trust` says. Reads files.
    pub fn new(trust: &TlsTrust) -> Result<Self, TlsError> {
        let roots = roots(trust)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// Shakes hands on a connected stream before the deadline, blocking, and leaves it non-blocking.
    /// `server_name` is the host name or address that the certificate must be for.
    pub fn connect(
        &self,
        mut stream: TcpStream,
        server_name: &str,
        deadline: Instant,
    ) -> Result<Transport, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::Name { name: server_name.to_owned() })?;
        let mut session = ClientConnection::new(Arc::clone(&self.config), name).map_err(TlsError::Setup)?;
        shake_hands(&mut stream, &mut session, deadline)
            .and_then(|done| match done {
                Ok(()) => Transport::tls(stream, session.into()).map(Ok),
                Err(error) => Ok(Err(error)),
            })
            .map_err(|source| TlsError::Socket { name: server_name.to_owned(), source })?
            .map_err(|source| TlsError::Handshake { name: server_name.to_owned(), source })
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").finish_non_exhaustive()
    }
}

/// One connection, see [`TlsConnector`], which is for many.
pub fn client_transport(
    stream: TcpStream,
    server_name: &str,
    trust: &TlsTrust,
    deadline: Instant,
) -> Result<Transport, TlsError> {
    TlsConnector::new(trust)?.connect(stream, server_name, deadline)
}

fn shake_hands(
    stream: &mut TcpStream,
    session: &mut ClientConnection,
    deadline: Instant,
) -> io::Result<Result<(), rustls::Error>> {
    stream.set_nonblocking(false)?;
    loop {
        while session.wants_write() {
            stream.set_write_timeout(Some(remaining(deadline)?))?;
            session.write_tls(stream)?;
        }
        if !session.is_handshaking() {
            stream.set_read_timeout(None)?;
            stream.set_write_timeout(None)?;
            return Ok(Ok(()));
        }
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        match session.read_tls(stream) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A socket with a timeout reports it as either.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if let Err(error) = session.process_new_packets() {
            // The peer learns why from the alert, if it still listens.
            let _ = session.write_tls(stream);
            return Ok(Err(error));
        }
    }
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

fn roots(trust: &TlsTrust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match trust {
        TlsTrust::System => {
            let found = rustls_native_certs::load_native_certs();
            // A list may hold entries too old or odd for us; they are as good as not there.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                let reason = if reasons.is_empty() { "no list found".into() } else { reasons.join(", ") };
                return Err(TlsError::NoSystemTrust { reason });
            }
        }
        TlsTrust::Authority(path) => {
            let found = certificates(path)?;
            let (added, _) = roots.add_parsable_certificates(found);
            if added == 0 {
                return Err(TlsError::Content {
                    path: path.clone(),
                    expected: "an authority's certificate",
                    source: None,
                });
            }
        }
        TlsTrust::AuthorityPem(text) => {
            let found: Vec<_> =
                CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok).collect();
            let (added, _) = roots.add_parsable_certificates(found);
            if added == 0 {
                return Err(TlsError::Authority);
            }
        }
    }
    Ok(roots)
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
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The name of the one application protocol spoken here (RFC 7301, 6).
const HTTP_1: &[u8] = b"http/1.1";

/// Longer than any run; short, because the authority must not outlive its purpose in somebody's trust.
const THROW_AWAY_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How far a client's clock may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);
