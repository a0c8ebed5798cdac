//! What is recorded: labels, random walks over them, and samples.

use std::time::Duration;

use dynamo_metrics::label::{LabelSet, LabelValue};

/// Upper bounds of every histogram, in seconds.
pub(crate) const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

/// Names of the labels whose values are text.
pub(crate) const NAMES: [&str; 5] = ["method", "status", "region", "route", "tenant"];

/// Series that a walk leads over.
pub(crate) const SERIES: usize = 64;

/// Steps before a walk or the samples repeat: more than a branch predictor can learn.
const STEPS: usize = 1 << 14;

/// Values that are taken one after another, for ever.
pub(crate) struct Ring<T>(Box<[T; STEPS]>);

/// A label of four values, as an enum where a library takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[cfg_attr(
    feature = "peers",
    derive(
        fastmetrics::derive::EncodeLabelValue,
        measured::FixedCardinalityLabel,
        prometheus_client::encoding::EncodeLabelValue,
        serde::Serialize
    )
)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// The same, for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[cfg_attr(
    feature = "peers",
    derive(
        fastmetrics::derive::EncodeLabelValue,
        measured::FixedCardinalityLabel,
        prometheus_client::encoding::EncodeLabelValue,
        serde::Serialize
    )
)]
pub(crate) enum Route {
    Chat,
    Completions,
    Embeddings,
    Models,
}

/// The same, for how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[cfg_attr(
    feature = "peers",
    derive(
        fastmetrics::derive::EncodeLabelValue,
        measured::FixedCardinalityLabel,
        prometheus_client::encoding::EncodeLabelValue,
        serde::Serialize
    )
)]
pub(crate) enum Status {
    Ok,
    Refused,
    Missing,
    Failed,
}

/// Three labels with closed sets of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelSet)]
#[cfg_attr(
    feature = "peers",
    derive(
        fastmetrics::derive::EncodeLabelSet,
        fastmetrics::derive::LabelSetSchema,
        prometheus_client::encoding::EncodeLabelSet,
        serde::Serialize
    )
)]
pub(crate) struct Typed {
    pub(crate) method: Method,
    pub(crate) route: Route,
    pub(crate) status: Status,
}

impl<T> Ring<T> {
    fn new(next: impl FnMut() -> T) -> Self {
        let values: Box<[T]> = std::iter::repeat_with(next).take(STEPS).collect();
        let Ok(values) = values.try_into() else { unreachable!("as many as were taken") };
        Self(values)
    }

    #[inline]
    pub(crate) fn at(&self, step: usize) -> &T {
        &self.0[step % STEPS]
    }
}

impl Typed {
    /// The `n`th of [`SERIES`].
    pub(crate) fn nth(n: usize) -> Self {
        Self {
            method: [Method::Get, Method::Post, Method::Put, Method::Delete][n % 4],
            route: [Route::Chat, Route::Completions, Route::Embeddings, Route::Models][n / 4 % 4],
            status: [Status::Ok, Status::Refused, Status::Missing, Status::Failed][n / 16 % 4],
        }
    }

    /// Which of [`SERIES`] this is.
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.method as usize + 4 * self.route as usize + 16 * self.status as usize
    }

    /// The values as text.
    #[cfg(feature = "peers")]
    pub(crate) fn texts(n: usize) -> [&'static str; 3] {
        [
            ["get", "post", "put", "delete"][n % 4],
            ["chat", "completions", "embeddings", "models"][n / 4 % 4],
            ["ok", "refused", "missing", "failed"][n / 16 % 4],
        ]
    }
}

/// A random walk over the first [`SERIES`] series.
pub(crate) fn walk() -> Ring<u8> {
    let mut random = fastrand::Rng::with_seed(17);
    Ring::new(|| random.u8(..64))
}

/// Samples from 1 ms to 60 s, uniform in their logarithm.
pub(crate) fn samples() -> Ring<f64> {
    let mut random = fastrand::Rng::with_seed(23);
    Ring::new(|| 0.001 * (60_000.0_f64.ln() * random.f64()).exp())
}

/// The same samples, as durations.
pub(crate) fn durations() -> Ring<Duration> {
    let (samples, mut step) = (samples(), 0);
    Ring::new(|| {
        step += 1;
        Duration::from_secs_f64(*samples.at(step))
    })
}

/// The values of [`NAMES`] for the `n`th of 100 000 series, about 67 bytes together.
pub(crate) fn strings(n: usize) -> [String; 5] {
    [
        ["GET", "POST", "PUT", "DELETE"][n % 4].to_owned(),
        ["200", "400", "404", "429", "500"][n / 4 % 5].to_owned(),
        ["eu-central-1a", "us-east-2b"][n / 20 % 2].to_owned(),
        format!("/api/v1/projects/{:02}/jobs", n / 40 % 50),
        format!("tenant-{:04}-production", n / 2_000),
    ]
}
