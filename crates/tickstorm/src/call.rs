//! The outlet to code in this process: each message (or batch) is a task on the caller's runtime.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tickstorm_load::Failure;
use tokio::{runtime::Handle, task::AbortHandle};

use crate::{
    Message,
    message::Wording,
    outlet::{Answer, LaneState, Markets, Notice, Outlet, Taken},
    target::Callee,
};

/// One lane to an async function.
pub(crate) struct CallOutlet {
    callee: Callee,
    runtime: Handle,
    wording: Wording,
    frame: Vec<Message>,
    frame_starts_at: u64,
    /// Started and not yet told to the drive loop.
    started: usize,
    /// By ordinal from `first` on: the tasks that may have to be given up.
    tasks: VecDeque<Option<AbortHandle>>,
    first: u64,
    completed: mpsc::Sender<Completed>,
    completions: mpsc::Receiver<Completed>,
    /// The completion that ended a wait.
    early: Option<Completed>,
}

struct Completed {
    from: u64,
    count: u64,
    end: End,
}

enum End {
    /// The function returned, or panicked.
    Returned(Option<(Failure, Option<String>)>),
    /// The task was dropped unfinished: given up by us, or by a runtime that shuts down.
    Dropped,
}

/// Tells the end of a task, also when the runtime drops it unfinished.
struct Completion {
    completed: Option<Completed>,
    to: mpsc::Sender<Completed>,
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(completed) = self.completed.take() {
            // Nobody listens any more when the run is over.
            let _ = self.to.send(completed);
        }
    }
}

impl CallOutlet {
    pub(crate) fn new(callee: Callee, runtime: Handle, wording: Wording) -> Self {
        let (completed, completions) = mpsc::channel();
        Self {
            callee,
            runtime,
            wording,
            frame: Vec::new(),
            frame_starts_at: 0,
            started: 0,
            tasks: VecDeque::new(),
            first: 0,
            completed,
            completions,
            early: None,
        }
    }

    fn tell(&mut self, completed: Completed, notices: &mut Vec<Notice>) {
        for ordinal in completed.from..completed.from + completed.count {
            let entry = ordinal.checked_sub(self.first).and_then(|i| self.tasks.get_mut(i as usize));
            let was_given_up = entry.and_then(Option::take).is_none();
            let failure = match &completed.end {
                End::Returned(failure) => failure.clone(),
                // Nobody answered; the drive loop knows that it gave the message up.
                End::Dropped if was_given_up => continue,
                End::Dropped => Some((Failure::ConnectionLost, Some(DROPPED.to_owned()))),
            };
            notices.push(Notice::Reply { lane: 0, answer: Answer::Ordinal(ordinal), failure });
        }
        while let Some(None) = self.tasks.front() {
            self.tasks.pop_front();
            self.first += 1;
        }
    }
}

impl Outlet for CallOutlet {
    fn state(&self, _lane: usize) -> LaneState {
        LaneState::Open
    }

    fn begin(&mut self, _lane: usize) {
        self.frame = Vec::with_capacity(1);
    }

    fn add(&mut self, _lane: usize, ordinal: u64, message: &tickstorm_market::Message) -> bool {
        let Some(message) = self.wording.message(message) else { return false };
        if self.frame.is_empty() {
            self.frame_starts_at = ordinal;
        }
        self.frame.push(message);
        true
    }

    fn pass(&mut self, _lane: usize, message: &tickstorm_market::Message) -> bool {
        self.wording.pass(message)
    }

    fn end(&mut self, _lane: usize) {
        let frame = std::mem::take(&mut self.frame);
        let (from, count) = (self.frame_starts_at, frame.len() as u64);
        let mut completion = Completion {
            completed: Some(Completed { from, count, end: End::Dropped }),
            to: self.completed.clone(),
        };
        let callee = self.callee.clone();
        let task = self.runtime.spawn(async move {
            // The call itself may panic, not only the future that it returns.
            let result = AssertUnwindSafe(async { (callee.function)(frame).await }).catch_unwind().await;
            let failure = match result {
                Ok(Ok(())) => None,
                Ok(Err(failure)) => Some(failure.counted()),
                Err(panic) => Some((Failure::Panicked, Some(panic_text(panic.as_ref())))),
            };
            if let Some(completed) = &mut completion.completed {
                completed.end = End::Returned(failure);
            }
        });
        let handle = task.abort_handle();
        self.tasks.extend((0..count).map(|_| Some(handle.clone())));
        self.started += count as usize;
    }

    fn buffered(&self, _lane: usize) -> usize {
        0
    }

    fn flush(&mut self, _lane: usize) -> Taken {
        Taken { messages: std::mem::take(&mut self.started), bytes: 0, blocked: false }
    }

    fn collect(&mut self, _: &Markets, notices: &mut Vec<Notice>) {
        if let Some(completed) = self.early.take() {
            self.tell(completed, notices);
        }
        while let Ok(completed) = self.completions.try_recv() {
            self.tell(completed, notices);
        }
    }

    fn give_up(&mut self, _lane: usize, ordinal: u64) {
        let task = ordinal.checked_sub(self.first).and_then(|i| self.tasks.get_mut(i as usize));
        if let Some(task) = task.and_then(Option::take) {
            task.abort();
        }
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        if self.early.is_some() {
            return true;
        }
        let received = if timeout.is_zero() {
            self.completions.try_recv().map_err(|_| RecvTimeoutError::Timeout)
        } else {
            self.completions.recv_timeout(timeout)
        };
        self.early = received.ok();
        self.early.is_some()
    }

    fn finish(&mut self, _patience: Duration, _is_over: &dyn Fn() -> bool) {
        for task in self.tasks.drain(..).flatten() {
            task.abort();
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

const DROPPED: &str = "the runtime dropped the call unfinished";
