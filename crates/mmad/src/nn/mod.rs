//! Layers that methods are built from. They hold weights; the arithmetic is in [`crate::ops`].

mod batch_norm;
mod conv;
mod derived;
mod linear;
mod norm;
mod residual;
mod resize;
mod transposed;

pub use batch_norm::{Activation, BatchNorm};
pub use conv::{Conv2d, ConvConfig, DepthwiseConv2d};
pub(crate) use derived::Derived;
pub use linear::{Linear, Linear1x1};
pub use norm::LayerNorm;
pub use residual::{BasicBlock, Bottleneck, BottleneckConfig, ConvNorm};
pub use resize::{Corners, resize};
pub use transposed::TransposedConv2x2;
