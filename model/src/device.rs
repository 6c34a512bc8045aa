//! The device that models run on: the CPU, or a GPU through CUDA.
//!
//! Contract: no silent fallback. If [`Device::Cuda`] is not available, that is an error; [`Device::Auto`]
//! logs which device was chosen and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};

/// The device that a model should run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// The first CUDA device; an error if there is none.
    Cuda,
    /// The first CUDA device, or the CPU if there is none.
    Auto,
}

impl Device {
    /// Checks that this build supports the device.
    ///
    /// # Errors
    ///
    /// It is [`Device::Cuda`], and the build lacks the feature `cuda`.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Cuda if !cfg!(feature = "cuda") => Err(ModelError::option(
                "device",
                self,
                "this build has no CUDA: build it with the feature `cuda`, or choose cpu or auto",
            )),
            _ => Ok(()),
        }
    }

    /// The result of `open_cuda`, or `None` for the CPU. `what` names the work in the log.
    ///
    /// # Errors
    ///
    /// It is [`Device::Cuda`], and this build or this machine has none.
    pub fn open<T, E: fmt::Display>(
        self,
        what: &'static str,
        open_cuda: impl FnOnce() -> Result<T, E>,
    ) -> Result<Option<T>> {
        self.check()?;
        if self == Self::Cpu || !cfg!(feature = "cuda") {
            if self == Self::Auto {
                tracing::info!(what, device = "cpu", "this build has no CUDA");
            }
            return Ok(None);
        }
        match open_cuda() {
            Ok(opened) => {
                tracing::info!(what, device = "cuda", "computing on the GPU");
                Ok(Some(opened))
            }
            Err(error) if self == Self::Auto => {
                tracing::warn!(what, device = "cpu", %error, "no CUDA device can be used");
                Ok(None)
            }
            Err(error) => {
                Err(ModelError::option("device", self, format!("no CUDA device can be used: {error}")))
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Auto => "auto",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_auto_falls_back() {
        let failing = || Err::<(), _>("no driver");
        assert_eq!(Device::Cpu.open("a test", failing).unwrap(), None);
        assert_eq!(Device::Auto.open("a test", failing).unwrap(), None);
        let error = Device::Cuda.open("a test", failing).unwrap_err().to_string();
        let reason = if cfg!(feature = "cuda") { "no driver" } else { "with the feature `cuda`" };
        assert!(error.contains("`device` is cuda but") && error.contains(reason), "{error}");
    }
}
