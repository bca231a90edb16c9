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

    /// Which array a segment holds; `None` for the weight.
    pub(super) fn leaf_of(&self, segment: u16) -> Option<usize> {
        usize::from(segment).checked_sub(usize::from(self.weighted))
    }
}
