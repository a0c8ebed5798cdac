//! What arguments say of a run's end, and of what is counted.

use std::pin::pin;

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::LabelValue;
use dynamo_metrics::metric::TraceContext;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};

use super::{by_label, ended, errors, in_flight, page, poll, run, sum};

#[derive(Debug, PartialEq)]
enum ApiError {
    Quota(u32),
    Broken,
}

#[derive(LabelValue)]
enum Kind {
    Quota,
    Broken,
}

impl ApiError {
    fn kind(&self) -> Kind {
        match self {
            Self::Quota(_) => Kind::Quota,
            Self::Broken => Kind::Broken,
        }
    }
}

fn is_short(result: &Result<String, ApiError>) -> bool {
    matches!(result, Ok(text) if text.len() < 3)
}

#[test]
fn a_predicate_says_what_went_well() {
    #[instrumented_endpoint(scope = registry, ok_if = is_short)]
    async fn short(
        registry: &Registry,
        reply: Result<String, ApiError>,
    ) -> Result<String, ApiError> {
        reply
    }

    #[instrumented_endpoint(scope = registry, ok_if = Option::is_some)]
    fn found(registry: &Registry, value: Option<u8>) -> Option<u8> {
        drop(registry.clone());
        value
    }

    let registry = Registry::new();
    for reply in [Ok("hi".to_owned()), Ok("hello".to_owned()), Err(ApiError::Broken)] {
        let _ = run(short(&registry, reply));
    }
    assert_eq!(ended(&registry, "short"), "server_error=2 success=1");
    found(&registry, Some(7));
    found(&registry, None);
    assert_eq!(ended(&registry, "found"), "server_error=1 success=1");
}

#[test]
fn a_predicate_says_what_failed() {
    #[instrumented_endpoint(
        scope = registry,
        error_if = |reply| !matches!(reply, Ok(..10) | Err(ApiError::Quota(_))),
    )]
    async fn reply(registry: &Registry, reply: Result<u8, ApiError>) -> Result<u8, ApiError> {
        reply
    }

    let registry = Registry::new();
    for it in [Ok(7), Ok(70), Err(ApiError::Quota(1)), Err(ApiError::Broken)] {
        let _ = run(reply(&registry, it));
    }
    // An `Ok` may be an error, and an `Err` none.
    assert_eq!(ended(&registry, "reply"), "server_error=2 success=2");
    assert_eq!(errors(&registry, "reply"), "generate=2");
}

#[test]
fn a_predicate_judges_a_response_and_not_what_becomes_of_its_body() {
    type Body = BoxBody<bytes::Bytes, std::convert::Infallible>;

    #[instrumented_endpoint(
        scope = scope,
        ok_if = |response| response.status() == StatusCode::NOT_FOUND,
    )]
    async fn absent(scope: &Scope, status: StatusCode) -> Response<Body> {
        let mut response = Response::new(Full::from("text").boxed());
        *response.status_mut() = status;
        response
    }

    let registry = Registry::new();
    for status in [StatusCode::NOT_FOUND, StatusCode::OK, StatusCode::BAD_GATEWAY] {
        let response = run(absent(&registry, status));
        assert_eq!(in_flight(&registry, "absent"), Some(1.0));
        assert!(run(response.into_body().collect()).is_ok());
    }
    drop(run(absent(&registry, StatusCode::NOT_FOUND)));
    assert_eq!(ended(&registry, "absent"), "cancelled=1 server_error=2 success=1");
}

#[test]
fn a_predicate_that_panics_judges_nothing() {
    #[instrumented_endpoint(scope = registry, ok_if = |_| panic!("as it is meant to"))]
    fn risky(registry: &Registry) -> Result<u8, ()> {
        drop(registry.clone());
        Ok(7)
    }

    let registry = Registry::new();
    assert_eq!(risky(&registry), Ok(7));
    assert_eq!(ended(&registry, "risky"), "success=1");
}

