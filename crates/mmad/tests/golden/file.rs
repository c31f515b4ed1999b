//! Golden files: where they are, what they hold, and how far ours may be from them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use mmad::anomaly_map::{Level, SIGMA_PX, blur, raw_map};
use mmad::params::ParamSet;
use safetensors::{Dtype, SafeTensors};

/// One golden file.
pub struct Golden {
    pub name: String,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    metadata: HashMap<String, String>,
}

/// The folder from `MMAD_GOLDEN`, or the one beside the checkout; `None` where there is neither.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("MMAD_GOLDEN").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden")),
        PathBuf::from,
    );
    folder.is_dir().then_some(folder)
}

/// Every file whose name begins with `prefix`, in order of name; the prefix may have a folder.
///
/// Prints that the test was skipped where the folder is absent; fails where the folder is there
/// and no file matches.
pub fn files(prefix: &str) -> Vec<Golden> {
    let Some(folder) = folder() else {
        eprintln!("skipped: no golden folder; set MMAD_GOLDEN to run {prefix}*");
        return Vec::new();
    };
    let (folder, prefix) = match prefix.rsplit_once('/') {
        Some((inner, prefix)) => (folder.join(inner), prefix),
        None => (folder, prefix),
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(".safetensors")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no file {prefix}* in {}", folder.display());
    paths.into_iter().map(|path| Golden::read(&path)).collect()
}

/// A file of this repository.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

impl Golden {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap_or_default();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let data = view.data();
                let values = match view.dtype() {
                    Dtype::F32 => numbers(data, f32::from_le_bytes),
                    Dtype::F64 => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
                    Dtype::I32 => numbers(data, |bytes| i32::from_le_bytes(bytes) as f32),
                    Dtype::U8 => data.iter().copied().map(f32::from).collect(),
                    Dtype::I64 => numbers(data, |bytes| i64::from_le_bytes(bytes) as f32),
                    dtype => panic!("{name}: unexpected {dtype:?}"),
                };
                (name, (view.shape().to_vec(), values))
            })
            .collect();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, tensors, metadata }
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub fn meta(&self, key: &str) -> &str {
        let missing = || panic!("{}: no metadata `{key}`", self.name);
        self.metadata.get(key).unwrap_or_else(missing)
    }

    pub fn meta_list(&self, key: &str) -> Vec<usize> {
        let inner = self.meta(key).trim_matches(['[', ']']);
        inner.split(',').map(|number| number.trim().parse().unwrap()).collect()
    }

    pub fn seed(&self) -> u64 {
        self.meta("seed").parse().unwrap()
    }

    pub fn values(&self, name: &str) -> &[f32] {
        &self.entry(name).1
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.entry(name).0
    }

    fn entry(&self, name: &str) -> &(Vec<usize>, Vec<f32>) {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor `{name}`", self.name))
    }

    /// A tensor as it lies in the file.
    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (shape, values) = self.entry(name);
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device)
    }

    /// A `[b, c, h, w]` map of the file as `[b, h, w, c]`.
    pub fn map(&self, name: &str, device: &Device) -> Tensor<4> {
        self.tensor::<4>(name, device).permute([0, 2, 3, 1])
    }

    /// Compares with the tensor `name`, as the largest difference over the largest value.
    pub fn check(&self, name: &str, ours: &[f32], tolerance: f64) {
        self.check_floor(name, ours, tolerance, 0.0);
    }

    /// The same, with differences counted on a scale of at least `floor`.
    pub fn check_floor(&self, name: &str, ours: &[f32], tolerance: f64, floor: f64) {
        let theirs = self.values(name);
        assert_eq!(ours.len(), theirs.len(), "{}: {name}: number of values", self.name);
        let largest = theirs.iter().fold(0.0_f64, |max, &x| max.max(f64::from(x).abs()));
        let error = ours.iter().zip(theirs).fold(0.0_f64, |max, (&a, &b)| {
            let difference = (f64::from(a) - f64::from(b)).abs();
            if difference.is_nan() { f64::INFINITY } else { max.max(difference) }
        });
        let error = error / largest.max(floor).max(f64::MIN_POSITIVE);
        report(&self.name, name, error, tolerance);
        assert!(
            error <= tolerance,
            "{}: {name}: error {error:.2e} above {tolerance:.0e}",
            self.name
        );
    }

    /// Compares a `[b, h, w, c]` map with the `[b, c, h, w]` tensor `name`.
    pub fn check_map(&self, name: &str, ours: Tensor<4>, tolerance: f64) {
        self.check(name, &values(ours.permute([0, 3, 1, 2])), tolerance);
    }

    /// Compares a `[b, h, w, c]` map with the samples and statistics of a `[b, c, h, w]` tensor.
    pub fn check_digest(&self, name: &str, ours: Tensor<4>, tolerance: f64) {
        let ours = values(ours.permute([0, 3, 1, 2]));
        let name_of = |what: &str| format!("{name}.{what}");
        let n_samples = self.values(&name_of("samples")).len();
        self.check(&name_of("samples"), &samples(&ours, n_samples), tolerance);
        // Norm, smallest and largest; the sum of signed values cancels and says little.
        let (theirs, ours) = (self.values(&name_of("stats")), stats(&ours));
        for index in 1..4 {
            let error = f64::from((theirs[index] - ours[index]).abs() / theirs[1].abs().max(1.0));
            assert!(error <= tolerance, "{name}: statistic {index} is {error:.1e} away");
        }
    }

    /// Fills every parameter from `weight.<name>`.
    pub fn fill(&self, params: &ParamSet) {
        for param in params.iter() {
            let name = format!("weight.{}", param.name());
            assert_eq!(self.entry(&name).0, param.shape(), "{}: {name}", self.name);
            param.set_values(self.values(&name).to_vec());
        }
        let extra = self
            .names()
            .filter_map(|name| name.strip_prefix("weight."))
            .find(|name| !name.contains("scans.index_flat") && params.find(name).is_none());
        assert_eq!(extra, None, "{}: a weight that our model does not have", self.name);
    }

    /// Compares the gradients of all parameters with `grad.<name>`.
    ///
    /// Gradients below a millionth of the largest in the file are compared on its scale, and a
    /// parameter that the file has no gradient for must have none, or zero, with us.
    pub fn check_grads(&self, prefix: &str, params: &ParamSet, grads: &Gradients, tolerance: f64) {
        let largest = self
            .names()
            .filter(|name| name.starts_with(prefix))
            .flat_map(|name| self.values(name))
            .fold(0.0_f64, |max, &x| max.max(f64::from(x).abs()));
        for param in params.trained() {
            let name = format!("{prefix}{}", param.name());
            let ours = param.grad(grads).unwrap_or_else(|| vec![0.0; param.len()]);
            if self.has(&name) {
                let floor = largest * 1e-6;
                let small = self.values(&name).iter().all(|x| f64::from(x.abs()) < floor);
                let floor = if small { largest * 1e-5 / tolerance } else { 0.0 };
                self.check_floor(&name, &ours, tolerance, floor);
            } else if !self.has(&format!("{name}.samples")) {
                assert!(ours.iter().all(|&x| x == 0.0), "{}: {name} is not zero", self.name);
            }
        }
    }
}

