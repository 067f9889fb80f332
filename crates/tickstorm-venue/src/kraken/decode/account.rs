//! Own orders and balances.

use serde_json::value::RawValue;
use tickstorm_market::event::{AccountId, ExecutionKind};

use super::{AMOUNT, Decoder, ListingNames, amount, form, price, quantity, read_time, side, signed_amount};
use crate::decoded::{
    AssetBalance, BalanceUpdate, Counted, Decoded, DepthForm, ExecutionReport, Level, Numbered, OrderStatus,
};
use crate::decoder::DecodeError;
use crate::json::Value;
use crate::kraken::ids;
use crate::kraken::wire::{Frame, Reader, fields, units};

impl Decoder {
    /// A snapshot has orders as they are, and updates repeat what a fill has said: no news either.
    pub(super) fn read_executions<'a>(
        &mut self,
        reader: Reader<'a>,
        frame: &Frame<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let form = form(reader, "executions", frame)?;
        say_number(reader, Counted::Orders, frame, say)?;
        let mut news = false;
        if form == DepthForm::Update {
            reader.need("executions", "data", frame.data)?.elements(|execution: WireExecution<'a>| {
                if let Some(report) = self.names.read_execution(reader, &execution)? {
                    news = true;
                    say(Decoded::Execution(report));
                }
                Ok(())
            })?;
        }
        if !news {
            say(Decoded::Control);
        }
        Ok(())
    }

    pub(super) fn read_balances<'a>(
        &mut self,
        reader: Reader<'a>,
        frame: &Frame<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let form = form(reader, "balances", frame)?;
        say_number(reader, Counted::Balances, frame, say)?;
        let data = reader.need("balances", "data", frame.data)?;
        match form {
            DepthForm::Update => self.read_entries(reader, data, say),
            DepthForm::Snapshot => self.read_wallets(reader, data, say),
        }
    }

    fn read_entries<'a>(
        &mut self,
        reader: Reader<'a>,
        data: Value<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        data.elements(|entry: WireEntry<'a>| {
            let need = |field, raw| reader.need("balances", field, raw);
            let change = need("amount", entry.amount)?;
            let fee_units = reader.find("fee", entry.fee).map(units).transpose()?.unwrap_or(0);
            let change_units =
                units(change)?.checked_sub(fee_units).and_then(|units| i64::try_from(units).ok());
            let balance = AssetBalance {
                asset: self.names.asset(need("asset", entry.asset)?)?,
                total_units: signed_amount(need("balance", entry.balance)?)?,
                locked_units: None,
                change_units: Some(change_units.ok_or_else(|| change.wrong(AMOUNT))?),
            };
            say(Decoded::Balance(BalanceUpdate {
                account: account_of_wallet(reader, "wallet_id", entry.wallet_id)?,
                event_ns: None,
                engine_ns: read_time(need("timestamp", entry.timestamp)?)?,
                form: DepthForm::Update,
                balances: &[balance],
            }));
            Ok(())
        })
    }

    /// A snapshot is of one account and has no time.
    fn read_wallets<'a>(
        &mut self,
        reader: Reader<'a>,
        data: Value<'a>,
        say: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let Self { names, balances, .. } = self;
        let mut account = AccountId(0);
        balances.clear();
        data.elements(|entry: WireEntry<'a>| {
            let need = |field, raw| reader.need("balances", field, raw);
            balances.push(AssetBalance {
                asset: names.asset(need("asset", entry.asset)?)?,
                total_units: signed_amount(need("balance", entry.balance)?)?,
                locked_units: None,
                change_units: None,
            });
            let Some(wallets) = reader.find("wallets", entry.wallets) else { return Ok(()) };
            wallets.elements(|wallet: WireWallet<'a>| {
                account = account_of_wallet(reader, "id", wallet.id)?;
                Ok(())
            })
        })?;
        say(Decoded::Balance(BalanceUpdate {
            account,
            event_ns: None,
            engine_ns: 0,
            form: DepthForm::Snapshot,
            balances,
        }));
        Ok(())
    }
}

