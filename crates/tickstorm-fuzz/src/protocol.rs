//! What clients ask and are answered.

use tickstorm_venue::protocol::{Circumstances, Endpoint, Reply, Request, Session, Topic};
use tickstorm_venue::{Decoded, Decoder, Numbering, Protocol, Venue};

use crate::listing;

pub(crate) fn run(venue: Venue, data: &[u8]) {
    // Half a character by its number is a client's id like any other, but no text: it is repeated and not understood.
    if data.windows(3).any(|bytes| matches!(bytes, [b'\\', b'u', b'd' | b'D'])) {
        drop(Protocol::new(venue, &listing()).read_request(data, Endpoint::Public));
        return;
    }
    let listing = listing();
    let protocol = Protocol::new(venue, &listing);
    let mut talk = Talk { decoder: Decoder::new(venue, &listing), protocol: &protocol };
    for endpoint in [Endpoint::Public, Endpoint::Private] {
        match protocol.read_request(data, endpoint) {
            Ok(request) => {
                rewrite(&protocol, &request, endpoint);
                for reply in replies(&request) {
                    talk.answer(&reply, endpoint);
                }
            }
            Err(refused) => talk.answer(&Reply::Refused(refused), endpoint),
        }
    }
    if let Ok(Some(reply)) = protocol.read_reply(data) {
        talk.answer(&reply, Endpoint::Public);
        talk.answer(&reply, Endpoint::Private);
    }
}

/// What we write of a request is that request.
fn rewrite(protocol: &Protocol, request: &Request, endpoint: Endpoint) {
    let mut out = Vec::new();
    assert!(protocol.write_request(request, &mut out), "{request:?} was read and cannot be written");
    let show = || String::from_utf8_lossy(&out).into_owned();
    let again = protocol.read_request(&out, endpoint);
    let again = again.unwrap_or_else(|refused| panic!("{request:?} was written as {}: {refused:?}", show()));
    // Where there must be a number, none is written as null.
    let words = |request: &Request| format!("{request:?}").replace(r#"Some(RequestId("null"))"#, "None");
    assert_eq!(words(&again), words(request), "written as {}", show());
}

/// What a venue may answer to a request.
fn replies(request: &Request) -> Vec<Reply> {
    let granted = |topics: &[Topic]| (topics.to_vec(), topics.to_vec());
    match request.clone() {
        Request::Subscribe { id, topics, snapshot, .. } => {
            let (topics, all) = granted(&topics);
            vec![Reply::Subscribed { id, topics, all, snapshot }]
        }
        Request::Unsubscribe { id, topics } => vec![Reply::Unsubscribed { id, topics, all: Vec::new() }],
        Request::List { id } => vec![Reply::Subscriptions { id, all: Vec::new() }],
        Request::Ping { id } => vec![Reply::Pong { id }],
        Request::Login { id, login } => {
            let session = Session { login: Some((login.key, 7)), connected_ms: 5, is_subscribed: false };
            vec![Reply::LoggedIn { id: id.clone() }, Reply::Session { id, session }]
        }
        Request::Session { id } | Request::Logout { id } => {
            vec![Reply::Session { id, session: Session::default() }]
        }
        Request::SetCombined { id, .. } => vec![Reply::Combined { id, combined: None }],
        // Answered with facts of the market, which are read as such.
        Request::Call { .. } => Vec::new(),
        Request::GetCombined { id } => vec![Reply::Combined { id, combined: Some(true) }],
    }
}

struct Talk<'a> {
    decoder: Decoder,
    protocol: &'a Protocol,
}

impl Talk<'_> {
    /// Every message of an answer is no message of the market, and a reader of answers understands it.
    fn answer(&mut self, reply: &Reply, endpoint: Endpoint) {
        let circumstances = Circumstances { now_unix_ns: NOW_UNIX_NS, connection: 7, endpoint };
        self.protocol.write_reply(reply, &circumstances, &mut Numbering::default(), |message| {
            let show = || String::from_utf8_lossy(message).into_owned();
            let read = self.protocol.read_reply(message);
            assert!(read.is_ok(), "{reply:?} was written as {}, which is {read:?}", show());
            self.decoder.decode_each(message, |said| {
                let harmless = matches!(said, Ok(Decoded::Control | Decoded::Numbered(_)));
                assert!(harmless, "{reply:?} was written as {}, which says {said:?}", show());
            });
        });
    }
}

/// 2026-11-23T08:00:00Z
const NOW_UNIX_NS: u64 = 1_795_420_800_000_000_000;
