"""I/O. One tenant at twenty times its limits, and how long another one's builds wait meanwhile.

Two real replicas on one real buildkitd. Both tenants may run two builds at once. The one that is watched
keeps four on their way, so that each waits for another of its own: that is the wait which must not grow.
"""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from statistics import quantiles
from typing import TYPE_CHECKING

from benchmark import requests
from benchmark.contexts import File
from stack.paths import REPOSITORY

from . import victim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .victim import Victim

BUILDS = 2  # at once, of each tenant
WATCHED_CALLERS = 2 * BUILDS
# By how much the 95th percentile may grow.
MOST_CHANGE = 0.10

_TIMES = 20
_CALL_SECONDS = 120.0
# Mostly asleep, so that it is the limits that are measured and not the machine's processors.
_STEP = "sleep 3"
_REFUSED = {http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE}


@dataclass(slots=True)
class Waits:
    """The seconds that the watched tenant's builds waited, and what the other's requests came to."""

    seconds: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)  # by status

    def percentile(self, percent: int) -> float:
        return quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True, slots=True)
class Tenant:
    name: str
    secret: str

    @property
    def entry(self) -> Mapping[str, object]:
        """What the tenants file says of it."""
        return {
            "keys": [{"name": "drill", "secret": self.secret}],
            "limits": {"builds": BUILDS, "waiting": 2 * BUILDS},
        }


def run(home: Path, *, buildkit: str, python: Path, rounds: int, builds: int) -> dict[str, Waits]:
    """Measure in turn without the other tenant, with it at its limits, and with it at twenty times those.

    In each of *rounds* each of the watched tenant's callers has *builds* built.
    """
    watched, other = (Tenant(name, secrets.token_hex(32)) for name in ("watched", "other"))
    mounted = home / "secrets"
    mounted.mkdir(parents=True)
    file = {"tenants": {each.name: each.entry for each in (watched, other)}}
    (mounted / "builder-tenants").write_text(json.dumps(file))
    settings = {"buildkit_url": buildkit, "secret_mount_path": str(mounted), "max_builds": "8"}
    found = {"without it": Waits(), "at its limits": Waits(), "at twenty times": Waits()}
    with ExitStack() as started:
        homes = [home / f"replica-{number}" for number in range(2)]
        replicas = [
            started.enter_context(
                victim.start(
                    each, handler=REPOSITORY / "builder-fn", python=python, settings=settings
                )
            )
            for each in homes
        ]
        for _ in range(rounds):
            for callers, waits in zip((0, BUILDS, _TIMES * BUILDS), found.values(), strict=True):
                known = [_size(each) for each in homes]
                waits.others += _turn(replicas, watched, other, callers=callers, builds=builds)
                for each, size in zip(homes, known, strict=True):
                    waits.seconds += _waited(each, size, watched.name)
    return found


def table(found: Mapping[str, Waits]) -> str:
    """Return the figures as a table."""
    rows = [
        "| the other tenant | builds | wait, median | wait, p95 | the other's builds, refusals |"
    ]
    rows.append("|---|---|---|---|---|")
    for name, waits in found.items():
        refused = sum(waits.others[status] for status in _REFUSED)
        built = waits.others[http.client.OK]
        rows.append(
            f"| {name} | {len(waits.seconds)} | {waits.percentile(50):.2f} s | "
            f"{waits.percentile(95):.2f} s | {built}, {refused} |"
        )
    return "\n".join(rows)


def change(found: Mapping[str, Waits]) -> float:
    """Return by which part the 95th percentile grew from the first to the last."""
    before, *_, after = (waits.percentile(95) for waits in found.values())
    return after / before - 1


def _turn(
    replicas: Sequence[Victim], watched: Tenant, other: Tenant, *, callers: int, builds: int
) -> Counter[int]:
    over = threading.Event()
    said: Counter[int] = Counter()
    lock = threading.Lock()

    def press(replica: Victim) -> None:
        while not over.is_set():
            status, retry_after = _build(replica, other)
            with lock:
                said[status] += 1
            over.wait(retry_after)

    def watch(replica: Victim) -> None:
        for _ in range(builds):
            status, _ = _build(replica, watched)
            if status != http.client.OK:
                raise RuntimeError(f"A build of the watched tenant was answered with {status}.")

    with ThreadPoolExecutor(callers + WATCHED_CALLERS) as threads:
        pressing = [
            threads.submit(press, replica)
            for _, replica in zip(range(callers), cycle(replicas), strict=False)
        ]
        try:
            time.sleep(1.0 if callers else 0.0)
            watching = [
                threads.submit(watch, replica)
                for _, replica in zip(range(WATCHED_CALLERS), cycle(replicas), strict=False)
            ]
            for each in watching:
                each.result()
        finally:
            over.set()
        for each in pressing:
            each.result()
    return said


def _build(replica: Victim, tenant: Tenant) -> tuple[int, float]:
    """Return the status of the answer, and after how many seconds it says to try again."""
    dockerfile = f"FROM debian:trixie-slim\nRUN {_STEP} # {secrets.token_hex(8)}\n".encode()
    files = (File(path="Dockerfile", content=dockerfile, modified=1_600_000_000, mode=0o644),)
    asked = requests.request(
        files, image=f"drill.invalid/{tenant.name}:1", pushed=False, secret=tenant.secret.encode()
    )
    connection = http.client.HTTPConnection(*replica.address, timeout=_CALL_SECONDS)
    try:
        headers = {"X-Build-Signature": asked.signature}
        connection.request("POST", "/build", body=asked.body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, float(answer.headers.get("Retry-After", "0"))
    finally:
        connection.close()


def _size(home: Path) -> int:
    return (home / "log").stat().st_size


def _waited(home: Path, since: int, tenant: str) -> list[float]:
    """Return the waits of the tenant's builds that ended well, in the log from byte *since* on."""
    found = []
    for line in (home / "log").read_bytes()[since:].splitlines():
        fields = json.loads(line) if line.startswith(b"{") else {}
        if fields.get("message") == "build ended" and fields.get("tenant") == tenant:
            found.append(float(fields["phases"]["wait"]))
    return found
