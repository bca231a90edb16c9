//! Lies by name: `WHO:NAME`, from the adversary kit.

use std::{fmt, str::FromStr as _};

use consort_protocol::sim::Lie;

use super::fault::Who;

/// A node that tells a lie in all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Telling {
    /// Which node; the aggregator of the first round where none is named.
    pub(crate) who: Who,
    /// What it does wrong.
    pub(crate) lie: Lie,
}

impl fmt::Display for Telling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Who::Node(index) => write!(formatter, "--lie {index}:{}", self.lie.word()),
            Who::Aggregator => write!(formatter, "--lie aggregator:{}", self.lie.word()),
        }
    }
}

/// `WHO:NAME`
pub(super) fn parse(text: &str) -> Result<Telling, String> {
    let expected = "expected WHO:NAME, as in 3:two-votes or aggregator:two-rosters";
    let (who, name) = text.split_once(':').ok_or(expected)?;
    let who = match who {
        "aggregator" => Who::Aggregator,
        index => Who::Node(index.parse().map_err(|_| expected)?),
    };
    let lie = Lie::from_str(name).map_err(|_| {
        let names: Vec<&str> = Lie::ALL.iter().map(|lie| lie.word()).collect();
        format!("no lie is called `{name}`; there are {}", names.join(", "))
    })?;
    Ok(Telling { who, lie })
}

/// Whether these lies can be told by so many nodes.
pub(super) fn check(lies: &[Telling], nodes: usize) -> Result<(), String> {
    if lies.is_empty() {
        return Ok(());
    }
    if !cfg!(feature = "lies") {
        return Err("--lie needs a testnet whose nodes can lie, which is never built by default: \
                    cargo run --release --features lies --bin testnet -- --lie WHO:NAME"
            .into());
    }
    for telling in lies {
        if let Who::Node(index) = telling.who
            && index >= nodes
        {
            let last = nodes - 1;
            return Err(format!(
                "{telling}: there is no node {index}; with {nodes} nodes they are 0 to {last}"
            ));
        }
    }
    Ok(())
}
