from __future__ import annotations

import json
import re
from typing import Any

import pytest

from function.buildkit.outcome import FailedStep
from function.errors import BuildFailed, PolicyRefused
from function.registry.reference import Reference
from function.request.options import BuildConfig, Document
from function.tenants import Restrictions
from function.tenants.parsing import parsed as parsed_file
from function.tenants.policy import parsed
from function.tenants.reading import Where
from function.tenants.restrictions import namespace_of

HOSTNAME = "build-arg:BUILDKIT_SANDBOX_HOSTNAME"
NAMESPACE = "build-arg:BUILDKIT_CACHE_MOUNT_NS"
PLAIN = b"FROM debian\n"


def config(**members: Any) -> BuildConfig:
    document = json.dumps({"image": "registry.example/acme/fn", **members})
    return BuildConfig.parse(Document("the config", document.encode()))


def restrictions(**policy: Any) -> Restrictions:
    return Restrictions(policy=parsed(policy, Where()))


def of_tenant(name: str = "acme", *, document: Any = None, **members: Any) -> Restrictions:
    """Return the restrictions of a tenant of the file, one of two."""
    tenants = {
        each: {
            "keys": [{"name": "1", "secret": each * 16}],
            "images": [f"registry.example/{each}/**"],
        }
        for each in ("acme", "beta")
    }
    tenants[name] |= members
    file = parsed_file(json.dumps({"tenants": tenants, **(document or {})}).encode())
    return Restrictions.of(file.principal(file.tenants[name].keys[0]))


def beside(beta: Any, **acme: Any) -> Restrictions:
    """Return the restrictions of acme, which has another tenant beside it."""
    tenants = {"acme": {"keys": [{"name": "1", "secret": "acme" * 16}], **acme}, "beta": beta}
    file = parsed_file(json.dumps({"tenants": tenants}).encode())
    return Restrictions.of(file.principal(file.tenants["acme"].keys[0]))


def test_nothing_restricts_where_there_is_neither_a_tenant_nor_a_policy() -> None:
    assert Restrictions().frontend_attrs(config(), PLAIN) == {}
    assert Restrictions().source_rules == ()
    Restrictions().require(config(buildArgs={"BUILDKIT_CACHE_MOUNT_NS": "own"}))


def test_a_tenants_steps_and_cache_mounts_have_a_name_that_no_other_has() -> None:
    acme, beta = (of_tenant(name).frontend_attrs(config(), PLAIN) for name in ("acme", "beta"))

    assert acme[HOSTNAME] == acme[NAMESPACE]
    assert acme[HOSTNAME] != beta[HOSTNAME]
    assert "acme" not in acme[HOSTNAME]
    assert len(acme[HOSTNAME]) <= 63  # of a host name


def test_the_name_is_the_same_for_every_build_and_in_every_replica() -> None:
    assert of_tenant().frontend_attrs(config(), PLAIN) == of_tenant().frontend_attrs(
        config(), PLAIN
    )


def test_a_shared_cache_has_no_names() -> None:
    assert of_tenant(cache="shared").frontend_attrs(config(), PLAIN) == {}
    assert of_tenant(document={"cache": "shared"}).frontend_attrs(config(), PLAIN) == {}


@pytest.mark.parametrize("name", ["BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS"])
def test_a_caller_cannot_name_its_steps_or_cache_mounts(name: str) -> None:
    with pytest.raises(PolicyRefused, match=name):
        of_tenant().require(config(buildArgs={name: "another's"}))


ISOLATED_BESIDE: dict[str, Any] = {"document": {"cache": "isolated"}, "cache": "shared"}


@pytest.mark.parametrize("name", ["BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS"])
def test_who_shares_its_own_cache_cannot_name_its_way_into_an_isolated_one(name: str) -> None:
    with pytest.raises(PolicyRefused, match=name):
        of_tenant(**ISOLATED_BESIDE).require(config(buildArgs={name: namespace_of("beta")}))

    of_tenant(document={"cache": "shared"}).require(config(buildArgs={name: "any"}))


