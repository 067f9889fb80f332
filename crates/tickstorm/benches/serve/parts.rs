//! What a message of the market costs, part by part, up to the sockets: nanoseconds of the fastest of many short rounds,
//! which other programs disturb least.

use std::{
    hint::black_box,
    io::{self, Read, Write},
    time::Instant,
};

use tickstorm::Venue;
use tickstorm_market::{Kind, Message, ShardMarket};
use tickstorm_net::{Carrier, Link, Scratch, Turn};
use tickstorm_venue::{
    Publisher, VenueOptions,
    protocol::{Channel, Topic},
    publisher::{Frame, Publishing},
};

use super::{Extent, row, storm};

/// A kernel that takes everything at once.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier for Nowhere {}

impl Read for Nowhere {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

pub(crate) fn rows(venue: Venue, extent: Extent) {
    let (rounds, length) = if extent == Extent::Full { (60, 10_000) } else { (2, 500) };
    let plan = storm(venue, (rounds * length) as u64, 1).plan();
    let market = plan.market();
    let mut shards: Vec<ShardMarket> = (0..market.shards)
        .map(|shard| ShardMarket::new(market, shard).expect("every shard has symbols"))
        .collect();
    let books: Vec<_> = shards.iter().flat_map(ShardMarket::snapshots).collect();
    let mut publisher = Publisher::new(
        venue,
        &market.listing,
        plan.start_unix_ns(),
        Publishing::Realtime,
        &VenueOptions::default(),
    );
    let depth = venue.rules().default_depth;
    for listed in market.listing.instruments.iter() {
        for channel in [Channel::Book { depth }, Channel::Trades] {
            let topic = Topic { channel, symbol: Some(listed.id), name: String::new() };
            let mut book = |symbol| books.iter().find(|book| book.symbol == symbol).cloned();
            publisher.open(&topic, &mut book).expect("the venue publishes it");
        }
    }
    let mut slots = Vec::new();
    let mut clock = plan.schedule().clock(|_| true);
    while clock.next_cell(&mut slots).is_some() {}

    // One stream of messages for all, so that each part sees what the one before it made.
    let mut costs = [f64::INFINITY; 4];
    let mut share: f64 = 0.0;
    for slots in slots.chunks_exact(length) {
        let mut messages: Vec<Message> = Vec::with_capacity(length);
        costs[0] = costs[0].min(ns(slots.len(), || {
            messages.extend(slots.iter().map(|slot| *shards[usize::from(slot.shard())].next(slot.due_ns())));
        }));
        let told = messages.iter().filter(|message| matches!(message.body.kind(), Kind::Book | Kind::Trade));
        share = share.max(told.count() as f64 / messages.len() as f64);
        // Each has a publisher as it was before, that they tell the same.
        for (cost, subscribers) in costs[1..].iter_mut().zip([0, 1, 50]) {
            let mut publisher = publisher.clone();
            let mut turn = Turn::new();
            let mut scratch = Scratch::default();
            let mut links: Vec<Link<Nowhere>> =
                (0..subscribers).map(|_| Link::new(Nowhere, &[], 1024)).collect();
            *cost = cost.min(ns(messages.len(), || {
                for message in &messages {
                    publisher.push(black_box(message), &mut |frame: Frame<'_>| {
                        if links.is_empty() {
                            black_box(frame.bytes);
                            return;
                        }
                        let range = turn.text(frame.bytes);
                        for link in &mut links {
                            link.push(range.clone(), frame.due_ns, frame.messages);
                        }
                    });
                    if turn.len() >= TURN_BYTES {
                        let sealed = turn.seal();
                        for link in &mut links {
                            let taken = link.flush(&sealed, message.due_ns, &mut scratch, |mark| {
                                black_box(mark);
                            });
                            link.forget(u64::MAX);
                            black_box(taken.expect("nothing breaks nowhere"));
                        }
                        turn.reuse(sealed);
                    }
                }
            }));
        }
        messages.iter().for_each(|message| publisher.push(message, &mut |_: Frame<'_>| {}));
    }
    let [market, published, one, fifty] = costs;
    row(
        &format!("{venue}: a message of the market, {:.0} % of them told, before any socket", share * 100.0),
        &format!(
            "market {market:.0} ns, publisher {published:.0} ns, framed for 1 client {:.0} ns, for each of 50 \
             {:.1} ns",
            one - published,
            (fifty - published) / 50.0
        ),
        "",
    );
}

fn ns(items: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / items as f64
}

/// As the exchange flushes.
const TURN_BYTES: usize = 192 << 10;
