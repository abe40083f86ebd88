from __future__ import annotations

from typing import Any

import pytest

from function.tenants.policy import Digests, Policy, parsed
from function.tenants.reading import Malformed, Where
from function.tenants.source_patterns import SourcePattern

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
HERE = Where("policy", "policy")


def policy(**members: Any) -> Policy:
    return parsed(members, HERE)


def test_a_policy_that_says_nothing_restricts_nothing() -> None:
    assert policy() == Policy()


def test_reads_all_that_a_policy_says() -> None:
    found = policy(
        images={"allow": ["docker.io/library/**"], "deny": ["library/old"]},
        frontends={"allow": []},
        hosts={"allow": ["github.com"]},
        git={"allow": ["github.com/acme/**"]},
        network="none",
        platforms=["linux/x86_64"],
        digests="required",
        pins={"debian:12": DIGEST, "python": OTHER},
        memory="2GiB",
        cpus=1.5,
        contact="builds@provider.example",
    )

    assert found.images.allow == (SourcePattern.of_image("docker.io/library/**"),)
    assert found.images.deny == (SourcePattern.of_image("library/old"),)
    assert found.frontends is not None
    assert found.frontends.allow == ()
    assert not found.network
    assert found.platforms == ("linux/amd64",)
    assert found.digests is Digests.REQUIRED
    assert found.pins == {
        "docker.io/library/debian:12": DIGEST,
        "docker.io/library/python:latest": OTHER,
    }
    assert (found.memory, found.cpus) == (2 << 30, 1.5)
    assert found.contact == "builds@provider.example"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"image": {}}, 'policy has the unknown member "image"; did you mean "images"?'),
        ({"images": ["debian"]}, "policy.images must be an object, not an array"),
        ({"images": {"alow": []}}, 'policy.images has the unknown member "alow"'),
        ({"images": {"allow": "debian"}}, "policy.images.allow must be an array, not a string"),
        ({"images": {"allow": ["debian:12"]}}, "policy.images.allow[0] must name repositories"),
        ({"images": {"deny": ["a b"]}}, "policy.images.deny[0] is no pattern"),
        ({"hosts": {"allow": ["https://a"]}}, "policy.hosts.allow[0] must be a host"),
        ({"git": {"allow": ["a/../b"]}}, "policy.git.allow[0] must be a host"),
        ({"network": "off"}, 'policy.network must be "default" or "none"'),
        ({"platforms": ["linux"]}, 'policy.platforms[0] must be a platform such as "linux/amd64"'),
        ({"platforms": []}, "policy.platforms is empty"),
        ({"digests": "always"}, 'policy.digests must be "any" or "required" or "pinned"'),
        ({"digests": "pinned"}, 'policy.digests is "pinned", so there must be "pins"'),
        ({"pins": {"a:1": "sha256:1"}}, 'policy.pins.a:1 must be "sha256:" and 64'),
        ({"pins": {f"a@{DIGEST}": DIGEST}}, "has a digest in its name"),
        ({"pins": {"A": DIGEST}}, "policy.pins.A is no image's name"),
        ({"pins": {"a": DIGEST, "library/a:latest": DIGEST}}, "is another name of"),
        ({"memory": 1}, "policy.memory must be a string"),
        ({"memory": "2G"}, 'policy.memory must be a size such as "512MiB"'),
        ({"memory": "1MiB"}, "policy.memory must be 16MiB or more"),
        (
            {"cpus": "2"},
            "policy.cpus must be a number of processors such as 2 or 0.5, not a string",
        ),
        ({"cpus": True}, "policy.cpus must be a number of processors"),
        ({"cpus": 0}, "policy.cpus must be a number of processors from 0.01 on"),
        ({"cpus": float("nan")}, "policy.cpus must be a number of processors from 0.01 on"),
        ({"contact": ""}, "policy.contact is empty"),
    ],
)
def test_says_what_is_wrong_with_a_policy(members: dict[str, Any], said: str) -> None:
    with pytest.raises(Malformed) as caught:
        policy(**members)

    assert said in str(caught.value)


def test_a_tenants_policy_narrows_the_operators() -> None:
    everybodys = policy(
        images={"allow": ["docker.io/**"], "deny": ["library/old"]},
        platforms=["linux/amd64", "linux/arm64"],
        memory="4GiB",
        cpus=1,
        contact="the provider",
    )
    tenants = policy(
        images={"allow": ["docker.io/library/**", "ghcr.io/acme/**"]},
        network="none",
        platforms=["linux/arm64", "linux/riscv64"],
        memory="8GiB",
        cpus=0.5,
        digests="required",
    )

    both = everybodys.narrowed(tenants)

    assert both.images.allow == (SourcePattern.of_image("docker.io/library/**"),)
    assert both.images.deny == everybodys.images.deny
    assert not both.network
    assert both.platforms == ("linux/arm64",)
    assert (both.memory, both.cpus) == (4 << 30, 0.5)
    assert both.digests is Digests.REQUIRED
    assert both.contact == "the provider"


def test_a_tenants_policy_cannot_widen_the_operators() -> None:
    everybodys = policy(network="none", digests="pinned", pins={"a": DIGEST}, memory="1GiB")
    tenants = policy(network="default", digests="any", pins={"a": OTHER, "b": OTHER})

    assert everybodys.narrowed(tenants) == everybodys


def test_pins_of_two_policies_are_the_operators_first() -> None:
    everybodys, tenants = policy(pins={"a": DIGEST}), policy(pins={"a": OTHER, "b": OTHER})

    assert everybodys.narrowed(tenants).pins == {
        "docker.io/library/a:latest": DIGEST,
        "docker.io/library/b:latest": OTHER,
    }


def test_a_tenant_that_is_held_to_pins_has_its_own_alone() -> None:
    everybodys = policy(pins={"a": DIGEST, "c": DIGEST})
    tenants = policy(digests="pinned", pins={"a": OTHER, "b": OTHER})

    assert everybodys.narrowed(tenants).pins == {
        "docker.io/library/a:latest": DIGEST,
        "docker.io/library/b:latest": OTHER,
    }
