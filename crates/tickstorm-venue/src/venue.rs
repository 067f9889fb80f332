//! Which exchange is imitated.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use tickstorm_market::instrument::{Instrument, Listing};

use crate::rules::Rules;
use crate::{binance, bybit, coinbase, kraken, okx};

/// An exchange whose dialect tickstorm speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Venue {
    /// Binance Spot: market streams and user data.
    #[default]
    Binance,
    /// Coinbase Advanced Trade: market data and user channel.
    Coinbase,
    /// Kraken Spot, WebSocket v2.
    Kraken,
    /// OKX v5, spot: public and private channels.
    Okx,
    /// Bybit v5, spot: public and private topics.
    Bybit,
}

impl Venue {
    /// Every venue, in the order in which they are offered to the user.
    pub const ALL: [Venue; 5] = [Venue::Binance, Venue::Coinbase, Venue::Kraken, Venue::Okx, Venue::Bybit];

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Venue::Binance => "binance",
            Venue::Coinbase => "coinbase",
            Venue::Kraken => "kraken",
            Venue::Okx => "okx",
            Venue::Bybit => "bybit",
        }
    }

    /// What the venue promises about its messages.
    pub const fn rules(self) -> &'static Rules {
        match self {
            Venue::Binance => &binance::RULES,
            Venue::Coinbase => &coinbase::RULES,
            Venue::Kraken => &kraken::RULES,
            Venue::Okx => &okx::RULES,
            Venue::Bybit => &bybit::RULES,
        }
    }

    /// How the venue writes an instrument's name, as `BTC-USDT`.
    pub fn symbol(self, listing: &Listing, instrument: &Instrument) -> String {
        let separator = match self {
            Venue::Binance | Venue::Bybit => return instrument.symbol.clone(),
            Venue::Kraken => "/",
            Venue::Coinbase | Venue::Okx => "-",
        };
        [listing.asset(instrument.base), listing.asset(instrument.quote)].join(separator)
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no venue's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown venue {name:?}{}, must be one of: {}", suggestion(*.nearest), list())]
pub struct UnknownVenue {
    /// What was given.
    pub name: String,
    /// The venue whose name is so close that it was probably meant.
    pub nearest: Option<Venue>,
}

/// Takes the name in any case.
impl FromStr for Venue {
    type Err = UnknownVenue;

    fn from_str(text: &str) -> Result<Self, UnknownVenue> {
        let name = text.trim().to_lowercase();
        Venue::ALL
            .into_iter()
            .find(|venue| venue.name() == name)
            .ok_or_else(|| UnknownVenue { name: text.to_owned(), nearest: nearest(&name) })
    }
}

/// The closest venue, if at most a third of its letters are wrong.
fn nearest(name: &str) -> Option<Venue> {
    let distance = |venue: &Venue| strsim::damerau_levenshtein(venue.name(), name);
    Venue::ALL.into_iter().min_by_key(distance).filter(|venue| 3 * distance(venue) <= venue.name().len())
}

fn suggestion(nearest: Option<Venue>) -> String {
    nearest.map_or_else(String::new, |venue| format!(" (did you mean {venue}?)"))
}

fn list() -> String {
    Venue::ALL.map(Venue::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_venue_reads_back_its_own_name_in_any_case() {
        for venue in Venue::ALL {
            assert_eq!(venue.to_string().parse(), Ok(venue));
            assert_eq!(venue.name().to_uppercase().parse(), Ok(venue));
        }
        assert_eq!(" Binance ".parse(), Ok(Venue::Binance));
    }

    #[test]
    fn a_slip_of_the_pen_is_answered_with_the_venue_that_was_meant() {
        let error = "Binanec".parse::<Venue>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown venue \"Binanec\" (did you mean binance?), must be one of: binance, coinbase, kraken, okx, bybit"
        );
    }

    #[test]
    fn a_name_far_from_all_venues_gets_the_list_only() {
        let error = "nyse".parse::<Venue>().unwrap_err();
        assert_eq!(error, UnknownVenue { name: "nyse".into(), nearest: None });
        assert_eq!(
            error.to_string(),
            "unknown venue \"nyse\", must be one of: binance, coinbase, kraken, okx, bybit"
        );
    }
}
