//! Does the bulk work on several threads, and takes the time of everybody's work.
//!
//! Members take turns, and everything but work on whole vectors is done by one thread, so the clock on the
//! wall is the time that a member computes. Encoding and decoding of messages count, once for each
//! receiver; the network, its encryption, files and waiting for others do not exist here.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use consort_protocol::{
    bulk::{ChunkSum, mask_chunk},
    encoding::{Chunk, Layout, ValidInput},
    ids::MemberId,
    io::Role,
    masking::MaskPlan,
    phase::Phase,
    sim::{Envelope, Host},
};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::{ThreadPool, prelude::*};

/// Elements that a thread works on at a time: they stay in the first-level cache while mask after mask is
/// added to them, and there are enough of them for all threads even where a vector has few chunks. A
/// multiple of 8, so that each begins at a whole byte of its packed chunk.
const PIECE: u32 = 1 << 12;

/// What was measured. Times in milliseconds.
pub(super) struct Measured {
    /// The median of the survivors in each phase.
    pub(super) member_ms: BTreeMap<Phase, f64>,
    /// The aggregator's, without its work as a member.
    pub(super) aggregator_ms: BTreeMap<Phase, f64>,
    /// Control messages that a member sends to others: the median of the survivors that do not aggregate.
    pub(super) control_bytes: u64,
}

/// Takes the time of everybody's work.
pub(super) struct MeasuringHost {
    pool: ThreadPool,
    began: Instant,
    spent: BTreeMap<(Role, Phase, MemberId), Duration>,
    sent: BTreeMap<MemberId, u64>,
    progress: Progress,
}

impl MeasuringHost {
    /// Works on the threads of the pool; this many vectors are to be masked.
    pub(super) fn new(pool: ThreadPool, vectors: usize) -> Self {
        Self {
            pool,
            began: Instant::now(),
            spent: BTreeMap::new(),
            sent: BTreeMap::new(),
            progress: Progress::new(vectors),
        }
    }

    /// What was measured of these survivors and this aggregator.
    pub(super) fn finish(self, survivors: &BTreeSet<MemberId>, aggregator: MemberId) -> Measured {
        self.progress.bar.finish_and_clear();
        let of = |role, phase, id: &MemberId| {
            let spent = self.spent.get(&(role, phase, *id)).copied().unwrap_or_default();
            spent.as_secs_f64() * 1e3
        };
        let member = |phase| median(survivors.iter().map(|id| of(Role::Member, phase, id)).collect());
        let others = survivors.iter().filter(|id| **id != aggregator);
        let sent = others.map(|id| self.sent.get(id).copied().unwrap_or_default() as f64).collect();
        Measured {
            member_ms: Phase::ALL.map(|phase| (phase, member(phase))).into(),
            aggregator_ms: Phase::ALL.map(|phase| (phase, of(Role::Aggregator, phase, &aggregator))).into(),
            control_bytes: median(sent).round() as u64,
        }
    }

    /// Works on all pieces of all chunks and puts the bytes of each chunk together again. The work is told
    /// the chunk, the piece, and at which byte of the chunk it begins.
    fn by_pieces(
        &self,
        layout: &Layout,
        work: impl Fn(&Chunk, &Chunk, usize) -> Option<Vec<u8>> + Sync,
    ) -> Vec<Vec<u8>> {
        let chunks: Vec<Chunk> = layout.chunks().collect();
        let whole = |chunk: &Chunk| {
            let pieces: Vec<Option<Vec<u8>>> = pieces(chunk)
                .into_par_iter()
                .map(|piece| work(chunk, &piece, first_byte(chunk, &piece)))
                .collect();
            // without one of its pieces a chunk is none, and nobody takes an empty one for it
            let pieces: Option<Vec<Vec<u8>>> = pieces.into_iter().collect();
            pieces.unwrap_or_default().concat()
        };
        self.pool.install(|| chunks.par_iter().map(whole).collect())
    }
}

impl Host for MeasuringHost {
    fn mask(&mut self, input: &ValidInput, plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        self.progress.masked += 1;
        self.by_pieces(layout, |_, piece, _| mask_chunk(input, plan, piece).ok())
    }

    fn sum(&mut self, vectors: &[&[Vec<u8>]], plan: &MaskPlan, layout: &Layout) -> Vec<Vec<u8>> {
        self.by_pieces(layout, |chunk, piece, first| {
            let mut sum = ChunkSum::new(*piece);
            for vector in vectors {
                let packed = vector.get(chunk.index as usize)?;
                sum.add(packed.get(first..first + piece.packed_len())?).ok()?;
            }
            sum.unmask(plan).ok()
        })
    }

    fn begin(&mut self) {
        self.began = Instant::now();
    }

    fn end(&mut self, who: MemberId, role: Role, phase: Phase) {
        *self.spent.entry((role, phase, who)).or_default() += self.began.elapsed();
        self.progress.show(role, phase);
    }

    fn sent(&mut self, envelope: &Envelope, bytes: usize) {
        self.progress.messages += 1;
        if envelope.to != envelope.from {
            *self.sent.entry(envelope.from).or_default() += bytes as u64;
        }
    }
}

/// A line on standard error while the attempt runs, if that is a terminal.
struct Progress {
    bar: ProgressBar,
    messages: u64,
    masked: usize,
    vectors: usize,
}

impl Progress {
    fn new(vectors: usize) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
            bar.set_style(style);
        }
        Self { bar, messages: 0, masked: 0, vectors }
    }

    fn show(&self, role: Role, phase: Phase) {
        if self.bar.is_hidden() || role == Role::Aggregator {
            return;
        }
        self.bar.set_message(match phase {
            Phase::MaskedInput => format!("{phase}: {} of {} vectors masked", self.masked, self.vectors),
            _ => format!("{phase}: {} messages so far", self.messages),
        });
        self.bar.tick();
    }
}

fn pieces(chunk: &Chunk) -> Vec<Chunk> {
    let piece = |first: u32| Chunk {
        start: chunk.start + u64::from(first),
        len: PIECE.min(chunk.len - first),
        ..*chunk
    };
    (0..chunk.len).step_by(PIECE as usize).map(piece).collect()
}

fn first_byte(chunk: &Chunk, piece: &Chunk) -> usize {
    (piece.start - chunk.start) as usize * usize::from(chunk.bits) / 8
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    let lower = if values.len().is_multiple_of(2) { middle.checked_sub(1) } else { None };
    lower.and_then(|lower| values.get(lower)).map_or(upper, |lower| (lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |values: &[f64]| median(values.to_vec());
        assert_eq!(
            [of(&[3.0, 1.0, 2.0]), of(&[4.0, 10.0, 1.0, 2.0]), of(&[5.0]), of(&[])],
            [2.0, 3.0, 5.0, 0.0]
        );
    }

    #[test]
    fn pieces_cover_a_chunk_and_begin_at_whole_bytes() {
        for bits in [1, 7, 28, 61] {
            let chunk = Chunk { index: 3, segment: 0, start: 98_304, len: 2 * PIECE + 5, bits };
            let pieces = pieces(&chunk);
            assert_eq!(pieces.iter().map(|piece| piece.len).collect::<Vec<_>>(), [PIECE, PIECE, 5]);
            let (mut element, mut byte) = (chunk.start, 0);
            for piece in &pieces {
                assert_eq!((piece.start, first_byte(&chunk, piece)), (element, byte));
                element += u64::from(piece.len);
                byte += piece.packed_len();
            }
            assert_eq!(byte, chunk.packed_len());
        }
    }
}
