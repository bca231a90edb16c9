//! `consort init`: a new node's home.

use std::path::PathBuf;

use consort_node::{
    config::{self, Config},
    home::Home,
    identity::NodeIdentity,
};
use libp2p::Multiaddr;

use super::{Failure, card, println};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort init --home ~/.consort --name ward-7 --listen /ip4/192.0.2.7/tcp/4040\n      a new identity; mail the member card that it prints to those who found the consortium\n  consort init --home ~/.consort --announce /ip4/203.0.113.7/tcp/4040\n      behind a router that forwards port 4040 to this machine\n\nKeep a copy of identity.key where only you can read it: nobody can make it again."
)]
pub(super) struct Arguments {
    /// Folder for the node; made if it is not there
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// What the others will call it [default: the end of its peer id]
    #[arg(long)]
    name: Option<String>,
    /// Address to listen on, repeatable; on the member card too, where others could dial it
    #[arg(long, value_name = "MULTIADDR", value_parser = config::address)]
    listen: Vec<Multiaddr>,
    /// Address at which others find it although no interface has it, repeatable: a router's that forwards a port
    #[arg(long, value_name = "MULTIADDR", value_parser = config::address)]
    announce: Vec<Multiaddr>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = arguments.home.display();
    if Home::at(&arguments.home).identity().exists() {
        return Err(Failure::Unusable(format!(
            "{folder} has an identity already, which stays as it is: `consort card --home {folder}` prints its card; for another node use another folder"
        )));
    }
    // a new user's home has hidden files in it
    let visible = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
    };
    if std::fs::read_dir(&arguments.home).is_ok_and(|mut there| there.any(visible)) {
        return Err(Failure::Unusable(format!("{folder} is not empty: name a new folder for the node")));
    }
    let home =
        Home::open(&arguments.home).map_err(|error| Failure::Unusable(format!("{folder}: {error}")))?;
    let identity = NodeIdentity::generate().map_err(Failure::unusable)?;
    let mut config = Config { name: arguments.name.clone(), ..Config::default() };
    if !arguments.listen.is_empty() {
        config.listen.clone_from(&arguments.listen);
    }
    config.reach.announce.clone_from(&arguments.announce);
    let card = card::of(&identity, &config)?;
    config.create(&home.config()).map_err(Failure::unusable)?;
    identity.save(&home.identity()).map_err(Failure::unusable)?;
    println(&format!("peer id {}\n", identity.keypair().public().to_peer_id()));
    println(card.to_string().trim_end());
    if config.dialable().is_empty() && !config.listen.is_empty() {
        eprintln!(
            "note: no address is on the card, for 0.0.0.0 is every interface: name one that the others reach with \
             `listen`, or a router's with `announce`, in {}, and print the card again (`consort card`); a node that \
             only dials out needs none",
            home.config().display()
        );
    }
    Ok(())
}
