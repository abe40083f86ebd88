"""Runs scripts/build.py. Builds the template's sample function through the function."""

import hashlib
import hmac
import json
import os
import shlex
import subprocess
from pathlib import Path

from ..errors import StackError
from ..machine import Machine
from .recorded import Running


def image(running: Running) -> str:
    return f"{running.registry}/sample:latest"


def build(machine: Machine, running: Running) -> str:
    """Build and push the sample, its log on standard error as it comes.

    Returns:
        What the function answered, as indented JSON.
    """
    finished = _build_py(machine, running, "--json")
    if finished.returncode:
        raise StackError(
            "The sample function was not built: its log is above, the function's log is "
            f"{machine.paths.state}/function/function.log."
        )
    return json.dumps(json.loads(finished.stdout), indent=2)


def request(machine: Machine, running: Running) -> Path:
    """Write the same request as a tar, ready for curl."""
    tar = machine.paths.state / "sample.tar"
    finished = _build_py(machine, running, "--tar", "-")
    if finished.returncode:
        raise StackError("scripts/build.py could not write the sample's tar: its output is above.")
    tar.write_bytes(finished.stdout)
    return tar


def curl(running: Running, tar: Path) -> str:
    """Return a command line that builds the tar through the function, its log as it comes."""
    secret = Path(running.payload_secret_file).read_text().strip()
    signature = hmac.new(secret.encode(), tar.read_bytes(), hashlib.sha256).hexdigest()
    return (
        f"curl -sSN --data-binary @{shlex.quote(str(tar))} -H 'Accept: application/x-ndjson' "
        f"-H 'X-Build-Signature: sha256={signature}' {running.builder_url}/build"
    )


def _build_py(machine: Machine, running: Running, *more: str) -> subprocess.CompletedProcess[bytes]:
    template = machine.paths.repository / "template" / "python3-http"
    command = [
        *(machine.venv / "bin" / "python", machine.paths.repository / "scripts" / "build.py"),
        *("--image", image(running), "--handler", template / "function"),
        *("--lang", "python3-http", *more),
    ]
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **running.environment()},
        cwd=machine.paths.repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # the log goes to standard error
        check=False,
    )
