from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.tenants.source_patterns import (
    EVERYTHING,
    SourcePattern,
    Sources,
    common,
    refused_images,
)

image, host, repository = (
    SourcePattern.of_image,
    SourcePattern.of_host,
    SourcePattern.of_repository,
)


def fits(expression: str, source: str) -> bool:
    return re.fullmatch(expression, source) is not None


@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("debian", "docker.io/library/debian:12"),
        ("library/debian", "docker.io/library/debian@sha256:" + "a" * 64),
        ("docker.io/library/**", "docker.io/library/debian:12@sha256:" + "a" * 64),
        ("docker.io/library/**", "index.docker.io/library/debian:12"),
        ("docker.io/library/**", "registry-1.docker.io/library/debian"),
        ("registry.example/acme/**", "registry.example/acme/a/b/c:1"),
        ("registry.example/acme/**", "Registry.EXAMPLE/acme/a:1"),
        ("registry.example/acme/**", "registry.example:443/acme/a:1"),
        ("registry.example:5000/acme/*", "registry.example:5000/acme/a:1"),
        ("registry.example/*/base", "registry.example/acme/base"),
        ("registry.example/acme/py*", "registry.example/acme/python:3"),
        ("**", "anything.example:1234/a/b:c"),
    ],
)
def test_an_image_fits_its_pattern_however_it_is_written(pattern: str, source: str) -> None:
    assert fits(image(pattern).images, f"docker-image://{source}")


@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("debian", "docker.io/acme/debian:12"),
        ("debian", "docker.io/library/debian-evil:12"),
        ("docker.io/library/**", "docker.io.evil.example/library/debian"),
        ("docker.io/library/**", "dockerXio/library/debian"),
        ("docker.io/library/**", "evil.example/docker.io/library/debian"),
        ("registry.example/acme/**", "registry.example/acme"),
        ("registry.example/acme/**", "registry.example/acmeevil/a"),
        ("registry.example/acme/**", "registry.example:5000/acme/a"),
        ("registry.example/acme/*", "registry.example/acme/a/b"),
    ],
)
def test_an_image_of_another_place_does_not_fit(pattern: str, source: str) -> None:
    assert not fits(image(pattern).images, f"docker-image://{source}")


def test_a_refused_image_is_refused_at_every_port() -> None:
    assert fits(
        image("registry.example/a").refused_images, "docker-image://registry.example:5000/a"
    )


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("port", ["", ":443", ":0443"])
def test_what_is_refused_of_docker_hub_is_refused_under_each_of_its_names(
    host: str, port: str
) -> None:
    source = f"docker-image://{host}{port}/acme/base:1"

    assert fits(image("acme/base").refused_images, source)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("github.com", "https://github.com/a/b"),
        ("github.com", "http://GitHub.com:80/a"),
        ("github.com", "https://github.com"),
        ("github.com", "https://github.com?a"),
        (".example.com", "https://a.b.example.com/"),
        ("*.example.com", "https://a.example.com/"),
        ("example.com:8443", "https://example.com:8443/"),
        ("*", "http://127.0.0.1:1/"),
        ("[::1]", "http://[::1]:80/"),
    ],
)
def test_a_url_of_the_host_fits(pattern: str, url: str) -> None:
    assert fits(host(pattern).urls, url)


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        ("github.com", "https://github.com.evil.example/"),
        ("github.com", "https://evil.example/github.com"),
        ("github.com", "https://github.com@evil.example/"),
        ("github.com", "https://evil.example?@github.com/"),
        ("github.com", "https://evil.example#@github.com/"),
        ("github.com", "https://evil.example\\@github.com/"),
        ("github.com", "https://github.com\\.evil.example/"),
        ("github.com", "https://user:password@github.com/"),
        ("github.com", "https://github.com:8080/"),
        ("github.com", "https://github%2ecom/"),
        ("github.com", "https://githubxcom/"),
        ("github.com", "https://github.com./"),
        ("github.com", "ftp://github.com/"),
        (".example.com", "https://example.com/"),
        (".example.com", "https://evil-example.com/"),
        (".example.com", "https://evil.example/a.example.com/"),
        (".example.com", "https://evil.example@a.example.com/"),
    ],
)
def test_a_url_of_another_host_does_not_fit(pattern: str, url: str) -> None:
    assert not fits(host(pattern).urls, url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user@evil.example/",
        "https://evil.example:1/",
        "https://EVIL.example./a",
        "http://evil.example?b",
    ],
)
def test_a_refused_host_is_refused_however_it_is_written(url: str) -> None:
    assert fits(host("evil.example").refused_urls, url)


@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("github.com/acme/**", "github.com/acme/a.git#main:sub"),
        ("github.com/acme/**", "github.com/acme/a"),
        ("github.com/acme/a", "github.com/acme/a.git"),
        ("github.com/acme/a.git", "github.com/acme/a#v1"),
        ("github.com", "github.com:22/any/thing.git"),
        ("git.example:8443/acme/*", "git.example:8443/acme/a.git"),
    ],
)
def test_a_repository_fits(pattern: str, source: str) -> None:
    assert fits(repository(pattern).repositories, f"git://{source}")


