//! From arrays to records.

use tickstorm_market::event::{
    AccountId, Balance, Body, BookChange, Execution, ExecutionKind, Kind, Message, Quote, Side, Snapshot,
    Status, Ticker, Trade, Transfer,
};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::{HEAD, OPENING_BALANCE, SNAPSHOT, kind_of, message_length};
use crate::normalised::reader::check_version;
use crate::normalised::{Head, Problem, Record, Stop, Taken};

/// The record at the start of `bytes`.
pub(in crate::normalised) fn take(bytes: &[u8]) -> Result<Taken, Box<Stop>> {
    let mut values = Values { bytes, at: 0 };
    let elements = values.array("record")?;
    let at = values.at;
    let tag = values.uint("type of record")?;
    let kind = kind_of(tag);
    let expected = match (tag, kind) {
        (_, Some(kind)) => message_length(kind),
        (HEAD | SNAPSHOT, None) => 6,
        (OPENING_BALANCE, None) => 5,
        _ => return Err(Problem::new("type of record", tag.to_string(), "1, 2, 3 or 7 to 14").at(at)),
    };
    if elements != expected {
        let found = format!("{elements} long");
        return Err(Problem::new("record", found, format!("{expected} long for type {tag}")).at(0));
    }
    let record = match (tag, kind) {
        (_, Some(kind)) => Record::Message(values.message(kind)?),
        (HEAD, None) => Record::Head(values.head()?),
        (SNAPSHOT, None) => Record::Snapshot(values.snapshot()?),
        _ => Record::OpeningBalance(values.balance()?),
    };
    Ok(Taken { record, length: values.at, lines: 0 })
}

