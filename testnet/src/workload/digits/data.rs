//! The images, and who has which.

use std::io::Read;

use flate2::read::GzDecoder;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::workload::rng;

/// Pixels of an image, 8 by 8.
pub(super) const PIXELS: usize = 64;
/// The ten digits.
pub(super) const CLASSES: usize = 10;

const COMPRESSED: &[u8] = include_bytes!("../../../data/digits.csv.gz");
const DARKEST: f32 = 16.0;
/// One image in five, of each digit, is kept for the test.
const TEST_PART: usize = 5;
/// Where there are enough images, each node gets as many as this.
const MIN_IMAGES: usize = 8;

/// One handwritten digit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image {
    /// 0 is paper, 1 is ink.
    pub(super) pixels: [f32; PIXELS],
    /// What it shows, 0 to 9.
    pub(super) digit: usize,
}

/// All images of the data set, in the order of its file.
pub(crate) struct Digits {
    images: Vec<Image>,
}

impl Digits {
    /// Unpacks the data set that is part of the binary.
    pub(crate) fn load() -> Self {
        let mut text = String::new();
        let unpacked = GzDecoder::new(COMPRESSED).read_to_string(&mut text);
        let images: Option<Vec<Image>> = text.lines().map(parse).collect();
        // the file was compiled in, and a test reads all of it
        Self { images: unpacked.ok().and(images).expect("the data set in the binary is whole") }
    }
}

/// The images of one node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shard {
    pub(super) images: Vec<Image>,
    /// Index of the node.
    pub(super) node: usize,
}

impl Shard {
    /// Number of images: the weight of this node's update.
    pub(crate) fn weight(&self) -> u64 {
        self.images.len() as u64
    }
}

/// The images dealt out: a test part, and a shard for each node.
#[derive(Debug, PartialEq)]
pub(crate) struct Split {
    shards: Vec<Shard>,
    test: Vec<Image>,
}

impl Split {
    /// Deals the images for this seed and number of nodes. The test part depends on the seed only and has
    /// its share of each digit. The others are dealt by label skew: for each digit, the shares of the nodes
    /// are drawn from a Dirichlet distribution with concentration 1/2 (Hsu, Qi, Brown 2019), so that most
    /// nodes know a few digits well and others hardly. Beyond a thousand nodes shards may be empty.
    pub(crate) fn new(digits: &Digits, seed: u64, nodes: usize) -> Self {
        let mut shards: Vec<Shard> = (0..nodes).map(|node| Shard { images: Vec::new(), node }).collect();
        let mut test = Vec::new();
        for digit in 0..CLASSES {
            let mut of_digit: Vec<Image> =
                digits.images.iter().filter(|image| image.digit == digit).cloned().collect();
            of_digit.shuffle(&mut rng("test", &[seed, digit as u64]));
            let train = of_digit.split_off(of_digit.len() / TEST_PART);
            test.append(&mut of_digit);
            let shares = dirichlet_half(&mut rng("shares", &[seed, nodes as u64, digit as u64]), nodes);
            deal(train, &shares, &mut shards);
        }
        top_up(&mut shards);
        Self { shards, test }
    }

    /// The images of a node.
    pub(crate) fn shard(&self, node: usize) -> &Shard {
        &self.shards[node]
    }

    /// The shards in the order of the nodes.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The images that no node trains with.
    pub(crate) fn test(&self) -> &[Image] {
        &self.test
    }
}

fn parse(line: &str) -> Option<Image> {
    let mut pixels = [0.0; PIXELS];
    let mut numbers = line.split(',').map(|number| number.parse::<u8>().ok());
    for pixel in &mut pixels {
        *pixel = f32::from(numbers.next()??) / DARKEST;
    }
    let digit = usize::from(numbers.next()??);
    (digit < CLASSES && numbers.next().is_none()).then_some(Image { pixels, digit })
}

/// Shares that add up to 1, from the Dirichlet distribution whose parameters are all 1/2: a gamma variable
/// of shape 1/2 is the square of a normal one, up to a scale that the division takes out.
fn dirichlet_half(rng: &mut impl Rng, count: usize) -> Vec<f64> {
    let squares: Vec<f64> = (0..count).map(|_| normal(rng).powi(2)).collect();
    let total: f64 = squares.iter().sum();
    squares.iter().map(|square| square / total).collect()
}

