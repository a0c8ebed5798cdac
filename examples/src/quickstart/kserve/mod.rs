//! KServe's open inference protocol over gRPC, as Triton and Dynamo speak it.
//!
//! A request that is wrong gets a status. An engine that fails in a stream says so in a response,
//! under the status OK; the stream is then open for the next request.

mod client;
mod messages;
mod tensors;

use std::future::ready;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Response;
use dynamo_metrics::llm::{RequestMetrics, RequestType};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, stream};
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::api::App;
use crate::dialect::Answer;
use crate::engine::{Chunk, EngineFailure, Generation, count_tokens};
use crate::fault::Fault;
pub(crate) use client::{command, stream};
use messages::{
    Empty, InferRequest, InferResponse, Model, ModelMetadata, ServerMetadata, StreamResponse, Yes,
};
use tensors::{Inference, tensor};

pub(crate) const SERVICE: &str = "inference.GRPCInferenceService";

/// Methods that say what there is.
pub(crate) const FACTS: [&str; 5] =
    ["ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata"];

/// Methods that a model answers.
pub(crate) const GENERATES: [&str; 2] = ["ModelInfer", "ModelStreamInfer"];

/// What the layer learns of a call.
#[derive(Debug, Clone)]
struct Told(Option<RequestMetrics>);

type Answers = BoxStream<'static, Result<StreamResponse, Status>>;

pub(crate) fn router(app: App) -> Router {
    Router::new().fallback(serve).with_state(app)
}

async fn serve(State(app): State<App>, request: Request) -> Response<Body> {
    let path = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
    let method = path.filter(|(service, _)| *service == SERVICE).map(|(_, method)| method);
    match method {
        Some("ServerLive" | "ServerReady") => {
            unary(request, |_: Empty| ready(Ok(Yes { yes: true }))).await
        }
        Some("ServerMetadata") => unary(request, |_: Empty| ready(Ok(server()))).await,
        Some("ModelReady") => {
            unary(request, |model| ready(app.known(model).map(|_| Yes { yes: true }))).await
        }
        Some("ModelMetadata") => {
            unary(request, |model| ready(app.known(model).map(metadata))).await
        }
        Some("ModelInfer") => {
            let told = Told(request.extensions().get().cloned());
            unary(request, |request| app.infer(request, &told)).await
        }
        Some("ModelStreamInfer") => streaming(app, request).await,
        _ => Status::from(Fault::NoRoute).into_http(),
    }
}

/// Answers one message with another.
async fn unary<Q, A, F>(request: Request, answer: impl Fn(Q) -> F + Send) -> Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
    F: Future<Output = Result<A, Status>> + Send,
{
    let answer = |request: tonic::Request<Q>| {
        let answer = answer(request.into_inner());
        async { Ok(tonic::Response::new(answer.await?)) }
    };
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service_fn(answer), request).await
}

/// Answers each request of a stream, one after another.
async fn streaming(app: App, request: Request) -> Response<Body> {
    let told = Told(request.extensions().get().cloned());
    let answer = |requests: tonic::Request<Streaming<InferRequest>>| {
        let (app, told) = (app.clone(), told.clone());
        let answer = move |request| app.clone().answers(request, told.clone());
        let answers: Answers = requests.into_inner().then(answer).flatten().boxed();
        ready(Ok(tonic::Response::new(answers)))
    };
    let codec = ProstCodec::<StreamResponse, InferRequest>::default();
    Grpc::new(codec).streaming(service_fn(answer), request).await
}

impl Told {
    /// The call asks for this; of a stream's requests, the first names the model.
    fn of(&self, inference: &Inference, request_type: RequestType) {
        if let Some(metrics) = &self.0 {
            metrics.request_type(request_type);
            metrics.model(&inference.model);
            metrics.input_tokens(count_tokens(&inference.prompt).into());
        }
    }
}

impl App {
    fn known(&self, model: Model) -> Result<Model, Status> {
        self.check_model(&model.name)?;
        Ok(model)
    }

