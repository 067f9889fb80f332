//! OKX's messages, written from what they say. The order of the fields is the venue's own.

use std::sync::Arc;

use tickstorm_market::event::{ExecutionKind, Side};
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use crate::decoded::{
    BalanceUpdate, Continuity, DepthForm, DepthUpdate, ExecutionReport, Level, OrderStatus, QuoteUpdate,
    StatusUpdate, TickerUpdate, TradePrint,
};
use crate::text::{NUMBER_ROOM, Writer, append};
use crate::venue::Venue;

/// Renders messages from pieces that were prepared for each symbol.
#[derive(Debug, Clone)]
pub(super) struct Wording {
    pub(super) listing: Listing,
    /// Whether whole books are those of the channel `books-l2-tbt`.
    pub(super) fast: bool,
    /// Whether what is told of accounts has the fields `eventType`, `curPage` and `lastPage`.
    pub(super) paged: bool,
    time: TimeText,
    symbols: Arc<[Pieces]>,
    /// Names of the assets as JSON strings.
    assets: Arc<[Box<[u8]>]>,
}

/// What is the same in all messages of a symbol.
#[derive(Debug)]
pub(super) struct Pieces {
    /// `"instId":"BTC-USDT"`.
    inst_id: Box<[u8]>,
    /// 1e-8 quote units.
    tick: u64,
    /// 1e-8 base units.
    lot: u64,
}

/// The last time written. Most messages share their millisecond with the one before.
#[derive(Debug, Clone)]
struct TimeText {
    ms: u64,
    digits: [u8; TIME_DIGITS],
}

impl Wording {
    pub(super) fn new(listing: &Listing) -> Self {
        let symbols = listing.instruments.iter().map(|instrument| Pieces::new(listing, instrument));
        Self {
            time: TimeText { ms: NO_TIME, digits: *b"0000000000000" },
            symbols: symbols.collect(),
            assets: listing.assets.iter().map(|name| json_string(name).into_bytes().into()).collect(),
            listing: listing.clone(),
            fast: false,
            paged: true,
        }
    }

