//! `consort consortium adopt`: a next epoch for the running node.

use std::path::PathBuf;

use consort_node::{consortium::Draft, home::Home, identity::NodeIdentity, proposals::Proposals};

use super::{Failure, println, progress, sign::follows_home};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium adopt next.toml --home ~/.consort\n      the running node sends it to the others; once enough have signed, it is in force between two rounds\n\nA node that does not run takes it in when it starts."
)]
pub(super) struct Arguments {
    /// The next epoch, signed by enough members or not yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The node's home
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.file;
    NodeIdentity::load(&arguments.home.join("identity.key")).map_err(Failure::unusable)?;
    let home = Home::open(&arguments.home).map_err(Failure::unusable)?;
    let draft = Draft::read(file).map_err(Failure::unusable)?;
    let fails = |source| Failure::unusable(draft.error(file, source));
    let tally = draft.tally().map_err(fails)?;
    if !home.consortium().exists() {
        return Err(Failure::Unusable(format!(
            "{home} has no consortium yet: start the node with the manifest that is in force (`consort run --home {home} --consortium FILE`), then adopt this one",
            home = arguments.home.display()
        )));
    }
    follows_home(&draft, &home).map_err(fails)?;
    if tally.found == 0 {
        return Err(Failure::Unusable(format!(
            "{}: nobody has signed it: sign it first (`consort consortium sign {}`), so that the others know who proposes it",
            file.display(),
            file.display()
        )));
    }
    let path = Proposals::new(home.proposals()).keep(&draft).map_err(Failure::unusable)?;
    println(&format!(
        "handed to the node of {}: {}",
        arguments.home.display(),
        progress(&draft, &tally, &path)
    ));
    Ok(())
}
