from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.progress.build_log import DaemonLog
from function.buildkit.progress.printer import Printer
from function.buildkit.progress.split_responses import SplitResponses
from function.pb import control_pb2 as pb
from function.redaction import Redactor

from ...fake_buildkitd.progress import in_messages

if TYPE_CHECKING:
    from collections.abc import Iterable

KIB = 1 << 10
STEP = "sha256:a"


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=seconds)


def response(*output: bytes, error: str = "", cached: bool = False) -> pb.StatusResponse:
    """Return all of a step that has ended, as a late reader gets it."""
    return pb.StatusResponse(
        vertexes=[
            pb.Vertex(
                digest=STEP, name="a", started=at(1), completed=at(9), error=error, cached=cached
            )
        ],
        statuses=[pb.VertexStatus(ID="s", vertex=STEP, timestamp=at(2))],
        logs=[pb.VertexLog(vertex=STEP, stream=1, msg=each, timestamp=at(3)) for each in output],
    )


def shown(responses: Iterable[pb.StatusResponse], redactor: Redactor | None = None) -> list[str]:
    printer = Printer(redactor or Redactor([]))
    split = SplitResponses()
    pieces = [piece for each in responses for piece in split.arrived(each)]
    lines = [line for piece in (*pieces, *split.finish()) for line in printer.update(piece)]
    return [*lines, *printer.finish()]


@pytest.mark.parametrize("error", ["", "it failed"])
def test_a_step_ends_behind_all_of_its_output(error: str) -> None:
    whole = response(*[b"y" * KIB + b"\n"] * 3000, error=error)
    messages = [*in_messages(whole)]
    assert len(messages) > 100

    lines = shown(messages)

    assert len([line for line in lines if line.endswith("yyy")]) == 3000
    assert lines[0] == "#1 a"
    assert lines[-1] == ("#1 ERROR: it failed" if error else "#1 DONE 8.0s")


def test_a_line_that_goes_on_in_the_next_message_is_one_line_and_a_secret_is_found_in_it() -> None:
    """The first message is over where the secret is."""
    secret = "the secret of this build"
    pieces = [
        b"x" * (1 << 20) + b"\n" + secret[:10].encode(),
        secret[10:].encode() + b" and more\n",
    ]
    messages = [*in_messages(response(*pieces))]
    assert len(messages) == 3

    lines = shown(messages, Redactor([secret.encode()]))

    assert any(line.endswith(" [redacted] and more") for line in lines)
    assert lines[-1] == "#1 DONE 8.0s"


def test_a_follower_gets_the_same() -> None:
    messages = [*in_messages(response(*[b"y" * KIB + b"\n"] * 3000))]
    log = DaemonLog(())

    lines = [line for each in messages for line in log.update(each)] + log.finish()

    assert len([line for line in lines if line.endswith("yyy")]) == 3000
    assert (lines[0], lines[-1]) == ("#1 a", "#1 DONE 8.0s")


def test_the_end_comes_also_if_nothing_follows() -> None:
    first, *_ = in_messages(response(*[b"y" * KIB + b"\n"] * 3000))

    assert shown([first])[-1] == "#1 DONE 8.0s"


@given(st.lists(st.sampled_from([b"", b"a\n", b"y" * (1 << 19)]), max_size=6), st.booleans())
def test_nothing_is_lost_or_told_twice(output: list[bytes], cached: bool) -> None:
    told = [response(*output, cached=cached), response(b"b\n")]
    split = SplitResponses()
    messages = [message for each in told for message in in_messages(each)]

    pieces = [piece for each in messages for piece in split.arrived(each)] + [*split.finish()]

    logs = [log.msg for piece in pieces for log in piece.logs]
    assert logs == [*output, b"b\n"]
    ends = [vertex for piece in pieces for vertex in piece.vertexes if vertex.HasField("completed")]
    assert len(ends) == 2
    assert sum(len(piece.statuses) for piece in pieces) == 2
