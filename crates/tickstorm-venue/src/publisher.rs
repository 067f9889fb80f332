//! A venue's publishing side: what happens on the market becomes wire messages, each rendered once for all who have
//! subscribed to it.
//!
//! A [`Publisher`] takes in every message of the market and hands out [`Frame`]s by [`StreamId`]. Who has subscribed to a
//! stream, and how frames reach him, is the caller's business, as are acknowledgements and heartbeats. A new
//! subscriber is [greeted](Publisher::greet) with the state as the stream has last told it, so that the frames that
//! follow continue it: nothing is pushed out of its turn because somebody joins.
//!
//! Only symbols with an open stream cost anything. What belongs to an account is not published but told each of its
//! connections by an [`AccountFeed`].

mod account;
mod feed;
mod press;
mod repeats;
mod shelf;
mod windows;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;

use tickstorm_market::event::{AccountId, Body, BookChange, Kind, Message, Quote, Snapshot, Ticker, Trade};
use tickstorm_market::instrument::{Listing, SymbolId};

use crate::decoded::{DepthUpdate, Level, TradePrint};
use crate::encoder::Numbering;
use crate::options::VenueOptions;
use crate::protocol::Topic;
use crate::venue::Venue;
use crate::window::{Was, Window};
use crate::{bybit, kraken};
pub use account::{AccountFeed, AccountState, Wish};
use feed::{Feed, What};
use press::Press;
use repeats::Repeats;
use shelf::{Shelf, Top};
use windows::Windows;

/// What is rendered once and shared by all its subscribers. Ids are dense from 0; that of a closed stream is given to
/// one that is opened later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// Trades of a symbol that a new subscriber is told of at most, where it is.
pub const RECENT_TRADES: usize = 50;

/// When what happens becomes a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Publishing {
    /// In the venue's cadence: what happens within a window becomes one frame at its end. Windows are aligned to the
    /// start of the run; a message that is due at the end of one belongs to the next.
    #[default]
    Venue,
    /// At once: each market message is a frame.
    Realtime,
}

/// One wire message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whose subscribers get it.
    pub stream: StreamId,
    /// The message without framing, and without Binance's wrapper, which names the topic as each client did.
    pub bytes: &'a [u8],
    /// Due time of the market message, or the end of the window: ns since the start of the run.
    pub due_ns: u64,
    /// How many market messages it tells. Those beyond one were folded; none are told by a frame that only says again what
    /// was said, because nothing has changed for long. Over a stream's frames they add up to the market messages that its
    /// subscribers could see, but for those that [wait](Publisher::waiting).
    pub messages: u32,
    /// What they are about.
    pub kind: Kind,
    /// Where in `bytes` the connection's own number stands, which here is 0: Coinbase's `sequence_num`.
    pub number: Option<Range<usize>>,
}

/// Renders one venue's public streams. The same messages and calls give the same frames, in the order of their due
/// times, those of one time by symbol and then by kind.
#[derive(Debug, Clone)]
pub struct Publisher {
    venue: Venue,
    publishing: Publishing,
    options: VenueOptions,
    listing: Listing,
    press: Press,
    /// By symbol; of those with an open stream.
    desks: Box<[Option<Box<Desk>>]>,
    streams: Vec<Option<Stream>>,
    free: Vec<StreamId>,
    ids: HashMap<(Feed, Option<SymbolId>), StreamId>,
    /// Streams that are about no single symbol.
    of_all: Vec<StreamId>,
    windows: Windows,
    repeats: Repeats,
    /// The last statistics of every symbol, for who asks for them later.
    tickers: Box<[Option<Ticker>]>,
    /// Symbols that are not traded at the moment.
    halted: BTreeSet<SymbolId>,
}

/// What several streams of a symbol have in common.
#[derive(Debug, Clone)]
struct Desk {
    /// In the order of their frames.
    streams: Vec<StreamId>,
    /// Kept if one of the streams needs it.
    book: Option<Book>,
    /// The market's number of the last book change.
    change_id: u64,
    quote: Quote,
    /// When the engine made the last change of the best prices, run time.
    quote_ns: u64,
}

/// The market's book.
#[derive(Debug, Clone)]
struct Book {
    window: Window,
    /// For Kraken's checksums.
    digits: Option<Box<(kraken::TopDigits, kraken::Scale)>>,
}

