//! What the spec means: everything resolved, checked and divided, nothing left to decide.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tickstorm_load::{
    Arrivals, LoadProfile, Path, Recording, RecordingSpec, Schedule, ScheduleSpec, format_duration,
};
use tickstorm_market::{FlashCrash, Kind, Listing, MarketSpec, Regime, RegimeChange, ScenarioError};
use tickstorm_random::Seed;
use tickstorm_report::Source;

use crate::{
    AckMode, Metric, Pacing, SETTINGS, Scenario, Setting, Spec, Target, Workers, machine,
    mood::{Mood, flash_crash, ticks},
    settings::{shown_share, words},
    stream::DEFAULT_START_UNIX_NS,
    target::{Callee, Takes},
};

/// A run, ready to start: from the same plan the same messages follow, at the same due instants.
///
/// ```
/// use tickstorm::{Plan, Spec, Target};
///
/// let plan = Plan::new(&Spec::default(), &Target::default())?;
/// assert_eq!(plan.schedule().total(), 60_000);
/// # Ok::<(), tickstorm::PlanErrors>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) spec: Spec,
    pub(crate) target: String,
    pub(crate) target_kind: &'static str,
    pub(crate) is_hosted: bool,
    pub(crate) duration: Duration,
    pub(crate) schedule: Schedule,
    pub(crate) warm_up: Option<Schedule>,
    pub(crate) market: MarketSpec,
    pub(crate) mood: &'static str,
    pub(crate) arrivals: Arrivals,
    /// `None` when the target is called: a return needs no matching.
    pub(crate) ack: Option<AckMode>,
    /// Connections, or for a call the workers.
    pub(crate) lanes: u32,
    pub(crate) workers: u32,
    pub(crate) cores: u32,
    pub(crate) sources: BTreeMap<&'static str, Source>,
    pub(crate) warnings: Vec<String>,
    /// Whether the messages' times are those of the clock on the wall.
    starts_now: bool,
    more_flags: Vec<String>,
}

/// What is written for the target, and the kind of it, where tickstorm is the one that is connected to.
pub(crate) const SERVE: &str = "serve";

impl Plan {
    /// Works out what the settings mean together for this target.
    pub fn new(spec: &Spec, target: &Target) -> Result<Plan, PlanErrors> {
        Self::work_out(spec, Some(target))
    }

    /// The same for an [`Exchange`](crate::serve::Exchange), whose clients are the target. Settings of a target that is
    /// called or connected to mean nothing there.
    pub fn serving(spec: &Spec) -> Result<Plan, PlanErrors> {
        let spec = Spec { workers: Workers::Count(1), connections: 1, ..spec.clone() };
        Self::work_out(&spec, None)
    }

