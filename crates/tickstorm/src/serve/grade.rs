//! A closer look at a client that tells what it believes: its best prices, held against the true ones.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use tickstorm_load::Histogram;
use tickstorm_market::{BookChange, Instrument, Listing, Side, Snapshot, SymbolId};
use tickstorm_venue::Venue;

/// What a client says its best prices are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Posted {
    /// Whoever posts, in its own words.
    pub client: String,
    pub symbol: SymbolId,
    /// The number of the last book change that it has applied, where the venue's messages have such numbers.
    pub sequence: Option<u64>,
    /// Ticks and lots; zeros for an empty side.
    pub bid: (u32, u64),
    pub ask: (u32, u64),
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grade {
    /// These were the best prices, and ceased to be them so long ago, ns; zero if they still are.
    Right { stale_ns: u64 },
    /// At that change they were others.
    Wrong { bid: (u32, u64), ask: (u32, u64) },
    /// They were never these, as far back as is known.
    Unseen,
    /// Nothing is known of the symbol that far back.
    Unknown,
    /// The book has only come to this change.
    Ahead { update_id: u64 },
}

impl Grade {
    pub(super) fn to_json(self) -> Vec<u8> {
        let value = match self {
            Grade::Right { stale_ns } => {
                serde_json::json!({"correct": true, "stale_ms": stale_ns as f64 / 1e6})
            }
            Grade::Wrong { bid, ask } => serde_json::json!({
                "correct": false,
                "reason": "the best prices were others at that sequence",
                "true_bid": {"ticks": bid.0, "lots": bid.1},
                "true_ask": {"ticks": ask.0, "lots": ask.1},
            }),
            Grade::Unseen => serde_json::json!({
                "correct": false,
                "reason": "the best prices have not been these, as far back as is known",
            }),
            Grade::Unknown => serde_json::json!({
                "correct": null,
                "reason": "nothing is known of the symbol at that sequence; what comes from now on is",
            }),
            Grade::Ahead { update_id } => serde_json::json!({
                "correct": null,
                "reason": format!("the book is only at {update_id}: the sequence is no number of its changes"),
            }),
        };
        value.to_string().into_bytes()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    venue: String,
    symbol: String,
    #[serde(default)]
    client: String,
    #[serde(default)]
    sequence: Option<u64>,
    #[serde(default)]
    bid: Option<[String; 2]>,
    #[serde(default)]
    ask: Option<[String; 2]>,
}

/// Reads `{"venue":"binance","symbol":"BTCUSDT","sequence":7,"bid":["67012.4","0.5"],"ask":["67012.5","1"]}`.
pub(super) fn read_post(body: &[u8], listing: &Listing) -> Result<Posted, String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| format!("the body is no book: {error}"))?;
    let venue: Venue =
        body.venue.parse().map_err(|error: tickstorm_venue::UnknownVenue| error.to_string())?;
    let named = |instrument: &&Instrument| venue.symbol(listing, instrument) == body.symbol;
    let instrument = listing.instruments.iter().find(named).ok_or_else(|| {
        format!(
            "symbol {:?} is none of {venue}'s here; the first is {:?}",
            body.symbol,
            first(venue, listing)
        )
    })?;
    let side = |name: &str, level: &Option<[String; 2]>| match level {
        None => Ok((0, 0)),
        Some(level @ [price, quantity]) => {
            let price = steps(price, instrument.tick).and_then(|ticks| u32::try_from(ticks).ok());
            let quantity = steps(quantity, instrument.lot);
            price.zip(quantity).ok_or_else(|| {
                let [tick, lot] = [instrument.tick, instrument.lot].map(|step| step as f64 / 1e8);
                format!(
                    "{name} must be a price and a quantity of {}, which has ticks of {tick} and lots of {lot}, got {level:?}",
                    body.symbol
                )
            })
        }
    };
    Ok(Posted {
        client: body.client.chars().take(64).collect(),
        symbol: instrument.id,
        sequence: body.sequence,
        bid: side("bid", &body.bid)?,
        ask: side("ask", &body.ask)?,
    })
}

