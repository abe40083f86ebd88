from __future__ import annotations

from function.builds.tenant_limits.hour import HOUR_SECONDS, Hour
from function.history import ActiveBuild


def build(name: str, *, created: float, tenant: str = "acme") -> ActiveBuild:
    return ActiveBuild(build_id=name, tenant=tenant, created=created, is_running=True)


def waiting(name: str, *, created: float) -> ActiveBuild:
    return ActiveBuild(build_id=name, tenant="acme", created=created, is_running=False)


def test_a_build_that_waits_counts_as_long_as_it_does() -> None:
    hour = Hour()
    hour.add([waiting("a", created=100)])

    assert hour.wait("acme", "b", 1, now=120, active=[waiting("a", created=100)]) > 0
    assert hour.wait("acme", "b", 1, now=120) == 0


def test_the_next_may_begin_once_the_oldest_is_an_hour_old() -> None:
    hour = Hour()
    hour.add([build("a", created=100), build("b", created=160)])

    assert hour.wait("acme", "c", 2, now=400) == HOUR_SECONDS - 300
    assert hour.wait("acme", "c", 1, now=400) == HOUR_SECONDS - 240
    assert hour.wait("acme", "c", 2, now=100 + HOUR_SECONDS) == 0


def test_a_build_that_is_heard_of_twice_counts_once() -> None:
    hour = Hour()
    hour.add([build("a", created=100), build("a", created=110)])

    assert hour.count("acme", now=120) == 1
    assert hour.wait("acme", "b", 2, now=120) == 0


def test_of_builds_that_come_at_one_time_the_first_are_let_begin() -> None:
    hour = Hour()
    hour.add([build(name, created=100) for name in "abc"])

    assert [hour.wait("acme", name, 2, now=100) == 0 for name in "abc"] == [True, True, False]


def test_one_tenants_builds_do_not_count_for_another() -> None:
    hour = Hour()
    hour.add([build("a", created=100, tenant="globex"), build("b", created=100, tenant="")])

    assert hour.wait("acme", "c", 1, now=120) == 0
