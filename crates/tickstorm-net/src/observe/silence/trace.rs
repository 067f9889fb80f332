//! A record of what a process does, and what stands out in it.

use crate::observe::process::Activity;

/// Looks at a process, in the order of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at_ns: u64,
    run_ns: u64,
    wait_ns: u64,
    /// Voluntary ones: the others are the doing of the machine's other users.
    switches: u64,
}

impl Trace {
    pub(super) fn push(&mut self, at_ns: u64, activity: &Activity) {
        let point = Point {
            at_ns,
            run_ns: activity.run_ns,
            wait_ns: activity.wait_ns,
            switches: activity.voluntary_switches,
        };
        if self.points.last().is_none_or(|last| last.at_ns < at_ns) {
            self.points.push(point);
        }
    }

    pub(super) fn forget_before(&mut self, at_ns: u64) {
        // Seldom enough to cost nothing.
        let old = self.points.partition_point(|point| point.at_ns < at_ns);
        if old > self.points.len() / 2 {
            self.points.drain(..old);
        }
    }

    pub(super) fn span(&self) -> Option<(u64, u64)> {
        Some((self.points.first()?.at_ns, self.points.last()?.at_ns))
    }

    pub(super) fn longest_step_ns(&self) -> u64 {
        self.points.windows(2).map(|pair| pair[1].at_ns - pair[0].at_ns).max().unwrap_or(0)
    }

    /// The time between the looks before and after an instant, if there were some.
    pub(super) fn step_at_ns(&self, at_ns: u64) -> Option<u64> {
        let next = self.points.partition_point(|point| point.at_ns < at_ns);
        let before = self.points.get(next.checked_sub(1)?)?;
        Some(self.points.get(next)?.at_ns - before.at_ns)
    }

    /// What was done in each stretch of [`BIN_NS`] of a time; between looks it is spread evenly.
    pub(super) fn bins(&self, from_ns: u64, to_ns: u64) -> Bins {
        let count = (to_ns.saturating_sub(from_ns) / BIN_NS) as usize;
        let mut bins = Bins::default();
        let mut next = 0;
        let mut before: Option<[f64; 3]> = None;
        for edge in 0..=count as u64 {
            let at_ns = from_ns + edge * BIN_NS;
            while self.points.get(next).is_some_and(|point| point.at_ns < at_ns) {
                next += 1;
            }
            let now = self.at(next, at_ns);
            if let Some([run, wait, switches]) = before {
                bins.run.push(now[0] - run);
                bins.wait.push(now[1] - wait);
                bins.switches.push(now[2] - switches);
            }
            before = Some(now);
        }
        bins.spread_waits();
        bins
    }

    /// Run time and wait in milliseconds and switches at an instant, the next look at or after which is given.
    fn at(&self, next: usize, at_ns: u64) -> [f64; 3] {
        let values =
            |point: &Point| [point.run_ns as f64 / 1e6, point.wait_ns as f64 / 1e6, point.switches as f64];
        match (next.checked_sub(1).and_then(|last| self.points.get(last)), self.points.get(next)) {
            (Some(last), Some(next)) => {
                let share = (at_ns - last.at_ns) as f64 / (next.at_ns - last.at_ns) as f64;
                let (last, next) = (values(last), values(next));
                std::array::from_fn(|i| last[i] + (next[i] - last[i]) * share)
            }
            (Some(edge), None) | (None, Some(edge)) => values(edge),
            (None, None) => [0.0; 3],
        }
    }
}

/// What was done, cut into stretches of [`BIN_NS`].
#[derive(Debug, Clone, Default)]
pub(super) struct Bins {
    /// Milliseconds on a CPU.
    run: Vec<f64>,
    /// Milliseconds runnable without a CPU.
    wait: Vec<f64>,
    switches: Vec<f64>,
}

