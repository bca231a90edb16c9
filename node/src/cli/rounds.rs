//! `consort rounds`: what this node has kept of its rounds.

use std::path::PathBuf;

use consort_node::{
    consortium,
    exhibits::{Exhibits, verify},
    identity,
};
use consort_protocol::{evidence::Proven, manifest::Manifest};

use super::{Failure, println};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort rounds --home ~/.consort --evidence\n      who broke the protocol, as this node can prove\n  consort rounds --home ~/.consort --evidence round-000007-8139770e-two-votes.evidence\n      check a file that somebody has sent"
)]
pub(super) struct Arguments {
    /// The node's home
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Check evidence against members: the given files, or all that this home has
    #[arg(long, required = true, num_args = 0.., value_name = "FILE")]
    evidence: Vec<PathBuf>,
    /// The signed manifest to check against, instead of the home's consortium.toml
    #[arg(long, value_name = "FILE")]
    consortium: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let manifest = arguments.consortium.clone().unwrap_or_else(|| arguments.home.join("consortium.toml"));
    let chain = consortium::load(&manifest).map_err(|error| Failure::Unusable(error.to_string()))?;
    let folder = arguments.home.join("evidence");
    let files = if arguments.evidence.is_empty() {
        Exhibits::new(folder.clone())
            .files()
            .map_err(|error| Failure::Unusable(format!("{}: {error}", folder.display())))?
    } else {
        arguments.evidence.clone()
    };
    let (mut proven, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        match verify(&file, &chain) {
            Ok(proof) => proven.push((file, proof)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    let manifest = chain.manifest();
    if arguments.json {
        println(&as_json(manifest, &proven, &refused));
    } else if proven.is_empty() && refused.is_empty() {
        println("no evidence against anybody");
    } else {
        proven.iter().for_each(|(file, proof)| println(&line(manifest, file, proof)));
    }
    match refused.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(Failure::Failed(first)),
    }
}

fn name(manifest: &Manifest, proof: &Proven) -> String {
    let member = manifest.members().iter().find(|member| member.id == proof.culprit);
    member.map_or_else(String::new, |member| member.name.clone())
}

fn line(manifest: &Manifest, file: &std::path::Path, proof: &Proven) -> String {
    let Proven { culprit, crime, round, attempt, slot } = proof;
    let (peer, name) = (identity::peer_id(culprit), name(manifest, proof));
    let peer = peer.map_or_else(|_| culprit.to_string(), |peer| peer.to_string());
    format!(
        "proved: {crime} by {name} ({peer}) in round {round}, attempt {attempt}, slot {slot}: {}",
        file.display()
    )
}

fn as_json(manifest: &Manifest, proven: &[(PathBuf, Proven)], refused: &[String]) -> String {
    let record = |(file, proof): &(PathBuf, Proven)| {
        let Proven { culprit, crime, round, attempt, slot } = proof;
        serde_json::json!({
            "culprit": identity::peer_id(culprit).map(|peer| peer.to_string()).unwrap_or_default(),
            "name": name(manifest, proof), "crime": crime, "round": round, "attempt": attempt, "slot": slot,
            "file": file,
        })
    };
    let proven: Vec<_> = proven.iter().map(record).collect();
    serde_json::json!({ "proved": proven, "refused": refused }).to_string()
}
