//! Where tensors live and are computed: on the processor, or on a GPU.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

/// A device as it is asked for: `cpu`, `auto`, `vulkan`, `vulkan:1`, `cuda`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The processor, with the kernels of `mmad-kernels`.
    #[default]
    Cpu,
    /// The first GPU that this build can use, and the processor where there is none. A software
    /// driver is no GPU.
    Auto,
    /// A GPU through Vulkan, by its place in the list: discrete ones first, software drivers last.
    Vulkan(usize),
    /// An NVIDIA GPU through CUDA, by its number. Untested.
    Cuda(usize),
}

/// A device that computes, and what it is.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The device.
    pub device: Device,
    /// Its name for people, as `NVIDIA H200 (vulkan)`.
    pub name: String,
    /// True for a Vulkan driver that computes on the processor.
    pub is_software: bool,
}

/// What keeps a device from being used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No device has this name.
    #[error("unknown device `{asked}`")]
    Unknown {
        /// What was asked for.
        asked: String,
    },
    /// The program was built without it.
    #[error("this program was built without support for `{asked}`")]
    NotBuilt {
        /// What was asked for.
        asked: DeviceChoice,
    },
    /// No driver, or no device of this number.
    #[error("there is no device `{asked}` on this machine; found: {}", list(.found))]
    Missing {
        /// What was asked for.
        asked: DeviceChoice,
        /// Names of the devices of this kind that are there.
        found: Vec<String>,
    },
    /// The driver has the device but does not give it.
    #[error("the driver does not open `{asked}`: {why}")]
    Refused {
        /// What was asked for.
        asked: DeviceChoice,
        /// What the driver says.
        why: String,
    },
}

fn list(found: &[String]) -> String {
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

impl DeviceError {
    /// How to mend it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { .. } => {
                "the devices are: cpu, auto, vulkan, cuda; `vulkan:1` is the second one".to_owned()
            }
            Self::NotBuilt { asked: DeviceChoice::Cuda(_) } => {
                "the feature `cuda` is untested; NVIDIA GPUs run through Vulkan too: use \
                 `--device vulkan` in a build with `--features wgpu`, or `--device cpu`"
                    .to_owned()
            }
            Self::NotBuilt { .. } => {
                "build it with `cargo build --release -p mmad-cli --features wgpu`, or use \
                 `--device cpu`"
                    .to_owned()
            }
            Self::Missing { found, .. } if !found.is_empty() => {
                "use one of those, or `--device cpu`".to_owned()
            }
            Self::Missing { asked: DeviceChoice::Vulkan(_), .. } => {
                "install a Vulkan driver of the GPU's maker, see with `vulkaninfo --summary` what it \
                 finds, or use `--device cpu`"
                    .to_owned()
            }
            Self::Missing { .. } => "install the driver of the GPU, or use `--device cpu`".to_owned(),
            Self::Refused { .. } => "update the driver of the GPU, or use `--device cpu`".to_owned(),
        })
    }
}

impl DeviceChoice {
    fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Auto => "auto",
            Self::Vulkan(_) => "vulkan",
            Self::Cuda(_) => "cuda",
        }
    }

    /// Finds the device and starts it.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] where the program was built without it, or the machine has no such device.
    pub fn open(self) -> Result<OpenDevice, DeviceError> {
        match self {
            Self::Cpu => Ok(cpu()),
            Self::Auto => {
                let gpu = [Self::Cuda(0), Self::Vulkan(0)]
                    .into_iter()
                    .find_map(|choice| gpu::open(choice).ok().filter(|found| !found.is_software));
                Ok(gpu.unwrap_or_else(cpu))
            }
            Self::Vulkan(_) | Self::Cuda(_) => gpu::open(self),
        }
    }
}

