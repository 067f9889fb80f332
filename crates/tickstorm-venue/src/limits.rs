//! What a venue allows its clients, and what it does to those who take more.

use std::str::FromStr;

use thiserror::Error;

use crate::closing::{Closing, Leave};
use crate::protocol::Refusal;
use crate::venue::Venue;

/// Which limits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LimitProfile {
    /// None.
    #[default]
    Off,
    /// The venue's own, as far as it documents them.
    Venue,
    /// A tenth of them, but at least one of everything: clients meet them soon.
    Strict,
}

impl LimitProfile {
    /// Every profile, the default first.
    pub const ALL: [LimitProfile; 3] = [LimitProfile::Off, LimitProfile::Venue, LimitProfile::Strict];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            LimitProfile::Off => "off",
            LimitProfile::Venue => "venue",
            LimitProfile::Strict => "strict",
        }
    }
}

/// A name that is no profile's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown limits {name:?}, must be off, venue or strict")]
pub struct UnknownProfile {
    /// What was given.
    pub name: String,
}

/// Takes the name in any case.
impl FromStr for LimitProfile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let name = text.trim().to_lowercase();
        let found = LimitProfile::ALL.into_iter().find(|profile| profile.name() == name);
        found.ok_or_else(|| UnknownProfile { name: text.to_owned() })
    }
}

/// So much within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How much.
    pub count: u32,
    /// Within how long, ns. The time begins with the first use after it has passed.
    pub window_ns: u64,
}

/// What a client may do; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    venue: Venue,
    /// Subscriptions of a connection at any time.
    pub streams_per_connection: Option<u32>,
    /// Topics in one request.
    pub topics_per_request: Option<u32>,
    /// Bytes of one request.
    pub request_bytes: Option<u32>,
    /// Messages from a connection's client, pings among them. Pongs would count too, but most answer pings of our own.
    pub messages: Option<Quota>,
    /// Subscriptions, their ends and logins on a connection.
    pub commands: Option<Quota>,
    /// New connections of a client's address.
    pub connects: Option<Quota>,
    /// Requests of the HTTP interface by a client's address: by their weight at Binance, elsewhere by their number.
    pub requests: Option<Quota>,
}

/// A limit that was overstepped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overstep {
    /// The request is refused; the connection stays.
    Refuse(Refusal),
    /// The connection is closed.
    Close(Closing),
    /// The request is answered with a status of HTTP.
    Http {
        /// As 429.
        status: u16,
        /// When to try again: seconds, where the venue tells.
        retry_after_s: Option<u64>,
    },
}

impl Limits {
    /// A venue's limits. Those that it advises, or that are nowhere written down, are none.
    pub const fn new(venue: Venue, profile: LimitProfile) -> Self {
        const fn within(count: u32, seconds: u64) -> Option<Quota> {
            Some(Quota { count, window_ns: seconds * 1_000_000_000 })
        }
        let none = Self {
            venue,
            streams_per_connection: None,
            topics_per_request: None,
            request_bytes: None,
            messages: None,
            commands: None,
            connects: None,
            requests: None,
        };
        let own = match venue {
            Venue::Binance => Self {
                streams_per_connection: Some(1_024),
                messages: within(5, 1),
                connects: within(300, 300),
                requests: within(6_000, 60),
                ..none
            },
            Venue::Coinbase => {
                Self { commands: within(8, 1), connects: within(8, 1), requests: within(10, 1), ..none }
            }
            // Rates of messages are said to be dynamic.
            Venue::Kraken => Self { connects: within(150, 600), ..none },
            Venue::Okx => Self {
                request_bytes: Some(64 * 1_024),
                commands: within(480, 3_600),
                connects: within(3, 1),
                requests: within(20, 2),
                ..none
            },
            Venue::Bybit => Self {
                topics_per_request: Some(10),
                request_bytes: Some(21_000),
                connects: within(500, 300),
                requests: within(600, 5),
                ..none
            },
        };
        match profile {
            LimitProfile::Off => none,
            LimitProfile::Venue => own,
            LimitProfile::Strict => own.a_tenth(),
        }
    }

