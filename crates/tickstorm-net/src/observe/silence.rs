//! The silence probe: how far behind was a client whose queues nobody can look into?
//!
//! The feed stops on open connections. What the client goes on doing is its backlog, and when it rests it has
//! finished the last message: it was behind by the time from the stop to the rest. Up to the read the kernels
//! tell; from there on the process is watched, whose work shows as time on a CPU, or, when it consists of waiting
//! (for a disk, a database, a sleep), as threads that wake up. A client does things without being told to, too:
//! timers, heartbeats, a collector of garbage. What that looks like is known from before the feed ([`Idle`]), or
//! else from what is left over at the end.
//!
//! Nothing here reads a clock. The whole record is judged anew with each tenth of a second, until it is certain
//! or the time is up.

mod trace;

use std::time::Duration;

use super::Place;
use super::process::Activity;
use trace::{BIN_NS, Bins, Envelope, Trace, Work};

/// How long a silence lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilenceLimits {
    /// Its end, whatever is known by then. Default 10 s.
    pub longest: Duration,
    /// How long a client must have rested at least. A client whose work on one message consists of waiting longer
    /// than this cannot be told from one that rests. Default 500 ms.
    pub rest: Duration,
}

impl Default for SilenceLimits {
    fn default() -> Self {
        Self { longest: Duration::from_secs(10), rest: Duration::from_millis(500) }
    }
}

/// What a client does when there is nothing to do: connected and subscribed, before the feed starts.
///
/// One or two seconds are good, and some more of a client that [is restless](Idle::is_restless), with what it does now
/// and then in them. The last ten are kept.
#[derive(Debug, Clone, Default)]
pub struct Idle {
    trace: Trace,
}

impl Idle {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a look at the client, at a time in nanoseconds that grows. Every 5 to 10 ms is a good rhythm.
    pub fn on_sample(&mut self, at_ns: u64, activity: Activity) {
        self.trace.push(at_ns, &activity);
        self.trace.forget_before(at_ns.saturating_sub(IDLE_KEPT_NS));
    }

    /// How long the client was looked at.
    pub fn lasted(&self) -> Duration {
        Duration::from_nanos(self.trace.span().map_or(0, |(first, last)| last - first))
    }

    /// Whether the client does this and that by itself: the more of it is known, the better.
    pub fn is_restless(&self) -> bool {
        reference(&self.trace).is_some_and(|idle| !idle.is_quiet())
    }
}

/// One look at everything during a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When, in nanoseconds on the caller's clock.
    pub at_ns: u64,
    /// Bytes in our own queue.
    pub our_queue: u64,
    /// Bytes that our kernel holds, or that are on their way ([`Queues`](super::Queues)); `None` where the system
    /// does not tell.
    pub our_kernel: Option<u64>,
    /// Bytes in the receive queue of the client's kernel; `None` if it is not on this host.
    pub client_queue: Option<u64>,
    /// What the client has done until now; `None` if it cannot be seen, or is gone.
    pub activity: Option<Activity>,
}

/// How much a finding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The client was this far behind.
    Exact,
    /// At least this far.
    LowerBound,
    /// Nobody can say.
    Unknown,
}

/// What a silence has shown. Times are nanoseconds on the caller's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// When our queue was empty.
    pub drained_our_queue_at_ns: Option<u64>,
    /// When the client's kernel had confirmed everything.
    pub drained_kernel_at_ns: Option<u64>,
    /// When the client had read everything.
    pub read_at_ns: Option<u64>,
    /// When it had worked off everything.
    pub rested_at_ns: Option<u64>,
    /// Where the last message spent most of that time; `None` if it is unknown, or too short to matter.
    pub place: Option<Place>,
    /// How far the client was behind when the feed stopped.
    pub age_ns: Option<u64>,
    /// What the age is.
    pub basis: Basis,
    /// How far off an exact age may be: of a client that was not behind, how long it may have kept a CPU busy
    /// without standing out from its idling.
    pub resolution_ns: u64,
    /// Why the age is not exact, as part of a sentence.
    pub reason: Option<&'static str>,
}