#[test]
fn errors_have_the_label_that_they_are_given() {
    #[instrumented_endpoint(scope = registry, err(label = ApiError::kind))]
    async fn reply(registry: &Registry, reply: Result<u8, ApiError>) -> Result<u8, ApiError> {
        assert!(reply != Ok(9), "a panic");
        reply
    }

    #[instrumented_endpoint(scope = registry, err(label = |_| Kind::Broken))]
    fn tokens(registry: &Registry, ok: bool) -> Result<BoxStream<'static, u8>, ApiError> {
        drop(registry.clone());
        if ok { Ok(stream::iter([1, 2]).boxed()) } else { Err(ApiError::Broken) }
    }

    let registry = Registry::new();
    for it in [Ok(7), Err(ApiError::Quota(1)), Err(ApiError::Quota(2)), Err(ApiError::Broken)] {
        let _ = run(reply(&registry, it));
    }
    super::run_to_panic(reply(&registry, Ok(9)));
    assert_eq!(ended(&registry, "reply"), "panic=1 server_error=3 success=1");
    assert_eq!(errors(&registry, "reply"), "broken=1 panic=1 quota=2");
    assert!(tokens(&registry, false).is_err());
    assert_eq!(run(tokens(&registry, true).unwrap().count()), 2);
    assert_eq!(ended(&registry, "tokens"), "server_error=1 success=1");
    assert_eq!(errors(&registry, "tokens"), "broken=1");
}

#[test]
fn an_error_that_went_well_has_no_label() {
    #[instrumented_endpoint(
        scope = registry,
        err(label = ApiError::kind),
        error_if = |reply| matches!(reply, Err(ApiError::Broken)),
    )]
    fn reply(registry: &Registry, reply: Result<u8, ApiError>) -> Result<u8, ApiError> {
        drop(registry.clone());
        reply
    }

    let registry = Registry::new();
    assert!(reply(&registry, Err(ApiError::Quota(1))).is_err());
    assert!(reply(&registry, Err(ApiError::Broken)).is_err());
    assert_eq!(ended(&registry, "reply"), "server_error=1 success=1");
    assert_eq!(errors(&registry, "reply"), "broken=1");
}

#[test]
fn a_label_that_panics_leaves_the_error_as_it_is() {
    fn panics(_: &ApiError) -> Kind {
        panic!("as it is meant to")
    }

    #[instrumented_endpoint(scope = registry, err(label = panics))]
    fn reply(registry: &Registry) -> Result<u8, ApiError> {
        drop(registry.clone());
        Err(ApiError::Broken)
    }

    let registry = Registry::new();
    assert_eq!(reply(&registry), Err(ApiError::Broken));
    assert_eq!(errors(&registry, "reply"), "generate=1");
}

#[test]
fn cancelled_runs_are_what_is_said_of_them() {
    #[instrumented_endpoint(scope = registry, cancelled = "separate")]
    async fn separate(registry: &Registry) {
        tokio::task::yield_now().await;
    }

    #[instrumented_endpoint(scope = registry, cancelled = "error")]
    async fn failed(registry: &Registry) {
        tokio::task::yield_now().await;
    }

    #[instrumented_endpoint(scope = registry, cancelled = "ignore")]
    async fn ignored(registry: &Registry) {
        tokio::task::yield_now().await;
    }

    let registry = Registry::new();
    {
        let (mut a, mut b, mut c) = (
            Box::pin(separate(&registry)),
            Box::pin(failed(&registry)),
            Box::pin(ignored(&registry)),
        );
        assert!(poll(a.as_mut()).is_pending() && poll(b.as_mut()).is_pending());
        assert!(poll(c.as_mut()).is_pending());
        assert_eq!(in_flight(&registry, "ignored"), Some(1.0));
    }
    assert_eq!(ended(&registry, "separate"), "cancelled=1");
    assert_eq!(ended(&registry, "failed"), "server_error=1");
    assert_eq!(errors(&registry, "failed"), "generate=1");
    assert_eq!(in_flight(&registry, "ignored"), Some(0.0));
    for metric in ["requests_total", "cancellation_total", "request_duration_seconds_count"] {
        assert_eq!(sum(&registry, "ignored", metric), Some(0.0), "{metric}");
    }
    assert_eq!(sum(&registry, "ignored", "requests_started_total"), Some(1.0));
    let mut whole = pin!(ignored(&registry));
    assert!(poll(whole.as_mut()).is_pending() && poll(whole.as_mut()).is_ready());
    assert_eq!(by_label(&registry, "ignored", "request_outcomes_total", "outcome"), "success=1");
}

#[test]
fn what_is_in_flight_may_be_left_uncounted() {
    #[instrumented_endpoint(scope = registry, in_flight = false)]
    async fn quick(registry: &Registry) {
        tokio::task::yield_now().await;
    }

    let registry = Registry::new();
    let mut run = pin!(quick(&registry));
    assert!(poll(run.as_mut()).is_pending());
    assert_eq!(in_flight(&registry, "quick"), Some(0.0));
    assert!(poll(run.as_mut()).is_ready());
    assert_eq!(ended(&registry, "quick"), "success=1");
}

