//! What a slot costs: a million messages a second, one clock of all 64 shards.
//!
//! `cargo bench -p tickstorm-load --bench clock` measures; without `--bench` it only runs, on a few milliseconds of
//! schedule.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints and stops on errors")]

use std::time::{Duration, Instant};

use tickstorm_load::{LoadProfile, Rate, Schedule, ScheduleSpec};
use tickstorm_random::Seed;

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let duration = if is_bench { Duration::from_secs(10) } else { Duration::from_millis(20) };
    println!(
        "{:<10} {:<16} {:>9} {:>7} {:>10} {:>8}",
        "profile", "arrivals", "rate", "shards", "messages", "ns each"
    );
    for (profile, arrivals, rate, shards) in CASES {
        let path = profile.parse::<LoadProfile>().unwrap().path(duration, Seed::new(1)).unwrap();
        let schedule = Schedule::new(ScheduleSpec {
            arrivals: arrivals.parse().unwrap(),
            shard_weights: (0..shards).map(|shard| if shards == 64 { 1 } else { 1 + shard % 7 }).collect(),
            ..ScheduleSpec::new(rate.parse::<Rate>().unwrap(), path)
        });
        let schedule = schedule.unwrap();
        let mut clock = schedule.clock(|_| true);
        let mut slots = Vec::new();
        let mut messages = 0;
        let mut best_ns = f64::INFINITY;
        let mut end_ns = 0;
        // The best tenth of the run tells what the code costs; the others, what else the machine was doing.
        for tenth in 1..=10 {
            let until_ns = schedule.duration_ns() / 10 * tenth;
            let before = messages;
            let start = Instant::now();
            while end_ns < until_ns {
                end_ns = clock.next_cell(&mut slots).expect("the run has not ended");
                messages += slots.len() as u64;
                slots.clear();
            }
            best_ns = best_ns.min(start.elapsed().as_nanos() as f64 / (messages - before) as f64);
        }
        assert_eq!(messages, schedule.total());
        println!("{profile:<10} {arrivals:<16} {rate:>9} {shards:>7} {messages:>10} {best_ns:>8.1}");
    }
}

const CASES: [(&str, &str, &str, u64); 12] = [
    ("NORMAL", "paced", "1M", 64),
    ("RAMP_UP", "paced", "400k", 64),
    ("NORMAL", "poisson", "1M", 64),
    ("NORMAL", "bursty:flat", "1M", 64),
    ("NORMAL", "bursty", "1M", 64),
    ("NORMAL", "bursty:crash", "1M", 64),
    ("VOLATILE", "bursty", "1M", 64),
    ("NORMAL", "paced", "1M", 100),
    ("NORMAL", "bursty", "1M", 100),
    ("NORMAL", "paced", "10k", 64),
    ("NORMAL", "poisson", "10k", 64),
    ("NORMAL", "bursty", "10k", 64),
];