    /// A message of the book channel with the update's depth. `false` if the update is not chained as the venue's
    /// are.
    #[inline]
    pub(super) fn depth(&mut self, update: &DepthUpdate<'_>, out: &mut Vec<u8>) -> bool {
        let Continuity::Chain { previous, id } = update.continuity else { return false };
        let pieces = &self.symbols[update.symbol.0 as usize];
        let levels = update.bids.len() + update.asks.len();
        let room = 200 + 4 * NUMBER_ROOM + 2 * pieces.inst_id.len() + levels * LEVEL_ROOM;
        let replaces = update.form == DepthForm::Snapshot && matches!(update.depth, Some(1 | 5));
        append(out, room, |w| {
            match update.depth {
                Some(1) if replaces => w.literal(br#"{"arg":{"channel":"bbo-tbt","#),
                Some(5) if replaces => w.literal(br#"{"arg":{"channel":"books5","#),
                Some(50) => w.literal(br#"{"arg":{"channel":"books50-l2-tbt","#),
                _ if self.fast => w.literal(br#"{"arg":{"channel":"books-l2-tbt","#),
                _ => w.literal(br#"{"arg":{"channel":"books","#),
            }
            w.bytes(&pieces.inst_id);
            match update.form {
                _ if replaces => w.literal(br#"},"data":[{"asks":["#),
                DepthForm::Snapshot => w.literal(br#"},"action":"snapshot","data":[{"asks":["#),
                DepthForm::Update => w.literal(br#"},"action":"update","data":[{"asks":["#),
            }
            pieces.levels(update.asks, w);
            w.literal(br#"],"bids":["#);
            pieces.levels(update.bids, w);
            w.literal(br#"],"#);
            if replaces && update.depth == Some(5) {
                w.bytes(&pieces.inst_id);
                w.literal(b",");
            }
            w.literal(br#""ts":""#);
            self.time.write(update.event_ns.unwrap_or_default(), w);
            if !replaces {
                w.literal(br#"","checksum":"#);
                signed(i64::from(update.checksum.unwrap_or_default() as i32), w);
                w.literal(br#","seqId":"#);
                w.number(id);
                w.literal(br#","prevSeqId":"#);
                match previous {
                    Some(previous) => w.number(previous),
                    None => w.literal(b"-1"),
                }
            } else {
                w.literal(br#"","seqId":"#);
                w.number(id);
            }
            w.literal(b"}]}");
        });
        true
    }

    pub(super) fn quote(&mut self, update: &QuoteUpdate, out: &mut Vec<u8>) {
        let bids = [update.bid];
        let asks = [update.ask];
        self.depth(
            &DepthUpdate {
                symbol: update.symbol,
                form: DepthForm::Snapshot,
                depth: Some(1),
                event_ns: update.event_ns,
                engine_ns: None,
                continuity: Continuity::Chain { previous: None, id: update.update_id },
                cross_sequence: None,
                checksum: None,
                bids: if update.bid == Level::default() { &[] } else { &bids },
                asks: if update.ask == Level::default() { &[] } else { &asks },
            },
            out,
        );
    }

    /// Trades of one symbol, which the first one names.
    pub(super) fn trades(&mut self, prints: &[TradePrint], out: &mut Vec<u8>) {
        let Some(first) = prints.first() else { return };
        let pieces = &self.symbols[first.symbol.0 as usize];
        let name = pieces.inst_id.len();
        let room = 50 + name + prints.len() * (110 + name + 6 * NUMBER_ROOM);
        append(out, room, |w| {
            w.literal(br#"{"arg":{"channel":"trades","#);
            w.bytes(&pieces.inst_id);
            w.literal(br#"},"data":["#);
            for (index, print) in prints.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                w.literal(b"{");
                w.bytes(&pieces.inst_id);
                w.literal(br#","tradeId":""#);
                w.number(print.trade_id);
                w.literal(br#"","px":""#);
                w.trimmed_units(pieces.price(print.price));
                w.literal(br#"","sz":""#);
                w.trimmed_units(pieces.quantity(print.quantity));
                match print.taker {
                    Side::Buy => w.literal(br#"","side":"buy","ts":""#),
                    Side::Sell => w.literal(br#"","side":"sell","ts":""#),
                }
                self.time.write(print.engine_ns, w);
                w.literal(br#"","count":""#);
                w.number(print.matches.into());
                w.literal(br#"","source":"0""#);
                if let Some(number) = print.cross_sequence {
                    w.literal(br#","seqId":"#);
                    w.number(number);
                }
                w.literal(b"}");
            }
            w.literal(b"]}");
        });
    }

    /// The prices at the day's start, which the market does not know, are those of 24 hours ago.
    pub(super) fn ticker(&mut self, update: &TickerUpdate, out: &mut Vec<u8>) {
        let pieces = &self.symbols[update.symbol.0 as usize];
        let [bid, ask] = update.best.unwrap_or_default();
        let open = pieces.price(update.open.unwrap_or_default());
        append(out, 330 + 2 * pieces.inst_id.len() + 15 * NUMBER_ROOM + 20, |w| {
            w.literal(br#"{"arg":{"channel":"tickers","#);
            w.bytes(&pieces.inst_id);
            w.literal(br#"},"data":[{"instType":"SPOT","#);
            w.bytes(&pieces.inst_id);
            w.literal(br#","last":""#);
            w.trimmed_units(pieces.price(update.last));
            w.literal(br#"","lastSz":""#);
            w.trimmed_units(pieces.quantity(update.last_quantity.unwrap_or_default()));
            w.literal(br#"","askPx":""#);
            pieces.told_price(ask.price, w);
            w.literal(br#"","askSz":""#);
            w.trimmed_units(pieces.quantity(ask.quantity));
            w.literal(br#"","bidPx":""#);
            pieces.told_price(bid.price, w);
            w.literal(br#"","bidSz":""#);
            w.trimmed_units(pieces.quantity(bid.quantity));
            w.literal(br#"","open24h":""#);
            w.trimmed_units(open);
            w.literal(br#"","high24h":""#);
            w.trimmed_units(pieces.price(update.high));
            w.literal(br#"","low24h":""#);
            w.trimmed_units(pieces.price(update.low));
            w.literal(br#"","volCcy24h":""#);
            w.wide_trimmed_units(update.quote_volume_units.unwrap_or_default());
            w.literal(br#"","vol24h":""#);
            w.wide_trimmed_units(u128::from(update.volume) * u128::from(pieces.lot));
            w.literal(br#"","sodUtc0":""#);
            w.trimmed_units(open);
            w.literal(br#"","sodUtc8":""#);
            w.trimmed_units(open);
            w.literal(br#"","ts":""#);
            self.time.write(update.event_ns.unwrap_or_default(), w);
            w.literal(br#""}]}"#);
        });
    }

    /// The client's id of an order comes from the venue's. What was paid in fees for the whole order is known only
    /// as far as this fill's share tells: own orders are filled at one price.
    pub(super) fn execution(&mut self, report: &ExecutionReport, out: &mut Vec<u8>) {
        let pieces = &self.symbols[report.symbol.0 as usize];
        let fill = report.kind == ExecutionKind::Trade;
        let quote = self.listing.instrument(report.symbol).quote;
        let fee_asset = &*self.assets[report.fee_asset.unwrap_or(quote).0 as usize];
        let names = pieces.inst_id.len() + 2 * fee_asset.len();
        append(out, 520 + names + 18 * NUMBER_ROOM, |w| {
            w.literal(br#"{"arg":{"channel":"orders","instType":"SPOT","uid":""#);
            w.number(report.account.0.into());
            w.literal(br#""},"data":[{"instType":"SPOT","#);
            w.bytes(&pieces.inst_id);
            w.literal(br#","ordId":""#);
            w.number(report.order_id);
            w.literal(br#"","clOrdId":"ts"#);
            w.six_digits(report.order_id);
            w.literal(br#"","px":""#);
            w.trimmed_units(pieces.price(report.price));
            w.literal(br#"","sz":""#);
            w.trimmed_units(pieces.quantity(report.quantity));
            match report.side {
                Side::Buy => w.literal(br#"","side":"buy""#),
                Side::Sell => w.literal(br#"","side":"sell""#),
            }
            w.literal(br#","ordType":"limit","tdMode":"cash","state":""#);
            match report.status {
                OrderStatus::New => w.literal(b"live"),
                OrderStatus::PartiallyFilled => w.literal(b"partially_filled"),
                OrderStatus::Filled => w.literal(b"filled"),
                OrderStatus::Canceled => w.literal(b"canceled"),
            }
            if fill {
                w.literal(br#"","fillPx":""#);
                w.trimmed_units(pieces.price(report.last.price));
                w.literal(br#"","fillSz":""#);
                w.trimmed_units(pieces.quantity(report.last.quantity));
                w.literal(br#"","fillTime":""#);
                self.time.write(report.engine_ns, w);
                w.literal(br#"","tradeId":""#);
                w.number(report.trade_id.unwrap_or_default());
            } else {
                w.literal(br#"","fillPx":"","fillSz":"0","fillTime":"","tradeId":""#);
            }
            w.literal(br#"","accFillSz":""#);
            w.trimmed_units(pieces.quantity(report.filled_quantity));
            w.literal(br#"","avgPx":""#);
            if report.filled_quantity > 0 {
                w.trimmed_units(pieces.price(report.price));
            }
            if fill {
                w.literal(br#"","fillFee":""#);
                charged(report.fee_units, w);
                w.literal(br#"","fillFeeCcy":"#);
                w.bytes(fee_asset);
                w.literal(br#","fee":""#);
                charged(order_fee_units(report), w);
            } else {
                w.literal(br#"","fillFee":"0","fillFeeCcy":"","fee":""#);
            }
            w.literal(br#"","feeCcy":"#);
            w.bytes(fee_asset);
            // All own orders rest, so that every fill is a maker's.
            if fill {
                w.literal(br#","execType":"M","uTime":""#);
            } else {
                w.literal(br#","execType":"","uTime":""#);
            }
            self.time.write(report.engine_ns, w);
            w.literal(br#"","cTime":""#);
            w.number(report.placed_ns.unwrap_or(report.engine_ns) / NS_PER_MS);
            w.literal(br#""}]}"#);
        });
    }

    pub(super) fn balance(&mut self, update: &BalanceUpdate<'_>, out: &mut Vec<u8>) {
        append(out, 120 + NUMBER_ROOM + self.holdings_room(update), |w| {
            w.literal(br#"{"arg":{"channel":"account","uid":""#);
            w.number(update.account.0.into());
            match update.form {
                _ if !self.paged => w.literal(b"\"}"),
                DepthForm::Snapshot => {
                    w.literal(br#""},"eventType":"snapshot","curPage":1,"lastPage":true"#);
                }
                DepthForm::Update => {
                    w.literal(br#""},"eventType":"event_update","curPage":1,"lastPage":true"#);
                }
            }
            w.literal(br#","data":["#);
            self.holdings(update, w);
            w.literal(b"]}");
        });
    }

    /// The answer to `/api/v5/account/balance`.
    pub(super) fn balances(&mut self, update: &BalanceUpdate<'_>, out: &mut Vec<u8>) {
        append(out, 50 + self.holdings_room(update), |w| {
            w.literal(br#"{"code":"0","msg":"","data":["#);
            self.holdings(update, w);
            w.literal(b"]}");
        });
    }

    fn holdings_room(&self, update: &BalanceUpdate<'_>) -> usize {
        let assets = update.balances.iter().map(|balance| self.assets[balance.asset.0 as usize].len());
        250 + NUMBER_ROOM + assets.map(|name| name + 410 + 6 * NUMBER_ROOM).sum::<usize>()
    }

    /// What holdings are worth in dollars is left empty: nobody asked what a dollar is.
    fn holdings(&mut self, update: &BalanceUpdate<'_>, w: &mut Writer<'_>) {
        w.literal(br#"{"uTime":""#);
        self.time.write(update.event_ns.unwrap_or(update.engine_ns), w);
        w.literal(br#"","totalEq":"","isoEq":"0","adjEq":"","availEq":"","ordFroz":"","imr":"","mmr":"","#);
        w.literal(br#""borrowFroz":"","notionalUsd":"","mgnRatio":"","upl":"","details":["#);
        for (index, balance) in update.balances.iter().enumerate() {
            let locked = balance.locked_units.unwrap_or_default();
            if index > 0 {
                w.literal(b",");
            }
            w.literal(br#"{"ccy":"#);
            w.bytes(&self.assets[balance.asset.0 as usize]);
            w.literal(br#","eq":""#);
            w.signed_trimmed_units(balance.total_units);
            w.literal(br#"","cashBal":""#);
            w.signed_trimmed_units(balance.total_units);
            w.literal(br#"","uTime":""#);
            self.time.write(update.engine_ns, w);
            w.literal(br#"","availBal":""#);
            w.signed_trimmed_units(balance.free_units());
            w.literal(br#"","availEq":"","frozenBal":""#);
            w.signed_trimmed_units(locked);
            w.literal(br#"","ordFrozen":""#);
            w.signed_trimmed_units(locked);
            w.literal(
                br#"","eqUsd":"","disEq":"","isoEq":"0","liab":"","upl":"0","uplLiab":"","crossLiab":"","#,
            );
            w.literal(br#""isoLiab":"","interest":"","twap":"0","maxLoan":"","notionalLever":"0","#);
            w.literal(br#""coinUsdPrice":"","stgyEq":"0","spotInUseAmt":""}"#);
        }
        w.literal(b"]}");
    }

    pub(super) fn status(&mut self, update: &StatusUpdate, out: &mut Vec<u8>) {
        let state: &[u8] = if update.trading { b"live" } else { b"suspend" };
        append(out, 70 + self.instrument_room(update.symbol), |w| {
            w.literal(br#"{"arg":{"channel":"instruments","instType":"SPOT"},"data":["#);
            self.instrument(self.listing.instrument(update.symbol), state, w);
            w.literal(b"]}");
        });
    }

    /// The answer to `/api/v5/public/instruments`.
    pub(super) fn instruments<'l>(
        &self,
        instruments: impl Iterator<Item = &'l Instrument>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(br#"{"code":"0","msg":"","data":["#);
        for (index, instrument) in instruments.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            append(out, self.instrument_room(instrument.id), |w| self.instrument(instrument, b"live", w));
        }
        out.extend_from_slice(b"]}");
    }

    fn instrument_room(&self, symbol: SymbolId) -> usize {
        let instrument = self.listing.instrument(symbol);
        let assets = [instrument.base, instrument.quote].map(|asset| self.assets[asset.0 as usize].len());
        let names = self.symbols[symbol.0 as usize].inst_id.len() + assets[0] + assets[1];
        650 + names + 4 * NUMBER_ROOM
    }

    fn instrument(&self, instrument: &Instrument, state: &[u8], w: &mut Writer<'_>) {
        w.literal(br#"{"instType":"SPOT","#);
        w.bytes(&self.symbols[instrument.id.0 as usize].inst_id);
        w.literal(br#","uly":"","instFamily":"","category":"1","baseCcy":"#);
        w.bytes(&self.assets[instrument.base.0 as usize]);
        w.literal(br#","quoteCcy":"#);
        w.bytes(&self.assets[instrument.quote.0 as usize]);
        w.literal(br#","settleCcy":"","ctVal":"","ctMult":"","ctValCcy":"","optType":"","stk":"","#);
        w.literal(br#""listTime":"1548133413000","expTime":"","lever":"","tickSz":""#);
        w.trimmed_units(instrument.tick);
        w.literal(br#"","lotSz":""#);
        w.trimmed_units(instrument.lot);
        w.literal(br#"","minSz":""#);
        w.trimmed_units(instrument.lot);
        w.literal(br#"","ctType":"","alias":"","state":""#);
        w.bytes(state);
        w.literal(br#"","ruleType":"normal","maxLmtSz":"9999999999","maxMktSz":"","maxLmtAmt":"20000000","#);
        w.literal(
            br#""maxMktAmt":"1000000","maxTwapSz":"","maxIcebergSz":"","maxTriggerSz":"","maxStopSz":""}"#,
        );
    }
}

impl Pieces {
    pub(super) fn new(listing: &Listing, instrument: &Instrument) -> Self {
        let inst_id = json_string(&Venue::Okx.symbol(listing, instrument));
        Self {
            inst_id: format!("\"instId\":{inst_id}").into_bytes().into(),
            tick: instrument.tick,
            lot: instrument.lot,
        }
    }

    #[inline(always)]
    fn price(&self, ticks: u32) -> u64 {
        u64::from(ticks).saturating_mul(self.tick)
    }

    #[inline(always)]
    fn quantity(&self, lots: u64) -> u64 {
        lots.saturating_mul(self.lot)
    }

    /// Nothing for no price.
    fn told_price(&self, ticks: u32, w: &mut Writer<'_>) {
        if ticks > 0 {
            w.trimmed_units(self.price(ticks));
        }
    }

    #[inline(always)]
    pub(super) fn levels(&self, levels: &[Level], w: &mut Writer<'_>) {
        for (index, level) in levels.iter().enumerate() {
            if index > 0 {
                w.literal(b",");
            }
            w.literal(b"[\"");
            w.trimmed_units(self.price(level.price));
            w.literal(br#"",""#);
            w.trimmed_units(self.quantity(level.quantity));
            w.literal(br#"","0",""#);
            w.number(orders_count(level.quantity));
            w.literal(b"\"]");
        }
    }
}

impl TimeText {
    #[inline(always)]
    fn write(&mut self, unix_ns: u64, w: &mut Writer<'_>) {
        let ms = unix_ns / NS_PER_MS;
        if ms == self.ms {
            w.literal(&self.digits);
        } else {
            self.write_new(ms, w);
        }
    }

    #[inline(never)]
    fn write_new(&mut self, ms: u64, w: &mut Writer<'_>) {
        let start = w.at();
        w.number(ms);
        if let Ok(digits) = w.written(start).try_into() {
            *self = Self { ms, digits };
        }
    }
}

/// Before the first message no time is written down: times in nanoseconds end long before this millisecond.
const NO_TIME: u64 = u64::MAX;

/// How many orders rest at a level, which the market does not tell: half the length of the quantity in bits, so
/// that more lots look like more orders and a level looks the same each time.
#[inline(always)]
fn orders_count(quantity: u64) -> u64 {
    u64::from(65 - quantity.leading_zeros()) / 2
}

/// The fees of all fills so far, by this one's share of them.
fn order_fee_units(report: &ExecutionReport) -> u64 {
    let last = u128::from(report.last.quantity.max(1));
    let all = u128::from(report.fee_units) * u128::from(report.filled_quantity) / last;
    u64::try_from(all).unwrap_or(u64::MAX).max(report.fee_units)
}

/// What was charged is negative.
fn charged(units: u64, w: &mut Writer<'_>) {
    if units > 0 {
        w.literal(b"-");
    }
    w.trimmed_units(units);
}

fn signed(value: i64, w: &mut Writer<'_>) {
    if value < 0 {
        w.literal(b"-");
    }
    w.number(value.unsigned_abs());
}

fn json_string(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// Digits of a Unix time in milliseconds from 2001 to 2286; other times are written without the memory.
const TIME_DIGITS: usize = 13;

const NS_PER_MS: u64 = 1_000_000;

/// `,["` price `","` quantity `","0","` orders `"]`.
pub(super) const LEVEL_ROOM: usize = 20 + 3 * NUMBER_ROOM;
