//! Nodes: what a registry keeps for each place of its tree, and how places come and go.

use std::any::Any;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use foldhash::fast::RandomState;
use papaya::{Equivalent, HashMap};

use super::catalogue::Listed;
use super::error::RegisterError;
use super::errors::Errors;
use super::index::Index;
use super::list::List;
use super::source::Asked;

/// Most sets that are listed, counting each prefix: a bound for those who make prefixes up as they go.
const MOST_SETS: usize = 4_096;

/// What all scopes of a registry share.
pub(super) struct Tree {
    /// Its own, in the process.
    pub(super) number: u64,
    pub(super) index: Index,
    pub(super) worker_id: Option<Box<str>>,
    pub(super) series_cap: u64,
    pub(super) collect_errors: Arc<Errors>,
    /// What floors above keep for the whole registry.
    #[cfg(feature = "exporter")]
    pub(super) in_common: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// What is asked before a gather, of all places, in the order in which it came.
    asked: List<Asked>,
    /// Held by those who change it.
    changing: Mutex<()>,
    /// Sets that were registered, each under each prefix once, in the order in which they came.
    sets: Mutex<Vec<Listed>>,
    nodes: HashMap<Key, Arc<Node>, RandomState>,
    next_node: AtomicU64,
}

/// A place in the tree.
#[derive(Debug)]
pub(super) struct Node {
    key: Key,
    parent: Weak<Node>,
    /// Namespace, component and endpoint, as labels show them; empty where there is none.
    pub(super) names: [Box<str>; 3],
    pub(super) slot: OnceLock<Box<dyn Any + Send + Sync>>,
    /// Its own, in the tree.
    number: u64,
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    children: Vec<Arc<Node>>,
    registered: Vec<Arc<dyn Registered>>,
    asked: Vec<Arc<Asked>>,
    removed: bool,
}

/// Something that was registered at a place, and goes with it.
pub(super) trait Registered: std::fmt::Debug + Send + Sync {
    fn remove(&self, index: &Index);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Level {
    Namespace,
    Component,
    Endpoint,
}

/// A place, by the one above it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    parent: u64,
    level: Level,
    name: Box<str>,
}

/// The same, as it comes.
struct Wanted<'a> {
    parent: u64,
    level: Level,
    name: &'a str,
}

impl Tree {
    pub(super) fn new(number: u64, worker_id: Option<u64>, series_cap: u64) -> Self {
        let worker_id = worker_id.map(|id| format!("{id:x}").into_boxed_str());
        Self {
            number,
            index: Index::default(),
            collect_errors: Arc::new(Errors::new(worker_id.clone())),
            #[cfg(feature = "exporter")]
            in_common: OnceLock::new(),
            worker_id,
            series_cap,
            asked: List::new(),
            changing: Mutex::new(()),
            sets: Mutex::default(),
            nodes: HashMap::with_hasher(RandomState::default()),
            next_node: AtomicU64::new(1),
        }
    }

    /// Lists a set, if it is not yet.
    pub(super) fn list_set(&self, set: Listed) {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.len() < MOST_SETS && !sets.contains(&set) {
            sets.push(set);
        }
    }

    pub(super) fn sets(&self) -> Vec<Listed> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Labels of everything in the registry.
    pub(super) fn root_labels(&self) -> Vec<(&str, &str)> {
        self.worker_id.as_deref().map(|id| ("worker_id", id)).into_iter().collect()
    }

    /// The place of this name below `node`; always the same one, until it is removed.
    pub(super) fn child(&self, node: &Arc<Node>, level: Level, name: &str) -> Arc<Node> {
        let wanted = Wanted { parent: node.number, level, name };
        let nodes = self.nodes.pin();
        if let Some(there) = nodes.get(&wanted) {
            return Arc::clone(there);
        }
        let mut contents = node.lock();
        if let Some(there) = nodes.get(&wanted) {
            return Arc::clone(there);
        }
        let number = self.next_node.fetch_add(1, Ordering::Relaxed);
        let child = Arc::new(node.below(number, level, name, contents.removed));
        // Below what is gone nothing is kept.
        if !contents.removed {
            contents.children.push(Arc::clone(&child));
            nodes.insert(child.key.clone(), Arc::clone(&child));
        }
        child
    }

    /// Removes what is at `node` and below; the node too, unless it is the root.
    pub(super) fn remove(&self, node: &Arc<Node>) {
        if let Some(parent) = node.parent.upgrade() {
            parent.lock().children.retain(|child| !Arc::ptr_eq(child, node));
        }
        self.clear(node);
    }

    fn clear(&self, node: &Arc<Node>) {
        let root = node.number == 0;
        let Contents { children, registered, asked, .. } = {
            let mut contents = node.lock();
            std::mem::replace(&mut *contents, Contents { removed: !root, ..Contents::default() })
        };
        if !root {
            // Another one may be there already.
            let _ = self.nodes.pin().remove_if(&node.key, |_, there| Arc::ptr_eq(there, node));
        }
        for child in &children {
            self.clear(child);
        }
        for registered in &registered {
            registered.remove(&self.index);
        }
        self.forget(&asked);
    }

