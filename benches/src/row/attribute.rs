//! Attributes: what they add to a function.

use std::hint::black_box;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use anyhow::ensure;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};

use super::{Pace, Row, Table, Unit};
use crate::library::{OURS, text};
use crate::page::total;
use crate::race::{Added, Contender, Field};

pub(crate) const ADDED: &str = "attribute, added to an async fn";
pub(crate) const AUTOMETRICS: &str = "autometrics";
const ADDED_PLAIN: &str = "attribute, added to a plain fn";

static SCOPE: LazyLock<Scope> = LazyLock::new(|| Registry::global().component("bench"));

/// The error that is never met.
#[derive(Debug)]
pub(crate) struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

fn work(input: u64) -> Result<u64, Refused> {
    black_box(input).checked_add(1).ok_or(Refused)
}

#[expect(clippy::unused_async, reason = "as the others are without their attributes")]
async fn bare(input: u64) -> Result<u64, Refused> {
    work(input)
}

#[instrumented_endpoint]
async fn ours_global(input: u64) -> Result<u64, Refused> {
    work(input)
}

#[instrumented_endpoint(scope = scope)]
async fn ours_scoped(scope: &Scope, input: u64) -> Result<u64, Refused> {
    work(input)
}

#[inline(never)]
fn bare_plain(input: u64) -> Result<u64, Refused> {
    work(input)
}

#[inline(never)]
#[instrumented_endpoint(scope = scope)]
fn ours_plain(scope: &Scope, input: u64) -> Result<u64, Refused> {
    work(input)
}

#[cfg(feature = "peers")]
#[autometrics::autometrics]
async fn with_autometrics(input: u64) -> Result<u64, Refused> {
    work(input)
}

#[cfg(feature = "peers")]
#[tracing::instrument]
async fn with_tracing(input: u64) -> Result<u64, Refused> {
    work(input)
}

pub(super) fn rows() -> Vec<Row> {
    let row = |name, field| Row {
        name,
        table: Table::Attribute,
        unit: Unit::Nanoseconds,
        pace: Pace::Quick,
        field,
    };
    vec![row(ADDED, || Ok(field())), row(ADDED_PLAIN, || Ok(plain_field()))]
}

fn plain_field() -> Field {
    let with = || matches!(ours_plain(&SCOPE, 1), Ok(2));
    let bare = || matches!(bare_plain(1), Ok(2));
    let check = |done| seen("ours_plain", done);
    vec![(OURS.to_owned(), Box::new(Added::new(1, with, bare).checked(check)) as _)]
}

fn field() -> Field {
    let ours: Field = vec![
        (OURS.to_owned(), added(|| ours_global(1), |done| seen("ours_global", done))),
        (
            "ours, scope given".to_owned(),
            added(|| ours_scoped(&SCOPE, 1), |done| seen("ours_scoped", done)),
        ),
    ];
    ours.into_iter().chain(peers()).collect()
}

#[cfg(not(feature = "peers"))]
fn peers() -> Field {
    Field::new()
}

#[cfg(feature = "peers")]
fn peers() -> Field {
    let check = |done: u64| {
        let mut page = String::new();
        prometheus::TextEncoder::new().encode_utf8(&prometheus::gather(), &mut page)?;
        let seen = total(&page, "function_calls_total{", "with_autometrics");
        ensure!(seen >= done as f64, "{seen} calls of {done}");
        Ok(())
    };
    vec![
        (AUTOMETRICS.to_owned(), added(|| with_autometrics(1), check)),
        ("tracing::instrument, no subscriber".to_owned(), added(|| with_tracing(1), |_| Ok(()))),
    ]
}

fn seen(endpoint: &str, done: u64) -> anyhow::Result<()> {
    let page = text(Registry::global())?;
    let endpoint = format!("dynamo_endpoint=\"{endpoint}\"");
    let seen = total(&page, "dynamo_component_requests_total{", &endpoint);
    ensure!(seen >= done as f64, "{seen} calls of {done}");
    Ok(())
}

fn added<F: Future<Output = Result<u64, Refused>>>(
    call: impl Fn() -> F + 'static,
    check: impl Fn(u64) -> anyhow::Result<()> + 'static,
) -> Box<dyn Contender> {
    Box::new(Added::new(1, move || ends(call()), || ends(bare(1))).checked(check))
}

#[inline]
fn ends(call: impl Future<Output = Result<u64, Refused>>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    matches!(pin!(call).poll(&mut context), Poll::Ready(Ok(2)))
}
