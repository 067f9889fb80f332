//! A client of a venue, or of anything that speaks like one: it subscribes, keeps verified books, and counts what it
//! gets, how old it was, and what was wrong.
//!
//! [`Consumer`] is the other half of a server, for trying one out, and a reference for what a right client does: where
//! the first state of a book comes from, how an update continues it, what to do after a loss, and how to keep a
//! connection alive. `docs/consume.md` tells it venue by venue.
//!
//! ```no_run
//! use std::time::Duration;
//! use tickstorm::Venue;
//! use tickstorm::consume::{ConsumeExtent, ConsumeSpec, Consumer};
//!
//! let spec = ConsumeSpec::new(Venue::Kraken, "127.0.0.1:9443");
//! let extent = ConsumeExtent { duration: Some(Duration::from_secs(30)), ..ConsumeExtent::default() };
//! let report = Consumer::connect(&spec)?.run(&extent, |interval| println!("{interval:?}"), || false);
//! assert!(report.faults.is_clean(), "{:?}", report.faults);
//! # Ok::<(), tickstorm::consume::ConsumeError>(())
//! ```

mod address;
mod choice;
mod drive;
mod etiquette;
mod report;
mod session;
mod tally;

use std::time::Duration;

use thiserror::Error;
use tickstorm_net::{ConnectError, HttpError};
pub use tickstorm_net::{Trust, TrustError};
use tickstorm_venue::{DecodeError, Venue};

pub use choice::{ConsumeChannel, ConsumeSymbols, ConsumeSymbolsError, UnknownConsumeChannel};
pub use drive::Consumer;
pub use report::{ConsumeEnd, ConsumeInterval, ConsumeReport, ConsumeVerdict, SymbolReport};
pub use session::{Books, Reconnect};
pub use tally::{Ages, ConsumeClosing, ConsumeCounts, ConsumeFault, ConsumeFaults};

/// What to consume, and how.
#[derive(Debug, Clone)]
pub struct ConsumeSpec {
    /// Whose dialect the server speaks.
    pub venue: Venue,
    /// Where it is: `ws://host:port`, `wss://host/prefix` or `host:port`. The venue's own path is added.
    pub url: String,
    /// Where its HTTP interface is: `https://host/prefix`; by default at the same place.
    pub rest: Option<String>,
    /// Which instruments; by default the ten first.
    pub symbols: ConsumeSymbols,
    /// Which kinds of messages; by default books and trades.
    pub channels: Vec<ConsumeChannel>,
    /// Levels a side of the books, zero for all; by default what the venue gives to who does not say.
    pub depth: Option<u32>,
    /// Whether books are kept and verified, as by default.
    pub books: Books,
    /// What to do when the connection is lost or the server closes it; by default it is opened again.
    pub reconnect: Reconnect,
    /// Messages that are older than this when they are decoded are counted.
    pub max_age: Option<Duration>,
    /// Who vouches for a server with TLS; by default whom this system trusts.
    pub trust: Option<Trust>,
    /// Whether the server may lie outside loopback and private address ranges.
    pub allow_public: bool,
    /// How long a connection, and an answer by HTTP, may take to come: 10 s by default.
    pub timeout: Duration,
}

impl ConsumeSpec {
    /// The defaults for a server.
    pub fn new(venue: Venue, url: impl Into<String>) -> Self {
        Self {
            venue,
            url: url.into(),
            rest: None,
            symbols: ConsumeSymbols::default(),
            channels: vec![ConsumeChannel::Book, ConsumeChannel::Trades],
            depth: None,
            books: Books::default(),
            reconnect: Reconnect::default(),
            max_age: None,
            trust: None,
            allow_public: false,
            timeout: Duration::from_secs(10),
        }
    }
}

/// How long to consume, and how often to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumeExtent {
    /// Until stopped, if none.
    pub duration: Option<Duration>,
    /// From one report of progress to the next, a second by default; at least a hundredth of one.
    pub interval: Duration,
}

impl Default for ConsumeExtent {
    fn default() -> Self {
        Self { duration: None, interval: Duration::from_secs(1) }
    }
}

/// Why nothing is consumed.
#[derive(Debug, Error)]
pub enum ConsumeError {
    /// The specification asks for what there is not: all that is wrong with it.
    #[error("{}", .0.iter().map(|it| format!("{}: {}", it.setting, it.message)).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<ConsumeMistake>),
    /// The server cannot be reached, or is none.
    #[error("cannot consume")]
    Connect(#[from] ConnectError),
    /// Nobody can vouch for the server.
    #[error("cannot consume")]
    Trust(#[from] TrustError),
    /// The list of instruments cannot be had.
    #[error("cannot list the instruments")]
    Ask(#[from] HttpError),
    /// The server has no list of instruments for us.
    #[error("cannot list the instruments: {url} answers with status {status}, expected 200: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// As 404.
        status: u16,
        /// The beginning of what it said.
        body: String,
    },
    /// The list of instruments is none.
    #[error("cannot read the instruments of {url}")]
    Instruments {
        /// What was asked.
        url: String,
        /// What is wrong.
        source: DecodeError,
    },
    /// The system has no poller for us.
    #[error("cannot wait for messages")]
    Poller(#[from] std::io::Error),
}

/// A part of a specification that cannot be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeMistake {
    /// Which: `url`, `rest`, `symbols`, `channels` or `depth`.
    pub setting: &'static str,
    /// What is wrong with it, and what is allowed.
    pub message: String,
}
