//! One symbol's book as a consumer keeps it.

use tickstorm_market::event::{ExecutionKind, Side, Snapshot};
use tickstorm_market::instrument::{Instrument, UNITS_PER_WHOLE};

use super::Fault;
use super::position::{Misfit, Position};
use crate::decoded::{
    DepthForm, DepthUpdate, ExecutionReport, Level, OrderStatus, QuoteUpdate, TickerUpdate, TradePrint,
    change_share,
};
use crate::ladder::Ladder;
use crate::rules::{Numbering, Rules};
use crate::venue::Venue;

/// One symbol's book, its last trade and quote, and the own orders on it.
#[derive(Debug, Clone)]
pub struct ReplicaBook {
    instrument: Instrument,
    rules: &'static Rules,
    conduct: Conduct,
    bids: Ladder<u64>,
    asks: Ladder<u64>,
    position: Position,
    change_id: Option<u64>,
    /// Levels a side that the subscription is about, zero for all: as the last snapshot told, or as was said
    /// before.
    depth: u32,
    /// Whether the book is complete: seeded, and no update missed since.
    synchronised: bool,
    last_trade: Option<TradePrint>,
    last_quote: Option<QuoteUpdate>,
    /// By order id, rising.
    pub(super) orders: Vec<OpenOrder>,
}

/// How a stream of messages relates to the market, which decides how much of it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Conduct {
    /// Every change is a message, in the market's order, and books are whole: every kind of message is held
    /// against every other.
    #[default]
    Realtime,
    /// Changes are folded into batches, each kind of message in its own rhythm: only what a kind says by itself,
    /// and what names the same change, is compared.
    Batched,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OpenOrder {
    id: u64,
    price: u32,
    quantity: u64,
    filled_quantity: u64,
    filled_quote_units: Option<u64>,
}

impl ReplicaBook {
    /// An empty book that has not heard of anything yet.
    pub fn new(venue: Venue, instrument: &Instrument) -> Self {
        Self::with_depth(venue, instrument, venue.rules().whole_depth())
    }

    /// The same for a subscription of so many levels a side, zero for all.
    pub fn with_depth(venue: Venue, instrument: &Instrument, depth: u32) -> Self {
        Self {
            rules: venue.rules(),
            conduct: Conduct::Realtime,
            instrument: instrument.clone(),
            bids: Ladder::new(Side::Buy),
            asks: Ladder::new(Side::Sell),
            position: Position::Unknown,
            change_id: None,
            depth,
            synchronised: false,
            last_trade: None,
            last_quote: None,
            orders: Vec::new(),
        }
    }

    /// What to expect of the order of messages from here on.
    pub fn set_conduct(&mut self, conduct: Conduct) {
        self.conduct = conduct;
    }

    /// Replaces the levels by those of a snapshot, from which on the book is complete.
    pub fn seed(&mut self, snapshot: &Snapshot) {
        for (ladder, levels) in [(&mut self.bids, &snapshot.bids), (&mut self.asks, &snapshot.asks)] {
            ladder.clear();
            for &(price, quantity) in levels.iter().rev() {
                ladder.set(price, quantity);
            }
        }
        self.position = match self.rules.numbering {
            Numbering::Changes => Position::Snapshot(snapshot.update_id),
            Numbering::Messages | Numbering::None => Position::Unnumbered,
        };
        self.change_id = Some(snapshot.update_id);
        self.synchronised = true;
    }

    /// Whether the book is complete: seeded, and no update missed since.
    pub fn is_synchronised(&self) -> bool {
        self.synchronised
    }

    /// The market's number of the last book change that the book contains, where the venue tells it.
    pub fn update_id(&self) -> Option<u64> {
        self.change_id
    }

