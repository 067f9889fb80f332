//! The sockets and clocks of a session.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tickstorm_market::{Listing, SymbolId};
use tickstorm_net::{
    CloseReason, ConnectError, Connection, ConnectionError, Events, HttpAnswer, HttpClient, HttpError,
    Poller, Trust,
};
use tickstorm_venue::rest::Call;
use tickstorm_venue::{Rest, Venue};

use super::address::Address;
use super::choice::{ConsumeChannel, names};
use super::etiquette;
use super::report::{ConsumeEnd, ConsumeInterval, ConsumeReport};
use super::session::{Loss, Moment, NoAnswer, Order, Session, Subject};
use super::{ConsumeError, ConsumeExtent, ConsumeMistake, ConsumeSpec};

/// A client that is connected and about to subscribe.
#[derive(Debug)]
pub struct Consumer {
    session: Session,
    address: Address,
    trust: Option<Trust>,
    timeout: Duration,
    connection: Option<Connection>,
    poller: Arc<Poller>,
    fetcher: Fetcher,
    clock: Clock,
    /// On connections that are gone: pings answered, and bytes read.
    pings_answered: u64,
    wire_bytes: u64,
}

impl Consumer {
    /// Checks the specification, asks for the instruments and connects. Takes some timeouts at most.
    pub fn connect(spec: &ConsumeSpec) -> Result<Self, ConsumeError> {
        let (address, depth) = checked(spec).map_err(ConsumeError::Mistakes)?;
        let uses_tls = address.socket.is_tls() || address.rest.is_tls();
        let trust = match &spec.trust {
            None if uses_tls => Some(Trust::of_system()?),
            given => given.clone(),
        };
        let client = HttpClient::new(address.rest.clone(), trust.as_ref(), spec.timeout);
        let listing = instruments(spec.venue, &client, &address)?;
        let chosen = spec.symbols.of_listing(spec.venue, &listing).map_err(|unknown| {
            ConsumeError::Mistakes(
                unknown.iter().map(|unknown| mistake("symbols", unknown.to_string())).collect(),
            )
        })?;
        check_topics(spec, chosen.instruments.len()).map_err(|it| ConsumeError::Mistakes(vec![it]))?;
        let session = Session::new(Subject {
            venue: spec.venue,
            listing: chosen,
            channels: distinct(&spec.channels),
            depth,
            books: spec.books,
            reconnect: spec.reconnect,
            max_age_ns: spec.max_age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
        });
        let poller = Arc::new(Poller::new()?);
        let mut consumer = Self {
            session,
            address,
            trust,
            timeout: spec.timeout,
            connection: None,
            fetcher: Fetcher::start(client, Arc::clone(&poller)),
            poller,
            clock: Clock::start(),
            pings_answered: 0,
            wire_bytes: 0,
        };
        let now = consumer.clock.now();
        consumer.session.tick(now);
        while consumer.session.next_order(now) == Some(Order::Connect) {
            consumer.connection = Some(consumer.open()?);
            consumer.session.opened(consumer.clock.now());
        }
        Ok(consumer)
    }

    /// Consumes on the calling thread, until the time is over, `is_stopped` says so, the connection is lost for good, or
    /// the server has taken its leave and is gone. `on_interval` is told what each interval brought, `is_stopped` is asked some twenty times a second.
    pub fn run(
        mut self,
        extent: &ConsumeExtent,
        mut on_interval: impl FnMut(&ConsumeInterval),
        is_stopped: impl Fn() -> bool,
    ) -> ConsumeReport {
        let begin_ns = self.clock.now().run_ns;
        let until_ns = extent.duration.map_or(u64::MAX, |duration| begin_ns.saturating_add(ns(duration)));
        let interval_ns = ns(extent.interval).max(INTERVAL_MIN_NS);
        let mut interval = ConsumeInterval::start(begin_ns, &self.session);
        let mut events = Events::new();
        let mut more = true;
        let end = loop {
            let now = self.clock.now();
            if now.run_ns >= interval.due_ns(interval_ns) {
                on_interval(&interval.end(now.run_ns, &mut self.session));
            }
            if let Some(end) = self.session.ended() {
                break end.clone();
            }
            if is_stopped() {
                break ConsumeEnd::Stopped;
            }
            if now.run_ns >= until_ns {
                break ConsumeEnd::Duration;
            }
            if now.run_ns >= self.session.tick_due_ns() {
                self.session.tick(now);
            }
            self.obey();
            if !more {
                let due_ns = self.session.tick_due_ns().min(until_ns).min(interval.due_ns(interval_ns));
                let wait_ns = due_ns.saturating_sub(self.clock.now().run_ns);
                // A poller that fails is one that does not wait.
                let _ = self.poller.wait(Duration::from_nanos(wait_ns).min(WAIT_MAX), &mut events);
            }
            self.take_answers();
            more = self.read();
        };
        let now = self.clock.now();
        on_interval(&interval.end(now.run_ns, &mut self.session));
        self.drop_connection(LEAVE);
        ConsumeReport::of(
            &self.session,
            [self.address.socket.to_string(), self.address.rest.to_string()],
            end,
            Duration::from_nanos(now.run_ns - begin_ns),
            [self.pings_answered, self.wire_bytes],
        )
    }

