from __future__ import annotations

import codecs
import re
import tracemalloc
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function.buildkit.outcome import BuildWarning
from function.buildkit.progress.printer import MAX_LINE_CHARACTERS, TAIL_LINES, Printer
from function.pb import control_pb2 as pb
from function.redaction import Redactor

from .statuses import A, B, vertex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def log(data: bytes, *, digest: str = A, stream: int = 1, at: int = 0) -> pb.StatusResponse:
    message = pb.VertexLog(vertex=digest, stream=stream, msg=data)
    message.timestamp.seconds = at
    return pb.StatusResponse(logs=[message])


def status(
    name: str, current: int = 0, total: int = 0, *, at: int, completed: bool = False
) -> pb.StatusResponse:
    message = pb.VertexStatus(ID=name, vertex=A, current=current, total=total)
    message.timestamp.seconds = at
    message.started.seconds = 100
    if completed:
        message.completed.seconds = at
    return pb.StatusResponse(statuses=[message])


def shown(*responses: pb.StatusResponse) -> list[str]:
    """Return every line of a build whose Status streams *responses*."""
    progress = Printer()
    lines = [line for response in responses for line in progress.update(response)]
    return lines + progress.finish()


def output(*pieces: bytes) -> list[str]:
    """Return the lines of one step's output that comes in *pieces*, without number and time."""
    return [line for lines in outputs(Printer(), pieces) for line in lines]


def outputs(progress: Printer, pieces: Iterable[bytes]) -> Iterator[list[str]]:
    """Yield the lines of `output`, by the pieces that brought them, then what came at the end."""
    progress.update(vertex(started=100))
    for piece in pieces:
        yield without_time(progress.update(log(piece)))
    yield without_time(progress.finish())


def without_time(lines: list[str]) -> list[str]:
    return [re.sub(r"^#1 \d+\.\d{3} ", "", line) for line in lines]


def in_pieces(data: bytes, *sizes: int) -> Iterator[bytes]:
    start = 0
    for size in cycle(sizes):
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size


def without_line_ends(text: str) -> str:
    return text.replace("\r", "").replace("\n", "")


def test_a_step_is_announced_when_it_starts_and_timed_when_it_ends() -> None:
    assert shown(vertex(), vertex(started=100), vertex(started=100, completed=103)) == [
        "#1 [1/2] RUN true",
        "#1 DONE 3.0s",
    ]


def test_steps_are_numbered_in_the_order_in_which_they_start() -> None:
    graph = pb.StatusResponse(
        vertexes=[pb.Vertex(digest=B, name="b"), pb.Vertex(digest=A, name="a")]
    )

    assert shown(graph, vertex(A, "a", started=100), vertex(B, "b", started=101)) == [
        "#1 a",
        "#2 b",
    ]


def test_output_begins_with_its_steps_number_and_time() -> None:
    assert shown(vertex(started=100), log(b"hello\n", at=102)) == [
        "#1 [1/2] RUN true",
        "#1 2.000 hello",
    ]


def test_steps_side_by_side_keep_their_output_apart() -> None:
    lines = shown(
        vertex(A, "a", started=100),
        vertex(B, "b", started=100),
        log(b"from ", digest=A, at=100),
        log(b"from b\n", digest=B, at=100),
        log(b"a\n", digest=A, at=100),
    )

    assert lines == ["#1 a", "#2 b", "#2 0.000 from b", "#1 0.000 from a"]