/// Reads one value after the other.
struct Values<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Values<'a> {
    fn message(&mut self, kind: Kind) -> Result<Message, Box<Stop>> {
        Ok(Message {
            symbol: SymbolId(self.small("symbol")?),
            sequence: self.uint("sequence")?,
            event: self.uint("event")?,
            event_ns: self.uint("event_ns")?,
            due_ns: self.uint("due_ns")?,
            last: self.bool("last")?,
            body: match kind {
                Kind::Book => Body::Book(self.book_change()?),
                Kind::Trade => Body::Trade(self.trade()?),
                Kind::Quote => Body::Quote(self.quote()?),
                Kind::Ticker => Body::Ticker(self.ticker()?),
                Kind::Execution => Body::Execution(self.execution()?),
                Kind::Balance => Body::Balance(self.balance()?),
                Kind::Transfer => Body::Transfer(self.transfer()?),
                Kind::Status => Body::Status(Status { trading: self.bool("trading")? }),
            },
        })
    }

    fn book_change(&mut self) -> Result<BookChange, Box<Stop>> {
        Ok(BookChange {
            update_id: self.uint("update_id")?,
            side: self.side("side")?,
            price: self.small("price")?,
            quantity: self.uint("quantity")?,
        })
    }

    fn trade(&mut self) -> Result<Trade, Box<Stop>> {
        Ok(Trade {
            trade_id: self.uint("trade_id")?,
            price: self.small("price")?,
            quantity: self.uint("quantity")?,
            taker: self.side("taker")?,
        })
    }

    fn quote(&mut self) -> Result<Quote, Box<Stop>> {
        Ok(Quote {
            update_id: self.uint("update_id")?,
            bid: self.small("bid")?,
            bid_quantity: self.uint("bid_quantity")?,
            ask: self.small("ask")?,
            ask_quantity: self.uint("ask_quantity")?,
        })
    }

    fn ticker(&mut self) -> Result<Ticker, Box<Stop>> {
        Ok(Ticker {
            quote: self.quote()?,
            last: self.small("last_price")?,
            last_quantity: self.uint("last_quantity")?,
            open: self.small("open")?,
            high: self.small("high")?,
            low: self.small("low")?,
            previous_close: self.small("previous_close")?,
            volume: self.uint("volume")?,
            quote_volume: {
                let high = self.uint("quote_volume_high")?;
                u128::from(high) << 64 | u128::from(self.uint("quote_volume_low")?)
            },
            first_trade_id: self.uint("first_trade_id")?,
            last_trade_id: self.uint("last_trade_id")?,
            open_ns: self.uint("open_ns")?,
        })
    }

    fn execution(&mut self) -> Result<Execution, Box<Stop>> {
        Ok(Execution {
            account: AccountId(self.small("account")?),
            order_id: self.uint("order_id")?,
            execution_id: self.uint("execution_id")?,
            kind: self.execution_kind()?,
            side: self.side("side")?,
            price: self.small("price")?,
            quantity: self.uint("quantity")?,
            last_quantity: self.uint("last_quantity")?,
            last_price: self.small("last_price")?,
            filled_quantity: self.uint("filled_quantity")?,
            fee: self.uint("fee")?,
            fee_asset: AssetId(self.small("fee_asset")?),
            trade_id: self.uint("trade_id")?,
            placed_ns: self.uint("placed_ns")?,
        })
    }

    fn balance(&mut self) -> Result<Balance, Box<Stop>> {
        Ok(Balance {
            account: AccountId(self.small("account")?),
            asset: AssetId(self.small("asset")?),
            free: self.uint("free")?,
            locked: self.uint("locked")?,
        })
    }

    fn transfer(&mut self) -> Result<Transfer, Box<Stop>> {
        Ok(Transfer {
            account: AccountId(self.small("account")?),
            asset: AssetId(self.small("asset")?),
            amount: self.int("amount")?,
        })
    }

    fn snapshot(&mut self) -> Result<Snapshot, Box<Stop>> {
        Ok(Snapshot {
            symbol: SymbolId(self.small("symbol")?),
            sequence: self.uint("sequence")?,
            update_id: self.uint("update_id")?,
            bids: self.levels("bids")?,
            asks: self.levels("asks")?,
        })
    }

    fn levels(&mut self, field: &'static str) -> Result<Vec<(u32, u64)>, Box<Stop>> {
        self.list(field, LEVEL_BYTES, |values| {
            values.array_of(2, "level")?;
            Ok((values.small("price")?, values.uint("quantity")?))
        })
    }

    fn head(&mut self) -> Result<Head, Box<Stop>> {
        let at = self.at;
        check_version(self.small("version")?).map_err(|problem| problem.at(at))?;
        let start_unix_ns = self.int("start_unix_ns")?;
        let at = self.at;
        let shards = self.small("number of shards")?;
        let shards = u16::try_from(shards).map_err(|_| {
            Problem::new("number of shards", shards.to_string(), format!("at most {}", u16::MAX)).at(at)
        })?;
        let assets = self.list("assets", 1, |values| values.text("asset").map(str::to_owned))?;
        let mut ids = 0..;
        let instruments = self.list("instruments", INSTRUMENT_BYTES, |values| {
            values.array_of(6, "instrument")?;
            Ok(Instrument {
                id: SymbolId(ids.next().expect("an array has fewer than 2^32 elements")),
                symbol: values.text("symbol")?.to_owned(),
                base: AssetId(values.small("base")?),
                quote: AssetId(values.small("quote")?),
                tick: values.uint("tick")?,
                lot: values.uint("lot")?,
                start_price: values.small("start_price")?,
            })
        })?;
        let listing = Listing { instruments: instruments.into(), assets: assets.into() };
        Ok(Head { listing, start_unix_ns, shards })
    }

    /// An array of things that take at least `least` bytes each.
    fn list<T>(
        &mut self,
        field: &'static str,
        least: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Box<Stop>>,
    ) -> Result<Vec<T>, Box<Stop>> {
        let count = self.array(field)?;
        // An announced length costs no memory before its bytes are there.
        let at_least = count.saturating_mul(least).saturating_add(self.at);
        if at_least > self.bytes.len() {
            return Err(Stop::incomplete(at_least));
        }
        let mut elements = Vec::with_capacity(count);
        for number in 1..=count {
            elements.push(element(self).map_err(|stop| stop.before((count - number) * least))?);
        }
        Ok(elements)
    }

    fn array_of(&mut self, expected: usize, field: &'static str) -> Result<(), Box<Stop>> {
        let at = self.at;
        match self.array(field)? {
            found if found == expected => Ok(()),
            found => {
                let problem = Problem::new(field, format!("{found} long"), format!("{expected} long"));
                Err(problem.at(at))
            }
        }
    }

    fn array(&mut self, field: &'static str) -> Result<usize, Box<Stop>> {
        let at = self.at;
        match self.byte()? {
            marker @ 0x90..=0x9f => Ok(usize::from(marker & 0x0f)),
            0xdc => Ok(self.big_endian::<2>()? as usize),
            0xdd => Ok(self.big_endian::<4>()? as usize),
            marker => Err(wrong_type(field, marker, "an array").at(at)),
        }
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, Box<Stop>> {
        let at = self.at;
        let length = match self.byte()? {
            marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
            0xd9 => self.big_endian::<1>()? as usize,
            0xda => self.big_endian::<2>()? as usize,
            0xdb => self.big_endian::<4>()? as usize,
            marker => return Err(wrong_type(field, marker, "a string").at(at)),
        };
        let text = self.bytes(length)?;
        std::str::from_utf8(text).map_err(|_| Problem::new(field, "no UTF-8", "UTF-8").at(at))
    }

    fn side(&mut self, field: &'static str) -> Result<Side, Box<Stop>> {
        let at = self.at;
        match self.uint(field)? {
            1 => Ok(Side::Buy),
            2 => Ok(Side::Sell),
            other => Err(Problem::new(field, other.to_string(), "1 (buy) or 2 (sell)").at(at)),
        }
    }

    fn execution_kind(&mut self) -> Result<ExecutionKind, Box<Stop>> {
        let at = self.at;
        match self.uint("kind")? {
            1 => Ok(ExecutionKind::New),
            2 => Ok(ExecutionKind::Trade),
            3 => Ok(ExecutionKind::Canceled),
            other => {
                Err(Problem::new("kind", other.to_string(), "1 (new), 2 (trade) or 3 (canceled)").at(at))
            }
        }
    }

    #[inline]
    fn bool(&mut self, field: &'static str) -> Result<bool, Box<Stop>> {
        let at = self.at;
        match self.byte()? {
            0xc2 => Ok(false),
            0xc3 => Ok(true),
            marker => Err(wrong_type(field, marker, "true or false").at(at)),
        }
    }

    #[inline]
    fn small(&mut self, field: &'static str) -> Result<u32, Box<Stop>> {
        let at = self.at;
        let value = self.uint(field)?;
        u32::try_from(value)
            .map_err(|_| Problem::new(field, value.to_string(), format!("at most {}", u32::MAX)).at(at))
    }

    #[inline]
    fn uint(&mut self, field: &'static str) -> Result<u64, Box<Stop>> {
        let at = self.at;
        match self.byte()? {
            value @ 0..=0x7f => Ok(value.into()),
            0xcc => self.big_endian::<1>(),
            0xcd => self.big_endian::<2>(),
            0xce => self.big_endian::<4>(),
            0xcf => self.big_endian::<8>(),
            _ => {
                self.at = at;
                let value = self.signed(field)?;
                u64::try_from(value).map_err(|_| Problem::new(field, value.to_string(), "at least 0").at(at))
            }
        }
    }

    fn int(&mut self, field: &'static str) -> Result<i64, Box<Stop>> {
        let at = self.at;
        if matches!(self.bytes.get(at), Some(0xd0..=0xd3 | 0xe0..)) {
            return self.signed(field);
        }
        let value = self.uint(field)?;
        i64::try_from(value)
            .map_err(|_| Problem::new(field, value.to_string(), format!("at most {}", i64::MAX)).at(at))
    }

    /// A number in one of the signed encodings, which some libraries use for positive ones too.
    #[cold]
    fn signed(&mut self, field: &'static str) -> Result<i64, Box<Stop>> {
        let at = self.at;
        match self.byte()? {
            marker @ 0xe0.. => Ok((marker as i8).into()),
            0xd0 => Ok((self.big_endian::<1>()? as i8).into()),
            0xd1 => Ok((self.big_endian::<2>()? as i16).into()),
            0xd2 => Ok((self.big_endian::<4>()? as i32).into()),
            0xd3 => Ok(self.big_endian::<8>()? as i64),
            marker => Err(wrong_type(field, marker, "a whole number").at(at)),
        }
    }

    #[inline]
    fn big_endian<const N: usize>(&mut self) -> Result<u64, Box<Stop>> {
        let mut word = [0; 8];
        word[8 - N..].copy_from_slice(self.bytes(N)?);
        Ok(u64::from_be_bytes(word))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Box<Stop>> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| Stop::incomplete(self.at + 1))?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Box<Stop>> {
        let end = self.at.saturating_add(length);
        let bytes = self.bytes.get(self.at..end).ok_or_else(|| Stop::incomplete(end))?;
        self.at = end;
        Ok(bytes)
    }
}

