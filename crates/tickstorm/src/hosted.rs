//! The outlet to code that runs where the engine cannot start it: on the event loop or the threads of a host, such as
//! another language's interpreter. The engine leaves calls to be fetched; the host fetches them, makes them and says
//! when they began and how they ended, each with the instant at which they did.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tickstorm_load::Failure;
use tickstorm_market::Message as MarketMessage;

use crate::{
    AtLimit, Message,
    message::Wording,
    outlet::{LaneState, Markets, Notice, Outlet, Taken},
    target::CallFailure,
};

/// The calls of one run, as both sides see them: the engine puts them here when they are due, the host takes them when
/// it comes to it and says when each begins. What lies in between is the host's doing and shows as stall.
///
/// At most `max_concurrent` messages are under way at once; the others wait here and keep their due times.
///
/// ```
/// use std::{sync::Arc, thread, time::Duration};
/// use tickstorm::{HostedCalls, LoadProfile, Plan, Run, Spec, Target, Wordings};
///
/// let calls = HostedCalls::new(Wordings::Market, || ());
/// let target = Target::hosted(calls.clone());
/// let spec = Spec { duration: Some(Duration::from_millis(100)), ..Spec::default() };
/// let run = Run::start(Plan::new(&spec, &target)?, &target)?;
/// // The host here is a thread that looks now and then; one that sleeps is woken by the function above.
/// let host = thread::spawn(move || {
///     while !calls.is_over() {
///         while let Some(call) = calls.take() {
///             calls.begin(call.id);
///             calls.end(call.id, Ok(()));
///         }
///         thread::yield_now();
///     }
/// });
/// assert_eq!(run.wait().report.messages_processed, 100);
/// host.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HostedCalls(Arc<Inner>);

struct Inner {
    wordings: Wordings,
    wake: Box<dyn Fn() + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    has_run: bool,
    is_over: bool,
    /// The host was woken and has not come yet.
    is_woken: bool,
    limit: u64,
    waiting: VecDeque<HostedCall>,
    /// Messages of the calls taken and not ended.
    under_way: u64,
    /// Taken, in that order, and not told to the engine: it books what was sent in order, so what has begun waits here
    /// for what was taken before it.
    taken: VecDeque<TakenCall>,
    /// What the engine was not told yet.
    ended: Vec<Ended>,
    given_up: VecDeque<u64>,
    /// Ordinals from here on were taken, had not begun and were taken back: nothing is told of their calls.
    withdrawn_from: Option<u64>,
}

struct TakenCall {
    id: CallId,
    began: Option<Instant>,
}

struct Ended {
    id: CallId,
    at: Instant,
    failure: Option<(Failure, Option<String>)>,
}

/// In whose words a host takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wordings {
    /// The market's own messages, all kinds of them.
    Market,
    /// The bytes of the plan's venue, of what that venue tells.
    Venue,
}

/// A call to be made.
#[derive(Debug, Clone)]
pub struct HostedCall {
    /// What it is called afterwards.
    pub id: CallId,
    /// What it carries: one message, or up to a batch.
    pub content: Content,
}

/// Messages of a call.
#[derive(Debug, Clone)]
pub enum Content {
    /// In the market's own words.
    Market(Vec<MarketMessage>),
    /// In the venue's.
    Venue(Vec<Message>),
}

/// Names a call of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The number of its first message in the run, from 0.
    pub first: u64,
    /// How many messages it carries.
    pub count: u64,
}

impl fmt::Debug for HostedCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedCalls").field("wordings", &self.0.wordings).finish_non_exhaustive()
    }
}