fn first(venue: Venue, listing: &Listing) -> String {
    listing.instruments.first().map(|instrument| venue.symbol(listing, instrument)).unwrap_or_default()
}

/// A decimal as whole steps of so many 1e-8 units.
fn steps(text: &str, step: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || whole.len() > 12 || fraction.len() > 8 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let units: u64 = format!("{whole}{fraction:0<8}").parse().ok()?;
    (step > 0 && units.is_multiple_of(step)).then(|| units / step)
}

/// The books of symbols that somebody has posted about, and their best prices back in time.
#[derive(Debug, Default)]
pub(super) struct Grader {
    followed: BTreeMap<SymbolId, Followed>,
    pub results: BTreeMap<(String, SymbolId), PostTally>,
}

/// A symbol's book, changed as the market tells. Its best prices cannot be had from quotes: not every one is told.
#[derive(Debug, Default)]
struct Followed {
    bids: BTreeMap<u32, u64>,
    asks: BTreeMap<u32, u64>,
    /// The last change.
    update_id: u64,
    history: VecDeque<Best>,
}

impl Followed {
    fn new(book: &Snapshot, now_ns: u64) -> Self {
        let mut it = Self {
            bids: book.bids.iter().copied().collect(),
            asks: book.asks.iter().copied().collect(),
            update_id: book.update_id,
            history: VecDeque::new(),
        };
        it.remember(book.update_id, now_ns);
        it
    }

    fn change(&mut self, change: &BookChange, now_ns: u64) {
        let levels = match change.side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if change.quantity == 0 {
            levels.remove(&change.price);
        } else {
            levels.insert(change.price, change.quantity);
        }
        self.update_id = change.update_id;
        self.remember(change.update_id, now_ns);
    }

    fn remember(&mut self, update_id: u64, since_ns: u64) {
        let level = |level: Option<(&u32, &u64)>| level.map_or((0, 0), |(&price, &lots)| (price, lots));
        let (bid, ask) = (level(self.bids.last_key_value()), level(self.asks.first_key_value()));
        if self.history.back().is_some_and(|last| (last.bid, last.ask) == (bid, ask)) {
            return;
        }
        if self.history.len() >= MOST_BEST {
            self.history.pop_front();
        }
        self.history.push_back(Best { update_id, since_ns, bid, ask });
    }
}

/// Best prices and since when they were that.
#[derive(Debug, Clone, Copy)]
struct Best {
    update_id: u64,
    since_ns: u64,
    bid: (u32, u64),
    ask: (u32, u64),
}

/// What a client's posts about a symbol came to.
#[derive(Debug, Clone, Default)]
pub(super) struct PostTally {
    pub posts: u64,
    pub correct: u64,
    pub wrong: u64,
    pub unknown: u64,
    pub staleness: Option<Box<Histogram>>,
}

