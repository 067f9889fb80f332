//! What the clock asks of the exchange: signs of life, looks at the clients, and the end.

use std::sync::Arc;

use tickstorm_net::{
    Carrier,
    frame::{Incoming, Opcode},
    observe::{PingProbe, Queues},
};
use tickstorm_venue::{
    closing::{Heartbeat, Leave},
    protocol::{Endpoint, Reply},
};

use crate::ClientFigures;

use super::{
    client::{Cause, Client, Source, Stage},
    floor::Floor,
    gauge::{Ages, Gallery},
    results::place,
    spec::PingProbes,
};

impl<T: Carrier> Floor<T> {
    /// Does what is due by the clock, and tells whether that was something.
    pub(super) fn tick(&mut self, gallery: &mut Gallery, now_ns: u64) -> bool {
        for key in std::mem::take(&mut self.subscribers_new) {
            gallery.has_subscribed(key);
        }
        if now_ns < self.next_tick_ns {
            return false;
        }
        self.next_tick_ns = now_ns + TICK_NS;
        let keys: Vec<usize> = self.keys().collect();
        for &key in &keys {
            self.keep_alive(key, now_ns);
            self.probe(key, now_ns);
        }
        self.flush(now_ns);
        // A look at a connection takes some microseconds, so that of very many each has its turn.
        let first = self.looked_at.min(keys.len());
        let turn = keys[first..].iter().chain(&keys[..first]).take(LOOKS_A_TICK);
        for &key in turn.clone() {
            self.look_at(key, gallery, now_ns);
        }
        self.looked_at = if keys.len() <= LOOKS_A_TICK { 0 } else { (first + LOOKS_A_TICK) % keys.len() };
        true
    }

    /// The clients as they were last looked at.
    pub(super) fn figures(&self) -> Arc<[ClientFigures]> {
        let clients = self.keys().filter_map(|key| self.client(key));
        let figures = clients.map(|client| ClientFigures {
            number: client.number,
            venue: client.venue,
            age_ns: client.ages.known_ns(),
            place: client.ages.place().map(place),
        });
        figures.collect()
    }

    /// Floor time at which the clock asks for something next.
    pub(super) fn next_timer_ns(&self) -> u64 {
        self.next_window_ns().unwrap_or(u64::MAX).min(self.next_tick_ns)
    }

