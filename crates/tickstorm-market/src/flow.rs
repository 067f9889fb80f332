//! What one symbol does: the order flow into its book, event by event.

use tickstorm_random::Stream;

use crate::ablation::Ablation;
use crate::account::{Ledger, OwnOrder, OwnOrders, Pair};
use crate::book::{Book, REACH, WIDEST_SPREAD, ahead, behind};
use crate::event::{
    Body, BookChange, Execution, ExecutionKind, Message, Quote, Side, Snapshot, Status, Trade,
};
use crate::instrument::{Instrument, SymbolId};
use crate::outbox::Outbox;
use crate::path::Trading;
use crate::prefetch::prefetch;
use crate::reference::Reference;
use crate::regime::Regime;
use crate::spec::MarketSpec;
use crate::tables::{DISTANCES, Tables};
use crate::ticker::DayStatistics;

/// A symbol with all its state, about 3 KB.
pub(crate) struct Symbol {
    id: SymbolId,
    pair: Pair,
    book: Book,
    reference: Reference,
    /// Ticks that the reference moves when a path asks for a change of one, and where the path was last seen.
    path_ticks: f64,
    path_seen: f64,
    parents: [Parent; 3],
    /// Events left in which trades are more likely, because there was one.
    cluster_left: u8,
    last_operation: Option<Operation>,
    own: OwnOrders,
    day: DayStatistics,
    regime: Regime,
    /// The change of regime that this symbol follows or has followed, and its events left until it arrives.
    regime_number: u32,
    regime_steps_left: u16,
    /// As its last status said.
    trading: Trading,
    sequence: u64,
    update_id: u64,
    trade_id: u64,
    order_id: u64,
    execution_id: u64,
    stream: Stream,
    #[cfg(test)]
    ablation: Option<Ablation>,
}

/// What a symbol acts with: everything of its shard that it shares with the others.
pub(crate) struct Desk<'a> {
    pub(crate) tables: &'static Tables,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) regime: &'a Regime,
    /// Rises with every change of `regime`.
    pub(crate) regime_number: u32,
    /// Where the path of prices is now.
    pub(crate) path: f64,
    pub(crate) trading: Trading,
}

/// An order too large for one trade, worked off in many: what gives trade signs their long memory.
#[derive(Clone, Copy)]
struct Parent {
    side: Side,
    trades_left: u32,
}

/// What a flicker undoes.
#[derive(Clone, Copy)]
struct Operation {
    kind: OperationKind,
    side: Side,
    price: u32,
    lots: u32,
}

#[derive(Clone, Copy)]
enum OperationKind {
    Added,
    Cancelled,
}

impl Symbol {
    pub(crate) fn new(spec: &MarketSpec, instrument: &Instrument, path_ticks: f64, ledger: &Ledger) -> Self {
        let mut stream = spec.seed.stream("symbol", u64::from(instrument.id.0));
        let regime = spec.regime;
        let tables = Tables::shared();
        let mut book = Book::new(instrument.start_price, instrument.start_price + 1);
        for side in [Side::Buy, Side::Sell] {
            for distance in 0..DISTANCES {
                let share = 0.5 + stream.unit();
                let lots = (tables.resting_lots[distance] * regime.depth * share) as u32;
                book.set_quantity(behind(side, book.best(side), distance as u32), lots.max(1));
            }
        }
        let middle = f64::from(instrument.start_price) + 0.5;
        let reference = Reference::new(middle, tables, &mut stream);
        let parents = std::array::from_fn(|_| Parent::new(0.0, &mut stream));
        Self {
            id: instrument.id,
            pair: ledger.pair(instrument),
            book,
            reference,
            path_ticks,
            path_seen: 0.0,
            parents,
            cluster_left: 0,
            last_operation: None,
            own: OwnOrders::new(ledger.traders()),
            day: DayStatistics::new(instrument.start_price),
            regime,
            regime_number: 0,
            regime_steps_left: 0,
            trading: Trading::Open,
            sequence: 0,
            update_id: 0,
            trade_id: 0,
            order_id: 0,
            execution_id: 0,
            stream,
            #[cfg(test)]
            ablation: spec.ablation,
        }
    }

