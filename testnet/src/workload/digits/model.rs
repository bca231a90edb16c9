//! Softmax regression: for each digit a weighted sum of the pixels and a bias; the largest wins.

use rand::Rng;
use rand::seq::SliceRandom;

use super::data::{CLASSES, Image, PIXELS};

/// Parameters of the model: for each digit its 64 weights, then the ten biases.
pub(crate) const PARAMETERS: usize = CLASSES * PIXELS + CLASSES;

/// With [five passes a round](super::federated) the shared model gets better for about six rounds, and a
/// change stays below 1 or so, far from the default clip of 16.
const LEARNING_RATE: f32 = 0.2;
const BATCH: usize = 16;

/// The parameters of the shared model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    pub(super) parameters: Vec<f32>,
}

impl Model {
    /// The model that every run begins with: it knows nothing.
    pub(crate) fn zero() -> Self {
        Self { parameters: vec![0.0; PARAMETERS] }
    }

    /// The parameters, little-endian: what the model is known by.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.parameters.iter().flat_map(|parameter| parameter.to_le_bytes()).collect()
    }

    /// The model with these parameters, if there are as many as it has.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks();
        let parameters: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        (rest.is_empty() && parameters.len() == PARAMETERS).then_some(Self { parameters })
    }

    /// The next global model: this one plus the weighted mean of the updates.
    pub(crate) fn apply(&mut self, mean_update: &[f32]) {
        for (parameter, change) in self.parameters.iter_mut().zip(mean_update) {
            *parameter += change;
        }
    }

    /// Mini-batch gradient descent on the cross entropy: `passes` over the images, in random order.
    pub(super) fn train(&mut self, images: &[Image], passes: usize, rng: &mut impl Rng) {
        let mut order: Vec<&Image> = images.iter().collect();
        for _ in 0..passes {
            order.shuffle(rng);
            for batch in order.chunks(BATCH) {
                self.step(batch);
            }
        }
    }

    fn step(&mut self, batch: &[&Image]) {
        let rate = LEARNING_RATE / batch.len() as f32;
        let mut gradient = [0.0; PARAMETERS];
        let (weights, biases) = gradient.split_at_mut(CLASSES * PIXELS);
        for image in batch {
            let probabilities = self.probabilities(image);
            for (digit, (row, bias)) in weights.chunks_mut(PIXELS).zip(&mut *biases).enumerate() {
                let error = probabilities[digit] - f32::from(u8::from(digit == image.digit));
                *bias += error;
                for (weight, pixel) in row.iter_mut().zip(&image.pixels) {
                    *weight += error * pixel;
                }
            }
        }
        for (parameter, slope) in self.parameters.iter_mut().zip(&gradient) {
            *parameter -= rate * slope;
        }
    }

    fn probabilities(&self, image: &Image) -> [f32; CLASSES] {
        let mut scores = self.scores(image);
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for score in &mut scores {
            *score = (*score - largest).exp();
            total += *score;
        }
        scores.map(|score| score / total)
    }

    fn scores(&self, image: &Image) -> [f32; CLASSES] {
        let (weights, biases) = self.parameters.split_at(CLASSES * PIXELS);
        let mut scores = [0.0; CLASSES];
        for ((score, row), bias) in scores.iter_mut().zip(weights.chunks(PIXELS)).zip(biases) {
            *score = bias + row.iter().zip(&image.pixels).map(|(weight, pixel)| weight * pixel).sum::<f32>();
        }
        scores
    }

    fn guess(&self, image: &Image) -> Option<usize> {
        let scores = self.scores(image);
        (0..CLASSES).max_by(|&left, &right| scores[left].total_cmp(&scores[right]))
    }
}

/// The share of the images whose digit the model guesses, 0 to 1.
pub(crate) fn accuracy(model: &Model, images: &[Image]) -> f64 {
    let right = images.iter().filter(|image| model.guess(image) == Some(image.digit)).count();
    right as f64 / images.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_follows_the_gradient_of_the_loss() {
        let images = [image(3, 0.25), image(7, 0.75)];
        let batch: Vec<&Image> = images.iter().collect();
        let mut model = Model::zero();
        model
            .parameters
            .iter_mut()
            .enumerate()
            .for_each(|(at, value)| *value = (at as f32 * 0.7).sin() * 0.1);
        let before = model.clone();
        model.step(&batch);
        for at in [0, 3 * PIXELS + 5, 7 * PIXELS + 63, CLASSES * PIXELS + 3, PARAMETERS - 1] {
            let slope = numeric_slope(&before, &images, at);
            let step = f64::from(model.parameters[at] - before.parameters[at]);
            assert!((step + f64::from(LEARNING_RATE) * slope).abs() < 1e-5, "{at}: {step} against {slope}");
        }
    }

    #[test]
    fn accuracy_counts_right_guesses() {
        let mut model = Model::zero();
        model.parameters[CLASSES * PIXELS + 4] = 1.0;
        assert_eq!(accuracy(&model, &[image(4, 0.5), image(4, 0.1), image(4, 0.9), image(2, 0.5)]), 0.75);
        assert_eq!(accuracy(&model, &[]), 0.0);
    }

    fn image(digit: usize, shade: f32) -> Image {
        let mut pixels = [shade; PIXELS];
        pixels[digit] = 1.0;
        Image { pixels, digit }
    }

    /// Central difference of the mean cross entropy, in f64.
    fn numeric_slope(model: &Model, images: &[Image], at: usize) -> f64 {
        let loss = |shift: f64| -> f64 {
            let parameters: Vec<f64> = (0..)
                .zip(&model.parameters)
                .map(|(index, &value)| f64::from(value) + if index == at { shift } else { 0.0 })
                .collect();
            let entropy = |image: &Image| {
                let score = |digit: usize| -> f64 {
                    let row = &parameters[digit * PIXELS..(digit + 1) * PIXELS];
                    let product =
                        row.iter().zip(image.pixels).map(|(weight, pixel)| weight * f64::from(pixel));
                    product.sum::<f64>() + parameters[CLASSES * PIXELS + digit]
                };
                (0..CLASSES).map(|digit| score(digit).exp()).sum::<f64>().ln() - score(image.digit)
            };
            images.iter().map(entropy).sum::<f64>() / images.len() as f64
        };
        (loss(1e-4) - loss(-1e-4)) / 2e-4
    }
}
