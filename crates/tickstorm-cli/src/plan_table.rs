//! The resolved plan as a table: each setting, its value, and where it came from.

use tickstorm::{Plan, SETTINGS, Setting};
use tickstorm_report::format;

use crate::resolve::Origins;

/// Three aligned columns, a line each; last what follows from the settings together. Settings that mean nothing to the
/// command are left out.
pub(crate) fn plan_table(plan: &Plan, origins: &Origins, is_meant: impl Fn(&Setting) -> bool) -> String {
    let schedule = plan.schedule();
    let is_shown = |name: &str| SETTINGS.iter().all(|setting| setting.name != name || is_meant(setting));
    let given = plan.describe().into_iter().filter(|(name, _)| is_shown(name));
    let given = given.map(|(name, value)| [name.into(), value, origins.of(name).to_string()]);
    let follows = [
        ("average rate", format::rate(schedule.average_rate())),
        ("peak rate", format::rate(schedule.peak_rate())),
        ("total", format!("{} messages", format::count(schedule.total()))),
    ];
    let follows = follows.map(|(name, value)| [name.into(), value, "the settings above".into()]);
    table(&given.chain(follows).collect::<Vec<_>>())
}

fn table(rows: &[[String; 3]]) -> String {
    let heading = ["SETTING", "VALUE", "FROM"].map(String::from);
    let rows = || [&heading].into_iter().chain(rows);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    // One long value, as stages are, should not push the origins of all others off the screen.
    let (names, values) = (width(0), width(1).min(MAX_VALUE));
    rows().map(|[name, value, origin]| format!("{name:names$}  {value:values$}  {origin}\n")).collect()
}

const MAX_VALUE: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_a_long_value_pushes_only_its_own_origin() {
        let stages = "10s:1x, ".repeat(8);
        let rows = [
            ["seed", "1", "default"],
            ["stages", &stages, "storm.toml:3"],
            ["base-rate", "5k/s", "--base-rate"],
        ]
        .map(|row| row.map(String::from));
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].find("default"), lines[3].find("--base-rate"));
        assert_eq!(lines[0].find("VALUE"), lines[3].find("5k/s"));
        assert!(lines[2].ends_with("  storm.toml:3"), "{text}");
    }
}
