"""Starts daemons. The pod of scripts/kubernetes on this machine: its own arguments, files and commands.

What must be elsewhere here than in a container is in `Pod.places`, and nothing else is changed.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from stack.daemons import buildkitd, daemon, ports

from ..kubernetes import manifests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from stack.daemons.daemon import Daemon
    from stack.machine import Machine

    from ..kubernetes.manifests import Manifest

# The image's, moby/buildkit v0.32.2 Dockerfile, stage "rootless".
ENTRYPOINT = ("rootlesskit", "buildkitd")
RUNTIME = "/run/user/1000"

COMMAND_SECONDS = 30.0


@dataclass(kw_only=True)
class Pod:
    """As a context manager it runs in the block, and its volumes go with it."""

    machine: Machine
    folder: Path
    port: int
    spec: Mapping[str, Any]
    places: Mapping[str, str]
    daemon: Daemon | None = None

    @property
    def address(self) -> str:
        return f"tcp://{ports.LOOPBACK}:{self.port}"

    @property
    def container(self) -> Mapping[str, Any]:
        [only] = self.spec["containers"]
        return dict(only)

    def probe(self, name: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.container[name]["exec"]["command"])

    def pre_stop(self, limit: str | None = None) -> subprocess.Popen[str]:
        """Begins it, perhaps with another limit than the manifest's; whoever asked waits for it."""
        command = list(self.container["lifecycle"]["preStop"]["exec"]["command"])
        if limit:
            command[1] = limit
        return self._execute(command)

    def buildctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(["buildctl", *arguments])

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        with self._execute(command) as process:
            stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def start(self) -> None:
        """The init containers, the daemon, and the startup probe, in this order."""
        for before in self.spec["initContainers"]:
            ended = self.run(before["command"])
            assert ended.returncode == 0, ended.stderr
        rootlesskit, program = ENTRYPOINT
        folder = self.machine.account.own(self.folder / "rootlesskit")
        self.daemon = daemon.launch(
            "buildkitd",
            [
                *(rootlesskit, "--net=host", "--copy-up=/etc", "--state-dir", folder),
                *(program, *map(self._placed, self.container["args"])),
            ],
            account=self.machine.account,
            environment=self._environment(),
            folder=self.folder,
            log=self.folder / "buildkitd.log",
        )
        daemon.wait_until_ready(self.daemon, lambda: self.probe("startupProbe").returncode == 0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def stop(self) -> None:
        if self.daemon:
            self.daemon.stop()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _execute(self, command: Sequence[str]) -> subprocess.Popen[str]:
        account = self.machine.account
        return subprocess.Popen(
            [self._placed(word) for word in command],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def _environment(self) -> dict[str, str]:
        told = {each["name"]: self._placed(each["value"]) for each in self.container["env"]}
        own = {"PATH": self.machine.programs.search_path, "XDG_RUNTIME_DIR": self._placed(RUNTIME)}
        return self.machine.account.environment(**own, **told)

    def _placed(self, word: str) -> str:
        for place in sorted(self.places, key=len, reverse=True):  # no place within another's name
            word = word.replace(place, self.places[place])
        return word


def prepared(machine: Machine, secrets: Iterable[Manifest], mirror: str) -> Pod:
    """A pod whose volumes are filled, not started yet.

    Base images come from the mirror, which is what an operator adds to buildkitd.toml.
    """
    built = manifests.base()
    spec = manifests.only(built, "StatefulSet")["spec"]["template"]["spec"]
    folder = machine.account.scratch(machine.paths, "pod")
    [container] = spec["containers"]
    port = ports.free()
    places = {
        "tcp://:1234": f"tcp://{ports.LOOPBACK}:{port}",
        RUNTIME: str(machine.account.own(folder / "run")),
    }
    for mount in container["volumeMounts"]:
        volume = folder / mount["name"]
        volume.mkdir()
        places[mount["mountPath"]] = str(volume)
        source: Mapping[str, Any] = next(
            (each for each in spec["volumes"] if each["name"] == mount["name"]), {}
        )
        if "configMap" in source:
            [(name, text)] = manifests.only(built, "ConfigMap")["data"].items()
            registries = buildkitd.configuration(mirror, buildkitd.PUBLIC_REGISTRIES, ())
            (volume / name).write_text(text + registries)
        elif "secret" in source:
            secret = manifests.only(secrets, "Secret", source["secret"]["secretName"])
            _mount_secret(machine, volume, secret)
        else:
            # A new file system, after Kubernetes has set fsGroup on it.
            os.chown(volume, 0, machine.account.gid)
            volume.chmod(0o2775)
    return Pod(machine=machine, folder=folder, port=port, spec=spec, places=places)


def _mount_secret(machine: Machine, volume: Path, secret: Manifest) -> None:
    for name, value in secret["data"].items():
        file = volume / name
        file.write_bytes(base64.b64decode(value))
        os.chown(file, 0, machine.account.gid)
        file.chmod(0o440)
