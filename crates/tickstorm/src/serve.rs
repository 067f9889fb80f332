//! A mock exchange that unmodified trading clients connect to, under load: the venues' sockets and HTTP interfaces over
//! one market, and how each client kept up.
//!
//! [`Exchange::open`] opens the doors, [`Exchange::start`] waits for the clients and starts the clock. What follows is a
//! [`Run`] like any other.

mod client;
mod conflate;
mod desk;
mod floor;
mod gauge;
mod grade;
mod outlet;
mod requests;
mod results;
mod shop;
mod spec;
#[cfg(test)]
mod tests;
mod tick;

pub(crate) use outlet::ServeOutlet;
pub(crate) use results::Served;
pub use spec::{ApiKey, CLIENT_QUEUES, PingProbes, ServeSpec, SlowClient};
pub use tickstorm_net::{FrontError, TlsChoice, TlsError};
pub use tickstorm_venue::{
    limits::LimitProfile,
    options::{VENUE_OPTIONS, VenueOption, VenueOptions},
    publisher::Publishing,
};

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tickstorm_net::{Front, FrontSpec, Poller, observe::Observer};
use tickstorm_venue::{
    Venue,
    access::{KeyError, Keys},
};

use crate::{
    Plan, Run,
    run::{self, StartError},
};
use desk::{Asks, Desk};
use floor::{Floor, Time};
use outlet::Doorway;
use results::Board;

/// An exchange whose doors are open. Its clock has not started: clients can connect, ask, subscribe and get snapshots,
/// and the market stands still.
///
/// ```
/// use std::time::Duration;
/// use tickstorm::{Plan, Spec, serve::{Exchange, ServeSpec}};
///
/// let spec = Spec { duration: Some(Duration::from_millis(200)), ..Spec::default() };
/// let plan = Plan::serving(&spec)?;
/// let doors = ServeSpec { listen: "127.0.0.1:0".parse()?, clients: 0, ..ServeSpec::default() };
/// let exchange = Exchange::open(plan, doors)?;
/// println!("point your client at ws://{}/ws", exchange.address());
/// let report = exchange.start(|| false)?.wait().report;
/// assert_eq!(report.total_messages, 0, "nobody came, so nothing was owed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Exchange {
    plan: Plan,
    front: Front,
    outlet: ServeOutlet,
    served: Served,
    markets: run::MarketsOfRun,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("address", &self.front.address()).finish_non_exhaustive()
    }
}

/// Why an exchange could not be opened or started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen there.
    #[error("cannot open the exchange")]
    Front(#[source] FrontError),
    /// A key cannot be used.
    #[error("api key number {number} cannot be used")]
    Key {
        /// Which of [`ServeSpec::keys`], from 1.
        number: usize,
        /// Why not.
        source: KeyError,
    },
    /// A key opens an account that does not exist.
    #[error(
        "api key number {number} is for account {account}, but the market has {accounts}, counted from 0"
    )]
    Account {
        /// Which of [`ServeSpec::keys`], from 1.
        number: usize,
        /// Its account.
        account: u32,
        /// Accounts of the market.
        accounts: u32,
    },
    /// The system gave nothing to wait on sockets with, or no thread.
    #[error("cannot watch sockets")]
    System(#[source] io::Error),
    /// Not enough clients came in time.
    #[error("{} of {wanted} clients came and subscribed within {within:?}{waiting}", waiting.subscribed)]
    NobodyCame {
        /// Who came.
        waiting: Waiting,
        /// Clients that were waited for.
        wanted: u32,
        /// How long.
        within: Duration,
    },
    /// The person had enough of waiting.
    #[error("stopped before {wanted} clients had come; nothing was measured")]
    Interrupted {
        /// Clients that were waited for.
        wanted: u32,
    },
    /// The run could not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Who is there while clients are waited for. Its text is what there is to say beyond the number of subscribers: empty, or
/// to be put behind that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Clients with a subscription.
    pub subscribed: usize,
    /// Clients that are connected, those among them.
    pub connected: usize,
    /// What was refused last on a socket, and why.
    pub last_refused: Option<String>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.connected.saturating_sub(self.subscribed);
        if idle > 0 {
            write!(f, "; {idle} connected without a subscription")?;
        }
        if let Some(refused) = &self.last_refused {
            // It has the client's own words in it, which may be anything.
            let printable = refused.chars().map(|c| if c.is_control() { '?' } else { c });
            write!(f, "; last refused: {}", printable.take(REFUSED_MAX).collect::<String>())?;
        }
        Ok(())
    }
}

