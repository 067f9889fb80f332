//! The flags of `tickstorm consume`.

use std::path::PathBuf;

use clap::{ArgMatches, Command};

use super::{path, switch, text};

/// `tickstorm consume`. Texts are as they were typed: what is wrong with them is reported together.
#[derive(Debug)]
pub(crate) struct ConsumeArguments {
    pub(crate) venue: String,
    pub(crate) url: String,
    pub(crate) rest: Option<String>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) symbols: Option<String>,
    pub(crate) channels: Option<String>,
    pub(crate) depth: Option<String>,
    pub(crate) duration: Option<String>,
    pub(crate) interval: Option<String>,
    pub(crate) max_age: Option<String>,
    pub(crate) are_books_kept: bool,
    pub(crate) does_reconnect: bool,
    pub(crate) is_public_allowed: bool,
    pub(crate) rendering: ConsumeRendering,
    pub(crate) output: Option<PathBuf>,
    pub(crate) is_quiet: bool,
}

/// How the report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumeRendering {
    Text,
    Json,
}

pub(super) fn with_consume_flags(command: Command) -> Command {
    let server = [
        text("venue", "NAME")
            .required(true)
            .help("Whose dialect the server speaks: binance, coinbase, kraken, okx or bybit"),
        text("url", "URL").required(true).help(
            "Where it is: HOST:PORT, ws://HOST:PORT or wss://HOST/PREFIX; the venue's own path is added",
        ),
        text("rest", "URL")
            .help("Where its HTTP interface is, if not at the same place: https://HOST/PREFIX"),
        path("ca", "FILE")
            .help("Certificates in PEM that vouch for the server, instead of those that this system trusts"),
        switch("allow-public-target").help("Let the server lie outside loopback and private address ranges"),
        switch("no-reconnect")
            .help("End when the connection is lost or the server closes it, instead of opening it again"),
    ];
    let subscription = [
        text("symbols", "LIST")
            .help("Instruments in the venue's words, as BTC/USD,ETH/USD; or TOP:N, or all [default: TOP:10]"),
        text("channels", "LIST").help("Of book, trades, ticker and quotes [default: book,trades]"),
        text("depth", "N").help(
            "Levels a side of the books, one of the venue's own depths; 0 is all of them [default: the venue's]",
        ),
        switch("no-books").help("Decode and count messages, but keep no books: the fastest reader"),
    ];
    let report = [
        text("duration", "TIME")
            .help("How long: 60, 30s, 5m [default: until Ctrl-C, or until the server closes and is gone]"),
        text("interval", "TIME").help("Time from one line of progress to the next [default: 1s]"),
        text("max-age", "TIME").help("FAULTY when a message is older than this when it is decoded, as 250ms"),
        switch("json").help("Print the report as JSON instead of a page of text"),
        path("output", "FILE").help("Write the report to this file; - is standard output, the default"),
        switch("quiet").short('q').help("Show no lines of progress, only the report and errors"),
    ];
    command
        .about(
            "Subscribes to a server that speaks like a venue, keeps verified books, and tells what was wrong",
        )
        .args(server.map(|flag| flag.help_heading("Server")))
        .args(subscription.map(|flag| flag.help_heading("Subscription")))
        .args(report.map(|flag| flag.help_heading("Report")))
        .after_help(AFTER_CONSUME)
}

pub(super) fn consume_arguments(matches: &ArgMatches) -> ConsumeArguments {
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    ConsumeArguments {
        venue: given("venue").unwrap_or_default(),
        url: given("url").unwrap_or_default(),
        rest: given("rest"),
        ca: matches.get_one("ca").cloned(),
        symbols: given("symbols"),
        channels: given("channels"),
        depth: given("depth"),
        duration: given("duration"),
        interval: given("interval"),
        max_age: given("max-age"),
        are_books_kept: !matches.get_flag("no-books"),
        does_reconnect: !matches.get_flag("no-reconnect"),
        is_public_allowed: matches.get_flag("allow-public-target"),
        rendering: if matches.get_flag("json") { ConsumeRendering::Json } else { ConsumeRendering::Text },
        output: matches.get_one("output").cloned(),
        is_quiet: matches.get_flag("quiet"),
    }
}

const AFTER_CONSUME: &str = "\
A line an interval goes to standard error, the report to standard output.
The age of a message is this machine's clock less the time in the message,
which most venues tell in whole milliseconds.
A server that closes the connection is connected to again, and that is no fault;
if it is gone then, the session ends with what was seen.

Examples:
  tickstorm consume --venue kraken --url 127.0.0.1:9443 --duration 30s
  tickstorm consume --venue binance --url ws://127.0.0.1:9443 --symbols BTCUSDT,ETHUSDT
  tickstorm consume --venue okx --url wss://127.0.0.1:9443 --ca ca.pem --symbols all --json
  tickstorm consume --venue bybit --url 127.0.0.1:9443 --no-books --duration 10s

Exit codes:
  0    CLEAN: nothing was wrong
  1    the server cannot be reached, or is none; the report could not be written
  2    wrong flag or value
  96   UNPROVED: nothing came, or not every book was whole at the end
  99   FAULTY: a gap, a wrong checksum, a broken connection, a message too old ...
  104  wrong file of certificates
  105  interrupted, the report is still written";
