//! The seam between the drive loop and the ways to reach a target.

use std::time::{Duration, Instant};

use tickstorm_load::{Failure, Recording};
use tickstorm_market::{Message, ShardMarket};

/// A worker's share of a way to reach the target: its *lanes*, each a connection or (for a call) the worker itself.
///
/// The drive loop decides when and what; an outlet only hands over and tells what came back. Within a lane, the
/// messages are numbered from 0 in the order they are placed, anew after each [`Notice::Lost`].
pub(crate) trait Outlet {
    /// Whether a lane takes messages now.
    fn state(&self, lane: usize) -> LaneState;

    /// Starts a frame (or call) on an open lane; [`Outlet::add`] fills it, [`Outlet::end`] completes it.
    fn begin(&mut self, lane: usize);

    /// Adds a message, the `ordinal`-th of the lane, to the frame under way; not if the venue does not tell such a
    /// thing. Whether it does.
    fn add(&mut self, lane: usize, ordinal: u64, message: &Message) -> bool;

    /// Takes note of a message that is not sent, since later ones may refer to it. Whether it would have been.
    fn pass(&mut self, lane: usize, message: &Message) -> bool;

    /// Completes the frame.
    fn end(&mut self, lane: usize);

    /// Bytes placed on the lane and not yet taken.
    fn buffered(&self, lane: usize) -> usize;

    /// Offers to the target what is placed on the lane.
    fn flush(&mut self, lane: usize) -> Taken;

    /// When the target took the next of the messages that flushes reported, in order; none where the flush itself was
    /// the moment.
    fn taken_at(&mut self, _lane: usize) -> Option<Instant> {
        None
    }

    /// Takes back what is placed and not taken, and says how many messages that is: the last ones. Only where the
    /// target takes messages on its own, between flushes, is it not all that the drive loop believes to be placed.
    fn withdraw(&mut self, _lane: usize) -> usize {
        usize::MAX
    }

    /// Appends what has happened since the last call. Does not block.
    fn collect(&mut self, markets: &Markets, notices: &mut Vec<Notice>);

    /// The message was given up; nobody waits for its answer any more.
    fn give_up(&mut self, lane: usize, ordinal: u64);

    /// Blocks until the timeout is over or something has happened; zero only looks. Whether something has.
    fn wait(&mut self, timeout: Duration) -> bool;

    /// Ends all lanes, and waits at most so long for the target to take what the kernel still holds and to agree. One that
    /// waits longer, for a reason of its own, looks whether it `is_over`.
    fn finish(&mut self, patience: Duration, is_over: &dyn Fn() -> bool);

    /// Every message that is due by then was added.
    fn reached(&mut self, _now_ns: u64) {}

    /// The kernel kept this thread from running.
    fn was_away(&mut self, _from_ns: u64, _to_ns: u64) {}

    /// Adds what an outlet that [counts for itself](crate::worker::Counting) has noted since the last time.
    fn settle(&mut self, _recording: &mut Recording) {}
}

/// The markets of a worker's shards, by shard; none of those that others own.
pub(crate) type Markets = [Option<Box<ShardMarket>>];

/// Whether a lane takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneState {
    /// It does.
    Open,
    /// It holds as much as it should; it must be flushed first.
    Full,
    /// It has no connection.
    Down,
}

/// What a flush achieved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Messages that the target has now taken, in the order they were placed.
    pub messages: usize,
    /// Bytes that one write took; zero where nothing is written.
    pub bytes: u64,
    /// Whether something is left because the target would not take more.
    pub blocked: bool,
}

/// Something that happened on a lane.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A reply to one message.
    Reply {
        /// The lane.
        lane: usize,
        /// Which message.
        answer: Answer,
        /// `None` for success, else why it failed and a sample of the words.
        failure: Option<(Failure, Option<String>)>,
    },
    /// A call has ended at an instant that the callee noted.
    Returned {
        /// The lane.
        lane: usize,
        /// Which message it carried.
        ordinal: u64,
        /// When it ended.
        at: Instant,
        /// `None` for success, else why it failed and a sample of the words.
        failure: Option<(Failure, Option<String>)>,
    },
    /// A reply that names no message.
    Nonsense {
        /// Its beginning.
        sample: String,
    },
    /// The connection is gone, with all that was placed and not answered.
    Lost {
        /// The lane.
        lane: usize,
        /// Why.
        reason: String,
    },
    /// The connection is back.
    Up {
        /// The lane.
        lane: usize,
    },
}

/// Which message a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The one with this number in the lane.
    Ordinal(u64),
    /// The oldest one.
    Oldest,
}
