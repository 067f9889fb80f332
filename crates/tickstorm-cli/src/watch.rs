//! Shows the person at the terminal how a run goes, in the way that fits where they look at it.

use tickstorm::{Plan, Snapshot};
use tickstorm_report::format;

use crate::{
    arguments::Progress,
    lines::{line, served_line},
    live::{Palette, Role, Screen, Stage, View},
    terminal::{can_draw, has_color, say},
};

/// Takes a look at the run now and then, and shows what it saw. Dropping it gives the terminal back.
pub(crate) struct Watch {
    title: String,
    /// What is said at the start where there is no live view.
    opening: String,
    error_threshold: f64,
    role: Role,
    face: Face,
}

enum Face {
    Live(Screen, Palette),
    Lines {
        /// Intervals that have their line already.
        shown: usize,
        stage: Stage,
    },
    Quiet,
}

impl Watch {
    /// `target` is what the person is shown of it, or of the clients' doors.
    pub(crate) fn new(progress: Progress, role: Role, target: &str, plan: &Plan) -> Self {
        let face = match progress {
            Progress::Quiet => Face::Quiet,
            Progress::Auto if can_draw() => Face::Live(
                Screen::open(),
                if has_color(std::io::stderr()) { Palette::Color } else { Palette::Plain },
            ),
            Progress::Auto | Progress::Lines => Face::Lines { shown: 0, stage: Stage::Connecting },
        };
        let (spec, schedule) = (plan.spec(), plan.schedule());
        let length = format::seconds(schedule.duration_ns() as f64 / 1e9);
        Self {
            title: format!(
                "tickstorm  {} x{} for {length} {} {target}",
                spec.profile,
                spec.multiplier.as_f64(),
                if role == Role::Exchange { "to clients of" } else { "at" },
            ),
            opening: format!(
                "tickstorm: connecting to {} for {} messages in {length}, {} on average, {} at peak, seed {}\n",
                target,
                format::count(schedule.total()),
                format::rate(schedule.average_rate()),
                format::rate(schedule.peak_rate()),
                spec.seed,
            ),
            error_threshold: spec.error_threshold,
            role,
            face,
        }
    }

    /// Says at once what is about to happen, as a target may take its time.
    pub(crate) fn connecting(&mut self) {
        match &mut self.face {
            Face::Live(..) => self.draw(None, Stage::Connecting),
            Face::Lines { .. } => say(&self.opening),
            Face::Quiet => {}
        }
    }

    pub(crate) fn look(&mut self, snapshot: &Snapshot, now: Stage) {
        match &mut self.face {
            Face::Live(..) => self.draw(Some(snapshot), now),
            Face::Lines { shown, stage } => {
                for interval in snapshot.timeline.iter().skip(*shown) {
                    say(&match self.role {
                        Role::Client => line(interval, snapshot.elapsed.as_secs_f64()),
                        Role::Exchange => served_line(interval, &snapshot.clients),
                    });
                }
                *shown = snapshot.timeline.len();
                if let (true, Some(hint)) = (*stage != now, now.hint(self.role)) {
                    say(&format!("{hint}\n"));
                }
                *stage = now;
            }
            Face::Quiet => {}
        }
    }

    fn draw(&mut self, snapshot: Option<&Snapshot>, stage: Stage) {
        if let Face::Live(screen, palette) = &mut self.face {
            let (title, error_threshold, palette) = (self.title.as_str(), self.error_threshold, *palette);
            screen.draw(&View { title, role: self.role, stage, snapshot, error_threshold, palette });
        }
    }
}
