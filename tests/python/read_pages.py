"""Reads many pages with prometheus_client's strict parser, and tells of what kinds there were samples.

usage: read_pages.py FILE.text|FILE.openmetrics...
"""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text


def main():
    kinds, bad = set(), 0
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8") as file:
            page = file.read()
        parse = openmetrics if name.endswith(".openmetrics") else text
        try:
            kinds |= {family.type for family in parse(page) if family.samples}
        except Exception as error:
            bad += 1
            if bad <= 5:
                print(f"{error!r}\n{page}", file=sys.stderr)
    if bad:
        sys.exit(f"{bad} pages are wrong")
    print(*kinds)


main()
