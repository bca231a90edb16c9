//! What a simulated attempt came to, for machines and for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use consort_protocol::phase::Phase;
use serde::Serialize;

use crate::table::{BOLD, Cell, DIM, GREEN, Paint, RED, lay_out, size};

/// The JSON of `simulate --json`. Times are computing times in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SimulateReport {
    /// Members, all of them on the roster.
    pub(crate) members: usize,
    /// Elements of each one's vector.
    pub(crate) vector_len: usize,
    /// Members with whom each one shares a mask.
    pub(crate) degree: usize,
    /// Shares that rebuild a secret, and votes that certify the survivors.
    pub(crate) threshold: usize,
    /// Members that vanished after share-keys.
    pub(crate) dropped: usize,
    /// Vectors are masked mod 2 to this power.
    pub(crate) ring_bits: u8,
    /// Whether every survivor stored the plain sum of the survivors, within `error_bound`.
    pub(crate) correct: bool,
    /// The largest difference from the plain sum.
    pub(crate) max_abs_error: f64,
    /// The bound on it that follows from the encoding.
    pub(crate) error_bound: f64,
    /// Threads that worked on vectors.
    pub(crate) threads: usize,
    /// The median of the survivors in each phase.
    pub(crate) member_ms: BTreeMap<Phase, f64>,
    /// The aggregator's, without its work as a member.
    pub(crate) aggregator_ms: BTreeMap<Phase, f64>,
    /// What a member sends in all: its messages and its packed vector, before the transport adds its own.
    pub(crate) bytes_up_per_member: u64,
    /// The largest resident memory of the process, which is all members at once; null where the system
    /// does not tell.
    pub(crate) peak_rss: Option<u64>,
}

