//! What every parser promises, held against arbitrary bytes.
//!
//! A [`Target`] takes bytes, hands them to a parser, and panics if the parser breaks a promise: it panicked itself,
//! reads the same message differently in another wording, or does not read back what was written from what it read.
//! The targets of `fuzz/` are these, driven by libFuzzer; [`Campaign`] drives them on any toolchain, from the same
//! corpora, with mutations that follow from a seed.

mod campaign;
mod decode;
mod doors;
mod frames;
mod instruments;
mod listing;
mod mutation;
mod protocol;
mod reader;
mod rest;
mod stream;
mod wording;

use std::path::PathBuf;

use tickstorm_venue::Venue;
use tickstorm_venue::normalised::Format;

pub use campaign::{Broken, Campaign, Corpus};
pub use listing::listing;

/// A parser and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A venue's messages, one a line: their decoder, and the replica that follows them.
    Decode(Venue),
    /// A venue's lists of instruments, on the socket and by HTTP.
    Instruments(Venue),
    /// What clients of a venue's sockets ask, and what they are answered.
    Protocol(Venue),
    /// What clients ask by HTTP, a line as `GET /path?query` and a body, and the bodies of answers.
    Rest(Venue),
    /// Streams of the market's own messages.
    Reader(Format),
    /// Whose messages some lines are, and what they are about.
    Sniff,
    /// Anything that a person may want checked.
    Check,
    /// A WebSocket connection's bytes, from either end.
    Frames,
    /// The head of a request by HTTP, a line as `GET /path?query` and one a header.
    Head,
    /// A path and a query.
    Route,
    /// What a client sends behind its handshake.
    Link,
    /// Proofs of who a client is: a request on a venue's socket, or one by HTTP, with a header a line.
    Access(Venue),
    /// Words on the command line that open an exchange, one a line.
    Doors,
}

impl Target {
    /// Every target.
    pub fn all() -> Vec<Target> {
        let of_venue = |venue| {
            [
                Target::Decode(venue),
                Target::Instruments(venue),
                Target::Protocol(venue),
                Target::Rest(venue),
                Target::Access(venue),
            ]
        };
        let mut all: Vec<Target> = Venue::ALL.into_iter().flat_map(of_venue).collect();
        all.extend(Format::ALL.map(Target::Reader));
        all.extend([Target::Sniff, Target::Check, Target::Frames]);
        all.extend([Target::Head, Target::Route, Target::Link, Target::Doors]);
        all
    }

    /// The name of its program and of its corpus in `fuzz/`.
    pub fn name(self) -> String {
        match self {
            Target::Decode(venue) => format!("decode_{venue}"),
            Target::Instruments(venue) => format!("instruments_{venue}"),
            Target::Protocol(venue) => format!("protocol_{venue}"),
            Target::Rest(venue) => format!("rest_{venue}"),
            Target::Reader(format) => format!("reader_{format}"),
            Target::Sniff => "sniff".to_owned(),
            Target::Check => "check".to_owned(),
            Target::Frames => "frames".to_owned(),
            Target::Head => "head".to_owned(),
            Target::Route => "route".to_owned(),
            Target::Link => "link".to_owned(),
            Target::Access(venue) => format!("access_{venue}"),
            Target::Doors => "doors".to_owned(),
        }
    }

    /// Panics if the parser breaks a promise.
    pub fn run(self, data: &[u8]) {
        match self {
            Target::Decode(venue) => decode::run(venue, data),
            Target::Instruments(venue) => instruments::run(venue, data),
            Target::Protocol(venue) => protocol::run(venue, data),
            Target::Rest(venue) => rest::run(venue, data),
            Target::Reader(format) => reader::run(format, data),
            Target::Sniff => stream::sniff(data),
            Target::Check => stream::check(data),
            Target::Frames => frames::run(data),
            Target::Head => doors::head(data),
            Target::Route => doors::routes(data),
            Target::Link => doors::link(data),
            Target::Access(venue) => doors::access(venue, data),
            Target::Doors => doors::settings(data),
        }
    }
}

/// The folder `fuzz/` of this workspace.
pub fn fuzz_folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}
