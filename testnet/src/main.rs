//! A consortium on one machine: separate processes, real keys, real connections.
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports)]

mod phase;
mod report;
mod table;
mod workload;

fn main() {}
