//! A client of tonic's against the quickstart's gRPC: what its calls are counted as.

use std::collections::HashMap;

use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::Quickstart;
use futures_util::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::{serve, serve_slowly};

const SERVICE: &str = "inference.GRPCInferenceService";

/// `ModelInferRequest`, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
struct Ask {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(map = "string, message", tag = "4")]
    parameters: HashMap<String, Parameter>,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    raw_input_contents: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Parameter {
    #[prost(bool, optional, tag = "1")]
    yes: Option<bool>,
    #[prost(int64, optional, tag = "2")]
    number: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
}

/// `ModelInferResponse`.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(map = "string, message", tag = "4")]
    parameters: HashMap<String, Parameter>,
    #[prost(message, repeated, tag = "5")]
    outputs: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    raw_output_contents: Vec<Vec<u8>>,
}

/// `ModelStreamInferResponse`.
#[derive(Clone, PartialEq, Message)]
struct Part {
    #[prost(string, tag = "1")]
    error_message: String,
    #[prost(message, optional, tag = "2")]
    infer_response: Option<Answer>,
}

/// A message with a name, or with a yes, or with neither.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Yes {
    #[prost(bool, tag = "1")]
    yes: bool,
}

struct Client(Grpc<Channel>);

impl Ask {
    fn of(prompt: &str, max_tokens: i64) -> Self {
        let length = u32::try_from(prompt.len()).unwrap().to_le_bytes();
        let max_tokens = Parameter { number: Some(max_tokens), ..Parameter::default() };
        Self {
            model_name: "demo".into(),
            id: "7".into(),
            parameters: [("max_tokens".to_owned(), max_tokens)].into(),
            inputs: vec![Tensor {
                name: "text_input".into(),
                datatype: "BYTES".into(),
                shape: vec![1],
            }],
            raw_input_contents: vec![[&length, prompt.as_bytes()].concat()],
        }
    }

    fn of_model(self, model: &str) -> Self {
        Self { model_name: model.into(), ..self }
    }

    /// Whether its answer is to come in parts.
    fn streaming(mut self, yes: bool) -> Self {
        let tensor = Tensor { name: "streaming".into(), datatype: "BOOL".into(), shape: vec![1] };
        self.inputs.push(tensor);
        self.raw_input_contents.push(vec![yes.into()]);
        self
    }
}

impl Answer {
    /// The text in an output, if there is such an output.
    fn text(&self, name: &str) -> Option<String> {
        let place = self.outputs.iter().position(|output| output.name == name)?;
        let (length, text) = self.raw_output_contents[place].split_first_chunk().unwrap();
        assert_eq!(u32::from_le_bytes(*length) as usize, text.len());
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    fn is_last(&self) -> bool {
        self.parameters["triton_final_response"].yes == Some(true)
    }
}

impl Client {
    async fn connect(quickstart: &Quickstart) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", quickstart.server)).unwrap();
        Self(Grpc::new(endpoint.connect().await.unwrap()))
    }

    async fn unary<Q, A>(&mut self, method: &str, message: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::try_from(format!("/{SERVICE}/{method}")).unwrap();
        let codec = ProstCodec::<Q, A>::default();
        Ok(self.0.unary(Request::new(message), path, codec).await?.into_inner())
    }

    /// Streams answers to these requests.
    async fn stream(&mut self, asks: Vec<Ask>) -> Result<Streaming<Part>, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/inference.GRPCInferenceService/ModelStreamInfer");
        let requests = Request::new(stream::iter(asks));
        let codec = ProstCodec::<Ask, Part>::default();
        Ok(self.0.streaming(requests, path, codec).await?.into_inner())
    }
}

/// What the page says of a method, of the layer's account.
struct Method<'a>(&'a Page, &'a str);

