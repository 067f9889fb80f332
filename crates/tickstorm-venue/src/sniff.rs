//! Whose messages a recording holds, and what they are about, told from the messages alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId, UNITS_PER_WHOLE};

use crate::text::parse_units;
use crate::venue::Venue;

/// The venue whose wording most of the messages have.
pub fn venue<'a>(messages: impl Iterator<Item = &'a [u8]>) -> Option<Venue> {
    let mut votes = [0u32; Venue::ALL.len()];
    for message in messages.take(LOOKED_AT) {
        let Ok(Value::Object(message)) = serde_json::from_slice(message) else { continue };
        if let Some(venue) = venue_of(&message) {
            votes[Venue::ALL.iter().position(|&it| it == venue).expect("all are there")] += 1;
        }
    }
    let (most, &count) = votes.iter().enumerate().max_by_key(|&(_, count)| count)?;
    (count > 0).then_some(Venue::ALL[most])
}

const LOOKED_AT: usize = 1_000;

fn venue_of(message: &Map<String, Value>) -> Option<Venue> {
    let has = |fields: &[&str]| fields.iter().all(|field| message.contains_key(*field));
    let rules: [(Venue, &[&[&str]]); 5] = [
        (Venue::Coinbase, &[&["channel", "events"], &["channel", "sequence_num"]]),
        (Venue::Kraken, &[&["channel", "data"], &["method", "success"]]),
        (Venue::Okx, &[&["arg"], &["code", "data"]]),
        (Venue::Bybit, &[&["topic", "data"], &["retCode"]]),
        (
            Venue::Binance,
            &[
                &["e", "E"],
                &["u", "s", "b", "a"],
                &["stream", "data"],
                &["lastUpdateId"],
                &["symbols", "serverTime"],
                &["subscriptionId", "event"],
                &["status", "result"],
            ],
        ),
    ];
    rules.into_iter().find(|(_, forms)| forms.iter().any(|form| has(form))).map(|(venue, _)| venue)
}

/// Instruments with the coarsest steps that fit all prices and quantities in the messages, the busiest first.
/// `None` where there is no price. Start prices are zero.
pub fn listing<'a>(venue: Venue, messages: impl Iterator<Item = &'a [u8]>) -> Option<Listing> {
    let mut seen = Seen::default();
    for message in messages {
        if let Ok(message) = serde_json::from_slice(message) {
            seen.look(venue, &message);
        }
    }
    seen.listing()
}

#[derive(Default)]
struct Seen {
    symbols: BTreeMap<String, Steps>,
    assets: Vec<String>,
}

/// The greatest common divisors of what was seen, in units; zero before anything was.
#[derive(Default)]
struct Steps {
    messages: u64,
    price: u64,
    quantity: u64,
}

impl Seen {
    fn look(&mut self, venue: Venue, message: &Value) {
        match venue {
            Venue::Binance => {
                let event =
                    [&message["data"], &message["event"], message].into_iter().find(|it| it.is_object());
                self.binance(event.unwrap_or(message));
            }
            Venue::Coinbase => self.coinbase(message),
            Venue::Kraken => self.kraken(message),
            Venue::Okx => self.okx(message),
            Venue::Bybit => self.bybit(message),
        }
    }

    fn binance(&mut self, event: &Value) {
        for balance in items(&event["B"]) {
            self.asset(&balance["a"]);
        }
        let Some(symbol) = event["s"].as_str() else { return };
        self.levels(symbol, [&event["b"], &event["a"]]);
        match event["e"].as_str() {
            Some("trade" | "aggTrade" | "executionReport") => self.pair(symbol, &event["p"], &event["q"]),
            // In short and long statistics alike.
            Some("24hrTicker" | "24hrMiniTicker") => {
                for field in ["c", "o", "h", "l"] {
                    self.pair(symbol, &event[field], &event["v"]);
                }
            }
            None => {
                self.pair(symbol, &event["b"], &event["B"]);
                self.pair(symbol, &event["a"], &event["A"]);
            }
            Some(_) => {}
        }
    }

