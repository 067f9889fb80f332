//! What the messages are about.

use tickstorm_market::{AssetId, Instrument, Listing, SymbolId};

/// The instruments of the example messages in `testdata`, and some at the ends of what a listing may hold.
pub fn listing() -> Listing {
    let instrument = |id, base, quote, tick, lot| Instrument {
        id: SymbolId(id),
        symbol: [ASSETS[base], ASSETS[quote]].concat(),
        base: AssetId(base as u32),
        quote: AssetId(quote as u32),
        tick,
        lot,
        start_price: 10_000,
    };
    Listing {
        instruments: [
            instrument(0, 1, 0, 10_000_000, 1_000),
            instrument(1, 2, 0, 1, 100_000_000),
            instrument(2, 3, 0, 25_000, 40_000),
            // Twice 2^63 smallest units come in a tick and a lot.
            instrument(3, 4, 0, 100_000_000_000, 100_000_000),
            instrument(4, 1, 5, 1_000_000, 100),
        ]
        .into(),
        assets: ASSETS.map(String::from).into(),
    }
}

const ASSETS: [&str; 6] = ["USDT", "BTC", "PEPE", "Ü\"", "ISLE", "USD"];
