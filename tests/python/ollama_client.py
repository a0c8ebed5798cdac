"""Talks to an Ollama-compatible server with the real client, and tells what it saw as JSON.

usage: ollama_client.py BASE_URL (whole|leave)
"""

import asyncio
import sys

import ollama

from told import Report

PROMPT = "one two three"
FAILS = "fail-after:3"
FAILS_AT_ONCE = "fail-after:0"

CHAT = "ollama_chat"
GENERATE = "ollama_generate"


def ask(client, endpoint, prompt=PROMPT, model="demo", stream=True, **options):
    options = {"num_predict": 10} | options
    if endpoint == CHAT:
        messages = [{"role": "user", "content": prompt}]
        return client.chat(model=model, messages=messages, stream=stream, options=options)
    return client.generate(model=model, prompt=prompt, stream=stream, options=options)


def text(part):
    return part.message.content if isinstance(part, ollama.ChatResponse) else part.response


def finished(last):
    assert last.done and last.done_reason == "length", last
    assert last.prompt_eval_count == 3, last
    spans = last.prompt_eval_duration, last.eval_duration
    assert min(spans) > 0 and sum(spans) <= last.total_duration, last
    return last.eval_count


def stream(client, report, endpoint):
    parts = list(ask(client, endpoint))
    contents = sum(1 for part in parts if text(part))
    report.add("stream", PROMPT, contents, finished(parts[-1]), endpoint=endpoint)


async def stream_async(client, report, endpoint):
    parts = [part async for part in await ask(client, endpoint)]
    contents = sum(1 for part in parts if text(part))
    report.add("stream", PROMPT, contents, finished(parts[-1]), endpoint=endpoint)


def unary(client, report, endpoint):
    answer = ask(client, endpoint, stream=False)
    assert text(answer), answer
    report.add("unary", PROMPT, tokens=finished(answer), endpoint=endpoint)


def fail(client, report, endpoint):
    for kind in "stream", "unary":
        streams = kind == "stream"
        refused = report.refused(
            kind,
            "not_found",
            ollama.ResponseError,
            lambda: list(ask(client, endpoint, model="made-up-7", stream=streams)),
            model="unknown_model",
            endpoint=endpoint,
        )
        assert refused.status_code == 404 and "made-up-7" in refused.error, refused
        refused = report.refused(
            kind,
            "validation",
            ollama.ResponseError,
            lambda: list(ask(client, endpoint, num_predict=0, stream=streams)),
            endpoint=endpoint,
        )
        assert refused.status_code == 400, refused
    for kind, prompt in ("stream", FAILS_AT_ONCE), ("unary", FAILS):
        failed = report.refused(
            kind,
            "internal",
            ollama.ResponseError,
            lambda: list(ask(client, endpoint, prompt, stream=kind == "stream")),
            prompt=prompt,
            endpoint=endpoint,
        )
        assert failed.status_code == 500, failed
    contents = []

    def fails_in_the_middle():
        for part in ask(client, endpoint, FAILS):
            contents.append(text(part))

    report.refused(
        "stream",
        "internal",
        ollama.ResponseError,
        fails_in_the_middle,
        prompt=FAILS,
        tokens=3,
        endpoint=endpoint,
    )
    report.requests[-1]["contents"] = len(contents)


def leave(client, report, endpoint):
    parts = ask(client, endpoint, num_predict=60)
    for _ in range(3):
        assert text(next(parts))
    parts.close()
    report.add("stream", PROMPT, 3, error="cancelled", endpoint=endpoint)


async def leave_async(client, report, endpoint):
    parts = await ask(client, endpoint, num_predict=60)
    assert text(await anext(parts))
    await parts.aclose()
    report.add("stream", PROMPT, 1, error="cancelled", endpoint=endpoint)


async def all_async(base_url, work):
    client = ollama.AsyncClient(host=base_url)
    endpoints = [CHAT, GENERATE] * 2
    await asyncio.gather(*[work(client, endpoint) for endpoint in endpoints])


def main():
    base_url, mode = sys.argv[1:3]
    report = Report(CHAT)
    client = ollama.Client(host=base_url)
    if mode == "leave":
        for endpoint in CHAT, GENERATE:
            leave(client, report, endpoint)
        asyncio.run(all_async(base_url, lambda *of: leave_async(of[0], report, of[1])))
        return report.print()
    report.facts["models"] = [model.model for model in client.list().models]
    report.facts["capabilities"] = client.show("demo").capabilities
    for endpoint in CHAT, GENERATE:
        for _ in range(3):
            stream(client, report, endpoint)
        for _ in range(2):
            unary(client, report, endpoint)
        fail(client, report, endpoint)
    # A model without a tag is the latest.
    assert ask(client, CHAT, model="demo:latest", stream=False).message.content
    report.add("unary", PROMPT, tokens=10)
    asyncio.run(all_async(base_url, lambda *of: stream_async(of[0], report, of[1])))
    report.print()


main()
