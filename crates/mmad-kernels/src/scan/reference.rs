//! The scans in plain 64-bit loops, written to be read: what the fast paths are compared to.
//! Never made faster.

#![expect(clippy::needless_range_loop, reason = "the formulas index by step and state")]

use super::features::Ss2dFeatureGrads;
use super::selective::{self, SelectiveScanGrads, SelectiveScanInputs, SelectiveScanShape};
use super::ss2d::{self, Ss2dGrads, Ss2dParams, Ss2dShape, check_len};
use crate::linear::{self, LinearShape};

/// [`selective_scan_forward`](super::selective_scan_forward) in 64 bits: `y`, `[B, D, L]`.
///
/// # Panics
///
/// When a length does not fit the shape.
pub fn selective_scan(
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_, f64>,
) -> Vec<f64> {
    selective::check(shape, inputs);
    let mut y = Vec::with_capacity(inputs.u.len());
    for batch in 0..shape.batch {
        for channel in 0..shape.channels {
            y.extend(channel_of(shape, inputs, batch, channel).forward().y);
        }
    }
    y
}

/// [`selective_scan_backward`](super::selective_scan_backward) in 64 bits, for `grad_y`
/// (`[B, D, L]`).
///
/// # Panics
///
/// When a length does not fit the shape.
pub fn selective_scan_backward(
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_, f64>,
    grad_y: &[f64],
) -> SelectiveScanGrads<f64> {
    selective::check(shape, inputs);
    check_len("grad_y", grad_y.len(), inputs.u.len());
    let SelectiveScanShape { batch, channels, length, states, groups } = shape;
    let mut grads = SelectiveScanGrads {
        u: Vec::new(),
        delta: Vec::new(),
        a: vec![0.0; inputs.a.len()],
        b: vec![0.0; inputs.b.len()],
        c: vec![0.0; inputs.c.len()],
        d: vec![0.0; channels],
        delta_bias: vec![0.0; channels],
    };
    for batch in 0..batch {
        for channel in 0..channels {
            let first = (batch * channels + channel) * length;
            let of =
                channel_of(shape, inputs, batch, channel).backward(&grad_y[first..first + length]);
            let group = batch * groups + channel / (channels / groups);
            for t in 0..length {
                let slope = if inputs.delta_softplus {
                    softplus_slope(inputs.delta[first + t] + inputs.delta_bias[channel])
                } else {
                    1.0
                };
                grads.delta.push(of.dt[t] * slope);
                grads.delta_bias[channel] += of.dt[t] * slope;
                for n in 0..states {
                    grads.b[(group * states + n) * length + t] += of.b[t][n];
                    grads.c[(group * states + n) * length + t] += of.c[t][n];
                }
            }
            grads.u.extend(of.u);
            grads.d[channel] += of.skip;
            for n in 0..states {
                grads.a[channel * states + n] += of.a[n];
            }
        }
    }
    grads
}

/// [`ss2d_forward`](super::ss2d_forward) in 64 bits: `y`, `[B, L, D]`.
///
/// # Panics
///
/// When a length does not fit the shape, or an order names a pixel outside the map.
pub fn ss2d(
    shape: Ss2dShape,
    u: &[f64],
    projected: &[f64],
    params: &Ss2dParams<'_, f64>,
) -> Vec<f64> {
    ss2d::check(shape, u.len(), projected.len(), params);
    let mut y = vec![0.0; u.len()];
    for picture in 0..shape.batch {
        for k in 0..shape.directions {
            for channel in 0..shape.channels {
                let along = Along { shape, picture, k, channel, orders: params.orders };
                let out = along.channel(u, projected, params).0.forward();
                for (t, value) in out.y.iter().enumerate() {
                    y[along.pixel(t) * shape.channels + channel] += value;
                }
            }
        }
    }
    y
}

/// [`ss2d_features_forward`](super::ss2d_features_forward) in 64 bits: `y`, `[B, L, D]`.
///
/// # Panics
///
/// When a length does not fit the shape, or an order names a pixel outside the map.
pub fn ss2d_features(
    shape: Ss2dShape,
    u: &[f64],
    projection: &[f64],
    params: &Ss2dParams<'_, f64>,
) -> Vec<f64> {
    let projected = linear::reference::forward(projection_shape(shape), u, projection, None);
    ss2d(shape, u, &projected, params)
}

