//! What clients ask a venue by HTTP before and beside their sockets, and the bodies of the answers.

mod tickers;

pub use tickers::untraded;

use tickstorm_market::event::{AccountId, Snapshot, Ticker};
use tickstorm_market::instrument::{Listing, SymbolId};

use crate::access::AccessError;
use crate::decoded::AssetBalance;
use crate::decoder::DecodeError;
use crate::options::VenueOptions;
use crate::venue::Venue;
use crate::{binance, bybit, coinbase, kraken, okx};

/// A venue's HTTP interface, as far as clients of its sockets need it, both ways. Knows paths, parameters and
/// bodies; connections, and whether a signature holds, are the caller's.
#[derive(Debug, Clone)]
pub struct Rest {
    venue: Venue,
    listing: Listing,
    options: VenueOptions,
}

/// A request as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    /// As `GET`.
    pub method: &'a str,
    /// As `/api/v3/depth`, without what stands before the venue's own paths.
    pub path: &'a str,
    /// What follows the question mark, or nothing.
    pub query: &'a str,
    /// What was posted, or nothing.
    pub body: &'a [u8],
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Whether the venue is there.
    Ping,
    /// The venue's time.
    Time,
    /// The venue's state.
    Status,
    /// The instruments, all of them if none is named.
    Instruments(Vec<SymbolId>),
    /// What can be held.
    Assets,
    /// A book.
    Depth {
        /// Of which instrument.
        symbol: SymbolId,
        /// At most so many levels a side.
        limit: u32,
    },
    /// Statistics, of all instruments if none is named. [`Rest::tickers`] answers it.
    Tickers {
        /// Of which instruments.
        symbols: Vec<SymbolId>,
        /// Whether the client asked for one, and gets it without a list around it where that makes a difference.
        single: bool,
    },
    /// The balances of the client's account.
    Balances,
    /// The same with what is bound in orders, where that is a call of its own.
    BalancesAndHolds,
    /// A token that opens the private socket.
    SocketToken,
    /// Something that the client asks as a matter of form: the answer is empty and says so. The path.
    Formality(&'static str),
}

impl Call {
    /// Whether only the owner of an account is answered.
    pub const fn is_private(&self) -> bool {
        matches!(self, Call::Balances | Call::BalancesAndHolds | Call::SocketToken)
    }
}

/// What an answer is made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time.
    pub now_unix_ns: u64,
    /// The book, for [`Call::Depth`].
    pub book: Option<&'a Snapshot>,
    /// The account and its balances, for [`Call::Balances`].
    pub balances: Option<(AccountId, &'a [AssetBalance])>,
    /// For [`Call::SocketToken`].
    pub token: &'a str,
}

/// A request that the venue answers with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestError {
    /// There is no such path.
    UnknownPath,
    /// The path exists, but not for this method.
    WrongMethod {
        /// The right one.
        allowed: &'static str,
    },
    /// A parameter is missing.
    MissingParameter {
        /// Its name.
        name: &'static str,
    },
    /// A parameter has a wrong value.
    WrongParameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
    },
    /// There is no such instrument.
    UnknownSymbol {
        /// In the client's words.
        name: String,
    },
    /// The request must be signed by a known key.
    NotAllowed,
    /// It is signed, but not as it should be.
    Access(AccessError),
    /// Too many requests.
    TooFrequent,
}

/// An answer, but for its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As 200.
    pub status: u16,
    /// Beside those that every answer has.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

impl Rest {
    /// Speaks of the instruments of `listing`.
    pub fn new(venue: Venue, listing: &Listing) -> Self {
        Self::with_options(venue, listing, &VenueOptions::default())
    }

    /// The same, as the options say.
    pub fn with_options(venue: Venue, listing: &Listing, options: &VenueOptions) -> Self {
        Self { venue, listing: listing.clone(), options: *options }
    }

    /// Reads what a client wants. Binance has listen keys only if the options say so.
    pub fn read_request(&self, request: &HttpRequest<'_>) -> Result<Call, RestError> {
        match self.venue {
            Venue::Binance
                if request.path == binance::rest::LISTEN_KEY && !self.options.binance_listen_key =>
            {
                Err(RestError::UnknownPath)
            }
            Venue::Binance => binance::rest::read_request(&self.listing, request),
            Venue::Coinbase => coinbase::rest::read_request(&self.listing, request),
            Venue::Kraken => kraken::rest::read_request(&self.listing, request),
            Venue::Okx => okx::rest::read_request(&self.listing, request),
            Venue::Bybit => bybit::rest::read_request(&self.listing, request),
        }
    }

