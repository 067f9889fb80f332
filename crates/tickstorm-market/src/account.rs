//! The accounts of a shard: what they own, and the orders of their own that rest in the books.

use tickstorm_random::Stream;

use crate::event::{AccountId, Balance, Side, Transfer};
use crate::instrument::{AssetId, Instrument, UNITS_PER_WHOLE};
use crate::spec::MarketSpec;

/// Who owns what in one shard. Besides the accounts that trade there are two internal ones: MARKET, the
/// counterparty of every fill, and FEES. Whatever an order may still bring its owner is locked with MARKET, so no
/// fill can ever fail.
pub(crate) struct Ledger {
    assets: Vec<AssetId>,
    accounts: Vec<AccountId>,
    /// Account by account, MARKET and FEES last, each with one holding per asset.
    holdings: Vec<Holding>,
    /// What an account owns of each asset at first, and what transfers bring it back to.
    endowments: Vec<u64>,
    /// All there is of each asset.
    supplies: Vec<u64>,
    stream: Stream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Holding {
    free: u64,
    locked: u64,
}

/// A pair as the ledger sees it: places of its assets among those of the shard, and what a lot is worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    base: usize,
    quote: usize,
    lot: u64,
    tick_lot: u64,
}

impl Pair {
    fn base_amount(&self, lots: u32) -> u64 {
        u64::from(lots) * self.lot
    }

    fn quote_amount(&self, price: u32, lots: u32) -> u64 {
        u64::from(price) * u64::from(lots) * self.tick_lot
    }

    /// What an order gives and what it gets: (asset, amount) each.
    fn exchange(&self, side: Side, price: u32, lots: u32) -> ((usize, u64), (usize, u64)) {
        let base = (self.base, self.base_amount(lots));
        let quote = (self.quote, self.quote_amount(price, lots));
        match side {
            Side::Buy => (quote, base),
            Side::Sell => (base, quote),
        }
    }
}

/// What a fill did to its owner.
pub(crate) struct Settlement {
    pub(crate) fee: u64,
    pub(crate) base: Balance,
    pub(crate) quote: Balance,
}

impl Ledger {
    pub(crate) fn new(spec: &MarketSpec, shard: u16, instruments: &[&Instrument]) -> Self {
        let mut assets: Vec<AssetId> = instruments.iter().flat_map(|it| [it.base, it.quote]).collect();
        assets.sort_unstable();
        assets.dedup();
        let in_use = u32::from(spec.shards_in_use());
        let mut accounts: Vec<AccountId> = (0..spec.accounts)
            .filter(|account| account % in_use == u32::from(shard))
            .map(AccountId)
            .collect();
        let mut endowments = vec![0u64; assets.len()];
        for instrument in instruments {
            let place = |asset| assets.partition_point(|&other| other < asset);
            let base = &mut endowments[place(instrument.base)];
            *base = base.saturating_add(instrument.lot * ENDOWMENT_LOTS);
            let quote = &mut endowments[place(instrument.quote)];
            *quote = quote.saturating_add(instrument.notional(instrument.start_price, ENDOWMENT_LOTS));
        }
        let most = MOST_UNITS / 4 / (accounts.len() as u64).max(1);
        endowments.iter_mut().for_each(|amount| *amount = (*amount).min(most));
        let mut holdings = Vec::with_capacity((accounts.len() + 2) * assets.len());
        let owns = |free| Holding { free, locked: 0 };
        for _ in &accounts {
            holdings.extend(endowments.iter().copied().map(owns));
        }
        let market =
            endowments.iter().map(|amount| amount.saturating_mul(MARKET_ENDOWMENTS).min(MOST_UNITS / 4));
        holdings.extend(market.map(owns));
        holdings.extend(assets.iter().map(|_| Holding::default()));
        let supplies = (0..assets.len())
            .map(|asset| holdings.iter().skip(asset).step_by(assets.len()).map(|holding| holding.free).sum())
            .collect();
        accounts.extend([market_account(shard), fees_account(shard)]);
        let stream = spec.seed.stream("accounts", u64::from(shard));
        Self { assets, accounts, holdings, endowments, supplies, stream }
    }

    pub(crate) fn pair(&self, instrument: &Instrument) -> Pair {
        let place = |asset| self.assets.partition_point(|&other| other < asset);
        Pair {
            base: place(instrument.base),
            quote: place(instrument.quote),
            lot: instrument.lot,
            tick_lot: instrument.tick * instrument.lot / UNITS_PER_WHOLE,
        }
    }