/// [`ss2d_features_backward`](super::ss2d_features_backward) in 64 bits, for `grad_y`
/// (`[B, L, D]`).
///
/// # Panics
///
/// As [`ss2d_features`].
pub fn ss2d_features_backward(
    shape: Ss2dShape,
    u: &[f64],
    projection: &[f64],
    params: &Ss2dParams<'_, f64>,
    grad_y: &[f64],
) -> Ss2dFeatureGrads<f64> {
    let linear = projection_shape(shape);
    let projected = linear::reference::forward(linear, u, projection, None);
    let Ss2dGrads { u: through_scan, projected: grad, dt_weight, dt_bias, a_log, d_skip } =
        ss2d_backward(shape, u, &projected, params, grad_y);
    let [through_projection, projection, _] =
        linear::reference::backward(linear, u, projection, &grad);
    let u = through_scan.iter().zip(&through_projection).map(|(a, b)| a + b).collect();
    Ss2dFeatureGrads { u, projection, dt_weight, dt_bias, a_log, d_skip }
}

fn projection_shape(shape: Ss2dShape) -> LinearShape {
    LinearShape {
        rows: shape.batch * shape.pixels,
        inputs: shape.channels,
        outputs: shape.directions * shape.row(),
    }
}

/// [`ss2d_backward`](super::ss2d_backward) in 64 bits, for `grad_y` (`[B, L, D]`).
///
/// # Panics
///
/// When a length does not fit the shape, or an order names a pixel outside the map.
pub fn ss2d_backward(
    shape: Ss2dShape,
    u: &[f64],
    projected: &[f64],
    params: &Ss2dParams<'_, f64>,
    grad_y: &[f64],
) -> Ss2dGrads<f64> {
    ss2d::check(shape, u.len(), projected.len(), params);
    check_len("grad_y", grad_y.len(), u.len());
    let Ss2dShape { batch, pixels, channels, directions, rank, states } = shape;
    let mut grads = Ss2dGrads {
        u: vec![0.0; u.len()],
        projected: vec![0.0; projected.len()],
        dt_weight: vec![0.0; params.dt_weight.len()],
        dt_bias: vec![0.0; params.dt_bias.len()],
        a_log: vec![0.0; params.a_log.len()],
        d_skip: vec![0.0; params.d_skip.len()],
    };
    for picture in 0..batch {
        for k in 0..directions {
            for channel in 0..channels {
                let along = Along { shape, picture, k, channel, orders: params.orders };
                let (inputs, before_softplus) = along.channel(u, projected, params);
                let g: Vec<f64> =
                    (0..pixels).map(|t| grad_y[along.pixel(t) * channels + channel]).collect();
                let of = inputs.backward(&g);
                let weight = k * channels + channel;
                for t in 0..pixels {
                    grads.u[along.pixel(t) * channels + channel] += of.u[t];
                    let of_x = of.dt[t] * softplus_slope(before_softplus[t]);
                    grads.dt_bias[weight] += of_x;
                    let row = along.row(t);
                    for r in 0..rank {
                        grads.dt_weight[weight * rank + r] += of_x * projected[row + r];
                        grads.projected[row + r] += of_x * params.dt_weight[weight * rank + r];
                    }
                    for n in 0..states {
                        grads.projected[row + rank + n] += of.b[t][n];
                        grads.projected[row + rank + states + n] += of.c[t][n];
                    }
                }
                grads.d_skip[weight] += of.skip;
                for n in 0..states {
                    // dA / d(a_log) = A
                    grads.a_log[weight * states + n] += of.a[n] * inputs.a[n];
                }
            }
        }
    }
    grads
}

/// `ln(1 + e^x)`, and `x` itself above 20.
pub fn softplus(x: f64) -> f64 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

/// The derivative of [`softplus`].
pub fn softplus_slope(x: f64) -> f64 {
    if x > 20.0 { 1.0 } else { 1.0 / (1.0 + (-x).exp()) }
}

/// One channel of one sequence.
struct Channel {
    u: Vec<f64>,
    dt: Vec<f64>,
    /// `[states]`
    a: Vec<f64>,
    /// `[steps][states]`
    b: Vec<Vec<f64>>,
    /// `[steps][states]`
    c: Vec<Vec<f64>>,
    skip: f64,
}

/// What a scan of one channel gives.
struct Scanned {
    y: Vec<f64>,
    /// The states before every step, and after the last.
    states: Vec<Vec<f64>>,
}

/// Gradients of one channel, shaped as [`Channel`].
struct ChannelGrads {
    u: Vec<f64>,
    dt: Vec<f64>,
    a: Vec<f64>,
    b: Vec<Vec<f64>>,
    c: Vec<Vec<f64>>,
    skip: f64,
}

impl Channel {
    fn forward(&self) -> Scanned {
        let mut h = vec![0.0; self.a.len()];
        let mut scanned = Scanned { y: Vec::new(), states: vec![h.clone()] };
        for t in 0..self.u.len() {
            let mut y = self.skip * self.u[t];
            for n in 0..self.a.len() {
                h[n] =
                    (self.dt[t] * self.a[n]).exp() * h[n] + self.dt[t] * self.u[t] * self.b[t][n];
                y += self.c[t][n] * h[n];
            }
            scanned.y.push(y);
            scanned.states.push(h.clone());
        }
        scanned
    }

