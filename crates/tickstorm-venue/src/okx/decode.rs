//! OKX's wording, read: whoever wrote it, by the names of its fields.
//!
//! A message is cut into its fields first, since the channel, which says what they are, may come last.

use tickstorm_market::event::{AccountId, ExecutionKind};
use tickstorm_market::instrument::{AssetId, Listing, SymbolId};

use super::parts::{
    AccountEntry, Arg, BookEntry, HoldingEntry, InstrumentEntry, Lists, OrderEntry, Part, Raw, TickerEntry,
    Top, TradeEntry, Traded, amount, charged, checksum, is_beat, order_status, side, text, whole_number,
};
use crate::decoded::{
    AssetBalance, BalanceUpdate, Continuity, Decoded, DepthForm, DepthUpdate, ExecutionReport, Level,
    OrderStatus, QuoteUpdate, StatusUpdate, TickerUpdate, TradePrint,
};
use crate::decoder::DecodeError;
use crate::json::{Value, quoted};
use crate::names::Names;
use crate::venue::Venue;

/// Reads messages; holds the levels and balances of the last one.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    names: ListingNames,
    lists: Lists,
}

#[derive(Debug, Clone)]
struct ListingNames {
    listing: Listing,
    /// Instruments by the venue's ids, as `BTC-USDT`.
    symbols: Names,
    assets: Names,
}

impl Decoder {
    pub(crate) fn new(listing: &Listing) -> Self {
        let ids: Vec<String> =
            listing.instruments.iter().map(|instrument| Venue::Okx.symbol(listing, instrument)).collect();
        Self {
            names: ListingNames {
                symbols: Names::new(ids.iter().map(String::as_str)),
                assets: Names::new(listing.assets.iter().map(String::as_str)),
                listing: listing.clone(),
            },
            lists: Lists::default(),
        }
    }

    #[inline]
    pub(crate) fn decode_each(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Result<Decoded<'_>, DecodeError>),
    ) {
        let mut said = 0;
        let read = self.names.read(bytes, &mut self.lists, &mut |decoded| {
            said += 1;
            each(Ok(decoded));
        });
        match read {
            Ok(()) if said == 0 => each(Ok(Decoded::Control)),
            Ok(()) => {}
            Err(error) => each(Err(error)),
        }
    }
}

