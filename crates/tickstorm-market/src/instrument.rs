//! What is traded: instruments, the assets they exchange, and the integer units everything is counted in.

use std::sync::Arc;

use tickstorm_random::Seed;

/// Smallest units of any asset in one whole unit: amounts, tick sizes and lot sizes are counted in 1e-8.
pub const UNITS_PER_WHOLE: u64 = 100_000_000;

/// Index of an instrument in the run's [`Listing`]; instrument 0 is the busiest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub u32);

/// Index of an asset in the run's [`Listing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId(pub u32);

/// One traded pair. Prices travel as whole ticks, sizes as whole lots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Position in the listing.
    pub id: SymbolId,
    /// Upper-case base and quote run together, as `BTCUSDT`.
    pub symbol: String,
    /// What is bought and sold.
    pub base: AssetId,
    /// What it is paid in.
    pub quote: AssetId,
    /// Price step in 1e-8 quote units.
    pub tick: u64,
    /// Size step in 1e-8 base units.
    pub lot: u64,
    /// First reference price in ticks; 5,000 to 50,000, so that a tick is 0.2 to 2 basis points of the price.
    pub start_price: u32,
}

impl Instrument {
    /// Quote amount, in 1e-8 units, of `lots` at `price` ticks. Exact: a listing only holds instruments whose
    /// tick times lot is a whole number of smallest units. More than fits, as only a foreign stream can name, is the
    /// most that fits.
    pub fn notional(&self, price: u32, lots: u64) -> u64 {
        let tick_lot = self.tick.saturating_mul(self.lot) / UNITS_PER_WHOLE;
        u64::from(price).saturating_mul(lots).saturating_mul(tick_lot)
    }
}

/// Everything that is traded in a run, the same for every shard and worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The instruments, busiest first.
    pub instruments: Arc<[Instrument]>,
    /// Names of the assets, as `USDT`.
    pub assets: Arc<[String]>,
}

impl Listing {
    /// So many invented but plausible spot pairs against USDT, which is asset 0: some sixty known names first, at
    /// prices near those of mid 2024, then generated ones. Prices differ a little from seed to seed. Meant for 1
    /// to 10,000 instruments.
    pub fn synthetic(symbols: u32, seed: Seed) -> Listing {
        let mut assets = vec!["USDT".to_owned()];
        let mut instruments = Vec::with_capacity(symbols as usize);
        for id in 0..symbols {
            let mut stream = seed.stream("instrument", u64::from(id));
            let (base, dollars) = match KNOWN_BASES.get(id as usize) {
                Some(&(base, dollars)) => (base.to_owned(), dollars * (0.97 + 0.06 * stream.unit())),
                None => (format!("A{:04}", id + 1), libm::pow(10.0, -2.0 + 4.5 * stream.unit())),
            };
            let price = (dollars * UNITS_PER_WHOLE as f64) as u64;
            let tick = tick_for(price);
            instruments.push(Instrument {
                id: SymbolId(id),
                symbol: format!("{base}USDT"),
                base: AssetId(id + 1),
                quote: AssetId(0),
                tick,
                lot: lot_for(price),
                start_price: (price / tick) as u32,
            });
            assets.push(base);
        }
        Listing { instruments: instruments.into(), assets: assets.into() }
    }

    /// The instrument with this id, which must come from this listing.
    #[inline]
    pub fn instrument(&self, id: SymbolId) -> &Instrument {
        &self.instruments[id.0 as usize]
    }

    /// The name of an asset of this listing.
    #[inline]
    pub fn asset(&self, id: AssetId) -> &str {
        &self.assets[id.0 as usize]
    }
}

/// The finest decimal step of which the price has fewer than 50,000, and so at least 5,000; above one dollar 2, 5
/// and 10 come next, because no venue quotes bitcoin in steps of ten.
fn tick_for(price: u64) -> u64 {
    let steps =
        [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 200_000_000, 500_000_000];
    steps.into_iter().find(|step| price / step < 50_000).unwrap_or(1_000_000_000)
}

