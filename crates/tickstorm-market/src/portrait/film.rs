//! A symbol's book over time: a frame for each stretch of it, fewer and longer ones as time goes on.

use super::book::Book;
use crate::event::{Side, Trade};

/// Frames of equal length, where anything happened; neighbours are joined whenever they would become too many.
#[derive(Debug, Clone)]
pub(super) struct Film {
    length_ns: u64,
    frames: Vec<Frame>,
    /// The one that is being filled.
    open: Option<Frame>,
    /// When it is over.
    open_until_ns: u64,
    trades: Thinned,
}

/// What happened within a stretch of time, and the book at its end.
#[derive(Debug, Clone, Default)]
struct Frame {
    /// Number of the stretch, counted from the first message of the stream.
    number: u64,
    lowest_bid: u32,
    highest_ask: u32,
    bid: u32,
    ask: u32,
    /// Spreads in ticks after each message, together.
    spreads: u64,
    widest: u32,
    messages: u64,
    bought_lots: u64,
    sold_lots: u64,
    /// Price and lots of both sides' levels, the nearest [`LEVELS`] of each. Kept small, as there are many.
    levels: Box<[(u32, f32)]>,
}

/// Frames at most; never fewer than half as many once there were so many.
const FRAMES: u64 = 512;

/// Length of the first frames.
const SHORTEST_NS: u64 = 100_000;

/// Levels of each side that a frame keeps.
const LEVELS: usize = 64;

impl Film {
    pub(super) fn new() -> Self {
        Self {
            length_ns: SHORTEST_NS,
            frames: Vec::new(),
            open: None,
            open_until_ns: 0,
            trades: Thinned::default(),
        }
    }

    /// Ends the frame that is open if it is over, with the book as it is before the message due now.
    pub(super) fn advance(&mut self, at_ns: u64, book: &Book) {
        if at_ns >= self.open_until_ns {
            self.start(at_ns, book);
        }
    }

    fn start(&mut self, at_ns: u64, book: &Book) {
        while at_ns / self.length_ns >= FRAMES {
            self.length_ns *= 2;
            self.join();
        }
        let number = at_ns / self.length_ns;
        if self.open.as_ref().is_none_or(|frame| frame.number < number) {
            if let Some(frame) = self.open.take() {
                self.frames.push(frame.ended(book));
            }
            self.open = Some(Frame { number, lowest_bid: u32::MAX, ..Frame::default() });
        }
        self.open_until_ns = (number + 1).saturating_mul(self.length_ns);
    }

    fn join(&mut self) {
        let mut joined: Vec<Frame> = Vec::with_capacity(self.frames.len());
        for frame in self.frames.drain(..) {
            let number = frame.number / 2;
            match joined.last_mut() {
                Some(last) if last.number == number => last.absorb(frame),
                _ => joined.push(Frame { number, ..frame }),
            }
        }
        self.frames = joined;
        if let Some(open) = &mut self.open {
            open.number /= 2;
            if let Some(last) = self.frames.pop_if(|last| last.number == open.number) {
                let mut whole = last;
                whole.absorb(std::mem::take(open));
                *open = whole;
            }
        }
    }

    pub(super) fn on_trade(&mut self, at_ns: u64, trade: &Trade) {
        self.trades.add(TradePoint { at_ns, price: trade.price, lots: trade.quantity, taker: trade.taker });
        if let Some(frame) = &mut self.open {
            match trade.taker {
                Side::Buy => frame.bought_lots = frame.bought_lots.saturating_add(trade.quantity),
                Side::Sell => frame.sold_lots = frame.sold_lots.saturating_add(trade.quantity),
            }
        }
    }

    /// Looks at the best prices after a message.
    pub(super) fn see(&mut self, book: &Book) {
        if let (Some(frame), Some(touch)) = (&mut self.open, book.touch()) {
            frame.lowest_bid = frame.lowest_bid.min(touch.bid);
            frame.highest_ask = frame.highest_ask.max(touch.ask);
            (frame.bid, frame.ask) = (touch.bid, touch.ask);
            frame.spreads += u64::from(touch.spread());
            frame.widest = frame.widest.max(touch.spread());
            frame.messages += 1;
        }
    }

    /// Frames so far without gaps: where nothing happened, the book stayed as it was.
    pub(super) fn develop(&self, book: &Book) -> Developed {
        let mut moments: Vec<Moment> = Vec::new();
        let mut books: Vec<Vec<(u32, f32)>> = Vec::new();
        let last = self.open.clone().map(|frame| frame.ended(book));
        for frame in self.frames.iter().chain(&last) {
            if let (Some(&last), Some(levels)) = (moments.last(), books.last().cloned()) {
                for number in (last.from_ns / self.length_ns + 1)..frame.number {
                    moments.push(last.quiet(number * self.length_ns));
                    books.push(levels.clone());
                }
            }
            if frame.messages > 0 {
                moments.push(frame.moment(self.length_ns));
                books.push(frame.levels.to_vec());
            }
        }
        Developed {
            length_ns: self.length_ns,
            depth: Depth::of(&moments, &books),
            moments,
            books,
            trades: self.trades.points.clone(),
        }
    }
}

