"""I/O: delivers callbacks, and tries again what was not taken, in a few threads of this replica.

Nothing is kept but the answers' bytes, so many of them at most, and for about a quarter of an hour. A tenant
whose receivers do not answer leaves threads to the others, and room: it loses its own where there is none.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..telemetry import log_lines, metrics
from .attempt import attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .target import Target

DELAYS_SECONDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 300)  # between the attempts

_THREADS = 8
_MOST = 1000
_MOST_BYTES = 64 << 20
# After `stop`. The template's process is gone a second later (serving/shutdown.py).
_LAST_SECONDS = 2.0

_LATER = frozenset({408, 425, 429})  # the other end may take it later; so also any 5xx
_ID_DIGITS = 32

_log = logging.getLogger("builder-fn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A build's result, and where it is to go."""

    build_id: str
    to: Target
    body: bytes
    headers: Mapping[str, str]
    status: int = 200  # of the answer
    tenant: str = ""  # whose build it was; "" for an operator's, and where there are no tenants

    @property
    def id(self) -> str:
        """Return the same id whenever the same result of a build goes to the same address.

        A build that was interrupted may have another result later.
        """
        said = f"{self.build_id} {self.status} {self.to.url}"
        return hashlib.sha256(said.encode()).hexdigest()[:_ID_DIGITS]


@dataclass(slots=True, eq=False)
class _Pending:
    delivery: Delivery
    due: float = 0.0  # monotonic
    attempts: int = 0
    running: bool = False


class Deliveries:
    """Callbacks to be delivered, and the threads that deliver them; `idle` once there are none."""

    def __init__(
        self,
        *,
        private: bool,
        ended: Callable[[str], None],
        delays: Sequence[float] = DELAYS_SECONDS,
        most: int = _MOST,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        """Deliver to addresses that are not public, too, if *private*; call *ended* with each outcome."""
        self._private = private
        self._ended = ended
        self._delays = delays
        self._most = most
        self._most_bytes = most_bytes
        self._pending: list[_Pending] = []
        self._threads = 0
        self._stopping = self._stopped = False
        self._changed = threading.Condition()

    @property
    def idle(self) -> bool:
        with self._changed:
            return not self._pending

    def add(self, delivery: Delivery) -> None:
        """Add a delivery, at once. Where there is no room, the one with most failed attempts makes it.

        Of several tenants that is one of the tenant that has most to be delivered.
        """
        with self._changed:
            self._pending.append(_Pending(delivery))
            while self._has_too_much() and (waiting := self._waiting()):
                self._end(
                    max(self._of_one(waiting), key=lambda each: each.attempts),
                    metrics.DROPPED,
                    "Too many callbacks are to be delivered.",
                )
            if self._stopped:
                self._drop_all()
            # None waits for a thread while there may be one more: those without work have ended.
            if self._threads < min(_THREADS, len(self._pending)):
                self._threads += 1
                threading.Thread(target=self._run, name="callbacks", daemon=True).start()
            self._changed.notify()

    def stop(self) -> None:
        """Have all that wait tried at once, and for the last time. Returns at once."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        last = threading.Timer(_LAST_SECONDS, self._stop)
        last.daemon = True
        last.start()

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._drop_all()

    def _run(self) -> None:
        while (pending := self._next()) is not None:
            delivery = pending.delivery
            try:
                answered = attempt(
                    delivery.to,
                    delivery.body,
                    {**delivery.headers, "X-Build-Delivery": delivery.id},
                    private=self._private,
                )
            except Exception:  # noqa: BLE001 - logged; the others' turn must come
                _log.exception("unexpected error", extra=log_lines.with_fields(_names(delivery)))
                answered = "The builder met an error of its own."
            with self._changed:
                self._attempted(pending, answered)

    def _next(self) -> _Pending | None:
        """Return the delivery whose time has come; None if there is nothing more for this thread to do."""
        with self._changed:
            while waiting := self._waiting():
                now = time.monotonic()
                due = [each for each in waiting if each.due <= now or self._stopping]
                if may_run := self._with_a_turn(due):
                    # A receiver that does not answer must not hold up those that were not called yet.
                    pending = min(may_run, key=lambda each: each.attempts)
                    pending.running = True
                    pending.attempts += 1
                    return pending
                # Or until a thread is free for one that is due.
                later = [each.due - now for each in waiting if each.due > now]
                self._changed.wait(min(later, default=None))
            self._threads -= 1
            return None

    def _with_a_turn(self, due: Sequence[_Pending]) -> Sequence[_Pending]:
        """Return those of *due* whose tenants call fewer receivers than they leave threads to others."""
        if self._stopping:
            return due
        running = Counter(each.delivery.tenant for each in self._pending if each.running)
        free = _THREADS - running.total()
        return [
            each for each in due if not each.delivery.tenant or running[each.delivery.tenant] < free
        ]

    def _of_one(self, waiting: Sequence[_Pending]) -> Sequence[_Pending]:
        """Return those of *waiting* that are of the tenant with most to be delivered, by bytes or number."""
        by_number = len(self._pending) > self._most
        sizes: Counter[str] = Counter()
        for each in self._pending:
            sizes[each.delivery.tenant] += 1 if by_number else len(each.delivery.body)
        most = max((each.delivery.tenant for each in waiting), key=sizes.__getitem__)
        return [each for each in waiting if each.delivery.tenant == most]

    def _attempted(self, pending: _Pending, answered: int | str) -> None:
        pending.running = False
        self._changed.notify_all()  # of a thread that is free
        if pending not in self._pending:
            return  # dropped meanwhile
        why = str(answered)
        if isinstance(answered, int):
            if 200 <= answered < 300:
                self._end(pending, metrics.DELIVERED)
                return
            why = f"It was answered with {answered}."
            if answered < 500 and answered not in _LATER:
                self._end(pending, metrics.REFUSED, why)
                return
        if pending.attempts > len(self._delays):
            self._end(pending, metrics.GIVEN_UP, why)
        elif self._stopping:
            self._end(pending, metrics.DROPPED, f"The builder is shutting down. {why}")
        else:
            # Not all of a burst of builds again at the same moment.
            delay = self._delays[pending.attempts - 1] * random.uniform(0.8, 1.2)  # noqa: S311
            pending.due = time.monotonic() + delay

    def _end(self, pending: _Pending, outcome: str, why: str = "") -> None:
        """Report the end before it is done: the process may end as soon as nothing is pending."""
        delivery = pending.delivery
        if outcome != metrics.DELIVERED:
            fields = log_lines.callback_fields(
                to=delivery.to.authority,
                attempts=pending.attempts,
                outcome=outcome,
                error=why,
            )
            _log.warning(
                "callback not delivered",
                extra=log_lines.with_fields({**_names(delivery), **fields}),
            )
        self._ended(outcome)
        self._pending.remove(pending)

    def _drop_all(self) -> None:
        for pending in list(self._pending):
            self._end(pending, metrics.DROPPED, "The builder is shutting down.")

    def _waiting(self) -> list[_Pending]:
        return [each for each in self._pending if not each.running]

    def _has_too_much(self) -> bool:
        size = sum(len(each.delivery.body) for each in self._pending)
        return len(self._pending) > self._most or size > self._most_bytes


def _names(delivery: Delivery) -> Mapping[str, str]:
    return {"buildId": delivery.build_id, "delivery": delivery.id}