    /// The levels of one side, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        self.ladder(side).levels()
    }

    /// The best level of one side.
    #[inline]
    pub fn best(&self, side: Side) -> Option<Level> {
        self.ladder(side).best()
    }

    /// Takes in levels by the venue's rule of continuity. An old update is ignored; after a gap the update is
    /// adopted, but the book is no longer complete.
    #[inline]
    pub fn on_depth(&mut self, update: &DepthUpdate<'_>) -> Result<(), Fault> {
        if update.form == DepthForm::Snapshot {
            return self.on_snapshot(update);
        }
        let fit = self.position.admit(update.continuity);
        if let Err(Misfit::Old { last, found }) = fit {
            return Err(Fault::OldUpdate { symbol: self.name(), last, found });
        }
        let unknown = self.set_levels(update);
        self.position = Position::after(update.continuity);
        self.change_id = update.change_id().or(self.change_id);
        if let Err(Misfit::Gap { expected, found }) = fit {
            self.synchronised = false;
            return Err(Fault::UpdateGap { symbol: self.name(), expected, found });
        }
        self.check_checksum(update)?;
        self.check_crossed()?;
        unknown
    }

    fn on_snapshot(&mut self, update: &DepthUpdate<'_>) -> Result<(), Fault> {
        self.bids.clear();
        self.asks.clear();
        for level in update.bids.iter().rev() {
            self.bids.set(level.price, level.quantity);
        }
        for level in update.asks.iter().rev() {
            self.asks.set(level.price, level.quantity);
        }
        self.depth = update.depth.unwrap_or(self.depth);
        self.position = match Position::after(update.continuity) {
            Position::Update(id) => Position::Snapshot(id),
            other => other,
        };
        self.change_id = update.change_id();
        self.synchronised = true;
        self.check_checksum(update)?;
        self.check_crossed()
    }

    /// Sets the levels and cuts the book as the venue wants its subscribers to. Says what the levels contradict.
    fn set_levels(&mut self, update: &DepthUpdate<'_>) -> Result<(), Fault> {
        let mut news = update.bids.is_empty() && update.asks.is_empty();
        let mut unknown = None;
        for (side, ladder, levels) in
            [(Side::Buy, &mut self.bids, update.bids), (Side::Sell, &mut self.asks, update.asks)]
        {
            for level in levels {
                let (had, _) = ladder.set(level.price, level.quantity);
                news |= had != level.quantity;
                if had == 0 && level.quantity == 0 && unknown.is_none() {
                    unknown = Some((side, level.price));
                }
            }
            if self.rules.subscribers_cut && self.depth > 0 {
                ladder.cut(self.depth as usize);
            }
        }
        if !self.synchronised || self.conduct != Conduct::Realtime {
            return Ok(());
        }
        match unknown {
            Some((side, price)) => Err(Fault::UnknownLevel { symbol: self.name(), side, price }),
            None if !news => Err(Fault::NothingNew { symbol: self.name() }),
            None => Ok(()),
        }
    }

    /// A book whose checksum is wrong counts as incomplete, so that one error is one fault.
    fn check_checksum(&mut self, update: &DepthUpdate<'_>) -> Result<(), Fault> {
        let (Some(checksum), Some(found)) = (self.rules.checksum, update.checksum) else { return Ok(()) };
        if !self.synchronised {
            return Ok(());
        }
        let expected = checksum(&self.bids, &self.asks, &self.instrument);
        if expected == found {
            return Ok(());
        }
        self.synchronised = false;
        Err(Fault::Checksum { symbol: self.name(), expected, found })
    }

    /// Takes in a trade: numbered without gaps, at the best price of the side that it took from, and no
    /// larger than what rests there.
    pub fn on_trade(&mut self, print: &TradePrint) -> Result<(), Fault> {
        let last = self.last_trade.map(|trade| trade.trade_id);
        let first = print.trade_id.saturating_sub(u64::from(print.matches.max(1)) - 1);
        if let Some(last) = last.filter(|&last| print.trade_id <= last) {
            return Err(Fault::OldTrade { symbol: self.name(), last, found: print.trade_id });
        }
        self.last_trade = Some(*print);
        if let Some(expected) = last.map(|last| last.saturating_add(1)).filter(|&expected| expected != first)
        {
            return Err(Fault::TradeGap { symbol: self.name(), expected, found: first });
        }
        self.check_touch(print)
    }

    /// Takes in best prices: newer than the last ones, unless the venue repeats them, and the book's own if they reflect its
    /// last change.
    pub fn on_quote(&mut self, update: &QuoteUpdate) -> Result<(), Fault> {
        let is_repeated = |last: &QuoteUpdate| {
            let prices = |of: &QuoteUpdate| (of.update_id, of.bid, of.ask);
            self.rules.quotes_repeat && prices(last) == prices(update)
        };
        let last = self.last_quote.filter(|last| update.update_id <= last.update_id && !is_repeated(last));
        if let Some(last) = last.filter(|_| self.conduct == Conduct::Realtime) {
            let (last, found) = (last.update_id, update.update_id);
            return Err(Fault::OldQuote { symbol: self.name(), last, found });
        }
        self.last_quote = Some(*update);
        if self.change_id == Some(update.update_id) {
            self.check_best("book ticker", [update.bid, update.ask])?;
        }
        Ok(())
    }

    /// Takes in statistics: consistent in themselves, with the last trade, and with the book.
    pub fn on_ticker(&mut self, update: &TickerUpdate) -> Result<(), Fault> {
        self.check_statistics(update)?;
        if self.conduct != Conduct::Realtime {
            return Ok(());
        }
        if let Some(trade) = self.last_trade {
            let id = update.trade_ids.map(|[_, last]| last);
            // A later trade is one that was missed, which the next trade's number will tell.
            if id.is_none_or(|id| id == trade.trade_id) {
                self.expect_ticker("last price", trade.price.into(), update.last.into())?;
                if let Some(quantity) = update.last_quantity {
                    self.expect_ticker("last quantity", trade.quantity.into(), quantity.into())?;
                }
            } else if let Some(id) = id.filter(|&id| id < trade.trade_id) {
                self.expect_ticker("last trade id", trade.trade_id.into(), id.into())?;
            }
        }
        update.best.map_or(Ok(()), |best| self.check_best("ticker", best))
    }

    /// Takes in a change of an own order: fills add up, refer to the public trade, and end with the order's
    /// quantity.
    pub fn on_execution(&mut self, report: &ExecutionReport) -> Result<(), Fault> {
        let index = self.orders.binary_search_by_key(&report.order_id, |order| order.id);
        let known = index.ok().map(|index| self.orders[index]);
        self.remember_order(report, index);
        self.check_fill(report)?;
        self.check_total(report, known)
    }

    fn remember_order(&mut self, report: &ExecutionReport, index: Result<usize, usize>) {
        let order = OpenOrder {
            id: report.order_id,
            price: report.price,
            quantity: report.quantity,
            filled_quantity: report.filled_quantity,
            filled_quote_units: report.filled_quote_units,
        };
        let open = matches!(report.status, OrderStatus::New | OrderStatus::PartiallyFilled);
        match (index, open) {
            (Ok(index), true) => self.orders[index] = order,
            (Ok(index), false) => {
                self.orders.remove(index);
            }
            (Err(index), true) => {
                self.orders.insert(index, order);
                if self.orders.len() > OPEN_ORDERS_MAX {
                    self.orders.remove(0);
                }
            }
            (Err(_), false) => {}
        }
    }

    /// What the report says of this fill alone.
    fn check_fill(&self, report: &ExecutionReport) -> Result<(), Fault> {
        let expect = |field, expected, found| self.expect_execution(report, field, expected, found);
        if report.kind != ExecutionKind::Trade {
            return expect("last quantity", 0, report.last.quantity.into());
        }
        if is_told_in_sums(report) {
            return Ok(());
        }
        let notional = u128::from(report.last.price) * u128::from(report.last.quantity);
        let last_quote_units = notional.saturating_mul(self.instrument.notional(1, 1).into());
        // Steps that were told from a recording may be too fine for exact money.
        let tick_lot = u128::from(self.instrument.tick) * u128::from(self.instrument.lot);
        let exact = tick_lot.is_multiple_of(UNITS_PER_WHOLE.into());
        if let Some(found) = report.last_quote_units.filter(|_| exact) {
            expect("last quote quantity", last_quote_units, found.into())?;
        }
        match self.last_trade.filter(|trade| Some(trade.trade_id) == report.trade_id) {
            Some(trade) => {
                expect("last price", trade.price.into(), report.last.price.into())?;
                let at_most = report.last.quantity.min(trade.quantity);
                expect("last quantity", at_most.into(), report.last.quantity.into())
            }
            None => Ok(()),
        }
    }

    /// What the report says of the order as a whole; `known` is what it said before.
    fn check_total(&self, report: &ExecutionReport, known: Option<OpenOrder>) -> Result<(), Fault> {
        let expect = |field, expected, found| self.expect_execution(report, field, expected, found);
        let before = match report.kind {
            ExecutionKind::New => Some((0, Some(0))),
            _ => known.map(|order| (order.filled_quantity, order.filled_quote_units)),
        };
        if let Some(order) = known {
            expect("price", order.price.into(), report.price.into())?;
            expect("quantity", order.quantity.into(), report.quantity.into())?;
        }
        if is_told_in_sums(report) {
            let at_least = before.map_or(1, |(quantity, _)| quantity.saturating_add(1));
            let found = report.filled_quantity;
            expect("cumulative quantity", found.max(at_least).into(), found.into())?;
        } else if let Some((quantity, quote_units)) = before {
            let filled_quantity = u128::from(quantity) + u128::from(report.last.quantity);
            expect("cumulative quantity", filled_quantity, report.filled_quantity.into())?;
            if let (Some(before), Some(last), Some(found)) =
                (quote_units, report.last_quote_units, report.filled_quote_units)
            {
                expect("cumulative quote quantity", u128::from(before) + u128::from(last), found.into())?;
            }
        }
        match report.status {
            OrderStatus::Filled => {
                expect("cumulative quantity", report.quantity.into(), report.filled_quantity.into())
            }
            _ => {
                let at_most = report.filled_quantity.min(report.quantity.saturating_sub(1));
                expect("cumulative quantity", at_most.into(), report.filled_quantity.into())
            }
        }
    }

    /// Bids must stay below asks. A crossed book has lost something, so that it counts as incomplete.
    #[inline]
    fn check_crossed(&mut self) -> Result<(), Fault> {
        match (self.best(Side::Buy), self.best(Side::Sell)) {
            (Some(bid), Some(ask)) if bid.price >= ask.price && self.synchronised => {
                self.synchronised = false;
                Err(Fault::Crossed { symbol: self.name(), bid: bid.price, ask: ask.price })
            }
            _ => Ok(()),
        }
    }

    fn check_touch(&self, print: &TradePrint) -> Result<(), Fault> {
        let maker = match print.taker {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        };
        let touch = self.best(maker);
        match touch {
            _ if !self.synchronised || self.conduct != Conduct::Realtime => Ok(()),
            Some(level) if level.price == print.price && level.quantity >= print.quantity => Ok(()),
            _ => Err(Fault::OffTouch {
                symbol: self.name(),
                trade_id: print.trade_id,
                found: Level { price: print.price, quantity: print.quantity },
                touch: touch.unwrap_or_default(),
            }),
        }
    }

    fn check_best(&self, source: &'static str, found: [Level; 2]) -> Result<(), Fault> {
        let best = [Side::Buy, Side::Sell].map(|side| self.best(side).unwrap_or_default());
        if self.synchronised && best != found {
            return Err(Fault::WrongBest {
                symbol: self.name(),
                source_of_best: source,
                expected: best,
                found,
            });
        }
        Ok(())
    }

    /// The ticker's figures among themselves. The two quotients may be rounded either way.
    fn check_statistics(&self, update: &TickerUpdate) -> Result<(), Fault> {
        let expect = |field, expected, found| self.expect_ticker(field, expected, found);
        if let (Some([first, last]), Some(count)) = (update.trade_ids, update.count) {
            expect("count", i128::from(last) - i128::from(first) + 1, count.into())?;
        }
        let change = update.open.map(|open| i64::from(update.last) - i64::from(open));
        if let (Some(expected), Some(found)) = (change, update.change) {
            expect("change", expected.into(), found.into())?;
        }
        for (field, price) in [("open", update.open), ("last price", Some(update.last))] {
            let Some(price) = price else { continue };
            expect(field, price.clamp(update.low, update.high.max(update.low)).into(), price.into())?;
        }
        let open = update.open.or_else(|| u32::try_from(i64::from(update.last) - update.change?).ok());
        if let (Some(change), Some(open), Some(share)) = (change.or(update.change), open, update.change_share)
        {
            let step = self.rules.share_step;
            let exact = change_share(change, open, step);
            let expected = if exact.abs_diff(share) <= step.unsigned_abs() { share } else { exact };
            expect("change in 1e-8 of the opening price", expected.into(), share.into())?;
        }
        let (average, money) = (update.weighted_average_units, update.quote_volume_units);
        if let (Some(found), Some(money)) = (average, money.filter(|_| update.volume > 0)) {
            let volume_units = u128::from(update.volume) * u128::from(self.instrument.lot);
            let exact = i128::try_from(money.saturating_mul(UNITS_PER_WHOLE.into()) / volume_units);
            let found = i128::from(found);
            expect("weighted average", near(exact.unwrap_or(i128::MAX), found), found)?;
        }
        Ok(())
    }

    fn expect_ticker(&self, field: &'static str, expected: i128, found: i128) -> Result<(), Fault> {
        if expected == found {
            return Ok(());
        }
        Err(Fault::Ticker { symbol: self.name(), field, expected, found })
    }

    fn expect_execution(
        &self,
        report: &ExecutionReport,
        field: &'static str,
        expected: u128,
        found: u128,
    ) -> Result<(), Fault> {
        if expected == found {
            return Ok(());
        }
        Err(Fault::Execution { symbol: self.name(), order_id: report.order_id, field, expected, found })
    }

    fn name(&self) -> String {
        self.instrument.symbol.clone()
    }

    #[inline]
    fn ladder(&self, side: Side) -> &Ladder<u64> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
}

/// Whether of a fill nothing is told but what it comes to with those before.
fn is_told_in_sums(report: &ExecutionReport) -> bool {
    report.kind == ExecutionKind::Trade && report.last.quantity == 0 && report.last_quote_units.is_none()
}

/// `found` itself if it is within one of `exact`, else `exact`.
fn near(exact: i128, found: i128) -> i128 {
    if found.abs_diff(exact) <= 1 { found } else { exact }
}

/// Own orders remembered for each symbol; simulated accounts have at most sixteen. The oldest are forgotten
/// first, which only means that the next report of such an order is taken as it comes.
pub(super) const OPEN_ORDERS_MAX: usize = 1024;
