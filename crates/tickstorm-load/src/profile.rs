//! Load profiles: how the rate changes over the run.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use tickstorm_random::{Seed, normal_quantile};

use crate::decimal::parse_decimal;
use crate::duration::{DurationError, format_duration, parse_duration};
use crate::path::{Path, PathError, Segment, run_ns};
use crate::rate::{Factor, FactorError};

/// How the rate changes over the run: a factor over time, that the base rate and the multiplier are multiplied with.
///
/// Reads a name in any case, with `_` or `-`, and parameters behind a question mark: `NORMAL`, `ramp-up`,
/// `SPIKE?peak=20x&period=5s&burst=500ms`; or stages: `30s:1x, 10s:1x..8x, 5s:20x`.
///
/// ```
/// use tickstorm_load::LoadProfile;
///
/// let profile: LoadProfile = "spike?peak=20".parse()?;
/// assert_eq!(profile.to_string(), "SPIKE?peak=20x");
///
/// let error = "RAMPUP".parse::<LoadProfile>().unwrap_err();
/// assert!(error.to_string().contains("did you mean RAMP_UP?"));
/// # Ok::<(), tickstorm_load::ProfileError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadProfile {
    /// The same rate throughout.
    Normal,
    /// Seeded swings between two factors, as over a nervous trading day.
    Volatile(VolatileParams),
    /// The plain rate, with sudden bursts.
    Spike(SpikeParams),
    /// A linear rise over the run.
    RampUp(RampParams),
    /// A linear fall over the run.
    RampDown(RampParams),
    /// Stretches of given lengths, each constant or linear. They determine the duration of the run.
    Stages(Vec<Stage>),
}

/// A mean-reverting path in log scale, rescaled so that its extremes over the run are exactly `low` and `high`, in
/// steps of whole thousandths. The path depends on the seed and on the duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolatileParams {
    /// The lowest factor of the run, above zero; default 0.5.
    pub low: Factor,
    /// The highest factor of the run; default 2.
    pub high: Factor,
    /// How long each factor holds; default 100 ms.
    pub cell: Duration,
    /// How long a swing lasts: the time after which a deviation has decayed to 1/e on average; default 5 s.
    pub memory: Duration,
}

/// A factor of 1 with sudden bursts, the first of them half a period into the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpikeParams {
    /// The factor during a burst; default 10.
    pub peak: Factor,
    /// From the start of a burst to the start of the next; default 10 s. A shorter run is one period.
    pub period: Duration,
    /// How long a burst lasts, less than a period; by default a tenth of it.
    pub burst: Option<Duration>,
}

/// A linear change over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RampParams {
    /// The factor at the start.
    pub from: Factor,
    /// The factor at the end.
    pub to: Factor,
}

/// One stretch of a staged profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// How long it lasts, above zero.
    pub duration: Duration,
    /// The factor at its start.
    pub from: Factor,
    /// The factor at its end.
    pub to: Factor,
}

impl LoadProfile {
    /// The same rate throughout.
    pub const NORMAL: LoadProfile = LoadProfile::Normal;
    /// Swings between 0.5 and 2.
    pub const VOLATILE: LoadProfile = LoadProfile::Volatile(VolatileParams::DEFAULT);
    /// Bursts of 10 for a second every 10 s.
    pub const SPIKE: LoadProfile = LoadProfile::Spike(SpikeParams::DEFAULT);
    /// From 0 to 5.
    pub const RAMP_UP: LoadProfile = LoadProfile::RampUp(RampParams::UP);
    /// From 5 to 0.
    pub const RAMP_DOWN: LoadProfile = LoadProfile::RampDown(RampParams::DOWN);

    /// The names that are read; stages have no name.
    pub const NAMES: [&str; 5] = ["NORMAL", "VOLATILE", "SPIKE", "RAMP_UP", "RAMP_DOWN"];

    /// Reads stages, each a duration and a factor or two: `30s:1x, 10s:1x..8x, 5s:20x`.
    pub fn parse_stages(text: &str) -> Result<LoadProfile, ProfileError> {
        let stage = |(index, text): (usize, &str)| {
            let number = index + 1;
            let malformed = || ProfileError::Stage { number, given: text.trim().to_owned() };
            let (duration, factors) = text.split_once(':').ok_or_else(malformed)?;
            let (from, to) = factors.split_once("..").unwrap_or((factors, factors));
            let factor =
                |text: &str| text.parse().map_err(|source| ProfileError::StageFactor { number, source });
            Ok(Stage {
                duration: parse_duration(duration)
                    .map_err(|source| ProfileError::StageDuration { number, source })?,
                from: factor(from)?,
                to: factor(to)?,
            })
        };
        let stages: Result<Vec<Stage>, ProfileError> = text.split(',').enumerate().map(stage).collect();
        Self::checked(LoadProfile::Stages(stages?))
    }

