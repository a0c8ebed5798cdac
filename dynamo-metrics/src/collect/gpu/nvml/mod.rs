//! NVIDIA's GPUs, by NVML: a library that comes with the driver, and is loaded when it is there.

mod calls;
mod events;
mod gpu;
mod profile;
mod raw;

use std::path::PathBuf;
use std::sync::Arc;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::fault::{Fault, Reason};
use super::labels::MOST;
use super::pool::{Driver, Job, Worker};
use calls::fault;
use gpu::Gpu;

/// NVML, once it is loaded.
#[derive(Debug)]
pub(super) struct NvmlDriver {
    library: Option<PathBuf>,
    nvml: Option<Arc<Nvml>>,
}

impl NvmlDriver {
    /// The library at this path, or the one that the system finds.
    pub(super) fn new(library: Option<PathBuf>) -> Self {
        Self { library, nvml: None }
    }

    fn load(&mut self) -> Result<Arc<Nvml>, Fault> {
        if let Some(nvml) = &self.nvml {
            return Ok(Arc::clone(nvml));
        }
        let mut builder = Nvml::builder();
        if let Some(path) = &self.library {
            builder.lib_path(path.as_os_str());
        }
        let nvml = Arc::new(builder.init().map_err(|error| match error {
            NvmlError::LibloadingError(_)
            | NvmlError::FailedToLoadSymbol(_)
            | NvmlError::LibraryNotFound => Fault::new(Reason::NoLibrary, error.to_string()),
            // The driver is there, and nothing for it to drive.
            NvmlError::NotFound => Fault::new(Reason::NoDriver, error.to_string()),
            error => fault("init", &error),
        })?);
        self.nvml = Some(Arc::clone(&nvml));
        Ok(nvml)
    }
}

impl Driver for NvmlDriver {
    const NAME: &'static str = "nvml";

    fn look(&mut self, lost: bool) -> Result<Vec<(u32, Job)>, Fault> {
        if lost {
            // What comes back is seen by who loads the library anew.
            self.nvml = None;
        }
        let nvml = self.load()?;
        let count = nvml.device_count().map_err(|error| {
            self.nvml = None;
            fault("device count", &error)
        })?;
        // One more, so that it shows that they are too many.
        let most = u32::try_from(MOST + 1).unwrap_or(u32::MAX);
        let job = |index| {
            let nvml = Arc::clone(&nvml);
            let job: Job = Box::new(move |worker| sample(&nvml, index, worker));
            (index, job)
        };
        Ok((0..count.min(most)).map(job).collect())
    }
}

/// Samples a GPU until it is gone.
fn sample(nvml: &Arc<Nvml>, index: u32, worker: &Arc<Worker>) -> Result<(), Fault> {
    let (mut gpu, facts) = worker.ask(|| {
        let device = nvml.device_by_index(index).map_err(|error| fault("handle", &error))?;
        let facts = gpu::facts(nvml, &device, index)?;
        Ok::<_, Fault>((Gpu::new(nvml, device), facts))
    })?;
    if !worker.begin(&facts) {
        return Ok(());
    }
    if let Err(fault) = events::listen(nvml, index, worker) {
        // It costs the XIDs, and nothing else.
        worker.count(fault);
    }
    worker.sample(|depth, reading| gpu.read(depth, reading))
}
