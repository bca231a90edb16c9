//! What a node allocates is bounded by what it has, not by what somebody announces or repeats.

mod decoders;
mod flood;
