from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest

from function.fsutil.sparse import SparseFile
from function.fsutil.tree import pieces

if TYPE_CHECKING:
    from function.fsutil.tree import Content

SPARSE = SparseFile(memoryview(b"abcd"), array("q", [1, 2, 4, 2]), 9)


@pytest.mark.parametrize("most", [1, 2, 3, 9, 100])
@pytest.mark.parametrize("data", [SPARSE, memoryview(bytes(SPARSE))], ids=["sparse", "plain"])
def test_pieces_are_the_content_and_none_is_too_long(data: Content, most: int) -> None:
    found = list(pieces(data, most))

    assert b"".join(found) == b"\0ab\0cd\0\0\0"
    assert max(map(len, found)) <= most
    assert all(found)


def test_a_sparse_file_has_its_size_and_its_bytes() -> None:
    assert (len(SPARSE), SPARSE.extents, bytes(SPARSE)) == (9, 2, b"\0ab\0cd\0\0\0")


def test_files_of_other_places_have_another_identity() -> None:
    moved = SparseFile(memoryview(b"abcd"), array("q", [1, 2, 5, 2]), 9)

    assert b"".join(SPARSE.identity()) != b"".join(moved.identity())
