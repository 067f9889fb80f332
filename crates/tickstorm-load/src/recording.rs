use std::time::Duration;

use crate::{Dropped, Failure, Histogram, Ledger, Samples, Series};

/// What a recording must know beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingSpec {
    /// How many kinds of messages there are; their names stay with the caller.
    pub kinds: usize,
    /// A message with a longer pacing lag is counted as overdue. Default 50 ms.
    pub max_pacing_lag: Duration,
    /// Run time at which the measured phase ends. What is sent or processed later counts for everything but the average
    /// rates. Default: never.
    pub measured_until_ns: u64,
}

impl Default for RecordingSpec {
    fn default() -> Self {
        Self { kinds: 1, max_pacing_lag: Duration::from_millis(50), measured_until_ns: u64::MAX }
    }
}

/// When an answered or given-up message was where, in nanoseconds of run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When it was due.
    pub due_ns: u64,
    /// When the socket or the callee took it.
    pub sent_ns: u64,
    /// When it was answered, or given up.
    pub done_ns: u64,
    /// Our own part of the time from due to done: the pacing lag, as [`Recording::on_sent`] gave it, and the time before
    /// done in which we were not there to see the answer.
    pub ours_ns: u64,
}

impl Timing {
    /// `done - due`.
    pub fn latency_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.due_ns)
    }

    /// `done - sent`.
    pub fn service_time_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.sent_ns)
    }

    /// The latency without our own lateness.
    pub fn net_latency_ns(&self) -> u64 {
        self.latency_ns().saturating_sub(self.ours_ns)
    }
}

/// What became of the messages of one worker, or of one interval, or of a whole run.
///
/// Each `on_` method notes one fact about a message and costs some nanoseconds; none allocates once every kind of
/// failure has been seen. Recordings merge: a worker fills one, hands it over each interval, and the sum of them
/// all equals the recording into which everything had been noted, in whatever order and grouping they are added.
///
/// ```
/// use tickstorm_load::{Outstanding, Recording, RecordingSpec, Timing};
///
/// let mut recording = Recording::new(RecordingSpec::default());
/// recording.on_due(1);
/// // Due at 1 ms, it left 40 us later, 30 us of which its connection could not take it.
/// let pacing_ns = recording.on_sent(0, 1_040_000, 40_000, 30_000);
/// let timing = Timing { due_ns: 1_000_000, sent_ns: 1_040_000, done_ns: 1_100_000, ours_ns: pacing_ns };
/// recording.on_processed(&timing);
///
/// assert_eq!(recording.latency().max_ns(), 100_000);
/// assert_eq!(recording.net_latency().max_ns(), 90_000);
/// assert_eq!(recording.service_time().max_ns(), 60_000);
/// assert_eq!(recording.ledger().balances(Outstanding::default()), Ok(()));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    max_pacing_lag_ns: u64,
    measured_until_ns: u64,
    lag: Histogram,
    stall: Histogram,
    pacing_lag: Histogram,
    service_time: Histogram,
    latency: Histogram,
    net_latency: Histogram,
    failed_latency: Histogram,
    ledger: Ledger,
    unexpected: Samples,
    series: Series,
    sent_by_kind: Vec<u64>,
    bytes_sent: u64,
    writes: u64,
    overdue: u64,
    sent_in_time: u64,
    processed_in_time: u64,
}

impl Recording {
    /// An empty recording: about 2 MB, allocated here.
    pub fn new(spec: RecordingSpec) -> Self {
        Self {
            max_pacing_lag_ns: u64::try_from(spec.max_pacing_lag.as_nanos()).unwrap_or(u64::MAX),
            measured_until_ns: spec.measured_until_ns,
            lag: Histogram::new(),
            stall: Histogram::new(),
            pacing_lag: Histogram::new(),
            service_time: Histogram::new(),
            latency: Histogram::new(),
            net_latency: Histogram::new(),
            failed_latency: Histogram::new(),
            ledger: Ledger::default(),
            unexpected: Samples::default(),
            series: Series::default(),
            sent_by_kind: vec![0; spec.kinds],
            bytes_sent: 0,
            writes: 0,
            overdue: 0,
            sent_in_time: 0,
            processed_in_time: 0,
        }
    }

