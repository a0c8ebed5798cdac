"""What a client saw of its requests, told as JSON, in the words of the server's metrics."""

import json


class Report:
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.requests = []
        self.facts = {}

    def add(self, kind, prompt="", contents=0, tokens=0, error="", **other):
        """A request that is over.

        `contents` counts the events that had text, `tokens` what the client was told or knows that
        was generated, and `error` is the server's word for how it ended, or empty.
        """
        request = {
            "endpoint": self.endpoint,
            "model": "demo",
            "type": kind,
            "input": len(prompt.split()),
            "contents": contents,
            "tokens": tokens,
            "error": error,
        }
        self.requests.append(request | other)

    def refused(self, kind, error, expected, call, **other):
        """A request that fails with an exception of the class `expected`."""
        try:
            call()
        except expected as raised:
            self.add(kind, error=error, **other)
            return raised
        raise SystemExit(f"no {expected.__name__}")

    def print(self):
        print(json.dumps({"requests": self.requests, **self.facts}))
