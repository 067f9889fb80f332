//! What of a venue is subscribed to.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tickstorm_market::instrument::Instrument;
use tickstorm_market::{Listing, SymbolId};
use tickstorm_venue::Venue;
use tickstorm_venue::protocol::{Channel, Topic};

/// A kind of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsumeChannel {
    /// Books, as snapshot and updates.
    Book,
    /// Public trades.
    Trades,
    /// 24 h statistics.
    Ticker,
    /// The best prices.
    Quotes,
}

impl ConsumeChannel {
    /// Every channel, in the order in which they are subscribed to.
    pub const ALL: [ConsumeChannel; 4] =
        [ConsumeChannel::Book, ConsumeChannel::Trades, ConsumeChannel::Ticker, ConsumeChannel::Quotes];

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            ConsumeChannel::Book => "book",
            ConsumeChannel::Trades => "trades",
            ConsumeChannel::Ticker => "ticker",
            ConsumeChannel::Quotes => "quotes",
        }
    }

    /// Whether the venue has it.
    pub fn is_offered_by(self, venue: Venue) -> bool {
        self != ConsumeChannel::Quotes || venue != Venue::Coinbase
    }

    pub(super) fn of_venue(self, venue: Venue, depth: u32) -> Channel {
        match self {
            ConsumeChannel::Book if venue == Venue::Okx && depth == OKX_SHALLOW => {
                Channel::TopOfBook { depth }
            }
            ConsumeChannel::Book => Channel::Book { depth },
            ConsumeChannel::Trades => Channel::Trades,
            ConsumeChannel::Ticker => Channel::Tickers,
            ConsumeChannel::Quotes => Channel::Quotes,
        }
    }
}

/// Levels a side of the book that OKX tells whole each time.
const OKX_SHALLOW: u32 = 5;

impl fmt::Display for ConsumeChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no channel's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown channel {name:?}, must be one of: {}", names(&ConsumeChannel::ALL))]
pub struct UnknownConsumeChannel {
    /// What was given.
    pub name: String,
}

impl FromStr for ConsumeChannel {
    type Err = UnknownConsumeChannel;

    fn from_str(text: &str) -> Result<Self, UnknownConsumeChannel> {
        let name = text.trim().to_lowercase();
        let found = ConsumeChannel::ALL.into_iter().find(|channel| channel.name() == name);
        found.ok_or_else(|| UnknownConsumeChannel { name: text.to_owned() })
    }
}

pub(super) fn names(channels: &[ConsumeChannel]) -> String {
    channels.iter().map(|channel| channel.name()).collect::<Vec<_>>().join(", ")
}

/// Which instruments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumeSymbols {
    /// The first ones that the venue lists.
    Top(u32),
    /// All that the venue lists.
    All,
    /// These, in the venue's own words, in any case.
    Named(Vec<String>),
}

impl Default for ConsumeSymbols {
    /// The ten first.
    fn default() -> Self {
        ConsumeSymbols::Top(10)
    }
}

/// A text that chooses no instruments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsumeSymbolsError {
    /// `TOP:` without a number.
    #[error("expected TOP:N with a whole number from 1, got {text:?}")]
    Top {
        /// What was given.
        text: String,
    },
    /// A list with an empty place.
    #[error("expected names of instruments with commas between, all, or TOP:N, got {text:?}")]
    Empty {
        /// What was given.
        text: String,
    },
}

impl FromStr for ConsumeSymbols {
    type Err = ConsumeSymbolsError;

    fn from_str(text: &str) -> Result<Self, ConsumeSymbolsError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("all") {
            return Ok(ConsumeSymbols::All);
        }
        if let Some((word, count)) = text.split_once(':')
            && word.eq_ignore_ascii_case("top")
        {
            let count = count.trim().parse().ok().filter(|&count| count > 0);
            return count
                .map(ConsumeSymbols::Top)
                .ok_or_else(|| ConsumeSymbolsError::Top { text: text.to_owned() });
        }
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',').map(str::trim) {
            if name.is_empty() {
                return Err(ConsumeSymbolsError::Empty { text: text.to_owned() });
            }
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.to_owned());
            }
        }
        Ok(ConsumeSymbols::Named(names))
    }
}