    /// The due instant of `n` messages has come.
    #[inline]
    pub fn on_due(&mut self, n: u64) {
        self.ledger.due += n;
    }

    /// `n` due messages were dropped at run time `at_ns` without having been waited with: they have no latency.
    pub fn on_dropped(&mut self, reason: Dropped, at_ns: u64, n: u64) {
        self.ledger.dropped.record(reason, n);
        self.series.on_dropped(at_ns, n);
    }

    /// A due message was given up unsent at run time `at_ns`, when it had waited for `waited_ns`, `ours_ns` of that for us.
    /// It counts among the latencies with its age, as one does that was sent and never answered: a target that takes
    /// nothing cannot hide its tail.
    pub fn on_given_up(&mut self, reason: Dropped, at_ns: u64, waited_ns: u64, ours_ns: u64) {
        self.on_dropped(reason, at_ns, 1);
        self.latency.record(waited_ns);
        self.net_latency.record(waited_ns.saturating_sub(ours_ns));
    }

    /// A message of the `kind`-th kind was sent at run time `at_ns`, `lag_ns` after it was due; for `stall_ns` of
    /// that its connection could not take it. Returns the rest, the pacing lag, for its [`Timing`].
    #[inline]
    pub fn on_sent(&mut self, kind: usize, at_ns: u64, lag_ns: u64, stall_ns: u64) -> u64 {
        let stall_ns = stall_ns.min(lag_ns);
        let pacing_ns = lag_ns - stall_ns;
        self.ledger.sent += 1;
        self.lag.record(lag_ns);
        self.stall.record(stall_ns);
        self.pacing_lag.record(pacing_ns);
        self.overdue += u64::from(pacing_ns > self.max_pacing_lag_ns);
        self.sent_in_time += u64::from(at_ns < self.measured_until_ns);
        self.series.on_sent(at_ns);
        if kind >= self.sent_by_kind.len() {
            self.make_room_for(kind);
        }
        self.sent_by_kind[kind] += 1;
        pacing_ns
    }

    /// `n` messages were delivered at run time `at_ns`, `lag_ns` after the oldest of them was due; for `stall_ns` of that
    /// their connection could not take them. Where nothing more can be known of a message, to be delivered is to be sent
    /// and processed at once.
    pub fn on_delivered(&mut self, n: u64, at_ns: u64, lag_ns: u64, stall_ns: u64) {
        let stall_ns = stall_ns.min(lag_ns);
        let pacing_ns = lag_ns - stall_ns;
        self.ledger.sent += n;
        self.ledger.processed += n;
        self.lag.record_n(lag_ns, n);
        self.stall.record_n(stall_ns, n);
        self.pacing_lag.record_n(pacing_ns, n);
        self.latency.record_n(lag_ns, n);
        self.net_latency.record_n(stall_ns, n);
        self.service_time.record_n(0, n);
        self.overdue += if pacing_ns > self.max_pacing_lag_ns { n } else { 0 };
        let in_time = if at_ns < self.measured_until_ns { n } else { 0 };
        self.sent_in_time += in_time;
        self.processed_in_time += in_time;
        self.series.on_delivered(at_ns, n);
    }

    /// `n` messages are of the `kind`-th kind, for a caller that does not say so with each.
    #[inline]
    pub fn count_kind(&mut self, kind: usize, n: u64) {
        if kind >= self.sent_by_kind.len() {
            self.make_room_for(kind);
        }
        self.sent_by_kind[kind] += n;
    }

    /// A message was answered well.
    #[inline]
    pub fn on_processed(&mut self, timing: &Timing) {
        self.ledger.processed += 1;
        self.processed_in_time += u64::from(timing.done_ns < self.measured_until_ns);
        self.record_answer(timing);
        self.series.on_processed(timing.done_ns);
    }

