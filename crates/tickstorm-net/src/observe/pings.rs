//! What a client's socket reader has passed, proved by its pongs.

use std::collections::VecDeque;
use std::time::Duration;

use tickstorm_load::Histogram;

/// WebSocket pings in the line of the data, ten a second, sent whether or not earlier ones are answered.
///
/// Times are nanoseconds on the caller's clock. A pong proves that the client's reader has passed everything sent
/// before its ping, and nothing about what the client has done with it.
#[derive(Debug)]
pub struct PingProbe {
    next_due_ns: u64,
    next_number: u64,
    /// Pings without an answer. Answers come in order, so they go from the front.
    unanswered: VecDeque<Ping>,
    /// Messages that the client had been told at the last ping.
    told: u64,
    /// When the last answer came.
    answered_at_ns: Option<u64>,
    round_trips: Histogram,
    calm: Histogram,
    phase: Phase,
}

#[derive(Debug, Clone, Copy)]
struct Ping {
    number: u64,
    sent_ns: u64,
    /// Whether there is a message between it and the ping before it: else it tells of no message.
    follows_messages: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Calm,
    Loaded,
}

impl PingProbe {
    /// The time from one ping to the next.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    /// Pings start at this time, in the calm phase.
    pub fn new(start_ns: u64) -> Self {
        Self {
            next_due_ns: start_ns,
            next_number: 0,
            unanswered: VecDeque::new(),
            told: 0,
            answered_at_ns: None,
            round_trips: Histogram::new(),
            calm: Histogram::new(),
            phase: Phase::Calm,
        }
    }

    /// The feed begins: round trips until now are what the connection takes without a backlog.
    pub fn end_calm(&mut self) {
        self.phase = Phase::Loaded;
    }

    /// When the next ping is due.
    pub fn next_due_ns(&self) -> u64 {
        self.next_due_ns
    }

    /// The payload of the ping that is due, to be put in the line of the data now, behind so many messages in all. After
    /// a pause only one ping makes up for all that were missed.
    pub fn on_due(&mut self, now_ns: u64, told: u64) -> Option<[u8; PAYLOAD_LEN]> {
        let late = now_ns.checked_sub(self.next_due_ns)?;
        let interval = Self::INTERVAL.as_nanos() as u64;
        self.next_due_ns += (late / interval + 1) * interval;
        Some(self.ping(now_ns, told))
    }

    /// The payload of a ping to be put in the line of the data now, due or not: behind the last message it tells
    /// when that was passed.
    pub fn ping(&mut self, now_ns: u64, told: u64) -> [u8; PAYLOAD_LEN] {
        let mut follows_messages = told > std::mem::replace(&mut self.told, told);
        if self.unanswered.len() == UNANSWERED_AT_MOST {
            // The oldest one is what the age is told by, so it is a newer one that is not waited for.
            let forgotten = self.unanswered.pop_back();
            follows_messages |= forgotten.is_some_and(|ping| ping.follows_messages);
        }
        let number = self.next_number;
        self.next_number += 1;
        self.unanswered.push_back(Ping { number, sent_ns: now_ns, follows_messages });
        payload(number)
    }

    /// A pong came; its round trip if it answers a ping of ours. It answers all earlier ones as well: a client
    /// may leave out all but the last (RFC 6455, 5.5.3).
    pub fn on_pong(&mut self, payload: &[u8], now_ns: u64) -> Option<u64> {
        let number = number(payload)?;
        let at = self.unanswered.iter().position(|ping| ping.number == number)?;
        let Ping { sent_ns, .. } = self.unanswered.drain(..=at).next_back()?;
        let round_trip_ns = now_ns.saturating_sub(sent_ns);
        self.answered_at_ns = Some(now_ns);
        let histogram = match self.phase {
            Phase::Calm => &mut self.calm,
            Phase::Loaded => &mut self.round_trips,
        };
        histogram.record(round_trip_ns);
        Some(round_trip_ns)
    }

    /// How old at least the oldest message is that the client's reader has not passed: the age of the oldest
    /// ping without an answer that has messages before it, less the round trip of a connection without a backlog.
    /// Nothing for a client that has never answered any: it does not answer pings, which says nothing about its reader.
    pub fn age_ns(&self, now_ns: u64) -> u64 {
        let Some(oldest) = self.oldest_behind_messages().filter(|_| self.is_answered()) else { return 0 };
        now_ns.saturating_sub(oldest.sent_ns).saturating_sub(self.calm_round_trip_ns().unwrap_or(0))
    }

    /// Pings before which there is nothing, as before the feed, may go unanswered without any message being late.
    fn oldest_behind_messages(&self) -> Option<&Ping> {
        self.unanswered.iter().find(|ping| ping.follows_messages)
    }

    /// Pings that are waited for.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// When the client's reader had passed all messages, which is told by the answer to the last ping behind some. `None`
    /// while that is waited for, or if the client has never answered any.
    pub fn passed_at_ns(&self) -> Option<u64> {
        self.answered_at_ns.filter(|_| self.oldest_behind_messages().is_none())
    }

    /// Whether the client has ever answered one.
    pub fn is_answered(&self) -> bool {
        self.answered_at_ns.is_some()
    }

    /// The median round trip before the feed began; `None` without any.
    pub fn calm_round_trip_ns(&self) -> Option<u64> {
        (!self.calm.is_empty()).then(|| self.calm.percentile_ns(50.0))
    }

    /// Round trips since the feed began. Pings that were never answered are not in it.
    pub fn round_trips(&self) -> &Histogram {
        &self.round_trips
    }
}

/// Short enough to be no load, and unlike what anybody else would send.
const PAYLOAD_LEN: usize = 12;
const MARK: [u8; 4] = *b"tkst";

