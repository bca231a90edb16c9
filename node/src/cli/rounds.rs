//! `consort rounds`: what this node has kept of its rounds, and whether it holds.

mod evidence;
mod list;
mod source;
mod verify;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use consort_node::consortium;
use consort_protocol::manifest::Manifest;

use super::{Failure, client, println};
use source::Source;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort rounds --home ~/.consort\n      the last rounds, newest first\n  consort rounds 7 --home ~/.consort --out sum.npy\n      the aggregate of round 7 again, from the running daemon\n  consort rounds 7 --home ~/.consort --export round-7.proof\n      what shows to anybody how round 7 ended\n  consort rounds --verify round-7.proof --consortium consortium.toml\n      check it with nothing but the manifest\n  consort rounds --verify 7 --home ~/.consort\n      the same for a round of this node\n  consort rounds --home ~/.consort --evidence\n      who broke the protocol, as this node can prove\n  consort rounds --home ~/.consort --evidence round-000007-8139770e-two-votes.evidence\n      check a file that somebody has sent"
)]
pub(super) struct Arguments {
    /// Only this round
    #[arg(value_name = "N")]
    round: Option<u64>,
    /// The node's home; its daemon is asked, or its ledger read if none runs
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Show so many of the last rounds
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// Check what shows how a round ended: of round N, of an exported file, or of all that are listed
    #[arg(long, num_args = 0..=1, value_name = "N|FILE")]
    verify: Option<Option<String>>,
    /// Write what shows how round N ended to a file, for anybody who has the manifest
    #[arg(long, value_name = "FILE", requires = "round")]
    export: Option<PathBuf>,
    /// Write the aggregate of round N to a file; the running daemon has those of the last rounds
    #[arg(long, value_name = "FILE.npy", requires = "round")]
    out: Option<PathBuf>,
    /// Check evidence against members: the given files, or all that this home has
    #[arg(long, num_args = 0.., value_name = "FILE", conflicts_with_all = ["round", "verify"])]
    evidence: Option<Vec<PathBuf>>,
    /// The signed manifest to check against, instead of the home's consortium.toml
    #[arg(long, value_name = "FILE")]
    consortium: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn home(&self) -> Result<&Path, Failure> {
        let missing = || Failure::Unusable("--home is missing: the folder of the node".into());
        self.home.as_deref().ok_or_else(missing)
    }

    fn manifest(&self) -> Result<Arc<Manifest>, Failure> {
        let path = match &self.consortium {
            Some(path) => path.clone(),
            None => self.home()?.join("consortium.toml"),
        };
        let loaded = consortium::load(&path).map_err(|error| Failure::Unusable(error.to_string()))?;
        Ok(Arc::new(loaded))
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(files) = &arguments.evidence {
        return evidence::run(arguments, files);
    }
    if let (Some(round), Some(file)) = (arguments.round, &arguments.export) {
        let proof = Source::open(arguments.home()?)?.proof(round)?;
        let written = proof.write(file);
        written.map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
    }
    if let (Some(round), Some(file)) = (arguments.round, &arguments.out) {
        let client = client::Client::new(arguments.home()?);
        let path = format!("/v1/rounds/{round}/aggregate");
        client::block_on(async { Ok(client.download(&path, file).await?) })?;
    }
    match &arguments.verify {
        Some(what) => verify::run(arguments, what.as_deref()),
        None => list::run(arguments),
    }
}