    /// A message failed. One that was given up without an answer counts among the latencies (and service times)
    /// with its age, so that failing cannot hide the tail; one that was answered with a refusal or an error counts
    /// among the [failed latencies](Recording::failed_latency), so that fast refusals cannot flatter it.
    pub fn on_failed(&mut self, failure: &Failure, timing: &Timing, sample: Option<&str>) {
        self.ledger.failed.record(failure, timing.done_ns, sample);
        if failure.is_unanswered() {
            self.record_answer(timing);
        } else {
            self.failed_latency.record(timing.latency_ns());
        }
        self.series.on_failed(timing.done_ns);
    }

    /// `n` messages were in flight when the run was stopped by hand.
    pub fn on_aborted(&mut self, n: u64) {
        self.ledger.aborted += n;
    }

    /// A reply came to a message that had timed out.
    pub fn on_late_reply(&mut self) {
        self.ledger.late_replies += 1;
    }

    /// A reply came at run time `at_ns` that answers no message; `sample` shows it.
    pub fn on_unexpected_reply(&mut self, at_ns: u64, sample: &str) {
        self.ledger.unexpected_replies += 1;
        self.unexpected.record(at_ns, sample);
    }

    /// The system took `bytes` in one write.
    #[inline]
    pub fn on_write(&mut self, bytes: u64) {
        self.on_writes(1, bytes);
    }

    /// The system took `bytes` in `writes` writes, for a caller that learns of several at once.
    #[inline]
    pub fn on_writes(&mut self, writes: u64, bytes: u64) {
        self.writes += writes;
        self.bytes_sent += bytes;
    }

    /// Ends the measured phase at run time `at_ns`, when it is stopped before its time. It must be called before
    /// anything is noted that is later. An end that has passed already stays.
    pub fn end_measured_phase(&mut self, at_ns: u64) {
        self.measured_until_ns = self.measured_until_ns.min(at_ns);
    }

    /// Adds what `other` noted. Limits stay those of `self`.
    pub fn merge(&mut self, other: &Recording) {
        // Taken apart by name, so that a new field cannot be forgotten here.
        let Recording {
            max_pacing_lag_ns: _,
            measured_until_ns: _,
            lag,
            stall,
            pacing_lag,
            service_time,
            latency,
            net_latency,
            failed_latency,
            ledger,
            unexpected,
            series,
            sent_by_kind,
            bytes_sent,
            writes,
            overdue,
            sent_in_time,
            processed_in_time,
        } = other;
        self.lag.merge(lag);
        self.stall.merge(stall);
        self.pacing_lag.merge(pacing_lag);
        self.service_time.merge(service_time);
        self.latency.merge(latency);
        self.net_latency.merge(net_latency);
        self.failed_latency.merge(failed_latency);
        self.ledger.merge(ledger);
        self.unexpected.merge(unexpected);
        self.series.merge(series);
        if let Some(last) = sent_by_kind.len().checked_sub(1) {
            self.make_room_for(last);
        }
        for (count, more) in self.sent_by_kind.iter_mut().zip(sent_by_kind) {
            *count += more;
        }
        self.bytes_sent += bytes_sent;
        self.writes += writes;
        self.overdue += overdue;
        self.sent_in_time += sent_in_time;
        self.processed_in_time += processed_in_time;
    }

    /// Forgets everything and keeps memory and limits.
    pub fn clear(&mut self) {
        for histogram in [
            &mut self.lag,
            &mut self.stall,
            &mut self.pacing_lag,
            &mut self.service_time,
            &mut self.latency,
            &mut self.net_latency,
            &mut self.failed_latency,
        ] {
            histogram.clear();
        }
        self.ledger = Ledger::default();
        self.unexpected.clear();
        self.series.clear();
        self.sent_by_kind.fill(0);
        self.bytes_sent = 0;
        self.writes = 0;
        self.overdue = 0;
        self.sent_in_time = 0;
        self.processed_in_time = 0;
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.ledger.is_empty() && self.writes == 0 && self.bytes_sent == 0
    }

