//! The examples, run as they stand. Cargo builds them with the tests.

use std::{path::PathBuf, process::Command};

/// What the example prints.
fn output(name: &str, arguments: &[&str]) -> String {
    // .../deps/it-0123 lies beside .../examples.
    let tests = std::env::current_exe().unwrap();
    let built: PathBuf = tests.parent().and_then(|deps| deps.parent()).unwrap().join("examples");
    let program = built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).args(arguments).output().unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `cargo test --test it` alone builds no examples: add --examples",
            program.display()
        )
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_messages_example_prints_messages_and_a_book() {
    let text = output("messages", &[]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 21, "{text}");
    for line in &lines[..20] {
        let json = &line[line.find('{').unwrap()..];
        let message: serde_json::Value = serde_json::from_str(json).unwrap();
        // Quotes have no type, and an account's messages are wrapped.
        let is_binance = message["e"].is_string() || message["u"].is_u64() || message["event"].is_object();
        assert!(is_binance, "{line}");
    }
    assert!(lines[20].starts_with("best bid Some("), "{}", lines[20]);
    assert_eq!(text, output("messages", &[]), "the same seed, the same messages");
}

#[test]
fn the_call_example_steps_up_its_load() {
    let text = output("call", &[]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("   1x: 100 messages, "), "{text}");
    // A function of 1 ms holds 10x too; whether it holds 50x is the machine's business.
    assert!(lines[1].starts_with("  10x: 1000 messages, "), "{text}");
}

#[test]
fn the_push_example_storms_the_built_in_target() {
    let text = output("push", &[]);
    // 10,000 msg/s for 2 s, a tenth of the time at tenfold.
    assert!(text.contains("38,000") || text.contains("38000"), "{text}");
}

#[test]
fn the_portrait_example_writes_a_page_of_each_regime() {
    for regime in ["normal", "volatile", "flash-crash"] {
        let file = std::env::temp_dir().join(format!("tickstorm-{}-{regime}.html", std::process::id()));
        output("portrait", &[file.to_str().unwrap(), "3", regime, "60000"]);
        let html = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(html.contains("60000 messages about 100 symbols"), "{regime}");
        assert!(html.contains("BTCUSDT") && html.ends_with("</html>\n"), "{regime}");
    }
}