    /// The chain rule, step by step backwards in time.
    fn backward(&self, grad_y: &[f64]) -> ChannelGrads {
        let (steps, n_states) = (self.u.len(), self.a.len());
        let states = self.forward().states;
        let mut grads = ChannelGrads {
            u: vec![0.0; steps],
            dt: vec![0.0; steps],
            a: vec![0.0; n_states],
            b: vec![vec![0.0; n_states]; steps],
            c: vec![vec![0.0; n_states]; steps],
            skip: 0.0,
        };
        // The gradient of the state after step `t`, as far as later steps use it.
        let mut carried = vec![0.0; n_states];
        for t in (0..steps).rev() {
            let (g, u, dt) = (grad_y[t], self.u[t], self.dt[t]);
            grads.skip += g * u;
            grads.u[t] += g * self.skip;
            for n in 0..n_states {
                grads.c[t][n] = g * states[t + 1][n];
                let of_state = carried[n] + g * self.c[t][n];
                grads.b[t][n] = of_state * dt * u;
                grads.u[t] += of_state * dt * self.b[t][n];
                grads.dt[t] += of_state * u * self.b[t][n];
                let kept = (dt * self.a[n]).exp();
                let of_exponent = of_state * kept * states[t][n];
                grads.dt[t] += of_exponent * self.a[n];
                grads.a[n] += of_exponent * dt;
                carried[n] = of_state * kept;
            }
        }
        grads
    }
}

/// Picks one channel of a general scan.
fn channel_of(
    shape: SelectiveScanShape,
    inputs: &SelectiveScanInputs<'_, f64>,
    batch: usize,
    channel: usize,
) -> Channel {
    let SelectiveScanShape { channels, length, states, groups, .. } = shape;
    let first = (batch * channels + channel) * length;
    let group = batch * groups + channel / (channels / groups);
    let matrix = |x: &[f64]| -> Vec<Vec<f64>> {
        let at = |t: usize, n: usize| x[(group * states + n) * length + t];
        (0..length).map(|t| (0..states).map(|n| at(t, n)).collect()).collect()
    };
    let step_size = |delta: &f64| {
        let x = delta + inputs.delta_bias[channel];
        if inputs.delta_softplus { softplus(x) } else { x }
    };
    Channel {
        u: inputs.u[first..first + length].to_vec(),
        dt: inputs.delta[first..first + length].iter().map(step_size).collect(),
        a: inputs.a[channel * states..][..states].to_vec(),
        b: matrix(inputs.b),
        c: matrix(inputs.c),
        skip: inputs.d[channel],
    }
}

/// One channel of a picture along one direction.
struct Along<'a> {
    shape: Ss2dShape,
    picture: usize,
    k: usize,
    channel: usize,
    orders: &'a [u32],
}

impl Along<'_> {
    /// The pixel at step `t`, counted over the batch.
    fn pixel(&self, t: usize) -> usize {
        let pixels = self.shape.pixels;
        self.picture * pixels + self.orders[self.k * pixels + t] as usize
    }

    /// Where the projection of the pixel at step `t` begins.
    fn row(&self, t: usize) -> usize {
        (self.pixel(t) * self.shape.directions + self.k) * self.shape.row()
    }

    /// The channel, and its step sizes before softplus.
    fn channel(
        &self,
        u: &[f64],
        projected: &[f64],
        params: &Ss2dParams<'_, f64>,
    ) -> (Channel, Vec<f64>) {
        let Ss2dShape { pixels, channels, rank, states, .. } = self.shape;
        let weight = self.k * channels + self.channel;
        let before_softplus: Vec<f64> = (0..pixels)
            .map(|t| {
                let dt_r = &projected[self.row(t)..][..rank];
                let dt_weight = &params.dt_weight[weight * rank..][..rank];
                let product: f64 = dt_r.iter().zip(dt_weight).map(|(r, w)| r * w).sum();
                product + params.dt_bias[weight]
            })
            .collect();
        let part = |from: usize| -> Vec<Vec<f64>> {
            (0..pixels).map(|t| projected[self.row(t) + from..][..states].to_vec()).collect()
        };
        let channel = Channel {
            u: (0..pixels).map(|t| u[self.pixel(t) * channels + self.channel]).collect(),
            dt: before_softplus.iter().map(|&x| softplus(x)).collect(),
            a: params.a_log[weight * states..][..states].iter().map(|x| -x.exp()).collect(),
            b: part(rank),
            c: part(rank + states),
            skip: params.d_skip[weight],
        };
        (channel, before_softplus)
    }
}
