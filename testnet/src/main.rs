//! A consortium on one machine: separate processes, real keys, real connections.
#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports)]

mod workload;

fn main() {}
