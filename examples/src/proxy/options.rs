//! What may be chosen when the proxy is started.

use std::time::Duration;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use crate::upstream::Upstream;

/// A reverse proxy that measures model servers which cannot measure themselves. It stands before any
/// server that speaks OpenAI's, Anthropic's, Ollama's or TGI's protocol over plain HTTP, passes
/// everything on as it comes, and shows Prometheus what it saw.
#[derive(Debug, Parser)]
#[command(name = "proxy", version)]
pub(crate) struct Options {
    /// A server to pass requests on to: http://host:port, or NAME=http://host:port to choose its
    /// `dynamo_endpoint`. Several take turns
    #[arg(long = "upstream", value_name = "[NAME=]URL", required = true)]
    pub(crate) upstreams: Vec<Upstream>,
    /// Where the proxy listens: host:port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Where Prometheus finds the metrics: host:port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465")]
    pub(crate) metrics_listen: String,
    /// A model that may be a label; give one for each. Others count as `unknown_model`
    #[arg(long = "model", value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) models: Vec<String>,
    /// Speak HTTP/2 without TLS (h2c) to the upstreams, not HTTP/1.1
    #[arg(long)]
    pub(crate) upstream_http2: bool,
    /// Longest time to connect to an upstream; later is 504
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) connect_timeout: Duration,
    /// Longest time from a request to the head of its answer; later is 504
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(crate) timeout_head: Duration,
    /// Longest silence within an answer; then it is broken off [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Longest time for answers to end once the proxy is told to stop
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) drain_timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|&seconds| seconds > 0.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds above 0".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn options_are_sound_and_times_may_be_parts_of_a_second() {
        Options::command().debug_assert();
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "", "soon", "NaN", "inf", "1e300"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
