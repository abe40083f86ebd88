"""The tables of attacks in two READMEs: each row names tests, and those are there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from stack.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_PARTS = (
    (REPOSITORY / "builder-fn" / "README.md", "\n## Security\n"),
    (
        REPOSITORY / "builder-fn" / "tenants" / "README.md",
        "\n## What one tenant can do to another\n",
    ),
)
_USUAL = "tests/test_template_siege.py"
_NAMED = re.compile(r"`(?:(tests/[\w/]+\.py|…)(?:::)?)?(test_\w+)?`")
_CODE = re.compile(r"`([\w/]+\.py)`")


def tables() -> list[tuple[str, list[list[str]]]]:
    """Return the last heading and the rows of each table of the parts about attacks."""
    found = []
    for readme, heading in _PARTS:
        _, _, text = readme.read_text().partition(heading)
        for block in text.partition("\n## ")[0].split("\n\n"):
            lines = block.strip().splitlines()
            if len(lines) > 2 and re.fullmatch(r"[|-]+", lines[1]):
                first, _, *rows = [
                    [*map(str.strip, line.strip("|").split(" | "))] for line in lines
                ]
                found.append((first[-1], rows))
    return found


def with_tests() -> list[list[str]]:
    found = [row for heading, rows in tables() if heading == "test" for row in rows]
    assert len(found) > 50
    return found


def defined(path: Path) -> set[str]:
    return set(re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("row", with_tests(), ids=lambda row: row[0])
def test_each_attack_has_a_test_that_is_there(row: list[str]) -> None:
    named = [match.groups() for match in _NAMED.finditer(row[-1])]
    assert named
    before = _USUAL
    for path, test in named:
        before = {None: _USUAL, "…": before}.get(path, path)
        assert (REPOSITORY / before).is_file()
        assert test in defined(REPOSITORY / before)


def test_what_bounds_memory_is_where_the_table_says() -> None:
    [rows] = [rows for heading, rows in tables() if heading == "by"]
    folders = (REPOSITORY / "builder-fn", REPOSITORY / "template" / "python3-http")
    files = [file for row in rows for file in _CODE.findall(row[-1])]
    assert len(files) > 10
    for file in files:
        assert any((folder / file).is_file() for folder in folders), file
