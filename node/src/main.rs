//! `consort`: the node.

#![forbid(unsafe_code)]

#[cfg(all(feature = "lies", not(debug_assertions)))]
compile_error!("a release consort tells no lies: build it without the feature `lies`");

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