    fn keep_alive(&mut self, key: usize, now_ns: u64) {
        let starts_ns = self.time.run_starts_ns.unwrap_or(u64::MAX);
        let Some(client) = self.client_mut(key) else { return };
        if let Stage::Leaving { until_ns } = client.stage {
            if now_ns >= until_ns {
                self.end(key, Cause::Vanished, None, "no answer to the close frame", now_ns);
            }
            return;
        }
        let (venue, rules) = (client.venue, client.venue.keep_alive());
        let keep = client.keep;
        let idle_close_ns = match client.endpoint {
            Endpoint::Private => rules.private_idle_close_ns.or(rules.idle_close_ns),
            Endpoint::Public => rules.idle_close_ns,
        };
        // While the market stands still there is nothing to tell a subscriber, whom no venue leaves without a word.
        let told_ns = if client.held.is_empty() { 0 } else { starts_ns.min(now_ns) };
        let silent_since_ns = match (client.endpoint, rules.private_idle_close_ns) {
            (Endpoint::Private, Some(_)) => keep.heard_ns,
            _ => keep.heard_ns.max(keep.said_ns).max(told_ns),
        };
        let first_request_ns = rules.first_request_within_ns.filter(|_| client.tally.requests == 0);
        let cause = if keep.pong_by_ns.is_some_and(|by_ns| now_ns >= by_ns) {
            client.tally.missed_pongs += 1;
            Some(Leave::NoPong)
        } else if idle_close_ns.is_some_and(|idle_ns| now_ns >= silent_since_ns + idle_ns) {
            Some(Leave::Idle)
        } else if first_request_ns.is_some_and(|within_ns| now_ns >= client.tally.came_ns + within_ns) {
            Some(Leave::LoginTimeout)
        } else if rules.life_ns.is_some_and(|life_ns| now_ns >= client.tally.came_ns + life_ns) {
            Some(Leave::Shutdown)
        } else {
            None
        };
        if let Some(cause) = cause {
            return self.leave(key, Cause::Silent, venue.closing(cause), now_ns);
        }
        let (has_topics, keep) = (!client.held.is_empty(), &mut client.keep);
        if let (Some(ping_ns), Some(within_ns)) = (rules.server_ping_ns, rules.pong_within_ns)
            && now_ns >= *keep.ping_due_ns.get_or_insert(now_ns + ping_ns)
        {
            keep.ping_due_ns = Some(now_ns + ping_ns);
            keep.pong_by_ns.get_or_insert(now_ns + within_ns);
            let frame = self.turn_mut().control(Opcode::Ping, VENUE_PING);
            self.send(key, frame, now_ns);
        }
        let Some(client) = self.client_mut(key) else { return };
        let wants_heartbeats = client.held.iter().any(|held| held.source == Source::Clock);
        let keep = &mut client.keep;
        let is_due = match rules.heartbeat {
            Heartbeat::None => false,
            Heartbeat::WhenSilent { after_ns } => has_topics && now_ns >= keep.said_ns + after_ns,
            Heartbeat::Channel { every_ns } => {
                let is_due = wants_heartbeats && now_ns >= keep.heartbeat_due_ns;
                if is_due {
                    keep.heartbeat_due_ns = now_ns + every_ns;
                }
                is_due
            }
        };
        if is_due {
            let count = keep.heartbeats;
            keep.heartbeats += 1;
            self.reply(key, &Reply::Heartbeat { count }, now_ns);
        }
    }

    /// Learns how far behind a client is.
    fn look_at(&mut self, key: usize, gallery: &mut Gallery, now_ns: u64) {
        let is_measured = self.is_measuring();
        let Some(client) = self.client_mut(key) else { return };
        if let Some(gauges) = gallery.gauges(key) {
            gauges.set_our_queue(client.link.queued() as u64);
        }
        if client.held.is_empty() && client.tally.owed == 0 {
            return;
        }
        let ages = client.ages(&gallery.queues(client.who.local, client.who.peer), now_ns);
        client.ages = ages;
        if is_measured && ages.known_ns() > client.worst.known_ns() {
            client.worst = ages;
        }
    }

    /// Learns how far behind everybody is.
    pub(super) fn look_at_all(&mut self, gallery: &mut Gallery, now_ns: u64) {
        for key in self.keys().collect::<Vec<_>>() {
            self.look_at(key, gallery, now_ns);
        }
    }

    /// A ping behind the data, whatever was answered so far.
    fn probe(&mut self, key: usize, now_ns: u64) {
        if self.spec.pings == PingProbes::Off {
            return;
        }
        let is_feeding = self.time.run_starts_ns.is_some_and(|starts_ns| now_ns >= starts_ns);
        let Some(client) = self.client_mut(key) else { return };
        if client.stage != Stage::Open
            || !client.held.iter().any(|held| matches!(held.source, Source::Stream(_)))
        {
            return;
        }
        let told = client.link.told();
        let probe = client.probe.get_or_insert_with(|| Box::new(PingProbe::new(now_ns)));
        if is_feeding {
            probe.end_calm();
        }
        if let Some(payload) = probe.on_due(now_ns, told) {
            let frame = self.turn_mut().control(Opcode::Ping, &payload);
            self.send(key, frame, now_ns);
        }
    }

    /// Behind the last message each client gets a last ping, which tells when its reader has passed that.
    pub(super) fn probe_the_end(&mut self, now_ns: u64) {
        for key in self.keys().collect::<Vec<_>>() {
            let Some(client) = self.client_mut(key).filter(|client| client.stage == Stage::Open) else {
                continue;
            };
            let told = client.link.told();
            if let Some(payload) = client.probe.as_mut().map(|probe| probe.ping(now_ns, told)) {
                let frame = self.turn_mut().control(Opcode::Ping, &payload);
                self.send(key, frame, now_ns);
            }
        }
    }

