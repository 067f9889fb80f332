//! A report as tests look at it.

use serde_json::Value;

use crate::harness::Output;

/// What the program wrote to standard output.
#[derive(Debug)]
pub(crate) struct Report(Value);

impl Report {
    /// The report of a run that ended with this exit code. It has an outcome for each message, or the test fails.
    #[track_caller]
    pub(crate) fn of(output: Output, code: i32) -> Self {
        let output = output.exits(code);
        let report = Self(output.json());
        report.assert_balanced();
        report
    }

    /// The value at a JSON pointer.
    #[track_caller]
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {:#}", self.0))
    }

    #[track_caller]
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        self.at(pointer).as_u64().unwrap_or_else(|| panic!("{pointer} is no count: {}", self.at(pointer)))
    }

    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        self.at(pointer).as_f64().unwrap_or_else(|| panic!("{pointer} is no number: {}", self.at(pointer)))
    }

    #[track_caller]
    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list: {}", self.at(pointer)))
    }

    /// PASS, FAIL or INCONCLUSIVE.
    pub(crate) fn outcome(&self) -> &str {
        self.at("/verdict/outcome").as_str().expect("the outcome is text")
    }

    /// Messages of a kind of failure, or dropped for a reason; 0 where there were none.
    pub(crate) fn lost_as(&self, kind: &str) -> u64 {
        ["failed", "dropped"].iter().filter_map(|end| self.at("/ledger")[end][kind].as_u64()).sum()
    }

    /// The kinds of failure and reasons for dropping that occurred.
    pub(crate) fn losses(&self) -> Vec<&str> {
        ["failed", "dropped"]
            .iter()
            .flat_map(|end| self.at("/ledger")[end].as_object().expect("an object").keys())
            .map(String::as_str)
            .collect()
    }

    /// The texts of all reasons for the verdict.
    pub(crate) fn reasons(&self) -> String {
        let reasons = self.list("/verdict/reasons").iter();
        reasons.map(|reason| reason["text"].as_str().expect("text")).collect::<Vec<_>>().join("; ")
    }

    #[track_caller]
    fn assert_balanced(&self) {
        let sum = |pointer: &str| {
            let kinds = self.at(pointer).as_object().expect("an object").values();
            kinds.map(|count| count.as_u64().expect("a count")).sum::<u64>()
        };
        let [due, sent, processed, aborted] =
            ["due", "sent", "processed", "aborted"].map(|name| self.count(&format!("/ledger/{name}")));
        let (dropped, failed) = (sum("/ledger/dropped"), sum("/ledger/failed"));
        // What an end at once came to before it was sent is no failure.
        let lost = dropped - self.lost_as("aborted");
        assert_eq!(due, sent + dropped, "{:#}", self.at("/ledger"));
        assert_eq!(sent, processed + failed + aborted, "{:#}", self.at("/ledger"));
        assert_eq!(self.count("/total_messages"), due);
        assert_eq!(self.count("/messages_processed"), processed);
        assert_eq!(self.count("/messages_failed"), failed + lost);
        let is_served = !self.at("/served").is_null();
        // Of a served run those that were owed.
        assert_eq!(sum("/messages"), if is_served { due } else { sent }, "messages by kind");
        let by_connection =
            self.list("/connections").iter().map(|one| one["sent"].as_u64().expect("a count"));
        // Those of a served run are its clients'.
        assert_eq!(by_connection.sum::<u64>(), if is_served { 0 } else { sent }, "messages by connection");
        let failures = self.list("/errors").iter().filter(|error| error["kind"] != "unexpected_reply");
        let failures: u64 = failures.map(|error| error["count"].as_u64().expect("a count")).sum();
        assert_eq!(failures, failed + lost, "errors");
        let timeline = |name: &str| {
            self.list("/timeline").iter().map(|entry| entry[name].as_u64().expect("a count")).sum::<u64>()
        };
        assert_eq!(
            ["due", "sent", "processed", "failed", "dropped"].map(timeline),
            [due, sent, processed, failed, dropped],
            "timeline"
        );
        let latencies = self.count("/latency/count") + self.count("/latency/beyond_range");
        // Of a served run what became of a message is measured at its client.
        let given_up = if is_served { 0 } else { self.lost_as("unsent") + self.lost_as("not_connected") };
        let waited_for = processed + self.lost_as("timeout") + self.lost_as("connection_lost") + given_up;
        assert_eq!(latencies, waited_for, "latencies");
    }
}
