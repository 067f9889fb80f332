//! Where a venue's socket and its HTTP interface are.

use tickstorm_net::{Endpoint, EndpointError};
use tickstorm_venue::Venue;

use super::etiquette;

/// The two addresses of a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) socket: Endpoint,
    /// Its path stands before those of the venue.
    pub(super) rest: Endpoint,
}

impl Address {
    /// From `ws://host:port`, `wss://host/prefix` or `host:port`. A path is what stands before the venue's own, or ends
    /// with it. HTTP is at the same place, unless `rest` says where.
    pub(super) fn of(venue: Venue, url: &str) -> Result<Self, EndpointError> {
        let url = url.trim();
        let given: Endpoint = match url.contains("://") {
            true => url.parse()?,
            false => format!("ws://{url}").parse()?,
        };
        let native = etiquette::of(venue).socket_path;
        let (path, query) = given.resource().split_once('?').unwrap_or((given.resource(), ""));
        let prefix = path.strip_suffix(native).unwrap_or(path).trim_end_matches('/');
        let question = if query.is_empty() { "" } else { "?" };
        Ok(Self {
            socket: given.with_resource(&format!("{prefix}{native}{question}{query}"))?,
            rest: given.http().with_resource(prefix)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_venues_own_path_is_added_to_what_is_given() {
        for (venue, url, socket, rest) in [
            (Venue::Binance, "127.0.0.1:9443", "ws://127.0.0.1:9443/ws", "http://127.0.0.1:9443/"),
            (
                Venue::Binance,
                "wss://h/ws?timeUnit=MICROSECOND",
                "wss://h/ws?timeUnit=MICROSECOND",
                "https://h/",
            ),
            (Venue::Kraken, "ws://h:1/kraken", "ws://h:1/kraken/v2", "http://h:1/kraken"),
            (Venue::Kraken, "ws://h:1/kraken/v2/", "ws://h:1/kraken/v2/v2", "http://h:1/kraken/v2"),
            (Venue::Kraken, "ws://h:1/kraken/v2", "ws://h:1/kraken/v2", "http://h:1/kraken"),
            (Venue::Coinbase, "ws://h:1", "ws://h:1/", "http://h:1/"),
            (Venue::Coinbase, "ws://h:1/coinbase", "ws://h:1/coinbase/", "http://h:1/coinbase"),
            (Venue::Okx, "[::1]:8443", "ws://[::1]:8443/ws/v5/public", "http://[::1]:8443/"),
            (Venue::Bybit, "wss://h", "wss://h/v5/public/spot", "https://h/"),
        ] {
            let address = Address::of(venue, url).unwrap();
            assert_eq!(address.socket, socket.parse().unwrap(), "{url}");
            assert_eq!(address.rest, Endpoint::of_http(rest).unwrap(), "{url}");
        }
        assert!(matches!(Address::of(Venue::Okx, "http://h"), Err(EndpointError::Scheme { .. })));
    }
}
