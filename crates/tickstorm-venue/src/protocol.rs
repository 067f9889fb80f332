//! What clients ask over their sockets and what they are answered, apart from the market's own messages.

use tickstorm_market::instrument::{Listing, SymbolId};

use crate::access::AccessError;
use crate::decoder::DecodeError;
use crate::encoder::Numbering;
use crate::options::{ErrorEnvelope, VenueOptions};
use crate::rest::{Answer, Call};
use crate::venue::Venue;
use crate::{binance, bybit, coinbase, kraken, okx};

/// A venue's commands and acknowledgements, both ways. Not made for speed.
#[derive(Debug, Clone)]
pub struct Protocol {
    venue: Venue,
    listing: Listing,
    options: VenueOptions,
}

/// What a client can subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    /// The kind of messages.
    pub channel: Channel,
    /// About which instrument; none where the channel is not about a single one.
    pub symbol: Option<SymbolId>,
    /// In the venue's words, as the client wrote them where there is a choice: `btcusdt@depth@100ms`.
    pub name: String,
}

/// Kinds of messages that can be subscribed to, over all venues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// A book of so many levels a side, zero for all, as snapshot and updates.
    Book {
        /// Levels a side.
        depth: u32,
    },
    /// The best levels, all of them in every message.
    TopOfBook {
        /// Levels a side.
        depth: u32,
    },
    /// Public trades.
    Trades,
    /// Trades summed by order and price.
    AggregateTrades,
    /// The best prices at every change.
    Quotes,
    /// 24 h statistics.
    Tickers,
    /// 24 h statistics in short.
    ShortTickers,
    /// Own orders.
    Orders,
    /// Own fills, where they are told apart from orders.
    Fills,
    /// Own balances.
    Balances,
    /// Everything about the own account, where that is one subscription.
    User,
    /// The instruments and their state.
    Instruments,
    /// A message every second.
    Heartbeats,
}

/// A client's own number of a request, as JSON text: `7`, `"r1"`, `null`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(pub String);

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To be sent these messages.
    Subscribe {
        /// To be repeated in the answer.
        id: Option<RequestId>,
        /// At least one.
        topics: Vec<Topic>,
        /// Whether a snapshot is to come first, where the client has a choice and made it.
        snapshot: Option<bool>,
        /// Whether the last fills of its own orders are to come first, where the client has a choice and made it.
        fills: Option<bool>,
        /// The permission that comes with the request, where there is no login of its own.
        login: Option<Login>,
    },
    /// No longer to be sent these messages.
    Unsubscribe {
        /// To be repeated in the answer.
        id: Option<RequestId>,
        /// At least one.
        topics: Vec<Topic>,
    },
    /// What it is subscribed to.
    List {
        /// To be repeated in the answer.
        id: Option<RequestId>,
    },
    /// Whether the connection is alive.
    Ping {
        /// To be repeated in the answer.
        id: Option<RequestId>,
    },
    /// To be recognised as the owner of an account.
    Login {
        /// To be repeated in the answer.
        id: Option<RequestId>,
        /// Who, with the proof.
        login: Login,
    },
    /// Whom the connection speaks for.
    Session {
        /// To be repeated in the answer.
        id: Option<RequestId>,
    },
    /// To speak for nobody any more.
    Logout {
        /// To be repeated in the answer.
        id: Option<RequestId>,
    },
    /// What the HTTP interface answers as well.
    Call {
        /// To be repeated in the answer.
        id: Option<RequestId>,
        /// What.
        call: Call,
        /// The permission that comes with the request, where it needs one and there was no login.
        login: Option<Login>,
    },
    /// To have messages wrapped with the name of their stream, or not.
    SetCombined {
        /// To be repeated in the answer.
        id: Option<RequestId>,
        /// Whether.
        combined: bool,
    },
    /// Whether messages are wrapped with the name of their stream.
    GetCombined {
        /// To be repeated in the answer.
        id: Option<RequestId>,
    },
}