impl HostedCalls {
    /// Calls for one run. `wake` is called, from a thread of the engine's, when there is something to do after the host
    /// last [came](HostedCalls::come); it should be quick.
    pub fn new(wordings: Wordings, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { wordings, wake: Box::new(wake), state: Mutex::default() }))
    }

    /// The host is about to look: what happens from now on wakes it again.
    pub fn come(&self) {
        self.state().is_woken = false;
    }

    /// The next call to make, if one is due and the limit allows it. Its place within the limit is taken; it counts as
    /// sent when it [begins](HostedCalls::begin).
    pub fn take(&self) -> Option<HostedCall> {
        let mut state = self.state();
        if !state.may_take() {
            return None;
        }
        let call = state.waiting.pop_front()?;
        state.under_way += call.id.count;
        state.taken.push_back(TakenCall { id: call.id, began: None });
        Some(call)
    }

    /// A call that was taken begins now: from here on its time is the target's. Calls may begin in another order than
    /// they were taken, but none should be kept for long, because the engine learns of the later ones after it. One that
    /// ends without a word of its beginning has begun when it ended, and only the first word counts. Whether anybody waits
    /// for it: a call that did not begin before the run gave up what it had not sent need not be made any more, but has to
    /// [end](HostedCalls::end_given_up).
    pub fn begin(&self, id: CallId) -> bool {
        let mut state = self.state();
        state.begin(id, Instant::now());
        state.withdrawn_from.is_none_or(|first| id.first < first)
    }

    /// Whether [`HostedCalls::take`] would give a call.
    pub fn has_more(&self) -> bool {
        self.state().may_take()
    }

    /// Whether there is anything for the host to do.
    pub fn has_news(&self) -> bool {
        let state = self.state();
        state.is_over || state.may_take() || !state.given_up.is_empty()
    }

    /// A call has ended now. Whether another one waits that could not be taken before.
    pub fn end(&self, id: CallId, outcome: Result<(), CallFailure>) -> bool {
        let failure = outcome.err().map(CallFailure::counted);
        self.ended(id, Instant::now(), Some(failure))
    }

    /// A call that was [given up](HostedCalls::take_given_up) has ended in no other way than that. Whether another one
    /// waits that could not be taken before.
    pub fn end_given_up(&self, id: CallId) -> bool {
        self.ended(id, Instant::now(), None)
    }

    fn ended(&self, id: CallId, at: Instant, told: Option<Option<(Failure, Option<String>)>>) -> bool {
        let mut state = self.state();
        let was_full = !state.may_take();
        state.under_way = state.under_way.saturating_sub(id.count);
        state.begin(id, at);
        let is_withdrawn = state.withdrawn_from.is_some_and(|from| id.first >= from);
        if !state.is_over && !is_withdrawn {
            state.ended.extend(told.map(|failure| Ended { id, at, failure }));
        }
        was_full && state.may_take()
    }

    /// A message whose call should be ended, because nobody waits for it any more. Its slot is taken until the call is
    /// [ended](HostedCalls::end).
    pub fn take_given_up(&self) -> Option<u64> {
        self.state().given_up.pop_front()
    }

    /// Messages of calls that were taken and have not ended.
    pub fn under_way(&self) -> u64 {
        self.state().under_way
    }

    /// Whether the run takes no notice of calls any more. What is still under way should be ended.
    pub fn is_over(&self) -> bool {
        self.state().is_over
    }

    pub(crate) fn wordings(&self) -> Wordings {
        self.0.wordings
    }

    /// Wakes the host unless it is on its way.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if !std::mem::replace(&mut state.is_woken, true) {
            drop(state);
            (self.0.wake)();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole between any two statements, so a panic elsewhere spoils nothing.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_take(&self) -> bool {
        let fits = |call: &HostedCall| self.under_way == 0 || self.under_way + call.id.count <= self.limit;
        !self.is_over && self.waiting.front().is_some_and(fits)
    }

    fn begin(&mut self, id: CallId, at: Instant) {
        // What the engine was told of is no longer there.
        if let Ok(index) = self.taken.binary_search_by_key(&id.first, |call| call.id.first) {
            self.taken[index].began.get_or_insert(at);
        }
    }

    /// Whether the engine may be told that a call was sent.
    fn has_begun(&self) -> bool {
        self.taken.front().is_some_and(|call| call.began.is_some())
    }
}

/// One lane to a host.
pub(crate) struct HostedOutlet {
    calls: HostedCalls,
    wording: Wording,
    frame: Content,
    frame_starts_at: u64,
    /// Messages that flushes reported as taken, and when their calls began; the drive loop has yet to ask.
    taken_at: VecDeque<(Instant, u64)>,
    /// Ordinals below were reported as taken.
    taken_until: u64,
    /// Ended before the drive loop learnt that they had begun.
    early: Vec<Ended>,
}

impl HostedOutlet {
    /// None if the calls have served a run already.
    pub(crate) fn new(calls: HostedCalls, wording: Wording, max_concurrent: u32) -> Option<Self> {
        let mut state = calls.state();
        if std::mem::replace(&mut state.has_run, true) {
            return None;
        }
        state.limit = u64::from(max_concurrent);
        drop(state);
        let frame = Content::empty(calls.wordings());
        Some(Self {
            calls,
            wording,
            frame,
            frame_starts_at: 0,
            taken_at: VecDeque::new(),
            taken_until: 0,
            early: Vec::new(),
        })
    }
}

