//! The simulated market through the normalised formats: what is read back is what the market said, complete
//! enough for the market's own checker.

use tickstorm_market::{Checker, Listing, MarketSpec, Message, ShardMarket};
use tickstorm_random::Seed;
use tickstorm_venue::normalised::{Format, Head, Reader, Record, Writer};

const START_UNIX_NS: i64 = 1_795_420_800_000_000_000;

#[test]
fn a_markets_stream_reads_back_message_by_message_and_passes_the_checker() {
    let listing = Listing::synthetic(20, Seed::new(7));
    let spec = MarketSpec { shards: 1, ..MarketSpec::new(Seed::new(7), listing.clone()) };
    let mut market = ShardMarket::new(&spec, 0).expect("the spec is valid");
    let head = Head { listing, start_unix_ns: START_UNIX_NS, shards: 1 };
    let (snapshots, balances) = (market.snapshots(), market.balances());
    let messages: Vec<Message> = (0..100_000).map(|n| *market.next(n * 10_000)).collect();

    for format in Format::ALL {
        let writer = Writer::new(format);
        let mut stream = Vec::new();
        writer.head(&head, &mut stream);
        snapshots.iter().for_each(|snapshot| writer.snapshot(snapshot, &mut stream));
        balances.iter().for_each(|balance| writer.opening_balance(balance, &mut stream));
        messages.iter().for_each(|message| writer.message(message, &mut stream));

        let mut records = Reader::new(format, stream.as_slice()).map(|record| record.expect("we wrote it"));
        let Some(Record::Head(read)) = records.next() else { panic!("{format} begins without a head") };
        assert_eq!(read, head);
        let (mut opening_books, mut opening_balances, mut read) = (Vec::new(), Vec::new(), Vec::new());
        for record in records {
            match record {
                Record::Snapshot(snapshot) => opening_books.push(snapshot),
                Record::OpeningBalance(balance) => opening_balances.push(balance),
                Record::Message(message) => read.push(message),
                Record::Head(_) => panic!("{format} has a second head"),
            }
        }
        assert_eq!(opening_books, snapshots);
        assert_eq!(opening_balances, balances);
        assert_eq!(read.len(), messages.len());
        let mut checker = Checker::new(&head.listing, &opening_books, &opening_balances);
        for (read, message) in read.iter().zip(&messages) {
            assert_eq!(read, message, "{format}");
            checker.observe(read).expect("the market is consistent");
        }
    }
}
