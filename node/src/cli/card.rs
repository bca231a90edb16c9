//! `consort card`: the member card again.

use std::path::PathBuf;

use consort_node::{card::Card, config::Config, identity::NodeIdentity};

use super::{Failure, println};

/// Characters of a peer id that name a node which has no name.
const TAIL: usize = 6;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort card --home ~/.consort\n      name and addresses are those of config.toml"
)]
pub(super) struct Arguments {
    /// The node's home
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let identity = NodeIdentity::load(&arguments.home.join("identity.key")).map_err(Failure::unusable)?;
    let config = Config::load(&arguments.home.join("config.toml")).map_err(Failure::unusable)?;
    println(of(&identity, &config)?.to_string().trim_end());
    Ok(())
}

/// The card of a node with these settings.
pub(super) fn of(identity: &NodeIdentity, config: &Config) -> Result<Card, Failure> {
    let peer = identity.keypair().public().to_peer_id().to_string();
    let tail = peer.get(peer.len().saturating_sub(TAIL)..).unwrap_or_default();
    let name = config.name.clone().unwrap_or_else(|| format!("node-{tail}"));
    Card::new(&identity.signing(), name, &config.dialable()).map_err(Failure::unusable)
}