    /// Does all that the session wants done.
    fn obey(&mut self) {
        loop {
            let now = self.clock.now();
            let Some(order) = self.session.next_order(now) else { break };
            match order {
                Order::Connect => match self.open() {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        self.session.opened(self.clock.now());
                    }
                    Err(error) => {
                        let how = match &error {
                            ConnectError::Socket { source, .. }
                                if source.kind() == io::ErrorKind::ConnectionRefused =>
                            {
                                Loss::NobodyThere
                            }
                            _ => Loss::NotOpened,
                        };
                        self.session.lost(self.clock.now(), how, &chain(&error));
                    }
                },
                Order::HangUp => self.drop_connection(Duration::ZERO),
                Order::Send(message) => {
                    if let Some(connection) = &mut self.connection {
                        connection.push_frame(|out| out.extend_from_slice(&message));
                    }
                }
                Order::Fetch { symbol, path } => self.fetcher.ask(symbol, path),
            }
        }
        if let Some(connection) = &mut self.connection
            && connection.buffered() > 0
            && let Err(error) = connection.flush()
        {
            // The server may have taken its leave before it stopped listening.
            while self.read() {}
            if self.connection.is_some() {
                self.drop_connection(Duration::ZERO);
                self.session.lost(self.clock.now(), Loss::Broken, &format!("connection lost: {error}"));
            }
        }
    }

    fn open(&self) -> Result<Connection, ConnectError> {
        let mut connection = match &self.trust {
            Some(trust) => Connection::connect_trusting(&self.address.socket, trust, self.timeout)?,
            None => Connection::connect(&self.address.socket, self.timeout)?,
        };
        let endpoint = || self.address.socket.to_string();
        connection
            .register(&self.poller, 0)
            .map_err(|source| ConnectError::Socket { endpoint: endpoint(), source })?;
        Ok(connection)
    }

    /// Reads once, and says whether there may be more at once.
    fn read(&mut self) -> bool {
        let Self { session, connection, clock, .. } = self;
        let Some(open) = connection else { return false };
        let mut moment = None;
        let read = open.read(|message| {
            // One reading of the clock for all messages of a read: they came together.
            session.take(*moment.get_or_insert_with(|| clock.now()), message);
        });
        match read {
            Ok(readable) => {
                if readable.bytes > 0 {
                    session.on_traffic(moment.unwrap_or_else(|| clock.now()));
                }
                readable.more
            }
            Err(error) => {
                self.drop_connection(Duration::ZERO);
                let (how, why) = match &error {
                    ConnectionError::Closed(reason) if blames_nobody(reason) => {
                        (Loss::Closed, format!("closed: {reason}"))
                    }
                    _ => (Loss::Broken, chain(&error)),
                };
                self.session.lost(self.clock.now(), how, &why);
                false
            }
        }
    }

    fn take_answers(&mut self) {
        while let Some((symbol, answer)) = self.fetcher.answer() {
            let answer = answer.map_err(|error| NoAnswer {
                reason: chain(&error),
                retry_after_ns: None,
                is_unavailable: false,
            });
            let body = answer.as_ref().map_err(NoAnswer::clone).and_then(|answer| match answer.status {
                200 => Ok(&*answer.body),
                status => Err(NoAnswer {
                    reason: format!("status {status}, expected 200: {}", excerpt(&answer.body)),
                    retry_after_ns: answer.retry_after_s.map(|seconds| seconds.saturating_mul(etiquette::S)),
                    is_unavailable: status == 503,
                }),
            });
            self.session.fetched(self.clock.now(), symbol, body);
        }
    }

    fn drop_connection(&mut self, patience: Duration) {
        if let Some(connection) = self.connection.take() {
            self.pings_answered += connection.pings_answered();
            self.wire_bytes += connection.bytes_read();
            connection.close(patience);
        }
    }
}

/// Whether a close frame only says that the server leaves: at the end of the connection's purpose or life, or because
/// the server goes away or restarts (RFC 6455, 7.4.1, and the registry that it founded). Other codes say what somebody
/// did wrong.
fn blames_nobody(reason: &CloseReason) -> bool {
    matches!(reason.code, None | Some(1000 | 1001 | 1012))
}

