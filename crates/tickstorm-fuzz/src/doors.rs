//! What comes through the doors of an exchange before anybody has said who he is: the head of a request, the path, the
//! frames of a client, proofs of who it is, and the words on the command line that open the doors.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use tickstorm::serve::{ApiKey, VenueOptions};
use tickstorm_market::AccountId;
use tickstorm_net::frame::Incoming;
use tickstorm_net::{Carrier, HttpVersion, Link, RequestHead, Silence};
use tickstorm_venue::access::{Credential, Keys, SignedRequest};
use tickstorm_venue::protocol::{Endpoint, Login, Request};
use tickstorm_venue::route::{Asked, Entry, Route, route};
use tickstorm_venue::{Protocol, Venue};

use crate::listing;

/// A line as `GET /path?query`, and one a header.
pub(crate) fn head(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let (method, target) = first.split_once(' ').unwrap_or(("GET", first));
    let pair =
        |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let headers: Vec<(String, String)> = lines.filter_map(pair).collect();
    for version in [HttpVersion::Http10, HttpVersion::Http11] {
        match RequestHead::read(method, target, version, headers.clone()) {
            Err(answer) => assert!((400..600).contains(&answer.status), "{}", answer.status),
            Ok(head) => {
                assert!(!head.path.contains(['?', '#']), "{:?} has a query in it", head.path);
                assert_eq!(head.headers, headers);
                let key = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
                assert!(head.accept.is_none() || key, "a socket is opened that nobody asked for");
                // What was read of a target is the same target.
                let again = format!("{}?{}", head.path, head.query);
                if head.path.starts_with('/') {
                    let again = RequestHead::read(method, &again, version, headers.clone());
                    assert_eq!(
                        again.as_ref().map(|again| (&again.path, &again.query)),
                        Ok((&head.path, &head.query))
                    );
                }
            }
        }
    }
}

/// A path and a query: whose they are does not change if the venue is named in front.
pub(crate) fn routes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    for asked in [Asked::Http, Asked::WebSocket] {
        let Some(found) = route(path, query, asked) else { continue };
        let Route { venue, path, .. } = &found;
        let again = route(&format!("/{venue}{path}"), query, asked);
        if let Entry::Rest = found.entry {
            assert_eq!(again.as_ref(), Some(&found), "{text:?} with its venue in front");
        } else {
            assert_eq!(again.map(|again| again.venue), Some(*venue), "{text:?} with its venue in front");
        }
    }
}

/// A client's bytes behind its handshake: what it says does not depend on how they are cut.
pub(crate) fn link(data: &[u8]) {
    let whole = listen(data, 0, usize::MAX);
    for (early, piece) in [(0, 1), (data.len() / 2, 13), (data.len(), 1)] {
        assert!(
            listen(data, early, piece) == whole,
            "{early} bytes early and pieces of {piece} say something else"
        );
    }
}

fn listen(data: &[u8], early: usize, piece: usize) -> (Vec<String>, Silence) {
    let wire = Wire { said: data[early..].iter().copied().collect(), piece };
    let mut link = Link::new(wire, &data[..early], 1 << 12);
    let mut heard = Vec::new();
    let mut is_closed = false;
    // A byte a read, one more for the end, and some for what is told twice.
    for _ in 0..data.len() + 3 {
        let read = link.read(|incoming| {
            is_closed |= matches!(incoming, Incoming::Close(_));
            heard.push(format!("{incoming:?}"));
        });
        match read {
            Ok(_) if is_closed => return (heard, Silence::Ended),
            Ok(_) => {}
            Err(silence) => return (heard, silence),
        }
    }
    panic!("a connection of {} bytes does not end", data.len());
}

/// Bytes that come in pieces and then end.
struct Wire {
    said: VecDeque<u8>,
    piece: usize,
}

impl Carrier for Wire {}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = into.len().min(self.piece);
        self.said.read(&mut into[..room])
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whoever does not know a secret gets in nowhere, on a socket or by HTTP.
pub(crate) fn access(venue: Venue, data: &[u8]) {
    let mut keys = Keys::new(venue);
    let passphrase = (venue == Venue::Okx).then(|| "words".to_owned());
    let credential =
        Credential { key: "key".into(), secret: secret(venue).into(), passphrase, account: AccountId(1) };
    keys.add(credential).expect("it is a key of this venue");
    let refuse = |login: &Login| {
        let checked = keys.check_login(login, NOW_UNIX_MS);
        assert!(checked.is_err(), "{login:?} is taken for the owner");
    };
    let protocol = Protocol::new(venue, &listing());
    for endpoint in [Endpoint::Public, Endpoint::Private] {
        match protocol.read_request(data, endpoint) {
            Ok(Request::Login { login, .. })
            | Ok(Request::Subscribe { login: Some(login), .. })
            | Ok(Request::Call { login: Some(login), .. }) => refuse(&login),
            _ => {}
        }
    }
    let text = String::from_utf8_lossy(data);
    refuse(&Login {
        key: "key".into(),
        payload: text.to_string(),
        signature: text.to_string(),
        ..Login::default()
    });
    assert!(keys.check_listen_key(&text, NOW_UNIX_MS).is_err(), "{text:?} is taken for a listen key");
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let (method, target) = first.split_once(' ').unwrap_or(("GET", first));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(&str, &str)> = lines.clone().filter_map(|line| line.split_once(": ")).collect();
    let body = lines.last().unwrap_or_default().as_bytes();
    let request = SignedRequest { method, path, query, headers: &headers, body };
    assert!(keys.check_rest(&request, NOW_UNIX_MS).is_err(), "{text:?} is taken for the owner's");
}

/// Signed with by nobody.
const fn secret(venue: Venue) -> &'static str {
    match venue {
        Venue::Coinbase => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        Venue::Kraken => "c2VjcmV0IG9mIHRoZSBtYXJrZXQ=",
        Venue::Binance | Venue::Okx | Venue::Bybit => "secret of the market",
    }
}

/// A line a setting: one that is refused changes nothing, and a refused key is not repeated.
pub(crate) fn settings(data: &[u8]) {
    for line in String::from_utf8_lossy(data).lines() {
        let mut options = VenueOptions::default();
        if options.set(line).is_err() {
            assert_eq!(options, VenueOptions::default(), "{line:?} is refused, and has changed something");
        }
        let mut parts = line.split(':');
        let (first, secret) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
        // Short ones may stand in our own words.
        let is_secret = secret.len() > 16 && !first.contains(secret);
        match line.parse::<ApiKey>() {
            Ok(key) => assert!(line.contains(&key.credential.secret), "{line:?} has another secret"),
            Err(problem) => assert!(!(is_secret && problem.contains(secret)), "{problem:?} tells a secret"),
        }
    }
}

/// 2026-11-23T08:00:00Z
const NOW_UNIX_MS: u64 = 1_795_420_800_000;
