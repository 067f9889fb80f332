//! What the market goes through over a run: the mood it starts in, and how that changes.

use std::time::Duration;

use tickstorm_load::{Factor, LoadProfile, Path, Schedule};
use tickstorm_market::{FlashCrash, Regime, RegimeChange, ScenarioError, TickProfile};

use crate::{RegimeChoice, Scenario, Spec, TickSize};

/// The market's moods, resolved from the settings.
pub(crate) struct Mood {
    /// For people.
    pub name: &'static str,
    /// From the start.
    pub regime: Regime,
    /// Later; times are those of the measured phase.
    pub path: Vec<RegimeChange>,
}

impl Mood {
    /// What was asked for explicitly wins over what a load profile brings along.
    pub(crate) fn new(spec: &Spec, schedule: &Schedule, duration: Duration) -> Result<Mood, ScenarioError> {
        let ticks = ticks(spec);
        let mood = |name, regime: Regime, path| Mood { name, regime: regime.with_ticks(ticks), path };
        if let Some(crash) = flash_crash(spec) {
            let path = crash.path(duration, |at_ns| schedule.due_by(at_ns))?;
            return Ok(match spec.regime {
                RegimeChoice::Volatile => mood("volatile until the crash", Regime::VOLATILE, path),
                RegimeChoice::Auto | RegimeChoice::Normal => {
                    mood("normal until the crash", Regime::NORMAL, path)
                }
            });
        }
        let mut path = Vec::new();
        Ok(match (spec.regime, &spec.profile) {
            (RegimeChoice::Volatile, _) | (RegimeChoice::Auto, LoadProfile::Volatile(_)) => {
                mood("volatile", Regime::VOLATILE, path)
            }
            (RegimeChoice::Auto, LoadProfile::Spike(_)) => {
                path = with_bursts(schedule.path(), ticks);
                match path.is_empty() {
                    true => mood("normal", Regime::NORMAL, path),
                    false => mood("normal; in bursts crash, then recovery", Regime::NORMAL, path),
                }
            }
            (RegimeChoice::Auto | RegimeChoice::Normal, _) => mood("normal", Regime::NORMAL, path),
        })
    }
}

/// The crash that the settings ask for, with its defaults.
pub(crate) fn flash_crash(spec: &Spec) -> Option<FlashCrash> {
    let default = FlashCrash::default();
    (spec.scenario == Scenario::FlashCrash).then(|| FlashCrash {
        depth: spec.crash_depth.unwrap_or(default.depth),
        retrace: spec.crash_retrace.unwrap_or(default.retrace),
        halt: spec.crash_halt.unwrap_or(default.halt),
        ticks: ticks(spec),
    })
}

pub(crate) fn ticks(spec: &Spec) -> TickProfile {
    match spec.tick_size {
        TickSize::Large => TickProfile::Large,
        TickSize::Small => TickProfile::Small,
    }
}

/// Every stretch above the plain rate is a panic, though prices need not fall; what is gone from the books comes back
/// in twice its time, or until the next one. Empty where bursts are too many to be told apart.
fn with_bursts(load: &Path, ticks: TickProfile) -> Vec<RegimeChange> {
    let bursts: Vec<_> = load.segments().iter().filter(|segment| segment.from > Factor::ONE).collect();
    if bursts.len() > MOST_BURSTS {
        return Vec::new();
    }
    let mut changes = Vec::with_capacity(3 * bursts.len());
    for (place, burst) in bursts.iter().enumerate() {
        let mut turn = |at_ns, regime: Regime| {
            changes.push(RegimeChange::new(at_ns, regime.with_ticks(ticks)));
        };
        let next_ns = bursts.get(place + 1).map_or(load.duration_ns(), |next| next.start_ns);
        let recovered_ns = burst.end_ns.saturating_add(RECOVERY_IN_BURSTS * (burst.end_ns - burst.start_ns));
        turn(burst.start_ns, Regime::CRASH);
        if burst.end_ns < next_ns {
            turn(burst.end_ns, Regime::RECOVERY);
        }
        if recovered_ns < next_ns {
            turn(recovered_ns, Regime::NORMAL);
        }
    }
    changes
}

/// As the fall and the recovery of a flash crash.
const RECOVERY_IN_BURSTS: u64 = 2;

/// A month with a burst every ten seconds, at some hundred bytes for each change.
const MOST_BURSTS: usize = 260_000;

#[cfg(test)]
mod tests {
    use tickstorm_market::Trading;

    use super::*;
    use crate::{Plan, PlanErrors, Target};

    const SECOND: u64 = 1_000_000_000;

