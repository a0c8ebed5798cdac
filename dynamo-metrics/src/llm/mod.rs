//! Metric sets for model serving, and what feeds them: requests, answers, tokens.
//!
//! - [`EndpointMetrics`]: what is measured of one endpoint; fed by the layer and by the attribute.
//!   [`EndpointOptions`] are its choices, [`Slo`] what a good request is.
//! - [`StreamMeter`]: stamps tokens where they are made, for producers behind a channel.
//! - [`FrontendMetrics`]: what is measured of an inference frontend, by model; fed by the layer, and
//!   told of by handlers through [`RequestMetrics`].
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
mod idle;
mod items;
mod meter;
mod options;
mod outcome;
mod queue;
mod reading;
mod request;
mod response;
mod sets;
mod slo;
pub mod stream;
mod streams;
mod tokens;

pub use body::ResponseBody;
pub use cancel::CancelReason;
pub use connection::{ConnectionGuard, ConnectionMetrics};
pub use endpoint::{EndpointBuilder, EndpointMetrics, register_uptime};
pub use frontend::{FrontendMetrics, UNKNOWN_MODEL};
pub use grpc::{GrpcMessages, GrpcMetrics, Side};
pub use items::Metered;
pub use meter::{MeteredStream, StreamMeter};
pub use options::{EndpointOptions, FirstToken, InterToken, TokenEnd, TokenStart, UnaryTokens};
pub use outcome::{ErrorType, Outcome};
pub use queue::{RejectMetrics, RejectReason};
pub use reading::RequestRead;
pub use request::{RequestMetrics, RequestType};
pub use response::ResponseState;
pub(crate) use sets::SETS;
pub use slo::Slo;