/// What can be said of a specification before anybody is asked.
fn checked(spec: &ConsumeSpec) -> Result<(Address, u32), Vec<ConsumeMistake>> {
    let mut mistakes = Vec::new();
    let mut address = Address::of(spec.venue, &spec.url);
    if let (Ok(address), Some(rest)) = (&mut address, &spec.rest) {
        match tickstorm_net::Endpoint::of_http(rest) {
            Ok(rest) => address.rest = rest,
            Err(error) => mistakes.push(mistake("rest", error.to_string())),
        }
    }
    match &address {
        Err(error) => mistakes.push(mistake("url", error.to_string())),
        Ok(address) if !spec.allow_public => {
            for (setting, endpoint) in [("url", &address.socket), ("rest", &address.rest)] {
                // A host without an address will be told when it is connected to.
                let told = setting == "url" || spec.rest.is_some();
                if told && endpoint.is_public().unwrap_or(false) {
                    mistakes.push(mistake(
                        setting,
                        format!(
                            "{endpoint} lies outside loopback and private address ranges; --allow-public-target \
                             allows it"
                        ),
                    ));
                }
            }
        }
        Ok(_) => {}
    }
    if spec.channels.is_empty() {
        mistakes.push(mistake("channels", format!("at least one of {}", names(&ConsumeChannel::ALL))));
    }
    for channel in spec.channels.iter().filter(|channel| !channel.is_offered_by(spec.venue)) {
        let offered: Vec<ConsumeChannel> =
            ConsumeChannel::ALL.into_iter().filter(|channel| channel.is_offered_by(spec.venue)).collect();
        mistakes.push(mistake(
            "channels",
            format!("{} has no channel {channel}, must be one of: {}", spec.venue, names(&offered)),
        ));
    }
    let rules = spec.venue.rules();
    let depth = spec.depth.unwrap_or(rules.default_depth);
    // A book of one level is told like best prices, which is a channel of its own here.
    let depths: Vec<u32> = rules.depths.iter().copied().filter(|&depth| depth != 1).collect();
    if !depths.contains(&depth) {
        let depths: Vec<String> = depths.iter().map(u32::to_string).collect();
        let message =
            format!("{} has no books of {depth} levels, must be one of: {}", spec.venue, depths.join(", "));
        mistakes.push(mistake("depth", message));
    }
    match address {
        Ok(address) if mistakes.is_empty() => Ok((address, depth)),
        _ => Err(mistakes),
    }
}

fn check_topics(spec: &ConsumeSpec, symbols: usize) -> Result<(), ConsumeMistake> {
    let topics = symbols * distinct(&spec.channels).len();
    if symbols == 0 {
        return Err(mistake("symbols", format!("{} lists no instruments", spec.venue)));
    }
    match etiquette::of(spec.venue).topics_max {
        Some(most) if topics > most => Err(mistake(
            "symbols",
            format!(
                "{symbols} instruments with {} channels are {topics} topics, {} allows {most} on a connection",
                distinct(&spec.channels).len(),
                spec.venue
            ),
        )),
        _ => Ok(()),
    }
}

/// In the order in which they are subscribed to.
fn distinct(channels: &[ConsumeChannel]) -> Vec<ConsumeChannel> {
    ConsumeChannel::ALL.into_iter().filter(|channel| channels.contains(channel)).collect()
}

fn mistake(setting: &'static str, message: String) -> ConsumeMistake {
    ConsumeMistake { setting, message }
}

fn instruments(venue: Venue, client: &HttpClient, address: &Address) -> Result<Listing, ConsumeError> {
    let nothing = Listing { instruments: [].into(), assets: [].into() };
    let rest = Rest::new(venue, &nothing);
    let path = rest.path(&Call::Instruments(Vec::new())).expect("every venue lists its instruments");
    let url = format!("{}{path}", address.rest.to_string().trim_end_matches('/'));
    let answer = client.get(&path)?;
    if answer.status != 200 {
        return Err(ConsumeError::Refused { url, status: answer.status, body: excerpt(&answer.body) });
    }
    rest.read_instruments(&answer.body).map_err(|source| ConsumeError::Instruments { url, source })
}

/// The beginning of an answer, fit to print.
fn excerpt(body: &[u8]) -> String {
    if body.is_empty() {
        return "nothing".to_owned();
    }
    let end = if body.len() > EXCERPT_MAX { "..." } else { "" };
    format!("{}{end}", body[..body.len().min(EXCERPT_MAX)].escape_ascii())
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Asks by HTTP while messages are read, on a thread of its own that ends when it is no longer asked.
#[derive(Debug)]
struct Fetcher {
    questions: Sender<(SymbolId, String)>,
    answers: Receiver<Answered>,
}

type Answered = (SymbolId, Result<HttpAnswer, HttpError>);

impl Fetcher {
    fn start(client: HttpClient, poller: Arc<Poller>) -> Self {
        let (questions, asked) = mpsc::channel::<(SymbolId, String)>();
        let (answer, answers) = mpsc::channel();
        thread::spawn(move || {
            for (symbol, path) in asked {
                if answer.send((symbol, client.get(&path))).is_err() {
                    return;
                }
                // Who does not hear it looks for answers with the next tick.
                let _ = poller.notify();
            }
        });
        Self { questions, answers }
    }

    fn ask(&self, symbol: SymbolId, path: String) {
        self.questions.send((symbol, path)).expect("the thread ends only when nobody can ask any more");
    }

    fn answer(&self) -> Option<Answered> {
        self.answers.try_recv().ok()
    }
}

/// Both clocks.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { start: Instant::now() }
    }

    #[inline]
    fn now(&self) -> Moment {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment { run_ns: ns(self.start.elapsed()), unix_ns: ns(unix) }
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An order to stop is heard within this.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// How long the server has to take leave.
const LEAVE: Duration = Duration::from_millis(500);

const INTERVAL_MIN_NS: u64 = 10 * etiquette::MS;

const EXCERPT_MAX: usize = 200;
