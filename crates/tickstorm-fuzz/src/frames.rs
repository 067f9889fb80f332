//! A WebSocket connection's bytes.

use tickstorm_net::frame::{FrameError, FrameReader, Incoming, Opcode, Role, write};

/// At either end the messages do not depend on how the bytes are cut, and what was read can be written.
pub(crate) fn run(data: &[u8]) {
    for role in [Role::Client, Role::Server] {
        let (whole, end) = read(role, data, data.len().max(1));
        for piece in [1, 13] {
            let (again, other_end) = read(role, data, piece);
            assert_eq!((&whole, &end), (&again, &other_end), "in pieces of {piece} it says something else");
        }
        let mask = (role == Role::Server).then_some([1, 2, 3, 0xff]);
        let mut out = Vec::new();
        for message in &whole {
            match message {
                Heard::Message(payload) => write(&mut out, Opcode::Binary, payload, mask),
                Heard::Ping(payload) => write(&mut out, Opcode::Ping, payload, mask),
                Heard::Pong(payload) => write(&mut out, Opcode::Pong, payload, mask),
                Heard::Close => {}
            }
        }
        let (rewritten, end) = read(role, &out, out.len().max(1));
        assert_eq!(end, None);
        let open = whole.iter().filter(|&message| *message != Heard::Close);
        assert!(rewritten.iter().eq(open), "what was written of it says something else");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

/// Everything up to a close frame or an error.
fn read(role: Role, data: &[u8], piece: usize) -> (Vec<Heard>, Option<FrameError>) {
    let mut reader = FrameReader::new(role, MAX_MESSAGE);
    let mut heard = Vec::new();
    for bytes in data.chunks(piece) {
        reader.push(bytes);
        loop {
            heard.push(match reader.next() {
                Ok(None) => break,
                Ok(Some(Incoming::Message(payload))) => Heard::Message(payload.to_vec()),
                Ok(Some(Incoming::Ping(payload))) => Heard::Ping(payload.to_vec()),
                Ok(Some(Incoming::Pong(payload))) => Heard::Pong(payload.to_vec()),
                Ok(Some(Incoming::Close(_))) => {
                    heard.push(Heard::Close);
                    return (heard, None);
                }
                Err(error) => return (heard, Some(error)),
            });
        }
        assert!(reader.buffered() <= data.len(), "more is held than came");
    }
    (heard, None)
}

/// Small, so that inputs reach it.
const MAX_MESSAGE: usize = 1 << 12;