impl Finding {
    /// The same place with the client's reader told apart from what comes after it, by the time at which a ping behind
    /// the last message was [passed](super::PingProbe::passed_at_ns). Of a backlog whose age is not exact, what it was.
    pub fn place_with_reader(&self, passed_at_ns: u64) -> Option<Place> {
        let place = self.place?;
        let (Some(rested_ns), Some(age_ns), Some(read_ns)) =
            (self.rested_at_ns, self.age_ns, self.read_at_ns)
        else {
            return Some(place);
        };
        // A pong is on its way for a while.
        let passed_ns = passed_at_ns.clamp(read_ns.min(rested_ns), rested_ns);
        let ours = self.drained_our_queue_at_ns.unwrap_or(read_ns);
        let kernel = self.drained_kernel_at_ns.unwrap_or(ours);
        let spent = [
            (Place::ClientProcess, rested_ns - passed_ns),
            (Place::ClientReader, passed_ns.saturating_sub(read_ns)),
            (Place::ClientKernel, read_ns.saturating_sub(kernel)),
            (Place::OurKernel, kernel.saturating_sub(ours)),
            (Place::OurQueue, ours.saturating_sub(rested_ns - age_ns)),
        ];
        // Of equals the last one, the nearest to us.
        spent.into_iter().max_by_key(|(_, ns)| *ns).map(|(place, _)| place)
    }
}

/// A silence under way.
#[derive(Debug, Clone)]
pub struct Silence {
    limits: SilenceLimits,
    stopped_at_ns: u64,
    idle: Option<Bins>,
    trace: Trace,
    our_queue: Emptying,
    our_kernel: Emptying,
    client_queue: Emptying,
    last_at_ns: u64,
    judged_at_ns: u64,
    seen: bool,
    gone: bool,
    rest: Rest,
}

