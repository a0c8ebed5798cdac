//! What the items of a stream are, where it is told.

use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::Response;
use http_body_util::BodyExt as _;

use super::{ended, in_flight, run, sum};

/// An `OpenAI` stream of three tokens, in two pieces that know nothing of events.
const PIECES: [&str; 2] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choi",
    "ces\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n\
     data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"}}]}\n\ndata: [DONE]\n\n",
];

#[derive(Clone)]
enum Item {
    Role,
    Tokens(u32),
}

impl Item {
    fn has_tokens(&self) -> bool {
        matches!(self, Self::Tokens(1..))
    }

    fn tokens(&self) -> u32 {
        match self {
            Self::Role => 0,
            Self::Tokens(tokens) => *tokens,
        }
    }
}

const ITEMS: [Item; 4] = [Item::Role, Item::Tokens(2), Item::Role, Item::Tokens(3)];

/// What is asked of a tonic service, with a response like tonic's.
mod service {
    use std::pin::Pin;

    use futures_util::Stream;
    use tonic::Status;

    pub(super) trait Watch {
        type WatchStream: Stream<Item = Result<u8, Status>> + Send + 'static;

        fn watch(
            &self,
            ok: bool,
        ) -> impl Future<Output = Result<tonic::Response<Self::WatchStream>, Status>>;
    }

    pub(super) type Boxed = Pin<Box<dyn Stream<Item = Result<u8, Status>> + Send>>;
}

#[test]
fn tokens_are_counted_as_functions_say() {
    #[instrumented_endpoint(scope = scope, stream(first = Item::has_tokens, count = Item::tokens))]
    async fn counted(scope: &Scope, time: Manual) -> impl Stream<Item = Item> + use<> {
        stream::iter(ITEMS).inspect(move |_| time.advance(Duration::from_millis(100)))
    }

    #[instrumented_endpoint(scope = scope, stream(items, first = |item| item.tokens() > 0))]
    fn begun(scope: &Scope) -> BoxStream<'static, Item> {
        drop(scope.clone());
        stream::iter(ITEMS).boxed()
    }

    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        assert_eq!(run(run(counted(&registry, time.clone())).count()), 4);
    });
    for (metric, value) in [
        ("output_tokens_total", 5.0),
        ("time_to_first_token_seconds_sum", 0.2),
        ("inter_token_latency_seconds_count", 3.0),
        ("request_duration_seconds_sum", 0.4),
    ] {
        let seen = sum(&registry, "counted", metric).unwrap();
        assert!((seen - value).abs() < 1e-9, "{metric} is {seen}");
    }
    assert_eq!(run(begun(&registry).count()), 4);
    assert_eq!(sum(&registry, "begun", "output_tokens_total"), Some(3.0));
}

#[test]
fn a_function_that_panics_counts_no_tokens_and_fails_nothing() {
    #[instrumented_endpoint(scope = scope, stream(count = |item| 10 / u32::from(*item)))]
    fn odd(scope: &Scope) -> BoxStream<'static, u8> {
        drop(scope.clone());
        stream::iter([5, 0, 1]).boxed()
    }

    let registry = Registry::new();
    assert_eq!(run(odd(&registry).collect::<Vec<_>>()), [5, 0, 1]);
    assert_eq!(ended(&registry, "odd"), "success=1");
    assert_eq!(sum(&registry, "odd", "output_tokens_total"), Some(12.0));
}

#[test]
fn bytes_are_read_as_events() {
    #[instrumented_endpoint(scope = scope, stream(sse))]
    async fn events(scope: &Scope) -> Pin<Box<dyn Stream<Item = Result<Bytes, ()>> + Send>> {
        Box::pin(stream::iter(PIECES.map(|piece| Ok(Bytes::from(piece)))))
    }

    #[instrumented_endpoint(scope = scope, stream(sse))]
    async fn texts(scope: &Scope) -> Result<impl Stream<Item = &'static str> + use<>, ()> {
        Ok(stream::iter(PIECES))
    }

    let registry = Registry::new();
    assert_eq!(run(run(events(&registry)).count()), 2);
    assert_eq!(run(run(texts(&registry)).unwrap().count()), 2);
    for endpoint in ["events", "texts"] {
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
        assert_eq!(sum(&registry, endpoint, "output_tokens_total"), Some(3.0), "{endpoint}");
        let bytes = PIECES.concat().len() as f64;
        assert_eq!(sum(&registry, endpoint, "response_bytes_total"), Some(bytes), "{endpoint}");
    }
    // After its marker it is whole, whoever drops it; before that it is not.
    for (pieces, outcomes) in [(1, "cancelled=1 success=1"), (2, "cancelled=1 success=2")] {
        assert_eq!(run(run(events(&registry)).take(pieces).count()), pieces);
        assert_eq!(ended(&registry, "events"), outcomes);
    }
}

