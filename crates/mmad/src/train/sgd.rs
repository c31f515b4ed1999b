//! Gradient descent with momentum, in PyTorch's form: the direction is `momentum` times the last
//! one plus the gradient, and the learning rate multiplies the direction.

use rayon::prelude::*;

/// One step's constants.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    momentum: f32,
    weight_decay: f32,
    learning_rate: f32,
    clip: f32,
}

impl Update {
    /// A step of this rate; gradients are scaled by `clip` before decay is added.
    pub fn new(momentum: f64, weight_decay: f64, learning_rate: f64, clip: f64) -> Self {
        Self {
            momentum: momentum as f32,
            weight_decay: weight_decay as f32,
            learning_rate: learning_rate as f32,
            clip: clip as f32,
        }
    }

    /// Moves `values` and the kept `directions`; all three slices have one length.
    pub fn apply(&self, values: &mut [f32], grad: &[f32], directions: &mut [f32]) {
        const CHUNK: usize = 1 << 14;
        let Self { momentum, weight_decay, learning_rate, clip } = *self;
        let directions = directions.par_chunks_mut(CHUNK);
        let chunks = values.par_chunks_mut(CHUNK).zip(grad.par_chunks(CHUNK)).zip(directions);
        chunks.for_each(|((values, grad), directions)| {
            for ((value, &grad), direction) in values.iter_mut().zip(grad).zip(directions) {
                *direction = momentum * *direction + (grad * clip + weight_decay * *value);
                *value -= learning_rate * *direction;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps by hand: decay joins the gradient, momentum keeps nine tenths.
    #[test]
    fn momentum_and_decay_are_pytorchs() {
        let (mut values, mut directions) = ([2.0_f32], [0.0_f32]);
        let update = Update::new(0.9, 0.1, 0.5, 1.0);
        update.apply(&mut values, &[1.0], &mut directions);
        assert!((directions[0] - 1.2).abs() < 1e-6 && (values[0] - 1.4).abs() < 1e-6);
        update.apply(&mut values, &[0.0], &mut directions);
        assert!((directions[0] - 1.22).abs() < 1e-6 && (values[0] - 0.79).abs() < 1e-6);
    }
}