#[derive(Debug, Clone)]
struct Stream {
    feed: Feed,
    symbol: Option<SymbolId>,
    /// Of the venue's windows, the one it waits for; none if frames go out at once.
    window: Option<usize>,
    /// Whether it is among those that wait for the window's end.
    is_due: bool,
    /// Market messages that no frame has told yet.
    waiting: u32,
    /// When the last frame was due.
    told_ns: u64,
    /// When it is to be looked at whether it has to repeat itself; none if it never does, or has greeted nobody yet.
    looked_at_ns: Option<u64>,
    holds: Holds,
}

/// What a stream remembers from frame to frame.
#[derive(Debug, Clone)]
enum Holds {
    Nothing,
    Levels(Box<Shelf>),
    Top(Box<Top>),
    Trades(Box<Trades>),
    /// Messages so far, where the venue counts them.
    Count(u64),
    /// Those of which something is to be told.
    Symbols(BTreeSet<SymbolId>),
}

#[derive(Debug, Clone, Default)]
struct Trades {
    /// Of the window, oldest first.
    waiting: Vec<TradePrint>,
    /// Told ones for new subscribers, oldest first.
    recent: VecDeque<TradePrint>,
}

impl Publisher {
    /// Publishes what happens to the instruments of `listing`. Wall-clock fields are `start_unix_ns`, the Unix time of
    /// the run's start, plus run time; a start before 1970 counts as 1970.
    pub fn new(
        venue: Venue,
        listing: &Listing,
        start_unix_ns: i64,
        publishing: Publishing,
        options: &VenueOptions,
    ) -> Self {
        let count = listing.instruments.len();
        Self {
            venue,
            publishing,
            options: *options,
            press: Press::new(venue, listing, start_unix_ns, options),
            listing: listing.clone(),
            desks: (0..count).map(|_| None).collect(),
            streams: Vec::new(),
            free: Vec::new(),
            ids: HashMap::new(),
            of_all: Vec::new(),
            windows: Windows::default(),
            repeats: Repeats::default(),
            tickers: vec![None; count].into(),
            halted: BTreeSet::new(),
        }
    }

    /// Tells what has happened before the first message: the last statistics by symbol, and which symbols are not traded.
    pub fn catch_up(&mut self, tickers: &[Option<Ticker>], halted: &BTreeSet<SymbolId>) {
        for (own, ticker) in self.tickers.iter_mut().zip(tickers) {
            *own = *ticker;
        }
        self.halted.clone_from(halted);
    }

    /// The stream of a public topic, rendered from now on; none where the venue publishes no such thing. Topics that
    /// differ only in their wording are one stream. `book` gives a symbol's book as of the last message pushed, and is
    /// asked only if nothing is known of it yet; a symbol that it does not know has an empty book.
    pub fn open(
        &mut self,
        topic: &Topic,
        book: &mut dyn FnMut(SymbolId) -> Option<Snapshot>,
    ) -> Option<StreamId> {
        let (feed, symbol) = Feed::of(self.venue, topic, &self.listing)?;
        if let Some(&id) = self.ids.get(&(feed, symbol)) {
            return Some(id);
        }
        let id = self.free.pop().unwrap_or(StreamId(self.streams.len() as u32));
        let holds = match symbol {
            Some(symbol) => self.seat(id, feed, symbol, book),
            None => {
                self.of_all.push(id);
                match feed.what {
                    What::Tickers | What::ShortTickers => Holds::Symbols(BTreeSet::new()),
                    _ => Holds::Nothing,
                }
            }
        };
        let window = self.windows.of(feed.window_ns(self.publishing));
        let stream =
            Stream { feed, symbol, window, is_due: false, waiting: 0, told_ns: 0, looked_at_ns: None, holds };
        match self.streams.get_mut(id.0 as usize) {
            Some(place) => *place = Some(stream),
            None => self.streams.push(Some(stream)),
        }
        self.ids.insert((feed, symbol), id);
        Some(id)
    }

