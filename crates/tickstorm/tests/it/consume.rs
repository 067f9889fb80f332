//! The consumer over real sockets, with a venue of our own words at the other end.

mod exchange;

use std::time::Duration;

use tickstorm::Venue;
use tickstorm::consume::{
    Books, ConsumeChannel, ConsumeEnd, ConsumeError, ConsumeExtent, ConsumeReport, ConsumeSpec,
    ConsumeSymbols, ConsumeVerdict, Consumer, Reconnect,
};

use exchange::{Exchange, Harm};

/// Consumes until so many events came, and some time more for what is to be mended.
#[track_caller]
fn consume(
    spec: &ConsumeSpec,
    is_enough: impl Fn(u64, &[tickstorm::consume::ConsumeInterval]) -> bool,
) -> ConsumeReport {
    let (intervals, enough) = (std::cell::RefCell::new(Vec::new()), std::cell::Cell::new(false));
    let extent = ConsumeExtent { duration: Some(PATIENCE), interval: Duration::from_millis(50) };
    Consumer::connect(spec).unwrap().run(
        &extent,
        |interval| {
            let mut intervals = intervals.borrow_mut();
            intervals.push(*interval);
            let events = intervals.iter().map(|interval| interval.events).sum();
            enough.set(is_enough(events, &intervals));
        },
        || enough.get(),
    )
}

const PATIENCE: Duration = Duration::from_secs(30);
const SYMBOLS: u32 = 4;
const RATE: u32 = 4_000;

fn depth(venue: Venue) -> u32 {
    venue.rules().default_depth
}

fn spec(venue: Venue, exchange: &Exchange) -> ConsumeSpec {
    ConsumeSpec::new(venue, exchange.address())
}

/// Whether all books are whole after so many events.
fn whole_after(least: u64) -> impl Fn(u64, &[tickstorm::consume::ConsumeInterval]) -> bool {
    move |events, intervals| {
        let last = intervals[intervals.len() - 1];
        events >= least && last.books_whole == SYMBOLS as usize
    }
}

#[test]
fn every_venue_is_consumed_without_a_fault() {
    for venue in Venue::ALL {
        let exchange = Exchange::start(venue, SYMBOLS, depth(venue), RATE, Harm::default());
        let report = consume(&spec(venue, &exchange), whole_after(3_000));
        assert_eq!(report.verdict(), ConsumeVerdict::Clean, "{report:#?}");
        assert_eq!(report.end, ConsumeEnd::Stopped);
        assert!(report.counts.trades > 0 && report.counts.book_updates > 0, "{venue}: {:?}", report.counts);
        assert_eq!((report.connections, report.losses, report.resyncs), (1, 0, 0), "{venue}");
        assert_eq!(report.pings_answered, 1, "{venue}");
        assert!(report.age.count > 0 && report.age.p50_ms < 5_000.0, "{venue}: {:?}", report.age);
        let by_http = if venue == Venue::Binance { u64::from(SYMBOLS) } else { 0 };
        assert!(report.snapshots_fetched >= by_http, "{venue}: {report:?}");
        assert!(report.acknowledged > 0, "{venue}");
    }
}

#[test]
fn a_lost_update_is_named_and_mended_over_the_wire() {
    for (venue, kind) in
        [(Venue::Binance, "update_gap"), (Venue::Kraken, "checksum"), (Venue::Coinbase, "number")]
    {
        let harm = Harm { lost_update: Some(300), ..Harm::default() };
        let exchange = Exchange::start(venue, SYMBOLS, depth(venue), RATE, harm);
        let report = consume(&spec(venue, &exchange), |events, intervals| {
            let faults: u64 = intervals.iter().map(|interval| interval.faults).sum();
            faults > 0 && whole_after(2_000)(events, intervals)
        });
        assert_eq!(report.verdict(), ConsumeVerdict::Faulty, "{venue}");
        assert_eq!(
            report.faults.kinds.keys().copied().collect::<Vec<_>>(),
            [kind],
            "{venue}: {:?}",
            report.faults
        );
        assert_eq!(report.books_whole, SYMBOLS as usize, "{venue}");
        let mended = if venue == Venue::Coinbase { report.connections - 1 } else { report.resyncs };
        assert_eq!(mended, 1, "{venue}: {report:?}");
    }
}