    /// How many accounts trade here.
    #[inline]
    pub(crate) fn traders(&self) -> usize {
        self.accounts.len() - 2
    }

    #[inline]
    pub(crate) fn id(&self, account: usize) -> AccountId {
        self.accounts[account]
    }

    /// What the pair is paid in.
    pub(crate) fn quote_asset(&self, pair: &Pair) -> AssetId {
        self.assets[pair.quote]
    }

    /// True once in `times` on average.
    #[inline]
    pub(crate) fn one_in(&mut self, times: u32) -> bool {
        self.stream.below(times) == 0
    }

    /// One of `count` things.
    pub(crate) fn choose(&mut self, count: usize) -> usize {
        self.stream.below(count as u32) as usize
    }

    /// An account that wants to place an order and can: it and MARKET have what it takes, and enough stays free
    /// for the fees of all that the account has open.
    pub(crate) fn find_owner(&mut self, pair: &Pair, side: Side, price: u32, lots: u32) -> Option<usize> {
        if self.traders() == 0 || !self.one_in(ONE_ADD_IN) {
            return None;
        }
        let account = self.choose(self.traders());
        let ((paid, pays), (got, gets)) = pair.exchange(side, price, lots);
        let own = self.holding(account, paid);
        let spendable = own.free.saturating_sub(reserve(own.locked + pays));
        (pays <= spendable && gets <= self.holding(self.market(), got).free).then_some(account)
    }

    /// Locks what an order gives. The balance of it.
    pub(crate) fn place(
        &mut self,
        account: usize,
        pair: &Pair,
        side: Side,
        price: u32,
        lots: u32,
    ) -> Balance {
        let ((paid, pays), (got, gets)) = pair.exchange(side, price, lots);
        self.lock(account, paid, pays);
        self.lock(self.market(), got, gets);
        self.balance(account, paid)
    }

    /// Unlocks what the rest of a cancelled order would have given. The balance of it.
    pub(crate) fn release(
        &mut self,
        account: usize,
        pair: &Pair,
        side: Side,
        price: u32,
        rest: u32,
    ) -> Balance {
        let ((paid, pays), (got, gets)) = pair.exchange(side, price, rest);
        self.unlock(account, paid, pays);
        self.unlock(self.market(), got, gets);
        self.balance(account, paid)
    }

    /// Exchanges what an order gives for what it gets, and takes the fee.
    pub(crate) fn fill(
        &mut self,
        account: usize,
        pair: &Pair,
        side: Side,
        price: u32,
        lots: u32,
    ) -> Settlement {
        let ((paid, pays), (got, gets)) = pair.exchange(side, price, lots);
        let fee = pair.quote_amount(price, lots) / FEE_DIVISOR;
        let (market, fees) = (self.market(), self.market() + 1);
        self.holding_mut(account, paid).locked -= pays;
        self.holding_mut(market, paid).free += pays;
        self.holding_mut(market, got).locked -= gets;
        self.holding_mut(account, got).free += gets;
        self.holding_mut(account, pair.quote).free -= fee;
        self.holding_mut(fees, pair.quote).free += fee;
        Settlement { fee, base: self.balance(account, pair.base), quote: self.balance(account, pair.quote) }
    }

    /// A deposit for an account that has less than at first, a withdrawal by one that has not; `None` when it
    /// cannot spare anything.
    pub(crate) fn transfer(&mut self, pair: &Pair) -> Option<(Transfer, Balance)> {
        let account = self.choose(self.traders());
        let asset = if self.choose(2) == 0 { pair.base } else { pair.quote };
        let endowment = self.endowments[asset];
        let amount = endowment / 100 * (1 + self.choose(10) as u64);
        let Holding { free, locked } = self.holding(account, asset);
        let transfer =
            |amount| Transfer { account: self.accounts[account], asset: self.assets[asset], amount };
        if free + locked < endowment {
            if amount == 0 || self.supplies[asset] + amount > MOST_UNITS {
                return None;
            }
            let transfer = transfer(amount as i64);
            self.supplies[asset] += amount;
            self.holding_mut(account, asset).free += amount;
            Some((transfer, self.balance(account, asset)))
        } else {
            let amount = amount.min(free.saturating_sub(reserve(locked)));
            if amount == 0 {
                return None;
            }
            let transfer = transfer(-(amount as i64));
            self.supplies[asset] -= amount;
            self.holding_mut(account, asset).free -= amount;
            Some((transfer, self.balance(account, asset)))
        }
    }