impl Bins {
    pub(super) fn len(&self) -> usize {
        self.run.len()
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> Bins {
        let part = |values: &[f64]| values[from.min(to)..to].to_vec();
        Bins { run: part(&self.run), wait: part(&self.wait), switches: part(&self.switches) }
    }

    /// A wait is counted when it is over: what does not fit into its stretch lay before it.
    fn spread_waits(&mut self) {
        let mut carried = 0.0;
        for (wait, run) in self.wait.iter_mut().zip(&self.run).rev() {
            let all = *wait + carried;
            *wait = all.min((BIN_MS - run).max(0.0));
            carried = all - *wait;
        }
    }

    /// Whether work could hide in it: it computes, or wants to, most of the time, or wakes up all the time.
    pub(super) fn is_as_busy_as_work(&self) -> bool {
        let seconds = self.seconds();
        let wants = self.run.iter().zip(&self.wait).filter(|(run, wait)| *run + *wait >= WANTS_MS).count();
        self.run.iter().sum::<f64>() / 1000.0 > seconds * BUSY_SHARE
            || wants as f64 > self.len() as f64 * WANTING_SHARE
            || self.switches.iter().sum::<f64>() > seconds * BUSY_SWITCHES_PER_S
    }

    /// The end of the stretch around a bin in which a thread had a CPU or waited for one all the time.
    pub(super) fn wants_until(&self, from: usize) -> usize {
        let wants = |bin: usize| bin < self.len() && self.run[bin] + self.wait[bin] >= WANTS_MS;
        let mut at = from;
        while (at..at + 3).any(wants) {
            at += 1;
        }
        at
    }

    /// Whether as good as nothing happens in it.
    pub(super) fn is_quiet(&self) -> bool {
        let seconds = self.seconds();
        self.run.iter().sum::<f64>() / 1000.0 <= seconds * QUIET_SHARE
            && self.switches.iter().sum::<f64>() <= 1.0 + seconds * QUIET_SWITCHES_PER_S
    }

    /// The longest stretch without a sign of life, in bins.
    pub(super) fn longest_pause(&self) -> usize {
        let alive = |bin: usize| self.switches[bin] >= 0.25 || self.run[bin] >= 0.5;
        let (mut longest, mut current) = (0, 0);
        for bin in 0..self.len() {
            current = if alive(bin) { 0 } else { current + 1 };
            longest = longest.max(current);
        }
        longest
    }

    /// The longest stretch on a CPU, in bins: when it directly follows work, nothing tells them apart.
    pub(super) fn longest_stretch(&self) -> usize {
        let longest = self.run.split(|run| *run < 0.5 * BIN_MS).map(<[f64]>::len).max();
        longest.unwrap_or(0)
    }

    /// Whether there is more in any stretch of this than in all of `other`, which is as long as that.
    pub(super) fn always_busier_than(&self, other: &Bins) -> bool {
        let length = other.len().min(self.len());
        let busier = |ours: &[f64], theirs: &[f64], slack: f64| {
            let least = windows(ours, length).fold(f64::INFINITY, f64::min);
            least * 0.7 - slack > theirs[theirs.len() - length..].iter().sum()
        };
        let slack = length as f64 * BIN_MS / 1000.0;
        busier(&self.switches, &other.switches, 10.0 * slack)
            || busier(&self.run, &other.run, 1000.0 * QUIET_SHARE * slack)
    }

    /// Whether the mean activity lies so far above that of `idle` that the noise of both does not explain it.
    pub(super) fn exceeds_mean_of(&self, idle: &Bins) -> bool {
        // Threads that waited for a CPU then, and do not now, come round more often now.
        let waiting = |bins: &Bins| (bins.wait.iter().sum::<f64>() / (bins.seconds() * 1000.0)).min(0.8);
        let freer = ((1.0 - waiting(self)) / (1.0 - waiting(idle))).max(1.0);
        let exceeds = |ours: &[f64], theirs: &[f64], least_noise: f64, least_step: f64| {
            let (Some((mean, _, count)), Some((idle_mean, idle_noise, idle_count))) =
                (blocks(ours, MEAN_BINS), blocks(theirs, MEAN_BINS))
            else {
                return false;
            };
            let idle_mean = idle_mean * freer;
            let noise = idle_noise.max(least_noise + 0.05 * idle_mean);
            let error = noise * (1.0 / count + 1.0 / idle_count).sqrt();
            mean - idle_mean > (5.0 * error).max(least_step).max(0.15 * idle_mean)
        };
        exceeds(&self.switches, &idle.switches, 0.7, 1.5) || exceeds(&self.run, &idle.run, 0.5, 2.0)
    }

    /// The end of work that ends somewhere in `earliest..=latest`, with idling like `idle` from there on, and how
    /// far off it may be, both in bins: where the split between a busier part, not before `from`, and a quieter
    /// one is the most likely, taking both for random events at steady rates.
    pub(super) fn end_of_work(
        &self,
        idle: &Bins,
        from: usize,
        earliest: usize,
        latest: usize,
    ) -> (usize, usize) {
        let (earliest, latest) = (earliest.max(from + 1), latest.min(self.len() - 1));
        let latest = latest.max(earliest);
        let from = from.max(earliest.saturating_sub(2 * (latest - earliest).max(LOCAL_BINS)));
        let (run, switches) = (sums(&self.run[from..]), sums(&self.switches[from..]));
        let length = self.len() - from;
        let likelihood_of = |sums: &[f64], unit: f64, at: usize| {
            let (busy, quiet) = (sums[at] / unit, (sums[length] - sums[at]) / unit);
            likelihood(busy, at) + likelihood(quiet, length - at)
        };
        // Events that come in bunches say less than as many that come one by one.
        let (run_unit, switch_unit) =
            (RUN_UNIT_MS * bunching(&idle.run, RUN_UNIT_MS), bunching(&idle.switches, 1.0));
        let fits: Vec<f64> = (earliest..=latest)
            .map(|end| {
                let split = end - from;
                likelihood_of(&run, run_unit, split) + likelihood_of(&switches, switch_unit, split)
            })
            .collect();
        let (best, fit) =
            fits.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or((0, 0.0));
        let as_likely = |fit_there: &f64| *fit_there >= fit - AS_LIKELY;
        let first = fits.iter().position(as_likely).unwrap_or(best);
        let last = fits.iter().rposition(as_likely).unwrap_or(best);
        (earliest + best, (best - first).max(last - best).max(1))
    }
}

impl Bins {
    fn seconds(&self) -> f64 {
        self.len() as f64 * BIN_MS / 1000.0
    }
}

/// What is the most that happens in stretches of several lengths.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Length in bins, most run time in milliseconds, most switches, with what is allowed for chance.
    scales: Vec<(usize, f64, f64)>,
}

