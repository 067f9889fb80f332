//! What a client of an exchange needs beside its [`Connection`](crate::Connection): answers by HTTP, and whose
//! certificates it trusts.

mod http;
mod stream;
mod trust;

pub use http::{HttpAnswer, HttpClient, HttpError};
pub(crate) use stream::ClientStream;
pub use trust::{Trust, TrustError};
