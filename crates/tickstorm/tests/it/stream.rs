use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;
use tickstorm::{LoadGenerator, LoadProfile, Message, Plan, Target, WebSocketMessageGenerator, Workers};
use tickstorm_load::Slot;
use tickstorm_market::ShardMarket;
use tickstorm_venue::{Encoder, Numbering};

use crate::{call::Inbox, frozen};

#[test]
fn a_seed_gives_the_same_messages_for_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(frozen::FOLDER);
    for (name, text) in frozen::files().unwrap() {
        let frozen = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert_eq!(text, frozen, "{name}: if this is on purpose: cargo xtask fingerprints");
    }
}

#[test]
fn messages_may_be_written_into_a_buffer() {
    let mut written = Vec::new();
    let mut stream = WebSocketMessageGenerator::new(7);
    for message in WebSocketMessageGenerator::new(7).take(1000) {
        written.clear();
        assert_eq!(stream.write_next(&mut written), Some(message.due));
        assert_eq!(written, message.bytes);
    }
}

#[test]
fn the_market_s_own_messages_are_all_of_them() {
    let mut stream = WebSocketMessageGenerator::new(7);
    let mut sequences = BTreeMap::new();
    for message in stream.market_messages().take(1000) {
        let last = sequences.insert(message.symbol, message.sequence).unwrap_or(0);
        assert_eq!(message.sequence, last + 1, "{message:?}");
    }
}

#[test]
fn the_messages_are_the_same_however_many_share_the_work() {
    let plan = frozen::volatile(1).unwrap();
    let whole =
        |messages: &mut dyn Iterator<Item = (Duration, Bytes)>| frozen::fingerprint(messages.take(200_000));
    let alone =
        whole(&mut WebSocketMessageGenerator::of_plan(&plan).map(|message| (message.due, message.bytes)));
    assert_eq!(alone.0, 200_000);
    for owners in [1, 2, 7] {
        let mut messages: Vec<_> =
            (0..owners).flat_map(|owner| part(&plan, owner, owners, 220_000)).collect();
        // The parts merge by due time and shard; within a shard they are in order already.
        messages.sort_by_key(|&(slot, _)| slot);
        let mut messages =
            messages.into_iter().map(|(slot, bytes)| (Duration::from_nanos(slot.due_ns()), bytes));
        assert_eq!(whole(&mut messages), alone, "{owners} owners");
    }
}

/// The messages of an owner's shards among the first `until` of the plan, or some more.
fn part(plan: &Plan, owner: u16, owners: u16, until: usize) -> Vec<(Slot, Bytes)> {
    let mut end_ns = 0;
    let mut seen = Vec::new();
    let mut all = plan.schedule().clock(|_| true);
    while seen.len() < until {
        end_ns = all.next_cell(&mut seen).unwrap();
    }
    let market = plan.market();
    let mut encoder = Encoder::new(plan.spec().venue, &market.listing, plan.spec().start_unix_ns.unwrap());
    let mut clock = plan.schedule().clock(|shard| shard % owners == owner);
    let mut shards: BTreeMap<u16, ShardMarket> = BTreeMap::new();
    let (mut slots, mut messages) = (Vec::new(), Vec::new());
    while clock.next_cell(&mut slots).is_some_and(|until_ns| until_ns <= end_ns) {}
    for slot in slots {
        assert_eq!(slot.shard() % owners, owner);
        let shard = shards.entry(slot.shard()).or_insert_with(|| {
            let shard = ShardMarket::new(market, slot.shard()).unwrap();
            shard.snapshots().iter().for_each(|book| encoder.seed(book));
            shard
        });
        let mut bytes = Vec::new();
        while !encoder.encode(shard.next(slot.due_ns()), &mut Numbering::default(), &mut bytes) {}
        messages.push((slot, Bytes::from(bytes)));
    }
    messages
}

#[test]
fn a_seed_is_a_stream_of_its_own() {
    let bytes = |seed: u64| -> Vec<Bytes> {
        WebSocketMessageGenerator::new(seed).take(2000).map(|message| message.bytes).collect()
    };
    assert_eq!(bytes(7), bytes(7));
    let (one, other) = (bytes(7), bytes(8));
    let alike = one.iter().zip(&other).filter(|(one, other)| one == other).count();
    assert!(alike < 20, "{alike} of 2000 messages of two seeds are alike");
}

#[test]
fn a_symbols_messages_are_numbered_without_gaps_and_due_in_order() {
    let mut numbers = BTreeMap::new();
    let mut due = Duration::ZERO;
    for message in WebSocketMessageGenerator::with_symbols(3, 20).take(20_000) {
        let number = numbers.entry(message.symbol.clone()).or_insert(0);
        *number += 1;
        assert_eq!(message.sequence, *number, "{}", message.symbol);
        assert!(message.due >= due);
        due = message.due;
    }
    assert_eq!(numbers.len(), 20);
}

#[test]
fn a_number_of_symbols_out_of_range_is_brought_inside() {
    let mut one = WebSocketMessageGenerator::with_symbols(1, 0);
    let first = one.next().unwrap().symbol;
    assert!(one.take(1000).all(|message| message.symbol == first));
    assert!(WebSocketMessageGenerator::with_symbols(1, u32::MAX).next().is_some());
}

#[test]
fn a_stream_of_a_plan_ends_with_it() {
    let generator = WebSocketMessageGenerator::of_plan(&plan(LoadProfile::SPIKE));
    assert_eq!(generator.count() as u64, plan(LoadProfile::SPIKE).schedule().total());
}

fn plan(profile: LoadProfile) -> Plan {
    let spec = tickstorm::Spec {
        seed: SEED,
        profile,
        multiplier: "20".parse().unwrap(),
        duration: Some(LENGTH),
        ..tickstorm::Spec::default()
    };
    Plan::new(&spec, &Target::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_sends_the_messages_of_its_plan_whatever_the_number_of_workers() {
    for profile in [LoadProfile::NORMAL, LoadProfile::VOLATILE] {
        let mut of_plan: Vec<Message> = WebSocketMessageGenerator::of_plan(&plan(profile.clone())).collect();
        of_plan.sort_by_key(|message| (message.symbol.clone(), message.sequence));
        for workers in [1, 2, 7] {
            let inbox = Inbox::default();
            let generator = LoadGenerator::builder()
                .target(inbox.target())
                .seed(SEED)
                .configure(|spec| spec.workers = Workers::Count(workers))
                .build()
                .unwrap();
            let report = generator.run_load_test(LENGTH, 20.0, profile.clone()).await.unwrap();
            assert_eq!(report.plan.workers, workers);
            let mut received = inbox.take();
            received.sort_by_key(|message| (message.symbol.clone(), message.sequence));
            assert!(received == of_plan, "{profile}, {workers} workers: other messages than the plan's");
        }
    }
}

const SEED: u64 = 11;
const LENGTH: Duration = Duration::from_millis(300);
