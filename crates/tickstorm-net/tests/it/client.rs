//! Clients of servers with TLS, and of HTTP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tickstorm_net::{
    ConnectError, Connection, Endpoint, Events, HttpClient, HttpError, Poller, TlsError, Trust,
};
use tungstenite::Message;

use crate::PATIENCE;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A server of one connection, which is over when the test has joined it.
struct Server {
    address: SocketAddr,
    pem: String,
    thread: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Plain,
    Tls,
}

impl Server {
    fn start(secrecy: Secrecy, serve: impl FnOnce(Box<dyn Stream>) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let pem = own.cert.pem();
        let thread = std::thread::spawn(move || {
            let socket = listener.accept().unwrap().0;
            if secrecy == Secrecy::Plain {
                return serve(Box::new(socket));
            }
            let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![own.cert.der().clone()], key)
                .unwrap();
            let tls = ServerConnection::new(Arc::new(config)).unwrap();
            serve(Box::new(StreamOwned::new(tls, socket)));
        });
        Self { address, pem, thread }
    }

    fn trust(&self) -> Trust {
        Trust::of_pem(self.pem.as_bytes()).unwrap()
    }
}

/// Reads a request of HTTP up to its empty line and answers it.
fn answer(stream: &mut dyn Stream, response: &str) -> String {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    stream.write_all(response.as_bytes()).unwrap();
    stream.flush().unwrap();
    String::from_utf8(request).unwrap()
}

#[test]
fn messages_of_any_size_pass_through_tls_both_ways() {
    let server = Server::start(Secrecy::Tls, |stream| {
        let mut socket = tungstenite::accept(stream).unwrap();
        for _ in 0..SIZES.len() {
            let message = socket.read().unwrap();
            socket.send(message).unwrap();
        }
        socket.send(Message::Ping(vec![7].into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(vec![7].into()));
        // Until the client has taken leave.
        while socket.read().is_ok() {}
    });
    let endpoint = format!("wss://{}/feed", server.address).parse().unwrap();
    let mut connection = Connection::connect_trusting(&endpoint, &server.trust(), PATIENCE).unwrap();
    let poller = Arc::new(Poller::new().unwrap());
    connection.register(&poller, 0).unwrap();
    for size in SIZES {
        connection.push_frame(|out| out.extend(std::iter::repeat_n(b'x', size)));
    }
    let (mut sizes, mut events) = (Vec::new(), Events::new());
    loop {
        connection.flush().unwrap();
        let readable = connection.read(|message| sizes.push(message.len())).unwrap();
        if sizes.len() == SIZES.len() && connection.pings_answered() == 1 {
            break;
        }
        if !readable.more {
            poller.wait(PATIENCE, &mut events).unwrap();
        }
    }
    assert_eq!(sizes, SIZES);
    connection.close(PATIENCE);
    server.thread.join().unwrap();
}

/// Empty, of one record, of many, and more than the kernel's buffers hold.
const SIZES: [usize; 5] = [0, 100, 70_000, 6_000_000, 1];

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let server = Server::start(Secrecy::Tls, |mut stream| {
        let mut bytes = [0; 16];
        assert!(stream.read(&mut bytes).is_err(), "the client says that it does not trust us");
    });
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem();
    let trust = Trust::of_pem(other.as_bytes()).unwrap();
    let endpoint: Endpoint = format!("wss://{}/", server.address).parse().unwrap();
    let error = Connection::connect_trusting(&endpoint, &trust, PATIENCE).unwrap_err();
    let ConnectError::Tls { source, .. } = &error else { panic!("{error}") };
    let TlsError::Handshake { source, .. } = &**source else { panic!("{error:?}") };
    assert!(source.to_string().contains("invalid peer certificate"), "{source}");
    server.thread.join().unwrap();
}

#[test]
fn a_question_is_answered_with_tls_and_without() {
    for secrecy in [Secrecy::Plain, Secrecy::Tls] {
        let server = Server::start(secrecy, |mut stream| {
            let request = answer(
                &mut *stream,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
            );
            assert!(request.starts_with("GET /binance/api/v3/time?x=1 HTTP/1.1\r\n"), "{request}");
            // The same connection again.
            answer(
                &mut *stream,
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
            );
        });
        let socket: Endpoint = match secrecy {
            Secrecy::Plain => format!("ws://{}/ws", server.address).parse().unwrap(),
            Secrecy::Tls => format!("wss://{}/ws", server.address).parse().unwrap(),
        };
        let base = socket.http().with_resource("/binance/").unwrap();
        let client = HttpClient::new(base, Some(&server.trust()), PATIENCE);
        let first = client.get("/api/v3/time?x=1").unwrap();
        assert_eq!((first.status, first.retry_after_s, &*first.body), (200, None, &b"{\"a\":1}"[..]));
        let second = client.get("/api/v3/depth").unwrap();
        assert_eq!((second.status, second.retry_after_s, &*second.body), (429, Some(7), &b"{}"[..]));
        server.thread.join().unwrap();
    }
}

#[test]
fn a_redirection_is_an_answer_and_not_followed() {
    let server = Server::start(Secrecy::Plain, |mut stream| {
        answer(
            &mut *stream,
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
    });
    let base = Endpoint::of_http(&format!("http://{}", server.address)).unwrap();
    assert_eq!(HttpClient::new(base, None, PATIENCE).get("/").unwrap().status, 302);
    server.thread.join().unwrap();
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start(Secrecy::Plain, |mut stream| {
        // Only the head of an answer, then nothing until the client has gone.
        answer(&mut *stream, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        let _ = stream.read(&mut [0]);
    });
    let base = Endpoint::of_http(&format!("http://{}", server.address)).unwrap();
    let error = HttpClient::new(base, None, Duration::from_millis(50)).get("/a?secret=1").unwrap_err();
    assert!(matches!(error, HttpError::TimedOut { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("no whole answer from http://{}/a?... within 50ms", server.address)
    );
    server.thread.join().unwrap();
}

#[test]
fn nobody_there_is_told_with_the_address() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let base = Endpoint::of_http(&format!("http://{free}")).unwrap();
    let error = HttpClient::new(base, None, PATIENCE).get("/time").unwrap_err();
    assert_eq!(error.to_string(), format!("cannot ask http://{free}/time"));
}
