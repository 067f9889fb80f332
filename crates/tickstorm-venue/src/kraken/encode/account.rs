//! Own orders and balances. Neither has a field for the account.

use tickstorm_market::event::{Body, ExecutionKind, Message, Side};

use super::Encoder;
use crate::blotter::OpenOrder;
use crate::decoded::{BalanceUpdate, DepthForm, ExecutionReport, OrderStatus};
use crate::encoder::Numbering;
use crate::kraken::accounts::{Entry, Reason};
use crate::kraken::ids::{self, ID_ROOM};
use crate::kraken::scale::Scale;
use crate::text::{NUMBER_ROOM, Writer, append};

impl Encoder {
    /// Own orders all rest, so that they are limit orders and every fill is a maker's. The last fill says that the
    /// order is filled; nothing follows it. The account is in the client's own number of the order.
    pub(super) fn execution(
        &mut self,
        report: &ExecutionReport,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        numbering.orders += 1;
        append(out, 80 + NUMBER_ROOM + self.execution_room(report), |w| {
            w.literal(br#"{"channel":"executions","type":"update","data":["#);
            self.entry(report, w);
            w.literal(br#"],"sequence":"#);
            w.number(numbering.orders);
            w.literal(b"}");
        });
    }

    /// Open orders and last fills as new subscribers are told them, in one message.
    pub(crate) fn open_orders(
        &mut self,
        orders: &[OpenOrder],
        fills: &[Message],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        let fill = |message: &Message| match &message.body {
            Body::Execution(execution) => {
                let instrument = self.listing.instrument(message.symbol);
                Some(ExecutionReport::of(message, execution, instrument, self.clock))
            }
            _ => None,
        };
        let open = orders.iter().filter_map(|order| order.report(&self.listing, self.clock));
        let reports: Vec<ExecutionReport> = open.chain(fills.iter().filter_map(fill)).collect();
        numbering.orders += 1;
        let entries: usize = reports.iter().map(|report| 1 + self.execution_room(report)).sum();
        append(out, 80 + NUMBER_ROOM + entries, |w| {
            w.literal(br#"{"channel":"executions","type":"snapshot","data":["#);
            for (index, report) in reports.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                self.entry(report, w);
            }
            w.literal(br#"],"sequence":"#);
            w.number(numbering.orders);
            w.literal(b"}");
        });
    }

    fn execution_room(&self, report: &ExecutionReport) -> usize {
        let symbol = &self.pieces[report.symbol.0 as usize].symbol;
        let fee_asset = report.fee_asset.map_or(4, |asset| self.assets[asset.0 as usize].len());
        700 + 2 * ID_ROOM + 16 * NUMBER_ROOM + symbol.len() + fee_asset
    }

    fn entry(&mut self, report: &ExecutionReport, w: &mut Writer<'_>) {
        let pieces = &self.pieces[report.symbol.0 as usize];
        let scale = &pieces.scale;
        let fee_asset = report.fee_asset.map_or(&b"null"[..], |asset| &self.assets[asset.0 as usize]);
        w.literal(br#"{"order_id":""#);
        ids::write(b'O', report.symbol.0, report.order_id, w);
        w.literal(br#"","cl_ord_id":"ts-"#);
        w.six_digits(report.order_id);
        w.literal(br#"","symbol":"#);
        w.bytes(&pieces.symbol);
        match report.side {
            Side::Buy => w.literal(br#","side":"buy""#),
            Side::Sell => w.literal(br#","side":"sell""#),
        }
        w.literal(br#","order_type":"limit","order_qty":"#);
        pieces.quantity(report.quantity, w);
        w.literal(br#","limit_price":"#);
        pieces.price(report.price, w);
        match (report.kind, report.status) {
            (ExecutionKind::New, OrderStatus::New) => {
                w.literal(br#","limit_price_type":"static","time_in_force":"GTC","exec_type":"new""#);
            }
            // Only in a snapshot. Its last fill is not told again, which would count twice.
            (ExecutionKind::New, _) => {
                w.literal(br#","limit_price_type":"static","time_in_force":"GTC","exec_type":"status""#);
            }
            (ExecutionKind::Canceled, _) => w.literal(br#","exec_type":"canceled""#),
            (ExecutionKind::Trade, _) => {
                w.literal(br#","exec_type":"trade","exec_id":""#);
                ids::write(b'T', report.symbol.0, report.execution_id.unwrap_or_default(), w);
                w.literal(br#"","trade_id":"#);
                w.number(report.trade_id.unwrap_or_default());
            }
        }
        match report.status {
            OrderStatus::New => w.literal(br#","order_status":"new""#),
            OrderStatus::PartiallyFilled => w.literal(br#","order_status":"partially_filled""#),
            OrderStatus::Filled => w.literal(br#","order_status":"filled""#),
            OrderStatus::Canceled => w.literal(br#","order_status":"canceled""#),
        }
        if report.kind == ExecutionKind::Trade {
            w.literal(br#","last_qty":"#);
            pieces.quantity(report.last.quantity, w);
            w.literal(br#","last_price":"#);
            pieces.price(report.last.price, w);
            w.literal(br#","cost":"#);
            w.units(report.last_quote_units.unwrap_or_default());
        }
        w.literal(br#","cum_qty":"#);
        pieces.quantity(report.filled_quantity, w);
        w.literal(br#","cum_cost":"#);
        w.units(report.filled_quote_units.unwrap_or_default());
        w.literal(br#","avg_price":"#);
        w.units_cut(scale.rounded_to_price(average_price(report, scale)), scale.price_places());
        if report.kind == ExecutionKind::Trade {
            w.literal(br#","liquidity_ind":"m","fees":[{"asset":"#);
            w.bytes(fee_asset);
            w.literal(br#","qty":"#);
            w.units(report.fee_units);
            w.literal(b"}]");
        }
        w.literal(br#","fee_usd_equiv":"#);
        w.units(report.fee_units);
        match report.kind {
            ExecutionKind::New => {
                w.literal(br#","fee_ccy_pref":"fciq","post_only":false,"reduce_only":false"#);
            }
            ExecutionKind::Canceled => {
                w.literal(br#","cancel_reason":"User requested","reason":"User requested""#);
            }
            ExecutionKind::Trade => {}
        }
        w.literal(br#","order_userref":"#);
        w.number(report.account.0.into());
        w.literal(br#","timestamp":""#);
        self.time.write(report.engine_ns, w);
        w.literal(br#""}"#);
    }

    pub(super) fn balance(
        &mut self,
        update: &BalanceUpdate<'_>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        if update.form == DepthForm::Snapshot {
            return self.wallets(update, numbering, out);
        }
        let entries: Vec<Entry> = update
            .balances
            .iter()
            .map(|balance| Entry {
                asset: balance.asset,
                amount_units: balance.change_units.unwrap_or_default(),
                fee_units: 0,
                balance_units: balance.total_units,
                reason: Reason::Unknown,
            })
            .collect();
        self.entries(update.account.0, update.engine_ns, &entries, numbering, out);
    }

    /// The account is in the wallet's id.
    pub(super) fn entries(
        &mut self,
        account: u32,
        unix_ns: u64,
        entries: &[Entry],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) {
        numbering.balances += 1;
        let assets = &self.assets;
        let names: usize = entries.iter().map(|entry| assets[entry.asset.0 as usize].len()).sum();
        let room = 100 + NUMBER_ROOM + names + entries.len() * (260 + 2 * ID_ROOM + 4 * NUMBER_ROOM);
        append(out, room, |w| {
            w.literal(br#"{"channel":"balances","type":"update","data":["#);
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                let number = numbering.balances.wrapping_add(index as u64);
                w.literal(br#"{"ledger_id":""#);
                ids::write_entry(b'L', account, number, w);
                w.literal(br#"","ref_id":""#);
                match entry.reason {
                    Reason::Trade(symbol, execution) => ids::write(b'T', symbol.0, execution, w),
                    Reason::Transfer | Reason::Unknown => ids::write_entry(b'F', account, number, w),
                }
                w.literal(br#"","timestamp":""#);
                self.time.write(unix_ns, w);
                match (entry.reason, entry.amount_units < 0) {
                    (Reason::Transfer, false) => w.literal(br#"","type":"deposit","asset":"#),
                    (Reason::Transfer, true) => w.literal(br#"","type":"withdrawal","asset":"#),
                    (Reason::Trade(..) | Reason::Unknown, _) => w.literal(br#"","type":"trade","asset":"#),
                }
                w.bytes(&assets[entry.asset.0 as usize]);
                match (entry.reason, entry.amount_units < 0) {
                    (Reason::Transfer, false) => {
                        w.literal(br#","asset_class":"currency","category":"deposit","wallet_type":"#);
                    }
                    (Reason::Transfer, true) => {
                        w.literal(br#","asset_class":"currency","category":"withdrawal","wallet_type":"#);
                    }
                    (Reason::Trade(..) | Reason::Unknown, _) => {
                        w.literal(br#","asset_class":"currency","category":"trade","wallet_type":"#);
                    }
                }
                w.literal(br#""spot","wallet_id":""#);
                write_wallet(account, w);
                w.literal(br#"","amount":"#);
                w.signed_units(entry.amount_units);
                w.literal(br#","fee":"#);
                w.signed_units(entry.fee_units);
                w.literal(br#","balance":"#);
                w.signed_units(entry.balance_units);
                w.literal(b"}");
            }
            w.literal(br#"],"sequence":"#);
            w.number(numbering.balances);
            w.literal(b"}");
        });
    }

    fn wallets(&mut self, update: &BalanceUpdate<'_>, numbering: &mut Numbering, out: &mut Vec<u8>) {
        numbering.balances += 1;
        let assets = &self.assets;
        let names: usize = update.balances.iter().map(|balance| assets[balance.asset.0 as usize].len()).sum();
        let room = 100 + NUMBER_ROOM + names + update.balances.len() * (140 + 3 * NUMBER_ROOM);
        append(out, room, |w| {
            w.literal(br#"{"channel":"balances","type":"snapshot","data":["#);
            for (index, balance) in update.balances.iter().enumerate() {
                if index > 0 {
                    w.literal(b",");
                }
                w.literal(br#"{"asset":"#);
                w.bytes(&assets[balance.asset.0 as usize]);
                w.literal(br#","asset_class":"currency","balance":"#);
                w.signed_units(balance.total_units);
                w.literal(br#","wallets":[{"type":"spot","id":""#);
                write_wallet(update.account.0, w);
                w.literal(br#"","balance":"#);
                w.signed_units(balance.total_units);
                w.literal(b"}]}");
            }
            w.literal(br#"],"sequence":"#);
            w.number(numbering.balances);
            w.literal(b"}");
        });
    }
}

/// `main` for account 0, `main-3` for others.
fn write_wallet(account: u32, w: &mut Writer<'_>) {
    w.literal(b"main");
    if account > 0 {
        w.literal(b"-");
        w.number(account.into());
    }
}

/// 1e-8 quote units for one whole base unit, of what is filled; zero if that is nothing.
fn average_price(report: &ExecutionReport, scale: &Scale) -> u64 {
    let quantity = scale.quantity(report.filled_quantity);
    if quantity == 0 {
        return 0;
    }
    let money = u128::from(report.filled_quote_units.unwrap_or_default());
    u64::try_from(money * UNITS_PER_WHOLE / u128::from(quantity)).unwrap_or(u64::MAX)
}

const UNITS_PER_WHOLE: u128 = 100_000_000;
