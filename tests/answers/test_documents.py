from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.answers import documents
from function.buildkit.failure.build_failed import solve_failed
from function.buildkit.outcome import BuildResult, BuildWarning, FailedStep, Step
from function.buildkit.progress.printer import Printer
from function.config import MAX_STREAM_LINE_BYTES as LINE
from function.daemon_errors import translation
from function.errors import BuildFailed, Busy, SignatureError
from function.pb import control_pb2 as pb
from function.pb import rpc_status_pb2

SCANNER_LIMIT = 64 * 1024  # bufio.MaxScanTokenSize, which go-sdk keeps
BUILD_ID = "0123456789abcdef" * 2
RUNNING = documents.Running(build_id=BUILD_ID)
VERTEX = "sha256:v"

# What JSON and UTF-8 make most of: escapes of six bytes and two, characters of four.
CHARACTERS = st.sampled_from('a\x01"\\\x1b\n\tü€🎉\u2028')
long_lines = st.builds(
    lambda text, times: text * times, st.text(CHARACTERS, max_size=8), st.integers(0, 20_000)
)


def failed_build(message: str, details: bytes, printer: Printer) -> BuildFailed:
    error = translation(solve_failed(message, details, printer))
    assert isinstance(error, BuildFailed)
    return error


def succeeded(**changes: Any) -> dict[str, Any]:
    return documents.succeeded(
        **{
            "build_id": BUILD_ID,
            "image": "registry:5000/a:1",
            "duration": 1.23456,
            "result": BuildResult(digest="sha256:d", size=1234, platforms=("linux/amd64",)),
            "image_ref": "registry:5000/a@sha256:d",
            "log": ["#1 a"],
            **changes,
        }
    )


@given(st.lists(long_lines, max_size=6))
def test_every_document_of_a_stream_is_short_enough_to_be_read(lines: list[str]) -> None:
    for document in documents.progress_documents(lines, RUNNING):
        assert len(documents.encode(document)) < SCANNER_LIMIT - 1


@given(st.lists(long_lines, max_size=6))
def test_nothing_of_the_log_is_lost_or_reordered(lines: list[str]) -> None:
    found = documents.progress_documents(lines, RUNNING)

    assert "".join(piece for document in found for piece in document["log"]) == "".join(lines)


def test_short_lines_travel_together_and_whole() -> None:
    lines = [f"#1 0.{number:03d} output" for number in range(1000)]

    [only] = documents.progress_documents(lines, RUNNING)

    assert only == {"log": lines, "status": "in_progress", "buildId": BUILD_ID}


def test_a_line_of_300_kib_comes_in_pieces() -> None:
    line = "x" * (300 << 10)

    found = list(documents.progress_documents([line], RUNNING))

    assert len(found) > 4
    assert "".join(piece for document in found for piece in document["log"]) == line


def test_no_lines_make_no_document() -> None:
    assert list(documents.progress_documents([], RUNNING)) == []


def test_half_a_surrogate_pair_is_sent_as_something_else() -> None:
    assert json.loads(documents.encode({"log": ["a\ud800b"]})) == {"log": ["a?b"]}


