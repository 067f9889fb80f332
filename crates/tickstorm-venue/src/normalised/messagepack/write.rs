//! From records to arrays.

use tickstorm_market::event::{
    Balance, Body, Execution, ExecutionKind, Message, Quote, Side, Snapshot, Ticker,
};

use super::{HEAD, OPENING_BALANCE, SNAPSHOT, message_length, tag};
use crate::normalised::{Head, VERSION};

pub(in crate::normalised) fn write_head(head: &Head, out: &mut Vec<u8>) {
    put_array(6, out);
    put_uint(HEAD, out);
    put_uint(VERSION.into(), out);
    put_int(head.start_unix_ns, out);
    put_uint(head.shards.into(), out);
    put_array(head.listing.assets.len(), out);
    head.listing.assets.iter().for_each(|asset| put_text(asset, out));
    put_array(head.listing.instruments.len(), out);
    for instrument in head.listing.instruments.iter() {
        put_array(6, out);
        put_text(&instrument.symbol, out);
        put_uint(instrument.base.0.into(), out);
        put_uint(instrument.quote.0.into(), out);
        put_uint(instrument.tick, out);
        put_uint(instrument.lot, out);
        put_uint(instrument.start_price.into(), out);
    }
}

pub(in crate::normalised) fn write_snapshot(snapshot: &Snapshot, out: &mut Vec<u8>) {
    put_array(6, out);
    put_uint(SNAPSHOT, out);
    put_uint(snapshot.symbol.0.into(), out);
    put_uint(snapshot.sequence, out);
    put_uint(snapshot.update_id, out);
    for levels in [&snapshot.bids, &snapshot.asks] {
        put_array(levels.len(), out);
        for &(price, quantity) in levels {
            put_array(2, out);
            put_uint(price.into(), out);
            put_uint(quantity, out);
        }
    }
}

pub(in crate::normalised) fn write_opening_balance(balance: &Balance, out: &mut Vec<u8>) {
    put_array(5, out);
    put_uint(OPENING_BALANCE, out);
    put_uint(balance.account.0.into(), out);
    put_uint(balance.asset.0.into(), out);
    put_uint(balance.free, out);
    put_uint(balance.locked, out);
}

pub(in crate::normalised) fn write_message(message: &Message, out: &mut Vec<u8>) {
    let mut array = Array { bytes: [0; MESSAGE_ROOM], at: 0 };
    let kind = message.body.kind();
    array.header(message_length(kind));
    array.uint(tag(kind));
    array.uint(message.symbol.0.into());
    array.uint(message.sequence);
    array.uint(message.event);
    array.uint(message.event_ns);
    array.uint(message.due_ns);
    array.bool(message.last);
    match &message.body {
        Body::Book(change) => {
            array.uint(change.update_id);
            array.uint(side_number(change.side));
            array.uint(change.price.into());
            array.uint(change.quantity);
        }
        Body::Trade(trade) => {
            array.uint(trade.trade_id);
            array.uint(trade.price.into());
            array.uint(trade.quantity);
            array.uint(side_number(trade.taker));
        }
        Body::Quote(quote) => array.quote(quote),
        Body::Ticker(ticker) => array.ticker(ticker),
        Body::Execution(execution) => array.execution(execution),
        Body::Balance(balance) => {
            array.uint(balance.account.0.into());
            array.uint(balance.asset.0.into());
            array.uint(balance.free);
            array.uint(balance.locked);
        }
        Body::Transfer(transfer) => {
            array.uint(transfer.account.0.into());
            array.uint(transfer.asset.0.into());
            array.int(transfer.amount);
        }
        Body::Status(status) => array.bool(status.trading),
    }
    out.extend_from_slice(&array.bytes[..array.at]);
}

/// An array on its way out: the values of one message, whose number is bounded.
struct Array {
    bytes: [u8; MESSAGE_ROOM],
    at: usize,
}

impl Array {
    #[inline(always)]
    fn header(&mut self, elements: usize) {
        if elements < 16 {
            self.byte(0x90 | elements as u8);
        } else {
            self.byte(0xdc);
            self.byte(0);
            self.byte(elements as u8);
        }
    }

    /// Writes all nine bytes and keeps those that count: without a branch, since lengths vary from value to value.
    #[inline(always)]
    fn uint(&mut self, value: u64) {
        let (bytes, length) = encoded(value);
        self.bytes[self.at..self.at + 9].copy_from_slice(&bytes);
        self.at += length;
    }

