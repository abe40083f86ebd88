"""I/O: one build whose platforms fall to several pools of daemons: built side by side, joined by an index.

Each pool's daemon pushes by digest, and no tag moves before all have. Then the daemon that keeps the build's
record joins them. Its part in that begins with the build and waits, so that its loss is noticed at once; the
loss of another daemon concerns its own platforms alone.
"""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..buildkit import BuildResult, PushedImage, SolveSpec
from ..buildkit.progress.backlog import Backlog
from ..daemon_errors import translated
from ..errors import (
    BuildCancelled,
    BuilderError,
    DaemonTroubled,
    DaemonUnavailable,
    Unavailable,
)
from ..history import unlisted_ref
from ..telemetry import log_lines
from ..telemetry.metrics import FIRST
from ..tenants.platforms import normal_platform
from .followed import BEGUN_AGAIN
from .platform_words import error_of, lines_of, step_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..buildkit import BuildWarning, Redactor, Solve, Step
    from ..buildkit.session.grpc_server import Call, Headers
    from ..daemons.daemon import Daemon
    from ..daemons.platforms import PlatformPool
    from ..daemons.pool import Daemons
    from .offer import Offer
    from .placing import Placed
    from .replica import Replica

_log = logging.getLogger("builder-fn")

# How often the caller gets to look at its clock and its client.
_TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The build as it is to be done: *spec* as one daemon would get it.

    *key* is the image's among the daemons; *cache_from* is for those that are not its first choice.
    """

    build_id: str
    spec: SolveSpec
    key: str
    index_services: Mapping[str, Callable[[Headers], Call]] = field(repr=False)
    redactor: Redactor = field(repr=False)
    cache_from: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class _Part:
    """The platforms of one pool, and what has become of them; without a pool it is the index."""

    pool: PlatformPool | None
    daemon: Daemon | None = None
    choice: str = ""
    solve: Solve | None = None
    result: BuildResult = field(default_factory=BuildResult)

    def lines(self, lines: Sequence[str]) -> list[str]:
        return lines_of(self.pool, lines) if self.pool else [*lines]

    @property
    def steps(self) -> tuple[Step, ...]:
        steps = self.solve.steps if self.solve else ()
        return tuple(step_of(self.pool, step) for step in steps) if self.pool else steps


@dataclass(frozen=True, slots=True)
class _Event:
    """Log lines of *part*, or that it has ended, maybe badly."""

    part: _Part
    lines: Sequence[str] = ()
    ended: bool = False
    error: BuilderError | None = None


class PlatformBuilds:
    """Reads like a Solve: iterate it for log lines, then ask for its `result`; always `close` it."""

    def __init__(
        self, replica: Replica, daemons: Daemons, placed: Placed, order: Order, offer: Offer
    ) -> None:
        """Begin all parts, on some of *daemons*. Raises DaemonUnavailable if the record has none."""
        self._replica = replica
        self._daemons = daemons
        self._daemon = placed.daemon
        self._order = order
        self._offer: Offer | None = (
            offer  # until the end, lest the request's body outlive the build
        )
        self._events = Backlog[_Event]()
        self._lock = threading.Lock()
        self._closed = False
        self._begun: list[Solve] = []
        # Those that nobody iterates any more: a Solve is its iterating thread's until then.
        self._over: list[Solve] = []
        self._parts = [_Part(pool) for pool in placed.pools]
        self._parts[0].daemon, self._parts[0].choice = placed.daemon, placed.choice
        self._index = _Part(None, placed.daemon)
        self._index.solve = self._begin(placed.daemon, self._index_spec())
        for part in (*self._parts, self._index):
            name = part.pool.label if part.pool else "index"
            threading.Thread(target=self._run, args=(part,), name=name, daemon=True).start()

    def __iter__(self) -> Iterator[list[str]]:
        """Log lines as they come, and an empty list at least every quarter of a second.

        Raises BuilderError of the first part that fails: DaemonUnavailable if the whole build is lost.
        """
        waited_for = {*self._parts}
        pushes = bool(self._order.spec.names)
        while waited_for:
            try:
                event = self._events.get(_TICK_SECONDS)
            except queue.Empty:
                yield []
                continue
            if event.lines:
                yield event.part.lines(event.lines)
            if not event.ended:
                continue
            if event.error:
                try:
                    raise event.error
                finally:
                    del event  # which its traceback would lead to
            waited_for.discard(event.part)
            if not waited_for and pushes and event.part is not self._index:
                self._join()
                waited_for.add(self._index)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return those that have started so far, by platform."""
        return tuple(step for part in (*self._parts, self._index) for step in part.steps)

    @property
    def phases(self) -> dict[str, float]:
        """The seconds that each phase has taken so far: of what goes on side by side, the longest."""
        longest: dict[str, float] = {}
        for part in self._parts:
            for phase, seconds in (part.solve.phases if part.solve else {}).items():
                longest[phase] = max(seconds, longest.get(phase, 0.0))
        index = self._index.solve.phases if self._index.solve else {}
        return {
            phase: longest.get(phase, 0.0) + index.get(phase, 0.0) for phase in {**longest, **index}
        }

    @property
    def sent_bytes(self) -> int:
        """The bytes of the context that all daemons together have been sent so far."""
        return sum(part.solve.sent_bytes for part in self._parts if part.solve)

    @property
    def warnings(self) -> tuple[BuildWarning, ...]:
        """The warnings that the daemons have given so far, each once."""
        given = [part.solve.warnings for part in self._parts if part.solve]
        return tuple(dict.fromkeys(warning for warnings in given for warning in warnings))

    def result(self) -> BuildResult:
        """Return the index's result, once iterated to its end."""
        result = self._index.result
        pushed = {part.result.digest for part in self._parts if not part.result.manifests}
        if other := pushed - {"", *result.manifests} if result.manifests else set():
            # It has the same layers and configs under other digests.
            _log.warning(
                "the index %s has other manifests than were pushed: %s were", result.digest, other
            )
        return result

    def close(self) -> None:
        """Leave nothing running, here or on the daemons; safe to call at any time."""
        with self._lock:
            self._closed = True
            self._offer = None
            over = [*self._over]
            running = [solve for solve in self._begun if solve not in over]
        self._events.close()
        with ExitStack() as closing:
            for solve in over:
                closing.callback(solve.close)
            for solve in running:  # whose threads close them
                closing.callback(solve.cancel)

    def when_ended(self, then: Callable[[], None]) -> None:
        """Call *then*, from any thread, once all daemons have done with the build."""
        with self._lock:
            begun = [*self._begun]
            left = len(begun)

        def ended() -> None:
            nonlocal left
            with self._lock:
                left -= 1
                is_last = left == 0
            if is_last:
                then()

        for solve in begun:
            solve.when_ended(ended)
        if not begun:
            then()

    def _run(self, part: _Part) -> None:
        error: BuilderError | None = None
        try:
            if part.pool:
                self._build(part, part.pool)
            elif part.solve:
                self._follow(part, part.solve)
        except BuilderError as exc:
            # By tracebacks it would lead to here, and so to the request's body.
            exc.__cause__ = exc.__context__ = None
            error = exc.with_traceback(None)
        except Exception:  # noqa: BLE001 - whatever it is, the build must not wait for ever
            _log.exception("unexpected error")
            error = BuilderError("The builder met an error of its own.")
        # The whole build is lost with the daemon that keeps its record, and not a platform alone.
        of_daemon = isinstance(error, (DaemonUnavailable, DaemonTroubled))
        is_whole = of_daemon and self._keeps_record(part.daemon)
        if error and part.pool and not is_whole:
            error = error_of(part.pool, error)
        self._events.put(_Event(part, ended=True, error=error))

    def _build(self, part: _Part, pool: PlatformPool) -> None:
        """Have *pool*'s platforms built, and begin again elsewhere if their daemon is lost."""
        retries = self._replica.settings.daemon_retries
        lost: list[Daemon] = []
        while True:
            if part.daemon is None:
                part.daemon, part.choice = self._chosen(pool, lost)
            try:
                self._solve(part, part.daemon, self._spec_of(part, pool))
            except (DaemonUnavailable, DaemonTroubled) as exc:
                if self._keeps_record(part.daemon) or self._closed:
                    raise
                self._daemons.give_up(part.daemon, exc)
                if retries == 0:
                    raise
                retries -= 1
                lost.append(part.daemon)
                self._tell_of(part.daemon, pool, exc)
                part.daemon = None
                self._events.put(_Event(part, [f"WARN: {BEGUN_AGAIN}"]))
            else:
                return

    def _chosen(self, pool: PlatformPool, lost: Sequence[Daemon]) -> tuple[Daemon, str]:
        chosen = self._daemons.choose(self._order.key, but=lost, among=pool)
        self._replica.metrics.placed(chosen[1])
        return chosen

    def _tell_of(self, daemon: Daemon, pool: PlatformPool, error: Unavailable) -> None:
        self._replica.metrics.daemon_retried(error)
        fields = {
            "buildId": self._order.build_id,
            "platforms": pool.label,
            "daemon": daemon.name,
            "error": str(error),
        }
        _log.warning(
            "a platform's daemon was lost, and it begins again on another",
            extra=log_lines.with_fields(fields),
        )

    def _keeps_record(self, daemon: Daemon | None) -> bool:
        return daemon is not None and daemon.worker_id == self._daemon.worker_id

    def _solve(self, part: _Part, daemon: Daemon, spec: SolveSpec) -> None:
        with ExitStack() as last_things:
            if not self._keeps_record(daemon):
                with suppress(Unavailable):  # then the build will say so
                    last_things.callback(daemon.history.occupy())
            part.solve = self._begin(daemon, spec)
            self._follow(part, part.solve)

    def _follow(self, part: _Part, solve: Solve) -> None:
        try:
            with translated():
                for lines in solve:
                    if lines:
                        self._events.put(_Event(part, lines), sum(map(len, lines)))
                part.result = solve.result()
        except BaseException:
            with self._lock:
                self._begun.remove(solve)
            solve.close()
            raise
        with self._lock:
            self._over.append(solve)
            is_late = self._closed
        if is_late:
            solve.close()

    def _begin(self, daemon: Daemon, spec: SolveSpec) -> Solve:
        order, offer = self._order, self._offer
        if offer is None:
            raise BuildCancelled("The build has ended.")
        services = order.index_services if spec.joins else offer.services
        with translated():  # not under the lock, since it may have to connect
            solve = daemon.client.solve(
                spec, services, shared_key=offer.shared_key, redactor=order.redactor
            )
        with self._lock:
            if not self._closed:
                self._begun.append(solve)
                return solve
        solve.close()
        raise BuildCancelled("The build has ended.")

    def _spec_of(self, part: _Part, pool: PlatformPool) -> SolveSpec:
        spec = self._order.spec
        names = tuple(name.rpartition(":")[0] for name in spec.names[:1])
        return replace(
            spec,
            ref=unlisted_ref(),
            frontend_attrs={**spec.frontend_attrs, "platform": pool.label},
            names=names,
            exporter_attrs={**spec.exporter_attrs, "push-by-digest": "true"},
            cache_from=() if part.choice == FIRST else self._order.cache_from,
            internal=True,
        )

    def _index_spec(self) -> SolveSpec:
        spec = self._order.spec
        return SolveSpec(
            ref=unlisted_ref(),
            # Else the daemon warns that there are more platforms than its own.
            frontend_attrs={"platform": spec.frontend_attrs["platform"]},
            names=spec.names,
            internal=True,
            joins=True,
        )

    def _join(self) -> None:
        """Have the index made, with its platforms in the order in which they were asked for."""
        wanted = self._order.spec.frontend_attrs["platform"].split(",")
        images: dict[str, PushedImage] = {}
        for part in self._parts:
            name = self._order.spec.names[0].rpartition(":")[0]
            for text in part.pool.platforms if part.pool else ():
                platform = normal_platform(text)
                images[platform] = PushedImage(
                    name=name, digest=part.result.digest, platform=platform
                )
        ordered = dict.fromkeys(map(normal_platform, wanted))
        if self._index.solve:
            self._index.solve.join([images[platform] for platform in ordered])
