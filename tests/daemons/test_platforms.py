from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.daemons.platforms import PlatformPool, split
from function.tenants.platforms import normal_platform

AMD64 = ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/386"]
ARM64 = ["linux/arm64", "linux/arm", "linux/arm/v6"]
# With QEMU for all else.
EMULATING = [*AMD64, "linux/arm64", "linux/arm", "linux/arm/v6", "linux/riscv64"]
MIXED = {"x1": EMULATING, "x2": AMD64, "a1": ARM64, "a2": ARM64}

names = st.sampled_from(
    [*EMULATING, "linux/aarch64", "linux/arm64/v8", "linux/arm/v7", "linux/s390x", "windows/amd64"]
)
listed = st.lists(names, min_size=1, max_size=6, unique=True)
daemons = st.dictionaries(st.text(min_size=1, max_size=3), listed, min_size=1, max_size=6)


def pools(wanted: list[str], of: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return the pools as the platforms and the daemons of each."""
    return [(pool.label, ",".join(sorted(pool.worker_ids))) for pool in split(wanted, of)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["linux/amd64"], [("linux/amd64", "x1,x2")]),
        (["linux/arm64"], [("linux/arm64", "a1,a2")]),
        (
            ["linux/arm64", "linux/amd64"],
            [("linux/arm64", "a1,a2"), ("linux/amd64", "x1,x2")],
        ),
        # What the same daemons are best at is built in one go.
        (
            ["linux/amd64", "linux/arm64", "linux/386"],
            [("linux/amd64,linux/386", "x1,x2"), ("linux/arm64", "a1,a2")],
        ),
        # A processor's own modes before emulation, though the other emulates it.
        (["linux/arm/v6"], [("linux/arm/v6", "a1,a2")]),
        (["linux/arm/v7"], [("linux/arm/v7", "a1,a2")]),
        (["linux/amd64/v3"], [("linux/amd64/v3", "x1,x2")]),
        # Who lists it, if it is nobody's own; and all, if nobody does.
        (["linux/riscv64"], [("linux/riscv64", "x1")]),
        (["linux/s390x"], [("linux/s390x", "a1,a2,x1,x2")]),
        # Spellings of one platform.
        (["linux/aarch64", "linux/arm64/v8", "Linux/ARM64/8"], [("linux/aarch64", "a1,a2")]),
        # None wanted: always the same, whatever joins.
        ([], [("", "x1,x2")]),
    ],
)
def test_a_platform_is_built_by_those_that_are_best_at_it(
    wanted: list[str], expected: list[tuple[str, str]]
) -> None:
    assert pools(wanted, MIXED) == expected


def test_daemons_of_one_kind_are_one_pool_whatever_is_wanted() -> None:
    alike = {"x1": EMULATING, "x2": EMULATING}

    for wanted in ([], ["linux/arm64", "linux/amd64", "linux/s390x"]):
        assert [pool.worker_ids for pool in split(wanted, alike)] == [{"x1", "x2"}]


def test_daemons_that_tell_no_platform_build_what_nobody_else_does() -> None:
    silent: dict[str, list[str]] = {"one": [], "two": []}

    assert pools([], silent) == [("", "one,two")]
    assert pools(["linux/amd64"], silent) == [("linux/amd64", "one,two")]
    assert split(["linux/amd64"], {}) == (PlatformPool(("linux/amd64",), frozenset()),)


@given(wanted=st.lists(names, max_size=8), of=daemons)
def test_every_platform_is_built_once_and_by_somebody(
    wanted: list[str], of: dict[str, list[str]]
) -> None:
    found = split(wanted, of)

    built = [normal_platform(text) for pool in found for text in pool.platforms]
    assert sorted(built) == sorted(set(map(normal_platform, wanted)))
    assert all(pool.worker_ids for pool in found)
    assert len({pool.worker_ids for pool in found}) == len(found)
    # The first pool, which tells of the build, is that of the first platform.
    assert not wanted or normal_platform(found[0].platforms[0]) == normal_platform(wanted[0])


@given(wanted=st.lists(names, min_size=1, max_size=8), of=daemons)
def test_no_daemon_emulates_what_another_runs_natively(
    wanted: list[str], of: dict[str, list[str]]
) -> None:
    for pool in split(wanted, of):
        for text in pool.platforms:
            native = {each for each in of if normal_platform(of[each][0]) == normal_platform(text)}
            assert not native or pool.worker_ids == native


@given(wanted=st.lists(names, max_size=8), of=daemons, data=st.data())
def test_every_replica_splits_alike(
    wanted: list[str], of: dict[str, list[str]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(list(of)))

    assert split(wanted, {each: of[each] for each in order}) == split(wanted, of)
