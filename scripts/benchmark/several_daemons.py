"""Process and socket I/O. Measures what three daemons cost over one, and what a long history does.

By the clock of one machine, on which others work as well: so in turn, as medians, and as differences.
"""

import hashlib
import hmac
import http.client
import json
import random
import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from statistics import median
from urllib.parse import urlsplit

from . import usage
from .contenders import Server
from .contexts import ContextSource, File
from .errors import BenchmarkError
from .services import Service, Started

NAME = "daemons"
RECORDS = 10_000
_WARM_ROUNDS = 40
_BUILDS, _IMAGES = 200, 40
_QUESTIONS = 500
_SETTLING_SECONDS = 5.0
_FILL_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A function on one daemon, one on that and two others, and a way to fill the first one's history."""

    one: Service
    three: Service
    registry: str
    secret: bytes
    fill: Sequence[str]  # the command, to which the number of records is added
    fill_environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what was measured, the figure, what it is held to and whether it is met."""

    name: str
    figure: str
    goal: str = ""
    met: bool | None = None


def measure(pool: Pool, source: ContextSource, rounds: int | None) -> Iterator[Row]:
    """Start the functions and yield the rows as they are measured. Raises BenchmarkError."""
    with ExitStack() as stack:
        one, first, second, third = (
            stack.enter_context(service.start())
            for service in (pool.one, pool.three, pool.three, pool.three)
        )
        yield from _warm(pool, source, one, first, rounds or _WARM_ROUNDS)
        yield from _spread(pool, (first, second, third))
        _fill(pool)
        yield from _questions(pool, source, one)


def _warm(
    pool: Pool, source: ContextSource, one: Started, three: Started, rounds: int
) -> Iterator[Row]:
    seconds: dict[str, list[float]] = {"one": [], "three": []}
    cpu: dict[str, list[float]] = {"one": [], "three": []}
    for number in range(-3, rounds):
        for name, started in (("one", one), ("three", three))[:: 1 if number % 2 else -1]:
            before = usage.of_process(started.daemon.pid)
            took, _ = _built(pool, source, started, "warm")
            time.sleep(0.1)
            if number >= 0:
                seconds[name].append(took)
                cpu[name].append(usage.of_process(started.daemon.pid).since(before).cpu)
    more = median(seconds["three"]) - median(seconds["one"])
    figure = (
        f"{_ms(median(seconds['one']))}, {_ms(median(seconds['three']))}: {1000 * more:+.1f} ms"
    )
    yield Row("warm build, one daemon and three", figure, "≤ 3 ms more", more <= 0.003)
    used = f"{1000 * median(cpu['one']):.1f} ms, {1000 * median(cpu['three']):.1f} ms"
    yield Row("CPU of the function for it", used)


def _spread(pool: Pool, replicas: Sequence[Started]) -> Iterator[Row]:
    chance = random.Random(11)  # noqa: S311 - no secret hangs on it
    weights = [1 / (rank + 1) for rank in range(_IMAGES)]
    built: Counter[int] = Counter()
    cached = 0
    for turn, number in enumerate(chance.choices(range(_IMAGES), weights, k=_BUILDS)):
        dockerfile = f"FROM debian:trixie-slim\nRUN echo {number}\n".encode()
        context = (File(path="Dockerfile", content=dockerfile, modified=1),)
        replica = replicas[turn % len(replicas)]
        _, answer = _posted(pool, replica, context, f"fn-{number}")
        cached += bool(built[number]) and answer["cacheHits"] == 1
        built[number] += 1
    again = _BUILDS - len(built)
    share = cached / again
    name = (
        f"{_BUILDS} builds of {len(built)} images (Zipf) through three replicas: repeats all cached"
    )
    yield Row(name, f"{cached} of {again}", "≥ 97 %", share >= 0.97)


def _questions(pool: Pool, source: ContextSource, one: Started) -> Iterator[Row]:
    ids = [str(_built(pool, source, one, "asked")[1]["buildId"]) for _ in range(20)]
    first, _ = _asked(pool, one, "status", ids[0])
    time.sleep(_SETTLING_SECONDS)
    # What the machine's other work costs anything that is asked of the function.
    nothing = sorted(_asked(pool, one, "healthz")[0] for _ in range(_QUESTIONS))
    before = usage.of_process(one.daemon.pid)
    took = sorted(_asked(pool, one, "status", ids[at % 20])[0] for at in range(_QUESTIONS))
    cpu = usage.of_process(one.daemon.pid).since(before).cpu / _QUESTIONS
    p99 = took[round(0.99 * len(took))]
    yield Row(f"status of the first build asked for, {RECORDS:,} records", _ms(first))
    idle = f"/healthz {_ms(median(nothing))}, p99 {_ms(nothing[round(0.99 * len(nothing))])}"
    figure = f"{_ms(median(took))}, p99 {_ms(p99)}, {1000 * cpu:.1f} ms of CPU; {idle}"
    yield Row("status of an ended build then", figure, "p99 ≤ 20 ms", p99 <= 0.020)
    unknown = median(_asked(pool, one, "status", secrets.token_hex(16))[0] for _ in range(20))
    yield Row("status of a build that there is not", _ms(unknown))
    listed = median(_asked(pool, one, "list")[0] for _ in range(10))
    yield Row("list", _ms(listed), "≤ 1 s", listed <= 1)
    plain = median(_built(pool, source, one, "warm")[0] for _ in range(10))
    calls = median(
        _built(pool, source, one, "warm", {"X-Call-Id": secrets.token_hex(8)})[0] for _ in range(10)
    )
    yield Row("warm build, and one that may come twice", f"{_ms(plain)}, {_ms(calls)}")


def _fill(pool: Pool) -> None:
    done = subprocess.run(
        [*pool.fill, str(RECORDS)],
        env=dict(pool.fill_environment),
        capture_output=True,
        text=True,
        timeout=_FILL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"the history could not be filled: {done.stderr[-2_000:]}")


def _built(
    pool: Pool,
    source: ContextSource,
    started: Started,
    name: str,
    headers: Mapping[str, str] | None = None,
) -> tuple[float, Mapping[str, object]]:
    return _posted(pool, started, source.unchanged(), name, headers)


def _posted(
    pool: Pool,
    started: Started,
    context: tuple[File, ...],
    name: str,
    headers: Mapping[str, str] | None = None,
) -> tuple[float, Mapping[str, object]]:
    server = Server(name="ours", url=started.url, secret=pool.secret, pid=None)
    image = f"{pool.registry}/benchmark/{name}:latest"
    post = server.prepare(context, image=image, pushed=True, streamed=False)
    post = replace(post, headers=headers or {})
    since = time.perf_counter()
    built = post.run()
    took = time.perf_counter() - since
    post.clean_up(large=False)
    return took, built.document


def _asked(
    pool: Pool, started: Started, operation: str, build_id: str = ""
) -> tuple[float, Mapping[str, object]]:
    said = {"op": operation, "time": time.time(), **({"buildId": build_id} if build_id else {})}
    body = json.dumps(said).encode()
    signature = hmac.new(pool.secret, body, hashlib.sha256).hexdigest()
    headers = {"X-Build-Signature": f"sha256={signature}"}
    address = urlsplit(started.url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port)) as connection:
        connection.connect()
        since = time.perf_counter()
        method = "GET" if operation == "healthz" else "POST"
        connection.request(method, f"/{operation}", None if method == "GET" else body, headers)
        answer = connection.getresponse().read()
        took = time.perf_counter() - since
        return took, {} if operation == "healthz" else json.loads(answer)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| several daemons | | goal | |", "|---|---|---|---|"]
    for row in rows:
        verdict = "" if row.met is None else "met" if row.met else "missed"
        lines.append(f"| {row.name} | {row.figure} | {row.goal} | {verdict} |")
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
