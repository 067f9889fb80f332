//! What an exchange saw of its clients, as the report tells it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed, mpsc::Receiver},
    time::Duration,
};

use tickstorm_load::Histogram;
use tickstorm_market::{Kind, Listing};
use tickstorm_net::{
    Front,
    observe::{self, Finding},
};
use tickstorm_report::{
    Backlog, Basis, BookGrade, Client, Ended, LeftOut, OfKind, Place, Process, Served as Section, Summary,
    Traffic, format,
};
use tickstorm_venue::publisher::Publishing;

use crate::ClientFigures;

use super::{
    client::{Cause, End},
    desk::Asks,
    floor::{Past, Reader},
    gauge::Ages,
    outlet::Outcome,
    spec::ServeSpec,
};

/// What there is to gather when the run is over.
pub(crate) struct Served {
    outcome: Receiver<Outcome>,
    counts: Arc<Asks>,
    board: Board,
    listing: Listing,
    spec: ServeSpec,
    address: SocketAddr,
    /// Open until the report is made.
    front: Option<Front>,
}

impl Served {
    pub(super) fn new(
        outcome: Receiver<Outcome>,
        (counts, board): (Arc<Asks>, Board),
        listing: Listing,
        spec: &ServeSpec,
        address: SocketAddr,
    ) -> Self {
        Self { outcome, counts, board, listing, spec: spec.clone(), address, front: None }
    }

    /// Keeps the doors open until the end.
    pub(super) fn behind(mut self, front: Front) -> Self {
        self.front = Some(front);
        self
    }

    /// Everybody who is connected now, as of some tenth of a second ago.
    pub(crate) fn clients(&self) -> Arc<[ClientFigures]> {
        self.board.read()
    }

    /// Closes the doors, and tells what was seen; an engine that panicked has left nothing.
    pub(crate) fn gather(mut self, measured: Duration) -> Section {
        let turned_away = self.front.as_ref().map_or(0, Front::turned_away);
        if let Some(front) = self.front.take() {
            front.stop();
        }
        let outcome = self.outcome.try_recv().unwrap_or_default();
        let seconds = measured.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let past = &outcome.past;
        Section {
            address: self.address.to_string(),
            cadence: match self.spec.cadence {
                Publishing::Venue => "venue".into(),
                Publishing::Realtime => "realtime".into(),
            },
            slow_client: self.spec.slow_client.to_string(),
            client_queue_bytes: self.spec.client_queue as u64,
            market_messages: outcome.market_messages,
            market_rate: rate(outcome.market_messages),
            delivered: traffic(past.delivered, seconds),
            http_requests: self.counts.requests.load(Relaxed),
            http_refused: self.counts.refused.load(Relaxed),
            snapshot_requests: self.counts.snapshots.load(Relaxed),
            turned_away,
            clients: past.kept.iter().map(|past| client(past, &outcome, seconds)).collect(),
            clients_left_out: past.left_out,
            left_out: past.together.clone(),
            books: outcome
                .grades
                .results
                .iter()
                .map(|((client, symbol), result)| BookGrade {
                    client: client.clone(),
                    symbol: self.listing.instrument(*symbol).symbol.clone(),
                    posts: result.posts,
                    correct: result.correct,
                    wrong: result.wrong,
                    unknown: result.unknown,
                    staleness: summary(result.staleness.as_deref()),
                })
                .collect(),
        }
    }
}

/// Where the engine shows its clients to whoever looks at the run. Ten times a second, so that nobody waits for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<Arc<[ClientFigures]>>>);

