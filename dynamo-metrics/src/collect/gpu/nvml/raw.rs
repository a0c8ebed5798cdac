//! The one call of NVML that `nvml-wrapper` has no safe way to: the number of a part's GPU instance,
//! by which dashboards tell the parts of a GPU apart.

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};

/// The number of the GPU instance that `mig` is of.
///
/// # Errors
/// Those of `nvmlDeviceGetGpuInstanceId`.
#[expect(unsafe_code, reason = "nvml-wrapper binds this function, and does not wrap it")]
pub(super) fn gpu_instance_id(mig: &Device<'_>) -> Result<u32, NvmlError> {
    let call = nvml_sym(mig.nvml().lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: the symbol is of the library that made the handle, which is loaded and initialised for
    // as long as `mig` borrows from it. NVML checks what the handle is of, writes one number to where
    // `id` is, and keeps neither.
    nvml_try(unsafe { call(mig.handle(), &raw mut id) })?;
    Ok(id)
}
