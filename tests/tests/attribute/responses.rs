//! Functions that return an HTTP response: a run lasts as long as the body does.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::{StreamExt as _, stream};
use http::{Response, StatusCode};
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use http_body_util::{BodyExt as _, Full};

use super::{ended, errors, in_flight, poll_next, run, sum};

/// Three tokens, as an `OpenAI` server streams them, and the end.
const EVENTS: [&str; 4] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"}}]}\n\n",
    "data: [DONE]\n\n",
];

fn events() -> Body {
    Body::from_stream(stream::iter(EVENTS.map(Ok::<_, Infallible>)))
}

fn event_stream() -> Response<Body> {
    Response::builder().header("content-type", "text/event-stream").body(events()).unwrap()
}

#[instrumented_endpoint(scope = scope)]
async fn chat(scope: &Scope) -> Response<Body> {
    event_stream()
}

#[instrumented_endpoint(scope = scope)]
async fn reply(scope: &Scope, status: u16, body: &'static str) -> Result<Response<Body>, u16> {
    if status == 0 {
        return Err(status);
    }
    let status = StatusCode::from_u16(status).map_err(|_| status)?;
    Ok(Response::builder().status(status).body(Body::from(body)).unwrap())
}

#[test]
fn a_run_is_in_flight_until_the_body_ends() {
    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        let mut body = run(chat(&registry)).into_body().into_data_stream();
        assert_eq!(in_flight(&registry, "chat"), Some(1.0));
        for (step, event) in [200, 30, 20, 50].into_iter().zip(EVENTS) {
            time.advance(Duration::from_millis(step));
            assert_eq!(run(body.next()).unwrap().unwrap(), event);
        }
        assert_eq!(in_flight(&registry, "chat"), Some(1.0));
        assert!(run(body.next()).is_none());
        time.advance(Duration::from_secs(9));
    });
    assert_eq!(ended(&registry, "chat"), "success=1");
    let bytes = EVENTS.concat().len();
    for (metric, value) in [
        ("output_tokens_total", 3.0),
        ("time_to_first_token_seconds_count", 1.0),
        ("time_to_first_token_seconds_sum", 0.2),
        ("inter_token_latency_seconds_count", 2.0),
        ("inter_token_latency_seconds_sum", 0.05),
        ("request_duration_seconds_sum", 0.3),
        ("response_bytes_total", f64::from(u32::try_from(bytes).unwrap())),
    ] {
        assert_eq!(sum(&registry, "chat", metric), Some(value), "{metric}");
    }
}

#[test]
fn a_body_that_is_dropped_early_was_cancelled() {
    let registry = Registry::new();
    let mut body = run(chat(&registry)).into_body().into_data_stream();
    assert!(poll_next(&mut body).is_ready());
    assert!(poll_next(&mut body).is_ready());
    drop(body);
    assert_eq!(ended(&registry, "chat"), "cancelled=1");
    assert_eq!(sum(&registry, "chat", "output_tokens_total"), Some(2.0));
}

#[test]
fn a_response_that_is_dropped_unread_was_cancelled() {
    let registry = Registry::new();
    drop(run(chat(&registry)));
    assert_eq!(ended(&registry, "chat"), "cancelled=1");
}

#[test]
fn the_status_says_how_a_run_ended() {
    let registry = Registry::new();
    for status in [200, 404, 429, 500] {
        let response = run(reply(&registry, status, "text")).unwrap();
        assert_eq!(in_flight(&registry, "reply"), Some(1.0), "{status}");
        assert_eq!(response.status(), status);
        assert_eq!(run(response.into_body().collect()).unwrap().to_bytes(), "text");
    }
    assert_eq!(ended(&registry, "reply"), "client_error=1 rejected=1 server_error=1 success=1");
    assert_eq!(errors(&registry, "reply"), "generate=1 invalid_message=1 rejected=1");
}

#[test]
fn an_err_in_place_of_a_response_is_an_error_at_once() {
    let registry = Registry::new();
    assert_eq!(run(reply(&registry, 0, "")).unwrap_err(), 0);
    assert_eq!(run(reply(&registry, 7, "")).unwrap_err(), 7);
    assert_eq!(ended(&registry, "reply"), "server_error=2");
}

