//! What the commands about streams have in common.

use std::{env, fmt::Display, str::FromStr, time::Duration};

use tickstorm::{Plan, SETTINGS};

use crate::{
    exit::{Exit, Refusal},
    resolve::{Given, Origin, Resolved, resolve_stream},
};

/// What a stream is made from.
#[derive(Debug)]
pub(super) struct StreamPlan {
    pub(super) plan: Plan,
    /// Market messages, at most those of the plan; all of them where no count was given.
    pub(super) count: Option<u64>,
    pub(super) resolved: Resolved,
}

/// The texts that a command takes beside settings, and the mistakes in them.
#[derive(Debug, Default)]
pub(super) struct Texts {
    complaints: Vec<String>,
    file_complaints: Vec<String>,
}

impl Texts {
    /// Reads the text of a flag. A mistake is remembered, and the value that counts meanwhile is none.
    pub(super) fn read<T: FromStr<Err: Display>>(&mut self, flag: &str, text: Option<&str>) -> Option<T> {
        let parsed = text?.trim().parse().map_err(|error| self.complain(flag, error));
        parsed.ok()
    }

    /// Reads how many messages there are to be.
    pub(super) fn count(&mut self, text: Option<&str>) -> Option<u64> {
        let text = text?;
        match text.trim().replace('_', "").parse() {
            Ok(count) if count > 0 => Some(count),
            _ => {
                self.complain("--count", format_args!("expected a whole number from 1, got `{text}`"));
                None
            }
        }
    }

    /// The same for a text whose own error would not say what is expected.
    pub(super) fn read_as<T: FromStr>(
        &mut self,
        flag: &str,
        text: Option<&str>,
        expected: &str,
    ) -> Option<T> {
        let text = text?;
        let parsed = text.trim().parse();
        if parsed.is_err() {
            self.complain(flag, format_args!("expected {expected}, got `{text}`"));
        }
        parsed.ok()
    }

    /// Reads a time, which may be zero.
    pub(super) fn duration(&mut self, flag: &str, text: Option<&str>) -> Option<Duration> {
        let parsed = tickstorm_load::parse_duration(text?).map_err(|error| self.complain(flag, error));
        parsed.ok()
    }

    /// Remembers a mistake in a file, which is none of the command line.
    pub(super) fn complain_of_file(&mut self, flag: &str, path: &std::path::Path, mistake: impl Display) {
        self.file_complaints.push(format!("{flag}: {}: {mistake}", path.display()));
    }

    pub(super) fn complain(&mut self, flag: &str, mistake: impl Display) {
        self.complaints.push(format!("{flag}: {mistake}"));
    }

    /// Nothing more is to be read: mistakes are reported.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.complaints.is_empty() {
            true => Ok(()),
            false => Err(Refusal { exit: Exit::Usage, complaints: self.complaints }),
        }
    }

    /// Works out the plan. Mistakes in the settings and those remembered are reported together.
    pub(super) fn plan(
        self,
        settings: Vec<Given>,
        config: Option<&std::path::Path>,
        count: Option<u64>,
    ) -> Result<StreamPlan, Refusal> {
        let resolved = self.with(resolve_stream(settings, config, env::vars_os()))?;
        StreamPlan::new(resolved, count)
    }

    /// What the settings came to. Mistakes in them and those remembered are reported together.
    pub(super) fn with(self, resolved: Result<Resolved, Refusal>) -> Result<Resolved, Refusal> {
        let Self { complaints, file_complaints } = self;
        let own = match (complaints.is_empty(), file_complaints.is_empty()) {
            (true, true) => return resolved,
            (true, false) => Exit::Configuration,
            (false, _) => Exit::Usage,
        };
        let (exit, others) = match resolved {
            Ok(_) => (own, Vec::new()),
            Err(refusal) if own == Exit::Usage => (own, refusal.complaints),
            Err(refusal) => (refusal.exit, refusal.complaints),
        };
        Err(Refusal { exit, complaints: [complaints, file_complaints, others].concat() })
    }
}

impl StreamPlan {
    /// With a count and no duration, the plan is made as long as the count takes.
    fn new(mut resolved: Resolved, count: Option<u64>) -> Result<Self, Refusal> {
        let is_given = *resolved.origins.of("duration") != Origin::Default
            || resolved.spec.profile.stages_duration().is_some();
        let Some(least) = count.filter(|_| !is_given) else {
            let plan = resolved.plan()?;
            let total = plan.schedule().total();
            return match count.filter(|&count| count > total) {
                None => Ok(Self { plan, count, resolved }),
                Some(count) => Err(too_many(count, total, "this duration")),
            };
        };
        let per_second = resolved.spec.base_rate.as_per_second() * resolved.spec.multiplier.as_f64();
        let mut duration = bounded(least as f64 / per_second);
        loop {
            resolved.spec.duration = Some(duration);
            let plan = resolved.plan()?;
            let total = plan.schedule().total();
            if total >= least {
                return Ok(Self { plan, count, resolved });
            }
            if duration >= LONGEST {
                return Err(too_many(least, total, "30 days"));
            }
            // Profiles have other averages than their base rate.
            let factor = if total == 0 { 2.0 } else { least as f64 / total as f64 };
            duration = bounded(duration.as_secs_f64() * factor.max(1.001));
        }
    }
}

impl StreamPlan {
    /// What to write after the name of the program to have these settings again.
    pub(super) fn flags(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.count.map(|count| format!(" --count {count}")));
        for setting in SETTINGS {
            let is_given = *self.resolved.origins.of(setting.name) != Origin::Default;
            if let Some(value) = (setting.show)(self.plan.spec()).filter(|_| is_given) {
                let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,+%".contains(c));
                let value = if is_plain { value } else { format!("'{value}'") };
                words.push(format!(" --{} {value}", setting.name));
            }
        }
        words.concat()
    }
}

fn too_many(count: u64, total: u64, time: &str) -> Refusal {
    let complaint =
        format!("--count: {count} messages do not fall due in {time} at this load, at most {total} do");
    Refusal::new(Exit::Usage, complaint)
}

/// In whole milliseconds: a duration that can be read, and given again.
fn bounded(seconds: f64) -> Duration {
    let milliseconds = (seconds * 1e3).ceil().clamp(SHORTEST.as_millis() as f64, LONGEST.as_millis() as f64);
    Duration::from_millis(milliseconds as u64)
}

/// A profile needs some room.
const SHORTEST: Duration = Duration::from_secs(1);

/// As long as a plan may be.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
