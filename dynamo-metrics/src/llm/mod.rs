//! Metric sets for model serving, and what feeds them: requests, answers, tokens.
//!
//! | file | holds |
//! |---|---|
//! | `endpoint` | [`EndpointMetrics`]: the set of one endpoint, fed by layer and attribute |
//! | `frontend` | [`FrontendMetrics`]: an inference frontend, by model |
//! | `attribute` | what the code that `#[instrumented_endpoint]` writes calls |
//! | `call` | one run of an endpoint: started once, ended once |
//! | `response` | the rules by which an HTTP answer ends |
//! | `body` | a body that keeps those rules |
//! | `items` | a stream of items whose end is the call's |
//! | `outcome` | the words for how a request ended |
//! | `tokens` | time to the first token, and between tokens |
//! | [`stream`] | readers: what the bytes of an answer say |

pub(crate) mod attribute;
mod body;
mod call;
mod endpoint;
mod frontend;
mod items;
mod outcome;
mod response;
pub mod stream;
mod tokens;

pub use body::ResponseBody;
pub use endpoint::{EndpointMetrics, register_uptime};
pub use frontend::{FrontendMetrics, RequestMetrics, RequestType, UNKNOWN_MODEL};
pub use items::Metered;
pub use outcome::{ErrorType, Outcome};
pub use response::ResponseState;
