//! What goes wrong where values are read.

use std::io;
use std::path::PathBuf;

/// Why some values are not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// A file of the kernel's could not be read.
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file does not say what it always does.
    #[error("{path} has no valid `{wanted}`")]
    Missing { path: PathBuf, wanted: &'static str },
    /// There are more than are shown.
    #[cfg(feature = "host")]
    #[error("{left_out} of the {what} are left out, as there are more than {most}")]
    TooMany { what: &'static str, most: usize, left_out: usize },
    /// Whoever was to answer did not yet.
    #[cfg(feature = "host")]
    #[error("nothing came back after {0:?}")]
    Late(std::time::Duration),
    /// It is our own fault.
    #[cfg(feature = "host")]
    #[error("reading ended in a panic")]
    Panic,
    /// There was no thread to ask in.
    #[cfg(feature = "host")]
    #[error("no thread to read in")]
    Thread(#[source] io::Error),
    /// Several of them.
    #[cfg(feature = "host")]
    #[error("{0}")]
    All(String),
}

#[cfg(feature = "host")]
impl CollectError {
    /// All that went wrong as one; nothing if nothing did.
    pub(super) fn all(results: impl IntoIterator<Item = Result<(), Self>>) -> Result<(), Self> {
        let mut errors: Vec<Self> = results.into_iter().filter_map(Result::err).collect();
        match errors.len() {
            0 => Ok(()),
            1 => errors.pop().map_or(Ok(()), Err),
            _ => {
                let texts: Vec<_> =
                    errors.iter().map(|error| crate::causes::whole(error)).collect();
                Err(Self::All(texts.join("; ")))
            }
        }
    }
}
