//! What a field of a set may be, and which attributes it may have.

use super::builder::MetricBuilder;
use super::catalogue::{Form, MetricInfo, SetInfo};
use super::error::RegisterError;
use super::families::{DynamicFamily, Family};
use super::lazy::Lazy;
use super::scope::Scope;
use crate::label::{LabelInfo, LabelSet, LabelValue};
use crate::metric::{
    Buckets, BucketsError, Counter, FloatCounter, FloatGauge, Gauge, Histogram, Info, Metric,
    MetricKind, NativeBuckets, StateSet, Total, UpDownCounter,
};

/// A field of a [`MetricSet`](super::MetricSet): a metric, a [`Family`] of them, a
/// [`DynamicFamily`], a [`Lazy`] one, or an array of one for each value of an enum.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no metric",
    note = "a field of a set is a `Counter`, `FloatCounter`, `Gauge`, `FloatGauge`, `UpDownCounter`, \
            `Total`, `Histogram`, `Info` or `StateSet`, a `Family`, `DynamicFamily`, `Lazy` or array of one, \
            a set with `#[metric(flatten)]`, or something that has a default with `#[metric(skip)]`"
)]
pub trait MetricField: sealed::Field {
    /// What its type says of it.
    #[doc(hidden)]
    const INFO: MetricInfo = MetricInfo::of::<Self>();

    /// Registers the metric that the set has at `at`.
    #[doc(hidden)]
    fn register_in(
        scope: &Scope,
        set: &'static SetInfo,
        at: usize,
        labels: &[(&str, &str)],
    ) -> Result<Self, RegisterError> {
        let info = &set.metrics[at];
        let builder = MetricBuilder::of(scope, info)?.labels(labels).labels(info.constants);
        Self::register(builder, info)
    }
}

/// A metric with buckets.
#[diagnostic::on_unimplemented(message = "`{Self}` has no buckets: only a `Histogram` has some")]
#[doc(hidden)]
pub trait Samples: Metric {}

/// A metric that can keep exemplars.
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps no exemplars: only a `Counter` and a `Histogram` can"
)]
#[doc(hidden)]
pub trait HasExemplars: Metric {}

/// A field whose series may go while the set stays.
#[diagnostic::on_unimplemented(
    message = "`{Self}` holds its series, so that they stay: only those of a `Family` and a \
               `DynamicFamily` can have a time to live"
)]
#[doc(hidden)]
pub trait LetsGo: MetricField {}

/// A field whose labels have only names.
#[diagnostic::on_unimplemented(
    message = "`{Self}` takes no label names and no cap: only a `DynamicFamily` does"
)]
#[doc(hidden)]
pub trait ByName: MetricField {}

/// A field of one metric for each value of an enum.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has not one metric for each value: only an array has"
)]
#[doc(hidden)]
pub trait ByEnum: MetricField {}

/// What makes buckets.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be buckets: they are upper bounds as `f64`, in seconds where they \
               are times",
    note = "give a `[f64; N]`, a `&[f64]`, a `Buckets`, or a `Result<Buckets, BucketsError>`"
)]
#[doc(hidden)]
pub trait IntoBuckets {
    fn into_buckets(self) -> Result<Buckets, BucketsError>;
}

/// What makes native buckets.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be native buckets",
    note = "give a `NativeBuckets`, or a `Result<NativeBuckets, BucketsError>`"
)]
#[doc(hidden)]
pub trait IntoNative {
    fn into_native(self) -> Result<NativeBuckets, BucketsError>;
}

pub(super) mod sealed {
    use super::{Form, LabelInfo, Metric, MetricBuilder, MetricInfo, MetricKind, RegisterError};

    /// How a field is registered.
    pub trait Field: Sized {
        /// What it has one or many of.
        type Metric: Metric;

        /// Which series it has.
        const FORM: Form;

        /// Its labels, if its type tells them.
        const LABELS: &'static [LabelInfo] = &[];

        /// How many label names, or metrics, its type asks for.
        const SIZE: usize = 0;

        /// What its metrics are.
        const KIND: MetricKind = super::kind::<Self::Metric>();

        /// Their states.
        const STATES: &'static [&'static str] = super::states::<Self::Metric>();

        /// Registers it.
        fn register(
            builder: MetricBuilder<Self::Metric>,
            info: &MetricInfo,
        ) -> Result<Self, RegisterError>;
    }
}

