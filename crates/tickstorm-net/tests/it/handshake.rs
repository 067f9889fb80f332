//! Servers that are not what a client hopes for, and clients that are not what a server hopes for.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tickstorm_net::{ConnectError, Connection, Endpoint, HandshakeError, PlainSink, SinkMode};

use crate::PATIENCE;

/// Connects to a server that takes one connection and does as it is told.
fn connect_to(serve: impl FnOnce(TcpStream) + Send + 'static, timeout: Duration) -> ConnectError {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = Endpoint::at(listener.local_addr().unwrap());
    let server = std::thread::spawn(move || serve(listener.accept().unwrap().0));
    let error = Connection::connect(&endpoint, timeout).unwrap_err();
    server.join().unwrap();
    error
}

fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
}

fn answering(response: &'static [u8]) -> ConnectError {
    connect_to(
        |mut stream| {
            read_request(&mut stream);
            stream.write_all(response).unwrap();
        },
        PATIENCE,
    )
}

#[test]
fn nobody_there_is_a_socket_error_that_names_the_endpoint() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let error = Connection::connect(&Endpoint::at(free), PATIENCE).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to ws://{free}/"));
    assert!(matches!(error, ConnectError::Socket { .. }));
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let endpoint: Endpoint = "ws://no-such-host.invalid:1/".parse().unwrap();
    let error = Connection::connect(&endpoint, PATIENCE).unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error:?}");
}

#[test]
fn a_server_that_closes_at_once_is_told_from_one_that_refuses() {
    let closed = answering(b"");
    assert!(
        matches!(&closed, ConnectError::Handshake { source: HandshakeError::Closed { .. }, .. }),
        "{closed:?}"
    );
    let refused = answering(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n");
    let ConnectError::Handshake { source, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(source, HandshakeError::Refused { status: "503 Service Unavailable".into() });
}

#[test]
fn a_server_of_another_protocol_is_quoted() {
    let ConnectError::Handshake { source, .. } = answering(b"-ERR unknown command 'GET'\r\n") else {
        panic!()
    };
    assert_eq!(
        source,
        HandshakeError::NotHttp { first_bytes: "-ERR unknown command \\'GET\\'\\r\\n".into() }
    );
}

#[test]
fn a_silent_server_is_given_up_in_time() {
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let timeout = Duration::from_millis(50);
    let silent = move |stream: TcpStream| {
        let _ = hold.recv();
        drop(stream);
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = Endpoint::at(listener.local_addr().unwrap());
    let server = std::thread::spawn(move || silent(listener.accept().unwrap().0));
    let error = Connection::connect(&endpoint, timeout).unwrap_err();
    drop(release);
    server.join().unwrap();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("no answer from {endpoint} within 50ms"));
}

#[test]
fn a_server_refuses_nonsense_and_serves_the_next_client() {
    let sink = PlainSink::start(SinkMode::WebSocket).unwrap();
    let ask = |request: &[u8]| -> String {
        let address: SocketAddr = sink.address();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    assert!(ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").starts_with("HTTP/1.1 400 "));
    assert!(ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 426 "));
    drop(TcpStream::connect(sink.address()).unwrap());
    Connection::connect(&sink.endpoint(), PATIENCE).unwrap();
}
