//! Places for results are found out before the run, so that no measurement is lost to a wrong path.

use crate::harness::{Folder, command, finish, run};

const FAILURE: i32 = 1;

#[test]
fn a_place_that_cannot_be_written_ends_the_program_before_the_run() {
    let folder = Folder::new();
    let missing = folder.path("no/such/folder/report.json");
    let itself = folder.path(".");
    for flag in ["--output", "--hlog"] {
        for path in [&missing, &itself] {
            // A minute's run: if it began, the test would notice by its length.
            let output = finish(command().args(["--duration", "60", flag]).arg(path)).exits(FAILURE);
            assert!(output.stderr.starts_with(&format!("error: {flag}: ")), "{}", output.stderr);
            assert!(output.stderr.contains(&path.display().to_string()), "{}", output.stderr);
            assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
            assert_eq!(output.stdout, "");
        }
    }
    assert!(folder.names().is_empty());
}

#[test]
fn a_run_that_cannot_start_leaves_an_old_report_and_no_litter() {
    let folder = Folder::new();
    let path = folder.file("report.json", "old");
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = format!("ws://127.0.0.1:{port}/");
    let output = finish(command().args(["--target", &target, "--output"]).arg(&path)).exits(FAILURE);
    assert!(output.stderr.contains(&format!("127.0.0.1:{port}")), "{}", output.stderr);
    assert_eq!(folder.names(), ["report.json"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [&["-h"][..], &["--help"], &["run", "--help"], &["profile", "-h"], &["--version"]] {
        let output = run(arguments.iter().copied()).exits(0);
        assert!(!output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(output.stderr, "", "{arguments:?}");
    }
    assert!(run(["--help"]).stdout.contains("105"), "the exit codes are in the help");
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command().args(["profile", "VOLATILE", "--csv"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));

    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command().args(["profile", "VOLATILE", "--csv"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(FAILURE));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
}
