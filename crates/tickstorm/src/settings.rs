//! The settings by name: one table that the command line, the environment, the configuration file and the
//! printed plan all read, so that a setting is described and parsed in one place.

use tickstorm_load::{Factor, LoadProfile, Rate, format_duration, parse_duration};

use crate::{Spec, Threshold};

/// One setting of a run that can be written as text.
#[derive(Debug)]
pub struct Setting {
    /// The flag without its dashes, and the key of the configuration file; `TICKSTORM_` and the name in capitals with `_` in
    /// the environment.
    pub name: &'static str,
    /// What stands for the value in help texts, as `RATE`; `None` for a switch, which takes `true` or `false`.
    pub placeholder: Option<&'static str>,
    /// The heading it stands under in help texts.
    pub group: &'static str,
    /// One sentence: meaning, unit, consequence.
    pub help: &'static str,
    /// Reads the text into the spec; the error names the text and what is allowed.
    pub set: fn(&mut Spec, &str) -> Result<(), String>,
    /// Writes the spec's value so that `set` reads it back; `None` where nothing is set.
    pub show: fn(&Spec) -> Option<String>,
}

impl Setting {
    /// The setting with this name.
    pub fn named(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The default as text, or what stands for it.
    pub fn default_text(&self) -> Option<String> {
        (self.show)(&Spec::default())
    }
}

/// Every setting of a run but the target, in the order of the help text.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "duration",
        placeholder: Some("TIME"),
        group: LOAD,
        help: "Length of the measured phase: 60, 30s, 5m [default: 60s, or that of the stages]",
        set: |spec, text| store(&mut spec.duration, positive_duration(text).map(Some)),
        show: |spec| spec.duration.map(format_duration),
    },
    Setting {
        name: "multiplier",
        placeholder: Some("FACTOR"),
        group: LOAD,
        help: "What the base rate is multiplied by: 10, 0.5, 100x",
        set: |spec, text| match text.parse::<Factor>().map_err(|e| words(&e))? {
            factor if factor.is_zero() => Err(format!("multiplier must be above zero, got `{text}`")),
            factor => store(&mut spec.multiplier, Ok(factor)),
        },
        show: |spec| Some(spec.multiplier.to_string()),
    },
    Setting {
        name: "profile",
        placeholder: Some("NAME"),
        group: LOAD,
        help: "Load profile: NORMAL, VOLATILE, SPIKE, RAMP_UP or RAMP_DOWN, with parameters as SPIKE?peak=20x&period=5s",
        set: |spec, text| {
            store(&mut spec.profile, text.parse().map_err(|e: tickstorm_load::ProfileError| words(&e)))
        },
        show: |spec| match &spec.profile {
            LoadProfile::Stages(_) => None,
            profile => Some(profile.to_string()),
        },
    },
    Setting {
        name: "stages",
        placeholder: Some("STAGES"),
        group: LOAD,
        help: "A profile of your own: `30s:1x, 10s:1x..8x, 5s:20x`, or @FILE with time_s,factor rows",
        set: |spec, text| store(&mut spec.profile, stages(text)),
        show: |spec| match &spec.profile {
            profile @ LoadProfile::Stages(_) => Some(profile.to_string()),
            _ => None,
        },
    },
    Setting {
        name: "base-rate",
        placeholder: Some("RATE"),
        group: LOAD,
        help: "Messages per second at 1x: 100, 5k, 2k/s, 30/m",
        set: |spec, text| store(&mut spec.base_rate, text.parse::<Rate>().map_err(|e| words(&e))),
        show: |spec| Some(spec.base_rate.to_string()),
    },
    Setting {
        name: "arrivals",
        placeholder: Some("KIND"),
        group: LOAD,
        help: "paced (equal gaps), poisson, or bursty[:flat|calm|normal|volatile|crash] [default: paced; bursty for VOLATILE and SPIKE]",
        set: |spec, text| {
            store(
                &mut spec.arrivals,
                text.parse().map_err(|e: tickstorm_load::ArrivalsError| words(&e)).map(Some),
            )
        },
        show: |spec| spec.arrivals.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "warmup",
        placeholder: Some("TIME"),
        group: LOAD,
        help: "A phase at the base rate before the measured one, which enters no figure",
        set: |spec, text| store(&mut spec.warmup, parse_duration(text).map_err(|e| words(&e))),
        show: |spec| Some(format_duration(spec.warmup)),
    },
    Setting {
        name: "seed",
        placeholder: Some("N"),
        group: MARKET,
        help: "Everything random follows from it: same plan and seed, same bytes",
        set: |spec, text| store(&mut spec.seed, whole(text, 0, u64::MAX)),
        show: |spec| Some(spec.seed.to_string()),
    },
    Setting {
        name: "venue",
        placeholder: Some("NAME"),
        group: MARKET,
        help: "Whose wire format the messages are in: binance, bybit, coinbase, kraken or okx",
        set: |spec, text| {
            store(&mut spec.venue, text.parse().map_err(|e: tickstorm_venue::UnknownVenue| words(&e)))
        },
        show: |spec| Some(spec.venue.to_string()),
    },
    Setting {
        name: "symbols",
        placeholder: Some("N"),
        group: MARKET,
        help: "Instruments in the market, 1 to 10000; activity follows Zipf's law",
        set: |spec, text| store(&mut spec.symbols, whole(text, 1, 10_000).map(|number| number as u32)),
        show: |spec| Some(spec.symbols.to_string()),
    },
    Setting {
        name: "zipf",
        placeholder: Some("EXPONENT"),
        group: MARKET,
        help: "How much busier the first instruments are, 0 to 2: the i-th acts in proportion to 1 / i^EXPONENT",
        set: |spec, text| match text.trim().parse() {
            Ok(exponent) if (0.0..=2.0).contains(&exponent) => store(&mut spec.zipf, Ok(exponent)),
            _ => Err(format!("expected a number from 0 to 2, got `{text}`")),
        },
        show: |spec| Some(spec.zipf.to_string()),
    },
    Setting {
        name: "accounts",
        placeholder: Some("N"),
        group: MARKET,
        help: "Accounts whose orders rest in the books, 0 to 10000; 0 leaves out executions and balances",
        set: |spec, text| store(&mut spec.accounts, whole(text, 0, 10_000).map(|number| number as u32)),
        show: |spec| Some(spec.accounts.to_string()),
    },
    Setting {
        name: "regime",
        placeholder: Some("NAME"),
        group: MARKET,
        help: "The market's mood: normal, volatile, or auto (volatile for VOLATILE, a panic in each burst of SPIKE)",
        set: |spec, text| store(&mut spec.regime, text.parse()),
        show: |spec| Some(spec.regime.to_string()),
    },
    Setting {
        name: "scenario",
        placeholder: Some("NAME"),
        group: MARKET,
        help: "What happens to the market, at any load: none, or flash-crash from two fifths of the run on",
        set: |spec, text| store(&mut spec.scenario, text.parse()),
        show: |spec| Some(spec.scenario.to_string()),
    },
    Setting {
        name: "crash-depth",
        placeholder: Some("SHARE"),
        group: MARKET,
        help: "With --scenario flash-crash: how far prices fall, 0.1% to 30% [default: 8%]",
        set: |spec, text| store(&mut spec.crash_depth, share(text, 0.001, 0.3).map(Some)),
        show: |spec| spec.crash_depth.map(shown_share),
    },
    Setting {
        name: "crash-retrace",
        placeholder: Some("SHARE"),
        group: MARKET,
        help: "With --scenario flash-crash: how much of the fall is recovered, 0% to 100% [default: 75%]",
        set: |spec, text| store(&mut spec.crash_retrace, share(text, 0.0, 1.0).map(Some)),
        show: |spec| spec.crash_retrace.map(shown_share),
    },
    Setting {
        name: "crash-halt",
        placeholder: Some("TIME"),
        group: MARKET,
        help: "With --scenario flash-crash: how long trading is halted at the bottom, up to a tenth of the run [default: 0s]",
        set: |spec, text| store(&mut spec.crash_halt, parse_duration(text).map(Some).map_err(|e| words(&e))),
        show: |spec| spec.crash_halt.map(format_duration),
    },
    Setting {
        name: "tick-size",
        placeholder: Some("SIZE"),
        group: MARKET,
        help: "How wide a tick is for the books: large (spreads of one tick, long queues) or small (of several, thin levels)",
        set: |spec, text| store(&mut spec.tick_size, text.parse()),
        show: |spec| Some(spec.tick_size.to_string()),
    },
    Setting {
        name: "start-time",
        placeholder: Some("TIME"),
        group: MARKET,
        help: "Wall-clock time of the run's start as the messages carry it: 2026-01-01T00:00:00Z, unix milliseconds, or now",
        set: |spec, text| {
            spec.start_unix_ns = match text.trim() {
                "now" => None,
                text => Some(start_time(text)? * 1_000_000),
            };
            Ok(())
        },
        show: |spec| Some(spec.start_unix_ns.map_or("now".into(), shown_time)),
    },
    Setting {
        name: "connections",
        placeholder: Some("N"),
        group: TARGET,
        help: "Connections to the target, 1 to 4096; a symbol stays on one of them",
        set: |spec, text| store(&mut spec.connections, whole(text, 1, 4096).map(|number| number as u32)),
        show: |spec| Some(spec.connections.to_string()),
    },
    Setting {
        name: "workers",
        placeholder: Some("N"),
        group: TARGET,
        help: "Threads that drive the connections; auto is the cores less one",
        set: |spec, text| store(&mut spec.workers, text.parse()),
        show: |spec| Some(spec.workers.to_string()),
    },
    Setting {
        name: "max-concurrent",
        placeholder: Some("N"),
        group: TARGET,
        help: "Messages that may be sent and unanswered at once, over all connections",
        set: |spec, text| {
            store(&mut spec.max_concurrent, whole(text, 1, 100_000_000).map(|number| number as u32))
        },
        show: |spec| Some(spec.max_concurrent.to_string()),
    },
    Setting {
        name: "at-limit",
        placeholder: Some("RULE"),
        group: TARGET,
        help: "What happens to a message that is due at that limit: wait (the wait counts) or drop (counted)",
        set: |spec, text| store(&mut spec.at_limit, text.parse()),
        show: |spec| Some(spec.at_limit.to_string()),
    },
    Setting {
        name: "timeout",
        placeholder: Some("TIME"),
        group: TARGET,
        help: "How long after it was sent a message may stay unanswered",
        set: |spec, text| store(&mut spec.timeout, positive_duration(text)),
        show: |spec| Some(format_duration(spec.timeout)),
    },
    Setting {
        name: "batch",
        placeholder: Some("N"),
        group: TARGET,
        help: "Hand over up to N messages that are due together as one array; each still counts for itself",
        set: |spec, text| store(&mut spec.batch, whole(text, 1, 10_000).map(|number| number as u32)),
        show: |spec| Some(spec.batch.to_string()),
    },
    Setting {
        name: "ack",
        placeholder: Some("MODE"),
        group: TARGET,
        help: "How replies answer messages: id, fifo (n-th reply, n-th message) or none [default: none; id for the built-in target]",
        set: |spec, text| store(&mut spec.ack, text.parse().map(Some)),
        show: |spec| spec.ack.map(|ack| ack.to_string()),
    },
    Setting {
        name: "ack-pointer",
        placeholder: Some("/PATH"),
        group: TARGET,
        help: "With --ack id: JSON pointer to the id in a reply",
        set: |spec, text| store(&mut spec.ack_pointer, pointer(text)),
        show: |spec| Some(spec.ack_pointer.clone()),
    },
    Setting {
        name: "stamp-id",
        placeholder: Some("FIELD"),
        group: TARGET,
        help: "With --ack id: add this field with the message's ordinal to each message",
        set: |spec, text| match text {
            "" => Err("field name must not be empty".into()),
            _ if text.contains(['"', '\\']) || text.chars().any(char::is_control) => Err(format!(
                "field name must not hold quotes, backslashes or control characters, got `{text}`"
            )),
            _ => store(&mut spec.stamp_id, Ok(Some(text.into()))),
        },
        show: |spec| spec.stamp_id.clone(),
    },
    Setting {
        name: "id-pointer",
        placeholder: Some("/PATH"),
        group: TARGET,
        help: "With --ack id: JSON pointer to an id that the messages themselves hold and replies name",
        set: |spec, text| store(&mut spec.id_pointer, pointer(text).map(Some)),
        show: |spec| spec.id_pointer.clone(),
    },
    Setting {
        name: "allow-public-target",
        placeholder: None,
        group: TARGET,
        help: "Allow a target outside loopback and private address ranges",
        set: |spec, text| match text {
            "true" => store(&mut spec.allow_public_target, Ok(true)),
            "false" => store(&mut spec.allow_public_target, Ok(false)),
            _ => Err(format!("expected true or false, got `{text}`")),
        },
        show: |spec| Some(spec.allow_public_target.to_string()),
    },
    Setting {
        name: "error-threshold",
        placeholder: Some("SHARE"),
        group: VERDICT,
        help: "Share of failed messages above which the run fails, 0 to 1 or in per cent",
        set: |spec, text| store(&mut spec.error_threshold, share(text, 0.0, 1.0)),
        show: |spec| Some(spec.error_threshold.to_string()),
    },
    Setting {
        name: "threshold",
        placeholder: Some("LIMIT"),
        group: VERDICT,
        help: "A further limit, as p99<50ms, mean<2ms, max<1s, error_rate<5%; several with commas",
        set: |spec, text| {
            spec.thresholds =
                text.split(',').map(|limit| limit.trim().parse()).collect::<Result<Vec<Threshold>, _>>()?;
            Ok(())
        },
        show: |spec| {
            let limits: Vec<_> = spec.thresholds.iter().map(ToString::to_string).collect();
            (!limits.is_empty()).then(|| limits.join(","))
        },
    },
    Setting {
        name: "max-pacing-lag",
        placeholder: Some("TIME"),
        group: VERDICT,
        help: "Pacing lag that more than 1 % of messages may not exceed, else the run is INCONCLUSIVE",
        set: |spec, text| store(&mut spec.max_pacing_lag, positive_duration(text)),
        show: |spec| Some(format_duration(spec.max_pacing_lag)),
    },
    Setting {
        name: "report-interval",
        placeholder: Some("TIME"),
        group: VERDICT,
        help: "Length of an entry of the timeline, at least 100ms; a progress line each where there is no terminal",
        set: |spec, text| match parse_duration(text).map_err(|e| words(&e))? {
            time if time.as_millis() < 100 => {
                Err(format!("report interval must be at least 100ms, got `{text}`"))
            }
            time => store(&mut spec.report_interval, Ok(time)),
        },
        show: |spec| Some(format_duration(spec.report_interval)),
    },
    Setting {
        name: "pacing",
        placeholder: Some("HOW"),
        group: GENERATOR,
        help: "How workers wait: sleep, spin (a whole core), or auto (spin above 10k msg/s on a core of its own)",
        set: |spec, text| store(&mut spec.pacing, text.parse()),
        show: |spec| Some(spec.pacing.to_string()),
    },
    Setting {
        name: "flush",
        placeholder: Some("RULE"),
        group: GENERATOR,
        help: "When messages are written: slot (all that is due, at each wake-up), each, a time as 100us, a size as 16KiB",
        set: |spec, text| store(&mut spec.flush, text.parse()),
        show: |spec| Some(spec.flush.to_string()),
    },
];

