//! Records as CSV: a line of column names, then rows that fill the columns of their kind and leave the others
//! empty. A head and a snapshot take several rows and say how many.

mod read;
mod write;

pub(super) use read::Rows;
pub(super) use write::{write_head, write_message, write_opening_balance, write_snapshot};

macro_rules! columns {
    ($($column:ident = $name:literal),+ $(,)?) => {
        /// The columns, from left to right: first what most rows have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Column { $($column),+ }

        const COLUMN_NAMES: &[&str] = &[$($name),+];
    };
}

columns! {
    Record = "record",
    Symbol = "symbol",
    Sequence = "sequence",
    Event = "event",
    EventNs = "event_ns",
    DueNs = "due_ns",
    Last = "last",
    UpdateId = "update_id",
    Side = "side",
    Price = "price",
    Quantity = "quantity",
    TradeId = "trade_id",
    Taker = "taker",
    Bid = "bid",
    BidQuantity = "bid_quantity",
    Ask = "ask",
    AskQuantity = "ask_quantity",
    Account = "account",
    OrderId = "order_id",
    ExecutionId = "execution_id",
    Kind = "kind",
    LastQuantity = "last_quantity",
    LastPrice = "last_price",
    FilledQuantity = "filled_quantity",
    Fee = "fee",
    FeeAsset = "fee_asset",
    PlacedNs = "placed_ns",
    Asset = "asset",
    Free = "free",
    Locked = "locked",
    Amount = "amount",
    Open = "open",
    High = "high",
    Low = "low",
    PreviousClose = "previous_close",
    Volume = "volume",
    QuoteVolume = "quote_volume",
    FirstTradeId = "first_trade_id",
    LastTradeId = "last_trade_id",
    OpenNs = "open_ns",
    Trading = "trading",
    Bids = "bids",
    Asks = "asks",
    Version = "version",
    StartUnixNs = "start_unix_ns",
    Shards = "shards",
    Assets = "assets",
    Instruments = "instruments",
    Base = "base",
    QuoteAsset = "quote",
    Tick = "tick",
    Lot = "lot",
    StartPrice = "start_price",
    Name = "name",
}

const COLUMNS: usize = COLUMN_NAMES.len();

