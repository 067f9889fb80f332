//! How an exchange is served: everything that is not the load itself.

use std::{fmt, net::SocketAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use tickstorm_load::format_duration;
use tickstorm_net::TlsChoice;
use tickstorm_venue::{Venue, VenueOptions, access::Credential, limits::LimitProfile, publisher::Publishing};

use crate::spec::words;

/// The settings of a mock exchange, beside those of the load and the market, which are a [`Spec`](crate::Spec)'s.
#[derive(Debug, Clone)]
pub struct ServeSpec {
    /// Where to listen; port 0 is any free one. Default 127.0.0.1:9443.
    pub listen: SocketAddr,
    /// Whether `listen` may be reached from other machines. Default no.
    pub is_public: bool,
    /// Whether TLS is spoken on the port beside plain text. Default no.
    pub tls: TlsChoice,
    /// Clients to wait for, with a subscription each, before the clock starts. Default 1.
    pub clients: u32,
    /// How long to wait for them; `None` is as long as it takes. Default `None`.
    pub wait_for: Option<Duration>,
    /// Bytes that may wait for a client beyond what its kernel and ours hold, one of [`CLIENT_QUEUES`]. Default 64 MiB.
    pub client_queue: usize,
    /// What happens to a client that has more waiting. Default: it is disconnected, as venues do.
    pub slow_client: SlowClient,
    /// The rhythm of the frames. Default the venue's.
    pub cadence: Publishing,
    /// Whether the venues' limits on what clients may ask are kept. Default off.
    pub limits: LimitProfile,
    /// Which of several forms of a venue's wire is spoken.
    pub options: VenueOptions,
    /// The keys that open accounts. Default none.
    pub keys: Vec<ApiKey>,
    /// Whether pings probe how far behind a client's reader is. Default on.
    pub pings: PingProbes,
    /// How long at most the silence at the end may last in which clients are watched until they rest; zero leaves it
    /// out. Default 10 s.
    pub silence: Duration,
}

impl Default for ServeSpec {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9443)),
            is_public: false,
            tls: TlsChoice::Off,
            clients: 1,
            wait_for: None,
            client_queue: 64 << 20,
            slow_client: SlowClient::Disconnect,
            cadence: Publishing::Venue,
            limits: LimitProfile::Off,
            options: VenueOptions::default(),
            keys: Vec::new(),
            pings: PingProbes::On,
            silence: Duration::from_secs(10),
        }
    }
}

impl ServeSpec {
    /// What to write on the command line to have these settings again, but for secrets and files.
    pub(super) fn flags(&self) -> Vec<String> {
        let default = Self::default();
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: String, default: String| {
            if value != default {
                flags.push(format!("--{name} {value}"));
            }
        };
        let cadence = |spec: &Self| match spec.cadence {
            Publishing::Venue => "venue".to_owned(),
            Publishing::Realtime => "realtime".to_owned(),
        };
        flag("listen", self.listen.to_string(), default.listen.to_string());
        flag("clients", self.clients.to_string(), default.clients.to_string());
        flag("client-queue", format!("{}B", self.client_queue), format!("{}B", default.client_queue));
        flag("slow-client", self.slow_client.to_string(), default.slow_client.to_string());
        flag("cadence", cadence(self), cadence(&default));
        flag("limits", self.limits.name().into(), default.limits.name().into());
        flag("ping-probes", self.pings.to_string(), default.pings.to_string());
        flag("silence", format_duration(self.silence), format_duration(default.silence));
        if let Some(wait_for) = self.wait_for {
            flags.push(format!("--wait-for {}", format_duration(wait_for)));
        }
        if self.is_public {
            flags.push("--listen-public".to_owned());
        }
        if let TlsChoice::Throwaway { names } = &self.tls {
            flags.push("--tls".to_owned());
            flags.extend(names.iter().map(|name| format!("--tls-name {name}")));
        }
        flags.extend(self.options.changed().iter().map(|option| format!("--venue-option {option}")));
        flags
    }

    /// How long clients are looked at before the clock starts, to know what they do without a feed: those that do
    /// nothing, and those that are restless.
    pub(super) fn calm(&self) -> RangeInclusive<Duration> {
        if self.silence.is_zero() { Duration::ZERO..=Duration::ZERO } else { CALM }
    }
}

/// A key that opens an account at one venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Where it is good.
    pub venue: Venue,
    /// The key, its secret and whose it is.
    pub credential: Credential,
}

