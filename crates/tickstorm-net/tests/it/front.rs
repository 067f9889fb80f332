use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickstorm_net::{
    Arrival, Desk, Front, FrontError, FrontSpec, TlsChoice, TlsConnector, TlsError, TlsTrust, WebAnswer,
    WebRequest,
};

use crate::lobby::{BIG, KEY, Lobby, SHORT, connect, handshake, spec, tls_spec};
use crate::{PATIENCE, wait_until};

#[test]
fn requests_of_one_connection_are_answered_in_turn() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    let response = client.get("/query?symbol=BTCUSDT&limit=5");
    assert_eq!((response.status, response.text()), (200, "symbol=BTCUSDT&limit=5"));
    assert_eq!(response.header("server"), Some("tickstorm"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(response.header("date").is_some_and(|date| date.ends_with(" GMT")), "{}", response.head);
    let one = |n| format!("GET /query?{n} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.send((0..20).map(one).collect::<String>());
    for n in 0..20 {
        assert_eq!(client.response().text(), n.to_string());
    }
    client.send("GET /query?last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("close"));
    assert_eq!(client.rest(), b"");
    lobby.front.stop();
}

#[test]
fn a_request_for_the_head_gets_no_body_but_its_length() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    client.send("HEAD /query?12345 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("6")));
    assert_eq!(client.get("/query?next").text(), "next");
    assert_eq!(client.get("/nothing").status, 204);
    assert_eq!(client.get("/query?next").text(), "next");
}

#[test]
fn the_old_version_is_spoken_too() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    client.send("GET /query?old HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "old");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_body_comes_at_once_in_chunks_or_when_it_is_asked_for() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    let response = client.response();
    assert_eq!((response.text(), response.header("content-type")), ("{}", Some("application/json")));
    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "[1,2]");
    let patient = "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ";
    client.send(format!("{patient}4\r\n\r\n"));
    assert_eq!(client.head().status, 100);
    client.send("null");
    assert_eq!(client.response().text(), "null");
    client.send(format!("{patient}100000\r\n\r\n"));
    let refused = client.response();
    assert_eq!((refused.status, refused.text()), (413, "a body must be at most 65536 bytes"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn what_is_too_large_is_refused() {
    let lobby = Lobby::open(FrontSpec { max_header: 1000, max_body: 10, ..spec() });
    let mut client = lobby.plain();
    client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("b\r\n01234567890\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 413);
    for filler in [1000, 100_000] {
        let mut client = lobby.plain();
        let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(filler));
        client.send(head);
        assert_eq!(client.head().status, 431);
        client.rest();
    }
    let mut client = lobby.plain();
    client.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(150)));
    assert_eq!(client.head().status, 431);
    wait_until("the end of all connections", || lobby.front.connections() <= 1);
}

#[test]
fn who_is_refused_while_sending_hears_of_it_afterwards() {
    let lobby = Lobby::open(tls_spec());
    let request =
        format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BIG}\r\n\r\n").into_bytes();
    let request = [request, vec![b'x'; 400_000]].concat();
    let (mut plain, mut encrypted) = (lobby.plain(), lobby.encrypted());
    plain.send(&request);
    assert_eq!(plain.response().status, 413);
    encrypted.send(&request);
    assert_eq!(encrypted.response().status, 413);
    // Nor does the leave take for ever.
    wait_until("the end of all connections", || lobby.front.connections() == 0);
}

#[test]
fn what_is_no_request_is_refused_and_closed() {
    let lobby = Lobby::open(spec());
    let cases = [
        "nonsense\r\n\r\n",
        "\0\u{1}\u{2}\u{3}\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "GET /\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];
    for case in cases {
        let mut client = lobby.plain();
        client.send(case);
        assert_eq!(client.head().status, 400, "{case:?}");
        client.rest();
    }
    let mut client = lobby.plain();
    client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
    assert_eq!(client.response().status, 501);
    wait_until("the end of all connections", || lobby.front.connections() <= 1);
}

#[test]
fn who_is_silent_or_slow_is_not_waited_for() {
    let lobby = Lobby::open(FrontSpec { handshake_timeout: SHORT, ..tls_spec() });
    let start = Instant::now();
    let mut silent = lobby.plain();
    let mut begun = lobby.plain();
    begun.send("GET / HTTP/1.1\r\nHost:");
    let mut hello = lobby.plain();
    hello.send([0x16, 3, 1, 2, 0, 1]);
    let mut idle = lobby.plain();
    assert_eq!(idle.get("/query?a").text(), "a");
    let mut late = lobby.plain();
    late.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{");
    for client in [&mut silent, &mut begun, &mut hello, &mut idle] {
        client.rest();
    }
    assert_eq!(late.response().status, 408);
    assert!(start.elapsed() >= SHORT);
    wait_until("the end of all connections", || lobby.front.connections() == 0);
}

#[test]
fn who_sends_a_head_byte_by_byte_gains_no_time() {
    let lobby = Lobby::open(FrontSpec { handshake_timeout: SHORT, ..spec() });
    let client = lobby.plain();
    let start = Instant::now();
    let mut bytes = b"GET / HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
    loop {
        let byte = *bytes.next().unwrap();
        if std::io::Write::write_all(&mut &client.stream, &[byte]).is_err() {
            break;
        }
        // Long before the head is too long as well.
        assert!(start.elapsed() < SHORT * 10, "it goes on listening");
        std::thread::sleep(Duration::from_millis(1));
    }
    wait_until("the end of the connection", || lobby.front.connections() == 0);
}

#[test]
fn who_does_not_take_its_answer_is_given_up() {
    for spec in [spec(), tls_spec()] {
        let is_tls = spec.tls != TlsChoice::Off;
        let lobby = Lobby::open(FrontSpec { handshake_timeout: SHORT, ..spec });
        let big = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let (mut plain, mut encrypted) = (None, None);
        if is_tls {
            encrypted.insert(lobby.encrypted()).send(big);
        } else {
            plain.insert(lobby.plain()).send(big);
        }
        wait_until("the connection", || lobby.front.connections() == 1);
        wait_until("its end", || lobby.front.connections() == 0);
    }
}

#[test]
fn a_large_answer_comes_whole() {
    let lobby = Lobby::open(tls_spec());
    assert_eq!(lobby.plain().get("/big").body.len(), BIG);
    assert_eq!(lobby.encrypted().get("/big").body.len(), BIG);
}

#[test]
fn a_desk_that_panics_or_talks_nonsense_costs_one_answer() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    let failed = client.get("/panic");
    assert_eq!((failed.status, failed.text()), (500, "the exchange has failed"));
    let failed = client.get("/odd/status");
    assert_eq!((failed.status, failed.text()), (500, "the exchange answered with status 42"));
    let failed = client.get("/odd/header");
    assert_eq!((failed.status, failed.text()), (500, "the exchange answered with header \"X-Odd\""));
    assert_eq!(client.get("/odd/length").text(), "short");
    client.send(handshake("/panic", ""));
    assert_eq!(client.response().status, 500);
    assert_eq!(client.get("/query?still-here").text(), "still-here");
}

#[test]
fn a_slow_answer_holds_up_nobody_else() {
    let lobby = Lobby::open(spec());
    let mut slow = lobby.plain();
    slow.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(lobby.plain().get("/query?quick").text(), "quick");
    lobby.plain().open("/ws");
    lobby.release.send(()).unwrap();
    assert_eq!(slow.response().text(), "released");
}

#[test]
fn the_desk_is_told_both_ends() {
    let lobby = Lobby::open(tls_spec());
    let mut plain = lobby.plain();
    let own = plain.stream.local_addr().unwrap();
    assert_eq!(plain.get("/ends").text(), format!("{own} {} false", lobby.address()));
    let mut encrypted = lobby.encrypted();
    let own = encrypted.stream.local_addr().unwrap();
    assert_eq!(encrypted.get("/ends").text(), format!("{own} {} true", lobby.address()));
}

#[test]
fn a_websocket_is_handed_over_with_what_came_early() {
    let lobby = Lobby::open(tls_spec());
    let early: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let more = "X-Token: secret\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
                Sec-WebSocket-Protocol: chat\r\n";
    let bytes = [handshake("/ws?streams=a/b", more).as_bytes(), &early].concat();
    for is_tls in [false, true] {
        let (head, late) = if is_tls {
            let mut client = lobby.encrypted();
            client.send(&bytes);
            client.send("late");
            (client.head(), drain(lobby.arrival(), early.len() + 4))
        } else {
            let mut client = lobby.plain();
            client.send(&bytes);
            client.send("late");
            (client.head(), drain(lobby.arrival(), early.len() + 4))
        };
        assert_eq!(head.status, 101);
        assert_eq!(head.header("upgrade"), Some("websocket"));
        assert_eq!(head.header("sec-websocket-extensions"), None);
        assert_eq!(head.header("sec-websocket-protocol"), None);
        assert_eq!(late, [&early[..], b"late"].concat());
    }
}

/// All that a client sent behind its handshake, in the order in which its engine sees it.
fn drain(arrival: Arrival, length: usize) -> Vec<u8> {
    assert_eq!((arrival.request.method.as_str(), arrival.request.path.as_str()), ("GET", "/ws"));
    assert_eq!(arrival.request.query, "streams=a/b");
    assert_eq!(arrival.request.header("x-TOKEN"), Some("secret"));
    assert!(!format!("{:?}", arrival.request).contains("secret"));
    let Arrival { mut transport, early: mut bytes, .. } = arrival;
    wait_until("the rest", || {
        let mut chunk = [0; 1000];
        if let Ok(count) = std::io::Read::read(&mut transport, &mut chunk) {
            bytes.extend_from_slice(&chunk[..count]);
        }
        bytes.len() >= length
    });
    bytes
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    for byte in handshake("/ws", "").bytes() {
        client.send([byte]);
    }
    assert_eq!(client.head().status, 101);
    lobby.arrival();
}

#[test]
fn a_websocket_follows_requests_on_the_same_connection() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    // The answer to the first is more than the kernel takes before the client reads: the last must wait for it.
    let first = "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send([first, &handshake("/ws", ""), "early"].concat());
    assert_eq!(client.response().body.len(), BIG);
    assert_eq!(client.head().status, 101);
    assert_eq!(lobby.arrival().early, b"early");
}

#[test]
fn another_implementation_opens_a_socket() {
    let lobby = Lobby::open(spec());
    let stream = connect(lobby.address());
    let url = format!("ws://{}/ws", lobby.address());
    let (mut socket, response) = tungstenite::client(url, stream).unwrap();
    assert_eq!(response.status(), 101);
    let mut arrival = lobby.arrival();
    std::io::Write::write_all(&mut arrival.transport, b"\x81\x02hi").unwrap();
    assert_eq!(socket.read().unwrap().to_text().unwrap(), "hi");
}

#[test]
fn a_handshake_that_is_none_gets_its_reason() {
    let lobby = Lobby::open(spec());
    let request = |method: &str, headers: &[&str]| {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        format!("{method} /ws HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
    };
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let (upgrade, connection, version) =
        ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13");
    let cases = [
        (request("GET", &[]), 426),
        (request("GET", &[connection, version, &key]), 426),
        (request("GET", &[upgrade, version, &key]), 426),
        (request("POST", &[upgrade, connection, version, &key]), 400),
        (request("GET", &[upgrade, connection, "Sec-WebSocket-Version: 8", &key]), 426),
        (request("GET", &[upgrade, connection, &key]), 426),
        (request("GET", &[upgrade, connection, version]), 400),
        (request("GET", &[upgrade, connection, version, "Sec-WebSocket-Key: short"]), 400),
        (request("GET", &[upgrade, connection, version, &key, &key]), 400),
        (request("GET", &[upgrade, connection, version, &key, "Content-Length: 1"]) + "x", 400),
        (request("GET", &[upgrade, connection, version, &key]).replace("/1.1", "/1.0"), 400),
        (handshake("/elsewhere", ""), 404),
    ];
    for (request, status) in cases {
        let mut client = lobby.plain();
        client.send(&request);
        let response = client.response();
        assert_eq!(response.status, status, "{request}: {}", response.head);
        if request.contains("Version: 8") {
            assert_eq!(response.header("sec-websocket-version"), Some("13"));
        }
    }
    assert!(lobby.arrivals.try_recv().is_err());
    let mut client = lobby.plain();
    client.send(handshake("/elsewhere", ""));
    assert_eq!(client.response().status, 404);
    client.open("/ws");
    lobby.arrival();
}

#[test]
fn only_the_right_authority_and_names_are_believed() {
    let lobby = Lobby::open(tls_spec());
    let other = Lobby::open(tls_spec());
    let shake = |trust: &TlsTrust, name: &str| {
        let connector = TlsConnector::new(trust).unwrap();
        connector.connect(connect(lobby.address()), name, Instant::now() + PATIENCE)
    };
    for name in ["localhost", "127.0.0.1", "::1", "stream.example.com"] {
        assert!(shake(&lobby.trust(), name).unwrap().is_tls());
    }
    for (trust, name) in [(other.trust(), "localhost"), (lobby.trust(), "api.example.com")] {
        assert!(matches!(shake(&trust, name), Err(TlsError::Handshake { .. })), "{name}");
    }
    let error = shake(&lobby.trust(), "no name").unwrap_err();
    assert_eq!(error.to_string(), "a certificate is for host names and addresses, not for \"no name\"");
    wait_until("the end of all connections", || lobby.front.connections() == 0);
}

#[test]
fn a_client_that_speaks_no_tls_to_us_or_tls_to_nobody_is_told() {
    let plain = Lobby::open(FrontSpec { handshake_timeout: PATIENCE, ..spec() });
    let tls = Lobby::open(tls_spec());
    let connector = TlsConnector::new(&tls.trust()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    // HTTP's refusal is not TLS.
    let error = connector.connect(connect(plain.address()), "localhost", deadline).unwrap_err();
    assert!(matches!(error, TlsError::Handshake { .. }), "{error:?}");
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let stream = connect(silent.local_addr().unwrap());
    let error = connector.connect(stream, "localhost", Instant::now() + SHORT).unwrap_err();
    let TlsError::Socket { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn certificates_may_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["one", "two"] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(path(&format!("{name}.crt")), made.cert.pem()).unwrap();
        fs::write(path(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    fs::write(path("empty"), "").unwrap();
    let files = |certificate: &str, key: &str| FrontSpec {
        tls: TlsChoice::Files { certificate: path(certificate), key: path(key) },
        ..spec()
    };
    let lobby = Lobby::open(files("one.crt", "one.key"));
    assert_eq!(lobby.front.authority_pem(), None);
    let deadline = Instant::now() + PATIENCE;
    let shake = |trusted: &str| {
        let connector = TlsConnector::new(&TlsTrust::Authority(path(trusted)))?;
        connector.connect(connect(lobby.address()), "localhost", deadline)
    };
    assert!(shake("one.crt").unwrap().is_tls());
    assert!(matches!(shake("two.crt"), Err(TlsError::Handshake { .. })));
    assert!(matches!(shake("nowhere"), Err(TlsError::File { .. })));
    assert!(matches!(shake("empty"), Err(TlsError::Content { .. })));

    let refused = |certificate: &str, key: &str| {
        let error = Front::start(files(certificate, key), Arc::new(Nobody)).unwrap_err();
        let FrontError::Tls { source, .. } = error else { panic!("{error:?}") };
        source.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(refused("one.crt", "two.key"), "certificate one.crt and key two.key must belong together");
    assert_eq!(refused("nowhere", "one.key"), "cannot read nowhere");
    assert_eq!(refused("one.crt", "nowhere"), "cannot read nowhere");
    assert_eq!(refused("empty", "one.key"), "empty must hold a certificate in pem");
    assert_eq!(refused("one.crt", "empty"), "empty must hold a private key without a password in pem");
    assert_eq!(refused("one.crt", "one.crt"), "one.crt must hold a private key without a password in pem");
}

struct Nobody;

impl Desk for Nobody {
    fn answer(&self, _: WebRequest) -> WebAnswer {
        WebAnswer::empty(404)
    }

    fn admit(&self, _: &WebRequest) -> Result<(), WebAnswer> {
        Err(WebAnswer::empty(404))
    }

    fn arrive(&self, _: Arrival) {}
}

#[test]
fn a_front_that_cannot_be_opened_says_what_to_do() {
    let open = |spec| Front::start(spec, Arc::new(Nobody)).unwrap_err();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let holder = Lobby::open(FrontSpec { address: taken, ..spec() });
    assert_eq!(
        open(FrontSpec { address: holder.address(), ..spec() }).to_string(),
        format!("{taken} is in use: stop who listens there, or choose another port, 0 for any free one")
    );
    let everywhere = FrontSpec { address: ([0, 0, 0, 0], 0).into(), ..spec() };
    assert_eq!(
        open(everywhere).to_string(),
        "0.0.0.0:0 is open to other machines: listen on 127.0.0.1, or allow it to be public"
    );
    let foreign = FrontSpec { address: ([192, 0, 2, 1], 0).into(), public: true, ..spec() };
    assert!(matches!(open(foreign), FrontError::Listen { .. }));
    let closed = FrontSpec { max_connections: 0, ..spec() };
    assert_eq!(open(closed).to_string(), "max_connections must be at least 1, got 0");
    let named = FrontSpec { tls: TlsChoice::Throwaway { names: vec!["a b".into()] }, ..spec() };
    assert!(matches!(open(named), FrontError::Tls { .. }));
}

#[test]
fn beyond_the_last_place_clients_are_turned_away() {
    let lobby = Lobby::open(FrontSpec { max_connections: 2, ..spec() });
    let mut first = lobby.plain();
    first.open("/ws");
    let arrival = lobby.arrival();
    let mut second = lobby.plain();
    assert_eq!(second.get("/query?a").text(), "a");
    let mut third = lobby.plain();
    assert_eq!(third.head().status, 503);
    assert_eq!(third.rest(), b"");
    assert_eq!((lobby.front.connections(), lobby.front.turned_away()), (2, 1));
    // Who was handed over has its place until the engine drops it.
    drop(arrival);
    assert_eq!(lobby.front.connections(), 1);
    assert_eq!(lobby.plain().get("/query?b").text(), "b");
}

#[test]
fn many_clients_come_at_once() {
    let lobby = Lobby::open(tls_spec());
    std::thread::scope(|scope| {
        for n in 0..8 {
            let lobby = (lobby.address(), lobby.trust());
            scope.spawn(move || {
                let (address, trust) = lobby;
                let connector = TlsConnector::new(&trust).unwrap();
                let streams: Vec<_> = (0..40).map(|_| connect(address)).collect();
                for (index, stream) in streams.into_iter().enumerate() {
                    let url = format!("ws://localhost/ws?{n}");
                    if index % 4 == 0 {
                        let deadline = Instant::now() + PATIENCE;
                        let stream = connector.connect(stream, "localhost", deadline).unwrap();
                        stream.socket().set_nonblocking(false).unwrap();
                        tungstenite::client(url, stream).unwrap();
                    } else {
                        tungstenite::client(url, stream).unwrap();
                    }
                }
            });
        }
    });
    let arrivals: Vec<Arrival> = (0..320).map(|_| lobby.arrival()).collect();
    assert_eq!(arrivals.iter().filter(|arrival| arrival.transport.is_tls()).count(), 80);
    assert_eq!(lobby.front.connections(), 320);
    drop(arrivals);
    assert_eq!(lobby.front.connections(), 0);
    assert_eq!(lobby.front.turned_away(), 0);
}

#[test]
fn a_front_that_is_stopped_lets_go_of_all_but_the_sockets() {
    let lobby = Lobby::open(spec());
    let mut socket = lobby.plain();
    socket.open("/ws");
    let mut arrival = lobby.arrival();
    let mut idle = lobby.plain();
    assert_eq!(idle.get("/query?a").text(), "a");
    let mut fresh = lobby.plain();
    let mut under_way = lobby.plain();
    under_way.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_until("all requests", || lobby.asked() == 2);
    wait_until("all connections", || lobby.front.connections() == 4);
    let address = lobby.address();
    let (front, release) = (lobby.front, lobby.release);
    let stopping = std::thread::spawn(move || front.stop());
    assert_eq!(idle.rest(), b"");
    assert_eq!(fresh.rest(), b"");
    release.send(()).unwrap();
    assert_eq!(under_way.response().text(), "released");
    stopping.join().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
    std::io::Write::write_all(&mut arrival.transport, b"still here").unwrap();
    assert_eq!(socket.take(10), b"still here");
}

#[test]
fn a_desk_that_hangs_does_not_hang_who_stops_it() {
    let lobby = Lobby::open(spec());
    let mut client = lobby.plain();
    client.send("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_until("the request", || lobby.asked() == 1);
    let start = Instant::now();
    lobby.front.stop();
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    let _ = lobby.release.send(());
}

#[test]
fn no_timeout_is_too_long() {
    let lobby = Lobby::open(FrontSpec { handshake_timeout: Duration::MAX, ..tls_spec() });
    assert_eq!(lobby.plain().get("/query?a").text(), "a");
    assert_eq!(lobby.encrypted().get("/query?a").text(), "a");
}