    fn int(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.uint(value),
            Err(_) => {
                self.byte(0xd3);
                self.bytes[self.at..self.at + 8].copy_from_slice(&value.to_be_bytes());
                self.at += 8;
            }
        }
    }

    #[inline(always)]
    fn bool(&mut self, value: bool) {
        self.byte(0xc2 | u8::from(value));
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    #[inline(always)]
    fn quote(&mut self, quote: &Quote) {
        self.uint(quote.update_id);
        self.uint(quote.bid.into());
        self.uint(quote.bid_quantity);
        self.uint(quote.ask.into());
        self.uint(quote.ask_quantity);
    }

    fn ticker(&mut self, ticker: &Ticker) {
        self.quote(&ticker.quote);
        self.uint(ticker.last.into());
        self.uint(ticker.last_quantity);
        self.uint(ticker.open.into());
        self.uint(ticker.high.into());
        self.uint(ticker.low.into());
        self.uint(ticker.previous_close.into());
        self.uint(ticker.volume);
        self.uint((ticker.quote_volume >> 64) as u64);
        self.uint(ticker.quote_volume as u64);
        self.uint(ticker.first_trade_id);
        self.uint(ticker.last_trade_id);
        self.uint(ticker.open_ns);
    }

    fn execution(&mut self, execution: &Execution) {
        self.uint(execution.account.0.into());
        self.uint(execution.order_id);
        self.uint(execution.execution_id);
        self.uint(match execution.kind {
            ExecutionKind::New => 1,
            ExecutionKind::Trade => 2,
            ExecutionKind::Canceled => 3,
        });
        self.uint(side_number(execution.side));
        self.uint(execution.price.into());
        self.uint(execution.quantity);
        self.uint(execution.last_quantity);
        self.uint(execution.last_price.into());
        self.uint(execution.filled_quantity);
        self.uint(execution.fee);
        self.uint(execution.fee_asset.0.into());
        self.uint(execution.trade_id);
        self.uint(execution.placed_ns);
    }
}

fn put_array(elements: usize, out: &mut Vec<u8>) {
    match u16::try_from(elements) {
        Ok(few @ 0..16) => out.push(0x90 | few as u8),
        Ok(some) => {
            out.push(0xdc);
            out.extend_from_slice(&some.to_be_bytes());
        }
        Err(_) => {
            let many = u32::try_from(elements).expect("a listing and a book have fewer than 2^32 entries");
            out.push(0xdd);
            out.extend_from_slice(&many.to_be_bytes());
        }
    }
}

fn put_uint(value: u64, out: &mut Vec<u8>) {
    let (bytes, length) = encoded(value);
    out.extend_from_slice(&bytes[..length]);
}

fn put_int(value: i64, out: &mut Vec<u8>) {
    match u64::try_from(value) {
        Ok(value) => put_uint(value, out),
        Err(_) => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    match u16::try_from(text.len()) {
        Ok(short @ 0..32) => out.push(0xa0 | short as u8),
        Ok(length) => {
            out.push(0xda);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            let length = u32::try_from(text.len()).expect("a name is shorter than 2^32 bytes");
            out.push(0xdb);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// The shortest encoding, and how many of the bytes it takes.
#[inline(always)]
fn encoded(value: u64) -> ([u8; 9], usize) {
    let class = &CLASSES[64 - value.leading_zeros() as usize];
    let mut bytes = [0; 9];
    bytes[0] = class.marker | (value as u8 & class.mask);
    bytes[1..].copy_from_slice(&(value << class.shift).to_be_bytes());
    (bytes, class.length)
}

/// How numbers of so many bits are written.
#[derive(Clone, Copy)]
struct Class {
    marker: u8,
    /// What the first byte holds of the number itself.
    mask: u8,
    /// Brings the number's first byte to the front; without meaning where the first byte holds all.
    shift: u8,
    length: usize,
}

const CLASSES: [Class; 65] = {
    let mut classes = [Class { marker: 0, mask: 0x7f, shift: 0, length: 1 }; 65];
    let mut bits = 8;
    while bits <= 64 {
        let (marker, bytes) = match bits {
            8 => (0xcc, 1),
            9..=16 => (0xcd, 2),
            17..=32 => (0xce, 4),
            _ => (0xcf, 8),
        };
        classes[bits] = Class { marker, mask: 0, shift: 64 - 8 * bytes, length: 1 + bytes as usize };
        bits += 1;
    }
    classes
};

fn side_number(side: Side) -> u64 {
    match side {
        Side::Buy => 1,
        Side::Sell => 2,
    }
}

/// The longest message, a ticker: its header, and 24 numbers of nine bytes at most. All nine of the last are
/// written whatever its length.
const MESSAGE_ROOM: usize = 3 + 24 * 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_few_bytes_as_they_can() {
        let powers = (0..64).map(|exponent| 1u64 << exponent);
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            let mut ours = Vec::new();
            put_uint(value, &mut ours);
            let mut theirs = Vec::new();
            rmpv::encode::write_value(&mut theirs, &value.into()).unwrap();
            assert_eq!(ours, theirs, "{value}");
        }
    }
}
