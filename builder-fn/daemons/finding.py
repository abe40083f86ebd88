"""I/O: finds the daemon that has a build, by the build's id alone, whatever joined or left meanwhile."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from ..errors import DaemonUnavailable, NotFound, RecordsOff, Unavailable
from ..history import ALL
from .pool import none_answers
from .rendezvous import KEY_DIGITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..history import BuildRecord, Viewer
    from .daemon import Daemon
    from .pool import Daemons

# Builds whose place a replica remembers; a hundred bytes each.
_MOST_REMEMBERED = 1_000

# Nobody can tell that from a daemon that keeps none.
_NONE_YET = "Or none was begun there yet, and this one neither. "


class Finder:
    """Safe for use by many threads."""

    def __init__(self, daemons: Daemons, *, hint: str = "") -> None:
        """Look on *daemons*; *hint* is for those that ask for a build which none of them has."""
        self._daemons = daemons
        self._hint = hint
        self._lock = threading.Lock()
        self._places: OrderedDict[str, str] = OrderedDict()  # build id to worker id

    def remember(self, build_id: str, daemon: Daemon) -> None:
        """Ask *daemon* first for the build from now on."""
        with self._lock:
            self._places[build_id] = daemon.worker_id
            self._places.move_to_end(build_id)
            if len(self._places) > _MOST_REMEMBERED:
                self._places.popitem(last=False)

    def daemon_of(self, build_id: str, viewer: Viewer = ALL) -> Daemon:
        """Return the daemon that has the build; where there is one daemon, without asking it.

        Raises like `find`.
        """
        if self._daemons.is_one:
            return self._daemons.all()[0]
        return self.find(build_id, viewer)[0]

    def find(self, build_id: str, viewer: Viewer = ALL) -> tuple[Daemon, BuildRecord]:
        """Return the daemon that has the build, and its record there.

        Raises NotFound only if every known daemon said that it has none, else DaemonUnavailable; RecordsOff
        if there is no record of any build anywhere.
        """
        found = self.look(build_id, viewer)
        if found is None:
            raise self.unknown(build_id)
        return found

    def look(self, build_id: str, viewer: Viewer = ALL) -> tuple[Daemon, BuildRecord] | None:
        """Return like `find`; None if every known daemon said that it has no such build for *viewer* to see.

        An end that may be repeated may have been, elsewhere: then all are asked. Raises DaemonUnavailable.
        """
        order = self._daemons.in_order(build_id[:KEY_DIGITS])
        asked = [daemon for daemon in self._likely_first(build_id, order) if not daemon.is_down]
        found: list[tuple[Daemon, BuildRecord]] = []
        for daemons in (asked[:1], asked[1:]):
            for daemon, record in self._daemons.ask(
                daemons, lambda daemon: self._record(daemon, build_id, viewer)
            ):
                if isinstance(record, Unavailable):
                    if self._daemons.is_one:
                        raise record
                    self._daemons.mark_down(daemon, record)
                elif record is not None:
                    found.append((daemon, record))
            if any(not record.repeatable for _, record in found):
                break
        if found:
            daemon, record = max(found, key=_weight)
            self.remember(build_id, daemon)
            return daemon, record
        if all(daemon.is_down for daemon in order):
            raise none_answers()
        if any(daemon.is_down for daemon in order) or not self._daemons.knows_all():
            raise DaemonUnavailable(
                f'No buildkitd that answers has the build "{build_id}", and not all answer. Ask again.'
            )
        return None

    def unknown(self, build_id: str) -> Unavailable | NotFound | RecordsOff:
        """Make the error for a build that no daemon has."""
        answers = self._daemons.ask(
            [daemon for daemon in self._daemons.all() if not daemon.is_down],
            lambda each: each.history.keeps_records(),
        )
        said = [answer for _, answer in answers]
        if True not in said:
            unavailable = next((each for each in said if isinstance(each, Unavailable)), None)
            return unavailable or RecordsOff(f"{_NONE_YET}{self._hint and f'{self._hint} '}")
        return NotFound(
            f'There is no build "{build_id}": its record may be older than buildkitd keeps them, or it has '
            f"never been begun.{self._hint and f' {self._hint}'}"
        )

    def _record(self, daemon: Daemon, build_id: str, viewer: Viewer) -> BuildRecord | None:
        if self._daemons.is_one:
            return daemon.history.record(build_id, viewer)
        with daemon.asking() as seconds:
            return daemon.history.record(build_id, viewer, seconds=seconds)

    def _likely_first(self, build_id: str, order: Sequence[Daemon]) -> list[Daemon]:
        with self._lock:
            place = self._places.get(build_id)
        return sorted(order, key=lambda each: each.worker_id != place)  # stable


def _weight(found: tuple[Daemon, BuildRecord]) -> tuple[bool, bool, float]:
    """Put one that goes on before all, then one that came to an end of its own, then the newest."""
    _, record = found
    return not record.ended, not record.repeatable, record.created
