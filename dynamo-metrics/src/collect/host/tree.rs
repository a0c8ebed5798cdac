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

    /// The same of a file that differs between processes.
    pub(super) fn missing_of_process(&self, file: &str, wanted: &'static str) -> CollectError {
        let process = if self.is_own { "self" } else { "1" };
        self.missing(&format!("proc/{process}/{file}"), wanted)
    }

    pub(super) fn missing(&self, path: &str, wanted: &'static str) -> CollectError {
        CollectError::Missing { path: self.path(path), wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_by_the_path_that_was_read() {
        for (root, path) in [("/", "/proc/self/net/dev"), ("/host", "/host/proc/1/net/dev")] {
            let missing = Tree::new(root.into()).missing_of_process("net/dev", "eth0");
            assert_eq!(missing.to_string(), format!("{path} has no valid `eth0`"));
        }
    }
}