impl Content {
    fn empty(wordings: Wordings) -> Self {
        match wordings {
            Wordings::Market => Content::Market(Vec::new()),
            Wordings::Venue => Content::Venue(Vec::new()),
        }
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        match self {
            Content::Market(messages) => messages.len(),
            Content::Venue(messages) => messages.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Outlet for HostedOutlet {
    fn state(&self, _lane: usize) -> LaneState {
        LaneState::Open
    }

    fn begin(&mut self, _lane: usize) {
        self.frame = Content::empty(self.calls.wordings());
    }

    fn add(&mut self, _lane: usize, ordinal: u64, message: &MarketMessage) -> bool {
        if self.frame.is_empty() {
            self.frame_starts_at = ordinal;
        }
        match &mut self.frame {
            Content::Market(messages) => messages.push(*message),
            Content::Venue(messages) => match self.wording.message(message) {
                Some(message) => messages.push(message),
                None => return false,
            },
        }
        true
    }

    fn pass(&mut self, _lane: usize, message: &MarketMessage) -> bool {
        match self.calls.wordings() {
            Wordings::Market => true,
            Wordings::Venue => self.wording.pass(message),
        }
    }

    fn end(&mut self, _lane: usize) {
        let content = std::mem::replace(&mut self.frame, Content::empty(self.calls.wordings()));
        let id = CallId { first: self.frame_starts_at, count: content.len() as u64 };
        self.calls.state().waiting.push_back(HostedCall { id, content });
    }

    fn buffered(&self, _lane: usize) -> usize {
        0
    }

    fn flush(&mut self, _lane: usize) -> Taken {
        let mut state = self.calls.state();
        let mut messages = 0;
        while let Some(TakenCall { id, began: Some(at) }) = state.taken.front() {
            messages += id.count;
            self.taken_at.push_back((*at, id.count));
            state.taken.pop_front();
        }
        self.taken_until += messages;
        let blocked = !state.waiting.is_empty() || !state.taken.is_empty();
        // A host without a free slot looks again by itself when it has one.
        if state.may_take() {
            self.calls.wake(state);
        }
        Taken { messages: messages as usize, bytes: 0, blocked }
    }

    fn taken_at(&mut self, _lane: usize) -> Option<Instant> {
        let (at, count) = self.taken_at.front_mut()?;
        let at = *at;
        *count -= 1;
        if *count == 0 {
            self.taken_at.pop_front();
        }
        Some(at)
    }

    fn withdraw(&mut self, _lane: usize) -> usize {
        let mut state = self.calls.state();
        let mut withdrawn: u64 = state.waiting.drain(..).map(|call| call.id.count).sum();
        // Those that have not begun go too, except before one that has: they count as begun, so that it can be told.
        let kept = state.taken.iter().rposition(|call| call.began.is_some()).map_or(0, |last| last + 1);
        let now = Instant::now();
        for call in state.taken.range_mut(..kept) {
            call.began.get_or_insert(now);
        }
        let gone = state.taken.split_off(kept);
        if let Some(first) = gone.front() {
            state.withdrawn_from = Some(first.id.first);
        }
        withdrawn += gone.iter().map(|call| call.id.count).sum::<u64>();
        withdrawn as usize
    }

    fn collect(&mut self, _: &Markets, notices: &mut Vec<Notice>) {
        self.early.append(&mut self.calls.state().ended);
        let taken_until = self.taken_until;
        self.early.retain_mut(|ended| {
            if ended.id.first >= taken_until {
                return true;
            }
            for ordinal in ended.id.first..ended.id.first + ended.id.count {
                let failure = ended.failure.clone();
                notices.push(Notice::Returned { lane: 0, ordinal, at: ended.at, failure });
            }
            false
        });
    }

    fn give_up(&mut self, _lane: usize, ordinal: u64) {
        let mut state = self.calls.state();
        state.given_up.push_back(ordinal);
        self.calls.wake(state);
    }

    /// Every instant that matters was noted by the host, so nothing is lost by learning of it at the next due instant.
    /// A wake-up for each call that ends would cost the host more than the call.
    fn wait(&mut self, timeout: Duration) -> bool {
        // What waits for a call that has not begun is none.
        let has_news = !self.early.is_empty() && self.calls.state().has_begun();
        if !timeout.is_zero() && !has_news {
            thread::sleep(timeout);
        }
        has_news
    }

    fn finish(&mut self, _patience: Duration, _is_over: &dyn Fn() -> bool) {
        let mut state = self.calls.state();
        state.is_over = true;
        state.waiting.clear();
        drop(state);
        // One of several sleepers may have been woken before, and the others must hear of it too.
        (self.calls.0.wake)();
    }
}

/// How far beyond its limit a host is supplied, in messages: what it takes on at most while the drive loop looks away.
/// Only messages within the limit count as sent.
pub(crate) fn supplied(max_concurrent: u32, at_limit: AtLimit) -> u64 {
    let ahead = match at_limit {
        AtLimit::Wait => 4096,
        // Whether a slot is free when a message is due decides its fate, so none may wait for one.
        AtLimit::Drop => 0,
    };
    u64::from(max_concurrent) + ahead
}
