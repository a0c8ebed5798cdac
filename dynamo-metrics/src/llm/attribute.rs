//! What the code that `#[instrumented_endpoint]` writes calls. No public API: it changes with the
//! macro, and users reach it only through that.
//!
//! What a call's value is, and with it where the call ends, is found by its type, and not by what
//! the type is called: each trait here is implemented behind one more reference than the next, so
//! that the compiler tries them from the most special to the most general.

#![expect(missing_docs, missing_debug_implementations, reason = "no public API")]
#![expect(clippy::missing_errors_doc, clippy::return_self_not_must_use, reason = "no public API")]

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::marker::PhantomData;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::fast::FixedState;
use futures_core::Stream;
use http::Response;
use http_body::Body;

use super::body::ResponseBody;
pub use super::call::Call;
use super::endpoint::{EndpointMetrics, Kept, WeakEndpoint};
use super::items::Metered;
use super::outcome::{End, Outcome};
use super::response::ResponseState;
use crate::registry::{Place, Registry, Scope};

/// The endpoints that attributes use at one node of the tree; `None` for one that cannot be
/// registered.
#[derive(Debug, Default)]
pub(super) struct Known(ArcSwap<HashMap<u64, Vec<Entry>>>);

/// What is asked for, and what it came to.
type Entry = (OwnedWanted, Option<EndpointMetrics>);

/// What an attribute asks of a scope, as it comes.
struct Wanted<'a> {
    name: &'a str,
    prefix: Option<&'a str>,
    labels: &'a [(&'static str, &'a str)],
}

#[derive(Debug, Clone)]
struct OwnedWanted {
    name: Box<str>,
    prefix: Option<Box<str>>,
    labels: Vec<(Box<str>, Box<str>)>,
}

/// The scope of an attribute that names none.
#[must_use]
pub fn global() -> &'static Scope {
    Registry::global()
}

/// Where an attribute stands, with the endpoint that it used last: mostly that of the next call too.
///
/// It keeps neither the registry nor the endpoint alive.
pub struct Site(ArcSwapOption<Memo>);

