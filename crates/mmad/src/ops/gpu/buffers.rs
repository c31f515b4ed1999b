//! The inputs of a scan on the GPU, and how a scan is cut into cubes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::{DType, Shape, TensorData};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice, cubecl};
use cubecl::calculate_cube_count_elemwise;
use cubecl::client::Client;
use cubecl::prelude::*;
use mmad_kernels::orders::DirectionTable;
use mmad_kernels::scan::Ss2dShape;

use super::carry::sum_terms;
use super::lane::ScanLaunch;

/// Units of a cube, one channel each. Two warps: few units idle behind the last channel, and the
/// partial sums over channels fit the 16 KiB of shared memory that every Vulkan driver has.
const UNITS: usize = 64;

/// The inputs of a two-dimensional scan, contiguous.
pub(super) struct Inputs {
    pub(super) shape: Ss2dShape,
    tensors: [CubeTensor; 6],
    orders: CubeTensor,
}

impl Inputs {
    /// `u`, `projected`, `dt_weight`, `dt_bias`, `a_log`, `d_skip`, and the scan orders of `table`.
    pub(super) fn new(
        shape: Ss2dShape,
        table: &Arc<DirectionTable>,
        tensors: [CubeTensor; 6],
    ) -> Self {
        let orders = orders_on(table, &tensors[0].device);
        Self { shape, tensors: tensors.map(into_contiguous), orders }
    }

    pub(super) fn client(&self) -> &Client {
        &self.tensors[0].client
    }

    /// A tensor that a kernel will fill.
    pub(super) fn empty(&self, shape: [usize; 3]) -> CubeTensor {
        let device = self.tensors[0].device.clone();
        empty_device_contiguous_dtype(self.client().clone(), device, Shape::from(shape), DType::F32)
    }

    /// Sums `terms`, `[shape[0], n_terms, shape[1], shape[2]]`, over the second axis.
    pub(super) fn sum(&self, terms: CubeTensor, n_terms: usize, shape: [usize; 3]) -> CubeTensor {
        if n_terms == 1 {
            return CubeBackend::float_reshape(terms, Shape::from(shape));
        }
        let sums = self.empty(shape);
        let n_sums = shape.iter().product();
        let units = CubeDim::new(self.client(), n_sums);
        let cubes = calculate_cube_count_elemwise(self.client(), n_sums, units);
        sum_terms::launch(
            self.client(),
            cubes,
            units,
            terms.into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            n_terms,
            shape[1] * shape[2],
        );
        sums
    }

    pub(super) fn plan(&self, chunk: usize) -> Plan {
        let Ss2dShape { channels, states, .. } = self.shape;
        // A map of few channels leaves no unit idle, and many states fit into shared memory.
        let block = if channels <= UNITS / 2 || states > 24 { UNITS / 2 } else { UNITS };
        Plan { shape: self.shape, chunk, block }
    }

    /// What every kernel reads. A kernel that has no use for one of the buffers leaves it alone.
    pub(super) fn scan(&self, plan: &Plan) -> ScanLaunch {
        let Ss2dShape { pixels, channels, directions, rank, states, .. } = self.shape;
        let [u, projected, dt_weight, dt_bias, a_log, d_skip] =
            self.tensors.clone().map(CubeTensor::into_buffer_arg);
        ScanLaunch::new(
            u,
            projected,
            self.orders.clone().into_buffer_arg(),
            dt_weight,
            dt_bias,
            a_log,
            d_skip,
            pixels,
            channels,
            directions,
            plan.chunk,
            plan.chunks(),
            rank,
            states,
        )
    }

    /// To be filled: `n` values per chunk of every sequence and channel,
    /// `[b, directions, chunks, n, channels]`.
    pub(super) fn of_borders(&self, plan: &Plan, n: usize) -> CubeTensor {
        self.empty([plan.sequences() * plan.chunks(), n, self.shape.channels])
    }

    /// To be filled: the states of every border.
    pub(super) fn of_states(&self, plan: &Plan) -> CubeTensor {
        self.of_borders(plan, self.shape.states)
    }

    /// To be filled: a map per direction, `[b, directions, pixels, channels]`.
    pub(super) fn of_directions(&self, plan: &Plan) -> CubeTensor {
        self.empty([plan.sequences(), self.shape.pixels, self.shape.channels])
    }

    /// The sum of such maps, `[b, pixels, channels]`.
    pub(super) fn sum_of_directions(&self, maps: CubeTensor) -> CubeTensor {
        let Ss2dShape { batch, pixels, channels, directions, .. } = self.shape;
        self.sum(maps, directions, [batch, pixels, channels])
    }
}

/// How a scan is cut: cubes of (block of channels, chunk, sequence).
#[derive(Clone, Copy)]
pub(super) struct Plan {
    shape: Ss2dShape,
    chunk: usize,
    block: usize,
}

impl Plan {
    /// Chunks of a sequence.
    pub(super) fn chunks(&self) -> usize {
        self.shape.pixels.div_ceil(self.chunk)
    }

    /// Channels of a cube.
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// Blocks of channels.
    pub(super) fn blocks(&self) -> usize {
        self.shape.channels.div_ceil(self.block)
    }

    pub(super) fn units(&self) -> CubeDim {
        CubeDim::new_1d(self.block as u32)
    }

    /// Sequences: one per direction of every picture.
    pub(super) fn sequences(&self) -> usize {
        self.shape.batch * self.shape.directions
    }

    /// One unit per channel and chunk of every sequence.
    pub(super) fn cubes(&self) -> CubeCount {
        let [blocks, chunks] = [self.blocks(), self.chunks()].map(|n| n as u32);
        CubeCount::Static(blocks, chunks, self.sequences() as u32)
    }

    /// One unit per channel and state of every sequence.
    pub(super) fn carry_cubes(&self) -> CubeCount {
        let width = self.shape.channels * self.shape.states;
        CubeCount::Static(width.div_ceil(self.block) as u32, 1, self.sequences() as u32)
    }
}

/// The orders of `table` in the memory of `device`, `[directions, pixels]`; copied there once.
fn orders_on(table: &Arc<DirectionTable>, device: &CubeDevice) -> CubeTensor {
    /// A table, the device that has its copy, and the copy.
    type Copied = (Arc<DirectionTable>, CubeDevice, CubeTensor);
    // A model has a table per scan order and size of map; this many serve several models.
    const KEPT: usize = 64;
    static COPIES: Mutex<VecDeque<Copied>> = Mutex::new(VecDeque::new());

    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |(of, on, _): &&Copied| Arc::ptr_eq(of, table) && on == device;
    if let Some((.., copy)) = copies.iter().find(is_same) {
        return copy.clone();
    }
    let pixels = table.height() * table.width();
    let data = TensorData::new(table.orders().to_vec(), [table.directions(), pixels]);
    let copy = CubeBackend::int_from_data(data, device);
    if copies.len() == KEPT {
        copies.pop_front();
    }
    copies.push_back((Arc::clone(table), device.clone(), copy.clone()));
    copy
}
