//! The client's connection against tungstenite as an independent server, and bare sockets where a server must
//! misbehave.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tickstorm_net::frame::{self, CloseReason, FrameError, Opcode};
use tickstorm_net::{Connection, ConnectionError, Endpoint, Events, Poller};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Message, WebSocket};

use crate::{PATIENCE, wait_until};

type Server = WebSocket<TcpStream>;

/// A connection to a tungstenite server in a thread.
fn pair<T: Send + 'static>(
    serve: impl FnOnce(Server) -> T + Send + 'static,
) -> (Connection, std::thread::JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = Endpoint::at(listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        serve(tungstenite::accept(stream).unwrap())
    });
    (Connection::connect(&endpoint, PATIENCE).unwrap(), server)
}

/// Reads until `count` messages have come or the connection ended.
fn read_messages(connection: &mut Connection, count: usize) -> Result<Vec<Vec<u8>>, ConnectionError> {
    let mut messages = Vec::new();
    let mut result = Ok(());
    wait_until("a message", || {
        result = connection.read(|payload| messages.push(payload.to_vec())).map(|_| ());
        result.is_err() || messages.len() >= count
    });
    result.map(|()| messages)
}

fn read_error(connection: &mut Connection) -> ConnectionError {
    read_messages(connection, usize::MAX).unwrap_err()
}

fn flush_all(connection: &mut Connection) -> usize {
    let mut frames = 0;
    wait_until("room in the socket", || {
        frames += connection.flush().unwrap().frames;
        connection.buffered() == 0
    });
    frames
}

