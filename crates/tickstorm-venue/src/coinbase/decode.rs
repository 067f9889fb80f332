//! Coinbase's wording, read: an envelope, then the events of its channel. Fields are kept as raw text until they
//! are asked for.
//!
//! Trades that a subscriber is given to begin with, and orders that were open before, are a state and no events:
//! they are read past.

use tickstorm_market::event::{ExecutionKind, Side};
use tickstorm_market::instrument::{Instrument, Listing, SymbolId};

use super::ids::{read_order_id, read_portfolio};
use super::values::{
    FORMS, Fields, ORDER_STATES, OrderState, PRODUCT_STATES, SIDES, book_side, check_average, count, form,
    is_online, order_side, order_state, price, price_or_none, quantity, rough_units, share, time, word,
};
use super::wire::{
    Frame, LevelFields, LevelsEvent, OrderFields, OrdersEvent, ProductsEvent, StatusFields, TickerFields,
    TickersEvent, TradeFields, TradesEvent,
};
use crate::Venue;
use crate::decoded::{
    Continuity, Counted, Decoded, DepthForm, DepthUpdate, ExecutionReport, Level, Numbered, OrderStatus,
    StatusUpdate, TickerUpdate, TradePrint,
};
use crate::decoder::DecodeError;
use crate::json::{Value, quoted, read};
use crate::names::Names;

/// Reads messages; holds the lists of the last one.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    names: ListingNames,
    bids: Vec<Level>,
    asks: Vec<Level>,
    trades: Vec<TradePrint>,
}

#[derive(Debug, Clone)]
struct ListingNames {
    listing: Listing,
    products: Names,
}

impl Decoder {
    pub(crate) fn new(listing: &Listing) -> Self {
        let products: Vec<String> =
            listing.instruments.iter().map(|it| Venue::Coinbase.symbol(listing, it)).collect();
        Self {
            names: ListingNames {
                products: Names::new(products.iter().map(String::as_str)),
                listing: listing.clone(),
            },
            bids: Vec::new(),
            asks: Vec::new(),
            trades: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn decode_each(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Result<Decoded<'_>, DecodeError>),
    ) {
        if let Err(error) = self.read(bytes, &mut |decoded| each(Ok(decoded))) {
            each(Err(error));
        }
    }

    fn read(&mut self, bytes: &[u8], each: &mut impl FnMut(Decoded<'_>)) -> Result<(), DecodeError> {
        let (message, frame) = read::<Frame<'_>>(bytes)?;
        let fields = Fields { message, event: "frame" };
        if frame.channel.is_none() && frame.kind.is_some() {
            // An error has no envelope.
            word(fields.get("type", frame.kind)?, |kind| (kind == "error").then_some(()), "error")?;
            each(Decoded::Control);
            return Ok(());
        }
        let number = fields.get("sequence_num", frame.sequence_num)?.number()?;
        each(Decoded::Numbered(Numbered { counted: Counted::Frames, number }));
        let channel = fields.get("channel", frame.channel)?.string()?;
        let event_ns = time(fields.get("timestamp", frame.timestamp)?)?;
        let events = fields.get("events", frame.events)?;
        match &*channel {
            "l2_data" => events.elements(|event| self.read_levels(message, event_ns, event, each)),
            "market_trades" => events.elements(|event| self.read_trades(message, event_ns, event, each)),
            "ticker" | "ticker_batch" => events.elements(|event: TickersEvent<'_>| {
                let tickers = Fields { message, event: "ticker event" }.get("tickers", event.tickers)?;
                tickers.elements(|ticker: TickerFields<'_>| {
                    each(Decoded::Ticker(self.names.ticker(message, event_ns, &ticker)?));
                    Ok(())
                })
            }),
            "user" => events.elements(|event| self.names.read_orders(message, event_ns, event, each)),
            "status" => events.elements(|event| self.names.read_statuses(message, event_ns, event, each)),
            "subscriptions" | "heartbeats" | "candles" | "futures_balance_summary" => {
                each(Decoded::Control);
                Ok(())
            }
            _ => Err(DecodeError::UnknownEvent { event: quoted(&channel), allowed: CHANNELS }),
        }
    }

    fn read_levels<'a>(
        &mut self,
        message: &'a str,
        event_ns: u64,
        event: LevelsEvent<'a>,
        each: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let fields = Fields { message, event: "l2_data event" };
        let form = word(fields.get("type", event.kind)?, form, FORMS)?;
        let instrument = self.names.instrument(fields.get("product_id", event.product_id)?)?;
        self.bids.clear();
        self.asks.clear();
        let mut engine_ns = None;
        fields.get("updates", event.updates)?.elements(|level: LevelFields<'_>| {
            let fields = Fields { message, event: "l2_data update" };
            let side = word(fields.get("side", level.side)?, book_side, "bid or offer")?;
            let price = price(fields.get("price_level", level.price_level)?, instrument)?;
            let quantity = quantity(fields.get("new_quantity", level.new_quantity)?, instrument)?;
            // Of a snapshot the venue does not tell when its levels changed.
            if form == DepthForm::Update {
                engine_ns = engine_ns.max(Some(time(fields.get("event_time", level.event_time)?)?));
            }
            let levels = if side == Side::Buy { &mut self.bids } else { &mut self.asks };
            levels.push(Level { price, quantity });
            Ok(())
        })?;
        each(Decoded::Depth(DepthUpdate {
            symbol: instrument.id,
            form,
            depth: None,
            event_ns: Some(event_ns),
            engine_ns,
            continuity: Continuity::None,
            cross_sequence: None,
            checksum: None,
            bids: &self.bids,
            asks: &self.asks,
        }));
        Ok(())
    }

    fn read_trades<'a>(
        &mut self,
        message: &'a str,
        event_ns: u64,
        event: TradesEvent<'a>,
        each: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let fields = Fields { message, event: "market_trades event" };
        let form = word(fields.get("type", event.kind)?, form, FORMS)?;
        self.trades.clear();
        fields.get("trades", event.trades)?.elements(|trade: TradeFields<'_>| {
            self.trades.push(self.names.trade(message, event_ns, &trade)?);
            Ok(())
        })?;
        let newest_first = self
            .trades
            .windows(2)
            .find(|pair| pair[0].symbol == pair[1].symbol)
            .is_some_and(|pair| pair[0].trade_id > pair[1].trade_id);
        match form {
            DepthForm::Snapshot => each(Decoded::Control),
            DepthForm::Update if newest_first => {
                self.trades.iter().rev().for_each(|&print| each(Decoded::Trade(print)));
            }
            DepthForm::Update => self.trades.iter().for_each(|&print| each(Decoded::Trade(print))),
        }
        Ok(())
    }
}