    /// What became of the messages.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// `sent - due` of every message sent: [`stall`](Recording::stall) plus
    /// [`pacing_lag`](Recording::pacing_lag).
    pub fn lag(&self) -> &Histogram {
        &self.lag
    }

    /// The part of the lag during which the connection could not take the message: the target's doing.
    pub fn stall(&self) -> &Histogram {
        &self.stall
    }

    /// The rest of the lag: our own doing.
    pub fn pacing_lag(&self) -> &Histogram {
        &self.pacing_lag
    }

    /// `received - sent` of the messages that are in [`latency`](Recording::latency) and were sent.
    pub fn service_time(&self) -> &Histogram {
        &self.service_time
    }

    /// `received - due` of every message that was processed, timed out or was lost with its connection, and the age of
    /// every one that was [given up unsent](Recording::on_given_up).
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// The same without [our own part](Timing::ours_ns) of each: the least that the latency can have been, had we been there
    /// all the time. The true one lies between the two.
    pub fn net_latency(&self) -> &Histogram {
        &self.net_latency
    }

    /// `received - due` of every message that was refused or answered with an error.
    pub fn failed_latency(&self) -> &Histogram {
        &self.failed_latency
    }

    /// What happened in each second.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// Messages sent, by kind; at least as many entries as kinds were announced.
    pub fn sent_by_kind(&self) -> &[u64] {
        &self.sent_by_kind
    }

    /// The first replies that answered nothing.
    pub fn unexpected_samples(&self) -> &Samples {
        &self.unexpected
    }

    /// Bytes that the system took.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// Writes in which it took them. `ledger().sent / writes()` is the messages of one write.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Messages whose pacing lag was above the limit.
    pub fn overdue(&self) -> u64 {
        self.overdue
    }

    /// Messages sent before the measured phase ended.
    pub fn sent_in_time(&self) -> u64 {
        self.sent_in_time
    }

    /// Messages processed before the measured phase ended, counted exactly wherever in a second that was.
    pub fn processed_in_time(&self) -> u64 {
        self.processed_in_time
    }

    #[inline]
    fn record_answer(&mut self, timing: &Timing) {
        self.service_time.record(timing.service_time_ns());
        self.latency.record(timing.latency_ns());
        self.net_latency.record(timing.net_latency_ns());
    }

