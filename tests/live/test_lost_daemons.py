"""Three daemons, of which one is killed while it is sent a context, pushes, or has a build in its line."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from .caller import Request, build, documents, stream
from .commands import command, live_log, wait_for_state
from .gate import Gate
from .relay import Relay
from .scraping import total
from .test_pool import Pool, command_detached, daemons, load, registry
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry

    from .conftest import StartFunction

__all__ = ["daemons", "registry"]

SENT_BYTES, CONTEXT_BYTES = 4 << 20, 32 << 20
RETRIES = "builder_fn_daemon_retries_total"


def digests(registry: Registry, repository: str) -> set[str]:
    storage = registry.storage / f"docker/registry/v2/repositories/{repository}"
    return {f"sha256:{each.name}" for each in (storage / "_manifests/revisions/sha256").iterdir()}


def test_killed_in_the_upload_of_a_context(
    registry: Registry, daemons: list[Buildkitd], start_function: StartFunction
) -> None:
    files = {"Dockerfile": b"FROM scratch\nCOPY large /\n", "large": bytes(CONTEXT_BYTES)}
    request = Request(files, f"{registry.address}/lost/upload:1")
    with ExitStack() as stack:
        relays = [stack.enter_context(Relay(daemon.address)) for daemon in daemons]
        addresses = ",".join(relay.address for relay in relays)
        function = stack.enter_context(start_function(addresses))
        for relay in relays:
            relay.hold(after=SENT_BYTES)
        response = stack.enter_context(stream(function.url, request))
        wait_until(lambda: any(relay.holds for relay in relays))
        (held,) = [relay for relay in relays if relay.holds]
        for relay in relays:
            if relay is not held:
                relay.let_go()

        daemons[relays.index(held)].kill()

        held.let_go()
        *lines, final = documents(response)
        retries = total(f"{function.url}/metrics", RETRIES)
    assert final["status"] == "success", final
    assert sum("was lost" in entry for line in lines for entry in line["log"]) == 1
    assert final["digest"] in digests(registry, "lost/upload")
    assert retries == 1


def test_killed_in_a_push(
    registry: Registry, start_daemon: Callable[..., Buildkitd], start_function: StartFunction
) -> None:
    """Have one caller wait, and one follow a detached build with secrets in another replica."""
    with ExitStack() as stack:
        way = stack.enter_context(Relay(f"tcp://{registry.address}"))
        host = way.address.removeprefix("tcp://")
        daemons = [start_daemon(host) for _ in range(3)]
        addresses = ",".join(daemon.address for daemon in daemons)
        one = stack.enter_context(start_function(addresses)).url
        other = stack.enter_context(start_function(addresses)).url
        plain = Request({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"}, f"{host}/lost/push:1")
        secret = Request(
            {**plain.files, "a": "b"},
            plain.image,
            {"buildArgs": {"API_TOKEN": "not-to-be-seen-anywhere"}, "detach": True},
        )
        way.hold()
        detached = command_detached(one, secret)
        followed = stack.enter_context(live_log(other, detached))
        streamed = stack.enter_context(stream(one, plain))
        wait_until(lambda: way.holds and any(load(daemon) == 2 for daemon in daemons))
        (lost,) = [daemon for daemon in daemons if load(daemon)]

        lost.kill()

        way.let_go()
        *_, final = documents(streamed)
        *_, seen = documents(followed)
        wait_for_state(other, detached, "success")
        result = command(other, "result", detached).document
        retries = total(f"{one}/metrics", RETRIES)
    assert final["status"] == seen["status"] == "success"
    assert {final["digest"], result["digest"]} <= digests(registry, "lost/push")
    assert final["digest"] != result["digest"]
    assert retries == 2


def test_killed_with_a_build_in_its_line(
    registry: Registry, daemons: list[Buildkitd], start_function: StartFunction
) -> None:
    addresses = ",".join(daemon.address for daemon in daemons)
    with (
        Gate() as gate,
        start_function(addresses, max_builds="1") as one,
        start_function(addresses) as other,
    ):
        pool = Pool(registry, daemons, one.url, other.url)
        with stream(pool.one, pool.request(0, gate.command)) as ahead:
            gate.wait_until_arrived()
            waiting = command_detached(pool.one, pool.request(0, "true"))
            wait_for_state(pool.other, waiting, "queued")
            (lost,) = pool.busy()

            lost.kill()

            gate.open()
            *_, final = documents(ahead)
            wait_for_state(pool.other, waiting, "success")
        result = command(pool.other, "result", waiting).document
        assert final["status"] == "success"
        assert {final["digest"], result["digest"]} <= pool.pushed(0)
        assert build(pool.other, pool.request(0, "true")).status == 200
