//! A long market in little time: what it costs, and whether memory stays where it is.

use std::{fs, hint::black_box, time::Duration};

use tickstorm_load::{Arrivals, Factor, Path, Rate, Schedule, ScheduleSpec, format_duration, parse_duration};
use tickstorm_market::{Listing, MarketSpec, ShardMarket};
use tickstorm_random::Seed;
use tickstorm_venue::{Encoder, Numbering, Venue};

use super::{Extent, Row, progress, row, thread_cpu};

pub(crate) fn rows(extent: Extent) -> Vec<Row> {
    let simulated = match (extent, std::env::var("TICKSTORM_SIMULATED")) {
        (Extent::Tiny, _) => Duration::from_millis(100),
        (Extent::Full, Ok(text)) => parse_duration(&text).expect("TICKSTORM_SIMULATED is a duration, as 1h"),
        (Extent::Full, Err(_)) => Duration::from_secs(600),
    };
    progress(&format!("memory: {} of market at 100,000 messages a second", format_duration(simulated)));
    let mut feed = Feed::new(simulated);
    let ends_ns = [4, 2, 1].map(|part| simulated.as_nanos() as u64 / part);
    let mut memory_mb = vec![resident_mb()];
    let started = thread_cpu();
    for end_ns in ends_ns {
        feed.run_until(end_ns);
        memory_mb.push(resident_mb());
    }
    let used = thread_cpu() - started;
    assert_eq!(feed.messages, feed.total);
    let shown: Vec<String> =
        memory_mb.iter().map(|mb| mb.map_or_else(|| "?".to_owned(), |mb| format!("{mb:.1}"))).collect();
    vec![
        row(
            format!("{} of market, 1,000 symbols, 100k msg/s, bursty", format_duration(simulated)),
            format!(
                "{:.1} s of CPU, {:.0} ns a message",
                used.as_secs_f64(),
                used.as_nanos() as f64 / feed.messages as f64
            ),
            "",
        ),
        row(
            "its memory at the start, a quarter, half and the end",
            format!("{} MB", shown.join(", ")),
            "flat, < 100 MB",
        ),
    ]
}

/// Everything before the socket, on one thread, as fast as it goes.
struct Feed {
    clock: tickstorm_load::Clock,
    markets: Vec<ShardMarket>,
    encoder: Encoder,
    slots: Vec<tickstorm_load::Slot>,
    buffer: Vec<u8>,
    messages: u64,
    total: u64,
}

impl Feed {
    fn new(duration: Duration) -> Self {
        let seed = Seed::new(1);
        let listing = Listing::synthetic(1_000, seed.child("listing", 0));
        let spec = MarketSpec::new(seed.child("market", 0), listing);
        let path = Path::constant(Factor::ONE, duration).expect("the duration is above zero");
        let rate = Rate::per_second(100_000).expect("it is a rate");
        let schedule = Schedule::new(ScheduleSpec {
            arrivals: Arrivals::BURSTY,
            shard_weights: spec.shard_weights(),
            ..ScheduleSpec::new(rate, path)
        })
        .expect("the rate is one that a schedule takes");
        Self {
            clock: schedule.clock(|_| true),
            markets: (0..spec.shards)
                .map(|shard| ShardMarket::new(&spec, shard).expect("every shard has symbols"))
                .collect(),
            encoder: Encoder::new(Venue::Binance, &spec.listing, START_UNIX_NS),
            slots: Vec::new(),
            buffer: Vec::new(),
            messages: 0,
            total: schedule.total(),
        }
    }

    fn run_until(&mut self, end_ns: u64) {
        let mut cell_end_ns = 0;
        while cell_end_ns < end_ns {
            self.slots.clear();
            let Some(next_ns) = self.clock.next_cell(&mut self.slots) else { return };
            cell_end_ns = next_ns;
            for slot in &self.slots {
                // A connection's buffer: emptied by each write.
                if self.buffer.len() > 1 << 15 {
                    black_box(&mut self.buffer).clear();
                }
                let message = self.markets[usize::from(slot.shard())].next(slot.due_ns());
                self.encoder.encode(message, &mut Numbering::default(), &mut self.buffer);
            }
            self.messages += self.slots.len() as u64;
        }
    }
}

fn resident_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kib.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? * 1024.0 / 1e6)
}

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;
