//! Records as Protobuf: `tickstorm.v1.Record` of `proto/tickstorm.proto`, each after its length. The library reads all
//! and writes what is rare; messages, of which there are many, are written by hand.

use prost::Message as _;
use tickstorm_market::event::{
    AccountId, Balance, Body, BookChange, Execution, ExecutionKind, Message, Quote, Side, Snapshot, Status,
    Ticker, Trade, Transfer,
};
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::reader::{MAX_RECORD_BYTES, check_version};
use super::{Head, Problem, Record, Stop, Taken, VERSION};

mod backwards;
mod wire;

pub(super) use backwards::write_message;

pub(super) fn write_head(head: &Head, out: &mut Vec<u8>) {
    let instruments = head.listing.instruments.iter();
    let wire = wire::Head {
        version: VERSION,
        start_unix_ns: head.start_unix_ns,
        shards: head.shards.into(),
        assets: head.listing.assets.to_vec(),
        instruments: instruments.map(wire::Instrument::from).collect(),
    };
    write(wire::AnyRecord::Head(wire), out);
}

pub(super) fn write_snapshot(snapshot: &Snapshot, out: &mut Vec<u8>) {
    let levels = |levels: &[(u32, u64)]| {
        levels.iter().map(|&(price, quantity)| wire::Level { price, quantity }).collect()
    };
    let wire = wire::Snapshot {
        symbol: snapshot.symbol.0,
        sequence: snapshot.sequence,
        update_id: snapshot.update_id,
        bids: levels(&snapshot.bids),
        asks: levels(&snapshot.asks),
    };
    write(wire::AnyRecord::Snapshot(wire), out);
}

pub(super) fn write_opening_balance(balance: &Balance, out: &mut Vec<u8>) {
    write(wire::AnyRecord::OpeningBalance(balance.into()), out);
}

fn write(record: wire::AnyRecord, out: &mut Vec<u8>) {
    let record = wire::Record { record: Some(record) };
    record.encode_length_delimited(out).expect("a Vec takes everything");
}

/// The record at the start of `bytes`.
pub(super) fn take(bytes: &[u8]) -> Result<Taken, Box<Stop>> {
    let (length, prefix) = record_length(bytes)?;
    let end = prefix + length;
    let body = bytes.get(prefix..end).ok_or_else(|| Stop::incomplete(end))?;
    let record = match wire::Record::decode(body) {
        Ok(record) => understood(record).map_err(|problem| problem.at(0))?,
        Err(error) => {
            return Err(Problem::new("record", format!("malformed ({error})"), "a tickstorm.v1.Record").at(0));
        }
    };
    Ok(Taken { record, length: end, lines: 0 })
}

/// The number at the start of `bytes`, and how many of them it takes.
fn record_length(bytes: &[u8]) -> Result<(usize, usize), Box<Stop>> {
    let mut length = 0;
    for (index, byte) in bytes.iter().enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if length > MAX_RECORD_BYTES || index == LENGTH_BYTES_MAX {
            return Err(Box::new(Stop::TooLong));
        }
        if byte & 0x80 == 0 {
            return Ok((length, index + 1));
        }
    }
    Err(Stop::incomplete(bytes.len() + 1))
}

fn understood(record: wire::Record) -> Result<Record, Problem> {
    match record.record {
        Some(wire::AnyRecord::Head(head)) => head.try_into().map(Record::Head),
        Some(wire::AnyRecord::Snapshot(snapshot)) => Ok(Record::Snapshot(snapshot.into())),
        Some(wire::AnyRecord::OpeningBalance(balance)) => Ok(Record::OpeningBalance(balance.into())),
        Some(wire::AnyRecord::Message(message)) => message.try_into().map(Record::Message),
        None => Err(Problem::new("record", "empty", "a head, a snapshot, a balance or a message")),
    }
}

impl From<&Instrument> for wire::Instrument {
    fn from(instrument: &Instrument) -> Self {
        Self {
            symbol: instrument.symbol.clone(),
            base: instrument.base.0,
            quote: instrument.quote.0,
            tick: instrument.tick,
            lot: instrument.lot,
            start_price: instrument.start_price,
        }
    }
}

impl From<&Balance> for wire::Balance {
    #[inline]
    fn from(balance: &Balance) -> Self {
        Self {
            account: balance.account.0,
            asset: balance.asset.0,
            free: balance.free,
            locked: balance.locked,
        }
    }
}

impl TryFrom<wire::Head> for Head {
    type Error = Problem;