impl Exchange {
    /// Listens, and lets clients in. The plan says what they will be told, and when; it must be one for
    /// [serving](Plan::serving).
    pub fn open(plan: Plan, spec: ServeSpec) -> Result<Exchange, ServeError> {
        let mut plan = plan;
        plan.set_more_flags(spec.flags());
        let poller = Arc::new(Poller::new().map_err(ServeError::System)?);
        let keys: Arc<[Keys]> = keys(&spec, plan.spec().accounts)?.into();
        let opened = Instant::now();
        let opened_unix_ns =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        let is_wire_fixed = !plan.starts_now();
        let start_unix_ns = if is_wire_fixed { plan.start_unix_ns().max(0) as u64 } else { opened_unix_ns };
        let (asks, asked) = mpsc::channel();
        let counts = Arc::new(Asks::default());
        let listing = plan.market().listing.clone();
        let desk = Arc::new(Desk::new(
            &listing,
            (&spec, start_unix_ns),
            Arc::clone(&keys),
            asks,
            Arc::clone(&poller),
            Arc::clone(&counts),
        ));
        let time = Time {
            is_wire_fixed,
            run_starts_ns: None,
            measured_from_ns: plan.spec().warmup.as_nanos() as u64,
        };
        let markets = run::markets_of_run(&plan);
        let front = Front::start(
            FrontSpec { public: spec.is_public, tls: spec.tls.clone(), ..FrontSpec::new(spec.listen) },
            desk.clone(),
        )
        .map_err(ServeError::Front)?;
        if let Some(pem) = front.authority_pem() {
            desk.set_authority(pem);
        }
        let (results, gathered) = mpsc::channel();
        let board = Board::default();
        let served = Served::new(
            gathered,
            (Arc::clone(&counts), board.clone()),
            listing.clone(),
            &spec,
            front.address(),
        );
        let floor = Floor::new(spec, listing, (start_unix_ns, opened_unix_ns), time, keys, plan.recording());
        let doorway = Doorway {
            poller,
            asks: asked,
            counts,
            board,
            results,
            observer: Observer::start(opened).ok(),
            opened,
        };
        Ok(Exchange { plan, front, outlet: ServeOutlet::new(floor, doorway), served, markets })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// The throw-away authority that TLS clients are to trust, if there is one.
    pub fn authority_pem(&self) -> Option<&str> {
        self.front.authority_pem()
    }

    /// Waits for the clients, then starts the clock. `is_enough` is asked some times a second, and ends the waiting.
    pub fn start(self, is_enough: impl FnMut() -> bool) -> Result<Run, ServeError> {
        self.start_watched(is_enough, |_| {})
    }

    /// The same; `on_wait` is told from time to time who has come.
    pub fn start_watched(
        mut self,
        mut is_enough: impl FnMut() -> bool,
        mut on_wait: impl FnMut(&Waiting),
    ) -> Result<Run, ServeError> {
        let spec = self.outlet.spec();
        let (wanted, wait_for, calm) = (spec.clients, spec.wait_for, spec.calm());
        let began = Instant::now();
        let mut next_word = began;
        loop {
            let waiting = self.outlet.waiting();
            if waiting.subscribed >= wanted as usize {
                break;
            }
            if is_enough() {
                self.outlet.close_early();
                return Err(ServeError::Interrupted { wanted });
            }
            if let Some(within) = wait_for.filter(|&wait_for| began.elapsed() >= wait_for) {
                self.outlet.close_early();
                return Err(ServeError::NobodyCame { waiting, wanted, within });
            }
            if Instant::now() >= next_word {
                on_wait(&waiting);
                next_word = Instant::now() + WORD_EVERY;
            }
            self.outlet.attend(&self.markets, ATTEND);
        }
        // What clients do while they are told nothing is what they do without us.
        let calm = if wanted > 0 { calm } else { Duration::ZERO..=Duration::ZERO };
        let calm_began = Instant::now();
        loop {
            let until = if self.outlet.is_restless() { calm.end() } else { calm.start() };
            let left = until.saturating_sub(calm_began.elapsed());
            if left.is_zero() || is_enough() {
                break;
            }
            self.outlet.attend(&self.markets, ATTEND.min(left));
        }
        let Exchange { plan, front, outlet, served, markets } = self;
        Ok(run::start_serving(plan, outlet, markets, served.behind(front))?)
    }
}

/// By venue.
fn keys(spec: &ServeSpec, accounts: u32) -> Result<Vec<Keys>, ServeError> {
    let mut keys: Vec<Keys> = Venue::ALL.into_iter().map(Keys::new).collect();
    for (number, key) in (1..).zip(&spec.keys) {
        let account = key.credential.account.0;
        if account >= accounts {
            return Err(ServeError::Account { number, account, accounts });
        }
        let added = keys[key.venue as usize].add(key.credential.clone());
        added.map_err(|source| ServeError::Key { number, source })?;
    }
    Ok(keys)
}

/// How soon the last awaited client is noticed.
const ATTEND: Duration = Duration::from_millis(20);

/// How often it is said who is waited for.
const WORD_EVERY: Duration = Duration::from_millis(200);

/// Characters of what was refused that are told.
const REFUSED_MAX: usize = 200;