    fn work_out(spec: &Spec, target: Option<&Target>) -> Result<Plan, PlanErrors> {
        let mut errors = PlanErrors(Vec::new());
        let mut spec = spec.clone();
        check_ranges(&spec, &mut errors);
        if let Some(target) = target {
            check_together(&spec, target, &mut errors);
        }
        if !errors.0.is_empty() {
            return Err(errors);
        }

        let duration = errors
            .collect("duration", duration(&spec))
            .or(spec.profile.stages_duration())
            .unwrap_or(DEFAULT_DURATION);
        if duration.saturating_add(spec.warmup) > LONGEST_RUN {
            errors.add(
                "duration",
                format!("a run lasts at most 30 days, warm-up included, got {}", format_duration(duration)),
            );
            return Err(errors);
        }
        let seed = Seed::new(spec.seed);
        let arrivals = spec.arrivals.unwrap_or_else(|| match &spec.profile {
            LoadProfile::Volatile(_) => "bursty:volatile".parse().expect("volatile is a preset"),
            LoadProfile::Spike(_) => "bursty".parse().expect("normal is a preset"),
            _ => Arrivals::Paced,
        });

        let is_called = matches!(target, Some(Target::Call(_) | Target::Hosted(_)));
        let lanes_wanted = if is_called { 1 } else { spec.connections };
        let mut market = MarketSpec {
            seed: seed.child("market", 0),
            listing: Listing::synthetic(spec.symbols, seed.child("listing", 0)),
            shards: shards(lanes_wanted),
            accounts: spec.accounts,
            zipf: spec.zipf,
            // The moods follow once it is known how many messages carry them.
            regime: Regime::NORMAL,
            regime_path: Arc::default(),
        };
        if let Err(error) = market.check() {
            errors.add("symbols", words(&error));
        }

        let path =
            errors.collect("profile", spec.profile.path(duration, seed).map_err(|error| words(&error)));
        let schedule = path.and_then(|path| {
            let spec = ScheduleSpec {
                multiplier: spec.multiplier,
                arrivals,
                seed: seed.child("schedule", 0),
                shard_weights: market.shard_weights(),
                ..ScheduleSpec::new(spec.base_rate, path)
            };
            errors.collect("base-rate", Schedule::new(spec).map_err(|error| words(&error)))
        });
        let warm_up = if spec.warmup.is_zero() {
            None
        } else {
            let path =
                Path::constant(tickstorm_load::Factor::ONE, spec.warmup).map_err(|error| words(&error));
            errors.collect("warmup", path).and_then(|path| {
                let spec = ScheduleSpec {
                    seed: seed.child("warmup", 0),
                    shard_weights: market.shard_weights(),
                    ..ScheduleSpec::new(spec.base_rate, path)
                };
                errors.collect("warmup", Schedule::new(spec).map_err(|error| words(&error)))
            })
        };
        let mood = schedule.as_ref().and_then(|schedule| {
            let mood = Mood::new(&spec, schedule, duration);
            errors.collect_from(mood.map_err(|error| (crash_setting(&error), words(&error))))
        });
        let (Some(schedule), Some(mood)) = (schedule.filter(|_| errors.0.is_empty()), mood) else {
            return Err(errors);
        };
        market.regime = mood.regime;
        market.regime_path = mood.path.into();

        let cores = machine::cores();
        let wanted = match spec.workers {
            Workers::Auto => cores.saturating_sub(1).max(1),
            Workers::Count(count) => count,
        };
        // A worker without a share of the limit, or without a shard, would have nothing to do.
        let wanted = wanted.min(spec.max_concurrent).min(u32::from(market.shards));
        let (lanes, workers) = match target {
            Some(Target::Call(_)) => (wanted, wanted),
            // A host is one consumer, however many threads it has.
            Some(Target::Hosted(_)) => (1, 1),
            _ => (spec.connections, wanted.min(spec.connections)),
        };
        let ack = match target {
            Some(Target::Call(_) | Target::Hosted(_)) => None,
            Some(Target::Builtin(_)) => Some(spec.ack.unwrap_or(AckMode::Id)),
            Some(Target::WebSocket(_)) => Some(spec.ack.unwrap_or(AckMode::None)),
            None => Some(AckMode::None),
        };
        let mut warnings = Vec::new();
        if lanes_wanted > spec.symbols {
            warnings.push(format!(
                "{lanes_wanted} connections share {} symbols, and a symbol stays on one connection: some connections carry nothing",
                spec.symbols
            ));
        }
        let starts_now = spec.start_unix_ns.is_none();
        if starts_now {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            // Whole milliseconds, so that the printed command gives the same bytes again.
            spec.start_unix_ns = Some(now.as_millis() as i64 * 1_000_000);
        }
        Ok(Plan {
            target: target.map_or(SERVE.to_owned(), Target::to_string),
            target_kind: target.map_or(SERVE, Target::kind),
            is_hosted: matches!(target, Some(Target::Hosted(_))),
            starts_now,
            more_flags: Vec::new(),
            duration,
            schedule,
            warm_up,
            market,
            mood: mood.name,
            arrivals,
            ack,
            lanes,
            workers,
            cores,
            sources: BTreeMap::new(),
            warnings,
            spec,
        })
    }

    /// Refuses a plan by which no message is due: a run of it could prove nothing. A stream may be empty, and an exchange
    /// quiet.
    pub fn check_due(&self) -> Result<(), PlanErrors> {
        if self.schedule.total() > 0 {
            return Ok(());
        }
        let setting = if self.spec.profile.stages_duration().is_some() { "stages" } else { "base-rate" };
        let (duration, rate) = (format_duration(self.duration), self.spec.base_rate);
        let mut errors = PlanErrors(Vec::new());
        errors.add(
            setting,
            format!(
                "no message is due in {duration} at a base rate of {rate}, times {} and the profile's factors: a run \
                 needs one at least",
                self.spec.multiplier
            ),
        );
        Err(errors)
    }

