//! Small files of the kernel's, read with a limit: one that is missing or cannot be read is a value
//! that there is not.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Most bytes that are read of a file.
const LONGEST: u64 = 4096;

/// A folder of such files.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_dir()
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.0.join(name)).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The file's text, without space around it; none if it is empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = String::from_utf8(self.bytes(name)?).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// The same, where it may be negative.
    pub(super) fn signed(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// The first folder in `name`, in the order of names.
    pub(super) fn first_within(&self, name: &str) -> Option<Self> {
        let entries = fs::read_dir(self.0.join(name)).ok()?;
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).min().map(Self)
    }
}