    /// Reads rows of `time_s,factor`, linear between rows: the first time is 0, times rise, and a time given twice is
    /// a step. The header, further columns, empty lines and lines that begin with `#` are skipped.
    pub fn parse_stages_csv(text: &str) -> Result<LoadProfile, ProfileError> {
        let mut stages = Vec::new();
        let mut before: Option<Row> = None;
        let mut is_step = false;
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let rows = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        for (position, (line, text)) in rows.enumerate() {
            let is_header = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '"');
            if position == 0 && is_header {
                continue;
            }
            let row = Row::parse(line, text)?;
            match before {
                None if row.time_ns != 0 => {
                    return Err(ProfileError::CsvStart { line, given: text.to_owned() });
                }
                None => {}
                Some(before)
                    if row.time_ns < before.time_ns || (is_step && row.time_ns == before.time_ns) =>
                {
                    return Err(ProfileError::CsvOrder { line, given: text.to_owned() });
                }
                Some(before) if row.time_ns == before.time_ns => is_step = true,
                Some(before) => {
                    is_step = false;
                    let duration = Duration::from_nanos(row.time_ns - before.time_ns);
                    stages.push(Stage { duration, from: before.factor, to: row.factor });
                }
            }
            before = Some(row);
        }
        Self::checked(LoadProfile::Stages(stages))
    }

    /// How long the stages last; none for the profiles that stretch to any duration.
    pub fn stages_duration(&self) -> Option<Duration> {
        match self {
            LoadProfile::Stages(stages) => {
                // Beyond the longest run the exact length no longer matters.
                Some(stages.iter().fold(Duration::ZERO, |sum, stage| sum.saturating_add(stage.duration)))
            }
            _ => None,
        }
    }

    /// The factor over a run of this duration. Only VOLATILE depends on the seed. Stages must fill the duration
    /// exactly.
    pub fn path(&self, duration: Duration, seed: Seed) -> Result<Path, ProfileError> {
        self.check()?;
        let run_ns = run_ns(duration)?;
        let segments = match self {
            LoadProfile::Normal => vec![constant(0, run_ns, Factor::ONE)],
            LoadProfile::Volatile(params) => params.segments(run_ns, seed)?,
            LoadProfile::Spike(params) => params.segments(run_ns)?,
            LoadProfile::RampUp(ramp) | LoadProfile::RampDown(ramp) => {
                vec![Segment { start_ns: 0, end_ns: run_ns, from: ramp.from, to: ramp.to }]
            }
            LoadProfile::Stages(stages) => {
                let lasting = self.stages_duration().unwrap_or_default();
                if lasting != duration {
                    return Err(ProfileError::StagesDuration { stages: lasting, duration });
                }
                stage_segments(stages)
            }
        };
        Ok(Path::new(segments)?)
    }

    /// The name, as in [`LoadProfile::NAMES`]; `STAGES` for stages.
    pub fn name(&self) -> &'static str {
        match self {
            LoadProfile::Normal => "NORMAL",
            LoadProfile::Volatile(_) => "VOLATILE",
            LoadProfile::Spike(_) => "SPIKE",
            LoadProfile::RampUp(_) => "RAMP_UP",
            LoadProfile::RampDown(_) => "RAMP_DOWN",
            LoadProfile::Stages(_) => "STAGES",
        }
    }

    fn checked(self) -> Result<LoadProfile, ProfileError> {
        self.check().map(|()| self)
    }

    /// What can be wrong whatever the duration of the run.
    fn check(&self) -> Result<(), ProfileError> {
        match self {
            LoadProfile::Normal => Ok(()),
            LoadProfile::Volatile(params) => params.check(),
            LoadProfile::Spike(params) => params.check(),
            LoadProfile::RampUp(ramp) if ramp.from > ramp.to => {
                Err(ProfileError::Ramp { name: "RAMP_UP", change: "rise", from: ramp.from, to: ramp.to })
            }
            LoadProfile::RampDown(ramp) if ramp.from < ramp.to => {
                Err(ProfileError::Ramp { name: "RAMP_DOWN", change: "fall", from: ramp.from, to: ramp.to })
            }
            LoadProfile::RampUp(_) | LoadProfile::RampDown(_) => Ok(()),
            LoadProfile::Stages(stages) if stages.is_empty() => Err(ProfileError::NoStages),
            LoadProfile::Stages(stages) => match stages.iter().position(|stage| stage.duration.is_zero()) {
                Some(index) => Err(ProfileError::EmptyStage { number: index + 1 }),
                None => Ok(()),
            },
        }
    }

    /// The profile called `name`, with its defaults.
    fn named(name: &str) -> Result<LoadProfile, ProfileError> {
        let wanted = name.trim().to_ascii_uppercase().replace('-', "_");
        match wanted.as_str() {
            "NORMAL" => Ok(LoadProfile::NORMAL),
            "VOLATILE" => Ok(LoadProfile::VOLATILE),
            "SPIKE" => Ok(LoadProfile::SPIKE),
            "RAMP_UP" => Ok(LoadProfile::RAMP_UP),
            "RAMP_DOWN" => Ok(LoadProfile::RAMP_DOWN),
            _ => Err(ProfileError::UnknownName {
                given: name.trim().to_owned(),
                nearest: nearest(&wanted, &Self::NAMES),
                allowed: Self::NAMES.join(", "),
            }),
        }
    }

    /// The names of the parameters, with their values as text.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            LoadProfile::Normal | LoadProfile::Stages(_) => vec![],
            LoadProfile::Volatile(VolatileParams { low, high, cell, memory }) => vec![
                ("low", low.to_string()),
                ("high", high.to_string()),
                ("cell", format_duration(*cell)),
                ("memory", format_duration(*memory)),
            ],
            LoadProfile::Spike(SpikeParams { peak, period, burst }) => vec![
                ("peak", peak.to_string()),
                ("period", format_duration(*period)),
                ("burst", burst.map(format_duration).unwrap_or_default()),
            ],
            LoadProfile::RampUp(RampParams { from, to }) | LoadProfile::RampDown(RampParams { from, to }) => {
                vec![("from", from.to_string()), ("to", to.to_string())]
            }
        }
    }

    /// Sets one parameter from `name=value`.
    fn set(&mut self, setting: &str) -> Result<(), ProfileError> {
        let malformed = || ProfileError::MalformedParameter { given: setting.to_owned() };
        let (name, value) = setting.split_once('=').ok_or_else(malformed)?;
        let name = name.trim().to_ascii_lowercase();
        let (parameter, given) = (|| name.clone(), || value.to_owned());
        let factor = || {
            let fail = |source| ProfileError::Factor { parameter: parameter(), given: given(), source };
            value.parse().map_err(fail)
        };
        let duration = || {
            let fail = |source| ProfileError::Duration { parameter: parameter(), given: given(), source };
            parse_duration(value).map_err(fail)
        };
        match (&mut *self, name.as_str()) {
            (LoadProfile::Volatile(params), "low") => params.low = factor()?,
            (LoadProfile::Volatile(params), "high") => params.high = factor()?,
            (LoadProfile::Volatile(params), "cell") => params.cell = duration()?,
            (LoadProfile::Volatile(params), "memory") => params.memory = duration()?,
            (LoadProfile::Spike(params), "peak") => params.peak = factor()?,
            (LoadProfile::Spike(params), "period") => params.period = duration()?,
            (LoadProfile::Spike(params), "burst") => params.burst = Some(duration()?),
            (LoadProfile::RampUp(ramp) | LoadProfile::RampDown(ramp), "from") => ramp.from = factor()?,
            (LoadProfile::RampUp(ramp) | LoadProfile::RampDown(ramp), "to") => ramp.to = factor()?,
            (profile, _) => {
                let allowed: Vec<&str> = profile.parameters().into_iter().map(|(name, _)| name).collect();
                let nearest = nearest(&name, &allowed);
                let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                return Err(ProfileError::UnknownParameter {
                    profile: profile.name(),
                    given: name,
                    nearest,
                    allowed,
                });
            }
        }
        Ok(())
    }
}

