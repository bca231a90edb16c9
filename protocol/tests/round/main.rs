//! Whole rounds on the virtual network.

mod attempt;
mod evidence;
mod failover;
mod guard;
mod lost_roster;
mod setting;
mod turns;
mod two_rosters;
