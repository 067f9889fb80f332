//! The status channel's list of products.

use std::collections::HashMap;

use serde::Deserialize;
use tickstorm_market::instrument::{AssetId, Instrument, Listing, SymbolId};

use super::values::Fields;
use super::wire::Raw;
use crate::Venue;
use crate::decoder::DecodeError;
use crate::json::{Value, read};
use crate::text::units_text;

/// The entry of an instrument, cut where its status comes.
pub(super) fn product(listing: &Listing, instrument: &Instrument) -> [String; 2] {
    let string = |text: &str| serde_json::Value::from(text).to_string();
    let (base, quote) = (listing.asset(instrument.base), listing.asset(instrument.quote));
    let front = format!(
        r#"{{"product_type":"SPOT","id":{},"base_currency":{},"quote_currency":{},"base_increment":"{}","quote_increment":"{}","display_name":{},"status":""#,
        string(&Venue::Coinbase.symbol(listing, instrument)),
        string(base),
        string(quote),
        units_text(instrument.lot.into()),
        units_text(instrument.tick.into()),
        string(&[base, quote].join("/")),
    );
    [front, r#"","status_message":"","min_market_funds":"1"}"#.to_owned()]
}

/// The instruments of a status snapshot, or of the REST list of products, which calls some fields otherwise.
/// Assets are numbered as they come, of each product the quote first.
pub(crate) fn read_instruments(bytes: &[u8]) -> Result<Option<Listing>, DecodeError> {
    if is_other_frame(bytes) {
        return Ok(None);
    }
    let (message, body) = read::<Body<'_>>(bytes)?;
    let mut products = Products::default();
    if let Some(list) = body.products {
        Value::new(message, "products", list).elements(|product| products.push(message, &product))?;
        return Ok(Some(products.listing()));
    }
    let (Some(channel), Some(events)) = (body.channel, body.events) else { return Ok(None) };
    if channel.get() != "\"status\"" {
        return Ok(None);
    }
    let mut found = false;
    Value::new(message, "events", events).elements(|event: Event<'_>| {
        let fields = Fields { message, event: "status event" };
        if fields.get("type", event.kind)?.string()? != "snapshot" {
            return Ok(());
        }
        found = true;
        let list = fields.get("products", event.products)?;
        list.elements(|product| products.push(message, &product))
    })?;
    Ok(found.then(|| products.listing()))
}

/// Whether the frame says at its very beginning that it is of another channel.
fn is_other_frame(bytes: &[u8]) -> bool {
    bytes.strip_prefix(br#"{"channel":""#).is_some_and(|rest| !rest.starts_with(br#"status""#))
}

#[derive(Default)]
struct Products {
    instruments: Vec<Instrument>,
    assets: Vec<String>,
    asset_ids: HashMap<String, AssetId>,
}

impl Products {
    fn push(&mut self, message: &str, product: &Product<'_>) -> Result<(), DecodeError> {
        let fields = Fields { message, event: "product" };
        let base_name = fields.get("base_currency", product.base_currency)?.string()?;
        let quote_name = fields.get("quote_currency", product.quote_currency)?.string()?;
        let (quote, base) = (self.asset(&quote_name), self.asset(&base_name));
        let increment = |field, raw| {
            let value = fields.get(field, raw)?;
            let units = value.units().ok().and_then(|units| u64::try_from(units).ok());
            units.filter(|&units| units > 0).ok_or_else(|| value.wrong(INCREMENT))
        };
        let lot = increment("base_increment", product.base_increment)?;
        let tick = increment("quote_increment", product.price_increment.or(product.quote_increment))?;
        if tick.checked_mul(lot).is_none() {
            let value = fields.get("base_increment", product.base_increment)?;
            return Err(value.wrong("small enough that a lot at a tick is less than 1844 quote units"));
        }
        let id = u32::try_from(self.instruments.len()).expect("a message is shorter than 2^32 products");
        self.instruments.push(Instrument {
            id: SymbolId(id),
            symbol: [base_name, quote_name].concat(),
            base,
            quote,
            tick,
            lot,
            start_price: 0,
        });
        Ok(())
    }

    fn asset(&mut self, name: &str) -> AssetId {
        if let Some(&id) = self.asset_ids.get(name) {
            return id;
        }
        let id = AssetId(u32::try_from(self.assets.len()).expect("a message is shorter than 2^32 names"));
        self.assets.push(name.to_owned());
        self.asset_ids.insert(name.to_owned(), id);
        id
    }

    fn listing(self) -> Listing {
        Listing { instruments: self.instruments.into(), assets: self.assets.into() }
    }
}

const INCREMENT: &str = "a decimal in quotes above zero, with at most eight places and below 184467440737";

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    channel: Raw<'a>,
    #[serde(borrow)]
    events: Raw<'a>,
    #[serde(borrow)]
    products: Raw<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    products: Raw<'a>,
}

#[derive(Deserialize)]
struct Product<'a> {
    #[serde(borrow, alias = "base_currency_id")]
    base_currency: Raw<'a>,
    #[serde(borrow, alias = "quote_currency_id")]
    quote_currency: Raw<'a>,
    #[serde(borrow)]
    base_increment: Raw<'a>,
    #[serde(borrow)]
    quote_increment: Raw<'a>,
    /// Only in the REST list, where the other is the step of amounts of money.
    #[serde(borrow)]
    price_increment: Raw<'a>,
}
