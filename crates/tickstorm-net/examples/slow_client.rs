//! A WebSocket client that falls behind in a known way and keeps a record of it, like
//! `testdata/peers/slow_client.py`: the same options, the same modes, the same line of JSON at the end.
//!
//! ```text
//! slow_client --url ws://127.0.0.1:9000/ws --mode own-queue --work cpu --service 2ms --subscribe btcusdt@trade
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Socket, Type};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    let record = Arc::new(Mutex::new(Record::default()));
    if options.noise {
        make_noise();
    }
    let mut socket = open(&options)?;
    if let Some(streams) = &options.subscribe {
        let names: Vec<String> = streams.split(',').map(|name| format!("{name:?}")).collect();
        let request = format!(r#"{{"method":"SUBSCRIBE","params":[{}],"id":1}}"#, names.join(","));
        socket.send(Message::text(request))?;
    }
    match options.mode {
        Mode::ReadsSlowly | Mode::Buffers => {
            while let Some(message) = next(&mut socket, &record) {
                options.work_on(options.read(&message, &record), &record);
            }
        }
        Mode::Pauses => {
            let mut has_paused = false;
            while let Some(message) = next(&mut socket, &record) {
                if !has_paused && options.stamp_ms(&message).is_some() {
                    std::thread::sleep(options.pause);
                    has_paused = true;
                }
                options.keep_up(&message, &record);
            }
        }
        Mode::OwnQueue => own_queue(&mut socket, &options, &record)?,
        Mode::TwoThreads => two_threads(&mut socket, &options, &record),
        Mode::Spins => {
            socket.get_ref().stream.set_nonblocking(true)?;
            loop {
                match socket.read() {
                    Ok(message) => options.keep_up(&message, &record),
                    Err(error) if would_block(&error) => std::hint::spin_loop(),
                    Err(_) => break,
                }
            }
        }
        Mode::Healthy => {
            while let Some(message) = next(&mut socket, &record) {
                options.keep_up(&message, &record);
            }
        }
    }
    let record = record.lock().unwrap_or_else(PoisonError::into_inner).to_json();
    write_out(&record)?;
    // Threads that work or make noise are not waited for.
    std::process::exit(0);
}

#[expect(clippy::print_stdout, reason = "the record is what this program is for")]
fn write_out(record: &str) -> io::Result<()> {
    println!("{record}");
    io::stdout().flush()
}