/// Box and Muller's normal variable.
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Hands out the images so that the cumulative numbers are the cumulative shares, rounded.
fn deal(images: Vec<Image>, shares: &[f64], shards: &mut [Shard]) {
    let count = images.len();
    let mut images = images.into_iter();
    let (mut cumulative, mut dealt) = (0.0, 0);
    for (shard, share) in shards.iter_mut().zip(shares) {
        cumulative += share;
        let until = ((cumulative * count as f64).round() as usize).clamp(dealt, count);
        shard.images.extend(images.by_ref().take(until - dealt));
        dealt = until;
    }
    if let Some(last) = shards.last_mut() {
        last.images.extend(images);
    }
}

/// Moves images from the largest shard until none has less than the minimum.
fn top_up(shards: &mut [Shard]) {
    let total: usize = shards.iter().map(|shard| shard.images.len()).sum();
    let minimum = MIN_IMAGES.min(total / shards.len().max(1) / 2);
    while let Some(poor) = shards.iter().position(|shard| shard.images.len() < minimum) {
        let Some(rich) = shards.iter_mut().max_by_key(|shard| shard.images.len()) else { return };
        let moved = rich.images.pop();
        shards[poor].images.extend(moved);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_data_set_is_the_published_one() {
        let digits = Digits::load();
        assert_eq!(digits.images.len(), 1797);
        // number of images of each digit, as the documentation of UCI gives them for this set
        let counts: Vec<usize> = (0..CLASSES)
            .map(|digit| digits.images.iter().filter(|image| image.digit == digit).count())
            .collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let first = &digits.images[0];
        assert_eq!((first.digit, first.pixels[2], first.pixels[3]), (0, 5.0 / 16.0, 13.0 / 16.0));
        assert!(
            digits.images.iter().flat_map(|image| image.pixels).all(|pixel| (0.0..=1.0).contains(&pixel))
        );
    }

    #[test]
    fn every_image_is_dealt_once() {
        let digits = Digits::load();
        for nodes in [3, 8, 100] {
            let split = Split::new(&digits, 1, nodes);
            let dealt = split.shards.iter().flat_map(|shard| &shard.images).chain(&split.test);
            assert_eq!(census(dealt), census(&digits.images), "{nodes} nodes");
        }
    }

    #[test]
    fn shards_are_uneven_skewed_and_never_too_small() {
        let digits = Digits::load();
        for (seed, nodes, least) in [(1, 8, MIN_IMAGES), (2, 8, MIN_IMAGES), (1, 40, MIN_IMAGES), (1, 300, 2)]
        {
            let split = Split::new(&digits, seed, nodes);
            let sizes: Vec<usize> = split.shards.iter().map(|shard| shard.images.len()).collect();
            let (min, max) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(*min >= least && *max >= 2 * min, "{nodes} nodes: {sizes:?}");
        }
        let split = Split::new(&digits, 1, 8);
        for shard in &split.shards {
            let commonest = (0..CLASSES)
                .map(|digit| shard.images.iter().filter(|image| image.digit == digit).count())
                .max()
                .unwrap();
            assert!(commonest * 5 >= shard.images.len(), "node {} has no favourite digit", shard.node);
        }
    }

    #[test]
    fn the_split_follows_from_the_seed_and_the_test_part_from_it_alone() {
        let digits = Digits::load();
        let split = Split::new(&digits, 1, 8);
        assert_eq!(split, Split::new(&digits, 1, 8));
        assert_ne!(split.shards, Split::new(&digits, 2, 8).shards);
        assert_eq!(split.test, Split::new(&digits, 1, 5).test);
        assert_ne!(split.test, Split::new(&digits, 2, 8).test);
        for digit in 0..CLASSES {
            assert!((34..=36).contains(&split.test.iter().filter(|image| image.digit == digit).count()));
        }
    }

    #[test]
    fn more_nodes_than_images_end_in_empty_shards() {
        let split = Split::new(&Digits::load(), 1, 2000);
        assert!(split.shards.iter().any(|shard| shard.weight() == 0));
    }

    fn census<'a>(images: impl IntoIterator<Item = &'a Image>) -> BTreeMap<(usize, Vec<u32>), usize> {
        let mut census = BTreeMap::new();
        for image in images {
            *census.entry((image.digit, image.pixels.map(f32::to_bits).to_vec())).or_default() += 1;
        }
        census
    }
}
