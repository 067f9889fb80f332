//! The exchange's HTTP side: which venue is asked, whether the client may, and what it is answered.
//!
//! It works in the front's threads. What only the market knows it asks the engine for, which answers between two turns.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{self, Sender, SyncSender},
    },
    time::{Duration, Instant},
};

use tickstorm_market::{AccountId, Listing, Snapshot, SymbolId, Ticker};
use tickstorm_net::{Arrival, Poller, WebAnswer, WebRequest};
use tickstorm_venue::{
    Rest, Venue,
    access::{Keys, SignedRequest},
    decoded::AssetBalance,
    limits::{AddressMeter, LimitProfile, Limits, Overstep},
    rest::{Answer, Call, Facts as RestFacts, HttpRequest, RestError},
    route::{Asked, Entry, Route, SocketEntry, route},
};

use super::{
    client::Who,
    floor::Entrance,
    grade::{Grade, Posted, read_post},
    spec::ServeSpec,
};

/// What the engine is asked.
pub(super) enum Ask {
    /// To take over a connection.
    Arrive { arrival: Box<Arrival>, entrance: Entrance },
    /// For facts of the market.
    Facts { want: Want, reply: SyncSender<Facts> },
    /// To compare a client's book with the true one.
    Grade { posted: Posted, reply: SyncSender<Grade> },
}

/// What of the market is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Time,
    Book(SymbolId),
    Balances(AccountId),
    /// Of all symbols. A single one that is asked for has some also if nothing was traded yet.
    Tickers {
        single: Option<SymbolId>,
    },
}

/// The answer.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub now_unix_ns: u64,
    pub book: Option<Snapshot>,
    pub balances: Option<(AccountId, Vec<AssetBalance>)>,
    /// By symbol; empty unless they were wanted.
    pub tickers: Vec<Option<Ticker>>,
}

/// How often clients have asked, and whether anybody is still there to answer.
#[derive(Debug, Default)]
pub(super) struct Asks {
    pub requests: AtomicU64,
    pub refused: AtomicU64,
    /// For a book: each is a client that starts, or starts again.
    pub snapshots: AtomicU64,
    /// The run is over: who comes now is turned away.
    pub are_closed: AtomicBool,
}

/// Where requests are answered.
pub(super) struct Desk {
    rests: Vec<Rest>,
    listing: Listing,
    keys: Arc<[Keys]>,
    asks: Sender<Ask>,
    poller: Arc<Poller>,
    counts: Arc<Asks>,
    authority: std::sync::OnceLock<String>,
    limits: LimitProfile,
    meters: Mutex<BTreeMap<(usize, IpAddr), AddressMeter>>,
    opened: Instant,
    /// Unix time of wire time zero.
    start_unix_ns: u64,
}

impl Desk {
    pub(super) fn new(
        listing: &Listing,
        (spec, start_unix_ns): (&ServeSpec, u64),
        keys: Arc<[Keys]>,
        asks: Sender<Ask>,
        poller: Arc<Poller>,
        counts: Arc<Asks>,
    ) -> Self {
        Self {
            rests: Venue::ALL
                .iter()
                .map(|&venue| Rest::with_options(venue, listing, &spec.options))
                .collect(),
            listing: listing.clone(),
            keys,
            asks,
            poller,
            counts,
            authority: std::sync::OnceLock::new(),
            limits: spec.limits,
            meters: Mutex::default(),
            opened: Instant::now(),
            start_unix_ns,
        }
    }

    /// The authority that clients are to trust; set once it is known.
    pub(super) fn set_authority(&self, pem: &str) {
        let _ = self.authority.set(pem.to_owned());
    }

    /// Counts something that an address does against what the venue allows; none if it may.
    fn overstep(
        &self,
        venue: Venue,
        peer: IpAddr,
        count: impl FnOnce(&mut AddressMeter, u64) -> Result<(), Overstep>,
    ) -> Option<(u16, Option<u64>)> {
        if self.limits == LimitProfile::Off {
            return None;
        }
        let now_ns = self.opened.elapsed().as_nanos() as u64;
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= MOST_ADDRESSES {
            meters.clear();
        }
        let meter = meters
            .entry((venue as usize, peer))
            .or_insert_with(|| AddressMeter::new(&Limits::new(venue, self.limits)));
        match count(meter, now_ns) {
            Err(Overstep::Http { status, retry_after_s }) => Some((status, retry_after_s)),
            _ => None,
        }
    }