/// An error with its causes, for people.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn store<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

fn positive_duration(text: &str) -> Result<std::time::Duration, String> {
    match parse_duration(text).map_err(|error| words(&error))? {
        time if time.is_zero() => Err(format!("duration must be above zero, got `{text}`")),
        time => Ok(time),
    }
}

fn whole(text: &str, least: u64, most: u64) -> Result<u64, String> {
    match text.trim().parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number from {least} to {most}, got `{text}`")),
    }
}

/// A part of a whole, as `8%` or `0.08`.
pub(crate) fn share(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let trimmed = text.trim();
    let share = match trimmed.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().map(|percent| percent / 100.0),
        None => trimmed.parse(),
    };
    match share {
        Ok(share) if (least..=most).contains(&share) => Ok(share),
        _ => Err(format!(
            "expected a share from {} to {}, got `{text}`",
            shown_share(least),
            shown_share(most)
        )),
    }
}

/// In per cent, unless that would read back as another number.
pub(crate) fn shown_share(share: f64) -> String {
    let percent = (share * 1e11).round() / 1e9;
    if percent / 100.0 == share { format!("{percent}%") } else { share.to_string() }
}

/// Unix milliseconds, up to the year 2262, where 64 bits of nanoseconds end.
fn start_time(text: &str) -> Result<i64, String> {
    let fail = || {
        format!(
            "expected `now`, a time as 2026-01-01T00:00:00Z, or unix milliseconds up to {LATEST_UNIX_MS}, got `{text}`"
        )
    };
    let milliseconds = match humantime::parse_rfc3339(text) {
        Ok(time) => time.duration_since(std::time::UNIX_EPOCH).map_err(|_| fail())?.as_millis() as i64,
        Err(_) => text.parse().map_err(|_| fail())?,
    };
    if (0..=LATEST_UNIX_MS).contains(&milliseconds) { Ok(milliseconds) } else { Err(fail()) }
}

