//! Files that are read again while the process runs.
//!
//! What is compared is what the files hold, not when they changed: time stamps are coarse, and some
//! tools keep them.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::blocking;
use crate::clock::{self, Instant};

/// Files are looked at no more often.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest file that is read, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Something made of files.
pub(super) trait Source: Send + Sync + 'static {
    /// What the files hold.
    type Settings: PartialEq + Send + Sync + 'static;
    type Value: Send + Sync + 'static;
    type Error: Error + Send + Sync + 'static;

    fn read(&self) -> Result<Self::Settings, Self::Error>;

    /// Makes the value; `before` is what it was.
    fn build(
        &self,
        settings: &Self::Settings,
        before: Option<&Now<Self>>,
    ) -> Result<Self::Value, Self::Error>;
}

/// How things are.
pub(super) struct Now<S: Source + ?Sized> {
    pub(super) settings: Arc<S::Settings>,
    /// Of the last files that were right.
    pub(super) value: Arc<S::Value>,
    /// Whether the files are wrong by now, and how.
    broken: Option<String>,
    checked: Instant,
}

pub(super) struct Watched<S: Source> {
    source: Arc<S>,
    now: ArcSwap<Now<S>>,
    check: Mutex<()>,
}

impl<S: Source> Now<S> {
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// What is logged.
    #[cfg(all(test, feature = "web-config"))]
    pub(super) fn why(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// How things are after another look.
    fn next(&self, source: &S) -> Self {
        let checked = clock::now();
        let read = source.read().and_then(|settings| {
            if settings == *self.settings {
                return Ok((self.settings.clone(), self.value.clone()));
            }
            let value = source.build(&settings, Some(self))?;
            Ok((Arc::new(settings), Arc::new(value)))
        });
        match read {
            Ok((settings, value)) => Self { settings, value, broken: None, checked },
            Err(error) => self.failed(chain(&error), checked),
        }
    }

    fn failed(&self, why: String, checked: Instant) -> Self {
        let (settings, value) = (self.settings.clone(), self.value.clone());
        Self { settings, value, broken: Some(why), checked }
    }
}

impl<S: Source> Watched<S> {
    /// Reads the files for the first time; it blocks while it does.
    pub(super) fn new(source: S) -> Result<Self, S::Error> {
        let checked = clock::now();
        let settings = source.read()?;
        let value = Arc::new(source.build(&settings, None)?);
        let now = Now { settings: Arc::new(settings), value, broken: None, checked };
        let now = ArcSwap::from_pointee(now);
        Ok(Self { source: Arc::new(source), now, check: Mutex::new(()) })
    }

    /// How things were at the last look.
    pub(super) fn last(&self) -> Arc<Now<S>> {
        self.now.load_full()
    }

    /// How things are, by a look that is no older than a second.
    pub(super) async fn now(&self) -> Arc<Now<S>> {
        if let Some(now) = self.fresh() {
            return now;
        }
        // Whoever comes meanwhile waits for this look: what it had would be too old.
        let _turn = self.check.lock().await;
        if let Some(now) = self.fresh() {
            return now;
        }
        let (source, before) = (self.source.clone(), self.last());
        let next = blocking(move || before.next(&source)).await;
        let before = self.last();
        // The clock is asked here, since threads of a pool know no clock of a test.
        let next = match next {
            Some(next) => Now { checked: clock::now(), ..next },
            None => before.failed("the runtime is ending".to_owned(), clock::now()),
        };
        match (&before.broken, &next.broken) {
            (Some(_), None) => tracing::info!("the exporter's configuration is right again"),
            (before, Some(why)) if before.as_ref() != Some(why) => {
                tracing::error!(why, "the exporter's configuration is broken: nobody is let in");
            }
            _ => {}
        }
        let next = Arc::new(next);
        self.now.store(next.clone());
        next
    }

    fn fresh(&self) -> Option<Arc<Now<S>>> {
        let now = self.last();
        (now.checked.elapsed() < PAUSE).then_some(now)
    }
}

/// What a file holds, or `None` if it is too long.
pub(super) fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut content = Zeroizing::new(Vec::new());
    let read = File::open(path)?.take(LONGEST + 1).read_to_end(&mut content)?;
    Ok((read as u64 <= LONGEST).then_some(content))
}

/// An error, and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}
