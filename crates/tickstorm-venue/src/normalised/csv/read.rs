//! From rows to records.

use std::str::FromStr;

use tickstorm_market::event::{
    AccountId, Balance, Body, BookChange, Execution, ExecutionKind, Kind, Message, Quote, Side, Snapshot,
    Status, Ticker, Trade, Transfer,
};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::{COLUMN_NAMES, COLUMNS, Column};
use crate::normalised::reader::check_version;
use crate::normalised::{Head, Problem, Record, Stop, Taken};

/// Reads rows.
#[derive(Debug)]
pub(in crate::normalised) struct Rows {
    parser: csv_core::Reader,
    /// The row's fields, one behind the other.
    text: Box<[u8; ROW_BYTES_MAX]>,
    /// Where each of them ends; with room for one too many, so that surplus columns are noticed.
    ends: [usize; COLUMNS + 1],
    columns_are_known: bool,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            parser: csv_core::Reader::new(),
            text: Box::new([0; ROW_BYTES_MAX]),
            ends: [0; COLUMNS + 1],
            columns_are_known: false,
        }
    }
}

impl Rows {
    /// The record at the start of `bytes`.
    pub(in crate::normalised) fn take(&mut self, bytes: &[u8]) -> Result<Taken, Box<Stop>> {
        let mut rows = Cursor { rows: self, bytes, at: 0, row_line: 0, line: 0 };
        if !rows.rows.columns_are_known {
            rows.column_names()?;
        }
        rows.next()?;
        let record = match rows.cell(Column::Record) {
            b"head" => Record::Head(rows.head()?),
            b"snapshot" => Record::Snapshot(rows.snapshot()?),
            b"opening_balance" => Record::OpeningBalance(rows.balance()?),
            record => match Kind::ALL.into_iter().find(|kind| kind.name().as_bytes() == record) {
                Some(kind) => Record::Message(rows.message(kind)?),
                None => {
                    return Err(
                        rows.wrong(Column::Record, "head, snapshot, opening_balance or a kind of message")
                    );
                }
            },
        };
        let taken = Taken { record, length: rows.at, lines: rows.line as u64 };
        self.columns_are_known = true;
        Ok(taken)
    }
}

/// Steps through rows, of which it shows one at a time.
struct Cursor<'a> {
    rows: &'a mut Rows,
    bytes: &'a [u8],
    at: usize,
    /// Lines before the row that is shown, and before the next.
    row_line: usize,
    line: usize,
}

