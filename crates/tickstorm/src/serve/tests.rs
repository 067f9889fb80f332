//! The exchange with its clients in one process: no sockets, and a clock that is turned by hand.

mod ages;
mod caller;
mod chance;
mod company;
mod crowd;
mod hall;
mod leaving;
mod limits;
mod owners;
mod requests;
mod silence;
mod slow;
mod wire;
