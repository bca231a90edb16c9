//! `consort rounds --verify`: whether a round ended as it is said to have, by nothing but the manifest.

use std::path::Path;

use consort_node::{
    proof::{RoundProof, Shown},
    summary::{TaskSummary, name, names},
};
use serde_json::Value;

use super::{Arguments, Failure, Source, println};

pub(super) fn run(arguments: &Arguments, what: Option<&str>) -> Result<(), Failure> {
    let manifest = arguments.manifest()?;
    let (mut verified, mut refused) = (Vec::new(), Vec::new());
    for (place, proof) in proofs(arguments, what)? {
        let shown = proof.and_then(|proof| proof.verify(&manifest).map_err(|error| error.to_string()));
        match shown {
            Ok(shown) => verified.push(shown),
            Err(error) => refused.push(format!("{place}: not verified: {error}")),
        }
    }
    if arguments.json {
        let verified: Vec<Value> = verified.iter().map(as_json).collect();
        println(&serde_json::json!({ "verified": verified, "refused": refused }).to_string());
    } else {
        verified.iter().for_each(|shown| println(&line(shown)));
    }
    match refused.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(Failure::Failed(first)),
    }
}

/// A proof, or why there is none, under the name of where it comes from.
type Named = (String, Result<RoundProof, String>);

fn proofs(arguments: &Arguments, what: Option<&str>) -> Result<Vec<Named>, Failure> {
    let round = what.map_or(Ok(arguments.round), |what| what.parse().map(Some));
    let round = match (round, what) {
        (Ok(round), _) => round,
        (Err(_), what) => {
            let file = what.unwrap_or_default();
            let read = RoundProof::read(Path::new(file)).map_err(|error| error.to_string());
            return Ok(vec![(file.to_owned(), read)]);
        }
    };
    let source = Source::open(arguments.home()?)?;
    let rounds = match round {
        Some(round) => vec![round],
        None => {
            let listed = source.list(arguments.limit)?;
            listed.iter().filter(|round| round.certificate.is_some()).map(|round| round.round).collect()
        }
    };
    rounds.into_iter().map(|round| Ok((format!("round {round}"), Ok(source.proof(round)?)))).collect()
}

fn line(shown: &Shown) -> String {
    let Shown { contract, survivors, roster, votes, threshold, aggregator, .. } = shown;
    format!(
        "verified: round {}, {} of {} of {} members, {votes} valid votes of {threshold} needed, signed by {}",
        contract.round,
        TaskSummary::of(&contract.task).reduction,
        survivors.len(),
        roster.len(),
        name(aggregator)
    )
}

fn as_json(shown: &Shown) -> Value {
    let Shown { contract, session, slot, aggregator, roster, survivors, votes, threshold, root } = shown;
    serde_json::json!({
        "round": contract.round, "attempt": contract.attempt, "slot": slot,
        "task": TaskSummary::of(&contract.task), "session": hex::encode(session.0),
        "aggregator": name(aggregator), "roster": names(roster), "survivors": names(survivors),
        "votes": votes, "threshold": threshold, "root": hex::encode(root),
    })
}
