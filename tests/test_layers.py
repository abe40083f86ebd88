"""Reads builder-fn's imports, those for type checking included, and nothing is run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "builder-fn"

# From the top down. A part imports from the layers below its own: neighbours know nothing of each other.
LAYERS = (
    ("handler",),
    ("answers",),
    ("build", "streams"),
    ("background", "deliveries", "followed", "order"),
    ("responses",),
    ("admission", "buildkit", "secret_files", "registry_lookup"),
    ("fair_line", "freshness", "ignore_file", "log_lines", "log_tail", "metrics"),
    ("fsutil",),
    ("bundle", "build_secrets", "callback", "command"),
    ("options", "sealed_secrets", "credential_helper", "redaction"),
    ("archive", "compression", "reference", "registry_auth", "signature"),
    ("config", "plain_yaml", "routes", "secret_detection"),
    ("go_duration", "quoting", "tree", "wire", "pb"),
    ("errors",),
    ("build_report", "daemon_state", "outcome", "version"),
)

# What is spoken to by one part only, however the layers lie.
ONLY_IN = {
    "pb": {"buildkit", "fsutil"},
    "google": {"buildkit", "fsutil"},
    "grpc": {"buildkit"},
    "h2": {"buildkit"},
    "flask": {"answers", "handler"},
    "prometheus_client": {"metrics"},
    "nacl": {"sealed_secrets"},
    "yaml": {"plain_yaml"},
}

# The protocols know the context and the settings they are handed, and nothing of requests and archives.
APART = (
    (
        "buildkit",
        {"bundle", "options", "archive", "compression", "signature", "secret_files", "responses"},
    ),
    ("fsutil", {"bundle", "options", "archive", "compression", "signature", "config", "errors"}),
)

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "pb")


def part_of(path: Path) -> str:
    """The top-level module or sub-package that *path* belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """The parts of the package, and the foreign packages, that *path* imports."""
    depth = len(path.relative_to(PACKAGE).parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level not in (0, depth):
                continue  # within one sub-package
            if node.module:
                found.add(node.module.partition(".")[0])
            else:
                found.update(alias.name for alias in node.names)
    return found


def test_every_part_has_its_place_in_the_map() -> None:
    parts = {part_of(path) for path in modules()} - {"__init__"}

    assert parts | {"pb"} == set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path: Path) -> None:
    part = part_of(path)
    own_parts = imports(path) & set(LEVEL)

    assert [name for name in own_parts if LEVEL[name] <= LEVEL.get(part, -1)] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_protocol_stays_where_it_is_spoken(path: Path) -> None:
    strays = {
        name for name in imports(path) if name in ONLY_IN and part_of(path) not in ONLY_IN[name]
    }

    assert strays == set()


@pytest.mark.parametrize(("part", "unknown"), APART)
def test_protocols_know_nothing_of_requests(part: str, unknown: set[str]) -> None:
    known = set().union(*(imports(path) for path in modules() if part_of(path) == part))

    assert known & unknown == set()


def test_the_package_is_imported_by_relative_names_only() -> None:
    assert [path.name for path in modules() if "function" in imports(path)] == []


def test_the_map_in_the_docstring_is_this_one() -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))) or ""
    # A line of the map names its modules, and says after a gap, or on the next line, what they are.
    lines = re.findall(r"^ {4}(\w+(?:, \w+)*)(?: {2,}|$)", docstring, flags=re.MULTILINE)

    assert [set(line.split(", ")) for line in lines] == [set(names) for names in LAYERS]
