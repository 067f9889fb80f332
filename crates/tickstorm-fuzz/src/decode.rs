//! A venue's messages: the decoder, what the encoder makes of its words, and the replica that follows them.

use tickstorm_market::Listing;
use tickstorm_venue::{
    Conduct, DecodeError, Decoded, Decoder, Encoder, Numbering, Replica, Sequences, Venue,
};

use crate::listing;
use crate::wording::reworded;

/// Follows the lines with one decoder and two replicas, and looks at each line by itself.
pub(crate) fn run(venue: Venue, data: &[u8]) {
    let mut consumer = Consumer::new(venue);
    let mut encoder = Encoder::new(venue, &consumer.listing, 0);
    for line in data.split(|&byte| byte == b'\n') {
        let heard = consumer.hear(line);
        let mut fresh = Decoder::new(venue, &consumer.listing);
        assert_eq!(heard, told(&mut fresh, line), "what came before changes what a message says");
        if let Some(reworded) = reworded(line) {
            let again = told(&mut fresh, &reworded);
            let show = || String::from_utf8_lossy(&reworded).into_owned();
            assert_eq!(heard, again, "in other words it says something else: {}", show());
        }
        rewrite(venue, &mut fresh, &mut encoder, &consumer.listing, line);
    }
}

/// What messages say, in words that live longer than the decoder's.
type Told = Vec<Result<String, &'static str>>;

fn told(decoder: &mut Decoder, message: &[u8]) -> Told {
    let mut told = Vec::new();
    decoder.decode_each(message, |said| told.push(words(&said)));
    told
}

fn words(said: &Result<Decoded<'_>, DecodeError>) -> Result<String, &'static str> {
    match said {
        Ok(said) => Ok(format!("{said:?}")),
        Err(error) => {
            assert!(error.to_string().len() < LONGEST_ERROR, "a long error: {error}");
            Err(error.kind())
        }
    }
}

/// Values from the wire are quoted up to 64 characters, of up to twelve bytes each when they are escaped; the rest is
/// our own.
const LONGEST_ERROR: usize = 2_000;

/// A consumer of everything that is said.
struct Consumer {
    listing: Listing,
    decoder: Decoder,
    replicas: [Replica; 2],
    sequences: Sequences,
}

impl Consumer {
    fn new(venue: Venue) -> Self {
        let listing = listing();
        let mut replicas = [0; 2].map(|_| Replica::new(venue, &listing));
        replicas[1].set_conduct(Conduct::Batched);
        Self { decoder: Decoder::new(venue, &listing), replicas, sequences: Sequences::default(), listing }
    }

    fn hear(&mut self, message: &[u8]) -> Told {
        let Self { decoder, replicas, sequences, .. } = self;
        let mut told = Vec::new();
        decoder.decode_each(message, |said| {
            told.push(words(&said));
            match said {
                Ok(Decoded::Numbered(numbered)) => drop(sequences.on_number(numbered)),
                Ok(said) => {
                    for fault in replicas.iter_mut().filter_map(|replica| replica.apply(&said).err()) {
                        assert!(!fault.to_string().is_empty());
                    }
                }
                Err(_) => {}
            }
        });
        told
    }
}

/// Whatever the encoder writes of what the message says, says the same.
fn rewrite(venue: Venue, decoder: &mut Decoder, encoder: &mut Encoder, listing: &Listing, message: &[u8]) {
    let mut rewritten = Vec::new();
    decoder.decode_each(message, |said| {
        let Ok(said) = said else { return };
        let mut out = Vec::new();
        let written = encoder.encode_decoded(&said, &mut Numbering::default(), &mut out);
        assert_eq!(
            written,
            !out.is_empty(),
            "something was written of what cannot be, or nothing of what can"
        );
        if written && can_be_written(&said, listing) {
            rewritten.push((format!("{said:?}"), out));
        }
    });
    for (said, out) in rewritten {
        let again = told(decoder, &out);
        let show = || String::from_utf8_lossy(&out).into_owned();
        let same = again.iter().flatten().any(|again| agrees(venue, &said, again));
        assert!(same, "{said} was written as {}, which says {again:?}", show());
    }
}

/// Whether all quantities are within what a market of the listing can name, their units fit 64 bits, and no fee is paid
/// in nothing.
fn can_be_written(said: &Decoded<'_>, listing: &Listing) -> bool {
    let (symbol, lots, ticks) = match said {
        Decoded::Depth(it) => (it.symbol, it.bids.iter().chain(it.asks).map(|level| level.quantity).max(), 0),
        Decoded::Trade(it) => (it.symbol, Some(it.quantity), 0),
        Decoded::Aggregate(it) => (it.symbol, Some(it.quantity), 0),
        Decoded::Quote(it) => (it.symbol, Some(it.bid.quantity.max(it.ask.quantity)), 0),
        Decoded::Ticker(it) => {
            let best = it.best.unwrap_or_default().map(|level| level.quantity);
            let lots = best.into_iter().chain(it.last_quantity).max();
            (it.symbol, lots, it.change.unwrap_or_default().unsigned_abs())
        }
        Decoded::Execution(it) if it.fee_units > 0 && it.fee_asset.is_none() => return false,
        Decoded::Execution(it) => {
            (it.symbol, Some(it.quantity.max(it.filled_quantity).max(it.last.quantity)), 0)
        }
        _ => return true,
    };
    let instrument = listing.instrument(symbol);
    lots.unwrap_or(0).checked_mul(instrument.lot).is_some() && ticks.checked_mul(instrument.tick).is_some()
}

/// Whether `again` says all that `said` does. What a foreign wording left out may have been filled in, times are
/// told to the millisecond, up to the year 2554, and shares to the venue's step.
fn agrees(venue: Venue, said: &str, again: &str) -> bool {
    let (mut said, mut again) = (said.split(", "), again.split(", "));
    let mut is_time = false;
    loop {
        let (one, other) = match (said.next(), again.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) => (one, other),
            _ => return false,
        };
        // The two ends of a window are one field.
        is_time = one.contains("_ns: ") || is_time && !one.contains(": ");
        let left_out = one.contains(": None") && other.contains(": Some(");
        let [number, other_number] = [one, other].map(whole_number);
        let near = match (number, other_number) {
            (Some(number), Some(other)) if is_time => number / NS_PER_MS == other / NS_PER_MS,
            (Some(number), Some(other)) if one.starts_with("change_share") => {
                number.abs_diff(other) <= venue.rules().share_step.unsigned_abs()
            }
            _ => false,
        };
        if one != other && !left_out && !near {
            return false;
        }
    }
}

/// The digits in a text as one number.
fn whole_number(text: &str) -> Option<u64> {
    text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

const NS_PER_MS: u64 = 1_000_000;