    fn plan(change: impl FnOnce(&mut Spec)) -> Result<Plan, PlanErrors> {
        let mut spec = Spec { duration: Some(Duration::from_secs(20)), ..Spec::default() };
        change(&mut spec);
        Plan::new(&spec, &Target::default())
    }

    fn moods(plan: &Plan) -> Vec<(u64, Regime)> {
        plan.market().regime_path.iter().map(|change| (change.at_ns, change.regime)).collect()
    }

    #[test]
    fn a_profile_brings_its_mood_unless_another_is_asked_for() {
        let start = |profile: &str, regime| {
            let plan = plan(|spec| {
                spec.profile = profile.parse().unwrap();
                spec.regime = regime;
            })
            .unwrap();
            (plan.market().regime, plan.market().regime_path.len())
        };
        use RegimeChoice::{Auto, Normal, Volatile};
        for profile in ["NORMAL", "RAMP_UP", "RAMP_DOWN"] {
            assert_eq!(start(profile, Auto), (Regime::NORMAL, 0), "{profile}");
            assert_eq!(start(profile, Volatile), (Regime::VOLATILE, 0), "{profile}");
        }
        assert_eq!(start("VOLATILE", Auto), (Regime::VOLATILE, 0));
        assert_eq!(start("VOLATILE", Normal), (Regime::NORMAL, 0));
        assert_eq!(start("SPIKE", Auto), (Regime::NORMAL, 6));
        assert_eq!(start("SPIKE", Volatile), (Regime::VOLATILE, 0));
        assert_eq!(start("SPIKE?peak=1x", Auto), (Regime::NORMAL, 0), "a burst of nothing is none");
    }

    #[test]
    fn a_burst_is_a_panic_and_the_market_recovers_from_it() {
        let spike = |profile: &str| moods(&plan(|spec| spec.profile = profile.parse().unwrap()).unwrap());
        assert_eq!(
            spike("SPIKE"),
            [
                (5 * SECOND, Regime::CRASH),
                (6 * SECOND, Regime::RECOVERY),
                (8 * SECOND, Regime::NORMAL),
                (15 * SECOND, Regime::CRASH),
                (16 * SECOND, Regime::RECOVERY),
                (18 * SECOND, Regime::NORMAL),
            ]
        );
        assert_eq!(
            spike("SPIKE?burst=4s"),
            [
                (5 * SECOND, Regime::CRASH),
                (9 * SECOND, Regime::RECOVERY),
                (15 * SECOND, Regime::CRASH),
                (19 * SECOND, Regime::RECOVERY),
            ],
            "the next burst comes before all is well"
        );
        let path = plan(|spec| spec.profile = LoadProfile::SPIKE).unwrap().market().regime_path.clone();
        assert!(path.iter().all(|change| change.price == 0.0 && change.trading == Trading::Open));
    }

    #[test]
    fn countless_bursts_leave_the_mood_alone() {
        let plan = plan(|spec| spec.profile = "SPIKE?period=50us".parse().unwrap()).unwrap();
        assert_eq!(moods(&plan), []);
    }

    #[test]
    fn a_crash_goes_with_every_profile_and_knows_its_messages() {
        for profile in ["NORMAL", "VOLATILE", "SPIKE", "RAMP_UP", "RAMP_DOWN"] {
            let plan = plan(|spec| {
                spec.profile = profile.parse().unwrap();
                spec.scenario = Scenario::FlashCrash;
                spec.crash_depth = Some(0.2);
                spec.crash_halt = Some(Duration::from_secs(2));
            })
            .unwrap();
            let market = plan.market();
            assert_eq!(market.regime, Regime::NORMAL, "{profile}");
            let lowest = market.regime_path.iter().map(|change| change.price).fold(0.0, f64::min);
            assert_eq!(lowest, -0.2, "{profile}");
            let halted: Vec<_> =
                market.regime_path.iter().filter(|change| change.trading == Trading::Halted).collect();
            assert_eq!(halted.len(), 1, "{profile}");
            for change in market.regime_path.iter() {
                let due = plan.schedule().due_by(change.at_ns);
                assert_eq!(change.messages_before, Some(due), "{profile} at {}", change.at_ns);
            }
        }
    }

    #[test]
    fn small_ticks_are_those_of_every_mood() {
        let plan = plan(|spec| {
            spec.tick_size = TickSize::Small;
            spec.profile = LoadProfile::SPIKE;
        })
        .unwrap();
        assert_eq!(plan.market().regime, Regime::NORMAL.with_ticks(TickProfile::Small));
        assert_eq!(moods(&plan)[0].1, Regime::CRASH.with_ticks(TickProfile::Small));
    }
}
