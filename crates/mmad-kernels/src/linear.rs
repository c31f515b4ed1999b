//! Linear layer: `y = x wᵀ + bias`.

use crate::matmul::{multiply, multiply_transposed, sum_rows};
use crate::panels::{KeptWeight, PackedWeight, PanelShape, Source, pack, pack_for_keeps};
use crate::partition::expect_len;
use crate::register_tile::Epilogue;
use crate::scratch::Scratch;

/// Sizes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearShape {
    /// Rows of `x` and `y`, one per pixel.
    pub rows: usize,
    /// Values per row of `x`.
    pub inputs: usize,
    /// Values per row of `y`.
    pub outputs: usize,
}

/// Where the gradients go; those that are `None` are not computed. All are overwritten.
#[derive(Debug, Default)]
pub struct LinearGrads<'a> {
    /// `[rows, inputs]`.
    pub x: Option<&'a mut [f32]>,
    /// `[outputs, inputs]`.
    pub weight: Option<&'a mut [f32]>,
    /// `[outputs]`.
    pub bias: Option<&'a mut [f32]>,
}

/// `y = x wᵀ + bias`.
///
/// # Shapes
///
/// - `x`: `[rows, inputs]`
/// - `weight`: `[outputs, inputs]`
/// - `bias`: `[outputs]`
/// - `y`: `[rows, outputs]`
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn forward(shape: LinearShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let LinearShape { rows, inputs, outputs } = shape;
    expect_len("linear", "x", x.len(), rows * inputs);
    expect_len("linear", "weight", weight.len(), outputs * inputs);
    expect_len("linear", "y", y.len(), rows * outputs);
    if let Some(bias) = bias {
        expect_len("linear", "bias", bias.len(), outputs);
    }
    let packed = pack_forward(shape, weight);
    multiply(x, packed.panels(), &Epilogue { bias, ..Epilogue::default() }, y);
}

fn pack_forward(shape: LinearShape, weight: &[f32]) -> PackedWeight<Scratch> {
    let LinearShape { inputs, outputs, .. } = shape;
    pack(panels(inputs, outputs), &source(inputs, weight))
}

fn panels(inputs: usize, outputs: usize) -> PanelShape {
    PanelShape { taps: 1, depth: inputs, outputs }
}

fn source(inputs: usize, weight: &[f32]) -> Source<'_, impl Fn(usize, usize) -> usize + Sync> {
    Source { values: weight, offset: |_, input| input, output_stride: inputs }
}

/// A linear layer whose weight was brought into the kernel's order once, for many calls.
#[derive(Clone, Debug)]
pub struct PackedLinear {
    packed: KeptWeight,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

impl PackedLinear {
    /// Packs `weight`, `[outputs, inputs]`, and keeps `bias`, `[outputs]`.
    ///
    /// # Panics
    ///
    /// When a slice does not have the length of its shape.
    pub fn new(inputs: usize, outputs: usize, weight: &[f32], bias: Option<&[f32]>) -> Self {
        expect_len("linear", "weight", weight.len(), outputs * inputs);
        if let Some(bias) = bias {
            expect_len("linear", "bias", bias.len(), outputs);
        }
        let packed = pack_for_keeps(panels(inputs, outputs), &source(inputs, weight));
        Self { packed, bias: bias.map(<[f32]>::to_vec), inputs, outputs }
    }

    /// Values per row of the result.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `y = x wᵀ + bias + residual`, bit for bit what [`forward`] says plus the residual.
    ///
    /// # Shapes
    ///
    /// - `x`: `[rows, inputs]`
    /// - `residual` and `y`: `[rows, outputs]`
    ///
    /// # Panics
    ///
    /// When a slice does not have the length of its shape.
    pub fn forward(&self, rows: usize, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        expect_len("linear", "x", x.len(), rows * self.inputs);
        expect_len("linear", "y", y.len(), rows * self.outputs);
        if let Some(residual) = residual {
            expect_len("linear", "residual", residual.len(), y.len());
        }
        let epilogue = Epilogue { bias: self.bias.as_deref(), residual, relu: false };
        multiply(x, self.packed.panels(), &epilogue, y);
    }
}

/// Gradients of [`forward`] from `grad_y`, `[rows, outputs]`.
///
/// # Panics
///
/// When a slice does not have the length of its shape.
pub fn backward(
    shape: LinearShape,
    x: &[f32],
    weight: &[f32],
    grad_y: &[f32],
    grads: LinearGrads<'_>,
) {
    let LinearShape { rows, inputs, outputs } = shape;
    expect_len("linear backward", "x", x.len(), rows * inputs);
    expect_len("linear backward", "weight", weight.len(), outputs * inputs);
    expect_len("linear backward", "grad_y", grad_y.len(), rows * outputs);
    if let Some(grad_x) = grads.x {
        expect_len("linear backward", "grads.x", grad_x.len(), rows * inputs);
        let panels = PanelShape { taps: 1, depth: outputs, outputs: inputs };
        let source =
            Source { values: weight, offset: |_, output| output * inputs, output_stride: 1 };
        multiply(grad_y, pack(panels, &source).panels(), &Epilogue::default(), grad_x);
    }
    if let Some(grad_weight) = grads.weight {
        expect_len("linear backward", "grads.weight", grad_weight.len(), outputs * inputs);
        multiply_transposed(grad_y, outputs, x, inputs, rows, grad_weight);
    }
    if let Some(grad_bias) = grads.bias {
        expect_len("linear backward", "grads.bias", grad_bias.len(), outputs);
        sum_rows(grad_y, outputs, grad_bias);
    }
}

/// The definition in plain loops and `f64`. Kept simple: it is what [`forward`] and [`backward`]
/// are tested against.
pub mod reference {
    use super::LinearShape;

