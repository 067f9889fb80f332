//! The names of the HTTP interface. Its older assets have two more beside the modern one: `XBT` and `XXBT` for BTC,
//! `USD` and `ZUSD` for USD.

use tickstorm_market::instrument::{Instrument, Listing};

/// The short name of an asset, of which the names of pairs are made.
pub(super) fn short(asset: &str) -> &str {
    OLD_ASSETS.iter().find(|old| old.modern == asset).map_or(asset, |old| old.short)
}

/// The key of an asset.
pub(super) fn code(asset: &str) -> &str {
    OLD_ASSETS.iter().find(|old| old.modern == asset).map_or(asset, |old| old.code)
}

/// What an asset is called on the sockets, from any of its names.
pub(super) fn modern(name: &str) -> &str {
    let is = |old: &&OldAsset| old.modern == name || old.short == name || old.code == name;
    OLD_ASSETS.iter().find(is).map_or(name, |old| old.modern)
}

/// The name of a pair without separator, as `XBTUSD`.
pub(super) fn alternative(listing: &Listing, instrument: &Instrument) -> String {
    let [base, quote] = [instrument.base, instrument.quote].map(|asset| short(listing.asset(asset)));
    [base, quote].concat()
}

/// The key of a pair: of old assets made of their codes, as `XXBTZUSD`, of others the name without separator.
pub(super) fn key(listing: &Listing, instrument: &Instrument) -> String {
    let [base, quote] = [instrument.base, instrument.quote].map(|asset| listing.asset(asset));
    if code(base) != base && code(quote) != quote {
        [code(base), code(quote)].concat()
    } else {
        alternative(listing, instrument)
    }
}

/// Whether a client means this pair, by any of its names.
pub(super) fn names(listing: &Listing, instrument: &Instrument, name: &str) -> bool {
    let [base, quote] = [instrument.base, instrument.quote].map(|asset| listing.asset(asset));
    match name.split_once('/') {
        Some((one, other)) => modern(one) == modern(base) && modern(other) == modern(quote),
        None => {
            name == key(listing, instrument)
                || name == alternative(listing, instrument)
                || name.strip_prefix(base) == Some(quote)
        }
    }
}

/// Base and quote of a pair that is written `XBT/USD`, in modern names.
pub(super) fn split(name: &str) -> Option<[String; 2]> {
    let (base, quote) = name.split_once('/')?;
    Some([base, quote].map(|asset| modern(asset).to_owned()))
}

struct OldAsset {
    modern: &'static str,
    short: &'static str,
    code: &'static str,
}

const fn old(modern: &'static str, short: &'static str, code: &'static str) -> OldAsset {
    OldAsset { modern, short, code }
}

/// Assets of the venue's first years.
const OLD_ASSETS: [OldAsset; 17] = [
    old("BTC", "XBT", "XXBT"),
    old("DOGE", "XDG", "XXDG"),
    old("ETH", "ETH", "XETH"),
    old("ETC", "ETC", "XETC"),
    old("LTC", "LTC", "XLTC"),
    old("MLN", "MLN", "XMLN"),
    old("REP", "REP", "XREP"),
    old("XLM", "XLM", "XXLM"),
    old("XMR", "XMR", "XXMR"),
    old("XRP", "XRP", "XXRP"),
    old("ZEC", "ZEC", "XZEC"),
    old("AUD", "AUD", "ZAUD"),
    old("CAD", "CAD", "ZCAD"),
    old("EUR", "EUR", "ZEUR"),
    old("GBP", "GBP", "ZGBP"),
    old("JPY", "JPY", "ZJPY"),
    old("USD", "USD", "ZUSD"),
];

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;

    #[test]
    fn old_assets_have_three_names_and_pairs_of_them_four() {
        let listing = Listing::synthetic(60, Seed::new(1));
        let bitcoin = &listing.instruments[0];
        assert_eq!((short("BTC"), code("BTC"), modern("XXBT"), modern("SOL")), ("XBT", "XXBT", "BTC", "SOL"));
        assert_eq!(key(&listing, bitcoin), "XBTUSDT", "the dollar token is no old asset");
        for name in ["XBTUSDT", "BTCUSDT", "BTC/USDT", "XBT/USDT"] {
            assert!(names(&listing, bitcoin, name), "{name}");
        }
        for name in ["", "/", "XBTUSD", "ETHUSDT", "XBT-USDT", "BTC/USDT/"] {
            assert!(!names(&listing, bitcoin, name), "{name}");
        }
        assert_eq!(split("XBT/USDT"), Some(["BTC".to_owned(), "USDT".to_owned()]));
    }

    #[test]
    fn no_pair_answers_to_the_name_of_another() {
        let listing = Listing::synthetic(200, Seed::new(1));
        for one in listing.instruments.iter() {
            let named = |other: &&Instrument| names(&listing, other, &key(&listing, one));
            assert_eq!(listing.instruments.iter().filter(named).count(), 1, "{}", one.symbol);
        }
    }
}
