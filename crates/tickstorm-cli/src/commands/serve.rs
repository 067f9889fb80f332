//! `tickstorm serve`: opens the doors of a mock exchange, waits for its clients, storms them, and exits with the verdict.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;
use tickstorm::{
    ExportCadence, Plan,
    serve::{
        ApiKey, CLIENT_QUEUES, Exchange, FrontError, Publishing, ServeError, ServeSpec, TlsChoice, TlsError,
        Waiting,
    },
};
use tickstorm_report::format;

use super::run::{Listener, Outputs, chain, storm};
use super::stream::Texts;
use crate::{
    arguments::{Progress, ServeArguments, Task, TlsArguments},
    exit::{Exit, Refusal},
    live::Role,
    output::Output,
    plan_table::plan_table,
    resolve::{is_of_serving, resolve_serving},
    terminal::{print, say},
    watch::Watch,
};

pub(crate) fn serve(arguments: ServeArguments) -> Result<Exit, Refusal> {
    let mut texts = Texts::default();
    let spec = serve_spec(&arguments, &mut texts);
    let resolved =
        texts.with(resolve_serving(arguments.settings, arguments.config.as_deref(), env::vars_os()))?;
    let plan = resolved.plan()?;
    let is_quiet = arguments.progress == Progress::Quiet;
    if !is_quiet {
        plan.warnings().iter().for_each(|warning| say(&format!("warning: {warning}\n")));
    }
    if arguments.task == Task::PrintPlan {
        return print(&plan_table(&plan, &resolved.origins, is_of_serving));
    }
    let outputs = Outputs::open(arguments.output, arguments.hlog)?;
    let clients = spec.clients;
    let opening = opening(&plan);
    let shown = plan.clone();
    let listener = Listener::open()?;
    let exchange = Exchange::open(plan, spec).map_err(|error| {
        let given = (arguments.api_keys.len(), arguments.key_file.as_deref());
        refusal(&error, &arguments.tls, given)
    })?;
    let address = exchange.address();
    let write = |flag: &str, path: &Path, text: &str| {
        let written = Output::open(path).and_then(|output| output.write(text.as_bytes()));
        written.map_err(|error| Refusal::new(Exit::Failure, format!("{flag}: {error}")))
    };
    if let (Some(path), Some(pem)) = (&arguments.tls.authority, exchange.authority_pem()) {
        write("--tls-authority", path, pem)?;
    }
    if let Some(path) = &arguments.address_file {
        write("--address-file", path, &format!("{address}\n"))?;
    }
    if !is_quiet {
        say(&format!("tickstorm: serving {opening}\n"));
        say(&format!("tickstorm: base URLs http://{address} and ws://{address}\n"));
        if exchange.authority_pem().is_some() {
            say(&format!("tickstorm: https:// and wss:// too, trusting http://{address}/tickstorm/ca.pem\n"));
        } else if arguments.tls.certificate.is_some() {
            say("tickstorm: https:// and wss:// too, by the certificate given\n");
        }
    }
    let start = move || {
        let mut said = None;
        let on_wait = |waiting: &Waiting| {
            if !is_quiet && said.as_ref() != Some(waiting) {
                said = Some(waiting.clone());
                let came = waiting.subscribed;
                say(&format!(
                    "tickstorm: waiting for clients, {came} of {clients} have subscribed{waiting}\n"
                ));
            }
        };
        exchange.start_watched(|| false, on_wait).map_err(|error| chain(&error))
    };
    let watch = || Watch::new(arguments.progress, Role::Exchange, &address.to_string(), &shown);
    storm(listener, start, TOO_EARLY, watch, outputs, arguments.progress)
}

const TOO_EARLY: &str = "interrupted before the clients had come, nothing was measured";

fn opening(plan: &Plan) -> String {
    let schedule = plan.schedule();
    let (average, peak) = (format::rate(schedule.average_rate()), format::rate(schedule.peak_rate()));
    let rates = if average == peak { average } else { format!("{average} on average, {peak} at peak") };
    format!(
        "{} messages in {}, {rates}, seed {}",
        format::count(schedule.total()),
        format::seconds(schedule.duration_ns() as f64 / 1e9),
        plan.spec().seed,
    )
}