    /// Takes out of the list.
    fn forget(&self, asked: &[Arc<Asked>]) {
        if asked.is_empty() {
            return;
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        for asked in asked {
            self.asked.clear(asked.place.load(Ordering::Relaxed));
        }
        self.asked.shorten(|asked, place| asked.place.store(place, Ordering::Relaxed));
    }

    /// Removes `registered` when `node` is.
    ///
    /// # Errors
    /// [`RegisterError::ScopeRemoved`], if that is so already; it is removed then.
    pub(super) fn keep(
        &self,
        node: &Node,
        registered: Arc<dyn Registered>,
    ) -> Result<(), RegisterError> {
        let mut contents = node.lock();
        if contents.removed {
            drop(contents);
            registered.remove(&self.index);
            return Err(RegisterError::ScopeRemoved);
        }
        contents.registered.push(registered);
        Ok(())
    }

    /// Asks `asked` before each gather, until `node` is removed; whether it is not yet.
    pub(super) fn add_asked(&self, node: &Node, asked: &Arc<Asked>) -> bool {
        let mut contents = node.lock();
        if contents.removed {
            return false;
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.asked.push(Arc::clone(asked));
        asked.place.store(place, Ordering::Relaxed);
        contents.asked.push(Arc::clone(asked));
        true
    }

    /// Asks it no longer, if it is at `node`.
    pub(super) fn remove_asked(&self, node: &Node, asked: &Arc<Asked>) {
        let mut contents = node.lock();
        let before = contents.asked.len();
        contents.asked.retain(|there| !Arc::ptr_eq(there, asked));
        if contents.asked.len() < before {
            self.forget(std::slice::from_ref(asked));
        }
    }

    /// All that is asked of `node` and below.
    pub(super) fn asked_below(&self, node: &Node) -> Vec<Arc<Asked>> {
        if node.number == 0 {
            return self.asked();
        }
        let mut all = Vec::new();
        node.visit(&mut |_, contents| all.extend_from_slice(&contents.asked));
        all
    }

    /// All that is asked.
    fn asked(&self) -> Vec<Arc<Asked>> {
        let view = self.asked.view();
        (0..view.len()).filter_map(|place| view.with(place, Arc::clone)).collect()
    }
}

impl Node {
    pub(super) fn root() -> Self {
        Self {
            key: Key { parent: 0, level: Level::Namespace, name: Box::default() },
            parent: Weak::new(),
            names: Default::default(),
            slot: OnceLock::new(),
            number: 0,
            contents: Mutex::default(),
        }
    }

    fn below(self: &Arc<Self>, number: u64, level: Level, name: &str, removed: bool) -> Self {
        let mut names = self.names.clone();
        let own = &mut names[level as usize];
        *own = if own.is_empty() { name.into() } else { format!("{own}_{name}").into() };
        Self {
            key: Key { parent: self.number, level, name: name.into() },
            parent: Arc::downgrade(self),
            names,
            slot: OnceLock::new(),
            number,
            contents: Mutex::new(Contents { removed, ..Contents::default() }),
        }
    }

    /// A place below this one that is not kept, as below one that was removed.
    pub(super) fn apart(self: &Arc<Self>, level: Level, name: &str) -> Arc<Self> {
        Arc::new(self.below(u64::MAX, level, name, true))
    }

    /// Whether `other` is this place, or below it.
    pub(super) fn covers(&self, other: &Arc<Self>) -> bool {
        let mut at = Some(Arc::clone(other));
        while let Some(node) = at {
            if std::ptr::eq(&raw const *node, self) {
                return true;
            }
            at = node.parent.upgrade();
        }
        false
    }

    /// Whether something like this is asked at this very place.
    pub(super) fn asks(&self, like: impl FnMut(&Arc<Asked>) -> bool) -> bool {
        self.lock().asked.iter().any(like)
    }

    /// The names of this place and of all below.
    pub(super) fn names_below(&self) -> HashSet<[Box<str>; 3]> {
        let mut all = HashSet::new();
        self.visit(&mut |node, _| {
            all.insert(node.names.clone());
        });
        all
    }

    /// This place and all below, none of them held while another one is.
    fn visit(&self, seen: &mut dyn FnMut(&Self, &Contents)) {
        let children = {
            let contents = self.lock();
            seen(self, &contents);
            contents.children.clone()
        };
        for child in &children {
            child.visit(seen);
        }
    }

    /// Its own, in the tree; the root's is 0.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both forms of a key hash as this does.
fn hash<H: Hasher>(state: &mut H, parent: u64, level: Level, name: &str) {
    (parent, level, name).hash(state);
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(state, self.parent, self.level, &self.name);
    }
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(state, self.parent, self.level, self.name);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.parent, self.level, self.name) == (key.parent, key.level, &*key.name)
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree")
            .field("families", &self.index.load().len())
            .field("places", &self.nodes.len())
            .field("worker_id", &self.worker_id)
            .finish_non_exhaustive()
    }
}
