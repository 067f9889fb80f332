//! Every mistake gets one clear message and the right exit code, never a panic and never a run.

use crate::harness::{Folder, command, finish, run};

const USAGE: i32 = 2;
const CONFIGURATION: i32 = 104;

#[test]
fn a_wrong_flag_or_value_is_named_with_what_is_allowed() {
    for (arguments, expected) in [
        (&["--duration", "soon"][..], &["--duration", "`soon`", "30s"][..]),
        (&["--duration", "-5"], &["--duration", "`-5`"]),
        (&["--duration", "0"], &["--duration", "above zero"]),
        (&["--duration", ""], &["--duration"]),
        (&["--duration", "1e30"], &["--duration", "`1e30`"]),
        (&["--duration", "40d"], &["--duration", "30d"]),
        (&["--multiplier", "0"], &["--multiplier", "above zero"]),
        (&["--multiplier", "NaN"], &["--multiplier", "NaN"]),
        (&["--multiplier", "inf"], &["--multiplier", "inf"]),
        (&["--base-rate", "0"], &["--base-rate", "above zero"]),
        (&["--base-rate", "-1"], &["--base-rate", "-1"]),
        (&["--base-rate", "99999999999999999999"], &["--base-rate"]),
        (&["--profile", "SPIK"], &["--profile", "SPIKE", "RAMP_DOWN"]),
        (&["--profile", "SPIKE?hight=3x"], &["--profile", "hight"]),
        (&["--stages", "10s"], &["--stages", "10s"]),
        (&["--stages", "200ms:0x"], &["--stages", "no message is due in 200ms"]),
        (&["--base-rate", "1/h", "--duration", "1m"], &["--base-rate", "1/h", "no message is due in 1m"]),
        (&["--stages", "10s:1x", "--profile", "SPIKE"], &["--stages", "--profile", "not both"]),
        (&["--error-threshold", "2"], &["--error-threshold", "0% to 100%", "`2`"]),
        (&["--threshold", "p99"], &["--threshold", "p99<50ms"]),
        (&["--threshold", "p99<500"], &["--threshold", "unit", "`p99<500ms`"]),
        (&["--threshold", "error_rate<500"], &["--threshold", "0% to 100%", "`error_rate<500`"]),
        (&["--threshold", "max<1s", "--threshold", "p101<1s"], &["--threshold", "p101"]),
        (&["--symbols", "10001"], &["--symbols", "10000"]),
        (&["--zipf", "3"], &["--zipf", "0 to 2"]),
        (&["--scenario", "crash"], &["--scenario", "`flash-crash`"]),
        (&["--scenario", "flash-crash", "--crash-depth", "50%"], &["--crash-depth", "0.1% to 30%", "`50%`"]),
        (&["--crash-depth", "8%"], &["--crash-depth", "--scenario flash-crash"]),
        (&["--scenario", "flash-crash", "--crash-retrace", "2"], &["--crash-retrace", "0% to 100%"]),
        (
            &["--scenario", "flash-crash", "--duration", "10s", "--crash-halt", "2s"],
            &["--crash-halt", "at most 1s", "2s"],
        ),
        (&["--tick-size", "tiny"], &["--tick-size", "`small`"]),
        (&["--connections", "0"], &["--connections", "1 to 4096"]),
        (&["--venue", "nasdaq"], &["--venue", "nasdaq"]),
        (&["--target", "gopher://127.0.0.1"], &["--target", "gopher"]),
        (&["--report-interval", "1ms"], &["--report-interval", "100ms"]),
        (&["--allow-public-target=maybe"], &["--allow-public-target", "maybe"]),
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["--durration", "5"], &["--durration", "--duration"]),
        (&["--seed"], &["--seed"]),
        (&["--seed", "1", "--seed", "2"], &["--seed"]),
        (&["frobnicate"], &["frobnicate"]),
        (&["--seed", "1", "profile"], &["profile"]),
        (&["profile", "SPIK"], &["NAME", "SPIKE"]),
        (&["profile", "SPIKE", "--stages", "1s:1x"], &["--stages", "NAME", "not both"]),
        (&["profile", "NORMAL", "--target", "builtin"], &["--target"]),
        (&["--hlog", "-"], &["--hlog", "standard output"]),
        (&["--output", "same.json", "--hlog", "./same.json"], &["--hlog", "same file"]),
    ] {
        let output = run(arguments.iter().copied()).exits(USAGE);
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert_eq!(output.stderr.matches("error:").count(), 1, "{arguments:?}: {}", output.stderr);
        for part in expected {
            assert!(output.stderr.contains(part), "{arguments:?} lacks {part}: {}", output.stderr);
        }
    }
}