/// What every stream begins with.
pub(super) const FIRST_COLUMNS: &[u8] = b"record,";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use tickstorm_market::event::{Body, BookChange, Message, Side};
    use tickstorm_market::instrument::SymbolId;

    use super::*;
    use crate::normalised::testing::{any_message, end_of, fields, head, one_of_each, written};
    use crate::normalised::{Format, Reader, Record};

    fn text(records: &[Record]) -> String {
        String::from_utf8(written(Format::Csv, records)).unwrap()
    }

    /// The cells of every row that are not empty, by column name, as another implementation reads them.
    fn foreign(stream: &str) -> Vec<BTreeMap<String, String>> {
        let mut reader = ::csv::Reader::from_reader(stream.as_bytes());
        let names = reader.headers().unwrap().clone();
        reader
            .records()
            .map(|row| {
                let row = row.unwrap();
                let cells = names.iter().zip(&row).filter(|(_, cell)| !cell.is_empty());
                cells.map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
            })
            .collect()
    }

    fn cells(record: &str, fields: &[(&str, String)]) -> BTreeMap<String, String> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        fields.chain([("record".to_owned(), record.to_owned())]).collect()
    }

    #[test]
    fn another_implementation_reads_the_head_with_its_assets_and_instruments() {
        let head = head();
        let rows = foreign(&text(&[Record::Head(head.clone())]));
        let counts = [("assets", 4), ("instruments", 3), ("shards", 64), ("version", 1)];
        let mut counts = counts.map(|(name, count)| (name, count.to_string())).to_vec();
        counts.push(("start_unix_ns", head.start_unix_ns.to_string()));
        assert_eq!(rows[0], cells("head", &counts));
        assert_eq!(rows[3], cells("asset", &[("asset", "2".into()), ("name", "PEPE, the \"frog\"".into())]));
        assert_eq!(rows[4]["name"], "\r\nÜ");
        let instrument =
            [("symbol", "1"), ("name", "PEPEUSDT"), ("base", "2"), ("quote", "0"), ("tick", "1")];
        let mut instrument = instrument.map(|(name, value)| (name, value.to_owned())).to_vec();
        instrument.extend([("lot", "100000000".into()), ("start_price", "10000".into())]);
        assert_eq!(rows[6], cells("instrument", &instrument));
        assert_eq!(rows.len(), 8);
    }

    #[test]
    fn a_message_is_one_short_row() {
        let change = BookChange { update_id: 17, side: Side::Buy, price: 670_124, quantity: 12_000 };
        let message = Message {
            symbol: SymbolId(2),
            sequence: 42,
            event: 31,
            event_ns: 1_000_000_000,
            due_ns: 1_000_000_250,
            last: false,
            body: Body::Book(change),
        };
        let mut row = Vec::new();
        write_message(&message, &mut row);
        let row = String::from_utf8(row).unwrap();
        assert_eq!(
            row.trim_end_matches(',').trim_end(),
            format!(
                "book,2,42,31,1000000000,1000000250,false,17,buy,670124,12000{}",
                ",".repeat(COLUMNS - 11)
            )
        );
    }

    #[test]
    fn line_ends_of_windows_and_blank_lines_mean_nothing() {
        let mut records = one_of_each();
        // Without the asset whose name is a line end.
        let Record::Head(head) = &mut records[0] else { panic!("no head") };
        head.listing.assets = head.listing.assets.iter().map(|asset| asset.replace("\r\n", "")).collect();
        for line_end in ["\r\n", "\n\n", "\r\n\r\n"] {
            let stream = text(&records).replace('\n', line_end);
            let read: Vec<Record> =
                Reader::new(Format::Csv, stream.as_bytes()).collect::<Result<_, _>>().unwrap();
            assert_eq!(read, records, "{line_end:?}");
        }
    }

    #[test]
    fn errors_name_the_line_and_the_column() {
        let stream = text(&one_of_each());
        for (from, to, error) in [
            (
                "symbol,sequence",
                "sequence,symbol",
                "record 1 at line 1: column name is \"sequence\", must be \"symbol\" in column 2",
            ),
            ("\ninstrument,1,", "\ninstrument,2,", "record 1 at line 9: symbol is \"2\", must be 1"),
            (
                "\nsnapshot,",
                "\nsnapshit,",
                "record 2 at line 11: record is \"snapshit\", must be head, snapshot, opening_balance or a kind of message",
            ),
            (",sell,", ",sold,", "record 2 at line 15: side is \"sold\", must be buy or sell"),
            (
                "\nbook,",
                "\nbook,-",
                "record 5 at line 23: symbol is \"-0\", must be a whole number below 2^32",
            ),
            (
                "\nbook,0",
                "\nbook,",
                "record 5 at line 23: symbol is empty, must be a whole number below 2^32",
            ),
            ("\nbook,", "\nbook", "record 5 at line 23: row is 53 columns wide, must be 54 columns wide"),
            ("\nbook,", "\nbook,,", "record 5 at line 23: row is 55 columns wide, must be 54 columns wide"),
        ] {
            assert!(stream.contains(from), "{from:?} in {stream}");
            let (_, found) = end_of(Format::Csv, stream.replacen(from, to, 1).as_bytes());
            assert_eq!(found.as_deref(), Some(error), "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_row_without_an_end_is_refused() {
        let mut stream = written(Format::Csv, &[Record::Head(head())]);
        stream.extend_from_slice(&[b'x'; 10_000]);
        let error = end_of(Format::Csv, &stream);
        assert_eq!(
            error,
            (1, Some("record 2 at line 11: row is longer, must be at most 4096 bytes long".into()))
        );
    }

    proptest! {
        #[test]
        fn another_implementation_finds_every_field_in_the_column_of_its_name(message in any_message()) {
            let rows = foreign(&text(&[Record::Head(head()), Record::Message(message)]));
            let mut fields = fields(&message);
            if let Body::Ticker(ticker) = &message.body {
                fields.retain(|(name, _)| !name.starts_with("quote_volume_"));
                fields.push(("quote_volume", ticker.quote_volume.to_string()));
            }
            prop_assert_eq!(rows.last().unwrap(), &cells(message.body.kind().name(), &fields));
        }
    }
}
