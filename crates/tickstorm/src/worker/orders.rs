//! What a worker is told, and what it tells.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
        mpsc,
    },
    time::Instant,
};

use tickstorm_load::{Clock, Recording};
use tickstorm_market::ShardMarket;
use tickstorm_report::Outage;

use crate::{AtLimit, Flush, pacer::PacedBy};

/// What a worker is told.
pub(crate) struct Orders {
    /// Its share of each phase's due instants, with the run time at which the phase starts.
    pub phases: Vec<(Clock, u64)>,
    /// The shards' markets, by shard; `None` for those of other workers.
    pub markets: Vec<Option<Box<ShardMarket>>>,
    /// The lane of each shard, by shard, counted within this worker.
    pub lane_of_shard: Vec<u32>,
    /// How many lanes it has.
    pub lanes: usize,
    /// Run time at which the measured phase begins.
    pub measured_from_ns: u64,
    /// Run time of the end of the last phase.
    pub end_ns: u64,
    /// Its share of the concurrency limit; `None` without acknowledgements.
    pub max_concurrent: Option<u64>,
    pub at_limit: AtLimit,
    pub timeout_ns: u64,
    pub batch: usize,
    pub flush: Flush,
    /// Whether a message is processed once it is taken.
    pub taken_is_processed: bool,
    /// Whether a reply says which message it answers.
    pub replies_have_ids: bool,
    pub counting: Counting,
    /// A recording is handed over at each multiple of these, and at the end.
    pub publish_every_ns: [u64; 2],
    /// An empty recording, to be cloned.
    pub recording: Recording,
}

/// What the figures of a run count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Each message that was due, once.
    Messages,
    /// What the outlet [settles](crate::outlet::Outlet::settle): where a message goes to several clients or to none, the
    /// worker cannot know.
    ByTheOutlet,
}

/// What workers and the collector share while the run lasts.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    command: AtomicU8,
    pub in_flight: AtomicU64,
    pub waiting: AtomicU64,
    pub lanes_up: AtomicU64,
}

/// What a run is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(crate) enum Command {
    /// Go on.
    Run = 0,
    /// Let nothing more fall due, send what is due, await the replies.
    Stop = 1,
    /// End at once.
    Abort = 2,
}

impl Shared {
    pub(crate) fn order(&self, command: Command) {
        self.command.fetch_max(command as u8, Ordering::Relaxed);
    }

    pub(crate) fn command(&self) -> Command {
        match self.command.load(Ordering::Relaxed) {
            0 => Command::Run,
            1 => Command::Stop,
            _ => Command::Abort,
        }
    }
}

/// What ties a worker to the run.
pub(crate) struct Links {
    /// Its number.
    pub worker: usize,
    /// When the first phase begins.
    pub origin: Instant,
    pub shared: Arc<Shared>,
    pub deltas: mpsc::Sender<Dispatch>,
    /// Emptied recordings, back from the collector.
    pub spares: mpsc::Receiver<Box<Recording>>,
}

/// What a worker hands to the collector.
pub(crate) enum Dispatch {
    /// What was recorded since the last one, until this run time.
    Delta { worker: usize, until_ns: u64, recording: Box<Recording> },
    /// The end.
    Done { worker: usize, summary: Summary },
}

/// What a worker knows at its end beyond its recordings.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub lanes: Vec<LaneSummary>,
    pub paced_by: PacedBy,
    pub involuntary_switches: Option<u64>,
    pub absences: AbsenceSummary,
    /// Messages that were dropped after waiting mostly for us, not for the target.
    pub dropped_by_us: u64,
    pub panicked: bool,
    /// Run time at which a stop by hand took effect.
    pub stopped_ns: Option<u64>,
    /// Run time of the last thing that happened.
    pub finished_ns: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct LaneSummary {
    pub sent: u64,
    pub outages: Vec<Outage>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AbsenceSummary {
    pub count: u64,
    pub total_ns: u64,
    pub max_ns: u64,
}
