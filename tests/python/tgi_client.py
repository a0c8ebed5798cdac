"""Talks to a TGI-compatible server with Hugging Face's client, and tells what it saw as JSON.

usage: tgi_client.py BASE_URL (whole|leave)
"""

import asyncio
import sys

from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import GenerationError, ValidationError

from told import Report

PROMPT = "one two three"
FAILS = "fail-after:3"
FAILS_AT_ONCE = "fail-after:0"

# Where the client goes if it is given the server's address, and TGI's own two routes.
ROOT = "tgi_root", "/"
WHOLE = "tgi_generate", "/generate"
STREAM = "tgi_generate_stream", "/generate_stream"


def finished(details):
    assert details.finish_reason == "length", details
    return details.generated_tokens


def stream(base_url, report, route):
    endpoint, path = route
    client = InferenceClient(model=base_url + path)
    parts = list(client.text_generation(PROMPT, stream=True, details=True, max_new_tokens=10))
    tokens = finished(parts[-1].details)
    assert parts[-1].generated_text == "".join(part.token.text for part in parts), parts
    report.add("stream", PROMPT, len(parts), tokens, endpoint=endpoint)


async def stream_async(base_url, report):
    async with AsyncInferenceClient(model=base_url) as client:
        parts = await client.text_generation(
            PROMPT, stream=True, details=True, max_new_tokens=8
        )
        parts = [part async for part in parts]
    report.add("stream", PROMPT, len(parts), finished(parts[-1].details))


def unary(base_url, report, route):
    endpoint, path = route
    client = InferenceClient(model=base_url + path)
    answer = client.text_generation(PROMPT, details=True, max_new_tokens=6)
    assert answer.generated_text, answer
    report.add("unary", PROMPT, tokens=finished(answer.details), endpoint=endpoint)
    assert client.text_generation(PROMPT, max_new_tokens=6) == answer.generated_text
    report.add("unary", PROMPT, tokens=6, endpoint=endpoint, told=False)


def fail(base_url, report):
    client = InferenceClient(model=base_url)
    for kind in "stream", "unary":
        streams = kind == "stream"
        report.refused(
            kind,
            "validation",
            ValidationError,
            lambda: list(client.text_generation("", stream=streams)),
        )
        # A generation that fails before its answer begins is TGI's 424.
        report.refused(
            kind,
            "internal",
            GenerationError,
            lambda: list(client.text_generation(FAILS_AT_ONCE, stream=streams)),
            prompt=FAILS_AT_ONCE,
            engine="internal",
        )
    contents = []

    def fails_in_the_middle():
        contents.extend(client.text_generation(FAILS, stream=True))

    report.refused(
        "stream", "internal", GenerationError, fails_in_the_middle, prompt=FAILS, tokens=3
    )
    report.requests[-1]["contents"] = len(contents)


def leave(base_url, report):
    with InferenceClient(model=base_url) as client:
        parts = client.text_generation(PROMPT, stream=True, max_new_tokens=60)
        for _ in range(3):
            assert next(parts)
    report.add("stream", PROMPT, 3, error="cancelled")


async def leave_async(base_url, report):
    async with AsyncInferenceClient(model=base_url) as client:
        parts = await client.text_generation(PROMPT, stream=True, max_new_tokens=60)
        assert await anext(parts)
    report.add("stream", PROMPT, 1, error="cancelled")


async def all_async(work, count):
    await asyncio.gather(*[work() for _ in range(count)])


def main():
    base_url, mode = sys.argv[1:3]
    report = Report(ROOT[0])
    if mode == "leave":
        for _ in range(3):
            leave(base_url, report)
        asyncio.run(all_async(lambda: leave_async(base_url, report), 2))
        return report.print()
    # Only under this name does the client ask a server of this kind about itself.
    client = InferenceClient(model=base_url, provider="hf-inference")
    report.facts["model"] = client.get_endpoint_info()["model_id"]
    report.facts["healthy"] = client.health_check()
    for route in ROOT, STREAM:
        for _ in range(2):
            stream(base_url, report, route)
    for route in ROOT, WHOLE:
        unary(base_url, report, route)
    asyncio.run(all_async(lambda: stream_async(base_url, report), 4))
    fail(base_url, report)
    report.print()


main()
