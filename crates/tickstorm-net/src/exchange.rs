//! The listening side of an exchange: the front door, where clients ask by HTTP and open their sockets.

mod front;
mod http;

pub(crate) use front::Place;
pub use front::{Arrival, Desk, Front, FrontError, FrontSpec, TlsChoice};
pub use http::{HttpVersion, RequestHead, WebAnswer, WebRequest};
