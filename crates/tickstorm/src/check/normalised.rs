//! A stream of the market's own messages.

use std::io::Read;

use tickstorm_market::{Balance, Checker, Listing, Snapshot, SymbolId, fees_account, market_account};
use tickstorm_venue::normalised::{Format, Head, Place, Reader, Record};

use super::findings::{CheckReport, Faults, StreamKind};
use super::follow::{Follower, Part};
use super::{CheckError, CheckOptions};

/// Follows the stream to its end.
pub(super) fn check(
    format: Format,
    input: impl Read,
    options: &CheckOptions,
) -> Result<CheckReport, CheckError> {
    let mut records = Reader::new(format, input);
    let mut head = None;
    let (mut books, mut balances) = (Vec::new(), Vec::new());
    let mut following: Option<Following> = None;
    let mut faults = Faults::default();
    let mut notes = Vec::new();
    let mut lines = 0;
    loop {
        let line = line_of(records.place());
        let record = match records.next() {
            None => break,
            Some(Ok(record)) => record,
            // What was read so far is worth a report.
            Some(Err(error)) if following.is_some() => {
                faults.add(line, "unreadable", || error.to_string());
                notes.push("nothing was read beyond what is unreadable".to_owned());
                break;
            }
            Some(Err(error)) => return Err(error.into()),
        };
        lines = line_of(records.place()) - 1;
        match (record, &head) {
            (Record::Head(found), _) => head = Some(found),
            (Record::Snapshot(book), _) if following.is_none() => books.push(book),
            (Record::OpeningBalance(balance), _) if following.is_none() => balances.push(balance),
            (Record::Message(message), Some(head)) => {
                let following =
                    following.get_or_insert_with(|| Following::new(head, &books, &balances, options));
                let shard = message.symbol.0 % u32::from(head.shards.max(1));
                let place = following.checkers.get_mut(shard as usize);
                if let Some(place) = place
                    && let Some(Err(violation)) = place.as_mut().map(|checker| checker.observe(&message))
                {
                    // What comes after it would be held against what is known to be wrong.
                    *place = None;
                    following.given_up += 1;
                    let symbol = symbol_name(&head.listing, violation.symbol);
                    faults.add(line, violation.broken.kind(), || {
                        format!("{symbol} message {}: {}", violation.sequence, violation.broken)
                    });
                }
                following.follower.observe(&message, Part::First);
            }
            // A book in the middle of a stream must be what the messages before it amount to.
            (Record::Snapshot(book), Some(head)) => {
                let shard = book.symbol.0 % u32::from(head.shards.max(1));
                let checker = following.as_ref().and_then(|it| it.checkers.get(shard as usize)?.as_ref());
                if let Some(Err(violation)) = checker.map(|checker| checker.check_snapshot(&book)) {
                    faults.add(line, violation.broken.kind(), || violation.to_string());
                }
            }
            (Record::OpeningBalance(_) | Record::Message(_) | Record::Snapshot(_), _) => {}
        }
    }
    let Some(head) = head else { return Err(CheckError::Empty) };
    let following = following.unwrap_or_else(|| Following::new(&head, &books, &balances, options));
    if following.given_up > 0 {
        let shards = following.checkers.len();
        let wrong = following.given_up;
        notes.push(format!(
            "{wrong} of the market's {shards} independent parts not checked beyond the first fault in it"
        ));
    }
    let measured = following.follower.finish(&[]);
    Ok(CheckReport {
        stream: StreamKind::Normalised,
        format: format.into(),
        lines,
        messages: measured.messages,
        instruments: head.listing.instruments.len(),
        span_s: measured.span_s,
        faults,
        realism: measured.realism,
        bands_judged: measured.bands_judged,
        crash: measured.crash,
        notes,
        picture: measured.picture,
        listing: head.listing,
    })
}

/// What a place is called in a report: in text its line, else its record.
fn line_of(place: Place) -> u64 {
    match place {
        Place::Byte { record, .. } => record,
        Place::Line { line, .. } => line,
    }
}

/// A stream whose messages have begun.
struct Following {
    /// Each part of the market has events and accounts of its own.
    checkers: Vec<Option<Checker>>,
    /// Parts that are checked no further.
    given_up: u32,
    follower: Follower,
}

impl Following {
    fn new(head: &Head, books: &[Snapshot], balances: &[Balance], options: &CheckOptions) -> Self {
        let shards = u32::from(head.shards.max(1));
        let in_use = shards.min(head.listing.instruments.len() as u32);
        let of_shard = |shard: u32| {
            let books = books.iter().filter(|book| book.symbol.0 % shards == shard);
            let internal = [market_account(shard as u16), fees_account(shard as u16)];
            let own = |balance: &&Balance| match balance.account {
                account if account < market_account(0) => account.0 % in_use == shard,
                account => internal.contains(&account),
            };
            let balances: Vec<_> = balances.iter().filter(own).copied().collect();
            Some(Checker::new(&head.listing, &books.cloned().collect::<Vec<_>>(), &balances))
        };
        Self {
            checkers: (0..in_use).map(of_shard).collect(),
            given_up: 0,
            follower: Follower::new(&head.listing, books, head.start_unix_ns, options),
        }
    }
}

fn symbol_name(listing: &Listing, symbol: SymbolId) -> String {
    let instrument = listing.instruments.get(symbol.0 as usize);
    instrument.map_or_else(|| symbol.0.to_string(), |instrument| instrument.symbol.clone())
}