    /// Tells the observer what still waits here.
    pub(super) fn gauge_queues(&self, gallery: &Gallery) {
        for key in self.keys() {
            if let (Some(client), Some(gauges)) = (self.client(key), gallery.gauges(key)) {
                gauges.set_our_queue(client.link.queued() as u64);
            }
        }
    }

    /// Whether nothing waits here for any client.
    pub(super) fn is_drained(&self) -> bool {
        self.keys().all(|key| {
            self.client(key).is_none_or(|client| client.link.queued() == 0 || client.stage != Stage::Open)
        })
    }

    /// The same as hearing, but nothing is said in answer: only the end of a connection is taken note of.
    pub(super) fn hear_silently(&mut self, key: usize, now_ns: u64) {
        let mut pongs: Vec<Vec<u8>> = Vec::new();
        let mut closed = None;
        let Some(client) = self.client_mut(key) else { return };
        let heard = client.link.read(|incoming| match incoming {
            Incoming::Pong(payload) => pongs.push(payload.to_vec()),
            Incoming::Close(reason) => closed = Some(reason),
            Incoming::Message(_) | Incoming::Ping(_) => {}
        });
        if let Some(probe) = &mut client.probe {
            for payload in &pongs {
                probe.on_pong(payload, now_ns);
            }
        }
        match (closed, heard) {
            (Some(reason), _) => self.end(key, Cause::ClosedByClient, reason.code, &reason.text, now_ns),
            (None, Err(silence)) => self.end(key, Cause::Vanished, None, &silence.to_string(), now_ns),
            (None, Ok(_)) => {}
        }
    }

    /// The run is over: the venue's announcement, where it has one, and its close frame, behind what waits.
    pub(super) fn say_goodbye(&mut self, key: usize, now_ns: u64) {
        let Some(client) = self.client_mut(key).filter(|client| client.stage == Stage::Open) else { return };
        let closing = client.venue.closing(Leave::Shutdown);
        self.reply(key, &Reply::ClosingSoon, now_ns);
        self.leave(key, Cause::RunEnded, closing, now_ns);
    }
}

impl<T: Carrier> Client<T> {
    /// How old the oldest message is in each place.
    fn ages(&mut self, queues: &Queues, now_ns: u64) -> Ages {
        let link = &mut self.link;
        let age_ns = |due_ns: Option<u64>| due_ns.map_or(0, |due_ns| now_ns.saturating_sub(due_ns));
        let unacknowledged = queues.our_kernel;
        let unread = queues.peer.map(|peer| u64::from(peer.receive_queue));
        let arrived = unacknowledged.map(|bytes| link.place_before(bytes));
        let read =
            unacknowledged.zip(unread).map(|(on_the_way, there)| link.place_before(on_the_way + there));
        let oldest = [link.oldest_due_queued(), self.folds.oldest_due_ns()].into_iter().flatten().min();
        let ages = Ages {
            our_queue_ns: age_ns(oldest),
            our_kernel_ns: arrived.map(|place| age_ns(link.oldest_due_beyond(place))),
            unread_ns: read.map(|place| age_ns(link.oldest_due_beyond(place))),
            unanswered_ns: self.probe.as_ref().map_or(0, |probe| probe.age_ns(now_ns)),
            queued: link.queued() as u64,
            unacknowledged,
            unread,
        };
        if let Some(place) = read.or(arrived) {
            link.forget(place);
        }
        ages
    }
}

/// How often clients are looked at.
const TICK_NS: u64 = 100_000_000;

/// Connections that are looked at in a tick; more have their turn in the next ones.
const LOOKS_A_TICK: usize = 128;

/// What the venue's own pings carry, to tell their pongs from those of the probes.
pub(super) const VENUE_PING: &[u8] = b"tick";
