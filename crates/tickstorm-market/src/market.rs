//! The market of one shard: an endless source of messages.

use std::sync::Arc;

use crate::account::Ledger;
use crate::event::{Balance, Message, Snapshot};
use crate::flow::{Desk, Symbol};
use crate::instrument::{Instrument, SymbolId};
use crate::outbox::Outbox;
use crate::path::{Path, Trading};
use crate::regime::Regime;
use crate::selection::Selection;
use crate::spec::{MarketSpec, SpecError};
use crate::tables::Tables;

/// The symbols `i` with `i % shards == shard`, their books, and the accounts that trade them. Shards share
/// nothing: each has its own accounts, its own internal accounts and its own random streams.
pub struct ShardMarket {
    shard: u16,
    shards: u16,
    symbols: Vec<Symbol>,
    selection: Selection,
    /// What it has drawn for the next event.
    upcoming: (usize, u16),
    ledger: Ledger,
    outbox: Outbox,
    tables: &'static Tables,
    regime: Regime,
    regime_number: u32,
    trading: Trading,
    path: Path,
}

impl ShardMarket {
    /// A market before its first message. A shard that holds no symbol (its weight is zero) has no market.
    pub fn new(spec: &MarketSpec, shard: u16) -> Result<Self, SpecError> {
        spec.check()?;
        if shard >= spec.shards_in_use() {
            return Err(SpecError::NoSuchShard { shard, shards: spec.shards_in_use() });
        }
        let instruments: Vec<&Instrument> = spec
            .listing
            .instruments
            .iter()
            .skip(usize::from(shard))
            .step_by(usize::from(spec.shards))
            .collect();
        let ledger = Ledger::new(spec, shard, &instruments);
        let ticks_a_weight = spec.path_ticks_a_weight();
        let symbols = instruments
            .iter()
            .map(|instrument| {
                let path_ticks = spec.path_ticks_of(instrument, ticks_a_weight);
                Symbol::new(spec, instrument, path_ticks, &ledger)
            })
            .collect();
        let weights: Vec<u64> =
            instruments.iter().map(|instrument| spec.symbol_weight(instrument.id)).collect();
        let mut selection = Selection::new(&weights, spec.seed.stream("selection", u64::from(shard)));
        let upcoming = selection.next();
        Ok(Self {
            shard,
            shards: spec.shards,
            symbols,
            selection,
            upcoming,
            ledger,
            outbox: Outbox::new(),
            tables: Tables::shared(),
            regime: spec.regime,
            regime_number: 0,
            trading: Trading::Open,
            path: Path::new(Arc::clone(&spec.regime_path)),
        })
    }

    /// The next message, due at this time of the run; times must not fall from one call to the next. The content
    /// depends on the time only through the regime path and the 24 h window.
    ///
    /// Costs some 60 ns and does not allocate, but for the 24 h statistics of a symbol, which grow a little in the
    /// first quarter hours that they span.
    #[inline]
    pub fn next(&mut self, due_ns: u64) -> &Message {
        if self.outbox.is_spent() {
            self.run_event(due_ns);
        }
        self.outbox.hand_out(due_ns)
    }

    /// Turns the market into another regime, over the next 50 to 200 events of each symbol.
    pub fn set_regime(&mut self, regime: Regime) -> Result<(), SpecError> {
        regime.check()?;
        self.turn(regime);
        Ok(())
    }

