"""The memory for bodies: shares of one budget, and one body's buffer in its share."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving.body import Body
from serving.budget import SMALL_BYTES, ByteBudget
from serving.memory import memory_limit

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def test_shares_never_sum_up_to_more_than_there_is() -> None:
    budget = ByteBudget(64 * MIB)
    shares = [budget.share() for _ in range(3)]

    assert [share.grow(30 * MIB) for share in shares] == [True, True, False]
    shares[0].release()
    assert shares[2].grow(30 * MIB)
    assert budget.used == 60 * MIB


def test_small_shares_find_room_when_large_ones_have_taken_all_they_can() -> None:
    budget = ByteBudget(64 * MIB)
    large, small = budget.share(), budget.share()

    assert large.grow(budget.largest)
    assert not large.grow(1)
    assert small.grow(SMALL_BYTES)
    assert not small.grow(1)


def test_a_share_goes_back_with_the_last_reference_to_it() -> None:
    budget = ByteBudget(MIB)
    share = budget.share()
    assert share.grow(MIB)

    gc.disable()
    try:
        del share
        assert budget.used == 0
    finally:
        gc.enable()


def test_waits_until_another_gives_back_what_it_has() -> None:
    budget = ByteBudget(MIB)
    first, second = budget.share(), budget.share()
    assert first.grow(MIB)
    threading.Timer(0.05, first.release).start()

    assert second.wait_to_grow(MIB, 60)


def test_waits_no_longer_than_it_is_told_and_not_at_all_for_what_can_never_be() -> None:
    budget = ByteBudget(MIB)
    first, second = budget.share(), budget.share()
    assert first.grow(MIB)

    assert not second.wait_to_grow(1, 0.01)
    assert not second.wait_to_grow(2 * MIB, 3600)


def test_tells_when_there_is_more_room() -> None:
    budget = ByteBudget(MIB)
    told: list[int] = []
    budget.when_released(lambda: told.append(budget.used))
    share = budget.share()
    share.grow(10)

    share.release()
    share.release()

    assert told == [0]


@given(
    sizes=st.lists(st.integers(min_value=1, max_value=300_000), max_size=20),
    chunked=st.booleans(),
)
def test_a_body_holds_what_was_written_and_never_more_than_its_share(
    sizes: list[int], chunked: bool
) -> None:
    whole = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    budget = ByteBudget(64 * MIB)
    body = Body(budget.share(), limit=8 * MIB if chunked else max(1, len(whole)))
    at = 0
    while at < len(whole):
        assert body.reserve()
        taken = min(body.room, len(whole) - at)
        assert taken > 0
        if body.is_mapped:
            body.window()[:taken] = whole[at : at + taken]
            body.advance(taken)
        else:
            body.write(whole[at : at + taken])
        at += taken
        assert body.size == at <= budget.used

    view = body.view()
    del body
    assert view == whole
    assert view.readonly
    assert budget.used >= len(whole)
    view.release()
    assert budget.used == 0


def test_a_body_without_room_keeps_what_it_has() -> None:
    budget = ByteBudget(64 << 10)
    body = Body(budget.share(), limit=MIB)
    while body.reserve():
        body.write(b"x" * body.room)
        assert body.size <= 64 << 10

    assert bytes(body.view()) == b"x" * body.size


@pytest.mark.parametrize(
    ("lines", "files", "limit"),
    [
        pytest.param("0::/\n", {"memory.max": "1000\n"}, 1000, id="version 2"),
        pytest.param(
            "0::/a/b\n",
            {"a/memory.max": "1000", "a/b/memory.max": "max", "memory.max": "2000"},
            1000,
            id="a limit above",
        ),
        pytest.param(
            "4:cpu:/x\n9:memory:/a\n",
            {"memory/a/memory.limit_in_bytes": "1000"},
            1000,
            id="version 1",
        ),
        pytest.param(
            "9:memory:/docker/0123\n",
            {"memory/memory.limit_in_bytes": "1000"},
            1000,
            id="version 1 in a container",
        ),
    ],
)
def test_reads_the_limit_of_its_control_group(
    tmp_path: Path, lines: str, files: dict[str, str], limit: int
) -> None:
    for name, text in {f"sys/fs/cgroup/{name}": text for name, text in files.items()}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(lines)

    assert memory_limit(tmp_path) == limit


def test_without_a_limit_all_memory_is_the_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) > 64 * MIB
