//! Balances as a consumer knows them: each one is the one before, and what fills and transfers have moved since.

use std::collections::HashMap;

use tickstorm_market::event::{AccountId, ExecutionKind, Side};
use tickstorm_market::instrument::{AssetId, Instrument, Listing};

use super::Fault;
use crate::decoded::{AssetBalance, BalanceUpdate, DepthForm, ExecutionReport, TransferUpdate};
use crate::venue::Venue;

#[derive(Debug, Clone)]
pub(super) struct Accounts {
    /// Whether everything that changes a balance is told, so that each follows from the one before.
    moves_told: bool,
    /// Only ever looked up, so that the order of the map does not matter.
    holdings: HashMap<(AccountId, AssetId), Holding>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Holding {
    /// As last told.
    total_units: Option<i64>,
    /// What has moved since.
    moved_units: i128,
}

impl Accounts {
    pub(super) fn new(venue: Venue) -> Self {
        // OKX and Bybit tell a deposit by nothing but the balance after it.
        let moves_told = !matches!(venue, Venue::Okx | Venue::Bybit);
        Self { moves_told, holdings: HashMap::new() }
    }

    pub(super) fn on_execution(&mut self, report: &ExecutionReport, instrument: &Instrument) {
        if report.kind != ExecutionKind::Trade {
            return;
        }
        // Absurd figures of a foreign stream are held to be as large as can be.
        let base = i128::from(report.last.quantity).saturating_mul(instrument.lot.into());
        let notional = instrument.notional(1, 1);
        let quote = i128::from(report.last.price) * i128::from(report.last.quantity);
        let quote = quote.saturating_mul(notional.into());
        let (base, quote) = match report.side {
            Side::Buy => (base, -quote),
            Side::Sell => (-base, quote),
        };
        self.moved(report.account, instrument.base, base);
        self.moved(report.account, instrument.quote, quote);
        if let Some(asset) = report.fee_asset {
            self.moved(report.account, asset, -i128::from(report.fee_units));
        }
    }

    pub(super) fn on_transfer(&mut self, update: &TransferUpdate) {
        self.moved(update.account, update.asset, update.amount_units.into());
    }

    /// Of several faults the first is told. The balance is adopted in any case.
    pub(super) fn on_balance(&mut self, update: &BalanceUpdate<'_>, listing: &Listing) -> Result<(), Fault> {
        let mut result = Ok(());
        for balance in update.balances {
            let checked = self.on_asset(update, balance, listing);
            result = result.and(checked);
        }
        result
    }

    fn on_asset(
        &mut self,
        update: &BalanceUpdate<'_>,
        balance: &AssetBalance,
        listing: &Listing,
    ) -> Result<(), Fault> {
        let account = update.account.0;
        let asset = || listing.assets.get(balance.asset.0 as usize).cloned().unwrap_or_default();
        let holding = self.holdings.entry((update.account, balance.asset)).or_default();
        let told = Holding { total_units: Some(balance.total_units), moved_units: 0 };
        let before = std::mem::replace(holding, told);
        for (field, found) in
            [("free", balance.free_units()), ("locked", balance.locked_units.unwrap_or_default())]
        {
            if found < 0 {
                return Err(Fault::NegativeBalance { account, asset: asset(), field, found });
            }
        }
        let Some(total) = before.total_units.filter(|_| update.form == DepthForm::Update) else {
            return Ok(());
        };
        if balance.change_units.is_none() && !self.moves_told {
            return Ok(());
        }
        let moved = balance.change_units.map_or(before.moved_units, i128::from);
        let (expected, found) = (moved.saturating_add(total.into()), i128::from(balance.total_units));
        if expected == found {
            return Ok(());
        }
        Err(Fault::Balance { account, asset: asset(), expected, found })
    }

    fn moved(&mut self, account: AccountId, asset: AssetId, units: i128) {
        let holding = self.holdings.entry((account, asset)).or_default();
        holding.moved_units = holding.moved_units.saturating_add(units);
    }
}