impl Cursor<'_> {
    fn column_names(&mut self) -> Result<(), Box<Stop>> {
        self.next()?;
        for (column, name) in COLUMN_NAMES.iter().enumerate() {
            if self.cell_at(column) != name.as_bytes() {
                let found = format!("{:?}", String::from_utf8_lossy(self.cell_at(column)));
                let expected = format!("{name:?} in column {}", column + 1);
                return Err(Problem::new("column name", found, expected).at(self.row_line));
            }
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Head, Box<Stop>> {
        check_version(self.number(Column::Version)?).map_err(|problem| problem.at(self.row_line))?;
        let start_unix_ns = self.number(Column::StartUnixNs)?;
        let shards = self.number(Column::Shards)?;
        let assets: u32 = self.number(Column::Assets)?;
        let instruments: u32 = self.number(Column::Instruments)?;
        let later = instruments as usize * ROW_BYTES_MIN;
        let assets = self.list("asset", assets, later, |row, index| {
            row.expect_number(Column::Asset, index)?;
            row.name()
        })?;
        let instruments = self.list("instrument", instruments, 0, |row, index| {
            row.expect_number(Column::Symbol, index)?;
            Ok(Instrument {
                id: SymbolId(index),
                symbol: row.name()?,
                base: AssetId(row.number(Column::Base)?),
                quote: AssetId(row.number(Column::QuoteAsset)?),
                tick: row.number(Column::Tick)?,
                lot: row.number(Column::Lot)?,
                start_price: row.number(Column::StartPrice)?,
            })
        })?;
        let listing = Listing { instruments: instruments.into(), assets: assets.into() };
        Ok(Head { listing, start_unix_ns, shards })
    }

    fn snapshot(&mut self) -> Result<Snapshot, Box<Stop>> {
        let symbol = self.number(Column::Symbol)?;
        let sequence = self.number(Column::Sequence)?;
        let update_id = self.number(Column::UpdateId)?;
        let bids: u32 = self.number(Column::Bids)?;
        let asks: u32 = self.number(Column::Asks)?;
        let bids = self.levels(symbol, Side::Buy, bids, asks as usize * ROW_BYTES_MIN)?;
        let asks = self.levels(symbol, Side::Sell, asks, 0)?;
        Ok(Snapshot { symbol: SymbolId(symbol), sequence, update_id, bids, asks })
    }

    fn levels(
        &mut self,
        symbol: u32,
        side: Side,
        count: u32,
        later: usize,
    ) -> Result<Vec<(u32, u64)>, Box<Stop>> {
        self.list("level", count, later, |row, _| {
            row.expect_number(Column::Symbol, symbol)?;
            if row.side(Column::Side)? != side {
                return Err(row.wrong(Column::Side, "buy as often as the snapshot says, then sell"));
            }
            Ok((row.number(Column::Price)?, row.number(Column::Quantity)?))
        })
    }

    /// So many rows of this kind, before `later` bytes of others.
    fn list<T>(
        &mut self,
        record: &'static str,
        count: u32,
        later: usize,
        mut element: impl FnMut(&mut Self, u32) -> Result<T, Box<Stop>>,
    ) -> Result<Vec<T>, Box<Stop>> {
        // An announced length costs no memory before its bytes are there.
        let at_least = self.at + count as usize * ROW_BYTES_MIN + later;
        if at_least > self.bytes.len() {
            return Err(Stop::incomplete(at_least));
        }
        let mut elements = Vec::with_capacity(count as usize);
        for index in 0..count {
            let after = (count - 1 - index) as usize * ROW_BYTES_MIN + later;
            self.next().map_err(|stop| stop.before(after))?;
            if self.cell(Column::Record) != record.as_bytes() {
                return Err(self.wrong(Column::Record, record));
            }
            elements.push(element(self, index)?);
        }
        Ok(elements)
    }

    fn message(&self, kind: Kind) -> Result<Message, Box<Stop>> {
        Ok(Message {
            symbol: SymbolId(self.number(Column::Symbol)?),
            sequence: self.number(Column::Sequence)?,
            event: self.number(Column::Event)?,
            event_ns: self.number(Column::EventNs)?,
            due_ns: self.number(Column::DueNs)?,
            last: self.bool(Column::Last)?,
            body: match kind {
                Kind::Book => Body::Book(self.book_change()?),
                Kind::Trade => Body::Trade(self.trade()?),
                Kind::Quote => Body::Quote(self.quote()?),
                Kind::Ticker => Body::Ticker(self.ticker()?),
                Kind::Execution => Body::Execution(self.execution()?),
                Kind::Balance => Body::Balance(self.balance()?),
                Kind::Transfer => Body::Transfer(self.transfer()?),
                Kind::Status => Body::Status(Status { trading: self.bool(Column::Trading)? }),
            },
        })
    }

    fn book_change(&self) -> Result<BookChange, Box<Stop>> {
        Ok(BookChange {
            update_id: self.number(Column::UpdateId)?,
            side: self.side(Column::Side)?,
            price: self.number(Column::Price)?,
            quantity: self.number(Column::Quantity)?,
        })
    }

    fn trade(&self) -> Result<Trade, Box<Stop>> {
        Ok(Trade {
            trade_id: self.number(Column::TradeId)?,
            price: self.number(Column::Price)?,
            quantity: self.number(Column::Quantity)?,
            taker: self.side(Column::Taker)?,
        })
    }

    fn quote(&self) -> Result<Quote, Box<Stop>> {
        Ok(Quote {
            update_id: self.number(Column::UpdateId)?,
            bid: self.number(Column::Bid)?,
            bid_quantity: self.number(Column::BidQuantity)?,
            ask: self.number(Column::Ask)?,
            ask_quantity: self.number(Column::AskQuantity)?,
        })
    }

    fn ticker(&self) -> Result<Ticker, Box<Stop>> {
        Ok(Ticker {
            quote: self.quote()?,
            last: self.number(Column::LastPrice)?,
            last_quantity: self.number(Column::LastQuantity)?,
            open: self.number(Column::Open)?,
            high: self.number(Column::High)?,
            low: self.number(Column::Low)?,
            previous_close: self.number(Column::PreviousClose)?,
            volume: self.number(Column::Volume)?,
            quote_volume: self.number(Column::QuoteVolume)?,
            first_trade_id: self.number(Column::FirstTradeId)?,
            last_trade_id: self.number(Column::LastTradeId)?,
            open_ns: self.number(Column::OpenNs)?,
        })
    }

    fn execution(&self) -> Result<Execution, Box<Stop>> {
        Ok(Execution {
            account: AccountId(self.number(Column::Account)?),
            order_id: self.number(Column::OrderId)?,
            execution_id: self.number(Column::ExecutionId)?,
            kind: self.execution_kind(Column::Kind)?,
            side: self.side(Column::Side)?,
            price: self.number(Column::Price)?,
            quantity: self.number(Column::Quantity)?,
            last_quantity: self.number(Column::LastQuantity)?,
            last_price: self.number(Column::LastPrice)?,
            filled_quantity: self.number(Column::FilledQuantity)?,
            fee: self.number(Column::Fee)?,
            fee_asset: AssetId(self.number(Column::FeeAsset)?),
            trade_id: self.number(Column::TradeId)?,
            placed_ns: self.number(Column::PlacedNs)?,
        })
    }

    fn balance(&self) -> Result<Balance, Box<Stop>> {
        Ok(Balance {
            account: AccountId(self.number(Column::Account)?),
            asset: AssetId(self.number(Column::Asset)?),
            free: self.number(Column::Free)?,
            locked: self.number(Column::Locked)?,
        })
    }

    fn transfer(&self) -> Result<Transfer, Box<Stop>> {
        Ok(Transfer {
            account: AccountId(self.number(Column::Account)?),
            asset: AssetId(self.number(Column::Asset)?),
            amount: self.number(Column::Amount)?,
        })
    }

    /// Shows the next row, which must be whole, up to the end of its line.
    fn next(&mut self) -> Result<(), Box<Stop>> {
        // Blank lines mean nothing; one stands between the two characters of a Windows line end.
        while let Some(b'\r' | b'\n') = self.bytes.get(self.at) {
            self.line += usize::from(self.bytes[self.at] == b'\n');
            self.at += 1;
        }
        self.row_line = self.line;
        let Rows { parser, text, ends, .. } = &mut *self.rows;
        let rest = &self.bytes[self.at..];
        parser.reset();
        parser.set_line(0);
        let (result, length, _, columns) = parser.read_record(rest, &mut text[..], ends);
        match result {
            csv_core::ReadRecordResult::Record if columns == COLUMNS => {
                self.at += length;
                self.line += parser.line() as usize;
                Ok(())
            }
            csv_core::ReadRecordResult::Record => {
                let found = format!("{columns} columns wide");
                Err(Problem::new("row", found, format!("{COLUMNS} columns wide")).at(self.row_line))
            }
            csv_core::ReadRecordResult::OutputEndsFull => {
                let found = format!("more than {COLUMNS} columns wide");
                Err(Problem::new("row", found, format!("{COLUMNS} columns wide")).at(self.row_line))
            }
            csv_core::ReadRecordResult::OutputFull => {
                let expected = format!("at most {ROW_BYTES_MAX} bytes long");
                Err(Problem::new("row", "longer", expected).at(self.row_line))
            }
            csv_core::ReadRecordResult::InputEmpty | csv_core::ReadRecordResult::End => {
                Err(Stop::incomplete(self.bytes.len() + 1))
            }
        }
    }

    fn name(&self) -> Result<String, Box<Stop>> {
        let name = std::str::from_utf8(self.cell(Column::Name));
        name.map(str::to_owned).map_err(|_| self.wrong(Column::Name, "UTF-8"))
    }

    fn expect_number(&self, column: Column, expected: u32) -> Result<(), Box<Stop>> {
        match self.number::<u32>(column)? {
            found if found == expected => Ok(()),
            _ => Err(self.wrong(column, &expected.to_string())),
        }
    }

    fn number<T: Number>(&self, column: Column) -> Result<T, Box<Stop>> {
        let cell = self.cell(column);
        let plus = cell.first() == Some(&b'+');
        let number = std::str::from_utf8(cell).ok().filter(|_| !plus).and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.wrong(column, T::ALLOWED))
    }

    fn side(&self, column: Column) -> Result<Side, Box<Stop>> {
        match self.cell(column) {
            b"buy" => Ok(Side::Buy),
            b"sell" => Ok(Side::Sell),
            _ => Err(self.wrong(column, "buy or sell")),
        }
    }

    fn execution_kind(&self, column: Column) -> Result<ExecutionKind, Box<Stop>> {
        match self.cell(column) {
            b"new" => Ok(ExecutionKind::New),
            b"trade" => Ok(ExecutionKind::Trade),
            b"canceled" => Ok(ExecutionKind::Canceled),
            _ => Err(self.wrong(column, "new, trade or canceled")),
        }
    }

    fn bool(&self, column: Column) -> Result<bool, Box<Stop>> {
        match self.cell(column) {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(self.wrong(column, "true or false")),
        }
    }

    #[cold]
    fn wrong(&self, column: Column, expected: &str) -> Box<Stop> {
        let found = match self.cell(column) {
            [] => "empty".to_owned(),
            cell => format!("{:?}", String::from_utf8_lossy(cell)),
        };
        Problem::new(COLUMN_NAMES[column as usize], found, expected).at(self.row_line)
    }

    fn cell(&self, column: Column) -> &[u8] {
        self.cell_at(column as usize)
    }

    fn cell_at(&self, column: usize) -> &[u8] {
        let start = if column == 0 { 0 } else { self.rows.ends[column - 1] };
        &self.rows.text[start..self.rows.ends[column]]
    }
}

/// A whole number, and what to say of something else.
trait Number: FromStr {
    const ALLOWED: &'static str;
}

impl Number for u16 {
    const ALLOWED: &'static str = "a whole number below 2^16";
}

impl Number for u32 {
    const ALLOWED: &'static str = "a whole number below 2^32";
}

impl Number for u64 {
    const ALLOWED: &'static str = "a whole number below 2^64";
}

impl Number for u128 {
    const ALLOWED: &'static str = "a whole number below 2^128";
}

impl Number for i64 {
    const ALLOWED: &'static str = "a whole number from -2^63 to below 2^63";
}

/// A row's commas, its line end and two words or numbers.
const ROW_BYTES_MIN: usize = COLUMNS + 2;

/// Holds the longest row that is written, name included, many times over.
const ROW_BYTES_MAX: usize = 4096;
