//! One client: its connection, what it has subscribed to, and what became of what it was owed.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use tickstorm_load::Histogram;
use tickstorm_market::{AccountId, Kind};
use tickstorm_net::{Link, Mark, observe::PingProbe};
use tickstorm_venue::{
    Numbering, Venue,
    limits::{ConnectionMeter, Limits},
    protocol::{Endpoint, Topic},
    publisher::{AccountFeed, StreamId},
};

use super::{conflate::Folds, gauge::Ages};

/// A connected client.
pub(super) struct Client<T> {
    /// From 1, in the order in which they came.
    pub number: u32,
    pub link: Link<T>,
    pub who: Who,
    pub venue: Venue,
    pub endpoint: Endpoint,
    pub numbering: Numbering,
    pub held: Vec<Held>,
    /// Whether its messages are wrapped with the name of their stream.
    pub is_combined: bool,
    /// The account that it has logged in to, with what its connection knows of it.
    pub account: Option<(AccountId, Box<AccountFeed>)>,
    /// The key that it has logged in with, and when: Unix ms.
    pub login: Option<(String, u64)>,
    pub tally: Tally,
    pub keep: Keep,
    pub meter: ConnectionMeter,
    pub stage: Stage,
    /// The topics that it has unsubscribed from.
    forgone: HashSet<Topic>,
    /// Pings behind the data; from the first one on.
    pub probe: Option<Box<PingProbe>>,
    /// How far behind it is, and was at its worst in the measured phase.
    pub ages: Ages,
    pub worst: Ages,
    /// Whether it is among those that get something in this turn.
    pub is_dirty: bool,
    /// Control frames that it gets in this turn.
    pub controls: u32,
    /// Whether as much waits for it as may.
    pub is_full: bool,
    /// What it could not be told, folded, where that is how slow clients are treated.
    pub folds: Folds,
}

/// Where a client comes from.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub user_agent: Option<String>,
    pub is_tls: bool,
}

/// A subscription.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub topic: Topic,
    pub source: Source,
}

/// Where the messages of a subscription come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// From a stream of the venue's publisher.
    Stream(StreamId),
    /// From what happens to the client's account.
    Account,
    /// From the clock.
    Clock,
    /// From nowhere: a name that is no instrument's, which Binance takes.
    Nowhere,
}

/// Who gets a stream, in which form.
#[derive(Debug, Clone)]
pub(super) struct Subscriber {
    /// The client's key.
    pub key: usize,
    /// The name of the topic in the client's words, where its messages are wrapped with it.
    pub wrapped: Option<Arc<str>>,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// A close frame is on its way; the connection ends when the client has answered, or then.
    Leaving {
        until_ns: u64,
    },
}

/// Signs of life, both ways; times of the floor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keep {
    /// When the client last said something of its own: pongs are our doing.
    pub heard_ns: u64,
    /// When it was last told something: pings and pongs are nothing.
    pub said_ns: u64,
    /// When the venue's own ping is due, and by when its pong must have come.
    pub ping_due_ns: Option<u64>,
    pub pong_by_ns: Option<u64>,
    pub heartbeat_due_ns: u64,
    pub heartbeats: u64,
}

/// What became of what a client was owed, and what it did. Counts are of the measured phase.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub came_ns: u64,
    pub owed: u64,
    pub delivered: u64,
    pub folded: u64,
    pub dropped: u64,
    pub lost: u64,
    /// What was put on its way, by the kind's place in [`Kind::ALL`].
    pub by_kind: [OfKind; Kind::ALL.len()],
    /// Data frames that the kernel took, and bytes of all kinds, those before the measured phase among them.
    pub frames: u64,
    pub bytes: u64,
    /// Made with the first message: an idle client costs nothing.
    pub lag: Option<Box<Histogram>>,
    pub requests: u64,
    pub refused: u64,
    pub most_subscriptions: usize,
    /// Subscriptions to what it had subscribed to before.
    pub resubscriptions: u64,
    pub missed_pongs: u64,
    pub end: Option<End>,
}

