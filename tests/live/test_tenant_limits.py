"""Two replicas on one real daemon hold a tenant to its limits."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from function.history.viewer import Viewer

from .caller import Answer, Request, assert_built, post, signature
from .daemon import Daemon
from .test_building import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import StartFunction

SECRET = b"a-secret-of-the-tenant-that-has-limits"
PATIENCE = 10.0


@contextmanager
def replicas(
    start_function: StartFunction, daemon: str, **limits: int
) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of a tenant that nobody has heard of, and the addresses of two replicas."""
    name = f"acme-{os.urandom(4).hex()}"
    tenant = {"keys": [{"name": "1", "secret": SECRET.decode()}], "limits": limits}
    with (
        start_function(daemon, tenants={name: tenant}) as first,
        start_function(daemon, tenants={name: tenant}) as second,
    ):
        yield name, [first.url, second.url]


def built(url: str, request: Request) -> Answer:
    body = request.tar()
    return post(url, body, {"X-Build-Signature": signature(body, SECRET)})


def at_once(spans: list[tuple[float, float]]) -> int:
    """Return how many of *spans* there were at one time, at most."""
    return max(sum(begun <= at < ended for begun, ended in spans) for at, _ in spans)


def test_no_more_builds_run_at_once_than_may_and_as_many_as_may(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with replicas(start_function, shared_daemon, builds=2) as (name, urls):
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda url: built(url, running("sleep 0.5")), urls * 4))

        for answer in answers:
            assert_built(answer)
        found = Daemon(shared_daemon, patience=PATIENCE).records(limit=20, viewer=Viewer(name))
        spans = [(each.created, each.completed or 0.0) for each in found]
        assert len(spans) == 8
        assert at_once(spans) == 2


def test_a_build_beyond_the_hours_allowance_is_refused_by_a_replica_that_built_none(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with replicas(start_function, shared_daemon, buildsPerHour=1) as (_, (first, second)):
        assert_built(built(first, running("true")))

        refused = built(second, running("true"))

    assert (refused.status, refused.document["reason"]) == (429, "tenant_limit")
    assert 3000 < int(refused.headers["Retry-After"]) <= 3600
