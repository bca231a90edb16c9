//! The corpus of a target, and mutations of it that follow from a seed: for tests on every toolchain.

use std::{fs, path::Path};

use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Longest input that is mutated or made up.
const MAX_BYTES: usize = 8 << 10;

/// The committed inputs of one target.
pub struct Corpus {
    inputs: Vec<Vec<u8>>,
}

/// Reads `fuzz/corpus/<target>`; `package` is the caller's `CARGO_MANIFEST_DIR`.
///
/// # Panics
/// Where it is empty or cannot be read: a test without inputs tests nothing.
#[must_use]
pub fn corpus(package: &str, target: &str) -> Corpus {
    let folder = Path::new(package).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a readable file")).collect();
    assert!(!inputs.is_empty(), "{} has no inputs", folder.display());
    Corpus { inputs }
}

impl Corpus {
    /// Runs a target on every input, on `mutations` changed ones, and on as many made up from nothing. An input
    /// that makes it panic is printed in hexadecimal.
    pub fn run(&self, mutations: u64, target: impl Fn(&[u8])) {
        let run = |bytes: &[u8]| {
            let _shown = Shown(bytes);
            target(bytes);
        };
        self.inputs.iter().for_each(|input| run(input));
        for seed in 0..mutations {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            run(&self.mutated(&mut rng));
            run(&made_up(&mut rng));
        }
    }

    fn any(&self, rng: &mut ChaCha20Rng) -> &[u8] {
        self.inputs.get(below(rng, self.inputs.len())).map_or(&[], Vec::as_slice)
    }

    fn mutated(&self, rng: &mut ChaCha20Rng) -> Vec<u8> {
        let mut bytes = self.any(rng).to_vec();
        for _ in 0..=below(rng, 4) {
            let at = below(rng, bytes.len());
            let end = (at + 1 + below(rng, 20)).min(bytes.len());
            match below(rng, 6) {
                0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (rng.next_u32() % 8)),
                1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.next_u32() as u8),
                2 => drop(bytes.drain(at..end)),
                3 => bytes.truncate(at),
                4 => {
                    // an integer of eight bytes: a length, as likely as not
                    let length = [1 << 60, u64::MAX, 900, rng.next_u64()][below(rng, 4)];
                    let marked = [253].into_iter().chain(length.to_le_bytes());
                    drop(bytes.splice(at..(at + 1).min(bytes.len()), marked));
                }
                _ => {
                    let other = self.any(rng);
                    let from = below(rng, other.len());
                    let part = other.iter().copied().skip(from).take(1 + below(rng, 100));
                    drop(bytes.splice(at..at, part));
                }
            }
        }
        bytes.truncate(MAX_BYTES);
        bytes
    }
}

fn made_up(rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut bytes = vec![0; below(rng, 600)];
    rng.fill_bytes(&mut bytes);
    // behind a version byte more than the version is looked at
    if rng.next_u32().is_multiple_of(2) {
        bytes.iter_mut().take(1).for_each(|first| *first = crate::codec::VERSION);
    }
    bytes
}

/// A place below `bound`, or 0 where there is none.
fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    (rng.next_u64() % bound.max(1) as u64) as usize
}

/// Prints the input of a target that panics.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: {}", hex::encode(self.0));
        }
    }
}