    /// When messages are due.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The factor over the run.
    pub fn path(&self) -> &Path {
        self.schedule.path()
    }

    /// The market that speaks. Times of its regime path are those of the measured phase.
    pub fn market(&self) -> &MarketSpec {
        &self.market
    }

    /// The crash that comes over the market in the measured phase, if one does.
    pub fn flash_crash(&self) -> Option<FlashCrash> {
        flash_crash(&self.spec)
    }

    /// How wide a tick is for the books.
    pub(crate) fn ticks(&self) -> tickstorm_market::TickProfile {
        ticks(&self.spec)
    }

    /// Whether messages carry the real time instead of one that the plan was given.
    pub(crate) fn starts_now(&self) -> bool {
        self.starts_now
    }

    /// Unix time of the run's start, on the wire.
    pub fn start_unix_ns(&self) -> i64 {
        self.spec.start_unix_ns.unwrap_or(DEFAULT_START_UNIX_NS)
    }

    /// Length of the measured phase.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The target, as it was named.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Threads that will drive the target.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// What the user should know before the start.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The settings that the run was made from, the start time resolved.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Remembers where a setting's value came from, for the report.
    pub fn set_source(&mut self, setting: &'static str, source: Source) {
        self.sources.insert(setting, source);
    }

    /// Every setting with its resolved value, in the order of the help text; the target first.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![("target", self.target.clone())];
        for setting in SETTINGS {
            all.push((setting.name, self.resolved(setting)));
        }
        all
    }

    fn resolved(&self, setting: &Setting) -> String {
        match setting.name {
            "duration" => format_duration(self.duration),
            "arrivals" => self.arrivals.to_string(),
            "regime" => self.mood.to_owned(),
            "crash-depth" | "crash-retrace" | "crash-halt" => match self.flash_crash() {
                Some(crash) if setting.name == "crash-depth" => shown_share(crash.depth),
                Some(crash) if setting.name == "crash-retrace" => shown_share(crash.retrace),
                Some(crash) => format_duration(crash.halt),
                None => "-".into(),
            },
            "ack" => self.ack.map_or("none".into(), |ack| ack.to_string()),
            "workers" => self.workers.to_string(),
            "profile" => (setting.show)(&self.spec).unwrap_or_else(|| "stages".into()),
            _ => (setting.show)(&self.spec).unwrap_or_else(|| "-".into()),
        }
    }

    /// The command line that repeats the run. There is none for a target that is called: it is that of the same load,
    /// on the built-in target.
    pub fn command(&self) -> String {
        let is_serving = self.target_kind == SERVE;
        let mut words = vec![if is_serving { "tickstorm serve" } else { "tickstorm run" }.to_owned()];
        if self.target != "builtin" && !is_serving && self.target_kind != "call" {
            words.push(format!("--target {}", quoted(&self.target)));
        }
        for setting in SETTINGS {
            let Some(value) = (setting.show)(&self.spec) else { continue };
            // An exchange always has one, and takes no such flags.
            if is_serving && (setting.group == "Target" || setting.name == "venue") {
                continue;
            }
            // The seed stands there even when it is the default: it is what makes the run come again.
            if setting.name != "seed" && setting.default_text().as_ref() == Some(&value) {
                continue;
            }
            words.push(match setting.placeholder {
                Some(_) => format!("--{} {}", setting.name, quoted(&value)),
                None => format!("--{}", setting.name),
            });
        }
        words.extend(self.more_flags.clone());
        words.join(" ")
    }

    /// Remembers flags that are no settings, for the command that repeats the run.
    pub(crate) fn set_more_flags(&mut self, flags: Vec<String>) {
        self.more_flags = flags;
    }

    /// An empty recording for this run's messages.
    pub(crate) fn recording(&self) -> Recording {
        Recording::new(RecordingSpec {
            kinds: Kind::ALL.len(),
            max_pacing_lag: self.spec.max_pacing_lag,
            measured_until_ns: self.schedule.duration_ns(),
        })
    }

    /// The market of a run of this plan, whose times include the warm-up.
    pub(crate) fn market_of_run(&self) -> MarketSpec {
        let warm_up_ns = self.warm_up.as_ref().map_or(0, Schedule::duration_ns);
        let later = |change: &RegimeChange| RegimeChange { at_ns: change.at_ns + warm_up_ns, ..*change };
        MarketSpec { regime_path: self.market.regime_path.iter().map(later).collect(), ..self.market.clone() }
    }

    /// The lane of each shard over all workers.
    pub(crate) fn lane_of_shard(&self, shard: u16) -> u32 {
        u32::from(shard) % self.lanes
    }

    /// The worker of a lane.
    pub(crate) fn worker_of_lane(&self, lane: u32) -> u32 {
        lane % self.workers
    }

    /// Whether the cores suffice for every thread that may be busy, the built-in target's among them.
    pub(crate) fn has_core_for_each(&self) -> bool {
        let target_threads = u32::from(self.target_kind == "builtin");
        self.cores >= self.workers + target_threads && self.spec.pacing != Pacing::Sleep
    }
}