    /// Which instruments trade here, busiest first.
    pub fn symbols(&self) -> impl Iterator<Item = SymbolId> + '_ {
        (0..self.symbols.len()).map(|place| self.symbol_id(place))
    }

    /// The book of a symbol as of its last message that was handed out; `None` for a symbol of another shard.
    /// Meant for starts and requests, not for every message.
    pub fn snapshot(&self, symbol: SymbolId) -> Option<Snapshot> {
        let place = symbol.0 / u32::from(self.shards);
        let ours = symbol.0 % u32::from(self.shards) == u32::from(self.shard);
        let symbol = self.symbols.get(place as usize).filter(|_| ours)?;
        Some(symbol.snapshot(&self.outbox))
    }

    /// The books of all symbols, see [`snapshot`](Self::snapshot).
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.symbols.iter().map(|symbol| symbol.snapshot(&self.outbox)).collect()
    }

    /// What every account of the shard owns of every asset that trades here, then the same for the internal
    /// accounts [`market_account`](crate::market_account) and [`fees_account`](crate::fees_account). As of the end
    /// of the event under way: balances that its remaining messages announce are already in.
    pub fn balances(&self) -> Vec<Balance> {
        self.ledger.balances()
    }

    fn run_event(&mut self, event_ns: u64) {
        while let Some(change) = self.path.pass(event_ns) {
            self.trading = change.trading;
            if change.regime != self.regime {
                self.turn(change.regime);
            }
        }
        let (place, spare_bits) = self.choose();
        let symbol = &mut self.symbols[place];
        let mut desk = Desk {
            tables: self.tables,
            outbox: &mut self.outbox,
            ledger: &mut self.ledger,
            regime: &self.regime,
            regime_number: self.regime_number,
            path: self.path.price(event_ns),
            trading: self.trading,
        };
        if symbol.announce(event_ns, &mut desk) {
            return;
        }
        let transferred =
            spare_bits == 0 && desk.ledger.traders() > 0 && symbol.transfer(event_ns, &mut desk);
        if !transferred {
            symbol.act(event_ns, &mut desk);
        }
    }

    /// The place of the event's symbol, and random bits for it. The next event's is asked for meanwhile: symbols by the
    /// thousand do not stay in the processor's caches.
    #[inline]
    fn choose(&mut self) -> (usize, u16) {
        let chosen = std::mem::replace(&mut self.upcoming, self.selection.next());
        self.symbols[self.upcoming.0].prefetch();
        chosen
    }

    fn turn(&mut self, regime: Regime) {
        self.regime = regime;
        self.regime_number = self.regime_number.wrapping_add(1);
    }

    fn symbol_id(&self, place: usize) -> SymbolId {
        SymbolId(place as u32 * u32::from(self.shards) + u32::from(self.shard))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_random::Seed;

    use super::*;
    use crate::event::{Body, Kind};
    use crate::instrument::Listing;
    use crate::invariants::{Checker, Violation};
    use crate::path::RegimeChange;

    fn spec(seed: u64, symbols: u32) -> MarketSpec {
        MarketSpec::new(Seed::new(seed), Listing::synthetic(symbols, Seed::new(seed)))
    }

    /// Runs a shard for at least so many messages and to the end of an event, checking every one of them, and
    /// snapshots at moments within events too.
    fn check(spec: &MarketSpec, shard: u16, messages: u64, gap_ns: u64) -> Result<(), Violation> {
        let mut market = ShardMarket::new(spec, shard).expect("the spec is sound");
        let mut checker = Checker::new(&spec.listing, &market.snapshots(), &market.balances());
        for number in 0.. {
            let message = *market.next(number * gap_ns);
            checker.observe(&message)?;
            if number % 997 == 0 {
                let snapshot = market.snapshot(message.symbol).expect("it is the shard's own symbol");
                checker.check_snapshot(&snapshot)?;
            }
            if number >= messages && message.last {
                break;
            }
        }
        checker.finish(&market.snapshots(), &market.balances())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn no_message_breaks_an_invariant(
            seed: u64,
            symbols in 1u32..=200,
            shards in 1u16..=64,
            pick: u16,
            accounts in 0u32..=100,
            volatile: bool,
            zipf in 0.0..2.0,
        ) {
            let mut spec = spec(seed, symbols);
            spec.shards = shards;
            spec.accounts = accounts;
            spec.zipf = zipf;
            spec.regime = if volatile { Regime::VOLATILE } else { Regime::NORMAL };
            let shard = pick % spec.shards_in_use();
            prop_assert_eq!(check(&spec, shard, 2_500, 1_000_000), Ok(()));
        }
    }

    #[test]
    fn long_runs_of_every_regime_break_no_invariant() {
        for regime in [Regime::NORMAL, Regime::VOLATILE, WILD] {
            let mut spec = spec(7, 5);
            spec.shards = 1;
            spec.regime = regime;
            assert_eq!(check(&spec, 0, 300_000, 50_000), Ok(()), "{regime:?}");
        }
    }

    /// Thin, and moving faster than its order flow can follow: wide spreads, jumps, empty sides.
    const WILD: Regime = Regime {
        trade: 0.2,
        cluster: 2.5,
        depth: 0.02,
        volatility: 30.0,
        improve: 0.02,
        flicker: 0.3,
        walk: 1.0,
        pull: 1.0,
        requote: 0.1,
        scatter: 0.0,
    };

    #[test]
    fn statistics_of_24_hours_hold_over_three_days() {
        let mut spec = spec(3, 3);
        spec.shards = 1;
        // A message every two seconds of simulated time.
        assert_eq!(check(&spec, 0, 130_000, 2_000_000_000), Ok(()));
    }

    #[test]
    fn regime_paths_break_no_invariant() {
        let mut spec = spec(4, 20);
        spec.shards = 2;
        let change = RegimeChange::new;
        spec.regime_path =
            [change(0, Regime::VOLATILE), change(5_000, Regime::NORMAL), change(5_100, WILD)].into();
        assert_eq!(check(&spec, 1, 20_000, 1), Ok(()));
    }

    #[test]
    fn every_symbol_announces_a_halt_and_its_end_and_trades_before_and_after() {
        let mut spec = spec(4, 20);
        spec.shards = 1;
        let change = |at_ns, trading| RegimeChange { trading, ..RegimeChange::new(at_ns, Regime::VOLATILE) };
        spec.regime_path = [change(20_000_000, Trading::Halted), change(40_000_000, Trading::Open)].into();
        assert_eq!(check(&spec, 0, 60_000, 1_000), Ok(()));
        let mut acts: Vec<Vec<(Kind, bool)>> = vec![Vec::new(); 20];
        for message in messages(&spec, 0, 60_000) {
            let trading = match message.body {
                Body::Status(status) => status.trading,
                Body::Trade(_) => true,
                _ => continue,
            };
            let acts = &mut acts[message.symbol.0 as usize];
            acts.push((message.body.kind(), trading));
            acts.dedup();
        }
        let (trades, status) = ((Kind::Trade, true), |trading| (Kind::Status, trading));
        for acts in acts {
            assert_eq!(acts, [trades, status(false), status(true), trades]);
        }
    }

    fn messages(spec: &MarketSpec, shard: u16, count: usize) -> Vec<Message> {
        let mut market = ShardMarket::new(spec, shard).expect("the spec is sound");
        (0..count as u64).map(|number| *market.next(number * 1_000)).collect()
    }

    #[test]
    fn the_same_spec_gives_the_same_messages_and_another_seed_others() {
        assert_eq!(messages(&spec(1, 100), 3, 5_000), messages(&spec(1, 100), 3, 5_000));
        assert_ne!(messages(&spec(1, 100), 3, 5_000), messages(&spec(2, 100), 3, 5_000));
    }

    #[test]
    fn content_does_not_depend_on_speed() {
        let mut slow = ShardMarket::new(&spec(1, 100), 3).expect("the spec is sound");
        let mut fast = ShardMarket::new(&spec(1, 100), 3).expect("the spec is sound");
        for number in 0..20_000 {
            let slow = slow.next(number * 1_000_000);
            let fast = fast.next(number);
            assert_eq!((slow.symbol, slow.sequence, slow.last), (fast.symbol, fast.sequence, fast.last));
            if let (Body::Book(slow), Body::Book(fast)) = (slow.body, fast.body) {
                assert_eq!(slow, fast);
            }
        }
    }

    #[test]
    fn another_account_changes_its_own_shard_only() {
        let fewer = spec(1, 100);
        let more = MarketSpec { accounts: 51, ..fewer.clone() };
        // Accounts are dealt out in turn, so the fifty-first goes to shard 50.
        assert_ne!(messages(&fewer, 50, 2_000), messages(&more, 50, 2_000));
        for shard in [0, 49, 51, 63] {
            assert_eq!(messages(&fewer, shard, 2_000), messages(&more, shard, 2_000), "shard {shard}");
        }
    }

    #[test]
    fn messages_of_an_event_carry_its_time_and_their_own() {
        let mut market = ShardMarket::new(&spec(1, 1), 0).expect("the spec is sound");
        let mut first_due_ns = 0;
        let mut starts = true;
        for due_ns in 1..5_000 {
            let message = market.next(due_ns);
            if starts {
                first_due_ns = due_ns;
            }
            assert_eq!((message.due_ns, message.event_ns), (due_ns, first_due_ns));
            starts = message.last;
        }
    }

    #[test]
    fn a_change_of_regime_thins_the_books_gradually() {
        let mut spec = spec(5, 1);
        spec.accounts = 0;
        let mut market = ShardMarket::new(&spec, 0).expect("the spec is sound");
        // Lots in the best five levels of each side, averaged over events `from..until`.
        let mut events = 0;
        let mut depth = |market: &mut ShardMarket, until: u64| {
            let (mut sum, mut count) = (0, 0);
            while events < until {
                events += u64::from(market.next(events).last);
                let book = market.snapshot(SymbolId(0)).expect("it is the shard's own symbol");
                sum += book
                    .bids
                    .iter()
                    .take(5)
                    .chain(book.asks.iter().take(5))
                    .map(|level| level.1)
                    .sum::<u64>();
                count += 1;
            }
            sum as f64 / f64::from(count)
        };
        depth(&mut market, 3_000);
        let before = depth(&mut market, 5_000);
        market.set_regime(Regime { depth: 0.1, ..Regime::NORMAL }).expect("the regime is sound");
        let soon = depth(&mut market, 5_025);
        depth(&mut market, 8_000);
        let after = depth(&mut market, 10_000);
        assert!(soon > 0.7 * before, "a step: {before} {soon}");
        assert!(after < 0.5 * before, "no change: {before} {after}");
    }

    #[test]
    fn a_shard_without_symbols_and_an_unsound_regime_are_refused() {
        let spec = spec(1, 3);
        assert_eq!(ShardMarket::new(&spec, 3).err(), Some(SpecError::NoSuchShard { shard: 3, shards: 3 }));
        let mut market = ShardMarket::new(&spec, 0).expect("the spec is sound");
        assert!(market.set_regime(Regime { trade: 2.0, ..Regime::NORMAL }).is_err());
        assert_eq!(market.snapshot(SymbolId(1)), None);
        assert_eq!(market.symbols().collect::<Vec<_>>(), [SymbolId(0)]);
    }

    #[test]
    fn every_kind_of_message_comes_in_its_usual_share() {
        let mut spec = spec(6, 100);
        spec.shards = 1;
        let mut counts = [0u32; Kind::ALL.len()];
        let count = 400_000;
        for message in messages(&spec, 0, count) {
            counts[message.body.kind() as usize] += 1;
        }
        let share = |kind: Kind| f64::from(counts[kind as usize]) / count as f64;
        let bands = [
            (Kind::Book, 0.80, 0.92),
            (Kind::Trade, 0.025, 0.05),
            (Kind::Quote, 0.002, 0.02),
            (Kind::Ticker, 0.02, 0.05),
            (Kind::Execution, 0.005, 0.04),
            (Kind::Balance, 0.01, 0.06),
            (Kind::Transfer, 5e-6, 2e-4),
        ];
        for (kind, low, high) in bands {
            assert!((low..high).contains(&share(kind)), "{kind:?}: {}", share(kind));
        }
    }
}