impl Method<'_> {
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let endpoint = match self.1 {
            "_OTHER" => "_OTHER".to_owned(),
            method => format!("inference_GRPCInferenceService_{method}"),
        };
        let labels = [&[("dynamo_endpoint", &*endpoint)], labels].concat();
        self.0.sum(&format!("dynamo_component_{name}"), &labels).unwrap()
    }

    fn outcome(&self, outcome: &str) -> f64 {
        self.sum("request_outcomes_total", &[("outcome", outcome)])
    }

    fn status(&self, code: &str) -> f64 {
        self.sum("grpc_status_total", &[("code", code)])
    }

    fn tokens(&self) -> (f64, f64, f64) {
        let count = |name| self.sum(&format!("{name}_seconds_count"), &[]);
        let tokens = self.sum("output_tokens_total", &[]);
        (tokens, count("time_to_first_token"), count("inter_token_latency"))
    }
}

/// All parts of a stream.
async fn read(parts: Streaming<Part>) -> Vec<Answer> {
    let part = |part: Result<Part, Status>| {
        let part = part.unwrap();
        assert_eq!(part.error_message, "");
        part.infer_response.unwrap()
    };
    parts.map(part).collect().await
}

#[tokio::test]
async fn one_call_may_ask_for_many_answers() {
    let quickstart = serve("grpc", &[]);
    let mut client = Client::connect(&quickstart).await;
    let asks = vec![Ask::of("one", 5), Ask::of("two", 6), Ask::of("three", 7).streaming(false)];
    let answers = read(client.stream(asks).await.unwrap()).await;
    let lasts: Vec<_> =
        (1..).zip(&answers).filter(|(_, a)| a.is_last()).map(|(place, _)| place).collect();
    assert_eq!(lasts, [5, 11, 12]);
    assert_eq!(answers[4].text("finish_reason").unwrap(), "length");
    assert_eq!(answers[3].text("finish_reason"), None);
    assert_eq!(answers[11].text("text_output").unwrap(), "The stream carries a token at time");
    assert!(answers.iter().all(|answer| answer.id == "7" && answer.model_name == "demo"));

    let page = quickstart.page_at_rest();
    let method = Method(&page, "ModelStreamInfer");
    assert_eq!((method.outcome("success"), method.status("OK")), (1.0, 1.0));
    let messages = |direction| method.sum("grpc_messages_total", &[("direction", direction)]);
    assert_eq!((messages("sent"), messages("received")), (12.0, 3.0));
    // Nothing tells how many tokens are in the answer of one piece.
    assert_eq!(method.tokens(), (12.0, 1.0, 11.0));
    let engine = [("dynamo_component", "engine"), ("outcome", "success")];
    assert_eq!(page.sum("dynamo_component_request_outcomes_total", &engine), Some(3.0));
}

#[tokio::test]
async fn failures_are_the_servers_or_the_clients_whatever_the_status_is() {
    let quickstart = serve("grpc", &[]);
    let mut client = Client::connect(&quickstart).await;

    // An engine that fails says so under the status OK, and the next request is served.
    let asks = vec![Ask::of("fail-after:3", 9), Ask::of("fail-after:0", 9), Ask::of("one", 2)];
    let parts: Vec<_> = client.stream(asks).await.unwrap().map(Result::unwrap).collect().await;
    let failed: Vec<_> = parts.iter().map(|part| !part.error_message.is_empty()).collect();
    assert_eq!(failed, [false, false, false, true, true, false, false]);

    let mut wrong = Ask::of("one", 2);
    wrong.raw_input_contents = vec![b"\xFF\xFF\xFF\xFFone".to_vec()];
    for (ask, code) in [
        (Ask::of("one", 2).of_model("made-up-7"), Code::NotFound),
        (Ask::of("one", -2), Code::InvalidArgument),
        (wrong, Code::InvalidArgument),
    ] {
        let mut parts = client.stream(vec![ask.clone()]).await.unwrap();
        assert_eq!(parts.message().await.unwrap_err().code(), code);
        assert_eq!(client.unary::<_, Answer>("ModelInfer", ask).await.unwrap_err().code(), code);
    }
    let failing = client.unary::<_, Answer>("ModelInfer", Ask::of("fail-after:1", 9)).await;
    assert_eq!(failing.unwrap_err().code(), Code::Internal);
    let parts = client.unary::<_, Answer>("ModelInfer", Ask::of("one", 9).streaming(true)).await;
    assert_eq!(parts.unwrap_err().code(), Code::InvalidArgument);

    let page = quickstart.page_at_rest();
    let streams = Method(&page, "ModelStreamInfer");
    assert_eq!((streams.outcome("server_error"), streams.status("OK")), (1.0, 1.0));
    assert_eq!(streams.outcome("client_error"), 3.0);
    assert_eq!((streams.status("NOT_FOUND"), streams.status("INVALID_ARGUMENT")), (1.0, 2.0));
    assert_eq!(streams.tokens(), (5.0, 1.0, 4.0));
    let unary = Method(&page, "ModelInfer");
    assert_eq!((unary.outcome("client_error"), unary.outcome("server_error")), (4.0, 1.0));
    assert_eq!((unary.status("INVALID_ARGUMENT"), unary.status("INTERNAL")), (3.0, 1.0));
    let made_up = |sample: &dynamo_metrics_tests::page::Sample| {
        sample.labels.values().any(|value| value.contains("made-up"))
    };
    assert!(!page.samples().iter().any(made_up));
}

