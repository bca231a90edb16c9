//! Faults by name: `WHO@PHASE[@ROUND]`, and how long those last that pass.

use std::{collections::BTreeSet, fmt, time::Duration};

use consort_protocol::phase::Phase;

/// Longer than any run in which somebody waits for the end of a fault.
const LONGEST: f64 = 86_400.0;

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The node with this index.
    Node(usize),
    /// Whoever aggregates then.
    Aggregator,
}

/// What happens to whom it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// SIGKILL, for good.
    Kill,
    /// SIGKILL; it is started again a little later, with the same home.
    Restart,
    /// SIGSTOP, and SIGCONT after so long.
    Pause(Duration),
    /// Nobody of one group reaches anybody of the other for so long.
    Partition([BTreeSet<usize>; 2], Duration),
}

/// Something happens to a node as a phase of a round begins on it; to all nodes, where it is a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What.
    pub(crate) deed: Deed,
    /// To whom; a partition begins with the phase on the aggregator.
    pub(crate) who: Who,
    /// In which phase.
    pub(crate) phase: Phase,
    /// Of which round; 0 where none was named.
    pub(crate) round: u32,
}

impl Fault {
    /// Whether it strikes here: as this phase begins on a node, which is or is not the aggregator.
    pub(crate) fn strikes(&self, node: usize, aggregates: bool, phase: Phase, round: u32) -> bool {
        let whom = match self.who {
            Who::Node(who) => who == node,
            Who::Aggregator => aggregates,
        };
        whom && (self.phase, self.round) == (phase, round)
    }

    fn flag(&self) -> &'static str {
        match self.deed {
            Deed::Kill => "--kill",
            Deed::Restart => "--restart",
            Deed::Pause(_) => "--pause",
            Deed::Partition(..) => "--partition",
        }
    }
}

/// As it is written on the command line.
impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ", self.flag())?;
        match (&self.deed, self.who) {
            (Deed::Partition([one, other], _), _) => write!(formatter, "{}|{}", list(one), list(other))?,
            (_, Who::Node(index)) => write!(formatter, "{index}")?,
            (_, Who::Aggregator) => write!(formatter, "aggregator")?,
        }
        write!(formatter, "@{}@{}", self.phase, self.round)?;
        match self.deed {
            Deed::Pause(time) | Deed::Partition(_, time) => write!(formatter, ":{}", in_seconds(time)),
            Deed::Kill | Deed::Restart => Ok(()),
        }
    }
}

/// Seconds as people write them: `as_secs_f64` makes 1.8439999999999999 of 1844 ms.
pub(crate) fn in_seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

/// `0,2,5`
pub(crate) fn list(nodes: &BTreeSet<usize>) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// `WHO@PHASE[@ROUND]`
pub(super) fn kill(text: &str) -> Result<Fault, String> {
    strike(text, Deed::Kill, "expected WHO@PHASE or WHO@PHASE@ROUND, as in 3@masked-input@1")
}

/// `WHO@PHASE[@ROUND]`
pub(super) fn restart(text: &str) -> Result<Fault, String> {
    strike(text, Deed::Restart, "expected WHO@PHASE or WHO@PHASE@ROUND, as in 3@masked-input@1")
}

/// `WHO@PHASE[@ROUND]:SECONDS`
pub(super) fn pause(text: &str) -> Result<Fault, String> {
    let expected = "expected WHO@PHASE:SECONDS or WHO@PHASE@ROUND:SECONDS, as in 3@unmasking@1:5";
    let (place, time) = text.rsplit_once(':').ok_or(expected)?;
    strike(place, Deed::Pause(seconds(time)?), expected)
}

/// `A,B|C,D@PHASE[@ROUND]:SECONDS`
pub(super) fn partition(text: &str) -> Result<Fault, String> {
    let expected = "expected A,B|C,D@PHASE:SECONDS or A,B|C,D@PHASE@ROUND:SECONDS, as in \
                    0,1|2,3,4@unmasking@1:5";
    let (rest, time) = text.rsplit_once(':').ok_or(expected)?;
    let (groups, place) = rest.split_once('@').ok_or(expected)?;
    let (one, other) = groups.split_once('|').ok_or(expected)?;
    let (phase, round) = moment(place).ok_or(expected)?;
    let groups = [group(one)?, group(other)?];
    if let Some(both) = groups[0].intersection(&groups[1]).next() {
        return Err(format!("node {both} is in both groups; name each node once"));
    }
    Ok(Fault {
        deed: Deed::Partition(groups, seconds(time)?),
        who: Who::Aggregator,
        phase: named(phase)?,
        round: number(round)?,
    })
}

fn strike(text: &str, deed: Deed, expected: &str) -> Result<Fault, String> {
    let (who, place) = text.split_once('@').ok_or(expected)?;
    let (phase, round) = moment(place).ok_or(expected)?;
    let who = match who {
        "aggregator" => Who::Aggregator,
        index => Who::Node(index.parse().map_err(|_| {
            format!("'{}' is neither the index of a node nor 'aggregator'", index.escape_debug())
        })?),
    };
    Ok(Fault { deed, who, round: number(round)?, phase: named(phase)? })
}

/// Phase and round of `PHASE[@ROUND]`.
fn moment(text: &str) -> Option<(&str, &str)> {
    let (phase, round) = text.split_once('@').unwrap_or((text, "0"));
    (!round.contains('@')).then_some((phase, round))
}

fn named(phase: &str) -> Result<Phase, String> {
    phase.parse().map_err(|error: consort_protocol::phase::UnknownPhase| error.to_string())
}

fn number(round: &str) -> Result<u32, String> {
    round
        .parse()
        .map_err(|_| format!("'{}' is not the number of a round; the first is 0", round.escape_debug()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST);
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        format!(
            "'{}' is not a number of seconds above 0, and at most {LONGEST}, as in 5 or 0.5",
            text.escape_debug()
        )
    })
}

fn group(text: &str) -> Result<BTreeSet<usize>, String> {
    let mut group = BTreeSet::new();
    for index in text.split(',') {
        let node = index
            .parse()
            .map_err(|_| format!("'{}' in a group is not the index of a node", index.escape_debug()))?;
        if !group.insert(node) {
            return Err(format!("node {node} is named twice; name each node once"));
        }
    }
    Ok(group)
}
