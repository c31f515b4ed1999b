//! Convolutions, channels last.

use burn::tensor::Tensor;
use mmad_kernels::precision::Precision;

use super::derived::Derived;
use crate::ops::{self, ConvOptions2d, FoldedConv};
use crate::params::{Init, InitRule, Scope, Weight};

/// How to build a [`Conv2d`].
#[derive(Debug, Clone, Copy)]
pub struct ConvConfig {
    /// Channels in.
    pub n_in: usize,
    /// Channels out.
    pub n_out: usize,
    /// Side of the kernel in pixels; odd.
    pub kernel: usize,
    /// Step between outputs in pixels.
    pub stride: usize,
    /// Distance between taps in pixels.
    pub dilation: usize,
    /// Whether a bias is added.
    pub has_bias: bool,
}

impl ConvConfig {
    /// A convolution of stride and dilation 1 with a bias.
    pub fn new(n_in: usize, n_out: usize, kernel: usize) -> Self {
        Self { n_in, n_out, kernel, stride: 1, dilation: 1, has_bias: true }
    }

    /// Sets the stride.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Sets the dilation.
    #[must_use]
    pub fn dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }

    /// Leaves the bias out.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { has_bias: false, ..self }
    }
}

/// Dense convolution, padded so that stride 1 keeps the size. Weights `[n_out, n_in, k, k]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Weight<4>,
    bias: Option<Weight<1>>,
    options: ConvOptions2d,
    packed: Derived<FoldedConv>,
    precision: Precision,
}

impl Conv2d {
    /// Makes `weight` and perhaps `bias` in `scope`.
    pub fn new(scope: &Scope<'_>, config: ConvConfig) -> Self {
        let ConvConfig { n_in, n_out, kernel, stride, dilation, has_bias } = config;
        let (weight, bias) = conv_init(scope.rule(), n_in, n_out, kernel, 1);
        Self {
            weight: scope.weight("weight", [n_out, n_in, kernel, kernel], weight),
            bias: has_bias.then(|| scope.weight("bias", [n_out], bias)),
            options: ConvOptions2d { stride, padding: dilation * (kernel / 2), dilation },
            packed: Derived::default(),
            precision: scope.precision(),
        }
    }

    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n_in]`
    /// - output: `[b, h / stride, w / stride, n_out]`, sizes rounded up
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if ops::can_fold(&x) {
            return self.packed().forward(x, None, false);
        }
        ops::conv2d(x, self.weight(), self.bias(), self.options)
    }

    /// The convolution as it is: nothing is folded into it.
    fn packed(&self) -> FoldedConv {
        self.packed.get(self.version(), || {
            let weight = self.weight();
            let [n_out, ..] = weight.dims();
            let bias = self.bias().unwrap_or_else(|| Tensor::zeros([n_out], &weight.device()));
            FoldedConv::new((weight, bias), self.options, Precision::F32)
        })
    }

    /// Its kernel.
    ///
    /// # Shapes
    ///
    /// - output: `[n_out, n_in, k, k]`
    pub fn weight(&self) -> Tensor<4> {
        self.weight.get()
    }

    /// Its bias, where it has one.
    ///
    /// # Shapes
    ///
    /// - output: `[n_out]`
    pub fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Weight::get)
    }

    /// Grows whenever one of its tensors is replaced.
    pub fn version(&self) -> u64 {
        self.weight.version() + self.bias.as_ref().map_or(0, Weight::version)
    }

    /// Stride, padding and dilation.
    pub fn options(&self) -> ConvOptions2d {
        self.options
    }

    /// What its factors are rounded to where it is joined with the norm behind it. Alone it rounds
    /// nothing.
    pub fn precision(&self) -> Precision {
        self.precision
    }
}

/// Depthwise convolution, stride 1, same size out. Weights `[channels, 1, k, k]`.
#[derive(Debug, Clone)]
pub struct DepthwiseConv2d {
    weight: Weight<4>,
    bias: Option<Weight<1>>,
}

impl DepthwiseConv2d {
    /// Makes `weight` and perhaps `bias` in `scope`; `kernel` is odd.
    pub fn new(scope: &Scope<'_>, channels: usize, kernel: usize, has_bias: bool) -> Self {
        let (weight, bias) = conv_init(scope.rule(), channels, channels, kernel, channels);
        Self {
            weight: scope.weight("weight", [channels, 1, kernel, kernel], weight),
            bias: has_bias.then(|| scope.weight("bias", [channels], bias)),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[b, h, w, channels]`
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::depthwise_conv2d(x, self.weight.get(), self.bias.as_ref().map(Weight::get))
    }

    /// SiLU of the convolution of the first channels of `x`.
    ///
    /// # Shapes
    ///
    /// - `x`: `[b, h, w, n]` with `n >= channels`; output: `[b, h, w, channels]`
    pub fn forward_silu(&self, x: Tensor<4>) -> Tensor<4> {
        ops::depthwise_conv2d_silu(x, self.weight.get(), self.bias.as_ref().map(Weight::get))
    }
}

fn conv_init(
    rule: InitRule,
    n_in: usize,
    n_out: usize,
    kernel: usize,
    groups: usize,
) -> (Init, Init) {
    let area = (kernel * kernel) as f64;
    match rule {
        InitRule::Decoder | InitRule::Xavier => {
            let fan_out = area * (n_out / groups) as f64;
            (Init::Normal { std: (2.0 / fan_out).sqrt() }, Init::Zeros)
        }
        InitRule::Fuser => {
            let fan_out = area * n_out as f64;
            let fan_in = area * (n_in / groups) as f64;
            let bias = Init::Uniform { bound: 1.0 / fan_in.sqrt() };
            (Init::Normal { std: (2.0 / fan_out).sqrt() }, bias)
        }
    }
}
