//! The last rounds, or one of them in full.

use consort_node::summary::RoundSummary;

use super::{Arguments, Failure, Source, println};

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let source = Source::open(arguments.home()?)?;
    let rounds = match arguments.round {
        Some(round) => vec![source.round(round)?],
        None => source.list(arguments.limit)?,
    };
    if arguments.json {
        println(&serde_json::json!({ "rounds": rounds }).to_string());
    } else if rounds.is_empty() {
        println("no rounds yet");
    } else if arguments.round.is_some() {
        rounds.iter().flat_map(details).for_each(|line| println(&line));
    } else {
        rounds.iter().for_each(|round| println(&line(round)));
    }
    Ok(())
}

/// A round in one line.
fn line(round: &RoundSummary) -> String {
    let number = round.round;
    let tries = match round.attempts.len() {
        0 | 1 => String::new(),
        tries => format!(", {tries} aggregators tried"),
    };
    match &round.certificate {
        Some(certificate) => {
            let what = round.task.as_ref().map_or("aggregate", |task| task.reduction.as_str());
            format!(
                "round {number}: {what} of {} of {} members by {}, {} votes of {} needed{tries}",
                round.survivors.len(),
                round.roster.len(),
                certificate.aggregator,
                certificate.votes.len(),
                certificate.threshold
            )
        }
        None => format!("round {number}: no result, {}{tries}", round.outcome),
    }
}

/// A round in full.
fn details(round: &RoundSummary) -> Vec<String> {
    let mut lines = vec![line(round)];
    if let Some(task) = &round.task {
        let arrays: Vec<String> =
            task.arrays.iter().map(|array| format!("{} {:?}", array.dtype, array.shape)).collect();
        lines.push(format!("  arrays     {}", arrays.join(", ")));
        lines.extend(task.label.iter().map(|label| format!("  label      {}", label.escape_debug())));
        lines.extend(task.query.iter().map(|query| format!("  query      {query}")));
    }
    for (title, members) in [("survivors", &round.survivors), ("dropped", &round.dropped)] {
        lines.extend(members.iter().map(|member| format!("  {title:<10} {member}")));
    }
    if let Some(certificate) = &round.certificate {
        lines.push(format!("  session    {}", certificate.session));
        lines.push(format!("  root       {}", certificate.root));
    }
    for attempt in &round.attempts {
        let detail = attempt.detail.as_ref().map(|detail| format!(": {}", detail.escape_debug()));
        lines.push(format!(
            "  attempt {}, slot {}, {}: {}{}",
            attempt.attempt,
            attempt.slot,
            attempt.aggregator,
            attempt.outcome,
            detail.unwrap_or_default()
        ));
    }
    lines
}
