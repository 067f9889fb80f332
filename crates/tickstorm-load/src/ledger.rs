use std::borrow::Cow;
use std::collections::BTreeMap;

/// Why a message that was sent failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No reply within the timeout, counted from when it was sent.
    Timeout,
    /// Its connection ended before the reply came.
    ConnectionLost,
    /// The target answered that it does not take the message.
    Rejected,
    /// The called function panicked.
    Panicked,
    /// The target, or the function called, reported this error. The text names the kind, so it should not hold
    /// what differs from message to message: that belongs into the sample.
    Error(Box<str>),
}

impl Failure {
    /// The name under which it is counted: `timeout`, `connection_lost`, `rejected`, `panicked`, or the error's
    /// own text.
    pub fn kind(&self) -> &str {
        match self {
            Failure::Timeout => "timeout",
            Failure::ConnectionLost => "connection_lost",
            Failure::Rejected => "rejected",
            Failure::Panicked => "panicked",
            Failure::Error(text) => text,
        }
    }

    /// Whether the message was given up without an answer. Its age then belongs among the latencies: it waited
    /// at least that long.
    pub fn is_unanswered(&self) -> bool {
        matches!(self, Failure::Timeout | Failure::ConnectionLost)
    }
}

/// Why a message that was due was never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dropped {
    /// As many messages were in flight as are allowed, and the run drops what comes then.
    ConcurrencyLimit,
    /// Its connection was down for longer than the timeout.
    NotConnected,
    /// It was still waiting when the time after the last due instant was over.
    Unsent,
    /// The client that it was for had too much waiting already.
    SlowClient,
    /// The client that it was for ended its connection, or broke it, while it waited.
    Lost,
    /// It was waiting when the run was ended at once: what would have become of it, nobody knows.
    Aborted,
}

impl Dropped {
    /// All of them, in the order of reports.
    pub const ALL: [Dropped; 6] = [
        Dropped::ConcurrencyLimit,
        Dropped::NotConnected,
        Dropped::Unsent,
        Dropped::SlowClient,
        Dropped::Lost,
        Dropped::Aborted,
    ];

    /// The name under which it is counted: `concurrency_limit`, `not_connected`, `unsent`, `slow_client`, `lost` or
    /// `aborted`.
    pub fn kind(self) -> &'static str {
        match self {
            Dropped::ConcurrencyLimit => "concurrency_limit",
            Dropped::NotConnected => "not_connected",
            Dropped::Unsent => "unsent",
            Dropped::SlowClient => "slow_client",
            Dropped::Lost => "lost",
            Dropped::Aborted => "aborted",
        }
    }
}

/// What became of every message, as counts that must add up:
/// `due = sent + dropped` and `sent = processed + failed + aborted`, once nothing is outstanding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Messages whose due instant came.
    pub due: u64,
    /// Messages that the socket or the callee took.
    pub sent: u64,
    /// Messages that were due and never sent.
    pub dropped: DroppedCounts,
    /// Messages that were sent and answered well.
    pub processed: u64,
    /// Messages that were sent and failed.
    pub failed: Failures,
    /// Messages in flight when the run was stopped by hand.
    pub aborted: u64,
    /// Replies to messages that had timed out. Such a message is counted once, as failed.
    pub late_replies: u64,
    /// Replies to nothing that was sent.
    pub unexpected_replies: u64,
}

/// Messages that have no outcome yet, known to whoever holds them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Due, and neither sent nor dropped.
    pub waiting: u64,
    /// Sent, and without an outcome.
    pub in_flight: u64,
}

/// The books do not balance: some message has no outcome or two. Always a fault of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// What was due is not what was sent, dropped or still waits.
    #[error("{due} messages were due, but {sent} sent, {dropped} dropped and {waiting} waiting make {}",
        u128::from(*sent) + u128::from(*dropped) + u128::from(*waiting))]
    Due {
        /// Messages due.
        due: u64,
        /// Messages sent.
        sent: u64,
        /// Messages dropped.
        dropped: u64,
        /// Messages that wait to be sent.
        waiting: u64,
    },
    /// What was sent is not what was processed, failed, aborted or still in flight.
    #[error("{sent} messages were sent, but {processed} processed, {failed} failed, {aborted} aborted and \
        {in_flight} in flight make {}",
        u128::from(*processed) + u128::from(*failed) + u128::from(*aborted) + u128::from(*in_flight))]
    Sent {
        /// Messages sent.
        sent: u64,
        /// Messages processed.
        processed: u64,
        /// Messages failed.
        failed: u64,
        /// Messages aborted.
        aborted: u64,
        /// Messages in flight.
        in_flight: u64,
    },
}

