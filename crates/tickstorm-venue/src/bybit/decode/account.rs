//! The private topics: own orders, their fills, and the wallet.

use tickstorm_market::event::{AccountId, ExecutionKind, Side};
use tickstorm_market::instrument::Instrument;

use super::values::{amount, from_ms, id_number, price, quantity, text_ms, told};
use super::{ListingNames, Lists, side};
use crate::decoded::{AssetBalance, BalanceUpdate, Decoded, DepthForm, ExecutionReport, Level, OrderStatus};
use crate::decoder::DecodeError;
use crate::json::{Object, Value};

impl ListingNames {
    /// Every state of every order. Fills are the `execution` topic's to tell: of one, which that topic told before,
    /// this one says what is filled in all, and so counts as a fill of nothing.
    pub(super) fn any_orders(
        &self,
        message: &Object<'_>,
        each: &mut dyn FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let event_ns = Some(from_ms(message.field("creationTime")?.number()?));
        for order in message.field("data")?.array()? {
            let order = order.object()?;
            let instrument = self.spot(&order)?;
            let status = order.field("orderStatus")?;
            let (kind, status) =
                order_status(&status.string()?).ok_or_else(|| status.wrong(ORDER_STATUSES))?;
            let filled_value = told(order.find("cumExecValue"));
            each(Decoded::Execution(ExecutionReport {
                account: link_account(&order)?,
                symbol: instrument.id,
                event_ns,
                engine_ns: text_ms(order.field("updatedTime")?)?,
                kind,
                status,
                side: any_side(order.field("side")?)?,
                order_id: id_number(&order.field("orderId")?.string()?),
                execution_id: None,
                price: price_or_none(order.field("price")?, instrument)?,
                quantity: quantity(order.field("qty")?, instrument)?,
                last: Level::default(),
                filled_quantity: quantity(order.field("cumExecQty")?, instrument)?,
                last_quote_units: Some(0),
                filled_quote_units: filled_value.map(amount).transpose()?,
                fee_units: 0,
                fee_asset: None,
                trade_id: None,
                placed_ns: told(order.find("createdTime")).map(text_ms).transpose()?,
            }));
        }
        Ok(())
    }

    pub(super) fn any_executions(
        &self,
        message: &Object<'_>,
        each: &mut dyn FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let event_ns = Some(from_ms(message.field("creationTime")?.number()?));
        for fill in message.field("data")?.array()? {
            let fill = fill.object()?;
            let instrument = self.spot(&fill)?;
            let kind = fill.field("execType")?;
            if kind.string()? != "Trade" {
                return Err(kind.wrong("Trade"));
            }
            let whole = quantity(fill.field("orderQty")?, instrument)?;
            let leaves = fill.field("leavesQty")?;
            let left = quantity(leaves, instrument)?;
            let filled_quantity = whole.checked_sub(left).ok_or_else(|| leaves.wrong("at most orderQty"))?;
            let trade_id = id_number(&fill.field("execId")?.string()?);
            each(Decoded::Execution(ExecutionReport {
                account: link_account(&fill)?,
                symbol: instrument.id,
                event_ns,
                engine_ns: text_ms(fill.field("execTime")?)?,
                kind: ExecutionKind::Trade,
                status: if left > 0 { OrderStatus::PartiallyFilled } else { OrderStatus::Filled },
                side: any_side(fill.field("side")?)?,
                order_id: id_number(&fill.field("orderId")?.string()?),
                execution_id: None,
                price: price_or_none(fill.field("orderPrice")?, instrument)?,
                quantity: whole,
                last: Level {
                    price: price(fill.field("execPrice")?, instrument)?,
                    quantity: quantity(fill.field("execQty")?, instrument)?,
                },
                filled_quantity,
                last_quote_units: Some(amount(fill.field("execValue")?)?),
                filled_quote_units: None,
                fee_units: amount(fill.field("execFee")?)?,
                fee_asset: told(fill.find("feeCurrency")).map(|name| self.asset(name)).transpose()?,
                trade_id: Some(trade_id),
                placed_ns: None,
            }));
        }
        Ok(())
    }

    /// An account of each type is an update of its own.
    pub(super) fn any_wallet(
        &self,
        message: &Object<'_>,
        lists: &mut Lists,
        each: &mut dyn FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let account = own_account(message.find("id"))?;
        let built_ns = from_ms(message.field("creationTime")?.number()?);
        for wallet in message.field("data")?.array()? {
            lists.balances.clear();
            for coin in wallet.object()?.field("coin")?.array()? {
                let coin = coin.object()?;
                lists.balances.push(AssetBalance {
                    asset: self.asset(coin.field("coin")?)?,
                    total_units: signed_amount(coin.field("walletBalance")?)?,
                    locked_units: told(coin.find("locked")).map(signed_amount).transpose()?,
                    change_units: None,
                });
            }
            each(Decoded::Balance(BalanceUpdate {
                account,
                event_ns: Some(built_ns),
                engine_ns: built_ns,
                form: DepthForm::Update,
                balances: &lists.balances,
            }));
        }
        Ok(())
    }

    /// The instrument of an order. Those of other categories have the same names.
    fn spot(&self, order: &Object<'_>) -> Result<&Instrument, DecodeError> {
        if let Some(category) = order.find("category")
            && category.string()? != "spot"
        {
            return Err(category.wrong("spot"));
        }
        self.symbol(&order.field("symbol")?.string()?)
    }
}

fn link_account(order: &Object<'_>) -> Result<AccountId, DecodeError> {
    own_account(order.find("orderLinkId"))
}

/// The account in a text of our own form, `ts-<account>-<number>`; account 0 of any other text.
fn own_account(text: Option<Value<'_>>) -> Result<AccountId, DecodeError> {
    let Some(text) = text else { return Ok(AccountId(0)) };
    let text = text.string()?;
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let account = text
        .strip_prefix("ts-")
        .and_then(|rest| rest.split_once('-'))
        .filter(|(account, number)| digits(account) && digits(number))
        .and_then(|(account, _)| account.parse().ok());
    Ok(AccountId(account.unwrap_or(0)))
}

/// Orders at the market have no price.
fn price_or_none(value: Value<'_>, instrument: &Instrument) -> Result<u32, DecodeError> {
    told(Some(value)).map_or(Ok(0), |value| price(value, instrument))
}

fn signed_amount(value: Value<'_>) -> Result<i64, DecodeError> {
    i64::try_from(value.signed_units()?)
        .map_err(|_| value.wrong("an amount below 2^63 of the smallest units"))
}

fn any_side(value: Value<'_>) -> Result<Side, DecodeError> {
    side(&value.string()?).ok_or_else(|| value.wrong("Buy or Sell"))
}

fn order_status(name: &str) -> Option<(ExecutionKind, OrderStatus)> {
    match name {
        "New" => Some((ExecutionKind::New, OrderStatus::New)),
        "PartiallyFilled" => Some((ExecutionKind::Trade, OrderStatus::PartiallyFilled)),
        "Filled" => Some((ExecutionKind::Trade, OrderStatus::Filled)),
        "Cancelled" | "PartiallyFilledCanceled" => Some((ExecutionKind::Canceled, OrderStatus::Canceled)),
        _ => None,
    }
}

const ORDER_STATUSES: &str = "New, PartiallyFilled, Filled, Cancelled or PartiallyFilledCanceled";
