//! What an exchange saw of its clients, as the report tells it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc::Receiver},
    time::Duration,
};

use tickstorm_load::Histogram;
use tickstorm_market::Listing;
use tickstorm_net::{
    Front,
    observe::{self, Finding},
};
use tickstorm_report::{
    Backlog, Basis, BookGrade, Client, Ended, Place, Process, Served as Section, Summary, Traffic, format,
};
use tickstorm_venue::publisher::Publishing;

use super::{
    client::{Cause, End},
    desk::Asks,
    floor::Past,
    gauge::Ages,
    outlet::Outcome,
    spec::ServeSpec,
};

/// What there is to gather when the run is over.
pub(crate) struct Served {
    outcome: Receiver<Outcome>,
    counts: Arc<Asks>,
    listing: Listing,
    spec: ServeSpec,
    address: SocketAddr,
    /// Open until the report is made.
    front: Option<Front>,
}

impl Served {
    pub(super) fn new(
        outcome: Receiver<Outcome>,
        counts: Arc<Asks>,
        listing: Listing,
        spec: &ServeSpec,
        address: SocketAddr,
    ) -> Self {
        Self { outcome, counts, listing, spec: spec.clone(), address, front: None }
    }

    /// Keeps the doors open until the end.
    pub(super) fn behind(mut self, front: Front) -> Self {
        self.front = Some(front);
        self
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
        traffic: traffic([tally.delivered + tally.folded, tally.frames, tally.bytes], seconds),
        lag: past.lag.clone(),
        ping: past.round_trips.clone(),
        missed_pongs: tally.missed_pongs,
        worst: seen_from_outside(&past.worst),
        last: match (&seen.finding, end) {
            // Who left before the end was last seen from outside.
            (Some(finding), None) => found_in_silence(finding, &past.last),
            _ => seen_from_outside(&past.last),
        },
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
        None => "nothing was seen to wait".into(),
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
fn found_in_silence(finding: &Finding, ages: &Ages) -> Backlog {
    let place = finding.place.map(place);
    let basis = match finding.basis {
        observe::Basis::Exact => Basis::Exact,
        observe::Basis::LowerBound => Basis::LowerBound,
        observe::Basis::Unknown => Basis::Unknown,
    };
    let age_ms = finding.age_ns.map(|ns| ns as f64 / 1e6);
    let age = age_ms.map(format::duration_ms).unwrap_or_default();
    let because = finding.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let text = match (basis, place) {
        (Basis::Unknown, _) => format!("unknown{because}"),
        (Basis::Exact, None) => "kept up".into(),
        (Basis::Exact, Some(place)) => format!("{age} behind, {}", whereabouts(place)),
        (Basis::LowerBound, None) => format!("at least {age} behind{because}"),
        (Basis::LowerBound, Some(place)) => format!("at least {age} behind, {}{because}", whereabouts(place)),
    };
    let resolution_ms = (basis == Basis::Exact).then_some(finding.resolution_ns as f64 / 1e6);
    Backlog { age_ms, basis, place, text, resolution_ms, ..places(ages) }
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

const fn place(place: observe::Place) -> Place {
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
        Place::OurQueue => "in tickstorm's queue: your process reads too slowly",
        Place::OurKernel => "on the way to your process, which reads too slowly",
        Place::ClientKernel => "in your process's receive buffer, before the read",
        Place::ClientReader => "in your process's socket reader",
        Place::ClientProcess => "in your process, after the read",
    }
}