    /// Every account's balance of every asset, MARKET and FEES last.
    pub(crate) fn balances(&self) -> Vec<Balance> {
        (0..self.accounts.len())
            .flat_map(|account| (0..self.assets.len()).map(move |asset| self.balance(account, asset)))
            .collect()
    }

    fn market(&self) -> usize {
        self.traders()
    }

    fn lock(&mut self, account: usize, asset: usize, amount: u64) {
        let holding = self.holding_mut(account, asset);
        holding.free -= amount;
        holding.locked += amount;
    }

    fn unlock(&mut self, account: usize, asset: usize, amount: u64) {
        let holding = self.holding_mut(account, asset);
        holding.locked -= amount;
        holding.free += amount;
    }

    fn balance(&self, account: usize, asset: usize) -> Balance {
        let Holding { free, locked } = self.holding(account, asset);
        Balance { account: self.accounts[account], asset: self.assets[asset], free, locked }
    }

    fn holding(&self, account: usize, asset: usize) -> Holding {
        self.holdings[account * self.assets.len() + asset]
    }

    fn holding_mut(&mut self, account: usize, asset: usize) -> &mut Holding {
        &mut self.holdings[account * self.assets.len() + asset]
    }
}

/// The counterparty of every own fill in a shard. Its balances are never announced in messages.
pub fn market_account(shard: u16) -> AccountId {
    AccountId(INTERNAL_ACCOUNTS + 2 * u32::from(shard))
}

/// Where a shard's fees go. Its balances are never announced in messages.
pub fn fees_account(shard: u16) -> AccountId {
    AccountId(INTERNAL_ACCOUNTS + 2 * u32::from(shard) + 1)
}

/// What must stay free of an asset of which so much is locked: five times the fees that it may cost.
fn reserve(locked: u64) -> u64 {
    locked / (FEE_DIVISOR / 5)
}

/// From here on account ids are internal.
const INTERNAL_ACCOUNTS: u32 = 0x8000_0000;

/// An account can pay for some hundred orders of a usual size on each side of each of its symbols.
const ENDOWMENT_LOTS: u64 = 20_000;

/// MARKET owns as much as so many accounts: more than they could buy of it before transfers level them out.
const MARKET_ENDOWMENTS: u64 = 50;

/// All there may be of one asset: half of what an amount can hold.
const MOST_UNITS: u64 = 1 << 63;

/// The fee is two basis points of the money exchanged.
const FEE_DIVISOR: u64 = 5_000;

/// Of the orders added near the touch, one in so many is an account's own: 3 %.
const ONE_ADD_IN: u32 = 33;

/// An order of an account that rests in a book.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnOrder {
    pub(crate) id: u64,
    pub(crate) placed_ns: u64,
    /// Place of the account in the ledger.
    pub(crate) account: u32,
    pub(crate) side: Side,
    pub(crate) price: u32,
    pub(crate) lots: u32,
    /// Lots not yet filled.
    pub(crate) rest: u32,
    /// Lots of the level that trade before this order does.
    pub(crate) ahead: u32,
}

/// The own orders of one symbol: at most one at a price, so that places in the queue are unambiguous.
pub(crate) struct OwnOrders {
    orders: Vec<OwnOrder>,
    /// Prices modulo 512 that have an order: most look-ups end here.
    taken: [u64; 8],
}

impl OwnOrders {
    /// Room for [`Self::MOST`] orders, or for none where nobody will place any.
    pub(crate) fn new(traders: usize) -> Self {
        let room = if traders == 0 { 0 } else { Self::MOST };
        Self { orders: Vec::with_capacity(room), taken: [0; 8] }
    }

