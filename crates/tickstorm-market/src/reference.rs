//! The price that the order flow follows: moved by news and by surprising trades, more or less strongly as
//! volatility comes and goes.

use tickstorm_random::Stream;

use crate::spec::PRICE_RANGE;
use crate::tables::Tables;

/// A symbol's reference price, a real number of ticks, and its state of volatility.
///
/// Volatility is a Markov-switching multifractal: a product of seven components, each high or low and redrawn at
/// its own pace, from every 64 events to every 50,000. So it clusters over that whole range of time.
pub(crate) struct Reference {
    price: f64,
    volatility: f64,
    lowest: f64,
    highest: f64,
    high_components: u8,
    events_to_news: u8,
}

impl Reference {
    pub(crate) fn new(price: f64, tables: &Tables, stream: &mut Stream) -> Self {
        let high_components = (stream.word() >> 57) as u8;
        Self {
            price,
            volatility: volatility(high_components, tables),
            lowest: price / f64::from(PRICE_RANGE),
            highest: price * f64::from(PRICE_RANGE),
            high_components,
            events_to_news: NEWS_EVERY,
        }
    }

    #[inline]
    pub(crate) fn price(&self) -> f64 {
        self.price
    }

    /// One in the long run's mean square; from 0.06 to 4.6.
    #[inline]
    pub(crate) fn volatility(&self) -> f64 {
        self.volatility
    }

    /// One event of the symbol has come; every sixteenth brings news. `strength` is the regime's factor.
    #[inline]
    pub(crate) fn on_event(&mut self, strength: f64, tables: &Tables, stream: &mut Stream) {
        self.events_to_news -= 1;
        if self.events_to_news == 0 {
            self.events_to_news = NEWS_EVERY;
            self.on_news(strength, tables, stream);
        }
    }

    fn on_news(&mut self, strength: f64, tables: &Tables, stream: &mut Stream) {
        self.shift(TICKS_OF_NEWS * strength * self.volatility * tables.normal.draw(stream));
        let coins = stream.word();
        let mut redraw = REDRAW_OF_FASTEST;
        for component in 0..COMPONENTS {
            if stream.unit() < redraw {
                let high = (coins >> component & 1) as u8;
                self.high_components = self.high_components & !(1 << component) | high << component;
            }
            redraw *= REDRAW_RATIO;
        }
        self.volatility = volatility(self.high_components, tables);
    }

    /// A trade of so many lots has come. `surprise` is its sign less the sign that was to be expected: only what
    /// could not be foreseen moves the price, so that trade signs may have a memory while returns have none.
    pub(crate) fn on_trade(&mut self, surprise: f64, lots: u32, strength: f64, tables: &Tables) {
        let weight = tables.surprise[(lots as usize).min(tables.surprise.len() - 1)];
        self.shift(SIGMA * strength * self.volatility * surprise * f64::from(weight));
    }

    /// Volatility stays as it is on average, whatever was drawn.
    pub(crate) fn steady(&mut self) {
        self.volatility = 1.0;
    }

    /// Prices are reflected at a quarter and at four times the start, so that no run, however long, leaves the
    /// range that the arithmetic of prices was made for.
    pub(crate) fn shift(&mut self, ticks: f64) {
        let price = self.price + ticks;
        let reflected = if price < self.lowest {
            2.0 * self.lowest - price
        } else if price > self.highest {
            2.0 * self.highest - price
        } else {
            price
        };
        self.price = reflected.clamp(self.lowest, self.highest);
    }
}

fn volatility(high_components: u8, tables: &Tables) -> f64 {
    tables.volatility[high_components.count_ones() as usize]
}

/// Events of a symbol from news to news.
const NEWS_EVERY: u8 = 16;

/// Scale of all moves, ticks: with the resting quantities of the book it keeps the spread at one tick most of the
/// time.
const SIGMA: f64 = 0.11;

/// Standard deviation of a piece of news at volatility one: four events' worth of sigma for its sixteen, of which
/// the trades' surprises make up the rest.
const TICKS_OF_NEWS: f64 = SIGMA * 4.0 * 0.6;

const COMPONENTS: u32 = 7;

/// Probability at each news that the fastest component is redrawn; each next one is a third as fast.
const REDRAW_OF_FASTEST: f64 = 0.25;
const REDRAW_RATIO: f64 = 0.33;

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;

    #[test]
    fn volatility_has_a_mean_square_of_one() {
        let tables = Tables::shared();
        let mean: f64 = (0..128u8).map(|bits| volatility(bits, tables)).map(|v| v * v).sum::<f64>() / 128.0;
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn news_comes_with_every_sixteenth_event() {
        let mut stream = Seed::new(1).stream("test", 0);
        let mut reference = Reference::new(10_000.0, Tables::shared(), &mut stream);
        for _ in 0..15 {
            reference.on_event(1.0, Tables::shared(), &mut stream);
        }
        assert_eq!(reference.price(), 10_000.0);
        reference.on_event(1.0, Tables::shared(), &mut stream);
        assert_ne!(reference.price(), 10_000.0);
    }

    #[test]
    fn an_expected_trade_does_not_move_the_price_and_a_surprise_moves_it_concavely() {
        let mut stream = Seed::new(1).stream("test", 0);
        let tables = Tables::shared();
        let moved = |surprise, lots| {
            let mut reference = Reference::new(10_000.0, tables, &mut stream.clone());
            reference.on_trade(surprise, lots, 1.0, tables);
            reference.price() - 10_000.0
        };
        assert_eq!(moved(0.0, 100), 0.0);
        assert!(moved(1.0, 1) > 0.0 && moved(-1.0, 1) < 0.0);
        assert!(moved(1.0, 100) < 10.0 * moved(1.0, 1));
        assert_eq!(moved(1.0, u32::MAX), moved(1.0, 4_000));
        stream.word();
    }

    #[test]
    fn the_price_never_leaves_its_range() {
        let mut reference = Reference::new(10_000.0, Tables::shared(), &mut Seed::new(1).stream("test", 0));
        for ticks in [-7_600.0, -1e9, 1e12, 30_000.0] {
            reference.shift(ticks);
            assert!((2_500.0..=40_000.0).contains(&reference.price()));
        }
    }
}