def test_who_shares_its_own_cache_has_no_frontend_that_could_name_an_isolated_one() -> None:
    syntax = b"# syntax=docker/dockerfile:1\nFROM debian\n"

    apart = of_tenant(**ISOLATED_BESIDE)
    assert apart.frontend_attrs(config(), syntax) == {"cmdline": "docker/dockerfile:1"}
    assert any(rule.having == {"image.recordtype": "frontend"} for rule in apart.source_rules)
    assert not of_tenant(document={"cache": "shared"}).source_rules


def test_who_shares_its_own_cache_reads_no_private_image_of_an_isolated_tenant() -> None:
    base = Reference.parse("registry.example/beta/private")

    assert of_tenant(**ISOLATED_BESIDE).refusal_of_image(base)
    assert not of_tenant(document={"cache": "shared"}).refusal_of_image(base)


@pytest.mark.parametrize("own", [["registry.example/acme/**"], []])
@pytest.mark.parametrize("pattern", ["beta.example/**", "beta.example/*", "beta.example/*/*"])
def test_a_registry_that_is_another_tenants_alone_holds_its_private_images(
    pattern: str, own: list[str]
) -> None:
    beta = {"keys": [{"name": "1", "secret": "beta" * 16}], "images": [pattern]}
    image = pattern.replace("**", "x").replace("*", "x")

    found = beside(beta, images=own)

    assert found.refusal_of_image(Reference.parse(f"{image}:1"))
    assert found.refusal_of_image(Reference.parse(f"{image}@sha256:{'0' * 64}"))
    assert not found.refusal_of_image(Reference.parse("debian"))


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        ("registry.example/beta-*", "registry.example/beta-private"),
        ("registry.example/beta-*/**", "registry.example/beta-1/private"),
        ("registry.example/*-beta/*", "registry.example/1-beta/private"),
        ("registry.example/*/beta", "registry.example/any/beta"),
        ("beta-*/**", "docker.io/beta-1/private"),
        ("beta-*", "beta-private"),
    ],
)
def test_a_place_whose_name_has_stars_holds_its_private_images(pattern: str, image: str) -> None:
    beta = {"keys": [{"name": "1", "secret": "beta" * 16}], "images": [pattern]}

    found = beside(beta, images=["registry.example/acme/**", "docker.io/acme/**"])

    assert found.refusal_of_image(Reference.parse(f"{image}:1"))
    assert found.refusal_of_image(Reference.parse(f"{image}@sha256:{'0' * 64}"))
    for name in ("debian", "registry.example/base/python", "registry.example/acme/beta"):
        assert not found.refusal_of_image(Reference.parse(name))


@pytest.mark.parametrize(
    ("pattern", "own"),
    [
        ("docker.io/**", "registry.example/acme/**"),
        ("**", "registry.example/acme/**"),
        ("registry.example/**", "registry.example/acme/**"),
        ("beta.example/**", "**"),
    ],
)
def test_what_is_not_one_other_tenants_alone_may_be_built_from(pattern: str, own: str) -> None:
    beta = {"keys": [{"name": "1", "secret": "beta" * 16}], "images": [pattern]}
    found = beside(beta, images=[own])

    for name in ("debian", "registry.example/base/python", "docker.io/any/image"):
        assert not found.refusal_of_image(Reference.parse(name))


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({}, "policy.frontends.allow has nothing"),
        ({"policy": {"frontends": {"allow": ["r.example/f"]}}}, '"r.example/f" alone'),
        ({"policy": {"images": {"allow": ["r.example/**"]}}}, "policy.images.allow"),
    ],
)
@pytest.mark.parametrize("syntax", ["evil.example/frontend:1", "docker/dockerfile:1-labs"])
def test_a_frontend_that_is_not_allowed_is_refused_before_anybody_is_asked_for_it(
    syntax: str, members: dict[str, Any], rule: str
) -> None:
    found = of_tenant(**members)
    dockerfile = f"# escape=`\n# syntax={syntax}\nFROM debian\n".encode()

    with pytest.raises(PolicyRefused, match=re.escape(rule)) as raised:
        found.require_frontend(config(), dockerfile)
    assert f"{syntax} (Dockerfile:2)" in str(raised.value)
    assert "Ask the operator" in str(raised.value)
    assert raised.value.failed_step
    assert raised.value.failed_step.line == 2
    for argument in (syntax, f" {syntax} option"):
        with pytest.raises(PolicyRefused, match=re.escape(rule)):
            found.require_frontend(config(buildArgs={"BUILDKIT_SYNTAX": argument}), PLAIN)