impl ApiKey {
    /// A key of an account.
    pub fn new(venue: Venue, key: String, secret: String, passphrase: Option<String>, account: u32) -> Self {
        let account = tickstorm_market::AccountId(account);
        Self { venue, credential: Credential { key, secret, passphrase, account } }
    }
}

/// Reads `VENUE:KEY:SECRET`, with `:PASSPHRASE` and `@ACCOUNT` behind it where wanted. Errors do not repeat it.
impl FromStr for ApiKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, account) = match text.rsplit_once('@') {
            Some((rest, account)) if !account.contains(':') => {
                let account: u32 = account.parse().map_err(|_| {
                    // A secret may have an @ in it.
                    "the account behind the last @ must be a whole number from 0".to_owned()
                })?;
                (rest, account)
            }
            _ => (text, 0),
        };
        let mut parts = rest.splitn(4, ':');
        let (Some(venue), Some(key), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("expected VENUE:KEY:SECRET, with :PASSPHRASE and @ACCOUNT where wanted".into());
        };
        let venue = venue.parse::<Venue>().map_err(|error| {
            // Where the venue was forgotten this is the key.
            let meant = error.nearest.map_or(String::new(), |venue| format!(" (did you mean {venue}?)"));
            let venues: Vec<_> = Venue::ALL.iter().map(|venue| venue.name()).collect();
            format!("unknown venue before the first colon{meant}, must be one of: {}", venues.join(", "))
        })?;
        Ok(Self::new(venue, key.to_owned(), secret.to_owned(), parts.next().map(str::to_owned), account))
    }
}

/// What a client's queue may be, in bytes: room for a few frames, and what a machine may have.
pub const CLIENT_QUEUES: RangeInclusive<usize> = 64 << 10..=16 << 30;

/// A second and a half shows whether a client does things now and then, four how much that can come to.
const CALM: RangeInclusive<Duration> = Duration::from_millis(1500)..=Duration::from_secs(4);

words! {
    /// What happens to a client for which more waits than its queue holds.
    SlowClient {
        /// It is cut off with the venue's close code.
        Disconnect = "disconnect",
        /// What it has not seen is folded until there is room again: books level by level, or anew from a snapshot at
        /// Kraken and Bybit; of quotes, statistics and books that are told whole the last. Trades that find no room are
        /// dropped.
        Conflate = "conflate",
        /// What finds no room is dropped, so that it sees gaps.
        Drop = "drop",
    }
}

words! {
    /// WebSocket pings, ten a second to each client whatever it answers, behind the data.
    PingProbes {
        /// They are sent.
        On = "on",
        /// They are not; the venue's own pings are.
        Off = "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_key_is_repeated_where_it_is_refused() {
        for text in ["S3CRET:S3CRET:S3CRET", "S3CRET:S3CRET", "S3CRET", "okx:K:S3CRET@S3CRET"] {
            let error = text.parse::<ApiKey>().expect_err("it is no key");
            assert!(!error.contains("S3CRET"), "{error}");
        }
        let error = "binnance:K:S3CRET".parse::<ApiKey>().expect_err("there is no such venue");
        assert!(error.contains("did you mean binance?") && !error.contains("binnance"), "{error}");
    }

    #[test]
    fn what_is_not_as_by_default_is_on_the_command_line_that_has_it_again() {
        assert_eq!(ServeSpec::default().flags(), [""; 0]);
        let spec = ServeSpec {
            listen: SocketAddr::from(([0, 0, 0, 0], 80)),
            is_public: true,
            tls: TlsChoice::Throwaway { names: vec!["one.example".into(), "two.example".into()] },
            clients: 3,
            wait_for: Some(Duration::from_secs(90)),
            client_queue: 1 << 20,
            slow_client: SlowClient::Drop,
            cadence: Publishing::Realtime,
            limits: LimitProfile::Strict,
            options: VenueOptions::parse(["coinbase-snapshot-depth=50", "binance-listen-key=on"])
                .expect("there are such options"),
            keys: vec!["binance:key:secret".parse().expect("it is a key")],
            pings: PingProbes::Off,
            silence: Duration::from_secs(20),
        };
        assert_eq!(
            spec.flags().join(" "),
            "--listen 0.0.0.0:80 --clients 3 --client-queue 1048576B --slow-client drop --cadence realtime \
             --limits strict --ping-probes off --silence 20s --wait-for 90s --listen-public --tls \
             --tls-name one.example --tls-name two.example --venue-option binance-listen-key=on \
             --venue-option coinbase-snapshot-depth=50"
        );
    }
}