impl ListingNames {
    /// None for what does not change an order, or has been told by a fill.
    fn read_execution<'a>(
        &self,
        reader: Reader<'a>,
        execution: &WireExecution<'a>,
    ) -> Result<Option<ExecutionReport>, DecodeError> {
        let need = |field, raw| reader.need("executions", field, raw);
        let Some(kind) = execution_kind(need("exec_type", execution.exec_type)?)? else { return Ok(None) };
        let instrument = self.symbol(need("symbol", execution.symbol)?)?;
        let symbol = instrument.id;
        let order_id = need("order_id", execution.order_id)?.string()?;
        let mut report = ExecutionReport {
            account: account_of_order(execution),
            symbol,
            event_ns: None,
            engine_ns: read_time(need("timestamp", execution.timestamp)?)?,
            kind,
            status: order_status(need("order_status", execution.order_status)?)?,
            side: side(need("side", execution.side)?)?,
            order_id: ids::read(&order_id, b'O', symbol.0),
            execution_id: None,
            price: price(need("limit_price", execution.limit_price)?, instrument)?,
            quantity: quantity(need("order_qty", execution.order_qty)?, instrument)?,
            last: Level::default(),
            filled_quantity: quantity(need("cum_qty", execution.cum_qty)?, instrument)?,
            last_quote_units: None,
            filled_quote_units: Some(amount(need("cum_cost", execution.cum_cost)?)?),
            fee_units: 0,
            fee_asset: None,
            trade_id: None,
            placed_ns: None,
        };
        if kind == ExecutionKind::Trade {
            let id = need("exec_id", execution.exec_id)?.string()?;
            report.execution_id = Some(ids::read(&id, b'T', symbol.0));
            report.trade_id = Some(need("trade_id", execution.trade_id)?.number()?);
            report.last = Level {
                price: price(need("last_price", execution.last_price)?, instrument)?,
                quantity: quantity(need("last_qty", execution.last_qty)?, instrument)?,
            };
            report.last_quote_units = Some(amount(need("cost", execution.cost)?)?);
            let mut fees = 0;
            need("fees", execution.fees)?.elements(|fee: WireFee<'a>| {
                fees += 1;
                if fees == 1 {
                    report.fee_units = amount(reader.need("fees", "qty", fee.qty)?)?;
                    report.fee_asset = Some(self.asset(reader.need("fees", "asset", fee.asset)?)?);
                }
                Ok(())
            })?;
        }
        Ok(Some(report))
    }
}

fn say_number(
    reader: Reader<'_>,
    counted: Counted,
    frame: &Frame<'_>,
    say: &mut impl FnMut(Decoded<'_>),
) -> Result<(), DecodeError> {
    if let Some(number) = reader.find("sequence", frame.sequence) {
        say(Decoded::Numbered(Numbered { counted, number: number.number()? }));
    }
    Ok(())
}

/// None for what is no change of an order, or told twice.
fn execution_kind(value: Value<'_>) -> Result<Option<ExecutionKind>, DecodeError> {
    match &*value.string()? {
        "new" => Ok(Some(ExecutionKind::New)),
        "trade" => Ok(Some(ExecutionKind::Trade)),
        "canceled" | "expired" => Ok(Some(ExecutionKind::Canceled)),
        "pending_new" | "filled" | "iceberg_refill" | "amended" | "restated" | "status" => Ok(None),
        _ => Err(value.wrong(
            "pending_new, new, trade, filled, canceled, expired, iceberg_refill, amended, restated or status",
        )),
    }
}

fn order_status(value: Value<'_>) -> Result<OrderStatus, DecodeError> {
    match &*value.string()? {
        "pending_new" | "new" => Ok(OrderStatus::New),
        "partially_filled" => Ok(OrderStatus::PartiallyFilled),
        "filled" => Ok(OrderStatus::Filled),
        "canceled" | "expired" => Ok(OrderStatus::Canceled),
        _ => Err(value.wrong("pending_new, new, partially_filled, filled, canceled or expired")),
    }
}

/// The client's own number of an order, which is the account if we wrote it.
fn account_of_order(execution: &WireExecution<'_>) -> AccountId {
    AccountId(execution.order_userref.and_then(|raw| raw.get().parse().ok()).unwrap_or(0))
}

fn account_of_wallet<'a>(
    reader: Reader<'a>,
    field: &'static str,
    raw: Option<&'a RawValue>,
) -> Result<AccountId, DecodeError> {
    let Some(name) = reader.find(field, raw) else { return Ok(AccountId(0)) };
    let name = name.string()?;
    Ok(AccountId(name.strip_prefix("main-").and_then(|number| number.parse().ok()).unwrap_or(0)))
}

fields!(WireExecution {
    order_id,
    symbol,
    side,
    order_qty,
    limit_price,
    exec_type,
    exec_id,
    trade_id,
    order_status,
    last_qty,
    last_price,
    cost,
    cum_qty,
    cum_cost,
    fees,
    order_userref,
    timestamp,
});
fields!(WireFee { asset, qty });
fields!(WireEntry { asset, amount, fee, balance, wallet_id, wallets, timestamp });
fields!(WireWallet { id });
