//! What gets through without each check (docs/mutation.md): the same attack is played twice, once against the
//! real state machines, and once against the same with one check taken out.

mod attack;
mod certificates;
mod mask_sets;
mod rosters;
mod slots;
mod split;
mod survivors;
mod world;
