//! What the tests of the normalised formats share: a head, records of any content, and their fields by name.

use proptest::prelude::*;
use tickstorm_market::event::{
    AccountId, Balance, Body, BookChange, Execution, ExecutionKind, Kind, Message, Quote, Side, Snapshot,
    Status, Ticker, Trade, Transfer,
};
use tickstorm_market::instrument::{AssetId, SymbolId};

use super::{Format, Head, Reader, Record, Stop, Taken, Writer};
use crate::testing::{START_UNIX_NS, listing};

/// The head of every test's stream: three instruments, four assets, and names that CSV must quote.
pub(super) fn head() -> Head {
    let mut listing = listing();
    let assets = ["USDT", "BTC", "PEPE, the \"frog\"", "\r\nÜ"].map(String::from);
    listing.assets = assets.into();
    Head { listing, start_unix_ns: START_UNIX_NS, shards: 64 }
}

/// A record of every kind, and a snapshot without levels.
pub(super) fn one_of_each() -> Vec<Record> {
    let mut words = (1..).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 61));
    let mut records = vec![Record::Head(head()), Record::Snapshot(snapshot(&mut words, 3))];
    records.push(Record::Snapshot(snapshot(&mut words, 0)));
    records.push(Record::OpeningBalance(balance(&mut words)));
    records.extend(Kind::ALL.map(|kind| Record::Message(message(kind, &mut words))));
    records
}

/// Any record that may follow the head, with numbers of every length equally often.
pub(super) fn any_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        1 => (any_words(84), 0..14usize).prop_map(|(words, levels)| {
            Record::Snapshot(snapshot(&mut words.into_iter(), levels))
        }),
        1 => any_words(4).prop_map(|words| Record::OpeningBalance(balance(&mut words.into_iter()))),
        8 => any_message().prop_map(Record::Message),
    ]
}

pub(super) fn any_message() -> impl Strategy<Value = Message> {
    (0..Kind::ALL.len(), any_words(26))
        .prop_map(|(kind, words)| message(Kind::ALL[kind], &mut words.into_iter()))
}

fn any_words(count: usize) -> impl Strategy<Value = Vec<u64>> {
    let word = (any::<u64>(), 0..65u32).prop_map(|(word, shift)| word.checked_shr(shift).unwrap_or(0));
    proptest::collection::vec(word, count)
}

fn snapshot(words: &mut impl Iterator<Item = u64>, levels: usize) -> Snapshot {
    let [symbol, sequence, update_id] = take(words);
    let mut side = |count| -> Vec<(u32, u64)> {
        (0..count).map(|_| take(words)).map(|[price, quantity]| (price as u32, quantity)).collect()
    };
    Snapshot {
        symbol: SymbolId((symbol % 3) as u32),
        sequence,
        update_id,
        bids: side(levels),
        asks: side(2 * levels),
    }
}

fn message(kind: Kind, words: &mut impl Iterator<Item = u64>) -> Message {
    let [symbol, sequence, event, event_ns, due_ns, last] = take(words);
    Message {
        symbol: SymbolId((symbol % 3) as u32),
        sequence,
        event,
        event_ns,
        due_ns,
        last: last % 2 == 1,
        body: match kind {
            Kind::Book => {
                let [update_id, side, price, quantity] = take(words);
                Body::Book(BookChange { update_id, side: side_of(side), price: price as u32, quantity })
            }
            Kind::Trade => {
                let [trade_id, price, quantity, taker] = take(words);
                Body::Trade(Trade { trade_id, price: price as u32, quantity, taker: side_of(taker) })
            }
            Kind::Quote => Body::Quote(quote(words)),
            Kind::Ticker => Body::Ticker(ticker(words)),
            Kind::Execution => Body::Execution(execution(words)),
            Kind::Balance => Body::Balance(balance(words)),
            Kind::Transfer => {
                let [account, asset, amount] = take(words);
                let (account, asset) = (AccountId(account as u32), AssetId((asset % 4) as u32));
                // Either sign, at every length.
                let amount = if account.0 % 2 == 0 { amount as i64 } else { (amount as i64).wrapping_neg() };
                Body::Transfer(Transfer { account, asset, amount })
            }
            Kind::Status => Body::Status(Status { trading: take::<1>(words)[0] % 2 == 1 }),
        },
    }
}

fn quote(words: &mut impl Iterator<Item = u64>) -> Quote {
    let [update_id, bid, bid_quantity, ask, ask_quantity] = take(words);
    Quote { update_id, bid: bid as u32, bid_quantity, ask: ask as u32, ask_quantity }
}

fn ticker(words: &mut impl Iterator<Item = u64>) -> Ticker {
    let quote = quote(words);
    let [last, open, high, low, previous_close] = take(words).map(|word| word as u32);
    let [last_quantity, volume, quote_high, quote_low, first_trade_id, last_trade_id, open_ns] = take(words);
    Ticker {
        quote,
        last,
        last_quantity,
        open,
        high,
        low,
        previous_close,
        volume,
        quote_volume: u128::from(quote_high) << 64 | u128::from(quote_low),
        first_trade_id,
        last_trade_id,
        open_ns,
    }
}

fn execution(words: &mut impl Iterator<Item = u64>) -> Execution {
    let [account, price, last_price, fee_asset] = take(words).map(|word| word as u32);
    let [kind, side, order_id, execution_id, quantity, last_quantity, filled_quantity] = take(words);
    let [fee, trade_id, placed_ns] = take(words);
    let kinds = [ExecutionKind::New, ExecutionKind::Trade, ExecutionKind::Canceled];
    Execution {
        account: AccountId(account),
        order_id,
        execution_id,
        kind: kinds[(kind % 3) as usize],
        side: side_of(side),
        price,
        quantity,
        last_quantity,
        last_price,
        filled_quantity,
        fee,
        fee_asset: AssetId(fee_asset % 4),
        trade_id,
        placed_ns,
    }
}

