//! A closer look at a client that tells what it believes: its best prices, held against the true ones.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use tickstorm_load::Histogram;
use tickstorm_market::{Instrument, Listing, Quote, SymbolId};
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
        Some([price, quantity]) => {
            let price = steps(price, instrument.tick).and_then(|ticks| u32::try_from(ticks).ok());
            let quantity = steps(quantity, instrument.lot);
            price.zip(quantity).ok_or_else(|| {
                format!("{name} must be a price and a quantity on the symbol's grid, as [\"1.5\",\"2\"]")
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

/// The best prices of symbols that somebody has posted about, back in time.
#[derive(Debug, Default)]
pub(super) struct Grader {
    histories: BTreeMap<SymbolId, VecDeque<Best>>,
    pub results: BTreeMap<(String, SymbolId), PostTally>,
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
    /// Whether best prices are of interest at all.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.histories.is_empty()
    }

    /// The best prices have changed.
    pub(super) fn on_quote(&mut self, symbol: SymbolId, quote: &Quote, now_ns: u64) {
        let Some(history) = self.histories.get_mut(&symbol) else { return };
        if history.len() >= MOST_BEST {
            history.pop_front();
        }
        history.push_back(Best {
            update_id: quote.update_id,
            since_ns: now_ns,
            bid: (quote.bid, quote.bid_quantity),
            ask: (quote.ask, quote.ask_quantity),
        });
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
            Grade::Unknown => result.unknown += 1,
        }
        grade
    }

    fn find(&mut self, posted: &Posted, now_ns: u64) -> Grade {
        if !self.histories.contains_key(&posted.symbol) && self.histories.len() >= MOST_SYMBOLS {
            return Grade::Unknown;
        }
        let history = self.histories.entry(posted.symbol).or_default();
        let until_ns = |index: usize| history.get(index + 1).map(|next| next.since_ns);
        let stale_ns = |index: usize| until_ns(index).map_or(0, |until_ns| now_ns.saturating_sub(until_ns));
        match posted.sequence {
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
                    None if history.is_empty() => Grade::Unknown,
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
    use tickstorm_random::Seed;

    use super::*;

    const MS: u64 = 1_000_000;

    fn listing() -> Listing {
        Listing::synthetic(3, Seed::new(1))
    }

    fn quote(update_id: u64, bid: u32) -> Quote {
        Quote { update_id, bid, bid_quantity: 5, ask: bid + 1, ask_quantity: 7 }
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
        assert!(grader.is_idle());
        assert_eq!(grader.grade(&posted(Some(4), 10), 0), Grade::Unknown);
        for (update_id, bid, at_ms) in [(5, 10, 100), (8, 11, 200), (9, 10, 300)] {
            grader.on_quote(SymbolId(0), &quote(update_id, bid), at_ms * MS);
        }
        let now_ns = 1_000 * MS;
        assert_eq!(grader.grade(&posted(Some(4), 10), now_ns), Grade::Unknown);
        assert_eq!(grader.grade(&posted(Some(7), 10), now_ns), Grade::Right { stale_ns: 800 * MS });
        assert_eq!(grader.grade(&posted(Some(8), 10), now_ns), Grade::Wrong { bid: (11, 5), ask: (12, 7) });
        assert_eq!(grader.grade(&posted(Some(90), 10), now_ns), Grade::Right { stale_ns: 0 });
        assert_eq!(grader.grade(&posted(None, 11), now_ns), Grade::Right { stale_ns: 700 * MS });
        assert_eq!(grader.grade(&posted(None, 12), now_ns), Grade::Unseen);
        let result = &grader.results[&("a".to_owned(), SymbolId(0))];
        assert_eq!((result.posts, result.correct, result.wrong, result.unknown), (7, 3, 2, 2));
    }
}
