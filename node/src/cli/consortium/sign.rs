//! `consort consortium sign` and `merge`: signatures, by file.

use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
};

use consort_node::{
    consortium::{self, Draft},
    home::Home,
    identity::NodeIdentity,
    signed::Signed,
};
use consort_protocol::manifest::{Manifest, ManifestError};

use super::{Failure, println, progress};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium show next.toml\n  consort consortium sign next.toml --home ~/.consort\n      look at it first: `show` says in plain words what is signed"
)]
pub(super) struct Sign {
    /// The manifest that waits for signatures
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The node's home, with its identity.key
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Sign although this node has signed another manifest of this epoch, which all have given up
    #[arg(long)]
    instead: bool,
}

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium merge consortium.toml from-anna.toml from-ben.toml\n      the copies that the others have signed and mailed back"
)]
pub(super) struct Merge {
    /// The manifest that waits for signatures
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Copies of it with other signatures
    #[arg(value_name = "COPY", required = true)]
    copies: Vec<PathBuf>,
}

pub(super) fn sign(arguments: &Sign) -> Result<(), Failure> {
    let file = &arguments.file;
    let identity = NodeIdentity::load(&arguments.home.join("identity.key")).map_err(Failure::unusable)?;
    let mut draft = Draft::read(file).map_err(Failure::unusable)?;
    let fails = |draft: &Draft, source| Failure::unusable(draft.error(file, source));
    draft.tally().map_err(|source| fails(&draft, source))?;
    let home = Home::open(&arguments.home).map_err(Failure::unusable)?;
    if home.consortium().exists() {
        follows_home(&draft, &home).map_err(|source| fails(&draft, source))?;
    }
    let (id, body) = (identity.id(), &draft.last.body);
    if !draft.previous().map_or(body, Manifest::body).contains(&id) {
        let peer = identity.keypair().public().to_peer_id();
        let why = match draft.previous() {
            Some(_) if body.contains(&id) => "is new in this epoch: only members of the one before sign it",
            Some(_) => "was not a member in the epoch before",
            None => "is on no line of it",
        };
        return Err(Failure::Unusable(format!(
            "{}: {peer}, the identity of this home, {why}",
            file.display()
        )));
    }
    let digest = draft.last.digest().map_err(|source| fails(&draft, source))?;
    Signed::note(&home.signed(), body.epoch, &digest, arguments.instead).map_err(Failure::unusable)?;
    draft.last.sign(&identity.signing()).map_err(Failure::unusable)?;
    write(&draft, file)
}

pub(super) fn merge(arguments: &Merge) -> Result<(), Failure> {
    let file = &arguments.file;
    let mut draft = Draft::read(file).map_err(Failure::unusable)?;
    draft.tally().map_err(|source| Failure::unusable(draft.error(file, source)))?;
    for path in &arguments.copies {
        let copy = Draft::read(path).map_err(Failure::unusable)?;
        copy.tally().map_err(|source| Failure::unusable(copy.error(path, source)))?;
        if copy.last.body != draft.last.body {
            return Err(Failure::Unusable(format!(
                "{}: is not a copy of {}: it says something else",
                path.display(),
                file.display()
            )));
        }
        draft.last.signatures.extend(copy.last.signatures);
    }
    write(&draft, file)
}

fn write(draft: &Draft, file: &Path) -> Result<(), Failure> {
    let tally = draft.tally().map_err(|source| Failure::unusable(draft.error(file, source)))?;
    draft.write(file).map_err(Failure::unusable)?;
    println(&progress(draft, &tally, file));
    Ok(())
}

/// Nothing is signed that this node would not follow.
pub(super) fn follows_home(draft: &Draft, home: &Home) -> Result<(), ManifestError> {
    let Ok(mine) = consortium::load(&home.consortium()) else { return Ok(()) };
    let (found, current) = (draft.last.body.epoch, mine.manifest().epoch());
    let Some(before) = draft.before() else {
        mine.same_founding(&draft.last.digest()?)?;
        return if current > 0 { Err(ManifestError::Expired { found, current }) } else { Ok(()) };
    };
    match mine.compare(before)? {
        Ordering::Less if mine.signed(found).is_none_or(|known| known.body != draft.last.body) => {
            mine.witness(&draft.last)?;
            Err(ManifestError::Expired { found, current })
        }
        _ => Ok(()),
    }
}