    fn coinbase(&mut self, message: &Value) {
        for event in items(&message["events"]) {
            if let Some(symbol) = event["product_id"].as_str() {
                for update in items(&event["updates"]) {
                    self.pair(symbol, &update["price_level"], &update["new_quantity"]);
                }
            }
            for trade in items(&event["trades"]) {
                if let Some(symbol) = trade["product_id"].as_str() {
                    self.pair(symbol, &trade["price"], &trade["size"]);
                }
            }
            for ticker in items(&event["tickers"]) {
                if let Some(symbol) = ticker["product_id"].as_str() {
                    self.pair(symbol, &ticker["price"], &ticker["volume_24_h"]);
                }
            }
        }
    }

    fn kraken(&mut self, message: &Value) {
        for entry in items(&message["data"]) {
            self.asset(&entry["asset"]);
            let Some(symbol) = entry["symbol"].as_str() else { continue };
            for level in items(&entry["bids"]).chain(items(&entry["asks"])) {
                self.pair(symbol, &level["price"], &level["qty"]);
            }
            self.pair(symbol, &entry["price"], &entry["qty"]);
            self.pair(symbol, &entry["last"], &entry["volume"]);
        }
    }

    fn okx(&mut self, message: &Value) {
        let argument = message["arg"]["instId"].as_str();
        for entry in items(&message["data"]) {
            for detail in items(&entry["details"]) {
                self.asset(&detail["ccy"]);
            }
            let Some(symbol) = entry["instId"].as_str().or(argument) else { continue };
            self.levels(symbol, [&entry["bids"], &entry["asks"]]);
            self.pair(symbol, &entry["px"], &entry["sz"]);
            self.pair(symbol, &entry["last"], &entry["vol24h"]);
        }
    }

    fn bybit(&mut self, message: &Value) {
        let data = &message["data"];
        let entries: Vec<&Value> = match data {
            Value::Array(entries) => entries.iter().collect(),
            entry => vec![entry],
        };
        for entry in entries {
            for coin in items(&entry["coin"]) {
                self.asset(&coin["coin"]);
            }
            let Some(symbol) = entry["s"].as_str().or(entry["symbol"].as_str()) else { continue };
            self.levels(symbol, [&entry["b"], &entry["a"]]);
            self.pair(symbol, &entry["p"], &entry["v"]);
            self.pair(symbol, &entry["lastPrice"], &entry["volume24h"]);
            self.pair(symbol, &entry["price"], &entry["qty"]);
        }
    }

    fn levels(&mut self, symbol: &str, sides: [&Value; 2]) {
        for level in sides.into_iter().flat_map(items) {
            self.pair(symbol, &level[0], &level[1]);
        }
    }

    fn pair(&mut self, symbol: &str, price: &Value, quantity: &Value) {
        let (price, quantity) = (units(price), units(quantity));
        if price.is_none() && quantity.is_none() {
            return;
        }
        let steps = self.symbols.entry(symbol.to_owned()).or_default();
        steps.messages += 1;
        steps.price = common_divisor(steps.price, price.unwrap_or(0));
        steps.quantity = common_divisor(steps.quantity, quantity.unwrap_or(0));
    }

    fn asset(&mut self, name: &Value) {
        if let Some(name) = name.as_str()
            && !self.assets.iter().any(|known| known == name)
        {
            self.assets.push(name.to_owned());
        }
    }

