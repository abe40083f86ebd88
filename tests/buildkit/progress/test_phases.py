from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.progress.phases import BUILD, EXPORT, PULL, PUSH, TRANSFER, Phases
from function.pb import control_pb2 as pb
from function.telemetry.build_report import PHASES

CONTEXT = "[internal] load build context"
FROM = "[build 1/3] FROM docker.io/library/debian:trixie-slim"
RUN = "[build 2/3] RUN make"
IMAGE = "exporting to image"


def vertex(name: str, started: float = 0, completed: float = 0) -> pb.StatusResponse:
    message = pb.Vertex(digest=f"sha256:{name}", name=name)
    if started:
        message.started.FromMilliseconds(round(started * 1000))
    if completed:
        message.completed.FromMilliseconds(round(completed * 1000))
    return pb.StatusResponse(vertexes=[message])


def status(
    name: str, started: float, completed: float = 0, *, at: float = 0, current: int = 0
) -> pb.StatusResponse:
    message = pb.VertexStatus(ID=name, vertex=f"sha256:{IMAGE}", current=current)
    message.timestamp.FromMilliseconds(round((at or completed or started) * 1000))
    message.started.FromMilliseconds(round(started * 1000))
    if completed:
        message.completed.FromMilliseconds(round(completed * 1000))
    return pb.StatusResponse(statuses=[message])


def seconds(*responses: pb.StatusResponse) -> dict[str, float]:
    return {phase: round(taken, 3) for phase, taken in seen(*responses).seconds().items()}


def seen(*responses: pb.StatusResponse) -> Phases:
    phases = Phases()
    for response in responses:
        phases.update(response)
    return phases


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("[internal] load build definition from Dockerfile", TRANSFER),
        ("[internal] load .dockerignore", TRANSFER),
        (CONTEXT, TRANSFER),
        ("[internal] load metadata for docker.io/library/debian:trixie-slim", PULL),
        ("[linux/arm64 internal] load metadata for docker.io/library/golang:1.26", PULL),
        ("resolve image config for docker-image://docker.io/docker/dockerfile:1", PULL),
        ("docker-image://docker.io/docker/dockerfile:1@sha256:9857", PULL),
        ("[1/2] FROM docker.io/library/debian:trixie-slim@sha256:ab43", PULL),
        ("[linux/arm64 build 1/2] FROM docker.io/library/golang:1.26", PULL),
        ("[2/3] RUN make", BUILD),
        ("[build 2/3] COPY --from=FROM . .", BUILD),
        ("[stage-1 2/3] RUN echo FROM here", BUILD),
        ("[2/2] ADD https://example.com/a.tgz .", BUILD),
        ("https://example.com/a.tgz", BUILD),
        (IMAGE, EXPORT),
    ],
)
def test_a_step_belongs_to_a_phase_by_its_name(name: str, phase: str) -> None:
    assert seconds(vertex(name, 10, 12)) == {phase: 2}


def test_phases_that_follow_each_other_are_told_apart() -> None:
    assert seconds(
        vertex(CONTEXT, 10, 11), vertex(FROM, 11, 13), vertex(RUN, 13, 17), vertex(IMAGE, 17, 17.5)
    ) == {TRANSFER: 1, PULL: 2, BUILD: 4, EXPORT: 0.5}


def test_a_moment_counts_for_the_phase_closest_to_the_end() -> None:
    assert seconds(vertex(CONTEXT, 10, 15), vertex(RUN, 11, 13)) == {TRANSFER: 3, BUILD: 2}


def test_steps_side_by_side_count_once() -> None:
    assert seconds(vertex("[a 2/2] RUN a", 10, 14), vertex("[b 2/2] RUN b", 12, 15)) == {BUILD: 5}


def test_the_push_is_not_the_export_it_is_reported_in() -> None:
    assert seconds(
        vertex(IMAGE, 10, 16),
        status("exporting layers", 10, 12),
        status("pushing layers", 12, 15),
        status("pushing manifest for reg/a:1@sha256:00", 15, 16),
    ) == {EXPORT: 2, PUSH: 4}


def test_two_runs_of_a_step_leave_out_the_time_between_them() -> None:
    assert seconds(vertex(IMAGE, 10, 11), vertex(IMAGE, 13, 14)) == {EXPORT: 2}


def test_a_step_told_of_several_times_counts_once() -> None:
    assert seconds(vertex(RUN), vertex(RUN, 10), vertex(RUN, 10, 12), vertex(RUN, 10)) == {BUILD: 2}


def test_a_step_that_never_ended_took_as_long_as_is_known() -> None:
    assert seconds(vertex(RUN, 10), status("pushing layers", 11, at=13)) == {BUILD: 1, PUSH: 2}


def test_a_step_that_is_silent_goes_on() -> None:
    assert seen(vertex(RUN, 10)).seconds(silence=2.5) == {BUILD: 2.5}


def test_a_phase_that_took_no_time_was_there_all_the_same() -> None:
    assert seconds(vertex(FROM, 10, 10), vertex(RUN, 10, 11)) == {PULL: 0, BUILD: 1}


def test_a_build_that_has_not_begun_has_no_phases() -> None:
    assert seconds(vertex(RUN)) == {}


def test_what_was_sent_of_the_context_is_the_last_that_was_said() -> None:
    sent = seen(
        status("transferring dockerfile:", 10, current=30),
        status("transferring dockerfile:", 10, 11, current=220),
        status("transferring context:", 10, 12, current=3_000_000),
        status("sha256:00", 10, 12, current=50_000_000),
    )

    assert sent.sent_bytes == 3_000_220


RUNS = st.dictionaries(
    st.tuples(st.sampled_from((CONTEXT, FROM, RUN, IMAGE)), st.integers(1, 50)),
    st.integers(0, 50),
    max_size=12,
)
PUSHES = st.dictionaries(
    st.sampled_from(("pushing layers", "pushing manifest")),
    st.tuples(st.integers(1, 50), st.integers(0, 50)),
)


@given(RUNS, PUSHES)
def test_phases_add_up_to_the_time_in_which_something_went_on(
    runs: dict[tuple[str, int], int], pushes: dict[str, tuple[int, int]]
) -> None:
    taken = seen(
        *(vertex(name, begin, begin + length) for (name, begin), length in runs.items()),
        *(status(name, begin, begin + length) for name, (begin, length) in pushes.items()),
    ).seconds()

    spans = [*((begin, length) for (_, begin), length in runs.items()), *pushes.values()]
    busy = {at for begin, length in spans for at in range(begin, begin + length)}
    assert sum(taken.values()) == pytest.approx(len(busy))
    assert set(taken) <= set(PHASES)