impl Envelope {
    pub(super) fn of(idle: &Bins) -> Self {
        let mut scales = Vec::new();
        for length in SCALES_BINS {
            if length > idle.len() / 2 {
                break;
            }
            let most = |values: &[f64]| windows(values, length).fold(0.0, f64::max);
            let run = 2.0 * most(&idle.run) + 3.0 + 2.0 * QUIET_SHARE * length as f64 * BIN_MS;
            let seen = most(&idle.switches);
            scales.push((length, run, 1.3 * seen + 2.1 + seen.sqrt()));
        }
        Self { scales }
    }

    /// How long a thread can keep a CPU busy without standing out, in bins.
    pub(super) fn shortest_noticed(&self) -> usize {
        let noticed = self.scales.iter().find(|(length, run, _)| *length as f64 * BIN_MS > *run);
        noticed.or(self.scales.last()).map_or(1, |(length, ..)| *length)
    }

    /// The same with more allowed for chance.
    pub(super) fn stretched(&self, factor: f64) -> Self {
        let stretch =
            |&(length, run, switches): &(usize, f64, f64)| (length, run * factor, switches * factor);
        Self { scales: self.scales.iter().map(stretch).collect() }
    }

    /// What either of them allows.
    pub(super) fn or(&self, other: &Envelope) -> Self {
        let (longer, shorter) =
            if self.scales.len() >= other.scales.len() { (self, other) } else { (other, self) };
        let mut scales = longer.scales.clone();
        for ((_, run, switches), (_, other_run, other_switches)) in scales.iter_mut().zip(&shorter.scales) {
            (*run, *switches) = (run.max(*other_run), switches.max(*other_switches));
        }
        Self { scales }
    }

