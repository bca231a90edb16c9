//! What a run came to, for people: a table of the rounds, and what joining was worth.

use std::fmt::Write;
use std::io::IsTerminal;

use crate::cli::list;
use crate::report::{Parted, Report, Round, Struck};

pub(crate) const BOLD: &str = "1";
pub(crate) const DIM: &str = "2";
pub(crate) const RED: &str = "31";
pub(crate) const GREEN: &str = "32";
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Peer ids of one kind of key begin alike; their ends tell them apart.
const ID_END: usize = 6;
/// Where there is nothing to show.
const NOTHING: &str = "-";

/// Whether standard output is a terminal whose owner wants colours (<https://no-color.org>).
pub(crate) fn color_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !refused && !dumb
}

/// The table and, for digits, the accuracies, ending with a line break.
pub(crate) fn table(report: &Report, color: bool) -> String {
    let paint = Paint { color };
    let learns = report.rounds.iter().any(|round| round.metrics.contains_key("accuracy"));
    let mut rows = vec![header(learns)];
    rows.extend(report.rounds.iter().map(|round| row(report, round, learns)));
    let mut text = lay_out(&rows, paint);
    for round in &report.rounds {
        for attempt in round.attempts.iter().filter(|attempt| attempt.detail.is_some()) {
            let detail = attempt.detail.as_deref().unwrap_or_default();
            let who = name(report, &attempt.aggregator);
            let line = format!("round {}, {who}: {}, {detail}", round.round, attempt.outcome);
            let _ = writeln!(text, "{}", paint.with(DIM, &line));
        }
    }
    for line in faults(report) {
        let _ = writeln!(text, "{}", paint.with(DIM, &line));
    }
    if let Some(soak) = &report.soak {
        text.push('\n');
        text.push_str(&crate::soak::table(report, soak, paint));
    }
    if learns {
        text.push('\n');
        text.push_str(&accuracies(report, paint));
    }
    text
}

/// What happened to nodes, a line for each.
fn faults(report: &Report) -> Vec<String> {
    let line = |struck: &Struck, what: &str| {
        let Struck { peer, phase, round, .. } = struck;
        format!("round {round}, {}: {what} as {phase} began", name(report, peer))
    };
    let killed = report.kills.iter().map(|struck| line(struck, "killed"));
    let restarted = report.restarts.iter().map(|struck| line(struck, "killed, and started again,"));
    let paused =
        report.pauses.iter().map(|pause| line(&pause.struck, &format!("stopped for {} s", pause.seconds)));
    let parted = report.partitions.iter().map(|Parted { groups: [one, other], phase, round, seconds }| {
        format!(
            "round {round}: nodes {} and {} cut off from each other for {seconds} s as {phase} began",
            list(one),
            list(other)
        )
    });
    let missed = report.rounds.iter().filter(|round| !round.missed.is_empty()).map(|round| {
        let who: Vec<String> = round.missed.iter().map(|peer| name(report, peer)).collect();
        format!("round {}: missed by {}", round.round, who.join(", "))
    });
    killed.chain(restarted).chain(paused).chain(parted).chain(missed).collect()
}

/// A cell's text, and how it is painted.
pub(crate) struct Cell {
    text: String,
    style: Option<&'static str>,
    left: bool,
}

