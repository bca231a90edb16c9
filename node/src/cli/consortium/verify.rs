//! `consort consortium verify`: whether a manifest is one to run with.

use std::path::PathBuf;

use consort_node::consortium::{self, ConsortiumError, Draft};
use consort_protocol::manifest::ManifestError;

use super::{Failure, println};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium verify consortium.toml\n  consort consortium verify next.toml --previous consortium.toml\n      also that it directly follows that file\n\nExit code 1: it is a manifest, but not one to run with; the reason is on standard error."
)]
pub(super) struct Arguments {
    /// The manifest
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The manifest that it has to follow directly
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let failed = |error: ConsortiumError| match error {
        ConsortiumError::Manifest { .. } => Failure::Failed(error.to_string()),
        other => Failure::unusable(other),
    };
    let draft = Draft::read(file).map_err(failed)?;
    let chain = draft.complete().map_err(|source| failed(draft.error(file, source)))?;
    if let Some(previous) = &arguments.previous {
        let before = consortium::load(previous).map_err(Failure::unusable)?;
        let fails = |source| failed(draft.error(file, source));
        before.compare(&chain).map_err(fails)?;
        let (found, current) = (chain.manifest().epoch(), before.manifest().epoch());
        if found <= current {
            return Err(fails(ManifestError::Expired { found, current }));
        }
        if draft.last.body.previous != Some(*before.manifest().digest()) {
            return Err(Failure::Failed(format!(
                "{}: epoch {found} does not directly follow epoch {current} of {}",
                file.display(),
                previous.display()
            )));
        }
    }
    let (manifest, founding) = (chain.manifest(), chain.founding());
    println(&format!(
        "{}, epoch {}: {} members, signed by enough, founded as {}",
        manifest.name(),
        manifest.epoch(),
        manifest.members().len(),
        hex::encode(&founding[..8])
    ));
    Ok(())
}