impl VolatileParams {
    const DEFAULT: VolatileParams = VolatileParams {
        low: factor(500_000),
        high: factor(2_000_000),
        cell: Duration::from_millis(100),
        memory: Duration::from_secs(5),
    };

    fn check(&self) -> Result<(), ProfileError> {
        if self.low.is_zero() || self.low > self.high {
            return Err(ProfileError::VolatileRange { low: self.low, high: self.high });
        }
        not_zero("cell", self.cell)?;
        not_zero("memory", self.memory)
    }

    fn segments(&self, run_ns: u64, seed: Seed) -> Result<Vec<Segment>, ProfileError> {
        // Beyond the longest run a cell is the whole run.
        let cell_ns = u64::try_from(self.cell.as_nanos()).unwrap_or(run_ns).min(run_ns);
        let cells = segment_count("cell", run_ns, cell_ns, 1)?;
        let factors = self.factors(cells, seed);
        let cell = |(index, factor): (usize, Factor)| {
            let start_ns = index as u64 * cell_ns;
            constant(start_ns, (start_ns + cell_ns).min(run_ns), factor)
        };
        Ok(factors.into_iter().enumerate().map(cell).collect())
    }

    /// An Ornstein-Uhlenbeck path sampled once a cell, mapped onto the logarithms of low to high.
    fn factors(&self, cells: usize, seed: Seed) -> Vec<Factor> {
        let mut stream = seed.stream("volatile", 0);
        let kept = libm::exp(-self.cell.as_secs_f64() / self.memory.as_secs_f64());
        let fresh = libm::sqrt(1.0 - kept * kept);
        let mut deviation = normal_quantile(stream.open_unit());
        let mut path = Vec::with_capacity(cells);
        for _ in 0..cells {
            path.push(deviation);
            deviation = kept * deviation + fresh * normal_quantile(stream.open_unit());
        }
        let (lowest, highest) =
            path.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (x.min(low), x.max(high)));
        if lowest == highest {
            return vec![Factor::ONE.clamp(self.low, self.high); cells];
        }
        let (log_low, log_high) = (libm::log(self.low.as_f64()), libm::log(self.high.as_f64()));
        let factor_of = |x: f64| {
            let share = (x - lowest) / (highest - lowest);
            let permille = libm::round(1000.0 * libm::exp(log_low + share * (log_high - log_low))) as u64;
            // Rounding must not move the two extremes, nor anything beyond them.
            match share {
                0.0 => self.low,
                1.0 => self.high,
                _ => factor_or_max(permille * 1000).clamp(self.low, self.high),
            }
        };
        path.into_iter().map(factor_of).collect()
    }
}

