from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.outcome import Step
from function.buildkit.progress.steps import Steps, is_base_image, stage_of
from function.pb import control_pb2 as pb

from .statuses import A, B, vertex


def status(at: int) -> pb.StatusResponse:
    message = pb.VertexStatus(ID="extracting", vertex=A)
    message.timestamp.seconds = at
    return pb.StatusResponse(statuses=[message])


def log(at: int) -> pb.StatusResponse:
    message = pb.VertexLog(vertex=A, msg=b"output\n")
    message.timestamp.seconds = at
    return pb.StatusResponse(logs=[message])


def steps(*responses: pb.StatusResponse) -> tuple[Step, ...]:
    seen = Steps()
    for response in responses:
        seen.update(response)
    return seen.started()


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("[2/3] RUN true", "stage-0"),
        ("[ 2/12] RUN true", "stage-0"),
        ("[build 2/3] RUN true", "build"),
        ("[build  2/12] RUN true", "build"),
        ("[stage-1 2/2] COPY . .", "stage-1"),
        ("[linux/amd64 2/3] RUN true", "stage-0"),
        ("[linux/amd64 build 2/3] RUN true", "build"),
        ("[linux/amd64 build  2/12] RUN true", "build"),
        ("[linux/amd64->arm64 build 2/3] RUN true", "build"),
        ("[linux/amd64->arm/v7 build 2/3] RUN true", "build"),
        ("[linux/arm/v7 my.stage_1 2/3] RUN true", "my.stage_1"),
        ("[windows(10.0.17763)/amd64 2/3] RUN true", "stage-0"),
        ("[internal 1/2] FROM debian", "internal"),
        ("[internal] load build definition from Dockerfile", ""),
        ("[linux/arm64 internal] load metadata for docker.io/library/debian:trixie-slim", ""),
        ("[2/3] COPY 3/4] /x", "stage-0"),
        ("docker-image://docker.io/docker/dockerfile:1@sha256:abc", ""),
        ("exporting to image", ""),
        ("[no step] RUN true", ""),
        ("", ""),
    ],
)
def test_a_steps_name_says_its_stage(name: str, stage: str) -> None:
    assert stage_of(name) == stage


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("[1/3] FROM docker.io/library/debian:trixie-slim", True),
        ("[linux/amd64 build  1/12] FROM docker.io/library/debian:trixie-slim", True),
        ("[2/3] RUN echo FROM debian", False),
        ("[2/3] COPY --from=build /a /", False),
        ("FROM debian", False),
    ],
)
def test_a_base_image_is_no_step_that_runs(name: str, is_one: bool) -> None:
    assert is_base_image(name) is is_one


@given(
    platform=st.sampled_from(["", "linux/amd64 ", "linux/arm/v7 ", "linux/amd64->arm64 "]),
    stage=st.from_regex(r"[a-z][a-z0-9_.-]*", fullmatch=True),  # as BuildKit allows it
    index=st.integers(1, 99),
    command=st.text(),
)
def test_any_stage_is_found(platform: str, stage: str, index: int, command: str) -> None:
    assert stage_of(f"[{platform}{stage} {index:2d}/99] {command}") == stage


def test_a_step_takes_from_its_start_to_its_end() -> None:
    assert steps(vertex(), vertex(started=100), vertex(started=100, completed=103.5)) == (
        Step(name="[1/2] RUN true", stage="stage-0", duration=3.5),
    )


def test_a_step_that_never_starts_is_left_out() -> None:
    assert steps(vertex(A), vertex(B, "b", started=100, completed=101)) == (
        Step(name="b", duration=1.0),
    )


def test_steps_come_in_the_order_of_their_starts() -> None:
    graph = pb.StatusResponse(vertexes=[pb.Vertex(digest=A, name="a"), pb.Vertex(digest=B)])

    seen = steps(graph, vertex(B, "b", started=100), vertex(A, "a", started=101))

    assert [step.name for step in seen] == ["b", "a"]


def test_the_times_of_a_step_that_runs_again_add_up() -> None:
    [export] = steps(
        vertex(started=100, completed=101),
        vertex(started=101, completed=101),
        vertex(started=104),
        vertex(started=104, completed=106),
    )

    assert export.duration == 3.0


def test_a_step_is_counted_once_though_the_daemon_repeats_it() -> None:
    ended = vertex(started=100, completed=101)

    assert steps(ended, vertex(started=100), ended)[0].duration == 1.0


@pytest.mark.parametrize("later", [status(107), log(107), vertex(B, "b", started=107)])
def test_a_step_that_still_runs_has_taken_as_long_as_is_known(later: pb.StatusResponse) -> None:
    assert steps(vertex(started=100), later)[0].duration == 7.0


def test_a_step_that_still_runs_goes_on_while_nothing_is_heard() -> None:
    seen = Steps()
    seen.update(vertex(started=100))
    seen.update(vertex(B, "b", started=101, completed=102))

    running, ended = seen.started(silence=30)

    assert (running.duration, ended.duration) == (32.0, 1.0)


def test_what_ran_before_the_build_is_not_its_time() -> None:
    [_, image, shared] = steps(
        vertex("own", "[internal] load build definition", started=100, completed=101),
        vertex(A, "ran for an earlier build", started=50, completed=60),
        vertex(B, "was begun by another", started=90, completed=103),
    )

    assert (image.duration, shared.duration) == (0.0, 3.0)


def test_a_build_begins_with_its_dockerfile_whenever_that_is_heard_of() -> None:
    own = vertex("own", "[internal] load build definition from Dockerfile", started=100)
    again = vertex("own", "[internal] load build definition from Dockerfile", started=102)
    earlier = vertex(A, "was begun by another", started=50, completed=103)

    for order in permutations((own, again, earlier)):
        assert {step.name: step.duration for step in steps(*order)}["was begun by another"] == 3.0


def test_what_another_build_had_ended_by_then_came_from_the_cache() -> None:
    own = vertex("own", "[internal] load build definition", started=100, completed=101)

    [_, ended, failed, shared] = steps(
        own,
        vertex(A, "ran for an earlier build", started=50, completed=60),
        vertex("failed", "failed for an earlier build", started=50, completed=60, error="why"),
        vertex(B, "was begun by another", started=90, completed=103),
    )

    assert [step.cached for step in (ended, failed, shared)] == [True, False, False]


def test_a_cached_step_says_so() -> None:
    assert steps(vertex(started=100, completed=100, cached=True)) == (
        Step(name="[1/2] RUN true", stage="stage-0", cached=True),
    )


def test_a_cached_step_needs_no_times() -> None:
    assert steps(vertex(cached=True)) == (
        Step(name="[1/2] RUN true", stage="stage-0", cached=True),
    )


def test_an_image_that_is_resolved_and_then_found_in_the_cache_is_cached() -> None:
    [image] = steps(
        vertex(started=100, completed=102), vertex(started=102, completed=102, cached=True)
    )

    assert (image.cached, image.duration) == (True, 2.0)


def test_a_failed_step_says_why_without_the_daemons_paths() -> None:
    fault = "open /var/lib/buildkit/runc-native/snapshots/7/fs: denied"

    [step] = steps(vertex(started=100, completed=101, error=fault))

    assert step.error == "open (a path of the daemon): denied"


def test_a_step_given_up_for_anothers_failure_is_canceled() -> None:
    [step] = steps(vertex(started=100, completed=101, error="process: context canceled"))

    assert step.error == "canceled"


def test_a_clock_that_is_set_back_takes_no_time_away() -> None:
    assert steps(vertex(started=100, completed=99))[0].duration == 0.0
