//! What the private topics say: own orders, their fills, and the wallet.

use tickstorm_market::event::{ExecutionKind, Side};

use super::Encoder;
use super::wording::{NS_PER_MS, figures};
use crate::decoded::{BalanceUpdate, ExecutionReport, OrderStatus};
use crate::encoder::Numbering;
use crate::text::{NUMBER_ROOM, Writer, append};

/// What own orders have cost in fees so far, as long as somebody may ask. Fills of an order come one after the
/// other, and few orders are filled in part at any time.
#[derive(Debug, Clone, Default)]
pub(super) struct Fees(Vec<OrderFees>);

#[derive(Debug, Clone, Copy)]
struct OrderFees {
    order_id: u64,
    units: u64,
    /// Filled: forgotten with the next fill of another order.
    done: bool,
}

impl Fees {
    pub(super) fn on_fill(&mut self, report: &ExecutionReport) {
        if report.kind != ExecutionKind::Trade {
            return;
        }
        self.0.retain(|fees| !fees.done || fees.order_id == report.order_id);
        let done = report.status == OrderStatus::Filled;
        match self.0.iter_mut().find(|fees| fees.order_id == report.order_id) {
            Some(fees) => {
                fees.units = fees.units.saturating_add(report.fee_units);
                fees.done = done;
            }
            None => self.0.push(OrderFees { order_id: report.order_id, units: report.fee_units, done }),
        }
    }

    /// What an order has cost, before any message about it.
    pub(super) fn seed(&mut self, order_id: u64, units: u64) {
        self.forget(order_id);
        self.0.push(OrderFees { order_id, units, done: false });
    }

    pub(super) fn forget(&mut self, order_id: u64) {
        self.0.retain(|fees| fees.order_id != order_id);
    }

    fn units(&self, order_id: u64) -> u64 {
        self.0.iter().find(|fees| fees.order_id == order_id).map_or(0, |fees| fees.units)
    }
}