    const fn a_tenth(self) -> Self {
        const fn count(count: Option<u32>) -> Option<u32> {
            match count {
                None => None,
                Some(count) if count < 20 => Some(1),
                Some(count) => Some(count / 10),
            }
        }
        const fn quota(quota: Option<Quota>) -> Option<Quota> {
            match quota {
                None => None,
                Some(Quota { count: most, window_ns }) => match count(Some(most)) {
                    Some(count) => Some(Quota { count, window_ns }),
                    None => None,
                },
            }
        }
        Self {
            venue: self.venue,
            streams_per_connection: count(self.streams_per_connection),
            topics_per_request: count(self.topics_per_request),
            request_bytes: count(self.request_bytes),
            messages: quota(self.messages),
            commands: quota(self.commands),
            connects: quota(self.connects),
            requests: quota(self.requests),
        }
    }
}

/// What one client has used of a quota. Without one, everything is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    quota: Option<Quota>,
    /// When the window began.
    start_ns: Option<u64>,
    used: u32,
}

impl Meter {
    /// Nothing used.
    pub const fn new(quota: Option<Quota>) -> Self {
        Self { quota, start_ns: None, used: 0 }
    }

    /// Uses so much, if it is allowed. Otherwise it is not used, and the time until the window ends is returned, ns.
    pub fn take(&mut self, now_ns: u64, count: u32) -> Result<(), u64> {
        let Some(Quota { count: most, window_ns }) = self.quota else { return Ok(()) };
        let start_ns = match self.start_ns.filter(|start_ns| now_ns.saturating_sub(*start_ns) < window_ns) {
            Some(start_ns) => start_ns,
            None => {
                (self.start_ns, self.used) = (Some(now_ns), 0);
                now_ns
            }
        };
        let used = self.used.saturating_add(count);
        if used > most {
            return Err(start_ns.saturating_add(window_ns).saturating_sub(now_ns));
        }
        self.used = used;
        Ok(())
    }
}

/// What one connection has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionMeter {
    limits: Limits,
    messages: Meter,
    commands: Meter,
}

/// What one address of clients has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressMeter {
    venue: Venue,
    connects: Meter,
    requests: Meter,
    /// Requests in a row that were refused.
    refused: u32,
}

impl ConnectionMeter {
    /// A new connection.
    pub const fn new(limits: &Limits) -> Self {
        Self { limits: *limits, messages: Meter::new(limits.messages), commands: Meter::new(limits.commands) }
    }

    /// For every message of the client, before it is read: pings too.
    pub fn on_message(&mut self, now_ns: u64, bytes: usize) -> Result<(), Overstep> {
        let venue = self.limits.venue;
        if self.messages.take(now_ns, 1).is_err() {
            return Err(Overstep::Close(venue.closing(Leave::TooManyRequests)));
        }
        match self.limits.request_bytes {
            Some(most) if bytes > most as usize => Err(Overstep::Refuse(Refusal::TooMany { limit: most })),
            _ => Ok(()),
        }
    }

    /// For every subscription, its end and login: it names so many topics, after which the connection has so many.
    pub fn on_command(&mut self, now_ns: u64, topics: usize, subscribed: usize) -> Result<(), Overstep> {
        if self.commands.take(now_ns, 1).is_err() {
            return Err(Overstep::Refuse(Refusal::TooFrequent));
        }
        let most =
            [(topics, self.limits.topics_per_request), (subscribed, self.limits.streams_per_connection)];
        for (count, most) in most {
            if let Some(limit) = most.filter(|&most| count > most as usize) {
                return Err(Overstep::Refuse(Refusal::TooMany { limit }));
            }
        }
        Ok(())
    }
}

impl AddressMeter {
    /// An address that was not heard of.
    pub const fn new(limits: &Limits) -> Self {
        Self {
            venue: limits.venue,
            connects: Meter::new(limits.connects),
            requests: Meter::new(limits.requests),
            refused: 0,
        }
    }

    /// For every new connection.
    pub fn on_connect(&mut self, now_ns: u64) -> Result<(), Overstep> {
        self.connects.take(now_ns, 1).map_err(|wait_ns| self.http(wait_ns, false))
    }

