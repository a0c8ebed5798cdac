//! Metric sets for model serving, and what feeds them: requests, answers, tokens.
//!
//! - [`EndpointMetrics`]: what is measured of one endpoint; fed by the layer and by the attribute.
//!   [`EndpointOptions`] are its choices, [`Slo`] what a good request is.
//! - [`StreamMeter`]: stamps tokens where they are made, for producers behind a channel.
//! - [`FrontendMetrics`]: what is measured of an inference frontend, by model; fed by the layer, and
//!   told of by handlers through [`RequestMetrics`].
//! - [`AdmissionMetrics`], [`LoraMetrics`], [`EventLoopMetrics`]: a frontend's queue, adapters, and
//!   event loop.
//! - [`RouterMetrics`], [`RouterOverhead`], [`RequestPlaneMetrics`]: a router, and the way to workers.
//! - [`WorkPoolMetrics`], [`EngineMetrics`], [`BatchMeter`], [`KvbmMetrics`]: a worker's tasks, its
//!   engine, the engine's batches, its KV cache.
//! - [`PlannerMetrics`], [`PluginMetrics`], [`OperatorMetrics`]: who scales and who deploys.
//! - [`Names`]: under whose names a set is exposed. [`HitRate`]: a rate over the last requests.
//! - [`stream`]: readers that find the tokens in a streamed answer.
//! - [`GrpcMetrics`]: statuses and messages of a gRPC method.
//! - [`ConnectionMetrics`]: connections that outlive their request, as web sockets do.
//! - [`RejectMetrics`]: requests that are turned away before an endpoint sees them.
//! - [`CancelReason`]: why a request was dropped, where whoever drops it knows.
//! - [`ResponseState`] and [`ResponseBody`]: the rules by which an answer ends, for whoever builds a
//!   layer of their own.

pub(crate) mod attribute;
mod body;
mod call;
mod cancel;
mod connection;
mod endpoint;
mod frontend;
mod grpc;
mod grpc_code;
mod head;
mod idle;
mod items;
mod listed;
mod meter;
mod names;
mod options;
mod outcome;
mod queue;
mod reading;
mod request;
mod response;
mod roster;
mod served;
mod sets;
mod slo;
pub mod stream;
mod streams;
mod timing;
mod tokens;
mod uptime;
mod users;
mod window;

pub use body::ResponseBody;
pub use cancel::CancelReason;
pub use connection::{ConnectionGuard, ConnectionMetrics};
pub use endpoint::{EndpointBuilder, EndpointMetrics};
pub use frontend::{
    AdmissionMetrics, AdmissionQueue, AdmissionReject, EventLoopMetrics, FailureClass,
    FailureReason, FrontendBuilder, FrontendMetrics, LoraAdapter, LoraMetrics, MigrationOutcome,
    MigrationType, QueueLimit, ServedModel, ServingPhase, Stage, StageGuard, UNKNOWN_MODEL, Worker,
    WorkerType,
};
pub use grpc::{GrpcMessages, GrpcMetrics, Side};
pub use grpc_code::GrpcCode;
pub use items::Metered;
pub(crate) use listed::SETS;
pub use meter::{MeteredStream, StreamMeter};
pub use names::Names;
pub use options::{EndpointOptions, FirstToken, InterToken, TokenEnd, TokenStart, UnaryTokens};
pub use outcome::{ErrorType, Outcome};
pub use queue::{RejectMetrics, RejectReason};
pub use request::{RequestMetrics, RequestType};
pub use response::ResponseState;
pub use sets::{
    Admission, Batch, BatchBuilder, BatchMeter, Circuit, EngineBuilder, EngineMetrics, Evaluation,
    KubeError, KvOffload, KvOnboard, KvTier, KvbmMetrics, LoadDecision, OperatorMetrics, Override,
    PlaneCall, PlannedEngine, PlannerGauges, PlannerMetrics, PlannerStage, Plugin, PluginMetrics,
    Reconciled, RegisteredWorker, RequestPlaneMetrics, RoutedModel, RouterMetrics, RouterOverhead,
    RouterStep, ThroughputDecision, WorkPoolMetrics,
};
pub use slo::Slo;
pub use timing::RequestRead;
pub use uptime::register_uptime;
pub use users::UserFunction;
pub use window::HitRate;
