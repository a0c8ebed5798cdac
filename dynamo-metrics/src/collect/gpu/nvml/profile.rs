//! Counters of the GPU's own (GPM), which Hopper and later have: how busy its parts are.

use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::gpm::{GpmSample, gpm_metrics_get};
use nvml_wrapper::{Device, Nvml};

use super::calls::Calls;
use crate::collect::gpu::fault::Fault;
use crate::collect::gpu::reading::Profiled;

/// Bytes of what NVML counts traffic in.
const MEBI: f64 = 1_048_576.0;

/// Compares what the counters are with what they were.
#[derive(Debug)]
pub(super) struct Profiler<'nvml> {
    nvml: &'nvml Nvml,
    is_supported: bool,
    last: Option<GpmSample<'nvml>>,
}

impl<'nvml> Profiler<'nvml> {
    pub(super) fn new(nvml: &'nvml Nvml, device: &Device<'nvml>) -> Self {
        let is_supported = device.gpm_support().unwrap_or(false);
        Self { nvml, is_supported, last: None }
    }

    /// Reads the means since it was last called.
    ///
    /// # Errors
    /// That the GPU is gone.
    pub(super) fn read(
        &mut self,
        device: &Device<'nvml>,
        calls: &mut Calls<'_>,
    ) -> Result<(), Fault> {
        if !self.is_supported {
            return Ok(());
        }
        let sample = calls.value("GPM sample", device.gpm_sample())?;
        let before = std::mem::replace(&mut self.last, sample);
        let mut profile = [None; Profiled::ALL.len()];
        if let (Some(before), Some(now)) = (&before, &self.last) {
            let answer = gpm_metrics_get(self.nvml, before, now, &Profiled::ALL.map(metric));
            let values = calls.value("GPM metrics", answer)?.unwrap_or_default();
            for (what, value) in Profiled::ALL.into_iter().zip(values) {
                // Some of them are not counted on every GPU, or not yet.
                let value = calls.value("GPM metric", value)?.map(|result| result.value);
                profile[what as usize] = value.filter(|value| value.is_finite()).map(base(what));
            }
        }
        calls.reading().profile = profile;
        Ok(())
    }
}

fn metric(what: Profiled) -> GpmMetricId {
    match what {
        Profiled::Graphics => GpmMetricId::GraphicsUtil,
        Profiled::Sm => GpmMetricId::SmUtil,
        Profiled::Occupancy => GpmMetricId::SmOccupancy,
        Profiled::Tensor => GpmMetricId::AnyTensorUtil,
        Profiled::Dram => GpmMetricId::DramBwUtil,
        Profiled::PcieReceive => GpmMetricId::PcieRxPerSec,
        Profiled::PcieSend => GpmMetricId::PcieTxPerSec,
        Profiled::NvlinkReceive => GpmMetricId::NvlinkTotalRxPerSec,
        Profiled::NvlinkSend => GpmMetricId::NvlinkTotalTxPerSec,
    }
}

/// In base units: NVML tells percents and MiB a second.
fn base(what: Profiled) -> impl Fn(f64) -> f64 {
    let is_traffic = matches!(
        what,
        Profiled::PcieReceive | Profiled::PcieSend | Profiled::NvlinkReceive | Profiled::NvlinkSend
    );
    move |value| if is_traffic { value * MEBI } else { value / 100.0 }
}