    fn listing(self) -> Option<Listing> {
        let mut symbols: Vec<(String, Steps)> =
            self.symbols.into_iter().filter(|(_, steps)| steps.price > 0).collect();
        symbols.sort_by(|(a, one), (b, other)| other.messages.cmp(&one.messages).then_with(|| a.cmp(b)));
        let mut assets = Vec::new();
        let mut place = |name: &str| {
            let known = assets.iter().position(|asset| asset == name);
            let place = known.unwrap_or_else(|| {
                assets.push(name.to_owned());
                assets.len() - 1
            });
            AssetId(place as u32)
        };
        let mut instruments = Vec::with_capacity(symbols.len());
        for (name, steps) in &symbols {
            let (base, quote) = split(name, &self.assets);
            let tick = power_of_ten_in(steps.price);
            let lot = power_of_ten_in(steps.quantity.max(1));
            instruments.push(Instrument {
                id: SymbolId(instruments.len() as u32),
                symbol: [base, quote].concat(),
                base: place(base),
                quote: place(quote),
                tick,
                lot,
                start_price: 0,
            });
        }
        self.assets.iter().for_each(|asset| {
            place(asset);
        });
        (!instruments.is_empty()).then(|| Listing { instruments: instruments.into(), assets: assets.into() })
    }
}

/// Base and quote of an instrument's name.
fn split<'a>(name: &'a str, assets: &[String]) -> (&'a str, &'a str) {
    if let Some(pair) = name.split_once(['-', '/']) {
        return pair;
    }
    let known = assets.iter().map(String::as_str).chain(QUOTES);
    let quote =
        known.filter(|quote| name.len() > quote.len() && name.ends_with(quote)).max_by_key(|it| it.len());
    name.split_at(name.len() - quote.map_or(0, str::len))
}

/// Assets in which others are quoted.
const QUOTES: [&str; 18] = [
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDE", "DAI", "USD", "EUR", "TRY", "BRL", "JPY", "GBP", "BTC",
    "ETH", "BNB", "SOL", "XRP",
];

/// The largest power of ten that divides it: prices in a short recording have more in common than their step.
fn power_of_ten_in(units: u64) -> u64 {
    let mut step = 1;
    while units.is_multiple_of(step * 10) && step < UNITS_PER_WHOLE {
        step *= 10;
    }
    step
}

/// The items of an array; none of anything else.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A decimal, in quotes or not, in 1e-8 units.
fn units(value: &Value) -> Option<u64> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    u64::try_from(parse_units(&text)?).ok()
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADES: [(Venue, &str); 5] = [
        (
            Venue::Binance,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"67012.50000000","q":"0.01100000","T":1,"m":false,"M":true}"#,
        ),
        (
            Venue::Coinbase,
            r#"{"channel":"market_trades","sequence_num":6,"events":[{"type":"update","trades":[{"trade_id":"1","product_id":"BTC-USDT","price":"67012.5","size":"0.011","side":"SELL"}]}]}"#,
        ),
        (
            Venue::Kraken,
            r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USDT","side":"buy","price":67012.5,"qty":0.01100000}]}"#,
        ),
        (
            Venue::Okx,
            r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"7","px":"67012.5","sz":"0.011"}]}"#,
        ),
        (
            Venue::Bybit,
            r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{"i":"2","p":"67012.5","v":"0.011","S":"Buy","s":"BTCUSDT"}]}"#,
        ),
    ];

    #[test]
    fn every_venue_is_known_by_a_trade() {
        for (expected, text) in TRADES {
            assert_eq!(venue([text.as_bytes()].into_iter()), Some(expected));
        }
        let foreign = [&b"{\"a\":1}"[..], b"no JSON", b"[]", b"7"];
        assert_eq!(venue(foreign.into_iter()), None);
    }

    #[test]
    fn steps_and_names_are_told_from_a_trade() {
        for (venue, text) in TRADES {
            let listing = listing(venue, [text.as_bytes()].into_iter()).unwrap();
            let instrument = &listing.instruments[0];
            assert_eq!(
                (&*instrument.symbol, instrument.tick, instrument.lot),
                ("BTCUSDT", 10_000_000, 100_000)
            );
            assert_eq!(listing.asset(instrument.base), "BTC", "{venue}");
            assert_eq!(listing.asset(instrument.quote), "USDT", "{venue}");
        }
    }

    #[test]
    fn without_a_price_there_is_no_listing() {
        assert_eq!(listing(Venue::Okx, [&b"{\"arg\":{}}"[..]].into_iter()), None);
    }
}
