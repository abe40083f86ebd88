"""Every attack without a key, in its long form: what it did before, what it may do, what it does.

An attack takes the ground it is made on and returns a Result. The short forms are in
tests/test_template_siege.py.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stack.paths import REPOSITORY

from . import attacks, victim
from .prober import Prober

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .victim import Victim

MIB = 1 << 20

# As in stack.yml: a quarter of 2 GiB, and what it tells of-watchdog.
BUDGET = 512 * MIB
SETTINGS = {
    "body_budget": str(BUDGET),
    "GOGC": "50",
    "GOMEMLIMIT": "128MiB",
    "max_inflight": "4096",
}

# What may come on top of the budget: connections, of-watchdog's buffers, and the allocators' rest.
_BESIDES = 128 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of an attack."""

    attack: str
    before: str  # as measured when waitress served
    limit: str
    measured: str
    held: bool


@dataclass(frozen=True, slots=True)
class Ground:
    """The ground of an attack: a fresh function each time."""

    folder: Path
    python: Path = field(kw_only=True)
    watchdog: Path | None = field(kw_only=True)

    @contextmanager
    def function(self) -> Iterator[Victim]:
        """Serve builder-fn, with nobody at its daemon's address."""
        home = self.folder / secrets.token_hex(4)
        home.mkdir(parents=True)
        key = home / "secrets"
        key.mkdir()
        (key / "payload-secret").write_text(_SECRET)
        with victim.start(
            home / "app",
            handler=REPOSITORY / "builder-fn",
            python=self.python,
            watchdog=self.watchdog,
            settings={
                **SETTINGS,
                "secret_mount_path": str(key),
                "buildkit_url": "tcp://127.0.0.1:1",
            },
        ) as served:
            yield served


_SECRET = secrets.token_hex(16)


def idle_and_dripping_connections(ground: Ground) -> Result:
    beginnings = (b"", attacks.HALF_A_HEAD, attacks.HALF_A_BODY)
    with ground.function() as served:
        idle = served.memory()
        with (
            attacks.dripping(served.address, 5000, beginnings, rate=110),
            Prober(served.address) as probes,
        ):
            time.sleep(45)
        grown = served.peak() - idle
    return Result(
        attack="5,000 idle or dripping connections, 110 bytes a second in all, for 45 s",
        before="with 1,000: healthz dead for minutes",
        limit="healthz p99 ≤ 1 s",
        measured=f"p99 {_ms(probes.p99())}, {len(probes.failures)} of {_count(probes)} failed, "
        f"{_mib(grown)} more",
        held=probes.p99() <= 1,
    )


def large_bodies(ground: Ground) -> Result:
    with ground.function() as served:
        idle = served.memory()
        served.forget_peak()
        with _small_requests(served) as small, Prober(served.address) as probes:
            answers = attacks.large_bodies(served.address, 64, 400 * MIB, seconds=45)
        grown = served.peak() - idle
        until = time.monotonic() + 30
        while served.memory() - idle > 64 * MIB and time.monotonic() < until:
            time.sleep(0.2)
        left = served.memory() - idle
    refused = sum(answer.startswith(b"HTTP/1.1 503") for answer in answers)
    good = sum(answer.startswith(b"HTTP/1.1 400") for answer in small)
    return Result(
        attack="64 unsigned bodies of 400 MiB at once; signed small requests meanwhile",
        before="with 4 of 500 MiB: killed by memory",
        limit="≤ the budget (512 MiB), small ones go on, 503 with Retry-After",
        measured=f"{_mib(grown)} more, then {_mib(left)}; {refused} refused within 45 s; {good} of "
        f"{len(small)} small ones answered; healthz p99 {_ms(probes.p99())}",
        held=grown <= BUDGET + _BESIDES
        and bool(small)
        and good == len(small)
        and probes.p99() <= 1,
    )


def large_heads(ground: Ground) -> Result:
    with ground.function() as served:
        idle = served.memory()
        served.forget_peak()
        answers = attacks.large_heads(served.address, 1000, 227 << 10)
        grown = served.peak() - idle
    refused = sum(answer.startswith(b"HTTP/1.1 431") for answer in answers)
    return Result(
        attack="1,000 requests with heads of 227 KiB at once",
        before="with 300: watchdog and container killed",
        limit="≤ 300 MiB in all, each refused",
        measured=f"{_mib(idle + grown)} in all, {refused} refused with 431",
        held=idle + grown <= 300 * MIB and refused == len(answers),
    )


