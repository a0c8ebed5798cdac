//! Why something of a GPU could not be read.

/// What went wrong: a label of its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The driver's library is not there, or cannot be loaded.
    NoLibrary,
    /// The driver is not loaded, or does not fit its library.
    NoDriver,
    /// The GPU fell off the bus, or needs a reset.
    Lost,
    /// A value could not be read.
    Failed,
    /// The driver did not answer in time.
    Timeout,
    /// There are more GPUs than are looked at.
    TooMany,
    /// Whoever read it panicked.
    Panic,
    /// The system gave no thread.
    NoThread,
}

/// Something that went wrong.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) text: String,
}

impl Reason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoLibrary => "no_library",
            Self::NoDriver => "no_driver",
            Self::Lost => "gpu_lost",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::TooMany => "too_many",
            Self::Panic => "panic",
            Self::NoThread => "no_thread",
        }
    }

    /// Whether it says that this machine has no GPU of this driver's.
    pub(super) const fn is_absence(self) -> bool {
        matches!(self, Self::NoLibrary | Self::NoDriver)
    }
}

impl Fault {
    pub(super) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}
