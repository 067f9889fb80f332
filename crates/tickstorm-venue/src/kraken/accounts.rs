//! What the venue's ledger says of an account: not only what it has, but by how much and why that has changed.

use std::collections::HashMap;

use tickstorm_market::event::{AccountId, Balance, Side, Transfer};
use tickstorm_market::instrument::{AssetId, Instrument, SymbolId};

use crate::decoded::ExecutionReport;

/// The holdings of all accounts that were heard of.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    /// Only ever looked up, so that the order of the map does not matter.
    holdings: HashMap<(AccountId, AssetId), Holding>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Holding {
    /// As last told.
    total_units: Option<i64>,
    /// What has moved since, fees taken off.
    moved_units: i64,
    /// Fees among it.
    fee_units: i64,
    reason: Reason,
}

/// Why a balance changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Reason {
    /// Nothing that was told.
    #[default]
    Unknown,
    /// The execution of that number.
    Trade(SymbolId, u64),
    /// Money from or to outside.
    Transfer,
}

/// An entry of the ledger. The balance is the one before, plus the amount, minus the fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) asset: AssetId,
    pub(super) amount_units: i64,
    pub(super) fee_units: i64,
    pub(super) balance_units: i64,
    pub(super) reason: Reason,
}

impl Accounts {
    /// What an account has, as it was told.
    pub(super) fn seed(&mut self, account: AccountId, asset: AssetId, total_units: i64) {
        let holding = Holding { total_units: Some(total_units), ..Holding::default() };
        self.holdings.insert((account, asset), holding);
    }

    /// Remembers what a fill has moved.
    pub(super) fn on_fill(&mut self, report: &ExecutionReport, instrument: &Instrument) {
        let base = signed(report.last.quantity.saturating_mul(instrument.lot));
        let quote = signed(report.last_quote_units.unwrap_or_default());
        let (base, quote) = match report.side {
            Side::Buy => (base, -quote),
            Side::Sell => (-base, quote),
        };
        let reason = Reason::Trade(report.symbol, report.execution_id.unwrap_or_default());
        for (asset, units) in [(instrument.base, base), (instrument.quote, quote)] {
            let holding = self.holding(report.account, asset);
            holding.moved_units = holding.moved_units.saturating_add(units);
            holding.reason = reason;
        }
        if let Some(asset) = report.fee_asset {
            let fee_units = signed(report.fee_units);
            let holding = self.holding(report.account, asset);
            holding.moved_units = holding.moved_units.saturating_sub(fee_units);
            holding.fee_units = holding.fee_units.saturating_add(fee_units);
            holding.reason = reason;
        }
    }

    /// Remembers a deposit or withdrawal.
    pub(super) fn on_transfer(&mut self, transfer: &Transfer) {
        let holding = self.holding(transfer.account, transfer.asset);
        holding.moved_units = holding.moved_units.saturating_add(transfer.amount);
        holding.reason = Reason::Transfer;
    }

    /// The entry that leads to a balance; none if only what is locked has changed, which the ledger does not
    /// know.
    pub(super) fn on_balance(&mut self, balance: &Balance) -> Option<Entry> {
        let balance_units = signed(balance.free.saturating_add(balance.locked));
        let holding = self.holding(balance.account, balance.asset);
        let told = Holding { total_units: Some(balance_units), ..Holding::default() };
        let before = std::mem::replace(holding, told);
        let change_units = match before.total_units {
            Some(total_units) => balance_units.saturating_sub(total_units),
            None => before.moved_units,
        };
        (change_units != 0 || before.fee_units != 0).then(|| Entry {
            asset: balance.asset,
            amount_units: change_units.saturating_add(before.fee_units),
            fee_units: before.fee_units,
            balance_units,
            reason: before.reason,
        })
    }

    fn holding(&mut self, account: AccountId, asset: AssetId) -> &mut Holding {
        self.holdings.entry((account, asset)).or_default()
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}
