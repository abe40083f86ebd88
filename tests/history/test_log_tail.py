from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.history.journal.log_tail import LogRoom, LogTail


def tail(most: int, *batches: list[str]) -> LogTail:
    made = LogTail(most)
    for batch in batches:
        made.add(batch)
    return made


def test_a_short_log_is_whole() -> None:
    short = tail(100, ["a", "b"], [], ["c"])

    assert (short.lines, short.omitted) == (["a", "b", "c"], 0)


def test_of_a_long_log_the_end_is_kept_and_the_rest_counted() -> None:
    long = tail(4, ["1", "2"], ["3"], ["4"])

    assert (long.lines, long.omitted) == (["3", "4"], 2)


def test_the_last_line_is_kept_however_long_it_is() -> None:
    assert tail(4, ["1", "2", "a" * 100]).lines == ["a" * 100]


@given(st.lists(st.lists(st.text(max_size=8))), st.integers(min_value=0, max_value=60))
def test_it_is_the_longest_end_that_fits(batches: list[list[str]], most: int) -> None:
    log = [line for batch in batches for line in batch]
    kept = tail(most, *batches)

    assert log[kept.omitted :] == kept.lines
    assert sum(len(line) + 1 for line in kept.lines) <= most or len(kept.lines) == 1
    if kept.omitted and len(kept.lines) > 1:
        assert sum(len(line) + 1 for line in log[kept.omitted - 1 :]) > most


MIB = 1 << 20


def test_a_long_log_of_short_lines_takes_room_and_gives_it_back() -> None:
    room = LogRoom(8 * MIB)
    log = LogTail(16 * MIB, room)

    log.add(["x"] * 100_000)

    assert log.omitted == 0
    assert 1 * MIB <= room.left <= 3 * MIB  # 68 bytes for each line, the first MiB for nothing
    log.close()
    log.close()
    assert room.left == 8 * MIB


def test_without_room_the_end_of_a_log_is_kept() -> None:
    room = LogRoom(2 * MIB)
    other = LogTail(16 * MIB, room)
    other.add(["x" * 100] * 10_000)
    log = LogTail(16 * MIB, room)

    log.add([str(number) for number in range(100_000)])

    assert room.left == 0
    assert log.lines[-1] == "99999"
    assert log.omitted == 100_000 - len(log.lines)
    assert 10_000 < len(log.lines) < 20_000
    del other
    assert room.left >= MIB
