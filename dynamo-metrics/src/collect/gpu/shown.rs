//! What is shown of one GPU, in all sets.

use super::GpuNames;
use super::base::Base;
use super::dcgm::Dcgm;
use super::labels::{Identity, MigIdentity, Words};
use super::reading::{Facts, Mig, Process, Reading};
use crate::registry::{RegisterError, Scope};

/// Most processes that are shown of a GPU.
const MOST_PROCESSES: usize = 64;

/// Most parts that are shown of a GPU; NVIDIA's have seven.
const MOST_PARTS: usize = 16;

/// The sets that were asked for.
#[derive(Debug)]
pub(super) struct Sets {
    dcgm: Option<Dcgm>,
    base: Option<Base>,
    words: Words,
}

/// What is shown of one GPU at the moment.
#[derive(Debug)]
pub(super) struct Shown {
    of: Identity,
    migs: Vec<(Mig, MigIdentity)>,
    processes: Vec<Process>,
}

impl Sets {
    pub(super) fn register(
        scope: &Scope,
        names: GpuNames,
        host: &[(&str, &str)],
    ) -> Result<Self, RegisterError> {
        let dcgm = matches!(names, GpuNames::Dcgm | GpuNames::Both);
        let base = matches!(names, GpuNames::Base | GpuNames::Both);
        Ok(Self {
            dcgm: dcgm.then(|| Dcgm::register(scope, host)).transpose()?,
            base: base.then(|| Base::register(scope)).transpose()?,
            words: Words::default(),
        })
    }

    /// Shows a GPU that is there, and nothing of it yet.
    pub(super) fn start(&self, facts: &Facts) -> Shown {
        Shown { of: self.words.identity(facts), migs: Vec::new(), processes: Vec::new() }
    }

    /// Shows what was read of a GPU.
    pub(super) fn show(&self, shown: &mut Shown, reading: &Reading) {
        if let Some(dcgm) = &self.dcgm {
            dcgm.show(&shown.of, reading);
        }
        if let Some(base) = &self.base {
            base.show(&shown.of, reading);
        }
        self.show_processes(shown, &reading.processes);
        self.show_migs(shown, &reading.migs);
        // Last, so that all of it is there once it is up.
        if let Some(base) = &self.base {
            base.show_up(&shown.of, true);
        }
    }

    /// Shows of a GPU only that it does not answer.
    pub(super) fn show_down(&self, shown: &mut Shown) {
        if let Some(dcgm) = &self.dcgm {
            dcgm.clear(&shown.of);
        }
        if let Some(base) = &self.base {
            base.clear(&shown.of);
        }
        self.show_processes(shown, &[]);
        self.show_migs(shown, &[]);
        if let Some(base) = &self.base {
            base.show_up(&shown.of, false);
        }
    }

    /// Shows nothing of a GPU.
    pub(super) fn forget(&self, of: &Identity) {
        if let Some(dcgm) = &self.dcgm {
            dcgm.clear(of);
        }
        if let Some(base) = &self.base {
            base.forget(of);
        }
    }

    pub(super) fn count_xid(&self, of: &Identity, xid: u64) {
        if let Some(base) = &self.base {
            base.count_xid(of, xid);
        }
    }

    fn show_processes(&self, shown: &mut Shown, processes: &[Process]) {
        let Some(base) = &self.base else { return };
        let mut processes = processes.to_vec();
        processes.sort_unstable_by_key(|process| std::cmp::Reverse(process.memory));
        processes.truncate(MOST_PROCESSES);
        for gone in &shown.processes {
            let same = |other: &Process| (other.pid, other.kind) == (gone.pid, gone.kind);
            if !processes.iter().any(same) {
                base.forget_process(&shown.of, gone);
            }
        }
        for process in &processes {
            base.show_process(&shown.of, process);
        }
        shown.processes = processes;
    }

    fn show_migs(&self, shown: &mut Shown, migs: &[Mig]) {
        let is_same = |one: &Mig, other: &Mig| {
            (&one.instance, &one.profile, &one.uuid)
                == (&other.instance, &other.profile, &other.uuid)
        };
        let (stay, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut shown.migs)
            .into_iter()
            .partition(|(old, _)| migs.iter().any(|mig| is_same(mig, old)));
        // First those that go: another one may have labels of theirs.
        for (_, of) in &gone {
            self.show_mig(of, None);
        }
        shown.migs = stay;
        for mig in migs.iter().take(MOST_PARTS) {
            let known = shown.migs.iter().find(|(old, _)| is_same(mig, old));
            let known = known.map(|(_, of)| of.clone());
            let of = known.unwrap_or_else(|| {
                let of = self.words.mig(&shown.of, mig);
                shown.migs.push((mig.clone(), of.clone()));
                of
            });
            self.show_mig(&of, Some(mig));
        }
    }

    fn show_mig(&self, of: &MigIdentity, mig: Option<&Mig>) {
        let memory = mig.map(|mig| mig.memory);
        if let Some(dcgm) = &self.dcgm {
            dcgm.show_mig(of, memory);
        }
        if let Some(base) = &self.base {
            base.show_mig(of, memory);
        }
    }
}

impl Shown {
    pub(super) fn of(&self) -> &Identity {
        &self.of
    }
}
