//! Five fixed reports through everything that is done with a report: read, written, checked against the schema, shown.

use std::path::Path;

use serde_json::{Value, json};
use tickstorm_report::{Report, Style, from_json, schema, summary, to_json_pretty};

const REPORTS: [(&str, &str); 5] = [
    ("pass", include_str!("reports/pass.json")),
    ("fail", include_str!("reports/fail.json")),
    ("inconclusive", include_str!("reports/inconclusive.json")),
    ("empty", include_str!("reports/empty.json")),
    ("served", include_str!("reports/served.json")),
];

fn each(mut check: impl FnMut(&str, &str, Report)) {
    for (name, json) in REPORTS {
        check(name, json, from_json(json).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
}

fn read(name: &str) -> Report {
    let (_, json) = REPORTS.into_iter().find(|(each, _)| *each == name).expect("one of the names above");
    from_json(json).expect("a report")
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    each(|name, json, report| {
        assert_eq!(to_json_pretty(&report), json, "{name}");
        assert_eq!(from_json(&to_json_pretty(&report)).unwrap(), report, "{name}");
    });
}

#[test]
fn noise_below_the_written_decimals_does_not_change_the_text() {
    let mut report = read("pass");
    report.p99_latency_ms = Some(0.1 + 0.2);
    report.avg_throughput = 999.983_333_333_3;
    let json = to_json_pretty(&report);
    assert!(json.contains("\"p99_latency_ms\": 0.3,"), "{json}");
    assert!(json.contains("\"avg_throughput\": 999.983333,"), "{json}");
    assert_eq!(to_json_pretty(&from_json(&json).unwrap()), json);
}

#[test]
fn a_figure_that_is_not_finite_still_leaves_valid_json() {
    let mut report = read("pass");
    report.p99_latency_ms = Some(f64::NAN);
    let value: Value = serde_json::from_str(&to_json_pretty(&report)).unwrap();
    assert_eq!(value["p99_latency_ms"], Value::Null);
}

#[test]
fn the_keys_that_programs_rely_on_come_first_and_in_order() {
    let keys = [
        "schema_version",
        "verdict",
        "test_duration",
        "total_messages",
        "messages_processed",
        "messages_failed",
        "success_rate",
        "avg_latency_ms",
        "p50_latency_ms",
        "p90_latency_ms",
        "p95_latency_ms",
        "p99_latency_ms",
        "peak_throughput",
        "avg_throughput",
        "error_rate",
        "memory_usage_mb",
        "thresholds",
        "plan",
    ];
    each(|name, json, _| {
        let top_level = json.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next());
        assert_eq!(top_level.take(keys.len()).collect::<Vec<_>>(), keys, "{name}");
    });
}

#[test]
fn the_books_of_the_fixed_reports_balance() {
    each(|name, _, report| {
        let ledger = &report.ledger;
        assert_eq!(ledger.due, ledger.sent + ledger.dropped_total(), "{name}");
        assert_eq!(ledger.sent, ledger.processed + ledger.failed_total() + ledger.aborted, "{name}");
        assert_eq!(report.total_messages, ledger.due, "{name}");
        assert_eq!(report.messages_processed, ledger.processed, "{name}");
        assert_eq!(report.messages_failed, ledger.failed_total() + ledger.dropped_total(), "{name}");
        // What clients were owed is counted by kind, whatever became of it.
        let counted = if report.served.is_some() { ledger.due } else { ledger.sent };
        assert_eq!(report.messages.values().sum::<u64>(), counted, "{name}");
        let intervals =
            |of: fn(&tickstorm_report::Interval) -> u64| report.timeline.iter().map(of).sum::<u64>();
        assert_eq!(intervals(|interval| interval.due), ledger.due, "{name}");
        assert_eq!(intervals(|interval| interval.sent), ledger.sent, "{name}");
        assert_eq!(intervals(|interval| interval.processed), ledger.processed, "{name}");
        assert_eq!(intervals(|interval| interval.failed), ledger.failed_total(), "{name}");
        assert_eq!(intervals(|interval| interval.dropped), ledger.dropped_total(), "{name}");
    });
}

#[test]
fn the_clients_of_the_fixed_report_add_up() {
    let report = read("served");
    let served = report.served.as_ref().expect("it is one of an exchange");
    let mut sums = [0; 4];
    for client in &served.clients {
        let told = client.delivered + client.folded;
        assert_eq!(client.owed, told + client.dropped + client.lost, "{}", client.id);
        assert_eq!((client.traffic.events, client.lag.count), (told, told), "{}", client.id);
        let placed: u64 = client.kinds.iter().map(|of_kind| of_kind.messages).sum();
        assert_eq!(placed, told + client.lost, "{}", client.id);
        let parts = [client.owed, told, client.dropped + client.lost, client.traffic.bytes];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
    }
    let ledger = &report.ledger;
    assert_eq!(sums, [ledger.due, ledger.sent, ledger.dropped_total(), served.delivered.bytes]);
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/report-1.schema.json");
    let committed =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let committed: Value = serde_json::from_str(&committed).unwrap();
    assert!(
        committed == schema(),
        "the report's schema changed: run `cargo xtask schema` and commit the file"
    );
}

#[test]
fn the_fixed_reports_satisfy_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    each(|name, json, _| {
        let report: Value = serde_json::from_str(json).unwrap();
        let problems: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert_eq!(problems, [""; 0], "{name}");
    });
}