    /// Runs one event, which puts at least one message into the outbox.
    pub(crate) fn act(&mut self, event_ns: u64, desk: &mut Desk<'_>) {
        desk.outbox.open(self.id, self.sequence, event_ns);
        self.follow_regime(desk);
        self.reference.on_event(self.regime.volatility, desk.tables, &mut self.stream);
        if desk.path != self.path_seen {
            self.reference.shift((desk.path - self.path_seen) * self.path_ticks);
            self.path_seen = desk.path;
        }
        if self.lacks(Ablation::Volatility) {
            self.reference.steady();
        }
        let best = (self.book.best(Side::Buy), self.book.best(Side::Sell));
        let trades = self.trade_id;

        if self.own.len() > 0 && desk.ledger.one_in(OWN_CANCEL_ONE_IN) {
            self.cancel_own(desk.ledger.choose(self.own.len()), desk);
        } else {
            self.flow(desk);
        }

        if self.trade_id != trades {
            let ticker = self.day.ticker(self.quote());
            desk.outbox.push(Body::Ticker(ticker));
        } else if best != (self.book.best(Side::Buy), self.book.best(Side::Sell))
            && Dice(self.stream.word()).chance(QUOTED)
        {
            desk.outbox.push(Body::Quote(self.quote()));
        }
        self.sequence = desk.outbox.close();
        debug_assert!(self.own.fit(|order| {
            if self.book.holds(order.side, order.price) { self.book.quantity(order.price) } else { 0 }
        }));
    }

