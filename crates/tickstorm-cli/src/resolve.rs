//! From what was typed, exported and written in a file to one [`Spec`], each value remembered with where it came from.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use tickstorm::{LoadProfile, Plan, PlanErrors, RegimeChoice, SETTINGS, Setting, Spec, Target};
use tickstorm_report::Source;

use crate::{
    arguments::command,
    config_file, environment,
    exit::{Exit, Refusal},
};

/// What a run is to be, and where each part of it was said.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) spec: Spec,
    pub(crate) target: Target,
    pub(crate) origins: Origins,
    /// Whether the target is whoever connects.
    is_serving: bool,
}

/// Resolves the settings: a flag goes before a `TICKSTORM_*` variable, that before the configuration file, that
/// before the default. Everything wrong with the values that count is reported together.
///
/// `config` is the file of `--config`; without it, that of `TICKSTORM_CONFIG`.
pub(crate) fn resolve(
    flags: Vec<Given>,
    config: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Resolved, Refusal> {
    let mut mistakes = Mistakes::default();
    let chosen = choose(flags, config, variables, &mut mistakes);
    resolved(chosen, mistakes)
}

/// The same for a stream of messages, which has no target, and defaults of its own. Settings that only a run has may
/// stand in the environment and in the file, for the runs that share them, and count for nothing.
pub(crate) fn resolve_stream(
    flags: Vec<Given>,
    config: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Resolved, Refusal> {
    let mut resolved = resolve_part(flags, config, variables, is_of_streams, &STREAM_DEFAULTS)?;
    let is_volatile = matches!(resolved.spec.profile, LoadProfile::Volatile(_))
        || resolved.spec.regime == RegimeChoice::Volatile;
    if *resolved.origins.of("arrivals") == Origin::Default && is_volatile {
        // Bursts belong to the mood as much as prices do.
        resolved.spec.arrivals = VOLATILE_ARRIVALS.parse().ok();
    }
    Ok(resolved)
}

/// The same for an exchange, whose clients are the target.
pub(crate) fn resolve_serving(
    flags: Vec<Given>,
    config: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Resolved, Refusal> {
    let mut resolved = resolve_part(flags, config, variables, is_of_serving, &SERVE_DEFAULTS)?;
    resolved.is_serving = true;
    Ok(resolved)
}

/// The same for a command that has only some of the settings, and defaults of its own.
fn resolve_part(
    flags: Vec<Given>,
    config: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    has: fn(&Setting) -> bool,
    defaults: &[(&'static str, &str)],
) -> Result<Resolved, Refusal> {
    let mut mistakes = Mistakes::default();
    let mut chosen = choose(flags, config, variables, &mut mistakes);
    let settings: Vec<_> =
        SETTINGS.iter().filter(|setting| has(setting)).map(|setting| setting.name).collect();
    chosen.retain(|name, _| settings.contains(name));
    for &(name, text) in defaults {
        chosen.entry(name).or_insert_with(|| Given { name, text: text.into(), origin: Origin::Default });
    }
    resolved(chosen, mistakes)
}

/// Whether an exchange has it: it serves all venues, and connects to nobody.
pub(crate) fn is_of_serving(setting: &Setting) -> bool {
    setting.group != "Target" && !matches!(setting.name, "venue" | "flush")
}

/// What an exchange has where nothing is said: a market's bursts, and the time on the clock.
pub(crate) const SERVE_DEFAULTS: [(&str, &str); 2] = [("arrivals", "bursty"), ("start-time", "now")];

/// Whether the messages depend on it. A warm-up is no part of a stream.
pub(crate) fn is_of_streams(setting: &Setting) -> bool {
    matches!(setting.group, "Load" | "Market") && setting.name != "warmup"
}

/// What a stream has where nothing is said: a market's bursts, at the rate of a venue on an ordinary day.
pub(crate) const STREAM_DEFAULTS: [(&str, &str); 3] =
    [("base-rate", "20k"), ("multiplier", "1"), ("arrivals", "bursty")];

/// How messages follow each other in a volatile market, where nothing is said.
pub(crate) const VOLATILE_ARRIVALS: &str = "bursty:volatile";

/// The layers one over the other.
fn choose(
    flags: Vec<Given>,
    config: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    mistakes: &mut Mistakes,
) -> BTreeMap<&'static str, Given> {
    let environment = environment::read(variables, mistakes);
    let config = config.map(Path::to_path_buf).or(environment.config);
    let file = config.map_or_else(Vec::new, |path| config_file::read(&path, mistakes));

    let mut chosen = BTreeMap::new();
    for layer in [file, environment.given, flags] {
        lay_over(&mut chosen, layer, mistakes);
    }
    chosen
}

fn resolved(chosen: BTreeMap<&'static str, Given>, mut mistakes: Mistakes) -> Result<Resolved, Refusal> {
    let spec = spec(&chosen, &mut mistakes);
    let target = target(&chosen, &mut mistakes);
    let origins = Origins(chosen.into_iter().map(|(name, given)| (name, given.origin)).collect());
    match target {
        Some(target) if mistakes.0.is_empty() => Ok(Resolved { spec, target, origins, is_serving: false }),
        _ => Err(mistakes.into()),
    }
}

impl Resolved {
    /// Works out what the settings mean together. What they cannot mean is worded by where they were given.
    pub(crate) fn plan(&self) -> Result<Plan, Refusal> {
        let plan =
            if self.is_serving { Plan::serving(&self.spec) } else { Plan::new(&self.spec, &self.target) };
        let mut plan = plan.map_err(|errors| self.refusal(errors))?;
        for (name, origin) in &self.origins.0 {
            plan.set_source(name, origin.source());
        }
        Ok(plan)
    }

    /// The same for a run, which needs something to do.
    pub(crate) fn plan_of_run(&self) -> Result<Plan, Refusal> {
        let plan = self.plan()?;
        plan.check_due().map_err(|errors| self.refusal(errors))?;
        Ok(plan)
    }

    fn refusal(&self, errors: PlanErrors) -> Refusal {
        let mut mistakes = Mistakes::default();
        for error in errors.0 {
            let origin = self.origins.of(error.setting);
            match origin {
                Origin::Default => mistakes.add(origin.clone(), &error),
                _ => mistakes.add(origin.clone(), &error.message),
            }
        }
        mistakes.into()
    }
}

/// Where each setting's value came from.
#[derive(Debug, Default)]
pub(crate) struct Origins(BTreeMap<&'static str, Origin>);

impl Origins {
    pub(crate) fn of(&self, name: &str) -> &Origin {
        // Whoever gives stages has said what the profile is.
        let instead = (name == PROFILE).then_some(STAGES);
        self.0.get(name).or_else(|| self.0.get(instead?)).unwrap_or(&Origin::Default)
    }
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// On the command line, under this name: `--base-rate`.
    Flag(String),
    /// In the environment, under this name.
    Variable(String),
    /// In a configuration file; the line is unknown where the file cannot be read at all.
    File { path: PathBuf, line: Option<usize> },
    /// Nowhere.
    Default,
}

impl Origin {
    pub(crate) fn flag(name: &str) -> Self {
        Self::Flag(format!("--{name}"))
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Flag(_) | Self::Default => Exit::Usage,
            Self::Variable(_) | Self::File { .. } => Exit::Configuration,
        }
    }

    /// As the report tells it.
    fn source(&self) -> Source {
        match self {
            Self::Flag(_) => Source::Flag,
            Self::Variable(_) => Source::Environment,
            Self::File { .. } => Source::File,
            Self::Default => Source::Default,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value as it was given, not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// The setting's name: one of [`SETTINGS`], or [`TARGET`].
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Everything found wrong, collected so that it is said at once.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<Mistake>);

#[derive(Debug)]
struct Mistake {
    exit: Exit,
    text: String,
}

impl Mistakes {
    pub(crate) fn add(&mut self, origin: Origin, message: impl fmt::Display) {
        let exit = origin.exit();
        self.add_as(exit, origin, message);
    }

    fn add_as(&mut self, exit: Exit, origin: Origin, message: impl fmt::Display) {
        let text = match origin {
            Origin::Default => message.to_string(),
            _ => format!("{origin}: {message}"),
        };
        self.0.push(Mistake { exit, text });
    }
}

impl From<Mistakes> for Refusal {
    fn from(mistakes: Mistakes) -> Self {
        // A wrong command line is nearest to the person at the keyboard, so its code wins.
        let usage = mistakes.0.iter().any(|mistake| mistake.exit == Exit::Usage);
        let exit = if usage { Exit::Usage } else { Exit::Configuration };
        Self { exit, complaints: mistakes.0.into_iter().map(|mistake| mistake.text).collect() }
    }
}

/// The one setting that is not in [`SETTINGS`], because it is no part of a [`Spec`].
pub(crate) const TARGET: &str = "target";

/// The setting with this name, `_` standing for `-` too.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    let name = name.replace('_', "-");
    names().find(|known| *known == name)
}

/// Every setting that an environment variable or a line of the configuration file can give.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.name).chain([TARGET])
}

/// Whether some command has a flag of this name that is no setting: what a person who looks at one run decides, not who
/// configures many.
pub(crate) fn is_flag_only(name: &str) -> bool {
    let program = command();
    let mut commands = std::iter::once(&program).chain(program.get_subcommands());
    !names().any(|setting| setting == name)
        && commands.any(|command| command.get_arguments().any(|argument| argument.get_long() == Some(name)))
}

/// The candidate that was probably meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > MEANT)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Below this likeness a suggestion is more confusing than none; clap uses a similar bound.
const MEANT: f64 = 0.75;

/// Puts one layer's values over those of the layers below.
fn lay_over(chosen: &mut BTreeMap<&'static str, Given>, layer: Vec<Given>, mistakes: &mut Mistakes) {
    if let Some((profile, stages)) = both(&layer, PROFILE, STAGES) {
        mistakes.add(
            stages.origin.clone(),
            format!(
                "stages are a profile of your own: give them or a profile, not both ({})",
                profile.origin
            ),
        );
    }
    for given in layer {
        // These two set the same thing, so that giving one takes back the other of a layer below.
        match given.name {
            PROFILE => chosen.remove(STAGES),
            STAGES => chosen.remove(PROFILE),
            _ => None,
        };
        chosen.insert(given.name, given);
    }
}

const PROFILE: &str = "profile";
const STAGES: &str = "stages";

fn both<'a>(layer: &'a [Given], one: &str, other: &str) -> Option<(&'a Given, &'a Given)> {
    let find = |name| layer.iter().find(|given| given.name == name);
    find(one).zip(find(other))
}

fn spec(chosen: &BTreeMap<&'static str, Given>, mistakes: &mut Mistakes) -> Spec {
    let mut spec = Spec::default();
    for (setting, given) in SETTINGS.iter().filter_map(|setting| Some((setting, chosen.get(setting.name)?))) {
        if let Err(message) = (setting.set)(&mut spec, &given.text) {
            mistakes.add_as(exit_of(setting, given), given.origin.clone(), message);
        }
    }
    spec
}

/// A flag may be right and the file that it names wrong.
fn exit_of(setting: &Setting, given: &Given) -> Exit {
    match given.text.starts_with('@') && setting.name == STAGES {
        true => Exit::Configuration,
        false => given.origin.exit(),
    }
}

fn target(chosen: &BTreeMap<&'static str, Given>, mistakes: &mut Mistakes) -> Option<Target> {
    let default = Given { name: TARGET, text: DEFAULT_TARGET.into(), origin: Origin::Default };
    let given = chosen.get(TARGET).unwrap_or(&default);
    given.text.parse().map_err(|message| mistakes.add(given.origin.clone(), message)).ok()
}

/// A run without a target storms the one that tickstorm brings along.
pub(crate) const DEFAULT_TARGET: &str = "builtin";

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tickstorm::Rate;

    use super::*;

    #[test]
    fn a_flag_goes_before_a_variable_before_the_file_before_the_default() {
        let file = toml("base-rate = 2\nsymbols = 20\nconnections = 4\n");
        let variables = [("TICKSTORM_BASE_RATE", "3"), ("TICKSTORM_SYMBOLS", "30")];
        let resolved = resolve(flags(&[("base-rate", "4")]), Some(file.path()), vars(&variables)).unwrap();

        assert_eq!(resolved.spec.base_rate, "4".parse::<Rate>().unwrap());
        assert_eq!(resolved.spec.symbols, 30);
        assert_eq!(resolved.spec.connections, 4);
        assert_eq!(resolved.spec.seed, Spec::default().seed);
        let origin = |name| resolved.origins.of(name).to_string();
        assert_eq!(origin("base-rate"), "--base-rate");
        assert_eq!(origin("symbols"), "TICKSTORM_SYMBOLS");
        assert_eq!(origin("connections"), format!("{}:3", file.path().display()));
        assert_eq!(origin("seed"), "default");
    }

    #[test]
    fn the_variable_names_the_file_only_where_no_flag_does() {
        let (by_variable, by_flag) = (toml("seed = 5\n"), toml("seed = 6\n"));
        let variables = vec![("TICKSTORM_CONFIG".into(), by_variable.path().into())];
        assert_eq!(resolve(vec![], None, variables.clone()).unwrap().spec.seed, 5);
        assert_eq!(resolve(vec![], Some(by_flag.path()), variables).unwrap().spec.seed, 6);
    }

    #[test]
    fn every_mistake_is_reported_and_a_wrong_flag_decides_the_code() {
        let file = toml("# mine\nbase-rate = -1\nsymbls = 3\n");
        let variables = [("TICKSTORM_SYMBOLS", "0"), ("TICKSTORM_SEAD", "1")];
        let refusal =
            resolve(flags(&[("multiplier", "NaN")]), Some(file.path()), vars(&variables)).unwrap_err();
        let text = refusal.to_string();
        let name = file.path().display();
        for expected in [
            "--multiplier: ",
            "TICKSTORM_SYMBOLS: ",
            "TICKSTORM_SEAD: ",
            "TICKSTORM_SEED",
            &format!("{name}:2: "),
            &format!("{name}:3: "),
            "`symbols`",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert_eq!(refusal.complaints.len(), 5, "{text}");
        assert_eq!(refusal.exit, Exit::Usage);

        let refusal = resolve(vec![], Some(file.path()), vars(&variables)).unwrap_err();
        assert_eq!((refusal.complaints.len(), refusal.exit), (4, Exit::Configuration));
    }

    #[test]
    fn a_value_that_a_higher_layer_replaces_is_not_judged() {
        let resolved = resolve(flags(&[("seed", "7")]), None, vars(&[("TICKSTORM_SEED", "lucky")])).unwrap();
        assert_eq!(resolved.spec.seed, 7);
    }

    #[test]
    fn profile_and_stages_replace_each_other_between_layers_and_collide_within_one() {
        let file = toml("stages = \"10s:1x, 5s:2x\"\n");
        let resolved = resolve(flags(&[("profile", "spike")]), Some(file.path()), vec![]).unwrap();
        assert!(matches!(resolved.spec.profile, LoadProfile::Spike(_)));
        assert_eq!(*resolved.origins.of("stages"), Origin::Default);

        let resolved = resolve(flags(&[("stages", "10s:1x")]), None, vec![]).unwrap();
        assert_eq!(*resolved.origins.of("profile"), Origin::flag("stages"));

        let refusal =
            resolve(flags(&[("profile", "spike"), ("stages", "10s:1x")]), None, vec![]).unwrap_err();
        assert_eq!(refusal.exit, Exit::Usage);
        assert_eq!(refusal.complaints.len(), 1, "{refusal}");
        assert!(refusal.to_string().contains("--stages: "), "{refusal}");
        assert!(refusal.to_string().contains("--profile"), "{refusal}");
    }

    #[test]
    fn a_wrong_file_of_stages_is_a_wrong_input_file() {
        let refusal = resolve(flags(&[("stages", "@/no/such/file.csv")]), None, vec![]).unwrap_err();
        assert_eq!(refusal.exit, Exit::Configuration);
        assert!(refusal.to_string().contains("/no/such/file.csv"), "{refusal}");
    }

    #[test]
    fn a_stream_has_defaults_of_its_own_and_ignores_what_only_a_run_has() {
        let file = toml("timeout = \"1s\"\nwarmup = 5\nmultiplier = 3\nack-pointer = \"/a\"\n");
        let resolved = resolve_stream(flags(&[("seed", "7")]), Some(file.path()), vec![]).unwrap();
        assert_eq!(resolved.spec.base_rate, "20k".parse::<Rate>().unwrap());
        assert_eq!((resolved.spec.multiplier.as_f64(), resolved.spec.seed), (3.0, 7));
        assert_eq!((resolved.spec.warmup, resolved.spec.timeout), (Duration::ZERO, Spec::default().timeout));
        assert_eq!(resolved.spec.arrivals.map(|arrivals| arrivals.to_string()), Some("bursty".into()));
        assert_eq!(*resolved.origins.of("base-rate"), Origin::Default);
        resolved.plan().unwrap();

        for (given, expected) in [
            (&[("profile", "VOLATILE")][..], VOLATILE_ARRIVALS),
            (&[("regime", "volatile")], VOLATILE_ARRIVALS),
            (&[("regime", "volatile"), ("arrivals", "paced")], "paced"),
        ] {
            let resolved = resolve_stream(flags(given), None, vec![]).unwrap();
            assert_eq!(resolved.spec.arrivals.map(|arrivals| arrivals.to_string()), Some(expected.into()));
        }
    }

    #[test]
    fn a_wrong_target_is_named_by_where_it_was_given() {
        let refusal = resolve(flags(&[("target", "gopher://x")]), None, vec![]).unwrap_err();
        assert_eq!(refusal.exit, Exit::Usage);
        assert!(refusal.to_string().starts_with("error: --target: "), "{refusal}");
        assert!(refusal.to_string().contains("gopher"), "{refusal}");
    }

    #[test]
    fn what_a_file_gives_reads_like_what_flags_give() {
        let file = toml(concat!(
            "duration = 90\nbase_rate = \"5k\"\nerror-threshold = 0.05\nallow-public-target = true\n",
            "threshold = [\"p99<50ms\", \"max<1s\"]\nstages = [\"30s:1x\", \"60s:1x..8x\"]\n",
        ));
        let from_file = resolve(vec![], Some(file.path()), vec![]).unwrap().spec;
        let from_flags = resolve(
            flags(&[
                ("duration", "90"),
                ("base-rate", "5k"),
                ("error-threshold", "0.05"),
                ("allow-public-target", "true"),
                ("threshold", "p99<50ms,max<1s"),
                ("stages", "30s:1x, 60s:1x..8x"),
            ]),
            None,
            vec![],
        );
        assert_eq!(from_file, from_flags.unwrap().spec);
        assert_eq!(from_file.duration, Some(Duration::from_secs(90)));
        assert_eq!(from_file.thresholds.len(), 2);
    }

    #[test]
    fn only_a_likely_name_is_suggested() {
        assert_eq!(nearest("base-rat", names()), Some("base-rate"));
        assert_eq!(nearest("simbols", names()), Some("symbols"));
        assert_eq!(nearest("xyzzy", names()), None);
    }

    fn flags(values: &[(&str, &str)]) -> Vec<Given> {
        values
            .iter()
            .map(|(name, text)| Given {
                name: known(name).unwrap(),
                text: (*text).into(),
                origin: Origin::flag(name),
            })
            .collect()
    }

    fn vars(values: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        values.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn toml(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }
}