/// Says on standard error how close a comparison was; `--nocapture` shows it.
fn report(file: &str, name: &str, error: f64, tolerance: f64) {
    eprintln!("golden {file} {name} error {error:.2e} tolerance {tolerance:.0e}");
}

fn numbers<const N: usize, T>(data: &[u8], parse: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks::<N>().0.iter().map(|&bytes| parse(bytes)).collect()
}

/// The values of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// `min(n, m)` elements at flat index `floor(i · (n - 1) / (m - 1))`.
pub fn samples(values: &[f32], n_samples: usize) -> Vec<f32> {
    if values.len() <= n_samples {
        return values.to_vec();
    }
    (0..n_samples).map(|i| values[i * (values.len() - 1) / (n_samples - 1)]).collect()
}

/// The raw anomaly map of one picture and what the Gaussian makes of it, `height` by `width`, from
/// the maps `seen` and `rebuilt` `[1, h, w, c]`.
pub fn anomaly_maps(
    seen: &[Tensor<4>],
    rebuilt: &[Tensor<4>],
    height: usize,
    width: usize,
) -> [Vec<f32>; 2] {
    let held: Vec<_> = seen
        .iter()
        .zip(rebuilt)
        .map(|(seen, rebuilt)| (seen.dims(), values(seen.clone()), values(rebuilt.clone())))
        .collect();
    let levels: Vec<Level<'_>> = held
        .iter()
        .map(|&([_, height, width, _], ref seen, ref rebuilt)| Level {
            seen,
            rebuilt,
            height,
            width,
            weight: 1.0,
        })
        .collect();
    let raw = raw_map(&levels, height, width);
    let smooth = blur(raw.clone(), height, width, SIGMA_PX);
    [raw, smooth].map(|map| map.into_iter().map(|value| value as f32).collect())
}

/// Sum, L2 norm, smallest and largest value.
pub fn stats(values: &[f32]) -> [f32; 4] {
    let sum: f64 = values.iter().map(|&x| f64::from(x)).sum();
    let norm = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let min = values.iter().copied().fold(f32::INFINITY, f32::min);
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    [sum as f32, norm as f32, min, max]
}
