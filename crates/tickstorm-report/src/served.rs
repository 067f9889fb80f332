//! The part of a result that only a served run has: the clients, and how far behind each was. The doc comments here become
//! the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Summary;

/// What an exchange that was served saw of its clients.
///
/// The unit of account is a market message and a subscriber of it: each such pair was *owed*, and then *delivered* in a
/// frame of its own, *folded* into another message's frame, *dropped*, or *lost* with the connection. In the rest of the
/// report `total_messages` are those owed, `messages_processed` those delivered or folded, `messages_failed` those
/// dropped or lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    /// Where it listened.
    pub address: String,
    /// The rhythm of the frames: `venue` or `realtime`.
    pub cadence: String,
    /// What happened to slow clients: `disconnect`, `conflate` or `drop`.
    pub slow_client: String,
    /// Bytes that were allowed to wait for a client.
    pub client_queue_bytes: u64,
    /// Messages of the market, told to anybody or not.
    pub market_messages: u64,
    /// The same a second.
    pub market_rate: f64,
    /// What all clients together got.
    pub delivered: Traffic,
    /// HTTP requests.
    pub http_requests: u64,
    /// Those that were answered with an error.
    pub http_refused: u64,
    /// Those for a book: each is a client that starts, or that starts again.
    pub snapshot_requests: u64,
    /// Connections that were closed at once, because there were too many.
    pub turned_away: u64,
    /// Everybody who connected, in the order in which they came. Of more than a thousand those are told of who matter
    /// most: who was cut off as too slow, then who was owed something, of these the furthest behind.
    pub clients: Vec<Client>,
    /// Clients beyond those.
    pub clients_left_out: u64,
    /// What the verdict goes by of those; null if everybody is told of.
    pub left_out: Option<LeftOut>,
    /// What clients that told their books were right about.
    pub books: Vec<BookGrade>,
}

/// Three different rates of the same stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Market events: messages delivered, folded ones included.
    pub events: u64,
    /// Frames that told them; not the snapshots that subscriptions begin with, answers and heartbeats.
    pub frames: u64,
    /// Bytes of the WebSocket streams after their handshakes, before the measured phase too: frames of all kinds with
    /// their headers, answers and signs of life among them, as they are before TLS.
    pub bytes: u64,
    /// Market events a second.
    pub events_per_s: f64,
    /// Frames a second.
    pub frames_per_s: f64,
    /// Bytes a second.
    pub bytes_per_s: f64,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Client {
    /// Its number, from 1, in the order in which they came.
    pub id: u32,
    /// Its end of the connection.
    pub address: String,
    /// What it called itself.
    pub user_agent: Option<String>,
    /// Its process, if that runs on this machine and may be seen.
    pub process: Option<Process>,
    /// Whose client it was.
    pub venue: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// When it came: s since the start of the measured phase, negative before.
    pub connected_s: f64,
    /// How its connection ended; null if it stayed to the end of the run.
    pub ended: Option<Ended>,
    /// The most topics that it had subscribed to at a time.
    pub subscriptions: u64,
    /// Subscriptions to what it had given up before: how a client resynchronises.
    pub resubscriptions: u64,
    /// Requests over its socket.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Messages owed: `owed = delivered + folded + dropped + lost`.
    pub owed: u64,
    /// Messages delivered in a frame of their own.
    pub delivered: u64,
    /// Messages folded into another one's frame.
    pub folded: u64,
    /// Messages dropped because too much was waiting.
    pub dropped: u64,
    /// Messages that waited when the connection ended.
    pub lost: u64,
    /// What was put on its way to it, by kind, as far as there was anything. All of it arrived unless something was lost.
    pub kinds: Vec<OfKind>,
    /// What it got.
    pub traffic: Traffic,
    /// Taken by the kernel less due, of delivered and folded messages.
    pub lag: Summary,
    /// Round trips of pings behind the data, answered ones.
    pub ping: Summary,
    /// Pings of the venue's own that were not answered in time.
    pub missed_pongs: u64,
    /// How far behind it was at its worst, as far as that can be seen from outside while the feed runs.
    pub worst: Backlog,
    /// How far behind it was when the feed stopped.
    pub last: Backlog,
}