    /// Finds what stands out above the idling.
    pub(super) fn work(&self, bins: &Bins, from: usize) -> Work {
        let mut found = vec![false; bins.len()];
        let mut last = None;
        let (mut run, mut switches) = (bins.run.clone(), bins.switches.clone());
        // What stands out in a short stretch is not to make the long ones around it stand out.
        for &(length, run_at_most, switches_at_most) in &self.scales {
            let mut marked_to = from;
            let stands_out = windows(&run[from..], length)
                .zip(windows(&switches[from..], length))
                .enumerate()
                .filter(|(_, (run, switches))| *run > run_at_most || *switches > switches_at_most)
                .map(|(at, _)| from + at);
            for at in stands_out.collect::<Vec<_>>() {
                let end = at + length;
                for bin in at.max(marked_to)..end {
                    found[bin] = true;
                    (run[bin], switches[bin]) = (0.0, 0.0);
                }
                marked_to = marked_to.max(end);
                if last.is_none_or(|(_, latest)| end > latest) {
                    last = Some((at, end));
                }
            }
        }
        Work { found, last }
    }
}

/// What stands out.
#[derive(Debug)]
pub(super) struct Work {
    found: Vec<bool>,
    /// The last stretch of it: the work ends in it.
    pub(super) last: Option<(usize, usize)>,
}

impl Work {
    /// Whether something of the next `bins` bins does not stand out.
    pub(super) fn rests_within(&self, from: usize, bins: usize) -> bool {
        self.found.iter().skip(from).take(bins).any(|found| !found)
    }

    /// The longest part of `from..to` that does not stand out, and in which no thread waited for a CPU either.
    pub(super) fn longest_gap(&self, bins: &Bins, from: usize, to: usize) -> usize {
        let (mut longest, mut current) = (0, 0);
        for bin in from..to {
            let works = self.found[bin] || bins.wait[bin] > WANTS_MS;
            current = if works { 0 } else { current + 1 };
            longest = longest.max(current);
        }
        longest
    }
}

/// Sums over all stretches of a length.
fn windows(values: &[f64], length: usize) -> impl Iterator<Item = f64> + '_ {
    let fits = length > 0 && length <= values.len();
    let first: f64 = if fits { values[..length].iter().sum() } else { 0.0 };
    let moves = (length..if fits { values.len() } else { 0 }).scan(first, move |sum, end| {
        *sum += values[end] - values[end - length];
        Some(*sum)
    });
    fits.then_some(first).into_iter().chain(moves)
}

/// Sums from the beginning to each point.
fn sums(values: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums = Vec::with_capacity(values.len() + 1);
    sums.push(0.0);
    sums.extend(values.iter().map(|value| {
        sum += value.max(0.0);
        sum
    }));
    sums
}

/// How many events come at once, at least one: the ratio of variance and mean.
fn bunching(values: &[f64], unit: f64) -> f64 {
    match blocks(values, BUNCH_BINS) {
        Some((mean, deviation, _)) if mean > 0.0 => (deviation.powi(2) / (mean * unit)).max(1.0),
        _ => 1.0,
    }
}