impl SpikeParams {
    const DEFAULT: SpikeParams =
        SpikeParams { peak: factor(10_000_000), period: Duration::from_secs(10), burst: None };

    fn check(&self) -> Result<(), ProfileError> {
        not_zero("period", self.period)?;
        match self.burst {
            Some(burst) => {
                not_zero("burst", burst)?;
                self.check_burst(burst, self.period)
            }
            None => Ok(()),
        }
    }

    fn check_burst(&self, burst: Duration, period: Duration) -> Result<(), ProfileError> {
        if burst < period { Ok(()) } else { Err(ProfileError::BurstLength { burst, period }) }
    }

    fn segments(&self, run_ns: u64) -> Result<Vec<Segment>, ProfileError> {
        let period = self.period.min(Duration::from_nanos(run_ns));
        let period_ns = period.as_nanos() as u64;
        let burst_ns = match self.burst {
            Some(burst) => {
                self.check_burst(burst, period)?;
                burst.as_nanos() as u64
            }
            // A burst of a period below ten nanoseconds is still a burst.
            None => (period_ns / 10).max(1),
        };
        segment_count("period", run_ns, period_ns, 2)?;
        let mut segments = Vec::new();
        let mut push = |start_ns: u64, end_ns: u64, factor: Factor| {
            let end_ns = end_ns.min(run_ns);
            if start_ns < end_ns {
                segments.push(constant(start_ns, end_ns, factor));
            }
        };
        let mut calm_from = 0;
        for burst_from in (period_ns / 2..run_ns).step_by(period_ns as usize) {
            push(calm_from, burst_from, Factor::ONE);
            calm_from = burst_from + burst_ns;
            push(burst_from, calm_from, self.peak);
        }
        push(calm_from, run_ns, Factor::ONE);
        Ok(segments)
    }
}

impl RampParams {
    const UP: RampParams = RampParams { from: Factor::ZERO, to: factor(5_000_000) };
    const DOWN: RampParams = RampParams { from: factor(5_000_000), to: Factor::ZERO };
}

impl Default for VolatileParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Default for SpikeParams {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for LoadProfile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let text = text.trim();
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return Self::parse_stages(text);
        }
        let Some((name, settings)) = text.split_once('?') else { return Self::named(text) };
        let mut profile = Self::named(name)?;
        for setting in settings.split('&') {
            profile.set(setting)?;
        }
        profile.checked()
    }
}

impl fmt::Display for LoadProfile {
    /// The canonical text: parameters only where they differ from the defaults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let LoadProfile::Stages(stages) = self {
            for (index, Stage { duration, from, to }) in stages.iter().enumerate() {
                let separator = if index == 0 { "" } else { ", " };
                write!(f, "{separator}{}:{from}", format_duration(*duration))?;
                if from != to {
                    write!(f, "..{to}")?;
                }
            }
            return Ok(());
        }
        f.write_str(self.name())?;
        let defaults = Self::named(self.name()).expect("every profile's own name is known").parameters();
        let mut separator = '?';
        for ((name, value), (_, default)) in self.parameters().into_iter().zip(defaults) {
            if value != default {
                write!(f, "{separator}{name}={value}")?;
                separator = '&';
            }
        }
        Ok(())
    }
}