#[test]
fn a_body_is_read_as_told_whatever_its_head_says() {
    fn response() -> Response<Body> {
        let pieces = stream::iter(PIECES.map(Ok::<_, std::convert::Infallible>));
        Response::new(Body::from_stream(pieces))
    }

    #[instrumented_endpoint(scope = scope, stream(sse))]
    async fn events(scope: &Scope) -> Response<Body> {
        response()
    }

    #[instrumented_endpoint(scope = scope, stream(frames))]
    async fn frames(scope: &Scope) -> impl axum::response::IntoResponse + use<> {
        response()
    }

    #[instrumented_endpoint(scope = scope)]
    async fn unread(scope: &Scope) -> Response<Body> {
        response()
    }

    let registry = Registry::new();
    let frames_response = axum::response::IntoResponse::into_response(run(frames(&registry)));
    for response in [run(events(&registry)), frames_response, run(unread(&registry))] {
        assert!(run(response.into_body().collect()).is_ok());
    }
    for (endpoint, tokens) in [("events", Some(3.0)), ("frames", Some(2.0)), ("unread", None)] {
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
        assert_eq!(sum(&registry, endpoint, "output_tokens_total"), tokens, "{endpoint}");
    }
}

struct Service {
    scope: Scope,
}

#[instrumented_endpoint(name = "watch", scope = &self.scope)]
impl service::Watch for Service {
    type WatchStream = service::Boxed;

    #[instrumented_endpoint(name = "watch", stream(grpc))]
    async fn watch(&self, ok: bool) -> Result<tonic::Response<Self::WatchStream>, tonic::Status> {
        if !ok {
            return Err(tonic::Status::not_found("nothing to watch"));
        }
        let items = stream::iter([Ok(1_u8), Ok(2), Ok(3)]);
        let mut response = tonic::Response::new(Box::pin(items) as service::Boxed);
        response.metadata_mut().insert("kept", tonic::metadata::MetadataValue::from_static("yes"));
        Ok(response)
    }
}

#[test]
fn a_stream_in_a_response_of_tonic_is_measured_to_its_end() {
    #[instrumented_endpoint(scope = scope)]
    async fn written_out(
        scope: &Scope,
    ) -> tonic::Response<BoxStream<'static, Result<u8, tonic::Status>>> {
        tonic::Response::new(stream::iter([Ok(1), Err(tonic::Status::internal("broken"))]).boxed())
    }

    let registry = Registry::new();
    let service = Service { scope: registry.component("backend") };
    let response = run(service::Watch::watch(&service, true)).unwrap();
    assert_eq!(response.metadata().get("kept").unwrap(), "yes");
    assert_eq!(in_flight(&registry, "watch"), Some(1.0));
    assert_eq!(run(response.into_inner().count()), 3);
    assert!(run(service::Watch::watch(&service, false)).is_err());
    assert_eq!(ended(&registry, "watch"), "server_error=1 success=1");
    assert_eq!(sum(&registry, "watch", "output_tokens_total"), Some(3.0));
    assert_eq!(run(run(written_out(&registry)).into_inner().count()), 2);
    assert_eq!(ended(&registry, "written_out"), "server_error=1");
}

#[test]
fn an_unboxed_stream_in_a_response_of_tonic_is_measured_too() {
    #[instrumented_endpoint(scope = scope)]
    async fn plain(
        scope: &Scope,
        ok: bool,
    ) -> Result<tonic::Response<impl Stream<Item = Result<u8, tonic::Status>> + use<>>, tonic::Status>
    {
        if !ok {
            return Err(tonic::Status::not_found("nothing to watch"));
        }
        Ok(tonic::Response::new(stream::iter([Ok(1), Ok(2)])))
    }

    let registry = Registry::new();
    assert!(run(plain(&registry, false)).is_err());
    let response = run(plain(&registry, true)).unwrap();
    assert_eq!(super::in_flight(&registry, "plain"), Some(1.0));
    assert_eq!(run(response.into_inner().count()), 2);
    assert_eq!(sum(&registry, "plain", "output_tokens_total"), Some(2.0));
}
