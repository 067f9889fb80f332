//! From records to rows.

use std::io::Write as _;

use tickstorm_market::event::{
    Balance, Body, Execution, ExecutionKind, Kind, Message, Quote, Side, Snapshot, Ticker,
};

use super::{COLUMN_NAMES, COLUMNS, Column};
use crate::normalised::{Head, VERSION};
use crate::text::{self, NUMBER_ROOM};

pub(in crate::normalised) fn write_head(head: &Head, out: &mut Vec<u8>) {
    out.extend_from_slice(COLUMN_NAMES.join(",").as_bytes());
    out.push(b'\n');
    let listing = &head.listing;
    put_row("head", out, |row| {
        row.number(Column::Version, VERSION.into());
        row.signed(Column::StartUnixNs, head.start_unix_ns);
        row.number(Column::Shards, head.shards.into());
        row.number(Column::Assets, listing.assets.len() as u64);
        row.number(Column::Instruments, listing.instruments.len() as u64);
    });
    for (index, name) in listing.assets.iter().enumerate() {
        let name = quoted(name);
        put_named_row("asset", &name, out, |row| row.number(Column::Asset, index as u64));
    }
    for instrument in listing.instruments.iter() {
        let name = quoted(&instrument.symbol);
        put_named_row("instrument", &name, out, |row| {
            row.number(Column::Symbol, instrument.id.0.into());
            row.number(Column::Base, instrument.base.0.into());
            row.number(Column::QuoteAsset, instrument.quote.0.into());
            row.number(Column::Tick, instrument.tick);
            row.number(Column::Lot, instrument.lot);
            row.number(Column::StartPrice, instrument.start_price.into());
        });
    }
}

pub(in crate::normalised) fn write_snapshot(snapshot: &Snapshot, out: &mut Vec<u8>) {
    let symbol = snapshot.symbol.0.into();
    put_row("snapshot", out, |row| {
        row.number(Column::Symbol, symbol);
        row.number(Column::Sequence, snapshot.sequence);
        row.number(Column::UpdateId, snapshot.update_id);
        row.number(Column::Bids, snapshot.bids.len() as u64);
        row.number(Column::Asks, snapshot.asks.len() as u64);
    });
    for (side, levels) in [(Side::Buy, &snapshot.bids), (Side::Sell, &snapshot.asks)] {
        for &(price, quantity) in levels {
            put_row("level", out, |row| {
                row.number(Column::Symbol, symbol);
                row.side(Column::Side, side);
                row.number(Column::Price, price.into());
                row.number(Column::Quantity, quantity);
            });
        }
    }
}

pub(in crate::normalised) fn write_opening_balance(balance: &Balance, out: &mut Vec<u8>) {
    put_row("opening_balance", out, |row| row.balance(balance));
}

pub(in crate::normalised) fn write_message(message: &Message, out: &mut Vec<u8>) {
    let kind = message.body.kind();
    text::append(out, row_room(message_numbers(kind)), |out| {
        let mut row = Row { out, column: 0 };
        match &message.body {
            Body::Book(change) => {
                row.out.literal(b"book");
                row.common(message);
                row.number(Column::UpdateId, change.update_id);
                row.side(Column::Side, change.side);
                row.number(Column::Price, change.price.into());
                row.number(Column::Quantity, change.quantity);
            }
            Body::Trade(trade) => {
                row.out.literal(b"trade");
                row.common(message);
                row.number(Column::Price, trade.price.into());
                row.number(Column::Quantity, trade.quantity);
                row.number(Column::TradeId, trade.trade_id);
                row.side(Column::Taker, trade.taker);
            }
            Body::Quote(quote) => {
                row.out.literal(b"quote");
                row.common(message);
                row.quote(quote);
            }
            Body::Ticker(ticker) => {
                row.out.literal(b"ticker");
                row.common(message);
                row.ticker(ticker);
            }
            Body::Execution(execution) => {
                row.out.literal(b"execution");
                row.common(message);
                row.execution(execution);
            }
            Body::Balance(balance) => {
                row.out.literal(b"balance");
                row.common(message);
                row.balance(balance);
            }
            Body::Transfer(transfer) => {
                row.out.literal(b"transfer");
                row.common(message);
                row.number(Column::Account, transfer.account.0.into());
                row.number(Column::Asset, transfer.asset.0.into());
                row.signed(Column::Amount, transfer.amount);
            }
            Body::Status(status) => {
                row.out.literal(b"status");
                row.common(message);
                row.bool(Column::Trading, status.trading);
            }
        }
        row.end();
    });
}

fn put_row(record: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Row<'_, '_>)) {
    put_named_row(record, "", out, fill);
}

