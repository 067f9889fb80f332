//! Where the backlog of an unmodified client waits, and how old it is.
//!
//! A message that was due and that the client has not worked off waits in one of five [places](Place). The first
//! is ours, the kernels tell about the next two ([`send_queue`], [`SocketDiag`]), pings prove what the client's
//! reader has passed ([`PingProbe`]), and the client's own queues, which nobody can look into, are measured by
//! going silent and watching the client's [`Activity`] until it rests ([`Silence`]).
//!
//! What decides is pure: times and samples are arguments. What looks at the system returns `None` where it
//! cannot know: on other systems than Linux, and for clients on other hosts or in other network namespaces.
//! [`Observer`] is the thread that brings both together without costing the sender anything.

mod kernel;
mod observer;
mod owner;
mod pings;
mod process;
mod silence;

pub use kernel::{PeerSocket, Queues, SendQueue, SocketDiag, send_queue};
pub use observer::{Gauges, Observer, Rhythm, Watch};
pub use owner::{Owner, Owners};
pub use pings::PingProbe;
pub use process::{Activity, ProcessWatch};
pub use silence::{Basis, Finding, Idle, Sample, Silence, SilenceLimits};

/// What a backlog waits in, in the order in which a message passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Our own queue for this client.
    OurQueue,
    /// Our kernel's send buffer: not sent yet, or not acknowledged by the client's kernel.
    OurKernel,
    /// The receive buffer of the client's kernel: the client has not read it.
    ClientKernel,
    /// Between the client's kernel and what answers pings; only pings tell it apart.
    ClientReader,
    /// The client's process, after the read: its own queues.
    ClientProcess,
}

impl Place {
    /// Whether the client has not read what waits here.
    pub const fn is_before_read(self) -> bool {
        matches!(self, Place::OurQueue | Place::OurKernel | Place::ClientKernel)
    }

    /// How a report names it.
    pub const fn name(self) -> &'static str {
        match self {
            Place::OurQueue => "our queue",
            Place::OurKernel => "our kernel",
            Place::ClientKernel => "the client's kernel",
            Place::ClientReader => "the client's socket reader",
            Place::ClientProcess => "the client's process, after the read",
        }
    }
}