impl Frame {
    fn ended(mut self, book: &Book) -> Self {
        let nearest = |side| book.side(side).take(LEVELS);
        self.levels =
            nearest(Side::Buy).chain(nearest(Side::Sell)).map(|(price, lots)| (price, lots as f32)).collect();
        self
    }

    /// Joins the frame that follows.
    fn absorb(&mut self, next: Frame) {
        if next.messages > 0 {
            self.lowest_bid = self.lowest_bid.min(next.lowest_bid);
            self.highest_ask = self.highest_ask.max(next.highest_ask);
            (self.bid, self.ask) = (next.bid, next.ask);
            self.widest = self.widest.max(next.widest);
            self.spreads += next.spreads;
            self.messages += next.messages;
        }
        self.bought_lots = self.bought_lots.saturating_add(next.bought_lots);
        self.sold_lots = self.sold_lots.saturating_add(next.sold_lots);
        self.levels = next.levels;
    }

    fn moment(&self, length_ns: u64) -> Moment {
        let mut moment = Moment {
            from_ns: self.number * length_ns,
            bid: self.bid,
            ask: self.ask,
            lowest_bid: self.lowest_bid,
            highest_ask: self.highest_ask,
            spread_ticks: self.spreads as f64 / self.messages as f64,
            widest_ticks: self.widest,
            bought_lots: self.bought_lots,
            sold_lots: self.sold_lots,
            near_bid_lots: 0.0,
            near_ask_lots: 0.0,
        };
        for &(price, lots) in &self.levels {
            match moment.distance(price) {
                (_, Moment::NEAR_TICKS..) => {}
                (Side::Buy, _) => moment.near_bid_lots += f64::from(lots),
                (Side::Sell, _) => moment.near_ask_lots += f64::from(lots),
            }
        }
        moment
    }
}

/// A film, ready to be drawn.
pub(super) struct Developed {
    pub(super) length_ns: u64,
    pub(super) moments: Vec<Moment>,
    /// The levels at each moment's end.
    pub(super) books: Vec<Vec<(u32, f32)>>,
    pub(super) depth: Depth,
    pub(super) trades: Vec<TradePoint>,
}

/// A stretch of a symbol's time. Prices in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Its start, counted from the first message of the stream.
    pub from_ns: u64,
    /// Best bid at its end.
    pub bid: u32,
    /// Best ask at its end.
    pub ask: u32,
    /// The lowest best bid within it.
    pub lowest_bid: u32,
    /// The highest best ask within it.
    pub highest_ask: u32,
    /// The mean spread over its messages.
    pub spread_ticks: f64,
    /// The widest spread within it.
    pub widest_ticks: u32,
    /// Lots that takers bought within it.
    pub bought_lots: u64,
    /// Lots that takers sold within it.
    pub sold_lots: u64,
    /// Lots of the bids at its end, less than [`Moment::NEAR_TICKS`] below the best.
    pub near_bid_lots: f64,
    /// Lots of the asks at its end, less than [`Moment::NEAR_TICKS`] above the best.
    pub near_ask_lots: f64,
}

impl Moment {
    /// Levels closer to the best of their side are near.
    pub const NEAR_TICKS: u32 = 10;

    /// Whether a price is a bid of this moment's end, and how many ticks from the best of its side.
    pub(super) fn distance(&self, price: u32) -> (Side, u32) {
        if price <= self.bid {
            (Side::Buy, self.bid - price)
        } else {
            (Side::Sell, price.saturating_sub(self.ask))
        }
    }

    /// A later moment in which nothing happens.
    fn quiet(self, from_ns: u64) -> Self {
        let spread_ticks = self.ask.saturating_sub(self.bid);
        Self {
            from_ns,
            lowest_bid: self.bid,
            highest_ask: self.ask,
            spread_ticks: f64::from(spread_ticks),
            widest_ticks: spread_ticks,
            bought_lots: 0,
            sold_lots: 0,
            ..self
        }
    }
}

/// How many lots rest at which price, moment by moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// Price at the lower edge of the lowest row, ticks.
    pub from_tick: u32,
    /// Prices that share a row.
    pub ticks_per_row: u32,
    /// Rows, upwards.
    pub rows: usize,
    /// Mean lots per tick: row after row of the first moment, then of the next.
    pub lots: Vec<f32>,
}

/// Rows of a [`Depth`] at most.
const ROWS: u32 = 120;

/// Ticks beyond the best prices that are shown at least.
const MARGIN_TICKS: u32 = 12;

