//! Values that only the running program knows, and no more of them than it says.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use foldhash::fast::RandomState;

use super::LabelValue;

/// The value that stands for all that are too many.
const OTHER: &str = "_other";

/// Longest value that is kept, in bytes.
const LONGEST: usize = 256;

/// A label value that came when the program ran: one of the at most `N` of a [`Vocabulary`], or
/// `_other`.
///
/// It may be a field of a [`LabelSet`](super::LabelSet), and a label of the attribute.
///
/// # Cost
/// To clone it is to count one more reference.
///
/// # Examples
/// ```
/// use dynamo_metrics::label::{Bounded, LabelSet, Vocabulary};
/// use dynamo_metrics::registry::{Family, Registry};
/// use dynamo_metrics::{encode, metric::Counter};
///
/// #[derive(LabelSet)]
/// struct Load { model: Bounded<2>, warm: bool }
///
/// let (registry, models) = (Registry::new(), Vocabulary::<2>::new());
/// let loads: Family<Load, Counter> = registry.counter("loads_total", "").family()?;
/// for model in ["llama", "qwen", "made-up", "llama"] {
///     loads.with_ref(&Load { model: models.get(model).clone(), warm: true }, Counter::inc);
/// }
/// let text = encode::text(&registry);
/// assert!(text.contains("loads_total{model=\"llama\",warm=\"true\"} 2\n"));
/// assert!(text.contains("loads_total{model=\"_other\",warm=\"true\"} 1\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Bounded<const N: usize>(Arc<Word>);

struct Word {
    text: Box<str>,
    index: usize,
}

/// At most `N` label values, in the order in which they first came; what comes later is `_other`.
///
/// It is a `static`, or is made where its values are known, and shared in an `Arc`. What clients send
/// may fill it: put what must have a place in first, or make it [of all values](Self::of) that there
/// are.
///
/// # Cost
/// To look one up takes no lock and allocates nothing; it is a hash of the text and a comparison. A
/// new value takes a lock that only other new values wait for, and is kept for as long as the
/// vocabulary is: `N` texts of at most 256 bytes (what is longer is `_other`).
///
/// # Examples
/// ```
/// use dynamo_metrics::label::{LabelValue, Vocabulary};
///
/// static TENANTS: Vocabulary<2> = Vocabulary::new();
///
/// assert_eq!(TENANTS.get("a").as_label(), "a");
/// assert_eq!(TENANTS.get("b").as_label(), "b");
/// assert_eq!(TENANTS.get("c").as_label(), "_other");
/// assert_eq!(TENANTS.get("a").as_label(), "a");
/// assert_eq!(TENANTS.overflowed(), 1);
/// ```
pub struct Vocabulary<const N: usize> {
    table: OnceLock<Table<N>>,
    /// Values that were too many.
    overflow: AtomicU64,
    /// Those of them that somebody has counted.
    told: AtomicU64,
}

/// Values by their hashes: each lies in the first place from its hash on that was free.
struct Table<const N: usize> {
    /// Twice as many as values, or more, so that a search comes to a free one soon.
    places: Box<[OnceLock<Placed<N>>]>,
    state: RandomState,
    other: Bounded<N>,
    /// How many values there are. Those who add one hold it.
    used: Mutex<usize>,
    /// No value can be added.
    full: OnceLock<()>,
}

struct Placed<const N: usize> {
    hash: u64,
    value: Bounded<N>,
}

impl<const N: usize> Bounded<N> {
    fn new(text: &str, index: usize) -> Self {
        Self(Arc::new(Word { text: text.into(), index }))
    }

    /// The value as it is exposed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether it stands for all values that were too many.
    #[must_use]
    pub fn is_other(&self) -> bool {
        self.0.index == N
    }
}

impl<const N: usize> LabelValue for Bounded<N> {
    const COUNT: Option<usize> = Some(N + 1);
    /// Another vocabulary has other values of these indices.
    const EXACT: bool = false;

    fn index(&self) -> usize {
        self.0.index
    }

    fn as_label(&self) -> &str {
        &self.0.text
    }
}

impl<const N: usize> PartialEq for Bounded<N> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl<const N: usize> Eq for Bounded<N> {}

impl<const N: usize> Hash for Bounded<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl<const N: usize> fmt::Debug for Bounded<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bounded").field(&self.as_str()).finish()
    }
}

impl<const N: usize> Vocabulary<N> {
    /// A vocabulary without values.
    #[must_use]
    pub const fn new() -> Self {
        Self { table: OnceLock::new(), overflow: AtomicU64::new(0), told: AtomicU64::new(0) }
    }

    /// A vocabulary of these values, and no others to come.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::label::{LabelValue, Vocabulary};
    ///
    /// let models = Vocabulary::of(["llama", "qwen"]);
    /// assert_eq!(models.get("qwen").as_label(), "qwen");
    /// assert_eq!(models.get("made-up").as_label(), "_other");
    /// ```
    #[must_use]
    pub fn of(values: [&str; N]) -> Self {
        let vocabulary = Self::new();
        for value in values {
            let _ = vocabulary.get(value);
        }
        // Some may have been the same.
        let _ = vocabulary.table().full.set(());
        vocabulary
    }

