"""Starts containers. The pod of scripts/kubernetes on this machine, run by runc as a node would run it.

Its own arguments, files, commands, users, capabilities and /proc; the root file system is this machine's, in
place of the image's. It has the machine's network, and listens on loopback only. Profiles of seccomp and
AppArmor are left out.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from stack.daemons import buildkitd, daemon, ports
from stack.install.account import Account

from ..kubernetes import manifests
from . import idmapped_mount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stack.daemons.daemon import Daemon
    from stack.machine import Machine

    from ..kubernetes.manifests import Manifest

# The image's, moby/buildkit v0.32.2 Dockerfile, stage "rootless".
ENTRYPOINT = ("rootlesskit", "buildkitd")
USER = 1000
SUBORDINATE_IDS = "user:100000:65536\n"
ENVIRONMENT = {
    "HOME": "/home/user",
    "USER": "user",
    "XDG_RUNTIME_DIR": "/run/user/1000",
    "TMPDIR": "/home/user/.local/tmp",
    "PATH": "/opt/programs:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

# The ids of a pod with users of its own, as kubelet hands them out (65,536 to each), beyond all others here.
FIRST_ID, IDS = 1 << 20, 1 << 16

# What a runtime gives every container, unless told (containerd pkg/oci/spec.go, defaultUnixCaps).
CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
# And what it hides of /proc, unless procMount says otherwise (the same file, populateDefaultUnixSpec).
MASKED = [
    *(f"/proc/{name}" for name in ("acpi", "asound", "kcore", "keys", "latency_stats")),
    *(f"/proc/{name}" for name in ("timer_list", "timer_stats", "sched_debug", "scsi")),
]
READ_ONLY = [f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger")]

# Two programs that change more than their user may; the image's do it with these capabilities (capability.h).
_HELPERS = {"newuidmap": 7, "newgidmap": 6}

COMMAND_SECONDS = 30.0


@dataclass(kw_only=True)
class Pod:
    """As a context manager it runs in the block, and its volumes go with it."""

    machine: Machine
    folder: Path
    port: int
    spec: Mapping[str, Any]
    volumes: Mapping[str, Path]
    daemon: Daemon | None = None
    _containers: int = field(default=0, repr=False)

    @property
    def address(self) -> str:
        return f"tcp://{ports.LOOPBACK}:{self.port}"

    @property
    def container(self) -> Mapping[str, Any]:
        [only] = self.spec["containers"]
        return dict(only)

    @property
    def own_users(self) -> bool:
        return self.spec.get("hostUsers") is False

    def probe(self, name: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.container[name]["exec"]["command"])

    def pre_stop(self, limit: str | None = None) -> subprocess.Popen[str]:
        """Begin it, perhaps with another limit than the manifest's; the caller waits for its end."""
        command = list(self.container["lifecycle"]["preStop"]["exec"]["command"])
        if limit:
            command[1] = limit
        return self._execute(command)

    def buildctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(["buildctl", *arguments])

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in the running container, as `kubectl exec` does."""
        with self._execute(command) as process:
            stdout, stderr = process.communicate(timeout=COMMAND_SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def run_once(self, container: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        return subprocess.run(
            self._start(container, container["command"]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def start(self) -> None:
        """Start the init containers, the daemon, and the startup probe, in this order."""
        for before in self.spec["initContainers"]:
            ended = self.run_once(before)
            assert ended.returncode == 0, ended.stderr
        self.daemon = daemon.launch(
            "buildkitd",
            self._start(self.container, [*ENTRYPOINT, *self.container["args"]]),
            account=Account(0, 0, Path("/root")),  # what a runtime is run as
            environment=dict(os.environ),
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
            subprocess.run([*self._runc(), "delete", "--force", self._name()], check=False)

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _execute(self, command: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._runc(), "exec", self._name(), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def _runc(self) -> list[str]:
        return ["runc", "--root", str(self.folder / "runc")]

    def _name(self) -> str:
        return f"{self.folder.name}-{self._containers}"

    def _start(self, container: Mapping[str, Any], command: Sequence[str]) -> list[str | Path]:
        """Lay a container out; returns the command that runs it."""
        self._containers += 1
        bundle = self.folder / self._name()
        root = bundle / "rootfs"
        _fill(root)
        arguments = [word.replace("tcp://:1234", self.address) for word in command]
        specification = self._specification(container, arguments, root)
        (bundle / "config.json").write_text(json.dumps(specification))
        run: list[str | Path] = [*self._runc(), "run", "--bundle", bundle, self._name()]
        if not self.own_users:
            return run
        mapped = [root, *self.volumes.values()]
        return [
            *("unshare", "--mount", "--propagation=private"),
            *(sys.executable, "-B", idmapped_mount.__file__, str(FIRST_ID), str(IDS)),
            *(*mapped, "--", *run),
        ]

    def _specification(
        self, container: Mapping[str, Any], arguments: Sequence[str], root: Path
    ) -> dict[str, Any]:
        """Write config.json of the runtime bundle (runtime-spec v1.1 config.md), as a node would."""
        context = {**self.spec.get("securityContext", {}), **container["securityContext"]}
        told = {each["name"]: each["value"] for each in container.get("env", ())}
        uid = context.get("runAsUser", USER)
        linux: dict[str, Any] = {
            "namespaces": [{"type": name} for name in ("mount", "pid", "ipc", "uts")],
        }
        if self.own_users:
            linux["namespaces"].append({"type": "user"})
            ids = [{"containerID": 0, "hostID": FIRST_ID, "size": IDS}]
            linux |= {"uidMappings": ids, "gidMappings": ids}
        if context.get("procMount") != "Unmasked":
            linux |= {"maskedPaths": MASKED, "readonlyPaths": READ_ONLY}
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {
                    "uid": uid,
                    "gid": context.get("runAsGroup", USER),
                    "additionalGids": [context.get("fsGroup", USER)],
                },
                "args": arguments,
                "env": [f"{name}={value}" for name, value in {**ENVIRONMENT, **told}.items()],
                "cwd": "/",
                "noNewPrivileges": not context["allowPrivilegeEscalation"],
                "capabilities": _capabilities(context, root=uid == 0),
            },
            "root": {
                "path": str(root),
                "readonly": context.get("readOnlyRootFilesystem", False),
            },
            "hostname": "buildkitd-0",
            "mounts": [*self._mounts(container), *_machine(self.machine, root)],
            "linux": linux,
        }

    def _mounts(self, container: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        for mount in container["volumeMounts"]:
            source = self.volumes[mount["name"]] / mount.get("subPath", "")
            yield _bind(source, mount["mountPath"], read_only=mount.get("readOnly", False))


def prepared(
    machine: Machine,
    secrets: Iterable[Manifest],
    mirror: str,
    *,
    built: list[Manifest] | None = None,
    state: Path | None = None,
) -> Pod:
    """Return a pod whose volumes are filled, not started yet; of the base, unless other manifests are given.

    Base images come from the mirror, which is what an operator adds to buildkitd.toml. With `state` its
    volume is this folder, which stays.
    """
    built = built or manifests.base()
    spec = manifests.only(built, "StatefulSet")["spec"]["template"]["spec"]
    folder = machine.account.scratch(machine.paths, "pod")
    volumes = {"state": state or new_volume(folder / "state")}
    for each in spec["volumes"]:
        volume = volumes[each["name"]] = folder / each["name"]
        volume.mkdir()
        if "configMap" in each:
            files = manifests.only(built, "ConfigMap")["data"]
            registries = buildkitd.configuration(mirror, buildkitd.PUBLIC_REGISTRIES, ())
            for name, text in files.items():
                (volume / name).write_text(text + registries * (name == "buildkitd.toml"))
        else:
            secret = manifests.only(secrets, "Secret", each["secret"]["secretName"])
            _mount_secret(volume, secret)
    return Pod(machine=machine, folder=folder, port=ports.free(), spec=spec, volumes=volumes)


def new_volume(folder: Path) -> Path:
    """Make a new file system, after Kubernetes has set fsGroup on it."""
    folder.mkdir()
    os.chown(folder, 0, USER)
    folder.chmod(0o2775)
    return folder


def _mount_secret(volume: Path, secret: Manifest) -> None:
    for name, value in secret["data"].items():
        file = volume / name
        file.write_bytes(base64.b64decode(value))
        os.chown(file, 0, USER)
        file.chmod(0o440)


def _capabilities(context: Mapping[str, Any], *, root: bool) -> dict[str, list[str]]:
    told = context.get("capabilities", {})
    kept = set() if "ALL" in told.get("drop", ()) else CAPABILITIES
    names = sorted(f"CAP_{name}" for name in kept | set(told.get("add", ())))
    return {
        "bounding": names,
        "effective": names if root else [],
        "permitted": names if root else [],
        "inheritable": [],
    }


def _fill(root: Path) -> None:
    """Make what the image has in its root file system, but for its programs."""
    for name in ("dev", "etc", "opt/programs", "proc", "sys", "usr", "var/lib/buildkit"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    own = ("run/user/1000", "home/user", "home/user/.local", "home/user/.local/tmp")
    for name in own:
        (root / name).mkdir(parents=True)
        os.chown(root / name, USER, USER)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    for name, text in {
        "passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
        "group": "root:x:0:\nuser:x:1000:\n",
        "subuid": SUBORDINATE_IDS,
        "subgid": SUBORDINATE_IDS,
        "hosts": "127.0.0.1 localhost\n",
    }.items():
        (root / "etc" / name).write_text(text)
    for name, capability in _HELPERS.items():
        helper = Path(shutil.copy(shutil.which(name) or name, root / "opt"))
        helper.chmod(0o755)
        # VFS_CAP_REVISION_2, effective; permitted and inheritable, low and high (linux/capability.h).
        value = struct.pack("<IIIII", 0x02000001, 1 << capability, 0, 0, 0)
        os.setxattr(helper, "security.capability", value)


def _machine(machine: Machine, root: Path) -> Iterable[Mapping[str, Any]]:
    """Mount what a runtime mounts by itself, and this machine's programs."""
    yield {"destination": "/proc", "type": "proc", "source": "proc"}
    yield _bind(Path("/sys"), "/sys", read_only=True)
    tmpfs = {"type": "tmpfs", "source": "tmpfs"}
    yield {"destination": "/dev", **tmpfs, "options": ["nosuid", "mode=755"]}
    yield {"destination": "/dev/shm", **tmpfs, "options": ["mode=1777"]}  # noqa: S108
    yield _bind(Path("/usr"), "/usr", read_only=True)
    yield _bind(Path("/etc/ssl"), "/etc/ssl", read_only=True)
    yield _bind(machine.programs.folder, "/opt/programs", read_only=True)
    for name in _HELPERS:
        yield _bind(root / "opt" / name, f"/usr/bin/{name}", read_only=True)


def _bind(source: Path, destination: str, *, read_only: bool) -> Mapping[str, Any]:
    options = ["rbind", "ro"] if read_only else ["rbind"]
    return {"destination": destination, "type": "bind", "source": str(source), "options": options}
