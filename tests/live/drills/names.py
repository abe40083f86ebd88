"""The machine's /etc/hosts. Gives names several addresses, as a headless Service has, while a drill runs."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_HOSTS = Path("/etc/hosts")
_MARK = "  # a drill's"


class Names:
    """Each name stands for the addresses that it was given last."""

    def __init__(self) -> None:
        self._addresses: dict[str, Collection[str]] = {}

    def point(self, name: str, addresses: Collection[str]) -> None:
        self._addresses[name] = addresses
        self._write()

    def clear(self) -> None:
        self._addresses.clear()
        self._write()

    def _write(self) -> None:
        # In place: in a container the file is mounted, and cannot be replaced.
        others = [line for line in _HOSTS.read_text().splitlines() if not line.endswith(_MARK)]
        ours = [
            f"{address} {name}{_MARK}"
            for name, addresses in self._addresses.items()
            for address in addresses
        ]
        _HOSTS.write_text("".join(f"{line}\n" for line in (*others, *ours)))


@contextmanager
def names() -> Iterator[Names]:
    made = Names()
    try:
        yield made
    finally:
        made.clear()