/// Why a text or a set of parameters is not a load profile, or has no path over the wanted duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// No profile is called so.
    #[error(
        "unknown load profile {given:?}, did you mean {nearest}? allowed are {allowed}, or stages such as 30s:1x, 10s:1x..8x"
    )]
    UnknownName {
        /// What was given.
        given: String,
        /// The name most like it.
        nearest: String,
        /// All names.
        allowed: String,
    },
    /// The profile has no such parameter.
    #[error("{profile} has no parameter {given:?}{}; allowed: {allowed}", did_you_mean(nearest))]
    UnknownParameter {
        /// The profile's name.
        profile: &'static str,
        /// What was given.
        given: String,
        /// The parameter most like it; empty where the profile has none.
        nearest: String,
        /// All parameters.
        allowed: String,
    },
    /// A parameter is not of the form `name=value`.
    #[error("a parameter is written name=value, got {given:?}")]
    MalformedParameter {
        /// What was given.
        given: String,
    },
    /// The value of a parameter is not a factor.
    #[error("profile parameter {parameter} cannot be {given:?}")]
    Factor {
        /// The parameter's name.
        parameter: String,
        /// What was given.
        given: String,
        /// What is wrong.
        source: FactorError,
    },
    /// The value of a parameter is not a duration.
    #[error("profile parameter {parameter} cannot be {given:?}")]
    Duration {
        /// The parameter's name.
        parameter: String,
        /// What was given.
        given: String,
        /// What is wrong.
        source: DurationError,
    },
    /// A duration among the parameters is zero.
    #[error("profile parameter {parameter} must be longer than 0s, got 0s")]
    ZeroDuration {
        /// The parameter's name.
        parameter: &'static str,
    },
    /// VOLATILE's bounds are in the wrong order, or its scale of logarithms would need the logarithm of zero.
    #[error("VOLATILE needs 0x < low <= high, got low {low} and high {high}")]
    VolatileRange {
        /// The lower bound.
        low: Factor,
        /// The upper bound.
        high: Factor,
    },
    /// SPIKE's bursts would run into each other.
    #[error(
        "a burst of SPIKE must be shorter than its period, which is at most the run, of {period:?}, got {burst:?}"
    )]
    BurstLength {
        /// The burst.
        burst: Duration,
        /// The period, or the run where that is shorter.
        period: Duration,
    },
    /// A ramp goes the wrong way.
    #[error("{name} must {change}, got from {from} to {to}")]
    Ramp {
        /// The profile's name.
        name: &'static str,
        /// What it must do.
        change: &'static str,
        /// Its start.
        from: Factor,
        /// Its end.
        to: Factor,
    },
    /// The path would be too large to keep.
    #[error(
        "profile parameter {parameter} must be at least {least:?} for a run of {duration:?}, got {given:?}"
    )]
    TooManySegments {
        /// The parameter's name.
        parameter: &'static str,
        /// The smallest value allowed for this run.
        least: Duration,
        /// The duration of the run.
        duration: Duration,
        /// What was given.
        given: Duration,
    },
    /// There are no stages.
    #[error("stages need at least one stage such as 30s:1x, or two rows of time and factor, got none")]
    NoStages,
    /// A stage lasts no time.
    #[error("stage {number} must be longer than 0s, got 0s")]
    EmptyStage {
        /// Which one, counted from 1.
        number: usize,
    },
    /// A stage is not a duration and factors.
    #[error("stage {number} is written 30s:1x or 10s:1x..8x, got {given:?}")]
    Stage {
        /// Which one, counted from 1.
        number: usize,
        /// What was given.
        given: String,
    },
    /// A stage has no valid factor.
    #[error("stage {number} has no valid factor")]
    StageFactor {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong.
        source: FactorError,
    },
    /// A stage has no valid duration.
    #[error("stage {number} has no valid duration")]
    StageDuration {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong.
        source: DurationError,
    },
    /// A row is not a time and a factor.
    #[error(
        "line {line}: a row is a time in seconds (at most nine decimals) and a factor, such as 1.5,2, got {given:?}"
    )]
    CsvRow {
        /// The line, counted from 1.
        line: usize,
        /// What was given.
        given: String,
    },
    /// A row's factor is not valid.
    #[error("line {line} has no valid factor")]
    CsvFactor {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        source: FactorError,
    },
    /// The first row is not at the start of the run.
    #[error("line {line}: the first time must be 0, got {given:?}")]
    CsvStart {
        /// The line, counted from 1.
        line: usize,
        /// What was given.
        given: String,
    },
    /// Times do not rise.
    #[error("line {line}: times must rise, or be given twice for a step, got {given:?}")]
    CsvOrder {
        /// The line, counted from 1.
        line: usize,
        /// What was given.
        given: String,
    },
    /// Stages do not fill the run.
    #[error("the stages last {stages:?}, so the run must last as long, got {duration:?}")]
    StagesDuration {
        /// How long the stages last.
        stages: Duration,
        /// How long the run was to last.
        duration: Duration,
    },
    /// The duration is no duration of a run.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// A row of a staged profile's CSV.