    /// The answer to a call, from facts that fit it.
    pub fn answer(&self, call: &Call, facts: &Facts<'_>) -> Answer {
        match self.venue {
            Venue::Binance => binance::rest::answer(&self.listing, call, facts),
            Venue::Coinbase => coinbase::rest::answer(&self.listing, call, facts),
            Venue::Kraken => kraken::rest::answer(&self.listing, call, facts),
            Venue::Okx => okx::rest::answer(&self.listing, call, facts),
            Venue::Bybit => bybit::rest::answer(&self.listing, call, facts),
        }
    }

    /// The answer to [`Call::Tickers`], in the order of the listing: at Binance, OKX and Bybit. `ticker` gives a symbol's
    /// statistics as of `now_ns`, ns since the start of the run, which was at `start_unix_ns`; symbols without any are
    /// left out. The other venues tell statistics on their sockets alone, and have no such path here.
    pub fn tickers(
        &self,
        call: &Call,
        ticker: &dyn Fn(SymbolId) -> Option<Ticker>,
        start_unix_ns: i64,
        now_ns: u64,
    ) -> Answer {
        tickers::answer(self.venue, &self.listing, call, ticker, start_unix_ns, now_ns)
    }

    /// What a call costs of what the venue allows: at Binance its weight, elsewhere one.
    pub fn weight(&self, call: &Call) -> u32 {
        match self.venue {
            Venue::Binance => binance::rest::weight(call),
            Venue::Coinbase | Venue::Kraken | Venue::Okx | Venue::Bybit => 1,
        }
    }

    /// The answer to a request that cannot be granted.
    pub fn refuse(&self, error: &RestError, now_unix_ns: u64) -> Answer {
        match self.venue {
            Venue::Binance => binance::rest::refuse(error, now_unix_ns),
            Venue::Coinbase => coinbase::rest::refuse(error, now_unix_ns),
            Venue::Kraken => kraken::rest::refuse(error, now_unix_ns),
            Venue::Okx => okx::rest::refuse(error, now_unix_ns),
            Venue::Bybit => bybit::rest::refuse(error, now_unix_ns),
        }
    }

    /// Path and query of a call, as a client sends it; none where the venue has no such call.
    pub fn path(&self, call: &Call) -> Option<String> {
        match self.venue {
            Venue::Binance => binance::rest::path(&self.listing, call),
            Venue::Coinbase => coinbase::rest::path(&self.listing, call),
            Venue::Kraken => kraken::rest::path(&self.listing, call),
            Venue::Okx => okx::rest::path(&self.listing, call),
            Venue::Bybit => bybit::rest::path(&self.listing, call),
        }
    }

    /// Reads the body of the answer to [`Call::Depth`].
    pub fn read_depth(&self, symbol: SymbolId, body: &[u8]) -> Result<Snapshot, DecodeError> {
        match self.venue {
            Venue::Binance => binance::rest::read_depth(&self.listing, symbol, body),
            Venue::Coinbase => coinbase::rest::read_depth(&self.listing, symbol, body),
            Venue::Kraken => kraken::rest::read_depth(&self.listing, symbol, body),
            Venue::Okx => okx::rest::read_depth(&self.listing, symbol, body),
            Venue::Bybit => bybit::rest::read_depth(&self.listing, symbol, body),
        }
    }

    /// Reads the body of the answer to [`Call::Instruments`]; start prices are not told, they are zero.
    pub fn read_instruments(&self, body: &[u8]) -> Result<Listing, DecodeError> {
        match self.venue {
            Venue::Binance => binance::rest::read_instruments(body),
            Venue::Coinbase => coinbase::rest::read_instruments(body),
            Venue::Kraken => kraken::rest::read_instruments(body),
            Venue::Okx => okx::rest::read_instruments(body),
            Venue::Bybit => bybit::rest::read_instruments(body),
        }
    }