impl Ledger {
    /// Checks the books, given what is `outstanding`; at the end of a run nothing is (`Outstanding::default()`).
    ///
    /// The ledger must cover a run from its beginning: a message may be due in one interval and answered in a
    /// later one, so the ledger of an interval alone does not balance.
    pub fn balances(&self, outstanding: Outstanding) -> Result<(), Imbalance> {
        let Outstanding { waiting, in_flight } = outstanding;
        let dropped = self.dropped.total();
        if u128::from(self.due) != sum([self.sent, dropped, waiting]) {
            return Err(Imbalance::Due { due: self.due, sent: self.sent, dropped, waiting });
        }
        let failed = self.failed.total();
        if u128::from(self.sent) != sum([self.processed, failed, self.aborted, in_flight]) {
            return Err(Imbalance::Sent {
                sent: self.sent,
                processed: self.processed,
                failed,
                aborted: self.aborted,
                in_flight,
            });
        }
        Ok(())
    }

    /// Every message that was due, whatever became of it.
    pub fn total_messages(&self) -> u64 {
        self.due
    }

    /// Messages that failed, and those that were dropped, but for those that the end of the run at once has dropped.
    pub fn messages_failed(&self) -> u64 {
        self.failed.total() + self.dropped.total() - self.dropped.count(Dropped::Aborted)
    }

    /// Messages that say something about the target: those due, but for those that the run's end at once came to before
    /// it was known what would become of them.
    pub fn messages_judged(&self) -> u64 {
        self.due.saturating_sub(self.aborted + self.dropped.count(Dropped::Aborted))
    }

    /// The share of messages that failed or were dropped, among those [judged](Ledger::messages_judged); zero when there
    /// are none.
    pub fn error_rate(&self) -> f64 {
        self.share(self.messages_failed())
    }

    /// The share of messages that were processed, among those [judged](Ledger::messages_judged); zero when there are none.
    /// While messages are outstanding it and [`error_rate`](Ledger::error_rate) make less than one.
    pub fn success_rate(&self) -> f64 {
        self.share(self.processed)
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Ledger) {
        // Taken apart by name, so that a new field cannot be forgotten here.
        let Ledger { due, sent, dropped, processed, failed, aborted, late_replies, unexpected_replies } =
            other;
        self.due += due;
        self.sent += sent;
        self.dropped.merge(dropped);
        self.processed += processed;
        self.failed.merge(failed);
        self.aborted += aborted;
        self.late_replies += late_replies;
        self.unexpected_replies += unexpected_replies;
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        *self == Ledger::default()
    }

    fn share(&self, part: u64) -> f64 {
        match self.messages_judged() {
            0 => 0.0,
            judged => part as f64 / judged as f64,
        }
    }
}

fn sum<const N: usize>(counts: [u64; N]) -> u128 {
    counts.into_iter().map(u128::from).sum()
}

/// How many messages were dropped, by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DroppedCounts([u64; Dropped::ALL.len()]);

impl DroppedCounts {
    /// Counts `n` messages.
    pub fn record(&mut self, reason: Dropped, n: u64) {
        self.0[reason as usize] += n;
    }

    /// How many were dropped for this reason.
    pub fn count(&self, reason: Dropped) -> u64 {
        self.0[reason as usize]
    }

    /// How many were dropped.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason that occurred, with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Dropped, u64)> + '_ {
        Dropped::ALL.into_iter().map(|reason| (reason, self.count(reason))).filter(|&(_, count)| count > 0)
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &DroppedCounts) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

/// How many messages failed, by kind, with the first samples of each kind.
///
/// The memory is bounded: when more than 64 kinds occur (because error texts hold numbers, say), the 64 first in
/// order, the four named ones ahead of all texts, keep their own count, and the rest is counted together as
/// `other_errors`. Which kinds these are depends on nothing but which occurred, so recordings still merge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    kinds: BTreeMap<Failure, FailureTally>,
    others: FailureTally,
}

impl Failures {
    /// The kind under which failures are counted when there are too many kinds.
    pub const OTHERS: &'static str = "other_errors";

    /// Counts a failure that became known at run time `at_ns`. `sample` is a text that shows it to a person: the
    /// first [`Samples::LIMIT`] different ones of each kind are kept.
    pub fn record(&mut self, failure: &Failure, at_ns: u64, sample: Option<&str>) {
        let tally = self.tally_mut(failure);
        tally.count += 1;
        if let Some(text) = sample {
            tally.samples.record(at_ns, text);
        }
    }

