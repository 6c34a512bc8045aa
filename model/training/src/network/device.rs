//! Opening the device that computes passes.

use fenliu_model::{Device, Result};

use super::Passes;

/// Passes on `device`; `None` for the CPU, where the network computes its passes itself.
///
/// # Errors
///
/// A CUDA device is wanted, and this build or this machine has none.
#[cfg(feature = "cuda")]
pub(crate) fn open_device(device: Device, mixed_precision: bool) -> Result<Option<Box<dyn Passes>>> {
    let passes = device.open("training", || super::candle::Accelerator::on_cuda(mixed_precision))?;
    Ok(passes.map(|passes| Box::new(passes) as Box<dyn Passes>))
}

/// Passes on `device`; always `None` in a build without the feature `cuda`.
///
/// # Errors
///
/// A CUDA device is wanted.
#[cfg(not(feature = "cuda"))]
pub(crate) fn open_device(device: Device, _mixed_precision: bool) -> Result<Option<Box<dyn Passes>>> {
    device.open("training", || Err("this build has no CUDA"))
}