#[derive(Clone, Copy)]
struct Row {
    time_ns: u64,
    factor: Factor,
}

impl Row {
    fn parse(line: usize, text: &str) -> Result<Row, ProfileError> {
        let malformed = || ProfileError::CsvRow { line, given: text.to_owned() };
        let mut columns = text.split(',');
        let (time, factor) = columns.next().zip(columns.next()).ok_or_else(malformed)?;
        let time_ns = parse_decimal(time.trim(), 9).map_err(|_| malformed())?;
        Ok(Row {
            time_ns: u64::try_from(time_ns).map_err(|_| malformed())?,
            factor: factor.parse().map_err(|source| ProfileError::CsvFactor { line, source })?,
        })
    }
}

/// The segments of stages whose sum is known to fit a run.
fn stage_segments(stages: &[Stage]) -> Vec<Segment> {
    let mut start_ns = 0;
    let segment = |&Stage { duration, from, to }: &Stage| {
        let end_ns = start_ns + duration.as_nanos() as u64;
        let segment = Segment { start_ns, end_ns, from, to };
        start_ns = end_ns;
        segment
    };
    stages.iter().map(segment).collect()
}

fn constant(start_ns: u64, end_ns: u64, factor: Factor) -> Segment {
    Segment { start_ns, end_ns, from: factor, to: factor }
}

/// How many lengths of `length_ns` a run takes, if the segments they make can be kept.
fn segment_count(
    parameter: &'static str,
    run_ns: u64,
    length_ns: u64,
    segments_each: u64,
) -> Result<usize, ProfileError> {
    let most = MAX_SEGMENTS / segments_each;
    let count = run_ns.div_ceil(length_ns);
    if count > most {
        return Err(ProfileError::TooManySegments {
            parameter,
            least: Duration::from_nanos(run_ns.div_ceil(most)),
            duration: Duration::from_nanos(run_ns),
            given: Duration::from_nanos(length_ns),
        });
    }
    Ok(count as usize)
}

fn not_zero(parameter: &'static str, duration: Duration) -> Result<(), ProfileError> {
    if duration.is_zero() { Err(ProfileError::ZeroDuration { parameter }) } else { Ok(()) }
}

/// The name that is most like `given`; empty where there are no names.
fn nearest(given: &str, names: &[&str]) -> String {
    let likeness = |name: &&&str| strsim::jaro_winkler(given, name);
    let nearest = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.map(|name| (*name).to_owned()).unwrap_or_default()
}

fn did_you_mean(nearest: &str) -> String {
    if nearest.is_empty() { String::new() } else { format!(" (did you mean {nearest}?)") }
}

fn factor_or_max(millionths: u64) -> Factor {
    Factor::from_millionths(millionths).unwrap_or(Factor::MAX)
}

const fn factor(millionths: u64) -> Factor {
    Factor::from_millionths(millionths).expect("the factors of the defaults are small")
}

