//! The outlet to a WebSocket server: each lane is a connection.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tickstorm_load::Failure;
use tickstorm_market::Message;
use tickstorm_net::{ConnectError, Connection, Endpoint, Events, Poller};
use tickstorm_venue::{Encoder, Numbering};

use crate::{
    AckMode,
    outlet::{Answer, LaneState, Markets, Notice, Outlet, Taken},
    reply::{ReplyReader, member_text},
};

/// How messages are worded and replies read; the same for all lanes.
pub(crate) struct Protocol {
    pub encoder: Encoder,
    pub ack: AckMode,
    pub ack_pointer: String,
    pub stamp_id: Option<String>,
    pub id_pointer: Option<String>,
    /// Whether a frame is an array of messages.
    pub arrays: bool,
}

/// A worker's connections.
pub(crate) struct PushOutlet {
    lanes: Vec<Line>,
    poller: Arc<Poller>,
    events: Events,
    protocol: Protocol,
    replies: ReplyReader,
    /// `"FIELD":`, where messages are stamped.
    stamp: Option<Vec<u8>>,
    frame: Vec<u8>,
    /// The last message that was not sent.
    passed: Vec<u8>,
    /// What happened outside of `collect`.
    pending: Vec<Notice>,
    /// Lanes to be read although no event says so.
    unread: Vec<usize>,
    reconnector: Reconnector,
}

struct Line {
    connection: Option<Connection>,
    numbering: Numbering,
    /// Messages of each frame not taken yet, where frames are arrays; the last is being filled.
    frames: VecDeque<usize>,
    /// Messages of each array that awaits its reply, in order, where replies have no ids.
    unanswered: VecDeque<usize>,
    /// Messages by their own id, oldest first, where replies name it.
    by_id: HashMap<String, VecDeque<u64>>,
    /// And the other way round.
    ids: HashMap<u64, String>,
}

impl PushOutlet {
    /// Takes connections that are open already.
    pub(crate) fn new(
        connections: Vec<Connection>,
        endpoint: &Endpoint,
        protocol: Protocol,
    ) -> std::io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        let mut lanes = Vec::with_capacity(connections.len());
        for (key, mut connection) in connections.into_iter().enumerate() {
            connection.register(&poller, key)?;
            lanes.push(Line {
                connection: Some(connection),
                numbering: Numbering::default(),
                frames: VecDeque::new(),
                unanswered: VecDeque::new(),
                by_id: HashMap::new(),
                ids: HashMap::new(),
            });
        }
        Ok(Self {
            unread: (0..lanes.len()).collect(),
            lanes,
            reconnector: Reconnector::start(endpoint.clone(), poller.clone()),
            poller,
            events: Events::new(),
            replies: ReplyReader::new(&protocol.ack_pointer),
            stamp: protocol.stamp_id.as_ref().map(|field| format!("\"{field}\":").into_bytes()),
            protocol,
            frame: Vec::new(),
            passed: Vec::new(),
            pending: Vec::new(),
        })
    }

    fn lose(&mut self, lane: usize, reason: String) {
        let line = &mut self.lanes[lane];
        line.connection = None;
        line.numbering = Numbering::default();
        line.frames.clear();
        line.unanswered.clear();
        line.by_id.clear();
        line.ids.clear();
        self.pending.push(Notice::Lost { lane, reason });
        self.reconnector.ask(lane);
    }

    fn read(&mut self, lane: usize, notices: &mut Vec<Notice>) {
        let line = &mut self.lanes[lane];
        let Some(connection) = &mut line.connection else { return };
        let (ack, arrays) = (self.protocol.ack, self.protocol.arrays);
        for _ in 0..READS_PER_TURN {
            let result = connection.read(|reply| match ack {
                AckMode::None => {}
                AckMode::Fifo => {
                    // A reply answers a frame; a reply too many is told to the drive loop, which counts it.
                    let answered = if arrays { line.unanswered.pop_front().unwrap_or(1) } else { 1 };
                    let refusal = self.replies.refusal(reply);
                    notices.extend((0..answered).map(|_| Notice::Reply {
                        lane,
                        answer: Answer::Oldest,
                        failure: refusal.clone().map(|text| (Failure::Rejected, Some(text))),
                    }));
                }
                AckMode::Id => match self.replies.read(reply, self.protocol.id_pointer.is_some()) {
                    Some(read) => {
                        let ordinal = match read.id {
                            crate::reply::Id::Ordinal(ordinal) => Some(ordinal),
                            crate::reply::Id::Text(id) => {
                                let oldest = oldest_with_id(&mut line.by_id, &id);
                                oldest.inspect(|ordinal| drop(line.ids.remove(ordinal)))
                            }
                        };
                        match ordinal {
                            Some(ordinal) => notices.push(Notice::Reply {
                                lane,
                                answer: Answer::Ordinal(ordinal),
                                failure: read.error.map(|text| (Failure::Rejected, Some(text))),
                            }),
                            None => notices.push(Notice::Nonsense { sample: sample(reply) }),
                        }
                    }
                    None => notices.push(Notice::Nonsense { sample: sample(reply) }),
                },
            });
            match result {
                Ok(readable) if readable.more => {}
                Ok(_) => return,
                Err(error) => {
                    let reason = match std::error::Error::source(&error) {
                        Some(source) => format!("{error}: {source}"),
                        None => error.to_string(),
                    };
                    self.lose(lane, reason);
                    return;
                }
            }
        }
        self.unread.push(lane);
    }
}

