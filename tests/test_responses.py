from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function import responses
from function.buildkit.failure import build_failed
from function.buildkit.progress import Progress
from function.errors import Busy, SignatureError
from function.outcome import BuildResult, FailedStep
from function.pb import control_pb2 as pb
from function.pb import rpc_status_pb2

SCANNER_LIMIT = 64 * 1024  # bufio.MaxScanTokenSize, which go-sdk keeps
BUILD_ID = "0123456789abcdef" * 2
VERTEX = "sha256:v"

# What JSON and UTF-8 make most of: escapes of six bytes and two, characters of four.
CHARACTERS = st.sampled_from('a\x01"\\\x1b\n\tü€🎉\u2028')
long_lines = st.builds(
    lambda text, times: text * times, st.text(CHARACTERS, max_size=8), st.integers(0, 20_000)
)


def decoded(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.splitlines(keepends=True)]


def succeeded(**changes: Any) -> dict[str, Any]:
    return responses.succeeded(
        **{
            "build_id": BUILD_ID,
            "image": "registry:5000/a:1",
            "duration": 1.23456,
            "result": BuildResult(digest="sha256:d"),
            "log": ["#1 a"],
            **changes,
        }
    )


@given(st.lists(long_lines, max_size=6))
def test_every_line_of_a_stream_is_short_enough_to_be_read(lines: list[str]) -> None:
    for chunk in responses.encode_progress(lines, build_id=BUILD_ID):
        assert len(chunk) < SCANNER_LIMIT
        assert chunk.endswith(b"\n")
        assert chunk.count(b"\n") == 1


@given(st.lists(long_lines, max_size=6))
def test_nothing_of_the_log_is_lost_or_reordered(lines: list[str]) -> None:
    documents = [json.loads(chunk) for chunk in responses.encode_progress(lines, build_id=BUILD_ID)]

    sent = [piece for document in documents for piece in document["log"]]
    assert "".join(sent) == "".join(lines)


def test_short_lines_travel_together_and_whole() -> None:
    lines = [f"#1 0.{number:03d} output" for number in range(1000)]

    [only] = responses.encode_progress(lines, build_id=BUILD_ID)

    assert json.loads(only) == {"log": lines, "status": "in_progress", "buildId": BUILD_ID}


def test_a_line_of_300_kib_comes_in_pieces() -> None:
    line = "x" * (300 << 10)

    chunks = list(responses.encode_progress([line], build_id=BUILD_ID))

    assert len(chunks) > 4
    assert "".join(piece for chunk in chunks for piece in json.loads(chunk)["log"]) == line


def test_no_lines_make_no_document() -> None:
    assert list(responses.encode_progress([], build_id=BUILD_ID)) == []


def test_half_a_surrogate_pair_does_not_break_the_stream() -> None:
    [only] = responses.encode_progress(["a\ud800b"], build_id=BUILD_ID)

    assert json.loads(only)["log"] == ["a?b"]


def test_a_heartbeat_is_progress_without_lines() -> None:
    assert responses.in_progress([], build_id=BUILD_ID) == {
        "log": [],
        "status": "in_progress",
        "buildId": BUILD_ID,
    }


@given(
    name=long_lines,
    cause=long_lines,
    filename=long_lines,
    source=long_lines,
    output=st.lists(long_lines, max_size=30),
)
def test_the_last_line_is_short_enough_whatever_a_build_printed(
    name: str, cause: str, filename: str, source: str, output: list[str]
) -> None:
    progress = Progress()
    vertex = pb.Vertex(digest=VERTEX, name=name)
    vertex.started.seconds = 1
    log = pb.VertexLog(vertex=VERTEX, msg="\n".join([*output, ""]).encode())
    progress.update(pb.StatusResponse(vertexes=[vertex], logs=[log]))
    info = {"filename": filename, "data": encoded(source)}
    spans = [{"start": {"line": 1}, "end": {"line": 1000}}]
    error = build_failed(
        cause,
        rpc_status_pb2.Status(
            details=[
                detail("errdefs.Source+json", {"info": info, "ranges": spans}),
                detail("errdefs.Vertex+json", {"digest": VERTEX}),
            ]
        ).SerializeToString(),
        progress,
    )

    line = responses.encode(
        responses.failed(
            error,
            build_id=BUILD_ID,
            image="r/" + "i" * 400,
            duration=1.0,
            failed_step=error.failed_step,
        )
    )

    assert error.failed_step is not None
    assert len(line) < SCANNER_LIMIT
    [document] = decoded(line)
    assert document["status"] == "failed"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def detail(kind: str, value: Any) -> rpc_status_pb2.Detail:
    return rpc_status_pb2.Detail(type_url=kind, value=json.dumps(value).encode())


def test_success_says_what_was_built() -> None:
    assert succeeded() == {
        "status": "success",
        "log": ["#1 a"],
        "logs": ["#1 a"],
        "image": "registry:5000/a:1",
        "imageName": "registry:5000/a:1",
        "buildId": BUILD_ID,
        "duration": 1.235,
        "digest": "sha256:d",
    }


def test_what_was_not_pushed_has_no_digest() -> None:
    assert "digest" not in succeeded(result=BuildResult())


def test_failure_says_what_when_and_where() -> None:
    step = FailedStep(name="[2/2] RUN false", file="Dockerfile", line=2, exit_code=1)
    error = build_failed("cause", b"", Progress())

    document = responses.failed(error, build_id=BUILD_ID, duration=2.0, failed_step=step)

    assert document == {
        "status": "failed",
        "log": [],
        "logs": [],
        "buildId": BUILD_ID,
        "duration": 2.0,
        "error": "The build failed: cause",
        "reason": "build_failed",
        "failedStep": {
            "name": "[2/2] RUN false",
            "file": "Dockerfile",
            "line": 2,
            "exitCode": 1,
        },
    }


def test_an_exit_code_of_zero_is_not_left_out() -> None:
    step = FailedStep(name="a", exit_code=0)

    document = responses.failed(build_failed("", b"", Progress()), failed_step=step)

    assert document["failedStep"] == {"name": "a", "exitCode": 0}


def test_a_refusal_that_time_can_mend_says_when_to_try_again() -> None:
    assert responses.failed(Busy("full"))["retryAfter"] == Busy.retry_after
    assert "retryAfter" not in responses.failed(SignatureError("wrong"))


@pytest.mark.parametrize(
    "document",
    [
        succeeded(),
        succeeded(log=[]),
        responses.failed(Busy("full")),
        responses.in_progress(["a"], build_id=BUILD_ID),
    ],
)
def test_go_sdk_can_decode_it(document: dict[str, Any]) -> None:
    # go-sdk builder.go, BuildResult: Go's decoder refuses a field of another type, null aside.
    assert isinstance(document["log"], list)
    assert all(isinstance(line, str) for line in document["log"])
    assert isinstance(document.get("image", ""), str)
    assert isinstance(document.get("error", ""), str)
    assert document["status"] in {"in_progress", "success", "failed"}


@pytest.mark.parametrize(
    ("accept", "streams"),
    [
        ("application/x-ndjson", True),
        ("text/event-stream, application/x-ndjson", True),
        ("Application/X-NDJSON; charset=utf-8", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/event-stream", False),
    ],
)
def test_lines_are_for_those_who_ask_for_them(accept: str, *, streams: bool) -> None:
    assert responses.wants_stream(accept) is streams
