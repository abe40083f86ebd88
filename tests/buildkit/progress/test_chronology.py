from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from function.buildkit.progress.chronology import chronological
from function.buildkit.progress.printer import Printer
from function.pb import control_pb2 as pb


def at(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def vertex(name: str, started: float, completed: float, error: str = "") -> pb.Vertex:
    return pb.Vertex(
        digest=name, name=name, started=at(started), completed=at(completed), error=error
    )


def log(name: str, seconds: float, text: str) -> pb.VertexLog:
    return pb.VertexLog(vertex=name, timestamp=at(seconds), stream=1, msg=text.encode())


def lines_of(response: pb.StatusResponse) -> list[str]:
    progress = Printer()
    return [line for piece in chronological(response) for line in progress.update(piece)]


def test_what_came_at_once_reads_as_it_happened() -> None:
    response = pb.StatusResponse(
        vertexes=[vertex("a", 1, 3), vertex("b", 4, 6, "exit code: 1")],
        logs=[log("a", 2, "of a\n"), log("b", 5, "of b\n")],
        statuses=[
            pb.VertexStatus(
                ID="pulling", vertex="a", timestamp=at(2.5), started=at(2), completed=at(2.5)
            )
        ],
    )

    assert lines_of(response) == [
        "#1 a",
        "#1 1.000 of a",
        "#1 pulling 0.5s done",
        "#1 DONE 2.0s",
        "#2 b",
        "#2 1.000 of b",
        "#2 ERROR: exit code: 1",
    ]


def test_output_of_steps_side_by_side_stays_in_order() -> None:
    response = pb.StatusResponse(
        vertexes=[vertex("a", 1, 9), vertex("b", 2, 8)],
        logs=[log(name, 3 + number / 10, f"{number}\n") for number, name in enumerate("abab")],
    )

    output = [line.split()[-1] for line in lines_of(response) if "DONE" not in line]

    assert output == ["a", "b", "0", "1", "2", "3"]


def test_nothing_is_lost_and_nothing_said_twice() -> None:
    response = pb.StatusResponse(
        vertexes=[
            vertex("a", 1, 3),
            pb.Vertex(digest="c", name="c", cached=True, started=at(2), completed=at(2)),
            pb.Vertex(digest="r", name="runs", started=at(4)),
        ],
        logs=[log("r", 5, "x\n")],
        warnings=[pb.VertexWarning(vertex="a", short=b"take care")],
    )

    assert sorted(lines_of(response)) == sorted(
        ["#1 a", "#1 DONE 2.0s", "#2 c", "#2 CACHED", "#3 runs", "#3 1.000 x", "#1 WARN: take care"]
    )


def test_nothing_is_nothing() -> None:
    assert [*chronological(pb.StatusResponse())] == []
