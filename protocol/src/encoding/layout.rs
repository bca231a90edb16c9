//! Where each element of a vector lies: segments of one ring each, cut into chunks.
//!
//! Everything here is computed by formula, so the layout of a vector of any length is as small as its
//! number of arrays.

/// Elements of a chunk, except for the last one of a segment. 32,768 elements are 4096·b bytes when
/// packed: large enough that a hash or a system call a chunk costs nothing, small enough that a few of
/// them in flight fit in a processor's cache.
pub const CHUNK_ELEMENTS: u32 = 1 << 15;

/// A run of elements of one ring: the weight, or one array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Number of elements.
    pub len: u64,
    /// The ring is the integers mod 2^bits; 1 to 64.
    pub bits: u8,
    /// Whether sums lie in ±members·max (two's complement) or in 0..=members·max.
    pub signed: bool,
    /// Largest magnitude of one member's contribution in ring units, the weight included.
    pub max: u64,
    /// Largest magnitude of one value in ring units, before it is multiplied by a weight.
    pub unit: u64,
}

impl Segment {
    /// A segment whose ring holds the sum of `members` values of magnitude `unit`·`max_weight`, or
    /// the bits that this would take (saturated at 128) where it is more than 64.
    pub(super) fn new(
        len: u64,
        signed: bool,
        unit: u64,
        max_weight: u64,
        members: usize,
    ) -> Result<Self, u32> {
        let max = u128::from(unit) * u128::from(max_weight);
        let values = if signed { 2 } else { 1 };
        let largest = max.checked_mul(members as u128).and_then(|sum| sum.checked_mul(values));
        // 2^b must exceed the number of steps between the least and the largest sum
        let needs = largest.map_or(128, |largest| 128 - largest.leading_zeros());
        match (u8::try_from(needs), u64::try_from(max)) {
            (Ok(bits @ 1..=64), Ok(max)) => Ok(Self { len, bits, signed, max, unit }),
            _ => Err(needs),
        }
    }

    fn chunks(&self) -> u32 {
        // at most 2^46 elements, checked by the spec
        self.len.div_ceil(u64::from(CHUNK_ELEMENTS)) as u32
    }
}

/// A run of at most [`CHUNK_ELEMENTS`] elements of one segment: the unit of masking, sending, summing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Position among all chunks of the vector.
    pub index: u32,
    /// Which segment of the layout.
    pub segment: u16,
    /// First element, counted within the segment.
    pub start: u64,
    /// Number of elements; at least 1.
    pub len: u32,
    /// The ring of the segment: integers mod 2^bits.
    pub bits: u8,
}

impl Chunk {
    /// Bytes of this chunk when packed: ⌈len·bits / 8⌉.
    #[must_use]
    pub fn packed_len(&self) -> usize {
        super::packing::packed_len(self.len as usize, self.bits)
    }
}

/// Where the elements of a vector lie. Made by [`VectorSpec::layout`](super::VectorSpec::layout), so it
/// always describes sums that fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    segments: Vec<Segment>,
    /// Number of chunks up to and including each segment.
    chunk_ends: Vec<u32>,
    weighted: bool,
    members: usize,
}

impl Layout {
    pub(super) fn new(segments: Vec<Segment>, weighted: bool, members: usize) -> Self {
        let count_up = |end: &mut u32, segment: &Segment| {
            *end += segment.chunks();
            Some(*end)
        };
        let chunk_ends = segments.iter().scan(0, count_up).collect();
        Self { segments, chunk_ends, weighted, members }
    }

