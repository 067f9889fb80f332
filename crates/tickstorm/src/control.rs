//! Looking at a run and ending it, from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed};

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

/// A run in other hands, of which there is no [`Control`] before it has connected: orders may come earlier, and are
/// carried out then. Cheap to clone; clones are of the same run.
#[derive(Debug, Clone, Default)]
pub struct Remote(Arc<Mutex<Reach>>);

#[derive(Debug, Default)]
struct Reach {
    control: Option<Control>,
    early: Option<Order>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Stop,
    Abort,
}

impl Remote {
    /// The run has connected.
    pub fn connect(&self, control: Control) {
        let mut reach = self.reach();
        if let Some(order) = reach.early.take() {
            order.give(&control);
        }
        reach.control = Some(control);
    }

    /// As [`Control::stop`], at once or when the run has connected.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    /// As [`Control::abort`], at once or when the run has connected.
    pub fn abort(&self) {
        self.order(Order::Abort);
    }

    /// Whether an order waits for the run to connect.
    pub fn has_early_order(&self) -> bool {
        self.reach().early.is_some()
    }

    /// The run's figures, see [`Control::snapshot`]; none before it has connected.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let control = self.reach().control.clone();
        control.map(|control| control.snapshot())
    }

    fn order(&self, order: Order) {
        let mut reach = self.reach();
        match &reach.control {
            Some(control) => order.give(control),
            None => reach.early = Some(order),
        }
    }

    fn reach(&self) -> MutexGuard<'_, Reach> {
        // It is whole between any two statements, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn give(self, control: &Control) {
        match self {
            Order::Stop => control.stop(StopReason::Requested),
            Order::Abort => control.abort(StopReason::Requested),
        }
    }
}
