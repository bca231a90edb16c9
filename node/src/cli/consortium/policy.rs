//! The policy's keys as people write them.

use consort_protocol::manifest::Policy;

/// Keys of `set`, in the order in which they are listed to people.
const KEYS: &str = "corrupt, min_survivors, min_participants, planned_losses, clip, step, max_weight, integer_bound, max_vector, standby_bytes, gather, deadlines";

/// The policy as flags.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// How many members may collude, the aggregator included [default: a third]
    #[arg(long, value_name = "C")]
    corrupt: Option<String>,
    /// Fewest inputs in one sum [default: as few as is safe]
    #[arg(long, value_name = "N")]
    min_survivors: Option<String>,
    /// Fewest members that a round begins with [default: as few as is safe]
    #[arg(long, value_name = "N")]
    min_participants: Option<String>,
    /// Floats lie between -CLIP and CLIP [default: 16]
    #[arg(long)]
    clip: Option<String>,
    /// Floats are rounded to multiples of this power of two [default: 2^-16]
    #[arg(long, value_name = "2^K")]
    step: Option<String>,
    /// Largest weight in a weighted mean [default: 1048576]
    #[arg(long, value_name = "W")]
    max_weight: Option<String>,
    /// Most elements in one vector [default: 134217728]
    #[arg(long, value_name = "N")]
    max_vector: Option<String>,
    /// How long a round waits for members without an input, such as 5s or 500ms [default: 5s]
    #[arg(long, value_name = "TIME")]
    gather: Option<String>,
    /// How long a phase waits for members that do not answer [default: 10s]
    #[arg(long, value_name = "TIME")]
    deadlines: Option<String>,
}

impl Flags {
    /// Key and value of each flag that was given.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let flags = [
            ("corrupt", &self.corrupt),
            ("min_survivors", &self.min_survivors),
            ("min_participants", &self.min_participants),
            ("clip", &self.clip),
            ("step", &self.step),
            ("max_weight", &self.max_weight),
            ("max_vector", &self.max_vector),
            ("gather", &self.gather),
            ("deadlines", &self.deadlines),
        ];
        flags.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// Sets one rule. Whether the whole is too weak shows when the manifest is checked.
pub(super) fn set(policy: &mut Policy, key: &str, value: &str) -> Result<(), String> {
    match key {
        "corrupt" => policy.corrupt = computed(value)?,
        "min_survivors" => policy.min_survivors = computed(value)?,
        "min_participants" => policy.min_participants = computed(value)?,
        "planned_losses" => policy.planned_losses = computed(value)?,
        "clip" => policy.clip = number(value)?,
        "step" => policy.step_log2 = step(value)?,
        "max_weight" => policy.max_weight = number(value)?,
        "integer_bound" => policy.integer_bound = computed(value)?,
        "max_vector" => policy.max_vector = number(value)?,
        "standby_bytes" => policy.standby_bytes = number(value)?,
        "gather" => policy.gather_ms = milliseconds(value)?,
        "deadlines" => policy.deadline_ms = milliseconds(value)?,
        _ => return Err(format!("there is no such rule; there are {KEYS}")),
    }
    Ok(())
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{value:?} is not a number that it may be"))
}

fn computed<T: std::str::FromStr>(value: &str) -> Result<Option<T>, String> {
    if value == "default" { Ok(None) } else { number(value).map(Some) }
}

/// `2^-16`, or the same as a decimal number.
fn step(value: &str) -> Result<i8, String> {
    let refused = || format!("{value:?} is not a power of two, such as 2^-16");
    if let Some(exponent) = value.strip_prefix("2^") {
        return exponent.parse().map_err(|_| refused());
    }
    let step: f64 = value.parse().map_err(|_| refused())?;
    (i8::MIN..=i8::MAX).find(|exponent| f64::from(*exponent).exp2() == step).ok_or_else(refused)
}

/// `500ms`, `5s`, `2m` or `1h`; seconds without a unit.
fn milliseconds(value: &str) -> Result<u64, String> {
    let refused = || format!("{value:?} is not a time, such as 500ms, 5s, 2m or 1h");
    let digits = value.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match value.get(digits.len()..).unwrap_or_default() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refused()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Result<Policy, String> {
        let mut policy = Policy::default();
        set(&mut policy, key, value).map(|()| policy)
    }

    #[test]
    fn rules_as_people_write_them() {
        assert_eq!(with("corrupt", "2").unwrap().corrupt, Some(2));
        assert_eq!(with("corrupt", "default").unwrap().corrupt, None);
        assert_eq!(with("step", "2^-20").unwrap().step_log2, -20);
        assert_eq!(with("step", "0.25").unwrap().step_log2, -2);
        for (time, expected) in
            [("500ms", 500), ("5s", 5_000), ("7", 7_000), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(with("gather", time).unwrap().gather_ms, expected, "{time}");
        }
        assert_eq!(with("clip", "2.5").unwrap().clip, 2.5);
    }

    #[test]
    fn what_is_none_is_refused_with_what_may_be() {
        for (key, value, said) in [
            ("clipp", "1", "max_weight"),
            ("corrupt", "-1", "not a number"),
            ("corrupt", "70000", "not a number"),
            ("step", "0.3", "power of two"),
            ("step", "2^x", "power of two"),
            ("gather", "5 parsecs", "500ms"),
            ("deadlines", "s", "500ms"),
            ("deadlines", "99999999999999999999m", "500ms"),
            ("max_vector", "default", "not a number"),
        ] {
            let refused = with(key, value).expect_err(value);
            assert!(refused.contains(said), "{key}={value}: {refused}");
        }
    }
}