    fn ask<R>(&self, make: impl FnOnce(SyncSender<R>) -> Ask) -> Option<R> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.asks.send(make(reply)).ok()?;
        self.poller.notify().ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }

    fn facts(&self, want: Want) -> Option<Facts> {
        self.ask(|reply| Ask::Facts { want, reply })
    }

    fn answer_rest(&self, route: &Route, request: &WebRequest) -> WebAnswer {
        if self.counts.are_closed.load(Relaxed) {
            return self.refuse(run_is_over());
        }
        let rest = &self.rests[route.venue as usize];
        let Some(now) = self.facts(Want::Time) else { return self.refuse(out_of_reach()) };
        let asked = rest.read_request(&HttpRequest {
            method: &request.method,
            path: &route.path,
            query: &request.query,
            body: &request.body,
        });
        let weight = asked.as_ref().map_or(1, |call| rest.weight(call));
        let meter = |meter: &mut AddressMeter, now_ns| meter.on_request(now_ns, weight);
        if let Some((status, retry_after_s)) = self.overstep(route.venue, request.peer.ip(), meter) {
            let mut answer = web(rest.refuse(&RestError::TooFrequent, now.now_unix_ns));
            answer.status = status;
            return self.refuse(match retry_after_s {
                Some(seconds) => answer.with("Retry-After", seconds.to_string()),
                None => answer,
            });
        }
        let outcome = asked.and_then(|call| {
            let owner = if call.is_private() { Some(self.owner(route, request)?) } else { None };
            let want = match (&call, owner) {
                (Call::Depth { symbol, .. }, _) => {
                    self.counts.snapshots.fetch_add(1, Relaxed);
                    Want::Book(*symbol)
                }
                (Call::Balances | Call::BalancesAndHolds, Some(account)) => Want::Balances(account),
                (Call::Tickers { symbols, .. }, _) => match &symbols[..] {
                    [one] => Want::Tickers { single: Some(*one) },
                    _ => Want::Tickers { single: None },
                },
                _ => Want::Time,
            };
            let token =
                owner.and_then(|account| self.keys[route.venue as usize].token(account, real_unix_ms()));
            Ok((call, want, token.unwrap_or_default()))
        });
        match outcome {
            Ok((call, want, token)) => {
                let facts = if want == Want::Time { Some(now) } else { self.facts(want) };
                let Some(facts) = facts else { return self.refuse(out_of_reach()) };
                if matches!(call, Call::Tickers { .. }) {
                    let of = |symbol: SymbolId| facts.tickers.get(symbol.0 as usize).copied().flatten();
                    return web(rest.tickers(
                        &call,
                        &of,
                        self.start_unix_ns as i64,
                        facts.now_unix_ns.saturating_sub(self.start_unix_ns),
                    ));
                }
                let balances =
                    facts.balances.as_ref().map(|(account, balances)| (*account, balances.as_slice()));
                web(rest.answer(
                    &call,
                    &RestFacts {
                        now_unix_ns: facts.now_unix_ns,
                        book: facts.book.as_ref(),
                        balances,
                        token: &token,
                    },
                ))
            }
            Err(error) => self.refuse(web(rest.refuse(&error, now.now_unix_ns))),
        }
    }

    /// Counts an answer that is an error: not every venue says so in the status.
    fn refuse(&self, answer: WebAnswer) -> WebAnswer {
        self.counts.refused.fetch_add(1, Relaxed);
        answer
    }

    /// Whose request it is.
    fn owner(&self, route: &Route, request: &WebRequest) -> Result<AccountId, RestError> {
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signed = SignedRequest {
            method: &request.method,
            path: &route.path,
            query: &request.query,
            headers: &headers,
            body: &request.body,
        };
        self.keys[route.venue as usize].check_rest(&signed, real_unix_ms()).map_err(RestError::Access)
    }

    fn grade(&self, request: &WebRequest) -> WebAnswer {
        if request.method != "POST" {
            return WebAnswer::text(405, "post a book here").with("Allow", "POST");
        }
        match read_post(&request.body, &self.listing) {
            Err(problem) => WebAnswer::text(400, problem),
            Ok(posted) => match self.ask(|reply| Ask::Grade { posted, reply }) {
                Some(grade) => WebAnswer::json(200, grade.to_json()),
                None => out_of_reach(),
            },
        }
    }
}

impl tickstorm_net::Desk for Desk {
    fn answer(&self, request: WebRequest) -> WebAnswer {
        self.counts.requests.fetch_add(1, Relaxed);
        match request.path.as_str() {
            "/tickstorm/book" => return self.grade(&request),
            "/tickstorm/ca.pem" => {
                return match self.authority.get() {
                    Some(pem) => WebAnswer::text(200, pem.trim_end()),
                    None => WebAnswer::text(404, "there is no test authority: start with --tls"),
                };
            }
            _ => {}
        }
        match route(&request.path, &request.query, Asked::Http) {
            // Somebody looks at it with a browser.
            Some(Route { entry: Entry::Socket(_), .. }) => WebAnswer::upgrade_required(),
            Some(found) => self.answer_rest(&found, &request),
            None => unknown_path(&request.path),
        }
    }

    fn admit(&self, request: &WebRequest) -> Result<(), WebAnswer> {
        if self.counts.are_closed.load(Relaxed) {
            return Err(run_is_over());
        }
        match route(&request.path, &request.query, Asked::WebSocket) {
            Some(Route { venue, entry: Entry::Socket(_), .. }) => {
                let meter = |meter: &mut AddressMeter, now_ns| meter.on_connect(now_ns);
                match self.overstep(venue, request.peer.ip(), meter) {
                    Some((status, _)) => Err(WebAnswer::text(status, "too many connections in a short time")),
                    None => Ok(()),
                }
            }
            _ => Err(unknown_path(&request.path)),
        }
    }