    /// Brings near what an event reads first, whatever it comes to.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch(&self.stream);
        prefetch(&self.reference);
        prefetch(&self.regime);
        prefetch(&self.parents);
        prefetch(&self.own);
        prefetch(&self.sequence);
        self.book.prefetch();
    }

    /// Says that the symbol has stopped trading or trades again, if the market has turned since the symbol last
    /// said so; false if there is nothing to say. To be asked before every other event.
    #[inline]
    pub(crate) fn announce(&mut self, event_ns: u64, desk: &mut Desk<'_>) -> bool {
        if self.trading == desk.trading {
            return false;
        }
        self.trading = desk.trading;
        desk.outbox.open(self.id, self.sequence, event_ns);
        desk.outbox.push(Body::Status(Status { trading: self.trading == Trading::Open }));
        self.sequence = desk.outbox.close();
        true
    }

    /// Moves money in or out of an account instead of running the symbol's own event; false if nobody had cause to.
    pub(crate) fn transfer(&mut self, event_ns: u64, desk: &mut Desk<'_>) -> bool {
        let Some((transfer, balance)) = desk.ledger.transfer(&self.pair) else { return false };
        desk.outbox.open(self.id, self.sequence, event_ns);
        desk.outbox.push(Body::Transfer(transfer));
        desk.outbox.push(Body::Balance(balance));
        self.sequence = desk.outbox.close();
        true
    }

    /// The book as it was when the messages that the outbox still withholds had not happened.
    pub(crate) fn snapshot(&self, outbox: &Outbox) -> Snapshot {
        let mut snapshot = Snapshot {
            symbol: self.id,
            sequence: self.sequence,
            update_id: self.update_id,
            bids: levels(&self.book, Side::Buy),
            asks: levels(&self.book, Side::Sell),
        };
        for (message, before) in outbox.withheld().filter(|(message, _)| message.symbol == self.id) {
            snapshot.sequence = message.sequence - 1;
            if let Message { body: Body::Book(change), .. } = message {
                snapshot.update_id = change.update_id - 1;
                restore(&mut snapshot, change, before);
            }
        }
        snapshot
    }

    /// Each symbol takes its own 50 to 200 events to follow a change of regime: all at once would leave a step in
    /// the depth of the books.
    #[inline]
    fn follow_regime(&mut self, desk: &Desk<'_>) {
        if self.regime_number != desk.regime_number {
            self.regime_number = desk.regime_number;
            self.regime_steps_left = 50 + self.stream.below(151) as u16;
        }
        if self.regime_steps_left > 0 {
            self.regime.step_towards(desk.regime, self.regime_steps_left);
            self.regime_steps_left -= 1;
        }
    }

    /// One action of the market's traders. The steps are tried in order; each may find nothing to do, but the last
    /// always acts.
    fn flow(&mut self, desk: &mut Desk<'_>) {
        let mut dice = Dice(self.stream.word());
        let lead = self.lead();
        let mut trade = self.regime.trade * (0.75 + 0.25 * self.reference.volatility());
        if self.cluster_left > 0 {
            self.cluster_left -= 1;
            trade *= self.regime.cluster;
        }
        if dice.chance(trade) && self.trading == Trading::Open {
            return self.trade(lead, desk);
        }
        let stale = self.regime.requote * (lead.abs() - REQUOTE_FROM);
        if dice.chance(stale.min(0.75)) && self.requote(lead, desk) {
            return;
        }
        if dice.chance(self.regime.flicker) && self.flicker(desk) {
            return;
        }
        let spread = self.book.spread();
        if spread > 1 {
            let eagerness = self.regime.improve * f64::from(spread - 1).sqrt();
            if dice.chance(eagerness.min(0.8)) {
                return self.improve(lead, desk);
            }
        }
        self.add_or_cancel(lead, desk);
    }

    /// By how many ticks the reference price is above the middle of the book.
    #[inline]
    fn lead(&self) -> f64 {
        if self.lacks(Ablation::Pull) {
            return 0.0;
        }
        let twice_middle = self.book.best(Side::Buy) + self.book.best(Side::Sell);
        self.reference.price() - 0.5 * f64::from(twice_middle)
    }

    /// A market order: of one of the parents, or of somebody who has seen how far the reference is ahead.
    fn trade(&mut self, lead: f64, desk: &mut Desk<'_>) {
        let mut dice = Dice(self.stream.word());
        let expected =
            self.parents.iter().map(|parent| sign(parent.side)).sum::<f64>() / self.parents.len() as f64;
        let informed = dice.chance(INFORMED_SLOPE * (lead.abs() - INFORMED_FROM));
        let taker = if informed {
            if lead > 0.0 { Side::Buy } else { Side::Sell }
        } else {
            let lacks_parents = self.lacks(Ablation::Parents);
            let parent = &mut self.parents[dice.below(3) as usize];
            let side = parent.side;
            parent.trades_left -= 1;
            if parent.trades_left == 0 || lacks_parents {
                *parent = Parent::new(lead, &mut self.stream);
            }
            side
        };
        let best = self.book.quantity(self.book.best(taker.opposite()));
        let mut lots = u32::from(desk.tables.trade_lots.draw(&mut self.stream));
        if self.lacks(Ablation::Sizes) {
            lots = 2;
        }
        if lots >= best && !dice.chance(self.regime.walk) {
            lots = best;
        }
        let traded = self.sweep(taker, lots, desk);
        let unforeseen = !informed && !self.lacks(Ablation::Surprise);
        let surprise = if unforeseen { sign(taker) - expected } else { 0.0 };
        self.reference.on_trade(surprise, traded, self.regime.volatility, desk.tables);
        self.cluster_left = CLUSTER_EVENTS;
    }

    /// Takes up to `lots` from the side that the taker trades against, level by level. The lots taken.
    fn sweep(&mut self, taker: Side, lots: u32, desk: &mut Desk<'_>) -> u32 {
        let side = taker.opposite();
        let mut left = lots;
        for _ in 0..SWEPT_LEVELS {
            let price = self.book.best(side);
            let level = self.book.quantity(price);
            let taken = left.min(level);
            left -= taken;
            self.trade_id += 1;
            let trade = Trade { trade_id: self.trade_id, price, quantity: u64::from(taken), taker };
            desk.outbox.push(Body::Trade(trade));
            self.day.on_trade(desk.outbox.event_ns(), self.trade_id, price, taken);
            self.set_level(side, price, level - taken, desk);
            self.fill_own(price, taken, desk);
            let emptied = level == taken;
            if emptied && !self.retreat(side, desk) || left == 0 {
                break;
            }
        }
        lots - left
    }

    /// How the book keeps up with news: the side left behind moves up, or the orders in the way are cancelled.
    fn requote(&mut self, lead: f64, desk: &mut Desk<'_>) -> bool {
        let (lagging, stale) = if lead > 0.0 { (Side::Buy, Side::Sell) } else { (Side::Sell, Side::Buy) };
        let mut dice = Dice(self.stream.word());
        if self.book.spread() > 1 && dice.chance(0.6) {
            let lots = u32::from(desk.tables.limit_lots.at(dice.bits(12) << 52));
            self.add(lagging, ahead(lagging, self.book.best(lagging), 1), lots, desk);
            true
        } else {
            self.cancel_foreign(stale, self.book.best(stale), u32::MAX, desk) > 0
        }
    }

    /// Undoes the last addition or restores the last cancellation, if the book still allows it.
    fn flicker(&mut self, desk: &mut Desk<'_>) -> bool {
        let Some(Operation { kind, side, price, lots }) = self.last_operation.take() else { return false };
        match kind {
            OperationKind::Added => {
                if !self.book.holds(side, price) {
                    return false;
                }
                let lots = self.cancel_foreign(side, price, lots, desk);
                if lots > 0 {
                    self.last_operation =
                        Some(Operation { kind: OperationKind::Cancelled, side, price, lots });
                }
                lots > 0
            }
            OperationKind::Cancelled => {
                if !self.book.admits(side, price) {
                    return false;
                }
                self.add(side, price, lots, desk);
                self.last_operation = Some(Operation { kind: OperationKind::Added, side, price, lots });
                true
            }
        }
    }

    /// A limit order inside the spread, mostly next to the best price of its own side.
    fn improve(&mut self, lead: f64, desk: &mut Desk<'_>) {
        let mut dice = Dice(self.stream.word());
        let buy = 0.5 + 0.5 * (0.35 * lead).clamp(-0.95, 0.95);
        let side = if dice.chance(buy) { Side::Buy } else { Side::Sell };
        let gap = self.book.spread() - 1;
        let u = dice.unit();
        let ticks = 1 + ((u * u * u * f64::from(gap)) as u32).min(gap - 1);
        let price = ahead(side, self.book.best(side), ticks);
        let lots = u32::from(desk.tables.limit_lots.draw(&mut self.stream));
        self.add(side, price, lots, desk);
        self.last_operation = Some(Operation { kind: OperationKind::Added, side, price, lots });
    }

    /// The queue-reactive book in one draw: a level above what it rests at loses orders, one below gains them.
    fn add_or_cancel(&mut self, lead: f64, desk: &mut Desk<'_>) {
        let mut dice = Dice(self.stream.word());
        let side = if dice.bits(1) == 0 { Side::Buy } else { Side::Sell };
        // The topmost bits, which nothing below comes to use.
        let scattered = self.regime.scatter > 0.0 && ((dice.0 >> 57) as f64) < self.regime.scatter * 128.0;
        let distances = if scattered { &desk.tables.scattered_distance } else { &desk.tables.distance };
        let distance = u32::from(distances.at(dice.bits(12) << 52));
        let lots = u32::from(desk.tables.limit_lots.at(dice.bits(12) << 52));
        let price = behind(side, self.book.best(side), distance);
        let level = f64::from(self.book.quantity(price));
        let resting = desk.tables.resting_lots[distance as usize] * self.regime.depth
            / (0.5 + 0.5 * self.reference.volatility());
        let mut cancel = level / (level + resting);
        // How far the reference lies through this side, so that its first levels had better go.
        let through = (-sign(side) * lead).max(0.0);
        if distance <= 2 {
            cancel = (cancel + EVASION * through).clamp(0.02, 0.98);
        }
        if self.lacks(Ablation::QueueReaction) {
            cancel = 0.5;
        }
        if dice.chance(cancel) {
            let pulled = distance <= 1 && dice.chance(self.regime.pull * (through - PULLED_FROM));
            let lots = self.cancel_foreign(side, price, if pulled { u32::MAX } else { lots }, desk);
            if lots > 0 {
                self.last_operation = Some(Operation { kind: OperationKind::Cancelled, side, price, lots });
                return;
            }
        }
        self.add(side, price, lots, desk);
        self.last_operation = Some(Operation { kind: OperationKind::Added, side, price, lots });
        if distance <= OWN_WITHIN && self.own.may_add(price) {
            self.offer_to_accounts(side, price, lots, desk);
        }
    }

    /// Adds lots to a level, which may become the best one of its side.
    fn add(&mut self, side: Side, price: u32, lots: u32, desk: &mut Desk<'_>) {
        self.set_level(side, price, self.book.quantity(price) + lots, desk);
        let old = self.book.best(side);
        if !self.book.holds(side, price) {
            self.book.set_best(side, price);
            self.leave_out_of_reach(side, old, desk);
        }
    }

    /// Cancels up to `lots` that are not ours. The lots cancelled.
    fn cancel_foreign(&mut self, side: Side, price: u32, lots: u32, desk: &mut Desk<'_>) -> u32 {
        let level = self.book.quantity(price);
        let lots = lots.min(self.own.foreign(price, level));
        if lots > 0 {
            self.own.on_foreign_cancel(price, level, lots);
            self.set_level(side, price, level - lots, desk);
            self.retreat_if_empty(side, price, desk);
        }
        lots
    }

    fn set_level(&mut self, side: Side, price: u32, lots: u32, desk: &mut Desk<'_>) {
        self.update_id += 1;
        let change = BookChange { update_id: self.update_id, side, price, quantity: u64::from(lots) };
        desk.outbox.push_change(change, self.book.quantity(price));
        self.book.set_quantity(price, lots);
    }

    #[inline]
    fn retreat_if_empty(&mut self, side: Side, price: u32, desk: &mut Desk<'_>) {
        if price == self.book.best(side) && self.book.quantity(price) == 0 {
            self.retreat(side, desk);
        }
    }

    /// The best level of a side is empty: the next occupied one takes its place. If there is none near enough to
    /// the other side, a small quote appears beside the old price, and the answer is false.
    fn retreat(&mut self, side: Side, desk: &mut Desk<'_>) -> bool {
        let (old, spread) = (self.book.best(side), self.book.spread());
        if spread < WIDEST_SPREAD {
            let next = behind(side, old, 1);
            if let Some(price) = self.book.nearest(side, next, WIDEST_SPREAD - spread - 1) {
                self.book.set_best(side, price);
                return true;
            }
            self.book.set_best(side, next);
        }
        self.set_level(side, self.book.best(side), FLOOR_LOTS, desk);
        false
    }

    /// The best price of a side has moved towards the other: removes what it has left out of reach.
    fn leave_out_of_reach(&mut self, side: Side, old: u32, desk: &mut Desk<'_>) {
        let end = behind(side, old, REACH);
        let mut from = behind(side, self.book.best(side), REACH + 1);
        while let Some(price) = self.book.nearest(side, from, from.abs_diff(end)) {
            match self.own.at(price) {
                Some(place) => {
                    let order = self.own.remove(place);
                    self.set_level(side, price, 0, desk);
                    self.report_cancel(&order, desk);
                }
                None => self.set_level(side, price, 0, desk),
            }
            if price == end {
                break;
            }
            from = behind(side, price, 1);
        }
    }

    /// An order just added may be an account's own.
    fn offer_to_accounts(&mut self, side: Side, price: u32, lots: u32, desk: &mut Desk<'_>) {
        let Some(account) = desk.ledger.find_owner(&self.pair, side, price, lots) else { return };
        self.last_operation = None;
        self.order_id += 1;
        let order = OwnOrder {
            id: self.order_id,
            placed_ns: desk.outbox.event_ns(),
            account: account as u32,
            side,
            price,
            lots,
            rest: lots,
            ahead: self.book.quantity(price) - lots,
        };
        self.own.add(order);
        let balance = desk.ledger.place(account, &self.pair, side, price, lots);
        self.report(&order, ExecutionKind::New, None, desk);
        desk.outbox.push(Body::Balance(balance));
    }

    fn cancel_own(&mut self, place: usize, desk: &mut Desk<'_>) {
        let order = self.own.remove(place);
        let OwnOrder { side, price, rest, .. } = order;
        self.set_level(side, price, self.book.quantity(price) - rest, desk);
        self.report_cancel(&order, desk);
        self.retreat_if_empty(side, price, desk);
    }

    fn report_cancel(&mut self, order: &OwnOrder, desk: &mut Desk<'_>) {
        let balance =
            desk.ledger.release(order.account as usize, &self.pair, order.side, order.price, order.rest);
        self.report(order, ExecutionKind::Canceled, None, desk);
        desk.outbox.push(Body::Balance(balance));
    }

    /// A trade took so many lots at a price: the part that reached our order there is a fill.
    #[inline]
    fn fill_own(&mut self, price: u32, taken: u32, desk: &mut Desk<'_>) {
        let Some((order, filled)) = self.own.on_trade(price, taken) else { return };
        let settled = desk.ledger.fill(order.account as usize, &self.pair, order.side, price, filled);
        let fill = Fill { lots: filled, fee: settled.fee };
        self.report(&order, ExecutionKind::Trade, Some(fill), desk);
        desk.outbox.push(Body::Balance(settled.base));
        desk.outbox.push(Body::Balance(settled.quote));
    }

    fn report(&mut self, order: &OwnOrder, kind: ExecutionKind, fill: Option<Fill>, desk: &mut Desk<'_>) {
        self.execution_id += 1;
        desk.outbox.push(Body::Execution(Execution {
            account: desk.ledger.id(order.account as usize),
            order_id: order.id,
            execution_id: self.execution_id,
            kind,
            side: order.side,
            price: order.price,
            quantity: u64::from(order.lots),
            last_quantity: fill.map_or(0, |fill| u64::from(fill.lots)),
            last_price: fill.map_or(0, |_| order.price),
            filled_quantity: u64::from(order.lots - order.rest),
            fee: fill.map_or(0, |fill| fill.fee),
            fee_asset: desk.ledger.quote_asset(&self.pair),
            trade_id: fill.map_or(0, |_| self.trade_id),
            placed_ns: order.placed_ns,
        }));
    }

    /// Whether a test has taken this mechanism out.
    #[cfg(test)]
    fn lacks(&self, mechanism: Ablation) -> bool {
        self.ablation == Some(mechanism)
    }

    #[cfg(not(test))]
    #[inline]
    fn lacks(&self, _: Ablation) -> bool {
        false
    }

    fn quote(&self) -> Quote {
        let (bid, ask) = (self.book.best(Side::Buy), self.book.best(Side::Sell));
        Quote {
            update_id: self.update_id,
            bid,
            bid_quantity: u64::from(self.book.quantity(bid)),
            ask,
            ask_quantity: u64::from(self.book.quantity(ask)),
        }
    }
}