/// Mean and deviation of the sums over blocks, and how many there are.
fn blocks(values: &[f64], length: usize) -> Option<(f64, f64, f64)> {
    let sums: Vec<f64> = values.chunks_exact(length).map(|block| block.iter().sum()).collect();
    if sums.len() < 2 {
        return None;
    }
    let count = sums.len() as f64;
    let mean = sums.iter().sum::<f64>() / count;
    let variance = sums.iter().map(|sum| (sum - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some((mean, variance.sqrt(), count))
}

/// Logarithm of the likelihood of so many events at the rate that suits them best.
fn likelihood(events: f64, bins: usize) -> f64 {
    if events <= 0.0 || bins == 0 { 0.0 } else { events * (events / bins as f64).ln() - events }
}

/// Stretches into which a record is cut: the rhythm of the looks.
pub(super) const BIN_NS: u64 = 5_000_000;
const BIN_MS: f64 = BIN_NS as f64 / 1e6;

/// 10 ms to 1 s. Shorter ones tell more exactly when, longer ones see sparser work.
const SCALES_BINS: [usize; 7] = [2, 4, 10, 20, 40, 100, 200];

/// Blocks whose deviation stands for the noise of a mean: 100 ms.
const MEAN_BINS: usize = 20;

/// Blocks within which what belongs together happens: 50 ms.
const BUNCH_BINS: usize = 10;

/// Splits that are less likely than the best by no more than a factor of 50 are as good as that.
const AS_LIKELY: f64 = 4.0;

/// How far back the rate of the work is taken from: 200 ms.
const LOCAL_BINS: usize = 40;

/// How much run time counts as much as a switch. The kernel counts it up in ticks of some milliseconds.
const RUN_UNIT_MS: f64 = 2.0;

/// From half a CPU on, or from a switch every 2 ms on, idling looks like work.
const BUSY_SHARE: f64 = 0.5;
/// A spinning thread on a busy machine gets less than it wants.
const WANTING_SHARE: f64 = 0.6;
const BUSY_SWITCHES_PER_S: f64 = 500.0;

/// Of a bin: a CPU is in use, or waited for.
const WANTS_MS: f64 = 0.6 * BIN_MS;

/// Up to here, idling is none.
const QUIET_SHARE: f64 = 0.01;
const QUIET_SWITCHES_PER_S: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(points: &[(u64, u64, u64, u64)]) -> Trace {
        let mut trace = Trace::default();
        for &(at_ms, run_ms, wait_ms, voluntary_switches) in points {
            let activity = Activity {
                run_ns: run_ms * 1_000_000,
                wait_ns: wait_ms * 1_000_000,
                voluntary_switches,
                ..Activity::default()
            };
            trace.push(at_ms * 1_000_000, &activity);
        }
        trace
    }

    #[test]
    fn what_happens_between_looks_is_spread_over_the_time_between_them() {
        let bins = trace(&[(100, 0, 0, 0), (110, 4, 0, 2), (115, 4, 0, 12)]).bins(100_000_000, 120_000_000);
        assert_eq!(bins.run, [2.0, 2.0, 0.0, 0.0]);
        assert_eq!(bins.switches, [1.0, 1.0, 10.0, 0.0]);
    }

    #[test]
    fn a_wait_that_is_told_at_its_end_is_put_where_it_was() {
        let bins = trace(&[(0, 0, 0, 0), (5, 5, 0, 0), (20, 5, 0, 0), (25, 7, 13, 0)]).bins(0, 25_000_000);
        let ends: Vec<f64> = bins.wait.iter().map(|wait| wait.round()).collect();
        assert_eq!(ends, [0.0, 0.0, 5.0, 5.0, 3.0]);
    }

    #[test]
    fn sums_over_stretches_are_all_there() {
        assert_eq!(windows(&[1.0, 2.0, 3.0, 4.0], 2).collect::<Vec<_>>(), [3.0, 5.0, 7.0]);
        assert_eq!(windows(&[1.0], 2).count(), 0);
        assert_eq!(windows(&[1.0, 2.0], 2).collect::<Vec<_>>(), [3.0]);
    }

    #[test]
    fn old_looks_are_forgotten() {
        let mut trace = Trace::default();
        for ms in 0..1000 {
            trace.push(ms * 1_000_000, &Activity::default());
            trace.forget_before((ms * 1_000_000).saturating_sub(100_000_000));
        }
        assert!(trace.points.len() <= 210, "{}", trace.points.len());
    }
}
