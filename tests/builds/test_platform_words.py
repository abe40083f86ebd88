from __future__ import annotations

import pytest

from function.buildkit import FailedStep, Step
from function.builds.platform_words import error_of, lines_of, step_of
from function.daemons.platforms import PlatformPool
from function.errors import (
    BuilderError,
    BuildFailed,
    DaemonFault,
    DaemonUnavailable,
    PlatformUnavailable,
    Unavailable,
)

ONE = PlatformPool(("linux/arm64",), frozenset({"a"}))
TWO = PlatformPool(("linux/amd64", "linux/386"), frozenset({"x"}))


def test_lines_begin_with_the_platforms() -> None:
    assert lines_of(ONE, ["#1 a", "#2 b"]) == ["linux/arm64 #1 a", "linux/arm64 #2 b"]
    assert lines_of(TWO, ["#1 a"]) == ["linux/amd64,linux/386 #1 a"]


@pytest.mark.parametrize(
    ("name", "labelled"),
    [
        ("[2/3] RUN make", "[linux/arm64 2/3] RUN make"),
        ("[made  2/12] RUN make", "[linux/arm64 made  2/12] RUN make"),
        ("[ 2/12] RUN make", "[linux/arm64 2/12] RUN make"),
        ("[internal] load build context", "[linux/arm64 internal] load build context"),
        ("exporting to image", "[linux/arm64] exporting to image"),
    ],
)
def test_steps_are_labelled_as_buildkit_does(name: str, labelled: str) -> None:
    step = Step(name=name, stage="s", cached=True)

    assert step_of(ONE, step) == Step(name=labelled, stage="s", cached=True)
    assert step_of(TWO, step) == step  # which BuildKit has labelled itself


def test_a_failed_platform_is_named_in_its_error() -> None:
    failed = error_of(ONE, BuildFailed("why", FailedStep(name="[2/3] RUN x", line=3)))

    assert isinstance(failed, BuildFailed)
    assert str(failed) == "linux/arm64: why"
    assert failed.failed_step == FailedStep(name="[linux/arm64 2/3] RUN x", line=3)


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (DaemonUnavailable("gone"), PlatformUnavailable),
        (DaemonFault("full"), DaemonFault),
        (BuilderError("odd"), BuilderError),
    ],
)
def test_a_platforms_trouble_is_not_the_whole_builds(
    error: BuilderError, becomes: type[BuilderError]
) -> None:
    found = error_of(ONE, error)

    assert type(found) is becomes
    assert str(found) == f"linux/arm64: {error}"
    assert (found.status, found.code) == (error.status, error.code)
    assert isinstance(error, Unavailable) == isinstance(found, Unavailable)