fn payload(number: u64) -> [u8; PAYLOAD_LEN] {
    let mut payload = [0; PAYLOAD_LEN];
    payload[..4].copy_from_slice(&MARK);
    payload[4..].copy_from_slice(&number.to_be_bytes());
    payload
}

fn number(payload: &[u8]) -> Option<u64> {
    let digits = payload.strip_prefix(&MARK)?;
    Some(u64::from_be_bytes(digits.try_into().ok()?))
}

/// A hundred seconds without an answer; venues cut the connection long before.
const UNANSWERED_AT_MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn pings_are_due_ten_times_a_second_and_missed_ones_are_not_made_up_for() {
        let mut probe = PingProbe::new(5 * MS);
        assert_eq!(probe.on_due(4 * MS, 0), None);
        assert!(probe.on_due(5 * MS, 0).is_some());
        assert_eq!((probe.on_due(6 * MS, 0), probe.next_due_ns()), (None, 105 * MS));
        assert!(probe.on_due(433 * MS, 0).is_some());
        assert_eq!((probe.on_due(434 * MS, 0), probe.next_due_ns()), (None, 505 * MS));
    }

    #[test]
    fn the_oldest_ping_without_an_answer_tells_the_age_beyond_the_calm_round_trip() {
        let mut probe = PingProbe::new(0);
        let calm = probe.on_due(0, 0).unwrap();
        assert_eq!(probe.on_pong(&calm, 2 * MS), Some(2 * MS));
        assert_eq!(probe.age_ns(50 * MS), 0);
        probe.end_calm();
        let pings: Vec<_> = (1..=5).filter_map(|n| probe.on_due(n * 100 * MS, n)).collect();
        assert_eq!((pings.len(), probe.unanswered()), (5, 5));
        // Histograms keep three digits.
        let age_ms = |probe: &PingProbe, now_ms: u64| (probe.age_ns(now_ms * MS) + MS / 2) / MS;
        assert_eq!(age_ms(&probe, 600), 498);
        assert_eq!(probe.on_pong(&pings[1], 700 * MS), Some(500 * MS));
        assert_eq!(age_ms(&probe, 700), 398);
        // The first was passed along with the second, and nothing is answered twice.
        assert_eq!(probe.on_pong(&pings[0], 700 * MS), None);
        assert_eq!(probe.on_pong(&pings[1], 700 * MS), None);
        assert_eq!(probe.on_pong(&pings[4], 701 * MS), Some(201 * MS));
        assert_eq!((probe.age_ns(900 * MS), probe.unanswered()), (0, 0));
        assert_eq!(probe.passed_at_ns(), Some(701 * MS));
        let last = probe.ping(950 * MS, 6);
        assert_eq!((probe.is_answered(), probe.passed_at_ns()), (true, None));
        assert_eq!(probe.on_pong(&last, 1_250 * MS), Some(300 * MS));
        assert_eq!((probe.passed_at_ns(), probe.next_due_ns()), (Some(1_250 * MS), 600 * MS));
        assert_eq!(probe.round_trips().count(), 3);
    }

    #[test]
    fn pongs_that_nobody_asked_for_are_nothing() {
        let mut probe = PingProbe::new(0);
        let ping = probe.on_due(0, 0).unwrap();
        for foreign in [&b""[..], b"tkst", b"tkst\0\0\0\0\0\0\0\x01", b"heartbeat", &[0; 200]] {
            assert_eq!(probe.on_pong(foreign, MS), None);
        }
        assert_eq!(probe.on_pong(&ping, MS), Some(MS));
    }

    #[test]
    fn a_client_that_answers_no_more_costs_bounded_memory_and_keeps_its_age() {
        let mut probe = PingProbe::new(0);
        let first = probe.on_due(0, 0).unwrap();
        assert_eq!(probe.on_pong(&first, 0), Some(0));
        for n in 1..=3 * UNANSWERED_AT_MOST as u64 {
            assert!(probe.on_due(n * 100 * MS, n).is_some());
        }
        assert_eq!(probe.unanswered(), UNANSWERED_AT_MOST);
        assert_eq!(probe.age_ns(300_100 * MS), 300_000 * MS);
    }

    #[test]
    fn a_ping_without_a_message_before_it_tells_of_no_age() {
        let mut probe = PingProbe::new(0);
        let calm = probe.on_due(0, 0).unwrap();
        assert_eq!(probe.on_pong(&calm, 0), Some(0));
        // It answers no more long before the first message.
        assert!((1..50).all(|n| probe.on_due(n * 100 * MS, 0).is_some()));
        probe.end_calm();
        assert_eq!((probe.age_ns(4_950 * MS), probe.passed_at_ns()), (0, Some(0)));
        let behind_one = probe.on_due(5_000 * MS, 1).unwrap();
        assert!((51..60).all(|n| probe.on_due(n * 100 * MS, 1).is_some()));
        assert_eq!((probe.age_ns(6_000 * MS), probe.passed_at_ns()), (1_000 * MS, None));
        assert_eq!(probe.on_pong(&behind_one, 6_000 * MS), Some(1_000 * MS));
        assert_eq!((probe.unanswered(), probe.age_ns(6_000 * MS)), (9, 0));
        assert_eq!(probe.passed_at_ns(), Some(6_000 * MS));
    }

    #[test]
    fn a_client_that_never_answers_is_not_known_to_be_behind() {
        let mut probe = PingProbe::new(0);
        probe.end_calm();
        for n in 0..3 * UNANSWERED_AT_MOST as u64 {
            assert!(probe.on_due(n * 100 * MS, n).is_some());
        }
        assert_eq!((probe.unanswered(), probe.age_ns(300_000 * MS)), (UNANSWERED_AT_MOST, 0));
        assert!(!probe.is_answered());
    }
}