impl Depth {
    fn of(moments: &[Moment], books: &[Vec<(u32, f32)>]) -> Self {
        let lowest = moments.iter().map(|moment| moment.lowest_bid).min().unwrap_or(0);
        let highest = moments.iter().map(|moment| moment.highest_ask).max().unwrap_or(0).max(lowest);
        let margin = MARGIN_TICKS.max((highest - lowest) / 6);
        let from_tick = lowest.saturating_sub(margin);
        let ticks = highest.saturating_add(margin).saturating_sub(from_tick).saturating_add(1);
        let ticks_per_row = ticks.div_ceil(ROWS);
        let rows = ticks.div_ceil(ticks_per_row) as usize;
        let mut lots = vec![0.0; rows * moments.len()];
        for (column, levels) in lots.chunks_mut(rows).zip(books) {
            for &(price, lots) in levels {
                let row = price.checked_sub(from_tick).map(|ticks| (ticks / ticks_per_row) as usize);
                if let Some(cell) = row.and_then(|row| column.get_mut(row)) {
                    *cell += lots / ticks_per_row as f32;
                }
            }
        }
        Self { from_tick, ticks_per_row, rows, lots }
    }
}

/// A trade, as a point in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradePoint {
    /// When, counted from the first message of the stream.
    pub at_ns: u64,
    /// Ticks.
    pub price: u32,
    /// Lots.
    pub lots: u64,
    /// The side of the order that took.
    pub taker: Side,
}

/// Trades evenly thinned: one of every so many, twice as many whenever they would become too many.
#[derive(Debug, Clone, Default)]
struct Thinned {
    points: Vec<TradePoint>,
    seen: u64,
    /// How often the trades were thinned by half.
    halvings: u32,
}

/// Trades kept at most.
const TRADES: usize = 2_048;

impl Thinned {
    fn add(&mut self, point: TradePoint) {
        if self.seen.is_multiple_of(1 << self.halvings) {
            if self.points.len() == TRADES {
                let mut index = 0;
                self.points.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.halvings += 1;
            }
            if self.seen.is_multiple_of(1 << self.halvings) {
                self.points.push(point);
            }
        }
        self.seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(bid: u32, ask: u32) -> Book {
        let mut book = Book::default();
        book.set(Side::Buy, bid, 8);
        book.set(Side::Buy, bid - 1, 16);
        book.set(Side::Sell, ask, 4);
        book
    }

    #[test]
    fn a_quiet_stretch_keeps_the_book_that_was() {
        let mut film = Film::new();
        let (first, second) = (book(100, 101), book(102, 105));
        film.advance(0, &first);
        film.see(&first);
        film.on_trade(5, &Trade { trade_id: 1, price: 101, quantity: 3, taker: Side::Buy });
        film.advance(3 * SHORTEST_NS, &first);
        film.see(&second);
        let developed = film.develop(&second);
        let told: Vec<_> = developed
            .moments
            .iter()
            .map(|it| (it.from_ns / SHORTEST_NS, it.bid, it.ask, it.bought_lots))
            .collect();
        assert_eq!(told, [(0, 100, 101, 3), (1, 100, 101, 0), (2, 100, 101, 0), (3, 102, 105, 0)]);
        let depth = &developed.depth;
        let at = |moment: usize, tick: u32| {
            depth.lots[moment * depth.rows + ((tick - depth.from_tick) / depth.ticks_per_row) as usize]
        };
        assert_eq!(depth.ticks_per_row, 1);
        assert_eq!((at(0, 100), at(0, 99), at(0, 101), at(0, 105)), (8.0, 16.0, 4.0, 0.0));
        assert_eq!((at(2, 100), at(3, 102), at(3, 105)), (8.0, 8.0, 4.0));
    }

    #[test]
    fn frames_stay_bounded_and_keep_extremes_and_volumes() {
        let mut film = Film::new();
        let mut bought = 0;
        for step in 0..20_000_u64 {
            let bid = if step == 7_777 { 50 } else { 100 };
            let book = book(bid, bid + 1);
            film.advance(step * 77_777, &book);
            film.see(&book);
            film.on_trade(step, &Trade { trade_id: step, price: 101, quantity: step, taker: Side::Buy });
            bought += step;
            assert!(film.frames.len() < FRAMES as usize);
        }
        let developed = film.develop(&book(100, 101));
        assert!((256..=512).contains(&developed.moments.len()), "{}", developed.moments.len());
        assert_eq!(developed.moments.iter().map(|it| it.lowest_bid).min(), Some(50));
        assert_eq!(developed.moments.iter().map(|it| it.bought_lots).sum::<u64>(), bought);
        assert!(developed.moments.windows(2).all(|it| it[1].from_ns - it[0].from_ns == developed.length_ns));
        assert!((TRADES / 2..=TRADES).contains(&developed.trades.len()));
        let gaps: Vec<u64> = developed.trades.windows(2).map(|it| it[1].at_ns - it[0].at_ns).collect();
        assert!(gaps.iter().all(|&gap| gap == gaps[0]), "thinned evenly");
    }

    #[test]
    fn a_film_of_nothing_is_empty() {
        let developed = Film::new().develop(&Book::default());
        assert!(developed.moments.is_empty() && developed.depth.lots.is_empty());
    }
}