fn cpu() -> OpenDevice {
    OpenDevice { device: Device::flex(), name: "cpu".to_owned(), is_software: true }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu | Self::Auto | Self::Vulkan(0) | Self::Cuda(0) => f.write_str(self.kind()),
            Self::Vulkan(index) | Self::Cuda(index) => write!(f, "{}:{index}", self.kind()),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { asked: text.to_owned() };
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, Some(index.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (kind, index) {
            ("cpu", None) => Ok(Self::Cpu),
            ("auto", None) => Ok(Self::Auto),
            ("vulkan", index) => Ok(Self::Vulkan(index.unwrap_or(0))),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

#[cfg(not(feature = "gpu"))]
mod gpu {
    use super::{DeviceChoice, DeviceError, OpenDevice};

    pub(super) fn open(asked: DeviceChoice) -> Result<OpenDevice, DeviceError> {
        Err(DeviceError::NotBuilt { asked })
    }
}

#[cfg(feature = "gpu")]
mod gpu {
    use std::panic::catch_unwind;

    use burn::tensor::Device;

    use super::{DeviceChoice, DeviceError, OpenDevice};

    pub(super) fn open(asked: DeviceChoice) -> Result<OpenDevice, DeviceError> {
        let (find, index): (fn() -> Vec<Device>, usize) = match asked {
            #[cfg(feature = "wgpu")]
            DeviceChoice::Vulkan(index) => (vulkan_devices, index),
            #[cfg(feature = "cuda")]
            DeviceChoice::Cuda(index) => {
                (|| Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec(), index)
            }
            _ => return Err(DeviceError::NotBuilt { asked }),
        };
        let found = guarded(asked, find)?;
        match found.get(index).cloned() {
            Some(device) => start(asked, device),
            None => Err(DeviceError::Missing {
                asked,
                found: (0..found.len()).map(|index| format!("{}:{index}", asked.kind())).collect(),
            }),
        }
    }

    /// Every device that Vulkan has: discrete GPUs, integrated ones, virtual ones, software.
    #[cfg(feature = "wgpu")]
    fn vulkan_devices() -> Vec<Device> {
        use burn::backend::{WgpuBackend, WgpuDevice, WgpuDeviceKind as Kind};
        use burn_cubecl::CubeDevice;

        let kinds = [Kind::DiscreteGpu(0), Kind::IntegratedGpu(0), Kind::VirtualGpu(0), Kind::Cpu];
        let of_kind = |kind| {
            let seed = CubeDevice::Wgpu(WgpuDevice::new(kind).on(WgpuBackend::Vulkan));
            CubeDevice::enumerate(seed.to_id())
        };
        let ids = kinds.into_iter().flat_map(of_kind);
        ids.map(|id| Device::new(CubeDevice::from_id(id))).collect()
    }

    /// Opens the device by asking for its name.
    fn start(asked: DeviceChoice, device: Device) -> Result<OpenDevice, DeviceError> {
        let is_software = is_software(&device);
        // CubeCL 0.11.3 writes wrong SPIR-V for shared memory where the driver has no explicit layout
        // of it, and Mesa's software driver crashes on that.
        if cfg!(feature = "vulkan") && is_software {
            let why = "kernels in SPIR-V crash on a software driver; build with the feature `wgpu`";
            return Err(DeviceError::Refused { asked, why: why.to_owned() });
        }
        let opened = device.clone();
        let identity = guarded(asked, move || opened.identity())?;
        let name = identity.map_or_else(|| "GPU".to_owned(), |identity| identity.name);
        Ok(OpenDevice { device, name: format!("{name} ({asked})"), is_software })
    }

    #[cfg(feature = "wgpu")]
    fn is_software(device: &Device) -> bool {
        use burn::backend::{DispatchDevice, WgpuDeviceKind};
        use burn_cubecl::CubeDevice;

        match device.as_dispatch() {
            DispatchDevice::Cube(CubeDevice::Wgpu(device)) => device.kind == WgpuDeviceKind::Cpu,
            _ => false,
        }
    }

    #[cfg(not(feature = "wgpu"))]
    fn is_software(_: &Device) -> bool {
        false
    }

    /// Burn panics where a driver fails; a person at the terminal gets an error.
    fn guarded<T>(
        asked: DeviceChoice,
        ask: impl FnOnce() -> T + std::panic::UnwindSafe,
    ) -> Result<T, DeviceError> {
        catch_unwind(ask).map_err(|panic| {
            let why = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|&why| why.to_owned()))
                .unwrap_or_else(|| "it failed without a reason".to_owned());
            DeviceError::Refused { asked, why }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_mistakes_are_explained() {
        for name in ["cpu", "auto", "vulkan", "vulkan:1", "cuda", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        for name in ["", "gpu", "cpu:0", "vulkan:", "vulkan:x"] {
            let error = name.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error.to_string(), format!("unknown device `{name}`"));
            assert!(error.hint().unwrap().contains("cpu, auto, vulkan, cuda"));
        }
    }

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(DeviceChoice::default().open().unwrap().device, Device::flex());
        assert!(DeviceChoice::Auto.open().is_ok());
    }

    #[cfg(not(feature = "gpu"))]
    #[test]
    fn a_build_without_gpus_says_how_to_get_one_with() {
        let error = DeviceChoice::Vulkan(0).open().unwrap_err();
        assert_eq!(error.to_string(), "this program was built without support for `vulkan`");
        assert!(error.hint().unwrap().contains("--features wgpu"));
    }

    #[test]
    fn a_number_too_high_points_at_the_devices_that_are_there() {
        let found = vec!["vulkan:0".to_owned()];
        let error = DeviceError::Missing { asked: DeviceChoice::Vulkan(7), found };
        let text = "there is no device `vulkan:7` on this machine; found: vulkan:0";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint().unwrap(), "use one of those, or `--device cpu`");
        let none = DeviceError::Missing { asked: DeviceChoice::Vulkan(0), found: Vec::new() };
        assert!(none.hint().unwrap().contains("vulkaninfo"));
    }
}
