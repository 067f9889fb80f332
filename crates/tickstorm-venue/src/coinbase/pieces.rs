//! What is written of a symbol: pieces that are prepared, and the entry of an order.

use tickstorm_market::event::Side;
use tickstorm_market::instrument::{Instrument, Listing};

use super::ids::{UUID_LENGTH, write_order_id, write_portfolio};
use super::instruments::product;
use super::time::{TIME_ROOM, TimeText};
use crate::Venue;
use crate::decoded::{ExecutionReport, OrderStatus, units_per_tick_lot};
use crate::text::{NUMBER_ROOM, Writer};

/// What is the same in all messages of a symbol, cut where a value comes.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    /// `"BTC-USDT"`.
    pub(super) product: Box<[u8]>,
    /// The entry of the product list up to the status, and what comes behind it.
    listed: [Box<[u8]>; 2],
    /// 1e-8 quote units.
    tick: u64,
    /// 1e-8 base units.
    pub(super) lot: u64,
    /// What a lot costs at a price of one tick, 1e-8 quote units.
    tick_lot: u64,
}

/// The sums that the venue tells of an order in place of its single fills.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fills {
    pub(super) count: u64,
    /// 1e-8 quote units.
    pub(super) fee_units: u64,
}

impl Pieces {
    pub(super) fn new(listing: &Listing, instrument: &Instrument) -> Self {
        let [front, back] = product(listing, instrument);
        let name = Venue::Coinbase.symbol(listing, instrument);
        Self {
            product: serde_json::Value::from(name).to_string().into_bytes().into(),
            listed: [front.into_bytes().into(), back.into_bytes().into()],
            tick: instrument.tick,
            lot: instrument.lot,
            tick_lot: units_per_tick_lot(instrument),
        }
    }

    #[inline(always)]
    pub(super) fn price(&self, ticks: u32) -> u64 {
        u64::from(ticks).saturating_mul(self.tick)
    }

    #[inline(always)]
    pub(super) fn quantity(&self, lots: u64) -> u64 {
        lots.saturating_mul(self.lot)
    }

    pub(super) fn listed_room(&self) -> usize {
        self.listed[0].len() + self.listed[1].len() + 50
    }

    pub(super) fn list(&self, trading: bool, w: &mut Writer<'_>) {
        w.bytes(&self.listed[0]);
        if trading {
            w.literal(b"online");
        } else {
            w.literal(b"offline");
        }
        w.bytes(&self.listed[1]);
    }

    /// All own orders are ordinary limit orders that rest. The client's id of an order comes from the venue's.
    pub(super) fn order(
        &self,
        report: &ExecutionReport,
        fills: Fills,
        time: &mut TimeText,
        w: &mut Writer<'_>,
    ) {
        let leaves = report.quantity.saturating_sub(report.filled_quantity);
        let filled_units = report.filled_quote_units.unwrap_or_else(|| {
            u64::from(report.price).saturating_mul(report.filled_quantity).saturating_mul(self.tick_lot)
        });
        w.literal(br#"{"order_id":""#);
        write_order_id(report.symbol, report.order_id, w);
        w.literal(br#"","client_order_id":"ts-"#);
        w.six_digits(report.order_id);
        w.literal(br#"","product_id":"#);
        w.bytes(&self.product);
        match report.side {
            Side::Buy => {
                w.literal(br#","product_type":"SPOT","order_side":"BUY","order_type":"Limit","status":""#)
            }
            Side::Sell => {
                w.literal(br#","product_type":"SPOT","order_side":"SELL","order_type":"Limit","status":""#)
            }
        }
        match report.status {
            OrderStatus::New | OrderStatus::PartiallyFilled => w.literal(b"OPEN"),
            OrderStatus::Filled => w.literal(b"FILLED"),
            OrderStatus::Canceled => w.literal(b"CANCELLED"),
        }
        w.literal(br#"","time_in_force":"GOOD_UNTIL_CANCELLED","limit_price":""#);
        w.trimmed_units(self.price(report.price));
        w.literal(br#"","stop_price":"","avg_price":""#);
        w.trimmed_units(average_units(filled_units, self.quantity(report.filled_quantity)));
        w.literal(br#"","cumulative_quantity":""#);
        w.trimmed_units(self.quantity(report.filled_quantity));
        w.literal(br#"","leaves_quantity":""#);
        w.trimmed_units(self.quantity(leaves));
        w.literal(br#"","filled_value":""#);
        w.trimmed_units(filled_units);
        w.literal(br#"","completion_percentage":""#);
        w.trimmed_units(completion_units(report.filled_quantity, report.quantity));
        w.literal(br#"","number_of_fills":""#);
        w.number(fills.count);
        w.literal(br#"","total_fees":""#);
        w.trimmed_units(fills.fee_units);
        w.literal(br#"","total_value_after_fees":""#);
        w.trimmed_units(match report.side {
            Side::Buy => filled_units.saturating_add(fills.fee_units),
            Side::Sell => filled_units.saturating_sub(fills.fee_units),
        });
        w.literal(br#"","outstanding_hold_amount":""#);
        w.trimmed_units(match (report.status, report.side) {
            (OrderStatus::Filled | OrderStatus::Canceled, _) => 0,
            (_, Side::Buy) => u64::from(report.price).saturating_mul(leaves).saturating_mul(self.tick_lot),
            (_, Side::Sell) => self.quantity(leaves),
        });
        w.literal(br#"","post_only":"false","creation_time":""#);
        time.write_us(report.placed_ns.unwrap_or(report.engine_ns), w);
        w.literal(
            br#"","end_time":"0001-01-01T00:00:00Z","start_time":"0001-01-01T00:00:00Z","cancel_reason":""#,
        );
        if report.status == OrderStatus::Canceled {
            w.literal(b"User requested cancel");
        }
        w.literal(br#"","reject_reason":"","contract_expiry_type":"UNKNOWN_CONTRACT_EXPIRY_TYPE","#);
        w.literal(br#""risk_managed_by":"UNKNOWN_RISK_MANAGEMENT_TYPE","retail_portfolio_id":""#);
        write_portfolio(report.account, w);
        w.literal(br#"","trigger_status":"INVALID_ORDER_TYPE"}"#);
    }
}

/// Money by base amount, both in 1e-8 units, cut to whole units; zero without an amount.
fn average_units(money_units: u64, base_units: u64) -> u64 {
    let scaled = u128::from(money_units) * 100_000_000;
    let average = scaled.checked_div(base_units.into()).unwrap_or_default();
    u64::try_from(average).unwrap_or(u64::MAX)
}

/// Per cent of an order that is filled, in 1e-8, cut to two places so that only a filled order has 100.
fn completion_units(filled: u64, quantity: u64) -> u64 {
    let hundredths = (u128::from(filled) * 10_000).checked_div(quantity.into()).unwrap_or_default();
    u64::try_from(hundredths).unwrap_or(u64::MAX).saturating_mul(1_000_000)
}

/// An order without the product's name: its words, two ids, a number in the client's id and twelve more, a time.
pub(super) const ORDER_ROOM: usize = 1_100 + 2 * UUID_LENGTH + 13 * NUMBER_ROOM + TIME_ROOM;
