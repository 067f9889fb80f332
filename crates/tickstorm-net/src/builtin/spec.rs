//! How the built-in target behaves, as a user writes it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tickstorm_load::{Freeze, format_duration, parse_duration};

/// The behaviour of the built-in target, read from `builtin` or
/// `builtin:?service=1ms&dist=exp&servers=1&fail=0.001&freeze=200ms/10s&seed=7`. Shown, it names what differs from
/// the default, always in this order.
///
/// ```
/// use std::time::Duration;
/// use tickstorm_net::BuiltinSpec;
///
/// let spec: BuiltinSpec = "builtin:?seed=7&service=1ms".parse()?;
/// assert_eq!(spec.service, Duration::from_millis(1));
/// assert_eq!(spec.to_string(), "builtin:?service=1ms&seed=7");
/// # Ok::<(), tickstorm_net::BuiltinSpecError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BuiltinSpec {
    /// `service`: time that each message takes one server, on average. Default 0, at most a day.
    pub service: Duration,
    /// `dist`: how service times are spread. Default fixed.
    pub distribution: Distribution,
    /// `servers`: how many messages are served at the same time. Default 1, at most 256.
    pub servers: usize,
    /// `fail`: the share of messages that are rejected, 0 to 1. Default 0.
    pub fail: f64,
    /// `freeze`: windows in which nothing is served. Default none.
    pub freeze: Option<Freeze>,
    /// `seed`: of service times and failures. Default 1.
    pub seed: u64,
}

/// How service times are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distribution {
    /// `fixed`: all are the same.
    #[default]
    Fixed,
    /// `exp`: exponentially distributed.
    Exponential,
}

impl Default for BuiltinSpec {
    fn default() -> Self {
        Self {
            service: Duration::ZERO,
            distribution: Distribution::Fixed,
            servers: 1,
            fail: 0.0,
            freeze: None,
            seed: 1,
        }
    }
}

impl FromStr for BuiltinSpec {
    type Err = BuiltinSpecError;

    fn from_str(text: &str) -> Result<Self, BuiltinSpecError> {
        let other = || BuiltinSpecError::NotBuiltin { text: text.to_owned() };
        let rest = text.trim().strip_prefix("builtin").ok_or_else(other)?;
        let settings = match rest {
            "" | ":" | ":?" => return Ok(Self::default()),
            _ => rest.strip_prefix(":?").ok_or_else(other)?,
        };
        let mut spec = Self::default();
        let mut given = Vec::new();
        for setting in settings.split('&') {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let key = Key::find(key)?;
            if given.contains(&key) {
                return Err(BuiltinSpecError::Repeated { key: key.name() });
            }
            given.push(key);
            spec.set(key, value).ok_or_else(|| BuiltinSpecError::Value {
                key: key.name(),
                value: value.to_owned(),
                allowed: key.allowed(),
            })?;
        }
        Ok(spec)
    }
}

impl fmt::Display for BuiltinSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("builtin")?;
        let mut separator = ":?";
        for key in Key::ALL {
            let value = self.value(key);
            if value != Self::default().value(key) {
                write!(f, "{separator}{}={value}", key.name())?;
                separator = "&";
            }
        }
        Ok(())
    }
}

/// A text that does not describe a built-in target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuiltinSpecError {
    /// Another kind of target.
    #[error("built-in target must be written builtin or builtin:?key=value&..., got {text}")]
    NotBuiltin {
        /// What was given.
        text: String,
    },
    /// A key that does not exist.
    #[error(
        "unknown key {key:?} of the built-in target{}, must be one of {}",
        nearest.map_or_else(String::new, |nearest| format!(" (did you mean {nearest}?)")),
        Key::ALL.map(Key::name).join(", ")
    )]
    UnknownKey {
        /// What was given.
        key: String,
        /// The key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A key given twice.
    #[error("key {key} of the built-in target must be given once")]
    Repeated {
        /// Which.
        key: &'static str,
    },
    /// A value that its key cannot take.
    #[error("{key} of the built-in target must be {allowed}, got {value:?}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        allowed: &'static str,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Service,
    Distribution,
    Servers,
    Fail,
    Freeze,
    Seed,
}

impl Key {
    const ALL: [Key; 6] = [Key::Service, Key::Distribution, Key::Servers, Key::Fail, Key::Freeze, Key::Seed];

    const fn name(self) -> &'static str {
        match self {
            Key::Service => "service",
            Key::Distribution => "dist",
            Key::Servers => "servers",
            Key::Fail => "fail",
            Key::Freeze => "freeze",
            Key::Seed => "seed",
        }
    }

    const fn allowed(self) -> &'static str {
        match self {
            Key::Service => "a duration of at most a day, as in 1ms",
            Key::Distribution => "fixed or exp",
            Key::Servers => "a whole number from 1 to 256",
            Key::Fail => "a share from 0 to 1, as in 0.001",
            Key::Freeze => "a duration and a longer period of at most a day, as in 200ms/10s",
            Key::Seed => "a whole number from 0 to 18446744073709551615",
        }
    }

    fn find(name: &str) -> Result<Key, BuiltinSpecError> {
        if let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) {
            return Ok(key);
        }
        let distance = |key: &Key| strsim::damerau_levenshtein(key.name(), name);
        let nearest = Key::ALL.into_iter().min_by_key(distance).filter(|key| distance(key) <= 2);
        Err(BuiltinSpecError::UnknownKey { key: name.to_owned(), nearest: nearest.map(Key::name) })
    }
}

