"""Pure. A line in which nobody waits for all that one other has sent.

What waits belongs to an owner, such as a key, and below that to another, such as an image. Owners take turns,
and within an owner those below it; in one owner's own line the first to come is the next.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class FairLine(Generic[T]):
    """Items must be hashable and in the line once; all paths of owners have the same length."""

    def __init__(self) -> None:
        self._children: OrderedDict[str, FairLine[T]] = (
            OrderedDict()
        )  # whose turn it is comes first
        self._own: deque[T] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, path: Sequence[str], item: T) -> None:
        self._size += 1
        if not path:
            self._own.append(item)
            return
        first, *rest = path
        self._children.setdefault(first, FairLine()).append(rest, item)

    def popleft(self) -> T:
        """Remove the next item and return it. Raises IndexError if nothing waits."""
        if not self._children:
            item = self._own.popleft()
        else:
            owner, child = next(iter(self._children.items()))
            item = child.popleft()
            if child:
                self._children.move_to_end(owner)
            else:
                del self._children[owner]
        self._size -= 1
        return item

    def remove(self, path: Sequence[str], item: T) -> None:
        """Remove *item*. Raises KeyError or ValueError if it is not there."""
        if not path:
            self._own.remove(item)
        else:
            first, *rest = path
            child = self._children[first]
            child.remove(rest, item)
            if not child:
                del self._children[first]
        self._size -= 1

    def in_order(self) -> list[T]:
        """Return all that waits, the next one first, as if nothing else comes."""
        if not self._children:
            return list(self._own)
        lines = [child.in_order() for child in self._children.values()]
        rounds = range(max(map(len, lines)))
        return [line[turn] for turn in rounds for line in lines if turn < len(line)]
