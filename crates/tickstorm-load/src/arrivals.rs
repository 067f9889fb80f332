//! How messages fall within the rate: in equal gaps, at random, or in bursts.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The pattern of arrivals within the profile's rate. Whatever the pattern, counts are exact: see
/// [`Schedule`](crate::Schedule).
///
/// Reads `paced`, `poisson`, `bursty`, `bursty:volatile`, `bursty:a=1.7`, `bursty:crash&cap=300`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// Equal gaps at a constant rate: message n is due the instant the integral of the rate reaches n - 1/2.
    Paced,
    /// Independent of each other, the count exact over the whole run.
    Poisson,
    /// In bursts on every scale from a second down to a microsecond, as live feeds come; the count exact over every
    /// exact window.
    Bursty(Burst),
}

/// How uneven bursty arrivals are.
///
/// Time is halved again and again, and each time the messages are shared between the halves by a draw from the
/// symmetric Beta(a, a) distribution, so the smaller `a`, the larger the bursts. With `v = 1/(2a + 1)`, the excess
/// relative variance of counts at a scale j halvings below a second is `(1 + v)^j - 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Infinite for even shares.
    a: f64,
    cap: Option<u32>,
}

impl Arrivals {
    /// Bursty as live crypto feeds are.
    pub const BURSTY: Arrivals = Arrivals::Bursty(Burst::NORMAL);
}

impl Burst {
    /// Even shares: nearly independent arrivals, with the count exact over every window.
    pub const FLAT: Burst = Burst { a: f64::INFINITY, cap: None };
    /// A broad consolidated feed on a quiet day: a = 4.
    pub const CALM: Burst = Burst { a: 4.0, cap: None };
    /// Live crypto feeds: a = 2. The default.
    pub const NORMAL: Burst = Burst { a: 2.0, cap: None };
    /// News: a = 1.3.
    pub const VOLATILE: Burst = Burst { a: 1.3, cap: None };
    /// A flash crash: a = 0.8.
    pub const CRASH: Burst = Burst { a: 0.8, cap: None };

    /// A burst of this `a`, from 0.5 (wildest) to 1000 (almost even).
    pub fn with_a(a: f64) -> Result<Burst, ArrivalsError> {
        if (MIN_A..=MAX_A).contains(&a) {
            Ok(Burst { a, cap: None })
        } else {
            Err(ArrivalsError::A { given: a.to_string() })
        }
    }

    /// Limits the messages of one millisecond (exactly: 1/1024 s) to `cap`. Totals stay exact: what is above moves to
    /// neighbouring milliseconds of the same exact window. Where the rate itself asks for more than the cap, the
    /// excess is spread evenly.
    pub fn with_cap(self, cap: u32) -> Result<Burst, ArrivalsError> {
        if (1..=MAX_CAP).contains(&cap) {
            Ok(Burst { cap: Some(cap), ..self })
        } else {
            Err(ArrivalsError::Cap { given: cap.to_string() })
        }
    }

    /// The parameter of the Beta distribution; infinite for [`Burst::FLAT`].
    pub fn a(self) -> f64 {
        self.a
    }

    /// The most messages in 1/1024 s, if limited.
    pub fn cap(self) -> Option<u32> {
        self.cap
    }
}

impl FromStr for Arrivals {
    type Err = ArrivalsError;

    fn from_str(text: &str) -> Result<Self, ArrivalsError> {
        let lower = text.trim().to_ascii_lowercase();
        match lower.as_str() {
            "paced" => return Ok(Arrivals::Paced),
            "poisson" => return Ok(Arrivals::Poisson),
            "bursty" => return Ok(Arrivals::BURSTY),
            _ => {}
        }
        let settings = lower.strip_prefix("bursty:");
        let settings = settings.ok_or_else(|| ArrivalsError::Unknown { given: text.to_owned() })?;
        let mut burst = Burst::NORMAL;
        for setting in settings.split('&').map(str::trim) {
            let preset = PRESETS.iter().find(|(name, _)| *name == setting);
            burst = match (preset, setting.split_once('=')) {
                (Some((_, preset)), _) => Burst { a: preset.a, ..burst },
                (None, Some(("a", a))) => {
                    let number = a.parse().map_err(|_| ArrivalsError::A { given: a.to_owned() })?;
                    Burst { a: Burst::with_a(number)?.a, ..burst }
                }
                (None, Some(("cap", cap))) => {
                    burst.with_cap(cap.parse().map_err(|_| ArrivalsError::Cap { given: cap.to_owned() })?)?
                }
                _ => return Err(ArrivalsError::UnknownSetting { given: setting.to_owned() }),
            };
        }
        Ok(Arrivals::Bursty(burst))
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let burst = match self {
            Arrivals::Paced => return f.write_str("paced"),
            Arrivals::Poisson => return f.write_str("poisson"),
            Arrivals::Bursty(burst) => burst,
        };
        f.write_str("bursty")?;
        let mut separator = ':';
        if burst.a != Burst::NORMAL.a {
            match PRESETS.iter().find(|(_, preset)| preset.a == burst.a) {
                Some((name, _)) => write!(f, ":{name}")?,
                None => write!(f, ":a={}", burst.a)?,
            }
            separator = '&';
        }
        match burst.cap {
            Some(cap) => write!(f, "{separator}cap={cap}"),
            None => Ok(()),
        }
    }
}