    /// Gives a stream its place at the symbol's desk.
    fn seat(
        &mut self,
        id: StreamId,
        feed: Feed,
        symbol: SymbolId,
        book: &mut dyn FnMut(SymbolId) -> Option<Snapshot>,
    ) -> Holds {
        let empty = || Snapshot { symbol, sequence: 0, update_id: 0, bids: Vec::new(), asks: Vec::new() };
        let place = &mut self.desks[symbol.0 as usize];
        let needs_book = feed.needs_book(self.venue);
        let snapshot = match place {
            Some(desk) if desk.book.is_some() || !needs_book => None,
            _ => Some(book(symbol).unwrap_or_else(empty)),
        };
        let desk = match (place, &snapshot) {
            (Some(desk), _) => desk,
            (place, snapshot) => place.insert(Box::new(Desk::new(snapshot.as_ref().unwrap_or(&empty())))),
        };
        if let Some(snapshot) = snapshot.filter(|_| needs_book && desk.book.is_none()) {
            let scale =
                (self.venue == Venue::Kraken).then(|| kraken::Scale::of(self.listing.instrument(symbol)));
            desk.book = Some(Book::new(&snapshot, scale));
        }
        let (streams, venue) = (&self.streams, self.venue);
        let feed_of = |id: &StreamId| streams[id.0 as usize].as_ref().map(|stream| stream.feed.place(venue));
        let at = desk.streams.partition_point(|id| feed_of(id) < Some(feed.place(venue)));
        desk.streams.insert(at, id);
        // A book that is told from a change on counts from there: so the counts of a stream that is opened later are
        // never behind.
        let count = bybit::COUNT_START.saturating_add(desk.change_id);
        match (feed.what, &desk.book) {
            (What::Levels, _) => Holds::Levels(Box::new(Shelf::new(desk.change_id, count))),
            (What::Top, Some(book)) => Holds::Top(Box::new(Top::new(&book.window, feed.depth as usize))),
            (What::Trades, _) => Holds::Trades(Box::default()),
            (What::Quotes, _) => Holds::Count(count),
            _ => Holds::Nothing,
        }
    }

