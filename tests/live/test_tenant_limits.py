"""Two replicas on one real daemon hold a tenant to its limits."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from function.buildkit import Client
from function.history.annotations import tenant_filter
from function.history.refs import Part, parsed
from function.pb import control_pb2 as pb

from .caller import Answer, Request, assert_built, post, signature
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


def spans_at_the_daemon(address: str, tenant: str) -> list[tuple[float, float]]:
    """Return when each of the tenant's builds began at the daemon, after its wait in line, and ended."""
    request = pb.BuildHistoryRequest(EarlyExit=True, Filter=[tenant_filter(tenant)])
    with Client(address, patience=PATIENCE).asking() as control:
        events = list(control.listen_build_history(request, timeout=PATIENCE))
    records = [event.record for event in events]
    return [
        (each.CreatedAt.ToNanoseconds() / 1e9, each.CompletedAt.ToNanoseconds() / 1e9)
        for each in records
        if (named := parsed(each.Ref)) and named[0] is Part.BUILD
    ]


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
        spans = spans_at_the_daemon(shared_daemon, name)
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
