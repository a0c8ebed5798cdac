//! What NVML's answers mean.

use nvml_wrapper::error::NvmlError;

use crate::collect::gpu::fault::{Fault, Reason};
use crate::collect::gpu::reading::Reading;

/// The answers of one look at a GPU.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    reading: &'a mut Reading,
}

impl<'a> Calls<'a> {
    pub(super) fn new(reading: &'a mut Reading) -> Self {
        Self { reading }
    }

    /// The value, if there is one. What a GPU cannot tell is no fault; what it should have told is
    /// noted.
    ///
    /// # Errors
    /// That the GPU or its driver is gone, so that no other call would be answered either.
    pub(super) fn value<T>(
        &mut self,
        what: &'static str,
        answer: Result<T, NvmlError>,
    ) -> Result<Option<T>, Fault> {
        let error = match answer {
            Ok(value) => {
                self.reading.answered = true;
                return Ok(Some(value));
            }
            Err(error) => error,
        };
        if is_missing(&error) {
            return Ok(None);
        }
        let fault = fault(what, &error);
        if fault.reason == Reason::Failed {
            self.reading.faults.push(fault);
            return Ok(None);
        }
        Err(fault)
    }

    pub(super) fn reading(&mut self) -> &mut Reading {
        self.reading
    }
}

/// Whether it says that this GPU, this driver or this user has no such value.
pub(super) fn is_missing(error: &NvmlError) -> bool {
    matches!(
        error,
        NvmlError::NotSupported
            | NvmlError::NoData
            | NvmlError::NotFound
            | NvmlError::NoPermission
            | NvmlError::InvalidArg
            | NvmlError::FunctionNotFound
            | NvmlError::FailedToLoadSymbol(_)
    )
}

/// What an error of a call means.
pub(super) fn fault(what: &'static str, error: &NvmlError) -> Fault {
    let reason = match error {
        NvmlError::GpuLost | NvmlError::ResetRequired => Reason::Lost,
        NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch => {
            Reason::NoDriver
        }
        _ => Reason::Failed,
    };
    Fault::new(reason, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gpu_cannot_tell_is_no_fault() {
        let mut reading = Reading::default();
        let mut calls = Calls::new(&mut reading);
        assert_eq!(calls.value::<u32>("fan", Err(NvmlError::NotSupported)).unwrap(), None);
        assert_eq!(calls.value::<u32>("power", Err(NvmlError::Unknown)).unwrap(), None);
        let lost = calls.value::<u32>("power", Err(NvmlError::GpuLost)).unwrap_err();
        assert_eq!(lost.reason, Reason::Lost);
        assert!(!calls.reading().answered);
        assert_eq!(calls.value("power", Ok(3)).unwrap(), Some(3));
        assert_eq!((reading.answered, reading.faults.len()), (true, 1));
        assert_eq!(reading.faults[0].text, "power: an internal driver error occurred");
    }
}
