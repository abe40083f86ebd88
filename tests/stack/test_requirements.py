"""The installed packages: pinned, with hashes, and as the requirements ask for them."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from stack.paths import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = REPOSITORY / "template" / "python3-http"
FUNCTION = REPOSITORY / "builder-fn"
NODE = REPOSITORY / "tests" / "conformance" / "node"
SCRIPTS = REPOSITORY / "scripts" / "requirements"
LOCKS = {
    TEMPLATE / "requirements.txt": [SCRIPTS / "template.in"],
    FUNCTION / "requirements.txt": [SCRIPTS / "function.in"],
    SCRIPTS / "development.txt": [SCRIPTS / "template.in", SCRIPTS / "function.in"],
    SCRIPTS / "go.txt": [SCRIPTS / "go.in"],
    NODE / "requirements.txt": [SCRIPTS / "node.in"],
}
_PINNED = re.compile(
    r"^([A-Za-z0-9._-]+)==([^\s;\\]+)[^\n]*((?:\n +--hash=sha256:[0-9a-f]{64}[^\n]*)*)",
    re.MULTILINE,
)


def pinned(lock: Path) -> dict[str, str]:
    """Return versions by name; a package without a hash is an error."""
    found = {}
    for name, version, hashes in _PINNED.findall(lock.read_text()):
        assert hashes, f"{name} has no hash: run scripts/generate-requirements"
        found[normal(name)] = version
    return found


def asked(lines: list[str]) -> dict[str, str]:
    named = (re.split("[#;]", line)[0].strip() for line in lines)
    pairs = (each.split("==") for each in named)
    return {normal(pair[0]): pair[1] for pair in pairs if len(pair) == 2}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(REPOSITORY)))
def test_what_is_asked_for_is_pinned_with_hashes(lock: Path) -> None:
    wanted = asked([line for file in LOCKS[lock] for line in file.read_text().splitlines()])

    assert wanted
    assert wanted.items() <= pinned(lock).items(), "run scripts/generate-requirements"


def test_the_dev_group_is_pinned_with_hashes() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = asked(project["dependency-groups"]["dev"])

    assert wanted.items() <= pinned(SCRIPTS / "development.txt").items()


def test_the_tests_run_with_what_the_image_has() -> None:
    image = pinned(TEMPLATE / "requirements.txt") | pinned(FUNCTION / "requirements.txt")

    assert image.items() <= pinned(SCRIPTS / "development.txt").items()


def test_every_line_of_a_lock_is_a_pinned_package_or_its_hash() -> None:
    for lock in LOCKS:
        for line in lock.read_text().splitlines():
            assert re.match(r"#| +#| +--hash=sha256:|[a-z0-9-]+==\S+", line), line