#[derive(Clone, Copy)]
struct Fill {
    lots: u32,
    fee: u64,
}

impl Parent {
    /// Its length has a heavy tail, and its side leans towards the reference price.
    fn new(lead: f64, stream: &mut Stream) -> Self {
        let length = libm::floor(libm::pow(stream.open_unit(), -1.0 / 1.6));
        let buy = 0.5 + 0.5 * (0.3 * lead).clamp(-0.6, 0.6);
        Self {
            side: if stream.unit() < buy { Side::Buy } else { Side::Sell },
            trades_left: length.clamp(1.0, 20_000.0) as u32,
        }
    }
}

/// A random word that is spent piece by piece from its low end.
struct Dice(u64);

impl Dice {
    #[inline]
    fn bits(&mut self, count: u32) -> u64 {
        let bits = self.0 & ((1 << count) - 1);
        self.0 >>= count;
        bits
    }

    /// A number in (0, 1), of 16 bits.
    #[inline]
    fn unit(&mut self) -> f64 {
        (self.bits(16) as f64 + 0.5) * (1.0 / 65_536.0)
    }

    /// True with this probability; never if it is below zero, always if it is above one. 16 bits.
    #[inline]
    fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number below the bound. 16 bits.
    #[inline]
    fn below(&mut self, bound: u64) -> u64 {
        (self.bits(16) * bound) >> 16
    }
}