/// What the client's activity says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It rests since then, with a resolution.
    Since { at_ns: u64, resolution_ns: u64 },
    /// It cannot be said yet; if nothing comes after, this is why.
    Open(&'static str),
    /// It will never be said.
    Never(&'static str),
}

impl Silence {
    /// The feed stopped at this time. `idle` is what the client does without one, if that is known.
    pub fn new(stopped_at_ns: u64, idle: Option<&Idle>, limits: SilenceLimits) -> Self {
        Self {
            limits,
            stopped_at_ns,
            idle: idle.and_then(|idle| reference(&idle.trace)),
            trace: Trace::default(),
            our_queue: Emptying::new(stopped_at_ns),
            our_kernel: Emptying::new(stopped_at_ns),
            client_queue: Emptying::new(stopped_at_ns),
            last_at_ns: stopped_at_ns,
            judged_at_ns: stopped_at_ns,
            seen: false,
            gone: false,
            rest: Rest::Open(NOT_SEEN),
        }
    }

    /// Adds a look; their times grow. Every 5 ms is a good rhythm. True once there is no use in going on.
    pub fn on_sample(&mut self, sample: &Sample) -> bool {
        let at_ns = sample.at_ns.max(self.last_at_ns);
        self.last_at_ns = at_ns;
        // What has left one place for good is what the next one can be done with.
        self.our_queue.on_look(at_ns, Some(sample.our_queue), true);
        self.our_kernel.on_look(at_ns, sample.our_kernel, self.our_queue.is_empty());
        let is_sent = self.our_queue.is_empty() && (!self.our_kernel.known || self.our_kernel.is_empty());
        self.client_queue.on_look(at_ns, sample.client_queue, is_sent);
        match &sample.activity {
            Some(activity) => {
                self.seen = true;
                self.trace.push(at_ns, activity);
            }
            None => self.gone |= self.seen,
        }
        if at_ns - self.judged_at_ns >= JUDGED_EVERY_NS {
            self.judged_at_ns = at_ns;
            self.rest = self.judge();
        }
        self.is_over()
    }

    fn is_over(&self) -> bool {
        if self.gone || self.last_at_ns - self.stopped_at_ns >= self.limits.longest.as_nanos() as u64 {
            return true;
        }
        let Some(drained_ns) = self.drained_ns() else { return false };
        match self.rest {
            Rest::Since { .. } | Rest::Never(_) => true,
            // Without a view of the client there is nothing to wait for. It may come with the first looks.
            Rest::Open(_) => {
                let blind = !self.seen || !self.client_queue.known;
                blind && self.last_at_ns - drained_ns >= JUDGED_EVERY_NS
            }
        }
    }

    /// When nothing was left before the read, as far as the kernels tell.
    fn drained_ns(&self) -> Option<u64> {
        let mut last = self.our_queue.empty_since()?;
        for queue in [&self.our_kernel, &self.client_queue] {
            if queue.known {
                last = last.max(queue.empty_since()?);
            }
        }
        Some(last)
    }

    fn read_at_ns(&self) -> Option<u64> {
        if self.client_queue.known { self.drained_ns() } else { None }
    }

    /// What has been shown so far: final once [`on_sample`](Self::on_sample) has returned true.
    pub fn finding(&self) -> Finding {
        let ours = self.our_queue.empty_since();
        let kernel = self
            .our_kernel
            .known
            .then(|| ours.zip(self.our_kernel.empty_since()).map(|(ours, kernel)| ours.max(kernel)))
            .flatten();
        let read = self.read_at_ns();
        let mut finding = Finding {
            drained_our_queue_at_ns: ours,
            drained_kernel_at_ns: kernel,
            read_at_ns: read,
            rested_at_ns: None,
            place: None,
            age_ns: None,
            basis: Basis::Unknown,
            resolution_ns: self.trace.longest_step_ns().max(BIN_NS),
            reason: None,
        };
        let Some(drained) = self.drained_ns() else {
            finding.age_ns = Some(self.last_at_ns - self.stopped_at_ns);
            finding.basis = Basis::LowerBound;
            finding.place = Some(self.place(self.last_at_ns, self.last_at_ns));
            finding.reason = Some(NOT_READ);
            return finding;
        };
        if !self.seen || read.is_none() {
            finding.age_ns = Some(drained - self.stopped_at_ns);
            finding.basis = Basis::LowerBound;
            finding.reason = Some(NOT_SEEN);
            return finding;
        }
        match self.rest {
            _ if self.gone => finding.reason = Some(GONE),
            Rest::Open(reason) | Rest::Never(reason) => finding.reason = Some(reason),
            Rest::Since { at_ns, resolution_ns } => {
                // What is judged may be older than the last look.
                let at_ns = at_ns.max(drained);
                let age_ns = at_ns - self.stopped_at_ns;
                finding.rested_at_ns = Some(at_ns);
                finding.age_ns = Some(age_ns);
                finding.basis = Basis::Exact;
                finding.resolution_ns = resolution_ns;
                if age_ns > resolution_ns.max(TOO_SHORT_NS) {
                    finding.place = Some(self.place(drained, at_ns));
                }
            }
        }
        finding
    }

    /// Where most of the time from the stop to `rested_ns` was spent.
    fn place(&self, read_ns: u64, rested_ns: u64) -> Place {
        let ours = self.our_queue.empty_since().unwrap_or(rested_ns);
        let kernel = match self.our_kernel.known {
            true => self.our_kernel.empty_since().unwrap_or(rested_ns).max(ours),
            false => ours,
        };
        let spent = [
            (Place::ClientProcess, rested_ns - read_ns),
            (Place::ClientKernel, read_ns - kernel),
            (Place::OurKernel, kernel - ours),
            (Place::OurQueue, ours - self.stopped_at_ns),
        ];
        // Of equals the last one, the nearest to us.
        spent.iter().max_by_key(|(_, ns)| *ns).expect("there are four of them").0
    }

    fn judge(&self) -> Rest {
        let Some(read_ns) = self.read_at_ns() else { return Rest::Open(NOT_READ) };
        let bins = self.trace.bins(self.stopped_at_ns, self.last_at_ns);
        let read = ((read_ns - self.stopped_at_ns) / BIN_NS) as usize;
        let rest = (self.limits.rest.as_nanos() as u64).div_ceil(BIN_NS) as usize;
        if bins.len() < read + rest {
            return Rest::Open(TOO_SHORT);
        }
        let tail = bins.slice(bins.len() - rest, bins.len());
        match self.idle.as_ref().filter(|idle| !idle.always_busier_than(&tail)) {
            Some(idle) => self.judge_against(&bins, read, rest, idle, Known::Before),
            None => {
                let known = if self.idle.is_some() { Known::ToBeLess } else { Known::After };
                // What is left over at the end must speak for itself, the more of it the better.
                let mut from = bins.len() - rest;
                loop {
                    let tail = bins.slice(from, bins.len());
                    let work = Envelope::of(&tail).work(&bins, 0).last;
                    let rested_from = work.map_or(read, |(_, end)| end);
                    let longer = bins.len() - (bins.len() - rested_from.min(bins.len())) / 2;
                    if longer >= from {
                        return self.judge_against(&bins, read, rest, &tail, known);
                    }
                    from = longer;
                }
            }
        }
    }

    /// Judges a record, given what the client does without work.
    fn judge_against(&self, bins: &Bins, read: usize, rest: usize, idle: &Bins, known: Known) -> Rest {
        if idle.is_as_busy_as_work() {
            return match known {
                Known::Before => Rest::Never(NEVER_RESTS),
                Known::After | Known::ToBeLess => Rest::Open(NEVER_RESTS),
            };
        }
        let quiet = idle.is_quiet();
        let envelope = Envelope::of(idle);
        let Some((rested, blur)) = end_of_work(bins, read, idle, &envelope, known) else {
            return Rest::Open(NOT_CONTINUOUS);
        };
        let mut needed = rest.max(3 * bins.slice(read, rested).longest_pause());
        if !quiet {
            needed = needed.max(NOISY_REST_BINS).max(3 * idle.longest_pause().min(NOISY_REST_BINS));
        }
        if known != Known::Before && rested > read {
            // What it does now and then has not been seen yet.
            needed = needed.max(UNKNOWN_REST_BINS).max((rested - read) / 2);
        }
        if bins.len() < rested + needed {
            return Rest::Open(if rested > read { STILL_WORKS } else { TOO_SHORT });
        }
        match known {
            // Steady activity at the end may be idling or the work itself.
            Known::After if !quiet => Rest::Open(NO_CHANGE),
            Known::Before if begins_busier(bins, rested, idle) => {
                // Work that no single moment gives away, but the sum of them does.
                let (at, blur) = bins.end_of_work(idle, rested, rested + 1, bins.len() - 1);
                if bins.len() < at + needed || begins_busier(bins, at, idle) {
                    return Rest::Open(STILL_WORKS);
                }
                self.rests_since(at, blur + idle.longest_stretch())
            }
            // On a busy machine what it does by itself takes longer, and may just have begun when the feed stopped.
            _ if quiet && rested > read || rested > read + envelope.shortest_noticed() => {
                self.rests_since(rested, blur + idle.longest_stretch())
            }
            _ => self.rested_at_once(read, envelope.shortest_noticed()),
        }
    }

    fn rests_since(&self, bin: usize, blur_bins: usize) -> Rest {
        if blur_bins > TOO_BLURRED_BINS.max(bin / 8) {
            return Rest::Open(BLURRED);
        }
        self.rested_at_once(bin, blur_bins)
    }

    fn rested_at_once(&self, bin: usize, blur_bins: usize) -> Rest {
        let blur_ns = blur_bins as u64 * BIN_NS;
        let at_ns = (self.stopped_at_ns + bin as u64 * BIN_NS).max(self.read_at_ns().unwrap_or(0));
        let step_ns = self.trace.step_at_ns(at_ns).unwrap_or(at_ns - self.stopped_at_ns);
        Rest::Since { at_ns, resolution_ns: step_ns.max(blur_ns) }
    }
}

/// Where knowledge about a client's idling comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// From before the feed.
    Before,
    /// From the end of the silence itself.
    After,
    /// From there, too, and from before the feed that it did even more then.
    ToBeLess,
}

