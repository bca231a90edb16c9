//! A consortium on one machine: separate processes, real keys, real connections.
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports, reason = "the modules stand, and the launcher that uses them does not")]

mod cli;
mod phase;
mod report;
mod table;
mod workload;

fn main() {}
