"""Builds with golang. What tests hold scripts/kubernetes against.

A cluster's own programs, and cert-manager's definitions.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError
from stack.install import fingerprint, golang
from stack.install.completion import is_complete, mark_complete
from stack.paths import Paths

_CERT_MANAGER = "github.com/cert-manager/cert-manager"

# In the order in which they are built: each finds most of what it needs compiled for those before.
# In all they take 385 seconds of CPU time, and kube-apiserver 1.4 GiB of memory.
_PROGRAMS: Mapping[str, str] = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "etcd": "go.etcd.io/etcd/server/v3",
}

# Neither inlined nor described to a debugger, for programs that run for minutes: etcd takes 54 seconds of CPU
# time, not 77.
_COMPILER = "-l -dwarf=false"

# 2.4 GiB of compiled packages, which go afterwards, 0.3 of programs, and their sources.
_BUILD_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class KubernetesTools:
    folder: Path

    @property
    def kubectl(self) -> Path:
        """It has kustomize in it, as the command of users has."""
        return self.folder / "kubectl"

    @property
    def apiserver(self) -> Path:
        return self.folder / "kube-apiserver"

    @property
    def controller_manager(self) -> Path:
        return self.folder / "kube-controller-manager"

    @property
    def scheduler(self) -> Path:
        return self.folder / "kube-scheduler"

    @property
    def etcd(self) -> Path:
        return self.folder / "server"  # as Go names it, after its module

    @property
    def definitions(self) -> Path:
        """A folder of cert-manager's CustomResourceDefinitions, one a file."""
        return self.folder / "definitions"

    @property
    def complete(self) -> bool:
        return is_complete(self.folder)


def find(paths: Paths) -> KubernetesTools:
    """Return where the tools of this clone's modules are, or will be once built."""
    modules = (_cluster(paths), _cert_manager(paths))
    files = [module / name for module in modules for name in ("go.mod", "go.sum")]
    return KubernetesTools(paths.kubernetes_tools / fingerprint.of_files(files, _COMPILER))


def built(paths: Paths) -> KubernetesTools:
    tools = find(paths)
    if not tools.complete:
        raise StackError("Kubernetes is not built for this clone: run ./scripts/test first.")
    return tools


def ensure(paths: Paths, log: Path, working: Callable[[str], None]) -> KubernetesTools:
    """Build what is missing, program by program: two at once would want some 4 GiB of memory."""
    tools = find(paths)
    if tools.complete:
        return tools
    tools.folder.mkdir(parents=True, exist_ok=True)
    _require_space(tools.folder)
    module = _cluster(paths)
    go = golang.toolchain(paths, module / "go.mod", log)
    stamp = _stamp((module / "go.mod").read_text())
    # Nothing else could use it; a run that was interrupted goes on where it was.
    cache = tools.folder / "compiled"
    for number, (name, package) in enumerate(_PROGRAMS.items(), 1):
        of = f"{number} of {len(_PROGRAMS)}, some 5 minutes in all on 2 cores the first time"
        working(f"building {name}, {of}")
        golang.build(
            *(go, module, [package]),
            into=tools.folder,
            log=log,
            link=stamp,
            compiler=_COMPILER,
            cache=cache,
        )
    sources = golang.sources(go, _cert_manager(paths), _CERT_MANAGER, log=log)
    shutil.copytree(sources / "deploy" / "crds", tools.definitions, dirs_exist_ok=True)
    shutil.rmtree(cache, ignore_errors=True)
    mark_complete(tools.folder)
    return tools


def _require_space(folder: Path) -> None:
    available = shutil.disk_usage(folder).free
    if available < _BUILD_BYTES:
        raise StackError(
            f"{folder} has {available / 2**30:.1f} GiB of free disk space and Kubernetes needs "
            f"{_BUILD_BYTES / 2**30:.0f} GiB while it is built: free some, or mount a larger disk there."
        )


def _stamp(go_mod: str) -> str:
    """Return the version as Kubernetes' own build gives it to its programs, which know none otherwise."""
    found = re.search(r"^\s+k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)", go_mod, re.MULTILINE)
    if not found:
        raise StackError("tests/kubernetes/go.mod names no k8s.io/kubernetes: bring the line back.")
    version, major, minor = found.groups()
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(
        f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items()
    )


def _cluster(paths: Paths) -> Path:
    return paths.repository / "tests" / "kubernetes"


def _cert_manager(paths: Paths) -> Path:
    return _cluster(paths) / "cert_manager"