@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("github.com/acme/**", "github.com/acme-evil/a.git"),
        ("github.com/acme/**", "github.com/Acme/a.git"),
        ("github.com/acme/a", "github.com/acme/ab.git"),
        ("github.com/acme/*", "github.com/acme/a/b.git"),
        ("github.com/acme/**", "evil.example/github.com/acme/a"),
    ],
)
def test_another_repository_does_not_fit(pattern: str, source: str) -> None:
    assert not fits(repository(pattern).repositories, f"git://{source}")


def test_a_refused_repository_is_refused_in_any_case() -> None:
    assert fits(repository("github.com/evil/*").refused_repositories, "git://github.com/Evil/a")


@pytest.mark.parametrize(
    "text", ["", "a b", "a/b", "https://a", "user@a", "a:0", "a:port", "a..b", "*a", "a*", "**"]
)
def test_rejects_what_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="must be a host"):
        host(text)


@pytest.mark.parametrize(
    "text", ["github.com/../a", "github.com//a", "github.com/a**b", "https://github.com/a", "/a"]
)
def test_rejects_what_is_no_repository(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a host|has two stars"):
        repository(text)


@pytest.mark.parametrize(
    ("wider", "narrower"),
    [
        ("**", "docker.io/library/debian"),
        ("docker.io/**", "docker.io/library/**"),
        ("docker.io/**", "docker.io/*/debian"),
        ("docker.io/*/*", "docker.io/library/deb*"),
        ("docker.io/library/*", "docker.io/library/d*n"),
        ("docker.io/**/base", "docker.io/a/**/base"),
    ],
)
def test_the_narrower_of_two_patterns_is_what_they_have_in_common(
    wider: str, narrower: str
) -> None:
    one, other = image(wider), image(narrower)

    assert one.covers(other)
    assert not other.covers(one)
    assert common([one], [other]) == common([other], [one]) == (other,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docker.io/library/*", "docker.io/acme/*"),
        ("docker.io/library/*", "docker.io/library/**"),
        ("registry.example/a/*", "other.example/a/*"),
        ("docker.io/a*/x", "docker.io/*b/x"),
    ],
)
def test_a_pattern_does_not_cover_what_may_lie_outside(one: str, other: str) -> None:
    assert not image(one).covers(image(other))


def test_a_list_that_is_not_there_allows_what_the_other_does() -> None:
    some = Sources((host("github.com"),))

    assert Sources().narrowed(some) == some.narrowed(Sources()) == some


def test_two_lists_with_nothing_in_common_allow_nothing() -> None:
    narrowed = Sources((host("a.example"),)).narrowed(Sources((host("b.example"),)))

    assert narrowed.allow == ()


def test_what_one_list_refuses_stays_refused() -> None:
    one, other = Sources(deny=(host("a.example"),)), Sources(deny=(host("b.example"),))

    assert one.narrowed(other).deny == (host("a.example"), host("b.example"))


PARTS = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "**"])
PATTERNS = st.builds(
    lambda parts: SourcePattern("/".join(parts), "r.example", tuple(parts)),
    st.lists(PARTS, min_size=1, max_size=4),
)
NAMES = st.lists(st.sampled_from(["a", "b", "ab", "aab", "ba"]), min_size=1, max_size=5)


@given(one=PATTERNS, other=PATTERNS, name=NAMES)
def test_what_one_pattern_covers_fits_it(
    one: SourcePattern, other: SourcePattern, name: list[str]
) -> None:
    source = f"docker-image://r.example/{'/'.join(name)}:1"

    if one.covers(other) and fits(other.images, source):
        assert fits(one.images, source)


@given(ours=st.lists(PATTERNS, max_size=3), theirs=st.lists(PATTERNS, max_size=3), name=NAMES)
def test_nothing_is_allowed_that_one_of_two_lists_does_not_allow(
    ours: list[SourcePattern], theirs: list[SourcePattern], name: list[str]
) -> None:
    source = f"docker-image://r.example/{'/'.join(name)}:1"
    both = Sources(tuple(ours)).narrowed(Sources(tuple(theirs)))

    if any(fits(pattern.images, source) for pattern in both.allowed):
        assert any(fits(pattern.images, source) for pattern in ours)
        assert any(fits(pattern.images, source) for pattern in theirs)


@given(patterns=st.lists(PATTERNS, min_size=1, max_size=5), name=NAMES)
def test_one_expression_refuses_what_any_of_its_patterns_does(
    patterns: list[SourcePattern], name: list[str]
) -> None:
    source = f"docker-image://r.example:5000/{'/'.join(name)}:1"

    assert fits(refused_images(patterns), source) == any(
        fits(pattern.refused_images, source) for pattern in patterns
    )


def test_everything_is_every_image() -> None:
    assert fits(EVERYTHING.images, "docker-image://a.example:1/b/c@sha256:d")
