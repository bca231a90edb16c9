//! `consort rounds --evidence`: what proves that members broke the protocol.

use std::path::PathBuf;

use consort_node::{
    exhibits::{Exhibits, verify},
    identity,
};
use consort_protocol::{evidence::Proven, manifest::Manifest};

use super::{Arguments, Failure, println};

/// Checks the given files, or all that a home has.
pub(super) fn run(arguments: &Arguments, files: &[PathBuf]) -> Result<(), Failure> {
    let manifest = arguments.manifest()?;
    let files = match files {
        [] => {
            let folder = arguments.home()?.join("evidence");
            let found = Exhibits::new(folder.clone()).files();
            found.map_err(|error| Failure::Unusable(format!("{}: {error}", folder.display())))?
        }
        named => named.to_vec(),
    };
    let (mut proven, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        match verify(&file, &manifest) {
            Ok(proof) => proven.push((file, proof)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    if arguments.json {
        println(&as_json(&manifest, &proven, &refused));
    } else if proven.is_empty() && refused.is_empty() {
        println("no evidence against anybody");
    } else {
        proven.iter().for_each(|(file, proof)| println(&line(&manifest, file, proof)));
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