/// Why a text or number does not name [`Arrivals`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArrivalsError {
    /// No such pattern.
    #[error(
        "arrivals are paced, poisson, bursty, or bursty: with flat, calm, normal, volatile, crash or a=1.7, and perhaps \
         cap=300, such as bursty:crash&cap=300, got {given:?}"
    )]
    Unknown {
        /// What was given.
        given: String,
    },
    /// No such preset or parameter of bursty arrivals.
    #[error(
        "bursty: is followed by flat, calm, normal, volatile, crash, a=NUMBER or cap=COUNT, joined by &, got {given:?}"
    )]
    UnknownSetting {
        /// What was given.
        given: String,
    },
    /// The Beta parameter is out of range.
    #[error("a of bursty arrivals is a number from 0.5 to 1000, got {given}")]
    A {
        /// What was given.
        given: String,
    },
    /// The cap is no count.
    #[error("cap of bursty arrivals is a count from 1 to 1000000, got {given}")]
    Cap {
        /// What was given.
        given: String,
    },
}

const PRESETS: [(&str, Burst); 5] = [
    ("flat", Burst::FLAT),
    ("calm", Burst::CALM),
    ("normal", Burst::NORMAL),
    ("volatile", Burst::VOLATILE),
    ("crash", Burst::CRASH),
];

/// Below one half the density's integral is no longer smooth enough to tabulate.
const MIN_A: f64 = 0.5;
/// From here on bursts cannot be told from even shares.
const MAX_A: f64 = 1000.0;
/// More than the highest rate brings.
const MAX_CAP: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrivals_read_back_from_their_text() {
        let texts = [
            "paced",
            "poisson",
            "bursty",
            "bursty:flat",
            "bursty:calm",
            "bursty:volatile",
            "bursty:crash",
            "bursty:a=1.7",
            "bursty:cap=300",
            "bursty:crash&cap=300",
        ];
        for text in texts {
            assert_eq!(text.parse::<Arrivals>().unwrap().to_string(), text);
        }
        assert_eq!(" Bursty:NORMAL".parse(), Ok(Arrivals::BURSTY));
        assert_eq!("bursty:a=2".parse(), Ok(Arrivals::BURSTY));
    }

    #[test]
    fn a_wrong_pattern_is_named_together_with_what_is_allowed() {
        let error = |text: &str| text.parse::<Arrivals>().unwrap_err();
        assert_eq!(error("uniform"), ArrivalsError::Unknown { given: "uniform".to_owned() });
        assert!(error("uniform").to_string().contains("paced, poisson, bursty"));
        assert_eq!(error("bursty:wild"), ArrivalsError::UnknownSetting { given: "wild".to_owned() });
        assert_eq!(error("bursty:"), ArrivalsError::UnknownSetting { given: String::new() });
        for a in ["0.4", "1001", "nan", "inf", "-1", "wild"] {
            assert!(matches!(error(&format!("bursty:a={a}")), ArrivalsError::A { .. }), "{a}");
        }
        for cap in ["0", "-1", "1.5", "1000001", "many"] {
            assert_eq!(error(&format!("bursty:cap={cap}")), ArrivalsError::Cap { given: cap.to_owned() });
        }
    }

    proptest! {
        #[test]
        fn reading_arbitrary_text_never_panics(text in "(bursty:)?.{0,30}") {
            let _ = text.parse::<Arrivals>();
        }
    }
}
