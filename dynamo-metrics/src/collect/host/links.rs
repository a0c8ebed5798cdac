//! What network devices say of themselves. Their drivers may be slow to, and one may hang.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Tree;
use crate::clock::{self, Instant};
use crate::collect::aside::{Aside, Turn};
use crate::collect::error::CollectError;
use crate::collect::files::number;

/// How often devices are asked, unless there is a new one.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// Whether a device is up, and how many bytes it carries in a second.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Link {
    pub(super) up: Option<f64>,
    pub(super) speed: Option<f64>,
}

/// What devices said, who are asked in a thread of its own.
pub(super) struct Links {
    shared: Arc<Shared>,
    aside: Aside,
    asked: Option<Instant>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    /// Those to ask.
    devices: Vec<String>,
    /// Those that somebody is asking, and did not come back from.
    asking: HashSet<String>,
    said: HashMap<String, Link>,
}

impl Links {
    pub(super) fn new(tree: Tree) -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let aside = Aside::new(move |turn| {
            own.ask(&tree, turn);
            Ok(())
        });
        Self { shared, aside, asked: None }
    }

    /// Asks `devices`, if it is time or one of them is new; waits a moment for what they say.
    pub(super) fn refresh(&mut self, devices: &[String]) -> Result<(), CollectError> {
        let is_one_new = {
            let state = self.shared.lock();
            devices.iter().any(|device| !state.said.contains_key(device))
        };
        if !is_one_new && self.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return Ok(());
        }
        self.asked = Some(clock::now());
        self.shared.lock().devices = devices.to_vec();
        let started = self.aside.start()?;
        self.aside.finish(&started)
    }

    /// What a device said last; nothing while it hangs.
    pub(super) fn of(&self, device: &str) -> Link {
        self.shared.lock().said.get(device).copied().unwrap_or_default()
    }
}

impl Shared {
    /// Asks one after another. One that hangs is left out by whoever takes over.
    fn ask(&self, tree: &Tree, turn: &Turn) {
        let devices = self.lock().devices.clone();
        for device in &devices {
            let is_free = self.lock().asking.insert(device.clone());
            let link = if is_free { Link::ask(device, tree) } else { Link::default() };
            let mut state = self.lock();
            if is_free {
                state.asking.remove(device);
            }
            if !turn.is_current() {
                return;
            }
            state.said.insert(device.clone(), link);
        }
        let devices: HashSet<String> = devices.into_iter().collect();
        self.lock().said.retain(|device, _| devices.contains(device));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn ask(name: &str, tree: &Tree) -> Self {
        let say = |file: &str| tree.read(&format!("sys/class/net/{name}/{file}")).ok();
        let up = say("operstate").map(|state| f64::from(u8::from(state.trim() == "up")));
        // In millions of bits; what has no speed says -1, or nothing.
        let speed = say("speed").and_then(|speed| number(speed.trim()));
        Self { up, speed: speed.map(|speed| speed * 125e3) }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("aside", &self.aside).finish_non_exhaustive()
    }
}