fn echo(mut server: Server) -> Vec<Message> {
    let mut seen = Vec::new();
    loop {
        match server.read() {
            Ok(message @ Message::Close(_)) => {
                seen.push(message);
                let _ = server.flush();
                return seen;
            }
            Ok(message) => {
                server.send(message.clone()).unwrap();
                seen.push(message);
            }
            Err(_) => return seen,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_independent_server_reads_and_writes_the_same_messages(
        lengths in prop::collection::vec(prop_oneof![4 => 0usize..400, 1 => 65_000usize..200_000], 1..20),
    ) {
        let (mut connection, server) = pair(echo);
        let messages: Vec<Vec<u8>> =
            lengths.iter().enumerate().map(|(i, &length)| vec![b'a' + i as u8; length]).collect();
        let mut echoed = Vec::new();
        let mut sent = 0;
        for message in &messages {
            connection.push_frame(|out| out.extend_from_slice(message));
        }
        // Both at once: neither side may wait for the other's buffers.
        wait_until("an echo", || {
            sent += connection.flush().unwrap().frames;
            connection.read(|payload| echoed.push(payload.to_vec())).unwrap();
            echoed.len() == messages.len()
        });
        prop_assert_eq!(sent, messages.len());
        prop_assert_eq!(&echoed, &messages);
        connection.close(PATIENCE);
        let seen = server.join().unwrap();
        prop_assert_eq!(seen.len(), messages.len() + 1);
        let polite = matches!(seen.last(), Some(Message::Close(Some(frame))) if frame.code == CloseCode::Normal);
        prop_assert!(polite);
    }
}

#[test]
fn a_fragmented_message_arrives_whole_with_the_ping_inside_it_answered() {
    let (mut connection, server) = pair(|mut server: Server| {
        let text = |fin, opcode, text: &str| {
            Message::Frame(Frame::message(text.to_owned(), OpCode::Data(opcode), fin))
        };
        server.send(text(false, Data::Text, "one ")).unwrap();
        server.send(Message::Ping("here?".into())).unwrap();
        server.send(text(true, Data::Continue, "two")).unwrap();
        server.read().unwrap()
    });
    assert_eq!(read_messages(&mut connection, 1).unwrap(), [b"one two"]);
    assert_eq!(connection.buffered(), 0);
    assert_eq!(server.join().unwrap(), Message::Pong("here?".into()));
}

#[test]
fn a_pong_is_not_counted_as_a_message() {
    let (mut connection, server) = pair(|mut server: Server| {
        server.send(Message::Ping("1".into())).unwrap();
        server.send(Message::Text("x".into())).unwrap();
        [server.read().unwrap(), server.read().unwrap()]
    });
    // With something waiting, the answer waits too.
    connection.push_frame(|out| out.extend_from_slice(b"y"));
    read_messages(&mut connection, 1).unwrap();
    assert_eq!(flush_all(&mut connection), 1);
    assert_eq!(server.join().unwrap(), [Message::Text("y".into()), Message::Pong("1".into())]);
}

#[test]
fn how_the_server_ended_it_is_told() {
    let close = |code: u16, text: &'static str| {
        let (mut connection, server) = pair(move |mut server: Server| {
            server.close(Some(CloseFrame { code: code.into(), reason: text.into() })).unwrap();
            server.read()
        });
        let error = read_error(&mut connection);
        // Our close frame in return.
        assert!(
            matches!(server.join().unwrap(), Ok(Message::Close(Some(frame))) if u16::from(frame.code) == code)
        );
        error
    };
    let error = close(1008, "too fast");
    assert_eq!(error, ConnectionError::Closed(CloseReason { code: Some(1008), text: "too fast".into() }));
    assert_eq!(error.to_string(), "peer closed the connection: code 1008, \"too fast\"");
    assert_eq!(close(1000, "").to_string(), "peer closed the connection: code 1000");

    let (mut connection, server) = pair(|server: Server| drop(server));
    server.join().unwrap();
    assert_eq!(read_error(&mut connection), ConnectionError::Ended);

    let (mut connection, server) = pair(|server: Server| server);
    let server = server.join().unwrap();
    connection.push_frame(|out| out.extend_from_slice(b"never read"));
    flush_all(&mut connection);
    let mut probe = [0];
    wait_until("the bytes", || server.get_ref().peek(&mut probe).is_ok_and(|count| count > 0));
    // Closed with unread bytes, a socket is reset.
    drop(server);
    assert_eq!(read_error(&mut connection), ConnectionError::Lost(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_so() {
    use std::io::Write as _;

    let (mut connection, server) = pair(|mut server: Server| {
        server.get_mut().write_all(&[0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0]).unwrap();
        server.read()
    });
    let limit = frame::DEFAULT_MAX_MESSAGE;
    assert_eq!(
        read_error(&mut connection),
        ConnectionError::Protocol(FrameError::TooLarge { size: 1 << 32, limit })
    );
    let told = server.join().unwrap().unwrap();
    assert!(
        matches!(told, Message::Close(Some(frame)) if frame.code == CloseCode::Size),
        "unexpected answer"
    );
}

#[test]
fn a_full_socket_blocks_and_the_poller_tells_when_it_takes_more() {
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let (mut connection, server) = pair(move |mut server: Server| {
        hold.recv().unwrap();
        let mut count = 0;
        while let Ok(message) = server.read() {
            if let Message::Close(_) = message {
                break;
            }
            assert_eq!(message.into_data(), vec![b'x'; 1000]);
            count += 1;
        }
        count
    });
    let poller = Arc::new(Poller::new().unwrap());
    let mut events = Events::new();
    connection.register(&poller, 3).unwrap();
    let (mut pushed, mut taken) = (0, 0);
    while !connection.is_blocked() {
        for _ in 0..100 {
            connection.push_frame(|out| out.extend_from_slice(&[b'x'; 1000]));
        }
        pushed += 100;
        taken += connection.flush().unwrap().frames;
    }
    assert!(taken < pushed);
    let left = connection.buffered();
    assert!((pushed - taken) * 1008 >= left && left > (pushed - taken - 1) * 1008, "whole frames and a part");
    poller.wait(Duration::ZERO, &mut events).unwrap();
    assert_eq!(events.iter().count(), 0, "a full socket is not writable");
    release.send(()).unwrap();
    while connection.buffered() > 0 {
        poller.wait(PATIENCE, &mut events).unwrap();
        let event = events.iter().next().expect("room comes");
        assert!(event.key == 3 && event.writable);
        taken += connection.flush().unwrap().frames;
    }
    assert_eq!(taken, pushed);
    poller.wait(Duration::ZERO, &mut events).unwrap();
    assert_eq!(events.iter().count(), 0, "nothing to write, so nobody asks");
    connection.close(PATIENCE);
    assert_eq!(server.join().unwrap(), pushed);
}

#[test]
fn frames_cut_by_the_network_are_put_together() {
    use std::io::Write as _;

    let (mut connection, server) = pair(|mut server: Server| {
        let mut wire = Vec::new();
        frame::write(&mut wire, Opcode::Text, b"{\"ack\":0}", None);
        frame::write(&mut wire, Opcode::Binary, &[b'z'; 70_000], None);
        server.get_mut().set_nodelay(true).unwrap();
        for piece in wire.chunks(997) {
            server.get_mut().write_all(piece).unwrap();
        }
        server
    });
    let messages = read_messages(&mut connection, 2).unwrap();
    assert_eq!(messages, [b"{\"ack\":0}".to_vec(), vec![b'z'; 70_000]]);
    drop(server.join().unwrap());
}

#[test]
fn taking_leave_of_a_silent_peer_ends() {
    let (connection, server) = pair(|server: Server| server);
    let server = server.join().unwrap();
    let start = std::time::Instant::now();
    connection.close(Duration::from_millis(20));
    assert!(start.elapsed() >= Duration::from_millis(20) && start.elapsed() < PATIENCE);
    drop(server);
}