fn serve_spec(arguments: &ServeArguments, texts: &mut Texts) -> ServeSpec {
    let default = ServeSpec::default();
    let mut spec = ServeSpec {
        listen: texts
            .read::<Listen>("--listen", arguments.listen.as_deref())
            .map_or(default.listen, |listen| listen.0),
        is_public: arguments.is_public,
        tls: tls(&arguments.tls, texts),
        clients: texts
            .read_as("--clients", arguments.clients.as_deref(), "a whole number from 0")
            .unwrap_or(default.clients),
        wait_for: texts.duration("--wait-for", arguments.wait_for.as_deref()),
        client_queue: texts
            .read::<Size>("--client-queue", arguments.client_queue.as_deref())
            .map_or(default.client_queue, |size| size.0),
        slow_client: texts
            .read("--slow-client", arguments.slow_client.as_deref())
            .unwrap_or(default.slow_client),
        cadence: cadence(texts.read("--cadence", arguments.cadence.as_deref())).unwrap_or(default.cadence),
        limits: texts.read("--limits", arguments.limits.as_deref()).unwrap_or(default.limits),
        options: default.options,
        keys: Vec::new(),
        pings: texts.read("--ping-probes", arguments.ping_probes.as_deref()).unwrap_or(default.pings),
        silence: texts.duration("--silence", arguments.silence.as_deref()).unwrap_or(default.silence),
    };
    for text in &arguments.venue_options {
        if let Err(error) = spec.options.set(text) {
            texts.complain("--venue-option", error);
        }
    }
    if !spec.is_public && !spec.listen.ip().to_canonical().is_loopback() {
        let problem = format_args!("{} is open to other machines; --listen-public allows it", spec.listen);
        texts.complain("--listen", problem);
    }
    spec.keys = keys(arguments, texts);
    spec
}

fn cadence(given: Option<ExportCadence>) -> Option<Publishing> {
    given.map(|cadence| match cadence {
        ExportCadence::Realtime => Publishing::Realtime,
        ExportCadence::Venue => Publishing::Venue,
    })
}

fn tls(arguments: &TlsArguments, texts: &mut Texts) -> TlsChoice {
    let TlsArguments { is_throwaway, names, certificate, key, authority } = arguments;
    match (certificate, key) {
        (Some(_), Some(_)) if *is_throwaway => {
            texts
                .complain("--tls", "it makes a certificate, and --tls-cert gives one: leave one of them out");
            TlsChoice::Off
        }
        (Some(certificate), Some(key)) => {
            for (flag, is_given) in
                [("--tls-authority", authority.is_some()), ("--tls-name", !names.is_empty())]
            {
                if is_given {
                    texts.complain(flag, "with --tls-cert there is no test authority");
                }
            }
            TlsChoice::Files { certificate: certificate.clone(), key: key.clone() }
        }
        (Some(_), None) => {
            texts.complain("--tls-cert", "needs --tls-key, the certificate's private key");
            TlsChoice::Off
        }
        (None, Some(_)) => {
            texts.complain("--tls-key", "needs --tls-cert, the key's certificate");
            TlsChoice::Off
        }
        (None, None) if *is_throwaway || authority.is_some() || !names.is_empty() => {
            TlsChoice::Throwaway { names: names.clone() }
        }
        (None, None) => TlsChoice::Off,
    }
}

/// A port alone is one of this machine's own address.
struct Listen(SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let of_port = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let read = text.parse().or_else(|_| text.parse().map(of_port));
        read.map(Self).map_err(|_| {
            format!("expected an address and a port, as 127.0.0.1:9443, or a port, got `{text}`")
        })
    }
}

