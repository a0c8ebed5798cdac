"""Writes a page of every kind of metric in both text formats, and tells its samples as JSON.

usage: write_pages.py TEXT OPENMETRICS
"""

import json
import math
import sys

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    GCCollector,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    Summary,
)
from prometheus_client.core import GaugeHistogramMetricFamily, UnknownMetricFamily
from prometheus_client.exposition import generate_latest as text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

ODD = 'a "quoted" \\ back\nslash, é}'


class Others:
    def collect(self):
        buckets = [("1.0", 2), ("+Inf", 5)]
        yield GaugeHistogramMetricFamily("waiting", "Waiting now.", buckets=buckets, gsum_value=9)
        yield UnknownMetricFamily("mystery", "Who knows.", value=1e-9)


def fill(registry):
    requests = Counter("vllm:requests", ODD, ["model", "reason"], registry=registry)
    for reason in ("stop", "length", ODD, ""):
        requests.labels("m", reason).inc(3)
    requests.labels("m", "stop").inc(1, {"trace_id": "abc"})
    Counter("plain", "No labels.", registry=registry).inc(2.5)
    Counter("unused", "No series.", ["a"], registry=registry)
    usage = Gauge("cache_usage_ratio", "Share.", ["kind"], unit="ratio", registry=registry)
    for kind, value in (("nan", math.nan), ("inf", math.inf), ("low", -1e300), ("x", 0.25)):
        usage.labels(kind).set(value)
    bounds = (0.001, 0.5, 1, 2.5, 100000, 1e6, 1e21)
    latency = Histogram("latency", ODD, ["q"], unit="seconds", buckets=bounds, registry=registry)
    for sample in (0.0001, 0.5, 0.7, 3, 1e20, 1e30):
        latency.labels("x").observe(sample, {"trace_id": ODD})
    latency.labels("y")
    Histogram("below", "Negative.", buckets=(-1, 0, 1), registry=registry).observe(-0.5)
    size = Summary("size_bytes", "Sizes.", ["a"], registry=registry)
    size.labels("1").observe(7)
    Info("build", "Of what.", registry=registry).info({"version": "1.2", "odd": ODD})
    Enum("state", "Where.", states=["up", "down"], registry=registry).state("down")
    registry.register(Others())
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)


def main():
    registry = CollectorRegistry()
    fill(registry)
    # One moment for all three, though processor time goes on.
    families = list(registry.collect())

    class Still:
        def collect(self):
            return families

    still = CollectorRegistry(auto_describe=False)
    still.register(Still())
    with open(sys.argv[1], "wb") as page:
        page.write(text(still))
    with open(sys.argv[2], "wb") as page:
        page.write(openmetrics(still))
    samples = [[s.name, s.labels, repr(float(s.value))] for f in families for s in f.samples]
    print(json.dumps(samples))


main()