fn oldest_with_id(by_id: &mut HashMap<String, VecDeque<u64>>, id: &str) -> Option<u64> {
    let ordinals = by_id.get_mut(id)?;
    let oldest = ordinals.pop_front();
    if ordinals.is_empty() {
        by_id.remove(id);
    }
    oldest
}

/// The beginning of a reply, for people.
fn sample(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(&reply[..reply.len().min(SAMPLE_BYTES)]);
    let more = if reply.len() > SAMPLE_BYTES { "…" } else { "" };
    format!("cannot tell which message this reply answers: {}{more}", text.escape_debug())
}

impl Outlet for PushOutlet {
    fn state(&self, lane: usize) -> LaneState {
        match &self.lanes[lane].connection {
            None => LaneState::Down,
            Some(connection) if connection.is_blocked() || connection.buffered() >= FULL_BYTES => {
                LaneState::Full
            }
            Some(_) => LaneState::Open,
        }
    }

    fn begin(&mut self, lane: usize) {
        if self.protocol.arrays {
            self.frame.clear();
            self.frame.push(b'[');
            self.lanes[lane].frames.push_back(0);
        }
    }

    #[inline]
    fn add(&mut self, lane: usize, ordinal: u64, message: &Message) -> bool {
        let line = &mut self.lanes[lane];
        let Some(connection) = &mut line.connection else { return self.pass(lane, message) };
        let numbering = &mut line.numbering;
        let encoder = &mut self.protocol.encoder;
        let stamp = self.stamp.as_deref();
        let id_pointer = self.protocol.id_pointer.as_deref();
        let (by_id, ids) = (&mut line.by_id, &mut line.ids);
        let mut write = |out: &mut Vec<u8>| {
            let start = out.len();
            if !encoder.encode(message, numbering, out) {
                return false;
            }
            if let Some(stamp) = stamp {
                // Straight behind the opening brace.
                let field = [stamp, ordinal.to_string().as_bytes(), b","].concat();
                out.splice(start + 1..start + 1, field);
            }
            if let Some(pointer) = id_pointer
                && let Some(id) = member_text(&out[start..], pointer)
            {
                by_id.entry(id.clone()).or_default().push_back(ordinal);
                ids.insert(ordinal, id);
            }
            true
        };
        if self.protocol.arrays {
            let count = line.frames.back_mut().expect("begin pushed it");
            let start = self.frame.len();
            if *count > 0 {
                self.frame.push(b',');
            }
            let told = write(&mut self.frame);
            if told {
                *count += 1;
            } else {
                self.frame.truncate(start);
            }
            told
        } else {
            connection.push_frame_if(write)
        }
    }

