"""The real daemon by the claims and scripts that the fake in tests/fake_buildkitd goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from function.buildkit.rpc.channel import target
from function.buildkit.rpc.control import Control
from function.buildkit.rpc.http2.connections import Connections

from ..fake_buildkitd import FakeBuildkitd
from ..fake_buildkitd.contract import CLAIMS, Party
from ..fake_buildkitd.scripts import CASES, Case
from ..fake_buildkitd.transcript import differences, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..fake_buildkitd.contract import Claim

REF_TAKEN_SECONDS = 10.0


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


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_the_daemon_holds_to_what_the_fake_does(
    shared_daemon: str, control: Control, claim: Claim
) -> None:
    with grpc.insecure_channel(target(shared_daemon)) as channel:
        claim(Party(control=control, other=Control(channel), ref_taken_seconds=REF_TAKEN_SECONDS))


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