#[test]
fn the_schema_refuses_what_is_not_a_report() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let report: Value = serde_json::from_str(REPORTS[1].1).unwrap();
    let mutations: [(&str, Option<Value>); 12] = [
        ("/schema_version", Some(json!("2.0"))),
        ("/schema_version", None),
        ("/verdict/outcome", Some(json!("pass"))),
        ("/total_messages", Some(json!(-1))),
        ("/total_messages", Some(json!(1.5))),
        ("/peak_throughput", Some(json!(null))),
        ("/p99_latency_ms", Some(json!("4 s"))),
        ("/p99_latency_ms", None),
        ("/plan/seed", None),
        ("/ledger/failed/timeout", Some(json!("many"))),
        ("/thresholds/0/outcome", Some(json!("maybe"))),
        ("/latency_basis", Some(json!("guessed"))),
    ];
    for (pointer, value) in mutations {
        let mut mutated = report.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = mutated.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let before = match value.clone() {
            Some(value) => parent.insert(key.to_owned(), value),
            None => parent.remove(key),
        };
        assert!(before.is_some(), "{pointer} is no key of the report");
        assert!(!validator.is_valid(&mutated), "{pointer} changed to {value:?}");
    }
}

#[test]
fn the_schema_describes_every_key() {
    fn undescribed(value: &Value, path: &str, found: &mut Vec<String>) {
        let Some(object) = value.as_object() else { return };
        for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if !property.get("description").is_some_and(Value::is_string) {
                found.push(format!("{path}.{name}"));
            }
        }
        for (name, definition) in object.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            undescribed(definition, name, found);
        }
    }
    let mut found = Vec::new();
    undescribed(&schema(), "Report", &mut found);
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_summary_reads_like_this() {
    each(|name, _, report| insta::assert_snapshot!(name, summary(&report, Style::default())));
}

#[test]
fn the_summary_of_a_narrow_terminal_reads_like_this() {
    for name in ["fail", "served"] {
        let page = summary(&read(name), Style { color: false, width: 72 });
        insta::assert_snapshot!(format!("{name}_narrow"), page);
    }
}

#[test]
fn colours_add_nothing_but_colours() {
    each(|name, _, report| {
        let colored = summary(&report, Style { color: true, ..Style::default() });
        assert!(colored.starts_with("\x1b[1;3"), "{name}: the verdict is painted");
        let mut plain = String::new();
        for (index, piece) in colored.split('\x1b').enumerate() {
            plain.push_str(if index == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, summary(&report, Style::default()), "{name}");
    });
}

#[test]
fn no_line_but_the_command_is_wider_than_the_page() {
    each(|name, _, report| {
        for width in [0, 72, 80, 99, 100, 1000] {
            let page = summary(&report, Style { color: false, width });
            for line in page.lines().filter(|line| !line.starts_with("Reproduce")) {
                assert!(line.chars().count() <= width.clamp(72, 100), "{name} at {width}: {line}");
                assert_eq!(line.trim_end(), line, "{name} at {width}");
            }
        }
    });
}

#[test]
fn what_a_peer_said_cannot_control_the_terminal() {
    let report = read("fail");
    assert!(report.errors.iter().any(|error| error.samples.iter().any(|sample| sample.contains('\x1b'))));
    let page = summary(&report, Style::default());
    assert!(page.chars().all(|character| character == '\n' || !character.is_control()));
}

#[test]
fn books_that_do_not_balance_are_not_shown_as_if_they_did() {
    let mut report = read("pass");
    report.ledger.processed -= 1;
    let page = summary(&report, Style::default());
    assert!(page.contains("due  60,000 = 60,000 sent"), "{page}");
    assert!(page.contains("sent 60,000 != 59,999 processed"), "{page}");
}

#[test]
fn net_latency_is_left_out_where_it_is_the_same() {
    let mut report = read("pass");
    assert!(summary(&report, Style::default()).contains("net latency"));
    report.net_latency = report.latency.clone();
    assert!(!summary(&report, Style::default()).contains("net latency"));
}

#[test]
fn a_verdict_without_reasons_does_not_claim_that_all_is_well() {
    let mut report = read("fail");
    report.verdict.reasons.clear();
    assert!(summary(&report, Style::default()).starts_with("FAIL          no reason was recorded\n"));
}

#[test]
fn a_report_with_absurd_counts_is_shown_all_the_same() {
    let mut report = read("fail");
    for count in report.ledger.failed.values_mut().chain(report.ledger.dropped.values_mut()) {
        *count = u64::MAX;
    }
    report.ledger.late_replies = u64::MAX;
    report.ledger.unexpected_replies = u64::MAX;
    report.errors = vec![tickstorm_report::ErrorKind { count: u64::MAX, ..report.errors[0].clone() }; 20];
    let page = summary(&report, Style::default());
    assert!(page.contains("and 12 more kinds, 18,446,744,073,709,551,615 in all"), "{page}");
}

#[test]
fn a_long_list_is_cut_and_says_so() {
    let mut report = read("fail");
    let error = report.errors[0].clone();
    report.errors = (0..20)
        .map(|index| tickstorm_report::ErrorKind { kind: format!("e{index}"), ..error.clone() })
        .collect();
    report.connections[0].outages = vec![report.connections[2].outages[0].clone(); 20];
    let page = summary(&report, Style::default());
    assert!(page.contains("and 12 more kinds, 218,448 in all"), "{page}");
    assert!(page.contains("and 14 more outages"), "{page}");
}
