//! The protocols: what each serves, how it is measured, and how one talks to it.

use std::net::SocketAddr;

use axum::Router;
use clap::ValueEnum;
use dynamo_metrics::llm::FrontendMetrics;
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tower::{MetricsLayer, MetricsLayerBuilder};
use serde_json::Value;

use crate::api::{self, App, Refuse, Route};
use crate::load::Wish;
use crate::{anthropic, kserve, ollama, openai, tgi};

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Chat completions, completions and responses
    Openai,
    /// Messages
    Anthropic,
    /// Ollama's chat and generate
    Ollama,
    /// Text Generation Inference's generate and `generate_stream`
    Tgi,
    /// KServe's inference protocol, as Triton speaks it
    Grpc,
}

impl Protocol {
    /// What a server of it is called.
    pub(crate) fn server(self) -> &'static str {
        match self {
            Self::Openai => "an OpenAI-compatible server",
            Self::Anthropic => "an Anthropic-compatible server",
            Self::Ollama => "an Ollama-compatible server",
            Self::Tgi => "a TGI-compatible server",
            Self::Grpc => "a KServe gRPC server",
        }
    }

    /// A model's name, as clients' names for it are compared with.
    pub(crate) fn name(self, model: &str) -> &str {
        if self == Self::Ollama { ollama::bare(model) } else { model }
    }

    /// Serves `app`, and measures each request to the end of its answer.
    pub(crate) fn serve(
        self,
        app: App,
        registry: &Registry,
        component: &Scope,
    ) -> anyhow::Result<Router> {
        let builder = MetricsLayer::builder(component);
        let frontend = FrontendMetrics::register(registry)?;
        frontend.serve(&app.model);
        let Some((routes, refuse)) = self.over_http() else {
            let layer = builder
                .grpc_service(kserve::SERVICE, kserve::FACTS)
                .grpc_frontend(kserve::SERVICE, kserve::GENERATES, &frontend)
                .build()?;
            return Ok(kserve::router(app).layer(layer));
        };
        let measure = |builder: MetricsLayerBuilder, route: &Route| {
            if route.generates {
                builder.frontend_route(route.path, route.endpoint, &frontend)
            } else {
                builder.route(route.path, route.endpoint)
            }
        };
        let layer = routes.iter().fold(builder, measure).build()?;
        Ok(api::router(routes, app, refuse).layer(layer))
    }

    /// A request over HTTP for the stream of an answer: its path and its JSON.
    pub(crate) fn ask(self, wish: &Wish) -> Option<(&'static str, Value)> {
        Some(match self {
            Self::Openai => (openai::CHAT, openai::ask(wish)),
            Self::Anthropic => (anthropic::MESSAGES, anthropic::ask(wish)),
            Self::Ollama => (ollama::CHAT, ollama::ask(wish)),
            Self::Tgi => (tgi::GENERATE_STREAM, tgi::ask(wish)),
            Self::Grpc => return None,
        })
    }

    /// What one types into a shell to see the stream of an answer.
    pub(crate) fn command(self, server: SocketAddr, model: &str) -> String {
        let wish = Wish { model: model.to_owned(), prompt: "Hello".to_owned(), max_tokens: 40 };
        match self.ask(&wish) {
            Some((path, json)) => format!(
                "curl -N http://{server}{path} -H 'content-type: application/json' \\\n    -d '{json}'"
            ),
            None => kserve::command(server, &wish),
        }
    }

    fn over_http(self) -> Option<(Vec<Route>, Refuse)> {
        Some(match self {
            Self::Openai => (openai::routes(), openai::refuse),
            Self::Anthropic => (anthropic::routes(), anthropic::refuse),
            Self::Ollama => (ollama::routes(), ollama::refuse),
            Self::Tgi => (tgi::routes(), tgi::refuse),
            Self::Grpc => return None,
        })
    }
}
