//! `--print-plan` says what would run, and where each value was given.

use crate::harness::{Folder, command, finish, run};

#[test]
fn every_setting_is_shown_with_its_origin() {
    let folder = Folder::new();
    let file = folder.file("storm.toml", "# a storm\nsymbols = 20\nbase-rate = 7\n");
    let output = finish(
        command()
            .args(["--print-plan", "--base-rate", "200", "--duration", "30", "--config"])
            .arg(&file)
            .env("TICKSTORM_MULTIPLIER", "100"),
    )
    .exits(0);
    assert_eq!(output.stderr, "");
    let origin = |name: &str| {
        let line = output.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{}", output.stdout)).split_whitespace().last().unwrap()
    };
    assert_eq!(origin("base-rate"), "--base-rate");
    assert_eq!(origin("duration"), "--duration");
    assert_eq!(origin("multiplier"), "TICKSTORM_MULTIPLIER");
    assert_eq!(origin("symbols"), format!("{}:2", file.display()));
    assert_eq!(origin("seed"), "default");
    // 200/s times 100 for 30 s.
    for figure in ["20000", "600000"] {
        assert!(output.stdout.replace(',', "").contains(figure), "{}", output.stdout);
    }
}

#[test]
fn an_exchange_has_no_settings_of_clients() {
    let output = run(["serve", "--print-plan", "--multiplier", "100"]).exits(0);
    let names: Vec<&str> = output.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for (name, is_there) in [("multiplier", true), ("arrivals", true), ("pacing", true), ("total", true)]
        .into_iter()
        .chain(["venue", "connections", "max-concurrent", "ack", "flush"].map(|name| (name, false)))
    {
        assert_eq!(names.contains(&name), is_there, "{name} in\n{}", output.stdout);
    }
}

#[test]
fn nothing_is_written_or_connected() {
    let folder = Folder::new();
    let path = folder.path("report.json");
    finish(command().args(["--print-plan", "--target", "ws://127.0.0.1:1/", "--output"]).arg(&path)).exits(0);
    assert!(folder.names().is_empty());
}

#[test]
fn the_word_run_makes_no_difference() {
    assert_eq!(run(["--print-plan"]).exits(0).stdout, run(["run", "--print-plan"]).exits(0).stdout);
}
