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
    ("builds",),
    ("callbacks",),
    ("answers",),
    ("daemons",),
    ("tenants",),
    ("secret_files",),
    ("history", "build_secrets", "telemetry"),
    ("request", "context"),
    ("config", "registry", "redaction"),
    ("daemon_errors", "go_duration"),
    ("errors", "quoting"),
    ("buildkit", "fsutil", "pb"),
)

# The same inside the client. Those of the first are whole calls, those of the last are values.
CLIENT_LAYERS = (
    ("client",),
    ("solve",),
    ("session", "failure", "image"),
    ("progress",),
    ("rpc",),
    ("errors", "text"),
    ("outcome",),
)

# Standing alone, the client may use these and nothing else of the function.
CLIENT = {"buildkit", "fsutil", "pb"}
IN_CLIENT = {"buildkit": {"fsutil", "pb"}, "fsutil": {"pb"}}

# What is spoken to by one part only, however the layers lie.
ONLY_IN = {
    "pb": {"buildkit", "fsutil", "history"},
    "google": {"buildkit", "fsutil"},
    "grpc": {"buildkit", "history"},
    "h2": {"buildkit"},
    "hpack": {"buildkit"},
    "werkzeug": {"answers", "handler"},  # the handler for its types
    "prometheus_client": {"telemetry"},
    "nacl": {"build_secrets"},
    "yaml": {"build_secrets"},
}

# Folders and the names in them that one can still take in at a glance.
MOST_NAMES = {"": 25, "buildkit": 12}

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
CLIENT_LEVEL = {name: level for level, names in enumerate(CLIENT_LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "pb")


def part_of(path: Path, within: str = "") -> str:
    """Return the module or sub-package below *within* that *path* belongs to."""
    return path.relative_to(PACKAGE / within).parts[0].removesuffix(".py")


def imports(path: Path, within: str = "") -> set[str]:
    """Return the parts of the package, or of *within* it, and the foreign packages, that *path* imports."""
    depth = len(path.relative_to(PACKAGE / within).parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level not in (0, depth):
                continue  # within one sub-package, or out of it
            if node.module:
                found.add(node.module.partition(".")[0])
            else:
                found.update(alias.name for alias in node.names)
    return found


def ids(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_part_has_its_place_in_the_map() -> None:
    parts = {part_of(path) for path in modules()} - {"__init__"}

    assert parts | {"pb"} == set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_imports_point_down_only(path: Path) -> None:
    part = part_of(path)
    allowed = IN_CLIENT.get(part, set())
    own_parts = imports(path) & set(LEVEL) - allowed

    assert [name for name in own_parts if LEVEL[name] <= LEVEL.get(part, -1)] == []


@pytest.mark.parametrize(
    "path", [path for path in modules() if part_of(path) == "buildkit"], ids=ids
)
def test_imports_within_the_client_point_down_only(path: Path) -> None:
    part = part_of(path, "buildkit")
    own_parts = imports(path, "buildkit") & set(CLIENT_LEVEL)

    assert [name for name in own_parts if CLIENT_LEVEL[name] <= CLIENT_LEVEL.get(part, -1)] == []


@pytest.mark.parametrize("path", [path for path in modules() if part_of(path) in CLIENT], ids=ids)
def test_the_client_stands_alone(path: Path) -> None:
    assert imports(path) & (set(LEVEL) - CLIENT) == set()


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_no_import_is_circular(path: Path) -> None:
    """Look within each folder, too, the imports for type checking included."""
    folder = str(path.parent.relative_to(PACKAGE)).removeprefix(".")
    siblings = {each.stem: each for each in path.parent.glob("*.py") if each.stem != "__init__"}
    seen: set[str] = set()
    waiting = list(imports(path, folder) & set(siblings))
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports(siblings[name], folder) & set(siblings)

    assert path.stem not in seen


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_a_protocol_stays_where_it_is_spoken(path: Path) -> None:
    strays = {
        name for name in imports(path) if name in ONLY_IN and part_of(path) not in ONLY_IN[name]
    }

    assert strays == set()


def test_the_package_is_imported_by_relative_names_only() -> None:
    assert [path.name for path in modules() if "function" in imports(path)] == []


@pytest.mark.parametrize(("folder", "most"), MOST_NAMES.items())
def test_a_folder_can_be_taken_in_at_a_glance(folder: str, most: int) -> None:
    names = {path.name for path in (PACKAGE / folder).iterdir()} - {"__pycache__"}

    assert len(names) <= most, sorted(names)


def folders() -> list[Path]:
    return sorted(path.parent for path in modules() if path.name == "__init__.py")


@pytest.mark.parametrize("folder", [each for each in folders() if each != PACKAGE], ids=ids)
def test_a_folders_docstring_is_its_map(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    lines = re.findall(r"^ {0,4}(\w+)/?(?: {2,}|$)", docstring, flags=re.MULTILINE)
    names = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}

    assert set(lines) >= names - {"__init__", "__pycache__"}


def test_the_map_in_the_docstring_is_this_one() -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))) or ""
    # A line of the map names its modules, and says after a gap, or on the next line, what they are.
    lines = re.findall(r"^ {4}(\w+(?:, \w+)*)(?: {2,}|$)", docstring, flags=re.MULTILINE)

    assert [set(line.split(", ")) for line in lines] == [set(names) for names in LAYERS]
