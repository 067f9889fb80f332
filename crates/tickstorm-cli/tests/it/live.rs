//! Client libraries at `tickstorm serve`, as they come but for their base addresses: over real sockets they find nothing to
//! object to, and they have received what the exchange says it has told them.
//!
//! An ordinary run is cut short; `TICKSTORM_LIVE_SECONDS=60` has each of them go on for a minute.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use crate::{
    harness::{Folder, Output, Started, command},
    peer::{Ci, PYTHON, skip},
};

#[test]
fn ccxt_follows_all_five_venues_at_the_base_rate() {
    let Some(mut exchange) = Exchange::open(CCXT_SOCKETS, &["--duration", &seconds(6), "--multiplier", "1"])
    else {
        return;
    };
    let clients = VENUES.map(|venue| exchange.client("ccxt_live.py", &[venue]));
    check_ccxt(&clients.map(said), &exchange.report());
}

#[test]
fn ccxt_and_krakens_sdk_follow_at_a_hundred_times_the_base_rate() {
    let Some(mut exchange) =
        Exchange::open(CCXT_SOCKETS + 1, &["--duration", &seconds(4), "--multiplier", "100"])
    else {
        return;
    };
    let sdk = exchange.client("kraken_live.py", &["--symbols", "20"]);
    let clients = VENUES.map(|venue| exchange.client("ccxt_live.py", &[venue]));
    let (seen, checked) = (clients.map(said), said(sdk));
    let report = exchange.report();
    check_ccxt(&seen, &report);
    check_checksums(&checked, &report, "btschwertfeger/python-kraken-sdk");
}

#[test]
fn the_books_of_an_account_balance_at_four_venues() {
    let keys = ["binance:K:c2VjcmV0", "kraken:K:c2VjcmV0", "okx:K:c2VjcmV0:pass", "bybit:K:c2VjcmV0"];
    let duration = seconds(4);
    let mut arguments = vec!["--duration", &duration, "--multiplier", "100"];
    keys.iter().for_each(|key| arguments.extend(["--api-key", key]));
    let Some(mut exchange) = Exchange::open(keys.len(), &arguments) else { return };
    let accounts = keys.map(|key| {
        let venue = key.split(':').next().expect("it has a first part");
        let key = ["--key", "K", "--secret", "c2VjcmV0", "--passphrase", "pass"];
        exchange.client("ccxt_account.py", &[&[venue], &key[..]].concat())
    });
    let accounts = accounts.map(said);
    let report = exchange.report();
    check_served(&report);
    let transfers = &accounts[0]["transfers"];
    assert_ne!(transfers, &serde_json::json!({}), "the run is long enough for one");
    for account in &accounts {
        assert_eq!(account["errors"], serde_json::json!([]), "{account}");
        assert!(ended_well(account), "{account}");
        assert!(number(account, "fills") > 0 && number(account, "changed") > 0, "{account}");
        assert_eq!(account["fills"], accounts[0]["fills"], "the same account: {account}");
        assert_eq!(account["orders_short"], serde_json::json!([]), "{account}");
        // The other two say what an account has after a transfer, and not that there was one.
        let tells_transfers = account["venue"] == "binance" || account["venue"] == "kraken";
        let nothing = &serde_json::json!({});
        let (told, untold) = if tells_transfers { (transfers, nothing) } else { (nothing, transfers) };
        assert_eq!((&account["transfers"], &account["unexplained"]), (told, untold), "{account}");
    }
}

