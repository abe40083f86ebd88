"""Answers as they come over a connection, cut anywhere, and without end."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from build_client.errors import StreamBrokenError
from build_client.protocol import documents
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator


@given(st.lists(st.binary(max_size=8).map(lambda chunk: chunk.replace(b"a", b"\n")), max_size=12))
def test_lines_are_the_same_wherever_they_are_cut(chunks: list[bytes]) -> None:
    whole = b"".join(chunks).split(b"\n")
    if not whole[-1]:
        whole.pop()

    assert list(documents.lines(iter(chunks))) == whole


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_MAX_BYTES", 1 << 20)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'{"log": []}\n'
        while True:
            sent += 4096
            yield b"x" * 4096

    tracemalloc.start()
    with pytest.raises(StreamBrokenError, match="does not come to an end"):
        list(documents.lines(endless()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sent <= (1 << 20) + 4096
    assert peak < 2 << 20
