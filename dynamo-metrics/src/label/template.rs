//! Templates: what the labels of a group's series have in common.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

use super::copy::Piece;
use super::text::push_pair;

/// The labels of series that share some, and differ in the values of the others.
///
/// Everything is in the order of names, which is the order of the text.
#[derive(Debug)]
pub(crate) struct Template {
    names: Box<[Name]>,
    /// Text before each value that varies.
    before: Box<[Piece]>,
    /// Text after the last of them, or all of it.
    tail: Piece,
    varying: Box<[Varying]>,
    /// What the labels that do not vary add to the hash.
    fixed_hash: u64,
}

/// A value that varies.
#[derive(Debug)]
struct Varying {
    /// Where among the given ones it is.
    which: usize,
    /// Hashes it, as the value of its name.
    state: SeedableRandomState,
}

#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    /// The value, if it does not vary.
    pub(super) value: Option<Box<str>>,
}

impl Template {
    /// Labels of these names and values, and labels of these names, all of them different.
    pub(crate) fn new(fixed: &[(&str, &str)], varying: &[&str]) -> Self {
        let mut order: Vec<usize> = (0..varying.len()).collect();
        order.sort_unstable_by_key(|&which| varying[which]);
        let fixed = fixed.iter().map(|&(name, value)| (name, Some(value)));
        let mut names: Vec<Name> = fixed
            .chain(varying.iter().map(|&name| (name, None)))
            .map(|(name, value)| Name { text: name.into(), value: value.map(Into::into) })
            .collect();
        names.sort_unstable_by(|a, b| a.text.cmp(&b.text));

        let (mut before, mut text, mut fixed_hash) = (Vec::new(), String::new(), 0_u64);
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                text.push(',');
            }
            if let Some(value) = &name.value {
                push_pair(&mut text, &name.text, value);
                fixed_hash = fixed_hash.wrapping_add(hash(&state_of(&name.text), value));
            } else {
                text.push_str(&name.text);
                text.push_str("=\"");
                before.push(Piece::new(std::mem::take(&mut text).as_bytes()));
                text.push('"');
            }
        }
        Self {
            names: names.into(),
            before: before.into(),
            tail: Piece::new(text.as_bytes()),
            varying: order
                .into_iter()
                .map(|which| Varying { which, state: state_of(varying[which]) })
                .collect(),
            fixed_hash,
        }
    }

    /// The template of metrics without labels.
    pub(crate) fn empty() -> Self {
        Self::new(&[], &[])
    }

    /// The hash of a series with these values, which nobody outside the process can foresee.
    ///
    /// It is that of the set of labels, whatever template they come from; an empty value is none.
    #[inline]
    pub(crate) fn hash(&self, values: &[&str]) -> u64 {
        self.varying.iter().fold(self.fixed_hash, |sum, Varying { which, state }| {
            let value = values.get(*which).copied().unwrap_or_default();
            // A sum, so that it does not matter which labels are fixed and which vary.
            sum.wrapping_add(hash(state, value))
        })
    }

    /// How many values vary.
    pub(crate) fn varying(&self) -> usize {
        self.varying.len()
    }

    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }

    /// The given values, in the order of names.
    #[inline]
    pub(super) fn sorted<'a>(&self, given: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
        self.varying.iter().map(|varying| given.get(varying.which).copied().unwrap_or_default())
    }

    /// Text before each value that varies, and after the last.
    pub(super) fn text(&self) -> (&[Piece], &Piece) {
        (&self.before, &self.tail)
    }
}

/// The hash of a value of the name that `state` is of; zero if there is none.
#[inline]
fn hash(state: &SeedableRandomState, value: &str) -> u64 {
    if value.is_empty() {
        return 0;
    }
    let mut hasher = state.build_hasher();
    hasher.write(value.as_bytes());
    hasher.finish()
}

/// What hashes the values of a name: the same in the whole process, so that equal labels have one
/// hash whoever made the template.
fn state_of(name: &str) -> SeedableRandomState {
    let seed = SharedSeed::global_random();
    let name = SeedableRandomState::with_seed(0, seed).hash_one(name);
    SeedableRandomState::with_seed(name, seed)
}
