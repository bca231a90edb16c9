//! What an honest node must never do (docs/threat-model.md): in each test somebody tries to make it.

mod attempts;
mod certificate;
mod evil_members;
mod fuzz;
mod guard;
mod mask_set;
mod monitor;
mod oracle;
mod outsiders;
mod proposal;
mod puppet;
mod refusal;
mod replay;
mod result;
mod roster;
mod shares;
mod slots;
mod standbys;
mod stoppers;
mod uniformity;
mod world;