/// Its libraries take a minute to build: only when asked, as `cargo xtask test` does.
#[test]
fn a_kraken_library_in_rust_finds_every_checksum_valid() {
    if env::var_os(RUST_CLIENT).is_none() {
        skip(&format!("{RUST_CLIENT} is not set, so no client in Rust is built"), Ci::SkipsToo);
        return;
    }
    let manifest = peers().join("rust-client/Cargo.toml");
    let cargo = || Command::new(env!("CARGO"));
    let built = cargo().args(["build", "--locked", "--manifest-path"]).arg(&manifest).status();
    assert!(built.expect("there is a cargo").success());
    let mut exchange =
        Exchange::with(OsString::new(), 1, &["--duration", &seconds(4), "--multiplier", "100"]);
    let mut client = cargo();
    client.args(["run", "--quiet", "--locked", "--manifest-path"]).arg(&manifest).arg("--");
    let client = exchange.start(client.arg(&exchange.address).args(["20", "600"]));
    let (checked, report) = (said(client), exchange.report());
    check_served(&report);
    let client = &report["served"]["clients"][0];
    assert_eq!((&checked["invalid"], &checked["crossed"]), (&0.into(), &0.into()), "{checked}");
    assert_eq!(checked["snapshots"], checked["symbols"], "{checked}");
    // Snapshots are checked too, and are owed to nobody.
    let updates = number(&checked, "valid") - number(&checked, "snapshots");
    assert_eq!(updates + number(&checked, "trades"), number(client, "delivered"), "{checked}, {client}");
}

/// An exchange that waits for its clients.
struct Exchange {
    python: OsString,
    address: String,
    server: Option<Started>,
    _folder: Folder,
    /// Each of them takes all of a small machine.
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Exchange {
    /// Without a Python with the libraries there is none: the test that asked says so and is skipped, except on CI, where
    /// nobody would see that.
    #[track_caller]
    fn open(sockets: usize, arguments: &[&str]) -> Option<Self> {
        let Some(python) = env::var_os(PYTHON) else {
            let reason = format!("{PYTHON} names no Python with ccxt, as `cargo xtask test` sets it");
            skip(&reason, Ci::Fails);
            return None;
        };
        Some(Self::with(python, sockets, arguments))
    }

    #[track_caller]
    fn with(python: OsString, sockets: usize, arguments: &[&str]) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = Folder::new();
        let file = folder.path("address");
        let mut serve = command();
        serve.args(["serve", "--listen", "127.0.0.1:0", "--wait-for", "60s", "--no-tui", "--address-file"]);
        serve.arg(&file).args(["--clients", &sockets.to_string()]).args(arguments);
        let mut server = Started::new(&mut serve);
        server.await_line("base URLs");
        let address = fs::read_to_string(&file).expect("it is written before that").trim().to_owned();
        Self { python, address, server: Some(server), _folder: folder, _alone: alone }
    }

    /// Starts a script of `testdata/peers/clients`.
    fn client(&self, script: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(peers().join("clients").join(script)).arg(&self.address).args(arguments);
        // They are to see the end.
        command.args(["--seconds", "600"]);
        self.start(&mut command)
    }

    fn start(&self, command: &mut Command) -> Child {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"))
    }

    /// Waits for the end. How punctual the exchange was is no matter here.
    #[track_caller]
    fn report(&mut self) -> Value {
        let output: Output = self.server.take().expect("there is one end").finish();
        assert!([PASS, INCONCLUSIVE].contains(&output.code), "{output:#?}");
        output.json()
    }
}

