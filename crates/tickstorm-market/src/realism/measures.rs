//! The figures themselves, from what the tracks have kept.

use super::Realism;
use super::statistics::{autocorrelation, hill, moments, slope};
use super::track::{Impact, SHAPE, STRIDE, Track};

type Value = Option<f64>;

/// The values of M1 to M14, row by row.
pub(crate) fn measure(realism: &Realism) -> [Vec<Value>; 14] {
    let tracks = &realism.tracks;
    let returns = Returns::new(tracks);
    let orders = Orders::new(tracks);
    [
        vec![realism.milliseconds.excess(), realism.centiseconds.excess(), realism.milliseconds.peak()],
        vec![mean_over(tracks, |track| track.arrivals.self_excitation())],
        vec![mean_over(tracks, |track| track.arrivals.gap_variation())],
        mix(tracks),
        spread(tracks),
        shape(tracks),
        returns.tails(),
        returns.memory(tracks),
        returns.clusters(),
        orders.sign_memory(),
        orders.sizes(),
        impact(tracks),
        vec![imbalance(tracks)],
        vec![concentration(&realism.counts)],
    ]
}

fn mean_over(tracks: &[Track], value: impl Fn(&Track) -> Value) -> Value {
    let values: Vec<f64> = tracks.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn total(tracks: &[Track], count: impl Fn(&Track) -> u64) -> f64 {
    tracks.iter().map(count).sum::<u64>() as f64
}

fn mix(tracks: &[Track]) -> Vec<Value> {
    let trades = total(tracks, |track| track.trades);
    let changes = total(tracks, |track| track.book_changes);
    let additions = total(tracks, |track| track.additions);
    vec![
        (trades >= LEAST_TRADES).then(|| changes / trades),
        (changes >= LEAST_MESSAGES && changes > additions).then(|| additions / (changes - additions)),
    ]
}

fn spread(tracks: &[Track]) -> Vec<Value> {
    let messages = total(tracks, |track| track.messages);
    let share =
        |count: fn(&Track) -> u64| (messages >= LEAST_MESSAGES).then(|| total(tracks, count) / messages);
    vec![share(|track| track.tight), share(|track| track.spreads), share(|track| track.moves)]
}

/// Symbols weigh alike, however deep their books.
fn shape(tracks: &[Track]) -> Vec<Value> {
    let seen: Vec<&Track> = tracks.iter().filter(|track| track.shapes > 0).collect();
    let mut lots = [0.0; SHAPE];
    for track in &seen {
        for (sum, at_distance) in lots.iter_mut().zip(track.shape) {
            *sum += at_distance / track.shapes as f64;
        }
    }
    let deepest = (0..SHAPE).max_by(|&a, &b| lots[a].total_cmp(&lots[b])).unwrap_or(0);
    let most = lots[deepest];
    let enough = total(tracks, |track| track.messages) >= LEAST_MESSAGES && most > 0.0;
    let observed = |value: f64| enough.then_some(value);
    vec![observed(deepest as f64), observed(lots[0] / most), observed(lots[39] / most)]
}

/// Standardised returns of each symbol over the horizon at which they are a tick or more.
struct Returns {
    symbols: Vec<Vec<f64>>,
    enough: bool,
}

impl Returns {
    fn new(tracks: &[Track]) -> Self {
        let horizon = (0..=8).map(|doublings| 1 << doublings).find(|&strides| {
            let moves: Vec<f64> = tracks.iter().flat_map(|track| track.returns(strides)).collect();
            mean_square(&moves).is_some_and(|square| square >= 1.0)
        });
        let symbols: Vec<Vec<f64>> = match horizon {
            Some(strides) => tracks.iter().filter_map(|track| standardised(track.returns(strides))).collect(),
            None => Vec::new(),
        };
        let enough = symbols.iter().map(Vec::len).sum::<usize>() >= LEAST_RETURNS;
        Self { symbols, enough }
    }

    fn tails(&self) -> Vec<Value> {
        let all = || self.symbols.iter().flatten();
        let mut sizes: Vec<f64> = all().map(|value| value.abs()).filter(|&size| size > 0.0).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let fourth = all().map(|value| value * value * value * value).sum::<f64>() / all().count() as f64;
        let observed = |value: Value| value.filter(|_| self.enough);
        vec![observed(hill(&sizes, 0.05)), observed(Some(fourth - 3.0))]
    }

    fn memory(&self, tracks: &[Track]) -> Vec<Value> {
        let at = |lag| autocorrelation(&self.symbols, lag).filter(|_| self.enough);
        let largest = (2..=10).map(at).try_fold(0.0, |most: f64, value| Some(most.max(value?.abs())));
        vec![at(1), largest, variance_ratio(tracks)]
    }

    fn clusters(&self) -> Vec<Value> {
        let sizes: Vec<Vec<f64>> =
            self.symbols.iter().map(|of| of.iter().map(|value| value.abs()).collect()).collect();
        let at = |lag| autocorrelation(&sizes, lag).filter(|_| self.enough);
        let sum = (2..=10).map(at).try_fold(0.0, |sum, value| Some(sum + value?));
        vec![at(1), sum.map(|sum| sum / 9.0)]
    }
}

fn mean_square(values: &[f64]) -> Value {
    (!values.is_empty()).then(|| values.iter().map(|it| it * it).sum::<f64>() / values.len() as f64)
}

fn standardised(mut values: Vec<f64>) -> Option<Vec<f64>> {
    let (mean, variance) = moments(values.iter().copied())?;
    if variance == 0.0 {
        return None;
    }
    let deviation = libm::sqrt(variance);
    values.iter_mut().for_each(|value| *value = (*value - mean) / deviation);
    Some(values)
}

/// Variance of moves over 1024 messages, overlapping, over 64 times that over 16; symbols weigh as they are active.
fn variance_ratio(tracks: &[Track]) -> Value {
    let strides = (1024 / STRIDE) as usize;
    let square = |track: &Track, over: usize| {
        let moves = track.middles.iter().zip(track.middles.iter().skip(over));
        let moves: Vec<f64> = moves.map(|(&from, &to)| f64::from(to) - f64::from(from)).collect();
        mean_square(&moves).filter(|&square| square > 0.0)
    };
    let (mut sum, mut weight, mut stretches) = (0.0, 0.0, 0);
    for track in tracks {
        if let (Some(long), Some(short)) = (square(track, strides), square(track, 1)) {
            let samples = track.middles.len() as f64;
            sum += samples * long / (strides as f64 * short);
            weight += samples;
            stretches += track.middles.len() / strides;
        }
    }
    (stretches >= LEAST_STRETCHES).then(|| sum / weight)
}

/// Market orders of each symbol.
struct Orders {
    signs: Vec<Vec<f64>>,
    /// Lots of all of them, most first.
    sizes: Vec<f64>,
}

impl Orders {
    fn new(tracks: &[Track]) -> Self {
        let signs = tracks
            .iter()
            .map(|track| track.orders.iter().map(|order| f64::from(order.0)).collect())
            .collect();
        let mut sizes: Vec<f64> =
            tracks.iter().flat_map(|track| track.orders.iter().map(|order| order.1 as f64)).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        Self { signs, sizes }
    }

    fn enough(&self) -> bool {
        self.sizes.len() as f64 >= LEAST_TRADES
    }

    fn sign_memory(&self) -> Vec<Value> {
        let at = |lag| autocorrelation(&self.signs, lag).filter(|_| self.enough());
        let points: Vec<(f64, f64, f64)> = (1..=30)
            .filter_map(|lag| Some((lag, at(lag)?)))
            // What is not positive has no logarithm; if most is not, there is no memory to decay.
            .filter(|&(_, value)| value > 0.0)
            .map(|(lag, value)| (libm::log(lag as f64), libm::log(value), 1.0))
            .collect();
        let decay = if points.len() >= 15 { slope(&points) } else { None };
        vec![at(1), at(20), decay]
    }

    fn sizes(&self) -> Vec<Value> {
        let quantile = |share: f64| self.sizes.get((self.sizes.len() as f64 * (1.0 - share)) as usize);
        let ratio = || Some(quantile(0.99)? / quantile(0.5)?);
        let observed = |value: Value| value.filter(|_| self.enough());
        vec![observed(hill(&self.sizes, 0.01)), observed(ratio())]
    }
}

fn impact(tracks: &[Track]) -> Vec<Value> {
    let mut by_size = [Impact::default(); 64];
    for track in tracks {
        for (sum, impact) in by_size.iter_mut().zip(track.impacts) {
            sum.orders += impact.orders;
            sum.lots = sum.lots.saturating_add(impact.lots);
            sum.ticks += impact.ticks;
        }
    }
    let orders = by_size.iter().map(|impact| impact.orders).sum::<u64>() as f64;
    let ticks: f64 = by_size.iter().map(|impact| impact.ticks).sum();
    let points: Vec<(f64, f64, f64)> = by_size
        .iter()
        .filter(|impact| impact.orders >= 100 && impact.ticks > 0.0)
        .map(|impact| {
            let count = impact.orders as f64;
            (libm::log(impact.lots as f64 / count), libm::log(impact.ticks / count), libm::sqrt(count))
        })
        .collect();
    let observed = |value: Value| value.filter(|_| orders >= LEAST_TRADES);
    vec![observed(Some(ticks / orders)), observed(slope(&points))]
}

fn imbalance(tracks: &[Track]) -> Value {
    let sum = |count: fn(&Track) -> u64| total(tracks, count);
    let (bids, asks) = (sum(|track| track.imbalance.bids_heavy), sum(|track| track.imbalance.asks_heavy));
    let up =
        sum(|track| track.imbalance.bids_heavy_up) / bids - sum(|track| track.imbalance.asks_heavy_up) / asks;
    let enough = sum(|track| track.messages) >= LEAST_MESSAGES && bids.min(asks) >= LEAST_LOPSIDED;
    enough.then_some(up)
}

fn concentration(counts: &[u64]) -> Value {
    let mut descending: Vec<u64> = counts.iter().copied().filter(|&count| count > 0).collect();
    descending.sort_unstable_by(|a, b| b.cmp(a));
    let points: Vec<(f64, f64, f64)> = descending
        .iter()
        .take(50)
        .enumerate()
        .map(|(rank, &count)| (libm::log(rank as f64 + 1.0), libm::log(count as f64), 1.0))
        .collect();
    let enough = points.len() >= LEAST_SYMBOLS && descending.iter().sum::<u64>() as f64 >= LEAST_MESSAGES;
    slope(&points).filter(|_| enough).map(|slope| -slope)
}

/// Below these, chance alone could carry a figure across its band.
const LEAST_MESSAGES: f64 = 50_000.0;
const LEAST_TRADES: f64 = 2_000.0;
const LEAST_RETURNS: usize = 1_000;
const LEAST_STRETCHES: usize = 100;
const LEAST_LOPSIDED: f64 = 1_000.0;
const LEAST_SYMBOLS: usize = 20;