type Each<'f> = &'f mut dyn FnMut(Decoded<'_>);

impl ListingNames {
    fn read(&self, bytes: &[u8], lists: &mut Lists, each: Each<'_>) -> Result<(), DecodeError> {
        let message = text(bytes)?;
        if is_beat(message) {
            return Ok(());
        }
        let top = Top::read(message)?;
        if top.event.is_some() || top.op.is_some() || (top.code.is_some() && top.arg.is_none()) {
            return Ok(());
        }
        let part = Part { message, channel: "message" };
        let arg: Arg<'_> = part.field("arg", top.arg)?.read()?;
        let name = part.text("channel", arg.channel)?;
        let data = part.field("data", top.data)?;
        let part = |channel| Part { message, channel };
        match &*name {
            "books" | "books-l2-tbt" => self.books(part("books"), WHOLE_DEPTH, &arg, &top, data, lists, each),
            "books50-l2-tbt" => self.books(part("books50-l2-tbt"), 50, &arg, &top, data, lists, each),
            "books5" => self.five_best(part("books5"), &arg, data, lists, each),
            "bbo-tbt" => self.best(part("bbo-tbt"), &arg, data, lists, each),
            "trades" | "trades-all" => self.trades(part("trades"), &arg, data, each),
            "tickers" => self.tickers(part("tickers"), &arg, data, each),
            "orders" => self.orders(part("orders"), &arg, data, each),
            "account" => self.account(part("account"), &arg, &top, data, lists, each),
            "instruments" => self.statuses(part("instruments"), data, each),
            _ => Err(DecodeError::UnknownEvent { event: quoted(&name), allowed: CHANNELS }),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one message")]
    fn books<'a>(
        &self,
        part: Part<'a>,
        depth: u32,
        arg: &Arg<'a>,
        top: &Top<'a>,
        data: Value<'a>,
        lists: &mut Lists,
        each: Each<'_>,
    ) -> Result<(), DecodeError> {
        let it = self.traded(part, arg.inst_id)?;
        let action = part.field("action", top.action)?;
        let form = match &*action.string()? {
            "snapshot" => DepthForm::Snapshot,
            "update" => DepthForm::Update,
            _ => return Err(action.wrong("snapshot or update")),
        };
        data.each(|entry| {
            let entry: BookEntry<'_> = entry.read()?;
            let bids_count = lists.read_levels(part, &entry, &it)?;
            let id = part.field("seqId", entry.seq_id)?.number()?;
            let previous = part.field("prevSeqId", entry.prev_seq_id)?;
            let previous = match part.told("prevSeqId", entry.prev_seq_id).map(Value::raw) {
                Some("-1") => None,
                _ => Some(previous.number().map_err(|_| previous.wrong("-1 or a whole number"))?),
            };
            let (bids, asks) = lists.levels.split_at(bids_count);
            each(Decoded::Depth(DepthUpdate {
                symbol: it.instrument.id,
                form,
                depth: Some(depth),
                event_ns: Some(part.time("ts", entry.ts)?),
                engine_ns: None,
                continuity: Continuity::Chain { previous, id },
                cross_sequence: None,
                checksum: part.told("checksum", entry.checksum).map_or(Ok(None), checksum)?,
                bids,
                asks,
            }));
            Ok(())
        })
    }

    fn five_best<'a>(
        &self,
        part: Part<'a>,
        arg: &Arg<'a>,
        data: Value<'a>,
        lists: &mut Lists,
        each: Each<'_>,
    ) -> Result<(), DecodeError> {
        let it = self.traded(part, arg.inst_id)?;
        data.each(|entry| {
            let entry: BookEntry<'_> = entry.read()?;
            let bids_count = lists.read_levels(part, &entry, &it)?;
            let (bids, asks) = lists.levels.split_at(bids_count);
            each(Decoded::Depth(DepthUpdate {
                symbol: it.instrument.id,
                form: DepthForm::Snapshot,
                depth: Some(5),
                event_ns: Some(part.time("ts", entry.ts)?),
                engine_ns: None,
                continuity: Continuity::Chain {
                    previous: None,
                    id: part.field("seqId", entry.seq_id)?.number()?,
                },
                cross_sequence: None,
                checksum: None,
                bids,
                asks,
            }));
            Ok(())
        })
    }

    fn best<'a>(
        &self,
        part: Part<'a>,
        arg: &Arg<'a>,
        data: Value<'a>,
        lists: &mut Lists,
        each: Each<'_>,
    ) -> Result<(), DecodeError> {
        let it = self.traded(part, arg.inst_id)?;
        data.each(|entry| {
            let entry: BookEntry<'_> = entry.read()?;
            let bids_count = lists.read_levels(part, &entry, &it)?;
            let (bids, asks) = lists.levels.split_at(bids_count);
            each(Decoded::Quote(QuoteUpdate {
                symbol: it.instrument.id,
                event_ns: Some(part.time("ts", entry.ts)?),
                update_id: part.field("seqId", entry.seq_id)?.number()?,
                bid: bids.first().copied().unwrap_or_default(),
                ask: asks.first().copied().unwrap_or_default(),
            }));
            Ok(())
        })
    }

    /// Number of matches and position among the book's changes came late: older messages lack them.
    fn trades<'a>(
        &self,
        part: Part<'a>,
        arg: &Arg<'a>,
        data: Value<'a>,
        each: Each<'_>,
    ) -> Result<(), DecodeError> {
        let it = self.traded(part, arg.inst_id)?;
        data.each(|entry| {
            let entry: TradeEntry<'_> = entry.read()?;
            let matches = match part.told("count", entry.count) {
                Some(count) => u32::try_from(whole_number(count, COUNT)?).map_err(|_| count.wrong(COUNT))?,
                None => 1,
            };
            each(Decoded::Trade(TradePrint {
                symbol: it.instrument.id,
                event_ns: None,
                engine_ns: part.time("ts", entry.ts)?,
                trade_id: whole_number(part.field("tradeId", entry.trade_id)?, "a whole number in quotes")?,
                matches,
                price: part.price("px", entry.px, &it)?,
                quantity: part.quantity("sz", entry.sz, &it)?,
                taker: side(part.field("side", entry.side)?)?,
                cross_sequence: part.told("seqId", entry.seq_id).map(Value::number).transpose()?,
            }));
            Ok(())
        })
    }

    fn tickers<'a>(
        &self,
        part: Part<'a>,
        arg: &Arg<'a>,
        data: Value<'a>,
        each: Each<'_>,
    ) -> Result<(), DecodeError> {
        let it = self.traded(part, arg.inst_id)?;
        data.each(|entry| {
            let entry: TickerEntry<'_> = entry.read()?;
            let bid = Level {
                price: part.told_price("bidPx", entry.bid_px, &it)?,
                quantity: part.told_quantity("bidSz", entry.bid_sz, &it)?,
            };
            let ask = Level {
                price: part.told_price("askPx", entry.ask_px, &it)?,
                quantity: part.told_quantity("askSz", entry.ask_sz, &it)?,
            };
            each(Decoded::Ticker(TickerUpdate {
                symbol: it.instrument.id,
                event_ns: Some(part.time("ts", entry.ts)?),
                last: part.price("last", entry.last, &it)?,
                high: part.price("high24h", entry.high24h, &it)?,
                low: part.price("low24h", entry.low24h, &it)?,
                volume: part.quantity("vol24h", entry.vol24h, &it)?,
                last_quantity: Some(part.quantity("lastSz", entry.last_sz, &it)?),
                best: Some([bid, ask]),
                open: Some(part.price("open24h", entry.open24h, &it)?),
                change: None,
                change_share: None,
                weighted_average_units: None,
                quote_volume_units: Some(part.field("volCcy24h", entry.vol_ccy24h)?.units()?),
                previous_close: None,
                trade_ids: None,
                count: None,
                window_ns: None,
            }));
            Ok(())
        })
    }

    fn orders<'a>(
        &self,
        part: Part<'a>,
        arg: &Arg<'a>,
        data: Value<'a>,
        each: Each<'_>,
    ) -> Result<(), DecodeError> {
        let account = account(part, arg)?;
        data.each(|entry| {
            let entry: OrderEntry<'_> = entry.read()?;
            let it = self.traded(part, entry.inst_id)?;
            let status = order_status(part.field("state", entry.state)?)?;
            let trade_id = part.told("tradeId", entry.trade_id);
            let kind = match status {
                OrderStatus::Canceled => ExecutionKind::Canceled,
                // A change of a partly filled order that is no fill has no trade.
                OrderStatus::PartiallyFilled | OrderStatus::Filled if trade_id.is_some() => {
                    ExecutionKind::Trade
                }
                _ => ExecutionKind::New,
            };
            let fill = kind == ExecutionKind::Trade;
            let (last, fee_units, fee_asset) = if fill {
                let price = part.price("fillPx", entry.fill_px, &it)?;
                let quantity = part.quantity("fillSz", entry.fill_sz, &it)?;
                let fee_units = part.told("fillFee", entry.fill_fee).map_or(Ok(0), charged)?;
                let fee_asset = part.told("fillFeeCcy", entry.fill_fee_ccy);
                let fee_asset = fee_asset.map(|name| self.asset(name)).transpose()?;
                (Level { price, quantity }, fee_units, fee_asset)
            } else {
                (Level::default(), 0, None)
            };
            let order_id = part.text("ordId", entry.ord_id)?;
            each(Decoded::Execution(ExecutionReport {
                account,
                symbol: it.instrument.id,
                event_ns: None,
                engine_ns: part.time("uTime", entry.u_time)?,
                kind,
                status,
                side: side(part.field("side", entry.side)?)?,
                order_id: order_id.parse().unwrap_or_else(|_| hash(&order_id)),
                execution_id: None,
                price: part.told_price("px", entry.px, &it)?,
                quantity: part.quantity("sz", entry.sz, &it)?,
                last,
                filled_quantity: part.told_quantity("accFillSz", entry.acc_fill_sz, &it)?,
                last_quote_units: None,
                filled_quote_units: None,
                fee_units,
                fee_asset,
                trade_id: match trade_id {
                    Some(id) if fill => Some(whole_number(id, "a whole number in quotes")?),
                    _ => None,
                },
                placed_ns: Some(part.time("cTime", entry.c_time)?),
            }));
            Ok(())
        })
    }

    fn account<'a>(
        &self,
        part: Part<'a>,
        arg: &Arg<'a>,
        top: &Top<'a>,
        data: Value<'a>,
        lists: &mut Lists,
        each: Each<'_>,
    ) -> Result<(), DecodeError> {
        let account = account(part, arg)?;
        let form = match part.told("eventType", top.event_type).map(Value::string).transpose()?.as_deref() {
            Some("snapshot") => DepthForm::Snapshot,
            _ => DepthForm::Update,
        };
        data.each(|entry| {
            let entry: AccountEntry<'_> = entry.read()?;
            let event_ns = part.time("uTime", entry.u_time)?;
            let mut engine_ns = None;
            lists.balances.clear();
            part.field("details", entry.details)?.each(|holding| {
                let holding: HoldingEntry<'_> = holding.read()?;
                let locked = part.told("frozenBal", holding.frozen_bal);
                let time = part.told("uTime", holding.u_time);
                let time = time.map(|_| part.time("uTime", holding.u_time)).transpose()?;
                engine_ns = engine_ns.max(time);
                lists.balances.push(AssetBalance {
                    asset: self.asset(part.field("ccy", holding.ccy)?)?,
                    total_units: amount(part.field("eq", holding.eq)?)?,
                    locked_units: locked.map(amount).transpose()?,
                    change_units: None,
                });
                Ok(())
            })?;
            each(Decoded::Balance(BalanceUpdate {
                account,
                event_ns: Some(event_ns),
                engine_ns: engine_ns.unwrap_or(event_ns),
                form,
                balances: &lists.balances,
            }));
            Ok(())
        })
    }

    /// The channel tells of all instruments of a type; those that the listing lacks are nobody's concern.
    fn statuses<'a>(&self, part: Part<'a>, data: Value<'a>, each: Each<'_>) -> Result<(), DecodeError> {
        data.each(|entry| {
            let entry: InstrumentEntry<'_> = entry.read()?;
            let name = part.text("instId", entry.inst_id)?;
            let trading = part.text("state", entry.state)? == "live";
            if let Some(index) = self.symbols.find(name.as_bytes()) {
                each(Decoded::Status(StatusUpdate { symbol: SymbolId(index), event_ns: None, trading }));
            }
            Ok(())
        })
    }

    fn traded<'a>(&self, part: Part<'a>, inst_id: Raw<'a>) -> Result<Traded<'_>, DecodeError> {
        let name = part.text("instId", inst_id)?;
        match self.symbols.find(name.as_bytes()) {
            Some(index) => Ok(Traded { instrument: &self.listing.instruments[index as usize] }),
            None => Err(DecodeError::UnknownSymbol { symbol: quoted(&name) }),
        }
    }

    fn asset(&self, value: Value<'_>) -> Result<AssetId, DecodeError> {
        let name = value.string()?;
        let index = self.assets.find(name.as_bytes());
        index.map(AssetId).ok_or_else(|| DecodeError::UnknownAsset { asset: quoted(&name) })
    }
}

/// Our own account numbers stand in `uid`; a foreign one that is no such number is account 0.
fn account<'a>(part: Part<'a>, arg: &Arg<'a>) -> Result<AccountId, DecodeError> {
    let uid = part.told("uid", arg.uid).map(Value::string).transpose()?;
    Ok(AccountId(uid.and_then(|uid| uid.parse().ok()).unwrap_or(0)))
}

/// FNV-1a, for foreign order ids that are no numbers: the same id is the same number everywhere.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

const CHANNELS: &str = "books, books-l2-tbt, books50-l2-tbt, books5, bbo-tbt, trades, trades-all, tickers, orders, account, instruments";

const COUNT: &str = "a whole number in quotes below 2^32";

const WHOLE_DEPTH: u32 = 400;
