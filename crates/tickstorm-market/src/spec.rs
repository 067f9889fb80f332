//! What a market is to be, before it trades.

use std::sync::Arc;

use thiserror::Error;
use tickstorm_random::Seed;

use crate::instrument::{Instrument, Listing, SymbolId, UNITS_PER_WHOLE};
use crate::path::RegimeChange;
use crate::regime::Regime;

/// Everything that decides what the market says. The same spec gives the same messages; nothing else has a say.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketSpec {
    /// From which all streams of the market are derived.
    pub seed: Seed,
    /// What is traded.
    pub listing: Listing,
    /// Into how many independent parts the symbols are cut: symbol `i` belongs to shard `i % shards`. 1 to 4096.
    pub shards: u16,
    /// How many accounts place orders of their own, over all shards; at most [`MAX_ACCOUNTS`].
    pub accounts: u32,
    /// Exponent of the activity law: symbol `i` acts in proportion to `1 / (i + 1)^zipf`. 0 to 2.
    pub zipf: f64,
    /// How the market behaves from the start.
    pub regime: Regime,
    /// How it behaves later and where its prices go, in order of time; a [`FlashCrash`](crate::FlashCrash), say.
    pub regime_path: Arc<[RegimeChange]>,
    /// What it lacks.
    #[cfg(test)]
    pub(crate) ablation: Option<crate::ablation::Ablation>,
}

/// Most accounts that a market takes: each shard keeps every account's balance of every asset it trades.
pub const MAX_ACCOUNTS: u32 = 100_000;

/// Most shards of a market.
pub const MAX_SHARDS: u16 = 4096;

/// Why a spec describes no market.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SpecError {
    /// There is nothing to trade; list an instrument.
    #[error("a market needs at least one instrument")]
    NoInstruments,
    /// An instrument's `id` is not its place in the listing.
    #[error("instrument {symbol} is at place {place} of the listing but says {id}")]
    MisplacedInstrument {
        /// Which.
        symbol: String,
        /// Where it is.
        place: u32,
        /// Where it says it is.
        id: u32,
    },
    /// An instrument refers to an asset that the listing does not name.
    #[error("instrument {symbol} refers to asset {asset}, but the listing has {assets}")]
    UnknownAsset {
        /// Which.
        symbol: String,
        /// The asset's index.
        asset: u32,
        /// How many there are.
        assets: usize,
    },
    /// An instrument's units would make money inexact or overflow.
    #[error(
        "instrument {symbol}: tick {tick} times lot {lot} must be a positive multiple of {UNITS_PER_WHOLE}, and the \
         largest order must stay below 2^62 units"
    )]
    Units {
        /// Which.
        symbol: String,
        /// Its tick.
        tick: u64,
        /// Its lot.
        lot: u64,
    },
    /// A start price that leaves no room for a book below it, or too much above.
    #[error(
        "instrument {symbol}: start price must be from {MIN_START_PRICE} to {MAX_START_PRICE} ticks, got {price}"
    )]
    StartPrice {
        /// Which.
        symbol: String,
        /// The price.
        price: u32,
    },
    /// See [`MarketSpec::shards`].
    #[error("shards must be from 1 to {MAX_SHARDS}, got {0}")]
    Shards(u16),
    /// A shard that the market does not have, or that has no symbol to trade.
    #[error("shard must be below {shards} and hold a symbol, got {shard}")]
    NoSuchShard {
        /// The shard asked for.
        shard: u16,
        /// How many of the shards hold a symbol: those before this number.
        shards: u16,
    },
    /// See [`MarketSpec::accounts`].
    #[error("accounts must be at most {MAX_ACCOUNTS}, got {0}")]
    Accounts(u32),
    /// See [`MarketSpec::zipf`].
    #[error("zipf must be from 0 to 2, got {0}")]
    Zipf(f64),
    /// See [`Regime::check`].
    #[error("regime {number} must be from {low} to {high}, got {value}")]
    Regime {
        /// The number's name.
        number: &'static str,
        /// Its value.
        value: f64,
        /// The least allowed.
        low: f64,
        /// The most allowed.
        high: f64,
    },
    /// See [`MarketSpec::regime_path`].
    #[error("regime changes must be in order of time, got {at_ns} ns after {previous_ns} ns")]
    RegimeOrder {
        /// The earlier entry's time.
        previous_ns: u64,
        /// The later entry's time, which lies before it.
        at_ns: u64,
    },
    /// See [`RegimeChange::price`].
    #[error("price of a regime change must be from {LOWEST_PATH} to {HIGHEST_PATH}, got {0}")]
    PathPrice(f64),
}