    /// A kind that was not announced is counted rather than lost.
    #[cold]
    fn make_room_for(&mut self, kind: usize) {
        if kind >= self.sent_by_kind.len() {
            self.sent_by_kind.resize(kind + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Outstanding;

    #[test]
    fn the_lag_has_two_parts() {
        let mut recording = Recording::new(RecordingSpec::default());
        assert_eq!(recording.on_sent(0, 0, 0, 0), 0);
        assert_eq!(recording.on_sent(0, 0, 100, 30), 70);
        assert_eq!(recording.on_sent(0, 0, 100, 100), 0);
        assert_eq!(recording.on_sent(0, 0, 100, 250), 0, "a stall that began before the message was due");
        assert_eq!(recording.lag().sum_ns(), 300);
        assert_eq!(recording.stall().sum_ns(), 230);
        assert_eq!(recording.pacing_lag().sum_ns(), 70);
    }

    #[test]
    fn a_message_is_overdue_when_our_own_lag_exceeds_the_limit() {
        let limit = Duration::from_nanos(1_000);
        let mut recording =
            Recording::new(RecordingSpec { max_pacing_lag: limit, ..RecordingSpec::default() });
        recording.on_sent(0, 0, 1_000, 0);
        recording.on_sent(0, 0, 5_000, 4_500);
        assert_eq!(recording.overdue(), 0);
        recording.on_sent(0, 0, 1_001, 0);
        assert_eq!(recording.overdue(), 1);
    }

    #[test]
    fn a_message_given_up_without_answer_is_among_the_latencies() {
        let mut recording = Recording::new(RecordingSpec::default());
        let timing = Timing { due_ns: 100, sent_ns: 150, done_ns: 1_150, ours_ns: 20 };
        recording.on_failed(&Failure::Timeout, &timing, None);
        recording.on_failed(&Failure::ConnectionLost, &timing, None);
        assert_eq!((recording.latency().count(), recording.latency().min_ns()), (2, 1_050));
        assert_eq!((recording.net_latency().count(), recording.net_latency().min_ns()), (2, 1_030));
        assert_eq!((recording.service_time().count(), recording.service_time().min_ns()), (2, 1_000));
        assert!(recording.failed_latency().is_empty());
    }

    #[test]
    fn a_message_that_could_not_be_sent_is_among_the_latencies() {
        let mut recording = Recording::new(RecordingSpec::default());
        recording.on_given_up(Dropped::Unsent, 3_000, 2_000, 500);
        recording.on_given_up(Dropped::NotConnected, 3_000, 1_000, 1_500);
        recording.on_dropped(Dropped::ConcurrencyLimit, 3_000, 5);
        assert_eq!((recording.latency().count(), recording.latency().sum_ns()), (2, 3_000));
        assert_eq!((recording.net_latency().count(), recording.net_latency().sum_ns()), (2, 1_500));
        assert!(recording.service_time().is_empty() && recording.lag().is_empty());
        assert_eq!(recording.ledger().dropped.total(), 7);
    }

    #[test]
    fn a_refusal_does_not_flatter_the_latencies() {
        let mut recording = Recording::new(RecordingSpec::default());
        let timing = Timing { due_ns: 100, sent_ns: 150, done_ns: 160, ours_ns: 0 };
        for failure in [Failure::Rejected, Failure::Panicked, Failure::Error("no funds".into())] {
            recording.on_failed(&failure, &timing, Some("details"));
        }
        assert!(recording.latency().is_empty() && recording.service_time().is_empty());
        assert_eq!((recording.failed_latency().count(), recording.failed_latency().max_ns()), (3, 60));
    }

    #[test]
    fn what_happens_after_the_measured_phase_happens_but_not_in_time() {
        let spec = RecordingSpec { measured_until_ns: 1_500_000_000, ..RecordingSpec::default() };
        let mut recording = Recording::new(spec);
        let done_at = |done_ns| Timing { due_ns: 0, sent_ns: 0, done_ns, ours_ns: 0 };
        for done_ns in [0, 1_499_999_999, 1_500_000_000] {
            recording.on_sent(0, done_ns, 0, 0);
            recording.on_processed(&done_at(done_ns));
        }
        assert_eq!((recording.ledger().sent, recording.sent_in_time()), (3, 2));
        assert_eq!((recording.ledger().processed, recording.processed_in_time()), (3, 2));

        recording.clear();
        recording.on_processed(&done_at(700));
        recording.end_measured_phase(1_000);
        recording.end_measured_phase(2_000);
        recording.on_processed(&done_at(1_000));
        assert_eq!((recording.ledger().processed, recording.processed_in_time()), (2, 1));
    }

    #[test]
    fn a_kind_that_was_not_announced_is_counted() {
        let mut recording = Recording::new(RecordingSpec { kinds: 2, ..RecordingSpec::default() });
        recording.on_sent(1, 0, 0, 0);
        recording.on_sent(4, 0, 0, 0);
        assert_eq!(recording.sent_by_kind(), [0, 1, 0, 0, 1]);
        let mut small = Recording::new(RecordingSpec { kinds: 0, ..RecordingSpec::default() });
        small.merge(&recording);
        assert_eq!(small.sent_by_kind(), recording.sent_by_kind());
    }

    #[test]
    fn a_clock_that_stands_still_or_errs_does_no_harm() {
        let mut recording = Recording::new(RecordingSpec::default());
        recording.on_processed(&Timing { due_ns: 10, sent_ns: 9, done_ns: 8, ours_ns: u64::MAX });
        recording.on_processed(&Timing { due_ns: 0, sent_ns: 0, done_ns: u64::MAX, ours_ns: 1 });
        assert_eq!((recording.latency().min_ns(), recording.latency().max_ns()), (0, u64::MAX));
        assert_eq!(recording.net_latency().max_ns(), u64::MAX - 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn merging_equals_having_recorded_once(notes in prop::collection::vec((note(), 0..3usize), 0..120)) {
            let mut whole = recording();
            let mut parts = [recording(), recording(), recording()];
            for (note, part) in &notes {
                note.apply(&mut whole);
                note.apply(&mut parts[*part]);
            }
            let [a, b, c] = &parts;
            prop_assert_eq!(&merged(&merged(a, b), c), &whole);
            prop_assert_eq!(&merged(c, &merged(b, a)), &whole);
            prop_assert_eq!(whole.is_empty(), notes.is_empty());

            whole.clear();
            prop_assert!(whole.is_empty());
            let announced = recording().sent_by_kind().len();
            prop_assert!(whole.sent_by_kind().len() >= announced);
            whole.sent_by_kind.truncate(announced);
            prop_assert_eq!(whole, recording());
        }

        #[test]
        fn the_histograms_agree_with_the_books(notes in prop::collection::vec(note(), 0..120)) {
            let mut recording = recording();
            notes.iter().for_each(|note| note.apply(&mut recording));

            let ledger = recording.ledger();
            let unanswered =
                ledger.failed.count(&Failure::Timeout) + ledger.failed.count(&Failure::ConnectionLost);
            let given_up = notes.iter().filter(|note| matches!(note, Note::GivenUp(..))).count() as u64;
            for histogram in [recording.latency(), recording.net_latency()] {
                prop_assert_eq!(histogram.count(), ledger.processed + unanswered + given_up);
            }
            prop_assert_eq!(recording.service_time().count(), ledger.processed + unanswered);
            prop_assert_eq!(recording.failed_latency().count(), ledger.failed.total() - unanswered);
            for histogram in [recording.lag(), recording.stall(), recording.pacing_lag()] {
                prop_assert_eq!(histogram.count(), ledger.sent);
            }
            prop_assert_eq!(recording.lag().sum_ns(), recording.stall().sum_ns() + recording.pacing_lag().sum_ns());
            prop_assert!(recording.net_latency().sum_ns() <= recording.latency().sum_ns());
            prop_assert_eq!(recording.sent_by_kind().iter().sum::<u64>(), ledger.sent);

            let rows = recording.series().rows();
            prop_assert_eq!(rows.iter().map(|row| row.sent).sum::<u64>(), ledger.sent);
            prop_assert_eq!(rows.iter().map(|row| row.processed).sum::<u64>(), ledger.processed);
            prop_assert_eq!(rows.iter().map(|row| row.failed).sum::<u64>(), ledger.failed.total());
            prop_assert_eq!(rows.iter().map(|row| row.dropped).sum::<u64>(), ledger.dropped.total());

            let outstanding = Outstanding {
                waiting: ledger.due.wrapping_sub(ledger.sent).wrapping_sub(ledger.dropped.total()),
                in_flight: 0,
            };
            let due_balances = ledger.due >= ledger.sent + ledger.dropped.total();
            let sent_balances = ledger.sent == ledger.processed + ledger.failed.total() + ledger.aborted;
            prop_assert_eq!(ledger.balances(outstanding).is_ok(), due_balances && sent_balances);
        }
    }

    #[derive(Debug, Clone)]
    enum Note {
        Due(u64),
        Dropped(Dropped, u64, u64),
        GivenUp(Dropped, [u64; 3]),
        Sent { kind: usize, at_ns: u64, lag_ns: u64, stall_ns: u64 },
        Processed(Timing),
        Failed(Failure, Timing, u64),
        Aborted(u64),
        LateReply,
        UnexpectedReply(u64, u64),
        Write(u64),
    }

    impl Note {
        fn apply(&self, recording: &mut Recording) {
            match self {
                Note::Due(n) => recording.on_due(*n),
                Note::Dropped(reason, at_ns, n) => recording.on_dropped(*reason, *at_ns, *n),
                Note::GivenUp(reason, [at_ns, waited_ns, ours_ns]) => {
                    recording.on_given_up(*reason, *at_ns, *waited_ns, *ours_ns);
                }
                Note::Sent { kind, at_ns, lag_ns, stall_ns } => {
                    recording.on_sent(*kind, *at_ns, *lag_ns, *stall_ns);
                }
                Note::Processed(timing) => recording.on_processed(timing),
                Note::Failed(failure, timing, text) => {
                    recording.on_failed(failure, timing, Some(&format!("sample {text}")));
                }
                Note::Aborted(n) => recording.on_aborted(*n),
                Note::LateReply => recording.on_late_reply(),
                Note::UnexpectedReply(at_ns, text) => {
                    recording.on_unexpected_reply(*at_ns, &format!("reply {text}"));
                }
                Note::Write(bytes) => recording.on_write(*bytes),
            }
        }
    }

    proptest! {
        #[test]
        fn to_deliver_many_is_to_send_and_process_each(n in 1..20u64, at_ns in ns(), lag_ns in ns(), stall_ns in ns()) {
            let (mut one_by_one, mut at_once) = (recording(), recording());
            for _ in 0..n {
                let pacing_ns = one_by_one.on_sent(2, at_ns, lag_ns, stall_ns);
                let due_ns = at_ns.saturating_sub(lag_ns);
                // What is later than due since the beginning of time has no due instant to count from.
                if lag_ns <= at_ns {
                    one_by_one.on_processed(&Timing { due_ns, sent_ns: at_ns, done_ns: at_ns, ours_ns: pacing_ns });
                }
            }
            prop_assume!(lag_ns <= at_ns);
            at_once.on_delivered(n, at_ns, lag_ns, stall_ns);
            at_once.count_kind(2, n);
            prop_assert_eq!(one_by_one, at_once);
        }
    }

    fn note() -> impl Strategy<Value = Note> {
        prop_oneof![
            (1..5u64).prop_map(Note::Due),
            (prop::sample::select(&Dropped::ALL[..]), ns(), 1..4u64)
                .prop_map(|(reason, at_ns, n)| Note::Dropped(reason, at_ns, n)),
            (prop::sample::select(&Dropped::ALL[..]), [ns(), ns(), ns()])
                .prop_map(|(reason, times)| Note::GivenUp(reason, times)),
            (0..6usize, ns(), ns(), ns()).prop_map(|(kind, at_ns, lag_ns, stall_ns)| Note::Sent {
                kind,
                at_ns,
                lag_ns,
                stall_ns
            }),
            timing().prop_map(Note::Processed),
            (failure(), timing(), 0..9u64)
                .prop_map(|(failure, timing, text)| Note::Failed(failure, timing, text)),
            (1..4u64).prop_map(Note::Aborted),
            Just(Note::LateReply),
            (ns(), 0..9u64).prop_map(|(at_ns, text)| Note::UnexpectedReply(at_ns, text)),
            (0..100_000u64).prop_map(Note::Write),
        ]
    }

    fn failure() -> impl Strategy<Value = Failure> {
        prop_oneof![
            Just(Failure::Timeout),
            Just(Failure::ConnectionLost),
            Just(Failure::Rejected),
            Just(Failure::Panicked),
            (0..100u32).prop_map(|number| Failure::Error(format!("error {number}").into())),
        ]
    }

    fn timing() -> impl Strategy<Value = Timing> {
        (ns(), ns(), ns(), ns()).prop_map(|(due_ns, lag_ns, service_ns, ours_ns)| Timing {
            due_ns,
            sent_ns: due_ns + lag_ns,
            done_ns: due_ns + lag_ns + service_ns,
            ours_ns,
        })
    }

    /// Times of every size up to some hours.
    fn ns() -> impl Strategy<Value = u64> {
        (any::<u64>(), 20..64u32).prop_map(|(bits, shift)| bits >> shift)
    }

    fn recording() -> Recording {
        Recording::new(RecordingSpec { kinds: 3, measured_until_ns: 1 << 40, ..RecordingSpec::default() })
    }

    fn merged(first: &Recording, second: &Recording) -> Recording {
        let mut whole = first.clone();
        whole.merge(second);
        whole
    }
}