#[inline]
fn sign(side: Side) -> f64 {
    match side {
        Side::Buy => 1.0,
        Side::Sell => -1.0,
    }
}

fn levels(book: &Book, side: Side) -> Vec<(u32, u64)> {
    book.levels(side).map(|(price, lots)| (price, u64::from(lots))).collect()
}

/// Puts a level back to what it was before a change.
fn restore(snapshot: &mut Snapshot, change: &BookChange, before: u32) {
    let levels = match change.side {
        Side::Buy => &mut snapshot.bids,
        Side::Sell => &mut snapshot.asks,
    };
    let place = levels.partition_point(|&(price, _)| match change.side {
        Side::Buy => price > change.price,
        Side::Sell => price < change.price,
    });
    if levels.get(place).is_some_and(|&(price, _)| price == change.price) {
        levels.remove(place);
    }
    if before > 0 {
        levels.insert(place, (change.price, u64::from(before)));
    }
}

/// Of the events of a symbol in which accounts have orders, one in so many cancels one of them.
const OWN_CANCEL_ONE_IN: u32 = 600;

/// Accounts place orders at most so many ticks from the best price.
const OWN_WITHIN: u32 = 3;

/// Share of the changes of a best price, without a trade, that are announced by a quote.
const QUOTED: f64 = 0.75;

