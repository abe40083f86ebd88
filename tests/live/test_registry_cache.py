"""The cache that images carry in their configs: for builds that another daemon has to do."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from function.buildkit import Client
from function.history import History

from .caller import Request, assert_built, build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry

    from .conftest import StartFunction

DOCKERFILE = "FROM scratch\nCOPY a /\nCOPY b /\n"
KEY = "moby.buildkit.cache.v0"  # of an image's config


@pytest.fixture
def registry(start_registry: Callable[..., Registry]) -> Registry:
    return start_registry()


@pytest.fixture
def daemons(start_daemon: Callable[..., Buildkitd], registry: Registry) -> list[Buildkitd]:
    return [start_daemon(registry.address) for _ in range(2)]


def request(registry: Registry, name: str = "fn", **config: object) -> Request:
    files = {"Dockerfile": DOCKERFILE, "a": "a", "b": "b"}
    return Request(files, f"{registry.address}/{name}:1", config)


def config_of(registry: Registry, name: str = "fn") -> dict[str, object]:
    found: dict[str, object] = json.loads(registry.client().image(name, "1", "amd64").config)
    return found


def builder_of(daemons: Sequence[Buildkitd], build_id: str) -> Buildkitd:
    (found,) = [each for each in daemons if History(Client(each.address)).record(build_id)]
    return found


def test_a_build_on_another_daemon_finds_what_the_first_one_built(
    daemons: list[Buildkitd], registry: Registry, start_function: StartFunction
) -> None:
    addresses = ",".join(each.address for each in daemons)
    with start_function(addresses, registry_cache="inline") as function:
        first = build(function.url, request(registry))
        assert_built(first)
        assert KEY in config_of(registry)
        assert not any("importing cache" in line for line in first.log)
        builder_of(daemons, first.document["buildId"]).kill()

        again = build(function.url, request(registry))
        new = build(function.url, request(registry, f"fn-{os.urandom(4).hex()}"))

    assert_built(again)
    assert (again.document["cacheHits"], again.document["digest"]) == (2, first.document["digest"])
    assert_built(new)  # of which there is no image yet


def test_no_image_carries_a_cache_unless_that_is_set(
    daemons: list[Buildkitd], registry: Registry, start_function: StartFunction
) -> None:
    address = daemons[0].address
    with start_function(address) as function:
        assert_built(build(function.url, request(registry)))
    with start_function(address, registry_cache="inline") as function:
        assert_built(build(function.url, request(registry, "exact", reproducible=True)))
        assert_built(build(function.url, request(registry, "kept")))

    found = {name: KEY in config_of(registry, name) for name in ("fn", "exact", "kept")}
    assert found == {"fn": False, "exact": False, "kept": True}
