//! A false sum is shown by one block; a true one cannot be.

use std::cell::RefCell;

use super::{five, task};
use crate::{
    array::{Array, Values},
    bulk::ChunkSum,
    contract::Terms,
    encoding::{Chunk, Input, ValidInput},
    evidence::{Accusation, Breach, Crime, Disproof, Evidence, EvidenceError, ShownBlock},
    fault::FaultKind,
    messages::{
        Message,
        advertise_keys::Roster,
        masked_input::{BLOCK_ELEMENTS, chunk_digest, vector_root},
        publish::{Published, Sum},
    },
    report::Outcome,
    roster::{SeenKeys, Session},
    signing::Signed,
    sim::{SequentialHost, Simulation},
};

use std::sync::Arc;

const BLOCKS: u32 = 3;

/// An honest round that one member of the mask set has not survived.
struct Scene {
    session: Session,
    published: Published,
    chunk: Chunk,
    sum: Vec<u8>,
    vectors: Vec<Vec<u8>>,
}

impl Scene {
    fn new() -> Self {
        let consortium = five();
        let length = u64::from(BLOCK_ELEMENTS) * u64::from(BLOCKS) - 5;
        let terms = Terms::new(consortium.manifest.clone(), 2, 0, 0, task(&consortium.manifest, length));
        let terms = Arc::new(terms.unwrap());
        let inputs = consortium.identities.iter().map(|identity| {
            let array = Array::new(vec![length], Values::I64((0..length as i64).collect())).unwrap();
            let spec = &terms.contract().task.spec;
            let input = ValidInput::new(Input { leaves: vec![array], weight: 1 }, spec, terms.layout());
            (identity.clone(), Some(input.unwrap()))
        });
        let lost = terms.order()[4];
        let roster: RefCell<Option<Signed<Roster>>> = RefCell::default();
        let mut host = SequentialHost;
        let report = Simulation::new(terms.clone(), inputs, 1, &mut host)
            .interfere(|envelope| {
                if let Message::Roster(it) = &envelope.message {
                    roster.replace(Some((**it).clone()));
                }
                let silent = matches!(envelope.message, Message::MaskedInput(_)) && envelope.from == lost;
                if silent { Vec::new() } else { vec![envelope] }
            })
            .run();
        let Outcome::Completed { published, .. } = &report.outcomes[&terms.order()[1]] else {
            panic!("it completes")
        };
        let roster = roster.borrow().clone().unwrap();
        let session = Session::new(terms.clone(), &roster, &SeenKeys::default()).unwrap();
        let chunk = terms.layout().chunk(0).unwrap();
        let survivors = &published.certificate.survivors;
        assert!(!survivors.contains(&lost), "one key is rebuilt, too");
        let vectors: Vec<Vec<u8>> = survivors.ids().map(|id| report.vectors[&id][0].clone()).collect();
        let accepted = crate::certificate::AcceptedMaskSet::check(&session, &published.mask_set).unwrap();
        let plan = published.opening.as_ref().unwrap().plan(&session, &accepted, survivors).unwrap();
        let mut sum = ChunkSum::new(chunk);
        vectors.iter().for_each(|vector| sum.add(vector).unwrap());
        let sum = sum.unmask(&plan).unwrap();
        Self { session, published: (**published).clone(), chunk, sum, vectors }
    }

    /// What the aggregator signs in place of the sum.
    fn claiming(&self, sum: &[u8]) -> Published {
        let root = vector_root(&[chunk_digest(&self.chunk, sum)]);
        let aggregator = self.published.sum.signer;
        let identity = five().identities.into_iter().find(|it| it.id() == aggregator).unwrap();
        let body = Sum { root, ..self.published.sum.body };
        Published { sum: Signed::new(body, &identity).unwrap(), ..self.published.clone() }
    }

    fn shown(&self, packed: &[u8], block: u32) -> ShownBlock {
        let chunks = vec![chunk_digest(&self.chunk, packed)];
        ShownBlock::of(chunks, &self.chunk, packed, block).unwrap()
    }

