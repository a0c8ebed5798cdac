"""Serves metrics of every sort as an inference engine does, with prometheus_client.

usage: engine.py PORT
"""

import sys
import threading

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    start_http_server,
)

ODD = 'a "quoted" \\ back\nslash, é}'


def fill(registry):
    running = Gauge("vllm:num_requests_running", "Running.", ["model_name"], registry=registry)
    running.labels("llama").set(3)
    usage = Gauge("vllm:cache_usage_perc", ODD, ["model_name", "kind"], registry=registry)
    usage.labels("llama", "gpu").set(0.25)
    usage.labels("llama", ODD).set(0.5)
    tokens = Counter("vllm:prompt_tokens", "Prompts.", ["model_name"], registry=registry)
    tokens.labels("llama").inc(1234)
    first = Histogram(
        "vllm:time_to_first_token_seconds",
        "First.",
        ["model_name"],
        buckets=(0.001, 0.5, 1, 100000, 1e6),
        registry=registry,
    )
    for sample in (0.0001, 0.5, 0.7, 3, 2e6):
        first.labels("llama").observe(sample)
    Summary("prompt_bytes", "Sizes.", registry=registry).observe(7)
    Info("engine", "What it is.", registry=registry).info({"version": "1.2"})
    state = Enum("engine_state", "Where.", states=["loading", "ready"], registry=registry)
    state.state("ready")
    # A label that the one who shows it has, too.
    steps = Counter("steps", "Steps.", ["dynamo_component"], registry=registry)
    steps.labels("inner").inc(5)


def main():
    registry = CollectorRegistry()
    fill(registry)
    start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
    threading.Event().wait()


main()
