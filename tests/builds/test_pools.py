"""A tenant with a daemon of its own: what is built, asked and told there, and what happens to everybody's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from function.builds import pools
from function.builds.builder import Builder
from function.errors import DaemonUnavailable, NotFound, RecordsOff, Unavailable
from function.history.viewer import ALL, Viewer

from .jobs import job, run, settings, shorten_waits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from function.builds.job import Job

    from ..fake_buildkitd import FakeBuildkitd

KEYS = {name: f"{name}-0123456789abcdef0123456789abcdef" for name in ("acme", "beta", "gamma")}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch)


@pytest.fixture
def everybodys(start_daemon: Callable[..., FakeBuildkitd]) -> FakeBuildkitd:
    return start_daemon(worker_id="everybodys", hostname="everybodys")


@pytest.fixture
def own(start_daemon: Callable[..., FakeBuildkitd]) -> FakeBuildkitd:
    return start_daemon(worker_id="own", hostname="own")


@pytest.fixture
def builder(everybodys: FakeBuildkitd, own: FakeBuildkitd, tmp_path: Path) -> Builder:
    write(tmp_path, acme=own.url)
    return Builder(settings(everybodys, tmp_path))


def write(folder: Path, **urls: str) -> None:
    """Write a file of three tenants, of whom those with *urls* have daemons of their own."""
    tenants = {
        name: {
            "keys": [{"name": "1", "secret": secret}],
            "images": ["**"],
            **({"buildkitUrl": urls[name]} if name in urls else {}),
        }
        for name, secret in KEYS.items()
    }
    new = folder / ".new"
    new.write_text(json.dumps({"tenants": tenants}))
    new.replace(folder / "builder-tenants")


def job_of(builder: Builder, name: str, **fields: Any) -> Job:
    tenants = builder.replica.askers.tenants
    assert tenants
    principal = tenants.principal(tenants.tenants[name].keys[0])
    return replace(job(claimed=True, **fields), principal=principal)


def built(builder: Builder, name: str) -> str:
    asked = job_of(builder, name)
    run(builder.build(asked))
    return asked.build_id


def test_a_tenants_builds_go_to_its_own_daemon_and_others_to_everybodys(
    builder: Builder, everybodys: FakeBuildkitd, own: FakeBuildkitd
) -> None:
    acmes, betas = built(builder, "acme"), built(builder, "beta")

    assert own.history.completed(acmes)
    assert everybodys.history.completed(betas)
    assert not everybodys.history.completed(acmes)
    assert not own.history.completed(betas)


def test_questions_about_a_tenants_builds_ask_its_own_daemon(builder: Builder) -> None:
    acmes, betas = built(builder, "acme"), built(builder, "beta")

    assert builder.record(acmes, Viewer("acme")).ref.build_id == acmes
    assert builder.record(betas, Viewer("beta")).ref.build_id == betas
    with pytest.raises(NotFound):
        builder.record(betas, Viewer("acme"))
    with pytest.raises(NotFound):
        builder.record(acmes, Viewer("beta"))
    followed = builder.follow(acmes, lambda: False, viewer=Viewer("acme"))
    run(followed)
    assert followed.result


def test_a_tenant_that_gets_a_pool_is_told_who_finds_its_builds_of_before(
    builder: Builder, tmp_path: Path, own: FakeBuildkitd
) -> None:
    before, never = built(builder, "beta"), "0" * 32
    write(tmp_path, beta=own.url)

    with pytest.raises(RecordsOff, match=r"none was begun there yet.* found by the operator"):
        builder.record(before, Viewer("beta"))
    built(builder, "beta")
    said = {}
    for build_id in (before, never):
        with pytest.raises(NotFound, match="is found by the operator of the builder") as raised:
            builder.record(build_id, Viewer("beta"))
        said[build_id] = str(raised.value).replace(build_id, "ID")
    assert said[before] == said[never]
    assert builder.record(before).ref.build_id == before
    with pytest.raises(NotFound) as raised:
        builder.record(never)
    assert "operator" not in str(raised.value)


def test_an_operator_sees_the_builds_of_all_pools(builder: Builder) -> None:
    acmes, betas = built(builder, "acme"), built(builder, "beta")

    records, unreachable = builder.records(limit=10, viewer=ALL)

    assert {each.ref.build_id for each in records} == {acmes, betas}
    assert unreachable == ()
    assert builder.record(acmes).ref.build_id == acmes
    assert builder.cancel(acmes).ref.build_id == acmes
    with pytest.raises(NotFound):
        builder.record("0" * 32)


def test_a_tenant_lists_its_own_pool(builder: Builder) -> None:
    acmes = built(builder, "acme")
    built(builder, "beta")

    records, _ = builder.records(limit=10, viewer=Viewer("acme"))

    assert [each.ref.build_id for each in records] == [acmes]


def test_everybodys_daemon_answers_while_a_tenants_is_gone(
    builder: Builder, own: FakeBuildkitd
) -> None:
    betas = built(builder, "beta")
    own.die()

    assert built(builder, "beta")
    assert builder.record(betas).ref.build_id == betas
    with pytest.raises(Unavailable):
        built(builder, "acme")
    with pytest.raises(Unavailable):
        builder.record("0" * 32)  # it may be there
    versions, known = builder.daemon_versions()
    assert (len(versions), known) == (1, 2)


def test_an_operators_list_names_the_daemon_that_does_not_answer(
    builder: Builder, own: FakeBuildkitd
) -> None:
    betas = built(builder, "beta")
    own.die()

    records, unreachable = builder.records(limit=10, viewer=ALL)

    assert [each.ref.build_id for each in records] == [betas]
    assert unreachable == (own.url,)


def test_none_answers_if_no_pool_does(
    builder: Builder, everybodys: FakeBuildkitd, own: FakeBuildkitd
) -> None:
    everybodys.die()
    own.die()

    with pytest.raises(DaemonUnavailable):
        builder.records(limit=10, viewer=ALL)
    with pytest.raises(DaemonUnavailable):
        builder.daemon_versions()


def test_all_daemons_are_watched(builder: Builder) -> None:
    built(builder, "acme")

    text = builder.scraped().decode()

    assert text.count("builder_fn_buildkitd_up{") == 2


def test_pods_of_one_name_in_several_pools_are_told_apart(
    start_daemon: Callable[..., FakeBuildkitd], tmp_path: Path
) -> None:
    everybodys, own = (start_daemon(worker_id=each, hostname="buildkitd-0") for each in "12")
    others = start_daemon(worker_id="3", hostname="buildkitd-1")
    write(tmp_path, acme=f"{own.url},{others.url}")
    urls = (everybodys.url, "tcp://no-such-host.invalid:1")
    builder = Builder(settings(everybodys, tmp_path, buildkit_url=urls))
    built(builder, "acme")

    versions, known = builder.daemon_versions()

    assert set(versions) == {
        f"buildkitd-0 ({everybodys.url})",
        f"buildkitd-0 ({own.url})",
        "buildkitd-1",
    }
    assert known == 3
    text = builder.scraped().decode()
    for name in (*versions, urls[1]):
        assert text.count(f'builder_fn_buildkitd_up{{daemon="{name}"}}') == 1


def test_a_tenant_of_everybodys_addresses_has_everybodys_pool(
    builder: Builder, everybodys: FakeBuildkitd, tmp_path: Path
) -> None:
    write(tmp_path, acme=everybodys.url)
    found = builder.replica.pools

    assert found.of(job_of(builder, "acme").principal) is found.everybodys


def test_tenants_of_the_same_addresses_share_a_pool(
    builder: Builder, own: FakeBuildkitd, tmp_path: Path
) -> None:
    write(tmp_path, acme=own.url, beta=own.url)
    of = builder.replica.pools.of

    assert of(job_of(builder, "acme").principal) is of(job_of(builder, "beta").principal)


def test_a_pool_is_closed_when_the_file_has_it_no_more(
    builder: Builder, own: FakeBuildkitd, tmp_path: Path
) -> None:
    found = builder.replica.pools
    before = found.of(job_of(builder, "acme").principal)
    write(tmp_path)

    assert found.of(job_of(builder, "acme").principal) is found.everybodys
    assert found.seen_by(ALL) == (found.everybodys,)

    write(tmp_path, acme=own.url)
    assert found.of(job_of(builder, "acme").principal) is not before


def test_no_more_pools_than_so_many_are_open(
    builder: Builder,
    own: FakeBuildkitd,
    start_daemon: Callable[..., FakeBuildkitd],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "_MOST_POOLS", 1)
    write(tmp_path, acme=own.url, beta=start_daemon(worker_id="another").url)

    for name in ("acme", "beta", "acme"):
        assert built(builder, name)
    assert len(builder.replica.pools.current()) == 2


def test_an_address_that_is_none_concerns_its_own_tenant_alone(
    builder: Builder, tmp_path: Path
) -> None:
    write(tmp_path, acme="tcp://127.0.0.1:1")

    with pytest.raises(Unavailable):
        built(builder, "acme")
    assert built(builder, "beta")
