//! The front door: one port for plain and encrypted connections, for HTTP and for WebSockets.

mod place;
mod visit;
mod wire;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::http::{WebAnswer, WebRequest};
use crate::socket;
use crate::tls::{ServerTls, TlsError};
use crate::transport::Transport;
pub(crate) use place::Place;
use place::Places;
use visit::House;

/// How a front is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontSpec {
    /// Where to listen. Port 0 is any free one.
    pub address: SocketAddr,
    /// Whether TLS is spoken beside plain text, which always is.
    pub tls: TlsChoice,
    /// Whether `address` may be reached from other machines.
    pub public: bool,
    /// Connections at a time; those handed over count as long as their [`Transport`] lives. Beyond, a connection is
    /// closed as soon as it is accepted, with 503 where nobody speaks TLS. Default 16,384.
    pub max_connections: usize,
    /// How long a client may take for the next step: the TLS handshake, the head of a request, its body, taking
    /// anything of an answer, and the rest before the next request. Its connection is closed then. Default 10 s, at
    /// most a day.
    pub handshake_timeout: Duration,
    /// Bytes of a request's head; beyond it is answered with 431. Default 16 KiB.
    pub max_header: usize,
    /// Bytes of a request's body; beyond it is answered with 413. Default 64 KiB.
    pub max_body: usize,
}

impl FrontSpec {
    /// On `address`, without TLS, everything else as by default.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tls: TlsChoice::Off,
            public: false,
            max_connections: 16_384,
            handshake_timeout: Duration::from_secs(10),
            max_header: 16 << 10,
            max_body: 64 << 10,
        }
    }
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TlsChoice {
    /// There is none: plain text only.
    #[default]
    Off,
    /// From PEM files.
    Files {
        /// The certificate, its chain behind it.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// From an authority that is made now, signs this one certificate and is forgotten: see
    /// [`Front::authority_pem`].
    Throwaway {
        /// Host names and addresses beside `localhost`, the loopback addresses and the address listened on; a
        /// venue's own names, say, where clients are led here by their hosts file.
        names: Vec<String>,
    },
}

/// What stands behind the front door.
///
/// The front calls from a few threads of its own, so that an answer may take milliseconds without holding up
/// handshakes; more than a few slow answers at a time hold up each other. A panic is answered with 500.
pub trait Desk: Send + Sync + 'static {
    /// Answers a plain request, one for the path of a WebSocket included, to which
    /// [`WebAnswer::upgrade_required`] is the answer.
    fn answer(&self, request: WebRequest) -> WebAnswer;

    /// Whether a WebSocket may be opened here; its handshake is in order. Otherwise what to answer.
    fn admit(&self, request: &WebRequest) -> Result<(), WebAnswer>;

    /// Takes over a connection whose handshake is over.
    fn arrive(&self, arrival: Arrival);
}

/// A WebSocket that has just been opened.
#[derive(Debug)]
pub struct Arrival {
    /// Its bytes from here on. With TLS some may be waiting behind a quiet socket: read once at once.
    pub transport: Transport,
    /// What the client sent right behind its handshake: the first bytes of its first frames, before all that the
    /// transport brings.
    pub early: Vec<u8>,
    /// The request that opened it.
    pub request: WebRequest,
}

/// Why a front cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The address is for other machines too, which was not allowed.
    #[error("{address} is open to other machines: listen on 127.0.0.1, or allow it to be public")]
    Public {
        /// The address.
        address: SocketAddr,
    },
    /// Somebody else listens there.
    #[error("{address} is in use: stop who listens there, or choose another port, 0 for any free one")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The system does not let us listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A limit leaves no room for anything.
    #[error("{name} must be at least {least}, got {got}")]
    Limit {
        /// The field of [`FrontSpec`].
        name: &'static str,
        /// Its least value.
        least: u64,
        /// Its value.
        got: u64,
    },
    /// There is no usable certificate.
    #[error("no tls on {address}")]
    Tls {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: Box<TlsError>,
    },
    /// The system has no thread or poller to spare.
    #[error("cannot start the thread of the front")]
    Thread(#[source] io::Error),
}