impl MarketSpec {
    /// A market in its normal regime: 64 shards, 50 accounts, activity falling as one over the rank.
    pub fn new(seed: Seed, listing: Listing) -> Self {
        Self {
            seed,
            listing,
            shards: 64,
            accounts: 50,
            zipf: 1.0,
            regime: Regime::NORMAL,
            regime_path: Arc::default(),
            #[cfg(test)]
            ablation: None,
        }
    }

    /// Whether the spec describes a market.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.listing.instruments.is_empty() {
            return Err(SpecError::NoInstruments);
        }
        self.check_instruments()?;
        if self.shards == 0 || self.shards > MAX_SHARDS {
            return Err(SpecError::Shards(self.shards));
        }
        if self.accounts > MAX_ACCOUNTS {
            return Err(SpecError::Accounts(self.accounts));
        }
        if !(0.0..=2.0).contains(&self.zipf) {
            return Err(SpecError::Zipf(self.zipf));
        }
        self.regime.check()?;
        for change in self.regime_path.iter() {
            change.regime.check()?;
            if !(LOWEST_PATH..=HIGHEST_PATH).contains(&change.price) {
                return Err(SpecError::PathPrice(change.price));
            }
        }
        for pair in self.regime_path.windows(2) {
            if pair[1].at_ns < pair[0].at_ns {
                return Err(SpecError::RegimeOrder { previous_ns: pair[0].at_ns, at_ns: pair[1].at_ns });
            }
        }
        Ok(())
    }

    fn check_instruments(&self) -> Result<(), SpecError> {
        let assets = self.listing.assets.len();
        for (place, instrument) in self.listing.instruments.iter().enumerate() {
            let symbol = || instrument.symbol.clone();
            if instrument.id.0 as usize != place {
                return Err(SpecError::MisplacedInstrument {
                    symbol: symbol(),
                    place: place as u32,
                    id: instrument.id.0,
                });
            }
            for asset in [instrument.base.0, instrument.quote.0] {
                if asset as usize >= assets {
                    return Err(SpecError::UnknownAsset { symbol: symbol(), asset, assets });
                }
            }
            if !(MIN_START_PRICE..=MAX_START_PRICE).contains(&instrument.start_price) {
                return Err(SpecError::StartPrice { symbol: symbol(), price: instrument.start_price });
            }
            let product = u128::from(instrument.tick) * u128::from(instrument.lot);
            let exact = product > 0 && product.is_multiple_of(u128::from(UNITS_PER_WHOLE));
            let highest = u128::from(instrument.start_price) * u128::from(PRICE_RANGE);
            let largest = u128::from(LARGEST_OPEN_LOTS)
                * u128::from(instrument.lot).max(product / u128::from(UNITS_PER_WHOLE) * highest);
            if !exact || product > u128::from(u64::MAX) || largest >= 1 << 62 {
                return Err(SpecError::Units {
                    symbol: symbol(),
                    tick: instrument.tick,
                    lot: instrument.lot,
                });
            }
        }
        Ok(())
    }

    /// How many messages each shard gets, in proportion: the sum of its symbols' weights, zero for a shard that
    /// holds no symbol.
    pub fn shard_weights(&self) -> Vec<u64> {
        let mut weights = vec![0; usize::from(self.shards)];
        for symbol in 0..self.listing.instruments.len() {
            weights[symbol % usize::from(self.shards)] += self.symbol_weight(SymbolId(symbol as u32));
        }
        weights
    }

    /// How often a symbol acts, in proportion: `1 / (i + 1)^zipf` as a whole number, at least one.
    pub fn symbol_weight(&self, symbol: SymbolId) -> u64 {
        let share = WEIGHT_OF_BUSIEST / libm::pow(f64::from(symbol.0) + 1.0, self.zipf);
        (libm::round(share) as u64).max(1)
    }

    /// How many ticks the [path](Self::regime_path) moves the price of a symbol of this listing for a change of one:
    /// its start price times a sensitivity of its own between a half and two. Less for a symbol that has too few
    /// messages in one of the path's stretches to carry its price so far.
    pub fn path_ticks(&self, symbol: SymbolId) -> f64 {
        self.path_ticks_of(self.listing.instrument(symbol), self.path_ticks_a_weight())
    }

    pub(crate) fn path_ticks_of(&self, instrument: &Instrument, ticks_a_weight: f64) -> f64 {
        let mut stream = self.seed.stream("sensitivity", u64::from(instrument.id.0));
        let ticks = f64::from(instrument.start_price) * 0.5 * libm::pow(4.0, stream.unit());
        ticks.min(ticks_a_weight * self.symbol_weight(instrument.id) as f64)
    }

    /// How far the order flow can carry a symbol along the path, for each unit of the symbol's weight; infinite for a
    /// path that does not say how many messages there are, or moves no price.
    pub(crate) fn path_ticks_a_weight(&self) -> f64 {
        let total_weight: u64 = self.shard_weights().iter().sum();
        let mut least = f64::INFINITY;
        for stretch in self.regime_path.windows(2) {
            let (Some(from), Some(until)) = (stretch[0].messages_before, stretch[1].messages_before) else {
                continue;
            };
            let change = (stretch[1].price - stretch[0].price).abs();
            if change > 0.0 {
                least = least.min(TICKS_A_MESSAGE * until.saturating_sub(from) as f64 / change);
            }
        }
        least / total_weight as f64
    }

    /// How many shards hold a symbol; they are the first ones.
    pub(crate) fn shards_in_use(&self) -> u16 {
        u16::try_from(self.listing.instruments.len()).unwrap_or(u16::MAX).min(self.shards)
    }
}