#[test]
fn a_response_without_a_body_ends_with_its_head() {
    let registry = Registry::new();
    let response = run(reply(&registry, 404, "")).unwrap();
    assert_eq!(ended(&registry, "reply"), "client_error=1");
    drop(response);
    assert_eq!(ended(&registry, "reply"), "client_error=1");
}

#[test]
fn a_body_of_known_length_is_whole_after_its_last_byte() {
    let registry = Registry::new();
    let mut body = run(reply(&registry, 200, "text")).unwrap().into_body();
    // As hyper does, which asks for no frame after the last byte.
    assert_eq!(run(body.frame()).unwrap().unwrap().into_data().unwrap(), "text");
    drop(body);
    assert_eq!(ended(&registry, "reply"), "success=1");
}

#[test]
fn a_body_that_fails_makes_the_run_an_error() {
    #[instrumented_endpoint(scope = scope)]
    async fn failing(scope: &Scope) -> axum::response::Response {
        let frames = [Ok("a"), Err(std::io::Error::other("broken"))];
        Response::new(Body::from_stream(stream::iter(frames)))
    }

    let registry = Registry::new();
    assert!(run(run(failing(&registry)).into_body().collect()).is_err());
    assert_eq!(ended(&registry, "failing"), "server_error=1");
    assert_eq!(errors(&registry, "failing"), "response_stream=1");
}

#[test]
fn a_response_behind_an_opaque_type_is_a_response() {
    #[instrumented_endpoint(scope = scope)]
    async fn opaque(scope: &Scope) -> impl IntoResponse + use<> {
        event_stream()
    }

    #[instrumented_endpoint(scope = scope)]
    async fn fallible(scope: &Scope, ok: bool) -> Result<impl IntoResponse + use<>, StatusCode> {
        ok.then(event_stream).ok_or(StatusCode::NOT_FOUND)
    }

    let registry = Registry::new();
    let responses = [
        ("opaque", run(opaque(&registry)).into_response()),
        ("fallible", run(fallible(&registry, true)).unwrap().into_response()),
    ];
    for (endpoint, response) in responses {
        assert_eq!(in_flight(&registry, endpoint), Some(1.0), "{endpoint}");
        assert!(run(response.into_body().collect()).is_ok());
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
        assert_eq!(sum(&registry, endpoint, "output_tokens_total"), Some(3.0), "{endpoint}");
    }
    assert!(run(fallible(&registry, false)).is_err());
    // An error that is an answer says by its status whose it was.
    assert_eq!(ended(&registry, "fallible"), "client_error=1 success=1");
}

#[test]
fn boxed_bodies_are_followed_to_their_end() {
    #[instrumented_endpoint(scope = scope)]
    async fn boxed(scope: &Scope) -> Response<BoxBody<Bytes, Infallible>> {
        Response::new(Full::from("text").boxed())
    }

    #[instrumented_endpoint(scope = scope)]
    async fn unsync(scope: &Scope) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, ()> {
        Ok(Response::new(Full::from("text").boxed_unsync()))
    }

    let registry = Registry::new();
    let response = run(boxed(&registry));
    assert_eq!(in_flight(&registry, "boxed"), Some(1.0));
    assert_eq!(run(response.into_body().collect()).unwrap().to_bytes(), "text");
    assert_eq!(ended(&registry, "boxed"), "success=1");
    let response = run(unsync(&registry)).unwrap();
    assert_eq!(in_flight(&registry, "unsync"), Some(1.0));
    assert_eq!(run(response.into_body().collect()).unwrap().to_bytes(), "text");
    assert_eq!(ended(&registry, "unsync"), "success=1");
}

#[test]
fn other_bodies_end_with_their_head_and_its_status() {
    #[instrumented_endpoint(scope = scope)]
    async fn full(scope: &Scope, status: StatusCode) -> Response<Full<Bytes>> {
        Response::builder().status(status).body(Full::from("text")).unwrap()
    }

    #[instrumented_endpoint(scope = scope)]
    async fn generic<B>(scope: &Scope, body: B) -> Result<Response<B>, ()> {
        Ok(Response::builder().status(404).body(body).unwrap())
    }

    let registry = Registry::new();
    run(full(&registry, StatusCode::OK));
    run(full(&registry, StatusCode::BAD_GATEWAY));
    assert_eq!(ended(&registry, "full"), "server_error=1 success=1");
    assert!(run(generic(&registry, [7])).is_ok());
    assert_eq!(ended(&registry, "generic"), "client_error=1");
}