#[test]
fn a_cut_connection_is_opened_again_or_ends_the_session() {
    let harm = Harm { cut_after: Some(500), ..Harm::default() };
    let exchange = Exchange::start(Venue::Okx, SYMBOLS, depth(Venue::Okx), RATE, harm);
    let report = consume(&spec(Venue::Okx, &exchange), whole_after(2_000));
    assert_eq!((report.connections, report.losses), (2, 1), "{report:?}");
    assert_eq!(report.faults.of("connection_lost"), 1);

    let exchange = Exchange::start(Venue::Okx, SYMBOLS, depth(Venue::Okx), RATE, harm);
    let once = ConsumeSpec { reconnect: Reconnect::Never, ..spec(Venue::Okx, &exchange) };
    let report = consume(&once, |_, _| false);
    assert!(matches!(&report.end, ConsumeEnd::Lost(why) if why.contains("peer closed")), "{:?}", report.end);
    assert!(report.events >= 490, "{}", report.events);
}

#[test]
fn other_channels_and_chosen_symbols_are_subscribed_to() {
    for venue in Venue::ALL {
        let exchange = Exchange::start(venue, SYMBOLS, depth(venue), RATE, Harm::default());
        let channels = [ConsumeChannel::Trades, ConsumeChannel::Ticker, ConsumeChannel::Quotes];
        let channels = channels.into_iter().filter(|channel| channel.is_offered_by(venue)).collect();
        let name = match venue {
            Venue::Kraken => "ETH/USDT",
            Venue::Coinbase | Venue::Okx => "eth-usdt",
            Venue::Binance | Venue::Bybit => "ETHUSDT",
        };
        let chosen = ConsumeSpec {
            channels,
            symbols: ConsumeSymbols::Named(vec![name.to_owned()]),
            books: Books::Ignored,
            ..spec(venue, &exchange)
        };
        let report = consume(&chosen, |events, _| events >= 300);
        assert_eq!(report.verdict(), ConsumeVerdict::Clean, "{report:#?}");
        assert_eq!((report.symbols.len(), report.books_wanted), (1, 0));
        assert_eq!(report.symbols[0].symbol, name.to_uppercase());
        let counts = report.counts;
        assert!(counts.trades > 0 && counts.tickers > 0 && counts.book_updates == 0, "{venue}: {counts:?}");
    }
}

#[test]
fn a_path_in_the_address_stands_before_the_venues() {
    let exchange = Exchange::start(Venue::Kraken, SYMBOLS, 10, RATE, Harm::default());
    let prefixed = ConsumeSpec::new(Venue::Kraken, format!("ws://{}/kraken", exchange.address()));
    let error = Consumer::connect(&prefixed).unwrap_err();
    assert!(
        matches!(&error, ConsumeError::Refused { status: 404, .. } | ConsumeError::Instruments { .. }),
        "{error:?}"
    );
    assert_eq!(exchange.paths(), ["/kraken/0/public/AssetPairs"]);
}

#[test]
fn what_cannot_be_had_is_named_with_what_can() {
    let exchange = Exchange::start(Venue::Coinbase, SYMBOLS, 0, RATE, Harm::default());
    let mistakes = |change: fn(&mut ConsumeSpec)| {
        let mut spec = spec(Venue::Coinbase, &exchange);
        change(&mut spec);
        match Consumer::connect(&spec).unwrap_err() {
            ConsumeError::Mistakes(mistakes) => {
                mistakes.iter().map(|it| format!("{}: {}", it.setting, it.message)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    let several = mistakes(|spec| {
        spec.channels = vec![ConsumeChannel::Quotes];
        spec.depth = Some(7);
        spec.rest = Some("ftp://127.0.0.1".to_owned());
    });
    assert_eq!(
        several,
        [
            "rest: scheme of an address must be http:// or https://, got ftp://",
            "channels: coinbase has no channel quotes, must be one of: book, trades, ticker",
            "depth: coinbase has no books of 7 levels, must be one of: 0",
        ]
    );
    let unknown = mistakes(|spec| spec.symbols = ConsumeSymbols::Named(vec!["BTCUSDT".to_owned()]));
    assert!(unknown[0].starts_with("symbols: coinbase lists no \"BTCUSDT\""), "{unknown:?}");
    let public = mistakes(|spec| spec.url = "wss://8.8.8.8".to_owned());
    assert!(public[0].contains("--allow-public-target"), "{public:?}");
}

#[test]
fn nobody_there_is_told_before_anything_is_consumed() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Consumer::connect(&ConsumeSpec::new(Venue::Okx, free.to_string())).unwrap_err();
    assert!(matches!(error, ConsumeError::Ask(_)), "{error:?}");
}