fn crash_setting(error: &ScenarioError) -> &'static str {
    match error {
        ScenarioError::Depth(_) => "crash-depth",
        ScenarioError::Retrace(_) => "crash-retrace",
        ScenarioError::Halt { .. } => "crash-halt",
    }
}

fn duration(spec: &Spec) -> Result<Duration, String> {
    match (spec.profile.stages_duration(), spec.duration) {
        (None, given) => Ok(given.unwrap_or(DEFAULT_DURATION)),
        (Some(stages), None) => Ok(stages),
        (Some(stages), Some(given)) if stages == given => Ok(stages),
        (Some(stages), Some(given)) => Err(format!(
            "the stages last {} together, so the duration cannot be {}; leave it out",
            format_duration(stages),
            format_duration(given)
        )),
    }
}

fn check_together(spec: &Spec, target: &Target, errors: &mut PlanErrors) {
    let is_id = match target {
        Target::Builtin(_) => matches!(spec.ack, None | Some(AckMode::Id)),
        Target::WebSocket(_) => spec.ack == Some(AckMode::Id),
        Target::Call(_) | Target::Hosted(_) => false,
    };
    if spec.stamp_id.is_some() && spec.id_pointer.is_some() {
        errors.add(
            "id-pointer",
            "a message's id is either stamped or its own: give --stamp-id or --id-pointer, not both",
        );
    }
    for (name, is_given) in [("stamp-id", spec.stamp_id.is_some()), ("id-pointer", spec.id_pointer.is_some())]
    {
        if is_given && !is_id {
            errors.add(name, "replies are matched by id only with --ack id");
        }
    }
    if matches!(target, Target::Builtin(_))
        && (spec.stamp_id.is_some() || spec.id_pointer.is_some() || spec.ack_pointer != "/ack")
    {
        errors.add("target", "the built-in target acknowledges ordinals as {\"ack\":n}: leave out --ack-pointer, --stamp-id and --id-pointer");
    }
    if spec.thresholds.iter().any(|threshold| threshold.metric == Metric::Age) {
        errors.add(
            "threshold",
            "the age of a backlog is a figure of clients that are served: `age` is for `tickstorm serve`",
        );
    }
    if matches!(target, Target::Call(_) | Target::Hosted(_)) && spec.ack.is_some() {
        errors.add("ack", "a called target acknowledges by returning: leave it out");
    }
    for (name, is_given) in [
        ("crash-depth", spec.crash_depth.is_some()),
        ("crash-retrace", spec.crash_retrace.is_some()),
        ("crash-halt", spec.crash_halt.is_some()),
    ] {
        if is_given && spec.scenario != Scenario::FlashCrash {
            errors.add(name, "nothing crashes without --scenario flash-crash");
        }
    }
    if let Target::WebSocket(endpoint) = target
        && !spec.allow_public_target
        // A name that cannot be resolved is the connection's error, with its own words.
        && endpoint.is_public().unwrap_or(false)
    {
        errors.add(
            "target",
            format!(
                "{endpoint} lies outside loopback and private address ranges; --allow-public-target allows it"
            ),
        );
    }
    if let Target::Call(Callee { takes: Takes::One, .. }) = target
        && spec.batch > 1
    {
        errors.add(
            "batch",
            format!("{} messages a call need Target::call_batch; this target takes one", spec.batch),
        );
    }
}