impl ListingNames {
    fn trade(
        &self,
        message: &str,
        event_ns: u64,
        trade: &TradeFields<'_>,
    ) -> Result<TradePrint, DecodeError> {
        let fields = Fields { message, event: "trade" };
        let instrument = self.instrument(fields.get("product_id", trade.product_id)?)?;
        Ok(TradePrint {
            symbol: instrument.id,
            event_ns: Some(event_ns),
            engine_ns: time(fields.get("time", trade.time)?)?,
            trade_id: count(fields.get("trade_id", trade.trade_id)?)?,
            matches: 1,
            price: price(fields.get("price", trade.price)?, instrument)?,
            quantity: quantity(fields.get("size", trade.size)?, instrument)?,
            // The wire has the side of the maker.
            taker: word(fields.get("side", trade.side)?, order_side, SIDES)?.opposite(),
            cross_sequence: None,
        })
    }

    fn ticker(
        &self,
        message: &str,
        event_ns: u64,
        ticker: &TickerFields<'_>,
    ) -> Result<TickerUpdate, DecodeError> {
        let fields = Fields { message, event: "ticker" };
        let instrument = self.instrument(fields.get("product_id", ticker.product_id)?)?;
        let best = match ticker.best_bid {
            None => None,
            Some(_) => Some([
                Level {
                    price: price(fields.get("best_bid", ticker.best_bid)?, instrument)?,
                    quantity: quantity(
                        fields.get("best_bid_quantity", ticker.best_bid_quantity)?,
                        instrument,
                    )?,
                },
                Level {
                    price: price(fields.get("best_ask", ticker.best_ask)?, instrument)?,
                    quantity: quantity(
                        fields.get("best_ask_quantity", ticker.best_ask_quantity)?,
                        instrument,
                    )?,
                },
            ]),
        };
        Ok(TickerUpdate {
            symbol: instrument.id,
            event_ns: Some(event_ns),
            last: price(fields.get("price", ticker.price)?, instrument)?,
            high: price(fields.get("high_24_h", ticker.high_24_h)?, instrument)?,
            low: price(fields.get("low_24_h", ticker.low_24_h)?, instrument)?,
            volume: quantity(fields.get("volume_24_h", ticker.volume_24_h)?, instrument)?,
            last_quantity: None,
            best,
            open: None,
            change: None,
            change_share: Some(share(fields.get("price_percent_chg_24_h", ticker.price_percent_chg_24_h)?)?),
            weighted_average_units: None,
            quote_volume_units: None,
            previous_close: None,
            trade_ids: None,
            count: None,
            window_ns: None,
        })
    }

