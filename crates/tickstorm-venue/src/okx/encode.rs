//! The market, told as OKX does: what becomes of each of its messages on the channels.
//!
//! Times: `ts` of books, best prices and statistics, and the outer `uTime` of an account, are the message's due
//! time; all others are its event's.

use tickstorm_market::event::{Body, BookChange, Message, Side, Snapshot};
use tickstorm_market::instrument::{Listing, SymbolId};

use super::RULES;
use super::checksum::checksum;
use super::wording::Wording;
use crate::decoded::{
    AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, DepthUpdate, ExecutionReport, Level,
    QuoteUpdate, StatusUpdate, TickerUpdate, TradePrint, WallClock,
};
use crate::encoder::Numbering;
use crate::window::{Shown, Window};

/// Keeps what each symbol's channel has told of its book.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    wording: Wording,
    clock: WallClock,
    depth: u32,
    checksums: Checksums,
    /// By symbol; only of those that were heard of, so that an encoder is as large as its share of the market.
    books: Box<[Option<Box<Book>>]>,
    lists: Lists,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checksums {
    Zero,
    Retired,
}

#[derive(Debug, Clone)]
struct Book {
    window: Window,
    /// The last change, told or not.
    change_id: u64,
    /// The last change that was told; none before the first message.
    told_id: Option<u64>,
}

/// Room for what a message has a variable number of, used again for the next one.
#[derive(Debug, Clone, Default)]
struct Lists {
    bids: Vec<Level>,
    asks: Vec<Level>,
    prints: Vec<TradePrint>,
    folded: Vec<Folded>,
}

/// A level that a batch has touched.
#[derive(Debug, Clone, Copy)]
struct Folded {
    side: Side,
    price: u32,
    /// Lots that subscribers knew of before the batch.
    known: u64,
    /// Lots that they must know of after it.
    now: u64,
}

impl Encoder {
    pub(crate) fn new(listing: &Listing, start_unix_ns: i64, depth: u32) -> Self {
        Self {
            wording: Wording::new(listing),
            clock: WallClock::new(start_unix_ns),
            depth,
            checksums: Checksums::Zero,
            books: listing.instruments.iter().map(|_| None).collect(),
            lists: Lists::default(),
        }
    }

    /// Checksums as they were before the venue retired them.
    pub(crate) fn write_checksums(&mut self) {
        self.checksums = Checksums::Retired;
    }

    /// Whole books as the channel `books-l2-tbt` has them, or as `books` has them.
    pub(crate) fn name_books(&mut self, fast: bool) {
        self.wording.fast = fast;
    }

    /// Accounts as they were told before there were events and pages.
    pub(crate) fn write_plain_accounts(&mut self) {
        self.wording.paged = false;
    }

    pub(crate) fn seed(&mut self, snapshot: &Snapshot) {
        let book = self.book_mut(snapshot.symbol);
        book.window.seed(snapshot);
        book.change_id = snapshot.update_id;
        book.told_id = Some(snapshot.update_id);
    }

    /// The list as REST gives it, which clients ask for first.
    pub(crate) fn instruments(&mut self, _due_ns: u64, _: &mut Numbering, out: &mut Vec<u8>) {
        self.wording.instruments(self.wording.listing.instruments.iter(), out);
    }

