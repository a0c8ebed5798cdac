//! The endpoints that model servers have, by protocol. Whatever else is asked for is `unmatched`.

use dynamo_metrics::llm::FrontendMetrics;
use dynamo_metrics_tower::MetricsLayerBuilder;

/// Where models answer: path, and endpoint by Dynamo's names where it has one.
const MODELS_ANSWER: [(&str, &str); 22] = [
    // OpenAI, and vLLM, SGLang, TensorRT-LLM, llama.cpp after it.
    ("/v1/chat/completions", "chat_completions"),
    ("/v1/completions", "completions"),
    ("/v1/responses", "responses"),
    ("/v1/embeddings", "embeddings"),
    ("/v1/images/generations", "images"),
    ("/v1/audio/speech", "audios"),
    ("/v1/audio/transcriptions", "audios"),
    ("/v1/audio/translations", "audios"),
    ("/v1/rerank", "rerank"),
    ("/rerank", "rerank"),
    ("/score", "score"),
    ("/v1/score", "score"),
    ("/classify", "classify"),
    ("/pooling", "pooling"),
    // Anthropic.
    ("/v1/messages", "anthropic_messages"),
    // Ollama.
    ("/api/chat", "api_chat"),
    ("/api/generate", "api_generate"),
    ("/api/embed", "api_embed"),
    ("/api/embeddings", "api_embed"),
    // TGI, and SGLang's own.
    ("/generate", "generate"),
    ("/generate_stream", "generate_stream"),
    ("/embed", "embed"),
];

/// What stands around them.
const AROUND: [(&str, &str); 14] = [
    ("/v1/models", "models"),
    // Names of models may hold a slash.
    ("/v1/models/{*model}", "model_card"),
    ("/v1/messages/count_tokens", "count_tokens"),
    ("/api/tags", "models"),
    ("/api/ps", "models"),
    ("/api/show", "model_card"),
    ("/api/version", "version"),
    ("/version", "version"),
    ("/info", "model_card"),
    ("/tokenize", "tokenize"),
    ("/detokenize", "detokenize"),
    ("/health", "health"),
    ("/ping", "health"),
    ("/metrics", "metrics"),
];

/// Makes them known to a layer.
pub(crate) fn of_model_servers(
    mut layer: MetricsLayerBuilder,
    frontend: &FrontendMetrics,
) -> MetricsLayerBuilder {
    for (path, name) in MODELS_ANSWER {
        layer = layer.frontend_route(path, name, frontend);
    }
    for (path, name) in AROUND {
        layer = layer.route(path, name);
    }
    layer
}

#[cfg(test)]
mod tests {
    use dynamo_metrics::encode;
    use dynamo_metrics::registry::Registry;
    use dynamo_metrics_tower::MetricsLayer;

    use super::*;

    #[test]
    fn every_route_can_stand_beside_the_others() {
        let registry = Registry::new();
        let frontend = FrontendMetrics::register(&registry).unwrap();
        let layer = MetricsLayer::builder(&registry.component("proxy"));
        of_model_servers(layer, &frontend).build().unwrap();
        let page = encode::text(&registry);
        for (_, name) in MODELS_ANSWER.into_iter().chain(AROUND) {
            let label = format!("dynamo_endpoint=\"{name}\"");
            assert!(page.contains(&label), "{label}");
        }
    }
}