impl SimulateReport {
    /// One JSON object, ending with a line break.
    pub(crate) fn json(&self) -> String {
        let rounded = |times: &BTreeMap<Phase, f64>| {
            times.iter().map(|(phase, ms)| (*phase, (ms * 1e3).round() / 1e3)).collect()
        };
        let report = Self {
            member_ms: rounded(&self.member_ms),
            aggregator_ms: rounded(&self.aggregator_ms),
            ..self.clone()
        };
        let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The same for people, ending with a line break.
    pub(crate) fn table(&self, color: bool) -> String {
        let paint = Paint { color };
        let survivors = self.members - self.dropped;
        let mut text = format!(
            "{} members, {} f32 each; everybody masks with everybody; {} vanish after share-keys\n\n",
            grouped(self.members),
            grouped(self.vector_len),
            if self.dropped == 0 { "none".into() } else { grouped(self.dropped) },
        );
        text.push_str(&self.times(paint));
        let threads = if self.threads == 1 { "1 thread".into() } else { format!("{} threads", self.threads) };
        let note = format!(
            "computing time, vectors on {threads}; member: the median of the {} survivors; \
             aggregator: without its work as a member",
            grouped(survivors)
        );
        let _ = writeln!(text, "{}\n", paint.with(DIM, &note));
        text.push_str(&self.facts(paint, survivors));
        text
    }

    fn times(&self, paint: Paint) -> String {
        let heads = [Cell::left("phase"), Cell::right("member ms"), Cell::right("aggregator ms")];
        let mut rows = vec![heads.into_iter().map(|cell| cell.painted(BOLD)).collect::<Vec<_>>()];
        for phase in Phase::ALL {
            let times = [&self.member_ms, &self.aggregator_ms].map(|times| milliseconds(times.get(&phase)));
            rows.push([Cell::left(phase.name())].into_iter().chain(times.map(Cell::right)).collect());
        }
        let totals = [&self.member_ms, &self.aggregator_ms].map(|times| times.values().sum::<f64>());
        let totals = totals.map(|total| Cell::right(milliseconds(Some(&total))).painted(BOLD));
        rows.push([Cell::left("all").painted(BOLD)].into_iter().chain(totals).collect());
        lay_out(&rows, paint)
    }

    fn facts(&self, paint: Paint, survivors: usize) -> String {
        let plain = (self.vector_len as u64).saturating_mul(size_of::<f32>() as u64);
        let ratio = self.bytes_up_per_member as f64 / plain as f64;
        let verdict = if self.correct { paint.with(GREEN, "correct") } else { paint.with(RED, "WRONG") };
        let peak = self.peak_rss.map_or_else(
            || "unknown on this system".into(),
            |peak| format!("{}, all members in one process", size(peak)),
        );
        let facts = [
            (
                "sum",
                format!(
                    "{verdict}, off by at most {:.2e}, the bound is {:.2e}",
                    self.max_abs_error, self.error_bound
                ),
            ),
            ("threshold", format!("{} of {}, and {} survived", self.threshold, self.members, survivors)),
            ("ring", format!("{} bits an element", self.ring_bits)),
            ("sent per member", format!("{}, {ratio:.2} × plain f32", size(self.bytes_up_per_member))),
            ("peak memory", peak),
        ];
        let rows: Vec<Vec<Cell>> =
            facts.into_iter().map(|(label, fact)| vec![Cell::left(label), Cell::left(fact)]).collect();
        lay_out(&rows, paint)
    }
}

fn milliseconds(time: Option<&f64>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{time:.1}"))
}

/// 1234567 as 1,234,567.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SimulateReport {
        let times = |first: f64| Phase::ALL.into_iter().zip((0..).map(|n| first + f64::from(n))).collect();
        SimulateReport {
            members: 100,
            vector_len: 1_234_567,
            degree: 99,
            threshold: 67,
            dropped: 30,
            ring_bits: 28,
            correct: true,
            max_abs_error: 1.5e-4,
            error_bound: 5.25e-4,
            threads: 2,
            member_ms: times(0.123_456),
            aggregator_ms: times(1000.0),
            bytes_up_per_member: 5_432_096,
            peak_rss: Some(3 << 20),
        }
    }

    #[test]
    fn the_table_is_aligned_and_complete() {
        let expected = "\
100 members, 1,234,567 f32 each; everybody masks with everybody; 30 vanish after share-keys

phase              member ms  aggregator ms
advertise-keys           0.1         1000.0
share-keys               1.1         1001.0
masked-input             2.1         1002.0
consistency-check        3.1         1003.0
unmasking                4.1         1004.0
publish                  5.1         1005.0
all                     15.7         6015.0
computing time, vectors on 2 threads; member: the median of the 70 survivors; aggregator: without its work as a member

sum              correct, off by at most 1.50e-4, the bound is 5.25e-4
threshold        67 of 100, and 70 survived
ring             28 bits an element
sent per member  5.2 MiB, 1.10 × plain f32
peak memory      3.0 MiB, all members in one process
";
        assert_eq!(sample().table(false), expected);
    }

    #[test]
    fn what_is_wrong_or_unknown_is_said() {
        let report = SimulateReport { correct: false, peak_rss: None, dropped: 0, threads: 1, ..sample() };
        let table = report.table(true);
        for part in ["\x1b[31mWRONG\x1b[0m", "unknown on this system", "; none vanish", "on 1 thread;"] {
            assert!(table.contains(part), "{part} is missing in {table}");
        }
    }

    #[test]
    fn the_json_has_the_keys_of_the_contract() {
        let json: serde_json::Value = serde_json::from_str(&sample().json()).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys.join(" "),
            "aggregator_ms bytes_up_per_member correct degree dropped error_bound max_abs_error member_ms members \
             peak_rss ring_bits threads threshold vector_len"
        );
        let phases: Vec<&str> = json["member_ms"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            phases.join(" "),
            "advertise-keys consistency-check masked-input publish share-keys unmasking"
        );
        assert_eq!((&json["member_ms"]["advertise-keys"], &json["dropped"]), (&0.123.into(), &30.into()));
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
