//! Whether the market looks like one, by a few figures on a short recording. The bands are wide: they are there
//! to catch a mechanism that stopped working, not to tune by.

use std::collections::BTreeMap;

use tickstorm_market::{Body, Listing, MarketSpec, Regime, ShardMarket, Side, Snapshot};
use tickstorm_random::Seed;

const MESSAGES: u64 = 400_000;
const SYMBOLS: u32 = 10;

#[test]
fn a_normal_market_looks_like_one() {
    let recording = Recording::new(Regime::NORMAL);
    recording.assert_common_facts();
    let trades = recording.share_of_trades();
    assert!((0.025..0.05).contains(&trades), "share of trades {trades}");
    let tight = recording.share_of_one_tick_spreads();
    assert!(tight >= 0.90, "spreads of one tick {tight}");
}

#[test]
fn a_volatile_market_trades_more_in_a_thinner_book() {
    let recording = Recording::new(Regime::VOLATILE);
    recording.assert_common_facts();
    let trades = recording.share_of_trades();
    assert!((0.06..0.10).contains(&trades), "share of trades {trades}");
    let tight = recording.share_of_one_tick_spreads();
    assert!((0.75..0.95).contains(&tight), "spreads of one tick {tight}");
    let normal = Recording::new(Regime::NORMAL);
    let depth = |recording: &Recording| recording.shape.iter().take(10).sum::<f64>();
    assert!(depth(&recording) < 0.7 * depth(&normal), "{} of {}", depth(&recording), depth(&normal));
}

/// What a recording says about each symbol, and about all books together.
struct Recording {
    symbols: Vec<Track>,
    trades: u64,
    changes: u64,
    increases: u64,
    tight: u64,
    /// Lots by distance from the best price, averaged.
    shape: Vec<f64>,
}

#[derive(Default)]
struct Track {
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
    /// Twice the middle of the book after each message.
    middles: Vec<f64>,
    /// +1 for each market order that bought, -1 for each that sold.
    signs: Vec<f64>,
}

impl Recording {
    fn new(regime: Regime) -> Self {
        let spec = MarketSpec {
            shards: 1,
            regime,
            ..MarketSpec::new(Seed::new(1), Listing::synthetic(SYMBOLS, Seed::new(1)))
        };
        let mut market = ShardMarket::new(&spec, 0).expect("the spec is sound");
        let mut recording = Self {
            symbols: market.snapshots().iter().map(Track::new).collect(),
            trades: 0,
            changes: 0,
            increases: 0,
            tight: 0,
            shape: vec![0.0; 60],
        };
        let mut event_of_last_trade = 0;
        for number in 0..MESSAGES {
            let message = *market.next(number * 50_000);
            let track = &mut recording.symbols[message.symbol.0 as usize];
            match message.body {
                Body::Book(change) => {
                    let before = track.set(change.side, change.price, change.quantity);
                    recording.changes += 1;
                    recording.increases += u64::from(change.quantity > before);
                }
                Body::Trade(trade) => {
                    recording.trades += 1;
                    if event_of_last_trade != message.event {
                        event_of_last_trade = message.event;
                        track.signs.push(if trade.taker == Side::Buy { 1.0 } else { -1.0 });
                    }
                }
                _ => {}
            }
            let (Some(bid), Some(ask)) = (track.bids.keys().next_back(), track.asks.keys().next()) else {
                continue;
            };
            let (bid, ask) = (*bid, *ask);
            recording.tight += u64::from(ask - bid == 1);
            track.middles.push(f64::from(bid + ask));
            if number % 100 == 0 {
                for (distance, lots) in (0..).zip(&mut recording.shape) {
                    let level =
                        |levels: &BTreeMap<u32, u64>, price| levels.get(&price).map_or(0, |&lots| lots);
                    *lots += (level(&track.bids, bid - distance) + level(&track.asks, ask + distance)) as f64;
                }
            }
        }
        recording
    }

    fn share_of_trades(&self) -> f64 {
        self.trades as f64 / MESSAGES as f64
    }

    fn share_of_one_tick_spreads(&self) -> f64 {
        self.tight as f64 / MESSAGES as f64
    }

    /// What holds in any mood.
    fn assert_common_facts(&self) {
        let balance = self.increases as f64 / (self.changes - self.increases) as f64;
        assert!((0.75..1.25).contains(&balance), "additions by reductions {balance}");

        let deepest = (0..self.shape.len()).max_by(|&a, &b| self.shape[a].total_cmp(&self.shape[b]));
        assert!(deepest.is_some_and(|distance| (1..=40).contains(&distance)), "deepest level at {deepest:?}");

        let signs: Vec<&[f64]> = self.symbols.iter().map(|track| track.signs.as_slice()).collect();
        assert!(autocorrelation(&signs, 1) > 0.06, "trade signs {}", autocorrelation(&signs, 1));
        assert!(autocorrelation(&signs, 20) > 0.02, "trade signs {}", autocorrelation(&signs, 20));

        let returns: Vec<Vec<f64>> = self.symbols.iter().map(|track| track.returns(256)).collect();
        let returns: Vec<&[f64]> = returns.iter().map(Vec::as_slice).collect();
        let memory = autocorrelation(&returns, 1);
        assert!(memory.abs() < 0.15, "returns {memory}");
        let excess_kurtosis = mean_power(&returns, 4) / mean_power(&returns, 2).powi(2) - 3.0;
        assert!(excess_kurtosis > 2.5, "kurtosis {excess_kurtosis}");
        let sizes: Vec<Vec<f64>> = returns.iter().map(|of| of.iter().map(|it| it.abs()).collect()).collect();
        let sizes: Vec<&[f64]> = sizes.iter().map(Vec::as_slice).collect();
        assert!(autocorrelation(&sizes, 1) > 0.08, "sizes of returns {}", autocorrelation(&sizes, 1));
    }
}

impl Track {
    fn new(snapshot: &Snapshot) -> Self {
        Self {
            bids: snapshot.bids.iter().copied().collect(),
            asks: snapshot.asks.iter().copied().collect(),
            ..Self::default()
        }
    }

    /// What the level held before.
    fn set(&mut self, side: Side, price: u32, lots: u64) -> u64 {
        let levels = if side == Side::Buy { &mut self.bids } else { &mut self.asks };
        let before = if lots == 0 { levels.remove(&price) } else { levels.insert(price, lots) };
        before.unwrap_or(0)
    }

    /// Changes of the middle from one stretch of messages to the next, with a standard deviation of one.
    fn returns(&self, messages: usize) -> Vec<f64> {
        let points: Vec<f64> = self.middles.iter().copied().step_by(messages).collect();
        let moves: Vec<f64> = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let scale = mean_power(&[&moves], 2).sqrt();
        moves.iter().map(|it| it / scale).collect()
    }
}

/// Of several series, each about its own mean, weighted by length.
fn autocorrelation(series: &[&[f64]], lag: usize) -> f64 {
    let (mut together, mut alone) = (0.0, 0.0);
    for values in series {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        together += values.iter().zip(&values[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
        alone += values.iter().map(|a| (a - mean) * (a - mean)).sum::<f64>();
    }
    together / alone
}

fn mean_power(series: &[&[f64]], power: i32) -> f64 {
    let count: usize = series.iter().map(|values| values.len()).sum();
    series.iter().flat_map(|values| values.iter()).map(|value| value.powi(power)).sum::<f64>() / count as f64
}
