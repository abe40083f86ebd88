"""Pure. Room for what waits, of which no tenant can take what would be left for others."""

from __future__ import annotations

from collections import Counter


class SharedRoom:
    """Gives out so many units of room. Not for use by several threads at once.

    A tenant gets more for as long as it holds less than its share of what is free: alone and with one share
    it comes to half of the room, and whoever comes after it still finds some. So nobody has to say how many
    tenants there are, and none of them has room that nobody else may use. Those that are no tenant's, named
    "", take all there is.
    """

    def __init__(self, units: float) -> None:
        self._free = units
        self._held: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """The number of units that are taken, by all."""
        return self._held.total()

    def has(self, tenant: str, units: int = 1, *, share: int = 1) -> bool:
        """Tell whether *tenant*, which has *share* shares, may take *units* more."""
        if units > self._free:
            return False
        return not tenant or not units or self._held[tenant] < share * self._free

    def take(self, tenant: str, units: int = 1) -> None:
        """Take *units*, whether or not there are so many."""
        self._free -= units
        self._held[tenant] += units

    def give_back(self, tenant: str, units: int = 1) -> None:
        self._free += units
        self._held[tenant] -= units
        if not self._held[tenant]:
            del self._held[tenant]
