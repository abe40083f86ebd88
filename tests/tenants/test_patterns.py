from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.registry.reference import Reference
from function.tenants.patterns import ImagePattern

SHA256 = "sha256:" + "0123456789abcdef" * 4

PARTS = st.from_regex(r"[a-c]{1,3}(?:[._-][a-c])?", fullmatch=True)
WILD = st.sampled_from(["*", "**", "a*", "*b", "a*c", "a-*"])
REGISTRIES = st.sampled_from(["registry.example", "registry.example:5000", "docker.io"])


def covers(pattern: str, name: str) -> bool:
    return ImagePattern.parse(pattern).covers(Reference.parse(name))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("registry.example/acme/**", "registry.example/acme/fn"),
        ("registry.example/acme/**", "registry.example/acme/team/fn:1.0"),
        ("registry.example/acme/**", f"registry.example/acme/fn@{SHA256}"),
        ("registry.example/acme/*", "registry.example/acme/fn"),
        ("registry.example/acme-*", "registry.example/acme-fn"),
        ("registry.example/**/fn", "registry.example/a/b/fn"),
        ("registry.example/acme/fn", "registry.example/acme/fn:2"),
        ("Registry.Example/acme/**", "registry.example/acme/fn"),
        ("registry.example/acme/**", "REGISTRY.EXAMPLE/acme/fn"),
        ("registry.example:443/acme/**", "registry.example/acme/fn"),
        ("registry.example/acme/**", "registry.example:0443/acme/fn"),
        ("registry.example:5000/**", "registry.example:05000/fn"),
        ("acme/*", "docker.io/acme/fn"),
        ("docker.io/acme/*", "acme/fn"),
        ("docker.io/acme/*", "index.docker.io/acme/fn"),
        ("docker.io/acme/*", "registry-1.docker.io/acme/fn"),
        ("registry-1.docker.io/*", "fn"),
        ("fn", "docker.io/library/fn:1"),
        ("*", "fn"),
        ("docker.io/*", "fn"),
        ("docker.io/library/*", "fn"),
        ("[::1]:5000/**", "[0:0:0:0:0:0:0:1]:5000/fn"),
        ("localhost/**", "localhost/fn"),
        ("docker.io/**", "docker.io/acme/fn"),
        ("docker.io/**", "debian"),
        ("**", "registry.example:5000/a/b"),
        ("**", "fn"),
    ],
)
def test_covers(pattern: str, name: str) -> None:
    assert covers(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("registry.example/acme/**", "registry.example/acme"),
        ("registry.example/acme/**", "registry.example/acme-evil/fn"),
        ("registry.example/acme/**", "registry.example/evil/acme/fn"),
        ("registry.example/acme/**", "registry.example.evil.com/acme/fn"),
        ("registry.example/acme/**", "evil.registry.example/acme/fn"),
        ("registry.example/acme/**", "registry.example:5000/acme/fn"),
        ("registry.example:5000/acme/**", "registry.example/acme/fn"),
        ("registry.example/acme/**", "registryxexample.io/acme/fn"),
        ("registry.example/acme/*", "registry.example/acme/team/fn"),
        ("registry.example/acme-*", "registry.example/acme-fn/x"),
        ("registry.example/a*c", "registry.example/abd"),
        ("registry.example/**/fn", "registry.example/fn"),
        ("acme/*", "acme.io/acme/fn"),
        ("acme/*", "fn"),
        ("*", "acme/fn"),
        ("docker.io/*", "acme/fn"),
        ("fn", "registry.example/library/fn"),
        ("registry.example/acme.fn", "registry.example/acme-fn"),
    ],
)
def test_does_not_cover(pattern: str, name: str) -> None:
    assert not covers(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "no pattern"),
        ("*.example.com/acme/**", "registry written out"),
        ("*:5000/acme/**", "registry written out"),
        ("registry.example/", "names no"),
        ("registry.example/acme/", "part"),
        ("registry.example//acme", "part"),
        ("registry.example/../acme", "part"),
        ("registry.example/acme/..", "part"),
        ("registry.example/./acme", "part"),
        ("registry.example/acme**", "beside other characters"),
        ("registry.example/***", "beside other characters"),
        ("registry.example/Acme/*", "upper-case"),
        ("registry.example/acme/fn:1.0", "without a tag"),
        ("registry.example/acme/fn:*", "character|tag"),
        (f"registry.example/acme/fn@{SHA256}", "without a tag"),
        ("https://registry.example/acme/**", "scheme|registry|character"),
        ("registry.example/аcme/**", "character"),  # noqa: RUF001 - a Cyrillic letter
        ("registry.example/acme/fn ", "character"),
        ("registry.example/acme/[a-z]", "character|part"),
        ("registry.example/acme/fn\x00", "character"),
    ],
)
def test_refuses_what_is_no_pattern(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImagePattern.parse(pattern)


@given(REGISTRIES, st.lists(st.one_of(PARTS, WILD), min_size=1, max_size=5), st.data())
def test_covers_what_the_pattern_says_as_a_regular_expression(
    registry: str, pattern: list[str], data: st.DataObject
) -> None:
    # Near misses: each part is taken from the pattern or is another one.
    near = [part.replace("*", "a") for part in pattern]
    parts = data.draw(st.lists(st.one_of(st.sampled_from(near), PARTS), min_size=1, max_size=6))
    if registry == "docker.io" and 1 in (len(parts), len(pattern)):
        registry = "registry.example"
    wanted = "/".join(
        "[^/]+(?:/[^/]+)*"
        if part == "**"
        else "[^/]*".join(re.escape(piece) for piece in part.split("*"))
        for part in pattern
    )

    found = covers(f"{registry}/{'/'.join(pattern)}", f"{registry}/{'/'.join(parts)}")

    assert found == (re.fullmatch(wanted, "/".join(parts)) is not None)


@given(st.text(max_size=60))
def test_reads_or_refuses_any_text(text: str) -> None:
    try:
        pattern = ImagePattern.parse(text)
    except ValueError:
        return
    assert pattern.registry or text == "**"
    assert not {"", ".", ".."} & set(pattern.parts)


@given(REGISTRIES, st.lists(PARTS, min_size=1, max_size=4))
def test_a_name_without_stars_covers_itself_with_every_tag(registry: str, parts: list[str]) -> None:
    name = f"{registry}/{'/'.join(parts)}"

    assert covers(name, name)
    assert covers(name, f"{name}:1.0")
    assert covers(name, f"{name}@{SHA256}")
    assert not covers(name, f"{name}/more")


def test_a_name_of_many_parts_is_judged_in_the_time_of_its_length() -> None:
    pattern = ImagePattern.parse("registry.example/" + "/".join(["**"] * 40 + ["z"]))

    assert not pattern.covers(Reference.parse("registry.example/" + "/".join("a" * 120)))