@pytest.mark.parametrize(
    ("members", "syntax"),
    [
        ({}, "docker/dockerfile:1"),
        ({}, "NO-NAME"),
        ({"policy": {"frontends": {"allow": ["r.example/f"]}}}, "r.example/f:1"),
        ({"policy": {"frontends": {"allow": ["r.example/f"]}}}, "r.example/f@sha256:" + "0" * 64),
        ({"document": {"cache": "shared"}}, "evil.example/frontend:1"),
    ],
)
def test_what_may_read_the_dockerfile_or_is_unclear_is_left_to_the_daemon(
    members: dict[str, Any], syntax: str
) -> None:
    of_tenant(**members).require_frontend(config(), f"# syntax={syntax}\n".encode() + PLAIN)
    of_tenant(**members).require_frontend(config(), PLAIN)


@pytest.mark.parametrize("syntax", ["docker/dockerfile:1", "docker.io/docker/dockerfile:1.7"])
def test_what_asks_for_buildkits_own_frontend_gets_the_one_that_is_built_in(syntax: str) -> None:
    dockerfile = f"# syntax={syntax}\nFROM debian\n".encode()

    assert of_tenant().frontend_attrs(config(), dockerfile)["cmdline"] == syntax
    as_windows_writes_it = b"\xef\xbb\xbf" + dockerfile.replace(b"\n", b"\r\n")
    assert of_tenant().frontend_attrs(config(), as_windows_writes_it)["cmdline"] == syntax
    by_argument = config(buildArgs={"BUILDKIT_SYNTAX": f" {syntax} and more"})
    assert of_tenant().frontend_attrs(by_argument, PLAIN)["cmdline"] == syntax


@pytest.mark.parametrize(
    "syntax",
    [
        "evil.example/docker/dockerfile:1",
        "docker/dockerfile-evil:1",
        "docker/dockerfile:1-labs",
        "a b",
        "",
    ],
)
def test_what_asks_for_another_frontend_is_left_to_the_rules(syntax: str) -> None:
    dockerfile = f"# syntax={syntax}\nFROM debian\n".encode()

    assert "cmdline" not in of_tenant().frontend_attrs(config(), dockerfile)


def test_an_argument_that_names_a_frontend_goes_before_the_dockerfile() -> None:
    dockerfile = b"# syntax=docker/dockerfile:1\nFROM debian\n"
    wanted = config(buildArgs={"BUILDKIT_SYNTAX": "evil.example/frontend"})

    assert "cmdline" not in of_tenant().frontend_attrs(wanted, dockerfile)


def test_a_frontend_that_no_list_of_images_has_is_left_to_the_rules() -> None:
    found = of_tenant(policy={"images": {"allow": ["docker.io/library/**"]}})

    assert "cmdline" not in found.frontend_attrs(config(), b"# syntax=docker/dockerfile:1\n")


def test_frontends_that_the_operator_names_are_used() -> None:
    found = of_tenant(policy={"frontends": {"allow": ["docker/dockerfile"]}})

    assert "cmdline" not in found.frontend_attrs(config(), b"# syntax=docker/dockerfile:1\n")


def test_steps_without_a_network_and_with_limits() -> None:
    attrs = restrictions(network="none", memory="1GiB", cpus=0.5).frontend_attrs(config(), PLAIN)

    assert attrs == {
        "force-network-mode": "none",
        "memory": str(1 << 30),
        "memswap": str(1 << 30),
        "cpuperiod": "100000",
        "cpuquota": "50000",
    }