fn open(options: &Options) -> Result<WebSocket<Wire>, Box<dyn Error>> {
    let address = options.url.strip_prefix("ws://").ok_or("--url must begin with ws://")?;
    let address: SocketAddr = address.split('/').next().unwrap_or(address).parse()?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(bytes) = options.receive_buffer {
        // Before it connects, or the window would be larger already.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(&address.into())?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    let mut config = WebSocketConfig::default();
    if matches!(options.mode, Mode::ReadsSlowly | Mode::Buffers | Mode::Pauses) {
        // So that what waits does so where it was not read from, and not in the library.
        config = config.read_buffer_size(4096);
    }
    let buffer = (options.mode == Mode::Buffers).then(|| Buffer::fill(stream.try_clone()?)).transpose()?;
    let wire = Wire { stream, buffer };
    let (socket, _) = tungstenite::client::client_with_config(options.url.as_str(), wire, Some(config))
        .map_err(|error| error.to_string())?;
    Ok(socket)
}

/// A connection, with a buffer that a thread of its own reads into where that is wanted.
struct Wire {
    stream: TcpStream,
    buffer: Option<Buffer>,
}

struct Buffer {
    chunks: mpsc::Receiver<Vec<u8>>,
    first: io::Cursor<Vec<u8>>,
}

impl Buffer {
    fn fill(mut stream: TcpStream) -> io::Result<Self> {
        let (filled, chunks) = mpsc::channel();
        std::thread::Builder::new().spawn(move || {
            let mut chunk = vec![0; 65_536];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                if filled.send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { chunks, first: io::Cursor::default() })
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(buffer) = &mut self.buffer else { return self.stream.read(into) };
        match buffer.first.read(into)? {
            0 => {
                // Nothing more comes once the reader has ended.
                let Ok(chunk) = buffer.chunks.recv() else { return Ok(0) };
                buffer.first = io::Cursor::new(chunk);
                buffer.first.read(into)
            }
            count => Ok(count),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The next message; `None` once the server has closed the connection.
fn next(socket: &mut WebSocket<Wire>, record: &Mutex<Record>) -> Option<Message> {
    let message = socket.read().ok()?;
    if let Message::Close(reason) = &message {
        record.lock().unwrap_or_else(PoisonError::into_inner).close_code =
            reason.as_ref().map(|reason| reason.code.into());
        // The answer is on its way; it goes out before the connection does.
        let _ = socket.flush();
        return None;
    }
    Some(message)
}

/// One thread that reads all there is before it works on one message.
fn own_queue(
    socket: &mut WebSocket<Wire>,
    options: &Options,
    record: &Mutex<Record>,
) -> Result<(), Box<dyn Error>> {
    let mut waiting = VecDeque::new();
    loop {
        socket.get_ref().stream.set_nonblocking(!waiting.is_empty())?;
        match socket.read() {
            Ok(Message::Close(_)) => return Ok(()),
            Ok(message) => {
                waiting.push_back(options.read(&message, record));
                continue;
            }
            Err(error) if would_block(&error) => {}
            Err(_) => return Ok(()),
        }
        if let Some(stamp_ms) = waiting.pop_front() {
            options.work_on(stamp_ms, record);
        }
    }
}

fn two_threads(socket: &mut WebSocket<Wire>, options: &Options, record: &Arc<Mutex<Record>>) {
    let (reader, worker) = mpsc::channel();
    let (work, shared) = (options.clone(), Arc::clone(record));
    std::thread::spawn(move || {
        for stamp_ms in worker {
            work.work_on(stamp_ms, &shared);
        }
    });
    while let Some(message) = next(socket, record) {
        if reader.send(options.read(&message, record)).is_err() {
            return;
        }
    }
}

fn would_block(error: &tungstenite::Error) -> bool {
    matches!(error, tungstenite::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Timers, a log, and something like a collector of garbage, each in a thread of its own.
fn make_noise() {
    std::thread::spawn(|| {
        for n in 0u64.. {
            std::thread::sleep(Duration::from_millis(5 + n * 7 % 16));
        }
    });
    std::thread::spawn(|| {
        for n in 0u64.. {
            std::thread::sleep(Duration::from_millis(300 + n * 211 % 500));
            compute(Duration::from_millis(10 + n * 7 % 20));
        }
    });
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            // Like a line of a log.
            let _ = std::fs::write("/dev/null", "still here\n");
        }
    });
}

/// Computes for this much time on a CPU, or longer if others want one as well.
fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    ReadsSlowly,
    OwnQueue,
    TwoThreads,
    Buffers,
    Pauses,
    Spins,
    Healthy,
}

#[derive(Debug, Clone)]
struct Options {
    url: String,
    mode: Mode,
    computes: bool,
    service: Duration,
    pause: Duration,
    receive_buffer: Option<usize>,
    noise: bool,
    subscribe: Option<String>,
    stamp: String,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let (mut url, mut mode, mut subscribe) = (None, None, None);
        let (mut computes, mut noise) = (false, false);
        let (mut service, mut stamp) = (Duration::from_millis(1), "E".to_owned());
        let (mut pause, mut receive_buffer) = (Duration::from_secs(3), None);
        while let Some(name) = arguments.next() {
            if name == "--noise" {
                noise = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--url" => url = Some(value),
                "--subscribe" => subscribe = Some(value),
                "--stamp" => stamp = value,
                "--service" => service = duration(&value)?,
                "--pause" => pause = duration(&value)?,
                "--receive-buffer" => receive_buffer = Some(value.parse()?),
                "--work" => {
                    computes = match value.as_str() {
                        "sleep" => false,
                        "cpu" => true,
                        _ => return Err(format!("--work must be sleep or cpu, got {value}").into()),
                    }
                }
                "--mode" => {
                    noise |= value == "noisy";
                    mode = Some(match value.as_str() {
                        "reads-slowly" => Mode::ReadsSlowly,
                        "own-queue" => Mode::OwnQueue,
                        "two-threads" => Mode::TwoThreads,
                        "buffers" => Mode::Buffers,
                        "pauses" => Mode::Pauses,
                        "spins" => Mode::Spins,
                        "healthy" | "noisy" => Mode::Healthy,
                        _ => return Err(format!("there is no --mode {value}").into()),
                    });
                }
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        Ok(Self {
            url: url.ok_or("--url is missing")?,
            mode: mode.ok_or("--mode is missing")?,
            computes,
            service,
            pause,
            receive_buffer,
            noise,
            subscribe,
            stamp: format!("\"{stamp}\":"),
        })
    }

    /// Takes note of a message that was read: its stamp if it is one of the market.
    fn read(&self, message: &Message, record: &Mutex<Record>) -> Option<i128> {
        let stamp_ms = self.stamp_ms(message)?;
        record.lock().unwrap_or_else(PoisonError::into_inner).read_last_at_ns = Some(unix_ns());
        Some(stamp_ms)
    }

    fn work_on(&self, stamp_ms: Option<i128>, record: &Mutex<Record>) {
        if let Some(stamp_ms) = stamp_ms {
            if self.computes {
                compute(self.service)
            } else {
                std::thread::sleep(self.service)
            }
            record.lock().unwrap_or_else(PoisonError::into_inner).finished(stamp_ms);
        }
    }

    fn keep_up(&self, message: &Message, record: &Mutex<Record>) {
        if let Some(stamp_ms) = self.read(message, record) {
            record.lock().unwrap_or_else(PoisonError::into_inner).finished(stamp_ms);
        }
    }

    fn stamp_ms(&self, message: &Message) -> Option<i128> {
        // What a server says of itself has a time of its own.
        let text = message.to_text().ok().filter(|text| !text.contains("serverShutdown"))?;
        let rest = text[text.find(&self.stamp)? + self.stamp.len()..].trim_start();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    }
}

/// A text like 250us, 1.5ms or 2s.
fn duration(text: &str) -> Result<Duration, Box<dyn Error>> {
    for (unit, seconds) in [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(Duration::try_from_secs_f64(number.parse::<f64>()? * seconds)?);
        }
    }
    Err(format!("a duration must be a number with us, ms or s, got {text}").into())
}

/// What the client knows of itself.
#[derive(Debug, Default)]
struct Record {
    processed: u64,
    read_last_at_ns: Option<i128>,
    /// When the last one was finished, and how late.
    last: Option<(i128, i128)>,
    /// What the server closed the connection with.
    close_code: Option<u16>,
}

impl Record {
    fn finished(&mut self, stamp_ms: i128) {
        let now_ns = unix_ns();
        self.processed += 1;
        self.last = Some((now_ns, now_ns - stamp_ms * 1_000_000));
    }

    fn to_json(&self) -> String {
        let number = |number: Option<i128>| number.map_or("null".into(), |number| number.to_string());
        format!(
            r#"{{"processed": {}, "read_last_at_unix_ns": {}, "finished_last_at_unix_ns": {}, "lateness_of_last_ns": {}, "close_code": {}}}"#,
            self.processed,
            number(self.read_last_at_ns),
            number(self.last.map(|(at_ns, _)| at_ns)),
            number(self.last.map(|(_, lateness_ns)| lateness_ns)),
            number(self.close_code.map(i128::from)),
        )
    }
}

fn unix_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as i128)
}