    fn disproof(&self, sum: &[u8], block: u32) -> Disproof {
        let vectors = self.vectors.iter().map(|vector| self.shown(vector, block)).collect();
        Disproof { chunk: 0, block, sum: self.shown(sum, block), vectors }
    }

    fn verdict(&self, published: Published, disproof: Disproof) -> Result<Crime, EvidenceError> {
        let breach = Breach::Sum(Box::new(published), Box::new(disproof));
        let accusation = Accusation::Breach(Box::new(self.session.roster().clone()), Box::new(breach));
        let evidence = Evidence { contract: self.session.terms().contract().clone(), accusation };
        evidence.verify(&five().manifest).map(|proven| proven.crime)
    }
}

#[test]
fn a_false_sum_is_shown_by_the_block_that_differs() {
    let scene = Scene::new();
    let mut claimed = scene.sum.clone();
    *claimed.last_mut().unwrap() ^= 1;
    let found = Disproof::of_chunk(&scene.chunk, &claimed, &scene.sum, |block| {
        let it = scene.disproof(&claimed, block);
        Some((it.sum, it.vectors))
    });
    let disproof = found.expect("it differs");
    assert_eq!((disproof.chunk, disproof.block), (0, BLOCKS - 1));
    assert_eq!(scene.verdict(scene.claiming(&claimed), disproof.clone()), Ok(Crime::FalseSum));
    let breach = Breach::Sum(Box::new(scene.claiming(&claimed)), Box::new(disproof));
    assert_eq!(Evidence::breach(&scene.session, breach).unwrap().accused(), scene.published.sum.signer);
}

#[test]
fn a_true_sum_cannot_be_disproved() {
    let scene = Scene::new();
    assert!(Disproof::of_chunk(&scene.chunk, &scene.sum, &scene.sum, |_| None).is_none());
    for block in 0..BLOCKS {
        let disproof = scene.disproof(&scene.sum, block);
        assert_eq!(scene.verdict(scene.published.clone(), disproof), Err(EvidenceError::Harmless));
    }
    // nor a false one where it is right
    let mut claimed = scene.sum.clone();
    claimed[0] ^= 1;
    assert_eq!(
        scene.verdict(scene.claiming(&claimed), scene.disproof(&claimed, 1)),
        Err(EvidenceError::Harmless)
    );
}

/// Whoever would frame an aggregator has to show what it has not signed.
#[test]
fn what_is_shown_is_what_was_signed() {
    let scene = Scene::new();
    let (published, true_one) = (&scene.published, scene.disproof(&scene.sum, 1));
    let refused = |alter: &dyn Fn(&mut Disproof)| {
        let mut disproof = true_one.clone();
        alter(&mut disproof);
        assert_eq!(scene.verdict(published.clone(), disproof), Err(EvidenceError::Opening));
    };
    refused(&|it| it.vectors[0].packed[0] ^= 1);
    refused(&|it| it.sum.packed[0] ^= 1);
    refused(&|it| it.vectors.swap(0, 1));
    refused(&|it| it.vectors.truncate(2));
    refused(&|it| it.vectors[1].chunks.push([0; 32]));
    refused(&|it| it.vectors[1].blocks.swap(0, 1));
    refused(&|it| it.block = 0);
    refused(&|it| it.block = BLOCKS);
    refused(&|it| it.block = u32::MAX);
    refused(&|it| it.chunk = 1);
    let without = Published { opening: None, ..published.clone() };
    assert_eq!(scene.verdict(without, true_one.clone()), Err(EvidenceError::Opening));
    // the secrets of another round
    let other =
        Published { opening: Some(crate::opening::Opening::made_up(Vec::new())), ..published.clone() };
    assert_eq!(scene.verdict(other, true_one), Err(EvidenceError::Result(FaultKind::Opening)));
}
