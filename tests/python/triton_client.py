"""Talks to a KServe gRPC server with Triton's client, and tells what it saw as JSON.

usage: triton_client.py BASE_URL (whole|leave)
"""

import queue
import sys

import numpy
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from told import Report

PROMPT = "one two three"
FAILS = "fail-after:3"

STREAM = "inference_GRPCInferenceService_ModelStreamInfer"
UNARY = "inference_GRPCInferenceService_ModelInfer"


def tensors(prompt):
    text = triton.InferInput("text_input", [1], "BYTES")
    text.set_data_from_numpy(numpy.array([prompt], dtype=object))
    return [text]


def limit(max_tokens):
    return {"max_tokens": max_tokens}


def text(result):
    output = result.as_numpy("text_output")
    return "" if output is None else output[0].decode()


class Stream:
    """One stream; what comes is taken from its queue."""

    def __init__(self, client):
        self.client = client
        self.came = queue.Queue()
        client.start_stream(lambda result, error: self.came.put((result, error)))

    def ask(self, prompt=PROMPT, max_tokens=10, model="demo", **options):
        self.client.async_stream_infer(
            model, tensors(prompt), parameters=limit(max_tokens), **options
        )

    def answer(self):
        """The contents of one answer, and the error that it ended with, if any."""
        contents = 0
        while True:
            result, error = self.came.get(timeout=30)
            if error:
                return contents, error
            contents += bool(text(result))
            if result.get_response().parameters["triton_final_response"].bool_param:
                return contents, None


def stream(client, report, cancel=False, **options):
    stream = Stream(client)
    stream.ask(**options)
    contents, error = stream.answer()
    client.stop_stream(cancel_requests=cancel)
    assert error is None, error
    report.add("stream", PROMPT, contents, contents, endpoint=STREAM)


def unary(client, report):
    result = client.infer("demo", tensors(PROMPT), parameters=limit(6))
    assert text(result) and result.as_numpy("finish_reason")[0] == b"length", result
    report.add("unary", PROMPT, endpoint=UNARY)


def fail(client, report):
    stream = Stream(client)
    stream.ask(FAILS)
    contents, error = stream.answer()
    assert "the engine failed" in error.message(), error
    client.stop_stream()
    report.add("stream", FAILS, contents, contents, "internal", endpoint=STREAM)

    stream = Stream(client)
    stream.ask(model="made-up-7")
    _, error = stream.answer()
    assert error.status() == "StatusCode.NOT_FOUND", error
    client.stop_stream()
    report.add("stream", error="not_found", endpoint=STREAM, model="unknown_model")

    for prompt, model, known, status, error in (
        (PROMPT, "made-up-7", "unknown_model", "NOT_FOUND", "not_found"),
        (FAILS, "demo", "demo", "INTERNAL", "internal"),
    ):
        refused = report.refused(
            "unary",
            error,
            InferenceServerException,
            lambda: client.infer(model, tensors(prompt)),
            endpoint=UNARY,
            model=known,
            prompt=prompt if known == "demo" else "",
        )
        assert refused.status() == f"StatusCode.{status}", refused


def leave(client, report):
    stream = Stream(client)
    stream.ask(max_tokens=60)
    for _ in range(3):
        result, error = stream.came.get(timeout=30)
        assert error is None and text(result), error
    client.stop_stream(cancel_requests=True)
    report.add("stream", PROMPT, 3, error="cancelled", endpoint=STREAM)


def main():
    base_url, mode = sys.argv[1:3]
    report = Report(STREAM)
    client = triton.InferenceServerClient(base_url.removeprefix("http://"))
    if mode == "leave":
        for _ in range(3):
            leave(client, report)
        return report.print()
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("demo")
    report.facts["inputs"] = [input.name for input in client.get_model_metadata("demo").inputs]
    for _ in range(3):
        stream(client, report)
    stream(client, report, enable_empty_final_response=True)
    # Whoever cancels a call after its last response has all that it asked for.
    stream(client, report, cancel=True)
    for _ in range(2):
        unary(client, report)
    fail(client, report)
    report.print()


main()