impl BuiltinSpec {
    /// Nothing if the key cannot take the value.
    fn set(&mut self, key: Key, value: &str) -> Option<()> {
        match key {
            Key::Service => self.service = up_to_a_day(value)?,
            Key::Distribution => {
                self.distribution = match value {
                    "fixed" => Distribution::Fixed,
                    "exp" => Distribution::Exponential,
                    _ => return None,
                }
            }
            Key::Servers => self.servers = value.parse().ok().filter(|count| (1..=256).contains(count))?,
            Key::Fail => self.fail = value.parse().ok().filter(|share| (0.0..=1.0).contains(share))?,
            Key::Freeze => {
                let (length, period) = value.split_once('/')?;
                self.freeze = Some(Freeze::new(up_to_a_day(length)?, up_to_a_day(period)?).ok()?);
            }
            Key::Seed => self.seed = value.parse().ok()?,
        }
        Some(())
    }

    fn value(&self, key: Key) -> String {
        match key {
            Key::Service => format_duration(self.service),
            Key::Distribution => match self.distribution {
                Distribution::Fixed => "fixed".into(),
                Distribution::Exponential => "exp".into(),
            },
            Key::Servers => self.servers.to_string(),
            Key::Fail => self.fail.to_string(),
            Key::Freeze => self.freeze.map_or_else(String::new, |freeze| {
                format!("{}/{}", format_duration(freeze.length()), format_duration(freeze.period()))
            }),
            Key::Seed => self.seed.to_string(),
        }
    }
}

fn up_to_a_day(text: &str) -> Option<Duration> {
    parse_duration(text).ok().filter(|&duration| duration <= MAX_DURATION)
}

/// Longer than any run is patient for, and short enough that sums of a million of them fit 64 bits of ns.
const MAX_DURATION: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_knob_is_read_and_shown() {
        let text = "builtin:?service=1ms&dist=exp&servers=2&fail=0.001&freeze=200ms/10s&seed=7";
        let spec: BuiltinSpec = text.parse().unwrap();
        assert_eq!(spec.service, Duration::from_millis(1));
        assert_eq!(spec.distribution, Distribution::Exponential);
        assert_eq!((spec.servers, spec.fail, spec.seed), (2, 0.001, 7));
        assert_eq!(spec.freeze.unwrap().length(), Duration::from_millis(200));
        assert_eq!(spec.freeze.unwrap().period(), Duration::from_secs(10));
        assert_eq!(spec.to_string(), text);
    }

    #[test]
    fn defaults_need_no_words() {
        for text in ["builtin", "builtin:", "builtin:?", "builtin:?servers=1&seed=1"] {
            let spec: BuiltinSpec = text.parse().unwrap();
            assert_eq!(spec, BuiltinSpec::default());
            assert_eq!(spec.to_string(), "builtin");
        }
    }

    #[test]
    fn mistakes_are_named_with_what_is_allowed() {
        let error = |text: &str| text.parse::<BuiltinSpec>().unwrap_err().to_string();
        assert_eq!(
            error("builtin:?sevice=1ms"),
            "unknown key \"sevice\" of the built-in target (did you mean service?), must be one of service, dist, \
             servers, fail, freeze, seed"
        );
        assert_eq!(
            error("builtin:?servers=0"),
            "servers of the built-in target must be a whole number from 1 to 256, got \"0\""
        );
        assert_eq!(error("builtin:?seed=1&seed=2"), "key seed of the built-in target must be given once");
        for bad in [
            "builtin:?service=fast",
            "builtin:?service=25h",
            "builtin:?dist=normal",
            "builtin:?fail=1.5",
            "builtin:?fail=NaN",
            "builtin:?fail=-0.1",
            "builtin:?freeze=10s",
            "builtin:?freeze=10s/10s",
            "builtin:?freeze=0s/0s",
            "builtin:?seed=-1",
            "builtin:?service",
            "builtin?service=1ms",
            "builtins",
            "ws://localhost",
        ] {
            assert!(bad.parse::<BuiltinSpec>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(
            service_ns in 0u64..86_400_000_000_000,
            exponential: bool,
            servers in 1usize..=256,
            fail in 0.0..=1.0,
            freeze in prop::option::of((0u64..1_000_000_000, 1_000_000_000u64..2_000_000_000)),
            seed: u64,
        ) {
            let spec = BuiltinSpec {
                service: Duration::from_nanos(service_ns),
                distribution: if exponential { Distribution::Exponential } else { Distribution::Fixed },
                servers,
                fail,
                freeze: freeze.map(|(length, period)| {
                    Freeze::new(Duration::from_nanos(length), Duration::from_nanos(period)).unwrap()
                }),
                seed,
            };
            prop_assert_eq!(spec.to_string().parse::<BuiltinSpec>().unwrap(), spec);
        }

        #[test]
        fn any_text_is_a_spec_or_an_error(text in "builtin(:\\?)?.{0,30}") {
            let _ = text.parse::<BuiltinSpec>();
        }
    }
}