impl ConsumeSymbols {
    /// The listing of what is chosen, in the order in which it was named, and what the venue does not list.
    pub(super) fn of_listing(&self, venue: Venue, listing: &Listing) -> Result<Listing, Vec<UnknownSymbol>> {
        let instruments: Vec<&Instrument> = match self {
            ConsumeSymbols::All => listing.instruments.iter().collect(),
            ConsumeSymbols::Top(count) => listing.instruments.iter().take(*count as usize).collect(),
            ConsumeSymbols::Named(names) => {
                let known: Vec<String> =
                    listing.instruments.iter().map(|listed| venue.symbol(listing, listed)).collect();
                let place = |name: &String| known.iter().position(|known| known.eq_ignore_ascii_case(name));
                let unknown: Vec<UnknownSymbol> = names
                    .iter()
                    .filter(|name| place(name).is_none())
                    .map(|name| UnknownSymbol::new(venue, name, &known))
                    .collect();
                if !unknown.is_empty() {
                    return Err(unknown);
                }
                names.iter().filter_map(place).map(|place| &listing.instruments[place]).collect()
            }
        };
        let numbered = (0..).map(SymbolId).zip(instruments);
        Ok(Listing {
            instruments: numbered.map(|(id, listed)| Instrument { id, ..listed.clone() }).collect(),
            assets: listing.assets.clone(),
        })
    }
}

/// An instrument that the venue does not list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{venue} lists no {name:?} among its {listed} instruments, as {examples}")]
pub(super) struct UnknownSymbol {
    venue: Venue,
    name: String,
    listed: usize,
    examples: String,
}

impl UnknownSymbol {
    fn new(venue: Venue, name: &str, known: &[String]) -> Self {
        // What reads alike but for what stands between base and quote was probably meant.
        let letters = |text: &str| -> String {
            text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
        };
        let (meant, others): (Vec<&String>, Vec<&String>) =
            known.iter().partition(|known| letters(known) == letters(name));
        let examples: Vec<&str> = meant.into_iter().chain(others).take(3).map(String::as_str).collect();
        Self { venue, name: name.to_owned(), listed: known.len(), examples: examples.join(", ") }
    }
}

/// The topics of all these instruments, channel by channel.
pub(super) fn topics(
    venue: Venue,
    listing: &Listing,
    channels: &[ConsumeChannel],
    depth: u32,
) -> Vec<Vec<Topic>> {
    let of_channel = |channel: &ConsumeChannel| {
        let channel = channel.of_venue(venue, depth);
        let topic = |listed: &Instrument| Topic { channel, symbol: Some(listed.id), name: String::new() };
        listing.instruments.iter().map(topic).collect()
    };
    channels.iter().map(of_channel).collect()
}

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;

    #[test]
    fn instruments_are_named_counted_or_all() {
        let named =
            |names: &[&str]| Ok(ConsumeSymbols::Named(names.iter().map(|name| (*name).to_owned()).collect()));
        assert_eq!("all".parse(), Ok(ConsumeSymbols::All));
        assert_eq!("top:5".parse(), Ok(ConsumeSymbols::Top(5)));
        assert_eq!(" BTC/USDT, eth/usdt,btc/usdt".parse(), named(&["BTC/USDT", "eth/usdt"]));
        for (text, words) in
            [("TOP:0", "whole number from 1"), ("", "names of instruments"), ("A,,B", "\"A,,B\"")]
        {
            let error = text.parse::<ConsumeSymbols>().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_is_chosen_is_numbered_anew_in_the_order_of_the_names() {
        let listing = Listing::synthetic(5, Seed::new(1));
        let chosen: ConsumeSymbols = "eth/usdt,BTC/USDT".parse().unwrap();
        let chosen = chosen.of_listing(Venue::Kraken, &listing).unwrap();
        let symbols: Vec<(u32, &str)> =
            chosen.instruments.iter().map(|listed| (listed.id.0, listed.symbol.as_str())).collect();
        assert_eq!(symbols, [(0, "ETHUSDT"), (1, "BTCUSDT")]);
        assert_eq!(ConsumeSymbols::Top(3).of_listing(Venue::Okx, &listing).unwrap().instruments.len(), 3);
    }

    #[test]
    fn an_unknown_instrument_is_answered_with_those_that_there_are() {
        let listing = Listing::synthetic(5, Seed::new(1));
        let chosen: ConsumeSymbols = "ETHUSDT,XYZ".parse().unwrap();
        let unknown = chosen.of_listing(Venue::Okx, &listing).unwrap_err();
        let said: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "okx lists no \"ETHUSDT\" among its 5 instruments, as ETH-USDT, BTC-USDT, SOL-USDT",
                "okx lists no \"XYZ\" among its 5 instruments, as BTC-USDT, ETH-USDT, SOL-USDT",
            ]
        );
    }
}