    async fn infer(&self, request: InferRequest, told: &Told) -> Result<InferResponse, Status> {
        let inference = Inference::read(request)?;
        told.of(&inference, RequestType::Unary);
        if inference.streaming == Some(true) {
            return Err(Fault::invalid("streaming", "needs ModelStreamInfer").into());
        }
        Ok(self.whole(&inference).await?)
    }

    async fn answers(self, request: Result<InferRequest, Status>, told: Told) -> Answers {
        let answers = match request {
            Ok(request) => self.infer_in_parts(request, &told).await,
            Err(status) => Err(status),
        };
        answers.unwrap_or_else(|status| stream::iter([Err(status)]).boxed())
    }

    async fn infer_in_parts(&self, request: InferRequest, told: &Told) -> Result<Answers, Status> {
        let inference = Inference::read(request)?;
        told.of(&inference, RequestType::Stream);
        if inference.streaming == Some(false) {
            let whole = self.whole(&inference).await.map(good);
            let response = whole.or_else(|fault| failure(&inference, fault))?;
            return Ok(stream::iter([Ok(response)]).boxed());
        }
        let chunks = match self.run(&inference).await {
            Ok(chunks) => chunks,
            Err(fault) => {
                let response = failure(&inference, fault)?;
                return Ok(stream::iter([Ok(response)]).boxed());
            }
        };
        let responses = chunks.flat_map(move |chunk| {
            let responses = match chunk {
                Err(EngineFailure) => vec![failure(&inference, Fault::Engine)],
                Ok(chunk) => {
                    let ended = chunk.finish.is_some();
                    let last = ended && !inference.empty_final;
                    let response = inference.response(&chunk.text(), chunk.finish, last);
                    let empty = (ended && !last).then(|| inference.bare(true));
                    std::iter::once(response).chain(empty).map(good).map(Ok).collect()
                }
            };
            stream::iter(responses).map(|response| response.map_err(Status::from))
        });
        Ok(responses.boxed())
    }

    async fn whole(&self, inference: &Inference) -> Result<InferResponse, Fault> {
        let chunks = self.run(inference).await?;
        let mut answer = Answer::new(&self.model, 0);
        let finish = answer.fill(chunks).await.map_err(|EngineFailure| Fault::Engine)?;
        Ok(inference.response(&answer.text, Some(finish), true))
    }

    async fn run(
        &self,
        inference: &Inference,
    ) -> Result<impl Stream<Item = Result<Chunk, EngineFailure>> + Send + use<>, Fault> {
        self.check_model(&inference.model)?;
        let generation =
            Generation { prompt: inference.prompt.clone(), max_tokens: inference.max_tokens };
        self.engine.generate(generation).await.map_err(|EngineFailure| Fault::Engine)
    }
}

fn good(response: InferResponse) -> StreamResponse {
    StreamResponse { error_message: String::new(), infer_response: Some(response) }
}

/// An engine that failed says so in a response; all else is a status.
fn failure(inference: &Inference, fault: Fault) -> Result<StreamResponse, Fault> {
    match fault {
        Fault::Engine => Ok(StreamResponse {
            error_message: fault.to_string(),
            infer_response: Some(inference.bare(true)),
        }),
        other => Err(other),
    }
}

fn server() -> ServerMetadata {
    ServerMetadata {
        name: "quickstart".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: Vec::new(),
    }
}

fn metadata(model: Model) -> ModelMetadata {
    ModelMetadata {
        name: model.name,
        versions: vec!["1".to_owned()],
        platform: "quickstart".to_owned(),
        inputs: vec![
            tensor("text_input", "BYTES"),
            tensor("streaming", "BOOL"),
            tensor("max_tokens", "INT32"),
        ],
        outputs: vec![tensor("text_output", "BYTES"), tensor("finish_reason", "BYTES")],
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Unreadable { .. } | Fault::Invalid { .. } => Self::invalid_argument(message),
            Fault::NoModel(_) => Self::not_found(message),
            Fault::NoRoute | Fault::NoMethod => Self::unimplemented(message),
            Fault::Engine => Self::internal(message),
        }
    }
}
