//! Layers: what they add to a request, from its head to its body's end, and to a frame of it.

use anyhow::ensure;
use bytes::Bytes;
use dynamo_metrics::llm::stream::{Seen, StreamReader};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tower::MetricsLayer;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::Empty;
use tower_layer::Layer as _;
use tower_service::Service;

use super::service::{Handler, PATH, exchange};
use super::{Pace, Row, Table, Unit, bare};
use crate::library::{OURS, text};
use crate::page::total;
use crate::race::{Added, Field};

pub(crate) const REQUEST: &str = "layer, added per request, head to body end";
pub(crate) const FRAME: &str = "layer, added per frame with timing";
pub(crate) const EVENT: &str = "one OpenAI event of 180 bytes, token found and timed";
pub(crate) const TRACE: &str = "tower-http Trace";

/// Frames of an answer whose frames are measured.
pub(super) const FRAMES: usize = 1_024;

/// What a contender may do with a service that has a layer around it.
pub(super) trait Visit {
    fn visit<S, B>(&mut self, name: &str, service: S, ends: Ends) -> anyhow::Result<()>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>> + 'static,
        B: Body<Data = Bytes>;
}

/// What is done around a layer's requests.
pub(super) struct Ends {
    /// Ahead of them.
    pub(super) settle: Box<dyn Fn()>,
    /// When so many are done: are they there?
    pub(super) check: Box<dyn Fn(u64) -> anyhow::Result<()>>,
}

/// What is asked of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// To measure requests.
    Requests,
    /// To time each frame, whatever is in it.
    Frames,
    /// To find the tokens in each event.
    Events,
}

struct Timing<'a> {
    field: &'a mut Field,
    handler: Handler,
    parts: usize,
}

/// Takes each frame for a token.
struct EachFrame;

impl Ends {
    pub(super) fn checked(check: impl Fn(u64) -> anyhow::Result<()> + 'static) -> Self {
        Self { settle: Box::new(|| ()), check: Box::new(check) }
    }
}

impl StreamReader for EachFrame {
    fn read(&mut self, _: &[u8], seen: &mut Seen) {
        seen.tokens += 1;
    }
}

impl Visit for Timing<'_> {
    fn visit<S, B>(&mut self, name: &str, mut service: S, ends: Ends) -> anyhow::Result<()>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>> + 'static,
        B: Body<Data = Bytes>,
    {
        let (uri, mut bare) = (Uri::from_static(PATH), self.handler.clone());
        let bytes = exchange(&mut bare, &uri);
        ensure!(bytes.is_some() && exchange(&mut service, &uri) == bytes, "{name} loses bytes");
        let other = uri.clone();
        let run = Added::new(
            self.parts,
            move || exchange(&mut service, &uri) == bytes,
            move || exchange(&mut bare, &other) == bytes,
        );
        // One request was done just now.
        let check = move |done| (ends.check)(done + 1);
        self.field.push((name.to_owned(), Box::new(run.before(ends.settle).checked(check))));
        Ok(())
    }
}

pub(super) fn rows() -> Vec<Row> {
    let row = |name, field| Row {
        name,
        table: Table::Layer,
        unit: Unit::Nanoseconds,
        pace: Pace::Quick,
        field,
    };
    vec![row(REQUEST, requests), row(FRAME, frames), row(EVENT, events)]
}

fn requests() -> anyhow::Result<Field> {
    let (mut bare, uri) = (Handler::frames(1), Uri::from_static(PATH));
    ensure!(exchange(&mut bare, &uri) == Some(180), "the service loses bytes");
    let alone = Added::new(1, move || exchange(&mut bare, &uri) == Some(180), || true);
    let mut field: Field = vec![("(bare) the service itself".to_owned(), Box::new(alone))];
    timed(&mut field, Handler::frames(1), Ask::Requests, 1)?;
    Ok(field)
}

fn frames() -> anyhow::Result<Field> {
    let mut field = Field::new();
    timed(&mut field, Handler::frames(FRAMES), Ask::Frames, FRAMES)?;
    Ok(field)
}

fn events() -> anyhow::Result<Field> {
    let mut field = vec![bare::hash(1, 3), bare::own(1)];
    timed(&mut field, Handler::events(FRAMES), Ask::Events, FRAMES)?;
    Ok(field)
}

fn timed(field: &mut Field, handler: Handler, ask: Ask, parts: usize) -> anyhow::Result<()> {
    let layers = handler.clone();
    visit(&layers, ask, &mut Timing { field, handler, parts })
}

/// Shows `to` every layer that can do what is asked, around `handler`.
pub(super) fn visit(handler: &Handler, ask: Ask, to: &mut impl Visit) -> anyhow::Result<()> {
    let registry = Registry::new();
    let builder = MetricsLayer::builder(&registry.component("bench")).route(PATH, "chat");
    let builder = match ask {
        Ask::Frames => builder.stream_reader(|_| Some(Box::new(EachFrame))),
        Ask::Requests | Ask::Events => builder,
    };
    let ours = builder.build()?.layer(handler.clone());
    let check = move |done: u64| {
        let page = text(&registry)?;
        let (requests, endpoint) = (done as f64, "dynamo_endpoint=\"chat\"");
        let seen = total(&page, "dynamo_component_requests_total{", endpoint);
        let tokens = total(&page, "dynamo_component_output_tokens_total{", endpoint);
        let frames = if ask == Ask::Requests { 0.0 } else { FRAMES as f64 };
        let right = seen >= requests && (tokens - seen * frames).abs() < 0.5;
        ensure!(right, "{seen} requests of {requests}, {tokens} tokens");
        Ok(())
    };
    to.visit(OURS, ours, Ends::checked(check))?;
    #[cfg(feature = "peers")]
    super::layer_peers::visit(handler, ask, to)?;
    Ok(())
}
