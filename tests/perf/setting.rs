//! Shared by the benchmarks: the allocator of the `lamas` command, and the device.

use candle_core::Device;
use lamas::device::DeviceChoice;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The device that `LAMAS_DEVICE` names, or else the CPU.
#[allow(dead_code, reason = "not every benchmark has a device")]
pub fn device() -> Device {
    let Ok(choice) = std::env::var("LAMAS_DEVICE") else { return Device::Cpu };
    let choice: DeviceChoice = choice.parse().expect("a device as on the command line");
    choice.open().expect("the device").0
}
