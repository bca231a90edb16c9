//! What gets through without each check (docs/mutation.md): the same attack is played twice, once against the
//! real state machines, and once against the same with one check taken out.

mod abandonment;
mod attack;
mod certificates;
mod differencing;
mod honest_aggregator;
mod mask_sets;
mod replay;
mod results;
mod rosters;
mod second_line;
#[path = "../storm/setting.rs"]
mod setting;
mod slots;
mod split;
#[path = "../lies/split_attack.rs"]
mod split_attack;
mod split_view;
mod survivors;
mod table;
mod two_sums;
mod world;
