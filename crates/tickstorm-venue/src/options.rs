//! Switches between what a venue's documents, its wire of today and its wire of yesterday say.

use thiserror::Error;

use crate::encoder::ClientId;

/// How the venues are imitated where clients expect different things. The default is today's wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VenueOptions {
    /// The form of Binance's errors on market streams: nested on the wire, flat in the documentation.
    pub binance_error_envelope: ErrorEnvelope,
    /// Whether Binance still hands out listen keys, as before February 2026.
    pub binance_listen_key: bool,
    /// Whether an acknowledgement comes before the first data of its subscription.
    pub ack_order: AckOrder,
    /// Whether Coinbase's frames have the field `client_id`.
    pub coinbase_client_id: ClientId,
    /// At most so many levels a side in Coinbase's snapshots, which have a whole book; zero for all.
    pub coinbase_snapshot_depth: u32,
    /// The checksum of OKX's books, which is always zero since June 2026.
    pub okx_checksum: OkxChecksum,
    /// Whether OKX's account messages have the fields `eventType`, `curPage` and `lastPage`.
    pub okx_event_type: Presence,
    /// Whether Kraken sends recent trades to who subscribes to trades and does not say whether he wants them.
    pub kraken_trade_snapshot: bool,
}

/// The form of an error message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ErrorEnvelope {
    /// `{"error":{"code":2,"msg":"..."},"id":7}`
    #[default]
    Nested,
    /// `{"code":2,"msg":"..."}`
    Flat,
}

/// What comes first, the acknowledgement of a subscription or its data. Both happen on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AckOrder {
    /// As each venue does mostly: at Coinbase data first, elsewhere the acknowledgement.
    #[default]
    Venue,
    /// The acknowledgement.
    AckFirst,
    /// The data.
    DataFirst,
}

impl AckOrder {
    /// Whether the acknowledgement comes before the data that a new subscriber is sent first.
    pub fn ack_comes_first(self, venue: crate::Venue) -> bool {
        match self {
            AckOrder::Venue => venue != crate::Venue::Coinbase,
            AckOrder::AckFirst => true,
            AckOrder::DataFirst => false,
        }
    }
}

/// The checksum of OKX's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OkxChecksum {
    /// Zero, as on the wire today.
    #[default]
    Zero,
    /// As it was until June 2026.
    Retired,
}

/// Whether something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Presence {
    /// It is.
    #[default]
    Present,
    /// It is not.
    Absent,
}

/// An option for the command line's help.
#[derive(Debug, Clone, Copy)]
pub struct VenueOption {
    /// As in `NAME=VALUE`.
    pub name: &'static str,
    /// What it can be set to, the default first.
    pub values: &'static str,
    /// What it changes, in one line.
    pub help: &'static str,
    set: fn(&mut VenueOptions, &str) -> bool,
    show: fn(&VenueOptions) -> String,
}

/// An option that cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionError {
    /// There is no `=` in it.
    #[error("venue option {text:?} must be NAME=VALUE, NAME one of: {}", names())]
    NoValue {
        /// What was given.
        text: String,
    },
    /// There is no such option.
    #[error("unknown venue option {name:?}{}, must be one of: {}", suggestion(*.nearest), names())]
    UnknownName {
        /// What was given.
        name: String,
        /// The option whose name is so close that it was probably meant.
        nearest: Option<&'static str>,
    },
    /// It has no such value.
    #[error("venue option {name} is {value:?}, must be {allowed}")]
    WrongValue {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl VenueOptions {
    /// Sets an option from `NAME=VALUE`. Space around either is ignored, as is the case of letters.
    pub fn set(&mut self, text: &str) -> Result<(), OptionError> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| OptionError::NoValue { text: text.to_owned() })?;
        let wanted = name.trim().to_lowercase();
        let option = VENUE_OPTIONS.iter().find(|option| option.name == wanted).ok_or_else(|| {
            OptionError::UnknownName { name: name.trim().to_owned(), nearest: nearest(&wanted) }
        })?;
        if (option.set)(self, &value.trim().to_lowercase()) {
            return Ok(());
        }
        let value = value.trim().to_owned();
        Err(OptionError::WrongValue { name: option.name, value, allowed: option.values })
    }

    /// Those that are not as by default, as `NAME=VALUE`.
    pub fn changed(&self) -> Vec<String> {
        let default = Self::default();
        let changed = VENUE_OPTIONS.iter().filter(|option| (option.show)(self) != (option.show)(&default));
        changed.map(|option| format!("{}={}", option.name, (option.show)(self))).collect()
    }

    /// The options of a list of `NAME=VALUE`, of which later ones overrule earlier ones.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, OptionError> {
        let mut options = Self::default();
        texts.into_iter().try_for_each(|text| options.set(text))?;
        Ok(options)
    }
}

