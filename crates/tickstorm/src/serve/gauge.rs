//! How far behind clients are, and where their backlog waits: looked at ten times a second while the feed runs, and
//! closely in the silence after it.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use tickstorm_net::observe::{Finding, Gauges, Observer, Place, Queues, SilenceLimits, SocketDiag, Watch};

/// What is known of a client's backlog at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ages {
    /// Of the oldest message in our queue.
    pub our_queue_ns: u64,
    /// Of the oldest message that our kernel has, or that is further back.
    pub our_kernel_ns: Option<u64>,
    /// Of the oldest message that the client has not read from its kernel, or that is further back.
    pub unread_ns: Option<u64>,
    /// At least so old is the oldest message that the client's reader has not passed.
    pub unanswered_ns: u64,
    /// Bytes in each of the first three places.
    pub queued: u64,
    pub unacknowledged: Option<u64>,
    pub unread: Option<u64>,
}

impl Ages {
    /// The largest age that is certain.
    pub(super) fn known_ns(&self) -> u64 {
        let kernels = self.our_kernel_ns.unwrap_or(0).max(self.unread_ns.unwrap_or(0));
        self.our_queue_ns.max(kernels).max(self.unanswered_ns)
    }

    /// Where most of it waits; none if nothing waits for long.
    pub(super) fn place(&self) -> Option<Place> {
        let our_queue_ns = self.our_queue_ns;
        let our_kernel_ns = self.our_kernel_ns.unwrap_or(our_queue_ns).max(our_queue_ns);
        let unread_ns = self.unread_ns.unwrap_or(our_kernel_ns).max(our_kernel_ns);
        let spans = [
            (Place::OurQueue, our_queue_ns),
            (Place::OurKernel, our_kernel_ns - our_queue_ns),
            (Place::ClientKernel, unread_ns - our_kernel_ns),
            (Place::ClientReader, self.unanswered_ns.saturating_sub(unread_ns)),
        ];
        let (place, span_ns) = spans.into_iter().max_by_key(|&(_, span_ns)| span_ns)?;
        (span_ns > NOT_WORTH_A_WORD_NS).then_some(place)
    }
}

/// What was seen of a client from outside its connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub pid: Option<u32>,
    pub command: Option<String>,
    pub run_ns: Option<u64>,
    pub resident_bytes: Option<u64>,
    pub finding: Option<Finding>,
}

/// Everybody that is looked at, by key.
pub(super) struct Gallery {
    observer: Option<Observer>,
    /// Asks both kernels about a connection.
    diag: Option<SocketDiag>,
    watches: BTreeMap<usize, Watch>,
    is_feeding: bool,
}

impl Gallery {
    /// Without an observer, because the system gave no thread for it, nothing is seen.
    pub(super) fn new(observer: Option<Observer>) -> Self {
        Self { observer, diag: SocketDiag::new().ok(), watches: BTreeMap::new(), is_feeding: false }
    }

    /// Nothing is seen at all.
    #[cfg(test)]
    pub(super) fn blind() -> Self {
        Self { observer: None, diag: None, watches: BTreeMap::new(), is_feeding: false }
    }

    pub(super) fn enter(&mut self, key: usize, local: SocketAddr, peer: SocketAddr) {
        if let Some(observer) = &self.observer {
            self.watches.insert(key, observer.watch(local, peer));
        }
    }

    /// The client has subscribed: until the feed begins, what it does is its idling.
    pub(super) fn has_subscribed(&mut self, key: usize) {
        if let Some(watch) = self.watches.get(&key).filter(|_| !self.is_feeding) {
            watch.calm_begins();
        }
    }

    /// Whether somebody does this and that without a feed.
    pub(super) fn is_restless(&self) -> bool {
        self.watches.values().any(|watch| watch.gauges().is_restless())
    }

    pub(super) fn feed_begins(&mut self) {
        self.is_feeding = true;
        self.watches.values().for_each(Watch::calm_ends);
    }

    /// The connection is over: what was seen of its client.
    pub(super) fn exit(&mut self, key: usize) -> Seen {
        self.watches.remove(&key).map(|watch| seen(watch.gauges())).unwrap_or_default()
    }

    /// What waits in both kernels now; some microseconds.
    pub(super) fn queues(&mut self, local: SocketAddr, peer: SocketAddr) -> Queues {
        self.diag.as_mut().map(|diag| diag.queues(local, peer)).unwrap_or_default()
    }

    pub(super) fn gauges(&self, key: usize) -> Option<&Arc<Gauges>> {
        self.watches.get(&key).map(Watch::gauges)
    }

    pub(super) fn fall_silent(&mut self, stopped_ns: u64, limits: SilenceLimits) {
        self.watches.values().for_each(|watch| watch.stopped(stopped_ns, limits));
    }

    /// Whether there is nothing more to be found out in the silence.
    pub(super) fn is_certain(&self) -> bool {
        self.watches.values().all(|watch| watch.gauges().finding().is_some())
    }
}

fn seen(gauges: &Gauges) -> Seen {
    Seen {
        pid: gauges.pid(),
        command: gauges.name(),
        run_ns: gauges.run_ns(),
        resident_bytes: gauges.resident_bytes(),
        finding: gauges.finding(),
    }
}

/// What is on its way anyway.
const NOT_WORTH_A_WORD_NS: u64 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_backlog_waits_where_most_of_its_time_is_spent() {
        let nothing = Ages::default();
        assert_eq!((nothing.place(), nothing.known_ns()), (None, 0));
        let slow_reader = Ages {
            our_queue_ns: 100 * MS,
            our_kernel_ns: Some(150 * MS),
            unread_ns: Some(900 * MS),
            unanswered_ns: 890 * MS,
            ..nothing
        };
        assert_eq!((slow_reader.place(), slow_reader.known_ns()), (Some(Place::ClientKernel), 900 * MS));
        let far_behind = Ages { our_queue_ns: 5_000 * MS, our_kernel_ns: Some(5_100 * MS), ..slow_reader };
        assert_eq!(far_behind.place(), Some(Place::OurQueue));
        let remote = Ages { unread_ns: None, our_kernel_ns: Some(30 * MS), our_queue_ns: 0, ..slow_reader };
        assert_eq!((remote.place(), remote.known_ns()), (Some(Place::ClientReader), 890 * MS));
        let on_time = Ages { our_kernel_ns: Some(MS), unread_ns: Some(2 * MS), ..nothing };
        assert_eq!(on_time.place(), None);
    }
}
