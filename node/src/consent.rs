//! What this node consents to: the section `[consent]` of `config.toml`. It is asked before any key is made, and
//! nobody else decides it. Unset, everything is allowed that the manifest allows; the guard holds always.

pub(crate) mod spent;

use consort_protocol::{
    contract::{Task, Terms},
    encoding::{Encoding, Reduction},
    guard::MIN_MARGIN,
    hash::Digest,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What a round contract has to satisfy on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consent {
    /// The least survivors of any sum that the contract allows; a round of which fewer might be summed is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_survivors: Option<u16>,
    /// Most elements of a vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_vector: Option<u64>,
    /// How values may be encoded; all ways where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encodings: Option<Vec<Encodes>>,
    /// What may become of the inputs; anything where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reductions: Option<Vec<Reduces>>,
    /// What inputs may be for; anything where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purposes: Option<Vec<Purpose>>,
    /// Most rounds, within 24 hours, in which the input gets as far as a roster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds_per_day: Option<u32>,
    /// Whether this node aggregates when it is its turn.
    pub aggregate: bool,
    /// m of the differencing guard: two sums of one label's data differ by nobody, or by c + m members at least.
    #[serde(deserialize_with = "margin")]
    pub differ_by: u16,
}

/// An encoding by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encodes {
    /// Integers, summed exactly.
    Integer,
    /// Floats in fixed point.
    Fixed,
}

/// A reduction by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduces {
    /// The sum.
    Sum,
    /// The mean of the survivors.
    Mean,
    /// The mean weighted by each member's weight.
    WeightedMean,
}

/// What a task is for, as the contract says it: its label and its query. What is not named here may be anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// The label, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// SHA-256 of the model or question, in 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hexadecimal")]
    pub query: Option<Digest>,
}

/// What a contract has against it on this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoConsent {
    /// Too few might survive.
    #[error(
        "sums of {least} members are allowed by the manifest, this node asks for {wanted} (consent.min_survivors)"
    )]
    Survivors {
        /// The least that the contract allows.
        least: usize,
        /// What is asked for.
        wanted: u16,
    },
    /// The vector is too long.
    #[error("the vector has {found} elements, this node allows {most} (consent.max_vector)")]
    Vector {
        /// Elements.
        found: u64,
        /// The most that are allowed.
        most: u64,
    },
    /// An array is encoded in another way.
    #[error("array {array} is encoded as {found}, which this node does not allow (consent.encodings)")]
    Encoding {
        /// The array, counted from 0.
        array: usize,
        /// Its encoding.
        found: &'static str,
    },
    /// Something else becomes of the inputs.
    #[error("the {found} is asked for, which this node does not allow (consent.reductions)")]
    Reduction {
        /// What is asked for.
        found: &'static str,
    },
    /// For another purpose.
    #[error("its label and query are none of the purposes that this node allows (consent.purposes)")]
    Purpose,
    /// Enough for today.
    #[error(
        "its rounds of the last 24 hours are used up, {0} are allowed on this node (consent.rounds_per_day)"
    )]
    Rounds(u32),
    /// Too many labels are guarded.
    #[error(
        "sums of {0} labels are guarded, and none is forgotten: use one of those labels, or another home"
    )]
    Labels(usize),
}

impl Default for Consent {
    fn default() -> Self {
        Self {
            min_survivors: None,
            max_vector: None,
            encodings: None,
            reductions: None,
            purposes: None,
            rounds_per_day: None,
            aggregate: true,
            differ_by: MIN_MARGIN,
        }
    }
}

impl Consent {
    /// Whether rounds on these terms are allowed; how many there may be in a day is another question.
    ///
    /// # Errors
    /// [`NoConsent`] names the first rule that the terms break.
    pub fn check(&self, terms: &Terms) -> Result<(), NoConsent> {
        let (manifest, task) = (terms.manifest(), &terms.contract().task);
        // more on the roster may only mean more survivors
        let least = manifest.min_survivors(manifest.min_participants()).unwrap_or_default();
        if let Some(wanted) = self.min_survivors.filter(|wanted| least < usize::from(*wanted)) {
            return Err(NoConsent::Survivors { least, wanted });
        }
        let found = terms.layout().elements();
        if let Some(most) = self.max_vector.filter(|most| found > *most) {
            return Err(NoConsent::Vector { found, most });
        }
        if let Some(allowed) = &self.encodings {
            for (array, leaf) in task.spec.leaves.iter().enumerate() {
                let (encodes, found) = match leaf.encoding {
                    Encoding::Integer { .. } => (Encodes::Integer, "integer"),
                    Encoding::Fixed { .. } => (Encodes::Fixed, "fixed"),
                };
                if !allowed.contains(&encodes) {
                    return Err(NoConsent::Encoding { array, found });
                }
            }
        }
        let (reduces, found) = match task.spec.reduction {
            Reduction::Sum => (Reduces::Sum, "sum"),
            Reduction::Mean => (Reduces::Mean, "mean"),
            Reduction::WeightedMean { .. } => (Reduces::WeightedMean, "weighted mean"),
        };
        if self.reductions.as_ref().is_some_and(|allowed| !allowed.contains(&reduces)) {
            return Err(NoConsent::Reduction { found });
        }
        if self.purposes.as_ref().is_some_and(|allowed| !allowed.iter().any(|purpose| purpose.is_of(task))) {
            return Err(NoConsent::Purpose);
        }
        Ok(())
    }
}

