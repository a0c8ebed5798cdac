//! What the terminal shows: the registry's own values, read as any format reads them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Duration;

use dynamo_metrics::llm::UNKNOWN_MODEL;
use dynamo_metrics::metric::HistogramSnapshot;
use dynamo_metrics::metric::visit::{Family, Number, Series, Value, Visitor};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_examples::say;
use tokio::time::MissedTickBehavior;

use crate::protocol::Protocol;

/// Where things are, and how to talk to them.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) protocol: Protocol,
    pub(crate) server: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) model: String,
}

/// The values that are shown.
#[derive(Debug, Default)]
struct Board {
    family: String,
    requests: u64,
    in_flight: i64,
    first_token: Option<HistogramSnapshot>,
    next_token: Option<HistogramSnapshot>,
    outcomes: BTreeMap<String, u64>,
}

/// Refreshes the terminal each second, until `stop` is ready.
pub(crate) async fn show(registry: Registry, place: Place, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    say(&greeting(&place));
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let terminal = std::io::stdout().is_terminal();
    let (mut before, mut lines) = (0, 0);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = &mut stop => return,
        }
        let mut board = Board::default();
        registry.gather(&mut board);
        let text = board.text(board.requests.saturating_sub(before));
        before = board.requests;
        // Up to where the last board began, and down to the end cleared.
        let back =
            if terminal && lines > 0 { format!("\x1b[{lines}A\x1b[J") } else { String::new() };
        lines = text.lines().count();
        say(&(back + &text));
    }
}

fn greeting(Place { protocol, server, metrics, model }: &Place) -> String {
    format!(
        "quickstart: {title} at http://{server}, model \"{model}\"\n\
         \n\
         stream an answer:\n  \
         {command}\n\
         see the metrics:\n  \
         curl http://{metrics}/metrics\n\
         or point Prometheus at {metrics}; Ctrl-C stops\n\n\
         the built-in clients, if any, leave one stream in twenty in the middle, and ask for\n\
         what is not there as often\n\n",
        title = protocol.server(),
        command = protocol.command(*server, model),
    )
}

impl Board {
    fn text(&self, per_second: u64) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "requests {:>5}/s   in flight {:>4}   ended {:>7}",
            per_second, self.in_flight, self.requests
        );
        for (name, histogram) in [("TTFT", &self.first_token), ("ITL ", &self.next_token)] {
            let quantile = |q| histogram.as_ref().and_then(|histogram| histogram.quantile(q));
            let _ = writeln!(
                text,
                "{name}  p50 {}   p99 {}",
                milliseconds(quantile(0.5)),
                milliseconds(quantile(0.99))
            );
        }
        let outcomes: Vec<_> = self
            .outcomes
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(outcome, count)| format!("{outcome} {count}"))
            .collect();
        let none = if outcomes.is_empty() { "none yet" } else { "" };
        let _ = writeln!(text, "outcomes  {none}{}", outcomes.join(", "));
        text
    }
}

fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "     – ms".to_owned(), |s| format!("{:>6.1} ms", s * 1e3))
}

impl Visitor for Board {
    fn family(&mut self, family: &Family<'_>) {
        family.name.clone_into(&mut self.family);
    }

    fn series(&mut self, series: &Series<'_>) {
        let is = |name, value| series.labels.get(name).is_some_and(|label| label == value);
        let frontend = is("dynamo_component", "frontend");
        let known_model = !is("model", UNKNOWN_MODEL);
        match (self.family.as_str(), series.value) {
            ("dynamo_component_request_outcomes_total", Value::Counter(Number::Unsigned(n)))
                if frontend =>
            {
                let outcome = series.labels.get("outcome").unwrap_or_default().into_owned();
                *self.outcomes.entry(outcome).or_default() += n;
                self.requests += n;
            }
            ("dynamo_component_inflight_requests", Value::Gauge(Number::Signed(n))) if frontend => {
                self.in_flight += n;
            }
            ("dynamo_frontend_time_to_first_token_seconds", Value::Histogram(seen))
                if known_model =>
            {
                self.first_token = Some(seen.clone());
            }
            ("dynamo_frontend_inter_token_latency_seconds", Value::Histogram(seen))
                if known_model =>
            {
                self.next_token = Some(seen.clone());
            }
            _ => {}
        }
    }
}
