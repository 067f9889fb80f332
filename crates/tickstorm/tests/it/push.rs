//! Runs against WebSocket servers of the tests' own, in this process.

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tickstorm::{
    AckMode, Flush, LoadGenerator, LoadGeneratorBuilder, LoadProfile, RunError, StartError, StopReason,
    Target,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tungstenite::WebSocket;

use crate::totals::check;

/// A server that serves each connection in a thread, until it is dropped.
struct Server {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(serve: impl Fn(WebSocket<TcpStream>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let (ends, serve) = (is_over.clone(), Arc::new(serve));
        let accept = move || {
            for stream in listener.incoming() {
                if ends.load(SeqCst) {
                    return;
                }
                let serve = serve.clone();
                thread::spawn(move || {
                    if let Ok(socket) = tungstenite::accept(stream.unwrap()) {
                        serve(socket);
                    }
                });
            }
        };
        Self { address, is_over, thread: Some(thread::spawn(accept)) }
    }

    fn target(&self) -> Target {
        format!("ws://{}", self.address).parse().unwrap()
    }

    fn generator(&self, ack: AckMode) -> LoadGeneratorBuilder {
        LoadGenerator::builder()
            .target(self.target())
            .base_rate(1000.0)
            .configure(move |spec| spec.ack = Some(ack))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        // Wakes the listener, so that it sees the end.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Counts on the server's side.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    messages: AtomicU64,
    acknowledged: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HangsUp {
    Never,
    /// Says so first, so that every acknowledgement arrives.
    PolitelyAfter(u64),
    /// Closes in the face of what is still coming, which may cost acknowledgements that are on their way.
    AtOnceAfter(u64),
}

/// Answers each message with its number on the connection.
fn acknowledge(counts: &Counts, socket: &mut WebSocket<TcpStream>, hangs_up: HangsUp) {
    counts.connections.fetch_add(1, SeqCst);
    let mut number = 0;
    while let Ok(message) = socket.read() {
        if !message.is_text() {
            continue;
        }
        counts.messages.fetch_add(1, SeqCst);
        if socket.send(format!("{{\"ack\":{number}}}").into()).is_err() {
            return;
        }
        counts.acknowledged.fetch_add(1, SeqCst);
        number += 1;
        match hangs_up {
            HangsUp::PolitelyAfter(most) if number == most => {
                socket.get_mut().shutdown(Shutdown::Write).unwrap();
                while socket.read().is_ok() {}
                return;
            }
            HangsUp::AtOnceAfter(most) if number == most => return,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_server_that_acknowledges_everything_is_counted_in_full() {
    for ack in [AckMode::Id, AckMode::Fifo, AckMode::None] {
        for flush in [Flush::Slot, Flush::Each, Flush::Every(Duration::from_millis(3)), Flush::Bytes(2000)] {
            let counts = Arc::new(Counts::default());
            let seen = counts.clone();
            let server = Server::start(move |mut socket| acknowledge(&seen, &mut socket, HangsUp::Never));
            let generator = server.generator(ack).configure(|spec| {
                (spec.flush, spec.connections) = (flush, 2);
            });
            let generator = generator.build().unwrap();
            let report =
                generator.run_load_test(Duration::from_millis(100), 2.0, LoadProfile::NORMAL).await.unwrap();
            check(&report);
            assert_eq!(report.messages_processed, 200, "{ack} {flush}: {:?}", report.errors);
            assert_eq!(counts.messages.load(SeqCst), 200, "{ack} {flush}");
        }
    }
}

#[tokio::test]
async fn an_error_in_a_reply_refuses_its_message_however_replies_are_matched() {
    for (ack, batch) in [(AckMode::Fifo, 1), (AckMode::Fifo, 5), (AckMode::Id, 1)] {
        let server = Server::start(|mut socket| {
            let mut number = 0;
            while let Ok(message) = socket.read() {
                if !message.is_text() {
                    continue;
                }
                let reply = match number % 4 {
                    0 => format!("{{\"ack\":{number},\"error\":\"no funds\"}}"),
                    1 => format!("{{\"ack\":{number},\"error\":null}}"),
                    2 => format!("{{\"ack\":{number},\"result\":{{\"error\":1}}}}"),
                    _ => format!("{{\"ack\":{number}}}"),
                };
                if socket.send(reply.into()).is_err() {
                    return;
                }
                number += 1;
            }
        });
        let generator = server.generator(ack).configure(move |spec| spec.batch = batch).build().unwrap();
        let report =
            generator.run_load_test(Duration::from_millis(100), 2.0, LoadProfile::NORMAL).await.unwrap();
        check(&report);
        assert_eq!(report.messages_processed + report.messages_failed, 200, "{ack}: {:?}", report.errors);
        let rejected = report.ledger.failed["rejected"];
        assert_eq!(report.messages_failed, rejected, "{ack}: {:?}", report.errors);
        // An array is refused as a whole, and arrays differ in length.
        let expected = if batch == 1 { 50..=50 } else { 10..=100 };
        assert!(expected.contains(&rejected), "{ack}: {rejected}");
        let error = report.errors.iter().find(|error| error.kind == "rejected").unwrap();
        assert_eq!(error.samples[0], "no funds", "{ack}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_again_and_again_lose_no_message_from_the_books() {
    for ack in [AckMode::Id, AckMode::Fifo] {
        for hangs_up in [HangsUp::PolitelyAfter(150), HangsUp::AtOnceAfter(150)] {
            let counts = Arc::new(Counts::default());
            let seen = counts.clone();
            let server = Server::start(move |mut socket| acknowledge(&seen, &mut socket, hangs_up));
            let generator = server
                .generator(ack)
                .timeout(Duration::from_secs(2))
                .configure(|spec| spec.connections = 2)
                .build()
                .unwrap();
            let report =
                generator.run_load_test(Duration::from_millis(800), 2.0, LoadProfile::NORMAL).await.unwrap();
            check(&report);
            assert_eq!(report.total_messages, 1600);
            let outages: usize = report.connections.iter().map(|connection| connection.outages.len()).sum();
            assert!(outages >= 2, "{:?}", report.connections);
            assert!(counts.connections.load(SeqCst) >= 4, "both came back");
            assert_eq!(report.ledger.unexpected_replies, 0, "{:?}", report.errors);
            let acknowledged = counts.acknowledged.load(SeqCst);
            match hangs_up {
                HangsUp::PolitelyAfter(_) => assert_eq!(report.messages_processed, acknowledged),
                _ => assert!((1..=acknowledged).contains(&report.messages_processed)),
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_reads_nothing_leaves_the_rest_unsent_and_the_blame_is_not_ours() {
    let server = Server::start(|socket| {
        thread::sleep(Duration::from_secs(3));
        drop(socket);
    });
    let generator = server
        .generator(AckMode::None)
        .base_rate(100_000.0)
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    // 20 MB, more than the buffers of both kernels' ends hold.
    let report = generator.run_load_test(Duration::from_secs(1), 1.0, LoadProfile::NORMAL).await.unwrap();
    check(&report);
    assert_eq!(report.total_messages, 100_000);
    let unsent = report.ledger.dropped["unsent"];
    assert!(unsent > 10_000, "{:?}", report.ledger);
    assert_eq!(report.verdict.outcome, tickstorm_report::Outcome::Fail, "{:?}", report.verdict);
}

#[tokio::test]
async fn a_stop_or_abort_while_nothing_is_taken_ends_in_a_report() {
    for flush in [Flush::Slot, Flush::Bytes(16 * 1024), Flush::Every(Duration::from_millis(20))] {
        let server = Server::start(|socket| {
            thread::sleep(Duration::from_secs(3));
            drop(socket);
        });
        let generator = server.generator(AckMode::Fifo).configure(|spec| spec.flush = flush).build().unwrap();
        let abort = async {
            while generator.metrics().active < 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            generator.stop_handle().abort();
        };
        let run = generator.run_load_test(Duration::from_secs(60), 1.0, LoadProfile::NORMAL);
        let (report, ()) = tokio::join!(run, abort);
        let report = report.unwrap();
        check(&report);
        assert_eq!(report.stopped.as_ref().unwrap().reason, StopReason::Requested, "{:?}", report.stopped);
        assert_eq!(report.messages_processed, 0);
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_that_names_it() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target: Target = format!("ws://{address}").parse().unwrap();
    let generator = LoadGenerator::builder().target(target).build().unwrap();
    let refused = generator.run_load_test(Duration::from_secs(1), 1.0, LoadProfile::NORMAL).await;
    let Err(RunError::Start(error @ StartError::Unreachable { .. })) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(!generator.running());
}

/// As in most people's own tests: server and generator share one thread.
#[tokio::test(flavor = "current_thread")]
async fn a_server_in_the_callers_own_runtime_is_reached() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target: Target = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let request = String::from_utf8(request).unwrap();
        let key = request.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        });
        let accept = tungstenite::handshake::derive_accept_key(key.unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut bytes, mut total) = (vec![0; 65536], 0);
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            total += count;
        }
        total
    });
    let generator = LoadGenerator::builder().target(target).build().unwrap();
    let report =
        generator.run_load_test(Duration::from_millis(100), 10.0, LoadProfile::NORMAL).await.unwrap();
    check(&report);
    assert_eq!(report.messages_processed, 100);
    assert!(server.await.unwrap() as u64 >= report.generator.bytes_sent.unwrap());
}