/// Who a client claims to be, with the proof.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// The public part of the key; empty where a token stands for all.
    pub key: String,
    /// What was signed, exactly; empty where nothing is.
    pub payload: String,
    /// The signature as the client wrote it, or the token.
    pub signature: String,
    /// Where the venue has one.
    pub passphrase: Option<String>,
    /// When it was signed, or until when it is good, as the venue defines it: Unix ms.
    pub time_ms: Option<u64>,
}

/// Whom a connection speaks for. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// The key that it has logged in with, and when; none if it has not.
    pub login: Option<(String, u64)>,
    /// When it connected.
    pub connected_ms: u64,
    /// Whether it is told of its account.
    pub is_subscribed: bool,
}

/// A request that cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// To be repeated in the answer, where it could be read.
    pub id: Option<RequestId>,
    /// Why.
    pub refusal: Refusal,
    /// The topic concerned, in the client's words.
    pub topic: Option<String>,
    /// Whether the client wanted to subscribe, unsubscribe, log in ...: the venue's own word.
    pub method: Option<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is no JSON. Line and column count from 1.
    NoJson {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// It does not say what it wants, or something unknown.
    UnknownMethod {
        /// What it says.
        found: String,
    },
    /// Something is missing.
    MissingField {
        /// What.
        field: &'static str,
    },
    /// Something has the wrong type or value.
    WrongValue {
        /// What.
        field: &'static str,
        /// What it is.
        found: String,
    },
    /// There is no such channel.
    UnknownChannel {
        /// In the client's words.
        name: String,
    },
    /// There is no such instrument.
    UnknownSymbol {
        /// In the client's words.
        name: String,
    },
    /// The channel is not offered at this depth.
    UnknownDepth {
        /// What was asked for.
        depth: String,
    },
    /// It is subscribed to already.
    AlreadySubscribed,
    /// It is not subscribed to.
    NotSubscribed,
    /// More subscriptions, or longer requests, than allowed.
    TooMany {
        /// The most.
        limit: u32,
    },
    /// Requests come too fast.
    TooFrequent,
    /// The channel is for owners of accounts.
    NotLoggedIn,
    /// The proof does not hold.
    LoginFailed,
    /// The proof does not hold, and it is known why.
    Access(AccessError),
    /// The request is for another endpoint.
    WrongEndpoint,
}

/// What a client is answered, or told without having asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The topics are subscribed to.
    Subscribed {
        /// The client's.
        id: Option<RequestId>,
        /// Those asked for.
        topics: Vec<Topic>,
        /// All that the connection is subscribed to now.
        all: Vec<Topic>,
        /// Whether a snapshot is to come first, as the client wished; none where it made no wish, and where the venue's
        /// answer does not say.
        snapshot: Option<bool>,
    },
    /// The topics are no longer subscribed to.
    Unsubscribed {
        /// The client's.
        id: Option<RequestId>,
        /// Those asked for.
        topics: Vec<Topic>,
        /// All that the connection is subscribed to now.
        all: Vec<Topic>,
    },
    /// What the connection is subscribed to.
    Subscriptions {
        /// The client's.
        id: Option<RequestId>,
        /// All of it.
        all: Vec<Topic>,
    },
    /// The request cannot be granted.
    Refused(Refused),
    /// The connection is alive.
    Pong {
        /// The client's.
        id: Option<RequestId>,
    },
    /// The client owns the account.
    LoggedIn {
        /// The client's.
        id: Option<RequestId>,
    },
    /// Whom the connection speaks for: at Binance, where that is the answer to a login, too.
    Session {
        /// The client's.
        id: Option<RequestId>,
        /// As it is now.
        session: Session,
    },
    /// What the HTTP interface answers.
    Called {
        /// The client's.
        id: Option<RequestId>,
        /// With its status and body.
        answer: Answer,
    },
    /// Whether messages are wrapped with the name of their stream; an acknowledgement if none.
    Combined {
        /// The client's.
        id: Option<RequestId>,
        /// Whether, if that was asked.
        combined: Option<bool>,
    },
    /// The venue's first words, where it has any.
    Greeting,
    /// A sign of life.
    Heartbeat {
        /// How many came before on this connection.
        count: u64,
    },
    /// The connection will be closed for maintenance.
    ClosingSoon,
}