impl Cell {
    pub(crate) fn right(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: None, left: false }
    }

    pub(crate) fn left(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: None, left: true }
    }

    pub(crate) fn painted(self, style: &'static str) -> Self {
        Self { style: Some(style), ..self }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Paint {
    pub(crate) color: bool,
}

impl Paint {
    pub(crate) fn with(self, style: &str, text: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn header(learns: bool) -> Vec<Cell> {
    let mut cells = vec![
        Cell::right("round"),
        Cell::right("attempts"),
        Cell::left("aggregator"),
        Cell::left("survivors"),
        Cell::left("equal to plain"),
    ];
    cells.extend(learns.then(|| Cell::right("accuracy")));
    cells.extend([Cell::right("sent per member"), Cell::right("seconds")]);
    cells.into_iter().map(|cell| cell.painted(BOLD)).collect()
}

fn row(report: &Report, round: &Round, learns: bool) -> Vec<Cell> {
    let aggregator = round.aggregator().map_or_else(|| NOTHING.to_owned(), |peer| name(report, peer));
    let equal = match (round.aggregator(), round.correct) {
        (None, _) => Cell::left("no aggregate").painted(RED),
        (_, true) => Cell::left("yes").painted(GREEN),
        (_, false) => Cell::left("NO").painted(RED),
    };
    let mut cells = vec![
        Cell::right(round.round.to_string()),
        Cell::right(round.attempts.len().to_string()),
        Cell::left(aggregator),
        Cell::left(format!("{} of {}", round.survivors.len(), report.nodes)),
        equal,
    ];
    cells.extend(learns.then(|| Cell::right(accuracy(round).map_or(NOTHING.to_owned(), percent))));
    cells.push(Cell::right(sent_per_member(round).map_or(NOTHING.to_owned(), size)));
    cells.push(Cell::right(format!("{:.2}", round.wall_ms as f64 / 1000.0)));
    cells
}

pub(crate) fn lay_out(rows: &[Vec<Cell>], paint: Paint) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = " ".repeat(width - cell.text.chars().count());
            let painted = cell.style.map_or_else(|| cell.text.clone(), |style| paint.with(style, &cell.text));
            let (before, after) = if cell.left { ("", &*padding) } else { (&*padding, "") };
            let _ = write!(line, "{before}{painted}{after}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The shared model over the rounds, then what it is held against.
fn accuracies(report: &Report, paint: Paint) -> String {
    let shared: Vec<Option<f64>> = report.rounds.iter().map(accuracy).collect();
    let last = shared.iter().rev().find_map(|&accuracy| accuracy);
    let mut lines = vec![("shared model", last, spark(&shared), Some(BOLD))];
    if let Some(baselines) = &report.baselines {
        let plain: Vec<Option<f64>> =
            baselines.federated_plain.iter().map(|&accuracy| Some(accuracy)).collect();
        let plain_last = baselines.federated_plain.last().copied();
        let alone = format!("node {}, the typical one", baselines.alone_node);
        lines.push(("the same in the clear", plain_last, spark(&plain), None));
        lines.push(("trained centrally", Some(baselines.central), "all images in one place".into(), None));
        lines.push(("a node alone", Some(baselines.alone), alone, None));
    }
    let mut text = paint.with(BOLD, "test accuracy");
    text.push('\n');
    for (label, value, note, style) in lines {
        let value = value.map_or_else(|| NOTHING.to_owned(), percent);
        let line = format!("  {label:<21}  {value:>6}  {note}");
        let line = line.trim_end();
        let _ = writeln!(text, "{}", style.map_or_else(|| line.to_owned(), |style| paint.with(style, line)));
    }
    text
}

/// A bar for each round, from the least to the most accurate; a blank where there is none.
fn spark(values: &[Option<f64>]) -> String {
    let known = || values.iter().flatten().copied();
    let least = known().fold(f64::INFINITY, f64::min);
    let span = known().fold(f64::NEG_INFINITY, f64::max) - least;
    let bar = |value: f64| {
        let height = if span > 0.0 { (value - least) / span * (BARS.len() - 1) as f64 } else { 0.0 };
        BARS.get(height.round() as usize).copied().unwrap_or(' ')
    };
    values.iter().map(|value| value.map_or(' ', bar)).collect()
}

fn accuracy(round: &Round) -> Option<f64> {
    round.metrics.get("accuracy").copied()
}

/// The (lower) median of the members without the aggregator, which sends the aggregate to all.
fn sent_per_member(round: &Round) -> Option<u64> {
    let aggregator = round.aggregator();
    let members = round.bytes_sent.iter().filter(|(peer, _)| Some(peer.as_str()) != aggregator);
    let mut sent: Vec<u64> = members.map(|(_, &bytes)| bytes).collect();
    sent.sort_unstable();
    sent.get(sent.len().saturating_sub(1) / 2).copied()
}

/// Index of a node, and the end of its peer id.
fn name(report: &Report, peer: &str) -> String {
    let end = peer.char_indices().rev().nth(ID_END - 1).map_or(0, |(at, _)| at);
    let short = peer.get(end..).unwrap_or_default();
    match report.peers.iter().position(|known| known == peer) {
        Some(node) => format!("node {node} …{short}"),
        None => format!("…{short}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        value /= 1024.0;
        unit = Some(next);
    }
    format!("{value:.1} {}", unit.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn the_table_is_aligned_and_complete() {
        let expected = "\
round  attempts  aggregator      survivors  equal to plain  accuracy  sent per member  seconds
    0         1  node 1 …BBBBBB  3 of 3     yes               72.5 %          2.9 KiB     0.41
    1         2  node 2 …CCCCCC  2 of 3     NO                91.2 %          2.4 MiB    12.35
round 1, node 1 …BBBBBB: aggregator-lost, not connected
round 1, node 1 …BBBBBB: killed as masked-input began
round 0, node 1 …BBBBBB: stopped for 2.5 s as share-keys began
round 1: nodes 0 and 1,2 cut off from each other for 5 s as unmasking began

test accuracy
  shared model           91.2 %  ▁█
  the same in the clear  91.2 %  ▁█
  trained centrally      95.5 %  all images in one place
  a node alone           70.0 %  node 2, the typical one
";
        assert_eq!(table(&sample(), false), expected);
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let colored = table(&sample(), true);
        assert!(colored.contains("\x1b[32myes\x1b[0m") && colored.contains("\x1b[31mNO\x1b[0m"));
        let mut plain = colored;
        for style in [BOLD, DIM, RED, GREEN, "0"] {
            plain = plain.replace(&format!("\x1b[{style}m"), "");
        }
        assert_eq!(plain, table(&sample(), false));
    }

    #[test]
    fn a_round_without_aggregate_and_without_learning_is_shown() {
        let mut report = sample();
        report.baselines = None;
        report.kills.clear();
        report.pauses.clear();
        report.partitions.clear();
        report.rounds.truncate(1);
        let round = &mut report.rounds[0];
        round.attempts[0].outcome = "too-few-members".into();
        round.attempts[0].detail = Some("4 of 5".into());
        round.survivors.clear();
        round.bytes_sent.clear();
        round.metrics.clear();
        let expected = "\
round  attempts  aggregator  survivors  equal to plain  sent per member  seconds
    0         1  -           0 of 3     no aggregate                  -     0.41
round 0, node 1 …BBBBBB: too-few-members, 4 of 5
";
        assert_eq!(table(&report, false), expected);
    }

    #[test]
    fn bars_span_from_least_to_most() {
        let bars = |values: &[f64]| spark(&values.iter().map(|&value| Some(value)).collect::<Vec<_>>());
        assert_eq!(bars(&[0.0, 0.5, 1.0]), "▁▅█");
        assert_eq!(bars(&[0.7, 0.7]), "▁▁");
        assert_eq!(spark(&[Some(0.1), None, Some(0.9)]), "▁ █");
        assert_eq!(spark(&[]), "");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(
            [0, 1023, 1024, 3 << 20, 5 << 40].map(size),
            ["0 B", "1023 B", "1.0 KiB", "3.0 MiB", "5.0 TiB"]
        );
    }
}
