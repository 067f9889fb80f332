//! `tickstorm profile` shows the path that a run would take.

use crate::harness::{Folder, command, finish, run};

#[test]
fn the_rows_add_up_to_the_total_that_is_named() {
    for (arguments, total) in [
        (&["NORMAL", "--base-rate", "100", "--multiplier", "10", "--duration", "60"][..], 60_000.0),
        (&["RAMP_UP", "--base-rate", "200", "--multiplier", "100", "--duration", "300"], 15_000_000.0),
        (&["RAMP_DOWN", "--base-rate", "200", "--multiplier", "100", "--duration", "300"], 15_000_000.0),
        (&["SPIKE", "--base-rate", "100", "--multiplier", "1", "--duration", "100"], 19_000.0),
        (&["--stages", "10s:1x, 10s:1x..3x, 5s:0x", "--base-rate", "10", "--multiplier", "1"], 300.0),
    ] {
        let drawing = run([&["profile"], arguments].concat()).exits(0).stdout;
        let csv = run([&["profile", "--csv"], arguments].concat()).exits(0).stdout;
        assert_eq!(area(&csv), total, "{arguments:?}\n{csv}");
        let named = drawing.split("total ").nth(1).unwrap().split(' ').next().unwrap().replace(',', "");
        assert_eq!(named.parse::<f64>().unwrap(), total, "{drawing}");
    }
}

#[test]
fn a_seeded_path_is_the_same_each_time_and_its_rows_tell_its_total() {
    let arguments = ["profile", "VOLATILE", "--duration", "60", "--seed", "7"];
    let csv = run(arguments.into_iter().chain(["--csv"])).exits(0).stdout;
    assert_eq!(csv, run(arguments.into_iter().chain(["--csv"])).stdout);
    assert_ne!(csv, run(["profile", "VOLATILE", "--duration", "60", "--seed", "8", "--csv"]).stdout);

    let drawing = run(arguments).exits(0).stdout;
    let named: f64 =
        drawing.split("total ").nth(1).unwrap().split(' ').next().unwrap().replace(',', "").parse().unwrap();
    assert!((area(&csv) - named).abs() <= 0.5 + 1e-3, "{} and {named}", area(&csv));
    let factors: Vec<f64> = rows(&csv).iter().map(|row| row[1]).collect();
    assert_eq!(factors.iter().copied().fold(f64::INFINITY, f64::min), 0.5);
    assert_eq!(factors.iter().copied().fold(0.0, f64::max), 2.0);
}

#[test]
fn times_and_factors_written_to_a_file_are_stages_again() {
    let folder = Folder::new();
    let csv = run(["profile", "VOLATILE", "--duration", "30", "--csv"]).exits(0).stdout;
    let rows: Vec<&str> = csv.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
    let file = folder.file("storm.csv", rows.join("\n"));
    let stages = format!("@{}", file.display());
    assert_eq!(run(["profile", "--stages", &stages, "--csv"]).exits(0).stdout, csv);
}

#[test]
fn a_drawing_keeps_to_eighty_columns_where_there_is_no_terminal() {
    let drawing = run(["profile", "VOLATILE"]).exits(0).stdout;
    assert!(drawing.lines().all(|line| line.chars().count() <= 80), "{drawing}");
    assert!(drawing.contains('█'), "{drawing}");
}

#[test]
fn the_environment_counts_as_it_does_for_a_run() {
    let output =
        finish(command().args(["profile", "NORMAL", "--duration", "10"]).env("TICKSTORM_BASE_RATE", "7"))
            .exits(0);
    assert!(output.stdout.contains("total 700 "), "{}", output.stdout);
}

fn rows(csv: &str) -> Vec<[f64; 3]> {
    assert_eq!(csv.lines().next(), Some("time_s,factor,rate"));
    csv.lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().expect("a number")).collect();
            cells.try_into().expect("three cells")
        })
        .collect()
}

/// The area below the rate, straight from row to row.
fn area(csv: &str) -> f64 {
    let area: f64 =
        rows(csv).windows(2).map(|pair| (pair[0][2] + pair[1][2]) / 2.0 * (pair[1][0] - pair[0][0])).sum();
    (area * 1e6).round() / 1e6
}