    /// The value that reads so, which is a new one if there is room for it, or `_other`.
    pub fn get(&self, text: &str) -> &Bounded<N> {
        let table = self.table();
        if text == OTHER {
            return &table.other;
        }
        table.get(text).unwrap_or_else(|| {
            self.overflow.fetch_add(1, Ordering::Relaxed);
            &table.other
        })
    }

    /// How often a value was [`get`](Self::get) that was too many, or too long.
    ///
    /// [`Scope::count_overflow`](crate::registry::Scope::count_overflow) exposes it.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }

    /// The same, since somebody asked last.
    pub(crate) fn take_overflowed(&self) -> u64 {
        let all = self.overflowed();
        all.saturating_sub(self.told.fetch_max(all, Ordering::Relaxed))
    }

    fn table(&self) -> &Table<N> {
        self.table.get_or_init(Table::new)
    }
}

impl<const N: usize> Default for Vocabulary<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Vocabulary<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").field("overflowed", &self.overflowed()).finish_non_exhaustive()
    }
}

impl<const N: usize> Table<N> {
    fn new() -> Self {
        let places = N.saturating_mul(2).next_power_of_two();
        Self {
            places: (0..places).map(|_| OnceLock::new()).collect(),
            state: RandomState::default(),
            other: Bounded::new(OTHER, N),
            used: Mutex::new(0),
            full: OnceLock::new(),
        }
    }

    fn get(&self, text: &str) -> Option<&Bounded<N>> {
        let hash = self.state.hash_one(text);
        match self.find(text, hash) {
            Ok(value) => Some(value),
            // Seen before the lock, so that nobody waits once there is no room.
            Err(_) if self.full.get().is_some() || text.len() > LONGEST => None,
            Err(_) => self.add(text, hash),
        }
    }

    /// The value that reads so, or the place where it would be.
    fn find(&self, text: &str, hash: u64) -> Result<&Bounded<N>, usize> {
        let mask = self.places.len() - 1;
        let mut at = usize::try_from(hash & mask as u64).unwrap_or_default();
        loop {
            let Some(placed) = self.places[at].get() else { return Err(at) };
            if placed.hash == hash && placed.value.as_str() == text {
                return Ok(&placed.value);
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn add(&self, text: &str, hash: u64) -> Option<&Bounded<N>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match self.find(text, hash) {
            Ok(value) => return Some(value),
            Err(at) => at,
        };
        if *used >= N {
            return None;
        }
        let value = Bounded::new(text, *used);
        *used += 1;
        if *used == N {
            let _ = self.full.set(());
        }
        Some(&self.places[at].get_or_init(|| Placed { hash, value }).value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_index() {
        let words = Vocabulary::<3>::new();
        let read = |text| (words.get(text).index(), words.get(text).as_str().to_owned());
        for (i, text) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(read(text), (i, text.to_owned()));
        }
        assert_eq!(read("b").0, 1);
        assert_eq!(read("d"), (3, "_other".to_owned()));
        assert!(words.get("d").is_other() && !words.get("a").is_other());
    }

    #[test]
    fn only_what_is_too_much_overflows() {
        let words = Vocabulary::<1>::new();
        assert!(words.get(&"x".repeat(257)).is_other());
        assert!(words.get("_other").is_other());
        assert_eq!(words.get(&"x".repeat(256)).index(), 0);
        assert!(words.get("").is_other());
        assert_eq!(words.overflowed(), 2);
        assert_eq!((words.take_overflowed(), words.take_overflowed()), (2, 0));
        assert_eq!(words.overflowed(), 2);
    }

    #[test]
    fn a_vocabulary_of_known_values_takes_no_others() {
        let words = Vocabulary::of(["a", "b", "a"]);
        assert_eq!((words.get("b").index(), words.get("c").is_other()), (1, true));
        assert!(Vocabulary::of([]).get("a").is_other());
    }

    #[test]
    fn threads_that_bring_the_same_values_agree() {
        const N: usize = 64;
        let words = Vocabulary::<N>::new();
        let texts: Vec<String> = (0..2 * N).map(|i| i.to_string()).collect();
        let read = || -> Vec<(usize, String)> {
            let values = texts.iter().map(|text| words.get(text));
            values.map(|value| (value.index(), value.as_str().to_owned())).collect()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
            for thread in threads {
                thread.join().unwrap();
            }
        });
        let mut indices: Vec<usize> = read().iter().map(|(index, _)| *index).collect();
        indices.sort_unstable();
        let expected: Vec<usize> = (0..N).chain([N; N]).collect();
        assert_eq!(indices, expected);
        let same = |(i, (index, text)): (usize, &(usize, String))| *index == N || *text == texts[i];
        assert!(read().iter().enumerate().all(same));
    }
}
