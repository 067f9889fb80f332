//! Points the crate kraken-api-client at a mock exchange, keeps books there, and says whether every checksum was valid.
//!
//! `tickstorm-rust-client HOST:PORT [SYMBOLS [SECONDS]]`

use std::{collections::HashMap, env, error::Error, time::Duration};

use futures_util::StreamExt;
use kraken_api_client::spot::{
    rest::SpotRestClient,
    ws::{
        OrderBookState, SpotWsClient, WsConfig, WsMessageEvent,
        messages::{BookMessage, SubscribeParams, TradeMessage, channels},
    },
};
use tokio::time::{Instant, timeout_at};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let host = arguments.next().ok_or("usage: tickstorm-rust-client HOST:PORT [SYMBOLS [SECONDS]]")?;
    let symbols: usize = arguments.next().as_deref().unwrap_or("10").parse()?;
    let seconds: f64 = arguments.next().as_deref().unwrap_or("60").parse()?;

    let rest = SpotRestClient::builder().base_url(format!("http://{host}")).build()?;
    let mut books = HashMap::new();
    let mut names = Vec::new();
    for pair in rest.get_asset_pairs(None).await?.into_values() {
        // On its sockets Kraken has the usual names, and its older ones in its answers.
        let name = pair.wsname.ok_or("a pair without a name")?.replace("XBT/", "BTC/").replace("XDG/", "DOGE/");
        let book = OrderBookState::new(&name, DEPTH, pair.pair_decimals.into(), pair.lot_decimals.into());
        books.insert(name.clone(), book);
        names.push(name);
    }
    names.sort_unstable_by_key(|name| (!name.starts_with("BTC/"), name.clone()));
    names.truncate(symbols);

    let config = WsConfig { max_reconnect_attempts: Some(0), ..WsConfig::default() };
    let url = format!("ws://{host}/v2");
    let client = SpotWsClient::with_urls(url.clone(), url);
    let mut stream = client.connect_public_with_config(config).await?;
    let book = SubscribeParams::public(channels::BOOK, names.clone());
    stream.subscribe(book.with_depth(DEPTH as u32).with_snapshot(true)).await?;
    stream.subscribe(SubscribeParams::public(channels::TRADE, names.clone())).await?;

    let (mut snapshots, mut valid, mut invalid, mut crossed, mut trades) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let mut ended = None;
    while let Ok(Some(event)) = timeout_at(deadline, stream.next()).await {
        let value = match event {
            Ok(WsMessageEvent::ChannelData(value)) => value,
            Ok(WsMessageEvent::Disconnected) => break,
            Ok(_) => continue,
            Err(error) => {
                ended = Some(error.to_string());
                break;
            }
        };
        match value["channel"].as_str() {
            Some(channels::TRADE) => trades += serde_json::from_value::<TradeMessage>(value)?.data.len() as u64,
            Some(channels::BOOK) => {
                let is_snapshot = value["type"] == "snapshot";
                let message: BookMessage = serde_json::from_value(value)?;
                for data in &message.data {
                    let book = books.get_mut(&data.symbol).ok_or("a book of nobody")?;
                    if is_snapshot {
                        book.apply_snapshot(data);
                        snapshots += 1;
                    } else {
                        book.apply_update(data);
                    }
                    match data.checksum {
                        Some(checksum) if book.validate(checksum) => valid += 1,
                        _ => invalid += 1,
                    }
                    crossed += u64::from(
                        matches!((book.best_bid(), book.best_ask()), (Some(bid), Some(ask)) if bid.0 >= ask.0),
                    );
                }
            }
            _ => {}
        }
    }
    println!(
        "{}",
        serde_json::json!({
            "symbols": names.len(),
            "snapshots": snapshots,
            "valid": valid,
            "invalid": invalid,
            "crossed": crossed,
            "trades": trades,
            "ended": ended,
        })
    );
    Ok(())
}

/// Levels a side.
const DEPTH: usize = 10;