impl Purpose {
    fn is_of(&self, task: &Task) -> bool {
        self.label.as_ref().is_none_or(|label| task.label.as_ref() == Some(label))
            && self.query.is_none_or(|query| task.query == query)
    }
}

fn margin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let margin = u16::deserialize(deserializer)?;
    if margin >= MIN_MARGIN {
        return Ok(margin);
    }
    Err(D::Error::custom(format!(
        "differ_by is {margin}, the least is {MIN_MARGIN}: with fewer the difference of two sums shows one member's input"
    )))
}

/// 64 hexadecimal digits.
mod hexadecimal {
    use super::*;

    pub(super) fn serialize<S: Serializer>(query: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
        query.map(hex::encode).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Digest>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut query = Digest::default();
        hex::decode_to_slice(&text, &mut query)
            .map_err(|_| D::Error::custom("query is not a SHA-256 in 64 hexadecimal digits"))?;
        Ok(Some(query))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use consort_protocol::{
        array::Dtype,
        contract::spec_for,
        manifest::Policy,
        sim::{Consortium, consortium},
    };

    use super::*;

    fn terms(consortium: &Consortium, dtype: Dtype, reduction: Reduction, label: Option<&str>) -> Terms {
        let spec =
            spec_for(&consortium.manifest, [(vec![10], Dtype::I64), (vec![7], dtype)], reduction, None);
        let task = Task { label: label.map(str::to_owned), query: [7; 32], spec };
        Terms::new(Arc::clone(&consortium.manifest), 0, 0, 0, task).unwrap()
    }

    fn consent(text: &str) -> Consent {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn without_rules_everything_is_allowed() {
        let consortium = consortium(8, Policy::default(), 1).unwrap();
        assert_eq!(consent(""), Consent::default());
        let terms = terms(&consortium, Dtype::F32, Reduction::WeightedMean { max_weight: 9 }, None);
        assert_eq!(Consent::default().check(&terms), Ok(()));
    }

    #[test]
    fn every_rule_refuses_what_it_is_for_and_nothing_else() {
        let consortium = consortium(8, Policy::default(), 1).unwrap();
        let of = |dtype, reduction, label| terms(&consortium, dtype, reduction, label);
        let floats = of(Dtype::F32, Reduction::Mean, Some("wards"));
        let integers = of(Dtype::I64, Reduction::Sum, Some("wards"));
        let unlabelled = of(Dtype::F32, Reduction::Mean, None);
        let weighted = of(Dtype::F32, Reduction::WeightedMean { max_weight: 9 }, Some("wards"));
        let query = "07".repeat(32);
        let cases = [
            // of 8 members 6 are enough, on a roster and in a sum
            ("min_survivors = 6", &floats, Ok(())),
            ("min_survivors = 7", &floats, Err(NoConsent::Survivors { least: 6, wanted: 7 })),
            ("max_vector = 17", &floats, Ok(())),
            ("max_vector = 16", &floats, Err(NoConsent::Vector { found: 17, most: 16 })),
            ("encodings = [\"integer\"]", &integers, Ok(())),
            ("encodings = [\"integer\"]", &floats, Err(NoConsent::Encoding { array: 1, found: "fixed" })),
            ("encodings = [\"fixed\"]", &floats, Err(NoConsent::Encoding { array: 0, found: "integer" })),
            ("encodings = [\"fixed\", \"integer\"]", &floats, Ok(())),
            ("reductions = [\"mean\", \"weighted-mean\"]", &weighted, Ok(())),
            ("reductions = [\"mean\", \"weighted-mean\"]", &floats, Ok(())),
            ("reductions = [\"mean\"]", &integers, Err(NoConsent::Reduction { found: "sum" })),
            ("reductions = [\"sum\"]", &weighted, Err(NoConsent::Reduction { found: "weighted mean" })),
            ("purposes = []", &floats, Err(NoConsent::Purpose)),
            ("purposes = [{}]", &unlabelled, Ok(())),
            ("purposes = [{ label = \"beds\" }, { label = \"wards\" }]", &floats, Ok(())),
            ("purposes = [{ label = \"beds\" }]", &floats, Err(NoConsent::Purpose)),
            ("purposes = [{ label = \"wards\" }]", &unlabelled, Err(NoConsent::Purpose)),
            (&format!("purposes = [{{ query = \"{query}\" }}]"), &unlabelled, Ok(())),
            (
                &format!("purposes = [{{ label = \"beds\", query = \"{query}\" }}]"),
                &floats,
                Err(NoConsent::Purpose),
            ),
            (
                &format!("purposes = [{{ query = \"{}\" }}]", "08".repeat(32)),
                &floats,
                Err(NoConsent::Purpose),
            ),
        ];
        for (text, terms, expected) in cases {
            assert_eq!(consent(text).check(terms), expected, "{text}");
        }
    }

    #[test]
    fn rules_that_cannot_be_are_refused_in_words() {
        for (text, words) in [
            ("differ_by = 1", "the least is 2"),
            ("purposes = [{ query = \"07\" }]", "64 hexadecimal digits"),
            ("encodings = [\"float\"]", "integer"),
            ("rounds_a_day = 3", "rounds_per_day"),
        ] {
            let error = toml::from_str::<Consent>(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_set_survives_being_written() {
        let set = consent(
            "min_survivors = 6\npurposes = [{ label = \"a\" }, {}]\nencodings = [\"integer\"]\naggregate = false\ndiffer_by = 3",
        );
        assert_eq!(consent(&toml::to_string(&set).unwrap()), set);
    }
}