    /// Reads the body of the answer to [`Call::Time`]: Unix ns.
    pub fn read_time(&self, body: &[u8]) -> Result<u64, DecodeError> {
        match self.venue {
            Venue::Binance => binance::rest::read_time(body),
            Venue::Coinbase => coinbase::rest::read_time(body),
            Venue::Kraken => kraken::rest::read_time(body),
            Venue::Okx => okx::rest::read_time(body),
            Venue::Bybit => bybit::rest::read_time(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessError;
    use crate::testing::listing;

    #[test]
    fn listen_keys_are_an_option() {
        let request = |method| HttpRequest { method, path: "/api/v3/userDataStream", query: "", body: b"" };
        let rest = Rest::new(Venue::Binance, &listing());
        assert_eq!(rest.read_request(&request("POST")), Err(RestError::UnknownPath));
        let options = VenueOptions::parse(["binance-listen-key=on"]).unwrap();
        let rest = Rest::with_options(Venue::Binance, &listing(), &options);
        assert_eq!(rest.read_request(&request("POST")), Ok(Call::SocketToken));
    }

    #[test]
    fn a_call_costs_what_its_answer_says() {
        let rest = Rest::new(Venue::Binance, &listing());
        let facts = Facts { now_unix_ns: 0, book: None, balances: None, token: "" };
        for (path, query, weight) in [
            ("/api/v3/time", "", 1),
            ("/api/v3/depth", "symbol=BTCUSDT&limit=5000", 250),
            ("/api/v3/account", "", 20),
            ("/api/v3/ticker/24hr", "symbol=BTCUSDT", 2),
            ("/api/v3/ticker/24hr", "symbols=%5B%22BTCUSDT%22%5D", 2),
            ("/api/v3/ticker/24hr", "", 80),
        ] {
            let call = rest.read_request(&HttpRequest { method: "GET", path, query, body: b"" }).unwrap();
            let answer = match call {
                Call::Tickers { .. } => rest.tickers(&call, &|_| None, 0, 0),
                _ => rest.answer(&call, &facts),
            };
            assert_eq!(rest.weight(&call), weight, "{path}?{query}");
            assert_eq!(answer.headers, [("X-MBX-USED-WEIGHT-1M", weight.to_string())], "{path}?{query}");
        }
        assert_eq!(
            Rest::new(Venue::Okx, &listing()).weight(&Call::Tickers { symbols: vec![], single: false }),
            1
        );
    }

    #[test]
    fn what_is_bound_in_orders_is_told_where_clients_ask_for_it() {
        let rest = Rest::new(Venue::Kraken, &listing());
        let request =
            HttpRequest { method: "POST", path: "/0/private/BalanceEx", query: "", body: b"nonce=1" };
        let call = rest.read_request(&request).unwrap();
        let balance = AssetBalance {
            asset: tickstorm_market::instrument::AssetId(1),
            total_units: 103_900_000,
            locked_units: Some(3_900_000),
            change_units: None,
        };
        let balances = Some((AccountId(0), &[balance][..]));
        let answer = rest.answer(&call, &Facts { now_unix_ns: 0, book: None, balances, token: "" });
        assert_eq!(
            String::from_utf8(answer.body).unwrap(),
            r#"{"error":[],"result":{"XXBT":{"balance":"1.03900000","hold_trade":"0.03900000"}}}"#
        );
    }

    #[test]
    fn every_wrong_proof_is_answered_in_the_venue_s_words() {
        let errors = [
            AccessError::Missing { what: "OK-ACCESS-SIGN" },
            AccessError::Missing { what: "X-MBX-APIKEY" },
            AccessError::Unreadable { what: "timestamp" },
            AccessError::UnknownKey,
            AccessError::Late,
            AccessError::Early,
            AccessError::WrongPassphrase,
            AccessError::WrongSignature,
        ];
        for venue in Venue::ALL {
            let rest = Rest::new(venue, &listing());
            for error in &errors {
                let answer = rest.refuse(&RestError::Access(error.clone()), 1_795_420_800_000_000_000);
                let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert!(body.is_object(), "{venue} {error:?}");
                assert_eq!(answer.status == 200, matches!(venue, Venue::Kraken | Venue::Bybit), "{venue}");
            }
        }
        let told = |venue, error| {
            let answer = Rest::new(venue, &listing()).refuse(&RestError::Access(error), 0);
            String::from_utf8(answer.body).unwrap()
        };
        assert!(told(Venue::Binance, AccessError::Late).starts_with(r#"{"code":-1021,"#));
        assert!(told(Venue::Okx, AccessError::WrongSignature).starts_with(r#"{"code":"50113","#));
        assert!(told(Venue::Bybit, AccessError::WrongSignature).starts_with(r#"{"retCode":10004,"#));
        assert!(told(Venue::Kraken, AccessError::WrongSignature).contains("EAPI:Invalid signature"));
    }

    #[test]
    fn the_configuration_of_an_account_of_okx_names_it() {
        let rest = Rest::new(Venue::Okx, &listing());
        let request = HttpRequest { method: "GET", path: "/api/v5/account/config", query: "", body: b"" };
        let call = rest.read_request(&request).unwrap();
        let balances = Some((AccountId(7), &[][..]));
        let answer = rest.answer(&call, &Facts { now_unix_ns: 0, book: None, balances, token: "" });
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&body["code"], &body["data"][0]["uid"]), (&"0".into(), &"7".into()));
    }
}
