"""Asks an OpenAI-compatible server for responses with the real client, and tells what it saw.

usage: responses_client.py BASE_URL (whole|leave)
"""

import asyncio
import sys

import openai

from told import Report

PROMPT = "one two three"
FAILS = "fail-after:3"
FAILS_AT_ONCE = "fail-after:0"


def ask(prompt=PROMPT, max_tokens=10, model="demo", **options):
    return {"model": model, "input": prompt, "max_output_tokens": max_tokens} | options


class Watch:
    """Counts what the events of one stream say."""

    def __init__(self):
        self.contents = 0
        self.text = ""
        self.last = None

    def see(self, event):
        before = -1 if self.last is None else self.last.sequence_number
        assert event.sequence_number == before + 1, event
        self.last = event
        if event.type == "response.output_text.delta":
            self.contents += 1
            self.text += event.delta

    def tell(self, report, name):
        response = self.last.response
        assert self.last.type == name and response.output_text == self.text, self.last
        report.add("stream", PROMPT, self.contents, response.usage.output_tokens)


def stream(client, report, name, **options):
    watch = Watch()
    for event in client.responses.create(**ask(**options), stream=True):
        watch.see(event)
    watch.tell(report, name)


def stream_by_helper(client, report):
    watch = Watch()
    with client.responses.stream(**ask()) as stream:
        for event in stream:
            watch.see(event)
    watch.tell(report, "response.incomplete")


async def stream_async(client, report):
    watch = Watch()
    async for event in await client.responses.create(**ask(), stream=True):
        watch.see(event)
    watch.tell(report, "response.incomplete")


def unary(client, report):
    response = client.responses.create(**ask())
    assert response.output_text and response.status == "incomplete", response
    report.add("unary", PROMPT, tokens=response.usage.output_tokens)


def fail(client, report):
    create = client.responses.create
    report.refused(
        "stream",
        "not_found",
        openai.NotFoundError,
        lambda: create(**ask(model="made-up-7"), stream=True),
        model="unknown_model",
    )
    report.refused(
        "unary", "validation", openai.BadRequestError, lambda: create(**ask(temperature=9))
    )
    for kind, prompt in ("stream", FAILS_AT_ONCE), ("unary", FAILS):
        report.refused(
            kind,
            "internal",
            openai.InternalServerError,
            lambda: create(**ask(prompt), stream=kind == "stream"),
            prompt=prompt,
        )
    # The client does not raise here: the last event says it.
    watch = Watch()
    for event in create(**ask(FAILS), stream=True):
        watch.see(event)
    assert watch.last.type == "response.failed", watch.last
    assert watch.last.response.error.code == "server_error", watch.last
    report.add("stream", FAILS, watch.contents, 3, error="internal")


def leave(client, report):
    watch = Watch()
    with client.responses.create(**ask(max_tokens=60), stream=True) as stream:
        for event in stream:
            watch.see(event)
            if watch.contents == 3:
                break
    report.add("stream", PROMPT, watch.contents, error="cancelled")


async def all_async(base_url, work):
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        await asyncio.gather(*[work(client) for _ in range(4)])


def main():
    base_url, mode = sys.argv[1:3]
    base_url += "/v1"
    report = Report("responses")
    client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=30)
    if mode == "leave":
        for _ in range(3):
            leave(client, report)
        return report.print()
    for _ in range(2):
        stream(client, report, "response.incomplete")
    # Without a limit the answer comes to its own end.
    stream(client, report, "response.completed", max_tokens=None)
    stream_by_helper(client, report)
    asyncio.run(all_async(base_url, lambda client: stream_async(client, report)))
    unary(client, report)
    fail(client, report)
    report.print()


main()
