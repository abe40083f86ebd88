"""The real daemon by the claims and scripts that the fake in tests/fake_buildkitd goes by."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit.rpc.channel import target
from function.buildkit.rpc.control import Control
from function.buildkit.rpc.http2.connections import Connections

from ..fake_buildkitd import FakeBuildkitd
from ..fake_buildkitd.contract import (
    CLAIMS,
    Party,
    a_build_that_is_not_there_has_no_bridge,
    a_build_that_is_not_there_has_no_status,
    a_ref_stays_taken_for_a_while_and_no_longer,
    a_session_that_is_not_there_fails_a_build,
)
from ..fake_buildkitd.scripts import CASES, Case
from ..fake_buildkitd.transcript import differences, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..fake_buildkitd.contract import Claim

REF_TAKEN_SECONDS = 10.0
LONG = (
    a_ref_stays_taken_for_a_while_and_no_longer,
    a_session_that_is_not_there_fails_a_build,
    a_build_that_is_not_there_has_no_status,
    a_build_that_is_not_there_has_no_bridge,
)


@pytest.fixture
def control(shared_daemon: str) -> Iterator[Control]:
    with grpc.insecure_channel(target(shared_daemon)) as channel:
        yield Control(channel)


@pytest.fixture
def fake() -> Iterator[FakeBuildkitd]:
    daemon = FakeBuildkitd()
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def party(shared_daemon: str) -> Iterator[Party]:
    with (
        grpc.insecure_channel(target(shared_daemon)) as one,
        grpc.insecure_channel(target(shared_daemon)) as other,
    ):
        yield Party(control=Control(one), other=Control(other), ref_taken_seconds=REF_TAKEN_SECONDS)


@pytest.fixture(scope="module")
def begun(party: Party) -> Iterator[Mapping[Claim, Future[None]]]:
    """Begin the claims that wait as long as the daemon does, beside each other and all others."""
    with ThreadPoolExecutor(len(LONG)) as threads:
        yield {claim: threads.submit(claim, party) for claim in LONG}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_the_daemon_holds_to_what_the_fake_does(
    party: Party, begun: Mapping[Claim, Future[None]], claim: Claim
) -> None:
    if claim in begun:
        begun[claim].result()
    else:
        claim(party)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_daemon_tells_of_a_build_what_the_script_does(
    shared_daemon: str, control: Control, fake: FakeBuildkitd, mirror: str, case: Case
) -> None:
    fake.solver.script = case.play
    with fake.control() as of_fake:
        expected = told(of_fake, fake.connections(), case, mirror)
    connections = Connections(shared_daemon, None, patience=REF_TAKEN_SECONDS)

    if case.pulls:  # a daemon may have to do that, and the next time it does not
        told(control, connections, case, mirror)

    assert differences(told(control, connections, case, mirror), expected) == []