/// Half a gigabyte of path: 19 days of VOLATILE at 100 ms.
const MAX_SEGMENTS: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn profile(text: &str) -> LoadProfile {
        text.parse().unwrap()
    }

    fn error(text: &str) -> ProfileError {
        text.parse::<LoadProfile>().unwrap_err()
    }

    fn path(text: &str, duration: Duration) -> Path {
        profile(text).path(duration, Seed::new(1)).unwrap()
    }

    #[test]
    fn names_are_read_in_any_case_with_either_dash() {
        for text in ["ramp-up", "RAMP_UP", "Ramp_Up", " ramp_up "] {
            assert_eq!(profile(text), LoadProfile::RAMP_UP, "{text}");
        }
        for name in LoadProfile::NAMES {
            assert_eq!(profile(name).name(), name);
            assert_eq!(profile(name).to_string(), name);
        }
    }

    #[test]
    fn the_canonical_text_reads_back() {
        let texts = [
            "SPIKE?peak=20x&period=5s&burst=500ms",
            "VOLATILE?low=0.25x&high=4x&cell=50ms&memory=30s",
            "RAMP_UP?from=1x&to=8x",
            "RAMP_DOWN?to=0.5x",
            "30s:1x, 10s:1x..8x, 5s:20x",
        ];
        for text in texts {
            assert_eq!(profile(text).to_string(), text);
        }
        assert_eq!(profile("spike?period=10s&peak=10").to_string(), "SPIKE");
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_and_all_of_them() {
        assert_eq!(
            error("spikes").to_string(),
            "unknown load profile \"spikes\", did you mean SPIKE? allowed are NORMAL, VOLATILE, SPIKE, RAMP_UP, \
             RAMP_DOWN, or stages such as 30s:1x, 10s:1x..8x"
        );
        assert!(error("rampdown").to_string().contains("did you mean RAMP_DOWN?"));
        assert_eq!(
            error("SPIKE?peek=20x").to_string(),
            "SPIKE has no parameter \"peek\" (did you mean peak?); allowed: peak, period, burst"
        );
        assert_eq!(error("NORMAL?peak=20x").to_string(), "NORMAL has no parameter \"peak\"; allowed: none");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let s = Duration::from_secs;
        assert_eq!(error("SPIKE?peak"), ProfileError::MalformedParameter { given: "peak".to_owned() });
        assert!(matches!(error("SPIKE?peak=fast"), ProfileError::Factor { .. }));
        assert!(matches!(error("SPIKE?period=fast"), ProfileError::Duration { .. }));
        assert_eq!(error("SPIKE?period=0s"), ProfileError::ZeroDuration { parameter: "period" });
        assert_eq!(
            error("SPIKE?period=5s&burst=5s"),
            ProfileError::BurstLength { burst: s(5), period: s(5) }
        );
        assert!(matches!(error("RAMP_UP?from=6x"), ProfileError::Ramp { name: "RAMP_UP", .. }));
        assert!(matches!(error("RAMP_DOWN?to=6x"), ProfileError::Ramp { name: "RAMP_DOWN", .. }));
        assert!(matches!(error("VOLATILE?low=0"), ProfileError::VolatileRange { .. }));
        assert!(matches!(error("VOLATILE?low=3"), ProfileError::VolatileRange { .. }));
        let short = profile("SPIKE?burst=2s").path(s(1), Seed::new(1));
        assert_eq!(short, Err(ProfileError::BurstLength { burst: s(2), period: s(1) }));
        let fine = profile("VOLATILE?cell=1us").path(MINUTE, Seed::new(1));
        assert!(matches!(fine, Err(ProfileError::TooManySegments { parameter: "cell", .. })));
        let endless = LoadProfile::NORMAL.path(s(60 * 86_400), Seed::new(1));
        assert!(matches!(endless, Err(ProfileError::Path(PathError::TooLong { .. }))));
    }

    #[test]
    fn averages_and_peaks_are_those_of_the_table() {
        let cases = [("NORMAL", 1.0, 1), ("SPIKE", 1.9, 10), ("RAMP_UP", 2.5, 5), ("RAMP_DOWN", 2.5, 5)];
        for (text, average, peak) in cases {
            let path = path(text, MINUTE);
            assert_eq!(path.average(), average, "{text}");
            assert_eq!(path.peak().millionths(), peak * 1_000_000, "{text}");
        }
    }

    #[test]
    fn spikes_begin_half_a_period_in_and_the_last_may_be_cut() {
        let ends =
            |path: Path| -> Vec<u64> { path.segments().iter().map(|s| s.end_ns / 1_000_000).collect() };
        let ms = Duration::from_millis;
        assert_eq!(ends(path("SPIKE", ms(30_000))), [5000, 6000, 15000, 16000, 25000, 26000, 30000]);
        assert_eq!(ends(path("SPIKE", ms(5_500))), [2750, 3300, 5500], "a short run is one period");
        assert_eq!(ends(path("SPIKE?period=10s", ms(15_500))), [5000, 6000, 15000, 15500]);
        assert_eq!(ends(path("SPIKE", Duration::from_nanos(1))), [0], "even a nanosecond has its burst");
    }

    #[test]
    fn volatile_swings_exactly_between_its_bounds_in_whole_permille() {
        for seed in 1..=20 {
            let path = LoadProfile::VOLATILE.path(MINUTE, Seed::new(seed)).unwrap();
            let factors: Vec<u64> = path.segments().iter().map(|s| s.from.millionths()).collect();
            assert_eq!(factors.len(), 600);
            assert_eq!((factors.iter().min(), factors.iter().max()), (Some(&500_000), Some(&2_000_000)));
            assert!(factors.iter().all(|factor| factor % 1000 == 0));
            // A swing lasts seconds: neighbouring cells are alike.
            let jump = factors.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum::<u64>() / 599;
            assert!((10_000..200_000).contains(&jump), "mean step {jump}");
        }
        assert_ne!(
            LoadProfile::VOLATILE.path(MINUTE, Seed::new(1)),
            LoadProfile::VOLATILE.path(MINUTE, Seed::new(2))
        );
    }

    #[test]
    fn volatile_works_on_one_cell_and_on_two() {
        let factors = |duration_ms: u64| -> Vec<u64> {
            let path = path("VOLATILE", Duration::from_millis(duration_ms));
            path.segments().iter().map(|s| s.from.millionths()).collect()
        };
        assert_eq!(factors(100), [1_000_000]);
        assert_eq!(factors(1), [1_000_000]);
        let mut two = factors(150);
        two.sort_unstable();
        assert_eq!(two, [500_000, 2_000_000]);
    }

    #[test]
    fn stages_fill_the_run() {
        let stages = profile("30s:1x, 10s:1x..8x, 5s:20x");
        assert_eq!(stages.stages_duration(), Some(Duration::from_secs(45)));
        let path = stages.path(Duration::from_secs(45), Seed::new(1)).unwrap();
        assert_eq!(path.average(), (30.0 + 45.0 + 100.0) / 45.0);
        assert_eq!(
            stages.path(MINUTE, Seed::new(1)),
            Err(ProfileError::StagesDuration { stages: Duration::from_secs(45), duration: MINUTE })
        );
    }

    #[test]
    fn wrong_stages_are_refused_by_number() {
        assert_eq!(error("30s:1x, 10s"), ProfileError::Stage { number: 2, given: "10s".to_owned() });
        assert_eq!(error("30s:1x,"), ProfileError::Stage { number: 2, given: String::new() });
        assert_eq!(error("0s:1x"), ProfileError::EmptyStage { number: 1 });
        assert!(matches!(error("30s:1x..fast"), ProfileError::StageFactor { number: 1, .. }));
        assert!(matches!(error("30q:1x"), ProfileError::StageDuration { number: 1, .. }));
    }

    #[test]
    fn stages_are_read_from_csv() {
        let csv = "time_s,factor\r\n# warm\r\n0,1\r\n30,1\r\n\r\n40,8\r\n40,20x\r\n45,20\r\n";
        assert_eq!(LoadProfile::parse_stages_csv(csv), Ok(profile("30s:1x, 10s:1x..8x, 5s:20x")));
        assert_eq!(LoadProfile::parse_stages_csv("0,1\n30,1\n"), Ok(profile("30s:1x")));
    }

    #[test]
    fn wrong_csv_is_refused_by_line() {
        let error = |csv: &str| LoadProfile::parse_stages_csv(csv).unwrap_err();
        let given = |text: &str| text.to_owned();
        assert_eq!(error(""), ProfileError::NoStages);
        assert_eq!(error("0,1"), ProfileError::NoStages);
        assert_eq!(error("time,factor\n1,1\n2,1"), ProfileError::CsvStart { line: 2, given: given("1,1") });
        assert_eq!(error("0,1\n2,1\n1,1"), ProfileError::CsvOrder { line: 3, given: given("1,1") });
        assert_eq!(error("0,1\n1,1\n1,2\n1,3"), ProfileError::CsvOrder { line: 4, given: given("1,3") });
        assert_eq!(error("0,1\nfast,1"), ProfileError::CsvRow { line: 2, given: given("fast,1") });
        assert_eq!(error("0,1\n5"), ProfileError::CsvRow { line: 2, given: given("5") });
        assert!(matches!(error("0,1\n5,fast"), ProfileError::CsvFactor { line: 2, .. }));
        assert!(matches!(error("0,1\n5,-1"), ProfileError::CsvFactor { line: 2, .. }));
    }

    proptest! {
        #[test]
        fn every_path_reads_back_from_its_csv(
            profile in prop_oneof![
                Just("NORMAL"), Just("VOLATILE"), Just("SPIKE"), Just("RAMP_UP"), Just("RAMP_DOWN"),
                Just("VOLATILE?cell=33ms&low=0.0005"), Just("SPIKE?period=77ms&burst=1ns"),
            ],
            duration_ns in 200_000_000u64..20_000_000_000,
            seed: u64,
        ) {
            let (duration, seed) = (Duration::from_nanos(duration_ns), Seed::new(seed));
            let path = profile.parse::<LoadProfile>().unwrap().path(duration, seed).unwrap();
            let read = LoadProfile::parse_stages_csv(&path.to_csv()).unwrap();
            prop_assert_eq!(read.path(duration, seed), Ok(path));
            prop_assert_eq!(read.to_string().parse(), Ok(read));
        }

        #[test]
        fn reading_arbitrary_text_never_panics(text in "([a-zA-Z0-9:.,?&=x \n]|.){0,60}") {
            let _ = text.parse::<LoadProfile>();
            let _ = LoadProfile::parse_stages(&text);
            let _ = LoadProfile::parse_stages_csv(&text);
        }
    }
}
