//! Selective scan: the recurrence of Mamba, over a sequence and over the pixels of a map.
//!
//! * [`ss2d_forward`] and [`ss2d_backward`]: all directions of a map in one call, channels last,
//!   from the projected pixels to the summed output. The input is never copied into the orders of
//!   the directions, and no tensor has both a state and a time axis.
//! * [`ss2d_features_forward`] and [`ss2d_features_backward`]: the same from features, which are
//!   projected inside; what the model trains with. [`PackedSs2d`] is for scoring.
//! * [`selective_scan_forward`] and [`selective_scan_backward`]: one scan of given step sizes, in
//!   the layout of the Mamba reference code.
//! * [`mod@reference`]: the same in plain 64-bit loops, what all else is compared to.
//!
//! How the pieces stand on each other:
//!
//! ```text
//! ss2d, selective        what is public: shapes, checks (ss2d: directions shares out the work)
//! └─ forward, backward   one sequence, chunk by chunk (sequence: its data, its weights)
//!    └─ recurrence       one block of channels over one chunk, states in registers
//!       └─ lanes         vector operations: avx512, avx2, portable; exponential on top of them
//! ```
//!
//! Results depend on the numbers and the instruction set alone: not on the number of threads, nor
//! on what else is in the batch. The forward pass may note one of 32 states for the backward pass
//! ([`NotedStates`]), which else finds them again; the bits are the same.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backward;
mod directions;
mod exponential;
mod features;
mod forward;
mod isa;
mod lanes;
mod portable;
mod recurrence;
pub mod reference;
mod selective;
mod sequence;
mod ss2d;

pub use features::{
    NotedStates, PackedSs2d, Ss2dFeatureGrads, ss2d_features_backward, ss2d_features_backward_with,
    ss2d_features_forward, ss2d_features_forward_noting_with, ss2d_features_forward_with,
};
pub use isa::Isa;
pub use selective::{
    SelectiveScanGrads, SelectiveScanInputs, SelectiveScanShape, selective_scan_backward,
    selective_scan_backward_with, selective_scan_forward, selective_scan_forward_with,
};
pub use ss2d::{
    Ss2dGrads, Ss2dParams, Ss2dShape, ss2d_backward, ss2d_backward_with, ss2d_forward,
    ss2d_forward_with,
};
