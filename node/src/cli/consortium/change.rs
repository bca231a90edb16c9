//! `consort consortium add`, `remove`, `set`: proposals of a next epoch.
//!
//! What they change is the epoch after FILE's, if FILE is complete, and FILE's own, if it waits for signatures:
//! so a member is replaced, or a first manifest corrected, in several steps. Signatures on what is changed are
//! void.

use std::path::{Path, PathBuf};

use consort_node::{consortium::Draft, identity::peer_id};
use consort_protocol::manifest::{ManifestBody, SignedManifest};

use super::{Failure, card, policy, write_proposal};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium add consortium.toml --member ward-9.card --out next.toml\n      one more member\n  consort consortium remove consortium.toml --member ward-7 --out next.toml\n  consort consortium add next.toml --member ward-7-new.card --out next.toml\n      ward-7 has lost its key: both changes are one epoch"
)]
pub(super) struct Add {
    /// The manifest to begin with
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A member card: a file, or its text; of a key that is listed it replaces name and addresses
    #[arg(long, value_name = "CARD|FILE")]
    member: String,
    /// Where the proposal goes
    #[arg(long, value_name = "NEXT")]
    out: PathBuf,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium remove consortium.toml --member ward-7 --out next.toml\n      once more than two thirds have signed it, ward-7 is disconnected and refused"
)]
pub(super) struct Remove {
    /// The manifest to begin with
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name or peer id of the member
    #[arg(long, value_name = "NAME|ID")]
    member: String,
    /// Where the proposal goes
    #[arg(long, value_name = "NEXT")]
    out: PathBuf,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium set consortium.toml corrupt=1 gather=30s --out next.toml\n  consort consortium set consortium.toml corrupt=default --out next.toml\n      `default` is what follows from the number of members"
)]
pub(super) struct Set {
    /// The manifest to begin with
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Rules: corrupt, min_survivors, min_participants, planned_losses, clip, step, max_weight, integer_bound,
    /// max_vector, standby_bytes, gather, deadlines
    #[arg(value_name = "KEY=VALUE", required = true)]
    rules: Vec<String>,
    /// Where the proposal goes
    #[arg(long, value_name = "NEXT")]
    out: PathBuf,
}

pub(super) fn add(arguments: &Add) -> Result<(), Failure> {
    let card = card(&arguments.member)?.entry();
    propose(&arguments.file, &arguments.out, |body| {
        if let Some(known) = body.members.iter_mut().find(|member| member.id == card.id) {
            if (&known.name, &known.addresses) == (&card.name, &card.addresses) {
                return Err(format!("{} is listed already, and its card says nothing new", card.name));
            }
            (known.name, known.addresses) = (card.name, card.addresses);
        } else {
            body.members.push(card);
        }
        Ok(())
    })
}

pub(super) fn remove(arguments: &Remove) -> Result<(), Failure> {
    let wanted = &arguments.member;
    propose(&arguments.file, &arguments.out, |body| {
        let before = body.members.len();
        body.members.retain(|member| {
            let peer = peer_id(&member.id).map(|peer| peer.to_string()).unwrap_or_default();
            member.name != *wanted && peer != *wanted
        });
        if body.members.len() == before {
            let names: Vec<&str> = body.members.iter().map(|member| member.name.as_str()).collect();
            return Err(format!("--member: nobody is called {wanted:?}; there are {}", names.join(", ")));
        }
        Ok(())
    })
}

pub(super) fn set(arguments: &Set) -> Result<(), Failure> {
    propose(&arguments.file, &arguments.out, |body| {
        for rule in &arguments.rules {
            let (key, value) = rule.split_once('=').ok_or_else(|| format!("{rule:?} is not KEY=VALUE"))?;
            policy::set(&mut body.policy, key, value).map_err(|problem| format!("{key}: {problem}"))?;
        }
        Ok(())
    })
}

fn propose(
    file: &Path,
    out: &Path,
    change: impl FnOnce(&mut ManifestBody) -> Result<(), String>,
) -> Result<(), Failure> {
    let draft = Draft::read(file).map_err(Failure::unusable)?;
    let tally = draft.tally().map_err(|source| Failure::unusable(draft.error(file, source)))?;
    let mut body = draft.last.body.clone();
    let before = if tally.is_complete() {
        let chain = draft.complete().map_err(|source| Failure::unusable(draft.error(file, source)))?;
        body.epoch = body.epoch.saturating_add(1);
        body.previous = Some(*chain.manifest().digest());
        Some(chain)
    } else {
        if tally.found > 0 {
            eprintln!("note: {} signatures were on what is changed now, and are void", tally.found);
        }
        draft.before().cloned()
    };
    change(&mut body).map_err(Failure::Unusable)?;
    let last = SignedManifest::new(body);
    let next = match before {
        Some(before) => Draft::next(before, last),
        None => Draft::first(last),
    };
    write_proposal(&next, Some(file), out)
}