/// Names come last, so that they need no room.
fn put_named_row(record: &str, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Row<'_, '_>)) {
    text::append(out, row_room(HEAD_NUMBERS_MAX) + name.len(), |out| {
        let mut row = Row { out, column: 0 };
        row.out.bytes(record.as_bytes());
        fill(&mut row);
        row.to(Column::Name);
        row.out.bytes(name.as_bytes());
        row.end();
    });
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// A row on its way out. Columns are filled from left to right.
struct Row<'a, 'b> {
    out: &'a mut text::Writer<'b>,
    column: usize,
}

impl Row<'_, '_> {
    #[inline(always)]
    fn common(&mut self, message: &Message) {
        self.number(Column::Symbol, message.symbol.0.into());
        self.number(Column::Sequence, message.sequence);
        self.number(Column::Event, message.event);
        self.number(Column::EventNs, message.event_ns);
        self.number(Column::DueNs, message.due_ns);
        self.bool(Column::Last, message.last);
    }

    #[inline(always)]
    fn quote(&mut self, quote: &Quote) {
        self.number(Column::UpdateId, quote.update_id);
        self.number(Column::Bid, quote.bid.into());
        self.number(Column::BidQuantity, quote.bid_quantity);
        self.number(Column::Ask, quote.ask.into());
        self.number(Column::AskQuantity, quote.ask_quantity);
    }

    fn ticker(&mut self, ticker: &Ticker) {
        self.quote(&ticker.quote);
        self.number(Column::LastQuantity, ticker.last_quantity);
        self.number(Column::LastPrice, ticker.last.into());
        self.number(Column::Open, ticker.open.into());
        self.number(Column::High, ticker.high.into());
        self.number(Column::Low, ticker.low.into());
        self.number(Column::PreviousClose, ticker.previous_close.into());
        self.number(Column::Volume, ticker.volume);
        self.wide(Column::QuoteVolume, ticker.quote_volume);
        self.number(Column::FirstTradeId, ticker.first_trade_id);
        self.number(Column::LastTradeId, ticker.last_trade_id);
        self.number(Column::OpenNs, ticker.open_ns);
    }

    fn execution(&mut self, execution: &Execution) {
        self.side(Column::Side, execution.side);
        self.number(Column::Price, execution.price.into());
        self.number(Column::Quantity, execution.quantity);
        self.number(Column::TradeId, execution.trade_id);
        self.number(Column::Account, execution.account.0.into());
        self.number(Column::OrderId, execution.order_id);
        self.number(Column::ExecutionId, execution.execution_id);
        self.to(Column::Kind);
        match execution.kind {
            ExecutionKind::New => self.out.literal(b"new"),
            ExecutionKind::Trade => self.out.literal(b"trade"),
            ExecutionKind::Canceled => self.out.literal(b"canceled"),
        }
        self.number(Column::LastQuantity, execution.last_quantity);
        self.number(Column::LastPrice, execution.last_price.into());
        self.number(Column::FilledQuantity, execution.filled_quantity);
        self.number(Column::Fee, execution.fee);
        self.number(Column::FeeAsset, execution.fee_asset.0.into());
        self.number(Column::PlacedNs, execution.placed_ns);
    }

    fn balance(&mut self, balance: &Balance) {
        self.number(Column::Account, balance.account.0.into());
        self.number(Column::Asset, balance.asset.0.into());
        self.number(Column::Free, balance.free);
        self.number(Column::Locked, balance.locked);
    }

    #[inline(always)]
    fn number(&mut self, column: Column, value: u64) {
        self.to(column);
        self.out.number(value);
    }

    fn signed(&mut self, column: Column, value: i64) {
        self.to(column);
        if value < 0 {
            self.out.literal(b"-");
        }
        self.out.number(value.unsigned_abs());
    }

    fn wide(&mut self, column: Column, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.number(column, value),
            Err(_) => {
                self.to(column);
                let mut digits = [0; WIDE_DIGITS_MAX];
                let mut rest = &mut digits[..];
                write!(rest, "{value}").expect("a number of 128 bits has at most 39 digits");
                let length = WIDE_DIGITS_MAX - rest.len();
                self.out.bytes(&digits[..length]);
            }
        }
    }

    #[inline(always)]
    fn side(&mut self, column: Column, side: Side) {
        self.to(column);
        match side {
            Side::Buy => self.out.literal(b"buy"),
            Side::Sell => self.out.literal(b"sell"),
        }
    }

    #[inline(always)]
    fn bool(&mut self, column: Column, value: bool) {
        self.to(column);
        match value {
            false => self.out.literal(b"false"),
            true => self.out.literal(b"true"),
        }
    }

    /// Steps to a column further right.
    #[inline(always)]
    fn to(&mut self, column: Column) {
        self.out.bytes(&COMMAS[..column as usize - self.column]);
        self.column = column as usize;
    }

    #[inline(always)]
    fn end(&mut self) {
        self.out.bytes(&COMMAS[..COLUMNS - 1 - self.column]);
        self.out.literal(b"\n");
    }
}

const COMMAS: [u8; COLUMNS] = [b','; COLUMNS];

/// Bytes of a row with so many numbers, its words included, which are few and short.
#[inline(always)]
const fn row_room(numbers: usize) -> usize {
    COLUMNS + WORDS_BYTES_MAX + numbers * NUMBER_DIGITS_MAX + WIDE_DIGITS_MAX + NUMBER_ROOM
}

/// Numbers in a message's row: the five that all have, and those of its body, of which a wide one counts twice.
#[inline(always)]
const fn message_numbers(kind: Kind) -> usize {
    5 + match kind {
        Kind::Book | Kind::Trade => 3,
        Kind::Quote => 5,
        Kind::Ticker => 16,
        Kind::Execution => 12,
        Kind::Balance => 4,
        Kind::Transfer => 3,
        Kind::Status => 0,
    }
}

/// Numbers in a row of the head or of a snapshot.
const HEAD_NUMBERS_MAX: usize = 6;

/// `execution`, `false`, `sell` and `canceled`, or `opening_balance`.
const WORDS_BYTES_MAX: usize = 26;

/// Digits of 2^64 - 1, or the digits of 2^63 and a sign.
const NUMBER_DIGITS_MAX: usize = 20;

/// Digits of 2^128 - 1.
const WIDE_DIGITS_MAX: usize = 39;