def test_standard_error_does_not_run_into_standard_output() -> None:
    lines = shown(vertex(started=100), log(b"ou"), log(b"err\n", stream=2), log(b"t\n"))

    assert lines[1:] == ["#1 0.000 err", "#1 0.000 out"]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param("über 日本 🎉\n".encode(), ["über 日本 🎉"], id="UTF-8"),
        pytest.param(b"a\r\nb\r\n", ["a", "b"], id="line ends of Windows"),
        pytest.param(b"10%\r50%\r100%\n", ["10%", "50%", "100%"], id="a progress bar"),
        pytest.param(b"a\rb", ["a", "b"], id="a progress bar that stops"),
        pytest.param(b"a\n\nb\n", ["a", "", "b"], id="an empty line"),
        pytest.param(b"no end", ["no end"], id="no newline at the end"),
        pytest.param(b"\xff\xc3\n\xe6\x97", ["\ufffd\ufffd", "\ufffd"], id="not UTF-8"),
        pytest.param(b"a\r", ["a"], id="a return at the end"),
    ],
)
def test_output_is_the_same_wherever_it_is_split(data: bytes, lines: list[str]) -> None:
    assert output(*(data[at : at + 1] for at in range(len(data)))) == lines
    for boundary in range(len(data) + 1):
        assert output(data[:boundary], data[boundary:]) == lines


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\xc3", b"\xbc", b"\xf0\x9f"]), max_size=12))
def test_no_split_of_any_output_matters(pieces: list[bytes]) -> None:
    assert output(*pieces) == output(b"".join(pieces))


def test_a_line_of_300_kib_comes_whole() -> None:
    line = b"x" * (300 << 10)
    pieces = [line[at : at + 4096] for at in range(0, len(line), 4096)]

    assert output(*pieces, b"\n") == [line.decode()]


