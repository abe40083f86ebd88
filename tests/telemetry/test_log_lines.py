from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.telemetry.build_report import PHASES, SUCCESS, Arrival, BuildReport
from function.telemetry.log_lines import (
    JsonFormatter,
    build_fields,
    level,
    question_fields,
    refusal_fields,
    with_fields,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# of-watchdog 0.11.3 config/config.go, log_buffer_size: bufio.MaxScanTokenSize.
WATCHDOG_BYTES = 64 << 10

REPORT = BuildReport(
    build_id="895f47ea",
    image="reg/hello:1",
    key="payload-secret",
    outcome=SUCCESS,
    duration=2.56789,
    arrival=Arrival(call_id="0b2e", body_bytes=10_240),
    digest="sha256:06ef",
    size=57_000_000,
    phases={"verify": 0.0001, "build": 1.23456},
    sent_bytes=220,
    steps=4,
    cache_hits=3,
)


def line(message: str = "build ended", fields: Mapping[str, Any] | None = None) -> str:
    named = {"msg": message, "levelname": "INFO", "name": "builder-fn"}
    record = logging.makeLogRecord({**named, **with_fields(fields or {})})
    record.created = 1_800_000_000.25
    return JsonFormatter().format(record)


@pytest.mark.parametrize("text", ["\x9b31mred\x85", "a\x7f", "\u2028", "\u202egnp.exe", "\udcff"])
def test_nothing_in_a_line_is_obeyed_by_a_terminal_or_hidden(text: str) -> None:
    fields = refusal_fields(
        method="POST",
        path="/",
        call_id=text,
        build_id="",
        key="",
        tenant="",
        reason="bad_request",
        error=text,
    )
    shown = line(fields=fields)

    assert shown.isprintable()
    assert json.loads(shown)["callId"] == text


def test_letters_of_all_scripts_are_shown_as_they_are() -> None:
    assert "é漢字" in line("é漢字")


def test_a_build_is_one_line_with_what_to_join_on() -> None:
    assert json.loads(line(fields=build_fields(REPORT))) == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "level": "info",
        "logger": "builder-fn",
        "message": "build ended",
        "buildId": "895f47ea",
        "callId": "0b2e",
        "image": "reg/hello:1",
        "key": "payload-secret",
        "outcome": "success",
        "digest": "sha256:06ef",
        "size": 57_000_000,
        "duration": 2.568,
        "phases": {"verify": 0.0, "build": 1.235},
        "bodyBytes": 10_240,
        "sentBytes": 220,
        "steps": 4,
        "cacheHits": 3,
    }


def test_of_an_error_the_first_line_is_shown_and_no_output_of_steps() -> None:
    report = BuildReport(
        build_id="b",
        image="reg/hello:1",
        key="k",
        outcome="build_failed",
        duration=1.0,
        arrival=Arrival(),
        error="[2/2] RUN make failed\nwhat the step printed",
    )

    assert build_fields(report)["error"] == "[2/2] RUN make failed"


def refused(**fields: str) -> Mapping[str, Any]:
    nothing = dict.fromkeys(("call_id", "build_id", "key", "tenant", "error"), "")
    return refusal_fields(**{**nothing, "method": "POST", "path": "/", "reason": "r", **fields})


def test_a_refusal_says_what_was_asked_and_why_not() -> None:
    fields = refused(path="/build", reason="bad_signature", error="It is wrong.")

    assert fields == {
        "method": "POST",
        "path": "/build",
        "reason": "bad_signature",
        "error": "It is wrong.",
    }


def test_a_refusal_of_what_was_signed_says_whose_it_was() -> None:
    fields = refused(build_id="b", key="acme/1", tenant="acme")

    assert (fields["tenant"], fields["key"], fields["buildId"]) == ("acme", "acme/1", "b")


def test_a_question_says_who_asked_what_and_what_came_of_it() -> None:
    fields = question_fields(operation="list", build_id="", key="ops/1", tenant="", status=200)

    assert fields == {"operation": "list", "key": "ops/1", "status": 200}


def test_only_the_builders_own_fault_is_an_error() -> None:
    assert (level(own_fault=True), level(own_fault=False)) == (logging.ERROR, logging.INFO)


def test_what_other_packages_log_becomes_a_line_as_well() -> None:
    record = logging.makeLogRecord({"msg": "Task queue depth is %d", "args": (3,)})

    assert json.loads(JsonFormatter().format(record))["message"] == "Task queue depth is 3"


def test_a_trace_stays_on_the_line() -> None:
    try:
        os.environ["NO SUCH NAME"]
    except KeyError:
        record = logging.makeLogRecord({"msg": "unexpected error", "exc_info": sys.exc_info()})

    formatted = JsonFormatter().format(record)

    assert "\n" not in formatted
    assert json.loads(formatted)["trace"].endswith("KeyError: 'NO SUCH NAME'")


def deeper(frames: int) -> None:
    if frames:
        deeper(frames - 1)
    raise ValueError("\x01" * 100_000)


def test_a_long_trace_does_not_block_the_watchdog() -> None:
    try:
        deeper(500)
    except ValueError:
        record = logging.makeLogRecord({"msg": "\x01" * 100_000, "exc_info": sys.exc_info()})

    assert len(JsonFormatter().format(record).encode()) < WATCHDOG_BYTES


TEXTS = st.one_of(st.text(), st.sampled_from(("\x01" * 100_000, "\U0001f4a5" * 100_000)))


@given(st.lists(TEXTS, min_size=7, max_size=7), st.sampled_from(["", "\n", "\r\n", "\u2028"]))
def test_whatever_a_request_says_is_one_line_that_is_short_enough(
    texts: list[str], end: str
) -> None:
    build_id, call_id, image, key, outcome, error, digest = (text + end for text in texts)
    report = BuildReport(
        build_id=build_id,
        image=image,
        key=key,
        outcome=outcome,
        duration=1.0,
        arrival=Arrival(call_id=call_id, body_bytes=1 << 60),
        error=error,
        digest=digest,
        size=1 << 60,
        phases=dict.fromkeys(PHASES, 1e9),
    )

    formatted = line(fields=build_fields(report))

    assert "\n" not in formatted
    assert len(formatted.encode(errors="backslashreplace")) < WATCHDOG_BYTES
    assert json.loads(formatted)["bodyBytes"] == 1 << 60


@pytest.mark.parametrize("text", ["\x01" * 100_000, "\ud800" * 100_000])
def test_a_refused_request_cannot_write_a_long_line(text: str) -> None:
    fields = refused(method=text, path=text, call_id=text, build_id=text, error=text)

    formatted = line(fields=fields).encode(errors="backslashreplace")

    assert len(formatted) < WATCHDOG_BYTES
