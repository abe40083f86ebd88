"""Versions of Go: which are new enough."""

import pytest
from stack.install import golang
from stack.paths import Paths


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1.26.3", (1, 26, 3)),
        ("go1.26.10", (1, 26, 10)),
        ("go1.27", (1, 27, 0)),
        ("go1.27rc1", (1, 27, 0)),
        ("devel +a1b2c3", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_reads_what_go_calls_a_version(text: str, parts: tuple[int, ...]) -> None:
    assert golang.version(text) == parts


def test_compares_versions_as_numbers() -> None:
    assert golang.version("go1.26.10") > golang.version("1.26.3")


def test_the_go_from_pypi_is_new_enough_for_our_own_module() -> None:
    go_mod = Paths().repository / "scripts" / "tools" / "go.mod"

    package = (Paths().repository / "scripts" / "requirements" / "go.txt").read_text()

    required = golang.required_version(go_mod.read_text())

    assert (0, 0, 0) < required <= golang.version(package)
