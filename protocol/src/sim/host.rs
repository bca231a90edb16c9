//! What the simulation leaves to its caller: work on whole vectors, and looking on.

use crate::{
    bulk::{ChunkSum, mask_chunk},
    encoding::{Chunk, Layout, ValidInput},
    ids::MemberId,
    io::Role,
    masking::MaskPlan,
    phase::Phase,
};

use super::report::Envelope;

/// What the simulation leaves to its caller: work on vectors, and looking on.
pub trait Host {
    /// All chunks of a masked vector in order, packed.
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>>;
    /// All chunks of the unmasked sum in order, packed. `vectors` has the chunks of each survivor.
    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>>;
    /// Work of a node begins. Pieces of work never overlap; one that does not end came to nothing.
    fn begin(&mut self) {}
    /// It ends; it was done by this node in this role. The phase is the one in which the work left the
    /// node: what makes it enter a phase counts as part of that phase. Encoding and decoding messages is
    /// work too, once for each receiver.
    fn end(&mut self, _who: MemberId, _role: Role, _phase: Phase) {}
    /// A message of so many bytes leaves a node.
    fn sent(&mut self, _envelope: &Envelope, _bytes: usize) {}
}

/// Works on one chunk after the other.
#[derive(Default)]
pub struct SequentialHost;

impl Host for SequentialHost {
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        layout.chunks().map(|chunk| mask_chunk(input, plan, &chunk).unwrap_or_default()).collect()
    }

    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        let sum = |chunk: Chunk| {
            let mut sum = ChunkSum::new(chunk);
            for vector in vectors {
                sum.add(vector.get(chunk.index as usize)?).ok()?;
            }
            sum.unmask(plan).ok()
        };
        layout.chunks().map(|chunk| sum(chunk).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        array::{Array, Dtype, Values},
        contract::{Task, Terms, spec_for},
        encoding::{Input, Reduction},
        manifest::Policy,
        sim::{Simulation, consortium},
    };

    /// Counts pieces of work.
    #[derive(Default)]
    struct Counting(BTreeMap<(Role, Phase), usize>);

    impl Host for Counting {
        fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
            SequentialHost.mask(input, plan, layout)
        }

        fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
            SequentialHost.sum(vectors, plan, layout)
        }

        fn end(&mut self, _who: MemberId, role: Role, phase: Phase) {
            *self.0.entry((role, phase)).or_default() += 1;
        }
    }

    #[test]
    fn work_belongs_to_the_phase_that_it_leads_to() {
        const MEMBERS: usize = 4;
        let consortium = consortium(MEMBERS, Policy::default(), 3).unwrap();
        let spec = spec_for(&consortium.manifest, [(vec![2], Dtype::I64)], Reduction::Sum, None);
        let task = Task { label: None, query: [0; 32], spec };
        let terms = Arc::new(Terms::new(consortium.manifest.clone(), 0, 0, 0, task).unwrap());
        let node = |identity: &Arc<crate::signing::Identity>| {
            let array = Array::new(vec![2], Values::I64(vec![1, 2])).unwrap();
            let input = Input { leaves: vec![array], weight: 1 };
            let valid = ValidInput::new(input, &terms.contract().task.spec, terms.layout()).unwrap();
            (identity.clone(), Some(valid))
        };
        let mut host = Counting::default();
        let report =
            Simulation::new(terms.clone(), consortium.identities.iter().map(node), 1, &mut host).run();
        assert_eq!(report.aggregates.len(), MEMBERS);
        // each member accepts the result, fetches it, stores it, and encodes its acknowledgement; the standby adds
        // up for itself, and says so
        assert_eq!(host.0[&(Role::Member, Phase::Publish)], 4 * MEMBERS + 2);
    }
}