impl Grader {
    /// Whether books are of interest at all.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.followed.is_empty()
    }

    /// Whether a symbol is posted about that is not followed yet, and can be.
    pub(super) fn wants(&self, symbol: SymbolId) -> bool {
        self.followed.len() < MOST_SYMBOLS && !self.followed.contains_key(&symbol)
    }

    /// Follows the book of a symbol from here on.
    pub(super) fn follow(&mut self, book: &Snapshot, now_ns: u64) {
        self.followed.insert(book.symbol, Followed::new(book, now_ns));
    }

    /// A level of a book has changed.
    pub(super) fn on_change(&mut self, symbol: SymbolId, change: &BookChange, now_ns: u64) {
        if let Some(followed) = self.followed.get_mut(&symbol) {
            followed.change(change, now_ns);
        }
    }

    /// Grades what a client has posted.
    pub(super) fn grade(&mut self, posted: &Posted, now_ns: u64) -> Grade {
        let grade = self.find(posted, now_ns);
        let key = (posted.client.clone(), posted.symbol);
        if !self.results.contains_key(&key) && self.results.len() >= MOST_RESULTS {
            return grade;
        }
        let result = self.results.entry(key).or_default();
        result.posts += 1;
        match grade {
            Grade::Right { stale_ns } => {
                result.correct += 1;
                result.staleness.get_or_insert_with(Box::default).record(stale_ns);
            }
            Grade::Wrong { .. } | Grade::Unseen => result.wrong += 1,
            Grade::Unknown | Grade::Ahead { .. } => result.unknown += 1,
        }
        grade
    }

    fn find(&self, posted: &Posted, now_ns: u64) -> Grade {
        let Some(followed) = self.followed.get(&posted.symbol) else { return Grade::Unknown };
        let Followed { history, update_id, .. } = followed;
        let until_ns = |index: usize| history.get(index + 1).map(|next| next.since_ns);
        let stale_ns = |index: usize| until_ns(index).map_or(0, |until_ns| now_ns.saturating_sub(until_ns));
        match posted.sequence {
            Some(sequence) if sequence > *update_id => Grade::Ahead { update_id: *update_id },
            Some(sequence) => {
                // The last of the changes up to there; some of the same number cannot be.
                let after = history.partition_point(|best| best.update_id <= sequence);
                let Some(index) = after.checked_sub(1) else { return Grade::Unknown };
                let best = history[index];
                if (best.bid, best.ask) == (posted.bid, posted.ask) {
                    Grade::Right { stale_ns: stale_ns(index) }
                } else {
                    Grade::Wrong { bid: best.bid, ask: best.ask }
                }
            }
            None => {
                let is_it = |best: &Best| (best.bid, best.ask) == (posted.bid, posted.ask);
                match history.iter().rposition(is_it) {
                    Some(index) => Grade::Right { stale_ns: stale_ns(index) },
                    // It may be older than what is known.
                    None if history.len() < 2 => Grade::Unknown,
                    None => Grade::Unseen,
                }
            }
        }
    }
}

/// Best prices of a symbol that are remembered: half a megabyte and more.
const MOST_BEST: usize = 16_384;

/// Symbols that can be posted about.
const MOST_SYMBOLS: usize = 200;