    /// Tells a stream of trades the last ones from before it was opened, oldest first, for the snapshots that its subscribers
    /// begin with. They are ignored where there are no such snapshots, and once the stream knows of any trade.
    pub fn recall<'a>(&mut self, stream: StreamId, trades: impl IntoIterator<Item = &'a Message>) {
        if !matches!(self.venue, Venue::Coinbase | Venue::Kraken) {
            return;
        }
        let Some(stream) = self.streams.get_mut(stream.0 as usize).and_then(Option::as_mut) else { return };
        let Holds::Trades(known) = &mut stream.holds else { return };
        if known.waiting.is_empty() && known.recent.is_empty() {
            let clock = self.press.clock();
            let prints = trades.into_iter().filter_map(|message| match &message.body {
                Body::Trade(trade) => Some(TradePrint::of(message, trade, clock)),
                _ => None,
            });
            known.recent.extend(prints);
        }
    }

    /// The last subscriber has left: nothing is rendered any more, and what was waiting is forgotten. An id that is not
    /// open is ignored.
    pub fn close(&mut self, stream: StreamId) {
        let place = self.streams.get_mut(stream.0 as usize);
        let Some(closed) = place.and_then(Option::take) else { return };
        self.free.push(stream);
        self.ids.remove(&(closed.feed, closed.symbol));
        self.windows.forget(stream);
        if let Some(due_ns) = closed.looked_at_ns {
            self.repeats.remove(due_ns, stream);
        }
        let Some(symbol) = closed.symbol else {
            self.of_all.retain(|&id| id != stream);
            return;
        };
        let place = &mut self.desks[symbol.0 as usize];
        let Some(desk) = place else { return };
        desk.streams.retain(|&id| id != stream);
        if desk.streams.is_empty() {
            *place = None;
            return;
        }
        let streams = &self.streams;
        let mut feeds = desk.streams.iter().filter_map(|id| streams[id.0 as usize].as_ref());
        if !feeds.any(|stream| stream.feed.needs_book(self.venue)) {
            desk.book = None;
        }
    }

    /// How many market messages of a stream no frame has told yet: of a window that is still open, or that have come to
    /// nothing so far.
    pub fn waiting(&self, stream: StreamId) -> u32 {
        self.stream(stream).map_or(0, |stream| stream.waiting)
    }

    /// Whether the stream is open and tells of this kind of market message.
    pub fn kind(&self, stream: StreamId) -> Option<Kind> {
        self.stream(stream).map(|stream| stream.feed.kind())
    }

    /// The last statistics of a symbol, whether or not anybody has subscribed to them; none before the first.
    pub fn ticker(&self, symbol: SymbolId) -> Option<Ticker> {
        *self.tickers.get(symbol.0 as usize)?
    }

    fn stream(&self, stream: StreamId) -> Option<&Stream> {
        self.streams.get(stream.0 as usize)?.as_ref()
    }

    /// Hands `send` what a new subscriber is sent first: a snapshot of the book as it was last told, the last
    /// statistics. Nothing where the venue sends nothing, as at Binance, whose clients fetch the book by REST. `snapshot`
    /// is the client's own wish, where it has a choice and made it. The messages are numbered for the one connection, and
    /// without Binance's wrapper, as those of frames are: its streams of best levels begin with those last told.
    pub fn greet(
        &mut self,
        stream: StreamId,
        snapshot: Option<bool>,
        now_ns: u64,
        numbering: &mut Numbering,
        send: &mut dyn FnMut(&[u8]),
    ) {
        self.keep_alive(stream, now_ns);
        let Some(stream) = self.streams.get(stream.0 as usize).and_then(Option::as_ref) else { return };
        if self.venue == Venue::Kraken && snapshot == Some(false) {
            return;
        }
        let desk = stream.symbol.and_then(|symbol| self.desks[symbol.0 as usize].as_deref());
        match (stream.feed.what, desk) {
            (What::States, _) => {
                self.press.states(stream.symbol, &self.halted, now_ns, numbering, send);
            }
            (_, None) => {}
            (What::Levels | What::Top, Some(desk)) => {
                let depth = match self.venue {
                    Venue::Coinbase => self.options.coinbase_snapshot_depth,
                    _ => stream.feed.depth,
                };
                self.press.book(stream, desk, depth, now_ns, numbering, send);
            }
            (What::Trades, Some(_)) => {
                let wanted = match self.venue {
                    Venue::Coinbase => true,
                    Venue::Kraken => snapshot.unwrap_or(self.options.kraken_trade_snapshot),
                    Venue::Binance | Venue::Okx | Venue::Bybit => false,
                };
                if let (Holds::Trades(trades), true) = (&stream.holds, wanted) {
                    self.press.recent(trades, now_ns, numbering, send);
                }
            }
            (What::Quotes, Some(desk)) => self.press.best(stream, desk, now_ns, numbering, send),
            (What::Tickers | What::ShortTickers | What::BestTickers, Some(desk)) => {
                let last = stream.symbol.and_then(|symbol| self.tickers[symbol.0 as usize]);
                let start_price =
                    stream.symbol.map_or(0, |symbol| self.listing.instrument(symbol).start_price);
                let last = last.unwrap_or_else(|| kraken::without_trades(start_price));
                let ticker = Ticker { quote: desk.quote, ..last };
                self.press.statistics(stream, &ticker, now_ns, numbering, send);
            }
            (What::Aggregates, Some(_)) => {}
        }
    }

    /// Appends an update of a book to which a caller has folded several of a stream, in the words of that stream and
    /// numbered for no connection. `false` if the stream is not open, or the venue's updates cannot say it.
    pub fn write_folded(&mut self, stream: StreamId, update: &DepthUpdate<'_>, out: &mut Vec<u8>) -> bool {
        let feed = self.stream(stream).map(|stream| stream.feed);
        feed.is_some_and(|feed| self.press.folded(feed, update, out))
    }

    /// Takes in the market's next message; messages come in the order of their due times. Hands `send` the frames that
    /// are due by then.
    #[inline]
    pub fn push(&mut self, message: &Message, send: &mut impl FnMut(Frame<'_>)) {
        if self.windows.next_end_ns().min(self.repeats.next_ns()) <= message.due_ns {
            self.reach(message.due_ns, send);
        }
        let symbol = message.symbol.0 as usize;
        match &message.body {
            Body::Ticker(ticker) => {
                self.tickers[symbol] = Some(*ticker);
                self.push_of_all(message, What::Tickers, send);
            }
            Body::Status(status) => {
                match status.trading {
                    true => self.halted.remove(&message.symbol),
                    false => self.halted.insert(message.symbol),
                };
                self.push_of_all(message, What::States, send);
            }
            _ => {}
        }
        if self.desks[symbol].is_some() {
            self.push_at_desk(message, send);
        }
    }

    fn push_of_all(&mut self, message: &Message, what: What, send: &mut impl FnMut(Frame<'_>)) {
        for index in 0..self.of_all.len() {
            let id = self.of_all[index];
            let Some(stream) = self.streams[id.0 as usize].as_mut() else { continue };
            let statistics = matches!(stream.feed.what, What::Tickers | What::ShortTickers);
            if statistics != (what == What::Tickers) {
                continue;
            }
            stream.waiting += 1;
            if let Holds::Symbols(symbols) = &mut stream.holds {
                symbols.insert(message.symbol);
            }
            match stream.window {
                Some(_) => self.windows.wait(id, stream, message.due_ns),
                None => {
                    self.press.frame_of_all(id, stream, &self.tickers, Some(message), message.due_ns, send)
                }
            }
        }
    }

    fn push_at_desk(&mut self, message: &Message, send: &mut impl FnMut(Frame<'_>)) {
        let Self { desks, streams, windows, press, venue, tickers, .. } = self;
        let Some(desk) = desks[message.symbol.0 as usize].as_deref_mut() else { return };
        let kind = message.body.kind();
        let was = desk.take_in(message);
        if let (Body::Trade(trade), Venue::Kraken) = (&message.body, *venue) {
            kraken::on_trade(&mut tickers[message.symbol.0 as usize], trade);
        }
        for &id in &desk.streams {
            let Some(stream) = streams[id.0 as usize].as_mut().filter(|stream| stream.feed.kind() == kind)
            else {
                continue;
            };
            if !stream.take_in(message, desk, was, press) {
                continue;
            }
            stream.waiting += 1;
            match stream.window {
                Some(_) => windows.wait(id, stream, message.due_ns),
                None => press.frame(id, stream, desk, tickers, message, send),
            }
        }
    }

    /// When the next frame may be due: at the end of the earliest window with something in it, or when a stream may have
    /// been silent for so long that it has to say so.
    pub fn next_due_ns(&self) -> Option<u64> {
        let next_ns = self.windows.next_end_ns().min(self.repeats.next_ns());
        Some(next_ns).filter(|&next_ns| next_ns < u64::MAX)
    }

    /// It is so late, and what was due by then has been pushed: hands `send` the frames of the windows that have ended,
    /// and of streams that repeat themselves where nothing has changed for long. OKX sends an empty update of a book after a
    /// minute, Bybit the same best prices after three seconds.
    pub fn reach(&mut self, now_ns: u64, send: &mut impl FnMut(Frame<'_>)) {
        self.close_until(now_ns, send);
        while let Some(id) = self.repeats.take_due(now_ns) {
            let Some(stream) = self.streams[id.0 as usize].as_mut() else { continue };
            let desk = stream.symbol.and_then(|symbol| self.desks[symbol.0 as usize].as_deref());
            let silent_ns = stream.feed.repeat_ns(self.venue);
            // What waits for the end of its window is told soon anyway.
            let last_ns = if stream.is_due { now_ns } else { stream.told_ns };
            let mut due_ns = last_ns.saturating_add(silent_ns);
            if due_ns <= now_ns {
                if let Some(desk) = desk {
                    self.press.frame_again(id, stream, desk, now_ns, send);
                }
                due_ns = now_ns.saturating_add(silent_ns);
            }
            stream.looked_at_ns = Some(due_ns);
            self.repeats.add(due_ns, id);
        }
    }

    /// From the first greeting on a stream repeats itself, if it is one of those.
    fn keep_alive(&mut self, id: StreamId, now_ns: u64) {
        let Some(stream) = self.streams.get_mut(id.0 as usize).and_then(Option::as_mut) else { return };
        let silent_ns = stream.feed.repeat_ns(self.venue);
        if silent_ns == 0 || stream.looked_at_ns.is_some() {
            return;
        }
        stream.told_ns = stream.told_ns.max(now_ns);
        let due_ns = stream.told_ns.saturating_add(silent_ns);
        stream.looked_at_ns = Some(due_ns);
        self.repeats.add(due_ns, id);
    }

    /// Hands `send` the frames of the windows that end by this time, though it need not have come.
    pub fn close_until(&mut self, now_ns: u64, send: &mut impl FnMut(Frame<'_>)) {
        while self.windows.next_end_ns() <= now_ns && self.windows.next_end_ns() < u64::MAX {
            let end_ns = self.windows.next_end_ns();
            self.close_window(end_ns, end_ns, send);
        }
    }

    /// Hands `send` the frames of all windows. Those that would end later end now: nothing is told from the future.
    pub fn close_all(&mut self, now_ns: u64, send: &mut impl FnMut(Frame<'_>)) {
        self.close_until(now_ns, send);
        while self.windows.next_end_ns() < u64::MAX {
            self.close_window(self.windows.next_end_ns(), now_ns, send);
        }
    }

    /// Hands `send` the frames that wait for this end of a window, and dates them so.
    fn close_window(&mut self, end_ns: u64, told_ns: u64, send: &mut impl FnMut(Frame<'_>)) {
        let Self { desks, streams, windows, press, venue, tickers, .. } = self;
        let mut due = windows.take_due(end_ns);
        due.sort_by_cached_key(|id| {
            let stream = streams[id.0 as usize].as_ref();
            stream.map(|stream| (stream.symbol.is_none(), stream.symbol, stream.feed.place(*venue)))
        });
        for &id in &due {
            let Some(stream) = streams[id.0 as usize].as_mut() else { continue };
            stream.is_due = false;
            match stream.symbol {
                None => press.frame_of_all(id, stream, tickers, None, told_ns, send),
                Some(symbol) => {
                    if let Some(desk) = desks[symbol.0 as usize].as_deref() {
                        press.frame_at_end(id, stream, desk, tickers, told_ns, send);
                    }
                }
            }
        }
        windows.give_back(due);
    }

    /// What one connection of an account is told of its own orders and balances, which are `state` now.
    pub fn account_feed(&self, account: AccountId, state: &AccountState<'_>) -> AccountFeed {
        AccountFeed::new(self.venue, self.press.encoder(), self.press.clock(), account, state)
    }
}

impl Desk {
    fn new(snapshot: &Snapshot) -> Self {
        let [bid, ask] =
            [&snapshot.bids, &snapshot.asks].map(|levels| levels.first().copied().unwrap_or_default());
        Self {
            streams: Vec::new(),
            book: None,
            change_id: snapshot.update_id,
            quote: Quote {
                update_id: snapshot.update_id,
                bid: bid.0,
                bid_quantity: bid.1,
                ask: ask.0,
                ask_quantity: ask.1,
            },
            quote_ns: 0,
        }
    }

    /// What a change of the book found there.
    #[inline]
    fn take_in(&mut self, message: &Message) -> Option<Was> {
        match &message.body {
            Body::Book(change) => {
                self.change_id = change.update_id;
                self.book.as_mut().map(|book| book.change(change))
            }
            Body::Quote(quote) => {
                self.quote = *quote;
                self.quote_ns = message.event_ns;
                None
            }
            _ => None,
        }
    }
}

impl Book {
    fn new(snapshot: &Snapshot, scale: Option<kraken::Scale>) -> Self {
        let mut window = Window::new(0);
        window.seed(snapshot);
        let digits = scale.map(|scale| {
            let mut digits = kraken::TopDigits::new();
            digits.seed(&window, &scale);
            Box::new((digits, scale))
        });
        Self { window, digits }
    }

    #[inline]
    fn change(&mut self, change: &BookChange) -> Was {
        let was = self.window.set(change);
        if let Some((digits, scale)) = self.digits.as_deref_mut() {
            let level = Level { price: change.price, quantity: change.quantity };
            digits.apply(change.side, level, &self.window, scale);
        }
        was
    }
}

impl Stream {
    /// Remembers what the message means to subscribers. `false` if they do not see it.
    #[inline]
    fn take_in(&mut self, message: &Message, desk: &Desk, was: Option<Was>, press: &Press) -> bool {
        let depth = if self.feed.depth == 0 { usize::MAX } else { self.feed.depth as usize };
        match (&message.body, &mut self.holds) {
            (Body::Book(change), Holds::Levels(shelf)) => match (was, &desk.book) {
                (Some(was), Some(book)) => shelf.change(change, was, &book.window, depth, message.event_ns),
                _ => {
                    shelf.touch(change, message.event_ns);
                    true
                }
            },
            (Body::Book(_), Holds::Top(_)) => was.is_some_and(|was| was.better < depth),
            (Body::Trade(trade), Holds::Trades(trades)) => {
                trades.waiting.push(press.print(message, trade, desk.change_id));
                true
            }
            _ => true,
        }
    }
}

impl Press {
    /// A trade has the number of the book change that it causes, which is still to come.
    fn print(&self, message: &Message, trade: &Trade, change_id: u64) -> TradePrint {
        TradePrint {
            cross_sequence: Some(change_id.saturating_add(1)),
            ..TradePrint::of(message, trade, self.clock())
        }
    }
}
