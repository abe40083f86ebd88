"""The fake by the claims that tests/live/test_fake_buildkitd.py tries on the real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .fake_buildkitd import FakeBuildkitd
from .fake_buildkitd.contract import CLAIMS, Party
from .fake_buildkitd.scripts import CASES, Case
from .fake_buildkitd.transcript import told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .fake_buildkitd.contract import Claim


@pytest.fixture
def daemon() -> Iterator[FakeBuildkitd]:
    fake = FakeBuildkitd()
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def hasty() -> Iterator[FakeBuildkitd]:
    """Yield a daemon that does not wait long for what does not come."""
    fake = FakeBuildkitd(registration_seconds=0.05, job_seconds=0.05, session_seconds=0.5)
    fake.start()
    yield fake
    fake.stop()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_the_fake_holds_to_the_daemons_contract(hasty: FakeBuildkitd, claim: Claim) -> None:
    def script(build: object) -> dict[str, str]:
        build.session()  # type: ignore[attr-defined]
        return {}

    hasty.solver.script = script
    with hasty.control() as control, hasty.control() as other:
        claim(Party(control=control, other=other, ref_taken_seconds=hasty.ref_taken_seconds))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_script_is_told_as_it_is_written(daemon: FakeBuildkitd, case: Case) -> None:
    daemon.solver.script = case.play
    with daemon.control() as control:
        heard = told(control, daemon.connections(), case, "registry.test:5000")

    assert heard.late == heard.live
    assert heard.record_error == heard.live.error
    assert heard.recorded_details == heard.live.details
    assert heard.has_result == case.push
