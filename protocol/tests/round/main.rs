//! Whole rounds on the virtual network.

mod attempt;
mod evidence;
mod failover;
mod lost_roster;
mod setting;
