//! Where the kernel's files are.

use std::path::{Path, PathBuf};

use crate::collect::error::CollectError;
use crate::collect::files::read;

/// The machine's file system, which need not be this process's own.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: PathBuf,
    is_own: bool,
}

impl Tree {
    pub(super) fn new(root: PathBuf) -> Self {
        let is_own = root == Path::new("/");
        Self { root, is_own }
    }

    /// The path of a file that the machine calls `path`.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(super) fn read(&self, path: &str) -> Result<String, CollectError> {
        read(&self.path(path))
    }

    /// A file of `/proc` that differs between processes: as this process sees it, or, in another
    /// tree, as that machine's first process does.
    pub(super) fn read_of_process(&self, file: &str) -> Result<String, CollectError> {
        let own = || self.read(&format!("proc/self/{file}"));
        if self.is_own { own() } else { self.read(&format!("proc/1/{file}")).or_else(|_| own()) }
    }

    pub(super) fn missing(&self, path: &str, wanted: &'static str) -> CollectError {
        CollectError::Missing { path: self.path(path), wanted }
    }
}
