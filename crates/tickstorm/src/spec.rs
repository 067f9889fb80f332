//! What the user wrote: every setting of a run with its default, nothing yet checked against the others.

use std::{fmt, str::FromStr, time::Duration};

use tickstorm_load::{Arrivals, Factor, LoadProfile, Rate, parse_duration};
use tickstorm_venue::Venue;

use crate::settings::share;

/// The settings of a run. [`Plan::new`](crate::Plan::new) works out what they mean together.
///
/// ```
/// let spec = tickstorm::Spec::default();
/// assert_eq!(spec.base_rate.to_string(), "100/s");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Messages per second at multiplier 1 and factor 1. Default 100/s.
    pub base_rate: Rate,
    /// What the base rate is multiplied by. Default 10.
    pub multiplier: Factor,
    /// Length of the measured phase; `None` is that of the stages, or 60 s.
    pub duration: Option<Duration>,
    /// The factor over the run. Default NORMAL.
    pub profile: LoadProfile,
    /// How messages arrive inside the profile; `None` is paced for NORMAL and the ramps, bursty for the others.
    pub arrivals: Option<Arrivals>,
    /// The market's mood, with a scenario until that begins. Default `Auto`.
    pub regime: RegimeChoice,
    /// What happens to the market over the run, whatever the load profile. Default nothing.
    pub scenario: Scenario,
    /// How far prices fall in the flash crash, as a share of them, 0.001 to 0.3; `None` is 0.08.
    pub crash_depth: Option<f64>,
    /// Share of the fall that is recovered, 0 to 1; `None` is 0.75.
    pub crash_retrace: Option<f64>,
    /// How long trading is halted at the lowest point, up to a tenth of the run; `None` is not at all.
    pub crash_halt: Option<Duration>,
    /// How wide a tick is for the books. Default large: spreads of one tick, with long queues.
    pub tick_size: TickSize,
    /// Everything random follows from it. Default 1.
    pub seed: u64,
    /// The wall-clock time that the messages carry for the start of the run: unix ns, or `None` for the real one
    /// (and then the bytes differ from run to run). Default 2026-01-01T00:00:00Z.
    pub start_unix_ns: Option<i64>,
    /// Share of failed messages above which the run fails. Default 0.01.
    pub error_threshold: f64,
    /// Further limits on what is measured. Default none.
    pub thresholds: Vec<Threshold>,
    /// Length of an entry of the timeline. Default 10 s.
    pub report_interval: Duration,
    /// Whose wire format. Default Binance Spot.
    pub venue: Venue,
    /// Instruments in the market, 1 to 10,000. Default 100.
    pub symbols: u32,
    /// Exponent of the instruments' activity: the i-th acts in proportion to 1 / i^zipf. 0 to 2; default 1.
    pub zipf: f64,
    /// Accounts that trade in it. Default 50.
    pub accounts: u32,
    /// Connections to the target, 1 to 4,096. Default 1.
    pub connections: u32,
    /// Threads that drive them. Default the cores less one, at least one.
    pub workers: Workers,
    /// Messages that may be sent and unanswered at once, over all connections. Default 1000.
    pub max_concurrent: u32,
    /// What happens to a message that is due at that limit. Default: it waits.
    pub at_limit: AtLimit,
    /// How long after it was sent a message may stay unanswered. Default 5 s.
    pub timeout: Duration,
    /// A phase at the base rate before the measured one, which enters no figure. Default none.
    pub warmup: Duration,
    /// Up to how many messages that are due together go as one call or one array. Default 1.
    pub batch: u32,
    /// How the target acknowledges; `None` is `id` for the built-in target, else `none`.
    pub ack: Option<AckMode>,
    /// Where a reply holds the id of the message it answers. Default `/ack`.
    pub ack_pointer: String,
    /// Field that is added to each message with its ordinal, so that replies can name it. Default none.
    pub stamp_id: Option<String>,
    /// Where a message itself holds the id that replies name. Default none: its ordinal.
    pub id_pointer: Option<String>,
    /// When placed messages are written to the socket. Default one write per pacing slot and connection.
    pub flush: Flush,
    /// How workers wait for the next due instant. Default `Auto`.
    pub pacing: Pacing,
    /// Pacing lag above which a message counts against the generator. Default 50 ms.
    pub max_pacing_lag: Duration,
    /// Whether a target outside loopback and private ranges may be stormed. Default no.
    pub allow_public_target: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            base_rate: Rate::per_second(100).expect("100/s is a rate"),
            multiplier: Factor::from_millionths(10_000_000).expect("10 is a factor"),
            duration: None,
            profile: LoadProfile::NORMAL,
            arrivals: None,
            regime: RegimeChoice::Auto,
            scenario: Scenario::None,
            crash_depth: None,
            crash_retrace: None,
            crash_halt: None,
            tick_size: TickSize::Large,
            seed: 1,
            start_unix_ns: Some(crate::stream::DEFAULT_START_UNIX_NS),
            error_threshold: 0.01,
            thresholds: Vec::new(),
            report_interval: Duration::from_secs(10),
            venue: Venue::Binance,
            symbols: 100,
            zipf: 1.0,
            accounts: 50,
            connections: 1,
            workers: Workers::Auto,
            max_concurrent: 1000,
            at_limit: AtLimit::Wait,
            timeout: Duration::from_secs(5),
            warmup: Duration::ZERO,
            batch: 1,
            ack: None,
            ack_pointer: "/ack".into(),
            stamp_id: None,
            id_pointer: None,
            flush: Flush::Slot,
            pacing: Pacing::Auto,
            max_pacing_lag: Duration::from_millis(50),
            allow_public_target: false,
        }
    }
}

