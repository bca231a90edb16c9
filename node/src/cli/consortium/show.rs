//! `consort consortium show`: a manifest in plain words.

use std::{collections::BTreeMap, path::PathBuf};

use consort_node::{consortium::Draft, identity::peer_id};
use consort_protocol::{
    election,
    ids::MemberId,
    manifest::{Manifest, ManifestBody, MemberEntry, Policy, Tally, consent},
};

use super::{Failure, println};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  consort consortium show consortium.toml\n  consort consortium show next.toml --round 120\n      who aggregates around round 120"
)]
pub(super) struct Arguments {
    /// The manifest, signed by enough members or not yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show when each member is due in the cycle of this round
    #[arg(long, value_name = "N", default_value_t = 0)]
    round: u64,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let draft = Draft::read(&arguments.file).map_err(Failure::unusable)?;
    let tally = draft.tally().map_err(|source| Failure::unusable(draft.error(&arguments.file, source)))?;
    let facts = Facts::of(&draft, tally, arguments.round)?;
    if arguments.json {
        println(&facts.json().to_string());
    } else {
        facts.lines().iter().for_each(|line| println(line));
    }
    Ok(())
}

/// What a manifest says, and what follows from it.
struct Facts<'a> {
    draft: &'a Draft,
    body: &'a ManifestBody,
    tally: Tally,
    digest: String,
    founding: String,
    threshold: usize,
    survivors: usize,
    /// First round of the cycle in which each member is first in line.
    due: BTreeMap<MemberId, u64>,
}

impl<'a> Facts<'a> {
    fn of(draft: &'a Draft, tally: Tally, round: u64) -> Result<Self, Failure> {
        let body = &draft.last.body;
        let members = body.members.len();
        let digest = draft.last.digest().map_err(Failure::unusable)?;
        let founding = draft.before().map_or(digest, |before| *before.founding());
        let eligible = body.members.iter().filter(|member| member.may_aggregate).count().max(1) as u64;
        let first = round - round % eligible;
        let rounds = first..first.saturating_add(eligible);
        let due =
            rounds.filter_map(|round| Some((*election::order_of(body, round).first()?, round))).collect();
        let threshold = body.threshold(members).map_or(members, |threshold| threshold.get());
        Ok(Self {
            draft,
            body,
            tally,
            digest: hex::encode(digest),
            founding: hex::encode(founding),
            threshold,
            survivors: body.min_survivors(members).unwrap_or(members),
            due,
        })
    }

    /// Members who may vanish once all are on the roster.
    fn may_vanish(&self) -> usize {
        self.body.members.len().saturating_sub(self.threshold.max(self.survivors))
    }

    fn missing(&self) -> Vec<String> {
        let voters = self.draft.previous().map_or(self.body, Manifest::body);
        self.tally.missing.iter().map(|id| voters.name_of(id)).collect()
    }

    fn lines(&self) -> Vec<String> {
        let Self { body, tally, .. } = self;
        let (members, c) = (body.members.len(), body.corrupt());
        let mut lines = vec![
            format!("{}, epoch {}, {members} members", body.name, body.epoch),
            format!("founded as {}, this manifest is {}", short(&self.founding), short(&self.digest)),
            if tally.is_complete() {
                format!("signed by {} of the {} who have to: complete", tally.found, tally.needed)
            } else {
                format!(
                    "NOT TO RUN WITH YET: {} of {} signatures; not signed by {}",
                    tally.found,
                    tally.needed,
                    self.missing().join(", ")
                )
            },
            String::new(),
        ];
        lines.extend(self.changes());
        lines.extend(self.table());
        lines.push(String::new());
        let vanish = match self.may_vanish() {
            0 => format!("nobody of {members} may vanish once a round has begun"),
            some => format!("any {some} of {members} may vanish"),
        };
        let lost = body.members.len() - consent(members);
        let replaced = match lost {
            0 => format!(
                "All {members} have to sign a next epoch. If one loses its identity, the others found the consortium anew."
            ),
            some => format!(
                "A next epoch needs {} signatures of these {members}: up to {some} lost identities are replaced by the others' signatures.",
                consent(members)
            ),
        };
        lines.extend([
            format!("It tolerates: {vanish}; up to {c} may collude, the aggregator among them."),
            format!("A round begins with {} members or more, and a sum has {} inputs or more.", body.min_participants(), self.survivors),
            format!(
                "It does not tolerate: {} lost members (rounds wait or end without a sum), {} colluders (they may learn an input), or wrong inputs.",
                self.may_vanish() + 1, c + 1
            ),
            format!("Colluders know their own inputs, so of the others a sum shows {} or more added up.", self.survivors.saturating_sub(c)),
            replaced,
            String::new(),
            "The rules, as `set` takes them:".to_owned(),
        ]);
        lines.extend(rules(&body.policy).into_iter().map(|(rule, value)| format!("  {rule:<17} {value}")));
        lines
    }

