"""Judges sources by the rules as the daemon does: tests/live/test_policy.py has the daemon do it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from function.buildkit import OWN_SESSION, Action
from function.tenants.policy import Policy, parsed
from function.tenants.reading import Where
from function.tenants.source_patterns import SourcePattern
from function.tenants.source_rules import SourceLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from function.buildkit import SourceRule

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
IMAGE = "docker-image://"
FRONTEND = {"image.recordtype": "frontend"}


def limits(*, guarded: bool = False, **policy: Any) -> SourceLimits:
    return SourceLimits(policy=parsed(policy, Where()), guarded=guarded)


def judged(found: SourceLimits, source: str, attrs: Mapping[str, str] | None = None) -> str:
    """Return what becomes of *source*: what it is converted to, or "" if it is refused."""
    attrs = dict(attrs or {})
    while True:
        allowed, converted = True, False
        for rule in found.rules():
            if not _fits(rule, source, attrs):
                continue
            if rule.action is Action.CONVERT:
                before = source, dict(attrs)
                source = rule.identifier or source
                attrs |= rule.attrs
                converted = (source, attrs) != before
                if converted:
                    break
            else:
                allowed = rule.action is Action.ALLOW
        if not converted:
            assert allowed or found.refusal(source)
            return source if allowed else ""


def _fits(rule: SourceRule, source: str, attrs: Mapping[str, str]) -> bool:
    return (
        re.fullmatch(rule.pattern, source) is not None
        and all(attrs.get(key, "") == value for key, value in rule.having.items())
        and all(attrs.get(key, "") != value for key, value in rule.without.items())
    )


def test_a_build_that_may_use_everything_has_no_rules() -> None:
    assert SourceLimits(policy=Policy()).rules() == ()


@pytest.mark.parametrize(
    "source",
    ["oci-layout://a@sha256:b", "docker-image+blob://a", "anything://else", "", IMAGE + "a/b\n"],
)
def test_sources_of_other_kinds_are_refused_once_there_are_rules(source: str) -> None:
    assert not judged(limits(images={"allow": ["docker.io/a/b"]}), source)


def test_the_files_of_the_own_session_are_allowed_and_of_no_other() -> None:
    found = limits(images={"allow": []})

    assert judged(found, "local://context", {"local.session": OWN_SESSION})
    assert not judged(found, "local://context", {"local.session": "another"})
    assert not judged(found, "local://context")


def test_refusing_an_image_goes_before_allowing_it() -> None:
    found = limits(images={"allow": ["docker.io/**"], "deny": ["docker.io/library/old*"]})

    assert judged(found, f"{IMAGE}docker.io/library/debian:12")
    assert not judged(found, f"{IMAGE}docker.io/library/oldest:1")
    assert not judged(found, f"{IMAGE}ghcr.io/a/b:1")


def test_a_list_of_hosts_is_for_downloads_and_for_git() -> None:
    found = limits(hosts={"allow": ["a.example"], "deny": ["b.example"]})

    assert judged(found, "https://a.example/x")
    assert judged(found, "git://a.example/x.git#main")
    assert not judged(found, "https://b.example/x")
    assert not judged(found, "git://c.example/x.git")
    assert judged(found, f"{IMAGE}anything.example/x:1")


def test_a_list_of_repositories_narrows_the_hosts_for_git_alone() -> None:
    found = limits(
        hosts={"allow": [".example"]}, git={"allow": ["a.example/acme/**", "other.host/**"]}
    )

    assert judged(found, "git://a.example/acme/x.git")
    assert not judged(found, "git://a.example/evil/x.git")
    assert not judged(found, "git://other.host/x.git")
    assert judged(found, "https://b.example/x")


def test_a_repository_of_git_comes_without_submodules_where_hosts_are_limited() -> None:
    [rule] = [
        rule for rule in limits(hosts={"allow": ["a"]}).rules() if rule.action is Action.CONVERT
    ]

    assert rule.attrs == {"git.skipsubmodules": "true"}
    assert _fits(rule, "git://a/x.git", {})


def test_a_bundle_cannot_bring_a_repositorys_contents_from_elsewhere() -> None:
    found = limits(hosts={"allow": ["a.example"]})

    assert not judged(found, "git://a.example/x", {"git.bundle": "docker-image+blob://evil/x"})


def test_a_digest_can_be_required() -> None:
    found = limits(digests="required")

    assert judged(found, f"{IMAGE}docker.io/library/debian:12@{DIGEST}")
    assert not judged(found, f"{IMAGE}docker.io/library/debian:12")


def test_a_table_gives_the_digest_that_is_required() -> None:
    found = limits(digests="required", pins={"debian:12": DIGEST})

    pinned = f"{IMAGE}docker.io/library/debian:12@{DIGEST}"
    assert judged(found, f"{IMAGE}docker.io/library/debian:12") == pinned
    assert not judged(found, f"{IMAGE}docker.io/library/debian:13")
    assert judged(found, f"{IMAGE}docker.io/library/debian:12@{OTHER}")


def test_a_table_can_be_all_there_is() -> None:
    found = limits(digests="pinned", pins={"debian:12": DIGEST, "ghcr.io/a/b": DIGEST})

    assert judged(found, f"{IMAGE}docker.io/library/debian:12")
    assert judged(found, f"{IMAGE}docker.io/library/debian@{DIGEST}")
    assert not judged(found, f"{IMAGE}docker.io/library/debian:12@{OTHER}")
    assert not judged(found, f"{IMAGE}docker.io/library/debian:13")
    assert not judged(found, f"{IMAGE}docker.io/library/other:1@{DIGEST}")


def test_a_pinned_image_is_refused_all_the_same_where_its_name_is() -> None:
    found = limits(digests="pinned", pins={"debian:12": DIGEST}, images={"allow": ["ghcr.io/**"]})

    assert not judged(found, f"{IMAGE}docker.io/library/debian:12")


def test_only_buildkits_own_frontend_reads_the_dockerfile_of_a_guarded_build() -> None:
    found = limits(guarded=True)

    assert not judged(found, f"{IMAGE}docker.io/docker/dockerfile:1@{DIGEST}", FRONTEND)
    assert judged(found, f"{IMAGE}docker.io/docker/dockerfile:1@{DIGEST}")


def test_the_operator_can_name_frontends_that_are_trusted() -> None:
    found = limits(
        guarded=True, frontends={"allow": ["ghcr.io/acme/*"], "deny": ["ghcr.io/acme/x"]}
    )

    assert judged(found, f"{IMAGE}ghcr.io/acme/frontend:1@{DIGEST}", FRONTEND)
    assert not judged(found, f"{IMAGE}ghcr.io/acme/x:1@{DIGEST}", FRONTEND)
    assert not judged(found, f"{IMAGE}docker.io/docker/dockerfile:1@{DIGEST}", FRONTEND)


def test_a_frontend_is_an_image_as_well() -> None:
    found = limits(frontends={"allow": ["**"]}, images={"allow": ["docker.io/library/**"]})

    assert not judged(found, f"{IMAGE}ghcr.io/acme/frontend:1@{DIGEST}", FRONTEND)


@pytest.mark.parametrize("digests", ["any", "pinned"])
def test_a_frontend_is_pinned_like_every_other_image(digests: str) -> None:
    found = limits(
        guarded=True,
        digests=digests,
        pins={"ghcr.io/a/f": DIGEST},
        frontends={"allow": ["ghcr.io/a/*"]},
    )

    assert judged(found, f"{IMAGE}ghcr.io/a/f:latest@{DIGEST}", FRONTEND)
    refused = judged(found, f"{IMAGE}ghcr.io/a/g:latest@{OTHER}", FRONTEND) == ""
    assert refused is (digests == "pinned")


def test_where_others_push_is_closed_but_for_what_is_ones_own() -> None:
    place = SourcePattern.of_image
    found = SourceLimits(
        policy=Policy(),
        own=(place("r.example/shared/ours"),),
        others=(place("r.example/acme/**"), place("r.example/shared/*")),
    )

    assert not judged(found, f"{IMAGE}r.example/acme/private@{DIGEST}")
    assert not judged(found, f"{IMAGE}r.example:443/acme/private@{DIGEST}")
    assert not judged(found, f"{IMAGE}r.example/shared/theirs:1")
    assert judged(found, f"{IMAGE}r.example/shared/ours:1")
    assert judged(found, f"{IMAGE}docker.io/library/debian:12")
    assert "another tenant" in found.refusal(f"{IMAGE}r.example/acme/private@{DIGEST}")


@pytest.mark.parametrize(
    ("policy", "source", "said"),
    [
        (
            {"images": {"allow": ["debian"]}},
            f"{IMAGE}ghcr.io/a/b:1",
            'policy.images.allow has "debian" alone',
        ),
        ({"images": {"allow": []}}, f"{IMAGE}ghcr.io/a/b:1", "policy.images.allow has nothing"),
        (
            {"images": {"deny": ["ghcr.io/**"]}},
            f"{IMAGE}ghcr.io/a/b:1",
            'policy.images.deny has "ghcr.io/**"',
        ),
        (
            {"images": {"allow": list("abcdefg")}},
            f"{IMAGE}ghcr.io/a/b:1",
            'policy.images.allow has "a", "b", "c", "d", "e" and more alone',
        ),
        (
            {"hosts": {"allow": ["a.example"]}},
            "https://b.example/x",
            'policy.hosts.allow has "a.example" alone',
        ),
        (
            {"git": {"allow": ["a.example/acme/**"]}},
            "git://a.example/evil/x",
            'policy.git.allow has "a.example/acme/**" alone',
        ),
        ({"digests": "required"}, f"{IMAGE}ghcr.io/a/b:1", 'policy.digests is "required"'),
        (
            {"digests": "pinned", "pins": {"a": DIGEST}},
            f"{IMAGE}ghcr.io/a/b:1",
            'policy.digests is "pinned", and policy.pins has none for it',
        ),
        ({"images": {"allow": []}}, "oci-layout://a", "sources of this kind"),
    ],
)
def test_a_refusal_names_the_rule(policy: dict[str, Any], source: str, said: str) -> None:
    found = limits(**policy)

    assert not judged(found, source)
    assert said in found.refusal(source)