/// How many threads drive the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// The cores less one, at least one, at most one a connection.
    Auto,
    /// This many, at most one a connection.
    Count(u32),
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            number => match number.parse() {
                Ok(count @ 1..=1024) => Ok(Self::Count(count)),
                _ => Err(format!("expected `auto` or a whole number from 1 to 1024, got `{text}`")),
            },
        }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// Declares an enum whose values are words on the command line, with the reading and writing of them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),+
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("expected one of {}, got `{text}`", [$(concat!("`", $word, "`")),+].join(", "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The market's mood.
    RegimeChoice {
        /// VOLATILE for the VOLATILE profile; for SPIKE a panic in each burst and a recovery after it; else NORMAL.
        Auto = "auto",
        /// Calm trading.
        Normal = "normal",
        /// Thinner books, more trades.
        Volatile = "volatile",
    }
}

words! {
    /// What happens to the market over a run. A scenario says nothing of the rate: that is the load profile's to say.
    Scenario {
        /// Nothing in particular.
        None = "none",
        /// Prices collapse when two fifths of the measured phase are over, and recover most of it.
        FlashCrash = "flash-crash",
    }
}

words! {
    /// How wide a tick is for the books.
    TickSize {
        /// The spread is one tick nearly always, with long queues there.
        Large = "large",
        /// The spread is several ticks, and levels are thin.
        Small = "small",
    }
}

words! {
    /// What happens to a message that is due while `max_concurrent` messages are unanswered.
    AtLimit {
        /// It waits, and the wait counts in its latency.
        Wait = "wait",
        /// It is dropped, and counted as such.
        Drop = "drop",
    }
}

words! {
    /// How a reply is matched to the message it answers.
    AckMode {
        /// The reply names the message's id.
        Id = "id",
        /// The n-th reply answers the n-th message (or array) of the connection.
        Fifo = "fifo",
        /// Nothing is awaited: a message is processed when the kernel took it.
        None = "none",
    }
}

words! {
    /// How a worker waits for the next due instant.
    Pacing {
        /// `spin` above 10,000 msg/s where the worker has a core to itself, else `sleep`.
        Auto = "auto",
        /// Sleeps to each deadline, at most every 100 us.
        Sleep = "sleep",
        /// Sleeps to 60 us before each deadline, then spins.
        Spin = "spin",
    }
}

/// When the messages placed on a connection are written to its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Everything that is due at a wake-up in one write.
    Slot,
    /// At most one write a connection in this time.
    Every(Duration),
    /// Once this many bytes are placed, or 1 ms after the first of them.
    Bytes(usize),
    /// One write a message.
    Each,
}

impl FromStr for Flush {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || {
            format!(
                "expected `slot`, `each`, a time up to 1s as `100us`, or a size from 1B to 1MiB as `16KiB`, got `{text}`"
            )
        };
        let trimmed = text.trim();
        match trimmed {
            "slot" => return Ok(Self::Slot),
            "each" => return Ok(Self::Each),
            _ => {}
        }
        for (unit, bytes) in [("KiB", 1024), ("MiB", 1 << 20), ("B", 1)] {
            if let Some(number) = trimmed.strip_suffix(unit) {
                let size = number.trim().parse::<usize>().ok().and_then(|n| n.checked_mul(bytes));
                return size.filter(|size| (1..=1 << 20).contains(size)).map(Self::Bytes).ok_or_else(fail);
            }
        }
        match parse_duration(trimmed) {
            Ok(time) if !time.is_zero() && time <= Duration::from_secs(1) => Ok(Self::Every(time)),
            _ => Err(fail()),
        }
    }
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot => f.write_str("slot"),
            Self::Each => f.write_str("each"),
            Self::Every(time) => f.write_str(&tickstorm_load::format_duration(*time)),
            Self::Bytes(size) if size % 1024 == 0 => write!(f, "{}KiB", size / 1024),
            Self::Bytes(size) => write!(f, "{size}B"),
        }
    }
}