    /// So many own orders rest in a book, at most.
    pub(crate) const MOST: usize = 16;

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.orders.len()
    }

    /// Place of the order at a price.
    #[inline]
    pub(crate) fn at(&self, price: u32) -> Option<usize> {
        if self.taken[word(price)] & bit(price) == 0 {
            return None;
        }
        self.orders.iter().position(|order| order.price == price)
    }

    /// Lots of the level that are not ours.
    #[inline]
    pub(crate) fn foreign(&self, price: u32, level: u32) -> u32 {
        match self.at(price) {
            Some(place) => level - self.orders[place].rest,
            None => level,
        }
    }

    pub(crate) fn may_add(&self, price: u32) -> bool {
        self.orders.len() < Self::MOST && self.at(price).is_none()
    }

    pub(crate) fn add(&mut self, order: OwnOrder) {
        debug_assert!(self.may_add(order.price));
        self.taken[word(order.price)] |= bit(order.price);
        self.orders.push(order);
    }

    pub(crate) fn remove(&mut self, place: usize) -> OwnOrder {
        let order = self.orders.swap_remove(place);
        self.taken[word(order.price)] &= !bit(order.price);
        order
    }

    /// Others cancelled `lots` of the `level` lots at a price: they stood before and behind our order alike.
    #[inline]
    pub(crate) fn on_foreign_cancel(&mut self, price: u32, level: u32, lots: u32) {
        let Some(place) = self.at(price) else { return };
        let order = &mut self.orders[place];
        let foreign = level - order.rest;
        let before = (u64::from(order.ahead) * u64::from(lots) / u64::from(foreign)) as u32;
        order.ahead = (order.ahead - before).min(foreign - lots);
    }

    /// `taken` lots of a level traded. The order there as it is after its fill and the lots filled, if any were;
    /// an order without a rest is gone.
    #[inline]
    pub(crate) fn on_trade(&mut self, price: u32, taken: u32) -> Option<(OwnOrder, u32)> {
        let place = self.at(price)?;
        let order = &mut self.orders[place];
        let filled = order.rest.min(taken.saturating_sub(order.ahead));
        order.ahead -= order.ahead.min(taken);
        order.rest -= filled;
        let after = *order;
        if after.rest == 0 {
            self.remove(place);
        }
        (filled > 0).then_some((after, filled))
    }

    /// Whether every order fits its level with what is ahead of it.
    pub(crate) fn fit(&self, quantity: impl Fn(&OwnOrder) -> u32) -> bool {
        self.orders.iter().all(|order| order.rest > 0 && order.ahead + order.rest <= quantity(order))
    }
}

fn word(price: u32) -> usize {
    price as usize / 64 % 8
}