    fn try_from(head: wire::Head) -> Result<Self, Problem> {
        check_version(head.version)?;
        let shards = u16::try_from(head.shards).map_err(|_| {
            Problem::new("number of shards", head.shards.to_string(), format!("at most {}", u16::MAX))
        })?;
        let instruments = (0..).zip(head.instruments).map(|(id, instrument)| Instrument {
            id: SymbolId(id),
            symbol: instrument.symbol,
            base: AssetId(instrument.base),
            quote: AssetId(instrument.quote),
            tick: instrument.tick,
            lot: instrument.lot,
            start_price: instrument.start_price,
        });
        let listing = Listing { instruments: instruments.collect(), assets: head.assets.into() };
        Ok(Head { listing, start_unix_ns: head.start_unix_ns, shards })
    }
}

impl From<wire::Snapshot> for Snapshot {
    fn from(snapshot: wire::Snapshot) -> Self {
        let levels = |levels: Vec<wire::Level>| {
            levels.into_iter().map(|level| (level.price, level.quantity)).collect()
        };
        Self {
            symbol: SymbolId(snapshot.symbol),
            sequence: snapshot.sequence,
            update_id: snapshot.update_id,
            bids: levels(snapshot.bids),
            asks: levels(snapshot.asks),
        }
    }
}

impl TryFrom<wire::Message> for Message {
    type Error = Problem;

    fn try_from(message: wire::Message) -> Result<Self, Problem> {
        let body = match message.body {
            Some(wire::Body::Book(change)) => Body::Book(change.try_into()?),
            Some(wire::Body::Trade(trade)) => Body::Trade(trade.try_into()?),
            Some(wire::Body::Quote(quote)) => Body::Quote(quote.into()),
            Some(wire::Body::Ticker(ticker)) => Body::Ticker(ticker.try_into()?),
            Some(wire::Body::Execution(execution)) => Body::Execution(execution.try_into()?),
            Some(wire::Body::Balance(balance)) => Body::Balance(balance.into()),
            Some(wire::Body::Transfer(wire::Transfer { account, asset, amount })) => {
                Body::Transfer(Transfer { account: AccountId(account), asset: AssetId(asset), amount })
            }
            Some(wire::Body::Status(wire::Status { trading })) => Body::Status(Status { trading }),
            None => return Err(Problem::new("body", "missing", "one of those in tickstorm.v1.Message")),
        };
        Ok(Self {
            symbol: SymbolId(message.symbol),
            sequence: message.sequence,
            event: message.event,
            event_ns: message.event_ns,
            due_ns: message.due_ns,
            last: message.last,
            body,
        })
    }
}

impl TryFrom<wire::BookChange> for BookChange {
    type Error = Problem;

    fn try_from(change: wire::BookChange) -> Result<Self, Problem> {
        let wire::BookChange { update_id, side, price, quantity } = change;
        Ok(Self { update_id, side: side_of("side", side)?, price, quantity })
    }
}

impl TryFrom<wire::Trade> for Trade {
    type Error = Problem;

    fn try_from(trade: wire::Trade) -> Result<Self, Problem> {
        let wire::Trade { trade_id, price, quantity, taker } = trade;
        Ok(Self { trade_id, price, quantity, taker: side_of("taker", taker)? })
    }
}

impl From<wire::Quote> for Quote {
    fn from(quote: wire::Quote) -> Self {
        let wire::Quote { update_id, bid, bid_quantity, ask, ask_quantity } = quote;
        Self { update_id, bid, bid_quantity, ask, ask_quantity }
    }
}

impl TryFrom<wire::Ticker> for Ticker {
    type Error = Problem;

    fn try_from(ticker: wire::Ticker) -> Result<Self, Problem> {
        let quote = ticker.quote.ok_or_else(|| Problem::new("quote", "missing", "there in every ticker"))?;
        Ok(Self {
            quote: quote.into(),
            last: ticker.last_price,
            last_quantity: ticker.last_quantity,
            open: ticker.open,
            high: ticker.high,
            low: ticker.low,
            previous_close: ticker.previous_close,
            volume: ticker.volume,
            quote_volume: u128::from(ticker.quote_volume_high) << 64 | u128::from(ticker.quote_volume_low),
            first_trade_id: ticker.first_trade_id,
            last_trade_id: ticker.last_trade_id,
            open_ns: ticker.open_ns,
        })
    }
}

impl TryFrom<wire::Execution> for Execution {
    type Error = Problem;

