//! Whole rounds on the virtual network.

mod attempt;
mod failover;
mod setting;