    fn arrive(&self, arrival: Arrival) {
        let request = &arrival.request;
        let found = route(&request.path, &request.query, Asked::WebSocket);
        let Some(Route { venue, entry: Entry::Socket(socket), .. }) = found else { return };
        let SocketEntry { endpoint, combined, streams, listen_key } = socket;
        let who = Who {
            peer: request.peer,
            local: request.local,
            user_agent: request.header("user-agent").map(|name| name.chars().take(200).collect()),
            is_tls: request.is_tls,
        };
        let owner =
            listen_key.and_then(|key| self.keys[venue as usize].check_listen_key(&key, real_unix_ms()).ok());
        let entrance = Entrance { who, venue, endpoint, is_combined: combined, streams, owner };
        let asked = Ask::Arrive { arrival: Box::new(arrival), entrance };
        if self.asks.send(asked).is_ok() {
            let _ = self.poller.notify();
        }
    }
}

fn web(answer: Answer) -> WebAnswer {
    let Answer { status, headers, body } = answer;
    let plain = WebAnswer::json(status, body);
    headers.into_iter().fold(plain, |answer, (name, value)| answer.with(name, value))
}

fn unknown_path(path: &str) -> WebAnswer {
    let venues: Vec<&str> = Venue::ALL.iter().map(|venue| venue.name()).collect();
    let path: String = path.chars().take(200).collect();
    let text = format!(
        "{path} is no path of a venue; put the venue's name in front to be sure: /VENUE/..., one of {}",
        venues.join(", ")
    );
    WebAnswer::text(404, text)
}

/// The engine is over, or has no time.
fn out_of_reach() -> WebAnswer {
    WebAnswer::text(503, "the exchange does not answer").with("Retry-After", "1")
}

fn run_is_over() -> WebAnswer {
    WebAnswer::text(503, "the exchange is closing")
}

/// What clients sign with their own clocks is checked by the clock on the wall.
fn real_unix_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// Addresses times venues whose requests are counted; then counting begins anew.
const MOST_ADDRESSES: usize = 10_000;

/// How long a request waits for the engine.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::thread;

    use tickstorm_net::Desk as _;
    use tickstorm_random::Seed;

    use super::*;

    /// A desk before an engine that answers so many questions and then none, and what it counts.
    fn desk(answers: usize) -> (Desk, Arc<Asks>) {
        let (listing, spec) = (Listing::synthetic(2, Seed::new(1)), ServeSpec::default());
        let keys: Vec<Keys> = Venue::ALL.iter().map(|&venue| Keys::new(venue)).collect();
        let (asks, asked) = mpsc::channel();
        let poller = Arc::new(Poller::new().expect("the system has pollers"));
        let counts = Arc::new(Asks::default());
        thread::spawn(move || {
            for ask in asked.iter().take(answers) {
                let Ask::Facts { reply, .. } = ask else { panic!("nobody was to ask for anything else") };
                let facts = Facts { now_unix_ns: 0, book: None, balances: None, tickers: Vec::new() };
                // Who asked may have gone.
                let _ = reply.send(facts);
            }
        });
        (Desk::new(&listing, (&spec, 0), keys.into(), asks, poller, Arc::clone(&counts)), counts)
    }

    fn ask(desk: &Desk, path: &str, query: &str) -> WebAnswer {
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        desk.answer(WebRequest {
            method: "GET".into(),
            path: path.into(),
            query: query.into(),
            headers: Vec::new(),
            body: Vec::new(),
            peer: nowhere,
            local: nowhere,
            is_tls: false,
        })
    }

    fn counted(counts: &Asks) -> [u64; 2] {
        [counts.requests.load(Relaxed), counts.refused.load(Relaxed)]
    }

    #[test]
    fn who_asks_an_exchange_that_closes_is_refused_and_counted() {
        let (desk, counts) = desk(1);
        assert_eq!(ask(&desk, "/api/v3/time", "").status, 200);
        counts.are_closed.store(true, Relaxed);
        assert_eq!(ask(&desk, "/api/v3/time", "").status, 503);
        assert_eq!(counted(&counts), [2, 1]);
    }

    #[test]
    fn an_engine_that_does_not_answer_is_no_limit_of_the_venue() {
        let listing = Listing::synthetic(2, Seed::new(1));
        for venue in [Venue::Binance, Venue::Okx, Venue::Bybit] {
            let symbol = venue.symbol(&listing, &listing.instruments[0]);
            let (path, query) = match venue {
                Venue::Binance => ("/api/v3/depth", format!("symbol={symbol}")),
                Venue::Okx => ("/api/v5/market/ticker", format!("instId={symbol}")),
                _ => ("/v5/market/tickers", format!("category=spot&symbol={symbol}")),
            };
            let (desk, counts) = desk(1);
            let answer = ask(&desk, path, &query);
            assert_eq!(answer.status, 503, "{venue}: {}", String::from_utf8_lossy(&answer.body));
            assert!(answer.headers.contains(&("Retry-After".into(), "1".into())), "{venue}");
            assert_eq!(counted(&counts), [1, 1], "{venue}");
        }
    }
}