    fn pass(&mut self, _lane: usize, message: &Message) -> bool {
        self.passed.clear();
        // It has no place among the connection's messages, so that its number is taken by the next.
        self.protocol.encoder.encode(message, &mut Numbering::default(), &mut self.passed)
    }

    fn end(&mut self, lane: usize) {
        if self.protocol.arrays {
            self.frame.push(b']');
            if let Some(connection) = &mut self.lanes[lane].connection {
                connection.push_frame(|out| out.extend_from_slice(&self.frame));
            }
        }
    }

    fn buffered(&self, lane: usize) -> usize {
        self.lanes[lane].connection.as_ref().map_or(0, Connection::buffered)
    }

    fn flush(&mut self, lane: usize) -> Taken {
        let line = &mut self.lanes[lane];
        let Some(connection) = &mut line.connection else {
            return Taken { blocked: true, ..Taken::default() };
        };
        match connection.flush() {
            Ok(flushed) => {
                let messages = if self.protocol.arrays {
                    let taken = line.frames.drain(..flushed.frames);
                    taken.inspect(|&count| line.unanswered.push_back(count)).sum()
                } else {
                    flushed.frames
                };
                if self.protocol.ack != AckMode::Fifo {
                    line.unanswered.clear();
                }
                Taken { messages, bytes: flushed.bytes as u64, blocked: flushed.blocked }
            }
            Err(error) => {
                // What the target said before it went is still to be heard.
                let mut pending = std::mem::take(&mut self.pending);
                self.read(lane, &mut pending);
                pending.append(&mut self.pending);
                self.pending = pending;
                if self.lanes[lane].connection.is_some() {
                    self.lose(lane, format!("connection lost: {}", error.kind()));
                }
                Taken { blocked: true, ..Taken::default() }
            }
        }
    }

    fn collect(&mut self, _: &Markets, notices: &mut Vec<Notice>) {
        while let Some((lane, mut connection)) = self.reconnector.next() {
            if let Err(error) = connection.register(&self.poller, lane) {
                self.pending
                    .push(Notice::Nonsense { sample: format!("cannot watch a new connection: {error}") });
                self.reconnector.ask(lane);
                continue;
            }
            self.lanes[lane].connection = Some(connection);
            self.pending.push(Notice::Up { lane });
            self.unread.push(lane);
        }
        let mut readable = std::mem::take(&mut self.unread);
        for event in self.events.iter().filter(|event| event.readable) {
            if !readable.contains(&event.key) {
                readable.push(event.key);
            }
        }
        for &lane in &readable {
            self.read(lane, notices);
        }
        readable.clear();
        if self.unread.is_empty() {
            self.unread = readable;
        }
        notices.append(&mut self.pending);
    }

