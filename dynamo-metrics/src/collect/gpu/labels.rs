//! Labels of GPUs: text that drivers tell, and no more of it than there is room for.

use super::reading::{Clock, Error, Facts, Lifetime, Mig, Policy, ThrottleReason, Vendor};
use crate::label::{Bounded, LabelSet, Vocabulary};

/// Most GPUs that are looked at, of each driver; and most values that any of their labels has.
pub(super) const MOST: usize = 128;

type Word = Bounded<MOST>;

/// Every text that became a label; what is too much reads `_other`.
#[derive(Debug, Default)]
pub(super) struct Words {
    gpu: Vocabulary<MOST>,
    uuid: Vocabulary<MOST>,
    pci_bus_id: Vocabulary<MOST>,
    device: Vocabulary<MOST>,
    model: Vocabulary<MOST>,
    serial: Vocabulary<MOST>,
    vbios: Vocabulary<MOST>,
    driver: Vocabulary<MOST>,
    instance: Vocabulary<MOST>,
    profile: Vocabulary<MOST>,
    /// Apart from those of GPUs: parts come and go, and are not to take a GPU's place.
    mig_uuid: Vocabulary<MOST>,
}

/// A GPU, in our own metrics.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct Gpu {
    pub(super) gpu: Word,
    pub(super) uuid: Word,
}

/// The facts of a GPU.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct GpuFacts {
    gpu: Word,
    uuid: Word,
    vendor: Vendor,
    model: Word,
    pci_bus_id: Word,
    device: Word,
    serial: Word,
    vbios: Word,
    driver: Word,
}

/// A GPU, as DCGM's exporter tells it.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct DcgmGpu {
    gpu: Word,
    #[label(rename = "UUID")]
    uuid: Word,
    pci_bus_id: Word,
    device: Word,
    #[label(rename = "modelName")]
    model: Word,
}

/// A part of a GPU, as DCGM's exporter tells it.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct DcgmMig {
    gpu: Word,
    #[label(rename = "UUID")]
    uuid: Word,
    pci_bus_id: Word,
    device: Word,
    #[label(rename = "modelName")]
    model: Word,
    #[label(rename = "GPU_I_PROFILE")]
    profile: Word,
    #[label(rename = "GPU_I_ID")]
    instance: Word,
}

/// A part of a GPU, in our own metrics.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct MigGpu {
    gpu: Word,
    uuid: Word,
    instance: Word,
    profile: Word,
    mig_uuid: Word,
}

/// A clock of a GPU.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct ClockOf {
    gpu: Word,
    uuid: Word,
    clock: Clock,
}

/// What may keep the clocks of a GPU down.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct ReasonOf {
    gpu: Word,
    uuid: Word,
    reason: ThrottleReason,
}

/// What keeps the clocks of a GPU down, where its time is counted.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct PolicyOf {
    gpu: Word,
    uuid: Word,
    policy: Policy,
}

/// A kind of error of a GPU's memory.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct ErrorOf {
    gpu: Word,
    uuid: Word,
    error: Error,
}

/// The same, by how long it has been counted.
#[derive(Debug, Clone, LabelSet)]
pub(super) struct CountedErrorOf {
    gpu: Word,
    uuid: Word,
    error: Error,
    lifetime: Lifetime,
}

/// All that tells a GPU from others.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) gpu: Gpu,
    pub(super) facts: GpuFacts,
    pub(super) dcgm: DcgmGpu,
}

/// All that tells a part of a GPU from others.
#[derive(Debug, Clone)]
pub(super) struct MigIdentity {
    pub(super) mig: MigGpu,
    pub(super) dcgm: DcgmMig,
}

impl Words {
    pub(super) fn identity(&self, facts: &Facts) -> Identity {
        let (gpu, uuid) =
            (word(&self.gpu, &facts.index.to_string()), word(&self.uuid, &facts.uuid));
        let (pci_bus_id, device) =
            (word(&self.pci_bus_id, &facts.pci_bus_id), word(&self.device, &facts.device));
        let model = word(&self.model, &facts.model);
        Identity {
            gpu: Gpu { gpu: gpu.clone(), uuid: uuid.clone() },
            facts: GpuFacts {
                gpu: gpu.clone(),
                uuid: uuid.clone(),
                vendor: facts.vendor,
                model: model.clone(),
                pci_bus_id: pci_bus_id.clone(),
                device: device.clone(),
                serial: word(&self.serial, &facts.serial),
                vbios: word(&self.vbios, &facts.vbios),
                driver: word(&self.driver, &facts.driver),
            },
            dcgm: DcgmGpu { gpu, uuid, pci_bus_id, device, model },
        }
    }

