//! The flags of the mock exchange.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tickstorm::{SETTINGS, serve::VENUE_OPTIONS};

use super::{Progress, Task, config_flag, path, progress, setting_flag, settings, storm_flags, switch, text};
use crate::resolve::{Given, SERVE_DEFAULTS, is_of_serving};

/// `tickstorm serve`. Texts are as they were typed: what is wrong with them is reported together with the settings.
#[derive(Debug)]
pub(crate) struct ServeArguments {
    pub(crate) settings: Vec<Given>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) is_public: bool,
    pub(crate) tls: TlsArguments,
    pub(crate) clients: Option<String>,
    pub(crate) wait_for: Option<String>,
    pub(crate) client_queue: Option<String>,
    pub(crate) slow_client: Option<String>,
    pub(crate) cadence: Option<String>,
    pub(crate) limits: Option<String>,
    pub(crate) venue_options: Vec<String>,
    pub(crate) api_keys: Vec<String>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) ping_probes: Option<String>,
    pub(crate) silence: Option<String>,
    pub(crate) address_file: Option<PathBuf>,
    pub(crate) output: Option<PathBuf>,
    pub(crate) hlog: Option<PathBuf>,
    pub(crate) task: Task,
    pub(crate) progress: Progress,
}

/// Where the certificate comes from.
#[derive(Debug)]
pub(crate) struct TlsArguments {
    pub(crate) is_throwaway: bool,
    pub(crate) names: Vec<String>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) authority: Option<PathBuf>,
}

pub(super) fn with_serve_flags(command: Command) -> Command {
    let doors = [
        text("listen", "ADDR").help("Where to listen; port 0 is any free one [default: 127.0.0.1:9443]"),
        switch("listen-public").help("Allow an address that other machines can reach"),
        switch("tls").help("Speak TLS on the port too, by a test authority made now: GET /tickstorm/ca.pem"),
        many("tls-name", "HOST").help("A host name for the test authority's certificate, beside localhost"),
        path("tls-authority", "FILE").help("Write the test authority's certificate to this file"),
        path("tls-cert", "FILE")
            .help("Speak TLS by this certificate (PEM, its chain behind it), with --tls-key"),
        path("tls-key", "FILE").help("The certificate's private key (PEM)"),
        path("address-file", "FILE").help("Write host:port to this file once clients can connect"),
    ];
    let clients = [
        text("clients", "N")
            .help("Clients to wait for, with a subscription each, before the clock starts [default: 1]"),
        text("wait-for", "TIME").help("How long to wait for them [default: as long as it takes]"),
        text("client-queue", "SIZE").help("What may wait for a client, as 64MiB [default: 64MiB]"),
        text("slow-client", "POLICY").help(
            "What happens to a client with more waiting: disconnect, conflate or drop [default: disconnect]",
        ),
        text("ping-probes", "BOOL").help("Ten pings a second behind the data: on or off [default: on]"),
        text("silence", "TIME").help(
            "How long clients are watched at the end until they rest, at most; 0 not at all [default: 10s]",
        ),
    ];
    let venues = [
        text("cadence", "RHYTHM").help("venue (batches in each venue's rhythm) or realtime [default: venue]"),
        text("limits", "PROFILE").help(
            "What clients may ask: off (everything), venue (what each venue allows) or strict [default: off]",
        ),
        many("venue-option", "NAME=VALUE")
            .help("Which form of a venue's wire is spoken; --help lists them")
            .long_help(venue_options()),
        many("api-key", "VENUE:KEY:SECRET").help(
            "A key for the private channels, with :PASSPHRASE (OKX) and @ACCOUNT behind it where wanted",
        ),
        path("api-keys", "FILE")
            .help("Keys from a TOML file: [[key]] with venue, key, secret, passphrase, account"),
    ];
    let flags = SETTINGS.iter().filter(|setting| is_of_serving(setting)).map(|setting| {
        let flag = setting_flag(setting);
        if setting.name == "threshold" {
            return flag.help(
                "A further limit, as p99<50ms of the lag, or age<500ms of the slowest client's backlog; several with \
                 commas",
            );
        }
        let Some((_, default)) = SERVE_DEFAULTS.iter().find(|(name, _)| *name == setting.name) else {
            return flag;
        };
        let meaning = setting.help.split(" [default").next().unwrap_or_default();
        flag.help(format!("{meaning} [default: {default}]"))
    });
    command
        .about("Serves a mock exchange that unmodified clients connect to, and judges how they keep up")
        .args(flags)
        .args(doors.map(|flag| flag.help_heading("Doors")))
        .args(clients.map(|flag| flag.help_heading("Clients")))
        .args(venues.map(|flag| flag.help_heading("Venues")))
        .args(storm_flags("lag"))
        .arg(config_flag())
        .after_help(AFTER_SERVE)
}