    fn try_from(execution: wire::Execution) -> Result<Self, Problem> {
        Ok(Self {
            account: AccountId(execution.account),
            order_id: execution.order_id,
            execution_id: execution.execution_id,
            kind: execution_kind_of(execution.kind)?,
            side: side_of("side", execution.side)?,
            price: execution.price,
            quantity: execution.quantity,
            last_quantity: execution.last_quantity,
            last_price: execution.last_price,
            filled_quantity: execution.filled_quantity,
            fee: execution.fee,
            fee_asset: AssetId(execution.fee_asset),
            trade_id: execution.trade_id,
            placed_ns: execution.placed_ns,
        })
    }
}

impl From<wire::Balance> for Balance {
    fn from(balance: wire::Balance) -> Self {
        let wire::Balance { account, asset, free, locked } = balance;
        Self { account: AccountId(account), asset: AssetId(asset), free, locked }
    }
}

fn side_of(field: &'static str, number: i32) -> Result<Side, Problem> {
    match wire::Side::try_from(number) {
        Ok(wire::Side::Buy) => Ok(Side::Buy),
        Ok(wire::Side::Sell) => Ok(Side::Sell),
        Ok(wire::Side::Unspecified) | Err(_) => {
            Err(Problem::new(field, number.to_string(), "1 (buy) or 2 (sell)"))
        }
    }
}

fn execution_kind_of(number: i32) -> Result<ExecutionKind, Problem> {
    match wire::ExecutionKind::try_from(number) {
        Ok(wire::ExecutionKind::New) => Ok(ExecutionKind::New),
        Ok(wire::ExecutionKind::Trade) => Ok(ExecutionKind::Trade),
        Ok(wire::ExecutionKind::Canceled) => Ok(ExecutionKind::Canceled),
        Ok(wire::ExecutionKind::Unspecified) | Err(_) => {
            Err(Problem::new("kind", number.to_string(), "1 (new), 2 (trade) or 3 (canceled)"))
        }
    }
}

