from __future__ import annotations

import re
from typing import TYPE_CHECKING

from function import errors
from function.errors import BuilderError, DaemonTroubled, PlatformUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


def classes(root: type[BuilderError], depth: int = 0) -> Iterator[tuple[int, type[BuilderError]]]:
    yield depth, root
    for child in root.__subclasses__():
        yield from classes(child, depth + 1)


def drawn() -> list[tuple[int, str, str]]:
    """Read the tree in the docstring: depth, name and status, empty where none is written."""
    lines = re.findall(r"^ {4}([│├└─ ]*)(\w+)(?: (\d{3}))?", errors.__doc__ or "", re.MULTILINE)
    return [(len(branches) // 4, name, status) for branches, name, status in lines]


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    assert [(depth, name) for depth, name, _ in drawn()] == [
        (depth, error.__name__) for depth, error in classes(BuilderError)
    ]


def test_the_statuses_in_the_docstring_are_those_answered() -> None:
    written = {name: int(status) for _, name, status in drawn() if status}
    answered = {error.__name__: error.status for _, error in classes(BuilderError)}

    assert len(written) > 8
    assert written == {name: answered[name] for name in written}


def test_what_time_can_mend_says_when_to_try_again() -> None:
    for _, error in classes(BuilderError):
        assert (error.retry_after is not None) == (error.status in (429, 503))


def test_no_two_leaves_share_a_code() -> None:
    # These differ for us and not for callers, who try again: a platform's daemons went, and not the build's;
    # another daemon may carry on what this one could not.
    ours = (PlatformUnavailable, DaemonTroubled)
    codes = [error.code for _, error in classes(BuilderError) if error not in ours]

    assert len(codes) == len(set(codes))