/// A window of 180 ticks hangs below the best bid of a price that may fall to a quarter.
const MIN_START_PRICE: u32 = 4_000;

/// Four times as much still fits the arithmetic of prices with room to spare.
const MAX_START_PRICE: u32 = 100_000_000;

/// A price stays between its start divided and multiplied by this.
pub(crate) const PRICE_RANGE: u32 = 4;

/// How far a path may go: the most sensitive symbol goes twice as far, and stays above a quarter of its start and
/// below its fourfold.
const LOWEST_PATH: f64 = -0.35;
const HIGHEST_PATH: f64 = 1.0;

/// The order flow carries a price by so many ticks with each of the symbol's messages, and no faster without
/// leaving the book behind its reference.
const TICKS_A_MESSAGE: f64 = 0.2;

/// Sixteen own orders a symbol, none above 10,000 lots.
const LARGEST_OPEN_LOTS: u64 = 160_000;

/// Leaves the ten-thousandth symbol at the steepest law four digits of its own.
const WEIGHT_OF_BUSIEST: f64 = (1u64 << 40) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(symbols: u32) -> MarketSpec {
        MarketSpec::new(Seed::new(1), Listing::synthetic(symbols, Seed::new(1)))
    }

    #[test]
    fn shard_weights_follow_the_activity_law_and_leave_empty_shards_at_zero() {
        let mut spec = spec(100);
        let weights = spec.shard_weights();
        let whole = 1u64 << 40;
        assert_eq!(weights.len(), 64);
        assert_eq!(weights[0], whole + (whole as f64 / 65.0).round() as u64);
        assert!(weights.iter().all(|&weight| weight > 0));
        spec.shards = 128;
        assert_eq!(spec.shard_weights().iter().filter(|&&weight| weight == 0).count(), 28);
        spec.zipf = 0.0;
        assert!(spec.shard_weights()[..100].iter().all(|&weight| weight == whole));
    }

    #[test]
    fn the_least_active_of_ten_thousand_symbols_still_has_a_weight() {
        let mut spec = spec(10_000);
        spec.zipf = 2.0;
        assert!(spec.symbol_weight(SymbolId(9_999)) > 1_000);
    }

    #[test]
    fn a_path_moves_no_symbol_further_than_its_messages_carry_it() {
        let mut spec = spec(100);
        let start = |symbol| f64::from(spec.listing.instrument(symbol).start_price);
        for symbol in (0..100).map(SymbolId) {
            let sensitivity = spec.path_ticks(symbol) / start(symbol);
            assert!((0.5..2.0).contains(&sensitivity), "{sensitivity}");
        }
        let unbound = spec.path_ticks(SymbolId(0));
        let point = |at_ns, price, messages| RegimeChange {
            price,
            messages_before: messages,
            ..RegimeChange::new(at_ns, Regime::CRASH)
        };
        let mut path = vec![point(1, 0.0, Some(0)), point(2, -0.1, Some(5_187)), point(3, 0.0, None)];
        spec.regime_path = path.clone().into();
        // The busiest of a hundred has a thousand of these messages, worth two hundred ticks.
        assert!((0.1 * spec.path_ticks(SymbolId(0)) - 200.0).abs() < 0.1, "{}", spec.path_ticks(SymbolId(0)));
        path[1].messages_before = Some(u64::MAX);
        spec.regime_path = path.into();
        assert_eq!(spec.path_ticks(SymbolId(0)), unbound);
    }

    #[test]
    fn a_spec_that_describes_no_market_is_refused_with_the_reason() {
        let good = spec(3);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(MarketSpec { shards: 0, ..good.clone() }.check(), Err(SpecError::Shards(0)));
        assert_eq!(MarketSpec { shards: 4097, ..good.clone() }.check(), Err(SpecError::Shards(4097)));
        assert_eq!(
            MarketSpec { accounts: 100_001, ..good.clone() }.check(),
            Err(SpecError::Accounts(100_001))
        );
        assert_eq!(MarketSpec { zipf: 2.5, ..good.clone() }.check(), Err(SpecError::Zipf(2.5)));
        let change = |at_ns| RegimeChange::new(at_ns, Regime::VOLATILE);
        assert_eq!(
            MarketSpec { regime_path: [change(5), change(4)].into(), ..good.clone() }.check(),
            Err(SpecError::RegimeOrder { previous_ns: 5, at_ns: 4 })
        );
        let too_deep = RegimeChange { price: -0.36, ..change(4) };
        assert_eq!(
            MarketSpec { regime_path: [too_deep].into(), ..good.clone() }.check(),
            Err(SpecError::PathPrice(-0.36))
        );
        let with_first = |edit: fn(&mut crate::Instrument)| {
            let mut instruments = good.listing.instruments.to_vec();
            edit(&mut instruments[0]);
            let listing = Listing { instruments: instruments.into(), assets: good.listing.assets.clone() };
            MarketSpec { listing, ..good.clone() }.check()
        };
        assert!(matches!(with_first(|first| first.tick = 3), Err(SpecError::Units { tick: 3, .. })));
        assert!(matches!(with_first(|first| first.lot = u64::MAX / 4), Err(SpecError::Units { .. })));
        assert!(matches!(
            with_first(|first| first.start_price = 10),
            Err(SpecError::StartPrice { price: 10, .. })
        ));
        assert!(matches!(
            with_first(|first| first.base.0 = 99),
            Err(SpecError::UnknownAsset { asset: 99, .. })
        ));
        assert!(matches!(
            with_first(|first| first.id.0 = 2),
            Err(SpecError::MisplacedInstrument { id: 2, .. })
        ));
        let nothing = Listing { instruments: Vec::new().into(), assets: good.listing.assets.clone() };
        assert_eq!(MarketSpec { listing: nothing, ..good.clone() }.check(), Err(SpecError::NoInstruments));
    }
}