/// What the wording of a reply depends on beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The time.
    pub now_unix_ns: u64,
    /// The venue's number of the connection.
    pub connection: u64,
    /// Where the client is connected.
    pub endpoint: Endpoint,
}

/// The sockets that venues offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// For market data.
    Public,
    /// For own orders and balances.
    Private,
}

impl Protocol {
    /// Speaks of the instruments of `listing`.
    pub fn new(venue: Venue, listing: &Listing) -> Self {
        Self::with_options(venue, listing, &VenueOptions::default())
    }

    /// The same, as the options say.
    pub fn with_options(venue: Venue, listing: &Listing, options: &VenueOptions) -> Self {
        Self { venue, listing: listing.clone(), options: *options }
    }

    /// Reads what a client wants. No input makes it panic, and none takes more memory than a few times its own.
    pub fn read_request(&self, bytes: &[u8], endpoint: Endpoint) -> Result<Request, Refused> {
        let listing = &self.listing;
        match self.venue {
            Venue::Binance => binance::protocol::read_request(listing, bytes, endpoint),
            Venue::Coinbase => coinbase::protocol::read_request(listing, bytes, endpoint),
            Venue::Kraken => kraken::protocol::read_request(listing, bytes, endpoint),
            Venue::Okx => okx::protocol::read_request(listing, bytes, endpoint),
            Venue::Bybit => bybit::protocol::read_request(listing, bytes, endpoint),
        }
    }

    /// Appends a request in the venue's words. `false` where the venue has no such request.
    pub fn write_request(&self, request: &Request, out: &mut Vec<u8>) -> bool {
        match self.venue {
            Venue::Binance => binance::protocol::write_request(&self.listing, request, out),
            Venue::Coinbase => coinbase::protocol::write_request(&self.listing, request, out),
            Venue::Kraken => kraken::protocol::write_request(&self.listing, request, out),
            Venue::Okx => okx::protocol::write_request(&self.listing, request, out),
            Venue::Bybit => bybit::protocol::write_request(&self.listing, request, out),
        }
    }

    /// Hands every message of a reply to `send`: none where the venue does not say such a thing, one for each
    /// topic where it does so.
    pub fn write_reply(
        &self,
        reply: &Reply,
        circumstances: &Circumstances,
        numbering: &mut Numbering,
        mut send: impl FnMut(&[u8]),
    ) {
        let listing = &self.listing;
        let send: &mut dyn FnMut(&[u8]) = &mut send;
        match (self.venue, reply) {
            (Venue::Binance, Reply::Refused(refused))
                if circumstances.endpoint == Endpoint::Public
                    && self.options.binance_error_envelope == ErrorEnvelope::Flat =>
            {
                return binance::protocol::write_flat_refusal(refused, send);
            }
            _ => {}
        }
        match self.venue {
            Venue::Binance => binance::protocol::write_reply(listing, reply, circumstances, numbering, send),
            Venue::Coinbase => {
                coinbase::protocol::write_reply(listing, reply, circumstances, numbering, send)
            }
            Venue::Kraken => {
                let trades = self.options.kraken_trade_snapshot;
                kraken::protocol::write_reply(listing, reply, trades, circumstances, send)
            }
            Venue::Okx => okx::protocol::write_reply(listing, reply, circumstances, numbering, send),
            Venue::Bybit => bybit::protocol::write_reply(listing, reply, circumstances, numbering, send),
        }
    }

    /// Reads a message that the [`Decoder`](crate::Decoder) calls
    /// [`Control`](crate::Decoded::Control); none if it is no reply.
    pub fn read_reply(&self, bytes: &[u8]) -> Result<Option<Reply>, DecodeError> {
        match self.venue {
            Venue::Binance => binance::protocol::read_reply(&self.listing, bytes),
            Venue::Coinbase => coinbase::protocol::read_reply(&self.listing, bytes),
            Venue::Kraken => kraken::protocol::read_reply(&self.listing, bytes),
            Venue::Okx => okx::protocol::read_reply(&self.listing, bytes),
            Venue::Bybit => bybit::protocol::read_reply(&self.listing, bytes),
        }
    }
}
