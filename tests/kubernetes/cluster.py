"""Starts daemons. A Kubernetes cluster of its own programs: etcd, API server, controllers, scheduler.

Nothing runs in it: `kubelet` says of each pod what its node would.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import yaml
from stack.daemons import daemon, ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stack.daemons.daemon import Daemon
    from stack.install.account import Account

    from ..parts.kubernetes_tools import KubernetesTools
    from .manifests import Manifest

TOKEN = "the-administrators"
COMMAND_SECONDS = 100.0

# Those that have a part in what scripts/kubernetes asks for; the others would only take memory.
CONTROLLERS = (
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",  # `--cascade=orphan` is its work
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "validatingadmissionpolicy-status-controller",
)


@dataclass(kw_only=True)
class Cluster:
    """As a context manager it ends with the block, and all that it knew with it."""

    tools: KubernetesTools
    folder: Path
    port: int
    daemons: list[Daemon] = field(default_factory=list)
    _thread: threading.local = field(default_factory=threading.local, repr=False)
    _connections: list[http.client.HTTPSConnection] = field(default_factory=list, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a shell whose user may do everything."""
        path = f"{self.tools.folder}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.folder / "kubeconfig")}

    def shell(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run commands as they stand in a document, until one fails."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def kubectl(
        self, *arguments: str | Path, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tools.kubectl, *arguments],
            env=self.environment,
            input=given or "",
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def create(self, *objects: Manifest) -> None:
        asked = self.kubectl("create", "-f", "-", given=yaml.safe_dump_all(objects))
        assert asked.returncode == 0, asked.stderr

    def items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", path)["items"]
        return found

    def ask(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None = None,
        kind: str = "application/json",
    ) -> dict[str, Any]:
        """Return what the API server answers, whatever it thinks of the question."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        body = None if document is None else json.dumps(document)
        connection = self._connection()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next question opens it again
            raise
        found: dict[str, Any] = json.loads(answer)
        return found

    def _connection(self) -> http.client.HTTPSConnection:
        """Return the calling thread's own."""
        found: http.client.HTTPSConnection | None = getattr(self._thread, "connection", None)
        if found is None:
            # It listens on loopback, with a certificate that it made for itself.
            context = ssl._create_unverified_context()  # noqa: S323
            found = self._thread.connection = http.client.HTTPSConnection(
                ports.LOOPBACK, self.port, timeout=COMMAND_SECONDS, context=context
            )
            self._connections.append(found)
        return found

    def is_ready(self) -> bool:
        try:
            asked = self.ask("GET", "/api/v1/namespaces/default")
        except (OSError, ValueError, http.client.HTTPException):
            return False
        return bool(asked["kind"] == "Namespace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()
        for each in reversed(self.daemons):
            each.stop()


def start(
    tools: KubernetesTools,
    account: Account,
    folder: Path,
    *,
    version: str | None = None,
    apiserver_only: bool = False,
) -> Cluster:
    """Start a cluster whose programs run as the account, and keep what is theirs in the folder.

    With a `version` ("1.33") the API server behaves as that one did.
    """
    etcd, peers, port = ports.free(), ports.free(), ports.free()
    cluster = Cluster(tools=tools, folder=folder, port=port)
    state = account.own(folder / "state")
    key = state / "service-accounts.key"
    subprocess.run(
        ["openssl", "genrsa", "-out", key, "2048"],
        **account.identity,
        capture_output=True,
        check=True,
    )
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
    (folder / "kubeconfig").write_text(_kubeconfig(port))

    def launch(name: str, *command: str | Path) -> Daemon:
        launched = daemon.launch(
            name,
            command,
            account=account,
            environment=account.environment(),
            folder=folder,
            log=folder / f"{name}.log",
        )
        cluster.daemons.append(launched)
        return launched

    url = f"http://{ports.LOOPBACK}:{etcd}"
    own = f"http://{ports.LOOPBACK}:{peers}"
    launch(
        "etcd",
        *(tools.etcd, "--data-dir", state / "etcd", "--unsafe-no-fsync", "--log-level=error"),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", own, "--initial-advertise-peer-urls", own),
        f"--initial-cluster=default={own}",
    )
    server = launch(
        "kube-apiserver",
        *(tools.apiserver, "--etcd-servers", url, "--cert-dir", state / "certificates"),
        *("--bind-address", ports.LOOPBACK, "--secure-port", str(port)),
        *("--token-auth-file", folder / "tokens.csv", "--authorization-mode=Node,RBAC"),
        *("--service-account-issuer=https://kubernetes.default.svc",),
        *("--service-account-key-file", key, "--service-account-signing-key-file", key),
        *("--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none"),
        # Nodes come to be ready at once: no kubelet is to say so.
        "--disable-admission-plugins=TaintNodesByCondition",
        *([f"--emulated-version={version}"] if version else ()),
    )
    try:
        daemon.wait_until_ready(server, cluster.is_ready)
        if not apiserver_only:
            kubeconfig = ("--kubeconfig", folder / "kubeconfig", "--leader-elect=false")
            launch(
                "kube-controller-manager",
                *(tools.controller_manager, *kubeconfig, "--secure-port=0"),
                *("--service-account-private-key-file", key),
                f"--controllers={','.join(CONTROLLERS)}",
                "--pvclaimbinder-sync-period=1s",
                "--horizontal-pod-autoscaler-sync-period=1s",
            )
            launch("kube-scheduler", tools.scheduler, *kubeconfig, "--secure-port=0")
    except BaseException:
        cluster.__exit__()
        raise
    return cluster


def _kubeconfig(port: int) -> str:
    server = {"server": f"https://{ports.LOOPBACK}:{port}", "insecure-skip-tls-verify": True}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    return yaml.safe_dump(document)


def nodes(architectures: Sequence[str]) -> list[Manifest]:
    """Return nodes that are ready, each in a zone of its own."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"node-{number}",
                "labels": {
                    "kubernetes.io/hostname": f"node-{number}",
                    "kubernetes.io/arch": architecture,
                    "kubernetes.io/os": "linux",
                    "topology.kubernetes.io/zone": f"zone-{number}",
                },
            },
            "status": {
                "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "110"},
                "capacity": {"cpu": "64", "memory": "256Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
        for number, architecture in enumerate(architectures)
    ]


def namespaces(*names: str) -> list[Manifest]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]


STORAGE_CLASS: Manifest = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}


def volumes(names: Sequence[str], gibibytes: int = 50) -> list[Manifest]:
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": f"{gibibytes}Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "standard",
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": f"/mnt/{name}"},
            },
        }
        for name in names
    ]
