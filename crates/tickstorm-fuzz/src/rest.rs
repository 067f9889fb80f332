//! What clients ask by HTTP, and the bodies of answers.

use tickstorm_market::{AccountId, AssetId, Snapshot, SymbolId};
use tickstorm_venue::decoded::AssetBalance;
use tickstorm_venue::rest::{Call, Facts, HttpRequest};
use tickstorm_venue::{Rest, Venue};

use crate::listing;

pub(crate) fn run(venue: Venue, data: &[u8]) {
    let listing = listing();
    let rest = Rest::new(venue, &listing);
    ask(&rest, data);
    for instrument in listing.instruments.iter() {
        let Ok(book) = rest.read_depth(instrument.id, data) else { continue };
        let mut levels = book.bids.iter().chain(&book.asks);
        // Quantities whose units do not fit 64 bits are read, but no market has them to write.
        if levels.all(|&(_, lots)| lots.checked_mul(instrument.lot).is_some()) {
            rewrite(&rest, &book);
        }
    }
    drop(rest.read_time(data));
}

/// A request in a line, its body behind it.
fn ask(rest: &Rest, data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let Ok(line) = std::str::from_utf8(&data[..end]) else { return };
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = data.get(end + 1..).unwrap_or_default();
    let answer = match rest.read_request(&HttpRequest { method, path, query, body }) {
        Ok(call) => {
            again(rest, &call);
            answer(rest, &call)
        }
        Err(error) => rest.refuse(&error, NOW_UNIX_NS),
    };
    assert!((100..600).contains(&answer.status), "{}", answer.status);
    let json = serde_json::from_slice::<serde_json::Value>(&answer.body);
    let show = || String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        answer.body.is_empty() || json.is_ok(),
        "{line:?} is answered with {}, no JSON: {json:?}",
        show()
    );
}

/// The path that we give a call is that call's.
fn again(rest: &Rest, call: &Call) {
    let Some(target) = rest.path(call) else { return };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    for method in ["GET", "POST"] {
        let request = HttpRequest { method, path, query, body: &[] };
        if rest.read_request(&request).as_ref() == Ok(call) {
            return;
        }
    }
    panic!("{call:?} has the path {target}, which is another call");
}

fn answer(rest: &Rest, call: &Call) -> tickstorm_venue::rest::Answer {
    let symbol = match *call {
        Call::Depth { symbol, .. } => symbol,
        _ => SymbolId(0),
    };
    let book = Snapshot {
        symbol,
        sequence: 1,
        update_id: u64::MAX,
        bids: vec![(u32::MAX - 1, 1)],
        asks: vec![(u32::MAX, u64::MAX / 2)],
    };
    let balance = AssetBalance {
        asset: AssetId(1),
        total_units: i64::MAX,
        locked_units: Some(i64::MAX),
        change_units: None,
    };
    let balances = [balance];
    let facts = Facts {
        now_unix_ns: NOW_UNIX_NS,
        book: Some(&book),
        balances: Some((AccountId(1), &balances)),
        token: "token",
    };
    rest.answer(call, &facts)
}

/// What we answer of a book that was read is that book.
fn rewrite(rest: &Rest, book: &Snapshot) {
    let facts = Facts { now_unix_ns: NOW_UNIX_NS, book: Some(book), balances: None, token: "" };
    let limit = book.bids.len().max(book.asks.len()).max(1);
    let call = Call::Depth { symbol: book.symbol, limit: u32::try_from(limit).unwrap_or(u32::MAX) };
    let answer = rest.answer(&call, &facts);
    let again = rest.read_depth(book.symbol, &answer.body);
    let show = || String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(again.as_ref(), Ok(book), "answered as {}", show());
}

/// 2026-11-23T08:00:00Z
const NOW_UNIX_NS: u64 = 1_795_420_800_000_000_000;
