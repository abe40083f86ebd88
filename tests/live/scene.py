"""Servers for builds that use secrets, each with its own folder; and all that they said and wrote."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stack.daemons import buildkitd, function, registry

from . import traces
from .caller import Answer, Request, get, post, signature

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from stack.daemons.registry import Credentials
    from stack.machine import Machine

    from .traces import Needle, Trace


@dataclass
class Scene:
    """One daemon, one function, and two registries with passwords.

    The password of `mounted` is in the function's config.json; that of `sealed` only callers know.
    """

    folder: Path
    buildctl_program: Path
    payload_secret: bytes
    mounted: registry.Registry
    sealed: registry.Registry
    daemon: buildkitd.Buildkitd
    function: function.Function
    said: dict[str, bytes] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    @property
    def temporary(self) -> Path:
        """The function's folder for temporary files."""
        return self.folder / "tmp"

    def build(self, name: str, request: Request, *, accept: str = "*/*") -> Answer:
        body = request.tar()
        signed = {"X-Build-Signature": signature(body, self.payload_secret), "Accept": accept}
        answer = post(self.function.url, body, signed)
        headers = json.dumps(dict(answer.headers)).encode()
        self.said[f"the answer to {name}"] = headers + answer.body
        return answer

    def ask(self, path: str) -> None:
        answer = get(self.function.url, path)
        assert answer.status == 200
        self.said[f"GET {path}"] = answer.body

    def buildctl(self, *arguments: str) -> bytes:
        command = [str(self.buildctl_program), "--addr", self.daemon.address, *arguments]
        finished = subprocess.run(command, capture_output=True, check=True, timeout=60)
        self.said[" ".join(("buildctl", *arguments))] = finished.stdout + finished.stderr
        return finished.stdout

    def stop(self) -> None:
        """Stop all; whatever any of them still has to write is written then."""
        for part in (self.function, self.daemon, self.mounted, self.sealed):
            part.stop()

    def search(self, needles: Collection[Needle]) -> Iterator[Trace]:
        """Search everywhere but where the operator put the function's secrets."""
        for place, content in self.said.items():
            yield from traces.in_bytes(needles, place, content)
        for name in ("daemon", "mounted", "sealed", "function", "home", "tmp"):
            yield from traces.in_folder(needles, name, self.folder / name)
        # The daemons' folder for temporary files, which they share with all that runs here.
        for path in Path(tempfile.gettempdir()).iterdir():
            if path.is_file() and path.stat().st_ctime >= self.began:
                yield from traces.in_bytes(needles, str(path), path.read_bytes())


@contextmanager
def serving(
    machine: Machine,
    mirror: str,
    *,
    payload_secret: bytes,
    private_key: str,
    operator: Credentials,
    caller: Credentials,
) -> Iterator[Scene]:
    folder = machine.account.scratch(machine.paths, "scene")
    mount = machine.account.own(folder / "secrets", 0o755)
    (mount / "payload-secret").write_bytes(payload_secret)
    (mount / "build-secrets-key").write_text(private_key)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        mounted = registry.start(machine, directory=folder / "mounted", credentials=operator)
        stack.callback(mounted.stop)
        sealed = registry.start(machine, directory=folder / "sealed", credentials=caller)
        stack.callback(sealed.stop)
        (mount / "config.json").write_text(auth_file(mounted.address, operator))
        daemon = buildkitd.start(
            machine,
            root=folder / "daemon",
            mirror=mirror,
            plain_http=(mounted.address, sealed.address),
        )
        stack.callback(daemon.stop)
        settings: Mapping[str, str] = {
            "buildkit_url": daemon.address,
            "secret_mount_path": str(mount),
            "HOME": str(machine.account.own(folder / "home")),
            "TMPDIR": str(machine.account.own(folder / "tmp")),
        }
        started = function.start(machine, directory=folder / "function", settings=settings)
        stack.callback(started.stop)
        yield Scene(
            folder=folder,
            buildctl_program=machine.programs.buildctl,
            payload_secret=payload_secret,
            mounted=mounted,
            sealed=sealed,
            daemon=daemon,
            function=started,
        )


def auth_file(host: str, credentials: Credentials) -> str:
    """Write the file as `docker login` does."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return json.dumps({"auths": {host: {"auth": base64.b64encode(pair).decode()}}})