    /// For every request of the HTTP interface; the weight is Binance's, one elsewhere.
    pub fn on_request(&mut self, now_ns: u64, weight: u32) -> Result<(), Overstep> {
        match self.requests.take(now_ns, weight) {
            Ok(()) => {
                self.refused = 0;
                Ok(())
            }
            Err(wait_ns) => {
                self.refused = self.refused.saturating_add(1);
                Err(self.http(wait_ns, self.refused > BAN_AFTER))
            }
        }
    }

    /// Binance bans who goes on all the same, and says until when.
    fn http(&self, wait_ns: u64, goes_on: bool) -> Overstep {
        let seconds = wait_ns.div_ceil(1_000_000_000);
        match self.venue {
            Venue::Binance if goes_on => {
                Overstep::Http { status: 418, retry_after_s: Some(seconds.max(BAN_SECONDS)) }
            }
            Venue::Binance => Overstep::Http { status: 429, retry_after_s: Some(seconds) },
            Venue::Bybit => Overstep::Http { status: 403, retry_after_s: None },
            Venue::Coinbase | Venue::Kraken | Venue::Okx => {
                Overstep::Http { status: 429, retry_after_s: None }
            }
        }
    }
}

/// Refused requests in a row after which Binance bans an address. Its documentation only says that there is such a
/// number.
const BAN_AFTER: u32 = 10;

