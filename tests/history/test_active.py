from __future__ import annotations

import pytest

from function.history.active import ActiveBuild, active_builds
from function.history.annotations import build_attrs, claim_attrs
from function.history.refs import Part, Ref
from function.pb import control_pb2 as pb

from .records import CANCEL, ID, record

CLAIMED = claim_attrs({"tenant": "acme"}, "token")
BUILT = build_attrs({"tenant": "acme"})


def build(*, created: float = 100, is_running: bool = False, tenant: str = "acme") -> ActiveBuild:
    return ActiveBuild(build_id=ID, tenant=tenant, created=created, is_running=is_running)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([record(Part.CLAIM, attrs=CLAIMED)], build()),
        ([record(attrs=BUILT)], build(is_running=True)),
        (
            [record(Part.CLAIM, attrs=CLAIMED), record(attrs=BUILT, created=130)],
            build(is_running=True),
        ),
        ([record(Part.CLAIM, attrs=claim_attrs({"key": "k"}, "token"))], build(tenant="")),
    ],
    ids=["in line", "running without a claim", "running", "nobody's"],
)
def test_a_build_is_told_of_by_its_claim_and_its_own_record(
    records: list[pb.BuildHistoryRecord], expected: ActiveBuild
) -> None:
    assert active_builds(records) == (expected,)


def test_a_later_attempt_is_the_same_build() -> None:
    records = [
        record(attrs=BUILT, created=100),
        record(Part.CLAIM, ref=Ref(ID, 2), attrs=CLAIMED, created=200),
    ]

    assert active_builds(records) == (build(is_running=True),)


def test_what_is_no_build_of_ours_is_none() -> None:
    foreign = pb.BuildHistoryRecord(Ref="a1" * 12)

    assert active_builds([CANCEL, foreign, record(attrs={})]) == ()