fn balance(words: &mut impl Iterator<Item = u64>) -> Balance {
    let [account, asset, free, locked] = take(words);
    Balance { account: AccountId(account as u32), asset: AssetId((asset % 4) as u32), free, locked }
}

fn side_of(word: u64) -> Side {
    if word.is_multiple_of(2) { Side::Buy } else { Side::Sell }
}

fn take<const N: usize>(words: &mut impl Iterator<Item = u64>) -> [u64; N] {
    std::array::from_fn(|_| words.next().unwrap())
}

pub(super) fn write(writer: Writer, record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Head(head) => writer.head(head, out),
        Record::Snapshot(snapshot) => writer.snapshot(snapshot, out),
        Record::OpeningBalance(balance) => writer.opening_balance(balance, out),
        Record::Message(message) => writer.message(message, out),
    }
}

pub(super) fn written(format: Format, records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    records.iter().for_each(|record| write(Writer::new(format), record, &mut out));
    out
}

/// How many records a stream has, and the error that it ends in.
pub(super) fn end_of(format: Format, stream: &[u8]) -> (usize, Option<String>) {
    let mut records = 0;
    for record in Reader::new(format, stream) {
        match record {
            Ok(_) => records += 1,
            Err(error) => return (records, Some(error.to_string())),
        }
    }
    (records, None)
}

/// The only record of `bytes`.
pub(super) fn only(taken: Result<Taken, Box<Stop>>, bytes: &[u8]) -> Record {
    let taken = taken.expect("a whole record");
    assert_eq!(taken.length, bytes.len());
    taken.record
}

/// A message's fields by name, in the order of `proto/tickstorm.proto`. Its kind is left out.
pub(super) fn fields(message: &Message) -> Vec<(&'static str, String)> {
    let Message { symbol, sequence, event, event_ns, due_ns, last, body } = message;
    let mut fields = vec![
        ("symbol", symbol.0.to_string()),
        ("sequence", sequence.to_string()),
        ("event", event.to_string()),
        ("event_ns", event_ns.to_string()),
        ("due_ns", due_ns.to_string()),
        ("last", last.to_string()),
    ];
    let side = |side| if side == Side::Buy { "buy".to_owned() } else { "sell".to_owned() };
    match body {
        Body::Book(BookChange { update_id, side: book_side, price, quantity }) => fields.extend([
            ("update_id", update_id.to_string()),
            ("side", side(*book_side)),
            ("price", price.to_string()),
            ("quantity", quantity.to_string()),
        ]),
        Body::Trade(Trade { trade_id, price, quantity, taker }) => fields.extend([
            ("trade_id", trade_id.to_string()),
            ("price", price.to_string()),
            ("quantity", quantity.to_string()),
            ("taker", side(*taker)),
        ]),
        Body::Quote(quote) => fields.extend(quote_fields(quote)),
        Body::Ticker(ticker) => {
            fields.extend(quote_fields(&ticker.quote));
            fields.extend([
                ("last_price", ticker.last.to_string()),
                ("last_quantity", ticker.last_quantity.to_string()),
                ("open", ticker.open.to_string()),
                ("high", ticker.high.to_string()),
                ("low", ticker.low.to_string()),
                ("previous_close", ticker.previous_close.to_string()),
                ("volume", ticker.volume.to_string()),
                ("quote_volume_high", ((ticker.quote_volume >> 64) as u64).to_string()),
                ("quote_volume_low", (ticker.quote_volume as u64).to_string()),
                ("first_trade_id", ticker.first_trade_id.to_string()),
                ("last_trade_id", ticker.last_trade_id.to_string()),
                ("open_ns", ticker.open_ns.to_string()),
            ]);
        }
        Body::Execution(execution) => fields.extend([
            ("account", execution.account.0.to_string()),
            ("order_id", execution.order_id.to_string()),
            ("execution_id", execution.execution_id.to_string()),
            ("kind", format!("{:?}", execution.kind).to_lowercase()),
            ("side", side(execution.side)),
            ("price", execution.price.to_string()),
            ("quantity", execution.quantity.to_string()),
            ("last_quantity", execution.last_quantity.to_string()),
            ("last_price", execution.last_price.to_string()),
            ("filled_quantity", execution.filled_quantity.to_string()),
            ("fee", execution.fee.to_string()),
            ("fee_asset", execution.fee_asset.0.to_string()),
            ("trade_id", execution.trade_id.to_string()),
            ("placed_ns", execution.placed_ns.to_string()),
        ]),
        Body::Balance(Balance { account, asset, free, locked }) => fields.extend([
            ("account", account.0.to_string()),
            ("asset", asset.0.to_string()),
            ("free", free.to_string()),
            ("locked", locked.to_string()),
        ]),
        Body::Transfer(Transfer { account, asset, amount }) => fields.extend([
            ("account", account.0.to_string()),
            ("asset", asset.0.to_string()),
            ("amount", amount.to_string()),
        ]),
        Body::Status(Status { trading }) => fields.push(("trading", trading.to_string())),
    }
    fields
}

fn quote_fields(quote: &Quote) -> [(&'static str, String); 5] {
    [
        ("update_id", quote.update_id.to_string()),
        ("bid", quote.bid.to_string()),
        ("bid_quantity", quote.bid_quantity.to_string()),
        ("ask", quote.ask.to_string()),
        ("ask_quantity", quote.ask_quantity.to_string()),
    ]
}