#[test]
fn a_wrong_file_or_variable_is_named_with_its_place() {
    let folder = Folder::new();
    for (content, expected) in [
        ("seed = 1\nbase-rate = 0\n", &["storm.toml:2", "above zero"][..]),
        ("sed = 1\n", &["storm.toml:1", "`sed`", "`seed`"]),
        ("seed = 1\nseed = 2\n", &["storm.toml:2"]),
        ("seed = [[[[\n", &["storm.toml:"]),
        ("[load]\nseed = 1\n", &["storm.toml:1", "`load`"]),
        ("stages = \"1s:1x\"\nprofile = \"SPIKE\"\n", &["storm.toml:1", "storm.toml:2", "not both"]),
        ("target = \"gopher://x\"\n", &["storm.toml:1", "gopher"]),
        ("duration = \"40d\"\n", &["storm.toml:1", "30d"]),
    ] {
        let file = folder.file("storm.toml", content);
        let output = finish(command().arg("--config").arg(&file)).exits(CONFIGURATION);
        assert_eq!(output.stderr.matches("error:").count(), 1, "{content}: {}", output.stderr);
        for part in expected {
            assert!(output.stderr.contains(part), "{content} lacks {part}: {}", output.stderr);
        }
    }
    for (name, value, expected) in [
        ("TICKSTORM_BASE_RATE", "0", "above zero"),
        ("TICKSTORM_BASE_RAT", "5", "TICKSTORM_BASE_RATE"),
        ("TICKSTORM_TARGET", "gopher://x", "gopher"),
        ("TICKSTORM_CONFIG", "/no/such/storm.toml", "/no/such/storm.toml"),
        ("TICKSTORM_QUIET", "1", "--quiet"),
    ] {
        let output = finish(command().env(name, value)).exits(CONFIGURATION);
        assert_eq!(output.stderr.matches("error:").count(), 1, "{name}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{name}: {}", output.stderr);
    }
    let output = run(["--stages", "@/no/such/stages.csv"]).exits(CONFIGURATION);
    assert!(output.stderr.contains("/no/such/stages.csv"), "{}", output.stderr);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let folder = Folder::new();
    let file = folder.file("storm.toml", "symbols = 0\nsed = 1\n");
    let output = finish(
        command()
            .args(["--duration", "soon", "--base-rate", "0", "--config"])
            .arg(file)
            .env("TICKSTORM_SEED", "x"),
    )
    .exits(USAGE);
    assert_eq!(output.stderr.matches("error:").count(), 5, "{}", output.stderr);
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text_are_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let garbage = OsStr::from_bytes(b"\xff\xfe");
    run([OsStr::new("--duration"), garbage]).exits(USAGE);
    run([garbage]).exits(USAGE);
}

#[test]
fn a_configuration_file_has_a_limit() {
    let folder = Folder::new();
    let file = folder.file("huge.toml", "#".repeat((1 << 20) + 1));
    let output = finish(command().arg("--config").arg(file)).exits(CONFIGURATION);
    assert!(output.stderr.contains("1048576 bytes"), "{}", output.stderr);
    let output = run(["--config", "/dev/zero"]).exits(CONFIGURATION);
    assert!(output.stderr.contains("1048576 bytes"), "{}", output.stderr);
}

#[test]
fn an_address_to_listen_at_is_told_as_it_was_given() {
    for wrong in ["foo", "127.0.0.1", "70000"] {
        let output = run(["serve", "--listen", wrong]).exits(2);
        assert!(output.stderr.contains(&format!("got `{wrong}`")), "{}", output.stderr);
    }
}

#[test]
fn a_flag_of_an_exchange_in_the_environment_is_told_as_such() {
    let output = finish(command().env("TICKSTORM_CLIENTS", "2").args(["serve", "--clients", "1"])).exits(104);
    assert!(output.stderr.contains("use the flag --clients"), "{}", output.stderr);
}
