//! Market messages as Python objects.

use pyo3::{
    intern,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyString},
};
use tickstorm::Content;
use tickstorm_market::{
    Body, ExecutionKind, Instrument, Listing, Message, Quote, Side, Snapshot, SymbolId, UNITS_PER_WHOLE,
};

/// The form in which a target or an iterator gets its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The market's own words as a dict.
    Dict,
    /// The venue's bytes.
    Bytes,
    /// The same as text.
    Text,
}

impl Form {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "dict" => Some(Form::Dict),
            "bytes" => Some(Form::Bytes),
            "str" => Some(Form::Text),
            _ => None,
        }
    }

    pub(crate) fn wordings(self) -> tickstorm::Wordings {
        match self {
            Form::Dict => tickstorm::Wordings::Market,
            Form::Bytes | Form::Text => tickstorm::Wordings::Venue,
        }
    }
}

/// The names of a listing as Python strings, and how its integers are written as decimals.
pub(crate) struct Dictionary {
    symbols: Vec<Symbol>,
    assets: Vec<Py<PyString>>,
    side: [Py<PyString>; 2],
    executions: [Py<PyString>; 3],
}

struct Symbol {
    name: Py<PyString>,
    price: Scale,
    size: Scale,
    /// Of ticks times lots, in 1e-8 units of the quote asset.
    tick_lot: u128,
}

/// How a number of steps is written: times `factor`, with so many decimals.
#[derive(Clone, Copy)]
struct Scale {
    factor: u64,
    decimals: usize,
}

impl Scale {
    /// Steps of so many 1e-8 units, written with no more decimals than the step has.
    fn of_step(step: u64) -> Self {
        let mut scale = Scale { factor: step, decimals: 8 };
        while scale.decimals > 0 && scale.factor.is_multiple_of(10) {
            scale.factor /= 10;
            scale.decimals -= 1;
        }
        scale
    }

    const UNITS: Scale = Scale { factor: 1, decimals: 8 };

    fn write<'py>(self, py: Python<'py>, steps: u64) -> Bound<'py, PyString> {
        decimal(py, "", u128::from(steps) * u128::from(self.factor), self.decimals)
    }
}

/// A whole number with the point before its last digits.
fn decimal<'py>(py: Python<'py>, sign: &str, number: u128, decimals: usize) -> Bound<'py, PyString> {
    let mut digits = itoa::Buffer::new();
    let digits = match u64::try_from(number) {
        Ok(number) => digits.format(number),
        Err(_) => digits.format(number),
    };
    if decimals == 0 && sign.is_empty() {
        return PyString::new(py, digits);
    }
    let mut text = Text::default();
    text.push(sign);
    let whole = digits.len().saturating_sub(decimals);
    text.push(if whole == 0 { "0" } else { &digits[..whole] });
    if decimals > 0 {
        text.push(".");
        (digits.len()..decimals).for_each(|_| text.push("0"));
        text.push(&digits[whole..]);
    }
    PyString::new(py, text.as_str())
}

/// A short text on the stack: 128 bits have 39 digits.
struct Text {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }
}

impl Text {
    fn push(&mut self, text: &str) {
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text.as_bytes());
        self.length += text.len();
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("only whole texts were pushed")
    }
}

impl Dictionary {
    pub(crate) fn new(py: Python<'_>, listing: &Listing) -> Self {
        let text = |text: &str| PyString::new(py, text).unbind();
        let symbol = |instrument: &Instrument| Symbol {
            name: text(&instrument.symbol),
            price: Scale::of_step(instrument.tick),
            size: Scale::of_step(instrument.lot),
            tick_lot: u128::from(instrument.tick) * u128::from(instrument.lot) / u128::from(UNITS_PER_WHOLE),
        };
        Self {
            symbols: listing.instruments.iter().map(symbol).collect(),
            assets: listing.assets.iter().map(|name| text(name)).collect(),
            side: [text("buy"), text("sell")],
            executions: [text("new"), text("trade"), text("canceled")],
        }
    }