#[cold]
fn wrong_type(field: &'static str, marker: u8, expected: &str) -> Problem {
    let found = match marker {
        0..=0x7f | 0xcc..=0xd3 | 0xe0.. => "a whole number",
        0x80..=0x8f | 0xde | 0xdf => "a map",
        0x90..=0x9f | 0xdc | 0xdd => "an array",
        0xa0..=0xbf | 0xd9..=0xdb => "a string",
        0xc0 => "nil",
        0xc1 => "a byte that MessagePack never uses",
        0xc2 | 0xc3 => "a boolean",
        0xc4..=0xc6 => "binary data",
        0xca | 0xcb => "a float",
        0xc7..=0xc9 | 0xd4..=0xd8 => "an extension",
    };
    Problem::new(field, found, expected)
}

/// A price and a quantity in an array, each of at least a byte.
const LEVEL_BYTES: usize = 3;

/// Six values of at least a byte in an array.
const INSTRUMENT_BYTES: usize = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn signed_encodings_of_any_width_are_read(number in any::<i64>(), shift in 0..64u32) {
            let number = number >> shift;
            let widths = [
                (-32..0).contains(&number).then(|| vec![number as u8]),
                i8::try_from(number).ok().map(|n| [&[0xd0], &n.to_be_bytes()[..]].concat()),
                i16::try_from(number).ok().map(|n| [&[0xd1], &n.to_be_bytes()[..]].concat()),
                i32::try_from(number).ok().map(|n| [&[0xd2], &n.to_be_bytes()[..]].concat()),
                Some([&[0xd3], &number.to_be_bytes()[..]].concat()),
            ];
            for bytes in widths.into_iter().flatten() {
                let read = Values { bytes: &bytes, at: 0 }.int("number");
                prop_assert_eq!(read, Ok(number));
                let read = Values { bytes: &bytes, at: 0 }.uint("number");
                prop_assert_eq!(read.ok(), u64::try_from(number).ok());
            }
        }
    }
}