/// The shortest of Binance's bans.
const BAN_SECONDS: u64 = 120;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_quota_is_good_for_its_window_and_then_again() {
        let mut meter = Meter::new(Some(Quota { count: 2, window_ns: 10 }));
        assert_eq!(
            [5, 6, 7, 14, 15, 16, 24].map(|now_ns| meter.take(now_ns, 1)),
            [Ok(()), Ok(()), Err(8), Err(1), Ok(()), Ok(()), Err(1),]
        );
        assert_eq!(Meter::new(None).take(0, u32::MAX), Ok(()));
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_its_quota(
            gaps in proptest::collection::vec((0..30u64, 1..4u32), 1..200),
            most in 1..10u32,
        ) {
            let mut meter = Meter::new(Some(Quota { count: most, window_ns: 50 }));
            let (mut now_ns, mut window, mut taken) = (0, None, 0);
            for (gap_ns, count) in gaps {
                now_ns += gap_ns;
                if window.is_none_or(|start_ns| now_ns >= start_ns + 50) {
                    (window, taken) = (Some(now_ns), 0);
                }
                match meter.take(now_ns, count) {
                    Ok(()) => taken += count,
                    Err(wait_ns) => {
                        prop_assert!(taken + count > most);
                        prop_assert_eq!(now_ns + wait_ns, window.unwrap() + 50);
                    }
                }
                prop_assert!(taken <= most);
            }
        }
    }

    #[test]
    fn without_limits_everything_is_allowed() {
        for venue in Venue::ALL {
            let limits = Limits::new(venue, LimitProfile::Off);
            let (mut connection, mut address) = (ConnectionMeter::new(&limits), AddressMeter::new(&limits));
            for _ in 0..10_000 {
                assert_eq!(connection.on_message(0, 1 << 20), Ok(()));
                assert_eq!(connection.on_command(0, 5_000, 50_000), Ok(()));
                assert_eq!((address.on_connect(0), address.on_request(0, 250)), (Ok(()), Ok(())));
            }
        }
    }

    #[test]
    fn the_sixth_message_of_a_second_ends_a_connection_to_binance() {
        let mut connection = ConnectionMeter::new(&Limits::new(Venue::Binance, LimitProfile::Venue));
        for _ in 0..5 {
            assert_eq!(connection.on_message(3, 100), Ok(()));
        }
        let closing = Venue::Binance.closing(Leave::TooManyRequests);
        assert_eq!(connection.on_message(SECOND + 2, 100), Err(Overstep::Close(closing)));
        assert_eq!(connection.on_message(SECOND + 3, 100), Ok(()));
        assert_eq!(connection.on_command(0, 2_000, 1_024), Ok(()));
        assert_eq!(
            connection.on_command(0, 1, 1_025),
            Err(Overstep::Refuse(Refusal::TooMany { limit: 1_024 }))
        );
    }

    #[test]
    fn commands_sizes_and_topics_are_refused_where_the_venue_does_so() {
        let meter = |venue| ConnectionMeter::new(&Limits::new(venue, LimitProfile::Venue));
        let mut okx = meter(Venue::Okx);
        for _ in 0..480 {
            assert_eq!(okx.on_command(0, 1, 1), Ok(()));
        }
        assert_eq!(okx.on_command(3_599 * SECOND, 1, 1), Err(Overstep::Refuse(Refusal::TooFrequent)));
        assert_eq!(okx.on_command(3_600 * SECOND, 1, 1), Ok(()));
        assert_eq!(okx.on_message(0, 65_536), Ok(()));
        assert_eq!(okx.on_message(0, 65_537), Err(Overstep::Refuse(Refusal::TooMany { limit: 65_536 })));
        let mut bybit = meter(Venue::Bybit);
        assert_eq!(bybit.on_command(0, 10, 500), Ok(()));
        assert_eq!(bybit.on_command(0, 11, 500), Err(Overstep::Refuse(Refusal::TooMany { limit: 10 })));
    }

    #[test]
    fn who_asks_binance_too_much_is_told_to_wait_and_then_banned() {
        let mut address = AddressMeter::new(&Limits::new(Venue::Binance, LimitProfile::Venue));
        for _ in 0..24 {
            assert_eq!(address.on_request(0, 250), Ok(()));
        }
        for _ in 0..BAN_AFTER {
            let told = address.on_request(SECOND + 1, 1);
            assert_eq!(told, Err(Overstep::Http { status: 429, retry_after_s: Some(59) }));
        }
        let told = address.on_request(2 * SECOND, 1);
        assert_eq!(told, Err(Overstep::Http { status: 418, retry_after_s: Some(120) }));
        assert_eq!(address.on_request(60 * SECOND, 1), Ok(()));
        let mut address = AddressMeter::new(&Limits::new(Venue::Bybit, LimitProfile::Strict));
        for _ in 0..50 {
            assert_eq!(address.on_connect(0), Ok(()));
        }
        assert_eq!(address.on_connect(0), Err(Overstep::Http { status: 403, retry_after_s: None }));
    }

    #[test]
    fn connections_are_counted_by_address_and_refused_without_a_word_when_to_come_again() {
        let refused = Err(Overstep::Http { status: 429, retry_after_s: None });
        for (venue, most, within_ns) in [(Venue::Okx, 3, SECOND), (Venue::Kraken, 150, 600 * SECOND)] {
            let mut address = AddressMeter::new(&Limits::new(venue, LimitProfile::Venue));
            for _ in 0..most {
                assert_eq!(address.on_connect(7), Ok(()), "{venue}");
            }
            assert_eq!(address.on_connect(within_ns + 6), refused, "{venue}");
            assert_eq!(address.on_connect(within_ns + 7), Ok(()), "{venue}");
        }
    }

    #[test]
    fn strict_limits_are_smaller_but_never_nothing() {
        for venue in Venue::ALL {
            let [own, strict] = [LimitProfile::Venue, LimitProfile::Strict].map(|it| Limits::new(venue, it));
            for (own, strict) in [
                (own.messages, strict.messages),
                (own.commands, strict.commands),
                (own.connects, strict.connects),
                (own.requests, strict.requests),
            ] {
                assert_eq!(own.is_some(), strict.is_some());
                let Some((own, strict)) = own.zip(strict) else { continue };
                assert_eq!(own.window_ns, strict.window_ns);
                assert!((1..own.count).contains(&strict.count), "{venue}");
            }
        }
    }

    #[test]
    fn profiles_are_read_by_name() {
        for profile in LimitProfile::ALL {
            assert_eq!(profile.name().to_uppercase().parse(), Ok(profile));
        }
        let error = "real".parse::<LimitProfile>().unwrap_err();
        assert_eq!(error.to_string(), "unknown limits \"real\", must be off, venue or strict");
    }
}
