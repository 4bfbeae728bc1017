//! Chooses the device for tensors: `auto`, `cpu`, `cuda`, `cuda:1` or `metal`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use candle_core::Device;

/// A device as written on the command line; [`DeviceChoice::open`] opens it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA, else Metal, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            "metal" => Ok(DeviceChoice::Metal),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|ordinal| ordinal.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| format!("expected `auto`, `cpu`, `cuda`, `cuda:N` or `metal`, found `{text}`")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => write!(out, "auto"),
            DeviceChoice::Cpu => write!(out, "cpu"),
            DeviceChoice::Cuda(ordinal) => write!(out, "cuda:{ordinal}"),
            DeviceChoice::Metal => write!(out, "metal"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device. `auto` never fails; it also returns a line that says what was found.
    ///
    /// # Errors
    /// The named device is absent, or the binary was built without support for it.
    pub fn open(self) -> Result<(Device, Option<String>)> {
        match self {
            DeviceChoice::Cpu => Ok((Device::Cpu, None)),
            DeviceChoice::Cuda(ordinal) => open_named(self, "cuda", Device::new_cuda(ordinal)),
            DeviceChoice::Metal => open_named(self, "metal", Device::new_metal(0)),
            DeviceChoice::Auto => Ok(match (Device::new_cuda(0), Device::new_metal(0)) {
                (Ok(device), _) => (device, Some("device: cuda:0".into())),
                (_, Ok(device)) => (device, Some("device: metal".into())),
                _ => (Device::Cpu, Some("device: cpu (no CUDA or Metal device in reach)".into())),
            }),
        }
    }
}

/// Sets the number of threads that candle uses, unless `RAYON_NUM_THREADS` and `CANDLE_NUM_THREADS` are set already.
///
/// Without the first, candle 0.11 counts the cores again, from `/proc/cpuinfo`, for every matrix product, and a training step takes
/// more than twice as long. The second is for element-wise sums and products, where finished threads spin until the last one is
/// done: with one thread, a training from 100,000 recorded outputs takes 33 s of CPU time instead of 145 s.
///
/// # Safety
/// Sets environment variables. Call it only at the start of `main`, before there is another thread.
pub unsafe fn settle_thread_count() {
    let cores = candle_core::utils::get_num_threads().to_string();
    for (name, threads) in [("RAYON_NUM_THREADS", cores.as_str()), ("CANDLE_NUM_THREADS", "1")] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the caller's.
            unsafe { std::env::set_var(name, threads) };
        }
    }
}

fn open_named(
    choice: DeviceChoice,
    feature: &str,
    device: candle_core::Result<Device>,
) -> Result<(Device, Option<String>)> {
    match device {
        Ok(device) => Ok((device, None)),
        // candle's own text may carry a backtrace: its first line says enough.
        Err(error) => {
            let cause = error.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            bail!(
                "cannot open device `{choice}`: {cause}; hint: build with `--features {feature}`, or use `--device cpu`"
            )
        }
    }
}