def header_of_spaces(ground: Ground) -> Result:
    with ground.function() as served:
        times = 100
        before = served.cpu()
        answers = [attacks.answer_to(served.address, attacks.spaces(32000)) for _ in range(times)]
        taken = (served.cpu() - before) / times
    return Result(
        attack="one header of 32,000 spaces and a control character",
        before="9.5 s of CPU with the lock held",
        limit="≤ 5 ms",
        measured=f"{_ms(taken)} of CPU",
        held=taken <= 0.005 and all(answer.startswith(b"HTTP/1.1 400") for answer in answers),
    )


def addresses(ground: Ground) -> Result:
    with ground.function() as served:
        found = victim.listening_addresses(served.upstream)
    return Result(
        attack="the function's own port, from elsewhere",
        before="open on all addresses behind the watchdog",
        limit="loopback alone",
        measured=", ".join(sorted(found)),
        held=found == {_LOOPBACK},
    )


def one_byte_chunks(ground: Ground) -> Result:
    return _framing(ground, "chunks of one byte", attacks.one_byte_chunks)


def endless_chunk_line(ground: Ground) -> Result:
    return _framing(ground, "an endless chunk line", attacks.endless_chunk_line)


def endless_trailers(ground: Ground) -> Result:
    return _framing(ground, "endless trailers", attacks.endless_trailers)


def pipelining(ground: Ground) -> Result:
    with ground.function() as served:
        idle = served.memory()
        served.forget_peak()
        request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 7000
        with attacks.held_open(served.address, 8, [request]), Prober(served.address) as probes:
            time.sleep(10)
        grown = served.peak() - idle
    return Result(
        attack="7,000 requests in a pipeline, on 8 connections that read nothing",
        before="not bounded",
        limit="≤ 64 MiB more, healthz p99 ≤ 1 s",
        measured=f"{_mib(grown)} more, healthz p99 {_ms(probes.p99())}",
        held=grown <= 64 * MIB and probes.p99() <= 1,
    )


ATTACKS: tuple[Callable[[Ground], Result], ...] = (
    idle_and_dripping_connections,
    large_bodies,
    large_heads,
    header_of_spaces,
    addresses,
    one_byte_chunks,
    endless_chunk_line,
    endless_trailers,
    pipelining,
)


def table(results: Sequence[tuple[str, Result]]) -> str:
    lines = ["| attack | before | limit | | measured | held |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {result.attack} | {result.before} | {result.limit} | {way} | {result.measured} | "
        f"{'yes' if result.held else '**no**'} |"
        for way, result in results
    ]
    return "\n".join(lines)


_LOOPBACK = "0100007F"  # as the kernel writes 127.0.0.1


def _framing(ground: Ground, name: str, request: Callable[[int], bytes]) -> Result:
    size = 16
    with ground.function() as served:
        before = served.cpu()
        answer = attacks.answer_to(served.address, request(size * MIB), seconds=10)
        taken = (served.cpu() - before) / size
    status = answer[9:12].decode()
    return Result(
        attack=f"{size} MiB of {name}",
        before="seconds of CPU",
        limit="≤ 20 ms of CPU for each MiB, bounded",
        measured=f"{_ms(taken)} for each MiB, answered with {status}",
        # Through of-watchdog its own 500 when the function does not read on.
        held=taken <= 0.020 and status in ("400", "401", "500"),
    )


@contextmanager
def _small_requests(served: Victim) -> Iterator[list[bytes]]:
    """Send small signed requests one after the other; to know that it is no archive takes a key."""
    body = b"not an archive" * 1000
    signature = hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST /build HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        f"X-Build-Signature: sha256={signature}\r\n\r\n"
    )
    answers: list[bytes] = []
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.2):
            answers.append(attacks.answer_to(served.address, head.encode() + body))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield answers
    finally:
        over.set()
        sender.join()


def _count(probes: Prober) -> int:
    return len(probes.seconds) + len(probes.failures)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 60 else "never"


def _mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"