fn venue_options() -> String {
    // Broken here: what clap breaks it does not indent.
    let lines = VENUE_OPTIONS.iter().map(|option| {
        let mut help = String::new();
        let mut room = 0;
        for word in option.help.split(' ') {
            if room < word.len() + 1 {
                help.push_str("\n     ");
                room = HELP_COLUMNS;
            }
            help.push(' ');
            help.push_str(word);
            room -= word.len() + 1;
        }
        format!("\n  {}={}{help}", option.name, option.values)
    });
    format!("Which form of a venue's wire is spoken, the default first:{}", lines.collect::<String>())
}

/// What clap's own indent and ours leave of 80 columns.
const HELP_COLUMNS: usize = 62;

fn many(name: &'static str, placeholder: &'static str) -> Arg {
    text(name, placeholder).action(ArgAction::Append)
}

pub(super) fn serve_arguments(matches: &ArgMatches) -> ServeArguments {
    let one = |name: &str| matches.get_one::<String>(name).cloned();
    let all = |name: &str| matches.get_many(name).into_iter().flatten().cloned().collect();
    let file = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    ServeArguments {
        settings: settings(matches),
        config: file("config"),
        listen: one("listen"),
        is_public: matches.get_flag("listen-public"),
        tls: TlsArguments {
            is_throwaway: matches.get_flag("tls"),
            names: all("tls-name"),
            certificate: file("tls-cert"),
            key: file("tls-key"),
            authority: file("tls-authority"),
        },
        clients: one("clients"),
        wait_for: one("wait-for"),
        client_queue: one("client-queue"),
        slow_client: one("slow-client"),
        cadence: one("cadence"),
        limits: one("limits"),
        venue_options: all("venue-option"),
        api_keys: all("api-key"),
        key_file: file("api-keys"),
        ping_probes: one("ping-probes"),
        silence: one("silence"),
        address_file: file("address-file"),
        output: file("output"),
        hlog: file("hlog"),
        task: if matches.get_flag("print-plan") { Task::PrintPlan } else { Task::Storm },
        progress: progress(matches),
    }
}

const AFTER_SERVE: &str = "\
All five venues are served at once, HTTP and WebSockets on one port, under their
native paths, with any prefix; a venue's name in front (/kraken/v2) is never
ambiguous. The rate is that of the market's messages, over all symbols. The clock
starts when --clients of them have subscribed. At the end the feed stops, the
clients are watched until they rest, at most --silence, and are taken leave of
with close code 1001.

Examples:
  tickstorm serve               point your client at ws://127.0.0.1:9443, or
  tickstorm consume --venue kraken --url 127.0.0.1:9443    from another terminal
  tickstorm serve --multiplier 100 --profile SPIKE --clients 2 --threshold 'age<500ms'
  tickstorm serve --tls --tls-authority ca.pem --api-key binance:KEY:SECRET
  tickstorm serve --listen 127.0.0.1:0 --address-file a.txt --wait-for 30s --quiet

Exit codes:
  0    PASS                            96   INCONCLUSIVE, the report says why
  1    could not start or finish       99   FAIL, a threshold was crossed or a client was cut off
  2    wrong flag or value             104  wrong file or environment variable
  105  interrupted, the report is still written";