@pytest.mark.parametrize("asked", ["linux/amd64", "linux/x86_64", "linux/AMD64"])
def test_a_platform_that_is_allowed_may_be_written_in_any_way(asked: str) -> None:
    restrictions(platforms=["linux/amd64"]).require(config(platforms=[asked]))


def test_another_platform_is_refused() -> None:
    with pytest.raises(PolicyRefused, match=r"linux/arm64: policy\.platforms has linux/amd64\."):
        restrictions(platforms=["linux/amd64"]).require(
            config(platforms=["linux/amd64", "linux/arm64"])
        )


def test_the_only_platform_is_built_for_where_none_is_asked_for() -> None:
    found = restrictions(platforms=["linux/arm64"])

    assert found.frontend_attrs(config(), PLAIN) == {"platform": "linux/arm64"}
    assert found.frontend_attrs(config(platforms=["linux/aarch64"]), PLAIN) == {}


def test_two_policies_that_leave_no_platform_refuse_every_build() -> None:
    found = of_tenant(
        policy={"platforms": ["linux/arm64"]}, document={"policy": {"platforms": ["linux/amd64"]}}
    )

    with pytest.raises(PolicyRefused, match="leaves none"):
        found.require(config())


def test_the_policy_of_all_holds_for_operators_too() -> None:
    operators = {"operators": {"ops": {"keys": [{"name": "1", "secret": "o" * 32}]}}}
    file = parsed_file(json.dumps({**operators, "policy": {"network": "none"}}).encode())
    found = Restrictions.of(file.principal(file.operator_keys[0]))

    assert found.frontend_attrs(config(), PLAIN) == {"force-network-mode": "none"}


def test_images_of_other_tenants_are_closed_to_a_tenant() -> None:
    patterns = [rule.pattern for rule in of_tenant("beta").source_rules]

    source = "docker-image://registry.example:443/acme/base:1"
    assert any(re.fullmatch(pattern, source) for pattern in patterns if "acme" in pattern)


def test_a_list_of_images_says_by_itself_what_is_open() -> None:
    found = of_tenant("beta", policy={"images": {"allow": ["registry.example/**"]}})

    assert not any("acme" in rule.pattern for rule in found.source_rules)


def refused(source: str, step: FailedStep | None = None) -> PolicyRefused:
    return PolicyRefused("The source is forbidden.", step, source=source)


def test_a_refusal_says_the_line_the_rule_and_whom_to_ask() -> None:
    found = restrictions(images={"allow": ["debian"]}, contact="builds@provider.example")
    step = FailedStep(name="", file="Dockerfile", line=3, excerpt=("3 | FROM evil",))

    error = found.cause_of(refused("docker-image://ghcr.io/a/b:1", step), config(), PLAIN)

    assert isinstance(error, PolicyRefused)
    assert str(error) == (
        'The build may not use ghcr.io/a/b:1 (Dockerfile:3): policy.images.allow has "debian" alone. Ask '
        "builds@provider.example if it should be allowed."
    )
    assert error.failed_step == step
    assert (error.status, error.code, error.own_fault) == (403, "policy_refused", False)


def test_a_line_that_the_daemon_does_not_say_is_looked_for() -> None:
    dockerfile = b"FROM debian\nADD https://evil.example/x /\n"

    error = restrictions(hosts={"allow": []}).cause_of(
        refused("https://evil.example/x"), config(), dockerfile
    )

    assert "https://evil.example/x (Dockerfile:2): policy.hosts.allow has nothing." in str(error)
    assert error.failed_step is not None
    assert error.failed_step.line == 2


def test_a_refusal_shows_no_password() -> None:
    error = restrictions(hosts={"allow": []}).cause_of(
        refused("https://me:password@evil.example/x"), config(), PLAIN
    )

    assert "password" not in str(error)


def test_other_failures_stay_what_they_are() -> None:
    failure = BuildFailed("exit code: 1")

    assert restrictions().cause_of(failure, config(), PLAIN) is failure