/// The power of ten that is worth 10 to 100 dollars: the median trade is two lots.
fn lot_for(price: u64) -> u64 {
    let mut lot = 1;
    while u128::from(price) * u128::from(lot) < 10 * u128::from(UNITS_PER_WHOLE) * u128::from(UNITS_PER_WHOLE)
    {
        lot *= 10;
    }
    lot
}

/// Busiest first, with a price in dollars. Coins below a hundredth of a cent trade by the thousand, as on the
/// venues' own futures, so that their price still has enough steps.
const KNOWN_BASES: [(&str, f64); 60] = [
    ("BTC", 67_000.0),
    ("ETH", 3_500.0),
    ("SOL", 150.0),
    ("XRP", 0.52),
    ("DOGE", 0.12),
    ("BNB", 590.0),
    ("ADA", 0.45),
    ("AVAX", 35.0),
    ("LINK", 17.0),
    ("1000PEPE", 0.012),
    ("TRX", 0.12),
    ("DOT", 7.0),
    ("NEAR", 6.5),
    ("MATIC", 0.7),
    ("LTC", 84.0),
    ("BCH", 460.0),
    ("1000SHIB", 0.024),
    ("SUI", 1.1),
    ("WIF", 2.6),
    ("UNI", 9.0),
    ("APT", 9.0),
    ("ARB", 1.05),
    ("OP", 2.3),
    ("FIL", 5.8),
    ("ETC", 28.0),
    ("ATOM", 8.5),
    ("ICP", 12.0),
    ("INJ", 25.0),
    ("FTM", 0.75),
    ("TIA", 9.5),
    ("STX", 2.1),
    ("RNDR", 10.0),
    ("AAVE", 95.0),
    ("HBAR", 0.1),
    ("IMX", 2.2),
    ("XLM", 0.11),
    ("VET", 0.034),
    ("MKR", 2_700.0),
    ("GRT", 0.28),
    ("SEI", 0.52),
    ("THETA", 2.1),
    ("ALGO", 0.18),
    ("LDO", 2.0),
    ("FET", 2.2),
    ("1000FLOKI", 0.2),
    ("1000BONK", 0.03),
    ("GALA", 0.045),
    ("RUNE", 6.3),
    ("ENA", 0.85),
    ("ORDI", 45.0),
    ("SAND", 0.42),
    ("MANA", 0.43),
    ("AXS", 7.4),
    ("EGLD", 40.0),
    ("QNT", 100.0),
    ("CRV", 0.45),
    ("SNX", 2.8),
    ("DYDX", 2.0),
    ("COMP", 58.0),
    ("YFI", 6_800.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_instruments_have_exact_money_and_plausible_prices_and_sizes() {
        let listing = Listing::synthetic(10_000, Seed::new(1));
        for instrument in listing.instruments.iter() {
            assert_eq!((instrument.tick * instrument.lot) % UNITS_PER_WHOLE, 0, "{instrument:?}");
            assert!((5_000..50_000).contains(&instrument.start_price), "{instrument:?}");
            let dollars = instrument.notional(instrument.start_price, 2) as f64 / UNITS_PER_WHOLE as f64;
            assert!((19.0..201.0).contains(&dollars), "two lots are {dollars}: {instrument:?}");
        }
        assert_eq!(listing.instruments[0].symbol, "BTCUSDT");
        assert_eq!(listing.instruments[0].tick, 2 * UNITS_PER_WHOLE);
        assert_eq!(listing.instruments[60].symbol, "A0061USDT");
        assert_eq!(listing.asset(listing.instruments[60].base), "A0061");
        assert_eq!(listing.asset(AssetId(0)), "USDT");
    }

    #[test]
    fn synthetic_names_are_unique() {
        let listing = Listing::synthetic(10_000, Seed::new(1));
        let names: std::collections::BTreeSet<&str> =
            listing.instruments.iter().map(|instrument| instrument.symbol.as_str()).collect();
        assert_eq!(names.len(), 10_000);
    }

    #[test]
    fn a_longer_listing_begins_with_the_shorter_one() {
        let short = Listing::synthetic(70, Seed::new(9));
        let long = Listing::synthetic(90, Seed::new(9));
        assert_eq!(short.instruments[..], long.instruments[..70]);
    }
}
