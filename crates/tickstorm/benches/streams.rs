//! How fast streams are made and checked, venue by venue, as one table: `cargo bench -p tickstorm --bench streams`. Under
//! the test runner (no `--bench`) everything runs once with tiny inputs.
//!
//! Nanoseconds are those of the best of many short rounds, which other programs disturb least.

#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use tickstorm::check::{CheckOptions, StreamExpectation, check};
use tickstorm::{Arrivals, Export, ExportFormat, Factor, Plan, Rate, Spec, Target, Venue};
use tickstorm_market::{Kind, Message, ShardMarket};
use tickstorm_venue::{Encoder, Numbering};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    rounds: usize,
    round: usize,
}

const FULL: Extent = Extent { rounds: 60, round: 20_000 };
const TINY: Extent = Extent { rounds: 2, round: 500 };

fn main() {
    let extent = if std::env::args().any(|argument| argument == "--bench") { FULL } else { TINY };
    // First, while the process has not held more memory than it needs.
    let many = [Venue::Kraken, Venue::Binance].map(|venue| many_symbols(venue, extent));
    println!("| what | measured | aim |\n|---|---|---|");
    for venue in Venue::ALL {
        depth_updates(venue, extent);
    }
    for venue in Venue::ALL {
        mix(&venue.to_string(), venue, ExportFormat::Jsonl, extent);
    }
    for format in [ExportFormat::MessagePack, ExportFormat::Protobuf, ExportFormat::Csv] {
        mix(format.name(), Venue::Binance, format, extent);
    }
    for venue in Venue::ALL {
        checking(&venue.to_string(), venue, ExportFormat::Jsonl, extent);
    }
    for format in [ExportFormat::MessagePack, ExportFormat::Protobuf, ExportFormat::Csv] {
        checking(format.name(), Venue::Binance, format, extent);
    }
    many.iter().flatten().for_each(|[what, measured, aim]| row(what, measured, aim));
}

fn row(what: &str, measured: &str, aim: &str) {
    println!("| {what} | {measured} | {aim} |");
}

fn plan(venue: Venue, symbols: u32, messages: usize) -> Plan {
    let spec = Spec {
        venue,
        symbols,
        base_rate: Rate::per_second(20_000).expect("it is a rate"),
        multiplier: Factor::ONE,
        arrivals: Some(Arrivals::BURSTY),
        duration: Some(Duration::from_secs_f64(messages as f64 / 20_000.0)),
        ..Spec::default()
    };
    Plan::new(&spec, &Target::default()).expect("the plan is an ordinary one")
}

/// The market's own share, then the encoder's over its book changes alone.
fn depth_updates(venue: Venue, extent: Extent) {
    let plan = plan(venue, 100, 2 * extent.rounds * extent.round);
    let market = plan.market();
    let mut shards: Vec<ShardMarket> = (0..market.shards)
        .map(|shard| ShardMarket::new(market, shard).expect("every shard has symbols"))
        .collect();
    let mut encoder = Encoder::new(venue, &market.listing, plan.start_unix_ns());
    shards.iter().flat_map(ShardMarket::snapshots).for_each(|book| encoder.seed(&book));
    let mut slots = Vec::new();
    let mut clock = plan.schedule().clock(|_| true);
    while clock.next_cell(&mut slots).is_some() {}
    let mut messages: Vec<Message> = Vec::with_capacity(slots.len());
    let market_ns = best(slots.chunks_exact(extent.round), |slots| {
        messages.extend(slots.iter().map(|slot| *shards[usize::from(slot.shard())].next(slot.due_ns())));
    });
    messages.retain(|message| message.body.kind() == Kind::Book);
    let (mut out, mut numbering, mut bytes) = (Vec::with_capacity(1 << 16), Numbering::default(), 0);
    let encode_ns = best(messages.chunks_exact(extent.round.min(messages.len())), |messages| {
        for message in messages {
            empty_when_full(&mut out, &mut bytes);
            encoder.encode(black_box(message), &mut numbering, &mut out);
        }
    });
    bytes += out.len();
    let ns = market_ns + encode_ns;
    let size = bytes / messages.len().max(1);
    let measured =
        format!("{:.1} M/s a core: {ns:.0} ns, of which {encode_ns:.0} ns rendering; {size} bytes", 1e3 / ns);
    row(&format!("{venue}: market to bytes, a depth update"), &measured, ">= 3 M/s");
}

