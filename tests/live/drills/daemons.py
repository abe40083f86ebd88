"""Three daemons, for minutes: what tests/live/test_pool.py shows in seconds. Run by scripts/drill daemons."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count, cycle
from statistics import median
from typing import TYPE_CHECKING

import pytest
from stack.daemons import ports

from function.buildkit import Client
from function.history import History

from ..caller import Request, post
from ..commands import command
from ..relay import Relay
from ..replica import DEPLOYED
from ..scraping import total
from ..test_pool import PLACED, Pool, load
from ..waiting import wait_until
from .names import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry

    from ..conftest import StartFunction

    Figure = Callable[[str, str], None]

pytestmark = pytest.mark.timeout(420)

# A step long enough to be interrupted, and the same for a build that begins again.
STEP_SECONDS = 6.0
TOLERANCE_SECONDS = 8.0
SILENT_SECONDS = 30.0
SMALL_IMAGES = 30


def small(pool: Pool, number: int) -> Request:
    """Build without a step, so that a cold build takes no longer than a warm one."""
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": str(number)}
    return Request(files, f"{pool.registry.address}/pool/small-{number}:1")


def timed(
    url: str, request: Request, headers: Mapping[str, str] | None = None
) -> tuple[float, dict[str, object]]:
    since = time.monotonic()
    answer = post(url, request.tar(), headers or {})
    assert answer.status == 200, answer.document
    return time.monotonic() - since, answer.document


def ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms"


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * len(values)))]


def pull_base(pool: Pool) -> None:
    """Have every daemon pull the base image, so that a build takes as long on one as on another."""
    for number in count(1000):
        timed(pool.one, pool.request(number, "true"))
        if all(map(builds_of, pool.daemons)):
            return


def builds_of(daemon: Buildkitd) -> int:
    return len(History(Client(daemon.address)).records(limit=1))


def holder(daemons: list[Buildkitd], build_id: str) -> Buildkitd | None:
    for daemon in daemons:
        if History(Client(daemon.address)).record(build_id):
            return daemon
    return None


def test_an_image_is_built_where_its_cache_is(
    pool: Pool, start_function: StartFunction, figure: Figure
) -> None:
    addresses = ",".join(daemon.address for daemon in pool.daemons)
    chance = random.Random(11)  # noqa: S311 - no secret hangs on it
    weights = [1 / (rank + 1) for rank in range(40)]
    with start_function(addresses) as third:
        urls = (pool.one, pool.other, third.url)
        replicas = cycle(urls)
        built: Counter[int] = Counter()
        cached = 0
        for number in chance.choices(range(40), weights, k=200):
            _, answer = timed(next(replicas), pool.request(number, "true"))
            cached += bool(built[number]) and answer["cacheHits"] == 2
            built[number] += 1
        placed = {
            choice: sum(total(f"{url}/metrics", PLACED, choice=choice) for url in urls)
            for choice in ("first", "spilled", "failover")
        }
    again = sum(built.values()) - len(built)
    figure("200 builds of 40 images through three replicas: on the first choice", f"{placed}")
    figure("of the builds of an image that was built before: all cached", f"{cached} of {again}")
    assert placed["first"] >= 0.97 * 200
    assert cached == again


def test_a_daemon_is_killed_under_six_builds(
    pool: Pool, start_daemon: Callable[..., Buildkitd], figure: Figure
) -> None:
    pull_base(pool)
    before = [timed(pool.one, small(pool, number))[0] for number in range(12)]

    def six() -> list[Request]:
        # No two of them share the step.
        step = f"sleep {STEP_SECONDS:.0f}"
        return [pool.request(0, f"{step}; echo {uuid.uuid4().hex} >/made") for _ in range(6)]

    with ThreadPoolExecutor(6) as threads:
        urls = cycle([pool.one, pool.other])
        undisturbed = list(threads.map(lambda each: timed(next(urls), each)[0], six()))
        running = [threads.submit(timed, next(urls), request) for request in six()]
        wait_until(lambda: any(load(daemon) == 6 for daemon in pool.daemons))
        (lost,) = pool.busy()
        time.sleep(STEP_SECONDS / 2)
        root, port = lost.daemon.log.parent, int(lost.address.rsplit(":", 1)[1])
        lost.kill()
        others = [timed(pool.one, small(pool, number))[0] for number in range(12)]
        answers = [each.result() for each in running]
    digests = {str(answer["digest"]) for _, answer in answers}
    longest, own = max(took for took, _ in answers), max(undisturbed)
    figure(
        "6 builds of 6 s, killed after 3 s: the longest, and without a kill",
        f"{longest:.1f} s, {own:.1f} s: {longest - own:+.1f} s",
    )
    figure(
        f"new builds meanwhile (before: {ms(median(before))})",
        f"longest {ms(max(others))}, then {ms(median(others))}",
    )
    assert len(digests) == 6
    assert digests <= pool.pushed(0)
    assert longest <= own + TOLERANCE_SECONDS

    back = start_daemon(pool.registry.address, root=root, port=port)
    since = time.monotonic()
    pool.daemons[pool.daemons.index(lost)] = back

    def is_used() -> bool:
        _, answer = timed(pool.one, pool.request(0, "true"))
        return holder([back], str(answer["buildId"])) is not None

    wait_until(is_used)
    figure("its images are built there again after", f"{time.monotonic() - since:.1f} s")
    assert time.monotonic() - since <= 10 + 3


def test_a_daemon_falls_silent_and_comes_back(pool: Pool, figure: Figure) -> None:
    pull_base(pool)
    own, _ = timed(pool.one, pool.request(0, f"sleep {STEP_SECONDS:.0f}"))
    places: dict[int, Buildkitd | None] = {}
    for number in range(SMALL_IMAGES):
        _, answer = timed(pool.one, small(pool, number))
        places[number] = holder(pool.daemons, str(answer["buildId"]))

    def round_of(seconds: float) -> list[tuple[int, bool, float]]:
        """Build the small images in turn, each other time as a call; return how long each took."""
        found: list[tuple[int, bool, float]] = []
        until, turns = time.monotonic() + seconds, count()
        while time.monotonic() < until:
            turn = next(turns)
            number, is_call = turn % SMALL_IMAGES, turn // SMALL_IMAGES % 2 == 1
            headers = {"X-Call-Id": uuid.uuid4().hex} if is_call else {}
            found.append((number, is_call, timed(pool.one, small(pool, number), headers)[0]))
        return found

    step = f"sleep {STEP_SECONDS:.0f}; echo again"
    before = round_of(SILENT_SECONDS / 2)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(timed, pool.one, pool.request(0, step))
        time.sleep(1.0)  # so that the small ones' book-keeping has ended, too
        wait_until(lambda: len(pool.busy()) == 1)
        (silent,) = pool.busy()
        silent.pause()
        since = time.monotonic()
        running.add_done_callback(lambda _: done.append(time.monotonic() - since))
        done: list[float] = []
        meanwhile = round_of(SILENT_SECONDS)
        _, answer = running.result()
        silent.resume()
    wait_until(lambda: load(silent) == 0, 15.0)
    figure(
        "silent under a build of 6 s: until it was pushed from another, and without that",
        f"{done[0]:.1f} s, {own:.1f} s: {done[0] - own:+.1f} s",
    )

    def told(rows: list[tuple[int, bool, float]], *, calls: bool, theirs: bool) -> list[float]:
        return sorted(
            took
            for number, is_call, took in rows
            if is_call == calls and (places[number] == silent) == theirs
        )

    for calls, name in ((False, "builds"), (True, "calls that may come twice")):
        for theirs, whose in ((False, "elsewhere"), (True, "of images there")):
            then, now = (told(rows, calls=calls, theirs=theirs) for rows in (before, meanwhile))
            figure(
                f"{name} {whose} meanwhile: median, p99, longest ({len(then)} before, {len(now)})",
                "; ".join(
                    f"{ms(median(rows))}, {ms(percentile(rows, 0.99))}, {ms(rows[-1])}"
                    for rows in (then, now)
                ),
            )
    assert str(answer["digest"]) in pool.pushed(0)
    # Its patience is 4 s.
    assert done[0] <= own + 5.0 + TOLERANCE_SECONDS


def test_one_replica_is_cut_off_from_a_daemon(
    registry: Registry,
    daemons: list[Buildkitd],
    start_function: StartFunction,
    figure: Figure,
) -> None:
    with ExitStack() as stack:
        relays = [stack.enter_context(Relay(daemon.address)) for daemon in daemons]
        one = stack.enter_context(start_function(",".join(each.address for each in relays)))
        other = stack.enter_context(start_function(",".join(each.address for each in daemons)))
        pool = Pool(registry, daemons, one.url, other.url)
        _, first = timed(one.url, small(pool, 0))
        owner = holder(daemons, str(first["buildId"]))
        assert owner
        before, _ = timed(one.url, small(pool, 0))
        since = time.monotonic()
        relays[daemons.index(owner)].silence()

        _, moved = timed(one.url, small(pool, 0))
        late = time.monotonic() - since
        _, stayed = timed(other.url, small(pool, 0))

        assert holder(daemons, str(stayed["buildId"])) == owner
        assert stayed["cacheHits"] == 1
        where = holder(daemons, str(moved["buildId"]))
        figure(
            "one replica's way to a daemon is silent: its next build of an image there",
            f"{late:.1f} s, {'elsewhere' if where != owner else 'there, on a new connection'}",
        )
        assert late <= 1.5 + before


def test_all_daemons_are_restarted_one_after_the_other(  # noqa: C901, PLR0915 - one story
    registry: Registry,
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
    figure: Figure,
) -> None:
    port = ports.free()
    hosts = [f"127.0.7.{number}" for number in range(1, 4)]
    running = {host: start_daemon(registry.address) for host in hosts}
    with ExitStack() as stack:
        dns = stack.enter_context(names())
        for host in hosts:
            listening = socket.create_server((host, port))
            stack.enter_context(Relay(running[host].address, listening))
        dns.point("pool.drill.test", hosts)
        dns.point("lookup.drill.test", hosts)
        replicas = [
            stack.enter_context(
                start_function(
                    f"tcp://pool.drill.test:{port}",
                    buildkit_lookup_url=f"tcp://lookup.drill.test:{port}",
                )
            ).url
            for _ in range(2)
        ]
        pool = Pool(registry, [*running.values()], *replicas)
        threads = stack.enter_context(ThreadPoolExecutor(16))
        stopped = threading.Event()
        statuses: Counter[int] = Counter()
        ended: list[str] = []

        def one_build(number: int) -> tuple[float, dict[str, object]]:
            found = timed(
                replicas[number % 2], pool.request(number % 20, f"sleep 1; echo {number}")
            )
            ended.append(str(found[1]["buildId"]))
            return found

        def ask() -> None:
            while not stopped.wait(0.2):
                for build_id in ended[-3:]:
                    for url in replicas:
                        statuses[command(url, "status", build_id).status] += 1

        asking = threads.submit(ask)
        builds = []
        began = time.monotonic()

        def restart(host: str) -> None:
            daemon = running[host]
            place = daemon.daemon.log.parent, int(daemon.address.rsplit(":", 1)[1])
            dns.point("pool.drill.test", [each for each in hosts if each != host])
            time.sleep(8.0)
            wait_until(lambda: load(daemon) == 0)
            daemon.daemon.process.send(signal.SIGTERM)
            wait_until(lambda: not daemon.daemon.alive, 30.0)
            daemon.kill()
            running[host] = start_daemon(registry.address, root=place[0], port=place[1])
            dns.point("pool.drill.test", hosts)
            time.sleep(8.0)

        def restart_all() -> None:
            for host in hosts:
                restart(host)

        restarting = threads.submit(restart_all)
        number = 0
        while not restarting.done():
            builds.append(threads.submit(one_build, number))
            number += 1
            time.sleep(1.0)
        restarting.result()
        took = time.monotonic() - began
        failed = [each.exception() for each in builds if each.exception()]
        stopped.set()
        asking.result()
        states = Counter(
            str(command(url, "status", build_id).document.get("state"))
            for build_id in ended
            for url in replicas
        )
    figure(
        f"all three restarted in {took:.0f} s under 1 build/s: builds, failed",
        f"{len(builds)}, {len(failed)}",
    )
    figure("status asked meanwhile", str(dict(statuses)))
    figure("afterwards, of every build from every replica", str(dict(states)))
    assert not failed
    assert statuses.keys() <= {200, 503}
    assert states == {"success": 2 * len(builds)}


def test_a_call_that_comes_twice_is_built_once_while_the_set_changes(
    registry: Registry,
    start_daemon: Callable[..., Buildkitd],
    start_function: StartFunction,
    figure: Figure,
) -> None:
    port = ports.free()
    hosts = [f"127.0.8.{number}" for number in range(1, 5)]
    running = [start_daemon(registry.address) for _ in hosts]
    with ExitStack() as stack:
        dns = stack.enter_context(names())
        for host, daemon in zip(hosts, running, strict=True):
            listening = socket.create_server((host, port))
            stack.enter_context(Relay(daemon.address, listening))
        # The one replica sees the first three, the other one whatever the turn says.
        dns.point("one.drill.test", hosts[:3])
        dns.point("other.drill.test", hosts[1:3])
        dns.point("lookup.drill.test", hosts)
        replicas = [
            stack.enter_context(
                start_function(
                    f"tcp://{name}.drill.test:{port}",
                    buildkit_lookup_url=f"tcp://lookup.drill.test:{port}",
                )
            ).url
            for name in ("one", "other")
        ]
        pool = Pool(registry, running, *replicas)
        turns = cycle([hosts[1:], hosts[:2], hosts[1:3], hosts])
        took, twice = [], 0
        for number in range(100):
            if number % 10 == 0:
                dns.point("other.drill.test", next(turns))
            made = pool.request(
                number % 20, f"echo {number}; cat /proc/sys/kernel/random/uuid >/made"
            )
            body, call_id = made.tar(), uuid.uuid4().hex

            def deliver(url: str, body: bytes = body, call_id: str = call_id) -> str:
                since = time.monotonic()
                answer = post(url, body, {"X-Call-Id": call_id})
                assert answer.status == 200, answer.document
                took.append(time.monotonic() - since)
                return str(answer.document["digest"])

            with ThreadPoolExecutor(2) as threads:
                twice += len(set(threads.map(deliver, replicas))) - 1
        built = sum(total(f"{url}/metrics", "builder_fn_builds_total") for url in replicas)
    figure(
        "100 calls to two replicas at once while the set changes: built",
        f"{built:.0f}, {twice} twice",
    )
    figure("longest; median", f"{max(took):.1f} s; {median(took):.2f} s")
    assert (built, twice) == (100, 0)


def test_a_hundred_addresses(start_daemon: Callable[..., Buildkitd], figure: Figure) -> None:
    daemon = start_daemon()
    for number in range(50):
        claim = History(Client(daemon.address)).claim(
            f"{number:032x}", {"image": "a:1", "key": "k"}
        )
        assert claim
        claim.release()
    with ExitStack() as stack:
        relays = [stack.enter_context(Relay(daemon.address)) for _ in range(100)]
        told = subprocess.run(
            [
                sys.executable,
                DEPLOYED.parent / "live/drills/hundred.py",
                *(each.address for each in relays),
            ],
            env={**os.environ, "PYTHONPATH": str(DEPLOYED)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    found = json.loads(told.stdout)
    figure("100 daemons, idle: memory, threads", f"+{found['idle']:.1f} MiB, {found['threads']}")
    figure(
        "a list of them: longest, median, memory after",
        f"{ms(max(found['list']))}, {ms(median(found['list']))}, +{found['listed']:.1f} MiB",
    )
    assert found["known"] == 100
    assert found["threads"] <= 5
    assert found["idle"] <= 10
    assert median(found["list"]) <= 1


def test_a_newcomers_three_daemons(pool: Pool, figure: Figure) -> None:
    """Build twenty images twice, and kill a daemon in between."""
    places: dict[int, Buildkitd | None] = {}
    for number in range(20):
        _, answer = timed(pool.one, pool.request(number, "true"))
        places[number] = holder(pool.daemons, str(answer["buildId"]))
    shares: defaultdict[str, int] = defaultdict(int)
    lost = places[0]
    assert lost
    lost.kill()

    cached = 0
    for number in range(20):
        _, answer = timed(pool.one, pool.request(number, "true"))
        cached += places[number] != lost and answer["cacheHits"] == 2
    for place in places.values():
        shares["lost" if place == lost else "kept"] += 1

    figure(
        "twenty images twice, a daemon killed in between: cached, of those elsewhere",
        f"{cached} of {shares['kept']}",
    )
    assert cached >= 0.95 * shares["kept"]