/// What a client says at its end.
#[track_caller]
fn said(client: Child) -> Value {
    let output = client.wait_with_output().expect("it is our child");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| {
        panic!("a client ended with {}: {stdout}{}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}

/// What ccxt has seen of each venue's busiest market, against what the exchange has told.
#[track_caller]
fn check_ccxt(seen: &[Value], report: &Value) {
    check_served(report);
    for market in seen {
        assert_eq!(market["errors"], serde_json::json!([]), "{market}");
        assert!(ended_well(market), "{market}");
        assert_eq!((&market["symbols"], &market["crossed"]), (&100.into(), &0.into()), "{market}");
        for kind in ["books", "trades", "tickers"] {
            assert!(number(market, kind) > 0, "no {kind}: {market}");
        }
        // The venues tell of one market, and of each trade once.
        assert_eq!(market["trades"], seen[0]["trades"], "{market}");
        assert_eq!(market["trades"], market["distinct_trades"], "{market}");
        let posts = &market["posts"];
        assert_eq!((&posts["wrong"], &posts["unknown"]), (&serde_json::json!([]), &0.into()), "{market}");
        assert!(number(posts, "right") > 0, "{market}");
    }
    let of = |venue: &str| seen.iter().find(|market| market["venue"] == venue).expect("it was watched");
    assert_eq!(of("binance")["nonce"], of("okx")["nonce"]);
    let owed: Vec<u64> = sockets(report, "binance").map(|client| number(client, "owed")).collect();
    for told in ["nonce", "trades"] {
        assert!(owed.contains(&number(of("binance"), told)), "{told}: {owed:?}, {}", of("binance"));
    }
    let graded = &report["served"]["books"][0];
    assert_eq!(graded["correct"], graded["posts"], "{graded}");
}

/// Every checksum was valid, of every message that the exchange has told.
#[track_caller]
fn check_checksums(checked: &Value, report: &Value, user_agent: &str) {
    let client = sockets(report, "kraken").find(|client| client["user_agent"] == user_agent);
    let client = client.unwrap_or_else(|| panic!("{user_agent} has not come"));
    assert_eq!((&checked["invalid"], &checked["crossed"]), (&serde_json::json!([]), &0.into()), "{checked}");
    assert_eq!(checked["snapshots"], checked["symbols"], "{checked}");
    assert_eq!(checked["valid"], client["delivered"], "{checked}, {client}");
    let complaints = checked["complaints"].as_array().expect("it is a list");
    assert!(complaints.len() == 1 && complaints[0].to_string().contains("1001"), "{checked}");
}

/// Nobody was refused, cut off or told less than the whole.
#[track_caller]
fn check_served(report: &Value) {
    let served = &report["served"];
    assert_eq!((&served["http_refused"], &served["turned_away"]), (&0.into(), &0.into()));
    for client in served["clients"].as_array().expect("it is a list") {
        assert_eq!(client["ended"], Value::Null, "{client}");
        for none in ["refused", "resubscriptions", "dropped", "lost"] {
            assert_eq!(number(client, none), 0, "{none}: {client}");
        }
        assert_eq!(
            number(client, "owed"),
            number(client, "delivered") + number(client, "folded"),
            "{client}"
        );
        assert!(client["venue"] != "kraken" || number(client, "folded") == 0, "Kraken tells all: {client}");
    }
}

fn sockets<'a>(report: &'a Value, venue: &'a str) -> impl Iterator<Item = &'a Value> {
    let clients = report["served"]["clients"].as_array().expect("it is a list");
    clients.iter().filter(move |client| client["venue"] == venue)
}

/// Each subscription ended because the exchange went away, or said that it would, as OKX does before.
fn ended_well(client: &Value) -> bool {
    let ended = client["ended"].as_array().expect("it is a list");
    let sign = if client["venue"] == "okx" { "64008" } else { "closing code 1001" };
    ended.len() == 3 && ended.iter().all(|why| why.to_string().contains(sign))
}

#[track_caller]
fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} is no number: {value}"))
}

/// So long, or as long as the environment says.
fn seconds(short: u32) -> String {
    let long = env::var(LIVE_SECONDS).ok().map(|text| text.parse::<u32>().expect("seconds are a number"));
    format!("{}s", long.unwrap_or(short))
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/peers")
}

const VENUES: [&str; 5] = ["binance", "coinbase", "kraken", "okx", "bybit"];

/// ccxt opens one for each stream of Binance, and one at each other venue.
const CCXT_SOCKETS: usize = 7;

const LIVE_SECONDS: &str = "TICKSTORM_LIVE_SECONDS";

/// When set, the client in Rust is built and run.
const RUST_CLIENT: &str = "TICKSTORM_TEST_RUST_CLIENT";

const PASS: i32 = 0;
const INCONCLUSIVE: i32 = 96;
