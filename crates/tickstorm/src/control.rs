//! Looking at a run and ending it, from outside.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed};

use tickstorm_report::StopReason;

use crate::{
    Phase, Snapshot,
    worker::{Command, Shared},
};

/// Looks at a run and ends it, from any thread, any number of times.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<[Arc<Shared>]>,
    stop_reason: Arc<Mutex<Option<StopReason>>>,
    snapshot: Arc<Mutex<Arc<Snapshot>>>,
}

impl Control {
    pub(crate) fn new(shared: Arc<[Arc<Shared>]>, snapshot: Snapshot) -> Self {
        Self { shared, stop_reason: Arc::default(), snapshot: Arc::new(Mutex::new(Arc::new(snapshot))) }
    }

    /// Lets nothing more fall due; what is due is sent and the replies are awaited, at most the timeout. The report is of
    /// what was measured.
    pub fn stop(&self, reason: StopReason) {
        self.order(Command::Stop, reason);
    }

    /// Ends the run at once; what is in flight counts as aborted.
    pub fn abort(&self, reason: StopReason) {
        self.order(Command::Abort, reason);
    }

    /// The figures of now, some tenths of a second old.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the report is ready.
    pub fn is_finished(&self) -> bool {
        self.snapshot().phase == Phase::Finished
    }

    fn order(&self, command: Command, reason: StopReason) {
        self.stop_reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        for shared in self.shared.iter() {
            shared.order(command);
        }
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        *self.stop_reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn show(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    /// Sent and unanswered; and connections up.
    pub(crate) fn gauges(&self) -> (u64, u64) {
        let sum = |read: fn(&Shared) -> u64| self.shared.iter().map(|shared| read(shared)).sum();
        (sum(|shared| shared.in_flight.load(Relaxed)), sum(|shared| shared.lanes_up.load(Relaxed)))
    }
}