    fn give_up(&mut self, lane: usize, ordinal: u64) {
        let line = &mut self.lanes[lane];
        if let Some(id) = line.ids.remove(&ordinal)
            && let Some(ordinals) = line.by_id.get_mut(&id)
        {
            ordinals.retain(|&other| other != ordinal);
            if ordinals.is_empty() {
                line.by_id.remove(&id);
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        let timeout =
            if self.unread.is_empty() && self.pending.is_empty() { timeout } else { Duration::ZERO };
        // A poller that fails is out of memory; the pacer's clock still ends the wait.
        if self.poller.wait(timeout, &mut self.events).is_err() {
            thread::sleep(timeout);
        }
        self.events.iter().next().is_some()
            || !self.unread.is_empty()
            || !self.pending.is_empty()
            || self.reconnector.has_news()
    }

    fn finish(&mut self, patience: Duration, is_over: &dyn Fn() -> bool) {
        // A socket that is closed while replies still come in is reset, and with it go the messages that the target has
        // not read yet: so its own close is waited for.
        let until = Instant::now() + patience;
        for line in &mut self.lanes {
            if let Some(connection) = line.connection.take() {
                connection.close_unless(until.saturating_duration_since(Instant::now()), is_over);
            }
        }
    }
}

/// Makes new connections for lost ones, in a thread of its own so that the worker keeps its schedule, and with growing
/// pauses so that a server that has trouble is not hammered.
struct Reconnector {
    asked: mpsc::Sender<usize>,
    made: mpsc::Receiver<(usize, Connection)>,
    early: Option<(usize, Connection)>,
}

impl Reconnector {
    fn start(endpoint: Endpoint, poller: Arc<Poller>) -> Self {
        let (asked, questions) = mpsc::channel::<usize>();
        let (answers, made) = mpsc::channel();
        let work = move || {
            let mut pending: Vec<Attempt> = Vec::new();
            // When each lane was connected last, and the pause before that.
            let mut lives: HashMap<usize, (Instant, Duration)> = HashMap::new();
            loop {
                let next = pending.iter().map(|attempt| attempt.at).min();
                let asked = match next {
                    None => questions.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                    Some(at) => questions.recv_timeout(at.saturating_duration_since(Instant::now())),
                };
                match asked {
                    Ok(lane) => {
                        let now = Instant::now();
                        // A server that accepts and closes at once is not hammered either.
                        let pause = match lives.get(&lane) {
                            Some((since, pause)) if now - *since < LONG_LIFE => {
                                (*pause * 2).min(LONGEST_PAUSE)
                            }
                            _ => FIRST_PAUSE,
                        };
                        pending.push(Attempt { lane, at: now + pause, pause });
                    }

                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                }
                let now = Instant::now();
                let mut failed = Vec::new();
                for attempt in pending.extract_if(.., |attempt| attempt.at <= now) {
                    let connected: Result<Connection, ConnectError> =
                        Connection::connect(&endpoint, CONNECT_TIMEOUT);
                    match connected {
                        Ok(connection) => {
                            lives.insert(attempt.lane, (Instant::now(), attempt.pause));
                            if answers.send((attempt.lane, connection)).is_err() {
                                return;
                            }
                            let _ = poller.notify();
                        }
                        Err(_) => {
                            let pause = (attempt.pause * 2).min(LONGEST_PAUSE);
                            failed.push(Attempt { lane: attempt.lane, at: Instant::now() + pause, pause });
                        }
                    }
                }
                pending.append(&mut failed);
            }
        };
        // Without the thread a lost lane stays down, and the report says so.
        let _ = thread::Builder::new().name("tickstorm-reconnect".into()).spawn(work);
        Self { asked, made, early: None }
    }

    fn ask(&self, lane: usize) {
        let _ = self.asked.send(lane);
    }

    fn has_news(&mut self) -> bool {
        if self.early.is_none() {
            self.early = self.made.try_recv().ok();
        }
        self.early.is_some()
    }

    fn next(&mut self) -> Option<(usize, Connection)> {
        self.early.take().or_else(|| self.made.try_recv().ok())
    }
}

struct Attempt {
    lane: usize,
    at: Instant,
    pause: Duration,
}

/// Bytes that may wait on a connection: several full writes, yet little to lose with it.
const FULL_BYTES: usize = 256 * 1024;

/// Reads of one connection before others have their turn.
const READS_PER_TURN: usize = 16;

const SAMPLE_BYTES: usize = 120;

const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A target that is back stays away for us until the next attempt, and what is due meanwhile counts against it. Two
/// attempts a second hammer nobody.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection that lived this long was a good one: the next pause is short again.
const LONG_LIFE: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
