//! `tickstorm profile`: the rate over time, without a run.

use std::{env, fmt::Write as _, io};

use tickstorm::{Plan, Spec};
use tickstorm_report::format;

use crate::{
    arguments::{ProfileArguments, Rendering},
    chart::Chart,
    exit::{Exit, Refusal},
    resolve::resolve,
    terminal::{print, width},
};

pub(crate) fn profile(arguments: ProfileArguments) -> Result<Exit, Refusal> {
    let resolved = resolve(arguments.settings, arguments.config.as_deref(), env::vars_os())?;
    let plan = resolved.plan()?;
    let text = match arguments.rendering {
        Rendering::Drawing => drawing(&resolved.spec, &plan, width(io::stdout()).unwrap_or(COLUMNS)),
        Rendering::Csv => csv(&resolved.spec, &plan),
    };
    print(&text)
}

/// Where standard output is no terminal.
const COLUMNS: usize = 80;

fn drawing(spec: &Spec, plan: &Plan, width: usize) -> String {
    let schedule = plan.schedule();
    format!(
        "{} x{}, base rate {}, seed {}\n\n{}\naverage {}   peak {}   total {} messages in {}\n",
        spec.profile,
        spec.multiplier.as_f64(),
        spec.base_rate,
        spec.seed,
        Chart { path: plan.path(), unit_rate: unit_rate(spec), width },
        format::rate(schedule.average_rate()),
        format::rate(schedule.peak_rate()),
        format::count(schedule.total()),
        format::seconds(schedule.duration_ns() as f64 / 1e9),
    )
}

/// The path's own rows, which `--stages @FILE` reads back, with the rate beside the factor: the area below the straight
/// lines from row to row is the total.
fn csv(spec: &Spec, plan: &Plan) -> String {
    let mut rows = String::from("time_s,factor,rate\n");
    for row in plan.path().to_csv().lines().skip(1) {
        let factor: f64 = row.rsplit(',').next().and_then(|factor| factor.parse().ok()).unwrap_or_default();
        let _ = writeln!(rows, "{row},{}", decimal(factor * unit_rate(spec)));
    }
    rows
}

/// Messages per second at factor 1.
fn unit_rate(spec: &Spec) -> f64 {
    spec.base_rate.as_per_second() * spec.multiplier.as_f64()
}

/// Six decimals, as many as a rate can be given with, without zeros at the end.
fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