    /// The segments in order: with weights the weight first (one element), then one an array.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Number of members whose sum fits.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members
    }

    /// Elements of all segments, the weight included.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        self.chunk_ends.last().copied().unwrap_or(0)
    }

    /// Chunk `index`, or `None` past the last. Chunks never span segments.
    #[must_use]
    pub fn chunk(&self, index: u32) -> Option<Chunk> {
        let number = self.chunk_ends.partition_point(|&end| end <= index);
        let segment = self.segments.get(number)?;
        let first = self.chunk_ends.get(number)? - segment.chunks();
        let start = u64::from(index - first) * u64::from(CHUNK_ELEMENTS);
        let len = (segment.len - start).min(u64::from(CHUNK_ELEMENTS)) as u32;
        Some(Chunk { index, segment: number as u16, start, len, bits: segment.bits })
    }

    /// All chunks in order, one at a time.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk> + '_ {
        (0..self.chunk_count()).map_while(|index| self.chunk(index))
    }

    /// Bytes of all chunks when packed.
    #[must_use]
    pub fn packed_len(&self) -> u64 {
        // a full chunk is a whole number of bytes, so chunks add no padding but the segment's own
        self.segments.iter().map(|segment| (segment.len * u64::from(segment.bits)).div_ceil(8)).sum()
    }

    /// Where a chunk begins among the bytes of all chunks.
    #[must_use]
    pub fn packed_offset(&self, chunk: &Chunk) -> u64 {
        let before = self.segments.iter().take(usize::from(chunk.segment));
        let segments: u64 = before.map(|segment| (segment.len * u64::from(segment.bits)).div_ceil(8)).sum();
        segments + chunk.start * u64::from(chunk.bits) / 8
    }

    /// Which array a segment holds; `None` for the weight.
    pub(super) fn leaf_of(&self, segment: u16) -> Option<usize> {
        usize::from(segment).checked_sub(usize::from(self.weighted))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CHUNK_ELEMENTS, Chunk, Layout, Segment};

    /// Every element with its segment and ring, in order.
    fn elements(layout: &Layout) -> Vec<(u16, u64, u8)> {
        let segments = layout.segments().iter().enumerate();
        segments
            .flat_map(|(number, segment)| (0..segment.len).map(move |i| (number as u16, i, segment.bits)))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn chunks_are_the_elements_cut_at_segments_and_sizes(
            segments in proptest::collection::vec(
                (prop_oneof![1u64..10, 32_760u64..32_780, 65_530u64..65_540, 98_304u64..=98_304], 1u64..1 << 40),
                1..6,
            ),
        ) {
            let segments =
                segments.iter().map(|&(len, unit)| Segment::new(len, true, unit, 1, 9).unwrap()).collect();
            let layout = Layout::new(segments, false, 9);
            let naive: Vec<Chunk> = elements(&layout)
                .chunk_by(|a, b| a.0 == b.0)
                .flat_map(|segment| segment.chunks(CHUNK_ELEMENTS as usize))
                .enumerate()
                .map(|(index, run)| {
                    let (segment, start, bits) = run[0];
                    Chunk { index: index as u32, segment, start, len: run.len() as u32, bits }
                })
                .collect();
            prop_assert_eq!(layout.chunk_count() as usize, naive.len());
            prop_assert_eq!(layout.chunks().collect::<Vec<_>>(), naive.clone());
            prop_assert_eq!(layout.chunk(naive.len() as u32), None);
            prop_assert_eq!(layout.chunk(u32::MAX), None);
            prop_assert_eq!(layout.packed_len(), naive.iter().map(|chunk| chunk.packed_len() as u64).sum::<u64>());
            prop_assert_eq!(layout.elements(), naive.iter().map(|chunk| u64::from(chunk.len)).sum::<u64>());
        }

        #[test]
        fn bits_are_the_fewest_that_tell_all_sums_apart(
            unit in 1u64.., less in 0u32..64, weight in 1u64..1 << 20, members in 1usize..1000, signed: bool,
        ) {
            let unit = (unit >> less).max(1);
            let largest = u128::from(unit) * u128::from(weight) * members as u128;
            let sums = if signed { 2 * largest + 1 } else { largest + 1 };
            let fewest = (1..128).find(|&b| sums <= 1u128 << b).unwrap();
            match Segment::new(5, signed, unit, weight, members) {
                Ok(segment) => {
                    prop_assert_eq!(u32::from(segment.bits), fewest);
                    prop_assert_eq!(segment.max, unit * weight);
                }
                Err(needs) => {
                    prop_assert!(fewest > 64);
                    prop_assert_eq!(needs, fewest);
                }
            }
        }
    }

    #[test]
    fn a_sum_beyond_any_integer_is_refused() {
        assert_eq!(Segment::new(1, true, u64::MAX, u64::MAX, usize::MAX), Err(128));
    }
}