/// What the table of settings ensures for text must hold for specs made by a program too.
fn check_ranges(spec: &Spec, errors: &mut PlanErrors) {
    for (name, value, most) in [
        ("symbols", spec.symbols, 10_000),
        ("connections", spec.connections, 4096),
        ("max-concurrent", spec.max_concurrent, 100_000_000),
        ("batch", spec.batch, 10_000),
    ] {
        if !(1..=most).contains(&value) {
            errors.add(name, format!("expected a whole number from 1 to {most}, got {value}"));
        }
    }
    if spec.accounts > 10_000 {
        errors.add("accounts", format!("expected a whole number from 0 to 10000, got {}", spec.accounts));
    }
    if let Workers::Count(count) = spec.workers
        && !(1..=1024).contains(&count)
    {
        errors.add("workers", format!("expected auto or a whole number from 1 to 1024, got {count}"));
    }
    for (name, value, least) in [
        ("duration", spec.duration.unwrap_or(DEFAULT_DURATION), Duration::from_nanos(1)),
        ("timeout", spec.timeout, Duration::from_nanos(1)),
        ("report-interval", spec.report_interval, Duration::from_millis(100)),
        ("max-pacing-lag", spec.max_pacing_lag, Duration::from_nanos(1)),
        ("warmup", spec.warmup, Duration::ZERO),
    ] {
        if !(least..=LONGEST_RUN).contains(&value) {
            let least = format_duration(least);
            errors.add(name, format!("expected a time from {least} to 30d, got {}", format_duration(value)));
        }
    }
    if !(0.0..=2.0).contains(&spec.zipf) {
        errors.add("zipf", format!("expected a number from 0 to 2, got {}", spec.zipf));
    }
    if !(0.0..=1.0).contains(&spec.error_threshold) {
        errors.add("error-threshold", format!("expected a share from 0 to 1, got {}", spec.error_threshold));
    }
    for threshold in &spec.thresholds {
        let (holds, allowed) = match threshold.metric {
            Metric::ErrorRate => ((0.0..=1.0).contains(&threshold.limit), "a share from 0 to 1"),
            _ => (threshold.limit > 0.0 && threshold.limit.is_finite(), "nanoseconds, above zero"),
        };
        if !holds {
            let (metric, limit) = (threshold.metric, threshold.limit);
            errors.add("threshold", format!("the limit of {metric} is {allowed}, got {limit}"));
        }
    }
    for (name, pointer) in
        [("ack-pointer", Some(&spec.ack_pointer)), ("id-pointer", spec.id_pointer.as_ref())]
    {
        if let Some(pointer) = pointer.filter(|pointer| !pointer.starts_with('/')) {
            errors.add(name, format!("a JSON pointer starts with `/`, as `/ack`, got `{pointer}`"));
        }
    }
}

/// Shards that the symbols are cut into: enough that each connection has one.
fn shards(connections: u32) -> u16 {
    connections.next_power_of_two().max(LEAST_SHARDS) as u16
}

fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Everything that is wrong with a spec, found together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanErrors(pub Vec<PlanError>);

/// A setting that does not go with the others, or cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {message}")]
pub struct PlanError {
    /// The name of the setting.
    pub setting: &'static str,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl PlanErrors {
    fn add(&mut self, setting: &'static str, message: impl Into<String>) {
        self.0.push(PlanError { setting, message: message.into() });
    }

    fn collect<T>(&mut self, setting: &'static str, result: Result<T, String>) -> Option<T> {
        self.collect_from(result.map_err(|message| (setting, message)))
    }