/// Every option, in the order of the venues.
pub static VENUE_OPTIONS: &[VenueOption] = &[
    VenueOption {
        name: "binance-error-envelope",
        values: "nested or flat",
        help: "errors on Binance's market streams as the wire has them, or as the documentation prints them",
        set: |options, value| pick(&mut options.binance_error_envelope, ENVELOPES, value),
        show: |options| word(options.binance_error_envelope, ENVELOPES),
    },
    VenueOption {
        name: "binance-listen-key",
        values: "off or on",
        help: "listen keys for Binance's user data, which older clients ask for and which ended in February 2026",
        set: |options, value| pick(&mut options.binance_listen_key, OFF_ON, value),
        show: |options| word(options.binance_listen_key, OFF_ON),
    },
    VenueOption {
        name: "ack-order",
        values: "venue, ack-first or data-first",
        help: "whether a subscription's first data comes after its acknowledgement or before",
        set: |options, value| pick(&mut options.ack_order, ACK_ORDERS, value),
        show: |options| word(options.ack_order, ACK_ORDERS),
    },
    VenueOption {
        name: "coinbase-client-id",
        values: "absent or empty",
        help: "the field client_id in Coinbase's frames, gone from the wire but needed by one of its libraries",
        set: |options, value| pick(&mut options.coinbase_client_id, CLIENT_IDS, value),
        show: |options| word(options.coinbase_client_id, CLIENT_IDS),
    },
    VenueOption {
        name: "coinbase-snapshot-depth",
        values: "0 for the whole book, or the most levels a side",
        help: "how many levels Coinbase's book snapshots have",
        set: |options, value| {
            let depth = value.parse();
            options.coinbase_snapshot_depth = *depth.as_ref().unwrap_or(&0);
            depth.is_ok()
        },
        show: |options| options.coinbase_snapshot_depth.to_string(),
    },
    VenueOption {
        name: "okx-checksum",
        values: "zero or retired",
        help: "checksums of OKX's books as today, always 0, or as until June 2026",
        set: |options, value| pick(&mut options.okx_checksum, CHECKSUMS, value),
        show: |options| word(options.okx_checksum, CHECKSUMS),
    },
    VenueOption {
        name: "okx-event-type",
        values: "present or absent",
        help: "the fields eventType, curPage and lastPage of OKX's account channel",
        set: |options, value| pick(&mut options.okx_event_type, PRESENCES, value),
        show: |options| word(options.okx_event_type, PRESENCES),
    },
    VenueOption {
        name: "kraken-trade-snapshot",
        values: "off or on",
        help: "recent trades for a subscriber of Kraken's trades who does not ask for them, as older pages say",
        set: |options, value| pick(&mut options.kraken_trade_snapshot, OFF_ON, value),
        show: |options| word(options.kraken_trade_snapshot, OFF_ON),
    },
];

const ENVELOPES: [(&str, ErrorEnvelope); 2] =
    [("nested", ErrorEnvelope::Nested), ("flat", ErrorEnvelope::Flat)];
const ACK_ORDERS: [(&str, AckOrder); 3] =
    [("venue", AckOrder::Venue), ("ack-first", AckOrder::AckFirst), ("data-first", AckOrder::DataFirst)];
const CLIENT_IDS: [(&str, ClientId); 2] = [("absent", ClientId::Absent), ("empty", ClientId::Empty)];
const CHECKSUMS: [(&str, OkxChecksum); 2] = [("zero", OkxChecksum::Zero), ("retired", OkxChecksum::Retired)];
const PRESENCES: [(&str, Presence); 2] = [("present", Presence::Present), ("absent", Presence::Absent)];
const OFF_ON: [(&str, bool); 2] = [("off", false), ("on", true)];

