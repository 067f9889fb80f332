//! What one symbol does over time.

use super::{
    Axis, Chart, Heat, Ink, Layer, Listing, Moment, Sitter, TimeUnit, UNITS_PER_WHOLE, Width, shown_ns,
};
use tickstorm_market::Side;

pub(super) fn charts(sitter: &Sitter<'_>, time: TimeUnit, length_ns: u64, listing: &Listing) -> Vec<Chart> {
    let quote = listing.assets.get(sitter.instrument.quote.0 as usize).map_or("quote", String::as_str);
    let base = listing.assets.get(sitter.instrument.base.0 as usize).map_or("base", String::as_str);
    vec![
        price(sitter, time, length_ns, quote, base),
        depth(sitter, time, length_ns),
        spread(sitter, time, length_ns),
        volume(sitter, time, length_ns),
        returns(sitter),
    ]
}

fn price(sitter: &Sitter<'_>, time: TimeUnit, length_ns: u64, quote: &str, base: &str) -> Chart {
    let sitting = sitter.sitting;
    let depth = &sitting.depth;
    let line = |price: fn(&Moment) -> u32| {
        steps(&sitting.moments, sitting.moment_ns, time, |moment| sitter.price(f64::from(price(moment))))
    };
    let trades = |side| {
        let of_side = sitting.trade_points.iter().filter(move |point| point.taker == side);
        of_side.map(|point| (time.count(point.at_ns), sitter.price(f64::from(point.price))))
    };
    let (from, until) = (
        sitter.price(f64::from(depth.from_tick)),
        sitter.price(f64::from(depth.from_tick) + depth.rows as f64 * f64::from(depth.ticks_per_row)),
    );
    let rows_of =
        if depth.ticks_per_row == 1 { "a tick".to_owned() } else { format!("{} ticks", depth.ticks_per_row) };
    let lot = sitter.instrument.lot as f64 / UNITS_PER_WHOLE as f64;
    let thinned = if (sitting.trade_points.len() as u64) < sitting.trades {
        format!("; {} of {} trades", sitting.trade_points.len(), sitting.trades)
    } else {
        String::new()
    };
    Chart {
        title: "Price and depth".to_owned(),
        note: format!(
            "What rests in the book, in columns of {} and rows of {rows_of}; the best prices; trades by who took{thinned}. \
             A lot is {lot} {base}.",
            shown_ns(sitting.moment_ns)
        ),
        width: Width::Full,
        x: time.axis(length_ns),
        y: Axis::linear(format!("price, {quote}")).over(from, until),
        layers: vec![
            Layer::Heat(Heat {
                name: "lots a tick".to_owned(),
                x: (
                    sitting.moments.first().map_or(0.0, |moment| time.count(moment.from_ns)),
                    time.count(sitting.moment_ns),
                ),
                // A level's cell has its price in the middle.
                y: (from - 0.5 * sitter.price(1.0), sitter.price(f64::from(depth.ticks_per_row))),
                rows: depth.rows,
                values: depth.lots.clone(),
            }),
            Layer::line("best bid and ask", Ink::Text, line(|moment| moment.bid)),
            Layer::line("", Ink::Text, line(|moment| moment.ask)),
            Layer::dots("buyer took", Ink::Buy, trades(Side::Buy)),
            Layer::dots("seller took", Ink::Sell, trades(Side::Sell)),
        ],
    }
}

/// A value for each moment, as a line of steps.
fn steps(
    moments: &[Moment],
    moment_ns: u64,
    time: TimeUnit,
    value: impl Fn(&Moment) -> f64,
) -> Vec<(f64, f64)> {
    let step = |moment: &Moment| {
        let value = value(moment);
        [(time.count(moment.from_ns), value), (time.count(moment.from_ns + moment_ns), value)]
    };
    moments.iter().flat_map(step).collect()
}

