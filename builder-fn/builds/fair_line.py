"""Pure. A line in which nobody waits for all that one other has sent.

What waits belongs to an owner, such as a key, and below that to another, such as an image. Owners take turns,
as many in each round as they have a share, and within an owner those below it; in one owner's own line the
first to come is the next.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


class FairLine(Generic[T]):
    """Items must be hashable and in the line once; all paths of owners have the same length."""

    def __init__(self) -> None:
        # Whose turn it is comes first.
        self._children: OrderedDict[str, _Owner[T]] = OrderedDict()
        self._own: deque[T] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, path: Sequence[str], item: T, *, share: int = 1) -> None:
        """Add *item*; the first owner of *path* has from now on *share* turns in each round."""
        self._size += 1
        if not path:
            self._own.append(item)
            return
        first, *rest = path
        owner = self._children.setdefault(first, _Owner(FairLine(), share, share))
        owner.share = share
        owner.line.append(rest, item)

    def popleft(self) -> T:
        """Remove the next item and return it. Raises IndexError if nothing waits."""
        if not self._children:
            item = self._own.popleft()
        else:
            name, owner = next(iter(self._children.items()))
            item = owner.line.popleft()
            owner.turns -= 1
            if not owner.line:
                del self._children[name]
            elif owner.turns == 0:
                owner.turns = owner.share
                self._children.move_to_end(name)
        self._size -= 1
        return item

    def remove(self, path: Sequence[str], item: T) -> None:
        """Remove *item*. Raises KeyError or ValueError if it is not there."""
        if not path:
            self._own.remove(item)
        else:
            first, *rest = path
            line = self._children[first].line
            line.remove(rest, item)
            if not line:
                del self._children[first]
        self._size -= 1

    def in_order(self) -> list[T]:
        """Return all that waits, the next one first, as if nothing else comes."""
        return list(self._order()) if self._children else list(self._own)

    def _order(self) -> Iterator[T]:
        owners = deque(
            (deque(owner.line.in_order()), owner.turns, owner.share)
            for owner in self._children.values()
        )
        while owners:
            waiting, turns, share = owners.popleft()
            for _ in range(min(turns, len(waiting))):
                yield waiting.popleft()
            if waiting:
                owners.append((waiting, share, share))


@dataclass(slots=True)
class _Owner(Generic[T]):
    line: FairLine[T]
    share: int  # turns in a round
    turns: int  # left of this one