/// Whether the record is busier than the idling from this bin on, for one second or for twice as long and so on:
/// a long rest after it does not make up for work at its beginning.
fn begins_busier(bins: &Bins, from: usize, idle: &Bins) -> bool {
    let left = bins.len() - from;
    let lengths = std::iter::successors(Some(NOISY_REST_BINS), |length| Some(length * 2));
    let shorter = lengths.take_while(|length| *length < left);
    shorter.chain([left]).any(|length| bins.slice(from, from + length).exceeds_mean_of(idle))
}

/// The bin from which on the client rests, not before that of the read, and how many bins it may be off. `None` if
/// what stands out is not one piece of work that began before the read.
fn end_of_work(
    bins: &Bins,
    read: usize,
    idle: &Bins,
    envelope: &Envelope,
    known: Known,
) -> Option<(usize, usize)> {
    let end = |work: &Work| {
        let (earliest, latest) = work.last?;
        let (at, blur) = bins.end_of_work(idle, 0, earliest, latest);
        // Work that shows in long stretches only cannot end sharply. And no longer than what the client does by
        // itself now and then, it may be just that.
        let blur = blur.max((latest - earliest) / 4);
        // On a busy machine work may go on without standing out.
        let at = bins.wants_until(at);
        (at > read + 2 * idle.longest_stretch()).then_some((at, blur))
    };
    let is_one =
        |work: &Work, at: usize| work.longest_gap(bins, read, at) <= UNBROKEN_BINS.max((at - read) / 20);
    let work = envelope.work(bins, 0);
    let Some((at, blur)) = end(&work) else { return Some((read, 1)) };
    if is_one(&work, at) {
        return Some((at, blur));
    }
    // In a long silence some idling goes beyond all that was seen before. If what stands out a little makes no
    // sense, what stands out clearly may, unless it goes over into the former.
    let clear = envelope.stretched(1.5).work(bins, 0);
    let (at, blur) = end(&clear).unwrap_or((read, 1));
    if is_one(&clear, at) && work.rests_within(at + blur, UNBROKEN_BINS) {
        return Some((at, blur));
    }
    // And what comes again and again in the later half of it belongs to the idling.
    let later = bins.slice((bins.len() + read) / 2, bins.len());
    if known != Known::Before || later.len() < LEARNT_FROM_BINS || later.exceeds_mean_of(idle) {
        return None;
    }
    let work = envelope.or(&Envelope::of(&later)).work(bins, 0);
    let (at, blur) = end(&work).unwrap_or((read, 1));
    is_one(&work, at).then_some((at, blur))
}

