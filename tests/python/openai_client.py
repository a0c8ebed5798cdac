"""Talks to an OpenAI-compatible server with the real client, and tells what it saw as JSON.

usage: openai_client.py BASE_URL (full|brief)

Times are seconds by this process's own clock. Each stream tells the time to its first content, the
gaps between contents, and how many there were.
"""

import asyncio
import concurrent.futures
import json
import sys
import time

import openai

MODEL = "demo"
MESSAGES = [{"role": "user", "content": "one two three"}]


def chat(client, max_tokens, leave_after=None, **options):
    start = time.perf_counter()
    stamps = []
    usage = None
    stream = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        max_tokens=max_tokens,
        stream=True,
        stream_options={"include_usage": True},
        **options,
    )
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            stamps.append(time.perf_counter())
            if leave_after == len(stamps):
                stream.close()
                break
        if chunk.usage:
            usage = chunk.usage.completion_tokens
    return told(start, stamps, usage)


async def chat_async(client, max_tokens, leave_after=None):
    start = time.perf_counter()
    stamps = []
    stream = await client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=max_tokens, stream=True
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            stamps.append(time.perf_counter())
            if leave_after == len(stamps):
                await stream.close()
                break
    return told(start, stamps, None)


def complete(client, max_tokens):
    start = time.perf_counter()
    stamps = []
    stream = client.completions.create(
        model=MODEL, prompt="one two", max_tokens=max_tokens, stream=True
    )
    for chunk in stream:
        if chunk.choices and chunk.choices[0].text:
            stamps.append(time.perf_counter())
    return told(start, stamps, None)


def told(start, stamps, usage):
    gaps = [after - before for before, after in zip(stamps, stamps[1:])]
    first = stamps[0] - start if stamps else None
    return {"ttft": first, "gaps": gaps, "chunks": len(stamps), "usage": usage}


def fails(kind, call):
    try:
        call()
    except kind as error:
        return type(error).__name__
    raise SystemExit(f"no {kind.__name__}")


def whole(client, max_tokens):
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=max_tokens
    )
    assert answer.choices[0].message.content, answer
    assert answer.usage.completion_tokens == max_tokens, answer
    return answer.usage.completion_tokens


def errors(client):
    create = client.chat.completions.create

    def failing(after):
        messages = [{"role": "user", "content": f"fail-after:{after}"}]
        for _ in create(model=MODEL, messages=messages, stream=True):
            pass

    return [
        fails(
            openai.NotFoundError,
            lambda: create(model="made-up-7", messages=MESSAGES, stream=True),
        ),
        fails(openai.NotFoundError, lambda: create(model="made-up-8", messages=MESSAGES)),
        fails(
            openai.BadRequestError,
            lambda: create(model=MODEL, messages=MESSAGES, temperature=9),
        ),
        fails(openai.BadRequestError, lambda: create(model=MODEL, messages=[], stream=True)),
        fails(openai.APIError, lambda: failing(3)),
        fails(openai.InternalServerError, lambda: failing(0)),
    ]


async def many_async(base_url):
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        streams = [chat_async(client, 10) for _ in range(4)]
        leavers = [chat_async(client, 30, leave_after=2) for _ in range(2)]
        results = await asyncio.gather(*streams, *leavers)
    return results[:4], results[4:]


def main():
    base_url, mode = sys.argv[1:3]
    client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=30)
    report = {"models": [model.id for model in client.models.list()]}
    if mode == "brief":
        chat(client, 5)
        whole(client, 3)
        errors(client)
        return
    # The first request pays for connecting, which the server does not see.
    report["warm_up"] = chat(client, 5)
    report["sequential"] = [chat(client, 15) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        report["concurrent"] = list(pool.map(lambda _: chat(client, 15), range(8)))
    report["unary"] = [whole(client, 7) for _ in range(2)]
    report["completions"] = [complete(client, 6) for _ in range(2)]
    report["leavers"] = [chat(client, 30, leave_after=3) for _ in range(3)]
    report["errors"] = errors(client)
    streams, leavers = asyncio.run(many_async(base_url))
    report["async"], report["async_leavers"] = streams, leavers
    print(json.dumps(report))


main()
