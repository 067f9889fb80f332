//! Tests of the whole crate through its public face.

mod binance;
mod bybit;
mod cadence;
mod coinbase;
mod kraken;
mod market;
mod normalised;
mod okx;
mod publisher;
mod wire;