fn shown_time(unix_ns: i64) -> String {
    let since = std::time::Duration::from_nanos(unix_ns.unsigned_abs());
    let text = humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since).to_string();
    text.replace(".000Z", "Z")
}

const LATEST_UNIX_MS: i64 = 9_200_000_000_000;

fn pointer(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.into())
    } else {
        Err(format!("a JSON pointer starts with `/`, as `/ack` or `/data/id`, got `{text}`"))
    }
}

fn stages(text: &str) -> Result<LoadProfile, String> {
    let Some(path) = text.strip_prefix('@') else {
        return LoadProfile::parse_stages(text).map_err(|error| words(&error));
    };
    let csv = read_bounded(path).map_err(|error| format!("cannot read `{path}`: {error}"))?;
    LoadProfile::parse_stages_csv(&csv).map_err(|error| format!("{path}: {}", words(&error)))
}

/// A text file up to a size that no profile reaches, so that a device or a wrong file cannot fill the memory.
fn read_bounded(path: &str) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MOST_STAGE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_STAGE_BYTES {
        return Err(std::io::Error::other("the file is larger than 64 MiB"));
    }
    Ok(text)
}

const MOST_STAGE_BYTES: u64 = 64 << 20;

const LOAD: &str = "Load";
const MARKET: &str = "Market";
const TARGET: &str = "Target";
const VERDICT: &str = "Verdict and report";
const GENERATOR: &str = "Generator";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_read_back_as_itself() {
        for setting in SETTINGS {
            let mut spec = Spec::default();
            if let Some(text) = setting.default_text() {
                (setting.set)(&mut spec, &text).unwrap_or_else(|error| panic!("{}: {error}", setting.name));
            }
            assert_eq!(spec, Spec::default(), "{}", setting.name);
        }
    }

    #[test]
    fn shares_are_written_in_per_cent_and_read_back_as_themselves() {
        for (text, value, shown) in
            [("8%", 0.08, "8%"), ("0.07", 0.07, "7%"), (" 12.5 %", 0.125, "12.5%"), ("0", 0.0, "0%")]
        {
            let read = share(text, 0.0, 1.0).unwrap();
            assert_eq!((read, &*shown_share(read)), (value, shown));
        }
        for value in [0.001, 0.29, 1.0 / 3.0, 0.123_456_789_012_345_6, f64::MIN_POSITIVE] {
            assert_eq!(share(&shown_share(value), 0.0, 1.0), Ok(value));
        }
    }

    #[test]
    fn absurd_values_are_refused_and_named() {
        for (name, values) in [
            ("duration", &["0", "-5", "NaN", "soon", "", "1e9"][..]),
            ("multiplier", &["0", "-1", "NaN", "inf", "ten", "99999999"]),
            ("base-rate", &["0", "-1", "NaN", "inf", "lots", "2G/s"]),
            ("profile", &["CALM", "", "SPIKE?peak=0&x=1"]),
            ("stages", &["", "10s", "10s:", "10s:-1x", "@/no/such/file"]),
            ("error-threshold", &["-0.1", "1.5", "NaN", "one"]),
            ("symbols", &["0", "10001", "-1", "many"]),
            ("zipf", &["-0.1", "2.1", "NaN", "steep"]),
            ("scenario", &["", "crash", "FLASH"]),
            ("crash-depth", &["0", "0.05%", "31%", "1", "-8%", "NaN", "NaN%", "%", "deep"]),
            ("crash-retrace", &["-1%", "101%", "1.1", "NaN", "all"]),
            ("crash-halt", &["-1s", "long"]),
            ("tick-size", &["", "0.01", "medium"]),
            ("connections", &["0", "4097"]),
            ("max-concurrent", &["0", "-1"]),
            ("timeout", &["0", "never"]),
            ("report-interval", &["0", "10ms"]),
            ("batch", &["0"]),
            ("ack", &["maybe"]),
            ("ack-pointer", &["ack"]),
            ("start-time", &["yesterday"]),
        ] {
            let setting = Setting::named(name).unwrap();
            for value in values {
                let mut spec = Spec::default();
                let error = (setting.set)(&mut spec, value).expect_err(&format!("{name} = `{value}`"));
                assert!(!error.is_empty() && !error.ends_with('.'), "{name}: {error}");
            }
        }
    }
}