    /// How many messages failed.
    pub fn total(&self) -> u64 {
        self.kinds.values().map(|tally| tally.count).sum::<u64>() + self.others.count
    }

    /// How many failed in this way.
    pub fn count(&self, failure: &Failure) -> u64 {
        self.kinds.get(failure).map_or(0, |tally| tally.count)
    }

    /// Every kind that occurred, each once; their counts sum to [`total`](Failures::total).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FailureTally)> {
        let others = Some((Self::OTHERS, &self.others)).filter(|(_, tally)| tally.count > 0);
        self.kinds.iter().map(|(failure, tally)| (failure.kind(), tally)).chain(others)
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Failures) {
        for (failure, tally) in &other.kinds {
            self.tally_mut(failure).merge(tally);
        }
        self.others.merge(&other.others);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn tally_mut(&mut self, failure: &Failure) -> &mut FailureTally {
        let failure = canonical(failure);
        if failure.kind() == Self::OTHERS {
            return &mut self.others;
        }
        let is_new = !self.kinds.contains_key(&*failure);
        if is_new && self.kinds.len() == KIND_LIMIT {
            let last = self.kinds.last_entry().expect("the limit is above zero");
            if *failure > *last.key() {
                return &mut self.others;
            }
            // A kind that gives way here also does when everything is recorded in one place: it is not among the
            // first of a part, so it is not among the first of the whole.
            self.others.merge(&last.remove());
        }
        if is_new {
            return self.kinds.entry(failure.into_owned()).or_default();
        }
        self.kinds.get_mut(&*failure).expect("it is not new")
    }
}

/// The failure under whose name this one is counted: a long text is cut, and a text that happens to be one of our
/// own names is counted with it, so that no two entries have the same name.
fn canonical(failure: &Failure) -> Cow<'_, Failure> {
    let Failure::Error(text) = failure else {
        return Cow::Borrowed(failure);
    };
    for named in [Failure::Timeout, Failure::ConnectionLost, Failure::Rejected, Failure::Panicked] {
        if **text == *named.kind() {
            return Cow::Owned(named);
        }
    }
    match cut(text, TEXT_LIMIT) {
        whole if whole.len() == text.len() => Cow::Borrowed(failure),
        beginning => Cow::Owned(Failure::Error(beginning.into())),
    }
}

/// The longest beginning of `text` of at most `limit` bytes that ends between two characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// How often one kind of failure occurred, and what it looked like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureTally {
    count: u64,
    samples: Samples,
}

impl FailureTally {
    /// How many messages failed in this way.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first samples.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    fn merge(&mut self, other: &FailureTally) {
        self.count += other.count;
        self.samples.merge(&other.samples);
    }
}

/// The first few different texts, in the order of their first occurrence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Samples(Vec<(u64, Box<str>)>);

impl Samples {
    /// How many texts are kept.
    pub const LIMIT: usize = 5;

    /// Keeps `text` (its first 256 bytes), which occurred at run time `at_ns`, if it is among the first.
    pub fn record(&mut self, at_ns: u64, text: &str) {
        let text = cut(text, TEXT_LIMIT);
        if let Some(known) = self.0.iter().position(|(_, kept)| **kept == *text) {
            if self.0[known].0 <= at_ns {
                return;
            }
            self.0.remove(known);
        }
        let place = self.0.partition_point(|(kept_ns, kept)| (*kept_ns, &**kept) < (at_ns, text));
        if place < Self::LIMIT {
            self.0.truncate(Self::LIMIT - 1);
            self.0.insert(place, (at_ns, text.into()));
        }
    }

