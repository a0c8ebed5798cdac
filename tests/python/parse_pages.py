"""Reads both text formats with prometheus_client's parsers, and compares what they say.

usage: parse_pages.py TEXT OPENMETRICS

Two values of one series may differ only if they count up between the two scrapes, so the pages are
best taken of a server at rest.
"""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text


def samples(families):
    found = {}
    for family in families:
        for sample in family.samples:
            labels = dict(sample.labels)
            if "le" in labels:
                labels["le"] = float(labels["le"])
            key = (sample.name, tuple(sorted(labels.items())))
            if key in found:
                sys.exit(f"twice: {key}")
            found[key] = sample.value
    return found


def main():
    with open(sys.argv[1], encoding="utf-8") as page:
        old = samples(text(page.read()))
    with open(sys.argv[2], encoding="utf-8") as page:
        new = samples(openmetrics(page.read()))
    # The older format's parser gives every counter a `_total`, whether it is written so or not.
    bare = [key for key in old.keys() - new.keys() if key[0].endswith("_total")]
    for name, labels in bare:
        if (name.removesuffix("_total"), labels) in new:
            old[(name.removesuffix("_total"), labels)] = old.pop((name, labels))
    # What scrapes and time themselves change.
    moving = (
        "dynamo_component_uptime_seconds",
        "dynamo_metrics_exporter_",
        "dynamo_metrics_backend_scrape_duration_seconds",
        # And what the machine does meanwhile.
        "dynamo_metrics_host_",
        "node_",
        "process_",
        "tokio_",
    )
    odd = [key for key in old.keys() ^ new.keys() if not key[0].startswith(moving)]
    if odd:
        sys.exit(f"in one format only: {sorted(odd)[:5]}")
    differing = [
        key for key in old.keys() & new.keys()
        if old[key] != new[key] and not key[0].startswith(moving)
    ]
    if differing:
        sys.exit(f"differing values: {differing[:5]}")
    print(len(old))


main()