/// The idle record as far as it is of use: long enough, and without the bustle of a client that has just started.
fn reference(trace: &Trace) -> Option<Bins> {
    let (first, last) = trace.span()?;
    let bins = trace.bins(first, last);
    if bins.len() < IDLE_AT_LEAST_BINS {
        return None;
    }
    let (early, late) = (bins.slice(0, bins.len() / 2), bins.slice(bins.len() / 2, bins.len()));
    let settled = Envelope::of(&late).work(&early, 0).last.is_none();
    Some(if settled || late.len() < IDLE_AT_LEAST_BINS { bins } else { late })
}

/// A queue that empties while nothing is added. What comes later, an answer or a farewell, is no backlog.
#[derive(Debug, Clone)]
struct Emptying {
    known: bool,
    since_ns: Option<u64>,
    looked_at_ns: u64,
    /// Empty at two looks in a row: between the queues of one look something may have moved on.
    is_done: bool,
}

impl Emptying {
    fn new(from_ns: u64) -> Self {
        Self { known: false, since_ns: None, looked_at_ns: from_ns, is_done: false }
    }

    /// `is_last` says that nothing can come from the queue before this one any more.
    fn on_look(&mut self, at_ns: u64, bytes: Option<u64>, is_last: bool) {
        let Some(bytes) = bytes.filter(|_| !self.is_done) else { return };
        self.known = true;
        if bytes > 0 {
            self.since_ns = None;
        } else if self.since_ns.is_none() {
            // It was at some time between two looks.
            self.since_ns = Some(self.looked_at_ns.midpoint(at_ns));
        } else {
            self.is_done = is_last;
        }
        self.looked_at_ns = at_ns;
    }

    fn empty_since(&self) -> Option<u64> {
        self.since_ns
    }

    fn is_empty(&self) -> bool {
        self.since_ns.is_some()
    }
}

const NOT_SEEN: &str = "the client's process cannot be seen from here";
const NOT_READ: &str = "the client had not read everything when the silence ended";
const GONE: &str = "the client's process ended during the silence";
const TOO_SHORT: &str = "the silence was too short";
const NEVER_RESTS: &str = "the client never rests, so its work does not show";
const NO_CHANGE: &str = "the client is steadily active, and nothing tells whether that is work";
const STILL_WORKS: &str = "the client was still active when the silence ended";
const NOT_CONTINUOUS: &str = "the client rested and became active again without a message";
const BLURRED: &str = "the end of the client's work cannot be told from its other doings";

/// How much of the idle record is kept.
const IDLE_KEPT_NS: u64 = 10_000_000_000;

/// Less of it says nothing about what happens now and then.
const IDLE_AT_LEAST_BINS: usize = 500_000_000 / BIN_NS as usize;

/// A judgement takes some 100 us for a long silence.
const JUDGED_EVERY_NS: u64 = 100_000_000;

/// Behind by less than this is not behind: a busy machine does it to anybody.
const TOO_SHORT_NS: u64 = 20_000_000;

/// An end that may be this far off, or an eighth of the age, is no end.
const TOO_BLURRED_BINS: usize = 60_000_000 / BIN_NS as usize;

/// Pauses up to this long do not make work look like several things.
const UNBROKEN_BINS: usize = 60_000_000 / BIN_NS as usize;

/// How much of a silence is enough to learn from it: half of 4 s.
const LEARNT_FROM_BINS: usize = 2_000_000_000 / BIN_NS as usize;

/// How long a client must have rested that is never quite still.
const NOISY_REST_BINS: usize = 1_000_000_000 / BIN_NS as usize;

/// How long a client must have rested of which it is not known how still it is without work.
const UNKNOWN_REST_BINS: usize = 2_000_000_000 / BIN_NS as usize;

#[cfg(test)]
mod tests;