    pub(crate) fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        due_ns: u64,
        _: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        self.seed(snapshot);
        self.whole(snapshot.symbol, due_ns, out);
    }

    #[inline]
    pub(crate) fn encode(&mut self, message: &Message, _: &mut Numbering, out: &mut Vec<u8>) -> bool {
        let (symbol, clock) = (message.symbol, self.clock);
        match &message.body {
            Body::Book(change) => return self.book(symbol, change, message.due_ns, out),
            Body::Trade(trade) => {
                let print = self.print_of(message, TradePrint::of(message, trade, clock));
                self.wording.trades(&[print], out);
            }
            // The book's channel is the same one, and has told it.
            Body::Quote(_) if self.depth == BEST => return false,
            Body::Quote(quote) => self.wording.quote(&QuoteUpdate::of(message, quote, clock), out),
            Body::Ticker(ticker) => {
                let instrument = self.wording.listing.instrument(symbol);
                let update = TickerUpdate::of(message, ticker, instrument, RULES.share_step, clock);
                self.wording.ticker(&update, out);
            }
            Body::Execution(execution) => {
                let instrument = self.wording.listing.instrument(symbol);
                self.wording.execution(&ExecutionReport::of(message, execution, instrument, clock), out);
            }
            Body::Balance(balance) => {
                let update = BalanceUpdate {
                    account: balance.account,
                    event_ns: Some(clock.unix_ns(message.due_ns)),
                    engine_ns: clock.unix_ns(message.event_ns),
                    form: DepthForm::Update,
                    balances: &[AssetBalance::of(balance)],
                };
                self.wording.balance(&update, out);
            }
            // The balance that follows tells it.
            Body::Transfer(_) => return false,
            Body::Status(status) => {
                let event_ns = Some(clock.unix_ns(message.due_ns));
                self.wording.status(&StatusUpdate { symbol, event_ns, trading: status.trading }, out);
            }
        }
        true
    }

    pub(crate) fn encode_batch(
        &mut self,
        messages: &[Message],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(last) = messages.last() else { return false };
        match &last.body {
            Body::Book(_) => self.fold(messages, last, out),
            Body::Trade(_) => self.join(messages, out),
            _ => self.encode(last, numbering, out),
        }
    }

    pub(crate) fn encode_decoded(
        &mut self,
        decoded: &Decoded<'_>,
        _: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> bool {
        match decoded {
            Decoded::Depth(update) => return self.wording.depth(update, out),
            Decoded::Trade(print) => self.wording.trades(&[*print], out),
            Decoded::Quote(update) => self.wording.quote(update, out),
            Decoded::Ticker(update) => self.wording.ticker(update, out),
            Decoded::Execution(report) => self.wording.execution(report, out),
            Decoded::Balance(update) => self.wording.balance(update, out),
            Decoded::Status(update) => self.wording.status(update, out),
            Decoded::Numbered(_) | Decoded::Aggregate(_) | Decoded::Transfer(_) | Decoded::Control => {
                return false;
            }
        }
        true
    }

    /// One change of the book.
    #[inline]
    fn book(&mut self, symbol: SymbolId, change: &BookChange, due_ns: u64, out: &mut Vec<u8>) -> bool {
        let book = self.book_mut(symbol);
        let Shown { level: Some(level), risen, fallen } = book.apply(change) else { return false };
        if REPLACED.contains(&self.depth) {
            self.whole(symbol, due_ns, out);
            return true;
        }
        let Lists { bids, asks, .. } = &mut self.lists;
        bids.clear();
        asks.clear();
        let levels = match change.side {
            Side::Buy => bids,
            Side::Sell => asks,
        };
        levels.push(level);
        levels.extend(risen);
        levels.extend(fallen.map(|level| Level { quantity: 0, ..level }));
        self.update(symbol, change.update_id.saturating_sub(1), due_ns, out);
        true
    }

    /// Changes of one book in one message, as far as anything is left of them in the end.
    fn fold(&mut self, messages: &[Message], last: &Message, out: &mut Vec<u8>) -> bool {
        let symbol = last.symbol;
        let mut folded = std::mem::take(&mut self.lists.folded);
        folded.clear();
        let book = self.book_mut(symbol);
        let first = messages.iter().find_map(change_of);
        let before = first.map_or(0, |change| change.update_id.saturating_sub(1));
        for change in messages.iter().filter_map(change_of) {
            let known = book.window.quantity(change.side, change.price);
            let Shown { level, risen, fallen } = book.apply(change);
            // What was out of sight until now was not known, what leaves it was known as it was.
            let touched = [
                level.map(|level| (level, known, level.quantity)),
                risen.map(|level| (level, 0, level.quantity)),
                fallen.map(|level| (level, level.quantity, 0)),
            ];
            for (level, known, now) in touched.into_iter().flatten() {
                let same = |it: &&mut Folded| it.side == change.side && it.price == level.price;
                match folded.iter_mut().find(same) {
                    Some(it) => it.now = now,
                    None => folded.push(Folded { side: change.side, price: level.price, known, now }),
                }
            }
        }
        folded.retain(|it| it.known != it.now);
        let told = !folded.is_empty();
        if told && REPLACED.contains(&self.depth) {
            self.whole(symbol, last.due_ns, out);
        } else if told {
            // Best levels first, as on the book.
            folded.sort_unstable_by_key(|it| match it.side {
                Side::Buy => !it.price,
                Side::Sell => it.price,
            });
            let Lists { bids, asks, .. } = &mut self.lists;
            for (side, levels) in [(Side::Buy, bids), (Side::Sell, asks)] {
                let of_side = folded.iter().filter(|it| it.side == side);
                levels.clear();
                levels.extend(of_side.map(|it| Level { price: it.price, quantity: it.now }));
            }
            self.update(symbol, before, last.due_ns, out);
        }
        self.lists.folded = folded;
        told
    }

    /// Trades of one symbol in one message. Those of one order at one price are one entry.
    fn join(&mut self, messages: &[Message], out: &mut Vec<u8>) -> bool {
        let mut prints = std::mem::take(&mut self.lists.prints);
        prints.clear();
        let mut event = None;
        for message in messages {
            let Body::Trade(trade) = &message.body else { continue };
            let print = self.print_of(message, TradePrint::of(message, trade, self.clock));
            match prints.last_mut() {
                Some(last)
                    if event == Some(message.event)
                        && (last.price, last.taker) == (print.price, print.taker) =>
                {
                    last.quantity = last.quantity.saturating_add(print.quantity);
                    last.matches += 1;
                    last.trade_id = print.trade_id;
                }
                _ => prints.push(print),
            }
            event = Some(message.event);
        }
        self.wording.trades(&prints, out);
        self.lists.prints = prints;
        true
    }

    /// The levels in the lists. `before` is the change before the first of them, for a book that nothing was told
    /// of yet.
    #[inline]
    fn update(&mut self, symbol: SymbolId, before: u64, due_ns: u64, out: &mut Vec<u8>) {
        let book = self.books[symbol.0 as usize].as_deref_mut().expect("the caller has changed the book");
        let previous = book.told_id.replace(book.change_id).unwrap_or(before);
        let checksum = match self.checksums {
            Checksums::Zero => None,
            Checksums::Retired => Some(book.checksum(&self.wording.listing, symbol)),
        };
        self.wording.depth(
            &DepthUpdate {
                symbol,
                form: DepthForm::Update,
                depth: Some(self.depth),
                event_ns: Some(self.clock.unix_ns(due_ns)),
                engine_ns: None,
                continuity: Continuity::Chain { previous: Some(previous), id: book.change_id },
                cross_sequence: None,
                checksum,
                bids: &self.lists.bids,
                asks: &self.lists.asks,
            },
            out,
        );
    }

    /// All that subscribers see of a book.
    fn whole(&mut self, symbol: SymbolId, due_ns: u64, out: &mut Vec<u8>) {
        let book = self.books[symbol.0 as usize].as_deref_mut().expect("the caller has changed the book");
        let Lists { bids, asks, .. } = &mut self.lists;
        for (side, levels) in [(Side::Buy, &mut *bids), (Side::Sell, &mut *asks)] {
            levels.clear();
            levels.extend(book.window.levels(side));
        }
        book.told_id = Some(book.change_id);
        let checksum = match self.checksums {
            Checksums::Zero => None,
            Checksums::Retired => Some(book.checksum(&self.wording.listing, symbol)),
        };
        self.wording.depth(
            &DepthUpdate {
                symbol,
                form: DepthForm::Snapshot,
                depth: Some(self.depth),
                event_ns: Some(self.clock.unix_ns(due_ns)),
                engine_ns: None,
                continuity: Continuity::Chain { previous: None, id: book.change_id },
                cross_sequence: None,
                checksum,
                bids,
                asks,
            },
            out,
        );
    }

    /// A trade has the number of the book change that it causes, which is still to come.
    #[inline]
    fn print_of(&self, message: &Message, print: TradePrint) -> TradePrint {
        let book = self.books[message.symbol.0 as usize].as_deref();
        let change_id = book.map_or(0, |book| book.change_id);
        TradePrint { cross_sequence: Some(change_id.saturating_add(1)), ..print }
    }

    /// A symbol's book, empty if nothing was heard of it.
    #[inline]
    fn book_mut(&mut self, symbol: SymbolId) -> &mut Book {
        let depth = self.depth;
        self.books[symbol.0 as usize]
            .get_or_insert_with(|| Box::new(Book { window: Window::new(depth), change_id: 0, told_id: None }))
    }
}

