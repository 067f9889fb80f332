//! The serving side of an exchange: the front door, where clients ask by HTTP and open their sockets, and the
//! connections behind it, with the frames that they share.

mod front;
mod http;
mod link;
mod trail;
mod turn;

pub(crate) use front::Place;
pub use front::{Arrival, Desk, Front, FrontError, FrontSpec, TlsChoice};
pub use http::{HttpVersion, RequestHead, WebAnswer, WebRequest};
pub use link::{Carrier, Delivery, Heard, Link, Mark, Scratch, Silence};
pub use turn::{Sealed, Turn};