// The client's own tasks go on while the page is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_has_cancelled() {
    let quickstart = serve_slowly("grpc");
    let mut client = Client::connect(&quickstart).await;
    let mut parts = client.stream(vec![Ask::of("one", 60)]).await.unwrap();
    for _ in 0..3 {
        assert!(!parts.message().await.unwrap().unwrap().infer_response.unwrap().is_last());
    }
    drop(parts);

    let page = quickstart.page_at_rest();
    let method = Method(&page, "ModelStreamInfer");
    assert_eq!((method.outcome("cancelled"), method.status("OK")), (1.0, 0.0));
    let engine = [("dynamo_component", "engine"), ("outcome", "cancelled")];
    assert_eq!(page.sum("dynamo_component_request_outcomes_total", &engine), Some(1.0));
}

#[tokio::test]
async fn every_method_is_an_endpoint_and_all_others_are_one() {
    let quickstart = serve("grpc", &[]);
    let mut client = Client::connect(&quickstart).await;
    for method in ["ServerLive", "ServerReady"] {
        assert!(client.unary::<_, Yes>(method, ()).await.unwrap().yes);
    }
    let named = |name: &str| Named { name: name.into() };
    assert_eq!(client.unary::<_, Named>("ServerMetadata", ()).await.unwrap().name, "quickstart");
    assert!(client.unary::<_, Yes>("ModelReady", named("demo")).await.unwrap().yes);
    let model = client.unary::<_, Named>("ModelMetadata", named("demo")).await.unwrap();
    assert_eq!(model.name, "demo");
    let error = client.unary::<_, Yes>("ModelReady", named("made-up-7")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let whole: Answer = client.unary("ModelInfer", Ask::of("one", 4)).await.unwrap();
    assert_eq!(whole.text("text_output").unwrap(), "The stream carries a");
    for i in 0..5 {
        let error = client.unary::<_, Yes>(&format!("Scan{i}"), ()).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented);
    }

    let page = quickstart.page_at_rest();
    for method in ["ServerLive", "ServerReady", "ServerMetadata", "ModelMetadata", "ModelInfer"] {
        assert_eq!(Method(&page, method).outcome("success"), 1.0, "{method}");
    }
    let ready = Method(&page, "ModelReady");
    assert_eq!((ready.status("OK"), ready.status("NOT_FOUND")), (1.0, 1.0));
    assert_eq!(Method(&page, "_OTHER").sum("requests_total", &[]), 5.0);
    assert!(!page.samples().iter().any(|sample| {
        sample.labels.values().any(|value| value.contains("Scan") || value.contains("made-up"))
    }));
}
