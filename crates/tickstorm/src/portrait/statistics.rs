//! The regularities that markets have in common, each beside what chance alone would do.

use super::{Axis, Chart, Exceedance, Ink, Layer, Picture, Returns, Sitter, Width, shown_ns};

pub(super) fn charts(picture: &Picture, sitters: &[Sitter<'_>]) -> Vec<Chart> {
    let mut charts = Vec::new();
    if let Some(busiest) = sitters.first() {
        charts.push(distribution(busiest));
        charts.push(tails(sitters));
        charts.push(memory(busiest));
        charts.push(signs(sitters));
        charts.push(response(sitters));
        charts.push(impact(sitters));
        charts.push(sizes(sitters));
        charts.push(spreads(sitters));
        charts.push(shape(busiest));
    }
    charts.push(gaps(picture, sitters));
    charts.push(concentration(picture));
    charts
}

/// A line for each symbol.
fn lines<'a, P: IntoIterator<Item = (f64, f64)>>(
    sitters: &'a [Sitter<'_>],
    points: impl Fn(&'a Sitter<'_>) -> P,
) -> Vec<Layer> {
    sitters
        .iter()
        .map(|sitter| Layer::line(sitter.instrument.symbol.clone(), sitter.ink, points(sitter)))
        .collect()
}

fn distribution(sitter: &Sitter<'_>) -> Chart {
    let returns = &sitter.sitting.returns;
    let deviation = returns.deviation_ticks;
    let most = returns.ticks.iter().fold(0.0_f64, |most, it| most.max(it.abs()));
    // Whole ticks to a bin, so that none catches more of them than its neighbours.
    let width = (most / 40.0).ceil().max(1.0);
    let reach = (most / width).ceil() as usize;
    let mut counts = vec![0.0; 2 * reach + 1];
    for ticks in &returns.ticks {
        let place = ticks / width + reach as f64;
        // A move by half a tick that ends between two bins counts half in each.
        for half in [place + 0.499, place + 0.501] {
            if let Some(count) = counts.get_mut(half.floor().max(0.0) as usize) {
                *count += 0.5;
            }
        }
    }
    let total = returns.ticks.len() as f64;
    let centre = |index: usize| (index as f64 - reach as f64) * width;
    let bars = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0.0)
        .map(|(index, count)| (centre(index) - 0.5 * width, centre(index) + 0.5 * width, count / total));
    let normal = (0..=400).map(|step| most * (f64::from(step) / 200.0 - 1.0)).map(|ticks| {
        let within = normal_beyond((ticks - 0.5 * width) / deviation)
            - normal_beyond((ticks + 0.5 * width) / deviation);
        (ticks, within)
    });
    let least = 0.3 / total.max(1.0);
    Chart {
        title: "Distribution of returns".to_owned(),
        note: format!(
            "{}: moves over {} messages, standard deviation {deviation:.2} ticks. Markets have more large ones than the normal.",
            sitter.instrument.symbol, returns.over_messages
        ),
        width: Width::Third,
        x: Axis::linear("move, ticks"),
        y: Axis::log("share of moves").over(least, 1.0),
        layers: vec![
            Layer::bars("moves", Ink::First, bars),
            Layer::line("normal of equal variance", Ink::Reference, normal.filter(|point| point.1 >= least)),
        ],
    }
}

/// The probability that a normal variable exceeds so many of its standard deviations.
fn normal_beyond(deviations: f64) -> f64 {
    0.5 * libm::erfc(deviations / std::f64::consts::SQRT_2)
}