@pytest.mark.parametrize(
    ("size", "cut"),
    [
        (MAX_LINE_CHARACTERS, [MAX_LINE_CHARACTERS]),
        (MAX_LINE_CHARACTERS + 1, [MAX_LINE_CHARACTERS, 1]),
        (2 * MAX_LINE_CHARACTERS, [MAX_LINE_CHARACTERS] * 2),
        (3 * MAX_LINE_CHARACTERS + 5, [*[MAX_LINE_CHARACTERS] * 3, 5]),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_too_long_to_be_held_is_cut_at_the_same_places_however_it_comes(
    size: int, cut: list[int], end: bytes
) -> None:
    data = b"x" * size + end

    assert [len(line) for line in output(data)] == cut
    assert [len(line) for line in output(*in_pieces(data, 32768))] == cut


@given(
    st.lists(st.sampled_from(["a" * 700_000, "日" * 300_000, "b", "\r", "\n"]), max_size=8),
    st.lists(st.integers(1000, 400_000), min_size=1, max_size=5),
)
@settings(max_examples=50, deadline=None)
def test_only_line_ends_are_lost_of_any_output_and_no_more_than_a_line_is_held(
    parts: list[str], sizes: list[int]
) -> None:
    data = "".join(parts).encode()
    pieces = list(in_pieces(data, *sizes))
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines: list[str] = []
    came = seen = 0
    for piece, new in zip([*pieces, b""], outputs(Printer(), pieces), strict=True):
        lines += new
        came += len(without_line_ends(decoder.decode(piece)))
        seen += sum(map(len, new))
        assert came - seen <= MAX_LINE_CHARACTERS

    assert max(map(len, lines), default=0) <= MAX_LINE_CHARACTERS
    assert "".join(lines) == without_line_ends("".join(parts))
    assert lines == output(data)


@pytest.mark.parametrize("before_the_cut", [0, 2, 3, 15, 29, 30])
def test_a_secret_is_not_shown_where_a_line_is_cut(before_the_cut: int) -> None:
    secret = b"Tr0ub4dor-and-3-correct-horses"
    data = b"x" * (MAX_LINE_CHARACTERS - before_the_cut) + secret + b"y" * 100
    progress = Printer(Redactor([secret]))

    text = "".join("".join(lines) for lines in outputs(progress, in_pieces(data, 32768)))

    # Of what goes on in the next line, up to two characters may be read.
    assert re.fullmatch(r"x+(T|Tr)?(\[redacted\]){1,2}y{100}", text)


def test_an_endless_line_takes_little_memory_also_where_an_error_would_repeat_it() -> None:
    progress = Printer()
    tracemalloc.start()
    try:
        for _ in outputs(progress, (b"x" * 32768 for _ in range(2048))):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 << 20


def test_output_without_a_newline_comes_before_the_end_of_its_step() -> None:
    lines = shown(vertex(started=100), log(b"last", at=102), vertex(started=100, completed=103))

    assert lines[1:] == ["#1 2.000 last", "#1 DONE 3.0s"]


def test_a_cached_step_says_so() -> None:
    assert shown(vertex(started=100, completed=100, cached=True)) == [
        "#1 [1/2] RUN true",
        "#1 CACHED",
    ]


def test_a_failed_step_says_why_without_the_daemons_paths() -> None:
    fault = "open /var/lib/buildkit/runc-native/snapshots/7/fs: denied"

    assert shown(vertex(started=100, completed=101, error=fault))[-1] == (
        "#1 ERROR: open (a path of the daemon): denied"
    )


def test_a_step_given_up_for_anothers_failure_is_canceled() -> None:
    lines = shown(vertex(started=100, completed=101, error="process: context canceled"))

    assert lines[-1] == "#1 CANCELED"


def test_an_ended_step_ends_once_though_the_daemon_repeats_it() -> None:
    ended = vertex(started=100, completed=101)

    assert shown(ended, ended) == ["#1 [1/2] RUN true", "#1 DONE 1.0s"]


def test_a_transfer_is_reported_every_five_seconds_and_at_its_end() -> None:
    lines = shown(
        vertex(started=100),
        status("layer", 0, 2_000_000, at=100),
        status("layer", 500_000, 2_000_000, at=104),
        status("layer", 1_000_000, 2_000_000, at=105),
        status("layer", 2_000_000, 2_000_000, at=107, completed=True),
        status("layer", 2_000_000, 2_000_000, at=107, completed=True),
    )

    assert lines[1:] == [
        "#1 layer 1.00MB / 2.00MB",
        "#1 layer 2.00MB / 2.00MB 7.0s done",
    ]


def test_a_short_status_is_one_line() -> None:
    lines = shown(vertex(started=100), status("transferring context", 31, at=100, completed=True))

    assert lines[1:] == ["#1 transferring context 31B done"]


def warned(short: str, filename: str = "", line: int = 0) -> pb.StatusResponse:
    warning = pb.VertexWarning(vertex=A, short=short.encode(), info={"filename": filename})
    if line:
        warning.ranges.add(start=pb.Position(line=line))
    return pb.StatusResponse(warnings=[warning])


@pytest.mark.parametrize(
    ("filename", "line", "place"),
    [("Dockerfile", 3, " (Dockerfile:3)"), ("Dockerfile", 0, " (Dockerfile)"), ("", 0, "")],
)
def test_a_warning_belongs_to_its_step_and_says_where(filename: str, line: int, place: str) -> None:
    lines = shown(vertex(started=100), warned("FromAsCasing: they differ", filename, line))

    assert lines[-1] == f"#1 WARN: FromAsCasing: they differ{place}"


def test_a_warning_is_given_once() -> None:
    progress = Printer()
    twice = [warned("one", "Dockerfile", 1), warned("two"), warned("one", "Dockerfile", 1)]

    lines = [line for response in twice for line in progress.update(response)]

    assert lines == ["#1 WARN: one (Dockerfile:1)", "#1 WARN: two"]
    assert progress.warnings == (
        BuildWarning(message="one", file="Dockerfile", line=1),
        BuildWarning(message="two"),
    )


def test_a_steps_last_lines_are_kept_for_an_error() -> None:
    progress = Printer()
    progress.update(vertex(started=100))
    progress.update(log(b"".join(b"%d\n" % number for number in range(100))))

    step = progress.step(A)

    assert step is not None
    assert list(step.tail) == [str(number) for number in range(100 - TAIL_LINES, 100)]
    assert progress.step(B) is None