/// An open front door, until it is stopped or dropped.
///
/// It works in a thread of its own, which none of the connections that it has handed over need.
///
/// ```
/// use std::io::{Read as _, Write as _};
/// use std::net::TcpStream;
/// use std::sync::Arc;
///
/// use tickstorm_net::{Arrival, Desk, Front, FrontSpec, WebAnswer, WebRequest};
///
/// struct Closed;
///
/// impl Desk for Closed {
///     fn answer(&self, request: WebRequest) -> WebAnswer {
///         WebAnswer::text(503, format!("no {} today", request.path))
///     }
///
///     fn admit(&self, _: &WebRequest) -> Result<(), WebAnswer> {
///         Err(WebAnswer::empty(503))
///     }
///
///     fn arrive(&self, _: Arrival) {}
/// }
///
/// let front = Front::start(FrontSpec::new(([127, 0, 0, 1], 0).into()), Arc::new(Closed))?;
/// let mut client = TcpStream::connect(front.address())?;
/// client.write_all(b"GET /time HTTP/1.0\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.0 503 ") && answer.ends_with("no /time today\n"));
/// front.stop();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Front {
    address: SocketAddr,
    authority_pem: Option<String>,
    places: Arc<Places>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    /// Listens, and lets clients in from now on.
    pub fn start(mut spec: FrontSpec, desk: Arc<dyn Desk>) -> Result<Self, FrontError> {
        check(&spec)?;
        spec.handshake_timeout = spec.handshake_timeout.min(LONGEST_TIMEOUT);
        let address = spec.address;
        let tls =
            server_tls(&spec).map_err(|source| FrontError::Tls { address, source: Box::new(source) })?;
        let listener = socket::listen(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => FrontError::InUse { address },
            _ => FrontError::Listen { address, source },
        })?;
        let address = listener.local_addr().map_err(|source| FrontError::Listen { address, source })?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .thread_name("tickstorm-desk")
            .max_blocking_threads(DESK_THREADS)
            .build()
            .map_err(FrontError::Thread)?;
        let (stop, stopping) = watch::channel(false);
        let (config, authority_pem) = match tls {
            Some(tls) => (Some(tls.config), tls.authority_pem),
            None => (None, None),
        };
        let places = Arc::new(Places::new(spec.max_connections));
        let house = Arc::new(House { desk, spec, tls: config.map(TlsAcceptor::from), stopping });
        let doorman = Doorman { listener, house, places: Arc::clone(&places) };
        let thread = std::thread::Builder::new()
            .name("tickstorm-front".into())
            .spawn(move || doorman.work(runtime))
            .map_err(FrontError::Thread)?;
        Ok(Self { address, authority_pem, places, stop, thread: Some(thread) })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The throw-away authority that clients are to trust, if there is one.
    pub fn authority_pem(&self) -> Option<&str> {
        self.authority_pem.as_deref()
    }

    /// Connections that are open now, those handed over included.
    pub fn connections(&self) -> usize {
        self.places.taken()
    }

    /// Connections that were closed at once, so far, because there were too many.
    pub fn turned_away(&self) -> u64 {
        self.places.turned_away()
    }

    /// Listens no longer, closes idle connections, gives requests under way a second to be answered, and waits
    /// for all that. Connections that were handed over stay as they are; nobody arrives any more, unless the desk
    /// hangs.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its thread, and there is nothing left to clean up.
            let _ = thread.join();
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("address", &self.address).finish_non_exhaustive()
    }
}

fn check(spec: &FrontSpec) -> Result<(), FrontError> {
    if !spec.public && !spec.address.ip().to_canonical().is_loopback() {
        return Err(FrontError::Public { address: spec.address });
    }
    let limits = [
        ("max_connections", 1, spec.max_connections as u64),
        ("max_header", 256, spec.max_header as u64),
        ("handshake_timeout in ms", 1, spec.handshake_timeout.as_millis() as u64),
    ];
    for (name, least, got) in limits {
        if got < least {
            return Err(FrontError::Limit { name, least, got });
        }
    }
    Ok(())
}

fn server_tls(spec: &FrontSpec) -> Result<Option<ServerTls>, TlsError> {
    match &spec.tls {
        TlsChoice::Off => Ok(None),
        TlsChoice::Files { certificate, key } => ServerTls::from_files(certificate, key).map(Some),
        TlsChoice::Throwaway { names } => ServerTls::throw_away(spec.address.ip(), names).map(Some),
    }
}

/// Lets clients in.
struct Doorman {
    listener: TcpListener,
    house: Arc<House>,
    places: Arc<Places>,
}

impl Doorman {
    fn work(self, runtime: Runtime) {
        runtime.block_on(self.accept());
        // A desk that hangs must not hang who stops it.
        runtime.shutdown_timeout(STOP_GRACE);
    }

    async fn accept(self) {
        let Ok(listener) = tokio::net::TcpListener::from_std(self.listener) else { return };
        let mut stopping = self.house.stopping.clone();
        let mut visits = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                Some(_) = visits.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => match self.places.take() {
                    Some(place) => {
                        visits.spawn(visit::receive(Arc::clone(&self.house), stream, place));
                    }
                    None => self.house.turn_away(&stream),
                },
                Err(error) if is_about_one_client(&error) => {}
                // Out of file descriptors, most likely. The client goes on waiting in the backlog, and so would
                // this loop go on failing.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
        drop(listener);
        let gone = async { while visits.join_next().await.is_some() {} };
        // Who is not through by then is cut off as the set is dropped.
        let _ = tokio::time::timeout(STOP_GRACE, gone).await;
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Answers are computed, not waited for: more threads than cores would take time from the load itself.
const DESK_THREADS: usize = 2;

/// An answer takes milliseconds, its way to a client that reads not much more.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// As good as no timeout, and an instant that every clock can hold.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Nobody notices it among handshakes, and it keeps a failing accept from taking a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