/// What was put on its way to a client of one kind of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct OfKind {
    pub messages: u64,
    pub frames: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub at_ns: u64,
    pub cause: Cause,
    pub code: Option<u16>,
    pub text: String,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// The client took its leave.
    ClosedByClient,
    /// The client was gone without a word.
    Vanished,
    /// What it sent was no WebSocket stream, or broke a limit.
    Offended,
    /// It did not read what it was sent.
    TooSlow,
    /// It did not answer pings, or was silent for too long.
    Silent,
    /// The run is over.
    RunEnded,
}

impl Cause {
    /// Its name in the report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Cause::ClosedByClient => "closed_by_client",
            Cause::Vanished => "vanished",
            Cause::Offended => "protocol_error",
            Cause::TooSlow => "too_slow",
            Cause::Silent => "silent",
            Cause::RunEnded => "run_ended",
        }
    }
}

impl Tally {
    /// Whether the client was too slow for its venue to go on with.
    pub(super) fn was_cut_off(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.cause == Cause::TooSlow)
    }

    /// A frame that tells so many messages is put on its way.
    #[inline]
    pub(super) fn on_placed(&mut self, kind: Kind, messages: u32) {
        let of_kind = &mut self.by_kind[kind as usize];
        of_kind.messages += u64::from(messages);
        of_kind.frames += 1;
    }

    /// The kernel took all of a mark's frames.
    pub(super) fn on_delivered(&mut self, mark: &Mark, lag_ns: u64) {
        let messages = u64::from(mark.messages);
        let frames = u64::from(mark.frames).min(messages);
        self.delivered += frames;
        self.folded += messages - frames;
        self.frames += frames;
        self.lag.get_or_insert_with(Box::default).record_n(lag_ns, messages);
    }
}

impl<T> Client<T> {
    /// A client that has just come.
    pub(super) fn new(
        number: u32,
        link: Link<T>,
        who: Who,
        (venue, endpoint): (Venue, Endpoint),
        limits: &Limits,
        now_ns: u64,
    ) -> Self {
        Self {
            meter: ConnectionMeter::new(limits),
            number,
            link,
            who,
            venue,
            endpoint,
            numbering: Numbering::default(),
            held: Vec::new(),
            is_combined: false,
            account: None,
            login: None,
            tally: Tally { came_ns: now_ns, ..Tally::default() },
            keep: Keep { heard_ns: now_ns, said_ns: now_ns, ..Keep::default() },
            stage: Stage::Open,
            forgone: HashSet::new(),
            probe: None,
            ages: Ages::default(),
            worst: Ages::default(),
            is_dirty: false,
            controls: 0,
            is_full: false,
            folds: Folds::default(),
        }
    }

    /// Adds a subscription.
    pub(super) fn remember(&mut self, held: Held) {
        if self.forgone.remove(&held.topic) {
            self.tally.resubscriptions += 1;
        }
        self.held.push(held);
        self.tally.most_subscriptions = self.tally.most_subscriptions.max(self.held.len());
    }

    /// Notes that a subscription was given up, to know it if it comes again.
    pub(super) fn forgo(&mut self, topic: &Topic) {
        if self.forgone.len() < MOST_FORGONE {
            self.forgone.insert(topic.clone());
        }
    }

    /// The subscription to a topic, in whatever words.
    pub(super) fn find(&self, topic: &Topic) -> Option<usize> {
        self.held.iter().position(|held| is_same(&held.topic, topic))
    }

    pub(super) fn topics(&self) -> Vec<Topic> {
        self.held.iter().map(|held| held.topic.clone()).collect()
    }
}

/// Whether two topics are one subscription. Names tell topics apart where the channel does not say everything, as the
/// speed of a book; where they are those of channels, or there are none, symbols do.
pub(super) fn is_same(one: &Topic, other: &Topic) -> bool {
    one.channel == other.channel
        && one.symbol == other.symbol
        && (one.name == other.name || one.name.is_empty() || other.name.is_empty())
}

/// More topics than these are not remembered: resubscriptions are then counted too low.
const MOST_FORGONE: usize = 10_000;