impl Board {
    pub(super) fn show(&self, clients: Arc<[ClientFigures]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    fn read(&self) -> Arc<[ClientFigures]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn client(past: &Past, outcome: &Outcome, seconds: f64) -> Client {
    let Past { who, tally, seen, .. } = past;
    let at_s = |floor_ns: u64| (floor_ns as f64 - outcome.measured_from_ns as f64) / 1e9;
    let end = tally.end.as_ref().filter(|end| end.cause != Cause::RunEnded);
    Client {
        id: past.number,
        address: who.peer.to_string(),
        user_agent: who.user_agent.clone(),
        process: seen.pid.map(|pid| Process {
            pid,
            command: seen.command.clone(),
            cpu_seconds: seen.run_ns.map(|ns| ns as f64 / 1e9),
            memory_mb: seen.resident_bytes.map(|bytes| bytes as f64 / 1e6),
        }),
        venue: past.venue.to_string(),
        tls: who.is_tls,
        connected_s: at_s(tally.came_ns),
        ended: end.map(|End { at_ns, cause, code, text }| Ended {
            at_s: at_s(*at_ns),
            cause: cause.name().into(),
            code: *code,
            text: text.clone(),
        }),
        subscriptions: tally.most_subscriptions as u64,
        resubscriptions: tally.resubscriptions,
        requests: tally.requests,
        refused: tally.refused,
        owed: tally.owed,
        delivered: tally.delivered,
        folded: tally.folded,
        dropped: tally.dropped,
        lost: tally.lost,
        kinds: Kind::ALL
            .iter()
            .zip(&tally.by_kind)
            .filter(|(_, placed)| placed.messages > 0)
            .map(|(kind, placed)| OfKind {
                kind: kind.name().into(),
                messages: placed.messages,
                frames: placed.frames,
            })
            .collect(),
        traffic: traffic([tally.delivered + tally.folded, tally.frames, tally.bytes], seconds),
        lag: past.lag.clone(),
        ping: past.round_trips.clone(),
        missed_pongs: tally.missed_pongs,
        worst: seen_from_outside(&past.worst),
        last: last(past),
    }
}

fn last(past: &Past) -> Backlog {
    let stayed = past.tally.end.as_ref().is_none_or(|end| end.cause == Cause::RunEnded);
    match &past.seen.finding {
        Some(finding) if stayed => found_in_silence(finding, past),
        // Who left before the end was last seen from outside.
        _ => seen_from_outside(&past.last),
    }
}

/// How far behind a client is known to have been, at its worst or at the end.
pub(super) fn age_ns(past: &Past) -> u64 {
    let last_ns = last(past).age_ms.map_or(0, |age_ms| (age_ms * 1e6) as u64);
    past.worst.known_ns().max(last_ns)
}

/// Adds a client to those that are not told of one by one.
pub(super) fn leave_out(together: &mut Option<LeftOut>, past: &Past) {
    let together = together.get_or_insert(LeftOut {
        owed_something: 0,
        owed: 0,
        cut_off: 0,
        worst_age_ms: None,
        last_age_ms: None,
        last_basis: Basis::Exact,
    });
    together.cut_off += u64::from(past.tally.was_cut_off());
    if past.tally.owed == 0 {
        return;
    }
    together.owed_something += 1;
    together.owed += past.tally.owed;
    let last = last(past);
    let older = |one: Option<f64>, other: Option<f64>| one.into_iter().chain(other).reduce(f64::max);
    together.worst_age_ms = older(together.worst_age_ms, Some(past.worst.known_ns() as f64 / 1e6));
    together.last_age_ms = older(together.last_age_ms, last.age_ms);
    if last.basis != Basis::Exact {
        together.last_basis = if together.last_age_ms.is_some() { Basis::LowerBound } else { Basis::Unknown };
    }
}

fn traffic([events, frames, bytes]: [u64; 3], seconds: f64) -> Traffic {
    let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    Traffic {
        events,
        frames,
        bytes,
        events_per_s: rate(events),
        frames_per_s: rate(frames),
        bytes_per_s: rate(bytes),
    }
}

fn summary(histogram: Option<&Histogram>) -> Summary {
    histogram.map(Summary::from).unwrap_or_default()
}

/// While the feed runs: what the client has read, and not worked off, cannot be seen.
fn seen_from_outside(ages: &Ages) -> Backlog {
    let place = ages.place().map(place);
    let age = format::duration_ms(ages.known_ns() as f64 / 1e6);
    let text = match place {
        Some(place) => format!("at least {age} behind, {}", whereabouts(place)),
        None => "nothing was seen to wait up to the read".into(),
    };
    Backlog {
        age_ms: Some(ages.known_ns() as f64 / 1e6),
        basis: Basis::LowerBound,
        place,
        text,
        resolution_ms: None,
        ..places(ages)
    }
}

/// In the silence after the feed: when the client rests it has worked off everything.
fn found_in_silence(finding: &Finding, past: &Past) -> Backlog {
    let ages = &past.last;
    let place = match past.reader {
        Some(Reader::Behind { age_ns }) if finding.basis == observe::Basis::Exact => {
            return stuck(finding, age_ns, ages);
        }
        Some(Reader::Passed { at_ns }) => finding.place_with_reader(at_ns),
        _ => finding.place,
    };
    let place = place.map(self::place);
    let basis = match finding.basis {
        observe::Basis::Exact => Basis::Exact,
        observe::Basis::LowerBound => Basis::LowerBound,
        observe::Basis::Unknown => Basis::Unknown,
    };
    let age_ms = finding.age_ns.map(|ns| ns as f64 / 1e6);
    let age = age_ms.map(format::duration_ms).unwrap_or_default();
    let because = finding.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let text = match (basis, place) {
        (Basis::Unknown, _) => match ages.place() {
            None => format!("unknown{because}; up to the read nothing was waiting"),
            Some(_) => format!(
                "unknown{because}; up to the read it was {} behind",
                format::duration_ms(ages.known_ns() as f64 / 1e6)
            ),
        },
        (Basis::Exact, None) => "kept up".into(),
        (Basis::Exact, Some(place)) => {
            let is_coarse = finding.resolution_ns > finding.age_ns.unwrap_or(0) / 20;
            let within = format::duration_ms(finding.resolution_ns as f64 / 1e6);
            let within = if is_coarse { format!(", give or take {within}") } else { String::new() };
            format!("{age} behind{within}, {}", whereabouts(place))
        }
        (Basis::LowerBound, None) => format!("at least {age} behind{because}"),
        (Basis::LowerBound, Some(place)) => format!("at least {age} behind, {}{because}", whereabouts(place)),
    };
    let resolution_ms = (basis == Basis::Exact).then_some(finding.resolution_ns as f64 / 1e6);
    Backlog { age_ms, basis, place, text, resolution_ms, ..places(ages) }
}

/// A client that rests and has still not answered a ping, as it did before, does not rest because it has finished.
fn stuck(finding: &Finding, unanswered_ns: u64, ages: &Ages) -> Backlog {
    let age_ms = finding.age_ns.unwrap_or(0).max(unanswered_ns) as f64 / 1e6;
    let age = format::duration_ms(age_ms);
    Backlog {
        age_ms: Some(age_ms),
        basis: Basis::LowerBound,
        place: Some(Place::ClientReader),
        text: format!(
            "at least {age} behind, {}: it rests, but has not answered the last ping",
            whereabouts(Place::ClientReader)
        ),
        resolution_ms: None,
        ..places(ages)
    }
}

fn places(ages: &Ages) -> Backlog {
    let ms = |ns: u64| ns as f64 / 1e6;
    Backlog {
        age_ms: None,
        basis: Basis::Unknown,
        place: None,
        text: String::new(),
        resolution_ms: None,
        our_queue_ms: ms(ages.our_queue_ns),
        our_kernel_ms: ages.our_kernel_ns.map(ms),
        unread_ms: ages.unread_ns.map(ms),
        unanswered_ms: ms(ages.unanswered_ns),
        our_queue_bytes: ages.queued,
        our_kernel_bytes: ages.unacknowledged,
        unread_bytes: ages.unread,
    }
}

pub(super) const fn place(place: observe::Place) -> Place {
    match place {
        observe::Place::OurQueue => Place::OurQueue,
        observe::Place::OurKernel => Place::OurKernel,
        observe::Place::ClientKernel => Place::ClientKernel,
        observe::Place::ClientReader => Place::ClientReader,
        observe::Place::ClientProcess => Place::ClientProcess,
    }
}

/// Said to the owner of the client.
const fn whereabouts(place: Place) -> &'static str {
    match place {
        Place::OurQueue => "in tickstorm's queue, because your process reads too slowly",
        Place::OurKernel => "on the way to your process, which reads too slowly",
        Place::ClientKernel => "in your process's receive buffer, before the read",
        Place::ClientReader => "in your process's socket reader, read but not yet told apart",
        Place::ClientProcess => "in your process, after the read",
    }
}
