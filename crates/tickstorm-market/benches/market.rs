//! Nanoseconds per message: `cargo bench -p tickstorm-market`. Without `--bench`, as the tests run it, it only
//! shows that it still works.

use std::time::Instant;

use tickstorm_market::{Listing, MarketSpec, Regime, ShardMarket};
use tickstorm_random::Seed;

#[expect(clippy::print_stdout, reason = "the figures are what a bench is for")]
fn main() {
    let messages = if std::env::args().any(|argument| argument == "--bench") { 4_000_000 } else { 10_000 };
    for (mood, regime) in [("normal", Regime::NORMAL), ("volatile", Regime::VOLATILE)] {
        for symbols in [100, 1_000, 10_000] {
            for accounts in [0, 50] {
                let spec = MarketSpec {
                    regime,
                    accounts,
                    ..MarketSpec::new(Seed::new(1), Listing::synthetic(symbols, Seed::new(1)))
                };
                let best = (0..3).map(|_| ns_per_message(&spec, messages)).fold(f64::MAX, f64::min);
                println!("{mood:8} {symbols:5} symbols {accounts:3} accounts {best:6.1} ns/message");
            }
        }
    }
}

/// Takes messages from all shards in turns, as often as their weights say.
fn ns_per_message(spec: &MarketSpec, messages: u64) -> f64 {
    let mut shards: Vec<ShardMarket> = (0..spec.shards)
        .map(|shard| ShardMarket::new(spec, shard).expect("every shard has a symbol"))
        .collect();
    let weights = spec.shard_weights();
    let total: u64 = weights.iter().sum();
    let mut stream = Seed::new(2).stream("bench", 0);
    let turns: Vec<usize> = (0..4_096)
        .map(|_| {
            let mut left = (stream.unit() * total as f64) as u64;
            weights
                .iter()
                .position(|&weight| {
                    left < weight || {
                        left -= weight;
                        false
                    }
                })
                .unwrap_or(0)
        })
        .collect();
    let start = Instant::now();
    let mut sequences = 0;
    for number in 0..messages {
        let shard = &mut shards[turns[number as usize % turns.len()]];
        sequences += std::hint::black_box(shard.next(number * 1_000)).sequence;
    }
    assert!(sequences >= messages);
    start.elapsed().as_nanos() as f64 / messages as f64
}
