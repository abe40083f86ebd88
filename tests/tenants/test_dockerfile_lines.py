from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.tenants.dockerfile_lines import line_of, syntax_of

NONE = ("", None)


@pytest.mark.parametrize(
    ("dockerfile", "found"),
    [
        ("# syntax=docker/dockerfile:1\nFROM a\n", ("docker/dockerfile:1", 1)),
        ("#syntax = docker/dockerfile:1\r\nFROM a\n", ("docker/dockerfile:1", 1)),
        ("# escape=`\n# SYNTAX=a/b\nFROM a\n", ("a/b", 2)),
        ("# syntax=a/b an option\nFROM a\n", ("a/b", 1)),
        ("// syntax=a/b\nFROM a\n", ("a/b", 1)),
        ("# escape=`\n// syntax=a/b\nFROM a\n", NONE),
        ("# a comment\n# syntax=a/b\nFROM a\n", NONE),
        ("\n# syntax=a/b\nFROM a\n", NONE),
        ("FROM a\n# syntax=a/b\n", NONE),
        ("\ufeff# syntax=a/b\r\nFROM a\r\n", ("a/b", 1)),
        ("#!/usr/bin/env -S docker build -f\n# syntax=a/b\nFROM a\n", ("a/b", 2)),
        ("\ufeff#!/bin/x\n// syntax=a/b\nFROM a\n", ("a/b", 2)),
        ("#!/bin/x\n#!/bin/y\n# syntax=a/b\nFROM a\n", NONE),
        ("# maintainer=me\n# syntax=a/b\nFROM a\n", NONE),
        (' {"syntax": "a/b",\n "FROM": {}}\n', ("a/b", 1)),
        ('#!/bin/x\n{"syntax": "a/b"}\n', ("a/b", 2)),
        ('{"syntax": 1}', NONE),
        ('{"syntax": "a/b"', NONE),
        ('["syntax"]', NONE),
        ("{" * 50_000, NONE),
        ('{"a":' * 5_000, NONE),
        ("# escape=`\n# escape=`\n# syntax=a/b\nFROM a\n", NONE),
        ("# check=skip=all\n# syntax=a/b\n# syntax=c/d\nFROM a\n", ("a/b", 2)),
        ("", NONE),
        ("#!/usr/bin/env builder\n# syntax=a/b\nFROM a\n", ("a/b", 2)),
        ("#!/usr/bin/env builder\n// syntax=a/b\nFROM a\n", ("a/b", 2)),
        ("\ufeff# syntax=a/b\nFROM a\n", ("a/b", 1)),
        ("#\u00a0syntax=a/b\nFROM a\n", ("a/b", 1)),
        ('{"syntax": "a/b", "from": "a"}', ("a/b", 1)),
        ('#!/usr/bin/env builder\n {\n"syntax": "a/b"}', ("a/b", 2)),
        ('{"Syntax": "a/b"}', NONE),
        ('["syntax", "a/b"]', NONE),
        ('{"syntax": ' + "[" * 60_000, NONE),
        ("# of=another kind\n# syntax=a/b\nFROM a\n", NONE),
        ("# escape=`\n# check=skip=all\n# syntax=a/b\nFROM a\n", ("a/b", 3)),
    ],
)
def test_the_syntax_stands_at_the_top(dockerfile: str, found: tuple[str, int | None]) -> None:
    assert syntax_of(dockerfile.encode()) == found


@pytest.mark.parametrize(
    ("dockerfile", "source", "line"),
    [
        ("FROM a\nADD https://b.example/c /\n", "https://b.example/c", 2),
        (
            "FROM a\nADD --checksum=x \\\n # why\n  https://b.example/c /\n",
            "https://b.example/c",
            2,
        ),
        ('FROM a\nADD ["https://b.example/c", "/"]\n', "https://b.example/c", 2),
        ("FROM a\nARG H=b\nADD https://${H}.example/c /\n", "https://b.example/c", 3),
        ("ARG H=b\nFROM a\nARG H\nADD https://${H}.example/c /\n", "https://b.example/c", 4),
        ("ARG H=b\nFROM a\nADD https://${H}.example/c /\n", "https://b.example/c", None),
        ("ARG H=b\nFROM a/$H\n", "docker-image://docker.io/a/b:latest", 2),
        ('FROM a\nENV H b\nENV H="b"\nADD https://$H.example/c /\n', "https://b.example/c", 4),
        ("FROM a\nADD https://${H:-b}.example/c /\n", "https://b.example/c", 2),
        ("FROM a\nADD https://B.example/c/d.git#x /\n", "git://b.example/c/d.git#x", 2),
        ("FROM a\nADD git@b.example:c/d.git /\n", "git://b.example/c/d.git", 2),
        ("FROM a\nADD ssh://git@b.example:22/c/d.git /\n", "git://b.example:22/c/d.git", 2),
        ("FROM a\nADD https://me:word@b.example/c.git?ref=x /\n", "git://b.example/c.git#x", 2),
        ("FROM a\nADD https://b.example/c/../d.git /\n", "git://b.example/d.git", 2),
        ("FROM a\nADD https://b.example/c%2f..%2fd.git /\n", "git://b.example/d.git", 2),
        ("FROM a\nADD http://[::1]/c /\n", "http://[::1]/c", 2),
        ("FROM a\nCOPY --from=b/c /x /\n", "docker-image://docker.io/b/c:latest", 2),
        ("FROM a\nRUN --mount=type=bind,from=b/c:1 x\n", "docker-image://docker.io/b/c:1", 2),
        ("FROM a\nADD https://other.example/c /\n", "https://b.example/c", None),
        ("FROM a\n", "oci-layout://a", None),
    ],
)
def test_the_line_that_names_a_source(dockerfile: str, source: str, line: int | None) -> None:
    assert line_of(source, dockerfile.encode(), {}) == line


def test_a_build_argument_goes_before_its_default() -> None:
    dockerfile = b"FROM a\nARG H=other\nADD https://$H/c /\n"

    assert line_of("https://b.example/c", dockerfile, {"H": "b.example"}) == 3


@given(st.binary(max_size=200), st.text(max_size=50))
def test_any_dockerfile_can_be_searched(dockerfile: bytes, source: str) -> None:
    syntax_of(dockerfile)
    line_of(f"git://{source}", dockerfile, {"A": "b"})
