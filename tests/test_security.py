"""The tables of attacks in builder-fn/README.md: each row names tests, and those are there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from stack.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_README = REPOSITORY / "builder-fn" / "README.md"
_USUAL = "tests/test_template_siege.py"
_NAMED = re.compile(r"`(?:(tests/[\w/]+\.py|…)(?:::)?)?(test_\w+)?`")
_CODE = re.compile(r"`([\w/]+\.py)`")


def tables() -> dict[str, list[list[str]]]:
    """Return the rows of each table of the part about security, by the table's first heading."""
    _, _, text = _README.read_text().partition("\n## Security\n")
    text, _, _ = text.partition("\n## ")
    found: dict[str, list[list[str]]] = {}
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if len(lines) > 2 and re.fullmatch(r"[|-]+", lines[1]):
            heading, _, *rows = [[*map(str.strip, line.strip("|").split(" | "))] for line in lines]
            found[f"{heading[0]}/{heading[-1]}"] = rows
    return found


def with_tests() -> list[list[str]]:
    found = [row for name, rows in tables().items() if name.endswith("/test") for row in rows]
    assert len(found) > 30
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
        if test:
            assert test in defined(REPOSITORY / before)


def test_what_bounds_memory_is_where_the_table_says() -> None:
    [rows] = [rows for name, rows in tables().items() if name.endswith("/by")]
    folders = (REPOSITORY / "builder-fn", REPOSITORY / "template" / "python3-http")
    files = [file for row in rows for file in _CODE.findall(row[-1])]
    assert len(files) > 10
    for file in files:
        assert any((folder / file).is_file() for folder in folders), file
