//! The messages of `proto/tickstorm.proto`, name by name. A test compiles that file and compares.

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    #[prost(oneof = "AnyRecord", tags = "1, 2, 3, 4")]
    pub(super) record: Option<AnyRecord>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum AnyRecord {
    #[prost(message, tag = "1")]
    Head(Head),
    #[prost(message, tag = "2")]
    Snapshot(Snapshot),
    #[prost(message, tag = "3")]
    OpeningBalance(Balance),
    #[prost(message, tag = "4")]
    Message(Message),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Head {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(int64, tag = "2")]
    pub(super) start_unix_ns: i64,
    #[prost(uint32, tag = "3")]
    pub(super) shards: u32,
    #[prost(string, repeated, tag = "4")]
    pub(super) assets: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) instruments: Vec<Instrument>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Instrument {
    #[prost(string, tag = "1")]
    pub(super) symbol: String,
    #[prost(uint32, tag = "2")]
    pub(super) base: u32,
    #[prost(uint32, tag = "3")]
    pub(super) quote: u32,
    #[prost(uint64, tag = "4")]
    pub(super) tick: u64,
    #[prost(uint64, tag = "5")]
    pub(super) lot: u64,
    #[prost(uint32, tag = "6")]
    pub(super) start_price: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Snapshot {
    #[prost(uint32, tag = "1")]
    pub(super) symbol: u32,
    #[prost(uint64, tag = "2")]
    pub(super) sequence: u64,
    #[prost(uint64, tag = "3")]
    pub(super) update_id: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) bids: Vec<Level>,
    #[prost(message, repeated, tag = "5")]
    pub(super) asks: Vec<Level>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Level {
    #[prost(uint32, tag = "1")]
    pub(super) price: u32,
    #[prost(uint64, tag = "2")]
    pub(super) quantity: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(uint32, tag = "1")]
    pub(super) symbol: u32,
    #[prost(uint64, tag = "2")]
    pub(super) sequence: u64,
    #[prost(uint64, tag = "3")]
    pub(super) event: u64,
    #[prost(uint64, tag = "4")]
    pub(super) event_ns: u64,
    #[prost(uint64, tag = "5")]
    pub(super) due_ns: u64,
    #[prost(bool, tag = "6")]
    pub(super) last: bool,
    #[prost(oneof = "Body", tags = "7, 8, 9, 10, 11, 12, 13, 14")]
    pub(super) body: Option<Body>,
}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub(super) enum Body {
    #[prost(message, tag = "7")]
    Book(BookChange),
    #[prost(message, tag = "8")]
    Trade(Trade),
    #[prost(message, tag = "9")]
    Quote(Quote),
    #[prost(message, tag = "10")]
    Ticker(Ticker),
    #[prost(message, tag = "11")]
    Execution(Execution),
    #[prost(message, tag = "12")]
    Balance(Balance),
    #[prost(message, tag = "13")]
    Transfer(Transfer),
    #[prost(message, tag = "14")]
    Status(Status),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Side {
    Unspecified = 0,
    Buy = 1,
    Sell = 2,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct BookChange {
    #[prost(uint64, tag = "1")]
    pub(super) update_id: u64,
    #[prost(enumeration = "Side", tag = "2")]
    pub(super) side: i32,
    #[prost(uint32, tag = "3")]
    pub(super) price: u32,
    #[prost(uint64, tag = "4")]
    pub(super) quantity: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Trade {
    #[prost(uint64, tag = "1")]
    pub(super) trade_id: u64,
    #[prost(uint32, tag = "2")]
    pub(super) price: u32,
    #[prost(uint64, tag = "3")]
    pub(super) quantity: u64,
    #[prost(enumeration = "Side", tag = "4")]
    pub(super) taker: i32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Quote {
    #[prost(uint64, tag = "1")]
    pub(super) update_id: u64,
    #[prost(uint32, tag = "2")]
    pub(super) bid: u32,
    #[prost(uint64, tag = "3")]
    pub(super) bid_quantity: u64,
    #[prost(uint32, tag = "4")]
    pub(super) ask: u32,
    #[prost(uint64, tag = "5")]
    pub(super) ask_quantity: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Ticker {
    #[prost(message, optional, tag = "1")]
    pub(super) quote: Option<Quote>,
    #[prost(uint32, tag = "2")]
    pub(super) last_price: u32,
    #[prost(uint64, tag = "3")]
    pub(super) last_quantity: u64,
    #[prost(uint32, tag = "4")]
    pub(super) open: u32,
    #[prost(uint32, tag = "5")]
    pub(super) high: u32,
    #[prost(uint32, tag = "6")]
    pub(super) low: u32,
    #[prost(uint32, tag = "7")]
    pub(super) previous_close: u32,
    #[prost(uint64, tag = "8")]
    pub(super) volume: u64,
    #[prost(uint64, tag = "9")]
    pub(super) quote_volume_high: u64,
    #[prost(uint64, tag = "10")]
    pub(super) quote_volume_low: u64,
    #[prost(uint64, tag = "11")]
    pub(super) first_trade_id: u64,
    #[prost(uint64, tag = "12")]
    pub(super) last_trade_id: u64,
    #[prost(uint64, tag = "13")]
    pub(super) open_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum ExecutionKind {
    Unspecified = 0,
    New = 1,
    Trade = 2,
    Canceled = 3,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Execution {
    #[prost(uint32, tag = "1")]
    pub(super) account: u32,
    #[prost(uint64, tag = "2")]
    pub(super) order_id: u64,
    #[prost(uint64, tag = "3")]
    pub(super) execution_id: u64,
    #[prost(enumeration = "ExecutionKind", tag = "4")]
    pub(super) kind: i32,
    #[prost(enumeration = "Side", tag = "5")]
    pub(super) side: i32,
    #[prost(uint32, tag = "6")]
    pub(super) price: u32,
    #[prost(uint64, tag = "7")]
    pub(super) quantity: u64,
    #[prost(uint64, tag = "8")]
    pub(super) last_quantity: u64,
    #[prost(uint32, tag = "9")]
    pub(super) last_price: u32,
    #[prost(uint64, tag = "10")]
    pub(super) filled_quantity: u64,
    #[prost(uint64, tag = "11")]
    pub(super) fee: u64,
    #[prost(uint32, tag = "12")]
    pub(super) fee_asset: u32,
    #[prost(uint64, tag = "13")]
    pub(super) trade_id: u64,
    #[prost(uint64, tag = "14")]
    pub(super) placed_ns: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Balance {
    #[prost(uint32, tag = "1")]
    pub(super) account: u32,
    #[prost(uint32, tag = "2")]
    pub(super) asset: u32,
    #[prost(uint64, tag = "3")]
    pub(super) free: u64,
    #[prost(uint64, tag = "4")]
    pub(super) locked: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Transfer {
    #[prost(uint32, tag = "1")]
    pub(super) account: u32,
    #[prost(uint32, tag = "2")]
    pub(super) asset: u32,
    #[prost(sint64, tag = "3")]
    pub(super) amount: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(bool, tag = "1")]
    pub(super) trading: bool,
}
