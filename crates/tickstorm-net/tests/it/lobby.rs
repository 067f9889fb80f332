//! A front door with a desk that tells what came, and clients for it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tickstorm_net::{
    Arrival, Desk, Front, FrontSpec, TlsChoice, TlsConnector, TlsTrust, Transport, WebAnswer, WebRequest,
};

use crate::PATIENCE;

/// The key and its answer from RFC 6455, 1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) struct Lobby {
    pub(crate) front: Front,
    pub(crate) arrivals: Receiver<Arrival>,
    /// Requests that the desk was asked to answer.
    asked: Arc<AtomicUsize>,
    /// Lets go on who asked for `/hang`.
    pub(crate) release: Sender<()>,
}

struct Clerk {
    asked: Arc<AtomicUsize>,
    arrivals: Sender<Arrival>,
    released: Mutex<Receiver<()>>,
}

impl Desk for Clerk {
    fn answer(&self, request: WebRequest) -> WebAnswer {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match request.path.as_str() {
            "/ws" => WebAnswer::upgrade_required(),
            "/echo" => WebAnswer::json(200, request.body),
            "/query" => WebAnswer::text(200, request.query),
            "/big" => WebAnswer::json(200, vec![b'x'; BIG]),
            "/nothing" => WebAnswer { body: b"lost".to_vec(), ..WebAnswer::empty(204) },
            "/panic" => panic!("the desk panics, as the test wants it to"),
            "/odd/status" => WebAnswer::empty(42),
            "/odd/header" => WebAnswer::empty(200).with("X-Odd", "two\r\nlines"),
            "/odd/length" => WebAnswer::text(200, "short").with("Content-Length", "1000"),
            "/hang" => {
                let _ = self.released.lock().unwrap().recv_timeout(PATIENCE);
                WebAnswer::text(200, "released")
            }
            "/ends" => WebAnswer::text(200, format!("{} {} {}", request.peer, request.local, request.is_tls)),
            _ => WebAnswer::text(404, "nothing here"),
        }
    }

    fn admit(&self, request: &WebRequest) -> Result<(), WebAnswer> {
        match request.path.as_str() {
            "/ws" => Ok(()),
            "/panic" => panic!("the desk panics, as the test wants it to"),
            _ => Err(WebAnswer::text(404, "no socket here")),
        }
    }

    fn arrive(&self, arrival: Arrival) {
        let _ = self.arrivals.send(arrival);
    }
}

pub(crate) fn spec() -> FrontSpec {
    FrontSpec { handshake_timeout: PATIENCE, ..FrontSpec::new(([127, 0, 0, 1], 0).into()) }
}

pub(crate) fn tls_spec() -> FrontSpec {
    FrontSpec { tls: TlsChoice::Throwaway { names: vec!["stream.example.com".into()] }, ..spec() }
}

impl Lobby {
    pub(crate) fn open(spec: FrontSpec) -> Self {
        let (arrivals_in, arrivals) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let clerk =
            Clerk { asked: Arc::clone(&asked), arrivals: arrivals_in, released: Mutex::new(released) };
        let front = Front::start(spec, Arc::new(clerk)).unwrap();
        Self { front, arrivals, asked, release }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.front.address()
    }

    pub(crate) fn trust(&self) -> TlsTrust {
        TlsTrust::AuthorityPem(self.front.authority_pem().unwrap().to_owned())
    }

    /// A blocking client in plain text.
    pub(crate) fn plain(&self) -> Client<TcpStream> {
        let stream = connect(self.address());
        Client { stream, received: Vec::new() }
    }

    /// A blocking client over TLS.
    pub(crate) fn encrypted(&self) -> Client<Transport> {
        let connector = TlsConnector::new(&self.trust()).unwrap();
        let stream = connect(self.address());
        let transport = connector.connect(stream, "localhost", Instant::now() + PATIENCE).unwrap();
        transport.socket().set_nonblocking(false).unwrap();
        transport.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream: transport, received: Vec::new() }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn arrival(&self) -> Arrival {
        self.arrivals.recv_timeout(PATIENCE).unwrap()
    }

    /// Both ends of a WebSocket's bytes, the client's first, neither of which blocks.
    pub(crate) fn pair(&self, is_tls: bool) -> (Transport, Transport) {
        let client = if is_tls {
            let mut client = self.encrypted();
            client.open("/ws");
            client.stream.socket().set_nonblocking(true).unwrap();
            client.stream
        } else {
            let mut client = self.plain();
            client.open("/ws");
            Transport::plain(client.stream).unwrap()
        };
        let arrival = self.arrival();
        assert_eq!(arrival.early, b"");
        assert_eq!(arrival.transport.is_tls(), is_tls);
        (client, arrival.transport)
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) struct Client<S> {
    pub(crate) stream: S,
    received: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap().trim_end()
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next response, whose body is of the length that it says.
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        response.body = self.take(length);
        response
    }

    /// A response without its body.
    pub(crate) fn head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read_more(), "closed after {:?}", self.received.escape_ascii().to_string());
        };
        let head = String::from_utf8(self.take(end)).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response { status, head, body: Vec::new() }
    }

    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            assert!(self.read_more(), "closed {} bytes early", length - self.received.len());
        }
        let rest = self.received.split_off(length);
        std::mem::replace(&mut self.received, rest)
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.response()
    }

    /// Everything until the server ends, which it must.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read_more() {}
        std::mem::take(&mut self.received)
    }

    /// Asks for a WebSocket, which must be granted.
    pub(crate) fn open(&mut self, path: &str) {
        self.send(handshake(path, ""));
        let response = self.head();
        assert_eq!(response.status, 101, "{}", response.head);
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
    }

    fn read_more(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    self.received.extend_from_slice(&chunk[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub(crate) fn handshake(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    )
}

/// More than the kernel's buffers of both ends hold.
pub(crate) const BIG: usize = 24 << 20;

/// Short, for what must time out; nothing else may be under way meanwhile.
pub(crate) const SHORT: Duration = Duration::from_millis(500);