/// Why the exchange does not open. What the command line or a file of it is to blame for is named by its flag.
///
/// Keys are so many of the command line, and behind them those of the file.
fn refusal(error: &ServeError, tls: &TlsArguments, keys: (usize, Option<&Path>)) -> Refusal {
    let source = match error {
        ServeError::Key { number, source } => return of_key(*number, &chain(source), keys),
        ServeError::Account { number, account, accounts } => {
            let problem = format!("account {account} must be below --accounts, which is {accounts}");
            return of_key(*number, &problem, keys);
        }
        ServeError::Front(FrontError::Tls { source, .. }) => source,
        _ => return Refusal::new(Exit::Failure, chain(error)),
    };
    let (exit, flag) = match &**source {
        TlsError::File { path, .. } | TlsError::Content { path, .. }
            if tls.key.as_ref() == Some(path) && tls.certificate.as_ref() != Some(path) =>
        {
            (Exit::Configuration, "--tls-key: ")
        }
        TlsError::File { .. } | TlsError::Content { .. } | TlsError::Pair { .. } => {
            (Exit::Configuration, "--tls-cert: ")
        }
        TlsError::Name { .. } => (Exit::Usage, "--tls-name: "),
        _ => (Exit::Failure, ""),
    };
    Refusal::new(exit, format!("{flag}{}", chain(&**source)))
}

fn of_key(number: usize, problem: &str, (on_the_line, file): (usize, Option<&Path>)) -> Refusal {
    match file.filter(|_| number > on_the_line) {
        Some(path) => {
            let number = number - on_the_line;
            let complaint = format!("--api-keys: {}: key {number}: {problem}", path.display());
            Refusal::new(Exit::Configuration, complaint)
        }
        None => Refusal::new(Exit::Usage, format!("--api-key: number {number}: {problem}")),
    }
}

/// A number of bytes, as `64MiB`.
struct Size(usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("KiB", 1usize << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1), ("", 1)];
        let read = units.iter().find_map(|(unit, bytes)| {
            let number = text.trim().strip_suffix(unit)?.trim().parse::<usize>().ok()?;
            number.checked_mul(*bytes)
        });
        read.filter(|size| CLIENT_QUEUES.contains(size))
            .map(Self)
            .ok_or_else(|| format!("expected a size from 64KiB to 16GiB, as 64MiB, got `{text}`"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    venue: String,
    key: String,
    secret: String,
    passphrase: Option<String>,
    #[serde(default)]
    account: u32,
}

fn keys(arguments: &ServeArguments, texts: &mut Texts) -> Vec<ApiKey> {
    let mut keys = Vec::new();
    for (position, text) in (1..).zip(&arguments.api_keys) {
        match text.parse::<ApiKey>() {
            Ok(key) => keys.push(key),
            // The text holds a secret, so it is not repeated.
            Err(problem) => texts.complain("--api-key", format_args!("number {position}: {problem}")),
        }
    }
    if let Some(path) = &arguments.key_file {
        match read_keys(path) {
            Ok(found) => keys.extend(found),
            Err(problem) => texts.complain_of_file("--api-keys", path, problem),
        }
    }
    keys
}

fn read_keys(path: &PathBuf) -> Result<Vec<ApiKey>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    // The parser's own words would repeat the line, and with it a secret.
    let file: KeyFile = toml_edit::de::from_str(&text).map_err(|error| match error.span() {
        Some(span) => {
            let line = 1 + text[..span.start.min(text.len())].matches('\n').count();
            // A value of the wrong type would be repeated as well.
            let problem = error.message();
            let problem =
                if problem.starts_with("invalid type") { "a value of the wrong type" } else { problem };
            format!("line {line}: {problem}")
        }
        None => error.message().to_owned(),
    })?;
    file.key
        .into_iter()
        .enumerate()
        .map(|(index, entry)| {
            let KeyEntry { venue, key, secret, passphrase, account } = entry;
            let venue = venue
                .parse()
                .map_err(|error: tickstorm::UnknownVenue| format!("key {}: {error}", index + 1))?;
            Ok(ApiKey::new(venue, key, secret, passphrase, account))
        })
        .collect()
}
