//! What the aggregator receives looks random as long as one kind of mask is on it, and only then.

use consort_protocol::{
    array::{Array, Values},
    bulk::mask_chunk,
    encoding::{CHUNK_ELEMENTS, Chunk, Input, ValidInput},
    ids::MemberId,
    masking::{MaskPlan, MaskSeed, Sign, pairwise_mask_seed, self_mask_seed},
    sharing::{Lagrange, RecoveredSecret},
};

use crate::world::World;

/// Sum of squared deviations from equal frequencies of all byte values, over the frequency. For random
/// bytes it follows a χ² distribution with 255 degrees of freedom: mean 255, standard deviation 22.6.
fn chi_square(bytes: impl IntoIterator<Item = u8>) -> f64 {
    let mut counts = [0u32; 256];
    bytes.into_iter().for_each(|byte| counts[usize::from(byte)] += 1);
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

/// Each byte alone, and against the one eight bytes before, which is the same byte of the last element.
fn looks_random(packed: &[u8]) -> bool {
    let differences = packed.iter().zip(&packed[8..]).map(|(left, right)| left.wrapping_sub(*right));
    // six standard deviations, either way
    let fits = |statistic: f64| (120.0..390.0).contains(&statistic);
    fits(chi_square(packed.iter().copied())) && fits(chi_square(differences))
}

struct Target {
    world: World,
    id: MemberId,
    chunk: Chunk,
}

/// Six of eight work together, so that the test can rebuild the target's secrets and see what each is
/// good for.
fn target() -> Target {
    let world = World::with(8, 6, u64::from(CHUNK_ELEMENTS), Default::default()).shared().masked();
    let chunk = world.terms.layout().chunk(0).unwrap();
    assert_eq!(chunk.bits, 64, "bytes of packed elements are whole");
    Target { id: world.victim(), world, chunk }
}

impl Target {
    /// The vector of somebody who has nothing but zeros.
    fn vector(&self) -> Vec<u8> {
        let zeros = Array::new(vec![self.chunk.len.into()], Values::I64(vec![0; self.chunk.len as usize]));
        let input = Input { leaves: vec![zeros.unwrap()], weight: 1 };
        let input = ValidInput::new(input, &self.world.terms.contract().task.spec, self.world.terms.layout())
            .unwrap();
        mask_chunk(&input, &self.world.plans[&self.id], &self.chunk).unwrap()
    }

    fn rebuild(&self, self_mask: bool) -> RecoveredSecret {
        let session = self.world.session();
        let (mut indices, mut shares) = (Vec::new(), Vec::new());
        for (id, puppet) in &self.world.puppets {
            let held = &puppet.held[&self.id];
            indices.push(session.share_index(id).unwrap());
            shares.push(if self_mask { &held.self_mask } else { &held.mask_key });
        }
        let commitments = &self.world.commitments[&self.id];
        let participant = session.participant(&self.id).unwrap();
        let (commitments, advertised) = if self_mask {
            (&commitments.self_mask, participant.self_mask)
        } else {
            (&commitments.mask_key, participant.mask_key.point())
        };
        let verifier = commitments.verifier(session.threshold(), &advertised).unwrap();
        Lagrange::new(&indices).unwrap().combine(&shares).unwrap().check(&verifier).ok().unwrap()
    }

    fn self_mask(&self) -> Vec<(Sign, MaskSeed)> {
        let secret = self.rebuild(true).into_self_mask();
        vec![(Sign::Subtract, self_mask_seed(&secret, &self.world.session().id()))]
    }

    fn pairwise_masks(&self) -> Vec<(Sign, MaskSeed)> {
        let session = self.world.session();
        let key = self.rebuild(false).into_mask_key();
        let mine = session.participant(&self.id).unwrap();
        let others = session.participants().iter().filter(|other| other.id != self.id);
        others
            .map(|other| {
                let shared = key.diffie_hellman(&other.mask_key).unwrap();
                let pair = ((self.id, &mine.mask_key), (other.id, &other.mask_key));
                let seed = pairwise_mask_seed(&shared, &session.id(), pair.0, pair.1);
                (Sign::for_pair(&self.id, &other.id).inverse(), seed)
            })
            .collect()
    }

    /// The vector with these masks taken off.
    fn without(&self, masks: Vec<(Sign, MaskSeed)>) -> Vec<u8> {
        let mut words: Vec<u64> =
            self.vector().as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        MaskPlan::new(masks).apply(&self.chunk, &mut words).unwrap();
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

#[test]
fn a_masked_vector_of_zeros_looks_random() {
    assert!(looks_random(&target().vector()));
}

#[test]
fn either_kind_of_mask_hides_alone_and_without_both_nothing_does() {
    let target = target();
    assert!(looks_random(&target.without(target.self_mask())), "only pairwise masks are left");
    assert!(looks_random(&target.without(target.pairwise_masks())), "only the self mask is left");
    let both: Vec<_> = target.self_mask().into_iter().chain(target.pairwise_masks()).collect();
    let bare = target.without(both);
    assert!(!looks_random(&bare));
    assert!(bare.iter().all(|byte| *byte == 0), "it is the input");
}

/// All who were lost have their keys rebuilt: what one survivor alone put on for their sake comes off, the
/// other honest member's mask and its own stay.
#[test]
fn rebuilt_keys_of_the_lost_leave_the_self_mask() {
    let target = target();
    let session = target.world.session();
    let mine = session.participant(&target.id).unwrap();
    let masks = |puppet: &crate::puppet::Puppet| {
        let public = puppet.mask_key.public();
        let shared = puppet.mask_key.diffie_hellman(&mine.mask_key).unwrap();
        let pair = ((puppet.id(), &public), (target.id, &mine.mask_key));
        let seed = pairwise_mask_seed(&shared, &session.id(), pair.0, pair.1);
        (Sign::for_pair(&target.id, &puppet.id()).inverse(), seed)
    };
    let known: Vec<_> = target.world.puppets.values().map(masks).collect();
    assert_eq!(known.len(), 6);
    assert!(looks_random(&target.without(known)));
    let known = target.world.puppets.values().map(masks).chain(target.self_mask());
    assert!(looks_random(&target.without(known.collect())), "one honest neighbour is enough");
}

/// Two members with the same input, and one member in two sessions, send different vectors.
#[test]
fn equal_inputs_give_unlike_vectors() {
    let target = target();
    let other = Target { id: *target.world.honest.keys().last().unwrap(), ..self::target() };
    assert_ne!(target.id, other.id);
    let pairs = target.vector().into_iter().zip(other.vector());
    let differences: Vec<u8> = pairs.map(|(left, right)| left.wrapping_sub(right)).collect();
    assert!(looks_random(&differences));
}

/// The test itself can fail: counters, text and a stuck bit do not look random.
#[test]
fn what_is_not_random_does_not_look_so() {
    let length = 8 * CHUNK_ELEMENTS as usize;
    let counter: Vec<u8> = (0..length as u64 / 8).flat_map(u64::to_le_bytes).collect();
    assert!(!looks_random(&counter));
    let vector = target().vector();
    let clear = |(at, byte): (usize, &u8)| if at % 8 == 7 { byte & 0x7f } else { *byte };
    let stuck: Vec<u8> = vector.iter().enumerate().map(clear).collect();
    assert!(!looks_random(&stuck));
    let repeated: Vec<u8> = vector[..8].iter().copied().cycle().take(length).collect();
    assert!(!looks_random(&repeated));
}
