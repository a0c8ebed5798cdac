//! The attribute on a whole impl block: each method is an endpoint, with choices of its own where it
//! says so.
//!
//! `cargo run --bin style-impl`

use std::collections::HashMap;
use std::sync::Mutex;

use dynamo_metrics::label::LabelValue;
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics::{encode, instrumented_endpoint};
use dynamo_metrics_examples::say;

/// A store of texts in memory.
struct Store {
    scope: Scope,
    texts: Mutex<HashMap<String, String>>,
}

/// Why there is no text.
#[derive(Debug, Clone, Copy, LabelValue)]
enum Missing {
    NeverStored,
    Empty,
}

#[instrumented_endpoint(scope = &self.scope)]
impl Store {
    fn put(&self, key: &str, text: &str) {
        if let Ok(mut texts) = self.texts.lock() {
            texts.insert(key.to_owned(), text.to_owned());
        }
    }

    /// Errors have labels of their own, out of an enum.
    #[instrumented_endpoint(err(label = |missing: &Missing| *missing))]
    fn get(&self, key: &str) -> Result<String, Missing> {
        let text = self.texts.lock().ok().and_then(|texts| texts.get(key).cloned());
        let text = text.ok_or(Missing::NeverStored)?;
        if text.is_empty() { Err(Missing::Empty) } else { Ok(text) }
    }

    /// Not worth a metric.
    #[instrumented_endpoint(skip)]
    fn len(&self) -> usize {
        self.texts.lock().map_or(0, |texts| texts.len())
    }
}

fn main() {
    let registry = Registry::new();
    let scope = registry.namespace("example").component("store");
    let store = Store { scope, texts: Mutex::default() };
    store.put("greeting", "hello");
    store.put("nothing", "");
    for key in ["greeting", "nothing", "elsewhere"] {
        say(&format!("{key}: {:?}\n", store.get(key)));
    }
    say(&format!("{} texts\n", store.len()));
    say(&encode::text(&registry));
}