macro_rules! single {
    ($($metric:ident $(<$s:ident>)?),*) => {$(
        impl $(<$s: LabelValue + 'static>)? sealed::Field for $metric $(<$s>)? {
            type Metric = Self;
            const FORM: Form = Form::Single;

            fn register(
                builder: MetricBuilder<Self>,
                _: &MetricInfo,
            ) -> Result<Self, RegisterError> {
                builder.register()
            }
        }

        impl $(<$s: LabelValue + 'static>)? MetricField for $metric $(<$s>)? {}
    )*};
}

single! {
    Counter, FloatCounter, Gauge, FloatGauge, UpDownCounter, Total, Histogram, Info, StateSet<S>
}

impl<M: Metric> sealed::Field for Lazy<M> {
    type Metric = M;
    const FORM: Form = Form::Lazy;

    fn register(builder: MetricBuilder<M>, _: &MetricInfo) -> Result<Self, RegisterError> {
        builder.lazy()
    }
}

impl<M: Metric, const N: usize> sealed::Field for [M; N] {
    type Metric = M;
    const FORM: Form = Form::Each;
    const SIZE: usize = N;

    fn register(builder: MetricBuilder<M>, info: &MetricInfo) -> Result<Self, RegisterError> {
        // Without one it is an error that the name of the label is empty.
        let label = info.labels.first().copied().unwrap_or(LabelInfo::open(""));
        builder.each_of(label.name, label.closed())
    }
}

impl<L: LabelSet, M: Metric> sealed::Field for Family<L, M> {
    type Metric = M;
    const FORM: Form = Form::Family;
    const LABELS: &'static [LabelInfo] = L::INFO;

    fn register(builder: MetricBuilder<M>, _: &MetricInfo) -> Result<Self, RegisterError> {
        builder.family()
    }
}

impl<M: Metric, const N: usize> sealed::Field for DynamicFamily<M, N> {
    type Metric = M;
    const FORM: Form = Form::DynamicFamily;
    const SIZE: usize = N;

    fn register(builder: MetricBuilder<M>, info: &MetricInfo) -> Result<Self, RegisterError> {
        // As many as they are by the derive; a missing one would be an empty name, and an error.
        let name = |i| info.labels.get(i).map_or("", |label: &LabelInfo| label.name);
        builder.dynamic_family(std::array::from_fn(name))
    }
}

impl<M: Metric> MetricField for Lazy<M> {}
impl<M: Metric, const N: usize> MetricField for [M; N] {}
impl<L: LabelSet, M: Metric> MetricField for Family<L, M> {}
impl<M: Metric, const N: usize> MetricField for DynamicFamily<M, N> {}

impl Samples for Histogram {}
impl HasExemplars for Histogram {}
impl HasExemplars for Counter {}

impl<L: LabelSet, M: Metric> LetsGo for Family<L, M> {}
impl<M: Metric, const N: usize> LetsGo for DynamicFamily<M, N> {}
impl<M: Metric, const N: usize> ByName for DynamicFamily<M, N> {}
impl<M: Metric, const N: usize> ByEnum for [M; N] {}

impl IntoBuckets for Buckets {
    fn into_buckets(self) -> Result<Buckets, BucketsError> {
        Ok(self)
    }
}

impl IntoBuckets for Result<Buckets, BucketsError> {
    fn into_buckets(self) -> Result<Buckets, BucketsError> {
        self
    }
}

impl<const N: usize> IntoBuckets for [f64; N] {
    fn into_buckets(self) -> Result<Buckets, BucketsError> {
        Buckets::new(self)
    }
}

impl IntoBuckets for &[f64] {
    fn into_buckets(self) -> Result<Buckets, BucketsError> {
        Buckets::new(self.iter().copied())
    }
}

impl<const N: usize> IntoBuckets for &[f64; N] {
    fn into_buckets(self) -> Result<Buckets, BucketsError> {
        Buckets::new(*self)
    }
}

impl IntoNative for NativeBuckets {
    fn into_native(self) -> Result<NativeBuckets, BucketsError> {
        Ok(self)
    }
}

impl IntoNative for Result<NativeBuckets, BucketsError> {
    fn into_native(self) -> Result<NativeBuckets, BucketsError> {
        self
    }
}

const fn kind<M: Metric>() -> MetricKind {
    M::TYPE.kind()
}

const fn states<M: Metric>() -> &'static [&'static str] {
    M::STATES
}
