"""Runs a command. What it prints goes to the end of a log."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def status(
    command: Sequence[str],
    log: Path,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run *command*, which is asked nothing, and return its exit status."""
    with log.open("ab") as output:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environment,
            check=False,
        ).returncode