struct Memo {
    place: Place,
    labels: Box<[(&'static str, Box<str>)]>,
    endpoint: WeakEndpoint,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    #[must_use]
    pub const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// The endpoint, if the last one was of this scope and these labels and is still there.
    #[inline]
    fn recall(&self, scope: &Scope, labels: &[(&str, &str)]) -> Option<EndpointMetrics> {
        let memo = self.0.load();
        let memo = memo.as_ref()?;
        let told = memo.labels.iter().map(|(_, value)| &**value);
        let same = scope.is_at(&memo.place) && told.eq(labels.iter().map(|(_, value)| *value));
        // What was removed may be remembered for a while.
        memo.endpoint.upgrade().filter(|endpoint| same && endpoint.is_shown())
    }

    /// Remembers an endpoint, unless another one is remembered that is still there: two scopes that
    /// take turns would only push each other out.
    fn remember(&self, scope: &Scope, labels: &[(&'static str, &str)], endpoint: &EndpointMetrics) {
        if self
            .0
            .load()
            .as_ref()
            .is_none_or(|memo| !memo.endpoint.upgrade().is_some_and(|it| it.is_shown()))
        {
            let labels = labels.iter().map(|(name, value)| (*name, (*value).into())).collect();
            let endpoint = endpoint.downgrade();
            self.0.store(Some(Arc::new(Memo { place: scope.place(), labels, endpoint })));
        }
    }
}

/// A call begins. An endpoint that cannot be registered is logged once, and not measured.
#[must_use]
pub fn start(site: &Site, scope: &Scope, name: &str, labels: &[(&'static str, &str)]) -> Call {
    if let Some(endpoint) = site.recall(scope, labels) {
        return Call::start(endpoint);
    }
    // Kept at the endpoint's own place, and gone with it.
    let place = if scope.is_endpoint() { scope.clone() } else { scope.endpoint(name) };
    let Some(Kept { known, .. }) = place.slot() else { return Call::unmeasured() };
    let wanted = Wanted { name, prefix: scope.prefix(), labels };
    let Some(endpoint) = known.endpoint(&wanted, || register(&place, name, labels)) else {
        return Call::unmeasured();
    };
    site.remember(scope, labels, &endpoint);
    Call::start(endpoint)
}

impl Known {
    /// The endpoint of an attribute, made if it is new; `None` if it cannot be registered.
    fn endpoint(
        &self,
        wanted: &Wanted<'_>,
        register: impl Fn() -> Option<EndpointMetrics>,
    ) -> Option<EndpointMetrics> {
        let hash = wanted.hash();
        let find = |known: &HashMap<u64, Vec<Entry>>| {
            let mut known = known.get(&hash)?.iter();
            known.find(|(known, _)| wanted.is(known)).map(|(_, endpoint)| endpoint.clone())
        };
        if let Some(endpoint) = find(&self.0.load()) {
            return endpoint;
        }
        let made = register();
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            // Who was faster registered the same.
            if find(&known).flatten().is_none() {
                let entries = known.entry(hash).or_default();
                entries.retain(|(known, _)| !wanted.is(known));
                entries.push((wanted.to_owned(), made.clone()));
            }
            known
        });
        find(&self.0.load()).flatten()
    }
}

fn register(place: &Scope, name: &str, labels: &[(&str, &str)]) -> Option<EndpointMetrics> {
    match EndpointMetrics::register_with(place, labels) {
        Ok(metrics) => Some(metrics),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(endpoint = name, error, "an endpoint cannot be measured");
            None
        }
    }
}

/// The call failed.
pub fn fail(mut call: Call) {
    call.end(End { outcome: Outcome::ServerError, in_body: false, status: None });
}

/// The call goes on as `stream`.
pub fn metered<S, F>(call: Call, stream: S, is_error: F) -> Metered<S, F>
where
    S: Stream,
    F: Fn(&S::Item) -> bool,
{
    Metered::new(call, stream, is_error)
}

/// The type of a value, without the value.
pub struct Tag<T>(PhantomData<fn(T)>);

impl<T> Tag<T> {
    #[must_use]
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

/// A body type that can hold a measured body of its own type.
pub trait Rewrap: Body + Sized {
    fn rewrap(measured: ResponseBody<Self>) -> Self;
}

/// The call ends with the body of the response.
pub struct BodyEnd;
/// The call ends with the response, and its status says how.
pub struct StatusEnd;
/// The call ends with the result, and its variant says how.
pub struct ResultEnd;
/// The call ends with the value.
pub struct ValueEnd;

/// Responses whose body can be measured.
pub trait ToBodyEnd {
    fn __dynamo_metrics_kind(&self) -> BodyEnd {
        BodyEnd
    }
}

/// Other responses.
pub trait ByStatus {
    fn __dynamo_metrics_kind(&self) -> StatusEnd {
        StatusEnd
    }
}

/// Other results.
pub trait ByResult {
    fn __dynamo_metrics_kind(&self) -> ResultEnd {
        ResultEnd
    }
}

/// Other values.
pub trait ByValue {
    fn __dynamo_metrics_kind(&self) -> ValueEnd {
        ValueEnd
    }
}

impl<B: Rewrap> ToBodyEnd for &&&Tag<Response<B>> {}
impl<B: Rewrap, E> ToBodyEnd for &&&Tag<Result<Response<B>, E>> {}
impl<B> ByStatus for &&Tag<Response<B>> {}
impl<B, E> ByStatus for &&Tag<Result<Response<B>, E>> {}
impl<T, E> ByResult for &Tag<Result<T, E>> {}
impl<T> ByValue for Tag<T> {}

/// A response, or a result that may hold one.
pub trait MaybeResponse: Sized {
    type Body;

    /// Replaces the response, if there is one; `Err` is handed to `failed`.
    fn map(
        self,
        call: Call,
        response: impl FnOnce(Call, Response<Self::Body>) -> Response<Self::Body>,
    ) -> Self;
}

impl<B> MaybeResponse for Response<B> {
    type Body = B;

    fn map(self, call: Call, response: impl FnOnce(Call, Self) -> Self) -> Self {
        response(call, self)
    }
}

impl<B, E> MaybeResponse for Result<Response<B>, E> {
    type Body = B;

    fn map(self, call: Call, response: impl FnOnce(Call, Response<B>) -> Response<B>) -> Self {
        match self {
            Ok(value) => Ok(response(call, value)),
            Err(error) => {
                fail(call);
                Err(error)
            }
        }
    }
}

impl BodyEnd {
    pub fn __dynamo_metrics_finish<V: MaybeResponse<Body: Rewrap>>(
        self,
        call: Call,
        value: V,
    ) -> V {
        value.map(call, |call, response| {
            let state = ResponseState::from_call(call);
            ResponseBody::wrap(state, response).map(Rewrap::rewrap)
        })
    }
}

impl StatusEnd {
    pub fn __dynamo_metrics_finish<V: MaybeResponse>(self, call: Call, value: V) -> V {
        value.map(call, |mut call, response| {
            let status = response.status();
            let outcome = Outcome::of_status(status);
            call.end(End { outcome, in_body: false, status: Some(status) });
            response
        })
    }
}

impl ResultEnd {
    pub fn __dynamo_metrics_finish<T, E>(
        self,
        mut call: Call,
        value: Result<T, E>,
    ) -> Result<T, E> {
        let outcome = if value.is_ok() { Outcome::Success } else { Outcome::ServerError };
        call.end(End { outcome, in_body: false, status: None });
        value
    }
}

impl ValueEnd {
    pub fn __dynamo_metrics_finish<T>(self, mut call: Call, value: T) -> T {
        call.end(End { outcome: Outcome::Success, in_body: false, status: None });
        value
    }
}

/// Items that may be errors.
pub trait IsResult<T> {
    fn __dynamo_metrics_is_error(&self, item: &T) -> bool;
}

/// Items that are never errors.
pub trait IsValue<T> {
    fn __dynamo_metrics_is_error(&self, _: &T) -> bool {
        false
    }
}

impl<T, E> IsResult<Result<T, E>> for &Tag<Result<T, E>> {
    fn __dynamo_metrics_is_error(&self, item: &Result<T, E>) -> bool {
        item.is_err()
    }
}

impl<T> IsValue<T> for Tag<T> {}

#[cfg(feature = "axum")]
impl Rewrap for axum_core::body::Body {
    fn rewrap(measured: ResponseBody<Self>) -> Self {
        Self::new(measured)
    }
}

impl<D, E> Rewrap for http_body_util::combinators::BoxBody<D, E>
where
    D: bytes::Buf + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    fn rewrap(measured: ResponseBody<Self>) -> Self {
        Self::new(measured)
    }
}

impl<D, E> Rewrap for http_body_util::combinators::UnsyncBoxBody<D, E>
where
    D: bytes::Buf + Send + 'static,
    E: Send + 'static,
{
    fn rewrap(measured: ResponseBody<Self>) -> Self {
        Self::new(measured)
    }
}

impl Wanted<'_> {
    fn to_owned(&self) -> OwnedWanted {
        OwnedWanted {
            name: self.name.into(),
            prefix: self.prefix.map(Into::into),
            labels: self.labels.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        }
    }

    fn hash(&self) -> u64 {
        FixedState::default().hash_one((self.name, self.prefix, self.labels))
    }

    fn is(&self, known: &OwnedWanted) -> bool {
        let labels = known.labels.iter().map(|(name, value)| (&**name, &**value));
        self.name == &*known.name
            && self.prefix == known.prefix.as_deref()
            && self.labels.iter().copied().eq(labels)
    }
}