    fn collect_from<T>(&mut self, result: Result<T, (&'static str, String)>) -> Option<T> {
        result.map_err(|(setting, message)| self.add(setting, message)).ok()
    }
}

impl std::fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for PlanErrors {}

const DEFAULT_DURATION: Duration = Duration::from_secs(60);

/// Due times are packed into 52 bits of nanoseconds, 52 days; a whole month is a rounder limit.
const LONGEST_RUN: Duration = Duration::from_secs(30 * 86_400);

/// The number of shards is fixed, whatever the workers, so that the stream does not depend on them.
const LEAST_SHARDS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threshold;

    fn plan(change: impl FnOnce(&mut Spec)) -> Result<Plan, PlanErrors> {
        let mut spec = Spec::default();
        change(&mut spec);
        Plan::new(&spec, &Target::default())
    }

    #[test]
    fn the_command_repeats_the_run() {
        let plan = plan(|spec| {
            spec.seed = 7;
            spec.profile = LoadProfile::parse_stages("1s:1x, 2s:1x..8x").unwrap();
            spec.timeout = Duration::from_millis(250);
        })
        .unwrap();
        let command = plan.command();
        assert!(command.contains("--seed 7") && command.contains("--timeout 250ms"), "{command}");
        assert!(command.contains("--stages '") && !command.contains("--duration"), "{command}");
        assert_eq!(plan.duration(), Duration::from_secs(3));
    }

    #[test]
    fn a_run_needs_a_message() {
        type Change = fn(&mut Spec);
        let stages = |text| LoadProfile::parse_stages(text).unwrap();
        let changes: [(&str, &str, Change); 2] = [
            ("base-rate", "in 1m at a base rate of 1/h, times 10x ", |spec| {
                spec.base_rate = "1/h".parse().unwrap();
            }),
            ("stages", "in 2s at a base rate of 100/s, times 10x ", |spec| {
                spec.profile = LoadProfile::parse_stages("2s:0x").unwrap();
            }),
        ];
        for (setting, part, change) in changes {
            let PlanErrors(errors) = plan(change).unwrap().check_due().unwrap_err();
            let [error] = &errors[..] else { panic!("{setting}: {errors:?}") };
            assert_eq!(error.setting, setting);
            assert!(error.message.contains(part), "{error}");
        }
        assert_eq!(plan(|spec| spec.profile = stages("1s:0x, 1ms:1x")).unwrap().check_due(), Ok(()));
    }

    #[test]
    fn the_command_for_a_called_target_is_one_that_runs() {
        let target = Target::hosted(crate::HostedCalls::new(crate::Wordings::Market, || ()));
        let spec = Spec { multiplier: "2".parse().unwrap(), batch: 3, ..Spec::default() };
        let command = Plan::new(&spec, &target).unwrap().command();
        assert_eq!(command, "tickstorm run --multiplier 2x --seed 1 --batch 3");
    }

    #[test]
    fn settings_that_do_not_go_together_are_named_together() {
        let errors = plan(|spec| {
            spec.profile = LoadProfile::parse_stages("10s:1x").unwrap();
            spec.duration = Some(Duration::from_secs(5));
            spec.ack = Some(AckMode::Fifo);
            spec.stamp_id = Some("id".into());
        })
        .unwrap_err();
        let settings: Vec<_> = errors.0.iter().map(|error| error.setting).collect();
        assert_eq!(settings, ["stamp-id", "target"], "{errors}");
    }

    #[test]
    fn what_a_program_writes_is_checked_like_text() {
        type Change = fn(&mut Spec);
        let changes: [(&str, Change); 14] = [
            ("zipf", |spec| spec.zipf = f64::NAN),
            ("batch", |spec| spec.batch = 0),
            ("connections", |spec| spec.connections = 0),
            ("connections", |spec| spec.connections = 70_000),
            ("workers", |spec| spec.workers = Workers::Count(0)),
            ("report-interval", |spec| spec.report_interval = Duration::ZERO),
            ("timeout", |spec| spec.timeout = Duration::MAX),
            ("warmup", |spec| spec.warmup = Duration::MAX),
            ("duration", |spec| spec.duration = Some(Duration::MAX)),
            ("ack-pointer", |spec| spec.ack_pointer.clear()),
            ("error-threshold", |spec| spec.error_threshold = f64::NAN),
            ("threshold", |spec| spec.thresholds = vec![Threshold { metric: Metric::Max, limit: 0.0 }]),
            ("threshold", |spec| spec.thresholds = vec![Threshold { metric: Metric::Age, limit: f64::NAN }]),
            ("threshold", |spec| spec.thresholds = vec![Threshold { metric: Metric::ErrorRate, limit: 1.5 }]),
        ];
        for (setting, change) in changes {
            let errors = plan(change).unwrap_err();
            assert!(errors.0.iter().any(|error| error.setting == setting), "{setting}: {errors}");
        }
    }

