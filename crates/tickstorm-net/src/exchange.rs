//! The serving side of a mock exchange: clients' connections, and the frames that they share.

mod link;
mod trail;
mod turn;

pub use link::{Delivery, Heard, Link, Mark, Scratch, Silence};
pub use turn::{Sealed, Turn};