fn word<T: PartialEq, const N: usize>(value: T, words: [(&str, T); N]) -> String {
    words.into_iter().find(|(_, meant)| *meant == value).map_or_else(String::new, |(word, _)| word.to_owned())
}

fn pick<T, const N: usize>(place: &mut T, words: [(&str, T); N], value: &str) -> bool {
    match words.into_iter().find(|(word, _)| *word == value) {
        Some((_, meant)) => {
            *place = meant;
            true
        }
        None => false,
    }
}

/// The closest option, if at most a third of its letters are wrong.
fn nearest(name: &str) -> Option<&'static str> {
    let distance = |option: &&str| strsim::damerau_levenshtein(option, name);
    let names = VENUE_OPTIONS.iter().map(|option| option.name);
    names.min_by_key(distance).filter(|option| 3 * distance(option) <= option.len())
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

fn names() -> String {
    VENUE_OPTIONS.iter().map(|option| option.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_takes_its_values_and_the_last_one_counts() {
        let options = VenueOptions::parse([
            "binance-error-envelope=flat",
            "binance-listen-key=ON",
            "ack-order = data-first",
            "coinbase-client-id=empty",
            "coinbase-snapshot-depth=50",
            "okx-checksum=retired",
            "okx-event-type=absent",
            "kraken-trade-snapshot=on",
        ]);
        let expected = VenueOptions {
            binance_error_envelope: ErrorEnvelope::Flat,
            binance_listen_key: true,
            ack_order: AckOrder::DataFirst,
            coinbase_client_id: ClientId::Empty,
            coinbase_snapshot_depth: 50,
            okx_checksum: OkxChecksum::Retired,
            okx_event_type: Presence::Absent,
            kraken_trade_snapshot: true,
        };
        assert_eq!(options, Ok(expected));
        let changed = expected.changed();
        assert_eq!(changed.len(), VENUE_OPTIONS.len());
        assert_eq!(VenueOptions::parse(changed.iter().map(String::as_str)), Ok(expected), "{changed:?}");
        assert_eq!(VenueOptions::default().changed(), [""; 0]);
        let again = VenueOptions::parse(["okx-checksum=retired", "okx-checksum=zero"]);
        assert_eq!(again, Ok(VenueOptions::default()));
    }

    #[test]
    fn the_first_value_of_every_option_is_the_default() {
        for option in VENUE_OPTIONS {
            let first = option.values.split([' ', ',']).next().unwrap();
            let mut options = VenueOptions::default();
            assert_eq!(options.set(&format!("{}={first}", option.name)), Ok(()));
            assert_eq!(options, VenueOptions::default(), "{}", option.name);
        }
    }

    #[test]
    fn errors_say_what_is_allowed() {
        for (text, error) in [
            ("okx-checksum", "venue option \"okx-checksum\" must be NAME=VALUE, NAME one of: binance-error-"),
            (
                "okx-cheksum=zero",
                "unknown venue option \"okx-cheksum\" (did you mean okx-checksum?), must be",
            ),
            ("colour=red", "unknown venue option \"colour\", must be one of: binance-error-envelope, "),
            ("okx-checksum=Nil", "venue option okx-checksum is \"Nil\", must be zero or retired"),
            (
                "coinbase-snapshot-depth=-1",
                "venue option coinbase-snapshot-depth is \"-1\", must be 0 for the whole book, or the most levels a side",
            ),
        ] {
            let told = VenueOptions::parse([text]).unwrap_err().to_string();
            assert!(told.starts_with(error), "{told}");
        }
    }

    #[test]
    fn the_acknowledgement_comes_first_but_at_coinbase() {
        for venue in crate::Venue::ALL {
            assert_eq!(AckOrder::Venue.ack_comes_first(venue), venue != crate::Venue::Coinbase);
            assert!(AckOrder::AckFirst.ack_comes_first(venue));
            assert!(!AckOrder::DataFirst.ack_comes_first(venue));
        }
    }
}
