from __future__ import annotations

import json

import pytest

from function.buildkit import DaemonTroubled, SolveFailed
from function.buildkit.failure.build_failed import solve_failed
from function.buildkit.failure.daemon import trouble
from function.buildkit.failure.status_details import failed_with
from function.buildkit.progress.printer import Printer

STEP = 'process "/bin/sh -c echo no space left on device; exit 1" did not complete successfully: exit code: 1'


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("failed to copy files: write /a: no space left on device", "disk is full"),
        ("failed to solve: mkdir /var/lib/buildkit/x: disk quota exceeded", "disk quota"),
        ("mkdir /home/user/.local/share/buildkit/runc-x: read-only file system", "read-only"),
        ("fork/exec /proc/self/exe: cannot allocate memory", "memory"),
        ("failed to compute cache key: missing snapshot", "snapshot"),
        ("failed to prepare abc: parent snapshot xyz does not exist: not found", "snapshot"),
        ("open /a/b: too many open files", "files open"),
        ("failed to create temp dir: stat /a/b: no such file or directory", "no folder"),
    ],
)
def test_the_daemons_own_troubles_are_told_from_the_authors(message: str, told: str) -> None:
    error = solve_failed(message, b"", Printer())

    assert isinstance(error, DaemonTroubled)
    assert told in str(error)
    assert "/" not in str(error)


@pytest.mark.parametrize(
    "message",
    [
        STEP,
        "failed to solve: " + STEP,
        'failed to calculate checksum of ref a::b: "/x": not found',
        "dockerfile parse error on line 1: unknown instruction: FOO",
    ],
)
def test_a_step_that_prints_such_words_has_failed_by_itself(message: str) -> None:
    assert trouble(message) == ""
    assert isinstance(solve_failed(message, b"", Printer()), SolveFailed)


def test_an_exit_code_is_the_steps_whatever_is_said() -> None:
    details = failed_with("", "gatewayapi.ExitMessage+json", json.dumps({"Code": 1}).encode())

    assert isinstance(solve_failed("no space left on device", details, Printer()), SolveFailed)


def test_a_registrys_full_disk_is_told_of_the_registry() -> None:
    message = (
        "failed to push registry.example/a:1: unexpected status from PUT request to "
        "https://registry.example/v2/a/blobs/uploads/x: 500 Internal Server Error: no space left on device"
    )

    error = solve_failed(message, b"", Printer())

    assert isinstance(error, SolveFailed)
    assert "registry.example" in str(error)