    /// `y = x wᵀ + bias`.
    pub fn forward(
        shape: LinearShape,
        x: &[f64],
        weight: &[f64],
        bias: Option<&[f64]>,
    ) -> Vec<f64> {
        let mut y = Vec::with_capacity(shape.rows * shape.outputs);
        for row in 0..shape.rows {
            for output in 0..shape.outputs {
                let mut sum = bias.map_or(0.0, |bias| bias[output]);
                for input in 0..shape.inputs {
                    sum += x[row * shape.inputs + input] * weight[output * shape.inputs + input];
                }
                y.push(sum);
            }
        }
        y
    }

    /// Gradients of `x`, weight and bias.
    pub fn backward(
        shape: LinearShape,
        x: &[f64],
        weight: &[f64],
        grad_y: &[f64],
    ) -> [Vec<f64>; 3] {
        let mut grad_x = vec![0.0; x.len()];
        let mut grad_weight = vec![0.0; weight.len()];
        let mut grad_bias = vec![0.0; shape.outputs];
        for row in 0..shape.rows {
            for output in 0..shape.outputs {
                let grad = grad_y[row * shape.outputs + output];
                grad_bias[output] += grad;
                for input in 0..shape.inputs {
                    let (xi, wi) = (row * shape.inputs + input, output * shape.inputs + input);
                    grad_x[xi] += grad * weight[wi];
                    grad_weight[wi] += grad * x[xi];
                }
            }
        }
        [grad_x, grad_weight, grad_bias]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        assert_close, assert_gradient, assert_same_bits_on_any_threads, values, weighted_sum, widen,
    };

    /// Forward output and the three gradients of the fast layer.
    fn run(shape: LinearShape) -> [Vec<f32>; 4] {
        let LinearShape { rows, inputs, outputs } = shape;
        let [x, weight, bias, grad_y] = inputs_of(shape);
        let mut y = vec![f32::NAN; rows * outputs];
        forward(shape, &x, &weight, Some(&bias), &mut y);
        let mut grad_x = vec![f32::NAN; rows * inputs];
        let mut grad_weight = vec![f32::NAN; outputs * inputs];
        let mut grad_bias = vec![f32::NAN; outputs];
        let grads = LinearGrads {
            x: Some(&mut grad_x),
            weight: Some(&mut grad_weight),
            bias: Some(&mut grad_bias),
        };
        backward(shape, &x, &weight, &grad_y, grads);
        [y, grad_x, grad_weight, grad_bias]
    }

    fn inputs_of(LinearShape { rows, inputs, outputs }: LinearShape) -> [Vec<f32>; 4] {
        [
            values(1, rows * inputs),
            values(2, outputs * inputs),
            values(3, outputs),
            values(4, rows * outputs),
        ]
    }

    fn compare(shape: LinearShape) {
        let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
        let [y, grad_x, grad_weight, grad_bias] = run(shape);
        let slow_y = reference::forward(shape, &x, &weight, Some(&bias));
        let [slow_x, slow_weight, slow_bias] = reference::backward(shape, &x, &weight, &grad_y);
        assert_close("y", &y, &slow_y, shape.inputs, 2e-6);
        assert_close("grad x", &grad_x, &slow_x, shape.outputs, 2e-6);
        assert_close("grad weight", &grad_weight, &slow_weight, shape.rows, 2e-6);
        assert_close("grad bias", &grad_bias, &slow_bias, shape.rows, 2e-6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn equals_the_reference(rows in 1_usize..300, inputs in 1_usize..90, outputs in 1_usize..150) {
            compare(LinearShape { rows, inputs, outputs });
        }
    }

    #[test]
    fn the_reference_has_the_gradients_of_its_forward() {
        let shape = LinearShape { rows: 3, inputs: 4, outputs: 5 };
        let [x, weight, bias, grad_y] = inputs_of(shape).map(|values| widen(&values));
        let loss = |x: &[f64], weight: &[f64], bias: &[f64]| {
            weighted_sum(&grad_y, &reference::forward(shape, x, weight, Some(bias)))
        };
        let [grad_x, grad_weight, grad_bias] = reference::backward(shape, &x, &weight, &grad_y);
        assert_gradient("x", &x, &grad_x, |x| loss(x, &weight, &bias));
        assert_gradient("weight", &weight, &grad_weight, |weight| loss(&x, weight, &bias));
        assert_gradient("bias", &bias, &grad_bias, |bias| loss(&x, &weight, bias));
    }

    #[test]
    fn a_packed_layer_gives_the_same_bits() {
        let shape = LinearShape { rows: 37, inputs: 19, outputs: 71 };
        let [x, weight, bias, residual] = inputs_of(shape);
        let packed = PackedLinear::new(shape.inputs, shape.outputs, &weight, Some(&bias));
        let mut expected = vec![f32::NAN; shape.rows * shape.outputs];
        forward(shape, &x, &weight, Some(&bias), &mut expected);
        let mut y = vec![f32::NAN; expected.len()];
        packed.forward(shape.rows, &x, None, &mut y);
        assert_eq!(y, expected);
        packed.forward(shape.rows, &x, Some(&residual), &mut y);
        for (value, residual) in expected.iter_mut().zip(&residual) {
            *value += residual;
        }
        assert_eq!(y, expected);
    }

    #[test]
    fn empty_sizes_are_fine() {
        for (rows, inputs, outputs) in [(0, 3, 4), (3, 0, 4), (3, 4, 0)] {
            compare(LinearShape { rows, inputs, outputs });
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        assert_same_bits_on_any_threads(|| {
            run(LinearShape { rows: 3001, inputs: 33, outputs: 70 }).concat()
        });
    }
}
