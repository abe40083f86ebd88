"""A replica of the builder that a test may kill: one build's owner, in a process of its own.

`python replica.py DAEMON BUILD_ID [DOCKERFILE]` claims the build once a line comes in, says so ("claimed" or
"refused"), and solves the Dockerfile, if there is one; it prints the log. Then it waits to be let go.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from function.buildkit import ANONYMOUS, Client, SolveSpec, session_services
from function.context.shared_key import once
from function.fsutil.tree import Entry, Kind, Tree
from function.history import History
from function.history.annotations import build_attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOYED = Path(__file__).resolve().parent.parent / "deployed"
PATIENCE = 5.0
ANNOTATIONS = {"image": "registry.test/a:1", "key": "payload-secret"}


@contextmanager
def replica(daemon: str, build_id: str, *dockerfile: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, __file__, daemon, build_id, *dockerfile],
        env={**os.environ, "PYTHONPATH": str(DEPLOYED)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    """Let it claim."""
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str], text: str) -> str:
    """Return the first line that ends with *text*."""
    assert process.stdout
    line = next((line for line in process.stdout if line.endswith(text)), None)
    assert line is not None, f"the replica ended without {text!r}"
    return line


def claimed(process: subprocess.Popen[str]) -> bool:
    assert process.stdout
    return process.stdout.readline() == "claimed\n"


def main(daemon: str, build_id: str, dockerfile: str = "") -> None:
    client = Client(daemon, patience=PATIENCE)
    client.version()
    sys.stdin.readline()
    history = History(client)
    claim = history.claim(build_id, ANNOTATIONS)
    if claim:
        history.wait_until_on_record(claim)
    say("claimed" if claim else "refused")
    if claim and dockerfile:
        data = memoryview(dockerfile.encode())
        tree = Tree((Entry("Dockerfile", Kind.FILE, 0o644, 0, data),))
        services = session_services(
            {"context": tree, "dockerfile": tree}, lambda _host: ANONYMOUS, {}
        )
        spec = SolveSpec(ref=str(claim.ref), frontend_attrs=build_attrs(ANNOTATIONS))
        for lines in client.solve(spec, services, shared_key=once()):
            for line in lines:
                say(line)
    sys.stdin.readline()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