/// A limit on something measured, as `p99<50ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// What is limited.
    pub metric: Metric,
    /// The largest value that still passes: ns for latencies, a share for the error rate.
    pub limit: f64,
}

/// What a [`Threshold`] can limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// A percentile of latency, 0 < p < 100.
    Percentile(f64),
    /// Mean latency.
    Mean,
    /// Largest latency.
    Max,
    /// Failed share of the messages.
    ErrorRate,
    /// How far behind the slowest client is, where clients are served.
    Age,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || {
            format!(
                "expected a metric (`p50`, `p99`, `p99.9` …, `mean`, `max`, `error_rate`, `age`), `<` and a limit, as `p99<50ms` or `error_rate<5%`, got `{text}`"
            )
        };
        let (metric, limit) = text.split_once('<').ok_or_else(fail)?;
        let metric = match metric.trim() {
            "mean" => Metric::Mean,
            "max" => Metric::Max,
            "error_rate" => Metric::ErrorRate,
            "age" => Metric::Age,
            name => {
                let p: f64 = name.strip_prefix('p').and_then(|p| p.parse().ok()).ok_or_else(fail)?;
                if !(p > 0.0 && p < 100.0) {
                    return Err(fail());
                }
                Metric::Percentile(p)
            }
        };
        let limit = match metric {
            Metric::ErrorRate => {
                share(limit, 0.0, 1.0).map_err(|error| format!("{error}, in `{}`", text.trim()))?
            }
            _ => time_limit(metric, limit)?.as_nanos() as f64,
        };
        Ok(Self { metric, limit })
    }
}

/// Elsewhere a bare number is seconds, but other load testers read one as milliseconds here, and a limit a thousand
/// times too wide is held by everything.
fn time_limit(metric: Metric, text: &str) -> Result<Duration, String> {
    let text = text.trim();
    match parse_duration(text) {
        Ok(time) if time.is_zero() => Err(format!("a limit in time is above zero, got `{metric}<{text}`")),
        Ok(_) if text.ends_with(|last: char| last.is_ascii_digit()) => {
            Err(format!("a limit in time needs its unit, as `{metric}<{text}ms`, got `{metric}<{text}`"))
        }
        Ok(time) => Ok(time),
        Err(_) => Err(format!("expected a time with its unit, as `{metric}<50ms`, got `{metric}<{text}`")),
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(p) => write!(f, "p{p}"),
            Self::Mean => f.write_str("mean"),
            Self::Max => f.write_str("max"),
            Self::ErrorRate => f.write_str("error_rate"),
            Self::Age => f.write_str("age"),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.metric {
            Metric::ErrorRate => write!(f, "{}<{}", self.metric, self.limit),
            _ => {
                let limit = tickstorm_load::format_duration(Duration::from_nanos(self.limit as u64));
                write!(f, "{}<{limit}", self.metric)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_and_written_alike() {
        for text in ["p99<50ms", "p99.9<1s", "mean<250us", "max<2s", "error_rate<0.05"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
        for (text, shown) in [("error_rate<5%", "error_rate<0.05"), (" age < 1.5s ", "age<1500ms")] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), shown);
        }
        for text in [
            "p99",
            "p0<1s",
            "p100<1s",
            "p99<",
            "p99<-1ms",
            "error_rate<2",
            "error_rate<101%",
            "median<1s",
            "pNaN<1s",
            "error_rate<NaN",
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn a_limit_in_time_has_its_unit_and_is_above_zero() {
        for (text, expected) in [
            ("p99<500", "needs its unit, as `p99<500ms`, got `p99<500`"),
            ("max < 1.5", "needs its unit, as `max<1.5ms`, got `max<1.5`"),
            ("age<30", "needs its unit, as `age<30ms`, got `age<30`"),
            ("mean<0ms", "above zero, got `mean<0ms`"),
            ("p50<0", "above zero, got `p50<0`"),
            ("p50<soon", "a time with its unit, as `p50<50ms`, got `p50<soon`"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn flush_rules_are_read_and_written_alike() {
        for text in ["slot", "each", "100us", "16KiB", "100B"] {
            assert_eq!(text.parse::<Flush>().unwrap().to_string(), text);
        }
        for text in ["", "0us", "0B", "2MiB", "5s", "sometimes"] {
            let error = text.parse::<Flush>().unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