/// Lengths of at most 25 bits are allowed, which take four bytes; longer ones may only be zeros behind that.
const LENGTH_BYTES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use protox::prost_reflect::{DescriptorPool, DynamicMessage, Kind, ReflectMessage as _, Value};

    use super::*;
    use crate::normalised::testing::{any_record, fields, head, one_of_each, only, written};
    use crate::normalised::{Format, Record};

    fn descriptors() -> DescriptorPool {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
        protox::Compiler::new([folder]).unwrap().open_file("tickstorm.proto").unwrap().descriptor_pool()
    }

    /// What another implementation makes of our bytes by the `.proto` file.
    fn foreign(pool: &DescriptorPool, bytes: &[u8]) -> DynamicMessage {
        let (_, prefix) = record_length(bytes).unwrap();
        let record = pool.get_message_by_name("tickstorm.v1.Record").unwrap();
        DynamicMessage::decode(record, &bytes[prefix..]).unwrap()
    }

    /// All fields by name, in the order of their numbers.
    fn named(message: &DynamicMessage, names: &mut Vec<(String, String)>) {
        assert_eq!(message.unknown_fields().count(), 0, "{message:?}");
        let mut fields: Vec<_> = message.descriptor().fields().collect();
        fields.sort_by_key(|field| field.number());
        for field in fields {
            let value = message.get_field(&field);
            let values = match value.as_ref() {
                Value::Message(_) if !message.has_field(&field) => continue,
                Value::List(values) => values.clone(),
                value => vec![value.clone()],
            };
            for value in values {
                let text = match value {
                    Value::Message(inner) => {
                        named(&inner, names);
                        continue;
                    }
                    Value::EnumNumber(number) => {
                        let Kind::Enum(numbers) = field.kind() else { panic!("{field:?} is no enum") };
                        let name = numbers.get_value(number).unwrap().name().to_lowercase();
                        name.rsplit_once('_').unwrap().1.to_owned()
                    }
                    Value::Bool(value) => value.to_string(),
                    Value::U32(value) => value.to_string(),
                    Value::U64(value) => value.to_string(),
                    Value::I64(value) => value.to_string(),
                    Value::String(value) => value,
                    other => panic!("{} is {other:?}", field.full_name()),
                };
                names.push((field.name().to_owned(), text));
            }
        }
    }

    /// The field of a record that is set, and what it holds.
    fn content(record: &DynamicMessage) -> (String, Vec<(String, String)>) {
        let mut names = Vec::new();
        named(record, &mut names);
        let (field, _) = record.fields().next().unwrap();
        (field.name().to_owned(), names)
    }

    fn owned(fields: &[(&str, String)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn the_head_has_the_fields_of_the_proto_file() {
        let head = head();
        let (record, found) =
            content(&foreign(&descriptors(), &written(Format::Protobuf, &[Record::Head(head.clone())])));
        let mut expected = vec![
            ("version", VERSION.to_string()),
            ("start_unix_ns", head.start_unix_ns.to_string()),
            ("shards", head.shards.to_string()),
        ];
        expected.extend(head.listing.assets.iter().map(|asset| ("assets", asset.clone())));
        for instrument in head.listing.instruments.iter() {
            expected.extend([
                ("symbol", instrument.symbol.clone()),
                ("base", instrument.base.0.to_string()),
                ("quote", instrument.quote.0.to_string()),
                ("tick", instrument.tick.to_string()),
                ("lot", instrument.lot.to_string()),
                ("start_price", instrument.start_price.to_string()),
            ]);
        }
        assert_eq!((record.as_str(), found), ("head", owned(&expected)));
    }

    #[test]
    fn snapshots_and_balances_have_the_fields_of_the_proto_file() {
        let pool = descriptors();
        for record in &one_of_each()[1..4] {
            let (name, found) =
                content(&foreign(&pool, &written(Format::Protobuf, std::slice::from_ref(record))));
            let (expected_name, expected) = match record {
                Record::Snapshot(snapshot) => {
                    let mut expected = vec![
                        ("symbol", snapshot.symbol.0.to_string()),
                        ("sequence", snapshot.sequence.to_string()),
                        ("update_id", snapshot.update_id.to_string()),
                    ];
                    for (price, quantity) in snapshot.bids.iter().chain(&snapshot.asks) {
                        expected.extend([("price", price.to_string()), ("quantity", quantity.to_string())]);
                    }
                    ("snapshot", expected)
                }
                Record::OpeningBalance(balance) => (
                    "opening_balance",
                    vec![
                        ("account", balance.account.0.to_string()),
                        ("asset", balance.asset.0.to_string()),
                        ("free", balance.free.to_string()),
                        ("locked", balance.locked.to_string()),
                    ],
                ),
                other => panic!("{other:?}"),
            };
            assert_eq!((name.as_str(), found), (expected_name, owned(&expected)));
        }
    }

    #[test]
    fn a_body_is_named_as_its_kind() {
        let pool = descriptors();
        let message = pool.get_message_by_name("tickstorm.v1.Message").unwrap();
        let oneof = message.oneofs().next().unwrap();
        let names: Vec<String> = oneof.fields().map(|field| field.name().to_owned()).collect();
        assert_eq!(names, tickstorm_market::Kind::ALL.map(|kind| kind.name().to_owned()));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        for bytes in [&[0x81, 0x80, 0x80, 0x08][..], &[0xff; 4], &[0x80; 6]] {
            assert_eq!(take(bytes).err(), Some(Box::new(Stop::TooLong)), "{bytes:x?}");
        }
        let largest = [0x80, 0x80, 0x80, 0x08];
        assert_eq!(take(&largest).err(), Some(Box::new(Stop::Incomplete { at_least: 4 + MAX_RECORD_BYTES })));
    }

    #[test]
    fn enums_without_a_meaning_and_missing_parts_are_named() {
        let problem = |record: wire::AnyRecord| {
            let bytes = wire::Record { record: Some(record) }.encode_length_delimited_to_vec();
            match take(&bytes).map_err(|stop| *stop) {
                Err(Stop::Wrong { problem, .. }) => format!("{} is {}", problem.field, problem.found),
                _ => panic!("accepted"),
            }
        };
        let message = |body| wire::AnyRecord::Message(wire::Message { body, ..wire::Message::default() });
        assert_eq!(problem(message(None)), "body is missing");
        let change = wire::BookChange { side: 0, ..wire::BookChange::default() };
        assert_eq!(problem(message(Some(wire::Body::Book(change)))), "side is 0");
        let trade = wire::Trade { taker: 7, ..wire::Trade::default() };
        assert_eq!(problem(message(Some(wire::Body::Trade(trade)))), "taker is 7");
        assert_eq!(problem(message(Some(wire::Body::Ticker(wire::Ticker::default())))), "quote is missing");
        assert_eq!(problem(wire::AnyRecord::Head(wire::Head::default())), "version is 0");
    }

    proptest! {
        #[test]
        fn another_implementation_reads_what_we_write_and_we_what_it_writes(record in any_record()) {
            let pool = descriptors();
            let ours = written(Format::Protobuf, std::slice::from_ref(&record));
            let theirs = foreign(&pool, &ours);
            if let Record::Message(message) = &record {
                let (name, found) = content(&theirs);
                prop_assert_eq!((name.as_str(), found), ("message", owned(&fields(message))));
            }
            let bytes = theirs.encode_length_delimited_to_vec();
            prop_assert_eq!(&bytes, &ours);
            prop_assert_eq!(only(take(&bytes), &bytes), record);
        }
    }
}