impl Encoder {
    /// The message of the `order` topic. Fees are in the quote asset, which own orders pay.
    pub(super) fn order(&mut self, report: &ExecutionReport, numbering: &mut Numbering, out: &mut Vec<u8>) {
        let fee_units = self.state(report.symbol).fees.units(report.order_id);
        let f = figures(&self.listing, &self.names, report.symbol);
        let fee_asset = report.fee_asset.unwrap_or(f.instrument.quote);
        let fee_asset = &self.names.assets[fee_asset.0 as usize];
        let filled_units = report.filled_quote_units.unwrap_or_default();
        let open = matches!(report.status, OrderStatus::New | OrderStatus::PartiallyFilled);
        let leaves = if open { report.quantity.saturating_sub(report.filled_quantity) } else { 0 };
        let canceled = report.status == OrderStatus::Canceled;
        let placed_ms = report.placed_ns.unwrap_or(report.engine_ns) / NS_PER_MS;
        numbering.orders += 1;
        append(out, 700 + 20 * NUMBER_ROOM + f.name.len() + fee_asset.len(), |w| {
            w.literal(br#"{"id":""#);
            own_id(report.account.0, numbering.orders, w);
            w.literal(br#"","topic":"order","creationTime":"#);
            self.time.write(report.event_ns.unwrap_or(report.engine_ns), w);
            w.literal(br#","data":[{"category":"spot","orderId":""#);
            w.number(report.order_id);
            w.literal(br#"","orderLinkId":""#);
            own_id(report.account.0, report.order_id, w);
            w.literal(br#"","symbol":""#);
            w.bytes(f.name);
            side(report.side, w);
            w.literal(br#"","orderType":"Limit","price":""#);
            f.price(report.price, w);
            w.literal(br#"","qty":""#);
            f.quantity(report.quantity, w);
            w.literal(br#"","timeInForce":"GTC","orderStatus":""#);
            match report.status {
                OrderStatus::New => w.literal(b"New"),
                OrderStatus::PartiallyFilled => w.literal(b"PartiallyFilled"),
                OrderStatus::Filled => w.literal(b"Filled"),
                OrderStatus::Canceled if report.filled_quantity > 0 => w.literal(b"PartiallyFilledCanceled"),
                OrderStatus::Canceled => w.literal(b"Cancelled"),
            }
            w.literal(br#"","leavesQty":""#);
            f.quantity(leaves, w);
            w.literal(br#"","leavesValue":""#);
            w.trimmed_units(f.instrument.notional(report.price, leaves));
            w.literal(br#"","cumExecQty":""#);
            f.quantity(report.filled_quantity, w);
            w.literal(br#"","cumExecValue":""#);
            w.trimmed_units(filled_units);
            // Own orders rest, so that all their fills are at their own price.
            w.literal(br#"","avgPrice":""#);
            if report.filled_quantity > 0 {
                f.price(report.price, w);
            }
            w.literal(br#"","cumExecFee":""#);
            w.trimmed_units(fee_units);
            w.literal(br#"","cumFeeDetail":{"#);
            if report.filled_quantity > 0 {
                w.literal(b"\"");
                w.bytes(fee_asset);
                w.literal(br#"":""#);
                w.trimmed_units(fee_units);
                w.literal(b"\"");
            }
            w.literal(br#"},"feeCurrency":"","rejectReason":"EC_NoError","cancelType":""#);
            if canceled {
                w.literal(b"CancelByUser");
            } else {
                w.literal(b"UNKNOWN");
            }
            w.literal(br#"","isLeverage":"0","createdTime":""#);
            w.number(placed_ms);
            w.literal(br#"","updatedTime":""#);
            self.time.write(report.engine_ns, w);
            w.literal(b"\"}]}");
        });
    }

    /// The message of the `execution` topic, of a fill. The venue's number of a fill is that of the public trade.
    pub(super) fn execution(
        &mut self,
        report: &ExecutionReport,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let sequence = self.state(report.symbol).change_id;
        let f = figures(&self.listing, &self.names, report.symbol);
        let fee_asset = report.fee_asset.unwrap_or(f.instrument.quote);
        let fee_asset = &self.names.assets[fee_asset.0 as usize];
        let value = report.last_quote_units.unwrap_or_default();
        numbering.orders += 1;
        append(out, 550 + 18 * NUMBER_ROOM + f.name.len() + fee_asset.len(), |w| {
            w.literal(br#"{"id":""#);
            own_id(report.account.0, numbering.orders, w);
            w.literal(br#"","topic":"execution","creationTime":"#);
            self.time.write(report.event_ns.unwrap_or(report.engine_ns), w);
            w.literal(br#","data":[{"category":"spot","symbol":""#);
            w.bytes(f.name);
            w.literal(br#"","orderId":""#);
            w.number(report.order_id);
            w.literal(br#"","orderLinkId":""#);
            own_id(report.account.0, report.order_id, w);
            side(report.side, w);
            w.literal(br#"","orderType":"Limit","orderPrice":""#);
            f.price(report.price, w);
            w.literal(br#"","orderQty":""#);
            f.quantity(report.quantity, w);
            w.literal(br#"","leavesQty":""#);
            f.quantity(report.quantity.saturating_sub(report.filled_quantity), w);
            w.literal(br#"","execId":""#);
            w.number(report.trade_id.unwrap_or_default());
            w.literal(br#"","execPrice":""#);
            f.price(report.last.price, w);
            w.literal(br#"","execQty":""#);
            f.quantity(report.last.quantity, w);
            w.literal(br#"","execValue":""#);
            w.trimmed_units(value);
            w.literal(br#"","execFee":""#);
            w.trimmed_units(report.fee_units);
            w.literal(br#"","feeRate":""#);
            w.trimmed_units(fee_rate(report.fee_units, value));
            w.literal(br#"","feeCurrency":""#);
            w.bytes(fee_asset);
            w.literal(br#"","execType":"Trade","isMaker":true,"isLeverage":"0","execTime":""#);
            self.time.write(report.engine_ns, w);
            w.literal(br#"","seq":"#);
            w.number(sequence);
            w.literal(b"}]}");
        });
    }

    /// Sums over the whole account are empty, as of an account whose margin is isolated, and no coin counts as
    /// collateral, so that none has a value in dollars.
    pub(super) fn wallet(
        &mut self,
        update: &BalanceUpdate<'_>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let assets = &self.names.assets;
        let names: usize = update.balances.iter().map(|balance| assets[balance.asset.0 as usize].len()).sum();
        let room = 500 + 3 * NUMBER_ROOM + names + update.balances.len() * (450 + 3 * NUMBER_ROOM);
        numbering.balances += 1;
        append(out, room, |w| {
            w.literal(br#"{"id":""#);
            own_id(update.account.0, numbering.balances, w);
            w.literal(br#"","topic":"wallet","creationTime":"#);
            self.time.write(update.event_ns.unwrap_or(update.engine_ns), w);
            w.literal(
                br#","data":[{"accountType":"UNIFIED","accountIMRate":"","accountMMRate":"","totalEquity":"","totalWalletBalance":"","totalMarginBalance":"","totalAvailableBalance":"","totalPerpUPL":"","totalInitialMargin":"","totalMaintenanceMargin":"","accountLTV":"","coin":["#,
            );
            for (index, balance) in update.balances.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                w.literal(br#"{"coin":""#);
                w.bytes(&assets[balance.asset.0 as usize]);
                w.literal(br#"","equity":""#);
                w.signed_trimmed_units(balance.total_units);
                w.literal(br#"","usdValue":"0","walletBalance":""#);
                w.signed_trimmed_units(balance.total_units);
                w.literal(br#"","locked":""#);
                w.signed_trimmed_units(balance.locked_units.unwrap_or_default());
                w.literal(
                    br#"","spotHedgingQty":"0","borrowAmount":"0","accruedInterest":"0","totalOrderIM":"0","totalPositionIM":"0","totalPositionMM":"0","unrealisedPnl":"0","cumRealisedPnl":"0","bonus":"0","collateralSwitch":false,"marginCollateral":false,"spotBorrow":"0","availableToWithdraw":"","availableToBorrow":""}"#,
                );
            }
            w.literal(b"]}]}");
        });
    }
}

/// Our form of the texts that a client or the venue chooses freely: at most 34 of the 36 characters that the venue
/// allows.
#[inline]
fn own_id(account: u32, number: u64, w: &mut Writer<'_>) {
    w.literal(b"ts-");
    w.number(account.into());
    w.literal(b"-");
    w.number(number);
}

fn side(side: Side, w: &mut Writer<'_>) {
    match side {
        Side::Buy => w.literal(br#"","side":"Buy"#),
        Side::Sell => w.literal(br#"","side":"Sell"#),
    }
}

/// The fee by what was traded, 1e-8, rounded to six places, since a fee is whole smallest units.
fn fee_rate(fee_units: u64, value_units: u64) -> u64 {
    let (fee, value) = (u128::from(fee_units), u128::from(value_units));
    let millionths = (2_000_000 * fee + value).checked_div(2 * value).unwrap_or(0);
    u64::try_from(millionths * 100).unwrap_or(0)
}
