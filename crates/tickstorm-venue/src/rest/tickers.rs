//! Statistics by HTTP: what the sockets tell of them, under the names that the HTTP interface has for it.

use serde_json::Value;
use tickstorm_market::event::{Body, Message, Quote, Snapshot, Ticker};
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::{Answer, Call};
use crate::encoder::{Encoder, Numbering};
use crate::text::units_text;
use crate::venue::Venue;
use crate::{binance, bybit, kraken};

pub(super) fn answer(
    venue: Venue,
    listing: &Listing,
    call: &Call,
    ticker: &dyn Fn(SymbolId) -> Option<Ticker>,
    start_unix_ns: i64,
    now_ns: u64,
) -> Answer {
    let (symbols, single) = match call {
        Call::Tickers { symbols, single } => (&symbols[..], *single),
        _ => (&[][..], false),
    };
    let mut encoder = Encoder::new(venue, listing, start_unix_ns);
    let asked = listing.instruments.iter().map(|instrument| instrument.id);
    let asked = asked.filter(|symbol| symbols.is_empty() || symbols.contains(symbol));
    let entries = asked.filter_map(|symbol| {
        let ticker = ticker(symbol)?;
        let (sequence, event) = (0, 0);
        let body = Body::Ticker(ticker);
        let message = Message { symbol, sequence, event, event_ns: now_ns, due_ns: now_ns, last: true, body };
        let mut told = Vec::new();
        encoder.encode(&message, &mut Numbering::default(), &mut told);
        let told: Value = serde_json::from_slice(&told).ok()?;
        match venue {
            Venue::Binance => Some(renamed(&told, &BINANCE_NAMES)),
            Venue::Okx => Some(told["data"][0].to_string()),
            Venue::Bybit => Some(with_best(&told["data"], listing, symbol, &ticker)),
            Venue::Coinbase | Venue::Kraken => None,
        }
    });
    let entries: Vec<String> = entries.collect();
    let unix_ns = u64::try_from(start_unix_ns).unwrap_or(0).saturating_add(now_ns);
    let list = entries.join(",");
    match venue {
        Venue::Binance => {
            let body = if single && !entries.is_empty() { list } else { format!("[{list}]") };
            let headers = vec![("X-MBX-USED-WEIGHT-1M", binance::rest::weight(call).to_string())];
            Answer { status: 200, headers, body: body.into_bytes() }
        }
        Venue::Okx => {
            let body = format!(r#"{{"code":"0","msg":"","data":[{list}]}}"#);
            Answer { status: 200, headers: Vec::new(), body: body.into_bytes() }
        }
        Venue::Bybit => {
            let result = format!(r#"{{"category":"spot","list":[{list}]}}"#);
            bybit::rest::enveloped(200, 0, "OK", &result, unix_ns)
        }
        Venue::Coinbase | Venue::Kraken => {
            super::Rest::new(venue, listing).refuse(&super::RestError::UnknownPath, unix_ns)
        }
    }
}

/// The statistics of an instrument before its first: nothing was traded, and the price is the first one.
pub fn untraded(instrument: &Instrument, book: &Snapshot) -> Ticker {
    let [bid, ask] = [&book.bids, &book.asks].map(|levels| levels.first().copied().unwrap_or_default());
    let quote =
        Quote { update_id: book.update_id, bid: bid.0, bid_quantity: bid.1, ask: ask.0, ask_quantity: ask.1 };
    Ticker { quote, ..kraken::without_trades(instrument.start_price) }
}

/// The fields in the order of the names that they get.
fn renamed(told: &Value, names: &[(&str, &str)]) -> String {
    let fields: Vec<String> = names.iter().map(|(from, to)| format!("{:?}:{}", to, told[*from])).collect();
    format!("{{{}}}", fields.join(","))
}

/// By HTTP, Bybit tells the best prices as well.
fn with_best(told: &Value, listing: &Listing, symbol: SymbolId, ticker: &Ticker) -> String {
    let instrument = listing.instrument(symbol);
    let quote = &ticker.quote;
    let price = |ticks: u32| units_text(u128::from(ticks) * u128::from(instrument.tick));
    let quantity = |lots: u64| units_text(u128::from(lots) * u128::from(instrument.lot));
    let best = [
        ("bid1Price", price(quote.bid)),
        ("bid1Size", quantity(quote.bid_quantity)),
        ("ask1Price", price(quote.ask)),
        ("ask1Size", quantity(quote.ask_quantity)),
    ];
    let best = best.map(|(name, value)| format!("{name:?}:{value:?}"));
    let names = BYBIT_NAMES.map(|name| (name, name));
    let rest = renamed(told, &names[1..]);
    format!("{{\"symbol\":{},{},{}", told["symbol"], best.join(","), &rest[1..])
}

/// In the order of the documentation of "24hr Ticker Price Change Statistics".
const BINANCE_NAMES: [(&str, &str); 21] = [
    ("s", "symbol"),
    ("p", "priceChange"),
    ("P", "priceChangePercent"),
    ("w", "weightedAvgPrice"),
    ("x", "prevClosePrice"),
    ("c", "lastPrice"),
    ("Q", "lastQty"),
    ("b", "bidPrice"),
    ("B", "bidQty"),
    ("a", "askPrice"),
    ("A", "askQty"),
    ("o", "openPrice"),
    ("h", "highPrice"),
    ("l", "lowPrice"),
    ("v", "volume"),
    ("q", "quoteVolume"),
    ("O", "openTime"),
    ("C", "closeTime"),
    ("F", "firstId"),
    ("L", "lastId"),
    ("n", "count"),
];

/// In the order of the documentation of "Get Tickers"; the best prices come behind the symbol.
const BYBIT_NAMES: [&str; 9] = [
    "symbol",
    "lastPrice",
    "prevPrice24h",
    "price24hPcnt",
    "highPrice24h",
    "lowPrice24h",
    "turnover24h",
    "volume24h",
    "usdIndexPrice",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::{HttpRequest, Rest};
    use crate::testing::{START_UNIX_NS, listing};

    const TICKER: Ticker = Ticker {
        quote: Quote { update_id: 9, bid: 670_124, bid_quantity: 12_000, ask: 670_125, ask_quantity: 37_570 },
        last: 670_125,
        last_quantity: 2_000,
        open: 662_000,
        high: 672_301,
        low: 658_800,
        previous_close: 661_999,
        volume: 100_000,
        quote_volume: 66_500_000_000,
        first_trade_id: 1,
        last_trade_id: 7,
        open_ns: 0,
    };

    fn told(venue: Venue, path: &str, query: &str) -> Value {
        let rest = Rest::new(venue, &listing());
        let call = rest.read_request(&HttpRequest { method: "GET", path, query, body: b"" }).unwrap();
        // The last symbol has not traded.
        let ticker = |symbol: SymbolId| (symbol.0 < 2).then_some(TICKER);
        let answer = rest.tickers(&call, &ticker, START_UNIX_NS, 5_000_000);
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn what_was_not_traded_has_its_first_price_and_the_best_ones_of_its_book() {
        let (bids, asks) = (vec![(669_999, 5), (669_998, 1)], vec![(670_001, 7)]);
        let book = Snapshot { symbol: SymbolId(0), sequence: 3, update_id: 9, bids, asks };
        let instrument = Instrument { start_price: 670_000, ..listing().instruments[0].clone() };
        let ticker = untraded(&instrument, &book);
        assert_eq!((ticker.last, ticker.open, ticker.volume), (670_000, 670_000, 0));
        let Quote { bid, bid_quantity, ask, ask_quantity, .. } = ticker.quote;
        assert_eq!((bid, bid_quantity, ask, ask_quantity), (669_999, 5, 670_001, 7));
    }

    #[test]
    fn binance_tells_one_or_a_list() {
        let one = told(Venue::Binance, "/api/v3/ticker/24hr", "symbol=BTCUSDT");
        assert_eq!(one["symbol"], "BTCUSDT");
        assert_eq!(
            (&one["lastPrice"], &one["priceChange"]),
            (&"67012.50000000".into(), &"812.50000000".into())
        );
        assert_eq!((&one["bidQty"], &one["count"]), (&"0.12000000".into(), &7.into()));
        assert_eq!(one["closeTime"], 1_795_420_800_005_u64);
        assert_eq!(one["openTime"], 1_795_420_800_000_u64);
        assert_eq!(one.as_object().unwrap().len(), BINANCE_NAMES.len());
        let all = told(Venue::Binance, "/api/v3/ticker/24hr", "");
        assert_eq!(all.as_array().unwrap().len(), 2);
        assert_eq!(all[0], one);
        let some = told(Venue::Binance, "/api/v3/ticker/24hr", "symbols=%5B%22BTCUSDT%22%5D");
        assert_eq!(some, Value::from(vec![one]));
    }

    #[test]
    fn okx_and_bybit_tell_a_list_in_their_envelope() {
        let all = told(Venue::Okx, "/api/v5/market/tickers", "instType=SPOT");
        assert_eq!(all["data"].as_array().unwrap().len(), 2);
        let one = told(Venue::Okx, "/api/v5/market/ticker", "instId=BTC-USDT");
        assert_eq!((&one["code"], &one["data"][0]), (&"0".into(), &all["data"][0]));
        assert_eq!((&one["data"][0]["last"], &one["data"][0]["bidSz"]), (&"67012.5".into(), &"0.12".into()));
        let swaps = told(Venue::Okx, "/api/v5/market/tickers", "instType=SWAP");
        assert_eq!(swaps["code"], "0");
        let one = told(Venue::Bybit, "/v5/market/tickers", "category=spot&symbol=BTCUSDT");
        let entry = &one["result"]["list"][0];
        assert_eq!((&entry["symbol"], &entry["ask1Price"]), (&"BTCUSDT".into(), &"67012.5".into()));
        assert_eq!((&entry["ask1Size"], &entry["lastPrice"]), (&"0.3757".into(), &"67012.5".into()));
        assert_eq!(entry.as_object().unwrap().len(), BYBIT_NAMES.len() + 4);
    }
}