    /// What is different from the epoch before.
    fn changes(&self) -> Vec<String> {
        let Some(before) = self.draft.previous().map(Manifest::body) else { return Vec::new() };
        let names = |these: &ManifestBody, those: &ManifestBody| {
            let new = these.members.iter().filter(|member| !those.contains(&member.id));
            new.map(|member| member.name.clone()).collect::<Vec<_>>().join(", ")
        };
        let (added, removed) = (names(self.body, before), names(before, self.body));
        let mut changes = Vec::new();
        for (what, who) in [("new", added), ("removed", removed)] {
            if !who.is_empty() {
                changes.push(format!("{what}: {who}"));
            }
        }
        for member in &self.body.members {
            let earlier =
                before.members.iter().find(|known| known.id == member.id || known.name == member.name);
            if let Some(earlier) = earlier {
                changes.extend(differences(earlier, member));
            }
        }
        let rules = rules(&before.policy).into_iter().zip(rules(&self.body.policy));
        let changed = rules.filter(|((_, earlier), (_, now))| earlier != now);
        changes.extend(changed.map(|((rule, earlier), (_, now))| format!("{rule}: {earlier} → {now}")));
        if !changes.is_empty() {
            changes.insert(0, format!("Changes since epoch {}:", before.epoch));
            changes.push(String::new());
        }
        changes
    }

    fn table(&self) -> Vec<String> {
        let mut rows = vec![["member", "peer id", "aggregates", "signed", "addresses"].map(str::to_owned)];
        for member in &self.body.members {
            let due = self.due.get(&member.id).map_or("never".into(), |round| format!("round {round}"));
            rows.push([
                member.name.clone(),
                spelled(&member.id),
                due,
                self.signed(&member.id).to_owned(),
                member.addresses.join(" "),
            ]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..4).map(width).collect();
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}  "));
            format!("{}{}", cells.collect::<String>(), row[4]).trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }

    fn signed(&self, id: &MemberId) -> &'static str {
        let voter = self.draft.previous().is_none_or(|before| before.contains(id));
        match (self.draft.last.signatures.contains_key(id), voter) {
            (true, _) => "yes",
            (false, true) => "no",
            (false, false) => "new",
        }
    }

    fn json(&self) -> serde_json::Value {
        let Self { body, tally, .. } = self;
        let member = |member: &MemberEntry| {
            serde_json::json!({
                "name": member.name,
                "peer": spelled(&member.id),
                "addresses": member.addresses,
                "may_aggregate": member.may_aggregate,
                "aggregates_in_round": self.due.get(&member.id),
                "signed": self.draft.last.signatures.contains_key(&member.id),
            })
        };
        serde_json::json!({
            "name": body.name, "epoch": body.epoch, "digest": self.digest, "founding": self.founding,
            "complete": tally.is_complete(), "signatures": tally.found, "signatures_needed": tally.needed,
            "not_signed_by": self.missing(),
            "members": body.members.iter().map(member).collect::<Vec<_>>(),
            "corrupt": body.corrupt(), "threshold": self.threshold, "may_vanish": self.may_vanish(),
            "min_participants": body.min_participants(), "min_survivors": self.survivors,
            "replaceable_identities": body.members.len() - consent(body.members.len()),
            "policy": body.policy,
        })
    }
}

/// What is different about a member: of the same key, or of the same name.
fn differences(earlier: &MemberEntry, now: &MemberEntry) -> Vec<String> {
    let addresses = |entry: &MemberEntry| match entry.addresses.is_empty() {
        true => "none".to_owned(),
        false => entry.addresses.join(" "),
    };
    let facts = |entry: &MemberEntry| {
        let aggregates = if entry.may_aggregate { "yes" } else { "no" };
        [entry.name.clone(), spelled(&entry.id), addresses(entry), aggregates.to_owned()]
    };
    let named = ["name", "KEY", "addresses", "may aggregate"].into_iter().zip(facts(earlier)).zip(facts(now));
    let changed = named.filter(|((_, earlier), now)| earlier != now);
    changed.map(|((what, earlier), to)| format!("{}, {what}: {earlier} → {to}", now.name)).collect()
}

/// Every rule by the name that `set` knows, with what it is.
fn rules(policy: &Policy) -> [(&'static str, String); 12] {
    fn computed<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "default".to_owned(), |value| value.to_string())
    }
    let Policy { corrupt, min_survivors, min_participants, planned_losses, integer_bound, .. } = *policy;
    [
        ("corrupt", computed(corrupt)),
        ("min_survivors", computed(min_survivors)),
        ("min_participants", computed(min_participants)),
        ("planned_losses", computed(planned_losses)),
        ("clip", policy.clip.to_string()),
        ("step", format!("2^{}", policy.step_log2)),
        ("max_weight", policy.max_weight.to_string()),
        ("integer_bound", computed(integer_bound)),
        ("max_vector", policy.max_vector.to_string()),
        ("standby_bytes", policy.standby_bytes.to_string()),
        ("gather", seconds(policy.gather_ms)),
        ("deadlines", seconds(policy.deadline_ms)),
    ]
}

fn spelled(id: &MemberId) -> String {
    peer_id(id).map(|peer| peer.to_string()).unwrap_or_default()
}

fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

fn seconds(milliseconds: u64) -> String {
    format!("{}s", milliseconds as f64 / 1000.0)
}