fn tails(sitters: &[Sitter<'_>]) -> Chart {
    let mut layers = lines(sitters, |sitter| tail(&sitter.sitting.returns));
    let normal = (0..=100).map(|step| 0.2 * libm::pow(1.04, f64::from(step)));
    let normal = normal.map(|size| (size, 2.0 * normal_beyond(size))).filter(|point| point.1 > 1e-5);
    layers.push(Layer::line("normal", Ink::Reference, normal));
    Chart {
        title: "Tails of returns".to_owned(),
        note: "Share of moves at least so large. A straight line is a power law, as in markets.".to_owned(),
        width: Width::Third,
        x: Axis::log("size of a move, standard deviations"),
        y: Axis::log("share of moves as large"),
        layers,
    }
}

/// The share of moves that are at least so large, in standard deviations.
fn tail(returns: &Returns) -> Vec<(f64, f64)> {
    let mut sizes: Vec<f64> = returns.ticks.iter().map(|ticks| ticks.abs()).filter(|&it| it > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let total = returns.ticks.len() as f64;
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (rank, size) in sizes.iter().enumerate() {
        let size = size / returns.deviation_ticks;
        if points.last().is_none_or(|last| last.0 < size) {
            points.push((size, (sizes.len() - rank) as f64 / total));
        }
    }
    points
}

fn memory(sitter: &Sitter<'_>) -> Chart {
    let returns = &sitter.sitting.returns;
    let noise = 2.0 / libm::sqrt(returns.ticks.len().max(1) as f64);
    let lags = |values: &[f64]| by_lag(values).collect::<Vec<_>>();
    let reach = returns.autocorrelation.len().max(2) as f64;
    Chart {
        title: "Memory of returns".to_owned(),
        note: format!(
            "{}: markets forget moves, but remember how large they were. Chance stays between the dashes.",
            sitter.instrument.symbol
        ),
        width: Width::Third,
        x: Axis::linear(format!("lag, in stretches of {} messages", returns.over_messages)).over(0.0, reach),
        y: Axis::linear("autocorrelation"),
        layers: vec![
            Layer::line("", Ink::Reference, [(0.0, noise), (reach, noise)]),
            Layer::line("", Ink::Reference, [(0.0, -noise), (reach, -noise)]),
            Layer::line("moves", Ink::First, lags(&returns.autocorrelation)),
            Layer::line("absolute moves", Ink::Second, lags(&returns.absolute_autocorrelation)),
        ],
    }
}

fn by_lag(values: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    values.iter().enumerate().map(|(index, &value)| (index as f64 + 1.0, value))
}

fn signs(sitters: &[Sitter<'_>]) -> Chart {
    Chart {
        title: "Memory of trade signs".to_owned(),
        note: "Buyers follow buyers: autocorrelation of the signs of market orders, which decays slowly."
            .to_owned(),
        width: Width::Third,
        x: Axis::log("lag, market orders"),
        y: Axis::log("autocorrelation").over(0.003, 1.0),
        layers: lines(sitters, |sitter| pooled(&sitter.sitting.sign_autocorrelation)),
    }
}

/// By lag, neighbours taken together more and more: single far lags are mostly noise.
fn pooled(values: &[f64]) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut from = 0;
    while from < values.len() {
        let until = (from + 1 + from / 5).min(values.len());
        let mean = values[from..until].iter().sum::<f64>() / (until - from) as f64;
        points.push((0.5 * (from + 1 + until) as f64, mean));
        from = until;
    }
    points
}

fn response(sitters: &[Sitter<'_>]) -> Chart {
    Chart {
        title: "Response to market orders".to_owned(),
        note: "Mean move of the middle in their direction, by the time since.".to_owned(),
        width: Width::Third,
        x: Axis::log("messages after the order"),
        y: Axis::linear("move, ticks"),
        layers: lines(sitters, |sitter| {
            sitter.sitting.response.iter().map(|&(messages, ticks)| (messages as f64, ticks))
        }),
    }
}

fn impact(sitters: &[Sitter<'_>]) -> Chart {
    let after = sitters.first().map_or(0, |sitter| sitter.sitting.impact_after);
    Chart {
        title: "Impact by size".to_owned(),
        note: format!(
            "Mean move {after} messages after a market order. In markets it grows slower than the size."
        ),
        width: Width::Third,
        x: Axis::log("size of the order, lots"),
        y: Axis::log("move, ticks"),
        layers: lines(sitters, |sitter| {
            sitter.sitting.impact_by_size.iter().map(|impact| (impact.lots, impact.ticks))
        }),
    }
}

fn sizes(sitters: &[Sitter<'_>]) -> Chart {
    let mut layers = lines(sitters, |sitter| in_means(&sitter.sitting.order_lots));
    layers.push(exponential());
    Chart {
        title: "Sizes of market orders".to_owned(),
        note: "Share of orders at least so large. In markets a few are huge.".to_owned(),
        width: Width::Third,
        x: Axis::log("size, multiples of the symbol's mean"),
        y: Axis::log("share of orders as large"),
        layers,
    }
}

fn in_means(exceedance: &Exceedance) -> impl Iterator<Item = (f64, f64)> {
    exceedance.points.iter().map(|&(value, share)| (value / exceedance.mean, share))
}

/// What has no memory: the share that exceeds so many means.
fn exponential() -> Layer {
    let means = (0..=140).map(|step| 0.001 * libm::pow(1.07, f64::from(step)));
    let points = means.map(|means| (means, libm::exp(-means))).filter(|point| point.1 > 1e-5);
    Layer::line("exponential of equal mean", Ink::Reference, points)
}

fn spreads(sitters: &[Sitter<'_>]) -> Chart {
    Chart {
        title: "Spreads".to_owned(),
        note: "Share of messages after which the spread was so wide.".to_owned(),
        width: Width::Third,
        x: Axis::log("spread, ticks"),
        y: Axis::log("share of messages"),
        layers: lines(sitters, |sitter| {
            let spreads = &sitter.sitting.spreads;
            let total = spreads.total() as f64;
            let middle = 0.5 * (spreads.width - 1) as f64;
            spreads.iter().map(move |(ticks, _, count)| (ticks as f64 + middle, count as f64 / total))
        }),
    }
}

fn shape(sitter: &Sitter<'_>) -> Chart {
    let shape = &sitter.sitting.shape;
    let step = f64::from(shape.ticks_per_step);
    // Bids to the left, mirrored; the best of both sides start at zero.
    let asks = shape.asks.iter().enumerate().map(|(index, &lots)| {
        let from = index as f64 * step;
        (from, from + step, lots)
    });
    let bids = shape.bids.iter().enumerate().rev().map(|(index, &lots)| {
        let from = index as f64 * step;
        (-from - step, -from, lots)
    });
    Chart {
        title: "The book on average".to_owned(),
        note: format!("{}: mean lots by distance from the best price of the side.", sitter.instrument.symbol),
        width: Width::Third,
        x: Axis::linear("distance, ticks"),
        y: Axis::linear("lots a tick"),
        layers: vec![Layer::bars("bids", Ink::Buy, bids), Layer::bars("asks", Ink::Sell, asks)],
    }
}

fn gaps(picture: &Picture, sitters: &[Sitter<'_>]) -> Chart {
    let mut layers = vec![Layer::line("all messages", Ink::Text, in_means(&picture.gaps_ns))];
    layers.extend(lines(sitters, |sitter| in_means(&sitter.sitting.gaps_ns)));
    layers.push(exponential());
    Chart {
        title: "Gaps between messages".to_owned(),
        note: format!(
            "Share of gaps at least so long; the mean of all is {}. Bursts have both short and long ones.",
            shown_ns(picture.gaps_ns.mean.round() as u64)
        ),
        width: Width::Third,
        x: Axis::log("gap, multiples of the mean").over(1e-3, 1e4),
        y: Axis::log("share of gaps as long"),
        layers,
    }
}

fn concentration(picture: &Picture) -> Chart {
    let ranked = picture.activity.iter().enumerate().map(|(rank, &count)| (rank as f64 + 1.0, count as f64));
    Chart {
        title: "Concentration".to_owned(),
        note: "Messages of each symbol, busiest first: few make most.".to_owned(),
        width: Width::Third,
        x: Axis::log("rank of the symbol"),
        y: Axis::log("messages"),
        layers: vec![Layer::line("", Ink::First, ranked)],
    }
}
