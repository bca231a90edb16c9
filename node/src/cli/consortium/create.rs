//! `consort consortium create`: the first manifest.

use std::path::PathBuf;

use consort_node::consortium::Draft;
use consort_protocol::manifest::{ManifestBody, MemberEntry, Policy, SignedManifest};

use super::{Failure, card, policy, write_proposal};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium create --name wards --member a.card b.card c.card d.card --out consortium.toml\n      the file then goes to every founder, who looks at it (`show`) and signs it (`sign`)"
)]
pub(super) struct Arguments {
    /// Name of the consortium
    #[arg(long)]
    name: String,
    /// Member cards: files, or their text; three or more
    #[arg(long, value_name = "CARD|FILE", num_args = 1.., required = true)]
    member: Vec<String>,
    #[command(flatten)]
    policy: policy::Flags,
    /// Where the manifest goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut members: Vec<MemberEntry> = Vec::new();
    for given in &arguments.member {
        let entry = card(given)?.entry();
        if members.iter().any(|known| known.id == entry.id) {
            return Err(Failure::Unusable(format!("--member: the card of {} is given twice", entry.name)));
        }
        members.push(entry);
    }
    let mut policy = Policy::default();
    for (key, value) in arguments.policy.given() {
        policy::set(&mut policy, key, value)
            .map_err(|problem| Failure::Unusable(format!("--{}: {problem}", key.replace('_', "-"))))?;
    }
    let body = ManifestBody { name: arguments.name.clone(), epoch: 0, previous: None, members, policy };
    write_proposal(&Draft::first(SignedManifest::new(body)), None, &arguments.out)
}