#[test]
fn an_endpoint_is_described_by_its_documentation_or_as_told() {
    /// Answers a prompt,
    /// in a few words.
    ///
    /// And no more than that.
    #[instrumented_endpoint(scope = registry)]
    fn documented(registry: &Registry) {
        drop(registry.clone());
    }

    /// What nobody sees.
    #[instrumented_endpoint(scope = registry, help = "Says \"hi\".")]
    fn told(registry: &Registry) {
        drop(registry.clone());
    }

    #[instrumented_endpoint(scope = registry)]
    fn unsaid(registry: &Registry) {
        drop(registry.clone());
    }

    let registry = Registry::new();
    for _ in 0..2 {
        documented(&registry);
        told(&registry);
        unsaid(&registry);
    }
    let page = page(&registry);
    let mut seen: Vec<_> = page
        .samples()
        .iter()
        .filter(|sample| sample.name == "dynamo_component_endpoint_info")
        .map(|sample| (&*sample.labels["dynamo_endpoint"], &*sample.labels["help"], sample.value))
        .collect();
    seen.sort_by_key(|(endpoint, ..)| *endpoint);
    assert_eq!(
        seen,
        [("documented", "Answers a prompt, in a few words.", 1.0), ("told", "Says \"hi\".", 1.0)]
    );
}

#[test]
fn a_label_may_be_named_as_the_parameter_that_it_is() {
    #[instrumented_endpoint(scope = registry, labels(cached, tier = "free"))]
    async fn generate((registry, cached): (&Registry, bool)) {}

    let registry = Registry::new();
    run(generate((&registry, true)));
    let labels = [("cached", "true"), ("tier", "free")];
    assert_eq!(page(&registry).sum("dynamo_component_requests_total", &labels), Some(1.0));
}

#[test]
fn histograms_have_the_buckets_that_they_are_given() {
    const ITL: [f64; 2] = [0.5, 1.5];

    #[instrumented_endpoint(scope = registry, buckets = [1, 2.5])]
    fn quick(registry: &Registry) {
        drop(registry.clone());
    }

    #[instrumented_endpoint(scope = registry, buckets(ttft = [0.5], itl = ITL))]
    fn tokens(registry: &Registry) -> BoxStream<'static, u8> {
        drop(registry.clone());
        stream::iter([1, 2]).boxed()
    }

    let registry = Registry::new();
    quick(&registry);
    assert_eq!(run(tokens(&registry).count()), 2);
    let bounds = |endpoint, metric| by_label(&registry, endpoint, metric, "le");
    assert_eq!(bounds("quick", "request_duration_seconds_bucket"), "+Inf=1 1=1 2.5=1");
    assert_eq!(bounds("tokens", "time_to_first_token_seconds_bucket"), "+Inf=1 0.5=1");
    assert_eq!(bounds("tokens", "inter_token_latency_seconds_bucket"), "+Inf=1 0.5=1 1.5=1");
}

#[test]
fn exemplars_lead_to_the_trace_that_is_told() {
    #[instrumented_endpoint(scope = registry, exemplar = trace)]
    fn traced(registry: &Registry, trace: Option<TraceContext>) {
        drop(registry.clone());
    }

    #[instrumented_endpoint(scope = registry, exemplar)]
    fn untold(registry: &Registry) {
        drop(registry.clone());
    }

    let registry = Registry::new();
    traced(&registry, None);
    untold(&registry);
    assert!(!dynamo_metrics::encode::openmetrics(&registry).contains("trace_id"));
    traced(&registry, Some(TraceContext::new(0xabc, 1, true)));
    let trace = TraceContext::new(0xdef, 1, true);
    let entered = trace.enter();
    untold(&registry);
    drop(entered);
    let page = dynamo_metrics::encode::openmetrics(&registry);
    for (endpoint, id) in [("traced", "0abc\""), ("untold", "0def\"")] {
        let line = page.lines().find(|line| {
            line.contains("duration_seconds_bucket") && line.contains(endpoint) && line.contains(id)
        });
        assert!(line.is_some(), "{endpoint} in {page}");
    }
}

#[test]
fn a_labelled_error_with_a_status_is_what_the_status_says() {
    #[instrumented_endpoint(scope = registry, err(label = |_| Kind::Quota))]
    fn reply(registry: &Registry, status: u16) -> Result<u8, StatusCode> {
        drop(registry.clone());
        Err(StatusCode::from_u16(status).unwrap())
    }

    let registry = Registry::new();
    for status in [404, 429, 500] {
        assert!(reply(&registry, status).is_err());
    }
    assert_eq!(ended(&registry, "reply"), "client_error=1 rejected=1 server_error=1");
    assert_eq!(errors(&registry, "reply"), "quota=3");
}