    #[test]
    fn a_crash_without_a_scenario_or_beyond_its_limits_is_refused_by_name() {
        type Change = fn(&mut Spec);
        let changes: [(&str, &str, Change); 5] = [
            ("crash-depth", "--scenario flash-crash", |spec| spec.crash_depth = Some(0.08)),
            ("crash-halt", "--scenario flash-crash", |spec| spec.crash_halt = Some(Duration::ZERO)),
            ("crash-depth", "0.001 to 0.3, got 0.4", |spec| {
                spec.scenario = Scenario::FlashCrash;
                spec.crash_depth = Some(0.4);
            }),
            ("crash-retrace", "0 to 1, got 2", |spec| {
                spec.scenario = Scenario::FlashCrash;
                spec.crash_retrace = Some(2.0);
            }),
            ("crash-halt", "at most 6s, a tenth of the run, got 7s", |spec| {
                spec.scenario = Scenario::FlashCrash;
                spec.crash_halt = Some(Duration::from_secs(7));
            }),
        ];
        for (setting, part, change) in changes {
            let PlanErrors(errors) = plan(change).unwrap_err();
            let [error] = &errors[..] else { panic!("{setting}: {errors:?}") };
            assert_eq!(error.setting, setting);
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn a_run_goes_through_its_moods_after_the_warm_up() {
        let spec = Spec { scenario: Scenario::FlashCrash, warmup: Duration::from_secs(7), ..Spec::default() };
        let plan = Plan::new(&spec, &Target::default()).unwrap();
        let (planned, run) = (plan.market().clone(), plan.market_of_run());
        assert_eq!(planned.regime_path[0].at_ns, 24_000_000_000);
        assert_eq!(run.regime_path[0].at_ns, 31_000_000_000);
        assert_eq!(
            run.path_ticks(tickstorm_market::SymbolId(9)),
            planned.path_ticks(tickstorm_market::SymbolId(9))
        );
        let described = plan.describe();
        for (name, value) in
            [("regime", "normal until the crash"), ("crash-depth", "8%"), ("crash-halt", "0s")]
        {
            assert!(described.contains(&(name, value.to_owned())), "{described:?}");
        }
        assert!(plan.command().contains("--scenario flash-crash"), "{}", plan.command());
    }

    #[test]
    fn every_worker_has_a_share_of_the_limit() {
        let plan = plan(|spec| {
            spec.workers = Workers::Count(8);
            spec.connections = 8;
            spec.max_concurrent = 3;
        });
        assert_eq!(plan.unwrap().workers(), 3);
    }

    #[test]
    fn a_public_address_is_not_stormed_unasked() {
        let target: Target = "ws://8.8.8.8:80/".parse().unwrap();
        let errors = Plan::new(&Spec::default(), &target).unwrap_err();
        assert!(errors.to_string().contains("--allow-public-target"), "{errors}");
        let spec = Spec { allow_public_target: true, ..Spec::default() };
        assert!(Plan::new(&spec, &target).is_ok());
    }

    #[test]
    fn every_connection_has_a_shard_and_every_lane_a_worker() {
        let plan = plan(|spec| {
            spec.connections = 100;
            spec.workers = Workers::Count(7);
            spec.symbols = 500;
        })
        .unwrap();
        assert_eq!(plan.market.shards, 128);
        let lanes: std::collections::BTreeSet<_> = (0..128).map(|shard| plan.lane_of_shard(shard)).collect();
        assert_eq!(lanes.len(), 100);
        assert!((0..100).all(|lane| plan.worker_of_lane(lane) < 7));
    }
}
