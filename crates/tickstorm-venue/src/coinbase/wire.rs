//! The objects of frames, as far as they are read.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A field as it stands in the message, until it is asked for; `null` counts as absent.
pub(super) type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) channel: Raw<'a>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Raw<'a>,
    #[serde(borrow)]
    pub(super) sequence_num: Raw<'a>,
    #[serde(borrow)]
    pub(super) events: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct LevelsEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    #[serde(borrow)]
    pub(super) product_id: Raw<'a>,
    #[serde(borrow)]
    pub(super) updates: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct LevelFields<'a> {
    #[serde(borrow)]
    pub(super) side: Raw<'a>,
    #[serde(borrow)]
    pub(super) event_time: Raw<'a>,
    #[serde(borrow)]
    pub(super) price_level: Raw<'a>,
    #[serde(borrow)]
    pub(super) new_quantity: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct TradesEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    #[serde(borrow)]
    pub(super) trades: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct TradeFields<'a> {
    #[serde(borrow)]
    pub(super) trade_id: Raw<'a>,
    #[serde(borrow)]
    pub(super) product_id: Raw<'a>,
    #[serde(borrow)]
    pub(super) price: Raw<'a>,
    #[serde(borrow)]
    pub(super) size: Raw<'a>,
    #[serde(borrow)]
    pub(super) side: Raw<'a>,
    #[serde(borrow)]
    pub(super) time: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct TickersEvent<'a> {
    #[serde(borrow)]
    pub(super) tickers: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct TickerFields<'a> {
    #[serde(borrow)]
    pub(super) product_id: Raw<'a>,
    #[serde(borrow)]
    pub(super) price: Raw<'a>,
    #[serde(borrow)]
    pub(super) volume_24_h: Raw<'a>,
    #[serde(borrow)]
    pub(super) low_24_h: Raw<'a>,
    #[serde(borrow)]
    pub(super) high_24_h: Raw<'a>,
    #[serde(borrow)]
    pub(super) price_percent_chg_24_h: Raw<'a>,
    #[serde(borrow)]
    pub(super) best_bid: Raw<'a>,
    #[serde(borrow)]
    pub(super) best_bid_quantity: Raw<'a>,
    #[serde(borrow)]
    pub(super) best_ask: Raw<'a>,
    #[serde(borrow)]
    pub(super) best_ask_quantity: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct OrdersEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    #[serde(borrow)]
    pub(super) orders: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct OrderFields<'a> {
    #[serde(borrow)]
    pub(super) order_id: Raw<'a>,
    #[serde(borrow)]
    pub(super) product_id: Raw<'a>,
    #[serde(borrow)]
    pub(super) order_side: Raw<'a>,
    #[serde(borrow)]
    pub(super) status: Raw<'a>,
    #[serde(borrow)]
    pub(super) limit_price: Raw<'a>,
    #[serde(borrow)]
    pub(super) avg_price: Raw<'a>,
    #[serde(borrow)]
    pub(super) cumulative_quantity: Raw<'a>,
    #[serde(borrow)]
    pub(super) leaves_quantity: Raw<'a>,
    #[serde(borrow)]
    pub(super) filled_value: Raw<'a>,
    #[serde(borrow)]
    pub(super) number_of_fills: Raw<'a>,
    #[serde(borrow)]
    pub(super) total_fees: Raw<'a>,
    #[serde(borrow)]
    pub(super) creation_time: Raw<'a>,
    #[serde(borrow)]
    pub(super) retail_portfolio_id: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct ProductsEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Raw<'a>,
    #[serde(borrow)]
    pub(super) products: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct StatusFields<'a> {
    #[serde(borrow)]
    pub(super) id: Raw<'a>,
    #[serde(borrow)]
    pub(super) status: Raw<'a>,
}