    fn read_orders<'a>(
        &self,
        message: &'a str,
        event_ns: u64,
        event: OrdersEvent<'a>,
        each: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let fields = Fields { message, event: "user event" };
        if word(fields.get("type", event.kind)?, form, FORMS)? == DepthForm::Snapshot {
            each(Decoded::Control);
            return Ok(());
        }
        fields.get("orders", event.orders)?.elements(|order: OrderFields<'_>| {
            if let Some(report) = self.order(message, event_ns, &order)? {
                each(Decoded::Execution(report));
            }
            Ok(())
        })
    }

    /// None of an order that waits for something to become of it. The venue tells sums: a fill by itself is known
    /// only while it is the order's one fill.
    fn order(
        &self,
        message: &str,
        event_ns: u64,
        order: &OrderFields<'_>,
    ) -> Result<Option<ExecutionReport>, DecodeError> {
        let fields = Fields { message, event: "order" };
        let state = word(fields.get("status", order.status)?, order_state, ORDER_STATES)?;
        let instrument = self.instrument(fields.get("product_id", order.product_id)?)?;
        let filled_quantity =
            quantity(fields.get("cumulative_quantity", order.cumulative_quantity)?, instrument)?;
        let leaves_field = fields.get("leaves_quantity", order.leaves_quantity)?;
        let leaves = quantity(leaves_field, instrument)?;
        let quantity =
            filled_quantity.checked_add(leaves).ok_or_else(|| leaves_field.wrong("below 2^64 lots"))?;
        let (kind, status) = match state {
            OrderState::Waiting => return Ok(None),
            OrderState::Open if filled_quantity == 0 => (ExecutionKind::New, OrderStatus::New),
            OrderState::Open => (ExecutionKind::Trade, OrderStatus::PartiallyFilled),
            OrderState::Filled => (ExecutionKind::Trade, OrderStatus::Filled),
            OrderState::Gone => (ExecutionKind::Canceled, OrderStatus::Canceled),
        };
        let filled_value = fields.get("filled_value", order.filled_value)?;
        let filled_units = rough_units(filled_value)?;
        let fee_units = rough_units(fields.get("total_fees", order.total_fees)?)?;
        let average = fields.get("avg_price", order.avg_price)?;
        check_average(filled_value, filled_units, rough_units(average)?, filled_quantity, instrument)?;
        let only_fill = kind == ExecutionKind::Trade
            && count(fields.get("number_of_fills", order.number_of_fills)?)? == 1;
        Ok(Some(ExecutionReport {
            account: read_portfolio(&fields.get("retail_portfolio_id", order.retail_portfolio_id)?.string()?),
            symbol: instrument.id,
            event_ns: Some(event_ns),
            engine_ns: event_ns,
            kind,
            status,
            side: word(fields.get("order_side", order.order_side)?, order_side, SIDES)?,
            order_id: read_order_id(instrument.id, &fields.get("order_id", order.order_id)?.string()?),
            execution_id: None,
            price: price_or_none(fields.get("limit_price", order.limit_price)?, instrument)?,
            quantity,
            last: if only_fill {
                Level { price: price(average, instrument)?, quantity: filled_quantity }
            } else {
                Level::default()
            },
            filled_quantity,
            last_quote_units: only_fill.then_some(filled_units),
            filled_quote_units: Some(filled_units),
            fee_units: if only_fill { fee_units } else { 0 },
            fee_asset: only_fill.then_some(instrument.quote),
            trade_id: None,
            placed_ns: Some(time(fields.get("creation_time", order.creation_time)?)?),
        }))
    }

    fn read_statuses<'a>(
        &self,
        message: &'a str,
        event_ns: u64,
        event: ProductsEvent<'a>,
        each: &mut impl FnMut(Decoded<'_>),
    ) -> Result<(), DecodeError> {
        let fields = Fields { message, event: "status event" };
        if word(fields.get("type", event.kind)?, form, FORMS)? == DepthForm::Snapshot {
            each(Decoded::Control);
            return Ok(());
        }
        fields.get("products", event.products)?.elements(|product: StatusFields<'_>| {
            let fields = Fields { message, event: "product" };
            each(Decoded::Status(StatusUpdate {
                symbol: self.instrument(fields.get("id", product.id)?)?.id,
                event_ns: Some(event_ns),
                trading: word(fields.get("status", product.status)?, is_online, PRODUCT_STATES)?,
            }));
            Ok(())
        })
    }

    #[inline]
    fn instrument(&self, value: Value<'_>) -> Result<&Instrument, DecodeError> {
        let name = value.string()?;
        match self.products.find(name.as_bytes()) {
            Some(index) => Ok(self.listing.instrument(SymbolId(index))),
            None => Err(DecodeError::UnknownSymbol { symbol: quoted(&name) }),
        }
    }
}

const CHANNELS: &str = "l2_data, market_trades, ticker, ticker_batch, user, status, subscriptions, heartbeats, \
                        candles, futures_balance_summary";
