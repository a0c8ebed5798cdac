//! Functions that return what is made into an HTTP response.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream};
use axum::response::{IntoResponse, Response, Sse};
use dynamo_metrics::clock::Manual;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::StatusCode;
use http_body_util::BodyExt as _;

use super::{ended, errors, in_flight, poll_next, run, sum};

/// Tokens as an `OpenAI` server streams them, and the end.
fn events() -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let token =
        |text| format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}");
    let events = [token("a"), token("b"), token("c"), "[DONE]".to_owned()];
    stream::iter(events.map(|data| Ok(Event::default().data(data))))
}

fn read(response: Response) -> String {
    let body = run(response.into_body().collect()).unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[instrumented_endpoint(scope = scope)]
async fn opaque(scope: &Scope) -> impl IntoResponse + use<> {
    Sse::new(events())
}

#[instrumented_endpoint(scope = scope)]
async fn kept_alive(scope: &Scope) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    Sse::new(events()).keep_alive(KeepAlive::default())
}

#[instrumented_endpoint(scope = scope)]
async fn fallible(
    scope: &Scope,
    ok: bool,
) -> Result<Sse<BoxStream<'static, Result<Event, Infallible>>>, StatusCode> {
    if !ok {
        return Err(StatusCode::TOO_MANY_REQUESTS);
    }
    Ok(Sse::new(events().boxed()))
}

#[instrumented_endpoint(scope = scope)]
fn not_async(scope: &Scope) -> Sse<KeepAliveStream<BoxStream<'static, Result<Event, Infallible>>>> {
    drop(scope.clone());
    Sse::new(events().boxed()).keep_alive(KeepAlive::default())
}

#[tokio::test]
async fn an_opaque_answer_is_in_flight_until_its_body_ends() {
    let registry = Registry::new();
    let response = opaque(&registry).await.into_response();
    assert_eq!(in_flight(&registry, "opaque"), Some(1.0));
    let body = read(response);
    assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
    assert_eq!(ended(&registry, "opaque"), "success=1");
    assert_eq!(sum(&registry, "opaque", "output_tokens_total"), Some(3.0));
    assert_eq!(sum(&registry, "opaque", "response_bytes_total"), Some(body.len() as f64));
}

#[tokio::test]
async fn an_sse_is_in_flight_until_its_stream_ends() {
    let registry = Registry::new();
    let responses = [
        ("kept_alive", kept_alive(&registry).await.into_response()),
        ("fallible", fallible(&registry, true).await.into_response()),
        ("not_async", not_async(&registry).into_response()),
    ];
    for (endpoint, response) in responses {
        assert_eq!(in_flight(&registry, endpoint), Some(1.0), "{endpoint}");
        assert!(read(response).ends_with("data: [DONE]\n\n"));
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
        // Nobody can read an event of axum's: each is a token.
        assert_eq!(sum(&registry, endpoint, "output_tokens_total"), Some(4.0), "{endpoint}");
    }
    assert_eq!(fallible(&registry, false).await.err(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(ended(&registry, "fallible"), "rejected=1 success=1");
}

#[tokio::test]
async fn an_sse_that_its_client_leaves_was_cancelled() {
    let registry = Registry::new();
    let response = kept_alive(&registry).await.into_response();
    let mut body = response.into_body().into_data_stream();
    assert!(poll_next(&mut body).is_ready());
    drop(body);
    assert_eq!(ended(&registry, "kept_alive"), "cancelled=1");
    assert_eq!(sum(&registry, "kept_alive", "output_tokens_total"), Some(1.0));
}

#[test]
fn an_sse_is_timed_from_the_call() {
    #[instrumented_endpoint(scope = scope)]
    async fn slow(
        scope: &Scope,
        time: &Manual,
    ) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        time.advance(Duration::from_millis(300));
        Sse::new(events())
    }

    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        let response = run(slow(&registry, &time)).into_response();
        time.advance(Duration::from_millis(200));
        read(response);
    });
    assert_eq!(sum(&registry, "slow", "time_to_first_token_seconds_sum"), Some(0.5));
    assert_eq!(sum(&registry, "slow", "request_duration_seconds_sum"), Some(0.5));
}

#[test]
fn an_sse_that_is_made_elsewhere_ends_its_run() {
    fn made() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        Sse::new(events())
    }

    #[instrumented_endpoint(scope = scope)]
    async fn elsewhere(
        scope: &Scope,
    ) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        made()
    }

    let registry = Registry::new();
    let response = run(elsewhere(&registry)).into_response();
    assert_eq!(ended(&registry, "elsewhere"), "success=1");
    assert_eq!(read(response).matches("data: ").count(), 4);
}

#[test]
fn an_opaque_answer_ends_by_its_status() {
    #[instrumented_endpoint(scope = scope)]
    async fn reply(scope: &Scope, status: StatusCode) -> impl IntoResponse + use<> {
        if status == StatusCode::IM_A_TEAPOT {
            return (status, "short and stout").into_response();
        }
        (status, Json([1, 2, 3])).into_response()
    }

    let registry = Registry::new();
    for status in [StatusCode::OK, StatusCode::IM_A_TEAPOT, StatusCode::BAD_GATEWAY] {
        let response = run(reply(&registry, status)).into_response();
        assert_eq!(response.status(), status);
        read(response);
    }
    assert_eq!(ended(&registry, "reply"), "client_error=1 server_error=1 success=1");
}

#[test]
fn values_with_a_status_end_by_it() {
    #[instrumented_endpoint(scope = scope)]
    async fn alone(scope: &Scope, status: StatusCode) -> StatusCode {
        status
    }

    #[instrumented_endpoint(scope = scope)]
    async fn with_body(scope: &Scope, status: StatusCode) -> (StatusCode, Json<u8>) {
        (status, Json(7))
    }

    #[instrumented_endpoint(scope = scope)]
    fn either(scope: &Scope, ok: bool) -> Result<Json<u8>, (StatusCode, &'static str)> {
        drop(scope.clone());
        if ok { Ok(Json(7)) } else { Err((StatusCode::NOT_FOUND, "nothing here")) }
    }

    let registry = Registry::new();
    for status in [StatusCode::OK, StatusCode::NOT_FOUND] {
        assert_eq!(run(alone(&registry, status)), status);
        assert_eq!(run(with_body(&registry, status)).0, status);
        assert_eq!(either(&registry, status.is_success()).is_ok(), status.is_success());
    }
    for endpoint in ["alone", "with_body", "either"] {
        assert_eq!(ended(&registry, endpoint), "client_error=1 success=1", "{endpoint}");
        assert_eq!(errors(&registry, endpoint), "invalid_message=1", "{endpoint}");
    }
}

#[test]
fn one_function_may_make_its_answer_in_two_places() {
    #[instrumented_endpoint(scope = scope)]
    async fn either(
        scope: &Scope,
        short: bool,
    ) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
        if short {
            return Sse::new(stream::iter(vec![Ok(Event::default().data("a"))]));
        }
        Sse::new(stream::iter(vec![Ok(Event::default().data("b")), Ok(Event::default().data("c"))]))
    }

    let registry = Registry::new();
    for short in [true, false] {
        run(run(either(&registry, short)).into_response().into_body().collect()).unwrap();
    }
    assert_eq!(ended(&registry, "either"), "success=2");
    assert_eq!(sum(&registry, "either", "output_tokens_total"), Some(3.0));
}