impl Book {
    #[inline]
    fn apply(&mut self, change: &BookChange) -> Shown {
        self.change_id = change.update_id;
        self.window.apply(change)
    }

    fn checksum(&self, listing: &Listing, symbol: SymbolId) -> u32 {
        checksum(self.window.levels(Side::Buy), self.window.levels(Side::Sell), listing.instrument(symbol))
    }
}

fn change_of(message: &Message) -> Option<&BookChange> {
    match &message.body {
        Body::Book(change) => Some(change),
        _ => None,
    }
}

/// `bbo-tbt`.
const BEST: u32 = 1;

/// Depths of which every message has all levels.
const REPLACED: [u32; 2] = [BEST, 5];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::AccountId;
    use tickstorm_market::event::{Quote, Trade, Transfer};
    use tickstorm_market::instrument::AssetId;

    use super::super::Decoder;
    use super::*;
    use crate::Replica;
    use crate::testing::{START_UNIX_NS, listing, message};
    use crate::venue::Venue;

    fn encoder(depth: u32) -> Encoder {
        Encoder::new(&listing(), START_UNIX_NS, depth)
    }

    /// Three levels a side around 100, at change 10.
    fn snapshot() -> Snapshot {
        Snapshot {
            symbol: SymbolId(0),
            sequence: 0,
            update_id: 10,
            bids: vec![(100, 5), (99, 6), (98, 7)],
            asks: vec![(101, 5), (102, 6), (103, 7)],
        }
    }

    fn seeded(depth: u32) -> Encoder {
        let mut encoder = encoder(depth);
        encoder.seed(&snapshot());
        encoder
    }

    fn change(update_id: u64, side: Side, price: u32, quantity: u64) -> Message {
        message(Body::Book(BookChange { update_id, side, price, quantity }))
    }

    /// What comes behind the channel's name; none if nothing is told.
    fn told(encoder: &mut Encoder, messages: &[Message]) -> Option<String> {
        let mut out = Vec::new();
        let told = match messages {
            [message] => encoder.encode(message, &mut Numbering::default(), &mut out),
            _ => encoder.encode_batch(messages, &mut Numbering::default(), &mut out),
        };
        assert_eq!(told, !out.is_empty());
        told.then(|| String::from_utf8(out).unwrap())
    }

    const HEAD: &str = r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"#;
    const TIMED: &str = r#""ts":"1795420800104","checksum":0,"#;

    #[test]
    fn a_change_is_an_update_that_names_the_one_before() {
        let mut encoder = seeded(400);
        let first = told(&mut encoder, &[change(11, Side::Sell, 101, 4)]).unwrap();
        let expected = [
            HEAD,
            r#""update","data":[{"asks":[["10.1","0.00004","0","2"]],"bids":[],"#,
            TIMED,
            r#""seqId":11,"prevSeqId":10}]}"#,
        ];
        assert_eq!(first, expected.concat());
        let second = told(&mut encoder, &[change(12, Side::Buy, 100, 0)]).unwrap();
        let expected = [
            HEAD,
            r#""update","data":[{"asks":[],"bids":[["10","0","0","0"]],"#,
            TIMED,
            r#""seqId":12,"prevSeqId":11}]}"#,
        ];
        assert_eq!(second, expected.concat());
    }

    #[test]
    fn a_snapshot_follows_nothing_and_starts_the_chain() {
        let (mut encoder, mut out) = (encoder(400), Vec::new());
        encoder.snapshot(&snapshot(), 104_000_000, &mut Numbering::default(), &mut out);
        let expected = [
            HEAD,
            r#""snapshot","data":[{"asks":[["10.1","0.00005","0","2"],["10.2","0.00006","0","2"],["10.3","0.00007","0","2"]],"#,
            r#""bids":[["10","0.00005","0","2"],["9.9","0.00006","0","2"],["9.8","0.00007","0","2"]],"#,
            TIMED,
            r#""seqId":10,"prevSeqId":-1}]}"#,
        ];
        assert_eq!(String::from_utf8(out).unwrap(), expected.concat());
        let next = told(&mut encoder, &[change(11, Side::Sell, 101, 4)]).unwrap();
        assert!(next.ends_with(r#""seqId":11,"prevSeqId":10}]}"#), "{next}");
    }

    /// An encoder that sees two levels a side, on the channel of 50.
    fn narrow() -> Encoder {
        let mut encoder = encoder(50);
        let mut book = Book { window: Window::new(2), change_id: 10, told_id: Some(10) };
        book.window.seed(&snapshot());
        encoder.books[0] = Some(Box::new(book));
        encoder
    }

    #[test]
    fn levels_that_rise_into_the_window_are_told_and_those_that_fall_out_of_it_removed() {
        let mut encoder = narrow();
        let risen = told(&mut encoder, &[change(11, Side::Sell, 101, 0)]).unwrap();
        assert!(risen.contains(r#""channel":"books50-l2-tbt""#), "{risen}");
        assert!(
            risen.contains(r#""asks":[["10.1","0","0","0"],["10.3","0.00007","0","2"]],"bids":[]"#),
            "{risen}"
        );
        let fallen = told(&mut encoder, &[change(12, Side::Sell, 101, 9)]).unwrap();
        assert!(
            fallen.contains(r#""asks":[["10.1","0.00009","0","2"],["10.3","0","0","0"]],"bids":[]"#),
            "{fallen}"
        );
    }

    #[test]
    fn what_happens_behind_the_window_is_not_told_and_does_not_break_the_chain() {
        let mut encoder = narrow();
        assert_eq!(told(&mut encoder, &[change(11, Side::Buy, 97, 3)]), None);
        let next = told(&mut encoder, &[change(12, Side::Buy, 100, 3)]).unwrap();
        assert!(next.ends_with(r#""seqId":12,"prevSeqId":10}]}"#), "{next}");
    }

    #[test]
    fn a_batch_tells_the_last_quantity_of_each_level_best_first() {
        let mut encoder = seeded(400);
        let batch = [
            change(11, Side::Buy, 98, 1),
            change(12, Side::Sell, 103, 0),
            change(13, Side::Buy, 100, 1),
            change(14, Side::Buy, 98, 2),
            change(15, Side::Sell, 101, 8),
            change(16, Side::Buy, 97, 3),
            change(17, Side::Buy, 97, 0),
        ];
        let text = told(&mut encoder, &batch).unwrap();
        let expected = [
            HEAD,
            r#""update","data":[{"asks":[["10.1","0.00008","0","2"],["10.3","0","0","0"]],"#,
            r#""bids":[["10","0.00001","0","1"],["9.8","0.00002","0","1"]],"#,
            TIMED,
            r#""seqId":17,"prevSeqId":10}]}"#,
        ];
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn a_batch_that_changes_nothing_in_the_end_is_not_told() {
        let mut encoder = seeded(400);
        assert_eq!(told(&mut encoder, &[change(11, Side::Buy, 97, 3), change(12, Side::Buy, 97, 0)]), None);
        let next = told(&mut encoder, &[change(13, Side::Buy, 100, 3)]).unwrap();
        assert!(next.ends_with(r#""seqId":13,"prevSeqId":10}]}"#), "{next}");
        assert_eq!(told(&mut encoder, &[]), None);
    }

    #[test]
    fn the_shallow_channels_repeat_all_they_show() {
        let five = told(&mut seeded(5), &[change(11, Side::Buy, 98, 0)]).unwrap();
        assert_eq!(
            five,
            concat!(
                r#"{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[["10.1","0.00005","0","2"],"#,
                r#"["10.2","0.00006","0","2"],["10.3","0.00007","0","2"]],"bids":[["10","0.00005","0","2"],"#,
                r#"["9.9","0.00006","0","2"]],"instId":"BTC-USDT","ts":"1795420800104","seqId":11}]}"#
            )
        );
        let mut encoder = seeded(1);
        assert_eq!(told(&mut encoder, &[change(11, Side::Buy, 98, 0)]), None);
        let best = told(&mut encoder, &[change(12, Side::Buy, 100, 0)]).unwrap();
        assert_eq!(
            best,
            concat!(
                r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["10.1","0.00005","0","2"]],"#,
                r#""bids":[["9.9","0.00006","0","2"]],"ts":"1795420800104","seqId":12}]}"#
            )
        );
    }

    const QUOTE: Quote = Quote { update_id: 11, bid: 100, bid_quantity: 5, ask: 101, ask_quantity: 4 };

    #[test]
    fn best_prices_are_told_beside_a_book_but_not_twice() {
        let text = told(&mut seeded(400), &[message(Body::Quote(QUOTE))]).unwrap();
        assert!(
            text.starts_with(r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["10.1""#),
            "{text}"
        );
        assert_eq!(told(&mut seeded(1), &[message(Body::Quote(QUOTE))]), None);
    }

    #[test]
    fn a_transfer_is_told_by_the_balance_that_follows() {
        let transfer = Transfer { account: AccountId(0), asset: AssetId(0), amount: 25 };
        assert_eq!(told(&mut seeded(400), &[message(Body::Transfer(transfer))]), None);
    }

    #[test]
    fn trades_of_one_order_at_one_price_are_one_entry_of_a_batch() {
        let trade = |event, trade_id, price, quantity| Message {
            event,
            ..message(Body::Trade(Trade { trade_id, price, quantity, taker: Side::Buy }))
        };
        let batch = [trade(1, 7, 101, 2), trade(1, 8, 101, 3), trade(1, 9, 102, 1), trade(2, 10, 102, 1)];
        let text = told(&mut seeded(400), &batch).unwrap();
        let entry = |id, price, quantity, count| {
            format!(
                r#"{{"instId":"BTC-USDT","tradeId":"{id}","px":"{price}","sz":"0.0000{quantity}","side":"buy","ts":"1795420800103","count":"{count}","source":"0","seqId":11}}"#
            )
        };
        let entries = [entry(8, "10.1", 5, 2), entry(9, "10.2", 1, 1), entry(10, "10.2", 1, 1)].join(",");
        assert_eq!(
            text,
            format!(r#"{{"arg":{{"channel":"trades","instId":"BTC-USDT"}},"data":[{entries}]}}"#)
        );
    }

    #[test]
    fn an_unseeded_symbol_has_an_empty_book() {
        let text = told(&mut encoder(400), &[change(77, Side::Sell, 101, 4)]).unwrap();
        assert!(text.ends_with(r#""seqId":77,"prevSeqId":76}]}"#), "{text}");
        let best = told(&mut encoder(1), &[change(77, Side::Sell, 101, 0)]).unwrap();
        assert!(best.contains(r#""data":[{"asks":[],"bids":[],"ts""#), "{best}");
    }

    /// Everything that the wire says, held against a replica.
    fn receive(replica: &mut Replica, wire: &[u8]) -> Option<&'static str> {
        let mut fault = None;
        Decoder::new(&listing()).decode_each(wire, |said| {
            fault = fault.or(replica.apply(&said.unwrap()).err().map(|fault| fault.kind()));
        });
        fault
    }

    #[test]
    fn the_replica_follows_a_keep_alive_and_a_falling_number() {
        let mut replica = Replica::new(Venue::Okx, &listing());
        let wire = |action, asks, id, previous| {
            format!(
                r#"{HEAD}"{action}","data":[{{"asks":[{asks}],"bids":[],"ts":"1","checksum":0,"seqId":{id},"prevSeqId":{previous}}}]}}"#
            )
        };
        for (asks, id, previous, fault) in [
            ("", 15, 10, None),
            ("", 15, 15, None),
            (r#"["10.3","0.00001","0","1"]"#, 3, 15, None),
            (r#"["10.3","0.00002","0","1"]"#, 5, 3, None),
            (r#"["10.3","0.00002","0","1"]"#, 5, 3, Some("old_update")),
            (r#"["10.3","0.00004","0","1"]"#, 9, 7, Some("update_gap")),
        ] {
            if id == 15 && previous == 10 {
                let first = wire("snapshot", r#"["10.1","0.00005","0","1"]"#, 10, -1);
                assert_eq!(receive(&mut replica, first.as_bytes()), None);
            }
            assert_eq!(receive(&mut replica, wire("update", asks, id, previous).as_bytes()), fault, "{id}");
        }
    }

    #[test]
    fn retired_checksums_are_written_on_demand_and_checked() {
        let mut encoder = encoder(400);
        encoder.write_checksums();
        let mut replica = Replica::new(Venue::Okx, &listing());
        let mut wire = Vec::new();
        encoder.snapshot(&snapshot(), 0, &mut Numbering::default(), &mut wire);
        assert!(!String::from_utf8_lossy(&wire).contains(r#""checksum":0,"#));
        assert_eq!(receive(&mut replica, &wire), None);
        let update = told(&mut encoder, &[change(11, Side::Sell, 101, 4)]).unwrap();
        assert_eq!(receive(&mut replica.clone(), update.as_bytes()), None);
        let flipped = update.replace("0.00004", "0.00003");
        assert_eq!(receive(&mut replica, flipped.as_bytes()), Some("checksum"));
    }

    #[test]
    fn a_symbols_state_is_small() {
        let mut snapshot = snapshot();
        (snapshot.bids, snapshot.asks) =
            ((1..=140).map(|p| (1_000 - p, 5)).collect(), (1..=140).map(|p| (1_000 + p, 5)).collect());
        let mut encoder = encoder(400);
        encoder.seed(&snapshot);
        let book = encoder.books[0].as_deref().unwrap();
        assert!(std::mem::size_of_val(book) < 200);
        assert_eq!(book.window.levels(Side::Buy).count(), 140);
    }

    fn any_changes() -> impl Strategy<Value = Vec<(bool, u32, u64)>> {
        proptest::collection::vec((any::<bool>(), 1..20u32, 0..3u64), 1..120)
    }

    proptest! {
        /// Prices never cross here, so that every change is one that a market could make.
        #[test]
        fn however_changes_are_batched_subscribers_see_the_best_levels(
            changes in any_changes(),
            sizes in proptest::collection::vec(1..9usize, 120),
            depth in prop::sample::select(vec![5u32, 50, 400]),
        ) {
            let mut encoder = encoder(depth);
            let mut replica = Replica::new(Venue::Okx, &listing());
            let mut wire = Vec::new();
            encoder.snapshot(&snapshot(), 0, &mut Numbering::default(), &mut wire);
            prop_assert_eq!(receive(&mut replica, &wire), None);
            if depth == 50 {
                // A window small enough for levels to fall out of it and to come back.
                encoder.books[0].as_mut().unwrap().window = Window::new(2);
                encoder.books[0].as_mut().unwrap().window.seed(&snapshot());
                wire.clear();
                encoder.whole(SymbolId(0), 0, &mut wire);
                prop_assert_eq!(receive(&mut replica, &wire), None);
            }
            let messages: Vec<Message> = (11..).zip(changes).map(|(id, (buy, offset, quantity))| {
                if buy { change(id, Side::Buy, 101 - offset, quantity) } else { change(id, Side::Sell, 100 + offset, quantity) }
            }).collect();
            let mut rest = &messages[..];
            for size in sizes {
                let (batch, behind) = rest.split_at(size.min(rest.len()));
                rest = behind;
                wire.clear();
                if encoder.encode_batch(batch, &mut Numbering::default(), &mut wire) {
                    prop_assert_eq!(receive(&mut replica, &wire), None, "{}", String::from_utf8_lossy(&wire));
                }
                let window = &encoder.books[0].as_ref().unwrap().window;
                for side in [Side::Buy, Side::Sell] {
                    let kept: Vec<Level> = replica.book(SymbolId(0)).levels(side).collect();
                    prop_assert_eq!(kept, window.levels(side).collect::<Vec<_>>());
                }
            }
        }
    }
}
