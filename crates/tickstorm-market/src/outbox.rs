//! The messages of the event under way.

use crate::event::{Body, BookChange, Message};
use crate::instrument::SymbolId;

/// Collects an event's messages, then hands them out one by one.
pub(crate) struct Outbox {
    messages: Vec<Message>,
    handed_out: usize,
    /// For each book change among the messages, the lots that were there before it.
    before: Vec<u32>,
    event: u64,
    event_ns: u64,
    symbol: SymbolId,
    sequence: u64,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            messages: Vec::with_capacity(MOST_MESSAGES),
            handed_out: 0,
            before: Vec::with_capacity(MOST_MESSAGES),
            event: 0,
            event_ns: 0,
            symbol: SymbolId(0),
            sequence: 0,
        }
    }

    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        self.handed_out == self.messages.len()
    }

    /// Begins the next event: of this symbol, whose last message was number `sequence`.
    #[inline]
    pub(crate) fn open(&mut self, symbol: SymbolId, sequence: u64, event_ns: u64) {
        self.messages.clear();
        self.before.clear();
        self.handed_out = 0;
        self.event += 1;
        self.event_ns = event_ns;
        self.symbol = symbol;
        self.sequence = sequence;
    }

    #[inline]
    pub(crate) fn push(&mut self, body: Body) {
        self.sequence += 1;
        self.messages.push(Message {
            symbol: self.symbol,
            sequence: self.sequence,
            event: self.event,
            event_ns: self.event_ns,
            due_ns: self.event_ns,
            last: false,
            body,
        });
    }

    #[inline]
    pub(crate) fn push_change(&mut self, change: BookChange, before: u32) {
        self.before.push(before);
        self.push(Body::Book(change));
    }

    /// Ends the event. The number of its last message.
    #[inline]
    pub(crate) fn close(&mut self) -> u64 {
        debug_assert!(!self.messages.is_empty() && self.messages.len() <= MOST_MESSAGES);
        if let Some(last) = self.messages.last_mut() {
            last.last = true;
        }
        self.sequence
    }

    #[inline]
    pub(crate) fn event_ns(&self) -> u64 {
        self.event_ns
    }

    /// The next message; there must be one.
    #[inline]
    pub(crate) fn hand_out(&mut self, due_ns: u64) -> &Message {
        let message = &mut self.messages[self.handed_out];
        message.due_ns = due_ns;
        self.handed_out += 1;
        message
    }

    /// The messages not yet handed out, last first, each book change with the lots that were there before it.
    pub(crate) fn withheld(&self) -> impl Iterator<Item = (&Message, u32)> {
        let mut before = self.before.iter().rev();
        self.messages[self.handed_out..].iter().rev().map(move |message| {
            let lots = match message.body {
                Body::Book(_) => before.next().copied().unwrap_or(0),
                _ => 0,
            };
            (message, lots)
        })
    }
}

/// More than an event can have: a sweep of twelve levels, five messages each; or a best price that jumps by a
/// hundred ticks and leaves as many levels out of reach, two messages more for each of sixteen own orders.
const MOST_MESSAGES: usize = 192;
