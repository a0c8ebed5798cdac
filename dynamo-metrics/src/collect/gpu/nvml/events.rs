//! Critical errors (XIDs), as NVML reports them: by events, which somebody has to wait for.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;

use super::calls::{fault, is_missing};
use crate::collect::gpu::fault::{Fault, Reason};
use crate::collect::gpu::pool::Worker;

/// How long to wait for an event, in milliseconds: so late does the thread notice that it is to end.
const WAIT: u32 = 1000;

/// How long to rest after a wait that failed.
const REST: Duration = Duration::from_secs(1);

/// What NVML calls an XID that it does not know.
const UNKNOWN: u64 = 999;

/// Counts the XIDs of a GPU, in a thread of its own, for as long as `worker` samples it and once more:
/// a GPU that falls off the bus may say so after it is missed.
///
/// # Errors
/// That there is no thread.
pub(super) fn listen(nvml: &Arc<Nvml>, index: u32, worker: &Arc<Worker>) -> Result<(), Fault> {
    let (nvml, worker) = (Arc::clone(nvml), Arc::clone(worker));
    let run = move || {
        // A driver that failed once may have them later.
        while let Err(error) = wait(&nvml, index, &worker) {
            if is_missing(&error) {
                return;
            }
            let fault = fault("events", &error);
            // Who samples it says that it is lost.
            if fault.reason != Reason::Failed {
                return;
            }
            worker.count(fault);
            if !worker.rest(REST) {
                return;
            }
        }
    };
    let started = thread::Builder::new().name(format!("nvml-{index}-xid")).spawn(run);
    started.map(drop).map_err(|error| Fault::new(Reason::NoThread, error.to_string()))
}

fn wait(nvml: &Nvml, index: u32, worker: &Worker) -> Result<(), NvmlError> {
    let device = nvml.device_by_index(index)?;
    let wanted = EventTypes::CRITICAL_XID_ERROR;
    if !device.supported_event_types()?.contains(wanted) {
        return Ok(());
    }
    let set = nvml.create_event_set()?;
    let set = device.register_events(wanted, set).map_err(|error| error.error)?;
    worker.hears_xids();
    loop {
        let is_last = worker.is_over();
        if worker.is_stopped() {
            return Ok(());
        }
        match set.wait(WAIT) {
            Ok(event) => match event.event_data {
                Some(XidError::Value(xid)) => worker.xid(xid),
                Some(XidError::Unknown) => worker.xid(UNKNOWN),
                None => {}
            },
            Err(_) if is_last => return Ok(()),
            Err(NvmlError::Timeout) => {}
            Err(error) => return Err(error),
        }
    }
}
