"""I/O: finds the daemons that there are by their addresses, and chooses the one that a build goes to.

Each replica does so by itself: nothing but the name server is between them. So they may disagree for half a
minute, which costs a cold build and never a lost one. With one address everything is as if there were no
pool, and not one question more is asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ..errors import DaemonUnavailable, Interrupted, Unavailable
from ..history import EndedBuilds
from ..telemetry.metrics import FAILOVER, FIRST, SPILLED
from .addresses import Address, addresses_of, has_name
from .daemon import QUESTION_SECONDS, Daemon
from .platforms import split
from .rendezvous import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ..buildkit import DaemonTLS
    from .addresses import Resolve
    from .platforms import PlatformPool

T = TypeVar("T")

_log = logging.getLogger("builder-fn")

# Between two looks at the name server; CoreDNS keeps its answers for 5 s, and others for 30.
_REFRESH_SECONDS = 5.0
# Until a daemon that answers is asked once more what it is: it may have lost its disk, and its id with that.
_IDENTITY_SECONDS = 60.0
# Until builds go to a daemon that was not there before: by then every replica has heard of it, so that a call
# that is delivered twice is not built on the old first choice and on the new one.
_JOIN_SECONDS = 60.0
# For so long one that has left is still asked about builds: a pod that is restarted has no address for a
# while, one that drains has none that is told to everybody, and both have builds.
_LEFT_SECONDS = 300.0
# For so long builds go to others rather than to one whose disk is full, say: it answers, and is asked.
_TROUBLE_SECONDS = 60.0
# So many are asked at one time.
_MOST_AT_ONCE = 32
# In what Python says of a thread that is to begin while it ends (Lib/concurrent/futures/thread.py).
_AT_THE_END = "interpreter shutdown"


class Daemons:
    """Safe for use by many threads. Looks at the name server from the first question on."""

    def __init__(  # noqa: PLR0913 - keywords
        self,
        urls: Sequence[str],
        *,
        lookup_urls: Sequence[str] = (),
        tls: DaemonTLS | None,
        patience: float,
        builds: int,
        resolve: Resolve | None = None,
        ended: EndedBuilds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Find the daemons; those at *lookup_urls* drain: they are asked, and given nothing.

        A daemon that runs *builds* spills some to others. What is heard of builds that ended is kept in
        *ended*. Raises NotReady for an address that is none.
        """
        self._urls = tuple(urls)
        self._lookup_urls = tuple(lookup_urls)
        self._tls = tls
        self._patience = patience
        self._builds = builds
        self._resolve = resolve
        self._clock = clock
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._refreshing = threading.Lock()
        self._started = threading.Event()
        self._looked = threading.Event()  # once, at the name server
        self._closed = threading.Event()
        self._resolved: dict[str, list[Address]] = {}
        self._unresolved: set[str] = set()  # as of the last look
        self._known: dict[Address, Daemon] = {}
        self._takers: frozenset[Address] = frozenset()
        self._left: dict[Address, tuple[float, Daemon]] = {}
        self._first_seen: dict[str, float] = {}  # by worker id
        self._identified_at: dict[Address, float] = {}
        self.ended = ended or EndedBuilds()
        self._began = clock()
        # The one there is, by its name, as long as that has never had more than one address.
        self._only: Daemon | None = None
        for url in (*self._urls, *self._lookup_urls):
            one = self._connected(Address(url))  # judges the URL
            self._only = self._only or one
        if len(self._urls) > 1:
            self._only = None

    @property
    def is_one(self) -> bool:
        """Tell whether there is one address in all, and has never been another."""
        self._start()
        return self._only is not None

    def all(self) -> list[Daemon]:
        """Return those that may have a build, also those that drain, do not answer, or have just left."""
        self._start()
        with self._lock:
            if self._only:
                return [self._only]
            left = [daemon for _, daemon in self._left.values()]
            return _one_of_each([*_sorted(self._known.values()), *left])

    def current(self) -> list[Daemon]:
        """Return those that there are now, also those that drain or do not answer."""
        self._start()
        with self._lock:
            return [self._only] if self._only else _one_of_each(_sorted(self._known.values()))

    def knows_all(self) -> bool:
        """Tell whether every name has been resolved at least once."""
        return self.is_one or {*self._urls, *self._lookup_urls} <= set(self._resolved)

    def unresolved(self) -> list[str]:
        """Return the URLs whose names have never been resolved; none where there is but one daemon."""
        if self.is_one:
            return []
        return [url for url in (*self._urls, *self._lookup_urls) if url not in self._resolved]

    def takers(self) -> list[Daemon]:
        """Return those that are given builds, if they answer."""
        self._start()
        with self._lock:
            if self._only:
                return [self._only]
            known = [self._known[address] for address in sorted(self._takers & set(self._known))]
            found = [daemon for daemon in _one_of_each(known) if daemon.worker_id]
            settled = [daemon for daemon in found if self._is_settled(daemon)]
            return settled or found

    def takes(self, daemon: Daemon) -> bool:
        """Tell whether *daemon* may still be given a build that was to go to it."""
        if self.is_one or daemon.is_down or not daemon.worker_id:
            return not daemon.is_down
        return daemon.worker_id in {each.worker_id for each in self.takers()}

    def platform_pools(self, platforms: Sequence[str]) -> tuple[PlatformPool, ...]:
        """Return which daemons build which of *platforms*; none where there is but one daemon."""
        if self.is_one:
            return ()
        return split(platforms, {each.worker_id: each.platforms for each in self.takers()})

    def choose(
        self, key: str, *, but: Collection[Daemon] = (), among: PlatformPool | None = None
    ) -> tuple[Daemon, str]:
        """Choose the daemon for a build of *key*, other than *but*, and say which choice it is.

        Only those *among* some are chosen. Raises DaemonUnavailable if none answers.
        """
        self._start()
        if self._only:
            return self._only, FIRST
        takers = {
            each.worker_id: each
            for each in self.takers()
            if among is None or each.worker_id in among.worker_ids
        }
        without = {daemon.worker_id for daemon in but}
        order = [takers[each] for each in in_order(key, takers) if each not in without]
        preferred = sorted(order, key=self._is_troubled)  # stable
        answering = iter([daemon for daemon in preferred if not daemon.is_down])
        for first in answering:
            load = self._load(first)
            if load is None:
                continue
            choice = FIRST if first is order[0] and not without else FAILOVER
            if load < self._builds:
                return first, choice
            spilled = self._less_loaded(list(answering)[: 2 + len(takers) // 20], load)
            return (spilled, SPILLED) if spilled else (first, choice)
        raise none_answers(among.platforms if among else ())

    def in_order(self, key: str) -> list[Daemon]:
        """Return all, the most likely to have a build of *key* first, and last those that are not known."""
        daemons = self.all()
        known = {daemon.worker_id: daemon for daemon in daemons if daemon.worker_id}
        order = [known[worker_id] for worker_id in in_order(key, known)]
        return [*order, *(daemon for daemon in daemons if not daemon.worker_id)]

    def ask(
        self, daemons: Sequence[Daemon], question: Callable[[Daemon], T]
    ) -> list[tuple[Daemon, T | Unavailable]]:
        """Ask all *daemons* at once; the answer of one that has none is its error.

        Raises Interrupted as the process ends: Python begins no threads then.
        """

        def answer(daemon: Daemon) -> T | Unavailable:
            try:
                return question(daemon)
            except Unavailable as exc:
                # By tracebacks it would lead to the question, and so to a request's body.
                exc.__cause__ = exc.__context__ = None
                return exc.with_traceback(None)

        if len(daemons) <= 1:
            return [(daemon, answer(daemon)) for daemon in daemons]
        with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(daemons))) as threads:
            try:
                found = threads.map(answer, daemons)
            except RuntimeError as exc:
                if _AT_THE_END not in str(exc):
                    raise
                raise Interrupted("The builder is shutting down. Try again.") from exc
            return list(zip(daemons, found, strict=True))

    def answers(
        self, daemons: Sequence[Daemon], question: Callable[[Daemon], T]
    ) -> Iterator[tuple[Daemon, T]]:
        """Ask like `ask`; yield who answered and what, and mark the others down."""
        for daemon, said in self.ask(daemons, question):
            if isinstance(said, Unavailable):
                self.mark_down(daemon, said)
            else:
                yield daemon, said

    def ask_whether_up(self, daemon: Daemon) -> None:
        """Ask *daemon*, if it is one of several and not known to be down, and mark it down if it is."""
        if self._only is None and not daemon.is_down:
            self._load(daemon)

    def mark_down(self, daemon: Daemon, error: Unavailable) -> None:
        """Ask *daemon*, which answered with *error*, nothing and give it no builds until it answers again."""
        if self._only is None and not daemon.is_down:
            daemon.is_down = True
            _log.warning("buildkitd %s does not answer: %s", daemon.name, str(error))

    def give_up(self, daemon: Daemon, error: Unavailable) -> None:
        """Have builds prefer others to *daemon*, which ended one with *error*: it is lost, or in trouble."""
        if isinstance(error, DaemonUnavailable):
            self.mark_down(daemon, error)
            # A host that vanished without a word leaves a connection that looks alive.
            daemon.client.reconnect()
        else:
            daemon.troubled_at = self._clock()

    def refresh(self) -> None:
        """Look which addresses there are, and ask those that are new, down or long unasked what they are."""
        with self._refreshing:
            takers = self._addresses(self._urls)
            addresses = list(dict.fromkeys([*takers, *self._addresses(self._lookup_urls)]))
            now = self._clock()
            with self._lock:
                if self._only and (len(addresses) > 1 or (addresses and not takers)):
                    self._only = None
                self._follow_addresses(addresses, now)
                self._takers = frozenset(takers)
                if self._only:
                    return
                asked = [*self._known.values(), *(daemon for _, daemon in self._left.values())]
                due = [each for each in asked if self._is_due(each, now)]
            self._identify(due)

    def close(self) -> None:
        """Look at the name server no more; whoever has builds here may still ask."""
        self._closed.set()

    def _connected(self, address: Address) -> Daemon:
        return Daemon(address, self._tls, patience=self._patience, ended=self.ended)

    def _start(self) -> None:
        if self._started.is_set():
            return
        with self._starting:
            if self._started.is_set():
                return
            if any(map(has_name, (*self._urls, *self._lookup_urls))):
                self._begin(self._look_and_keep_fresh)
                # The resolver knows no deadline: with a name server that is silent it takes half a minute.
                self._looked.wait(self._patience + QUESTION_SECONDS)
            else:
                self.refresh()
                if self._only is None:  # what is down among several may come back
                    self._begin(self._keep_fresh)
            self._started.set()

    def _begin(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="daemons", daemon=True).start()

    def _look_and_keep_fresh(self) -> None:
        self._look()
        self._looked.set()
        self._keep_fresh()

    def _keep_fresh(self) -> None:
        while not self._closed.wait(_REFRESH_SECONDS):
            if not self._look():
                return

    def _look(self) -> bool:
        """Refresh what is known; False as the process ends."""
        try:
            self.refresh()
        except Interrupted:
            return False
        except Exception:  # noqa: BLE001 - logged; the next look may go well
            _log.exception("unexpected error")
        return True

    def _addresses(self, urls: Sequence[str]) -> list[Address]:
        found: list[Address] = []
        for url in urls:
            try:
                self._resolved[url] = addresses_of(url, self._resolve)
                self._unresolved.discard(url)
            except (OSError, UnicodeError) as exc:  # what was known stays
                if url not in self._unresolved:
                    self._unresolved.add(url)
                    _log.warning("%s has no address: %s", url, exc)
            found += self._resolved.get(url, [])
        return found

    def _follow_addresses(self, addresses: Sequence[Address], now: float) -> None:
        for address, daemon in self._known.items():
            if address not in addresses:
                self._left[address] = now, daemon
        came_back = {address: daemon for address, (_, daemon) in self._left.items()}
        self._known = {
            address: self._known.get(address) or came_back.get(address) or self._connected(address)
            for address in addresses
        }
        self._left = {
            address: (since, daemon)
            for address, (since, daemon) in self._left.items()
            if address not in self._known and now - since < _LEFT_SECONDS and daemon.worker_id
        }
        left = (daemon for _, daemon in self._left.values())
        ids = {daemon.worker_id for daemon in (*self._known.values(), *left)}
        self._first_seen = {id_: at for id_, at in self._first_seen.items() if id_ in ids}

    def _is_due(self, daemon: Daemon, now: float) -> bool:
        if daemon.is_down or not daemon.worker_id:
            return True
        return now - self._identified_at.get(daemon.address, now) >= _IDENTITY_SECONDS

    def _identify(self, daemons: Sequence[Daemon]) -> None:
        was_down = [daemon for daemon in daemons if daemon.is_down and daemon.worker_id]
        answers = self.ask(daemons, lambda each: each.identify(seconds=QUESTION_SECONDS))
        now = self._clock()
        with self._lock:
            for daemon, error in answers:
                if error is None:
                    self._identified_at[daemon.address] = now
                    self._first_seen.setdefault(daemon.worker_id, now)
            self._name_all()
        for daemon, error in answers:
            if isinstance(error, Unavailable):
                self.mark_down(daemon, error)
            elif daemon in was_down and not daemon.is_down:
                _log.info("buildkitd %s answers again", daemon.name)

    def _name_all(self) -> None:
        known = [each for each in self._known.values() if each.worker_id]
        hostnames = Counter(each.hostname for each in _one_of_each(known))
        by_id: dict[str, Daemon] = {}
        for daemon in _sorted(known):
            # On one machine all have the same.
            shared = not daemon.hostname or hostnames[daemon.hostname] > 1
            name = daemon.address.url if shared else daemon.hostname
            other = by_id.setdefault(daemon.worker_id, daemon)
            if name != daemon.name and other.hostname != daemon.hostname:
                _log.warning(
                    "the buildkitds %s and %s say that they are the same, %s: has one a copy of the other's "
                    "volume? %s gets no builds.",
                    other.hostname, daemon.hostname, daemon.worker_id, daemon.hostname,
                )  # fmt: skip
            daemon.name = name

    def _is_settled(self, daemon: Daemon) -> bool:
        first_seen = self._first_seen.get(daemon.worker_id, self._clock())
        known_from_the_start = first_seen - self._began < _JOIN_SECONDS
        return known_from_the_start or self._clock() - first_seen >= _JOIN_SECONDS

    def _is_troubled(self, daemon: Daemon) -> bool:
        at = daemon.troubled_at
        return at is not None and self._clock() - at < _TROUBLE_SECONDS

    def _load(self, daemon: Daemon) -> int | None:
        try:
            return daemon.load()
        except Unavailable as exc:
            self.mark_down(daemon, exc)
            return None

    def _less_loaded(self, daemons: Sequence[Daemon], load: int) -> Daemon | None:
        for daemon in daemons:
            other = self._load(daemon)
            if other is not None and other < self._builds and 2 * other <= load:
                return daemon
        return None


def none_answers(platforms: Sequence[str] = ()) -> DaemonUnavailable:
    """Make the error for when there is no daemon to ask, or none of those that build *platforms*."""
    if platforms:
        return DaemonUnavailable(
            f"No buildkitd that is to build {', '.join(platforms)} answers. Try again later, or check "
            "buildkit_url and that the daemons run."
        )
    return DaemonUnavailable(
        "No buildkitd answers. Try again later, or check buildkit_url and that the daemons run."
    )


def _sorted(daemons: Iterable[Daemon]) -> list[Daemon]:
    return sorted(daemons, key=lambda each: each.address)


def _one_of_each(daemons: Iterable[Daemon]) -> list[Daemon]:
    """Leave the first of those that have one worker id; one whose id is not known may be any.

    Of a daemon's several addresses it is the first that answers. Another host of the same id has other
    builds, and does not stand in.
    """
    found: dict[str, Daemon] = {}
    for daemon in daemons:
        first = found.setdefault(daemon.worker_id or daemon.address.url, daemon)
        if first.is_down and not daemon.is_down and first.hostname == daemon.hostname:
            found[daemon.worker_id] = daemon
    return list(found.values())
