//! Whole nodes: the daemon as people run it, and the library's handle as programs use it.
//!
//! Tests wait for what processes and nodes say, never for time to pass; [`consortium::within`] only turns
//! a hang into a failure.

mod api;
mod consortium;
mod disk;
mod doctor;
mod evidence;
mod failover;
mod founding;
mod guard;
mod limited;
mod membership;
mod process;
mod refused;
mod relays;
mod reload;
mod restored;
mod rounds;
mod running;
mod service;
mod stopping;
mod under_load;