/// Everything that a stream has, schedule included.
fn mix(name: &str, venue: Venue, format: ExportFormat, extent: Extent) {
    let plan = plan(venue, 100, 3 * extent.rounds * extent.round);
    let mut export = Export::new(&plan, format);
    let mut out = Vec::with_capacity(1 << 20);
    export.head(&mut out);
    let rounds = vec![(); extent.rounds];
    let (mut bytes, mut messages) = (0, 0);
    out.clear();
    let memory_ns = best_of(rounds.iter(), extent.round, |()| {
        for _ in 0..extent.round {
            empty_when_full(&mut out, &mut bytes);
            export.next(&mut out).expect("the plan is long enough");
        }
        messages += extent.round;
    });
    let size = (bytes + out.len()) / messages;
    out.clear();
    let mut file = tempfile::tempfile().expect("there is room for a file");
    let file_ns = best_of(rounds.iter(), extent.round, |()| {
        for _ in 0..extent.round {
            export.next(&mut out).expect("the plan is long enough");
            if out.len() >= CHUNK_BYTES {
                file.write_all(&out).expect("the disk has room");
                out.clear();
            }
        }
    });
    let measured = format!(
        "{memory_ns:.0} ns, {size} bytes; to a file {file_ns:.0} ns, {:.2} of that rate",
        memory_ns / file_ns
    );
    row(&format!("{name}: a message of the market's mix"), &measured, ">= 0.6 to a file");
}

fn checking(name: &str, venue: Venue, format: ExportFormat, extent: Extent) {
    let plan = plan(venue, 20, extent.rounds * extent.round);
    let mut export = Export::new(&plan, format);
    let mut stream = Vec::new();
    export.head(&mut stream);
    let mut messages = 0;
    while export.next(&mut stream).is_some() {
        messages += 1;
    }
    let expectation = Some(StreamExpectation::of_plan(&plan));
    let options = CheckOptions { expectation, ..CheckOptions::default() };
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let report = check(stream.as_slice(), &options).expect("we wrote it");
        fastest = fastest.min(start.elapsed());
        assert!(report.faults.is_clean(), "{:?}", report.faults);
    }
    let rate = f64::from(messages) / fastest.as_secs_f64();
    let measured = format!("{:.2} M/s, {:.0} ns a message", rate / 1e6, 1e9 / rate);
    row(&format!("{name}: check"), &measured, ">= 0.5 M/s");
}

/// The cost of a large market beside a small one's, and its memory.
fn many_symbols(venue: Venue, extent: Extent) -> Vec<[String; 3]> {
    let before = resident_mb();
    let cost = |symbols| {
        let plan = plan(venue, symbols, 4 * extent.rounds * extent.round);
        let mut export = Export::new(&plan, ExportFormat::Jsonl);
        let mut out = Vec::with_capacity(1 << 20);
        // Half a gigabyte of books need not be kept.
        while export.next_of_head(&mut out) {
            out.clear();
        }
        let mut bytes = 0;
        let mut run = |rounds: usize| {
            best_of(vec![(); rounds].iter(), extent.round, |()| {
                for _ in 0..extent.round {
                    empty_when_full(&mut out, &mut bytes);
                    export.next(&mut out).expect("the plan is long enough");
                }
            })
        };
        run(2 * extent.rounds);
        let ns = run(extent.rounds);
        (ns, resident_mb())
    };
    let (many_ns, after) = cost(10_000);
    let (few_ns, _) = cost(100);
    let used =
        before.zip(after).map_or_else(|| "?".into(), |(before, after)| format!("{:.0} MB", after - before));
    let mut rows = vec![[
        format!("{venue}, 10,000 symbols: a message beside one of 100 symbols"),
        format!("{many_ns:.0} ns beside {few_ns:.0} ns, {:.2} of it", many_ns / few_ns),
        "<= 1.5".to_owned(),
    ]];
    // The venue that keeps the most is measured first: what it gives back hides what the next one takes.
    if venue == Venue::Kraken {
        let what = format!("{venue}, 10,000 symbols: memory of market and encoder");
        rows.push([what, used, "< 100 MB".to_owned()]);
    }
    rows
}

/// A connection's buffer: emptied by each write.
fn empty_when_full(out: &mut Vec<u8>, bytes: &mut usize) {
    if out.len() > 1 << 15 {
        *bytes += out.len();
        black_box(out).clear();
    }
}

/// Nanoseconds an item in the fastest round.
fn best<'a, T: 'a>(rounds: impl Iterator<Item = &'a [T]>, mut run: impl FnMut(&[T])) -> f64 {
    rounds.map(|round| timed(round.len(), || run(round))).fold(f64::INFINITY, f64::min)
}

fn best_of<'a>(rounds: impl Iterator<Item = &'a ()>, items: usize, mut run: impl FnMut(&())) -> f64 {
    rounds.map(|round| timed(items, || run(round))).fold(f64::INFINITY, f64::min)
}

fn timed(items: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / items as f64
}

fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kib.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? * 1024.0 / 1e6)
}

/// As `tickstorm generate` writes.
const CHUNK_BYTES: usize = 256 << 10;
