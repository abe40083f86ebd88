"""What one tenant sees of another's builds: as much as of builds that nobody has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from function.errors import BuildTimedOut
from function.history import ALL, Viewer
from function.history.annotations import build_attrs, claim_attrs, verdict_attrs
from function.history.refs import Part, Ref
from function.history.search import Search

from .records import ANNOTATIONS, ID, TOKEN, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from function.buildkit.rpc.control import Control
    from function.pb import control_pb2 as pb

    from ..fake_buildkitd import FakeBuildkitd

PATIENCE = 10.0
ACME, BETA = Viewer("acme"), Viewer("beta")
NOBODYS = "b2" * 16
ACMES = {**ANNOTATIONS, "tenant": "acme"}
ATTRS = build_attrs(ACMES)


def running() -> list[pb.BuildHistoryRecord]:
    return [record(attrs=ATTRS)]


def held() -> list[pb.BuildHistoryRecord]:
    return [record(Part.CLAIM, attrs=claim_attrs(ACMES, TOKEN)), record(attrs=ATTRS)]


def in_line() -> list[pb.BuildHistoryRecord]:
    return [record(Part.CLAIM, attrs=claim_attrs(ACMES, TOKEN))]


def succeeded() -> list[pb.BuildHistoryRecord]:
    return [record(attrs=ATTRS, ended=True)]


def timed_out() -> list[pb.BuildHistoryRecord]:
    attrs = verdict_attrs(ACMES, BuildTimedOut("too long"), "")
    return [record(Part.VERDICT, attrs=attrs, ended=True)]


def attempted_often() -> list[pb.BuildHistoryRecord]:
    return [record(ref=Ref(ID, attempt), attrs=ATTRS, ended=True) for attempt in range(1, 7)]


STATES = [running, held, in_line, succeeded, timed_out, attempted_often]
every_state = pytest.mark.parametrize("state", STATES)


@every_state
def test_a_tenant_finds_its_own_build_and_no_other_does(
    daemon: FakeBuildkitd, control: Control, state: Callable[[], list[pb.BuildHistoryRecord]]
) -> None:
    for each in state():
        daemon.history.add(each)

    def found(viewer: Viewer) -> tuple[bool, int]:
        search = Search(control, patience=PATIENCE, viewer=viewer)
        return search.record(ID) is not None, len(search.records(limit=10))

    assert found(ACME) == found(ALL) == (True, 1)
    assert found(BETA) == (False, 0)


@every_state
def test_anothers_build_is_asked_for_as_one_that_never_was(
    daemon: FakeBuildkitd, control: Control, state: Callable[[], list[pb.BuildHistoryRecord]]
) -> None:
    for each in state():
        daemon.history.add(each)

    def asked(build_id: str) -> tuple[list[str], int, int]:
        before = len(daemon.history.requests)
        others = [daemon.reached(method) for method in ("Read", "Status")]
        assert Search(control, patience=PATIENCE, viewer=BETA).record(build_id) is None
        requests = [str(each).replace(build_id, "") for each in daemon.history.requests[before:]]
        reads, statuses = (daemon.reached(method) for method in ("Read", "Status"))
        return requests, reads - others[0], statuses - others[1]

    assert asked(ID) == asked(NOBODYS)


def test_an_operators_build_is_no_tenants(daemon: FakeBuildkitd, control: Control) -> None:
    daemon.history.add(record(ended=True))

    assert Search(control, patience=PATIENCE, viewer=ACME).record(ID) is None
    assert Search(control, patience=PATIENCE).record(ID)


def test_many_builds_of_another_hide_none_of_ones_own(
    daemon: FakeBuildkitd, control: Control
) -> None:
    daemon.history.add(record(attrs=ATTRS, ended=True, created=1))
    others = build_attrs({**ANNOTATIONS, "tenant": "beta"})
    for number in range(40):
        ref = Ref(f"{number:032x}")
        daemon.history.add(record(ref=ref, attrs=others, ended=True, created=100 + number))

    [found] = Search(control, patience=PATIENCE, viewer=ACME).records(limit=2)

    assert found.ref.build_id == ID