    /// Each text with the run time of its first occurrence.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &str)> {
        self.0.iter().map(|(at_ns, text)| (*at_ns, &**text))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the texts of `other`; the first of both remain.
    pub fn merge(&mut self, other: &Samples) {
        for (at_ns, text) in &other.0 {
            self.record(*at_ns, text);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// More kinds than a person would read, and few enough to be copied each interval.
const KIND_LIMIT: usize = 64;

/// Enough to recognise an error by; what a target answers has no limit of its own.
const TEXT_LIMIT: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rates_are_shares_of_the_messages_that_could_be_judged() {
        let mut ledger = Ledger { due: 110, sent: 100, processed: 80, aborted: 10, ..Ledger::default() };
        ledger.dropped.record(Dropped::ConcurrencyLimit, 7);
        ledger.dropped.record(Dropped::Unsent, 3);
        (0..10).for_each(|_| ledger.failed.record(&Failure::Rejected, 0, None));

        assert_eq!(ledger.balances(Outstanding::default()), Ok(()));
        assert_eq!((ledger.total_messages(), ledger.messages_failed()), (110, 20));
        assert_eq!((ledger.error_rate(), ledger.success_rate()), (0.2, 0.8));
    }

    #[test]
    fn rates_of_nothing_are_zero() {
        let aborted = Ledger { due: 5, sent: 5, aborted: 5, ..Ledger::default() };
        for ledger in [Ledger::default(), aborted] {
            assert_eq!((ledger.error_rate(), ledger.success_rate()), (0.0, 0.0));
        }
    }

    #[test]
    fn an_imbalance_names_its_figures() {
        let ledger = Ledger { due: 10, sent: 7, processed: 9, ..Ledger::default() };
        let due = ledger.balances(Outstanding { waiting: 2, in_flight: 0 }).unwrap_err();
        assert_eq!(due, Imbalance::Due { due: 10, sent: 7, dropped: 0, waiting: 2 });
        assert_eq!(due.to_string(), "10 messages were due, but 7 sent, 0 dropped and 2 waiting make 9");
        let sent = ledger.balances(Outstanding { waiting: 3, in_flight: 1 }).unwrap_err();
        assert_eq!(
            sent.to_string(),
            "7 messages were sent, but 9 processed, 0 failed, 0 aborted and 1 in flight make 10"
        );
    }

    #[test]
    fn each_kind_has_one_name_whoever_gave_it() {
        let mut failures = Failures::default();
        failures.record(&Failure::Timeout, 1, None);
        failures.record(&Failure::Error("timeout".into()), 2, None);
        failures.record(&Failure::Error("no funds".into()), 3, None);
        failures.record(&Failure::Error(Failures::OTHERS.into()), 4, None);
        assert_eq!(counts(&failures), [("timeout", 2), ("no funds", 1), ("other_errors", 1)]);
    }

    #[test]
    fn texts_without_end_are_cut_between_characters() {
        let mut failures = Failures::default();
        let text = "\u{20ac}".repeat(1000);
        failures.record(&Failure::Error(text.as_str().into()), 1, Some(&text));
        let (kind, tally) = failures.iter().next().unwrap();
        assert_eq!(kind, "\u{20ac}".repeat(85), "85 characters of three bytes fit into 256 bytes");
        assert_eq!(tally.samples().iter().next().unwrap().1, kind);
    }

    #[test]
    fn endless_kinds_are_counted_in_bounded_memory() {
        let mut failures = Failures::default();
        failures.record(&Failure::Timeout, 0, Some("waited 5 s"));
        for order in (0..10_000).rev() {
            failures.record(&Failure::Error(format!("order {order:04} unknown").into()), order, Some("seen"));
        }
        assert_eq!(failures.total(), 10_001);
        assert_eq!(failures.iter().count(), KIND_LIMIT + 1);
        assert_eq!(failures.count(&Failure::Timeout), 1, "our own kinds never give way");
        let (kind, others) = failures.iter().last().unwrap();
        assert_eq!((kind, others.count()), (Failures::OTHERS, 10_001 - KIND_LIMIT as u64));
        assert_eq!(others.samples().iter().collect::<Vec<_>>(), [(63, "seen")]);
    }

    #[test]
    fn samples_are_the_first_different_texts() {
        let mut samples = Samples::default();
        for (at_ns, text) in
            [(9, "late"), (4, "b"), (4, "a"), (1, "first"), (5, "first"), (6, "c"), (7, "d"), (2, "c")]
        {
            samples.record(at_ns, text);
        }
        let kept: Vec<_> = samples.iter().collect();
        assert_eq!(kept, [(1, "first"), (2, "c"), (4, "a"), (4, "b"), (7, "d")]);
    }

    proptest! {
        /// Whatever happens to the messages, and wherever the run is looked at, the books balance; and they
        /// do not as soon as one outcome is missing or counted twice.
        #[test]
        fn the_books_balance_unless_an_outcome_is_missing_or_doubled(
            fates in prop::collection::vec(fate(), 1..200),
            fault in any::<prop::sample::Index>(),
        ) {
            let (ledger, outstanding) = books(&fates);
            prop_assert_eq!(ledger.balances(outstanding), Ok(()));
            let judged = ledger.messages_judged() as f64;
            let open = (outstanding.waiting + outstanding.in_flight) as f64;
            prop_assert!((judged * (ledger.error_rate() + ledger.success_rate()) + open - judged).abs() < 1e-6);

            let struck = fates[fault.index(fates.len())];
            let (mut missing, mut doubled) = (ledger.clone(), ledger.clone());
            match struck {
                Fate::Waiting => {
                    let fewer = Outstanding { waiting: outstanding.waiting - 1, ..outstanding };
                    prop_assert!(ledger.balances(fewer).is_err());
                }
                Fate::InFlight => {
                    let fewer = Outstanding { in_flight: outstanding.in_flight - 1, ..outstanding };
                    prop_assert!(ledger.balances(fewer).is_err());
                }
                Fate::Dropped(reason) => {
                    doubled.dropped.record(reason, 1);
                    missing.dropped = DroppedCounts::default();
                }
                Fate::Processed => {
                    doubled.processed += 1;
                    missing.processed -= 1;
                }
                Fate::Failed(kind) => {
                    doubled.failed.record(&failure(kind), 0, None);
                    missing.failed.clear();
                }
                Fate::Aborted => {
                    doubled.aborted += 1;
                    missing.aborted -= 1;
                }
            }
            if !matches!(struck, Fate::Waiting | Fate::InFlight) {
                prop_assert!(doubled.balances(outstanding).is_err());
                prop_assert!(missing.balances(outstanding).is_err());
            }
        }

        /// A message that timed out and was then answered has one outcome: the late reply is no second one.
        #[test]
        fn replies_to_nothing_leave_the_books_alone(
            fates in prop::collection::vec(fate(), 0..50), late in 0..10u64, unexpected in 0..10u64,
        ) {
            let (mut ledger, outstanding) = books(&fates);
            ledger.late_replies += late;
            ledger.unexpected_replies += unexpected;
            prop_assert_eq!(ledger.balances(outstanding), Ok(()));
        }

        #[test]
        fn merged_books_are_the_books_of_the_whole(
            fates in prop::collection::vec(fate(), 0..200), cut in any::<prop::sample::Index>(),
        ) {
            let (whole, _) = books(&fates);
            let (first, second) = fates.split_at(cut.index(fates.len() + 1));
            let mut merged = books(second).0;
            merged.merge(&books(first).0);
            prop_assert_eq!(merged, whole);
        }

        /// Also with far more kinds and texts than are kept, and for every grouping and order.
        #[test]
        fn failures_merge_to_what_was_recorded_once(
            failures in prop::collection::vec((0..150u32, 0..50u64, 0..20u32, 0..3usize), 0..600),
        ) {
            let mut whole = Failures::default();
            let mut parts = [Failures::default(), Failures::default(), Failures::default()];
            for (kind, at_ns, text, part) in failures {
                let sample = format!("sample {text}");
                for failures in [&mut whole, &mut parts[part]] {
                    failures.record(&failure(kind), at_ns, Some(&sample));
                }
            }
            let [a, b, c] = &parts;
            prop_assert_eq!(&merged(&merged(a, b), c), &whole);
            prop_assert_eq!(&merged(&merged(c, a), b), &whole);
            prop_assert_eq!(&merged(a, &merged(c, b)), &whole);
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Fate {
        Waiting,
        Dropped(Dropped),
        InFlight,
        Processed,
        Failed(u32),
        Aborted,
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![
            Just(Fate::Waiting),
            prop::sample::select(&Dropped::ALL[..]).prop_map(Fate::Dropped),
            Just(Fate::InFlight),
            Just(Fate::Processed),
            (0..150u32).prop_map(Fate::Failed),
            Just(Fate::Aborted),
        ]
    }

    fn failure(kind: u32) -> Failure {
        match kind {
            0 => Failure::Timeout,
            1 => Failure::ConnectionLost,
            2 => Failure::Rejected,
            3 => Failure::Panicked,
            _ => Failure::Error(format!("error {kind}").into()),
        }
    }

    fn books(fates: &[Fate]) -> (Ledger, Outstanding) {
        let mut ledger = Ledger::default();
        let mut outstanding = Outstanding::default();
        for fate in fates {
            ledger.due += 1;
            ledger.sent += u64::from(!matches!(fate, Fate::Waiting | Fate::Dropped(_)));
            match *fate {
                Fate::Waiting => outstanding.waiting += 1,
                Fate::Dropped(reason) => ledger.dropped.record(reason, 1),
                Fate::InFlight => outstanding.in_flight += 1,
                Fate::Processed => ledger.processed += 1,
                Fate::Failed(kind) => ledger.failed.record(&failure(kind), 0, None),
                Fate::Aborted => ledger.aborted += 1,
            }
        }
        (ledger, outstanding)
    }

    fn counts(failures: &Failures) -> Vec<(&str, u64)> {
        failures.iter().map(|(kind, tally)| (kind, tally.count())).collect()
    }

    fn merged(first: &Failures, second: &Failures) -> Failures {
        let mut whole = first.clone();
        whole.merge(second);
        whole
    }
}