/// Beyond this lead, in ticks, orders are requoted, more likely with each further tick. Without it the book lags
/// its reference, and prices trend.
const REQUOTE_FROM: f64 = 0.75;

/// The same for trades that follow the reference instead of a parent.
const INFORMED_FROM: f64 = 0.6;
const INFORMED_SLOPE: f64 = 0.25;

/// How much likelier a cancellation near the touch becomes with each tick that the reference lies through it, and
/// from how many ticks on it takes the whole level. Half as much of the one, or twice as much of the other, and
/// the book follows so slowly that its variance over a thousand messages is 1.3 to 1.7 of what sixteen promise.
const EVASION: f64 = 0.7;
const PULLED_FROM: f64 = 0.3;

/// Events after a trade in which another is more likely.
const CLUSTER_EVENTS: u8 = 8;

/// A trade takes from at most so many levels.
const SWEPT_LEVELS: u32 = 12;

/// Lots of the quote that appears when a side would else have no price near the other.
const FLOOR_LOTS: u32 = 5;

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;
    use crate::instrument::Listing;

    #[test]
    fn a_symbol_follows_a_change_of_regime_over_50_to_200_events() {
        let lengths: Vec<usize> = (0..200).map(events_to_follow).collect();
        assert!(lengths.iter().all(|events| (50..=200).contains(events)), "{lengths:?}");
        assert!(lengths.iter().min() < Some(&60) && lengths.iter().max() > Some(&190), "{lengths:?}");
    }

    /// Turns a symbol's market volatile; the events until it is, with a check that it goes there in small steps.
    fn events_to_follow(seed: u64) -> usize {
        let spec = MarketSpec::new(Seed::new(seed), Listing::synthetic(1, Seed::new(seed)));
        let instrument = &spec.listing.instruments[0];
        let mut ledger = Ledger::new(&spec, 0, &[instrument]);
        let mut outbox = Outbox::new();
        let mut symbol = Symbol::new(&spec, instrument, 0.0, &ledger);
        let mut desk = Desk {
            tables: Tables::shared(),
            outbox: &mut outbox,
            ledger: &mut ledger,
            regime: &Regime::VOLATILE,
            regime_number: 1,
            path: 0.0,
            trading: Trading::Open,
        };
        let mut events = 0;
        while symbol.regime != Regime::VOLATILE {
            let before = symbol.regime.depth;
            symbol.act(events as u64, &mut desk);
            let step = before - symbol.regime.depth;
            assert!(step > 0.0 && step <= 0.55 / 49.0, "{step}");
            events += 1;
        }
        events
    }
}
