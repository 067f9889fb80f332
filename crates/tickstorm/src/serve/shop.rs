//! One venue's part of the exchange: its streams, and who has subscribed to them.

use tickstorm_market::{Listing, Message};
use tickstorm_venue::{
    Protocol, Publisher, Rest, Venue,
    publisher::{Frame, StreamId},
};

use super::{client::Subscriber, conflate::Folder, spec::ServeSpec};

/// What a venue publishes, and for whom. Made when the venue's first client comes.
pub(super) struct Shop {
    pub publisher: Publisher,
    pub protocol: Protocol,
    pub rest: Rest,
    pub folder: Folder,
    /// By stream.
    subscribers: Vec<Vec<Subscriber>>,
}

impl Shop {
    pub(super) fn new(venue: Venue, listing: &Listing, start_unix_ns: i64, spec: &ServeSpec) -> Self {
        Self {
            publisher: Publisher::new(venue, listing, start_unix_ns, spec.cadence, &spec.options),
            protocol: Protocol::with_options(venue, listing, &spec.options),
            rest: Rest::with_options(venue, listing, &spec.options),
            folder: Folder::new(venue, listing),
            subscribers: Vec::new(),
        }
    }

    pub(super) fn subscribe(&mut self, stream: StreamId, subscriber: Subscriber) {
        let index = stream.0 as usize;
        if self.subscribers.len() <= index {
            self.subscribers.resize_with(index + 1, Vec::new);
        }
        self.subscribers[index].push(subscriber);
    }

    /// Closes the stream if that was its last subscriber.
    pub(super) fn unsubscribe(&mut self, stream: StreamId, key: usize) {
        let Some(subscribers) = self.subscribers.get_mut(stream.0 as usize) else { return };
        if let Some(index) = subscribers.iter().position(|subscriber| subscriber.key == key) {
            subscribers.remove(index);
            if subscribers.is_empty() {
                self.publisher.close(stream);
            }
        }
    }

    /// Closes a stream that nobody has subscribed to.
    pub(super) fn close_if_unheard(&mut self, stream: StreamId) {
        if self.subscribers.get(stream.0 as usize).is_none_or(Vec::is_empty) {
            self.publisher.close(stream);
        }
    }

    /// The name that a client's messages of a stream are wrapped with, if they are.
    pub(super) fn wrapping_of(&self, stream: StreamId, key: usize) -> Option<&str> {
        let subscribers = self.subscribers.get(stream.0 as usize)?;
        subscribers.iter().find(|subscriber| subscriber.key == key)?.wrapped.as_deref()
    }

    /// Has all subscriptions of a client take another form.
    pub(super) fn rename(&mut self, key: usize, name: impl Fn(StreamId) -> Option<std::sync::Arc<str>>) {
        for (index, subscribers) in self.subscribers.iter_mut().enumerate() {
            for subscriber in subscribers.iter_mut().filter(|subscriber| subscriber.key == key) {
                subscriber.wrapped = name(StreamId(index as u32));
            }
        }
    }

    /// Takes in the market's next message and hands over the frames that are due by then, with their subscribers.
    #[inline]
    pub(super) fn push(
        &mut self,
        message: &Message,
        mut deliver: impl FnMut(&mut Folder, &Frame<'_>, &[Subscriber]),
    ) {
        let Self { publisher, subscribers, folder, .. } = self;
        publisher.push(message, &mut |frame| {
            if let Some(subscribers) = subscribers.get(frame.stream.0 as usize) {
                deliver(folder, &frame, subscribers);
            }
        });
    }

    /// The same for all windows, those that would end later included.
    pub(super) fn close_all(
        &mut self,
        now_ns: u64,
        mut deliver: impl FnMut(&mut Folder, &Frame<'_>, &[Subscriber]),
    ) {
        let Self { publisher, subscribers, folder, .. } = self;
        publisher.close_all(now_ns, &mut |frame| {
            if let Some(subscribers) = subscribers.get(frame.stream.0 as usize) {
                deliver(folder, &frame, subscribers);
            }
        });
    }

    /// The same when it is so late, and nothing more will be due by then.
    pub(super) fn reach(
        &mut self,
        now_ns: u64,
        mut deliver: impl FnMut(&mut Folder, &Frame<'_>, &[Subscriber]),
    ) {
        let Self { publisher, subscribers, folder, .. } = self;
        publisher.reach(now_ns, &mut |frame| {
            if let Some(subscribers) = subscribers.get(frame.stream.0 as usize) {
                deliver(folder, &frame, subscribers);
            }
        });
    }
}
