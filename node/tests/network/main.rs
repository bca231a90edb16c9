//! The network layer over real sockets on 127.0.0.1.
//!
//! Tests wait for events, never for time to pass; [`consortium::within`] only turns a hang into a failure.

mod consortium;
mod discovery;
mod gossip;
mod hostile;
mod impostor;
mod limits;
mod raw;
mod relays;
mod transfer;
