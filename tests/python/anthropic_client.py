"""Talks to an Anthropic-compatible server with the real client, and tells what it saw as JSON.

usage: anthropic_client.py BASE_URL (whole|leave)
"""

import asyncio
import sys

import anthropic

from told import Report

PROMPT = "one two three"
FAILS = "fail-after:3"
FAILS_AT_ONCE = "fail-after:0"


def ask(prompt=PROMPT, max_tokens=10, model="demo", **options):
    messages = [{"role": "user", "content": prompt}]
    return {"model": model, "max_tokens": max_tokens, "messages": messages} | options


class Watch:
    """Counts what the events of one stream say."""

    def __init__(self):
        self.contents = 0
        self.tokens = None
        self.names = []

    def see(self, event):
        self.names.append(event.type)
        if event.type == "content_block_delta" and event.delta.text:
            self.contents += 1
        if event.type == "message_delta":
            self.tokens = event.usage.output_tokens


def stream(client, report, max_tokens):
    watch = Watch()
    for event in client.messages.create(**ask(max_tokens=max_tokens), stream=True):
        watch.see(event)
    assert watch.names[0] == "message_start" and watch.names[-1] == "message_stop", watch.names
    report.add("stream", PROMPT, watch.contents, watch.tokens)


def stream_by_helper(client, report, max_tokens):
    with client.messages.stream(**ask(max_tokens=max_tokens)) as stream:
        contents = sum(1 for text in stream.text_stream if text)
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens" and message.usage.input_tokens == 3, message
    report.add("stream", PROMPT, contents, message.usage.output_tokens)


async def stream_async(client, report, max_tokens):
    watch = Watch()
    async for event in await client.messages.create(**ask(max_tokens=max_tokens), stream=True):
        watch.see(event)
    report.add("stream", PROMPT, watch.contents, watch.tokens)


def unary(client, report, max_tokens):
    message = client.messages.create(**ask(max_tokens=max_tokens))
    assert message.content[0].text and message.stop_reason == "max_tokens", message
    report.add("unary", PROMPT, tokens=message.usage.output_tokens)


def fail(client, report):
    create = client.messages.create
    unknown = {"model": "unknown_model"}
    for kind in "stream", "unary":
        streams = {"stream": kind == "stream"}
        not_found = report.refused(
            kind,
            "not_found",
            anthropic.NotFoundError,
            lambda: create(**ask(model="made-up-7"), **streams),
            **unknown,
        )
        assert not_found.body["error"]["type"] == "not_found_error", not_found.body
    for options in {"extra_body": {"temperature": 9}}, {"messages": []}:
        bad = report.refused(
            "unary", "validation", anthropic.BadRequestError, lambda: create(**ask(**options))
        )
        assert bad.body["error"]["type"] == "invalid_request_error", bad.body
    for kind, prompt in ("stream", FAILS_AT_ONCE), ("unary", FAILS):
        report.refused(
            kind,
            "internal",
            anthropic.InternalServerError,
            lambda: create(**ask(prompt), stream=kind == "stream"),
            prompt=prompt,
        )
    watch = Watch()

    def fails_in_the_middle():
        for event in create(**ask(FAILS), stream=True):
            watch.see(event)

    raised = report.refused(
        "stream", "internal", anthropic.APIStatusError, fails_in_the_middle, prompt=FAILS
    )
    assert raised.body["error"]["type"] == "api_error", raised.body
    report.requests[-1] |= {"contents": watch.contents, "tokens": 3}


def leave(client, report):
    watch = Watch()
    with client.messages.create(**ask(max_tokens=60), stream=True) as stream:
        for event in stream:
            watch.see(event)
            if watch.contents == 3:
                break
    report.add("stream", PROMPT, watch.contents, error="cancelled")


async def leave_async(client, report):
    watch = Watch()
    stream = await client.messages.create(**ask(max_tokens=60), stream=True)
    async for event in stream:
        watch.see(event)
        if watch.contents == 2:
            await stream.close()
            break
    report.add("stream", PROMPT, watch.contents, error="cancelled")


async def all_async(base_url, work, count):
    options = {"base_url": base_url, "api_key": "none", "max_retries": 0}
    async with anthropic.AsyncAnthropic(**options) as client:
        await asyncio.gather(*[work(client) for _ in range(count)])


def main():
    base_url, mode = sys.argv[1:3]
    report = Report("anthropic_messages")
    client = anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=0, timeout=30)
    if mode == "leave":
        for _ in range(3):
            leave(client, report)
        asyncio.run(all_async(base_url, lambda client: leave_async(client, report), 2))
        return report.print()
    report.facts["models"] = [model.id for model in client.models.list()]
    report.facts["model"] = client.models.retrieve("demo").id
    for _ in range(3):
        stream(client, report, 10)
    stream_by_helper(client, report, 7)
    asyncio.run(all_async(base_url, lambda client: stream_async(client, report, 8), 4))
    for _ in range(2):
        unary(client, report, 6)
    fail(client, report)
    report.print()


main()