/// Clients that are not told of one by one, all together. Ages are of those who were owed something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Those who were owed something.
    pub owed_something: u64,
    /// Messages owed to them.
    pub owed: u64,
    /// Those who were cut off as too slow.
    pub cut_off: u64,
    /// How far behind one of them was at its worst, ms.
    pub worst_age_ms: Option<f64>,
    /// How far behind one of them was when the feed stopped, ms; null if that is known of nobody.
    pub last_age_ms: Option<f64>,
    /// What that is: exact only if it is for each of them.
    pub last_basis: Basis,
}

/// Messages of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfKind {
    /// As `trade` or `book`.
    pub kind: String,
    /// Market messages, folded ones included.
    pub messages: u64,
    /// Frames that told them.
    pub frames: u64,
}

/// A client's process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its command's name.
    pub command: Option<String>,
    /// Processor time that it used while it was connected, s.
    pub cpu_seconds: Option<f64>,
    /// Memory (resident set), MB.
    pub memory_mb: Option<f64>,
}

/// The end of a connection before that of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// When: s since the start of the measured phase.
    pub at_s: f64,
    /// Why: `closed_by_client`, `vanished`, `protocol_error`, `too_slow`, `silent`.
    pub cause: String,
    /// The close code, if there was one.
    pub code: Option<u16>,
    /// What was said.
    pub text: String,
}

/// How far behind a client was, and where what it had not worked off was waiting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backlog {
    /// The age of the oldest message that the client had not worked off, ms; null if it is not known.
    pub age_ms: Option<f64>,
    /// What that age is.
    pub basis: Basis,
    /// Where most of the backlog was waiting; null if there was none to speak of, or it is not known.
    pub place: Option<Place>,
    /// The same as a sentence for people.
    pub text: String,
    /// How far off an exact age may be, ms.
    pub resolution_ms: Option<f64>,
    /// The age of the oldest message in tickstorm's own queue, ms.
    pub our_queue_ms: f64,
    /// The same with those in the kernel of tickstorm's host; null if it does not tell.
    pub our_kernel_ms: Option<f64>,
    /// The same with those that the client had not read; null if the client is not on this host.
    pub unread_ms: Option<f64>,
    /// The age of the oldest ping behind messages without an answer, ms; 0 for a client that never answers any.
    pub unanswered_ms: f64,
    /// Bytes in tickstorm's own queue.
    pub our_queue_bytes: u64,
    /// Bytes in the kernel of tickstorm's host.
    pub our_kernel_bytes: Option<u64>,
    /// Bytes in the client's receive buffer.
    pub unread_bytes: Option<u64>,
}

/// What is known of an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It is the age.
    Exact,
    /// It is at least as much: what the client has read and not worked off cannot be seen.
    LowerBound,
    /// Nothing.
    Unknown,
}

/// Where a client's backlog waits, from tickstorm to the client's innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In tickstorm's queue for it, because the kernel took no more.
    OurQueue,
    /// In the kernel of tickstorm's host: unsent, or not confirmed.
    OurKernel,
    /// In the client's receive buffer: it has not read it.
    ClientKernel,
    /// Read, or on the way to be, by a reader that has not come to answer pings behind it.
    ClientReader,
    /// In the client's process, after the read.
    ClientProcess,
}

/// What a client that tells its best prices (`POST /tickstorm/book`) was right about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BookGrade {
    /// The client, in its own words.
    pub client: String,
    /// The symbol, as the market names it.
    pub symbol: String,
    /// Posts.
    pub posts: u64,
    /// Those that were the true best prices at the sequence told, or, without one, at some time.
    pub correct: u64,
    /// Those that were not.
    pub wrong: u64,
    /// Those of which nothing is known: too early, or too long ago.
    pub unknown: u64,
    /// For how long the prices of correct posts had not been the best any more.
    pub staleness: Summary,
}