fn depth(sitter: &Sitter<'_>, time: TimeUnit, length_ns: u64) -> Chart {
    let sitting = sitter.sitting;
    let line = |lots: fn(&Moment) -> f64| steps(&sitting.moments, sitting.moment_ns, time, lots);
    let deepest = |most: f64, moment: &Moment| most.max(moment.near_bid_lots).max(moment.near_ask_lots);
    let most = 1.05 * sitting.moments.iter().fold(0.0, deepest);
    Chart {
        title: "Depth near the best prices".to_owned(),
        note: format!("Lots within {} ticks of the best price of their side.", Moment::NEAR_TICKS),
        width: Width::Half,
        x: time.axis(length_ns),
        y: Axis::linear("lots").over(0.0, most),
        layers: vec![
            Layer::line("bids", Ink::Buy, line(|moment| moment.near_bid_lots)),
            Layer::line("asks", Ink::Sell, line(|moment| moment.near_ask_lots)),
        ],
    }
}

fn spread(sitter: &Sitter<'_>, time: TimeUnit, length_ns: u64) -> Chart {
    let sitting = sitter.sitting;
    let line = |ticks: fn(&Moment) -> f64| steps(&sitting.moments, sitting.moment_ns, time, ticks);
    let widest = sitting.moments.iter().map(|moment| {
        let until = moment.from_ns + sitting.moment_ns;
        (time.count(moment.from_ns), time.count(until), f64::from(moment.widest_ticks))
    });
    Chart {
        title: "Spread".to_owned(),
        note: format!("In each {}.", shown_ns(sitting.moment_ns)),
        width: Width::Half,
        x: time.axis(length_ns),
        y: Axis::log("spread, ticks"),
        layers: vec![
            Layer::bars("widest", Ink::Shade, widest),
            Layer::line("mean", Ink::First, line(|moment| moment.spread_ticks)),
        ],
    }
}

fn volume(sitter: &Sitter<'_>, time: TimeUnit, length_ns: u64) -> Chart {
    let sitting = sitter.sitting;
    let bars = |lots: fn(&Moment) -> f64| {
        sitting.moments.iter().map(move |moment| {
            let until = moment.from_ns + sitting.moment_ns;
            (time.count(moment.from_ns), time.count(until), lots(moment))
        })
    };
    Chart {
        title: "Volume".to_owned(),
        note: format!(
            "Lots that takers bought (up) and sold (down) in each {}.",
            shown_ns(sitting.moment_ns)
        ),
        width: Width::Half,
        x: time.axis(length_ns),
        y: Axis::linear("lots"),
        layers: vec![
            Layer::bars("bought", Ink::Buy, bars(|moment| moment.bought_lots as f64)),
            Layer::bars("sold", Ink::Sell, bars(|moment| -(moment.sold_lots as f64))),
        ],
    }
}

fn returns(sitter: &Sitter<'_>) -> Chart {
    let returns = &sitter.sitting.returns;
    // Neighbours share a bar of the larger size where there are more than can be told apart.
    let shared = returns.ticks.len().div_ceil(MOST_BARS).max(1);
    let bars = returns.ticks.chunks(shared).enumerate().flat_map(|(index, ticks)| {
        let (low, high) =
            ticks.iter().fold((0.0_f64, 0.0_f64), |(low, high), &it| (low.min(it), high.max(it)));
        let from = (index * shared) as f64 * returns.over_messages as f64;
        let until = from + shared as f64 * returns.over_messages as f64;
        [(from, until, low), (from, until, high)]
    });
    let (down, up): (Vec<_>, Vec<_>) = bars.partition(|bar| bar.2 < 0.0);
    Chart {
        title: "Returns".to_owned(),
        note: format!(
            "Moves of the middle over {} messages of the symbol, one after another; calm and wild stretches alternate.",
            returns.over_messages
        ),
        width: Width::Half,
        x: Axis::linear("messages of the symbol"),
        y: Axis::linear("move, ticks"),
        layers: vec![Layer::bars("", Ink::First, up), Layer::bars("", Ink::First, down)],
    }
}

/// Bars of the returns at most.
const MOST_BARS: usize = 1_000;
