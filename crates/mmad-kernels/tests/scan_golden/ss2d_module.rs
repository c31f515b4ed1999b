//! What surrounds the scan in the SS2D module, in plain 64-bit loops: projections, depthwise
//! convolution, gate and norm.

use crate::Golden;

/// Weights around the scan.
pub(crate) struct Module {
    width: usize,
    size: usize,
    in_proj: Vec<f64>,
    conv: Vec<f64>,
    conv_bias: Vec<f64>,
    x_proj: Vec<f64>,
    norm: Vec<f64>,
    norm_bias: Vec<f64>,
    out_proj: Vec<f64>,
}

/// What stands before the scan.
pub(crate) struct Before {
    /// Convolution output before `SiLU`, `[B, L, D]`
    convolved: Vec<f64>,
    /// Gate before `SiLU`, `[B, L, D]`
    gate: Vec<f64>,
    /// Scan input, `[B, L, D]`
    pub(crate) u: Vec<f64>,
    /// `[B, L, K(R + 2N)]`
    pub(crate) projected: Vec<f64>,
}

/// What stands after the scan.
pub(crate) struct After {
    /// Scan output without mean and spread, `[B, L, D]`
    normal: Vec<f64>,
    /// One over the spread, `[B, L]`
    inverse_spread: Vec<f64>,
    /// `[B, L, d]`
    pub(crate) output: Vec<f64>,
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn silu_slope(x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    sigmoid * (1.0 + x * (1.0 - sigmoid))
}

/// `x` (`[rows, columns]`) times the transpose of `weight` (`[out, columns]`).
fn linear(x: &[f64], weight: &[f64], columns: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
    x.chunks(columns).flat_map(|x| weight.chunks(columns).map(move |w| dot(x, w))).collect()
}

/// `grad` (`[rows, out]`) times `weight` (`[out, columns]`).
fn linear_back(grad: &[f64], weight: &[f64], columns: usize) -> Vec<f64> {
    let out = weight.len() / columns;
    let mut back = Vec::new();
    for grad in grad.chunks(out) {
        let of_row = |c: usize| (0..out).map(|o| grad[o] * weight[o * columns + c]).sum::<f64>();
        back.extend((0..columns).map(of_row));
    }
    back
}

/// The sum over rows of `grad[row] ⊗ x[row]`: the gradient of a projection's weight.
pub(crate) fn sum_outer(grad: &[f64], out: usize, x: &[f64], columns: usize) -> Vec<f64> {
    let mut sum = vec![0.0; out * columns];
    for (grad, x) in grad.chunks(out).zip(x.chunks(columns)) {
        for (sum, g) in sum.chunks_mut(columns).zip(grad) {
            for (sum, x) in sum.iter_mut().zip(x) {
                *sum += g * x;
            }
        }
    }
    sum
}

impl Module {
    pub(crate) fn read(golden: &Golden) -> Self {
        let weight = |name: &str| golden.f64(&format!("weight.{name}"));
        Self {
            width: 2 * golden.shape("input")[3],
            size: golden.shape("input")[1],
            in_proj: weight("in_proj.weight"),
            conv: weight("conv2d.weight"),
            conv_bias: weight("conv2d.bias"),
            x_proj: weight("x_proj_weight"),
            norm: weight("out_norm.weight"),
            norm_bias: weight("out_norm.bias"),
            out_proj: weight("out_proj.weight"),
        }
    }

    /// Projection, depthwise 3x3 convolution, `SiLU`, and the projection to `dt_r | B | C`.
    pub(crate) fn before_scan(&self, input: &[f64]) -> Before {
        let (width, size) = (self.width, self.size);
        let both = linear(input, &self.in_proj, width / 2);
        let (x, gate): (Vec<_>, Vec<_>) =
            both.chunks(2 * width).map(|row| row.split_at(width)).unzip();
        let (x, gate) = (x.concat(), gate.concat());
        let mut convolved = Vec::with_capacity(x.len());
        for picture in x.chunks(size * size * width) {
            for (row, column) in (0..size).flat_map(|r| (0..size).map(move |c| (r, c))) {
                for channel in 0..width {
                    let mut sum = self.conv_bias[channel];
                    for (i, w) in self.conv[channel * 9..][..9].iter().enumerate() {
                        let (r, c) = (row + i / 3, column + i % 3);
                        if (1..=size).contains(&r) && (1..=size).contains(&c) {
                            sum += w * picture[((r - 1) * size + c - 1) * width + channel];
                        }
                    }
                    convolved.push(sum);
                }
            }
        }
        let u: Vec<f64> = convolved.iter().map(|&x| silu(x)).collect();
        let projected = linear(&u, &self.x_proj, width);
        Before { convolved, gate, u, projected }
    }

    /// Layer norm, gate, and projection.
    pub(crate) fn after_scan(&self, y: &[f64], before: &Before) -> After {
        let width = self.width as f64;
        let mut after = After { normal: vec![], inverse_spread: vec![], output: vec![] };
        for y in y.chunks(self.width) {
            let mean = y.iter().sum::<f64>() / width;
            let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / width;
            let inverse = 1.0 / (variance + 1e-5).sqrt();
            after.inverse_spread.push(inverse);
            after.normal.extend(y.iter().map(|y| (y - mean) * inverse));
        }
        let gated: Vec<f64> = (0..y.len())
            .map(|i| {
                let channel = i % self.width;
                let normal = after.normal[i] * self.norm[channel] + self.norm_bias[channel];
                normal * silu(before.gate[i])
            })
            .collect();
        after.output = linear(&gated, &self.out_proj, self.width);
        after
    }

    /// The gradient of the scan's output, from that of the module's output.
    pub(crate) fn grad_of_scan(&self, grad: &[f64], after: &After, before: &Before) -> Vec<f64> {
        let width = self.width;
        let of_gated = linear_back(grad, &self.out_proj, width);
        let of_normal: Vec<f64> = (0..of_gated.len())
            .map(|i| of_gated[i] * silu(before.gate[i]) * self.norm[i % width])
            .collect();
        let mut of_y = Vec::with_capacity(of_normal.len());
        let rows = of_normal.chunks(width).zip(after.normal.chunks(width));
        for ((of_normal, normal), inverse) in rows.zip(&after.inverse_spread) {
            let mean = of_normal.iter().sum::<f64>() / width as f64;
            let along: f64 = of_normal.iter().zip(normal).map(|(g, n)| g * n).sum();
            let along = along / width as f64;
            of_y.extend(
                of_normal.iter().zip(normal).map(|(g, n)| (g - mean - n * along) * inverse),
            );
        }
        of_y
    }

    /// The gradient of the convolution's bias, from the scan's gradients by its input and by the
    /// projection.
    pub(crate) fn grad_of_conv_bias(
        &self,
        of_u: &[f64],
        of_projected: &[f64],
        before: &Before,
    ) -> Vec<f64> {
        let through_projection = linear_back(of_projected, &self.x_proj, self.width);
        let mut sums = vec![0.0; self.width];
        for (i, (direct, through)) in of_u.iter().zip(&through_projection).enumerate() {
            sums[i % self.width] += (direct + through) * silu_slope(before.convolved[i]);
        }
        sums
    }
}