    pub(super) fn mig(&self, of: &Identity, mig: &Mig) -> MigIdentity {
        let (instance, profile) =
            (word(&self.instance, &mig.instance), word(&self.profile, &mig.profile));
        let Gpu { gpu, uuid } = of.gpu.clone();
        let DcgmGpu { pci_bus_id, device, model, .. } = of.dcgm.clone();
        MigIdentity {
            mig: MigGpu {
                gpu: gpu.clone(),
                uuid: uuid.clone(),
                instance: instance.clone(),
                profile: profile.clone(),
                mig_uuid: word(&self.mig_uuid, &mig.uuid),
            },
            dcgm: DcgmMig { gpu, uuid, pci_bus_id, device, model, profile, instance },
        }
    }
}

impl Gpu {
    pub(super) fn clock(&self, clock: Clock) -> ClockOf {
        let Self { gpu, uuid } = self.clone();
        ClockOf { gpu, uuid, clock }
    }

    pub(super) fn reason(&self, reason: ThrottleReason) -> ReasonOf {
        let Self { gpu, uuid } = self.clone();
        ReasonOf { gpu, uuid, reason }
    }

    pub(super) fn policy(&self, policy: Policy) -> PolicyOf {
        let Self { gpu, uuid } = self.clone();
        PolicyOf { gpu, uuid, policy }
    }

    pub(super) fn error(&self, error: Error) -> ErrorOf {
        let Self { gpu, uuid } = self.clone();
        ErrorOf { gpu, uuid, error }
    }

    pub(super) fn counted(&self, error: Error, lifetime: Lifetime) -> CountedErrorOf {
        let Self { gpu, uuid } = self.clone();
        CountedErrorOf { gpu, uuid, error, lifetime }
    }
}

fn word(words: &Vocabulary<MOST>, text: &str) -> Word {
    words.get(text).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::gpu::reading::Memory;

    fn facts(index: u32) -> Facts {
        Facts {
            vendor: Vendor::Nvidia,
            index,
            uuid: format!("GPU-{index}"),
            model: "NVIDIA H200".into(),
            pci_bus_id: format!("00000000:{index:02X}:00.0"),
            device: format!("nvidia{index}"),
            serial: String::new(),
            vbios: String::new(),
            driver: String::new(),
        }
    }

    #[test]
    fn what_drivers_tell_is_bounded() {
        let words = Words::default();
        let most = u32::try_from(MOST).unwrap();
        let uuids: Vec<_> =
            (0..most + 2).map(|index| words.identity(&facts(index)).gpu.uuid).collect();
        assert!(!uuids[MOST - 1].is_other());
        assert!(uuids[MOST].is_other() && uuids[MOST + 1].is_other());
        assert_eq!(words.identity(&facts(3)).gpu.uuid.as_str(), "GPU-3");
    }

    #[test]
    fn parts_that_come_and_go_leave_gpus_their_names() {
        let words = Words::default();
        let of = words.identity(&facts(0));
        let memory = Memory { total: 0, used: 0, free: 0, reserved: None };
        let parts: Vec<_> = (0..=MOST)
            .map(|part| {
                let (instance, profile) = (String::new(), String::new());
                words.mig(&of, &Mig { instance, profile, uuid: format!("MIG-{part}"), memory })
            })
            .collect();
        assert!(!parts[MOST - 1].mig.mig_uuid.is_other() && parts[MOST].mig.mig_uuid.is_other());
        assert_eq!(words.identity(&facts(1)).gpu.uuid.as_str(), "GPU-1");
    }

    #[test]
    fn labels_are_called_as_the_exporter_of_dcgm_calls_them() {
        assert_eq!(DcgmGpu::NAMES, ["gpu", "UUID", "pci_bus_id", "device", "modelName"]);
        assert_eq!(DcgmMig::NAMES[5..], ["GPU_I_PROFILE", "GPU_I_ID"]);
    }
}
