"""Starts and stops daemons. Keeps what runs and was started from the same things; replaces the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..daemons import ports
from ..daemons.daemon import STOP_SECONDS, Daemon
from ..paths import Paths
from . import record


class Started(Protocol):
    @property
    def daemon(self) -> Daemon: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One daemon of the stack. `start` is given the port, or None for any free one.

    One that is replaced may take `grace` seconds to end by itself.
    """

    name: str
    made_from: str
    start: Callable[[int | None], tuple[Started, str]]
    asked: int | None = None
    default: int | None = None
    option: str = ""
    grace: float = STOP_SECONDS


class Upkeep:
    """The record while daemons come up."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._entries = record.load(paths)

    def pid(self, name: str) -> int:
        """Return the first process of a daemon that is up."""
        return self._entries[name].pid

    def keep_or_start(self, part: Part) -> tuple[str, str]:
        """Return the daemon's address, and a remark for the terminal when it was already running."""
        found = self._entries.get(part.name)
        port = part.asked or (found.port if found else part.default)
        kept = found and found.made_from == part.made_from and found.port == port
        if found and kept and not found.process.ending:
            return found.address, " (already running)"
        if found:
            found.daemon(part.name).stop(part.grace)
            del self._entries[part.name]
            record.save(self._paths, self._entries)
        if port:
            ports.require(port, part.name, part.option)
        started, address = part.start(port)
        self._entries[part.name] = record.entry(started.daemon, address, part.made_from)
        record.save(self._paths, self._entries)
        return address, ""