    /// What a call is made with: one message, or a list of them where the target takes batches.
    pub(crate) fn argument<'py>(
        &self,
        py: Python<'py>,
        content: &Content,
        form: Form,
        takes_lists: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        match content {
            Content::Market(messages) if takes_lists => {
                let dicts: PyResult<Vec<_>> =
                    messages.iter().map(|message| self.message(py, message)).collect();
                Ok(PyList::new(py, dicts?)?.into_any())
            }
            Content::Market(messages) => Ok(self.message(py, &messages[0])?.into_any()),
            Content::Venue(messages) if takes_lists => {
                let texts: PyResult<Vec<_>> =
                    messages.iter().map(|message| worded(py, &message.bytes, form)).collect();
                Ok(PyList::new(py, texts?)?.into_any())
            }
            Content::Venue(messages) => worded(py, &messages[0].bytes, form),
        }
    }

    pub(crate) fn message<'py>(&self, py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyDict>> {
        let symbol = &self.symbols[message.symbol.0 as usize];
        let dict = PyDict::new(py);
        macro_rules! set {
            ($($key:literal : $value:expr),+ $(,)?) => {{
                $(dict.set_item(intern!(py, $key), $value)?;)+
            }};
        }
        let price = |ticks: u32| symbol.price.write(py, u64::from(ticks));
        let size = |lots: u64| symbol.size.write(py, lots);
        let side = |side: Side| self.side[usize::from(side == Side::Sell)].bind(py);
        let units = |units: u64| Scale::UNITS.write(py, units);
        set! {
            "type": type_name(py, &message.body),
            "symbol": symbol.name.bind(py),
            "sequence": message.sequence,
            "event": message.event,
            "due_ns": message.due_ns,
            "last": message.last,
        };
        let quote = |dict: &Bound<'py, PyDict>, quote: &Quote| -> PyResult<()> {
            dict.set_item(intern!(py, "update_id"), quote.update_id)?;
            dict.set_item(intern!(py, "bid"), price(quote.bid))?;
            dict.set_item(intern!(py, "bid_quantity"), size(quote.bid_quantity))?;
            dict.set_item(intern!(py, "ask"), price(quote.ask))?;
            dict.set_item(intern!(py, "ask_quantity"), size(quote.ask_quantity))
        };
        match &message.body {
            Body::Book(change) => set! {
                "update_id": change.update_id,
                "side": side(change.side),
                "price": price(change.price),
                "quantity": size(change.quantity),
            },
            Body::Trade(trade) => set! {
                "trade_id": trade.trade_id,
                "price": price(trade.price),
                "quantity": size(trade.quantity),
                "taker": side(trade.taker),
            },
            Body::Quote(change) => quote(&dict, change)?,
            Body::Ticker(ticker) => {
                quote(&dict, &ticker.quote)?;
                set! {
                    "last_price": price(ticker.last),
                    "last_quantity": size(ticker.last_quantity),
                    "open": price(ticker.open),
                    "high": price(ticker.high),
                    "low": price(ticker.low),
                    "previous_close": price(ticker.previous_close),
                    "volume": size(ticker.volume),
                    "quote_volume": decimal(py, "", ticker.quote_volume.saturating_mul(symbol.tick_lot), 8),
                    "first_trade_id": ticker.first_trade_id,
                    "last_trade_id": ticker.last_trade_id,
                    "open_ns": ticker.open_ns,
                }
            }
            Body::Execution(execution) => set! {
                "account": execution.account.0,
                "order_id": execution.order_id,
                "execution_id": execution.execution_id,
                "kind": self.executions[match execution.kind {
                    ExecutionKind::New => 0,
                    ExecutionKind::Trade => 1,
                    ExecutionKind::Canceled => 2,
                }].bind(py),
                "side": side(execution.side),
                "price": price(execution.price),
                "quantity": size(execution.quantity),
                "last_quantity": size(execution.last_quantity),
                "last_price": price(execution.last_price),
                "filled_quantity": size(execution.filled_quantity),
                "fee": units(execution.fee),
                "fee_asset": self.assets[execution.fee_asset.0 as usize].bind(py),
                "trade_id": execution.trade_id,
                "placed_ns": execution.placed_ns,
            },
            Body::Balance(balance) => set! {
                "account": balance.account.0,
                "asset": self.assets[balance.asset.0 as usize].bind(py),
                "free": units(balance.free),
                "locked": units(balance.locked),
            },
            Body::Transfer(transfer) => {
                let sign = if transfer.amount < 0 { "-" } else { "" };
                set! {
                    "account": transfer.account.0,
                    "asset": self.assets[transfer.asset.0 as usize].bind(py),
                    "amount": decimal(py, sign, u128::from(transfer.amount.unsigned_abs()), 8),
                }
            }
            Body::Status(status) => set! { "trading": status.trading },
        }
        Ok(dict)
    }

    /// A book: `symbol`, `sequence`, `update_id`, and the levels of both sides as pairs of price and quantity, best first.
    pub(crate) fn snapshot<'py>(&self, py: Python<'py>, snapshot: &Snapshot) -> PyResult<Bound<'py, PyDict>> {
        let symbol = &self.symbols[snapshot.symbol.0 as usize];
        let levels = |levels: &[(u32, u64)]| {
            let level = |&(ticks, lots): &(u32, u64)| {
                (symbol.price.write(py, u64::from(ticks)), symbol.size.write(py, lots))
            };
            PyList::new(py, levels.iter().map(level).collect::<Vec<_>>())
        };
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "symbol"), symbol.name.bind(py))?;
        dict.set_item(intern!(py, "sequence"), snapshot.sequence)?;
        dict.set_item(intern!(py, "update_id"), snapshot.update_id)?;
        dict.set_item(intern!(py, "bids"), levels(&snapshot.bids)?)?;
        dict.set_item(intern!(py, "asks"), levels(&snapshot.asks)?)?;
        Ok(dict)
    }

    pub(crate) fn symbol(&self, py: Python<'_>, name: &str) -> Option<SymbolId> {
        let position = self.symbols.iter().position(|symbol| symbol.name.bind(py) == name)?;
        Some(SymbolId(position as u32))
    }

    pub(crate) fn symbols<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.symbols.iter().map(|symbol| symbol.name.bind(py)))
    }
}

fn type_name<'py>(py: Python<'py>, body: &Body) -> &'py Bound<'py, PyString> {
    match body {
        Body::Book(_) => intern!(py, "book"),
        Body::Trade(_) => intern!(py, "trade"),
        Body::Quote(_) => intern!(py, "quote"),
        Body::Ticker(_) => intern!(py, "ticker"),
        Body::Execution(_) => intern!(py, "execution"),
        Body::Balance(_) => intern!(py, "balance"),
        Body::Transfer(_) => intern!(py, "transfer"),
        Body::Status(_) => intern!(py, "status"),
    }
}

/// A venue's message as it goes on the wire, in bytes or text.
pub(crate) fn worded<'py>(py: Python<'py>, bytes: &[u8], form: Form) -> PyResult<Bound<'py, PyAny>> {
    match form {
        Form::Text => Ok(PyString::from_bytes(py, bytes)?.into_any()),
        Form::Bytes | Form::Dict => Ok(PyBytes::new(py, bytes).into_any()),
    }
}
