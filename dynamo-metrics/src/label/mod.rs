//! Labels: names with values, typed or not, and their text.

mod template;
mod text;

pub use dynamo_metrics_macros::{LabelSet, LabelValue};

pub(crate) use template::Template;
pub(crate) use text::Labels;

/// A value that a label may take, out of a set that the program bounds.
///
/// Derive it for fieldless enums; each variant becomes a value in `snake_case`, or what
/// `#[label(rename = "..")]` says. Text that comes from outside has no place here: it goes through
/// a [`DynamicFamily`](crate::registry::DynamicFamily), whose series are capped.
///
/// # Examples
/// ```
/// use dynamo_metrics::label::LabelValue;
///
/// #[derive(Clone, PartialEq, Eq, Hash, LabelValue)]
/// enum Tier {
///     Free,
///     #[label(rename = "paid-up")]
///     PaidUp,
/// }
/// assert_eq!(Tier::Free.as_label(), "free");
/// assert_eq!(Tier::PaidUp.as_label(), "paid-up");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a label value: nothing bounds how many values it has",
    note = "use an enum with `#[derive(LabelValue)]`; each value of a label is a series that lives \
            as long as the process"
)]
pub trait LabelValue {
    /// The value as it is exposed.
    fn as_label(&self) -> &str;
}

/// A set of labels with names that are known when the program is built.
///
/// Derive it for structs whose fields are all [`LabelValue`]s; a field's name is the label's.
///
/// # Examples
/// ```
/// use dynamo_metrics::label::{LabelSet, LabelValue};
///
/// #[derive(Clone, PartialEq, Eq, Hash, LabelValue)]
/// enum Method { Get, Post }
///
/// #[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
/// struct Call { method: Method, cached: bool }
///
/// assert_eq!(<Call as LabelSet>::NAMES, &["method", "cached"]);
/// let call = Call { method: Method::Post, cached: false };
/// assert_eq!(call.values(|values| values.join(" ")), "post false");
/// ```
pub trait LabelSet {
    /// The labels' names.
    const NAMES: &'static [&'static str];

    /// Calls `visit` with the values, in the order of [`NAMES`](Self::NAMES).
    fn values<R>(&self, visit: impl FnOnce(&[&str]) -> R) -> R;
}

impl LabelValue for bool {
    fn as_label(&self) -> &str {
        if *self { "true" } else { "false" }
    }
}

impl<V: LabelValue> LabelValue for Option<V> {
    /// The value, or `none`.
    fn as_label(&self) -> &str {
        self.as_ref().map_or("none", V::as_label)
    }
}

impl<V: LabelValue + ?Sized> LabelValue for &V {
    fn as_label(&self) -> &str {
        (**self).as_label()
    }
}