/// Clients times symbols whose posts are counted.
const MOST_RESULTS: usize = 2_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_random::Seed;

    use super::*;

    const MS: u64 = 1_000_000;

    fn listing() -> Listing {
        Listing::synthetic(3, Seed::new(1))
    }

    fn book(update_id: u64) -> Snapshot {
        Snapshot {
            symbol: SymbolId(0),
            sequence: 0,
            update_id,
            bids: vec![(10, 5), (9, 1)],
            asks: vec![(11, 7), (12, 7)],
        }
    }

    fn posted(sequence: Option<u64>, bid: u32) -> Posted {
        Posted { client: "a".into(), symbol: SymbolId(0), sequence, bid: (bid, 5), ask: (bid + 1, 7) }
    }

    #[test]
    fn a_post_is_read_in_the_venues_words() {
        let listing = listing();
        let instrument = listing.instrument(SymbolId(1));
        let decimal = |units: u64| format!("{}.{:08}", units / 100_000_000, units % 100_000_000);
        let symbol = Venue::Kraken.symbol(&listing, instrument);
        let text = format!(
            r#"{{"venue":"kraken","symbol":"{symbol}","bid":["{}","{}"]}}"#,
            decimal(12 * instrument.tick),
            decimal(3 * instrument.lot),
        );
        let read = read_post(text.as_bytes(), &listing).unwrap();
        assert_eq!((read.symbol, read.bid, read.ask, read.sequence), (SymbolId(1), (12, 3), (0, 0), None));
    }

    #[test]
    fn what_is_no_book_is_told_so() {
        let listing = listing();
        for (text, said) in [
            ("", "no book"),
            (r#"{"venue":"nyse","symbol":"X"}"#, "unknown venue \"nyse\""),
            (r#"{"venue":"okx","symbol":"X"}"#, "symbol \"X\" is none of okx's here; the first is"),
            (r#"{"venue":"okx","symbol":"X","depth":3}"#, "unknown field `depth`"),
        ] {
            let error = read_post(text.as_bytes(), &listing).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(
            (steps("1.5", 50_000_000), steps("1.5", 100_000_000), steps("-1", 1)),
            (Some(3), None, None)
        );
    }

    #[test]
    fn a_book_is_held_against_the_true_one_at_its_sequence() {
        let mut grader = Grader::default();
        assert!(grader.is_idle() && grader.wants(SymbolId(0)));
        assert_eq!(grader.grade(&posted(Some(4), 10), 0), Grade::Unknown);
        grader.follow(&book(5), 100 * MS);
        assert!(!grader.is_idle() && !grader.wants(SymbolId(0)) && grader.wants(SymbolId(1)));
        assert_eq!(grader.grade(&posted(None, 13), 100 * MS), Grade::Unknown);
        for (update_id, side, price, quantity, at_ms) in [
            (6, Side::Buy, 9, 4, 150),
            (7, Side::Sell, 11, 0, 200),
            (8, Side::Buy, 11, 5, 200),
            (9, Side::Buy, 11, 0, 300),
            (10, Side::Sell, 11, 7, 300),
        ] {
            grader.on_change(SymbolId(0), &BookChange { update_id, side, price, quantity }, at_ms * MS);
        }
        let now_ns = 1_000 * MS;
        assert_eq!(grader.grade(&posted(Some(4), 10), now_ns), Grade::Unknown);
        // A change behind the best prices leaves them.
        assert_eq!(grader.grade(&posted(Some(6), 10), now_ns), Grade::Right { stale_ns: 800 * MS });
        assert_eq!(grader.grade(&posted(Some(8), 10), now_ns), Grade::Wrong { bid: (11, 5), ask: (12, 7) });
        assert_eq!(grader.grade(&posted(Some(10), 10), now_ns), Grade::Right { stale_ns: 0 });
        assert_eq!(grader.grade(&posted(None, 11), now_ns), Grade::Right { stale_ns: 700 * MS });
        assert_eq!(grader.grade(&posted(None, 12), now_ns), Grade::Unseen);
        let result = &grader.results[&("a".to_owned(), SymbolId(0))];
        assert_eq!((result.posts, result.correct, result.wrong, result.unknown), (8, 3, 2, 3));
    }

    #[test]
    fn a_sequence_that_the_book_has_not_come_to_is_neither_right_nor_wrong() {
        let mut grader = Grader::default();
        grader.follow(&book(5), 0);
        // A change behind the best prices counts.
        let change = BookChange { update_id: 6, side: Side::Buy, price: 9, quantity: 4 };
        grader.on_change(SymbolId(0), &change, MS);
        assert_eq!(grader.grade(&posted(Some(6), 10), MS), Grade::Right { stale_ns: 0 });
        for bid in [10, 12] {
            assert_eq!(grader.grade(&posted(Some(200_000_001), bid), MS), Grade::Ahead { update_id: 6 });
        }
        let told: serde_json::Value =
            serde_json::from_slice(&Grade::Ahead { update_id: 6 }.to_json()).unwrap();
        assert_eq!(told["correct"], serde_json::Value::Null);
        assert!(told["reason"].as_str().unwrap().contains("only at 6"), "{told}");
        let result = &grader.results[&("a".to_owned(), SymbolId(0))];
        assert_eq!((result.posts, result.correct, result.wrong, result.unknown), (3, 1, 0, 2));
    }

    proptest! {
        #[test]
        fn whatever_is_posted_is_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            price in "-?[0-9]{0,25}[.]?[0-9e]{0,25}",
            quantity in "\\PC{0,30}",
            symbol in 0usize..3,
        ) {
            let listing = listing();
            prop_assert!(read_post(&bytes, &listing).is_err(), "there is a book in {bytes:?}");
            let name = Venue::Bybit.symbol(&listing, &listing.instruments[symbol]);
            let sides = [[price.clone(), quantity.clone()], [quantity, price]];
            for [one, other] in sides {
                let body = serde_json::json!({"venue": "bybit", "symbol": name, "bid": [one, other]});
                if let Ok(posted) = read_post(body.to_string().as_bytes(), &listing) {
                    prop_assert_eq!(posted.symbol, SymbolId(symbol as u32));
                    prop_assert_eq!(posted.ask, (0, 0));
                }
            }
        }
    }
}