def test_a_heartbeat_is_progress_without_lines() -> None:
    assert documents.in_progress([], RUNNING) == {
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
    progress = Printer()
    vertex = pb.Vertex(digest=VERTEX, name=name)
    vertex.started.seconds = 1
    log = pb.VertexLog(vertex=VERTEX, msg="\n".join([*output, ""]).encode())
    progress.update(pb.StatusResponse(vertexes=[vertex], logs=[log]))
    info = {"filename": filename, "data": encoded(source)}
    spans = [{"start": {"line": 1}, "end": {"line": 1000}}]
    error = failed_build(
        cause,
        rpc_status_pb2.Status(
            details=[
                detail("errdefs.Source+json", {"info": info, "ranges": spans}),
                detail("errdefs.Vertex+json", {"digest": VERTEX}),
            ]
        ).SerializeToString(),
        progress,
    )

    line = documents.encode(
        documents.failed(
            error,
            build_id=BUILD_ID,
            image="r/" + "i" * 400,
            duration=1.0,
            failed_step=error.failed_step,
        )
    )

    assert error.failed_step is not None
    assert len(line) < SCANNER_LIMIT - 1
    assert json.loads(line)["status"] == "failed"


steps = st.builds(
    Step,
    name=long_lines,
    stage=st.sampled_from(["", "build"]),
    duration=st.floats(0, 1e6),
    cached=st.booleans(),
    error=long_lines,
)
warnings = st.builds(
    BuildWarning,
    message=long_lines,
    file=long_lines,
    line=st.none() | st.integers(1, 99999),
    url=long_lines,
    detail=st.tuples(long_lines),
)


@given(
    st.lists(steps, max_size=12), st.lists(warnings, max_size=12), long_lines, st.integers(1, 40)
)
def test_a_document_fits_a_line_whatever_happened_on_the_way(
    steps: list[Step], warnings: list[BuildWarning], cause: str, times: int
) -> None:
    document = documents.failed(
        BuildFailed(cause), build_id=BUILD_ID, steps=steps * times, warnings=warnings * times
    )

    fitted = documents.fitted(document, LINE)

    assert len(documents.encode(fitted)) <= LINE
    assert (fitted["status"], fitted["reason"]) == ("failed", "build_failed")
    shown = fitted.get("steps", [])
    assert len(shown) + fitted.get("stepsOmitted", 0) == len(steps) * times
    assert shown == document.get("steps", [])[len(steps) * times - len(shown) :]
    shown = fitted.get("warnings", [])
    assert len(shown) + fitted.get("warningsOmitted", 0) == len(warnings) * times
    assert shown == document.get("warnings", [])[: len(shown)]
    assert nothing_is_null(fitted)


def nothing_is_null(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(nothing_is_null, value.values()))
    return all(map(nothing_is_null, value)) if isinstance(value, list) else value is not None


def test_what_fits_is_left_as_it_is() -> None:
    document = succeeded(steps=[Step(name="a")], warnings=[BuildWarning(message="b")])

    assert documents.fitted(document, LINE) == document


def test_steps_say_what_ran_and_what_did_not_have_to() -> None:
    document = succeeded(
        steps=[
            Step(name="docker-image://docker.io/docker/dockerfile:1", cached=True),
            Step(name="[build 1/3] FROM a", stage="build", cached=True, base_image=True),
            Step(name="[build 2/3] COPY . .", stage="build", cached=True),
            Step(name="[build 3/3] RUN b", stage="build", duration=1.23456, error="exit code: 1"),
        ]
    )

    assert document["cacheHits"] == 1
    assert document["steps"][0]["stage"] == "internal"
    assert document["steps"][2:] == [
        {"name": "[build 2/3] COPY . .", "stage": "build", "duration": 0.0, "cached": True},
        {
            "name": "[build 3/3] RUN b",
            "stage": "build",
            "duration": 1.235,
            "cached": False,
            "error": "exit code: 1",
        },
    ]


def test_warnings_say_where_and_what() -> None:
    known = BuildWarning(
        message="a", file="Dockerfile", line=2, url="https://b.example", detail=("c", "d")
    )
    document = succeeded(warnings=[BuildWarning(message="only this"), known])

    assert document["warnings"] == [
        {"message": "only this"},
        {
            "message": "a",
            "file": "Dockerfile",
            "line": 2,
            "url": "https://b.example",
            "detail": "c\nd",
        },
    ]


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
        "imageRef": "registry:5000/a@sha256:d",
        "size": 1234,
        "platforms": ["linux/amd64"],
    }


def test_what_was_not_pushed_has_no_digest() -> None:
    document = succeeded(result=BuildResult())

    assert document.keys() & {"digest", "imageRef", "size", "platforms"} == set()


def test_failure_says_what_when_and_where() -> None:
    step = FailedStep(name="[2/2] RUN false", file="Dockerfile", line=2, exit_code=1)
    error = failed_build("cause", b"", Printer())

    document = documents.failed(error, build_id=BUILD_ID, duration=2.0, failed_step=step)

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

    document = documents.failed(failed_build("", b"", Printer()), failed_step=step)

    assert document["failedStep"] == {"name": "a", "exitCode": 0}


def test_a_refusal_that_time_can_mend_says_when_to_try_again() -> None:
    assert documents.failed(Busy("full"))["retryAfter"] == Busy.retry_after
    assert "retryAfter" not in documents.failed(SignatureError("wrong"))


@pytest.mark.parametrize(
    "document",
    [
        succeeded(),
        succeeded(log=[]),
        documents.failed(Busy("full")),
        documents.in_progress(["a"], RUNNING),
    ],
)
def test_go_sdk_can_decode_it(document: dict[str, Any]) -> None:
    # go-sdk builder.go, BuildResult: Go's decoder refuses a field of another type, null aside.
    assert isinstance(document["log"], list)
    assert all(isinstance(line, str) for line in document["log"])
    assert isinstance(document.get("image", ""), str)
    assert isinstance(document.get("error", ""), str)
    assert document["status"] in {"in_progress", "success", "failed"}


@given(st.lists(long_lines, max_size=8), st.lists(steps, max_size=4))
def test_a_log_that_is_too_long_keeps_its_end(lines: list[str], steps: list[Step]) -> None:
    document = succeeded(log=lines, steps=steps * 20)

    shown = documents.with_log_tail(document, LINE)

    assert len(documents.encode(shown)) <= LINE
    assert shown["log"] == shown["logs"] == lines[len(lines) - len(shown["log"]) :]
    assert len(shown["log"]) + shown.get("logOmitted", 0) == len(lines)
    assert shown["digest"] == "sha256:d"


def test_a_short_log_is_whole() -> None:
    assert documents.with_log_tail(succeeded(), LINE) == succeeded()


def test_what_is_left_out_of_a_log_adds_up() -> None:
    whole = succeeded(log=["a" * 1000] * 100, log_omitted=7)
    assert (whole["logOmitted"], whole["logUrl"]) == (7, "/logs")

    shown = documents.with_log_tail(whole, 10_000)
    assert shown["logOmitted"] == 107 - len(shown["log"])
    assert "logOmitted" not in succeeded()