fn bit(price: u32) -> u64 {
    1 << (price % 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_random::Seed;

    use super::*;
    use crate::instrument::Listing;

    fn ledger(accounts: u32) -> (Ledger, Pair) {
        let mut spec = MarketSpec::new(Seed::new(1), Listing::synthetic(1, Seed::new(1)));
        spec.accounts = accounts;
        let ledger = Ledger::new(&spec, 0, &[&spec.listing.instruments[0]]);
        let pair = ledger.pair(&spec.listing.instruments[0]);
        (ledger, pair)
    }

    fn total(ledger: &Ledger, asset: usize) -> u64 {
        (0..ledger.accounts.len())
            .map(|account| ledger.holding(account, asset))
            .map(|it| it.free + it.locked)
            .sum()
    }

    #[test]
    fn a_filled_order_moves_exactly_its_value_and_the_fee() {
        let (mut ledger, pair) = ledger(2);
        let before = ledger.balances();
        let (price, lots) = (30_000, 10);
        let money = pair.quote_amount(price, lots);
        let locked = ledger.place(0, &pair, Side::Buy, price, lots);
        assert_eq!(locked.locked, money);
        let settled = ledger.fill(0, &pair, Side::Buy, price, lots);
        assert_eq!(settled.fee, money / 5_000);
        assert_eq!((settled.quote.locked, settled.base.locked), (0, 0));
        assert_eq!(settled.base.free, ledger.endowments[pair.base] + pair.base_amount(lots));
        assert_eq!(settled.quote.free, ledger.endowments[pair.quote] - money - settled.fee);
        assert_eq!(ledger.balances()[2..4], before[2..4], "the other account");
        for asset in [pair.base, pair.quote] {
            assert_eq!(total(&ledger, asset), ledger.supplies[asset]);
        }
    }

    #[test]
    fn a_cancelled_order_leaves_every_balance_as_it_was() {
        let (mut ledger, pair) = ledger(1);
        let before = ledger.balances();
        ledger.place(0, &pair, Side::Sell, 30_000, 7);
        assert_ne!(ledger.balances(), before);
        ledger.release(0, &pair, Side::Sell, 30_000, 7);
        assert_eq!(ledger.balances(), before);
    }

    #[test]
    fn nobody_places_an_order_that_could_not_be_paid_with_its_fee() {
        let (mut ledger, pair) = ledger(1);
        let (price, lots) = (30_000, 1_000);
        let mut placed = 0;
        for _ in 0..100_000 {
            if let Some(account) = ledger.find_owner(&pair, Side::Buy, price, lots) {
                ledger.place(account, &pair, Side::Buy, price, lots);
                placed += 1;
            }
        }
        assert!((15..=25).contains(&placed), "some twenty thousand lots can be paid for: {placed}");
        for _ in 0..placed {
            ledger.fill(0, &pair, Side::Buy, price, lots);
        }
        assert_eq!(ledger.holding(0, pair.quote).locked, 0);
    }

    #[test]
    fn accounts_are_dealt_out_to_the_shards_that_hold_symbols() {
        let mut spec = MarketSpec::new(Seed::new(1), Listing::synthetic(3, Seed::new(1)));
        spec.accounts = 8;
        let instrument = |shard: u16| &spec.listing.instruments[usize::from(shard)];
        let traders = |shard| Ledger::new(&spec, shard, &[instrument(shard)]).accounts;
        let ids = |ids: &[u32]| ids.iter().copied().map(AccountId).collect::<Vec<_>>();
        assert_eq!(traders(0), [ids(&[0, 3, 6]), vec![market_account(0), fees_account(0)]].concat());
        assert_eq!(traders(2), [ids(&[2, 5]), vec![market_account(2), fees_account(2)]].concat());
    }

    #[test]
    fn transfers_bring_an_account_back_towards_what_it_had() {
        let (mut ledger, pair) = ledger(1);
        ledger.fill_for_test(&pair);
        for _ in 0..2_000 {
            ledger.transfer(&pair);
        }
        for asset in [pair.base, pair.quote] {
            let Holding { free, locked } = ledger.holding(0, asset);
            let endowment = ledger.endowments[asset];
            assert!((free + locked).abs_diff(endowment) <= endowment / 10, "{free} of {endowment}");
            assert_eq!(total(&ledger, asset), ledger.supplies[asset]);
        }
    }

    impl Ledger {
        /// Half of the account's money becomes goods.
        fn fill_for_test(&mut self, pair: &Pair) {
            for _ in 0..10 {
                self.place(0, pair, Side::Buy, 30_000, 1_000);
                self.fill(0, pair, Side::Buy, 30_000, 1_000);
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Happening {
        ForeignAdd(u32),
        ForeignCancel(u32),
        Trade(u32),
    }

    proptest! {
        #[test]
        fn an_own_order_keeps_its_place_until_all_before_it_is_gone(
            ahead in 0u32..100,
            lots in 1u32..50,
            happenings in prop::collection::vec(
                prop_oneof![
                    (1u32..50).prop_map(Happening::ForeignAdd),
                    (1u32..50).prop_map(Happening::ForeignCancel),
                    (1u32..50).prop_map(Happening::Trade),
                ],
                0..40,
            ),
        ) {
            let mut own = OwnOrders::new(1);
            let mut level = ahead + lots;
            own.add(OwnOrder {
                id: 1, placed_ns: 0, account: 0, side: Side::Buy, price: 700, lots, rest: lots, ahead,
            });
            let mut filled = 0;
            for happening in happenings {
                match happening {
                    Happening::ForeignAdd(more) => level += more,
                    Happening::ForeignCancel(wanted) => {
                        let cut = wanted.min(own.foreign(700, level));
                        if cut > 0 {
                            own.on_foreign_cancel(700, level, cut);
                            level -= cut;
                        }
                    }
                    Happening::Trade(wanted) => {
                        let taken = wanted.min(level);
                        let before = own.at(700).map(|place| own.orders[place].ahead);
                        let fill = own.on_trade(700, taken).map_or(0, |(_, fill)| fill);
                        prop_assert!(fill == 0 || before.is_some_and(|ahead| taken > ahead));
                        filled += fill;
                        level -= taken;
                    }
                }
                prop_assert!(own.fit(|_| level));
                prop_assert_eq!(own.at(700).is_none(), filled == lots);
            }
        }
    }
}
